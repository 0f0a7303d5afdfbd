"""Cleaning: which cartridges are cleaners, the slot kept for one, and drives cleaned with it, whatever happens."""

import contextlib
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import builders
import mounting
import pytest
import robot_users
from forks import Forked
from robot_users import check_left
from watch import new_events, nothing_changed, refused
from working import FREE, LONG_MS, LTO, UNRECOGNIZED, Blind, Robot, make_robot

import rsm
from rsm import libraries, model, schema
from rsm.constants import (
    ErrorCode,
    NtmsDriveState,
    NtmsLibraryFlags,
    NtmsLmOperation,
    NtmsLmState,
    NtmsOperationalState,
    NtmsOpreqCommand,
    NtmsOpreqState,
    NtmsSlotState,
)
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsPartitionState as State
from rsm.errors import BusyError, NotReadyError
from rsm.libraries import virtual
from rsm.libraries.base import CleaningFailedError, NoCleanerError
from rsm.nouns.attended import Attended
from rsm.nouns.waiting import Waiting, WaitReason

pytestmark = pytest.mark.works

CLEAN = NtmsLmOperation.NTMS_LM_CLEANDRIVE
BEING_CLEANED, DISMOUNTED = NtmsDriveState.NTMS_DRIVESTATE_BEING_CLEANED, NtmsDriveState.NTMS_DRIVESTATE_DISMOUNTED
RECOGNIZE, PRESENT, IGNORE = (
    NtmsLibraryFlags[f"NTMS_LIBRARYFLAG_{name}"]
    for name in ("RECOGNIZECLEANERBARCODE", "CLEANERPRESENT", "IGNORECLEANERUSESREMAINING")
)
UNCOUNTED = 0xFFFFFFFF
Connect = Callable[..., rsm.Session]


@pytest.fixture
def robot(session: rsm.Session, tmp_path: Path) -> Robot:
    """Return an empty library that is not on record yet."""
    return make_robot(session, tmp_path / "robot", slots=5)


def told(robot: Robot) -> rsm.Library:
    """Return what the catalogue says of the library."""
    return robot.session.libraries.get(robot.library)


def with_uses(robot: Robot, uses: int) -> None:
    """Let the library have so many uses left."""
    robot.session.objects.update(Kind.NTMS_LIBRARY, robot.library, cleaner_uses_remaining=uses)


def clean(robot: Robot, number: int = 0, **options: Any) -> rsm.LibraryRequest:
    """Clean a drive, and return the request as it ended."""
    request = robot.session.libraries.clean(robot.drive(number))
    assert request is not None
    return robot.session.requests.wait(request, timeout_ms=LONG_MS, **options)


