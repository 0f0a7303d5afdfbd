"""Library devices to test: the same small library on every back-end."""

import fcntl
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from rsm.libraries import (
    open_library,
    virtual,
    virtual_files,
    virtual_make,
    virtual_robot,
    virtual_sides,
)
from rsm.libraries.base import ElementStatus, LibraryBackend, SideStatus
from rsm.libraries.standalone import DRIVE_ADDRESS, StandaloneDirectory

CAPACITY_BYTES = 1000

# Bar code, slot, sides, write protection, media type; the slots after these are empty.
CARTRIDGES = (
    ("A00001", 1, 1, False, "LTO-8"),
    ("B00002", 2, 2, False, "LTO-8"),
    ("P00003", 3, 1, True, "LTO-8"),
    ("X00004", 4, 1, False, "LTO-3"),
)
SLOTS, DRIVES, PORTS = 6, 2, 1


@dataclass(frozen=True)
class Bench:
    """One library of six slots, two drives and a port, with the four cartridges of `CARTRIDGES`."""

    device: LibraryBackend

    def statuses(self) -> dict[str, ElementStatus]:
        """Return the statuses of all elements by kind and number, as `slot 1`."""
        return {f"{status.kind} {status.number}": status for status in self.device.read_elements()}

    def at(self, place: str | int) -> int:
        """Return the address of an element given as `slot 1`; a number is returned as it is."""
        return place if isinstance(place, int) else self.statuses()[place].address

    def places(self) -> dict[str, str]:
        """Return where each bar code is, having seen that none is in two places."""
        found = [(status.barcode, place) for place, status in self.statuses().items() if status.barcode]
        assert len(dict(found)) == len(found)
        return dict(found)

    def move(self, source: str | int, destination: str | int, epoch: int = 1, **options: Any) -> None:
        """Move a cartridge between places."""
        self.device.move(self.at(source), self.at(destination), epoch, **options)


def make_virtual(folder: Path, *, disk: bool = False) -> None:
    """Make the library of the tests as a virtual one."""
    virtual.create(folder, SLOTS, DRIVES, PORTS, "LTO-8", disk, name="library")
    for barcode, slot, sides, protected, media_type in CARTRIDGES:
        virtual.add_cartridge(
            folder,
            barcode,
            slot=slot,
            sides=sides,
            capacity_bytes=CAPACITY_BYTES,
            write_protected=protected,
            media_type=media_type,
        )


