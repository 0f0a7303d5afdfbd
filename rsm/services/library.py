"""Which media types there are and which library takes which.

A media type's free, unrecognized and import pool come with the first library that takes it and go with its last use.
It works no device.
"""

import uuid
from typing import Any

from sqlalchemy import bindparam, delete, exists, func, select

from rsm import values
from rsm.constants import FILE_DEVICE_TYPE, NtmsOperationalState, NtmsReadWriteCharacteristics
from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction, new_id
from rsm.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    InvalidLibraryError,
    InvalidMediaError,
    InvalidParameterError,
    LibraryOfflineError,
    NotEmptyError,
    ObjectNotFoundError,
)
from rsm.model import (
    OFFLINE,
    Drive,
    DriveType,
    DriveTypeMediaType,
    Id,
    Library,
    LibraryMediaType,
    MediaPool,
    MediaType,
    PhysicalMedium,
)
from rsm.security import AccessRights, Caller, need
from rsm.services import access, events
from rsm.services.names import check_description, check_name
from rsm.services.objects import Reference, find, read_value
from rsm.services.pools import delete_unused_system_pools, link_media_type
from rsm.services.properties import delete_object, insert_object
from rsm.statements import insert_row

FIRST_USER_CODE = 2000  # above STORAGE_MEDIA_TYPE and the LTO generations
_DEVICE_TYPES = (
    FILE_DEVICE_TYPE.FILE_DEVICE_TAPE,
    FILE_DEVICE_TYPE.FILE_DEVICE_DISK,
    FILE_DEVICE_TYPE.FILE_DEVICE_CD_ROM,
)
_LIBRARY, _TYPE = bindparam("library", type_=Id()), bindparam("media_type", type_=Id())

_READ_TYPE = select(MediaType.id, MediaType.name, MediaType.builtin).where(MediaType.id == _TYPE)
_READ_LIBRARY = select(Library.id, Library.name, Library.library_type).where(Library.id == _LIBRARY)
_LINK = select(LibraryMediaType.library_id).where(
    LibraryMediaType.library_id == _LIBRARY, LibraryMediaType.media_type_id == _TYPE
)
_DELETE_LINK = delete(LibraryMediaType).where(
    LibraryMediaType.library_id == _LIBRARY, LibraryMediaType.media_type_id == _TYPE
)
_USES = select(
    exists()
    .where(PhysicalMedium.library_id == _LIBRARY, PhysicalMedium.media_type_id == _TYPE)
    .label("media_in_library"),
    exists().where(PhysicalMedium.media_type_id == _TYPE).label("media"),
    exists().where(LibraryMediaType.media_type_id == _TYPE).label("libraries"),
    exists().where(MediaPool.media_type_id == _TYPE).label("pools"),
    exists().where(DriveTypeMediaType.media_type_id == _TYPE).label("drive_types"),
)
_Fit = DriveTypeMediaType
_UNFIT = (
    select(
        DriveType.id.label("drive_type_id"),
        DriveType.name,
        MediaType.id.label("media_type_id"),
        MediaType.name.label("media_type"),
        MediaType.read_write,
    )
    .select_from(DriveType)
    .join(LibraryMediaType, LibraryMediaType.library_id == _LIBRARY)
    .join(MediaType, MediaType.id == LibraryMediaType.media_type_id)
    .where(
        exists().where(Drive.library_id == _LIBRARY, Drive.drive_type_id == DriveType.id),
        ~exists().where(_Fit.drive_type_id == DriveType.id, _Fit.media_type_id == MediaType.id),
    )
    .order_by(DriveType.id, MediaType.id)
)
_INSERT_FIT = insert_row(_Fit)
_UNNEEDED = (
    _Fit.media_type_id == _TYPE,
    ~exists().where(
        Drive.drive_type_id == _Fit.drive_type_id,
        Drive.library_id == LibraryMediaType.library_id,
        LibraryMediaType.media_type_id == _TYPE,
    ),
)
_UNNEEDED_FITS = select(_Fit.drive_type_id).where(*_UNNEEDED).order_by(_Fit.drive_type_id)
_DELETE_FITS = delete(_Fit).where(*_UNNEEDED)
_NEXT_CODE = select(func.coalesce(func.max(MediaType.code), 0) + 1)
_INSERT_TYPE = insert_row(MediaType)


