"""The Pythonic face: connect() and Session. Each call is one transaction, retried where the server asks for it.

It checks Python types, opens the transaction, calls one service and returns plain values. It decides nothing itself.
A Session serves all threads of its process and is dead in the child of a fork.
"""

import contextlib
import contextvars
import dataclasses
import logging
import os
import secrets
import threading
import types
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Concatenate, NoReturn, ParamSpec, TypeVar

from rsm import db, identity, place, schema
from rsm import worker as work
from rsm.db import Transaction
from rsm.drivers import is_without_network
from rsm.errors import (
    DatabaseFailureError,
    DatabaseFullError,
    InvalidHandleError,
    InvalidOperationError,
    InvalidParameterError,
    NoNetworkError,
    NotConnectedError,
    RsmError,
)
from rsm.nouns.attended import Attended
from rsm.nouns.base import check_types
from rsm.nouns.catalogue import Catalogue
from rsm.nouns.libraries import Libraries
from rsm.nouns.media import Media, MediaTypes
from rsm.nouns.mounts import Mount, MountCalls, Mounts, Request
from rsm.nouns.notifications import Notifications
from rsm.nouns.objects import AccessControl, Events, Objects
from rsm.nouns.operators import Operators
from rsm.nouns.pools import Pools
from rsm.nouns.requests import Requests
from rsm.nouns.standalone import Detection, Detections
from rsm.nouns.ui import UIOptions
from rsm.nouns.waiting import Waiting, WaitReason
from rsm.security import Caller, check_caller, is_administrator, need
from rsm.services import access, dismounts, reach
from rsm.services.names import check_application, check_description
from rsm.services.sessions import FIRST_LIBRARY_CLAIM, Enrolment, claim_of_library
from rsm.waking import Watcher

P = ParamSpec("P")
T = TypeVar("T")

__all__ = ["Attended", "Detection", "Mount", "Mounts", "Request", "Session", "WaitReason", "Waiting", "connect"]

_ATTEMPTS = 3
_log = logging.getLogger("rsm.session")
# The reason of each session in the context (thread or task) that runs; one variable, as contexts keep those they saw.
_reasons: contextvars.ContextVar[Mapping[uuid.UUID, str]] = contextvars.ContextVar(
    "rsm_reasons", default=types.MappingProxyType({})
)
# Calls whose documented results have no ERROR_DATABASE_FULL, and those that do have ERROR_NOT_CONNECTED.
_WITHOUT_FULL = frozenset(
    {
        "add_destination",
        "begin_detection",
        "cancel",
        "cancel_request",
        "clear_destinations",
        "delete_pool",
        "end_detection",
        "poll_drives",
        "release_slot",
        "remove_destination",
        "request_cleaner_eject",
        "request_cleaner_inject",
        "request_identification",
        "request_inventory",
        "reserve_slot",
        "satisfy",
        "stop_inventory",
        "submit",
        "subscribe",
        "switch_object",
        "unsubscribe",
        "update_label",
        "watch_drives",
        "write_attribute",
        "write_order",
    }
)
_WITH_NOT_CONNECTED = frozenset(
    {
        "check_may_export",
        "check_may_import",
        "existing",
        "hear",
        "outcome",
        "read_attribute",
        "read_device",
        "read_library",
        "release_slot",
        "request_cleaner_eject",
        "request_inventory",
        "reserve_slot",
        "stop_inventory",
        "submit",
        "subscribe",
        "unsubscribe",
        "update_label",
        "write_attribute",
    }
)


