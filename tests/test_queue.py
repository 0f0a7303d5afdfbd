"""The queue of library work: order, priorities, groups, ending, purging, and what those who wait are told."""

import random
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import builders
import pytest
import sqlalchemy
from watch import new_events, nothing_changed, refused
from working import LONG_MS, make_robot

import rsm
from rsm import model
from rsm.constants import NtmsLibRequestFlags, NtmsLmState, NtmsOperationalState
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsPartitionState as State
from rsm.services import queue
from rsm.services.standalone_planning import plan_library
from rsm.services.steps import Hindrance, Running

LAST = queue.LAST_ORDER
ALLOCATED = State.NTMS_PARTSTATE_ALLOCATED


class Queue:
    """A library that nobody works, and its queue."""

    def __init__(self, session: rsm.Session, url: str, name: str = "Robot") -> None:
        self.session, self.url = session, url
        self.library = builders.add_library(url, name, drives=2, requests=0)

    def add(self, operation: Any = queue.MOUNT, **fields: Any) -> uuid.UUID:
        return self.session.write(queue.insert_request, operation, self.library.id, caller_user="user:alice", **fields)

    def row(self, request: uuid.UUID) -> Any:
        return self.session.read(queue.read_request, request)

    def order(self) -> list[uuid.UUID]:
        """Return the mounts that wait, next first."""
        live = [self.row(each.id) for each in self.session.requests.list(self.library.id, live=True)]
        return [row.id for row in sorted(live, key=lambda row: (row.order_number, row.id)) if row.order_number]

    def set(self, request: uuid.UUID, **columns: Any) -> None:
        """Change a request behind the program's back."""
        builders.set_columns(self.url, model.LibraryRequest, request, **columns)

    def end(self, request: uuid.UUID, state: NtmsLmState = queue.PASSED) -> bool:
        return self.session.write(queue.end_request, request, state)

    def medium(self, barcode: str, *, place: int | None = 0) -> rsm.PhysicalMedium:
        """Put an allocated cartridge into a slot, or with None on the shelf."""
        pool = self.session.pools.create(r"\App", media_type="LTO-8", exist_ok=True)
        made = self.session.media.create(pool, [builders.side(state=ALLOCATED)], barcode=barcode)
        if place is not None:
            builders.put_online(self.url, made.id, self.library, place)
        return self.session.media.get(made)


@pytest.fixture
def robot(session: rsm.Session, url: str) -> Queue:
    return Queue(session, url)


# Order


@pytest.mark.parametrize(
    ("priorities", "order"),
    [
        ([0, 0, 0], [0, 1, 2]),
        ([0, 5, 0, 5], [1, 3, 0, 2]),
        ([-15, 15, 0], [1, 2, 0]),
        ([1, 2, 3, 2, 1], [2, 1, 3, 0, 4]),
    ],
)
def test_a_priority_decides_where_a_mount_is_put(robot: Queue, priorities: list[int], order: list[int]) -> None:
    asked = [robot.add(priority=priority) for priority in priorities]
    assert robot.order() == [asked[index] for index in order]
    assert [robot.row(each).order_number for each in robot.order()] == list(range(1, len(asked) + 1))
    assert [robot.session.requests.order(each) for each in robot.order()] == list(range(1, len(asked) + 1))


def test_only_mounts_have_an_order_and_each_library_its_own(robot: Queue) -> None:
    other = Queue(robot.session, robot.url, "Other")
    first = robot.add()
    for operation in (queue.DISMOUNT, queue.INVENTORY, queue.IDENTIFY, queue.WRITE_FREE_LABEL):
        request = robot.add(operation)
        assert robot.session.requests.order(request) == 0
        with refused(rsm.InvalidStateError):
            robot.session.requests.set_order(request, 1)
    elsewhere, second = other.add(), robot.add()
    assert [robot.session.requests.order(each) for each in (first, second, elsewhere)] == [1, 2, 1]


