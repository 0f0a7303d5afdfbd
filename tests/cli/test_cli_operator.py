"""`rsm operator`: what a person is told to do, the commands that answer it, and what every verb does in each form."""

import json
import re
import shlex
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import builders
import pytest

import rsm
from rsm.cli.operator_request import spoken_time

Command = Callable[..., Any]
DAILY = r"\App\Daily"
UNKNOWN_ID = "0123456789abcdef0123456789ABCDEF"


def submit(command: Command, *words: str) -> str:
    """Ask for something and return the id of the request."""
    ((request_id,),) = command("--plain", "operator", "submit", *words).lines
    return str(uuid.UUID(request_id))


@pytest.fixture
def asked(filled_command: Command) -> str:
    return submit(filled_command, "message", "--message", "clean\tthe hands")


@pytest.mark.parametrize(
    "words",
    [
        ("list",),
        ("list", "--all"),
        ("show", "{}"),
        ("submit", "message", "--message", "two\tcolumns"),
        ("submit", "new-media", "--about", DAILY, "--target", "Robot"),
        ("submit", "cleaner", "--about", "Robot"),
        ("submit", "device-service", "--about", "Robot drive 0"),
        ("submit", "move-media", "--about", "A00001", "--target", "Robot"),
        ("satisfy", "{}"),
        ("refuse", "{}"),
        ("delete", "{}", UNKNOWN_ID, "--yes"),
        ("delete", "{}", "--dry-run"),
    ],
    ids=" ".join,
)
def test_verb_in_each_form(filled_command: Command, catalogue: Path, asked: str, words: tuple[str, ...]) -> None:
    saved = catalogue.read_bytes()
    words = tuple(word.format(asked) for word in words)
    for form in ("--json", "--plain", "--people"):
        catalogue.write_bytes(saved)
        answer = filled_command(*(() if form == "--people" else (form,)), "operator", *words)
        assert (answer.status, answer.err) == (0, ""), form
        assert "\x1b" not in answer.out
        assert "\t" not in answer.out or form == "--plain"
        if form == "--json":
            json.loads(answer.out)


REFUSALS = [
    (("show", UNKNOWN_ID), "ERROR_OBJECT_NOT_FOUND", 4312),
    (("show", "nonsense"), "ERROR_OBJECT_NOT_FOUND", 4312),
    (("submit", "message", "--message", "x" * 256), "ERROR_INVALID_PARAMETER", 87),
    (("submit", "new-media"), "ERROR_INVALID_PARAMETER", 87),
    (("submit", "move-media", "--about", "A00001"), "ERROR_INVALID_PARAMETER", 87),
    (("submit", "cleaner", "--about", "Robot", "--target", "Robot"), "ERROR_INVALID_PARAMETER", 87),
    (("submit", "move-media", "--about", "A0000X", "--target", "Robot"), "ERROR_OBJECT_NOT_FOUND", 4312),
    (("wait", "{}", "--timeout", "0"), "ERROR_TIMEOUT", 1460),
    (("wait", "{}", "--timeout", "-1"), "ERROR_INVALID_PARAMETER", 87),
    (("wait", "{}", "--timeout", "9" * 30), "ERROR_INVALID_PARAMETER", 87),
    (("wait", UNKNOWN_ID), "ERROR_OBJECT_NOT_FOUND", 4312),
    (("satisfy", UNKNOWN_ID), "ERROR_OBJECT_NOT_FOUND", 4312),
    (("refuse", UNKNOWN_ID), "ERROR_OBJECT_NOT_FOUND", 4312),
]


@pytest.mark.parametrize(("words", "name", "code"), REFUSALS)
def test_refusals(
    filled_command: Command, catalogue: Path, asked: str, words: tuple[str, ...], name: str, code: int
) -> None:
    before = builders.dump(str(catalogue))
    words = tuple(word.format(asked) for word in words)
    answer = filled_command("operator", *words)
    assert (answer.status, answer.out) == (1, "")
    assert answer.err.startswith(f"{name} ({code}): ")
    assert answer.err.count("\n") == 1
    error = filled_command("--json", "operator", *words).error
    assert (error["error"], error["code"]) == (name, code)
    assert builders.dump(str(catalogue)) == before


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("submit", "beer"), "'beer' is not one of 'new-media', 'cleaner'"),
        (("submit",), "Missing argument"),
        (("delete",), "Missing argument"),
        (("delete", "{}"), "give --yes"),
        (("wait", "{}", "--timeout", "soon"), "--timeout"),
    ],
)
def test_wrong_usage_does_nothing(
    filled_command: Command, catalogue: Path, asked: str, words: tuple[str, ...], says: str
) -> None:
    before = builders.dump(str(catalogue))
    answer = filled_command("operator", *(word.format(asked) for word in words))
    assert (answer.status, answer.out) == (2, "")
    assert says in answer.err
    assert builders.dump(str(catalogue)) == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("message", "--message", "clean\nthe  hands"), "Clean the hands"),
        (("message",), "A message without text"),
        (("message", "--about", "A00001", "--message", "odd"), "About cartridge A00001: odd"),
        (
            ("new-media", "--about", DAILY, "--target", "Robot"),
            rf"Put new LTO-8 media for pool {DAILY} into library Robot",
        ),
        (("new-media", "--about", r"\App"), r"Put new media for pool \App into a library"),
        (("cleaner", "--about", "Robot"), "Put a cleaning cartridge into library Robot"),
        (
            ("cleaner", "--about", "Robot slot 2"),
            "Put a cleaning cartridge into slot 2 (Robot slot 2) of library Robot",
        ),
        (
            ("device-service", "--about", "Robot drive 0", "--message", "it squeaks"),
            "See to drive 0 (Robot drive 0) of library Robot, which needs service: it squeaks",
        ),
        (
            ("move-media", "--about", "A00001", "--target", "Robot"),
            "Put cartridge A00001, now on the shelf, into library Robot",
        ),
        (
            ("move-media", "--about", "A00002", "--target", "Offline"),
            "Take cartridge A00002, now in library Robot, out and put it on the shelf",
        ),
    ],
)
def test_list_says_what_to_do(filled_command: Command, catalogue: Path, words: tuple[str, ...], told: str) -> None:
    tape = uuid.UUID(filled_command("--json", "media", "show", "A00002").document["medium"]["id"])
    robot = uuid.UUID(filled_command("--json", "view", "library").document[-1]["id"])
    slots = [uuid.UUID(each["id"]) for each in filled_command("--json", "view", "slot", "Robot").document]
    builders.put_online(str(catalogue), tape, builders.BuiltLibrary(robot, "Robot", slots=slots))
    request = submit(filled_command, *words)
    sentence, waiting, done, not_done = filled_command("operator", "list").out.splitlines()
    assert sentence == told
    assert re.fullmatch(r"  waiting \d+ s, asked by user:\S+ with rsm on \S+", waiting)
    assert done.endswith(f" rsm operator satisfy {request}")
    assert not_done.endswith(f" rsm operator refuse {request}")
    ((_, _, state, _, what, *_),) = filled_command("--plain", "operator", "list").lines
    assert (state, what[0].upper() + what[1:]) == ("NTMS_OPSTATE_SUBMITTED", told)
    assert filled_command("operator", "show", request).out.splitlines()[0].endswith(what)


