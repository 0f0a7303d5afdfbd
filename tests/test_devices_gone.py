"""Libraries and drives that are taken off record, the map of a library, and statements that fail under it all."""

import collections
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import builders
import faults
import pytest
import sqlalchemy
from robots import HERE, Filled, fill, make_folder, rows_of, sync, told_by
from watch import new_events, nothing_changed, refused

import rsm
from rsm import model, schema
from rsm.constants import (
    NtmsLibraryType,
    NtmsMediaState,
    NtmsOperationalState,
    NtmsPortContent,
    NtmsSlotState,
)
from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsPartitionState as State
from rsm.libraries.virtual import create
from rsm.services import devices

NOT_PRESENT, FULL = NtmsOperationalState.NTMS_NOT_PRESENT, NtmsSlotState.NTMS_SLOTSTATE_FULL


@pytest.fixture
def session(connect: Callable[..., rsm.Session]) -> rsm.Session:
    """A session that carries out no library work: here only records are looked at."""
    return connect(worker=False)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """A virtual library of 4 slots, 2 drives and a port, with a cartridge in slot 2 and one in the port."""
    return make_folder(tmp_path)


# Deleting


def test_deleting_a_library_sends_its_media_offline(session: rsm.Session, url: str, folder: str) -> None:
    filled = fill(session, url, folder)
    assert schema.check(url) == []
    mounted = session.media.sides(filled.mounted)[0]
    assert session.media.get(filled.mounted).mounted_side == mounted.id
    with session.because("sold"), new_events(session) as events:
        session.libraries.delete("Robot")
    offline = session.libraries.get("Offline")
    for medium in (filled.mounted, filled.stored, filled.away):
        now = session.media.get(medium)
        assert (now.library, now.location, now.home_slot, now.mounted_side, now.media_state) == (
            offline.id,
            None,
            None,
            None,
            NtmsMediaState.NTMS_MEDIASTATE_IDLE,
        )
        (side,) = session.media.sides(medium)
        assert (side.state, side.logical_medium is None) == (State.NTMS_PARTSTATE_ALLOCATED, False)
    for table in (model.Mount, model.Drive, model.Slot, model.Port, model.Changer, model.DriveType, model.ChangerType):
        assert rows_of(url, table, "id") == set()
    for table in (model.LibraryRequest, model.OperatorRequest):
        assert rows_of(url, table, "id") == set()
    assert rows_of(url, model.Side, "online", "mounted") == {(False, False)}
    # its cartridges keep the pools of their media type
    assert session.pools.get(r"\Free\LTO-8")
    counted = collections.Counter((event.kind, event.operation) for event in events)
    assert counted == {
        (Kind.NTMS_PARTITION, Operation.NTMS_OBJ_UPDATE): 1,
        (Kind.NTMS_PHYSICAL_MEDIA, Operation.NTMS_OBJ_UPDATE): 3,
        (Kind.NTMS_OPREQUEST, Operation.NTMS_OBJ_DELETE): 1,
        (Kind.NTMS_LIBREQUEST, Operation.NTMS_OBJ_DELETE): 2,
        (Kind.NTMS_CHANGER, Operation.NTMS_OBJ_DELETE): 1,
        (Kind.NTMS_CHANGER_TYPE, Operation.NTMS_OBJ_DELETE): 1,
        (Kind.NTMS_DRIVE, Operation.NTMS_OBJ_DELETE): 2,
        (Kind.NTMS_DRIVE_TYPE, Operation.NTMS_OBJ_DELETE): 1,
        (Kind.NTMS_STORAGESLOT, Operation.NTMS_OBJ_DELETE): 4,
        (Kind.NTMS_IEPORT, Operation.NTMS_OBJ_DELETE): 1,
        (Kind.NTMS_LIBRARY, Operation.NTMS_OBJ_DELETE): 1,
    }
    assert {event.reason for event in events} == {"sold"}
    (lost,) = (event for event in events if event.object == filled.mounted.id)
    assert lost.before is not None
    moved = {"library_id": str(offline.id), "online": False, "media_state": 0}
    assert lost.after == {**dict.fromkeys(lost.before), **moved}
    assert schema.check(url) == []
    # it can be put on record again
    session.libraries.add("virtual", folder)


