"""Media pools through the Pythonic face: making, reading, changing and deleting them, and the events of each."""

from collections.abc import Callable
from typing import Any

import builders
import pytest
from watch import new_events, nothing_changed, refused

import rsm
from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind

INSERT, UPDATE, DELETE = Operation.NTMS_OBJ_INSERT, Operation.NTMS_OBJ_UPDATE, Operation.NTMS_OBJ_DELETE
ALL = rsm.AccessRights(0xE0007)
FREE_PARENT, FREE_CHILD = r"\Free", r"\Free\LTO-8"
SYSTEM_POOLS = [r"\Free", r"\Unrecognized", r"\Import"]


@pytest.fixture
def world(session: rsm.Session, url: str) -> rsm.Session:
    """Return a session on a catalogue with system pools of LTO-8, a tree, and a cartridge in it."""
    session.types.add("LTO-8", builders.add_library(url).id)
    session.pools.create(r"\Tree\Media", media_type="LTO-8", parents=True)
    session.pools.create(r"\Tree\Branch\Leaf", parents=True)
    session.media.create(r"\Tree\Media", [builders.side()], barcode="A1")
    return session


def test_a_new_pool_has_the_documented_defaults(session: rsm.Session) -> None:
    with new_events(session) as events:
        pool = session.pools.create("Top")
    assert (pool.name, pool.path, pool.description, pool.parent, pool.media_type) == ("Top", r"\Top", "", None, None)
    assert pool.pool_type is rsm.NtmsPoolType.NTMS_POOLTYPE_APPLICATION
    assert (pool.allocate_from_free, pool.deallocate_to_free, pool.max_allocates) == (False, False, 0)
    assert (pool.physical_media, pool.logical_media, pool.pools) == (0, 0, 0)
    assert pool.enabled is True
    assert pool.created == pool.modified
    assert pool.created.utcoffset() is not None
    (event,) = events
    assert (event.operation, event.kind, event.object) == (INSERT, Kind.NTMS_MEDIA_POOL, pool.id)
    assert (event.call, event.user, event.application, event.session) == (
        "CreateNtmsMediaPool",
        "user:admin",
        "tests",
        session.id,
    )
    assert event.before is None
    assert event.after is not None
    assert {name: event.after[name] for name in ("name", "path", "owner", "pool_type", "max_allocates")} == {
        "name": "Top",
        "path": r"\Top",
        "owner": "user:admin",
        "pool_type": 1000,
        "max_allocates": 0,
    }
    assert session.acl.get(Kind.NTMS_MEDIA_POOL, pool) == rsm.SecurityDescriptor(
        "user:admin", (rsm.Ace(True, "user:admin", ALL),)
    )


def test_a_new_pool_takes_what_it_is_given(session: rsm.Session) -> None:
    kind = session.types.get("LTO-8")
    dacl = (rsm.Ace(False, "group:guests", rsm.AccessRights.USE), rsm.Ace(True, "everyone", rsm.AccessRights.USE))
    given = rsm.SecurityDescriptor("group:backup", dacl)
    parent = session.pools.create("Top", security=given)
    for number, media_type in enumerate((kind, kind.id, "LTO-8")):
        pool = session.pools.create(
            f"Top\\{number}",
            media_type=media_type,
            allocate_from_free=True,
            deallocate_to_free=True,
            max_allocates=2**32 - 1,
            description="for tapes",
        )
        assert (pool.media_type, pool.parent, pool.description) == (kind.id, parent.id, "for tapes")
        assert (pool.allocate_from_free, pool.deallocate_to_free, pool.max_allocates) == (True, True, 2**32 - 1)
    assert session.acl.get(Kind.NTMS_MEDIA_POOL, parent) == given
    taken_over = tuple(rsm.Ace(ace.allow, ace.trustee, ace.rights, True) for ace in dacl)
    assert session.acl.get(Kind.NTMS_MEDIA_POOL, pool).dacl == (rsm.Ace(True, "user:admin", ALL), *taken_over)
    assert session.pools.get(parent).pools == 3


def test_exist_ok_returns_the_pool_as_it_is(session: rsm.Session, url: str) -> None:
    made = session.pools.create("Top", max_allocates=3, exist_ok=True)
    with nothing_changed(url):
        assert session.pools.create("Top", media_type="LTO-8", max_allocates=5, exist_ok=True) == made
        assert session.pools.create(r"\Free", exist_ok=True).pool_type is rsm.NtmsPoolType.NTMS_POOLTYPE_SCRATCH
        with refused(rsm.AlreadyExistsError):
            session.pools.create("Top")


