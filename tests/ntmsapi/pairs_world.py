"""The world that the tests of the Win32 face share: one catalogue for each database and era, and ways to damage it.

A world makes fresh pools, cartridges and libraries for every case, so one catalogue serves all of them; what a case
changes for a while (a list of rights, a table that is gone) is put right again when its `undo` stack closes.
"""

import contextlib
import functools
import itertools
import json
import shutil
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import builders
import mounting
import sqlalchemy
from conftest import ADMINISTRATOR, Postgresql
from ntmsapi.pairs_damage import PATIENCE_SECONDS, Breakable, StoppedServer, everything, first, run_script

import rsm
from rsm import db, model, ntmsapi, place, worker
from rsm.constants import (
    DACL_SECURITY_INFORMATION,
    NTMS_CREATE_NEW,
    NTMS_DISMOUNT_IMMEDIATE,
    NTMS_DRIVE,
    NTMS_EJECT_START,
    NTMS_INJECT_START,
    NTMS_INVENTORY_FAST,
    NTMS_LIBRARY,
    NTMS_LIBREQUEST,
    NTMS_MEDIA_POOL,
    NTMS_MOUNT_WRITE,
    NTMS_OMID_TYPE_FILESYSTEM_INFO,
    NTMS_OPREQ_MESSAGE,
    NTMS_PARTITION,
    NTMS_PARTSTATE_ALLOCATED,
    NTMS_PARTSTATE_AVAILABLE,
    NTMS_PHYSICAL_MEDIA,
    NTMS_UIDEST_ADD,
    NTMS_UITYPE_INFO,
    NULL_GUID,
    OWNER_SECURITY_INFORMATION,
    NtmsOperationalState,
)
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.libraries.virtual_make import make_cartridge
from rsm.ntmsapi import NTMS_FILESYSTEM_INFO, NTMS_OBJECTINFORMATION
from rsm.security import ALL_RIGHTS, GUARD_KINDS, AccessRights, Ace, Caller, SecurityDescriptor
from rsm.services import properties, queue

TESTS = Path(__file__).resolve().parent.parent
FUNCTIONS: dict[str, dict[str, Any]] = {
    function["name"]: function
    for function in json.loads((TESTS / "data" / "functions.json").read_text())
    if hasattr(ntmsapi, function["name"])
}
MOST_USES = 30
ATTACH = worker.attach  # before tests put something idle in its place
ALICE = Caller("user:alice", groups=("group:staff",))
WRITERS = frozenset(FUNCTIONS) - {
    "OpenNtmsSession",
    "CloseNtmsSession",
    "EnumerateNtmsObject",
    "ExportNtmsDatabase",
    "GetNtmsMediaPoolName",
    "GetNtmsObjectAttribute",
    "GetNtmsObjectInformation",
    "GetNtmsObjectSecurity",
    "GetNtmsRequestOrder",
    "GetNtmsUIOptions",
    "GetVolumesFromDrive",
    "WaitForNtmsNotification",
    "WaitForNtmsOperatorRequest",
}
RIGHT = {
    "U": AccessRights.USE,
    "M": AccessRights.MODIFY,
    "C": AccessRights.CONTROL,
    "R": AccessRights.READ_CONTROL,
    "W": AccessRights.WRITE_DAC,
}


_OBJECT, _OWNER = sqlalchemy.bindparam("object_id", type_=model.Id()), sqlalchemy.bindparam("owner", type_=model.Text())
_DELETE_ENTRIES = sqlalchemy.delete(model.AccessControlEntry).where(model.AccessControlEntry.object_id == _OBJECT)
_SET_OWNER = {
    kind: sqlalchemy.update(table).where(table.id == _OBJECT).values(owner=_OWNER)
    for kind, table in model.TABLE_OF_KIND.items()
    if kind in GUARD_KINDS
}


