"""Every state of a side against every trigger: what the documents allow works, all else is refused, changing nothing.

Each pair of the two has a cartridge of its own, one- and two-sided, in every pool it may be in. What must come of it a
plain model says (`side_model`). All that is refused happens between two looks at the whole catalogue; then all that is
allowed, and each cartridge must be what the model says of it and no other.
"""

import itertools
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import allocating
import builders
import pytest
import sqlalchemy
from allocating import ONE_SIDED, TWO_SIDED, World
from side_model import (
    ALLOCATED,
    AVAILABLE,
    DECOMMISSIONED,
    FOREIGN,
    FREE,
    HELD,
    IMPORT,
    IMPORTS,
    INCOMPATIBLE,
    LAST,
    OTHER,
    OWN,
    RESERVED,
    RETURNS,
    RETURNS_LAST,
    SYSTEM,
    UNKNOWN,
    UNPREPARED,
    UNRECOGNIZED,
    Cartridge,
    expect,
)
from watch import nothing_changed, refused

import rsm
from rsm import model
from rsm.constants import NULL_GUID, ErrorCode
from rsm.constants import NtmsPartitionState as State
from rsm.services import identification
from rsm.services.identification import LabelSeen

SUFFIXES = {OWN: "", OTHER: " more", RETURNS: " returns", LAST: " last", RETURNS_LAST: " returns last"}
TOPS = {FREE: "Free", IMPORTS: "Import", UNRECOGNIZED: "Unrecognized"}
ANYWHERE = (
    "identify blank",
    "identify stranger",
    "identify own label",
    "label",
    "move free",
    "move import",
    "move other",
    "move unrecognized",
    "allocate across",
    "decommission",
    "delete online",
    "delete offline",
)
IN_OWN_POOL = ("allocate", "allocate new", "next", "complete", "swap first", "swap second")
# What comes of these on an application's cartridge its other side has no say in: three of its states will do.
ALONE = ("identify", "label", "move unrecognized", "decommission", "complete", "swap", "delete online")
GIVING_BACK = (RETURNS, RETURNS_LAST, OWN, LAST)
# What the other side of a cartridge can be in a system pool; an application's pool holds whatever was recorded there.
BESIDE = {
    FREE: (UNPREPARED, AVAILABLE, DECOMMISSIONED),
    IMPORTS: (IMPORT, FOREIGN, UNKNOWN, INCOMPATIBLE),
    UNRECOGNIZED: (FOREIGN, UNKNOWN, INCOMPATIBLE),
}
Sides = tuple[tuple[str, State, int, uuid.UUID | None], ...]  # pool, state, times allocated and logical medium of each


@dataclass(eq=False)
class Cell:
    """One trigger on one cartridge, and what the program knows it by."""

    trigger: str
    cartridge: Cartridge
    barcode: str
    first: int  # the number of the side that the trigger is about
    medium: uuid.UUID = NULL_GUID
    sides: list[uuid.UUID] = field(default_factory=list)
    partner: "Cell | None" = None

    def __post_init__(self) -> None:
        self.outcome = expect(self.trigger, self.cartridge) if self.trigger else self.cartridge
        unidentified = self.cartridge.mine in (UNKNOWN, FOREIGN, IMPORT)
        # An unidentified side may get another label and stay what it is; a swap trades what no state shows.
        may_move = self.trigger.startswith("swap") or (self.trigger.startswith("identify") and unidentified)
        unmoved = self.outcome == self.cartridge and not may_move
        self.changes_nothing = unmoved or isinstance(self.outcome, ErrorCode)

    @property
    def side(self) -> uuid.UUID:
        return self.sides[self.first]

    def in_order(self, states: tuple[State, ...]) -> list[State]:
        """Return the states of sides by number."""
        return list(states[::-1] if self.first else states)

    def __str__(self) -> str:
        states = " / ".join(state.name.removeprefix("NTMS_PARTSTATE_") for state in self.cartridge.states)
        return f"{self.barcode}: {self.trigger}, {states} in {self.cartridge.place}"


