"""One open transaction, as services see it: statements in, rows out, and whose behalf it is on.

It begins and ends nothing; `rsm.db` does. Errors of the driver and stored values that make no sense become RsmErrors.
"""

import contextlib
import functools
import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn, Protocol, TypeVar

import sqlalchemy

from rsm.drivers import Driver
from rsm.errors import DatabaseFailureError, RsmError
from rsm.gate import GateTimeoutError
from rsm.security import AccessEra, Policy
from rsm.statements import Compiled, Statements

T = TypeVar("T")
LOAD = "load"  # the setting of a catalogue that tells which import brought it


class Owner(Protocol):
    """What a transaction needs of the database it is on."""

    driver: Driver
    label: str
    is_sqlite: bool
    statements: Statements

    def fail(self, error: BaseException, *, committing: bool = False) -> NoReturn:
        """Raise what a driver's error means."""


@dataclass(frozen=True, slots=True)
class Origin:
    """On whose behalf a transaction runs; every event carries it."""

    user: str
    application: str
    session: uuid.UUID
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Versions:
    """What a catalogue says of itself before anything else is read from it."""

    revision: int
    min_reader: int
    min_writer: int
    policy: Policy
    settings: str

    @property
    def load(self) -> Any:
        """Which import brought it here; None for a catalogue that grew here."""
        try:
            settings = json.loads(self.settings)
        except ValueError:
            return None
        return settings.get(LOAD) if isinstance(settings, dict) else None


class _Undone:
    """Stands for the connection of a transaction that the database has undone: every statement fails as the last did.

    SQLite, out of memory or room, ends the transaction with the statement; on its connection the next one would be
    committed by itself, should whoever makes the change go on after the error.
    """

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def execute(self, *_: object) -> NoReturn:
        raise self._error

    executemany = cursor = execute


