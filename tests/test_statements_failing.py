"""Every call that changes something, with the Nth call of the driver failing, for every N and the COMMIT.

After each failure the right error is seen, every row is what it was, and both this session and another process can
write. Only a COMMIT that took effect although it reported a failure leaves the change, and then the whole of it.

Plain pytest fails the deletion of a pool in every way, and the others in the ways that differ most. All in every way:
`RSM_TEST_FAULTS=all pytest -n0 -s --timeout=0 tests/test_statements_failing.py`.
"""

import contextlib
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import builders
import faults
import psycopg
import pytest
import sqlalchemy
from changing_calls import ALIKE, CALLS, DELETE, Call, Made, prepare_pools
from counting import Counted
from psycopg.errors import SerializationFailure

import rsm
from rsm import drivers, model
from rsm.db import Transaction

ALL_FAULTS = os.environ.get("RSM_TEST_FAULTS") == "all"

_ON_FILE = tuple(CALLS) if ALL_FAULTS else tuple(name for name in CALLS if name not in ALIKE)
# On a server every connection and every look at all rows takes its time, and what a driver does differs little there.
_ON_SERVER = (
    tuple(CALLS)
    if ALL_FAULTS
    else (
        DELETE,
        "enter a cartridge",
        "move a cartridge",
        "a batch",
    )
)


@dataclass(frozen=True)
class Mode:
    """How a call of the driver fails, and what comes out of it."""

    name: str
    error: Callable[[], BaseException]
    seen: type[BaseException]
    after: bool = False
    persistent: bool = False


def modes_for(name: str, backend: str) -> list[Mode]:
    """Return the ways to fail: all of them for the deletion of a pool, fewer for its like. The last one is `after`."""
    disk = faults.disk_error if backend == "sqlite" else faults.server_error
    afterwards = Mode("disk, afterwards", disk, rsm.DatabaseFailureError, after=True)
    as_deletion = ALL_FAULTS or name == DELETE
    if not as_deletion and (backend == "postgresql" or CALLS[name].prepare is not prepare_pools):
        return [afterwards]
    some = [
        Mode("disk", disk, rsm.DatabaseFailureError),
        Mode("memory, for good", MemoryError, rsm.NotEnoughMemoryError, persistent=True),
        Mode("Ctrl-C afterwards", KeyboardInterrupt, KeyboardInterrupt, after=True),
    ]
    others = [
        Mode("disk, for good", disk, rsm.DatabaseFailureError, persistent=True),
        Mode("memory", MemoryError, rsm.NotEnoughMemoryError),
        Mode("Ctrl-C", KeyboardInterrupt, KeyboardInterrupt),
    ]
    return [*(others if as_deletion else []), *some, afterwards]


@pytest.fixture(scope="module")
def neighbour() -> Iterator[faults.Neighbour]:
    """Return another process."""
    other = faults.Neighbour()
    yield other
    other.stop()


@pytest.mark.parametrize(
    ("backend", "name"),
    [*(("sqlite", name) for name in _ON_FILE), *(("postgresql", name) for name in _ON_SERVER)],
    indirect=["backend"],
)
def test_nothing_changes_whichever_call_of_the_driver_fails(
    name: str,
    backend: str,
    new_url: Callable[..., str],
    connect: Callable[..., rsm.Session],
    neighbour: faults.Neighbour,
    tmp_path: Path,
    counted: Counted,
) -> None:
    call = CALLS[name]
    wanted, difference = _run_undisturbed(call, new_url(), connect, tmp_path)
    url = new_url()
    session = connect(database=url)
    made = call.prepare(url, session, tmp_path / "robot")
    tried: Counter[str] = Counter()
    statements = faults.database_of(session).statements
    faults.check_writable(session)
    compiled = set(statements)
    with faults.watching(url) as watcher:
        before = watcher.rows()
        for mode in modes_for(name, backend):
            hit: list[str] = []
            while len(hit) < len(wanted):
                faults.database_of(session)._forget_connections()
                hit.append(_fail_once(call, session, made, mode, len(hit) + 1))
                tried[mode.name] += 1
                if len(hit) == len(wanted) and mode.after:
                    break  # it took effect: what that means is looked at below
                assert watcher.rows() == before, f"{mode.name}, call {len(hit)}: {hit[-1]}"
                faults.check_writable(session)
                assert neighbour.ask("touch", url=url) == "ERROR_SUCCESS"
            assert hit == wanted, mode.name
            if watcher.rows() != before:
                assert mode.after
                assert _difference(before, watcher.rows()) == difference, mode.name
                break
    assert set(statements) == compiled, "a statement was made for one call, and stays for ever"
    neighbour.ask("leave")
    counted(f"statements that failed on {backend}, by call", {name: tried.total()}, f"{dict(tried)}")


