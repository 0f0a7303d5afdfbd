"""The one doorway to the database: engines, transactions, and the only place where driver errors become RsmError.

It owns every connection of the process, the write gate and the compiled statements. A transaction begins and ends here
and nowhere else. It never knows what a statement means: services write them, over the classes of `model`.

Writers are one at a time in a catalogue: on SQLite they queue at the gate and then BEGIN IMMEDIATE, on PostgreSQL they
take an advisory lock. Statements run on the driver's own cursor, compiled once from the SQLAlchemy constructs.
"""

import contextlib
import os
import threading
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, NoReturn

import sqlalchemy
from sqlalchemy.engine import URL

from rsm.claims import Claims, FileClaims, ServerClaims
from rsm.drivers import APPLICATION_ID as APPLICATION_ID
from rsm.drivers import BUSY_TIMEOUT_MS, UPGRADE_KEY, Driver, Postgresql, Sqlite
from rsm.drivers import user_version as user_version
from rsm.errors import (
    DatabaseFailureError,
    InvalidHandleError,
    InvalidOperationError,
    NotConnectedError,
    NotEnoughMemoryError,
    NotReadyError,
    RsmError,
)
from rsm.gate import Turnstile
from rsm.identity import new_id as new_id
from rsm.lending import Connections, Lender, Lent
from rsm.statements import statements_of
from rsm.transaction import Origin as Origin
from rsm.transaction import Transaction as Transaction
from rsm.transaction import Versions as Versions
from rsm.transaction import is_over_time as is_over_time
from rsm.transaction import is_retryable as is_retryable
from rsm.waking import Changes, Watcher

REVISION = 1  # the newest revision in migrations/versions, and the one this program writes
MINIMUM_READER = 1  # the oldest program that may read what this one writes
MINIMUM_WRITER = 1
_FORK_WAIT_SECONDS = 30.0


