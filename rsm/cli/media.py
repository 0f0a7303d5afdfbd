"""`rsm media`: put cartridges on record, list, show, move and forget them. Parsing and printing only."""

from __future__ import annotations

import enum
import os
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

noun = make_noun(
    "Cartridges and their sides. A cartridge is named by its id, its name or its bar code.",
    r"rsm media create --pool '\Nightly\Daily' --barcode A00001L8 --label-type MTF --label-id 0001",
    r"rsm media list --pool '\Nightly\Daily'",
    r"rsm media move A00001L8 '\Nightly\Weekly'",
    r"rsm media allocate '\Nightly\Daily' --timeout 600",
    r"rsm media why '\Nightly\Daily'",
    "rsm media deallocate A00001L8 --yes",
    "rsm media delete A00001L8 --yes",
)

MediumArgument = Annotated[str, typer.Argument(metavar="MEDIUM", help="Name, bar code or id of the cartridge.")]
PoolArgument = Annotated[str, typer.Argument(metavar="POOL", help="Path or id of the pool it goes to.")]

_FULL_NAME = "NTMS_PARTSTATE_{}"


class SideState(enum.StrEnum):
    """The words for the states of a side."""

    UNKNOWN = "unknown"
    UNPREPARED = "unprepared"
    INCOMPATIBLE = "incompatible"
    DECOMMISSIONED = "decommissioned"
    AVAILABLE = "available"
    ALLOCATED = "allocated"
    COMPLETE = "complete"
    FOREIGN = "foreign"
    IMPORT = "import"
    RESERVED = "reserved"

    @property
    def header_value(self) -> rsm.NtmsPartitionState:
        """The constant that the word stands for."""
        return rsm.NtmsPartitionState[_FULL_NAME.format(self.name)]


@add_verb(noun, "create")
def create_medium(
    run: Run,
    pool: Annotated[str, typer.Option("--pool", metavar="PATH", help="Import or application pool it is put in.")],
    label_type: Annotated[
        list[str] | None, typer.Option("--label-type", metavar="TYPE", help="Type of the label, once for each side.")
    ] = None,
    label_id: Annotated[
        list[str] | None, typer.Option("--label-id", metavar="TEXT", help="What the label says, once for each side.")
    ] = None,
    barcode: Annotated[str, typer.Option("--barcode", metavar="TEXT", help="Bar code on the cartridge.")] = "",
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Name; else RSM finds one.")] = "",
    description: Annotated[str, typer.Option("--description", metavar="TEXT", help="Text for people.")] = "",
    sides: Annotated[
        int | None, typer.Option("--sides", metavar="N", help="Number of sides; else as many as labels.")
    ] = None,
    state: Annotated[SideState, typer.Option("--state", help="State of the sides.")] = SideState.IMPORT,
) -> None:
    """Put a cartridge that is on the shelf on record."""
    types, ids = label_type or [], label_id or []
    if len(types) != len(ids) or not types:
        raise typer.BadParameter("give --label-type and --label-id, each once for each side")
    if sides is not None and sides != len(types):
        raise typer.BadParameter(f"--sides {sides} does not go with {len(types)} labels: give one for each side")
    new_sides = [
        rsm.NewSide(label_type=text, label_id=os.fsencode(label), state=state.header_value)
        for text, label in zip(types, ids, strict=True)
    ]
    with run.session() as session:
        medium = session.media.create(
            read_reference(pool), new_sides, barcode=barcode, name=name, description=description
        )
    run.output.show_done(f"Medium {medium.name} is on record, id {medium.id}.", medium, medium.id)


@add_verb(noun, "list")
def list_media(
    run: Run,
    pool: Annotated[str | None, typer.Option("--pool", metavar="PATH", help="Only what is in this pool.")] = None,
    library: Annotated[
        str | None, typer.Option("--library", metavar="NAME", help="Only what is in this library.")
    ] = None,
) -> None:
    """List cartridges."""
    if pool is not None and library is not None:
        raise typer.BadParameter("--pool and --library exclude each other")
    with run.session() as session:
        media = session.media.list(pool=read_optional(pool), library=read_optional(library))
        run.output.show_list(media, medium_columns(Names(session)), nothing="no media")


def medium_columns(names: Names) -> list[Column[rsm.PhysicalMedium]]:
    """Return the columns of a listing of cartridges."""
    return [
        Column("Name", lambda medium: medium.name),
        Column("Bar code", lambda medium: medium.barcode),
        Column("Pool", lambda medium: names.pool(medium.pool)),
        Column("Type", lambda medium: names.media_type(medium.media_type)),
        Column("Library", lambda medium: names.library(medium.library)),
        Column("State", lambda medium: medium.media_state),
        Column("Sides", lambda medium: medium.sides),
        Column("Enabled", lambda medium: medium.enabled),
    ]


