"""Makes what the tests need and the calls cannot make yet: libraries with their devices, and cartridges in places."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy

import rsm
from rsm import db, model, place
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsPartitionState as State
from rsm.constants import NtmsSlotState
from rsm.security import ADMINISTRATORS, default_dacl


@contextmanager
def behind(url: str) -> Iterator[sqlalchemy.Connection]:
    """Change a catalogue behind the program's back; foreign keys are checked at the end.

    It is what `migrating` does, but for the connections, which are all kept.
    """
    database = db.acquire(place.parse_url(url))
    try:
        with database._call(), database._turn(db.BUSY_TIMEOUT_MS), database._translated():
            with database._writers.engine.connect() as connection:
                raw: Any = connection.connection.driver_connection
                with _one_transaction(database, raw):
                    yield connection
        database.watcher.wake()
    finally:
        db.release(database)


@contextmanager
def _one_transaction(database: db.Database, raw: Any) -> Iterator[None]:
    if database.is_sqlite:
        raw.execute("PRAGMA foreign_keys = OFF")
    try:
        raw.execute(database.driver.begin_write)
        yield
        database._check_foreign_keys(raw)
        raw.execute(database.driver.commit)
    finally:
        if database.driver.in_transaction(raw):
            raw.execute("ROLLBACK")
        if database.is_sqlite:
            raw.execute("PRAGMA foreign_keys = ON")


def dump(url: str) -> list[str]:
    """Return every row of a catalogue of any revision as JSON, `["table", {"column": value}]`, to compare it later.

    It reads what `schema.export_catalogue` writes, in a tenth of its time.
    """
    database = db.acquire(place.parse_url(url))
    lines = []
    try:
        with database.reading() as connection:
            raw: Any = connection.connection.driver_connection
            for (table,) in raw.execute(_TABLES[connection.dialect.name]).fetchall():
                cursor = raw.execute(f"SELECT * FROM {table}")
                columns = [column[0] for column in cursor.description]
                for row in cursor.fetchall():
                    values = {name: _plain(value) for name, value in zip(columns, row, strict=True)}
                    lines.append(json.dumps([table, values], ensure_ascii=False))
    finally:
        db.release(database)
    return sorted(lines)


_TABLES = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'"
    " AND name NOT IN ('alembic_version', 'sqlite_sequence')",
    "postgresql": "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'",
}


def _plain(value: Any) -> Any:
    if isinstance(value, uuid.UUID):
        value = value.bytes
    return {"bytes": value.hex()} if isinstance(value, bytes) else value


def add_object(connection: sqlalchemy.Connection, kind: Kind, name: str, **fields: Any) -> uuid.UUID:
    """Insert one object of any kind."""
    new, now = db.new_id(), datetime.now(UTC)
    insert(connection, model.Object, {"id": new, "kind": int(kind)})
    header = {"name": name, "description": "", "created": now, "modified": now, "enabled": True, "operational_state": 0}
    insert(connection, model.TABLE_OF_KIND[kind], {"id": new, **header, **fields})
    return new


def insert(connection: sqlalchemy.Connection, table: type[Any], *rows: dict[str, Any]) -> None:
    """Insert rows that name every column; by way of the class of the model it would take twice the time."""
    connection.execute(sqlalchemy.insert(table.__table__), list(rows))


@dataclass
class BuiltLibrary:
    """The ids of a library that was built."""

    id: uuid.UUID
    name: str
    slots: list[uuid.UUID] = field(default_factory=list)
    drives: list[uuid.UUID] = field(default_factory=list)
    doors: list[uuid.UUID] = field(default_factory=list)
    ports: list[uuid.UUID] = field(default_factory=list)
    changers: list[uuid.UUID] = field(default_factory=list)
    drive_type: uuid.UUID | None = None
    changer_type: uuid.UUID | None = None
    requests: list[uuid.UUID] = field(default_factory=list)


_SCSI = {"serial_number": "", "revision": "", "scsi_port": 0, "scsi_bus": 0, "scsi_target": 0, "scsi_lun": 0}


def add_library(
    url: str, name: str = "Robot", *, slots: int = 3, drives: int = 1, doors: int = 1, ports: int = 1, requests: int = 1
) -> BuiltLibrary:
    """Insert an automated library with a changer and its devices, as an inventory would have found it."""
    with behind(url) as connection:
        library = add_object(
            connection,
            Kind.NTMS_LIBRARY,
            name,
            owner=ADMINISTRATORS,
            library_type=2,
            online=True,
            supports_cleaning=True,
            barcode_reader=True,
            inventory_method=1,
            cleaner_uses_remaining=0,
            auto_recovery=True,
            flags=0,
            back_end="test",
            address=f"test:{name}",
            configuration={},
            epoch=0,
        )
        for position, ace in enumerate(default_dacl()):
            entry = {"allow": ace.allow, "trustee": ace.trustee, "rights": int(ace.rights), "inherited": False}
            insert(connection, model.AccessControlEntry, {"object_id": library, "position": position, **entry})
        built = BuiltLibrary(library, name)
        built.changer_type = add_object(
            connection, Kind.NTMS_CHANGER_TYPE, f"{name} changer", vendor="V", product=name, device_type=48
        )
        built.drive_type = add_object(
            connection, Kind.NTMS_DRIVE_TYPE, f"{name} drive", vendor="V", product=name, heads=1, device_type=31
        )
        changer = {"library_id": library, "changer_type_id": built.changer_type, "number": 0, "element": 0, **_SCSI}
        built.changers.append(add_object(connection, Kind.NTMS_CHANGER, f"{name} changer 0", **changer))
        for number in range(slots):
            slot = {
                "library_id": library,
                "number": number,
                "element": number,
                "cleaner": False,
                "cleaner_default": False,
            }
            built.slots.append(add_object(connection, Kind.NTMS_STORAGESLOT, f"{name} slot {number}", state=2, **slot))
        for number in range(drives):
            drive = {
                "library_id": library,
                "drive_type_id": built.drive_type,
                "number": number,
                "element": 500 + number,
            }
            state = {
                "state": 0,
                "occupied": False,
                "mount_count": 0,
                "last_cleaned": None,
                "defer_dismount_seconds": 300,
            }
            built.drives.append(
                add_object(connection, Kind.NTMS_DRIVE, f"{name} drive {number}", **drive, **state, **_SCSI)
            )
        for number in range(doors):
            door = {"library_id": library, "number": number, "state": 1, "max_open_seconds": 600}
            built.doors.append(add_object(connection, Kind.NTMS_IEDOOR, f"{name} door {number}", **door))
        for number in range(ports):
            port = {"library_id": library, "number": number, "element": 900 + number, "content": 2, "position": 2}
            built.ports.append(
                add_object(connection, Kind.NTMS_IEPORT, f"{name} port {number}", max_extend_seconds=60, **port)
            )
        for _number in range(requests):
            built.requests.append(_add_request(connection, library))
    return built


def _add_request(connection: sqlalchemy.Connection, library: uuid.UUID) -> uuid.UUID:
    now = datetime.now(UTC)
    nothing = dict.fromkeys(
        ("session_id", "side_id", "drive_id", "medium_id", "slot_id", "work_item_id", "due", "expires")
    )
    who = {"application": "tests", "user_name": "user:admin", "computer_name": "here"}
    work = {
        "operation": 8,
        "operation_option": 0,
        "state": 2,
        "order_number": 0,
        "priority": 0,
        "error_code": 0,
        "epoch": 0,
    }
    times = {"queued": now, "completed": now}
    return add_object(
        connection, Kind.NTMS_LIBREQUEST, "inventory", library_id=library, details={}, **nothing, **who, **work, **times
    )


def add_operator_request(url: str, message: str = "please") -> uuid.UUID:
    """Insert an operator request."""
    with behind(url) as connection:
        return add_object(
            connection,
            Kind.NTMS_OPREQUEST,
            message,
            session_id=None,
            library_request_id=None,
            request=5,
            state=1,
            submitted=datetime.now(UTC),
            completed=None,
            message=message,
            argument1_kind=0,
            argument1_id=None,
            argument2_kind=0,
            argument2_id=None,
            application="tests",
            user_name="user:admin",
            computer_name="here",
        )


def side(number: int = 0, state: State = State.NTMS_PARTSTATE_AVAILABLE, **fields: Any) -> rsm.NewSide:
    """Return a side to put on record, with a label of its own."""
    return rsm.NewSide("MTF", fields.pop("label_id", uuid.uuid4().bytes), state, label_info=f"side {number}", **fields)


def put_online(url: str, medium: uuid.UUID, library: BuiltLibrary, slot: int = 0) -> None:
    """Put a cartridge into a slot of a library."""
    with behind(url) as connection:
        # Foreign keys are off here, so the sides are told by hand what ON UPDATE CASCADE would tell them.
        connection.execute(
            sqlalchemy.update(model.PhysicalMedium)
            .where(model.PhysicalMedium.id == medium)
            .values(library_id=library.id, online=True, slot_id=library.slots[slot], home_slot_id=library.slots[slot])
        )
        if connection.dialect.name == "sqlite":
            connection.execute(sqlalchemy.update(model.Side).where(model.Side.medium_id == medium).values(online=True))
        connection.execute(
            sqlalchemy.update(model.Slot)
            .where(model.Slot.id == library.slots[slot])
            .values(state=int(NtmsSlotState.NTMS_SLOTSTATE_FULL))
        )


def put_in_pool(url: str, medium: uuid.UUID, pool: uuid.UUID, state: State | None = None) -> None:
    """Put a cartridge into any pool of its media type, also one the calls would refuse, and its sides into a state."""
    with behind(url) as connection:
        connection.execute(
            sqlalchemy.update(model.PhysicalMedium).where(model.PhysicalMedium.id == medium).values(pool_id=pool)
        )
        if connection.dialect.name == "sqlite":
            connection.execute(sqlalchemy.update(model.Side).where(model.Side.medium_id == medium).values(pool_id=pool))
        if state is not None:
            connection.execute(
                sqlalchemy.update(model.Side).where(model.Side.medium_id == medium).values(state=int(state))
            )


def set_media_state(url: str, medium: uuid.UUID, media_state: int) -> None:
    """Give a cartridge a state such as mounted."""
    with behind(url) as connection:
        connection.execute(
            sqlalchemy.update(model.PhysicalMedium)
            .where(model.PhysicalMedium.id == medium)
            .values(media_state=media_state)
        )


def add_medium(
    url: str,
    pool: rsm.MediaPool,
    barcode: str,
    *states: State,
    library: BuiltLibrary | None = None,
    enabled: bool = True,
) -> list[uuid.UUID]:
    """Insert a cartridge into any pool of media, one side a state, in a library or on the shelf; return its sides."""
    return add_media(url, pool, [barcode], *states, library=library, enabled=enabled)[0]


def add_media(
    url: str,
    pool: rsm.MediaPool,
    barcodes: list[str],
    *states: State,
    library: BuiltLibrary | None = None,
    enabled: bool = True,
) -> list[list[uuid.UUID]]:
    """Insert many cartridges at once; a side that is allocated or complete gets a logical medium."""
    with behind(url) as connection:
        return insert_media(connection, pool, barcodes, *states, library=library, enabled=enabled)


def insert_media(
    connection: sqlalchemy.Connection,
    pool: rsm.MediaPool,
    barcodes: list[str],
    *states: State,
    library: BuiltLibrary | None = None,
    enabled: bool = True,
) -> list[list[uuid.UUID]]:
    """Insert many cartridges as part of a change behind the program's back."""
    rows: dict[type[Any], list[dict[str, Any]]] = {
        table: [] for table in (model.Object, model.PhysicalMedium, model.Side, model.LogicalMedium)
    }
    shelf = connection.execute(sqlalchemy.select(model.Library.id).where(model.Library.online == 0)).scalar_one()
    last = sqlalchemy.select(sqlalchemy.func.coalesce(sqlalchemy.func.max(model.PhysicalMedium.sequence_number), 0))
    sequence = connection.execute(last).scalar_one()
    place = {"pool_id": pool.id, "online": library is not None}
    made = []
    for number, barcode in enumerate(barcodes, sequence + 1):
        medium = _new_row(rows, model.PhysicalMedium, Kind.NTMS_PHYSICAL_MEDIA, barcode)
        medium |= {**place, **_MEDIUM, "media_type_id": pool.media_type, "sequence_number": number}
        medium |= {"library_id": library.id if library else shelf, "barcode": barcode, "enabled": enabled}
        sides = []
        for position, state in enumerate(states or (State.NTMS_PARTSTATE_AVAILABLE,)):
            side = _new_row(rows, model.Side, Kind.NTMS_PARTITION, barcode)
            side |= {**place, **_SIDE, "medium_id": medium["id"], "number": position, "state": int(state)}
            side["label_id"] = side["id"].bytes
            sides.append(side["id"])
            if state in (State.NTMS_PARTSTATE_ALLOCATED, State.NTMS_PARTSTATE_COMPLETE):
                held = _new_row(rows, model.LogicalMedium, Kind.NTMS_LOGICAL_MEDIA, barcode)
                held |= {"application": "tests", "user_name": "user:admin", "side_id": side["id"]}
        made.append(sides)
    for table, new in rows.items():
        if new:
            insert(connection, table, *new)
    return made


