"""Ports and doors of a real library: what a person puts in and takes out, what becomes of it, and how it ends."""

import contextlib
import dataclasses
import random
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import builders
import pytest
from mounting import Heard, wait_until
from watch import nothing_changed, refused
from working import IMPORT, LONG_MS, LTO, UNRECOGNIZED, Robot

import rsm
from rsm import labels
from rsm.constants import (
    NtmsDoorState,
    NtmsInventoryMethod,
    NtmsLmOperation,
    NtmsLmState,
    NtmsMediaPoolPolicy,
    NtmsOpreqState,
    NtmsPortPosition,
)
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsPartitionState as State
from rsm.libraries import BACKENDS, virtual
from rsm.libraries.base import LibraryIdentity
from rsm.nouns.attended import Attended
from rsm.nouns.waiting import Waiting, WaitReason

pytestmark = pytest.mark.works

PASSED, FAILED, STOPPED, CANCELLED, INPROCESS = (
    NtmsLmState[f"NTMS_LM_{name}"] for name in ("PASSED", "FAILED", "STOPPED", "CANCELLED", "INPROCESS")
)
FAST, FULL, NO_INVENTORY, OWN = (
    NtmsInventoryMethod[f"NTMS_INVENTORY_{name}"] for name in ("FAST", "OMID", "NONE", "DEFAULT")
)
Robots = Callable[..., Robot]


@pytest.fixture
def make(session: rsm.Session, tmp_path: Path) -> Robots:
    """Make a library and put it on record, with cartridges A00001 and on in its slots, or on the shelf."""

    def made(cartridges: int = 2, *, slots: int = 4, ports: int = 2, shelved: int = 0, doors: int = 0) -> Robot:
        folder = Path(virtual.create(tmp_path / "robot", slots, 1, ports, LTO, doors=doors))
        robot = Robot(session, folder)
        for number in range(1, shelved + 1):
            robot.add(f"B{number:05}")
            robot.take_out(f"B{number:05}")
        for number in range(1, cartridges + 1):
            robot.add(f"A{number:05}")
        return robot.attach()

    return made


def set_time(robot: Robot, seconds: int) -> None:
    """Give a person so long at each port."""
    for port in robot.session.libraries.ports(robot.library):
        robot.session.objects.update(Kind.NTMS_IEPORT, port, max_extend_seconds=seconds)


class Told(Exception):
    """What a call that waits for the wrong thing is ended with."""


def once_told_of(word: str) -> Callable[[Waiting], None]:
    """Return a listener that ends the wait as soon as it hears the word."""

    def hear(waiting: Waiting) -> None:
        if word in waiting.text:
            raise Told

    return hear


def when_asked(do: Callable[[], object]) -> Heard:
    """Return what has a person do something once they are waited for."""
    return Heard(PERSON=lambda _waiting: do())


def ended(asked: Attended, on_wait: Callable[[Waiting], None] | None = None) -> rsm.LibraryRequest:
    """Return a request as it ended, however it did."""
    try:
        return asked.wait(LONG_MS, on_wait=on_wait)
    except rsm.RsmError:
        assert asked.request.completed is not None
        return asked.request


def await_person(robot: Robot, asked: Attended) -> None:
    """Wait until a person is waited for."""
    wait_until(robot.session, lambda: "until" in asked.request.details)


def check(robot: Robot) -> None:
    """See that record and directory agree, and that no cartridge is in two places or in nobody's hands."""
    robot.drain()
    assert robot.places() == robot.lying()
    on_shelf = {path.name for path in robot.shelf.iterdir()}
    assert on_shelf.isdisjoint(robot.lying())
    gone = {code for code, medium in robot.media().items() if medium.library != robot.library.id}
    assert gone <= on_shelf
    assert {medium.media_state.name for medium in robot.media().values()} <= {"NTMS_MEDIASTATE_IDLE"}


# Taking out


