"""The virtual library: a directory whose folders are slots, ports and drives, and whose cartridges are folders too.

A move is one rename, and only the rename is the truth about where a cartridge is. Every move runs with the robot held:
the epoch is checked, the source is full, the destination empty, the cartridge is renamed, both folders are put on the
disk. People may put cartridges in and take them out with mv at any moment, and no lock keeps them: what is read is
checked again until it stands still, and what is found gone is reported gone. Keeps nothing open between calls.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import logging
import os
from collections.abc import Collection, Iterator
from typing import BinaryIO, Final

from rsm.errors import InvalidMediaError, MediaIncompatibleError, MediaNotAvailableError, RsmError
from rsm.libraries.base import (
    CLEANER_PREFIX,
    DestinationFullError,
    DriveIdentity,
    ElementKind,
    ElementNotAccessibleError,
    ElementStatus,
    LibraryBackend,
    LibraryIdentity,
    NoCleanerError,
    Readiness,
    ReadinessState,
    SideMode,
    SideStatus,
    SourceEmptyError,
    UnknownElementError,
    check_epoch_number,
    check_mode,
    error_from_os,
    os_errors_of,
    printable,
)
from rsm.libraries.virtual_files import (
    CARTRIDGE_FILE,
    ROBOT_FILE,
    TRANSPORT_ADDRESS,
    CartridgeFacts,
    DamagedCartridgeError,
    Element,
    list_names,
    only_name,
    opened_directory,
    opened_element,
    opened_folder,
    read_facts,
    read_file,
    read_layout,
)
from rsm.libraries.virtual_make import AddedCartridge, add_cartridge, create
from rsm.libraries.virtual_robot import (
    check_epoch,
    parse_epoch,
    read_link,
    remove_link,
    robot_held,
    set_link,
    side_of_link,
)
from rsm.libraries.virtual_sides import measure_side, open_recording

__all__ = ["AddedCartridge", "VirtualLibrary", "add_cartridge", "create"]

LOCK_WAIT_SECONDS = 30.0
_ROUNDS: Final = 8
_log = logging.getLogger("rsm.libraries.virtual")


class VirtualLibrary(LibraryBackend):
    """The library in one directory. Knows what `library.toml` said when it was opened or last claimed."""

    def __init__(self, directory: str | os.PathLike[str], *, lock_wait_seconds: float = LOCK_WAIT_SECONDS) -> None:
        """Open the library in `directory`; `lock_wait_seconds` bounds the wait for another holder of the robot.

        Raises:
            DeviceNotAvailableError: the directory is not there.
            InvalidLibraryError: it holds no `library.toml`, or a damaged one.
            RsmError: it cannot be read, by `error_from_os`.
        """
        self.directory = os.path.abspath(os.fspath(directory))
        self._lock_wait_seconds = lock_wait_seconds
        with opened_directory(self.directory) as root:
            self._layout = read_layout(root, self.directory)

    def read_identity(self) -> LibraryIdentity:
        """Return what `library.toml` says."""
        layout = self._layout
        return LibraryIdentity(
            name=layout.name,
            vendor="rsm",
            product="virtual",
            serial_number="",
            media_types=(layout.media_type,),
            transports=(TRANSPORT_ADDRESS,),
            slots=layout.slots,
            ports=layout.ports,
            doors=layout.doors,
            drives=tuple(
                DriveIdentity(
                    drive.address,
                    drive.number,
                    "rsm",
                    f"virtual {layout.media_type}",  # drives of one type take the same media
                    "",
                    f"{self.directory}/{drive.link_name}",
                )
                for drive in layout.of_kind(ElementKind.DRIVE)
            ),
        )

    def check_readiness(self) -> Readiness:
        """Return whether the directory, its `library.toml` and its robot are fit for work."""
        try:
            with opened_directory(self.directory) as root:
                read_layout(root, self.directory)
                self._check_robot(root)
        except RsmError as error:
            return Readiness(ReadinessState.NOT_READY, str(error))
        return Readiness(ReadinessState.READY)

    def claim(self, epoch: int) -> None:
        """Keep `epoch`, read `library.toml` again and set the links of all drives right.

        Raises:
            InvalidParameterError: the epoch is no number from 0 to 2^63-1.
            DeviceNotAvailableError: the directory is not there, or no epoch is in the robot's file.
            BusyError: another process held the robot all the time.
            StaleEpochError: it was claimed with a higher epoch.
            InvalidLibraryError: `library.toml` is damaged.
            RsmError: something cannot be read or written, by `error_from_os`.
        """
        with self._robot(epoch) as root:
            layout = read_layout(root, self.directory)
            self._layout = layout
            for drive in layout.of_kind(ElementKind.DRIVE):
                self._try_to_set_link_right(root, drive)

    # --- where the cartridges are -----------------------------------------------------------------------------------

    def read_elements(self, addresses: Collection[int] | None = None) -> Iterator[ElementStatus]:
        """Yield the status of all elements or of some, read until no folder changed meanwhile.

        Raises:
            UnknownElementError: an address is no element's.
            DeviceNotAvailableError: the directory is not there.
        """
        chosen = None if addresses is None else {self._element(address) for address in addresses}
        wanted = [each for each in self._layout.elements.values() if chosen is None or each in chosen]
        with opened_directory(self.directory) as root:
            found = {each.address: self._read_element(root, each) for each in wanted}
            for _ in range(_ROUNDS):
                # A cartridge carried while others were read was seen twice or not at all.
                changed = [each for each in wanted if self._names(root, each) != found[each.address][0]]
                if not changed:
                    break
                found |= {each.address: self._read_element(root, each) for each in changed}
        return iter(_with_duplicates_named([found[each.address][1] for each in wanted]))

    def _names(self, root: int, element: Element) -> tuple[str, ...] | None:
        if element.kind is ElementKind.TRANSPORT:
            return None
        try:
            with opened_element(root, self.directory, element) as folder:
                return list_names(folder, self._path(element))
        except RsmError:
            return None

    def _read_element(self, root: int, element: Element) -> tuple[tuple[str, ...] | None, ElementStatus]:
        """Return the names in an element as they were when its status was read, and the status."""
        names: tuple[str, ...] | None = None
        try:
            if element.kind is ElementKind.TRANSPORT:
                self._check_robot(root)
                return None, _status(element, full=False)
            with opened_element(root, self.directory, element) as folder:
                names = list_names(folder, self._path(element))
                link = read_link(root, element, self.directory) if element.kind is ElementKind.DRIVE else None
                if names:
                    return names, self._read_cartridge(element, folder, only_name(names, self._path(element)), link)
        except FileNotFoundError:
            names = ()  # it went since, so it was not there: the next look at the names sees what came back
        except RsmError as error:
            return names, _status(element, full=None if names is None else bool(names), fault=error)
        return names, _status(element, full=False)

    def _read_cartridge(self, element: Element, folder: int, barcode: str, link: str | None) -> ElementStatus:
        path = f"{self._path(element)}/{barcode}"
        try:
            with opened_folder(folder, barcode, path) as cartridge:
                facts = read_facts(cartridge, path)
        except ElementNotAccessibleError as error:
            carried = isinstance(error, DamagedCartridgeError)
            return _status(element, full=True, accessible=carried, barcode=barcode if carried else None, fault=error)
        except RsmError as error:
            return _status(element, full=True, barcode=barcode, fault=error)
        side = side_of_link(element, barcode, link, facts.sides)
        inverted = None if side is None else side != facts.sides[0]
        known = _status(element, full=True, barcode=barcode)
        return dataclasses.replace(known, cartridge=facts.seen_from_outside(), inverted=inverted)

    def _check_robot(self, root: int) -> None:
        path = f"{self.directory}/{ROBOT_FILE}"
        with contextlib.suppress(FileNotFoundError):
            parse_epoch(read_file(root, ROBOT_FILE, path), path)

    # --- moving them ------------------------------------------------------------------------------------------------

    def move(
        self, source: int, destination: int, epoch: int, *, inverted: bool = False, transport: int | None = None
    ) -> None:
        """Carry a cartridge from one folder to another by one rename, with the robot held.

        A damaged cartridge can be carried, but into no drive.

        Raises:
            UnknownElementError: an address is no element's, or `transport` is not the arm's.
            InvalidParameterError: the epoch is no number from 0 to 2^63-1.
            DeviceNotAvailableError: the directory is not there, or no epoch is in the robot's file.
            BusyError: another process held the robot all the time.
            StaleEpochError: the library was claimed with a higher epoch.
            ElementNotAccessibleError, SourceEmptyError: of the source.
            ElementNotAccessibleError, DestinationFullError: of the destination.
            ElementNotAccessibleError: the cartridge is damaged and the destination a drive.
            MediaIncompatibleError: it is of another media type than the library's drives, and no cleaner.
            InvalidMediaError: `inverted`, and it has one side.
            RsmError: the rename failed, by `error_from_os`; `outcome_unknown` when it did not get to the disk.
        """
        start, goal = self._element(source), self._element(destination)
        if transport not in (None, TRANSPORT_ADDRESS):
            raise UnknownElementError(f"{printable(self.directory)} has no robot arm {transport}")
        with contextlib.ExitStack() as stack:
            root = stack.enter_context(self._robot(epoch))
            source_folder = stack.enter_context(self._opened_for_robot(root, start))
            path = f"{self._path(start)}/{only_name(list_names(source_folder, self._path(start)), self._path(start))}"
            cartridge = stack.enter_context(self._opened_cartridge(source_folder, path))
            goal_folder = stack.enter_context(self._opened_for_robot(root, goal))
            if list_names(goal_folder, self._path(goal)):
                raise DestinationFullError(f"{printable(self._path(goal))} is full")
            if goal.kind is ElementKind.DRIVE:
                side = self._side_to_load(cartridge, path, goal, inverted)
                # Before the cartridge is in: whoever is killed now leaves a link that leads nowhere yet.
                set_link(root, goal, os.path.basename(path), side, self.directory)
            self._rename(root, source_folder, goal_folder, path, goal)
            self._put_on_disk(source_folder, goal_folder, start, goal)
            if start.kind is ElementKind.DRIVE:
                self._try_to_set_link_right(root, start)

    def _side_to_load(self, cartridge: int, path: str, goal: Element, inverted: bool) -> str:
        facts = read_facts(cartridge, path)
        if facts.media_type != self._layout.media_type and not _is_cleaner(facts, path):
            raise MediaIncompatibleError(
                f"{printable(path)} is {facts.media_type}: {goal.name} takes {self._layout.media_type}"
            )
        if inverted and len(facts.sides) < 2:
            raise InvalidMediaError(f"{printable(path)} has one side: it cannot be loaded with the second side up")
        return facts.sides[1 if inverted else 0]

    def _rename(self, root: int, source_folder: int, goal_folder: int, path: str, goal: Element) -> None:
        barcode = os.path.basename(path)
        try:
            os.rename(barcode, barcode, src_dir_fd=source_folder, dst_dir_fd=goal_folder)
        except OSError as error:
            if goal.kind is ElementKind.DRIVE:
                self._try_to_set_link_right(root, goal)
            if error.errno == errno.ENOENT:
                raise SourceEmptyError(f"{printable(path)} was taken out meanwhile") from error
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
                raise DestinationFullError(f"{printable(self._path(goal))} was filled meanwhile") from error
            raise error_from_os(error, f"{path} to {self._path(goal)}") from error

    def _put_on_disk(self, source_folder: int, goal_folder: int, start: Element, goal: Element) -> None:
        for folder, element in ((source_folder, start), (goal_folder, goal)):
            with os_errors_of(self._path(element), outcome_unknown=True):
                os.fsync(folder)

    def _opened_for_robot(self, root: int, element: Element) -> contextlib.AbstractContextManager[int]:
        if element.kind is ElementKind.TRANSPORT:
            raise ElementNotAccessibleError("the robot arm holds nothing between moves: name a slot, port or drive")
        return opened_element(root, self.directory, element)

    # --- drives -----------------------------------------------------------------------------------------------------

    def load_drive(self, drive: int, epoch: int) -> None:
        """See that a drive holds a cartridge that can be read, and that its link leads there.

        Raises:
            UnknownElementError: no drive has that address.
            InvalidParameterError, DeviceNotAvailableError, BusyError, StaleEpochError: as `claim`.
            ElementNotAccessibleError, SourceEmptyError: of the drive.
            MediaIncompatibleError: what is in it is a cleaner.
            RsmError: something cannot be read or written, by `error_from_os`.
        """
        element = self._drive(drive)
        with self._robot(epoch) as root:
            self._set_link_right(root, element)
            with self._loaded(root, element) as (_, facts, path):
                if facts.cleaner:
                    raise MediaIncompatibleError(f"{printable(path)} is a cleaner: nothing is recorded on it")

    def unload_drive(self, drive: int, epoch: int) -> None:
        """See that a drive holds something for the robot to take: it holds on to nothing.

        Raises:
            RsmError: as `load_drive`; a damaged cartridge can be taken.
        """
        element = self._drive(drive)
        with self._robot(epoch) as root, opened_element(root, self.directory, element) as folder:
            barcode = only_name(list_names(folder, self._path(element)), self._path(element))
            with self._opened_cartridge(folder, f"{self._path(element)}/{barcode}"):
                return

    def clean_drive(self, drive: int, epoch: int) -> None:
        """See that a drive holds a cleaner: it is clean at once. One is told by its TOML file, or a bar code CLN….

        Raises:
            RsmError: as `load_drive`.
            NoCleanerError: what is in it is none.
        """
        with self._robot(epoch) as root, self._loaded(root, self._drive(drive)) as (_, facts, path):
            if not _is_cleaner(facts, path):
                raise NoCleanerError(f"{printable(path)} is no cleaner: its {CARTRIDGE_FILE} does not say so")

    def open_side(
        self, drive: int, side: int, mode: SideMode, *, read_only: bool = False, barcode: str | None = None
    ) -> BinaryIO:
        """Open the recording on a side of the cartridge in a drive; see `SideWriter` for what writing promises.

        Raises:
            InvalidParameterError: the mode is none of rb, wb, ab.
            UnknownElementError: no drive has that address.
            DeviceNotAvailableError: the directory is not there.
            ElementNotAccessibleError, SourceEmptyError: of the drive.
            MediaNotAvailableError: another cartridge is in the drive.
            InvalidMediaError: it has no such side.
            OSError: EROFS for writing when it is write protected or mounted for reading; whatever else a file suffers.
            ElementNotAccessibleError: the side is neither file nor folder, a link, or has a second name.
        """
        check_mode(mode)
        element = self._drive(drive)
        with opened_directory(self.directory) as root:
            with self._loaded(root, element, barcode) as (cartridge, facts, path):
                return open_recording(cartridge, facts, side, mode, read_only, path)

    def write_side(self, drive: int, side: int, data: bytes, epoch: int, *, barcode: str | None = None) -> None:
        """Record `data` on a side, with the robot held: nobody can claim the library before it is done.

        Raises:
            InvalidParameterError, DeviceNotAvailableError, BusyError, StaleEpochError: as `claim`.
            RsmError, OSError: as `open_side` and writing.
        """
        element = self._drive(drive)
        with self._robot(epoch) as root, self._loaded(root, element, barcode) as (cartridge, facts, path):
            with open_recording(cartridge, facts, side, "wb", False, path) as file:
                file.write(data)

    def read_side(self, drive: int, side: int) -> SideStatus:
        """Return how much is recorded on a side of the cartridge in a drive.

        Raises:
            UnknownElementError: no drive has that address.
            DeviceNotAvailableError: the directory is not there.
            ElementNotAccessibleError, SourceEmptyError: of the drive.
            InvalidMediaError: it has no such side.
            RsmError: it cannot be looked at, by `error_from_os`.
        """
        element = self._drive(drive)
        with opened_directory(self.directory) as root:
            with self._loaded(root, element) as (cartridge, facts, path), os_errors_of(path):
                return measure_side(cartridge, facts, side, path)

    def close(self) -> None:
        """Do nothing: nothing is kept open."""

    @contextlib.contextmanager
    def _loaded(
        self, root: int, drive: Element, barcode: str | None = None
    ) -> Iterator[tuple[int, CartridgeFacts, str]]:
        with opened_element(root, self.directory, drive) as folder:
            found = only_name(list_names(folder, self._path(drive)), self._path(drive))
            path = f"{self._path(drive)}/{found}"
            if barcode is not None and barcode != found:
                raise MediaNotAvailableError(
                    f"{printable(self._path(drive))} holds {found}, not {printable(barcode)}: mount it again"
                )
            with self._opened_cartridge(folder, path) as cartridge:
                yield cartridge, read_facts(cartridge, path), path

    @contextlib.contextmanager
    def _opened_cartridge(self, folder: int, path: str) -> Iterator[int]:
        with contextlib.ExitStack() as stack:
            try:
                cartridge = stack.enter_context(opened_folder(folder, os.path.basename(path), path))
            except FileNotFoundError as error:
                raise SourceEmptyError(f"{printable(path)} was taken out meanwhile") from error
            yield cartridge

    def _set_link_right(self, root: int, drive: Element) -> None:
        """Let the link of a drive lead to a side of what is in it; a link that does is kept, else the first is up."""
        try:
            with self._loaded(root, drive) as (_, facts, path):
                barcode = os.path.basename(path)
        except RsmError:
            remove_link(root, drive, self.directory)
            return
        link = read_link(root, drive, self.directory)
        side = side_of_link(drive, barcode, link, facts.sides) or facts.sides[0]
        set_link(root, drive, barcode, side, self.directory)

    def _try_to_set_link_right(self, root: int, drive: Element) -> None:
        try:
            self._set_link_right(root, drive)
        except RsmError as error:
            _log.warning("the link of a drive cannot be set right: %s", error)

    # --- common -----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _robot(self, epoch: int) -> Iterator[int]:
        """Hold the robot under `epoch` and yield the directory's descriptor."""
        check_epoch_number(epoch)
        with opened_directory(self.directory) as root:
            with robot_held(root, self.directory, self._lock_wait_seconds) as robot:
                check_epoch(root, robot, epoch, self.directory)
                yield root

    def _element(self, address: int) -> Element:
        element = self._layout.elements.get(address)
        if element is None:
            raise UnknownElementError(f"{printable(self.directory)} has no element {address}")
        return element

    def _drive(self, address: int) -> Element:
        element = self._element(address)
        if element.kind is not ElementKind.DRIVE:
            raise UnknownElementError(f"element {address} of {printable(self.directory)} is no drive: {element.name}")
        return element

    def _path(self, element: Element) -> str:
        return f"{self.directory}/{element.name}"


def _status(
    element: Element,
    *,
    full: bool | None,
    accessible: bool | None = None,
    barcode: str | None = None,
    fault: RsmError | None = None,
) -> ElementStatus:
    return ElementStatus(
        element.address,
        element.kind,
        element.number,
        element.name,
        full,
        accessible=fault is None if accessible is None else accessible,
        barcode=barcode,
        exception=None if fault is None else str(fault),
    )


def _is_cleaner(facts: CartridgeFacts, path: str) -> bool:
    return facts.cleaner or os.path.basename(path).startswith(CLEANER_PREFIX)


def _with_duplicates_named(statuses: list[ElementStatus]) -> list[ElementStatus]:
    places: dict[str, list[str]] = {}
    for status in statuses:
        if status.barcode is not None:
            places.setdefault(status.barcode, []).append(status.name)
    named = []
    for status in statuses:
        others = [name for name in places.get(status.barcode or "", ()) if name != status.name]
        if others and status.exception is None:
            text = f"{status.name}: the bar code {status.barcode} is in {', '.join(others)} too"
            status = dataclasses.replace(status, exception=text)
        named.append(status)
    return named
