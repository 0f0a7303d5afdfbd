"""The structures of the NTMS interface, as mutable dataclasses with the names and the fields of the header, in order.

Owns their shape: GUIDs are `uuid.UUID`, text is `str`, times are `datetime` in UTC or None for never, and everything
starts out as zero, empty or null. Annotations keep what the header says besides: the width of a number, the array
length of text (in UTF-16 units, with the ending NUL) and of bytes; `dataclasses.fields` shows them, so that the calls
can tell what fits. A misspelt field is an AttributeError. It never reads a catalogue and checks no value.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

from rsm.constants import (
    NTMS_APPLICATIONNAME_LENGTH,
    NTMS_BARCODE_LENGTH,
    NTMS_COMPUTERNAME_LENGTH,
    NTMS_DESCRIPTION_LENGTH,
    NTMS_DEVICENAME_LENGTH,
    NTMS_I1_MESSAGE_LENGTH,
    NTMS_MESSAGE_LENGTH,
    NTMS_OBJECTNAME_LENGTH,
    NTMS_OMIDLABELID_LENGTH,
    NTMS_OMIDLABELINFO_LENGTH,
    NTMS_OMIDLABELTYPE_LENGTH,
    NTMS_PRODUCTNAME_LENGTH,
    NTMS_REVISION_LENGTH,
    NTMS_SEQUENCE_LENGTH,
    NTMS_SERIALNUMBER_LENGTH,
    NTMS_USERNAME_LENGTH,
    NTMS_VENDORNAME_LENGTH,
    NTMSMLI_MAXAPPDESCR,
    NTMSMLI_MAXIDSIZE,
    NTMSMLI_MAXTYPE,
    NULL_GUID,
    NtmsObjectsTypes,
)

__all__ = [
    "INFO_STRUCTURES",
    "NTMS_ALLOCATION_INFORMATION",
    "NTMS_ASYNC_IO",
    "NTMS_CHANGERINFORMATION",
    "NTMS_CHANGERINFORMATIONA",
    "NTMS_CHANGERINFORMATIONW",
    "NTMS_CHANGERTYPEINFORMATION",
    "NTMS_CHANGERTYPEINFORMATIONA",
    "NTMS_CHANGERTYPEINFORMATIONW",
    "NTMS_COMPUTERINFORMATION",
    "NTMS_DRIVEINFORMATION",
    "NTMS_DRIVEINFORMATIONA",
    "NTMS_DRIVEINFORMATIONW",
    "NTMS_DRIVETYPEINFORMATION",
    "NTMS_DRIVETYPEINFORMATIONA",
    "NTMS_DRIVETYPEINFORMATIONW",
    "NTMS_FILESYSTEM_INFO",
    "NTMS_GUID",
    "NTMS_I1_LIBRARYINFORMATION",
    "NTMS_I1_LIBREQUESTINFORMATION",
    "NTMS_I1_LIBREQUESTINFORMATIONA",
    "NTMS_I1_LIBREQUESTINFORMATIONW",
    "NTMS_I1_OBJECTINFORMATION",
    "NTMS_I1_OBJECTINFORMATIONA",
    "NTMS_I1_OBJECTINFORMATIONW",
    "NTMS_I1_OPREQUESTINFORMATION",
    "NTMS_I1_OPREQUESTINFORMATIONA",
    "NTMS_I1_OPREQUESTINFORMATIONW",
    "NTMS_I1_PARTITIONINFORMATION",
    "NTMS_I1_PARTITIONINFORMATIONA",
    "NTMS_I1_PARTITIONINFORMATIONW",
    "NTMS_I1_PMIDINFORMATION",
    "NTMS_I1_PMIDINFORMATIONA",
    "NTMS_I1_PMIDINFORMATIONW",
    "NTMS_IEDOORINFORMATION",
    "NTMS_IEPORTINFORMATION",
    "NTMS_LIBRARYINFORMATION",
    "NTMS_LIBREQUESTINFORMATION",
    "NTMS_LIBREQUESTINFORMATIONA",
    "NTMS_LIBREQUESTINFORMATIONW",
    "NTMS_LMIDINFORMATION",
    "NTMS_MEDIAPOOLINFORMATION",
    "NTMS_MEDIATYPEINFORMATION",
    "NTMS_MOUNT_INFORMATION",
    "NTMS_NOTIFICATIONINFORMATION",
    "NTMS_OBJECTINFORMATION",
    "NTMS_OBJECTINFORMATIONA",
    "NTMS_OBJECTINFORMATIONW",
    "NTMS_OPREQUESTINFORMATION",
    "NTMS_OPREQUESTINFORMATIONA",
    "NTMS_OPREQUESTINFORMATIONW",
    "NTMS_PARTITIONINFORMATION",
    "NTMS_PARTITIONINFORMATIONA",
    "NTMS_PARTITIONINFORMATIONW",
    "NTMS_PMIDINFORMATION",
    "NTMS_PMIDINFORMATIONA",
    "NTMS_PMIDINFORMATIONW",
    "NTMS_STORAGESLOTINFORMATION",
    "RSM_MESSAGE",
    "SYSTEMTIME",
    "MediaLabelInfo",
]

NTMS_GUID = UUID
SYSTEMTIME = datetime
DWORD = Annotated[int, "DWORD"]
WORD = Annotated[int, "WORD"]
LARGE_INTEGER = Annotated[int, "LARGE_INTEGER"]
LPGUID = Annotated[UUID, "LPGUID"]


@dataclass(slots=True)
class NTMS_DRIVEINFORMATION:
    """A drive."""

    Number: DWORD = 0
    State: DWORD = 0
    DriveType: NTMS_GUID = NULL_GUID
    szDeviceName: Annotated[str, NTMS_DEVICENAME_LENGTH] = ""
    szSerialNumber: Annotated[str, NTMS_SERIALNUMBER_LENGTH] = ""
    szRevision: Annotated[str, NTMS_REVISION_LENGTH] = ""
    ScsiPort: WORD = 0
    ScsiBus: WORD = 0
    ScsiTarget: WORD = 0
    ScsiLun: WORD = 0
    dwMountCount: DWORD = 0
    LastCleanedTs: SYSTEMTIME | None = None
    SavedPartitionId: NTMS_GUID = NULL_GUID
    Library: NTMS_GUID = NULL_GUID
    Reserved: NTMS_GUID = NULL_GUID
    dwDeferDismountDelay: DWORD = 0


@dataclass(slots=True)
class NTMS_DRIVETYPEINFORMATION:
    """A model of drives."""

    szVendor: Annotated[str, NTMS_VENDORNAME_LENGTH] = ""
    szProduct: Annotated[str, NTMS_PRODUCTNAME_LENGTH] = ""
    NumberOfHeads: DWORD = 0
    DeviceType: DWORD = 0


@dataclass(slots=True)
class NTMS_I1_LIBRARYINFORMATION:
    """A library, as the first version of the interface had it."""

    LibraryType: DWORD = 0
    CleanerSlot: NTMS_GUID = NULL_GUID
    CleanerSlotDefault: NTMS_GUID = NULL_GUID
    LibrarySupportsDriveCleaning: bool = False
    BarCodeReaderInstalled: bool = False
    InventoryMethod: DWORD = 0
    dwCleanerUsesRemaining: DWORD = 0
    FirstDriveNumber: DWORD = 0
    dwNumberOfDrives: DWORD = 0
    FirstSlotNumber: DWORD = 0
    dwNumberOfSlots: DWORD = 0
    FirstDoorNumber: DWORD = 0
    dwNumberOfDoors: DWORD = 0
    FirstPortNumber: DWORD = 0
    dwNumberOfPorts: DWORD = 0
    FirstChangerNumber: DWORD = 0
    dwNumberOfChangers: DWORD = 0
    dwNumberOfMedia: DWORD = 0
    dwNumberOfMediaTypes: DWORD = 0
    dwNumberOfLibRequests: DWORD = 0
    Reserved: NTMS_GUID = NULL_GUID


@dataclass(slots=True)
class NTMS_LIBRARYINFORMATION(NTMS_I1_LIBRARYINFORMATION):
    """A library; of the offline library LibraryType and dwNumberOfMedia alone mean anything."""

    AutoRecovery: bool = False
    dwFlags: DWORD = 0


@dataclass(slots=True)
class NTMS_CHANGERINFORMATION:
    """A robot."""

    Number: DWORD = 0
    ChangerType: NTMS_GUID = NULL_GUID
    szSerialNumber: Annotated[str, NTMS_SERIALNUMBER_LENGTH] = ""
    szRevision: Annotated[str, NTMS_REVISION_LENGTH] = ""
    szDeviceName: Annotated[str, NTMS_DEVICENAME_LENGTH] = ""
    ScsiPort: WORD = 0
    ScsiBus: WORD = 0
    ScsiTarget: WORD = 0
    ScsiLun: WORD = 0
    Library: NTMS_GUID = NULL_GUID


@dataclass(slots=True)
class NTMS_CHANGERTYPEINFORMATION:
    """A model of robots."""

    szVendor: Annotated[str, NTMS_VENDORNAME_LENGTH] = ""
    szProduct: Annotated[str, NTMS_PRODUCTNAME_LENGTH] = ""
    DeviceType: DWORD = 0


@dataclass(slots=True)
class NTMS_STORAGESLOTINFORMATION:
    """A slot."""

    Number: DWORD = 0
    State: DWORD = 0
    Library: NTMS_GUID = NULL_GUID


@dataclass(slots=True)
class NTMS_IEDOORINFORMATION:
    """A door."""

    Number: DWORD = 0
    State: DWORD = 0
    MaxOpenSecs: WORD = 0
    Library: NTMS_GUID = NULL_GUID


@dataclass(slots=True)
class NTMS_IEPORTINFORMATION:
    """A port."""

    Number: DWORD = 0
    Content: DWORD = 0
    Position: DWORD = 0
    MaxExtendSecs: WORD = 0
    Library: NTMS_GUID = NULL_GUID


@dataclass(slots=True)
class NTMS_I1_PMIDINFORMATION:
    """A cartridge, as the first version had it."""

    CurrentLibrary: NTMS_GUID = NULL_GUID
    MediaPool: NTMS_GUID = NULL_GUID
    Location: NTMS_GUID = NULL_GUID
    LocationType: DWORD = 0
    MediaType: NTMS_GUID = NULL_GUID
    HomeSlot: NTMS_GUID = NULL_GUID
    szBarCode: Annotated[str, NTMS_BARCODE_LENGTH] = ""
    BarCodeState: DWORD = 0
    szSequenceNumber: Annotated[str, NTMS_SEQUENCE_LENGTH] = ""
    MediaState: DWORD = 0
    dwNumberOfPartitions: DWORD = 0


@dataclass(slots=True)
class NTMS_PMIDINFORMATION(NTMS_I1_PMIDINFORMATION):
    """A cartridge."""

    dwMediaTypeCode: DWORD = 0
    dwDensityCode: DWORD = 0
    MountedPartition: NTMS_GUID = NULL_GUID


@dataclass(slots=True)
class NTMS_LMIDINFORMATION:
    """A logical medium."""

    MediaPool: NTMS_GUID = NULL_GUID
    dwNumberOfPartitions: DWORD = 0


@dataclass(slots=True)
class NTMS_I1_PARTITIONINFORMATION:
    """A side, as the first version had it."""

    PhysicalMedia: NTMS_GUID = NULL_GUID
    LogicalMedia: NTMS_GUID = NULL_GUID
    State: DWORD = 0
    Side: WORD = 0
    dwOmidLabelIdLength: DWORD = 0
    OmidLabelId: Annotated[bytes, NTMS_OMIDLABELID_LENGTH] = b""
    szOmidLabelType: Annotated[str, NTMS_OMIDLABELTYPE_LENGTH] = ""
    szOmidLabelInfo: Annotated[str, NTMS_OMIDLABELINFO_LENGTH] = ""
    dwMountCount: DWORD = 0
    dwAllocateCount: DWORD = 0


@dataclass(slots=True)
class NTMS_PARTITIONINFORMATION(NTMS_I1_PARTITIONINFORMATION):
    """A side."""

    Capacity: LARGE_INTEGER = 0


@dataclass(slots=True)
class NTMS_MEDIAPOOLINFORMATION:
    """A pool."""

    PoolType: DWORD = 0
    MediaType: NTMS_GUID = NULL_GUID
    Parent: NTMS_GUID = NULL_GUID
    AllocationPolicy: DWORD = 0
    DeallocationPolicy: DWORD = 0
    dwMaxAllocates: DWORD = 0
    dwNumberOfPhysicalMedia: DWORD = 0
    dwNumberOfLogicalMedia: DWORD = 0
    dwNumberOfMediaPools: DWORD = 0


@dataclass(slots=True)
class NTMS_MEDIATYPEINFORMATION:
    """A kind of media."""

    MediaType: DWORD = 0
    NumberOfSides: DWORD = 0
    ReadWriteCharacteristics: DWORD = 0
    DeviceType: DWORD = 0


@dataclass(slots=True)
class NTMS_I1_LIBREQUESTINFORMATION:
    """A library request, as the first version had it."""

    OperationCode: DWORD = 0
    OperationOption: DWORD = 0
    State: DWORD = 0
    PartitionId: NTMS_GUID = NULL_GUID
    DriveId: NTMS_GUID = NULL_GUID
    PhysMediaId: NTMS_GUID = NULL_GUID
    Library: NTMS_GUID = NULL_GUID
    SlotId: NTMS_GUID = NULL_GUID
    TimeQueued: SYSTEMTIME | None = None
    TimeCompleted: SYSTEMTIME | None = None
    szApplication: Annotated[str, NTMS_APPLICATIONNAME_LENGTH] = ""
    szUser: Annotated[str, NTMS_USERNAME_LENGTH] = ""
    szComputer: Annotated[str, NTMS_COMPUTERNAME_LENGTH] = ""


@dataclass(slots=True)
class NTMS_LIBREQUESTINFORMATION(NTMS_I1_LIBREQUESTINFORMATION):
    """A library request; ids in an ended one may name objects that are gone."""

    dwErrorCode: DWORD = 0
    WorkItemId: NTMS_GUID = NULL_GUID
    dwPriority: DWORD = 0


@dataclass(slots=True)
class NTMS_I1_OPREQUESTINFORMATION:
    """An operator request, as the first version had it: a shorter szMessage."""

    Request: DWORD = 0
    Submitted: SYSTEMTIME | None = None
    State: DWORD = 0
    szMessage: Annotated[str, NTMS_I1_MESSAGE_LENGTH] = ""
    Arg1Type: DWORD = 0
    Arg1: NTMS_GUID = NULL_GUID
    Arg2Type: DWORD = 0
    Arg2: NTMS_GUID = NULL_GUID
    szApplication: Annotated[str, NTMS_APPLICATIONNAME_LENGTH] = ""
    szUser: Annotated[str, NTMS_USERNAME_LENGTH] = ""
    szComputer: Annotated[str, NTMS_COMPUTERNAME_LENGTH] = ""


@dataclass(slots=True)
class NTMS_OPREQUESTINFORMATION(NTMS_I1_OPREQUESTINFORMATION):
    """An operator request."""

    szMessage: Annotated[str, NTMS_MESSAGE_LENGTH] = ""


@dataclass(slots=True)
class NTMS_COMPUTERINFORMATION:
    """The settings of the server."""

    dwLibRequestPurgeTime: DWORD = 0
    dwOpRequestPurgeTime: DWORD = 0
    dwLibRequestFlags: DWORD = 0
    dwOpRequestFlags: DWORD = 0
    dwMediaPoolPolicy: DWORD = 0


@dataclass(slots=True)
class NTMS_ALLOCATION_INFORMATION:
    """What AllocateNtmsMedia tells besides the medium."""

    dwSize: DWORD = 32
    lpReserved: object = None
    AllocatedFrom: NTMS_GUID = NULL_GUID


@dataclass(slots=True)
class NTMS_MOUNT_INFORMATION:
    """The reserved argument of MountNtmsMedia."""

    dwSize: DWORD = 16
    lpReserved: object = None


@dataclass(slots=True)
class NTMS_NOTIFICATIONINFORMATION:
    """What WaitForNtmsNotification reports."""

    dwOperation: DWORD = 0
    ObjectId: NTMS_GUID = NULL_GUID


@dataclass(slots=True)
class NTMS_FILESYSTEM_INFO:
    """Label data of a file system, for UpdateNtmsOmidInfo."""

    FileSystemType: Annotated[str, 64] = ""
    VolumeName: Annotated[str, 256] = ""
    SerialNumber: DWORD = 0


@dataclass(slots=True)
class NTMS_ASYNC_IO:
    """The state of an asynchronous call."""

    OperationId: NTMS_GUID = NULL_GUID
    EventId: NTMS_GUID = NULL_GUID
    dwOperationType: DWORD = 0
    dwResult: DWORD = 0
    dwAsyncState: DWORD = 0
    hEvent: object = None
    bOnStateChange: bool = False


@dataclass(slots=True)
class RSM_MESSAGE:
    """A message to an operator."""

    lpguidOperation: LPGUID = NULL_GUID
    dwNtmsType: DWORD = 0
    dwState: DWORD = 0
    dwFlags: DWORD = 0
    dwPriority: DWORD = 0
    dwErrorCode: DWORD = 0
    lpszComputerName: str = ""
    lpszApplication: str = ""
    lpszUser: str = ""
    lpszTimeSubmitted: str = ""
    lpszMessage: str = ""


@dataclass(slots=True)
class MediaLabelInfo:
    """What a label format recognised on a medium (ntmsmli.h)."""

    LabelType: Annotated[str, NTMSMLI_MAXTYPE] = ""
    LabelIDSize: DWORD = 0
    LabelID: Annotated[bytes, NTMSMLI_MAXIDSIZE] = b""
    LabelAppDescr: Annotated[str, NTMSMLI_MAXAPPDESCR] = ""


INFO_STRUCTURES: dict[NtmsObjectsTypes, type[Any]] = {
    NtmsObjectsTypes.NTMS_DRIVE: NTMS_DRIVEINFORMATION,
    NtmsObjectsTypes.NTMS_DRIVE_TYPE: NTMS_DRIVETYPEINFORMATION,
    NtmsObjectsTypes.NTMS_LIBRARY: NTMS_LIBRARYINFORMATION,
    NtmsObjectsTypes.NTMS_CHANGER: NTMS_CHANGERINFORMATION,
    NtmsObjectsTypes.NTMS_CHANGER_TYPE: NTMS_CHANGERTYPEINFORMATION,
    NtmsObjectsTypes.NTMS_STORAGESLOT: NTMS_STORAGESLOTINFORMATION,
    NtmsObjectsTypes.NTMS_IEDOOR: NTMS_IEDOORINFORMATION,
    NtmsObjectsTypes.NTMS_IEPORT: NTMS_IEPORTINFORMATION,
    NtmsObjectsTypes.NTMS_PHYSICAL_MEDIA: NTMS_PMIDINFORMATION,
    NtmsObjectsTypes.NTMS_LOGICAL_MEDIA: NTMS_LMIDINFORMATION,
    NtmsObjectsTypes.NTMS_PARTITION: NTMS_PARTITIONINFORMATION,
    NtmsObjectsTypes.NTMS_MEDIA_POOL: NTMS_MEDIAPOOLINFORMATION,
    NtmsObjectsTypes.NTMS_MEDIA_TYPE: NTMS_MEDIATYPEINFORMATION,
    NtmsObjectsTypes.NTMS_LIBREQUEST: NTMS_LIBREQUESTINFORMATION,
    NtmsObjectsTypes.NTMS_OPREQUEST: NTMS_OPREQUESTINFORMATION,
    NtmsObjectsTypes.NTMS_COMPUTER: NTMS_COMPUTERINFORMATION,
}

_I1_INFO_STRUCTURES: dict[NtmsObjectsTypes, type[Any]] = {
    **{kind: structure for kind, structure in INFO_STRUCTURES.items() if kind is not NtmsObjectsTypes.NTMS_COMPUTER},
    NtmsObjectsTypes.NTMS_LIBRARY: NTMS_I1_LIBRARYINFORMATION,
    NtmsObjectsTypes.NTMS_LIBREQUEST: NTMS_I1_LIBREQUESTINFORMATION,
    NtmsObjectsTypes.NTMS_PHYSICAL_MEDIA: NTMS_I1_PMIDINFORMATION,
    NtmsObjectsTypes.NTMS_PARTITION: NTMS_I1_PARTITIONINFORMATION,
    NtmsObjectsTypes.NTMS_OPREQUEST: NTMS_I1_OPREQUESTINFORMATION,
}


@dataclass(slots=True)
class NTMS_I1_OBJECTINFORMATION:
    """An object, as the first version of the interface had it: no computers, and the NTMS_I1 structures as Info."""

    dwSize: DWORD = 1396
    dwType: DWORD = NtmsObjectsTypes.NTMS_UNKNOWN
    Created: SYSTEMTIME | None = None
    Modified: SYSTEMTIME | None = None
    ObjectGuid: NTMS_GUID = NULL_GUID
    Enabled: bool = False
    dwOperationalState: DWORD = 0
    szName: Annotated[str, NTMS_OBJECTNAME_LENGTH] = ""
    szDescription: Annotated[str, NTMS_DESCRIPTION_LENGTH] = ""
    # A union told apart by dwType, which no type checker can follow: any of the structures above.
    Info: Any = None

    _structures: ClassVar[dict[NtmsObjectsTypes, type[Any]]] = _I1_INFO_STRUCTURES

    def __post_init__(self) -> None:
        if self.Info is None and self.dwType in self._structures:
            self.Info = self._structures[NtmsObjectsTypes(self.dwType)]()


@dataclass(slots=True)
class NTMS_OBJECTINFORMATION(NTMS_I1_OBJECTINFORMATION):
    """An object: what all kinds share, and in Info the structure that belongs to dwType, made fresh if left out."""

    dwSize: DWORD = 1408

    _structures: ClassVar[dict[NtmsObjectsTypes, type[Any]]] = INFO_STRUCTURES


# Text is str in both forms, so the A and the W structures are one.
NTMS_OBJECTINFORMATIONA = NTMS_OBJECTINFORMATION
NTMS_OBJECTINFORMATIONW = NTMS_OBJECTINFORMATION
NTMS_DRIVEINFORMATIONA = NTMS_DRIVEINFORMATION
NTMS_DRIVEINFORMATIONW = NTMS_DRIVEINFORMATION
NTMS_DRIVETYPEINFORMATIONA = NTMS_DRIVETYPEINFORMATION
NTMS_DRIVETYPEINFORMATIONW = NTMS_DRIVETYPEINFORMATION
NTMS_CHANGERINFORMATIONA = NTMS_CHANGERINFORMATION
NTMS_CHANGERINFORMATIONW = NTMS_CHANGERINFORMATION
NTMS_CHANGERTYPEINFORMATIONA = NTMS_CHANGERTYPEINFORMATION
NTMS_CHANGERTYPEINFORMATIONW = NTMS_CHANGERTYPEINFORMATION
NTMS_PMIDINFORMATIONA = NTMS_PMIDINFORMATION
NTMS_PMIDINFORMATIONW = NTMS_PMIDINFORMATION
NTMS_PARTITIONINFORMATIONA = NTMS_PARTITIONINFORMATION
NTMS_PARTITIONINFORMATIONW = NTMS_PARTITIONINFORMATION
NTMS_LIBREQUESTINFORMATIONA = NTMS_LIBREQUESTINFORMATION
NTMS_LIBREQUESTINFORMATIONW = NTMS_LIBREQUESTINFORMATION
NTMS_OPREQUESTINFORMATIONA = NTMS_OPREQUESTINFORMATION
NTMS_OPREQUESTINFORMATIONW = NTMS_OPREQUESTINFORMATION
NTMS_I1_LIBREQUESTINFORMATIONA = NTMS_I1_LIBREQUESTINFORMATION
NTMS_I1_LIBREQUESTINFORMATIONW = NTMS_I1_LIBREQUESTINFORMATION
NTMS_I1_PMIDINFORMATIONA = NTMS_I1_PMIDINFORMATION
NTMS_I1_PMIDINFORMATIONW = NTMS_I1_PMIDINFORMATION
NTMS_I1_PARTITIONINFORMATIONA = NTMS_I1_PARTITIONINFORMATION
NTMS_I1_PARTITIONINFORMATIONW = NTMS_I1_PARTITIONINFORMATION
NTMS_I1_OPREQUESTINFORMATIONA = NTMS_I1_OPREQUESTINFORMATION
NTMS_I1_OPREQUESTINFORMATIONW = NTMS_I1_OPREQUESTINFORMATION
NTMS_I1_OBJECTINFORMATIONA = NTMS_I1_OBJECTINFORMATION
NTMS_I1_OBJECTINFORMATIONW = NTMS_I1_OBJECTINFORMATION