class Database:
    """All of one process's business with one catalogue. Sessions share it; the last one to leave closes it."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self.label = url.render_as_string(hide_password=True)
        self.dead = False
        self.users = 0
        self._seen: tuple[int, int, int] | None = None
        self._loaded: tuple[str, Any] | None = None
        self._judged: list[Versions | None] = [None, None]  # those that reading and writing were let pass by
        self.superseded = False  # another catalogue was loaded since: only new sessions may use it
        self._process = os.getpid()
        self._calls = threading.RLock()
        self._over = threading.Condition(self._calls)
        self._active: dict[int, int] = {}
        self._forking = False
        self.driver: Driver = Sqlite(url) if url.get_backend_name() == "sqlite" else Postgresql(url)
        self.is_sqlite = self.driver.path is not None
        self.path = self.driver.path
        self._file = os.fspath(self.path or "")  # looked at before every transaction
        self._turnstile = None if self.path is None else Turnstile(self.path, self.label, self._check_alive)
        self.errors: tuple[type[BaseException], ...] = (*self.driver.errors, sqlalchemy.exc.SQLAlchemyError)
        self._open = Connections(self.driver.errors)
        writers, readers = self.driver.engines(self._open.add, self._open.discard)
        self._writers = Lender(writers, BUSY_TIMEOUT_MS)
        self._readers = self._writers if readers is writers else Lender(readers, BUSY_TIMEOUT_MS)
        self.statements = statements_of(writers.dialect)
        connect, errors = self._connect_alone, self.errors
        self._changes = Changes(lambda: connect(True), self._count_heard, self._hang_up, (RsmError, *errors))
        self._watcher = Watcher(self._changes.poll)
        self._claims: Claims = ServerClaims(lambda: connect(False), self._hang_up, self._is_locked, errors, self.fail)
        if self.path is not None:
            self._claims = FileClaims(self.path)

    # Transactions

    @contextlib.contextmanager
    def transaction(self, origin: Origin, busy_timeout_ms: int = 30_000) -> Iterator[Transaction]:
        """Open the one write transaction; it commits at the end of the body and rolls back if that raises.

        Raises:
            InvalidHandleError: the process forked, or the catalogue was closed.
            DatabaseFailureError: another program held the catalogue longer than `busy_timeout_ms`, or it is damaged.
            NotReadyError: it was upgraded to something this program may not write.
            RsmError: with `outcome_unknown` when COMMIT itself failed.
        """
        self._enter_call()
        try:
            self._see_file()
            if self._turnstile is not None:
                self._turnstile.enter(busy_timeout_ms)
            try:
                yield from self._transact(self._writers, origin, busy_timeout_ms, writing=True)
            finally:
                if self._turnstile is not None:
                    self._turnstile.leave()
        finally:
            self._leave_call()

    @contextlib.contextmanager
    def snapshot(self, origin: Origin, busy_timeout_ms: int = 30_000) -> Iterator[Transaction]:
        """Open a read transaction that sees one state of the catalogue and cannot change it.

        Raises:
            InvalidHandleError: the process forked, or the catalogue was closed.
            DatabaseFailureError: the catalogue cannot be read.
            NotReadyError: it was upgraded to something this program cannot read.
        """
        self._enter_call()
        try:
            self._see_file()
            yield from self._transact(self._readers, origin, busy_timeout_ms, writing=False)
        finally:
            self._leave_call()

    def _transact(
        self, lender: Lender, origin: Origin, busy_timeout_ms: int, *, writing: bool
    ) -> Generator[Transaction, None, None]:
        driver = self.driver
        lent = self._borrow(lender, busy_timeout_ms)
        try:
            before = self._begin(lent, driver.begin_write if writing else driver.begin_read)
            transaction = Transaction(self, lent.raw, origin)
            if transaction.versions is not self._judged[writing] or self.superseded:
                self._check_versions(transaction.versions, writing=writing)
            yield transaction
            self._end(lent, driver.commit if writing else "COMMIT", before)
        except BaseException as error:
            self._undo(lent, error)
            raise
        finally:
            self._give_back(lender, lent)

    def _check_versions(self, versions: Versions, *, writing: bool) -> None:
        if (versions.min_writer if writing else versions.min_reader) > REVISION:
            raise NotReadyError(f"{self.label} was upgraded by a newer program: close the session and upgrade rsm")
        self._see_load(versions)
        if self.superseded:
            raise NotReadyError(f"another catalogue was loaded into {self.label}: close the session and connect again")
        self._judged[writing] = versions

    def _see_load(self, versions: Versions) -> None:
        """Notice when the catalogue is no longer the one that was seen first."""
        before = self._loaded
        if before is None or before[0] != versions.settings:
            self._loaded = versions.settings, versions.load
            self.superseded |= before is not None and before[1] != versions.load

    @contextlib.contextmanager
    def migrating(self, busy_timeout_ms: int = 30_000) -> Iterator[sqlalchemy.Connection]:
        """Open the one write transaction as an SQLAlchemy connection, foreign keys off, for a migration.

        The body must leave every foreign key satisfied: they are checked before COMMIT.

        Raises:
            DatabaseFailureError: as `transaction`, and when a foreign key is left dangling.
        """
        with self._call(), self._turn(busy_timeout_ms), self._translated():
            with self._writers.engine.connect() as plain:
                connection = plain.execution_options(isolation_level="AUTOCOMMIT")
                raw: Any = connection.connection.driver_connection
                if self.is_sqlite:
                    raw.execute("PRAGMA journal_mode = WAL")
                    raw.execute("PRAGMA foreign_keys = OFF")
                try:
                    raw.execute(self.driver.begin_write)
                    if self.driver.take_time is not None:
                        raw.execute(self.driver.take_time)
                    yield connection
                    self._check_foreign_keys(raw)
                    self._commit(raw, self.driver.commit)
                except BaseException:
                    if self.driver.in_transaction(raw):
                        raw.execute("ROLLBACK")
                    raise
                finally:
                    connection.invalidate()
            self._forget_connections()
        self._watcher.wake()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlalchemy.Connection]:
        """Open one consistent state as an SQLAlchemy connection, for reading tables of any revision.

        Raises:
            DatabaseFailureError: the catalogue cannot be read.
        """
        with self._call(), self._translated(), self._readers.engine.connect() as plain:
            connection = plain.execution_options(isolation_level="AUTOCOMMIT")
            raw: Any = connection.connection.driver_connection
            raw.execute(self.driver.begin_read)
            try:
                yield connection
            finally:
                if self.driver.in_transaction(raw):
                    raw.execute("ROLLBACK")

    def versions(self) -> Versions | None:
        """Return what the catalogue says of itself, None if the database is empty.

        Raises:
            DatabaseFailureError: it cannot be read, or holds something that is no catalogue.
        """
        with self._call():
            self._check_file()
            with self._connection(self._readers) as lent, self._one_state(lent):
                if not self.is_empty(lent.raw):
                    found = Transaction(self, lent.raw, Origin("", "", uuid.UUID(int=0))).versions
                    self._see_load(found)
                    return found
        # SQLite takes a file of less than a page for an empty database, and would write over it.
        if self.path is not None and 0 < self.path.stat().st_size < 512:
            raise DatabaseFailureError(f"{self.label}: file is not a database")
        return None

    def keep_write_ahead_log(self) -> None:
        """Give an SQLite catalogue that was put back from a copy its write-ahead log again.

        Raises:
            DatabaseFailureError: it cannot be written.
        """
        if not self.is_sqlite:
            return
        with self._call(), self._connection(self._readers) as lent:
            if self._pragma(lent, "journal_mode") == "wal":
                return
        with self._call(), self._turn(BUSY_TIMEOUT_MS), self._connection(self._writers) as lent:
            self._pragma(lent, "journal_mode = WAL")

    def _pragma(self, lent: Lent, pragma: str) -> Any:
        with self._translated():
            return lent.raw.execute(f"PRAGMA {pragma}").fetchone()[0]

    def is_empty(self, raw: Any) -> bool:
        """Tell whether there is no table at all."""
        with self._translated():
            return not raw.execute(self.driver.count_tables).fetchone()[0]

    def copy_to(self, target: Path) -> None:
        """Write a consistent copy of an SQLite catalogue to a new file that only its owner may read, or an empty one.

        Raises:
            DatabaseFailureError: the file holds something already, or cannot be written.
        """
        try:
            with contextlib.suppress(FileExistsError):
                os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise DatabaseFailureError(f"cannot make {target}: {error.strerror}") from error
        with self._call(), self._connection(self._writers) as lent, self._translated():
            assert isinstance(self.driver, Sqlite), "PostgreSQL has no file to be copied"
            self.driver.copy(lent.raw, target)

    def prepare(self, path: Path) -> None:
        """Make the empty file of a catalogue that may be loaded into this one (DatabaseFailureError)."""
        if isinstance(self.driver, Sqlite):
            with self._call(), self._connection(self._readers) as lent, self._translated():
                self.driver.prepare(lent.raw, path)

    @contextlib.contextmanager
    def writing_alone(self, busy_timeout_ms: int = 30_000) -> Iterator[None]:
        """Keep every other writer of an SQLite catalogue out of it for the body (DatabaseFailureError)."""
        with self._call(), self._turn(busy_timeout_ms):
            yield

    def load_pages(self, source: "Database", busy_timeout_ms: int = 30_000) -> None:
        """Put another SQLite catalogue in the place of this one, wholly or not at all, in the body of `writing_alone`.

        Raises:
            DatabaseFullError: there is no room.
            DatabaseFailureError: it cannot be written, or another program keeps it locked.
        """
        assert isinstance(self.driver, Sqlite), "PostgreSQL has no pages to be loaded"
        with self._call(), source._connection(source._readers) as taken, self._connection(self._writers) as given:
            with self._translated():
                self.driver.load(given.raw, taken.raw, busy_timeout_ms / 1000)
        self._forget_connections()
        self._watcher.wake()

    @contextlib.contextmanager
    def upgrading(self) -> Iterator[None]:
        """Let other programs know, for as long as the body runs, that the catalogue is being upgraded."""
        if self._turnstile is not None:
            with self._turnstile.gate().upgrade_mark():
                yield
            return
        with self._translated(), self._writers.engine.connect() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_lock_shared({UPGRADE_KEY})")
            try:
                yield
            finally:
                connection.invalidate()  # ends the lock; its pool may have been left behind meanwhile

    def is_being_upgraded(self) -> bool:
        """Tell whether some program is upgrading the catalogue at this moment."""
        if self._turnstile is not None:
            return self._turnstile.gate().upgrade_is_marked()
        return self._is_locked(UPGRADE_KEY)

    def _is_locked(self, key: int) -> bool:
        with self._translated(), self._readers.engine.connect() as connection:
            return bool(connection.exec_driver_sql(Postgresql.count_locks.format(key=key)).scalar_one())

    @contextlib.contextmanager
    def _turn(self, busy_timeout_ms: int) -> Iterator[None]:
        self._check_file()
        if self._turnstile is None:
            yield
            return
        self._turnstile.enter(busy_timeout_ms)
        try:
            yield
        finally:
            self._turnstile.leave()

    @contextlib.contextmanager
    def _connection(self, lender: Lender) -> Iterator[Lent]:
        lent = self._borrow(lender)
        try:
            yield lent
        finally:
            self._give_back(lender, lent)

    def _borrow(self, lender: Lender, busy_timeout_ms: int | None = None) -> Lent:
        self._check_alive()
        try:
            lent = lender.lend()
            while not lender.is_current(lent):  # it came back while its pool was dropped
                self._give_back(lender, lent)
                lent = lender.lend()
        except self.errors as error:
            self.fail(error)
        if busy_timeout_ms is not None and lent.busy_timeout_ms != busy_timeout_ms:
            try:
                lent.raw.execute(self.driver.busy_timeout(busy_timeout_ms))
            except BaseException as error:
                lent.invalidate()
                self._give_back(lender, lent)
                if isinstance(error, self.driver.errors):
                    self.fail(error)
                raise
            lent.remember_timeout(busy_timeout_ms)
        return lent

    def _give_back(self, lender: Lender, lent: Lent) -> None:
        if not lender.is_current(lent) and lent.is_valid and self.is_ours and not self.was_replaced():
            lent.invalidate()  # its pool was dropped meanwhile: nobody else would ever close it
        lender.take_back(lent)

    @contextlib.contextmanager
    def _one_state(self, lent: Lent) -> Iterator[None]:
        try:
            before = self._begin(lent, "BEGIN")
            yield
            self._end(lent, "COMMIT", before)
        except BaseException as error:
            self._undo(lent, error)
            raise

    def _begin(self, lent: Lent, begin: str) -> int:
        """Begin, and return what `_end` needs to tell whether anything was changed."""
        try:
            lent.raw.execute(begin)
        except self.driver.errors as error:
            self.fail(error)
        return self.driver.changes(lent.raw)

    def _end(self, lent: Lent, commit: str, before: int) -> None:
        if not self.is_ours:
            raise InvalidHandleError("this process was forked inside the batch, which is its parent's to end")
        committed = self._commit(lent.raw, commit)
        if self.driver.changes(lent.raw, committed) != before:
            self._watcher.wake()  # one that changed nothing must not: who looks may write, and would wake himself

    def _undo(self, lent: Lent, error: BaseException) -> None:
        """Roll back after an error, and have done with a connection that nobody vouches for."""
        if not self.is_ours:
            return
        # a connection that reported trouble may hold pages or state nobody vouches for
        suspect = isinstance(error, RsmError) and error.__cause__ is not None
        try:
            if self.driver.in_transaction(lent.raw):
                lent.raw.execute("ROLLBACK")
        except self.driver.errors:
            suspect = True
        if suspect:
            lent.invalidate()
        if isinstance(error, MemoryError) and not isinstance(error, RsmError):
            raise NotEnoughMemoryError from error

    def _commit(self, raw: Any, commit: str) -> Any:
        try:
            return raw.execute(commit)
        except self.driver.errors as error:
            self.fail(error, committing=True)

    def _check_foreign_keys(self, raw: Any) -> None:
        if self.is_sqlite and (dangling := raw.execute("PRAGMA foreign_key_check").fetchall()):
            tables = sorted({row[0] for row in dangling})
            raise DatabaseFailureError(f"the change would leave dangling references in {', '.join(tables)}")

    # Files and connections

    @property
    def claims(self) -> Claims:
        """The claims that this process has on numbers, among all that use the catalogue (InvalidHandleError)."""
        self._check_alive()
        return self._claims

    @property
    def watcher(self) -> Watcher:
        """What wakes threads that wait for the catalogue to change (InvalidHandleError)."""
        self._check_alive()
        return self._watcher

    def _connect_alone(self, watching: bool) -> Any:
        self._check_file()
        return self._open.add(self.driver.connect_alone(watching=watching))

    def _count_heard(self, connection: Any, before: int) -> int:
        self._check_file()
        return self.driver.count_heard(connection, before)

    def _hang_up(self, connection: Any) -> None:
        (self._open.leave if self.was_replaced() else self._open.close)(connection)

    @contextlib.contextmanager
    def _call(self) -> Iterator[None]:
        """Count a call in flight: closing and forking wait for those of other threads."""
        self._enter_call()
        try:
            yield
        finally:
            self._leave_call()

    def _enter_call(self) -> None:
        me = threading.get_ident()
        with self._calls:
            while self._forking and me not in self._active:
                self._over.wait()
            self._check_alive()
            self._active[me] = self._active.get(me, 0) + 1

    def _leave_call(self) -> None:
        me = threading.get_ident()
        with self._calls:
            self._active[me] -= 1
            if not self._active[me]:
                del self._active[me]
            if self.dead and not self._active and self.is_ours:
                self._close_now()
            if self._forking:
                self._over.notify_all()

    def was_replaced(self) -> bool:
        """Tell whether the path names another file by now, which old sessions will not touch and new ones may open."""
        if self.path is None or self._seen is None:
            return False
        try:
            status = os.stat(self.path)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) != self._seen[:2]

    @property
    def is_ours(self) -> bool:
        """Whether this process opened the connections; the child of a fork must not speak on its parent's."""
        return self._process == os.getpid()

    def _check_alive(self) -> None:
        if self.dead or self._process != os.getpid():
            raise InvalidHandleError("this session was closed, or belongs to the process before a fork: connect again")

    def _check_file(self) -> None:
        self._check_alive()
        self._see_file()

    def _see_file(self) -> None:
        """See that the path still names the file that is open; one that shrank is read afresh, not from memory."""
        if self.path is None:
            return
        try:
            status = os.stat(self._file)
        except OSError as error:
            raise DatabaseFailureError(f"{self.path} cannot be reached: {error.strerror}") from error
        now = (status.st_dev, status.st_ino, status.st_size)
        seen, self._seen = self._seen, now
        if seen is None or now == seen:
            return
        if now[:2] != seen[:2]:
            self._seen = seen
            raise DatabaseFailureError(
                f"{self.path} was replaced by another file while open: close the session and connect again"
            )
        if now[2] < seen[2]:
            self._forget_connections()

    def _forget_connections(self) -> None:
        if self.was_replaced():
            # SQLite ends a last connection by deleting the -wal of that name, which would be the new file's by now.
            self._leave_connections()
        self._writers.dispose()
        self._readers.dispose()

    def _leave_connections(self) -> None:
        """Forget every connection without closing it, not even when the interpreter ends."""
        self._open.leave_all()
        self._writers.leave(self._open)
        self._readers.leave(self._open)

    # Errors

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except RsmError:
            raise
        except self.errors as error:
            self.fail(error)

    def fail(self, error: BaseException, *, committing: bool = False) -> NoReturn:
        """Raise what a driver's error means, with that error as its cause."""
        if isinstance(error, sqlalchemy.exc.DBAPIError) and error.orig is not None:
            error = error.orig
        failure = self.driver.failure(error, self.label)
        failure.outcome_unknown = committing
        if isinstance(failure, NotConnectedError) or self.driver.may_be_locked_out(error):
            self._forget_connections()
        raise failure from error

    # End of life

    def close(self) -> None:
        """Refuse new calls, and close every connection and the gate once the calls in flight are over."""
        with self._calls:
            self.dead = True
            self._watcher.close()
            if not self._active:
                self._close_now()

    def _close_now(self) -> None:
        self._changes.close()
        self._claims.close()
        self._forget_connections()
        if not self.was_replaced():
            self._open.close_all()  # one that was out while its pool was left behind
        if self._turnstile is not None:
            self._turnstile.close()

    def before_fork(self) -> None:
        """Wait, not for ever, for other threads' calls, and close idle SQLite connections: no child may inherit one.

        SQLite keeps its file locks per process in memory of its own; a child that inherited that memory would believe
        in locks it does not hold.
        """
        me = threading.get_ident()
        with self._calls:
            self._forking = True
            self._over.wait_for(lambda: all(thread == me for thread in self._active), _FORK_WAIT_SECONDS)
            if self.is_sqlite and not self._active:
                self._forget_connections()
        if self.is_sqlite:
            self._changes.pause(_FORK_WAIT_SECONDS)

    def after_fork_in_parent(self) -> None:
        """Go on as before the fork."""
        self._changes.resume()
        with self._calls:
            self._forking = False
            self._over.notify_all()

    def after_fork_in_child(self) -> None:
        """Be dead without touching what the parent still uses."""
        self.dead = True
        self._calls = threading.RLock()  # a thread that is not here may have held it
        self._over = threading.Condition(self._calls)
        if self.is_sqlite and self._open:
            _inherited.add(os.path.realpath(self.url.database or ""))
        for part in (self._watcher, self._changes, self._claims):
            part.forget()
        self._leave_connections()  # closing one could checkpoint or hang up for the parent


