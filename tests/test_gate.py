"""The write gate: one at a time, fair between processes, bounded, and free again when its holder dies."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from programs import Program

import rsm.gate
from rsm.gate import Gate, GateTimeoutError, close_gate, open_gate

HEAD = """
from rsm.gate import Gate, GateTimeoutError
gate = Gate(sys.argv[1], 0o600)
"""
# Counts without any lock of its own, so that two inside at once lose counts.
TAKE_TURNS = (
    HEAD
    + """
import os
counter, limit, turns = os.open(sys.argv[2], os.O_RDWR), int(sys.argv[3]), 0
say("ready")
wait()
while True:
    with gate.held(60):
        count = int.from_bytes(os.pread(counter, 8, 0), "big")
        if count >= limit:
            break
        os.pwrite(counter, os.getpid().to_bytes(8, "big"), 8)
        os.pwrite(counter, (count + 1).to_bytes(8, "big"), 0)
        os.fsync(counter)  # as long as a commit takes
        assert int.from_bytes(os.pread(counter, 8, 8), "big") == os.getpid()
        turns += 1
say(turns)
"""
)
HOLD = (
    HEAD
    + """
with gate.held(60):
    say("held")
    wait()
say("left")
wait()
"""
)
TRY = (
    HEAD
    + """
try:
    with gate.held(float(sys.argv[2])):
        say("held")
except GateTimeoutError:
    say("refused")
"""
)
MARK = (
    HEAD
    + """
with gate.upgrade_mark():
    say("marked")
    wait()
say("over")
wait()
"""
)
ASK_IN_STEPS = (
    HEAD
    + """
import fcntl
lock = fcntl.lockf
def pause(*arguments):
    lock(*arguments)
    say("asking")
    wait()
