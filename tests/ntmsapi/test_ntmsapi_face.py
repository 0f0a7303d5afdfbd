"""The Win32 face where no error is in play: sizes, structures, what is written, servers, handles, and the names."""

import dataclasses
import importlib
import json
import os
import pkgutil
import socket
import stat
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import builders
import pytest
import sqlalchemy
from conftest import ADMINISTRATOR, Postgresql
from ntmsapi.pairs_world import FUNCTIONS, TESTS, World, Worlds, everything, first

from rsm import model, ntmsapi
from rsm.constants import NULL_GUID, ErrorCode
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.ntmsapi import structures
from rsm.security import ALL_RIGHTS, AccessRights, Ace, SecurityDescriptor

BACKENDS = ("sqlite", "postgresql")
FACTS = json.loads((TESTS / "data" / "structures.json").read_text())
SETTABLE = {Kind[name]: set(entry["members"]) for name, entry in FACTS["set_object_information"].items()}
KINDS = list(ntmsapi.INFO_STRUCTURES)
POOL = Kind.NTMS_MEDIA_POOL
WHEN = datetime(2026, 3, 4, 5, 6, 7, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def worlds(
    postgresql: Postgresql, sqlite_templates: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Worlds]:
    with Worlds(postgresql, sqlite_templates, tmp_path_factory.mktemp("worlds")) as made:
        yield made


@pytest.fixture(params=BACKENDS)
def w(request: pytest.FixtureRequest, worlds: Worlds) -> Iterator[World]:
    world = worlds.shared(request.param)
    with world.undo:
        yield world


# Sizes


@pytest.mark.parametrize(("name", "units"), [("a", 3), ("é", 3), ("😀", 4), ("x😀\U0010ffff", 7), ("y" * 63, 65)])
def test_size_of_a_pool_name_counts_utf16_units_and_the_nul(name: str, units: int, w: World) -> None:
    pool = w.pool(path=f"\\{name}")
    assert ntmsapi.GetNtmsMediaPoolName(w.h, pool) == (0, f"\\{name}", units)
    assert ntmsapi.GetNtmsMediaPoolName(w.h, pool, units) == (0, f"\\{name}", units)
    assert ntmsapi.GetNtmsMediaPoolName(w.h, pool, 2**32 - 1)[0] == 0
    assert ntmsapi.GetNtmsMediaPoolName(w.h, pool, units - 1) == (ErrorCode.ERROR_INSUFFICIENT_BUFFER, None, units)
    assert ntmsapi.DeleteNtmsMediaPool(w.h, pool) == 0


def test_pool_names_are_whole_paths(w: World) -> None:
    top = w.path()
    middle, bottom = f"{top}\\Ünïcode ", f"{top}\\Ünïcode \\..\u2028/*"
    for path in (top, middle, bottom):
        pool = w.pool(of_pools=True, path=path)
        assert ntmsapi.GetNtmsMediaPoolName(w.h, pool)[1] == path
    assert ntmsapi.GetNtmsMediaPoolName(w.h, w.system_pool("Free"))[1] == "\\Free\\LTO-8"


def test_listing_gives_the_first_ids_in_order_and_the_number_needed(w: World) -> None:
    pool = w.pool()
    media = sorted(w.medium(pool) for _ in range(5))
    code, ids, count = ntmsapi.EnumerateNtmsObject(w.h, pool, Kind.NTMS_PHYSICAL_MEDIA)
    assert (code, ids, count) == (0, media, 5)
    for room in range(8):
        code, ids, count = ntmsapi.EnumerateNtmsObject(w.h, pool, Kind.NTMS_PHYSICAL_MEDIA, lpdwListSize=room)
        assert (ids, count) == (media[:room], 5)
        assert code == (ErrorCode.ERROR_INSUFFICIENT_BUFFER if room < 5 else 0)


def test_listing_within_each_container(w: World) -> None:
    each, robot = w.one_of_each(), w.robot
    medium, pool = each[Kind.NTMS_PHYSICAL_MEDIA], each[POOL]
    side, logical = each[Kind.NTMS_PARTITION], each[Kind.NTMS_LOGICAL_MEDIA]
    builders.put_online(w.url, medium, robot, slot=7)
    top = w.path()
    parent, child = w.pool(of_pools=True, path=top), w.pool(path=f"{top}\\child")
    expected = {
        (robot.id, Kind.NTMS_CHANGER): robot.changers,
        (robot.id, Kind.NTMS_DRIVE): robot.drives,
        (robot.id, Kind.NTMS_IEDOOR): robot.doors,
        (robot.id, Kind.NTMS_IEPORT): robot.ports,
        (robot.id, Kind.NTMS_LIBREQUEST): robot.requests,
        (robot.id, Kind.NTMS_STORAGESLOT): robot.slots,
        (robot.id, Kind.NTMS_PHYSICAL_MEDIA): [medium],
        (robot.id, Kind.NTMS_MEDIA_TYPE): [w.lto8, w.lto7, w.two_sided],
        (pool, Kind.NTMS_PHYSICAL_MEDIA): [medium],
        (pool, Kind.NTMS_PARTITION): [side],
        (pool, Kind.NTMS_LOGICAL_MEDIA): [logical],
        (pool, POOL): [],
        (parent, POOL): [child],
        (medium, Kind.NTMS_PARTITION): [side],
        (logical, Kind.NTMS_PARTITION): [side],
        (side, Kind.NTMS_LOGICAL_MEDIA): [logical],
    }
    for (container, kind), ids in expected.items():
        assert ntmsapi.EnumerateNtmsObject(w.h, container, kind) == (0, sorted(ids), len(ids))
    for kind, one in each.items():
        assert one in ntmsapi.EnumerateNtmsObject(w.h, None, kind)[1]
    assert child not in ntmsapi.EnumerateNtmsObject(w.h, None, POOL)[1]
    builders.put_in_pool(w.url, medium, pool)
    with builders.behind(w.url) as connection:
        connection.execute(
            sqlalchemy.update(model.PhysicalMedium)
            .where(model.PhysicalMedium.id == medium)
            .values(library_id=w.offline, online=False, slot_id=None, home_slot_id=None)
        )
        connection.execute(sqlalchemy.update(model.Side).where(model.Side.medium_id == medium).values(online=False))


def test_root_pool_comes_first_and_only_when_asked_for(w: World) -> None:
    code, plain, count = ntmsapi.EnumerateNtmsObject(w.h, None, POOL)
    assert (code, count) == (0, len(plain))
    assert w.root not in plain
    assert plain == sorted(plain)
    option = int(ntmsapi.NTMS_ENUM_ROOTPOOL)
    assert ntmsapi.EnumerateNtmsObject(w.h, None, POOL, option) == (0, [w.root, *plain], count + 1)
    code, ids, needed = ntmsapi.EnumerateNtmsObject(w.h, None, POOL, option, 1)
    assert (code, ids, needed) == (ErrorCode.ERROR_INSUFFICIENT_BUFFER, [w.root], count + 1)
    assert ntmsapi.GetNtmsObjectSecurity(w.h, w.root, POOL, ntmsapi.DACL_SECURITY_INFORMATION)[0] == 0
    for pool in plain:
        assert w.information(POOL, pool).Info.Parent == NULL_GUID


def test_sizes_of_descriptors_and_attributes(w: World) -> None:
    pool = w.pool()
    for count in (0, 1, 5):
        dacl = tuple(Ace(n % 2 == 0, f"user:u{n}", AccessRights.USE) for n in range(count))
        w.set_guard(POOL, pool, SecurityDescriptor("user:admin", dacl))
        owner, group, listed = 1, 2, 4
        sizes = {owner: 20 + 28, group: 20, listed: 28 + 36 * count, owner | listed: 56 + 36 * count}
        for parts, size in sizes.items():
            wanted = SecurityDescriptor("user:admin" if parts & owner else None, dacl if parts & listed else None)
            assert ntmsapi.GetNtmsObjectSecurity(w.h, pool, POOL, parts) == (0, wanted, size)
            assert ntmsapi.GetNtmsObjectSecurity(w.h, pool, POOL, parts, size) == (0, wanted, size)
            small = ntmsapi.GetNtmsObjectSecurity(w.h, pool, POOL, parts, size - 1)
            assert small == (ErrorCode.ERROR_INSUFFICIENT_BUFFER, None, size)
    data = bytes(range(256)) * 255 + bytes(255)
    for size in (1, 300, 65_535):
        assert ntmsapi.SetNtmsObjectAttribute(w.h, pool, POOL, "a", data, size) == 0
        assert ntmsapi.GetNtmsObjectAttribute(w.h, pool, POOL, "a") == (0, data[:size], size)
        small = ntmsapi.GetNtmsObjectAttribute(w.h, pool, POOL, "a", size - 1)
        assert small == (ErrorCode.ERROR_INSUFFICIENT_BUFFER, None, size)
    for buffer in (bytearray(b"abc"), memoryview(b"abc")):
        assert ntmsapi.SetNtmsObjectAttribute(w.h, pool, POOL, "a", buffer) == 0  # type: ignore[arg-type]
        assert ntmsapi.GetNtmsObjectAttribute(w.h, pool, POOL, "a") == (0, b"abc", 3)
    assert ntmsapi.SetNtmsObjectAttribute(w.h, pool, POOL, "a", b"abc", 0) == 0
    assert first(ntmsapi.GetNtmsObjectAttribute(w.h, pool, POOL, "a")) == ErrorCode.ERROR_OBJECT_NOT_FOUND


# Structures


def written(w: World) -> tuple[dict[Kind, uuid.UUID], dict[Kind, dict[str, Any]]]:
    """Return an object of every kind, and what its Info must hold: every column was given a value of its own."""
    each, robot = w.one_of_each(), w.library(slots=3, drives=2, doors=1, ports=2, requests=1)
    assert robot.drive_type is not None
    assert robot.changer_type is not None
    top = w.path()
    of_pools = w.pool(of_pools=True, path=top)
    w.pool(path=f"{top}\\a", of_pools=True)
    pool = w.pool(path=f"{top}\\b")
    medium = w.medium(pool, ntmsapi.NTMS_PARTSTATE_ALLOCATED, barcode=w.name("BAR"))
    side = w.session.media.sides(medium)[0]
    assert side.logical_medium is not None
    for media_type in (w.lto8, w.lto7):
        w.session.types.add(media_type, robot.id)
    each |= {
        Kind.NTMS_CHANGER: robot.changers[0],
        Kind.NTMS_CHANGER_TYPE: robot.changer_type,
        Kind.NTMS_DRIVE: robot.drives[1],
        Kind.NTMS_DRIVE_TYPE: robot.drive_type,
        Kind.NTMS_IEDOOR: robot.doors[0],
        Kind.NTMS_IEPORT: robot.ports[1],
        Kind.NTMS_LIBRARY: robot.id,
        Kind.NTMS_LIBREQUEST: robot.requests[0],
        Kind.NTMS_LOGICAL_MEDIA: side.logical_medium,
        Kind.NTMS_MEDIA_POOL: pool,
        Kind.NTMS_PARTITION: side.id,
        Kind.NTMS_PHYSICAL_MEDIA: medium,
        Kind.NTMS_STORAGESLOT: robot.slots[2],
    }
    ids = {name: uuid.uuid4() for name in ("side", "drive", "medium", "slot", "work", "one", "two")}
    scsi = {"scsi_port": 1, "scsi_bus": 2, "scsi_target": 3, "scsi_lun": 4}
    device = {"serial_number": "SN-1", "revision": "R2", **scsi}
    who = {"application": "App", "user_name": "user:x", "computer_name": "box"}
    columns: dict[Kind, dict[str, Any]] = {
        Kind.NTMS_CHANGER: {"number": 3, **device},
        Kind.NTMS_CHANGER_TYPE: {"vendor": w.name("V"), "product": "P", "device_type": 48},
        Kind.NTMS_COMPUTER: {
            "library_request_purge_seconds": 11,
            "operator_request_purge_seconds": 12,
            "library_request_flags": 2,
            "operator_request_flags": 17,
            "media_pool_policy": 3,
        },
        Kind.NTMS_DRIVE: {
            "number": 6, "state": 1, **device, "mount_count": 9, "last_cleaned": WHEN, "defer_dismount_seconds": 77,
        },
        Kind.NTMS_DRIVE_TYPE: {"vendor": w.name("V"), "product": "Q", "heads": 2, "device_type": 31},
        Kind.NTMS_IEDOOR: {"number": 8, "state": 2, "max_open_seconds": 61},
        Kind.NTMS_IEPORT: {"number": 9, "content": 1, "position": 1, "max_extend_seconds": 62},
        Kind.NTMS_LIBRARY: {"inventory_method": 2, "cleaner_uses_remaining": 5, "flags": 20},
        Kind.NTMS_LIBREQUEST: {
            "operation": 3, "operation_option": 2, "state": 5, "priority": -3, "error_code": 4313, "queued": WHEN,
            "completed": WHEN, "side_id": ids["side"], "drive_id": ids["drive"], "medium_id": ids["medium"],
            "slot_id": ids["slot"], "work_item_id": ids["work"], **who,
        },
        Kind.NTMS_MEDIA_POOL: {"allocation_policy": 1, "deallocation_policy": 1, "max_allocates": 13},
        Kind.NTMS_OPREQUEST: {
            "request": 2, "state": 3, "submitted": WHEN, "message": "help", "argument1_kind": 5,
            "argument1_id": ids["one"], "argument2_kind": 9, "argument2_id": ids["two"], **who,
        },
        Kind.NTMS_PARTITION: {
            "label_info": "text", "mount_count": 21, "allocate_count": 22, "capacity_bytes": 2**40, "mounted": True,
            "online": True,
        },
        Kind.NTMS_PHYSICAL_MEDIA: {
            "library_id": robot.id, "online": True, "drive_id": robot.drives[1], "home_slot_id": robot.slots[1],
            "barcode_state": 1, "media_state": 3, "medium_type_code": 31, "density_code": 32,
        },
        Kind.NTMS_STORAGESLOT: {"number": 12, "state": 1, "cleaner": True},
    }  # fmt: skip
    with builders.behind(w.url) as connection:
        for kind in (Kind.NTMS_PHYSICAL_MEDIA, *[kind for kind in columns if kind is not Kind.NTMS_PHYSICAL_MEDIA]):
            table = model.TABLE_OF_KIND[kind]
            connection.execute(sqlalchemy.update(table).where(table.id == each[kind]).values(**columns[kind]))
        slot = model.TABLE_OF_KIND[Kind.NTMS_STORAGESLOT]
        connection.execute(sqlalchemy.update(slot).where(slot.id == robot.slots[0]).values(cleaner_default=True))
        for one in (robot.drives[1], robot.changers[0]):
            path = {"device_id": one, "host": socket.gethostname(), "path": f"/dev/{one}" + "x" * 80}
            connection.execute(sqlalchemy.insert(model.DevicePath).values(**path))
            connection.execute(sqlalchemy.insert(model.DevicePath).values(**path | {"host": "other", "path": "no"}))

    bus = {"ScsiPort": 1, "ScsiBus": 2, "ScsiTarget": 3, "ScsiLun": 4}
    wares = {"szSerialNumber": "SN-1", "szRevision": "R2", **bus}
    caller = {"szApplication": "App", "szUser": "user:x", "szComputer": "box"}
    types = {kind: columns[kind] for kind in (Kind.NTMS_CHANGER_TYPE, Kind.NTMS_DRIVE_TYPE)}
    model_of = {kind: {"szVendor": one["vendor"], "szProduct": one["product"]} for kind, one in types.items()}
    medium_row = w.session.media.get(medium)
    expected: dict[Kind, dict[str, Any]] = {
        Kind.NTMS_CHANGER: {
            "Number": 3, "ChangerType": robot.changer_type, **wares, "Library": robot.id,
            "szDeviceName": f"/dev/{robot.changers[0]}" + "x" * 80,
        },
        Kind.NTMS_CHANGER_TYPE: {**model_of[Kind.NTMS_CHANGER_TYPE], "DeviceType": 48},
        Kind.NTMS_COMPUTER: {
            "dwLibRequestPurgeTime": 11, "dwOpRequestPurgeTime": 12, "dwLibRequestFlags": 2, "dwOpRequestFlags": 17,
            "dwMediaPoolPolicy": 3,
        },
        Kind.NTMS_DRIVE: {
            "Number": 6, "State": 1, "DriveType": robot.drive_type, **wares, "dwMountCount": 9, "LastCleanedTs": WHEN,
            "szDeviceName": f"/dev/{robot.drives[1]}" + "x" * 80, "SavedPartitionId": side.id, "Library": robot.id,
            "Reserved": NULL_GUID, "dwDeferDismountDelay": 77,
        },
        Kind.NTMS_DRIVE_TYPE: {**model_of[Kind.NTMS_DRIVE_TYPE], "NumberOfHeads": 2, "DeviceType": 31},
        Kind.NTMS_IEDOOR: {"Number": 8, "State": 2, "MaxOpenSecs": 61, "Library": robot.id},
        Kind.NTMS_IEPORT: {"Number": 9, "Content": 1, "Position": 1, "MaxExtendSecs": 62, "Library": robot.id},
        Kind.NTMS_LIBRARY: {
            "LibraryType": 2, "CleanerSlot": robot.slots[2], "CleanerSlotDefault": robot.slots[0],
            "LibrarySupportsDriveCleaning": True, "BarCodeReaderInstalled": True, "InventoryMethod": 2,
            "dwCleanerUsesRemaining": 5, "FirstDriveNumber": 0, "dwNumberOfDrives": 2, "FirstSlotNumber": 0,
            "dwNumberOfSlots": 3, "FirstDoorNumber": 8, "dwNumberOfDoors": 1, "FirstPortNumber": 0,
            "dwNumberOfPorts": 2, "FirstChangerNumber": 3, "dwNumberOfChangers": 1, "dwNumberOfMedia": 1,
            "dwNumberOfMediaTypes": 2, "dwNumberOfLibRequests": 1, "Reserved": NULL_GUID, "AutoRecovery": True,
            "dwFlags": 20,
        },
        Kind.NTMS_LIBREQUEST: {
            "OperationCode": 3, "OperationOption": 2, "State": 5, "PartitionId": ids["side"], "DriveId": ids["drive"],
            "PhysMediaId": ids["medium"], "Library": robot.id, "SlotId": ids["slot"], "TimeQueued": WHEN,
            "TimeCompleted": WHEN, **caller, "dwErrorCode": 4313, "WorkItemId": ids["work"], "dwPriority": 2**32 - 3,
        },
        Kind.NTMS_LOGICAL_MEDIA: {"MediaPool": pool, "dwNumberOfPartitions": 1},
        Kind.NTMS_MEDIA_POOL: {
            "PoolType": 1000, "MediaType": w.lto8, "Parent": of_pools, "AllocationPolicy": 1, "DeallocationPolicy": 1,
            "dwMaxAllocates": 13, "dwNumberOfPhysicalMedia": 1, "dwNumberOfLogicalMedia": 1, "dwNumberOfMediaPools": 0,
        },
        Kind.NTMS_MEDIA_TYPE: {
            "MediaType": 1008, "NumberOfSides": 1, "ReadWriteCharacteristics": 1, "DeviceType": 31,
        },
        Kind.NTMS_OPREQUEST: {
            "Request": 2, "Submitted": WHEN, "State": 3, "szMessage": "help", "Arg1Type": 5, "Arg1": ids["one"],
            "Arg2Type": 9, "Arg2": ids["two"], **caller,
        },
        Kind.NTMS_PARTITION: {
            "PhysicalMedia": medium, "LogicalMedia": side.logical_medium, "State": 5, "Side": 0,
            "dwOmidLabelIdLength": 16, "OmidLabelId": side.label_id, "szOmidLabelType": "MTF",
            "szOmidLabelInfo": "text", "dwMountCount": 21, "dwAllocateCount": 22, "Capacity": 2**40,
        },
        Kind.NTMS_PHYSICAL_MEDIA: {
            "CurrentLibrary": robot.id, "MediaPool": pool, "Location": robot.drives[1],
            "LocationType": int(Kind.NTMS_DRIVE), "MediaType": w.lto8, "HomeSlot": robot.slots[1],
            "szBarCode": medium_row.barcode, "BarCodeState": 1, "szSequenceNumber": medium_row.sequence_number,
            "MediaState": 3, "dwNumberOfPartitions": 1, "dwMediaTypeCode": 31, "dwDensityCode": 32,
            "MountedPartition": side.id,
        },
        Kind.NTMS_STORAGESLOT: {"Number": 12, "State": 1, "Library": robot.id},
    }  # fmt: skip
    return each, expected


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_member_of_every_structure_shows_the_record(backend: str, worlds: Worlds) -> None:
    w = worlds.fresh(backend)
    each, expected = written(w)
    for kind in KINDS:
        table = model.TABLE_OF_KIND[kind]
        header = {
            "description": f"about {kind.name}",
            "created": WHEN,
            "modified": WHEN.replace(year=2027),
            "enabled": False,
            "operational_state": 20,
        }
        with builders.behind(w.url) as connection:
            connection.execute(sqlalchemy.update(table).where(table.id == each[kind]).values(**header))
            name = connection.execute(sqlalchemy.select(table.name).where(table.id == each[kind])).scalar_one()
        for asked in (int(kind), ntmsapi.NTMS_OBJECTINFORMATION(dwType=int(kind))):
            code, info = ntmsapi.GetNtmsObjectInformation(w.h, each[kind], asked)
            assert code == 0
            assert isinstance(asked, int) or info is asked
            assert dataclasses.asdict(info.Info) == expected[kind], kind.name
            shown = {field.name: getattr(info, field.name) for field in dataclasses.fields(info)[:-1]}
            assert shown == {
                "dwSize": 1408,
                "dwType": int(kind),
                "Created": WHEN,
                "Modified": WHEN.replace(year=2027),
                "ObjectGuid": each[kind],
                "Enabled": False,
                "dwOperationalState": 20,
                "szName": name,
                "szDescription": f"about {kind.name}",
            }
            assert all(type(value) in (int, str, bool, bytes, uuid.UUID, datetime) for value in expected[kind].values())


def test_absent_references_are_null_guids_and_absent_times_none(w: World) -> None:
    medium = w.information(Kind.NTMS_PHYSICAL_MEDIA, w.medium()).Info
    assert (medium.Location, medium.HomeSlot, medium.MountedPartition) == (NULL_GUID,) * 3
    assert medium.CurrentLibrary == w.offline
    drive = w.information(Kind.NTMS_DRIVE, w.robot.drives[0]).Info
    assert (drive.LastCleanedTs, drive.SavedPartitionId, drive.szDeviceName) == (None, NULL_GUID, "")
    pool = w.information(POOL, w.pool(of_pools=True)).Info
    assert (pool.MediaType, pool.Parent) == (NULL_GUID, NULL_GUID)


def test_new_cartridge_comes_back_filled_in_and_as_preset(w: World) -> None:
    pool, preset = w.pool(w.two_sided), [uuid.uuid4() for _ in range(4)]
    given = {"szName": "Mine", "szDescription": "d", "Enabled": True, "szBarCode": w.name("C"), "dwDensityCode": 7}
    medium = w.medium_structure(pool, 2, ObjectGuid=preset[0], dwMediaTypeCode=9, CurrentLibrary=w.offline, **given)
    sides = [
        w.side_structure(ObjectGuid=preset[1], State=5, LogicalMedia=preset[3], szName="A", Capacity=2**50),
        w.side_structure(ObjectGuid=preset[2], dwMountCount=3, dwAllocateCount=4, szOmidLabelInfo="i"),
    ]
    sides[0].Info.OmidLabelId += b"and more than the length says"
    code, filled, filled_sides = ntmsapi.CreateNtmsMedia(w.h, medium, sides)
    assert (code, filled) == (0, medium)
    assert filled is medium
    assert all(one is other for one, other in zip(filled_sides, sides, strict=True))
    assert filled == w.information(Kind.NTMS_PHYSICAL_MEDIA, preset[0])
    assert sides == [w.information(Kind.NTMS_PARTITION, one) for one in preset[1:3]]
    assert {name: getattr(medium if hasattr(medium, name) else medium.Info, name) for name in given} == given
    assert [side.Info.Side for side in sides] == [0, 1]
    assert [side.Info.dwOmidLabelIdLength for side in sides] == [16, 16]
    assert [side.szName for side in sides] == ["A", "Mine"]
    assert sides[0].Info.LogicalMedia == preset[3]
    assert (sides[1].Info.LogicalMedia, sides[1].Info.dwMountCount, sides[1].Info.dwAllocateCount) == (NULL_GUID, 3, 4)


# Setting


def other_value(kind: Kind, name: str, value: Any) -> Any:
    """Return another value for a member, valid where it can be set."""
    chosen = {"dwFlags": 20, "InventoryMethod": 0, "dwLibRequestFlags": 1, "dwOpRequestFlags": 16, "szName": "New name"}
    if name in chosen:
        return chosen[name]
    if name in ("AllocationPolicy", "DeallocationPolicy", "dwMediaPoolPolicy"):
        return 1 - value
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, (str, bytes)):
        return value + value[:0].__class__(b"z" if isinstance(value, bytes) else "z")
    return uuid.uuid4() if isinstance(value, uuid.UUID) else WHEN


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_set_writes_exactly_the_writable_members(kind: Kind, backend: str, worlds: Worlds) -> None:
    w = worlds.shared(backend)
    one = w.pool() if kind is POOL else w.library().id if kind is Kind.NTMS_LIBRARY else w.one_of_each()[kind]
    before, info = (w.information(kind, one) for _ in range(2))
    for part in (info, info.Info):
        for field in dataclasses.fields(part):
            if field.name not in ("dwSize", "dwType", "Info"):
                setattr(part, field.name, other_value(kind, field.name, getattr(part, field.name)))
    if kind is POOL:
        info.szName, info.Info.MediaType = w.name("Renamed"), w.lto7
    wanted = dataclasses.asdict(info)
    last = len(w.session.events.list(object_=one))
    assert ntmsapi.SetNtmsObjectInformation(w.h, one, info) == 0
    assert dataclasses.asdict(info) == wanted  # the caller's structure is read only
    after = w.information(kind, one)
    changed = {
        field.name
        for old, new in ((before, after), (before.Info, after.Info))
        for field in dataclasses.fields(old)
        if field.name != "Info" and getattr(old, field.name) != getattr(new, field.name)
    }
    assert changed == SETTABLE[kind] | {"Modified"}
    for name in SETTABLE[kind]:
        holders = [part for part in (info, info.Info) if hasattr(part, name)]
        assert getattr(after if holders[0] is info else after.Info, name) == getattr(holders[0], name)
    assert len(w.session.events.list(object_=one)) == last + 1
    assert ntmsapi.SetNtmsObjectInformation(w.h, one, before) == 0
    again = w.information(kind, one)
    assert again == dataclasses.replace(before, Modified=again.Modified, Info=before.Info)


