"""Waking: who waits hears of every change, whoever made it, and of nothing else."""

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faults
import psycopg
import pytest
from programs import Program

import rsm
from rsm import db, place, waking
from rsm.waking import Changes, Watcher

HEAD = """
import rsm
session = rsm.connect(sys.argv[1], worker=False, caller=rsm.Caller("user:admin", administrator=True))
"""
WRITE = (
    HEAD
    + """
for number in range(100):
    say("ready")
    wait()
    session.pools.create(f"\\\\Other{number}")
"""
)
LONG = 60.0


@pytest.fixture
def program(url: str) -> Iterator[Program]:
    """Return another process that creates a pool whenever it is told, ready for it."""
    with Program(WRITE, url) as other:
        assert other.hear() == "ready"
        yield other


def started(*works: Callable[[], Any]) -> list[threading.Thread]:
    threads = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    return threads


def are_over(threads: list[threading.Thread]) -> bool:
    for thread in threads:
        thread.join(LONG)
    return not any(thread.is_alive() for thread in threads)


class Catalogue:
    """Stands for what is polled: it changes when a test says so, and says when it is polled."""

    def __init__(self) -> None:
        self.changed = False
        self.polled = threading.Semaphore(0)
        self.pollers: set[int] = set()
        self.inside = 0
        self.most = 0

    def poll(self) -> bool:
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.pollers.add(threading.get_ident())
        changed, self.changed = self.changed, False
        self.inside -= 1
        self.polled.release()
        return changed

    def await_polls(self, count: int) -> None:
        for _ in range(count):
            assert self.polled.acquire(timeout=LONG)


# With a catalogue


def test_a_commit_elsewhere_wakes(session: rsm.Session, program: Program) -> None:
    watcher = session._database.watcher
    for _ in range(5):
        seen = watcher.mark()
        before = time.monotonic()
        program.tell()
        assert watcher.wait(seen, LONG) != seen
        assert time.monotonic() - before < LONG / 2
        assert program.hear() == "ready"


def test_a_commit_between_the_mark_and_the_wait_is_seen(session: rsm.Session, program: Program) -> None:
    watcher = session._database.watcher
    seen = watcher.mark()
    program.tell()
    assert program.hear() == "ready"
    assert watcher.wait(seen, LONG) != seen
    seen = watcher.mark()
    assert watcher.wait(seen, 0.2) == seen  # once


def test_a_commit_here_wakes_at_once(session: rsm.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waking, "_POLL_SECONDS", 3 * LONG)  # a poll would come too late
    watcher, results = session._database.watcher, []
    for number in range(5):
        seen = watcher.mark()
        threads = started(lambda seen=seen: results.append(watcher.wait(seen, 2 * LONG) != seen))  # type: ignore[misc]
        session.pools.create(f"\\Pool{number}")
        assert are_over(threads)
    assert results == [True] * 5


def test_what_changes_nothing_does_not_wake(session: rsm.Session, connect: Callable[..., rsm.Session]) -> None:
    pool = session.pools.create(r"\Pool")
    watcher = session._database.watcher
    seen = watcher.mark()
    session.pools.list()
    with session.transaction(dry_run=True):
        session.pools.create(r"\Rehearsed")
    with pytest.raises(ValueError, match="never mind"), session.transaction():  # noqa: PT012 - the last line raises
        session.pools.create(r"\Never")
        raise ValueError("never mind")
    with pytest.raises(rsm.AlreadyExistsError):
        session.pools.create(pool.path)
    with session.transaction():  # writes nothing, as a look that finds nothing
        session.pools.list()
    connect().pools.list()
    assert watcher.wait(seen, 0.2) == seen
    assert watcher.mark() == seen
    session.pools.delete(pool)
    assert watcher.mark() != seen


def test_a_look_after_a_commit_here_is_enough(session: rsm.Session) -> None:
    """The mark takes in what the commit did to the catalogue, so that it does not wake a second time."""
    watcher = session._database.watcher
    watcher.mark()
    session.pools.create(r"\Pool")
    if not session._database.is_sqlite:
        watcher.wait(watcher.mark(), 0.5)  # the server tells of it in its own time
    seen = watcher.mark()
    assert watcher.wait(seen, 0.2) == seen


def test_a_migration_wakes(session: rsm.Session) -> None:
    watcher = session._database.watcher
    seen = watcher.mark()
    with session._database.migrating() as connection:
        connection.exec_driver_sql("CREATE TABLE mine (id integer)")
    assert watcher.mark() != seen