def test_cartridges_go_out_together_and_in_rounds(make: Robots) -> None:
    robot = make(3)
    session, seen = robot.session, []

    def take_out(waiting: Waiting) -> None:
        if waiting.reason is WaitReason.PERSON:
            lying = [code for code, place in robot.lying().items() if place.startswith("port")]
            seen.extend([sorted(lying)] if lying else [])
            assert all(code in waiting.text for code in lying), waiting.text
            for code in lying:
                robot.take_out(code)

    asked = session.media.eject("A00001", "A00002", "A00003")
    request = asked.wait(LONG_MS, on_wait=take_out)
    assert (request.state, sorted(request.details["taken_out"])) == (PASSED, ["A00001", "A00002", "A00003"])
    assert seen == [["A00001", "A00002"], ["A00003"]]
    assert robot.lying() == {}
    check(robot)
    with refused(rsm.InvalidOperationError):
        asked.stop()
    steps = [step.action for step in session.requests.steps(request.id)]
    assert steps == ["move", "open port", "wait for a person", "close port"]


PURGE, KEEP = (
    NtmsMediaPoolPolicy.NTMS_POOLPOLICY_PURGEOFFLINESCRATCH,
    NtmsMediaPoolPolicy.NTMS_POOLPOLICY_KEEPOFFLINEIMPORT,
)


@pytest.mark.parametrize(
    ("policy", "kept"),
    [(0, {"free", "held", "used up"}), (PURGE, {"held", "used up"}), (KEEP, {"free", "held", "used up", "imported"})],
    ids=["by default", "purging free ones", "keeping imported ones"],
)
def test_what_is_kept_on_record_of_what_went_out(make: Robots, policy: int, kept: set[str]) -> None:
    robot = make(0, slots=7, ports=6)
    session = robot.session
    names = ("free", "held", "used up", "imported", "unknown", "unfit")
    label = labels.make_free_label(uuid.uuid4(), "x", datetime.now(UTC))
    for name in names:
        unfit: dict[str, Any] = {"media_type": "LTO-3"} if name == "unfit" else {}
        robot.add(name, data=label if name == "imported" else b"", **unfit)
    robot.inventory()
    robot.prepare("free", "held", "used up")
    robot.allocate("held")
    session.media.decommission(session.media.sides("used up")[0])
    (computer,) = session.objects.list(Kind.NTMS_COMPUTER)
    session.objects.update(Kind.NTMS_COMPUTER, computer, media_pool_policy=policy)
    assert [robot.pool(name) for name in ("imported", "unknown")] == [IMPORT, UNRECOGNIZED]
    asked = session.media.eject(*names)
    request = asked.wait(LONG_MS, on_wait=when_asked(lambda: [robot.take_out(name) for name in names]))
    assert sorted(request.details["taken_out"]) == sorted(names)
    assert set(robot.media()) == kept
    assert {medium.library for medium in robot.media().values()} == {session.libraries.get("Offline").id}
    assert len(session.media.logical_media()) == 1
    assert "LTO-3" not in [media_type.name for media_type in session.types.list(robot.library)]
    check(robot)


@pytest.mark.parametrize(
    ("end", "state", "code", "says"),
    [
        (None, FAILED, rsm.TimeoutError.code, "nobody took A00001 out of port-01"),
        (Attended.stop, STOPPED, 0, "A00001"),
        (Attended.cancel, CANCELLED, 0, "cancelled"),
    ],
    ids=["in time", "stopped", "cancelled"],
)
def test_what_nobody_took_out_is_put_back(
    make: Robots, end: Callable[[Attended], None] | None, state: NtmsLmState, code: int, says: str
) -> None:
    robot = make()
    before = robot.places()
    if end is None:
        set_time(robot, 1)
    asked = robot.session.media.eject("A00001", "A00002")

    def take_one(waiting: Waiting) -> None:
        if waiting.reason is WaitReason.PERSON and "A00002" in robot.lying():
            robot.take_out("A00002")
        elif end is not None and asked.request.details.get("taken_out"):
            end(asked)

    with contextlib.suppress(rsm.RsmError):
        asked.wait(LONG_MS, on_wait=take_one)
    request = asked.request
    assert (request.state, request.error_code) == (state, code)
    assert says in request.details["message"]
    check(robot)
    assert request.details["taken_out"] == ["A00002"]
    assert robot.lying() == {"A00001": before["A00001"]}


