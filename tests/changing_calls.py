"""Every call that changes something, on catalogues made ready for it: of pools and media, library work, and people.

`CALLS` is by name; `made` holds what was put on record before. Tests make each call fail in every way there is, and
test_changing_calls sees that none is missing.
"""

import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import builders
import robots
import sqlalchemy

import rsm
from rsm import model, ntmsapi
from rsm.constants import (
    NULL_GUID,
    NtmsOperationalState,
    NtmsOpreqCommand,
    NtmsSlotState,
    NtmsUIOperations,
    NtmsUITypes,
)
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsPartitionState as State
from rsm.libraries import open_library
from rsm.libraries.virtual import create
from rsm.nouns.mounts import Mount, Request
from rsm.services import devices, inventory, mounts, queue

_MESSAGE = NtmsOpreqCommand.NTMS_OPREQ_MESSAGE
_INFO = NtmsUITypes.NTMS_UITYPE_INFO
Made = dict[str, Any]
Prepare = Callable[[str, rsm.Session, Path], Made]


@dataclass(frozen=True)
class Call:
    """One call, and what makes a catalogue ready for it; what some work on lives as long as the session it is of."""

    prepare: Prepare
    make: Callable[[rsm.Session, Made], object]
    of_a_session: bool = False


def prepare_pools(url: str, session: rsm.Session, _folder: Path) -> Made:
    """Put pools, types and a cartridge on record."""
    robot = builders.add_library(url, slots=1, doors=0, ports=0, requests=0)
    own_type = session.types.create("Own type")
    taken = session.types.create("Taken type")
    session.types.add(taken, robot.id)
    session.types.add("LTO-8", robot.id)
    media = session.pools.create(r"\Media", media_type="LTO-8")
    session.pools.create(r"\More", media_type="LTO-8")
    session.pools.create(r"\Others", media_type="LTO-7")
    empty = session.pools.create(r"\Above\Empty", parents=True, description="to be deleted")
    tape = session.media.create(media, [builders.side()], barcode="A00001")
    session.media.disable(session.media.create(r"\More", [builders.side()], barcode="A00009"))
    session.objects.set_attribute(Kind.NTMS_MEDIA_POOL, media, "kept", b"old")
    session.ui.add(_INFO, "desk", robot.id)
    found = {"robot": robot.id, "own": own_type, "taken": taken, "media": media, "tape": tape, "empty": empty.id}
    return {**found, "side": session.media.sides(tape)[0]}


