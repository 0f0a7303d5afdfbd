"""Allocation, mounting and inventory against a model: whatever people and programs do in whatever order.

The model is a shelf, a row of places and a few lines about each cartridge; it knows nothing of requests and steps.
"""

import functools
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import sqlalchemy
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from working import FREE, LONG_MS, LTO, UNRECOGNIZED, make_robot

import rsm
from rsm import labels, model, schema
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsPartitionState as State

pytestmark = pytest.mark.works
ADMINISTRATOR = rsm.Caller("user:admin", administrator=True)
CODES = ("A00001", "B00002", "C00003", "D00004")
SLOTS = tuple(f"slot-{number:04}" for number in range(1, 6))
POOL = r"\App"
FOREIGN, AVAILABLE, ALLOCATED, COMPLETE = (
    State[f"NTMS_PARTSTATE_{name}"] for name in ("FOREIGN", "AVAILABLE", "ALLOCATED", "COMPLETE")
)

MOUNTS = sqlalchemy.select(model.Mount.side_id, model.Mount.dismountable_from)
MOUNTED_SIDES = sqlalchemy.select(model.Side.id).where(model.Side.mounted == 1)


@dataclass
class Cartridge:
    """What the model knows of a cartridge. `outside`: on the shelf; `recorded`: an inventory has seen it inside."""

    outside: bool = True
    recorded: bool = False
    known: bool = False
    mounted: bool = False
    state: State = FOREIGN
    pool: str = UNRECOGNIZED
    data: bytes | None = None
    tape: rsm.LogicalMedium | None = None

    @property
    def inside(self) -> bool:
        """Whether record and directory agree that it is in the library."""
        return self.known and self.recorded and not self.outside


Condition = Callable[[Cartridge], bool]


def drawing(condition: Condition) -> Callable[[Callable[..., None]], Any]:
    """Make a rule of a method that takes the bar code of a cartridge which meets a condition, when there is one."""

    def decorate(method: Callable[..., None]) -> Any:
        @functools.wraps(method)
        def draw_and_do(self: "Library", data: st.DataObject) -> None:
            method(self, data.draw(st.sampled_from(self.those(condition))), data)

        return precondition(lambda self: self.those(condition))(rule(data=st.data())(draw_and_do))

    return decorate