def test_what_is_mounted_is_ejected_by_force_alone(make: Robots, url: str) -> None:
    robot = make(ports=1)
    session = robot.session
    robot.prepare("A00001")
    tape = robot.allocate("A00001")
    mount = session.mounts.mount(tape, write=True, timeout_ms=LONG_MS)
    with mount.open("wb") as file:
        file.write(b"data of an application")
    with nothing_changed(url), refused(rsm.UnableToEjectMountedMediaError):
        session.media.eject("A00001")
    asked = session.media.eject("A00001", force=True)
    assert asked.wait(LONG_MS, on_wait=when_asked(lambda: robot.take_out("A00001"))).state is PASSED
    with refused(rsm.InvalidStateError):
        mount.open("rb")
    assert robot.media()["A00001"].library == session.libraries.get("Offline").id
    assert session.media.sides("A00001")[0].label_type == ""  # it was read before it left its drive
    check(robot)


def test_a_cartridge_that_may_be_dismounted_goes_out_from_its_drive(make: Robots) -> None:
    robot = make(ports=1)
    robot.prepare("A00001")
    robot.session.mounts.mount(robot.allocate("A00001"), timeout_ms=LONG_MS).dismount(deferred=True)
    assert robot.lying()["A00001"] == "drive-01"
    asked = robot.session.media.eject("A00001")
    ended(asked, when_asked(lambda: robot.take_out("A00001")))
    moves = [event.after for event in robot.session.events.list(limit=1000) if event.call == "move"]
    assert moves[-1] is not None
    assert "port_id" in moves[-1]
    assert asked.request.state is PASSED
    check(robot)
    assert robot.drive().loaded_side is None


def test_media_are_gathered_for_one_eject(make: Robots, connect: Callable[..., rsm.Session], url: str) -> None:
    robot = make(3)
    session = robot.session
    with refused(rsm.InvalidParameterError):
        session.media.eject()
    first = session.media.gather("A00001")
    assert session.media.gather("A00002").id == session.media.gather("A00002").id == first.id
    with nothing_changed(url):
        with refused(rsm.BusyError):
            session.media.gather("A00003")
        with refused(rsm.BusyError):
            session.media.eject("A00003")
        with connect("user:bob", "group:rsm") as other, refused(rsm.InvalidParameterError):
            other.media.eject()
    assert "gathers" in session.requests.why(first.id)[0]
    asked = session.media.eject()
    out = when_asked(lambda: [robot.take_out(code) for code in ("A00001", "A00002")])
    assert sorted(asked.wait(LONG_MS, on_wait=out).details["taken_out"]) == ["A00001", "A00002"]
    with connect("user:bob", "group:rsm") as other:
        left = other.media.gather("A00003")
    assert left.session.closed
    assert session.requests.get(left.id).state is CANCELLED
    check(robot)


def test_no_work_of_others_waits_for_a_person_at_a_port(make: Robots) -> None:
    robot = make(3)
    session = robot.session
    robot.prepare("A00001", "A00002")
    tape, other = robot.allocate("A00001"), robot.allocate("A00002")
    asked = session.media.eject("A00002")
    await_person(robot, asked)
    with session.mounts.mount(tape, write=True, timeout_ms=LONG_MS) as mount, mount.open("wb") as file:
        file.write(b"meanwhile")
    robot.inventory(drain=False)
    assert asked.state is INPROCESS
    with pytest.raises(Told):
        session.mounts.mount(other, timeout_ms=LONG_MS, on_wait=once_told_of("being ejected"))
    robot.take_out("A00002")
    assert asked.wait(LONG_MS).state is PASSED
    robot.drain()
    check(robot)


# Putting in


def test_cartridges_are_taken_in_and_identified(make: Robots) -> None:
    robot = make(1, shelved=2)
    session = robot.session
    asked = session.libraries.inject("Robot")

    def fill(waiting: Waiting) -> None:
        if waiting.reason is WaitReason.PERSON and "port-02" in waiting.text:
            for code, port in (("B00001", "port-02"), ("B00002", "port-01")):
                if code not in robot.lying():
                    robot.carry(code, port)

    request = asked.wait(LONG_MS, on_wait=fill)
    assert sorted(request.details["taken_in"]) == ["B00001", "B00002"]
    assert {place[:4] for place in robot.lying().values()} == {"slot"}
    assert robot.states("B00001") == [State.NTMS_PARTSTATE_FOREIGN]
    identified = robot.requests(NtmsLmOperation.NTMS_LM_PROCESSOMID)
    assert {each.work_item for each in identified} >= {request.id}
    check(robot)