def test_writing_back_what_was_read_changes_nothing(w: World) -> None:
    each = w.one_of_each()
    pools = [
        w.root,
        w.system_pool("Free"),
        w.system_pool("Import"),
        w.system_pool("Unrecognized"),
        w.pool(of_pools=True),
    ]
    found = [*each.items(), *((POOL, pool) for pool in pools), (Kind.NTMS_LIBRARY, w.offline)]
    before = everything(w.url)
    for kind, one in found:
        assert ntmsapi.SetNtmsObjectInformation(w.h, one, w.information(kind, one)) == 0
    for kind, one in (item for item in found if item[0] in (POOL, Kind.NTMS_LIBRARY, Kind.NTMS_COMPUTER)):
        _, descriptor, _ = ntmsapi.GetNtmsObjectSecurity(w.h, one, kind, 5)
        assert ntmsapi.SetNtmsObjectSecurity(w.h, one, kind, 5, descriptor) == 0
    assert ntmsapi.AddNtmsMediaType(w.h, w.lto8, w.robot.id) == 0
    assert everything(w.url) == before


def test_last_writer_wins(w: World) -> None:
    pool, other = w.pool(), w.new_handle()
    mine = w.information(POOL, pool, szDescription="mine", dwMaxAllocates=5)
    _, theirs = ntmsapi.GetNtmsObjectInformation(other, pool, int(POOL))
    theirs.szDescription, theirs.Info.AllocationPolicy = "theirs", 1
    assert ntmsapi.SetNtmsObjectInformation(w.h, pool, mine) == 0
    assert ntmsapi.SetNtmsObjectInformation(other, pool, theirs) == 0
    now = w.information(POOL, pool)
    assert (now.szDescription, now.Info.dwMaxAllocates, now.Info.AllocationPolicy) == ("theirs", 0, 1)


