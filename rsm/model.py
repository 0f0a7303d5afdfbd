"""The whole schema on one page: column types, naming convention and every table, for SQLite and PostgreSQL alike.

It owns the shape of a catalogue and what the database refuses by itself. It never opens a database and never decides:
services do. Tables change only by a revision in `migrations/versions`; a test holds both against each other.

Every object that has an id is a row of `object` (id and kind), and its own table refers to that row. Access control
entries and attributes refer to it too, so deleting the one row deletes all that belongs to an object, and an id can
never name two things. What must outlive it (media in a pool, a logical medium on a side) refers with RESTRICT.
"""

import enum
import json
import json.encoder
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy import Text as SqlText
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator, TypeEngine

from rsm.constants import (
    NtmsBarCodeState,
    NtmsDoorState,
    NtmsDriveState,
    NtmsInventoryMethod,
    NtmsLibraryType,
    NtmsLmOperation,
    NtmsLmState,
    NtmsMediaState,
    NtmsNotificationOperations,
    NtmsObjectsTypes,
    NtmsOperationalState,
    NtmsOpreqCommand,
    NtmsOpreqState,
    NtmsPartitionState,
    NtmsPoolType,
    NtmsPortContent,
    NtmsPortPosition,
    NtmsReadWriteCharacteristics,
    NtmsSlotState,
    NtmsUITypes,
)
from rsm.identity import id_of_bytes

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def _plain(value: Any) -> Any:
    """Return what JSON has no form for as it is written: ids as text, times as ISO 8601, bytes in hexadecimal."""
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, enum.Enum):
        return value.value
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _make_encoder() -> Callable[[Any], str]:
    """Return what writes a document; a JSONEncoder makes its inner one, in C, anew for each."""
    encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_plain, check_circular=False)
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    try:
        pieces = make(None, _plain, json.encoder.encode_basestring, None, ":", ",", False, False, True)
    except TypeError:  # there is none, or it wants something else
        return encoder.encode
    return lambda document: "".join(pieces(document, 0))


_encode = _make_encoder()

OFFLINE = int(NtmsLibraryType.NTMS_LIBRARYTYPE_OFFLINE)
STANDALONE = int(NtmsLibraryType.NTMS_LIBRARYTYPE_STANDALONE)
AVAILABLE = int(NtmsPartitionState.NTMS_PARTSTATE_AVAILABLE)


