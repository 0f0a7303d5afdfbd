"""What every verb does and prints, in each of the three forms, and what is refused."""

import json
import os
import stat
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rsm

Command = Callable[..., Any]
DAILY, WEEKLY = r"\App\Daily", r"\App\Weekly"
NEW_MEDIUM = ("media", "create", "--label-type", "MTF", "--label-id", "x", "--state", "available", "--barcode", "NEW1")
UNKNOWN_ID = "0123456789abcdef0123456789ABCDEF"

# Each verb, on what `filled_command` makes.
SUCCESSES = [
    ("pool", "create", r"\New", "--description", "two\tcolumns"),
    ("pool", "create", r"\Deep\Down", "--parents", "--type", "LTO-8", "--from-free", "--to-free"),
    ("pool", "create", DAILY, "--type", "LTO-8", "--exist-ok"),
    ("pool", "list"),
    ("pool", "list", r"\App"),
    ("pool", "show", DAILY),
    ("pool", "update", DAILY, "--name", "Nightly", "--from-free", "--description", "x"),
    ("pool", "delete", WEEKLY, "--yes"),
    ("pool", "delete", WEEKLY, "--dry-run"),
    (*NEW_MEDIUM, "--pool", DAILY, "--name", "Tape", "--description", "x", "--sides", "1"),
    ("media", "list"),
    ("media", "list", "--pool", DAILY),
    ("media", "show", "A00001"),
    ("media", "update", "A00001", "--name", "Best tape", "--description", "x"),
    ("media", "move", "A00001", WEEKLY),
    ("media", "move", "A00001", WEEKLY, "--dry-run"),
    ("media", "move", "A00001", r"\Free\LTO-8", "--yes"),
    ("media", "delete", "A00001", "--yes"),
    ("media", "delete", "A00001", "--dry-run"),
    ("media", "disable", "A00001"),
    ("media", "enable", "A00002"),
    ("media", "list", "--library", "Offline"),
    ("type", "list"),
    ("type", "list", "--library", "Robot"),
    ("type", "add", "LTO-9", "Robot"),
    ("type", "remove", "LTO-8", "Robot"),
    ("type", "show", "LTO-8"),
    ("type", "create", "Ours", "--sides", "2", "--read-write", "write-once", "--device", "disk"),
    ("acl", "show", DAILY),
    ("acl", "show", "\\"),
    ("acl", "grant", DAILY, "group:backup", "use,modify"),
    ("acl", "deny", "pool", DAILY, "user:bob", "all"),
    ("acl", "revoke", DAILY, "everyone"),
    ("acl", "owner", DAILY, "user:bob"),
    ("db", "current"),
    ("db", "check"),
    ("db", "upgrade"),
    ("db", "upgrade", "--dry-run"),
    *(("view", word) for word in ("library", "media_pool", "NTMS_MEDIA_TYPE", "computer", "drive-type", "oprequest")),
    *(("view", word, "Robot") for word in ("slot", "storageslot", "drive", "door", "ieport", "changer", "librequest")),
    ("view", "physical_media", DAILY),
    ("view", "side", "A00001"),
]  # fmt: skip


@pytest.mark.parametrize("words", SUCCESSES, ids=" ".join)
def test_verb_in_each_form(filled_command: Command, catalogue: Path, words: tuple[str, ...]) -> None:
    saved = catalogue.read_bytes()
    for form in ("--json", "--plain", "--people"):
        catalogue.write_bytes(saved)
        answer = filled_command(*words) if form == "--people" else filled_command(form, *words)
        assert (answer.status, answer.err) == (0, ""), form
        assert "\x1b" not in answer.out
        if form == "--json":
            json.loads(answer.out)
            assert answer.out.endswith(("}\n", "]\n"))
        assert all(line == line.rstrip() for line in answer.out.splitlines()) or form == "--plain"


