"""What programs and people did with removable storage, from setting up to recovering from a disaster.

One story through the Win32 face alone, on a library that is really worked. Cartridges are carried by hand, which is a
rename; the changes that a program waits for it hears of by a notification.
"""

import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from conftest import ADMINISTRATOR

import rsm
from rsm.constants import ErrorCode
from rsm.libraries import virtual
from rsm.ntmsapi import (
    DACL_SECURITY_INFORMATION,
    ERROR_ALREADY_EXISTS,
    ERROR_BUSY,
    ERROR_CANCELLED,
    ERROR_INVALID_HANDLE,
    ERROR_INVALID_MEDIA,
    ERROR_INVALID_MEDIA_POOL,
    ERROR_INVALID_STATE,
    ERROR_MEDIA_OFFLINE,
    ERROR_MEDIA_UNAVAILABLE,
    ERROR_NOT_READY,
    ERROR_OBJECT_NOT_FOUND,
    ERROR_SUCCESS,
    ERROR_TIMEOUT,
    ERROR_WRITE_PROTECT,
    INFINITE,
    NTMS_ALLOCATE_FROMSCRATCH,
    NTMS_ALLOCATE_NEW,
    NTMS_ALLOCATE_NEXT,
    NTMS_CREATE_NEW,
    NTMS_DEALLOCATE_TOSCRATCH,
    NTMS_DISMOUNT_DEFERRED,
    NTMS_DISMOUNT_IMMEDIATE,
    NTMS_DRIVE,
    NTMS_DRIVESTATE_DISMOUNTED,
    NTMS_EJECT_START,
    NTMS_IEPORT,
    NTMS_INJECT_START,
    NTMS_INVENTORY_DEFAULT,
    NTMS_INVENTORY_FAST,
    NTMS_LIBRARY,
    NTMS_LIBREQUEST,
    NTMS_LM_INPROCESS,
    NTMS_LM_PASSED,
    NTMS_LM_QUEUED,
    NTMS_LM_WAITING,
    NTMS_LOGICAL_MEDIA,
    NTMS_MEDIA_POOL,
    NTMS_MEDIA_TYPE,
    NTMS_MOUNT_ERROR_OFFLINE,
    NTMS_MOUNT_NOWAIT,
    NTMS_MOUNT_WRITE,
    NTMS_OBJECT,
    NTMS_OBJECTINFORMATION,
    NTMS_OMID_TYPE_RAW_LABEL,
    NTMS_OPEN_EXISTING,
    NTMS_OPREQ_MESSAGE,
    NTMS_OPREQ_MOVEMEDIA,
    NTMS_OPREQUEST,
    NTMS_PARTITION,
    NTMS_PARTSTATE_ALLOCATED,
    NTMS_PARTSTATE_AVAILABLE,
    NTMS_PARTSTATE_DECOMMISSIONED,
    NTMS_PARTSTATE_FOREIGN,
    NTMS_PARTSTATE_RESERVED,
    NTMS_PARTSTATE_UNKNOWN,
    NTMS_PHYSICAL_MEDIA,
    NTMS_POOLTYPE_APPLICATION,
    NTMS_PORTCONTENT_FULL,
    NULL_GUID,
    AllocateNtmsMedia,
    CancelNtmsOperatorRequest,
    CloseNtmsNotification,
    CloseNtmsSession,
    CreateNtmsMediaPool,
    DeallocateNtmsMedia,
    DeleteNtmsMedia,
    DeleteNtmsRequests,
    DismountNtmsDrive,
    DismountNtmsMedia,
    EjectNtmsMedia,
    EnumerateNtmsObject,
    ExportNtmsDatabase,
    GetNtmsMediaPoolName,
    GetNtmsObjectInformation,
    GetNtmsObjectSecurity,
    ImportNtmsDatabase,
    InjectNtmsMedia,
    InventoryNtmsLibrary,
    MountNtmsMedia,
    MoveToNtmsMediaPool,
    OpenNtmsNotification,
    OpenNtmsSession,
    SatisfyNtmsOperatorRequest,
    SetNtmsMediaComplete,
    SetNtmsObjectInformation,
    SetNtmsObjectSecurity,
    SubmitNtmsOperatorRequest,
    UpdateNtmsOmidInfo,
    WaitForNtmsNotification,
    WaitForNtmsOperatorRequest,
)

