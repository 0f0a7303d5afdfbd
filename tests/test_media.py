"""Cartridges through the Pythonic face: putting on record, moving between pools, media types, forgetting, events."""

import uuid
from collections.abc import Callable
from typing import Any

import builders
import pytest
from watch import new_events, nothing_changed, refused

import rsm
from rsm.constants import NtmsBarCodeState, NtmsLibraryType, NtmsMediaState
from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsPartitionState as State

INSERT, UPDATE, DELETE = Operation.NTMS_OBJ_INSERT, Operation.NTMS_OBJ_UPDATE, Operation.NTMS_OBJ_DELETE
ONE_SIDED, TWO_SIDED = "LTO-8", "MO_5_RW"
TAKEN = {State.NTMS_PARTSTATE_ALLOCATED, State.NTMS_PARTSTATE_COMPLETE, State.NTMS_PARTSTATE_RESERVED}
NEVER_FREE = {
    *TAKEN,
    State.NTMS_PARTSTATE_DECOMMISSIONED,
    State.NTMS_PARTSTATE_INCOMPATIBLE,
    State.NTMS_PARTSTATE_UNKNOWN,
}
UNPREPARED, IMPORT, AVAILABLE = (
    State.NTMS_PARTSTATE_UNPREPARED,
    State.NTMS_PARTSTATE_IMPORT,
    State.NTMS_PARTSTATE_AVAILABLE,
)


@pytest.fixture
def world(session: rsm.Session, url: str) -> rsm.Session:
    """Return a session on a catalogue with system pools and application pools of two media types."""
    robot = builders.add_library(url)
    for media_type, name in ((ONE_SIDED, "One"), (TWO_SIDED, "Two")):
        session.types.add(media_type, robot.id)
        session.pools.create(name, media_type=media_type)
        session.pools.create(f"{name} more", media_type=media_type)
    session.pools.create("Holder")
    return session


def state_of(session: rsm.Session, medium: rsm.PhysicalMedium | str) -> list[State]:
    return [side.state for side in session.media.sides(medium)]


# Putting on record


def test_a_new_cartridge_has_the_documented_defaults(world: rsm.Session) -> None:
    pool = world.pools.get("One")
    with world.because("delivery"), new_events(world) as events:
        medium = world.media.create(pool, [rsm.NewSide("MTF", b"\x00\xff")])
    (side,) = world.media.sides(medium)
    shelf = world.objects.get(Kind.NTMS_LIBRARY, medium.library)
    assert shelf.library_type is NtmsLibraryType.NTMS_LIBRARYTYPE_OFFLINE
    assert (medium.pool, medium.media_type, medium.sides) == (pool.id, pool.media_type, 1)
    assert (medium.barcode, medium.barcode_state) == ("", NtmsBarCodeState.NTMS_BARCODESTATE_UNREADABLE)
    assert (medium.media_state, medium.enabled) == (NtmsMediaState.NTMS_MEDIASTATE_IDLE, True)
    assert (medium.location, medium.home_slot, medium.mounted_side) == (None, None, None)
    assert (medium.medium_type_code, medium.density_code, medium.description) == (0, 0, "")
    assert medium.name == medium.sequence_number == "000001"
    assert (side.medium, side.pool, side.number, side.name) == (medium.id, pool.id, 0, medium.name)
    assert (side.state, side.label_type, side.label_id, side.label_info) == (IMPORT, "MTF", b"\x00\xff", "")
    assert (side.mount_count, side.allocate_count, side.capacity_bytes, side.logical_medium) == (0, 0, 0, None)
    assert [(event.operation, event.kind, event.object) for event in events] == [
        (INSERT, Kind.NTMS_PHYSICAL_MEDIA, medium.id),
        (INSERT, Kind.NTMS_PARTITION, side.id),
    ]
    assert {(event.call, event.reason) for event in events} == {("CreateNtmsMedia", "delivery")}
    assert events[1].after is not None
    assert events[1].after["label_id"] == "00ff"


NAMES: list[tuple[dict[str, Any], str, str]] = [
    ({"name": "Named", "barcode": "B1"}, "label", "Named"),
    ({"barcode": "B2"}, "label", "B2"),
    ({"barcode": "B3  "}, "", "B3"),
    ({}, "label", "label"),
    ({}, "x" * 255, "x" * 63),
    ({}, "", "000006"),
]