REFUSALS = [
    (("pool", "show", r"\App\Hourly"), "ERROR_OBJECT_NOT_FOUND", 4312),
    (("pool", "show", UNKNOWN_ID), "ERROR_OBJECT_NOT_FOUND", 4312),
    (("pool", "show", str(uuid.UUID(UNKNOWN_ID))), "ERROR_OBJECT_NOT_FOUND", 4312),
    (("pool", "create", DAILY), "ERROR_ALREADY_EXISTS", 183),
    (("pool", "create", "\\" + "x" * 64), "ERROR_INVALID_NAME", 123),
    (("pool", "create", r"\App\bad" + "\x07"), "ERROR_INVALID_NAME", 123),
    (("pool", "create", "\\App\\\udcff"), "ERROR_INVALID_NAME", 123),
    (("pool", "create", r"\New", "--max-allocates", "-1"), "ERROR_INVALID_PARAMETER", 87),
    (("pool", "create", r"\New", "--max-allocates", "9" * 30), "ERROR_INVALID_PARAMETER", 87),
    (("pool", "delete", r"\App", "--yes"), "ERROR_NOT_EMPTY", 4307),
    (("pool", "delete", DAILY, "--yes"), "ERROR_NOT_EMPTY", 4307),
    (("pool", "delete", DAILY, "--dry-run"), "ERROR_NOT_EMPTY", 4307),
    (("pool", "delete", r"\Free", "--yes"), "ERROR_INVALID_MEDIA_POOL", 4302),
    (("media", "show", "A0000X"), "ERROR_OBJECT_NOT_FOUND", 4312),
    (("media", "show", "\udc80"), "ERROR_OBJECT_NOT_FOUND", 4312),
    (("pool", "delete", r"\Nowhere", "--yes"), "ERROR_INVALID_MEDIA_POOL", 4302),
    (("pool", "delete", UNKNOWN_ID, "--dry-run"), "ERROR_INVALID_MEDIA_POOL", 4302),
    (("media", "enable", "A00001"), "ERROR_INVALID_STATE", 5023),
    (("type", "delete", "LTO-8", "--yes"), "ERROR_ACCESS_DENIED", 5),
    (("type", "add", "LTO-8", "Offline"), "ERROR_LIBRARY_OFFLINE", 4305),
    (("media", "move", "A0000X", WEEKLY), "ERROR_INVALID_MEDIA", 4300),
    (("media", "move", "A00001", r"\Nowhere"), "ERROR_INVALID_MEDIA_POOL", 4302),
    (("media", "delete", "A0000X", "--dry-run"), "ERROR_INVALID_MEDIA", 4300),
    (("acl", "show", r"\Nowhere"), "ERROR_OBJECT_NOT_FOUND", 4312),
    (("acl", "grant", DAILY, "bob", "use"), "ERROR_INVALID_PARAMETER", 87),
    (("acl", "owner", DAILY, "user:"), "ERROR_INVALID_PARAMETER", 87),
    (("db", "create"), "ERROR_ALREADY_EXISTS", 183),
    (("db", "create", "new.db", "--administrators", "rsm"), "ERROR_INVALID_PARAMETER", 87),
    (("--database", "", "pool", "list"), "ERROR_INVALID_PARAMETER", 87),
    (("--database", "", "db", "check"), "ERROR_INVALID_PARAMETER", 87),
    (("--database", "mysql://somewhere/rsm", "pool", "list"), "ERROR_INVALID_PARAMETER", 87),
    (("--database", "nonsense://", "pool", "list"), "ERROR_INVALID_PARAMETER", 87),
    (("--database", "/proc/no/rsm.db", "pool", "list"), "ERROR_DATABASE_FAILURE", 4313),
    (("--database", "/no/such/rsm.db", "db", "check"), "ERROR_DATABASE_FAILURE", 4313),
    (("--database", "\udcff.db", "pool", "list"), "ERROR_INVALID_PARAMETER", 87),
    (("view", "slot", "No library"), "ERROR_OBJECT_NOT_FOUND", 4312),
]


