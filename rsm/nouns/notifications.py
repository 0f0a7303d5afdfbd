"""A session's calls about hearing of changes: of every object of a kind, made by any session of any process."""

import contextlib
import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterator
from types import TracebackType

from rsm import values
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.errors import BusyError, CancelledError, InvalidHandleError, InvalidParameterError, RsmError
from rsm.nouns.base import Noun, Runner, check_types, known_kind
from rsm.nouns.waiting import Done, OnWait, Waiter, Waiting, WaitReason, check_timeout
from rsm.services import notifications

_log = logging.getLogger("rsm.notifications")
_PAGE = 200
_KEEP_SECONDS = 3_600.0  # how far it got is written down at most once in so long; events are kept for days


class Channel:
    """Changes of the objects of one kind, each told once and in order. Use it in `with`, or close it.

    Threads that wait on one channel share its events; who wants them all opens a channel of its own.
    """

    def __init__(self, session: Runner, kind: Kind, subscription: notifications.Subscription) -> None:
        self.id: uuid.UUID = subscription.id
        self.kind = kind
        self._session = session
        self._lock = threading.Lock()
        self._heard: deque[values.Event] = deque()
        self._reached = self._told = self._kept = subscription.position
        self._kept_at = time.monotonic()
        self._waiters = 0
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether it was closed, or its session was."""
        return self._closed or self._session.closed

    def wait(self, timeout_ms: int | None = None, *, on_wait: OnWait | None = None) -> values.Event:
        """Wait for the next change and return it; 0 looks once, None waits for ever (WaitForNtmsNotification).

        Raises:
            InvalidHandleError: the channel or its session was closed.
            TypeError, InvalidParameterError: the time-out is none.
            InvalidOperationError: this thread is in a batch.
            NoDataError: changes were forgotten before they were told, or the session was taken for dead: open another.
            CancelledError: the session was closed meanwhile.
            TimeoutError: the time is over.
        """
        with self._waiting():
            check_timeout(timeout_ms)
            self._session.check_may_wait()
            try:
                return Waiter(self._session, timeout_ms, on_wait).wait_for(self._look)
            except InvalidHandleError:  # between two looks at it
                raise CancelledError("the session was closed while the call waited") from None

    def _look(self) -> Done[values.Event] | Waiting:
        with self._lock:
            if not self._heard:
                self._keep_position()
                heard = self._session.read(notifications.hear, self.id, self.kind, self._reached, _PAGE)
                self._heard.extend(heard.events)
                self._reached = heard.reached
            if self._heard:
                event = self._heard.popleft()
                self._told = event.id
                return Done(event)
        return Waiting(WaitReason.NO_CHANGE, "nothing has changed")

    def _keep_position(self) -> None:
        """Now and then write down how far it got, so that what was told may be forgotten without ending the channel."""
        now = time.monotonic()
        if self._told == self._kept or now - self._kept_at < _KEEP_SECONDS:
            return
        self._kept_at = now
        try:
            self._session.write(notifications.keep_position, self.id, self._told)
            self._kept = self._told
        except RsmError as error:
            _log.warning("how far changes were heard of cannot be written down: %s", error)

    @contextlib.contextmanager
    def _waiting(self) -> Iterator[None]:
        self._check_usable()
        with self._lock:
            self._check_usable()
            self._waiters += 1
        try:
            yield
        finally:
            with self._lock:
                self._waiters -= 1

    def _check_usable(self) -> None:
        if self.closed:
            raise InvalidHandleError("the notification, or its session, was closed: open another")

    def close(self) -> None:
        """Hear no more; closing it again does nothing (CloseNtmsNotification).

        Raises:
            BusyError: another thread waits on it.
            DatabaseFailureError, NotConnectedError: the catalogue cannot be written; close it again, or the session.
        """
        if self.closed:  # in the child of a fork the lock may be held by a thread that is not there
            return
        with self._lock:
            if self._waiters:
                raise BusyError("somebody waits for changes: the notification cannot be closed meanwhile")
            if self._closed:
                return
            self._closed = True
        try:
            self._session.write(notifications.unsubscribe, self.id)
        except BaseException as error:
            self._closed = False
            if not (isinstance(error, RsmError) and self._session.closed):  # with which it went
                raise

    def __enter__(self) -> "Channel":
        self._check_usable()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except RsmError as failure:
            if error is None:
                raise
            _log.warning("closing a notification failed too: %s", failure)


class Notifications(Noun):
    """Hearing of changes."""

    def open(self, kind: Kind = Kind.NTMS_OBJECT) -> Channel:
        """Begin to hear of what changes from now on in objects of a kind, NTMS_OBJECT is all (OpenNtmsNotification).

        Raises:
            TypeError, InvalidParameterError: it is no kind of object.
            AccessDeniedError: no use right on the computer (in the 2000 era none is needed).
            DatabaseFailureError, NotConnectedError: the catalogue cannot be written.
        """
        check_types({"kind": kind}, int)
        if not Kind.NTMS_UNKNOWN < kind < Kind.NTMS_NUMBER_OF_OBJECT_TYPES:
            raise InvalidParameterError(f"{kind} is no kind of object")
        wanted = known_kind(kind)
        subscription = self.session.write(notifications.subscribe, self.caller, self.session.enrolment(), wanted)
        return Channel(self.session, wanted, subscription)