def clean_slowly(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Let no drive become clean until the event that is returned is set."""
    gate, real = threading.Event(), virtual.VirtualLibrary.clean_drive

    def slowly(self: virtual.VirtualLibrary, drive: int, epoch: int) -> None:
        if not gate.is_set():
            raise NotReadyError("it is being cleaned")
        real(self, drive, epoch)

    monkeypatch.setattr(virtual.VirtualLibrary, "clean_drive", slowly)
    return gate


def stuck(*_: Any, **__: Any) -> None:
    """Move nothing."""
    raise BusyError("the robot is stuck")


def asked_of_operators(robot: Robot) -> list[rsm.OperatorRequest]:
    """Return what operators are asked for and have not answered."""
    listed = robot.session.operators.list()
    return [each for each in listed if each.state is NtmsOpreqState.NTMS_OPSTATE_SUBMITTED]


# Which cartridges are cleaners


@pytest.mark.parametrize(
    ("barcode", "cleaner", "recognize", "is_one"),
    [
        ("CLN001", False, True, True),
        ("CLN001", False, False, False),
        ("A00001", True, False, True),
        ("A00001", True, True, True),
        ("ACLN01", False, True, False),
        ("cln001", False, True, False),
    ],
)
def test_a_cleaner_is_told_by_its_bar_code_or_by_the_device(
    robot: Robot, barcode: str, cleaner: bool, recognize: bool, is_one: bool
) -> None:
    robot.attach()
    robot.session.objects.update(Kind.NTMS_LIBRARY, robot.library, flags=RECOGNIZE if recognize else 0)
    robot.add(barcode, cleaner=cleaner)
    robot.inventory(full=True)
    medium = robot.media()[barcode]
    assert medium.cleaner is is_one
    assert len(robot.requests(NtmsLmOperation.NTMS_LM_PROCESSOMID)) == (not is_one)
    assert robot.states(barcode) == ([] if is_one else [State.NTMS_PARTSTATE_FOREIGN])
    assert robot.pool(barcode) == UNRECOGNIZED
    flags, uses = (RECOGNIZE if recognize else 0), UNCOUNTED if is_one else 0
    assert told(robot).flags == flags | (PRESENT | IGNORE if is_one else 0)
    assert told(robot).cleaner_uses_remaining == uses
    with new_events(robot.session) as events:
        robot.inventory()
    assert events == []


def test_a_cartridge_on_record_turns_out_to_be_a_cleaner(robot: Robot) -> None:
    """As soon as the library tells cleaners by bar code; but not where something is recorded on it."""
    robot.add("CLN001")
    robot.add("CLN002")
    robot.attach()
    assert told(robot).flags & RECOGNIZE  # as every library with a reader does from the beginning
    assert [robot.media()[each].cleaner for each in ("CLN001", "CLN002")] == [True, True]
    robot.session.objects.update(Kind.NTMS_LIBRARY, robot.library, flags=0)
    robot.add("CLN003")
    robot.add("CLN004")
    robot.inventory()
    robot.prepare("CLN004")
    before = robot.media()["CLN003"]
    robot.session.objects.update(Kind.NTMS_LIBRARY, robot.library, flags=RECOGNIZE)
    robot.inventory()
    assert robot.media()["CLN003"].cleaner
    assert robot.media()["CLN003"].id == before.id
    assert not robot.media()["CLN004"].cleaner
    assert robot.states("CLN004") == [State.NTMS_PARTSTATE_AVAILABLE]


def test_nobody_allocates_mounts_labels_or_moves_a_cleaner(robot: Robot, url: str) -> None:
    robot.add("CLN001")
    robot.attach()
    session = robot.session
    pool = session.pools.create(r"\App", media_type=LTO, allocate_from_free=True)
    with nothing_changed(url):
        for target in (FREE, rf"\Import\{LTO}", pool):
            with refused(rsm.InvalidMediaPoolError):
                session.media.move("CLN001", target)
            with refused(rsm.InvalidMediaPoolError):
                session.media.change_type("CLN001", target)
        with refused(rsm.InvalidMediaError):
            session.mounts.request("CLN001")
        with refused(rsm.MediaUnavailableError):
            session.media.allocate(pool, error_if_unavailable=True, timeout_ms=0)
    slot = session.libraries.slots(robot.library)[0]
    request = session.libraries.identify(slot)
    assert request is not None
    assert session.requests.wait(request, timeout_ms=LONG_MS).state is NtmsLmState.NTMS_LM_PASSED
    assert robot.places() == robot.lying() == {"CLN001": "slot-0001"}


@pytest.mark.parametrize("how", ["taken out", "library deleted", "drive deleted"])
def test_a_cleaner_that_leaves_is_forgotten(robot: Robot, url: str, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    robot.add("A00001")
    robot.add("CLN001", "slot-3")
    robot.attach()
    with_uses(robot, 7)
    session = robot.session
    if how == "taken out":
        robot.take_out("CLN001")
        assert robot.inventory()["vanished_names"] == ["CLN001"]
        assert (told(robot).cleaner_uses_remaining, told(robot).flags) == (0, RECOGNIZE)
        robot.add("CLN001", "slot-4")
        robot.inventory()
        assert (told(robot).cleaner_uses_remaining, told(robot).flags) == (UNCOUNTED, RECOGNIZE | PRESENT | IGNORE)
        return
    if how == "drive deleted":
        robot.carry("CLN001", "drive-01")
        monkeypatch.setattr(virtual.VirtualLibrary, "move", stuck)  # else it is put away
        robot.inventory(drain=False)
        drive = robot.drive()
        absent = int(NtmsOperationalState.NTMS_NOT_PRESENT)
        builders.set_columns(url, model.Drive, drive.id, operational_state=absent)
        session.libraries.delete_drive(drive)
    else:
        session.libraries.delete(robot.library)
        assert {each.barcode for each in session.media.list()} == {"A00001"}
        assert schema.check(url) == []
        return
    assert "CLN001" not in {each.barcode for each in session.media.list()}


def test_a_cleaner_that_a_person_put_into_a_drive_is_put_away(robot: Robot) -> None:
    robot.add("CLN001")
    robot.attach()
    robot.carry("CLN001", "drive-02")
    robot.inventory()
    assert robot.places() == robot.lying()
    assert robot.lying()["CLN001"].startswith("slot")
    assert robot.drive(1).state is DISMOUNTED
    assert robot.drive(1).last_cleaned is None
    assert told(robot).cleaner_uses_remaining == UNCOUNTED


def test_what_appears_in_the_cleaner_slot_is_a_cleaner(
    session: rsm.Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no bar code says otherwise; and it stays the same one although it has no bar code."""
    monkeypatch.setitem(libraries.BACKENDS, "virtual", Blind)
    robot = make_robot(session, tmp_path / "robot").attach()
    session.objects.update(Kind.NTMS_LIBRARY, robot.library, inventory_method=1)
    slot = session.libraries.slots(robot.library)[2]
    session.libraries.reserve_cleaner_slot(robot.library, slot)
    robot.add("CLN001", "slot-3")
    robot.inventory()
    (medium,) = session.media.list()
    assert (medium.cleaner, medium.location) == (True, slot.id)
    with_uses(robot, 2)
    clean(robot)
    assert [each.id for each in session.media.list()] == [medium.id]
    assert told(robot).cleaner_uses_remaining == 1
    assert robot.lying() == {"CLN001": "slot-0003"}


# The slot that is kept for it


def test_the_slot_that_is_kept_holds_no_data_cartridge(robot: Robot, url: str) -> None:
    robot.add("A00001", "slot-1")
    robot.attach()
    session, library = robot.session, robot.library
    slots = sorted(session.libraries.slots(library), key=lambda slot: slot.number)
    with nothing_changed(url):
        with refused(rsm.CleanerSlotNotSetError):
            session.libraries.release_cleaner_slot(library)
        with refused(rsm.NotEmptyError):
            session.libraries.reserve_cleaner_slot(library, slots[0])
        with refused(rsm.ObjectNotFoundError):
            session.libraries.reserve_cleaner_slot(library, robot.drive().id)
        with refused(rsm.LibraryOfflineError):
            session.libraries.reserve_cleaner_slot("Offline", slots[1])
        with refused(rsm.InvalidLibraryError):
            session.libraries.reserve_cleaner_slot("Nothing", slots[1])
    with new_events(session) as events:
        session.libraries.reserve_cleaner_slot(library, slots[1])
    assert [(each.object, each.call) for each in events] == [(slots[1].id, "ReserveNtmsCleanerSlot")]
    assert told(robot).cleaner_slot == slots[1].id
    with nothing_changed(url):
        for slot in slots[:3]:
            with refused(rsm.CleanerSlotSetError):
                session.libraries.reserve_cleaner_slot(library, slot)
    session.libraries.release_cleaner_slot(library)
    assert told(robot).cleaner_slot is None


def test_the_slot_of_a_mounted_cartridge_is_not_empty(robot: Robot, url: str) -> None:
    robot.add("A00001", "slot-1")
    robot.attach()
    robot.prepare("A00001")
    slot = robot.device(Kind.NTMS_STORAGESLOT, "slot-0001")
    with robot.session.mounts.mount(robot.allocate("A00001"), timeout_ms=LONG_MS):
        assert robot.device(Kind.NTMS_STORAGESLOT, "slot-0001").state is NtmsSlotState.NTMS_SLOTSTATE_EMPTY
        with nothing_changed(url), refused(rsm.NotEmptyError):
            robot.session.libraries.reserve_cleaner_slot(robot.library, slot)


def test_a_slot_that_is_not_there_or_that_nobody_has_looked_into_is_not_kept(robot: Robot, url: str) -> None:
    robot.attach()
    slots = robot.session.libraries.slots(robot.library)
    unknown, absent = NtmsSlotState.NTMS_SLOTSTATE_NEEDSINVENTORY, NtmsSlotState.NTMS_SLOTSTATE_NOTPRESENT
    for slot, state, error in ((slots[0], unknown, rsm.NotEmptyError), (slots[1], absent, rsm.ResourceNotPresentError)):
        builders.set_columns(url, model.Slot, slot.id, state=int(state))
        with nothing_changed(url), refused(error):
            robot.session.libraries.reserve_cleaner_slot(robot.library, slot)


# Cleaning


def test_a_drive_is_cleaned_and_its_cleaner_counted_down(robot: Robot) -> None:
    robot.add("A00001")
    robot.add("CLN002", "slot-4")
    robot.attach()
    session = robot.session
    session.libraries.reserve_cleaner_slot(robot.library, robot.device(Kind.NTMS_STORAGESLOT, "slot-0005"))
    robot.add("CLN001", "slot-5")
    robot.inventory()
    with_uses(robot, 2)
    with new_events(session) as events:
        request = clean(robot, 1)
    assert request.state is NtmsLmState.NTMS_LM_PASSED
    drive = robot.drive(1)
    assert drive.last_cleaned is not None
    assert (drive.state, drive.mount_count, robot.drive(0).last_cleaned) == (DISMOUNTED, 0, None)
    assert told(robot).cleaner_uses_remaining == 1
    assert robot.lying() == robot.places() == {"A00001": "slot-0001", "CLN002": "slot-0004", "CLN001": "slot-0005"}
    steps = session.requests.steps(request)
    assert [(step.action, step.source, step.destination) for step in steps] == [
        ("move", "slot-0005", "drive-02"),
        ("clean", None, None),
        ("unload", None, None),
        ("move", "drive-02", "slot-0005"),
    ]
    told_of = [(each.kind, each.after) for each in events if each.call == "clean"]
    assert {kind for kind, _ in told_of} == {Kind.NTMS_DRIVE, Kind.NTMS_LIBRARY}
    states = [
        each.after["state"] for each in events if each.object == drive.id and each.after and "state" in each.after
    ]
    assert states == [int(BEING_CLEANED), int(DISMOUNTED)]
    assert asked_of_operators(robot) == []


def test_what_is_in_the_drive_is_put_away_first_and_what_is_in_use_waited_for(
    robot: Robot, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is cleaned the drive is nobody's; whoever asks for it waits, and nothing is done twice."""
    folder = virtual.create(robot.folder.with_name("one"), 3, 1, 0, LTO)
    robot = Robot(robot.session, Path(folder))
    robot.add("A00001")
    robot.add("CLN001")
    robot.attach()
    robot.prepare("A00001")
    tape = robot.allocate("A00001")
    session = robot.session
    gate = clean_slowly(monkeypatch)
    with session.mounts.mount(tape, timeout_ms=LONG_MS) as mount:
        request = session.libraries.clean(robot.drive())
        assert request is not None
        again = session.libraries.clean(robot.drive())
        assert again is not None
        assert again.id == request.id
        assert "in use" in session.requests.why(request)[0]
        mount.dismount(deferred=True)
    mounting.wait_until(session, lambda: robot.drive().state is BEING_CLEANED)
    assert robot.places() == robot.lying() == {"A00001": "slot-0001", "CLN001": "drive-01"}
    waiting = session.mounts.request(tape)
    with refused(rsm.AccessDeniedError):
        session.requests.cancel(request)
    gate.set()
    assert session.requests.wait(request, timeout_ms=LONG_MS).state is NtmsLmState.NTMS_LM_PASSED
    mounted = waiting.wait(LONG_MS)
    with mounted:
        assert robot.lying()["A00001"] == "drive-01"
    check_left(session, url, robot.folder)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NoCleanerError, ErrorCode.ERROR_INVALID_CLEANER),
        (CleaningFailedError, ErrorCode.ERROR_UNABLE_TO_CLEAN),
        (rsm.DeviceNotAvailableError, ErrorCode.ERROR_DEVICE_NOT_AVAILABLE),
    ],
)
def test_a_cleaning_that_fails_is_told_and_the_cleaner_put_away(
    robot: Robot, url: str, monkeypatch: pytest.MonkeyPatch, error: type[rsm.RsmError], code: ErrorCode
) -> None:
    robot.add("CLN001")
    robot.attach()
    with_uses(robot, 5)

    def fail(*_: object) -> None:
        raise error("the drive says no")

    monkeypatch.setattr(virtual.VirtualLibrary, "clean_drive", fail)
    with pytest.raises(rsm.RsmError, match="the drive says no") as caught:
        clean(robot)
    assert caught.value.code == code
    assert check_left(robot.session, url, robot.folder) == {"CLN001": "slot-0001"}
    assert (robot.drive().state, robot.drive().last_cleaned) == (DISMOUNTED, None)
    assert told(robot).cleaner_uses_remaining == 5


