"""The stand-alone drive: one drive that a person feeds, without robot, slots or ports. The person is the robot.

The address says what the drive is:

* `DIRECTORY/`, which ends in a slash: a folder, maybe a mount point, into which a person puts one cartridge in the
  format of virtual libraries, a folder named by its bar code with a `cartridge.toml`. A medium with a file system that
  holds such a folder is one too, once it is mounted there. Folders that file systems have of their own do not count.
* any other path: a disk, that is a block device or an image of one in a regular file (`standalone_disk`).

A cartridge is in the drive for as long as it lies there. Everything is looked at anew in every call, downwards from the
folder, never through a symbolic link: what vanishes, is exchanged or planted meanwhile is reported as it is found.
Nothing but what is recorded is ever written, so the drive cannot keep the number of an epoch: what is refused here is
what this object itself has seen a higher one of.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import os
from collections.abc import Collection, Iterator
from typing import BinaryIO, Final

from rsm.errors import DeviceNotAvailableError, MediaNotAvailableError, RsmError
from rsm.libraries.base import (
    DestinationFullError,
    DriveIdentity,
    ElementKind,
    ElementStatus,
    HighestEpoch,
    LibraryBackend,
    LibraryIdentity,
    Readiness,
    ReadinessState,
    SideMode,
    SideStatus,
    SourceEmptyError,
    UnknownElementError,
    check_mode,
    os_errors_of,
    printable,
)
from rsm.libraries.virtual_files import CartridgeFacts, list_names, only_name, opened_folder, read_facts
from rsm.libraries.virtual_sides import measure_side, open_recording, side_name

DRIVE_ADDRESS = 101
DRIVE_NAME = "drive-01"
_OF_FILE_SYSTEMS: Final = frozenset(("lost+found", "System Volume Information", "$RECYCLE.BIN"))


class StandaloneDrive(LibraryBackend):
    """What all stand-alone drives have in common: one element, nothing to carry, and epochs that are remembered."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.path = address.rstrip("/") or "/"
        self._epoch = HighestEpoch()

    def read_identity(self) -> LibraryIdentity:
        """Return one drive and nothing else; a person says which media types it takes."""
        vendor, product, serial_number = self._read_type()
        drive = DriveIdentity(DRIVE_ADDRESS, 1, vendor, product, serial_number, self.path)
        return LibraryIdentity(
            name=os.path.basename(self.path) or "drive",
            vendor=vendor,
            product=product,
            serial_number=serial_number,
            media_types=(),
            transports=(),
            slots=0,
            ports=0,
            drives=(drive,),
            has_barcode_reader=self._has_barcodes,
            is_standalone=True,
        )

    _has_barcodes = False

    @abc.abstractmethod
    def _read_type(self) -> tuple[str, str, str]:
        """Return vendor, product and serial number."""

    @abc.abstractmethod
    def _check_there(self) -> None:
        """Refuse where the drive itself is not there (DeviceNotAvailableError)."""

    @abc.abstractmethod
    def _read_status(self) -> ElementStatus:
        """Return what is in the drive; never raises for what a device suffers."""

    @abc.abstractmethod
    def check_loaded(self) -> None:
        """Refuse where nothing usable is in the drive (ElementNotAccessibleError, SourceEmptyError)."""

    def check_readiness(self) -> Readiness:
        """Return whether the drive is there, with or without a cartridge."""
        try:
            self._check_there()
        except RsmError as error:
            return Readiness(ReadinessState.NOT_READY, str(error))
        return Readiness(ReadinessState.READY)

    def claim(self, epoch: int) -> None:
        """Remember `epoch`.

        Raises:
            InvalidParameterError: the epoch is no number from 0 to 2^63-1.
            StaleEpochError: it was claimed with a higher epoch.
            DeviceNotAvailableError: the drive is not there.
        """
        self._check_epoch(epoch)
        self._check_there()

    def _check_epoch(self, epoch: int) -> None:
        self._epoch.check(epoch, printable(self.path))

    def read_elements(self, addresses: Collection[int] | None = None) -> Iterator[ElementStatus]:
        """Yield the status of the drive, unless only others are asked for.

        Raises:
            UnknownElementError: an address is not the drive's.
            DeviceNotAvailableError: the drive is not there.
        """
        for address in addresses or ():
            self._check_drive(address)
        self._check_there()
        return iter([self._read_status()] if addresses is None or addresses else [])

    def move(
        self, source: int, destination: int, epoch: int, *, inverted: bool = False, transport: int | None = None
    ) -> None:
        """Refuse: there is no robot, and no second element to carry a cartridge to.

        Raises:
            UnknownElementError: an address is not the drive's, or an arm is named.
            InvalidParameterError, StaleEpochError: as `claim`.
            ElementNotAccessibleError, SourceEmptyError: of the drive.
            DestinationFullError: from the drive to itself.
        """
        self._check_drive(source)
        self._check_drive(destination)
        if transport is not None:
            raise UnknownElementError(f"{printable(self.path)} is fed by a person: it has no robot arm {transport}")
        self._check_epoch(epoch)
        self.check_loaded()
        raise DestinationFullError(f"{printable(self.path)} is the one place there is, and full")

    def load_drive(self, drive: int, epoch: int) -> None:
        """See that something usable is in the drive; a person has put it in, and it is ready at once.

        Raises:
            UnknownElementError: it is not the drive's address.
            InvalidParameterError, StaleEpochError: as `claim`.
            ElementNotAccessibleError, SourceEmptyError: of the drive.
        """
        self._check_drive(drive)
        self._check_epoch(epoch)
        self.check_loaded()

    def unload_drive(self, drive: int, epoch: int) -> None:
        """See that something is in the drive; a person takes it out (RsmError as `load_drive`)."""
        self.load_drive(drive, epoch)

    def write_side(self, drive: int, side: int, data: bytes, epoch: int, *, barcode: str | None = None) -> None:
        """Record `data` on a side.

        Raises:
            InvalidParameterError, StaleEpochError: as `claim`.
            RsmError, OSError: as `open_side` and writing.
        """
        self._check_epoch(epoch)
        super().write_side(drive, side, data, epoch, barcode=barcode)

    def _check_drive(self, address: int) -> None:
        if address != DRIVE_ADDRESS:
            raise UnknownElementError(f"{printable(self.path)} has no element {address}, only drive {DRIVE_ADDRESS}")

    def close(self) -> None:
        """Do nothing: nothing is kept open."""

    def _status(
        self, *, full: bool | None, accessible: bool = True, fault: RsmError | None = None, barcode: str | None = None
    ) -> ElementStatus:
        return ElementStatus(
            DRIVE_ADDRESS,
            ElementKind.DRIVE,
            1,
            DRIVE_NAME,
            full,
            accessible=accessible,
            barcode=barcode,
            exception=None if fault is None else str(fault),
        )


