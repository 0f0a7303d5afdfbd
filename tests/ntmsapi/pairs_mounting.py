"""The cases of the table that are about media in drives.

What is refused at once needs no device. What waits, moves and is found out in a drive happens in virtual libraries that
a worker works for the time of the case, and the drives are fought for by another process.
"""

import contextlib
import os
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import builders
from conftest import ADMINISTRATOR
from mounting import LONG_MS, Stock, look, wait_until
from ntmsapi.pairs_damage import first
from ntmsapi.pairs_table import ERAS, Attempt, Made, calls, denied, enter_each, pair
from ntmsapi.pairs_world import World
from programs import Program

import rsm
from rsm import ntmsapi
from rsm.constants import (
    INFINITE,
    NTMS_DISMOUNT_DEFERRED,
    NTMS_DISMOUNT_IMMEDIATE,
    NTMS_MOUNT_ERROR_NOT_AVAILABLE,
    NTMS_MOUNT_ERROR_OFFLINE,
    NTMS_MOUNT_READ,
    NTMS_MOUNT_SPECIFIC_DRIVE,
    NTMS_MOUNT_WRITE,
    NULL_GUID,
    NtmsDriveState,
    NtmsOpreqState,
)
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsPartitionState as State
from rsm.security import AccessRights

U, M, C = AccessRights.USE, AccessRights.MODIFY, AccessRights.CONTROL
POOL, LIBRARY, DRIVE, MEDIUM = Kind.NTMS_MEDIA_POOL, Kind.NTMS_LIBRARY, Kind.NTMS_DRIVE, Kind.NTMS_PHYSICAL_MEDIA
READ, WRITE, SPECIFIC = int(NTMS_MOUNT_READ), int(NTMS_MOUNT_WRITE), int(NTMS_MOUNT_SPECIFIC_DRIVE)
NOT_AVAILABLE, ERROR_OFFLINE = int(NTMS_MOUNT_ERROR_NOT_AVAILABLE), int(NTMS_MOUNT_ERROR_OFFLINE)
DEFERRED, IMMEDIATE = int(NTMS_DISMOUNT_DEFERRED), int(NTMS_DISMOUNT_IMMEDIATE)
# A mount that waited leaves its request behind, and a worker that it has taken the library over.
THE_QUEUE = ("event", "library", "library_request", "object", "operator_request", "request_step", "session")
SHORT_MS = 50


def unknown() -> uuid.UUID:
    return uuid.uuid4()


def ids(stock: Stock) -> list[uuid.UUID]:
    return [medium.id for medium in stock.media]


def mount(
    w: World,
    media: Sequence[Any],
    options: int = READ,
    *,
    drives: Any = None,
    priority: int = 0,
    timeout: int = LONG_MS,
    handle: Any = None,
) -> Callable[[], Any]:
    """Return a mount, and whoever asks for it has the right arguments to hand."""
    return partial(ntmsapi.MountNtmsMedia, handle or w.h, list(media), drives, None, options, priority, timeout)


@contextlib.contextmanager
def operator(w: World, stock: Stock, do: Callable[[rsm.OperatorRequest], object]) -> Iterator[None]:
    """Let a worker be there, and the next thing that is asked of operators about a cartridge be answered so."""
    media = {medium.medium for medium in stock.media}

    def asked() -> list[rsm.OperatorRequest]:
        found = w.session.operators.list(NtmsOpreqState.NTMS_OPSTATE_SUBMITTED)
        return [request for request in found if request.argument1 in media]

    def run() -> None:
        wait_until(w.session, lambda: bool(asked()))
        do(asked()[0])

    thread = threading.Thread(target=run)
    with w.working():
        thread.start()
        yield
        thread.join(LONG_MS / 1000)
        stock.settle()


_HOLDER = """
import rsm
with rsm.connect(sys.argv[1], caller=rsm.Caller("user:admin", administrator=True)) as session:
    held = [session.mounts.mount(barcode, timeout_ms=60_000) for barcode in sys.argv[2:]]
    say("mounted")
    wait()
    for each in held:
        each.dismount()
    say("dismounted")
    wait()
"""


def held_elsewhere(w: World, stock: Stock, *media: rsm.LogicalMedium) -> Program:
    """Let another process mount media, and hold them until it is told or the case is over."""
    program = w.undo.enter_context(Program(_HOLDER, w.url, *(stock.cartridge(each).barcode for each in media)))
    assert program.hear() == "mounted"
    return program