class Id(TypeDecorator[uuid.UUID]):
    """A UUID: 16 bytes on SQLite, uuid on PostgreSQL.

    Our types have `to_sqlite` and `from_sqlite` where a value is not the driver's own: compiled statements run them
    directly, the second for no NULL, without what SQLAlchemy would put around them. `to_sqlite_inline` is the first in
    words, for what each statement needs often.
    """

    impl = LargeBinary
    cache_ok = True
    to_sqlite_inline = 'value.int.to_bytes(16, "big")'

    @staticmethod
    def to_sqlite(value: uuid.UUID | None) -> bytes | None:
        return None if value is None else value.int.to_bytes(16, "big")

    from_sqlite = staticmethod(id_of_bytes)

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Uuid() if dialect.name == "postgresql" else LargeBinary(16))

    def process_bind_param(self, value: uuid.UUID | None, dialect: Dialect) -> Any:
        return value if dialect.name == "postgresql" else self.to_sqlite(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> uuid.UUID | None:
        return value if value is None or dialect.name == "postgresql" else self.from_sqlite(value)


class Text(TypeDecorator[str]):
    """Text that compares byte for byte on both databases."""

    impl = SqlText
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return SqlText(collation="C") if dialect.name == "postgresql" else SqlText()


class Int(TypeDecorator[int]):
    """A 64-bit number."""

    impl = BigInteger
    cache_ok = True
    from_sqlite = None
    to_sqlite_inline = "int(value)"

    @staticmethod
    def to_sqlite(value: int | None) -> int | None:
        return None if value is None else int(value)  # enum members are plain numbers to a driver

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(BigInteger() if dialect.name == "postgresql" else Integer())

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:
        return self.to_sqlite(value)


class Flag(TypeDecorator[bool]):
    """True or false as 1 or 0, so that one partial index serves both databases."""

    impl = Integer
    cache_ok = True
    to_sqlite_inline = "int(value)"

    @staticmethod
    def to_sqlite(value: bool | None) -> int | None:
        return None if value is None else int(value)

    from_sqlite = bool

    def process_bind_param(self, value: bool | None, dialect: Dialect) -> int | None:
        return self.to_sqlite(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> bool | None:
        return None if value is None else bool(value)


class Instant(TypeDecorator[datetime]):
    """A moment in UTC as microseconds since 1970, exact at both ends of the calendar."""

    impl = BigInteger
    cache_ok = True

    @staticmethod
    def to_sqlite(value: datetime | None) -> int | None:
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    @staticmethod
    def from_sqlite(value: int) -> datetime:
        return _EPOCH + timedelta(microseconds=value)

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(BigInteger() if dialect.name == "postgresql" else Integer())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return self.to_sqlite(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else self.from_sqlite(value)


class Json(TypeDecorator[dict[str, Any]]):
    """A small document as JSON text, the same bytes on both databases."""

    impl = SqlText
    cache_ok = True

    @staticmethod
    def to_sqlite(value: dict[str, Any] | None) -> str | None:
        return None if value is None else _encode(value)

    from_sqlite = staticmethod(json.loads)

    def process_bind_param(self, value: dict[str, Any] | None, dialect: Dialect) -> str | None:
        return self.to_sqlite(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


class Bytes(TypeDecorator[bytes]):
    """Bytes as they came."""

    impl = LargeBinary
    cache_ok = True
    to_sqlite = from_sqlite = None

    def process_result_value(self, value: Any, dialect: Dialect) -> bytes | None:
        return None if value is None else bytes(value)


class Base(DeclarativeBase):
    """What every table shares: our column types and names for every constraint."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        uuid.UUID: Id,
        str: Text,
        int: Int,
        bool: Flag,
        datetime: Instant,
        bytes: Bytes,
        dict[str, Any]: Json,
    }


def within(column: str, states: type[enum.IntEnum], *, extra: Iterable[int] = ()) -> CheckConstraint:
    """Refuse every value of `column` that is not a member of `states`."""
    members = sorted({int(state) for state in states} | set(extra))
    return CheckConstraint(f"{column} IN ({', '.join(map(str, members))})", name=column)


class Object(Base):
    """Every id there is, and the kind of thing it names."""

    __tablename__ = "object"
    __table_args__ = (within("kind", NtmsObjectsTypes),)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    kind: Mapped[int]


class Header:
    """What every object carries (NTMS_OBJECTINFORMATION)."""

    id: Mapped[uuid.UUID] = mapped_column(ForeignKey("object.id", ondelete="CASCADE"), primary_key=True, sort_order=-9)
    name: Mapped[str] = mapped_column(sort_order=-8)
    description: Mapped[str] = mapped_column(sort_order=-7)
    created: Mapped[datetime] = mapped_column(sort_order=-6)
    modified: Mapped[datetime] = mapped_column(sort_order=-5)
    enabled: Mapped[bool] = mapped_column(sort_order=-4)
    operational_state: Mapped[int] = mapped_column(sort_order=-3)


class Catalogue(Base):
    """The one row about the catalogue itself. Its columns are read before versions are compared, so they only grow."""

    __tablename__ = "catalogue"
    __table_args__ = (
        CheckConstraint("id = 1", name="single"),
        CheckConstraint("access_era IN (2000, 2003)", name="era"),
    )
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    revision: Mapped[int]
    min_reader: Mapped[int]
    min_writer: Mapped[int]
    access_era: Mapped[int]
    creator: Mapped[str]
    administrators: Mapped[str]
    operators: Mapped[str]
    event_keep_days: Mapped[int]
    created: Mapped[datetime]
    settings: Mapped[dict[str, Any]]


class Computer(Header, Base):
    """The machine, or group of machines, that shares the catalogue."""

    __tablename__ = "computer"
    owner: Mapped[str]
    library_request_purge_seconds: Mapped[int]
    operator_request_purge_seconds: Mapped[int]
    library_request_flags: Mapped[int]
    operator_request_flags: Mapped[int]
    media_pool_policy: Mapped[int]


class Library(Header, Base):
    """A place for media. `online` is 0 for the one offline library; a cartridge's own flag is held to it."""

    __tablename__ = "library"
    __table_args__ = (
        within("library_type", NtmsLibraryType),
        within("inventory_method", NtmsInventoryMethod),
        CheckConstraint(f"(library_type = {OFFLINE}) = (online = 0)", name="offline"),
        UniqueConstraint("name"),
        UniqueConstraint("id", "online"),
        Index(
            "uq_library_offline",
            "online",
            unique=True,
            sqlite_where=text("online = 0"),
            postgresql_where=text("online = 0"),
        ),
    )
    owner: Mapped[str]
    library_type: Mapped[int]
    online: Mapped[bool]
    supports_cleaning: Mapped[bool]
    barcode_reader: Mapped[bool]
    inventory_method: Mapped[int]
    cleaner_uses_remaining: Mapped[int]
    auto_recovery: Mapped[bool]
    flags: Mapped[int]
    back_end: Mapped[str]
    address: Mapped[str]
    configuration: Mapped[dict[str, Any]]
    epoch: Mapped[int]


class ChangerType(Header, Base):
    """Maker and product of a changer."""

    __tablename__ = "changer_type"
    __table_args__ = (UniqueConstraint("vendor", "product"),)
    vendor: Mapped[str]
    product: Mapped[str]
    device_type: Mapped[int]


class Device:
    """Where a changer or drive sits on its bus."""

    serial_number: Mapped[str]
    revision: Mapped[str]
    scsi_port: Mapped[int]
    scsi_bus: Mapped[int]
    scsi_target: Mapped[int]
    scsi_lun: Mapped[int]


class Changer(Header, Device, Base):
    """The robot arm (transport) of a library."""

    __tablename__ = "changer"
    __table_args__ = (UniqueConstraint("library_id", "number"),)
    library_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("library.id", ondelete="RESTRICT"))
    changer_type_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("changer_type.id", ondelete="RESTRICT"), index=True)
    number: Mapped[int]
    element: Mapped[int | None]


class DriveType(Header, Base):
    """Maker and product of a drive."""

    __tablename__ = "drive_type"
    __table_args__ = (UniqueConstraint("vendor", "product"),)
    vendor: Mapped[str]
    product: Mapped[str]
    heads: Mapped[int]
    device_type: Mapped[int]


class Drive(Header, Device, Base):
    """Reads and writes one mounted side. `occupied` without a recorded cartridge: a person loaded it."""

    __tablename__ = "drive"
    __table_args__ = (
        within("state", NtmsDriveState),
        UniqueConstraint("library_id", "number"),
        UniqueConstraint("id", "library_id"),
    )
    library_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("library.id", ondelete="RESTRICT"))
    drive_type_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("drive_type.id", ondelete="RESTRICT"), index=True)
    number: Mapped[int]
    element: Mapped[int | None]
    state: Mapped[int]
    occupied: Mapped[bool]
    mount_count: Mapped[int]
    last_cleaned: Mapped[datetime | None]
    defer_dismount_seconds: Mapped[int]


