"""`rsm worker`: what it works and tells, when it ends, and how signals end it."""

import fcntl
import json
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import builders
import pytest
import sqlalchemy
from programs import COMMAND, Program

from rsm import model
from rsm.constants import NtmsLmState as State
from rsm.libraries.virtual import add_cartridge

Command = Callable[..., Any]
pytestmark = pytest.mark.works
RUN = "from rsm.cli import main; sys.exit(main(sys.argv[1:]))"
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ "


def queue_inventory(robot: Any) -> str:
    """Queue an inventory that will find one more cartridge, and return its id."""
    add_cartridge(robot.folder, "B00001")
    return str(robot.command("--json", "library", "inventory", "Robot", "--no-wait").document["id"])


def test_once_works_until_nothing_is_due(robot: Any) -> None:
    queue_inventory(robot)
    answer = robot.command("worker", "--once")
    assert (answer.status, answer.out) == (0, "")
    told = answer.err.splitlines()
    assert all(re.match(TIME, line) for line in told), told
    words = [re.sub(TIME, "", line) for line in told]
    assert words[0] == f"Robot: library: virtual {robot.folder} is reached"
    assert words[-1] == "ended: nothing is due any more"
    assert [line.rsplit(" for ", 1)[0] for line in words if "identify" in line] == [
        "Robot: queued: identify B00001",
        "Robot: begun: identify B00001 in drive-01",
        "Robot: passed: identify B00001 in drive-01",
    ]
    assert [line for line in words if ": moved: " in line] == [
        "Robot: moved: B00001 to drive-01",
        "Robot: moved: B00001 to slot-0004",
    ]
    assert any(re.fullmatch(r"Robot: passed: fast inventory .*: 4 cartridges, 1 appeared", line) for line in words)
    assert robot.command("request", "list").out == "nothing to do\n"


def test_once_in_the_other_forms(robot: Any) -> None:
    request_id = queue_inventory(robot)
    lines = robot.command("--json", "worker", "--once").err.splitlines()
    documents = [json.loads(line) for line in lines]
    assert all(list(each)[:3] == ["at", "event", "library"] and list(each)[-1] == "text" for each in documents)
    assert ("passed", request_id) in {(each["event"], each.get("object")) for each in documents}
    queue_again = robot.command("--json", "library", "inventory", "Robot", "--no-wait").document["id"]
    fields = [line.split("\t") for line in robot.command("--plain", "worker", "--once").err.splitlines()]
    assert ("passed", "Robot", queue_again) in {tuple(line[1:4]) for line in fields}


def test_libraries_that_cannot_be_worked_are_told_and_not_waited_for(
    robot: Any, catalogue: Path, tmp_path: Path
) -> None:
    queue_inventory(robot)
    robot.folder.rename(tmp_path / "elsewhere")
    answer = robot.command("worker", "--once")
    assert answer.status == 0
    assert f"Robot: library: cannot be worked: {robot.folder} is not there or no directory" in answer.err
    assert "idle: no library can be worked from this host just now" in answer.err
    (tmp_path / "elsewhere").rename(robot.folder)
    with builders.behind(f"sqlite:///{catalogue}") as connection:
        connection.execute(sqlalchemy.update(model.DevicePath).values(host="mill"))
    answer = robot.command("worker", "--once")
    assert answer.status == 0
    assert f"has no path to virtual {robot.folder}: another host has to work it" in answer.err
    assert len(robot.command("--plain", "request", "list").lines) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stays_until_a_signal(robot: Any, number: signal.Signals) -> None:
    with Program(RUN, "worker") as program:
        program.hear_until("is reached")
        queue_inventory(robot)
        program.hear_until("passed: identify B00001")
        program.signal(number)
        told = [re.sub(TIME, "", line) for line in program.rest().splitlines()]
        assert told[-2:] == ["ending: the step in hand is finished, no other is begun", "ended: as asked"]
        assert program.status() == 0


def test_it_ends_when_another_catalogue_is_imported(robot: Any) -> None:
    """Then nothing keeps others from working the library, and a worker that is started again goes on."""
    assert robot.command("db", "export").status == 0
    with Program(RUN, "worker") as program:
        program.hear_until("is reached")
        queue_inventory(robot)
        program.hear_until("passed: identify B00001")
        assert robot.command("db", "import", "--yes").status == 0
        assert "ERROR_NOT_READY" in program.rest()
        assert program.status() == 1
    told = robot.command("worker", "--once").err
    assert "passed: identify B00001" in told
    assert robot.command("db", "check").status == 0


def test_the_step_in_hand_is_finished_and_the_rest_stays_queued(robot: Any) -> None:
    with (
        robot.connect() as session,
        open(robot.folder / ".robot", "rb") as lock,
        Program(RUN, "worker") as program,
    ):
        program.hear_until("is reached")
        session.mounts.mount("A00002", timeout_ms=60_000)
        session.mounts.request("A00002")  # waits for the other, so that the library stays in the worker's hands
        fcntl.flock(lock, fcntl.LOCK_EX)
        request = robot.command("--json", "library", "identify", "Robot", "1", "--no-wait").document["request"]
        program.hear_until("begun: identify A00001")
        program.signal(signal.SIGTERM)
        program.hear_until("ending: the step in hand is finished")
        fcntl.flock(lock, fcntl.LOCK_UN)
        assert "Traceback" not in program.rest()
        assert program.status() == 0
        assert session.requests.get(request["id"]).state is State.NTMS_LM_QUEUED
        medium = session.media.get("A00001")
        (place,) = robot.folder.glob("*/A00001")
        assert session.objects.get(medium.location_type, medium.location).name == place.parent.name
    assert robot.command("request", "wait", request["id"]).status == 0
    assert robot.command("db", "check").status == 0


def test_nobody_reads_what_it_tells(robot: Any) -> None:
    process = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" 2>/dev/full', "sh", *COMMAND, "worker", "--once"], check=False, timeout=60
    )
    assert process.returncode == 1


def test_a_failed_request_is_told_with_its_error(robot: Any) -> None:
    robot.allocate()
    with robot.connect() as session:
        session.mounts.request("A00001")
        (side,) = robot.folder.glob("*/A00001/side-1")
        side.write_bytes(b"something else")
        told = robot.command("worker", "--once").err
    assert re.search(r"Robot: failed: mount A00001.*: ERROR_INVALID_STATE cartridge A00001 is not what it was", told), (
        told
    )
