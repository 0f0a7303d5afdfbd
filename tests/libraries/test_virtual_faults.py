"""The virtual library at every moment: killed, failing, robbed, overtaken and raced before each of its system calls."""

import contextlib
import errno
import itertools
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from counting import Counted
from libraries.support import DRIVE, SLOT
from programs import Program

import rsm
from rsm.libraries import virtual
from rsm.libraries.base import DestinationFullError, SourceEmptyError, StaleEpochError
from rsm.libraries.virtual import VirtualLibrary
from rsm.libraries.virtual_robot import robot_held

HOMES = {"A00001": "slot-0001", "B00002": "slot-0002", "P00003": "slot-0003", "X00004": "slot-0004"}
CAN_FAIL = {"open", "stat", "fstat", "listdir", "read", "pread", "write", "pwrite", "rename", "symlink", "unlink"} | {
    *("readlink", "fsync", "mkdir", "ftruncate", "flock", "makedirs")
}


def places_on_disk(folder: Path) -> dict[str, str]:
    """Return where each cartridge is, seen without the program, and that it is whole and in one place only."""
    places = [place for place in os.listdir(folder) if place[0] != "." and "." not in place]
    found = [(barcode, place) for place in places for barcode in os.listdir(folder / place)]
    assert len(dict(found)) == len(found)
    assert all((folder / place / barcode / "cartridge.toml").exists() for barcode, place in found)
    return dict(found)


def all_is_right(library: VirtualLibrary) -> dict[str, str]:
    """Return where each cartridge is, having seen that the library tells so and that all links are right."""
    folder = Path(library.directory)
    places = places_on_disk(folder)
    statuses = list(library.read_elements())
    assert [status.name for status in statuses if status.exception] == []
    assert {status.barcode: status.name for status in statuses if status.barcode} == places
    for drive in ("drive-01", "drive-02"):
        held = [barcode for barcode, place in places.items() if place == drive]
        link = folder / f"{drive}.media"
        assert [os.readlink(link).split("/")[1]] == held if os.path.lexists(link) else held == []
        assert link.exists() == bool(held)
    assert not [path.name for path in folder.iterdir() if path.name.endswith(".new")]
    return places


def moments() -> Iterator[int]:
    """Count from 1; whoever counts stops when the work was done before that many system calls."""
    yield from range(1, 400)
    raise AssertionError("this never ends")


def load_without_link(library: VirtualLibrary) -> None:
    library.move(SLOT + 2, DRIVE + 1, 1)
    os.unlink(library.directory + "/drive-01.media")


# What is done at every moment of, on a library that was claimed with epoch 1.
WORK: dict[str, tuple[Callable[[VirtualLibrary], Any], Callable[[VirtualLibrary], Any]]] = {
    "into a drive": (lambda library: None, lambda library: library.move(1002, 101, 3, inverted=True)),
    "out of a drive": (lambda library: library.move(1002, 101, 1), lambda library: library.move(101, 1002, 3)),
    "drive to drive": (lambda library: library.move(1002, 101, 1), lambda library: library.move(101, 102, 3)),
    "slot to slot": (lambda library: None, lambda library: library.move(1002, 1005, 3)),
    "claim": (load_without_link, lambda library: library.claim(3)),
    "load": (load_without_link, lambda library: library.load_drive(101, 3)),
}


@pytest.fixture(params=WORK)
def prepared(request: pytest.FixtureRequest, library: VirtualLibrary) -> tuple[VirtualLibrary, Callable[[], Any], Path]:
    """A library made ready for one kind of work, that work, and a copy of the library to begin again from."""
    prepare, work = WORK[request.param]
    library.claim(1)
    prepare(library)
    saved = Path(library.directory).with_name("saved")
    shutil.copytree(library.directory, saved, symlinks=True)
    return library, lambda: work(library), saved


def begin_again(library: VirtualLibrary, saved: Path) -> None:
    """Put cartridges, links and epoch back as they were saved."""
    folder, homes = Path(library.directory), places_on_disk(saved)
    for barcode, place in places_on_disk(folder).items():
        if place != homes[barcode]:
            os.rename(folder / place / barcode, folder / homes[barcode] / barcode)
    for link in (*folder.glob("*.media"), *folder.glob(".*.new")):
        link.unlink()
    for link in saved.glob("*.media"):
        (folder / link.name).symlink_to(os.readlink(link))
    (folder / ".robot").write_bytes((saved / ".robot").read_bytes())