def test_parents_are_made_with_the_pool_or_not_at_all(session: rsm.Session, url: str) -> None:
    with new_events(session) as events:
        leaf = session.pools.create(r"\A\B\C", media_type="LTO-8", parents=True)
    assert [event.after and event.after["path"] for event in events] == [r"\A", r"\A\B", r"\A\B\C"]
    assert session.pools.get(r"\A\B").media_type is None
    assert leaf.path == r"\A\B\C"
    with nothing_changed(url):
        with refused(rsm.InvalidNameError):
            session.pools.create(r"\A\B\C\D\E", parents=True)
        with refused(rsm.InvalidMediaError):
            session.pools.create(r"\X\Y", media_type="no such type", parents=True)
        with refused(rsm.ObjectNotFoundError):
            session.pools.create(r"\X\Y")


REFUSED_CREATES: list[tuple[str, dict[str, Any], type[rsm.RsmError]]] = [
    (r"\Tree", {}, rsm.AlreadyExistsError),
    (r"\Tree\Media", {}, rsm.AlreadyExistsError),
    (r"\Missing\Pool", {}, rsm.ObjectNotFoundError),
    (r"\Tree\Missing\Pool", {}, rsm.ObjectNotFoundError),
    (r"\Tree\Media\Pool", {}, rsm.InvalidNameError),
    (r"\Free\Mine", {}, rsm.InvalidNameError),
    (r"\Free\LTO-8\Mine", {}, rsm.InvalidNameError),
    (r"\Import\Mine", {}, rsm.InvalidNameError),
    (r"\Unrecognized\Mine", {}, rsm.InvalidNameError),
    (r"\Free", {}, rsm.AlreadyExistsError),
    (r"\Free\LTO-8", {}, rsm.AlreadyExistsError),
    (r"\New", {"media_type": "no such type"}, rsm.InvalidMediaError),
    (r"\New", {"max_allocates": -1}, rsm.InvalidParameterError),
    (r"\New", {"max_allocates": 2**32}, rsm.InvalidParameterError),
    (r"\New", {"description": "x" * 127}, rsm.InvalidParameterError),
    (r"\New", {"security": rsm.SecurityDescriptor(owner="nobody")}, rsm.InvalidParameterError),
    (r"\New", {"security": rsm.SecurityDescriptor(dacl=(1,))}, rsm.InvalidParameterError),  # type: ignore[arg-type]
]


def test_refused_creates(world: rsm.Session, url: str) -> None:
    library = world.objects.list(Kind.NTMS_LIBRARY)[0]
    with nothing_changed(url):
        for path, options, error in [*REFUSED_CREATES, (r"\New", {"media_type": library}, rsm.InvalidMediaError)]:
            with refused(error):
                world.pools.create(path, **options)


# Reading


def test_listings(world: rsm.Session) -> None:
    assert {pool.path for pool in world.pools.list()} == {*SYSTEM_POOLS, r"\Tree"}
    ids = [pool.id for pool in world.pools.list()]
    assert ids == sorted(ids) == world.objects.list(Kind.NTMS_MEDIA_POOL)
    root, *rest = world.pools.list(include_root=True)
    assert (root.path, root.parent, rest) == ("\\", None, world.pools.list())
    assert root.pools == 4
    below = [r"\Tree\Branch", r"\Tree\Branch\Leaf", r"\Tree\Media"]
    assert [pool.path for pool in world.pools.list(r"\Tree", recursive=True)] == below
    assert {pool.path for pool in world.pools.list(world.pools.get("Tree"))} == {below[0], below[2]}
    assert world.pools.list(r"\Tree\Media") == []
    everything = [pool.path for pool in world.pools.list(recursive=True)]
    assert everything == sorted(everything)
    assert set(everything) == {*SYSTEM_POOLS, *(f"{top}\\LTO-8" for top in SYSTEM_POOLS), r"\Tree", *below}
    media = world.pools.get(r"\Tree\Media")
    assert (media.physical_media, media.logical_media) == (1, 0)
    with refused(rsm.ObjectNotFoundError):
        world.pools.list("nowhere")


def test_a_pool_is_named_by_value_id_or_path(world: rsm.Session) -> None:
    pool = world.pools.get(r"\Tree\Media")
    for named in (pool, pool.id, r"\Tree\Media", r"Tree\Media"):
        assert world.pools.get(named) == pool
        assert world.pools.path(named) == r"\Tree\Media"
    assert world.pools.path(world.pools.list(include_root=True)[0]) == world.pools.path("\\") == "\\"


