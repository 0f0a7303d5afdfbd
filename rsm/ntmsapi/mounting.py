"""The functions of the NTMS interface about media in drives, each a thin call of the Pythonic face.

What MountNtmsMedia mounted stays mounted until DismountNtmsMedia, or until its session ends.
"""

import contextlib
import uuid
from collections.abc import Sequence
from typing import Any

from rsm.constants import INFINITE, NTMS_DISMOUNT_IMMEDIATE, ErrorCode
from rsm.constants import NtmsDismountOptions as Dismount
from rsm.constants import NtmsMountOptions as Option
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction, is_over_time
from rsm.errors import BusyError, DatabaseFailureError, InvalidMediaError, InvalidParameterError, TimeoutError
from rsm.ntmsapi.calls import WHEN_CLOSED, Renamed, code_call, dword, flags, guid, guids, out_call, renaming, timeout
from rsm.ntmsapi.structures import NTMS_MOUNT_INFORMATION
from rsm.services.objects import kind_of
from rsm.session import Session

__all__ = ["DismountNtmsDrive", "DismountNtmsMedia", "MountNtmsMedia"]

_MOUNT_OPTIONS = sum(int(option) for option in Option)
_OVER_TIME: dict[bool, Renamed] = {False: WHEN_CLOSED, True: {**WHEN_CLOSED, TimeoutError: BusyError}}
_MOUNT_INFORMATION_BYTES = NTMS_MOUNT_INFORMATION().dwSize
_DISMOUNT_OPTIONS = (0, int(Dismount.NTMS_DISMOUNT_DEFERRED), int(Dismount.NTMS_DISMOUNT_IMMEDIATE))


@out_call(1)
def MountNtmsMedia(
    hSession: Session,
    lpMediaId: Sequence[uuid.UUID],
    lpDriveId: Sequence[uuid.UUID] | None = None,
    dwCount: int | None = None,
    dwOptions: int = 0,
    dwPriority: int = 0,
    dwTimeout: int = INFINITE,
    lpMountInformation: NTMS_MOUNT_INFORMATION | None = None,
) -> tuple[ErrorCode, list[uuid.UUID] | None]:
    """Mount sides, all or none, named by themselves or their logical media, and return the drives that they are in.

    lpDriveId counts with NTMS_MOUNT_SPECIFIC_DRIVE alone. dwTimeout 0 is one try. With NTMS_MOUNT_NOWAIT the mount is
    only queued, dwTimeout means nothing and no drives come back.
    """
    media = _media(hSession, lpMediaId, dwCount)
    options = flags(dwOptions, "dwOptions", _MOUNT_OPTIONS)
    drives = _drives(lpDriveId, len(media), required=bool(options & Option.NTMS_MOUNT_SPECIFIC_DRIVE))
    if not isinstance(dwPriority, int):
        raise InvalidParameterError("dwPriority is a number from -15 to 15")
    timeout_ms = timeout(dwTimeout)
    _check_mount_information(lpMountInformation)
    error_if_busy = bool(options & Option.NTMS_MOUNT_ERROR_NOT_AVAILABLE)
    wanted: dict[str, Any] = {
        "write": bool(options & Option.NTMS_MOUNT_WRITE),
        "drive": drives,
        "priority": int(dwPriority),
        "error_if_busy": error_if_busy,
        "error_if_offline": bool(options & Option.NTMS_MOUNT_ERROR_OFFLINE),
    }
    with renaming(_OVER_TIME[error_if_busy]):
        if options & Option.NTMS_MOUNT_NOWAIT:
            hSession.mounts.request(media, **wanted)
            return ErrorCode.ERROR_SUCCESS, None
        mounts = hSession.mounts.mount(media, timeout_ms=timeout_ms, **wanted)
        with contextlib.ExitStack() as undo:
            undo.push(mounts)  # whoever is told of a failure has nothing mounted
            used = [mount.drive.id for mount in mounts]
            undo.pop_all()
        return ErrorCode.ERROR_SUCCESS, used


def _media(session: Session, ids: Any, count: Any) -> tuple[uuid.UUID, ...]:
    media = tuple(guids(ids, "lpMediaId", count))
    if not media:
        raise InvalidParameterError("lpMediaId names at least one medium")
    session.read(_check_media, media)
    return media


def _check_media(transaction: Transaction, media: Sequence[uuid.UUID]) -> None:
    if len(set(media)) != len(media):
        raise InvalidMediaError("the same medium is named twice")
    for medium in media:
        if kind_of(transaction, medium) not in (Kind.NTMS_LOGICAL_MEDIA, Kind.NTMS_PARTITION):
            raise InvalidMediaError(f"{medium} is neither a logical medium nor a side")


def _drives(ids: Any, count: int, *, required: bool) -> list[uuid.UUID] | None:
    if required:
        return guids(ids, "lpDriveId", count)
    if ids is not None and not isinstance(ids, (list, tuple)):
        raise InvalidParameterError(f"lpDriveId is a sequence of uuid.UUID, not {type(ids).__name__}")
    return None


def _check_mount_information(information: Any) -> None:
    if information is None:
        return
    if not isinstance(information, NTMS_MOUNT_INFORMATION) or information.dwSize != _MOUNT_INFORMATION_BYTES:
        raise InvalidParameterError(
            f"lpMountInformation is None or an NTMS_MOUNT_INFORMATION of dwSize {_MOUNT_INFORMATION_BYTES}"
        )


@code_call
def DismountNtmsMedia(
    hSession: Session,
    lpMediaId: Sequence[uuid.UUID],
    dwCount: int | None = None,
    dwOptions: int = NTMS_DISMOUNT_IMMEDIATE,
) -> None:
    """Give back mounted media and return at once; NTMS_DISMOUNT_DEFERRED leaves them in their drives for a while.

    What it may have to wait for is its turn to write the catalogue; past the session's time for that, ERROR_TIMEOUT.
    """
    media = _media(hSession, lpMediaId, dwCount)
    later = deferred(dwOptions, "dwOptions")
    try:
        hSession.mounts.dismount(*media, deferred=later)
    except DatabaseFailureError as error:
        if is_over_time(error):
            raise TimeoutError(str(error)) from error
        raise


def deferred(options: Any, name: str) -> bool:
    """Return whether dismount options are NTMS_DISMOUNT_DEFERRED; 0 is their default (InvalidParameterError)."""
    chosen = dword(options, name)
    if chosen not in _DISMOUNT_OPTIONS:
        raise InvalidParameterError(f"{name} is NTMS_DISMOUNT_DEFERRED or NTMS_DISMOUNT_IMMEDIATE")
    return chosen == Dismount.NTMS_DISMOUNT_DEFERRED


@code_call
def DismountNtmsDrive(hSession: Session, lpDriveId: uuid.UUID) -> None:
    """Have a drive emptied without naming the cartridge."""
    hSession.mounts.empty_drive(guid(lpDriveId, "lpDriveId"))
