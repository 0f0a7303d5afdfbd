"""The contract of a library's device: the element model of SCSI media changers, and what a call may answer.

Owns the values that describe a device and the table from operating-system errors to RSM's. Never touches a device, a
catalogue or a label. The device is the truth about where cartridges are, the catalogue about what they are.

* An element is a place that holds at most one cartridge. Its address, 0 to 65535, names it in every call.
* Any thread may call. The caller runs one robot call a transport at a time, and those of several transports beside each
  other; calls for different drives may run beside them and beside each other.
* `epoch` is the number of the claim under which the caller works the library. Who takes over has a higher one, and
  `claim` makes the device refuse lower ones where the device can keep a number. A device that cannot relies on the
  caller alone.
* No call waits for a device that is becoming ready: it raises NotReadyError, and the caller looks at `check_readiness`.

What a robot call can answer, and nothing else; an error says that nothing was moved unless `outcome_unknown` is set:

    UnknownElementError        no such element, or not of the kind that the call is for
    StaleEpochError            another holder has claimed the library since
    InvalidParameterError      the epoch is no number that an epoch can be
    BusyError                  another holder has the robot in its hands, and kept it all the time that is waited
    NotReadyError              the device is becoming ready, or a person has to do something first
    ElementNotAccessibleError  the robot cannot take from the element or put into it
    SourceEmptyError           there is nothing to take
    DestinationFullError       there is no room to put it
    MediaIncompatibleError     a drive takes no cartridge of this media type
    InvalidMediaError          the cartridge has no such side
    NotSupportedError          the device has no such function
    LostError                  the device was lost while it worked; a look at the elements tells what it did
    an error of `error_from_os`, or its like for sense data
"""

from __future__ import annotations

import abc
import contextlib
import enum
import errno
import os
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import BinaryIO, Final, Literal, Self

from rsm.constants import ErrorCode
from rsm.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    BusyError,
    CancelledError,
    DeviceNotAvailableError,
    InvalidNameError,
    InvalidParameterError,
    MediaNotAvailableError,
    NotEnoughMemoryError,
    NotSupportedError,
    ResourceNotAvailableError,
    ResourceNotPresentError,
    RsmError,
    WriteProtectError,
)

MAXIMUM_BARCODE = 63
SideMode = Literal["rb", "wb", "ab"]
SIDE_MODES: Final = ("rb", "wb", "ab")
MAXIMUM_EPOCH: Final = 2**63 - 1
CLEANER_PREFIX: Final = "CLN"  # what the bar codes of cleaners begin with


class UnknownElementError(ResourceNotPresentError):
    """The device has no element with that address, or it is of another kind than the call is for."""


class StaleEpochError(CancelledError):
    """Another holder has claimed the library since; whatever the caller had in hand is the other's now."""


class SourceEmptyError(MediaNotAvailableError):
    """The element to take from is empty."""


class DestinationFullError(ResourceNotAvailableError):
    """The element to put into is full."""


class LostError(DeviceNotAvailableError):
    """The command got lost, or its answer did: whether it was carried out is not known from it."""


class ElementNotAccessibleError(ResourceNotAvailableError):
    """The element is there and the robot cannot use it; the text says why and names the place."""


class NoCleanerError(RsmError):
    """What is to clean a drive is a cartridge like any other."""

    code = ErrorCode.ERROR_INVALID_CLEANER


class CleaningFailedError(RsmError):
    """The drive says that cleaning it failed, or never that it was done."""

    code = ErrorCode.ERROR_UNABLE_TO_CLEAN


