"""What every call of the Win32 face shares: handles, the check of arguments, and the turning of errors into codes.

It is the one place of this face where an RsmError ends.
"""

import contextlib
import inspect
import itertools
import os
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from rsm.constants import INFINITE, ErrorCode
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.errors import CancelledError, InvalidHandleError, InvalidParameterError, RsmError
from rsm.session import Session

P = ParamSpec("P")
T = TypeVar("T")


class Handle:
    """An open session as a caller holds it: opaque, never reused, good in every thread of the process."""

    __slots__ = ("_number",)
    _numbers = itertools.count(1)

    def __init__(self) -> None:
        self._number = next(self._numbers)

    def __repr__(self) -> str:
        return f"<NTMS session handle {self._number}>"


_sessions: dict[Handle, Session] = {}
_lock = threading.Lock()


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    _sessions.clear()


os.register_at_fork(after_in_child=_after_fork)


def new_handle(session: Session) -> Handle:
    """Return a handle for a session that was opened."""
    handle = Handle()
    with _lock:
        _sessions[handle] = session
    return handle


def drop_handle(handle: Any) -> Session:
    """Make a handle dead and return its session.

    Raises:
        InvalidHandleError: it is no handle, is closed, or was carried over a fork.
    """
    session = session_of(handle)
    with _lock:
        if _sessions.pop(handle, None) is None:
            raise InvalidHandleError("the handle was closed by another thread")
    return session


def session_of(handle: Any) -> Session:
    """Return the session of a handle.

    Raises:
        InvalidHandleError: it is no handle, is closed, or was carried over a fork.
    """
    session = _sessions.get(handle) if isinstance(handle, Handle) else None
    if session is None or session.closed:
        raise InvalidHandleError("the session handle is none, was closed, or was carried over a fork")
    return session


def code_call(function: Callable[Concatenate[Session, P], None]) -> Callable[Concatenate[Any, P], ErrorCode]:
    """Make a function of a session a call on a handle whose result is a code."""
    check_arguments = inspect.signature(function).bind  # a missing argument is a TypeError, whatever the handle is

    @wraps(function)
    def call(hSession: Any, *arguments: P.args, **keywords: P.kwargs) -> ErrorCode:
        try:
            function(session_of(hSession), *arguments, **keywords)
        except RsmError as error:
            check_arguments(hSession, *arguments, **keywords)
            return error.code
        return ErrorCode.ERROR_SUCCESS

    return call  # type: ignore[return-value]  # hSession can be given by keyword too


def out_call(
    outs: int,
) -> Callable[[Callable[Concatenate[Session, P], tuple[Any, ...]]], Callable[Concatenate[Any, P], tuple[Any, ...]]]:
    """Make a function of a session that returns a code and `outs` results a call on a handle."""

    def decorate(
        function: Callable[Concatenate[Session, P], tuple[Any, ...]],
    ) -> Callable[Concatenate[Any, P], tuple[Any, ...]]:
        check_arguments = inspect.signature(function).bind

        @wraps(function)
        def call(hSession: Any, *arguments: P.args, **keywords: P.kwargs) -> tuple[Any, ...]:
            try:
                return function(session_of(hSession), *arguments, **keywords)
            except RsmError as error:
                check_arguments(hSession, *arguments, **keywords)
                return (error.code, *[None] * outs)

        return call  # type: ignore[return-value]  # hSession can be given by keyword too

    return decorate


Renamed = Mapping[type[RsmError], type[RsmError]]

# A handle that was good when a call began to wait is dead at its end: somebody closed it meanwhile.
WHEN_CLOSED: Renamed = {InvalidHandleError: CancelledError}


@contextlib.contextmanager
def renaming(errors: Renamed) -> Iterator[None]:
    """Let errors of the body go out as those that a function's document names for them."""
    try:
        yield
    except RsmError as error:
        named = errors.get(type(error))
        if named is None:
            raise
        raise named(str(error), outcome_unknown=error.outcome_unknown) from error


# Arguments


def guid(value: Any, name: str, error: type[RsmError] = InvalidParameterError) -> uuid.UUID:
    """Return a GUID that must be there; `error` if it is absent, InvalidParameterError if it is none."""
    if value is None:
        raise error(f"{name} is absent")
    if not isinstance(value, uuid.UUID):
        raise InvalidParameterError(f"{name} is a uuid.UUID, not {type(value).__name__}")
    return value


def optional_guid(value: Any, name: str) -> uuid.UUID | None:
    """Return a GUID that may be absent (InvalidParameterError)."""
    return None if value is None else guid(value, name)


def text(value: Any, name: str) -> str:
    """Return text that must be there (InvalidParameterError)."""
    if not isinstance(value, str):
        raise InvalidParameterError(f"{name} is text, not {type(value).__name__}")
    return value


def dword(value: Any, name: str) -> int:
    """Return an unsigned 32-bit number (InvalidParameterError)."""
    if not isinstance(value, int) or not 0 <= value <= 0xFFFFFFFF:
        raise InvalidParameterError(f"{name} is a number from 0 to 0xFFFFFFFF")
    return int(value)


def flags(value: Any, name: str, known: int) -> int:
    """Return a set of flags, all of them known (InvalidParameterError)."""
    number = dword(value, name)
    if number & ~known:
        raise InvalidParameterError(f"{name} has a flag that it does not know: {number:#x}")
    return number


def timeout(value: Any, name: str = "dwTimeout") -> int | None:
    """Return a time-out in milliseconds, None for INFINITE (InvalidParameterError)."""
    number = dword(value, name)
    return None if number == INFINITE else number


def guids(value: Any, name: str, count: Any = None) -> list[uuid.UUID]:
    """Return the first `count` GUIDs of an array, None for all of them (InvalidParameterError)."""
    if not isinstance(value, (list, tuple)):
        raise InvalidParameterError(f"{name} is a sequence of uuid.UUID, not {type(value).__name__}")
    wanted = len(value) if count is None else dword(count, "dwCount")
    if wanted > len(value):
        raise InvalidParameterError(f"dwCount is more than {name} has")
    return [guid(one, name) for one in value[:wanted]]


def kind(value: Any, name: str = "dwType") -> Kind:
    """Return a kind of object that there can be (InvalidParameterError)."""
    number = dword(value, name)
    if not Kind.NTMS_UNKNOWN < number < Kind.NTMS_NUMBER_OF_OBJECT_TYPES:
        raise InvalidParameterError(f"{name} {number} is no type of object")
    return Kind(number)
