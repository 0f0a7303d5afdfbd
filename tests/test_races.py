"""Processes that race for the same pools and cartridges: there is an order in which all they saw makes sense.

So no cartridge is allocated twice or in two pools, no pool is deleted with media in it, and no update is lost. Plain
pytest checks one history a database and kills 30 times in the middle of it. More of them, each by one command:
`RSM_TEST_HISTORIES=50 pytest -n0 -s --timeout=0 tests/test_races.py -k order`
`RSM_TEST_RACE_KILLS=300 pytest -n0 -s --timeout=0 tests/test_races.py -k killed`
"""

import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import builders
import pytest
import races
from counting import Counted
from nursery import Nursery
from programs import run_together

import rsm
from rsm import schema
from rsm.constants import NtmsObjectsTypes as Kind

PROCESSES = 4
HISTORIES = int(os.environ.get("RSM_TEST_HISTORIES", "1"))
KILLS = int(os.environ.get("RSM_TEST_RACE_KILLS", "30"))
_LONG = 170


def furnish(session: rsm.Session, url: str) -> races.State:
    """Put the cartridges of the race into a library, in the first pool."""
    robot = builders.add_library(url, slots=len(races.BARCODES))
    session.types.add("LTO-8", robot.id)
    session.pools.create(races.POOLS[0], media_type="LTO-8")
    for slot, barcode in enumerate(races.BARCODES):
        made = session.media.create(races.POOLS[0], [builders.side()], barcode=barcode)
        builders.put_online(url, made.id, robot, slot)
    media = tuple((barcode, races.POOLS[0], races.AVAILABLE, "") for barcode in races.BARCODES)
    return races.State(frozenset(races.POOLS[:1]), media)


def state_of(session: rsm.Session) -> races.State:
    """Return what the catalogue says by now, in the model's words."""
    pools = {pool.id: pool.path for pool in session.pools.list(recursive=True) if pool.path in races.POOLS}
    held = {each.side: str(each.id) for each in session.media.logical_media()}
    media = []
    for medium in sorted(session.media.list(), key=lambda each: each.barcode):
        (side,) = session.media.sides(medium)
        state = side.state.name.removeprefix("NTMS_PARTSTATE_")
        media.append((medium.barcode, pools[medium.pool], state, held.get(side.id, "")))
    return races.State(frozenset(pools.values()), tuple(media))


def race(url: str, seed: int, count: int) -> list[dict[str, Any]]:
    """Let the processes race and return all they saw."""
    script = [sys.executable, str(Path(races.__file__)), url]
    commands = [[*script, str(PROCESSES * seed + number), str(count)] for number in range(PROCESSES)]
    ended = run_together(commands, _LONG)
    return [json.loads(line) for _, output in ended for line in output.splitlines()]


def commits_of(events: list[rsm.Event]) -> dict[str, int]:
    """Return for each reason the number of its first event, having seen that no other's events lie between its own."""
    found: dict[str, int] = {}
    before = None
    for event in events:
        if event.reason != before:
            assert event.reason not in found, f"the events of {event.reason} are torn apart"
            found[event.reason] = event.id
        before = event.reason
    return found


@pytest.mark.parametrize(("backend", "count"), [("sqlite", 80), ("postgresql", 30)], indirect=["backend"])
def test_there_is_an_order_in_which_all_makes_sense(
    new_url: Callable[..., str], connect: Callable[..., rsm.Session], count: int, backend: str, counted: Counted
) -> None:
    results: Counter[str] = Counter()
    for seed in range(HISTORIES):
        url = new_url()
        session = connect(database=url)
        first = furnish(session, url)
        assert state_of(session) == first
        side_of = {str(session.media.sides(each)[0].id): each.barcode for each in session.media.list()}
        last = session.events.latest(limit=1)[0].id
        seen = race(url, seed, count)
        assert len(seen) == PROCESSES * count
        commits = commits_of(session.events.list(after=last, limit=1_000_000))
        end, wrong = races.judge(first, seen, commits, side_of)
        assert wrong == []
        assert set(commits) <= {each["reason"] for each in seen}
        assert state_of(session) == end
        assert schema.check(url) == []
        assert len(session.objects.list(Kind.NTMS_PHYSICAL_MEDIA)) == len(races.BARCODES)
        results.update(f"{each['call']} {each['code']}" for each in seen)
    counted("histories checked", {backend: HISTORIES}, f"{results.total()} calls, {dict(results)}")
    counted("calls that raced", {backend: results.total()})
    calls = ("create_pool", "delete_pool", "move", "allocate", "deallocate", "complete")
    assert sum(results[f"{call} {races.OK}"] > 0 for call in calls) > 3
    assert sum(count for result, count in results.items() if not result.endswith(races.OK)) > results.total() / 10


