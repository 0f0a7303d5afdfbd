"""Timing, and replaying: what a call made the database do, done again by the sqlite3 module alone.

The calls run once on a first copy of a catalogue, and every statement is written down with its parameters. Then, one
after the other in one loop, each call runs on a second copy through a session, and the same statements with the same
parameters run on a third through the sqlite3 module, on a connection with the same settings.
"""

import contextlib
import shutil
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rsm
from tests.benchmarks.catalogue import CALLER, Catalogue

_connect = sqlite3.connect


@dataclass(frozen=True)
class Statement:
    """One call of the driver."""

    sql: str
    parameters: Any = ()
    many: bool = False


@dataclass
class Result:
    """One line of the table. Times are medians in microseconds; `low` and `high` are the quartiles of the ratios."""

    group: str
    what: str
    media: int | None = None
    durability: str = ""
    statements: int | None = None
    ours_us: float | None = None
    bare_us: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    shown: str = ""
    wanted: str = ""
    reached: bool | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def want(self, most: float) -> "Result":
        """Say what ratio is wanted, and return the line."""
        assert self.ratio is not None
        return self.need(f"≤ {most:g} ×", round(self.ratio, 2) <= most)

    def need(self, wanted: str, reached: bool) -> "Result":
        """Say in words what is wanted and whether it was reached, and return the line."""
        self.wanted, self.reached = wanted, reached
        return self


@dataclass(frozen=True)
class Effort:
    """How long to measure: pairs of calls, passes over a whole listing, starts of a process, seconds of writing."""

    calls: int
    passes: int
    starts: int
    mounts: int
    rounds: int
    seconds: float
    processes: int = 8


_recorded: list[Statement] = []


class Recorder(sqlite3.Connection):
    """A connection that writes down what runs on it."""

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        _recorded.append(Statement(sql, tuple(parameters)))
        return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any) -> sqlite3.Cursor:
        kept = [tuple(each) for each in parameters]
        _recorded.append(Statement(sql, kept, many=True))
        return super().executemany(sql, kept)


@contextmanager
def recording(connections: list[Any] | None = None, *, record: bool = True) -> Iterator[None]:
    """Have what runs on connections that the body opens written down, and those connections told."""

    def connect(*arguments: Any, **keywords: Any) -> sqlite3.Connection:
        connection = _connect(*arguments, **keywords, **({"factory": Recorder} if record else {}))
        if connections is not None:
            connections.append(connection)
        return connection

    sqlite3.connect = connect  # type: ignore[assignment]
    try:
        yield
    finally:
        sqlite3.connect = _connect


@contextmanager
def opened(path: Path, *, record: bool = False) -> Iterator[tuple[rsm.Session, list[Any]]]:
    """Open a session, with statements written down or not, and tell its connections, all of them in use once."""
    connections: list[Any] = []
    with recording(connections, record=record):
        session = rsm.connect(path, application="bench", worker=False, caller=CALLER)
        session.pools.delete(session.pools.create("Warm"))
    with session:
        yield session, connections


def bare(path: Path) -> sqlite3.Connection:
    """Open the file as the manager does, with the sqlite3 module alone."""
    connection = _connect(path, isolation_level=None, cached_statements=512, timeout=30)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def recorded(call: Callable[[], object]) -> list[Statement]:
    """Return what a call makes the database do, on a session that writes it down."""
    _recorded.clear()
    call()
    return list(_recorded)


def replay(connection: sqlite3.Connection, statements: Sequence[Statement]) -> None:
    """Run the statements, reading all their rows."""
    for statement in statements:
        if statement.many:
            connection.executemany(statement.sql, statement.parameters)
        else:
            connection.execute(statement.sql, statement.parameters).fetchall()


def timed(run: Callable[[], object]) -> float:
    """Return how many microseconds it took."""
    start = time.perf_counter_ns()
    run()
    return (time.perf_counter_ns() - start) / 1_000


def compared(line: Result, ours: Sequence[float], theirs: Sequence[float]) -> Result:
    """Put the medians of two interleaved series into a line, their ratio, and how it spreads over the pairs."""
    mine, other = statistics.median(ours), statistics.median(theirs)
    line.ours_us, line.bare_us, line.ratio = round(mine, 1), round(other, 1), round(mine / other, 3)
    pairs = sorted(each / beside for each, beside in zip(ours, theirs, strict=True))
    line.low, line.high = round(pairs[len(pairs) // 4], 3), round(pairs[len(pairs) * 3 // 4], 3)
    return line


Call = Callable[[rsm.Session, int], object]


class World:
    """Three copies of a catalogue: calls are written down on the first, timed on the second, replayed on the third.

    All three are given the same calls in the same order, so each is what the other two are.
    """

    def __init__(self, template: Catalogue, stack: contextlib.ExitStack) -> None:
        self.catalogue = template
        self.paths = [Path(shutil.copy(template.path, template.path.with_suffix(f".{n}.db"))) for n in range(3)]
        self.first, self._recording = stack.enter_context(opened(self.paths[0], record=True))
        self.second, self._timed = stack.enter_context(opened(self.paths[1]))
        self.bare = bare(self.paths[2])
        stack.callback(self.bare.close)
        replay(self.bare, recorded(lambda: self.first.pools.delete(self.first.pools.create("Warm"))))
        self.second.pools.delete(self.second.pools.create("Warm"))

    @property
    def media(self) -> int:
        """How many cartridges there are."""
        return self.catalogue.media

    def compare(self, calls: Sequence[tuple[Result | None, Call]], count: int, durability: str = "FULL") -> None:
        """Make the calls one after the other, `count` times, each against its statements; None as line: not measured.

        They are numbered from 0, and the first of all does not count.
        """
        for connection in (*self._recording, *self._timed, self.bare):
            chosen = "OFF" if connection in self._recording else durability
            connection.execute(f"PRAGMA synchronous = {chosen}")
        runs = [[recorded(lambda: call(self.first, number)) for _, call in calls] for number in range(count + 1)]  # noqa: B023
        ours: list[list[float]] = [[] for _ in calls]
        theirs: list[list[float]] = [[] for _ in calls]
        for number in range(count + 1):
            for position, (_, call) in enumerate(calls):
                both = [
                    lambda: ours[position].append(timed(lambda: call(self.second, number))),  # noqa: B023
                    lambda: theirs[position].append(timed(lambda: replay(self.bare, runs[number][position]))),  # noqa: B023
                ]
                for do in both if number % 2 else reversed(both):
                    do()
        for position, (line, _) in enumerate(calls):
            if line is not None:
                line.media, line.durability = self.media, durability
                line.statements = round(statistics.median(len(run[position]) for run in runs[1:]))
                compared(line, ours[position][1:], theirs[position][1:])
