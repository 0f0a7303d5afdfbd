"""The functions of the NTMS interface, each a thin call of the Pythonic face.

The order of checks is the services' own, after the handle (6) and absent arguments (87). Documented results stand in
the project's test data, one test for each pair of function and code.
"""

import contextlib
import os
import re
import socket
import uuid
from typing import Any

from rsm.constants import (
    DACL_SECURITY_INFORMATION,
    GROUP_SECURITY_INFORMATION,
    NTMS_ERROR_ON_DUPLICATE,
    OWNER_SECURITY_INFORMATION,
    SACL_SECURITY_INFORMATION,
    ErrorCode,
    NtmsCreateOptions,
    NtmsEnumerateOption,
)
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.errors import (
    AccessDeniedError,
    InvalidComputernameError,
    InvalidMediaPoolError,
    InvalidNameError,
    InvalidParameterError,
    NotConnectedError,
    ObjectNotFoundError,
    RsmError,
)
from rsm.ntmsapi.calls import (
    code_call,
    drop_handle,
    dword,
    guid,
    kind,
    new_handle,
    optional_guid,
    out_call,
    text,
)
from rsm.ntmsapi.information import checked_structure, fill, new_medium, new_side, writable
from rsm.ntmsapi.structures import NTMS_OBJECTINFORMATION
from rsm.security import Caller, SecurityDescriptor, check_descriptor
from rsm.services.names import parse_path
from rsm.session import Session, connect
from rsm.values import PhysicalMedium, Side

__all__ = [
    "AddNtmsMediaType",
    "ChangeNtmsMediaType",
    "CloseNtmsSession",
    "CreateNtmsMedia",
    "CreateNtmsMediaPool",
    "DeleteNtmsMedia",
    "DeleteNtmsMediaPool",
    "DeleteNtmsMediaType",
    "DisableNtmsObject",
    "EnableNtmsObject",
    "EnumerateNtmsObject",
    "GetNtmsMediaPoolName",
    "GetNtmsObjectAttribute",
    "GetNtmsObjectInformation",
    "GetNtmsObjectSecurity",
    "MoveToNtmsMediaPool",
    "OpenNtmsSession",
    "SetNtmsObjectAttribute",
    "SetNtmsObjectInformation",
    "SetNtmsObjectSecurity",
]

_COMPUTER_NAME = re.compile(r"(\\\\)?[A-Za-z0-9_]([A-Za-z0-9_.-]{0,253}[A-Za-z0-9_])?\.?|\.")
_DESCRIPTOR_PARTS = int(
    OWNER_SECURITY_INFORMATION | GROUP_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION | SACL_SECURITY_INFORMATION
)


def _units_with_nul(value: str) -> int:
    return len(value.encode("utf-16-le")) // 2 + 1


# Sessions


def OpenNtmsSession(
    lpServer: str | None = None,
    lpApplication: str | None = None,
    dwOptions: int = 0,
    *,
    caller: Caller | None = None,
) -> tuple[ErrorCode, Any]:
    """Open a session and return its handle, None on failure.

    lpServer is a catalogue if it contains `/` or `://` or names a file, otherwise a computer name; None is the usual
    catalogue. A missing catalogue is created.
    """
    try:
        return ErrorCode.ERROR_SUCCESS, new_handle(open_session(lpServer, lpApplication, dwOptions, caller))
    except RsmError as error:
        return error.code, None


def open_session(server: Any, application: Any, options: Any, caller: Any) -> Session:
    """Return a session on the catalogue that a server's name means (RsmError, as of OpenNtmsSession)."""
    if dword(options, "dwOptions"):
        raise InvalidParameterError("dwOptions is reserved and must be 0")
    if application is not None:
        text(application, "lpApplication")
    if caller is not None and not isinstance(caller, Caller):
        raise InvalidParameterError("caller is an rsm.Caller")
    database = None if server is None else _catalogue_at(text(server, "lpServer"))
    return connect(database, application=application, caller=caller)


def _catalogue_at(server: str) -> str | None:
    if "\0" in server:
        raise InvalidComputernameError("a computer name has no NUL")
    if "/" in server or (os.path.lexists(server) and not os.path.isdir(server)):
        return server
    if not _COMPUTER_NAME.fullmatch(server):
        raise InvalidComputernameError(f"{server!a} is neither a catalogue nor the name of a computer")
    if server.removeprefix("\\\\").rstrip(".").lower() in ("", "localhost", socket.gethostname().lower()):
        return None
    raise NotConnectedError(
        f"computer {server} cannot be asked: share a catalogue through PostgreSQL and give its URL instead"
    )


