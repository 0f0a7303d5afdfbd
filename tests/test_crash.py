"""What a killed program leaves behind: each call wholly or not at all, a sound file, a free gate.

Children work with fixed seeds and die at every statement, inside statements, and in the middle of writing the log.
"""

import json
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import builders
import crash_child
import pytest
import worker_ops
from counting import Counted
from forks import run_forked

import rsm
from rsm import schema

HERE = Path(__file__).parent
SEED, STEPS = 60, 11
SECTOR = 512


@dataclass
class Reference:
    """The run that nothing kills: every statement, the call it belongs to, and the state after every call."""

    folder: Path
    states: list[Any]
    sql: list[str]
    ends: list[int]

    def kill(self, points: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return kill(self.folder, points)

    def state_before(self, statement: int) -> int:
        """Return the number of calls that had ended when a statement, counted from 1, was due."""
        return sum(end < statement for end in self.ends)


def kill(folder: Path, points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Let one child work until each of the kill points."""
    script = [sys.executable, str(HERE / "crash_child.py"), str(folder / "template.db"), str(folder), str(SEED)]
    run = run_forked([*script, str(STEPS)], input=json.dumps(points), stdout=subprocess.PIPE, text=True, check=True)
    return list(json.loads(run.stdout))


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    folder = tmp_path_factory.mktemp("crash")
    template = folder / "template.db"
    schema.create(str(template), caller=worker_ops.ADMINISTRATOR)
    robot = builders.add_library(f"sqlite:///{template}")
    with rsm.connect(template, caller=worker_ops.ADMINISTRATOR) as session:
        worker_ops.furnish(session, robot.id)
    first = crash_child.state_of(template)
    (ended,) = kill(folder, [{"name": "reference", "at": 0, "when": "never"}])
    assert ended["exit"] == 0
    *calls, last = ended["reports"]
    assert len(calls) == STEPS
    succeeded = Counter(call["done"][0] for call in calls if call["done"][1] == "ERROR_SUCCESS")
    assert STEPS / 3 < succeeded.total() < STEPS  # some change much, some are refused and change nothing
    assert len(succeeded) > 4
    states = [first, *(call["state"] for call in calls)]
    return Reference(folder, states, last["sql"], [call["statements"] for call in calls])


def state_after_recovery(path: Path, *, change: bool = True) -> Any:
    """See that the catalogue is sound and can be written at once; return its state before that."""
    assert schema.check(str(path)) == []
    state = crash_child.state_of(path)
    with rsm.connect(path, caller=worker_ops.ADMINISTRATOR, busy_timeout_ms=0) as session, session.transaction():
        if change:
            session.pools.create(r"\Afterwards")
    return state


def test_killed_between_statements(reference: Reference, counted: Counted) -> None:
    points = [
        {"name": f"{when}-{number}", "at": number, "when": when}
        for number, sql in enumerate(reference.sql, 1)
        if sql == "COMMIT" or number <= reference.ends[2]
        for when in (("before", "after") if sql == "COMMIT" else ("before",))
    ]
    commits = 0
    counted("kills of a process that writes", {"between statements": len(points)})
    for ended in reference.kill(points):
        assert ended["exit"] == -signal.SIGKILL, ended["name"]
        before = reference.state_before(ended["at"])
        assert len(ended["reports"]) == before
        committed = ended["when"] == "after"
        commits += committed
        state = state_after_recovery(reference.folder / f"{ended['name']}.db")
        assert state == reference.states[before + committed], ended["name"]
    assert commits == reference.sql.count("COMMIT") > STEPS / 3


def test_killed_inside_statements(reference: Reference, counted: Counted) -> None:
    changing = ("INSERT", "UPDATE", "DELETE")
    points = [
        {"name": f"inside-{number}", "at": number, "when": "inside"}
        for number, sql in enumerate(reference.sql, 1)
        if sql.startswith(changing)
    ]
    assert len(points) > STEPS
    counted("kills of a process that writes", {"inside statements": len(points)})
    for ended in reference.kill(points):
        assert ended["exit"] == -signal.SIGKILL, ended["name"]
        before = reference.state_before(ended["at"])
        assert state_after_recovery(reference.folder / f"{ended['name']}.db") == reference.states[before]


def test_killed_in_the_middle_of_writing_the_log(reference: Reference, counted: Counted) -> None:
    # below 32 KiB the shared-memory file beside the log could not be made either
    points = [{"name": f"bytes-{size}", "at": size, "when": "bytes"} for size in range(33_000, 260_000, 15_013)]
    calls = set()
    counted("kills of a process that writes", {"while the log is written": len(points)})
    for ended in reference.kill(points):
        assert ended["exit"] == -signal.SIGXFSZ, ended["name"]
        log = reference.folder / f"{ended['name']}.db-wal"
        assert log.stat().st_size <= ended["at"]
        done = len(ended["reports"])
        calls.add(done)
        state = state_after_recovery(reference.folder / f"{ended['name']}.db")
        assert state in reference.states[done : done + 2], ended["name"]
    assert len(calls) > 2


def test_log_cut_at_every_sector(reference: Reference, tmp_path: Path) -> None:
    commits = [number for number, sql in enumerate(reference.sql, 1) if sql == "COMMIT"]
    (ended,) = reference.kill([{"name": "whole", "at": commits[2], "when": "after"}])
    assert ended["exit"] == -signal.SIGKILL
    whole = reference.folder / "whole.db"
    log = (reference.folder / "whole.db-wal").read_bytes()
    seen = []
    path = tmp_path / "cut.db"
    for size in (*range(0, len(log), SECTOR), len(log)):
        shutil.copy(whole, path)
        path.with_name("cut.db-wal").write_bytes(log[:size])
        try:
            seen.append(reference.states.index(state_after_recovery(path, change=False)))
        except rsm.DatabaseFailureError:
            path.with_name("cut.db-wal").unlink(missing_ok=True)
    assert seen == sorted(seen)
    assert {tuple(map(str, reference.states[number])) for number in seen} == {
        tuple(map(str, state)) for state in reference.states[: ended_calls(reference, commits[2]) + 1]
    }


def ended_calls(reference: Reference, statement: int) -> int:
    """Return the number of calls that had ended once a statement was done."""
    return reference.state_before(statement) + 1


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_killed_between_statements_on_postgresql(session: rsm.Session, url: str, counted: Counted) -> None:
    for path in ("First", "Second"):
        session.pools.create(path)
    script = [sys.executable, str(HERE / "crash_child.py"), "--postgresql", url, "First", "Second"]
    run = run_forked(script, stdout=subprocess.PIPE, text=True, check=True)
    *killed, lived, last = json.loads(run.stdout)
    counted("kills of a process that writes", {"between statements on PostgreSQL": len(killed) + 1})
    assert set(killed) == {-signal.SIGKILL}
    assert (lived, last) == (0, -signal.SIGKILL)
    assert len(killed) >= 5  # BEGIN, the lock and versions, reading, deleting, the event, COMMIT
    assert session.pools.list() == [pool for pool in session.pools.list() if pool.path not in (r"\First", r"\Second")]
    deleted = [event.before and event.before["path"] for event in session.events.list() if event.after is None]
    assert deleted == [r"\First", r"\Second"]
    assert schema.check(url) == []
    session.pools.create("Afterwards")
