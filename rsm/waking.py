"""Waking: threads that sleep until the catalogue changes, whoever changes it.

It owns the waiting, and the one idle connection that hears of changes; it never reads the catalogue and knows no
database: what opens and asks that connection is given to it. There is no thread of its own. One of the waiting threads
leads: it asks twenty times a second, and wakes the others; when it leaves, another one leads.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

_POLL_SECONDS = 0.05
_RETRY_SECONDS = 1.0  # between attempts to hear of changes again


class Watcher:
    """The changes of one catalogue, counted, for the threads of this process."""

    def __init__(self, poll: Callable[[], bool]) -> None:
        """Count what `poll` hears of: True if the catalogue changed since it was last asked. It must not raise."""
        self._poll = poll
        self._process = os.getpid()
        self._condition = threading.Condition()
        self._sleeping = 0
        self._number = 0
        self._polling = False
        self._closed = False

    def mark(self) -> int:
        """Return the number of changes seen so far; a later change will make it differ.

        Take it before looking at the catalogue: then no change after the look goes unseen.
        """
        if not self._is_ours:
            return self._number
        with self._condition:
            if not self._polling and not self._closed:
                with self._leading():
                    self._ask()
            return self._number

    def wait(self, seen: int, seconds: float) -> int:
        """Sleep until the number of changes differs from `seen` or the time is over; return the number.

        A watcher that was closed does not sleep, nor does one of the process before a fork.
        """
        if not self._is_ours:
            return self._number
        until = time.monotonic() + seconds
        with self._condition, contextlib.ExitStack() as leading:
            leads = False
            while self._number == seen and not self._closed:
                left = min(until - time.monotonic(), threading.TIMEOUT_MAX)
                if left <= 0:
                    break
                if not leads and not self._polling:
                    leading.enter_context(self._leading())
                    leads = True
                if not leads:
                    self._sleep(left)
                elif not self._ask() and self._number == seen:  # it may have been woken while it asked
                    self._sleep(min(left, _POLL_SECONDS))
            return self._number

    def wake(self) -> None:
        """Count a change that this process made, and wake all who wait."""
        if self._is_ours:
            with self._condition:
                self._count()

    def close(self) -> None:
        """Wake all who wait, for good."""
        if self._is_ours:
            with self._condition:
                self._closed = True
                self._count()

    def forget(self) -> None:
        """Be closed, in the child of a fork: none of the threads that waited is there."""
        self._condition = threading.Condition()
        self._closed = True

    @property
    def _is_ours(self) -> bool:
        return self._process == os.getpid()

    def _sleep(self, seconds: float) -> None:
        self._sleeping += 1
        try:
            self._condition.wait(seconds)
        finally:
            self._sleeping -= 1

    def _count(self) -> None:
        self._number += 1
        if self._sleeping:
            self._condition.notify_all()

    @contextlib.contextmanager
    def _leading(self) -> Iterator[None]:
        self._polling = True
        try:
            yield
        finally:
            self._polling = False
            self._condition.notify_all()  # for one of them to lead

    def _ask(self) -> bool:
        """Poll, with the condition's lock let go of: whoever changed the catalogue must not wait for a server."""
        self._condition.release()
        try:
            changed = self._poll()
        finally:
            self._condition.acquire()
        if changed:
            self._count()
        return changed


class Changes:
    """The connection that hears of changes, opened when it is first asked and again when it was lost."""

    def __init__(
        self,
        connect: Callable[[], Any],
        count: Callable[[Any, int], int],
        close: Callable[[Any], None],
        errors: tuple[type[BaseException], ...],
    ) -> None:
        """Know how to open and close the connection, and how to count what it heard: a number unlike the one before."""
        self._connect = connect
        self._count = count
        self._close = close
        self._errors = errors
        self._lock = threading.Lock()
        self._connection: Any = None
        self._counted = 0
        self._retry = 0.0
        self._closed = False
        self._paused = False

    def poll(self) -> bool:
        """Tell whether the catalogue changed since the last poll, or may have while no connection heard of it.

        Trouble is told as a change: who looks then meets it himself.
        """
        with self._lock:
            if self._closed or (self._connection is None and time.monotonic() < self._retry):
                return False
            try:
                lost = self._connection is None
                if lost:
                    self._connection = self._connect()
                before, self._counted = self._counted, self._count(self._connection, self._counted)
            except self._errors:
                self._retry = time.monotonic() + _RETRY_SECONDS
                self._disconnect()
                return True
            return lost or self._counted != before

    def close(self) -> None:
        """Close the connection, for good."""
        with self._lock:
            self._closed = True
            self._disconnect()

    def pause(self, seconds: float) -> None:
        """Close the connection and open none before `resume`, not waiting longer than that for a poll in progress."""
        if self._lock.acquire(timeout=seconds):
            self._disconnect()
            self._paused = True

    def resume(self) -> None:
        """Go on after `pause`."""
        if self._paused:
            self._paused = False
            self._lock.release()

    def forget(self) -> None:
        """Be closed, in the child of a fork, without touching the parent's connection."""
        self._lock = threading.Lock()
        self._connection, self._closed = None, True

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._close(connection)
