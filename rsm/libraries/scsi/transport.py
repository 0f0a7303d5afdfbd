"""What carries SCSI commands to a device and its answers back: the contract, and finding the right way by address.

Owns the form of addresses: `/dev/sg3`, or `iscsi://HOST:PORT/IQN/LUN`. Understands neither commands nor answers.
"""

from __future__ import annotations

import abc
import enum
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import unquote, urlsplit

from rsm.errors import DeviceNotAvailableError, InvalidLibraryError

ISCSI_PORT: Final = 3260
SENSE_LENGTH: Final = 252


class Status(enum.IntEnum):
    """SCSI status codes (SAM-4 5.3)."""

    GOOD = 0x00
    CHECK_CONDITION = 0x02
    CONDITION_MET = 0x04
    BUSY = 0x08
    RESERVATION_CONFLICT = 0x18
    TASK_SET_FULL = 0x28
    ACA_ACTIVE = 0x30
    TASK_ABORTED = 0x40


class LostError(DeviceNotAvailableError):
    """The command got lost, or its answer did: whether it was carried out is not known."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A device's answer; `sense` is what came with a CHECK CONDITION.

    `data` is what was transferred. With a CHECK CONDITION it is all there was room for, of which `missing_bytes` were
    not transferred: so the transport says, and the sense data is to be believed more.
    """

    status: int
    data: bytes = b""
    sense: bytes = b""
    missing_bytes: int = 0


def read_reply(status: int, room: bytes, missing_bytes: int, sense: bytes) -> Reply:
    """Return an answer from the room that was made for its data and what the transport says was not transferred."""
    missing = max(0, min(len(room), missing_bytes))
    if status == Status.CHECK_CONDITION:
        return Reply(status, room, sense, missing)
    return Reply(status, room[: len(room) - missing], sense)


class Transport(abc.ABC):
    """A way to one device. Any thread may call; commands go one after the other.

    `connections` counts how often the device was reached anew: it may have been switched off in between.
    """

    name: str
    connections: int = 1

    @abc.abstractmethod
    def execute(self, cdb: bytes, *, write: bytes = b"", read_length: int = 0, timeout_seconds: float) -> Reply:
        """Give a command that takes `write`, or answers at most `read_length` bytes, and return the answer.

        Raises:
            DeviceNotAvailableError: the device cannot be reached; the command was not given.
            LostError: it was given, and no answer came.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Let go of the device. Closing twice is nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class IscsiAddress:
    """Where a logical unit is on the network."""

    portal: str
    target: str
    lun: int

    def __str__(self) -> str:
        return f"iscsi://{self.portal}/{self.target}/{self.lun}"


def parse_iscsi(address: str) -> IscsiAddress:
    """Return the parts of `iscsi://HOST:PORT/IQN/LUN`; the port is 3260 where none is named.

    Raises:
        InvalidLibraryError: it is not of that form.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port or ISCSI_PORT
    except ValueError as error:
        raise InvalidLibraryError(f"{address!a} is no iSCSI address: {error}") from error
    target, _, lun = unquote(parts.path).strip("/").rpartition("/")
    if not (parts.scheme == "iscsi" and host and target and lun.isascii() and lun.isdigit() and int(lun) < 16_384):
        raise InvalidLibraryError(f"{address!a} is no iSCSI address: write iscsi://HOST:PORT/IQN/LUN")
    return IscsiAddress(_portal(host, port), target, int(lun))


def parse_portal(address: str) -> str:
    """Return the `HOST:PORT` of `iscsi://HOST:PORT`; the port is 3260 where none is named.

    Raises:
        InvalidLibraryError: it is not of that form.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port or ISCSI_PORT
    except ValueError as error:
        raise InvalidLibraryError(f"{address!a} is no iSCSI portal: {error}") from error
    if parts.scheme != "iscsi" or not host or parts.path.strip("/"):
        raise InvalidLibraryError(f"{address!a} is no iSCSI portal: write iscsi://HOST:PORT")
    return _portal(host, port)


def _portal(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def open_transport(address: str) -> Transport:
    """Open the way to the device at an address.

    Raises:
        InvalidLibraryError: the address has neither form.
        AccessDeniedError: this user may not use the device.
        DeviceNotAvailableError: it cannot be reached, or a library that is needed for it is not installed.
    """
    if address.startswith("iscsi://"):
        from rsm.libraries.scsi.iscsi import IscsiTransport  # libiscsi is asked for only where it is used

        return IscsiTransport(parse_iscsi(address))
    if address.startswith("/"):
        from rsm.libraries.scsi.sg import SgTransport

        return SgTransport(address)
    raise InvalidLibraryError(f"{address!a} is no SCSI device: write /dev/sgN or iscsi://HOST:PORT/IQN/LUN")
