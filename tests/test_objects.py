"""Objects of every kind: listing in containers, reading, changing, attributes, service, owners and lists, the log."""

import contextlib
import dataclasses
import json
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

import builders
import pytest
from watch import new_events, nothing_changed, refused

import rsm
from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsPartitionState as State

# Which kind of object may be listed in which container (the page of EnumerateNtmsObject); None is the whole system.
HOLDS: dict[Kind | None, set[Kind]] = {
    Kind.NTMS_LIBRARY: {
        Kind.NTMS_CHANGER,
        Kind.NTMS_DRIVE,
        Kind.NTMS_IEDOOR,
        Kind.NTMS_IEPORT,
        Kind.NTMS_LIBREQUEST,
        Kind.NTMS_MEDIA_TYPE,
        Kind.NTMS_PHYSICAL_MEDIA,
        Kind.NTMS_STORAGESLOT,
    },
    Kind.NTMS_LOGICAL_MEDIA: {Kind.NTMS_PARTITION},
    Kind.NTMS_MEDIA_POOL: {
        Kind.NTMS_LOGICAL_MEDIA,
        Kind.NTMS_MEDIA_POOL,
        Kind.NTMS_PARTITION,
        Kind.NTMS_PHYSICAL_MEDIA,
    },
    Kind.NTMS_PHYSICAL_MEDIA: {Kind.NTMS_PARTITION},
    Kind.NTMS_PARTITION: {Kind.NTMS_LOGICAL_MEDIA},
    None: {
        Kind.NTMS_CHANGER,
        Kind.NTMS_CHANGER_TYPE,
        Kind.NTMS_COMPUTER,
        Kind.NTMS_DRIVE,
        Kind.NTMS_DRIVE_TYPE,
        Kind.NTMS_IEDOOR,
        Kind.NTMS_IEPORT,
        Kind.NTMS_LIBRARY,
        Kind.NTMS_LIBREQUEST,
        Kind.NTMS_LOGICAL_MEDIA,
        Kind.NTMS_MEDIA_POOL,
        Kind.NTMS_MEDIA_TYPE,
        Kind.NTMS_OPREQUEST,
        Kind.NTMS_PARTITION,
        Kind.NTMS_PHYSICAL_MEDIA,
        Kind.NTMS_STORAGESLOT,
    },
}
REAL_KINDS = sorted(HOLDS[None])
NO_KINDS = sorted(set(Kind) - HOLDS[None])


@dataclasses.dataclass
class World:
    """A catalogue with one object of every kind."""

    session: rsm.Session
    url: str
    ids: dict[Kind, uuid.UUID]


@pytest.fixture
def world(session: rsm.Session, url: str) -> World:
    robot = builders.add_library(url)
    session.types.add("LTO-8", robot.id)
    pool = session.pools.create(r"\Top\Pool", media_type="LTO-8", parents=True)
    medium = session.media.create(pool, [builders.side(state=State.NTMS_PARTSTATE_ALLOCATED)], barcode="A1")
    builders.put_online(url, medium.id, robot)
    (side,) = session.media.sides(medium)
    assert side.logical_medium is not None
    assert robot.changer_type is not None
    assert robot.drive_type is not None
    ids = {
        Kind.NTMS_CHANGER: robot.changers[0],
        Kind.NTMS_CHANGER_TYPE: robot.changer_type,
        Kind.NTMS_COMPUTER: session.objects.list(Kind.NTMS_COMPUTER)[0],
        Kind.NTMS_DRIVE: robot.drives[0],
        Kind.NTMS_DRIVE_TYPE: robot.drive_type,
        Kind.NTMS_IEDOOR: robot.doors[0],
        Kind.NTMS_IEPORT: robot.ports[0],
        Kind.NTMS_LIBRARY: robot.id,
        Kind.NTMS_LIBREQUEST: robot.requests[0],
        Kind.NTMS_LOGICAL_MEDIA: side.logical_medium,
        Kind.NTMS_MEDIA_POOL: pool.id,
        Kind.NTMS_MEDIA_TYPE: medium.media_type,
        Kind.NTMS_OPREQUEST: builders.add_operator_request(url),
        Kind.NTMS_PARTITION: side.id,
        Kind.NTMS_PHYSICAL_MEDIA: medium.id,
        Kind.NTMS_STORAGESLOT: robot.slots[0],
    }
    assert set(ids) == HOLDS[None]
    return World(session, url, ids)


