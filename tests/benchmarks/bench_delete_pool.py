"""How much the manager costs over the bare database: deleting and creating pools, and listing many ids.

    python tests/benchmarks/bench_delete_pool.py [--count N] [--objects N]

Three copies of one catalogue. On the first the calls run once and every statement is written down with its parameters.
Then, one after the other in one loop, each call runs on the second through a session, and the same statements with the
same parameters run on the third through the sqlite3 module alone, on a connection with the same settings. Once with
synchronous=FULL (durable, the default) and once with OFF, where waiting for the disk does not cover the rest.
Printed are the medians in microseconds, their ratio, and the number of statements, BEGIN and COMMIT included.

pytest does not collect this file; test_benchmarks.py runs it with small numbers so that it cannot rot.
"""

import argparse
import json
import os
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rsm
from rsm import schema
from rsm.constants import NtmsObjectsTypes as Kind

CALLER = rsm.Caller("user:bench", administrator=True)
Statement = tuple[str, tuple[Any, ...]]
Call = Callable[[rsm.Session, int], object]
_connect = sqlite3.connect


class Recorder(sqlite3.Connection):
    """A connection that writes down what runs on it."""

    statements: list[Statement]

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        RECORDED.append((sql, tuple(parameters)))
        return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any) -> sqlite3.Cursor:
        for each in parameters:
            RECORDED.append((sql, tuple(each)))
        return super().executemany(sql, parameters)


RECORDED: list[Statement] = []


@contextmanager
def opened(path: Path, *, synchronous: str, record: bool = False) -> Iterator[rsm.Session]:
    """Open a session whose connections have this synchronous setting, with statements written down or not."""
    connections: list[sqlite3.Connection] = []

    def connect(*arguments: Any, **keywords: Any) -> sqlite3.Connection:
        connection = _connect(*arguments, **keywords, **({"factory": Recorder} if record else {}))
        connections.append(connection)
        return connection

    sqlite3.connect = connect  # type: ignore[assignment]
    try:
        with rsm.connect(path, application="bench", worker=False, caller=CALLER) as session:
            session.pools.delete(session.pools.create("Warm"))
            for connection in connections:
                connection.execute(f"PRAGMA synchronous = {synchronous}")
            yield session
    finally:
        sqlite3.connect = _connect


def bare(path: Path, synchronous: str) -> sqlite3.Connection:
    """Open the file as the manager does, with the sqlite3 module alone."""
    connection = _connect(path, isolation_level=None, cached_statements=512)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def replay(connection: sqlite3.Connection, statements: list[Statement]) -> None:
    """Run the statements, reading all their rows."""
    for sql, parameters in statements:
        connection.execute(sql, parameters).fetchall()


def timed(run: Callable[[], object]) -> float:
    """Return how many microseconds it took."""
    start = time.perf_counter_ns()
    run()
    return (time.perf_counter_ns() - start) / 1_000


def compare(folder: Path, template: Path, name: str, call: Call, count: int, synchronous: str) -> dict[str, Any]:
    """Measure one call against its statements."""
    copies = [Path(shutil.copy(template, folder / f"{name}-{synchronous}-{copy}.db")) for copy in range(3)]
    recorded = []
    with opened(copies[0], synchronous="OFF", record=True) as session:
        for number in range(count):
            RECORDED.clear()
            call(session, number)
            recorded.append(list(RECORDED))
    ours, theirs = [], []
    connection = bare(copies[2], synchronous)
    with opened(copies[1], synchronous=synchronous) as session:
        call(session, 0)
        replay(connection, recorded[0])
        for number in range(1, count):
            ours.append(timed(lambda: call(session, number)))  # noqa: B023 - runs at once
            theirs.append(timed(lambda: replay(connection, recorded[number])))  # noqa: B023
    connection.close()
    result = {"call": name, "synchronous": synchronous, "statements": len(recorded[-1]), "pools": count}
    return {**result, **ratio(ours, theirs)}


