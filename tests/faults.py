"""Makes a catalogue fail on purpose, and says whether everything is as it was afterwards.

`failing` breaks the Nth call of the driver in one session's database, `recording` lists the calls. `Watcher` sees every
row without the program. `Neighbour` is another process at the same catalogue: run as a script, this file is that
process. `in_child` runs a function in a forked child and brings back what it returned.
"""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import traceback
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from forks import Forked

import rsm
from rsm import db, place

ADMINISTRATOR = rsm.Caller("user:admin", administrator=True)
PATIENCE_MS = 20_000

# Breaking the driver


class Fault:
    """Which call of the driver goes wrong and how; `after` lets it take effect first, `persistent` breaks all later."""

    def __init__(
        self, nth: int, error: Callable[[], BaseException] | None, after: bool = False, persistent: bool = False
    ) -> None:
        self.nth = nth
        self.error = error
        self.after = after
        self.persistent = persistent
        self.calls: list[str] = []
        self.fired: str | None = None

    def call(self, what: str, do: Callable[..., Any], *arguments: Any) -> Any:
        """Do what the driver was asked for, or fail."""
        self.calls.append(what)
        if self.error is None or not self.strikes(what):
            return do(*arguments)
        self.fired = self.fired or what
        if self.after:
            do(*arguments)
        raise self.error()

    def strikes(self, what: str) -> bool:
        """Tell whether the call that was counted last is one to break."""
        number = len(self.calls)
        return number == self.nth or (self.persistent and number > self.nth)


class FaultAt(Fault):
    """Breaks a statement the first few times it is run."""

    def __init__(self, statement: str, error: Callable[[], BaseException], times: int) -> None:
        super().__init__(0, error)
        self._statement, self._left = statement, times

    def strikes(self, what: str) -> bool:
        if not what.startswith(self._statement) or not self._left:
            return False
        self._left -= 1
        return True


class Interlude(Fault):
    """Does something just before a statement is run for the first time, and breaks nothing itself."""

    def __init__(self, statement: str, do: Callable[[], None]) -> None:
        super().__init__(0, None)
        self._statement, self._do = statement, do

    def call(self, what: str, do: Callable[..., Any], *arguments: Any) -> Any:
        if what.startswith(self._statement) and self.fired is None:
            self.fired = what
            self._do()
        return super().call(what, do, *arguments)


class Cut(Fault):
    """Does something just before the Nth call of the driver, and breaks nothing itself."""

    def __init__(self, nth: int, do: Callable[[], None]) -> None:
        super().__init__(nth, None)
        self._do = do

    def call(self, what: str, do: Callable[..., Any], *arguments: Any) -> Any:
        if len(self.calls) + 1 == self.nth:
            self.fired = what
            self._do()
        return super().call(what, do, *arguments)


class Planning(Fault):
    """Asks SQLite for the plan of every statement that has one."""

    def __init__(self, plans: dict[str, list[str]]) -> None:
        super().__init__(0, None)
        self._plans = plans

    def call(self, what: str, do: Callable[..., Any], *arguments: Any) -> Any:
        if what.startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")) and what not in self._plans:
            raw: Any = getattr(do, "__self__", None)
            bound = arguments[1:]
            if do.__name__ == "executemany":
                bound = (bound[0][0],)
            rows = raw.execute(f"EXPLAIN QUERY PLAN {what}", *bound).fetchall()
            self._plans[what] = [row[3] for row in rows]
        return super().call(what, do, *arguments)


class _Cursor:
    def __init__(self, fault: Fault, cursor: Any) -> None:
        self._fault, self._cursor = fault, cursor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def __enter__(self) -> "_Cursor":
        return self

    def __exit__(self, *_: object) -> None:
        self._cursor.close()

    def execute(self, sql: str, *arguments: Any) -> "_Cursor":
        return _Cursor(self._fault, self._fault.call(sql, self._cursor.execute, sql, *arguments))

    def executemany(self, sql: str, *arguments: Any) -> Any:
        return self._fault.call(sql, self._cursor.executemany, sql, *arguments)

    def fetchone(self) -> Any:
        return self._fetch("fetchone")

    def fetchall(self) -> Any:
        return self._fetch("fetchall")

    def _fetch(self, how: str) -> Any:
        # SQLite runs the statement on while rows are fetched; psycopg has them all in memory by then.
        fetch = getattr(self._cursor, how)
        return self._fault.call(how, fetch) if isinstance(self._cursor, sqlite3.Cursor) else fetch()


class _Driver(_Cursor):
    """A driver's connection; what matters of it is spelled as on a cursor."""

    def cursor(self) -> _Cursor:
        return _Cursor(self._fault, self._cursor.cursor())


class _Lent:
    """What a transaction borrows; its connection lets every call pass by a Fault."""

    def __init__(self, fault: Fault, lent: Any) -> None:
        self.lent = lent
        self.raw = _Driver(fault, lent.raw)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.lent, name)


