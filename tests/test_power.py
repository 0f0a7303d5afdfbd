"""A power cut after every write: no acknowledged call is lost, none is there by half, and every rule holds.

One process works and every write, sync, truncation, creation, removal and renaming of its files is recorded; then the
disk is rebuilt as of every moment, with what was not synced kept, dropped or torn. Plain pytest tries a sample of these
states, `RSM_TEST_CUTS=1000000 pytest -n0 -s --timeout=0 tests/test_power.py` all of them.
"""

import os
import shutil
import subprocess
import sys
import time
import uuid
from collections import Counter
from pathlib import Path

import builders
import crash_child
import power
import pytest
import robot_users
import sqlite_files
import worker_ops
from counting import Counted
from robot_users import LONG_MS, check_left, make_blocks, pool_of

import rsm
from rsm import schema
from rsm.libraries.virtual import add_cartridge, create

pytestmark = pytest.mark.skipif(not sqlite_files.is_reachable(), reason=sqlite_files.NEEDED)
PROGRAM = str(Path(power.__file__))
CUTS = int(os.environ.get("RSM_TEST_CUTS", "200"))
SEED, STEPS = 60, 20


def record(work: str, folder: Path, *arguments: object) -> power.Disk:
    """Let a process work on a folder and return what it did to it."""
    before = Path(shutil.copytree(folder, folder.with_name("before"), symlinks=True))
    subprocess.run([sys.executable, PROGRAM, work, str(folder), *map(str, arguments)], check=True)
    return power.Disk(before, power.read_deeds(folder))


