"""What lies in a virtual library's directory: its elements, `library.toml`, and cartridges with their `cartridge.toml`.

Owns the names on disk, the two TOML files, and the way folders are opened: from the directory downwards, one name at a
time, never through a symbolic link and never onto another file system. It moves nothing and reads no recorded data.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import stat
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from rsm.errors import DeviceNotAvailableError, InvalidLibraryError
from rsm.libraries.base import (
    Cartridge,
    ElementKind,
    ElementNotAccessibleError,
    SourceEmptyError,
    barcode_fault,
    os_errors_of,
    printable,
)

LIBRARY_FILE, CARTRIDGE_FILE, ROBOT_FILE = "library.toml", "cartridge.toml", ".robot"
MAXIMUM_SIDES = 2
MAXIMUM_NAME = 63
MAXIMUM_CAPACITY_BYTES = 2**63 - 1
MOST_DOORS = 9
MOST_ELEMENTS: Final = {ElementKind.SLOT: 9999, ElementKind.PORT: 99, ElementKind.DRIVE: 99}
TRANSPORT_ADDRESS = 1
_FIRST_ADDRESS: Final = {ElementKind.SLOT: 1001, ElementKind.PORT: 201, ElementKind.DRIVE: 101}
_DIGITS: Final = {ElementKind.SLOT: 4, ElementKind.PORT: 2, ElementKind.DRIVE: 2}
_LONGEST_FILE = 65_536
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Element:
    """A slot, port or drive, and the robot arm, whose `name` is that of its lock file."""

    address: int
    kind: ElementKind
    number: int
    name: str

    @property
    def link_name(self) -> str:
        """The name of a drive's link to the side in it."""
        return f"{self.name}.media"


@dataclass(frozen=True)
class Layout:
    """What `library.toml` says. Sides are files where `disk` is false, directories where it is true."""

    name: str
    media_type: str
    disk: bool
    slots: int
    drives: int
    ports: int
    doors: int = 0

    @functools.cached_property
    def elements(self) -> dict[int, Element]:
        """All elements by address: the arm, slots, ports, drives."""
        found = [Element(TRANSPORT_ADDRESS, ElementKind.TRANSPORT, 1, ROBOT_FILE)]
        counts = ((ElementKind.SLOT, self.slots), (ElementKind.PORT, self.ports), (ElementKind.DRIVE, self.drives))
        for kind, count in counts:
            for number in range(1, count + 1):
                name = f"{kind}-{number:0{_DIGITS[kind]}d}"
                found.append(Element(_FIRST_ADDRESS[kind] + number - 1, kind, number, name))
        return {element.address: element for element in found}

    def of_kind(self, kind: ElementKind) -> list[Element]:
        """Return the elements of one kind by number."""
        return [element for element in self.elements.values() if element.kind is kind]


@dataclass(frozen=True, slots=True)
class CartridgeFacts:
    """What `cartridge.toml` says; `capacity_bytes` is that of each side, `cleaner` one that cleans drives."""

    media_type: str
    sides: tuple[str, ...]
    capacity_bytes: int
    write_protected: bool
    cleaner: bool = False

    def seen_from_outside(self) -> Cartridge:
        """Return what the library tells about it."""
        cleaner = True if self.cleaner else None
        return Cartridge(self.media_type, len(self.sides), self.capacity_bytes, self.write_protected, cleaner)


class DamagedCartridgeError(ElementNotAccessibleError):
    """The cartridge is there and can be carried, and does not count: no drive takes it."""


# --- the two files --------------------------------------------------------------------------------------------------


def side_names(count: int) -> tuple[str, ...]:
    """Return the names of a cartridge's sides."""
    return tuple(f"side-{number}" for number in range(1, count + 1))


def text_fault(text: object) -> str | None:
    """Return why `text` is no name of a library or media type, None if it is one."""
    if not isinstance(text, str) or not text or len(text) > MAXIMUM_NAME or not text.isprintable():
        return f"has to be text of 1 to {MAXIMUM_NAME} printable characters"
    return None


