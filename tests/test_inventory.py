"""Inventories of a real library: what appears, comes back, is elsewhere or gone, and what labels make of it."""

import json
import os
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import builders
import pytest
from watch import new_events
from working import FREE, IMPORT, LONG_MS, LTO, UNRECOGNIZED, Blind, Robot, make_robot

import rsm
from rsm import labels, schema
from rsm.constants import NtmsLmOperation, NtmsLmState, NtmsOperationalState
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsPartitionState as State
from rsm.labels import FREE_TYPE, Label, make_free_label, plugins
from rsm.libraries import virtual
from rsm.nouns.waiting import Waiting, WaitReason

pytestmark = pytest.mark.works

FOREIGN, IMPORTED, INCOMPATIBLE, AVAILABLE, UNPREPARED, ALLOCATED = (
    State[f"NTMS_PARTSTATE_{name}"]
    for name in ("FOREIGN", "IMPORT", "INCOMPATIBLE", "AVAILABLE", "UNPREPARED", "ALLOCATED")
)
NOTHING: dict[str, list[str]] = {"moved": [], "returned": [], "appeared": [], "vanished": [], "problems": []}


@pytest.fixture
def robot(session: rsm.Session, tmp_path: Path) -> Robot:
    """Return an empty library that is not on record yet."""
    return make_robot(session, tmp_path / "robot")


def free_label(name: str = "somebody's", label_id: uuid.UUID | None = None) -> bytes:
    return make_free_label(label_id or uuid.uuid4(), name, datetime(2030, 5, 1, tzinfo=UTC))


def found(details: dict[str, Any], **wanted: list[str]) -> None:
    """See that an inventory found just this."""
    assert {name: sorted(details[f"{name}_names"]) for name in NOTHING} == {**NOTHING, **wanted}
    assert {name: details[name] for name in wanted} == {name: len(names) for name, names in wanted.items()}


# What appears


@pytest.mark.parametrize(
    ("data", "options", "pool", "state", "identified"),
    [
        (b"", {}, UNRECOGNIZED, FOREIGN, True),
        (b"anything", {}, UNRECOGNIZED, FOREIGN, True),
        (free_label()[:-1], {}, UNRECOGNIZED, FOREIGN, True),
        (free_label(), {}, IMPORT, IMPORTED, True),
        (free_label() + b"more", {"write_protected": True}, IMPORT, IMPORTED, True),
        (b"", {"media_type": "LTO-3"}, r"\Unrecognized\LTO-3", INCOMPATIBLE, False),
        (b"", {"sides": 2}, UNRECOGNIZED, INCOMPATIBLE, False),
    ],
    ids=["blank", "data", "cut off label", "free label", "write protected", "other media type", "too many sides"],
)
@pytest.mark.parametrize("place", ["slot-3", "port-1"])
def test_a_cartridge_that_appears_is_identified(
    robot: Robot, data: bytes, options: dict[str, Any], pool: str, state: State, identified: bool, place: str
) -> None:
    robot.attach()
    robot.add("A00001", place, data, capacity_bytes=5000, **options)
    found(robot.inventory(), appeared=["A00001"])
    assert (robot.pool("A00001"), robot.states("A00001")) == (pool, [state] * options.get("sides", 1))
    assert robot.places() == robot.lying()
    assert robot.lying()["A00001"].startswith(place[:4])
    side = robot.session.media.sides("A00001")[0]
    assert side.capacity_bytes == 5000
    assert bool(side.label_id) == (state is IMPORTED)
    assert len(robot.requests(NtmsLmOperation.NTMS_LM_PROCESSOMID)) == identified
    found(robot.inventory())


def test_a_media_type_that_is_not_on_record_is_a_problem_of_one_cartridge(robot: Robot) -> None:
    robot.add("X00001", media_type="LTO-99")
    robot.attach()
    robot.add("A00001")
    details = robot.inventory()
    assert (details["appeared_names"], details["problems"]) == (["A00001"], 1)
    assert all(word in details["problems_names"][0] for word in ("slot-0001", "LTO-99"))
    assert set(robot.media()) == {"A00001"}


