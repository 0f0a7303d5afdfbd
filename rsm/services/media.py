"""Cartridges on record: entering and forgetting them, moving them between pools, and changing their media type.

It touches records only: no robot, no drive. A cartridge that enters the free pool has its sides UNPREPARED, which is
the list of work for whoever writes free labels.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, delete, exists, func, select, update

from rsm import values
from rsm.constants import (
    NULL_GUID,
    NtmsBarCodeState,
    NtmsMediaState,
    NtmsOperationalState,
    NtmsPartitionState,
    NtmsPoolType,
)
from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction, new_id
from rsm.errors import (
    AlreadyExistsError,
    BadFormatError,
    BusyError,
    InvalidLibraryError,
    InvalidMediaError,
    InvalidMediaPoolError,
    InvalidParameterError,
    InvalidStateError,
    MediaIncompatibleError,
)
from rsm.model import (
    Id,
    Instant,
    Int,
    Library,
    LogicalMedium,
    MediaPool,
    MediaType,
    Mount,
    Object,
    PhysicalMedium,
    Side,
    Text,
)
from rsm.security import AccessEra, AccessRights, Caller, need
from rsm.services import access, events, queue
from rsm.services.names import (
    check_barcode,
    check_description,
    check_label_info,
    check_label_type,
    check_name,
    fit_name,
)
from rsm.services.objects import Reference, find, kind_of, read_value, sequence_text
from rsm.services.pools import Pool, delete_unused_system_pools, get_pool, look_up
from rsm.services.properties import delete_object, insert_object, number
from rsm.statements import insert_row

State = NtmsPartitionState
MAXIMUM_LABEL_ID_BYTES = 255
_TAKEN = (State.NTMS_PARTSTATE_ALLOCATED, State.NTMS_PARTSTATE_COMPLETE, State.NTMS_PARTSTATE_RESERVED)
# What lies on a side that is unknown nobody has looked at yet: a free label might destroy it.
_NEVER_FREE = {
    *_TAKEN,
    State.NTMS_PARTSTATE_DECOMMISSIONED,
    State.NTMS_PARTSTATE_INCOMPATIBLE,
    State.NTMS_PARTSTATE_UNKNOWN,
}
_WITH_LOGICAL_MEDIUM = (State.NTMS_PARTSTATE_ALLOCATED, State.NTMS_PARTSTATE_COMPLETE)
_FREE, _FOREIGN, _IMPORT = (
    NtmsPoolType.NTMS_POOLTYPE_SCRATCH,
    NtmsPoolType.NTMS_POOLTYPE_FOREIGN,
    NtmsPoolType.NTMS_POOLTYPE_IMPORT,
)
_APPLICATION = NtmsPoolType.NTMS_POOLTYPE_APPLICATION
_ID = bindparam("id", type_=Id())

# Reading what a decision needs

# What a cartridge is known by: what `forget_medium` tells of it, and its library.
MEDIUM_COLUMNS = (
    PhysicalMedium.id,
    PhysicalMedium.name,
    PhysicalMedium.barcode,
    PhysicalMedium.pool_id,
    PhysicalMedium.media_type_id,
    PhysicalMedium.library_id,
)
_MEDIUM = (
    select(
        *MEDIUM_COLUMNS,
        PhysicalMedium.online,
        PhysicalMedium.media_state,
        PhysicalMedium.cleaner,
        MediaPool.id.label("found_pool_id"),
        exists()
        .where(Mount.side_id == Side.id, Side.medium_id == PhysicalMedium.id, Mount.dismountable_from.is_(None))
        .label("is_in_use"),
    )
    .outerjoin(MediaPool, MediaPool.id == PhysicalMedium.pool_id)
    .where(PhysicalMedium.id == _ID)
)
_SIDES = select(Side.id, Side.number, Side.state).where(Side.medium_id == _ID).order_by(Side.number)


def get_medium(transaction: Transaction, reference: Reference) -> Any:
    """Return the row of a cartridge.

    Raises:
        InvalidMediaError: there is no such cartridge.
    """
    by_id = isinstance(reference, uuid.UUID)
    medium_id = reference if by_id else find(transaction, Kind.NTMS_PHYSICAL_MEDIA, reference)
    row = None if medium_id is None else transaction.row(_MEDIUM, id=medium_id)
    if row is None:
        named = f"with id {reference}" if isinstance(reference, uuid.UUID) else f"called {reference!a}"
        raise InvalidMediaError(f"there is no cartridge {named}")
    return row


# Entering

_BARCODE_KNOWN = select(PhysicalMedium.id).where(PhysicalMedium.barcode == bindparam("barcode", type_=Text())).limit(1)
_LABEL_KNOWN = (
    select(Side.id)
    .where(
        Side.label_type == bindparam("label_type", type_=Text()),
        Side.label_id == bindparam("label_id", type_=Side.label_id.type),
    )
    .limit(1)
)
_NEXT_SEQUENCE = select(func.coalesce(func.max(PhysicalMedium.sequence_number), 0) + 1)
_OFFLINE = select(Library.id).where(Library.online == 0)
_TYPE = select(MediaType.id, MediaType.name, MediaType.sides).where(MediaType.id == _ID)


_INSERT_MEDIUM, _INSERT_SIDE, _INSERT_LOGICAL = (insert_row(table) for table in (PhysicalMedium, Side, LogicalMedium))


def create_medium(
    transaction: Transaction,
    caller: Caller,
    pool: Reference,
    sides: Sequence[values.NewSide],
    *,
    barcode: str = "",
    name: str = "",
    description: str = "",
    enabled: bool = True,
    medium_type_code: int = 0,
    density_code: int = 0,
    medium_id: uuid.UUID | None = None,
    library_id: uuid.UUID | None = None,
    error_on_duplicate: bool = False,
    is_type_known: Callable[[str], bool],
) -> values.PhysicalMedium:
    """Put a cartridge that is on the shelf on record, in an import or application pool, and return it.

    Without a name it takes its bar code, else (one-sided) the text of its label, else its sequence number
    (CreateNtmsMedia; MS-RSMP 3.2.5.2.7).

    Raises:
        InvalidParameterError: a field of the cartridge or of a side is malformed.
        InvalidNameError: a name is not well formed.
        InvalidMediaPoolError: there is no such pool, or it is neither import nor application pool of media.
        AccessDeniedError: the rights on pool and computer (2000 era: pool and offline library) are missing.
        MediaIncompatibleError: the number of sides is not that of the pool's media type.
        InvalidLibraryError: `library_id` is given and is not the offline library.
        BadFormatError: `is_type_known` denies the type of a label: the label could not be checked at any mount.
        InvalidMediaError: a cartridge with this bar code is on record.
        AlreadyExistsError: an id is in use, or with `error_on_duplicate` a label is on record.
    """
    barcode = check_barcode(barcode)
    _check_fields(name, description, medium_type_code, density_code)
    sides = [_check_side(side) for side in sides]
    home = get_pool(transaction, pool)
    _check_create_rights(transaction, caller, home)
    media_type = _type_for_new_medium(transaction, home, len(sides))
    shelf = _find_shelf(transaction, library_id)
    _check_readable(sides, is_type_known)
    _check_unknown(transaction, barcode, sides, medium_id, error_on_duplicate)
    fields = {
        "name": name,
        "description": description,
        "enabled": enabled,
        "pool_id": home.id,
        "media_type_id": media_type.id,
        "library_id": shelf,
        "barcode": barcode,
        "medium_type_code": medium_type_code,
        "density_code": density_code,
    }
    new = medium_id or new_id()
    _insert_with_sides(transaction, caller, new, fields, sides)
    made: values.PhysicalMedium = read_value(transaction, Kind.NTMS_PHYSICAL_MEDIA, new)
    return made


def _insert_with_sides(
    transaction: Transaction,
    caller: Caller,
    medium_id: uuid.UUID,
    fields: Mapping[str, Any],
    sides: Sequence[values.NewSide],
) -> None:
    sequence = transaction.rows(_NEXT_SEQUENCE)[0][0]
    label_text = sides[0].label_info if len(sides) == 1 else ""
    name = fields["name"] or fit_name(fields["barcode"]) or fit_name(label_text) or sequence_text(sequence)
    named = {**fields, "name": name, "sequence_number": sequence}
    _insert_medium(transaction, "CreateNtmsMedia", medium_id, named)
    for position, side in enumerate(sides):
        _insert_side(transaction, caller, medium_id, fields["pool_id"], position, side, name)


def _header(transaction: Transaction) -> dict[str, Any]:
    ready = int(NtmsOperationalState.NTMS_READY)
    return {"created": transaction.now, "modified": transaction.now, "operational_state": ready}


def _insert_medium(transaction: Transaction, call: str, medium_id: uuid.UUID, fields: dict[str, Any]) -> None:
    read = NtmsBarCodeState.NTMS_BARCODESTATE_OK if fields["barcode"] else NtmsBarCodeState.NTMS_BARCODESTATE_UNREADABLE
    fields = {"cleaner": False, **fields, "online": False, "barcode_state": int(read)}
    insert_object(transaction, Kind.NTMS_PHYSICAL_MEDIA, medium_id)
    transaction.change(
        _INSERT_MEDIUM,
        id=medium_id,
        media_state=int(NtmsMediaState.NTMS_MEDIASTATE_IDLE),
        **_header(transaction),
        **fields,
        **dict.fromkeys(("slot_id", "drive_id", "port_id", "home_slot_id")),
    )
    _record_insert(transaction, call, Kind.NTMS_PHYSICAL_MEDIA, medium_id, fields)


def _record_insert(
    transaction: Transaction, call: str, kind: Kind, object_id: uuid.UUID, fields: dict[str, Any]
) -> None:
    events.record(transaction, call, Operation.NTMS_OBJ_INSERT, kind, object_id, after=fields)


def _insert_side_row(
    transaction: Transaction, call: str, side_id: uuid.UUID, pool_id: uuid.UUID, fields: dict[str, Any]
) -> None:
    insert_object(transaction, Kind.NTMS_PARTITION, side_id)
    transaction.change(
        _INSERT_SIDE,
        id=side_id,
        pool_id=pool_id,
        online=False,
        mounted=False,
        label_written_by_us=False,
        **_header(transaction),
        **fields,
    )
    _record_insert(transaction, call, Kind.NTMS_PARTITION, side_id, fields)


def _check_side(side: values.NewSide) -> values.NewSide:
    if not isinstance(side, values.NewSide):
        raise InvalidParameterError(f"a side is an rsm.NewSide, not {type(side).__name__}")
    check_label_type(side.label_type)
    if not isinstance(side.label_id, bytes) or not 0 < len(side.label_id) <= MAXIMUM_LABEL_ID_BYTES:
        raise InvalidParameterError(f"a side's label id has 1 to {MAXIMUM_LABEL_ID_BYTES} bytes")
    check_label_info(side.label_info)
    check_name(side.name, may_be_empty=True)
    check_description(side.description)
    if side.state not in tuple(State):
        raise InvalidParameterError(f"{side.state!r} is no state of a side")
    if side.logical_medium is not None and side.state not in _WITH_LOGICAL_MEDIUM:
        raise InvalidParameterError("only a side that is allocated or complete has a logical medium")
    number("mount_count")(side.mount_count)
    number("allocate_count")(side.allocate_count)
    number("capacity_bytes", 2**63 - 1)(side.capacity_bytes)
    return side


def _check_fields(name: str, description: str, medium_type_code: int, density_code: int) -> None:
    check_name(name, may_be_empty=True)
    check_description(description)
    number("medium_type_code")(medium_type_code)
    number("density_code")(density_code)


def _find_shelf(transaction: Transaction, library_id: uuid.UUID | None) -> uuid.UUID:
    offline: uuid.UUID = transaction.one(_OFFLINE, "the offline library").id
    if library_id not in (None, offline):
        raise InvalidLibraryError("a cartridge put on record is on the shelf: its library is the offline library")
    return offline


def _check_readable(sides: Sequence[values.NewSide], is_type_known: Callable[[str], bool]) -> None:
    for side in sides:
        if not is_type_known(side.label_type):
            raise BadFormatError(
                f"no label format that is installed here reads {side.label_type!a} labels, so that no mount could check"
                " this one: install the plug-in that reads it"
            )


def _check_create_rights(transaction: Transaction, caller: Caller, pool: Pool) -> None:
    needed = need("CreateNtmsMedia", transaction.policy.access_era)
    access.demand(transaction, caller, needed.pool, pool.guard, f"pool {pool.path}")
    access.require_computer(transaction, caller, needed.computer)
    access.require_offline_library(transaction, caller, needed.library)


def _type_for_new_medium(transaction: Transaction, pool: Pool, sides: int) -> Any:
    if pool.pool_type not in (_IMPORT, _APPLICATION) or pool.media_type_id is None:
        raise InvalidMediaPoolError(f"{pool.path} is no import or application pool of media")
    media_type = transaction.one(_TYPE, "the media type of a pool", id=pool.media_type_id)
    if media_type.sides != sides:
        raise MediaIncompatibleError(f"{media_type.name} of {pool.path} has {media_type.sides} side(s), not {sides}")
    return media_type


def _check_unknown(
    transaction: Transaction,
    barcode: str,
    sides: Sequence[values.NewSide],
    medium_id: uuid.UUID | None,
    error_on_duplicate: bool,
) -> None:
    if barcode and transaction.row(_BARCODE_KNOWN, barcode=barcode) is not None:
        raise InvalidMediaError(f"a cartridge with bar code {barcode!a} is on record already")
    given = (medium_id, *(side.id for side in sides), *(side.logical_medium for side in sides))
    ids = [new for new in given if new is not None]
    if NULL_GUID in ids:
        raise InvalidParameterError("the null GUID names nothing: leave the id out to get a new one")
    if len(set(ids)) != len(ids) or any(kind_of(transaction, new) is not None for new in ids):
        raise AlreadyExistsError("an id that was given is in use already")
    for side in sides if error_on_duplicate else ():
        if transaction.row(_LABEL_KNOWN, label_type=side.label_type, label_id=side.label_id) is not None:
            raise AlreadyExistsError(f"a {side.label_type} label with the same id is on record already")


def _insert_side(
    transaction: Transaction,
    caller: Caller,
    medium_id: uuid.UUID,
    pool_id: uuid.UUID,
    position: int,
    side: values.NewSide,
    medium_name: str,
) -> None:
    side_id = side.id or new_id()
    fields = {
        "medium_id": medium_id,
        "name": side.name or medium_name,
        "description": side.description,
        "enabled": side.enabled,
        "number": position,
        "state": int(side.state),
        "label_type": side.label_type,
        "label_id": side.label_id,
        "label_info": side.label_info,
        "mount_count": side.mount_count,
        "allocate_count": side.allocate_count,
        "capacity_bytes": side.capacity_bytes,
    }
    _insert_side_row(transaction, "CreateNtmsMedia", side_id, pool_id, fields)
    if side.state in _WITH_LOGICAL_MEDIUM:
        logical_id = side.logical_medium or new_id()
        owner = {"application": transaction.origin.application, "user_name": caller.user}
        logical = {"side_id": side_id, "name": fields["name"], "description": "", "enabled": True, **owner}
        insert_object(transaction, Kind.NTMS_LOGICAL_MEDIA, logical_id)
        transaction.change(_INSERT_LOGICAL, id=logical_id, **_header(transaction), **logical)
        _record_insert(transaction, "CreateNtmsMedia", Kind.NTMS_LOGICAL_MEDIA, logical_id, logical)


def enter_medium(
    transaction: Transaction,
    call: str,
    pool_id: uuid.UUID,
    media_type_id: uuid.UUID,
    *,
    barcode: str,
    sides: int,
    state: NtmsPartitionState = State.NTMS_PARTSTATE_UNKNOWN,
    capacity_bytes: int = 0,
    cleaner: bool = False,
) -> uuid.UUID:
    """Put a cartridge that a device was found to hold on record, offline until its place is set; return its id.

    A cleaner has no sides.
    """
    sequence = transaction.rows(_NEXT_SEQUENCE)[0][0]
    name = fit_name(barcode) or sequence_text(sequence)
    fields = {
        "name": name,
        "description": "",
        "enabled": True,
        "pool_id": pool_id,
        "media_type_id": media_type_id,
        "library_id": transaction.one(_OFFLINE, "the offline library").id,
        "barcode": barcode,
        "sequence_number": sequence,
        "medium_type_code": 0,
        "density_code": 0,
        "cleaner": cleaner,
    }
    new = new_id()
    _insert_medium(transaction, call, new, fields)
    for position in range(sides):
        blank = {
            "medium_id": new,
            "name": name,
            "description": "",
            "enabled": True,
            "number": position,
            "state": int(state),
            "label_type": "",
            "label_id": b"",
            "label_info": "",
            "mount_count": 0,
            "allocate_count": 0,
            "capacity_bytes": capacity_bytes,
        }
        _insert_side_row(transaction, call, new_id(), pool_id, blank)
    return new


def list_sides(transaction: Transaction, medium_id: uuid.UUID) -> list[values.Side]:
    """Return the sides of a cartridge, first side first, whoever asks."""
    return [read_value(transaction, Kind.NTMS_PARTITION, side.id) for side in transaction.rows(_SIDES, id=medium_id)]


# Forgetting

_DELETE_SIDES = delete(Object).where(
    Object.id.in_(select(Side.id).where(Side.medium_id == bindparam("object_id", type_=Id())))
)


def delete_medium(transaction: Transaction, caller: Caller, reference: Reference) -> None:
    """Forget a lost or destroyed cartridge that is on the shelf (DeleteNtmsMedia; MS-RSMP 3.2.5.2.2.8).

    Raises:
        InvalidMediaError: there is no such cartridge.
        InvalidMediaPoolError: the pool it is in is gone.
        AccessDeniedError: the rights on its pool (2003 era: and on the computer) are missing.
        InvalidStateError: it is in a library, or a side is allocated, complete or reserved.
    """
    medium = get_medium(transaction, reference)
    pool = look_up(transaction, medium.pool_id)
    if pool is None:
        raise InvalidMediaPoolError(f"the pool that cartridge {medium.name!a} is in is not on record: run rsm db check")
    needed = need("DeleteNtmsMedia", transaction.policy.access_era)
    access.demand(transaction, caller, needed.pool, pool.guard, f"pool {pool.path}")
    access.require_computer(transaction, caller, needed.computer)
    if medium.online:
        raise InvalidStateError(f"cartridge {medium.name!a} is in a library: eject it first")
    sides = transaction.rows(_SIDES, id=medium.id)
    if any(side.state in _TAKEN for side in sides):
        raise InvalidStateError(f"cartridge {medium.name!a} holds an application's data: deallocate it first")
    forget_medium(transaction, "DeleteNtmsMedia", medium)
    delete_unused_system_pools(transaction, "DeleteNtmsMedia", medium.media_type_id)


def forget_medium(transaction: Transaction, call: str, medium: Any) -> None:
    """Delete a cartridge and its sides; `medium` is a row with `MEDIUM_COLUMNS`."""
    sides = transaction.rows(_SIDES, id=medium.id)
    transaction.change(_DELETE_SIDES, object_id=medium.id)
    delete_object(transaction, medium.id)
    for side in sides:
        before = {"medium_id": medium.id, "number": side.number, "state": side.state}
        events.record(transaction, call, Operation.NTMS_OBJ_DELETE, Kind.NTMS_PARTITION, side.id, before=before)
    before = {
        "name": medium.name,
        "barcode": medium.barcode,
        "pool_id": medium.pool_id,
        "media_type_id": medium.media_type_id,
    }
    events.record(transaction, call, Operation.NTMS_OBJ_DELETE, Kind.NTMS_PHYSICAL_MEDIA, medium.id, before=before)


# Moving

_MOVE = (
    update(PhysicalMedium)
    .where(PhysicalMedium.id == _ID)
    .values(
        pool_id=bindparam("new_pool", type_=Id()),
        media_type_id=bindparam("new_type", type_=Id()),
        modified=bindparam("new_modified", type_=Instant()),
    )
)
_SET_STATE = (
    update(Side)
    .where(Side.medium_id == _ID, Side.state != bindparam("new_state", type_=Int()))
    .values(state=bindparam("new_state", type_=Int()), modified=bindparam("new_modified", type_=Instant()))
)


def move_medium(transaction: Transaction, caller: Caller, reference: Reference, pool: Reference) -> None:
    """Move a cartridge, all sides, to another pool of its media type (MoveToNtmsMediaPool; MS-RSMP 3.2.5.2.2.13).

    Raises:
        InvalidMediaError: there is no such cartridge, or the pool it is in is gone.
        InvalidMediaPoolError: there is no such destination.
        AccessDeniedError: a right on source or destination is missing (a free pool needs use only, in the 2003 era).
        InvalidMediaPoolError: it is a cleaner, the destination is the root, or both are free pools.
        BusyError: a side is in use, or not available now.
        MediaIncompatibleError: the destination holds another media type, or pools.
        InvalidMediaPoolError: the destination is an unrecognized pool, an import pool and a side is not IMPORT, or not
            a free pool although the cartridge comes from import or unrecognized.
        InvalidStateError: the destination is a free pool and a side is taken, decommissioned, incompatible, or unknown:
            not identified yet.
    """
    medium = get_medium(transaction, reference)
    source = look_up(transaction, medium.pool_id)
    if source is None:
        raise InvalidMediaError(f"the pool that cartridge {medium.name!a} is in is not on record: run rsm db check")
    target = get_pool(transaction, pool)
    _check_move_rights(transaction, caller, source, target)
    _check_target(medium, source, target)
    if source.id == target.id:
        return
    sides = transaction.rows(_SIDES, id=medium.id)
    _check_at_rest(medium, source, sides)
    if target.media_type_id != medium.media_type_id:
        raise MediaIncompatibleError(f"{target.path} does not take the media type of cartridge {medium.name!a}")
    _check_states(medium, source, target, sides)
    relocate(transaction, "MoveToNtmsMediaPool", medium, target, sides)


def change_media_type(transaction: Transaction, caller: Caller, reference: Reference, pool: Reference) -> None:
    """Move a cartridge to a pool and give it that pool's media type (ChangeNtmsMediaType; MS-RSMP 3.2.5.2.2.17).

    Raises:
        InvalidMediaError: there is no such cartridge, or the pool it is in is gone.
        InvalidMediaPoolError: there is no such destination, or it holds pools.
        AccessDeniedError: modify on the source pool (2003 era: and on the computer) is missing.
        InvalidMediaPoolError: the destination's media type has another number of sides, or `move_medium` would refuse.
    """
    medium = get_medium(transaction, reference)
    source = look_up(transaction, medium.pool_id)
    if source is None:
        raise InvalidMediaError(f"the pool that cartridge {medium.name!a} is in is not on record: run rsm db check")
    target = get_pool(transaction, pool)
    needed = need("ChangeNtmsMediaType", transaction.policy.access_era)
    access.demand(transaction, caller, needed.pool, source.guard, f"pool {source.path}")
    access.require_computer(transaction, caller, needed.computer)
    _check_target(medium, source, target)
    if target.media_type_id is None:
        raise InvalidMediaPoolError(f"{target.path} holds pools and takes no media")
    if source.id == target.id:
        return
    sides = transaction.rows(_SIDES, id=medium.id)
    if transaction.one(_TYPE, "the media type of a pool", id=target.media_type_id).sides != len(sides):
        raise InvalidMediaPoolError(f"the media type of {target.path} has another number of sides")
    try:
        _check_at_rest(medium, source, sides)
        _check_states(medium, source, target, sides)
    except (BusyError, InvalidStateError) as error:  # the call has one code for a move that is not allowed
        raise InvalidMediaPoolError(str(error)) from None
    relocate(transaction, "ChangeNtmsMediaType", medium, target, sides)
    delete_unused_system_pools(transaction, "ChangeNtmsMediaType", medium.media_type_id)


def _check_move_rights(transaction: Transaction, caller: Caller, source: Pool, target: Pool) -> None:
    rights = need("MoveToNtmsMediaPool", transaction.policy.access_era).pool
    for pool in (source, target):
        free = pool.pool_type is _FREE and transaction.policy.access_era is AccessEra.SERVER_2003
        access.demand(transaction, caller, AccessRights.USE if free else rights, pool.guard, f"pool {pool.path}")


def _check_target(medium: Any, source: Pool, target: Pool) -> None:
    if medium.cleaner:
        raise InvalidMediaPoolError(f"cartridge {medium.name!a} is a cleaner: it stays in {source.path}")
    if target.pool_type is NtmsPoolType.NTMS_POOLTYPE_UNKNOWN:
        raise InvalidMediaPoolError("the root pool holds no media")
    if source.pool_type is _FREE and target.pool_type is _FREE:
        raise InvalidMediaPoolError("a cartridge of a free pool cannot be moved to a free pool")


_AT_REST = (NtmsMediaState.NTMS_MEDIASTATE_IDLE, NtmsMediaState.NTMS_MEDIASTATE_UNLOADED)


def _check_at_rest(medium: Any, source: Pool, sides: Sequence[Any]) -> None:
    if medium.is_in_use:
        raise BusyError(f"cartridge {medium.name!a} is in use: dismount it first")
    if medium.media_state not in _AT_REST:
        raise BusyError(f"cartridge {medium.name!a} is not in its slot: try again when it is there")
    if source.pool_type is _FREE and any(side.state == State.NTMS_PARTSTATE_UNPREPARED for side in sides):
        raise BusyError(f"cartridge {medium.name!a} has no free label yet: it can be moved once one is written")


def _check_states(medium: Any, source: Pool, target: Pool, sides: Sequence[Any]) -> None:
    states = {side.state for side in sides}
    if target.pool_type is _FOREIGN:
        raise InvalidMediaPoolError(f"nothing can be moved to {target.path}")
    if target.pool_type is _IMPORT and states != {State.NTMS_PARTSTATE_IMPORT}:
        raise InvalidMediaPoolError(f"{target.path} takes only cartridges whose sides are all in the state IMPORT")
    if source.pool_type in (_FOREIGN, _IMPORT) and target.pool_type is not _FREE:
        raise InvalidMediaPoolError(f"from {source.path} a cartridge can be moved to the free pool only, or allocated")
    if target.pool_type is _FREE and (blocking := states & _NEVER_FREE):
        names = ", ".join(sorted(State(state).name.removeprefix("NTMS_PARTSTATE_") for state in blocking))
        raise InvalidStateError(f"cartridge {medium.name!a} has a side that is {names}: it cannot become free")


def relocate(transaction: Transaction, call: str, medium: Any, target: Pool, sides: Sequence[Any]) -> None:
    """Write down that a cartridge is in another pool; in a free pool its sides await free labels, which are queued.

    `medium` is a row with id, pool_id and media_type_id, `sides` are rows with id and state. Nothing is checked.
    """
    new_type = target.media_type_id
    transaction.change(_MOVE, id=medium.id, new_pool=target.id, new_type=new_type, new_modified=transaction.now)
    before = {"pool_id": medium.pool_id}
    after: dict[str, Any] = {"pool_id": target.id}
    if new_type != medium.media_type_id:
        before["media_type_id"], after["media_type_id"] = medium.media_type_id, new_type
    events.record(
        transaction, call, Operation.NTMS_OBJ_UPDATE, Kind.NTMS_PHYSICAL_MEDIA, medium.id, before=before, after=after
    )
    if target.pool_type is not _FREE:
        return
    unprepared = int(State.NTMS_PARTSTATE_UNPREPARED)
    transaction.change(_SET_STATE, id=medium.id, new_state=unprepared, new_modified=transaction.now)
    for side in sides:
        if side.state != unprepared:
            events.record(
                transaction,
                call,
                Operation.NTMS_OBJ_UPDATE,
                Kind.NTMS_PARTITION,
                side.id,
                before={"state": side.state},
                after={"state": unprepared},
            )
    queue.queue_free_labels(transaction, medium.id)