def away(w: World, stock: Stock, *media: rsm.LogicalMedium) -> list[Path]:
    """Take cartridges out of a library, have that noticed, and return where they are."""
    with w.working():
        return [stock.put_on_shelf(each, stock.folder.parent / f"shelf {stock.folder.name}") for each in media]


@contextlib.contextmanager
def working_on(w: World, stock: Stock) -> Iterator[None]:
    """Let a worker be there, and do all that is due in a library before it goes."""
    with w.working():
        yield
        stock.settle()


# Rights, and what is on record no more


def guarded(w: World) -> tuple[uuid.UUID, uuid.UUID, uuid.UUID]:
    """Return a pool, a library, and a side that is in both."""
    library, pool = w.library(), w.pool()
    state = State.NTMS_PARTSTATE_ALLOCATED
    (side,) = builders.add_medium(w.url, w.session.pools.get(pool), w.name("G"), state, library=library)
    return pool, library.id, side


def without_pool(w: World, function: str) -> Made:
    pool, library, side = guarded(w)
    return denied(w, function, ([side],), (POOL, pool), w2k3=U, others=[(LIBRARY, library)])


def without_library(w: World, function: str) -> Made:
    pool, library, side = guarded(w)
    return denied(w, function, ([side],), (LIBRARY, library), w2k3=U, others=[(POOL, pool)])


def in_lost_library(w: World, function: str) -> Made:
    _, library, side = guarded(w)
    w.lose("library", library)
    return calls(function, w.h, ([side],))


def no_medium(w: World, function: str) -> Made:
    medium = w.medium(state=State.NTMS_PARTSTATE_ALLOCATED)
    good = w.session.media.sides(medium)[0].id
    others = (unknown(), NULL_GUID, medium, w.root, w.robot.drives[0])
    return calls(function, w.h, *(([other],) for other in others), ([good, unknown()],))


def named_wrongly(w: World, function: str) -> Made:
    held = w.held()
    return calls(function, w.h, ([],), ([held], 0), ([], 0))


for _name in ("MountNtmsMedia", "DismountNtmsMedia"):
    _code = "ERROR_ACCESS_DENIED"
    enter_each(_name, _code, "no NTMS_USE_ACCESS on the media pool that holds the medium", without_pool, eras=ERAS)
    enter_each(_name, _code, "no NTMS_USE_ACCESS on the library that holds the medium", without_library, eras=ERAS)
for _name, _code, _when, _make in (
    ("MountNtmsMedia", "ERROR_INVALID_MEDIA", "at least one medium id is not valid", no_medium),
    ("DismountNtmsMedia", "ERROR_INVALID_MEDIA", "at least one id is not that of a medium", no_medium),
    ("MountNtmsMedia", "ERROR_INVALID_PARAMETER", "dwCount is 0 or an array pointer is null", named_wrongly),
    ("DismountNtmsMedia", "ERROR_INVALID_PARAMETER", "null array or count 0", named_wrongly),
):
    enter_each(_name, _code, _when, _make)
for _name, _when in (
    ("MountNtmsMedia", "the library that holds the drives or the media is not valid"),
    ("DismountNtmsMedia", "the library that holds the medium is not valid"),
):
    enter_each(_name, "ERROR_INVALID_LIBRARY", _when, in_lost_library, fresh=True)


# Mounting


@pair("MountNtmsMedia", "ERROR_INVALID_MEDIA", when="the same medium id occurs twice in the list")
def mount_twice(w: World) -> Made:
    held = w.held()
    return Attempt([mount(w, [held, held]), mount(w, [held, w.side_of(held)])])


@pair("MountNtmsMedia", "ERROR_INVALID_PARAMETER", when="priority outside -15..15")
def mount_with_no_priority(w: World) -> Made:
    held = w.held()
    return Attempt([mount(w, [held], priority=priority) for priority in (-16, 16, 2**31)])


@pair("MountNtmsMedia", "ERROR_INVALID_DRIVE", when="at least one drive id is not that of a drive")
def mount_in_no_drive(w: World) -> Made:
    stock = w.stock(drives=2)
    drive = stock.drives[0].id
    one, two = ids(stock)
    others = (unknown(), NULL_GUID, stock.library.id, w.root)
    return Attempt(
        [
            *(mount(w, [one], SPECIFIC, drives=[other]) for other in others),
            mount(w, [one, two], SPECIFIC, drives=[drive, unknown()]),
        ]
    )