# --- killed ---------------------------------------------------------------------------------------------------------


def killed_at(number: int, syscalls: Any, work: Callable[[], Any]) -> bool:
    """Do the work in a forked process that is killed at this moment; False if it was done before that came."""
    child = os.fork()
    if child == 0:
        status = 70
        with contextlib.suppress(BaseException):
            syscalls.watch(lambda count, _: os.kill(os.getpid(), signal.SIGKILL) if count == number else None)
            work()
            status = 0
        os._exit(status)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert ended in (0, -signal.SIGKILL)
    return ended != 0


def test_killed_at_any_moment_the_cartridge_is_in_one_place_and_the_next_claim_sets_the_rest_right(
    prepared: tuple[VirtualLibrary, Callable[[], Any], Path], syscalls: Any, counted: Counted
) -> None:
    library, work, saved = prepared
    before = places_on_disk(saved)
    ends = []
    for number in moments():
        begin_again(library, saved)
        killed = killed_at(number, syscalls, work)
        places = places_on_disk(Path(library.directory))
        assert set(places) == set(before)
        library.claim(4)
        assert all_is_right(library) == places
        ends.append(places)
        if not killed:
            break
    assert ends[0] == before
    counted("kills of a process that works a virtual library", {"at each system call": len(ends) - 1})
    changes = sum(one != other for one, other in itertools.pairwise(ends))
    assert changes == (ends[-1] != before)


def test_killed_while_making_nothing_is_taken_for_a_library_or_a_cartridge(
    virtual_folder: Path, tmp_path: Path, syscalls: Any
) -> None:
    library = VirtualLibrary(virtual_folder)
    for number in moments():
        barcode, new = f"N{number}", tmp_path / f"new{number}"
        if not killed_at(number, syscalls, lambda new=new: virtual.create(new, 2, 1, 1, "LTO-8")):
            VirtualLibrary(new).claim(1)
            break
        if (new / "library.toml").exists():
            VirtualLibrary(new).claim(1)
    for number in moments():
        barcode = f"N{number}"
        killed = killed_at(number, syscalls, lambda barcode=barcode: virtual.add_cartridge(virtual_folder, barcode))
        places = places_on_disk(virtual_folder)
        assert [status.exception for status in library.read_elements() if status.exception] == []
        assert set(places) - set(HOMES) <= {barcode}
        shutil.rmtree(virtual_folder / "slot-0005" / barcode, ignore_errors=True)
        if not killed:
            assert places[barcode] == "slot-0005"
            break


# --- failing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES, errno.ENOENT])
def test_failing_at_any_moment_is_an_error_that_names_the_place_and_nothing_is_lost(
    prepared: tuple[VirtualLibrary, Callable[[], Any], Path], syscalls: Any, number: int, counted: Counted
) -> None:
    library, work, saved = prepared
    before = places_on_disk(saved)
    failed: Counter[str] = Counter()
    done: list[dict[str, str]] = []
    for moment in moments():
        begin_again(library, saved)

        def fail(count: int, name: str, moment: int = moment) -> None:
            if count == moment and name in CAN_FAIL:
                raise OSError(number, os.strerror(number), "a path of the system's own")

        syscalls.watch(fail)
        error: rsm.RsmError | None = None
        try:
            work()
        except rsm.RsmError as raised:
            error = raised
        finally:
            syscalls.rest()
        places = places_on_disk(Path(library.directory))
        if error is None:
            done.append(places)
        else:
            failed[syscalls.names[moment - 1]] += 1
            assert library.directory in str(error)
            assert error.outcome_unknown or places == before
        library.claim(4)
        assert all_is_right(library) == places
        assert leaks() == []
        if moment > len(syscalls.names):
            break
    counted("POSIX calls of a virtual library that failed", failed, errno.errorcode[number])
    assert failed["open"]
    assert failed["flock"]
    assert all(places == done[-1] for places in done)