def test_random_orders_agree_with_a_list(robot: Queue) -> None:
    dice = random.Random(7)
    waiting: list[tuple[int, uuid.UUID]] = []
    put_off: list[uuid.UUID] = []
    for _ in range(60):
        what = dice.choice(["add", "add", "set", "put off", "end", "cancel"])
        if what == "add" or not waiting:
            priority = dice.randrange(-2, 3)
            place = max((index for index, (each, _) in enumerate(waiting, 1) if each >= priority), default=0)
            waiting.insert(place, (priority, robot.add(priority=priority)))
            continue
        chosen = dice.choice(waiting)
        waiting.remove(chosen)
        if what == "set":
            place = dice.randint(1, len(waiting) + 4)  # beyond the end is the end
            robot.session.requests.set_order(chosen[1], place)
            waiting.insert(place - 1, chosen)
        elif what == "put off":
            robot.session.requests.set_order(chosen[1], LAST)
            put_off.append(chosen[1])
        elif what == "end":
            assert robot.end(chosen[1])
        else:
            robot.session.requests.cancel(chosen[1])
        assert robot.order() == [each for _, each in waiting] + sorted(put_off)
    assert [robot.row(each).order_number for _, each in waiting] == list(range(1, len(waiting) + 1))


@pytest.mark.parametrize("number", [-1, LAST + 1])
def test_numbers_that_no_order_can_be(robot: Queue, url: str, number: int) -> None:
    request = robot.add()
    with nothing_changed(url), refused(rsm.InvalidParameterError):
        robot.session.requests.set_order(request, number)
    with nothing_changed(url), pytest.raises(TypeError):
        robot.session.requests.set_order(request, "first")  # type: ignore[arg-type]


def test_who_may_see_and_change_the_order(robot: Queue, connect: Callable[..., rsm.Session], url: str) -> None:
    request = robot.add()
    user = connect("user:alice")
    with nothing_changed(url):
        for call in (user.requests.order, lambda each: user.requests.set_order(each, 2), user.requests.cancel):
            with refused(rsm.AccessDeniedError):
                call(request)
        for call in (robot.session.requests.order, lambda each: robot.session.requests.set_order(each, 2)):
            with refused(rsm.ObjectNotFoundError):
                call(uuid.uuid4())
        robot.session.requests.set_order(request, 1)  # where it is already
    robot.end(request)
    with nothing_changed(url), refused(rsm.InvalidStateError):
        robot.session.requests.set_order(request, 1)


# Ending


def test_a_request_ends_once(robot: Queue) -> None:
    request = robot.add()
    with new_events(robot.session) as events:
        assert robot.end(request, queue.FAILED)
        assert not robot.end(request, queue.PASSED)
        assert not robot.end(uuid.uuid4())
    ended = robot.session.requests.get(request)
    assert (ended.state, ended.completed is None) == (queue.FAILED, False)
    assert [(event.object, event.after) for event in events] == [(request, {"state": 3, "error_code": 0})]
    with refused(rsm.ObjectNotFoundError):
        robot.session.requests.cancel(request)


@pytest.mark.parametrize("begun", [None, 0, 1])
def test_mounts_that_belong_together_are_cancelled_together(robot: Queue, begun: int | None) -> None:
    group = uuid.uuid4()
    together = [robot.add(work_item_id=group), robot.add(work_item_id=group)]
    part = robot.add(queue.IDENTIFY, work_item_id=group)
    other = robot.add()
    if begun is not None:
        robot.set(together[begun], state=int(queue.INPROCESS))
    withdraw = robot.session.write(queue.withdraw_request, together[1], error_code=1460)
    assert withdraw is (begun is None)
    states = [robot.row(each).state for each in (*together, part, other)]
    if begun is None:
        assert states == [queue.CANCELLED, queue.CANCELLED, queue.QUEUED, queue.QUEUED]
        assert {robot.row(each).error_code for each in together} == {1460}
        assert robot.order() == [other]
    else:
        assert queue.CANCELLED not in states
        with refused(rsm.AccessDeniedError):
            robot.session.requests.cancel(together[0])
    assert not robot.session.write(queue.withdraw_request, uuid.uuid4())


def test_only_what_has_ended_is_deleted(robot: Queue, connect: Callable[..., rsm.Session], url: str) -> None:
    live, ended, gone = robot.add(), robot.add(), uuid.uuid4()
    robot.end(ended)
    with nothing_changed(url), refused(rsm.AccessDeniedError):
        connect("user:alice").requests.delete(ended)
    assert robot.session.requests.delete(live, ended, gone, ended) == 1
    assert [each.id for each in robot.session.requests.list()] == [live]
    for state in (queue.PASSED, queue.FAILED, queue.CANCELLED, queue.STOPPED, queue.INVALID):
        robot.end(robot.add(), state)
    assert robot.session.requests.delete_ended([queue.FAILED, queue.PASSED]) == 2
    assert robot.session.requests.delete_ended() == 3
    assert [each.id for each in robot.session.requests.list()] == [live]