def test_an_operator_is_asked_for_a_cleaner_and_brings_it(robot: Robot) -> None:
    robot.attach()
    session, heard = robot.session, list[WaitReason]()

    def bring(waiting: Waiting) -> None:
        heard.append(waiting.reason)
        if waiting.reason is WaitReason.OPERATOR and not robot.lying():
            (request,) = asked_of_operators(robot)
            assert (request.request, request.argument1) == (NtmsOpreqCommand.NTMS_OPREQ_CLEANER, robot.library.id)
            robot.add("CLN001")
            session.operators.satisfy(request)

    clean(robot, on_wait=bring)
    assert WaitReason.OPERATOR in heard
    assert robot.drive().last_cleaned is not None
    assert robot.lying() == {"CLN001": "slot-0001"}


def test_an_inventory_that_finds_a_cleaner_answers_for_the_operator(robot: Robot) -> None:
    robot.attach()
    session = robot.session
    slot = robot.device(Kind.NTMS_STORAGESLOT, "slot-0002")
    session.libraries.reserve_cleaner_slot(robot.library, slot)
    request = session.libraries.clean(robot.drive())
    assert request is not None
    mounting.wait_until(session, lambda: bool(asked_of_operators(robot)))
    (wanted,) = asked_of_operators(robot)
    assert (wanted.argument1_kind, wanted.argument1) == (Kind.NTMS_STORAGESLOT, slot.id)
    assert "operator" in session.requests.why(request)[0]
    robot.add("CLN001", "slot-2")
    robot.inventory()
    session.requests.wait(request, timeout_ms=LONG_MS)
    assert session.operators.get(wanted).state is NtmsOpreqState.NTMS_OPSTATE_COMPLETE