def prepare_work(url: str, session: rsm.Session, folder: Path) -> Made:
    """Put a robot on record: cartridges allocated and mounted, requests that wait, an operator who is asked."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "other").mkdir()
    filled = robots.fill(session, url, robots.make_folder(folder))
    with open_library("virtual", str(folder / "robot")) as device:
        seen = list(device.read_elements())
    drives, slots = session.libraries.drives(filled.library), session.libraries.slots(filled.library)
    spare = session.media.create(r"\App", [builders.side()], barcode="C00001")
    built = builders.BuiltLibrary(filled.library.id, "Robot", [slot.id for slot in slots])
    builders.put_online(url, spare.id, built, 3)
    loaded = session.media.create(r"\App", [builders.side()], barcode="D00001")
    builders.put_online(url, loaded.id, built, 0)
    builders.set_columns(url, model.PhysicalMedium, loaded.id, slot_id=None, drive_id=drives[1].id)
    for slot in (slots[0], slots[2]):
        builders.set_columns(url, model.Slot, slot.id, state=2)
    builders.set_columns(url, model.Drive, drives[1].id, occupied=True, state=1)
    held = {session.media.sides(each)[0].id: each for each in (filled.stored, filled.away)}
    tapes = [each for each in session.media.logical_media(r"\App") if each.side in held]
    (folder / "feeder").mkdir()
    feeder = session.libraries.add("standalone", str(folder / "feeder"), media_types=["LTO-8"])
    ejecting = session.libraries.add("standalone", str(folder / "other"), name="Ejecting", media_types=["LTO-8"])
    session.libraries.eject("Ejecting")
    session.libraries.stop_inventory(feeder)
    queued = [
        session.write(queue.insert_request, queue.MOUNT, filled.library.id, caller_user="user:alice") for _ in range(3)
    ]
    session.requests.cancel(queued[2])
    session.libraries.inventory(filled.library)
    with builders.behind(url) as connection:
        mount = sqlalchemy.update(model.Mount).where(model.Mount.drive_id == drives[0].id)
        connection.execute(mount.values(request_id=filled.request))
    answered = session.operators.submit(_MESSAGE, message="done")
    session.operators.satisfy(answered)
    return {
        "filled": filled,
        "spare": session.media.sides(spare)[0],
        "tapes": tapes,
        "queued": queued,
        "answered": answered,
        "other": robots.make_folder(folder / "other"),
        "drives": drives,
        "feeder": feeder,
        "ejecting": ejecting,
        "detection": session.detection.begin(),
        "channel": session.notifications.open(),
        "slots": slots,
        "seen": seen,
    }


def prepare_attended(url: str, session: rsm.Session, folder: Path) -> Made:
    """Put libraries on record that people put cartridges and cleaners in and take them out, and that lack a drive."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    made: Made = {}
    for name in ("ready", "cleaned", "cleaning"):
        library = session.libraries.add("virtual", create(folder / name, 4, 2, 2, "LTO-8", name=name, doors=1))
        slots = session.libraries.slots(library)
        for slot in slots:
            builders.set_columns(url, model.Slot, slot.id, state=int(NtmsSlotState.NTMS_SLOTSTATE_EMPTY))
        session.libraries.reserve_cleaner_slot(library, slots[3])
        made |= {name: library, f"{name} slots": slots}
    session.pools.create(r"\App", media_type="LTO-8")
    slots = made["ready slots"]
    for number in range(2):
        medium = session.media.create(r"\App", [builders.side()], barcode=f"E0000{number}")
        built = builders.BuiltLibrary(made["ready"].id, "ready", [slot.id for slot in slots])
        builders.put_online(url, medium.id, built, number)
    cleaner = session.media.create(r"\App", [builders.side()], barcode="CLN001")
    built = builders.BuiltLibrary(made["cleaned"].id, "cleaned", [slot.id for slot in made["cleaned slots"]])
    builders.put_online(url, cleaner.id, built, 3)
    builders.make_cleaner(url, cleaner.id, slot_id=made["cleaned slots"][3].id)
    gone = session.libraries.drives(made["ready"])[1]
    builders.set_columns(url, model.Drive, gone.id, operational_state=int(NtmsOperationalState.NTMS_NOT_PRESENT))
    many = session.libraries.inject(made["cleaned"], many=True).id
    builders.set_columns(url, model.LibraryRequest, many, details={"many": True, "until": "2100-01-01T00:00:00+00:00"})
    begun = {
        "inject": session.libraries.inject(made["ready"]).id,
        "many": many,
        "eject": session.media.eject("E00000").id,
        "door": session.libraries.door(made["ready"]).id,
        "cleaner in": session.libraries.inject_cleaner(made["cleaning"], 5).id,
        "drive": gone.id,
    }
    session.media.gather("E00001")
    return made | begun


def _batch(session: rsm.Session, made: Made) -> None:
    with session.transaction():
        session.pools.delete(r"\Above\Empty")
        session.media.move(made["tape"], r"\More")
        session.pools.create(r"\Above\Other")


def _replace_list(session: rsm.Session, made: Made) -> None:
    entries = (rsm.Ace(True, "user:alice", rsm.AccessRights.USE), rsm.Ace(True, "everyone", rsm.AccessRights.MODIFY))
    session.acl.set(Kind.NTMS_MEDIA_POOL, made["media"], rsm.SecurityDescriptor("user:alice", entries))


def _enter_allocated(session: rsm.Session, made: Made) -> None:
    side = builders.side(state=State.NTMS_PARTSTATE_ALLOCATED)
    session.media.create(made["media"], [side], barcode="A00002", error_on_duplicate=True)


def _document(name: str, session: rsm.Session, *arguments: object) -> object:
    """Make a call by its name in the NTMS interface, and let its error out."""
    return getattr(ntmsapi, name).__wrapped__(session, *arguments)


def _end_inventory(session: rsm.Session, made: Made) -> None:
    """Write down what the device shows, as the worker does; the record has other cartridges."""
    library = made["filled"].library.id
    places = session.read(devices.read_elements_of, library)
    session.write(inventory.record_look, library, places, made["seen"], complete=True)


def _mount_of(session: rsm.Session, request: uuid.UUID) -> Mount:
    return Mount(session, request, session.read(mounts.read_mounted, request))


