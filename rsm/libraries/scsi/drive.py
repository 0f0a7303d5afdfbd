"""A SCSI tape drive: loading and unloading, how much is on its tape, and the tape as a file.

A tape is written in blocks of variable length, at most 64 KiB, each write in blocks of its own, and a filemark at
close. It is read through its filemarks to the end of what is recorded, whatever the length of its blocks. Decides
nothing about which tape is in the drive.
"""

from __future__ import annotations

import errno
import io
import os
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from rsm.errors import NotReadyError, NotSupportedError, RsmError, WriteProtectError
from rsm.libraries.base import (
    CleaningFailedError,
    NoCleanerError,
    SideMode,
    SideStatus,
    SourceEmptyError,
    printable,
)
from rsm.libraries.scsi import cdb
from rsm.libraries.scsi.cdb import Space
from rsm.libraries.scsi.decode import (
    MalformedReplyError,
    Sense,
    decode_attributes,
    decode_log_parameters,
    decode_mode_page,
    decode_position,
    decode_tape_alerts,
)
from rsm.libraries.scsi.sense import Key, error_from_sense
from rsm.libraries.scsi.transport import Reply
from rsm.libraries.scsi.unit import Unit

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

BLOCK_BYTES: Final = 65_536
LARGEST_BLOCK_BYTES: Final = 8_388_608
READ_WRITE_SECONDS: Final = 900.0
LOAD_SECONDS: Final = 1200.0
SPACE_SECONDS: Final = 14_400.0  # from one end of a long tape to the other, with retries
_TRIES: Final = 3
_EMPTY_AT_MOST: Final = 10_000  # filemarks one after the other
_END_OF_DATA: Final = (0x00, 0x05)
_MEBIBYTE: Final = 1_048_576
_CAPACITY_PAGE: Final = 0x31
_REMAINING, _MAXIMUM, _WRITTEN = 0x0000, 0x0001, 0x0220