def test_closing_wakes_for_good(url: str) -> None:
    session = rsm.connect(url, caller=faults.ADMINISTRATOR)
    database, watcher = session._database, session._database.watcher
    seen = watcher.mark()
    threads = started(*[lambda: watcher.wait(seen, 2 * LONG)] * 3)
    session.close()
    assert are_over(threads)
    after = watcher.mark()
    assert watcher.wait(after, 2 * LONG) == after
    with pytest.raises(rsm.InvalidHandleError):
        _ = database.watcher
    assert len(database._open) == 0


def test_watching_survives_that_connections_are_dropped(session: rsm.Session, program: Program) -> None:
    watcher = session._database.watcher
    seen = watcher.mark()
    faults.database_of(session)._forget_connections()
    assert watcher.wait(seen, 0.2) == seen
    program.tell()
    assert watcher.wait(seen, LONG) != seen


def test_a_fork_leaves_the_parent_watching(url: str, session: rsm.Session, program: Program) -> None:
    watcher = session._database.watcher
    results: list[bool] = []
    seen = watcher.mark()
    threads = started(lambda: results.append(watcher.wait(seen, 2 * LONG) != seen))

    def child() -> list[Any]:
        assert watcher.wait(watcher.mark(), 2 * LONG) == watcher.mark()  # nobody would ever wake it
        watcher.wake()
        watcher.close()
        with rsm.connect(url, caller=faults.ADMINISTRATOR) as own:
            mark = own._database.watcher.mark()
            own.pools.create(r"\Child")
            return [own._database.watcher.wait(mark, LONG) != mark]

    assert faults.in_child(child) == [True]
    assert are_over(threads)
    assert results == [True]
    seen = watcher.mark()
    program.tell()
    assert watcher.wait(seen, LONG) != seen


# What may happen to the connection


def test_a_file_that_was_replaced_is_left_alone(sqlite_path: Path, tmp_path: Path) -> None:
    with rsm.connect(sqlite_path, caller=faults.ADMINISTRATOR) as session:
        watcher = session._database.watcher
        seen = watcher.mark()
        other = tmp_path / "other.db"
        with rsm.connect(other, caller=faults.ADMINISTRATOR):
            pass
        os.replace(other, sqlite_path)
        with rsm.connect(sqlite_path, caller=faults.ADMINISTRATOR) as new:
            new.pools.create(r"\New")
            assert watcher.wait(seen, LONG) != seen  # the look would meet the error
            with pytest.raises(rsm.DatabaseFailureError, match="replaced"):
                session.pools.list()
            session.close()
            assert os.path.exists(f"{sqlite_path}-wal")
            assert r"\New" in [pool.path for pool in new.pools.list()]


def test_a_file_that_vanished_is_told_and_found_again(sqlite_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waking, "_RETRY_SECONDS", 0.0)
    away = sqlite_path.with_name("away")
    with rsm.connect(sqlite_path, caller=faults.ADMINISTRATOR) as session:
        watcher = session._database.watcher
        seen = watcher.mark()
        sqlite_path.rename(away)
        assert watcher.wait(seen, LONG) != seen
        with pytest.raises(rsm.DatabaseFailureError):
            session.pools.list()
        away.rename(sqlite_path)
        watcher.mark()
        seen = watcher.mark()
        assert watcher.wait(seen, 0.2) == seen
        session.pools.create(r"\Pool")
        assert watcher.mark() != seen


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_a_connection_cut_is_told_and_made_again(url: str, session: rsm.Session, program: Program) -> None:
    watcher = session._database.watcher
    seen = watcher.mark()
    with psycopg.connect(url, autocommit=True) as server:
        cut = (
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE query LIKE 'LISTEN%' AND datname = current_database()"
        )
        assert len(server.execute(cut).fetchall()) == 1
    assert watcher.wait(seen, LONG) != seen  # the cut
    seen = watcher.mark()
    assert watcher.wait(seen, LONG) != seen  # a new connection: nobody knows what was missed
    seen = watcher.mark()
    assert watcher.wait(seen, 0.2) == seen
    program.tell()
    assert watcher.wait(seen, LONG) != seen


class Line:
    """A connection that is numbered, and may be out of order."""

    def __init__(self) -> None:
        self.opened, self.closed, self.heard = 0, 0, 0
        self.broken: str | None = None

    def connect(self) -> int:
        self._check("connect")
        self.opened += 1
        return self.opened

    def count(self, connection: int, before: int) -> int:
        self._check("count")
        assert connection == self.opened
        return self.heard

    def close(self, connection: int) -> None:
        assert connection == self.opened
        self.closed += 1

    def _check(self, what: str) -> None:
        if self.broken == what:
            raise ConnectionError("gone")