# Purging

FLAGS = NtmsLibRequestFlags


@pytest.mark.parametrize(
    ("flags", "left"),
    [
        (0, {"recent", "live"}),
        (FLAGS.NTMS_LIBREQFLAGS_NOFAILEDPURGE, {"recent", "live", "failed"}),
        (FLAGS.NTMS_LIBREQFLAGS_NOAUTOPURGE, {"recent", "live", "failed", "passed", "cancelled"}),
    ],
)
def test_what_is_purged(robot: Queue, flags: int, left: set[str]) -> None:
    (computer,) = robot.session.objects.list(Kind.NTMS_COMPUTER)
    robot.session.objects.update(
        Kind.NTMS_COMPUTER, computer, library_request_flags=FLAGS(flags), library_request_purge_seconds=100
    )
    made = {name: robot.add(queue.IDENTIFY) for name in ("recent", "live", "failed", "passed", "cancelled")}
    for name, state in (("recent", "PASSED"), ("failed", "FAILED"), ("passed", "PASSED"), ("cancelled", "CANCELLED")):
        robot.end(made[name], NtmsLmState[f"NTMS_LM_{state}"])
        if name != "recent":
            robot.set(made[name], completed=datetime.now(UTC) - timedelta(seconds=101))
    robot.set(made["recent"], completed=datetime.now(UTC) - timedelta(seconds=50))
    assert robot.session.write(queue.purge_requests) == len(made) - len(left)
    assert {each.id for each in robot.session.requests.list()} == {made[name] for name in left}
    assert robot.session.write(queue.purge_requests) == 0


def test_a_purge_takes_five_hundred_at_most(robot: Queue) -> None:
    old = datetime.now(UTC) - timedelta(days=30)

    def add_many(transaction: Any) -> None:
        for _ in range(505):
            request = queue.insert_request(transaction, queue.INVENTORY, robot.library.id, caller_user="user:alice")
            queue.end_request(transaction, request, queue.PASSED)

    robot.session.write(add_many)
    with builders.behind(robot.url) as connection:
        connection.execute(sqlalchemy.update(model.LibraryRequest).values(completed=old))
    assert [robot.session.write(queue.purge_requests) for _ in range(3)] == [500, 5, 0]


# Free labels


def test_a_free_label_is_queued_once_and_only_where_one_is_missing(robot: Queue) -> None:
    session, medium = robot.session, robot.medium("A00001")
    session.write(queue.queue_free_labels, medium.id)
    assert session.requests.list() == []
    session.types.add("LTO-8", robot.library.id)
    free = session.pools.get(r"\Free\LTO-8")
    builders.put_in_pool(robot.url, medium.id, free.id, State.NTMS_PARTSTATE_UNPREPARED)
    assert not session.read(queue.is_labelling, medium.media_type)
    for _ in range(2):
        session.write(queue.queue_free_labels, medium.id)
    (request,) = session.requests.list()
    assert (request.operation, request.medium) == (queue.WRITE_FREE_LABEL, medium.id)
    assert session.read(queue.is_labelling, medium.media_type)
    assert not session.read(queue.is_labelling, uuid.uuid4())
    robot.end(request.id)
    assert not session.read(queue.is_labelling, medium.media_type)
    assert not session.read(queue.is_queued_for, queue.WRITE_FREE_LABEL, robot.library.id, medium.id)


# What those who wait are told


def explain(robot: Queue, medium: rsm.PhysicalMedium, **fields: Any) -> tuple[Hindrance, str]:
    """Return why a mount of a cartridge does not begin."""
    details = {"side": 0, "for_writing": False}
    request = robot.add(medium_id=medium.id, side_id=robot.session.media.sides(medium)[0].id, details=details, **fields)
    row = robot.row(request)
    told = robot.session.read(lambda transaction: plan_library(transaction, row.library_id, Running()).explain(row))
    robot.end(request)
    return told


