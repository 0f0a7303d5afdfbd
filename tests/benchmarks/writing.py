"""What calls that change the catalogue cost: pools, moves, allocations, and asking for a mount."""

import uuid
from collections.abc import Iterator

import rsm
from rsm.constants import NtmsObjectsTypes as Kind
from tests.benchmarks.measuring import Effort, Result, World

GROUP = "changing"
DURABILITIES = ("FULL", "OFF")


def measure(worlds: list[World], effort: Effort) -> Iterator[Result]:
    """Measure at every scale, durable as shipped, and without waiting for the disk, which covers the rest."""
    for world in worlds:
        for durability in DURABILITIES:
            lines = [*_pools(world, effort, durability), *_allocations(world, effort, durability)]
            for line, most in zip(lines, (1.5, 1.5, 2, 2, 2, None), strict=True):
                yield line.want(most) if most is not None and durability == "FULL" else line


def _pools(world: World, effort: Effort, durability: str) -> list[Result]:
    made: dict[tuple[rsm.Session, int], uuid.UUID] = {}

    def create(session: rsm.Session, number: int) -> None:
        made[session, number] = session.pools.create(rf"\New {number}").id

    def delete(session: rsm.Session, number: int) -> None:
        session.pools.delete(made[session, number])

    lines = [Result(GROUP, "create a pool"), Result(GROUP, "delete a pool")]
    world.compare(list(zip(lines, (create, delete), strict=True)), effort.calls, durability)
    return lines


def _allocations(world: World, effort: Effort, durability: str) -> list[Result]:
    here, there = world.catalogue.pools[:2]
    media = world.first.objects.list(Kind.NTMS_PHYSICAL_MEDIA, here)
    media = media[len(media) // 2 :]  # the first ones are in drives
    held: dict[tuple[rsm.Session, int], uuid.UUID] = {}

    def move(session: rsm.Session, number: int) -> None:
        session.media.move(media[number % len(media)], there)

    def move_back(session: rsm.Session, number: int) -> None:
        session.media.move(media[number % len(media)], here)

    def allocate(session: rsm.Session, number: int) -> None:
        held[session, number] = session.media.allocate(here, timeout_ms=0).id

    def deallocate(session: rsm.Session, number: int) -> None:
        session.media.deallocate(held[session, number])

    online = world.first.objects.list(Kind.NTMS_PHYSICAL_MEDIA, world.catalogue.libraries[-1])[-1]
    moved, allocated, given_back, asked = (
        Result(GROUP, what) for what in ("move a cartridge", "allocate", "deallocate", "ask for a mount and withdraw")
    )
    world.compare([(moved, move), (None, move_back)], effort.calls, durability)
    world.compare([(allocated, allocate), (given_back, deallocate)], effort.calls, durability)

    def ask_and_withdraw(session: rsm.Session, number: int) -> None:
        session.mounts.request(online).cancel()

    world.compare([(asked, ask_and_withdraw)], effort.calls, durability)
    return [moved, allocated, given_back, asked]