class Slot(Header, Base):
    """A storage cell. At most one of a library is set aside for the cleaner."""

    __tablename__ = "slot"
    __table_args__ = (
        within("state", NtmsSlotState),
        UniqueConstraint("library_id", "number"),
        UniqueConstraint("id", "library_id"),
        Index(
            "uq_slot_cleaner",
            "library_id",
            unique=True,
            sqlite_where=text("cleaner = 1"),
            postgresql_where=text("cleaner = 1"),
        ),
        Index(
            "uq_slot_cleaner_default",
            "library_id",
            unique=True,
            sqlite_where=text("cleaner_default = 1"),
            postgresql_where=text("cleaner_default = 1"),
        ),
    )
    library_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("library.id", ondelete="RESTRICT"))
    number: Mapped[int]
    element: Mapped[int | None]
    state: Mapped[int]
    cleaner: Mapped[bool]
    cleaner_default: Mapped[bool]


class Door(Header, Base):
    """An opening with free access to the inside of a library."""

    __tablename__ = "door"
    __table_args__ = (
        within("state", NtmsDoorState),
        CheckConstraint("max_open_seconds BETWEEN 0 AND 65535", name="max_open_seconds"),
        UniqueConstraint("library_id", "number"),
    )
    library_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("library.id", ondelete="RESTRICT"))
    number: Mapped[int]
    state: Mapped[int]
    max_open_seconds: Mapped[int]


