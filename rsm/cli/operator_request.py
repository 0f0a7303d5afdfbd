"""`rsm operator`: what people are asked to do, and their answers. Parsing and printing only.

Owns the words in which a request is put to the person who is to carry it out.
"""

from __future__ import annotations

import datetime
import enum
import uuid
from typing import Annotated

import typer

import rsm
from rsm.cli.output import Column, Form, record_fields
from rsm.cli.run import (
    UNKNOWN_REFERENCE,
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
from rsm.constants import NtmsLibraryType
from rsm.constants import NtmsOpreqCommand as Command
from rsm.constants import NtmsOpreqState as State

Kind = rsm.NtmsObjectsTypes
Request = rsm.OperatorRequest

noun = make_noun(
    "Requests to operators: what people are to do at the libraries, and their answers.",
    "rsm operator list",
    "rsm operator satisfy 0190f3c6-5c1e-7a52-9d0e-3b6f2a81c7d4",
    "rsm operator submit move-media --about A00001L8 --target 'Tape library 1' --message 'for the audit'",
    "rsm operator wait 0190f3c6-5c1e-7a52-9d0e-3b6f2a81c7d4 --timeout 3600",
)

RequestArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the request.")]

_FINISHED = (State.NTMS_OPSTATE_REFUSED, State.NTMS_OPSTATE_COMPLETE)
_FULL_NAME = "NTMS_OPREQ_{}"


class RequestKind(enum.StrEnum):
    """The words for the kinds of requests."""

    NEWMEDIA = "new-media"
    CLEANER = "cleaner"
    DEVICESERVICE = "device-service"
    MOVEMEDIA = "move-media"
    MESSAGE = "message"

    @property
    def header_value(self) -> Command:
        """The constant that the word stands for."""
        return Command[_FULL_NAME.format(self.name)]


# A request in words


class Task:
    """Says in words what a request asks a person to do; what may not be read or is gone goes by its id."""

    def __init__(self, session: rsm.Session) -> None:
        self._session = session
        self._names = Names(session)

    def tell(self, request: Request) -> str:
        """Return the request as a sentence without its full stop, its message last."""
        wish, message = self._wish(request), " ".join(request.message.split())
        return f"{wish}: {message}" if wish and message else wish or message or "a message without text"

    def _wish(self, request: Request) -> str:
        about = self._name(request.argument1_kind, request.argument1)
        target = self._name(request.argument2_kind, request.argument2)
        match request.request:
            case Command.NTMS_OPREQ_NEWMEDIA:
                return f"put new {self._media_of(request.argument1)} for {about} into {target or 'a library'}"
            case Command.NTMS_OPREQ_CLEANER:
                return f"put a cleaning cartridge into {about}"
            case Command.NTMS_OPREQ_DEVICESERVICE:
                return f"see to {about}, which needs service"
            case Command.NTMS_OPREQ_MOVEMEDIA if self._is_offline(request.argument2):
                return f"take {about}{self._whereabouts(request.argument1)} out and put it on the shelf"
            case Command.NTMS_OPREQ_MOVEMEDIA:
                return f"put {about}{self._whereabouts(request.argument1)} into {target}"
            case _:
                return " and ".join(f"about {name}" for name in (about, target) if name)

    def _name(self, kind: rsm.NtmsObjectsTypes, known: uuid.UUID | None) -> str:
        if known is None:
            return ""
        found = self._read(kind, known)
        match found:
            case None:
                return f"{_EVERYDAY.get(kind, 'the object')} {known}"
            case rsm.PhysicalMedium():
                named = "" if found.name in ("", found.barcode) else f" ({found.name})" if found.barcode else found.name
                return f"cartridge {found.barcode}{named}"
            case rsm.MediaPool():
                return f"pool {found.path}"
            case rsm.Slot() | rsm.Drive() | rsm.Door() | rsm.Port() | rsm.Changer():
                library = self._names.library(found.library)
                return f"{_EVERYDAY[kind]} {found.number} ({found.name}) of library {library}"
            case _:
                return f"{_EVERYDAY.get(kind, 'the object')} {found.name}"

    def _read(self, kind: rsm.NtmsObjectsTypes, known: uuid.UUID) -> rsm.Value | None:
        try:
            found: rsm.Value = self._session.objects.get(kind, known)
        except (rsm.AccessDeniedError, *UNKNOWN_REFERENCE):
            return None
        return found

    def _media_of(self, pool: uuid.UUID | None) -> str:
        found = None if pool is None else self._read(Kind.NTMS_MEDIA_POOL, pool)
        if isinstance(found, rsm.MediaPool) and found.media_type is not None:
            return f"{self._names.media_type(found.media_type)} media"
        return "media"

    def _is_offline(self, library: uuid.UUID | None) -> bool:
        found = None if library is None else self._read(Kind.NTMS_LIBRARY, library)
        return isinstance(found, rsm.Library) and found.library_type is NtmsLibraryType.NTMS_LIBRARYTYPE_OFFLINE

    def _whereabouts(self, medium: uuid.UUID | None) -> str:
        found = None if medium is None else self._read(Kind.NTMS_PHYSICAL_MEDIA, medium)
        if not isinstance(found, rsm.PhysicalMedium):
            return ""
        return (
            ", now on the shelf,"
            if self._is_offline(found.library)
            else (f", now in library {self._names.library(found.library)},")
        )


_EVERYDAY = {
    Kind.NTMS_LIBRARY: "library",
    Kind.NTMS_MEDIA_POOL: "pool",
    Kind.NTMS_PHYSICAL_MEDIA: "cartridge",
    Kind.NTMS_DRIVE: "drive",
    Kind.NTMS_STORAGESLOT: "slot",
    Kind.NTMS_IEDOOR: "door",
    Kind.NTMS_IEPORT: "port",
    Kind.NTMS_CHANGER: "changer",
}


def spoken_time(seconds: int) -> str:
    """Return a length of time in the two largest units that say something: `3 h 12 min`."""
    if seconds < 60:
        return f"{max(seconds, 0)} s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if hours < 1:
        return f"{minutes} min"
    return f"{hours} h {minutes % 60} min" if days < 1 else f"{days} d {hours % 24} h"


def _waiting_seconds(request: Request) -> int:
    return int((datetime.datetime.now(datetime.UTC) - request.submitted).total_seconds())


# The verbs


@add_verb(noun, "list")
def list_requests(
    run: Run, everything: Annotated[bool, typer.Option("--all", help="Also those that were answered.")] = False
) -> None:
    """List what is to be done, for how long it has been waiting, and the commands that answer it; oldest first."""
    with run.session() as session:
        requests = [each for each in session.operators.list() if everything or each.state not in _FINISHED]
        task = Task(session)
        if run.output.form is not Form.PEOPLE or not requests:
            run.output.show_list(requests, request_columns(task), nothing="nothing to do")
            return
        command = run.command(session)
        for request in requests:
            _print_request(run, task, request, command)


def request_columns(task: Task) -> list[Column[Request]]:
    """Return the columns of a listing of requests."""
    return [
        Column("Id", lambda request: request.id),
        Column("Kind", lambda request: request.name),
        Column("State", lambda request: request.state),
        Column("Submitted", lambda request: request.submitted),
        Column("What to do", task.tell),
        Column("User", lambda request: request.user),
        Column("Application", lambda request: request.application),
        Column("Computer", lambda request: request.computer),
    ]


def _print_request(run: Run, task: Task, request: Request, command: str) -> None:
    sentence = task.tell(request)
    run.output.print_text(sentence[0].upper() + sentence[1:], style="bold")
    asked = f"asked by {request.user} with {request.application} on {request.computer}"
    if request.state in _FINISHED:
        run.output.print_text(f"  {_answer(request)}, {asked}, id {request.id}")
        return
    run.output.print_text(f"  waiting {spoken_time(_waiting_seconds(request))}, {asked}")
    run.output.print_text(f"  when it is done:      {command} operator satisfy {request.id}")
    run.output.print_text(f"  if it cannot be done: {command} operator refuse {request.id}")


def _answer(request: Request) -> str:
    return "done" if request.state is State.NTMS_OPSTATE_COMPLETE else "refused"


@add_verb(noun, "show")
def show_request(run: Run, request: RequestArgument) -> None:
    """Show all there is to know about one request."""
    with run.session() as session:
        found = session.operators.get(read_reference(request))
        fields = [("what_to_do", Task(session).tell(found)), *record_fields(found)]
    run.output.show_record(found, fields)


@add_verb(noun, "submit")
def submit_request(
    run: Run,
    kind: Annotated[RequestKind, typer.Argument(metavar="KIND", help=f"One of: {', '.join(RequestKind)}.")],
    message: Annotated[str, typer.Option("--message", metavar="TEXT", help="Text for the operator.")] = "",
    about: Annotated[
        str | None,
        typer.Option(
            "--about",
            metavar="OBJECT",
            help="What it is about: pool of new-media; library or slot of cleaner; library, drive, door or cartridge "
            "of device-service; cartridge of move-media.",
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option("--target", metavar="LIBRARY", help="Library that new media or a cartridge are to go into."),
    ] = None,
) -> None:
    """Ask an operator for something; what is named goes by its id, name, bar code or path."""
    with run.session() as session:
        made = session.operators.submit(
            kind.header_value, message=message, argument1=read_optional(about), argument2=read_optional(target)
        )
    run.output.show_done(f"The operators are asked, id {made.id}.", made, made.id)


@add_verb(noun, "wait")
def wait_for_request(
    run: Run,
    request: RequestArgument,
    timeout: Annotated[
        int | None, typer.Option("--timeout", metavar="SECONDS", help="Wait at most so long; 0 only looks.")
    ] = None,
) -> None:
    """Wait until a request is answered; the exit status is 0 if what it asked for was done."""
    with run.session() as session:
        wanted = read_reference(request)
        session.operators.wait(wanted, timeout_ms=None if timeout is None else timeout * 1000)
        found = _read_answered(session, wanted)
    run.output.show_done("It is done.", found, request)


def _read_answered(session: rsm.Session, wanted: uuid.UUID | str) -> Request | None:
    try:
        return read_back(session.operators.get, wanted)
    except rsm.ObjectNotFoundError:
        return None  # whoever asked for it has taken the answer and forgotten it


@add_verb(noun, "satisfy")
def satisfy_request(run: Run, request: RequestArgument) -> None:
    """Tell that what a request asked for is done."""
    with run.session() as session:
        wanted = read_reference(request)
        session.operators.satisfy(wanted)
        found = _read_answered(session, wanted)
    run.output.show_done(f"The request {request} is answered: done.", found, request)


@add_verb(noun, "refuse")
def refuse_request(run: Run, request: RequestArgument) -> None:
    """Tell that what a request asked for will not be done; whoever waits for it is told."""
    with run.session() as session:
        wanted = read_reference(request)
        session.operators.refuse(wanted)
        found = _read_answered(session, wanted)
    run.output.show_done(f"The request {request} is answered: refused.", found, request)


@add_verb(noun, "delete")
def delete_requests(
    run: Run,
    requests: Annotated[list[str], typer.Argument(metavar="ID…", help="Ids of requests.")],
    yes: YesOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Forget requests that were answered; open ones and unknown ids are passed over."""
    run.ask(f"Forget the answered ones of {len(requests)} operator requests?", yes or dry_run)
    with run.session() as session, rehearse_if(dry_run, session):
        deleted = session.operators.delete(*(read_reference(each) for each in requests))
    if dry_run:
        run.output.show_rehearsal(f"delete {deleted} of {len(requests)} operator requests")
    else:
        sentence = f"Deleted operator requests: {deleted} of {len(requests)}."
        run.output.show_done(sentence, {"deleted": deleted}, deleted)