def test_both_sides_of_a_cartridge_are_read_and_labelled(session: rsm.Session, tmp_path: Path) -> None:
    folder = Path(virtual.create(tmp_path / "disks", 3, 1, 0, "MO_5_RW", True))
    robot = Robot(session, folder)
    robot.add("D00001", sides=2)
    half = robot.add("D00002", sides=2)
    (half / "side-2" / "data").write_bytes(free_label())
    robot.add("D00003")
    robot.attach()
    assert {code: (robot.pool(code), robot.states(code)) for code in robot.media()} == {
        "D00001": (r"\Unrecognized\MO_5_RW", [FOREIGN, FOREIGN]),
        "D00002": (r"\Import\MO_5_RW", [FOREIGN, IMPORTED]),
        "D00003": (r"\Unrecognized\MO_5_RW", [INCOMPATIBLE]),
    }
    session.media.move("D00001", r"\Free\MO_5_RW")
    robot.drain()
    assert robot.states("D00001") == [AVAILABLE, AVAILABLE]
    ids = [side.label_id for side in session.media.sides("D00001")]
    read = [labels.recognise((robot.find("D00001") / side / "data").read_bytes()) for side in ("side-1", "side-2")]
    assert [label and label.id for label in read] == ids
    assert len(set(ids)) == 2
    assert robot.places() == robot.lying()


# Labels that are on record


@pytest.mark.parametrize(
    ("on_record", "found_barcode", "is_it"),
    [("", "A00001", True), ("A00001", "A00001", True), ("A00001", "B00002", False)],
    ids=["without bar code", "same bar code", "other bar code"],
)
def test_a_label_on_record_brings_its_cartridge_online(
    robot: Robot, on_record: str, found_barcode: str, is_it: bool
) -> None:
    robot.attach()
    label_id, media = uuid.uuid4(), robot.session.media
    pool = robot.session.pools.create(r"\App", media_type=LTO)
    known = media.create(pool, [rsm.NewSide(FREE_TYPE, label_id.bytes, ALLOCATED)], barcode=on_record)
    robot.add(found_barcode, data=free_label("A00001", label_id))
    robot.inventory()
    listed = {medium.id: medium for medium in media.list()}
    assert (listed[known.id].library == robot.library.id) is is_it
    if is_it:
        assert len(listed) == 1
        assert listed[known.id].barcode == found_barcode
        assert robot.place(listed[known.id]) == "slot-0001"
        assert [side.state for side in media.sides(known)] == [ALLOCATED]
    else:
        assert robot.pool(found_barcode) == IMPORT
        assert robot.states(found_barcode) == [IMPORTED]
    found(robot.inventory())


