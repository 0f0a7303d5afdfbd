"""The cases of the table that are about what a person puts into a library, takes out of it, or opens it for."""

import os
import uuid
from functools import partial
from typing import Any

import builders
from mounting import Stock, wait_until
from ntmsapi.pairs_table import ERAS, Attempt, Made, calls, denied, enter_each, pair, success
from ntmsapi.pairs_world import World

from rsm import model, ntmsapi
from rsm.constants import (
    NTMS_EJECT_FORCE,
    NTMS_EJECT_IMMEDIATE,
    NTMS_EJECT_QUEUE,
    NTMS_EJECT_START,
    NTMS_EJECT_STOP,
    NTMS_INJECT_RETRACT,
    NTMS_INJECT_START,
    NTMS_INJECT_STARTMANY,
    NTMS_INJECT_STOP,
    NTMS_INVENTORY_DEFAULT,
    NTMS_INVENTORY_FAST,
    NTMS_INVENTORY_NONE,
    NTMS_INVENTORY_OMID,
    NTMS_INVENTORY_SLOT,
    NULL_GUID,
    NtmsLmState,
)
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsPartitionState as State
from rsm.security import AccessRights

C = AccessRights.CONTROL
LIBRARY, MEDIUM = Kind.NTMS_LIBRARY, Kind.NTMS_PHYSICAL_MEDIA
START, STOP, QUEUE, FORCE = (
    int(each) for each in (NTMS_EJECT_START, NTMS_EJECT_STOP, NTMS_EJECT_QUEUE, NTMS_EJECT_FORCE)
)
INJECT, INJECT_STOP, RETRACT, INJECT_MANY = (
    int(each) for each in (NTMS_INJECT_START, NTMS_INJECT_STOP, NTMS_INJECT_RETRACT, NTMS_INJECT_STARTMANY)
)
NO_INVENTORY, FAST, FULL, OWN = (
    int(each) for each in (NTMS_INVENTORY_NONE, NTMS_INVENTORY_FAST, NTMS_INVENTORY_OMID, NTMS_INVENTORY_DEFAULT)
)
EVERY_BEGINNING = (START, QUEUE, FORCE)
DENIED = "no NTMS_CONTROL_ACCESS on the library"
DISABLED = "the library is disabled"
NOT_LIVE = "stop was asked for an operation id that is not a live one"
NO_PORT = "library has no port"


def unknown() -> uuid.UUID:
    return uuid.uuid4()


def cartridge(w: World, library: builders.BuiltLibrary | None = None, **fields: Any) -> uuid.UUID:
    """Return a cartridge in a slot of a library, one of its own unless told."""
    where = library or w.library()
    pool = w.session.pools.get(w.pool())
    state = State.NTMS_PARTSTATE_AVAILABLE
    (side,) = builders.add_medium(w.url, pool, w.name("P"), state, library=where, **fields)
    found: uuid.UUID = w.session.objects.get(Kind.NTMS_PARTITION, side).medium
    return found


def disabled(w: World, **options: Any) -> builders.BuiltLibrary:
    """Return a library that is disabled."""
    library = w.library(**options)
    w.session.objects.disable(LIBRARY, library.id)
    return library


def ejecting(w: World, *media: Any, action: int = START) -> Attempt:
    return calls("EjectNtmsMedia", w.h, *((medium, NULL_GUID, action) for medium in media))


# Taking out


@pair("EjectNtmsMedia", "ERROR_ACCESS_DENIED", when=DENIED, eras=ERAS)
def eject_denied(w: World) -> Made:
    made = []
    for action in EVERY_BEGINNING:
        library = w.library()
        guard = LIBRARY, library.id
        made.append(denied(w, "EjectNtmsMedia", (cartridge(w, library), NULL_GUID, action), guard, w2k3=C))
    return made


@pair("EjectNtmsMedia", "ERROR_BUSY", when="more media have been queued for ejection than the port has slots")
def eject_more_than_fit(w: World) -> Made:
    library, handle = w.library(ports=2), w.new_handle()
    media = [cartridge(w, library) for _ in range(3)]
    for medium in media[:2]:
        assert ntmsapi.EjectNtmsMedia(handle, medium, None, QUEUE) == (0, None)
    return calls("EjectNtmsMedia", handle, (media[2], None, QUEUE), (media[2], NULL_GUID, START))


