"""Which side is chosen, why the others are not, and what the choice costs in a pool of any size."""

import random
import re
import sqlite3
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import allocating
import builders
import faults
import pytest
import sqlalchemy
from allocating import (
    ALLOCATED,
    AVAILABLE,
    COMPLETE,
    DECOMMISSIONED,
    FOREIGN,
    IMPORT,
    RESERVED,
    UNPREPARED,
    World,
)
from watch import refused

import rsm
from rsm import identity, model
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsPartitionState as State

DRAWS, FREE = r"\One draws", r"\Free\LTO-8"


@pytest.fixture
def world(connect: Callable[..., rsm.Session], url: str) -> World:
    """Return a furnished catalogue."""
    return allocating.make_world(connect(worker=False), url)


def explained(world: World, pool: str, **options: Any) -> list[tuple[str, int | None, str]]:
    return [(found.barcode, found.rank, found.reason) for found in world.session.media.why(pool, **options)]


def test_the_order_of_the_search(world: World) -> None:
    """Each cartridge is taken in the order of its name, which is not the order of their ids."""
    for barcode, pool, library in (
        ("F6", FREE, world.far),
        ("F5", FREE, world.near),
        ("F4", FREE, world.far),
        ("F8", FREE, world.far),
        ("A3", DRAWS, world.far),
        ("A2", DRAWS, world.near),
        ("A1", DRAWS, world.near),
    ):
        world.add(pool, barcode, library=library)
    for barcode, drive in (("A1", world.near.drives[0]), ("F4", world.far.drives[0])):
        (side,) = world.session.media.sides(barcode)
        builders.add_mount(world.url, side.id, drive, in_use=False)
    wanted = ["A1", "A2", "A3", "F4", "F5", "F6", "F8"]
    assert [barcode for barcode, _, _ in explained(world, DRAWS)] == wanted
    assert [rank for _, rank, _ in explained(world, DRAWS)] == [1, 2, 3, 4, 5, 6, 6]
    taken = [world.barcode_of(world.session.media.allocate(DRAWS, timeout_ms=0)) for _ in wanted]
    assert taken == wanted
    assert {found.rank for found in world.session.media.why(DRAWS)} == {None}


def test_of_two_in_drives_the_one_this_host_can_reach_comes_first(world: World) -> None:
    for barcode, library in (("A2", world.far), ("A1", world.near)):
        (side,) = world.add(r"\One", barcode, library=library)
        builders.add_mount(world.url, side, library.drives[0], in_use=False)
    assert [found[:2] for found in explained(world, r"\One")] == [("A1", 1), ("A2", 1)]


REASONS: dict[str, str] = {
    "A01": "chosen: online, and this host has a path to its library",
    "A02": "later in order: online, and this host has a path to its library",
    "A03": "later in order: online, but this host has no path to its library",
    "F01": "later in order: online, and this host has a path to its library, in the free pool",
    "A04": "in use",
    "A05": "offline",
    "A06": "its library is disabled",
    "A07": "the cartridge is disabled",
    "A08": "the side is disabled",
    "A09": "allocated",
    "A10": "allocated and complete",
    "A11": "decommissioned, never allocated again",
    "A12": "unrecognized data",
    "A13": "to be imported, by naming the side",
    "A14": "reserved for whoever holds the other side",
    "F02": "no free label yet",
}


def test_every_reason_has_its_words(world: World) -> None:
    closed = builders.add_library(world.url, "Closed", drives=0, doors=0, ports=0, requests=0)
    world.session.objects.disable(Kind.NTMS_LIBRARY, closed.id)
    for barcode in ("A01", "A02", "A04", "A08"):
        world.add(DRAWS, barcode)
    world.add(DRAWS, "A03", library=world.far)
    builders.add_mount(world.url, world.session.media.sides("A04")[0].id, world.near.drives[0])
    world.add(DRAWS, "A05", shelf=True)
    world.add(DRAWS, "A06", library=closed)
    world.add(DRAWS, "A07", enabled=False)
    builders.set_columns(world.url, model.Side, world.session.media.sides("A08")[0].id, enabled=False)
    states = (ALLOCATED, COMPLETE, DECOMMISSIONED, FOREIGN, IMPORT, RESERVED)
    for number, state in enumerate(states, 9):
        world.add(DRAWS, f"A{number:02}", state)
    world.add(FREE, "F01")
    world.add(FREE, "F02", UNPREPARED)
    found = world.session.media.why(DRAWS)
    assert {candidate.barcode: candidate.reason for candidate in found} == REASONS
    assert [candidate.barcode for candidate in found][:4] == ["A01", "A02", "A03", "F01"]
    assert [candidate.chosen for candidate in found] == [True] + [False] * (len(REASONS) - 1)
    assert found[0].pool == world.session.pools.get(DRAWS).id
    assert (found[0].name, found[0].number) == ("A01", 0)


