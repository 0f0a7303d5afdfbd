"""Libraries on record with their devices: adding one, keeping it as the device tells it, and taking it off record.

What a device says comes in as plain facts; this module opens none. It never decides where a cartridge is, which
inventories do, except that what is taken off record holds no cartridge any more.
"""

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, delete, exists, literal, null, select, union_all, update

from rsm import values
from rsm.constants import NtmsInventoryMethod, NtmsLibraryFlags, NtmsLibraryType, NtmsMediaState, NtmsOperationalState
from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction, new_id
from rsm.errors import (
    AlreadyExistsError,
    InvalidDriveError,
    InvalidLibraryError,
    InvalidMediaError,
    InvalidParameterError,
    InvalidStateError,
)
from rsm.model import (
    OFFLINE,
    STANDALONE,
    TABLE_OF_KIND,
    Changer,
    ChangerType,
    Drive,
    DriveType,
    Id,
    Instant,
    Library,
    LibraryMediaType,
    LibraryRequest,
    MediaType,
    Mount,
    Object,
    OperatorRequest,
    PhysicalMedium,
    Side,
    Slot,
    Text,
)
from rsm.security import AccessRights, Caller, default_dacl, need
from rsm.services import access, events, operators, ui
from rsm.services.device_rows import (
    DEVICE_KINDS,
    NOT_PRESENT,
    READY,
    TYPE_KIND,
    ElementFacts,
    Keeper,
    LibraryFacts,
    all_told,
    new_header,
)
from rsm.services.names import check_name, fit_name
from rsm.services.objects import Reference, find, read_value
from rsm.services.pools import delete_unused_system_pools, link_media_type
from rsm.services.properties import delete_object, insert_object, write_entries, write_fields
from rsm.statements import insert_row

_LIBRARY, _DEVICE = bindparam("library", type_=Id()), bindparam("device", type_=Id())
_log = logging.getLogger("rsm.services.devices")

# Adding

_BACK_END, _ADDRESS = bindparam("back_end", type_=Text()), bindparam("address", type_=Text())
_SAME_DEVICE = select(Library.name).where(Library.back_end == _BACK_END, Library.address == _ADDRESS)
_INSERT_LIBRARY = insert_row(Library)
_MEDIA_TYPE = select(MediaType.id, MediaType.name, MediaType.read_write, MediaType.device_type).where(
    MediaType.id == bindparam("media_type", type_=Id())
)


def add_library(
    transaction: Transaction,
    caller: Caller,
    name: str | None,
    back_end: str,
    address: str,
    identity: LibraryFacts,
    elements: Sequence[ElementFacts],
    host: str,
    media_types: Sequence[Reference] | None = None,
) -> values.Library:
    """Put a library on record with all its devices, the media types it takes and this host's paths, and return it.

    `name` None is what the device calls itself. `media_types` count in place of those that the device tells; a device
    that tells none needs them.

    Raises:
        InvalidNameError: the name is not well formed.
        InvalidParameterError: nobody says which media types it takes.
        InvalidLibraryError: what the device tells cannot be.
        AccessDeniedError: no modify right on the computer.
        InvalidMediaError: a media type is not on record.
        AlreadyExistsError: a library has that name, or is at that address.
    """
    called = check_name(fit_name(identity.name) if name is None else name, "library's name")
    wanted = identity.media_types if media_types is None else media_types
    if not wanted:
        raise InvalidParameterError(
            "the library cannot tell which media types it takes: name them, as with --type LTO-8"
        )
    told = all_told(identity, elements, address)
    access.require_computer(transaction, caller, AccessRights.MODIFY)
    types = [_known_type(transaction, each) for each in wanted]
    if find(transaction, Kind.NTMS_LIBRARY, called) is not None:
        raise AlreadyExistsError(f"a library called {called!a} is on record already")
    same = transaction.row(_SAME_DEVICE, back_end=back_end, address=address)
    if same is not None:
        raise AlreadyExistsError(f"{back_end} {address} is on record already: it is the library {same.name}")
    library_id = _insert_library(transaction, caller, called, back_end, address, identity)
    for media_type in types:
        link_media_type(transaction, "add_library", library_id, media_type.id, media_type.name)
    keeper = Keeper(transaction, "add_library", library_id, host, types)
    keeper.keep(told)
    keeper.keep_doors(identity.doors)
    library: values.Library = read_value(transaction, Kind.NTMS_LIBRARY, library_id)
    return library


