"""The library on tgt's changer over iSCSI: its whole life, and what goes wrong outside this process."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from libraries.scsi.tgt import CARTRIDGES, CLEANER, DRIVE, IQN, PORT, ROBOT, SLOT, Target

import rsm
from rsm.libraries import open_library
from rsm.libraries.base import DestinationFullError, SourceEmptyError
from rsm.libraries.scsi import cdb
from rsm.libraries.scsi.backend import ScsiLibrary
from rsm.libraries.scsi.decode import MEDIA_CHANGER
from rsm.libraries.scsi.discovery import ChangerFound, DriveFound, scan
from rsm.libraries.scsi.iscsi import IscsiTransport
from rsm.libraries.scsi.transport import (
    PASSWORD_VARIABLE,
    USER_VARIABLE,
    LostError,
    Reply,
    Transport,
    open_transport,
    parse_iscsi,
)

HOMES = {SLOT + slot - 1: barcode for slot, barcode in (*CARTRIDGES.items(), CLEANER)}
TAPE = CARTRIDGES[1]
MOVE = 0xA5


def places(library: Any) -> dict[int, str | None]:
    """Return the bar codes by address."""
    return {each.address: each.barcode for each in library.read_elements() if each.full}


def moved(source: int, goal: int) -> dict[int, str]:
    """Return the bar codes by address after a move."""
    return {goal if address == source else address: barcode for address, barcode in HOMES.items()}


def record(library: Any, drive: int, data: bytes) -> None:
    with library.open_side(drive, 1, "wb") as file:
        assert file.write(data) == len(data)


def recorded(library: Any, drive: int) -> bytes:
    with library.open_side(drive, 1, "rb") as file:
        content = file.read()
    assert isinstance(content, bytes)
    return content


# --- a life ---------------------------------------------------------------------------------------------------------


def test_life_of_a_cartridge(target: Target) -> None:
    with open_library("scsi", target.address) as library:
        assert library.check_readiness().contents_may_differ
        library.claim(1)
        told = library.read_identity()
        assert (told.product, told.serial_number, told.media_types) == ("TESTCHANGER", "CHG00001", ("LTO-8",))
        assert (told.transports, told.slots, told.ports) == ((ROBOT,), 20, 4)
        assert [(each.serial_number, each.product, each.path) for each in told.drives] == [
            ("DRV00001", "ULTRIUM-TD8", None),
            ("DRV00002", "ULTRIUM-TD8", None),
        ]
        assert places(library) == HOMES

        library.move(SLOT, DRIVE, 1)
        library.load_drive(DRIVE, 1)
        record(library, DRIVE, b"backup" * 50_000)
        assert recorded(library, DRIVE) == b"backup" * 50_000
        library.unload_drive(DRIVE, 1)
        library.move(DRIVE, PORT, 1)

        target.take(PORT)
        assert TAPE not in places(library).values()
        target.put(PORT + 3, TAPE)
        library.move(PORT + 3, SLOT + 10, 1)
        library.move(SLOT + 10, DRIVE + 1, 1)
        assert recorded(library, DRIVE + 1) == b"backup" * 50_000
        library.unload_drive(DRIVE + 1, 1)
        library.move(DRIVE + 1, SLOT, 1)

        library.move(SLOT + 19, DRIVE, 1)  # the cleaner
        library.unload_drive(DRIVE, 1)
        library.move(DRIVE, SLOT + 19, 1)
        assert places(library) == HOMES
        assert not library.check_readiness().contents_may_differ


# --- the tape -------------------------------------------------------------------------------------------------------


def test_tape_takes_what_fits_and_keeps_it(target: Target) -> None:
    with open_library("scsi", target.address) as library:
        library.move(SLOT, DRIVE, 1)
        taken = 0
        with library.open_side(DRIVE, 1, "wb") as file:
            try:
                while taken < 100:
                    file.write(bytes([taken]) * 65_536)
                    taken += 1
            except OSError as error:
                number = error.errno
        assert (number, 10 < taken < 20) == (errno.ENOSPC, True)
        assert recorded(library, DRIVE) == b"".join(bytes([number]) * 65_536 for number in range(taken))


def test_blocks_of_others_are_read_whatever_their_length(target: Target) -> None:
    blocks = [b"a" * 10, b"b" * 262_144, b"c" * 65_536, b"d" * 70_000]
    with open_library("scsi", target.address) as library:
        library.move(SLOT, DRIVE, 1)
        with open_transport(target.drive_address(1)) as drive:
            for command in (cdb.test_unit_ready(), cdb.rewind()):
                drive.execute(command, timeout_seconds=10)
            for block in blocks:
                assert drive.execute(cdb.write_block(len(block)), write=block, timeout_seconds=10) == Reply(0)
        assert recorded(library, DRIVE) == b"".join(blocks)


def test_both_drives_work_at_once(target: Target) -> None:
    with open_library("scsi", target.address) as library:
        for number in (0, 1):
            library.move(SLOT + number, DRIVE + number, 1)
        threads = [
            threading.Thread(target=record, args=(library, DRIVE + number, bytes([number]) * 500_000))
            for number in (0, 1)
        ]
        for thread in threads:
            thread.start()
        for _ in range(20):
            assert len(places(library)) == len(HOMES)
        for thread in threads:
            thread.join()
        assert [recorded(library, DRIVE + number) for number in (0, 1)] == [b"\0" * 500_000, b"\1" * 500_000]


# --- what happens outside -------------------------------------------------------------------------------------------


def test_cartridge_moved_behind_our_back(target: Target) -> None:
    with open_library("scsi", target.address) as library:
        assert places(library) == HOMES
        target.take(SLOT)
        target.put(SLOT + 6, TAPE)
        with pytest.raises(SourceEmptyError):
            library.move(SLOT, DRIVE, 1)
        with pytest.raises(DestinationFullError):
            library.move(SLOT + 1, SLOT + 6, 1)
        assert places(library) == moved(SLOT, SLOT + 6)


class Meddler(Transport):
    """A way to a device that does something in the place of a move."""

    def __init__(self, real: Transport, meddle: Callable[[Callable[[], Reply]], Reply]) -> None:
        self.real, self.meddle, self.name = real, meddle, real.name

    def execute(self, cdb: bytes, *, write: bytes = b"", read_length: int = 0, timeout_seconds: float) -> Reply:
        """Give a command, or meddle with a move."""

        def give() -> Reply:
            return self.real.execute(cdb, write=write, read_length=read_length, timeout_seconds=timeout_seconds)

        reply = self.meddle(give) if cdb[0] == MOVE else give()
        self.connections = self.real.connections
        return reply

    def close(self) -> None:
        """Close."""
        self.real.close()


def open_meddled(address: str, meddle: Callable[[Callable[[], Reply]], Reply]) -> ScsiLibrary:
    """Open the library with something that happens at its moves."""
    return ScsiLibrary(address, opener=lambda device: Meddler(open_transport(device), meddle))


def test_target_killed_in_the_middle_of_a_move_leaves_it_unknown_until_it_is_back(target: Target) -> None:
    def kill_it_meanwhile(give: Callable[[], Reply]) -> Reply:
        assert target.process is not None
        target.process.send_signal(signal.SIGSTOP)  # so that it has the command, and no answer comes
        killer = threading.Thread(target=target.stop)
        killer.start()
        try:
            return give()
        finally:
            killer.join()

    with open_meddled(target.address, kill_it_meanwhile) as library:
        with pytest.raises(rsm.DeviceNotAvailableError, match="cannot be told") as caught:
            library.move(SLOT, SLOT + 7, 1)
        assert caught.value.outcome_unknown
        assert library.check_readiness().state == "not ready"
        with pytest.raises(rsm.DeviceNotAvailableError):
            places(library)
        target.start(moved(SLOT, SLOT + 7))
        assert library.check_readiness().contents_may_differ
        assert not library.check_readiness().contents_may_differ
        assert places(library) == moved(SLOT, SLOT + 7)


@pytest.mark.parametrize("arrived", [False, True])
def test_target_that_is_back_at_once_tells_whether_the_move_was_made(target: Target, arrived: bool) -> None:
    def restart(give: Callable[[], Reply]) -> Reply:
        target.stop()
        target.start(moved(SLOT, SLOT + 7) if arrived else None)
        return give()

    with open_meddled(target.address, restart) as library:
        if arrived:
            library.move(SLOT, SLOT + 7, 1)
        else:
            with pytest.raises(LostError) as caught:
                library.move(SLOT, SLOT + 7, 1)
            assert not caught.value.outcome_unknown
        assert places(library) == (moved(SLOT, SLOT + 7) if arrived else HOMES)
        assert library.check_readiness().contents_may_differ


def test_target_that_keeps_silent_is_given_up_and_taken_up_again(target: Target) -> None:
    with open_transport(target.address) as transport:
        assert target.process is not None
        target.process.send_signal(signal.SIGSTOP)
        with pytest.raises(LostError, match=r"no answer came within 0\.2 s"):
            transport.execute(cdb.test_unit_ready(), timeout_seconds=0.2)
        target.process.send_signal(signal.SIGCONT)
        assert transport.execute(cdb.inquiry(), read_length=252, timeout_seconds=10).data[8:11] == b"RSM"
        assert transport.connections == 2


def test_target_that_drops_who_is_silent_is_answered_between_commands(make_target: Callable[..., Target]) -> None:
    target = make_target(ping_seconds=1)
    with IscsiTransport(parse_iscsi(target.address)) as transport:
        until = time.monotonic() + 30
        # The target asks every second, and lets one question go without an answer.
        while transport.answers < 3 and time.monotonic() < until:
            transport.answer_target()
        assert transport.answers >= 3
        assert transport.execute(cdb.inquiry(), read_length=252, timeout_seconds=10).data[8:11] == b"RSM"
        assert transport.connections == 1
    with pytest.raises(rsm.DeviceNotAvailableError, match="closed"):
        transport.execute(cdb.inquiry(), read_length=252, timeout_seconds=10)


def test_broken_tape_drive_connection_is_an_input_output_error(target: Target) -> None:
    with open_library("scsi", target.address) as library:
        library.move(SLOT, DRIVE, 1)
        file = library.open_side(DRIVE, 1, "wb")
        file.write(b"x")
        target.stop()
        for call in (lambda: file.write(b"y"), file.close):
            with pytest.raises(OSError, match="Input/output error"):
                call()
        assert file.closed
        target.start({DRIVE + 999: TAPE})
        assert places(library) == {SLOT: TAPE}


MOVER = """
import sys
from rsm.libraries import open_library
address, first, second = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with open_library("scsi", address) as library:
    library.check_readiness()
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(40):
        library.move(first, second, 1)
        library.move(second, first, 1)
