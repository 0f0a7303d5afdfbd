"""What looking costs: the choice of a side, an object's information, a page of a listing, whole listings streamed.

As a script (`python -m tests.benchmarks.reading PATH values|rows`) it streams one and tells what memory that took.
"""

import itertools
import json
import resource
import statistics
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import rsm
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction
from rsm.nouns.base import NO_ID, PAGE
from rsm.services import choice, listing, pools
from tests.benchmarks.catalogue import CALLER
from tests.benchmarks.measuring import Effort, Result, World, compared, recorded, replay, timed

GROUP = "looking"
_PAGE_OF_A_SCREEN = 100
_PARTS = 100  # of a listing, in all passes over it, where it has so many


def measure(worlds: list[World], effort: Effort) -> Iterator[Result]:
    """Measure at every scale, and the pick across them."""
    yield from _picks(worlds, effort)
    for world in worlds:
        yield from _calls(world, effort)
    for world in worlds:
        yield from _listings(world, effort)
    yield _listing_memory(worlds[-1])


def _pick_timer(world: World) -> Callable[[], float]:
    """Return what picks a side in a snapshot of its own and returns the microseconds of the pick alone."""
    pool_id = world.catalogue.pools[0]

    def pick(transaction: Transaction) -> float:
        pool = pools.get_pool(transaction, pool_id)
        return timed(lambda: choice.pick_side(transaction, pool, None))

    return lambda: world.second.read(pick)


def _picks(worlds: list[World], effort: Effort) -> Iterator[Result]:
    """Measure the pick at all scales, interleaved."""
    timers = [_pick_timer(world) for world in worlds]
    times: list[list[float]] = [[] for _ in worlds]
    theirs: list[list[float]] = [[] for _ in worlds]
    runs = []
    for world in worlds:
        pool_id = world.catalogue.pools[0]
        look = recorded(lambda: world.first.read(pools.get_pool, pool_id))  # noqa: B023
        both = recorded(lambda: world.first.read(_look_and_pick, pool_id))  # noqa: B023
        runs.append(both[len(look) - 1 : -1])
    for _ in range(effort.calls):
        for position, world in enumerate(worlds):
            times[position].append(timers[position]())
            theirs[position].append(timed(lambda: replay(world.bare, runs[position])))  # noqa: B023
    for position, world in enumerate(worlds):
        line = Result(GROUP, "pick a side", world.media, "-", len(runs[position]))
        compared(line, times[position], theirs[position])
        assert line.ours_us is not None
        yield line.need("< 1 ms", line.ours_us < 1_000)
    if len(worlds) > 1:
        small, large = worlds[0].media, worlds[-1].media
        line = Result(GROUP, f"pick among {large:,}, beside {small:,}", large, "-")
        yield compared(line, times[-1], times[0]).want(1.5)


def _look_and_pick(transaction: Transaction, pool_id: uuid.UUID) -> None:
    choice.pick_side(transaction, pools.get_pool(transaction, pool_id), None)


def _calls(world: World, effort: Effort) -> Iterator[Result]:
    media = world.first.objects.list(Kind.NTMS_PHYSICAL_MEDIA, world.catalogue.pools[1])
    step = max(1, len(media) // (effort.calls + 1))

    def information(session: rsm.Session, number: int) -> None:
        session.objects.get(Kind.NTMS_PHYSICAL_MEDIA, media[number * step % len(media)])

    def page(session: rsm.Session, number: int) -> None:
        after = media[number * step % max(1, len(media) - _PAGE_OF_A_SCREEN)]
        arguments = (CALLER, Kind.NTMS_PHYSICAL_MEDIA, world.catalogue.pools[1], after, _PAGE_OF_A_SCREEN)
        session.read(listing.list_values, *arguments)

    lines = Result(GROUP, "information of a cartridge"), Result(GROUP, f"a page of {_PAGE_OF_A_SCREEN} cartridges")
    for line, call in zip(lines, (information, page), strict=True):
        world.compare([(line, call)], effort.calls)
        line.durability = "-"
        yield line


def _listings(world: World, effort: Effort) -> Iterator[Result]:
    """Stream all cartridges as values and as stored rows, beside one bare cursor over the very same SELECT."""
    page = (CALLER, Kind.NTMS_PHYSICAL_MEDIA, None, NO_ID, PAGE)
    select = next(
        statement
        for statement in recorded(lambda: world.first.read(listing.list_rows, *page))
        if "physical_medium" in statement.sql
    )
    without_limit = [-1 if value == PAGE else value for value in select.parameters]
    wanted = {"bare": 1.0, "values": 6.0, "rows": 2.0}
    times: dict[str, list[float]] = {how: [] for how in wanted}
    for _ in range(max(1, min(effort.passes * 10, _PARTS * PAGE // world.media))):
        streams = {how: _stream(world.second, how) for how in ("values", "rows")}
        streams["bare"] = world.bare.execute(select.sql, without_limit)
        for _ in range(-(-world.media // PAGE)):  # part by part in turn, so that all meet the same disturbances
            for how, took in times.items():
                took.append(timed(lambda: _count(itertools.islice(streams[how], PAGE))))  # noqa: B023
    for how in ("values", "rows"):
        line = Result(GROUP, f"stream cartridges as {how}, a page of {min(PAGE, world.media):,}", world.media, "-", 5)
        compared(line, times[how], times["bare"]).want(wanted[how])
        seconds = {each: statistics.median(times[each]) / 1e6 for each in (how, "bare")}
        line.facts = {f"{each}_per_second": round(min(PAGE, world.media) / took) for each, took in seconds.items()}
        yield line
    size = world.catalogue.path.stat().st_size
    yield Result(GROUP, "file", world.media, "-", shown=f"{size / 1e6:,.0f} MB", facts={"bytes": size})


def _listing_memory(world: World) -> Result:
    taken = {how: _memory(world, how)["grown_kib"] for how in ("values", "rows")}
    line = Result(GROUP, "memory of a whole listing", world.media, "-", facts=taken)
    line.shown = ", ".join(f"{how} {kib / 1024:.0f} MiB" for how, kib in taken.items())
    return line.need("≤ 32 MiB, however many", max(taken.values()) <= 32 * 1024)


def _stream(session: rsm.Session, how: str) -> Iterator[Any]:
    """Stream all cartridges; nothing is read before the first is asked for."""
    streaming = session.objects.stream if how == "values" else session.objects.stream_rows
    yield from streaming(Kind.NTMS_PHYSICAL_MEDIA)


def _count(rows: Iterator[Any]) -> int:
    count = 0
    for _ in rows:
        count += 1
    return count


def _memory(world: World, how: str) -> dict[str, int]:
    """Stream the listing in a process of its own, and return how much its memory grew meanwhile."""
    script = [sys.executable, "-m", "tests.benchmarks.reading", str(world.paths[1]), how]
    found: dict[str, int] = json.loads(subprocess.run(script, capture_output=True, text=True, check=True).stdout)
    return found


def main() -> None:
    """Stream one listing and print what memory it took; a first row is fetched before, so that all is loaded."""
    path, how = sys.argv[1:]
    with rsm.connect(path, worker=False, caller=CALLER) as session:
        next(_stream(session, how))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        rows = _count(_stream(session, how))
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps({"rows": rows, "grown_kib": grown, "before_kib": before}))


if __name__ == "__main__":
    main()
