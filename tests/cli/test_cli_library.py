"""`rsm library` and `rsm drive`: the verbs, their refusals, and the drawing of a library in all three forms."""

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

import rsm
from rsm.cli.library_map import draw_map, main_mark, marks, plain_lines
from rsm.constants import NtmsDriveState, NtmsMediaState, NtmsOperationalState, NtmsPortContent, NtmsSlotState
from rsm.db import new_id
from rsm.libraries.virtual import add_cartridge, create

Command = Callable[..., Any]
Kind = rsm.NtmsObjectsTypes
State = rsm.NtmsPartitionState


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """A virtual library with two drives and four slots, a cartridge in the first."""
    path = create(tmp_path / "robot", 4, 2, 1, "LTO-8")
    add_cartridge(path, "A00001")
    return path


def test_the_verbs_of_a_library(rsm_command: Command, folder: str) -> None:
    added = rsm_command("--json", "library", "add", "virtual", folder, "--name", "Robot", "--no-wait").document
    assert (added["name"], added["slots"], added["requests"]) == ("Robot", 4, 1)
    assert [line[:2] for line in rsm_command("--plain", "library", "list").lines] == [
        ["Offline", "NTMS_LIBRARYTYPE_OFFLINE"],
        ["Robot", "NTMS_LIBRARYTYPE_ONLINE"],
    ]
    assert "called Tapes now" in rsm_command("library", "rename", "Robot", "Tapes").out
    assert rsm_command("library", "disable", "Tapes").out == "The library Tapes is disabled.\n"
    assert rsm_command("--json", "library", "disable", "Tapes").error["error"] == "ERROR_INVALID_STATE"
    assert rsm_command("--json", "library", "enable", added["id"]).document["enabled"] is True
    assert rsm_command("library", "delete", "Tapes", "--dry-run").out == (
        "Would delete the library Tapes; nothing was changed.\n"
    )
    assert "give --yes" in rsm_command("library", "delete", "Tapes").err
    assert rsm_command("library", "delete", "Tapes", "--yes").out == "The library Tapes is deleted.\n"
    assert [library["name"] for library in rsm_command("--json", "library", "list").document] == ["Offline"]


@pytest.mark.parametrize(
    ("words", "error", "says"),
    [
        (("library", "add", "sausage", "{folder}"), "ERROR_NOT_SUPPORTED", "virtual"),
        (("library", "add", "virtual", "/no/such"), "ERROR_DEVICE_NOT_AVAILABLE", "/no/such"),
        (("library", "add", "virtual", "{folder}"), "ERROR_ALREADY_EXISTS", "Robot"),
        (("library", "add", "virtual", "{folder}", "--type", "Wax"), "ERROR_INVALID_MEDIA", "rsm type create"),
        (("library", "show", "nothing"), "ERROR_OBJECT_NOT_FOUND", "nothing"),
        (("library", "rename", "Robot", ""), "ERROR_INVALID_NAME", "empty"),
        (("library", "delete", "Offline", "--yes"), "ERROR_INVALID_LIBRARY", "offline"),
        (("library", "disable", "Offline"), "ERROR_LIBRARY_OFFLINE", "offline"),
        (("drive", "list", "nothing"), "ERROR_OBJECT_NOT_FOUND", "nothing"),
        (("drive", "show", "nothing"), "ERROR_OBJECT_NOT_FOUND", "nothing"),
        (("drive", "show", "drive-01", "--library", "Offline"), "ERROR_OBJECT_NOT_FOUND", "no drive in Offline"),
        (("drive", "set", "drive-01", "--defer", "-1"), "ERROR_INVALID_PARAMETER", "defer_dismount_seconds"),
        (("drive", "enable", "drive-01"), "ERROR_INVALID_STATE", "enabled already"),
        (("drive", "delete", "drive-01", "--yes"), "ERROR_INVALID_STATE", "still there"),
        (("drive", "delete", "drive-09", "--dry-run"), "ERROR_INVALID_DRIVE", "drive-09"),
    ],
)
def test_refusals(rsm_command: Command, folder: str, words: tuple[str, ...], error: str, says: str) -> None:
    assert rsm_command("library", "add", "virtual", folder, "--name", "Robot", "--no-wait").status == 0
    answer = rsm_command("--json", *(word.replace("{folder}", folder) for word in words))
    assert (answer.status, answer.out, answer.error["error"]) == (1, "", error)
    assert says in answer.error["message"]