def _insert_library(
    transaction: Transaction, caller: Caller, name: str, back_end: str, address: str, identity: LibraryFacts
) -> uuid.UUID:
    """Store a library with its list and its event, and return its id."""
    library_id = new_id()
    method = NtmsInventoryMethod
    fields = {
        "name": name,
        "description": "",
        "owner": caller.user,
        "library_type": STANDALONE if identity.is_standalone else int(NtmsLibraryType.NTMS_LIBRARYTYPE_ONLINE),
        "online": True,
        "supports_cleaning": bool(identity.transports),
        "barcode_reader": identity.has_barcode_reader,
        "inventory_method": int(
            method.NTMS_INVENTORY_FAST if identity.has_barcode_reader else method.NTMS_INVENTORY_OMID
        ),
        "cleaner_uses_remaining": 0,
        "auto_recovery": True,
        "flags": int(NtmsLibraryFlags.NTMS_LIBRARYFLAG_RECOGNIZECLEANERBARCODE) if identity.has_barcode_reader else 0,
        "back_end": back_end,
        "address": address,
        "configuration": {},
        "epoch": 0,
    }
    insert_object(transaction, Kind.NTMS_LIBRARY, library_id)
    transaction.change(_INSERT_LIBRARY, id=library_id, **new_header(transaction), **fields)
    write_entries(transaction, library_id, default_dacl())
    events.record(transaction, "add_library", Operation.NTMS_OBJ_INSERT, Kind.NTMS_LIBRARY, library_id, after=fields)
    return library_id


def _known_type(transaction: Transaction, reference: Reference) -> Any:
    type_id = find(transaction, Kind.NTMS_MEDIA_TYPE, reference)
    row = None if type_id is None else transaction.row(_MEDIA_TYPE, media_type=type_id)
    if row is None:
        raise InvalidMediaError(f"there is no media type {reference}: make it with rsm type create")
    return row


# Keeping the record as the device tells it

_READ_LIBRARY = select(Library.id, Library.name, Library.address).where(Library.id == _LIBRARY)
_TAKEN_TYPES = (
    select(MediaType.id, MediaType.name, MediaType.read_write, MediaType.device_type)
    .join(LibraryMediaType, LibraryMediaType.media_type_id == MediaType.id)
    .where(LibraryMediaType.library_id == _LIBRARY)
    .order_by(MediaType.id)
)


def sync_library(
    transaction: Transaction,
    library_id: uuid.UUID,
    identity: LibraryFacts,
    elements: Sequence[ElementFacts],
    host: str,
) -> bool:
    """Make the record of a library's devices what the device tells, and tell whether anything had to change.

    What is new is put on record; what is gone is NOT_PRESENT, and READY again when it is back; this host's paths are
    set right. Devices are known by their number within a kind. Where cartridges are stays as it is.

    Raises:
        InvalidLibraryError: the library is not on record any more, or what the device tells cannot be.
    """
    library = transaction.row(_READ_LIBRARY, library=library_id)
    if library is None:
        raise InvalidLibraryError(f"there is no library with id {library_id}")
    told = all_told(identity, elements, library.address)
    types = transaction.rows(_TAKEN_TYPES, library=library_id)
    new_types = []
    for name in sorted(set(identity.media_types) - {each.name for each in types}):
        try:
            new_types.append(_known_type(transaction, name))
        except InvalidMediaError as error:
            _log.warning("library %s: %s", library.name, error)
    for media_type in new_types:
        link_media_type(transaction, "sync_library", library_id, media_type.id, media_type.name)
    keeper = Keeper(transaction, "sync_library", library_id, host, [*types, *new_types])
    keeper.keep(told, types_changed=bool(new_types))
    return keeper.keep_doors(identity.doors) or bool(new_types)