def test_drive_stays_without_a_link_when_the_cartridge_did_not_come(library: VirtualLibrary, syscalls: Any) -> None:
    def fail(_: int, name: str) -> None:
        if syscalls.names.count("rename") == 2 and name == "rename":  # the first was that of the link
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    syscalls.watch(fail)
    with pytest.raises(rsm.DeviceNotAvailableError, match=r"slot-0001/A00001 to .*drive-01"):
        library.move(SLOT + 1, DRIVE + 1, 1)
    assert not os.path.lexists(library.directory + "/drive-01.media")


def test_move_is_on_the_disk_before_it_is_done(library: VirtualLibrary, syscalls: Any) -> None:
    library.claim(1)
    syscalls.watch(lambda _, name: None)
    library.move(SLOT + 1, SLOT + 5, 1)
    after_the_rename = syscalls.names[syscalls.names.index("rename") + 1 :]
    assert after_the_rename[:2] == ["fsync", "fsync"]
    assert after_the_rename.index("flock") > 1


def leaks() -> list[str]:
    """Return the robot's files that this process still has open."""
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return [path for path in found if "/library/" in path or path.endswith("/library")]


def test_reading_goes_on_whatever_fails(library: VirtualLibrary, syscalls: Any) -> None:
    library.move(SLOT + 1, DRIVE + 1, 1)
    sound = list(library.read_elements())
    for moment in moments():

        def fail(count: int, name: str, moment: int = moment) -> None:
            if count == moment and name in CAN_FAIL:
                raise OSError(errno.EACCES, os.strerror(errno.EACCES))

        syscalls.watch(fail)
        try:
            found = list(library.read_elements())
        except rsm.AccessDeniedError:
            assert moment == 1  # only without the directory itself there is nothing to tell
            continue
        finally:
            syscalls.rest()
        different = [now for now, then in zip(found, sound, strict=True) if now != then]
        assert len(different) <= 1
        assert all(library.directory in (status.exception or "") for status in different)
        assert leaks() == []
        if moment > len(syscalls.names):
            assert different == []
            break


def test_element_on_another_file_system_is_told_and_the_rest_goes_on(
    library: VirtualLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = os.stat(library.directory + "/slot-0005").st_ino
    real = os.fstat

    def fstat(descriptor: int) -> os.stat_result:
        found = real(descriptor)
        return os.stat_result((*found[:2], found.st_dev + 1, *found[3:])) if found.st_ino == foreign else found

    monkeypatch.setattr(os, "fstat", fstat)
    told = {status.name: status.exception for status in library.read_elements() if status.exception}
    assert told == {"slot-0005": f"{library.directory}/slot-0005 is on another file system than the library"}
    with pytest.raises(rsm.ResourceNotAvailableError, match="another file system"):
        library.move(SLOT + 1, SLOT + 5, 1)
    library.move(SLOT + 1, SLOT + 6, 1)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_making_that_fails_leaves_nothing(library: VirtualLibrary, tmp_path: Path, syscalls: Any, number: int) -> None:
    works: list[tuple[Path, Callable[[], Any]]] = [
        (tmp_path / "new", lambda: virtual.create(tmp_path / "new", 2, 1, 1, "LTO-8")),
        (Path(library.directory), lambda: virtual.add_cartridge(library.directory, "N", from_file=__file__)),
    ]
    for folder, work in works:
        before = sorted(os.walk(folder))
        for moment in moments():

            def fail(count: int, name: str, moment: int = moment) -> None:
                if count == moment and name in CAN_FAIL:
                    raise OSError(number, os.strerror(number))

            syscalls.watch(fail)
            try:
                work()
            except rsm.RsmError as error:
                if not error.outcome_unknown:
                    assert sorted(os.walk(folder)) == before
                    continue
            finally:
                syscalls.rest()
            if moment > len(syscalls.names):
                break
            shutil.rmtree(folder if folder.name == "new" else folder / "slot-0005" / "N", ignore_errors=True)
            shutil.rmtree(folder / "slot-0006" / "N", ignore_errors=True)


# --- hands that reach in --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "destination"),
    [("slot-0001/A00001", "slot-0006/A00001"), ("slot-0005/N", "slot-0001/N"), ("slot-0001/A00001", "../A00001")],
)
def test_cartridge_carried_by_hand_during_a_reading_is_told_once_and_where_it_is(
    library: VirtualLibrary, syscalls: Any, source: str, destination: str
) -> None:
    folder = Path(library.directory)
    if source.endswith("N"):
        (folder / "slot-0001" / "A00001").rename(folder / source)
    barcode = Path(source).name
    there = [Path(destination).parent.name] if not destination.startswith("..") else []
    seen = set()
    for moment in moments():

        def carry(count: int, _: str, moment: int = moment) -> None:
            if count == moment:
                os.rename(folder / source, folder / destination)

        syscalls.watch(carry)
        statuses = list(library.read_elements())
        syscalls.rest()
        assert [status.exception for status in statuses if status.exception] == []
        places = [status.name for status in statuses if status.barcode == barcode]
        assert len(places) <= 1
        assert places in ([Path(source).parent.name], there)
        seen.add(tuple(places))
        if moment > len(syscalls.names):
            break
        os.rename(folder / destination, folder / source)
    assert len(seen) == 2


