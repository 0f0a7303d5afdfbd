"""Makes the saved catalogue of the newest revision: `python make.py` beside this file writes 0001.db and 0001.jsonl.

Run it once, when a revision is made, and keep what it wrote: later revisions must upgrade exactly those files. Every
table gets a row, and names that only careful programs survive.
"""

import io
import sqlite3
import sys
import tempfile
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from builders import BuiltLibrary, add_library, add_operator_request, behind, put_online, side  # noqa: E402
from conftest import Postgresql  # noqa: E402

import rsm  # noqa: E402
from rsm import db, model, schema  # noqa: E402
from rsm.constants import NtmsObjectsTypes as Kind  # noqa: E402
from rsm.constants import NtmsPartitionState as State  # noqa: E402

ODD_NAMES = ("Zoë’s tapes", "Zoe\u0308’s tapes", "磁带 🎞️", "İı ßẞ", "شريط", "%_'\";--", "a" * 63)
AT = datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC)
ADMINISTRATOR = rsm.Caller("user:admin", administrator=True)


def fill(url: str) -> None:
    """Put real content into a new catalogue, through sessions where there are calls and behind them where not."""
    robot = add_library(url, "Robot 🤖", slots=4, drives=2, doors=1, ports=1)
    add_library(url, "robot 🤖", slots=1, drives=1)
    add_operator_request(url, "Bitte Kassette „Zoë“ einlegen")
    with rsm.connect(url, application="saved", caller=ADMINISTRATOR) as session, session.because("to be kept"):
        tapes = fill_pools(session)
        put_online(url, tapes[0].id, robot, slot=0)
        put_online(url, tapes[1].id, robot, slot=2)
    with behind(url) as connection:
        fill_work(connection, robot, tapes)


def fill_pools(session: rsm.Session) -> list[rsm.PhysicalMedium]:
    """Make pools, media with one side and two, rights and attributes; return the cartridges."""
    security = rsm.SecurityDescriptor(
        owner="user:zoë",
        dacl=(
            rsm.Ace(False, "user:eve", rsm.AccessRights.MODIFY),
            rsm.Ace(True, "group:backup", rsm.AccessRights.USE | rsm.AccessRights.MODIFY),
        ),
    )
    session.pools.create("\\Nightly", security=security, description="every night\nwithout fail")
    daily = session.pools.create("\\Nightly\\Daily", media_type="LTO-8", allocate_from_free=True, max_allocates=7)
    session.pools.create("\\nightly")
    for name in ODD_NAMES:
        session.pools.create(f"\\Nightly\\{name}", media_type="LTO-8")
    discs = session.pools.create("\\Discs", media_type="MO_5_RW")
    tapes = [
        session.media.create(
            daily, [side(0, State.NTMS_PARTSTATE_ALLOCATED, capacity_bytes=2**62)], barcode="A00001L8"
        ),
        session.media.create(daily, [side(0)], barcode="A00002L8", name="Zoë 💾", description="old"),
        session.media.create(
            discs, [side(0, State.NTMS_PARTSTATE_COMPLETE), side(1, label_id=bytes(range(256))[:255])], barcode=""
        ),
    ]
    session.media.update(tapes[1], name="Zoë 💾 2")
    session.objects.set_attribute(Kind.NTMS_MEDIA_POOL, daily, "Größe", bytes(range(256)) * 4)
    session.objects.set_attribute(Kind.NTMS_PHYSICAL_MEDIA, tapes[0], "zero", b"\0")
    session.pools.delete(session.pools.create("\\gone"))
    return tapes


