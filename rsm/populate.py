"""The rows that a new catalogue begins with: itself, the computer, the offline library, the root and system pools, and
the media types. It runs once, in the transaction that made the tables.
"""

import socket
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, insert

from rsm import db, model
from rsm.constants import (
    FILE_DEVICE_TYPE,
    STORAGE_MEDIA_TYPE,
    NtmsInventoryMethod,
    NtmsLibraryFlags,
    NtmsLibraryType,
    NtmsOperationalState,
    NtmsPoolType,
    NtmsReadWriteCharacteristics,
)
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.security import ADMINISTRATORS, AccessEra, Caller, default_dacl

EVENT_KEEP_DAYS = 400
PURGE_SECONDS = 259_200
SYSTEM_POOLS = {
    NtmsPoolType.NTMS_POOLTYPE_SCRATCH: "Free",
    NtmsPoolType.NTMS_POOLTYPE_FOREIGN: "Unrecognized",
    NtmsPoolType.NTMS_POOLTYPE_IMPORT: "Import",
}
LTO_CODE, LTO_GENERATIONS = 1000, range(1, 11)


def populate(
    connection: Connection, creator: Caller, access_era: AccessEra, administrators: str, operators: str
) -> None:
    """Store the rows that every catalogue begins with."""
    now = datetime.now(UTC)
    connection.execute(
        insert(model.Catalogue).values(
            id=1,
            revision=db.REVISION,
            min_reader=db.MINIMUM_READER,
            min_writer=db.MINIMUM_WRITER,
            access_era=int(access_era),
            creator=creator.user,
            administrators=administrators,
            operators=operators,
            event_keep_days=EVENT_KEEP_DAYS,
            created=now,
            settings={},
        )
    )
    guards = [_add_computer(connection, now), _add_offline_library(connection, now)]
    root = _add_pool(connection, now, "", None, NtmsPoolType.NTMS_POOLTYPE_UNKNOWN)
    pools = [_add_pool(connection, now, name, root, kind) for kind, name in SYSTEM_POOLS.items()]
    for guard in (*guards, root, *pools):
        _protect(connection, guard)
    for code, name, sides, read_write, device_type in builtin_media_types():
        _add(
            connection,
            Kind.NTMS_MEDIA_TYPE,
            now,
            name,
            code=code,
            sides=sides,
            read_write=read_write,
            device_type=device_type,
            builtin=True,
        )


def _add_computer(connection: Connection, now: datetime) -> uuid.UUID:
    return _add(
        connection,
        Kind.NTMS_COMPUTER,
        now,
        socket.gethostname() or "localhost",
        owner=ADMINISTRATORS,
        library_request_purge_seconds=PURGE_SECONDS,
        operator_request_purge_seconds=PURGE_SECONDS,
        library_request_flags=0,
        operator_request_flags=0,
        media_pool_policy=0,
    )


def _add_offline_library(connection: Connection, now: datetime) -> uuid.UUID:
    return _add(
        connection,
        Kind.NTMS_LIBRARY,
        now,
        "Offline",
        owner=ADMINISTRATORS,
        library_type=NtmsLibraryType.NTMS_LIBRARYTYPE_OFFLINE,
        online=False,
        supports_cleaning=False,
        barcode_reader=False,
        inventory_method=NtmsInventoryMethod.NTMS_INVENTORY_NONE,
        cleaner_uses_remaining=0,
        auto_recovery=False,
        flags=NtmsLibraryFlags.NTMS_LIBRARYFLAG_FIXEDOFFLINE,
        back_end="",
        address="",
        configuration={},
        epoch=0,
    )


def _protect(connection: Connection, guard: uuid.UUID) -> None:
    for position, ace in enumerate(default_dacl()):
        entry = {"allow": ace.allow, "trustee": ace.trustee, "rights": int(ace.rights), "inherited": False}
        connection.execute(insert(model.AccessControlEntry).values(object_id=guard, position=position, **entry))