class World(Breakable):
    """One catalogue with a robot library in it, and an administrator's session and handle on it."""

    def __init__(self, worlds: "Worlds | None", url: str, era: str) -> None:
        self.worlds, self.url, self.era = worlds, url, era
        self.is_sqlite = url.startswith("sqlite")
        self.undo = contextlib.ExitStack()
        self.session = rsm.connect(url, application="tests", caller=ADMINISTRATOR)
        self._handles: dict[Caller, Any] = {}
        self._number = itertools.count(1)
        self.h = self.handle()
        self.robot = builders.add_library(url, "Robot", slots=8)
        self.lto8, self.lto7 = (self.session.types.get(name).id for name in ("LTO-8", "LTO-7"))
        self.two_sided = self.session.types.get("MO_5_RW").id
        for media_type in (self.lto8, self.lto7, self.two_sided):
            self.session.types.add(media_type, self.robot.id)
        self.computer = self.session.objects.list(Kind.NTMS_COMPUTER)[0]
        self.root = self.session.objects.list(Kind.NTMS_MEDIA_POOL, include_root=True)[0]
        self.offline = next(
            library
            for library in self.session.objects.list(Kind.NTMS_LIBRARY)
            if self.session.objects.get(Kind.NTMS_LIBRARY, library).library_type == 1
        )
        self.operator_request = builders.add_operator_request(url)

    def close(self) -> None:
        self.undo.close()
        for handle in self._handles.values():
            ntmsapi.CloseNtmsSession(handle)
        self.session.close()

    # What a case needs

    def name(self, stem: str = "x") -> str:
        return f"{stem}{next(self._number)}"

    def handle(self, caller: Caller = ADMINISTRATOR) -> Any:
        """Return a handle for the caller, the same one every time."""
        if caller not in self._handles:
            code, handle = ntmsapi.OpenNtmsSession(self.url, "tests", caller=caller)
            assert code == 0
            self._handles[caller] = handle
        return self._handles[caller]

    def new_handle(self) -> Any:
        """Return a handle that the case may close."""
        code, handle = ntmsapi.OpenNtmsSession(self.url, "tests", caller=ADMINISTRATOR)
        assert code == 0
        self.undo.callback(ntmsapi.CloseNtmsSession, handle)
        return handle

    def new_notification(self, kind: Kind = Kind.NTMS_MEDIA_POOL) -> Any:
        """Return a handle that hears of changes, until the case is over."""
        code, handle = ntmsapi.OpenNtmsNotification(self.h, int(kind))
        assert code == 0
        self.undo.callback(ntmsapi.CloseNtmsNotification, handle)
        return handle

    def library(self, **options: Any) -> builders.BuiltLibrary:
        return builders.add_library(self.url, self.name("Library"), **options)

    def path(self) -> str:
        return f"\\{self.name('Pool')}"

    def pool(self, media_type: uuid.UUID | None = None, *, of_pools: bool = False, path: Any = None) -> uuid.UUID:
        """Return a new pool of LTO-8, of another type, or of pools."""
        wanted = None if of_pools else media_type or self.lto8
        return self.session.pools.create(path or self.path(), media_type=wanted).id

    def medium(
        self, pool: uuid.UUID | None = None, state: Any = NTMS_PARTSTATE_AVAILABLE, *, sides: int = 1, **fields: Any
    ) -> uuid.UUID:
        """Return a new cartridge on the shelf, in a pool of its own unless told."""
        new_sides = [builders.side(number, state) for number in range(sides)]
        return self.session.media.create(pool or self.pool(), new_sides, **fields).id

    def system_pool(self, group: str, media_type: str = "LTO-8") -> uuid.UUID:
        return self.session.objects.find(NTMS_MEDIA_POOL, f"\\{group}\\{media_type}")

    def medium_in(self, group: str, state: Any = NTMS_PARTSTATE_AVAILABLE) -> uuid.UUID:
        """Return a cartridge in a system pool of LTO-8, its sides in this state."""
        medium = self.medium()
        builders.put_in_pool(self.url, medium, self.system_pool(group), state)
        return medium

    def side(self, pool: uuid.UUID | None = None, state: Any = NTMS_PARTSTATE_AVAILABLE) -> uuid.UUID:
        """Return the side of a new cartridge on the shelf, in a pool of its own unless told."""
        return self.session.media.sides(self.medium(pool, state))[0].id

    def held(self, pool: uuid.UUID | None = None) -> uuid.UUID:
        """Return the logical medium of a new cartridge on the shelf, in a pool of its own unless told."""
        medium = self.session.media.sides(self.medium(pool, NTMS_PARTSTATE_ALLOCATED))[0].logical_medium
        assert medium is not None
        return medium

    def side_of(self, logical_medium: uuid.UUID) -> uuid.UUID:
        """Return the side behind a logical medium."""
        side: uuid.UUID = self.session.objects.get(Kind.NTMS_LOGICAL_MEDIA, logical_medium).side
        return side

    def online(
        self, pool: uuid.UUID, state: Any = NTMS_PARTSTATE_AVAILABLE, *, sides: int = 1, **fields: Any
    ) -> list[uuid.UUID]:
        """Return the sides of a new cartridge in a slot of a new library, in any pool of media."""
        found = self.session.pools.get(pool)
        states = [state] * sides
        return builders.add_medium(self.url, found, self.name("S"), *states, library=self.library(), **fields)

    def shelve(self, medium: uuid.UUID) -> None:
        """Take a cartridge out of its library behind the program's back."""
        off = {"library_id": self.offline, "online": False, "slot_id": None, "home_slot_id": None}
        with builders.behind(self.url) as connection:  # in SQLite without the cascade, as in builders.put_online
            cartridge, side = model.PhysicalMedium, model.Side
            connection.execute(sqlalchemy.update(cartridge).where(cartridge.id == medium).values(**off))
            connection.execute(sqlalchemy.update(side).where(side.medium_id == medium).values(online=False))

    def put_in_drive(self, side: uuid.UUID) -> uuid.UUID:
        """Let somebody use a side in a drive of a new library, until the case is over; return the drive."""
        drive = self.library().drives[0]
        builders.add_mount(self.url, side, drive)
        return drive

    def new_type(self) -> tuple[uuid.UUID, uuid.UUID]:
        """Return a media type of its own that the robot takes, and its free pool."""
        name = self.name("Type")
        media_type = self.session.types.create(name).id
        self.session.types.add(media_type, self.robot.id)
        return media_type, self.system_pool("Free", name)

    def request(self, operation: Any = queue.MOUNT, library: uuid.UUID | None = None) -> uuid.UUID:
        """Return a request in the queue of a library, a new one unless told, that is not due within the day."""
        wanted = library or self.library().id
        due = datetime.now(UTC) + timedelta(days=1)
        return self.session.write(queue.insert_request, operation, wanted, caller_user=ADMINISTRATOR.user, due=due)

    def absent_drive(self) -> uuid.UUID:
        """Return a drive that is not present any more, in a library of its own."""
        drive = self.library().drives[0]
        builders.set_columns(self.url, model.Drive, drive, operational_state=int(NtmsOperationalState.NTMS_NOT_PRESENT))
        return drive

    def asked(self, *, satisfied: bool = False) -> uuid.UUID:
        """Return a new operator request."""
        request = self.session.operators.submit(NTMS_OPREQ_MESSAGE, message=self.name("please "))
        if satisfied:
            self.session.operators.satisfy(request)
        return request.id

    # Libraries that really work

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Let a worker carry out what is in the queues while the body runs, and no longer."""
        database = self.session._database
        ATTACH(database)
        try:
            yield
        finally:
            worker.detach(database)

    def at_work(self, call: Callable[[], Any]) -> Any:
        """Make a call while a worker is there."""
        with self.working():
            return call()

    def stock(self, **options: Any) -> mounting.Stock:
        """Return a virtual library of its own with cartridges that are allocated."""
        folder = self.folder
        with self.working():
            stock = mounting.make_stock(self.session, folder, **options)
        for drive in stock.drives:  # what one case leaves in a drive must not be put away in the middle of a later one
            self.session.objects.update(NTMS_DRIVE, drive, defer_dismount_seconds=86_400)
        return stock

    def in_drive(self, *, in_use: bool) -> tuple[uuid.UUID, uuid.UUID]:
        """Return a side and the drive of a library of its own that it is in, on record only."""
        library = self.library()
        (side,) = builders.add_medium(
            self.url, self.session.pools.get(self.pool()), self.name("D"), NTMS_PARTSTATE_ALLOCATED, library=library
        )
        medium = self.session.objects.get(NTMS_PARTITION, side).medium
        builders.set_columns(self.url, model.PhysicalMedium, medium, slot_id=None, drive_id=library.drives[0])
        builders.set_columns(self.url, model.Drive, library.drives[0], occupied=True)
        builders.add_mount(self.url, side, library.drives[0], in_use=in_use)
        return side, library.drives[0]

    def feeder(self, barcode: str | None = None, media_type: uuid.UUID | None = None) -> tuple[Path, uuid.UUID]:
        """Return the folder and the library of a new stand-alone drive, with a cartridge in it if it has a bar code."""
        folder = self.folder / self.name("feeder")
        folder.mkdir()
        types = [media_type or self.lto8]
        if barcode is None:
            return folder, self.session.libraries.add("standalone", str(folder), media_types=types).id
        make_cartridge(folder, folder.name.replace("feeder", "A"), "LTO-8", capacity_bytes=10_000)
        with self.working():
            library = self.session.libraries.add("standalone", str(folder), media_types=types)
            mounting.settle(self.session, library.id)
        return folder, library.id

    def fresh_feeder(self) -> uuid.UUID:
        """Return the library of a new stand-alone drive that nothing is queued for."""
        _, library = self.feeder()
        self.session.libraries.stop_inventory(library)
        return library

    @functools.cached_property
    def made_feeder(self) -> Path:
        """The folder of a stand-alone drive with a cartridge in it, on no record."""
        folder = self.folder / self.name("feeder")
        folder.mkdir()
        make_cartridge(folder, "V00001", "LTO-8", capacity_bytes=10_000)
        return folder

    @functools.cached_property
    def folder(self) -> Path:
        """Where a case may make folders."""
        if self.worlds is not None:
            return Path(tempfile.mkdtemp(dir=self.worlds.folder))
        folder = Path(tempfile.mkdtemp(prefix="rsm-world-"))
        self.undo.callback(shutil.rmtree, folder)
        return folder

    def medium_structure(self, pool: uuid.UUID, sides: int = 1, **members: Any) -> NTMS_OBJECTINFORMATION:
        """Return what CreateNtmsMedia wants of a cartridge."""
        structure = NTMS_OBJECTINFORMATION(dwType=NTMS_PHYSICAL_MEDIA)
        structure.Info.MediaPool, structure.Info.dwNumberOfPartitions = pool, sides
        return change(structure, members)

    def side_structure(self, **members: Any) -> NTMS_OBJECTINFORMATION:
        """Return what CreateNtmsMedia wants of a side."""
        structure = NTMS_OBJECTINFORMATION(dwType=NTMS_PARTITION)
        label = uuid.uuid4().bytes
        structure.Info.OmidLabelId, structure.Info.dwOmidLabelIdLength = label, len(label)
        structure.Info.szOmidLabelType, structure.Info.State = "MTF", int(NTMS_PARTSTATE_AVAILABLE)
        return change(structure, members)

    def information(self, kind: Kind, object_id: uuid.UUID, **members: Any) -> NTMS_OBJECTINFORMATION:
        """Return what the catalogue says of an object, with some members changed."""
        code, info = ntmsapi.GetNtmsObjectInformation(self.h, object_id, int(kind))
        assert code == 0
        return change(info, members)

    def one_of_each(self) -> dict[Kind, uuid.UUID]:
        """Return an object of every kind there is; media and sides share one pool, devices one library."""
        robot, pool = self.robot, self.pool()
        medium = self.medium(pool, rsm.NtmsPartitionState.NTMS_PARTSTATE_ALLOCATED)
        side = self.session.media.sides(medium)[0]
        assert robot.changer_type is not None
        assert robot.drive_type is not None
        return {
            Kind.NTMS_CHANGER: robot.changers[0],
            Kind.NTMS_CHANGER_TYPE: robot.changer_type,
            Kind.NTMS_COMPUTER: self.computer,
            Kind.NTMS_DRIVE: robot.drives[0],
            Kind.NTMS_DRIVE_TYPE: robot.drive_type,
            Kind.NTMS_IEDOOR: robot.doors[0],
            Kind.NTMS_IEPORT: robot.ports[0],
            Kind.NTMS_LIBRARY: robot.id,
            Kind.NTMS_LIBREQUEST: robot.requests[0],
            Kind.NTMS_LOGICAL_MEDIA: side.logical_medium,
            Kind.NTMS_MEDIA_POOL: pool,
            Kind.NTMS_MEDIA_TYPE: self.lto8,
            Kind.NTMS_PARTITION: side.id,
            Kind.NTMS_PHYSICAL_MEDIA: medium,
            Kind.NTMS_STORAGESLOT: robot.slots[0],
            Kind.NTMS_OPREQUEST: self.operator_request,
        }

    @contextlib.contextmanager
    def once_waiting(self, do: Callable[[], object]) -> Iterator[None]:
        """Do something in another thread as soon as a call waits, not before."""
        watcher, waits = self.session.watcher, threading.Event()
        wait, over, failed = watcher.wait, threading.Event(), list[BaseException]()

        def tell(seen: int, seconds: float) -> int:
            waits.set()
            return wait(seen, seconds)

        def run() -> None:
            waits.wait(PATIENCE_SECONDS)
            if not over.is_set():
                try:
                    do()
                except BaseException as error:  # noqa: BLE001 - it is raised in the thread that looks at it
                    failed.append(error)

        thread = threading.Thread(target=run)
        watcher.wait = tell  # type: ignore[method-assign]
        thread.start()
        try:
            yield
        finally:
            waited = waits.is_set()
            over.set()
            waits.set()
            thread.join(PATIENCE_SECONDS)
            watcher.wait = wait  # type: ignore[method-assign]
        assert waited
        assert failed == []

    # Rights

    def set_guard(self, kind: Kind, object_id: uuid.UUID, descriptor: SecurityDescriptor) -> None:
        """Write owner and list of a guard whoever may, and without an event."""

        def write(transaction: db.Transaction) -> None:
            transaction.change(_DELETE_ENTRIES, object_id=object_id)
            properties.write_entries(transaction, object_id, descriptor.dacl or ())
            if descriptor.owner is not None:
                transaction.change(_SET_OWNER[kind], object_id=object_id, owner=descriptor.owner)

        self.session.write(write)

    def protect(self, kind: Kind, object_id: uuid.UUID, *aces: Ace, owner: str | None = None) -> None:
        """Give a guard this list, and owner, until the case is over."""
        before = self.session.read(properties.read_security, ADMINISTRATOR, kind, object_id)
        self.set_guard(kind, object_id, SecurityDescriptor(owner, aces))
        self.undo.callback(self.set_guard, kind, object_id, before)

    def protect_all_but(self, right: AccessRights, kind: Kind, object_id: uuid.UUID) -> None:
        """Leave alice every right on a guard but this one."""
        self.protect(kind, object_id, Ace(True, ALICE.user, ALL_RIGHTS & ~right))

    def permit(self, kind: Kind, *object_ids: uuid.UUID) -> None:
        """Give alice every right on these guards."""
        for object_id in object_ids:
            self.protect(kind, object_id, Ace(True, ALICE.user, ALL_RIGHTS))


def change(structure: NTMS_OBJECTINFORMATION, members: dict[str, Any]) -> NTMS_OBJECTINFORMATION:
    """Set members of a structure or of its Info."""
    for name, value in members.items():
        setattr(structure if hasattr(structure, name) else structure.Info, name, value)
    return structure


# The arguments after the handle of a call that does what it is for

Sound = Callable[[World], tuple[Any, ...]]


def _enabled(w: World, enabled: bool) -> tuple[Any, ...]:
    return NTMS_PHYSICAL_MEDIA, w.medium(enabled=enabled)


def _added_type(w: World) -> uuid.UUID:
    media_type = w.session.types.create(w.name("Type")).id
    w.session.types.add(media_type, w.robot.id)
    return media_type


def _noted_pool(w: World) -> uuid.UUID:
    pool = w.pool()
    w.session.objects.set_attribute(NTMS_MEDIA_POOL, pool, "note", b"12345")
    return pool


def _described_pool(w: World) -> tuple[Any, ...]:
    pool = w.pool()
    return pool, w.information(Kind.NTMS_MEDIA_POOL, pool, szDescription="changed")


def _two_held(w: World) -> tuple[uuid.UUID, uuid.UUID]:
    pool = w.pool()
    return w.held(pool), w.held(pool)


def _stocked_pool(w: World) -> uuid.UUID:
    pool = w.pool()
    w.online(pool)
    return pool


def _ejectable(w: World) -> uuid.UUID:
    (side,) = w.online(w.pool())
    medium: uuid.UUID = w.session.objects.get(NTMS_PARTITION, side).medium
    return medium


def _mountable(w: World) -> tuple[Any, ...]:
    medium = w.stock(media=1).media[0]
    return [medium.id], None, 1, int(NTMS_MOUNT_WRITE), 0, mounting.LONG_MS


def _detection(w: World) -> tuple[Any]:
    code, handle = ntmsapi.BeginNtmsDeviceChangeDetection(w.h)
    assert code == 0
    return (handle,)


def _reserved(w: World) -> uuid.UUID:
    library = w.library()
    w.session.libraries.reserve_cleaner_slot(library.id, library.slots[0])
    return library.id


def _with_cleaner(w: World) -> uuid.UUID:
    library = _reserved(w)
    pool, (slot, *_) = w.session.pools.get(w.system_pool("Unrecognized")), w.session.libraries.slots(library)
    built = builders.BuiltLibrary(library, "", [slot.id])
    builders.add_medium(w.url, pool, w.name("CLN"), NTMS_PARTSTATE_AVAILABLE, library=built)
    (medium,) = w.session.media.list(library=library)
    builders.make_cleaner(w.url, medium.id, slot_id=slot.id, home_slot_id=slot.id)
    return library


OWNER_AND_DACL = OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION
SOUND: dict[str, Sound] = {
    "OpenNtmsSession": lambda w: (w.url, "tests", 0),
    "CloseNtmsSession": lambda w: (),
    "AccessNtmsLibraryDoor": lambda w: (w.library().id, int(NTMS_INVENTORY_FAST)),
    "AllocateNtmsMedia": lambda w: (_stocked_pool(w),),
    "CancelNtmsLibraryRequest": lambda w: (w.request(),),
    "CancelNtmsOperatorRequest": lambda w: (w.asked(),),
    "DeallocateNtmsMedia": lambda w: (w.held(),),
    "DecommissionNtmsMedia": lambda w: (w.side(),),
    "DeleteNtmsDrive": lambda w: (w.absent_drive(),),
    "DeleteNtmsLibrary": lambda w: (w.library().id,),
    "DeleteNtmsRequests": lambda w: (w.library(requests=2).requests, NTMS_LIBREQUEST),
    "DismountNtmsDrive": lambda w: (w.in_drive(in_use=False)[1],),
    "DismountNtmsMedia": lambda w: ([w.in_drive(in_use=True)[0]],),
    "EjectNtmsMedia": lambda w: (_ejectable(w), NULL_GUID, int(NTMS_EJECT_START)),
    "GetNtmsRequestOrder": lambda w: (w.request(),),
    "IdentifyNtmsSlot": lambda w: (w.stock(media=1).slots[0].id, int(NTMS_DISMOUNT_IMMEDIATE)),
    "InjectNtmsMedia": lambda w: (w.library().id, NULL_GUID, int(NTMS_INJECT_START)),
    "InventoryNtmsLibrary": lambda w: (w.library().id, int(NTMS_INVENTORY_FAST)),
    "MountNtmsMedia": _mountable,
    "SatisfyNtmsOperatorRequest": lambda w: (w.asked(),),
    "SetNtmsMediaComplete": lambda w: (w.held(),),
    "SetNtmsRequestOrder": lambda w: (w.request(), 5),
    "SubmitNtmsOperatorRequest": lambda w: (int(NTMS_OPREQ_MESSAGE), w.name("please ")),
    "SwapNtmsMedia": _two_held,
    "UpdateNtmsOmidInfo": lambda w: (w.held(), NTMS_OMID_TYPE_FILESYSTEM_INFO, NTMS_FILESYSTEM_INFO("UDF", "a", 5)),
    "WaitForNtmsOperatorRequest": lambda w: (w.asked(satisfied=True),),
    "BeginNtmsDeviceChangeDetection": lambda w: (),
    "SetNtmsDeviceChangeDetection": lambda w: (None, [w.fresh_feeder()], int(NTMS_LIBRARY)),
    "EndNtmsDeviceChangeDetection": _detection,
    "EjectDiskFromSADrive": lambda w: (w.url, "tests", str(w.feeder()[0])),
    "GetVolumesFromDrive": lambda w: (str(w.made_feeder),),
    "CleanNtmsDrive": lambda w: (w.library().drives[0],),
    "ReserveNtmsCleanerSlot": lambda w: ((library := w.library()).id, library.slots[0]),
    "ReleaseNtmsCleanerSlot": lambda w: (_reserved(w),),
    "InjectNtmsCleaner": lambda w: (_reserved(w), NULL_GUID, 20, int(NTMS_INJECT_START)),
    "EjectNtmsCleaner": lambda w: (_with_cleaner(w), NULL_GUID, int(NTMS_EJECT_START)),
    "OpenNtmsNotification": lambda w: (int(NTMS_MEDIA_POOL),),
    "WaitForNtmsNotification": lambda w: (0,),
    "CloseNtmsNotification": lambda w: (),
    "GetNtmsUIOptions": lambda w: (w.computer, int(NTMS_UITYPE_INFO)),
    "SetNtmsUIOptions": lambda w: (w.computer, int(NTMS_UITYPE_INFO), int(NTMS_UIDEST_ADD), w.name("desk")),
    "ExportNtmsDatabase": lambda w: (),
    "ImportNtmsDatabase": lambda w: w.export(),
    "AddNtmsMediaType": lambda w: (w.session.types.create(w.name("Type")).id, w.robot.id),
    "DeleteNtmsMediaType": lambda w: (_added_type(w), w.robot.id),
    "ChangeNtmsMediaType": lambda w: (w.medium(), w.pool(w.lto7)),
    "CreateNtmsMedia": lambda w: (w.medium_structure(w.pool()), [w.side_structure()]),
    "CreateNtmsMediaPool": lambda w: (w.path(), w.lto8, NTMS_CREATE_NEW),
    "DeleteNtmsMedia": lambda w: (w.medium(),),
    "DeleteNtmsMediaPool": lambda w: (w.pool(),),
    "DisableNtmsObject": lambda w: _enabled(w, True),
    "EnableNtmsObject": lambda w: _enabled(w, False),
    "EnumerateNtmsObject": lambda w: (None, NTMS_LIBRARY),
    "GetNtmsMediaPoolName": lambda w: (w.pool(),),
    "GetNtmsObjectAttribute": lambda w: (_noted_pool(w), NTMS_MEDIA_POOL, "note"),
    "GetNtmsObjectInformation": lambda w: (w.pool(), NTMS_MEDIA_POOL),
    "GetNtmsObjectSecurity": lambda w: (w.pool(), NTMS_MEDIA_POOL, OWNER_AND_DACL),
    "MoveToNtmsMediaPool": lambda w: (w.medium(), w.pool()),
    "SetNtmsObjectAttribute": lambda w: (_noted_pool(w), NTMS_MEDIA_POOL, "note", b"x"),
    "SetNtmsObjectInformation": _described_pool,
    "SetNtmsObjectSecurity": lambda w: (
        w.pool(),
        NTMS_MEDIA_POOL,
        DACL_SECURITY_INFORMATION,
        SecurityDescriptor(dacl=(Ace(True, "user:admin", ALL_RIGHTS), Ace(True, "everyone", AccessRights.USE))),
    ),
}
WAITING = ("IdentifyNtmsSlot", "MountNtmsMedia")  # what they queue they wait for, so a worker has to be there
REPLACING = ("ImportNtmsDatabase",)  # other sessions are dead after it, and it bears nothing that is mounted
OF_NOTIFICATIONS = ("WaitForNtmsNotification", "CloseNtmsNotification")  # their handle is no session's
OF_DRIVES = ("EjectDiskFromSADrive", "GetVolumesFromDrive")  # they take no handle at all
WITH_HANDLE = [name for name in SOUND if name not in ("OpenNtmsSession", *OF_NOTIFICATIONS, *OF_DRIVES)]


def sound_call(w: World, name: str) -> Callable[[], Any]:
    """Return the call with the arguments that make it do what it is for."""
    if name == "OpenNtmsSession":
        return partial(_open_and_close, *SOUND[name](w))
    if name in REPLACING:
        return partial(w.import_and_reopen, *SOUND[name](w))
    if name in OF_DRIVES:
        return partial(getattr(ntmsapi, name), *SOUND[name](w), **of_administrator(name))
    handle = w.new_handle() if name == "CloseNtmsSession" else w.h
    if name in OF_NOTIFICATIONS:
        handle = w.new_notification()
        w.pool()
    call = partial(getattr(ntmsapi, name), handle, *SOUND[name](w))
    return partial(w.at_work, call) if name in WAITING else call


def of_administrator(name: str) -> dict[str, Any]:
    """Return what makes a call that opens a session of its own one of the administrator's."""
    return {"caller": ADMINISTRATOR} if name == "EjectDiskFromSADrive" else {}


