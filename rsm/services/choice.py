"""Which side an allocation would get now, and why it would not get the others.

It only looks. The order: sides of the pool itself, then, where its policy says so, those of the free pool of its media
type; of each, first what is in a drive and in nobody's use, then what is in a library that this host has a path to,
then what is in other libraries. Each step is one range of the index of available sides, which ends at the first side
that fits, however many there are.
"""

import enum
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, exists, literal_column, or_, select, text
from sqlalchemy.orm import aliased

from rsm import identity, values
from rsm.constants import NTMS_ALLOCATE_FROMSCRATCH, NtmsPartitionState, NtmsPoolType
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction
from rsm.errors import InvalidMediaPoolError
from rsm.model import AVAILABLE, Id, Int, Library, MediaPool, Mount, PhysicalMedium, Side
from rsm.security import AccessEra, AccessRights, Caller, allows, need
from rsm.services import access
from rsm.services.objects import Reference
from rsm.services.pools import APPLICATION, Pool, get_pool
from rsm.services.reach import OWN_PATH, REACHED

State = NtmsPartitionState
_POOL = bindparam("pool", type_=Id())
_Other = aliased(Side)
_UNPREPARED = int(State.NTMS_PARTSTATE_UNPREPARED)


class Rank(enum.IntEnum):
    """How a side is preferred; those of the free pool come `FROM_FREE` later."""

    IN_A_DRIVE = 1
    REACHABLE = 2
    ELSEWHERE = 3


FROM_FREE = len(Rank)


@dataclass(frozen=True, slots=True)
class Choice:
    """A side that can be allocated now."""

    side_id: uuid.UUID
    pool_id: uuid.UUID
    rank: int


@dataclass(frozen=True, slots=True)
class Place:
    """A library as a choice sees it."""

    enabled: bool
    reachable: bool


# The pools

_FREE_POOL = select(MediaPool.id).where(
    MediaPool.media_type_id == bindparam("media_type", type_=Id()),
    MediaPool.pool_type == int(NtmsPoolType.NTMS_POOLTYPE_SCRATCH),
)


def get_destination(transaction: Transaction, reference: Reference) -> Pool:
    """Return the application pool of media with this id or path.

    Raises:
        InvalidMediaPoolError: there is no such pool, or it is none of an application, or holds pools.
    """
    pool = get_pool(transaction, reference)
    if pool.pool_type is not APPLICATION or pool.media_type_id is None:
        raise InvalidMediaPoolError(f"{pool.path} is no application pool of media: nothing is allocated from it")
    return pool


def draws_from_free(pool: Pool) -> bool:
    """Tell whether a pool's policy lets it draw from the free pool."""
    return bool(pool.row.allocation_policy & int(NTMS_ALLOCATE_FROMSCRATCH))


def find_free_pool(transaction: Transaction, media_type_id: uuid.UUID) -> uuid.UUID | None:
    """Return the id of the free pool of a media type, None if no library ever took the type."""
    row = transaction.row(_FREE_POOL, media_type=media_type_id)
    return None if row is None else row.id


def rights_on_source(transaction: Transaction, call: str, pool: Pool) -> AccessRights:
    """Return what is needed on a pool that a cartridge leaves for another, or goes to: use of a free one is enough."""
    free = pool.pool_type is NtmsPoolType.NTMS_POOLTYPE_SCRATCH
    era = transaction.policy.access_era
    return AccessRights.USE if free and era is AccessEra.SERVER_2003 else need(call, era).pool


# Picking

_PLACES = select(Library.id, Library.enabled, REACHED.label("reachable")).where(Library.online == 1)


def in_use(side_id: Any) -> ColumnElement[bool]:
    """Return whether a side is in a drive and its application is not done with it."""
    return exists().where(Mount.side_id == side_id, Mount.dismountable_from.is_(None))


