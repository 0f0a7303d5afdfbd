"""`rsm drive`: list, show, switch, change, empty, eject and delete drives. Parsing and printing only."""

from __future__ import annotations

import uuid
from typing import Annotated

import typer

import rsm
from rsm.cli.output import Column, record_fields
from rsm.cli.run import (
    DryRunOption,
    Names,
    Run,
    YesOption,
    add_verb,
    make_noun,
    read_back,
    read_optional,
    read_reference,
    rehearse_if,
)
from rsm.cli.waiting import NoWaitOption, TimeoutOption, carry_out, wait_for_dismounts

Kind = rsm.NtmsObjectsTypes

noun = make_noun(
    "Drives of libraries. A drive is named by its id, or by its name together with its library where names repeat.",
    "rsm drive list Robot",
    "rsm drive show drive-01 --library Robot",
    "rsm drive set drive-01 --defer 60",
    "rsm drive disable drive-01",
    "rsm drive dismount drive-01",
    "rsm drive eject /srv/feeder",
    "rsm drive volumes /srv/feeder",
    "rsm drive clean drive-01 --library Robot",
)

DriveArgument = Annotated[str, typer.Argument(metavar="DRIVE", help="Name or id of the drive.")]
LibraryOption = Annotated[
    str | None, typer.Option("--library", metavar="NAME", help="The library it is in; needed where names repeat.")
]


@add_verb(noun, "list")
def list_drives(
    run: Run,
    library: Annotated[
        str | None, typer.Argument(metavar="[LIBRARY]", help="Only the drives of this library; else all.")
    ] = None,
) -> None:
    """List drives."""
    with run.session() as session:
        drives = session.libraries.drives(read_optional(library))
        run.output.show_list(drives, _columns(Names(session)), nothing="no drives")


def _columns(names: Names) -> list[Column[rsm.Drive]]:
    return [
        Column("Name", lambda drive: drive.name),
        Column("Library", lambda drive: names.library(drive.library)),
        Column("Number", lambda drive: drive.number),
        Column("State", lambda drive: drive.state),
        Column("Condition", lambda drive: drive.operational_state),
        Column("Enabled", lambda drive: drive.enabled),
        Column("Mounts", lambda drive: drive.mount_count),
        Column("Path", lambda drive: drive.path),
    ]


def find_drive(session: rsm.Session, drive: str, library: str | None) -> uuid.UUID | str:
    """Return what names a drive; with a library the id of the one drive in it that has the name.

    Raises:
        rsm.ObjectNotFoundError: not exactly one drive in the library has the name.
    """
    reference = read_reference(drive)
    if library is None or isinstance(reference, uuid.UUID):
        return reference
    called = [each for each in session.libraries.drives(read_reference(library)) if each.name == drive]
    if len(called) != 1:
        how_many = "no drive" if not called else "more than one drive"
        raise rsm.ObjectNotFoundError(f"{how_many} in {library} is called {drive!a}")
    return called[0].id


@add_verb(noun, "show")
def show_drive(run: Run, drive: DriveArgument, library: LibraryOption = None) -> None:
    """Show all there is to know about one drive."""
    with run.session() as session:
        found: rsm.Drive = session.objects.get(Kind.NTMS_DRIVE, find_drive(session, drive, library))
        names = Names(session)
        fields = record_fields(
            found,
            library=names.library(found.library),
            drive_type=names.drive_type(found.drive_type),
        )
    run.output.show_record(found, fields)


@add_verb(noun, "set")
def set_drive(
    run: Run,
    drive: DriveArgument,
    defer: Annotated[
        int | None,
        typer.Option("--defer", metavar="SECONDS", help="How long a cartridge stays after a deferred dismount."),
    ] = None,
    description: Annotated[str | None, typer.Option("--description", metavar="TEXT", help="Text for people.")] = None,
    library: LibraryOption = None,
) -> None:
    """Change what can be set about a drive."""
    given = {"defer_dismount_seconds": defer, "description": description}
    changes = {name: value for name, value in given.items() if value is not None}
    if not changes:
        raise typer.BadParameter("nothing to change: give --defer or --description")
    with run.session() as session:
        changed = session.objects.update(Kind.NTMS_DRIVE, find_drive(session, drive, library), **changes)
    run.output.show_done(f"The drive {changed.name} is changed.", changed, changed.id)


