"""The cases of the table that are about cleaning drives and the slot that is kept for the cleaner."""

import os
import uuid
from functools import partial
from typing import Any

import builders
from mounting import LONG_MS, Stock, wait_until
from ntmsapi.pairs_table import ERAS, Attempt, Made, calls, denied, pair
from ntmsapi.pairs_world import World

from rsm import model, ntmsapi
from rsm.constants import (
    NULL_GUID,
    NtmsEjectOperation,
    NtmsInjectOperation,
    NtmsLmState,
    NtmsObjectsTypes,
    NtmsOperationalState,
    NtmsSlotState,
)
from rsm.libraries.virtual import add_cartridge
from rsm.security import AccessRights

C = AccessRights.CONTROL
LIBRARY, DRIVE, SLOT = (
    NtmsObjectsTypes.NTMS_LIBRARY,
    NtmsObjectsTypes.NTMS_DRIVE,
    NtmsObjectsTypes.NTMS_STORAGESLOT,
)
CONTROL_MISSING = "no NTMS_CONTROL_ACCESS on the library"
NOT_CONNECTED = "the library is not connected at present"
DENIED = "access to at least one RSM object involved is refused (right not named)"
NOT_INSTALLED = "the cleaner slot is not installed just now, for example because a magazine is out"
NO_LIBRARY = "the library cannot be found in the catalogue"
NO_CLEANER_SLOT = "the library has no cleaner slot"
INJECT, STOP_INJECT = int(NtmsInjectOperation.NTMS_INJECT_START), int(NtmsInjectOperation.NTMS_INJECT_STOP)
EJECT, STOP_EJECT = int(NtmsEjectOperation.NTMS_EJECT_START), int(NtmsEjectOperation.NTMS_EJECT_STOP)
USES = 20


def no_objects(w: World) -> tuple[Any, ...]:
    """Return ids that name neither a library nor a drive nor a slot."""
    return (uuid.uuid4(), NULL_GUID, w.root, w.robot.doors[0])


def away(w: World) -> list[tuple[uuid.UUID, uuid.UUID]]:
    """Return libraries whose device is not there, as this host or another has found, and an empty slot of each."""
    stock, elsewhere = w.stock(media=1), w.library()
    folder, hidden = str(stock.folder), f"{stock.folder} hidden"
    os.rename(folder, hidden)
    w.undo.callback(os.rename, hidden, folder)
    absent = int(NtmsOperationalState.NTMS_NOT_PRESENT)
    builders.set_columns(w.url, model.Library, elsewhere.id, operational_state=absent)
    return [(stock.library.id, stock.slots[-1].id), (elsewhere.id, elsewhere.slots[0])]


def reserved(w: World, **options: Any) -> builders.BuiltLibrary:
    """Return a library whose first slot is kept for the cleaner."""
    library = w.library(**options)
    assert ntmsapi.ReserveNtmsCleanerSlot(w.h, library.id, library.slots[0]) == 0
    return library


def absent_slots(w: World, *slots: uuid.UUID) -> None:
    """Take slots out of their library, as the device tells it or as their state does."""
    columns = ({"operational_state": int(NtmsOperationalState.NTMS_NOT_PRESENT)}, {"state": int(NOTPRESENT)})
    for slot, changed in zip(slots, columns, strict=True):
        builders.set_columns(w.url, model.Slot, slot, **changed)


NOTPRESENT = NtmsSlotState.NTMS_SLOTSTATE_NOTPRESENT


def with_cleaner(w: World, *, in_drive: bool = False, **options: Any) -> builders.BuiltLibrary:
    """Return a library with a cleaner in the slot that is kept for it, or in a drive from which it goes back there."""
    library = reserved(w, **options)
    pool = w.session.pools.get(w.system_pool("Unrecognized"))
    builders.add_medium(w.url, pool, w.name("CLN"), 7, library=library)
    (medium,) = w.session.media.list(library=library.id)
    where = {"drive_id": library.drives[0]} if in_drive else {"slot_id": library.slots[0]}
    builders.make_cleaner(w.url, medium.id, home_slot_id=library.slots[0], **where)
    return library


# Cleaning


@pair("CleanNtmsDrive", "ERROR_ACCESS_DENIED", when=CONTROL_MISSING, eras=ERAS)
def clean_denied(w: World) -> Made:
    library = w.library()
    return denied(w, "CleanNtmsDrive", (library.drives[0],), (LIBRARY, library.id), w2k3=C)


