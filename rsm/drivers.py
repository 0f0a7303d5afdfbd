"""What differs between SQLite and PostgreSQL: opening connections, beginning transactions, and what errors mean.

Each class answers the same questions for one of them. Here, and only here, a driver's error becomes an RsmError.
"""

import contextlib
import errno
import os
import sqlite3
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy
from sqlalchemy.engine import URL
from sqlalchemy.pool import QueuePool

from rsm.errors import (
    DatabaseFailureError,
    DatabaseFullError,
    NotConnectedError,
    NotEnoughMemoryError,
    RsmError,
)

MINIMUM_SQLITE = (3, 37, 0)
APPLICATION_ID = 0x52534D31  # "RSM1" in the header of an SQLite catalogue
_ADVISORY_KEY, UPGRADE_KEY = 0x52534D0001, 0x52534D0002
BUSY_TIMEOUT_MS = 30_000  # what a new connection begins with
_ALONE_BUSY_SECONDS = 1.0
# A writer that was stopped (SIGSTOP, a debugger, a laptop's lid) keeps all others out; the server ends it after this.
_IDLE_WRITE_MS = 60_000
_IDLE_TOO_LONG = "25P03"
_CHANNEL = "rsm"
_POOL = {"pool_size": 8, "max_overflow": 56, "pool_timeout": 30, "pool_reset_on_return": None}
_CONNECT = {"connect_timeout": 10, "application_name": "rsm"}
_KEEPALIVE = {"keepalives": 1, "keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 6}
# For a connection that is idle by nature. On a Unix socket, whose end is seen at once, the others do nothing.
_SETTINGS_ALONE = {
    "idle_session_timeout": 0,
    "tcp_keepalives_idle": 15,
    "tcp_keepalives_interval": 5,
    "tcp_keepalives_count": 6,
}


def user_version(revision: int, min_reader: int, min_writer: int) -> int:
    """Pack what every transaction compares into the one number that SQLite keeps in the file's header."""
    return revision * 1_000_000 + min_writer * 1_000 + min_reader


class Driver(Protocol):
    """One kind of database."""

    errors: tuple[type[BaseException], ...]
    path: Path | None
    begin_write: str
    begin_read: str
    take_time: str | None  # lets a write transaction pause for long
    commit: str  # ends a write transaction
    versions: str
    count_tables: str

    def engines(
        self, opened: Callable[[Any], None], closed: Callable[[Any], None]
    ) -> tuple[sqlalchemy.Engine, sqlalchemy.Engine]:
        """Return the engines for writing and for reading; the functions hear of every connection."""

    def busy_timeout(self, milliseconds: int) -> str:
        """Return the statement that bounds waiting for other writers on a connection."""

    def in_transaction(self, connection: Any) -> bool:
        """Tell whether the connection holds a transaction open."""

    def execute_many(self, connection: Any, sql: str, parameters: list[Any]) -> None:
        """Run a statement once for each set of parameters."""

    def changes(self, connection: Any, committed: Any = None) -> int:
        """Return a number that a write transaction, `committed` by that cursor, left alone if it changed nothing."""

    def connect_alone(self, *, watching: bool) -> Any:
        """Open a connection outside the pools; one for watching hears of changes by others and by this process."""

    def count_heard(self, connection: Any, before: int) -> int:
        """Return a number unlike the one before if such a connection heard of a change since; never wait."""

    def may_be_locked_out(self, error: BaseException) -> bool:
        """Tell whether a lock of this process itself may be in the way, which ends with the connection that has it."""

    def failure(self, error: BaseException, label: str) -> RsmError:
        """Return what a driver's error means."""


class Sqlite:
    """SQLite through the sqlite3 module, in autocommit mode: every BEGIN and COMMIT is ours."""

    errors: tuple[type[BaseException], ...] = (sqlite3.Error, MemoryError)
    begin_write = "BEGIN IMMEDIATE"
    begin_read = "BEGIN"
    take_time: str | None = None
    commit = "COMMIT"
    versions = (
        "SELECT v.user_version, c.revision, c.min_reader, c.min_writer, c.access_era, c.creator, c.administrators,"
        " c.operators, c.settings FROM pragma_user_version AS v, catalogue AS c"
    )
    count_tables = "SELECT count(*) FROM sqlite_master"

    def __init__(self, url: URL) -> None:
        if sqlite3.sqlite_version_info < MINIMUM_SQLITE:
            raise DatabaseFailureError(f"SQLite 3.37 or later is needed; this Python has {sqlite3.sqlite_version}")
        self._path = Path(url.database or "")
        self.path: Path | None = self._path

    def engines(
        self, opened: Callable[[Any], None], closed: Callable[[Any], None]
    ) -> tuple[sqlalchemy.Engine, sqlalchemy.Engine]:
        """Return the engines for writing and for reading; the functions hear of every connection."""
        return self._engine(opened, closed, query_only=False), self._engine(opened, closed, query_only=True)

    def _engine(
        self, opened: Callable[[Any], None], closed: Callable[[Any], None], *, query_only: bool
    ) -> sqlalchemy.Engine:
        def connect() -> sqlite3.Connection:
            connection = self._connect(BUSY_TIMEOUT_MS / 1000, query_only=query_only)
            opened(connection)
            return connection

        engine = sqlalchemy.create_engine("sqlite://", creator=connect, poolclass=QueuePool, **_POOL)
        sqlalchemy.event.listen(engine, "close", lambda connection, _record: closed(connection))
        return engine

    def _connect(self, busy_seconds: float, *, query_only: bool) -> sqlite3.Connection:
        # mode=rw: a catalogue is never made by opening a path that vanished
        location = "file:" + urllib.parse.quote(os.fspath(self._path)) + "?mode=rw"
        connection = sqlite3.connect(
            location,
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=busy_seconds,
            cached_statements=512,
        )
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA trusted_schema = OFF")
            if query_only:
                connection.execute("PRAGMA query_only = ON")
        except BaseException:
            connection.close()
            raise
        return connection

    def changes(self, connection: Any, committed: Any = None) -> int:
        """Return a number that a write transaction, `committed` by that cursor, left alone if it changed nothing."""
        return int(connection.total_changes)

    def connect_alone(self, *, watching: bool) -> Any:
        """Open a connection outside the pools; one for watching hears of changes by others and by this process."""
        return self._connect(_ALONE_BUSY_SECONDS, query_only=watching)

    def count_heard(self, connection: Any, before: int) -> int:
        """Return a number unlike the one before if such a connection heard of a change since; never wait."""
        return int(connection.execute("PRAGMA data_version").fetchall()[0][0])

    def busy_timeout(self, milliseconds: int) -> str:
        """Return the statement that bounds waiting for other writers on a connection."""
        return f"PRAGMA busy_timeout = {milliseconds}"

    def in_transaction(self, connection: Any) -> bool:
        """Tell whether the connection holds a transaction open."""
        return bool(connection.in_transaction)

    def execute_many(self, connection: Any, sql: str, parameters: list[Any]) -> None:
        """Run a statement once for each set of parameters."""
        connection.executemany(sql, parameters)

    def copy(self, connection: Any, target: Path) -> None:
        """Write one consistent state into an empty file, and put it on the disk."""
        connection.execute("VACUUM INTO ?", [os.fspath(target)])
        descriptor = os.open(target, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def prepare(self, connection: Any, path: Path) -> None:
        """Make an empty database whose pages are as large as those here: others could not be loaded."""
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as new:
            new.execute(f"PRAGMA page_size = {size}")
            new.execute("VACUUM")

    def load(self, connection: Any, source: Any, busy_seconds: float) -> None:
        """Put what another connection reads in the place of everything, in one transaction of SQLite's own."""
        until = time.monotonic() + busy_seconds

        def watch(status: int, *_: int) -> None:
            if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and time.monotonic() >= until:
                raise sqlite3.OperationalError("database is locked")

        source.backup(connection, progress=watch, sleep=0.05)

    def may_be_locked_out(self, error: BaseException) -> bool:
        """Tell whether a lock of this process itself may be in the way, which ends with the connection that has it.

        SQLite keeps a lock that the system failed to take back.
        """
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_PROTOCOL)

    def failure(self, error: BaseException, label: str) -> RsmError:
        """Return what a driver's error means."""
        if isinstance(error, MemoryError):
            return NotEnoughMemoryError()
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            return DatabaseFullError(f"no room is left for {label}")
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return DatabaseFailureError(f"another program keeps {label} locked: {error}")
        return DatabaseFailureError(f"{label}: {error}")


class Postgresql:
    """PostgreSQL through psycopg, in autocommit mode: every BEGIN and COMMIT is ours."""

    path: Path | None = None
    begin_write = (
        f"BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = {_IDLE_WRITE_MS};"
        f" SELECT pg_advisory_xact_lock({_ADVISORY_KEY})"
    )
    take_time: str | None = "SET LOCAL idle_in_transaction_session_timeout = 0"
    begin_read = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    # one round trip; a transaction that wrote nothing has no number, and wakes nobody
    commit = f"SELECT pg_notify('{_CHANNEL}', '') WHERE pg_current_xact_id_if_assigned() IS NOT NULL; COMMIT"
    versions = (
        "SELECT 0, revision, min_reader, min_writer, access_era, creator, administrators, operators, settings"
        " FROM catalogue"
    )
    count_tables = (
        "SELECT count(*) FROM pg_catalog.pg_class WHERE relnamespace = to_regnamespace(current_schema()::text)"
    )

    count_locks = (
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"
        " AND (classid::bigint << 32) + objid::bigint = {key}"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )

    def __init__(self, url: URL) -> None:
        try:
            import psycopg
        except ImportError as error:
            raise NotConnectedError(
                "PostgreSQL needs psycopg: pip install 'removable-storage-manager[postgresql]' 'psycopg[binary]'"
            ) from error
        self._url = url.set(drivername="postgresql+psycopg")
        self._connect = psycopg.connect
        self._operational_error = psycopg.OperationalError
        self.errors: tuple[type[BaseException], ...] = (psycopg.Error, MemoryError)

    def engines(
        self, opened: Callable[[Any], None], closed: Callable[[Any], None]
    ) -> tuple[sqlalchemy.Engine, sqlalchemy.Engine]:
        """Return the engines for writing and for reading; the functions hear of every connection."""
        engine = sqlalchemy.create_engine(
            self._url,
            isolation_level="AUTOCOMMIT",
            connect_args=_CONNECT,
            **_POOL,
        )

        def prepare(connection: Any, _record: Any) -> None:
            connection.autocommit = True
            connection.prepare_threshold = 3
            connection.execute(self.busy_timeout(BUSY_TIMEOUT_MS))
            opened(connection)

        sqlalchemy.event.listen(engine, "connect", prepare)
        sqlalchemy.event.listen(engine, "close", lambda connection, _record: closed(connection))
        return engine, engine

    def connect_alone(self, *, watching: bool) -> Any:
        """Open a connection outside the pools; one for watching hears of changes by others and by this process.

        The server notices within a minute that its client died, be it with the whole machine.
        """
        arguments, keywords = self._url.get_dialect()().create_connect_args(self._url)
        connection = self._connect(*arguments, **{**_KEEPALIVE, **keywords, **_CONNECT}, autocommit=True)
        try:
            for setting, value in _SETTINGS_ALONE.items():
                connection.execute(f"SET {setting} = {value}")
            if watching:
                connection.execute(f"LISTEN {_CHANNEL}")
        except BaseException:
            connection.close()
            raise
        return connection

    def changes(self, connection: Any, committed: Any = None) -> int:
        """Return a number that a write transaction, `committed` by that cursor, left alone if it changed nothing."""
        return 0 if committed is None else max(0, committed.rowcount)  # the one row is that of pg_notify

    def count_heard(self, connection: Any, before: int) -> int:
        """Return a number unlike the one before if such a connection heard of a change since; never wait."""
        connection.pgconn.consume_input()
        while connection.pgconn.notifies() is not None:
            before += 1
        return before

    def busy_timeout(self, milliseconds: int) -> str:
        """Return the statement that bounds waiting for other writers on a connection."""
        return f"SET lock_timeout = {max(1, milliseconds)}"  # 0 would mean no limit

    def in_transaction(self, connection: Any) -> bool:
        """Tell whether the connection holds a transaction open, be it a failed one."""
        return connection.info.transaction_status in (2, 3)  # INTRANS, INERROR

    def execute_many(self, connection: Any, sql: str, parameters: list[Any]) -> None:
        """Run a statement once for each set of parameters."""
        with connection.cursor() as cursor:
            cursor.executemany(sql, parameters)

    def may_be_locked_out(self, error: BaseException) -> bool:
        """Tell whether a lock of this process itself may be in the way: the server takes every lock back."""
        return False

    def failure(self, error: BaseException, label: str) -> RsmError:
        """Return what a driver's error means."""
        if isinstance(error, MemoryError):
            return NotEnoughMemoryError()
        state = getattr(error, "sqlstate", None) or ""
        text = " ".join(str(error).split())
        if state == "53100":
            return DatabaseFullError(f"no room is left for {label}: {text}")
        if state == "53200":
            return NotEnoughMemoryError(f"{label}: {text}")
        if state == _IDLE_TOO_LONG:
            return DatabaseFailureError(
                f"{label}: the change paused longer than {_IDLE_WRITE_MS // 1000} s while all other writers waited, so"
                " the server took it back: nothing is changed, make the call or the batch again"
            )
        if state.startswith(("08", "57P")) or (not state and isinstance(error, self._operational_error)):
            return NotConnectedError(f"{label} cannot be reached: {text}")
        return DatabaseFailureError(f"{label}: {text}")


def is_without_network(error: BaseException | None) -> bool:
    """Tell whether a driver's error says that this machine has no network, not that a server does not answer."""
    return any(os.strerror(number) in str(error) for number in (errno.ENETDOWN, errno.ENETUNREACH))