@contextlib.contextmanager
def in_the_way(session: rsm.Session, fault: Fault) -> Iterator[Fault]:
    """Let every call of the driver in the body pass by a Fault."""
    lenders: list[Any] = [session._database._writers, session._database._readers]
    for lender in lenders:
        lender.lend = _passing_by(fault, lender)
        lender.take_back = _taken_off(lender)
    try:
        yield fault
    finally:
        for lender in {id(lender): lender for lender in lenders}.values():
            del lender.lend, lender.take_back


def _passing_by(fault: Fault, lender: Any) -> Callable[[], _Lent]:
    whole = type(lender).lend
    return lambda: _Lent(fault, whole(lender))


def _taken_off(lender: Any) -> Callable[[_Lent], None]:
    whole = type(lender).take_back
    return lambda lent: whole(lender, lent.lent)


def failing(
    session: rsm.Session, nth: int, error: Callable[[], BaseException], *, after: bool = False, persistent: bool = False
) -> contextlib.AbstractContextManager[Fault]:
    """Make the Nth call of the driver fail in the body; the Fault tells which one it was, None if it never came."""
    return in_the_way(session, Fault(nth, error, after, persistent))


def failing_at(
    session: rsm.Session, statement: str, error: Callable[[], BaseException], times: int
) -> contextlib.AbstractContextManager[Fault]:
    """Make the statement that begins so fail in the body, the first few times it is run."""
    return in_the_way(session, FaultAt(statement, error, times))


def meanwhile(session: rsm.Session, statement: str, do: Callable[[], None]) -> contextlib.AbstractContextManager[Fault]:
    """Do something just before the statement that begins so is run."""
    return in_the_way(session, Interlude(statement, do))


def recording(session: rsm.Session) -> contextlib.AbstractContextManager[Fault]:
    """List the calls of the driver that the body causes."""
    return in_the_way(session, Fault(0, None))


def disk_error() -> sqlite3.Error:
    """Return what the sqlite3 module raises when the disk fails under it."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_IOERR_WRITE, "SQLITE_IOERR_WRITE"
    return error


def server_error() -> Exception:
    """Return what psycopg raises when the disk fails under the server."""
    import psycopg

    return psycopg.errors.IoError("could not write block 7")


# Seeing every row


class Watcher:
    """Reads a catalogue's rows with the bare driver."""

    def __init__(self, url: str) -> None:
        parsed = place.parse_url(url)
        if parsed.get_backend_name() == "sqlite":
            self._connection: Any = sqlite3.connect(f"file:{parsed.database}?mode=ro", uri=True, isolation_level=None)
            names = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
        else:
            import psycopg

            self._connection = psycopg.connect(url, autocommit=True)
            names = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename"
        self._tables = [row[0] for row in self._connection.execute(names).fetchall()]

    def rows(self) -> dict[str, list[Any]]:
        """Return every row of every table."""
        read = self._connection.execute
        return {table: sorted(map(repr, read(f'SELECT * FROM "{table}"').fetchall())) for table in self._tables}

    def close(self) -> None:
        self._connection.close()


def counts(rows: dict[str, list[Any]]) -> dict[str, int]:
    """Return how many rows each table has."""
    return {table: len(found) for table, found in rows.items()}


@contextlib.contextmanager
def watching(url: str) -> Iterator[Watcher]:
    """Read rows in the body."""
    watcher = Watcher(url)
    try:
        yield watcher
    finally:
        watcher.close()


# Afterwards


def check_writable(session: rsm.Session) -> None:
    """See that a session can read, and can write without leaving anything behind."""
    with session.transaction(dry_run=True):
        session.pools.create("\\Writable")
    assert "\\Writable" not in [pool.path for pool in session.pools.list()]