@add_verb(noun, "enable")
def enable_drive(run: Run, drive: DriveArgument, library: LibraryOption = None) -> None:
    """Let a drive be used again."""
    _switch(run, drive, library, enabled=True)


@add_verb(noun, "disable")
def disable_drive(run: Run, drive: DriveArgument, library: LibraryOption = None) -> None:
    """Keep a drive from being used."""
    _switch(run, drive, library, enabled=False)


def _switch(run: Run, drive: str, library: str | None, *, enabled: bool) -> None:
    with run.session() as session:
        found = find_drive(session, drive, library)
        switch = session.objects.enable if enabled else session.objects.disable
        switch(Kind.NTMS_DRIVE, found)
        switched = read_back(lambda known: session.objects.get(Kind.NTMS_DRIVE, known), found)
    run.output.show_done(f"The drive {drive} is {'enabled' if enabled else 'disabled'}.", switched, drive)


@add_verb(noun, "dismount")
def dismount_drive(
    run: Run, drive: DriveArgument, library: LibraryOption = None, no_wait: NoWaitOption = False
) -> None:
    """Have a drive emptied whose cartridge nobody uses, and wait until it is put away."""
    with run.session(worker=not no_wait) as session:
        found = find_drive(session, drive, library)
        session.mounts.empty_drive(found)
        if not no_wait:
            emptied: rsm.Drive = session.objects.get(Kind.NTMS_DRIVE, found)
            wait_for_dismounts(run, session, emptied.id, emptied.library)
    done = "is to be emptied" if no_wait else "is empty"
    run.output.show_done(f"The drive {drive} {done}.", {"dismounted": drive}, drive)


StandaloneArgument = Annotated[
    str, typer.Argument(metavar="DRIVE", help="Path, name or id of a stand-alone drive, or the name of its library.")
]


@add_verb(noun, "eject")
def eject_drive(
    run: Run,
    drive: StandaloneArgument,
    force: Annotated[bool, typer.Option("--force", help="Take the cartridge from the session that uses it.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="End an ejecting that waits; what is in stays in.")] = False,
    no_wait: NoWaitOption = False,
    timeout: TimeoutOption = None,
) -> None:
    """Have a stand-alone drive push its cartridge out, or a person take it out, and wait until it is out."""
    if stop and force:
        raise typer.BadParameter("--stop and --force exclude each other")
    reference = read_reference(drive)
    with run.session(worker=not no_wait and not stop) as session:
        if stop:
            request = session.libraries.stop_eject(reference)
        else:
            request = session.libraries.eject(reference, force=force)
            if not no_wait:
                request = carry_out(run, session, request, timeout=timeout)
    done = "nothing is ejected" if stop else "is to be ejected" if no_wait else "is empty"
    run.output.show_done(f"The drive {drive}: {done}.", request, request.id)


@add_verb(noun, "volumes")
def show_volumes(run: Run, drive: StandaloneArgument) -> None:
    """Show what is in a stand-alone drive by its own label, and where the system has it mounted."""
    with run.session() as session:
        found = session.libraries.volume(read_reference(drive))
    run.output.show_record(
        found,
        [
            ("path", found.path),
            ("mounted_at", found.mounted_at),
            ("label_type", found.label_type),
            ("label_id", found.label_id.hex()),
            ("label_info", found.label_info),
            ("barcode", found.barcode),
            ("capacity_bytes", found.capacity_bytes),
        ],
    )


@add_verb(noun, "delete")
def delete_drive(
    run: Run,
    drive: DriveArgument,
    library: LibraryOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Take a drive that is not present any more off record."""
    run.ask(f"Take the drive {drive} off record?", yes or dry_run)
    with run.session() as session:
        found = find_drive(session, drive, library)
        with rehearse_if(dry_run, session):
            session.libraries.delete_drive(found)
    run.show_deleted("drive", drive, dry_run)
