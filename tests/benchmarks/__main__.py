"""Runs the benchmarks: `python -m tests.benchmarks [--quick] [--scale N]… [--group NAME]… [--json FILE]`.

Prints a table in Markdown, and writes everything as JSON with the machine, the versions and the git revision. It
judges nothing: a wanted ratio that is not reached is marked, and the exit status is 0 all the same.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.benchmarks import catalogue, reading, sharing, starting, working, writing
from tests.benchmarks.measuring import Effort, Result, World

SCALES, QUICK_SCALES = (1_000, 100_000, 1_000_000), (1_000, 10_000)
EFFORT = Effort(calls=400, passes=5, starts=10, mounts=50, rounds=4, seconds=4)
QUICK = Effort(calls=60, passes=3, starts=3, mounts=5, rounds=2, seconds=1)
SMALLEST = Effort(calls=2, passes=1, starts=1, mounts=1, rounds=1, seconds=0.1, processes=2)
# The last one leaves the three copies of a catalogue unlike each other.
GROUPS = {module.GROUP: module for module in (writing, reading, starting, sharing, working)}


def machine() -> dict[str, Any]:
    """Return what the numbers depend on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "processors": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "load": [round(load, 2) for load in os.getloadavg()],
    }


def _processor() -> str:
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def versions() -> dict[str, str]:
    """Return the versions of all that takes part."""
    parts = {name: version(name) for name in ("removable-storage-manager", "SQLAlchemy", "alembic")}
    return {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version, **parts}


def revision() -> str:
    """Return the git revision of the checkout, marked if something is changed; empty outside of one."""
    folder = Path(__file__).parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return described.stdout.strip()


def measure(scales: Sequence[int], effort: Effort, groups: Sequence[str], folder: Path) -> list[Result]:
    """Build the catalogues, run the groups and return all lines; what is going on is told on stderr."""
    results: list[Result] = []
    with contextlib.ExitStack() as stack:
        worlds = []
        for media in scales:
            _tell(f"building a catalogue of {media:,} cartridges")
            begun = time.monotonic()
            built = catalogue.build(folder / f"{media}.db", media)
            _tell(f"built in {time.monotonic() - begun:.1f} s")
            worlds.append(World(built, stack))
        for name in groups:
            _tell(f"measuring: {name}")
            for line in GROUPS[name].measure(worlds, effort):
                results.append(line)
                _tell("  " + row(line))
    return results


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _time(microseconds: float | None) -> str:
    if microseconds is None:
        return ""
    if microseconds < 10_000:
        return f"{microseconds:,.0f} µs"
    return f"{microseconds / 1000:,.0f} ms" if microseconds < 10_000_000 else f"{microseconds / 1e6:,.1f} s"


def row(line: Result) -> str:
    """Return a line of the table."""
    ratio = "" if line.ratio is None else f"{line.ratio:.2f} ({line.low:.2f} to {line.high:.2f})"
    cells = (
        line.what,
        "" if line.media is None else f"{line.media:,}",
        line.durability,
        "" if line.statements is None else f"{line.statements:,}",
        line.shown or _time(line.ours_us),
        _time(line.bare_us),
        ratio,
        line.wanted + ("" if line.reached is not False else " **not reached**"),
    )
    return f"| {' | '.join(cells)} |"


def table(results: Sequence[Result]) -> str:
    """Return the table in Markdown."""
    heads = ("what", "media", "durability", "statements", "rsm", "bare", "ratio (quartiles)", "wanted")
    return "\n".join([f"| {' | '.join(heads)} |", "|" + "---|" * len(heads), *map(row, results)])


def main() -> None:
    """Measure, print the table and write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small catalogues and few repetitions: under a minute")
    parser.add_argument("--smallest", action="store_true", help="only see that everything runs")
    parser.add_argument("--scale", type=int, action="append", help="cartridges of a catalogue, instead of the usual")
    parser.add_argument("--group", choices=GROUPS, action="append", help="measure this group only")
    parser.add_argument("--json", type=Path, default=Path("build/benchmarks.json"), help="where the JSON goes")
    parser.add_argument("--folder", type=Path, help="where the catalogues are made; a temporary directory by default")
    options = parser.parse_args()
    scales = sorted(options.scale or (QUICK_SCALES if options.quick or options.smallest else SCALES))
    effort = SMALLEST if options.smallest else QUICK if options.quick else EFFORT
    groups = [name for name in GROUPS if not options.group or name in options.group]
    folder = Path(tempfile.mkdtemp(prefix="rsm-bench-", dir=options.folder))
    about = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python -m tests.benchmarks", *sys.argv[1:]]),
        "machine": machine(),
        "versions": versions(),
        "revision": revision(),
    }
    try:
        results = measure(scales, effort, groups, folder)
    finally:
        shutil.rmtree(folder)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    lines = [dataclasses.asdict(line) for line in results]
    options.json.write_text(json.dumps({**about, "results": lines}, indent=1, ensure_ascii=False) + "\n")
    print(table(results))
    print(f"\n{about['date']}, `{about['command']}`, revision {about['revision'] or 'unknown'}")


if __name__ == "__main__":
    main()