LONG = 60_000
LTO, OPTICAL = "LTO-8", "MO_5_RW"
VOL1 = "ANSI VOL1"


def volume_label(serial: str) -> bytes:
    """Return the label that the application writes: 80 bytes with a serial number of six characters."""
    return f"VOL1{serial:<75}4".encode()


def sure(answer: Any) -> Any:
    """Return the results of a call that succeeds: none, one, or a list."""
    code, *results = answer if isinstance(answer, tuple) else (answer,)
    assert code == ERROR_SUCCESS, code
    return results[0] if len(results) == 1 else results


@dataclass
class Program:
    """A program with a session, and a notification of all that changes."""

    url: str
    name: str = "Vault"

    def __post_init__(self) -> None:
        self.connect()

    def connect(self) -> None:
        self.h = sure(OpenNtmsSession(self.url, self.name, caller=ADMINISTRATOR))
        self.changes = sure(OpenNtmsNotification(self.h, NTMS_OBJECT))

    def close(self) -> None:
        assert CloseNtmsNotification(self.changes) == ERROR_SUCCESS
        assert CloseNtmsSession(self.h) == ERROR_SUCCESS
        assert CloseNtmsSession(self.h) == ERROR_INVALID_HANDLE

    def until(self, found: Callable[[], Any]) -> Any:
        """Wait until something is so, looking again at every change."""
        while not (result := found()):
            sure(WaitForNtmsNotification(self.changes, LONG))
        return result

    def all(self, kind: int, container: uuid.UUID | None = None) -> list[uuid.UUID]:
        ids, count = sure(EnumerateNtmsObject(self.h, container, kind))
        assert len(ids) == count
        return list(ids)

    def object(self, kind: int, thing: uuid.UUID) -> NTMS_OBJECTINFORMATION:
        found: NTMS_OBJECTINFORMATION = sure(GetNtmsObjectInformation(self.h, thing, kind))
        return found

    def info(self, kind: int, thing: uuid.UUID) -> Any:
        return self.object(kind, thing).Info

    def named(self, kind: int, name: str, container: uuid.UUID | None = None) -> uuid.UUID:
        (found,) = [each for each in self.all(kind, container) if self.object(kind, each).szName == name]
        return found

    def pool(self, path: str) -> uuid.UUID:
        found: uuid.UUID = sure(CreateNtmsMediaPool(self.h, path, None, NTMS_OPEN_EXISTING))
        return found

    def media(self) -> dict[str, uuid.UUID]:
        return {self.info(NTMS_PHYSICAL_MEDIA, each).szBarCode: each for each in self.all(NTMS_PHYSICAL_MEDIA)}

    def sides(self, barcode: str) -> list[uuid.UUID]:
        return self.all(NTMS_PARTITION, self.media()[barcode])

    def states(self, barcode: str) -> list[int]:
        return [self.info(NTMS_PARTITION, side).State for side in self.sides(barcode)]

    def pool_of(self, barcode: str) -> str:
        name, _ = sure(GetNtmsMediaPoolName(self.h, self.info(NTMS_PHYSICAL_MEDIA, self.media()[barcode]).MediaPool))
        return str(name)

    def held(self, pool: uuid.UUID) -> dict[uuid.UUID, tuple[str, bytes]]:
        """Return the logical media of a pool, each with the label on record for its side."""
        found = {}
        for medium in self.all(NTMS_LOGICAL_MEDIA, pool):
            (side,) = self.all(NTMS_PARTITION, medium)
            found[medium] = self.label(side)
        return found

    def label(self, side: uuid.UUID) -> tuple[str, bytes]:
        info = self.info(NTMS_PARTITION, side)
        return info.szOmidLabelType, info.OmidLabelId

    def mounted(self, medium: uuid.UUID, options: int = 0) -> Path:
        """Mount a medium and return the device."""
        (drive,) = sure(MountNtmsMedia(self.h, [medium], dwOptions=options, dwTimeout=LONG))
        return Path(self.info(NTMS_DRIVE, drive).szDeviceName)

    def dismount(self, medium: uuid.UUID, options: int = int(NTMS_DISMOUNT_IMMEDIATE)) -> None:
        assert DismountNtmsMedia(self.h, [medium], dwOptions=options) == ERROR_SUCCESS

    def at_rest(self, call: Callable[[], ErrorCode]) -> ErrorCode:
        """Make a call, again while what it is about is being carried or worked, and return what it comes to."""
        codes: list[ErrorCode] = []

        def is_over() -> bool:
            codes.append(call())
            return codes[-1] != ERROR_BUSY

        self.until(is_over)
        return codes[-1]


