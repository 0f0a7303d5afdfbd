"""Allocating, giving back, completing, decommissioning, swapping, recording labels: every outcome of each."""

import uuid
from collections.abc import Callable
from typing import Any

import allocating
import builders
import pytest
from allocating import (
    ALLOCATED,
    AVAILABLE,
    COMPLETE,
    DECOMMISSIONED,
    FOREIGN,
    IMPORT,
    RESERVED,
    UNPREPARED,
    World,
)
from watch import new_events, nothing_changed, refused

import rsm
from rsm import model
from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsPartitionState as State

NO_ID = uuid.UUID(int=7)
USE, CONTROL, MODIFY = rsm.AccessRights.USE, rsm.AccessRights.CONTROL, rsm.AccessRights.MODIFY


@pytest.fixture
def world(connect: Callable[..., rsm.Session], url: str) -> World:
    """Return a furnished catalogue."""
    return allocating.make_world(connect(worker=False), url)


def allocate(world: World, pool: str, **options: Any) -> rsm.LogicalMedium:
    return world.session.media.allocate(pool, error_if_unavailable=True, **options)


# Allocating


def test_an_allocation_is_recorded_whole(world: World) -> None:
    (side,) = world.add(r"\One", "A1")
    with world.session.because("nightly"), new_events(world.session) as events:
        made = world.session.media.allocate_from(r"\One", timeout_ms=0)
    logical = made.logical_medium
    assert made.source_pool == logical.pool == world.session.pools.get(r"\One").id
    assert (logical.side, logical.medium, logical.sides) == (side, world.session.media.get("A1").id, 1)
    assert (logical.application, logical.user, logical.name) == ("tests", "user:admin", "A1")
    (found,) = world.session.media.sides("A1")
    assert (found.state, found.allocate_count, found.logical_medium) == (ALLOCATED, 1, logical.id)
    assert found.label_type == "MTF"
    assert world.session.media.logical_media(r"\One") == world.session.media.logical_media() == [logical]
    assert [(event.operation, event.kind, event.object) for event in events] == [
        (Operation.NTMS_OBJ_UPDATE, Kind.NTMS_PARTITION, side),
        (Operation.NTMS_OBJ_INSERT, Kind.NTMS_LOGICAL_MEDIA, logical.id),
    ]
    assert events[0].before == {"state": AVAILABLE, "allocate_count": 0}
    assert events[0].after == {"state": ALLOCATED, "allocate_count": 1}
    assert {(event.call, event.reason) for event in events} == {("AllocateNtmsMedia", "nightly")}


def test_a_free_cartridge_moves_into_the_pool_in_the_same_step(world: World) -> None:
    sides = world.add(allocating.FREE[allocating.TWO_SIDED], "F1", AVAILABLE, AVAILABLE)
    free, target = (world.session.pools.get(path).id for path in (r"\Free\MO_5_RW", r"\Two draws"))
    with new_events(world.session) as events:
        made = world.session.media.allocate_from(r"\Two draws", timeout_ms=0)
    assert (made.source_pool, made.logical_medium.pool, made.logical_medium.side) == (free, target, sides[0])
    assert world.states("F1") == [ALLOCATED, AVAILABLE]
    assert {side.pool for side in world.session.media.sides("F1")} == {target}
    assert [event.kind for event in events] == [
        Kind.NTMS_PHYSICAL_MEDIA,
        Kind.NTMS_PARTITION,
        Kind.NTMS_LOGICAL_MEDIA,
    ]
    assert (events[0].before, events[0].after) == ({"pool_id": str(free)}, {"pool_id": str(target)})


NEW_AND_NEXT: list[tuple[tuple[State, ...], dict[str, bool], tuple[State, ...] | None]] = [
    ((AVAILABLE, AVAILABLE), {}, (ALLOCATED, AVAILABLE)),
    ((AVAILABLE, AVAILABLE), {"new": True}, (ALLOCATED, RESERVED)),
    ((ALLOCATED, AVAILABLE), {}, (ALLOCATED, ALLOCATED)),
    ((ALLOCATED, AVAILABLE), {"new": True}, None),
    ((COMPLETE, AVAILABLE), {"new": True}, None),
    ((AVAILABLE, DECOMMISSIONED), {"new": True}, None),
    ((ALLOCATED, RESERVED), {}, None),
    ((IMPORT, FOREIGN), {}, None),
]


