"""The functions of the NTMS interface about drives that a person feeds, each a thin call of the Pythonic face.

A detection handle belongs to its session: it is dead once that is closed. EjectDiskFromSADrive opens a session of its
own; GetVolumesFromDrive looks at the drive alone and needs no catalogue.
"""

import contextlib
import uuid
from collections.abc import Sequence
from typing import Any

from rsm.constants import ErrorCode, NtmsEjectOperation, NtmsOpreqCommand
from rsm.errors import BusyError, InvalidComputernameError, InvalidHandleError, InvalidParameterError, RsmError
from rsm.nouns.standalone import Detection, read_volume
from rsm.nouns.waiting import Waiting
from rsm.ntmsapi.calls import Handle, Renamed, code_call, dword, guids, kind, out_call, renaming, text
from rsm.ntmsapi.functions import open_session
from rsm.security import Caller
from rsm.services.names import is_clean, units
from rsm.services.operators import MAXIMUM_MESSAGE
from rsm.services.sessions import is_open
from rsm.session import Session

__all__ = [
    "BeginNtmsDeviceChangeDetection",
    "EjectDiskFromSADrive",
    "EndNtmsDeviceChangeDetection",
    "GetVolumesFromDrive",
    "SetNtmsDeviceChangeDetection",
]

_NO_COMPUTER: Renamed = {InvalidComputernameError: InvalidParameterError}


# Ejecting


def EjectDiskFromSADrive(
    lpComputerName: str | None,
    lpAppName: str | None,
    lpDeviceName: str,
    hWnd: Any = None,
    lpTitle: str | None = None,
    lpMessage: str | None = None,
    dwOptions: int = NtmsEjectOperation.NTMS_EJECT_START,
    *,
    caller: Caller | None = None,
) -> ErrorCode:
    """Eject what is in a stand-alone drive, named by its path, its name or its library's.

    NTMS_EJECT_START, QUEUE and FORCE come back once it is queued, IMMEDIATE once the cartridge is out; what a session
    uses IMMEDIATE refuses. ASK_USER then asks an operator, with lpTitle and lpMessage, whether to force it. hWnd means
    nothing: there is no window.
    """
    try:
        question = _question(lpTitle, lpMessage)
        device, option = text(lpDeviceName, "lpDeviceName"), dword(dwOptions, "dwOptions")
        if option not in tuple(NtmsEjectOperation):
            raise InvalidParameterError("dwOptions is one of NTMS_EJECT_START to NTMS_EJECT_ASK_USER")
        with renaming(_NO_COMPUTER):
            session = open_session(lpComputerName, lpAppName, 0, caller)
        with session:
            _eject(session, device, NtmsEjectOperation(option), question)
    except RsmError as error:
        return error.code
    return ErrorCode.ERROR_SUCCESS


def _question(title: Any, message: Any) -> str:
    parts = [text(part, name) for part, name in ((title, "lpTitle"), (message, "lpMessage")) if part is not None]
    question = ": ".join(parts) or "the drive is in use: answer with satisfy to take the cartridge from its user"
    if not is_clean(question) or units(question) > MAXIMUM_MESSAGE:
        raise InvalidParameterError(f"lpTitle and lpMessage have at most {MAXIMUM_MESSAGE - 2} printable characters")
    return question


def _eject(session: Session, device: str, option: NtmsEjectOperation, question: str) -> None:
    if option is NtmsEjectOperation.NTMS_EJECT_STOP:
        session.libraries.stop_eject(device)
    elif option is NtmsEjectOperation.NTMS_EJECT_FORCE:
        session.libraries.eject(device, force=True)
    elif option in (NtmsEjectOperation.NTMS_EJECT_START, NtmsEjectOperation.NTMS_EJECT_QUEUE):
        session.libraries.eject(device)
    else:
        _eject_and_wait(session, device, question if option is NtmsEjectOperation.NTMS_EJECT_ASK_USER else None)


def _eject_and_wait(session: Session, device: str, question: str | None) -> None:
    """Eject and wait until it is out; who uses it is told of by BusyError, or an operator is asked the question."""

    def check_session(_: Waiting) -> None:
        if not session.read(is_open, session.id):
            raise InvalidHandleError("the session of the call was taken for dead while it waited")

    try:
        request = session.libraries.eject(device, error_if_busy=True)
    except BusyError:
        if question is None:
            raise
        asked = session.operators.submit(NtmsOpreqCommand.NTMS_OPREQ_MESSAGE, message=question)
        session.operators.wait(asked)
        request = session.libraries.eject(device, force=True)
    try:
        session.requests.wait(request, on_wait=check_session)
    except InvalidHandleError:
        with contextlib.suppress(RsmError):
            session.libraries.stop_eject(device)  # as all that a dead session had in the queue
        raise


# Volumes


def GetVolumesFromDrive(pszDriveName: str) -> tuple[ErrorCode, str | None, str | None]:
    """Return the path of the volume in a stand-alone drive at a path, and where it is mounted, None if nowhere."""
    try:
        volume = read_volume(text(pszDriveName, "pszDriveName"))
    except RsmError as error:
        return error.code, None, None
    return ErrorCode.ERROR_SUCCESS, volume.path, volume.mounted_at


# Change detection


class DetectionHandle(Handle):
    """A change detection as a caller holds it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<NTMS change detection handle {self._number}>"


_detections: dict[Handle, tuple[Session, Detection]] = {}


def _detection_of(session: Session, handle: Any) -> Detection:
    owner, detection = _detections.get(handle, (None, None)) if isinstance(handle, DetectionHandle) else (None, None)
    if detection is None or owner is not session or detection.ended:
        raise InvalidHandleError("the change detection handle is none, is another session's, or was ended")
    return detection


@out_call(1)
def BeginNtmsDeviceChangeDetection(hSession: Session) -> tuple[ErrorCode, Handle | None]:
    """Begin to notice what people put into stand-alone drives or take out of them, and return a handle."""
    detection = hSession.detection.begin()
    for handle, (_, known) in list(_detections.items()):
        if known.ended:  # with its session
            _detections.pop(handle, None)
    new = DetectionHandle()
    _detections[new] = hSession, detection
    return ErrorCode.ERROR_SUCCESS, new


@code_call
def SetNtmsDeviceChangeDetection(
    hSession: Session, DetectHandle: Any, lpRequestId: Sequence[uuid.UUID], dwType: int, dwCount: int | None = None
) -> None:
    """Watch the drives that these libraries are, or that take these media types or cartridges; None looks once."""
    detection = None if DetectHandle is None else _detection_of(hSession, DetectHandle)
    ids, wanted = guids(lpRequestId, "lpRequestId", dwCount), kind(dwType)
    if not ids:
        raise InvalidParameterError("lpRequestId names at least one object")
    if detection is None:
        hSession.detection.poll(wanted, ids)
    else:
        detection.watch_kind(wanted, ids)


@code_call
def EndNtmsDeviceChangeDetection(hSession: Session, DetectHandle: Any) -> None:
    """Watch no more; the handle is dead."""
    _detection_of(hSession, DetectHandle).end()
    _detections.pop(DetectHandle, None)
