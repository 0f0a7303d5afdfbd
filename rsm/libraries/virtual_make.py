"""Makes virtual libraries, and cartridges in them, as a person would with mkdir and mv.

Owns nothing on disk afterwards. What is made is made aside or without its TOML file first, so that a maker who is
killed leaves nothing that anybody takes for a library or a cartridge.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rsm.errors import AlreadyExistsError, InvalidNameError, InvalidParameterError, LibraryFullError, RsmError
from rsm.libraries.base import (
    DestinationFullError,
    ElementKind,
    UnknownElementError,
    barcode_fault,
    os_errors_of,
    printable,
)
from rsm.libraries.virtual_files import (
    CARTRIDGE_FILE,
    LIBRARY_FILE,
    MAXIMUM_CAPACITY_BYTES,
    MAXIMUM_SIDES,
    CartridgeFacts,
    Element,
    Layout,
    count_fault,
    doors_fault,
    format_facts,
    format_layout,
    list_names,
    opened_directory,
    opened_element,
    read_layout,
    side_names,
    text_fault,
    write_file,
)
from rsm.libraries.virtual_robot import robot_held
from rsm.libraries.virtual_sides import DATA_FILE

DEFAULT_CAPACITY_BYTES = 10**9
LOCK_WAIT_SECONDS = 30.0
_PIECE_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class AddedCartridge:
    """A cartridge that was put in: where it lies, and what its `cartridge.toml` says."""

    barcode: str
    element: str
    path: str
    media_type: str
    sides: int
    capacity_bytes: int
    write_protected: bool


# --- libraries ------------------------------------------------------------------------------------------------------


def create(
    directory: str | os.PathLike[str],
    slots: int,
    drives: int,
    ports: int,
    media_type: str,
    disk: bool = False,
    name: str | None = None,
    doors: int = 0,
) -> str:
    """Make an empty library in a new or empty directory and return the directory's absolute path.

    `disk`: its cartridges' sides are folders, not files. `name`: what the library is called, else the last part of the
    path.

    Raises:
        InvalidParameterError: it cannot have so many slots, drives, ports or doors.
        InvalidNameError: the name or media type has not 1 to 63 printable characters.
        AlreadyExistsError: the directory is there and not empty, or something else has its name.
        RsmError: it cannot be made, by `error_from_os`; unless `outcome_unknown`, what was made is removed again.
    """
    path = os.path.abspath(os.fspath(directory))
    layout = Layout(os.path.basename(path) if name is None else name, media_type, disk, slots, drives, ports, doors)
    for kind, count in ((ElementKind.SLOT, slots), (ElementKind.DRIVE, drives), (ElementKind.PORT, ports)):
        if fault := count_fault(kind, count):
            raise InvalidParameterError(f"the number of {kind}s {fault}")
    if fault := doors_fault(doors):
        raise InvalidParameterError(f"the number of doors {fault}")
    for what, text in (("name of the library", layout.name), ("media type", media_type)):
        if fault := text_fault(text):
            raise InvalidNameError(f"the {what} {fault}")
    with os_errors_of(path), contextlib.ExitStack() as undo:
        _make_directory(path, undo)
        for element in layout.elements.values():
            if element.kind is not ElementKind.TRANSPORT:
                os.mkdir(f"{path}/{element.name}")
                undo.callback(_try_to, os.rmdir, f"{path}/{element.name}")
        with opened_directory(path) as root:
            new_name = f".{LIBRARY_FILE}.new"
            undo.callback(_try_to, os.unlink, f"{path}/{new_name}")
            write_file(root, new_name, format_layout(layout))
            os.rename(new_name, LIBRARY_FILE, src_dir_fd=root, dst_dir_fd=root)
            undo.pop_all()
            with os_errors_of(path, outcome_unknown=True):
                os.fsync(root)
    return path


def _make_directory(path: str, undo: contextlib.ExitStack) -> None:
    if os.path.lexists(path):
        if not os.path.isdir(path):
            raise AlreadyExistsError(f"{printable(path)} is there already and no directory")
        if os.listdir(path):
            raise AlreadyExistsError(f"{printable(path)} is there already and not empty")
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.mkdir(path)
    undo.callback(_try_to, os.rmdir, path)


def _try_to(remove: Callable[[str], None], path: str) -> None:
    with contextlib.suppress(OSError):
        remove(path)


# --- cartridges -----------------------------------------------------------------------------------------------------


def add_cartridge(
    directory: str | os.PathLike[str],
    barcode: str,
    *,
    slot: int | None = None,
    port: int | None = None,
    capacity_bytes: int | None = None,
    sides: int = 1,
    from_file: str | os.PathLike[str] | None = None,
    media_type: str | None = None,
    write_protected: bool = False,
    cleaner: bool = False,
) -> AddedCartridge:
    """Make a cartridge and put it into a slot or port, else into the first empty slot, and say where it is.

    `capacity_bytes` is that of each side; None is 10^9, or the length of `from_file` where that is more. `from_file` is
    copied as what is recorded on the first side. `media_type` None is the library's. `cleaner`: one that cleans drives.

    Raises:
        InvalidNameError: the bar code is none, or the media type has not 1 to 63 printable characters.
        InvalidParameterError: both a slot and a port are named; it cannot have so many sides or such a capacity;
            `from_file` is no regular file or longer than the capacity.
        InvalidLibraryError: the directory holds no library.
        UnknownElementError: there is no such slot or port.
        DestinationFullError: the slot or port is full.
        LibraryFullError: no slot is empty.
        AlreadyExistsError: a cartridge with that bar code is in the library.
        BusyError: another process held the robot all the time.
        RsmError: it cannot be made, by `error_from_os`; unless `outcome_unknown`, nothing of it stays.
    """
    path = os.path.abspath(os.fspath(directory))
    if fault := barcode_fault(barcode):
        raise InvalidNameError(f"{printable(barcode)!r} is no bar code: {fault}")
    if slot is not None and port is not None:
        raise InvalidParameterError("a cartridge is put into a slot or a port, not both")
    if type(sides) is not int or not 1 <= sides <= MAXIMUM_SIDES:
        raise InvalidParameterError(f"a cartridge has 1 to {MAXIMUM_SIDES} sides")
    with opened_directory(path) as root:
        layout = read_layout(root, path)
        if fault := text_fault(layout.media_type if media_type is None else media_type):
            raise InvalidNameError(f"the media type {fault}")
        _choose_element(root, layout, path, barcode, slot, port)  # before a long copy is made for nothing
        with _opened_recording(from_file, capacity_bytes) as (recording, capacity):
            facts = CartridgeFacts(
                media_type or layout.media_type, side_names(sides), capacity, write_protected, cleaner
            )
            with _made_aside(path, facts, layout.disk, recording, from_file) as new_name:
                with robot_held(root, path, LOCK_WAIT_SECONDS):
                    element = _choose_element(root, layout, path, barcode, slot, port)
                    _put_in(root, path, new_name, element, barcode)
    place = f"{path}/{element.name}/{barcode}"
    return AddedCartridge(barcode, element.name, place, facts.media_type, sides, capacity, write_protected)


def make_cartridge(
    folder: str | os.PathLike[str],
    barcode: str,
    media_type: str,
    *,
    capacity_bytes: int | None = None,
    sides: int = 1,
    from_file: str | os.PathLike[str] | None = None,
    disk: bool = False,
    write_protected: bool = False,
) -> AddedCartridge:
    """Make a cartridge in any folder, as on a shelf, from where a person may put it into a library or a drive.

    The arguments are those of `add_cartridge`; `disk`: its sides are folders, not files.

    Raises:
        InvalidNameError: the bar code is none, or the media type has not 1 to 63 printable characters.
        InvalidParameterError: it cannot have so many sides or such a capacity; `from_file` is no regular file or longer
            than the capacity.
        DeviceNotAvailableError: the folder is not there.
        AlreadyExistsError: something of that name is in it.
        RsmError: it cannot be made, by `error_from_os`; nothing of it stays.
    """
    path = os.path.abspath(os.fspath(folder))
    if fault := barcode_fault(barcode):
        raise InvalidNameError(f"{printable(barcode)!r} is no bar code: {fault}")
    if fault := text_fault(media_type):
        raise InvalidNameError(f"the media type {fault}")
    if type(sides) is not int or not 1 <= sides <= MAXIMUM_SIDES:
        raise InvalidParameterError(f"a cartridge has 1 to {MAXIMUM_SIDES} sides")
    place = f"{path}/{barcode}"
    with opened_directory(path) as root, _opened_recording(from_file, capacity_bytes) as (recording, capacity):
        facts = CartridgeFacts(media_type, side_names(sides), capacity, write_protected)
        if os.path.lexists(place):
            raise AlreadyExistsError(f"{printable(place)} is there already")
        with _made_aside(path, facts, disk, recording, from_file) as new_name:
            with os_errors_of(place):
                os.rename(new_name, barcode, src_dir_fd=root, dst_dir_fd=root)
            with os_errors_of(path, outcome_unknown=True):
                os.fsync(root)
    return AddedCartridge(barcode, os.path.basename(path), place, media_type, sides, capacity, write_protected)


def _choose_element(root: int, layout: Layout, path: str, barcode: str, slot: int | None, port: int | None) -> Element:
    """Return where a cartridge goes, once it is seen that there is room and its bar code is new."""
    kind, number = (ElementKind.PORT, port) if port is not None else (ElementKind.SLOT, slot)
    candidates = [each for each in layout.of_kind(kind) if number in (None, each.number)]
    if not candidates:
        raise UnknownElementError(f"{printable(path)} has no {kind} {number}")
    if number is not None and _names_in(root, path, candidates[0]):
        raise DestinationFullError(f"{printable(path)}/{candidates[0].name} is full")
    contents: dict[Element, tuple[str, ...]] = {}
    for element in layout.elements.values():
        if element.kind is not ElementKind.TRANSPORT:
            with contextlib.suppress(RsmError):  # a broken element is not chosen, and keeps nobody from the others
                contents[element] = _names_in(root, path, element)
    holder = next((element.name for element, names in contents.items() if barcode in names), None)
    if holder is not None:
        raise AlreadyExistsError(f"{printable(path)}/{holder} holds a cartridge with the bar code {barcode} already")
    empty = [each for each in candidates if contents.get(each) == ()]
    if not empty:
        raise LibraryFullError(f"{printable(path)} has no empty slot")
    return empty[0]


def _names_in(root: int, path: str, element: Element) -> tuple[str, ...]:
    with opened_element(root, path, element) as folder:
        return list_names(folder, f"{path}/{element.name}")


@contextlib.contextmanager
def _opened_recording(
    from_file: str | os.PathLike[str] | None, capacity_bytes: int | None
) -> Iterator[tuple[int | None, int]]:
    """Yield a descriptor of what is to be copied, None for nothing, and the capacity of a side in bytes."""
    capacity = DEFAULT_CAPACITY_BYTES if capacity_bytes is None else capacity_bytes
    if type(capacity) is not int or not 1 <= capacity <= MAXIMUM_CAPACITY_BYTES:
        raise InvalidParameterError(f"a side holds 1 to {MAXIMUM_CAPACITY_BYTES} bytes")
    if from_file is None:
        yield None, capacity
        return
    name = os.fspath(from_file)
    with os_errors_of(name):
        recording = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        with os_errors_of(name):
            status = os.fstat(recording)
        if not stat.S_ISREG(status.st_mode):
            raise InvalidParameterError(f"{printable(name)} is not a regular file")
        if capacity_bytes is None:
            capacity = max(capacity, status.st_size)
        if status.st_size > capacity:
            raise InvalidParameterError(
                f"{printable(name)} has {status.st_size} bytes, more than the {capacity} that a side holds"
            )
        yield recording, capacity
    finally:
        os.close(recording)


@contextlib.contextmanager
def _made_aside(
    path: str, facts: CartridgeFacts, disk: bool, recording: int | None, from_file: object
) -> Iterator[str]:
    """Yield the name, which is no bar code, of a whole cartridge in the directory; what is left there is removed."""
    new_name = f".new-{uuid.uuid4().hex}"
    new_path = f"{path}/{new_name}"
    try:
        with os_errors_of(new_path):
            os.mkdir(new_path)
            for number, side in enumerate(facts.sides):
                if disk:
                    os.mkdir(f"{new_path}/{side}")
                file_name = f"{new_path}/{side}/{DATA_FILE}" if disk else f"{new_path}/{side}"
                if not disk or (recording is not None and number == 0):
                    _copy(recording if number == 0 else None, file_name, facts.capacity_bytes, from_file)
            with opened_directory(new_path) as folder:
                write_file(folder, CARTRIDGE_FILE, format_facts(facts))
                os.fsync(folder)
        yield new_name
    finally:
        shutil.rmtree(new_path, ignore_errors=True)


def _copy(recording: int | None, file_name: str, capacity_bytes: int, from_file: object) -> None:
    target = os.open(file_name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        copied = 0
        while recording is not None and (piece := os.pread(recording, _PIECE_BYTES, copied)):
            copied += len(piece)
            if copied > capacity_bytes:
                raise InvalidParameterError(f"{printable(str(from_file))} has grown beyond what a side holds")
            view = memoryview(piece)
            while view:
                view = view[os.write(target, view) :]
        os.fsync(target)
    finally:
        os.close(target)


def _put_in(root: int, path: str, new_name: str, element: Element, barcode: str) -> None:
    element_path = f"{path}/{element.name}"
    with opened_element(root, path, element) as folder:
        with os_errors_of(f"{element_path}/{barcode}"):
            os.rename(new_name, barcode, src_dir_fd=root, dst_dir_fd=folder)
        with os_errors_of(element_path, outcome_unknown=True):
            os.fsync(folder)
            os.fsync(root)
