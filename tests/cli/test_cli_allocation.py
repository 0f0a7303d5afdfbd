"""Allocating and giving back from the command line: what is printed, in all three forms, and how it ends."""

import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import builders
import pytest
from watch import nothing_changed

import rsm
from rsm.constants import NtmsPartitionState as State

Command = Callable[..., Any]
DAILY = r"\App\Daily"


@pytest.fixture
def command(filled_command: Command, catalogue: Path) -> Command:
    """Return the command on a catalogue with A1 and A2 online in the pool, beside those on the shelf."""
    with rsm.connect(catalogue, worker=False) as session:
        pool = session.pools.get(DAILY)
        (near,) = [each for each in session.objects.list(rsm.NtmsObjectsTypes.NTMS_LIBRARY) if _is_robot(session, each)]
    robot = builders.BuiltLibrary(near, "Robot")
    builders.add_media(str(catalogue), pool, ["A1", "A2"], library=robot)
    return filled_command


def _is_robot(session: rsm.Session, library: uuid.UUID) -> bool:
    return bool(session.objects.get(rsm.NtmsObjectsTypes.NTMS_LIBRARY, library).name == "Robot")


def state(catalogue: Path, barcode: str) -> State:
    with rsm.connect(catalogue, worker=False) as session:
        return session.media.sides(barcode)[0].state


def test_a_medium_from_allocation_to_the_end(command: Command, catalogue: Path) -> None:
    answer = command("media", "allocate", DAILY, "--timeout", "0")
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.startswith(rf"Medium A1 from {DAILY} is allocated, logical medium ")
    second = command("--json", "media", "allocate", DAILY, "--fail").document
    assert sorted(second) == ["logical_medium", "source_pool"]
    assert second["logical_medium"]["name"] == "A2"
    (line, other) = command("--plain", "media", "logical", "--pool", DAILY).lines
    assert (line[1:5], other[0]) == (["A1", "A1", DAILY, "rsm"], second["logical_medium"]["id"])
    assert command("media", "swap", "A1", "A2").out == "A1 and A2 have changed places.\n"
    assert command("--json", "media", "complete", line[0]).document == {"completed": line[0]}
    assert state(catalogue, "A2") is State.NTMS_PARTSTATE_COMPLETE
    assert command("media", "deallocate", line[0], "--yes").out == f"The medium {line[0]} is given back.\n"
    assert command("--plain", "media", "decommission", "A2", "--yes").lines == [["A2"]]
    assert state(catalogue, "A2") is State.NTMS_PARTSTATE_DECOMMISSIONED
    assert command("--plain", "media", "allocate", DAILY, "--side", "A1", "--fail").status == 1
    (left,) = command("--json", "media", "logical").document
    assert left["id"] == second["logical_medium"]["id"]


def test_why_tells_the_chosen_one_first_and_a_reason_for_each(command: Command) -> None:
    lines = command("--plain", "media", "why", DAILY).lines
    assert [(line[1], line[4], line[5]) for line in lines] == [
        ("A1", "3", "true"),
        ("A2", "3", "false"),
        ("A00001", "", "false"),
        ("A00002", "", "false"),
    ]
    assert [line[6] for line in lines[2:]] == ["offline", "the side is disabled"]
    people = command("media", "why", DAILY, "--limit", "2").out
    assert "chosen: online, but this host has no path to its library" in " ".join(people.split())
    assert [found["barcode"] for found in command("--json", "media", "why", DAILY).document][:2] == ["A1", "A2"]
    assert command("media", "why", r"\App\Weekly").out == "no media\n"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("allocate", r"\App\Weekly", "--timeout", "0"), "ERROR_TIMEOUT"),
        (("allocate", r"\App\Weekly", "--timeout", "0.05"), "ERROR_TIMEOUT"),
        (("allocate", r"\App\Weekly", "--fail"), "ERROR_MEDIA_UNAVAILABLE"),
        (("allocate", r"\App"), "ERROR_INVALID_MEDIA_POOL"),
        (("allocate", DAILY, "--side", "A00001"), "ERROR_MEDIA_OFFLINE"),
        (("allocate", DAILY, "--next-to", "A1"), "ERROR_INVALID_MEDIA"),
        (("deallocate", "A1", "--yes"), "ERROR_INVALID_MEDIA"),
        (("complete", "nothing"), "ERROR_INVALID_MEDIA"),
        (("decommission", "nothing", "--yes"), "ERROR_INVALID_MEDIA"),
        (("swap", "A1", "A2"), "ERROR_INVALID_MEDIA"),
        (("why", r"\App"), "ERROR_INVALID_MEDIA_POOL"),
        (("logical", "--pool", r"\Gone"), "ERROR_OBJECT_NOT_FOUND"),
    ],
)
def test_refusals_are_one_line(command: Command, words: tuple[str, ...], error: str) -> None:
    answer = command("media", *words)
    assert (answer.status, answer.out) == (1, "")
    assert answer.err.startswith(f"{error} (")
    assert answer.err.count("\n") == 1


def test_what_destroys_something_asks_or_only_tells(command: Command, catalogue: Path) -> None:
    command("media", "allocate", DAILY)
    with nothing_changed(str(catalogue)):
        for verb, named in (("deallocate", "A1"), ("decommission", "A2")):
            assert command("media", verb, named).status == 2
            rehearsal = command("--json", "media", verb, named, "--dry-run").document
            assert rehearsal["dry_run"] is True
    wrong: list[tuple[str, ...]] = [
        ("allocate", DAILY, "--new", "--next-to", "A1"),
        ("allocate", DAILY, "--timeout", "-1"),
    ]
    for words in wrong:
        assert command("media", *words).status == 2


def test_a_person_at_a_terminal_sees_what_is_waited_for(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rsm.cli.output.is_terminal", lambda stream: stream is sys.stderr)
    for form, seen in (((), True), (("--json",), False)):
        answer = command(*form, "media", "allocate", r"\App\Weekly", "--timeout", "0.05")
        assert answer.status == 1
        assert (r"waiting 0 s: an operator is to bring media for \App\Weekly" in answer.err) is seen
        assert ("\r\x1b[K" in answer.err) is seen