@pair("MountNtmsMedia", "ERROR_DRIVE_MEDIA_MISMATCH", when="medium and drive named are in different libraries")
def mount_in_another_library(w: World) -> Made:
    stock, other = w.stock(media=1), w.stock(media=1)
    return Attempt([mount(w, ids(stock), SPECIFIC, drives=[other.drives[0].id])])


@pair("MountNtmsMedia", "ERROR_DRIVE_MEDIA_MISMATCH", when="media of one call are in different libraries")
def mount_from_two_libraries(w: World) -> Made:
    return Attempt([mount(w, [*ids(w.stock(media=1)), *ids(w.stock(media=1))])])


@pair("MountNtmsMedia", "ERROR_WRITE_PROTECT", when="NTMS_MOUNT_WRITE was given for a medium in the Completed state")
def mount_complete(w: World) -> Made:
    stock = w.stock(media=1)
    assert ntmsapi.SetNtmsMediaComplete(w.h, stock.media[0].id) == 0
    return Attempt([mount(w, ids(stock), options) for options in (WRITE, READ | WRITE)])


@pair("MountNtmsMedia", "ERROR_RESOURCE_DISABLED", when="something the mount needs is disabled")
def mount_disabled(w: World) -> Made:
    made = []
    for kind in (MEDIUM, LIBRARY, DRIVE):
        stock = w.stock(media=1)
        disabled = {MEDIUM: stock.media[0].medium, LIBRARY: stock.library.id, DRIVE: stock.drives[0].id}[kind]
        assert ntmsapi.DisableNtmsObject(w.h, int(kind), disabled) == 0
        made.append(mount(w, ids(stock)))
    return Attempt(made)


@pair("MountNtmsMedia", "ERROR_MEDIA_OFFLINE", when="the medium is offline and cannot be mounted")
def mount_nowhere(w: World) -> Made:
    nowhere = w.session.types.create(w.name("Type")).id
    stock = w.stock(media=1)
    away(w, stock, stock.media[0])
    brought_nothing = partial(operator, w, stock, w.session.operators.satisfy)
    return [
        Attempt([mount(w, [w.held(w.pool(nowhere))])]),
        Attempt([mount(w, ids(stock))], brought_nothing, besides=THE_QUEUE),
    ]


@pair(
    "MountNtmsMedia",
    "ERROR_MEDIA_OFFLINE",
    when="NTMS_MOUNT_ERROR_OFFLINE and the medium is in no library (error at once)",
)
def mount_offline(w: World) -> Made:
    stock = w.stock()
    away(w, stock, stock.media[0])
    return Attempt([mount(w, ids(stock)[:number], ERROR_OFFLINE, timeout=INFINITE) for number in (1, 2)])


@pair("MountNtmsMedia", "ERROR_REQUEST_REFUSED", when="the user turned the request down in the user interface")
def mount_refused(w: World) -> Made:
    stock = w.stock(drives=2)
    away(w, stock, stock.media[0])
    refusing = partial(operator, w, stock, w.session.operators.refuse)
    return [Attempt([mount(w, media)], refusing, besides=THE_QUEUE) for media in (ids(stock)[:1], ids(stock))]


@pair("MountNtmsMedia", "ERROR_BUSY", when="the media are busy", fresh=True)  # the other program works there too
def mount_what_another_has(w: World) -> Made:
    stock = w.stock(media=1, drives=2)
    held_elsewhere(w, stock, stock.media[0])
    return Attempt(
        [mount(w, ids(stock), READ | NOT_AVAILABLE, timeout=timeout) for timeout in (INFINITE, SHORT_MS, 0)],
        besides=THE_QUEUE,
    )


@pair("MountNtmsMedia", "ERROR_BUSY", when="the drives are busy", fresh=True)
def mount_where_another_is(w: World) -> Made:
    stock = w.stock(media=3, drives=2)
    first, second, third = stock.media
    held_elsewhere(w, stock, first)
    used = next(drive.id for drive in stock.drives if drive.loaded_side is not None)
    return Attempt(
        [
            mount(w, [second.id], SPECIFIC | NOT_AVAILABLE, drives=[used]),
            mount(w, [second.id, third.id], NOT_AVAILABLE, timeout=INFINITE),
        ],
        besides=THE_QUEUE,
    )


