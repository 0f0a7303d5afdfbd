"""Which connections of a catalogue are open, and which of them are idle and ready for the next transaction.

SQLAlchemy's pools open, bound and close connections. It runs no statement and begins no transaction.
"""

import contextlib
import ctypes
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.pool import Pool, PoolProxiedConnection, QueuePool


class Connections:
    """Every open connection of one catalogue in this process, to close it or leave it alone."""

    def __init__(self, errors: tuple[type[BaseException], ...]) -> None:
        self._errors = errors
        self._open: dict[int, Any] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: Any) -> Any:
        """Remember a connection that was opened, and return it."""
        self._open[id(connection)] = connection
        return connection

    def discard(self, connection: Any) -> None:
        """Forget a connection that is being closed."""
        self._open.pop(id(connection), None)

    def close(self, connection: Any) -> None:
        """Close a connection, whatever state it is in."""
        self.discard(connection)
        with contextlib.suppress(*self._errors):
            connection.close()

    def close_all(self) -> None:
        """Close those that nobody else will."""
        for connection in list(self._open.values()):
            self.close(connection)

    def leave(self, connection: Any) -> None:
        """Never close a connection, not even when the interpreter ends."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))

    def leave_all(self) -> None:
        """Never close any of them."""
        for connection in list(self._open.values()):
            self.leave(connection)


class Lent:
    """A connection of an engine's pool, out of it for one transaction after the other."""

    __slots__ = ("busy_timeout_ms", "is_valid", "pool", "pooled", "raw")

    def __init__(self, pooled: PoolProxiedConnection, pool: Pool, busy_timeout_ms: int) -> None:
        self.pooled = pooled
        self.pool = pool
        self.raw: Any = pooled.driver_connection
        self.is_valid = True
        self.busy_timeout_ms = pooled.info.get("busy_timeout_ms", busy_timeout_ms)

    def remember_timeout(self, busy_timeout_ms: int) -> None:
        """Remember what the connection was told, for whoever borrows it next."""
        self.busy_timeout_ms = self.pooled.info["busy_timeout_ms"] = busy_timeout_ms

    def invalidate(self) -> None:
        """Close the connection, which will not rest again."""
        self.is_valid = False
        self.pooled.invalidate()


class Lender:
    """The connections of one engine. Fetching one from the pool costs more than a small statement does.

    So those that come back rest here, outside of the pool, while nobody can be waiting for them in it.
    """

    def __init__(self, engine: Engine, busy_timeout_ms: int) -> None:
        """Know the engine, and how long its new connections wait for others."""
        self.engine = engine
        self._busy_timeout_ms = busy_timeout_ms
        self._resting: list[Lent] = []

    def lend(self) -> Lent:
        """Return the connection that came back last, or one from the pool; `is_current` tells whether to use it.

        Raises:
            SQLAlchemyError, or what the driver raises: none can be opened.
        """
        try:
            return self._resting.pop()
        except IndexError:
            pool = self.engine.pool
            return Lent(pool.connect(), pool, self._busy_timeout_ms)

    def is_current(self, lent: Lent) -> bool:
        """Tell whether the connection belongs to the engine's present pool."""
        return lent.pool is self.engine.pool

    def take_back(self, lent: Lent) -> None:
        """Let a connection rest, or go back to its pool."""
        pool = lent.pool
        assert isinstance(pool, QueuePool), "both kinds of database have one"
        if pool is self.engine.pool and lent.is_valid and pool.overflow() <= 0:
            self._resting.append(lent)
        else:
            lent.pooled.close()

    def dispose(self) -> None:
        """Close the connections that rest here and in the pool, and go on with a new pool."""
        resting, self._resting = self._resting, []
        for lent in resting:
            lent.pooled.close()
        self.engine.dispose()

    def leave(self, connections: Connections) -> None:
        """Forget the connections that rest here and in the pool without closing them, and go on with a new pool."""
        resting, self._resting = self._resting, []
        for lent in resting:
            connections.leave(lent)
        self.engine.dispose(close=False)
