"""Library work on a simulated changer: two moves made in one, moves of several arms, and what the device tells then."""

import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest
from libraries.scsi.simulated import (
    DOOR,
    DRIVE,
    NO_COMMAND,
    ROBOT,
    SLOT,
    SWITCHED_ON,
    Simulated,
    Tape,
    refusal,
    scripted,
)
from mounting import wait_until
from working import Robot

import rsm
from rsm.constants import NtmsLmOperation, NtmsLmState
from rsm.libraries import BACKENDS
from rsm.libraries.scsi.transport import LostError, Reply
from rsm.worker.robot import Robot as Arms

pytestmark = pytest.mark.works

CODES = ["A00001L8", "B00002L8", "C00003L8"]
MOVE, EXCHANGE, BECOMING = 0xA5, 0xA6, (0x2, 0x04, 0x07)
LONG_MS = 60_000
sqlite_only = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


class Work:
    """A simulated changer on record, its first cartridges allocated."""

    def __init__(self, session: rsm.Session, folder: Path, simulated: Simulated, tapes: int) -> None:
        self.simulated = simulated
        simulated.holds_on = False
        simulated.tapes = {SLOT + at: Tape(code) for at, code in enumerate(CODES[:tapes])}
        self.robot = Robot(session, folder / "robot")
        self.robot.library = session.libraries.add("scsi", "/changer", name="Robot")
        self.robot.drain()
        self.robot.prepare(*CODES[:tapes])
        self.media = [self.robot.allocate(code) for code in CODES[:tapes]]
        self.session = session
        simulated.given.clear()

    def mount(self, at: int, *, deferred: bool = False) -> None:
        """Mount a cartridge, see that it is the right one, and give it back."""
        with self.session.mounts.mount(self.media[at], write=True, timeout_ms=LONG_MS) as mount:
            with mount.open("wb") as file:
                file.write(CODES[at].encode())
            with mount.open() as file:
                assert file.read() == CODES[at].encode()
            mount.dismount(deferred=deferred)

    def put_in_the_way(self) -> None:
        """Put a cartridge by hand where the one in the drive is at home; there is no drive to read its label in."""
        self.simulated.tapes[SLOT] = Tape(CODES[2])
        self.session.libraries.inventory(self.robot.library, full=False)
        wait_until(self.session, lambda: CODES[2] in self.robot.media())

    def make_room(self) -> None:
        """Take it out again."""
        del self.simulated.tapes[SLOT]
        self.session.libraries.inventory(self.robot.library, full=False)
        wait_until(self.session, lambda: CODES[2] not in self.robot.places())
        self.robot.drain()

    def open_door(self, attention: tuple[int, int, int]) -> None:
        """Put a cartridge in by hand, which the next command is told of."""
        self.simulated.tapes[SLOT + 5] = Tape(CODES[2])
        self.simulated.attentions["/changer"] = [attention]

    def carried(self) -> list[int]:
        """Return the commands that carried cartridges."""
        return [code for code in self.simulated.codes() if code in (MOVE, EXCHANGE)]

    def check(self) -> None:
        """See that the record and the device agree."""
        self.robot.drain()
        names = {SLOT + at: f"slot-{at + 1:04}" for at in range(9)} | {DRIVE: "drive-01", DRIVE + 1: "drive-02"}
        lying = {tape.barcode: names[address] for address, tape in self.simulated.tapes.items()}
        assert self.robot.places() == lying


@pytest.fixture
def make_work(session: rsm.Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Work]:
    """Put a simulated changer on record; `unknown` are commands that it has not."""

    def make(tapes: int = 2, unknown: Collection[int] = (), **options: int) -> Work:
        simulated = Simulated(**options)
        simulated.unknown = set(unknown)
        monkeypatch.setitem(BACKENDS, "scsi", lambda _: simulated.open())
        return Work(session, tmp_path, simulated, tapes)

    return make


# --- two moves in one -----------------------------------------------------------------------------------------------