@dataclass
class Site:
    """A library with a shelf beside it, the hands that carry cartridges, and the application's own catalogue."""

    folder: Path
    sides: int = 1
    kept: dict[uuid.UUID, tuple[str, bytes]] = field(default_factory=dict)  # logical media, and their labels

    @property
    def shelf(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}-shelf")

    def make(self, barcode: str, recorded: bytes = b"") -> None:
        """Buy a cartridge, and leave it on the shelf."""
        self.shelf.mkdir(exist_ok=True)
        made = Path(virtual.add_cartridge(self.folder, barcode, sides=self.sides).path)
        if recorded:
            (made / "side-1").write_bytes(recorded)
        os.rename(made, self.shelf / barcode)

    def carry(self, barcode: str, place: str = "") -> None:
        """Carry a cartridge to a slot or port, or to the shelf."""
        (found,) = (*self.folder.glob(f"*-*/{barcode}"), *self.shelf.glob(barcode))
        os.rename(found, (self.folder / place if place else self.shelf) / barcode)

    def plug_in(self, url: str) -> "Site":
        """Configure the library, as the installation of hardware did beside the interface."""
        with rsm.connect(url, caller=ADMINISTRATOR) as session:
            session.libraries.add("virtual", str(self.folder), name=self.folder.name)
        return self


def identified(program: Program, site: Site, *barcodes: str) -> None:
    """Have an inventory taken and wait until these cartridges are known for what they are."""
    library = program.named(NTMS_LIBRARY, site.folder.name)
    assert InventoryNtmsLibrary(program.h, library, NTMS_INVENTORY_FAST) == ERROR_SUCCESS
    program.until(lambda: set(barcodes) <= set(program.media()))
    program.until(lambda: all(NTMS_PARTSTATE_UNKNOWN not in program.states(barcode) for barcode in barcodes))


def prepared(program: Program, barcode: str, media_type: str = LTO) -> None:
    """Move a cartridge to the free pool and wait for its free label."""
    medium, free = program.media()[barcode], program.pool(rf"\Free\{media_type}")
    assert program.at_rest(lambda: MoveToNtmsMediaPool(program.h, medium, free)) == ERROR_SUCCESS
    await_labels(program, barcode)


def await_labels(program: Program, barcode: str) -> None:
    program.until(lambda: set(program.states(barcode)) == {NTMS_PARTSTATE_AVAILABLE})


# 1. Setting up


def set_up(url: str) -> None:
    program = Program(url)
    types = {program.object(NTMS_MEDIA_TYPE, each).szName: each for each in program.all(NTMS_MEDIA_TYPE)}
    top = sure(CreateNtmsMediaPool(program.h, r"\Vault", None, NTMS_CREATE_NEW))
    for name, media_type in (("Tapes", LTO), ("Discs", OPTICAL)):
        path = rf"\Vault\{name}"
        pool = sure(CreateNtmsMediaPool(program.h, path, types[media_type], NTMS_CREATE_NEW))
        assert CreateNtmsMediaPool(program.h, path, types[media_type], NTMS_CREATE_NEW)[0] == ERROR_ALREADY_EXISTS
        policy = program.object(NTMS_MEDIA_POOL, pool)
        assert (policy.Info.PoolType, policy.Info.Parent) == (NTMS_POOLTYPE_APPLICATION, top)
        policy.Info.AllocationPolicy = int(NTMS_ALLOCATE_FROMSCRATCH)
        policy.Info.DeallocationPolicy = int(NTMS_DEALLOCATE_TOSCRATCH)
        policy.Info.dwMaxAllocates = 9
        assert SetNtmsObjectInformation(program.h, pool, policy) == ERROR_SUCCESS
        assert program.info(NTMS_MEDIA_POOL, pool).dwMaxAllocates == 9
        parts = int(DACL_SECURITY_INFORMATION)
        descriptor, _ = sure(GetNtmsObjectSecurity(program.h, pool, NTMS_MEDIA_POOL, parts))
        wider = rsm.SecurityDescriptor(dacl=(*descriptor.dacl, rsm.Ace(True, "group:backup", rsm.AccessRights.USE)))
        assert SetNtmsObjectSecurity(program.h, pool, NTMS_MEDIA_POOL, parts, wider) == ERROR_SUCCESS
    assert len(program.all(NTMS_MEDIA_POOL, top)) == 2
    program.close()


