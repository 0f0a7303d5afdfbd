"""A virtual library whose devices are on record, and what it tells, to be changed at will by tests."""

import dataclasses
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import builders
import sqlalchemy

import rsm
from rsm import identity, model
from rsm.constants import NtmsDriveState, NtmsMediaState
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsPartitionState as State
from rsm.db import Transaction
from rsm.libraries import open_library
from rsm.libraries.base import ElementStatus, LibraryIdentity
from rsm.libraries.virtual import add_cartridge, create
from rsm.services import devices, operators, queue

HERE = identity.host()


def make_folder(place: Path) -> str:
    """Make a virtual library of 4 slots, 2 drives and a port, with a cartridge in slot 2 and one in the port."""
    path = create(place / "robot", 4, 2, 1, "LTO-8", name="Robot")
    add_cartridge(path, "A00001", slot=2)
    add_cartridge(path, "A00002", port=1)
    return path


@dataclasses.dataclass
class Told:
    """What a device tells, to be changed at will."""

    identity: LibraryIdentity
    elements: list[ElementStatus]

    def without(self, *addresses: int) -> "Told":
        """Return the same with elements gone."""
        drives = tuple(drive for drive in self.identity.drives if drive.address not in addresses)
        transports = tuple(each for each in self.identity.transports if each not in addresses)
        known = dataclasses.replace(self.identity, drives=drives, transports=transports)
        return Told(known, [each for each in self.elements if each.address not in addresses])

    def with_element(self, address: int, /, **changes: Any) -> "Told":
        """Return the same with one element different."""
        return Told(
            self.identity,
            [dataclasses.replace(each, **changes) if each.address == address else each for each in self.elements],
        )

    def with_drive(self, address: int, /, **changes: Any) -> "Told":
        """Return the same with what is told of one drive different."""
        drives = tuple(
            dataclasses.replace(each, **changes) if each.address == address else each for each in self.identity.drives
        )
        return Told(dataclasses.replace(self.identity, drives=drives), self.elements)


def told_by(path: str) -> Told:
    """Return what the library in a directory tells."""
    with open_library("virtual", path) as device:
        return Told(device.read_identity(), list(device.read_elements()))


def sync(session: rsm.Session, library: rsm.Library, told: Told, host: str = HERE) -> bool:
    """Bring the record in line with what was told."""
    return session.write(devices.sync_library, library.id, told.identity, told.elements, host)


def objects(session: rsm.Session, kind: Kind, library: rsm.Library) -> dict[int, Any]:
    """Return the devices of a library by number."""
    found = (session.objects.get(kind, each) for each in session.objects.list(kind, library.id))
    return {each.number: each for each in found}


def rows_of(url: str, table: Any, *columns: str) -> set[tuple[Any, ...]]:
    """Return some columns of all rows of a table."""
    with builders.behind(url) as connection:
        found = connection.execute(sqlalchemy.select(*(getattr(table, column) for column in columns)))
        return {tuple(row) for row in found}


@dataclasses.dataclass
class Filled:
    """A library with a cartridge in use in a drive, one in a slot, one on the shelf with its home here; requests."""

    library: rsm.Library
    mounted: rsm.PhysicalMedium
    stored: rsm.PhysicalMedium
    away: rsm.PhysicalMedium
    request: uuid.UUID
    asked: uuid.UUID


def fill(session: rsm.Session, url: str, folder: str) -> Filled:
    """Put the library on record and cartridges into it."""
    library = session.libraries.add("virtual", folder)
    built = builders.BuiltLibrary(library.id, "Robot", [slot.id for slot in session.libraries.slots(library)])
    drive = session.libraries.drives(library)[0]
    pool = session.pools.create(r"\App", media_type="LTO-8")
    state = State.NTMS_PARTSTATE_ALLOCATED
    media = [session.media.create(pool, [builders.side(state=state)], barcode=f"B0000{number}") for number in range(3)]
    for number, medium in enumerate(media):
        builders.put_online(url, medium.id, built, number)
    side, now = session.media.sides(media[0])[0].id, datetime.now(UTC)
    with builders.behind(url) as connection:
        medium = model.PhysicalMedium
        connection.execute(
            sqlalchemy.update(medium)
            .where(medium.id == media[0].id)
            .values(slot_id=None, drive_id=drive.id, media_state=int(NtmsMediaState.NTMS_MEDIASTATE_LOADED))
        )
        connection.execute(
            sqlalchemy.update(model.Drive)
            .where(model.Drive.id == drive.id)
            .values(occupied=True, state=int(NtmsDriveState.NTMS_DRIVESTATE_LOADED))
        )
        offline = sqlalchemy.select(model.Library.id).where(model.Library.online == 0).scalar_subquery()
        connection.execute(
            sqlalchemy.update(medium).where(medium.id == media[2].id).values(slot_id=None, library_id=offline, online=0)
        )
        if connection.dialect.name == "sqlite":
            connection.execute(
                sqlalchemy.update(model.Side).where(model.Side.medium_id == media[2].id).values(online=False)
            )
        connection.execute(sqlalchemy.update(model.Side).where(model.Side.id == side).values(mounted=True))
        who = {"host": "mill", "boot": "", "lock_name": "7", "application": "backup", "user_name": "user:alice"}
        connection.execute(sqlalchemy.insert(model.Session).values(id=session.id, opened=now, closed=None, **who))
        mount = {"side_id": side, "drive_id": drive.id, "session_id": session.id, "request_id": None}
        times = {"for_writing": True, "mounted": now, "dismountable_from": None}
        connection.execute(sqlalchemy.insert(model.Mount).values(id=uuid.uuid4(), **mount, **times))

    def ask(transaction: Transaction) -> tuple[uuid.UUID, uuid.UUID]:
        request = queue.insert_request(transaction, queue.MOUNT, library.id, caller_user="user:alice")
        return request, operators.insert_request(
            transaction, rsm.NtmsOpreqCommand.NTMS_OPREQ_MESSAGE, caller_user="user:alice", library_request_id=request
        )

    return Filled(library, *media, *session.write(ask))