def _get_library(transaction: Transaction, reference: Reference) -> Any:
    library_id = find(transaction, Kind.NTMS_LIBRARY, reference)
    row = None if library_id is None else transaction.row(_READ_LIBRARY, library=library_id)
    if row is None:
        raise InvalidLibraryError(f"there is no library {reference}")
    return row


def _get_type(transaction: Transaction, reference: Reference) -> Any:
    type_id = find(transaction, Kind.NTMS_MEDIA_TYPE, reference)
    row = None if type_id is None else transaction.row(_READ_TYPE, media_type=type_id)
    if row is None:
        raise InvalidMediaError(f"there is no media type {reference}: rsm type list shows those there are")
    return row


def _require(transaction: Transaction, caller: Caller, call: str, library_id: uuid.UUID) -> None:
    rights = need(call, transaction.policy.access_era).library
    access.require_library(transaction, caller, rights, Kind.NTMS_LIBRARY, library_id)


def check_media_type(transaction: Transaction, media_type: Reference) -> None:
    """Refuse a media type that is not on record.

    Raises:
        InvalidMediaError: there is no such media type.
    """
    _get_type(transaction, media_type)


def add_media_type(transaction: Transaction, caller: Caller, media_type: Reference, library: Reference) -> None:
    """Let a library and all its drives take a media type, and make the type's system pools where they are missing.

    Repeating it is no error (AddNtmsMediaType; MS-RSMP 3.2.5.2.2.15).

    Raises:
        InvalidLibraryError: there is no such library.
        InvalidMediaError: there is no such media type.
        AccessDeniedError: the right on the library is missing.
        LibraryOfflineError: it is the offline library.
    """
    target = _get_library(transaction, library)
    added = _get_type(transaction, media_type)
    _require(transaction, caller, "AddNtmsMediaType", target.id)
    if target.library_type == OFFLINE:
        raise LibraryOfflineError("the offline library takes every media type and lists none")
    link_media_type(transaction, "AddNtmsMediaType", target.id, added.id, added.name)
    let_drives_take(transaction, "AddNtmsMediaType", target.id)


def let_drives_take(transaction: Transaction, call: str, library_id: uuid.UUID) -> int:
    """Let the drives of a library take every media type that it takes; return how many pairs of types are new."""
    rows = transaction.rows(_UNFIT, library=library_id)
    for row in rows:
        writes = row.read_write != NtmsReadWriteCharacteristics.NTMS_MEDIARW_READONLY
        fields = {"reads": True, "writes": writes, "protected_only": False}
        transaction.change(_INSERT_FIT, drive_type_id=row.drive_type_id, media_type_id=row.media_type_id, **fields)
        events.record(
            transaction,
            call,
            Operation.NTMS_OBJ_UPDATE,
            Kind.NTMS_DRIVE_TYPE,
            row.drive_type_id,
            before={"media_type": None},
            after={"media_type": row.media_type, **fields},
        )
    return len(rows)


def remove_media_type(transaction: Transaction, caller: Caller, media_type: Reference, library: Reference) -> None:
    """Let a library take a media type no longer; the type's system pools go with its last use.

    (DeleteNtmsMediaType; MS-RSMP 3.2.5.2.2.16.)

    Raises:
        InvalidLibraryError: there is no such library.
        AccessDeniedError: the right on the library is missing.
        InvalidMediaError: there is no such media type, or the library does not take it.
        NotEmptyError: the library holds media of the type.
    """
    target = _get_library(transaction, library)
    _require(transaction, caller, "DeleteNtmsMediaType", target.id)
    removed = _get_type(transaction, media_type)
    if transaction.row(_LINK, library=target.id, media_type=removed.id) is None:
        raise InvalidMediaError(f"library {target.name} does not take {removed.name}")
    if transaction.row(_USES, library=target.id, media_type=removed.id).media_in_library:
        raise NotEmptyError(f"library {target.name} still holds {removed.name} cartridges")
    transaction.change(_DELETE_LINK, library=target.id, media_type=removed.id)
    before, after = {"media_type": removed.name}, {"media_type": None}
    changed = [(Kind.NTMS_LIBRARY, target.id)]
    changed += [
        (Kind.NTMS_DRIVE_TYPE, row.drive_type_id) for row in transaction.rows(_UNNEEDED_FITS, media_type=removed.id)
    ]
    transaction.change(_DELETE_FITS, media_type=removed.id)
    for kind, one in changed:
        events.record(
            transaction, "DeleteNtmsMediaType", Operation.NTMS_OBJ_UPDATE, kind, one, before=before, after=after
        )
    delete_unused_system_pools(transaction, "DeleteNtmsMediaType", removed.id)