@pytest.mark.parametrize("broken", ["connect", "count"])
def test_trouble_is_a_change_and_told_once_a_while(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line()
    changes = Changes(line.connect, line.count, line.close, (ConnectionError,))
    assert [changes.poll() for _ in range(3)] == [True, False, False]
    line.heard = 1
    assert [changes.poll() for _ in range(2)] == [True, False]
    if broken == "connect":
        line.broken = "count"
        assert changes.poll()
        monkeypatch.setattr(waking, "_RETRY_SECONDS", LONG)
        changes._retry = 0.0
    line.broken = broken
    assert [changes.poll() for _ in range(3)] == [True, False, False]
    assert (line.opened, line.closed) == (1, 1)
    line.broken, changes._retry = None, 0.0
    assert [changes.poll() for _ in range(3)] == [True, False, False]  # who knows what was missed
    assert line.opened == 2
    changes.pause(LONG)
    waiting = started(changes.poll)
    assert line.closed == 2
    changes.resume()
    assert are_over(waiting)
    changes.resume()
    assert line.opened == 3
    changes.close()
    assert not changes.poll()
    assert (line.opened, line.closed) == (3, 3)


# Leading


def test_the_lead_is_handed_over() -> None:
    catalogue = Catalogue()
    watcher = Watcher(catalogue.poll)
    seen, results = watcher.mark(), []

    def waiting(seconds: float) -> Callable[[], None]:
        return lambda: results.append((seconds, watcher.wait(seen, seconds) != seen))

    short = started(*map(waiting, (0.15, 0.1, 0.05, 0.0)))
    long = started(*[waiting(2 * LONG)] * 3)
    assert are_over(short)
    assert sorted(results) == [(0.0, False), (0.05, False), (0.1, False), (0.15, False)]
    catalogue.await_polls(len(catalogue.pollers))
    catalogue.changed = True
    assert are_over(long)
    assert results[4:] == [(2 * LONG, True)] * 3
    assert catalogue.most == 1


def test_each_of_many_waiters_ends_in_its_time() -> None:
    catalogue = Catalogue()
    watcher = Watcher(catalogue.poll)
    seen, ended = watcher.mark(), itertools.count()
    times = [number / 100 for number in range(30)]
    threads = started(*[lambda seconds=seconds: (watcher.wait(seen, seconds), next(ended)) for seconds in times])
    assert are_over(threads)
    assert next(ended) == 30
    assert catalogue.most == 1
    assert watcher.mark() == seen


def test_who_leads_by_marking_hands_over_to_who_waits() -> None:
    inside, go_on = threading.Event(), threading.Event()
    polls = itertools.count()

    def poll() -> bool:
        if next(polls) == 0:
            inside.set()
            assert go_on.wait(LONG)
            return False
        return True

    watcher = Watcher(poll)
    marking = started(watcher.mark)
    assert inside.wait(LONG)
    assert watcher.mark() == 0  # waits for nobody
    waiting = started(lambda: watcher.wait(0, 2 * LONG))
    go_on.set()
    assert are_over([*marking, *waiting])


def test_a_leader_that_is_interrupted_hands_over() -> None:
    polls = itertools.count()

    def poll() -> bool:
        if next(polls) == 0:
            raise KeyboardInterrupt
        return True

    watcher = Watcher(poll)
    with pytest.raises(KeyboardInterrupt):
        watcher.wait(0, LONG)
    assert watcher.wait(0, LONG) == 1


def test_who_wakes_does_not_wait_for_a_poll() -> None:
    inside, go_on = threading.Event(), threading.Event()

    def poll() -> bool:
        inside.set()
        assert go_on.wait(LONG)
        return False

    watcher = Watcher(poll)
    threads = started(lambda: watcher.wait(0, 2 * LONG))
    assert inside.wait(LONG)
    watcher.wake()
    go_on.set()
    assert are_over(threads)
    assert watcher.wait(0, LONG) == 1


def test_waiting_costs_next_to_nothing(url: str, session: rsm.Session) -> None:
    watcher = session._database.watcher
    seen = watcher.mark()
    begun, used = time.monotonic(), time.thread_time()
    while time.monotonic() - begun < 1:
        assert watcher.wait(seen, 1.0) == seen
    assert (time.thread_time() - used) / (time.monotonic() - begun) < 0.02


def test_programs_that_write_nothing_do_not_wake_each_other(url: str, session: rsm.Session) -> None:
    """Two programs whose looks write nothing must not keep each other awake."""
    database = db.Database(place.parse_url(url))
    seen = database.watcher.mark()
    with session.transaction():
        session.pools.list()
    assert database.watcher.wait(seen, 0.2) == seen
    session.pools.create(r"\Pool")
    assert database.watcher.wait(seen, LONG) != seen
    database.close()