def test_what_a_two_sided_cartridge_becomes(world: World) -> None:
    for states, options, after in NEW_AND_NEXT:
        with world.case((states, options)):
            world.add(r"\Two", "T1", *states)
            if after is None:
                with nothing_changed(world.url), refused(rsm.MediaUnavailableError):
                    allocate(world, r"\Two", **options)
            else:
                allocate(world, r"\Two", **options)
                assert world.states("T1") == list(after)


def test_next_takes_the_side_that_was_kept_and_then_there_is_none(world: World) -> None:
    sides = world.add(r"\Two", "T1", AVAILABLE, AVAILABLE)
    first = allocate(world, r"\Two", new=True)
    with nothing_changed(world.url), refused(rsm.MediaUnavailableError):
        allocate(world, r"\Two")
    for wrong in (sides[0], world.add(r"\Two", "T2", AVAILABLE, AVAILABLE)[1]):
        with refused(rsm.InvalidMediaError):
            allocate(world, r"\Two", next_to=first, side=wrong)
    second = allocate(world, r"\Two", next_to=first)
    assert (first.side, second.side) == (sides[0], sides[1])
    assert second.medium == first.medium
    assert second.id != first.id
    for held in (first, second.id):
        with nothing_changed(world.url), refused(rsm.MediaUnavailableError):
            world.session.media.allocate(r"\Two", next_to=held)  # waiting would not help


def test_an_import_is_one_step_and_leaves_the_other_side(world: World) -> None:
    sides = world.add(allocating.IMPORTED[allocating.TWO_SIDED], "I1", IMPORT, IMPORT)
    source = world.session.pools.get(r"\Import\MO_5_RW").id
    made = world.session.media.allocate_from(r"\Two", side=sides[1])
    assert (made.source_pool, made.logical_medium.side) == (source, sides[1])
    assert world.pool_of("I1") == r"\Two"
    assert world.states("I1") == [IMPORT, ALLOCATED]
    with refused(rsm.MediaUnavailableError):
        allocate(world, r"\Two")
    second = world.session.media.allocate_from(r"\Two", side=world.session.media.sides("I1")[0])
    assert second.source_pool == second.logical_medium.pool
    assert world.states("I1") == [ALLOCATED, ALLOCATED]


def _add(pool: str, *states: State, **options: Any) -> Callable[[World], dict[str, Any]]:
    return lambda world: {"side": world.add(pool, "X1", *states, **options)[0]}


def _in_use(pool: str, *states: State, number: int = 0) -> Callable[[World], dict[str, Any]]:
    def prepare(world: World) -> dict[str, Any]:
        sides = world.add(pool, "X1", *states)
        builders.add_mount(world.url, sides[number], world.near.drives[0])
        return {"side": sides[0]}

    return prepare


def _disabled_side(world: World) -> dict[str, Any]:
    (side,) = world.add(r"\One", "X1")
    builders.set_columns(world.url, model.Side, side, enabled=False)
    return {"side": side}


def _next_elsewhere(world: World) -> dict[str, Any]:
    world.add(r"\Two more", "X1", AVAILABLE, AVAILABLE)
    return {"next_to": allocate(world, r"\Two more", new=True)}


def _next_on_shelf(world: World) -> dict[str, Any]:
    world.add(r"\Two", "X1", ALLOCATED, RESERVED, shelf=True)
    return {"next_to": "X1"}


def _hidden(**options: bool) -> Callable[[World], dict[str, Any]]:
    def prepare(world: World) -> dict[str, Any]:
        world.add(r"\One", "X1", **options)  # type: ignore[arg-type]
        return {}

    return prepare


def _nothing(world: World) -> dict[str, Any]:
    return {}