def count_fault(kind: ElementKind, count: object) -> str | None:
    """Return why a library has no such number of elements, None if it may."""
    least = 0 if kind is ElementKind.PORT else 1
    if type(count) is not int or not least <= count <= MOST_ELEMENTS[kind]:
        return f"has to be a number from {least} to {MOST_ELEMENTS[kind]}"
    return None


def doors_fault(count: object) -> str | None:
    """Return why a library has no such number of doors, None if it may."""
    return None if type(count) is int and 0 <= count <= MOST_DOORS else f"has to be a number from 0 to {MOST_DOORS}"


def format_layout(layout: Layout) -> bytes:
    """Return the text of `library.toml`."""
    return (
        "# A virtual media library. Cartridges may be put into slots and ports, and taken out, with mv.\n"
        f"name = {_quoted(layout.name)}\n"
        f"media_type = {_quoted(layout.media_type)}\n"
        f'side_kind = "{"directory" if layout.disk else "file"}"\n'
        "\n[elements]\n"
        f"slots = {layout.slots}\ndrives = {layout.drives}\nports = {layout.ports}\n"
        + (f"doors = {layout.doors}\n" if layout.doors else "")
    ).encode()


def format_facts(facts: CartridgeFacts) -> bytes:
    """Return the text of `cartridge.toml`."""
    return (
        f"media_type = {_quoted(facts.media_type)}\n"
        f"sides = {json.dumps(list(facts.sides))}\n"
        f"capacity_bytes = {facts.capacity_bytes}  # of each side\n"
        f"write_protected = {'true' if facts.write_protected else 'false'}\n"
        + ("cleaner = true\n" if facts.cleaner else "")
    ).encode()


def _quoted(text: str) -> str:
    # Of printable text JSON escapes only the quote and the backslash, as TOML does.
    return json.dumps(text, ensure_ascii=False)


def parse_layout(content: bytes, path: str) -> Layout:
    """Return what `library.toml` says.

    Raises:
        InvalidLibraryError: it is no TOML, or says something that cannot be.
    """
    document, fault = _parse_toml(content)
    elements = document.get("elements")
    counts = elements if isinstance(elements, dict) else {}
    faults = {
        "name": text_fault(document.get("name")),
        "media_type": text_fault(document.get("media_type")),
        "side_kind": None if document.get("side_kind") in ("file", "directory") else 'has to be "file" or "directory"',
        "elements.slots": count_fault(ElementKind.SLOT, counts.get("slots")),
        "elements.drives": count_fault(ElementKind.DRIVE, counts.get("drives")),
        "elements.ports": count_fault(ElementKind.PORT, counts.get("ports")),
        "elements.doors": doors_fault(counts.get("doors", 0)),
    }
    fault = fault or _first_fault(faults)
    if fault:
        raise InvalidLibraryError(f"{printable(path)} is damaged: {fault}")
    return Layout(
        name=document["name"],
        media_type=document["media_type"],
        disk=document["side_kind"] == "directory",
        slots=counts["slots"],
        drives=counts["drives"],
        ports=counts["ports"],
        doors=counts.get("doors", 0),
    )


def parse_facts(content: bytes, path: str) -> CartridgeFacts:
    """Return what `cartridge.toml` says.

    Raises:
        DamagedCartridgeError: it is no TOML, or says something that cannot be.
    """
    document, fault = _parse_toml(content)
    sides, capacity = document.get("sides"), document.get("capacity_bytes")
    possible = [list(side_names(count)) for count in range(1, MAXIMUM_SIDES + 1)]
    capacity_is_one = type(capacity) is int and 1 <= capacity <= MAXIMUM_CAPACITY_BYTES
    protection_is_one = isinstance(document.get("write_protected"), bool)
    cleaner = document.get("cleaner", False)
    faults = {
        "media_type": text_fault(document.get("media_type")),
        "sides": None if sides in possible else 'has to be ["side-1"] or ["side-1", "side-2"]',
        "capacity_bytes": None if capacity_is_one else f"has to be a number from 1 to {MAXIMUM_CAPACITY_BYTES}",
        "write_protected": None if protection_is_one else "has to be true or false",
        "cleaner": None if isinstance(cleaner, bool) else "has to be true or false",
    }
    fault = fault or _first_fault(faults)
    if fault:
        raise DamagedCartridgeError(f"{printable(path)} is damaged: {fault}")
    return CartridgeFacts(
        document["media_type"],
        tuple(document["sides"]),
        document["capacity_bytes"],
        document["write_protected"],
        cleaner,
    )