def test_a_known_cartridge_comes_back_to_who_has_it(make: Robots) -> None:
    robot = make(1, ports=1)
    session = robot.session
    robot.prepare("A00001")
    tape = robot.allocate("A00001")
    ended(session.media.eject("A00001"), when_asked(lambda: robot.take_out("A00001")))
    robot.carry("A00001", "port-01")
    assert session.libraries.inject("Robot").wait(LONG_MS).details["taken_in"] == ["A00001"]
    with session.mounts.mount(tape, timeout_ms=LONG_MS) as mount:
        assert mount.barcode == "A00001"
    check(robot)


def test_many_are_taken_in_until_it_is_enough(make: Robots) -> None:
    robot = make(0, ports=1, shelved=3)
    asked = robot.session.libraries.inject("Robot", many=True)
    waiting = ["B00001", "B00002", "B00003"]

    def next_one(told: Waiting) -> None:
        if told.reason is WaitReason.PERSON and not any(place == "port-01" for place in robot.lying().values()):
            if waiting:
                robot.carry(waiting.pop(), "port-01")
            else:
                asked.retract()

    request = asked.wait(LONG_MS, on_wait=next_one)
    assert (request.state, len(request.details["taken_in"])) == (PASSED, 3)
    check(robot)
    once = robot.session.libraries.inject("Robot")
    await_person(robot, once)
    with refused(rsm.InvalidOperationError):
        once.retract()
    robot.session.requests.cancel(once.id)
    assert ended(once).state is CANCELLED
    with refused(rsm.InvalidOperationError):
        once.stop()


@pytest.mark.parametrize(
    ("how", "state", "code", "says"),
    [
        ("nobody comes", FAILED, rsm.TimeoutError.code, "within 0 s"),
        ("stopped", STOPPED, 0, "stopped"),
        ("damaged", FAILED, rsm.MediaIncompatibleError.code, "damaged"),
        ("unknown type", FAILED, rsm.MediaIncompatibleError.code, "LTO-99"),
        ("unfit", FAILED, rsm.MediaIncompatibleError.code, "cannot use B00001"),
    ],
)
def test_nothing_that_can_be_used_is_put_in(make: Robots, how: str, state: NtmsLmState, code: int, says: str) -> None:
    robot = make(1, ports=1)
    session = robot.session
    if how in ("nobody comes", "damaged"):
        set_time(robot, 0)
    if how in ("unknown type", "unfit"):
        robot.add("B00001", "port-1", media_type="LTO-99" if how == "unknown type" else "LTO-3")
    if how == "damaged":
        (robot.add("B00001", "port-1") / "cartridge.toml").write_text("sides = 77")
    asked = session.libraries.inject("Robot")
    if how == "stopped":
        await_person(robot, asked)
        asked.stop()
    request = ended(asked)
    assert (request.state, request.error_code) == (state, code)
    assert says in request.details["message"]
    removals = [each for each in session.operators.list() if "B00001" in each.message]
    assert len(removals) == (how == "unfit")
    if how == "unfit":
        robot.take_out("B00001")
        set_time(robot, 0)
        ended(session.libraries.inject("Robot"))
        assert session.operators.get(removals[0]).state is NtmsOpreqState.NTMS_OPSTATE_COMPLETE
        assert "B00001" not in robot.media()
        check(robot)


def test_what_finds_no_slot_stays_in_its_port(make: Robots, url: str) -> None:
    robot = make(3, slots=4, ports=2, shelved=2)
    session = robot.session
    for code, port in (("B00001", "port-01"), ("B00002", "port-02")):
        robot.carry(code, port)
    request = session.libraries.inject("Robot").wait(LONG_MS)
    (left,) = {"B00001", "B00002"} - set(request.details["taken_in"])
    assert request.state is PASSED
    assert left in request.details["message"]
    assert robot.lying()[left].startswith("port")
    (asked,) = [each for each in session.operators.list() if left in each.message]
    assert asked.argument2 == session.libraries.get("Offline").id
    with nothing_changed(url), refused(rsm.LibraryFullError):
        session.libraries.inject("Robot")
    check(robot)
    eject = session.media.eject(left)
    assert ended(eject, when_asked(lambda: robot.take_out(left))).state is PASSED
    assert session.operators.get(asked).state is NtmsOpreqState.NTMS_OPSTATE_COMPLETE
    check(robot)


