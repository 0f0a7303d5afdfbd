"""What is recorded on the sides of virtual cartridges: opening it, measuring it, and keeping it within its capacity.

A side that is a file is tape-like: the file is the recording. A side that is a folder is disk-like: the recording that
`open_side` works with is the file `data` in it, and all other files in it take up room too. Nothing here looks for a
cartridge or knows where it is.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, Final

from rsm.errors import InvalidMediaError
from rsm.libraries.base import ElementNotAccessibleError, SideMode, SideStatus, printable
from rsm.libraries.virtual_files import CartridgeFacts, check_kind, check_side, opened_folder

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

DATA_FILE: Final = "data"
_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class SideWriter(io.FileIO):
    """A recording being written. Each write is taken whole or refused whole; nothing waits in a buffer.

    Not buffered, so that whatever `write` returned for is recorded: where a cartridge is full, the block that was
    refused goes to the next one. Closing puts everything on the disk.
    """

    def __init__(self, descriptor: int, path: str, limit_bytes: int, *, append: bool) -> None:
        """Take over `descriptor`; the file must not grow beyond `limit_bytes`."""
        super().__init__(descriptor, "ab" if append else "wb")
        self._path = path
        self._limit_bytes = limit_bytes
        self._append = append

    def write(self, data: ReadableBuffer, /) -> int:
        """Write all of `data` and return its length in bytes.

        Raises:
            OSError: ENOSPC, it does not fit; or whatever else a file suffers. Then the recording is as long as before.
        """
        view = memoryview(data).cast("B")
        size = os.fstat(self.fileno()).st_size
        start = size if self._append else self.tell()
        if start + len(view) > self._limit_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path)
        done = 0
        try:
            while done < len(view):
                done += super().write(view[done:])
        except BaseException:
            if done and start >= size:
                with contextlib.suppress(OSError):
                    super().truncate(size)
            if not self._append:
                self.seek(start)
            raise
        return done

    def truncate(self, size: int | None = None, /) -> int:
        """Cut the recording off, or lengthen it with zeros, and return the new length in bytes.

        Raises:
            OSError: ENOSPC, it would be longer than the side has room for.
        """
        wanted = self.tell() if size is None else size
        if wanted > self._limit_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path)
        return super().truncate(wanted)

    def close(self) -> None:
        """Put everything on the disk and close.

        Raises:
            OSError: it did not get there; the recording is closed all the same.
        """
        if self.closed:
            return
        try:
            os.fsync(self.fileno())
        finally:
            super().close()


def open_recording(
    cartridge: int, facts: CartridgeFacts, side: int, mode: SideMode, read_only: bool, path: str
) -> BinaryIO:
    """Open the recording on a side of an open cartridge; a disk that was never recorded reads as empty.

    Raises:
        InvalidMediaError: the cartridge has no such side.
        OSError: EROFS, it is to be written and must not be; or whatever else a file suffers.
        ElementNotAccessibleError: the side is a link or anything else that is neither file nor folder, or it is to be
            written and has a second name.
    """
    name = side_name(facts, side, path)
    side_path = f"{path}/{name}"
    if mode != "rb" and (read_only or facts.write_protected):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), side_path)
    if not stat.S_ISDIR(check_side(cartridge, name, side_path).st_mode):
        return _open_file(cartridge, name, mode, facts.capacity_bytes, side_path)
    with opened_folder(cartridge, name, side_path) as folder:
        data_path = f"{side_path}/{DATA_FILE}"
        if mode == "rb":
            try:
                return _open_file(folder, DATA_FILE, mode, 0, data_path)
            except FileNotFoundError:
                return io.BytesIO()
        others = sum(entry.st_size for entry_path, entry in _walk(folder) if entry_path != DATA_FILE)
        writer = _open_file(folder, DATA_FILE, mode, facts.capacity_bytes - others, data_path, create=True)
        os.fsync(folder)
        return writer


def side_name(facts: CartridgeFacts, side: int, path: str) -> str:
    """Return the name on disk of a side.

    Raises:
        InvalidMediaError: the cartridge has no such side.
    """
    if not 1 <= side <= len(facts.sides):
        raise InvalidMediaError(f"{printable(path)} has no side {side}")
    return facts.sides[side - 1]


def _open_file(
    folder: int, name: str, mode: SideMode, limit_bytes: int, path: str, *, create: bool = False
) -> BinaryIO:
    with contextlib.suppress(FileNotFoundError):
        check_kind(os.stat(name, dir_fd=folder, follow_symlinks=False), path, folder=False)
    flags = _FLAGS | (os.O_RDONLY if mode == "rb" else os.O_WRONLY) | (os.O_CREAT if create else 0)
    flags |= os.O_APPEND if mode == "ab" else 0
    descriptor = os.open(name, flags, 0o666, dir_fd=folder)
    try:
        status = os.fstat(descriptor)
        check_kind(status, path, folder=False)
        if mode == "rb":
            return os.fdopen(descriptor, "rb")
        if status.st_nlink != 1:
            raise ElementNotAccessibleError(
                f"{printable(path)} has {status.st_nlink} names: what is written here would be written elsewhere too"
            )
        if mode == "wb":
            os.ftruncate(descriptor, 0)
        return SideWriter(descriptor, path, limit_bytes, append=mode == "ab")
    except BaseException:
        os.close(descriptor)
        raise


def measure_side(cartridge: int, facts: CartridgeFacts, side: int, path: str) -> SideStatus:
    """Return how much is recorded on a side of an open cartridge.

    Raises:
        InvalidMediaError: the cartridge has no such side.
        ElementNotAccessibleError: the side is a link or anything else that is neither file nor folder.
        OSError: it cannot be looked at.
    """
    name = side_name(facts, side, path)
    status = check_side(cartridge, name, f"{path}/{name}")
    entries = [("", status)]
    if stat.S_ISDIR(status.st_mode):
        with opened_folder(cartridge, name, f"{path}/{name}") as folder:
            entries = sorted(_walk(folder), key=lambda entry: entry[0])
    digest = hashlib.sha256()
    for entry_path, entry in entries:
        facts_of_entry = (os.fsencode(entry_path), entry.st_mode, entry.st_ino, entry.st_size, entry.st_mtime_ns)
        digest.update(repr(facts_of_entry).encode())
    used = sum(entry.st_size for _, entry in entries)
    return SideStatus(facts.capacity_bytes, used, facts.write_protected, digest.hexdigest())


def _walk(folder: int) -> Iterator[tuple[str, os.stat_result]]:
    """Yield all files below an open folder, each with its path, links as themselves; what goes away is left out."""
    waiting = [""]
    while waiting:
        above = waiting.pop()
        try:
            inner = os.open(above or ".", os.O_RDONLY | os.O_DIRECTORY | _FLAGS, dir_fd=folder)
        except FileNotFoundError:
            continue
        try:
            for name in os.listdir(inner):
                with contextlib.suppress(FileNotFoundError):
                    status = os.stat(name, dir_fd=inner, follow_symlinks=False)
                    path = f"{above}/{name}" if above else name
                    if stat.S_ISDIR(status.st_mode):
                        waiting.append(path)
                    else:
                        yield path, status
        finally:
            os.close(inner)
