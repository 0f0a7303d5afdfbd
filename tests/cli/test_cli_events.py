"""`rsm events` and `rsm media history`: what changed, in each form, of one object or all, at once or as it happens."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import builders
import pytest

import rsm

Command = Callable[..., Any]
DAILY = r"\App\Daily"
UNKNOWN_ID = "0123456789abcdef0123456789ABCDEF"


@pytest.fixture
def told(filled_command: Command) -> Command:
    """The command on a catalogue where A00001 was renamed to Monday and moved."""
    for words in (("update", "A00001", "--name", "Monday"), ("move", "A00001", r"\App\Weekly")):
        assert filled_command("media", *words).status == 0
    return filled_command


@pytest.mark.parametrize(
    "words",
    [
        ("events",),
        ("events", "--of", "A00001", "--limit", "2"),
        ("events", "list", "--after", "3"),
        ("events", "follow", "--after", "0", "--limit", "2"),
        ("events", "--follow", "--after", "0", "--limit", "3", "--of", DAILY),
        ("media", "history", "A00001"),
    ],
    ids=" ".join,
)
def test_each_form(told: Command, catalogue: Path, words: tuple[str, ...]) -> None:
    if "--of" in words and DAILY in words:
        for name in ("one", "two"):
            assert told("pool", "update", DAILY, "--description", name).status == 0
    before = kept_rows(catalogue)
    people, plain, as_json = (told(*form, *words) for form in ((), ("--plain",), ("--json",)))
    assert [each.status for each in (people, plain, as_json)] == [0, 0, 0]
    assert "\t" not in people.out
    assert "\x1b" not in people.out
    assert all(len(line) == 11 for line in plain.lines)
    if "follow" in words or "--follow" in words:
        documents = [json.loads(line) for line in as_json.out.splitlines()]
        assert (
            len(documents) == len(plain.lines) == len(people.out.splitlines()) == int(words[words.index("--limit") + 1])
        )
    else:
        documents = as_json.document
        assert len(documents) == len(plain.lines) == len(people.out.splitlines()) - 2
    assert [str(each["id"]) for each in documents] == [line[0] for line in plain.lines]
    assert [each["kind"] for each in documents] == [line[3] for line in plain.lines]
    assert kept_rows(catalogue) == before


def kept_rows(catalogue: Path) -> list[str]:
    """Return all rows but those of sessions, which following leaves for a day."""
    return [line for line in builders.dump(str(catalogue)) if not line.startswith(('["session"', '{"rows"'))]


def test_the_last_events_are_listed_and_those_after_a_number(told: Command) -> None:
    everything = [each["id"] for each in told("--json", "events", "--limit", "100000").document]
    assert everything == sorted(everything)
    assert len(everything) > 10
    assert [each["id"] for each in told("--json", "events", "--limit", "3").document] == everything[-3:]
    after = told("--json", "events", "list", "--after", str(everything[4]), "--limit", "3").document
    assert [each["id"] for each in after] == everything[5:8]
    assert told("--json", "events", "--after", str(2**63 - 1)).document == []
    assert told("events", "--after", str(2**63 - 1)).out == "nothing has changed\n"


def test_changes_are_told_in_words(told: Command) -> None:
    with rsm.connect(application="nightly", worker=False) as session, session.because("courier run 7"):
        session.media.disable("A00001")
    lines = told("events", "--of", "A00001").out.splitlines()
    found = [re.split(r"\s{2,}", line.strip()) for line in lines[2:]]
    assert [cells[2] for cells in found] == ["cartridge Monday new", *["cartridge Monday changed"] * 3]
    assert found[1][4:6] == ["SetNtmsObjectInformation", "name: A00001 → Monday"]
    assert found[2][4:6] == ["MoveToNtmsMediaPool", rf"pool: {DAILY} → \App\Weekly"]
    assert found[3][3].endswith(" with nightly")
    assert found[3][4:] == ["DisableNtmsObject", "enabled: yes → no", "courier run 7"]
    side = told("events", "--limit", "1").out.splitlines()[-1]
    assert "side A00001 changed" in side
    (line,) = told("events", "follow", "--of", "A00001", "--after", found[2][0], "--limit", "1").out.splitlines()
    assert line.endswith("): enabled: yes → no because courier run 7")
    assert " cartridge Monday changed (DisableNtmsObject by " in line
    assert "state: available" in told("events").out


def test_what_is_gone_is_called_what_it_was_called(told: Command) -> None:
    medium = told("--json", "media", "show", "A00001").document["medium"]["id"]
    whole = told("--json", "media", "history", "A00001").document
    assert told("media", "delete", "A00001", "--yes").status == 0
    assert "cartridge Monday gone" in told("events").out
    assert told("media", "history", "A00001").err.startswith("ERROR_OBJECT_NOT_FOUND (4312): ")
    after = told("--json", "media", "history", medium).document
    assert after[: len(whole)] == whole
    assert {(each["kind"], each["operation"]) for each in after[len(whole) :]} == {
        ("NTMS_PHYSICAL_MEDIA", "NTMS_OBJ_DELETE"),
        ("NTMS_PARTITION", "NTMS_OBJ_DELETE"),
    }
    assert told("events", "--of", medium).status == 0


def test_the_history_of_a_cartridge_knows_all_its_logical_media(told: Command, catalogue: Path) -> None:
    with rsm.connect(caller=rsm.Caller.of_process(), worker=False) as session:
        pool = session.pools.get(r"\App\Weekly")
        robot = session.objects.find(rsm.NtmsObjectsTypes.NTMS_LIBRARY, "Robot")
        slots = session.objects.list(rsm.NtmsObjectsTypes.NTMS_STORAGESLOT, robot)
        builders.put_online(
            str(catalogue), session.media.get("A00001").id, builders.BuiltLibrary(robot, "Robot", slots=slots)
        )
        held = []
        for _ in range(2):
            held.append(session.media.allocate(pool, timeout_ms=0).id)
            session.media.deallocate(held[-1])
        last = session.media.allocate(pool, timeout_ms=0)
    history = told("--json", "media", "history", "A00001").document
    logical = [each for each in history if each["kind"] == "NTMS_LOGICAL_MEDIA"]
    assert [each["object"] for each in logical] == [str(held[0])] * 2 + [str(held[1])] * 2 + [str(last.id)]
    assert [each["id"] for each in history] == sorted(each["id"] for each in history)
    assert told("--json", "media", "history", "A00001", "--limit", "2").document == history[-2:]
    everything = told("--json", "events", "--limit", "100000").document
    kinds = ("NTMS_PHYSICAL_MEDIA", "NTMS_PARTITION", "NTMS_LOGICAL_MEDIA")
    others = {each["object"] for each in everything if each["kind"] in kinds} - {each["object"] for each in history}
    assert len(others) == 2  # the other cartridge and its side


def test_following_tells_what_another_process_does_and_ends_when_interrupted(told: Command, catalogue: Path) -> None:
    script = "import sys; from rsm.cli import main; sys.exit(main(sys.argv[1:]))"
    last = told("--json", "events", "--limit", "1").document[0]["id"]
    command = [sys.executable, "-c", script, "--database", str(catalogue), "--json", "events", "--follow"]
    with subprocess.Popen([*command, "--after", str(last - 1)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["id"] == last
        for name in ("Tuesday", "Wednesday"):
            assert told("media", "update", "A00001", "--name", name).status == 0
            assert json.loads(process.stdout.readline())["after"] == {"name": name}
        process.send_signal(2)
        assert process.wait(60) == 130
        assert process.stdout.read() == ""


@pytest.mark.parametrize(
    ("words", "name", "code"),
    [
        (("events", "--of", "Nothing"), "ERROR_OBJECT_NOT_FOUND", 4312),
        (("events", "--of", r"\No\Such"), "ERROR_OBJECT_NOT_FOUND", 4312),
        (("events", "--of", "Twice"), "ERROR_INVALID_PARAMETER", 87),
        (("events", "follow", "--of", "Nothing"), "ERROR_OBJECT_NOT_FOUND", 4312),
        (("media", "history", "Nothing"), "ERROR_OBJECT_NOT_FOUND", 4312),
        (("media", "history", UNKNOWN_ID), "ERROR_OBJECT_NOT_FOUND", 4312),
    ],
)
def test_refusals(filled_command: Command, words: tuple[str, ...], name: str, code: int) -> None:
    assert filled_command("pool", "create", "Twice", "--type", "LTO-8").status == 0
    assert filled_command("media", "update", "A00001", "--name", "Twice").status == 0
    answer = filled_command(*words)
    assert (answer.status, answer.out) == (1, "")
    assert answer.err.startswith(f"{name} ({code}): ")
    assert answer.err.count("\n") == 1
    assert filled_command("--json", *words).error["code"] == code


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("events", "--limit", "0"), "--limit"),
        (("events", "--limit", "some"), "--limit"),
        (("events", "--after", "-1"), "--after"),
        (("events", "--after", str(2**63)), "no number of an event"),
        (("events", "follow", "--after", str(2**63)), "no number of an event"),
        (("events", "--follow", "list"), "after the verb"),
        (("events", "--limit", "3", "follow"), "after the verb"),
        (("events", "sing"), "No such command 'sing'"),
        (("media", "history"), "Missing argument"),
    ],
)
def test_wrong_usage(filled_command: Command, words: tuple[str, ...], says: str) -> None:
    answer = filled_command(*words)
    assert (answer.status, answer.out) == (2, "")
    assert says in answer.err