def test_a_library_that_fills_up_meanwhile_tells_so(make: Robots) -> None:
    robot = make(1, slots=2, ports=1, shelved=1)
    asked = robot.session.libraries.inject("Robot")
    await_person(robot, asked)
    robot.add("C00001")
    robot.inventory(drain=False)
    request = ended(asked, when_asked(lambda: robot.carry("B00001", "port-01")))
    assert request.error_code == rsm.LibraryFullError.code
    assert robot.lying()["B00001"] == "port-01"
    with pytest.raises(rsm.LibraryFullError, match="B00001 in port-01"):
        asked.wait(LONG_MS)


class Extending(virtual.VirtualLibrary):
    """The same library with ports that are pushed out and pulled in."""

    def read_identity(self) -> LibraryIdentity:
        return dataclasses.replace(super().read_identity(), ports_extend=True)

    def extend_port(self, port: int, epoch: int) -> None:
        with self._robot(epoch):
            pass

    retract_port = extend_port


def test_ports_are_pushed_out_and_pulled_in(make: Robots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS, "virtual", Extending)
    robot = make(1, ports=1)
    session = robot.session
    (port,) = session.libraries.ports(robot.library)

    def position() -> NtmsPortPosition:
        found: rsm.Port = session.objects.get(Kind.NTMS_IEPORT, port.id)
        return found.position

    def take_out() -> None:
        assert position() is NtmsPortPosition.NTMS_PORTPOSITION_EXTENDED
        robot.take_out("A00001")

    assert ended(session.media.eject("A00001"), when_asked(take_out)).state is PASSED
    assert position() is NtmsPortPosition.NTMS_PORTPOSITION_RETRACTED
    robot.carry("A00001", "port-01")
    assert ended(session.libraries.inject("Robot")).state is PASSED
    assert position() is NtmsPortPosition.NTMS_PORTPOSITION_RETRACTED
    changes = [each.after for each in session.events.list(object_=port) if each.after and "position" in each.after]
    assert [int(change["position"]) for change in changes][1:] == [1, 2, 1, 2]
    check(robot)


# Doors


@pytest.mark.parametrize(("method", "inventories"), [(NO_INVENTORY, []), (FAST, [FAST]), (FULL, [FULL]), (OWN, [FAST])])
def test_a_door_is_opened_and_an_inventory_follows(
    make: Robots, method: NtmsInventoryMethod, inventories: list[NtmsInventoryMethod]
) -> None:
    robot = make(1, doors=1)
    session = robot.session
    robot.prepare("A00001")
    tape = robot.allocate("A00001")
    before = len(robot.requests(NtmsLmOperation.NTMS_LM_INVENTORY))
    asked = session.libraries.door("Robot", method)
    await_person(robot, asked)
    (door,) = session.libraries.doors("Robot")
    assert door.state is NtmsDoorState.NTMS_DOORSTATE_OPEN
    with pytest.raises(Told):
        session.mounts.mount(tape, timeout_ms=LONG_MS, on_wait=once_told_of("door"))
    robot.add("C00001")
    asked.stop()
    assert asked.wait(LONG_MS).state is PASSED
    assert session.libraries.doors("Robot")[0].state is NtmsDoorState.NTMS_DOORSTATE_CLOSED
    taken = robot.requests(NtmsLmOperation.NTMS_LM_INVENTORY)[before:]
    assert [each.operation_option for each in taken] == inventories
    assert ("C00001" in robot.media()) == bool(inventories)
    with session.mounts.mount(tape, timeout_ms=LONG_MS):
        assert robot.lying()["A00001"] == "drive-01"


def test_a_door_that_tells_is_shut_by_hand_and_asked_for(make: Robots, monkeypatch: pytest.MonkeyPatch) -> None:
    robot = make(1, doors=1)
    session = robot.session
    stands = [True]
    looks = iter([False, False, True, True, False])  # shut until somebody comes, open, and shut again
    monkeypatch.setattr(virtual.VirtualLibrary, "is_door_open", lambda _self: next(looks, stands[0]))
    (door,) = session.libraries.doors("Robot")
    assert session.libraries.door("Robot", NO_INVENTORY).wait(LONG_MS).state is PASSED
    assert next(looks, None) is None
    session.objects.update(Kind.NTMS_IEDOOR, door, max_open_seconds=0)
    late = session.libraries.door("Robot", NO_INVENTORY)
    wait_until(session, lambda: any("shut the door" in each.message for each in session.operators.list()))
    stands[0] = False
    assert late.wait(LONG_MS).state is PASSED
    assert [each for each in session.operators.list() if "shut the door" in each.message] == []