def test_what_was_last_used_by_a_library_goes_with_it(session: rsm.Session, url: str, folder: str) -> None:
    mine = session.types.create("Mine")
    session.libraries.add("virtual", folder, media_types=[mine, "LTO-8"])
    other = builders.add_library(url, "Other", requests=0)
    session.types.add("LTO-8", other.id)
    session.libraries.delete("Robot")
    assert [pool.path for pool in session.pools.list(recursive=True) if pool.media_type] == [
        r"\Free\LTO-8",
        r"\Import\LTO-8",
        r"\Unrecognized\LTO-8",
    ]
    session.types.delete(mine)
    session.libraries.delete(other.id)  # with a door
    assert rows_of(url, model.Door, "id") == set()
    assert schema.check(url) == []


@pytest.mark.parametrize("reference", ["Offline", "nothing", uuid.uuid4()])
def test_what_is_no_library_that_can_be_deleted(session: rsm.Session, url: str, reference: Any) -> None:
    with nothing_changed(url), refused(rsm.InvalidLibraryError):
        session.libraries.delete(reference)
    with pytest.raises(TypeError):
        session.libraries.delete(None)  # type: ignore[arg-type]


def test_a_drive_is_deleted_once_it_is_not_present(session: rsm.Session, url: str, folder: str) -> None:
    filled = fill(session, url, folder)
    first, second = session.libraries.drives(filled.library)
    with nothing_changed(url):
        with refused(rsm.InvalidStateError):
            session.libraries.delete_drive(first)
        for nothing in ("nothing", uuid.uuid4(), filled.library.id):
            with refused(rsm.InvalidDriveError):
                session.libraries.delete_drive(nothing)
        with pytest.raises(TypeError):
            session.libraries.delete_drive(filled.library)  # type: ignore[arg-type]
    sync(session, filled.library, told_by(folder).without(101, 102))
    with new_events(session) as events:
        session.libraries.delete_drive("drive-01")
    assert [(event.call, event.kind, event.operation) for event in events] == [
        ("DeleteNtmsDrive", Kind.NTMS_PARTITION, Operation.NTMS_OBJ_UPDATE),
        ("DeleteNtmsDrive", Kind.NTMS_PHYSICAL_MEDIA, Operation.NTMS_OBJ_UPDATE),
        ("DeleteNtmsDrive", Kind.NTMS_DRIVE, Operation.NTMS_OBJ_DELETE),
    ]
    assert session.media.get(filled.mounted).library == session.libraries.get("Offline").id
    assert session.media.get(filled.stored).library == filled.library.id
    session.libraries.delete_drive(second.id)
    assert rows_of(url, model.DriveType, "id") == set()
    assert schema.check(url) == []
    assert sync(session, filled.library, told_by(folder)) is True  # back, as new drives
    assert first.id not in [drive.id for drive in session.libraries.drives(filled.library)]


def test_a_stand_alone_library_goes_with_its_drive(session: rsm.Session, url: str) -> None:
    alone = builders.add_library(url, "Alone", slots=0, doors=0, ports=0, requests=0)
    with builders.behind(url) as connection:
        standalone = int(NtmsLibraryType.NTMS_LIBRARYTYPE_STANDALONE)
        connection.execute(
            sqlalchemy.update(model.Library).where(model.Library.id == alone.id).values(library_type=standalone)
        )
        connection.execute(sqlalchemy.update(model.Drive).values(operational_state=int(NOT_PRESENT)))
    session.libraries.delete_drive(alone.drives[0])
    assert [each.name for each in session.libraries.list()] == ["Offline"]
    assert schema.check(url) == []


# The map


def test_the_map_shows_what_lies_where(session: rsm.Session, url: str, folder: str) -> None:
    filled = fill(session, url, folder)
    found = session.libraries.map("Robot")
    assert found.library == session.libraries.get("Robot")
    assert [[place.number for place in places] for places in (found.slots, found.drives, found.ports)] == [
        [1, 2, 3, 4],
        [1, 2],
        [1],
    ]
    assert [place.number for place in found.slots if place.cartridge] == [2]
    stored, loaded = found.slots[1].cartridge, found.drives[0].cartridge
    assert stored is not None
    assert loaded is not None
    assert (stored.id, stored.barcode, stored.pool, stored.media_type, stored.sides, stored.mount) == (
        filled.stored.id,
        "B00001",
        r"\App",
        "LTO-8",
        (State.NTMS_PARTSTATE_ALLOCATED,),
        None,
    )
    assert loaded.mount is not None
    assert (loaded.mount.user, loaded.mount.application, loaded.mount.host, loaded.mount.for_writing) == (
        "user:alice",
        "backup",
        "mill",
        True,
    )
    assert loaded.mount.dismountable_from is None
    assert (found.slots[1].state, found.ports[0].state) == (FULL, NtmsPortContent.NTMS_PORTCONTENT_FULL)
    with refused(rsm.ObjectNotFoundError):
        session.libraries.map("nothing")