def _add(connection: Connection, kind: Kind, now: datetime, name: str, **fields: Any) -> uuid.UUID:
    new = db.new_id()
    connection.execute(insert(model.Object).values(id=new, kind=int(kind)))
    connection.execute(
        insert(model.TABLE_OF_KIND[kind]).values(
            id=new,
            name=name,
            description="",
            created=now,
            modified=now,
            enabled=True,
            operational_state=int(NtmsOperationalState.NTMS_READY),
            **fields,
        )
    )
    return new


def _add_pool(
    connection: Connection, now: datetime, name: str, parent: uuid.UUID | None, kind: NtmsPoolType
) -> uuid.UUID:
    return _add(
        connection,
        Kind.NTMS_MEDIA_POOL,
        now,
        name,
        owner=ADMINISTRATORS,
        parent_id=parent,
        pool_type=kind,
        media_type_id=None,
        allocation_policy=0,
        deallocation_policy=0,
        max_allocates=0,
    )


_DISCS = range(STORAGE_MEDIA_TYPE.CD_ROM, STORAGE_MEDIA_TYPE.IOMEGA_ZIP)
_CARTRIDGE_DISKS = range(STORAGE_MEDIA_TYPE.IOMEGA_ZIP, STORAGE_MEDIA_TYPE.AVATAR_F2 + 1)
_TWO_SIDED = frozenset(
    {
        STORAGE_MEDIA_TYPE.MO_5_WO,
        STORAGE_MEDIA_TYPE.MO_5_RW,
        STORAGE_MEDIA_TYPE.MO_5_LIMDOW,
        STORAGE_MEDIA_TYPE.ABL_5_WO,
        STORAGE_MEDIA_TYPE.PINNACLE_APEX_5_RW,
        STORAGE_MEDIA_TYPE.SONY_12_WO,
        STORAGE_MEDIA_TYPE.PHILIPS_12_WO,
        STORAGE_MEDIA_TYPE.HITACHI_12_WO,
        STORAGE_MEDIA_TYPE.CYGNET_12_WO,
        STORAGE_MEDIA_TYPE.KODAK_14_WO,
        STORAGE_MEDIA_TYPE.MO_NFR_525,
        STORAGE_MEDIA_TYPE.NIKON_12_RW,
    }
)
_READ_ONLY = frozenset({STORAGE_MEDIA_TYPE.CD_ROM, STORAGE_MEDIA_TYPE.DVD_ROM})
_CD = range(STORAGE_MEDIA_TYPE.CD_ROM, STORAGE_MEDIA_TYPE.MO_3_RW)


def builtin_media_types() -> Iterator[tuple[int, str, int, NtmsReadWriteCharacteristics, FILE_DEVICE_TYPE]]:
    """Yield code, name, number of sides, characteristics and device class of every media type that comes along."""
    tape, rewritable = FILE_DEVICE_TYPE.FILE_DEVICE_TAPE, NtmsReadWriteCharacteristics.NTMS_MEDIARW_REWRITABLE
    for code in STORAGE_MEDIA_TYPE:
        read_write = rewritable
        if code in _READ_ONLY:
            read_write = NtmsReadWriteCharacteristics.NTMS_MEDIARW_READONLY
        elif code.name.endswith(("_WO", "_R")) and code in _DISCS:
            read_write = NtmsReadWriteCharacteristics.NTMS_MEDIARW_WRITEONCE
        device = tape
        if code in _CD:
            device = FILE_DEVICE_TYPE.FILE_DEVICE_CD_ROM
        elif code in _DISCS or code in _CARTRIDGE_DISKS or code is STORAGE_MEDIA_TYPE.DVD_RAM:
            device = FILE_DEVICE_TYPE.FILE_DEVICE_DISK
        name = "LTO Ultrium" if code is STORAGE_MEDIA_TYPE.LTO_Ultrium else code.name
        yield int(code), name, 2 if code in _TWO_SIDED else 1, read_write, device
    for generation in LTO_GENERATIONS:
        yield LTO_CODE + generation, f"LTO-{generation}", 1, rewritable, tape