def connect(
    database: str | os.PathLike[str] | None = None,
    *,
    application: str | None = None,
    caller: Caller | None = None,
    upgrade: bool = False,
    worker: bool = True,
    busy_timeout_ms: int = 30_000,
) -> "Session":
    """Open a session on a catalogue; a missing or empty one is created.

    `database` is a URL or path, None for $RSM_DATABASE or the usual place. `caller` None is the user the process runs
    as. `upgrade` brings an older catalogue up to date, a copy first. `worker`: this process may carry out library work.
    `busy_timeout_ms` bounds the waiting for other writers (OpenNtmsSession).

    Raises:
        TypeError: an argument has the wrong Python type.
        InvalidParameterError: an argument's value means nothing.
        DatabaseFailureError: the catalogue cannot be opened, is damaged, or is none.
        NoNetworkError: this machine has no network to reach the server through.
        NotConnectedError: the server cannot be reached.
        NotReadyError: it is being upgraded just now.
        NoInterfacesError: it is older than this program; the message tells the command that upgrades it.
        NotSupportedError: it is newer than this program.
        AccessDeniedError: no use right on the computer object, or no control of it with `upgrade`.
    """
    if database is not None and not isinstance(database, (str, os.PathLike)):
        raise TypeError(f"database must be a URL or path, not {type(database).__name__}")
    check_types({"application": application}, str, optional=True)
    check_types({"upgrade": upgrade, "worker": worker}, bool)
    check_types({"busy_timeout_ms": busy_timeout_ms}, int)
    if not 0 <= busy_timeout_ms <= 2**31 - 1:
        raise InvalidParameterError("busy_timeout_ms is a number of milliseconds from 0 to 2147483647")
    who = Caller.of_process() if caller is None else check_caller(caller)
    called = check_application(application or "RSM")
    named = None if database is None else os.fspath(database)
    if isinstance(named, bytes):
        raise TypeError("database must be a path of text, not bytes")
    try:
        opened = schema.open_database(place.parse_url(named), upgrade_for=who if upgrade else None, creator=who)
    except NotConnectedError as error:
        if is_without_network(error.__cause__):
            raise NoNetworkError(str(error)) from error.__cause__
        raise
    try:
        return Session(opened, who, called, worker, busy_timeout_ms)
    except BaseException:
        db.release(opened)
        raise