def test_service_of_a_cartridge_takes_its_sides_along(w: World) -> None:
    medium = w.medium(w.pool(w.two_sided), sides=2)
    for call, enabled in ((ntmsapi.DisableNtmsObject, False), (ntmsapi.EnableNtmsObject, True)):
        assert call(w.h, Kind.NTMS_PHYSICAL_MEDIA, medium) == 0
        assert w.information(Kind.NTMS_PHYSICAL_MEDIA, medium).Enabled is enabled
        assert [side.enabled for side in w.session.media.sides(medium)] == [enabled, enabled]


@pytest.mark.parametrize("action", ["NTMS_OPEN_EXISTING", "NTMS_OPEN_ALWAYS"])
def test_opening_a_pool_needs_no_right_and_changes_nothing(action: str, w: World) -> None:
    path = w.path()
    pool = w.pool(path=path)
    w.protect(POOL, pool, Ace(False, "everyone", ALL_RIGHTS))
    w.protect(POOL, w.root, Ace(False, "everyone", ALL_RIGHTS))
    alice = w.handle(w.session.caller.__class__("user:alice", ("group:staff",)))
    before, option = everything(w.url), getattr(ntmsapi, action)
    for name in (path, path[1:]):
        for media_type in (None, w.lto8, w.lto7):
            assert ntmsapi.CreateNtmsMediaPool(alice, name, media_type, option) == (0, pool)
    assert everything(w.url) == before