@pair("EjectNtmsMedia", "ERROR_DEVICE_NOT_AVAILABLE", when=DISABLED)
def eject_from_what_is_disabled(w: World) -> Made:
    library = w.library()
    medium = cartridge(w, library)
    w.session.objects.disable(LIBRARY, library.id)
    return [ejecting(w, medium, action=action) for action in EVERY_BEGINNING]


def ended_eject(w: World) -> uuid.UUID:
    code, operation = ntmsapi.EjectNtmsMedia(w.h, cartridge(w), NULL_GUID, START)
    assert code == 0
    assert ntmsapi.EjectNtmsMedia(w.h, None, operation, STOP) == (0, None)
    found: uuid.UUID = operation
    return found


@pair("EjectNtmsMedia", "ERROR_INVALID_OPERATION", when=NOT_LIVE)
def stop_no_eject(w: World) -> Made:
    inject = ntmsapi.InjectNtmsMedia(w.h, w.library().id, NULL_GUID, INJECT)[1]
    others = (unknown(), NULL_GUID, ended_eject(w), inject, w.request(), w.robot.id)
    return calls("EjectNtmsMedia", w.h, *((None, other, STOP) for other in others))


@pair(
    "EjectNtmsMedia",
    "ERROR_LIBRARY_OFFLINE",
    when="the library concerned is an offline one, nothing can be ejected from it",
)
def eject_from_the_shelf(w: World) -> Made:
    return [ejecting(w, w.medium(), action=action) for action in EVERY_BEGINNING]


@pair("EjectNtmsMedia", "ERROR_MEDIA_NOT_AVAILABLE", when="the medium is disabled")
def eject_what_is_disabled(w: World) -> Made:
    medium = cartridge(w)
    w.session.media.disable(medium)
    return [ejecting(w, medium, action=action) for action in EVERY_BEGINNING]


@pair("EjectNtmsMedia", "ERROR_UNABLE_TO_EJECT_MOUNTED_MEDIA", when="medium is mounted or opened")
def eject_what_is_mounted(w: World) -> Made:
    side, _ = w.in_drive(in_use=True)
    medium = w.session.objects.get(Kind.NTMS_PARTITION, side).medium
    return [ejecting(w, medium, action=action) for action in (START, QUEUE)]


@pair("EjectNtmsMedia", "ERROR_INVALID_MEDIA", when="medium id unknown")
def eject_nothing(w: World) -> Made:
    return ejecting(w, unknown(), w.robot.id, w.side(), w.held())


@pair("EjectNtmsMedia", "ERROR_RESOURCE_NOT_PRESENT", when=NO_PORT)
def eject_without_a_port(w: World) -> Made:
    bare, shut = w.library(ports=0), w.library()
    builders.set_columns(w.url, model.Port, shut.ports[0], enabled=False)
    media = cartridge(w, bare), cartridge(w, shut)
    return [ejecting(w, *media, action=action) for action in EVERY_BEGINNING]


@pair("EjectNtmsMedia", "ERROR_SUCCESS", when="the eject has been put on the queue")
def eject_by_every_action(w: World) -> Made:
    """A busy library queues it; what a person takes out goes to the shelf; gathered media go out together."""
    stock = w.stock(media=1)
    return [
        success(w, "EjectNtmsMedia"),
        Attempt([partial(eject_through, w, stock, START)], w.working),
        Attempt([partial(eject_through, w, w.stock(media=1), FORCE, mounted=True)], w.working),
        Attempt([partial(eject_gathered, w)]),
        Attempt([partial(eject_stopped, w)]),
    ]


def eject_through(w: World, stock: Stock, action: int, *, mounted: bool = False) -> Any:
    (medium,) = stock.media
    if mounted:
        assert ntmsapi.MountNtmsMedia(w.h, [medium.id])[0] == 0
    code, operation = ntmsapi.EjectNtmsMedia(w.h, medium.medium, NULL_GUID, action)
    wait_until(w.session, lambda: stock.place(medium) == "port-01")
    os.rename(stock.on_disk(medium), stock.folder / ".taken")
    ended = w.session.requests.wait(operation)
    assert ended.state is NtmsLmState.NTMS_LM_PASSED
    assert w.information(MEDIUM, medium.medium).Info.CurrentLibrary == w.offline
    return code