def create_media_type(
    transaction: Transaction,
    caller: Caller,
    name: str,
    *,
    sides: int = 1,
    read_write: NtmsReadWriteCharacteristics = NtmsReadWriteCharacteristics.NTMS_MEDIARW_REWRITABLE,
    device_type: int = FILE_DEVICE_TYPE.FILE_DEVICE_TAPE,
    description: str = "",
) -> values.MediaType:
    """Make a media type of one's own, with a code above those of the header, and return it.

    Raises:
        InvalidNameError: the name is not well formed.
        InvalidParameterError: sides, characteristics or device class are out of range.
        AccessDeniedError: no modify right on the computer.
        AlreadyExistsError: there is a media type of that name.
    """
    check_name(name, "media type's name")
    check_description(description)
    if sides not in (1, 2) or read_write not in tuple(NtmsReadWriteCharacteristics) or device_type not in _DEVICE_TYPES:
        raise InvalidParameterError("a media type has 1 or 2 sides and is for tape (31), disk (7) or CD-ROM (2) drives")
    access.require_computer(transaction, caller, AccessRights.MODIFY)
    if find(transaction, Kind.NTMS_MEDIA_TYPE, name) is not None:
        raise AlreadyExistsError(f"there is a media type {name!a} already")
    new = new_id()
    fields = {
        "name": name,
        "description": description,
        "code": max(FIRST_USER_CODE, transaction.rows(_NEXT_CODE)[0][0]),
        "sides": sides,
        "read_write": int(read_write),
        "device_type": int(device_type),
        "builtin": False,
    }
    insert_object(transaction, Kind.NTMS_MEDIA_TYPE, new)
    now, ready = transaction.now, int(NtmsOperationalState.NTMS_READY)
    transaction.change(_INSERT_TYPE, id=new, created=now, modified=now, enabled=True, operational_state=ready, **fields)
    events.record(transaction, "create_media_type", Operation.NTMS_OBJ_INSERT, Kind.NTMS_MEDIA_TYPE, new, after=fields)
    made: values.MediaType = read_value(transaction, Kind.NTMS_MEDIA_TYPE, new)
    return made


def delete_media_type(transaction: Transaction, caller: Caller, media_type: Reference) -> None:
    """Delete a media type of one's own that nothing uses.

    Raises:
        ObjectNotFoundError: there is no such media type.
        AccessDeniedError: no modify right on the computer, or the type came with the program.
        NotEmptyError: a library, drive type, pool or cartridge uses it.
    """
    type_id = find(transaction, Kind.NTMS_MEDIA_TYPE, media_type)
    if type_id is None:
        raise ObjectNotFoundError(f"there is no media type {media_type}")
    access.require_computer(transaction, caller, AccessRights.MODIFY)
    row = transaction.row(_READ_TYPE, media_type=type_id)
    if row.builtin:
        raise AccessDeniedError(f"{row.name} came with the program and stays")
    uses = transaction.row(_USES, library=type_id, media_type=type_id)
    if uses.media or uses.libraries or uses.pools or uses.drive_types:
        raise NotEmptyError(f"{row.name} is in use by a library, drive type, pool or cartridge")
    delete_object(transaction, type_id)
    events.record(
        transaction,
        "delete_media_type",
        Operation.NTMS_OBJ_DELETE,
        Kind.NTMS_MEDIA_TYPE,
        type_id,
        before={"name": row.name},
    )