@pair("CleanNtmsDrive", "ERROR_INVALID_DRIVE", when="drive id is not that of a drive")
def clean_no_drive(w: World) -> Made:
    return calls("CleanNtmsDrive", w.h, *((other,) for other in (*no_objects(w), w.robot.id, w.robot.slots[0])))


@pair("CleanNtmsDrive", "ERROR_INVALID_LIBRARY", when="the library that owns the drive is not valid", fresh=True)
def clean_in_lost_library(w: World) -> Made:
    library = w.library()
    w.lose("library", library.id)
    return calls("CleanNtmsDrive", w.h, (library.drives[0],))


@pair("CleanNtmsDrive", "ERROR_RESOURCE_DISABLED", when="the drive is not enabled")
def clean_disabled_drive(w: World) -> Made:
    drive = w.library().drives[0]
    w.session.objects.disable(DRIVE, drive)
    return calls("CleanNtmsDrive", w.h, (drive,))


@pair("CleanNtmsDrive", "ERROR_RESOURCE_DISABLED", when="the library is not enabled")
def clean_in_disabled_library(w: World) -> Made:
    library = w.library()
    w.session.objects.disable(LIBRARY, library.id)
    return calls("CleanNtmsDrive", w.h, (library.drives[0],))


@pair("CleanNtmsDrive", "ERROR_SUCCESS", when="the cleaning has been put on the queue")
def clean(w: World) -> Made:
    """It comes back before the drive is clean; a worker does it; of a stand-alone drive only the time is noted."""
    stock, alone = w.stock(media=1), w.library()
    add_cartridge(stock.folder, "CLN001", cleaner=True)
    builders.set_columns(w.url, model.Library, alone.id, library_type=3)
    return Attempt([partial(clean_really, w, stock), partial(clean_alone, w, alone.drives[0])])


def clean_really(w: World, stock: Stock) -> Any:
    drive = stock.drives[0].id
    code = ntmsapi.CleanNtmsDrive(w.h, drive)
    assert w.information(DRIVE, drive).Info.LastCleanedTs is None
    w.session.libraries.inventory(stock.library, full=False)
    w.at_work(stock.settle)
    assert w.information(DRIVE, drive).Info.LastCleanedTs is not None
    return code


def clean_alone(w: World, drive: uuid.UUID) -> Any:
    code = ntmsapi.CleanNtmsDrive(w.h, drive)
    assert w.information(DRIVE, drive).Info.LastCleanedTs is not None
    return code


# Keeping a slot


@pair("ReserveNtmsCleanerSlot", "ERROR_ACCESS_DENIED", when=CONTROL_MISSING, eras=ERAS)
def reserve_denied(w: World) -> Made:
    library = w.library()
    return denied(w, "ReserveNtmsCleanerSlot", (library.id, library.slots[0]), (LIBRARY, library.id), w2k3=C)


@pair("ReserveNtmsCleanerSlot", "ERROR_ALREADY_RESERVED", when="this slot is already the cleaner slot")
def reserve_twice(w: World) -> Made:
    library = reserved(w)
    return calls("ReserveNtmsCleanerSlot", w.h, (library.id, library.slots[0]))


@pair(
    "ReserveNtmsCleanerSlot",
    "ERROR_ALREADY_RESERVED",
    when="another slot of the library is already the cleaner slot (release that one first)",
)
def reserve_another(w: World) -> Made:
    library = reserved(w)
    return calls("ReserveNtmsCleanerSlot", w.h, *((library.id, slot) for slot in library.slots[1:]))


@pair("ReserveNtmsCleanerSlot", "ERROR_DEVICE_NOT_AVAILABLE", when=NOT_CONNECTED)
def reserve_in_what_is_away(w: World) -> Made:
    return calls("ReserveNtmsCleanerSlot", w.h, *away(w))


@pair("ReserveNtmsCleanerSlot", "ERROR_INVALID_SLOT", when="the slot cannot be found in the catalogue")
def reserve_no_slot(w: World) -> Made:
    library = w.library()
    others = (*no_objects(w), library.id, library.drives[0])
    return calls("ReserveNtmsCleanerSlot", w.h, *((library.id, other) for other in others))


@pair("ReserveNtmsCleanerSlot", "ERROR_INVALID_SLOT", when="slot belongs to another library")
def reserve_anothers_slot(w: World) -> Made:
    return calls("ReserveNtmsCleanerSlot", w.h, (w.library().id, w.library().slots[0]))


@pair("ReserveNtmsCleanerSlot", "ERROR_INVALID_LIBRARY", when="library id unknown")
def reserve_in_no_library(w: World) -> Made:
    slot = w.library().slots[0]
    return calls("ReserveNtmsCleanerSlot", w.h, *((other, slot) for other in (*no_objects(w), slot)))