def CloseNtmsSession(hSession: Any) -> ErrorCode:
    """Close a session; its handle is dead whatever comes back."""
    try:
        session = drop_handle(hSession)
    except RsmError as error:
        return error.code
    reachable = session.is_reachable()
    session.close()
    return ErrorCode.ERROR_SUCCESS if reachable else ErrorCode.ERROR_CONNECTION_UNAVAIL


# Pools


@out_call(1)
def CreateNtmsMediaPool(
    hSession: Session,
    lpPoolName: str,
    lpMediaType: uuid.UUID | None,
    dwAction: int,
    lpSecurityAttributes: SecurityDescriptor | None = None,
) -> tuple[ErrorCode, uuid.UUID | None]:
    """Open or create an application pool and return its id; lpMediaType None is for a pool that holds pools."""
    text(lpPoolName, "lpPoolName")
    if lpSecurityAttributes is not None:
        check_descriptor(lpSecurityAttributes)
    media_type = optional_guid(lpMediaType, "lpMediaType")
    action = dword(dwAction, "dwAction")
    if action not in tuple(NtmsCreateOptions):
        raise InvalidParameterError("dwAction is NTMS_OPEN_EXISTING, NTMS_CREATE_NEW or NTMS_OPEN_ALWAYS")
    if media_type is not None:
        parse_path(lpPoolName)
        hSession.types.check(media_type)
    if action == NtmsCreateOptions.NTMS_OPEN_EXISTING:
        return ErrorCode.ERROR_SUCCESS, hSession.objects.find(Kind.NTMS_MEDIA_POOL, lpPoolName)

    def open_or_create() -> uuid.UUID:
        if action == NtmsCreateOptions.NTMS_OPEN_ALWAYS:
            with contextlib.suppress(ObjectNotFoundError):
                return hSession.objects.find(Kind.NTMS_MEDIA_POOL, lpPoolName)
        return hSession.pools.create(lpPoolName, media_type=media_type, security=lpSecurityAttributes).id

    return ErrorCode.ERROR_SUCCESS, hSession.together(open_or_create)


@code_call
def DeleteNtmsMediaPool(hSession: Session, lpPoolId: uuid.UUID) -> None:
    """Delete an empty application pool."""
    hSession.pools.delete(guid(lpPoolId, "lpPoolId"))


@out_call(2)
def GetNtmsMediaPoolName(
    hSession: Session, lpPoolId: uuid.UUID, lpdwBufSize: int | None = None
) -> tuple[ErrorCode, str | None, int]:
    """Return the full name of a pool and its length in UTF-16 units with the NUL."""
    pool_id = guid(lpPoolId, "lpPoolId", InvalidMediaPoolError)
    room = None if lpdwBufSize is None else dword(lpdwBufSize, "lpdwBufSize")
    name = hSession.pools.path(pool_id)
    needed = _units_with_nul(name)
    if room is not None and room < needed:
        return ErrorCode.ERROR_INSUFFICIENT_BUFFER, None, needed
    return ErrorCode.ERROR_SUCCESS, name, needed


# Media


@code_call
def MoveToNtmsMediaPool(hSession: Session, lpMediaId: uuid.UUID, lpPoolId: uuid.UUID) -> None:
    """Move a cartridge to another pool of its media type."""
    hSession.media.move(guid(lpMediaId, "lpMediaId"), guid(lpPoolId, "lpPoolId"))


@code_call
def ChangeNtmsMediaType(hSession: Session, lpMediaId: uuid.UUID, lpPoolId: uuid.UUID) -> None:
    """Move a cartridge to a pool and give it that pool's media type."""
    hSession.media.change_type(guid(lpMediaId, "lpMediaId"), guid(lpPoolId, "lpPoolId"))


@code_call
def DeleteNtmsMedia(hSession: Session, lpMediaId: uuid.UUID) -> None:
    """Forget a lost or destroyed cartridge that is on the shelf."""
    hSession.media.delete(guid(lpMediaId, "lpMediaId"))