def test_cartridge_taken_out_and_put_back_during_a_reading_is_told_as_there(
    library: VirtualLibrary, syscalls: Any
) -> None:
    home, hand = Path(library.directory) / "slot-0001" / "A00001", Path(library.directory).parent / "A00001"
    syscalls.watch(lambda _, name: None)
    quiet = list(library.read_elements())
    for moment in range(1, len(syscalls.names) // 2):  # the first look at each element, which is followed by another

        def play(count: int, _: str, moment: int = moment) -> None:
            if count == moment:
                os.rename(home, hand)
            elif count == moment + 1:
                os.rename(hand, home)

        syscalls.watch(play)
        assert list(library.read_elements()) == quiet


@pytest.mark.parametrize("by_hand", ["source taken out", "destination filled", "destination filled alike", "exchanged"])
def test_hands_that_reach_in_during_a_move(library: VirtualLibrary, syscalls: Any, by_hand: str) -> None:
    folder, outside = Path(library.directory), Path(library.directory).parent
    saved = outside / "saved"
    shutil.copytree(folder, saved)
    for moment in moments():
        shutil.rmtree(folder)
        shutil.copytree(saved, folder)

        def reach_in(count: int, _: str, moment: int = moment) -> None:
            if count != moment:
                return
            if by_hand == "source taken out":
                with contextlib.suppress(FileNotFoundError):
                    os.rename(folder / "slot-0001" / "A00001", folder / "slot-0006" / "A00001")
            elif by_hand == "exchanged":
                with contextlib.suppress(FileNotFoundError):
                    os.rename(folder / "slot-0001" / "A00001", folder / "slot-0006" / "A00001")
                    os.rename(folder / "slot-0002" / "B00002", folder / "slot-0001" / "B00002")
            else:
                name = "A00001" if by_hand.endswith("alike") else "P00003"
                with contextlib.suppress(OSError):
                    os.rename(folder / "slot-0003" / "P00003", folder / "drive-01" / name)

        syscalls.watch(reach_in)
        with contextlib.suppress(SourceEmptyError, DestinationFullError):
            library.move(SLOT + 1, DRIVE + 1, 1)
        syscalls.rest()
        found = sorted(path.parent.name for path in folder.glob("*/*/cartridge.toml"))
        assert len(found) == len(HOMES)
        told = {status.name for status in library.read_elements() if status.exception}
        held = [path.name for path in (folder / "drive-01").iterdir()]
        if len(set(found)) < len(found):
            assert told == {"drive-01", "slot-0001"}
        else:
            assert told == ({"drive-01"} if len(held) > 1 else set())
        library.claim(2)
        assert (folder / "drive-01.media").exists() == (len(held) == 1)
        if moment > len(syscalls.names):
            break


# --- two at the robot -----------------------------------------------------------------------------------------------


def test_holder_overtaken_at_any_moment_never_puts_a_second_cartridge_into_the_drive(
    library: VirtualLibrary, syscalls: Any
) -> None:
    folder = Path(library.directory)
    saved = folder.parent / "saved"
    shutil.copytree(folder, saved)
    successor = VirtualLibrary(folder, lock_wait_seconds=0.0)
    outcomes = set()
    for moment in moments():
        begin_again(library, saved)
        done: list[str] = []

        def overtake(count: int, _: str, moment: int = moment, done: list[str] = done) -> None:
            if count == moment:
                syscalls.rest()
                try:
                    successor.claim(2)
                    successor.move(SLOT + 2, DRIVE + 1, 2)
                    done.append("successor first")
                except rsm.BusyError:
                    done.append("serialised")
                except DestinationFullError:
                    done.append("successor after")

        syscalls.watch(overtake)
        calls = moment
        try:
            library.move(SLOT + 1, DRIVE + 1, 1)
        except StaleEpochError:
            assert done == ["successor first"]
        finally:
            calls = len(syscalls.names)
            syscalls.rest()
        held = [barcode for barcode, place in all_is_right(library).items() if place == "drive-01"]
        assert held == (["B00002"] if done == ["successor first"] else ["A00001"])
        outcomes.add(tuple(done))
        if moment > calls:
            break
    assert outcomes >= {("successor first",), ("serialised",), ()}


def test_lock_on_a_file_that_was_replaced_keeps_nobody_out_and_is_taken_again(
    library: VirtualLibrary, syscalls: Any
) -> None:
    path = Path(library.directory) / ".robot"

    def replace(_: int, name: str) -> None:
        if name == "flock":
            syscalls.rest()
            path.unlink()
            path.write_text("9\n")

    syscalls.watch(replace)
    with pytest.raises(StaleEpochError, match="epoch 9"):
        library.move(SLOT + 1, DRIVE + 1, 1)


_MOVER = """
from rsm.libraries.base import DestinationFullError, SourceEmptyError
from rsm.libraries.virtual import VirtualLibrary
library = VirtualLibrary(sys.argv[1])
slot, drive = int(sys.argv[2]), 101
say("ready")
while wait():
    try:
        library.move(slot, drive, 5)
    except DestinationFullError:
        say("full")
    else:
        say("moved")
"""


def test_two_processes_at_one_drive_one_gets_it_and_the_other_is_told(library: VirtualLibrary) -> None:
    library.claim(5)
    with Program(_MOVER, library.directory, SLOT + 1) as first, Program(_MOVER, library.directory, SLOT + 2) as second:
        assert (first.hear(), second.hear()) == ("ready", "ready")
        for _ in range(50):
            first.tell("go")
            second.tell("go")
            heard = (first.hear(), second.hear())
            assert sorted(heard) == ["full", "moved"]
            winner = SLOT + 1 if heard[0] == "moved" else SLOT + 2
            assert all_is_right(library) == {**HOMES, ("A00001" if winner == SLOT + 1 else "B00002"): "drive-01"}
            library.move(DRIVE + 1, winner, 5)


_FORKING_HOLDER = """
import os, signal
from rsm.libraries.virtual_files import opened_directory
from rsm.libraries.virtual_robot import robot_held
with opened_directory(sys.argv[1]) as root, robot_held(root, sys.argv[1], 0.0):
    if os.fork() == 0:
        say("forked")
        wait()
        os._exit(0)
    os.waitpid(-1, os.WNOHANG)
    signal.pause()
"""


def test_child_of_a_holder_that_was_killed_does_not_keep_the_robot(library: VirtualLibrary) -> None:
    with Program(_FORKING_HOLDER, library.directory) as holder:
        assert holder.hear() == "forked"
        with pytest.raises(rsm.BusyError):
            library.claim(1)
        holder.kill()
        library.claim(1)
        library.move(SLOT + 1, DRIVE + 1, 1)
        holder.tell("end")


def test_robot_let_go_can_be_held_again_at_once(library: VirtualLibrary) -> None:
    root = os.open(library.directory, os.O_RDONLY)
    try:
        for _ in range(3):
            with robot_held(root, library.directory, 0.0), pytest.raises(rsm.BusyError):
                library.claim(1)
            library.claim(1)
    finally:
        os.close(root)