DELETE = "delete a pool by id"
_POOLS: dict[str, Callable[[rsm.Session, Made], object]] = {
    DELETE: lambda session, made: session.pools.delete(made["empty"]),
    "delete a pool by path": lambda session, made: session.pools.delete(r"\Above\Empty"),
    "create a pool": lambda session, made: session.pools.create(r"\New", media_type="LTO-8", max_allocates=3),
    "create a pool and parents": lambda session, made: session.pools.create(r"\A\B", parents=True),
    "change a pool": lambda session, made: session.pools.update(r"\Above", name="Over", description="renamed"),
    "enter a cartridge": _enter_allocated,
    "move a cartridge": lambda session, made: session.media.move(made["tape"], r"\Free\LTO-8"),
    "change a cartridge's type": lambda session, made: session.media.change_type(made["tape"], r"\Others"),
    "rename a cartridge": lambda session, made: session.media.update(made["tape"], name="Monday"),
    "enable a cartridge": lambda session, made: session.media.enable("A00009"),
    "disable a cartridge": lambda session, made: session.media.disable(made["tape"]),
    "decommission a side": lambda session, made: session.media.decommission(made["side"]),
    "forget a cartridge": lambda session, made: session.media.delete(made["tape"]),
    "disable a library": lambda session, made: session.objects.disable(Kind.NTMS_LIBRARY, made["robot"]),
    "enable an object": lambda session, made: session.objects.enable(
        Kind.NTMS_PHYSICAL_MEDIA, session.media.get("A00009")
    ),
    "delete a library": lambda session, made: session.libraries.delete(made["robot"]),
    "rename a library": lambda session, made: session.objects.update(Kind.NTMS_LIBRARY, made["robot"], name="Arm"),
    "replace owner and list": _replace_list,
    "change an attribute": lambda session, made: session.objects.set_attribute(
        Kind.NTMS_MEDIA_POOL, made["media"], "kept", b"new"
    ),
    "delete an attribute": lambda session, made: session.objects.delete_attribute(
        Kind.NTMS_MEDIA_POOL, made["media"], "kept"
    ),
    "create a media type": lambda session, made: session.types.create("Mine"),
    "delete a media type": lambda session, made: session.types.delete(made["own"]),
    "add a media type": lambda session, made: session.types.add(made["own"], made["robot"]),
    "remove a media type": lambda session, made: session.types.remove(made["taken"], made["robot"]),
    "ask for messages": lambda session, made: session.ui.add(_INFO, "console", made["robot"]),
    "ask for no more messages": lambda session, made: session.ui.remove(_INFO, "desk", made["robot"]),
    "ask for no messages at all": lambda session, made: session.ui.clear(_INFO, made["robot"]),
    "ask for messages by the document": lambda session, made: _document(
        *("SetNtmsUIOptions", session, made["robot"], _INFO, NtmsUIOperations.NTMS_UIDEST_ADD, "console")
    ),
    "a batch": _batch,
}
_WORK: dict[str, Callable[[rsm.Session, Made], object]] = {
    "allocate a medium": lambda session, made: session.media.allocate(
        r"\App", side=made["spare"], error_if_unavailable=True
    ),
    "draw a medium": lambda session, made: session.media.allocate_from(r"\App", timeout_ms=0),
    "be told of changes": lambda session, made: session.notifications.open(),
    "complete a medium": lambda session, made: session.media.complete(made["tapes"][0]),
    "deallocate a medium": lambda session, made: session.media.deallocate(made["tapes"][0]),
    "swap two media": lambda session, made: session.media.swap(*made["tapes"]),
    "tell a label": lambda session, made: session.media.update_label(made["tapes"][0], "tests", b"new"),
    "give up a mount": lambda session, made: Request(session, tuple(made["queued"][:2]), True).cancel(),
    "give a side back": lambda session, made: _mount_of(session, made["filled"].request).dismount(),
    "leave a side mounted": lambda session, made: _mount_of(session, made["filled"].request).keep(),
    "request a mount": lambda session, made: session.mounts.request(made["tapes"][0], write=True),
    "dismount a cartridge": lambda session, made: session.mounts.dismount(made["filled"].mounted),
    "empty a drive": lambda session, made: session.mounts.empty_drive(made["drives"][1]),
    "add a library": lambda session, made: session.libraries.add("virtual", made["other"], name="Other"),
    "take an inventory": lambda session, made: session.libraries.inventory(made["filled"].library, full=True),
    "end an inventory": _end_inventory,
    "stop an inventory": lambda session, made: session.libraries.stop_inventory(made["filled"].library),
    "identify a slot": lambda session, made: session.libraries.identify(made["slots"][1]),
    "eject from a drive": lambda session, made: session.libraries.eject(made["feeder"].name),
    "stop an ejecting": lambda session, made: session.libraries.stop_eject(made["ejecting"].name),
    "begin to watch": lambda session, made: session.detection.begin(),
    "look at a drive once": lambda session, made: session.detection.poll(Kind.NTMS_LIBRARY, [made["feeder"]]),
    "watch a drive": lambda session, made: made["detection"].watch(libraries=[made["feeder"]]),
    "watch a drive by its type": lambda session, made: made["detection"].watch_kind(
        Kind.NTMS_LIBRARY, [made["feeder"].id]
    ),
    "watch no more": lambda session, made: made["detection"].end(),
    "be told no more": lambda session, made: made["channel"].close(),
    "take cartridges in": lambda session, made: session.libraries.inject(made["filled"].library),
    "eject a cartridge": lambda session, made: session.media.eject("C00001"),
    "gather a cartridge": lambda session, made: session.media.gather("C00001"),
    "clean a drive": lambda session, made: session.libraries.clean(made["drives"][0]),
    "keep a slot for the cleaner": lambda session, made: session.libraries.reserve_cleaner_slot(
        made["filled"].library, made["slots"][2]
    ),
    "cancel a request": lambda session, made: session.requests.cancel(made["queued"][0]),
    "order a request": lambda session, made: session.requests.set_order(made["queued"][1], 1),
    "delete a request": lambda session, made: session.requests.delete(made["queued"][2]),
    "delete ended requests": lambda session, made: session.requests.delete_ended(),
    "ask an operator": lambda session, made: session.operators.submit(_MESSAGE, message="look"),
    "satisfy a request": lambda session, made: session.operators.satisfy(made["filled"].asked),
    "refuse a request": lambda session, made: session.operators.refuse(made["filled"].asked),
    "delete an answered request": lambda session, made: session.operators.delete(made["answered"]),
}
_ATTENDED: dict[str, Callable[[rsm.Session, Made], object]] = {
    "open a door": lambda session, made: session.libraries.door(made["ready"]),
    "stop taking in": lambda session, made: session.libraries.attended(made["inject"]).stop(),
    "pull the ports in": lambda session, made: session.libraries.attended(made["many"]).retract(),
    "give up taking out": lambda session, made: session.libraries.attended(made["eject"]).cancel(),
    "eject what was gathered": lambda session, made: session.media.eject(),
    "take a cleaner in": lambda session, made: session.libraries.inject_cleaner(made["ready"], 20),
    "take a cleaner out": lambda session, made: session.libraries.eject_cleaner(made["cleaned"]),
    "keep no slot for the cleaner": lambda session, made: session.libraries.release_cleaner_slot(made["ready"]),
    "delete a drive": lambda session, made: session.libraries.delete_drive(made["drive"]),
    "stop taking in by the document": lambda session, made: _document(
        "InjectNtmsMedia", session, made["ready"].id, made["inject"], ntmsapi.NTMS_INJECT_STOP
    ),
    "stop taking out by the document": lambda session, made: _document(
        "EjectNtmsMedia", session, NULL_GUID, made["eject"], ntmsapi.NTMS_EJECT_STOP
    ),
    "stop taking a cleaner in by the document": lambda session, made: _document(
        "InjectNtmsCleaner", session, made["cleaning"].id, made["cleaner in"], 0, ntmsapi.NTMS_INJECT_STOP
    ),
}
_OF_A_SESSION = {
    *("watch a drive", "watch a drive by its type", "watch no more", "be told no more", "eject what was gathered"),
    *("give a side back", "leave a side mounted"),
}
# Each of these does what another does, by another name or with other words: plain pytest tries that one.
ALIKE = {
    *("enable an object", "ask for messages by the document", "draw a medium", "watch a drive by its type"),
    *("stop taking in by the document", "stop taking out by the document", "stop taking a cleaner in by the document"),
}
CALLS: dict[str, Call] = {
    name: Call(prepare, make, name in _OF_A_SESSION)
    for prepare, calls in ((prepare_pools, _POOLS), (prepare_work, _WORK), (prepare_attended, _ATTENDED))
    for name, make in calls.items()
}
