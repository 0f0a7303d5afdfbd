"""`rsm library`: put libraries on record, list, draw, look into, switch and delete them. Parsing and printing only."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any

import typer

import rsm
from rsm.cli.library_map import draw_map, plain_lines
from rsm.cli.output import Column, Form, as_document, as_text
from rsm.cli.request import FINDINGS, spoken_counts
from rsm.cli.run import (
    UNKNOWN_REFERENCE,
    DryRunOption,
    Names,
    Run,
    YesOption,
    add_verb,
    make_noun,
    read_back,
    read_reference,
    rehearse_if,
)
from rsm.cli.waiting import NoWaitOption, TimeoutOption, carry_out
from rsm.constants import NtmsLmOperation

Kind = rsm.NtmsObjectsTypes

noun = make_noun(
    "Libraries: robots with slots, drives and ports. What is in no library is in the offline library, on the shelf.",
    "rsm library add virtual /srv/robot --name Robot",
    "rsm library scan iscsi://tapes.example.org",
    "rsm library add scsi /dev/sg3",
    "rsm library add standalone /srv/feeder --name Feeder --type LTO-8",
    "rsm library add standalone /dev/disk/by-id/usb-dock --name Dock --type RemovableMedia",
    "rsm library list",
    "rsm library show Robot",
    "rsm library inventory Robot --full",
    "rsm library identify Robot 7",
    "rsm library inject Robot",
    "rsm library eject A00001 A00002",
    "rsm library door Robot --inventory fast",
    "rsm library clean Robot drive-01",
    "rsm library reserve-cleaner Robot 20",
    "rsm library inject-cleaner Robot --uses 50",
    "rsm library delete Robot --dry-run",
)

LibraryArgument = Annotated[str, typer.Argument(metavar="LIBRARY", help="Name or id of the library.")]


@add_verb(noun, "add")
def add_library(
    run: Run,
    kind: Annotated[str, typer.Argument(metavar="KIND", help="Kind of device: virtual, scsi or standalone.")],
    address: Annotated[
        str,
        typer.Argument(
            metavar="ADDRESS",
            help="Where it is: the directory of a virtual library; of a robot its changer, /dev/sgN or "
            "iscsi://HOST:PORT/IQN/LUN, as rsm library scan tells; a directory, disk or image that a person feeds.",
        ),
    ],
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Name; else the device's own.")] = None,
    media_types: Annotated[
        list[str] | None,
        typer.Option("--type", metavar="NAME", help="Media type that it takes, once for each; else the device tells."),
    ] = None,
    no_wait: NoWaitOption = False,
) -> None:
    """Put a library on record with its devices, and take its first inventory."""
    with run.session(worker=not no_wait) as session:
        types = None if media_types is None else [read_reference(each) for each in media_types]
        library = session.libraries.add(kind, address, name=name, media_types=types)
        sentence = f"Library {library.name} is on record, id {library.id}"
        first = _first_inventory(session, library)
        if not no_wait and first is not None:
            first = carry_out(run, session, first)
            library = read_back(session.libraries.get, library.id) or library
            sentence = f"{sentence}.\n{_spoken_findings(library.name, first)}"
        else:
            sentence += "; its first inventory is queued."
    run.output.show_done(sentence, {**as_document(library), "inventory": first}, library.id)


def _first_inventory(session: rsm.Session, library: rsm.Library, *, live: bool = False) -> rsm.LibraryRequest | None:
    inventory = NtmsLmOperation.NTMS_LM_INVENTORY
    return next((each for each in session.requests.list(library.id, live=live) if each.operation is inventory), None)


def _spoken_findings(library: str, inventory: rsm.LibraryRequest) -> str:
    """Return in words what an inventory found: a line, and one more for each kind of news."""
    news = [_spoken_names(kind, inventory.details) for kind in FINDINGS if inventory.details.get(kind)]
    sentence = f"The inventory of {library} found {spoken_counts(inventory)}"
    return "\n".join([f"{sentence}{':' if news else ', nothing new.'}", *news])


def _spoken_names(kind: str, found: dict[str, Any]) -> str:
    number, names = found[kind], found.get(f"{kind}_names", [])
    more = f" and {number - len(names)} more" if number > len(names) else ""
    return f"  {kind}: {', '.join(names)}{more}"


@add_verb(noun, "list")
def list_libraries(run: Run) -> None:
    """List libraries, the offline library too."""
    with run.session() as session:
        run.output.show_list(session.libraries.list(), _COLUMNS, nothing="no libraries")


_COLUMNS: list[Column[rsm.Library]] = [
    Column("Name", lambda library: library.name),
    Column("Type", lambda library: library.library_type),
    Column("State", lambda library: library.operational_state),
    Column("Enabled", lambda library: library.enabled),
    Column("Media", lambda library: library.media),
    Column("Slots", lambda library: library.slots),
    Column("Drives", lambda library: library.drives),
    Column("Ports", lambda library: library.ports),
    Column("Requests", lambda library: library.requests),
]


@add_verb(noun, "show")
def show_library(run: Run, library: LibraryArgument) -> None:
    """Draw a library: its drives, ports and slots, and what lies in them."""
    with run.session() as session:
        found = session.libraries.map(read_reference(library))
        types = [media_type.name for media_type in session.types.list(found.library)]
    shown = found.library
    fields: list[tuple[str, object]] = [
        ("name", shown.name),
        ("id", shown.id),
        ("description", shown.description),
        ("library_type", shown.library_type),
        ("operational_state", shown.operational_state),
        ("enabled", shown.enabled),
        ("media_types", types),
        ("inventory_method", shown.inventory_method),
        ("media", shown.media),
        ("cleaner_slot", next((slot.name for slot in found.slots if slot.id == shown.cleaner_slot), None)),
        ("cleaner_uses_remaining", shown.cleaner_uses_remaining),
        ("flags", shown.flags),
        ("requests", shown.requests),
    ]
    run.output.show_record(found, fields)
    run.output.show_drawing(draw_map(found), plain_lines(found))


@add_verb(noun, "inventory")
def take_inventory(
    run: Run,
    library: LibraryArgument,
    full: Annotated[bool, typer.Option("--full", help="Read every label.")] = False,
    fast: Annotated[
        bool, typer.Option("--fast", help="Read bar codes, and the labels of new cartridges only.")
    ] = False,
    no_wait: NoWaitOption = False,
    timeout: TimeoutOption = None,
) -> None:
    """Find out what is in a library, in its own way or as told."""
    if full and fast:
        raise typer.BadParameter("--full and --fast exclude each other")
    reference = read_reference(library)
    with run.session(worker=not no_wait) as session:
        request = session.libraries.inventory(reference, full=True if full else False if fast else None)
        if request is None:
            sentence = f"The library {library} is set to take no inventories: give --full or --fast."
        elif no_wait:
            sentence = f"The inventory of {library} is queued, id {request.id}."
        else:
            request = carry_out(run, session, request, timeout=timeout)
            sentence = _spoken_findings(library, request)
    _show_inventory(run, sentence, request)


@add_verb(noun, "refresh")
def refresh_library(run: Run, library: LibraryArgument, no_wait: NoWaitOption = False) -> None:
    """Notice what a person put into a stand-alone drive, or took out, whatever inventories it is set to take."""
    reference = read_reference(library)
    with run.session(worker=not no_wait) as session:
        session.detection.poll(Kind.NTMS_LIBRARY, [reference])
        request = _first_inventory(session, session.libraries.get(reference), live=True)
        sentence = f"The look at {library} is queued."
        if not no_wait and request is not None:
            request = carry_out(run, session, request)
            sentence = _spoken_findings(library, request)
    _show_inventory(run, sentence, request)


def _show_inventory(run: Run, sentence: str, request: rsm.LibraryRequest | None) -> None:
    if run.output.form is not Form.PLAIN:
        run.output.show_done(sentence, request, None)
    elif request is not None:
        counts = [request.details.get(kind) for kind in ("found", *FINDINGS)]
        run.output.print_fields([(request.id, *counts)])


@add_verb(noun, "stop")
def stop_inventory(run: Run, library: LibraryArgument) -> None:
    """Take a library's inventories, and what is left of their identifying, out of the queue."""
    with run.session() as session:
        stopped = session.libraries.stop_inventory(read_reference(library))
    sentence = f"Taken out of the queue of {library}: {stopped} request{'' if stopped == 1 else 's'}."
    run.output.show_done(sentence, {"stopped": stopped}, stopped)


