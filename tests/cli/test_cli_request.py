"""`rsm request`, and the verbs of `rsm library` that queue work: what they tell, carry out, leave queued and refuse."""

import json
import re
import signal
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from programs import OnTerminal

import rsm
from rsm.constants import NtmsLmState as State
from rsm.libraries.virtual import add_cartridge

Command = Callable[..., Any]
pytestmark = pytest.mark.works
UNKNOWN_ID = "0123456789abcdef0123456789ABCDEF"


@pytest.fixture
def waiting(robot: Any) -> Iterator[tuple[Any, list[str]]]:
    """Three mounts that another program waits for, while nobody works the library."""
    robot.allocate(3)
    with robot.held_by_another() as session:
        asked = [
            session.mounts.request("A00001", write=True),
            session.mounts.request("A00002", drive="drive-02"),
            session.mounts.request("A00003"),
        ]
        yield robot, [str(each.ids[0]) for each in asked]


def test_a_library_is_added_with_its_inventory(rsm_command: Command, robot: Any, tmp_path: Any) -> None:
    assert "nothing new" in rsm_command("library", "inventory", "Robot").out
    rsm_command("library", "disable", "Robot")
    rsm_command("library", "delete", "Robot", "--yes")
    answer = rsm_command("library", "add", "virtual", str(robot.folder), "--name", "Robot")
    assert (answer.status, answer.err) == (0, "")
    assert re.fullmatch(r"Library Robot is on record, id [-0-9a-f]{36}\.\n.*", answer.out, re.DOTALL)
    assert answer.out.endswith(
        "The inventory of Robot found 3 cartridges, 3 returned:\n  returned: A00001, A00002, A00003\n"
    )


def test_inventories_tell_what_they_found(robot: Any, tmp_path: Any) -> None:
    command = robot.command
    add_cartridge(robot.folder, "B00001")
    (robot.folder / "slot-0001" / "A00001").rename(tmp_path / "A00001")
    (robot.folder / "slot-0002" / "A00002").rename(robot.folder / "slot-0006" / "A00002")
    told = command("library", "inventory", "Robot").out.splitlines()
    assert told == [
        "The inventory of Robot found 3 cartridges, 1 appeared, 1 moved, 1 vanished:",
        "  appeared: B00001",
        "  moved: A00002",
        "  vanished: A00001",
    ]
    document = command("--json", "library", "inventory", "Robot", "--full").document
    assert (document["state"], document["details"]["found"]) == ("NTMS_LM_PASSED", 3)
    ((request_id, *counts),) = command("--plain", "library", "inventory", "Robot", "--fast").lines
    assert (uuid.UUID(request_id).version, counts) == (7, ["3", "0", "0", "0", "0", "0"])
    assert "exclude each other" in command("library", "inventory", "Robot", "--fast", "--full").err
    assert command("--json", "library", "inventory", "Nowhere").error["error"] == "ERROR_INVALID_PARAMETER"
    assert command("--json", "library", "inventory", "Offline").error["error"] == "ERROR_INVALID_LIBRARY"


@pytest.mark.parametrize("slot", ["2", "slot-0002"])
def test_identifying_a_slot(robot: Any, slot: str) -> None:
    command = robot.command
    assert command("library", "identify", "Robot", slot).out == (
        "In slot 2 of Robot is A00002 of \\Unrecognized\\LTO-8: side 1 foreign, no label that is known.\n"
    )
    document = command("--json", "library", "identify", "Robot", slot).document
    assert (document["medium"]["barcode"], document["request"]["state"]) == ("A00002", "NTMS_LM_PASSED")
    assert "nothing is on record" in command("library", "identify", "Robot", "5").out
    queued = command("--json", "library", "identify", "Robot", slot, "--no-wait").document
    assert (queued["medium"], queued["request"]["state"]) == (None, "NTMS_LM_QUEUED")
    assert command("--json", "library", "identify", "Robot", "99").error["error"] == "ERROR_OBJECT_NOT_FOUND"