class Port(Header, Base):
    """An import/export port."""

    __tablename__ = "port"
    __table_args__ = (
        within("content", NtmsPortContent),
        within("position", NtmsPortPosition),
        CheckConstraint("max_extend_seconds BETWEEN 0 AND 65535", name="max_extend_seconds"),
        UniqueConstraint("library_id", "number"),
        UniqueConstraint("id", "library_id"),
    )
    library_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("library.id", ondelete="RESTRICT"))
    number: Mapped[int]
    element: Mapped[int | None]
    content: Mapped[int]
    position: Mapped[int]
    max_extend_seconds: Mapped[int]


class MediaType(Header, Base):
    """A technology of cartridge. `builtin` ones come with the program, the others were made by users."""

    __tablename__ = "media_type"
    __table_args__ = (
        within("read_write", NtmsReadWriteCharacteristics),
        CheckConstraint("sides BETWEEN 1 AND 2", name="sides"),
        UniqueConstraint("name"),
        UniqueConstraint("code"),
    )
    code: Mapped[int]
    sides: Mapped[int]
    read_write: Mapped[int]
    device_type: Mapped[int]
    builtin: Mapped[bool]


class LibraryMediaType(Base):
    """Which library takes which media type."""

    __tablename__ = "library_media_type"
    library_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("library.id", ondelete="CASCADE"), primary_key=True)
    media_type_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("media_type.id", ondelete="RESTRICT"), primary_key=True, index=True
    )


class DriveTypeMediaType(Base):
    """What a drive type does with a media type; `protected_only`: it loads write-protected cartridges and no others."""

    __tablename__ = "drive_type_media_type"
    drive_type_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("drive_type.id", ondelete="CASCADE"), primary_key=True)
    media_type_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("media_type.id", ondelete="RESTRICT"), primary_key=True, index=True
    )
    reads: Mapped[bool]
    writes: Mapped[bool]
    protected_only: Mapped[bool]


class MediaPool(Header, Base):
    """A named group of pools or of media of one type. The root, type 0, is the only one without a parent."""

    __tablename__ = "media_pool"
    __table_args__ = (
        within("pool_type", NtmsPoolType),
        CheckConstraint(
            f"(parent_id IS NULL) = (pool_type = {int(NtmsPoolType.NTMS_POOLTYPE_UNKNOWN)})",
            name="only_the_root_has_no_parent",
        ),
        CheckConstraint("max_allocates >= 0", name="max_allocates"),
        UniqueConstraint("parent_id", "name"),
        UniqueConstraint("id", "media_type_id"),
        Index(
            "uq_media_pool_root",
            "pool_type",
            unique=True,
            sqlite_where=text("parent_id IS NULL"),
            postgresql_where=text("parent_id IS NULL"),
        ),
    )
    owner: Mapped[str]
    parent_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("media_pool.id", ondelete="RESTRICT"))
    pool_type: Mapped[int]
    media_type_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("media_type.id", ondelete="RESTRICT"), index=True
    )
    allocation_policy: Mapped[int]
    deallocation_policy: Mapped[int]
    max_allocates: Mapped[int]