REFUSED: dict[str, tuple[str, Callable[[World], dict[str, Any]], type[rsm.RsmError]]] = {
    "no such pool": (r"\Gone", _nothing, rsm.InvalidMediaPoolError),
    "a pool of pools": (r"\Holder", _nothing, rsm.InvalidMediaPoolError),
    "the root": ("\\", _nothing, rsm.InvalidMediaPoolError),
    "the free pool": (r"\Free\LTO-8", _nothing, rsm.InvalidMediaPoolError),
    "nothing": (r"\One", _nothing, rsm.MediaUnavailableError),
    "on the shelf": (r"\One", _hidden(shelf=True), rsm.MediaUnavailableError),
    "disabled": (r"\One", _hidden(enabled=False), rsm.MediaUnavailableError),
    "no free pool": (r"\Nowhere", _nothing, rsm.DeviceNotAvailableError),
    "new and next": (r"\Two", lambda world: {"new": True, "next_to": NO_ID}, rsm.InvalidParameterError),
    "next of nothing": (r"\Two", lambda world: {"next_to": NO_ID}, rsm.InvalidMediaError),
    "next in another pool": (r"\Two", _next_elsewhere, rsm.InvalidMediaError),
    "next on the shelf": (r"\Two", _next_on_shelf, rsm.MediaOfflineError),
    "no such side": (r"\One", lambda world: {"side": NO_ID}, rsm.InvalidMediaError),
    "no such cartridge": (r"\One", lambda world: {"side": "X9"}, rsm.InvalidMediaError),
    "a two-sided cartridge": (
        r"\Two",
        lambda world: {"side": "X1", "new": bool(world.add(r"\Two", "X1", AVAILABLE, AVAILABLE))},
        rsm.InvalidParameterError,
    ),
    **{
        f"a side that is {state.name}": (r"\One", _add(r"\One", state), rsm.InvalidMediaError)
        for state in set(State) - {AVAILABLE, IMPORT}
    },
    "a side of another type": (r"\One", _add(r"\Two", AVAILABLE, AVAILABLE), rsm.InvalidMediaError),
    "an import of another type": (r"\One", _add(r"\Import\MO_5_RW", IMPORT, IMPORT), rsm.InvalidMediaError),
    "a side on the shelf": (r"\One", _add(r"\One", shelf=True), rsm.MediaOfflineError),
    "an import on the shelf": (r"\One", _add(r"\Import\LTO-8", IMPORT, shelf=True), rsm.MediaOfflineError),
    "a disabled side": (r"\One", _disabled_side, rsm.MediaUnavailableError),
    "a side in use": (r"\One", _in_use(r"\One", AVAILABLE), rsm.MediaUnavailableError),
    "away from its holder": (r"\Two", _add(r"\Two more", AVAILABLE, ALLOCATED), rsm.InvalidMediaError),
    "away while in use": (r"\Two", _in_use(r"\Two more", AVAILABLE, AVAILABLE, number=1), rsm.MediaUnavailableError),
    "half labelled": (r"\Two", _add(r"\Free\MO_5_RW", AVAILABLE, UNPREPARED), rsm.MediaUnavailableError),
    "shared": (
        r"\Two",
        lambda world: {"side": world.add(r"\Two", "X1", AVAILABLE, ALLOCATED)[0], "new": True},
        rsm.InvalidMediaError,
    ),
}


def test_refused_allocations_change_nothing(world: World) -> None:
    for case, (pool, prepare, error) in REFUSED.items():
        with world.case(case):
            options = prepare(world)
            with new_events(world.session) as events, refused(error):
                allocate(world, pool, **options)
            assert events == []


def test_wrong_types_are_refused(world: World) -> None:
    wrong: list[dict[str, Any]] = [{"side": 1}, {"new": 1}, {"next_to": 2.5}, {"timeout_ms": "1"}, {"timeout_ms": True}]
    for options in (*wrong, {"error_if_unavailable": None}):
        with pytest.raises(TypeError):
            world.session.media.allocate(r"\One", **options)
    with refused(rsm.InvalidParameterError):
        world.session.media.allocate(r"\One", timeout_ms=-1)


# Rights