def cartridges(sided: int) -> Iterator[tuple[str, Cartridge]]:
    """Return every trigger on every cartridge that it can meet."""
    for place in (OWN, *SYSTEM):
        among = tuple(State) if sided == 1 or place == OWN else BESIDE[place]
        triggers = (*ANYWHERE, *IN_OWN_POOL) if place == OWN else ANYWHERE
        for states, trigger in itertools.product(itertools.product(among, repeat=sided), triggers):
            if place != OWN or not trigger.startswith(ALONE) or set(states[1:]) <= {AVAILABLE, ALLOCATED, RESERVED}:
                yield trigger, Cartridge(place, states)
    for place, states in itertools.product(GIVING_BACK[: 6 - 2 * sided], itertools.product(State, repeat=sided)):
        yield "deallocate", Cartridge(place, states)


class Matrix:
    """A catalogue that holds a cartridge for every cell, each side allocated once before."""

    def __init__(self, world: World, sided: int) -> None:
        self.world, self.session, self.sided = world, world.session, sided
        self.name, self.media_type = {1: ("One", ONE_SIDED), 2: ("Two", TWO_SIDED)}[sided]
        for suffix, gives_back in ((" last", False), (" returns last", True)):
            pool = rf"\{self.name}{suffix}"
            self.session.pools.create(
                pool, media_type=self.media_type, max_allocates=1, deallocate_to_free=gives_back, exist_ok=True
            )
        self.pools = {pool.path: pool for pool in self.session.pools.list(recursive=True)}
        self.cells = [
            Cell(trigger, cartridge, f"{number:04}", number % sided)
            for number, (trigger, cartridge) in enumerate(cartridges(sided))
        ]
        for cell in self.cells:
            if cell.trigger.startswith("swap"):
                partner = Cartridge(OWN, (ALLOCATED,) * sided)
                cell.partner = Cell("", partner, f"{cell.barcode} partner", 0)
        self.fill()

    def path(self, place: str) -> str:
        """Return the path of a pool by what the model calls it."""
        return rf"\{TOPS[place]}\{self.media_type}" if place in TOPS else rf"\{self.name}{SUFFIXES[place]}"

    def fill(self) -> None:
        """Put every cartridge on record."""
        groups: dict[tuple[Any, ...], list[Cell]] = {}
        for cell in (*self.cells, *(cell.partner for cell in self.cells if cell.partner)):
            states = tuple(cell.in_order(cell.cartridge.states))
            groups.setdefault((self.path(cell.cartridge.place), states, cell.trigger == "delete offline"), []).append(
                cell
            )
        with builders.behind(self.world.url) as connection:
            for (path, states, shelf), cells in groups.items():
                library = None if shelf else self.world.near
                barcodes = [cell.barcode for cell in cells]
                made = builders.insert_media(connection, self.pools[path], barcodes, *states, library=library)
                for cell, sides in zip(cells, made, strict=True):
                    cell.sides = sides
            connection.execute(sqlalchemy.update(model.Side).values(allocate_count=1))
            rows = connection.execute(sqlalchemy.select(model.Side.id, model.Side.medium_id)).all()
        media = {row.id: row.medium_id for row in rows}
        for cell in self.cells:
            cell.medium = media[cell.side]

    def look(self) -> dict[str, Sides]:
        """Return what is on record of every cartridge, by bar code."""
        columns = (model.PhysicalMedium.barcode, model.Side.pool_id, model.Side.state, model.Side.allocate_count)
        query = (
            sqlalchemy.select(*columns, model.LogicalMedium.id)
            .join_from(model.PhysicalMedium, model.Side, model.Side.medium_id == model.PhysicalMedium.id)
            .outerjoin(model.LogicalMedium, model.LogicalMedium.side_id == model.Side.id)
            .order_by(model.PhysicalMedium.barcode, model.Side.number)
        )
        paths = {pool.id: path for path, pool in self.pools.items()}
        found: dict[str, Sides] = {}
        for barcode, pool, state, count, logical in self.session.read(lambda transaction: transaction.rows(query)):
            found[barcode] = (*found.get(barcode, ()), (paths[pool], State(state), count, logical))
        return found

    def do(self, cell: Cell, held: dict[uuid.UUID, uuid.UUID]) -> ErrorCode:
        """Pull a trigger and return the code it comes back with; `held` is the logical medium of each side."""
        try:
            self.pull(cell, held.get(cell.side, cell.side), held)
        except rsm.RsmError as error:
            return error.code
        return ErrorCode.ERROR_SUCCESS

    def pull(self, cell: Cell, logical: uuid.UUID, held: dict[uuid.UUID, uuid.UUID]) -> None:
        media, (verb, _, how) = self.session.media, cell.trigger.partition(" ")
        if verb in ("identify", "label"):
            seen = {"blank": None, "own label": LabelSeen("MTF", cell.side.bytes)}
            label = seen.get(how, LabelSeen("MTF", uuid.uuid4().bytes))
            record: Any = identification.record_free_label if verb == "label" else identification.record_identity
            self.session.write(record, self.world.near.id, 0, cell.medium, cell.first, label)
        elif verb == "move":
            media.move(cell.medium, self.path(how))
        elif verb == "allocate":
            across = OTHER if cell.cartridge.place == OWN else OWN
            media.allocate(self.path(across if how == "across" else OWN), side=cell.side, new=how == "new")
        elif verb == "next":
            media.allocate(self.path(OWN), next_to=logical)
        elif verb == "swap":
            assert cell.partner is not None
            pair = logical, held[cell.partner.side]
            media.swap(*(pair if how == "first" else pair[::-1]))
        elif verb == "decommission":
            media.decommission(cell.side)
        elif verb == "delete":
            media.delete(cell.medium)
        else:
            getattr(media, verb)(logical)


