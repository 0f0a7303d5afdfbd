"""What goes wrong in the middle of library work: devices and catalogues that fail, holders that sleep, ends, forks.

Whatever it is, the work is done in the end or its error told, and record and directory agree.
"""

import contextlib
import errno
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import builders
import mounting
import pytest
from counting import Counted
from mounting import LONG_MS, Heard, Stock
from programs import Program
from robot_users import check_left, settle

import rsm
from rsm import identity, model
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction
from rsm.errors import BusyError, DatabaseFailureError, NotReadyError
from rsm.libraries.base import error_from_os
from rsm.libraries.virtual import VirtualLibrary
from rsm.nouns.waiting import WaitReason
from rsm.services import agenda, epochs, inventory, outlook, progress, queue
from rsm.services.devices import Place
from rsm.services.steps import Action, Running, Start
from rsm.worker import Worker

pytestmark = pytest.mark.works

Connect = Callable[..., rsm.Session]
sqlite_only = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@pytest.fixture
def stock(session: rsm.Session, tmp_path: Path) -> Stock:
    """Return a library of two drives with three cartridges."""
    return mounting.make_stock(session, tmp_path, media=3, drives=2)


def check(stock: Stock, url: str) -> None:
    """See that nothing is lost or left over, and that the library still works."""
    lying = check_left(stock.session, url, stock.folder)
    assert len(lying) == len(stock.media)
    for medium in stock.media:
        with stock.session.mounts.mount(medium, write=True, timeout_ms=LONG_MS) as mount:
            assert stock.place(medium).startswith("drive")
            with mount.open("wb") as file:
                file.write(b"after the trouble")
    check_left(stock.session, url, stock.folder)


def read(mount: rsm.Mount) -> bytes:
    """Return all that is recorded on a mounted side."""
    with mount.open("rb") as file:
        return file.read()


class Failing:
    """Makes a method fail at chosen calls, before or after it did what it does."""

    def __init__(
        self, patch: pytest.MonkeyPatch, owner: Any, name: str, error: Callable[[], Exception], *, after: bool = False
    ) -> None:
        self.calls = 0
        self.failed = 0
        self.at: Callable[[int], bool] = lambda _call: False
        real, lock = getattr(owner, name), threading.Lock()

        def instead(*arguments: Any, **keywords: Any) -> Any:
            with lock:
                self.calls += 1
                fails = self.at(self.calls)
                self.failed += fails
            if fails and not after:
                raise error()
            result = real(*arguments, **keywords)
            if fails:
                raise error()
            return result

        patch.setattr(owner, name, instead)


# Devices that fail


def is_busy() -> Exception:
    return BusyError("the robot is busy")


def is_not_ready() -> Exception:
    return NotReadyError("the robot is not ready")


def is_full() -> Exception:
    return error_from_os(OSError(errno.ENOSPC, "no space left"), "the robot")


def is_broken() -> Exception:
    return error_from_os(OSError(errno.EIO, "I/O error"), "the robot")


CALLS = ("move", "load_drive", "unload_drive")


@sqlite_only
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("error", [is_busy, is_not_ready])
def test_a_device_that_fails_for_a_moment_is_asked_again(
    stock: Stock,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    error: Callable[[], Exception],
    call: str,
    after: bool,
    counted: Counted,
) -> None:
    failing = Failing(monkeypatch, VirtualLibrary, call, error, after=after)
    failing.at = lambda number: number == 1
    with stock.session.mounts.mount(stock.media[0], write=True, timeout_ms=LONG_MS) as mount:
        assert read(mount)
    check(stock, url)
    assert failing.failed == 1
    counted("calls of a device that failed", {call: failing.failed})


@sqlite_only
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("call", CALLS[:2])
@pytest.mark.parametrize("error", [is_full, is_broken])
def test_a_device_that_breaks_is_told_and_looked_at(
    stock: Stock,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    error: Callable[[], Exception],
    call: str,
    after: bool,
    counted: Counted,
) -> None:
    failing = Failing(monkeypatch, VirtualLibrary, call, error, after=after)
    failing.at = lambda number: number == 1
    with pytest.raises(type(error())):
        stock.session.mounts.mount(stock.media[0], write=True, timeout_ms=LONG_MS)
    check(stock, url)
    counted("calls of a device that failed", {call: failing.failed})