def eject_gathered(w: World) -> Any:
    library, handle = w.library(ports=3), w.new_handle()
    media = [cartridge(w, library) for _ in range(3)]
    for medium in media[:2]:
        assert ntmsapi.EjectNtmsMedia(handle, medium, None, QUEUE) == (0, None)
    code, operation = ntmsapi.EjectNtmsMedia(handle, media[2], NULL_GUID, START)
    assert w.session.requests.get(operation).details["media"] == [str(medium) for medium in media]
    assert ntmsapi.EjectNtmsMedia(handle, media[0], None, QUEUE) == (0, None)
    for absent in (None, NULL_GUID):
        code, operation = ntmsapi.EjectNtmsMedia(handle, absent, NULL_GUID, START)
        assert (code == 0) == (absent is None)  # it was begun: nothing is gathered any more
    return ntmsapi.EjectNtmsMedia(handle, media[1], NULL_GUID, START)


def eject_stopped(w: World) -> Any:
    code, operation = ntmsapi.EjectNtmsMedia(w.h, cartridge(w), NULL_GUID, START)
    assert (code, w.session.requests.get(operation).state) == (0, NtmsLmState.NTMS_LM_QUEUED)
    code = ntmsapi.EjectNtmsMedia(w.h, None, operation, STOP)
    assert w.session.requests.get(operation).state is NtmsLmState.NTMS_LM_STOPPED
    return code


# Putting in


@pair("InjectNtmsMedia", "ERROR_ACCESS_DENIED", when=DENIED, eras=ERAS)
def inject_denied(w: World) -> Made:
    made = []
    for action in (INJECT, INJECT_MANY):
        library = w.library().id
        made.append(denied(w, "InjectNtmsMedia", (library, NULL_GUID, action), (LIBRARY, library), w2k3=C))
    library = w.library().id
    operation = ntmsapi.InjectNtmsMedia(w.h, library, NULL_GUID, INJECT_MANY)[1]
    for action in (INJECT_STOP, RETRACT):
        made.append(denied(w, "InjectNtmsMedia", (library, operation, action), (LIBRARY, library), w2k3=C))
    return made


def injecting(w: World, *libraries: Any) -> Made:
    return [
        calls("InjectNtmsMedia", w.h, *((library, NULL_GUID, action) for library in libraries))
        for action in (INJECT, INJECT_MANY)
    ]


@pair("InjectNtmsMedia", "ERROR_DEVICE_NOT_AVAILABLE", when=DISABLED)
def inject_into_what_is_disabled(w: World) -> Made:
    return injecting(w, disabled(w).id)


@pair("InjectNtmsMedia", "ERROR_INVALID_OPERATION", when=NOT_LIVE)
def stop_no_inject(w: World) -> Made:
    library, other = w.library().id, w.library().id
    once = ntmsapi.InjectNtmsMedia(w.h, library, NULL_GUID, INJECT)[1]
    ended = ntmsapi.InjectNtmsMedia(w.h, library, NULL_GUID, INJECT)[1]
    assert ntmsapi.InjectNtmsMedia(w.h, library, ended, INJECT_STOP) == (0, None)
    eject = ntmsapi.EjectNtmsMedia(w.h, cartridge(w), NULL_GUID, START)[1]
    wrong = [(library, each) for each in (unknown(), NULL_GUID, ended, eject, library)] + [(other, once)]
    return [
        calls("InjectNtmsMedia", w.h, *((*each, action) for each in wrong)) for action in (INJECT_STOP, RETRACT)
    ] + [calls("InjectNtmsMedia", w.h, (library, once, RETRACT))]


@pair("InjectNtmsMedia", "ERROR_LIBRARY_OFFLINE", when="the id names an offline library")
def inject_into_the_shelf(w: World) -> Made:
    return injecting(w, w.offline)


