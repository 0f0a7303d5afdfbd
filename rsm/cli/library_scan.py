"""`rsm library scan`: look for robots and their drives, on this host and behind iSCSI portals.

Parsing and printing only. It adds itself to the noun. It opens no catalogue and changes nothing on any device.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer
from rich.text import Text

from rsm.cli.library import noun
from rsm.cli.output import Form, escape_control
from rsm.cli.run import Run, add_verb
from rsm.libraries.scsi.discovery import ChangerFound, DriveFound, Found, scan

__all__ = ["noun"]

_NOTHING = (
    "No robot and no tape drive was found. One of this host needs power, a cable and the kernel's sg driver (modprobe "
    "sg); to look behind an iSCSI portal give iscsi://HOST:PORT."
)


@add_verb(noun, "scan")
def scan_devices(
    run: Run,
    portals: Annotated[
        list[str] | None,
        typer.Argument(metavar="[iscsi://HOST:PORT]...", help="iSCSI portals to look behind, as well as at this host."),
    ] = None,
) -> None:
    """Look for robots and tape drives, and tell which drive sits at which element, and how that is known."""
    found = []
    for each in scan(portals or ()):
        found.append(each)
        run.output.print_progress(f"found {each.device}")
    run.output.print_progress("")
    if run.output.form is Form.JSON:
        run.output.print_document(found)
    else:
        run.output.show_drawing(Text("\n").join(_draw(found)), _plain_lines(found))


def _draw(found: Sequence[Found]) -> Iterator[Text]:
    if not found:
        yield Text(_NOTHING, style="dim")
    for each in found:
        yield Text(escape_control(each.device), style="bold")
        if each.problem is not None:
            yield Text(f"  {escape_control(each.problem)}", style="red")
        elif isinstance(each, ChangerFound):
            counts = (("slot", each.slots), ("port", each.ports), ("drive", len(each.drives)))
            told = ", ".join(f"{count} {name}{'' if count == 1 else 's'}" for name, count in counts)
            yield Text(f"  {_who(each)}: {told}")
            for drive in each.drives:
                yield Text(f"  drive {drive.number} at element {drive.element}: {_placed(drive)}")
            yield Text(f"  rsm library add scsi {shlex.quote(escape_control(each.device))}", style="green")
        else:
            yield Text(f"  {_who(each)}{_path(each)}: a tape drive that is in none of these robots")


def _who(device: Found) -> str:
    names = " ".join(filter(None, (device.vendor, device.product))) or "an unnamed device"
    return escape_control(f"{names}, serial number {device.serial_number}" if device.serial_number else names)


def _path(drive: DriveFound) -> str:
    return f", tape device {drive.path}" if drive.path else ""


def _placed(drive: DriveFound) -> str:
    if not drive.device:
        return "which device it is cannot be told; add ?drives=ADDRESS,... to the address of the robot, - for unknown"
    return f"{escape_control(drive.device)}, {_who(drive)}, known by the {drive.known_by}{_path(drive)}"


def _plain_lines(found: Sequence[Found]) -> Iterator[tuple[object, ...]]:
    """Yield a line of values for each changer and each drive.

    They are: changer or drive, address, vendor, product, serial number, problem; then of a changer its slots, ports and
    drives, and of a drive the changer's address, its element, number, how it is known, and its tape device.
    """
    for each in found:
        if isinstance(each, DriveFound):
            yield _plain_drive(each, "")
            continue
        counts = (each.slots, each.ports, len(each.drives))
        yield ("changer", each.device, each.vendor, each.product, each.serial_number, each.problem, *counts)
        for drive in each.drives:
            yield _plain_drive(drive, each.device)


def _plain_drive(drive: DriveFound, changer: str) -> tuple[object, ...]:
    names = ("drive", drive.device, drive.vendor, drive.product, drive.serial_number, drive.problem)
    return (*names, changer, drive.element, drive.number, drive.known_by, drive.path)