def logical_media(matrix: Matrix) -> dict[uuid.UUID, uuid.UUID]:
    query = sqlalchemy.select(model.LogicalMedium.side_id, model.LogicalMedium.id)
    return {row.side_id: row.id for row in matrix.session.read(lambda transaction: transaction.rows(query))}


def refusals(matrix: Matrix, cells: list[Cell], held: dict[uuid.UUID, uuid.UUID]) -> list[str]:
    """Pull what must be refused, or change nothing, and return what came back wrong."""
    wrong = []
    for cell in cells:
        expected = cell.outcome if isinstance(cell.outcome, ErrorCode) else ErrorCode.ERROR_SUCCESS
        code = matrix.do(cell, held)
        if code != expected:
            wrong.append(f"{cell}: {code.name}, not {expected.name}")
    return wrong


def expected_sides(matrix: Matrix, cell: Cell, before: Sides, found: Sides) -> Sides:
    """Return what the sides of a cartridge have to be after its trigger; the id of a new logical medium is as found."""
    after = cell.outcome
    assert isinstance(after, Cartridge)
    sides = []
    for number, state in enumerate(cell.in_order(after.states)):
        _, old, count, logical = before[number]
        taken = state is ALLOCATED and old is not ALLOCATED
        if taken:
            logical = found[number][3]
            assert logical is not None
        sides.append((matrix.path(after.place), state, count + taken, logical if state in HELD else None))
    return tuple(sides)


@pytest.fixture
def world(connect: Callable[..., rsm.Session], url: str) -> World:
    return allocating.make_world(connect(worker=False), url)


@pytest.mark.parametrize("sided", [1, 2])
def test_every_state_against_every_trigger(world: World, sided: int) -> None:
    matrix = Matrix(world, sided)
    still = [cell for cell in matrix.cells if cell.changes_nothing]
    moving = [cell for cell in matrix.cells if not cell.changes_nothing]
    assert min(len(still), len(moving)) > 100
    before, held = matrix.look(), logical_media(matrix)
    with nothing_changed(world.url), world.session.transaction():
        assert refusals(matrix, still, held) == []
    with world.session.transaction():
        wrong = [f"{cell}: {code.name}" for cell in moving if (code := matrix.do(cell, held)) != 0]
    assert wrong == []
    found, expected = matrix.look(), dict(before)
    for cell in moving:
        if cell.outcome is None:
            del expected[cell.barcode]
        else:
            expected[cell.barcode] = expected_sides(matrix, cell, before[cell.barcode], found[cell.barcode])
    for cell in (cell for cell in moving if cell.partner):
        assert cell.partner is not None
        trade(expected, cell, cell.partner, before)
    about = {cell.barcode: cell for cell in matrix.cells}
    assert {
        str(about.get(barcode, barcode)): (found.get(barcode), expected.get(barcode))
        for barcode in {*found, *expected}
        if found.get(barcode) != expected.get(barcode)
    } == {}