ALLOCATIONS: list[tuple[str, str, tuple[State, ...], str, dict[str, rsm.AccessRights], bool]] = [
    # era, pool of the medium, its states, what is called, the rights on pools, and whether they are enough
    ("2003", r"\One", (AVAILABLE,), "allocate", {r"\One": CONTROL}, True),
    ("2003", r"\One", (AVAILABLE,), "allocate", {r"\One": MODIFY | USE}, False),
    ("2003", r"\Free\LTO-8", (AVAILABLE,), "draw", {r"\One draws": CONTROL, r"\Free\LTO-8": USE}, True),
    ("2003", r"\Free\LTO-8", (AVAILABLE,), "draw", {r"\One draws": CONTROL, r"\Free\LTO-8": MODIFY}, False),
    ("2003", r"\Import\LTO-8", (IMPORT,), "name", {r"\One": CONTROL, r"\Import\LTO-8": CONTROL}, True),
    ("2003", r"\Import\LTO-8", (IMPORT,), "name", {r"\One": CONTROL, r"\Import\LTO-8": USE}, False),
    ("2003", r"\Free\LTO-8", (AVAILABLE,), "name", {r"\One": CONTROL, r"\Free\LTO-8": USE}, True),
    ("2003", r"\One returns", (ALLOCATED,), "return", {r"\One returns": CONTROL, r"\Free\LTO-8": USE}, True),
    ("2003", r"\One returns", (ALLOCATED,), "return", {r"\One returns": CONTROL, r"\Free\LTO-8": MODIFY}, False),
    ("2003", r"\One returns", (ALLOCATED,), "return", {r"\One returns": USE, r"\Free\LTO-8": USE}, False),
    ("2003", r"\One", (ALLOCATED,), "complete", {r"\One": CONTROL}, True),
    ("2003", r"\One", (ALLOCATED,), "complete", {r"\One": MODIFY}, False),
    ("2003", r"\One", (AVAILABLE,), "decommission", {r"\One": CONTROL}, True),
    ("2003", r"\One", (AVAILABLE,), "decommission", {r"\One": MODIFY}, False),
    ("2003", r"\One", (ALLOCATED,), "label", {r"\One": CONTROL}, True),
    ("2003", r"\One", (ALLOCATED,), "label", {r"\One": MODIFY}, False),
    ("2003", r"\One", (ALLOCATED,), "swap", {r"\One": MODIFY}, True),
    ("2003", r"\One", (ALLOCATED,), "swap", {r"\One": CONTROL}, False),
    ("2000", r"\One", (AVAILABLE,), "allocate", {r"\One": MODIFY}, True),
    ("2000", r"\One", (AVAILABLE,), "allocate", {r"\One": CONTROL}, False),
    ("2000", r"\Free\LTO-8", (AVAILABLE,), "draw", {r"\One draws": MODIFY, r"\Free\LTO-8": MODIFY}, True),
    ("2000", r"\Free\LTO-8", (AVAILABLE,), "draw", {r"\One draws": MODIFY, r"\Free\LTO-8": USE}, False),
]
CALLS: dict[str, Callable[[rsm.Session], object]] = {
    "allocate": lambda session: session.media.allocate(r"\One", timeout_ms=0),
    "draw": lambda session: session.media.allocate(r"\One draws", timeout_ms=0),
    "name": lambda session: session.media.allocate(r"\One", side="X1", timeout_ms=0),
    "return": lambda session: session.media.deallocate("X1"),
    "complete": lambda session: session.media.complete("X1"),
    "decommission": lambda session: session.media.decommission("X1"),
    "label": lambda session: session.media.update_label("X1", "new", b"1"),
    "swap": lambda session: session.media.swap("X1", "X2"),
}


@pytest.mark.parametrize("era", ["2003", "2000"])
def test_rights(new_url: Callable[..., str], connect: Callable[..., rsm.Session], era: str) -> None:
    url = new_url(era=era)
    world = allocating.make_world(connect(database=url, worker=False), url)
    alice = connect("user:alice", database=url, worker=False)
    for _, pool, states, call, rights, enough in (case for case in ALLOCATIONS if case[0] == era):
        with world.case((call, pool, rights)):
            world.add(pool, "X1", *states)
            world.add(pool if call == "swap" else r"\One more", "X2", *states)
            for path in {pool, *rights}:
                given = (rsm.Ace(True, "user:alice", rights[path]),) if path in rights else ()
                world.session.acl.set(Kind.NTMS_MEDIA_POOL, path, rsm.SecurityDescriptor(dacl=given))
            if enough:
                CALLS[call](alice)
            else:
                with nothing_changed(url), refused(rsm.AccessDeniedError):
                    CALLS[call](alice)


# Giving back

