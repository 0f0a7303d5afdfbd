"""`rsm library eject|inject|door|done`: what they do with a real robot, say in three forms, and leave queued."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cli.conftest import Answer, Robot
from mounting import Person

from rsm.cli import waiting as cli_waiting
from rsm.constants import NtmsLmState

pytestmark = pytest.mark.works

AtTheLibrary = Callable[[Callable[[], None]], None]


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> AtTheLibrary:
    """Have a person do something while the command waits for one."""
    waits = cli_waiting.carry_out

    def at_the_library(do: Callable[[], None]) -> None:
        def carry_out(run, session, request, *, timeout=None):  # type: ignore[no-untyped-def]
            session.requests.wait(request, timeout_ms=60_000, on_wait=Person(do))
            return waits(run, session, request, timeout=timeout)

        monkeypatch.setattr("rsm.cli.attended.carry_out", carry_out)

    return at_the_library


def shelve(robot: Robot, barcode: str) -> Path:
    (lying,) = robot.folder.glob(f"*-*/{barcode}")
    away = robot.folder.with_name(barcode)
    os.rename(lying, away)
    return away


def test_a_cartridge_goes_out_and_comes_back(robot: Robot, person: AtTheLibrary) -> None:
    person(lambda: shelve(robot, "A00001") and None)
    assert robot.command("library", "eject", "A00001").out == "Taken out: A00001.\n"
    person(lambda: os.rename(robot.folder.with_name("A00001"), robot.folder / "port-01" / "A00001"))
    came = robot.command("--json", "library", "inject", "Robot").document
    assert (came["state"], came["details"]["taken_in"]) == ("NTMS_LM_PASSED", ["A00001"])
    person(lambda: shelve(robot, "A00002") and None)
    (line,) = robot.command("--plain", "media", "eject", "A00002").lines
    assert line[1:] == ["A00002"]


def says(answer: Answer, status: int, *words: str) -> None:
    assert answer.status == status
    assert all(word in answer.out + answer.err for word in words), answer


def test_what_is_only_queued_is_listed_and_ended(robot: Robot) -> None:
    says(robot.command("library", "door", "Robot"), 1, "ERROR_RESOURCE_NOT_PRESENT", "no door")
    says(robot.command("library", "eject", "nothing"), 1, "ERROR_INVALID_MEDIA")
    says(robot.command("library", "done", "Robot"), 1, "ERROR_INVALID_OPERATION", "Robot")
    assert "queued" in robot.command("library", "inject", "Robot", "--many", "--no-wait").out
    says(robot.command("request", "list"), 0, "take cartridges in", "nobody works")
    says(robot.command("library", "done", "Robot"), 0, "inject")
    assert robot.command("--plain", "request", "list").lines == []
    queued = robot.command("--json", "library", "eject", "A00001", "A00002", "--no-wait").document
    with robot.connect() as session:
        assert session.requests.get(queued["id"]).state is NtmsLmState.NTMS_LM_QUEUED
    says(robot.command("library", "eject", "A00003", "--timeout", "0"), 1, "ERROR_TIMEOUT", "stays queued", "cancel")
