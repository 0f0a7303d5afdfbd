"""Processes that share a robot and are killed at it: nothing acknowledged is lost, nothing stays where it is not.

The whole proof of 200 mounts each and 30 kills: `RSM_TEST_MOUNTS=200 RSM_TEST_KILLS=30 pytest -n0 -s
tests/test_worker_killed.py -k share`. RSM_TEST_STRIDE=1 kills at every moment, not only at every nineteenth.
"""

import json
import os
import random
import select
import shutil
import sqlite3
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import builders
import pytest
import robot_users
import sqlalchemy
from counting import Counted
from forks import Forked
from robot_users import LONG_MS, Journal, check_left, pool_of, settle

import rsm
from rsm import model
from rsm.libraries.virtual import add_cartridge, create

pytestmark = pytest.mark.works

PROGRAM = str(Path(robot_users.__file__))
MOUNTS = int(os.environ.get("RSM_TEST_MOUNTS", "24"))
KILLS = int(os.environ.get("RSM_TEST_KILLS", "6"))
STRIDE = int(os.environ.get("RSM_TEST_STRIDE", "19"))
LINES_OF_A_MOUNT = 3
LONG_SECONDS = LONG_MS / 1000


@dataclass
class Robot:
    """A library that several processes share."""

    url: str
    folder: Path
    cartridges: set[str] = field(default_factory=set)

    @property
    def path(self) -> Path:
        return self.folder / "robot"

    def make(self, slots: int, drives: int, cartridges: int, media_type: str = "LTO-8", sides: int = 1) -> None:
        """Make the directory, with cartridges in it."""
        create(self.path, slots, drives, 1, media_type, sides == 2)
        for number in range(cartridges):
            add_cartridge(self.path, f"A{number:05}", capacity_bytes=10_000_000, sides=sides)
            self.cartridges.add(f"A{number:05}")

    def furnish(
        self, session: rsm.Session, *names: str, media_type: str = "LTO-8", defer_seconds: int | None = None
    ) -> None:
        """Put it on record, and make a pool for each user."""
        library = session.libraries.add("virtual", str(self.path), name="Robot")
        for drive in session.libraries.drives(library) if defer_seconds is not None else ():
            builders.set_columns(self.url, model.Drive, drive.id, defer_dismount_seconds=defer_seconds)
        session.pools.create(r"\Users")
        for name in names:
            session.pools.create(pool_of(name), media_type=media_type, allocate_from_free=True)

    def check(self, session: rsm.Session) -> None:
        """See that nothing is lost, and that record and directory agree."""
        assert set(check_left(session, self.url, self.path)) == self.cartridges

    def read_back(self, session: rsm.Session, journal: Journal) -> int:
        """Read all that is safe by its journal, and return how many blocks that were."""
        blocks = 0
        for medium, count in journal.safe.items():
            if count <= 0:
                continue
            with session.mounts.mount(uuid.UUID(medium), timeout_ms=LONG_MS) as mount, mount.open("rb") as file:
                journal.check(medium, file.read())
            blocks += count
        return blocks


class Victim:
    """A user's program, that is started again whenever it was killed."""

    def __init__(self, robot: Robot, name: str, seed: int, mounts: int) -> None:
        self._arguments = [PROGRAM, "use", robot.url, name, str(seed), str(mounts), str(robot.folder)]
        self._errors = robot.folder / f"{name}.errors"
        self.start()

    def start(self) -> None:
        with self._errors.open("ab") as errors:
            command = [sys.executable, *self._arguments]
            self._process = Forked(command, stdout=subprocess.PIPE, stderr=errors, bufsize=0)

    def hear(self, lines: int) -> bool:
        """Pass over what was said, and wait for so many new lines; False if it ended before."""
        assert self._process.stdout is not None
        output = self._process.stdout.fileno()
        while select.select([output], [], [], 0)[0]:
            if not os.read(output, 65536):
                return False
        while lines > 0:
            assert select.select([output], [], [], LONG_SECONDS)[0], "it said nothing for minutes"
            said = os.read(output, 65536)
            if not said:
                return False
            lines -= said.count(b"\n")
        return True

    def kill(self) -> bool:
        """End it as a crash does; False if it had ended by itself."""
        self._process.kill()
        self._close()
        return self._process.wait() < 0

    def end(self) -> None:
        """Wait for its own end."""
        while self.hear(1_000):
            pass
        status = self._process.wait()
        self._close()
        assert status == 0, self._errors.read_text()

    def _close(self) -> None:
        assert self._process.stdout is not None
        self._process.stdout.close()

    def __enter__(self) -> "Victim":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._close()