def test_the_queue_in_words(waiting: tuple[Any, list[str]]) -> None:
    robot, ids = waiting
    user = rsm.Caller.of_process().user.removeprefix("user:")
    lines = robot.command("--plain", "request", "list", "Robot").lines
    assert [(line[0], line[1], line[3]) for line in lines] == [
        (f"mount A00001 for writing for nightly ({user})", "Robot", ids[0]),
        (f"mount A00002 in drive-02 for nightly ({user})", "Robot", ids[1]),
        (f"mount A00003 for nightly ({user})", "Robot", ids[2]),
    ]
    assert all(re.fullmatch(r"waiting \d+ s: it is next", line[2]) for line in lines)
    robot.command("drive", "disable", "drive-02")
    document = robot.command("--json", "request", "list").document
    assert [each["id"] for each in document] == ids
    assert document[1]["progress"].endswith(": no enabled drive here takes cartridge A00002")
    assert document[0]["details"] == {"side": 0, "for_writing": True}
    assert f"mount A00003 for nightly ({user})" in robot.command("request", "list").out
    everything = robot.command("--plain", "request", "list", "--all").lines
    assert [f"inventory for rsm ({user})", "Robot", "passed"] == everything[0][:3]
    assert robot.command("--json", "request", "list", "Nowhere").error["error"] == "ERROR_OBJECT_NOT_FOUND"


def test_nobody_works_the_library(robot: Any) -> None:
    robot.command("library", "inventory", "Robot", "--no-wait")
    ((_, _, progress, request_id),) = robot.command("--plain", "request", "list").lines
    assert progress.endswith(": nobody works the library just now")
    assert "  appeared" not in robot.command("request", "wait", request_id).out
    assert robot.command("request", "list").out == "nothing to do\n"


def test_the_order_of_mounts(waiting: tuple[Any, list[str]]) -> None:
    robot, (first, second, third) = waiting
    command = robot.command

    def orders() -> list[int]:
        return [command("--json", "request", "order", each).document["order"] for each in (first, second, third)]

    assert orders() == [1, 2, 3]
    assert command("request", "order", third, "1").out == f"The request {third} is number 1.\n"
    assert orders() == [2, 3, 1]
    assert command("request", "order", third, "last").out == f"The request {third} is last.\n"
    earlier, later, last = orders()
    assert earlier < later < last == 0xFFFFFFFF
    assert "is no place in the queue" in command("request", "order", third, "first").err
    assert command("--json", "request", "order", first, "0").error["code"] in (87, 5023)
    assert command("--json", "request", "order", UNKNOWN_ID).error["error"] == "ERROR_OBJECT_NOT_FOUND"
    inventory = command("--json", "request", "list", "--all").document[0]["id"]
    assert "cannot be moved" in command("request", "order", inventory).out
    assert command("--json", "request", "order", inventory, "1").error["error"] == "ERROR_INVALID_STATE"


def test_cancelling(waiting: tuple[Any, list[str]]) -> None:
    robot, (first, *_) = waiting
    assert robot.command("--json", "request", "cancel", first).document["state"] == "NTMS_LM_CANCELLED"
    again = robot.command("--json", "request", "cancel", first)
    assert (again.status, again.error["error"]) == (1, "ERROR_OBJECT_NOT_FOUND")
    ended = robot.command("--json", "request", "wait", first)
    assert (ended.status, ended.error["error"]) == (1, "ERROR_CANCELLED")
    assert robot.command("--json", "request", "cancel", "nonsense").error["error"] == "ERROR_INVALID_PARAMETER"