@pair("ReserveNtmsCleanerSlot", "ERROR_SLOT_FULL", when="the slot holds a medium; nothing is reserved")
def reserve_full(w: World) -> Made:
    """It does hold one; or the one that has to go back there is in a drive just now."""
    stock, library = w.stock(media=1), w.library()
    builders.add_medium(w.url, w.session.pools.get(w.pool()), w.name("S"), 4, library=library)
    (medium,) = w.session.media.list(library=library.id)
    away_from = {"home_slot_id": library.slots[1], "drive_id": library.drives[0]}
    builders.set_columns(w.url, model.PhysicalMedium, medium.id, **away_from)
    full = [(stock.library.id, stock.slots[0].id), (library.id, library.slots[1])]
    return calls("ReserveNtmsCleanerSlot", w.h, *full)


@pair(
    "ReserveNtmsCleanerSlot",
    "ERROR_SLOT_NOT_PRESENT",
    when="the slot is not installed just now, for example because a magazine is out; nothing is reserved",
)
def reserve_absent(w: World) -> Made:
    library = w.library()
    absent_slots(w, *library.slots[:2])
    return calls("ReserveNtmsCleanerSlot", w.h, *((library.id, slot) for slot in library.slots[:2]))


@pair("ReserveNtmsCleanerSlot", "ERROR_SUCCESS", when="the reservation has been put on the queue")
def reserve(w: World) -> Made:
    def keep(library: uuid.UUID, slot: uuid.UUID) -> Any:
        code = ntmsapi.ReserveNtmsCleanerSlot(w.h, library, slot)
        assert w.information(LIBRARY, library).Info.CleanerSlot == slot
        return code

    library, stock = w.library(), w.stock(media=1)
    return Attempt([partial(keep, library.id, library.slots[1]), partial(keep, stock.library.id, stock.slots[-1].id)])


# Giving it back


@pair("ReleaseNtmsCleanerSlot", "ERROR_ACCESS_DENIED", when=CONTROL_MISSING, eras=ERAS)
def release_denied(w: World) -> Made:
    library = reserved(w)
    return denied(w, "ReleaseNtmsCleanerSlot", (library.id,), (LIBRARY, library.id), w2k3=C)


@pair("ReleaseNtmsCleanerSlot", "ERROR_DEVICE_NOT_AVAILABLE", when=NOT_CONNECTED)
def release_in_what_is_away(w: World) -> Made:
    return calls("ReleaseNtmsCleanerSlot", w.h, *((library,) for library, _ in away(w)))


@pair("ReleaseNtmsCleanerSlot", "ERROR_NO_SLOT_RESERVED", when="the library has no cleaner slot")
def release_none(w: World) -> Made:
    return calls("ReleaseNtmsCleanerSlot", w.h, (w.library().id,))


@pair(
    "ReleaseNtmsCleanerSlot",
    "ERROR_SLOT_FULL",
    when="a cleaner lies in the slot; it must be ejected first with EjectNtmsCleaner",
)
def release_full(w: World) -> Made:
    return calls("ReleaseNtmsCleanerSlot", w.h, (with_cleaner(w).id,), (with_cleaner(w, in_drive=True).id,))


@pair(
    "ReleaseNtmsCleanerSlot",
    "ERROR_SLOT_NOT_PRESENT",
    when=NOT_INSTALLED,
)
def release_absent(w: World) -> Made:
    one, other = reserved(w), reserved(w)
    absent_slots(w, one.slots[0], other.slots[0])
    return calls("ReleaseNtmsCleanerSlot", w.h, (one.id,), (other.id,))


@pair("ReleaseNtmsCleanerSlot", "ERROR_INVALID_LIBRARY", when="library id unknown")
def release_in_no_library(w: World) -> Made:
    return calls("ReleaseNtmsCleanerSlot", w.h, *((other,) for other in (*no_objects(w), w.robot.slots[0])))


@pair("ReleaseNtmsCleanerSlot", "ERROR_SUCCESS", when="the release has been put on the queue")
def release(w: World) -> Made:
    library = reserved(w)

    def give_back() -> Any:
        code = ntmsapi.ReleaseNtmsCleanerSlot(w.h, library.id)
        assert w.information(LIBRARY, library.id).Info.CleanerSlot == NULL_GUID
        return code

    return Attempt([give_back])


# Putting a cleaner in


def injecting(w: World, *libraries: Any) -> Attempt:
    return calls("InjectNtmsCleaner", w.h, *((library, NULL_GUID, USES, INJECT) for library in libraries))


