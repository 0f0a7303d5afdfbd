"""`rsm virtual`: make virtual libraries and cartridges in them. Parsing and printing only; needs no catalogue."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from rsm.cli.run import Run, add_verb, make_noun
from rsm.libraries import virtual_make

noun = make_noun(
    "Virtual libraries: directories that work as robots with slots, drives and ports. Move cartridges by hand with mv.",
    "rsm virtual create /srv/robot --slots 12 --drives 2 --ports 1 --type LTO-8",
    "rsm virtual add-cartridge /srv/robot --barcode A00001L8 --capacity 100MB",
    "rsm virtual add-cartridge /srv/robot --barcode B00001L8 --port 1 --from old-tape.bkf",
    "rsm virtual make-cartridge /srv/shelf --barcode C00001L8 --type LTO-8",
)

DirectoryArgument = Annotated[Path, typer.Argument(metavar="DIR", help="Directory of the library.")]
BarcodeOption = Annotated[str, typer.Option("--barcode", metavar="TEXT", help="Bar code on the cartridge.")]
CapacityOption = Annotated[
    str | None, typer.Option("--capacity", metavar="SIZE", help="Room on each side, as 100MB or 2GiB; else 1GB.")
]
SidesOption = Annotated[int, typer.Option("--sides", metavar="N", help="Number of sides, 1 or 2.")]
FromOption = Annotated[
    Path | None, typer.Option("--from", metavar="FILE", help="File that is recorded on the first side.")
]
DiskOption = Annotated[bool, typer.Option("--disk", help="Sides are directories, not files.")]

_UNITS = {"": 1, "b": 1} | {
    f"{letter}{ending}": base**power
    for power, letter in enumerate("kmgtp", start=1)
    for ending, base in (("b", 1000), ("ib", 1024))
}
_SIZE = re.compile(r"([0-9]{1,30}(?:\.[0-9]{1,30})?) ?([A-Za-z]*)")


def parse_size(text: str) -> int:
    """Return the bytes that a size means: 1MB is 10^6, 1MiB is 2^20; a number alone is bytes.

    Raises:
        typer.BadParameter: it is no size, or no whole number of bytes above 0.
    """
    found = _SIZE.fullmatch(text.strip())
    unit = _UNITS.get(found[2].lower()) if found else None
    if found is None or unit is None:
        raise typer.BadParameter(f"{text!a} is no size: write a number and B, kB, MB, GB, TB, PB, KiB, MiB, …")
    size = Fraction(found[1]) * unit
    if size < 1 or size.denominator != 1:
        raise typer.BadParameter(f"{text!a} is no whole number of bytes above 0")
    return int(size)


@add_verb(noun, "create")
def create_library(
    run: Run,
    directory: DirectoryArgument,
    slots: Annotated[int, typer.Option("--slots", metavar="N", help="Number of slots.")],
    drives: Annotated[int, typer.Option("--drives", metavar="N", help="Number of drives.")],
    media_type: Annotated[str, typer.Option("--type", metavar="NAME", help="Media type that its drives take.")],
    ports: Annotated[int, typer.Option("--ports", metavar="N", help="Number of ports.")] = 0,
    doors: Annotated[int, typer.Option("--doors", metavar="N", help="Number of doors, for rsm library door.")] = 0,
    disk: DiskOption = False,
) -> None:
    """Make an empty library in a new or empty directory."""
    path = virtual_make.create(directory, slots, drives, ports, media_type, disk, doors=doors)
    document = {
        "directory": path,
        "slots": slots,
        "drives": drives,
        "ports": ports,
        "media_type": media_type,
        "disk": disk,
    }
    run.output.show_done(f"The virtual library {path} is made, without cartridges.", document, path)


@add_verb(noun, "add-cartridge")
def add_cartridge(
    run: Run,
    directory: DirectoryArgument,
    barcode: BarcodeOption,
    slot: Annotated[int | None, typer.Option("--slot", metavar="N", help="Slot it goes to; else an empty one.")] = None,
    port: Annotated[int | None, typer.Option("--port", metavar="N", help="Port it goes to.")] = None,
    capacity: CapacityOption = None,
    sides: SidesOption = 1,
    from_file: FromOption = None,
    cleaner: Annotated[bool, typer.Option("--cleaner", help="One that cleans drives.")] = False,
) -> None:
    """Make a cartridge and put it in."""
    if slot is not None and port is not None:
        raise typer.BadParameter("--slot and --port exclude each other")
    added = virtual_make.add_cartridge(
        directory,
        barcode,
        slot=slot,
        port=port,
        capacity_bytes=None if capacity is None else parse_size(capacity),
        sides=sides,
        from_file=from_file,
        cleaner=cleaner,
    )
    run.output.show_done(f"The cartridge {added.barcode} is in {added.element}.", added, added.path)


@add_verb(noun, "make-cartridge")
def make_cartridge(
    run: Run,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder that it lies in then, as on a shelf.")],
    barcode: BarcodeOption,
    media_type: Annotated[str, typer.Option("--type", metavar="NAME", help="Its media type.")],
    capacity: CapacityOption = None,
    sides: SidesOption = 1,
    from_file: FromOption = None,
    disk: DiskOption = False,
) -> None:
    """Make a cartridge outside any library, to be put into a stand-alone drive or elsewhere with mv."""
    made = virtual_make.make_cartridge(
        folder,
        barcode,
        media_type,
        capacity_bytes=None if capacity is None else parse_size(capacity),
        sides=sides,
        from_file=from_file,
        disk=disk,
    )
    run.output.show_done(f"The cartridge {made.barcode} is made: {made.path}.", made, made.path)
