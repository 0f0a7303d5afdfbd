"""Cartridges on record: entering and forgetting them.

It touches records only: no robot, no drive.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, delete, exists, func, select

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
    InvalidLibraryError,
    InvalidMediaError,
    InvalidMediaPoolError,
    InvalidParameterError,
    InvalidStateError,
    MediaIncompatibleError,
)
from rsm.model import Id, Library, LogicalMedium, MediaPool, MediaType, Mount, Object, PhysicalMedium, Side, Text
from rsm.security import Caller, need
from rsm.services import access, events
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
TAKEN = (State.NTMS_PARTSTATE_ALLOCATED, State.NTMS_PARTSTATE_COMPLETE, State.NTMS_PARTSTATE_RESERVED)
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
SIDES = select(Side.id, Side.number, Side.state).where(Side.medium_id == _ID).order_by(Side.number)


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
TYPE = select(MediaType.id, MediaType.name, MediaType.sides).where(MediaType.id == _ID)


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
    media_type = transaction.one(TYPE, "the media type of a pool", id=pool.media_type_id)
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
    return [read_value(transaction, Kind.NTMS_PARTITION, side.id) for side in transaction.rows(SIDES, id=medium_id)]


# Forgetting

_DELETESIDES = delete(Object).where(
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
    sides = transaction.rows(SIDES, id=medium.id)
    if any(side.state in TAKEN for side in sides):
        raise InvalidStateError(f"cartridge {medium.name!a} holds an application's data: deallocate it first")
    forget_medium(transaction, "DeleteNtmsMedia", medium)
    delete_unused_system_pools(transaction, "DeleteNtmsMedia", medium.media_type_id)


def forget_medium(transaction: Transaction, call: str, medium: Any) -> None:
    """Delete a cartridge and its sides; `medium` is a row with `MEDIUM_COLUMNS`."""
    sides = transaction.rows(SIDES, id=medium.id)
    transaction.change(_DELETESIDES, object_id=medium.id)
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