# One after the other


def test_one_person_at_a_time_is_at_a_library(make: Robots) -> None:
    robot = make(2, ports=2, doors=1)
    session = robot.session
    first = session.media.eject("A00001")
    await_person(robot, first)
    second, third = session.libraries.inject("Robot"), session.libraries.door("Robot", NO_INVENTORY)
    assert session.requests.why(second.id) == ("a person is at the library: eject",)
    second.stop()
    assert second.state is STOPPED
    session.requests.cancel(third.id)
    assert third.state is CANCELLED
    robot.take_out("A00001")
    assert first.wait(LONG_MS).state is PASSED
    check(robot)


def test_refusals_change_nothing(
    make: Robots, session: rsm.Session, connect: Callable[..., rsm.Session], url: str, tmp_path: Path
) -> None:
    robot = make(1)
    bare = session.libraries.add("virtual", virtual.create(tmp_path / "bare", 1, 1, 0, LTO), name="Bare").id
    robot.settle(session.requests.list(bare)[0].id)
    medium = session.media.get("A00001")
    session.pools.create("P", media_type=LTO)
    session.media.create("P", [builders.side()], barcode="SHELF")
    alice = connect("user:alice", worker=False)
    with nothing_changed(url):
        for call, error in (
            (lambda: session.media.eject("nothing"), rsm.InvalidMediaError),
            (lambda: session.media.eject("SHELF"), rsm.LibraryOfflineError),
            (lambda: session.libraries.inject("nothing"), rsm.InvalidParameterError),
            (lambda: session.libraries.inject("Offline"), rsm.LibraryOfflineError),
            (lambda: session.libraries.inject(bare), rsm.ResourceNotPresentError),
            (lambda: session.libraries.door("Robot"), rsm.ResourceNotPresentError),
            (lambda: session.libraries.door("Offline"), rsm.LibraryOfflineError),
            (lambda: session.libraries.door("Robot", 4), rsm.InvalidParameterError),
            (lambda: alice.media.eject(medium.id), rsm.AccessDeniedError),
            (lambda: alice.libraries.inject("Robot"), rsm.AccessDeniedError),
            (lambda: alice.libraries.door("Robot"), rsm.AccessDeniedError),
        ):
            with refused(error):
                call()
    session.media.disable(medium)
    with refused(rsm.MediaNotAvailableError):
        session.media.eject(medium)
    session.objects.disable(Kind.NTMS_LIBRARY, robot.library)
    for call, error in (
        (lambda: session.media.eject(medium), rsm.DeviceNotAvailableError),
        (lambda: session.libraries.inject("Robot"), rsm.DeviceNotAvailableError),
        (lambda: session.libraries.door("Robot"), rsm.ResourceDisabledError),
    ):
        with nothing_changed(url), refused(error):
            call()


# Whatever people do


def test_whatever_people_do_every_cartridge_is_in_one_place(make: Robots) -> None:
    robot = make(3, slots=5, ports=2, shelved=2)
    session, chance = robot.session, random.Random(2)
    codes = [*robot.lying(), "B00001", "B00002"]
    set_time(robot, 1)
    live: list[Attended] = []

    def meddle() -> None:
        code = chance.choice(codes)
        empty = [f"port-{number:02}" for number in (1, 2) if f"port-{number:02}" not in robot.lying().values()]
        place = robot.lying().get(code, "")
        try:
            if place.startswith("port"):
                robot.take_out(code)
            elif not place and empty:
                robot.carry(code, chance.choice(empty))
        except (FileNotFoundError, OSError, ValueError):
            pass  # the robot was faster

    for _ in range(14):
        what = chance.randrange(4)
        try:
            if what == 0:
                live.append(session.media.eject(chance.choice(codes)))
            elif what == 1:
                live.append(session.libraries.inject("Robot", many=chance.random() < 0.5))
            elif what == 2 and live:
                chance.choice(live).stop()
            else:
                meddle()
        except rsm.RsmError:
            continue
        meddle()
    for asked in live:
        ended(asked)
    robot.inventory()
    check(robot)
    assert {path.name for path in robot.shelf.iterdir()} | set(robot.lying()) == set(codes)