# Servers


def opened(*arguments: Any) -> str:
    """Open a session, close it, and return the catalogue it was on."""
    code, handle = ntmsapi.OpenNtmsSession(*arguments, caller=ADMINISTRATOR)
    assert code == 0
    label = ntmsapi.calls.session_of(handle).database
    assert ntmsapi.CloseNtmsSession(handle) == 0
    return str(label)


def test_default_server_is_the_environments(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSM_DATABASE", w.url)
    name = socket.gethostname()
    expected = w.session.database
    for server in (None, ".", "localhost", "LOCALHOST", "\\\\localhost", name, f"\\\\{name}", name.upper()):
        assert opened(server) == expected
    assert opened() == expected


def test_server_names_a_catalogue_by_slash_url_or_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worlds: Worlds
) -> None:
    monkeypatch.setenv("RSM_DATABASE", str(tmp_path / "usual.db"))
    monkeypatch.chdir(tmp_path)
    new = tmp_path / "deep" / "new.db"
    assert opened(str(new)) == opened(f"sqlite:///{new}") == f"sqlite:///{new}"
    assert stat.S_IMODE(new.stat().st_mode) == 0o600
    assert stat.S_IMODE(new.parent.stat().st_mode) == 0o700
    os.rename(new, tmp_path / "here.db")
    assert opened("here.db") == opened("./here.db") == f"sqlite:///{tmp_path}/here.db"
    assert ntmsapi.OpenNtmsSession("nothing.db") == (ErrorCode.ERROR_NOT_CONNECTED, None)
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".db") == ["here.db"]
    empty = worlds.url("postgresql", empty=True)
    assert opened(empty) == opened(empty)