class Session:
    """An open session. Use it in `with`, or close it."""

    def __init__(
        self, database: db.Database, caller: Caller, application: str, worker: bool, busy_timeout_ms: int
    ) -> None:
        self.id = db.new_id()
        self.caller = caller
        self.application = application
        self.worker = worker
        self.pools = Pools(self)
        self.media = Media(self)
        self.libraries = Libraries(self)
        self.mounts = MountCalls(self)
        self.requests = Requests(self)
        self.types = MediaTypes(self)
        self.acl = AccessControl(self)
        self.objects = Objects(self)
        self.events = Events(self)
        self.operators = Operators(self)
        self.notifications = Notifications(self)
        self.ui = UIOptions(self)
        self.catalogue = Catalogue(self)
        self.detection = Detections(self)
        self._unexplained = db.Origin(caller.user, application, self.id)
        self._database = database
        self._busy_timeout_ms = busy_timeout_ms
        self._closed = False
        self._claim: int | None = None
        self._lock = threading.Lock()
        self._batches = threading.local()
        self.read(_check_open_right, caller)
        if worker:
            work.attach(database)

    @property
    def doorway(self) -> db.Database:
        """The doorway to the catalogue, for this package alone."""
        self._check_usable()
        return self._database

    @property
    def origin(self) -> db.Origin:
        """On whose behalf its calls are made."""
        return self._origin

    @property
    def busy_timeout_ms(self) -> int:
        """How long it waits for other writers."""
        return self._busy_timeout_ms

    def reconnect(self) -> None:
        """Use the catalogue that this session has loaded in the place of the one it opened.

        Raises:
            RsmError: the new one cannot be opened; the session stays as unready as all others.
        """
        opened = schema.open_database(self._database.url, upgrade_for=None, creator=self.caller)
        with self._lock:
            if self._closed:
                db.release(opened)
                return
            old, self._database = self._database, opened
            claim, self._claim = self._claim, None
        if self.worker:
            work.attach(opened)
            work.detach(old)
        if claim is not None:
            with contextlib.suppress(RsmError):  # it goes with what it is held by
                old.claims.drop(claim)
        db.release(old)

    @property
    def database(self) -> str:
        """The catalogue's URL, without its password."""
        return self._database.label

    @property
    def closed(self) -> bool:
        """Whether the session was closed, or belongs to the process before a fork."""
        return self._closed or self._database.dead

    def close(self) -> None:
        """Close the session; closing it again does nothing. The last one of a catalogue closes its connections."""
        if self.closed:  # in the child of a fork the lock may be held by a thread that is not there
            self._closed = True
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._database.watcher.wake()
        self._end_work()
        db.release(self._database)

    def _end_work(self) -> None:
        """Give back what is mounted, cancel what waits, and let others know that the session lives no more."""
        inside = self._batch is not None  # the one writer is this thread: nothing else can be written or waited for
        if self._claim is not None and not inside:
            try:
                with self._database.transaction(self._origin, self._busy_timeout_ms) as transaction:
                    dismounts.end_session(transaction, self.id, died=False)
            except RsmError as error:
                _log.warning("the end of the session is left to others to see: %s", error)
        if self.worker:
            work.detach(self._database, wait=not inside)
        if self._claim is not None:
            with contextlib.suppress(RsmError):  # it goes with what it is held by
                self._database.claims.drop(self._claim)

    def is_reachable(self) -> bool:
        """Tell whether the catalogue's server still answers; a file has none that could go away."""
        try:
            return self._database.is_sqlite or self._database.versions() is not None
        except RsmError:
            return False

    def is_administrator(self) -> bool:
        """Tell whether the caller administers the catalogue."""
        return self.read(_administers, self.caller)

    def __enter__(self) -> "Session":
        self._check_usable()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open"
        return f"<rsm.Session {self.application!r} on {self.database}, {state}>"

    @property
    def watcher(self) -> Watcher:
        """What tells that the catalogue changed."""
        return self._database.watcher

    def check_may_wait(self) -> None:
        """Refuse a call that waits or works a library while this thread is in a batch.

        Raises:
            InvalidOperationError: it is.
        """
        self._check_usable()
        if self._batch is not None:
            raise InvalidOperationError("a call that waits or works a library cannot be part of a batch")

    def enrolment(self) -> Enrolment:
        """Return what the catalogue keeps of the session; from now on others can tell whether it lives.

        Raises:
            DatabaseFailureError: the claim that tells it cannot be held.
        """
        with self._lock:
            self._check_usable()  # nothing may be claimed once `close` has looked at what is
            claims = self._database.claims
            while self._claim is None or not claims.holds(self._claim):
                number = self._claim or secrets.randbelow(FIRST_LIBRARY_CLAIM - 1) + 1
                self._claim = number if claims.hold(number) else None
        host, boot = identity.host(), identity.boot()
        return Enrolment(self.id, host, boot, self._claim, self.application, self.caller.user)

    def is_worked(self, library_id: uuid.UUID) -> bool:
        """Tell whether this process can work a library, or another one holds it just now."""
        if work.is_attached(self._database) and self.read(reach.is_reached, library_id, identity.host()):
            return True
        return self._database.claims.is_held(claim_of_library(library_id))

    def _check_usable(self) -> None:
        if self._closed or self._database.dead:
            raise InvalidHandleError("the session was closed, or belongs to the process before a fork: connect again")

    @property
    def _origin(self) -> db.Origin:
        reasons = _reasons.get()
        return dataclasses.replace(self._unexplained, reason=reasons.get(self.id, "")) if reasons else self._unexplained

    @contextlib.contextmanager
    def because(self, reason: str) -> Iterator[None]:
        """Give the events of the body's calls a reason."""
        check_types({"reason": reason}, str)
        check_description(reason)
        token = _reasons.set({**_reasons.get(), self.id: reason})
        try:
            yield
        finally:
            _reasons.reset(token)

    @contextlib.contextmanager
    def transaction(self, *, dry_run: bool = False) -> Iterator[None]:
        """Make the database calls of this thread in the body one transaction; each is a savepoint.

        A call that fails and is caught leaves the batch usable. With `dry_run` everything is checked and done, then
        rolled back.

        Raises:
            InvalidOperationError: this thread is in a batch of this session already.
        """
        check_types({"dry_run": dry_run}, bool)
        self._check_usable()
        if self._batch is not None:
            raise InvalidOperationError("a batch cannot be opened inside a batch")
        with contextlib.suppress(_Rehearsed), self._open_batch(self._origin, self._busy_timeout_ms) as transaction:
            yield
            if dry_run and transaction.alive:
                raise _Rehearsed

    @contextlib.contextmanager
    def _open_batch(self, origin: db.Origin, busy_timeout_ms: int) -> Iterator[Transaction]:
        with self._database.transaction(origin, busy_timeout_ms) as transaction:
            self._batches.current = transaction
            try:
                yield transaction
            finally:
                self._batches.current = None
            if not transaction.alive:
                raise DatabaseFailureError("the database had to undo the whole batch: nothing of it took effect")

    def together(self, work: Callable[[], T]) -> T:
        """Make the calls of `work` one: in this thread's batch if it is in one, else a transaction of their own."""
        if self._batch is not None:
            return work()

        def together(_: Transaction) -> T:
            return work()

        return self._run(self._open_batch, together, (), {})

    @property
    def _batch(self) -> Transaction | None:
        return getattr(self._batches, "current", None)

    def write(self, service: Callable[Concatenate[Transaction, P], T], *arguments: P.args, **keywords: P.kwargs) -> T:
        """Run a service in a write transaction, or in a savepoint of this thread's batch."""
        return self._run(self._database.transaction, service, arguments, keywords)

    def read(self, service: Callable[Concatenate[Transaction, P], T], *arguments: P.args, **keywords: P.kwargs) -> T:
        """Run a service on a snapshot, or inside this thread's batch."""
        return self._run(self._database.snapshot, service, arguments, keywords)

    def _run(
        self,
        open_transaction: Callable[[db.Origin, int], contextlib.AbstractContextManager[Transaction]],
        service: Callable[..., T],
        arguments: tuple[Any, ...],
        keywords: dict[str, Any],
    ) -> T:
        """Run a whole call, again where the server asks for it, and keep its failures to those that are documented."""
        self._check_usable()
        batch = self._batch
        attempts = _ATTEMPTS if batch is None else 1
        while True:
            attempts -= 1
            try:
                if batch is not None:
                    return self._run_in(batch, service, arguments, keywords)
                with open_transaction(self._origin, self._busy_timeout_ms) as transaction:
                    return service(transaction, *arguments, **keywords)
            except RsmError as error:
                if not attempts or not db.is_retryable(error):
                    _fail_as_documented(service, error)

    def _run_in(
        self, batch: Transaction, service: Callable[..., T], arguments: tuple[Any, ...], keywords: dict[str, Any]
    ) -> T:
        if not batch.alive:
            raise DatabaseFailureError("the database had to undo the whole batch: leave it and begin again")
        batch.origin = self._origin
        with batch.savepoint():
            return service(batch, *arguments, **keywords)


def _fail_as_documented(service: Callable[..., Any], error: RsmError) -> NoReturn:
    name = getattr(service, "__name__", "")
    if isinstance(error, NotConnectedError):
        is_documented = name in _WITH_NOT_CONNECTED
    else:
        is_documented = not isinstance(error, DatabaseFullError) or name not in _WITHOUT_FULL
    if is_documented:
        raise error
    raise DatabaseFailureError(str(error), outcome_unknown=error.outcome_unknown) from error.__cause__


class _Rehearsed(Exception):
    """Ends a dry run, so that it is rolled back."""


def _administers(transaction: Transaction, caller: Caller) -> bool:
    return is_administrator(caller, transaction.policy)


def _check_open_right(transaction: Transaction, caller: Caller) -> None:
    access.require_computer(transaction, caller, need("OpenNtmsSession", transaction.policy.access_era).computer)