def test_the_map_hides_cartridges_that_the_caller_may_not_read(
    session: rsm.Session, connect: Callable[..., rsm.Session], url: str, folder: str
) -> None:
    filled = fill(session, url, folder)
    alice = connect("user:alice", worker=False)
    session.acl.set(Kind.NTMS_MEDIA_POOL, r"\App", rsm.SecurityDescriptor(dacl=()))
    hidden = alice.libraries.map("Robot").slots[1].cartridge
    assert hidden == rsm.MapCartridge(
        id=filled.stored.id,
        barcode="B00001",
        name="",
        pool="",
        media_type="",
        media_state=None,
        enabled=True,
        sides=(),
        mount=None,
    )
    session.acl.set(Kind.NTMS_LIBRARY, "Robot", rsm.SecurityDescriptor(dacl=()))
    with refused(rsm.AccessDeniedError):
        alice.libraries.map("Robot")


def test_a_large_library_takes_few_statements(session: rsm.Session, url: str, tmp_path: Path) -> None:
    told = told_by(create(tmp_path / "large", 1000, 2, 0, "LTO-8"))
    with faults.recording(session) as fault:
        library = session.write(
            devices.add_library, session.caller, "Large", "virtual", "x", told.identity, told.elements, HERE, None
        )
    assert len(fault.calls) < 150
    built = builders.BuiltLibrary(library.id, "Large", [slot.id for slot in session.libraries.slots(library)])
    pool = session.pools.create(r"\App", media_type="LTO-8")
    for number in range(5):
        builders.put_online(url, session.media.create(pool, [builders.side()]).id, built, number)
    with faults.recording(session) as fault:
        found = session.libraries.map(library)
    assert len(found.slots) == 1000
    assert sum(place.cartridge is not None for place in found.slots) == 5
    assert len([call for call in fault.calls if call.startswith(("SELECT", "WITH"))]) <= 13
    with faults.recording(session) as fault:
        assert sync(session, library, told.without(1500)) is True
        session.libraries.delete(library)
    assert len(fault.calls) < 200
    assert schema.check(url) == []


# Failures


def _vanish(session: rsm.Session, filled: Filled, folder: str) -> object:
    return sync(session, filled.library, told_by(folder).without(102, 1003))


CALLS: dict[str, Callable[[rsm.Session, Filled, str], object]] = {
    "add": lambda session, filled, folder: session.libraries.add("virtual", f"{folder}-2"),
    "sync": _vanish,
    "delete": lambda session, filled, folder: session.libraries.delete("Robot"),
    "delete drive": lambda session, filled, folder: session.libraries.delete_drive("drive-01"),
}


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize("name", CALLS)
def test_nothing_changes_whichever_call_of_the_driver_fails(
    session: rsm.Session, url: str, folder: str, name: str
) -> None:
    create(f"{folder}-2", 2, 1, 1, "LTO-7")
    filled = fill(session, url, folder)
    if name == "delete drive":
        sync(session, filled.library, told_by(folder).without(101))
    with faults.watching(url) as watcher:
        before = watcher.rows()
        fired, nth = "", 0
        while fired != "COMMIT":
            nth += 1
            with (
                faults.failing(session, nth, faults.disk_error) as fault,
                pytest.raises(rsm.DatabaseFailureError) as caught,
            ):
                CALLS[name](session, filled, folder)
            assert fault.fired is not None
            fired = fault.fired
            assert caught.value.outcome_unknown is (fired == "COMMIT")
            assert watcher.rows() == before, f"call {nth}: {fired}"
        assert nth > 15
    CALLS[name](session, filled, folder)
    assert schema.check(url) == []
