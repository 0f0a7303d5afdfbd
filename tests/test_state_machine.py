"""Pools and media against a model: whatever the order of the calls, the catalogue and a plain dictionary agree.

The model knows the rules of pools and moves as the documents state them, and nothing of the program.
"""

import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import builders
import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import rsm
from rsm import schema
from rsm.constants import NtmsPartitionState as State
from rsm.constants import NtmsPoolType

ADMINISTRATOR = rsm.Caller("user:admin", administrator=True)
TYPES = ("LTO-8", "LTO-7")
CLASSES = {"Free": 1, "Unrecognized": 2, "Import": 3}
FREE, UNRECOGNIZED, IMPORT, APPLICATION = 1, 2, 3, 1000
TAKEN = {State.NTMS_PARTSTATE_ALLOCATED, State.NTMS_PARTSTATE_COMPLETE, State.NTMS_PARTSTATE_RESERVED}
FINAL = {State.NTMS_PARTSTATE_DECOMMISSIONED, State.NTMS_PARTSTATE_INCOMPATIBLE}
SYSTEM = [f"\\{top}" for top in CLASSES] + [f"\\{top}\\{kind}" for top in CLASSES for kind in TYPES]

levels = st.sampled_from(["A", "a", "B", "Ä", "Free"])
paths = st.lists(levels, min_size=1, max_size=3).map(lambda parts: "\\" + "\\".join(parts))
any_pool = st.one_of(paths, st.sampled_from(SYSTEM), st.just("\\"))
barcodes = st.sampled_from([f"C{number}" for number in range(5)])
states = st.sampled_from([State.NTMS_PARTSTATE_AVAILABLE, State.NTMS_PARTSTATE_IMPORT, *TAKEN, *FINAL])


@dataclass(frozen=True)
class Pool:
    """What the model knows of a pool."""

    kind: int = APPLICATION
    media_type: str | None = None
    policy: tuple[bool, bool, int] = (False, False, 0)


@dataclass(frozen=True)
class Medium:
    """What the model knows of a cartridge."""

    pool: str
    media_type: str
    state: State


class Refused(Exception):
    """The model's refusal, named like the error it expects."""

    @property
    def name(self) -> str:
        return str(self.args[0])


def parent_of(path: str) -> str:
    return path.rpartition("\\")[0] or "\\"


class Catalogue:
    """The rules over two dictionaries."""

    def __init__(self) -> None:
        self.pools = {"\\": Pool(0)}
        for path in SYSTEM:
            top, _, media_type = path[1:].partition("\\")
            self.pools[path] = Pool(CLASSES[top], media_type or None)
        self.media: dict[str, Medium] = {}

    def holds_pools(self, path: str) -> bool:
        return any(parent_of(other) == path for other in self.pools if other != "\\")

    def holds_media(self, path: str) -> bool:
        return any(medium.pool == path for medium in self.media.values())

    def create_pool(self, path: str, media_type: str | None) -> None:
        parent = self.pools.get(parent_of(path))
        if parent is None:
            raise Refused("ObjectNotFoundError")
        if path in self.pools:
            raise Refused("AlreadyExistsError")
        if parent.kind in CLASSES.values() or parent.media_type:
            raise Refused("InvalidNameError")
        self.pools[path] = Pool(media_type=media_type)

    def delete_pool(self, path: str) -> None:
        if path not in self.pools or self.pools[path].kind != APPLICATION:
            raise Refused("InvalidMediaPoolError")
        if self.holds_media(path) or self.holds_pools(path):
            raise Refused("NotEmptyError")
        del self.pools[path]

    def rename_pool(self, path: str, name: str) -> None:
        pool = self.pools.get(path)
        if pool is None:
            raise Refused("ObjectNotFoundError")
        if path.rpartition("\\")[2] == name:
            return
        if pool.kind != APPLICATION:
            raise Refused("AccessDeniedError")
        renamed = f"{path.rpartition(chr(92))[0]}\\{name}"
        if renamed in self.pools:
            raise Refused("AlreadyExistsError")

        def moved(old: str) -> str:
            return renamed + old[len(path) :] if old == path or old.startswith(f"{path}\\") else old

        self.pools = {moved(old): pool for old, pool in self.pools.items()}
        self.media = {code: replace(medium, pool=moved(medium.pool)) for code, medium in self.media.items()}

    def set_policy(self, path: str, policy: tuple[bool, bool, int]) -> None:
        if path not in self.pools:
            raise Refused("ObjectNotFoundError")
        pool = self.pools[path]
        if pool.kind != APPLICATION and pool.policy != policy:
            raise Refused("AccessDeniedError")
        self.pools[path] = replace(pool, policy=policy)

    def create_medium(self, path: str, barcode: str, state: State) -> None:
        pool = self.pools.get(path)
        if pool is None or pool.kind not in (IMPORT, APPLICATION) or not pool.media_type:
            raise Refused("InvalidMediaPoolError")
        if barcode in self.media:
            raise Refused("InvalidMediaError")
        self.media[barcode] = Medium(path, pool.media_type, state)

    def delete_medium(self, barcode: str) -> None:
        if barcode not in self.media:
            raise Refused("InvalidMediaError")
        if self.media[barcode].state in TAKEN:
            raise Refused("InvalidStateError")
        del self.media[barcode]

    def move(self, barcode: str, path: str) -> None:
        medium = self.media.get(barcode)
        if medium is None:
            raise Refused("InvalidMediaError")
        target, source = self.pools.get(path), self.pools[medium.pool]
        if target is None or target.kind == 0 or (source.kind == target.kind == FREE):
            raise Refused("InvalidMediaPoolError")
        if path == medium.pool:
            return
        if medium.state == State.NTMS_PARTSTATE_UNPREPARED:
            raise Refused("BusyError")
        if target.media_type != medium.media_type:
            raise Refused("MediaIncompatibleError")
        from_outside = source.kind in (UNRECOGNIZED, IMPORT) and target.kind != FREE
        not_import = target.kind == IMPORT and medium.state != State.NTMS_PARTSTATE_IMPORT
        if target.kind == UNRECOGNIZED or from_outside or not_import:
            raise Refused("InvalidMediaPoolError")
        state = medium.state
        if target.kind == FREE:
            if state in TAKEN | FINAL:
                raise Refused("InvalidStateError")
            state = State.NTMS_PARTSTATE_UNPREPARED
        self.media[barcode] = replace(medium, pool=path, state=state)