def test_occupied_drive_is_emptied_and_filled_in_one(make_work: Callable[..., Work]) -> None:
    work = make_work(drives=1)
    work.mount(0, deferred=True)
    work.mount(1, deferred=True)
    assert work.carried() == [MOVE, EXCHANGE]
    assert {address: tape.barcode for address, tape in work.simulated.tapes.items()} == {
        SLOT: CODES[0],
        DRIVE: CODES[1],
    }
    work.mount(0)
    work.check()
    assert work.carried() == [MOVE, EXCHANGE, EXCHANGE, MOVE]


def test_cartridges_change_places_where_no_slot_is_empty(make_work: Callable[..., Work]) -> None:
    work = make_work(drives=1, slots=2)
    work.mount(0, deferred=True)
    work.put_in_the_way()
    work.mount(1, deferred=True)
    assert work.carried() == [MOVE, EXCHANGE]
    places = {address: tape.barcode for address, tape in work.simulated.tapes.items()}
    assert places == {SLOT: CODES[2], SLOT + 1: CODES[0], DRIVE: CODES[1]}
    work.make_room()
    work.check()


@sqlite_only
def test_without_an_exchange_nothing_begins_until_there_is_room(make_work: Callable[..., Work]) -> None:
    work = make_work(drives=1, slots=2, unknown=[EXCHANGE])
    work.mount(0, deferred=True)
    work.put_in_the_way()
    asked = work.session.mounts.request(work.media[1])
    with pytest.raises(rsm.TimeoutError):
        asked.wait(1000)
    work.make_room()
    work.mount(1)
    work.check()
    assert EXCHANGE not in work.carried()


@sqlite_only
def test_device_that_refuses_to_exchange_moves_one_after_the_other(make_work: Callable[..., Work]) -> None:
    work = make_work(drives=1)
    work.simulated.script = scripted({EXCHANGE: [refusal(NO_COMMAND)]})
    for at in (0, 1, 0):
        work.mount(at, deferred=True)
    work.check()
    # The last one may be planned by a new holder, which has not been refused yet.
    assert work.carried()[:4] == [MOVE, EXCHANGE, MOVE, MOVE]


def all_of_it(simulated: Simulated) -> None:
    simulated.swap(SLOT + 1, DRIVE, SLOT)


def half_of_it(simulated: Simulated) -> None:
    simulated.carry(DRIVE, SLOT)


def nothing_of_it(_: Simulated) -> None:
    pass


@pytest.mark.parametrize("done", [all_of_it, half_of_it, nothing_of_it])
def test_exchange_that_is_lost_is_settled_by_what_the_device_shows(
    make_work: Callable[..., Work], done: Callable[[Simulated], None]
) -> None:
    work = make_work(drives=1)
    work.mount(0, deferred=True)

    def lose() -> Reply:
        done(work.simulated)
        raise LostError("the line went dead")

    work.simulated.script = scripted({EXCHANGE: [lose]})
    work.mount(1)
    work.check()
    again = {all_of_it: [], half_of_it: [MOVE], nothing_of_it: [EXCHANGE]}[done]
    assert work.carried() == [MOVE, EXCHANGE, *again, MOVE]
    (ended,) = (
        each for each in work.robot.requests(NtmsLmOperation.NTMS_LM_MOUNT) if each.medium == work.media[1].medium
    )
    assert ended.state is NtmsLmState.NTMS_LM_PASSED


# --- what happens by hand -------------------------------------------------------------------------------------------


@sqlite_only
@pytest.mark.parametrize("where", ["mount", "worker"])
@pytest.mark.parametrize("attention", [DOOR, SWITCHED_ON, (0x6, 0x3B, 0x13)])
def test_door_or_power_that_shows_in_the_middle_of_work_leads_to_an_inventory(
    make_work: Callable[..., Work], attention: tuple[int, int, int], where: str
) -> None:
    work = make_work()
    inventories = len(work.robot.requests(NtmsLmOperation.NTMS_LM_INVENTORY))
    with work.session.mounts.mount(work.media[0], timeout_ms=LONG_MS) as mount:
        if where == "mount":
            work.open_door(attention)
            assert mount.free_bytes
    if where == "worker":
        work.simulated.script = scripted({MOVE: [lambda: work.open_door(attention)]})
    wait_until(work.session, lambda: CODES[2] in work.robot.media())
    work.check()
    assert len(work.robot.requests(NtmsLmOperation.NTMS_LM_INVENTORY)) == inventories + 1