# An error that is missing here is a failure of the device.
_FROM_OS: Final[dict[int, type[RsmError]]] = {
    errno.ENOENT: ResourceNotPresentError,
    errno.ENOTDIR: ElementNotAccessibleError,
    errno.ELOOP: ElementNotAccessibleError,
    errno.EXDEV: ElementNotAccessibleError,
    errno.EEXIST: AlreadyExistsError,
    errno.ENOTEMPTY: AlreadyExistsError,
    errno.EACCES: AccessDeniedError,
    errno.EPERM: AccessDeniedError,
    errno.EROFS: WriteProtectError,
    errno.EBUSY: BusyError,
    errno.EAGAIN: BusyError,
    errno.ETXTBSY: BusyError,
    errno.ENAMETOOLONG: InvalidNameError,
    errno.ENOMEM: NotEnoughMemoryError,
    errno.EMFILE: ResourceNotAvailableError,
    errno.ENFILE: ResourceNotAvailableError,
    errno.ENOSPC: DeviceNotAvailableError,
    errno.EDQUOT: DeviceNotAvailableError,
    errno.EIO: DeviceNotAvailableError,
}


def error_from_os(error: OSError, path: str, *, outcome_unknown: bool = False) -> RsmError:
    """Return the RSM error of an operating-system error; its text names `path`."""
    kind = _FROM_OS.get(error.errno or 0, DeviceNotAvailableError)
    reason = os.strerror(error.errno) if error.errno else str(error)
    return kind(f"{printable(path)}: {reason}", outcome_unknown=outcome_unknown)


@contextlib.contextmanager
def os_errors_of(path: str, *passing: type[OSError], outcome_unknown: bool = False) -> Iterator[None]:
    """Turn operating-system errors of the body into RSM's, but those `passing`; RSM's own pass, OSErrors or not."""
    try:
        yield
    except OSError as error:
        if isinstance(error, (RsmError, *passing)):
            raise
        raise error_from_os(error, path, outcome_unknown=outcome_unknown) from error


def printable(text: str) -> str:
    """Return `text` fit for a message: what cannot be printed, undecodable bytes too, is spelled out."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def barcode_fault(text: str) -> str | None:
    """Return why `text` is no bar code, None if it is one: 1 to 63 printable characters, no `/`, no leading dot."""
    if not 1 <= len(text) <= MAXIMUM_BARCODE:
        return f"a bar code has 1 to {MAXIMUM_BARCODE} characters"
    if not text.isprintable():
        return "a bar code has printable characters only"
    if "/" in text:
        return "a bar code holds no slash"
    return "a bar code does not begin with a dot" if text.startswith(".") else None


class ElementKind(enum.StrEnum):
    """What a place in a library is."""

    TRANSPORT = "transport"
    SLOT = "slot"
    PORT = "port"
    DRIVE = "drive"


class ReadinessState(enum.StrEnum):
    """Whether a device takes calls."""

    READY = "ready"
    BECOMING_READY = "becoming ready"
    NOT_READY = "not ready"


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a device takes calls, why not, and whether cartridges may have been moved by hand since last asked.

    BECOMING_READY ends by itself, after minutes perhaps; NOT_READY needs a person. `contents_may_differ` is told once
    (a door was opened, the power came back): an inventory should follow.
    """

    state: ReadinessState
    text: str = ""
    contents_may_differ: bool = False


@dataclass(frozen=True, slots=True)
class Cartridge:
    """What a device knows about a cartridge without a drive; None where it cannot tell.

    `capacity_bytes` is that of one side. `sides` counts from 1. `cleaner`: it cleans drives, and nothing is recorded.
    """

    media_type: str | None = None
    sides: int | None = None
    capacity_bytes: int | None = None
    write_protected: bool | None = None
    cleaner: bool | None = None


@dataclass(frozen=True, slots=True)
class ElementStatus:
    """One element as the device tells it.

    `number` counts from 1 within the kind, `name` is what people call it. `full` is None where the device cannot tell.
    `accessible`: the robot can take from it or put into it. `barcode` is what the reader sees, None where there is
    nothing or nothing readable. `cartridge` is there only for a cartridge that counts: whole, and fit to be identified.
    `source` is the address of the element it last came from, `inverted` whether its second side is up, both None where
    the device does not know. `placed_by_operator` tells of a port who filled it, None likewise. `exception` says what
    is wrong in words for people; then nothing but `address`, `kind`, `number` and `name` is certain.
    """

    address: int
    kind: ElementKind
    number: int
    name: str
    full: bool | None
    accessible: bool
    barcode: str | None = None
    cartridge: Cartridge | None = None
    source: int | None = None
    inverted: bool | None = None
    placed_by_operator: bool | None = None
    exception: str | None = None


