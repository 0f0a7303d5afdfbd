"""Values of the Pythonic face as structures of the header, and back what may be written.

It reads and writes fields only; what a field may hold is the services' business.
"""

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from rsm import values
from rsm.constants import (
    NTMS_ALLOCATE_FROMSCRATCH,
    NTMS_DEALLOCATE_TOSCRATCH,
    NULL_GUID,
    NtmsPartitionState,
)
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.errors import InvalidParameterError
from rsm.ntmsapi.calls import dword, kind
from rsm.ntmsapi.structures import INFO_STRUCTURES, NTMS_OBJECTINFORMATION

_SIZE = NTMS_OBJECTINFORMATION().dwSize
_BUS = {"ScsiPort": "scsi_port", "ScsiBus": "scsi_bus", "ScsiTarget": "scsi_target", "ScsiLun": "scsi_lun"}
_MODEL = {"szVendor": "vendor", "szProduct": "product", "DeviceType": "device_type"}
_WHO = {"szApplication": "application", "szUser": "user", "szComputer": "computer"}

# Which field of the value each member of Info shows.
_MEMBERS: dict[Kind, dict[str, str]] = {
    Kind.NTMS_DRIVE: {
        "Number": "number",
        "State": "state",
        "DriveType": "drive_type",
        "szDeviceName": "path",
        "szSerialNumber": "serial_number",
        "szRevision": "revision",
        **_BUS,
        "dwMountCount": "mount_count",
        "LastCleanedTs": "last_cleaned",
        "SavedPartitionId": "loaded_side",
        "Library": "library",
        "dwDeferDismountDelay": "defer_dismount_seconds",
    },
    Kind.NTMS_DRIVE_TYPE: {**_MODEL, "NumberOfHeads": "heads"},
    Kind.NTMS_LIBRARY: {
        "LibraryType": "library_type",
        "CleanerSlot": "cleaner_slot",
        "CleanerSlotDefault": "default_cleaner_slot",
        "LibrarySupportsDriveCleaning": "supports_cleaning",
        "BarCodeReaderInstalled": "barcode_reader",
        "InventoryMethod": "inventory_method",
        "dwCleanerUsesRemaining": "cleaner_uses_remaining",
        "FirstDriveNumber": "first_drive",
        "dwNumberOfDrives": "drives",
        "FirstSlotNumber": "first_slot",
        "dwNumberOfSlots": "slots",
        "FirstDoorNumber": "first_door",
        "dwNumberOfDoors": "doors",
        "FirstPortNumber": "first_port",
        "dwNumberOfPorts": "ports",
        "FirstChangerNumber": "first_changer",
        "dwNumberOfChangers": "changers",
        "dwNumberOfMedia": "media",
        "dwNumberOfMediaTypes": "media_types",
        "dwNumberOfLibRequests": "requests",
        "AutoRecovery": "auto_recovery",
        "dwFlags": "flags",
    },
    Kind.NTMS_CHANGER: {
        "Number": "number",
        "ChangerType": "changer_type",
        "szSerialNumber": "serial_number",
        "szRevision": "revision",
        "szDeviceName": "path",
        **_BUS,
        "Library": "library",
    },
    Kind.NTMS_CHANGER_TYPE: _MODEL,
    Kind.NTMS_STORAGESLOT: {"Number": "number", "State": "state", "Library": "library"},
    Kind.NTMS_IEDOOR: {"Number": "number", "State": "state", "MaxOpenSecs": "max_open_seconds", "Library": "library"},
    Kind.NTMS_IEPORT: {
        "Number": "number",
        "Content": "content",
        "Position": "position",
        "MaxExtendSecs": "max_extend_seconds",
        "Library": "library",
    },
    Kind.NTMS_PHYSICAL_MEDIA: {
        "CurrentLibrary": "library",
        "MediaPool": "pool",
        "Location": "location",
        "LocationType": "location_type",
        "MediaType": "media_type",
        "HomeSlot": "home_slot",
        "szBarCode": "barcode",
        "BarCodeState": "barcode_state",
        "szSequenceNumber": "sequence_number",
        "MediaState": "media_state",
        "dwNumberOfPartitions": "sides",
        "dwMediaTypeCode": "medium_type_code",
        "dwDensityCode": "density_code",
        "MountedPartition": "mounted_side",
    },
    Kind.NTMS_LOGICAL_MEDIA: {"MediaPool": "pool", "dwNumberOfPartitions": "sides"},
    Kind.NTMS_PARTITION: {
        "PhysicalMedia": "medium",
        "LogicalMedia": "logical_medium",
        "State": "state",
        "Side": "number",
        "OmidLabelId": "label_id",
        "szOmidLabelType": "label_type",
        "szOmidLabelInfo": "label_info",
        "dwMountCount": "mount_count",
        "dwAllocateCount": "allocate_count",
        "Capacity": "capacity_bytes",
    },
    Kind.NTMS_MEDIA_POOL: {
        "PoolType": "pool_type",
        "MediaType": "media_type",
        "Parent": "parent",
        "AllocationPolicy": "allocate_from_free",
        "DeallocationPolicy": "deallocate_to_free",
        "dwMaxAllocates": "max_allocates",
        "dwNumberOfPhysicalMedia": "physical_media",
        "dwNumberOfLogicalMedia": "logical_media",
        "dwNumberOfMediaPools": "pools",
    },
    Kind.NTMS_MEDIA_TYPE: {
        "MediaType": "code",
        "NumberOfSides": "sides",
        "ReadWriteCharacteristics": "read_write",
        "DeviceType": "device_type",
    },
    Kind.NTMS_LIBREQUEST: {
        "OperationCode": "operation",
        "OperationOption": "operation_option",
        "State": "state",
        "PartitionId": "side",
        "DriveId": "drive",
        "PhysMediaId": "medium",
        "Library": "library",
        "SlotId": "slot",
        "TimeQueued": "queued",
        "TimeCompleted": "completed",
        **_WHO,
        "dwErrorCode": "error_code",
        "WorkItemId": "work_item",
        "dwPriority": "priority",
    },
    Kind.NTMS_OPREQUEST: {
        "Request": "request",
        "Submitted": "submitted",
        "State": "state",
        "szMessage": "message",
        "Arg1Type": "argument1_kind",
        "Arg1": "argument1",
        "Arg2Type": "argument2_kind",
        "Arg2": "argument2",
        **_WHO,
    },
    Kind.NTMS_COMPUTER: {
        "dwLibRequestPurgeTime": "library_request_purge_seconds",
        "dwOpRequestPurgeTime": "operator_request_purge_seconds",
        "dwLibRequestFlags": "library_request_flags",
        "dwOpRequestFlags": "operator_request_flags",
        "dwMediaPoolPolicy": "media_pool_policy",
    },
}

