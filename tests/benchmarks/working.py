"""What library work costs beside the device: mounts through the queue, and inventories compared with the catalogue.

Mounts run on a virtual library that is added to each catalogue and that this process works; beside them stand the bare
moves, two renames, each followed by fsync of both folders. An inventory is of one library of the catalogue: its device
is a list in memory, so what is measured is comparing and writing down.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import rsm
from rsm.db import Transaction
from rsm.libraries import virtual
from rsm.libraries.base import ElementKind, ElementStatus
from rsm.services import devices, inventory
from tests.benchmarks.catalogue import CALLER, DRIVE_ELEMENTS, SLOT_ELEMENTS
from tests.benchmarks.measuring import Effort, Result, World, compared, recorded, recording, timed

GROUP = "working"
_CARTRIDGES = 4
_PATIENCE_MS = 120_000


def measure(worlds: list[World], effort: Effort) -> Iterator[Result]:
    """Measure at every scale; the mounts last, as they leave the copies of a catalogue unlike each other."""
    for world in worlds:
        yield from _inventories(world, effort)
    for world in worlds:
        yield from _mounts(world, effort)


# Inventories


def _inventories(world: World, effort: Effort) -> Iterator[Result]:
    library = world.catalogue.libraries[-1]
    seen = world.first.libraries.map(library)
    here = _look(seen, 0)
    moved = max(1, sum(status.full is True for status in here) // 100)
    there = _look(seen, moved)

    def take(session: rsm.Session, statuses: Sequence[ElementStatus]) -> inventory.Findings:
        def record(transaction: Transaction) -> inventory.Findings:
            places = devices.read_elements_of(transaction, library)
            return inventory.record_look(transaction, library, places, statuses, complete=True)

        return session.write(record)

    def unchanged(session: rsm.Session, _: int) -> None:
        findings = take(session, here)
        assert (findings.moved, findings.vanished, findings.appeared) == ([], [], [])

    def changed(session: rsm.Session, number: int) -> None:
        assert len(take(session, here if number % 2 else there).moved) == moved

    count = effort.passes + effort.passes % 2 + 1  # with the first, an even number: then all is where it was
    cartridges = sum(status.full is True for status in here)
    lines = (
        Result(GROUP, f"inventory of {cartridges:,} cartridges in {len(here):,} elements"),
        Result(GROUP, f"the same, {moved:,} of them elsewhere"),
    )
    for line, call in zip(lines, (unchanged, changed), strict=True):
        world.compare([(line, call)], count)
        yield line


def _look(seen: rsm.LibraryMap, moved: int) -> list[ElementStatus]:
    """Return what a device shows whose first `moved` cartridges in slots lie in empty slots instead."""
    slots = {SLOT_ELEMENTS + place.number - 1: place.cartridge for place in seen.slots}
    full = [address for address, cartridge in slots.items() if cartridge is not None][:moved]
    empty = [address for address, cartridge in slots.items() if cartridge is None][:moved]
    for source, goal in zip(full, empty, strict=True):
        slots[source], slots[goal] = None, slots[source]
    drives = {DRIVE_ELEMENTS + place.number - 1: place.cartridge for place in seen.drives}
    return [
        ElementStatus(
            address=address,
            kind=kind,
            number=number,
            name=f"{kind} {number}",
            full=cartridge is not None,
            accessible=True,
            barcode=None if cartridge is None else cartridge.barcode,
        )
        for kind, elements in ((ElementKind.SLOT, slots), (ElementKind.DRIVE, drives))
        for number, (address, cartridge) in enumerate(elements.items(), 1)
    ]


# Mounts


def _mounts(world: World, effort: Effort) -> Iterator[Result]:
    folder = world.catalogue.path.with_suffix(".robots")
    folder.mkdir()
    robot, beside = (_make_library(folder, name) for name in ("robot", "beside"))
    cycles: list[float] = []
    reused: list[float] = []
    moves: list[float] = []
    with rsm.connect(world.paths[1], application="bench", caller=CALLER) as session:
        tapes = _prepare(session, robot)
        for number in range(effort.mounts + 1):
            tape = tapes[number % len(tapes)]
            cycles.append(timed(lambda: _mount_and_dismount(session, tape)))  # noqa: B023 - runs at once
            session.mounts.mount(tape, timeout_ms=_PATIENCE_MS).dismount(deferred=True)
            reused.append(timed(lambda: session.mounts.mount(tape, timeout_ms=_PATIENCE_MS)))  # noqa: B023
            session.mounts.dismount(tape)
            _wait_for_all(session)
            moves.append(timed(lambda: _carry(beside, number % _CARTRIDGES)))  # noqa: B023
    statements = _count_statements(world, folder)
    shutil.rmtree(folder)
    lines = ("mount and dismount, beside the bare moves", cycles), ("mount what is in the drive, beside them", reused)
    for what, times in lines:
        count = statements if times is cycles else None
        yield compared(Result(GROUP, what, world.media, "FULL", count), times[1:], moves[1:])


def _count_statements(world: World, folder: Path) -> int:
    """Return how many statements, of all threads, a mount and its dismount make the database run."""
    with recording(), rsm.connect(world.paths[0], application="bench", caller=CALLER) as session:
        tapes = _prepare(session, _make_library(folder, "counted"))
        _mount_and_dismount(session, tapes[0])
        return len(recorded(lambda: _mount_and_dismount(session, tapes[0])))


def _make_library(folder: Path, name: str) -> str:
    path = virtual.create(folder / name, _CARTRIDGES, 2, 0, "LTO-8", name=name)
    for number in range(_CARTRIDGES):
        virtual.add_cartridge(path, f"{name[0].upper()}{number:05d}", capacity_bytes=1_000_000)
    return path


def _wait_for_all(session: rsm.Session) -> None:
    """Wait until nothing is due any more."""
    for request in session.requests.list(live=True):
        session.requests.wait(request, timeout_ms=_PATIENCE_MS)


def _prepare(session: rsm.Session, path: str) -> list[rsm.LogicalMedium]:
    """Put a library on record, let free labels be written, and allocate every cartridge."""
    library = session.libraries.add("virtual", path)
    _wait_for_all(session)
    for medium in session.media.list(library=library):
        session.media.move(medium, r"\Free\LTO-8")
    _wait_for_all(session)
    pool = session.pools.create(rf"\{library.name}", media_type="LTO-8", allocate_from_free=True)
    return [session.media.allocate(pool, timeout_ms=_PATIENCE_MS) for _ in range(_CARTRIDGES)]


def _mount_and_dismount(session: rsm.Session, tape: rsm.LogicalMedium) -> None:
    """Mount, dismount, and see the cartridge back in its slot."""
    session.mounts.mount(tape, timeout_ms=_PATIENCE_MS).dismount()
    _wait_for_all(session)


def _carry(path: str, number: int) -> None:
    """Carry a cartridge to a drive and back, and put each move on the disk."""
    slot, drive, barcode = f"{path}/slot-{number + 1:04d}", f"{path}/drive-01", f"B{number:05d}"
    for source, goal in ((slot, drive), (drive, slot)):
        os.rename(f"{source}/{barcode}", f"{goal}/{barcode}")
        for element in (source, goal):
            descriptor = os.open(element, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
