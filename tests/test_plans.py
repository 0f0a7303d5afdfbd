"""How SQLite finds what the hot calls ask for: by an index, never by walking a table or sorting what it found.

Walked are only what has one row, or a few whatever the catalogue holds: the catalogue's own row, the computer, the
libraries, the levels of one pool's path, what one name was found under, which drives take which media, and sessions
that are open. Sorted are only these, and the drives and live requests of one library.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import builders
import faults
import mounting
import pytest

import rsm
from rsm import identity
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsPartitionState as State
from rsm.services import devices, inventory

WALKED = re.compile(
    r"SCAN (c|v|catalogue|computer|library|above|anon_1|drive_type_media_type|CONSTANT ROW"
    r"|session USING INDEX ix_session_open)\b"
)
SORTED = re.compile(r"SCAN (computer|above|anon_1)\b|SEARCH (library_request|drive) USING INDEX \w+ \(library_id=\?")
Call = Callable[[], object]


def check(session: rsm.Session, calls: dict[str, Call], least: int) -> None:
    """See that no statement of any call walks a table that may be large, or sorts."""
    for name, call in calls.items():
        plans: dict[str, list[str]] = {}
        with faults.in_the_way(session, faults.Planning(plans)):
            call()
        assert len(plans) >= least, name
        for sql, plan in plans.items():
            assert not [line for line in plan if line.startswith("SCAN") and not WALKED.match(line)], (name, sql, plan)
            few = any(SORTED.match(line) for line in plan)
            assert few or not [line for line in plan if "TEMP B-TREE" in line], (name, sql, plan)


def test_calls_on_records_use_indexes(sqlite_path: Path) -> None:
    url = str(sqlite_path)
    robot = builders.add_library(url, slots=40, drives=4)
    builders.add_path(url, robot.changers[0], identity.host())
    with rsm.connect(sqlite_path, caller=faults.ADMINISTRATOR, worker=False) as session:
        session.types.add("LTO-8", robot.id)
        one, two = (session.pools.create(path, media_type="LTO-8", parents=True) for path in (r"\A\One", r"\A\Two"))
        for number in range(50):
            session.pools.create(rf"\A\Many {number}")
        builders.add_media(url, one, [f"A{number}" for number in range(60)], library=robot)
        builders.add_media(url, two, [f"B{number}" for number in range(60)], State.NTMS_PARTSTATE_ALLOCATED)
        builders.add_medium(url, one, "A60", State.NTMS_PARTSTATE_ALLOCATED, library=robot)
        check(session, _changing(session, one, two), least=4)
        check(session, _looking(session, robot.id, one), least=1)


def _changing(session: rsm.Session, one: rsm.MediaPool, two: rsm.MediaPool) -> dict[str, Call]:
    media, held = session.objects.list(Kind.NTMS_PHYSICAL_MEDIA, one.id), session.media.logical_media(pool=two)[0]
    made: list[Any] = []
    return {
        "create a pool": lambda: made.append(session.pools.create(r"\A\New")),
        "delete a pool": lambda: session.pools.delete(made.pop()),
        "delete a pool by path": lambda: session.pools.delete(r"\A\Many 7"),
        "move": lambda: session.media.move(media[5], two),
        "move by name": lambda: session.media.move("A6", two),
        "allocate": lambda: made.append(session.media.allocate(one, timeout_ms=0)),
        "complete": lambda: session.media.complete(made[0]),
        "deallocate": lambda: session.media.deallocate(made.pop()),
        "update a label": lambda: session.media.update_label(held, type="x", id=b"1", info=""),
    }


def _looking(session: rsm.Session, library: Any, pool: rsm.MediaPool) -> dict[str, Call]:
    def compare() -> None:
        def look(transaction: Any) -> None:
            places = devices.read_elements_of(transaction, library)
            inventory.record_look(transaction, library, places, [], complete=False)

        session.write(look)

    kinds = (Kind.NTMS_PHYSICAL_MEDIA, Kind.NTMS_PARTITION, Kind.NTMS_LOGICAL_MEDIA, Kind.NTMS_STORAGESLOT)
    inside = {
        "media of a pool": (Kind.NTMS_PHYSICAL_MEDIA, pool.id),
        "media of a library": (Kind.NTMS_PHYSICAL_MEDIA, library),
        "sides of a pool": (Kind.NTMS_PARTITION, pool.id),
    }
    return {
        **{
            f"information, {kind.name}": lambda kind=kind: session.objects.get(kind, session.objects.list(kind)[0])  # type: ignore[misc]
            for kind in (*kinds, Kind.NTMS_DRIVE, Kind.NTMS_LIBRARY)
        },
        "information of a pool": lambda: session.pools.get(pool),
        "information by name": lambda: session.media.get("A9"),
        **{
            f"list all, {kind.name}": lambda kind=kind: list(session.objects.stream_rows(kind))  # type: ignore[misc]
            for kind in kinds
        },
        **{
            f"list {name}": lambda of=of: list(session.objects.stream(*of))  # type: ignore[misc]
            for name, of in inside.items()
        },
        "compare with a device": compare,
    }


@pytest.mark.works
def test_library_work_uses_indexes(sqlite_path: Path, tmp_path: Path) -> None:
    with rsm.connect(sqlite_path, caller=faults.ADMINISTRATOR) as session:
        stock = mounting.make_stock(session, tmp_path, media=3)

        def mount_and_dismount() -> None:
            mount = session.mounts.mount(stock.media[0], write=True, timeout_ms=mounting.LONG_MS)
            assert isinstance(mount, rsm.Mount)
            mount.dismount()
            stock.settle()

        check(session, {"mount and dismount": mount_and_dismount}, least=40)
