"""Media types: which library takes which, the service's pools that come and go with them, and types of one's own."""

import uuid
from typing import Any

import builders
import pytest
from sqlalchemy import select
from watch import new_events, nothing_changed, refused

import rsm
from rsm import model, schema
from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsPartitionState as State
from rsm.constants import NtmsReadWriteCharacteristics

TYPE = "LTO-8"
CHILDREN = [rf"\Free\{TYPE}", rf"\Import\{TYPE}", rf"\Unrecognized\{TYPE}"]


@pytest.fixture
def robot(url: str) -> builders.BuiltLibrary:
    return builders.add_library(url)


def system_pools(session: rsm.Session) -> list[str]:
    return [pool.path for pool in session.pools.list(recursive=True) if pool.pool_type < 1000 and pool.parent]


def types_of(session: rsm.Session, library: Any) -> list[str]:
    return [media_type.name for media_type in session.types.list(library)]


def test_adding_a_type_makes_its_pools_once(session: rsm.Session, robot: builders.BuiltLibrary, url: str) -> None:
    second = builders.add_library(url, "Second")
    kind = session.types.get(TYPE)
    with session.because("new drive"), new_events(session) as events:
        session.types.add(kind, "Robot")
    assert [(event.operation, event.kind) for event in events] == [
        (Operation.NTMS_OBJ_UPDATE, Kind.NTMS_LIBRARY),
        *[(Operation.NTMS_OBJ_INSERT, Kind.NTMS_MEDIA_POOL)] * 3,
        (Operation.NTMS_OBJ_UPDATE, Kind.NTMS_DRIVE_TYPE),
    ]
    assert (events[0].object, events[0].before, events[0].after) == (
        robot.id,
        {"media_type": None},
        {"media_type": TYPE},
    )
    assert {(event.call, event.reason) for event in events} == {("AddNtmsMediaType", "new drive")}
    assert system_pools(session) == CHILDREN
    for path in CHILDREN:
        pool = session.pools.get(path)
        parent = session.pools.get(path.rpartition("\\")[0])
        assert (pool.media_type, pool.parent, pool.pool_type) == (kind.id, parent.id, parent.pool_type)
        of_parent = session.acl.get(Kind.NTMS_MEDIA_POOL, parent).dacl or ()
        taken_over = tuple(rsm.Ace(ace.allow, ace.trustee, ace.rights, True) for ace in of_parent)
        assert session.acl.get(Kind.NTMS_MEDIA_POOL, pool) == rsm.SecurityDescriptor("administrators", taken_over)
    with nothing_changed(url):
        session.types.add(kind.id, robot.id)
    with new_events(session) as events:
        session.types.add(TYPE, second.id)
    assert [event.object for event in events] == [second.id, second.drive_type]
    assert types_of(session, "Robot") == types_of(session, second.id) == [TYPE]
    assert session.objects.get(Kind.NTMS_LIBRARY, "Second").media_types == 1


def test_the_pools_go_with_the_last_use(session: rsm.Session, robot: builders.BuiltLibrary, url: str) -> None:
    second = builders.add_library(url, "Second")
    for library in (robot.id, second.id):
        session.types.add(TYPE, library)
    session.types.remove(TYPE, robot.id)
    assert system_pools(session) == CHILDREN
    with new_events(session) as events:
        session.types.remove(TYPE, second.id)
    assert system_pools(session) == types_of(session, second.id) == []
    assert [(event.call, event.operation) for event in events] == [
        *[("DeleteNtmsMediaType", Operation.NTMS_OBJ_UPDATE)] * 2,  # of the library, and of what its drives take
        *[("DeleteNtmsMediaType", Operation.NTMS_OBJ_DELETE)] * 3,
    ]
    assert schema.check(url) == []


@pytest.mark.parametrize("last", ["the library", "the cartridge"])
def test_cartridges_on_the_shelf_keep_the_pools(session: rsm.Session, robot: Any, url: str, last: str) -> None:
    session.types.add(TYPE, robot.id)
    pool = session.pools.create("Mine", media_type=TYPE)
    medium = session.media.create(pool, [builders.side()])
    if last == "the library":
        session.media.delete(medium)
        session.types.remove(TYPE, robot.id)
    else:
        session.types.remove(TYPE, robot.id)
        assert system_pools(session) == CHILDREN
        session.media.move(medium, CHILDREN[0])
        session.media.delete(medium)
    assert system_pools(session) == []
    assert schema.check(url) == []


def test_a_type_with_cartridges_inside_is_not_removed(session: rsm.Session, robot: Any, url: str) -> None:
    session.types.add(TYPE, robot.id)
    medium = session.media.create(session.pools.create("Mine", media_type=TYPE), [builders.side()])
    builders.put_online(url, medium.id, robot)
    with nothing_changed(url), refused(rsm.NotEmptyError):
        session.types.remove(TYPE, robot.id)