def fill_work(connection: sqlalchemy.Connection, robot: BuiltLibrary, tapes: list[rsm.PhysicalMedium]) -> None:
    """Add what only running work leaves: sessions, steps, mounts, paths, subscribers and destinations."""

    def insert(table: type[model.Base], **fields: Any) -> None:
        connection.execute(sqlalchemy.insert(table).values(**fields))

    connection.execute(sqlalchemy.update(model.Computer).values(name="bäckup-1"))
    open_session, closed_session = db.new_id(), db.new_id()
    where = {"host": "höst", "boot": "b1", "lock_name": "l1", "application": "saved", "user_name": "user:zoë"}
    insert(model.Session, id=open_session, opened=AT, closed=None, **where)
    insert(model.Session, id=closed_session, opened=AT, closed=AT + timedelta(days=1), **where)
    lto, mo = (
        connection.execute(sqlalchemy.select(model.MediaType.id).where(model.MediaType.name == name)).scalar_one()
        for name in ("LTO-8", "MO_5_RW")
    )
    insert(model.LibraryMediaType, library_id=robot.id, media_type_id=lto)
    parent = sqlalchemy.select(model.MediaPool).where(model.MediaPool.pool_type.in_((1, 2, 3)))
    for pool in connection.execute(parent).all():
        system = {"kind": int(Kind.NTMS_MEDIA_POOL), "id": db.new_id()}
        insert(model.Object, **system)
        row = {**pool._mapping, "id": system["id"], "name": "LTO-8", "parent_id": pool.id, "media_type_id": lto}
        insert(model.MediaPool, **row)
    for media_type in (lto, mo):
        row = {"reads": True, "writes": media_type == lto, "protected_only": media_type == mo}
        insert(model.DriveTypeMediaType, drive_type_id=robot.drive_type, media_type_id=media_type, **row)
    insert(model.DevicePath, device_id=robot.drives[0], host="höst", path="/dev/nst0")
    insert(
        model.RequestStep,
        request_id=robot.requests[0],
        number=0,
        work="robot",
        action="move",
        state=2,
        epoch=2**40,
        source_element=None,
        destination_element=500,
        due=None,
        started=AT,
        completed=None,
        error_code=0,
        details={"ключ": [1, None, "ü"]},
    )
    change = lambda table, object_id, **fields: connection.execute(  # noqa: E731
        sqlalchemy.update(table).where(table.id == object_id).values(**fields)
    )
    change(model.Library, robot.id, epoch=2**40)
    change(model.Drive, robot.drives[0], occupied=True, state=7)
    change(model.Slot, robot.slots[0], state=2)
    change(model.PhysicalMedium, tapes[0].id, slot_id=None, drive_id=robot.drives[0])
    face = connection.execute(sqlalchemy.select(model.Side.id).where(model.Side.medium_id == tapes[0].id)).scalar_one()
    change(model.Side, face, mounted=True)
    insert(
        model.Mount,
        id=db.new_id(),
        side_id=face,
        drive_id=robot.drives[0],
        session_id=open_session,
        request_id=robot.requests[0],
        for_writing=True,
        mounted=AT,
        dismountable_from=datetime.max.replace(tzinfo=UTC),
    )
    for object_id, session_id in ((robot.id, None), (None, open_session)):
        place = {"object_id": object_id, "session_id": session_id}
        insert(model.UIDestination, id=db.new_id(), ui_type=3, destination="konsole-ä", **place)
    subscriber = {"session_id": open_session, "kind": int(Kind.NTMS_MEDIA_POOL), "last_event_id": 3, "opened": AT}
    insert(model.NotificationSubscriber, id=uuid.UUID(int=2**128 - 1), **subscriber)


def _export_from_postgresql(url: str, target: Path) -> None:
    """Carry a catalogue over to PostgreSQL, and write what is exported there."""
    server = Postgresql()
    try:
        other = server.database(empty=True)
        with io.StringIO() as text:
            schema.export_catalogue(url, text)
            text.seek(0)
            schema.import_catalogue(other, text)
        with target.open("w", encoding="utf-8") as file:
            schema.export_catalogue(other, file)
    finally:
        server.stop()


def main() -> None:
    """Write both files: the SQLite one as it is, the export from PostgreSQL."""
    stem = HERE / f"{db.REVISION:04}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "saved.db"
        schema.create(str(path), caller=ADMINISTRATOR)
        fill(str(path))
        findings = schema.check(str(path))
        assert not findings, findings
        _export_from_postgresql(str(path), stem.with_suffix(".jsonl"))
        stem.with_suffix(".db").unlink(missing_ok=True)
        connection = sqlite3.connect(path)
        # Small pages: a hundred tables and indices of a few rows each, kept in a repository.
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA page_size = 512")
        connection.execute("VACUUM INTO ?", [str(stem.with_suffix(".db"))])
        connection.close()


if __name__ == "__main__":
    main()