# 3. Life of a cartridge: how it begins


def bring_blank_media(program: Program, site: Site, *barcodes: str, media_type: str = LTO) -> None:
    for slot, barcode in enumerate(barcodes, 1):
        site.make(barcode)
        site.carry(barcode, f"slot-{slot:04}")
    identified(program, site, *barcodes)
    for barcode in barcodes:
        assert set(program.states(barcode)) == {NTMS_PARTSTATE_FOREIGN}
        assert program.pool_of(barcode) == rf"\Unrecognized\{media_type}"
        prepared(program, barcode, media_type)
        assert program.pool_of(barcode) == rf"\Free\{media_type}"


# 2. Allocating and using media


def write_first(program: Program, site: Site, serial: str, data: bytes) -> uuid.UUID:
    """Allocate a cartridge, put the application's own label on it, and report that."""
    pool = program.pool(r"\Vault\Tapes")
    medium, source = sure(AllocateNtmsMedia(program.h, pool, dwTimeout=LONG))
    assert source == program.pool(rf"\Free\{LTO}")
    device = program.mounted(medium, int(NTMS_MOUNT_WRITE))
    label = volume_label(serial)
    device.write_bytes(label + data)
    assert UpdateNtmsOmidInfo(program.h, medium, NTMS_OMID_TYPE_RAW_LABEL, label, len(label)) == ERROR_SUCCESS
    program.dismount(medium, int(NTMS_DISMOUNT_DEFERRED))
    site.kept[medium] = (VOL1, serial.encode())
    return uuid.UUID(str(medium))


def use_media(program: Program, site: Site) -> None:
    medium = write_first(program, site, "VLT001", b"monday")
    device = program.mounted(medium, int(NTMS_MOUNT_WRITE))
    assert device.read_bytes().endswith(b"monday")
    with device.open("ab") as tape:
        tape.write(b", tuesday")
    assert SetNtmsMediaComplete(program.h, medium) == ERROR_INVALID_STATE
    program.dismount(medium)
    assert SetNtmsMediaComplete(program.h, medium) == ERROR_SUCCESS
    write = MountNtmsMedia(program.h, [medium], dwOptions=int(NTMS_MOUNT_WRITE), dwTimeout=LONG)
    assert write == (ERROR_WRITE_PROTECT, None)
    assert program.mounted(medium).read_bytes() == volume_label("VLT001") + b"monday, tuesday"
    program.dismount(medium)
    assert program.held(program.pool(r"\Vault\Tapes")) == site.kept


def use_both_sides(program: Program, site: Site) -> None:
    pool = program.pool(r"\Vault\Discs")
    first, _ = sure(AllocateNtmsMedia(program.h, pool, dwOptions=int(NTMS_ALLOCATE_NEW), dwTimeout=LONG))
    assert sorted(program.states("D00001")) == [NTMS_PARTSTATE_ALLOCATED, NTMS_PARTSTATE_RESERVED]
    program.mounted(first, int(NTMS_MOUNT_WRITE)).write_bytes(volume_label("DSC001") + b"one")
    program.dismount(first)
    following = {"lpMediaId": first, "dwOptions": int(NTMS_ALLOCATE_NEXT), "dwTimeout": LONG}
    second, source = sure(AllocateNtmsMedia(program.h, pool, **following))
    assert source == pool
    assert AllocateNtmsMedia(program.h, pool, **following) == (ERROR_MEDIA_UNAVAILABLE, None, None)
    assert UpdateNtmsOmidInfo(program.h, first, NTMS_OMID_TYPE_RAW_LABEL, volume_label("DSC001")) == ERROR_SUCCESS
    program.mounted(second, int(NTMS_MOUNT_WRITE)).write_bytes(volume_label("DSC002") + b"two")
    program.dismount(second)
    for medium in (first, second):
        assert DeallocateNtmsMedia(program.h, medium) == ERROR_SUCCESS
        assert DeallocateNtmsMedia(program.h, medium) == ERROR_INVALID_MEDIA
    assert program.pool_of("D00001") == rf"\Free\{OPTICAL}"