def _open_and_close(*arguments: Any) -> Any:
    code, handle = ntmsapi.OpenNtmsSession(*arguments, caller=ADMINISTRATOR)
    assert (handle is None) == (code != 0)
    if handle is not None:
        ntmsapi.CloseNtmsSession(handle)
    return code


class Worlds:
    """The worlds of one test module, made when first asked for."""

    def __init__(self, postgresql: Postgresql, sqlite_templates: Callable[[str], Path], folder: Path) -> None:
        self._postgresql, self._sqlite_templates, self.folder = postgresql, sqlite_templates, folder
        self._shared: dict[tuple[str, str], tuple[World, int]] = {}
        self._fresh: list[World] = []
        self._memory: dict[str, int] | None = None
        self._stopped: StoppedServer | None = None

    def __enter__(self) -> "Worlds":
        self._usual, place.default_path = place.default_path, lambda: self.folder / "data" / "rsm.db"
        return self

    def __exit__(self, *_: object) -> None:
        place.default_path = self._usual
        for world in (*(world for world, _ in self._shared.values()), *self._fresh):
            world.close()
        if self._stopped is not None:
            self._stopped.close()

    def url(self, backend: str, era: str = "2003", *, empty: bool = False) -> str:
        """Return the URL of a new catalogue, or of an empty database."""
        if backend == "postgresql":
            return self._postgresql.database(era=era, empty=empty)
        path = self.folder / f"{uuid.uuid4().hex[:8]}.db"
        if not empty:
            shutil.copy(self._sqlite_templates(era), path)
        return f"sqlite:///{path}"

    def shared(self, backend: str, era: str = "2003") -> World:
        """Return the world of a database and an era that cases share, each with those before and after it."""
        world, uses = self._shared.pop((backend, era), (None, 0))
        if world is not None and uses == MOST_USES:  # what so many left in it is slow to read
            world.close()
            world, uses = None, 0
        world = world or World(self, self.url(backend, era), era)
        self._shared[backend, era] = world, uses + 1
        return world

    def fresh(self, backend: str, era: str = "2003") -> World:
        """Return a world that the case may ruin."""
        self._fresh.append(World(self, self.url(backend, era), era))
        return self._fresh[-1]

    @property
    def memory(self) -> dict[str, int]:
        """What each function gave, in a child process, once SQLite's heap was at its hard limit."""
        if self._memory is None:
            url = self.url("sqlite")
            child = run_script(__file__, url)
            report = json.loads(child)
            assert report["before"] == repr(everything(url))
            self._memory = report["codes"]
        return self._memory

    @property
    def stopped(self) -> "StoppedServer":
        """A PostgreSQL server of its own that was stopped while sessions were open."""
        if self._stopped is None:
            self._stopped = StoppedServer()
        return self._stopped


def _exhaust_memory(url: str) -> None:
    """As a script: prepare one sound call of every function, forbid SQLite another byte, and call them all."""
    worker.attach = lambda database: None  # no work in the background
    world = World(None, url, "2003")
    calls = {name: sound_call(world, name) for name in SOUND}
    before = repr(everything(url))
    lender = world.session._database._readers
    lent = lender.lend()
    with contextlib.suppress(MemoryError):  # not even the pragma's own answer fits
        lent.raw.execute("PRAGMA hard_heap_limit = 1")
    lender.take_back(lent)
    codes = {name: int(first(call())) for name, call in calls.items()}
    print(json.dumps({"codes": codes, "before": before}))


if __name__ == "__main__":
    _exhaust_memory(sys.argv[1])
