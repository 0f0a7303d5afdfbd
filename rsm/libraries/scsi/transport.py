"""What carries SCSI commands to a device and its answers back: the contract, and finding the right way by address.

Owns the form of addresses: `/dev/sg3`, or `iscsi://HOST:PORT/IQN/LUN`, with `USER@` before the host where the target
asks who comes. Passwords come from the environment alone: addresses are kept on record, and shown. Understands neither
commands nor answers.
"""

from __future__ import annotations

import abc
import enum
import os
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import SplitResult, unquote, urlsplit

from rsm.errors import AccessDeniedError, InvalidLibraryError
from rsm.libraries.base import LostError as LostError
from rsm.libraries.base import printable

ISCSI_PORT: Final = 3260
SENSE_LENGTH: Final = 252
USER_VARIABLE: Final = "LIBISCSI_CHAP_USERNAME"  # as libiscsi's own tools have them
PASSWORD_VARIABLE: Final = "LIBISCSI_CHAP_PASSWORD"


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
    `begins_with_reset`: every new way tells of a reset first, whether there was one or not.
    """

    name: str
    connections: int = 1
    begins_with_reset: bool = False

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
    """Where a logical unit is on the network; `portal` may begin with the user that logs in, as `alice@`."""

    portal: str
    target: str
    lun: int

    def __str__(self) -> str:
        return f"iscsi://{self.portal}/{self.target}/{self.lun}"


def parse_iscsi(address: str) -> IscsiAddress:
    """Return the parts of `iscsi://[USER@]HOST[:PORT]/IQN/LUN`; the port is 3260 where none is named.

    Raises:
        InvalidLibraryError: it is not of that form, or has a password in it.
    """
    parts, portal = _split_portal(address, "address", "iscsi://HOST:PORT/IQN/LUN")
    target, _, lun = unquote(parts.path).strip("/").rpartition("/")
    if not (target and lun.isascii() and lun.isdigit() and int(lun) < 16_384):
        raise InvalidLibraryError(f"{address!a} is no iSCSI address: write iscsi://HOST:PORT/IQN/LUN")
    return IscsiAddress(portal, target, int(lun))


def parse_portal(address: str) -> str:
    """Return the `[USER@]HOST:PORT` of `iscsi://[USER@]HOST[:PORT]`; the port is 3260 where none is named.

    Raises:
        InvalidLibraryError: it is not of that form, or has a password in it.
    """
    parts, portal = _split_portal(address, "portal", "iscsi://HOST:PORT")
    if parts.path.strip("/"):
        raise InvalidLibraryError(f"{address!a} is no iSCSI portal: write iscsi://HOST:PORT")
    return portal


def _split_portal(address: str, kind: str, form: str) -> tuple[SplitResult, str]:
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port or ISCSI_PORT
    except ValueError as error:
        raise InvalidLibraryError(f"{_without_password(address)!a} is no iSCSI {kind}: {error}") from error
    user = parts.username or ""
    if parts.password is not None or "%" in user:
        text = f"an address is kept on record and shown: set {PASSWORD_VARIABLE} in place of a password in it"
        raise InvalidLibraryError(text)
    if parts.scheme != "iscsi" or not host or (not user and "@" in parts.netloc):
        raise InvalidLibraryError(f"{address!a} is no iSCSI {kind}: write {form}")
    return parts, (f"{user}@" if user else "") + (f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


def _without_password(address: str) -> str:
    head, mark, rest = address.rpartition("@")
    return f"iscsi://…@{rest}" if mark and head else address


@dataclass(frozen=True, slots=True)
class Credentials:
    """What this host tells a target that asks who comes (CHAP); never printed."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"<credentials of {self.user}>"


def split_user(portal: str) -> tuple[str, str]:
    """Return the user and the `HOST:PORT` of a portal; the user is empty where none is named."""
    user, _, place = portal.rpartition("@")
    return user, place


def find_credentials(user: str) -> Credentials | None:
    """Return who logs in, by the environment as libiscsi has it; `user` of an address counts more than the variable.

    Raises:
        AccessDeniedError: somebody is to log in, and no password is set.
    """
    name, password = user or os.environ.get(USER_VARIABLE, ""), os.environ.get(PASSWORD_VARIABLE, "")
    if not name:
        return None
    if not password:
        raise AccessDeniedError(
            f"{printable(name)} is to log in over iSCSI without a password: set {PASSWORD_VARIABLE}"
        )
    return Credentials(name, password)


def open_transport(address: str) -> Transport:
    """Open the way to the device at an address.

    Raises:
        InvalidLibraryError: the address has neither form.
        AccessDeniedError: this user may not use the device, or has no password for it.
        DeviceNotAvailableError: it cannot be reached, or a library that is needed for it is not installed.
    """
    if address.startswith("iscsi://"):
        from rsm.libraries.scsi.iscsi import IscsiTransport  # libiscsi is asked for only where it is used

        return IscsiTransport(parse_iscsi(address))
    if address.startswith("/"):
        from rsm.libraries.scsi.sg import SgTransport

        return SgTransport(address)
    raise InvalidLibraryError(f"{address!a} is no SCSI device: write /dev/sgN or iscsi://HOST:PORT/IQN/LUN")


def canonical(device: str) -> str:
    """Return the one way to write a device's address: with the port, where it is iSCSI (InvalidLibraryError)."""
    address, mark, rest = device.partition("?")
    return f"{parse_iscsi(address)}{mark}{rest}" if address.startswith("iscsi://") else device