def ratio(ours: list[float], theirs: list[float]) -> dict[str, float]:
    """Return both medians and what one is of the other."""
    mine, bare_one = statistics.median(ours), statistics.median(theirs)
    return {"session_us": round(mine, 1), "bare_us": round(bare_one, 1), "ratio": round(mine / bare_one, 2)}


def enumerate_ids(folder: Path, objects: int, count: int) -> dict[str, Any]:
    """Measure listing many pools of one parent against one SELECT of the same ids."""
    path = folder / "enumerate.db"
    schema.create(str(path), caller=CALLER)
    with rsm.connect(path, worker=False, caller=CALLER) as session:
        parent = session.pools.create("Many").id
        first = session.pools.create(r"\Many\0").id
        connection = bare(path, "OFF")
        columns = [
            row[1] for row in connection.execute("PRAGMA table_info(media_pool)") if row[1] not in ("id", "name")
        ]
        copied = ", ".join(columns)
        ids = [(number + 2**127).to_bytes(16, "big") for number in range(1, objects)]
        connection.execute("BEGIN")
        connection.executemany(f"INSERT INTO object (id, kind) VALUES (?, {int(Kind.NTMS_MEDIA_POOL)})", zip(ids))
        connection.executemany(
            f"INSERT INTO media_pool (id, name, {copied}) SELECT ?, hex(?), {copied} FROM media_pool WHERE id = ?",
            [(new, new, first.bytes) for new in ids],
        )
        connection.execute("COMMIT")
        connection.execute("ANALYZE")
        sql = "SELECT id FROM media_pool WHERE parent_id = ? ORDER BY id"
        ours, theirs = [], []
        for _ in range(count):
            ours.append(timed(lambda: session.objects.list(Kind.NTMS_MEDIA_POOL, parent)))
            theirs.append(timed(lambda: connection.execute(sql, [parent.bytes]).fetchall()))
        assert len(session.objects.list(Kind.NTMS_MEDIA_POOL, parent)) == objects
        connection.close()
    return {"call": "objects.list", "synchronous": "-", "statements": 1, "pools": objects, **ratio(ours, theirs)}


def measure(count: int, objects: int, folder: Path) -> list[dict[str, Any]]:
    """Measure everything and return one row for each measurement."""
    template = folder / "template.db"
    schema.create(str(template), caller=CALLER)
    with rsm.connect(template, worker=False, caller=CALLER) as session, session.transaction():
        session.pools.create("Bench")
        doomed = [session.pools.create(f"\\Bench\\{number}").id for number in range(count)]
    calls: dict[str, Call] = {
        "pools.delete": lambda session, number: session.pools.delete(doomed[number]),
        "pools.create": lambda session, number: session.pools.create(f"\\Bench\\new {number}"),
    }
    rows = [
        compare(folder, template, name, call, count, synchronous)
        for name, call in calls.items()
        for synchronous in ("FULL", "OFF")
    ]
    return [*rows, enumerate_ids(folder, objects, max(3, count // 100))]


def main() -> None:
    """Measure and print a table, or with --json the rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=500, help="pools to delete and to create")
    parser.add_argument("--objects", type=int, default=100_000, help="ids to list")
    parser.add_argument("--folder", help="where to make the catalogues; a temporary directory by default")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rsm-bench-", dir=options.folder) as folder:
        rows = measure(max(2, options.count), max(2, options.objects), Path(folder))
    if options.json:
        sys.stdout.write(json.dumps(rows) + os.linesep)
        return
    print(f"{'call':14} {'sync':5} {'n':>7} {'statements':>10} {'session us':>11} {'bare us':>11} {'ratio':>6}")
    for row in rows:
        print(
            f"{row['call']:14} {row['synchronous']:5} {row['pools']:7} {row['statements']:10}"
            f" {row['session_us']:11.1f} {row['bare_us']:11.1f} {row['ratio']:6.2f}"
        )


if __name__ == "__main__":
    main()