class Library(RuleBasedStateMachine):
    """Does everything to a library and to the model."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp(prefix="rsm-states-", dir=self.template.parent))
        self.database = self.base / "media.db"
        shutil.copy(self.template, self.database)
        self.session = rsm.connect(self.database, application="tests", caller=ADMINISTRATOR)
        self.robot = make_robot(self.session, self.base / "robot", slots=len(SLOTS), drives=2, ports=0)
        self.model = {code: Cartridge() for code in CODES}
        self.mounts: dict[str, tuple[Any, bool]] = {}
        for code in CODES:
            self.robot.add(code)
        self.robot.attach()
        self.session.pools.create(POOL, media_type=LTO, allocate_from_free=True)
        for code in CODES[:2]:
            self.robot.prepare(code)
            self.model[code] = Cartridge(state=AVAILABLE, pool=FREE)
        for cartridge in self.model.values():
            cartridge.outside, cartridge.recorded, cartridge.known = False, True, True
        self.model[CODES[0]].tape = self.robot.allocate(CODES[0], POOL)
        self.model[CODES[0]].state, self.model[CODES[0]].pool = ALLOCATED, POOL

    def teardown(self) -> None:
        for mount, _ in self.mounts.values():
            mount.dismount()
        self.session.close()
        assert schema.check(str(self.database)) == []
        shutil.rmtree(self.base)

    def those(self, condition: Condition) -> list[str]:
        return [code for code, cartridge in self.model.items() if condition(cartridge)]

    def empty_slot(self, data: st.DataObject) -> str:
        self.robot.drain()
        return str(data.draw(st.sampled_from(sorted(set(SLOTS) - set(self.robot.lying().values())))))

    # Hands

    @drawing(lambda cartridge: cartridge.outside)
    def put_in(self, code: str, data: st.DataObject) -> None:
        self.robot.carry(code, self.empty_slot(data))
        self.model[code].outside = False

    @drawing(lambda cartridge: not cartridge.outside and not cartridge.mounted)
    def carry_away(self, code: str, data: st.DataObject) -> None:
        self.robot.drain()
        cartridge = self.model[code]
        cartridge.recorded, cartridge.outside = False, data.draw(st.booleans())
        if cartridge.outside:
            self.robot.take_out(code)
        else:
            self.robot.carry(code, self.empty_slot(data))

    @rule(off=st.sampled_from([None, 0, 1]))
    def switch_drives(self, off: int | None) -> None:
        """Disable one of the drives, or none."""
        for position, drive in enumerate(self.session.libraries.drives(self.robot.library)):
            switch = self.session.objects.disable if position == off else self.session.objects.enable
            if drive.enabled is (position == off):
                switch(Kind.NTMS_DRIVE, drive)

    # Programs

    @precondition(lambda self: self.room())
    @rule(full=st.booleans())
    def take_inventory(self, full: bool) -> None:
        self.robot.inventory(full=full)
        for cartridge in self.model.values():
            cartridge.recorded = not cartridge.outside
            cartridge.known |= cartridge.recorded
        assert self.robot.places() == self.robot.lying()
        assert set(self.robot.lying()) == set(self.those(lambda cartridge: not cartridge.outside))

    def room(self) -> bool:
        """Tell whether a drive is left."""
        busy = {mount.drive.id for mount, _ in self.mounts.values()}
        drives = self.session.libraries.drives(self.robot.library)
        return any(drive.enabled and drive.id not in busy for drive in drives)

    @precondition(lambda self: self.room())
    @drawing(lambda cartridge: cartridge.inside and cartridge.pool != FREE and cartridge.tape is None)
    def make_free(self, code: str, _data: st.DataObject) -> None:
        self.robot.drain()
        if self.session.media.get(code).location_type is Kind.NTMS_DRIVE:  # in use, or left there for a while
            with pytest.raises(rsm.BusyError):
                self.session.media.move(code, FREE)
            return
        self.robot.prepare(code)
        self.model[code].pool, self.model[code].state, self.model[code].data = FREE, AVAILABLE, None

    @drawing(lambda cartridge: cartridge.inside and (cartridge.state is AVAILABLE or cartridge.mounted))
    def allocate(self, code: str, _data: st.DataObject) -> None:
        cartridge, side = self.model[code], self.session.media.sides(code)[0]
        if cartridge.state is AVAILABLE and not cartridge.mounted:
            self.robot.drain()
            cartridge.tape = self.session.media.allocate(POOL, side=side, error_if_unavailable=True)
            cartridge.pool, cartridge.state = POOL, ALLOCATED
        else:
            with pytest.raises(rsm.RsmError):
                self.session.media.allocate(POOL, side=side, error_if_unavailable=True)

    @drawing(lambda cartridge: cartridge.inside and not cartridge.mounted)
    def mount(self, code: str, data: st.DataObject) -> None:
        cartridge = self.model[code]
        write = data.draw(st.sampled_from([cartridge.state is ALLOCATED] * 3 + [False, True]))
        if write and cartridge.state is not ALLOCATED:
            wrong = rsm.WriteProtectError if cartridge.state is COMPLETE else rsm.InvalidStateError
            with pytest.raises(wrong):
                self.session.mounts.mount(code, write=True, timeout_ms=LONG_MS)
        elif self.room():
            self.mounts[code] = self.session.mounts.mount(code, write=write, timeout_ms=LONG_MS), write
            cartridge.mounted = True
        else:
            with pytest.raises((rsm.BusyError, rsm.ResourceDisabledError)):
                self.session.mounts.mount(code, write=write, timeout_ms=LONG_MS, error_if_busy=True)

    @drawing(lambda cartridge: cartridge.mounted)
    def write(self, code: str, data: st.DataObject) -> None:
        mount, writing = self.mounts[code]
        content = data.draw(st.binary(max_size=2000))
        if writing:
            with mount.open("wb") as file:
                file.write(content)
            self.model[code].data = content
        else:
            with pytest.raises(OSError, match=code):
                mount.open("wb")

    @drawing(lambda cartridge: cartridge.mounted)
    def read(self, code: str, _data: st.DataObject) -> None:
        self.compare(code)

    def compare(self, code: str) -> None:
        with self.mounts[code][0].open() as file:
            found = file.read()
        if self.model[code].data is not None:
            assert found == self.model[code].data
        else:
            assert (labels.recognise(found) is not None) == (self.model[code].pool != UNRECOGNIZED)

    @drawing(lambda cartridge: cartridge.mounted)
    def dismount(self, code: str, data: st.DataObject) -> None:
        self.compare(code)
        mount, _ = self.mounts.pop(code)
        mount.dismount(deferred=data.draw(st.booleans()))
        self.model[code].mounted = False

    @drawing(lambda cartridge: cartridge.tape is not None)
    def complete_or_deallocate(self, code: str, data: st.DataObject) -> None:
        cartridge, media = self.model[code], self.session.media
        assert cartridge.tape is not None
        deallocate = data.draw(st.booleans())
        if cartridge.mounted or (cartridge.state is COMPLETE and not deallocate):
            with pytest.raises(rsm.InvalidStateError):
                (media.deallocate if deallocate else media.complete)(cartridge.tape)
        elif deallocate:
            media.deallocate(cartridge.tape)
            cartridge.tape, cartridge.state = None, AVAILABLE
        else:
            media.complete(cartridge.tape)
            cartridge.state = COMPLETE

    # What always holds

    @invariant()
    def record_and_model_agree(self) -> None:
        media = self.robot.media()
        assert set(media) == {code for code, cartridge in self.model.items() if cartridge.known}
        for code in media:
            cartridge = self.model[code]
            assert (self.robot.states(code), self.robot.pool(code)) == ([cartridge.state], cartridge.pool), code
        located = [medium.location for medium in media.values() if medium.location is not None]
        assert len(set(located)) == len(located)

    @invariant()
    def mounts_and_sides_agree(self) -> None:
        rows, sides = self.session.read(lambda transaction: (transaction.rows(MOUNTS), transaction.rows(MOUNTED_SIDES)))
        assert {row.side_id for row in rows} == {side.id for side in sides}
        in_use = {row.side_id for row in rows if row.dismountable_from is None}
        assert in_use == {mount.side for mount, _ in self.mounts.values()}

    @invariant()
    def nothing_is_in_two_places(self) -> None:
        lying = self.robot.lying()
        assert len(set(lying.values())) == len(lying)
        assert {path.name for path in self.robot.shelf.iterdir()} == set(CODES) - set(lying)


def test_libraries_agree_with_the_model(sqlite_path: Path) -> None:
    Library.template = sqlite_path
    run_state_machine_as_test(
        Library,
        settings=hypothesis.settings(
            max_examples=6,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        ),
    )