class Neighbour:
    """Another process, which does what it is asked and answers."""

    def __init__(self) -> None:
        self._process = Forked(
            [sys.executable, os.path.abspath(__file__)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def begin(self, verb: str, **arguments: Any) -> None:
        """Ask for something without waiting for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"verb": verb, **arguments}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """Wait for the answer."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the other process ended"
        return json.loads(line)

    def ask(self, verb: str, **arguments: Any) -> Any:
        """Ask for something and wait for the answer."""
        self.begin(verb, **arguments)
        return self.answer()

    def check_writable(self, url: str) -> None:
        """See that nothing keeps this process from writing."""
        assert self.ask("write", url=url) == "ERROR_SUCCESS"

    def stop(self) -> None:
        self._process.communicate()


class Visitor:
    """What a Neighbour's process does."""

    def __init__(self) -> None:
        self._open: dict[str, rsm.Session] = {}
        self._held = contextlib.ExitStack()

    def _session(self, url: str) -> rsm.Session:
        if url not in self._open:
            self._open[url] = rsm.connect(url, worker=False, caller=ADMINISTRATOR, busy_timeout_ms=PATIENCE_MS)
        return self._open[url]

    def write(self, url: str) -> None:
        """Open, write, take it back, and leave nothing open."""
        with rsm.connect(url, worker=False, caller=ADMINISTRATOR, busy_timeout_ms=PATIENCE_MS) as session:
            check_writable(session)

    def hold(self, url: str) -> None:
        """Begin a batch and stay in it."""
        session = self._held.enter_context(
            rsm.connect(url, worker=False, caller=ADMINISTRATOR, busy_timeout_ms=PATIENCE_MS)
        )
        self._held.enter_context(session.transaction(dry_run=True))

    def let_go(self) -> None:
        """End the batch."""
        self._held.close()

    def connect(self, url: str) -> None:
        """Open a session and keep it."""
        self._session(url).pools.list()

    def touch(self, url: str) -> None:
        """Take the turn of a writer on a session that is kept, and give it back."""
        with self._session(url).transaction(dry_run=True):
            pass

    def move(self, url: str, medium: str, pool: str) -> None:
        """Move a cartridge."""
        self._session(url).media.move(medium, pool)

    def delete(self, url: str, pool: str) -> None:
        """Delete a pool."""
        self._session(url).pools.delete(pool)

    def delete_within(self, url: str, pool: str, face: str, limit: int, is_open: bool) -> Any:
        """Delete a pool in a child whose SQLite may use only so many bytes, from now or from before the opening on."""
        return in_child(lambda: _delete_within(url, uuid.UUID(pool), face, limit, is_open))

    def leave(self) -> None:
        """Close all that is open."""
        for session in self._open.values():
            session.close()
        self._open.clear()


def _delete_within(url: str, pool: uuid.UUID, face: str, limit: int, is_open: bool) -> dict[str, Any]:
    from rsm import ntmsapi

    opened: dict[str, Any] = {}

    def open_session() -> None:
        if face == "session":
            opened["session"] = rsm.connect(url, worker=False, caller=ADMINISTRATOR)
            return
        code, opened["handle"] = ntmsapi.OpenNtmsSession(url, "tests", caller=ADMINISTRATOR)
        if code:
            raise rsm.error_for(code)

    def delete() -> None:
        if face == "session":
            opened["session"].pools.delete(pool)
        elif code := ntmsapi.DeleteNtmsMediaPool(opened["handle"], pool):
            raise rsm.error_for(code)

    if is_open:
        open_session()
        limit_memory(limit)
        seen = outcome(delete)
    else:
        limit_memory(limit)
        seen = outcome(open_session)
        seen = outcome(delete) if seen["code"] == "ERROR_SUCCESS" else seen
    return seen if face == "session" else {"code": seen["code"]}


def limit_memory(limit: int) -> None:
    """Let SQLite use so many bytes in this process; it can never be allowed more again."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection, contextlib.suppress(MemoryError):
        connection.execute(f"PRAGMA hard_heap_limit = {limit}").fetchone()


def serve() -> None:
    """Answer each line of the input with the name of a code."""
    visitor = Visitor()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            result = getattr(visitor, request.pop("verb"))(**request) or "ERROR_SUCCESS"
        except rsm.RsmError as error:
            result = error.code.name
        print(json.dumps(result), flush=True)


# Children


def in_child(function: Callable[[], Any], meanwhile: Callable[[], None] = lambda: None) -> Any:
    """Run a function in a forked child and return its result, which JSON must be able to hold."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reader)
            with open(writer, "w") as pipe:
                json.dump(function(), pipe)
            status = 0
        except BaseException:  # noqa: BLE001 - nothing of the child may reach the test runner
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writer)
    meanwhile()
    with open(reader) as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, f"the child ended with {os.waitstatus_to_exitcode(status)}"
    return json.loads(text)


def outcome(call: Callable[[], Any]) -> dict[str, Any]:
    """Make a call and tell how it ended in words that a pipe can carry."""
    try:
        call()
    except rsm.RsmError as error:
        cause = error.__cause__
        return {
            "code": error.code.name,
            "error": type(error).__name__,
            "cause": None if cause is None else type(cause).__name__,
            "sqlite": getattr(cause, "sqlite_errorname", None),
            "outcome_unknown": error.outcome_unknown,
        }
    return {"code": "ERROR_SUCCESS"}


def open_files(path: Path) -> list[str]:
    """Return what this process has open of a catalogue and the files beside it."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{name}"))
    return sorted(name for name in found if name.startswith(str(path)))


@contextlib.contextmanager
def tracing(session: rsm.Session) -> Iterator[list[str]]:
    """List what SQLite itself says it ran on the connection that writes; nothing for another database."""
    traced: list[str] = []
    lender = session._database._writers
    lent = lender.lend()
    raw = lent.raw if isinstance(lent.raw, sqlite3.Connection) else None
    lender.take_back(lent)
    if raw is not None:
        raw.set_trace_callback(lambda sql: traced.append(sql) if not sql.startswith("--") else None)
    try:
        yield traced
    finally:
        if raw is not None:
            raw.set_trace_callback(None)


@contextlib.contextmanager
def interrupted_after(seconds: float) -> Iterator[None]:
    """Press Ctrl-C on this process a while into the body."""

    def press(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)  # to the process: a thread of its own may be the one that takes it

    before = signal.signal(signal.SIGALRM, press)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def database_of(session: rsm.Session) -> db.Database:
    """Return the doorway that a session goes through."""
    return session._database


if __name__ == "__main__":
    serve()