# 5. Importing cartridges made elsewhere


def import_media(program: Program, site: Site) -> None:
    site.make("B00001", volume_label("OLD001") + b"from elsewhere")
    site.carry("B00001", "slot-0003")
    identified(program, site, "B00001")
    imports, pool = program.pool(rf"\Import\{LTO}"), program.pool(r"\Vault\Tapes")
    (medium,) = program.all(NTMS_PHYSICAL_MEDIA, imports)
    (side,) = program.all(NTMS_PARTITION, medium)
    assert program.label(side) == (VOL1, b"OLD001")
    moved = program.at_rest(lambda: MoveToNtmsMediaPool(program.h, medium, pool))
    assert moved == ERROR_INVALID_MEDIA_POOL
    held, source = sure(AllocateNtmsMedia(program.h, pool, side, dwTimeout=LONG))
    assert source == imports
    site.kept[held] = (VOL1, b"OLD001")
    assert program.mounted(held).read_bytes().endswith(b"from elsewhere")
    program.dismount(held)


# 7. Giving work to the operator


def ask_operator(program: Program, site: Site) -> None:
    asked = [sure(SubmitNtmsOperatorRequest(program.h, NTMS_OPREQ_MESSAGE, text)) for text in ("dust", "coffee")]
    operator = Program(program.url, "Operator")
    assert set(asked) <= set(operator.all(NTMS_OPREQUEST))
    assert [WaitForNtmsOperatorRequest(program.h, each, 0) for each in asked] == [ERROR_TIMEOUT] * 2
    assert SatisfyNtmsOperatorRequest(operator.h, asked[0]) == ERROR_SUCCESS
    assert CancelNtmsOperatorRequest(operator.h, asked[1]) == ERROR_SUCCESS
    waited = [WaitForNtmsOperatorRequest(program.h, each, INFINITE) for each in asked]
    assert waited == [ERROR_SUCCESS, ERROR_CANCELLED]
    assert DeleteNtmsRequests(operator.h, asked, NTMS_OPREQUEST) == ERROR_SUCCESS
    assert [WaitForNtmsOperatorRequest(program.h, each, 0) for each in asked] == [ERROR_OBJECT_NOT_FOUND] * 2
    operator.close()


# 8. The administrator's script, and a medium that is wanted while it is out


def ended(program: Program, request: uuid.UUID) -> int:
    """Wait until a library request has ended, and return its state."""
    live = (NTMS_LM_QUEUED, NTMS_LM_INPROCESS, NTMS_LM_WAITING)
    program.until(lambda: program.info(NTMS_LIBREQUEST, request).State not in live)
    return int(program.info(NTMS_LIBREQUEST, request).State)


def take_out(program: Program, site: Site, barcode: str) -> None:
    """Eject a cartridge: a person takes it out of the port once it is there."""
    medium = program.media()[barcode]
    operation = sure(EjectNtmsMedia(program.h, medium, NULL_GUID, NTMS_EJECT_START))
    (port,) = program.all(NTMS_IEPORT, program.named(NTMS_LIBRARY, site.folder.name))
    program.until(lambda: program.info(NTMS_IEPORT, port).Content == NTMS_PORTCONTENT_FULL)
    site.carry(barcode)
    assert ended(program, operation) == NTMS_LM_PASSED