def test_default_names(world: rsm.Session) -> None:
    for options, label_info, name in NAMES:
        medium = world.media.create("One", [builders.side()], **options) if not label_info else None
        side = rsm.NewSide("MTF", b"1", AVAILABLE, label_info=label_info)
        if medium is not None:
            world.media.delete(medium)
        medium = world.media.create("One", [side], **options)
        assert medium.name == name
        assert medium.barcode == options.get("barcode", "").rstrip()
        assert (medium.barcode_state is NtmsBarCodeState.NTMS_BARCODESTATE_OK) == bool(medium.barcode)
    two = world.media.create("Two", [rsm.NewSide("MTF", b"1", label_info="first"), rsm.NewSide("MTF", b"2")])
    assert two.name == two.sequence_number == "000007"
    assert [side.name for side in world.media.sides(two)] == ["000007"] * 2


def test_all_that_is_given_is_kept(world: rsm.Session) -> None:
    ids = [uuid.uuid4() for _ in range(5)]
    sides = [
        rsm.NewSide(
            "MTF",
            bytes(range(255)),
            state,
            label_info="info",
            name=f"side {number}",
            description="face",
            enabled=False,
            mount_count=2**32 - 1,
            allocate_count=3,
            capacity_bytes=2**63 - 1,
            id=ids[1 + number],
            logical_medium=ids[3 + number],
        )
        for number, state in enumerate((State.NTMS_PARTSTATE_ALLOCATED, State.NTMS_PARTSTATE_COMPLETE))
    ]
    options: dict[str, Any] = {"name": "M", "description": "d", "enabled": False, "medium_type_code": 5}
    medium = world.media.create("Two", sides, barcode="A1", density_code=6, id=ids[0], **options)
    assert medium.id == ids[0]
    assert {name: getattr(medium, name) for name in options} == options
    assert medium.density_code == 6
    for number, (kept, given) in enumerate(zip(world.media.sides(medium), sides, strict=True)):
        assert kept.number == number
        for name in ("id", "logical_medium", "state", "name", "label_id", "mount_count", "capacity_bytes", "enabled"):
            assert getattr(kept, name) == getattr(given, name), name
        logical = world.objects.get(Kind.NTMS_LOGICAL_MEDIA, ids[3 + number])
        assert (logical.side, logical.pool, logical.sides) == (kept.id, medium.pool, 1)
    assert world.pools.get("Two").logical_media == 2


def test_any_state_may_be_put_on_record(world: rsm.Session) -> None:
    for state in State:
        medium = world.media.create("One", [rsm.NewSide("MTF", b"1", state)])
        (side,) = world.media.sides(medium)
        assert side.state is state
        allocated = state in (State.NTMS_PARTSTATE_ALLOCATED, State.NTMS_PARTSTATE_COMPLETE)
        assert (side.logical_medium is not None) == allocated


def new(**fields: Any) -> list[rsm.NewSide]:
    return [rsm.NewSide(**{"label_type": "MTF", "label_id": b"1", **fields})]


