"""A stand-alone drive that is a disk: a block device, or an image of a disk in a regular file.

Owns how such a medium is looked at, read, written and ejected. It is never mounted here: its path is the device, and
what is recorded on it is the whole of it, a file system or anything else. The recording has no end that a device could
tell, so it is read to the end of the disk, can be written anew, and cannot be appended to. What is written anew begins
on a disk whose first MiB was wiped, where all that tells a medium lies. A disk that the system has mounted is not
written. Bar codes cannot be compared: a disk has none.

A path that leads to nothing is an empty drive: most removable disks take their device node with them. A link is
followed to a block device, as those in /dev/disk are, and to nothing else. The disk is opened anew for every call.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import io
import os
import re
import stat
import struct
from collections.abc import Iterator
from typing import BinaryIO, Final

from rsm.errors import (
    BusyError,
    DeviceNotAvailableError,
    InvalidLibraryError,
    InvalidMediaError,
    NotReadyError,
    NotSupportedError,
    RsmError,
)
from rsm.libraries.base import (
    Cartridge,
    ElementNotAccessibleError,
    ElementStatus,
    SideMode,
    SideStatus,
    SourceEmptyError,
    check_mode,
    error_from_os,
    os_errors_of,
    printable,
)
from rsm.libraries.standalone import StandaloneDrive
from rsm.libraries.virtual_sides import SideWriter

HEAD_BYTES = 2**20
_PIECE_BYTES: Final = 2**16
_BLOCK_READ_ONLY: Final = 0x125E  # BLKROGET
_DRIVE_STATUS, _EJECT, _LOCK_DOOR = 0x5326, 0x5309, 0x5329  # CDROM_DRIVE_STATUS, CDROMEJECT, CDROM_LOCKDOOR
_NO_DISC, _TRAY_OPEN, _DRIVE_NOT_READY = 1, 2, 3
_EMPTY: Final = (errno.ENOENT, errno.ENOMEDIUM, errno.ENXIO, errno.ENODEV)  # no node, no medium, nothing behind it
_LONGEST_FACT: Final = 256
_MOUNT_LINE: Final = re.compile(r"^\d+ \d+ (\d+:\d+) \S+ (\S+) ")
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")


class DiskWriter(SideWriter):
    """A disk being written. It is as long as it is: nothing lengthens it, or cuts it off."""

    def truncate(self, size: int | None = None, /) -> int:
        """Refuse (io.UnsupportedOperation)."""
        raise io.UnsupportedOperation("a disk cannot be cut off or lengthened")


class StandaloneDisk(StandaloneDrive):
    """A disk at a path, or none."""

    def __init__(self, address: str) -> None:
        """Open the drive at a path.

        Raises:
            DeviceNotAvailableError: not even its folder is there.
            InvalidLibraryError: what is there is no disk.
        """
        super().__init__(address)
        self._check_there()

    def _read_type(self) -> tuple[str, str, str]:
        facts = ["", "", ""]
        with contextlib.suppress(OSError):
            folder = _system_folder(os.stat(self.path))
            facts = [_read_fact(f"{folder}/device/{name}") for name in ("vendor", "model", "serial")]
        return facts[0] or "rsm", facts[1] or "stand-alone disk", facts[2]

    def _check_there(self) -> None:
        folder = os.path.dirname(self.path)
        if not os.path.isdir(folder):
            raise DeviceNotAvailableError(f"{printable(folder)} is not there, or no directory")
        try:
            self._look()
        except ElementNotAccessibleError as error:
            raise InvalidLibraryError(str(error)) from error
        except RsmError:
            return  # empty, or not to be looked at: the status of the drive tells

    # --- looking ----------------------------------------------------------------------------------------------------

    def _look(self) -> os.stat_result:
        """Return what lies at the path (SourceEmptyError, ElementNotAccessibleError, RsmError)."""
        with self._errors():
            status = os.lstat(self.path)
            linked = stat.S_ISLNK(status.st_mode)
            self._check_kind(os.stat(self.path) if linked else status, linked)
            return status

    def _check_kind(self, status: os.stat_result, linked: bool) -> None:
        if stat.S_ISBLK(status.st_mode) or (stat.S_ISREG(status.st_mode) and not linked):
            return
        what = "a link to something else than a block device" if linked else "neither a directory nor a disk"
        raise ElementNotAccessibleError(f"{printable(self.path)} is {what}")

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if isinstance(error, RsmError):
                raise
            if error.errno in _EMPTY:
                raise SourceEmptyError(f"{printable(self.path)} is empty: put a disk in") from error
            raise error_from_os(error, self.path) from error

    def _open(self, flags: int) -> int:
        """Open what was seen to be a disk, and see that it is one still."""
        linked = stat.S_ISLNK(self._look().st_mode)
        with self._errors():
            disk = os.open(self.path, flags | os.O_CLOEXEC | (0 if linked else os.O_NOFOLLOW))
        try:
            self._check_kind(os.fstat(disk), linked)
        except BaseException:
            os.close(disk)
            raise
        return disk

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tuple[int, int, bool]]:
        """Yield a descriptor for reading, the size in bytes, and whether the disk is write protected."""
        self._check_tray()
        disk = self._open(os.O_RDONLY)
        try:
            with self._errors():
                size = os.lseek(disk, 0, os.SEEK_END)
                os.lseek(disk, 0, os.SEEK_SET)
            if not size:
                raise SourceEmptyError(f"{printable(self.path)} has no room at all: it is empty")
            yield disk, size, _is_protected(disk)
        finally:
            os.close(disk)

    def _check_tray(self) -> None:
        """Refuse where a drive with a tray says it is empty; to open it would shut the tray."""
        disk = self._open(os.O_RDONLY | os.O_NONBLOCK)
        try:
            answer = _ask(disk, _DRIVE_STATUS, 0x7FFFFFFF)  # of the disc that is in now
        finally:
            os.close(disk)
        if answer in (_NO_DISC, _TRAY_OPEN):
            state = "is empty" if answer == _NO_DISC else "is open"
            raise SourceEmptyError(f"{printable(self.path)} {state}: put a disc in")
        if answer == _DRIVE_NOT_READY:
            raise NotReadyError(f"{printable(self.path)} is becoming ready")

    def _read_status(self) -> ElementStatus:
        try:
            with self._opened() as (_, size, protected):
                cartridge = Cartridge(None, 1, size, protected)
        except SourceEmptyError:
            return self._status(full=False)
        except RsmError as error:
            return self._status(full=None, accessible=isinstance(error, NotReadyError), fault=error)
        return dataclasses.replace(self._status(full=True), cartridge=cartridge)

    def check_loaded(self) -> None:
        """Refuse where no disk is in the drive (SourceEmptyError, ElementNotAccessibleError, NotReadyError)."""
        with self._opened():
            pass

    # --- reading and writing ----------------------------------------------------------------------------------------

    def open_side(
        self, drive: int, side: int, mode: SideMode, *, read_only: bool = False, barcode: str | None = None
    ) -> BinaryIO:
        """Open the disk to read it from its beginning, or to write it anew.

        Raises:
            InvalidParameterError: the mode is none of rb, wb, ab.
            UnknownElementError: it is not the drive's address.
            ElementNotAccessibleError, SourceEmptyError, NotReadyError: of the drive.
            InvalidMediaError: the side is not 1.
            OSError: EROFS for writing when it is write protected or mounted for reading; when writing, ENOSPC at its
                end; and whatever else a disk suffers.
            NotSupportedError: for appending.
            BusyError: for writing, while the system has it mounted.
        """
        check_mode(mode)
        self._check_drive(drive)
        with self._opened() as (disk, size, protected):
            self._check_side(side)
            if mode == "rb":
                return os.fdopen(os.dup(disk), "rb")
            if read_only or protected:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), self.path)
            if mode == "ab":
                raise NotSupportedError(f"{printable(self.path)} is a disk: nobody knows where its recording ends")
            is_device = stat.S_ISBLK(os.fstat(disk).st_mode)
        return self._open_to_write(size, os.O_EXCL if is_device else 0)

    def _check_side(self, side: int) -> None:
        if side != 1:
            raise InvalidMediaError(f"{printable(self.path)} is a disk: it has no side {side}")

    def _open_to_write(self, size: int, exclusively: int) -> BinaryIO:
        try:
            disk = self._open(os.O_RDWR | exclusively)
        except BusyError as error:
            where = mount_point(self.path)
            at = f" at {where}" if where else ""
            raise BusyError(f"{printable(self.path)} is in use by the system{at}: unmount it first") from error
        try:
            left = min(size, HEAD_BYTES)
            while left:
                left -= os.write(disk, bytes(min(left, _PIECE_BYTES)))
            os.lseek(disk, 0, os.SEEK_SET)
            return DiskWriter(disk, self.path, size, append=False)
        except BaseException:
            os.close(disk)
            raise

    def read_side(self, drive: int, side: int) -> SideStatus:
        """Return how large the disk is; how much is recorded on it nobody knows.

        Raises:
            UnknownElementError, ElementNotAccessibleError, SourceEmptyError, InvalidMediaError: as `open_side`.
        """
        self._check_drive(drive)
        with self._opened() as (disk, size, protected), os_errors_of(self.path):
            self._check_side(side)
            status = os.fstat(disk)
            changed = status.st_mtime_ns if stat.S_ISREG(status.st_mode) else 0
            digest = hashlib.sha256(repr((size, changed)).encode())
            digest.update(os.pread(disk, HEAD_BYTES, 0))
        return SideStatus(size, None, protected, digest.hexdigest())

    def eject_drive(self, drive: int, epoch: int) -> None:
        """Push the disk out of a drive for removable ones; an empty drive opens.

        Raises:
            UnknownElementError: it is not the drive's address.
            StaleEpochError: this object has seen a higher epoch.
            SourceEmptyError: there is no drive that could push anything.
            NotSupportedError: it is an image, or a drive that keeps its disk.
            AccessDeniedError, BusyError, DeviceNotAvailableError: the system refuses, by `error_from_os`.
        """
        self._check_drive(drive)
        self._check_epoch(epoch)
        disk = self._open(os.O_RDONLY | os.O_NONBLOCK)
        try:
            status = os.fstat(disk)
            if not stat.S_ISBLK(status.st_mode) or _read_fact(f"{_system_folder(status)}/removable") != "1":
                raise NotSupportedError(f"{printable(self.path)} pushes nothing out: take the disk out by hand")
            _ask(disk, _LOCK_DOOR, 0)
            with self._errors():
                fcntl.ioctl(disk, _EJECT)
        finally:
            os.close(disk)


# --- what the system says of a disk ---------------------------------------------------------------------------------


def _ask(disk: int, request: int, argument: int) -> int | None:
    """Return what a device answers, None where it does not know the question."""
    try:
        return fcntl.ioctl(disk, request, argument)
    except OSError:
        return None


def _is_protected(disk: int) -> bool:
    status = os.fstat(disk)
    if stat.S_ISREG(status.st_mode):
        return not status.st_mode & 0o222
    try:
        return bool(struct.unpack("i", fcntl.ioctl(disk, _BLOCK_READ_ONLY, bytes(4)))[0])
    except OSError:
        return False


def _system_folder(status: os.stat_result) -> str:
    """Return the folder in which the system tells of a block device, of a partition that of its disk."""
    folder = f"/sys/dev/block/{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    return f"{folder}/.." if os.path.exists(f"{folder}/partition") else folder


def _read_fact(path: str) -> str:
    """Return one of the system's facts about a device, empty if it has none."""
    try:
        with open(path, "rb") as file:
            return printable(file.read(_LONGEST_FACT).decode(errors="replace").strip())
    except OSError:
        return ""


def mount_point(path: str, mounts: str = "/proc/self/mountinfo") -> str | None:
    """Return where the system has a block device mounted first, None if nowhere."""
    try:
        status = os.stat(path)
        if not stat.S_ISBLK(status.st_mode):
            return None
        with open(mounts, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    wanted = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    for line in lines:
        found = _MOUNT_LINE.match(line)
        if found is not None and found[1] == wanted:
            return _ESCAPED.sub(lambda each: chr(int(each[1], 8)), found[2])
    return None