RETURNS: list[tuple[str, tuple[State, ...], int, tuple[State, ...], str]] = [
    # pool, states of the sides, allocations of the first so far, states after it was given back, pool after that
    (r"\One", (ALLOCATED,), 5, (AVAILABLE,), r"\One"),
    (r"\One", (COMPLETE,), 5, (AVAILABLE,), r"\One"),
    (r"\One returns", (ALLOCATED,), 1, (UNPREPARED,), r"\Free\LTO-8"),
    (r"\One returns", (COMPLETE,), 1, (UNPREPARED,), r"\Free\LTO-8"),
    (r"\One returns", (ALLOCATED,), 2, (DECOMMISSIONED,), r"\One returns"),
    (r"\One returns", (ALLOCATED,), 3, (DECOMMISSIONED,), r"\One returns"),
    (r"\Nowhere", (ALLOCATED,), 1, (AVAILABLE,), r"\Nowhere"),
    (r"\Two", (ALLOCATED, RESERVED), 1, (AVAILABLE, AVAILABLE), r"\Two"),
    (r"\Two", (ALLOCATED, AVAILABLE), 1, (AVAILABLE, AVAILABLE), r"\Two"),
    (r"\Two", (ALLOCATED, COMPLETE), 1, (AVAILABLE, COMPLETE), r"\Two"),
    (r"\Two returns", (ALLOCATED, RESERVED), 1, (UNPREPARED, UNPREPARED), r"\Free\MO_5_RW"),
    (r"\Two returns", (ALLOCATED, RESERVED), 2, (DECOMMISSIONED, AVAILABLE), r"\Two returns"),
    (r"\Two returns", (COMPLETE, AVAILABLE), 1, (UNPREPARED, UNPREPARED), r"\Free\MO_5_RW"),
    (r"\Two returns", (ALLOCATED, ALLOCATED), 1, (AVAILABLE, ALLOCATED), r"\Two returns"),
    (r"\Two returns", (ALLOCATED, DECOMMISSIONED), 1, (AVAILABLE, DECOMMISSIONED), r"\Two returns"),
    (r"\Two returns", (ALLOCATED, IMPORT), 1, (AVAILABLE, IMPORT), r"\Two returns"),
]


def test_what_becomes_of_a_side_that_is_given_back(world: World) -> None:
    for pool, states, count, after, home in RETURNS:
        with world.case((pool, states, count)):
            sides = world.add(pool, "X1", *states)
            builders.set_columns(world.url, model.Side, sides[0], allocate_count=count)
            builders.add_mount(world.url, sides[0], world.near.drives[0], in_use=False)
            held = world.session.media.sides("X1")[0].logical_medium
            assert held is not None
            with new_events(world.session) as events:
                world.session.media.deallocate(held)
            assert (world.states("X1"), world.pool_of("X1")) == (list(after), home)
            changed = {event.object for event in events if event.kind is Kind.NTMS_PARTITION}
            assert changed == {side for side, old, new in zip(sides, states, after, strict=True) if old is not new}
            assert [event.object for event in events if event.operation is Operation.NTMS_OBJ_DELETE] == [held]
            requests = world.session.objects.list(Kind.NTMS_LIBREQUEST)
            queued = [world.session.objects.get(Kind.NTMS_LIBREQUEST, request).medium for request in requests]
            assert queued == ([world.session.media.get("X1").id] if home.startswith(r"\Free") else [])
            with refused(rsm.InvalidMediaError):
                world.session.media.deallocate(held)


def test_nothing_that_is_mounted_is_given_back_completed_or_swapped(world: World) -> None:
    (side,) = world.add(r"\One", "X1", ALLOCATED)
    world.add(r"\One", "X2", ALLOCATED)
    builders.add_mount(world.url, side, world.near.drives[0])
    two = world.add(r"\Two returns", "T1", ALLOCATED, AVAILABLE)
    builders.add_mount(world.url, two[1], world.near.drives[1])
    with nothing_changed(world.url):
        for call in (world.session.media.deallocate, world.session.media.complete):
            with refused(rsm.InvalidStateError):
                call("X1")
        with refused(rsm.InvalidStateError):
            world.session.media.deallocate("T1")  # it would take the other side along
        for pair in (("X1", "X2"), ("X2", "X1")):
            with refused(rsm.BusyError):
                world.session.media.swap(*pair)


def test_a_logical_medium_goes_by_value_id_or_cartridge(world: World) -> None:
    world.add(r"\Two", "T1", AVAILABLE, AVAILABLE)
    world.add(r"\One", "A1")
    first, second = allocate(world, r"\Two"), allocate(world, r"\Two")
    with nothing_changed(world.url):
        with refused(rsm.InvalidParameterError):
            world.session.media.complete("T1")
        for unknown in ("A1", "nothing", NO_ID, first.side, first.medium):
            with refused(rsm.InvalidMediaError):
                world.session.media.complete(unknown)
        with pytest.raises(TypeError):
            world.session.media.complete(world.session.media.get("T1"))  # type: ignore[arg-type]
    world.session.media.deallocate(first)
    world.session.media.complete("T1")
    assert world.states("T1") == [AVAILABLE, COMPLETE]
    world.session.media.deallocate(second.id)
    assert world.states("T1") == [AVAILABLE, AVAILABLE]


# What becomes of a side