@add_verb(noun, "identify")
def identify_slot(
    run: Run,
    library: LibraryArgument,
    slot: Annotated[str, typer.Argument(metavar="SLOT", help="Number, name or id of the slot.")],
    deferred: Annotated[bool, typer.Option("--deferred", help="Leave the cartridge in its drive for a while.")] = False,
    no_wait: NoWaitOption = False,
    timeout: TimeoutOption = None,
) -> None:
    """Read the labels of the cartridge in a slot, and tell what it is."""
    with run.session(worker=not no_wait) as session:
        found = find_slot(session, library, slot)
        request = session.libraries.identify(found, deferred=deferred)
        medium = None
        if request is not None and not no_wait:
            request = carry_out(run, session, request, timeout=timeout)
            medium = _medium_of(session, request, found)
        sentence = f"In slot {found.number} of {library} {_spoken_content(session, request, medium)}"
    run.output.show_done(sentence, {"request": request, "medium": medium}, None if medium is None else medium.id)


def find_slot(session: rsm.Session, library: str, word: str) -> rsm.Slot:
    """Return the slot of a library that a person means (rsm.ObjectNotFoundError)."""
    reference = read_reference(word)
    slots = session.libraries.slots(read_reference(library))
    number = int(word) if word.isascii() and word.isdecimal() and len(word) < 10 else None
    found = [slot for slot in slots if slot.id == reference or slot.name == word]
    found = found or [slot for slot in slots if slot.number == number]
    if len(found) != 1:
        raise rsm.ObjectNotFoundError(f"{'no slot' if not found else 'more than one slot'} in {library} is {word!a}")
    return found[0]


