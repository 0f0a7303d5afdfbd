"""`rsm demo`: a directory is backed up to a virtual library, restored and compared, in a catalogue of its own.

The backup itself is `rsm.cli.demo_backup`, which is what a program that embeds RSM would copy. This module makes what
it needs, tells each step on the screen, expects each result and notices any other. All of it goes away afterwards.
`rsm.cli.demo_robot` tells the same story on a library that is there already.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import shutil
import stat
import sys
import sysconfig
import tarfile
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Annotated, TypeVar

import typer

import rsm
from rsm import schema
from rsm.cli.demo_backup import BLOCK_BYTES, Backup, back_up, restore, walk_tree
from rsm.cli.output import Column, Form, Output
from rsm.cli.run import Run, YesOption, example_text
from rsm.libraries import virtual_make
from rsm.libraries.base import error_from_os

T = TypeVar("T")

EXAMPLES = example_text(
    "rsm demo",
    "rsm demo --source /usr/share/doc",
    "rsm demo --directory /srv/scratch --keep",
    "rsm demo --library iscsi://tapes.example.org/iqn.2003-01.org.example:robot/0 --source /etc",
)

MEDIA_TYPE = "LTO-8"
POOL = r"\Demo\Nightly"
CARTRIDGES, CARTRIDGES_EXPECTED = 6, 3
# Of the standard library: what is installed beside it, its tests, and what any running Python may write into it.
_NOT_OF_THE_LIBRARY = ("site-packages", "dist-packages", "test", "__pycache__")
_SMALLEST_CAPACITY_BYTES = 2048  # a free label has room
_ROOM_FOR_CATALOGUE_BYTES = 32_000_000
_PATIENCE_SECONDS = 300.0
_DIFFERENCES_SHOWN = 5


# --- telling --------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One step of the story: what was done, what came of it, and whether that was as expected."""

    step: str
    result: str
    expected: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Phase:
    """One line of the summary: how much a part of the story moved, and how long it took."""

    phase: str
    cartridges: int | None
    bytes: int | None
    seconds: float
    mb_per_second: float | None
    robot_moves: int


PHASE_COLUMNS: list[Column[Phase]] = [
    Column("Phase", lambda phase: phase.phase),
    Column("Cartridges", lambda phase: phase.cartridges),
    Column("Bytes", lambda phase: None if phase.bytes is None else f"{phase.bytes:,}"),
    Column("Seconds", lambda phase: f"{phase.seconds:.2f}"),
    Column("MB/s", lambda phase: None if phase.mb_per_second is None else f"{phase.mb_per_second:.1f}"),
    Column("Robot moves", lambda phase: phase.robot_moves),
]