@pair(
    "MountNtmsMedia",
    "ERROR_BUSY",
    when="NTMS_MOUNT_ERROR_NOT_AVAILABLE and a medium or drive is taken (error at once)",
    fresh=True,
)
def mount_without_waiting(w: World) -> Made:
    stock = w.stock()
    held_elsewhere(w, stock, stock.media[0])
    return Attempt([mount(w, [one], NOT_AVAILABLE, timeout=INFINITE) for one in ids(stock)], besides=THE_QUEUE)


@pair(
    "MountNtmsMedia",
    "ERROR_TIMEOUT",
    when="the time-out fired while a needed resource was being waited for; the request has been cancelled",
    fresh=True,
)
def mount_too_late(w: World) -> Made:
    stock, shelved = w.stock(media=3), w.stock(media=1)
    held_elsewhere(w, stock, stock.media[0])
    away(w, shelved, shelved.media[0])
    media = [*([one] for one in ids(stock)), ids(shelved)]
    attempt = Attempt(
        [mount(w, each, timeout=timeout) for each in media for timeout in (SHORT_MS, 0)], besides=THE_QUEUE
    )
    for each in (stock, shelved):
        w.undo.callback(nothing_is_left, w, each)
    return attempt


def nothing_is_left(w: World, stock: Stock) -> None:
    """See that nothing that was asked for is left in the queue, or with an operator."""
    assert w.session.requests.list(stock.library, live=True) == []
    asked = w.session.operators.list(NtmsOpreqState.NTMS_OPSTATE_SUBMITTED)
    assert {medium.medium for medium in stock.media}.isdisjoint(request.argument1 for request in asked)


@pair("MountNtmsMedia", "ERROR_CANCELLED", when="CloseNtmsSession was called while the mount was pending")
def mount_and_close(w: World) -> Made:
    """Nobody works the library, so it waits until the session is closed."""
    stock = w.stock(media=1)
    session = rsm.connect(w.url, application="tests", caller=ADMINISTRATOR, worker=False)
    handle = ntmsapi.calls.new_handle(session)
    closing = partial(w.once_waiting, partial(ntmsapi.CloseNtmsSession, handle))
    return Attempt([mount(w, ids(stock), timeout=INFINITE, handle=handle)], closing, besides=THE_QUEUE)


@pair(
    "MountNtmsMedia",
    "ERROR_INVALID_STATE",
    when="a medium or a device turned out to be in a state that was not expected during the mount",
)
def mount_the_wrong_one(w: World) -> Made:
    """Somebody wrote over its label; or it is to be written, and nobody has allocated it."""
    stock, available = w.stock(drives=2), w.stock(media=1, states=(State.NTMS_PARTSTATE_AVAILABLE,))
    (stock.on_disk(stock.media[1]) / "side-1").write_bytes(b"somebody else's")
    (side,) = (side.id for each in w.session.media.list(pool=available.pool) for side in w.session.media.sides(each))
    moved = (*THE_QUEUE, "drive", "physical_medium", "slot", "side")
    found_out = partial(working_on, w, stock)
    return [
        Attempt([mount(w, [side], WRITE)]),
        Attempt([mount(w, ids(stock)[1:])], found_out, besides=moved),
        Attempt([mount(w, ids(stock))], found_out, besides=moved),
        Attempt([partial(stands_still, stock)]),
    ]


def stands_still(stock: Stock) -> rsm.ErrorCode:
    """See that everything was put away again."""
    assert {stock.place(each)[:4] for each in stock.media} == {"slot"}
    assert {drive.loaded_side for drive in stock.drives} == {None}
    return rsm.ErrorCode.ERROR_INVALID_STATE


def and_look(w: World, stock: Stock, media: Sequence[rsm.LogicalMedium], call: Callable[[], Any]) -> Any:
    """Mount, and see that the drives that came back hold the sides."""
    code, drives = call()
    if code == 0:
        assert len(set(drives)) == len(media)
        for drive, medium in zip(drives, media, strict=True):
            cartridge = w.information(MEDIUM, medium.medium).Info
            assert (cartridge.MountedPartition, cartridge.Location) == (medium.side, drive)
            assert w.information(DRIVE, drive).Info.State == NtmsDriveState.NTMS_DRIVESTATE_LOADED
            assert stock.place(medium).startswith("drive-")
    return code


@pair("MountNtmsMedia", "ERROR_SUCCESS", when="all media are mounted and can be used")
def mount_together(w: World) -> Made:
    stock = w.stock(drives=2)
    sides = [medium.side for medium in stock.media]
    drives = [drive.id for drive in reversed(stock.drives)]

    def mounted() -> Any:
        code, found = mount(w, sides, WRITE | SPECIFIC, drives=drives)()
        assert found == drives
        return code, found

    return Attempt([partial(and_look, w, stock, stock.media, mounted)], w.working)