@pytest.fixture
def recognisers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Return the list of recognisers that are installed beside our own."""
    installed: list[Any] = []

    class Point:
        def __init__(self, recogniser: Any) -> None:
            self.name, self.value, self.recogniser = recogniser.name, recogniser.name, recogniser

        def load(self) -> Any:
            return self.recogniser

    monkeypatch.setattr(plugins, "_find_entry_points", lambda: [Point(each) for each in installed])
    labels.forget_recognisers()
    yield installed
    labels.forget_recognisers()


class Nightly:
    """Knows media of a backup program by their first line."""

    name, maximum_bytes = "nightly", 4096

    def claim(self, head: bytes) -> Label | None:
        return Label("Nightly", head[8:].split(b"\n")[0], "a backup") if head.startswith(b"NIGHTLY ") else None


class Broken:
    """Fails whatever it sees."""

    name, maximum_bytes = "broken", 10

    def claim(self, head: bytes) -> Label | None:
        raise OSError("cannot")


def test_plugins_classify_what_appears(robot: Robot, recognisers: list[Any]) -> None:
    recognisers += [Broken(), Nightly()]
    robot.add("N00001", data=b"NIGHTLY 17\nand what was backed up")
    robot.add("A00001", data=b"something else")
    robot.attach()
    assert (robot.pool("N00001"), robot.states("N00001")) == (IMPORT, [IMPORTED])
    assert (robot.pool("A00001"), robot.states("A00001")) == (UNRECOGNIZED, [FOREIGN])
    (side,) = robot.session.media.sides("N00001")
    assert (side.label_type, side.label_id, side.label_info) == ("Nightly", b"17", "a backup")


# Where they are


def test_nothing_new_writes_nothing(robot: Robot, url: str) -> None:
    robot.add("A00001")
    robot.add("A00002", "port-1", free_label())
    robot.attach()
    robot.inventory()

    def rows() -> set[str]:
        """Return the rows, without what tells who holds the library."""
        kept = set()
        for line in builders.dump(url):
            row = json.loads(line)
            if isinstance(row, list) and row[0] == "library":
                row[1] |= {"epoch": 0, "modified": 0}
            if isinstance(row, list):
                kept.add(json.dumps(row))
        return kept

    before = rows()
    with new_events(robot.session) as events:
        request = robot.session.libraries.inventory(robot.library)
        assert request is not None
        robot.settle(request.id)
    after = rows()
    assert before - after == set()
    owner = {"object": "id", "library_request": "id", "request_step": "request_id"}
    new = {table: row[owner[table]] for table, row in map(json.loads, after - before)}
    assert new == dict.fromkeys(owner, new["library_request"])
    assert events == []
    found(robot.details(request.id))


def test_what_was_moved_by_hand_is_found(robot: Robot) -> None:
    for number in range(1, 5):
        robot.add(f"A0000{number}")
    robot.attach()
    robot.carry("A00001", "slot-0005")
    shelf = robot.take_out("A00002")
    robot.carry("A00003", "slot-0002")
    os.rename(shelf, robot.folder / "slot-0003" / "A00002")
    robot.carry("A00004", "slot-0001")
    found(robot.inventory(), moved=["A00001", "A00002", "A00003", "A00004"])
    assert robot.places() == robot.lying()
    assert robot.places() == {
        "A00001": "slot-0005",
        "A00002": "slot-0003",
        "A00003": "slot-0002",
        "A00004": "slot-0001",
    }
    assert all(medium.home_slot == medium.location for medium in robot.media().values())
    found(robot.inventory())


@pytest.mark.parametrize("place", ["slot-0004", "drive-02", "port-01"])
def test_what_comes_back_is_online_where_it_is_found(robot: Robot, place: str) -> None:
    robot.add("A00001")
    robot.attach()
    robot.prepare("A00001")
    medium = robot.session.media.get("A00001")
    robot.take_out("A00001")
    found(robot.inventory(), vanished=["A00001"])
    away = robot.session.media.get("A00001")
    assert (away.id, away.location, away.home_slot) == (medium.id, None, None)
    assert robot.places() == {}
    robot.carry("A00001", place)
    found(robot.inventory(), returned=["A00001"])
    assert robot.places() == {"A00001": place}
    assert robot.states("A00001") == [AVAILABLE]
    with robot.session.mounts.mount("A00001", timeout_ms=LONG_MS) as mount, mount.open() as file:
        assert labels.recognise(file.read()) is not None
    robot.drain()
    assert robot.places() == robot.lying()


def test_who_waits_for_a_cartridge_that_vanished_is_served_when_it_is_back(robot: Robot) -> None:
    robot.add("A00001")
    robot.add("A00002")
    robot.attach()
    for drive in robot.session.libraries.drives(robot.library)[1:]:
        robot.session.objects.disable(Kind.NTMS_DRIVE, drive)
    robot.prepare("A00001", "A00002")
    tape = robot.allocate("A00001")
    reasons: list[WaitReason] = []
    asked = threading.Event()

    def hear(waiting: Waiting) -> None:
        reasons.append(waiting.reason)
        if waiting.reason is WaitReason.OPERATOR and request.state is NtmsLmState.NTMS_LM_WAITING:
            asked.set()

    with robot.session.mounts.mount("A00002", timeout_ms=LONG_MS):
        request = robot.session.mounts.request(tape, write=True)
        thread = threading.Thread(target=lambda: request.wait(LONG_MS, on_wait=hear).__exit__(None, None, None))
        thread.start()
        robot.take_out("A00001")
        robot.inventory(drain=False)
        assert asked.wait(60)
        (wish,) = robot.session.operators.list()
        assert (wish.argument1, wish.argument2) == (robot.session.media.get("A00001").id, robot.library.id)
        robot.carry("A00001", "slot-0006")
        robot.inventory(drain=False)
    thread.join(60)
    assert not thread.is_alive()
    assert request.state is NtmsLmState.NTMS_LM_PASSED
    assert WaitReason.OPERATOR in reasons
    robot.drain()
    assert robot.places() == robot.lying()


def test_duplicates_are_not_judged(robot: Robot) -> None:
    robot.add("A00001")
    robot.add("B00002")
    robot.attach()
    shutil.copytree(robot.find("A00001"), robot.folder / "slot-0004" / "A00001")
    details = robot.inventory()
    assert (details["problems"], details["vanished"], details["appeared"], details["moved"]) == (2, 0, 0, 0)
    assert "A00001" in details["problems_names"][0]
    assert robot.places() == {"A00001": "slot-0001", "B00002": "slot-0002"}
    with robot.session.mounts.mount("B00002", timeout_ms=LONG_MS):
        pass
    # The one on record is moved away, and another one put where it was: neither is lost, nor taken for the other.
    os.rename(robot.folder / "slot-0001" / "A00001", robot.folder / "slot-0005" / "A00001")
    robot.drain()
    robot.carry("B00002", "slot-0001")
    robot.add("C00003", "slot-2")
    details = robot.inventory()
    assert (details["problems"], details["vanished"]) == (2, 0)
    assert robot.places() == {"A00001": "nowhere", "B00002": "slot-0001", "C00003": "slot-0002"}
    shutil.rmtree(robot.folder / "slot-0004" / "A00001")
    robot.inventory()
    assert robot.places() == robot.lying()


def test_an_element_that_cannot_be_read_says_nothing_of_what_was_in_it(robot: Robot) -> None:
    robot.add("A00001")
    robot.add("B00002")
    robot.attach()
    inside = robot.find("A00001")
    junk = inside.parent / "junk"
    junk.mkdir()
    details = robot.inventory()
    assert (details["problems"], details["vanished"]) == (1, 0)
    assert str(inside.parent) in details["problems_names"][0]
    assert robot.places() == {"A00001": "slot-0001", "B00002": "slot-0002"}
    junk.rmdir()
    found(robot.inventory())


# Free labels


def test_moving_into_the_free_pool_writes_the_label(robot: Robot) -> None:
    written = robot.add("A00001", data=b"old data" * 200)
    robot.attach()
    robot.session.media.move("A00001", FREE)
    robot.drain()
    assert (robot.pool("A00001"), robot.states("A00001")) == (FREE, [AVAILABLE])
    (side,) = robot.session.media.sides("A00001")
    label = labels.recognise((written / "side-1").read_bytes())
    assert label is not None
    assert (label.type, label.id, label.info) == (FREE_TYPE, side.label_id, "A00001")
    assert (side.label_type, side.label_info) == (label.type, label.info)
    assert (written / "side-1").stat().st_size == labels.FREE_LABEL_BYTES
    assert robot.places() == robot.lying() == {"A00001": "slot-0001"}
    found(robot.inventory())


def test_a_label_that_cannot_be_written_is_tried_once(robot: Robot) -> None:
    robot.add("P00001", write_protected=True)
    robot.add("A00002")
    robot.attach()
    robot.prepare("P00001", "A00002")
    for _ in range(2):
        robot.inventory()
        assert robot.states("P00001") == [UNPREPARED]
        writes = [
            each
            for each in robot.requests(NtmsLmOperation.NTMS_LM_WRITESCRATCH)
            if each.medium == robot.media()["P00001"].id
        ]
        assert [each.state for each in writes] == [NtmsLmState.NTMS_LM_FAILED]
        assert "P00001" in robot.details(writes[0].id)["message"]
    assert robot.states("A00002") == [AVAILABLE]
    assert robot.places() == robot.lying()
    robot.session.pools.create(r"\App", media_type=LTO, allocate_from_free=True)
    assert robot.session.media.allocate(r"\App", timeout_ms=LONG_MS).medium == robot.media()["A00002"].id


def test_a_full_inventory_keeps_what_has_a_bar_code_whatever_is_on_it(robot: Robot) -> None:
    for code in ("A00001", "B00002", "C00003"):
        robot.add(code)
    robot.attach()
    robot.prepare("A00001", "B00002", "C00003")
    with robot.session.mounts.mount(robot.allocate("A00001"), write=True, timeout_ms=LONG_MS) as mount:
        with mount.open("wb") as file:
            file.write(b"data without any label")
    robot.allocate("B00002")
    robot.drain()
    (robot.find("B00002") / "side-1").write_bytes(b"written behind everyone's back")
    (robot.find("C00003") / "side-1").write_bytes(free_label())
    before = robot.media()
    robot.inventory(full=True)
    assert len(robot.requests(NtmsLmOperation.NTMS_LM_PROCESSOMID)) == 6
    assert {code: (medium.id, medium.pool) for code, medium in robot.media().items()} == {
        code: (medium.id, medium.pool) for code, medium in before.items()
    }
    assert [robot.states(code) for code in sorted(before)] == [[ALLOCATED], [ALLOCATED], [AVAILABLE]]
    with robot.session.mounts.mount("A00001", timeout_ms=LONG_MS) as mount, mount.open() as file:
        assert file.read() == b"data without any label"
    with pytest.raises(rsm.InvalidStateError, match="B00002"):
        robot.session.mounts.mount("B00002", timeout_ms=LONG_MS)


# Without bar codes


@pytest.fixture
def blind(robot: Robot, monkeypatch: pytest.MonkeyPatch) -> Robot:
    """Return a library without bar codes and with two cartridges that have free labels."""
    monkeypatch.setitem(rsm.libraries.BACKENDS, "blind", Blind)
    robot.back_end = "blind"
    robot.add("A00001")
    robot.add("B00002")
    robot.attach()
    for medium in robot.session.media.list():
        robot.session.media.move(medium, FREE)
    robot.drain()
    return robot


def in_slots(robot: Robot) -> dict[str, rsm.PhysicalMedium]:
    return {robot.place(each): each for each in robot.session.media.list() if each.library == robot.library.id}


def test_without_bar_codes_an_exchanged_cartridge_is_found_at_its_next_mount(blind: Robot) -> None:
    recorded = in_slots(blind)
    assert {medium.barcode for medium in recorded.values()} == {""}
    old = recorded["slot-0001"]
    taken = blind.take_out("A00001")
    blind.add("C00003", "slot-1", free_label())
    found(blind.inventory(full=False))  # nobody can tell
    with pytest.raises(rsm.InvalidStateError, match=old.name):
        blind.session.mounts.mount(old, timeout_ms=LONG_MS)
    blind.drain()
    inventories = blind.requests(NtmsLmOperation.NTMS_LM_INVENTORY)
    assert [each.state for each in inventories[-1:]] == [NtmsLmState.NTMS_LM_PASSED]
    assert len(inventories) == 3
    away = blind.session.media.get(old)
    assert (away.location, away.library == blind.library.id) == (None, False)
    now = in_slots(blind)
    assert set(now) == set(blind.lying().values()) == {"slot-0001", "slot-0002"}
    assert now["slot-0002"].id == recorded["slot-0002"].id
    assert [side.state for side in blind.session.media.sides(now["slot-0001"])] == [IMPORTED]
    # The first one comes back by its label.
    os.rename(taken, blind.folder / "slot-0005" / "A00001")
    blind.inventory(full=True)
    assert in_slots(blind)["slot-0005"].id == old.id
    assert len(blind.session.media.list()) == 3


def test_without_bar_codes_two_exchanged_cartridges_are_both_found(blind: Robot) -> None:
    recorded = in_slots(blind)
    shelf = blind.take_out("A00001")
    blind.carry("B00002", "slot-0001")
    os.rename(shelf, blind.folder / "slot-0002" / "A00001")
    blind.inventory(full=True)
    now = in_slots(blind)
    assert now["slot-0001"].id == recorded["slot-0002"].id
    assert now["slot-0002"].id == recorded["slot-0001"].id
    assert len(blind.session.media.list()) == 2


# Asking


def test_identifying_a_slot(robot: Robot) -> None:
    medium = robot.add("A00001")
    robot.attach()
    (medium / "side-1").write_bytes(free_label())
    libraries = robot.session.libraries
    slots = libraries.slots(robot.library)
    request = libraries.identify(slots[0])
    assert request is not None
    assert robot.settle(request.id).state is NtmsLmState.NTMS_LM_PASSED
    assert (robot.pool("A00001"), robot.states("A00001")) == (IMPORT, [IMPORTED])
    assert robot.places() == robot.lying() == {"A00001": "slot-0001"}
    (medium / "side-1").write_bytes(b"")
    deferred = libraries.identify(slots[0], deferred=True)
    assert deferred is not None
    robot.settle(deferred.id)
    assert (robot.pool("A00001"), robot.states("A00001")) == (UNRECOGNIZED, [FOREIGN])
    assert robot.places() == robot.lying() == {"A00001": "drive-01"}
    assert libraries.identify(slots[1]) is None
    with pytest.raises(rsm.InvalidParameterError):
        libraries.identify(uuid.uuid4())


def test_an_inventory_is_stopped(robot: Robot) -> None:
    for number in range(3):
        robot.add(f"A0000{number}")
    robot.attach()
    session = robot.session
    assert session.libraries.stop_inventory(robot.library) == 0
    for drive in session.libraries.drives(robot.library):
        session.objects.disable(Kind.NTMS_DRIVE, drive)
    robot.add("B00001")
    robot.add("B00002")
    request = session.libraries.inventory(robot.library)
    assert request is not None
    told: list[str] = []

    def stop(waiting: Waiting) -> None:
        told.append(waiting.text)
        if "2 cartridges" in waiting.text:
            assert session.libraries.stop_inventory(robot.library) == 2

    session.requests.wait(request, timeout_ms=LONG_MS, on_wait=stop)
    assert session.requests.list(live=True) == []
    stopped = robot.requests(NtmsLmOperation.NTMS_LM_PROCESSOMID)[-2:]
    assert [each.state for each in stopped] == [NtmsLmState.NTMS_LM_STOPPED] * 2
    assert robot.states("B00001") == [State.NTMS_PARTSTATE_UNKNOWN]
    for drive in session.libraries.drives(robot.library):
        session.objects.enable(Kind.NTMS_DRIVE, drive)
    robot.inventory(full=True)
    assert robot.states("B00001") == [FOREIGN]


def test_an_inventory_that_nobody_began_is_stopped_before_it_looks(
    robot: Robot, connect: Callable[..., rsm.Session]
) -> None:
    robot.attach()
    robot.session.close()
    idle = connect(worker=False)
    request = idle.libraries.inventory(robot.library)
    assert request is not None
    assert idle.libraries.stop_inventory(robot.library) == 1
    ended = idle.requests.get(request)
    assert (ended.state, ended.completed is None) == (NtmsLmState.NTMS_LM_STOPPED, False)


# Devices that come and go


def test_a_library_that_is_not_there_keeps_its_work(robot: Robot, connect: Callable[..., rsm.Session]) -> None:
    robot.add("A00001")
    robot.attach()
    robot.session.close()  # whoever holds the library lets go of it
    away, idle = robot.folder.with_name("away"), connect(worker=False)
    request = idle.libraries.inventory(robot.library)
    assert request is not None
    os.rename(robot.folder, away)
    with pytest.raises(rsm.DeviceNotAvailableError, match=str(robot.folder)):
        idle.libraries.inventory(robot.library)
    session = robot.session = connect()
    seen: list[NtmsOperationalState] = []

    def look(waiting: Waiting) -> None:
        state = session.libraries.get(robot.library).operational_state
        seen.append(state)
        if state is NtmsOperationalState.NTMS_NOT_PRESENT and away.exists():
            assert waiting.reason is WaitReason.QUEUED
            os.rename(away, robot.folder)

    assert session.requests.wait(request, timeout_ms=LONG_MS, on_wait=look).state is NtmsLmState.NTMS_LM_PASSED
    assert NtmsOperationalState.NTMS_NOT_PRESENT in seen
    assert session.libraries.get(robot.library).operational_state is NtmsOperationalState.NTMS_READY
    found(robot.details(request.id))
    assert robot.places() == {"A00001": "slot-0001"}


def test_cartridges_put_in_and_taken_out_meanwhile(robot: Robot, url: str) -> None:
    for number in range(5):
        robot.add(f"A0000{number}")
    robot.attach()
    over = threading.Event()

    def fidget() -> None:
        """Carry cartridges around by hand until it is over."""
        turn = 0
        while not over.is_set():
            code = f"A0000{turn % 5}"
            try:
                if turn % 3 == 0:
                    robot.take_out(code)
                else:
                    robot.carry(code, f"slot-{1 + turn % 6:04}")
            except (OSError, ValueError):
                pass
            turn += 1
            over.wait(0.001)

    hand = threading.Thread(target=fidget)
    hand.start()
    try:
        for turn in range(6):
            robot.inventory(full=turn == 3)
    finally:
        over.set()
        hand.join()
    robot.inventory()
    robot.inventory()
    assert robot.places() == robot.lying()
    assert set(robot.media()) == {f"A0000{number}" for number in range(5)}
    assert schema.check(url) == []