@pytest.mark.parametrize(
    ("answer", "code"),
    [("refuse", ErrorCode.ERROR_REQUEST_REFUSED), ("satisfy", ErrorCode.ERROR_UNABLE_TO_CLEAN), ("cancel", None)],
)
def test_a_used_up_cleaner_is_none_and_nobody_brings_another(robot: Robot, answer: str, code: int | None) -> None:
    robot.add("CLN001")
    robot.attach()
    with_uses(robot, 1)
    clean(robot)
    assert told(robot).cleaner_uses_remaining == 0
    session = robot.session
    request = session.libraries.clean(robot.drive())
    assert request is not None
    mounting.wait_until(session, lambda: bool(asked_of_operators(robot)))
    (wanted,) = asked_of_operators(robot)
    assert "CLN001" in wanted.message
    if answer == "cancel":
        session.requests.cancel(request)
        assert asked_of_operators(robot) == []
    elif answer == "refuse":
        session.operators.refuse(wanted)
    else:
        session.operators.satisfy(wanted)
    ended = robot.settle(request.id)
    assert ended.error_code == (code or 0)
    assert told(robot).cleaner_uses_remaining == 0


def test_uses_that_are_told_let_a_cleaning_go_on(robot: Robot) -> None:
    robot.add("CLN001")
    robot.attach()
    with_uses(robot, 0)
    request = robot.session.libraries.clean(robot.drive())
    assert request is not None
    mounting.wait_until(robot.session, lambda: bool(asked_of_operators(robot)))
    with_uses(robot, 3)
    robot.session.requests.wait(request, timeout_ms=LONG_MS)
    assert told(robot).cleaner_uses_remaining == 2
    assert asked_of_operators(robot) == []