@dataclass(frozen=True, slots=True)
class DriveIdentity:
    """Which device sits at a drive element; texts are empty and `path` is None where that cannot be told."""

    address: int
    number: int
    vendor: str
    product: str
    serial_number: str
    path: str | None


@dataclass(frozen=True, slots=True)
class LibraryIdentity:
    """What a device says about itself: its name, what it takes, how many elements it has, and what it can do.

    `media_types` is empty where the device cannot tell. `transports` holds their addresses; the first is used unless a
    call names another. `is_standalone`: it is one drive that a person feeds, and nothing else.
    """

    name: str
    vendor: str
    product: str
    serial_number: str
    media_types: tuple[str, ...]
    transports: tuple[int, ...]
    slots: int
    ports: int
    drives: tuple[DriveIdentity, ...]
    has_barcode_reader: bool = True
    doors: int = 0
    can_exchange: bool = False
    ports_extend: bool = False
    drives_need_unload: bool = False
    is_standalone: bool = False


@dataclass(frozen=True, slots=True)
class SideStatus:
    """How much is recorded on a side; None where a device cannot tell.

    `fingerprint` differs when what is recorded was changed: equal ones before and after mean untouched.
    """

    capacity_bytes: int | None
    used_bytes: int | None
    write_protected: bool | None
    fingerprint: str | None = field(default=None)

    @property
    def free_bytes(self) -> int | None:
        """The bytes that can still be appended, not below 0."""
        if self.capacity_bytes is None or self.used_bytes is None:
            return None
        return max(0, self.capacity_bytes - self.used_bytes)

    @property
    def overfull(self) -> bool:
        """Whether more is recorded than the side holds, as only a write past `open_side` can do."""
        return self.capacity_bytes is not None and (self.used_bytes or 0) > self.capacity_bytes

    @property
    def fault(self) -> str | None:
        """What cannot be about it, in words; None if it is as it should be."""
        return f"{self.used_bytes} bytes are recorded where {self.capacity_bytes} fit" if self.overfull else None


def check_mode(mode: str) -> None:
    """Refuse what is no way to open a side (InvalidParameterError)."""
    if mode not in SIDE_MODES:
        raise InvalidParameterError(f"a side is opened with one of {', '.join(SIDE_MODES)}, not {mode!a}")


def check_epoch_number(epoch: int) -> None:
    """Refuse what is no epoch (InvalidParameterError)."""
    if type(epoch) is not int or not 0 <= epoch <= MAXIMUM_EPOCH:
        raise InvalidParameterError(f"an epoch is a number from 0 to {MAXIMUM_EPOCH}")


class HighestEpoch:
    """The highest epoch that an object has seen, in place of a device that cannot keep one."""

    def __init__(self) -> None:
        self._epoch = 0
        self._lock = threading.Lock()

    def check(self, epoch: int, name: str) -> None:
        """Keep an epoch under which a device of that name is worked; refuse one that is over.

        Raises:
            InvalidParameterError: it is no number from 0 to 2^63-1.
            StaleEpochError: a higher one was seen.
        """
        check_epoch_number(epoch)
        with self._lock:
            if epoch < self._epoch:
                raise StaleEpochError(f"{name} was claimed with epoch {self._epoch}, {epoch} is over")
            self._epoch = epoch