_SIDE_COLUMNS: list[Column[rsm.Side]] = [
    Column("Side", lambda side: side.number + 1),
    Column("State", lambda side: side.state),
    Column("Label type", lambda side: side.label_type),
    Column("Label id", lambda side: side.label_id),
    Column("Mounts", lambda side: side.mount_count),
    Column("Allocations", lambda side: side.allocate_count),
    Column("Bytes", lambda side: side.capacity_bytes),
    Column("Logical medium", lambda side: side.logical_medium),
    Column("Id", lambda side: side.id),
]


@add_verb(noun, "show")
def show_medium(run: Run, medium: MediumArgument) -> None:
    """Show all there is to know about one cartridge and its sides."""
    with run.session() as session:
        found = session.media.get(read_reference(medium))
        sides = session.media.sides(found)
        names = Names(session)
        fields = record_fields(
            found,
            pool=names.pool(found.pool),
            library=names.library(found.library),
            media_type=names.media_type(found.media_type),
        )
        run.output.show_record({"medium": found, "sides": sides}, fields)
        run.output.show_parts(sides, _SIDE_COLUMNS, title="Sides", line_name="side")


@add_verb(noun, "update")
def update_medium(
    run: Run,
    medium: MediumArgument,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="New name.")] = None,
    description: Annotated[str | None, typer.Option("--description", metavar="TEXT", help="Text for people.")] = None,
) -> None:
    """Change the name or the description of a cartridge."""
    if name is None and description is None:
        raise typer.BadParameter("nothing to change: give --name or --description")
    with run.session() as session:
        changed = session.media.update(read_reference(medium), name=name, description=description)
    run.output.show_done(f"Medium {changed.name} is changed.", changed, changed.id)


@add_verb(noun, "move")
def move_medium(
    run: Run, medium: MediumArgument, pool: PoolArgument, yes: YesOption = False, dry_run: DryRunOption = False
) -> None:
    """Move a cartridge to another pool of its media type; into a free pool destroys what is recorded on it."""
    _move(run, medium, pool, yes=yes, dry_run=dry_run, change_type=False)


@add_verb(noun, "change-type")
def change_medium_type(
    run: Run, medium: MediumArgument, pool: PoolArgument, yes: YesOption = False, dry_run: DryRunOption = False
) -> None:
    """Move a cartridge to a pool of another media type, which becomes its own."""
    _move(run, medium, pool, yes=yes, dry_run=dry_run, change_type=True)


def _move(run: Run, medium: str, pool: str, *, yes: bool, dry_run: bool, change_type: bool) -> None:
    reference, destination = read_reference(medium), read_reference(pool)
    with run.session() as session:
        full_name = session.pools.path(destination)
        found = read_back(session.pools.get, destination)
        # Whoever may not read a free pool may not move anything into it either: there the move itself refuses.
        if found is not None and found.pool_type is rsm.NtmsPoolType.NTMS_POOLTYPE_SCRATCH:
            question = f"Move {medium} to the free pool {full_name}, which destroys what is recorded on it?"
            run.ask(question, yes or dry_run)
        move = session.media.change_type if change_type else session.media.move
        with rehearse_if(dry_run, session):
            move(reference, destination)
        moved = None if dry_run else read_back(session.media.get, reference)
    if dry_run:
        run.output.show_rehearsal(f"move {medium} to {full_name}")
    else:
        run.output.show_done(f"The medium {medium} is in {full_name}.", moved, medium)


@add_verb(noun, "delete")
def delete_medium(run: Run, medium: MediumArgument, yes: YesOption = False, dry_run: DryRunOption = False) -> None:
    """Remove every record of a cartridge that is on the shelf."""
    run.ask(f"Remove every record of the medium {medium}?", yes or dry_run)
    with run.session() as session, rehearse_if(dry_run, session):
        session.media.delete(read_reference(medium))
    run.show_deleted("medium", medium, dry_run)


@add_verb(noun, "enable")
def enable_medium(run: Run, medium: MediumArgument) -> None:
    """Let a cartridge be used again."""
    _switch(run, medium, enabled=True)


@add_verb(noun, "disable")
def disable_medium(run: Run, medium: MediumArgument) -> None:
    """Keep a cartridge from being used."""
    _switch(run, medium, enabled=False)


def _switch(run: Run, medium: str, *, enabled: bool) -> None:
    reference = read_reference(medium)
    with run.session() as session:
        switch = session.media.enable if enabled else session.media.disable
        switch(reference)
        switched = read_back(session.media.get, reference)
    run.output.show_done(f"The medium {medium} is {'enabled' if enabled else 'disabled'}.", switched, medium)