@pytest.mark.parametrize("what", ["drive", "library"])
def test_what_is_disabled_is_not_cleaned(robot: Robot, url: str, what: str) -> None:
    robot.add("CLN001")
    robot.attach()
    session = robot.session
    kind, one = {
        "drive": (Kind.NTMS_DRIVE, robot.drive().id),
        "library": (Kind.NTMS_LIBRARY, robot.library.id),
    }[what]
    session.objects.disable(kind, one)
    with nothing_changed(url), refused(rsm.ResourceDisabledError):
        session.libraries.clean(robot.drive())
    with nothing_changed(url), refused(rsm.InvalidDriveError):
        session.libraries.clean("no drive")
    session.objects.enable(kind, one)
    clean(robot)


def test_a_drive_that_is_gone_is_not_cleaned(robot: Robot, url: str) -> None:
    robot.attach()
    session, drive = robot.session, robot.drive()
    request = session.libraries.clean(drive)
    assert request is not None
    mounting.wait_until(session, lambda: bool(asked_of_operators(robot)))
    builders.set_columns(url, model.Drive, drive.id, operational_state=int(NtmsOperationalState.NTMS_NOT_PRESENT))
    with nothing_changed(url), refused(rsm.ResourceNotPresentError):
        session.libraries.clean(drive)
    session.libraries.delete_drive(drive)
    assert robot.settle(request.id).error_code == ErrorCode.ERROR_INVALID_DRIVE
    assert asked_of_operators(robot) == []