"""


def test_two_processes_share_the_changer(target: Target) -> None:
    pairs = [(SLOT, SLOT + 8), (SLOT + 1, SLOT + 9)]
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", MOVER, target.address, str(first), str(second)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=os.path.dirname(os.path.dirname(rsm.__file__)),
            text=True,
        )
        for first, second in pairs
    ]
    for program in programs:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
    ends = [program.communicate("go\n", timeout=60) for program in programs]
    assert [(program.returncode, end[1]) for program, end in zip(programs, ends, strict=True)] == [(0, "")] * 2
    with open_library("scsi", target.address) as library:
        assert places(library) == HOMES


# --- looking for robots ---------------------------------------------------------------------------------------------


def test_robots_are_found_with_their_drives(target: Target) -> None:
    portal = f"iscsi://127.0.0.1:{target.port}"
    (found,) = scan([portal], local=lambda _: [])
    assert found == ChangerFound(
        target.address,
        "RSM",
        "TESTCHANGER",
        "CHG00001",
        20,
        4,
        (
            DriveFound(DRIVE, 1, target.drive_address(1), "IBM", "ULTRIUM-TD8", "DRV00001", "serial number"),
            DriveFound(
                DRIVE + 1,
                2,
                target.drive_address(2),
                "IBM",
                "ULTRIUM-TD8",
                "DRV00002",
                "beginning of its identifier",
            ),
        ),
    )
    with open_library("scsi", found.device) as library:
        assert places(library) == HOMES


def test_what_does_not_answer_is_told_and_ends_nothing(target: Target) -> None:
    target.stop()
    portal = f"iscsi://127.0.0.1:{target.port}"
    found = list(scan([portal, portal], local=lambda kind: ["/dev/sg4711"] if kind == MEDIA_CHANGER else []))
    assert [each.device for each in found] == ["/dev/sg4711", portal, portal]
    assert found[0].problem == "/dev/sg4711: there is no such device"
    assert "see that the target runs" in str(found[1].problem)


# --- targets that ask who comes -------------------------------------------------------------------------------------

SECRET = "open sesame 1"


def test_target_that_asks_who_comes_is_told(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (USER_VARIABLE, PASSWORD_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    target.ask_for("alice", SECRET)
    portal = f"iscsi://alice@127.0.0.1:{target.port}"
    with pytest.raises(rsm.AccessDeniedError, match=f"set {USER_VARIABLE} and {PASSWORD_VARIABLE}"):
        open_library("scsi", target.address)
    (refused,) = scan([f"iscsi://127.0.0.1:{target.port}"], local=lambda _: [])
    assert PASSWORD_VARIABLE in str(refused.problem)
    with pytest.raises(rsm.AccessDeniedError, match=f"without a password: set {PASSWORD_VARIABLE}"):
        open_library("scsi", f"{portal}/{IQN}/9")

    monkeypatch.setenv(PASSWORD_VARIABLE, "open pumpkin 1")
    with pytest.raises(rsm.AccessDeniedError) as caught:
        open_library("scsi", f"{portal}/{IQN}/9")
    assert "pumpkin" not in str(caught.value)
    monkeypatch.setenv(PASSWORD_VARIABLE, SECRET)
    (found,) = scan([portal], local=lambda _: [])
    assert isinstance(found, ChangerFound)
    assert (found.device, len(found.drives)) == (f"{portal}/{IQN}/9", 2)
    monkeypatch.setenv(USER_VARIABLE, "alice")
    for address in (target.address, found.device):
        with open_library("scsi", address) as library:
            assert places(library) == HOMES
            library.move(SLOT, DRIVE, 1)
            assert recorded(library, DRIVE) == b""
            library.unload_drive(DRIVE, 1)
            library.move(DRIVE, SLOT, 1)


# --- what is no library ---------------------------------------------------------------------------------------------


def test_what_is_no_changer_or_not_there_is_said(target: Target) -> None:
    with pytest.raises(rsm.InvalidLibraryError, match="no media changer but a SCSI device of type 1"):
        open_library("scsi", target.drive_address(1))
    portal, _, _ = target.address.rpartition("/")
    for address in (f"{portal}/5", f"iscsi://127.0.0.1:{target.port}/iqn.2003-01.org.rsm:others/1"):
        with pytest.raises(rsm.RsmError) as caught:
            open_library("scsi", address)
        assert isinstance(caught.value, (rsm.DeviceNotAvailableError, rsm.InvalidLibraryError))
    target.stop()
    with pytest.raises(rsm.DeviceNotAvailableError, match="see that the target runs"):
        open_library("scsi", target.address)