class StandaloneDirectory(StandaloneDrive):
    """A folder that holds one cartridge in the format of virtual libraries, or none."""

    _has_barcodes = True

    def __init__(self, address: str) -> None:
        """Open the drive at a folder.

        Raises:
            DeviceNotAvailableError: it is not there, a symbolic link, or no folder.
        """
        super().__init__(address)
        self._check_there()

    def _read_type(self) -> tuple[str, str, str]:
        return "rsm", "stand-alone directory", ""

    def _check_there(self) -> None:
        if os.path.islink(self.path) or not os.path.isdir(self.path):
            raise DeviceNotAvailableError(f"{printable(self.path)} is not there, or no directory")

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        with os_errors_of(self.path):
            try:
                folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except (FileNotFoundError, NotADirectoryError) as error:
                raise DeviceNotAvailableError(f"{printable(self.path)} is not there, or no directory") from error
        try:
            yield folder
        finally:
            os.close(folder)

    def _names(self, folder: int) -> tuple[str, ...]:
        return tuple(name for name in list_names(folder, self.path) if name not in _OF_FILE_SYSTEMS)

    def _read_status(self) -> ElementStatus:
        names: tuple[str, ...] | None = None
        try:
            with self._opened() as folder:
                names = self._names(folder)
                if not names:
                    return self._status(full=False)
                barcode = only_name(names, self.path)
                with opened_folder(folder, barcode, f"{self.path}/{barcode}") as cartridge:
                    facts = read_facts(cartridge, f"{self.path}/{barcode}")
        except FileNotFoundError:
            return self._status(full=False)  # it was taken out while it was looked at
        except RsmError as error:
            # Whatever lies there, a person can reach it: only a folder that cannot be read makes the drive unusable.
            return self._status(full=None if names is None else True, accessible=names is not None, fault=error)
        status = self._status(full=True, barcode=barcode)
        return dataclasses.replace(status, cartridge=facts.seen_from_outside())

    @contextlib.contextmanager
    def _loaded(self, barcode: str | None = None) -> Iterator[tuple[int, CartridgeFacts, str]]:
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(self._opened())
            found = only_name(self._names(folder), self.path)
            path = f"{self.path}/{found}"
            if barcode is not None and barcode != found:
                raise MediaNotAvailableError(f"{printable(self.path)} holds {found}, not {printable(barcode)}")
            try:
                cartridge = stack.enter_context(opened_folder(folder, found, path))
            except FileNotFoundError as error:
                raise SourceEmptyError(f"{printable(path)} was taken out meanwhile") from error
            yield cartridge, read_facts(cartridge, path), path

    def check_loaded(self) -> None:
        """Refuse where no whole cartridge is in the folder.

        Raises:
            DeviceNotAvailableError: the folder is not there.
            SourceEmptyError: it is empty.
            ElementNotAccessibleError: it holds more than one thing, or what is no cartridge.
        """
        with self._loaded():
            pass

    def open_side(
        self, drive: int, side: int, mode: SideMode, *, read_only: bool = False, barcode: str | None = None
    ) -> BinaryIO:
        """Open what is recorded on a side, as in a virtual library; the errors are those of the contract."""
        check_mode(mode)
        self._check_drive(drive)
        with self._loaded(barcode) as (cartridge, facts, path):
            return open_recording(cartridge, facts, side, mode, read_only, path)

    def read_side(self, drive: int, side: int) -> SideStatus:
        """Return how much is recorded on a side; the errors are those of the contract."""
        self._check_drive(drive)
        with self._loaded() as (cartridge, facts, path), os_errors_of(path):
            return measure_side(cartridge, facts, side, path)

    def side_path(self, drive: int, side: int) -> str | None:
        """Return the path of a side of the cartridge in the folder: a file, or a folder where it is a disk.

        Raises:
            UnknownElementError, ElementNotAccessibleError, SourceEmptyError, InvalidMediaError: as `read_side`.
        """
        self._check_drive(drive)
        with self._loaded() as (_, facts, path):
            return f"{path}/{side_name(facts, side, path)}"