class TapeDrive(Unit):
    """A tape drive."""

    def load(self) -> None:
        """Make the tape in it ready; nothing where it is.

        Raises:
            NotReadyError: it is becoming ready.
            RsmError: it cannot, by the table of sense data.
        """
        sense = self.ask_ready()
        if sense is None:
            return
        error = error_from_sense(sense, self.name)
        # An unloaded tape is told as none at all, or as one that waits to be initialised.
        waits = isinstance(error, SourceEmptyError) or (sense.asc, sense.ascq) in ((0x04, 0x02), (0x04, 0x00))
        if not waits:
            raise error
        self.run(cdb.load_unload(True), timeout_seconds=LOAD_SECONDS)
        sense = self.ask_ready()
        if sense is not None:
            raise error_from_sense(sense, self.name)

    def unload(self) -> None:
        """Make it let go of its tape; nothing where it has.

        Raises:
            NotReadyError: it is becoming ready.
            RsmError: it cannot, by the table of sense data.
        """
        try:
            self.run(cdb.load_unload(False), timeout_seconds=LOAD_SECONDS)
        except SourceEmptyError:
            return
        except NotReadyError:
            sense = self.ask_ready()
            if sense is None or (sense.asc, sense.ascq) != (0x04, 0x02):  # else it has been let go of
                raise

    def finish_cleaning(self, cleaner: str | None = None) -> None:
        """See that the cleaner in it has done its work, which it tells by letting go of it.

        `cleaner` is the bar code of what is in it, where that is known to be a cleaner.

        Raises:
            NotReadyError: it is being cleaned.
            CleaningFailedError: it takes a cleaner for a tape, so it was not cleaned; or it says that cleaning failed.
            NoCleanerError: it takes what is in it for a tape, and nothing else tells that it is a cleaner.
            RsmError: it failed otherwise, by the table of sense data.
        """
        sense = self.ask_ready()
        if sense is None and cleaner is not None:
            raise CleaningFailedError(
                f"{self.name} was not cleaned: it takes {printable(cleaner)} for a tape. "
                "Try a cleaner that is made for this drive, or clean it by hand"
            )
        if sense is None:
            raise NoCleanerError(f"{self.name} takes what is in it for a tape: no cleaner")
        error, signature = error_from_sense(sense, self.name), (sense.asc, sense.ascq)
        if isinstance(error, SourceEmptyError) or signature == (0x04, 0x02):
            return
        if signature == (0x30, 0x07):
            raise CleaningFailedError(str(error))
        if signature == (0x30, 0x03):
            raise NotReadyError(f"{self.name} is being cleaned")
        raise error

    def read_tape_alerts(self) -> frozenset[int]:
        """Return the TapeAlert flags that are up, none where it has no such log (RsmError)."""
        try:
            return decode_tape_alerts(self.run(cdb.log_sense(0x2E, 1024), read_length=1024))
        except (NotSupportedError, MalformedReplyError):
            return frozenset()

    def read_position(self) -> int | None:
        """Return the number of the block it stands before, None where it does not know (RsmError)."""
        data = self.run(cdb.read_position(), read_length=cdb.READ_POSITION_LENGTH)
        return decode_position(data)

    # --- the tape ---------------------------------------------------------------------------------------------------

    def is_write_protected(self) -> bool:
        """Return whether the tape in it may not be written; sees to blocks of variable length (RsmError)."""
        data = self.run(cdb.mode_sense_6(0, block_descriptors=True), read_length=255)
        mode = decode_mode_page(data, 0)
        if mode.block_bytes:
            parameters = cdb.mode_parameters_for_blocks(mode.density, 0)
            self.run(cdb.mode_select_6(len(parameters)), write=parameters)
        return mode.write_protected

    def read_side(self) -> SideStatus:
        """Return how much is on the tape, as far as its memory or the drive's log tells (RsmError)."""
        protected = self.is_write_protected()
        told = self._read_attributes()
        if _REMAINING in told and _MAXIMUM in told:
            remaining, maximum = (int.from_bytes(told[each], "big") * _MEBIBYTE for each in (_REMAINING, _MAXIMUM))
            used = max(0, maximum - remaining)
            written = told.get(_WRITTEN, b"").hex()
            return SideStatus(maximum, used, protected, f"{written}:{used}" if written else None)
        try:
            log = decode_log_parameters(self.run(cdb.log_sense(_CAPACITY_PAGE, 512), read_length=512), _CAPACITY_PAGE)
            remaining, maximum = (int.from_bytes(log[each], "big") * _MEBIBYTE for each in (1, 3))
        except (NotSupportedError, MalformedReplyError, KeyError):
            return SideStatus(None, None, protected)
        return SideStatus(maximum, max(0, maximum - remaining), protected)

    def _read_attributes(self) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        for first in (_REMAINING, _WRITTEN):
            try:
                found |= decode_attributes(self.run(cdb.read_attribute(first, 1024), read_length=1024))
            except (NotSupportedError, MalformedReplyError):
                break
        return found

    def open_tape(self, mode: SideMode, *, read_only: bool, path: str) -> BinaryIO:
        """Open the tape as a file, which closes the drive with itself; `path` is for messages.

        Raises:
            OSError: EROFS, it is to be written and must not be.
            NotReadyError: it is becoming ready.
            RsmError: it cannot, by the table of sense data.
        """
        sense = self.ask_ready()
        if sense is not None:
            raise error_from_sense(sense, self.name)
        protected = self.is_write_protected()
        if mode != "rb" and (read_only or protected):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        self.run(cdb.rewind(), timeout_seconds=SPACE_SECONDS)
        if mode == "rb":
            return io.BufferedReader(TapeReader(self, path), BLOCK_BYTES)
        if mode == "ab":
            self._space_to_end()
        return cast(BinaryIO, TapeWriter(self, path, append=mode == "ab"))

    def _space_to_end(self) -> None:
        _, sense = self.give(cdb.space(Space.END_OF_DATA), timeout_seconds=SPACE_SECONDS)
        # A blank tape ends where it begins; and the end of the data may be near that of the tape.
        if sense is not None and sense.key not in (Key.NO_SENSE, Key.RECOVERED_ERROR, Key.BLANK_CHECK):
            raise error_from_sense(sense, self.name)


def _os_error(error: RsmError, path: str) -> OSError:
    number = errno.EROFS if isinstance(error, WriteProtectError) else errno.EIO
    return OSError(number, f"{os.strerror(number)}: {error}", path)


class _Tape(io.RawIOBase):
    def __init__(self, drive: TapeDrive, path: str) -> None:
        super().__init__()
        self._drive = drive
        self._path = path

    def _give(self, command: bytes, *, write: bytes = b"", read_length: int = 0) -> tuple[Reply, Sense | None]:
        """Give a command once: after a reset the tape stands elsewhere than it did."""
        try:
            return self._drive.give(
                command, write=write, read_length=read_length, timeout_seconds=READ_WRITE_SECONDS, repeat=False
            )
        except RsmError as error:
            raise _os_error(error, self._path) from error

    def _failure(self, sense: Sense) -> OSError:
        return _os_error(error_from_sense(sense, self._drive.name), self._path)

    def close(self) -> None:
        """Close the file and the drive behind it."""
        if not self.closed:
            try:
                super().close()
            finally:
                self._drive.close()


