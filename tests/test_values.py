"""Arguments and results of every public call: values keep, wrong Python types are TypeErrors, bad values RsmErrors.

The tables are made from the calls' own signatures, so that a new call or argument without a row here fails.
"""

import contextlib
import copy
import dataclasses
import inspect
import pickle
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import builders
import pytest
from watch import nothing_changed

import rsm
from rsm import values
from rsm.constants import NtmsLmState
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsPartitionState as State

NOUNS = ("pools", "media", "types", "acl", "objects", "events", "libraries")
SIDE = rsm.NewSide("MTF", b"1")
DESCRIPTOR = rsm.SecurityDescriptor(dacl=(rsm.Ace(True, "everyone", rsm.AccessRights.USE),))


@dataclasses.dataclass
class World:
    """A catalogue with something of everything that a call may name."""

    session: rsm.Session
    pool: rsm.MediaPool
    medium: rsm.PhysicalMedium
    media_type: rsm.MediaType
    library: rsm.Library
    others: dict[Kind, uuid.UUID]


@pytest.fixture
def world(session: rsm.Session, url: str) -> World:
    robot = builders.add_library(url)
    session.types.add("LTO-8", robot.id)
    pool = session.pools.create(r"\Top\Pool", media_type="LTO-8", parents=True)
    medium = session.media.create(pool, [builders.side(state=State.NTMS_PARTSTATE_ALLOCATED)], barcode="A1")
    (side,) = session.media.sides(medium)
    assert side.logical_medium is not None
    builders.add_operator_request(url)
    others = {
        Kind.NTMS_PARTITION: side.id,
        Kind.NTMS_LOGICAL_MEDIA: side.logical_medium,
        Kind.NTMS_DRIVE: robot.drives[0],
        Kind.NTMS_STORAGESLOT: robot.slots[0],
        Kind.NTMS_COMPUTER: session.objects.list(Kind.NTMS_COMPUTER)[0],
    }
    library = session.objects.get(Kind.NTMS_LIBRARY, robot.id)
    return World(session, pool, medium, session.types.get("LTO-8"), library, others)


# Values


def one_of_each(world: World) -> Iterator[Any]:
    session = world.session
    for kind in sorted(set(Kind)):
        try:
            found = session.objects.list(kind)
        except rsm.InvalidParameterError:
            continue
        yield session.objects.get(kind, found[0])
    yield session.events.list()[-1]
    yield session.media.why(world.pool)[0]
    yield rsm.Allocation(logical_medium=session.media.logical_media()[0], source_pool=world.pool.id)
    yield session.acl.get(Kind.NTMS_MEDIA_POOL, world.pool)
    drawn = session.libraries.map(world.library)
    mount = rsm.MapMount(
        user="user:alice",
        application="tests",
        host="here",
        for_writing=True,
        since=drawn.library.created,
        dismountable_from=None,
    )
    inside = rsm.MapCartridge(
        id=world.medium.id,
        barcode="A1",
        name="A1",
        pool=r"\Top\Pool",
        media_type="LTO-8",
        media_state=world.medium.media_state,
        enabled=True,
        sides=(State.NTMS_PARTSTATE_ALLOCATED,),
        mount=mount,
    )
    yield from (drawn, drawn.slots[0], mount, inside)
    yield rsm.RequestStep(
        number=0,
        work="robot",
        action="move",
        state=NtmsLmState.NTMS_LM_PASSED,
        source="slot-0001",
        destination="drive-01",
        started=drawn.library.created,
        completed=None,
        error_code=0,
    )
    yield rsm.Volume(
        path="/dev/sdb1",
        mounted_at=None,
        label_type="ext4",
        label_id=b"1",
        label_info="",
        barcode="",
        capacity_bytes=1,
    )
    yield from (SIDE, DESCRIPTOR, rsm.Caller("user:alice", ("group:backup",)), rsm.Ace(True, "everyone", 1))  # type: ignore[arg-type]


def test_values_are_plain_equal_frozen_and_picklable(world: World) -> None:
    seen = set()
    for value in one_of_each(world):
        seen.add(type(value))
        assert pickle.loads(pickle.dumps(value)) == value == copy.deepcopy(value)
        assert type(value).__doc__
        first = dataclasses.fields(value)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, first, None)
        with pytest.raises((AttributeError, TypeError)):
            value.something_else = 1
        changed = dataclasses.replace(value, **{first: "another"})
        assert changed != value
        assert not hasattr(value, "__dict__")
    declared = {kind for kind in vars(values).values() if inspect.isclass(kind) and kind.__module__ == values.__name__}
    assert declared - {values.Value} <= seen


