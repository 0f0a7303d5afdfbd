"""`rsm media mount` and `dismount`, `rsm drive dismount`: recordings through pipes, commands and their exit status."""

import io
import json
import os
import re
import signal
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forks import run_forked
from programs import COMMAND, OnTerminal, Program

from rsm.constants import NtmsObjectsTypes as Kind

Command = Callable[..., Any]
pytestmark = pytest.mark.works
RUN = "from rsm.cli import main; sys.exit(main(sys.argv[1:]))"
SAYS = "import os, sys; print(os.environ['RSM_BARCODE'], os.environ['RSM_PATH'] == sys.argv[1]); sys.exit(7)"


def rsm(*words: str, given: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    return run_forked([*COMMAND, *words], input=given, capture_output=True, check=False, timeout=120)


def is_put_away(robot: Any, barcode: str = "A00001") -> bool:
    """Tell whether a cartridge lies in a slot, on record and in truth."""
    (found,) = [each for each in robot.command("--json", "media", "list").document if each["barcode"] == barcode]
    (place,) = robot.folder.glob(f"*/{barcode}")
    return found["location_type"] == "NTMS_STORAGESLOT" and place.parent.name.startswith("slot-")


def test_a_recording_goes_in_and_out_through_pipes(robot: Any, tmp_path: Path) -> None:
    robot.allocate()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(Path(__file__).parent / "conftest.py", "conftest.py")
    recorded = rsm("--json", "media", "mount", "A00001", "--write", given=archive.getvalue())
    assert (recorded.returncode, recorded.stderr) == (0, b"")
    document = json.loads(recorded.stdout)
    assert (document["barcode"], document["bytes"]) == ("A00001", len(archive.getvalue()))
    assert is_put_away(robot)
    played = rsm("media", "mount", "A00001")
    assert (played.returncode, played.stderr, played.stdout) == (0, b"", archive.getvalue())
    assert is_put_away(robot)


@pytest.mark.parametrize(
    ("script", "status", "out"),
    [(SAYS, 7, "A00001 True\n"), ("import os; os.kill(os.getpid(), 9)", 137, ""), ("pass", 0, "")],
)
def test_a_command_runs_meanwhile_and_its_status_is_the_end(robot: Any, script: str, status: int, out: str) -> None:
    done = rsm("media", "mount", "A00001", "--drive", "drive-02", "--", COMMAND[0], "-c", script, "{}")
    assert (done.returncode, done.stdout.decode(), done.stderr) == (status, out, b"")
    assert is_put_away(robot)


def test_a_command_writes_through_the_path(robot: Any) -> None:
    robot.allocate()
    done = rsm("media", "mount", "A00001", "--write", "--", "sh", "-c", 'printf abc > "$RSM_PATH"')
    assert (done.returncode, done.stderr) == (0, b"")
    assert rsm("media", "mount", "A00001", "--", "cat", "{}").stdout == b"abc"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_command_and_the_medium_is_put_away(robot: Any, number: signal.Signals) -> None:
    waits = "import sys; print('ready', flush=True); sys.stdin.readline()"
    with Program(RUN, "media", "mount", "A00001", "--", COMMAND[0], "-c", waits) as program:
        assert program.hear() == "ready"
        program.signal(number)
        assert program.status() == 128 + number
    assert is_put_away(robot)


@pytest.mark.parametrize(
    ("words", "given", "says"),
    [
        (("--write",), b"", "standard input is empty"),
        (("--", "no-such-command"), b"", "there is no command 'no-such-command'"),
        (("--json",), b"", "give no --json or --plain"),
        (("--", "--write"), b"", "there is no command '--write'"),
    ],
)
def test_wrong_usage_moves_nothing(robot: Any, words: tuple[str, ...], given: bytes, says: str) -> None:
    refused = rsm("media", "mount", "A00001", *words, given=given)
    assert (refused.returncode, refused.stdout) == (2, b"")
    assert says in refused.stderr.decode()
    live = robot.command("--json", "request", "list", "--all").document
    assert "NTMS_LM_MOUNT" not in {each["operation"] for each in live}


def test_a_terminal_is_neither_read_nor_written(robot: Any) -> None:
    for words, says in ((("--write",), "standard input, which is a terminal"), ((), "which is a terminal: redirect")):
        terminal = OnTerminal("media", "mount", "A00001", *words)
        assert terminal.finish() == 2
        assert says in re.sub(r"\s+", " ", terminal.seen)


@pytest.mark.parametrize(
    ("words", "given", "error"),
    [
        (("A00001", "--write"), b"x" * 2_000_000, "ERROR_DEVICE_NOT_AVAILABLE"),
        (("A00002", "--write"), b"x", "ERROR_INVALID_STATE"),
        (("A0000X", "--write"), b"x", "ERROR_INVALID_MEDIA"),
        (("A00001", "--drive", "drive-09"), b"", "ERROR_INVALID_DRIVE"),
    ],
)
def test_refusals_and_failures(robot: Any, words: tuple[str, ...], given: bytes, error: str) -> None:
    robot.allocate()
    failed = rsm("media", "mount", *words, given=given)
    assert (failed.returncode, failed.stdout) == (1, b"")
    assert failed.stderr.decode().startswith(f"{error} (")
    assert failed.stderr.count(b"\n") == 1
    assert is_put_away(robot)
    assert robot.command("request", "list").out == "nothing to do\n"


def test_nobody_reads_the_recording(robot: Any) -> None:
    robot.allocate()
    assert rsm("media", "mount", "A00001", "--write", given=os.urandom(500_000)).returncode == 0
    reader, writer = os.pipe()
    os.close(reader)
    played = subprocess.run([*COMMAND, "media", "mount", "A00001"], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (played.returncode, played.stderr) == (141, b"")
    assert robot.command("worker", "--once").status == 0
    assert robot.command("db", "check").status == 0


def test_giving_back_what_another_program_has(robot: Any) -> None:
    with robot.connect(worker=True) as session:
        session.mounts.mount("A00001", timeout_ms=60_000)
        assert robot.command("media", "dismount", "A00001").out == "The medium A00001 is dismounted and is put away.\n"
        assert is_put_away(robot)
        again = robot.command("--json", "media", "dismount", "A00001")
        assert (again.status, again.error["error"]) == (1, "ERROR_INVALID_STATE")
        mount = session.mounts.mount("A00002", timeout_ms=60_000)
        drive = mount.drive
        assert robot.command("--json", "drive", "dismount", drive.name).error["error"] == "ERROR_BUSY"
        assert robot.command("--json", "media", "dismount", "A00002", "--deferred").document == {"dismounted": "A00002"}
        assert session.media.get("A00002").location_type is Kind.NTMS_DRIVE
    assert robot.command("--plain", "drive", "dismount", drive.name).lines == [[drive.name]]
    assert is_put_away(robot, "A00002")
    assert robot.command("--json", "drive", "dismount", drive.name).error["error"] == "ERROR_INVALID_STATE"


def test_without_waiting_it_is_only_queued(robot: Any) -> None:
    with robot.connect(worker=True) as session:
        mount = session.mounts.mount("A00001", timeout_ms=60_000)
        drive = mount.drive
    with robot.held_by_another():
        answer = robot.command("drive", "dismount", drive.name, "--no-wait")
        assert answer.out == f"The drive {drive.name} is to be emptied.\n"
        ((what, *_),) = robot.command("--plain", "request", "list").lines
        assert what.startswith(f"dismount A00001 from {drive.name} for ")
    assert robot.command("worker", "--once").status == 0
    assert is_put_away(robot)


def test_interrupted_or_out_of_time_the_mount_is_cancelled(robot: Any) -> None:
    with robot.held_by_another() as session:
        terminal = OnTerminal("media", "mount", "A00001", "--", "true")
        terminal.read_until("waiting 0 s: it is next")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.finish() == 130
        assert "interrupted; the mount is cancelled, nothing stays queued" in re.sub(r"\s+", " ", terminal.seen)
        over = robot.command("--json", "media", "mount", "A00001", "--timeout", "0.05", "--", "true")
        assert (over.status, over.error["error"]) == (1, "ERROR_TIMEOUT")
        assert session.requests.list("Robot", live=True) == []