REFUSED_CREATES: list[tuple[str, list[rsm.NewSide], dict[str, Any], type[rsm.RsmError]]] = [
    ("nowhere", new(), {}, rsm.InvalidMediaPoolError),
    ("\\", new(), {}, rsm.InvalidMediaPoolError),
    ("Holder", new(), {}, rsm.InvalidMediaPoolError),
    (r"\Free\LTO-8", new(), {}, rsm.InvalidMediaPoolError),
    (r"\Unrecognized\LTO-8", new(), {}, rsm.InvalidMediaPoolError),
    (r"\Import", new(), {}, rsm.InvalidMediaPoolError),
    ("One", [], {}, rsm.MediaIncompatibleError),
    ("One", new() * 2, {}, rsm.MediaIncompatibleError),
    ("Two", new(), {}, rsm.MediaIncompatibleError),
    ("One", new(), {"barcode": "KNOWN"}, rsm.InvalidMediaError),
    ("One", new(), {"barcode": "KNOWN "}, rsm.InvalidMediaError),
    ("One", new(label_type="LTFS"), {"error_on_duplicate": True}, rsm.AlreadyExistsError),
    ("One", new(label_type=""), {}, rsm.InvalidParameterError),
    ("One", new(label_id=b""), {}, rsm.InvalidParameterError),
    ("One", new(label_id=b"x" * 256), {}, rsm.InvalidParameterError),
    ("One", new(state=10), {}, rsm.InvalidParameterError),
    ("One", new(state=-1), {}, rsm.InvalidParameterError),
    ("One", new(mount_count=-1), {}, rsm.InvalidParameterError),
    ("One", new(allocate_count=2**32), {}, rsm.InvalidParameterError),
    ("One", new(capacity_bytes=2**63), {}, rsm.InvalidParameterError),
    ("One", new(logical_medium=uuid.uuid4()), {}, rsm.InvalidParameterError),
    ("One", new(), {"medium_type_code": -1}, rsm.InvalidParameterError),
    ("One", new(), {"density_code": 2**32}, rsm.InvalidParameterError),
    ("One", new(), {"id": uuid.UUID(int=0)}, rsm.InvalidParameterError),
    ("One", new(id=uuid.UUID(int=0)), {}, rsm.InvalidParameterError),
]


def test_refused_creates(world: rsm.Session, url: str) -> None:
    known = world.media.create("One", new(label_type="LTFS"), barcode="KNOWN")
    (side,) = world.media.sides(known)
    same = uuid.uuid4()
    taken: list[tuple[str, list[rsm.NewSide], dict[str, Any], type[rsm.RsmError]]] = [
        ("One", new(), {"id": known.id}, rsm.AlreadyExistsError),
        ("One", new(), {"id": known.pool}, rsm.AlreadyExistsError),
        ("One", new(id=side.id), {}, rsm.AlreadyExistsError),
        ("One", new(id=same), {"id": same}, rsm.AlreadyExistsError),
        ("One", new(state=AVAILABLE + 1, logical_medium=side.id), {}, rsm.AlreadyExistsError),
    ]
    with nothing_changed(url):
        for pool, sides, options, error in [*REFUSED_CREATES, *taken]:
            with refused(error):
                world.media.create(pool, sides, **options)
    world.media.create("One", new(label_type="LTFS"))  # one label on two cartridges is common


# Moving

POOL_OF_CLASS = {
    "application": "One",
    "free": r"\Free\LTO-8",
    "unrecognized": r"\Unrecognized\LTO-8",
    "import": r"\Import\LTO-8",
}
OTHERS: dict[str, type[rsm.RsmError]] = {
    "\\": rsm.InvalidMediaPoolError,
    "nowhere": rsm.InvalidMediaPoolError,
    "Holder": rsm.MediaIncompatibleError,
    "Two": rsm.MediaIncompatibleError,
    r"\Import\MO_5_RW": rsm.MediaIncompatibleError,
}
ANY = "any state"
# source class, destination class: what becomes of a cartridge by the state of its side
MOVES: dict[tuple[str, str], dict[Any, type[rsm.RsmError] | None]] = {
    ("application", "application"): {ANY: None},
    ("application", "free"): {**dict.fromkeys(NEVER_FREE, rsm.InvalidStateError), ANY: None},
    ("application", "import"): {IMPORT: None, ANY: rsm.InvalidMediaPoolError},
    ("application", "unrecognized"): {ANY: rsm.InvalidMediaPoolError},
    ("free", "application"): {UNPREPARED: rsm.BusyError, ANY: None},
    ("free", "free"): {ANY: rsm.InvalidMediaPoolError},
    ("free", "import"): {UNPREPARED: rsm.BusyError, IMPORT: None, ANY: rsm.InvalidMediaPoolError},
    ("free", "unrecognized"): {UNPREPARED: rsm.BusyError, ANY: rsm.InvalidMediaPoolError},
    ("unrecognized", "application"): {ANY: rsm.InvalidMediaPoolError},
    ("unrecognized", "free"): {**dict.fromkeys(NEVER_FREE, rsm.InvalidStateError), ANY: None},
    ("unrecognized", "import"): {ANY: rsm.InvalidMediaPoolError},
    ("unrecognized", "unrecognized"): {ANY: None},  # it is there already
    ("import", "application"): {ANY: rsm.InvalidMediaPoolError},
    ("import", "free"): {**dict.fromkeys(NEVER_FREE, rsm.InvalidStateError), ANY: None},
    ("import", "import"): {ANY: None},  # it is there already
    ("import", "unrecognized"): {ANY: rsm.InvalidMediaPoolError},
}


