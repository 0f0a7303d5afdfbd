"""Who holds which side: allocating, giving back, completing, decommissioning, swapping, and recording new labels.

It changes records only: it moves no cartridge and waits for nobody. A cartridge that goes back to the free pool is
queued for a free label by the move. Which side is taken is the choice's business.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from sqlalchemy import bindparam, delete, exists, select
from sqlalchemy.orm import aliased

from rsm import values
from rsm.constants import (
    NTMS_DEALLOCATE_TOSCRATCH,
    NtmsOperationalState,
    NtmsOpreqCommand,
    NtmsOpreqState,
    NtmsPartitionState,
)
from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction, new_id
from rsm.errors import (
    BadFormatError,
    BusyError,
    DeviceNotAvailableError,
    InvalidMediaError,
    InvalidMediaPoolError,
    InvalidParameterError,
    InvalidStateError,
    MediaOfflineError,
    MediaUnavailableError,
    NotSupportedError,
)
from rsm.model import Id, LogicalMedium, Mount, PhysicalMedium, Side
from rsm.security import Caller, need
from rsm.services import access, events, operators, queue, sessions
from rsm.services.choice import (
    draws_from_free,
    find_free_pool,
    get_destination,
    in_use,
    pick_side,
    rights_on_source,
    would_allocate,
)
from rsm.services.media import MAXIMUM_LABEL_ID_BYTES
from rsm.services.moving import relocate
from rsm.services.names import check_label_info, check_label_type
from rsm.services.objects import Reference, find
from rsm.services.pools import Pool, get_pool, look_up
from rsm.services.properties import delete_object, insert_object, write_fields
from rsm.services.reach import is_elsewhere
from rsm.statements import insert_row

State = NtmsPartitionState
_AVAILABLE, _ALLOCATED, _RESERVED = (
    State.NTMS_PARTSTATE_AVAILABLE,
    State.NTMS_PARTSTATE_ALLOCATED,
    State.NTMS_PARTSTATE_RESERVED,
)
_HELD = (_ALLOCATED, State.NTMS_PARTSTATE_COMPLETE)
_ID = bindparam("id", type_=Id())
_Other = aliased(Side)

# Reading what a decision needs

_CARTRIDGE_IN_USE = exists().where(
    _Other.medium_id == Side.medium_id, Mount.side_id == _Other.id, Mount.dismountable_from.is_(None)
)
_SIDE_COLUMNS = (
    Side.id,
    Side.number,
    Side.name,
    Side.state,
    Side.enabled,
    Side.online,
    Side.allocate_count,
    Side.medium_id,
    Side.pool_id,
    Side.label_type,
    Side.label_id,
    Side.label_info,
    Side.label_written_by_us,
    PhysicalMedium.name.label("medium_name"),
    PhysicalMedium.media_type_id,
    PhysicalMedium.enabled.label("medium_enabled"),
    in_use(Side.id).label("in_use"),
    _CARTRIDGE_IN_USE.label("cartridge_in_use"),
)
_SIDES = select(*_SIDE_COLUMNS).join(PhysicalMedium, PhysicalMedium.id == Side.medium_id)
_SIDE = _SIDES.where(Side.id == _ID)
_SIDES_OF_MEDIUM = _SIDES.where(Side.medium_id == _ID).order_by(Side.number)
_LOGICAL_MEDIUM = select(*LogicalMedium.__table__.columns).where(LogicalMedium.id == _ID)
_HELD_OF_MEDIUM = (
    select(LogicalMedium.id)
    .join(Side, Side.id == LogicalMedium.side_id)
    .where(Side.medium_id == _ID)
    .order_by(LogicalMedium.id)
)


def _find_side(transaction: Transaction, reference: Reference) -> Any:
    if isinstance(reference, uuid.UUID):
        row = transaction.row(_SIDE, id=reference)
        if row is None:
            raise InvalidMediaError(f"there is no side with id {reference}")
        return row
    medium_id = find(transaction, Kind.NTMS_PHYSICAL_MEDIA, reference)
    if medium_id is None:
        raise InvalidMediaError(f"there is no cartridge called {reference!a}")
    sides = transaction.rows(_SIDES_OF_MEDIUM, id=medium_id)
    if len(sides) != 1:
        raise InvalidParameterError(f"cartridge {reference!a} has {len(sides)} sides: name one by its id")
    return sides[0]


def find_logical(transaction: Transaction, reference: Reference) -> uuid.UUID:
    """Return the id of a logical medium; a text is the bar code or name of a cartridge that carries exactly one.

    Raises:
        InvalidMediaError: there is no such logical medium, or no such cartridge, or it carries none.
        InvalidParameterError: the text names several.
    """
    if isinstance(reference, uuid.UUID):
        held: uuid.UUID = _read_logical(transaction, reference).id
        return held
    medium_id = find(transaction, Kind.NTMS_PHYSICAL_MEDIA, reference)
    if medium_id is None:
        raise InvalidMediaError(f"there is no cartridge called {reference!a}")
    found: list[uuid.UUID] = [row.id for row in transaction.rows(_HELD_OF_MEDIUM, id=medium_id)]
    if not found:
        raise InvalidMediaError(f"cartridge {reference!a} carries no logical medium: nobody allocated it")
    if len(found) > 1:
        raise InvalidParameterError(f"cartridge {reference!a} carries {len(found)} logical media: use the id of one")
    return found[0]


def _read_logical(transaction: Transaction, reference: Reference) -> Any:
    if not isinstance(reference, uuid.UUID):
        return transaction.one(_LOGICAL_MEDIUM, "a logical medium", id=find_logical(transaction, reference))
    row = transaction.row(_LOGICAL_MEDIUM, id=reference)
    if row is None:
        raise InvalidMediaError(f"there is no logical medium with id {reference}")
    return row


class _Held:
    """One logical medium as a decision sees it: its row, the side behind it, and the pool."""

    def __init__(self, transaction: Transaction, reference: Reference) -> None:
        self.row = _read_logical(transaction, reference)
        self.id: uuid.UUID = self.row.id
        side = transaction.row(_SIDE, id=self.row.side_id)
        if side is None:  # ERROR_INVALID_PARTITION in the documents, which has no number of its own
            raise InvalidMediaError(f"the side behind logical medium {self.id} is not on record: run rsm db check")
        self.side = side
        self.pool = _pool_of(transaction, self.side)


def _pool_of(transaction: Transaction, side: Any) -> Pool:
    pool = look_up(transaction, side.pool_id)
    if pool is None:
        raise InvalidMediaPoolError(f"the pool of cartridge {side.medium_name!a} is not on record: run rsm db check")
    return pool


def _demand(transaction: Transaction, caller: Caller, call: str, pool: Pool) -> None:
    rights = need(call, transaction.policy.access_era).pool
    access.demand(transaction, caller, rights, pool.guard, f"pool {pool.path}")


def _set_state(transaction: Transaction, call: str, side: Any, state: State, **more: int) -> None:
    old = {"state": side.state, **{name: getattr(side, name) for name in more}}
    write_fields(transaction, Kind.NTMS_PARTITION, side.id, call, old, {"state": int(state), **more})


# Allocating

_ALLOCATE = "AllocateNtmsMedia"
_INSERT_LOGICAL = insert_row(LogicalMedium)


def allocate(
    transaction: Transaction,
    caller: Caller,
    pool: Reference,
    *,
    side: Reference | None = None,
    new: bool = False,
    next_to: Reference | None = None,
    request_id: uuid.UUID | None = None,
) -> values.Allocation:
    """Take a side for an application and return the logical medium (AllocateNtmsMedia; MS-RSMP 3.2.5.2.2.3).

    `side` names one, also one to be imported; `new` keeps the other side of the cartridge for the same application;
    `next_to` takes the side so kept. A cartridge of another pool moves here in the same step. `request_id` is the
    operator request that is not needed any more once this succeeds.

    Raises:
        InvalidParameterError: `new` and `next_to` are given.
        InvalidMediaPoolError: there is no such pool, or it is no application pool of media.
        AccessDeniedError: the right on the pool is missing.
        InvalidMediaError: there is no such logical medium or side, it does not belong here, or the state or media type
            of the side does not let it be allocated.
        AccessDeniedError: the right on the pool that the cartridge comes from is missing.
        MediaOfflineError: the side asked for is on the shelf.
        MediaUnavailableError: the side asked for is in use or out of service, all sides are taken, or there is nothing
            to be had now.
        DeviceNotAvailableError: there is nothing, and the free pool to draw from is missing.
    """
    if new and next_to is not None:
        raise InvalidParameterError("a new cartridge and the next side of one exclude each other")
    target = get_destination(transaction, pool)
    _demand(transaction, caller, _ALLOCATE, target)
    if next_to is not None:
        taken = _next_side(transaction, target, next_to, side)
    elif side is not None:
        taken = _named_side(transaction, caller, target, side, new)
    else:
        taken = _picked_side(transaction, caller, target, new)
    source_pool: uuid.UUID = taken.pool_id
    if source_pool != target.id:
        sides = transaction.rows(_SIDES_OF_MEDIUM, id=taken.medium_id)
        relocate(transaction, _ALLOCATE, _medium_of(taken), target, sides)
    _set_state(transaction, _ALLOCATE, taken, _ALLOCATED, allocate_count=taken.allocate_count + 1)
    if new and taken.state == _AVAILABLE:
        for other in transaction.rows(_SIDES_OF_MEDIUM, id=taken.medium_id):
            if other.id != taken.id and other.state == _AVAILABLE:
                _set_state(transaction, _ALLOCATE, other, _RESERVED)
    logical = _insert_logical(transaction, caller, taken, target.id)
    if request_id is not None:
        operators.delete_request(transaction, request_id)
    return values.Allocation(logical_medium=logical, source_pool=source_pool)


def _medium_of(side: Any) -> Any:
    return SimpleNamespace(id=side.medium_id, pool_id=side.pool_id, media_type_id=side.media_type_id)


def _picked_side(transaction: Transaction, caller: Caller, target: Pool, new: bool) -> Any:
    assert target.media_type_id is not None, "a pool of media has a media type"
    draws = draws_from_free(target)
    free_pool_id = find_free_pool(transaction, target.media_type_id) if draws else None
    choice = pick_side(transaction, target, free_pool_id, whole=new)
    if choice is None:
        if draws and free_pool_id is None:
            raise DeviceNotAvailableError(f"{target.path} draws on a free pool that is not there: no library takes it")
        raise MediaUnavailableError(f"{target.path} has no media to allocate now: rsm media why tells the reasons")
    if choice.pool_id != target.id:
        free = get_pool(transaction, choice.pool_id)
        rights = rights_on_source(transaction, _ALLOCATE, free)
        access.demand(transaction, caller, rights, free.guard, f"pool {free.path}")
    return transaction.one(_SIDE, "a side it just found", id=choice.side_id)


def _next_side(transaction: Transaction, target: Pool, next_to: Reference, wanted: Reference | None) -> Any:
    held = _read_logical(transaction, next_to)
    first = transaction.one(_SIDE, "the side of a logical medium", id=held.side_id)
    if first.pool_id != target.id:
        raise InvalidMediaError(f"cartridge {first.medium_name!a} is not in {target.path}: its next side is not either")
    sides = transaction.rows(_SIDES_OF_MEDIUM, id=first.medium_id)
    if wanted is not None:
        asked = _find_side(transaction, wanted)
        if asked.medium_id != first.medium_id or asked.id == first.id:
            raise InvalidMediaError(f"side {asked.id} is not the next one of cartridge {first.medium_name!a}")
        sides = [asked]
    reserved = [side for side in sides if side.state == _RESERVED]
    if not reserved:
        raise MediaUnavailableError(f"cartridge {first.medium_name!a} has no side left that is kept")
    _check_at_hand(reserved[0])
    return reserved[0]


def _named_side(transaction: Transaction, caller: Caller, target: Pool, reference: Reference, new: bool) -> Any:
    side = _find_side(transaction, reference)
    if side.pool_id != target.id:
        source = _pool_of(transaction, side)
        rights = rights_on_source(transaction, _ALLOCATE, source)
        access.demand(transaction, caller, rights, source.guard, f"pool {source.path}")
    # The list of results has no ERROR_MEDIA_INCOMPATIBLE; ERROR_INVALID_MEDIA is its word for an unsuitable side.
    if side.media_type_id != target.media_type_id:
        raise InvalidMediaError(f"cartridge {side.medium_name!a} is not of the media type of {target.path}")
    if side.state not in (_AVAILABLE, State.NTMS_PARTSTATE_IMPORT):
        raise InvalidMediaError(f"side {side.number + 1} of cartridge {side.medium_name!a} is {_spoken(side.state)}")
    _check_at_hand(side)
    others = [other for other in transaction.rows(_SIDES_OF_MEDIUM, id=side.medium_id) if other.id != side.id]
    if side.pool_id != target.id:
        _check_may_leave(side, others)
    if new and side.state == _AVAILABLE and any(other.state != _AVAILABLE for other in others):
        raise InvalidMediaError(f"the other side of cartridge {side.medium_name!a} is not available: it is shared")
    return side


def _check_at_hand(side: Any) -> None:
    if not side.online:
        raise MediaOfflineError(f"cartridge {side.medium_name!a} is on the shelf: insert it first")
    if not side.enabled or not side.medium_enabled:
        raise MediaUnavailableError(f"cartridge {side.medium_name!a}, or this side of it, is disabled")
    if side.in_use:
        raise MediaUnavailableError(f"side {side.number + 1} of cartridge {side.medium_name!a} is in use")


def _check_may_leave(side: Any, others: list[Any]) -> None:
    states = {other.state for other in others}
    if states & {*_HELD, _RESERVED}:
        raise InvalidMediaError(f"the other side of cartridge {side.medium_name!a} is somebody's: it stays in its pool")
    if side.cartridge_in_use:
        raise MediaUnavailableError(f"the other side of cartridge {side.medium_name!a} is in use")
    if State.NTMS_PARTSTATE_UNPREPARED in states:
        raise MediaUnavailableError(f"the other side of cartridge {side.medium_name!a} has no free label yet")


def _spoken(state: int) -> str:
    return State(state).name.removeprefix("NTMS_PARTSTATE_")


def _insert_logical(transaction: Transaction, caller: Caller, side: Any, pool_id: uuid.UUID) -> values.LogicalMedium:
    """Store the logical medium of a side, with its event, and return it as reading it would."""
    head: dict[str, Any] = {"id": new_id(), "created": transaction.now, "modified": transaction.now}
    told: dict[str, Any] = {"name": side.name, "description": "", "enabled": True}
    told["application"] = transaction.origin.application
    fields = {"side_id": side.id, **told, "user_name": caller.user}
    state = NtmsOperationalState.NTMS_READY
    insert_object(transaction, Kind.NTMS_LOGICAL_MEDIA, head["id"])
    transaction.change(_INSERT_LOGICAL, **head, operational_state=int(state), **fields)
    events.record(transaction, _ALLOCATE, Operation.NTMS_OBJ_INSERT, Kind.NTMS_LOGICAL_MEDIA, head["id"], after=fields)
    places: dict[str, Any] = {"pool": pool_id, "side": side.id, "sides": 1, "medium": side.medium_id}
    return values.LogicalMedium(**head, operational_state=state, **told, **places, user=caller.user)


# Waiting for media


@dataclass(frozen=True, slots=True)
class Outlook:
    """What somebody who waits for media sees: whether an allocation would succeed, and what is under way."""

    pool: str
    would_allocate: bool
    labelling: bool
    request_state: NtmsOpreqState | None


def look_around(transaction: Transaction, pool: Reference, new: bool, request_id: uuid.UUID | None) -> Outlook:
    """Return what there is to be had from a pool, and how far an operator request is.

    Raises:
        InvalidMediaPoolError: there is no such pool any more, or it is no application pool of media.
    """
    target = get_destination(transaction, pool)
    assert target.media_type_id is not None, "a pool of media has a media type"
    would = would_allocate(transaction, target, whole=new)
    labelling = not would and draws_from_free(target) and queue.is_labelling(transaction, target.media_type_id)
    state = None if request_id is None else operators.read_state(transaction, request_id)
    return Outlook(target.path, would, labelling, state)


def ask_for_media(
    transaction: Transaction,
    caller: Caller,
    pool: Reference,
    enrolment: sessions.Enrolment,
    new: bool,
    asked: list[uuid.UUID],
) -> uuid.UUID | None:
    """Ask an operator for new media and return the request; None if media have turned up meanwhile.

    The id is put into `asked` before anything can interrupt, so that the asker can always withdraw.
    """
    target = get_destination(transaction, pool)
    if would_allocate(transaction, target, whole=new):
        return None
    sessions.enrol(transaction, enrolment)
    request_id = operators.insert_request(
        transaction,
        NtmsOpreqCommand.NTMS_OPREQ_NEWMEDIA,
        message=f"new media for the pool {target.path} are needed",
        argument1=(Kind.NTMS_MEDIA_POOL, target.id),
        caller_user=caller.user,
        session_id=enrolment.id,
    )
    asked.append(request_id)
    return request_id


# Giving back

_DEALLOCATE = "DeallocateNtmsMedia"


def deallocate(transaction: Transaction, caller: Caller, logical_medium: Reference) -> None:
    """Give a side back and forget its logical medium (DeallocateNtmsMedia; MS-RSMP 3.2.5.2.2.4).

    The side becomes available, or decommissioned once it was allocated as often as the pool lets it. A side kept for
    the application becomes available with the last one that it held. A pool that gives back to the free pool does so
    once every side of the cartridge is available: one that is held, to be imported, unrecognized or decommissioned
    keeps the cartridge where it is, and so does a media type without a free pool.

    Raises:
        InvalidMediaError, InvalidParameterError: there is no such logical medium, or the text names several.
        InvalidMediaPoolError: its pool is gone.
        AccessDeniedError: the right on the pool is missing.
        InvalidStateError: the side is mounted, or its cartridge is to become free and its other side is mounted.
        AccessDeniedError: the right on the free pool that it goes to is missing.
    """
    held = _Held(transaction, logical_medium)
    side, pool = held.side, held.pool
    _demand(transaction, caller, _DEALLOCATE, pool)
    if side.in_use:
        raise InvalidStateError(f"cartridge {side.medium_name!a} is mounted: dismount it first")
    sides = transaction.rows(_SIDES_OF_MEDIUM, id=side.medium_id)
    most = pool.row.max_allocates
    used_up = 0 < most <= side.allocate_count
    states = {side.id: State.NTMS_PARTSTATE_DECOMMISSIONED if used_up else _AVAILABLE}
    others = [other for other in sides if other.id != side.id]
    if not any(other.state in _HELD for other in others):
        states.update({other.id: _AVAILABLE for other in others if other.state == _RESERVED})
    free = (
        _free_pool_for(transaction, pool)
        if all(states.get(each.id, each.state) == _AVAILABLE for each in sides)
        else None
    )
    if free is not None:
        if side.cartridge_in_use:
            raise InvalidStateError(f"the other side of cartridge {side.medium_name!a} is mounted: dismount it first")
        rights = rights_on_source(transaction, _DEALLOCATE, free)
        access.demand(transaction, caller, rights, free.guard, f"pool {free.path}")
    _delete_logical(transaction, held)
    if free is not None:
        relocate(transaction, _DEALLOCATE, _medium_of(side), free, sides)
        return
    for each in sides:
        if each.id in states:
            _set_state(transaction, _DEALLOCATE, each, states[each.id])


def _free_pool_for(transaction: Transaction, pool: Pool) -> Pool | None:
    if not pool.row.deallocation_policy & int(NTMS_DEALLOCATE_TOSCRATCH) or pool.media_type_id is None:
        return None
    free_pool_id = find_free_pool(transaction, pool.media_type_id)
    return None if free_pool_id is None else get_pool(transaction, free_pool_id)


def _delete_logical(transaction: Transaction, held: _Held) -> None:
    delete_object(transaction, held.id)
    before = {name: getattr(held.row, name) for name in ("name", "side_id", "application", "user_name")}
    events.record(transaction, _DEALLOCATE, Operation.NTMS_OBJ_DELETE, Kind.NTMS_LOGICAL_MEDIA, held.id, before=before)


# What becomes of a side


def complete(transaction: Transaction, caller: Caller, logical_medium: Reference) -> None:
    """Mark a side as full: it is not written any more (SetNtmsMediaComplete; MS-RSMP 3.2.5.2.2.7).

    Raises:
        InvalidMediaError, InvalidParameterError: there is no such logical medium, or the text names several.
        InvalidMediaPoolError: its pool is gone.
        AccessDeniedError: the right on the pool is missing.
        InvalidStateError: the side is not in the state ALLOCATED, or is mounted.
    """
    held = _Held(transaction, logical_medium)
    _demand(transaction, caller, "SetNtmsMediaComplete", held.pool)
    _check_allocated(held)
    if held.side.in_use:
        raise InvalidStateError(f"cartridge {held.side.medium_name!a} is mounted: dismount it first")
    _set_state(transaction, "SetNtmsMediaComplete", held.side, State.NTMS_PARTSTATE_COMPLETE)


def _check_allocated(held: _Held) -> None:
    if held.side.state != _ALLOCATED:
        state = _spoken(held.side.state)
        raise InvalidStateError(f"the side of cartridge {held.side.medium_name!a} is {state}, not ALLOCATED")


def decommission(transaction: Transaction, caller: Caller, side: Reference) -> None:
    """Take a side out of use for good; a text is a one-sided cartridge (DecommissionNtmsMedia; MS-RSMP 3.2.5.2.2.6).

    Raises:
        InvalidMediaError, InvalidParameterError: there is no such side or cartridge, or it has two sides.
        InvalidMediaPoolError: its pool is gone.
        AccessDeniedError: the right on the pool is missing.
        InvalidStateError: it is not in the state AVAILABLE.
    """
    found = _find_side(transaction, side)
    _demand(transaction, caller, "DecommissionNtmsMedia", _pool_of(transaction, found))
    if found.state != _AVAILABLE:
        raise InvalidStateError(f"the side of cartridge {found.medium_name!a} is {_spoken(found.state)}, not AVAILABLE")
    _set_state(transaction, "DecommissionNtmsMedia", found, State.NTMS_PARTSTATE_DECOMMISSIONED)


_TAKE_OFF = delete(LogicalMedium).where(LogicalMedium.id == _ID)


def swap(
    transaction: Transaction,
    caller: Caller,
    first: Reference,
    second: Reference,
    is_type_known: Callable[[str], bool],
) -> None:
    """Exchange the sides behind two logical media of one pool (SwapNtmsMedia; MS-RSMP 3.2.5.2.2.5).

    Each keeps its id, so that a cartridge can be renewed while its application notices nothing.

    Raises:
        InvalidMediaError, InvalidParameterError: one is no logical medium, both are the same, or a text names several.
        InvalidMediaPoolError: a pool is gone.
        AccessDeniedError: the right on a pool is missing.
        InvalidMediaPoolError: they are in different pools.
        InvalidStateError: a side is not in the state ALLOCATED.
        BusyError: a side is mounted.
        BadFormatError: a side bears a label of a type that `is_type_known` denies: it could not be told from others.
    """
    pair = _Held(transaction, first), _Held(transaction, second)
    if pair[0].id == pair[1].id:
        raise InvalidParameterError("a logical medium cannot be swapped with itself")
    for held in pair:
        _demand(transaction, caller, "SwapNtmsMedia", held.pool)
    if pair[0].pool.id != pair[1].pool.id:
        raise InvalidMediaPoolError(f"{pair[0].pool.path} and {pair[1].pool.path} are two pools: swap within one")
    for held in pair:
        _check_allocated(held)
    for held in pair:
        if held.side.in_use:
            raise BusyError(f"cartridge {held.side.medium_name!a} is mounted: dismount it first")
    for held in pair:
        if held.side.label_type and not is_type_known(held.side.label_type):
            raise BadFormatError(
                f"no label format that is installed here reads the {held.side.label_type!a} label of cartridge"
                f" {held.side.medium_name!a}: install the plug-in that reads it"
            )
    # A side has one logical medium at most, at every moment: one of the two leaves its side and comes back.
    transaction.change(_TAKE_OFF, id=pair[1].id)
    sides = {"side_id": pair[0].side.id}, {"side_id": pair[1].side.id}
    write_fields(transaction, Kind.NTMS_LOGICAL_MEDIA, pair[0].id, "SwapNtmsMedia", sides[0], sides[1])
    transaction.change(_INSERT_LOGICAL, **{**pair[1].row._asdict(), **sides[0], "modified": transaction.now})
    events.record(
        transaction,
        "SwapNtmsMedia",
        Operation.NTMS_OBJ_UPDATE,
        Kind.NTMS_LOGICAL_MEDIA,
        pair[1].id,
        before=sides[1],
        after=sides[0],
    )


def update_label(
    transaction: Transaction,
    caller: Caller,
    logical_medium: Reference,
    label_type: str,
    label_id: bytes,
    label_info: str = "",
) -> None:
    """Record the label that an application has written on the side behind a logical medium (UpdateNtmsOmidInfo).

    Raises:
        InvalidParameterError: a part of the label is malformed.
        InvalidMediaError, InvalidParameterError: there is no such logical medium, or the text names several.
        InvalidMediaPoolError: its pool is gone.
        AccessDeniedError: the right on the pool is missing.
        NotSupportedError: the cartridge is in a library of other hosts: only there a label can have been written.
    """
    check_label_type(label_type)
    if not 0 < len(label_id) <= MAXIMUM_LABEL_ID_BYTES:
        raise InvalidParameterError(f"a label id has 1 to {MAXIMUM_LABEL_ID_BYTES} bytes")
    check_label_info(label_info)
    held = _Held(transaction, logical_medium)
    _demand(transaction, caller, "UpdateNtmsOmidInfo", held.pool)
    if is_elsewhere(transaction, held.side.medium_id):
        raise NotSupportedError(
            f"cartridge {held.side.medium_name!a} is in a library that this host has no path to: record its label on"
            " the host that wrote it"
        )
    new = {"label_type": label_type, "label_id": label_id, "label_info": label_info, "label_written_by_us": False}
    old = {name: getattr(held.side, name) for name in new}
    write_fields(transaction, Kind.NTMS_PARTITION, held.side.id, "UpdateNtmsOmidInfo", old, new)