@pair("MountNtmsMedia", "ERROR_SUCCESS", when="all media are mounted and can be used")
def mount_when_another_is_done(w: World) -> Made:
    stock = w.stock()
    program = held_elsewhere(w, stock, stock.media[0])
    done = partial(w.once_waiting, program.tell)
    call = partial(and_look, w, stock, stock.media[1:], mount(w, ids(stock)[1:], timeout=INFINITE))
    return Attempt([call], done)


@pair("MountNtmsMedia", "ERROR_SUCCESS", when="all media are mounted and can be used")
def mount_what_an_operator_brings(w: World) -> Made:
    stock = w.stock(drives=2)
    (shelved,) = away(w, stock, stock.media[1])

    def bring(request: rsm.OperatorRequest) -> None:
        stock.bring_back(shelved, slot=3)
        w.session.operators.satisfy(request)

    return Attempt(
        [partial(and_look, w, stock, stock.media, mount(w, ids(stock), timeout=INFINITE))],
        partial(operator, w, stock, bring),
    )


# Giving back


def mounted(w: World, **options: Any) -> Stock:
    """Return a library with its cartridges in drives."""
    stock = w.stock(**{"media": 1, **options})
    assert first(w.at_work(mount(w, ids(stock), WRITE))) == 0
    return stock


@pair("DismountNtmsMedia", "ERROR_SUCCESS", when="the dismount has been put on the queue")
def dismount_now_and_later(w: World) -> Made:
    """It comes back at once; the cartridge is carried when somebody works, a deferred one stays where it is."""
    now, later = mounted(w, media=2, drives=2), mounted(w)
    moves = len(later.moves())

    def dismount(stock: Stock, option: int) -> Any:
        assert {stock.place(each)[:5] for each in stock.media} == {"drive"}
        code = ntmsapi.DismountNtmsMedia(w.h, ids(stock), len(stock.media), option)
        state = w.information(DRIVE, stock.drives[0].id).Info.State
        assert state == NtmsDriveState.NTMS_DRIVESTATE_DISMOUNTABLE
        assert {stock.place(each)[:5] for each in stock.media} == {"drive"}
        w.at_work(stock.settle)
        return code

    def again() -> Any:
        assert {now.place(each)[:4] for each in now.media} == {"slot"}
        assert later.place(later.media[0]) == "drive-01"
        code = w.at_work(partial(and_look, w, later, later.media, mount(w, ids(later))))
        assert len(later.moves()) == moves  # the robot was not needed
        return code

    return [
        Attempt([partial(dismount, now, IMMEDIATE)]),
        Attempt([partial(dismount, later, DEFERRED)]),
        Attempt([again]),
    ]


@pair("DismountNtmsMedia", "ERROR_MEDIA_OFFLINE", when="the medium is offline")
def dismount_offline(w: World) -> Made:
    stock = mounted(w)
    away(w, stock, stock.media[0])  # out of the drive
    return calls("DismountNtmsMedia", w.h, ([w.held()],), (ids(stock),))


@pair("DismountNtmsMedia", "ERROR_TIMEOUT", when="the time-out fired while a needed resource was being waited for")
def dismount_past_the_time(w: World) -> Made:
    """Others write the catalogue for longer than the session is ready to wait for its turn."""
    stock = mounted(w)
    session = rsm.connect(w.url, application="tests", caller=ADMINISTRATOR, worker=False, busy_timeout_ms=20)
    w.undo.callback(session.close)
    call = partial(ntmsapi.DismountNtmsMedia, ntmsapi.calls.new_handle(session), ids(stock))
    return Attempt([call], partial(builders.behind, w.url), then=[call])


@pair("DismountNtmsMedia", "ERROR_INVALID_STATE", when="medium is not mounted")
def dismount_stored(w: World) -> Made:
    stored, in_drive = guarded(w)[2], w.in_drive(in_use=True)[0]
    return calls("DismountNtmsMedia", w.h, ([stored],), ([in_drive, stored],))


@pair(
    "DismountNtmsMedia",
    "ERROR_INVALID_STATE",
    when="a medium or a device turned out to be in a state that was not expected during the dismount",
)
def dismount_what_was_taken_out(w: World) -> Made:
    """Somebody took it out of the drive and put it into a slot."""
    stock = mounted(w)
    os.rename(stock.on_disk(stock.media[0]), stock.folder / "slot-0002" / stock.cartridge(stock.media[0]).barcode)
    with w.working():
        look(w.session, stock.library)
    return calls("DismountNtmsMedia", w.h, (ids(stock),))