def kill_at_random(nursery: Nursery, kills: int, seed: int) -> None:
    """Keep two processes racing, and kill one or the other so many times."""
    chance = random.Random(seed)
    for _ in range(2):
        nursery.spawn()
    for _ in range(kills):
        calls = chance.randrange(1, 40)
        while True:
            life = nursery.hear()
            calls -= 1
            if calls <= 0 and life in nursery.living:
                break
        for _ in range(chance.randrange(40_000)):  # up to the length of a call
            pass
        nursery.kill(life)
        nursery.spawn()


def finish_unacknowledged(said: list[dict[str, Any]], events: list[rsm.Event]) -> list[dict[str, Any]]:
    """Return the calls, those that were killed on the way and took effect as if they had ended at last."""
    logical = {event.reason: event for event in events if event.kind is Kind.NTMS_LOGICAL_MEDIA}
    took_effect = {event.reason for event in events}
    finished = []
    for each in said:
        if "ended" not in each and each["reason"] in took_effect:
            result = None
            if each["call"] == "allocate":
                event = logical[each["reason"]]
                assert event.after is not None
                result = [str(event.object), str(event.after["side_id"])]
            each = {**each, "code": races.OK, "result": result, "ended": time.monotonic_ns()}
        if "ended" in each:
            finished.append(each)
    return finished


@pytest.mark.parametrize(("backend", "kills"), [("sqlite", KILLS), ("postgresql", KILLS // 2)], indirect=["backend"])
def test_killed_in_the_middle_of_a_race(
    url: str, connect: Callable[..., rsm.Session], kills: int, backend: str, counted: Counted
) -> None:
    session = connect()
    first = furnish(session, url)
    side_of = {str(session.media.sides(each)[0].id): each.barcode for each in session.media.list()}
    last = session.events.latest(limit=1)[0].id
    nursery = Nursery(races.__file__, url)
    try:
        kill_at_random(nursery, kills, seed=kills)
    finally:
        nursery.close()
    with session.transaction(dry_run=True):  # whatever a server still has to do for the dead is done before
        pass
    events = session.events.list(after=last, limit=1_000_000)
    said = {each["reason"]: each for each in nursery.said}  # what a call says at its end replaces what it said before
    seen = finish_unacknowledged(list(said.values()), events)
    end, wrong = races.judge(first, seen, commits_of(events), side_of)
    assert wrong == []
    assert {event.reason for event in events} <= {each["reason"] for each in seen}
    assert state_of(session) == end
    assert schema.check(url) == []
    open_calls = sum("ended" not in each for each in said.values())
    late = len(seen) - sum("ended" in each for each in said.values())
    text = f"{len(said)} calls, {open_calls} not acknowledged, {late} of these done"
    counted("kills in the middle of a race", {backend: kills + 2}, text)
    assert open_calls


def _call(reason: str, call: str, *arguments: str, code: str = races.OK, at: int = 0, **more: Any) -> dict[str, Any]:
    return {
        **{"reason": reason, "call": call, "arguments": list(arguments), "code": code, "result": None},
        **{"begun": at, "ended": at + 1},
        **more,
    }


FIRST = races.State(frozenset({"\\One"}), (("R00000", "\\One", races.AVAILABLE, ""),))
WRONG = {
    "allocated twice": [
        _call("a", "allocate", "\\One", result=["x", "s"]),
        _call("b", "allocate", "\\One", result=["y", "s"], at=2),
    ],
    "deleted with media in it": [_call("a", "delete_pool", "\\One")],
    "an order against time": [
        _call("b", "create_pool", "\\Two", at=10),
        _call("a", "create_pool", "\\Three", at=2),
    ],
    "refused for nothing": [_call("", "create_pool", "\\Two", code="ERROR_ALREADY_EXISTS")],
    "a lost update": [_call("", "move", "R00000", "\\Two"), _call("a", "create_pool", "\\Two", at=2)],
}


@pytest.mark.parametrize("history", WRONG.values(), ids=WRONG)
def test_the_judge_finds(history: list[dict[str, Any]]) -> None:
    commits = {each["reason"]: number for number, each in enumerate(history) if each["reason"]}
    assert races.judge(FIRST, history, commits, {"s": "R00000"})[1]