class PoolsAndMedia(RuleBasedStateMachine):
    """Makes every call on both, and compares answers and listings."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp(prefix="rsm-machine-", dir=self.template.parent)
        self.path = Path(self.folder) / "media.db"
        shutil.copy(self.template, self.path)
        self.session = rsm.connect(self.path, caller=ADMINISTRATOR)
        self.model = Catalogue()

    def teardown(self) -> None:
        self.session.close()
        assert schema.check(str(self.path)) == []
        shutil.rmtree(self.folder)

    def both(self, name: str, call: Any, *arguments: Any) -> None:
        """Make a call on the model and on the catalogue; they refuse alike or both do it."""
        try:
            getattr(self.model, name)(*arguments)
            expected = ""
        except Refused as refusal:
            expected = refusal.name
        try:
            call()
            got = ""
        except rsm.RsmError as error:
            got = type(error).__name__
        assert got == expected, f"{name}{arguments}"

    @rule(path=paths, media_type=st.sampled_from([None, *TYPES]))
    def create_pool(self, path: str, media_type: str | None) -> None:
        pools = self.session.pools
        self.both("create_pool", lambda: pools.create(path, media_type=media_type), path, media_type)

    @rule(path=any_pool)
    def delete_pool(self, path: str) -> None:
        self.both("delete_pool", lambda: self.session.pools.delete(path), path)

    @rule(path=st.one_of(paths, st.sampled_from(SYSTEM)), name=levels)
    def rename_pool(self, path: str, name: str) -> None:
        self.both("rename_pool", lambda: self.session.pools.update(path, name=name), path, name)

    @rule(path=any_pool, from_free=st.booleans(), to_free=st.booleans(), most=st.sampled_from([0, 1, 2**32 - 1]))
    def set_policy(self, path: str, from_free: bool, to_free: bool, most: int) -> None:
        policy = {"allocate_from_free": from_free, "deallocate_to_free": to_free, "max_allocates": most}
        pools = self.session.pools
        self.both("set_policy", lambda: pools.update(path, **policy), path, (from_free, to_free, most))

    @rule(path=any_pool, barcode=barcodes, state=states)
    def create_medium(self, path: str, barcode: str, state: State) -> None:
        sides = [rsm.NewSide("MTF", barcode.encode(), state)]
        media = self.session.media
        self.both("create_medium", lambda: media.create(path, sides, barcode=barcode), path, barcode, state)

    @rule(data=st.data(), barcode=barcodes)
    def move_medium(self, data: st.DataObject, barcode: str) -> None:
        path = data.draw(st.one_of(any_pool, st.sampled_from(sorted(self.model.pools))))
        self.both("move", lambda: self.session.media.move(barcode, path), barcode, path)

    @rule(data=st.data(), barcode=barcodes, state=states)
    def create_medium_somewhere(self, data: st.DataObject, barcode: str, state: State) -> None:
        holding = [path for path, pool in self.model.pools.items() if pool.media_type and pool.kind in (3, 1000)]
        self.create_medium(data.draw(st.sampled_from(sorted(holding))), barcode, state)

    @rule(barcode=barcodes)
    def delete_medium(self, barcode: str) -> None:
        self.both("delete_medium", lambda: self.session.media.delete(barcode), barcode)

    @invariant()
    def listings_agree(self) -> None:
        names = {kind.id: kind.name for kind in self.session.types.list()}
        listed = self.session.pools.list(recursive=True)
        policy = {pool.path: (pool.allocate_from_free, pool.deallocate_to_free, pool.max_allocates) for pool in listed}
        found = {
            pool.path: Pool(int(pool.pool_type), pool.media_type and names[pool.media_type], policy[pool.path])
            for pool in listed
        }
        assert len(found) == len(listed)
        assert found == {path: pool for path, pool in self.model.pools.items() if path != "\\"}
        path_of = {pool.id: pool.path for pool in listed}
        sides = {side.medium: side.state for code in self.model.media for side in self.session.media.sides(code)}
        media = {
            medium.barcode: Medium(path_of[medium.pool], names[medium.media_type], sides[medium.id])
            for medium in self.session.media.list()
        }
        assert media == self.model.media
        for pool in listed:
            assert pool.physical_media == sum(medium.pool == pool.path for medium in media.values())
            assert pool.pools == sum(parent_of(path) == pool.path for path in found)


def test_pools_and_media_agree_with_the_model(sqlite_path: Path) -> None:
    robot = builders.add_library(f"sqlite:///{sqlite_path}")
    with rsm.connect(sqlite_path, caller=ADMINISTRATOR) as session:
        for media_type in TYPES:
            session.types.add(media_type, robot.id)
        assert {int(pool.pool_type) for pool in session.pools.list()} == set(CLASSES.values())
    assert int(NtmsPoolType.NTMS_POOLTYPE_APPLICATION) == APPLICATION
    PoolsAndMedia.template = sqlite_path
    run_state_machine_as_test(
        PoolsAndMedia,
        settings=hypothesis.settings(
            max_examples=12,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        ),
    )
