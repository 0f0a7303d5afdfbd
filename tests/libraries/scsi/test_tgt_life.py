"""A catalogue on tgt's changer over iSCSI: the whole life of its media, and what goes wrong outside meanwhile."""

import contextlib
import errno
import signal
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from libraries.scsi.test_tgt import HOMES, TAPE, open_meddled
from libraries.scsi.tgt import CARTRIDGES, CLEANER, DRIVE, PORT, SLOT, Target
from mounting import LONG_MS, Heard
from programs import Program
from working import IMPORT, UNRECOGNIZED, Robot

import rsm
from rsm import labels
from rsm.constants import ErrorCode, NtmsDriveState, NtmsLmState, NtmsMediaState
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsPartitionState as State
from rsm.labels.free import FREE_TYPE
from rsm.labels.volume_labels import ANSI_TYPE
from rsm.libraries import BACKENDS, open_library
from rsm.libraries.scsi.transport import Reply
from rsm.nouns.attended import Attended

pytestmark = pytest.mark.works

Meddle = Callable[[Callable[[], Reply]], Reply]
OTHER = CARTRIDGES[2]
NEW = "N00005L8"
CLN = CLEANER[1]
VOL1 = b"VOL1TAPE07" + b" " * 69 + b"4"
NAMES = {SLOT + number: f"slot-{number + 1:04}" for number in range(20)} | {
    PORT + number: f"port-{number + 1:02}" for number in range(4)
}
sqlite_only = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


def places_in(address: str) -> dict[str | None, str]:
    """Return where each cartridge really is."""
    with open_library("scsi", address) as device:
        return {each.barcode: each.name for each in device.read_elements() if each.full}


def record_by_hand(address: str, slot: int, data: bytes) -> None:
    """Record something on a cartridge as another program does."""
    with open_library("scsi", address) as device:
        device.move(slot, DRIVE, 1)
        device.load_drive(DRIVE, 1)
        with device.open_side(DRIVE, 1, "wb") as file:
            file.write(data)
        device.unload_drive(DRIVE, 1)
        device.move(DRIVE, slot, 1)


@pytest.fixture
def meddling(monkeypatch: pytest.MonkeyPatch) -> list[Meddle]:
    """What happens in place of the next moves of this process's libraries, the last one first."""
    waiting: list[Meddle] = []
    opened = partial(open_meddled, meddle=lambda give: waiting.pop()(give) if waiting else give())
    monkeypatch.setitem(BACKENDS, "scsi", opened)
    return waiting


@pytest.fixture
def robot(target: Target, session: rsm.Session, tmp_path: Path, meddling: list[Meddle]) -> Robot:
    """The changer on record, its first inventory taken; the cartridge in slot 2 has the label of another program."""
    record_by_hand(target.address, SLOT + 1, VOL1)
    robot = Robot(session, tmp_path / "robot")
    robot.library = session.libraries.add("scsi", target.address, name="Robot")
    robot.drain()
    return robot


def write(robot: Robot, medium: rsm.LogicalMedium, data: bytes) -> None:
    with robot.session.mounts.mount(medium, write=True, timeout_ms=LONG_MS) as mount:
        with mount.open("wb") as file:
            assert file.write(data) == len(data)


def read(robot: Robot, medium: rsm.LogicalMedium, on_wait: Heard | None = None) -> bytes:
    with robot.session.mounts.mount(medium, timeout_ms=LONG_MS, on_wait=on_wait) as mount:
        with mount.open() as file:
            return file.read()


def satisfy(robot: Robot) -> Callable[[object], None]:
    """Return an operator who says that the cartridge was brought."""
    return lambda _: robot.session.operators.satisfy(robot.session.operators.list()[0])


def take_out(robot: Robot, target: Target, *barcodes: str) -> None:
    """Have cartridges brought to the ports, where a person takes them."""

    def take(_: object) -> None:
        lying = places_in(target.address)
        for address, name in NAMES.items():
            if name in {lying[barcode] for barcode in barcodes}:
                assert name.startswith("port-")
                target.take(address)

    request = robot.session.media.eject(*barcodes).wait(LONG_MS, on_wait=Heard(PERSON=take))
    assert (request.state, sorted(request.details["taken_out"])) == (NtmsLmState.NTMS_LM_PASSED, sorted(barcodes))
    assert places_in(target.address).keys().isdisjoint(barcodes)


def put_in(target: Target, asked: Attended, *barcodes: str) -> None:
    """Have a person put cartridges into the ports once they are waited for, and see that they are taken in."""

    def put(_: object) -> None:
        for number, barcode in enumerate(barcodes):
            target.put(PORT + number, barcode)

    request = asked.wait(LONG_MS, on_wait=Heard(PERSON=put))
    assert (request.state, sorted(request.details["taken_in"])) == (NtmsLmState.NTMS_LM_PASSED, sorted(barcodes))