def test_a_name_beside_the_bar_code_is_told(filled_command: Command) -> None:
    filled_command("media", "update", "A00001", "--name", "Monday")
    submit(filled_command, "move-media", "--about", "Monday", "--target", "Robot")
    assert "Put cartridge A00001 (Monday), now" in filled_command("operator", "list").out


def test_the_commands_that_list_prints_answer_the_requests(filled_command: Command, tmp_path: Path) -> None:
    place = ("--database", str(tmp_path / "an other.db"))
    assert filled_command(*place, "db", "create").status == 0
    for _ in range(2):
        filled_command(*place, "operator", "submit", "message")
    lines = filled_command(*place, "operator", "list").out.splitlines()
    first = [shlex.split(line.partition(": ")[2])[1:] for line in lines if ": " in line]
    assert [words[-2] for words in first] == ["satisfy", "refuse"] * 2
    assert [filled_command(*words).status for words in (first[0], first[3])] == [0, 0]
    assert filled_command(*place, "operator", "list").out == "nothing to do\n"
    states = [request["state"] for request in filled_command(*place, "--json", "operator", "list", "--all").document]
    assert states == ["NTMS_OPSTATE_COMPLETE", "NTMS_OPSTATE_REFUSED"]
    told = filled_command(*place, "operator", "list", "--all").out
    assert re.findall(r"^  (done|refused), asked by .* id [0-9a-f-]{36}$", told, re.MULTILINE) == ["done", "refused"]


def test_life_of_a_request(filled_command: Command, asked: str) -> None:
    assert filled_command("operator", "delete", asked, "--yes").out == "Deleted operator requests: 0 of 1.\n"
    answered = filled_command("--json", "operator", "satisfy", asked).document
    assert (answered["id"], answered["state"]) == (asked, "NTMS_OPSTATE_COMPLETE")
    assert filled_command("operator", "wait", asked).out == "It is done.\n"
    assert filled_command("--json", "operator", "wait", asked, "--timeout", "0").document == answered
    assert filled_command("operator", "satisfy", asked).err.startswith("ERROR_OBJECT_NOT_FOUND (4312): ")
    assert filled_command("operator", "refuse", asked).err.startswith("ERROR_INVALID_STATE (5023): ")
    refused = submit(filled_command, "message")
    assert filled_command("operator", "refuse", refused.replace("-", "").upper()).status == 0
    answer = filled_command("operator", "wait", refused, "--timeout", "5")
    assert (answer.status, answer.err.partition(":")[0]) == (1, "ERROR_CANCELLED (1223)")
    words = ("operator", "delete", asked, refused, UNKNOWN_ID)
    assert filled_command("--json", *words, "--dry-run").document["would"] == "delete 2 of 3 operator requests"
    assert filled_command("--json", *words, "--yes").document == {"deleted": 2}
    assert filled_command("--json", "operator", "list", "--all").document == []


def test_what_may_not_be_read_goes_by_its_id(filled_command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    request = submit(filled_command, "new-media", "--about", DAILY)
    pool = filled_command("--json", "pool", "show", DAILY).document["id"]
    filled_command("acl", "deny", DAILY, "user:bob", "use")
    monkeypatch.setattr(rsm.Caller, "of_process", lambda: rsm.Caller("user:bob"))
    assert f"Put new media for pool {pool} into a library\n" in filled_command("operator", "list").out
    answer = filled_command("operator", "satisfy", request)
    assert (answer.status, answer.err.partition(":")[0]) == (1, "ERROR_ACCESS_DENIED (5)")


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-5, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h 0 min"),
        (86_399, "23 h 59 min"),
        (86_400, "1 d 0 h"),
        (400 * 86_400 + 7200, "400 d 2 h"),
    ],
)
def test_spoken_time(seconds: int, told: str) -> None:
    assert spoken_time(seconds) == told
