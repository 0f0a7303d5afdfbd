"""A library that is a SCSI media changer with its drives.

The device is called by its address, `/dev/sg3` or `iscsi://HOST:PORT/IQN/LUN`. Which drive sits at which element the
changer tells by the drives' serial numbers; where it does not, `?drives=ADDRESS,ADDRESS,…` after the address names the
devices of the drives in the order of their elements, `-` for one that is not to be had.

A changer cannot keep the number of an epoch: what is refused here is what this object itself has seen a higher one of.
Against other processes the caller's claim is all there is. The connection to the changer is kept, drives are opened
for each call and for each side.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from typing import BinaryIO

from rsm.errors import (
    BusyError,
    DeviceNotAvailableError,
    InvalidLibraryError,
    InvalidMediaError,
    MediaNotAvailableError,
    RsmError,
)
from rsm.libraries.base import (
    CLEANER_PREFIX,
    DriveIdentity,
    ElementKind,
    ElementNotAccessibleError,
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
    printable,
)
from rsm.libraries.scsi.cdb import ElementType
from rsm.libraries.scsi.changer import Changer, Place
from rsm.libraries.scsi.decode import MEDIA_CHANGER, ElementDescriptor, Sense
from rsm.libraries.scsi.drive import TapeDrive
from rsm.libraries.scsi.drives import FoundDrive, find_drives, match_drives
from rsm.libraries.scsi.elements import KINDS, kind_of, media_type_of, runs, status_of, with_duplicates_named
from rsm.libraries.scsi.sense import Key, Retry, error_from_sense, rule_for
from rsm.libraries.scsi.sg import tape_path_of
from rsm.libraries.scsi.transport import Transport, open_transport


class ScsiLibrary(LibraryBackend):
    """The library behind one media changer."""

    def __init__(
        self,
        device: str,
        *,
        opener: Callable[[str], Transport] = open_transport,
        finder: Callable[[str, Callable[[str], Transport]], list[FoundDrive]] = find_drives,
    ) -> None:
        """Open the changer at an address; `opener` and `finder` lead to devices.

        Raises:
            InvalidLibraryError: it is no address, or of no changer.
            AccessDeniedError: this user may not use the device; the text names the group that may.
            DeviceNotAvailableError: it cannot be reached, or a package that is needed is not installed.
            NotReadyError: it does not even say what it is.
        """
        self._device, self._named = _split(device)
        self._opener, self._finder = opener, finder
        self._lock = threading.RLock()
        self._epoch = HighestEpoch()
        self._drives: dict[int, FoundDrive] | None = None
        self._ways: dict[int, Changer] = {}
        self._changer = Changer(opener(self._device))
        try:
            self._inquiry = self._changer.read_inquiry()
            if self._inquiry.device_type != MEDIA_CHANGER:
                kind = self._inquiry.device_type
                raise InvalidLibraryError(f"{printable(device)} is no media changer but a SCSI device of type {kind}")
            self._ranges = self._read_ranges()
        except BaseException:
            self._changer.close()
            raise

    def _read_ranges(self) -> dict[ElementKind, range]:
        addresses = self._changer.read_addresses()
        ranges = (addresses.transports, addresses.slots, addresses.ports, addresses.drives)
        return dict(zip(ElementKind, ranges, strict=True))

    # --- what it is -------------------------------------------------------------------------------------------------

    def read_identity(self) -> LibraryIdentity:
        """Return what the changer and its drives say; media types are those that LTO drives are made for.

        Raises:
            NotReadyError: it is becoming ready.
            InvalidLibraryError: what it says cannot be understood.
        """
        changer, found = self._changer, self._find_drives()
        drives = tuple(self._identity_of(address, found.get(address)) for address in self._ranges[ElementKind.DRIVE])
        types = {each for drive in drives if (each := media_type_of(drive.product))}
        return LibraryIdentity(
            name=" ".join(filter(None, (self._inquiry.vendor, self._inquiry.product))) or "changer",
            vendor=self._inquiry.vendor,
            product=self._inquiry.product,
            serial_number=changer.read_serial_number(),
            media_types=tuple(sorted(types)),
            transports=tuple(self._ranges[ElementKind.TRANSPORT]),
            slots=len(self._ranges[ElementKind.SLOT]),
            ports=len(self._ranges[ElementKind.PORT]),
            drives=drives,
            has_barcode_reader=self._has_barcodes(),
            doors=1,  # no changer tells of its doors, and none is without
            can_exchange=changer.can_exchange(),
            ports_extend=bool(self._ranges[ElementKind.PORT]) and changer.can_extend_ports(),
            drives_need_unload=True,
        )

    def _identity_of(self, address: int, found: FoundDrive | None) -> DriveIdentity:
        number = address - self._ranges[ElementKind.DRIVE].start + 1
        if found is None:
            return DriveIdentity(address, number, "", "", "", None)
        path = tape_path_of(found.device) if found.device.startswith("/") else None
        return DriveIdentity(address, number, found.vendor, found.product, found.serial_number, path)

    def _has_barcodes(self) -> bool:
        """Tell whether any bar code is seen, or no cartridge that could have one."""
        full = False
        for status in self._statuses(ElementKind.SLOT, self._ranges[ElementKind.SLOT]):
            if status.full and status.volume_tag:
                return True
            full = full or status.full
        return not full

    def check_readiness(self) -> Readiness:
        """Return whether the changer takes calls. One that waits to be initialised does: `claim` sees to it."""
        try:
            sense = self._changer.ask_ready()
        except BusyError as error:
            return Readiness(ReadinessState.BECOMING_READY, str(error))
        except RsmError as error:
            return Readiness(ReadinessState.NOT_READY, str(error))
        differ = self._changer.take_contents_may_differ()
        if sense is None or _waits_for_inventory(sense):
            return Readiness(ReadinessState.READY, contents_may_differ=differ)
        becoming = rule_for(sense).retry is not Retry.NEVER
        state = ReadinessState.BECOMING_READY if becoming else ReadinessState.NOT_READY
        return Readiness(state, str(error_from_sense(sense, self._changer.name)), differ)

    @property
    def saw_contents_change(self) -> bool:
        """Whether this object was told of a door, a power cycle or the like since it was made."""
        return self._changer.saw_contents_change

    def claim(self, epoch: int) -> None:
        """Remember `epoch`, look for the elements and drives anew, and initialise a changer that waits for it.

        Raises:
            InvalidParameterError: the epoch is no number from 0 to 2^63-1.
            StaleEpochError: it was claimed through this object with a higher one.
            NotReadyError: the changer is becoming ready.
            RsmError: it failed, by the table of sense data.
        """
        self._check_epoch(epoch)
        sense = self._changer.ask_ready()
        if sense is not None and not _waits_for_inventory(sense):
            raise error_from_sense(sense, self._changer.name)
        if sense is not None:
            self._changer.initialize_elements()
        self._ranges = self._read_ranges()
        with self._lock:
            self._drives = None

    def _check_epoch(self, epoch: int) -> None:
        self._epoch.check(epoch, self._changer.name)

    # --- where the cartridges are -----------------------------------------------------------------------------------

    def read_elements(self, addresses: Collection[int] | None = None) -> Iterator[ElementStatus]:
        """Yield the status of all elements or of some; all are read before the first is yielded.

        Raises:
            UnknownElementError: an address is no element's.
            NotReadyError: the changer is becoming ready.
            RsmError: it failed, by the table of sense data.
        """
        wanted = None if addresses is None else {self._place(address).address for address in addresses}
        found: list[ElementStatus] = []
        for kind, every in self._ranges.items():
            for run in [every] if wanted is None else runs(sorted(wanted & set(every))):
                told = {each.address: each for each in self._statuses(kind, run)}
                tells_access = self._changer.tells_access  # as far as this reading and those before it tell
                found.extend(status_of(self._ranges, kind, address, told.get(address), tells_access) for address in run)
        return iter(with_duplicates_named(found))

    def _statuses(self, kind: ElementKind, run: range) -> Iterator[ElementDescriptor]:
        return self._changer.read_elements(KINDS[kind], run, self._ranges[kind])

    def _place(self, address: int) -> Place:
        kind = kind_of(self._ranges, address)
        if kind is None:
            raise UnknownElementError(f"{self._changer.name} has no element {address}")
        return Place(address, KINDS[kind], self._ranges[kind])

    def _drive_place(self, address: int) -> Place:
        place = self._place(address)
        if place.kind is not ElementType.DATA_TRANSFER:
            raise UnknownElementError(f"element {address} of {self._changer.name} is no drive")
        return place

    # --- moving them ------------------------------------------------------------------------------------------------

    def move(
        self, source: int, destination: int, epoch: int, *, inverted: bool = False, transport: int | None = None
    ) -> None:
        """Carry a cartridge after a look at both elements; a drive that holds on to it is told to let go first.

        Raises:
            UnknownElementError: an address is no element's, or `transport` is no arm's.
            InvalidParameterError: the epoch is no number from 0 to 2^63-1.
            StaleEpochError: the library was claimed through this object with a higher one.
            ElementNotAccessibleError: the source or destination is an arm.
            InvalidMediaError: `inverted`: tapes have one side.
            NotReadyError: the changer is becoming ready.
            ElementNotAccessibleError, SourceEmptyError: of the source.
            ElementNotAccessibleError, DestinationFullError: of the destination.
            RsmError: it failed, by the table of sense data; `outcome_unknown` where the elements do not tell.
        """
        start, goal = self._place(source), self._place(destination)
        arm = self._arm(transport)
        self._check_epoch(epoch)
        self._check_no_arm(start, goal)

        def carry() -> None:
            if inverted:
                raise InvalidMediaError("a tape has one side: it cannot be loaded with the second side up")
            self._changer_of(arm).move(arm, start, goal)

        self._carry(carry, start)

    def _carry(self, carry: Callable[[], None], start: Place) -> None:
        """Carry, and once more where a drive had to be told to let go of what it held."""
        try:
            carry()
        except ElementNotAccessibleError:
            if start.kind is not ElementType.DATA_TRANSFER or start.address not in self._find_drives():
                raise
            self._let_go(start)
            carry()

    def exchange(
        self, source: int, destination: int, displaced: int, epoch: int, *, transport: int | None = None
    ) -> None:
        """Carry a cartridge to `destination` and what was there to `displaced`, in one call.

        Raises:
            NotSupportedError: the device cannot.
            RsmError: as `move`.
        """
        places = [self._place(address) for address in (source, destination, displaced)]
        arm = self._arm(transport)
        self._check_epoch(epoch)
        self._check_no_arm(*places)
        self._carry(lambda: self._changer_of(arm).exchange(arm, *places), places[1])

    def _changer_of(self, arm: int) -> Changer:
        """Return the way to the changer that commands for an arm take: over one, they go one after the other."""
        if arm not in self._ranges[ElementKind.TRANSPORT][1:]:
            return self._changer
        with self._lock:
            if arm not in self._ways:
                # What happened before it was opened the first way tells too.
                self._ways[arm] = Changer(self._opener(self._device))
            return self._ways[arm]

    def _arm(self, transport: int | None) -> int:
        arms = self._ranges[ElementKind.TRANSPORT]
        if transport is None:
            return arms.start if arms else 0  # 0 is whichever the device likes
        if transport not in arms:
            raise UnknownElementError(f"{self._changer.name} has no robot arm {transport}")
        return transport

    def _check_no_arm(self, *places: Place) -> None:
        if any(place.kind is ElementType.TRANSPORT for place in places):
            raise ElementNotAccessibleError("the robot arm holds nothing between moves: name a slot, port or drive")

    # --- drives -----------------------------------------------------------------------------------------------------

    def _find_drives(self, *, anew: bool = False) -> dict[int, FoundDrive]:
        """Return the device of each drive element that is known; it is looked for once a claim, or `anew`."""
        with self._lock:
            if self._drives is None or anew:
                every = self._ranges[ElementKind.DRIVE]
                told = list(self._changer.read_elements(ElementType.DATA_TRANSFER, every, every, device_ids=True))
                named = dict(zip(every, self._named, strict=False))
                self._drives = match_drives(told, self._finder(self._device, self._opener), named)
            return self._drives

    def drive_devices(self) -> dict[int, FoundDrive]:
        """Return the device of each drive element that is known, and how it is known (RsmError)."""
        return dict(self._find_drives())

    def _open_drive(self, place: Place) -> TapeDrive:
        for anew in (False, True):
            found = self._find_drives(anew=anew).get(place.address)
            if found is None:
                continue
            drive = TapeDrive(self._opener(found.device))
            try:
                # Devices are numbered anew when one comes or goes: never write on another's tape.
                if not found.serial_number or drive.read_serial_number() == found.serial_number:
                    return drive
            except BaseException:
                drive.close()
                raise
            drive.close()
        raise DeviceNotAvailableError(
            f"which device is the drive at element {place.address} of {self._changer.name} cannot be told: "
            "add ?drives=ADDRESS,… to the address of the library, the drives in the order of their elements"
        )

    def _look_into(self, place: Place) -> ElementDescriptor | None:
        seen = self._changer.look(place)
        if seen is not None and not seen.full:
            raise SourceEmptyError(f"the drive at element {place.address} of {self._changer.name} is empty")
        return seen

    def _let_go(self, place: Place) -> None:
        drive = self._open_drive(place)
        try:
            drive.unload()
        finally:
            drive.close()

    def load_drive(self, drive: int, epoch: int) -> None:
        """Have a drive load the tape in it, which takes as long as it takes.

        Raises:
            UnknownElementError: no drive has that address.
            InvalidParameterError, StaleEpochError: as `move`.
            SourceEmptyError: it is empty.
            DeviceNotAvailableError: which device it is cannot be told.
            NotReadyError: the drive is becoming ready.
            RsmError: it failed, by the table of sense data.
        """
        place = self._drive_place(drive)
        self._check_epoch(epoch)
        self._look_into(place)
        device = self._open_drive(place)
        try:
            device.load()
        finally:
            device.close()

    def unload_drive(self, drive: int, epoch: int) -> None:
        """Have a drive let go of its tape; one that no device is known of lets go when the robot pulls.

        Raises:
            RsmError: as `load_drive`.
        """
        place = self._drive_place(drive)
        self._check_epoch(epoch)
        self._look_into(place)
        if place.address in self._find_drives():
            self._let_go(place)

    def clean_drive(self, drive: int, epoch: int) -> None:
        """See that the cleaner in a drive has done its work, which takes minutes; then the drive lets go of it.

        Raises:
            RsmError: as `load_drive`.
            NoCleanerError: the drive takes it for a tape, and its bar code is no cleaner's.
            CleaningFailedError: the drive says so, or takes a cleaner for a tape.
        """
        place = self._drive_place(drive)
        self._check_epoch(epoch)
        seen = self._look_into(place)
        tag = None if seen is None else seen.volume_tag
        device = self._open_drive(place)
        try:
            device.finish_cleaning(tag if tag is not None and tag.startswith(CLEANER_PREFIX) else None)
        finally:
            device.close()

    def open_side(
        self, drive: int, side: int, mode: SideMode, *, read_only: bool = False, barcode: str | None = None
    ) -> BinaryIO:
        """Open the tape in a drive; see `TapeReader` and `TapeWriter` for what reading and writing promise.

        Raises:
            InvalidParameterError: the mode is none of rb, wb, ab.
            UnknownElementError: no drive has that address.
            SourceEmptyError: it is empty.
            MediaNotAvailableError: another cartridge is in it.
            InvalidMediaError: a tape has one side.
            DeviceNotAvailableError: which device it is cannot be told.
            OSError: EROFS for writing when it is write protected or mounted for reading.
            NotReadyError: the drive is becoming ready.
            RsmError: it failed, by the table of sense data.
        """
        check_mode(mode)
        place = self._drive_place(drive)
        seen = self._look_into(place)
        tag = None if seen is None else seen.volume_tag
        if barcode is not None and tag is not None and tag != barcode:
            text = f"the drive at element {drive} holds {printable(tag)}, not {printable(barcode)}: mount it again"
            raise MediaNotAvailableError(text)
        _check_side(side)
        device = self._open_drive(place)
        try:
            return device.open_tape(mode, read_only=read_only, path=device.name)
        except BaseException:
            device.close()
            raise

    def read_side(self, drive: int, side: int) -> SideStatus:
        """Return how much is recorded on the tape in a drive, as far as drive or tape can tell.

        Raises:
            UnknownElementError: no drive has that address.
            SourceEmptyError: it is empty.
            InvalidMediaError: a tape has one side.
            DeviceNotAvailableError: which device it is cannot be told.
            NotReadyError: the drive is becoming ready.
            RsmError: it failed, by the table of sense data.
        """
        place = self._drive_place(drive)
        self._look_into(place)
        _check_side(side)
        device = self._open_drive(place)
        try:
            return device.read_side()
        finally:
            device.close()

    # --- ports ------------------------------------------------------------------------------------------------------

    def extend_port(self, port: int, epoch: int) -> None:
        """Push a port out; where the changer cannot, let people open its ports.

        Raises:
            UnknownElementError: no port has that address.
            InvalidParameterError, StaleEpochError: as `move`.
            NotSupportedError: it can neither.
            RsmError: it failed, by the table of sense data.
        """
        self._changer.open_port(self._port(port, epoch))

    def retract_port(self, port: int, epoch: int) -> None:
        """Pull a port in; where the changer cannot, keep its ports locked.

        Raises:
            RsmError: as `extend_port`.
        """
        self._changer.close_port(self._port(port, epoch))

    def _port(self, address: int, epoch: int) -> int:
        place = self._place(address)
        if place.kind is not ElementType.IMPORT_EXPORT:
            raise UnknownElementError(f"element {address} of {self._changer.name} is no port")
        self._check_epoch(epoch)
        return place.address

    # --- the door ---------------------------------------------------------------------------------------------------

    def unlock_door(self, epoch: int) -> None:
        """Let people open the changer.

        Raises:
            InvalidParameterError, StaleEpochError: as `move`.
            NotSupportedError: it cannot be locked.
            RsmError: it failed, by the table of sense data.
        """
        self._check_epoch(epoch)
        self._changer.allow_removal()

    def lock_door(self, epoch: int) -> None:
        """Keep people from opening the changer.

        Raises:
            RsmError: as `unlock_door`.
        """
        self._check_epoch(epoch)
        self._changer.prevent_removal()

    def is_door_open(self) -> bool | None:
        """Tell whether the changer needs a person before it takes calls, as one with an open door does."""
        return self.check_readiness().state is ReadinessState.NOT_READY

    def close(self) -> None:
        """Let go of the changer; sides that are open have their own way to the drive."""
        with self._lock:
            ways = [self._changer, *self._ways.values()]
        for way in ways:
            way.close()


def _split(device: str) -> tuple[str, tuple[str, ...]]:
    """Return the address of a changer and those of its drives that are named after it."""
    address, mark, rest = device.partition("?")
    if not mark:
        return address, ()
    name, _, value = rest.partition("=")
    if name != "drives" or not value:
        raise InvalidLibraryError(f"{device!a}: only ?drives=ADDRESS,ADDRESS,… can follow the address")
    return address, tuple(value.split(","))


def _waits_for_inventory(sense: Sense) -> bool:
    return (sense.key, sense.asc, sense.ascq) == (Key.NOT_READY, 0x04, 0x02)


def _check_side(side: int) -> None:
    if side != 1:
        raise InvalidMediaError(f"a tape has one side: there is no side {side}")
