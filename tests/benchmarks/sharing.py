"""Many processes writing to one catalogue: throughput, waits and shares, beside as many bare sqlite3 modules.

Each process creates a pool and deletes it, over and over, for some seconds; then the same processes replay what that
makes the database do with the sqlite3 module alone, on another copy, with its own way to wait for each other. Both take
turns. As a script (`python -m tests.benchmarks.sharing OURS BARE NUMBER`) it is one of the processes.
"""

import json
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import rsm
from tests.benchmarks.catalogue import CALLER
from tests.benchmarks.measuring import Effort, Result, Statement, World, bare, opened, recorded, replay

GROUP = "sharing"
_PAIRS = 40
Turn = list[dict[str, Any]]


def measure(worlds: list[World], effort: Effort) -> Iterator[Result]:
    """Measure on the smallest catalogue: what is shared is the writing, not the size."""
    world = worlds[0]
    ours, theirs = (world.catalogue.path.with_name(f"shared-{name}.db") for name in ("ours", "bare"))
    for path in (ours, theirs):
        path.write_bytes(world.catalogue.path.read_bytes())
    turns: dict[str, list[Turn]] = {"ours": [], "bare": []}
    script = [sys.executable, "-m", "tests.benchmarks.sharing", str(ours), str(theirs)]
    children = [
        subprocess.Popen([*script, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for number in range(effort.processes)
    ]
    try:
        for child in children:  # one after the other: each writes down its own statements
            _tell(child, "prepare")
            _hear(child)
        for _ in range(effort.rounds):
            for how, found in turns.items():
                begin = time.time() + 0.1
                for child in children:
                    _tell(child, f"{how} {begin} {effort.seconds}")
                found.append([_hear(child) for child in children])
        for child in children:
            _tell(child, "end")
    finally:
        for child in children:
            if child.stdin is not None:
                child.stdin.close()
            child.wait()
            if child.stdout is not None:
                child.stdout.close()
    yield from _lines(world.media, turns, effort)


def _tell(child: "subprocess.Popen[str]", line: str) -> None:
    assert child.stdin is not None
    child.stdin.write(line + "\n")
    child.stdin.flush()


def _hear(child: "subprocess.Popen[str]") -> dict[str, Any]:
    assert child.stdout is not None
    heard: dict[str, Any] = json.loads(child.stdout.readline())
    return heard


def _lines(media: int, turns: dict[str, list[Turn]], effort: Effort) -> Iterator[Result]:
    facts = {how: _facts(found, effort.seconds) for how, found in turns.items()}
    mine, other = facts["ours"], facts["bare"]
    name = f"{effort.processes} processes writing"

    def line(what: str, shown: str) -> Result:
        return Result(GROUP, f"{name}: {what}", media, "FULL", shown=shown, facts=facts)

    busy = line("busy errors", f"{mine['busy']} (bare {other['busy']})")
    yield busy.need("none", mine["busy"] == 0)
    yield line("p99 of a call", f"{mine['p99_ms']:.0f} ms (bare {other['p99_ms']:.0f} ms)").need(
        "< 250 ms", mine["p99_ms"] < 250
    )
    rate = mine["calls_per_second"] / other["calls_per_second"]
    shown = f"{mine['calls_per_second']:.0f} a second (bare {other['calls_per_second']:.0f}), {rate:.2f} of it"
    yield line("throughput", shown).need("≥ 0.5 of bare", rate >= 0.5)
    shown = f"{mine['least_share']:.2f} to {mine['most_share']:.2f} of the mean"
    shown += f" (bare {other['least_share']:.2f} to {other['most_share']:.2f})"
    yield line("shares", shown).need("0.8 to 1.2", mine["least_share"] >= 0.8 and mine["most_share"] <= 1.2)


def _facts(found: Sequence[Turn], seconds: float) -> dict[str, Any]:
    """Return what the turns show; each is a second's worth of calls of every process."""
    waits = sorted(wait for turn in found for child in turn for wait in child["waits_ms"])
    counts = [sum(len(turn[number]["waits_ms"]) for turn in found) for number in range(len(found[0]))]
    mean = statistics.mean(counts) or 1
    return {
        "busy": sum(child["busy"] for turn in found for child in turn),
        "calls_per_second": sum(counts) / seconds / len(found) or 1,
        "p50_ms": round(waits[len(waits) // 2], 2) if waits else 0,
        "p99_ms": round(waits[len(waits) * 99 // 100], 2) if waits else 0,
        "least_share": round(min(counts) / mean, 3),
        "most_share": round(max(counts) / mean, 3),
    }


class _Writer:
    """One of the processes."""

    def __init__(self, ours: Path, theirs: Path, number: int) -> None:
        self._ours, self._theirs, self._number = ours, theirs, number
        self._runs: list[list[Statement]] = []
        self._session: rsm.Session | None = None
        self._bare = bare(theirs)
        self._turns = 0

    def prepare(self) -> dict[str, Any]:
        """Write down what the calls make the database do, and open everything."""
        with opened(self._ours, record=True) as (session, _):
            for pair in range(_PAIRS):
                made: list[rsm.MediaPool] = []
                self._runs.append(recorded(lambda: made.append(self._create(session, pair))))  # noqa: B023
                self._runs.append(recorded(lambda: session.pools.delete(made[0])))  # noqa: B023
        self._session = rsm.connect(self._ours, worker=False, caller=CALLER)
        self._session.pools.list()
        return {"runs": len(self._runs)}

    def _create(self, session: rsm.Session, pair: int) -> rsm.MediaPool:
        return session.pools.create(rf"\Writer {self._number} {pair}")

    def turn(self, how: str, begin: float, seconds: float) -> dict[str, Any]:
        """Write until the time is over, and return how long each call took."""
        time.sleep(max(0.0, begin - time.time()))
        until = time.monotonic() + seconds
        waits: list[float] = []
        busy = 0
        while time.monotonic() < until:
            start = time.perf_counter()
            busy += not (self._call() if how == "ours" else self._replay())
            waits.append(round((time.perf_counter() - start) * 1000, 3))
        return {"busy": busy, "waits_ms": waits}

    def _call(self) -> bool:
        assert self._session is not None
        pair, deletes = divmod(self._turns, 2)
        try:
            if deletes:
                self._session.pools.delete(rf"\Writer {self._number} {pair}")
            else:
                self._create(self._session, pair)
        except rsm.DatabaseFailureError:
            return False
        self._turns += 1
        return True

    def _replay(self) -> bool:
        run = self._runs.pop(0)
        try:
            replay(self._bare, run)
        except sqlite3.OperationalError:
            if self._bare.in_transaction:
                self._bare.execute("ROLLBACK")
            self._runs.insert(0, run)
            return False
        self._runs.append(run)
        return True


def main() -> None:
    """Do as told, line by line."""
    writer = _Writer(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
    for line in sys.stdin:
        words = line.split()
        if words[0] == "end":
            break
        answer = writer.prepare() if words[0] == "prepare" else writer.turn(words[0], *map(float, words[1:]))
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