# Looking at it


@dataclass(frozen=True, slots=True)
class Place:
    """An element on record. `present` is false while the device does not tell of it."""

    kind: Kind
    id: uuid.UUID
    element: int
    number: int
    enabled: bool
    present: bool
    name: str


_PLACES = union_all(
    *(
        select(
            literal(int(kind)).label("kind"),
            table.id,
            table.element,
            table.number,
            table.enabled,
            table.operational_state,
            table.name,
        ).where(table.library_id == _LIBRARY, table.element.is_not(None))
        for kind, table in ((kind, TABLE_OF_KIND[kind]) for kind in DEVICE_KINDS)
    )
)


def read_elements_of(transaction: Transaction, library_id: uuid.UUID) -> dict[int, Place]:
    """Return the elements of a library on record by address, arms too; of two with one address the present one."""
    places: dict[int, Place] = {}
    for row in transaction.rows(_PLACES, library=library_id):
        place = Place(
            Kind(row.kind),
            row.id,
            row.element,
            row.number,
            bool(row.enabled),
            row.operational_state != NOT_PRESENT,
            row.name,
        )
        if place.present or place.element not in places:
            places[place.element] = place
    return places


_STATE = {
    kind: select(TABLE_OF_KIND[kind].operational_state).where(TABLE_OF_KIND[kind].id == _DEVICE)
    for kind in (Kind.NTMS_LIBRARY, *DEVICE_KINDS)
}


def set_state(
    transaction: Transaction, kind: Kind, object_id: uuid.UUID, operational_state: NtmsOperationalState
) -> bool:
    """Set the operational state of a library or device; False if it was that already, or the object is gone."""
    row = transaction.row(_STATE[kind], device=object_id)
    if row is None:
        return False
    old, new = {"operational_state": row.operational_state}, {"operational_state": int(operational_state)}
    return write_fields(transaction, kind, object_id, "set_state", old, new)


_STANDALONE_DRIVES = (
    select(Drive.id)
    .join(Library, Library.id == Drive.library_id)
    .where(Library.id == _LIBRARY, Library.library_type == STANDALONE)
)


def set_library_state(transaction: Transaction, library_id: uuid.UUID, operational_state: NtmsOperationalState) -> bool:
    """Set the operational state of a library, with it that of a stand-alone drive, which comes and goes as the library.

    A drive that needs service is left to inventories. False if nothing changed.
    """
    changed = set_state(transaction, Kind.NTMS_LIBRARY, library_id, operational_state)
    if changed and operational_state in (READY, NOT_PRESENT):
        for drive in transaction.rows(_STANDALONE_DRIVES, library=library_id):
            set_state(transaction, Kind.NTMS_DRIVE, drive.id, operational_state)
    return changed


# Taking off record