class Story:
    """Tells the steps as they happen and remembers them."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.steps: list[Step] = []
        self.phases: list[Phase] = []

    def tell(self, step: str, result: str, *, expected: bool = True) -> None:
        """Tell one step."""
        self.steps.append(Step(step, result, expected))
        mark = "ok " if expected else "BAD"
        self.output.print_progress("")
        self.output.print_text(f"{mark} {step}: {result}", style="" if expected else "bold red")

    @property
    def as_expected(self) -> bool:
        """Tell whether nothing came out otherwise."""
        return all(step.expected for step in self.steps)


class Progress:
    """Draws on a terminal how far a part of the story is, and what it waits for."""

    def __init__(self, output: Output, title: str, total_bytes: int, *, full: str = "") -> None:
        self._output, self._title, self._total_bytes = output, title, max(1, total_bytes)
        self._full = full or f"the {CARTRIDGES} cartridges are full: the source has grown since it was measured"
        self._done_bytes, self._begun, self._drawn = 0, time.monotonic(), 0.0

    def add(self, count: int) -> None:
        """Take note of bytes that were moved."""
        self._done_bytes += count
        now = time.monotonic()
        if now - self._drawn >= 0.1:
            self._drawn = now
            part = min(1.0, self._done_bytes / self._total_bytes)
            rate = self._done_bytes / 1e6 / max(now - self._begun, 1e-6)
            bar = "#" * round(30 * part)
            self._output.print_progress(f"{self._title} [{bar:.<30}] {part:4.0%}  {rate:,.0f} MB/s")

    def wait(self, waiting: rsm.Waiting) -> None:
        """Show what is waited for, and end a wait for somebody who will not come."""
        if waiting.reason is rsm.WaitReason.OPERATOR:
            raise rsm.MediaUnavailableError(self._full)
        if waiting.seconds > _PATIENCE_SECONDS:
            raise rsm.TimeoutError(f"nothing happened for {waiting.seconds:.0f} seconds: {waiting.text}")
        self._output.print_progress(f"{self._title}: {waiting.text}")


# --- the source -----------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Measure:
    """How large a directory is: entries, the bytes of a tar stream of it, and those that a copy takes on a disk."""

    entries: int
    stream_bytes: int
    disk_bytes: int


def measure_tree(source: Path, without: Collection[str]) -> Measure:
    """Look how large a directory is, nearly.

    Raises:
        rsm.AccessDeniedError: it cannot be listed.
    """
    entries, stream_bytes, disk_bytes = 0, 2 * tarfile.BLOCKSIZE, 0
    seen: set[tuple[int, int]] = set()
    left_out: list[tuple[str, str]] = []
    for name in walk_tree(source, without, left_out):
        try:
            status = os.lstat(source / name)
        except OSError:
            continue  # the backup will say so
        held = status.st_size if stat.S_ISREG(status.st_mode) else 0
        if held and status.st_nlink > 1:
            held = 0 if (status.st_dev, status.st_ino) in seen else held
            seen.add((status.st_dev, status.st_ino))
        entries += 1
        stream_bytes += tarfile.BLOCKSIZE + _rounded(held, tarfile.BLOCKSIZE)
        if not name.isascii() or len(name) > tarfile.LENGTH_NAME:
            stream_bytes += tarfile.BLOCKSIZE + _rounded(len(os.fsencode(name)) + 16, tarfile.BLOCKSIZE)
        disk_bytes += _rounded(held, 4096) + (4096 if not held else 0)
    if entries == 0:
        reason = left_out[0][1] if left_out else "it went away"
        raise rsm.AccessDeniedError(f"{source} cannot be listed: {reason}")
    return Measure(entries, _rounded(stream_bytes, tarfile.RECORDSIZE), disk_bytes)


def _rounded(count: int, unit: int) -> int:
    return -(-count // unit) * unit


def compare_trees(
    source: Path, restored: Path, without: Collection[str], left_out: Collection[str], on_bytes: Callable[[int], None]
) -> list[str]:
    """Return how a directory and its restored copy differ, a sentence each: names, kinds, modes, links, contents."""
    wanted = set(walk_tree(source, without, [])) - set(left_out)
    found = set(walk_tree(restored, (), []))
    differences = [f"{name} is missing" for name in sorted(wanted - found)]
    differences += [f"{name} is there and was not" for name in sorted(found - wanted)]
    for name in sorted(wanted & found):
        try:
            difference = _difference(source / name, restored / name, on_bytes)
        except OSError as error:
            difference = error.strerror
        if difference is not None:
            differences.append(f"{name}: {difference}")
    return differences


def _difference(original: Path, copy: Path, on_bytes: Callable[[int], None]) -> str | None:
    first, second = os.lstat(original), os.lstat(copy)
    if stat.S_IFMT(first.st_mode) != stat.S_IFMT(second.st_mode):
        return "it is of another kind"
    if stat.S_ISLNK(first.st_mode):
        return None if os.readlink(original) == os.readlink(copy) else "the link leads elsewhere"
    if first.st_mode & 0o777 != second.st_mode & 0o777:
        return f"its mode is {second.st_mode & 0o777:o}, not {first.st_mode & 0o777:o}"
    if not stat.S_ISREG(first.st_mode):
        return None
    if first.st_size != second.st_size:
        return f"it has {second.st_size:,} bytes, not {first.st_size:,}"
    with open(original, "rb", buffering=0) as one, open(copy, "rb", buffering=0) as other:
        while block := one.read(BLOCK_BYTES):
            if block != other.read(len(block)):
                return "its content is not the same"
            on_bytes(len(block))
    return None


# --- the command ----------------------------------------------------------------------------------------------------


def run_demo(
    run: Run,
    source: Annotated[
        Path | None,
        typer.Option(
            "--source",
            metavar="DIR",
            help="What is backed up; else the standard library of Python.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--directory", metavar="DIR", help="Where its own directory is made.", exists=True, file_okay=False
        ),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave catalogue, library and copy there to look at.")] = False,
    library: Annotated[
        str | None,
        typer.Option(
            "--library",
            metavar="ADDRESS",
            help="Use blank cartridges of a robot that is there already, /dev/sgN, iscsi://HOST:PORT/IQN/LUN or the "
            "directory of a virtual library, and leave it as it was.",
        ),
    ] = None,
    yes: YesOption = False,
) -> None:
    """Back a directory up to the cartridges of a virtual library, restore it and compare it byte for byte."""
    if library is not None:
        run.need_answer(yes)
    if run.settings.database is not None:
        raise typer.BadParameter("the demonstration makes its own catalogue: give --directory, not --database")
    chosen = Path(sysconfig.get_path("stdlib")) if source is None else source
    if not chosen.is_dir():
        raise typer.BadParameter(f"there is no standard library in {chosen}: give --source")
    above = Path(tempfile.gettempdir()) if directory is None else directory
    if above.resolve().is_relative_to(chosen.resolve()):
        raise typer.BadParameter(f"{above} lies in what is to be backed up: give another --directory")
    try:
        place = Path(tempfile.mkdtemp(prefix="rsm-demo-", dir=above))
    except OSError as error:
        raise typer.BadParameter(f"no directory can be made for the demonstration: {error.strerror}") from error
    story = Story(run.output)
    try:
        with _errors_named(place), _no_bytecode_written():
            without = _NOT_OF_THE_LIBRARY if source is None else ()
            _choose(run, library, yes)(story, place, chosen.resolve(), without).run()
    finally:
        run.output.print_progress("")
        if not keep:
            remove_tree(place)
    _end(run.output, story, place if keep else None)


def _choose(run: Run, library: str | None, yes: bool) -> Callable[..., Demonstration]:
    if library is None:
        return Demonstration
    from rsm.cli.demo_robot import RobotDemonstration  # it is made of what is here

    return functools.partial(RobotDemonstration, library, lambda question: run.ask(question, yes))


@contextlib.contextmanager
def _errors_named(place: Path) -> Iterator[None]:
    """Turn what files and archives suffer into errors of RSM, which name the path."""
    try:
        yield
    except rsm.RsmError:
        raise
    except OSError as error:
        raise error_from_os(error, os.fsdecode(error.filename or place)) from error
    except tarfile.TarError as error:
        raise rsm.BadFormatError(f"what was read back is no archive that may be unpacked: {error}") from error


@contextlib.contextmanager
def _no_bytecode_written() -> Iterator[None]:
    """Keep this process from adding to the source, which may hold the very modules that it imports."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def remove_tree(place: Path) -> None:
    """Remove a directory, also where folders in it were restored as ones that nobody may write."""
    for folder, folders, _ in os.walk(place):
        for name in folders:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                with contextlib.suppress(OSError):  # as below: what cannot be removed is left
                    os.chmod(path, 0o700)
    shutil.rmtree(place, ignore_errors=True)