# Which members SetNtmsObjectInformation writes beside the description; szName is a member of the header.
_WRITTEN: dict[Kind, tuple[str, ...]] = {
    Kind.NTMS_COMPUTER: (
        "dwMediaPoolPolicy",
        "dwLibRequestFlags",
        "dwLibRequestPurgeTime",
        "dwOpRequestFlags",
        "dwOpRequestPurgeTime",
    ),
    Kind.NTMS_DRIVE: ("dwDeferDismountDelay",),
    Kind.NTMS_IEDOOR: ("MaxOpenSecs",),
    Kind.NTMS_IEPORT: ("MaxExtendSecs",),
    Kind.NTMS_LIBRARY: ("AutoRecovery", "dwCleanerUsesRemaining", "dwFlags", "InventoryMethod", "szName"),
    Kind.NTMS_LOGICAL_MEDIA: ("szName",),
    Kind.NTMS_MEDIA_POOL: ("AllocationPolicy", "DeallocationPolicy", "dwMaxAllocates", "MediaType", "szName"),
    Kind.NTMS_PARTITION: ("szName",),
    Kind.NTMS_PHYSICAL_MEDIA: ("szName",),
}


def checked_structure(info: Any, wanted: Kind | None = None) -> NTMS_OBJECTINFORMATION:
    """Return the structure if its size, type and Info belong together.

    Raises:
        InvalidParameterError: it is absent or none, dwSize or dwType is wrong, or Info is of another type.
    """
    if not isinstance(info, NTMS_OBJECTINFORMATION):
        raise InvalidParameterError("an NTMS_OBJECTINFORMATION is needed")
    if info.dwSize != _SIZE:
        raise InvalidParameterError(f"dwSize is {_SIZE}, not {info.dwSize!r}")
    known = kind(info.dwType)
    if wanted is not None and known is not wanted:
        raise InvalidParameterError(f"dwType is {wanted.name} here, not {known.name}")
    if known in INFO_STRUCTURES and not isinstance(info.Info, INFO_STRUCTURES[known]):
        raise InvalidParameterError(f"Info is not the structure that belongs to {known.name}")
    return info


def fill(info: NTMS_OBJECTINFORMATION, of_kind: Kind, value: values.Value) -> NTMS_OBJECTINFORMATION:
    """Store what the catalogue says of an object in a structure, and return it."""
    info.dwSize, info.dwType = _SIZE, int(of_kind)
    info.Created, info.Modified, info.ObjectGuid = value.created, value.modified, value.id
    info.Enabled, info.dwOperationalState = value.enabled, int(value.operational_state)
    info.szName, info.szDescription = value.name, value.description
    info.Info = INFO_STRUCTURES[of_kind]()
    for member, name in _MEMBERS[of_kind].items():
        shown = getattr(value, name)
        if shown is None and getattr(info.Info, member) == NULL_GUID:
            shown = NULL_GUID
        elif isinstance(shown, int) and not isinstance(getattr(info.Info, member), bool):
            shown = int(shown) & 0xFFFFFFFF if name == "priority" else int(shown)
        setattr(info.Info, member, shown)
    if of_kind is Kind.NTMS_PARTITION:
        info.Info.dwOmidLabelIdLength = len(info.Info.OmidLabelId)
    return info