@out_call(2)
def CreateNtmsMedia(
    hSession: Session,
    lpMedia: NTMS_OBJECTINFORMATION,
    lpList: list[NTMS_OBJECTINFORMATION],
    dwOptions: int = 0,
) -> tuple[ErrorCode, NTMS_OBJECTINFORMATION, list[NTMS_OBJECTINFORMATION]]:
    """Put a cartridge that is on the shelf on record, with its sides; both structures come back filled in."""
    medium = checked_structure(lpMedia, Kind.NTMS_PHYSICAL_MEDIA)
    if not isinstance(lpList, (list, tuple)) or not lpList:
        raise InvalidParameterError("lpList is a list of one structure a side")
    sides = [checked_structure(side, Kind.NTMS_PARTITION) for side in lpList]
    options = dword(dwOptions, "dwOptions")
    if options not in (0, NTMS_ERROR_ON_DUPLICATE):
        raise InvalidParameterError("dwOptions is 0 or NTMS_ERROR_ON_DUPLICATE")
    if dword(medium.Info.dwNumberOfPartitions, "dwNumberOfPartitions") != len(sides):
        raise InvalidParameterError("dwNumberOfPartitions is the length of lpList")
    pool = guid(medium.Info.MediaPool, "MediaPool")
    fields, new_sides = new_medium(medium), [new_side(side) for side in sides]

    def create() -> tuple[PhysicalMedium, list[Side]]:
        made = hSession.media.create(pool, new_sides, error_on_duplicate=bool(options), **fields)
        return made, hSession.media.sides_made(made)

    made, made_sides = hSession.together(create)
    fill(medium, Kind.NTMS_PHYSICAL_MEDIA, made)
    for structure, value in zip(sides, made_sides, strict=True):
        fill(structure, Kind.NTMS_PARTITION, value)
    return ErrorCode.ERROR_SUCCESS, medium, sides


@code_call
def AddNtmsMediaType(hSession: Session, lpMediaTypeId: uuid.UUID, lpLibId: uuid.UUID) -> None:
    """Let a library take a media type."""
    hSession.types.add(guid(lpMediaTypeId, "lpMediaTypeId"), guid(lpLibId, "lpLibId"))


@code_call
def DeleteNtmsMediaType(hSession: Session, lpMediaTypeId: uuid.UUID, lpLibId: uuid.UUID) -> None:
    """Let a library take a media type no longer."""
    hSession.types.remove(guid(lpMediaTypeId, "lpMediaTypeId"), guid(lpLibId, "lpLibId"))


# Objects


@out_call(2)
def EnumerateNtmsObject(
    hSession: Session,
    lpContainerId: uuid.UUID | None,
    dwType: int,
    dwOptions: int = 0,
    lpdwListSize: int | None = None,
) -> tuple[ErrorCode, list[uuid.UUID], int]:
    """Return the ids of the objects of a type in a container, and how many there are; None is the whole system."""
    container = optional_guid(lpContainerId, "lpContainerId")
    wanted, options = kind(dwType), dword(dwOptions, "dwOptions")
    if options not in tuple(NtmsEnumerateOption):
        raise InvalidParameterError("dwOptions is NTMS_ENUM_DEFAULT or NTMS_ENUM_ROOTPOOL")
    room = None if lpdwListSize is None else dword(lpdwListSize, "lpdwListSize")
    ids = hSession.objects.list(wanted, container, include_root=options == NtmsEnumerateOption.NTMS_ENUM_ROOTPOOL)
    if room is not None and room < len(ids):
        return ErrorCode.ERROR_INSUFFICIENT_BUFFER, ids[:room], len(ids)
    return ErrorCode.ERROR_SUCCESS, ids, len(ids)


@out_call(1)
def GetNtmsObjectInformation(
    hSession: Session, lpObjectId: uuid.UUID, lpInfo: NTMS_OBJECTINFORMATION | int
) -> tuple[ErrorCode, NTMS_OBJECTINFORMATION]:
    """Return what the catalogue says of an object; lpInfo is a structure to fill, or just the dwType."""
    object_id = guid(lpObjectId, "lpObjectId")
    info = checked_structure(NTMS_OBJECTINFORMATION(dwType=kind(lpInfo)) if isinstance(lpInfo, int) else lpInfo)
    wanted = kind(info.dwType)
    return ErrorCode.ERROR_SUCCESS, fill(info, wanted, hSession.objects.get(wanted, object_id))


@code_call
def SetNtmsObjectInformation(hSession: Session, lpObjectId: uuid.UUID, lpInfo: NTMS_OBJECTINFORMATION) -> None:
    """Store every writable member; the last writer wins."""
    object_id = guid(lpObjectId, "lpObjectId")
    info = checked_structure(lpInfo)
    hSession.objects.update(kind(info.dwType), object_id, **writable(info))


@code_call
def EnableNtmsObject(hSession: Session, dwType: int, lpObjectId: uuid.UUID) -> None:
    """Take a library, drive or cartridge into service again."""
    hSession.objects.enable(kind(dwType), guid(lpObjectId, "lpObjectId"))


@code_call
def DisableNtmsObject(hSession: Session, dwType: int, lpObjectId: uuid.UUID) -> None:
    """Take a library, drive or cartridge out of service."""
    hSession.objects.disable(kind(dwType), guid(lpObjectId, "lpObjectId"))


