"""`rsm type`: media types, and which library takes which. Parsing and printing only."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

import rsm
from rsm.cli.output import Column, record_fields
from rsm.cli.run import DryRunOption, Run, YesOption, add_verb, make_noun, read_optional, read_reference, rehearse_if

noun = make_noun(
    "Media types: technologies of cartridges. Pools and libraries are given one.",
    "rsm type list",
    "rsm type create 'LTO-9 WORM' --read-write write-once",
    "rsm type add LTO-8 'Tape library 1'",
)

TypeArgument = Annotated[str, typer.Argument(metavar="TYPE", help="Name or id of the media type.")]
LibraryArgument = Annotated[str, typer.Argument(metavar="LIBRARY", help="Name or id of the library.")]


class ReadWrite(enum.StrEnum):
    """The words for what can be done with a side more than once."""

    REWRITABLE = "rewritable"
    WRITE_ONCE = "write-once"
    READ_ONLY = "read-only"

    @property
    def header_value(self) -> rsm.NtmsReadWriteCharacteristics:
        """The constant that the word stands for."""
        return rsm.NtmsReadWriteCharacteristics[f"NTMS_MEDIARW_{self.name.replace('_', '')}"]


class Device(enum.StrEnum):
    """The words for the kinds of devices."""

    TAPE = "tape"
    DISK = "disk"
    CD_ROM = "cd-rom"
    DVD = "dvd"

    @property
    def header_value(self) -> int:
        """The FILE_DEVICE_TYPE that the word stands for."""
        return int(rsm.FILE_DEVICE_TYPE[f"FILE_DEVICE_{self.name}"])


def _device_word(device_type: int) -> object:
    return next((word for word in Device if word.header_value == device_type), device_type)


_COLUMNS: list[Column[rsm.MediaType]] = [
    Column("Name", lambda media_type: media_type.name),
    Column("Code", lambda media_type: media_type.code),
    Column("Sides", lambda media_type: media_type.sides),
    Column("Writing", lambda media_type: media_type.read_write),
    Column("Device", lambda media_type: _device_word(media_type.device_type)),
    Column("Description", lambda media_type: media_type.description),
]


@add_verb(noun, "list")
def list_types(
    run: Run,
    library: Annotated[
        str | None, typer.Option("--library", metavar="NAME", help="Only what this library takes.")
    ] = None,
) -> None:
    """List media types."""
    with run.session() as session:
        media_types = session.types.list(read_optional(library))
    run.output.show_list(media_types, _COLUMNS, nothing="no media types")


@add_verb(noun, "show")
def show_type(run: Run, media_type: TypeArgument) -> None:
    """Show all there is to know about one media type."""
    with run.session() as session:
        found = session.types.get(read_reference(media_type))
    run.output.show_record(found, record_fields(found, device_type=_device_word(found.device_type)))


@add_verb(noun, "create")
def create_type(
    run: Run,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new media type.")],
    sides: Annotated[int, typer.Option("--sides", metavar="N", help="Sides of a cartridge.")] = 1,
    read_write: Annotated[
        ReadWrite, typer.Option("--read-write", help="How often a side can be written.")
    ] = ReadWrite.REWRITABLE,
    device: Annotated[Device, typer.Option("--device", help="What reads and writes it.")] = Device.TAPE,
    description: Annotated[str, typer.Option("--description", metavar="TEXT", help="Text for people.")] = "",
) -> None:
    """Create a media type of your own."""
    with run.session() as session:
        created = session.types.create(
            name,
            sides=sides,
            read_write=read_write.header_value,
            device_type=device.header_value,
            description=description,
        )
    run.output.show_done(f"Media type {created.name} is there, id {created.id}.", created, created.id)


@add_verb(noun, "delete")
def delete_type(run: Run, media_type: TypeArgument, yes: YesOption = False, dry_run: DryRunOption = False) -> None:
    """Delete a media type of your own that nothing uses."""
    run.ask(f"Delete the media type {media_type}?", yes or dry_run)
    with run.session() as session, rehearse_if(dry_run, session):
        session.types.delete(read_reference(media_type))
    run.show_deleted("media type", media_type, dry_run)


@add_verb(noun, "add")
def add_type(run: Run, media_type: TypeArgument, library: LibraryArgument) -> None:
    """Let a library take a media type."""
    with run.session() as session:
        session.types.add(read_reference(media_type), read_reference(library))
    _show_link(run, f"The library {library} takes {media_type}.", media_type, library)


@add_verb(noun, "remove")
def remove_type(run: Run, media_type: TypeArgument, library: LibraryArgument) -> None:
    """Let a library no longer take a media type; it must hold no media of it."""
    with run.session() as session:
        session.types.remove(read_reference(media_type), read_reference(library))
    _show_link(run, f"The library {library} no longer takes {media_type}.", media_type, library)


def _show_link(run: Run, sentence: str, media_type: str, library: str) -> None:
    run.output.show_done(sentence, {"media_type": media_type, "library": library}, media_type)