def run_script(program: Program, site: Site) -> None:
    library = program.named(NTMS_LIBRARY, site.folder.name)
    assert InventoryNtmsLibrary(program.h, library, NTMS_INVENTORY_DEFAULT) == ERROR_SUCCESS
    in_library = program.all(NTMS_PHYSICAL_MEDIA, library)
    shown = [
        held
        for medium in in_library
        for side in program.all(NTMS_PARTITION, medium)
        for held in program.all(NTMS_LOGICAL_MEDIA, side)
    ]
    assert sorted(shown) == sorted(site.kept)
    take_out(program, site, "B00001")
    out = program.media()["B00001"]
    assert out not in program.all(NTMS_PHYSICAL_MEDIA, library)
    assert program.states("B00001") == [NTMS_PARTSTATE_ALLOCATED]
    (wanted,) = [held for held, label in site.kept.items() if label == (VOL1, b"OLD001")]
    offline = int(NTMS_MOUNT_ERROR_OFFLINE)
    assert MountNtmsMedia(program.h, [wanted], dwOptions=offline) == (ERROR_MEDIA_OFFLINE, None)
    assert MountNtmsMedia(program.h, [wanted], dwOptions=int(NTMS_MOUNT_NOWAIT)) == (ERROR_SUCCESS, None)

    def asked() -> list[uuid.UUID]:
        return [
            each
            for each in program.all(NTMS_OPREQUEST)
            if program.info(NTMS_OPREQUEST, each).Request == NTMS_OPREQ_MOVEMEDIA
        ]

    (request,) = program.until(asked)
    assert program.info(NTMS_OPREQUEST, request).Arg1 == out
    put_in(program, site, "B00001")
    assert SatisfyNtmsOperatorRequest(program.h, request) in (ERROR_SUCCESS, ERROR_OBJECT_NOT_FOUND)
    program.until(lambda: program.info(NTMS_PHYSICAL_MEDIA, out).MountedPartition != NULL_GUID)
    program.dismount(wanted)


def put_in(program: Program, site: Site, barcode: str) -> None:
    """Inject a cartridge: a person puts it into the port once the library waits for that."""
    library = program.named(NTMS_LIBRARY, site.folder.name)
    operation = sure(InjectNtmsMedia(program.h, library, NULL_GUID, NTMS_INJECT_START))
    program.until(lambda: program.info(NTMS_LIBREQUEST, operation).State == NTMS_LM_INPROCESS)
    site.carry(barcode, "port-01")
    assert ended(program, operation) == NTMS_LM_PASSED


# 6. Recovering from a disaster


def empty_drive(program: Program, site: Site) -> None:
    """Put away what a deferred dismount left in the drive."""
    (drive,) = program.all(NTMS_DRIVE, program.named(NTMS_LIBRARY, site.folder.name))
    assert DismountNtmsDrive(program.h, drive) == ERROR_SUCCESS
    program.until(lambda: program.info(NTMS_DRIVE, drive).State == NTMS_DRIVESTATE_DISMOUNTED)


def found_by_label(program: Program, pool: str) -> dict[tuple[str, bytes], uuid.UUID]:
    """Return the sides in a pool by their labels."""
    media = program.all(NTMS_PHYSICAL_MEDIA, program.pool(pool))
    return {program.label(side): side for medium in media for side in program.all(NTMS_PARTITION, medium)}


def restore(program: Program, site: Site) -> None:
    """Export the catalogue, work on, lose what was worked, and bring both catalogues together again."""
    pool = program.pool(r"\Vault\Tapes")
    assert ExportNtmsDatabase(program.h) == ERROR_SUCCESS
    (old,) = [held for held, label in site.kept.items() if label == (VOL1, b"OLD001")]
    assert DeallocateNtmsMedia(program.h, old) == ERROR_SUCCESS
    del site.kept[old]
    await_labels(program, "B00001")
    allocated = write_first(program, site, "VLT002", b"after the backup")
    (side,) = program.all(NTMS_PARTITION, allocated)
    barcode = program.info(NTMS_PHYSICAL_MEDIA, program.info(NTMS_PARTITION, side).PhysicalMedia).szBarCode
    empty_drive(program, site)
    site.make("A00003", volume_label("NEW003") + b"added")
    site.carry("A00003", "slot-0004")
    other = Program(program.url, "Bystander")
    assert program.at_rest(lambda: ImportNtmsDatabase(program.h)) == ERROR_SUCCESS
    assert EnumerateNtmsObject(other.h, None, NTMS_LIBRARY)[0] == ERROR_NOT_READY
    CloseNtmsSession(other.h)
    CloseNtmsSession(program.h)
    program.connect()

    identified(program, site, "A00003")
    known = program.held(pool)
    assert known[old] == (VOL1, b"OLD001")
    for medium in set(known) - set(site.kept):  # deallocated since
        assert DeallocateNtmsMedia(program.h, medium) == ERROR_SUCCESS
    await_labels(program, "B00001")
    lost = set(site.kept) - set(known)  # allocated since: the catalogue still takes its cartridge for a free one
    assert lost == {allocated}
    (side,) = program.sides(barcode)
    assert program.info(NTMS_PARTITION, side).State == NTMS_PARTSTATE_AVAILABLE
    renewed, source = sure(AllocateNtmsMedia(program.h, pool, side, dwTimeout=LONG))
    assert source == program.pool(rf"\Free\{LTO}")
    assert UpdateNtmsOmidInfo(program.h, renewed, NTMS_OMID_TYPE_RAW_LABEL, volume_label("VLT002")) == ERROR_SUCCESS
    site.kept[renewed] = site.kept.pop(allocated)
    added = found_by_label(program, rf"\Import\{LTO}")[VOL1, b"NEW003"]
    taken, _ = sure(AllocateNtmsMedia(program.h, pool, added, dwTimeout=LONG))
    site.kept[taken] = (VOL1, b"NEW003")
    assert program.held(pool) == site.kept
    for medium, data in ((renewed, b"after the backup"), (taken, b"added")):
        assert program.mounted(medium).read_bytes().endswith(data)
        program.dismount(medium)