# --- the story ------------------------------------------------------------------------------------------------------


class Demonstration:
    """The story, from an empty directory to a checked catalogue."""

    def __init__(self, story: Story, place: Path, source: Path, without: Collection[str]) -> None:
        self.story, self.place, self.source, self.without = story, place, source, without
        self.catalogue = place / "rsm.db"
        self.restored = place / "restored"
        self.begun = time.monotonic()
        self.last_event = 0
        self.media_type, self.cartridges, self.spans_at_least = MEDIA_TYPE, CARTRIDGES, CARTRIDGES_EXPECTED

    @property
    def free_pool(self) -> str:
        """The path of the free pool of its media type."""
        return rf"\Free\{self.media_type}"

    def run(self) -> None:
        """Live through it."""
        with rsm.connect(self.catalogue, application="demo") as session:
            self.story.tell("make a catalogue", str(self.catalogue), expected=self.catalogue.is_file())
            measure = measure_tree(self.source, self.without)
            self.story.tell("measure the source", f"{self.source}: {measure.entries:,} entries")
            library = self.make_library(session, measure)
            self.make_pools(session)
            backup = self.back_up(session, measure)
            self.restore(session, backup)
            self.compare(session, backup)
            self.try_to_delete(session, POOL)
            self.give_back(session, library, backup)
            for path in (POOL, r"\Demo"):
                session.pools.delete(path)
                self.story.tell(f"delete {path}", "deleted")
        findings = schema.check(str(self.catalogue))
        self.story.tell("check the catalogue", "; ".join(findings) or "it is sound", expected=not findings)
        self.add_total(backup)

    def progress(self, title: str, total_bytes: int) -> Progress:
        """Return what draws how far a part of the story is."""
        return Progress(self.story.output, title, total_bytes)

    def make_library(self, session: rsm.Session, measure: Measure) -> rsm.Library:
        """Make a library whose cartridges hold a quarter of the source each, have it inventoried and labelled."""
        capacity_bytes = max(_SMALLEST_CAPACITY_BYTES, measure.stream_bytes // 4)
        self.check_room(CARTRIDGES * capacity_bytes + measure.disk_bytes)
        robot = virtual_make.create(self.place / "robot", CARTRIDGES + 2, 2, 1, MEDIA_TYPE, name="Robot")
        for number in range(1, CARTRIDGES + 1):
            virtual_make.add_cartridge(robot, f"DEMO{number:02}L8", capacity_bytes=capacity_bytes)
        what = f"{robot}: 2 drives, {CARTRIDGES} blank cartridges of {capacity_bytes:,} bytes"
        self.story.tell("make a virtual library", what)

        with self.phase(session, "prepare"):
            library = session.libraries.add("virtual", robot)
            self.finish_requests(session, library, "inventory")
            media = session.media.list(library=library)
            pools = {session.pools.path(medium.pool) for medium in media}
            found = len(media) == CARTRIDGES and pools == {rf"\Unrecognized\{MEDIA_TYPE}"}
            told = f"{len(media)} cartridges found, in {', '.join(sorted(pools))}"
            self.story.tell("put it on record and take its inventory", told, expected=found)
            for medium in media:
                session.media.move(medium, self.free_pool)
            self.finish_requests(session, library, "write free labels")
        self.tell_free(session, "move the blank cartridges to the free pool")
        return library

    def check_room(self, wanted_bytes: int) -> None:
        """Refuse where the disk has not so much room, and some for a catalogue (DeviceNotAvailableError)."""
        wanted_bytes += _ROOM_FOR_CATALOGUE_BYTES
        free_bytes = shutil.disk_usage(self.place).free
        if free_bytes < wanted_bytes:
            raise rsm.DeviceNotAvailableError(
                f"{self.place.parent} has no room: cartridges and copy can take {wanted_bytes:,} bytes, and"
                f" {free_bytes:,} are free; give another --directory, or a smaller --source"
            )

    def make_pools(self, session: rsm.Session) -> None:
        """Make the application's pool, with a policy for where its media come from and go to."""
        pool = session.pools.create(
            POOL,
            parents=True,
            media_type=self.media_type,
            allocate_from_free=True,
            deallocate_to_free=True,
            max_allocates=100,
        )
        self.story.tell(
            "make a pool", f"{pool.path}: takes media from {self.free_pool}, gives them back, each 100 times"
        )

    def back_up(self, session: rsm.Session, measure: Measure) -> Backup:
        """Back the source up, in blocks that are much smaller than a cartridge."""
        unit = tarfile.BLOCKSIZE
        block_bytes = min(BLOCK_BYTES, max(unit, measure.stream_bytes // 32 // unit * unit))
        progress = self.progress("back up", measure.stream_bytes)
        with self.phase(session, "back up") as moved:
            backup = back_up(
                session,
                POOL,
                self.source,
                without=self.without,
                block_bytes=block_bytes,
                on_bytes=progress.add,
                on_wait=progress.wait,
            )
            moved += [len(backup.volumes), sum(volume.bytes for volume in backup.volumes)]
        names = ", ".join(volume.medium.name for volume in backup.volumes)
        spans = len(backup.volumes) >= self.spans_at_least
        self.story.tell("back up", f"{moved[1]:,} bytes on {len(backup.volumes)} cartridges: {names}", expected=spans)
        if backup.left_out:
            first = "; ".join(f"{name}: {reason}" for name, reason in backup.left_out[:_DIFFERENCES_SHOWN])
            more = len(backup.left_out) - _DIFFERENCES_SHOWN
            self.story.tell("leave out", f"{first}; and {more} more" if more > 0 else first)
        return backup

    def restore(self, session: rsm.Session, backup: Backup) -> None:
        """Restore it to a directory of its own."""
        total_bytes = sum(volume.bytes for volume in backup.volumes)
        progress = self.progress("restore", total_bytes)
        with self.phase(session, "restore") as moved:
            restore(session, backup.volumes, self.restored, on_bytes=progress.add, on_wait=progress.wait)
            moved += [len(backup.volumes), total_bytes]
        self.story.tell("restore", f"to {self.restored}, every cartridge as it was written")

    def compare(self, session: rsm.Session, backup: Backup) -> None:
        """Compare what was restored with the source."""
        compared: list[int] = []
        progress = self.progress("compare", sum(volume.bytes for volume in backup.volumes))

        def add(count: int) -> None:
            compared.append(count)
            progress.add(count)

        with self.phase(session, "compare") as moved:
            left_out = {name for name, _ in backup.left_out}
            differences = compare_trees(self.source, self.restored, self.without, left_out, add)
            moved += [None, sum(compared)]
        told = f"{sum(compared):,} bytes, names, modes and links are the same"
        if differences:
            told = f"{len(differences)} differences: {'; '.join(differences[:_DIFFERENCES_SHOWN])}"
        self.story.tell("compare", told, expected=not differences)

    def try_to_delete(self, session: rsm.Session, path: str) -> None:
        """Be refused the deletion of a pool that holds media."""
        try:
            session.pools.delete(path)
        except rsm.NotEmptyError as refusal:
            told = f"refused, {refusal.code.name} ({int(refusal.code)}): {refusal}"
            self.story.tell(f"try to delete {path}", told)
        else:
            self.story.tell(f"try to delete {path}", "deleted, with media in it", expected=False)

    def give_back(self, session: rsm.Session, library: rsm.Library, backup: Backup) -> None:
        """Give the media back: they go to the free pool, and the robot labels them as free again."""
        with self.phase(session, "give back") as moved:
            with session.because("the demonstration is over"):
                for volume in backup.volumes:
                    session.media.deallocate(volume.medium)
            self.finish_requests(session, library, "write free labels")
            moved += [len(backup.volumes), None]
        self.tell_free(session, "give the cartridges back")

    def add_total(self, backup: Backup) -> None:
        """Add the last line of the summary."""
        moves = sum(phase.robot_moves for phase in self.story.phases)
        seconds = time.monotonic() - self.begun
        self.story.phases.append(_phase("all", len(backup.volumes), None, seconds, moves))

    def tell_free(self, session: rsm.Session, step: str) -> None:
        """Tell which cartridges are free."""
        media = session.media.list(pool=self.free_pool)
        states = {side.state for medium in media for side in session.media.sides(medium)}
        ready = len(media) == self.cartridges and states == {rsm.NtmsPartitionState.NTMS_PARTSTATE_AVAILABLE}
        told = f"{len(media)} cartridges in {self.free_pool}, each with a free label that the robot wrote"
        self.story.tell(step, told, expected=ready)

    def finish_requests(self, session: rsm.Session, library: rsm.Library, title: str) -> None:
        """Wait for the end of all that a library has to do."""
        progress = self.progress(title, 0)
        for request in session.requests.list(library, live=True):
            session.requests.wait(request, on_wait=progress.wait)

    @contextlib.contextmanager
    def phase(self, session: rsm.Session, name: str) -> Iterator[list[int | None]]:
        """Measure a part of the story; the body appends its cartridges and bytes to what it is given."""
        moved: list[int | None] = []
        begun = time.monotonic()
        yield moved
        seconds = time.monotonic() - begun
        cartridges, count = moved or (self.cartridges, None)
        self.story.phases.append(_phase(name, cartridges, count, seconds, self._count_moves(session)))

    def _count_moves(self, session: rsm.Session) -> int:
        """Return how often the robot has moved a cartridge since it was last asked for."""
        moves = 0
        while page := session.events.list(after=self.last_event):
            moves += sum(event.call == "move" for event in page)
            self.last_event = page[-1].id
        return moves


def _phase(name: str, cartridges: int | None, count: int | None, seconds: float, moves: int) -> Phase:
    rate = None if count is None else round(count / 1e6 / max(seconds, 1e-6), 1)
    return Phase(name, cartridges, count, round(seconds, 3), rate, moves)


def _end(output: Output, story: Story, place: Path | None) -> None:
    kept = None if place is None else str(place)
    if output.form is Form.JSON:
        document = {"expected": story.as_expected, "directory": kept, "steps": story.steps, "summary": story.phases}
        output.print_document(document)
    elif output.form is Form.PLAIN:
        output.print_fields([(step.step, step.result, step.expected) for step in story.steps])
    output.show_parts(story.phases, PHASE_COLUMNS, title="Summary", line_name="summary")
    verdict = "all as expected" if story.as_expected else "not all as expected"
    output.print_text(f"{len(story.steps)} steps, {verdict}.", style="bold")
    if place is not None:
        output.print_text(f"All is kept in {place}: rsm --database {place / 'rsm.db'} library list")
    if not story.as_expected:
        raise rsm.RsmError("the demonstration did not go as expected")