class PhysicalMedium(Header, Base):
    """A cartridge: in exactly one pool of its own media type, in one library, and in one element of it at most."""

    __tablename__ = "physical_medium"
    __table_args__ = (
        within("barcode_state", NtmsBarCodeState),
        within("media_state", NtmsMediaState),
        CheckConstraint(
            "slot_id IS NULL AND (drive_id IS NULL OR port_id IS NULL) OR drive_id IS NULL AND port_id IS NULL",
            name="one_place",
        ),
        ForeignKeyConstraint(
            ["pool_id", "media_type_id"], ["media_pool.id", "media_pool.media_type_id"], ondelete="RESTRICT"
        ),
        ForeignKeyConstraint(["library_id", "online"], ["library.id", "library.online"], ondelete="RESTRICT"),
        ForeignKeyConstraint(["slot_id", "library_id"], ["slot.id", "slot.library_id"], ondelete="RESTRICT"),
        ForeignKeyConstraint(["drive_id", "library_id"], ["drive.id", "drive.library_id"], ondelete="RESTRICT"),
        ForeignKeyConstraint(["port_id", "library_id"], ["port.id", "port.library_id"], ondelete="RESTRICT"),
        UniqueConstraint("slot_id"),
        UniqueConstraint("drive_id"),
        UniqueConstraint("port_id"),
        UniqueConstraint("id", "pool_id", "online"),
        UniqueConstraint("sequence_number"),
        Index("ix_physical_medium_pool_id", "pool_id", "id"),
        Index("ix_physical_medium_library_id", "library_id", "id"),
        Index("ix_physical_medium_media_type_id", "media_type_id", "library_id"),
        Index("ix_physical_medium_barcode", "barcode"),
        Index("ix_physical_medium_name", "name"),
    )
    pool_id: Mapped[uuid.UUID]
    media_type_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("media_type.id", ondelete="RESTRICT"))
    library_id: Mapped[uuid.UUID]
    online: Mapped[bool]
    slot_id: Mapped[uuid.UUID | None]
    drive_id: Mapped[uuid.UUID | None]
    port_id: Mapped[uuid.UUID | None]
    home_slot_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("slot.id", ondelete="RESTRICT"), index=True)
    barcode: Mapped[str]
    barcode_state: Mapped[int]
    sequence_number: Mapped[int]
    media_state: Mapped[int]
    medium_type_code: Mapped[int]
    density_code: Mapped[int]
    cleaner: Mapped[bool]


class Side(Header, Base):
    """One recordable face. It carries its cartridge's pool and online flag, held to them by the foreign key, so that
    the choice of an available side is one partial index."""

    __tablename__ = "side"
    __table_args__ = (
        within("state", NtmsPartitionState),
        CheckConstraint("number BETWEEN 0 AND 1", name="number"),
        ForeignKeyConstraint(
            ["medium_id", "pool_id", "online"],
            ["physical_medium.id", "physical_medium.pool_id", "physical_medium.online"],
            onupdate="CASCADE",
            ondelete="RESTRICT",
        ),
        UniqueConstraint("medium_id", "number"),
        Index(
            "uq_side_mounted",
            "medium_id",
            unique=True,
            sqlite_where=text("mounted = 1"),
            postgresql_where=text("mounted = 1"),
        ),
        Index(
            "ix_side_pick",
            "pool_id",
            "mounted",
            "online",
            "id",
            sqlite_where=text(f"state = {AVAILABLE} AND enabled = 1"),
            postgresql_where=text(f"state = {AVAILABLE} AND enabled = 1"),
        ),
        Index("ix_side_medium_id", "medium_id", "pool_id", "online"),
        Index("ix_side_pool_id", "pool_id", "id"),
        Index("ix_side_label", "label_type", "label_id"),
    )
    medium_id: Mapped[uuid.UUID]
    pool_id: Mapped[uuid.UUID]
    online: Mapped[bool]
    number: Mapped[int]
    state: Mapped[int]
    mounted: Mapped[bool]
    label_type: Mapped[str]
    label_id: Mapped[bytes]
    label_info: Mapped[str]
    label_written_by_us: Mapped[bool]
    mount_count: Mapped[int]
    allocate_count: Mapped[int]
    capacity_bytes: Mapped[int]


class LogicalMedium(Header, Base):
    """What an application gets when a side is allocated; one a side at most."""

    __tablename__ = "logical_medium"
    __table_args__ = (UniqueConstraint("side_id"),)
    side_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("side.id", ondelete="RESTRICT"))
    application: Mapped[str]
    user_name: Mapped[str]


class Session(Base):
    """One open session. Whether it lives is told by an OS or advisory lock of that name, never by a process number."""

    __tablename__ = "session"
    __table_args__ = (
        Index("ix_session_open", "id", sqlite_where=text("closed IS NULL"), postgresql_where=text("closed IS NULL")),
    )
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    host: Mapped[str]
    boot: Mapped[str]
    lock_name: Mapped[str]
    application: Mapped[str]
    user_name: Mapped[str]
    opened: Mapped[datetime]
    closed: Mapped[datetime | None]