def begin_anew(program: Program, site: Site) -> None:
    """Find the application's cartridges again by their labels, with no backup of the catalogue at all."""
    identified(program, site, *(path.name for path in site.folder.glob("slot-*/*")))
    found = found_by_label(program, rf"\Import\{LTO}")
    pool, lost = program.pool(r"\Vault\Tapes"), site.kept
    assert set(lost.values()) < set(found)
    site.kept = {}
    for label in lost.values():
        medium, _ = sure(AllocateNtmsMedia(program.h, pool, found[label], dwTimeout=LONG))
        site.kept[medium] = label
    assert program.held(pool) == site.kept
    assert set(site.kept).isdisjoint(lost)
    (first,) = [medium for medium, label in site.kept.items() if label == (VOL1, b"VLT001")]
    assert program.mounted(first).read_bytes() == volume_label("VLT001") + b"monday, tuesday"
    program.dismount(first)


# 3. Life of a cartridge: how it ends


def use_up(program: Program, site: Site) -> None:
    pool = program.pool(r"\Vault\Tapes")
    policy = program.object(NTMS_MEDIA_POOL, pool)
    policy.Info.dwMaxAllocates = 1
    assert SetNtmsObjectInformation(program.h, pool, policy) == ERROR_SUCCESS
    (medium,) = [held for held, label in site.kept.items() if label == (VOL1, b"NEW003")]
    assert DeallocateNtmsMedia(program.h, medium) == ERROR_SUCCESS
    assert program.states("A00003") == [NTMS_PARTSTATE_DECOMMISSIONED]
    cartridge = program.media()["A00003"]
    assert DeleteNtmsMedia(program.h, cartridge) == ERROR_INVALID_STATE
    take_out(program, site, "A00003")
    assert program.states("A00003") == [NTMS_PARTSTATE_DECOMMISSIONED]
    assert DeleteNtmsMedia(program.h, cartridge) == ERROR_SUCCESS
    assert "A00003" not in program.media()


@pytest.mark.works
def test_from_setting_up_to_recovering_from_a_disaster(
    new_url: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    url = new_url()
    tapes = Site(Path(virtual.create(tmp_path / "Tapes", 5, 1, 1, LTO))).plug_in(url)
    discs = Site(Path(virtual.create(tmp_path / "Discs", 2, 1, 0, OPTICAL)), sides=2).plug_in(url)
    set_up(url)
    program = Program(url)
    bring_blank_media(program, tapes, "A00001", "A00002")
    bring_blank_media(program, discs, "D00001", media_type=OPTICAL)
    use_media(program, tapes)
    use_both_sides(program, discs)
    import_media(program, tapes)
    ask_operator(program, tapes)
    run_script(program, tapes)
    restore(program, tapes)
    program.close()
    other_url = new_url()
    tapes.plug_in(other_url)
    discs.plug_in(other_url)
    set_up(other_url)
    program = Program(other_url)
    begin_anew(program, tapes)
    use_up(program, tapes)
    program.close()