def test_every_reason_to_wait_is_told(robot: Queue, url: str) -> None:
    session, library = robot.session, robot.library
    medium, other, away = (robot.medium(code, place=slot) for code, slot in (("A1", 0), ("B2", 1), ("C3", None)))
    drives = [session.objects.get(Kind.NTMS_DRIVE, each) for each in library.drives]
    no_drive = (Hindrance.DRIVES, "no enabled drive here takes cartridge A1")
    assert explain(robot, medium) == no_drive  # its type is not one that these drives take
    session.types.add("LTO-8", library.id)
    assert explain(robot, medium) == (Hindrance.NONE, "it is next")
    assert explain(robot, away)[0] is Hindrance.OFFLINE
    assert "C3 is on the shelf" in explain(robot, away)[1]
    busy = robot.add(queue.WRITE_FREE_LABEL, medium_id=medium.id)
    robot.set(busy, state=int(queue.INPROCESS))
    assert explain(robot, medium) == (Hindrance.MEDIUM, "cartridge A1 is busy: write free label")
    robot.end(busy)
    for drive, holder in zip(drives, (other, None), strict=True):
        columns = {"occupied": True}
        builders.set_columns(url, model.Drive, drive.id, **columns)
        if holder is not None:
            builders.set_columns(url, model.PhysicalMedium, holder.id, slot_id=None, drive_id=drive.id)
            builders.add_mount(url, session.media.sides(holder)[0].id, drive.id)
    names = ", ".join(drive.name for drive in drives)
    assert explain(robot, medium) == (Hindrance.DRIVES, f"every drive that takes cartridge A1 is busy: {names}")
    hindrance, text = explain(robot, other)
    assert (hindrance, text) == (
        Hindrance.MEDIUM,
        f"cartridge B2 is mounted in drive {drives[0].name}, in use by another",
    )
    builders.set_columns(url, model.Drive, drives[1].id, occupied=False)
    assert explain(robot, medium) == (Hindrance.NONE, "it is next")
    in_first = (Hindrance.DRIVES, f"every drive that takes cartridge A1 is busy: {drives[0].name}")
    assert explain(robot, medium, drive_id=drives[0].id) == in_first
    builders.set_columns(url, model.Drive, drives[1].id, operational_state=int(NtmsOperationalState.NTMS_NEEDS_SERVICE))
    assert explain(robot, medium, drive_id=drives[1].id) == no_drive
    builders.set_columns(url, model.PhysicalMedium, medium.id, slot_id=None)
    assert explain(robot, medium)[0] is Hindrance.MEDIUM
    assert "cannot tell where" in explain(robot, medium)[1]
    session.objects.disable(Kind.NTMS_LIBRARY, library.id)
    assert explain(robot, medium) == (Hindrance.LIBRARY, "the library is disabled")


@pytest.mark.works
def test_who_is_not_served_in_time_is_cancelled(session: rsm.Session, tmp_path: Any) -> None:
    real = make_robot(session, tmp_path / "robot", drives=1)
    for code in ("A00001", "B00002"):
        real.add(code)
    real.attach()
    sides = {code: session.media.sides(code)[0] for code in ("A00001", "B00002")}
    with session.mounts.mount("A00001", timeout_ms=LONG_MS):
        request = session.write(
            queue.insert_request,
            queue.MOUNT,
            real.library.id,
            caller_user="user:alice",
            session_id=None,
            medium_id=sides["B00002"].medium,
            side_id=sides["B00002"].id,
            expires=datetime.now(UTC) + timedelta(seconds=0.2),
            details={"side": 0, "for_writing": False},
        )
        ended = real.settle(request)
        assert (ended.state, ended.error_code) == (queue.CANCELLED, rsm.TimeoutError.code)
        assert real.details(request)["message"] == "its time is over"


# Inventories


def test_stopping_inventories_leaves_what_was_asked_for_by_itself(robot: Queue) -> None:
    robot.medium("A00001")
    mine = robot.session.libraries.identify(robot.library.slots[0])
    inventory = robot.session.libraries.inventory(robot.library.id, full=False)
    assert mine is not None
    assert inventory is not None
    part = robot.add(queue.IDENTIFY, medium_id=mine.medium, work_item_id=inventory.id)
    assert robot.session.libraries.stop_inventory(robot.library.id) == 2
    assert [robot.row(each).state for each in (inventory.id, part)] == [queue.STOPPED] * 2
    assert robot.row(mine.id).state == queue.QUEUED


def test_an_inventory_of_the_services_own_waits_once(robot: Queue) -> None:
    def waiting() -> list[int]:
        return [each.operation_option for each in robot.session.requests.list(robot.library.id, live=True)]

    for method in (queue.FAST, queue.FAST, queue.FULL, queue.FULL, queue.FAST):
        robot.session.write(queue.queue_inventory, robot.library.id, method)
    assert waiting() == [queue.FAST, queue.FULL]  # a full one sees all that a fast one does, not the other way round
