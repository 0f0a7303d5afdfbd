"""Builds large catalogues in seconds: rows go into SQLite in the order of its indexes, and the file is then judged.

Eight libraries with a changer each; for a million cartridges 400,000 slots, all but a twentieth of them full, and 4,096
drives, a quarter of them with a cartridge that may be put away; the other cartridges lie on the shelf. Of each pool
seven tenths are allocated, one is complete, and two are available. Smaller catalogues have less of everything.

As a script (`python -m tests.benchmarks.catalogue PATH MEDIA`) it builds one and keeps it.
"""

import itertools
import sqlite3
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rsm
from rsm import identity, model, schema
from rsm.constants import NtmsDriveState, NtmsMediaState, NtmsSlotState
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsPartitionState as State
from tests import builders

CALLER = rsm.Caller("user:bench", administrator=True)
LIBRARIES, POOLS = 8, 16
MEDIA_TYPE = "LTO-8"
DRIVE_ELEMENTS, SLOT_ELEMENTS = 1, 1_000  # the first of them in each library
_SLOTS_OF_A_MILLION, _DRIVES_OF_A_MILLION = 400_000, 4_096
_FIRST_MILLISECOND = 1_700_000_000_000
_NOW = _FIRST_MILLISECOND * 1000
Row = dict[str, Any]


@dataclass(frozen=True)
class Catalogue:
    """A catalogue that was built, and what is in it."""

    path: Path
    media: int
    libraries: tuple[uuid.UUID, ...]
    pools: tuple[uuid.UUID, ...]
    slots: int
    drives: int


def _id(kind: Kind, number: int) -> bytes:
    """Return a time-ordered id; those of one kind lie together, so that every index grows at one end."""
    millisecond = _FIRST_MILLISECOND + int(kind) * 10_000_000 + number
    return ((millisecond << 80) | (0x7 << 76) | (0x2 << 62) | number).to_bytes(16, "big")


def _header(kind: Kind, number: int, name: str) -> Row:
    times = {"created": _NOW, "modified": _NOW}
    return {"id": _id(kind, number), "name": name, "description": "", "enabled": 1, "operational_state": 0, **times}


def build(path: Path, media: int) -> Catalogue:
    """Make a catalogue with so many cartridges at `path`; it is sound, and as durable as any from then on."""
    schema.create(str(path), caller=CALLER)
    robots = [
        builders.add_library(str(path), f"Robot {number}", slots=0, drives=0, doors=0, ports=0, requests=0)
        for number in range(LIBRARIES)
    ]
    for robot in robots:
        builders.add_path(str(path), robot.changers[0], identity.host())
    with rsm.connect(path, worker=False, caller=CALLER) as session, session.transaction():
        for robot in robots:
            session.types.add(MEDIA_TYPE, robot.id)
        made = [session.pools.create(rf"\Pool {number:02}", media_type=MEDIA_TYPE) for number in range(POOLS)]
        media_type, shelf = made[0].media_type, _shelf(session)
    assert media_type is not None
    plan = _Plan(media, robots, [pool.id.bytes for pool in made], media_type.bytes, shelf.bytes)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -500000", "foreign_keys = OFF"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        connection.execute("BEGIN")
        named = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql <> ''"
        indexes = connection.execute(named).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        for table, rows in plan.tables():
            _insert(connection, table, rows())
        for _, sql in indexes:
            connection.execute(sql)
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
    finally:
        connection.close()
    pools = tuple(pool.id for pool in made)
    return Catalogue(path, media, tuple(robot.id for robot in robots), pools, plan.slots, plan.drives)


def _shelf(session: rsm.Session) -> uuid.UUID:
    return next(library.id for library in session.libraries.list() if library.library_type == model.OFFLINE)


def _insert(connection: sqlite3.Connection, table: type[Any], rows: Iterator[Row]) -> None:
    first = next(rows, None)
    if first is None:
        return
    columns = [column.name for column in table.__table__.columns if column.name in first]
    marks = ", ".join("?" for _ in columns)
    sql = f"INSERT INTO {table.__tablename__} ({', '.join(columns)}) VALUES ({marks})"
    connection.executemany(sql, (tuple(row[name] for name in columns) for row in itertools.chain([first], rows)))