def _run_undisturbed(
    call: Call, url: str, connect: Callable[..., rsm.Session], folder: Path
) -> tuple[list[str], dict[str, int]]:
    """Return the calls of the driver that a call makes, and by how many rows each table grows or shrinks."""
    session = connect(database=url)
    made = call.prepare(url, session, folder / "robot")
    with faults.watching(url) as watcher:
        before = watcher.rows()
        faults.database_of(session)._forget_connections()
        with faults.recording(session) as fault:
            call.make(session, made)
        return fault.calls, _difference(before, watcher.rows())


def _difference(before: dict[str, list[Any]], after: dict[str, list[Any]]) -> dict[str, int]:
    assert after != before
    return {table: len(after[table]) - len(rows) for table, rows in before.items()}


def _fail_once(call: Call, session: rsm.Session, made: Made, mode: Mode, nth: int) -> str:
    """Make the call with the Nth call of the driver failing, check the error, and return which call it was."""
    with (
        faults.failing(session, nth, mode.error, after=mode.after, persistent=mode.persistent) as fault,
        pytest.raises(mode.seen) as raised,
    ):
        call.make(session, made)
    assert fault.fired is not None
    assert type(raised.value) is mode.seen
    if isinstance(raised.value, rsm.RsmError):
        assert raised.value.code is mode.seen.code  # type: ignore[attr-defined]
        assert type(raised.value.__cause__) is type(mode.error())
        assert raised.value.outcome_unknown is fault.fired.endswith("COMMIT")
    return fault.fired


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
@pytest.mark.parametrize(("failures", "survives"), [(1, True), (2, True), (3, False)])
@pytest.mark.parametrize("statement", ["DELETE FROM object", drivers.Postgresql.commit])
def test_a_serialization_failure_is_retried_twice_and_then_told(
    session: rsm.Session, failures: int, survives: bool, statement: str
) -> None:
    pool = session.pools.create(r"\Pool")
    with faults.failing_at(session, statement, SerializationFailure, failures) as fault:
        if survives:
            session.pools.delete(pool)
        else:
            with pytest.raises(rsm.DatabaseFailureError) as raised:
                session.pools.delete(pool)
            assert isinstance(raised.value.__cause__, SerializationFailure)
            assert raised.value.outcome_unknown is (statement == drivers.Postgresql.commit)
    assert len([call for call in fault.calls if call.startswith("BEGIN")]) == min(failures + 1, 3)
    assert (pool.path in [pool.path for pool in session.pools.list()]) is not survives
    assert [event.call for event in session.events.list()].count("DeleteNtmsMediaPool") == int(survives)


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_nothing_is_retried_inside_a_batch(session: rsm.Session) -> None:
    pool = session.pools.create(r"\Pool")
    with faults.failing_at(session, "DELETE FROM object", SerializationFailure, 1) as fault, session.transaction():
        with pytest.raises(rsm.DatabaseFailureError):
            session.pools.delete(pool)
        assert [call.startswith("DELETE FROM object") for call in fault.calls].count(True) == 1
        assert session.pools.get(pool) == pool
        session.pools.delete(pool)
    assert pool.path not in [pool.path for pool in session.pools.list()]


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
@pytest.mark.parametrize("name", CALLS if ALL_FAULTS else ["move a cartridge", "stop taking in"])
def test_nothing_changes_wherever_the_connection_is_cut(
    name: str, new_url: Callable[..., str], connect: Callable[..., rsm.Session], tmp_path: Path, counted: Counted
) -> None:
    call = CALLS[name]
    wanted, difference = _run_undisturbed(call, new_url(), connect, tmp_path)
    url = new_url()
    session = connect(database=url)
    made = call.prepare(url, session, tmp_path / "robot")
    with faults.watching(url) as watcher, psycopg.connect(url, autocommit=True) as other:

        def cut() -> None:
            other.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE application_name = 'rsm' AND datname = current_database()"
            )

        before = watcher.rows()
        for nth, statement in enumerate(wanted, 1):
            faults.database_of(session)._forget_connections()
            fault = faults.Cut(nth, cut)
            with faults.in_the_way(session, fault), pytest.raises(rsm.RsmError) as raised:
                call.make(session, made)
            assert fault.fired == statement
            assert type(raised.value) in (rsm.DatabaseFailureError, rsm.NotConnectedError)
            assert isinstance(raised.value.__cause__, psycopg.OperationalError)
            assert raised.value.outcome_unknown is statement.endswith("COMMIT")
            assert watcher.rows() == before, statement
            faults.check_writable(session)
        call.make(session, made)
        assert _difference(before, watcher.rows()) == difference
    counted("connections cut, by call", {name: len(wanted)})


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_a_deadlock_with_a_foreign_program_is_survived(url: str, connect: Callable[..., rsm.Session]) -> None:
    """It locks the pool and then waits for its turn as a writer; who has that waits for the pool."""
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(f"ALTER DATABASE {other.info.dbname} SET deadlock_timeout = '10ms'")
    session = connect()
    pool = session.pools.create(r"\Pool")
    faults.database_of(session)._forget_connections()
    with psycopg.connect(url) as foreign:
        foreign.execute("SET deadlock_timeout = '1h'")
        foreign.execute("SELECT id FROM object WHERE id = %s FOR UPDATE", [pool.id])
        took_turn: list[bool] = []

        def wait_for_turn() -> None:
            foreign.execute("SELECT pg_advisory_xact_lock(%s)", [drivers._ADVISORY_KEY])
            took_turn.append(True)
            foreign.rollback()

        waiting = threading.Thread(target=wait_for_turn)
        with faults.meanwhile(session, "DELETE FROM object", waiting.start) as fault:
            session.pools.delete(pool)
        waiting.join()
    assert took_turn == [True]
    assert len([call for call in fault.calls if call.startswith("BEGIN")]) == 2
    assert pool.path not in [pool.path for pool in session.pools.list()]
    assert [event.call for event in session.events.list()].count("DeleteNtmsMediaPool") == 1


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_a_writer_sees_what_was_committed_before_its_turn_whatever_the_server_has_as_default(
    level: str, url: str, connect: Callable[..., rsm.Session]
) -> None:
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(f"ALTER DATABASE {other.info.dbname} SET default_transaction_isolation = '{level}'")
        session = connect()
        pool = session.pools.create(r"\Pool")
        faults.database_of(session)._forget_connections()

        def touch() -> None:
            other.execute("UPDATE object SET kind = kind WHERE id = %s", [pool.id])

        with faults.meanwhile(session, "DELETE FROM object", touch) as fault:
            session.pools.delete(pool)
    assert len([call for call in fault.calls if call.startswith("BEGIN")]) == 1


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_no_statement_stands_alone_once_the_transaction_was_undone(session: rsm.Session, url: str) -> None:
    pool = session.pools.create(r"\Pool")
    with builders.behind(url) as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER undoing BEFORE UPDATE OF description ON media_pool BEGIN SELECT RAISE(ROLLBACK, 'no'); END"
        )

    def go_on_after_an_error(transaction: Transaction) -> None:
        rename = sqlalchemy.update(model.MediaPool).where(model.MediaPool.id == pool.id)
        with contextlib.suppress(rsm.DatabaseFailureError):
            transaction.change(rename.values(description="new"))
        assert not transaction.alive
        transaction.change(rename.values(name="New"))

    with pytest.raises(rsm.DatabaseFailureError):
        session.write(go_on_after_an_error)
    assert session.pools.get(pool) == pool