@out_call(2)
def GetNtmsObjectAttribute(
    hSession: Session, lpObjectId: uuid.UUID, dwType: int, lpAttributeName: str, lpAttributeSize: int | None = None
) -> tuple[ErrorCode, bytes | None, int]:
    """Return the private data that an application hung on an object, and its size in bytes."""
    object_id, wanted = guid(lpObjectId, "lpObjectId"), kind(dwType)
    name = text(lpAttributeName, "lpAttributeName")
    room = None if lpAttributeSize is None else dword(lpAttributeSize, "lpAttributeSize")
    try:
        data = hSession.objects.attribute(wanted, object_id, name)
    except InvalidNameError as error:  # not among the documented results of reading: nothing has such a name
        raise ObjectNotFoundError(f"there is no attribute {name!a}") from error
    if room is not None and room < len(data):
        return ErrorCode.ERROR_INSUFFICIENT_BUFFER, None, len(data)
    return ErrorCode.ERROR_SUCCESS, data, len(data)


@code_call
def SetNtmsObjectAttribute(
    hSession: Session,
    lpObjectId: uuid.UUID,
    dwType: int,
    lpAttributeName: str,
    lpAttributeData: bytes | None,
    AttributeSize: int | None = None,
) -> None:
    """Create or replace private data of an object; a size of 0 deletes it."""
    object_id, wanted = guid(lpObjectId, "lpObjectId"), kind(dwType)
    name = text(lpAttributeName, "lpAttributeName")
    if AttributeSize is not None and dword(AttributeSize, "AttributeSize") == 0:
        hSession.objects.set_attribute(wanted, object_id, name, b"")
        return
    if not isinstance(lpAttributeData, (bytes, bytearray, memoryview)):
        raise InvalidParameterError("lpAttributeData is bytes")
    data = bytes(lpAttributeData)
    if AttributeSize is not None and AttributeSize > len(data):
        raise InvalidParameterError("AttributeSize is more than lpAttributeData has")
    hSession.objects.set_attribute(wanted, object_id, name, data[:AttributeSize])


# Security


@out_call(2)
def GetNtmsObjectSecurity(
    hSession: Session, lpObjectId: uuid.UUID, dwType: int, RequestedInformation: int, nLength: int | None = None
) -> tuple[ErrorCode, SecurityDescriptor | None, int]:
    """Return the parts of an object's descriptor that are asked for, and the room they take in bytes."""
    object_id, wanted = guid(lpObjectId, "lpObjectId"), kind(dwType)
    parts = _parts(hSession, RequestedInformation)
    room = None if nLength is None else dword(nLength, "nLength")
    whole = hSession.acl.get(wanted, object_id)
    descriptor = SecurityDescriptor(
        whole.owner if parts & OWNER_SECURITY_INFORMATION else None,
        whole.dacl if parts & DACL_SECURITY_INFORMATION else None,
    )
    needed = descriptor.size_bytes
    if room is not None and room < needed:
        return ErrorCode.ERROR_INSUFFICIENT_BUFFER, None, needed
    return ErrorCode.ERROR_SUCCESS, descriptor, needed


@code_call
def SetNtmsObjectSecurity(
    hSession: Session,
    lpObjectId: uuid.UUID,
    dwType: int,
    SecurityInformation: int,
    lpSecurityDescriptor: SecurityDescriptor,
) -> None:
    """Write the parts of a descriptor that SecurityInformation names."""
    object_id, wanted = guid(lpObjectId, "lpObjectId"), kind(dwType)
    descriptor = check_descriptor(lpSecurityDescriptor)
    parts = _parts(hSession, SecurityInformation)
    if parts & (GROUP_SECURITY_INFORMATION | SACL_SECURITY_INFORMATION):
        raise InvalidParameterError("the descriptor has no group and no system list to write")
    owner = descriptor.owner if parts & OWNER_SECURITY_INFORMATION else None
    dacl = descriptor.dacl if parts & DACL_SECURITY_INFORMATION else None
    if (parts & OWNER_SECURITY_INFORMATION and owner is None) or (parts & DACL_SECURITY_INFORMATION and dacl is None):
        raise InvalidParameterError("the descriptor lacks a part that SecurityInformation names")
    hSession.acl.set(wanted, object_id, SecurityDescriptor(owner, dacl))


def _parts(session: Session, information: Any) -> int:
    parts = dword(information, "SecurityInformation")
    if not parts or parts & ~_DESCRIPTOR_PARTS:
        raise InvalidParameterError("SecurityInformation names owner, group, DACL or SACL")
    if parts & SACL_SECURITY_INFORMATION and not session.is_administrator():
        raise AccessDeniedError("only administrators may look at or write a system list")
    return parts