def _found(statement: Select[Any]) -> ColumnElement[Any]:
    # As a scalar, so that no planner turns it into a join and then sorts all that an index has in order.
    return statement.limit(1).scalar_subquery()


_ONE: ColumnElement[int] = literal_column("1")
_WAITS_IN_DRIVE = select(_ONE).where(Mount.side_id == Side.id, Mount.dismountable_from.is_not(None)).correlate(Side)
_OTHERS = select(_ONE).where(_Other.medium_id == Side.medium_id, _Other.id != Side.id).correlate(Side)
_OTHER_IN_USE = _OTHERS.where(in_use(_Other.id))
_OTHER_UNPREPARED = _OTHERS.where(_Other.state == _UNPREPARED)
_OTHER_TAKEN = _OTHERS.where(or_(_Other.state != AVAILABLE, _Other.enabled == 0))


def _fitting_place(by_path: bool) -> ColumnElement[Any]:
    place = (
        select(_ONE)
        .select_from(PhysicalMedium)
        .join(Library, Library.id == PhysicalMedium.library_id)
        .where(PhysicalMedium.id == Side.medium_id, PhysicalMedium.enabled == 1, Library.enabled == 1)
    )
    return _found((place.where(OWN_PATH) if by_path else place).correlate(Side))


@cache
def _select_pick(mounted: bool, by_path: bool, whole: bool, drawn: bool) -> Select[Any]:
    """Select the first side that fits: of a cartridge nobody else has a side of (`whole`), of a free one (`drawn`)."""
    statement = select(Side.id).where(
        Side.pool_id == _POOL,
        Side.mounted == int(mounted),
        # Not "= 1": then a server might walk all sides by id, past any number that are taken, to save an index.
        Side.online >= 1,
        # Spelled as the index spells it, without parameters, or no planner sees that the index serves.
        text(f"side.state = {AVAILABLE} AND side.enabled = 1"),
        _fitting_place(by_path).is_not(None),
    )
    if mounted:
        statement = statement.where(_found(_WAITS_IN_DRIVE).is_not(None))
    if whole or drawn:
        statement = statement.where(_found(_OTHER_IN_USE).is_(None))
    if whole:
        statement = statement.where(_found(_OTHER_TAKEN).is_(None))
    elif drawn:
        statement = statement.where(_found(_OTHER_UNPREPARED).is_(None))
    return statement.order_by(Side.online, Side.id).limit(1)


def read_places(transaction: Transaction) -> dict[uuid.UUID, Place]:
    """Return the libraries that are no shelf."""
    return {row.id: Place(row.enabled, bool(row.reachable)) for row in transaction.rows(_PLACES, host=identity.host())}


def _steps(places: Mapping[uuid.UUID, Place]) -> list[tuple[Rank, bool]]:
    """Return the ranks to be looked for in turn, and for each whether the paths of this host matter."""
    reachable = {place.reachable for place in places.values() if place.enabled}
    steps: list[tuple[Rank, bool]] = []
    if reachable == {True}:
        steps = [(Rank.IN_A_DRIVE, False), (Rank.REACHABLE, False)]
    elif reachable == {False}:
        steps = [(Rank.IN_A_DRIVE, False), (Rank.ELSEWHERE, False)]
    elif reachable:
        in_drives = [(Rank.IN_A_DRIVE, True), (Rank.IN_A_DRIVE, False)]
        steps = [*in_drives, (Rank.REACHABLE, True), (Rank.ELSEWHERE, False)]
    return steps


def pick_side(
    transaction: Transaction, pool: Pool, free_pool_id: uuid.UUID | None, *, whole: bool = False
) -> Choice | None:
    """Return the side that an allocation from a pool gets now, None if there is none.

    `free_pool_id` is the free pool if the pool draws from it. `whole`: no side of the cartridge may be anybody's.
    """
    steps = _steps(read_places(transaction))
    for source in (pool.id, free_pool_id):
        if source is None:
            continue
        drawn = source == free_pool_id
        for rank, by_path in steps:
            statement = _select_pick(rank is Rank.IN_A_DRIVE, by_path, whole, drawn)
            row = transaction.row(statement, pool=source, host=identity.host())
            if row is not None:
                return Choice(row.id, source, rank + FROM_FREE * drawn)
    return None