class Tally:
    """Counts the states that were tried, and says so."""

    def __init__(self, counted: Counted, what: str, states: list[tuple[int, str]]) -> None:
        self.counted, self.what, self.all = counted, what, len(states)
        self.tried: Counter[str] = Counter()
        self.begun = time.monotonic()

    def __enter__(self) -> "Tally":
        return self

    def __exit__(self, *_: object) -> None:
        seconds = time.monotonic() - self.begun
        text = f"of {self.all}, {dict(self.tried)}, {seconds:.1f} s"
        self.counted("crash states after a power cut", {self.what: self.tried.total()}, text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder that the power goes from."""
    made = tmp_path / "disk"
    made.mkdir()
    return made


def test_power_cut_while_pools_and_media_change(
    folder: Path, sqlite_path: Path, tmp_path: Path, counted: Counted
) -> None:
    shutil.copy(sqlite_path, folder / "media.db")
    robot = builders.add_library(f"sqlite:///{folder}/media.db")
    with rsm.connect(folder / "media.db", caller=worker_ops.ADMINISTRATOR) as session:
        worker_ops.furnish(session, robot.id)
    disk = record("pools", folder, SEED, STEPS)
    states = [crash_child.state_of(folder.with_name("before") / "media.db"), *disk.acknowledged(len(disk.deeds))]
    assert len(states) == STEPS + 1
    assert len({str(state) for state in states}) > STEPS / 3
    goal = tmp_path / "after"
    ahead = 0
    with Tally(counted, "pools and media", disk.cuts()) as tally:
        for number, cut, unsynced in power.sample(disk.cuts(), CUTS * 2 // 3):
            disk.rebuild(cut, unsynced, number, goal)
            done = len(disk.acknowledged(cut))
            assert schema.check(str(goal / "media.db")) == [], (cut, unsynced)
            found = crash_child.state_of(goal / "media.db")
            assert found in states[done : done + 2], (cut, unsynced)
            ahead += found != states[done]
            tally.tried[unsynced] += 1
            shutil.rmtree(goal)
    assert ahead > 0  # some calls are done on the disk before they return, and then wholly


def test_power_cut_while_a_catalogue_is_made(folder: Path, tmp_path: Path, counted: Counted) -> None:
    disk = record("creation", folder)
    goal = tmp_path / "after"
    seen: Counter[str] = Counter()
    with Tally(counted, "a new catalogue", disk.cuts()) as tally:
        for number, cut, unsynced in power.sample(disk.cuts(), CUTS // 12):
            disk.rebuild(cut, unsynced, number, goal)
            acknowledged = disk.acknowledged(cut)
            with rsm.connect(goal / "media.db", worker=False, caller=worker_ops.ADMINISTRATOR) as session:
                paths = [pool.path for pool in session.pools.list()]
            made = r"\First" in paths
            assert made or r"\First" not in acknowledged, (cut, unsynced)
            assert len(paths) == 3 + made
            assert schema.check(str(goal / "media.db")) == []
            seen[f"{len(acknowledged)} {made}"] += 1
            tally.tried[unsynced] += 1
            shutil.rmtree(goal)
    assert seen["0 False"]
    assert seen["2 True"]


def rewrite(session: rsm.Session, journal: robot_users.Journal, medium: rsm.LogicalMedium) -> None:
    """See that all that is safe is on a side, whatever follows it, and write one block more."""
    named = str(medium.id)
    with session.mounts.mount(medium, write=True, timeout_ms=LONG_MS) as mount:
        with mount.open("rb") as file:
            found = file.read()
        count = journal.safe.get(named, 0)
        assert found.startswith(make_blocks(named, count)), f"{named}: {count} blocks were safe"
        with mount.open("wb") as file:
            file.write(make_blocks(named, count + 1))
        journal.note(medium=named, blocks=count + 1)


def read_back(session: rsm.Session, journal: robot_users.Journal) -> None:
    """See that exactly what was written is on every side."""
    for medium, count in journal.safe.items():
        with session.mounts.mount(uuid.UUID(medium), timeout_ms=LONG_MS) as mount, mount.open("rb") as file:
            assert file.read() == make_blocks(medium, count)


@pytest.mark.works
def test_power_cut_while_a_robot_works(folder: Path, sqlite_path: Path, tmp_path: Path, counted: Counted) -> None:
    shutil.copy(sqlite_path, folder / "media.db")
    create(folder / "robot", 4, 1, 1, robot_users.TWO_SIDED, True)
    for number in range(3):
        add_cartridge(folder / "robot", f"A{number:05}", capacity_bytes=10_000_000, sides=2)
    with rsm.connect(folder / "media.db", worker=False, caller=robot_users.ADMINISTRATOR) as session:
        session.libraries.add("virtual", str(folder / "robot"), name="Robot")
        session.pools.create(r"\Users")
        session.pools.create(pool_of("mortal"), media_type=robot_users.TWO_SIDED, allocate_from_free=True)
    disk = record("robot", folder)
    assert len(disk.acknowledged(len(disk.deeds))) == 5
    with Tally(counted, "a robot at work", disk.cuts()) as tally:
        for number, cut, unsynced in power.sample(disk.cuts(), max(4, CUTS // 40)):
            shutil.rmtree(folder)
            shutil.rmtree(f"{folder}-journals")
            disk.rebuild(cut, unsynced, number, folder)
            os.mkdir(f"{folder}-journals")
            journal = robot_users.Journal(Path(f"{folder}-journals"), "mortal")
            for entry in disk.acknowledged(cut):
                journal.note(**entry)
            check_robot(folder, journal)
            tally.tried[unsynced] += 1


def check_robot(folder: Path, journal: robot_users.Journal) -> None:
    """See that the catalogue and the robot are sound, agree, hold what is safe, and can be worked with."""
    url = f"sqlite:///{folder}/media.db"
    assert schema.check(url) == []
    with rsm.connect(url, application="tests", caller=robot_users.ADMINISTRATOR) as session:
        assert set(check_left(session, url, folder / "robot")) == {f"A{number:05}" for number in range(3)}
        for medium in session.media.logical_media(pool_of("mortal")):
            rewrite(session, journal, medium)
        read_back(session, journal)
        check_left(session, url, folder / "robot")