def _parse_toml(content: bytes) -> tuple[dict[str, Any], str | None]:
    try:
        return tomllib.loads(content.decode()), None
    except (ValueError, RecursionError) as error:  # undecodable text, numbers without end and nesting without end too
        return {}, f"it is no TOML ({printable(str(error))})"


def _first_fault(faults: dict[str, str | None]) -> str | None:
    return next((f"{key} {fault}" for key, fault in faults.items() if fault), None)


# --- folders and files, never through a link ------------------------------------------------------------------------


@contextlib.contextmanager
def opened_directory(directory: str) -> Iterator[int]:
    """Yield a descriptor of the library's directory itself, which may be reached through a link.

    Raises:
        DeviceNotAvailableError: it is not there, or no directory.
        RsmError: it cannot be opened, by `error_from_os`.
    """
    with os_errors_of(directory):
        try:
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise DeviceNotAvailableError(f"{printable(directory)} is not there or no directory") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def opened_folder(parent: int, name: str, path: str) -> Iterator[int]:
    """Yield a descriptor of the folder `name` in `parent`; `path` is for messages.

    Raises:
        FileNotFoundError: there is nothing of that name.
        ElementNotAccessibleError: it is a symbolic link, no folder, or on another file system.
        RsmError: it cannot be opened, by `error_from_os`.
    """
    descriptor = _open_checked(parent, name, path, _FOLDER_FLAGS, folder=True)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read_file(parent: int, name: str, path: str) -> bytes:
    """Return the whole of a small file.

    Raises:
        FileNotFoundError: there is nothing of that name.
        ElementNotAccessibleError: it is a symbolic link, no regular file, longer than 64 KiB or elsewhere.
        RsmError: it cannot be read, by `error_from_os`.
    """
    descriptor = _open_checked(parent, name, path, _FILE_FLAGS, folder=False)
    try:
        with os_errors_of(path):
            content = b""
            while len(content) <= _LONGEST_FILE and (piece := os.read(descriptor, _LONGEST_FILE + 1)):
                content += piece
    finally:
        os.close(descriptor)
    if len(content) > _LONGEST_FILE:
        raise ElementNotAccessibleError(f"{printable(path)} is longer than {_LONGEST_FILE} bytes")
    return content


def check_kind(status: os.stat_result, path: str, *, folder: bool) -> None:
    """See that a name is a folder or a regular file, as wanted.

    Raises:
        ElementNotAccessibleError: it is something else.
    """
    if stat.S_ISLNK(status.st_mode):
        raise ElementNotAccessibleError(f"{printable(path)} is a symbolic link, which is never followed")
    if folder and not stat.S_ISDIR(status.st_mode):
        raise ElementNotAccessibleError(f"{printable(path)} is not a folder")
    if not folder and not stat.S_ISREG(status.st_mode):
        raise ElementNotAccessibleError(f"{printable(path)} is not a regular file")


def _open_checked(parent: int, name: str, path: str, flags: int, *, folder: bool) -> int:
    with os_errors_of(path, FileNotFoundError):
        # Asked first, because opening some kinds of files has effects; asked again, because names can be exchanged.
        check_kind(os.stat(name, dir_fd=parent, follow_symlinks=False), path, folder=folder)
        descriptor = os.open(name, flags, dir_fd=parent)
        try:
            status = os.fstat(descriptor)
            check_kind(status, path, folder=folder)
            if status.st_dev != os.fstat(parent).st_dev:
                raise ElementNotAccessibleError(f"{printable(path)} is on another file system than the library")
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