def test_every_kind_in_every_container(world: World) -> None:
    objects = world.session.objects
    unknown = uuid.uuid4()
    for kind in REAL_KINDS:
        for container_kind, container in world.ids.items():
            if kind in HOLDS.get(container_kind, set()):
                found = objects.list(kind, container)
                inside = world.ids[kind] in found
                assert inside is (kind is not Kind.NTMS_MEDIA_POOL), (kind, container_kind)
                assert found == sorted(set(found))
            else:
                with refused(rsm.InvalidParameterError):
                    objects.list(kind, container)
        everything = objects.list(kind)
        assert everything == sorted(set(everything))
        assert (world.ids[kind] in everything) is (kind is not Kind.NTMS_MEDIA_POOL), kind
        with refused(rsm.ObjectNotFoundError):
            objects.list(kind, unknown)
    top = world.session.pools.get("Top").id
    assert objects.list(Kind.NTMS_MEDIA_POOL, top) == [world.ids[Kind.NTMS_MEDIA_POOL]]
    assert top in objects.list(Kind.NTMS_MEDIA_POOL)
    for kind in NO_KINDS:
        for container in (None, *world.ids.values()):
            with refused(rsm.InvalidParameterError):
                objects.list(kind, container)


def _stored(value: Any) -> Any:
    """Return a field as it is stored."""
    if isinstance(value, uuid.UUID):
        return value.bytes
    if isinstance(value, datetime):
        return round(value.timestamp() * 1_000_000)
    return json.dumps(value, separators=(",", ":")) if isinstance(value, dict) else value


def test_streams_hold_what_reading_one_by_one_finds(
    world: World, monkeypatch: pytest.MonkeyPatch, connect: Callable[..., rsm.Session]
) -> None:
    monkeypatch.setattr("rsm.nouns.base.PAGE", 2)
    objects = world.session.objects
    for number in range(5):
        world.session.media.create(r"\Top\Pool", [builders.side()], barcode=f"B{number}")
    for kind in REAL_KINDS:
        for container in (None, *(world.ids[each] for each in world.ids if kind in HOLDS.get(each, set()))):
            found = list(objects.stream(kind, container))
            assert found == [objects.get(kind, each) for each in objects.list(kind, container)]
            rows = list(objects.stream_rows(kind, container))
            for value, row in zip(found, rows, strict=True):
                fields = {field.name: _stored(getattr(value, field.name)) for field in dataclasses.fields(value)}
                if kind is Kind.NTMS_PHYSICAL_MEDIA:
                    fields["sequence_number"] = int(value.sequence_number)
                assert row._asdict() == fields
    with refused(rsm.ObjectNotFoundError):
        objects.stream(Kind.NTMS_PARTITION, uuid.uuid4())
    nobody = connect("user:nobody").objects
    world.session.acl.set(Kind.NTMS_MEDIA_POOL, world.ids[Kind.NTMS_MEDIA_POOL], rsm.SecurityDescriptor(dacl=()))
    assert len(list(objects.stream_rows(Kind.NTMS_PHYSICAL_MEDIA))) == 6
    assert list(nobody.stream(Kind.NTMS_PHYSICAL_MEDIA)) == list(nobody.stream_rows(Kind.NTMS_PHYSICAL_MEDIA)) == []
    pages = objects.stream(Kind.NTMS_PHYSICAL_MEDIA)
    assert next(pages).barcode == "A1"
    world.session.close()
    with refused(rsm.InvalidHandleError):
        list(pages)


def test_the_root_is_listed_on_demand_only(world: World) -> None:
    objects = world.session.objects
    root = world.session.pools.get("\\").id
    top = objects.list(Kind.NTMS_MEDIA_POOL)
    assert objects.list(Kind.NTMS_MEDIA_POOL, include_root=True) == [root, *top]
    assert root not in top
    assert objects.list(Kind.NTMS_MEDIA_POOL, root) == top
    for kind, container in ((Kind.NTMS_LIBRARY, None), (Kind.NTMS_MEDIA_POOL, root)):
        with refused(rsm.InvalidParameterError):
            objects.list(kind, container, include_root=True)