# The catalogues this process has open

_databases: dict[str, Database] = {}
_databases_lock = threading.Lock()
_inherited: set[str] = set()  # files whose SQLite connections a fork left in this process


def acquire(url: URL) -> Database:
    """Return this process's Database for the URL, made at its first use; `release` it once for every `acquire`.

    Raises:
        InvalidOperationError: this process was forked in the middle of a batch on the same file.
        NotConnectedError: psycopg is not installed.
    """
    if any(not database.is_ours for database in list(_databases.values())):
        _after_fork_in_child()  # forked by something other than Python, which ran no hook
    if url.get_backend_name() == "sqlite":
        key = os.path.realpath(url.database or "")
        if key in _inherited:
            raise InvalidOperationError(
                f"this process was forked in the middle of work on {key}: only its parent can use it"
            )
    else:
        key = url.render_as_string(hide_password=False)
    with _databases_lock:
        database = _databases.get(key)
        if database is None or database.superseded or database.was_replaced():
            database = _databases[key] = Database(url)
        database.users += 1
        return database


def release(database: Database) -> None:
    """Give back what `acquire` returned; the last one closes all connections."""
    with _databases_lock:
        database.users -= 1
        if database.users or database.dead:
            return
        for key in [key for key, known in _databases.items() if known is database]:
            del _databases[key]
    database.close()


def _before_fork() -> None:
    _databases_lock.acquire()
    for database in _databases.values():
        database.before_fork()


def _after_fork_in_parent() -> None:
    for database in _databases.values():
        database.after_fork_in_parent()
    _databases_lock.release()


def _after_fork_in_child() -> None:
    global _databases_lock
    _databases_lock = threading.Lock()
    for database in _databases.values():
        database.after_fork_in_child()
    _databases.clear()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
