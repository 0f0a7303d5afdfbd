"""Tapes as files, on a simulated drive: blocks, filemarks, the end of the tape, and drives that fail."""

import errno
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from libraries.scsi.simulated import (
    BECOMING,
    DRIVE,
    GOOD,
    SWITCHED_ON,
    UNINITIALISED,
    Simulated,
    Tape,
    refusal,
)

import rsm
from rsm.libraries.base import CleaningFailedError, NoCleanerError, SideStatus, SourceEmptyError, StaleEpochError
from rsm.libraries.scsi.backend import ScsiLibrary
from rsm.libraries.scsi.transport import LostError, Reply

MEBIBYTE = 1 << 20
BLOCK = 65_536
EIO = "Input/output error"
NAME = f"/drive-{DRIVE}"
READ, WRITE, MARK, SPACE = 0x08, 0x0A, 0x10, 0x11


@pytest.fixture
def simulated() -> Simulated:
    """A library with a tape in its first drive."""
    library = Simulated()
    library.tapes[DRIVE] = Tape("A00001L8")
    library.loaded.add(DRIVE)
    library.positions[DRIVE] = 0
    return library


def tape_of(simulated: Simulated) -> list[bytes | None]:
    return simulated.tapes[DRIVE].blocks


def read(library: ScsiLibrary) -> bytes:
    with library.open_side(DRIVE, 1, "rb") as file:
        content = file.read()
    assert isinstance(content, bytes)
    return content


def failing(code: int, answer: Reply | Exception, after: int = 0) -> Callable[[str, bytes], Reply | None]:
    """Return a script that answers a command of the first drive otherwise, the first so many times excepted."""
    seen = itertools.count()

    def script(name: str, cdb: bytes) -> Reply | None:
        if name != NAME or cdb[0] != code or next(seen) < after:
            return None
        if isinstance(answer, Exception):
            raise answer
        return answer

    return script


def test_each_write_is_blocks_of_its_own_with_a_filemark_at_the_end(simulated: Simulated, library: Any) -> None:
    with library.open_side(DRIVE, 1, "wb", barcode="A00001L8") as file:
        assert file.write(b"") == 0
        assert file.write(b"a") == 1
        assert file.write(bytearray(b"b" * (2 * BLOCK + 1))) == 2 * BLOCK + 1
    assert tape_of(simulated) == [b"a", b"b" * BLOCK, b"b" * BLOCK, b"b", None]
    with library.open_side(DRIVE, 1, "ab") as file:
        file.write(b"c")
    library.open_side(DRIVE, 1, "ab").close()
    assert tape_of(simulated)[5:] == [b"c", None]
    assert read(library) == b"a" + b"b" * (2 * BLOCK + 1) + b"c"
    library.open_side(DRIVE, 1, "wb").close()
    assert tape_of(simulated) == [None]
    assert read(library) == b""
    with pytest.raises(ValueError, match="closed"):
        file.write(b"x")


