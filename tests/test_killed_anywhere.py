"""Two processes do all that can be done, and are killed at random moments of it: nothing is lost, by half or stuck.

Mounts, ports, the door, cleaning, inventories, exports, pools, media, batches, messages. Plain pytest kills some times,
`RSM_TEST_KILLS=300 pytest -n0 -s --timeout=0 tests/test_killed_anywhere.py` kills more.
"""

import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chores
import pytest
from chores import FREE, POOL, SPARE, TAPE
from counting import Counted
from nursery import Nursery
from port_users import SHELF, Person
from robot_users import LONG_MS, check_left, make_blocks, settle

import rsm
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.libraries.virtual import add_cartridge, create

pytestmark = pytest.mark.works

KILLS = int(os.environ.get("RSM_TEST_KILLS", "8"))
TAPES = tuple(f"A{number:05}" for number in range(6))
OK = "ERROR_SUCCESS"
CLEANER, CLEANER_SLOT = "CLN001", 12
# A chore that is refused with one of these met the other process, or what a killed one has left to be put right.
EXPECTED = {
    *("ERROR_SUCCESS", "ERROR_BUSY", "ERROR_CANCELLED", "ERROR_INVALID_OPERATION", "ERROR_INVALID_STATE"),
    *("ERROR_LIBRARY_OFFLINE", "ERROR_MEDIA_OFFLINE", "ERROR_INVALID_MEDIA", "ERROR_INVALID_PARAMETER"),
    *("ERROR_OBJECT_NOT_FOUND", "ERROR_RESOURCE_NOT_AVAILABLE", "ERROR_UNABLE_TO_EJECT_MOUNTED_MEDIA"),
    *("ERROR_LIBRARY_FULL", "ERROR_MEDIA_NOT_AVAILABLE", "ERROR_RESOURCE_DISABLED", "ERROR_MEDIA_UNAVAILABLE"),
}


def furnish(session: rsm.Session, folder: Path) -> None:
    """Put a robot on record with tapes to be allocated, some to be carried in and out, and a cleaner."""
    robot = folder / "robot"
    (folder / SHELF).mkdir()
    create(robot, CLEANER_SLOT, 2, 2, TAPE, doors=1)
    for slot, barcode in enumerate((*TAPES, *SPARE), 1):
        add_cartridge(robot, barcode, slot=slot, capacity_bytes=10_000_000)
    library = session.libraries.add("virtual", str(robot), name="Robot")
    settle(session)
    session.libraries.reserve_cleaner_slot(library, session.libraries.slots(library)[-1])
    add_cartridge(robot, CLEANER, slot=CLEANER_SLOT)
    session.objects.update(Kind.NTMS_LIBRARY, library, flags=16, cleaner_uses_remaining=100_000)
    for port in session.libraries.ports(library):
        session.objects.update(Kind.NTMS_IEPORT, port, max_extend_seconds=5)
    for door in session.libraries.doors(library):
        session.objects.update(Kind.NTMS_IEDOOR, door, max_open_seconds=5)
    inventory = session.libraries.inventory(library)
    assert inventory is not None
    session.requests.wait(inventory, timeout_ms=LONG_MS)
    settle(session)
    session.pools.create(POOL, media_type=TAPE, allocate_from_free=True, deallocate_to_free=True)
    session.pools.create(r"\Spare", media_type=TAPE)
    for barcode in (*TAPES, *SPARE):
        session.media.move(barcode, FREE)
    settle(session)
    for barcode in SPARE:
        session.media.move(barcode, r"\Spare")
    for _ in range(3):
        medium = session.media.allocate(POOL)
        with session.mounts.mount(medium, write=True, timeout_ms=LONG_MS) as mount, mount.open("wb") as file:
            file.write(make_blocks(str(medium.id), 1))


def kill_at_random(nursery: Nursery, kills: int, seed: int) -> Counter[str]:
    """Keep two at work, kill one or the other so many times, and return what each was doing when it was killed."""
    chance = random.Random(seed)
    doing: dict[int, str] = {}
    at: Counter[str] = Counter()
    for _ in range(2):
        nursery.spawn()
    for _ in range(kills):
        before = len(nursery.said)
        things = chance.randrange(1, 12)
        while len(nursery.said) < before + things or not nursery.living:
            nursery.hear()
        nursery.hear(chance.random() * 0.1)
        for said in nursery.said:
            doing[said["life"]] = said.get("begun", "nothing")
        victim = chance.choice(nursery.living)
        nursery.kill(victim)
        at[doing.get(victim, "opening")] += 1
        nursery.spawn()
    return at


def check_told(session: rsm.Session, said: list[dict[str, Any]]) -> None:
    """See that all is so that was said to be so, and that no batch is there by half."""
    pools = {pool.path for pool in session.pools.list()}
    types = {media_type.name for media_type in session.types.list()}
    held = {str(medium.id) for medium in session.media.logical_media(POOL)}
    maybe_held = held | {each["giving back"] for each in said if "giving back" in each}
    for each in said:
        assert each.get("pool", POOL) in pools, each
        assert each.get("no pool") not in pools, each
        assert each.get("type", TAPE) in types, each
        assert each.get("no type") not in types, each
        assert each.get("given back") not in held, each
        assert "held" not in each or each["held"] in maybe_held, each
    for path in pools:
        if path.startswith(chores.BATCH):
            assert session.objects.attribute(Kind.NTMS_MEDIA_POOL, path, "of") == b"a batch"


def check_data(session: rsm.Session, said: list[dict[str, Any]]) -> int:
    """Read back all that was said to be recorded, and return how many blocks that is."""
    safe: dict[str, int] = {}
    for each in said:
        if "blocks" in each:
            safe[each["medium"]] = max(safe.get(each["medium"], 0), each["blocks"])
    blocks = 0
    for medium in session.media.logical_media(POOL):
        with session.mounts.mount(medium, timeout_ms=LONG_MS) as mount, mount.open("rb") as file:
            found = chores.count_blocks(str(medium.id), file.read())
        assert found >= safe.get(str(medium.id), 0)
        blocks += found
    return blocks


@pytest.mark.parametrize(("backend", "kills"), [("sqlite", KILLS), ("postgresql", KILLS // 2)], indirect=["backend"])
def test_killed_at_anything(
    url: str, connect: Callable[..., rsm.Session], tmp_path: Path, kills: int, backend: str, counted: Counted
) -> None:
    folder = tmp_path / "place"
    folder.mkdir()
    with connect() as session:
        furnish(session, folder)
    nursery = Nursery(chores.__file__, url, str(folder))
    try:
        at = kill_at_random(nursery, kills, seed=kills)
    finally:
        nursery.close()
    ended = Counter(f"{each['ended']} {each['code']}" for each in nursery.said if "ended" in each)
    assert [each for each in nursery.said if each.get("code", OK) not in EXPECTED] == []
    session = connect()
    person = Person(session, folder)
    person.see_all_through()
    settle(session)
    inventory = session.libraries.inventory("Robot")
    assert inventory is not None
    session.requests.wait(inventory, timeout_ms=LONG_MS)
    lying = check_left(session, url, person.robot)
    on_shelf = {path.name for path in person.shelf.iterdir()}
    assert set(lying) | on_shelf == {*TAPES, *SPARE, CLEANER}
    assert on_shelf.isdisjoint(lying)
    check_told(session, nursery.said)
    blocks = check_data(session, nursery.said)
    assert blocks > 0
    check_left(session, url, person.robot)
    counted(f"kills at anything on {backend}", at, f"{blocks} blocks, {dict(sorted(ended.items()))}")