def trade(expected: dict[str, Sides], cell: Cell, partner: Cell, before: dict[str, Sides]) -> None:
    """Let two sides exchange their logical media."""
    for one, other in ((cell, partner), (partner, cell)):
        sides = list(expected[one.barcode])
        sides[one.first] = (*sides[one.first][:3], before[other.barcode][other.first][3])
        expected[one.barcode] = tuple(sides)


# Taking whatever fits


PICKS = [("", OWN, False), ("", OWN, True), (" draws", FREE, False), (" draws", FREE, True)]


def picked_clean(cartridge: Cartridge, new: bool) -> tuple[bool, list[State]]:
    """Return whether allocating until nothing is left takes of a cartridge, and what its sides are then."""
    whole = set(cartridge.states) == {AVAILABLE}
    if AVAILABLE not in cartridge.states or (new and not whole):
        return False, list(cartridge.states)
    if cartridge.place == FREE and UNPREPARED in cartridge.states:
        return False, list(cartridge.states)
    if new:
        return True, [ALLOCATED, *(RESERVED for _ in cartridge.others)]
    return True, [ALLOCATED if state is AVAILABLE else state for state in cartridge.states]


def allocate_all(world: World, pool: str, new: bool) -> list[rsm.LogicalMedium]:
    """Allocate until nothing is left."""
    taken: list[rsm.LogicalMedium] = []
    while len(taken) < 1_000:
        try:
            taken.append(world.session.media.allocate(pool, new=new, timeout_ms=0))
        except rsm.TimeoutError:
            break
    return taken


@pytest.mark.parametrize("sided", [1, 2])
def test_allocations_take_all_that_fits_and_nothing_else(world: World, sided: int) -> None:
    name, media_type = {1: ("One", ONE_SIDED), 2: ("Two", TWO_SIDED)}[sided]
    for suffix, place, new in PICKS:
        among = State if place == OWN or sided == 1 else BESIDE[FREE]
        media = {
            f"{number:04}": Cartridge(place, states)
            for number, states in enumerate(itertools.product(among, repeat=sided))
        }
        path, source = rf"\{name}{suffix}", rf"\Free\{media_type}" if place == FREE else rf"\{name}"
        with world.case((suffix, new)):
            pool = world.session.pools.get(source)
            with builders.behind(world.url) as connection:
                for barcode, cartridge in media.items():
                    builders.insert_media(connection, pool, [barcode], *cartridge.states, library=world.near)
            taken = allocate_all(world, path, new)
            with nothing_changed(world.url), refused(rsm.TimeoutError):
                world.session.media.allocate(path, new=new, timeout_ms=0)
            expected = {barcode: picked_clean(cartridge, new) for barcode, cartridge in media.items()}
            assert {world.barcode_of(each) for each in taken} == {code for code, (fits, _) in expected.items() if fits}
            for barcode, (fits, states) in expected.items():
                found = world.states(barcode)
                if fits and new:  # either side may be the one that is kept
                    found, states = sorted(found), sorted(states)
                assert found == states, media[barcode]
                assert world.pool_of(barcode) == (path if fits else source)


# Being recorded


def test_a_cartridge_is_recorded_in_any_state_in_import_and_application_pools_only(world: World) -> None:
    create, recorded = world.session.media.create, []
    for name, media_type, sided in (("One", ONE_SIDED, 1), ("Two", TWO_SIDED, 2)):
        media = [[builders.side(0, state), builders.side(1, AVAILABLE)][:sided] for state in State]
        with nothing_changed(world.url):
            for path, sides in itertools.product((rf"\Free\{media_type}", rf"\Unrecognized\{media_type}"), media):
                with refused(rsm.InvalidMediaPoolError):
                    create(path, sides, barcode="R1")
        with world.session.transaction():
            for path, sides in itertools.product((rf"\Import\{media_type}", rf"\{name}"), media):
                recorded.append((path, sides, create(path, sides).id))
    for path, sides, medium in recorded:
        found = world.session.media.sides(medium)
        assert [side.state for side in found] == [side.state for side in sides]
        assert [side.logical_medium is not None for side in found] == [side.state in HELD for side in sides]
        assert {world.session.pools.path(side.pool) for side in found} == {path}
