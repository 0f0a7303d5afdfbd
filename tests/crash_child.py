"""Kills processes at chosen moments of their work on an SQLite catalogue, for test_crash.

`python crash_child.py TEMPLATE FOLDER SEED STEPS` reads kill points as JSON from stdin, one process each, forked from
this one: `{"name", "at", "when"}`, where `when` is
  - "before", "after": SIGKILL before or after the statement numbered `at`,
  - "inside": SIGKILL inside that statement, after a few steps of SQLite's machine,
  - "bytes": the kernel's SIGXFSZ as soon as a file would grow beyond `at` bytes, in the middle of a write,
  - "never": no kill; it reports every statement and the state after every call.
It prints what became of each.

`python crash_child.py --postgresql URL POOL POOL` deletes the first pool again and again, dying before the first, the
second, … statement, until it lives; then the second pool, dying right after COMMIT. It prints how each process ended.
"""

import json
import os
import resource
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import worker_ops

import rsm
from rsm import session as _session

_connect = sqlite3.connect
assert _session.connect is rsm.connect


def _die() -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


_PATHS = (
    "WITH RECURSIVE paths(id, path) AS (SELECT id, '' FROM media_pool WHERE parent_id IS NULL UNION ALL"
    " SELECT p.id, above.path || '\\' || p.name FROM media_pool p JOIN paths above ON p.parent_id = above.id) "
)
_STATE = (
    "SELECT path, t.name, allocation_policy, max_allocates, p.owner FROM paths JOIN media_pool p USING (id)"
    " LEFT JOIN media_type t ON t.id = p.media_type_id ORDER BY path",
    "SELECT path, position, allow, trustee, rights, inherited FROM paths JOIN access_control_entry ON object_id = id"
    " ORDER BY path, position",
    "SELECT path, name, hex(value) FROM paths JOIN attribute ON object_id = id ORDER BY path, name",
    "SELECT m.barcode, m.name, path, t.name, m.enabled, m.online, s.number, s.state, hex(s.label_id), s.enabled,"
    " s.online, s.pool_id = m.pool_id, l.name FROM physical_medium m JOIN paths ON paths.id = m.pool_id"
    " JOIN media_type t ON t.id = m.media_type_id LEFT JOIN side s ON s.medium_id = m.id"
    " LEFT JOIN logical_medium l ON l.side_id = s.id ORDER BY m.barcode, s.number",
    "SELECT kind, count(*) FROM object GROUP BY kind ORDER BY kind",
    "SELECT id, operation, kind, call, reason FROM event ORDER BY id",
)


def state_of(path: Path) -> list[Any]:
    """Return what a catalogue holds in terms of names, not of ids: the same calls lead to the same state."""
    connection = _connect(f"file:{path}?mode=ro", uri=True)
    try:
        return [[list(row) for row in connection.execute(_PATHS + sql)] for sql in _STATE]
    finally:
        connection.close()


class Watch:
    """Counts statements while armed and kills at the one it is set to."""

    def __init__(self, at: int, when: str) -> None:
        self.at = at
        self.when = when
        self.armed = False
        self.statements: list[str] = []

    def around(self, connection: sqlite3.Connection, sql: str, run: Callable[[], Any]) -> Any:
        if not self.armed:
            return run()
        self.statements.append(sql)
        due = len(self.statements) == self.at
        if due and self.when == "before":
            _die()
        if due and self.when == "inside":
            connection.set_progress_handler(_die, 12)
        result = run()
        if due and self.when == "after":
            _die()
        return result


def watching(watch: Watch) -> type[sqlite3.Connection]:
    """Return the connection class whose every statement goes past `watch`."""

    class Watched(sqlite3.Connection):
        def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            return watch.around(self, sql, lambda: super(Watched, self).execute(sql, *arguments))

        def executemany(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            return watch.around(self, sql, lambda: super(Watched, self).executemany(sql, *arguments))

    return Watched


def work(path: Path, watch: Watch, seed: int, steps: int, report: Callable[[Any], None]) -> None:
    """Make `steps` calls and report each one's end."""
    watched = watching(watch)
    sqlite3.connect = lambda *args, **keywords: _connect(*args, factory=watched, **keywords)  # type: ignore[assignment]
    session = rsm.connect(str(path), worker=False, caller=worker_ops.ADMINISTRATOR)
    worker = worker_ops.Worker(session, seed, media=12)
    if watch.when == "bytes":
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (watch.at, watch.at))
    for _ in range(steps):
        watch.armed = True
        done = worker.step(reading=False)
        watch.armed = False
        if watch.when == "never":
            report({"done": done, "statements": len(watch.statements), "state": state_of(path)})
        else:
            report({"done": done})
    if watch.when == "never":
        report({"sql": watch.statements})


def fork(work_of_child: Callable[[], None]) -> int:
    """Run this in a forked process and return how it ended: its exit status, or a signal's number below zero."""
    child = os.fork()
    if child == 0:
        try:
            work_of_child()
            os._exit(0)
        finally:
            os._exit(70)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def delete_on_postgresql(url: str, pool: str, watch: Watch) -> None:
    """Delete a pool on a connection that `watch` looks after."""
    import psycopg

    execute = psycopg.Connection.execute

    def watched(connection: Any, query: Any, *arguments: Any, **keywords: Any) -> Any:
        return watch.around(connection, str(query), lambda: execute(connection, query, *arguments, **keywords))

    psycopg.Connection.execute = watched  # type: ignore[method-assign]
    with rsm.connect(url, worker=False, caller=worker_ops.ADMINISTRATOR) as session:
        watch.armed = True
        session.pools.delete(pool)
        watch.armed = False


def run_on_postgresql(url: str, first: str, second: str) -> list[int]:
    """Delete one pool at the first attempt that lives, and another at one that dies after COMMIT."""
    ended: list[int] = []
    while 0 not in ended and 70 not in ended:
        ended.append(fork(lambda: delete_on_postgresql(url, first, Watch(len(ended) + 1, "before"))))
    ended.append(fork(lambda: delete_on_postgresql(url, second, Watch(len(ended) - 1, "after"))))
    return ended


def run(template: Path, folder: Path, seed: int, steps: int, point: dict[str, Any]) -> dict[str, Any]:
    """Fork a process that works until its kill point, and return how it ended and what it reported."""
    path = folder / f"{point['name']}.db"
    shutil.copy(template, path)
    reports = folder / f"{point['name']}.reports"

    def child() -> None:
        with open(reports, "wb", buffering=0) as file:
            report = lambda entry: file.write(json.dumps(entry).encode() + b"\n")  # noqa: E731
            work(path, Watch(point["at"], point["when"]), seed, steps, report)

    ended = fork(child)
    lines = [json.loads(line) for line in reports.read_text().splitlines()]
    return {**point, "exit": ended, "reports": lines}


def main() -> None:
    """Run every kill point of stdin, or those of one call on PostgreSQL."""
    if sys.argv[1] == "--postgresql":
        json.dump(run_on_postgresql(*sys.argv[2:]), sys.stdout)
        return
    template, folder, seed, steps = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    ended = [run(template, folder, seed, steps, point) for point in json.load(sys.stdin)]
    json.dump(ended, sys.stdout)


if __name__ == "__main__":
    main()
