"""Every call that changes something, with the Nth call of the driver failing, for every N and the COMMIT.

After each failure the right error is seen, every row is what it was, and both this session and another process can
write. Only a COMMIT that took effect although it reported a failure leaves the change, and then the whole of it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import builders
import faults
import pytest
from psycopg.errors import SerializationFailure

import rsm
from rsm import drivers
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsPartitionState as State

Made = dict[str, Any]
Call = Callable[[rsm.Session, Made], object]


def prepare(url: str, session: rsm.Session) -> Made:
    """Put on record what the calls below work on."""
    robot = builders.add_library(url, slots=1, doors=0, ports=0, requests=0)
    own_type = session.types.create("Own type")
    taken = session.types.create("Taken type")
    session.types.add(taken, robot.id)
    session.types.add("LTO-8", robot.id)
    media = session.pools.create(r"\Media", media_type="LTO-8")
    session.pools.create(r"\More", media_type="LTO-8")
    empty = session.pools.create(r"\Above\Empty", parents=True, description="to be deleted")
    tape = session.media.create(media, [builders.side()], barcode="A00001")
    session.objects.set_attribute(Kind.NTMS_MEDIA_POOL, media, "kept", b"old")
    return {"robot": robot.id, "own": own_type, "taken": taken, "media": media, "tape": tape, "empty": empty.id}


def _batch(session: rsm.Session, made: Made) -> None:
    with session.transaction():
        session.pools.delete(r"\Above\Empty")
        session.media.move(made["tape"], r"\More")
        session.pools.create(r"\Above\Other")


def _replace_list(session: rsm.Session, made: Made) -> None:
    entries = (rsm.Ace(True, "user:alice", rsm.AccessRights.USE), rsm.Ace(True, "everyone", rsm.AccessRights.MODIFY))
    session.acl.set(Kind.NTMS_MEDIA_POOL, made["media"], rsm.SecurityDescriptor("user:alice", entries))


def _enter_allocated(session: rsm.Session, made: Made) -> None:
    side = builders.side(state=State.NTMS_PARTSTATE_ALLOCATED)
    session.media.create(made["media"], [side], barcode="A00002", error_on_duplicate=True)


_DELETE = "delete a pool by id"
CALLS: dict[str, Call] = {
    _DELETE: lambda session, made: session.pools.delete(made["empty"]),
    "delete a pool by path": lambda session, made: session.pools.delete(r"\Above\Empty"),
    "create a pool": lambda session, made: session.pools.create(r"\New", media_type="LTO-8", max_allocates=3),
    "create a pool and parents": lambda session, made: session.pools.create(r"\A\B", parents=True),
    "change a pool": lambda session, made: session.pools.update(r"\Above", name="Over", description="renamed"),
    "enter a cartridge": _enter_allocated,
    "move a cartridge": lambda session, made: session.media.move(made["tape"], r"\Free\LTO-8"),
    "rename a cartridge": lambda session, made: session.media.update(made["tape"], name="Monday"),
    "disable a cartridge": lambda session, made: session.media.disable(made["tape"]),
    "forget a cartridge": lambda session, made: session.media.delete(made["tape"]),
    "disable a library": lambda session, made: session.objects.disable(Kind.NTMS_LIBRARY, made["robot"]),
    "replace owner and list": _replace_list,
    "change an attribute": lambda session, made: session.objects.set_attribute(
        Kind.NTMS_MEDIA_POOL, made["media"], "kept", b"new"
    ),
    "delete an attribute": lambda session, made: session.objects.delete_attribute(
        Kind.NTMS_MEDIA_POOL, made["media"], "kept"
    ),
    "create a media type": lambda session, made: session.types.create("Mine"),
    "delete a media type": lambda session, made: session.types.delete(made["own"]),
    "add a media type": lambda session, made: session.types.add(made["own"], made["robot"]),
    "remove a media type": lambda session, made: session.types.remove(made["taken"], made["robot"]),
    "a batch": _batch,
}


# On a server every connection and every look at all rows takes its time, and what a driver does differs little there.
_ON_SERVER = (
    _DELETE,
    "enter a cartridge",
    "move a cartridge",
    "a batch",
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
    if name != _DELETE and backend == "postgresql":
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
    return [*(others if name == _DELETE else []), *some, afterwards]


@pytest.fixture(scope="module")
def neighbour() -> Iterator[faults.Neighbour]:
    """Return another process."""
    other = faults.Neighbour()
    yield other
    other.stop()


@pytest.mark.parametrize(
    ("backend", "name"),
    [*(("sqlite", name) for name in CALLS), *(("postgresql", name) for name in _ON_SERVER)],
    indirect=["backend"],
)
def test_nothing_changes_whichever_call_of_the_driver_fails(
    name: str,
    backend: str,
    new_url: Callable[..., str],
    connect: Callable[..., rsm.Session],
    neighbour: faults.Neighbour,
) -> None:
    wanted, difference = _run_undisturbed(CALLS[name], new_url(), connect)
    url = new_url()
    session = connect(database=url)
    made = prepare(url, session)
    with faults.watching(url) as watcher:
        before = watcher.rows()
        for mode in modes_for(name, backend):
            hit: list[str] = []
            while not (hit and hit[-1].endswith("COMMIT")):
                faults.database_of(session)._forget_connections()
                hit.append(_fail_once(CALLS[name], session, made, mode, len(hit) + 1))
                if hit[-1].endswith("COMMIT") and mode.after:
                    break  # it took effect: what that means is looked at below
                assert watcher.rows() == before, f"{mode.name}, call {len(hit)}: {hit[-1]}"
                faults.check_writable(session)
                assert neighbour.ask("touch", url=url) == "ERROR_SUCCESS"
            assert hit == wanted, mode.name
            if watcher.rows() != before:
                assert mode.after
                assert _difference(before, watcher.rows()) == difference, mode.name
                break
    neighbour.ask("leave")


def _run_undisturbed(call: Call, url: str, connect: Callable[..., rsm.Session]) -> tuple[list[str], dict[str, int]]:
    """Return the calls of the driver that a call makes, and by how many rows each table grows or shrinks."""
    session = connect(database=url)
    made = prepare(url, session)
    with faults.watching(url) as watcher:
        before = watcher.rows()
        faults.database_of(session)._forget_connections()
        with faults.recording(session) as fault:
            call(session, made)
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
        call(session, made)
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