@pair("InjectNtmsMedia", "ERROR_LIBRARY_FULL", when="library has no free slot left")
def inject_into_a_full_one(w: World) -> Made:
    full, kept = w.library(slots=1), w.library(slots=1)
    builders.put_online(w.url, w.medium(), full)
    builders.set_columns(w.url, model.Slot, kept.slots[0], cleaner=True)
    return injecting(w, full.id, kept.id)


@pair("InjectNtmsMedia", "ERROR_RESOURCE_NOT_PRESENT", when=NO_PORT)
def inject_without_a_port(w: World) -> Made:
    return injecting(w, w.library(ports=0).id)


@pair("InjectNtmsMedia", "ERROR_SUCCESS", when="the insert has been put on the queue")
def inject_by_every_action(w: World) -> Made:
    """What lies in a port goes into a slot and is identified; STOP ends what waits, and RETRACT what found nothing."""
    return [
        success(w, "InjectNtmsMedia"),
        Attempt([partial(inject_through, w, INJECT)], w.working),
        Attempt([partial(inject_through, w, INJECT_MANY)], w.working),
    ]


def inject_through(w: World, action: int) -> Any:
    stock = w.stock(media=1)
    for port in w.session.libraries.ports(stock.library):  # a RETRACT that comes early opens them once more
        w.session.objects.update(Kind.NTMS_IEPORT, port, max_extend_seconds=2)
    (medium,) = stock.media
    away = stock.put_on_shelf(medium, stock.folder / ".shelf")
    os.rename(away, stock.folder / "port-01" / away.name)
    library = stock.library.id
    code, operation = ntmsapi.InjectNtmsMedia(w.h, library, NULL_GUID, action)
    if action == INJECT_MANY:
        wait_until(w.session, lambda: stock.place(medium)[:4] == "slot")
        assert ntmsapi.InjectNtmsMedia(w.h, library, operation, RETRACT) == (0, None)
    assert w.session.requests.wait(operation).details["taken_in"] == [away.name]
    assert w.information(MEDIUM, medium.medium).Info.Location == stock.slots[0].id
    return code


# Doors


@pair("AccessNtmsLibraryDoor", "ERROR_ACCESS_DENIED", when=DENIED, eras=ERAS)
def door_denied(w: World) -> Made:
    made = []
    for method in (NO_INVENTORY, FAST, FULL, OWN):
        library = w.library().id
        made.append(denied(w, "AccessNtmsLibraryDoor", (library, method), (LIBRARY, library), w2k3=C))
    return made


@pair("AccessNtmsLibraryDoor", "ERROR_LIBRARY_OFFLINE", when="the id names an offline library, which has no door")
def door_of_the_shelf(w: World) -> Made:
    return calls("AccessNtmsLibraryDoor", w.h, (w.offline, FAST))


@pair("AccessNtmsLibraryDoor", "ERROR_RESOURCE_DISABLED", when=DISABLED)
def door_of_what_is_disabled(w: World) -> Made:
    return calls("AccessNtmsLibraryDoor", w.h, (disabled(w).id, FAST))


@pair("AccessNtmsLibraryDoor", "ERROR_RESOURCE_NOT_PRESENT", when="the library has no door")
def door_that_is_not_there(w: World) -> Made:
    return calls("AccessNtmsLibraryDoor", w.h, (w.library(doors=0).id, FAST))


@pair("AccessNtmsLibraryDoor", "ERROR_INVALID_LIBRARY", when="library id is well-formed but unknown")
def door_of_no_library(w: World) -> Made:
    others = (unknown(), NULL_GUID, w.root, w.robot.doors[0])
    return calls("AccessNtmsLibraryDoor", w.h, *((other, FAST) for other in others))


@pair("AccessNtmsLibraryDoor", "ERROR_INVALID_PARAMETER", when="dwAction is not one of the four values")
def door_with_no_inventory_there_is(w: World) -> Made:
    actions = (int(NTMS_INVENTORY_SLOT), 5, 6, -1, 2**32, None, "fast", int(NTMS_EJECT_IMMEDIATE))
    return calls("AccessNtmsLibraryDoor", w.h, *((w.robot.id, action) for action in actions))


enter_each("AccessNtmsLibraryDoor", "ERROR_SUCCESS", "the door access has been put on the queue", success)