def _flag(known: int) -> Callable[[Any, str], bool]:
    def convert(value: Any, name: str) -> bool:
        number = dword(value, name)
        if number & ~known:
            raise InvalidParameterError(f"{name} has a flag that it does not know: {number}")
        return bool(number)

    return convert


def _pool_media_type(value: Any, name: str) -> uuid.UUID | None:
    if not isinstance(value, uuid.UUID):
        raise InvalidParameterError(f"{name} is a uuid.UUID")
    return None if value == NULL_GUID else value


def _boolean(value: Any, name: str) -> bool:
    if not isinstance(value, int):
        raise InvalidParameterError(f"{name} is true or false")
    return bool(value)


_CONVERTED: Mapping[str, Callable[[Any, str], Any]] = {
    "AllocationPolicy": _flag(int(NTMS_ALLOCATE_FROMSCRATCH)),
    "DeallocationPolicy": _flag(int(NTMS_DEALLOCATE_TOSCRATCH)),
    "MediaType": _pool_media_type,
    "AutoRecovery": _boolean,
}


def writable(info: NTMS_OBJECTINFORMATION) -> dict[str, Any]:
    """Return the fields that SetNtmsObjectInformation writes, under the names of the value.

    Raises:
        InvalidParameterError: one of them has the wrong Python type, or is no number of its width.
    """
    of_kind = kind(info.dwType)
    changes: dict[str, Any] = {"description": _checked_text(info.szDescription, "szDescription")}
    for member in _WRITTEN.get(of_kind, ()):
        if member == "szName":
            changes["name"] = _checked_text(info.szName, member)
            continue
        convert: Callable[[Any, str], Any] = _CONVERTED.get(member, dword)
        changes[_MEMBERS[of_kind][member]] = convert(getattr(info.Info, member), member)
    return changes


def _checked_text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise InvalidParameterError(f"{name} is text")
    return value


def new_side(info: NTMS_OBJECTINFORMATION) -> values.NewSide:
    """Return a side to put on record as the structure describes it (CreateNtmsMedia).

    Raises:
        InvalidParameterError: a member has the wrong Python type, or the length of the label is none.
    """
    side = info.Info
    length = dword(side.dwOmidLabelIdLength, "dwOmidLabelIdLength")
    if not isinstance(side.OmidLabelId, bytes) or not 0 < length <= len(side.OmidLabelId):
        raise InvalidParameterError("dwOmidLabelIdLength tells how many bytes of OmidLabelId count, at least one")
    state = dword(side.State, "State")
    if state not in tuple(NtmsPartitionState):
        raise InvalidParameterError(f"{state} is no state of a side")
    if not isinstance(side.Capacity, int) or not 0 <= side.Capacity < 2**63:
        raise InvalidParameterError("Capacity is a number of bytes")
    return values.NewSide(
        label_type=_checked_text(side.szOmidLabelType, "szOmidLabelType"),
        label_id=side.OmidLabelId[:length],
        state=NtmsPartitionState(state),
        label_info=_checked_text(side.szOmidLabelInfo, "szOmidLabelInfo"),
        name=_checked_text(info.szName, "szName"),
        description=_checked_text(info.szDescription, "szDescription"),
        enabled=_boolean(info.Enabled, "Enabled"),
        mount_count=dword(side.dwMountCount, "dwMountCount"),
        allocate_count=dword(side.dwAllocateCount, "dwAllocateCount"),
        capacity_bytes=int(side.Capacity),
        id=given_id(info.ObjectGuid, "ObjectGuid"),
        logical_medium=given_id(side.LogicalMedia, "LogicalMedia"),
    )


def given_id(value: Any, name: str) -> uuid.UUID | None:
    """Return an id, None for the null GUID (InvalidParameterError)."""
    return _pool_media_type(value, name)


def new_medium(info: NTMS_OBJECTINFORMATION) -> dict[str, Any]:
    """Return what a cartridge is to be put on record with, beside pool and sides (CreateNtmsMedia).

    Raises:
        InvalidParameterError: a member has the wrong Python type.
    """
    medium = info.Info
    return {
        "barcode": _checked_text(medium.szBarCode, "szBarCode"),
        "name": _checked_text(info.szName, "szName"),
        "description": _checked_text(info.szDescription, "szDescription"),
        "enabled": _boolean(info.Enabled, "Enabled"),
        "medium_type_code": dword(medium.dwMediaTypeCode, "dwMediaTypeCode"),
        "density_code": dword(medium.dwDensityCode, "dwDensityCode"),
        "id": given_id(info.ObjectGuid, "ObjectGuid"),
        "library": given_id(medium.CurrentLibrary, "CurrentLibrary"),
    }
