"""The functions of the NTMS interface about libraries, their work and its queue, each a call of the Pythonic face.

IdentifyNtmsSlot is the one that waits, for as long as its work takes.
"""

import uuid
from collections.abc import Sequence

from rsm.constants import ErrorCode, NtmsInventoryMethod
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.errors import InvalidParameterError
from rsm.ntmsapi.calls import WHEN_CLOSED, code_call, dword, guid, guids, out_call, renaming
from rsm.ntmsapi.mounting import deferred
from rsm.session import Session

__all__ = [
    "CancelNtmsLibraryRequest",
    "DeleteNtmsDrive",
    "DeleteNtmsLibrary",
    "DeleteNtmsRequests",
    "GetNtmsRequestOrder",
    "IdentifyNtmsSlot",
    "InventoryNtmsLibrary",
    "SetNtmsRequestOrder",
]

_FULL: dict[int, bool | None] = {
    int(NtmsInventoryMethod.NTMS_INVENTORY_FAST): False,
    int(NtmsInventoryMethod.NTMS_INVENTORY_OMID): True,
    int(NtmsInventoryMethod.NTMS_INVENTORY_DEFAULT): None,
}


# Taking stock


@code_call
def InventoryNtmsLibrary(hSession: Session, lpLibraryId: uuid.UUID, dwAction: int) -> None:
    """Queue an inventory and return at once, or stop the one that runs."""
    library = guid(lpLibraryId, "lpLibraryId")
    action = dword(dwAction, "dwAction")
    if action == NtmsInventoryMethod.NTMS_INVENTORY_STOP:
        hSession.libraries.stop_inventory(library)
    elif action in _FULL:
        hSession.libraries.inventory(library, full=_FULL[action])
    else:
        raise InvalidParameterError("dwAction is NTMS_INVENTORY_FAST, OMID, DEFAULT or STOP")


@code_call
def IdentifyNtmsSlot(hSession: Session, lpSlotId: uuid.UUID, dwOption: int) -> None:
    """Read the labels of what is in a slot, and return when that is done; an empty slot is no error."""
    slot = guid(lpSlotId, "lpSlotId")
    request = hSession.libraries.identify(slot, deferred=deferred(dwOption, "dwOption"))
    if request is not None:
        with renaming(WHEN_CLOSED):
            hSession.requests.wait(request)


# The queue


@code_call
def CancelNtmsLibraryRequest(hSession: Session, lpRequestId: uuid.UUID) -> None:
    """Take a library request out of the queue."""
    hSession.requests.cancel(guid(lpRequestId, "lpRequestId"))


@code_call
def DeleteNtmsRequests(
    hSession: Session, lpRequestId: Sequence[uuid.UUID], dwType: int, dwCount: int | None = None
) -> None:
    """Remove those of these library or operator requests that have ended; others are passed over."""
    requests = guids(lpRequestId, "lpRequestId", dwCount)
    wanted = dword(dwType, "dwType")
    if wanted == Kind.NTMS_LIBREQUEST:
        hSession.requests.delete(*requests)
    elif wanted == Kind.NTMS_OPREQUEST:
        hSession.operators.delete(*requests)
    else:
        raise InvalidParameterError("dwType is NTMS_LIBREQUEST or NTMS_OPREQUEST")


@out_call(1)
def GetNtmsRequestOrder(hSession: Session, lpRequestId: uuid.UUID) -> tuple[ErrorCode, int | None]:
    """Return the place of a library request among the mounts that wait, 1 is next; 0: it cannot be ordered."""
    return ErrorCode.ERROR_SUCCESS, hSession.requests.order(guid(lpRequestId, "lpRequestId"))


@code_call
def SetNtmsRequestOrder(hSession: Session, lpRequestId: uuid.UUID, dwOrderNumber: int) -> None:
    """Move a mount among those that wait: 1 is next, 0xFFFFFFFF last."""
    request = guid(lpRequestId, "lpRequestId")
    hSession.requests.set_order(request, dword(dwOrderNumber, "dwOrderNumber"))


# What is no longer attached


@code_call
def DeleteNtmsLibrary(hSession: Session, lpLibraryId: uuid.UUID) -> None:
    """Take a library and its devices off record; its cartridges go to the offline library."""
    hSession.libraries.delete(guid(lpLibraryId, "lpLibraryId"))


@code_call
def DeleteNtmsDrive(hSession: Session, lpDriveId: uuid.UUID) -> None:
    """Take a drive that is not present any more off record."""
    hSession.libraries.delete_drive(guid(lpDriveId, "lpDriveId"))
