"""What the Pythonic face returns: plain, immutable, picklable values, one class for each kind of object.

A value is a copy of what the catalogue said at one moment; nothing in it is lazy and nothing in it changes.
"""

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rsm.constants import (
    NtmsBarCodeState,
    NtmsDoorState,
    NtmsDriveState,
    NtmsInventoryMethod,
    NtmsLibraryFlags,
    NtmsLibraryType,
    NtmsLibRequestFlags,
    NtmsLmOperation,
    NtmsLmState,
    NtmsMediaPoolPolicy,
    NtmsMediaState,
    NtmsNotificationOperations,
    NtmsObjectsTypes,
    NtmsOperationalState,
    NtmsOpreqCommand,
    NtmsOpreqState,
    NtmsOpRequestFlags,
    NtmsPartitionState,
    NtmsPoolType,
    NtmsPortContent,
    NtmsPortPosition,
    NtmsReadWriteCharacteristics,
    NtmsSlotState,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """What every object carries. Times are aware datetimes in UTC."""

    id: uuid.UUID
    name: str
    description: str
    created: datetime
    modified: datetime
    enabled: bool
    operational_state: NtmsOperationalState


@dataclass(frozen=True, slots=True, kw_only=True)
class Computer(Value):
    """The machine, or group of machines, that shares the catalogue."""

    library_request_purge_seconds: int
    operator_request_purge_seconds: int
    library_request_flags: NtmsLibRequestFlags
    operator_request_flags: NtmsOpRequestFlags
    media_pool_policy: NtmsMediaPoolPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Library(Value):
    """A place for media together with its devices. Counts are of what it holds; `first_…` are the lowest numbers."""

    library_type: NtmsLibraryType
    cleaner_slot: uuid.UUID | None
    default_cleaner_slot: uuid.UUID | None
    supports_cleaning: bool
    barcode_reader: bool
    inventory_method: NtmsInventoryMethod
    cleaner_uses_remaining: int
    first_drive: int
    drives: int
    first_slot: int
    slots: int
    first_door: int
    doors: int
    first_port: int
    ports: int
    first_changer: int
    changers: int
    media: int
    media_types: int
    requests: int
    auto_recovery: bool
    flags: NtmsLibraryFlags


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangerType(Value):
    """Maker and product of a changer."""

    vendor: str
    product: str
    device_type: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Changer(Value):
    """The robot arm of a library. `path` is this host's path to it, empty where it has none."""

    library: uuid.UUID
    changer_type: uuid.UUID
    number: int
    serial_number: str
    revision: str
    path: str
    scsi_port: int
    scsi_bus: int
    scsi_target: int
    scsi_lun: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DriveType(Value):
    """Maker and product of a drive."""

    vendor: str
    product: str
    heads: int
    device_type: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive(Value):
    """A drive. `path` is this host's path to it, empty where it has none; `loaded_side` is the recorded side in it."""

    library: uuid.UUID
    drive_type: uuid.UUID
    number: int
    state: NtmsDriveState
    path: str
    serial_number: str
    revision: str
    scsi_port: int
    scsi_bus: int
    scsi_target: int
    scsi_lun: int
    mount_count: int
    last_cleaned: datetime | None
    loaded_side: uuid.UUID | None
    defer_dismount_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot(Value):
    """A storage cell."""

    library: uuid.UUID
    number: int
    state: NtmsSlotState


@dataclass(frozen=True, slots=True, kw_only=True)
class Door(Value):
    """An opening with free access to the inside of a library."""

    library: uuid.UUID
    number: int
    state: NtmsDoorState
    max_open_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Port(Value):
    """An import/export port."""

    library: uuid.UUID
    number: int
    content: NtmsPortContent
    position: NtmsPortPosition
    max_extend_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaType(Value):
    """A technology of cartridge. `device_type` is a FILE_DEVICE_TYPE."""

    code: int
    sides: int
    read_write: NtmsReadWriteCharacteristics
    device_type: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaPool(Value):
    """A pool of pools (no media type) or of media. `parent` is None at the top level; the last three are counts."""

    path: str
    pool_type: NtmsPoolType
    media_type: uuid.UUID | None
    parent: uuid.UUID | None
    allocate_from_free: bool
    deallocate_to_free: bool
    max_allocates: int
    physical_media: int
    logical_media: int
    pools: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PhysicalMedium(Value):
    """A cartridge. `location` is the slot, drive or port that holds it, None on the shelf; a `cleaner` has no sides."""

    pool: uuid.UUID
    library: uuid.UUID
    media_type: uuid.UUID
    location: uuid.UUID | None
    location_type: NtmsObjectsTypes
    home_slot: uuid.UUID | None
    barcode: str
    barcode_state: NtmsBarCodeState
    sequence_number: str
    media_state: NtmsMediaState
    sides: int
    medium_type_code: int
    density_code: int
    mounted_side: uuid.UUID | None
    cleaner: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Side(Value):
    """One recordable face of a cartridge, `number` 0 or 1."""

    medium: uuid.UUID
    logical_medium: uuid.UUID | None
    pool: uuid.UUID
    state: NtmsPartitionState
    number: int
    label_type: str
    label_id: bytes
    label_info: str
    mount_count: int
    allocate_count: int
    capacity_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogicalMedium(Value):
    """What an application got when a side was allocated. `medium` is the cartridge, `user` who allocated it."""

    pool: uuid.UUID
    side: uuid.UUID
    sides: int
    medium: uuid.UUID
    application: str
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """What came of an allocation. `source_pool` is the pool that the cartridge came from."""

    logical_medium: LogicalMedium
    source_pool: uuid.UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One side that an allocation looks at: what becomes of it, and why.

    `rank` tells how it is preferred, 1 first, None if it cannot be had now; of equal ones the lower id of a side wins.
    One side at most is `chosen`. `name` and `barcode` are the cartridge's.
    """

    medium: uuid.UUID
    name: str
    barcode: str
    side: uuid.UUID
    number: int
    pool: uuid.UUID
    rank: int | None
    chosen: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryRequest(Value):
    """A unit of work for a library. Ids of an ended one may name objects that are gone.

    `details` is what its kind of work needs or found: of an inventory how many cartridges it `found`, how many of them
    `appeared`, `returned`, `moved` or `vanished`, how many `problems` there were, and the first of each by name, as
    `appeared_names`.
    """

    operation: NtmsLmOperation
    operation_option: int
    state: NtmsLmState
    side: uuid.UUID | None
    drive: uuid.UUID | None
    medium: uuid.UUID | None
    library: uuid.UUID
    slot: uuid.UUID | None
    queued: datetime
    completed: datetime | None
    application: str
    user: str
    computer: str
    error_code: int
    work_item: uuid.UUID | None
    priority: int
    details: dict[str, Any] = field(hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """What is in a stand-alone drive: where its data is, where the system has it mounted, and what its label says.

    `mounted_at` is None where it is not mounted; the label is empty where no format knows it.
    """

    path: str
    mounted_at: str | None
    label_type: str
    label_id: bytes
    label_info: str
    barcode: str
    capacity_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestStep:
    """One step of a library request, `number` from 0: what the robot or a drive does, from where to where."""

    number: int
    work: str
    action: str
    state: NtmsLmState
    source: str | None
    destination: str | None
    started: datetime | None
    completed: datetime | None
    error_code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorRequest(Value):
    """Something a person must do."""

    request: NtmsOpreqCommand
    submitted: datetime
    state: NtmsOpreqState
    message: str
    argument1_kind: NtmsObjectsTypes
    argument1: uuid.UUID | None
    argument2_kind: NtmsObjectsTypes
    argument2: uuid.UUID | None
    application: str
    user: str
    computer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MapMount:
    """Who has a side in a drive. `dismountable_from` is set once they are done: the cartridge may be put away."""

    user: str
    application: str
    host: str
    for_writing: bool
    since: datetime
    dismountable_from: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MapCartridge:
    """A cartridge as it lies in a library. Who may not read it sees its id and bar code, and no pool or sides."""

    id: uuid.UUID
    barcode: str
    name: str
    pool: str
    media_type: str
    media_state: NtmsMediaState | None
    enabled: bool
    sides: tuple[NtmsPartitionState, ...]
    mount: MapMount | None
    cleaner: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MapPlace:
    """A slot, drive or port and what is recorded as lying in it; `state` is that of its kind."""

    kind: NtmsObjectsTypes
    id: uuid.UUID
    number: int
    name: str
    enabled: bool
    operational_state: NtmsOperationalState
    state: NtmsSlotState | NtmsDriveState | NtmsPortContent
    cartridge: MapCartridge | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryMap:
    """A library with all its places at one moment, each kind by number."""

    library: Library
    slots: tuple[MapPlace, ...]
    drives: tuple[MapPlace, ...]
    ports: tuple[MapPlace, ...]


@dataclass(frozen=True, slots=True)
class NewSide:
    """One side of a cartridge to be put on record.

    `label_id` is 1 to 255 bytes. `id` and `logical_medium` are the ids to give, None for new ones; a logical medium is
    made for a side that is allocated or complete.
    """

    label_type: str
    label_id: bytes
    state: NtmsPartitionState = NtmsPartitionState.NTMS_PARTSTATE_IMPORT
    label_info: str = ""
    name: str = ""
    description: str = ""
    enabled: bool = True
    mount_count: int = 0
    allocate_count: int = 0
    capacity_bytes: int = 0
    id: uuid.UUID | None = None
    logical_medium: uuid.UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change of one object: who, when, through which call, and what was before and after."""

    id: int
    at: datetime
    operation: NtmsNotificationOperations
    kind: NtmsObjectsTypes
    object: uuid.UUID
    call: str
    user: str
    application: str
    session: uuid.UUID
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: str
