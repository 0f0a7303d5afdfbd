"""Many processes and threads on one catalogue: nothing breaks, no code is undocumented, every change has its event."""

import concurrent.futures
import json
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import builders
import pytest
from counting import Counted
from programs import run_together

import rsm
from rsm import schema
from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind

HERE = Path(__file__).parent
PROCESSES = 8
COUNTED = (Kind.NTMS_MEDIA_POOL, Kind.NTMS_PHYSICAL_MEDIA, Kind.NTMS_PARTITION)
_LONG = 300


def documented_codes() -> dict[str, set[str]]:
    """Return what each call may come back with; the duplicate label has no number of its own, ALREADY_EXISTS stands."""
    functions = json.loads((HERE / "data" / "functions.json").read_text())
    return {
        function["name"]: {result["code"] for result in function["returns"]}
        | {silent["suggest"] for silent in function["errors_without_code"]}
        for function in functions
    }


DOCUMENTED = documented_codes()
# Documented for nearly every call, but nothing here may cause them: other programs' haste is no reason to fail.
UNPROVOKED = {"ERROR_DATABASE_FAILURE", "ERROR_DATABASE_FULL", "ERROR_NOT_ENOUGH_MEMORY", "ERROR_NOT_CONNECTED"}


def run_workers(url: str, count: int) -> list[list[dict[str, Any]]]:
    """Run the worker script in eight processes at once and return what each one saw."""
    script = [sys.executable, str(HERE / "worker_ops.py"), url]
    ended = run_together(([*script, str(seed), str(count)] for seed in range(PROCESSES)), _LONG)
    assert [status for status, _ in ended] == [0] * PROCESSES
    return [[json.loads(line) for line in output.splitlines()] for _, output in ended]


@pytest.mark.parametrize(("backend", "count"), [("sqlite", 500), ("postgresql", 80)], indirect=["backend"])
def test_eight_processes_share_a_catalogue(
    url: str, backend: str, count: int, connect: Callable[..., rsm.Session], counted: Counted
) -> None:
    robot = builders.add_library(url)
    session = connect()
    for media_type in ("LTO-8", "LTO-7"):
        session.types.add(media_type, robot.id)
    first = session.events.list(limit=100_000)[-1].id
    at_first = {kind: all_of(session, kind) for kind in COUNTED}

    seen = run_workers(url, count)

    assert [len(lines) for lines in seen] == [count] * PROCESSES
    results = Counter((line["function"], line["code"]) for lines in seen for line in lines)
    allowed = {(name, code) for name, codes in DOCUMENTED.items() for code in codes - UNPROVOKED}
    assert not set(results) - allowed
    assert schema.check(url) == []
    succeeded = Counter(name for name, code in results.elements() if code == "ERROR_SUCCESS")
    assert_every_change_has_its_event(session, first, at_first, succeeded)
    end = min(lines[-1]["at"] for lines in seen)
    done = [sum(line["at"] <= end for line in lines) for lines in seen]
    span = max(lines[-1]["at"] for lines in seen) - min(lines[0]["at"] for lines in seen)
    text = f"in {span:.1f} s, worst share {min(done) / (sum(done) / PROCESSES):.2f}"
    counted(f"calls of {PROCESSES} processes on one catalogue", {backend: PROCESSES * count}, text)


def assert_every_change_has_its_event(
    session: rsm.Session, first: int, at_first: dict[Kind, set[uuid.UUID]], succeeded: Counter[str]
) -> None:
    """See that the log tells of each success once, and that replaying it ends at what the catalogue holds."""
    events = session.events.list(after=first, limit=1_000_000)
    ids = [event.id for event in events]
    assert ids == sorted(set(ids))
    of_pools = Counter(event.call for event in events if event.kind is Kind.NTMS_MEDIA_POOL)
    of_media = Counter(event.call for event in events if event.kind is Kind.NTMS_PHYSICAL_MEDIA)
    for call in ("CreateNtmsMediaPool", "DeleteNtmsMediaPool"):
        assert of_pools[call] == succeeded[call] > 0
    for call in ("CreateNtmsMedia", "DeleteNtmsMedia", "EnableNtmsObject", "DisableNtmsObject"):
        assert of_media[call] == succeeded[call]
    for call in ("MoveToNtmsMediaPool", "ChangeNtmsMediaType"):  # a move to where it is succeeds and changes nothing
        assert of_media[call] <= succeeded[call]
    assert of_media["CreateNtmsMedia"] > 0
    for kind in COUNTED:
        of_kind = [event for event in events if event.kind is kind]
        made = {event.object for event in of_kind if event.operation is Operation.NTMS_OBJ_INSERT}
        gone = {event.object for event in of_kind if event.operation is Operation.NTMS_OBJ_DELETE}
        assert all_of(session, kind) == at_first[kind] | made - gone


def all_of(session: rsm.Session, kind: Kind) -> set[uuid.UUID]:
    """Return the ids of all objects of a kind, the pools of every level among them."""
    if kind is Kind.NTMS_MEDIA_POOL:
        return {pool.id for pool in session.pools.list(recursive=True)}
    return set(session.objects.list(kind))


def test_threads_share_a_session(session: rsm.Session, url: str) -> None:
    """Eight threads on one session: every call is its own transaction, a batch belongs to its thread."""
    barrier = threading.Barrier(PROCESSES)

    def work(number: int) -> None:
        barrier.wait()
        for turn in range(8):
            with session.because(f"{number}.{turn}"):
                pool = session.pools.create(f"{number}.{turn}", media_type="LTO-8")
            with session.transaction():
                session.media.create(pool, [builders.side()], barcode=f"{number}.{turn}")
                with pytest.raises(rsm.AlreadyExistsError):
                    session.pools.create(f"{number}.{turn}")
                session.pools.update(pool, max_allocates=turn)
            assert [medium.barcode for medium in session.media.list(pool=pool)] == [f"{number}.{turn}"]
            if turn % 2:
                session.media.delete(f"{number}.{turn}")
                session.pools.delete(pool)

    with concurrent.futures.ThreadPoolExecutor(PROCESSES) as threads:
        for done in [threads.submit(work, number) for number in range(PROCESSES)]:
            done.result()
    names = sorted(f"{number}.{turn}" for number in range(PROCESSES) for turn in range(0, 8, 2))
    assert sorted(medium.barcode for medium in session.media.list()) == names
    assert [pool.name for pool in session.pools.list(recursive=True) if pool.media_type] == names
    created = [event for event in session.events.list() if event.call == "CreateNtmsMediaPool"]
    assert {event.reason for event in created} == {event.after["name"] for event in created if event.after}
    assert len(created) == PROCESSES * 8
    sequence = [medium.sequence_number for medium in session.media.list()]
    assert len(set(sequence)) == len(sequence)
    assert schema.check(url) == []
