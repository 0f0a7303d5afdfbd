"""`rsm library eject|inject|door|done`, `rsm media eject`: work that a person does a part of. Parsing and printing.

Owns the words for what came in and what went out.
"""

from __future__ import annotations

import contextlib
import enum
import shlex
from typing import Annotated

import typer

import rsm
from rsm.cli.library import LibraryArgument
from rsm.cli.output import Form
from rsm.cli.run import Run, add_verb, read_reference
from rsm.cli.waiting import NoWaitOption, TimeoutOption, carry_out
from rsm.constants import NtmsInventoryMethod, NtmsLmOperation
from rsm.nouns.attended import Attended
from rsm.services.queue import ATTENDED


class DoorInventory(enum.StrEnum):
    """The words for the inventory that follows once a door is shut."""

    NONE = "none"
    FAST = "fast"
    FULL = "full"
    DEFAULT = "default"

    @property
    def method(self) -> NtmsInventoryMethod:
        """The constant that the word stands for."""
        name = "OMID" if self is DoorInventory.FULL else self.name
        return NtmsInventoryMethod[f"NTMS_INVENTORY_{name}"]


MediaArgument = Annotated[list[str], typer.Argument(metavar="MEDIUM…", help="Names, bar codes or ids of cartridges.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Take what is mounted away from who uses it.")]


def eject_media(
    run: Run,
    media: MediaArgument,
    force: ForceOption = False,
    no_wait: NoWaitOption = False,
    timeout: TimeoutOption = None,
) -> None:
    """Bring cartridges to the ports of their library, and wait until a person has taken them out.

    More than there are ports go out one after the other. What nobody takes out in the port's time is put back.
    """
    with run.session(worker=not no_wait) as session:
        asked = session.media.eject(*(read_reference(each) for each in media), force=force)
        request = see_through(run, session, asked, no_wait=no_wait, timeout=timeout)
    show_moved(run, request, "taken_out", "Taken out")


def inject_media(
    run: Run,
    library: LibraryArgument,
    many: Annotated[bool, typer.Option("--many", help="Open the ports again after each find.")] = False,
    no_wait: NoWaitOption = False,
    timeout: TimeoutOption = None,
) -> None:
    """Take in what a person puts into the ports of a library, and identify it."""
    with run.session(worker=not no_wait) as session:
        asked = session.libraries.inject(read_reference(library), many=many)
        request = see_through(run, session, asked, no_wait=no_wait, timeout=timeout)
    show_moved(run, request, "taken_in", "Taken in")


def open_door(
    run: Run,
    library: LibraryArgument,
    inventory: Annotated[
        DoorInventory,
        typer.Option("--inventory", help="Inventory to take once it is shut; default: the library's own."),
    ] = DoorInventory.DEFAULT,
    no_wait: NoWaitOption = False,
    timeout: TimeoutOption = None,
) -> None:
    """Open the door of a library to a person; nothing moves until it is shut, which rsm library done tells."""
    with run.session(worker=not no_wait) as session:
        asked = session.libraries.door(read_reference(library), inventory.method)
        request = see_through(run, session, asked, no_wait=no_wait, timeout=timeout)
        sentence = "The door is shut." if request.completed else _queued(run, session, request)
    run.output.show_done(sentence, request, request.id)


def end_attended(
    run: Run,
    library: LibraryArgument,
    retract: Annotated[
        bool, typer.Option("--retract", help="Take in what is in the ports, then open them again (inject --many).")
    ] = False,
) -> None:
    """Tell that a person has done their part: what is in the ports is seen to, or the door is shut."""
    with run.session() as session:
        found = session.libraries.get(read_reference(library))
        live = [each for each in session.requests.list(found, live=True) if each.operation in ATTENDED]
        if not live:
            raise rsm.InvalidOperationError(f"nothing that a person has a part in goes on in {found.name}")
        if retract:
            session.libraries.attended(live[0]).retract()
        else:
            end_request(session, live[0])
    run.output.show_done(f"The {live[0].name} in {library} comes to its end.", live[0], live[0].id)


def add_to(library_noun: typer.Typer, media_noun: typer.Typer) -> None:
    """Add the verbs to the nouns that they belong to."""
    for name, verb in (("inject", inject_media), ("door", open_door), ("done", end_attended)):
        add_verb(library_noun, name)(verb)
    for noun in (library_noun, media_noun):
        add_verb(noun, "eject")(eject_media)


def end_request(session: rsm.Session, request: rsm.LibraryRequest) -> None:
    """End what a person has a part in before its time, at a robot or at a drive of its own (rsm.RsmError)."""
    if request.operation is NtmsLmOperation.NTMS_LM_EJECT and request.drive is not None:
        session.libraries.stop_eject(request.drive)
    else:
        session.libraries.attended(request).stop()


def see_through(
    run: Run, session: rsm.Session, asked: Attended, *, no_wait: bool, timeout: float | None
) -> rsm.LibraryRequest:
    """Wait for what a person does a part of, unless it is only queued, and return its request."""
    return asked.request if no_wait else carry_out(run, session, asked.request, timeout=timeout)


def _queued(run: Run, session: rsm.Session, request: rsm.LibraryRequest) -> str:
    name = str(request.library)
    with contextlib.suppress(rsm.RsmError):  # the id names it too
        name = session.libraries.get(request.library).name
    ending = f"{run.command(session)} library done {shlex.quote(name)}"
    return f"The {request.name} is queued, id {request.id}; {ending} ends it."


def show_moved(run: Run, request: rsm.LibraryRequest, moved: str, words: str) -> None:
    """Tell which cartridges came in or went out."""
    names = request.details.get(moved, [])
    if run.output.form is Form.PLAIN:
        run.output.print_fields([(request.id, *names)])
        return
    more = request.details.get("message")
    sentence = (
        f"{words}: {', '.join(names)}." if request.completed else f"The {request.name} is queued, id {request.id}."
    )
    run.output.show_done(f"{sentence} {more}." if more else sentence, request, request.id)
