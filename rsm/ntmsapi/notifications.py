"""The functions of the NTMS interface about hearing of changes, and about where messages are shown.

A notification handle belongs to its session: it is dead once that is closed.
"""

import uuid
from collections.abc import Callable
from typing import Any

from rsm.constants import INFINITE, ErrorCode, NtmsUITypes
from rsm.constants import NtmsUIOperations as Change
from rsm.errors import CancelledError, InvalidHandleError, InvalidParameterError, NoDataError, RsmError
from rsm.nouns.notifications import Channel
from rsm.ntmsapi.calls import (
    Handle,
    Renamed,
    code_call,
    dword,
    kind,
    optional_guid,
    out_call,
    renaming,
    text,
    timeout,
)
from rsm.ntmsapi.structures import NTMS_NOTIFICATIONINFORMATION
from rsm.services.names import units
from rsm.session import Session

__all__ = [
    "CloseNtmsNotification",
    "GetNtmsUIOptions",
    "OpenNtmsNotification",
    "SetNtmsUIOptions",
    "WaitForNtmsNotification",
]

# The session was closed while the call waited: the channel broke.
_WHEN_BROKEN: Renamed = {CancelledError: NoDataError}


class NotificationHandle(Handle):
    """An open notification as a caller holds it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<NTMS notification handle {self._number}>"


_channels: dict[Handle, Channel] = {}


def _channel_of(handle: Any) -> Channel:
    channel = _channels.get(handle) if isinstance(handle, NotificationHandle) else None
    if channel is None or channel.closed:
        raise InvalidHandleError("the notification handle is none, or it or its session was closed")
    return channel


# Hearing of changes


@out_call(1)
def OpenNtmsNotification(hSession: Session, dwType: int) -> tuple[ErrorCode, Handle | None]:
    """Begin to hear of what changes in objects of one type, NTMS_OBJECT is all of them, and return a handle."""
    channel = hSession.notifications.open(kind(dwType))
    for handle, known in list(_channels.items()):
        if known.closed:  # with its session
            _channels.pop(handle, None)
    new = NotificationHandle()
    _channels[new] = channel
    return ErrorCode.ERROR_SUCCESS, new


def WaitForNtmsNotification(
    hNotification: Any, dwTimeout: int = INFINITE
) -> tuple[ErrorCode, NTMS_NOTIFICATIONINFORMATION | None]:
    """Wait for the next change and return what happened to which object; dwTimeout 0 only looks."""
    try:
        channel = _channel_of(hNotification)
        timeout_ms = timeout(dwTimeout)
        with renaming(_WHEN_BROKEN):
            event = channel.wait(timeout_ms)
    except RsmError as error:
        return error.code, None
    return ErrorCode.ERROR_SUCCESS, NTMS_NOTIFICATIONINFORMATION(int(event.operation), event.object)


def CloseNtmsNotification(hNotification: Any) -> ErrorCode:
    """Hear no more; ERROR_BUSY while another thread waits."""
    try:
        if hNotification is None:
            raise InvalidParameterError("hNotification is absent")
        _channel_of(hNotification).close()
    except RsmError as error:
        return error.code
    _channels.pop(hNotification, None)
    return ErrorCode.ERROR_SUCCESS


# Where messages are shown


@out_call(2)
def GetNtmsUIOptions(
    hSession: Session, lpObjectId: uuid.UUID | None, dwType: int, lpdwBufSize: int | None = None
) -> tuple[ErrorCode, list[str] | None, int | None]:
    """Return the computers that messages of a type go to; the size is that of the multi-string, 0 if there are none.

    lpObjectId is the computer, a library or, None, the session.
    """
    source, ui_type = optional_guid(lpObjectId, "lpObjectId"), _ui_type(dwType)
    room = None if lpdwBufSize is None else dword(lpdwBufSize, "lpdwBufSize")
    found = hSession.ui.destinations(ui_type, source)
    size = sum(units(name) + 1 for name in found) + 1 if found else 0
    if room is not None and room < size:
        return ErrorCode.ERROR_INSUFFICIENT_BUFFER, None, size
    return ErrorCode.ERROR_SUCCESS, found, size


@code_call
def SetNtmsUIOptions(
    hSession: Session, lpObjectId: uuid.UUID | None, dwType: int, dwOperation: int, lpszDestination: str
) -> None:
    """Put a computer on a list of those that messages go to, take it off, or empty the list; "" is this computer."""
    source, ui_type = optional_guid(lpObjectId, "lpObjectId"), _ui_type(dwType)
    operation, destination = dword(dwOperation, "dwOperation"), text(lpszDestination, "lpszDestination")
    change: dict[int, Callable[[], None]] = {
        int(Change.NTMS_UIDEST_ADD): lambda: hSession.ui.add(ui_type, destination, source),
        int(Change.NTMS_UIDEST_DELETE): lambda: hSession.ui.remove(ui_type, destination, source),
        int(Change.NTMS_UIDEST_DELETEALL): lambda: hSession.ui.clear(ui_type, source),
    }
    if operation not in change:
        raise InvalidParameterError("dwOperation is NTMS_UIDEST_ADD, DELETE or DELETEALL")
    change[operation]()


def _ui_type(value: Any) -> NtmsUITypes:
    number = dword(value, "dwType")
    if not NtmsUITypes.NTMS_UITYPE_INVALID < number < NtmsUITypes.NTMS_UITYPE_MAX:
        raise InvalidParameterError("dwType is NTMS_UITYPE_INFO, REQ or ERR")
    return NtmsUITypes(number)