def test_the_verbs_of_a_drive(rsm_command: Command, folder: str, tmp_path: Path) -> None:
    rsm_command("library", "add", "virtual", folder, "--name", "Robot", "--no-wait")
    drives = rsm_command("--json", "drive", "list", "Robot").document
    assert [drive["name"] for drive in drives] == ["drive-01", "drive-02"]
    shown = dict(rsm_command("--plain", "drive", "show", "drive-02").lines)
    assert (shown["library"], shown["drive_type"], shown["number"]) == ("Robot", "rsm virtual LTO-8", "2")
    assert shown["path"] == f"{folder}/drive-02.media"
    changed = rsm_command("--json", "drive", "set", "drive-02", "--defer", "60", "--description", "left").document
    assert (changed["defer_dismount_seconds"], changed["description"]) == (60, "left")
    assert "nothing to change" in rsm_command("drive", "set", "drive-02").err
    assert rsm_command("drive", "disable", drives[0]["id"]).status == 0
    rsm_command("library", "add", "virtual", create(tmp_path / "second", 1, 1, 0, "LTO-8"), "--no-wait")
    assert [line[:2] for line in rsm_command("--plain", "drive", "list").lines] == [
        ["drive-01", "Robot"],
        ["drive-02", "Robot"],
        ["drive-01", "second"],
    ]
    twice = rsm_command("--json", "drive", "show", "drive-01")
    assert "more than one drive" in twice.error["message"]
    second = rsm_command("--json", "drive", "show", "drive-01", "--library", "second").document
    assert (second["enabled"], second["path"]) == (True, str(tmp_path / "second" / "drive-01.media"))
    assert rsm_command("drive", "enable", "drive-01", "--library", "Robot").out == "The drive drive-01 is enabled.\n"


def test_showing_a_library_in_three_forms(rsm_command: Command, folder: str) -> None:
    rsm_command("library", "add", "virtual", folder, "--name", "Robot", "--no-wait")
    drawn = rsm_command("library", "show", "Robot")
    assert drawn.err == ""
    assert "\x1b" not in drawn.out
    lines = drawn.out.splitlines()
    assert lines[-1] == ". empty   ? to be looked at"
    assert lines[lines.index("Slots") + 1] == "   1 ?       2 .       3 .       4 ."
    plain = rsm_command("--plain", "library", "show", "Robot").lines
    assert ["media_types", "LTO-8"] in plain
    places = [line for line in plain if len(line) == 16]
    assert [line[:3] for line in places] == [
        ["drive", "1", "."],
        ["drive", "2", "."],
        ["port", "1", "."],
        ["slot", "1", "?"],
        ["slot", "2", "."],
        ["slot", "3", "."],
        ["slot", "4", "."],
    ]
    document = rsm_command("--json", "library", "show", "Robot").document
    assert sorted(document) == ["drives", "library", "ports", "slots"]
    assert document["slots"][0]["state"] == "NTMS_SLOTSTATE_NEEDSINVENTORY"
    assert rsm_command("--json", "library", "show", "Offline").document["slots"] == []
    assert rsm_command("library", "show", "Offline").status == 0


# The drawing

EMPTY, FULL = NtmsSlotState.NTMS_SLOTSTATE_EMPTY, NtmsSlotState.NTMS_SLOTSTATE_FULL
AVAILABLE, ALLOCATED = State.NTMS_PARTSTATE_AVAILABLE, State.NTMS_PARTSTATE_ALLOCATED


def cartridge(*sides: State, **fields: Any) -> rsm.MapCartridge:
    known: dict[str, Any] = {
        "id": new_id(),
        "barcode": "A00001L8",
        "name": "A00001L8",
        "pool": r"\App\Daily",
        "media_type": "LTO-8",
        "media_state": NtmsMediaState.NTMS_MEDIASTATE_IDLE,
        "enabled": True,
        "mount": None,
    }
    return rsm.MapCartridge(sides=sides, **{**known, **fields})


def place(number: int, inside: rsm.MapCartridge | None = None, **fields: Any) -> rsm.MapPlace:
    known: dict[str, Any] = {
        "kind": Kind.NTMS_STORAGESLOT,
        "id": new_id(),
        "name": f"slot-{number:04}",
        "enabled": True,
        "operational_state": NtmsOperationalState.NTMS_READY,
        "state": EMPTY,
    }
    return rsm.MapPlace(number=number, cartridge=inside, **{**known, **fields})