class TapeReader(_Tape):
    """What is recorded on a tape, from its beginning to the end of data."""

    def __init__(self, drive: TapeDrive, path: str) -> None:
        """Take over a drive whose tape is at its beginning."""
        super().__init__(drive, path)
        self._block_bytes = BLOCK_BYTES
        self._rest = b""
        self._ended = False

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read into a buffer and return how many bytes, 0 at the end.

        Raises:
            OSError: EIO, the drive or the tape failed.
        """
        for _ in range(_EMPTY_AT_MOST):
            if self._rest or self._ended:
                break
            self._rest = self._read_block()
        else:
            raise OSError(errno.EIO, f"{self._drive.name} tells of filemarks without an end", self._path)
        view = memoryview(buffer).cast("B")
        taken = min(len(view), len(self._rest))
        view[:taken] = self._rest[:taken]
        self._rest = self._rest[taken:]
        return taken

    def _read_block(self) -> bytes:
        """Return the next block; nothing for a filemark, or at the end."""
        for _ in range(_TRIES):
            asked = self._block_bytes
            reply, sense = self._give(cdb.read_block(asked), read_length=asked)
            if sense is None:
                return reply.data
            if sense.key == Key.BLANK_CHECK or (sense.asc, sense.ascq) == _END_OF_DATA:
                self._ended = True
                return b""
            self._check_readable(sense)
            if sense.filemark:
                return b""
            came = asked - reply.missing_bytes
            # What the sense data says of the block counts more than what the transport says of the transfer.
            length = came if not sense.incorrect_length or sense.information is None else asked - sense.information
            if 0 <= length <= came:
                return reply.data[:length]
            # Longer than was asked for; or not all of it came, as from targets that count wrongly.
            self._go_back(length)
        raise OSError(errno.EIO, f"{self._drive.name} does not say how long the block is", self._path)

    def _check_readable(self, sense: Sense) -> None:
        stopped = sense.filemark or sense.incorrect_length or sense.end_of_medium
        if sense.key not in (Key.NO_SENSE, Key.RECOVERED_ERROR) or not stopped:
            raise self._failure(sense)

    def _go_back(self, length: int) -> None:
        """Go back over a block, to read it again as the one of `length` bytes that it is."""
        if not 0 < length <= LARGEST_BLOCK_BYTES:
            text = f"a block of {length} bytes is on the tape: at most {LARGEST_BLOCK_BYTES} can be read"
            raise OSError(errno.EIO, text, self._path)
        _, sense = self._give(cdb.space(Space.BLOCKS, -1))
        if sense is not None:
            raise self._failure(sense)
        self._block_bytes = length


class TapeWriter(_Tape):
    """A tape being written. Each write is taken whole or refused whole; nothing waits in a buffer here.

    What `write` returned for is in the drive, and on the tape once `close` returns. Where the end of the tape is near
    the block that was being written is still taken, and the next one is refused.
    """

    def __init__(self, drive: TapeDrive, path: str, *, append: bool) -> None:
        """Take over a drive whose tape stands where writing is to begin."""
        super().__init__(drive, path)
        self._full = False
        self._wants_mark = not append  # a tape that is written anew ends where it begins

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        """Write all of `data` and return its length in bytes.

        Raises:
            OSError: ENOSPC, the end of the tape is near; EROFS, it is write protected; EIO, drive or tape failed. Then
                nothing of it counts.
        """
        if self.closed:
            raise ValueError("the tape is closed")
        content = bytes(data)
        if not content:
            return 0
        if self._full:
            raise self._no_space()
        for number, at in enumerate(range(0, len(content), BLOCK_BYTES)):
            try:
                self._write_block(content[at : at + BLOCK_BYTES])
            except OSError:
                self._take_back(number)
                raise
        self._wants_mark = True
        return len(content)

    def _write_block(self, block: bytes) -> None:
        _, sense = self._give(cdb.write_block(len(block)), write=block)
        if sense is None:
            return
        if sense.key == Key.VOLUME_OVERFLOW:
            self._full = True
            raise self._no_space()
        if sense.key not in (Key.NO_SENSE, Key.RECOVERED_ERROR) or not sense.end_of_medium:
            raise self._failure(sense)
        self._full = True

    def _take_back(self, blocks: int) -> None:
        """Go back over the blocks of a write that was refused in the middle: what comes next is written over them."""
        if blocks:
            _, sense = self._give(cdb.space(Space.BLOCKS, -blocks))
            if sense is not None:
                raise self._failure(sense)
            self._wants_mark = True

    def _no_space(self) -> OSError:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path)

    def close(self) -> None:
        """Write a filemark, which puts everything on the tape, and close.

        Raises:
            OSError: it did not get there; the file is closed all the same.
        """
        if self.closed:
            return
        try:
            if self._wants_mark:
                self._write_mark()
        finally:
            super().close()

    def _write_mark(self) -> None:
        _, sense = self._give(cdb.write_filemarks(1))
        near_end = sense is not None and sense.end_of_medium and sense.key in (Key.NO_SENSE, Key.RECOVERED_ERROR)
        if sense is not None and not near_end:
            raise self._failure(sense)