def test_every_kind_can_be_read_and_found_by_its_own_name_only(world: World) -> None:
    objects = world.session.objects
    for kind, object_id in world.ids.items():
        value = objects.get(kind, object_id)
        assert objects.get(kind, value) == value
        assert value.id == object_id
        assert objects.kind(object_id) is kind
        named = world.session.pools.path(object_id) if kind is Kind.NTMS_MEDIA_POOL else value.name
        if named:
            assert objects.find(kind, named) == object_id
            assert objects.get(kind, named) == value
        for other in REAL_KINDS:
            if other is not kind:
                with refused(rsm.ObjectNotFoundError):
                    objects.get(other, object_id)
        with refused(rsm.ObjectNotFoundError):
            objects.find(kind, "nothing is called so")
    for kind in NO_KINDS:
        with refused(rsm.InvalidParameterError):
            objects.get(kind, uuid.uuid4())


def test_values_tell_of_the_objects_around_them(world: World) -> None:
    get = world.session.objects.get
    library = get(Kind.NTMS_LIBRARY, "Robot")
    counts = ("drives", "slots", "doors", "ports", "changers", "media", "media_types", "requests")
    assert [getattr(library, name) for name in counts] == [1, 3, 1, 1, 1, 1, 1, 1]
    for kind in (Kind.NTMS_CHANGER, Kind.NTMS_DRIVE, Kind.NTMS_IEDOOR, Kind.NTMS_IEPORT, Kind.NTMS_STORAGESLOT):
        assert get(kind, world.ids[kind]).library == library.id
    drive = get(Kind.NTMS_DRIVE, world.ids[Kind.NTMS_DRIVE])
    assert (drive.drive_type, drive.path, drive.loaded_side) == (world.ids[Kind.NTMS_DRIVE_TYPE], "", None)
    request = get(Kind.NTMS_LIBREQUEST, world.ids[Kind.NTMS_LIBREQUEST])
    assert (request.library, request.user, request.computer) == (library.id, "user:admin", "here")
    side = get(Kind.NTMS_PARTITION, world.ids[Kind.NTMS_PARTITION])
    assert side.logical_medium == world.ids[Kind.NTMS_LOGICAL_MEDIA]
    logical = get(Kind.NTMS_LOGICAL_MEDIA, side.logical_medium)
    assert (logical.side, logical.pool) == (side.id, world.ids[Kind.NTMS_MEDIA_POOL])


# Changing

W = {"max": 2**16 - 1, "bad": [-1, 2**16, 2**70]}
D = {"max": 2**32 - 1, "bad": [-1, 2**32, 2**70]}
WRITABLE: dict[Kind, dict[str, tuple[Any, list[Any]]]] = {
    Kind.NTMS_COMPUTER: {
        "media_pool_policy": (3, [-1, 4, 2**70]),
        "library_request_flags": (1, [-1, 2**31, 2**70]),
        "operator_request_flags": (1, [-1, 2**31, 2**70]),
        "library_request_purge_seconds": (D["max"], D["bad"]),
        "operator_request_purge_seconds": (0, D["bad"]),
    },
    Kind.NTMS_DRIVE: {"defer_dismount_seconds": (D["max"], D["bad"])},
    Kind.NTMS_IEDOOR: {"max_open_seconds": (W["max"], W["bad"])},
    Kind.NTMS_IEPORT: {"max_extend_seconds": (W["max"], W["bad"])},
    Kind.NTMS_LIBRARY: {
        "auto_recovery": (False, [2, -1]),
        "cleaner_uses_remaining": (7, D["bad"]),
        "inventory_method": (2, [-1, 3, 5, 99, 2**70]),
        "name": ("Robby", ["", "a\nb", "Offline"]),
        "flags": (4, [-1, 2**31, 2**70]),
    },
    Kind.NTMS_LOGICAL_MEDIA: {"name": ("", ["a\0", "x" * 64])},
    Kind.NTMS_PARTITION: {"name": ("a side", ["\ud800"])},
    Kind.NTMS_PHYSICAL_MEDIA: {"name": ("a tape", ["\x7f"])},
    Kind.NTMS_MEDIA_POOL: {
        "name": ("Other", ["", "a\\b", "\n"]),
        "max_allocates": (D["max"], D["bad"]),
        "allocate_from_free": (True, [2, -1]),
        "deallocate_to_free": (True, [2, -1]),
    },
}