def test_moves(world: rsm.Session, url: str) -> None:
    """Every move of every state between every two classes of pools, each tried and undone."""
    media = {}
    for source, path in POOL_OF_CLASS.items():
        for state in State:
            medium = world.media.create("One", [builders.side(state=state)])
            if source != "application":
                builders.put_in_pool(url, medium.id, world.pools.get(path).id)
            media[source, state] = medium.id
    targets = {**POOL_OF_CLASS, "application": "One more"}
    for (source, target), outcomes in MOVES.items():
        for state in State:
            error = outcomes[state] if state in outcomes else outcomes[ANY]
            with world.transaction(dry_run=True):
                check_move(world, media[source, state], targets[target], error, (source, state, target))
    for (source, state), medium_id in media.items():
        for target, error in OTHERS.items():
            if source == "free" and target != "\\" and target != "nowhere" and state is UNPREPARED:
                error = rsm.BusyError
            with world.transaction(dry_run=True):
                check_move(world, medium_id, target, error, (source, state, target))


def check_move(session: rsm.Session, medium: uuid.UUID, target: str, error: Any, case: Any) -> None:
    before, states = session.media.get(medium), state_of(session, session.media.get(medium))
    pool = session.pools.get(target).id if target != "nowhere" else None
    if error is not None:
        with refused(error):
            session.media.move(medium, target)
        assert session.media.get(medium) == before, case
        return
    session.media.move(medium, target)
    after = session.media.get(medium)
    assert (after.pool, after.media_type) == (pool, before.media_type), case
    became_free = target.startswith(r"\Free")
    assert state_of(session, after) == ([UNPREPARED] * len(states) if became_free else states), case


TWO_SIDED_MOVES: list[tuple[State, State, str, type[rsm.RsmError] | None]] = [
    (AVAILABLE, AVAILABLE, r"\Free\MO_5_RW", None),
    (AVAILABLE, State.NTMS_PARTSTATE_RESERVED, r"\Free\MO_5_RW", rsm.InvalidStateError),
    (State.NTMS_PARTSTATE_ALLOCATED, AVAILABLE, r"\Free\MO_5_RW", rsm.InvalidStateError),
    (AVAILABLE, State.NTMS_PARTSTATE_DECOMMISSIONED, r"\Free\MO_5_RW", rsm.InvalidStateError),
    (State.NTMS_PARTSTATE_ALLOCATED, State.NTMS_PARTSTATE_RESERVED, "Two more", None),
    (IMPORT, IMPORT, r"\Import\MO_5_RW", None),
    (IMPORT, AVAILABLE, r"\Import\MO_5_RW", rsm.InvalidMediaPoolError),
    (UNPREPARED, AVAILABLE, r"\Free\MO_5_RW", None),
]


def test_both_sides_decide_and_both_move(world: rsm.Session) -> None:
    for first, second, target, error in TWO_SIDED_MOVES:
        medium = world.media.create("Two", [builders.side(0, first), builders.side(1, second)])
        with new_events(world) as events:
            check_move(world, medium.id, target, error, (first, second, target))
        sides = world.media.sides(medium)
        assert {side.pool for side in sides} == {world.media.get(medium).pool}
        changed = [side.id for side, old in zip(sides, (first, second), strict=True) if side.state is not old]
        expected = [] if error else [medium.id, *changed]
        assert [event.object for event in events] == expected