fcntl.lockf = pause
gate.upgrade_is_marked()
say("asked")
wait()
"""
)
LONG = 60.0


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "media.db-gate")


@pytest.fixture
def gate(path: str) -> Iterator[Gate]:
    opened = Gate(path, 0o600)
    yield opened
    opened.close()


def tried(path: str, seconds: float = 0) -> str:
    """Return what another process gets that asks for the gate now."""
    with Program(TRY, path, seconds) as other:
        return other.rest()


def test_six_processes_take_turns_one_at_a_time_and_fairly(path: str, tmp_path: Path) -> None:
    counter, limit = tmp_path / "counter", 3_000  # many rounds: each has the gate for some milliseconds
    counter.write_bytes(bytes(16))
    programs = [Program(TAKE_TURNS, path, counter, limit) for _ in range(6)]
    try:
        assert [program.hear() for program in programs] == ["ready"] * 6
        for program in programs:
            program.tell()
        turns = [int(program.rest()) for program in programs]
    finally:
        for program in programs:
            program.__exit__(None, None, None)
    assert sum(turns) == limit
    assert min(turns) >= limit / 6 / 2, turns


def test_the_time_out_is_kept(gate: Gate, path: str) -> None:
    with Program(HOLD, path) as other:
        assert other.hear() == "held"
        for seconds in (0.0, 0.2):
            before = time.monotonic()
            with pytest.raises(GateTimeoutError), gate.held(seconds):
                pytest.fail("the gate was held by another process")
            assert seconds <= time.monotonic() - before < seconds + 10


def test_a_wait_given_up_lets_go_of_the_gate(gate: Gate, path: str) -> None:
    with Program(HOLD, path) as other:
        assert other.hear() == "held"
        with pytest.raises(GateTimeoutError), gate.held(0.01):
            pytest.fail("the gate was held by another process")
        other.tell()
        assert other.hear() == "left"
        assert tried(path, LONG) == "held"
        with gate.held(LONG):
            assert tried(path) == "refused"
    assert tried(path) == "held"


def test_a_wait_given_up_is_taken_up_again(gate: Gate, path: str) -> None:
    others = threading.enumerate()
    with Program(HOLD, path) as other:
        assert other.hear() == "held"
        for _ in range(3):
            with pytest.raises(GateTimeoutError), gate.held(0.01):
                pytest.fail("the gate was held by another process")
        assert [each.name for each in threading.enumerate() if each not in others] == ["rsm-gate"]
        threading.Timer(0, other.tell).start()
        with gate.held(LONG):
            assert tried(path) == "refused"
    assert tried(path) == "held"


def test_a_wait_given_up_and_closed_takes_nothing_from_the_next_gate(path: str) -> None:
    for _ in range(10):
        with Program(HOLD, path) as other:
            assert other.hear() == "held"
            first = open_gate(path, 0o600)
            with pytest.raises(GateTimeoutError), first.held(0):
                pytest.fail("the gate was held by another process")
            close_gate(first)
            second = open_gate(path, 0o600)
            threading.Timer(0, other.tell).start()
            with second.held(LONG):
                assert not first.waits
                assert tried(path) == "refused"
            close_gate(second)


def test_a_gate_closes_with_its_thread(path: str) -> None:
    others = threading.enumerate()
    with Program(HOLD, path) as other:
        assert other.hear() == "held"
        gate = open_gate(path, 0o600)
        with pytest.raises(GateTimeoutError):
            gate.enter(0)
        other.tell()
        with gate.held(LONG):
            pass
        (waiter,) = [each for each in threading.enumerate() if each not in others and each.name == "rsm-gate"]
        close_gate(gate)
        waiter.join(LONG)
        assert not waiter.is_alive()


@contextlib.contextmanager
def wanted(gate: Gate, path: str) -> Iterator[Program]:
    """Hold a gate that has had to wait before, with another process waiting for it."""
    with Program(HOLD, path) as first:
        assert first.hear() == "held"
        with pytest.raises(GateTimeoutError):
            gate.enter(0)
        first.tell()
        with gate.held(LONG), Program(TRY, path, LONG) as other:
            while not gate._is_locked_elsewhere(rsm.gate._TURNSTILE):
                time.sleep(0.001)
            yield other


def test_who_does_not_come_back_lets_others_in(gate: Gate, path: str) -> None:
    with wanted(gate, path) as other:
        gate.leave()
        assert other.hear() == "held"
        gate.enter(LONG)


def test_who_comes_back_at_once_is_let_in_first(gate: Gate, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rsm.gate, "_LINGER_SECONDS", LONG)
    monkeypatch.setattr(rsm.gate, "_TURN_SECONDS", LONG)
    with wanted(gate, path) as other:
        for _ in range(3):
            gate.leave()
            gate.enter(LONG)
            assert tried(path) == "refused"
        gate._turn_ends = 0.0
        gate.leave()
        assert other.hear() == "held"
        gate.enter(LONG)


def test_closing_gives_up_a_gate_that_lingers(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rsm.gate, "_LINGER_SECONDS", LONG)
    monkeypatch.setattr(rsm.gate, "_TURN_SECONDS", LONG)
    gate = Gate(path, 0o600)
    with wanted(gate, path) as other:
        gate.leave()
        gate.close()
        assert other.hear() == "held"
        monkeypatch.setattr(gate, "leave", lambda: None)


def test_a_killed_holder_frees_the_gate(gate: Gate, path: str) -> None:
    with Program(HOLD, path) as other:
        assert other.hear() == "held"
        other.kill()
        with gate.held(LONG):
            assert tried(path) == "refused"


def test_threads_take_turns_too(gate: Gate) -> None:
    inside, seen = 0, []

    def work() -> None:
        nonlocal inside
        for _ in range(200):
            with gate.held(LONG):
                inside += 1
                seen.append(inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    with gate.held(LONG):
        assert inside == 0
    for thread in threads:
        thread.join()
    assert seen == [1] * 800


def test_a_thread_waits_no_longer_than_it_was_told(gate: Gate) -> None:
    failed = []

    def ask() -> None:
        try:
            with gate.held(0.05):
                pass
        except GateTimeoutError:
            failed.append(True)

    with gate.held(0):
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
    assert failed == [True]
    with gate.held(0):
        pass


def test_a_forked_child_neither_holds_nor_frees_the_gate(gate: Gate, path: str) -> None:
    with gate.held(0):
        child = os.fork()
        if not child:
            status = 1
            try:
                gate.close()
                try:
                    with Gate(path, 0o600).held(0):
                        status = 2
                except GateTimeoutError:
                    status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert tried(path) == "refused"
    assert tried(path) == "held"


@pytest.mark.parametrize("umask", [0o022, 0o077])
@pytest.mark.parametrize("mode", [0o600, 0o660])
def test_who_may_write_the_catalogue_may_write_the_gate(tmp_path: Path, mode: int, umask: int) -> None:
    path, before = tmp_path / "gate", os.umask(umask)
    try:
        Gate(str(path), mode).close()
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == mode


def test_the_upgrade_mark_shows_while_the_body_runs(gate: Gate, path: str) -> None:
    assert not gate.upgrade_is_marked()
    with Program(MARK, path) as other:
        assert other.hear() == "marked"
        assert gate.upgrade_is_marked()
        with gate.upgrade_mark(), gate.held(0):
            assert gate.upgrade_is_marked()
        assert gate.upgrade_is_marked()
        other.tell()
        assert other.hear() == "over"
        assert not gate.upgrade_is_marked()


def test_asking_for_the_mark_does_not_show_it(gate: Gate, path: str) -> None:
    with Program(ASK_IN_STEPS, path) as other:
        assert other.hear() in ("asking", "asked")
        assert not gate.upgrade_is_marked()


def test_the_mark_shows_even_if_someone_asks_at_that_moment(gate: Gate, path: str) -> None:
    with Program(ASK_IN_STEPS, path) as other:
        assert other.hear() in ("asking", "asked")
        telling = threading.Timer(0, other.tell)
        telling.start()
        with gate.upgrade_mark():
            telling.join()
            with Program(HEAD + "say(gate.upgrade_is_marked())", path) as third:
                assert third.rest() == "True"