class _Plan:
    """Which row is where."""

    def __init__(
        self, media: int, robots: list[builders.BuiltLibrary], pools: list[bytes], media_type: bytes, shelf: bytes
    ) -> None:
        self.media = media
        self.slots = max(LIBRARIES * 4, media * _SLOTS_OF_A_MILLION // 1_000_000 // LIBRARIES * LIBRARIES)
        self.drives = max(LIBRARIES * 2, media * _DRIVES_OF_A_MILLION // 1_000_000 // LIBRARIES * LIBRARIES)
        self.mounted = self.drives // 4
        self.full_slots = min(media, self.slots * 19 // 20) - self.mounted
        self._robots, self._pools, self._media_type, self._shelf = robots, pools, media_type, shelf

    def tables(self) -> list[tuple[type[Any], Callable[[], Iterator[Row]]]]:
        """Return the tables in the order in which rows refer to each other."""
        return [
            (model.Object, self._objects),
            (model.DriveTypeMediaType, self._uses),
            (model.Slot, self._slot_rows),
            (model.Drive, self._drive_rows),
            (model.PhysicalMedium, self._medium_rows),
            (model.Side, self._side_rows),
            (model.LogicalMedium, self._logical_rows),
            (model.Mount, self._mount_rows),
        ]

    def _objects(self) -> Iterator[Row]:
        counts = {
            Kind.NTMS_DRIVE: range(self.drives),
            Kind.NTMS_LOGICAL_MEDIA: (number for number in range(self.media) if self._is_held(number)),
            Kind.NTMS_PARTITION: range(self.media),
            Kind.NTMS_PHYSICAL_MEDIA: range(self.media),
            Kind.NTMS_STORAGESLOT: range(self.slots),
        }
        for kind in sorted(counts):
            for number in counts[kind]:
                yield {"id": _id(kind, number), "kind": int(kind)}

    def _uses(self) -> Iterator[Row]:
        for robot in self._robots:
            assert robot.drive_type is not None
            flags = {"reads": 1, "writes": 1, "protected_only": 0}
            yield {"drive_type_id": robot.drive_type.bytes, "media_type_id": self._media_type, **flags}

    def _library_of(self, number: int, of: int) -> int:
        return number * LIBRARIES // of

    def _slot_rows(self) -> Iterator[Row]:
        each = self.slots // LIBRARIES
        for number in range(self.slots):
            full = self.mounted <= number < self.mounted + self.full_slots
            state = NtmsSlotState.NTMS_SLOTSTATE_FULL if full else NtmsSlotState.NTMS_SLOTSTATE_EMPTY
            yield {
                **_header(Kind.NTMS_STORAGESLOT, number, f"slot {number % each + 1}"),
                "library_id": self._robots[self._library_of(number, self.slots)].id.bytes,
                "number": number % each + 1,
                "element": SLOT_ELEMENTS + number % each,
                "state": int(state),
                "cleaner": 0,
                "cleaner_default": 0,
            }

    def _drive_rows(self) -> Iterator[Row]:
        each = self.drives // LIBRARIES
        for number in range(self.drives):
            robot = self._robots[self._library_of(number, self.drives)]
            assert robot.drive_type is not None
            holds = self._medium_in(number) is not None
            waits, empty = NtmsDriveState.NTMS_DRIVESTATE_DISMOUNTABLE, NtmsDriveState.NTMS_DRIVESTATE_DISMOUNTED
            yield {
                **_header(Kind.NTMS_DRIVE, number, f"drive {number % each + 1}"),
                **dict.fromkeys(("scsi_port", "scsi_bus", "scsi_target", "scsi_lun", "mount_count"), 0),
                **dict.fromkeys(("serial_number", "revision"), ""),
                "library_id": robot.id.bytes,
                "drive_type_id": robot.drive_type.bytes,
                "number": number % each + 1,
                "element": DRIVE_ELEMENTS + number % each,
                "state": int(waits if holds else empty),
                "occupied": int(holds),
                "last_cleaned": None,
                "defer_dismount_seconds": 300,
            }

    def _medium_in(self, drive: int) -> int | None:
        """Return the cartridge in a drive: every fourth has one, those with the lowest numbers."""
        return drive // 4 if drive % 4 == 0 and drive // 4 < self.mounted else None

    def _is_held(self, number: int) -> bool:
        return number < self.mounted or number // POOLS % 10 not in (1, 6)

    def _medium_rows(self) -> Iterator[Row]:
        for number in range(self.media):
            yield {
                **_header(Kind.NTMS_PHYSICAL_MEDIA, number, f"M{number:07}"),
                "pool_id": self._pools[number % POOLS],
                "media_type_id": self._media_type,
                "barcode": f"M{number:07}",
                "barcode_state": 1,
                "sequence_number": number + 1,
                "media_state": int(NtmsMediaState.NTMS_MEDIASTATE_MOUNTED if number < self.mounted else 0),
                "medium_type_code": 0,
                "density_code": 0,
                "cleaner": 0,
                "port_id": None,
                **self._place_of(number),
            }

    def _place_of(self, number: int) -> Row:
        if number < self.mounted:
            drive = number * 4
            library = self._robots[self._library_of(drive, self.drives)].id.bytes
            return {
                "library_id": library,
                "online": 1,
                "slot_id": None,
                "drive_id": _id(Kind.NTMS_DRIVE, drive),
                "home_slot_id": None,
            }
        if number < self.mounted + self.full_slots:
            library = self._robots[self._library_of(number, self.slots)].id.bytes
            slot = _id(Kind.NTMS_STORAGESLOT, number)
            return {"library_id": library, "online": 1, "slot_id": slot, "drive_id": None, "home_slot_id": slot}
        return {"library_id": self._shelf, "online": 0, "slot_id": None, "drive_id": None, "home_slot_id": None}

    def _side_rows(self) -> Iterator[Row]:
        for number in range(self.media):
            state = State.NTMS_PARTSTATE_AVAILABLE
            if self._is_held(number):
                complete = number // POOLS % 10 == 7
                state = State.NTMS_PARTSTATE_COMPLETE if complete else State.NTMS_PARTSTATE_ALLOCATED
            yield {
                **_header(Kind.NTMS_PARTITION, number, f"M{number:07}"),
                "medium_id": _id(Kind.NTMS_PHYSICAL_MEDIA, number),
                "pool_id": self._pools[number % POOLS],
                "online": int(number < self.mounted + self.full_slots),
                "number": 0,
                "state": int(state),
                "mounted": int(number < self.mounted),
                "label_type": "bench",
                "label_id": number.to_bytes(8, "big"),
                "label_info": "",
                "label_written_by_us": 0,
                "mount_count": 0,
                "allocate_count": 1,
                "capacity_bytes": 12_000_000_000_000,
            }

    def _logical_rows(self) -> Iterator[Row]:
        for number in range(self.media):
            if self._is_held(number):
                yield {
                    **_header(Kind.NTMS_LOGICAL_MEDIA, number, f"M{number:07}"),
                    "side_id": _id(Kind.NTMS_PARTITION, number),
                    "application": "bench",
                    "user_name": CALLER.user,
                }

    def _mount_rows(self) -> Iterator[Row]:
        for number in range(self.mounted):
            yield {
                "id": _id(Kind.NTMS_UNKNOWN, number),
                "side_id": _id(Kind.NTMS_PARTITION, number),
                "drive_id": _id(Kind.NTMS_DRIVE, number * 4),
                "session_id": None,
                "request_id": None,
                "for_writing": 0,
                "mounted": _NOW,
                "dismountable_from": _NOW,
            }


if __name__ == "__main__":
    build(Path(sys.argv[1]), int(sys.argv[2]))