def test_a_move_leaves_one_event_for_each_object_it_changed(world: rsm.Session, url: str) -> None:
    medium = world.media.create("One", [builders.side()], barcode="A1")
    (side,) = world.media.sides(medium)
    free = world.pools.get(r"\Free\LTO-8")
    with world.because("recycled"), new_events(world) as events:
        world.media.move("A1", free)
    assert [(event.operation, event.kind, event.object, event.before, event.after) for event in events] == [
        (UPDATE, Kind.NTMS_PHYSICAL_MEDIA, medium.id, {"pool_id": str(medium.pool)}, {"pool_id": str(free.id)}),
        (UPDATE, Kind.NTMS_PARTITION, side.id, {"state": int(AVAILABLE)}, {"state": int(UNPREPARED)}),
    ]
    assert {(event.call, event.reason) for event in events} == {("MoveToNtmsMediaPool", "recycled")}
    with nothing_changed(url), refused(rsm.InvalidMediaPoolError):
        world.media.move(medium, free)
    other = world.media.create("One", [builders.side()])
    with nothing_changed(url):
        world.media.move(other, "One")


def test_what_is_in_use_stays(world: rsm.Session, url: str) -> None:
    medium = world.media.create("One", [builders.side()])
    at_rest = {NtmsMediaState.NTMS_MEDIASTATE_IDLE, NtmsMediaState.NTMS_MEDIASTATE_UNLOADED}
    for state in set(NtmsMediaState) - at_rest:
        builders.set_media_state(url, medium.id, state)
        with nothing_changed(url):
            for target in ("One more", r"\Free\LTO-8"):
                with refused(rsm.BusyError):
                    world.media.move(medium, target)


def test_the_free_pool_needs_use_only(world: rsm.Session, connect: Callable[..., rsm.Session], url: str) -> None:
    use, control = rsm.AccessRights.USE, rsm.AccessRights.CONTROL
    alice = connect("user:alice")
    free = r"\Free\LTO-8"

    def grant(pool: str, rights: rsm.AccessRights) -> None:
        dacl = (rsm.Ace(True, "user:alice", rights),)
        world.acl.set(Kind.NTMS_MEDIA_POOL, pool, rsm.SecurityDescriptor(dacl=dacl))

    table = [
        ("One", control, free, use, None),
        ("One", use, free, control, rsm.AccessDeniedError),
        ("One", control, free, control, rsm.AccessDeniedError),
        ("One", control, "One more", control, None),
        ("One", control, "One more", use, rsm.AccessDeniedError),
        ("One", use, "One more", control, rsm.AccessDeniedError),
    ]
    for source, rights, target, target_rights, error in table:
        medium = world.media.create(source, [builders.side()])
        grant(source, rights)
        grant(target, target_rights)
        if error is None:
            alice.media.move(medium.id, target)
            assert world.media.get(medium).pool == world.pools.get(target).id
            continue
        with refused(error):
            alice.media.move(medium.id, target)
        assert world.media.get(medium) == medium
    builders.put_in_pool(url, medium.id, world.pools.get(free).id, AVAILABLE)
    grant(free, use)
    grant("One", control)
    alice.media.move(medium.id, "One")


# Changing the media type


def test_changing_the_media_type(world: rsm.Session, url: str) -> None:
    world.pools.create("Seven", media_type="LTO-7")
    medium = world.media.create("One", [builders.side()], barcode="A1")
    seven = world.types.get("LTO-7")
    with new_events(world) as events:
        world.media.change_type("A1", "Seven")
    changed = world.media.get("A1")
    assert (changed.pool, changed.media_type) == (world.pools.get("Seven").id, seven.id)
    (event,) = events
    assert (event.call, event.object) == ("ChangeNtmsMediaType", medium.id)
    assert event.before == {"pool_id": str(medium.pool), "media_type_id": str(medium.media_type)}
    assert event.after == {"pool_id": str(changed.pool), "media_type_id": str(seven.id)}
    with nothing_changed(url):
        world.media.change_type("A1", "Seven")
        for target in ("Two", "Holder", "\\", "nowhere", r"\Unrecognized\LTO-8", r"\Import\LTO-8"):
            with refused(rsm.InvalidMediaPoolError):
                world.media.change_type("A1", target)
        with refused(rsm.InvalidMediaError):
            world.media.change_type("A2", "Seven")
    world.media.change_type("A1", r"\Free\LTO-8")
    assert state_of(world, "A1") == [UNPREPARED]
    world.media.create("One", [builders.side(state=State.NTMS_PARTSTATE_ALLOCATED)], barcode="A2")
    with nothing_changed(url):  # it has one code for every move that is not allowed
        for barcode, target in (("A1", "Seven"), ("A2", r"\Free\LTO-8")):
            with refused(rsm.InvalidMediaPoolError):
                world.media.change_type(barcode, target)


