"""`rsm virtual`: libraries and cartridges made from the command line, without any catalogue."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from rsm.cli.virtual import parse_size
from rsm.libraries.virtual import VirtualLibrary

Command = Callable[..., Any]
CREATE = ("--slots", "3", "--drives", "2", "--ports", "1", "--type", "LTO-8")


@pytest.fixture
def folder(rsm_command: Command, tmp_path: Path) -> Path:
    path = tmp_path / "robot"
    assert rsm_command("virtual", "create", str(path), *CREATE).status == 0
    return path


@pytest.mark.parametrize(("options", "disk"), [((), False), (("--disk",), True)])
def test_create_answers_in_each_form(
    rsm_command: Command, catalogue: Path, tmp_path: Path, options: tuple[str, ...], disk: bool
) -> None:
    before = catalogue.read_bytes()
    for form in ("--json", "--plain", "--people"):
        path = tmp_path / form
        words = ("virtual", "create", str(path), *CREATE, *options)
        answer = rsm_command(*words) if form == "--people" else rsm_command(form, *words)
        assert (answer.status, answer.err) == (0, "")
        assert str(path) in answer.out
        if form == "--json":
            counts = {"slots": 3, "drives": 2, "ports": 1}
            assert answer.document == {"directory": str(path), **counts, "media_type": "LTO-8", "disk": disk}
        if form == "--plain":
            assert answer.lines == [[str(path)]]
        identity = VirtualLibrary(path).read_identity()
        assert (identity.slots, len(identity.drives), identity.ports) == (3, 2, 1)
        assert (identity.name, identity.media_types) == (form, ("LTO-8",))
        assert rsm_command("virtual", "add-cartridge", str(path), "--barcode", "A").status == 0
        assert (path / "slot-0001" / "A" / "side-1").is_dir() is disk
    assert catalogue.read_bytes() == before


def test_add_cartridge_answers_in_each_form(rsm_command: Command, folder: Path, tmp_path: Path) -> None:
    add = ("virtual", "add-cartridge", str(folder), "--barcode")
    assert rsm_command(*add, "A00001").out == "The cartridge A00001 is in slot-0001.\n"
    recording = tmp_path / "recording"
    recording.write_bytes(b"recorded")
    words = (*add, "B00002", "--port", "1", "--capacity", "2MiB", "--sides", "2", "--from", str(recording))
    path = folder / "port-01" / "B00002"
    assert rsm_command("--json", *words).document == {
        "barcode": "B00002",
        "element": "port-01",
        "path": str(path),
        "media_type": "LTO-8",
        "sides": 2,
        "capacity_bytes": 2 * 2**20,
        "write_protected": False,
    }
    assert ((path / "side-1").read_bytes(), (path / "side-2").read_bytes()) == (b"recorded", b"")
    assert rsm_command("--plain", *add, "C00003", "--slot", "3").lines == [[str(folder / "slot-0003" / "C00003")]]


@pytest.mark.parametrize(
    ("words", "name", "code"),
    [
        (("--barcode", "A/1"), "ERROR_INVALID_NAME", 123),
        (("--barcode", ""), "ERROR_INVALID_NAME", 123),
        (("--barcode", "\udcff"), "ERROR_INVALID_NAME", 123),
        (("--barcode", "A", "--slot", "4"), "ERROR_RESOURCE_NOT_PRESENT", 4316),
        (("--barcode", "A", "--slot", "-1"), "ERROR_RESOURCE_NOT_PRESENT", 4316),
        (("--barcode", "A", "--sides", "3"), "ERROR_INVALID_PARAMETER", 87),
        (("--barcode", "A", "--capacity", "9999999PB"), "ERROR_INVALID_PARAMETER", 87),
        (("--barcode", "A", "--from", "/no/such/file"), "ERROR_RESOURCE_NOT_PRESENT", 4316),
        (("--barcode", "TAKEN"), "ERROR_ALREADY_EXISTS", 183),
    ],
)
def test_cartridge_that_cannot_be_added(
    rsm_command: Command, folder: Path, words: tuple[str, ...], name: str, code: int
) -> None:
    assert rsm_command("virtual", "add-cartridge", str(folder), "--barcode", "TAKEN").status == 0
    answer = rsm_command("--json", "virtual", "add-cartridge", str(folder), *words)
    assert (answer.status, answer.out) == (1, "")
    assert (answer.error["error"], answer.error["code"]) == (name, code)
    assert [path.name for path in folder.glob("*-*/*")] == ["TAKEN"]


def test_library_that_cannot_be_made_or_is_none(rsm_command: Command, folder: Path, tmp_path: Path) -> None:
    for path, words, says in (
        (folder, CREATE, "ERROR_ALREADY_EXISTS (183)"),
        (tmp_path / "new", ("--slots", "0", *CREATE[2:]), "ERROR_INVALID_PARAMETER (87)"),
        (tmp_path / "new", (*CREATE[:-1], ""), "ERROR_INVALID_NAME (123)"),
    ):
        answer = rsm_command("virtual", "create", str(path), *words)
        assert (answer.status, answer.out) == (1, "")
        assert says in answer.err
    assert not (tmp_path / "new").exists()
    for path in (tmp_path, tmp_path / "new"):
        answer = rsm_command("virtual", "add-cartridge", str(path), "--barcode", "A")
        assert (answer.status, len(answer.err.splitlines())) == (1, 1)
        assert str(path) in answer.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("create",), "Missing argument"),
        (("create", "new"), "Missing option"),
        (("create", "new", "--slots", "many"), "--slots"),
        (("add-cartridge", "robot"), "--barcode"),
        (("add-cartridge", "robot", "--barcode", "A", "--slot", "1", "--port", "1"), "exclude each other"),
        (("add-cartridge", "robot", "--barcode", "A", "--capacity", "10M"), "'10M' is no size"),
    ],
)
def test_wrong_usage(rsm_command: Command, words: tuple[str, ...], says: str) -> None:
    answer = rsm_command("virtual", *words)
    assert (answer.status, answer.out) == (2, "")
    assert says in answer.err


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("1B", 1),
        ("1kB", 10**3),
        ("1MB", 10**6),
        ("1mb", 10**6),
        ("1 MiB", 2**20),
        ("1.5KiB", 1536),
        ("12TB", 12 * 10**12),
        ("2GiB", 2**31),
        ("1PiB", 2**50),
        ("0.1GB", 10**8),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "0", "0.0MB", "-1MB", "MB", "1 M", "1K", "1.5B", "1e6", "١MB", "1MBs", "1,5MB", "1" * 31, "1MB\n1"]
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_size(text)