def test_reasons_of_two_sided_media(world: World) -> None:
    for barcode, states in (("T1", (AVAILABLE, ALLOCATED)), ("T2", (AVAILABLE, AVAILABLE))):
        world.add(r"\Two draws", barcode, *states)
    half, used = (world.add(r"\Free\MO_5_RW", barcode, AVAILABLE, AVAILABLE) for barcode in ("F1", "F2"))
    builders.set_columns(world.url, model.Side, half[1], state=int(UNPREPARED))
    builders.add_mount(world.url, used[1], world.near.drives[0])
    reasons = {
        (found.barcode, found.number): found.reason for found in world.session.media.why(r"\Two draws", new=True)
    }
    assert reasons["T1", 0] == "the other side is not available"
    assert reasons["T2", 0].startswith("chosen: ")
    assert reasons["F1", 0] == "the other side is not available"
    assert reasons["F2", 0] == "the other side is in use"
    either = explained(world, r"\Two draws")
    assert either[0][0] == "T1"
    assert either[3:] == [
        ("T1", None, "allocated"),
        ("F1", None, "the other side has no free label yet"),
        ("F1", None, "no free label yet"),
        ("F2", None, "the other side is in use"),
        ("F2", None, "in use"),
    ]


def test_who_may_ask_and_who_may_draw(world: World, connect: Callable[..., rsm.Session]) -> None:
    world.add(FREE, "F1")
    alice = connect("user:alice", worker=False)

    def give(path: str, rights: rsm.AccessRights) -> None:
        entries = (rsm.Ace(True, "user:alice", rights),)
        world.session.acl.set(Kind.NTMS_MEDIA_POOL, path, rsm.SecurityDescriptor(dacl=entries))

    give(DRAWS, rsm.AccessRights.MODIFY)
    with refused(rsm.AccessDeniedError):
        alice.media.why(DRAWS)
    give(DRAWS, rsm.AccessRights.USE)
    assert [found.chosen for found in alice.media.why(DRAWS)] == [True]
    give(FREE, rsm.AccessRights.MODIFY)
    assert alice.media.why(DRAWS) == ()
    for pool in (r"\Gone", r"\Holder", FREE):
        with refused(rsm.InvalidMediaPoolError):
            world.session.media.why(pool)
    for wrong in (0, -1):
        with refused(rsm.InvalidParameterError):
            world.session.media.why(DRAWS, most=wrong)


def test_long_lists_come_in_pages_with_the_chosen_one_first(world: World) -> None:
    pool, free = (world.session.pools.get(path) for path in (DRAWS, FREE))
    builders.add_media(world.url, pool, [f"A{number:04}" for number in range(1_005)], ALLOCATED, library=world.near)
    builders.add_media(world.url, free, [f"F{number:04}" for number in range(1_005)], library=world.near)
    assert len(world.session.media.why(DRAWS)) == 1_000
    assert [found.barcode for found in world.session.media.why(DRAWS, most=2)] == ["F0000", "A0000"]
    everything = world.session.media.why(DRAWS, most=5_000)
    assert len({found.side for found in everything}) == len(everything) == 2_010
    assert [found.chosen for found in everything].index(True) == 0
    assert world.barcode_of(world.session.media.allocate(DRAWS, timeout_ms=0)) == "F0000"


# What is chosen is what is allocated


