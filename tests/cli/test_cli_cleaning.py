"""`rsm library clean`, `rsm drive clean` and the slot for the cleaner: carried out, only queued, refused."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rsm.libraries.virtual import add_cartridge, create

pytestmark = pytest.mark.works

Command = Callable[..., Any]


@pytest.fixture
def robot(rsm_command: Command, tmp_path: Path) -> Path:
    """A library on record with two drives, four slots, and a cleaner in the first."""
    folder = Path(create(tmp_path / "robot", 4, 2, 1, "LTO-8"))
    words = ("virtual", "add-cartridge", str(folder), "--barcode", "CLN001", "--cleaner")
    assert rsm_command(*words).out == "The cartridge CLN001 is in slot-0001.\n"
    assert rsm_command("library", "add", "virtual", str(folder), "--name", "Robot").status == 0
    return folder


def test_drives_are_cleaned(rsm_command: Command, robot: Path) -> None:
    assert rsm_command("drive", "clean", "drive-01", "--library", "Robot").out == "The drive drive-01 is clean.\n"
    answer = rsm_command("--json", "library", "clean", "Robot").document
    assert [each["drive"]["name"] for each in answer] == ["drive-01", "drive-02"]
    assert all(each["drive"]["last_cleaned"] for each in answer)
    assert all(each["request"]["state"] == "NTMS_LM_PASSED" for each in answer)
    (line,) = rsm_command("--plain", "library", "clean", "Robot", "drive-02").lines
    assert line == [answer[1]["drive"]["id"]]
    assert "+ cleaner" in rsm_command("library", "show", "Robot").out
    assert "a cleaner: it has no label" in rsm_command("library", "identify", "Robot", "1").out


def test_what_is_only_queued_waits_for_a_worker(rsm_command: Command, robot: Path) -> None:
    assert rsm_command("library", "clean", "Robot", "drive-01", "--no-wait").out == (
        "The drive drive-01 is to be cleaned.\n"
    )
    (request,) = [each for each in rsm_command("--json", "request", "list").document if each["name"] == "clean drive"]
    assert request["state"] == "NTMS_LM_QUEUED"
    assert rsm_command("request", "wait", request["id"]).status == 0
    assert rsm_command("--json", "drive", "show", "drive-01").document["last_cleaned"]


def test_the_slot_for_the_cleaner(rsm_command: Command, robot: Path) -> None:
    kept = "slot-0004 of Robot is kept for the cleaner.\n"
    assert rsm_command("library", "reserve-cleaner", "Robot", "4").out == kept
    assert rsm_command("--json", "library", "reserve-cleaner", "Robot", "3").error["error"] == "ERROR_CLEANER_SLOT_SET"
    assert "slot-0004" in rsm_command("library", "show", "Robot").out
    assert rsm_command("library", "release-cleaner", "Robot").status == 0
    assert rsm_command("--json", "library", "release-cleaner", "Robot").error["error"] == "ERROR_CLEANER_SLOT_NOT_SET"
    answer = rsm_command("library", "reserve-cleaner", "Robot", "1")
    assert (answer.status, answer.err) == (
        1,
        "ERROR_NOT_EMPTY (4307): slot-0001 is not empty: cleaner CLN001 is in it\n",
    )


@contextlib.contextmanager
def person_takes(lying: Path, shelf: Path) -> Iterator[None]:
    """Have a person take a cartridge away as soon as it lies in a place."""
    over = threading.Event()

    def take() -> None:
        while not lying.is_dir() and not over.wait(0.02):
            pass
        lying.rename(shelf)

    thread = threading.Thread(target=take)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_cleaner_is_put_in_and_taken_out(rsm_command: Command, robot: Path) -> None:
    shelf, port = robot.parent / "CLN001", robot / "port-01" / "CLN001"
    (robot / "slot-0001" / "CLN001").rename(shelf)
    rsm_command("library", "inventory", "Robot")
    rsm_command("library", "reserve-cleaner", "Robot", "4")
    shelf.rename(port)
    assert rsm_command("library", "inject-cleaner", "Robot", "--uses", "20").out == "Taken in: CLN001.\n"
    shown = rsm_command("--json", "library", "show", "Robot").document["library"]
    assert shown["cleaner_uses_remaining"] == 20
    assert rsm_command("library", "inject-cleaner", "Robot").err.startswith("ERROR_NOT_EMPTY (4307): slot-0004")
    with person_takes(port, shelf):
        (line,) = rsm_command("--plain", "library", "eject-cleaner", "Robot").lines
    assert line[1:] == ["CLN001"]
    assert rsm_command("library", "eject-cleaner", "Robot").err.startswith("ERROR_EMPTY (4306): slot-0004")
    assert rsm_command("library", "inject-cleaner", "Robot", "--no-wait").out.startswith("The inject of the cleaner is")
    assert rsm_command("library", "done", "Robot").status == 0
    assert rsm_command("--json", "media", "list").document == []


def test_without_a_cleaner_an_operator_is_asked(rsm_command: Command, robot: Path) -> None:
    (robot / "slot-0001" / "CLN001").rename(robot.parent / "CLN001")
    rsm_command("library", "inventory", "Robot")
    answer = rsm_command("drive", "clean", "drive-01", "--timeout", "0.5")
    assert answer.status == 1
    assert answer.err.startswith("ERROR_TIMEOUT (1460)")
    assert "stays queued" in answer.err
    (asked,) = rsm_command("--json", "operator", "list").document
    assert asked["name"] == "cleaner"
    add_cartridge(robot, "CLN002", cleaner=True)
    rsm_command("library", "inventory", "Robot")
    (request,) = [each for each in rsm_command("--json", "request", "list").document if each["name"] == "clean drive"]
    assert rsm_command("request", "wait", request["id"]).status == 0
    assert rsm_command("--json", "drive", "show", "drive-01").document["last_cleaned"]