def test_showing_a_request_and_its_steps(robot: Any) -> None:
    inventory, identified = robot.command("--json", "request", "list", "--all").document[:2]
    shown = robot.command("--json", "request", "show", identified["id"]).document
    assert [(step["action"], step["source"], step["destination"], step["state"]) for step in shown["steps"]] == [
        ("move", "slot-0001", "drive-01", "NTMS_LM_PASSED"),
        ("load", None, None, "NTMS_LM_PASSED"),
        ("identify", None, None, "NTMS_LM_PASSED"),
        ("unload", None, None, "NTMS_LM_PASSED"),
        ("move", "drive-01", "slot-0001", "NTMS_LM_PASSED"),
    ]
    plain = robot.command("--plain", "request", "show", inventory["id"]).lines
    assert ["progress", "passed"] in plain
    assert [line[:3] for line in plain if line[0] == "step"] == [["step", "1", "read elements"]]
    people = robot.command("request", "show", identified["id"]).out
    assert "identify A00001 in drive-01 for Removable Storage" in people
    assert "Steps\n" in people


def test_waiting_has_an_end(robot: Any) -> None:
    with robot.held_by_another():
        queued = robot.command("--json", "library", "inventory", "Robot", "--no-wait").document["id"]
        over = robot.command("--json", "request", "wait", queued, "--timeout", "0.05")
        assert (over.status, over.error["error"]) == (1, "ERROR_TIMEOUT")
        assert "stays queued" in over.error["message"]
        over = robot.command("library", "inventory", "Robot", "--timeout", "0.05")
        assert (over.status, over.out) == (1, "")
        assert "rsm library stop Robot takes it back" in over.err
        assert robot.command("--json", "library", "stop", "Robot").document == {"stopped": 2}
        assert robot.command("request", "list").out == "nothing to do\n"


def test_forgetting_what_has_ended(waiting: tuple[Any, list[str]]) -> None:
    robot, (first, *_) = waiting
    ended = [each["id"] for each in robot.command("--json", "request", "list", "--all").document if each["completed"]]
    assert robot.command("request", "delete").status == 2
    assert "give ids" in robot.command("request", "delete", first, "--ended", "--yes").err
    assert "give --yes" in robot.command("request", "delete", "--ended").err
    deletion = ("--json", "request", "delete")
    assert robot.command(*deletion, first, ended[0], "--yes").document == {"deleted": 1}
    for words in ((*deletion, "--ended"), ("--json", "request", "purge")):
        would = robot.command(*words, "--dry-run").document["would"]
        assert would == f"delete {len(ended) - 1} library requests"
    assert "give --yes" in robot.command("request", "purge").err
    assert robot.command(*deletion, "--ended", "--yes").document == {"deleted": len(ended) - 1}
    assert robot.command("--json", "request", "purge", "--yes").document == {"deleted": 0}
    assert len(robot.command("--json", "request", "list", "--all").document) == 3


def test_each_form_of_each_verb(waiting: tuple[Any, list[str]]) -> None:
    robot, (first, *_) = waiting
    verbs = [("list",), ("list", "--all"), ("show", first), ("order", first), ("delete", first, "--yes")]
    for words in verbs:
        for form in ((), ("--plain",), ("--json",)):
            answer = robot.command(*form, "request", *words)
            assert (answer.status, answer.err) == (0, ""), (form, words)
            assert "\x1b" not in answer.out
            if form == ("--json",):
                json.loads(answer.out)


def test_interrupted_while_waiting_it_stays_queued(robot: Any) -> None:
    with robot.held_by_another() as session:
        terminal = OnTerminal("library", "inventory", "Robot")
        terminal.read_until("s: inventory: queued")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.finish() == 130
        (left,) = session.requests.list("Robot", live=True)
        assert left.state is State.NTMS_LM_QUEUED
    seen = re.sub(r"\s+", " ", terminal.seen)
    assert "Traceback" not in seen
    assert f"the inventory stays queued: rsm request wait {left.id} carries it out" in seen
    assert "rsm library stop Robot takes it back" in seen
    assert robot.command("request", "wait", str(left.id)).status == 0


def test_a_request_of_another_program_is_waited_for(waiting: tuple[Any, list[str]]) -> None:
    robot, (first, *_) = waiting
    terminal = OnTerminal("request", "wait", first)
    terminal.read_until("s: mount: queued")
    assert robot.command("request", "cancel", first).status == 0
    assert terminal.finish() == 1
    assert "ERROR_CANCELLED (1223)" in terminal.seen