# Forgetting, describing, in and out of service


def test_only_what_holds_nobodys_data_is_forgotten(world: rsm.Session, url: str) -> None:
    media = {state: world.media.create("One", [builders.side(state=state)], barcode=state.name) for state in State}
    with nothing_changed(url):
        for state in TAKEN:
            with refused(rsm.InvalidStateError):
                world.media.delete(state.name)
    for state in set(State) - TAKEN:
        medium = media[state]
        (side,) = world.media.sides(medium)
        with new_events(world) as events:
            world.media.delete(medium)
        assert [(event.operation, event.kind, event.object, event.after) for event in events] == [
            (DELETE, Kind.NTMS_PARTITION, side.id, None),
            (DELETE, Kind.NTMS_PHYSICAL_MEDIA, medium.id, None),
        ]
        assert events[1].before == {
            "name": state.name,
            "barcode": state.name,
            "pool_id": str(medium.pool),
            "media_type_id": str(medium.media_type),
        }
    with nothing_changed(url), refused(rsm.InvalidMediaError):
        world.media.delete(medium)
    assert {found.barcode for found in world.media.list()} == {state.name for state in TAKEN}
    assert world.media.create("One", [builders.side()], barcode="A1", id=medium.id).id == medium.id


def test_a_cartridge_in_a_library_is_not_forgotten(world: rsm.Session, url: str) -> None:
    medium = world.media.create("One", [builders.side()], barcode="A1")
    robot = builders.add_library(url, "Second")
    builders.put_online(url, medium.id, robot)
    inside = world.media.get("A1")
    assert (inside.library, inside.location, inside.home_slot) == (robot.id, robot.slots[0], robot.slots[0])
    assert inside.location_type is Kind.NTMS_STORAGESLOT
    assert world.media.list(library="Second") == [inside]
    with nothing_changed(url), refused(rsm.InvalidStateError):
        world.media.delete("A1")
    world.media.move("A1", r"\Free\LTO-8")
    assert world.media.list(pool=r"\Free\LTO-8")[0].library == robot.id


def test_lists_and_names(world: rsm.Session) -> None:
    made = [world.media.create("One", [builders.side()], barcode=f"A{number}") for number in range(3)]
    world.media.create("Two", [builders.side(), builders.side()], barcode="B0")
    assert world.media.list(pool="One") == made == [world.media.get(medium.id) for medium in made]
    assert [medium.barcode for medium in world.media.list()] == ["A0", "A1", "A2", "B0"]
    assert world.media.list(library=made[0].library) == world.media.list()
    assert world.media.list(pool="One more") == world.media.list(library="Robot") == []
    renamed = world.media.update("A1", name="A2", description="second")
    assert (renamed.name, renamed.description, renamed.barcode) == ("A2", "second", "A1")
    with refused(rsm.InvalidParameterError):  # the bar code of one and the name of another
        world.media.get("A2")
    assert world.media.get("A1") == renamed
    with refused(rsm.InvalidParameterError):
        world.media.list(pool="One", library="Robot")
    for wrong in ({"pool": "nowhere"}, {"library": "nowhere"}):
        with refused(rsm.ObjectNotFoundError):
            world.media.list(**wrong)


def test_out_of_service_and_back(world: rsm.Session, url: str) -> None:
    medium = world.media.create("Two", [builders.side(), builders.side()], barcode="A1")
    for switch, enabled in ((world.media.disable, False), (world.media.enable, True)):
        with new_events(world) as events:
            switch("A1")
        assert world.media.get(medium).enabled is enabled
        assert [side.enabled for side in world.media.sides(medium)] == [enabled] * 2
        assert (events[0].before, events[0].after) == ({"enabled": not enabled}, {"enabled": enabled})
        assert events[0].object == medium.id
        assert {event.object for event in events[1:]} == {side.id for side in world.media.sides(medium)}
        with nothing_changed(url), refused(rsm.InvalidStateError):
            switch("A1")