@pair(
    "DismountNtmsMedia",
    "ERROR_DEVICE_NOT_AVAILABLE",
    when="a device that is needed is not available now, most likely disabled",
)
def dismount_from_disabled(w: World) -> Made:
    made = []
    for kind in (DRIVE, LIBRARY):
        side, drive = w.in_drive(in_use=True)
        library = w.information(DRIVE, drive).Info.Library
        w.session.objects.disable(kind, drive if kind is DRIVE else library)
        made.append(([side],))
    return calls("DismountNtmsMedia", w.h, *made)


@pair(
    "DismountNtmsMedia",
    "ERROR_MEDIA_NOT_AVAILABLE",
    when="a medium that is needed is not available now, most likely disabled",
)
def dismount_disabled(w: World) -> Made:
    side, _ = w.in_drive(in_use=True)
    w.session.objects.disable(MEDIUM, w.session.objects.get(Kind.NTMS_PARTITION, side).medium)
    return calls("DismountNtmsMedia", w.h, ([side],))


# Emptying drives


@pair("DismountNtmsDrive", "ERROR_ACCESS_DENIED", when="no NTMS_MODIFY_ACCESS on the library", eras=ERAS)
def empty_denied(w: World) -> Made:
    drive = w.in_drive(in_use=False)[1]
    library = w.information(DRIVE, drive).Info.Library
    return denied(w, "DismountNtmsDrive", (drive,), (LIBRARY, library), w2k3=M, w2k=C)


@pair("DismountNtmsDrive", "ERROR_INVALID_DRIVE", when="drive id is not that of a drive")
def empty_no_drive(w: World) -> Made:
    return calls(
        "DismountNtmsDrive", w.h, *((other,) for other in (unknown(), NULL_GUID, w.robot.id, w.robot.slots[0]))
    )


@pair(
    "DismountNtmsDrive",
    "ERROR_INVALID_LIBRARY",
    when="the library that owns the drive is not valid",
    fresh=True,
)
def empty_in_lost_library(w: World) -> Made:
    drive = w.in_drive(in_use=False)[1]
    w.lose("library", w.information(DRIVE, drive).Info.Library)
    return calls("DismountNtmsDrive", w.h, (drive,))


@pair("DismountNtmsDrive", "ERROR_DEVICE_NOT_AVAILABLE", when="the drive is not enabled")
def empty_disabled_drive(w: World) -> Made:
    drive = w.in_drive(in_use=False)[1]
    w.session.objects.disable(DRIVE, drive)
    return calls("DismountNtmsDrive", w.h, (drive,))


@pair("DismountNtmsDrive", "ERROR_DEVICE_NOT_AVAILABLE", when="the library is not enabled")
def empty_in_disabled_library(w: World) -> Made:
    drive = w.in_drive(in_use=False)[1]
    w.session.objects.disable(LIBRARY, w.information(DRIVE, drive).Info.Library)
    return calls("DismountNtmsDrive", w.h, (drive,))


@pair("DismountNtmsDrive", "ERROR_INVALID_STATE", when="the drive is empty")
def empty_empty(w: World) -> Made:
    stock = mounted(w)
    with w.working():
        w.session.mounts.dismount(*stock.media)
        stock.settle()
    return calls("DismountNtmsDrive", w.h, (w.library().drives[0],), (stock.drives[0].id,))


@pair("DismountNtmsDrive", "ERROR_BUSY", when="the medium in the drive is opened", fresh=True)
def empty_used(w: World) -> Made:
    stock = w.stock(media=1)
    held_elsewhere(w, stock, stock.media[0])
    return calls("DismountNtmsDrive", w.h, (stock.drives[0].id,))


@pair("DismountNtmsDrive", "ERROR_SUCCESS", when="the call did what was asked")
def empty_deferred(w: World) -> Made:
    stock = mounted(w)
    w.session.mounts.dismount(*stock.media, deferred=True)

    def empty() -> Any:
        assert stock.place(stock.media[0]) == "drive-01"
        code = ntmsapi.DismountNtmsDrive(w.h, stock.drives[0].id)
        w.at_work(stock.settle)
        assert stock.place(stock.media[0])[:4] == "slot"
        return code

    return Attempt([empty])
