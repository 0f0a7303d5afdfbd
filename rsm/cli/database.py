"""`rsm db`: make, upgrade and examine a catalogue. Parsing and printing only."""

from __future__ import annotations

import contextlib
import enum
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated

import typer

import rsm
from rsm import place, schema, transfer
from rsm.cli.output import Column, record_fields
from rsm.cli.run import DryRunOption, Run, YesOption, add_verb, make_noun

noun = make_noun(
    "The catalogue itself. A verb takes the one that --database names, else RSM_DATABASE, else the usual place.",
    "rsm db create /srv/rsm/rsm.db --administrators group:tapeadmins",
    "rsm --database postgresql://backup/rsm db upgrade --dry-run",
    "rsm db check",
    "rsm db export",
    "rsm db import /mnt/saved/Export/rsm.db --dry-run",
    "rsm --database postgresql://backup/rsm db import tapes.jsonl",
)


class AccessEra(enum.StrEnum):
    """The words for the two tables of rights."""

    SERVER_2003 = "2003"
    WINDOWS_2000 = "2000"


@add_verb(noun, "create")
def create_catalogue(
    run: Run,
    url: Annotated[str | None, typer.Argument(metavar="[URL]", help="URL or path; else what --database names.")] = None,
    access_era: Annotated[
        AccessEra, typer.Option("--access-era", help="Whose table of rights counts: Server 2003, or 2000 and XP.")
    ] = AccessEra.SERVER_2003,
    administrators: Annotated[
        str, typer.Option("--administrators", metavar="GROUP", help="Group that administers it.")
    ] = "group:rsm",
    operators: Annotated[
        str, typer.Option("--operators", metavar="GROUP", help="Group that operates libraries.")
    ] = "group:tape",
) -> None:
    """Create a catalogue."""
    target = url if url is not None else run.settings.database
    schema.create(target, access_era=access_era.value, administrators=administrators, operators=operators)
    revision = schema.current(target)
    shown = place.parse_url(target).render_as_string(hide_password=True)
    run.output.show_done(f"The catalogue {shown} is there, at revision {revision.number}.", revision, revision.number)


@add_verb(noun, "upgrade")
def upgrade_catalogue(run: Run, dry_run: DryRunOption = False) -> None:
    """Bring an older catalogue to the revision of this program; a copy is made first."""
    before = schema.current(run.settings.database)
    if dry_run:
        steps = f"upgrade from revision {before.number} to {before.newest}"
        run.output.show_rehearsal("change nothing" if before.up_to_date else steps)
        return
    after = schema.upgrade(run.settings.database)
    sentence = f"The catalogue is at revision {after.number}; it was at {before.number}."
    if after.copy is not None:
        sentence += f" As it was: {after.copy}"
    run.output.show_done(sentence, after, after.number)


@add_verb(noun, "current")
def show_revision(run: Run) -> None:
    """Show the revision of the catalogue and the newest one this program knows."""
    revision = schema.current(run.settings.database)
    run.output.show_record(revision, record_fields(revision))


@add_verb(noun, "check")
def check_catalogue(run: Run) -> None:
    """Examine the whole catalogue; exit status 1 where something is found."""
    findings = schema.check(run.settings.database)
    run.output.show_list(findings, [Column("Finding", lambda finding: finding)], nothing="The catalogue is sound.")
    if findings:
        raise rsm.DatabaseFailureError(f"the catalogue is not sound, findings: {len(findings)}")


FileArgument = Annotated[
    str | None, typer.Argument(metavar="[FILE]", help="File; left out, the catalogue's own in the folder Export.")
]


@add_verb(noun, "export")
def export_catalogue(run: Run, file: FileArgument = None) -> None:
    """Write the whole catalogue, while others use it, to a new file of JSON lines that either database can load.

    Without FILE it goes to the folder Export beside the catalogue (of PostgreSQL, among the user's data), over the
    export before: a copy for backup programs, as ExportNtmsDatabase makes it.
    """
    if file is None:
        with run.session() as session:
            written = session.catalogue.export_to()
        run.output.show_done(f"The catalogue is exported to {written}.", {"exported": written}, written)
        return
    with _open(file, "x") as lines:
        count = schema.export_catalogue(run.settings.database, lines)
    run.output.show_done(f"{count} rows are in {file}.", {"exported": file, "rows": count}, count)


@add_verb(noun, "import")
def import_catalogue(
    run: Run, file: FileArgument = None, yes: YesOption = False, dry_run: DryRunOption = False
) -> None:
    """Load an export, of either database, in the place of the catalogue, or into a missing or empty database.

    The catalogue that was there is kept. Nothing may be mounted; whoever has it open has to open it again.
    """
    if file == "" or "\0" in (file or ""):
        raise rsm.InvalidParameterError(f"{file!a} is no path of a file")
    path = None if file is None else Path(file)
    shown = str(place.export_path(place.parse_url(run.settings.database)) if path is None else path)
    if _is_empty(run.settings.database):
        _load_new(run, path, shown, dry_run)
        return
    run.ask(f"Put {shown} in the place of the catalogue, and keep what is there now beside it?", yes or dry_run)
    with run.session() as session:
        if dry_run:
            count = session.catalogue.check_import(path)
            run.output.show_rehearsal(f"put the {count} rows of {shown} in the place of {session.database}")
            return
        kept = session.catalogue.import_from(path)
    document = {"imported": shown, "kept": kept}
    run.output.show_done(f"The catalogue is that of {shown} now. What was there before: {kept}", document, kept)


def _is_empty(database: str | None) -> bool:
    url = place.parse_url(database)
    if url.get_backend_name() == "sqlite" and not os.path.exists(url.database or ""):
        return True
    return schema.current(database).number == 0


def _load_new(run: Run, path: Path | None, shown: str, dry_run: bool) -> None:
    if dry_run:
        count = transfer.check_new(run.settings.database, path)
        run.output.show_rehearsal(f"load the {count} rows of {shown}")
        return
    count = transfer.load_new(run.settings.database, path)
    run.output.show_done(f"{count} rows are loaded.", {"imported": shown, "rows": count}, count)


@contextlib.contextmanager
def _open(file: str, mode: str) -> Iterator[IO[str]]:
    """Open a file of a person's choice; a new one is for its owner alone, and goes again if the body fails.

    Raises:
        rsm.InvalidParameterError: it cannot be opened, read or written, or is there already.
    """
    made = False
    try:
        with open(file, mode, encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as lines:
            made = mode == "x"
            yield lines
        made = False
    except rsm.RsmError:
        raise
    except (OSError, ValueError) as error:
        raise rsm.InvalidParameterError(f"{file!a} cannot be used: {error}") from error
    finally:
        if made:
            os.unlink(file)