def test_a_stand_alone_drive_is_cleaned_by_a_person(session: rsm.Session, url: str) -> None:
    built = builders.add_library(url, requests=0)
    builders.set_columns(url, model.Library, built.id, library_type=3)
    drive = session.objects.get(Kind.NTMS_DRIVE, built.drives[0])
    with new_events(session) as events:
        assert session.libraries.clean(drive) is None
    assert [(each.object, each.call) for each in events] == [(drive.id, "CleanNtmsDrive")]
    assert session.objects.get(Kind.NTMS_DRIVE, drive.id).last_cleaned is not None
    assert session.requests.list(built.id) == []


# Through a port or a door


def with_slot(session: rsm.Session, folder: Path, way: str) -> Robot:
    """Return a library with a cartridge in the first slot, the fourth kept for the cleaner, and a port or a door."""
    ports, doors = int(way == "port"), int(way == "door")
    robot = Robot(session, Path(virtual.create(folder, 4, 1, ports, LTO, doors=doors)))
    robot.add("A00001")
    robot.attach()
    session.libraries.reserve_cleaner_slot(robot.library, robot.device(Kind.NTMS_STORAGESLOT, "slot-0004"))
    return robot


def put_in(robot: Robot, barcode: str, place: str, **options: Any) -> Callable[[], object]:
    """Return what puts a cartridge into a place, once."""
    return lambda: None if barcode in robot.lying() else robot.add(barcode, place, **options)


def at_library(robot: Robot, asked: Attended, do: Callable[[], object]) -> rsm.LibraryRequest:
    """Have a person do something once they are waited for, tell that it is done, and return the request as it ended."""
    is_door = asked.request.operation is NtmsLmOperation.NTMS_LM_DOORACCESS
    done = threading.Event()

    def see(waiting: Waiting) -> None:
        if waiting.reason is WaitReason.PERSON and not done.is_set():
            do()
            done.set()
            if is_door:
                asked.stop()

    with contextlib.suppress(rsm.RsmError):
        asked.wait(LONG_MS, on_wait=see)
    return asked.request


