"""`rsm library scan`, `rsm library add scsi`: robots in all three forms, and what is said where none can be reached."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from libraries.scsi.simulated import DRIVE, SLOT, Simulated, Tape

from rsm.cli import library_scan
from rsm.libraries import BACKENDS
from rsm.libraries.scsi import drives, iscsi, sg
from rsm.libraries.scsi.discovery import scan

Command = Callable[..., Any]


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> Simulated:
    """A host with a changer of two drives, one of which it can be told of, a drive of its own, and one that is gone."""
    simulated = Simulated()
    simulated.tapes = {SLOT: Tape("A00001L8")}
    simulated.attentions["/changer"] = [(6, 0x29, 0)]
    devices = {8: ["/changer"], 1: ["/drive-256", "/drive-257", "/nowhere"]}
    monkeypatch.setattr(drives, "list_devices", lambda _: ["/drive-256"])
    monkeypatch.setattr(
        library_scan, "scan", partial(scan, opener=simulated.reach, local=lambda kind: devices.get(kind, []))
    )
    monkeypatch.setitem(BACKENDS, "scsi", lambda _: simulated.open())
    return simulated


def test_robots_are_told_in_three_forms(rsm_command: Command, simulated: Simulated) -> None:
    told = rsm_command("library", "scan")
    assert told.err == ""
    assert told.out.splitlines() == [
        "/changer",
        "  SIM CHANGER, serial number C0001: 6 slots, 1 port, 2 drives",
        f"  drive 1 at element {DRIVE}: /drive-256, SIM ULTRIUM-TD8, serial number D000000256, known by the serial "
        "number",
        f"  drive 2 at element {DRIVE + 1}: which device it is cannot be told; add ?drives=ADDRESS,... to the address "
        "of the robot, - for unknown",
        "  rsm library add scsi /changer",
        "/drive-257",
        "  SIM ULTRIUM-TD8, serial number D000000257: a tape drive that is in none of these robots",
        "/nowhere",
        "  /nowhere: there is no such device",
    ]
    changer, loose, gone = rsm_command("--json", "library", "scan").document
    assert [drive["device"] for drive in changer["drives"]] == ["/drive-256", ""]
    assert (changer["serial_number"], loose["element"], gone["problem"]) == (
        "C0001",
        None,
        "/nowhere: there is no such device",
    )
    assert [line[:2] for line in rsm_command("--plain", "library", "scan").lines] == [
        ["changer", "/changer"],
        ["drive", "/drive-256"],
        ["drive", ""],
        ["drive", "/drive-257"],
        ["drive", "/nowhere"],
    ]


def test_robot_that_was_found_is_put_on_record(rsm_command: Command, simulated: Simulated) -> None:
    simulated.unknown = set()
    added = rsm_command("--json", "library", "add", "scsi", "/changer", "--no-wait").document
    assert (added["name"], added["slots"], added["drives"], added["ports"]) == ("SIM CHANGER", 6, 2, 1)
    again = rsm_command("--json", "library", "add", "scsi", "/changer", "--name", "Other")
    assert again.error["error"] == "ERROR_ALREADY_EXISTS"


def test_where_nothing_is_found_it_says_where_to_look(rsm_command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library_scan, "scan", partial(scan, local=lambda _: []))
    assert "modprobe sg" in rsm_command("library", "scan").out
    assert rsm_command("--json", "library", "scan").document == []
    wrong = rsm_command("library", "scan", "robot")
    assert (wrong.status, wrong.out) == (1, "")
    assert "write iscsi://HOST:PORT" in wrong.err


def test_what_is_missing_is_named_and_the_rest_works(rsm_command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    load = iscsi.load_libiscsi
    monkeypatch.setattr(iscsi, "load_libiscsi", lambda: load(("libiscsi-of-nowhere.so.1",)))
    monkeypatch.setattr(library_scan, "scan", partial(scan, local=lambda kind: ["/dev/sg3"] if kind == 8 else []))

    opened = sg.os.open

    def refuse(path: Any, *arguments: Any, **keywords: Any) -> int:
        if path == "/dev/sg3":
            raise PermissionError(13, "Permission denied", path)
        return opened(path, *arguments, **keywords)

    monkeypatch.setattr(sg.os, "open", refuse)
    monkeypatch.setattr(sg, "_who_may", lambda _: "add the user to the group tape")
    local, portal = rsm_command("--json", "library", "scan", "iscsi://robot").document
    assert local["problem"] == "/dev/sg3 may not be used: add the user to the group tape"
    assert "install the package libiscsi7" in portal["problem"]
    for address, error, says in (
        ("/dev/sg3", "ERROR_ACCESS_DENIED", "group tape"),
        ("iscsi://robot/iqn.x/0", "ERROR_DEVICE_NOT_AVAILABLE", "package libiscsi7"),
        ("iscsi://a:b@robot/iqn.x/0", "ERROR_INVALID_LIBRARY", "LIBISCSI_CHAP_PASSWORD"),
        ("sg3", "ERROR_INVALID_LIBRARY", "write /dev/sgN"),
    ):
        answer = rsm_command("--json", "library", "add", "scsi", address)
        assert (answer.status, answer.error["error"]) == (1, error)
        assert says in answer.error["message"]
    assert [each["name"] for each in rsm_command("--json", "library", "list").document] == ["Offline"]