class LibraryBackend(abc.ABC):
    """One library's device. Addresses are those of `read_elements`; sides count from 1.

    Making one opens the device and changes nothing in it. A broken element never makes a call about others fail.
    """

    @abc.abstractmethod
    def read_identity(self) -> LibraryIdentity:
        """Return what the device says about itself.

        Raises:
            NotReadyError: it is becoming ready.
            InvalidLibraryError: what it says cannot be understood.
        """

    @abc.abstractmethod
    def check_readiness(self) -> Readiness:
        """Return whether the device takes calls; never raises for what a device suffers."""

    @property
    def saw_contents_change(self) -> bool:
        """Whether this object was told since it was made that cartridges may have been moved by hand.

        A device tells one of several that use it; who is told and does not work the library has an inventory taken.
        """
        return False

    @abc.abstractmethod
    def claim(self, epoch: int) -> None:
        """Take the library over: calls with a lower epoch are refused from now on, what is derived is put right.

        Raises:
            StaleEpochError: it was claimed with a higher epoch.
            NotReadyError: the device is becoming ready.
        """

    @abc.abstractmethod
    def read_elements(self, addresses: Collection[int] | None = None) -> Iterator[ElementStatus]:
        """Yield the status of all elements, or of those with `addresses`, each once, kind by kind, by address.

        Statuses may come in pieces, and an element may be read after earlier ones were yielded. Two with one bar code
        both have an exception, as far as both are among what is read.

        Raises:
            UnknownElementError: an address is no element's; before anything is yielded.
            NotReadyError: the device is becoming ready.
        """

    @abc.abstractmethod
    def move(
        self, source: int, destination: int, epoch: int, *, inverted: bool = False, transport: int | None = None
    ) -> None:
        """Carry the cartridge in one element to another, an empty one; into a drive it goes with the side up.

        `inverted`: the second side up. `transport`: the arm to use, None for the first.

        Raises:
            UnknownElementError: an address is no element's.
            StaleEpochError: the library was claimed with a higher epoch.
            NotReadyError: the device is becoming ready.
            ElementNotAccessibleError, SourceEmptyError: of the source.
            ElementNotAccessibleError, DestinationFullError: of the destination.
            MediaIncompatibleError: the drive does not take it.
            InvalidMediaError: `inverted`, and it has one side.
        """

    def exchange(
        self, source: int, destination: int, displaced: int, epoch: int, *, transport: int | None = None
    ) -> None:
        """Carry a cartridge from `source` to `destination` and what was there to `displaced`, in one call.

        `displaced` may be `source`: then the two change places.

        Raises:
            NotSupportedError: the device cannot (`LibraryIdentity.can_exchange`).
            RsmError: as `move`.
        """
        raise NotSupportedError("this library cannot exchange two cartridges in one call: move one after the other")

    @abc.abstractmethod
    def load_drive(self, drive: int, epoch: int) -> None:
        """Make the cartridge in a drive ready to be read; nothing where it is.

        Raises:
            UnknownElementError: no drive has that address.
            StaleEpochError: the library was claimed with a higher epoch.
            NotReadyError: the drive is becoming ready.
            ElementNotAccessibleError, SourceEmptyError: of the drive.
        """

    @abc.abstractmethod
    def unload_drive(self, drive: int, epoch: int) -> None:
        """Make the drive let go of its cartridge, so that the robot can take it; nothing where it has.

        Raises:
            RsmError: as `load_drive`.
        """

    def clean_drive(self, drive: int, epoch: int) -> None:
        """See that the cleaner that was carried into a drive has done its work; asking again does no harm.

        Raises:
            UnknownElementError: no drive has that address.
            StaleEpochError: the library was claimed with a higher epoch.
            ElementNotAccessibleError, SourceEmptyError: of the drive.
            NotReadyError: the drive is being cleaned.
            NoCleanerError: what is in it is no cleaner.
            CleaningFailedError: the drive says so, or cannot be cleaned with it.
            NotSupportedError: nobody but a person can clean this library's drives.
        """
        raise NotSupportedError("the drives of this library cannot be cleaned by its robot: clean them by hand")

    @abc.abstractmethod
    def open_side(
        self, drive: int, side: int, mode: SideMode, *, read_only: bool = False, barcode: str | None = None
    ) -> BinaryIO:
        """Open what is recorded on a side of the cartridge in a drive: read it, write it anew, or append to it.

        `read_only`: it is mounted for reading. `barcode`: the cartridge that must be in the drive. What is written goes
        straight to the device: `write` takes all it is given or raises and takes nothing.

        Raises:
            InvalidParameterError: the mode is none of rb, wb, ab.
            UnknownElementError: no drive has that address.
            ElementNotAccessibleError, SourceEmptyError: of the drive.
            MediaNotAvailableError: another cartridge is in the drive.
            InvalidMediaError: it has no such side.
            OSError: EROFS for writing when it is write protected or mounted for reading; when writing, ENOSPC at
                capacity; and whatever else a file suffers.
        """

    def write_side(self, drive: int, side: int, data: bytes, epoch: int, *, barcode: str | None = None) -> None:
        """Record `data`, and nothing else, on a side of the cartridge in a drive, as who has claimed the library.

        A holder that slept must not write over what others have recorded since: where the device can keep an epoch,
        it looks at it in the same breath.

        Raises:
            StaleEpochError: the library was claimed with a higher epoch.
            RsmError, OSError: as `open_side` and writing.
        """
        with self.open_side(drive, side, "wb", barcode=barcode) as file:
            file.write(data)

    @abc.abstractmethod
    def read_side(self, drive: int, side: int) -> SideStatus:
        """Return how much is recorded on a side of the cartridge in a drive.

        Raises:
            UnknownElementError: no drive has that address.
            ElementNotAccessibleError, SourceEmptyError: of the drive.
            InvalidMediaError: it has no such side.
        """

    def read_head(self, drive: int, side: int, most_bytes: int, name: str, *, barcode: str | None = None) -> bytes:
        """Return the first bytes recorded on a side, fewer than `most_bytes` where it has no more.

        `name` is what errors of reading call it.

        Raises:
            RsmError: as `open_side`; reading failed, by `error_from_os`.
        """
        head = bytearray()
        with os_errors_of(name), self.open_side(drive, side, "rb", barcode=barcode) as file:
            while len(head) < most_bytes and (piece := file.read(most_bytes - len(head))):
                head += piece
        return bytes(head)

    def side_path(self, drive: int, side: int) -> str | None:
        """Return the path of a side of the cartridge in a drive where it is not the drive's own, None where it is.

        Raises:
            RsmError: as `read_side`.
        """
        return None

    def eject_drive(self, drive: int, epoch: int) -> None:
        """Push the cartridge out of a drive, towards a person; an empty drive opens.

        Raises:
            NotSupportedError: a person, or the robot, has to take it out.
            RsmError: as `load_drive`.
        """
        raise NotSupportedError("this drive pushes nothing out: take the cartridge out by hand")

    def extend_port(self, port: int, epoch: int) -> None:
        """Push a port out, or unlock it, so that a person can reach it.

        Raises:
            NotSupportedError: ports stay where they are (`LibraryIdentity.ports_extend`).
            RsmError: as `load_drive`, of the port.
        """
        raise NotSupportedError("the ports of this library are always within reach: nothing to extend")

    def retract_port(self, port: int, epoch: int) -> None:
        """Pull a port in, or lock it.

        Raises:
            NotSupportedError: ports stay where they are (`LibraryIdentity.ports_extend`).
            RsmError: as `load_drive`, of the port.
        """
        raise NotSupportedError("the ports of this library are always within reach: nothing to retract")

    def unlock_door(self, epoch: int) -> None:
        """Let a person open the doors.

        Raises:
            NotSupportedError: software has no part in it: they can be opened at any time.
            RsmError: as `claim`.
        """
        raise NotSupportedError("the doors of this library cannot be locked: open them when it is at rest")

    def lock_door(self, epoch: int) -> None:
        """Keep the doors from being opened.

        Raises:
            RsmError: as `unlock_door`.
        """
        raise NotSupportedError("the doors of this library cannot be locked")

    def is_door_open(self) -> bool | None:
        """Tell whether a door stands open, None where the device cannot tell; never raises for what it suffers."""
        return None

    @abc.abstractmethod
    def close(self) -> None:
        """Let go of the device; opened sides stay open. Closing twice is nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