# Handles and names


def test_handles_are_unequal_and_never_used_again(w: World) -> None:
    handles = []
    for _ in range(20):
        code, handle = ntmsapi.OpenNtmsSession(w.url, caller=ADMINISTRATOR)
        assert code == 0
        handles.append(handle)
        if len(handles) % 2:
            assert ntmsapi.CloseNtmsSession(handle) == 0
    texts = {repr(handle) for handle in handles}
    assert len(set(handles)) == len(texts) == 20
    assert not any(str(w.url) in text for text in texts)
    codes = [first(ntmsapi.EnumerateNtmsObject(handle, None, POOL)) for handle in handles]
    assert codes == [ErrorCode.ERROR_INVALID_HANDLE, 0] * 10
    assert [ntmsapi.CloseNtmsSession(handle) for handle in handles[1::2]] == [0] * 10


def test_one_handle_serves_many_threads(w: World) -> None:
    handle, made = w.new_handle(), []

    def work(number: int) -> None:
        for _ in range(5):
            code, pool = ntmsapi.CreateNtmsMediaPool(handle, f"\\thread-{number}", w.lto8, ntmsapi.NTMS_CREATE_NEW)
            made.append((code, ntmsapi.DeleteNtmsMediaPool(handle, pool)))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert made == [(0, 0)] * 20