def ejecting(w: World, *libraries: Any) -> Attempt:
    return calls("EjectNtmsCleaner", w.h, *((library, NULL_GUID, EJECT) for library in libraries))


@pair("InjectNtmsCleaner", "ERROR_ACCESS_DENIED", when=DENIED, eras=ERAS)
def inject_denied(w: World) -> Made:
    begun, library = reserved(w), reserved(w)
    code, operation = ntmsapi.InjectNtmsCleaner(w.h, begun.id, NULL_GUID, USES, INJECT)
    assert code == 0
    stop = denied(w, "InjectNtmsCleaner", (begun.id, operation, USES, STOP_INJECT), (LIBRARY, begun.id), w2k3=C)
    start = (library.id, NULL_GUID, USES, INJECT)
    return [stop, denied(w, "InjectNtmsCleaner", start, (LIBRARY, library.id), w2k3=C)]


@pair("InjectNtmsCleaner", "ERROR_DEVICE_NOT_AVAILABLE", when=NOT_CONNECTED)
def inject_into_what_is_away(w: World) -> Made:
    return injecting(w, *(library for library, _ in away(w)))


@pair("InjectNtmsCleaner", "ERROR_INVALID_LIBRARY", when=NO_LIBRARY)
def inject_into_no_library(w: World) -> Made:
    return injecting(w, *no_objects(w), w.robot.slots[0])


@pair(
    "InjectNtmsCleaner",
    "ERROR_LIBRARY_OFFLINE",
    when="the library is offline, a cleaner can only go into an online one",
)
def inject_into_the_shelf(w: World) -> Made:
    return injecting(w, w.offline)


@pair("InjectNtmsCleaner", "ERROR_NO_SLOT_SET", when=NO_CLEANER_SLOT)
def inject_without_slot(w: World) -> Made:
    return injecting(w, w.library().id)


@pair(
    "InjectNtmsCleaner",
    "ERROR_SLOT_FULL",
    when="a cleaner already lies in the cleaner slot; eject it first with EjectNtmsCleaner",
)
def inject_another(w: World) -> Made:
    """It is there, or it cleans just now, or it is being put in."""
    begun = reserved(w).id
    assert ntmsapi.InjectNtmsCleaner(w.h, begun, NULL_GUID, USES, INJECT)[0] == 0
    return injecting(w, with_cleaner(w).id, with_cleaner(w, in_drive=True).id, begun)


@pair("InjectNtmsCleaner", "ERROR_SLOT_NOT_PRESENT", when=NOT_INSTALLED)
def inject_into_absent_slot(w: World) -> Made:
    one, other = reserved(w), reserved(w)
    absent_slots(w, one.slots[0], other.slots[0])
    return injecting(w, one.id, other.id)


@pair("InjectNtmsCleaner", "ERROR_SUCCESS", when="the call did what was asked")
def inject(w: World) -> Made:
    """It comes back at once; a person, a port and a robot do it; one that goes on is stopped."""
    stock, door, stopped = w.stock(media=1), w.library(ports=0), reserved(w)
    for library, slot in ((stock.library.id, stock.slots[-1].id), (door.id, door.slots[0])):
        assert ntmsapi.ReserveNtmsCleanerSlot(w.h, library, slot) == 0
    begun = ntmsapi.InjectNtmsCleaner(w.h, stopped.id, NULL_GUID, USES, INJECT)[1]
    by_door = partial(ntmsapi.InjectNtmsCleaner, w.h, door.id, NULL_GUID, USES, INJECT)
    stop = partial(ntmsapi.InjectNtmsCleaner, w.h, stopped.id, begun, USES, STOP_INJECT)
    return Attempt([partial(inject_really, w, stock), by_door, stop])


def inject_really(w: World, stock: Stock) -> Any:
    add_cartridge(stock.folder, "CLN001", port=1)
    code, operation = ntmsapi.InjectNtmsCleaner(w.h, stock.library.id, NULL_GUID, USES, INJECT)
    assert (stock.folder / "port-01" / "CLN001").is_dir()
    ended = w.at_work(partial(w.session.requests.wait, operation, timeout_ms=LONG_MS))
    assert ended.state is NtmsLmState.NTMS_LM_PASSED
    assert (stock.folder / "slot-0002" / "CLN001").is_dir()
    assert w.information(LIBRARY, stock.library.id).Info.dwCleanerUsesRemaining == USES
    return code


# Taking it out