# Changing

CHANGES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({"name": "Renamed"}, {"name": "Leaf"}, {"name": "Renamed"}),
    ({"description": "d\n"}, {"description": ""}, {"description": "d\n"}),
    ({"allocate_from_free": True}, {"allocation_policy": 0}, {"allocation_policy": 1}),
    ({"deallocate_to_free": True}, {"deallocation_policy": 0}, {"deallocation_policy": 1}),
    ({"max_allocates": 7}, {"max_allocates": 0}, {"max_allocates": 7}),
    (
        {"name": "Both", "max_allocates": 1, "deallocate_to_free": False},
        {"name": "Leaf", "max_allocates": 0},
        {"name": "Both", "max_allocates": 1},
    ),
]


def test_each_change_leaves_one_event_with_what_was_and_what_is(world: rsm.Session) -> None:
    for changes, before, after in CHANGES:
        leaf = world.pools.get(r"\Tree\Branch\Leaf")
        with world.because("policy 9"), new_events(world) as events:
            changed = world.pools.update(leaf, **changes)
        (event,) = events
        assert (event.operation, event.kind, event.object) == (UPDATE, Kind.NTMS_MEDIA_POOL, leaf.id)
        assert (event.call, event.before, event.after, event.reason) == (
            "SetNtmsObjectInformation",
            before,
            after,
            "policy 9",
        )
        assert changed.modified == event.at >= leaf.modified
        assert {name: getattr(changed, name) for name in changes} == changes
        with new_events(world) as events:
            assert world.pools.update(leaf, **changes) == changed
            assert world.pools.update(leaf) == changed
        assert events == []
        restored = {name: getattr(leaf, name) for name in changes}
        assert world.pools.update(leaf, **restored).path == leaf.path


def test_a_rename_takes_the_pools_below_along(world: rsm.Session, url: str) -> None:
    with new_events(world) as events:
        tree = world.pools.update("Tree", name="Wood")
    assert tree.path == r"\Wood"
    assert len(events) == 1
    paths = [r"\Wood\Branch", r"\Wood\Branch\Leaf", r"\Wood\Media"]
    assert [pool.path for pool in world.pools.list(tree, recursive=True)] == paths
    with nothing_changed(url):
        with refused(rsm.ObjectNotFoundError):
            world.pools.get(r"\Tree\Branch")
        for taken in ("Free", "Import", "Unrecognized"):
            with refused(rsm.AlreadyExistsError):
                world.pools.update(tree, name=taken)
        with refused(rsm.AlreadyExistsError):
            world.pools.update(r"\Wood\Branch", name="Media")
    world.pools.update(r"\Wood\Branch", name="media")  # case tells them apart


MEDIA_TYPE_CHANGES: list[tuple[str, str | None, type[rsm.RsmError] | None]] = [
    (r"\Tree\Branch\Leaf", "LTO-8", None),  # an empty pool of pools becomes one of media
    (r"\Tree\Branch\Leaf", "LTO-7", None),
    (r"\Tree\Branch\Leaf", None, None),
    (r"\Tree\Branch", "LTO-8", rsm.MediaIncompatibleError),  # holds a pool
    (r"\Tree\Branch", None, None),  # as it is
    (r"\Tree\Media", "LTO-8", None),  # as it is
    (r"\Tree\Media", "LTO-7", rsm.MediaIncompatibleError),  # holds a cartridge
    (r"\Tree\Media", None, rsm.MediaIncompatibleError),
    (r"\Tree\Branch\Leaf", "no such type", rsm.InvalidParameterError),
]


def test_the_media_type_changes_only_while_a_pool_is_empty(world: rsm.Session, url: str) -> None:
    for path, media_type, error in MEDIA_TYPE_CHANGES:
        if error is None:
            wanted = media_type and world.types.get(media_type)
            assert world.pools.update(path, media_type=wanted).media_type == (wanted and wanted.id)
        else:
            with nothing_changed(url), refused(error):
                world.pools.update(path, media_type=media_type)


