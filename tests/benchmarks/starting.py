"""What beginning costs: importing, opening a session, and a command as a process."""

import subprocess
import sys
from collections.abc import Iterator

import rsm
from tests.benchmarks.catalogue import CALLER
from tests.benchmarks.measuring import Effort, Result, World, bare, compared, recorded, recording, replay, timed

GROUP = "beginning"
_COMMAND = "import sys; from rsm.cli import main; sys.exit(main())"


def measure(worlds: list[World], effort: Effort) -> Iterator[Result]:
    """Measure processes beside each other, and sessions beside bare connections."""
    yield _processes("import rsm", "import sqlalchemy", effort, "import rsm, beside import sqlalchemy").want(1.3)
    yield _processes("import rsm.session", "import sqlalchemy", effort, "… and all that a session needs")
    for world in worlds:
        yield _opening(world, effort)
    for world in worlds[-1:]:
        listing = [_COMMAND, "--database", str(world.paths[1]), "--plain", "pool", "list"]
        line = _processes(listing, "import sqlalchemy, alembic, typer, rich", effort, "rsm pool list, beside imports")
        line.media = world.media
        yield line


def _processes(ours: str | list[str], theirs: str, effort: Effort, what: str) -> Result:
    series: tuple[list[float], list[float]] = [], []
    first = int(effort.starts > 1)  # which may have to read files from the disk, and does not count
    for number in range(effort.starts + first):
        for times, script in zip(series, (ours, theirs), strict=True):
            command = [sys.executable, "-c", *([script] if isinstance(script, str) else script)]
            took = timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))  # noqa: B023
            if number >= first:
                times.append(took)
    return compared(Result(GROUP, what, durability="-"), *series)


def _opening(world: World, effort: Effort) -> Result:
    def opening() -> None:
        rsm.connect(world.catalogue.path, worker=False, caller=CALLER).close()

    with recording():
        statements = [each for each in recorded(opening) if not each.sql.startswith("PRAGMA")]

    def connecting() -> None:
        connection = bare(world.catalogue.path)
        replay(connection, statements)
        connection.close()

    ours, theirs = [], []
    for _ in range(effort.starts * 4):
        ours.append(timed(opening))
        theirs.append(timed(connecting))
    return compared(Result(GROUP, "open and close a session", world.media, "-", len(statements)), ours, theirs)