@pytest.mark.parametrize(
    ("shown", "letters", "letter"),
    [
        (place(1), ".", "."),
        (place(1, state=FULL), "?", "?"),
        (place(1, state=NtmsPortContent.NTMS_PORTCONTENT_EMPTY), ".", "."),
        (place(1, state=NtmsPortContent.NTMS_PORTCONTENT_FULL), "?", "?"),
        (place(1, state=NtmsDriveState.NTMS_DRIVESTATE_MOUNTED), ".", "."),  # a drive's 1 is no slot's 1
        (place(1, state=FULL, operational_state=NtmsOperationalState.NTMS_NOT_PRESENT), "!", "!"),
        (place(1, cartridge()), "*", "*"),
        (place(1, cartridge(cleaner=True)), "+", "+"),
        (place(1, cartridge(AVAILABLE, ALLOCATED)), "VA", "A"),
        (place(1, cartridge(AVAILABLE, ALLOCATED, enabled=False)), "va", "a"),
        (place(1, cartridge(ALLOCATED), enabled=False), "a", "a"),
        *((place(1, cartridge(state)), None, None) for state in State),
    ],
)
def test_every_place_has_a_letter_a_colour_and_a_word(
    shown: rsm.MapPlace, letters: str | None, letter: str | None
) -> None:
    found = marks(shown)
    if letters is not None:
        assert ("".join(mark[0] for mark in found), main_mark(shown)[0]) == (letters, letter)
    assert all(len(mark[0]) == 1 and mark[1] and mark[2] for mark in found)


def test_states_have_different_letters_and_words() -> None:
    found = [main_mark(place(1, cartridge(state))) for state in State]
    assert len({letter for letter, _, _ in found}) == len({word for _, _, word in found}) == len(State)


@pytest.fixture
def library(rsm_command: Command, folder: str, catalogue: Path) -> rsm.LibraryMap:
    """The map of a real library, to be filled with places at will."""
    rsm_command("library", "add", "virtual", folder, "--name", "Robot", "--no-wait")
    with rsm.connect(catalogue, worker=False) as session:
        return session.libraries.map("Robot")


def test_a_thousand_slots_fit_a_screen(library: rsm.LibraryMap) -> None:
    inside = [cartridge(AVAILABLE) if number % 3 else cartridge(ALLOCATED) for number in range(1000)]
    slots = [place(number + 1, each) for number, each in enumerate(inside)]
    del slots[7]  # a number that no slot has
    lines = draw_map(dataclasses.replace(library, slots=tuple(slots), drives=(), ports=())).plain.splitlines()
    assert max(map(cell_len, lines)) <= 80
    assert len(lines) == 1 + 1 + 20 + 1 + 1
    assert lines[2] == "    1  AVVAVVA VA VVAVVAVVAV VAVVAVVAVV AVVAVVAVVA VVAVVAVVAV"
    assert lines[21].startswith("  951  ")
    assert lines[-1] == "A allocated   V available"


@pytest.mark.parametrize("count", [1, 2, 12, 59, 60, 61])
@pytest.mark.parametrize("barcode", ["A00001L8", "x" * 63, "磁" * 20, "a\x1b[31mb"])
def test_no_line_is_wider_than_a_screen(library: rsm.LibraryMap, count: int, barcode: str) -> None:
    states = list(State)
    slots = [place(number + 1, cartridge(states[number % 10], barcode=barcode)) for number in range(count)]
    drawing = draw_map(dataclasses.replace(library, slots=tuple(slots)))
    assert "\x1b" not in drawing.plain
    lines = drawing.plain.splitlines()
    assert max(map(cell_len, lines)) <= 80
    drawn = "\n".join(lines[lines.index("Slots") + 1 :])
    assert all(f"{number + 1:>4} " in drawn for number in range(count)) or count > 60


def test_a_drive_tells_who_uses_it(library: rsm.LibraryMap) -> None:
    since = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    who = {"user": "user:alice", "application": "backup", "host": "mill", "since": since}
    in_use = rsm.MapMount(for_writing=True, dismountable_from=None, **who)
    left = rsm.MapMount(for_writing=False, dismountable_from=since, **who)
    loaded = NtmsDriveState.NTMS_DRIVESTATE_LOADED
    drives = (
        place(1, cartridge(ALLOCATED, mount=in_use), state=loaded),
        place(2, cartridge(ALLOCATED, mount=left), state=loaded, enabled=False),
        place(3, state=loaded, operational_state=NtmsOperationalState.NTMS_NOT_PRESENT),
    )
    found = dataclasses.replace(library, drives=drives)
    lines = draw_map(found).plain.splitlines()
    assert lines[2:9] == [
        "   1 A  A00001L8  (loaded)",
        r"        in \App\Daily",
        "        written by user:alice (backup on mill) since 2026-03-01 12:00:00Z",
        "   2 a  A00001L8  (loaded, disabled)",
        r"        in \App\Daily",
        "        was in use by user:alice (backup on mill) since 2026-03-01 12:00:00Z",
        "   3 !  -  (not present)",
    ]
    assert lines[-1].endswith("lower case: disabled")
    first = next(iter(plain_lines(found)))
    assert first[:3] == ("drive", 1, "A")
    assert first[11:14] == ("user:alice", "backup", "mill")