def test_fields_have_the_types_they_are_declared_with(world: World) -> None:
    for value in one_of_each(world):
        hints = inspect.get_annotations(type(value), eval_str=True)
        for field in dataclasses.fields(value):
            hint = hints.get(field.name)
            if isinstance(hint, type) and hint is not dict:
                assert type(getattr(value, field.name)) is hint or field.name in ("rights",), (value, field.name)
        if isinstance(value, values.Value):
            assert type(value.id) is uuid.UUID
            assert value.created.tzinfo is not None
            assert value.created <= value.modified


# Wrong Python types


def _allocate(world: World) -> dict[str, Any]:
    nothing = dict.fromkeys(("side", "next_to", "on_wait"))
    return {"pool": world.pool, "new": False, "timeout_ms": 0, "error_if_unavailable": True, **nothing}


# For every call: arguments that would do, by name.
CALLS: dict[str, Callable[[World], dict[str, Any]]] = {
    "pools.create": lambda world: {
        "path": r"\Top\New",
        "media_type": "LTO-8",
        "allocate_from_free": True,
        "deallocate_to_free": True,
        "max_allocates": 1,
        "description": "",
        "security": DESCRIPTOR,
        "exist_ok": False,
        "parents": False,
    },
    "pools.get": lambda world: {"pool": world.pool},
    "pools.path": lambda world: {"pool": world.pool},
    "pools.list": lambda world: {"parent": world.pool, "recursive": False, "include_root": False},
    "pools.update": lambda world: {
        "pool": world.pool,
        "name": "Pool",
        "description": "",
        "media_type": "LTO-8",
        "allocate_from_free": False,
        "deallocate_to_free": False,
        "max_allocates": 0,
    },
    "pools.delete": lambda world: {"pool": "nowhere"},
    "media.create": lambda world: {
        "pool": world.pool,
        "sides": [SIDE],
        "barcode": "",
        "name": "",
        "description": "",
        "enabled": True,
        "medium_type_code": 0,
        "density_code": 0,
        "id": None,
        "library": None,
        "error_on_duplicate": True,
    },
    "media.get": lambda world: {"medium": world.medium},
    "media.list": lambda world: {"pool": None, "library": None},
    "media.sides": lambda world: {"medium": world.medium},
    "media.update": lambda world: {"medium": world.medium, "name": "A1", "description": ""},
    "media.move": lambda world: {"medium": world.medium, "pool": world.pool},
    "media.change_type": lambda world: {"medium": world.medium, "pool": world.pool},
    "media.delete": lambda world: {"medium": world.medium},
    "media.enable": lambda world: {"medium": world.medium},
    "media.disable": lambda world: {"medium": "nothing"},
    "media.allocate": lambda world: _allocate(world),
    "media.allocate_from": lambda world: _allocate(world),
    "media.why": lambda world: {"pool": world.pool, "new": False, "most": 10},
    "media.logical_media": lambda world: {"pool": world.pool},
    "media.deallocate": lambda world: {"medium": world.others[Kind.NTMS_LOGICAL_MEDIA]},
    "media.complete": lambda world: {"medium": world.others[Kind.NTMS_LOGICAL_MEDIA]},
    "media.decommission": lambda world: {"side": world.others[Kind.NTMS_PARTITION]},
    "media.swap": lambda world: {"first": world.others[Kind.NTMS_LOGICAL_MEDIA], "second": uuid.uuid4()},
    "media.update_label": lambda world: {
        "medium": world.others[Kind.NTMS_LOGICAL_MEDIA],
        "type": "MTF",
        "id": b"1",
        "info": "",
    },
    "types.list": lambda world: {"library": world.library},
    "types.get": lambda world: {"media_type": world.media_type},
    "types.check": lambda world: {"media_type": world.media_type},
    "types.create": lambda world: {
        "name": "LTO-8",
        "sides": 1,
        "read_write": 1,
        "device_type": 31,
        "description": "",
    },
    "types.delete": lambda world: {"media_type": world.media_type},
    "types.add": lambda world: {"media_type": world.media_type, "library_": world.library},
    "types.remove": lambda world: {"media_type": "LTO-7", "library_": world.library},
    "acl.get": lambda world: {"kind": Kind.NTMS_MEDIA_POOL, "object_": world.pool},
    "acl.set": lambda world: {"kind": Kind.NTMS_PARTITION, "object_": world.pool, "descriptor": DESCRIPTOR},
    "objects.kind": lambda world: {"id": world.pool.id},
    "objects.find": lambda world: {"kind": Kind.NTMS_MEDIA_POOL, "text": r"\Top\Pool"},
    "objects.list": lambda world: {"kind": Kind.NTMS_PARTITION, "container": world.pool.id, "include_root": False},
    "objects.stream": lambda world: {"kind": Kind.NTMS_PARTITION, "container": world.pool.id},
    "objects.stream_rows": lambda world: {"kind": Kind.NTMS_PARTITION, "container": world.pool.id},
    "objects.get": lambda world: {"kind": Kind.NTMS_MEDIA_POOL, "object_": world.pool},
    "objects.update": lambda world: {
        "kind": Kind.NTMS_MEDIA_POOL,
        "object_": world.pool,
        "name": "Pool",
        "description": "",
        "media_type": "LTO-8",
        "allocate_from_free": False,
        "max_allocates": 0,
    },
    "objects.attribute": lambda world: {"kind": Kind.NTMS_MEDIA_POOL, "object_": world.pool, "name": "note"},
    "objects.set_attribute": lambda world: {
        "kind": Kind.NTMS_MEDIA_POOL,
        "object_": uuid.uuid4(),
        "name": "note",
        "value": b"1",
    },
    "objects.delete_attribute": lambda world: {"kind": Kind.NTMS_MEDIA_POOL, "object_": world.pool, "name": "note"},
    "objects.enable": lambda world: {"kind": Kind.NTMS_DRIVE, "object_": world.others[Kind.NTMS_DRIVE]},
    "objects.disable": lambda world: {"kind": Kind.NTMS_DRIVE, "object_": uuid.uuid4()},
    "libraries.add": lambda world: {
        "back_end": "virtual",
        "address": "/no/such/directory",
        "name": "New",
        "media_types": ["LTO-8"],
    },
    "libraries.get": lambda world: {"library": world.library},
    "libraries.list": lambda world: {},
    "libraries.map": lambda world: {"library": world.library},
    "libraries.delete": lambda world: {"library": world.library},
    "libraries.inventory": lambda world: {"library": world.library, "full": True},
    "libraries.stop_inventory": lambda world: {"library": world.library},
    "libraries.identify": lambda world: {"slot": world.others[Kind.NTMS_STORAGESLOT], "deferred": False},
    "libraries.drives": lambda world: {"library": world.library},
    "libraries.slots": lambda world: {"library": world.library},
    "libraries.ports": lambda world: {"library": world.library},
    "libraries.doors": lambda world: {"library": world.library},
    "libraries.inject": lambda world: {"library": world.library, "many": False},
    "libraries.door": lambda world: {"library": world.library, "inventory": 0},
    "libraries.attended": lambda world: {"request": uuid.uuid4()},
    "media.eject": lambda world: {"force": False},
    "media.gather": lambda world: {"medium": world.medium},
    "libraries.clean": lambda world: {"drive": world.others[Kind.NTMS_DRIVE]},
    "libraries.reserve_cleaner_slot": lambda world: {
        "library": world.library,
        "slot": world.others[Kind.NTMS_STORAGESLOT],
    },
    "libraries.inject_cleaner": lambda world: {"library": world.library, "uses": 20},
    "libraries.eject_cleaner": lambda world: {"library": world.library},
    "libraries.release_cleaner_slot": lambda world: {"library": world.library},
    "libraries.delete_drive": lambda world: {"drive": world.others[Kind.NTMS_DRIVE]},
    "events.list": lambda world: {"object_": world.pool, "after": 0, "limit": 10},
    "events.latest": lambda world: {"object_": world.pool, "limit": 10},
    "events.history": lambda world: {"medium": world.medium, "limit": 10},
}
# Takes its argument on trust: the value that `media.create` just returned.
ON_TRUST = {"media.sides_made"}