def test_writable_fields_and_no_others(world: World) -> None:
    objects = world.session.objects
    for kind, object_id in world.ids.items():
        fields = {"description": ("new\twords", ["x" * 127, "\0", "\ud800"]), **WRITABLE.get(kind, {})}
        before = objects.get(kind, object_id)
        for name, (good, bad) in fields.items():
            for value in bad:
                with pytest.raises(rsm.RsmError) as caught:
                    objects.update(kind, object_id, **{name: value})
                codes = (rsm.InvalidParameterError, rsm.InvalidNameError, rsm.AlreadyExistsError)
                assert isinstance(caught.value, codes), (kind, name, value)
                assert objects.get(kind, object_id) == before
            with new_events(world.session) as events:
                changed = objects.update(kind, object_id, **{name: good})
            assert getattr(changed, name) == good, (kind, name)
            assert changed == objects.get(kind, object_id)
            (event,) = events
            assert (event.operation, event.object, event.kind) == (Operation.NTMS_OBJ_UPDATE, object_id, kind)
            with new_events(world.session) as events:
                assert objects.update(kind, object_id, **{name: good}) == changed
            assert events == []
            before = changed
        for name in {field.name for field in dataclasses.fields(before)} - set(fields) - {"media_type", "name"}:
            with pytest.raises((rsm.InvalidParameterError, TypeError)):
                objects.update(kind, object_id, **{name: getattr(before, name)})
        with refused(rsm.InvalidParameterError):
            objects.update(kind, object_id, no_such_field=1)
        assert objects.get(kind, object_id) == before


def test_flags_the_service_derives_stay_its_own(world: World) -> None:
    update = world.session.objects.update
    ignore = rsm.values.NtmsLibraryFlags.NTMS_LIBRARYFLAG_IGNORECLEANERUSESREMAINING
    fixed = rsm.values.NtmsLibraryFlags.NTMS_LIBRARYFLAG_FIXEDOFFLINE
    robot = world.ids[Kind.NTMS_LIBRARY]
    assert update(Kind.NTMS_LIBRARY, robot, cleaner_uses_remaining=2**32 - 1).flags & ignore
    assert not update(Kind.NTMS_LIBRARY, robot, cleaner_uses_remaining=3).flags & ignore
    assert not update(Kind.NTMS_LIBRARY, robot, flags=int(fixed)).flags & fixed
    assert update(Kind.NTMS_LIBRARY, "Offline", flags=0, name="Shelf").flags & fixed


# Attributes


def test_attributes(world: World) -> None:
    objects = world.session.objects
    for kind, object_id in world.ids.items():
        for value in (b"\x00\xff", b"x" * 65_535, b"y"):
            with new_events(world.session) as events:
                objects.set_attribute(kind, object_id, "note", value)
                objects.set_attribute(kind, object_id, "note", value)
            assert objects.attribute(kind, object_id, "note") == value
            (event,) = events
            assert (event.object, event.call) == (object_id, "SetNtmsObjectAttribute")
            assert event.after == {"attribute": "note", "bytes": len(value)}
        objects.set_attribute(kind, object_id, "Note", b"another")
        with new_events(world.session) as events:
            objects.delete_attribute(kind, object_id, "note")
        assert (events[0].before, events[0].after) == (
            {"attribute": "note", "bytes": 1},
            {"attribute": "note", "bytes": None},
        )
        assert objects.attribute(kind, object_id, "Note") == b"another"
        for call in (objects.attribute, objects.delete_attribute):
            with refused(rsm.ObjectNotFoundError):
                call(kind, object_id, "note")
    pool = world.ids[Kind.NTMS_MEDIA_POOL]
    with nothing_changed(world.url):
        with refused(rsm.NoDataError):
            objects.set_attribute(Kind.NTMS_MEDIA_POOL, pool, "note", b"x" * 65_536)
        for name in ("", "x" * 32, "a\nb", "\ud800"):
            with refused(rsm.InvalidNameError):
                objects.attribute(Kind.NTMS_MEDIA_POOL, pool, name)
        with refused(rsm.ObjectNotFoundError):
            objects.set_attribute(Kind.NTMS_MEDIA_POOL, uuid.uuid4(), "note", b"1")
        with refused(rsm.ObjectNotFoundError):
            objects.set_attribute(Kind.NTMS_LIBRARY, pool, "note", b"1")


