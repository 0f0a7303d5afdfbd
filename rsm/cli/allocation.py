"""The verbs of `rsm media` about who holds which side: allocate, give back, complete, swap, why. Parsing and printing.

It adds them to the noun.
"""

from __future__ import annotations

import uuid
from typing import Annotated

import typer

import rsm
from rsm.cli.media import noun
from rsm.cli.output import Column
from rsm.cli.run import (
    DryRunOption,
    Names,
    Run,
    YesOption,
    add_verb,
    read_back,
    read_optional,
    read_reference,
    rehearse_if,
)
from rsm.cli.waiting import TimeoutOption, milliseconds, show_progress

__all__ = ["noun"]

PoolArgument = Annotated[str, typer.Argument(metavar="POOL", help="Path or id of the application pool.")]
LogicalArgument = Annotated[
    str,
    typer.Argument(metavar="MEDIUM", help="Id of the logical medium, or the cartridge if it carries just one."),
]
SideArgument = Annotated[
    str, typer.Argument(metavar="SIDE", help="Id of the side, or the cartridge if it has just one.")
]
NewOption = Annotated[bool, typer.Option("--new", help="Of a cartridge that nobody has a side of.")]


@add_verb(noun, "allocate")
def allocate_medium(
    run: Run,
    pool: PoolArgument,
    side: Annotated[
        str | None, typer.Option("--side", metavar="ID", help="This side, available or to be imported.")
    ] = None,
    new: NewOption = False,
    next_to: Annotated[
        str | None,
        typer.Option("--next-to", metavar="ID", help="The other side of this logical medium, allocated with --new."),
    ] = None,
    timeout: TimeoutOption = None,
    fail: Annotated[bool, typer.Option("--fail", help="Do not wait and ask no operator.")] = False,
) -> None:
    """Take a side for an application; waits for free labels, then for an operator, until there is one."""
    if new and next_to is not None:
        raise typer.BadParameter("--new and --next-to exclude each other")
    with run.session(worker=True) as session, show_progress(run) as on_wait:
        made = session.media.allocate_from(
            read_reference(pool),
            side=read_optional(side),
            new=new,
            next_to=read_optional(next_to),
            timeout_ms=milliseconds(timeout),
            error_if_unavailable=fail,
            on_wait=on_wait,
        )
        named = _name_of(session, made.logical_medium.medium)
        source = Names(session).pool(made.source_pool)
    logical = made.logical_medium
    run.output.show_done(f"Medium {named} from {source} is allocated, logical medium {logical.id}.", made, logical.id)


def _name_of(session: rsm.Session, medium: uuid.UUID) -> str:
    found = read_back(session.media.get, medium)
    return str(medium) if found is None else found.name


@add_verb(noun, "deallocate")
def deallocate_medium(run: Run, medium: LogicalArgument, yes: YesOption = False, dry_run: DryRunOption = False) -> None:
    """Give a side back; others may overwrite it then."""
    run.ask(f"Give back {medium}, so that others may overwrite it?", yes or dry_run)
    with run.session() as session, rehearse_if(dry_run, session):
        session.media.deallocate(read_reference(medium))
    if dry_run:
        run.output.show_rehearsal(f"give back {medium}")
    else:
        run.output.show_done(f"The medium {medium} is given back.", {"deallocated": medium}, medium)


@add_verb(noun, "complete")
def complete_medium(run: Run, medium: LogicalArgument) -> None:
    """Mark a side as full: it is read from now on, and not written."""
    with run.session() as session:
        session.media.complete(read_reference(medium))
    run.output.show_done(f"The medium {medium} is complete.", {"completed": medium}, medium)


@add_verb(noun, "decommission")
def decommission_side(run: Run, side: SideArgument, yes: YesOption = False, dry_run: DryRunOption = False) -> None:
    """Take an available side out of use, for good."""
    run.ask(f"Take {side} out of use for good?", yes or dry_run)
    with run.session() as session, rehearse_if(dry_run, session):
        session.media.decommission(read_reference(side))
    if dry_run:
        run.output.show_rehearsal(f"take {side} out of use for good")
    else:
        run.output.show_done(f"The side {side} is decommissioned.", {"decommissioned": side}, side)


@add_verb(noun, "swap")
def swap_media(
    run: Run,
    first: LogicalArgument,
    second: Annotated[str, typer.Argument(metavar="OTHER", help="The other one, in the same pool.")],
) -> None:
    """Exchange the sides behind two logical media; each keeps its id."""
    with run.session() as session:
        session.media.swap(read_reference(first), read_reference(second))
    run.output.show_done(f"{first} and {second} have changed places.", {"swapped": [first, second]}, first)


@add_verb(noun, "why")
def explain_choice(
    run: Run,
    pool: PoolArgument,
    new: NewOption = False,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="At most so many sides.", min=1)] = 1000,
) -> None:
    """Tell which side an allocation would get now, first, and why each other one is passed over."""
    with run.session() as session:
        found = session.media.why(read_reference(pool), new=new, most=limit)
        run.output.show_list(found, candidate_columns(Names(session)), nothing="no media")


def candidate_columns(names: Names) -> list[Column[rsm.Candidate]]:
    """Return the columns of a listing of what an allocation looks at."""
    return [
        Column("Name", lambda found: found.name),
        Column("Bar code", lambda found: found.barcode),
        Column("Side", lambda found: found.number + 1),
        Column("Pool", lambda found: names.pool(found.pool)),
        Column("Rank", lambda found: found.rank),
        Column("Chosen", lambda found: found.chosen),
        Column("Why", lambda found: found.reason),
        Column("Id", lambda found: found.side),
    ]


@add_verb(noun, "logical")
def list_logical_media(
    run: Run,
    pool: Annotated[str | None, typer.Option("--pool", metavar="PATH", help="Only those of this pool.")] = None,
) -> None:
    """List logical media: who has allocated what."""
    with run.session() as session:
        found = session.media.logical_media(read_optional(pool))
        run.output.show_list(found, _logical_columns(session), nothing="no logical media")


def _logical_columns(session: rsm.Session) -> list[Column[rsm.LogicalMedium]]:
    names = Names(session)
    return [
        Column("Id", lambda logical: logical.id),
        Column("Name", lambda logical: logical.name),
        Column("Cartridge", lambda logical: _name_of(session, logical.medium)),
        Column("Pool", lambda logical: names.pool(logical.pool)),
        Column("Application", lambda logical: logical.application),
        Column("User", lambda logical: logical.user),
        Column("Since", lambda logical: logical.created),
    ]