class LibraryRequest(Header, Base):
    """A unit of work for a library. Ids of an ended one may name objects that are gone, so they refer to nothing."""

    __tablename__ = "library_request"
    __table_args__ = (
        within("operation", NtmsLmOperation),
        within("state", NtmsLmState),
        Index("ix_library_request_queue", "library_id", "state", "order_number"),
        Index(
            "ix_library_request_ended",
            "completed",
            sqlite_where=text("completed IS NOT NULL"),
            postgresql_where=text("completed IS NOT NULL"),
        ),
    )
    library_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("library.id", ondelete="CASCADE"))
    session_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("session.id", ondelete="RESTRICT"), index=True)
    operation: Mapped[int]
    operation_option: Mapped[int]
    state: Mapped[int]
    order_number: Mapped[int]
    priority: Mapped[int]
    side_id: Mapped[uuid.UUID | None]
    drive_id: Mapped[uuid.UUID | None]
    medium_id: Mapped[uuid.UUID | None]
    slot_id: Mapped[uuid.UUID | None]
    work_item_id: Mapped[uuid.UUID | None]
    queued: Mapped[datetime]
    due: Mapped[datetime | None]
    expires: Mapped[datetime | None]
    completed: Mapped[datetime | None]
    application: Mapped[str]
    user_name: Mapped[str]
    computer_name: Mapped[str]
    error_code: Mapped[int]
    epoch: Mapped[int]
    details: Mapped[dict[str, Any]]


class RequestStep(Base):
    """One robot step or drive step of a library request; its result counts only in the epoch that began it."""

    __tablename__ = "request_step"
    __table_args__ = (
        within("state", NtmsLmState),
        CheckConstraint("work IN ('robot', 'drive')", name="work"),
    )
    request_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("library_request.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    work: Mapped[str]
    action: Mapped[str]
    state: Mapped[int]
    epoch: Mapped[int]
    source_element: Mapped[int | None]
    destination_element: Mapped[int | None]
    due: Mapped[datetime | None]
    started: Mapped[datetime | None]
    completed: Mapped[datetime | None]
    error_code: Mapped[int]
    details: Mapped[dict[str, Any]]


class OperatorRequest(Header, Base):
    """Something a person must do."""

    __tablename__ = "operator_request"
    __table_args__ = (
        within("request", NtmsOpreqCommand),
        within("state", NtmsOpreqState),
        within("argument1_kind", NtmsObjectsTypes),
        within("argument2_kind", NtmsObjectsTypes),
        Index("ix_operator_request_state", "state", "submitted"),
    )
    session_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("session.id", ondelete="RESTRICT"), index=True)
    library_request_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("library_request.id", ondelete="SET NULL"), index=True
    )
    request: Mapped[int]
    state: Mapped[int]
    submitted: Mapped[datetime]
    completed: Mapped[datetime | None]
    message: Mapped[str]
    argument1_kind: Mapped[int]
    argument1_id: Mapped[uuid.UUID | None]
    argument2_kind: Mapped[int]
    argument2_id: Mapped[uuid.UUID | None]
    application: Mapped[str]
    user_name: Mapped[str]
    computer_name: Mapped[str]


class Mount(Base):
    """A side in a drive on behalf of a session; `dismountable_from` set: a deferred dismount."""

    __tablename__ = "mount"
    __table_args__ = (UniqueConstraint("side_id"), UniqueConstraint("drive_id"))
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    side_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("side.id", ondelete="RESTRICT"))
    drive_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("drive.id", ondelete="RESTRICT"))
    session_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("session.id", ondelete="RESTRICT"), index=True)
    request_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("library_request.id", ondelete="SET NULL"), index=True
    )
    for_writing: Mapped[bool]
    mounted: Mapped[datetime]
    dismountable_from: Mapped[datetime | None]


class DevicePath(Base):
    """By which path a host reaches a changer or drive; only a host with a path to the changer may work it."""

    __tablename__ = "device_path"
    device_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("object.id", ondelete="CASCADE"), primary_key=True)
    host: Mapped[str] = mapped_column(primary_key=True)
    path: Mapped[str]


