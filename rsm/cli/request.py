"""`rsm request`: the queue of library work. Parsing and printing only.

Owns the words in which a request is told to people.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Annotated, Any

import typer

import rsm
from rsm.cli.operator_request import spoken_time
from rsm.cli.output import Column, as_document, as_text, record_fields
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
from rsm.cli.waiting import TimeoutOption, carry_out
from rsm.constants import NtmsInventoryMethod
from rsm.constants import NtmsLmOperation as Operation
from rsm.constants import NtmsLmState as State

Kind = rsm.NtmsObjectsTypes
Request = rsm.LibraryRequest

noun = make_noun(
    "Library requests: the queue of what libraries are to do, what they do now, and what became of it.",
    "rsm request list",
    "rsm request show 0190f3c6-5c1e-7a52-9d0e-3b6f2a81c7d4",
    "rsm request order 0190f3c6-5c1e-7a52-9d0e-3b6f2a81c7d4 1",
    "rsm request cancel 0190f3c6-5c1e-7a52-9d0e-3b6f2a81c7d4",
    "rsm request purge --yes",
)

RequestArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the request.")]

_LAST = 0xFFFFFFFF
_NEXT = "it is next"
_SCANS = {
    NtmsInventoryMethod.NTMS_INVENTORY_FAST: "fast inventory",
    NtmsInventoryMethod.NTMS_INVENTORY_OMID: "full inventory",
}


class Work:
    """Says in words what requests do, and how far they have come; what may not be read or is gone goes by its id."""

    def __init__(self, session: rsm.Session) -> None:
        self._session = session
        self.names = Names(session)

    def tell(self, request: Request) -> str:
        """Return what a request does and for whom: `mount A00001 in drive-01 for nightly (alice)`."""
        return f"{self._deed(request)} for {_asker(request)}"

    def _deed(self, request: Request) -> str:
        medium = self.names.object(Kind.NTMS_PHYSICAL_MEDIA, request.medium)
        drive = self.names.object(Kind.NTMS_DRIVE, request.drive)
        match request.operation:
            case Operation.NTMS_LM_MOUNT:
                writing = " for writing" if request.details.get("for_writing") else ""
                return f"mount {medium}{f' in {drive}' if drive else ''}{writing}"
            case Operation.NTMS_LM_DISMOUNT:
                return f"dismount {medium or 'what it holds'} from {drive}"
            case Operation.NTMS_LM_INVENTORY:
                words = {int(method): word for method, word in _SCANS.items()}
                return words.get(request.operation_option, "inventory")
            case Operation.NTMS_LM_PROCESSOMID:
                return f"identify {medium}{f' in {drive}' if drive else ''}"
            case Operation.NTMS_LM_WRITESCRATCH:
                return f"write the free label of {medium}{f' in {drive}' if drive else ''}"
            case Operation.NTMS_LM_INJECT:
                return "take cartridges in"
            case Operation.NTMS_LM_EJECT:
                media = len(request.details.get("media", ()))
                return f"eject {medium or f'{media} cartridges'}"
            case Operation.NTMS_LM_DOORACCESS:
                return "open the door"
            case _:
                return as_text(request.operation)

    def progress(self, request: Request) -> str:
        """Return how far a request has come: `waiting 12 s: drive-01 is busy`."""
        (why,) = self._session.requests.why(request)
        return self.spoken_progress(request, why)

    def spoken_progress(self, request: Request, why: str) -> str:
        """Return how far a request has come, where it is known why."""
        if request.completed is not None:
            failure = f" with {rsm.ErrorCode(request.error_code).name}" if request.error_code else ""
            return f"{as_text(request.state)}{failure}{': ' if why else ''}{why}"
        if why == _NEXT and not self._session.is_worked(request.library):
            why = "nobody works the library just now"
        seconds = int((datetime.datetime.now(datetime.UTC) - request.queued).total_seconds())
        word = "at work" if request.state is State.NTMS_LM_INPROCESS else f"waiting {spoken_time(seconds)}"
        return f"{word}: {why}"


FINDINGS = ("appeared", "returned", "moved", "vanished", "problems")


def spoken_counts(inventory: Request) -> str:
    """Return in words how much of what an inventory found: `3 cartridges, 1 appeared`."""
    found = inventory.details
    count = found.get("found", 0)
    news = [f"{found[kind]} {kind}" for kind in FINDINGS if found.get(kind)]
    return ", ".join([f"{count} cartridge{'' if count == 1 else 's'}", *news])


def _asker(request: Request) -> str:
    user = request.user.removeprefix("user:")
    return user if user == request.application else f"{request.application} ({user})"


# The verbs


@add_verb(noun, "list")
def list_requests(
    run: Run,
    library: Annotated[
        str | None, typer.Argument(metavar="[LIBRARY]", help="Only the requests of this library; else all.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also those that have ended.")] = False,
) -> None:
    """List what libraries are to do, for whom, and why it has not been done yet; oldest first."""
    with run.session() as session:
        requests = session.requests.list(read_optional(library), live=not everything)
        run.output.show_list(_told(session, requests), _COLUMNS, nothing="nothing to do")


def _told(session: rsm.Session, requests: Sequence[Request]) -> list[dict[str, Any]]:
    """Return requests with what they do and how far they have come; what was purged meanwhile is left out."""
    work = Work(session)
    told = []
    for request, why in _reasons(session, requests):
        words = {"what": work.tell(request), "progress": work.spoken_progress(request, why)}
        told.append({**as_document(request), "library_name": work.names.library(request.library), **words})
    return told


def _reasons(session: rsm.Session, requests: Sequence[Request]) -> list[tuple[Request, str]]:
    try:
        return list(zip(requests, session.requests.why(*requests), strict=True))
    except rsm.ObjectNotFoundError:
        pass
    found = []
    for request in requests:
        try:
            found.append((request, session.requests.why(request)[0]))
        except rsm.ObjectNotFoundError:
            continue
    return found


_COLUMNS: list[Column[dict[str, Any]]] = [
    Column("What", lambda told: told["what"]),
    Column("Library", lambda told: told["library_name"]),
    Column("Progress", lambda told: told["progress"]),
    Column("Id", lambda told: told["id"]),
]


@add_verb(noun, "show")
def show_request(run: Run, request: RequestArgument) -> None:
    """Show all there is to know about one request, and its steps."""
    with run.session() as session:
        found = session.requests.get(read_reference(request))
        steps = session.requests.steps(found)
        work = Work(session)
        told = {"what": work.tell(found), "progress": work.progress(found)}
        fields = record_fields(
            found,
            library=work.names.library(found.library),
            medium=work.names.object(Kind.NTMS_PHYSICAL_MEDIA, found.medium),
            drive=work.names.object(Kind.NTMS_DRIVE, found.drive),
            slot=work.names.object(Kind.NTMS_STORAGESLOT, found.slot),
        )
    document = {**as_document(found), **told, "steps": steps}
    run.output.show_record(document, [*told.items(), *fields])
    run.output.show_parts(steps, _STEP_COLUMNS, title="Steps", line_name="step")


_STEP_COLUMNS: list[Column[rsm.RequestStep]] = [
    Column("Step", lambda step: step.number + 1),
    Column("Action", lambda step: step.action),
    Column("From", lambda step: step.source),
    Column("To", lambda step: step.destination),
    Column("State", lambda step: step.state),
    Column("Begun", lambda step: step.started),
    Column("Ended", lambda step: step.completed),
]


@add_verb(noun, "wait")
def wait_for_request(run: Run, request: RequestArgument, timeout: TimeoutOption = None) -> None:
    """Wait until a request has ended, and work its library meanwhile; the exit status is 0 if it was done."""
    with run.session(worker=True) as session:
        ended = carry_out(run, session, session.requests.get(read_reference(request)), timeout=timeout)
        told = Work(session).tell(ended)
    run.output.show_done(f"Done: {told}.", ended, request)


@add_verb(noun, "cancel")
def cancel_request(run: Run, request: RequestArgument) -> None:
    """Take a request out of the queue; one that is being worked on runs to its end."""
    reference = read_reference(request)
    with run.session() as session:
        session.requests.cancel(reference)
        cancelled = read_back(session.requests.get, reference)
    run.output.show_done(f"The request {request} is cancelled.", cancelled, request)


@add_verb(noun, "order")
def order_request(
    run: Run,
    request: RequestArgument,
    place: Annotated[
        str | None, typer.Argument(metavar="[N]", help="New place, 1 is next, or the word last; else it is told.")
    ] = None,
) -> None:
    """Tell or change the place of a mount among those that wait."""
    reference = read_reference(request)
    wanted = _read_place(place)
    with run.session() as session:
        if wanted is not None:
            session.requests.set_order(reference, wanted)
        now = session.requests.order(reference)
    number = None if now == 0 else "last" if now == _LAST else f"number {now}"
    sentence = "cannot be moved: only mounts that wait have a place" if number is None else f"is {number}"
    run.output.show_done(f"The request {request} {sentence}.", {"id": request, "order": now}, now)


def _read_place(word: str | None) -> int | None:
    if word is None:
        return None
    if word == "last":
        return _LAST
    if not word.isascii() or not word.isdecimal():
        raise typer.BadParameter(f"{word!a} is no place in the queue: give a number from 1, or last")
    return int(word)


@add_verb(noun, "delete")
def delete_requests(
    run: Run,
    requests: Annotated[list[str] | None, typer.Argument(metavar="[ID…]", help="Ids of requests.")] = None,
    ended: Annotated[bool, typer.Option("--ended", help="All that have ended.")] = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Forget requests that have ended; live ones and unknown ids are passed over."""
    ids = requests or []
    if ended == bool(ids):
        raise typer.BadParameter("give ids of requests, or --ended")
    _forget(run, ids, yes, dry_run)


@add_verb(noun, "purge")
def purge_requests(run: Run, yes: YesOption = False, dry_run: DryRunOption = False) -> None:
    """Forget all requests that have ended, without waiting for the time that the computer keeps them."""
    _forget(run, [], yes, dry_run)


def _forget(run: Run, ids: list[str], yes: bool, dry_run: bool) -> None:
    """Forget requests, all that have ended if none is named."""
    what = f"{len(ids)} library requests" if ids else "all library requests that have ended"
    run.ask(f"Forget {what}?", yes or dry_run)
    with run.session() as session, rehearse_if(dry_run, session):
        if ids:
            deleted = session.requests.delete(*(read_reference(each) for each in ids))
        else:
            deleted = session.requests.delete_ended()
    if dry_run:
        run.output.show_rehearsal(f"delete {deleted} library requests")
    else:
        run.output.show_done(f"Deleted library requests: {deleted}.", {"deleted": deleted}, deleted)