def _medium_of(session: rsm.Session, request: rsm.LibraryRequest, slot: rsm.Slot) -> rsm.PhysicalMedium | None:
    """Return the cartridge that was identified: a known one may have taken the place of the one that was asked for."""
    if request.medium is not None:
        with contextlib.suppress(rsm.AccessDeniedError, *UNKNOWN_REFERENCE):
            return session.media.get(request.medium)
    return next((each for each in session.media.list(library=slot.library) if each.location == slot.id), None)


def _spoken_content(session: rsm.Session, request: rsm.LibraryRequest | None, medium: rsm.PhysicalMedium | None) -> str:
    if request is None:
        return "nothing is on record: take an inventory if it is not empty."
    if medium is not None and medium.cleaner:
        return f"is {medium.name}, a cleaner: it has no label."
    if medium is None:
        return f"the labels are to be read, request {request.id}." if request.completed is None else "labels were read."
    sides = ", ".join(_spoken_side(side) for side in session.media.sides(medium))
    return f"is {medium.name} of {Names(session).pool(medium.pool)}: {sides}."


def _spoken_side(side: rsm.Side) -> str:
    label = f"label {side.label_type}" if side.label_type else "no label that is known"
    return f"side {side.number + 1} {as_text(side.state)}, {label}"


@add_verb(noun, "delete")
def delete_library(run: Run, library: LibraryArgument, yes: YesOption = False, dry_run: DryRunOption = False) -> None:
    """Take a library that is no longer attached off record; its cartridges go to the offline library."""
    run.ask(f"Take the library {library} and all its devices off record?", yes or dry_run)
    with run.session() as session, rehearse_if(dry_run, session):
        session.libraries.delete(read_reference(library))
    run.show_deleted("library", library, dry_run)


@add_verb(noun, "rename")
def rename_library(
    run: Run,
    library: LibraryArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="New name.")],
) -> None:
    """Give a library another name."""
    with run.session() as session:
        renamed = session.objects.update(Kind.NTMS_LIBRARY, read_reference(library), name=name)
    run.output.show_done(f"The library {library} is called {renamed.name} now.", renamed, renamed.id)


@add_verb(noun, "enable")
def enable_library(run: Run, library: LibraryArgument) -> None:
    """Let a library be used again."""
    _switch(run, library, enabled=True)


@add_verb(noun, "disable")
def disable_library(run: Run, library: LibraryArgument) -> None:
    """Keep a library and all in it from being used."""
    _switch(run, library, enabled=False)


def _switch(run: Run, library: str, *, enabled: bool) -> None:
    reference = read_reference(library)
    with run.session() as session:
        switch = session.objects.enable if enabled else session.objects.disable
        switch(Kind.NTMS_LIBRARY, reference)
        switched = read_back(session.libraries.get, reference)
    run.output.show_done(f"The library {library} is {'enabled' if enabled else 'disabled'}.", switched, library)