# --- elements and cartridges ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def opened_element(root: int, directory: str, element: Element) -> Iterator[int]:
    """Yield a descriptor of an element's folder.

    Raises:
        ElementNotAccessibleError: it is missing, a link, no folder, or on another file system.
        RsmError: it cannot be opened, by `error_from_os`.
    """
    path = f"{directory}/{element.name}"
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(opened_folder(root, element.name, path))
        except FileNotFoundError as error:
            raise ElementNotAccessibleError(f"{printable(path)} is missing") from error
        yield folder


def list_names(folder: int, path: str) -> tuple[str, ...]:
    """Return the names in an element's folder, sorted; those with a leading dot are nobody's cartridge.

    Raises:
        RsmError: it cannot be read, by `error_from_os`.
    """
    with os_errors_of(path):
        return tuple(sorted(name for name in os.listdir(folder) if not name.startswith(".")))


def only_name(names: tuple[str, ...], path: str) -> str:
    """Return the one bar code in an element.

    Raises:
        SourceEmptyError: it is empty.
        ElementNotAccessibleError: it holds more than one thing, or one whose name is no bar code.
    """
    if not names:
        raise SourceEmptyError(f"{printable(path)} is empty")
    if len(names) > 1:
        shown = ", ".join(map(printable, names[:3])) + (", …" if len(names) > 3 else "")
        raise ElementNotAccessibleError(f"{printable(path)} holds {len(names)} things at once: {shown}")
    fault = barcode_fault(names[0])
    if fault:
        raise ElementNotAccessibleError(f"{printable(path)}/{printable(names[0])} is no cartridge: {fault}")
    return names[0]


def read_facts(cartridge: int, path: str) -> CartridgeFacts:
    """Return what a cartridge says about itself, once all its sides are seen to be there.

    Raises:
        DamagedCartridgeError: `cartridge.toml` is missing or damaged, or a side is missing or of a wrong kind.
        RsmError: something cannot be read, by `error_from_os`.
    """
    file_path = f"{path}/{CARTRIDGE_FILE}"
    try:
        facts = parse_facts(read_file(cartridge, CARTRIDGE_FILE, file_path), file_path)
        for side in facts.sides:
            check_side(cartridge, side, f"{path}/{side}")
    except FileNotFoundError as error:
        raise DamagedCartridgeError(f"{printable(file_path)} is missing") from error
    except DamagedCartridgeError:
        raise
    except ElementNotAccessibleError as error:
        raise DamagedCartridgeError(str(error)) from error
    return facts


def check_side(cartridge: int, side: str, path: str) -> os.stat_result:
    """Return the status of a side, which is a regular file or a folder of the cartridge's own.

    Raises:
        ElementNotAccessibleError: it is missing, a link or anything else.
        RsmError: it cannot be looked at, by `error_from_os`.
    """
    with os_errors_of(path):
        try:
            status = os.stat(side, dir_fd=cartridge, follow_symlinks=False)
        except FileNotFoundError as error:
            raise ElementNotAccessibleError(f"{printable(path)} is missing") from error
    check_kind(status, path, folder=stat.S_ISDIR(status.st_mode))
    return status


def read_layout(root: int, directory: str) -> Layout:
    """Return what the `library.toml` of an open directory says.

    Raises:
        InvalidLibraryError: it is missing, damaged, a link or no regular file.
        RsmError: it cannot be read, by `error_from_os`.
    """
    path = f"{directory}/{LIBRARY_FILE}"
    try:
        return parse_layout(read_file(root, LIBRARY_FILE, path), path)
    except FileNotFoundError as error:
        raise InvalidLibraryError(f"{printable(directory)} is no virtual library: it has no {LIBRARY_FILE}") from error
    except ElementNotAccessibleError as error:
        raise InvalidLibraryError(str(error)) from error


def write_file(folder: int, name: str, content: bytes) -> None:
    """Make a small file and see it on the disk.

    Raises:
        OSError: it is there already, or cannot be written.
    """
    descriptor = os.open(
        name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=folder
    )
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