@pytest.fixture(scope="session")
def virtual_templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Virtual libraries to be copied: making one waits for the disk often."""
    folder = tmp_path_factory.mktemp("libraries")
    made = {"virtual tape": folder / "tape", "virtual disk": folder / "disk"}
    for name, path in made.items():
        make_virtual(path, disk=name == "virtual disk")
    return made


def open_virtual(kind: str, templates: dict[str, Path], folder: Path) -> Bench:
    """Open a copy of a virtual library."""
    shutil.copytree(templates[kind], folder)
    return Bench(open_library("virtual", str(folder)))


class FedBench:
    """Two stand-alone drives, the slots of a virtual library as shelves beside them, and the hands that feed them.

    A person carries here, so what `move` does is no robot's doing.
    """

    def __init__(self, shelves: Path) -> None:
        self.folders = {"slot": shelves, "drive": shelves.with_name("drives")}
        for number in range(1, DRIVES + 1):
            self.folder(f"drive {number}").mkdir(parents=True)
        paths = [self.folder(f"drive {number}") for number in range(1, DRIVES + 1)]
        self.drives = {number: StandaloneDirectory(f"{path}/") for number, path in enumerate(paths, start=1)}
        self.device = self

    def folder(self, place: str) -> Path:
        kind, number = place.split()
        return self.folders[kind] / f"{kind}-{int(number):0{4 if kind == 'slot' else 2}}"

    def at(self, place: str) -> int:
        """Return the number of a drive, as `drive 1`."""
        return int(place.removeprefix("drive "))

    def move(self, source: str, destination: str, **_: Any) -> None:
        """Carry a cartridge by hand; which side is up means nothing in a folder."""
        (cartridge,) = self.folder(source).iterdir()
        cartridge.rename(self.folder(destination) / cartridge.name)

    def claim(self, epoch: int) -> None:
        """Claim both drives."""
        for drive in self.drives.values():
            drive.claim(epoch)

    def open_side(self, drive: int, *arguments: Any, **options: Any) -> BinaryIO:
        """Open a side in one of the drives, as the two calls below."""
        return self.drives[drive].open_side(DRIVE_ADDRESS, *arguments, **options)

    def read_side(self, drive: int, side: int) -> SideStatus:
        return self.drives[drive].read_side(DRIVE_ADDRESS, side)

    def write_side(self, drive: int, *arguments: Any, **options: Any) -> None:
        self.drives[drive].write_side(DRIVE_ADDRESS, *arguments, **options)


BENCHES: dict[str, Callable[[str, dict[str, Path], Path], Bench]] = {
    "virtual tape": open_virtual,
    "virtual disk": open_virtual,
}


@pytest.fixture(params=BENCHES)
def bench(request: pytest.FixtureRequest, virtual_templates: dict[str, Path], tmp_path: Path) -> Bench:
    """Run the test on every back-end."""
    kind = str(request.param)
    return BENCHES[kind](kind, virtual_templates, tmp_path / "library")


@pytest.fixture
def virtual_folder(virtual_templates: dict[str, Path], tmp_path: Path) -> Path:
    """The directory of a tape-like virtual library."""
    return Path(shutil.copytree(virtual_templates["virtual tape"], tmp_path / "library"))


@pytest.fixture
def library(virtual_folder: Path) -> virtual.VirtualLibrary:
    """A00001, B00002, P00003 and X00004 in slots 1 to 4; slots 5 and 6, port 1, drives 1 and 2 are empty.

    Nobody is waited for who holds the robot.
    """
    return virtual.VirtualLibrary(virtual_folder, lock_wait_seconds=0.0)


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for the disk: no test here takes the power away, and those that count calls count these too."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


class Syscalls:
    """Stands before every call that the virtual library makes to the operating system.

    `act` is called with the number, from 1, and the name of each call before it is made; it may raise or do anything.
    """

    COUNTED = frozenset(
        (
            *("open", "stat", "fstat", "listdir", "read", "pread", "write", "pwrite", "rename", "symlink", "unlink"),
            *("readlink", "fsync", "mkdir", "ftruncate", "flock", "close", "makedirs"),
        )
    )

    def __init__(self) -> None:
        self.names: list[str] = []
        self.act: Callable[[int, str], None] | None = None

    def watch(self, act: Callable[[int, str], None]) -> None:
        """Count from 1 again and do this before each call."""
        self.names, self.act = [], act

    def rest(self) -> None:
        """Let calls be made as ever."""
        self.act = None

    def standing_before(self, module: object) -> object:
        """Return a module whose calls go past this watch."""
        syscalls = self

        class Standing:
            def __getattr__(self, name: str) -> object:
                real = getattr(module, name)
                if name not in syscalls.COUNTED:
                    return real

                def call(*arguments: object, **keywords: object) -> object:
                    if syscalls.act is not None:
                        syscalls.names.append(name)
                        syscalls.act(len(syscalls.names), name)
                    return real(*arguments, **keywords)

                return call

        return Standing()


@pytest.fixture
def syscalls(monkeypatch: pytest.MonkeyPatch) -> Syscalls:
    """Watch the calls of all modules of the virtual library; nothing is done before they are told what."""
    watch = Syscalls()
    for module in (virtual, virtual_files, virtual_make, virtual_robot, virtual_sides):
        monkeypatch.setattr(module, "os", watch.standing_before(os))
    monkeypatch.setattr(virtual_robot, "fcntl", watch.standing_before(fcntl))
    return watch