def would_allocate(transaction: Transaction, pool: Pool, *, whole: bool = False) -> bool:
    """Tell whether an allocation from a pool would get a side now, whoever asks."""
    return pick_side(transaction, pool, _source_of_draws(transaction, pool), whole=whole) is not None


def _source_of_draws(transaction: Transaction, pool: Pool) -> uuid.UUID | None:
    assert pool.media_type_id is not None, "a pool of media has a media type"
    return find_free_pool(transaction, pool.media_type_id) if draws_from_free(pool) else None


# Explaining

CANDIDATES = 1_000
Cursor = tuple[uuid.UUID, uuid.UUID]  # the pool and the last side of a page

_FACTS = select(
    Side.id,
    Side.number,
    Side.state,
    Side.enabled,
    Side.online,
    Side.mounted,
    Side.pool_id,
    Side.medium_id,
    PhysicalMedium.name,
    PhysicalMedium.barcode,
    PhysicalMedium.library_id,
    PhysicalMedium.enabled.label("medium_enabled"),
    _found(_WAITS_IN_DRIVE).label("waits_in_drive"),
    _found(_OTHER_IN_USE).label("other_in_use"),
    _found(_OTHER_UNPREPARED).label("other_unprepared"),
    _found(_OTHER_TAKEN).label("other_taken"),
).join(PhysicalMedium, PhysicalMedium.id == Side.medium_id)
_PAGE = (
    _FACTS.where(Side.pool_id == _POOL, Side.id > bindparam("after", type_=Id()))
    .order_by(Side.id)
    .limit(bindparam("most", type_=Int()))
)
_ONE_SIDE = _FACTS.where(Side.id == bindparam("id", type_=Id()))

_STATES = {
    State.NTMS_PARTSTATE_UNKNOWN: "nothing is known of the side yet",
    State.NTMS_PARTSTATE_UNPREPARED: "no free label yet",
    State.NTMS_PARTSTATE_INCOMPATIBLE: "the media type does not fit its library",
    State.NTMS_PARTSTATE_DECOMMISSIONED: "decommissioned, never allocated again",
    State.NTMS_PARTSTATE_ALLOCATED: "allocated",
    State.NTMS_PARTSTATE_COMPLETE: "allocated and complete",
    State.NTMS_PARTSTATE_FOREIGN: "unrecognized data",
    State.NTMS_PARTSTATE_IMPORT: "to be imported, by naming the side",
    State.NTMS_PARTSTATE_RESERVED: "reserved for whoever holds the other side",
}
_PLACED = {
    Rank.IN_A_DRIVE: "in a drive already, in nobody's use",
    Rank.REACHABLE: "online, and this host has a path to its library",
    Rank.ELSEWHERE: "online, but this host has no path to its library",
}


