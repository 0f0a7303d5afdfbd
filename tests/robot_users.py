"""Programs that use a robot and get killed at it, for test_worker_killed.

`python robot_users.py use URL NAME SEED MOUNTS FOLDER` mounts cartridges of its own pool until its journal in FOLDER
counts MOUNTS of them. Whatever it wrote and was told to be safe goes into the journal, and is compared at every mount.
Every block is made of its place alone, so what a killed one left behind a journal's end can be told from damage.

`python robot_users.py die URL FOLDER` reads numbers, and for each has a child carry out the same work and die at the
moment of that number: before or after a move of the robot, or a commit of the worker.
"""

import contextlib
import hashlib
import json
import os
import random
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy

import rsm
from rsm import model, schema
from rsm.constants import NtmsMediaState
from rsm.db import Transaction
from rsm.libraries.virtual import VirtualLibrary
from rsm.worker import Worker

ADMINISTRATOR = rsm.Caller("user:admin", administrator=True)
BLOCK_BYTES = 4096
CARTRIDGES_EACH = 5
LONG_MS = 120_000
DIED = 77
TWO_SIDED = "MO_5_RW"


def make_block(medium: str, number: int) -> bytes:
    """Return what belongs into one block of a cartridge."""
    return hashlib.shake_256(f"{medium} {number}".encode()).digest(BLOCK_BYTES)


def make_blocks(medium: str, count: int) -> bytes:
    """Return what a cartridge begins with once `count` blocks are safe."""
    return b"".join(make_block(medium, number) for number in range(count))


def pool_of(name: str) -> str:
    """Return the pool that one user's cartridges are in."""
    return f"\\Users\\{name}"


class Journal:
    """What one user was told to be safe, in a file that survives it."""

    def __init__(self, folder: Path, name: str) -> None:
        self.mounts = 0
        self.safe: dict[str, int] = {}
        self._file = os.open(folder / f"{name}.journal", os.O_RDWR | os.O_CREAT | os.O_APPEND)
        written = b""
        while piece := os.read(self._file, 1 << 20):
            written += piece
        whole = written[: written.rfind(b"\n") + 1]
        os.ftruncate(self._file, len(whole))  # a line that was being written counts for nothing
        for line in whole.splitlines():
            self._count(json.loads(line))

    def note(self, **entry: Any) -> None:
        """Write down what is so from now on."""
        os.write(self._file, json.dumps(entry).encode() + b"\n")
        os.fsync(self._file)
        self._count(entry)

    def _count(self, entry: dict[str, Any]) -> None:
        self.mounts += entry.get("mounts", 0)
        if "medium" in entry:
            self.safe[entry["medium"]] = entry["blocks"]

    def check(self, medium: str, found: bytes) -> bytes:
        """See that all that is safe is there, and nothing else but the beginning of the next block; return that."""
        count = self.safe.get(medium, 0)
        if not count:
            return b""  # never written, or for the first time, over the free label
        safe = make_blocks(medium, count)
        assert found[: len(safe)] == safe, f"{medium}: {count} blocks were safe"
        rest = found[len(safe) :]
        assert make_block(medium, count).startswith(rest), f"{medium}: {len(rest)} bytes of nobody's"
        return rest


