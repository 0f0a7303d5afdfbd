"""Claims: one holder among all processes, as long as it lives, and gone with it."""

import errno
import fcntl
import os
import shutil
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import faults
import pytest
from programs import Program

import rsm
from rsm import db, place
from rsm.claims import NUMBERS, Claims, FileClaims

HEAD = """
import os
from rsm import db, place
claims = db.acquire(place.parse_url(sys.argv[1])).claims
"""
# Answers what it is asked, a line each.
ASK = (
    HEAD
    + """
say("ready")
while line := wait():
    verb, number = line.split()
    say(getattr(claims, verb)(int(number)))
"""
)
LEAVE_A_CHILD = (
    HEAD
    + """
assert claims.hold(1)
if os.fork() == 0:
    say("child lives")
    wait()
    os._exit(0)
wait()
"""
)
NUMBER, LAST = 7, NUMBERS - 1
CLAIM_CONNECTIONS = (
    "SELECT DISTINCT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND database ="
    " (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class Other:
    """Another process with claims of its own."""

    def __init__(self, url: str) -> None:
        self.program = Program(ASK, url)
        assert self.program.hear() == "ready"

    def ask(self, verb: str, number: int = NUMBER) -> bool | None:
        self.program.tell(f"{verb} {number}")
        return {"True": True, "False": False, "None": None}[self.program.hear()]


@pytest.fixture
def claims(url: str) -> Iterator[Claims]:
    database = db.acquire(place.parse_url(url))
    yield database.claims
    db.release(database)


@pytest.fixture
def other(url: str) -> Iterator[Other]:
    process = Other(url)
    with process.program:
        yield process


@pytest.mark.parametrize("number", [0, 1, 2**32 - 1, 2**32, 2**56, LAST])
def test_one_process_holds_a_number(number: int, claims: Claims, other: Other) -> None:
    assert not claims.is_held(number)
    assert not claims.holds(number)
    assert claims.hold(number)
    assert not claims.hold(number)
    assert not other.ask("hold", number)
    assert claims.is_held(number)
    assert other.ask("is_held", number)
    assert claims.holds(number)
    assert not other.ask("holds", number)
    assert not claims.is_held(number ^ 1)
    other.ask("drop", number)
    assert claims.holds(number)
    claims.drop(number)
    assert not claims.holds(number)
    assert not claims.is_held(number)
    assert other.ask("hold", number)
    assert claims.is_held(number)
    assert not claims.hold(number)
    assert other.ask("drop", number) is None
    claims.drop(number)
    assert claims.hold(number)


@pytest.mark.parametrize("number", [-1, NUMBERS])
def test_numbers_have_61_bits(number: int, claims: Claims) -> None:
    for method in (claims.hold, claims.drop, claims.is_held, claims.holds):
        with pytest.raises(AssertionError):
            method(number)


def held_at_last(claims: Claims, number: int) -> bool:
    """Ask until a number can be held; the server hears of a death a moment later than the test."""
    return any(claims.hold(number) for _ in range(20_000))


def test_death_frees_a_claim_and_a_stop_does_not(claims: Claims, other: Other) -> None:
    assert other.ask("hold")
    other.program.pause()
    assert claims.is_held(NUMBER)
    assert not claims.hold(NUMBER)
    other.program.signal(signal.SIGCONT)
    assert other.ask("holds")
    other.program.kill()
    assert held_at_last(claims, NUMBER)


def test_a_child_that_outlives_its_parent_keeps_nothing(url: str, claims: Claims) -> None:
    with Program(LEAVE_A_CHILD, url) as program:
        assert program.hear() == "child lives"
        assert claims.is_held(1)
        program.kill()
        assert held_at_last(claims, 1)


def test_the_child_of_a_fork_holds_nothing_and_frees_nothing(url: str, claims: Claims, other: Other) -> None:
    assert claims.hold(NUMBER)

    def child() -> object:
        outcome = faults.outcome(lambda: claims.hold(NUMBER + 1))["code"]
        seen = [claims.holds(NUMBER), outcome, faults.outcome(lambda: claims.is_held(NUMBER))["code"]]
        claims.drop(NUMBER)
        claims.close()
        database = db.acquire(place.parse_url(url))
        seen += [database.claims.hold(NUMBER), database.claims.is_held(NUMBER), database.claims.hold(NUMBER + 1)]
        db.release(database)
        return seen

    dead = "ERROR_INVALID_HANDLE"
    assert faults.in_child(child) == [False, dead, dead, False, True, True]
    assert claims.holds(NUMBER)
    assert not other.ask("hold")
    claims.drop(NUMBER)
    assert other.ask("hold")


def test_threads_race_and_one_wins(claims: Claims) -> None:
    won: list[int] = []
    start = threading.Barrier(8)

    def race(thread: int) -> None:
        for number in range(100):
            start.wait()
            if claims.hold(number):
                won.append(number)

    threads = [threading.Thread(target=race, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == list(range(100))
    assert all(claims.holds(number) for number in range(100))


def test_claims_live_as_long_as_the_last_session(url: str, connect: Callable[..., rsm.Session], other: Other) -> None:
    first, second = connect(), connect()
    claims = first._database.claims
    assert claims.hold(NUMBER)
    first.close()
    assert second._database.claims.holds(NUMBER)
    assert not other.ask("hold")
    database = second._database
    second.close()
    assert held_at_last_by(other)
    assert not claims.holds(NUMBER)
    claims.drop(NUMBER)
    claims.close()
    for call in (lambda: claims.hold(1), lambda: claims.is_held(1), lambda: database.claims):
        with pytest.raises(rsm.InvalidHandleError):
            call()


def held_at_last_by(other: Other) -> bool:
    return any(other.ask("hold") for _ in range(20_000))


# SQLite


def test_two_databases_on_one_file_keep_each_others_claims(sqlite_path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(sqlite_path)
    with Other(str(sqlite_path)).program as program:

        def is_held_elsewhere() -> str:
            program.tell(f"is_held {NUMBER}")
            return program.hear()

        first, second = FileClaims(sqlite_path), FileClaims(link)
        assert first.hold(NUMBER)
        assert not second.hold(NUMBER)
        assert not second.holds(NUMBER)
        assert second.is_held(NUMBER)
        assert second.hold(1)
        second.drop(NUMBER)
        second.close()
        assert first.holds(NUMBER)
        assert not first.is_held(1)
        assert is_held_elsewhere() == "True"
        first.close()
        assert is_held_elsewhere() == "False"
    assert faults.open_files(sqlite_path) == []


def test_asking_makes_no_file_and_touches_none(sqlite_path: Path) -> None:
    claims = FileClaims(sqlite_path)
    assert not claims.is_held(NUMBER)
    assert not os.path.exists(claims.path)
    assert claims.hold(NUMBER)
    before = os.stat(claims.path)
    claims.drop(NUMBER)
    assert not claims.is_held(NUMBER)
    after = os.stat(claims.path)
    assert (after.st_size, after.st_mtime_ns) == (0, before.st_mtime_ns)
    claims.close()


@pytest.mark.parametrize("umask", [0o022, 0o077])
@pytest.mark.parametrize("mode", [0o600, 0o660])
def test_who_may_write_the_catalogue_may_claim(sqlite_path: Path, mode: int, umask: int) -> None:
    sqlite_path.chmod(mode)
    before = os.umask(umask)
    try:
        claims = FileClaims(sqlite_path)
        assert claims.hold(NUMBER)
        claims.close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(claims.path).st_mode) == mode


@pytest.mark.parametrize("broken", ["folder", "catalogue", "lock"])
def test_trouble_with_the_file_is_told(broken: str, sqlite_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claims = FileClaims(sqlite_path)
    if broken == "folder":
        os.mkdir(claims.path)
    elif broken == "catalogue":
        shutil.rmtree(sqlite_path.parent)
    else:

        def fail(*_: object) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "lockf", fail)
    with pytest.raises(rsm.DatabaseFailureError, match=claims.path) as raised:
        claims.hold(NUMBER)
    assert isinstance(raised.value.__cause__, OSError)
    assert not claims.holds(NUMBER)
    monkeypatch.undo()
    if broken == "lock":
        assert claims.hold(NUMBER)
    claims.close()


# PostgreSQL


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_claims_are_lost_with_their_connection(url: str, claims: Claims, other: Other) -> None:
    import psycopg

    assert claims.hold(NUMBER)
    assert claims.hold(NUMBER + 1)
    with psycopg.connect(url, autocommit=True) as server:
        ((holder,),) = server.execute(CLAIM_CONNECTIONS).fetchall()
        server.execute("SELECT pg_terminate_backend(%s, 5000)", [holder])
        assert other.ask("hold")
        assert not claims.holds(NUMBER)
        assert not claims.holds(NUMBER + 1)
        assert not claims.hold(NUMBER)
        other.ask("drop")
        assert claims.hold(NUMBER)
        assert claims.holds(NUMBER)
        assert not claims.holds(NUMBER + 1)
        ((again,),) = server.execute(CLAIM_CONNECTIONS).fetchall()
        assert again != holder
        server.execute("SELECT pg_terminate_backend(%s, 5000)", [again])
        assert claims.hold(NUMBER)  # it is free, so the same call that finds the loss has it again
        ((third,),) = server.execute(CLAIM_CONNECTIONS).fetchall()
        server.execute("SELECT pg_terminate_backend(%s, 5000)", [third])
        claims.drop(NUMBER)
        assert not claims.is_held(NUMBER)


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_claims_lost_with_their_connection_are_renewed_unless_taken(url: str, claims: Claims, other: Other) -> None:
    import psycopg

    kept, taken, dropped = NUMBER, NUMBER + 1, NUMBER + 2
    for number in (kept, taken, dropped):
        assert claims.hold(number)
    claims.renew()
    with psycopg.connect(url, autocommit=True) as server:
        ((holder,),) = server.execute(CLAIM_CONNECTIONS).fetchall()
        server.execute("SELECT pg_terminate_backend(%s, 5000)", [holder])
    assert other.ask("hold", taken)
    claims.drop(dropped)
    claims.renew()
    assert [claims.holds(number) for number in (kept, taken, dropped)] == [True, False, False]
    assert not claims.is_held(dropped)
    assert not other.ask("hold", kept)


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_a_server_that_cannot_be_reached_is_told(url: str) -> None:
    database = db.Database(place.parse_url(url).set(query={"host": "/nonexistent"}))
    for call in (database.claims.hold, database.claims.is_held):
        with pytest.raises(rsm.NotConnectedError):
            call(NUMBER)
    assert not database.claims.holds(NUMBER)
    database.close()
