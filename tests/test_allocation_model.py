"""Allocation against a model: whatever the order of the calls, the catalogue and a plain dictionary agree.

The model knows the states of sides and where cartridges go, as the documents state them, and nothing of the program.
Which of several sides is taken it does not say; it sees that the one taken could be.
"""

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import builders
import hypothesis
import sqlalchemy
from allocating import (
    ALLOCATED,
    AVAILABLE,
    COMPLETE,
    DECOMMISSIONED,
    IMPORT,
    RESERVED,
    UNPREPARED,
    World,
    make_world,
)
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import rsm
from rsm import model, schema
from rsm.constants import NtmsPartitionState as State

ADMINISTRATOR = rsm.Caller("user:admin", administrator=True)
FREE, IMPORTS = r"\Free\MO_5_RW", r"\Import\MO_5_RW"
POOLS = (r"\Two", r"\Two draws", r"\Two returns")
MOST = {r"\Two returns": 2}
HELD = (ALLOCATED, COMPLETE)

pools = st.sampled_from(POOLS)
picks = st.integers(0, 10_000)


@dataclass
class Cartridge:
    """What the model knows of a cartridge: its pool, and of each side the state and how often it was allocated."""

    pool: str
    states: list[State]
    counts: list[int] = field(default_factory=lambda: [0, 0])