class User:
    """An application that keeps data on cartridges."""

    def __init__(self, session: rsm.Session, name: str, seed: int, folder: Path) -> None:
        self.session = session
        self.pool = pool_of(name)
        self.journal = Journal(folder, name)
        self.random = random.Random(seed + self.journal.mounts)

    def step(self) -> None:
        """Do one thing of many."""
        media = self.session.media.logical_media(self.pool)
        for medium in media:
            if self.journal.safe.get(str(medium.id)) == -1:
                self.session.media.deallocate(medium)
                return
        chance = self.random.random()
        if len(media) < CARTRIDGES_EACH:
            self.session.media.allocate(self.pool, timeout_ms=LONG_MS)
        elif chance < 0.06:
            self.journal.note(medium=str(self.random.choice(media).id), blocks=-1)
        elif chance < 0.15:
            with self.session.mounts.mount(self.random.sample(media, 2), write=True, timeout_ms=LONG_MS) as mounts:
                for mount, medium in zip(mounts, [self._medium_of(mount, media) for mount in mounts], strict=True):
                    self.append(mount, str(medium.id))
        else:
            medium = self.random.choice(media)
            with self.session.mounts.mount(medium, write=chance < 0.8, timeout_ms=LONG_MS) as mount:
                self.append(mount, str(medium.id))
                if self.random.random() < 0.5:
                    mount.dismount(deferred=True)

    def _medium_of(self, mount: rsm.Mount, media: Sequence[rsm.LogicalMedium]) -> rsm.LogicalMedium:
        return next(medium for medium in media if medium.side == mount.side)

    def append(self, mount: rsm.Mount, medium: str) -> None:
        """Compare what a cartridge holds, and write the next block if it was mounted for that."""
        say("mounted")
        with mount.open("rb") as file:
            rest = self.journal.check(medium, file.read())
        if mount.for_writing:
            count = self.journal.safe.get(medium, 0)
            block = make_block(medium, count)[len(rest) :]
            with mount.open("ab" if count else "wb") as file:
                file.write(block[: BLOCK_BYTES // 2])
                say("writing")
                file.write(block[BLOCK_BYTES // 2 :])
            self.journal.note(medium=medium, blocks=count + 1, mounts=1)
        else:
            self.journal.note(mounts=1)
        say("done")


def say(word: str) -> None:
    """Tell whoever started the program how far it is."""
    print(word, flush=True)


def use(url: str, name: str, seed: int, mounts: int, folder: Path) -> None:
    """Use the robot until the journal counts enough mounts."""
    with rsm.connect(url, application=name, caller=ADMINISTRATOR, busy_timeout_ms=LONG_MS) as session:
        user = User(session, name, seed, folder)
        say("ready")
        while user.journal.mounts < mounts:
            user.step()


# What is left afterwards

_LIVE = sqlalchemy.select(
    model.LibraryRequest.id, model.LibraryRequest.name, model.LibraryRequest.state, model.LibraryRequest.due
).where(model.LibraryRequest.completed.is_(None))
_LIBRARY_AT = sqlalchemy.select(model.Library.id).where(
    model.Library.address == sqlalchemy.bindparam("address", type_=model.Text())
)
_OPEN_SESSIONS = sqlalchemy.select(model.Session.id).where(model.Session.closed.is_(None))
_HELD_MOUNTS = sqlalchemy.select(model.Mount.id).where(model.Mount.dismountable_from.is_(None))
_IN_USE = sqlalchemy.select(model.PhysicalMedium.id).where(
    model.PhysicalMedium.media_state == int(NtmsMediaState.NTMS_MEDIASTATE_INUSE)
)
_SIDES = (
    sqlalchemy.select(
        model.Side.id, model.Side.mounted, model.Mount.drive_id, model.PhysicalMedium.drive_id.label("held_by")
    )
    .join(model.PhysicalMedium, model.PhysicalMedium.id == model.Side.medium_id)
    .outerjoin(model.Mount, model.Mount.side_id == model.Side.id)
)


def list_due(transaction: Transaction) -> list[Any]:
    """Return the live requests, but for those that are to wait for long."""
    soon = transaction.now + timedelta(seconds=60)
    return [row for row in transaction.rows(_LIVE) if row.due is None or row.due < soon]


def settle(session: rsm.Session) -> None:
    """Wait until the queue is empty of all that is not put off, and no other session is left."""
    until = time.monotonic() + LONG_MS / 1000
    while True:
        seen = session.watcher.mark()
        left = session.read(list_due), session.read(open_sessions, session.id)
        if left == ([], []):
            return
        assert time.monotonic() < until, left
        session.watcher.wait(seen, 1.0)


def check_left(session: rsm.Session, url: str, robot: Path) -> dict[str, str]:
    """Wait for the end of all work; see that nothing is left in anybody's hands; return where every cartridge is."""
    settle(session)
    lying = sorted((path.name, path.parent.name) for path in robot.glob("*-*/*") if path.is_dir())
    library = session.read(lambda transaction: transaction.one(_LIBRARY_AT, "the robot", address=str(robot)).id)
    names = {slot.id: f"slot-{slot.number:04}" for slot in session.libraries.slots(library)}
    names |= {drive.id: f"drive-{drive.number:02}" for drive in session.libraries.drives(library)}
    names |= {port.id: f"port-{port.number:02}" for port in session.libraries.ports(library)}
    media = session.media.list(library=library)
    assert sorted((medium.barcode, names[medium.location]) for medium in media if medium.location) == lying
    assert len(dict(lying)) == len(lying) == len(media)
    assert session.read(left_in_use) == []
    assert session.read(sides_without_mount) == []
    assert schema.check(url) == []
    return dict(lying)


def open_sessions(transaction: Transaction, own: object) -> list[object]:
    return [row.id for row in transaction.rows(_OPEN_SESSIONS) if row.id != own]


def left_in_use(transaction: Transaction) -> list[object]:
    """Return mounts that nobody gave back, and cartridges that are being worked with."""
    return [*transaction.rows(_HELD_MOUNTS), *transaction.rows(_IN_USE)]


def sides_without_mount(transaction: Transaction) -> list[object]:
    """Return sides that are said to be mounted and are not, or the other way round, or in another drive."""
    return [
        row
        for row in transaction.rows(_SIDES)
        if bool(row.mounted) != (row.drive_id is not None) or (row.mounted and row.drive_id != row.held_by)
    ]


# Dying at a chosen moment


def die_at(point: int) -> list[str]:
    """Let the process die at one of the moments around its moves and the worker's commits; return those that pass."""
    passed: list[str] = []
    lock = threading.Lock()

    def pass_moment(name: str) -> None:
        with lock:
            passed.append(name)
            if len(passed) == point:
                os._exit(DIED)

    move, write = VirtualLibrary.move, Worker.write

    def moving(self: VirtualLibrary, *arguments: Any, **keywords: Any) -> None:
        pass_moment("before a move")
        move(self, *arguments, **keywords)
        pass_moment("after a move")

    def writing(self: Worker, service: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        def watched(transaction: Transaction) -> Any:
            result = service(transaction, *arguments, **keywords)
            pass_moment("before a commit")
            return result

        result = write(self, watched)
        pass_moment("after a commit")
        return result

    VirtualLibrary.move = moving  # type: ignore[method-assign]
    Worker.write = writing  # type: ignore[method-assign]
    return passed


def carry_out(session: rsm.Session, journal: Journal) -> None:
    """Work a library of one drive: inventory, free labels, mounts of every kind, another cartridge, a second side."""
    finish_work(session)
    for cartridge in session.media.list():
        session.media.move(cartridge, rf"\Free\{TWO_SIDED}")
    first = session.media.allocate(r"\Users\mortal", new=True, timeout_ms=LONG_MS)
    second_side = session.media.allocate(r"\Users\mortal", next_to=first)
    other = session.media.allocate(r"\Users\mortal", new=True, timeout_ms=LONG_MS)
    for medium, deferred in ((first, True), (first, True), (other, False), (second_side, True), (first, False)):
        keep_block(session, journal, medium, deferred=deferred)
    finish_work(session)


def keep_block(session: rsm.Session, journal: Journal, medium: rsm.LogicalMedium, *, deferred: bool = False) -> None:
    """Mount a side, compare what it holds, and write its next block."""
    named = str(medium.id)
    with session.mounts.mount(medium, write=True, timeout_ms=LONG_MS) as mount:
        with mount.open("rb") as file:
            rest = journal.check(named, file.read())
        count = journal.safe.get(named, 0)
        with mount.open("ab" if count else "wb") as file:
            file.write(make_block(named, count)[len(rest) :])
        journal.note(medium=named, blocks=count + 1)
        mount.dismount(deferred=deferred)


def finish_work(session: rsm.Session) -> None:
    """Wait until everything in the queue is done that is not put off."""
    for request in session.read(list_due):
        with contextlib.suppress(rsm.CancelledError):  # a dismount of what is in use again
            session.requests.wait(request.id, timeout_ms=LONG_MS)


def die(url: str, folder: Path, point: int) -> None:
    """Carry out the work and die on the way; note the moments there were if none of them was the point."""
    passed = die_at(point)
    with rsm.connect(url, application="mortal", caller=ADMINISTRATOR) as session:
        if sys.argv[1] == "die":
            carry_out(session, Journal(folder, "mortal"))
        else:
            finish_work(session)
    (folder / "moments").write_text(json.dumps(passed))


def let_die(do: Callable[[int], None]) -> None:
    """Let a child work for each number that is read, and say how it ended."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                do(int(line))
                os._exit(0)
            finally:
                traceback.print_exc()
                os._exit(70)
        say(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))


def main() -> None:
    """Be a user; or let a child die for each number that is read, and say how it ended.

    `die`: at work of its own; `finish`: at what is in the queue.
    """
    if sys.argv[1] == "use":
        use(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), Path(sys.argv[6]))
        return
    let_die(lambda point: die(sys.argv[2], Path(sys.argv[3]), point))


if __name__ == "__main__":
    main()