@pytest.mark.parametrize("way", ["port", "door"])
@pytest.mark.parametrize(("uses", "flags"), [(3, PRESENT), (None, PRESENT | IGNORE)])
def test_a_cleaner_is_put_in_used_and_taken_out(
    session: rsm.Session, tmp_path: Path, url: str, way: str, uses: int | None, flags: int
) -> None:
    robot = with_slot(session, tmp_path / "robot", way)
    place = "port-1" if way == "port" else "slot-4"
    session.objects.update(Kind.NTMS_LIBRARY, robot.library, flags=0)  # nothing but the call tells that it is one
    asked = session.libraries.inject_cleaner(robot.library, uses)
    if way == "door":
        mounting.wait_until(session, lambda: bool(asked_of_operators(robot)))
    request = at_library(robot, asked, put_in(robot, "CLN001", place))
    assert (request.state, request.details["taken_in"]) == (NtmsLmState.NTMS_LM_PASSED, ["CLN001"])
    assert robot.places() == robot.lying() == {"A00001": "slot-0001", "CLN001": "slot-0004"}
    assert robot.media()["CLN001"].cleaner
    assert (told(robot).cleaner_uses_remaining, told(robot).flags) == (uses or UNCOUNTED, flags)
    identified = robot.requests(NtmsLmOperation.NTMS_LM_PROCESSOMID)
    assert [each.state for each in identified if each.state is not NtmsLmState.NTMS_LM_CANCELLED] == [request.state]
    with nothing_changed(url):
        with refused(rsm.NotEmptyError):
            session.libraries.inject_cleaner(robot.library, uses)
        with refused(rsm.NotEmptyError):
            session.libraries.release_cleaner_slot(robot.library)
    clean(robot)
    assert told(robot).cleaner_uses_remaining == (UNCOUNTED if uses is None else 2)
    inventories = len(robot.requests(NtmsLmOperation.NTMS_LM_INVENTORY))
    request = at_library(robot, session.libraries.eject_cleaner(robot.library), lambda: robot.take_out("CLN001"))
    assert (request.state, request.details["taken_out"]) == (NtmsLmState.NTMS_LM_PASSED, ["CLN001"])
    assert set(robot.media()) == {"A00001"}
    assert (told(robot).cleaner_uses_remaining, told(robot).flags) == (0, 0)
    assert len(robot.requests(NtmsLmOperation.NTMS_LM_INVENTORY)) == inventories
    assert asked_of_operators(robot) == []
    with nothing_changed(url), refused(rsm.EmptyError):
        session.libraries.eject_cleaner(robot.library)
    session.libraries.release_cleaner_slot(robot.library)
    check_left(session, url, robot.folder)


@pytest.mark.parametrize("way", ["port", "door"])
def test_a_cartridge_with_data_is_no_cleaner(session: rsm.Session, tmp_path: Path, way: str) -> None:
    """It stays where it was put, and nobody writes off what it holds."""
    robot = with_slot(session, tmp_path / "robot", way)
    robot.prepare("A00001")
    robot.allocate("A00001")
    place = "port-01" if way == "port" else "slot-0004"
    asked = session.libraries.inject_cleaner(robot.library, 3)
    request = at_library(robot, asked, lambda: robot.carry("A00001", place))
    code = ErrorCode.ERROR_MEDIA_INCOMPATIBLE if way == "port" else ErrorCode.ERROR_INVALID_CLEANER
    assert (request.state, request.error_code) == (NtmsLmState.NTMS_LM_FAILED, code)
    robot.inventory()
    assert robot.places() == robot.lying() == {"A00001": place}
    assert not robot.media()["A00001"].cleaner
    assert robot.states("A00001") == [State.NTMS_PARTSTATE_ALLOCATED]
    assert told(robot).cleaner_uses_remaining == 0


@pytest.mark.parametrize("way", ["port", "door"])
def test_nobody_puts_a_cleaner_in_or_takes_it_out(session: rsm.Session, tmp_path: Path, url: str, way: str) -> None:
    robot = with_slot(session, tmp_path / "robot", way)
    kind, column = (model.Port, "max_extend_seconds") if way == "port" else (model.Door, "max_open_seconds")
    listed = Kind.NTMS_IEPORT if way == "port" else Kind.NTMS_IEDOOR
    builders.set_columns(url, kind, session.objects.list(listed, robot.library.id)[0], **{column: 0})
    request = robot.settle(session.libraries.inject_cleaner(robot.library, 3).id)
    assert (request.state, request.error_code) == (NtmsLmState.NTMS_LM_FAILED, ErrorCode.ERROR_TIMEOUT)
    assert told(robot).cleaner_uses_remaining == 0
    robot.add("X00001", "slot-4", cleaner=True)
    robot.inventory()
    with_uses(robot, 3)
    request = robot.settle(session.libraries.eject_cleaner(robot.library).id)
    assert (request.state, request.error_code) == (NtmsLmState.NTMS_LM_FAILED, ErrorCode.ERROR_TIMEOUT)
    assert robot.lying()["X00001"] == "slot-0004"
    assert told(robot).cleaner_uses_remaining == 3
    assert asked_of_operators(robot) == []
    check_left(session, url, robot.folder)