class AccessControlEntry(Base):
    """One entry of a guard's list; the lowest position that names the caller and the right decides."""

    __tablename__ = "access_control_entry"
    __table_args__ = (CheckConstraint("rights > 0", name="rights"),)
    object_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("object.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    allow: Mapped[bool]
    trustee: Mapped[str]
    rights: Mapped[int]
    inherited: Mapped[bool]


class Attribute(Base):
    """Named private data that applications hang on an object."""

    __tablename__ = "attribute"
    object_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("object.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[bytes]


class UIDestination(Base):
    """A computer that messages about an object, or about one session's work, go to."""

    __tablename__ = "ui_destination"
    __table_args__ = (
        within("ui_type", NtmsUITypes),
        CheckConstraint("(object_id IS NULL) <> (session_id IS NULL)", name="object_or_session"),
        UniqueConstraint("object_id", "ui_type", "destination"),
        UniqueConstraint("session_id", "ui_type", "destination"),
    )
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    object_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("object.id", ondelete="CASCADE"))
    session_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("session.id", ondelete="CASCADE"))
    ui_type: Mapped[int]
    destination: Mapped[str]


class NotificationSubscriber(Base):
    """A session that wants to hear of changes of one kind of object, and the last event it was given."""

    __tablename__ = "notification_subscriber"
    __table_args__ = (within("kind", NtmsObjectsTypes),)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    session_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("session.id", ondelete="CASCADE"), index=True)
    kind: Mapped[int]
    last_event_id: Mapped[int]
    opened: Mapped[datetime]


class Event(Base):
    """One change of one object, written in the transaction that made it; ids rise in the order of commits."""

    __tablename__ = "event"
    __table_args__ = (
        within("operation", NtmsNotificationOperations),
        within("kind", NtmsObjectsTypes),
        Index("ix_event_object_id", "object_id", "id"),
        {"sqlite_autoincrement": True},
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    operation: Mapped[int]
    kind: Mapped[int]
    object_id: Mapped[uuid.UUID]
    call: Mapped[str]
    user_name: Mapped[str]
    application: Mapped[str]
    session_id: Mapped[uuid.UUID]
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
    reason: Mapped[str]


for _table in Base.metadata.tables.values():
    _table.dialect_options["sqlite"]["strict"] = True
    for _column in list(_table.columns):
        if isinstance(_column.type, Flag):
            _table.append_constraint(CheckConstraint(f"{_column.name} IN (0, 1)", name=_column.name))
        if _column.name == "operational_state":
            _table.append_constraint(within(_column.name, NtmsOperationalState))

# The table of each kind of object that has an id of its own.
TABLE_OF_KIND: dict[NtmsObjectsTypes, type[Any]] = {
    NtmsObjectsTypes.NTMS_CHANGER: Changer,
    NtmsObjectsTypes.NTMS_CHANGER_TYPE: ChangerType,
    NtmsObjectsTypes.NTMS_COMPUTER: Computer,
    NtmsObjectsTypes.NTMS_DRIVE: Drive,
    NtmsObjectsTypes.NTMS_DRIVE_TYPE: DriveType,
    NtmsObjectsTypes.NTMS_IEDOOR: Door,
    NtmsObjectsTypes.NTMS_IEPORT: Port,
    NtmsObjectsTypes.NTMS_LIBRARY: Library,
    NtmsObjectsTypes.NTMS_LIBREQUEST: LibraryRequest,
    NtmsObjectsTypes.NTMS_LOGICAL_MEDIA: LogicalMedium,
    NtmsObjectsTypes.NTMS_MEDIA_POOL: MediaPool,
    NtmsObjectsTypes.NTMS_MEDIA_TYPE: MediaType,
    NtmsObjectsTypes.NTMS_PARTITION: Side,
    NtmsObjectsTypes.NTMS_PHYSICAL_MEDIA: PhysicalMedium,
    NtmsObjectsTypes.NTMS_STORAGESLOT: Slot,
    NtmsObjectsTypes.NTMS_OPREQUEST: OperatorRequest,
}
