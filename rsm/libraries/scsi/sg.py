"""SCSI commands through the kernel: SG_IO on /dev/sg*, and what sysfs tells of the devices of this host.

Owns the layout of struct sg_io_hdr. Understands no command.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import grp
import os
import threading
from typing import Final

from rsm.errors import AccessDeniedError, DeviceNotAvailableError
from rsm.libraries.base import error_from_os, printable
from rsm.libraries.scsi.transport import SENSE_LENGTH, LostError, Reply, Status, Transport, read_reply

SG_IO: Final = 0x2285
_NO_TRANSFER, _TO_DEVICE, _FROM_DEVICE = -1, -2, -3
_DRIVER_SENSE: Final = 0x08
_NOT_GIVEN = (errno.EPERM, errno.EACCES, errno.EBUSY, errno.EAGAIN, errno.ENOMEM)
_SYSFS: Final = "/sys/class/scsi_generic"


class SgHeader(ctypes.Structure):
    """struct sg_io_hdr of <scsi/sg.h>."""

    _fields_ = (
        ("interface_id", ctypes.c_int),
        ("direction", ctypes.c_int),
        ("cdb_length", ctypes.c_ubyte),
        ("sense_size", ctypes.c_ubyte),
        ("iovec_count", ctypes.c_ushort),
        ("length", ctypes.c_uint),
        ("data", ctypes.c_void_p),
        ("cdb", ctypes.c_void_p),
        ("sense", ctypes.c_void_p),
        ("timeout_ms", ctypes.c_uint),
        ("flags", ctypes.c_uint),
        ("pack_id", ctypes.c_int),
        ("user_pointer", ctypes.c_void_p),
        ("status", ctypes.c_ubyte),
        ("masked_status", ctypes.c_ubyte),
        ("message_status", ctypes.c_ubyte),
        ("sense_written", ctypes.c_ubyte),
        ("host_status", ctypes.c_ushort),
        ("driver_status", ctypes.c_ushort),
        ("residual", ctypes.c_int),
        ("duration", ctypes.c_uint),
        ("info", ctypes.c_uint),
    )


class SgTransport(Transport):
    """A SCSI generic device of this host."""

    def __init__(self, path: str) -> None:
        """Open the device.

        Raises:
            AccessDeniedError: this user may not; the text names the group that may.
            DeviceNotAvailableError: there is no such device.
        """
        self.name = path
        self._lock = threading.Lock()
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except PermissionError as error:
            raise AccessDeniedError(f"{printable(path)} may not be used: {_who_may(path)}") from error
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.ENOTDIR):
                raise DeviceNotAvailableError(f"{printable(path)}: there is no such device") from error
            raise error_from_os(error, path) from error

    def execute(self, cdb: bytes, *, write: bytes = b"", read_length: int = 0, timeout_seconds: float) -> Reply:
        """Give a command by one ioctl.

        Raises:
            DeviceNotAvailableError: the device is closed or gone, or is none.
            LostError: the command got lost on the way.
        """
        buffer = ctypes.create_string_buffer(write, len(write)) if write else ctypes.create_string_buffer(read_length)
        command, sense = ctypes.create_string_buffer(cdb, len(cdb)), ctypes.create_string_buffer(SENSE_LENGTH)
        length = len(write) or read_length
        header = SgHeader(
            interface_id=ord("S"),
            direction=_TO_DEVICE if write else _FROM_DEVICE if read_length else _NO_TRANSFER,
            cdb_length=len(cdb),
            sense_size=SENSE_LENGTH,
            length=length,
            data=ctypes.addressof(buffer) if length else None,
            cdb=ctypes.addressof(command),
            sense=ctypes.addressof(sense),
            timeout_ms=int(timeout_seconds * 1000),
        )
        with self._lock:
            if self._descriptor < 0:
                raise DeviceNotAvailableError(f"{printable(self.name)} is closed")
            try:
                fcntl.ioctl(self._descriptor, SG_IO, header)
            except OSError as error:
                if error.errno in (errno.ENOTTY, errno.EINVAL):
                    raise DeviceNotAvailableError(f"{printable(self.name)} takes no SCSI commands") from error
                if error.errno in _NOT_GIVEN:
                    raise error_from_os(error, self.name) from error
                raise LostError(f"{printable(self.name)}: {os.strerror(error.errno or errno.EIO)}") from error
        if header.host_status or header.driver_status & 0x0F not in (0, _DRIVER_SENSE):
            text = f"host status 0x{header.host_status:02X}, driver status 0x{header.driver_status:02X}"
            raise LostError(f"{printable(self.name)}: the command did not get through ({text})")
        told = sense.raw[: header.sense_written]
        # Old drivers tell of sense data by the driver status alone.
        status = Status.CHECK_CONDITION if told and not header.status else header.status
        return read_reply(status, b"" if write else buffer.raw, header.residual, told)

    def close(self) -> None:
        """Close the device."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1


def _who_may(path: str) -> str:
    try:
        group_id = os.stat(path).st_gid
    except OSError:
        return "run as a user who may"
    try:
        group = grp.getgrgid(group_id).gr_name
    except KeyError:
        group = f"#{group_id}"
    return f"add the user to the group {group} (usermod -aG {group} USER) and log in again"


def list_devices(device_type: int, root: str = _SYSFS) -> list[str]:
    """Return the paths of this host's SCSI generic devices of a type, by number."""
    found = []
    with contextlib.suppress(OSError):
        for name in os.listdir(root):
            with contextlib.suppress(OSError, ValueError):
                with open(f"{root}/{name}/device/type", encoding="ascii") as file:
                    if int(file.read()) == device_type and name.startswith("sg"):
                        found.append((int(name[2:]), f"/dev/{name}"))
    return [path for _, path in sorted(found)]


def tape_path_of(path: str, root: str = _SYSFS) -> str | None:
    """Return the non-rewinding tape device of a SCSI generic device, None where there is none."""
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(f"{root}/{os.path.basename(os.path.realpath(path))}/device/scsi_tape")):
            if name.removeprefix("nst").isdigit() and name.startswith("nst"):
                return f"/dev/{name}"
    return None
