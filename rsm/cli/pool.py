"""`rsm pool`: make, list, show, change and delete media pools. Parsing and printing only."""

from __future__ import annotations

from typing import Annotated, Any

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
    read_optional,
    read_reference,
    rehearse_if,
)

noun = make_noun(
    "Media pools: trees of names with policy and rights. A pool holds pools or media, never both.",
    r"rsm pool create '\Nightly\Daily' --parents --type LTO-8 --from-free",
    "rsm pool list",
    r"rsm pool delete '\Nightly\Daily' --dry-run",
)

PoolArgument = Annotated[str, typer.Argument(metavar="PATH", help="Path or id of the pool.")]
TypeOption = Annotated[
    str | None, typer.Option("--type", metavar="NAME", help="Media type; a pool without one holds pools.")
]
FromFreeOption = Annotated[
    bool | None, typer.Option("--from-free/--no-from-free", help="Draw from the free pool when nothing is available.")
]
ToFreeOption = Annotated[
    bool | None, typer.Option("--to-free/--no-to-free", help="Send deallocated media to the free pool.")
]
MaxAllocatesOption = Annotated[
    int | None,
    typer.Option("--max-allocates", metavar="N", help="Decommission a side after N allocations; 0 for no limit."),
]
DescriptionOption = Annotated[str | None, typer.Option("--description", metavar="TEXT", help="Text for people.")]


@add_verb(noun, "create")
def create_pool(
    run: Run,
    path: Annotated[str, typer.Argument(metavar="PATH", help=r"Path of the new pool, as '\App\Daily'.")],
    media_type: TypeOption = None,
    from_free: FromFreeOption = None,
    to_free: ToFreeOption = None,
    max_allocates: MaxAllocatesOption = None,
    description: DescriptionOption = None,
    parents: Annotated[bool, typer.Option("--parents", help="Make missing levels above as well.")] = False,
    exist_ok: Annotated[bool, typer.Option("--exist-ok", help="Take an existing pool as it is.")] = False,
) -> None:
    """Create a pool."""
    with run.session() as session:
        pool = session.pools.create(
            path,
            media_type=read_optional(media_type),
            allocate_from_free=bool(from_free),
            deallocate_to_free=bool(to_free),
            max_allocates=max_allocates or 0,
            description=description or "",
            parents=parents,
            exist_ok=exist_ok,
        )
    run.output.show_done(f"Pool {pool.path} is there, id {pool.id}.", pool, pool.id)


@add_verb(noun, "list")
def list_pools(
    run: Run,
    path: Annotated[
        str | None, typer.Argument(metavar="[PATH]", help="Only what is in this pool; else the whole tree.")
    ] = None,
) -> None:
    """List pools with their full paths, parents before children."""
    with run.session() as session:
        pools = session.pools.list(read_optional(path), recursive=True)
        run.output.show_list(pools, pool_columns(Names(session)), nothing="no pools")


# What people call the classes that the header names scratch and foreign.
_CLASSES = {
    rsm.NtmsPoolType.NTMS_POOLTYPE_SCRATCH: "free",
    rsm.NtmsPoolType.NTMS_POOLTYPE_FOREIGN: "unrecognized",
    rsm.NtmsPoolType.NTMS_POOLTYPE_IMPORT: "import",
    rsm.NtmsPoolType.NTMS_POOLTYPE_APPLICATION: "application",
}


def pool_columns(names: Names) -> list[Column[rsm.MediaPool]]:
    """Return the columns of a listing of pools."""
    return [
        Column("Path", lambda pool: pool.path),
        Column("Class", lambda pool: _CLASSES.get(pool.pool_type, "root")),
        Column("Type", lambda pool: names.media_type(pool.media_type)),
        Column("Media", lambda pool: pool.physical_media),
        Column("Pools", lambda pool: pool.pools),
        Column("From free", lambda pool: pool.allocate_from_free),
        Column("To free", lambda pool: pool.deallocate_to_free),
        Column("Description", lambda pool: pool.description),
    ]


@add_verb(noun, "show")
def show_pool(run: Run, path: PoolArgument) -> None:
    """Show all there is to know about one pool."""
    with run.session() as session:
        show_one(run, session, session.pools.get(read_reference(path)))


def show_one(run: Run, session: rsm.Session, pool: rsm.MediaPool) -> None:
    """Print one pool, with names for people in place of ids."""
    names = Names(session)
    run.output.show_record(
        pool,
        record_fields(pool, media_type=names.media_type(pool.media_type), parent=names.pool(pool.parent)),
    )


@add_verb(noun, "update")
def update_pool(
    run: Run,
    path: PoolArgument,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="New name of this level.")] = None,
    description: DescriptionOption = None,
    media_type: TypeOption = None,
    container: Annotated[
        bool, typer.Option("--container", help="Take the media type away: the pool then holds pools.")
    ] = False,
    from_free: FromFreeOption = None,
    to_free: ToFreeOption = None,
    max_allocates: MaxAllocatesOption = None,
) -> None:
    """Change a pool; what is not given stays."""
    if container and media_type is not None:
        raise typer.BadParameter("--container and --type exclude each other")
    given: dict[str, Any] = {
        "name": name,
        "description": description,
        "media_type": read_optional(media_type),
        "allocate_from_free": from_free,
        "deallocate_to_free": to_free,
        "max_allocates": max_allocates,
    }
    changes = {key: value for key, value in given.items() if value is not None}
    if container:
        changes["media_type"] = None
    if not changes:
        raise typer.BadParameter("nothing to change: give at least one option")
    with run.session() as session:
        pool = session.pools.update(read_reference(path), **changes)
    run.output.show_done(f"Pool {pool.path} is changed.", pool, pool.id)


@add_verb(noun, "delete")
def delete_pool(run: Run, path: PoolArgument, yes: YesOption = False, dry_run: DryRunOption = False) -> None:
    """Delete a pool that holds neither media nor pools."""
    run.need_answer(yes or dry_run)
    with run.session() as session:
        full_name = session.pools.path(read_reference(path))
        run.ask(f"Delete the pool {full_name}?", yes or dry_run)
        with rehearse_if(dry_run, session):
            session.pools.delete(read_reference(path))
    run.show_deleted("pool", full_name, dry_run)