def see_ports_used(robot: Robot, target: Target, medium: rsm.LogicalMedium) -> None:
    """Have a cartridge go out and come back with one that nobody knows; what is recorded on it came along."""
    session, recorded = robot.session, read(robot, medium)
    robot.drain()
    take_out(robot, target, OTHER)
    away = session.media.get(OTHER)
    assert away.library == session.libraries.get("Offline").id
    assert away.media_state is NtmsMediaState.NTMS_MEDIASTATE_IDLE
    assert robot.states(OTHER) == [State.NTMS_PARTSTATE_COMPLETE]

    target.make_cartridge(NEW)
    put_in(target, session.libraries.inject(robot.library), OTHER, NEW)
    robot.drain()
    assert robot.places() == places_in(target.address)
    assert {robot.places()[barcode] for barcode in (OTHER, NEW)} == {NAMES[SLOT + 1], NAMES[SLOT + 4]}
    assert robot.pool(NEW) == UNRECOGNIZED
    assert read(robot, medium) == recorded
    robot.drain()
    take_out(robot, target, NEW)
    assert NEW not in robot.media()


def see_drive_cleaned(robot: Robot, target: Target, meddling: list[Meddle]) -> None:
    """Have the cleaner brought, and a drive cleaned by it; a drive that takes it for a tape was not cleaned."""
    session, slot = robot.session, robot.device(Kind.NTMS_STORAGESLOT, NAMES[SLOT + 19])
    take_out(robot, target, CLN)
    session.libraries.reserve_cleaner_slot(robot.library, slot)
    put_in(target, session.libraries.inject_cleaner(robot.library, 3), CLN)
    assert robot.places()[CLN] == slot.name

    request = session.libraries.clean(robot.drive())
    assert request is not None
    with pytest.raises(rsm.RsmError, match=f"takes {CLN} for a tape") as caught:
        session.requests.wait(request, timeout_ms=LONG_MS)
    assert caught.value.code == ErrorCode.ERROR_UNABLE_TO_CLEAN
    robot.drain()
    assert (robot.drive().last_cleaned, robot.places()) == (None, places_in(target.address))
    assert session.libraries.get(robot.library).cleaner_uses_remaining == 3

    def carry_and_clean(give: Callable[[], Reply]) -> Reply:
        reply = give()
        target.let_go(1)
        return reply

    meddling.append(carry_and_clean)
    request = session.libraries.clean(robot.drive())
    assert request is not None
    assert session.requests.wait(request, timeout_ms=LONG_MS).state is NtmsLmState.NTMS_LM_PASSED
    assert meddling == []
    robot.drain()
    assert robot.drive().last_cleaned is not None
    assert robot.drive().state is NtmsDriveState.NTMS_DRIVESTATE_DISMOUNTED
    assert session.libraries.get(robot.library).cleaner_uses_remaining == 2
    assert robot.places() == places_in(target.address)


def test_life(robot: Robot, target: Target, meddling: list[Meddle]) -> None:
    session = robot.session
    assert robot.places() == {barcode: NAMES[address] for address, barcode in HOMES.items()}
    assert (robot.pool(TAPE), robot.pool(OTHER)) == (UNRECOGNIZED, IMPORT)
    (side,) = session.media.sides(OTHER)
    assert (side.label_type, side.label_id) == (ANSI_TYPE, b"TAPE07")
    assert {each.media for each in session.libraries.list() if each.id == robot.library.id} == {5}
    assert [drive.path for drive in session.libraries.drives(robot.library)] == ["", ""]

    robot.prepare(TAPE, OTHER)
    for barcode in (TAPE, OTHER):
        assert robot.states(barcode) == [State.NTMS_PARTSTATE_AVAILABLE]
        assert session.media.sides(barcode)[0].label_type == FREE_TYPE
    media = [robot.allocate(barcode) for barcode in (TAPE, OTHER)]

    with session.mounts.mount(media, write=True, timeout_ms=LONG_MS) as mounts:
        for number, mount in enumerate(mounts):
            assert (mount.path, mount.drive.state) == (None, NtmsDriveState.NTMS_DRIVESTATE_LOADED)
            with mount.open() as file:
                label = labels.recognise(file.read())
            assert label is not None
            assert (label.type, label.info) == (FREE_TYPE, mount.barcode)
            with mount.open("wb") as file:
                file.write(bytes([number]) * 300_000)
            with mount.open("ab") as file:
                file.write(b"appended")
    for number, medium in enumerate(media):
        assert read(robot, medium) == bytes([number]) * 300_000 + b"appended"
    with session.mounts.mount(media[0], timeout_ms=LONG_MS) as mount:
        with pytest.raises(OSError, match="Read-only"):
            mount.open("wb")
        assert mount.free_bytes is None or mount.free_bytes > 0

    with session.mounts.mount(media[1], write=True, timeout_ms=LONG_MS) as mount, mount.open("wb") as file:
        taken = 0
        with contextlib.suppress(OSError):
            while taken < 2_000_000:
                taken += file.write(bytes(65_536))
        assert 500_000 < taken < 2_000_000
        with pytest.raises(OSError, match="No space") as caught:
            file.write(b"x")
        assert caught.value.errno == errno.ENOSPC
    session.media.complete(media[1])
    assert read(robot, media[1]) == bytes(taken)

    robot.drain()
    see_ports_used(robot, target, media[1])
    see_drive_cleaned(robot, target, meddling)
    with session.mounts.mount(media, timeout_ms=LONG_MS) as mounts:  # both drives take tapes again
        assert {mount.barcode for mount in mounts} == {TAPE, OTHER}

    robot.drain()
    for medium in media:
        session.media.deallocate(medium)
    robot.prepare(TAPE, OTHER)
    session.pools.delete(r"\App")
    assert robot.states(TAPE) == robot.states(OTHER) == [State.NTMS_PARTSTATE_AVAILABLE]
    assert places_in(target.address) == {barcode: NAMES[address] for address, barcode in HOMES.items()}