def test_refused_additions_and_removals(session: rsm.Session, robot: Any, url: str) -> None:
    pool = session.pools.create("Mine")
    table: list[tuple[Any, Any, type[rsm.RsmError], type[rsm.RsmError]]] = [
        (TYPE, "nowhere", rsm.InvalidLibraryError, rsm.InvalidLibraryError),
        (TYPE, uuid.uuid4(), rsm.InvalidLibraryError, rsm.InvalidLibraryError),
        (TYPE, pool.id, rsm.InvalidLibraryError, rsm.InvalidLibraryError),
        ("nothing", robot.id, rsm.InvalidMediaError, rsm.InvalidMediaError),
        (pool.id, robot.id, rsm.InvalidMediaError, rsm.InvalidMediaError),
        (TYPE, "Offline", rsm.LibraryOfflineError, rsm.InvalidMediaError),
    ]
    with nothing_changed(url):
        for media_type, library, adding, removing in table:
            with refused(adding):
                session.types.add(media_type, library)
            with refused(removing):
                session.types.remove(media_type, library)
        with refused(rsm.InvalidMediaError):  # never added
            session.types.remove(TYPE, robot.id)


def test_the_types_that_come_along(session: rsm.Session, url: str) -> None:
    types = {media_type.name: media_type for media_type in session.types.list()}
    assert types["LTO Ultrium"].code == 86
    assert {f"LTO-{generation}" for generation in range(1, 11)} <= set(types)
    assert types["DDS_4mm"].code == 32
    assert (types["MO_5_RW"].sides, types["LTO-8"].sides) == (2, 1)
    codes = [media_type.code for media_type in types.values()]
    assert len(set(codes)) == len(codes)
    assert max(codes) < 2000
    with nothing_changed(url), refused(rsm.AccessDeniedError):
        session.types.delete("LTO-8")


def test_types_of_ones_own(session: rsm.Session, robot: Any, url: str) -> None:
    made = []
    for number, (sides, read_write, device_type) in enumerate([(1, 1, 31), (2, 2, 7), (1, 3, 2)]):
        with new_events(session) as events:
            mine = session.types.create(
                f"Mine {number}",
                sides=sides,
                read_write=rsm.NtmsReadWriteCharacteristics(read_write),
                device_type=device_type,
                description="ours",
            )
        assert (mine.sides, mine.read_write, mine.device_type, mine.code) == (
            sides,
            read_write,
            device_type,
            2000 + number,
        )
        assert session.types.get(mine.name) == mine
        (event,) = events
        assert (event.operation, event.kind, event.object) == (
            Operation.NTMS_OBJ_INSERT,
            Kind.NTMS_MEDIA_TYPE,
            mine.id,
        )
        made.append(mine)
    session.types.add("Mine 1", robot.id)
    session.pools.create("Pool", media_type="Mine 0")
    with nothing_changed(url):
        for used in ("Mine 0", "Mine 1"):
            with refused(rsm.NotEmptyError):
                session.types.delete(used)
        with refused(rsm.AlreadyExistsError):
            session.types.create("Mine 0")
        with refused(rsm.AlreadyExistsError):
            session.types.create("LTO-8")
        wrong: list[dict[str, Any]] = [
            {"sides": 0},
            {"sides": 3},
            {"sides": -1},
            {"read_write": 4},
            {"read_write": 2**70},
            {"device_type": 5},
            {"device_type": -1},
            {"description": "x" * 127},
        ]
        for options in wrong:
            with refused(rsm.InvalidParameterError):
                session.types.create("New", **options)
        with refused(rsm.ObjectNotFoundError):
            session.types.delete("nothing")
    session.types.remove("Mine 1", robot.id)
    with new_events(session) as events:
        session.types.delete(made[1])
    assert [(event.operation, event.before) for event in events] == [
        (Operation.NTMS_OBJ_DELETE, {"name": "Mine 1"}),
    ]
    with refused(rsm.ObjectNotFoundError):
        session.types.get("Mine 1")


def test_a_type_whose_last_cartridge_is_gone_can_be_deleted(session: rsm.Session, robot: Any, url: str) -> None:
    mine = session.types.create("Mine")
    session.types.add(mine, robot.id)
    pool = session.pools.create("Pool", media_type=mine)
    medium = session.media.create(pool, [builders.side(state=State.NTMS_PARTSTATE_IMPORT)])
    session.types.remove(mine, robot.id)
    session.media.delete(medium)
    session.pools.delete(pool)
    session.types.delete(mine)
    assert schema.check(url) == []


def test_the_drives_of_a_library_take_what_it_takes(
    session: rsm.Session, robot: builders.BuiltLibrary, url: str
) -> None:
    def fits() -> set[Any]:
        with builders.behind(url) as connection:
            columns = model.DriveTypeMediaType.__table__.c
            rows = connection.execute(select(columns.drive_type_id, columns.media_type_id, columns.writes))
            return {tuple(row) for row in rows}

    kind = session.types.get(TYPE)
    session.types.add(kind, "Robot")
    assert fits() == {(robot.drive_type, kind.id, True)}
    session.types.remove(kind, "Robot")
    assert fits() == set()
    made = session.types.create("Discs", read_write=NtmsReadWriteCharacteristics.NTMS_MEDIARW_READONLY)
    session.types.add(made, "Robot")
    assert fits() == {(robot.drive_type, made.id, False)}
    session.types.remove(made, "Robot")
    session.types.delete(made)