def watch_changes(url: str) -> Callable[[int], None]:
    """Return what looks at a catalogue without a pause until it changed so many times."""
    if not url.startswith("sqlite"):
        return lambda _changes: None
    file = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)

    def watch(changes: int) -> None:
        until = time.monotonic() + 1.0
        for _ in range(changes):
            (before,) = file.execute("PRAGMA data_version").fetchone()
            while file.execute("PRAGMA data_version").fetchone() == (before,) and time.monotonic() < until:
                pass

    return watch


def kill_at_random(robot: Robot, victims: list[Victim], mounts: int, kills: int, seed: int) -> list[Victim]:
    """Kill one of them, and start it again, so many times while they have work to do; return those that have."""
    chance = random.Random(seed)
    working = list(victims)
    longest = max(2, int(0.6 * len(victims) * mounts * LINES_OF_A_MOUNT / kills))
    watch = watch_changes(robot.url)
    killed = 0
    while killed < kills:
        victim = chance.choice(working)
        if victim.hear(chance.randrange(longest)):
            watch(chance.randrange(12))
            killed += victim.kill()
            victim.start()
        else:
            victim.end()
            working.remove(victim)
    return working


@pytest.fixture
def robot(url: str, tmp_path: Path) -> Robot:
    return Robot(url, tmp_path)


def test_two_share_a_robot_and_are_killed(
    robot: Robot, backend: str, connect: Callable[..., rsm.Session], counted: Counted
) -> None:
    mounts, kills = (MOUNTS, KILLS) if backend == "sqlite" else (MOUNTS // 2, KILLS // 2)
    names = ("one", "two")
    robot.make(14, 2, 12)
    with connect() as session:
        robot.furnish(session, *names, defer_seconds=1)
        settle(session)
        for medium in session.media.list():
            session.media.move(medium, r"\Free\LTO-8")
    begun = time.monotonic()
    with ExitStack() as stack:
        victims = [stack.enter_context(Victim(robot, name, seed, mounts)) for seed, name in enumerate(names, 1000)]
        working = kill_at_random(robot, victims, mounts, kills, seed=7)
        for victim in working:
            victim.end()
    seconds = time.monotonic() - begun
    session = connect()
    robot.check(session)
    journals = [Journal(robot.folder, name) for name in names]
    blocks = [robot.read_back(session, journal) for journal in journals]
    assert min(blocks) > robot_users.CARTRIDGES_EACH  # what is given back for good is not counted
    robot.check(session)
    took_over = session.read(lambda each: each.rows(sqlalchemy.select(model.Library.epoch)))
    mounted = [journal.mounts for journal in journals]
    assert min(mounted) >= mounts
    epochs = max(row.epoch for row in took_over)
    text = f"mounts {mounted}, take-overs {epochs}, blocks {blocks}, {seconds:.1f} s"
    counted("kills of processes that share a robot", {backend: kills}, text)


class Mortals:
    """Children that die at chosen moments of the same work, each beginning with the same catalogue and robot."""

    def __init__(self, robot: Robot) -> None:
        self._robot = robot
        self._kept = robot.folder.with_name(f"{robot.folder.name}-kept")
        self._catalogue = Path(robot.url.removeprefix("sqlite:///"))
        shutil.copytree(robot.folder, self._kept)
        command = [sys.executable, PROGRAM, "die", robot.url, str(robot.folder)]
        self._process = Forked(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def let_die(self, moment: int) -> bool:
        """Put everything back as it was, and let one die; False if its work was done before."""
        shutil.rmtree(self._robot.folder)
        shutil.copytree(self._kept, self._robot.folder)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(moment, file=self._process.stdin, flush=True)
        ended = int(self._process.stdout.readline())
        assert ended in (0, robot_users.DIED), ended
        return ended == robot_users.DIED

    def __enter__(self) -> "Mortals":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_killed_at_every_moment_of_the_work(
    robot: Robot, connect: Callable[..., rsm.Session], counted: Counted
) -> None:
    robot.make(4, 1, 3, robot_users.TWO_SIDED, sides=2)
    with connect(worker=False) as session:
        robot.furnish(session, "mortal", media_type=robot_users.TWO_SIDED)
    moments, moment = 0, 0
    with Mortals(robot) as mortals:
        while mortals.let_die(moment := moment + STRIDE):
            moments += 1
            with connect() as session:
                robot.check(session)
                journal = Journal(robot.folder, "mortal")
                for medium in session.media.logical_media(pool_of("mortal")):
                    robot_users.keep_block(session, journal, medium)
                robot.read_back(session, journal)
                robot.check(session)
        passed = Counter(json.loads((robot.folder / "moments").read_text()))
    assert moments == passed.total() // STRIDE
    counted("kills at a chosen moment of library work", {"mounts": moments})
    assert min(passed.values()) > 10
    assert len(passed) == 4
