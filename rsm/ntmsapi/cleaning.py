"""The functions of the NTMS interface about cleaning drives, each a call of the Pythonic face."""

import uuid

from rsm.ntmsapi.calls import code_call, guid
from rsm.session import Session

__all__ = ["CleanNtmsDrive", "ReleaseNtmsCleanerSlot", "ReserveNtmsCleanerSlot"]


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