def public_calls() -> dict[str, Any]:
    from rsm.nouns import libraries, media, objects, pools

    nouns = (
        pools.Pools,
        media.Media,
        media.MediaTypes,
        objects.AccessControl,
        objects.Objects,
        objects.Events,
        libraries.Libraries,
    )
    return {
        f"{noun}.{name}": function
        for noun, kind in zip(NOUNS, nouns, strict=True)
        for name, function in vars(kind).items()
        if inspect.isfunction(function) and not name.startswith("_")
    }


def test_every_call_and_argument_has_a_row() -> None:
    calls = public_calls()
    assert set(CALLS) == set(calls) - ON_TRUST
    for name, function in calls.items():
        if name in ON_TRUST:
            continue
        signature = inspect.signature(function)
        given = CALLS[name](_Anything())  # type: ignore[arg-type]
        named = {
            argument
            for argument, parameter in signature.parameters.items()
            if argument != "self" and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        }
        assert named <= set(given), name


class _Anything:
    """Stands for a world where only the names of arguments matter."""

    def __getattr__(self, _: str) -> Any:
        return self

    def __getitem__(self, _: Any) -> Any:
        return self


def call(world: World, name: str, arguments: dict[str, Any]) -> Any:
    noun, _, verb = name.partition(".")
    return getattr(getattr(world.session, noun), verb)(**arguments)