@pytest.mark.parametrize("seed", range(6))
def test_why_and_allocate_agree_on_any_catalogue(world: World, seed: int) -> None:
    chance = random.Random(seed)
    closed = builders.add_library(world.url, "Closed", drives=2, doors=0, ports=0, requests=0)
    world.session.objects.disable(Kind.NTMS_LIBRARY, closed.id)
    if seed % 3 == 0:
        builders.add_path(world.url, world.far.drives[0], identity.host())
    elif seed % 3 == 1:
        with builders.behind(world.url) as connection:
            connection.execute(sqlalchemy.delete(model.DevicePath))
    drives = {library.id: list(library.drives) for library in (world.near, world.far, closed)}
    for number in range(30):
        library = chance.choice((world.near, world.near, world.far, closed, None))
        states = [chance.choice([*[AVAILABLE] * 5, *State]) for _ in range(2)]
        pool = chance.choice((r"\Two draws", r"\Free\MO_5_RW"))
        enabled = chance.random() < 0.8
        sides = world.add(pool, f"C{number:02}", *states, library=library, shelf=library is None, enabled=enabled)
        if chance.random() < 0.1:
            builders.set_columns(world.url, model.Side, sides[0], enabled=False)
        if library is not None and drives[library.id] and chance.random() < 0.4:
            drive = drives[library.id].pop()
            builders.add_mount(world.url, chance.choice(sides), drive, in_use=chance.random() < 0.5)
    for _ in range(40):
        new = chance.random() < 0.3
        found = world.session.media.why(r"\Two draws", new=new)
        ranks = [candidate.rank for candidate in found if candidate.rank is not None]
        chosen = [candidate for candidate in found if candidate.chosen]
        try:
            made = world.session.media.allocate_from(r"\Two draws", new=new, timeout_ms=0)
        except rsm.TimeoutError:
            assert (chosen, ranks) == ([], [])
            if not new:
                return
            continue
        assert [candidate.side for candidate in chosen] == [made.logical_medium.side]
        assert (chosen[0].pool, chosen[0].rank) == (made.source_pool, min(ranks))
    pytest.fail("more sides were allocated than there are")


# What it costs


class Steps:
    """Counts what SQLite does while statements run: its virtual machine's steps, by tens."""

    def __init__(self, session: rsm.Session) -> None:
        self.count = 0
        self.session = session

    def of(self, call: Callable[[], object]) -> tuple[int, list[str]]:
        """Return the steps and statements of a call."""
        self.count = 0
        statements: list[str] = []
        counter = self

        class Counting(faults.Fault):
            def call(self, what: str, do: Callable[..., Any], *arguments: Any) -> Any:
                statements.append(what)
                raw = getattr(do, "__self__", None)
                if isinstance(raw, sqlite3.Connection):
                    raw.set_progress_handler(counter.tick, 10)
                return super().call(what, do, *arguments)

        with faults.in_the_way(self.session, Counting(0, None)):
            call()
        return self.count, statements

    def tick(self) -> int:
        self.count += 1
        return 0


def multiply(path: Path, count: int) -> None:
    """Put copies of the one cartridge of a catalogue on record, quickly."""
    connection = sqlite3.connect(path)
    numbers = f"WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {count})"
    medium_id, side_id = (f"CAST(printf('{letter}%015d', n) AS BLOB)" for letter in "MS")
    kinds = int(Kind.NTMS_PHYSICAL_MEDIA), int(Kind.NTMS_PARTITION)
    for table, new, kind in zip(("physical_medium", "side"), (medium_id, side_id), kinds, strict=True):
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        copied = {name: name for name in columns} | {"id": new}
        copied |= {"medium_id": medium_id} if table == "side" else {"sequence_number": "sequence_number + 1000 + n"}
        connection.execute(f"{numbers} INSERT INTO object (id, kind) SELECT {new}, {kind} FROM number")
        names, values = ", ".join(columns), ", ".join(copied[name] for name in columns)
        one = f"(SELECT * FROM {table} ORDER BY id LIMIT 1)"
        connection.execute(f"{numbers} INSERT INTO {table} ({names}) SELECT {values} FROM number, {one}")
    connection.commit()
    connection.close()