@pytest.mark.parametrize(("words", "name", "code"), REFUSALS, ids=lambda value: ascii(value)[:60])
def test_refusal_is_one_line_or_one_document(
    filled_command: Command, catalogue: Path, words: tuple[str, ...], name: str, code: int
) -> None:
    before = catalogue.read_bytes()
    people = filled_command(*words)
    assert (people.status, people.out) == (1, "")
    assert people.err.startswith(f"{name} ({code}): ")
    assert people.err.count("\n") == 1
    machine = filled_command("--json", *words)
    assert (machine.status, machine.out) == (1, "")
    assert (machine.error["error"], machine.error["code"]) == (name, code)
    assert catalogue.read_bytes() == before


# Every place where a person can put text.
TEXTS = [
    ("--database", "?", "pool", "list"),
    ("--database", "?", "db", "current"),
    *(("pool", "create", r"\X", option, "?") for option in ("--type", "--description", "--max-allocates")),
    *(("pool", "update", DAILY, option, "?") for option in ("--name", "--type", "--description")),
    *(("pool", verb, "?") for verb in ("create", "list", "show")),
    ("pool", "update", "?", "--description", "x"),
    ("pool", "delete", "?", "--dry-run"),
    *((*NEW_MEDIUM, "--pool", DAILY, option, "?") for option in ("--name", "--description")),
    ("media", "create", "--pool", "?", "--label-type", "MTF", "--label-id", "x"),
    ("media", "create", "--pool", DAILY, "--label-type", "?", "--label-id", "x"),
    ("media", "create", "--pool", DAILY, "--label-type", "MTF", "--label-id", "?"),
    ("media", "create", "--pool", DAILY, "--label-type", "MTF", "--label-id", "x", "--barcode", "?"),
    *(("media", verb, "?") for verb in ("show", "enable", "disable")),
    *(("media", "list", option, "?") for option in ("--pool", "--library")),
    *(("media", "update", "A00001", option, "?") for option in ("--name", "--description")),
    ("media", "update", "?", "--name", "x"),
    *(("media", verb, "?", WEEKLY) for verb in ("move", "change-type")),
    *(("media", verb, "A00001", "?") for verb in ("move", "change-type")),
    ("media", "delete", "?", "--dry-run"),
    ("type", "list", "--library", "?"),
    ("type", "show", "?"),
    ("type", "create", "?"),
    ("type", "create", "Ours", "--description", "?"),
    ("type", "delete", "?", "--yes"),
    *(("type", verb, "?", "Robot") for verb in ("add", "remove")),
    *(("type", verb, "LTO-9", "?") for verb in ("add", "remove")),
    ("acl", "show", "?"),
    *(("acl", "show", kind, "?") for kind in ("library", "computer")),
    ("acl", "grant", "?", "everyone", "use"),
    ("acl", "deny", DAILY, "?", "use"),
    ("acl", "deny", DAILY, "everyone", "?"),
    ("acl", "revoke", "?", "everyone"),
    ("acl", "revoke", DAILY, "?"),
    ("acl", "owner", DAILY, "?"),
    ("db", "create", "?"),
    *(("db", "create", "sqlite:////proc/no/rsm.db", option, "?") for option in ("--administrators", "--operators")),
    ("view", "?"),
    *(("view", kind, "?") for kind in ("physical_media", "partition", "logical_media", "pool", "slot", "type")),
]