# --- several arms ---------------------------------------------------------------------------------------------------


def meet(parties: int, answers: list[Any]) -> Callable[[str, bytes], Reply | None]:
    """Return a script that lets a move go on once so many are on their way; then it gives these answers."""
    barrier, left = threading.Barrier(parties, timeout=30), iter(answers)

    def script(name: str, cdb: bytes) -> Reply | None:
        if name == "/changer" and cdb[0] == MOVE:
            barrier.wait()
            return next(left, None)
        return None

    return script


def test_moves_of_two_arms_overlap(make_work: Callable[..., Work]) -> None:
    work = make_work(arms=2)
    work.simulated.script = meet(2, [])
    asked = [work.session.mounts.request(medium) for medium in work.media]
    for each in asked:
        each.wait(LONG_MS).dismount()
    work.robot.drain()
    work.check()
    arms = [int.from_bytes(cdb[2:4], "big") for name, cdb in work.simulated.given if cdb[0] == MOVE]
    assert sorted(arms) == [ROBOT, ROBOT, ROBOT + 1, ROBOT + 1]


@sqlite_only
def test_arm_that_another_is_in_the_way_of_goes_after_it(make_work: Callable[..., Work]) -> None:
    work = make_work(arms=2)
    busy, moves = threading.Event(), []

    def script(name: str, cdb: bytes) -> Reply | None:
        if name != "/changer" or cdb[0] != MOVE:
            return None
        moves.append(cdb)
        if len(moves) == 1:
            assert busy.wait(30)
            return None
        busy.set()
        return refusal(BECOMING) if len(moves) == 2 else None

    work.simulated.script = script
    asked = [work.session.mounts.request(medium) for medium in work.media]
    for each in asked:
        each.wait(LONG_MS)
    attempts = [work.robot.details(one).get("attempts", 0) for each in asked for one in each.ids]
    assert (len(moves), attempts) == (3, [0, 0])
    work.check()


@sqlite_only
def test_moves_of_one_arm_come_one_after_the_other(make_work: Callable[..., Work]) -> None:
    work = make_work()
    under_way: list[int] = []
    most: list[int] = []

    def script(name: str, cdb: bytes) -> Reply | None:
        if name == "/changer" and cdb[0] == MOVE:
            under_way.append(1)
            most.append(len(under_way))
            work.session.libraries.list()  # takes its time
            under_way.pop()
        return None

    work.simulated.script = script
    asked = [work.session.mounts.request(medium) for medium in work.media]
    for each in asked:
        each.wait(LONG_MS).dismount()
    work.robot.drain()
    assert most == [1, 1, 1, 1]


def test_who_wants_the_whole_robot_waits_for_moves_in_hand_and_goes_first() -> None:
    arms, order = Arms((7, 8)), []
    begun, go_on = threading.Event(), threading.Event()

    def move() -> None:
        with arms.arm() as arm, arms:
            order.append(f"move by {arm}")
            begun.set()
            assert go_on.wait(30)
            order.append("moved")

    def look() -> None:
        with arms, arms, arms.arm() as arm:
            order.append(f"look by {arm}")

    def move_later() -> None:
        with arms.arm() as arm:
            order.append(f"later by {arm}")

    threads = [threading.Thread(target=each) for each in (move, look, move_later)]
    threads[0].start()
    assert begun.wait(30)
    threads[1].start()
    while not arms._wanting_all:
        threads[1].join(0.001)
    threads[2].start()
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert order == ["move by 7", "moved", "look by 7", "later by 7"]
