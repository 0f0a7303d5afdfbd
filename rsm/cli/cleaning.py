"""The verbs of `rsm library` and `rsm drive` about cleaning drives, added to the nouns. Parsing and printing only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

import rsm
from rsm.cli import drive as drive_verbs
from rsm.cli.attended import see_through, show_moved
from rsm.cli.drive import DriveArgument, LibraryOption, find_drive
from rsm.cli.library import LibraryArgument, find_slot
from rsm.cli.library_scan import noun
from rsm.cli.run import Run, add_verb, read_reference
from rsm.cli.waiting import NoWaitOption, TimeoutOption, carry_out
from rsm.constants import NtmsObjectsTypes as Kind

__all__ = ["noun"]


@add_verb(drive_verbs.noun, "clean")
def clean_drive(
    run: Run,
    drive: DriveArgument,
    library: LibraryOption = None,
    no_wait: NoWaitOption = False,
    timeout: TimeoutOption = None,
) -> None:
    """Clean a drive with the cleaner of its library; without one an operator is asked for it."""
    with run.session(worker=not no_wait) as session:
        found: rsm.Drive = session.objects.get(Kind.NTMS_DRIVE, find_drive(session, drive, library))
        _clean(run, session, [found], no_wait, timeout)


@add_verb(noun, "clean")
def clean_library(
    run: Run,
    library: LibraryArgument,
    drive: Annotated[
        str | None, typer.Argument(metavar="[DRIVE]", help="Name or id of one drive; else all are cleaned.")
    ] = None,
    no_wait: NoWaitOption = False,
    timeout: TimeoutOption = None,
) -> None:
    """Clean the drives of a library, one after the other, with its cleaner."""
    with run.session(worker=not no_wait) as session:
        drives = session.libraries.drives(read_reference(library))
        if drive is not None:
            drives = [session.objects.get(Kind.NTMS_DRIVE, find_drive(session, drive, library))]
        _clean(run, session, drives, no_wait, timeout)


def _clean(run: Run, session: rsm.Session, drives: Sequence[rsm.Drive], no_wait: bool, timeout: float | None) -> None:
    requests = [session.libraries.clean(each) for each in drives]
    if not no_wait:
        requests = [each and carry_out(run, session, each, timeout=timeout) for each in requests]
    done = "is to be cleaned" if no_wait else "is clean"
    sentences = [f"The drive {each.name} {done}." for each in drives]
    cleaned: list[rsm.Drive] = [session.objects.get(Kind.NTMS_DRIVE, each.id) for each in drives]
    document = [{"drive": each, "request": request} for each, request in zip(cleaned, requests, strict=True)]
    lines = "\n".join(str(each.id) for each in drives)
    run.output.show_done("\n".join(sentences) or "There is no drive to be cleaned.", document, lines)


@add_verb(noun, "reserve-cleaner")
def reserve_cleaner_slot(
    run: Run,
    library: LibraryArgument,
    slot: Annotated[str, typer.Argument(metavar="SLOT", help="Number, name or id of an empty slot.")],
) -> None:
    """Set a slot aside for the cleaner of a library."""
    with run.session() as session:
        found = find_slot(session, library, slot)
        session.libraries.reserve_cleaner_slot(read_reference(library), found)
    run.output.show_done(f"{found.name} of {library} is kept for the cleaner.", {"cleaner_slot": found}, found.id)


@add_verb(noun, "release-cleaner")
def release_cleaner_slot(run: Run, library: LibraryArgument) -> None:
    """Give the cleaner slot of a library back to data cartridges."""
    with run.session() as session:
        session.libraries.release_cleaner_slot(read_reference(library))
    run.output.show_done(f"The library {library} keeps no slot for a cleaner any more.", {"released": library}, library)


@add_verb(noun, "inject-cleaner")
def inject_cleaner(
    run: Run,
    library: LibraryArgument,
    uses: Annotated[
        int | None,
        typer.Option("--uses", metavar="N", help="Cleanings it is good for; else not counted.", min=0),
    ] = None,
    no_wait: NoWaitOption = False,
    timeout: TimeoutOption = None,
) -> None:
    """Take the cleaner that a person puts into a port, or through the door, into the slot that is kept for it."""
    with run.session(worker=not no_wait) as session:
        asked = session.libraries.inject_cleaner(read_reference(library), uses)
        request = see_through(run, session, asked, no_wait=no_wait, timeout=timeout)
    show_moved(run, request, "taken_in", "Taken in")


@add_verb(noun, "eject-cleaner")
def eject_cleaner(
    run: Run, library: LibraryArgument, no_wait: NoWaitOption = False, timeout: TimeoutOption = None
) -> None:
    """Bring the cleaner to a port, or have it taken through the door, and forget it once it is out."""
    with run.session(worker=not no_wait) as session:
        asked = session.libraries.eject_cleaner(read_reference(library))
        request = see_through(run, session, asked, no_wait=no_wait, timeout=timeout)
    show_moved(run, request, "taken_out", "Taken out")