class Allocations(RuleBasedStateMachine):
    """Random calls on both, the answers compared after each."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="rsm-model-"))
        self.path = self.folder / "media.db"
        shutil.copy(self.template, self.path)
        self.session = rsm.connect(self.path, caller=ADMINISTRATOR, worker=False)
        libraries = self.session.objects.list(rsm.NtmsObjectsTypes.NTMS_LIBRARY)
        named = [self.session.objects.get(rsm.NtmsObjectsTypes.NTMS_LIBRARY, each) for each in libraries]
        near = next(library for library in named if library.name == "Near")
        place: Any = builders.BuiltLibrary(near.id, near.name)
        self.world = World(self.session, str(self.path), place, place)
        self.media: dict[str, Cartridge] = {}
        self.held: dict[rsm.LogicalMedium, tuple[str, int]] = {}

    def teardown(self) -> None:
        self.session.close()
        shutil.rmtree(self.folder)

    @rule(pool=st.sampled_from([*POOLS, FREE, FREE, IMPORTS]))
    def enter(self, pool: str) -> None:
        state = IMPORT if pool == IMPORTS else AVAILABLE
        barcode = f"C{len(self.media):03}"
        self.world.add(pool, barcode, state, state)
        self.media[barcode] = Cartridge(pool, [state, state])

    def fitting(self, pool: str, new: bool) -> set[tuple[str, int]]:
        """Return the sides that may be taken: the pool's own, else free ones where the policy draws on them."""
        for source in (pool, FREE) if pool.endswith("draws") else (pool,):
            found = {
                (barcode, number)
                for barcode, cartridge in self.media.items()
                for number, state in enumerate(cartridge.states)
                if cartridge.pool == source and state is AVAILABLE
                if not new or set(cartridge.states) == {AVAILABLE}
                if source != FREE or UNPREPARED not in cartridge.states
            }
            if found:
                return found
        return set()

    @rule(pool=pools, new=st.booleans())
    def allocate(self, pool: str, new: bool) -> None:
        fitting = self.fitting(pool, new)
        try:
            logical = self.session.media.allocate(pool, new=new, timeout_ms=0)
        except rsm.TimeoutError:
            assert fitting == set()
            return
        taken = self.locate(logical)
        assert taken in fitting
        self.take(logical, taken, pool)
        if new:
            self.media[taken[0]].states[1 - taken[1]] = RESERVED

    def locate(self, logical: rsm.LogicalMedium) -> tuple[str, int]:
        medium = self.session.media.get(logical.medium)
        (number,) = [side.number for side in self.session.media.sides(medium) if side.id == logical.side]
        return medium.barcode, number

    def take(self, logical: rsm.LogicalMedium, taken: tuple[str, int], pool: str) -> None:
        cartridge = self.media[taken[0]]
        cartridge.pool = pool
        cartridge.states[taken[1]] = ALLOCATED
        cartridge.counts[taken[1]] += 1
        self.held[logical] = taken

    @rule(pool=pools, pick=picks)
    def take_in(self, pool: str, pick: int) -> None:
        imports = [
            (barcode, number)
            for barcode, cartridge in self.media.items()
            for number, state in enumerate(cartridge.states)
            if state is IMPORT
        ]
        if not imports:
            return
        barcode, number = imports[pick % len(imports)]
        held_elsewhere = self.media[barcode].states[1 - number] in HELD and self.media[barcode].pool != pool
        try:
            logical = self.session.media.allocate(pool, side=self.session.media.sides(barcode)[number])
        except rsm.InvalidMediaError:
            assert held_elsewhere
            return
        assert not held_elsewhere
        self.take(logical, (barcode, number), pool)

    def any_held(self, pick: int) -> tuple[rsm.LogicalMedium, str, int] | None:
        if not self.held:
            return None
        logical = sorted(self.held, key=lambda each: each.id)[pick % len(self.held)]
        return logical, *self.held[logical]

    @rule(pick=picks)
    def take_next(self, pick: int) -> None:
        found = self.any_held(pick)
        if found is None:
            return
        logical, barcode, number = found
        pool = self.media[barcode].pool
        try:
            made = self.session.media.allocate(pool, next_to=logical.id)
        except rsm.MediaUnavailableError:
            assert self.media[barcode].states[1 - number] is not RESERVED
            return
        assert self.media[barcode].states[1 - number] is RESERVED
        self.take(made, (barcode, 1 - number), pool)

    @rule(pick=picks)
    def complete(self, pick: int) -> None:
        found = self.any_held(pick)
        if found is None:
            return
        logical, barcode, number = found
        try:
            self.session.media.complete(logical)
        except rsm.InvalidStateError:
            assert self.media[barcode].states[number] is COMPLETE
        self.media[barcode].states[number] = COMPLETE

    @rule(pick=picks)
    def deallocate(self, pick: int) -> None:
        found = self.any_held(pick)
        if found is None:
            return
        logical, barcode, number = found
        self.session.media.deallocate(logical.id)
        del self.held[logical]
        cartridge = self.media[barcode]
        used_up = cartridge.counts[number] >= MOST.get(cartridge.pool, 10_000)
        cartridge.states[number] = DECOMMISSIONED if used_up else AVAILABLE
        if cartridge.states[1 - number] is RESERVED:
            cartridge.states[1 - number] = AVAILABLE
        if cartridge.pool.endswith("returns") and set(cartridge.states) == {AVAILABLE}:
            cartridge.pool, cartridge.states = FREE, [UNPREPARED, UNPREPARED]

    @rule(pick=picks)
    def decommission(self, pick: int) -> None:
        if not self.media:
            return
        barcode = sorted(self.media)[pick % len(self.media)]
        states = self.media[barcode].states
        side = self.session.media.sides(barcode)[pick % 2]
        try:
            self.session.media.decommission(side)
        except rsm.InvalidStateError:
            assert states[pick % 2] is not AVAILABLE
            return
        assert states[pick % 2] is AVAILABLE
        states[pick % 2] = DECOMMISSIONED

    @rule(first=picks, second=picks)
    def swap(self, first: int, second: int) -> None:
        one, other = self.any_held(first), self.any_held(second)
        if one is None or other is None or one[0] == other[0]:
            return
        places = [(self.media[barcode].pool, self.media[barcode].states[number]) for _, barcode, number in (one, other)]
        try:
            self.session.media.swap(one[0].id, other[0].id)
        except rsm.InvalidMediaPoolError:
            assert places[0][0] != places[1][0]
            return
        except rsm.InvalidStateError:
            assert COMPLETE in (places[0][1], places[1][1])
            return
        assert places[0] == places[1]
        self.held[one[0]], self.held[other[0]] = self.held[other[0]], self.held[one[0]]

    @rule()
    def write_free_labels(self) -> None:
        """Do what the worker does."""
        with builders.behind(str(self.path)) as connection:
            unprepared = model.Side.state == int(UNPREPARED)
            connection.execute(sqlalchemy.update(model.Side).where(unprepared).values(state=int(AVAILABLE)))
        for cartridge in self.media.values():
            cartridge.states = [AVAILABLE if state is UNPREPARED else state for state in cartridge.states]

    @invariant()
    def both_agree(self) -> None:
        paths = {pool.id: pool.path for pool in self.session.pools.list(recursive=True)}
        partition = rsm.NtmsObjectsTypes.NTMS_PARTITION
        sides = [self.session.objects.get(partition, each) for each in self.session.objects.list(partition)]
        barcodes = {medium.id: medium.barcode for medium in self.session.media.list()}
        found = {
            (barcodes[side.medium], side.number): (paths[side.pool], side.state, side.allocate_count) for side in sides
        }
        assert found == {
            (barcode, number): (cartridge.pool, cartridge.states[number], cartridge.counts[number])
            for barcode, cartridge in self.media.items()
            for number in (0, 1)
        }
        logical = {side.logical_medium: (barcodes[side.medium], side.number) for side in sides if side.logical_medium}
        assert logical == {each.id: place for each, place in self.held.items()}


def test_allocation_keeps_to_the_model(tmp_path: Path) -> None:
    template = tmp_path / "template.db"
    schema.create(str(template), caller=ADMINISTRATOR)
    with rsm.connect(template, caller=ADMINISTRATOR, worker=False) as session:
        make_world(session, str(template))
    Allocations.template = template
    run_state_machine_as_test(
        Allocations,
        settings=hypothesis.settings(
            max_examples=8, stateful_step_count=30, deadline=None, suppress_health_check=list(hypothesis.HealthCheck)
        ),
    )