@pytest.mark.parametrize("length", [1, BLOCK // 2 + 1, BLOCK - 1, BLOCK, BLOCK + 1, 10 * BLOCK])
def test_blocks_of_any_length_are_read(simulated: Simulated, library: Any, length: int) -> None:
    tape_of(simulated).extend([b"x" * length, None, None, b"y" * 3, b"z" * length])
    assert read(library) == b"x" * length + b"yyy" + b"z" * length


def test_short_block_without_information_is_as_long_as_the_transport_says(simulated: Simulated, library: Any) -> None:
    simulated.says_nothing = True
    tape_of(simulated).extend([b"abc", b"x" * BLOCK, b"de"])
    assert read(library) == b"abc" + b"x" * BLOCK + b"de"


def test_block_that_never_comes_whole_is_an_error(simulated: Simulated, library: Any) -> None:
    short = refusal((0, 0, 0), flags=0x20, information=1)
    simulated.script = failing(READ, Reply(short.status, bytes(BLOCK), short.sense, BLOCK))
    with pytest.raises(OSError, match="does not say how long"):
        read(library)


def test_filemarks_without_an_end_are_an_error(simulated: Simulated, library: Any) -> None:
    simulated.script = failing(READ, refusal((0, 0, 1), flags=0x80))
    with pytest.raises(OSError, match="filemarks without an end"):
        read(library)


def test_end_that_is_near_is_nothing_to_a_reader(simulated: Simulated, library: Any) -> None:
    near = refusal((0, 0, 0x02), flags=0x40)
    simulated.script = failing(READ, Reply(near.status, b"abcd?", near.sense, 1), after=1)
    tape_of(simulated).append(b"first")
    with library.open_side(DRIVE, 1, "rb") as file:
        assert file.read(5) == b"first"
        file.raw._block_bytes = 5
        assert file.raw.read(5) == b"abcd"


def test_block_that_is_too_long_is_refused(simulated: Simulated, library: Any) -> None:
    tape_of(simulated).append(b"x" * 8_388_609)
    with pytest.raises(OSError, match="8388609 bytes") as caught:
        read(library)
    assert caught.value.errno == errno.EIO


def test_reading_in_small_pieces_gives_the_same(simulated: Simulated, library: Any) -> None:
    tape_of(simulated).extend([b"abc", None, b"de"])
    with library.open_side(DRIVE, 1, "rb") as file:
        assert [file.read(2), file.read(2), file.read(2), file.read(2)] == [b"ab", b"cd", b"e", b""]
        assert not file.seekable()


def test_fixed_blocks_are_switched_off(simulated: Simulated, library: Any) -> None:
    simulated.block_bytes = 512
    library.open_side(DRIVE, 1, "rb").close()
    assert simulated.block_bytes == 0


def test_early_warning_takes_the_block_and_refuses_the_next(simulated: Simulated, library: Any) -> None:
    simulated.capacity, simulated.early_warning = 10 * BLOCK, 4 * BLOCK
    with library.open_side(DRIVE, 1, "wb") as file:
        assert file.write(b"a" * 5 * BLOCK) == 5 * BLOCK
        assert file.write(b"b" * 3 * BLOCK) == 3 * BLOCK  # the warning came within it
        for _ in range(2):
            with pytest.raises(OSError, match="space") as caught:
                file.write(b"c")
            assert caught.value.errno == errno.ENOSPC
    assert read(library) == b"a" * 5 * BLOCK + b"b" * 3 * BLOCK


def test_write_that_does_not_fit_is_taken_back_whole(simulated: Simulated, library: Any) -> None:
    simulated.capacity = 10 * BLOCK
    with library.open_side(DRIVE, 1, "wb") as file:
        file.write(b"a" * 8 * BLOCK)
        with pytest.raises(OSError, match="space") as caught:
            file.write(b"b" * 3 * BLOCK)
        assert caught.value.errno == errno.ENOSPC
    assert read(library) == b"a" * 8 * BLOCK
    assert tape_of(simulated)[-1] is None


@pytest.mark.parametrize("mode", ["wb", "ab"])
@pytest.mark.parametrize("read_only", [False, True])
def test_protected_tape_is_not_opened_for_writing(
    simulated: Simulated, library: Any, mode: Any, read_only: bool
) -> None:
    simulated.tapes[DRIVE].protected = not read_only
    with pytest.raises(OSError, match="Read-only") as caught:
        library.open_side(DRIVE, 1, mode, read_only=read_only)
    assert caught.value.errno == errno.EROFS
    assert WRITE not in simulated.codes(NAME)
    assert read(library) == b""


@pytest.mark.parametrize("answer", [refusal((8, 0, 0x05)), refusal((0, 0, 0x05)), refusal((0, 0, 2), flags=0x40)])
def test_end_of_data_is_found_however_the_drive_tells(simulated: Simulated, library: Any, answer: Reply) -> None:
    simulated.script = failing(SPACE, answer)
    library.open_side(DRIVE, 1, "ab").close()
    simulated.script = failing(SPACE, refusal((3, 0x14, 0x03)))
    with pytest.raises(rsm.DeviceNotAvailableError):
        library.open_side(DRIVE, 1, "ab")


def test_protection_that_shows_only_at_the_first_block_is_the_same(simulated: Simulated, library: Any) -> None:
    file = library.open_side(DRIVE, 1, "wb")
    simulated.tapes[DRIVE].protected = True
    with pytest.raises(OSError, match="write protected") as caught:
        file.write(b"x")
    assert caught.value.errno == errno.EROFS


FAILURES = [refusal((3, 0x0C, 0)), refusal(SWITCHED_ON), LostError("gone"), Reply(0x08), refusal((0, 0, 0))]


@pytest.mark.parametrize("answer", FAILURES)
def test_failing_drive_is_an_input_output_error_and_nothing_is_given_twice(
    simulated: Simulated, library: Any, answer: Reply | Exception
) -> None:
    file = library.open_side(DRIVE, 1, "wb")
    file.write(b"first")
    simulated.script = failing(WRITE, answer, after=1)
    before = simulated.codes(NAME).count(WRITE)
    with pytest.raises(OSError, match=EIO) as caught:
        file.write(b"x" * 2 * BLOCK)
    assert caught.value.errno == errno.EIO
    assert simulated.codes(NAME).count(WRITE) == before + 2
    simulated.script = failing(MARK, answer)
    with pytest.raises(OSError, match=EIO):
        file.close()
    assert file.closed
    simulated.script = failing(READ, answer)
    with pytest.raises(OSError, match=EIO):
        read(library)


@pytest.mark.parametrize("answer", [refusal((3, 0x15, 0)), LostError("gone")])
def test_tape_that_does_not_go_back_is_told(simulated: Simulated, library: Any, answer: Reply | Exception) -> None:
    simulated.capacity = 2 * BLOCK
    file = library.open_side(DRIVE, 1, "wb")
    simulated.script = failing(SPACE, answer)
    with pytest.raises(OSError, match=EIO) as caught:
        file.write(b"x" * 3 * BLOCK)
    assert caught.value.errno == errno.EIO
    tape_of(simulated)[:] = [b"x" * 2 * BLOCK]
    with pytest.raises(OSError, match=EIO):
        read(library)


def test_loading_and_unloading(simulated: Simulated, library: Any) -> None:
    for _ in range(2):
        library.unload_drive(DRIVE, 1)
        assert simulated.loaded == set()
    with pytest.raises(rsm.NotReadyError):
        library.open_side(DRIVE, 1, "rb")
    for _ in range(2):
        library.load_drive(DRIVE, 1)
        assert simulated.loaded == {DRIVE}


@pytest.mark.parametrize("numbers", [BECOMING, (2, 0x04, 0x07)])
def test_drive_that_is_becoming_ready_is_not_waited_for(simulated: Simulated, library: Any, numbers: Any) -> None:
    simulated.script = failing(0x00, refusal(numbers))
    for call in (lambda: library.load_drive(DRIVE, 1), lambda: library.open_side(DRIVE, 1, "rb")):
        before = simulated.codes(NAME).count(0x00)
        with pytest.raises(rsm.NotReadyError):
            call()
        assert simulated.codes(NAME).count(0x00) - before == 1
    simulated.script = failing(0x1B, refusal(numbers))
    with pytest.raises(rsm.NotReadyError):
        library.unload_drive(DRIVE, 1)


def test_drive_that_lost_its_tape_meanwhile_has_let_go(simulated: Simulated, library: Any) -> None:
    simulated.script = failing(0x1B, refusal((2, 0x3A, 0)))
    library.unload_drive(DRIVE, 1)
    simulated.loaded.clear()
    simulated.script = failing(0x1B, refusal(UNINITIALISED))
    library.unload_drive(DRIVE, 1)


def test_load_that_ends_in_a_drive_that_is_not_ready_is_told(simulated: Simulated, library: Any) -> None:
    simulated.script = failing(0x00, refusal((2, 0x04, 0x00)))
    with pytest.raises(rsm.NotReadyError):
        library.load_drive(DRIVE, 1)
    assert 0x1B in simulated.codes(NAME)
    simulated.script = failing(0x00, refusal((3, 0x30, 0x00)))
    with pytest.raises(rsm.MediaIncompatibleError):
        library.load_drive(DRIVE, 1)


def test_unit_attentions_of_a_drive_are_gone_through(simulated: Simulated, library: Any) -> None:
    simulated.attentions[NAME] = [SWITCHED_ON] * 3
    assert read(library) == b""


@pytest.mark.parametrize(
    ("knobs", "expected"),
    [
        ({}, SideStatus(8 * MEBIBYTE, 3 * MEBIBYTE, False, f"{3 * MEBIBYTE:016x}:{3 * MEBIBYTE}")),
        ({"remembers": False}, SideStatus(8 * MEBIBYTE, 3 * MEBIBYTE, False)),
        ({"remembers": False, "unknown": {0x4D}}, SideStatus(None, None, False)),
    ],
)
def test_how_much_is_on_a_tape_comes_from_its_memory_or_the_log_or_nowhere(
    simulated: Simulated, library: Any, knobs: dict[str, Any], expected: SideStatus
) -> None:
    simulated.capacity = 8 * MEBIBYTE
    tape_of(simulated).extend([b"x" * MEBIBYTE] * 3)
    for name, value in knobs.items():
        setattr(simulated, name, value)
    assert library.read_side(DRIVE, 1) == expected
    simulated.tapes[DRIVE].protected = True
    assert library.read_side(DRIVE, 1).write_protected is True


def test_every_way_to_a_drive_is_closed_again(simulated: Simulated, library: Any) -> None:
    library.read_identity()
    opened = simulated.closed
    read(library)
    library.open_side(DRIVE, 1, "wb").close()
    library.load_drive(DRIVE, 1)
    library.read_side(DRIVE, 1)
    library.unload_drive(DRIVE, 1)
    simulated.script = failing(0x01, refusal((4, 0x15, 1)))
    with pytest.raises(rsm.RsmError):
        library.open_side(DRIVE, 1, "rb")
    assert simulated.closed - opened == 6


def test_empty_drive_is_told_before_it_is_reached(simulated: Simulated, library: Any) -> None:
    del simulated.tapes[DRIVE]
    with pytest.raises(SourceEmptyError):
        library.open_side(DRIVE, 1, "rb")
    assert simulated.codes(NAME) == []


def test_position_and_alerts_are_read(simulated: Simulated) -> None:
    from rsm.libraries.scsi.drive import TapeDrive

    drive = TapeDrive(simulated.reach(NAME))
    simulated.positions[DRIVE] = 7
    assert drive.read_position() == 7
    assert drive.read_tape_alerts() == frozenset()
    alert = Reply(0, bytes.fromhex("2e0000050014400101"))
    simulated.script = lambda _, cdb: alert if cdb[0] == 0x4D else GOOD
    assert drive.read_tape_alerts() == {20}


# --- cleaning -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numbers", "barcode", "error"),
    [
        ((2, 0x30, 0x03), "CLN001L8", rsm.NotReadyError),  # it says so as long as it cleans
        ((2, 0x04, 0x01), "CLN001L8", rsm.NotReadyError),
        ((3, 0x30, 0x07), "CLN001L8", CleaningFailedError),
        ((2, 0x3A, 0x00), "CLN001L8", None),  # it has let go of the cleaner
        ((2, 0x04, 0x02), "A00001L8", None),
        ((4, 0x44, 0x00), "CLN001L8", rsm.DeviceNotAvailableError),
        (None, "A00001L8", NoCleanerError),
        (None, "CLN001L8", CleaningFailedError),
    ],
)
def test_a_drive_is_clean_once_it_lets_go_of_the_cleaner(
    simulated: Simulated,
    library: Any,
    numbers: tuple[int, int, int] | None,
    barcode: str,
    error: type[rsm.RsmError] | None,
) -> None:
    simulated.tapes[DRIVE] = Tape(barcode)
    library.claim(1)
    simulated.script = failing(0x00, GOOD if numbers is None else refusal(numbers))
    if error is None:
        library.clean_drive(DRIVE, 1)
    else:
        with pytest.raises(error) as caught:
            library.clean_drive(DRIVE, 1)
        assert type(caught.value) is error
    with pytest.raises(SourceEmptyError):
        library.clean_drive(DRIVE + 1, 1)
    with pytest.raises(StaleEpochError):
        library.clean_drive(DRIVE, 0)