_REFERENCE = {Kind.NTMS_LIBRARY: PhysicalMedium.library_id, Kind.NTMS_DRIVE: PhysicalMedium.drive_id}
_MEDIA_COLUMNS = (
    PhysicalMedium.library_id,
    PhysicalMedium.online,
    PhysicalMedium.slot_id,
    PhysicalMedium.drive_id,
    PhysicalMedium.port_id,
    PhysicalMedium.home_slot_id,
    PhysicalMedium.media_state,
)
_MEDIA_IN = {
    kind: select(PhysicalMedium.id, PhysicalMedium.cleaner, *_MEDIA_COLUMNS)
    .where(column == _DEVICE)
    .order_by(PhysicalMedium.id)
    for kind, column in _REFERENCE.items()
}
_MOUNTED_IN = {
    kind: select(Side.id)
    .join(PhysicalMedium, PhysicalMedium.id == Side.medium_id)
    .where(column == _DEVICE, Side.mounted == 1)
    .order_by(Side.id)
    for kind, column in _REFERENCE.items()
}
_DELETE_MOUNTS = {
    Kind.NTMS_DRIVE: delete(Mount).where(Mount.drive_id == _DEVICE),
    Kind.NTMS_LIBRARY: delete(Mount).where(Mount.drive_id.in_(select(Drive.id).where(Drive.library_id == _DEVICE))),
}
_OFFLINE = select(Library.id).where(Library.online == 0)
_NOW = bindparam("now", type_=Instant())
_UNMOUNT = update(Side).where(Side.id == _DEVICE).values(mounted=False, modified=_NOW)
_SHELVE = (
    update(PhysicalMedium)
    .where(PhysicalMedium.id == _DEVICE)
    .values(
        library_id=bindparam("offline", type_=Id()),
        online=False,
        slot_id=null(),
        drive_id=null(),
        port_id=null(),
        home_slot_id=null(),
        media_state=int(NtmsMediaState.NTMS_MEDIASTATE_IDLE),
        modified=_NOW,
    )
)
# A cartridge that was moved to another library may still have its home here.
_AT_HOME_IN = (
    select(PhysicalMedium.id, PhysicalMedium.home_slot_id)
    .join(Slot, Slot.id == PhysicalMedium.home_slot_id)
    .where(Slot.library_id == _DEVICE)
    .order_by(PhysicalMedium.id)
)
_LEAVE_HOME = update(PhysicalMedium).where(PhysicalMedium.id == _DEVICE).values(home_slot_id=null(), modified=_NOW)


def _send_offline(transaction: Transaction, call: str, kind: Kind, object_id: uuid.UUID) -> None:
    """Move the cartridges of a library, or the one in a drive, to the offline library; who had them mounted has not.

    Cleaners are forgotten.
    """
    now = transaction.now
    transaction.change(_DELETE_MOUNTS[kind], device=object_id)
    mounted = [row.id for row in transaction.rows(_MOUNTED_IN[kind], device=object_id)]
    media = transaction.rows(_MEDIA_IN[kind], device=object_id)
    offline = transaction.one(_OFFLINE, "the offline library").id
    update_event = Operation.NTMS_OBJ_UPDATE
    if mounted:
        transaction.change_many(_UNMOUNT, [{"device": each, "now": now} for each in mounted])
        changes: list[events.Change] = [(each, {"mounted": True}, {"mounted": False}) for each in mounted]
        events.record_many(transaction, call, update_event, Kind.NTMS_PARTITION, changes)
    if media:
        transaction.change_many(_SHELVE, [{"device": row.id, "offline": offline, "now": now} for row in media])
        idle = int(NtmsMediaState.NTMS_MEDIASTATE_IDLE)
        after = {"library_id": offline, "online": False, "media_state": idle}
        changes = [(row.id, *_difference(row, after)) for row in media]
        events.record_many(transaction, call, update_event, Kind.NTMS_PHYSICAL_MEDIA, changes)
    for row in media:
        if row.cleaner:
            delete_object(transaction, row.id)
            events.record(transaction, call, Operation.NTMS_OBJ_DELETE, Kind.NTMS_PHYSICAL_MEDIA, row.id, before=after)


