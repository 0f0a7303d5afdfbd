"""The functions of the NTMS interface about who holds which side, each a thin call of the Pythonic face.

AllocateNtmsMedia is the one that may wait; it holds nothing while it does.
"""

import uuid
from typing import Any

from rsm import labels
from rsm.constants import (
    INFINITE,
    NTMS_OMID_TYPE_FILESYSTEM_INFO,
    NTMS_OMID_TYPE_RAW_LABEL,
    ErrorCode,
)
from rsm.constants import NtmsAllocateOptions as Option
from rsm.errors import BadFormatError, DatabaseFailureError, InvalidMediaPoolError, InvalidParameterError
from rsm.labels import Label
from rsm.ntmsapi.calls import (
    WHEN_CLOSED,
    Renamed,
    code_call,
    dword,
    flags,
    guid,
    optional_guid,
    out_call,
    renaming,
    text,
    timeout,
)
from rsm.ntmsapi.structures import NTMS_FILESYSTEM_INFO
from rsm.session import Session

__all__ = [
    "AllocateNtmsMedia",
    "DeallocateNtmsMedia",
    "DecommissionNtmsMedia",
    "SetNtmsMediaComplete",
    "SwapNtmsMedia",
    "UpdateNtmsOmidInfo",
]

_ALLOCATE_OPTIONS = int(Option.NTMS_ALLOCATE_NEW | Option.NTMS_ALLOCATE_NEXT)
_ALLOCATE_OPTIONS |= int(Option.NTMS_ALLOCATE_ERROR_IF_UNAVAILABLE)
# Of a medium whose pool is not on record these two have no word but that the catalogue is damaged.
_WITHOUT_POOL: Renamed = {InvalidMediaPoolError: DatabaseFailureError}
_FILESYSTEM_INFO_BYTES = 64 * 2 + 256 * 2 + 4  # of the structure in C


@out_call(2)
def AllocateNtmsMedia(
    hSession: Session,
    lpMediaPool: uuid.UUID,
    lpPartition: uuid.UUID | None = None,
    lpMediaId: uuid.UUID | None = None,
    dwOptions: int = 0,
    dwTimeout: int = INFINITE,
) -> tuple[ErrorCode, uuid.UUID | None, uuid.UUID | None]:
    """Take a side for the application; return the id of its logical medium and of the pool that it came from.

    lpMediaId is the medium whose next side is wanted, with NTMS_ALLOCATE_NEXT. dwTimeout 0 is one try.
    """
    pool, side = guid(lpMediaPool, "lpMediaPool"), optional_guid(lpPartition, "lpPartition")
    options = flags(dwOptions, "dwOptions", _ALLOCATE_OPTIONS)
    if options & Option.NTMS_ALLOCATE_NEW and options & Option.NTMS_ALLOCATE_NEXT:
        raise InvalidParameterError("NTMS_ALLOCATE_NEW and NTMS_ALLOCATE_NEXT exclude each other")
    given = optional_guid(lpMediaId, "lpMediaId")
    next_to = guid(given, "lpMediaId") if options & Option.NTMS_ALLOCATE_NEXT else None
    with renaming(WHEN_CLOSED):
        made = hSession.media.allocate_from(
            pool,
            side=side,
            new=bool(options & Option.NTMS_ALLOCATE_NEW),
            next_to=next_to,
            timeout_ms=timeout(dwTimeout),
            error_if_unavailable=bool(options & Option.NTMS_ALLOCATE_ERROR_IF_UNAVAILABLE),
        )
    return ErrorCode.ERROR_SUCCESS, made.logical_medium.id, made.source_pool


@code_call
def DeallocateNtmsMedia(hSession: Session, lpMediaId: uuid.UUID, dwOptions: int = 0) -> None:
    """Give back a logical medium; dwOptions is reserved."""
    medium = guid(lpMediaId, "lpMediaId")
    if dword(dwOptions, "dwOptions"):
        raise InvalidParameterError("dwOptions is reserved and must be 0")
    with renaming(_WITHOUT_POOL):
        hSession.media.deallocate(medium)


@code_call
def SetNtmsMediaComplete(hSession: Session, lpMediaId: uuid.UUID) -> None:
    """Mark a logical medium as full: it is not written any more."""
    hSession.media.complete(guid(lpMediaId, "lpMediaId"))


@code_call
def DecommissionNtmsMedia(hSession: Session, lpMediaId: uuid.UUID) -> None:
    """Take an available side out of use for good; lpMediaId is the id of the side."""
    hSession.media.decommission(guid(lpMediaId, "lpMediaId"))


@code_call
def SwapNtmsMedia(hSession: Session, lpMediaId1: uuid.UUID, lpMediaId2: uuid.UUID) -> None:
    """Exchange the sides behind two logical media of one pool."""
    hSession.media.swap(guid(lpMediaId1, "lpMediaId1"), guid(lpMediaId2, "lpMediaId2"))


@code_call
def UpdateNtmsOmidInfo(
    hSession: Session,
    lpMediaId: uuid.UUID,
    labelType: int,
    lpBuffer: bytes | NTMS_FILESYSTEM_INFO,
    numberOfBytes: int | None = None,
) -> None:
    """Record the label that the application has written on the side behind a logical medium.

    lpBuffer is the bytes of the label, which a label format must recognise, or what a file system says of itself.
    """
    medium = guid(lpMediaId, "lpMediaId")
    wanted = dword(labelType, "labelType")
    size = None if numberOfBytes is None else dword(numberOfBytes, "numberOfBytes")
    if wanted == NTMS_OMID_TYPE_RAW_LABEL:
        label = _label_of(lpBuffer, size)
    elif wanted == NTMS_OMID_TYPE_FILESYSTEM_INFO:
        label = _label_of_file_system(lpBuffer, size)
    else:
        raise InvalidParameterError("labelType is NTMS_OMID_TYPE_RAW_LABEL or NTMS_OMID_TYPE_FILESYSTEM_INFO")
    with renaming(_WITHOUT_POOL):
        hSession.media.update_label(medium, label.type, label.id, label.info)


def _label_of(buffer: Any, size: int | None) -> Label:
    if not isinstance(buffer, (bytes, bytearray, memoryview)):
        raise InvalidParameterError("lpBuffer is the bytes of the label")
    head = bytes(buffer)
    if size is not None and size > len(head):
        raise InvalidParameterError("numberOfBytes is more than lpBuffer has")
    head = head[:size]
    if not head:
        raise InvalidParameterError("a label has at least one byte")
    label = labels.recognise(head)
    if label is None:
        raise BadFormatError("no label format recognises this label: install the plug-in that reads it")
    return label


def _label_of_file_system(info: Any, size: int | None) -> Label:
    if not isinstance(info, NTMS_FILESYSTEM_INFO):
        raise InvalidParameterError("lpBuffer is an NTMS_FILESYSTEM_INFO")
    if size not in (None, _FILESYSTEM_INFO_BYTES):
        raise InvalidParameterError(f"numberOfBytes is {_FILESYSTEM_INFO_BYTES}, the size of NTMS_FILESYSTEM_INFO")
    serial_number = dword(info.SerialNumber, "SerialNumber").to_bytes(4, "little")
    return Label(text(info.FileSystemType, "FileSystemType"), serial_number, text(info.VolumeName, "VolumeName"))
