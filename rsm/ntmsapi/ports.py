"""The functions of the NTMS interface about ports and doors, each a call of the Pythonic face that returns at once.

An operation's id is that of its library request. Where one is given out, any GUID may be passed in, as NULL_GUID; None
is an absent pointer.
"""

import uuid
from typing import Any

from rsm.constants import NULL_GUID, ErrorCode, NtmsEjectOperation, NtmsInjectOperation
from rsm.errors import InvalidParameterError
from rsm.ntmsapi.calls import code_call, dword, guid, optional_guid, out_call
from rsm.services import doors, ports, queue
from rsm.session import Session

__all__ = ["AccessNtmsLibraryDoor", "EjectNtmsMedia", "InjectNtmsMedia"]

_EJECTS = (
    NtmsEjectOperation.NTMS_EJECT_START,
    NtmsEjectOperation.NTMS_EJECT_STOP,
    NtmsEjectOperation.NTMS_EJECT_QUEUE,
    NtmsEjectOperation.NTMS_EJECT_FORCE,
)


@out_call(1)
def EjectNtmsMedia(
    hSession: Session, lpMediaId: uuid.UUID | None, lpEjectOperation: uuid.UUID | None, dwAction: int
) -> tuple[ErrorCode, uuid.UUID | None]:
    """Begin to take a cartridge out through a port, stop that, or gather cartridges for one START.

    With START after QUEUE lpMediaId may be absent. QUEUE takes no lpEjectOperation, and an eject that is stopped names
    its cartridge or none.
    """
    action = dword(dwAction, "dwAction")
    if action not in _EJECTS:
        raise InvalidParameterError("dwAction is NTMS_EJECT_START, STOP, QUEUE or FORCE")
    if action == NtmsEjectOperation.NTMS_EJECT_QUEUE:
        optional_guid(lpEjectOperation, "lpEjectOperation")
        hSession.media.gather(guid(lpMediaId, "lpMediaId"))
        return ErrorCode.ERROR_SUCCESS, None
    operation = guid(lpEjectOperation, "lpEjectOperation")
    if action == NtmsEjectOperation.NTMS_EJECT_STOP:
        optional_guid(lpMediaId, "lpMediaId")
        hSession.write(ports.end_operation, hSession.caller, operation, queue.EJECT)
        return ErrorCode.ERROR_SUCCESS, None
    if lpMediaId in (None, NULL_GUID) and action == NtmsEjectOperation.NTMS_EJECT_START:
        return ErrorCode.ERROR_SUCCESS, hSession.media.eject().id
    medium = guid(lpMediaId, "lpMediaId")
    force = action == NtmsEjectOperation.NTMS_EJECT_FORCE
    return ErrorCode.ERROR_SUCCESS, hSession.media.eject(medium, force=force).id


@out_call(1)
def InjectNtmsMedia(
    hSession: Session, lpLibraryId: uuid.UUID, lpInjectOperation: uuid.UUID, dwAction: int
) -> tuple[ErrorCode, uuid.UUID | None]:
    """Begin to take in what a person puts into the ports, stop that, or have the ports pulled in and looked at."""
    library = guid(lpLibraryId, "lpLibraryId")
    operation = guid(lpInjectOperation, "lpInjectOperation")
    action = dword(dwAction, "dwAction")
    if action in (NtmsInjectOperation.NTMS_INJECT_START, NtmsInjectOperation.NTMS_INJECT_STARTMANY):
        many = action == NtmsInjectOperation.NTMS_INJECT_STARTMANY
        return ErrorCode.ERROR_SUCCESS, hSession.libraries.inject(library, many=many).id
    if action not in (NtmsInjectOperation.NTMS_INJECT_STOP, NtmsInjectOperation.NTMS_INJECT_RETRACT):
        raise InvalidParameterError("dwAction is NTMS_INJECT_START, STOP, RETRACT or STARTMANY")
    how: dict[str, Any] = {"retract": action == NtmsInjectOperation.NTMS_INJECT_RETRACT, "library_id": library}
    hSession.write(ports.end_operation, hSession.caller, operation, queue.INJECT, **how)
    return ErrorCode.ERROR_SUCCESS, None


@code_call
def AccessNtmsLibraryDoor(hSession: Session, lpLibraryId: uuid.UUID, dwAction: int) -> None:
    """Have the door of a library opened, and the inventory taken that dwAction names once it is shut."""
    library = guid(lpLibraryId, "lpLibraryId")
    action = dword(dwAction, "dwAction")
    if action not in doors.METHODS:
        raise InvalidParameterError("dwAction is NTMS_INVENTORY_NONE, FAST, OMID or DEFAULT")
    hSession.libraries.door(library, action)