@pair("EjectNtmsCleaner", "ERROR_ACCESS_DENIED", when=DENIED, eras=ERAS)
def eject_denied(w: World) -> Made:
    begun, library = with_cleaner(w), with_cleaner(w)
    code, operation = ntmsapi.EjectNtmsCleaner(w.h, begun.id, NULL_GUID, EJECT)
    assert code == 0
    stop = denied(w, "EjectNtmsCleaner", (begun.id, operation, STOP_EJECT), (LIBRARY, begun.id), w2k3=C)
    return [stop, denied(w, "EjectNtmsCleaner", (library.id, NULL_GUID, EJECT), (LIBRARY, library.id), w2k3=C)]


@pair("EjectNtmsCleaner", "ERROR_INVALID_LIBRARY", when=NO_LIBRARY)
def eject_from_no_library(w: World) -> Made:
    return ejecting(w, *no_objects(w), w.robot.slots[0])


@pair("EjectNtmsCleaner", "ERROR_NO_SLOT_SET", when=NO_CLEANER_SLOT)
def eject_without_slot(w: World) -> Made:
    return ejecting(w, w.library().id)


@pair("EjectNtmsCleaner", "ERROR_SLOT_EMPTY", when="there is a cleaner slot but nothing lies in it")
def eject_nothing(w: World) -> Made:
    return ejecting(w, reserved(w).id)


@pair("EjectNtmsCleaner", "ERROR_SLOT_NOT_PRESENT", when=NOT_INSTALLED)
def eject_from_absent_slot(w: World) -> Made:
    one, other = with_cleaner(w), reserved(w)
    absent_slots(w, one.slots[0], other.slots[0])
    return ejecting(w, one.id, other.id)


@pair("EjectNtmsCleaner", "ERROR_DEVICE_NOT_AVAILABLE", when="library is offline or not connected")
def eject_from_what_is_away(w: World) -> Made:
    return ejecting(w, w.offline, *(library for library, _ in away(w)))


@pair("EjectNtmsCleaner", "ERROR_INVALID_OPERATION", when="stop with an unknown operation id")
def stop_no_eject(w: World) -> Made:
    """Nor the one of another library, nor one that has ended, nor one of another kind, nor one through a door."""
    library, other, door = with_cleaner(w), with_cleaner(w), with_cleaner(w, ports=0)
    begun = [ntmsapi.EjectNtmsCleaner(w.h, each.id, NULL_GUID, EJECT)[1] for each in (library, other, door)]
    assert ntmsapi.EjectNtmsCleaner(w.h, library.id, begun[0], STOP_EJECT) == (0, None)
    inject = ntmsapi.InjectNtmsCleaner(w.h, reserved(w).id, NULL_GUID, USES, INJECT)[1]
    ids = (uuid.uuid4(), NULL_GUID, begun[0], begun[1], inject, w.request(), library.id)
    wrong = [(library.id, each, STOP_EJECT) for each in ids]
    return calls("EjectNtmsCleaner", w.h, *wrong, (door.id, begun[2], STOP_EJECT))


@pair("EjectNtmsCleaner", "ERROR_SUCCESS", when="the call did what was asked")
def eject(w: World) -> Made:
    """It comes back at once; the cleaner is in a port then, and forgotten once a person took it; one is stopped."""
    stock, door, stopped = w.stock(media=1), with_cleaner(w, ports=0), with_cleaner(w)
    assert ntmsapi.ReserveNtmsCleanerSlot(w.h, stock.library.id, stock.slots[-1].id) == 0
    inject_really(w, stock)
    begun = ntmsapi.EjectNtmsCleaner(w.h, stopped.id, NULL_GUID, EJECT)[1]
    by_door = partial(ntmsapi.EjectNtmsCleaner, w.h, door.id, NULL_GUID, EJECT)
    stop = partial(ntmsapi.EjectNtmsCleaner, w.h, stopped.id, begun, STOP_EJECT)
    return Attempt([partial(eject_really, w, stock), by_door, stop])


def eject_really(w: World, stock: Stock) -> Any:
    code, operation = ntmsapi.EjectNtmsCleaner(w.h, stock.library.id, NULL_GUID, EJECT)
    in_port, shelf = stock.folder / "port-01" / "CLN001", stock.folder.with_name(f"{stock.folder.name} shelf")
    assert not in_port.exists()
    with w.working():
        wait_until(w.session, in_port.is_dir)
        os.rename(in_port, shelf)
        ended = w.session.requests.wait(operation, timeout_ms=LONG_MS)
    assert ended.state is NtmsLmState.NTMS_LM_PASSED
    assert w.information(LIBRARY, stock.library.id).Info.dwCleanerUsesRemaining == 0
    assert "CLN001" not in {each.barcode for each in w.session.media.list()}
    return code