class Transaction:
    """An open transaction, good for the one call that it was opened for. Services run statements on it, no more."""

    __slots__ = ("_database", "_raw", "_savepoints", "now", "origin", "policy", "versions")

    def __init__(self, database: Owner, raw: Any, origin: Origin) -> None:
        self._database = database
        self._raw = raw
        self._savepoints = 0
        self.origin = origin
        self.now = datetime.now(UTC)
        self.versions = self._read_versions()
        self.policy = self.versions.policy

    @property
    def dialect(self) -> str:
        """What kind of database it is: "sqlite" or "postgresql"."""
        return "sqlite" if self._database.is_sqlite else "postgresql"

    def compiled(self, statement: sqlalchemy.Executable) -> Compiled:
        """Return a statement as the driver wants it, for who makes something of its raw rows."""
        return self._database.statements[statement]

    def raw_rows(self, statement: sqlalchemy.Executable, **parameters: Any) -> list[Any]:
        """Run a statement and return all its rows as the driver gives them."""
        return self._fetch(self._execute(statement, parameters)[1])

    def rows(self, statement: sqlalchemy.Executable, **parameters: Any) -> list[Any]:
        """Run a statement and return all its rows, as named tuples of Python values."""
        compiled, cursor = self._execute(statement, parameters)
        raw_rows = self._fetch(cursor)
        assert compiled.row is not None, "a statement without columns has no rows"
        try:
            return [compiled.row(row) for row in raw_rows]
        except (ValueError, OverflowError) as error:
            self._refuse(error)

    def joined(self, statement: sqlalchemy.Executable, **parameters: Any) -> tuple[Any, list[Any]]:
        """Run a statement that joins one row to many; return the first as `row` does, and all as the driver does."""
        compiled, cursor = self._execute(statement, parameters)
        raw_rows = self._fetch(cursor)
        assert compiled.row is not None, "a statement without columns has no rows"
        try:
            return (compiled.row(raw_rows[0]) if raw_rows else None), raw_rows
        except (ValueError, OverflowError) as error:
            self._refuse(error)

    @contextlib.contextmanager
    def decoding(self) -> Iterator[None]:
        """Take a stored value that means nothing for what it is: damage.

        Raises:
            DatabaseFailureError: the body met a value that no catalogue can hold.
        """
        try:
            yield
        except RsmError:
            raise
        except (ValueError, OverflowError) as error:
            self._refuse(error)

    def decoded(self, make: Callable[..., T], *stored: Any) -> T:
        """Return what `make` makes of stored values, which fails as `decoding`."""
        try:
            return make(*stored)
        except RsmError:
            raise
        except (ValueError, OverflowError) as error:
            self._refuse(error)

    def _refuse(self, error: Exception) -> NoReturn:
        label = self._database.label
        raise DatabaseFailureError(f"{label} holds a senseless value, run rsm db check: {error}") from error

    def row(self, statement: sqlalchemy.Executable, **parameters: Any) -> Any:
        """Run a statement and return its first row, or None."""
        rows = self.rows(statement, **parameters)
        return rows[0] if rows else None

    def one(self, statement: sqlalchemy.Executable, what: str, **parameters: Any) -> Any:
        """Run a statement and return its first row, which every sound catalogue has.

        Raises:
            DatabaseFailureError: it is gone.
        """
        row = self.row(statement, **parameters)
        if row is None:
            raise DatabaseFailureError(f"{self._database.label} has lost {what}: run rsm db check")
        return row

    def change(self, statement: sqlalchemy.Executable, **parameters: Any) -> int:
        """Run a statement that changes rows and return how many it changed."""
        count: int = self._execute(statement, parameters)[1].rowcount
        return count

    def change_many(self, statement: sqlalchemy.Executable, parameters: Iterable[Mapping[str, Any]]) -> None:
        """Run a statement once for each set of parameters."""
        compiled = self._database.statements[statement]
        bound = [compiled.bind(each) for each in parameters]
        try:
            self._database.driver.execute_many(self._raw, compiled.sql, bound)
        except self._database.driver.errors as error:
            self._fail(error)

    @contextlib.contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo what the body did if it raises, and nothing else of the transaction."""
        self._savepoints += 1
        name = f"call_{self._savepoints}"
        self.run(f"SAVEPOINT {name}")
        try:
            yield
        except BaseException:
            if self.alive:
                self.run(f"ROLLBACK TO SAVEPOINT {name}")
                self.run(f"RELEASE SAVEPOINT {name}")
            raise
        self.run(f"RELEASE SAVEPOINT {name}")

    @property
    def alive(self) -> bool:
        """Whether the database still holds the transaction open; after some failures SQLite has undone all of it."""
        return not isinstance(self._raw, _Undone) and self._database.driver.in_transaction(self._raw)

    def _fail(self, error: BaseException) -> NoReturn:
        """Raise what a driver's error means; after one that undid everything no later statement may stand alone."""
        if not self.alive:
            self._raw = _Undone(error)
        self._database.fail(error)

    def run(self, sql: str) -> Any:
        """Run a fixed statement of this module's own."""
        try:
            return self._raw.execute(sql)
        except self._database.driver.errors as error:
            self._fail(error)

    def _execute(self, statement: sqlalchemy.Executable, parameters: Mapping[str, Any]) -> tuple[Compiled, Any]:
        compiled = self._database.statements[statement]
        bound = compiled.bind(parameters)
        try:
            return compiled, self._raw.execute(compiled.sql, bound)
        except self._database.driver.errors as error:
            self._fail(error)

    def _fetch(self, cursor: Any) -> list[Any]:
        """Return all rows and close the cursor: left open it keeps the locks of a connection that is closed."""
        try:
            raw_rows: list[Any] = cursor.fetchall()
        except self._database.driver.errors as error:
            self._fail(error)
        finally:
            cursor.close()
        return raw_rows

    def _read_versions(self) -> Versions:
        rows = self._fetch(self.run(self._database.driver.versions))
        if not rows:
            raise DatabaseFailureError(f"{self._database.label} has lost the row that describes it")
        try:
            return _judge_versions(self._database.is_sqlite, *rows[0])
        except (ValueError, OverflowError) as error:
            self._refuse(error)


@functools.lru_cache(maxsize=64)
def _judge_versions(
    is_sqlite: bool,
    packed: int,
    revision: int,
    min_reader: int,
    min_writer: int,
    era: int,
    creator: str,
    administrators: str,
    operators: str,
    settings: str,
) -> Versions:
    """Return what the row about a catalogue says, which is the same for nearly every transaction."""
    if is_sqlite:
        revision, rest = max(revision, packed // 1_000_000), packed % 1_000_000
        min_reader, min_writer = max(min_reader, rest % 1_000), max(min_writer, rest // 1_000)
    policy = Policy(AccessEra(era), creator, administrators, operators)
    return Versions(revision, min_reader, min_writer, policy, settings)


def is_retryable(error: RsmError) -> bool:
    """Tell whether the same call may succeed if made again at once: a serialization failure or a deadlock."""
    return getattr(error.__cause__, "sqlstate", None) in ("40001", "40P01")


def is_over_time(error: DatabaseFailureError) -> bool:
    """Tell whether a call waited for other writers until its session's time for that was over; nothing changed."""
    return isinstance(error.__cause__, GateTimeoutError) or getattr(error.__cause__, "sqlstate", None) == "55P03"