# In service and out


def test_service(world: World) -> None:
    objects = world.session.objects
    serviceable = (Kind.NTMS_LIBRARY, Kind.NTMS_DRIVE, Kind.NTMS_PHYSICAL_MEDIA)
    for kind, object_id in world.ids.items():
        if kind not in serviceable:
            for switch in (objects.enable, objects.disable):
                with refused(rsm.InvalidParameterError):
                    switch(kind, object_id)
            continue
        for switch, enabled in ((objects.disable, False), (objects.enable, True)):
            with new_events(world.session) as events:
                switch(kind, object_id)
            assert objects.get(kind, object_id).enabled is enabled
            assert (events[0].object, events[0].after) == (object_id, {"enabled": enabled})
            assert events[0].call == ("EnableNtmsObject" if enabled else "DisableNtmsObject")
            with refused(rsm.InvalidStateError):
                switch(kind, object_id)
            with refused(rsm.LibraryOfflineError):
                switch(Kind.NTMS_LIBRARY, "Offline")
            with refused(rsm.ObjectNotFoundError):
                switch(kind, uuid.uuid4())


# Owners and lists


def test_owners_and_lists(world: World) -> None:
    acl = world.session.acl
    guards = (Kind.NTMS_COMPUTER, Kind.NTMS_LIBRARY, Kind.NTMS_MEDIA_POOL)
    dacl = tuple(
        rsm.Ace(number % 2 == 0, f"user:u{number}", rsm.AccessRights(number + 1), number > 4) for number in range(7)
    )
    for kind, object_id in world.ids.items():
        if kind not in guards:
            with refused(rsm.NoSecurityOnObjectError):
                acl.get(kind, object_id)
            with refused(rsm.NoSecurityOnObjectError):
                acl.set(kind, object_id, rsm.SecurityDescriptor(dacl=dacl))
            continue
        before = acl.get(kind, object_id)
        with new_events(world.session) as events:
            acl.set(kind, object_id, rsm.SecurityDescriptor(dacl=dacl))
            acl.set(kind, object_id, rsm.SecurityDescriptor(owner="group:keepers"))
            acl.set(kind, object_id, rsm.SecurityDescriptor("group:keepers", dacl))
        assert acl.get(kind, object_id) == rsm.SecurityDescriptor("group:keepers", dacl)
        assert [set(event.after or ()) for event in events] == [{"dacl"}, {"owner"}]
        assert events[1].before == {"owner": before.owner}
        acl.set(kind, object_id, rsm.SecurityDescriptor(dacl=()))
        assert acl.get(kind, object_id).dacl == ()
    bad: list[Any] = [
        rsm.SecurityDescriptor(),
        rsm.SecurityDescriptor(owner="alice"),
        rsm.SecurityDescriptor(owner="user:"),
        rsm.SecurityDescriptor(dacl=(rsm.Ace(True, "user:\n", rsm.AccessRights.USE),)),
        rsm.SecurityDescriptor(dacl=(rsm.Ace(True, "user:\ud800", rsm.AccessRights.USE),)),
        rsm.SecurityDescriptor(dacl=(rsm.Ace(True, "everyone", rsm.AccessRights(0)),)),
        rsm.SecurityDescriptor(dacl=(rsm.Ace(True, "everyone", 8),)),  # type: ignore[arg-type]
        rsm.SecurityDescriptor(dacl=(rsm.Ace(True, "everyone", 2**70),)),  # type: ignore[arg-type]
        rsm.SecurityDescriptor(dacl=("everyone",)),  # type: ignore[arg-type]
    ]
    with nothing_changed(world.url):
        for descriptor in bad:
            with refused(rsm.InvalidParameterError):
                acl.set(Kind.NTMS_MEDIA_POOL, world.ids[Kind.NTMS_MEDIA_POOL], descriptor)