def test_only_what_is_allocated_is_completed(world: World) -> None:
    world.add(r"\One", "X1")
    logical = allocate(world, r"\One")
    with new_events(world.session) as events:
        world.session.media.complete(logical)
    assert world.states("X1") == [COMPLETE]
    assert [(event.call, event.object) for event in events] == [("SetNtmsMediaComplete", logical.side)]
    with nothing_changed(world.url), refused(rsm.InvalidStateError):
        world.session.media.complete(logical)


def test_only_what_is_available_is_decommissioned(world: World) -> None:
    for state in State:
        with world.case(state):
            (side,) = world.add(r"\One", "X1", state)
            if state is AVAILABLE:
                world.session.media.decommission(world.session.media.sides("X1")[0])
                assert world.states("X1") == [DECOMMISSIONED]
            else:
                with nothing_changed(world.url), refused(rsm.InvalidStateError):
                    world.session.media.decommission(side)


def test_a_side_to_decommission_is_named_without_doubt(world: World) -> None:
    sides = world.add(r"\Two", "T1", AVAILABLE, AVAILABLE)
    with nothing_changed(world.url):
        with refused(rsm.InvalidParameterError):
            world.session.media.decommission("T1")
        for unknown in (NO_ID, "nothing"):
            with refused(rsm.InvalidMediaError):
                world.session.media.decommission(unknown)
    world.session.media.decommission(sides[1])
    assert world.states("T1") == [AVAILABLE, DECOMMISSIONED]


def test_swapped_media_keep_their_ids_and_all_else(world: World) -> None:
    for barcode in ("X1", "X2"):
        world.add(r"\One", barcode)
    first, second = allocate(world, r"\One"), allocate(world, r"\One")
    world.session.objects.set_attribute(Kind.NTMS_LOGICAL_MEDIA, second.id, "note", b"kept")
    with new_events(world.session) as events:
        world.session.media.swap(first, second)
    after = {logical.id: logical for logical in world.session.media.logical_media(r"\One")}
    assert (after[first.id].side, after[second.id].side) == (second.side, first.side)
    assert (after[second.id].name, after[second.id].created) == (second.name, second.created)
    assert world.session.objects.attribute(Kind.NTMS_LOGICAL_MEDIA, second.id, "note") == b"kept"
    assert {event.object: (event.before, event.after) for event in events} == {
        first.id: ({"side_id": str(first.side)}, {"side_id": str(second.side)}),
        second.id: ({"side_id": str(second.side)}, {"side_id": str(first.side)}),
    }
    assert world.states("X1") == world.states("X2") == [ALLOCATED]


def test_refused_swaps(world: World) -> None:
    world.add(r"\One", "X1", ALLOCATED)
    world.add(r"\One", "X2", COMPLETE)
    world.add(r"\One more", "X3", ALLOCATED)
    cases: list[tuple[Any, Any, type[rsm.RsmError]]] = [
        ("X1", "X1", rsm.InvalidParameterError),
        ("X1", NO_ID, rsm.InvalidMediaError),
        (NO_ID, "X1", rsm.InvalidMediaError),
        ("X1", "X2", rsm.InvalidStateError),
        ("X2", "X1", rsm.InvalidStateError),
        ("X1", "X3", rsm.InvalidMediaPoolError),
    ]
    with nothing_changed(world.url):
        for first, second, error in cases:
            with refused(error):
                world.session.media.swap(first, second)


def test_a_new_label_is_recorded(world: World) -> None:
    (side,) = world.add(r"\One", "X1")
    builders.set_columns(world.url, model.Side, side, label_written_by_us=True)
    logical = allocate(world, r"\One")
    with new_events(world.session) as events:
        world.session.media.update_label(logical, "mine", b"\x00\xff", "Monday")
    (found,) = world.session.media.sides("X1")
    assert (found.label_type, found.label_id, found.label_info) == ("mine", b"\x00\xff", "Monday")
    (event,) = events
    assert event.after == {
        "label_type": "mine",
        "label_id": "00ff",
        "label_info": "Monday",
        "label_written_by_us": False,
    }
    with nothing_changed(world.url):
        world.session.media.update_label(logical.id, "mine", b"\x00\xff", "Monday")
        for label in (("", b"1"), ("x" * 64, b"1"), ("mine", b""), ("mine", b"1" * 256), ("mine", b"1", "x" * 256)):
            with refused(rsm.InvalidParameterError):
                world.session.media.update_label(logical, *label)
        with refused(rsm.InvalidMediaError):
            world.session.media.update_label(NO_ID, "mine", b"1")
        with pytest.raises(TypeError):
            world.session.media.update_label(logical, "mine", "1")  # type: ignore[arg-type]