def explain_choice(
    transaction: Transaction,
    caller: Caller,
    reference: Reference,
    *,
    whole: bool = False,
    after: Cursor | None = None,
    most: int = CANDIDATES,
) -> tuple[list[values.Candidate], Cursor | None]:
    """Return one page of the sides that an allocation looks at, the chosen one first on the first page, and its end.

    The rest comes in the order of ids, the pool's own sides before those of the free pool. Free media are left out for
    a caller who may not read the free pool, and are never chosen for one who may not draw from it.

    Raises:
        InvalidMediaPoolError: there is no such pool, or it is no application pool of media.
        AccessDeniedError: no use right on the pool.
    """
    pool = get_destination(transaction, reference)
    reading = need("GetNtmsObjectInformation", transaction.policy.access_era).on(Kind.NTMS_MEDIA_POOL)
    access.demand(transaction, caller, reading, pool.guard, f"pool {pool.path}")
    sources, may_draw = [pool.id], False
    free_pool_id = _source_of_draws(transaction, pool)
    if free_pool_id is not None:
        free = get_pool(transaction, free_pool_id)
        drawing = rights_on_source(transaction, "AllocateNtmsMedia", free)
        may_draw = allows(caller, transaction.policy, free.guard, drawing)
        if allows(caller, transaction.policy, free.guard, reading):
            sources.append(free_pool_id)
    places = read_places(transaction)
    found: list[values.Candidate] = []
    chosen = None
    if after is None:
        chosen = pick_side(transaction, pool, free_pool_id if may_draw else None, whole=whole)
        if chosen is not None:
            row = transaction.one(_ONE_SIDE, "a side it just found", id=chosen.side_id)
            found.append(_candidate(row, chosen.rank, f"chosen: {_placed(chosen.rank)}", chosen=True))
    rows = _read_page(transaction, sources, after, most)
    for row in rows:
        if chosen is None or row.id != chosen.side_id:
            drawn = row.pool_id == free_pool_id
            rank, reason = _judge(row, places, whole, drawn, may_draw)
            found.append(_candidate(row, rank, reason))
    return found, (rows[-1].pool_id, rows[-1].id) if len(rows) == most else None


def _read_page(transaction: Transaction, sources: Sequence[uuid.UUID], after: Cursor | None, most: int) -> list[Any]:
    rows: list[Any] = []
    begun = after is None
    for source in sources:
        begun = begun or (after is not None and after[0] == source)
        if begun and len(rows) < most:
            last = after[1] if after is not None and after[0] == source else uuid.UUID(int=0)
            rows += transaction.rows(_PAGE, pool=source, after=last, most=most - len(rows))
    return rows


def _judge(
    row: Any, places: Mapping[uuid.UUID, Place], whole: bool, drawn: bool, may_draw: bool
) -> tuple[int | None, str]:
    """Return how a side that was not chosen is preferred, and why it was passed over."""
    obstacle = _obstacle(row, places.get(row.library_id), whole, drawn, may_draw)
    if obstacle is not None:
        return None, obstacle
    rank = Rank.REACHABLE if places[row.library_id].reachable else Rank.ELSEWHERE
    if row.mounted:
        rank = Rank.IN_A_DRIVE
    counted = rank + FROM_FREE * drawn
    return counted, f"later in order: {_placed(counted)}"


def _placed(rank: int) -> str:
    drawn = rank > FROM_FREE
    return _PLACED[Rank(rank - FROM_FREE * drawn)] + (", in the free pool" if drawn else "")


def _obstacle(row: Any, place: Place | None, whole: bool, drawn: bool, may_draw: bool) -> str | None:
    obstacles: list[tuple[bool, str]] = [
        (row.state != AVAILABLE, _STATES.get(row.state, "in a state that means nothing")),
        (not row.enabled, "the side is disabled"),
        (not row.medium_enabled, "the cartridge is disabled"),
        (not row.online or place is None, "offline"),
        (place is not None and not place.enabled, "its library is disabled"),
        (row.mounted and not row.waits_in_drive, "in use"),
        ((whole or drawn) and bool(row.other_in_use), "the other side is in use"),
        (whole and bool(row.other_taken), "the other side is not available"),
        (drawn and bool(row.other_unprepared), "the other side has no free label yet"),
        (drawn and not may_draw, "no right to draw from the free pool"),
    ]
    return next((reason for applies, reason in obstacles if applies), None)


def _candidate(row: Any, rank: int | None, reason: str, *, chosen: bool = False) -> values.Candidate:
    return values.Candidate(
        medium=row.medium_id,
        name=row.name,
        barcode=row.barcode,
        side=row.id,
        number=row.number,
        pool=row.pool_id,
        rank=rank,
        chosen=chosen,
        reason=reason,
    )