def test_arguments_of_a_wrong_python_type_are_type_errors(world: World, url: str) -> None:
    wrong = [object(), 1.5, b"bytes", ("tuple",), world.others]
    with nothing_changed(url):
        for name, make in CALLS.items():
            good = make(world)
            with world.session.transaction(dry_run=True), contextlib.suppress(rsm.RsmError):
                call(world, name, good)
            for argument in good:
                for value in wrong:
                    if (argument, value) in (("value", b"bytes"), ("media_types", ("tuple",))):
                        continue
                    if (name, argument, value) == ("media.update_label", "id", b"bytes"):
                        continue
                    expect_a_type_error(world, name, {**good, argument: value}, (name, argument, value))
            with pytest.raises(TypeError):
                call(world, name, {**good, "no_such_argument": object()})
        for missing in set(CALLS) - {
            "pools.list",
            "media.eject",
            "media.list",
            "media.logical_media",
            "types.list",
            "events.list",
            "events.latest",
            "libraries.list",
            "libraries.drives",
        }:
            with pytest.raises(TypeError):
                call(world, missing, {})


def expect_a_type_error(world: World, name: str, arguments: dict[str, Any], case: Any) -> None:
    try:
        call(world, name, arguments)
    except TypeError:
        return
    except Exception as error:
        raise AssertionError(case) from error
    pytest.fail(f"{case} was taken")


def test_values_of_another_kind_are_type_errors(world: World, url: str) -> None:
    kinds: dict[str, Any] = {
        "pool": world.pool,
        "parent": world.pool,
        "medium": world.medium,
        "media_type": world.media_type,
        "library": world.library,
        "library_": world.library,
    }
    with nothing_changed(url):
        for name, make in CALLS.items():
            good = make(world)
            for argument in kinds.keys() & good.keys():
                for other in {id(value): value for value in kinds.values()}.values():
                    if other is not kinds[argument]:
                        expect_a_type_error(world, name, {**good, argument: other}, (name, argument, other))


def test_flags_are_not_numbers_and_numbers_not_flags(world: World, url: str) -> None:
    with nothing_changed(url):
        for name, make in CALLS.items():
            good = make(world)
            for argument, value in good.items():
                if isinstance(value, bool) or (isinstance(value, int) and argument != "kind"):
                    if name == "objects.update":
                        continue  # takes any field of any kind by name
                    wrong = 1 if isinstance(value, bool) else True
                    expect_a_type_error(world, name, {**good, argument: wrong}, (name, argument))


SIDE_FIELDS = {
    "label_type": 1,
    "label_id": "text",
    "state": "4",
    "label_info": b"",
    "name": 1,
    "description": 1,
    "enabled": 1,
    "mount_count": 1.0,
    "allocate_count": None,
    "capacity_bytes": True,
    "id": "0",
    "logical_medium": b"0",
}


def test_fields_of_a_new_side_are_checked(world: World, url: str) -> None:
    assert set(SIDE_FIELDS) == {field.name for field in dataclasses.fields(rsm.NewSide)}
    with nothing_changed(url):
        for name, value in SIDE_FIELDS.items():
            with pytest.raises(TypeError):
                world.session.media.create(world.pool, [dataclasses.replace(SIDE, **{name: value})])


# Bad values

NUMBERS = [-1, -(2**31), 2**31 - 1, 2**32, 2**63, 2**64, 2**70, -(2**70)]
TEXTS = [
    "",
    "\\",
    "\\\\",
    "\0",
    "a\0b",
    "\ud800",
    "\udfff\ud800",
    "\n",
    "\x9f",
    "x" * 64,
    "x" * 100_000,
    "\U0001f4fc" * 50_000,
    "\\a" * 2_000,
    "'; --",
]