def test_a_pool_of_any_size_costs_the_same(sqlite_path: Path) -> None:
    """One allocation from 100 sides and from 100,000: the same statements, and no more steps of SQLite's machine."""
    robot = builders.add_library(str(sqlite_path), drives=1, doors=0, ports=0, requests=0)
    with rsm.connect(sqlite_path, caller=faults.ADMINISTRATOR, worker=False) as session:
        session.types.add("LTO-8", robot.id)
        pool = session.pools.create(r"\Daily", media_type="LTO-8", allocate_from_free=True)
        builders.add_media(str(sqlite_path), pool, [f"A{number:06}" for number in range(100)], library=robot)
        few, statements = Steps(session).of(lambda: session.media.allocate(pool, timeout_ms=0))
    multiply(sqlite_path, 100_000)
    with rsm.connect(sqlite_path, caller=faults.ADMINISTRATOR, worker=False) as session:
        assert session.pools.get(pool).physical_media == 100_100
        many, same = Steps(session).of(lambda: session.media.allocate(pool, timeout_ms=0))
    assert few > 0
    assert many <= few * 1.2
    assert same == statements
    assert len([sql for sql in statements if sql.startswith(("SELECT", "INSERT", "UPDATE"))]) < 20


def test_the_plans_are_ranges_of_the_index(sqlite_path: Path) -> None:
    robots = [builders.add_library(str(sqlite_path), name, doors=0, ports=0, requests=0) for name in ("A", "B")]
    builders.add_path(str(sqlite_path), robots[0].changers[0], identity.host())
    plans: dict[str, list[str]] = {}
    with rsm.connect(sqlite_path, caller=faults.ADMINISTRATOR, worker=False) as session:
        session.types.add("LTO-8", robots[0].id)
        session.pools.create(r"\Daily", media_type="LTO-8", allocate_from_free=True)
        with faults.in_the_way(session, faults.Planning(plans)):
            for new in (False, True):
                with refused(rsm.TimeoutError):
                    session.media.allocate(r"\Daily", timeout_ms=0, new=new)
            session.media.why(r"\Daily")
    picks = {
        sql: plan for sql, plan in plans.items() if "side.mounted" in sql and "LIMIT" in sql and "state = 4" in sql
    }
    assert len(picks) >= 8
    for sql, plan in picks.items():
        assert plan[0].endswith(" INDEX ix_side_pick (pool_id=? AND mounted=? AND online>?)"), sql
        assert not [line for line in plan if "TEMP B-TREE" in line or re.match(r"SCAN (?!library|changer|drive)", line)]


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_the_plans_of_the_server(world: World) -> None:
    pool = world.session.pools.get(r"\One")
    builders.add_media(world.url, pool, [f"A{number}" for number in range(2_000)], library=world.near)
    statements: dict[str, tuple[Any, ...]] = {}

    class Keeping(faults.Fault):
        def call(self, what: str, do: Callable[..., Any], *arguments: Any) -> Any:
            if "side.mounted" in what and what.startswith("SELECT"):
                statements[what] = arguments
            return super().call(what, do, *arguments)

    with faults.in_the_way(world.session, Keeping(0, None)):
        world.session.media.allocate(r"\One", timeout_ms=0)
    picks = {sql: arguments for sql, arguments in statements.items() if "state = 4" in sql}
    assert picks
    import psycopg

    with psycopg.connect(world.url, autocommit=True) as connection:
        connection.execute("ANALYZE")
        for sql, arguments in picks.items():
            plan = "\n".join(row[0] for row in connection.execute(f"EXPLAIN {sql}", arguments[-1]).fetchall())
            # Of what is in a drive there is never much: that index holds no other sides.
            assert "using uq_side_mounted" in plan or ("ix_side_pick" in plan and "Sort" not in plan), plan
            assert "Seq Scan on side" not in plan, plan


def test_nothing_is_chosen_from_nowhere(world: World) -> None:
    assert world.session.media.why(r"\Nowhere") == ()
    assert uuid.UUID(int=0) not in {found.side for found in world.session.media.why(r"\One")}