def test_a_cleaner_that_is_at_work_is_taken_out_when_it_is_back(
    session: rsm.Session, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    robot = with_slot(session, tmp_path / "robot", "port")
    robot.add("CLN001", "slot-4")
    robot.inventory()
    gate = clean_slowly(monkeypatch)
    request = session.libraries.clean(robot.drive())
    assert request is not None
    mounting.wait_until(session, lambda: robot.drive().state is BEING_CLEANED)
    asked = session.libraries.eject_cleaner(robot.library)
    assert session.libraries.eject_cleaner(robot.library).id == asked.id
    gate.set()
    after: list[rsm.LibraryRequest | None] = []

    def take_out() -> None:
        after.append(session.libraries.clean(robot.drive()))  # it waits: the cleaner is on its way out
        robot.take_out("CLN001")

    ended = at_library(robot, asked, take_out)
    assert ended.state is NtmsLmState.NTMS_LM_PASSED
    assert session.requests.get(request).state is NtmsLmState.NTMS_LM_PASSED
    mounting.wait_until(session, lambda: bool(asked_of_operators(robot)))
    assert after[0] is not None
    session.requests.cancel(after[0])
    check_left(session, url, robot.folder)


def test_what_is_asked_in_vain_of_ports_and_doors(session: rsm.Session, tmp_path: Path, url: str) -> None:
    robot = with_slot(session, tmp_path / "robot", "neither")
    with nothing_changed(url):
        with refused(rsm.ResourceNotPresentError):
            session.libraries.inject_cleaner(robot.library)
        with refused(rsm.DeviceNotAvailableError):
            session.libraries.eject_cleaner("Offline")
        with refused(rsm.LibraryOfflineError):
            session.libraries.inject_cleaner("Offline")
        for uses in (-1, 2**32):
            with refused(rsm.InvalidParameterError):
                session.libraries.inject_cleaner(robot.library, uses)
    session.objects.disable(Kind.NTMS_LIBRARY, robot.library)
    with nothing_changed(url):
        for call in (session.libraries.inject_cleaner, session.libraries.eject_cleaner):
            with refused(rsm.ResourceDisabledError):
                call(robot.library)


# Whatever happens


def check_cleaned(robot: Robot, url: str, uses: int) -> None:
    """See that the drive was cleaned once, that everything is in its place, and nothing left over."""
    assert check_left(robot.session, url, robot.folder) == {"A00001": "slot-0001", "CLN001": "slot-0002"}
    drive = robot.drive()
    assert (drive.state, drive.last_cleaned is not None) == (DISMOUNTED, True)
    assert told(robot).cleaner_uses_remaining == uses
    assert [each.state for each in robot.requests(CLEAN)] == [NtmsLmState.NTMS_LM_PASSED]


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_killed_at_moments_of_a_cleaning(url: str, connect: Connect, tmp_path: Path) -> None:
    """Who takes over finds the cleaner wherever it is; the drive is cleaned and the use counted once."""
    catalogue = Path(url.removeprefix("sqlite:///"))
    with connect() as session:
        robot = make_robot(session, tmp_path / "robot", slots=3, drives=1)
        robot.add("A00001")
        robot.add("CLN001")
        robot.attach()
        robot.prepare("A00001")
        with session.mounts.mount(robot.allocate("A00001"), timeout_ms=LONG_MS) as mount:
            mount.dismount(deferred=True)
        with_uses(robot, 9)
    with connect(worker=False) as session:
        session.libraries.clean(session.libraries.drives("Robot")[0])
    kept = tmp_path / "kept"
    shutil.copytree(robot.folder, kept / "robot", symlinks=True)
    shutil.copy(catalogue, kept)
    command = [sys.executable, robot_users.__file__, "finish", url, str(tmp_path)]
    moment, died = 0, True
    with Forked(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        while died:
            moment += 3
            shutil.rmtree(robot.folder)
            shutil.copytree(kept / "robot", robot.folder, symlinks=True)
            for each in catalogue.parent.glob(f"{catalogue.name}-*"):
                each.unlink()
            shutil.copy(kept / catalogue.name, catalogue)
            print(moment, file=process.stdin, flush=True)
            died = int(process.stdout.readline()) == robot_users.DIED
            with connect() as session:
                robot.session = session
                robot.drain()
                check_cleaned(robot, url, 8)
        process.stdin.close()
    assert moment > 20