def bad_values(world: World, name: str, argument: str, good: Any) -> list[Any]:
    ids = [uuid.UUID(int=0), uuid.UUID(int=2**128 - 1), uuid.uuid4(), *world.others.values()]
    ids += [world.pool.id, world.medium.id, world.media_type.id, world.library.id, world.session.id]
    if name == "media.update_label" and argument != "medium":
        return [b"", b"x" * 256, b"x" * 100_000] if argument == "id" else TEXTS
    if argument in ("id", "container") or (name, argument) == ("media.create", "library"):
        return ids
    if isinstance(good, bool) or argument in ("sides", "descriptor", "security", "media_types", "on_wait"):
        return []
    if argument == "value":
        return [b"", b"x" * 65_536, b"x" * 1_000_000]
    if isinstance(good, int):
        return NUMBERS
    if argument in ("path", "name", "description", "barcode", "text", "back_end", "address"):
        return TEXTS
    if name in ("events.list", "events.latest"):
        return ids
    return [*ids, *TEXTS]


def test_bad_values_are_refused_with_a_code_or_do_no_harm(world: World, url: str) -> None:
    """Whatever the value, a call ends well or in an RsmError; all is undone in the end, and nothing is left of it."""
    tried = 0
    with nothing_changed(url):
        for name, make in CALLS.items():
            good = make(world)
            for argument, value in good.items():
                for bad in bad_values(world, name, argument, value):
                    tried += 1
                    expect_a_code(world, name, {**good, argument: bad}, (name, argument, ascii(bad)[:60]))
    assert tried > 1_000


def expect_a_code(world: World, name: str, arguments: dict[str, Any], case: Any) -> None:
    expected = (rsm.DatabaseFailureError, rsm.DatabaseFullError, rsm.NotEnoughMemoryError)
    with world.session.transaction(dry_run=True):
        try:
            call(world, name, arguments)
        except rsm.RsmError as error:
            if isinstance(error, expected):
                raise AssertionError(case) from error
        except Exception as error:
            raise AssertionError(case) from error


SIDE_VALUES: dict[str, list[Any]] = {
    "label_type": TEXTS,
    "label_info": TEXTS,
    "name": TEXTS,
    "description": TEXTS,
    "label_id": [b"", b"x" * 256, b"x" * 100_000],
    "state": [*NUMBERS, 10],
    "mount_count": NUMBERS,
    "allocate_count": NUMBERS,
    "capacity_bytes": NUMBERS,
    "id": [uuid.UUID(int=0), uuid.UUID(int=1)],
    "logical_medium": [uuid.UUID(int=0), uuid.UUID(int=1)],
}


def test_bad_values_in_a_new_side(world: World, url: str) -> None:
    taken = [world.pool.id, world.medium.id, *world.others.values()]
    with nothing_changed(url):
        for state in (State.NTMS_PARTSTATE_AVAILABLE, State.NTMS_PARTSTATE_ALLOCATED):
            for field, bad in SIDE_VALUES.items():
                for value in [*bad, *(taken if field in ("id", "logical_medium") else ())]:
                    side = dataclasses.replace(SIDE, **{"state": state, field: value})
                    arguments = {"pool": world.pool, "sides": [side]}
                    expect_a_code(world, "media.create", arguments, (field, ascii(value)[:60]))


def test_bad_texts_outside_the_nouns(session: rsm.Session, url: str) -> None:
    for text in ("a\0b", "\ud800", "x" * 127):
        with pytest.raises(rsm.InvalidParameterError), session.because(text):
            pytest.fail("the reason was taken")
    for application in ("a\nb", "\ud800", "x" * 64):
        with pytest.raises(rsm.InvalidParameterError):
            rsm.connect(url, application=application)
    for timeout in (-1, 2**31, 2**70):
        with pytest.raises(rsm.InvalidParameterError):
            rsm.connect(url, busy_timeout_ms=timeout)
    for user in ("alice", "group:x", "user:", "user:\0", "user:\ud800", "user:" + "x" * 300):
        with pytest.raises(rsm.InvalidParameterError):
            rsm.connect(url, caller=rsm.Caller(user))
    wrong: dict[str, Any] = {
        "application": 1,
        "caller": "user:alice",
        "upgrade": 1,
        "worker": None,
        "busy_timeout_ms": True,
    }
    for name, value in wrong.items():
        with pytest.raises(TypeError):
            rsm.connect(url, **{name: value})
    with pytest.raises(TypeError):
        rsm.connect(1)  # type: ignore[arg-type]
    for database in ("", "\0", "\ud800", "mysql://x/y", "sqlite://", "sqlite:///:memory:", "://"):
        with pytest.raises(rsm.InvalidParameterError):
            rsm.connect(database)
