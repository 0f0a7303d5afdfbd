"""`rsm demo`: the life of a pool from its making to its end, in a catalogue of its own that goes away afterwards.

`live_pool_life` is what a program that embeds RSM would write; the rest tells it on the screen. It expects each result
and notices any other.
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer

import rsm
from rsm import schema
from rsm.cli.output import Column, Form, Output
from rsm.cli.pool import pool_columns
from rsm.cli.run import Names, Run, example_text

EXAMPLES = example_text("rsm demo", "rsm demo --directory /srv/scratch --keep")

_AVAILABLE = rsm.NtmsPartitionState.NTMS_PARTSTATE_AVAILABLE


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One step of the story: what was done, what came of it, and whether that was as expected."""

    step: str
    result: str
    expected: bool


class Story:
    """Tells the steps as they happen and remembers them."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.steps: list[Step] = []

    def tell(self, step: str, result: str, *, expected: bool = True) -> None:
        """Tell one step."""
        self.steps.append(Step(step, result, expected))
        mark = "ok " if expected else "BAD"
        self.output.print_text(f"{mark} {step}: {result}", style="" if expected else "bold red")

    @property
    def as_expected(self) -> bool:
        """Tell whether nothing came out otherwise."""
        return all(step.expected for step in self.steps)


def run_demo(
    run: Run,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--directory", metavar="DIR", help="Where its own directory is made.", exists=True, file_okay=False
        ),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the catalogue there to look at.")] = False,
) -> None:
    """Live through the life of a pool in a catalogue made for it: make, fill, refuse, empty, delete, check."""
    if run.settings.database is not None:
        raise typer.BadParameter("the demonstration makes its own catalogue: give --directory, not --database")
    try:
        place = Path(tempfile.mkdtemp(prefix="rsm-demo-", dir=directory))
    except OSError as error:
        raise typer.BadParameter(f"no directory can be made for the demonstration: {error.strerror}") from error
    story = Story(run.output)
    catalogue = place / "rsm.db"
    try:
        live_pool_life(catalogue, story)
        findings = schema.check(str(catalogue))
        story.tell("check the catalogue", "; ".join(findings) or "it is sound", expected=not findings)
    finally:
        if not keep:
            shutil.rmtree(place, ignore_errors=True)
    _end(run.output, story, place if keep else None)


def live_pool_life(catalogue: Path, story: Story) -> None:
    """Make pools, put two cartridges on record, be refused, empty the pool and delete it."""
    with rsm.connect(str(catalogue), application="demo") as session:
        story.tell("make a catalogue", str(catalogue), expected=catalogue.is_file())
        session.pools.create(r"\Demo", description="Holds the pools of the demonstration")
        daily = session.pools.create(r"\Demo\Daily", media_type="LTO-8", allocate_from_free=True)
        archive = session.pools.create(r"\Demo\Archive", media_type="LTO-8")
        story.tell("make a pool of pools and two pools of media", f"{daily.path}, {archive.path}")

        first, second = (
            session.media.create(daily, [rsm.NewSide("MTF", label, state=_AVAILABLE)], barcode=barcode)
            for barcode, label in (("DEMO01L8", b"demo-0001"), ("DEMO02L8", b"demo-0002"))
        )
        story.tell("put two cartridges on record", f"{first.name}, {second.name}")
        _show_tree(session, story)

        try:
            session.pools.delete(daily)
        except rsm.NotEmptyError as refusal:
            still_there = session.pools.get(daily.id).physical_media == 2
            story.tell(f"try to delete {daily.path}", _refusal_text(refusal), expected=still_there)
        else:
            story.tell(f"try to delete {daily.path}", "deleted, with media in it", expected=False)

        session.media.move(first, archive)
        moved = session.media.get(first.id)
        story.tell(f"move {first.name}", session.pools.path(moved.pool), expected=moved.pool == archive.id)
        with session.because("no longer needed"):
            session.media.delete(second)
        left = session.media.list(pool=daily)
        story.tell(f"forget {second.name}", f"{len(left)} media are left in {daily.path}", expected=not left)

        session.pools.delete(daily)
        gone = daily.id not in {pool.id for pool in session.pools.list(recursive=True)}
        story.tell(f"delete {daily.path}", "deleted" if gone else "still there", expected=gone)
        _show_events(session, story)


def _refusal_text(refusal: rsm.RsmError) -> str:
    return f"refused, {refusal.code.name} ({int(refusal.code)}): {refusal}"


def _show_tree(session: rsm.Session, story: Story) -> None:
    demo_pools = session.pools.list(r"\Demo", recursive=True)
    if story.output.form is Form.PEOPLE:
        story.output.show_list(demo_pools, pool_columns(Names(session)))
    held = {pool.path: pool.physical_media for pool in demo_pools}
    told = ", ".join(f"{path} holds {count}" for path, count in held.items())
    story.tell("look at the tree", told, expected=held == {r"\Demo\Daily": 2, r"\Demo\Archive": 0})


def _show_events(session: rsm.Session, story: Story) -> None:
    events = [event for event in session.events.list() if event.session == session.id]
    columns: list[Column[rsm.Event]] = [
        Column("Call", lambda event: event.call),
        Column("Changed", lambda event: event.kind),
        Column("User", lambda event: event.user),
        Column("Reason", lambda event: event.reason),
    ]
    if story.output.form is Form.PEOPLE:
        story.output.show_list(events, columns)
    calls = {event.call for event in events}
    wanted = {"CreateNtmsMediaPool", "CreateNtmsMedia", "MoveToNtmsMediaPool", "DeleteNtmsMedia", "DeleteNtmsMediaPool"}
    story.tell("read the event log", f"{len(events)} changes, each with its call", expected=wanted <= calls)


def _end(output: Output, story: Story, place: Path | None) -> None:
    if output.form is Form.JSON:
        output.print_document({"expected": story.as_expected, "directory": place and str(place), "steps": story.steps})
    elif output.form is Form.PLAIN:
        output.print_fields([(step.step, step.result, step.expected) for step in story.steps])
    else:
        verdict = "all as expected" if story.as_expected else "not all as expected"
        output.print_text(f"{len(story.steps)} steps, {verdict}.", style="bold")
    if place is not None:
        output.print_text(f"The catalogue is kept: rsm --database {place / 'rsm.db'} pool list")
    if not story.as_expected:
        raise rsm.RsmError("the demonstration did not go as expected")
