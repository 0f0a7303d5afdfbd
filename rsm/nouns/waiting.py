"""Waiting for others: one loop for every call that waits for media, drives, an operator or the queue.

It sleeps until the catalogue changes or a time is over, and tells whoever asked why it waits. It holds no transaction
while it waits, and decides nothing: `look` does.
"""

import enum
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from rsm.errors import CancelledError, InvalidParameterError, TimeoutError
from rsm.nouns.base import Runner, check_types

T = TypeVar("T")

MAXIMUM_TIMEOUT_MS = 0xFFFFFFFF
_TELL_SECONDS = 1.0
_LOOK_SECONDS = 5.0  # nothing wakes a waiter when a process dies


class WaitReason(enum.StrEnum):
    """Why a call waits."""

    QUEUED = "queued"
    DRIVE_BUSY = "drive busy"
    MEDIUM_BUSY = "medium busy"
    MOVING = "moving"
    LABELLING = "labelling"
    OPERATOR = "operator asked"
    PERSON = "a person at the library"
    LIBRARY = "library not ready"
    NOBODY_WORKS = "nobody works the library"
    NO_CHANGE = "no change yet"


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a waiting call is told at least every second: why, in words too, for how long, and the request it is about.

    `request` is a library request or an operator request, None where there is none.
    """

    reason: WaitReason
    text: str
    seconds: float = 0.0
    request: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """What a look found: the end of the waiting."""

    value: T


OnWait = Callable[[Waiting], None]


def check_timeout(timeout_ms: int | None) -> None:
    """Refuse what is no time-out (TypeError, InvalidParameterError)."""
    check_types({"timeout_ms": timeout_ms}, int, optional=True)
    if timeout_ms is not None and not 0 <= timeout_ms <= MAXIMUM_TIMEOUT_MS:
        raise InvalidParameterError(f"timeout_ms is None or a number of milliseconds from 0 to {MAXIMUM_TIMEOUT_MS}")


class Waiter:
    """The time one call has, and whom it tells. Its clock starts when it is made."""

    def __init__(self, session: Runner, timeout_ms: int | None, on_wait: OnWait | None) -> None:
        check_timeout(timeout_ms)
        self.session = session
        self.on_wait = on_wait
        self.begun = time.monotonic()
        self.until = None if timeout_ms is None else self.begun + timeout_ms / 1000

    @property
    def is_over(self) -> bool:
        """Whether the time is over."""
        return self.until is not None and time.monotonic() >= self.until

    def wait_for(self, look: Callable[[], Done[T] | Waiting]) -> T:
        """Call `look` until it is done, whenever the catalogue changed; once more when the time is over.

        Raises:
            TimeoutError: the last look, past the time, still waits.
            CancelledError: the session was closed meanwhile.
            Exception: whatever `look` or the caller's `on_wait` raises.
        """
        watcher = self.session.watcher
        told: tuple[float, Waiting] | None = None
        while True:
            seen = watcher.mark()
            over = self.is_over
            if self.session.closed:
                raise CancelledError("the session was closed while the call waited")
            found = look()
            if isinstance(found, Done):
                return found.value
            if over:
                raise TimeoutError(f"the time is over: {found.text}")
            told = self._tell(found, told)
            longest = _LOOK_SECONDS if self.on_wait is None else _TELL_SECONDS
            left = longest if self.until is None else min(longest, self.until - time.monotonic())
            watcher.wait(seen, max(0.0, left))

    def _tell(self, waiting: Waiting, told: tuple[float, Waiting] | None) -> tuple[float, Waiting] | None:
        now = time.monotonic()
        if self.on_wait is None or (told is not None and told[1] == waiting and now - told[0] < _TELL_SECONDS * 0.9):
            return told
        self.on_wait(Waiting(waiting.reason, waiting.text, now - self.begun, waiting.request))
        return now, waiting