# --- what happens outside -------------------------------------------------------------------------------------------


def test_cartridge_moved_behind_our_back_is_found_again(robot: Robot, target: Target) -> None:
    robot.prepare(TAPE)
    medium = robot.allocate(TAPE)
    write(robot, medium, b"before")
    robot.drain()
    target.take(SLOT)
    target.put(SLOT + 6, TAPE)
    assert robot.inventory()["moved_names"] == [TAPE]
    assert read(robot, medium) == b"before"
    robot.drain()
    assert robot.places()[TAPE] == NAMES[SLOT + 6]

    target.take(SLOT + 6)
    target.put(PORT + 2, TAPE)  # nobody says so this time: the mount finds out, and asks for it where nobody looks
    assert read(robot, medium, Heard(OPERATOR=satisfy(robot))) == b"before"
    robot.drain()
    assert robot.places() == places_in(target.address)


@pytest.mark.parametrize("arrived", [False, True])
def test_target_killed_in_the_middle_of_a_move_and_restarted(
    robot: Robot, target: Target, meddling: list[Meddle], arrived: bool
) -> None:
    robot.prepare(TAPE)
    medium = robot.allocate(TAPE)
    write(robot, medium, b"before")
    robot.drain()

    def restart() -> None:
        target.stop()
        # It comes up with nothing in its drives: what was on its way lies in a slot, its own or another.
        home = SLOT + 9 if arrived else SLOT
        target.start({home if code == TAPE else address: code for address, code in HOMES.items()})

    def die(give: Callable[[], Reply]) -> Reply:
        assert target.process is not None
        target.process.send_signal(signal.SIGSTOP)  # so that it has the command, and no answer comes
        killer = threading.Thread(target=restart)
        killer.start()
        try:
            return give()
        finally:
            killer.join()

    meddling.append(die)
    assert read(robot, medium, Heard(OPERATOR=satisfy(robot))) == b"before"
    assert meddling == []
    robot.drain()
    assert robot.places() == places_in(target.address)


USER = """
import rsm
url, pool, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
with rsm.connect(url, application=pool, caller=rsm.Caller("user:admin", administrator=True)) as session:
    (medium,) = session.media.logical_media(pool)
    say("ready")
    wait()
    for number in range(rounds):
        with session.mounts.mount(medium, write=True, timeout_ms=60_000) as mount:
            if number:
                with mount.open() as file:
                    assert file.read() == pool.encode() * number
            with mount.open("ab" if number else "wb") as file:
                file.write(pool.encode())
    say("done")
"""


def test_two_processes_share_the_changer(robot: Robot, target: Target, url: str) -> None:
    robot.prepare(TAPE, OTHER)
    media = [robot.allocate(code, pool) for code, pool in ((TAPE, r"\One"), (OTHER, r"\Two"))]
    with Program(USER, url, r"\One", 3) as one, Program(USER, url, r"\Two", 3) as two:
        for program in (one, two):
            assert program.hear() == "ready"
        for program in (one, two):
            program.tell()
        for program in (one, two):
            assert program.hear() == "done"
            assert (program.rest(), program.status()) == ("", 0)
    assert [read(robot, medium) for medium in media] == [rb"\One" * 3, rb"\Two" * 3]
    robot.drain()
    assert robot.places() == places_in(target.address)