@pytest.mark.parametrize("path", ["\\", FREE_PARENT, FREE_CHILD, r"\Import\LTO-8", r"\Unrecognized"])
def test_pools_of_the_service_keep_all_but_their_description(world: rsm.Session, url: str, path: str) -> None:
    pool = world.pools.get(path)
    changes: list[dict[str, Any]] = [
        {"name": "Mine"},
        {"max_allocates": 1},
        {"allocate_from_free": True},
        {"deallocate_to_free": True},
        {"media_type": "LTO-7"},
        {"name": "Mine", "description": "mine"},
    ]
    with nothing_changed(url):
        for change in changes:
            with refused(rsm.AccessDeniedError):
                world.pools.update(pool, **change)
        for reference in (pool, pool.id, path):
            with refused(rsm.InvalidMediaPoolError):
                world.pools.delete(reference)
        assert world.pools.update(pool, name=pool.name, max_allocates=0, media_type=pool.media_type) == pool
    assert world.pools.update(pool, name=pool.name, description="ours").description == "ours"


# Deleting


def test_deleting_a_pool(world: rsm.Session, url: str) -> None:
    leaf = world.pools.get(r"\Tree\Branch\Leaf")
    world.objects.set_attribute(Kind.NTMS_MEDIA_POOL, leaf, "note", b"1")
    with world.because("no longer needed"), new_events(world) as events:
        world.pools.delete(leaf)
    (event,) = events
    assert (event.operation, event.object, event.call, event.after) == (DELETE, leaf.id, "DeleteNtmsMediaPool", None)
    assert event.before is not None
    assert (event.before["path"], event.before["name"]) == (leaf.path, "Leaf")
    assert event.reason == "no longer needed"
    with nothing_changed(url):
        for reference in (leaf, leaf.id, leaf.path):
            with refused(rsm.InvalidMediaPoolError):
                world.pools.delete(reference)
        with refused(rsm.ObjectNotFoundError):
            world.objects.kind(leaf.id)
    again = world.pools.create(leaf.path)
    assert again.id != leaf.id
    with refused(rsm.ObjectNotFoundError):
        world.objects.attribute(Kind.NTMS_MEDIA_POOL, again, "note")


def test_what_is_not_empty_or_no_pool_is_not_deleted(world: rsm.Session, url: str) -> None:
    medium = world.media.get("A1")
    with nothing_changed(url):
        for path in (r"\Tree", r"\Tree\Media", r"\Tree\Branch"):
            with refused(rsm.NotEmptyError):
                world.pools.delete(path)
        for other in (medium.id, medium.library, medium.media_type, world.id):
            with refused(rsm.InvalidMediaPoolError):
                world.pools.delete(other)
    world.media.delete("A1")
    world.pools.delete(r"\Tree\Media")


def test_pools_that_may_not_be_read_are_left_out_of_lists(world: rsm.Session, connect: Callable[..., Any]) -> None:
    closed = rsm.SecurityDescriptor(dacl=(rsm.Ace(False, "user:alice", ALL), rsm.Ace(True, "everyone", ALL)))
    world.acl.set(Kind.NTMS_MEDIA_POOL, r"\Tree\Branch", closed)
    alice = connect("user:alice")
    everything = [pool.path for pool in world.pools.list(recursive=True)]
    assert [pool.path for pool in connect("user:bob").pools.list(r"\Tree\Branch", recursive=True)] == []
    world.acl.set(Kind.NTMS_MEDIA_POOL, r"\Tree", rsm.SecurityDescriptor(dacl=closed.dacl[1:]))
    assert r"\Tree" in [pool.path for pool in alice.pools.list()]
    assert alice.pools.list(r"\Tree") == []
    assert r"\Tree\Branch" in everything
    assert r"\Tree\Branch" not in [pool.path for pool in alice.pools.list(recursive=True)]
    assert alice.pools.path(r"\Tree\Branch") == r"\Tree\Branch"
    with refused(rsm.AccessDeniedError):
        alice.pools.get(r"\Tree\Branch")


@pytest.mark.parametrize(
    ("path", "options"),
    [
        (r"\Plain", {}),
        (r"\Of media", {"media_type": "LTO-8", "allocate_from_free": True, "max_allocates": 7}),
        (r"\Above\Below", {"parents": True, "deallocate_to_free": True, "description": "one level down"}),
    ],
)
def test_what_creating_returns_is_what_reading_says(session: rsm.Session, path: str, options: dict[str, Any]) -> None:
    made = session.pools.create(path, **options)
    assert made == session.pools.get(made.id) == session.pools.get(path)
    inserted = [event for event in session.events.list(object_=made) if event.after]
    assert [event.after["path"] for event in inserted if event.after] == [path]