@sqlite_only
def test_a_device_that_stays_busy_is_given_up(stock: Stock, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = Failing(monkeypatch, VirtualLibrary, "move", is_busy)
    failing.at = lambda _number: True
    with pytest.raises(BusyError):
        stock.session.mounts.mount(stock.media[0], timeout_ms=LONG_MS)
    assert failing.failed == progress.MOST_ATTEMPTS
    failing.at = lambda _number: False
    check(stock, url)


@sqlite_only
def test_a_device_that_cannot_be_looked_at_after_trouble_is_taken_over_anew(
    stock: Stock, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    moving = Failing(monkeypatch, VirtualLibrary, "move", is_broken, after=True)
    looking = Failing(monkeypatch, VirtualLibrary, "read_elements", is_broken)
    moving.at = looking.at = lambda number: number == 1
    with stock.session.mounts.mount(stock.media[0], timeout_ms=LONG_MS):
        assert stock.place(stock.media[0]) == "drive-01"
    assert (moving.failed, looking.failed) == (1, 1)
    check(stock, url)


# Catalogues that fail


@sqlite_only
@pytest.mark.parametrize("after", [False, True])
def test_a_catalogue_that_fails_at_any_write_of_the_worker(
    stock: Stock, url: str, monkeypatch: pytest.MonkeyPatch, after: bool, counted: Counted
) -> None:
    settle(stock.session)
    failing = Failing(monkeypatch, Worker, "write", lambda: DatabaseFailureError("disk I/O error"), after=after)
    point = 0
    while failing.failed == point:
        point += 1
        failing.calls = 0
        failing.at = lambda number, point=point: number == point  # type: ignore[misc]
        medium = stock.media[point % 3]
        with stock.session.mounts.mount(medium, write=True, timeout_ms=LONG_MS) as mount:
            assert read(mount)
        check_left(stock.session, url, stock.folder)
    assert failing.failed > 6
    check(stock, url)
    counted("writes of the worker that failed", {"once done" if after else "before": failing.failed})


@sqlite_only
def test_a_dismount_that_could_not_be_written_can_be_repeated(
    stock: Stock, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount = stock.session.mounts.mount(stock.media[0], timeout_ms=LONG_MS)
    with monkeypatch.context() as patch:
        failing = Failing(patch, stock.session, "write", lambda: DatabaseFailureError("disk I/O error"))
        failing.at = lambda _number: True
        with pytest.raises(DatabaseFailureError):
            mount.dismount()
    mount.dismount()
    settle(stock.session)
    assert stock.place(stock.media[0]).startswith("slot")
    check(stock, url)


# Mounts that belong together


def test_one_of_two_fails_for_a_moment(stock: Stock, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = Failing(monkeypatch, VirtualLibrary, "move", is_busy)
    failing.at = lambda number: number == 2
    with stock.session.mounts.mount(stock.media[:2], timeout_ms=LONG_MS) as mounts:
        assert {stock.place(medium) for medium in stock.media[:2]} == {"drive-01", "drive-02"}
        assert all(read(mount) for mount in mounts)
    assert failing.failed == 1
    check(stock, url)


@sqlite_only
def test_one_of_two_is_taken_away_while_the_other_is_on_its_way(
    stock: Stock, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    move, moves = VirtualLibrary.move, []
    first, second = stock.media[:2]

    def moving(self: VirtualLibrary, source: int, destination: int, epoch: int, **options: Any) -> None:
        moves.append(source)
        if len(moves) == 2:
            raise BusyError("busy")  # long enough for the first to arrive and be taken away
        move(self, source, destination, epoch, **options)

    monkeypatch.setattr(VirtualLibrary, "move", moving)
    request = stock.session.mounts.request([first, second])
    taken = threading.Thread(target=lambda: _take_away_when_mounted(stock, first, second))
    taken.start()
    mounts = request.wait(LONG_MS)
    taken.join()
    assert isinstance(mounts, rsm.Mounts)
    with mounts:
        assert all(read(mount) for mount in mounts)
    check(stock, url)


def _take_away_when_mounted(stock: Stock, *media: rsm.LogicalMedium) -> None:
    until = time.monotonic() + LONG_MS / 1000
    while time.monotonic() < until:
        seen = stock.session.watcher.mark()
        mounted = [medium for medium in media if stock.cartridge(medium).mounted_side is not None]
        if mounted:
            with contextlib.suppress(rsm.InvalidStateError):
                stock.session.mounts.dismount(mounted[0])
            return
        stock.session.watcher.wait(seen, 1.0)


# The worker itself


@sqlite_only
@pytest.mark.parametrize(
    ("owner", "name"),
    [(agenda, "read_agenda"), (progress, "look"), (progress, "start_due"), (inventory, "record_look")],
)
@pytest.mark.parametrize("error", [lambda: ValueError("a bug"), lambda: DatabaseFailureError("disk I/O error")])
def test_the_worker_goes_on_after_an_error(
    stock: Stock,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    name: str,
    error: Callable[[], Exception],
) -> None:
    settle(stock.session)
    failing = Failing(monkeypatch, owner, name, error)
    failing.at = lambda number: number == 1
    with stock.session.mounts.mount(stock.media[0], timeout_ms=LONG_MS):
        pass
    assert stock.session.libraries.inventory(stock.library) is not None
    check(stock, url)
    assert failing.failed == 1


@sqlite_only
def test_a_library_that_cannot_be_worked_keeps_no_other_waiting(
    stock: Stock, session: rsm.Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = mounting.make_stock(session, tmp_path, media=1)
    look = outlook.look

    def looking(transaction: Transaction, library_id: uuid.UUID, running: Any) -> outlook.Outlook:
        if library_id == stock.library.id:
            raise DatabaseFailureError("a damaged row")
        return look(transaction, library_id, running)

    monkeypatch.setattr(outlook, "look", looking)
    request = session.mounts.request(stock.media[0])
    for _ in range(3):
        session.mounts.mount(other.media[0], timeout_ms=LONG_MS).dismount()
    assert request.state is queue.QUEUED
    monkeypatch.setattr(outlook, "look", look)
    mounted = request.wait(LONG_MS)
    assert isinstance(mounted, rsm.Mount)
    mounted.dismount()


@sqlite_only
def test_no_thread_is_to_be_had(stock: Stock, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[threading.Thread] = []
    start = threading.Thread.start

    def starting(self: threading.Thread) -> None:
        if self.name == "rsm-request" and not refused:
            refused.append(self)
            raise RuntimeError("can't start new thread")
        start(self)

    monkeypatch.setattr(threading.Thread, "start", starting)
    stock.session.mounts.mount(stock.media[0], timeout_ms=LONG_MS).dismount()
    assert refused
    check(stock, url)


@sqlite_only
def test_a_new_catalogue_takes_an_old_library_over(stock: Stock, connect: Connect, new_url: Callable[..., str]) -> None:
    robot = stock.folder / ".robot"
    settle(stock.session)
    robot.write_text(f"{5_000:020}\n")
    session = connect(database=new_url())
    session.libraries.add("virtual", str(stock.folder))
    settle(session)
    assert len(session.media.list()) == 3
    assert int(robot.read_text()) > 1_000_000_000


@sqlite_only
def test_what_is_overdue_and_cannot_be_ended_wakes_nobody(connect: Connect, stock: Stock) -> None:
    def enter(transaction: Transaction) -> None:
        past, later = transaction.now - timedelta(seconds=1), transaction.now + timedelta(days=1)
        who: dict[str, Any] = {"caller_user": "user:alice", "state": queue.WAITING}
        for expires in (past, later):
            queue.insert_request(transaction, queue.INVENTORY, stock.library.id, expires=expires, due=later, **who)

    stock.session.write(enter)
    found = stock.session.read(agenda.read_agenda, identity.host())
    assert all(work.next_due is None or work.next_due > found.now for work in found.libraries)


@sqlite_only
def test_all_that_was_kept_long_enough_is_purged_at_once(stock: Stock, url: str, connect: Connect) -> None:
    computer = stock.session.objects.list(rsm.NtmsObjectsTypes.NTMS_COMPUTER)[0]

    def enter(transaction: Transaction) -> None:
        for _ in range(1_100):
            made = queue.insert_request(transaction, queue.INVENTORY, stock.library.id, caller_user="user:alice")
            queue.end_request(transaction, made, queue.PASSED)

    stock.session.write(enter)
    builders.set_columns(url, model.Computer, computer, library_request_purge_seconds=0)
    stock.session.close()
    session = connect()
    until = time.monotonic() + LONG_MS / 1000
    while len(session.requests.list()) > 100:
        assert time.monotonic() < until
        session.watcher.wait(session.watcher.mark(), 1.0)


# Nobody works, then somebody does


def test_whoever_comes_to_work_finds_what_waits(connect: Connect, tmp_path: Path, url: str) -> None:
    with connect() as worker:
        stock = mounting.make_stock(worker, tmp_path)
    idle = connect(worker=False)
    heard = Heard(NOBODY_WORKS=lambda _waiting: connect())
    with idle.mounts.mount(stock.media[0], timeout_ms=LONG_MS, on_wait=heard) as mount:
        assert read(mount)
    assert WaitReason.NOBODY_WORKS in heard.reasons
    stock.session = connect()
    idle.close()
    check(stock, url)


@sqlite_only
@pytest.mark.parametrize("call", ["move", "load_drive"])
def test_the_last_session_closes_while_work_is_in_hand(
    stock: Stock, url: str, connect: Connect, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    at_work, go_on = threading.Event(), threading.Event()
    real = getattr(VirtualLibrary, call)

    def working(*arguments: Any, **keywords: Any) -> None:
        at_work.set()
        assert go_on.wait(LONG_MS / 1000)
        real(*arguments, **keywords)

    monkeypatch.setattr(VirtualLibrary, call, working)
    stock.session.mounts.request(stock.media[0], write=True)
    assert at_work.wait(LONG_MS / 1000)
    closing = threading.Thread(target=stock.session.close)
    closing.start()
    closing.join(0.2)
    assert closing.is_alive(), "a move cannot be broken off"
    go_on.set()
    closing.join(LONG_MS / 1000)
    assert not closing.is_alive()
    stock.session = connect()
    assert set(stock.moves()) <= {(stock.media[0].medium, stock.drives[0].id)}
    check(stock, url)


# Holders that sleep, die, and fork

SLEEPER = """
import signal, threading, rsm
from rsm.libraries.base import StaleEpochError
from rsm.libraries.virtual import VirtualLibrary
from rsm.services.epochs import SupersededError
from rsm.services.sessions import claim_of_library
from rsm.worker import Worker

url, when = sys.argv[1:]
session = rsm.connect(url, application="sleeper", caller=rsm.Caller("user:admin", administrator=True))
move, write = VirtualLibrary.move, Worker.write
writer = threading.RLock()

def sleep():
    VirtualLibrary.move = move
    with writer:  # no thread of this process sleeps in the middle of a write
        for library in session.libraries.list():  # as when the server lost the connection that carried the claim
            session._database.claims.drop(claim_of_library(library.id))
        signal.raise_signal(signal.SIGSTOP)  # this thread stops at once, before it takes the robot

def moving(*arguments, **keywords):
    if when == "before":
        sleep()
    try:
        move(*arguments, **keywords)
    except StaleEpochError:
        say("refused")
        raise
    if when == "after":
        sleep()

def writing(*arguments, **keywords):
    try:
        with writer:
            return write(*arguments, **keywords)
    except SupersededError:
        say("dropped")
        raise

VirtualLibrary.move, Worker.write = moving, writing
say("ready")
wait()
session.close()
say("closed")
"""


@pytest.mark.parametrize(("when", "told"), [("before", "refused"), ("after", "dropped")])
def test_a_holder_that_slept_while_another_took_over(
    connect: Connect, tmp_path: Path, url: str, when: str, told: str
) -> None:
    with connect() as worker:
        stock = mounting.make_stock(worker, tmp_path)
    stock.session = idle = connect(worker=False)
    with Program(SLEEPER, url, when) as sleeper:
        assert sleeper.hear() == "ready"
        request = idle.mounts.request(stock.media[0], write=True)
        pid = sleeper.wait_until_stopped()
        stock.session = connect()
        mount = request.wait(LONG_MS)
        assert isinstance(mount, rsm.Mount)
        with mount.open("wb") as file:
            file.write(b"mine")
        os.kill(pid, signal.SIGCONT)
        assert sleeper.hear() == told
        with mount:
            assert read(mount) == b"mine"
            assert stock.place(stock.media[0]) == "drive-01"
        sleeper.tell()
        assert sleeper.rest().splitlines()[-1] == "closed"
    idle.close()
    check(stock, url)


@sqlite_only
def test_the_time_is_over_although_the_holder_died_on_the_way(connect: Connect, tmp_path: Path, url: str) -> None:
    with connect() as worker:
        stock = mounting.make_stock(worker, tmp_path)
    stock.session = idle = connect(worker=False)
    with Program(SLEEPER, url, "after") as sleeper:
        assert sleeper.hear() == "ready"
        request = idle.mounts.request(stock.media[0])
        sleeper.wait_until_stopped()
    with pytest.raises(rsm.TimeoutError):
        request.wait(300)
    assert stock.place(stock.media[0]) == "drive-01"
    stock.session = connect()
    idle.close()
    assert stock.session.libraries.inventory(stock.library) is not None
    check(stock, url)


def test_what_a_take_over_let_go_of_has_not_arrived_until_it_is_mounted_again(
    connect: Connect, tmp_path: Path, url: str
) -> None:
    with connect() as worker:
        stock = mounting.make_stock(worker, tmp_path, drives=2)
    stock.session = idle = connect(worker=False)
    asked = idle.mounts.request(stock.media)

    def begin() -> tuple[int, list[Start]]:
        epoch = idle.write(epochs.take_over, stock.library.id)
        assert epoch is not None
        idle.write(progress.put_back_all, stock.library.id, epoch)
        starts = idle.write(progress.start_due, stock.library.id, epoch, Running())
        return epoch, sorted(starts, key=lambda start: start.request.id)

    epoch, (first, second) = begin()
    for start in (first, second):
        number = next(number for number, step in enumerate(start.steps, 1) if step.action is Action.MOVE)
        assert start.drive_id is not None
        drive = Place(Kind.NTMS_DRIVE, start.drive_id, 0, 0, True, True, "")
        carried = (start.request.id, number, start.request.medium_id, drive)
        idle.write(progress.record_move, stock.library.id, epoch, *carried)
    idle.write(progress.finish, stock.library.id, epoch, first)
    epoch, again = begin()  # the holder died, and both are in their drives
    assert [start.request.id for start in again] == [first.request.id, second.request.id]
    idle.write(progress.finish, stock.library.id, epoch, again[1])
    assert [idle.read(queue.read_request, start.request.id).completed for start in again] == [None, None]
    idle.write(progress.finish, stock.library.id, epoch, again[0])
    mounts = asked.wait(LONG_MS)
    assert isinstance(mounts, rsm.Mounts)
    assert {mount.side for mount in mounts} == {medium.side for medium in stock.media}


FORKER = """
import os, threading, rsm
from rsm.libraries.virtual import VirtualLibrary
from rsm.services.sessions import claim_of_library

url, medium = sys.argv[1:]
admin = rsm.Caller("user:admin", administrator=True)
session = rsm.connect(url, caller=admin)
move, at_work, go_on = VirtualLibrary.move, threading.Event(), threading.Event()

def moving(*arguments, **keywords):
    at_work.set()
    assert go_on.wait(60)
    move(*arguments, **keywords)

VirtualLibrary.move = moving
request = session.mounts.request(medium, write=True)
assert at_work.wait(60)
child = os.fork()
if child == 0:
    try:
        closed = session.closed
        session.close()
        VirtualLibrary.move = move
        with rsm.connect(url, caller=admin) as again:
            library = again.libraries.list()[-1].id
            held = again._database.claims.is_held(claim_of_library(library))
            moving = again.requests.get(request.ids[0]).state.name
        say(f"{closed} {held} {moving}")
    finally:
        os._exit(0)
os.waitpid(child, 0)
go_on.set()
with request.wait(60_000) as mount, mount.open("wb") as file:
    file.write(b"of the parent")
session.close()
say("done")
"""


def test_a_fork_while_work_is_in_hand(connect: Connect, tmp_path: Path, url: str) -> None:
    with connect() as worker:
        stock = mounting.make_stock(worker, tmp_path)
        barcode = stock.cartridge(stock.media[0]).barcode
    with Program(FORKER, url, barcode) as forker:
        assert forker.rest().splitlines() == ["True True NTMS_LM_INPROCESS", "done"]
    stock.session = connect()
    check(stock, url)