@pytest.mark.parametrize("words", TEXTS, ids=" ".join)
def test_no_text_anywhere_is_a_traceback(
    filled_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    for text in ("", "\udc80", "y" * 70_000, "a\tb\x1b", "\\", "\u00e4\U0001f4fc", "0" * 32, "-1"):
        answer = filled_command("--json", *(text if word == "?" else word for word in words))
        if answer.status == 0:
            assert isinstance(answer.document, (dict, list))
        else:
            assert (answer.out, answer.status in (1, 2)) == ("", True), text
            assert answer.error["message"]
    assert filled_command("db", "check").status == 0


@pytest.fixture
def bob(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Make the process run as somebody without any rights of his own from now on."""
    return lambda: monkeypatch.setattr(rsm.Caller, "of_process", lambda: rsm.Caller("user:bob"))


def test_what_may_not_be_read_goes_by_its_id(filled_command: Command, bob: Callable[[], None]) -> None:
    known = filled_command("--json", "pool", "show", DAILY).document["id"]
    filled_command("acl", "deny", DAILY, "user:bob", "use")
    filled_command("acl", "grant", WEEKLY, "user:bob", "use")
    bob()
    refused = filled_command("pool", "show", DAILY)
    assert (refused.status, refused.err.partition(":")[0]) == (1, "ERROR_ACCESS_DENIED (5)")
    assert sorted(filled_command("view", "pool", r"\App").out.splitlines()) == sorted([known, "Weekly"])
    assert {"id": known, "name": known} in filled_command("--json", "view", "pool", r"\App").document
    assert [line[0] for line in filled_command("--plain", "pool", "list", r"\App").lines] == [WEEKLY]


def test_a_change_without_the_right_to_read_it_is_still_done(filled_command: Command, bob: Callable[[], None]) -> None:
    for pool in (DAILY, WEEKLY):
        filled_command("acl", "deny", pool, "user:bob", "use")
        filled_command("acl", "grant", pool, "user:bob", "control,modify")
    bob()
    answer = filled_command("media", "move", "A00001", WEEKLY, "--json")
    assert (answer.status, answer.document) == (0, None)
    assert filled_command("pool", "delete", WEEKLY, "--yes").err.startswith("ERROR_NOT_EMPTY (4307): ")
    assert filled_command("media", "move", "A00001", DAILY).status == 0
    assert filled_command("pool", "delete", WEEKLY, "--yes").status == 0


def test_rights_given_away_are_told_all_the_same(filled_command: Command, bob: Callable[[], None]) -> None:
    filled_command("acl", "owner", DAILY, "user:bob")
    bob()
    assert filled_command("acl", "owner", DAILY, "user:carol").status == 0
    assert filled_command("acl", "show", DAILY).err.startswith("ERROR_ACCESS_DENIED (5): ")


def test_ids_are_taken_with_and_without_hyphens_and_capitals(filled_command: Command) -> None:
    known = filled_command("--json", "pool", "show", DAILY).document["id"]
    for word in (known, known.upper(), known.replace("-", ""), known.replace("-", "").upper()):
        assert filled_command("--json", "pool", "show", word).document["path"] == DAILY


def test_pool_options_arrive(filled_command: Command) -> None:
    options = ("--type", "LTO-8", "--from-free", "--to-free", "--max-allocates", "3", "--description", "d")
    made = filled_command("--json", "pool", "create", r"\App\Odd", *options).document
    assert filled_command("--json", "pool", "show", r"\App\Odd").document == made
    assert filled_command("--plain", "pool", "create", r"\App\Odd", "--exist-ok").lines == [[made["id"]]]
    lto = filled_command("--json", "type", "show", "LTO-8").document
    wanted = {"media_type": lto["id"], "allocate_from_free": True, "deallocate_to_free": True, "max_allocates": 3}
    assert wanted.items() <= made.items()
    assert (made["description"], made["pool_type"]) == ("d", "NTMS_POOLTYPE_APPLICATION")
    kept = filled_command("--json", "pool", "update", r"\App\Odd", "--no-from-free", "--max-allocates", "0").document
    assert (kept["allocate_from_free"], kept["max_allocates"], kept["deallocate_to_free"]) == (False, 0, True)
    bare = filled_command("--json", "pool", "update", r"\App\Odd", "--container", "--name", "Even").document
    assert (bare["media_type"], bare["path"]) == (None, r"\App\Even")


def test_pool_list_is_the_whole_tree_with_parents_first(filled_command: Command) -> None:
    paths = [fields[0] for fields in filled_command("--plain", "pool", "list").lines]
    assert {r"\App", DAILY, WEEKLY, r"\Free", r"\Free\LTO-8"} <= set(paths)
    assert all(paths.index(path.rpartition("\\")[0]) < paths.index(path) for path in paths if path.count("\\") > 1)
    assert [fields[0] for fields in filled_command("--plain", "pool", "list", r"\App").lines] == [DAILY, WEEKLY]
    assert filled_command("pool", "list", DAILY).out == "no pools\n"


def test_dry_run_tells_and_changes_nothing(filled_command: Command) -> None:
    everything = (("pool", "list"), ("media", "list"), ("type", "list"))
    before = [filled_command("--json", *words).document for words in everything]
    for words, would in (
        (("pool", "delete", WEEKLY), rf"delete the pool {WEEKLY}"),
        (("media", "move", "A00001", WEEKLY), rf"move A00001 to {WEEKLY}"),
        (("media", "move", "A00001", r"\Free\LTO-8"), r"move A00001 to \Free\LTO-8"),
        (("media", "delete", "A00001"), "delete the medium A00001"),
    ):
        document = filled_command("--json", *words, "--dry-run").document
        assert (document["dry_run"], document["would"]) == (True, would)
        assert filled_command(*words, "--dry-run").out == f"Would {would}; nothing was changed.\n"
    assert [filled_command("--json", *words).document for words in everything] == before


def test_life_of_a_medium(filled_command: Command) -> None:
    label = os.fsdecode(b"\xfflabel")
    words = (
        "--barcode",
        "B1",
        "--label-type",
        "MTF",
        "--label-id",
        label,
        "--state",
        "available",
        "--description",
        "d\te",
    )
    made = filled_command("--json", "media", "create", "--pool", DAILY, *words).document
    shown = filled_command("--json", "media", "show", "B1").document
    assert shown["medium"] == made
    (side,) = shown["sides"]
    wanted = {"label_type": "MTF", "label_id": b"\xfflabel".hex(), "state": "NTMS_PARTSTATE_AVAILABLE"}
    assert wanted.items() <= side.items()
    assert ["description", r"d\te"] in filled_command("--plain", "media", "show", "B1").lines
    assert ["side", "1", "NTMS_PARTSTATE_AVAILABLE"] in [
        line[:3] for line in filled_command("--plain", "media", "show", "B1").lines
    ]
    assert filled_command("--json", "media", "disable", "B1").document["enabled"] is False
    assert filled_command("--json", "media", "enable", "B1").document["enabled"] is True
    filled_command("media", "move", "B1", WEEKLY)
    assert [line[1] for line in filled_command("--plain", "media", "list", "--pool", WEEKLY).lines] == ["B1"]
    assert filled_command("media", "delete", "B1", "--yes").status == 0
    assert filled_command("media", "show", "B1").status == 1


def test_moving_to_a_free_pool_needs_a_yes(filled_command: Command) -> None:
    answer = filled_command("media", "move", "A00001", r"\Free\LTO-8")
    assert (answer.status, answer.out) == (2, "")
    assert "--yes" in answer.err
    assert [line[1] for line in filled_command("--plain", "media", "list", "--pool", DAILY).lines] == [
        "A00001",
        "A00002",
    ]


def test_changing_the_type_of_a_medium(filled_command: Command) -> None:
    filled_command("pool", "create", r"\App\Newer", "--type", "LTO-9")
    assert filled_command("media", "move", "A00001", r"\App\Newer").status == 1
    changed = filled_command("--json", "media", "change-type", "A00001", r"\App\Newer").document
    assert changed["media_type"] == filled_command("--json", "type", "show", "LTO-9").document["id"]


def test_life_of_a_media_type(filled_command: Command) -> None:
    words = ("--sides", "2", "--read-write", "write-once", "--device", "cd-rom")
    made = filled_command("--json", "type", "create", "Ours", *words).document
    assert {
        "name": "Ours",
        "sides": 2,
        "read_write": "NTMS_MEDIARW_WRITEONCE",
        "device_type": 2,
    }.items() <= made.items()
    (library,) = [each for each in filled_command("--json", "view", "library").document if each["name"] == "Robot"]
    assert filled_command("type", "add", "Ours", "Robot").status == 0
    assert "Ours" in [line[0] for line in filled_command("--plain", "type", "list", "--library", library["name"]).lines]
    assert filled_command("type", "remove", "Ours", library["id"]).status == 0
    assert filled_command("type", "delete", "Ours", "--dry-run").status == 0
    assert filled_command("type", "delete", "Ours", "--yes").status == 0
    assert filled_command("type", "show", "Ours").status == 1


def test_rights_are_granted_denied_and_revoked(filled_command: Command) -> None:
    def entries(*words: str) -> list[tuple[bool, str, list[str]]]:
        dacl = filled_command("--json", "acl", *words).document["dacl"]
        return [(entry["allow"], entry["trustee"], entry["rights"]) for entry in dacl]

    before = entries("show", DAILY)
    granted = entries("grant", DAILY, "group:backup", "modify,use")
    assert granted == entries("show", "pool", DAILY)
    assert set(map(str, granted)) - set(map(str, before)) == {str((True, "group:backup", ["USE", "MODIFY"]))}
    denied = entries("deny", DAILY, "group:backup", "modify")
    assert denied[0] == (False, "group:backup", ["MODIFY"])
    assert (True, "group:backup", ["USE"]) in denied
    assert sorted(map(str, entries("revoke", DAILY, "group:backup"))) == sorted(map(str, before))
    assert filled_command("--json", "acl", "owner", DAILY, "user:carol").document == {"owner": "user:carol"}
    assert filled_command("--json", "acl", "show", DAILY).document["owner"] == "user:carol"
    assert ["owner", "user:carol"] in filled_command("--plain", "acl", "show", DAILY).lines


@pytest.mark.parametrize("kind", ["library", "computer"])
def test_rights_of_libraries_and_the_computer(filled_command: Command, kind: str) -> None:
    guard = filled_command("--json", "view", kind).document[0]
    assert filled_command("acl", "grant", kind, guard["name"], "user:dave", "all").status == 0
    entries = filled_command("--json", "acl", "show", kind, guard["id"]).document["dacl"]
    (rights,) = [entry["rights"] for entry in entries if entry["trustee"] == "user:dave"]
    assert rights == ["USE", "MODIFY", "CONTROL", "READ_CONTROL", "WRITE_DAC", "WRITE_OWNER"]


def test_view_prints_names_and_takes_containers(filled_command: Command) -> None:
    assert filled_command("view", "physical_media").out == "A00001\nA00002\n"
    assert filled_command("view", "pool", r"\App").out == "Daily\nWeekly\n"
    media = filled_command("--json", "view", "medium", DAILY).document
    assert filled_command("--plain", "view", "medium").lines == [[each["id"], each["name"]] for each in media]
    for container in ("A00001", media[0]["id"].replace("-", "")):
        (side,) = filled_command("--json", "view", "partition", container).document
        assert side["medium"] == media[0]["id"]


def test_db_create_takes_era_and_groups(rsm_command: Command, tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    words = ("--access-era", "2000", "--administrators", "group:adm", "--operators", "group:ops")
    made = rsm_command("--json", "db", "create", str(path), *words).document
    assert made == rsm_command("--json", "--database", str(path), "db", "current").document
    assert made["number"] == made["newest"]
    assert rsm_command("db", "create", str(path)).err.startswith("ERROR_ALREADY_EXISTS (183): ")


def test_catalogue_on_a_server(rsm_command: Command, postgresql: Any) -> None:
    place = ("--database", postgresql.database(empty=True))
    assert rsm_command(*place, "db", "check").status == 1
    assert rsm_command(*place, "db", "create").status == 0
    assert rsm_command(*place, "pool", "create", r"\App").status == 0
    assert rsm_command(*place, "pool", "delete", r"\App", "--dry-run").status == 0
    assert r"\App" in [line[0] for line in rsm_command(*place, "--plain", "pool", "list").lines]
    assert rsm_command(*place, "--json", "db", "check").document == []


def test_db_check_tells_findings_and_ends_with_1(rsm_command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rsm_command("--json", "db", "check").document == []
    assert rsm_command("db", "check").out == "The catalogue is sound.\n"
    monkeypatch.setattr("rsm.schema.check", lambda url: ["a medium is in no pool", "another"])
    answer = rsm_command("--plain", "db", "check")
    assert (answer.status, answer.out) == (1, "a medium is in no pool\nanother\n")
    assert answer.err == "ERROR_DATABASE_FAILURE (4313): the catalogue is not sound, findings: 2\n"


def test_unknown_outcome_is_told(rsm_command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(url: str) -> None:
        raise rsm.DatabaseFailureError("the disk\nwent away", outcome_unknown=True)

    monkeypatch.setattr("rsm.schema.current", fail)
    told = "the disk went away (whether the call took effect is not known: look before you repeat it)"
    assert rsm_command("db", "current").err == f"ERROR_DATABASE_FAILURE (4313): {told}\n"
    assert rsm_command("db", "current", "--json").error["message"] == told


def test_db_export_and_import_carry_a_catalogue_over(rsm_command: Command, tmp_path: Path) -> None:
    one, two, file = tmp_path / "one.db", tmp_path / "two.db", tmp_path / "one.jsonl"
    assert rsm_command("--database", str(one), "pool", "create", "\\Kept").status == 0
    assert rsm_command("--database", str(one), "db", "export", str(file)).status == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert rsm_command("--database", str(two), "db", "import", str(file)).status == 0
    assert "\\Kept" in rsm_command("--database", str(two), "--plain", "pool", "list").out


def test_db_import_replaces_a_catalogue_and_keeps_it(rsm_command: Command, catalogue: Path, tmp_path: Path) -> None:
    assert rsm_command("pool", "create", "\\Before").status == 0
    exported = rsm_command("--json", "db", "export").document["exported"]
    assert exported == str(catalogue.parent / "Export" / catalogue.name)
    assert rsm_command("pool", "create", "\\After").status == 0
    unasked = rsm_command("db", "import")
    assert (unasked.status, unasked.out) == (2, "")
    assert "--yes" in unasked.err
    rehearsed = rsm_command("db", "import", "--dry-run")
    assert rehearsed.status == 0
    assert f"rows of {exported} in the place of" in rehearsed.out
    assert "\\After" in rsm_command("--plain", "pool", "list").out
    kept = rsm_command("--json", "db", "import", "--yes").document["kept"]
    assert "\\After" not in rsm_command("--plain", "pool", "list").out
    assert rsm_command("db", "import", kept, "--yes").status == 0
    assert "\\After" in rsm_command("--plain", "pool", "list").out
    new = str(tmp_path / "new.db")  # a copy of the database itself can be loaded into a missing one
    assert rsm_command("--database", new, "db", "import", kept, "--dry-run").out.startswith("Would load the ")
    assert not Path(new).exists()
    assert rsm_command("--database", new, "db", "import", kept).status == 0
    assert "\\After" in rsm_command("--database", new, "--plain", "pool", "list").out


@pytest.mark.parametrize("words", [("export",), ("import", "--yes"), ("import", "--dry-run")], ids=" ".join)
def test_db_export_and_import_refuse_a_file_they_cannot_use(
    rsm_command: Command, tmp_path: Path, words: tuple[str, ...]
) -> None:
    database, there = str(tmp_path / "one.db"), tmp_path / "there"
    there.mkdir()
    assert rsm_command("--database", database, "db", "create").status == 0
    unusable = "ERROR_INVALID_PARAMETER" if words == ("export",) else "ERROR_DATABASE_FAILURE"
    for file, error in ((there, unusable), (tmp_path / "no" / "such", unusable), ("a\0b", "ERROR_INVALID_PARAMETER")):
        answer = rsm_command("--database", database, "db", *words, str(file))
        assert (answer.status, answer.err.split()[0]) == (1, error), answer


def test_db_export_that_fails_leaves_no_file(rsm_command: Command, tmp_path: Path) -> None:
    file = tmp_path / "none.jsonl"
    answer = rsm_command("--database", str(tmp_path / "missing.db"), "db", "export", str(file))
    assert (answer.status, answer.err.split()[0]) == (1, "ERROR_DATABASE_FAILURE")
    assert not file.exists()
