"""The demonstration on a library that is there already: it asks, writes on blank cartridges, and leaves no trace."""

import errno
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rsm
from rsm.cli import demo_robot
from rsm.libraries.virtual import VirtualLibrary, add_cartridge, create
from rsm.libraries.virtual_sides import SideWriter

pytestmark = pytest.mark.works

Command = Callable[..., Any]
CAPACITY = 400_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A library with two blank cartridges, one that is not, and one whose bar code is a cleaner's."""
    path = Path(create(tmp_path / "robot", 6, 2, 1, "LTO-8"))
    for barcode in ("CLN001", "A00001", "FULL01", "A00002"):
        add_cartridge(path, barcode, capacity_bytes=CAPACITY)
    (path / "slot-0003/FULL01/side-1").write_bytes(b"somebody's")
    return path


@pytest.fixture
def demonstrate(rsm_command: Command, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run it with a source that takes more than one of the cartridges."""
    monkeypatch.delenv("RSM_DATABASE")
    for name in ("source", "scratch"):
        (tmp_path / name).mkdir()
    (tmp_path / "source/data").write_bytes(random.Random(3).randbytes(500_000))
    fixed = ("--source", str(tmp_path / "source"), "--directory", str(tmp_path / "scratch"))
    return lambda *words: rsm_command("demo", "--library", str(folder), *fixed, *words)


def contents(folder: Path) -> dict[str, bytes]:
    """Return all that is recorded in the library, by where it lies."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob("*-*/*/side-1")}


def test_demo_on_a_robot_leaves_it_as_it_was(demonstrate: Command, folder: Path, tmp_path: Path) -> None:
    before = contents(folder)
    document = demonstrate("--yes", "--json").document
    told = {step["step"]: step["result"] for step in document["steps"]}
    assert document["expected"] is True
    assert told["look for blank cartridges"] == told["make the cartridges blank again"] == "A00001, A00002"
    assert told["look into the library again"] == "4 cartridges, each where it was found"
    backed_up = document["summary"][1]
    assert (backed_up["cartridges"], backed_up["bytes"] > 500_000) == (2, True)
    assert contents(folder) == before
    assert list((tmp_path / "scratch").iterdir()) == []


def test_demo_on_a_robot_asks_first(demonstrate: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(folder)
    refused = demonstrate()
    assert (refused.status, refused.out) == (2, "")
    assert "give --yes" in refused.err
    asked = []

    def say_no(_: object, question: str, yes: bool) -> None:
        asked.append((question, yes))
        raise rsm.CancelledError("not confirmed, nothing was done")

    monkeypatch.setattr("rsm.cli.run.Run.need_answer", lambda *_: None)
    monkeypatch.setattr("rsm.cli.run.Run.ask", say_no)
    assert demonstrate().err == "ERROR_CANCELLED (1223): not confirmed, nothing was done\n"
    ((question, yes),) = asked
    assert ("A00001, A00002" in question, "FULL01" in question, yes) == (True, False, False)
    assert contents(folder) == before


def test_demo_writes_over_nothing_and_disturbs_nobody(demonstrate: Command, folder: Path) -> None:
    for barcode in ("A00001", "A00002"):
        (side,) = folder.glob(f"*/{barcode}/side-1")
        side.write_bytes(b"data")
    assert "none of the 3 cartridges that were looked at is blank" in demonstrate("--yes").err
    (folder / "slot-0002/A00001").rename(folder / "drive-01/A00001")
    answer = demonstrate("--yes")
    assert "a cartridge is in a drive (A00001 in drive-01)" in answer.err
    assert (folder / "drive-01/A00001/side-1").read_bytes() == b"data"


@pytest.mark.parametrize("interrupted", [False, True])
def test_demo_that_fails_puts_everything_back(
    demonstrate: Command, folder: Path, monkeypatch: pytest.MonkeyPatch, interrupted: bool
) -> None:
    before, write = contents(folder), SideWriter.write

    def fail(self: SideWriter, data: Any) -> int:
        if len(data) > 10_000:
            raise KeyboardInterrupt if interrupted else OSError(errno.EIO, "Input/output error")
        return write(self, data)

    monkeypatch.setattr(SideWriter, "write", fail)
    answer = demonstrate("--yes")
    assert answer.status == (130 if interrupted else 1)
    assert "may hold" not in answer.err
    assert "each where it was found" in answer.out
    assert contents(folder) == before


def test_demo_says_which_cartridges_it_could_not_make_blank(
    demonstrate: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: VirtualLibrary, drive: int, side: int, data: bytes, *arguments: Any, **keywords: Any) -> None:
        if not data:
            raise rsm.DeviceNotAvailableError("the drive is broken")
        write(self, drive, side, data, *arguments, **keywords)

    write = VirtualLibrary.write_side
    monkeypatch.setattr(VirtualLibrary, "write_side", refuse)
    answer = demonstrate("--yes")
    assert answer.status == 1
    assert "BAD make the cartridges blank again: not A00001, A00002\n" in answer.out
    assert "ok  look into the library again" in answer.out

    def die(*_: object) -> None:
        raise rsm.DeviceNotAvailableError("the robot is gone")

    for barcode in ("A00001", "A00002"):
        (side_file,) = folder.glob(f"*/{barcode}/side-1")
        side_file.write_bytes(b"")
    monkeypatch.setattr(demo_robot, "put_back", die)
    monkeypatch.setattr("rsm.cli.demo.compare_trees", die)
    answer = demonstrate("--yes")
    assert "BAD leave the library as it was: the robot is gone\n" in answer.out
    assert "A00001, A00002 were blank, and may hold what the demonstration wrote" in answer.err