_MEDIUM: dict[str, Any] = {
    **dict.fromkeys(("slot_id", "drive_id", "port_id", "home_slot_id")),
    **dict.fromkeys(("media_state", "medium_type_code", "density_code"), 0),
    "barcode_state": 1,
    "cleaner": False,
}
_SIDE: dict[str, Any] = {
    **dict.fromkeys(("mount_count", "allocate_count", "capacity_bytes"), 0),
    "mounted": False,
    "label_type": "MTF",
    "label_info": "",
    "label_written_by_us": False,
}


def _new_row(rows: dict[type[Any], list[dict[str, Any]]], table: type[Any], kind: Kind, name: str) -> dict[str, Any]:
    new, now = db.new_id(), datetime.now(UTC)
    header = {"name": name, "description": "", "created": now, "modified": now, "enabled": True, "operational_state": 0}
    rows[model.Object].append({"id": new, "kind": int(kind)})
    rows[table].append({"id": new, **header})
    return rows[table][-1]


def add_path(url: str, device: uuid.UUID, host: str) -> None:
    """Let a host reach a changer or drive."""
    with behind(url) as connection:
        connection.execute(sqlalchemy.insert(model.DevicePath).values(device_id=device, host=host, path="/dev/test"))


def add_mount(url: str, side: uuid.UUID, drive: uuid.UUID, *, in_use: bool = True) -> None:
    """Put a side into a drive, for somebody who uses it or is done with it."""
    now = datetime.now(UTC)
    with behind(url) as connection:
        connection.execute(
            sqlalchemy.insert(model.Mount).values(
                id=db.new_id(),
                side_id=side,
                drive_id=drive,
                session_id=None,
                request_id=None,
                for_writing=True,
                mounted=now,
                dismountable_from=None if in_use else now,
            )
        )
        connection.execute(sqlalchemy.update(model.Side).where(model.Side.id == side).values(mounted=True))


def make_cleaner(url: str, medium: uuid.UUID, **place: uuid.UUID) -> None:
    """Make a cleaner of a cartridge: it has no sides. `place` names its slot, drive and home slot."""
    with behind(url) as connection:
        of_medium = sqlalchemy.select(model.Side.id).where(model.Side.medium_id == medium)
        sides = list(connection.scalars(of_medium))
        connection.execute(sqlalchemy.delete(model.Side).where(model.Side.id.in_(sides)))
        connection.execute(sqlalchemy.delete(model.Object).where(model.Object.id.in_(sides)))
        cleaner = sqlalchemy.update(model.PhysicalMedium).where(model.PhysicalMedium.id == medium)
        connection.execute(cleaner.values(cleaner=True, **place))
        if "slot_id" in place:
            slot = sqlalchemy.update(model.Slot).where(model.Slot.id == place["slot_id"])
            connection.execute(slot.values(state=int(NtmsSlotState.NTMS_SLOTSTATE_FULL)))


def set_columns(url: str, table: type[Any], object_id: uuid.UUID, **columns: Any) -> None:
    """Change columns of one row."""
    with behind(url) as connection:
        connection.execute(sqlalchemy.update(table).where(table.id == object_id).values(**columns))
