"""The verbs about drives that a person feeds: adding, refreshing, ejecting, looking at what is in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rsm
from rsm.nouns.waiting import Waiting

Command = Callable[..., Any]
pytestmark = pytest.mark.works


@pytest.fixture
def folder(rsm_command: Command, tmp_path: Path) -> Path:
    """The folder of the drive Feeder, empty, with A00001 on the shelf beside it."""
    (tmp_path / "feeder").mkdir()
    (tmp_path / "shelf").mkdir()
    made = rsm_command(
        *("--json", "virtual", "make-cartridge", str(tmp_path / "shelf"), "--barcode", "A00001"),
        *("--type", "LTO-8", "--capacity", "1MB"),
    ).document
    assert made["path"] == str(tmp_path / "shelf" / "A00001")
    folder = tmp_path / "feeder"
    answer = rsm_command("library", "add", "standalone", str(folder), "--name", "Feeder", "--type", "LTO-8")
    assert answer.status == 0, answer.err
    return folder


def test_the_verbs_of_a_drive_that_a_person_feeds(
    rsm_command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = folder.with_name("shelf")
    (shelf / "A00001").rename(folder / "A00001")
    refreshed = rsm_command("library", "refresh", "Feeder")
    assert "appeared: A00001" in refreshed.out
    assert rsm_command("--plain", "library", "list").lines[1][1] == "NTMS_LIBRARYTYPE_STANDALONE"
    for name in ("Feeder", str(folder), f"{folder}/"):
        volume = rsm_command("--json", "drive", "volumes", name).document
        assert (volume["path"], volume["barcode"]) == (f"{folder}/A00001/side-1", "A00001")
        assert volume["mounted_at"] == str(folder)
    for words in (("drive", "eject", str(folder), "--stop"), ("library", "done", "Feeder")):
        queued = rsm_command("--json", "drive", "eject", "Feeder", "--no-wait").document
        assert rsm_command("--json", *words).document["id"] == queued["id"]
        assert rsm_command("--json", "request", "show", queued["id"]).document["state"] == "NTMS_LM_STOPPED"

    def take_out(waiting: Waiting) -> None:
        if (folder / "A00001").exists():
            (folder / "A00001").rename(shelf / "A00001")
            assert waiting.text
        with rsm.connect(worker=False) as session:
            for asked in session.operators.list(rsm.NtmsOpreqState.NTMS_OPSTATE_SUBMITTED):
                session.operators.satisfy(asked)

    wait = rsm.nouns.requests.Requests.wait

    def wait_and_take_out(self: Any, request: Any, **options: Any) -> Any:
        return wait(self, request, timeout_ms=options["timeout_ms"], on_wait=take_out)

    monkeypatch.setattr("rsm.nouns.requests.Requests.wait", wait_and_take_out)
    ejected = rsm_command("drive", "eject", "Feeder")
    assert (ejected.status, ejected.out) == (0, "The drive Feeder: is empty.\n")
    assert rsm_command("--plain", "media", "list").lines == []  # it was unrecognized


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("library", "add", "standalone", "{folder}", "--name", "Again", "--type", "LTO-8"), "ERROR_ALREADY_EXISTS"),
        (("library", "add", "standalone", "/no/such/place", "--type", "LTO-8"), "ERROR_DEVICE_NOT_AVAILABLE"),
        (("library", "add", "standalone", "/tmp"), "ERROR_INVALID_PARAMETER"),
        (("library", "refresh", "Offline"), "ERROR_INVALID_LIBRARY"),
        (("drive", "eject", "Feeder", "--stop"), "ERROR_INVALID_OPERATION"),
        (("drive", "eject", "nothing"), "ERROR_INVALID_DRIVE"),
        (("drive", "eject", "Offline"), "ERROR_LIBRARY_OFFLINE"),
        (("drive", "volumes", "Feeder"), "ERROR_NOT_READY"),
        (("drive", "volumes", "/dev/null"), "ERROR_INVALID_DRIVE"),
        (("virtual", "make-cartridge", "/no/such", "--barcode", "A", "--type", "X"), "ERROR_DEVICE_NOT_AVAILABLE"),
        (("virtual", "make-cartridge", "{folder}", "--barcode", "A/", "--type", "X"), "ERROR_INVALID_NAME"),
    ],
)
def test_what_is_refused(rsm_command: Command, folder: Path, words: tuple[str, ...], error: str) -> None:
    answer = rsm_command("--json", *(word.format(folder=folder) for word in words))
    assert (answer.status, answer.error["error"]) == (1, error)
    assert rsm_command("drive", "eject", "Feeder", "--stop", "--force").status == 2
