"""How much a mount costs over what any program that moves cartridges for real must do.

    python tests/benchmarks/bench_mount.py [--count N] [--json] [--folder DIR]

A virtual library of 12 cartridges and 2 drives. In one loop, one after the other: a mount and its immediate dismount
through a session whose process works the library, each waited for to its end; a mount of what a deferred dismount left
in its drive; and, on a second library, the bare moves: two renames, each followed by fsync of both folders, as the
robot does them. Printed are the medians in milliseconds and their ratios to the bare moves. A second table: how long an
inventory of 1,000 cartridges takes that finds nothing new, beside listing and reading the same folders.

pytest does not collect this file; test_benchmarks.py runs it with small numbers so that it cannot rot.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rsm
from rsm.libraries import virtual

CALLER = rsm.Caller("user:bench", administrator=True)
PATIENCE_MS = 120_000


def make_library(folder: Path, name: str, slots: int, cartridges: int) -> str:
    """Make a virtual library with blank cartridges."""
    path = virtual.create(folder / name, slots, 2, 0, "LTO-8", name=name)
    for number in range(cartridges):
        virtual.add_cartridge(path, f"{name[0].upper()}{number:05d}", capacity_bytes=1_000_000)
    return path


def milliseconds(do: Callable[[], object]) -> float:
    """Return how long something took."""
    begun = time.perf_counter()
    do()
    return (time.perf_counter() - begun) * 1000


def wait_for_all(session: rsm.Session) -> None:
    """Wait until nothing is due any more."""
    for request in session.requests.list(live=True):
        session.requests.wait(request, timeout_ms=PATIENCE_MS)


def prepare(session: rsm.Session, path: str) -> list[rsm.LogicalMedium]:
    """Put a library on record, let free labels be written, and allocate every cartridge."""
    session.libraries.add("virtual", path)
    wait_for_all(session)
    for medium in session.media.list():
        session.media.move(medium, r"\Free\LTO-8")
    wait_for_all(session)
    pool = session.pools.create(r"\Bench", media_type="LTO-8", allocate_from_free=True)
    return [session.media.allocate(pool, timeout_ms=PATIENCE_MS) for _ in session.media.list()]


def mount_and_dismount(session: rsm.Session, tape: rsm.LogicalMedium) -> None:
    """Mount, dismount, and see the cartridge back in its slot."""
    session.mounts.mount(tape, timeout_ms=PATIENCE_MS).dismount()
    wait_for_all(session)


def carry_bare(path: str, number: int) -> None:
    """Carry a cartridge to a drive and back, and put each move on the disk."""
    slot, drive, barcode = f"{path}/slot-{number + 1:04d}", f"{path}/drive-01", f"B{number:05d}"
    for source, goal in ((slot, drive), (drive, slot)):
        os.rename(f"{source}/{barcode}", f"{goal}/{barcode}")
        for folder in (source, goal):
            descriptor = os.open(folder, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)


def read_bare(path: str) -> int:
    """List every element and read every cartridge's description."""
    found = 0
    for element in os.scandir(path):
        if element.is_dir():
            for cartridge in os.scandir(element.path):
                found += len(Path(cartridge.path, "cartridge.toml").read_bytes())
    return found


def measure_mounts(folder: Path, count: int) -> list[dict[str, Any]]:
    """Return the medians of a full cycle, a reused drive, and the bare moves."""
    robot, bare = make_library(folder, "robot", 12, 12), make_library(folder, "bare", 12, 12)
    cycles, reused, moves = [], [], []
    with rsm.connect(folder / "bench.db", application="bench", caller=CALLER) as session:
        tapes = prepare(session, robot)
        for number in range(count):
            tape = tapes[number % len(tapes)]
            cycles.append(milliseconds(lambda tape=tape: mount_and_dismount(session, tape)))  # type: ignore[misc]
            session.mounts.mount(tape, timeout_ms=PATIENCE_MS).dismount(deferred=True)
            reused.append(
                milliseconds(lambda tape=tape: session.mounts.mount(tape, timeout_ms=PATIENCE_MS))  # type: ignore[misc]
            )
            session.mounts.dismount(tape)
            wait_for_all(session)
            moves.append(milliseconds(lambda number=number: carry_bare(bare, number % 12)))  # type: ignore[misc]
    plain = statistics.median(moves)
    return [
        {"what": what, "ms": round(statistics.median(times), 2), "ratio": round(statistics.median(times) / plain, 2)}
        for what, times in (
            ("mount and dismount", cycles),
            ("mount what is in the drive", reused),
            ("bare moves", moves),
        )
    ]


def measure_inventory(folder: Path, cartridges: int) -> dict[str, Any]:
    """Return how long an inventory takes that finds nothing new, beside reading the folders."""
    path = make_library(folder, "large", cartridges + 4, cartridges)
    with rsm.connect(folder / "large.db", application="bench", caller=CALLER) as session:
        library = session.libraries.add("virtual", path)
        wait_for_all(session)

        def take() -> None:
            request = session.libraries.inventory(library, full=False)
            assert request is not None
            session.requests.wait(request, timeout_ms=PATIENCE_MS)

        times = [milliseconds(take) for _ in range(5)]
    bare = [milliseconds(lambda: read_bare(path)) for _ in range(5)]
    ours, plain = statistics.median(times), statistics.median(bare)
    what = f"inventory of {cartridges}"
    return {"what": what, "ms": round(ours, 1), "bare_ms": round(plain, 1), "ratio": round(ours / plain, 2)}


def main() -> None:
    """Run both measurements and print them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=100, help="mounts")
    parser.add_argument("--cartridges", type=int, default=1000, help="cartridges of the inventory")
    parser.add_argument("--folder", type=Path, default=None, help="where the libraries are made")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    wanted = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rsm-bench-", dir=wanted.folder))
    try:
        rows = [*measure_mounts(folder, wanted.count), measure_inventory(folder, wanted.cartridges)]
    finally:
        shutil.rmtree(folder)
    if wanted.json:
        print(json.dumps(rows))
        return
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items()))


if __name__ == "__main__":
    main()