def _difference(row: Any, after: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    names = [column.key for column in _MEDIA_COLUMNS if getattr(row, column.key) != after.get(column.key)]
    return {name: getattr(row, name) for name in names}, {name: after.get(name) for name in names}


_READ_FOR_DELETION = select(
    Library.id, Library.name, Library.library_type, Library.back_end, Library.address, Library.owner
).where(Library.id == _DEVICE)
# What people were asked for on behalf of a request that ends now.
_ASKED = (
    select(OperatorRequest.id)
    .join(LibraryRequest, LibraryRequest.id == OperatorRequest.library_request_id)
    .where(LibraryRequest.library_id == _DEVICE, OperatorRequest.completed.is_(None))
    .order_by(OperatorRequest.id)
)
_REQUESTS = select(LibraryRequest.id, LibraryRequest.operation, LibraryRequest.state).where(
    LibraryRequest.library_id == _DEVICE
)
_CONTENTS = (*DEVICE_KINDS, Kind.NTMS_IEDOOR)
_LISTED = {
    kind: select(TABLE_OF_KIND[kind].id, TABLE_OF_KIND[kind].name, TABLE_OF_KIND[kind].number)
    .where(TABLE_OF_KIND[kind].library_id == _DEVICE)
    .order_by(TABLE_OF_KIND[kind].number)
    for kind in _CONTENTS
}
_LISTED[Kind.NTMS_LIBREQUEST] = _REQUESTS.order_by(LibraryRequest.id)
_DELETE_ALL = {
    kind: delete(Object).where(
        Object.id.in_(select(TABLE_OF_KIND[kind].id).where(TABLE_OF_KIND[kind].library_id == _DEVICE))
    )
    for kind in _LISTED
}
_TYPES_OF = {
    Kind.NTMS_DRIVE: select(Drive.drive_type_id.label("id")).where(Drive.library_id == _DEVICE).distinct(),
    Kind.NTMS_CHANGER: select(Changer.changer_type_id.label("id")).where(Changer.library_id == _DEVICE).distinct(),
}
_UNUSED_TYPE = {
    Kind.NTMS_DRIVE: select(DriveType.vendor, DriveType.product).where(
        DriveType.id == _DEVICE, ~exists().where(Drive.drive_type_id == DriveType.id)
    ),
    Kind.NTMS_CHANGER: select(ChangerType.vendor, ChangerType.product).where(
        ChangerType.id == _DEVICE, ~exists().where(Changer.changer_type_id == ChangerType.id)
    ),
}


def delete_library(transaction: Transaction, caller: Caller, library: Reference) -> None:
    """Take a library and its devices off record; its cartridges go to the offline library (DeleteNtmsLibrary).

    It is meant for libraries that are no longer attached, so nothing in it is waited for: requests end with it, and
    what is mounted there is mounted no more. Drive types, changer types and system pools go with their last use.

    Raises:
        InvalidLibraryError: there is no such library.
        AccessDeniedError: no modify right on it.
        InvalidLibraryError: it is the offline library.
    """
    library_id = find(transaction, Kind.NTMS_LIBRARY, library)
    if library_id is None:
        raise InvalidLibraryError(f"there is no library {library}")
    _require(transaction, caller, "DeleteNtmsLibrary", Kind.NTMS_LIBRARY, library_id)
    _delete_library(transaction, "DeleteNtmsLibrary", library_id)


def _require(transaction: Transaction, caller: Caller, call: str, kind: Kind, object_id: uuid.UUID) -> None:
    rights = need(call, transaction.policy.access_era).library
    access.require_library(transaction, caller, rights, kind, object_id)


def _delete_library(transaction: Transaction, call: str, library_id: uuid.UUID) -> None:
    row = transaction.one(_READ_FOR_DELETION, "a library", device=library_id)
    if row.library_type == OFFLINE:
        raise InvalidLibraryError("the offline library stays: it holds what is in no other")
    _send_offline(transaction, call, Kind.NTMS_LIBRARY, library_id)
    away = transaction.rows(_AT_HOME_IN, device=library_id)
    if away:
        transaction.change_many(_LEAVE_HOME, [{"device": each.id, "now": transaction.now} for each in away])
        changes: list[events.Change] = [
            (each.id, {"home_slot_id": each.home_slot_id}, {"home_slot_id": None}) for each in away
        ]
        events.record_many(transaction, call, Operation.NTMS_OBJ_UPDATE, Kind.NTMS_PHYSICAL_MEDIA, changes)
    for asked in transaction.rows(_ASKED, device=library_id):
        operators.delete_request(transaction, asked.id)
    media_types = transaction.rows(_TAKEN_TYPES, library=library_id)
    device_types = {
        kind: [each.id for each in transaction.rows(_TYPES_OF[kind], device=library_id)] for kind in _TYPES_OF
    }
    for kind in _LISTED:
        listed = transaction.rows(_LISTED[kind], device=library_id)
        if listed:
            transaction.change(_DELETE_ALL[kind], device=library_id)
            gone: list[events.Change] = [(each.id, _without_id(each), None) for each in listed]
            events.record_many(transaction, call, Operation.NTMS_OBJ_DELETE, kind, gone)
    for kind, type_ids in device_types.items():
        _delete_unused_types(transaction, call, kind, type_ids)
    ui.forget_object(transaction, library_id, call)
    delete_object(transaction, library_id)
    before = _without_id(row)
    events.record(transaction, call, Operation.NTMS_OBJ_DELETE, Kind.NTMS_LIBRARY, library_id, before=before)
    for media_type in media_types:
        delete_unused_system_pools(transaction, call, media_type.id)


def _without_id(row: Any) -> dict[str, Any]:
    return {name: value for name, value in row._asdict().items() if name != "id"}


def _delete_unused_types(transaction: Transaction, call: str, kind: Kind, type_ids: Sequence[uuid.UUID]) -> None:
    for type_id in type_ids:
        unused = transaction.row(_UNUSED_TYPE[kind], device=type_id)
        if unused is not None:
            delete_object(transaction, type_id)
            before = unused._asdict()
            events.record(transaction, call, Operation.NTMS_OBJ_DELETE, TYPE_KIND[kind], type_id, before=before)


_DRIVE_FOR_DELETION = (
    select(
        Drive.id,
        Drive.name,
        Drive.number,
        Drive.library_id,
        Drive.drive_type_id,
        Drive.operational_state,
        Library.library_type,
    )
    .join(Library, Library.id == Drive.library_id)
    .where(Drive.id == _DEVICE)
)


def delete_drive(transaction: Transaction, caller: Caller, drive: Reference) -> None:
    """Take a drive that is no longer there off record (DeleteNtmsDrive).

    A cartridge that was last seen in it goes to the offline library. A stand-alone library goes with its drive.

    Raises:
        InvalidDriveError: there is no such drive.
        InvalidLibraryError: its library is gone.
        AccessDeniedError: no modify right on its library.
        InvalidStateError: it is still there.
    """
    drive_id = find(transaction, Kind.NTMS_DRIVE, drive)
    if drive_id is None:
        raise InvalidDriveError(f"there is no drive {drive}")
    call = "DeleteNtmsDrive"
    row = transaction.row(_DRIVE_FOR_DELETION, device=drive_id)
    if row is None:
        raise InvalidLibraryError(f"the library of drive {drive_id} is not on record: run rsm db check")
    _require(transaction, caller, call, Kind.NTMS_DRIVE, drive_id)
    if row.operational_state != NOT_PRESENT:
        raise InvalidStateError(f"drive {row.name} is still there: only a drive that is not present can be deleted")
    if row.library_type == STANDALONE:
        _delete_library(transaction, call, row.library_id)
        return
    _send_offline(transaction, call, Kind.NTMS_DRIVE, drive_id)
    delete_object(transaction, drive_id)
    before = {"name": row.name, "number": row.number, "library_id": row.library_id}
    events.record(transaction, call, Operation.NTMS_OBJ_DELETE, Kind.NTMS_DRIVE, drive_id, before=before)
    _delete_unused_types(transaction, call, Kind.NTMS_DRIVE, [row.drive_type_id])
