"""Making virtual libraries and cartridges: what is refused, and that nothing of it stays."""

import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
from libraries.support import DRIVE, PORT, recorded, refused

import rsm
from rsm.libraries import virtual
from rsm.libraries.base import DestinationFullError, ElementNotAccessibleError, UnknownElementError
from rsm.libraries.virtual import VirtualLibrary


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((0, 1, 1, "LTO-8"), rsm.InvalidParameterError),
        ((10_000, 1, 1, "LTO-8"), rsm.InvalidParameterError),
        ((1, 0, 1, "LTO-8"), rsm.InvalidParameterError),
        ((1, 100, 1, "LTO-8"), rsm.InvalidParameterError),
        ((1, 1, -1, "LTO-8"), rsm.InvalidParameterError),
        ((True, 1, 1, "LTO-8"), rsm.InvalidParameterError),
        ((1, 1, 1, ""), rsm.InvalidNameError),
        ((1, 1, 1, "x" * 64), rsm.InvalidNameError),
        ((1, 1, 1, "LTO\n8"), rsm.InvalidNameError),
        ((1, 1, 1, "LTO-8", False, ""), rsm.InvalidNameError),
    ],
)
def test_library_that_cannot_be_is_not_made(
    tmp_path: Path, arguments: tuple[Any, ...], error: type[rsm.RsmError]
) -> None:
    with refused(error):
        virtual.create(tmp_path / "new", *arguments)
    assert not (tmp_path / "new").exists()


def test_library_is_made_in_an_empty_directory_only(library: VirtualLibrary, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir(mode=0o750)
    virtual.create(tmp_path / "empty", 1, 1, 0, "LTO-8")
    assert stat.S_IMODE((tmp_path / "empty").stat().st_mode) == 0o750
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    for taken in (library.directory, tmp_path / "file", tmp_path / "dangling"):
        with refused(rsm.AlreadyExistsError, taken):
            virtual.create(taken, 1, 1, 0, "LTO-8")
    for below in (tmp_path / "file" / "new", tmp_path / "file" / "new" / "er"):
        with refused(rsm.AlreadyExistsError if below.parent.name == "file" else ElementNotAccessibleError, below):
            virtual.create(below, 1, 1, 0, "LTO-8")
    VirtualLibrary(tmp_path / "empty").claim(1)


@pytest.mark.parametrize(
    ("barcode", "options", "error"),
    [
        ("", {}, rsm.InvalidNameError),
        ("../A", {}, rsm.InvalidNameError),
        (".A", {}, rsm.InvalidNameError),
        ("\udcff", {}, rsm.InvalidNameError),
        ("N", {"media_type": ""}, rsm.InvalidNameError),
        ("N", {"slot": 5, "port": 1}, rsm.InvalidParameterError),
        ("N", {"sides": 0}, rsm.InvalidParameterError),
        ("N", {"sides": 3}, rsm.InvalidParameterError),
        ("N", {"capacity_bytes": 0}, rsm.InvalidParameterError),
        ("N", {"capacity_bytes": 2**63}, rsm.InvalidParameterError),
        ("N", {"slot": 0}, UnknownElementError),
        ("N", {"slot": 7}, UnknownElementError),
        ("N", {"port": 2}, UnknownElementError),
        ("N", {"slot": 1}, DestinationFullError),
        ("A00001", {}, rsm.AlreadyExistsError),
        ("A00001", {"slot": 1}, DestinationFullError),
        ("N", {"from_file": "/etc"}, rsm.InvalidParameterError),
        ("N", {"from_file": "/dev/zero"}, rsm.InvalidParameterError),
        ("N", {"from_file": "/no/such/file"}, rsm.ResourceNotPresentError),
        ("N", {"from_file": __file__, "capacity_bytes": 10}, rsm.InvalidParameterError),
    ],
)
def test_cartridge_that_cannot_be_added_leaves_nothing(
    library: VirtualLibrary, barcode: str, options: dict[str, Any], error: type[rsm.RsmError]
) -> None:
    before = sorted(os.walk(library.directory))
    with refused(error):
        virtual.add_cartridge(library.directory, barcode, **options)
    assert sorted(os.walk(library.directory)) == before


@pytest.mark.parametrize("kind", ["virtual tape", "virtual disk"])
def test_cartridge_begins_with_what_is_in_the_file(
    virtual_templates: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    folder = shutil.copytree(virtual_templates[kind], tmp_path / "library")
    recording = tmp_path / "old tape"
    with recording.open("wb") as file:
        file.truncate(2**21 + 1)
        file.seek(2**20 - 1)
        file.write(b"data")
    added = virtual.add_cartridge(folder, "N00005", port=1, sides=2, from_file=recording)
    assert (added.element, added.sides, added.capacity_bytes) == ("port-01", 2, 10**9)
    library = VirtualLibrary(folder)
    library.move(PORT + 1, DRIVE + 1, 1)
    assert recorded(library) == recording.read_bytes()
    assert recorded(library, 2) == b""


def test_cartridges_fill_the_slots_in_order_and_then_no_more(library: VirtualLibrary) -> None:
    (Path(library.directory) / "slot-0005").rmdir()
    assert virtual.add_cartridge(library.directory, "N1").element == "slot-0006"
    with refused(rsm.LibraryFullError, library.directory):
        virtual.add_cartridge(library.directory, "N2")
    with refused(ElementNotAccessibleError, "slot-0005"):
        virtual.add_cartridge(library.directory, "N2", slot=5)
    assert virtual.add_cartridge(library.directory, "N2", port=1).element == "port-01"