# The log


def test_the_log(world: World, connect: Callable[..., rsm.Session]) -> None:
    session = world.session
    pool = world.ids[Kind.NTMS_MEDIA_POOL]
    bob = connect("user:bob", "group:rsm")
    with session.because("outer"):
        session.pools.update(pool, max_allocates=1)
        with session.because("inner"):
            session.pools.update(pool, max_allocates=2)
        bob.pools.update(pool, max_allocates=3)
        session.pools.update(pool, max_allocates=4)
    session.pools.update(pool, max_allocates=5)
    history = session.events.list(object_=pool)
    reasons = [(event.user, event.reason) for event in history[1:]]
    admin = "user:admin"
    assert reasons == [(admin, "outer"), (admin, "inner"), ("user:bob", ""), (admin, "outer"), (admin, "")]
    assert {event.session for event in history} == {session.id, bob.id}
    assert session.events.list(object_=session.pools.get(pool)) == history
    everything = session.events.list()
    numbers = [event.id for event in everything]
    assert numbers == sorted(set(numbers))
    assert session.events.list(after=numbers[2], limit=2) == everything[3:5]
    assert session.events.list(after=numbers[-1]) == session.events.list(limit=0) == []
    assert [event.at for event in everything] == sorted(event.at for event in everything)


def test_a_batch_is_one_transaction_with_its_events(world: World) -> None:
    session = world.session
    with nothing_changed(world.url), contextlib.suppress(ZeroDivisionError), session.transaction():
        session.pools.create("One")
        session.media.delete(session.media.create(r"\Top\Pool", [builders.side()]))
        raise ZeroDivisionError
    with nothing_changed(world.url), session.transaction(dry_run=True):
        session.pools.create("One")
        assert session.pools.get("One").path == r"\One"
    with new_events(session) as events, session.transaction():
        session.pools.create("One")
        with refused(rsm.AlreadyExistsError):
            session.pools.create("One")
        with refused(rsm.NotEmptyError):
            session.pools.delete(r"\Top")
        with refused(rsm.InvalidOperationError), session.transaction():
            pass
        session.pools.create(r"\One\Two")
    assert [event.after and event.after["path"] for event in events] == [r"\One", r"\One\Two"]
    assert {event.at for event in events} == {events[0].at}


def calls_about(session: rsm.Session, kind: Kind, named: Any) -> list[Callable[[], object]]:
    """Return calls about an object of a kind that is not there."""
    objects = session.objects
    return [
        lambda: objects.get(kind, named),
        lambda: objects.update(kind, named, name="x"),
        lambda: objects.attribute(kind, named, "note"),
        lambda: objects.set_attribute(kind, named, "note", b""),
        lambda: objects.disable(kind, named),
        lambda: session.acl.get(kind, named),
        lambda: session.acl.set(kind, named, rsm.SecurityDescriptor()),
    ]


def test_every_call_knows_every_kind_or_refuses_it(session: rsm.Session, url: str) -> None:
    objects = session.objects
    refusals = (
        *(rsm.ObjectNotFoundError, rsm.InvalidParameterError, rsm.AccessDeniedError, rsm.NoSecurityOnObjectError),
    )
    with nothing_changed(url):
        for kind in Kind:
            for list_all in (objects.list, objects.stream, objects.stream_rows):
                with contextlib.nullcontext() if kind in REAL_KINDS else refused(rsm.InvalidParameterError):
                    list_all(kind)
            for named in ("nothing is called so", uuid.UUID(int=7)):
                for call in calls_about(session, kind, named):
                    with pytest.raises(refusals):
                        call()
            with refused(rsm.ObjectNotFoundError if kind in REAL_KINDS else rsm.InvalidParameterError):
                objects.find(kind, "nothing is called so")