def test_everything_of_the_header_is_there() -> None:
    constants = json.loads((TESTS / "data" / "constants.json").read_text())
    enums = {**constants["enums"], **constants["external_enums"]}
    members = {name: (enum.get("members") or enum) for name, enum in enums.items()}
    wrong = [
        member
        for name, values in members.items()
        for member, value in values.items()
        if getattr(ntmsapi, member) != value or not hasattr(ntmsapi, name)
    ]
    plain = {**constants["defines"], **constants["external_defines"], **constants["array_lengths"]}
    plain |= {**constants["media_label_lengths"], **constants["errors"], **constants["protocol_errors"]}
    wrong += [name for name, value in plain.items() if getattr(ntmsapi, name) != value]
    assert wrong == []
    assert str(ntmsapi.NULL_GUID) == constants["null_guid"]
    structures = [*FACTS["structs"], *FACTS["i1_structs"]]
    assert all(dataclasses.is_dataclass(getattr(ntmsapi, name)) for name in structures)
    variants = [name + form for name, entry in FACTS["structs"].items() for form in entry["variants"]]
    assert all(dataclasses.is_dataclass(getattr(ntmsapi, name)) for name in variants)


def test_every_call_is_there_once() -> None:
    modules = [importlib.import_module(f"rsm.ntmsapi.{found.name}") for found in pkgutil.iter_modules(ntmsapi.__path__)]
    calls = [name for module in modules if module is not structures for name in getattr(module, "__all__", ())]
    assert sorted(calls) == sorted(FUNCTIONS)
    assert len(FUNCTIONS) == 61
    assert all(callable(getattr(ntmsapi, name)) and getattr(ntmsapi, name).__doc__ for name in FUNCTIONS)
