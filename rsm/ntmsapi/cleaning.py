"""The functions of the NTMS interface about cleaning drives, each a call of the Pythonic face."""

import uuid

from rsm.constants import ErrorCode, NtmsEjectOperation, NtmsInjectOperation
from rsm.errors import InvalidParameterError
from rsm.ntmsapi.calls import code_call, dword, guid, out_call
from rsm.services import ports, queue
from rsm.session import Session

__all__ = [
    "CleanNtmsDrive",
    "EjectNtmsCleaner",
    "InjectNtmsCleaner",
    "ReleaseNtmsCleanerSlot",
    "ReserveNtmsCleanerSlot",
]


@code_call
def CleanNtmsDrive(hSession: Session, lpDriveId: uuid.UUID) -> None:
    """Queue the cleaning of a drive and return at once; a stand-alone drive is only marked as cleaned."""
    hSession.libraries.clean(guid(lpDriveId, "lpDriveId"))


@code_call
def ReserveNtmsCleanerSlot(hSession: Session, lpLibrary: uuid.UUID, lpSlot: uuid.UUID) -> None:
    """Set an empty slot of a library aside for its cleaner."""
    library = guid(lpLibrary, "lpLibrary")
    hSession.libraries.reserve_cleaner_slot(library, guid(lpSlot, "lpSlot"))


@code_call
def ReleaseNtmsCleanerSlot(hSession: Session, lpLibrary: uuid.UUID) -> None:
    """Give the empty cleaner slot of a library back to data cartridges."""
    hSession.libraries.release_cleaner_slot(guid(lpLibrary, "lpLibrary"))


# Through a port or the door


@out_call(1)
def InjectNtmsCleaner(
    hSession: Session,
    lpLibrary: uuid.UUID,
    lpInjectOperation: uuid.UUID,
    dwNumberOfCleansLeft: int,
    dwAction: int,
) -> tuple[ErrorCode, uuid.UUID | None]:
    """Begin to take a cleaner into the slot that is set aside for it, or stop that; a door is not stopped."""
    library = guid(lpLibrary, "lpLibrary")
    operation = guid(lpInjectOperation, "lpInjectOperation")
    uses, action = dword(dwNumberOfCleansLeft, "dwNumberOfCleansLeft"), dword(dwAction, "dwAction")
    if action == NtmsInjectOperation.NTMS_INJECT_START:
        return ErrorCode.ERROR_SUCCESS, hSession.libraries.inject_cleaner(library, uses).id
    if action != NtmsInjectOperation.NTMS_INJECT_STOP:
        raise InvalidParameterError("dwAction is NTMS_INJECT_START or STOP")
    hSession.write(ports.end_operation, hSession.caller, operation, queue.INJECT_CLEANER, library_id=library)
    return ErrorCode.ERROR_SUCCESS, None


@out_call(1)
def EjectNtmsCleaner(
    hSession: Session, lpLibrary: uuid.UUID, lpEjectOperation: uuid.UUID, dwAction: int
) -> tuple[ErrorCode, uuid.UUID | None]:
    """Begin to take the cleaner out of its slot, or stop that; a door is not stopped."""
    library = guid(lpLibrary, "lpLibrary")
    operation = guid(lpEjectOperation, "lpEjectOperation")
    action = dword(dwAction, "dwAction")
    if action == NtmsEjectOperation.NTMS_EJECT_START:
        return ErrorCode.ERROR_SUCCESS, hSession.libraries.eject_cleaner(library).id
    if action != NtmsEjectOperation.NTMS_EJECT_STOP:
        raise InvalidParameterError("dwAction is NTMS_EJECT_START or STOP")
    hSession.write(ports.end_operation, hSession.caller, operation, queue.EJECT_CLEANER, library_id=library)
    return ErrorCode.ERROR_SUCCESS, None
