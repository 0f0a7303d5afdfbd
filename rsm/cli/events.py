"""`rsm events` and `rsm media history`: what changed, when, by whom and why. Parsing and printing only.

Owns the words in which a change is told to people.
"""

from __future__ import annotations

import enum
import itertools
import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

import typer

import rsm
from rsm.cli.media import MediumArgument
from rsm.cli.media import noun as media
from rsm.cli.output import Column, Form, as_document, as_text, flush_output
from rsm.cli.run import (
    DatabaseOption,
    JsonOption,
    Names,
    PlainOption,
    Run,
    Settings,
    add_verb,
    example_text,
    read_reference,
)
from rsm.constants import (
    NtmsBarCodeState,
    NtmsDoorState,
    NtmsDriveState,
    NtmsLmOperation,
    NtmsLmState,
    NtmsMediaState,
    NtmsNotificationOperations,
    NtmsOperationalState,
    NtmsOpreqCommand,
    NtmsOpreqState,
    NtmsPartitionState,
    NtmsPoolType,
    NtmsPortContent,
    NtmsPortPosition,
    NtmsSlotState,
    NtmsUITypes,
)
from rsm.services.objects import spoken

Kind = rsm.NtmsObjectsTypes
Operation = NtmsNotificationOperations

_SHOWN = 100
_PAGE = 1_000
_HAPPENED = {Operation.NTMS_OBJ_INSERT: "new", Operation.NTMS_OBJ_UPDATE: "changed", Operation.NTMS_OBJ_DELETE: "gone"}
_STATES: dict[Kind, type[enum.IntEnum]] = {
    Kind.NTMS_DRIVE: NtmsDriveState,
    Kind.NTMS_IEDOOR: NtmsDoorState,
    Kind.NTMS_LIBREQUEST: NtmsLmState,
    Kind.NTMS_OPREQUEST: NtmsOpreqState,
    Kind.NTMS_PARTITION: NtmsPartitionState,
    Kind.NTMS_STORAGESLOT: NtmsSlotState,
}
_ENUMS: dict[str, type[enum.IntEnum]] = {
    "argument1_kind": Kind,
    "argument2_kind": Kind,
    "barcode_state": NtmsBarCodeState,
    "content": NtmsPortContent,
    "media_state": NtmsMediaState,
    "operation": NtmsLmOperation,
    "operational_state": NtmsOperationalState,
    "pool_type": NtmsPoolType,
    "position": NtmsPortPosition,
    "request": NtmsOpreqCommand,
    "ui_type": NtmsUITypes,
}
_NAMED: dict[str, Kind] = {
    "changer_type_id": Kind.NTMS_CHANGER_TYPE,
    "drive_id": Kind.NTMS_DRIVE,
    "drive_type_id": Kind.NTMS_DRIVE_TYPE,
    "home_slot_id": Kind.NTMS_STORAGESLOT,
    "library_id": Kind.NTMS_LIBRARY,
    "media_type_id": Kind.NTMS_MEDIA_TYPE,
    "medium_id": Kind.NTMS_PHYSICAL_MEDIA,
    "parent_id": Kind.NTMS_MEDIA_POOL,
    "pool_id": Kind.NTMS_MEDIA_POOL,
    "port_id": Kind.NTMS_IEPORT,
    "side_id": Kind.NTMS_PARTITION,
    "slot_id": Kind.NTMS_STORAGESLOT,
}
# What a word after --of may name, where it is no id.
_FINDABLE = (
    Kind.NTMS_PHYSICAL_MEDIA,
    Kind.NTMS_MEDIA_POOL,
    Kind.NTMS_LIBRARY,
    Kind.NTMS_DRIVE,
    Kind.NTMS_MEDIA_TYPE,
    Kind.NTMS_STORAGESLOT,
    Kind.NTMS_IEPORT,
    Kind.NTMS_IEDOOR,
    Kind.NTMS_CHANGER,
    Kind.NTMS_COMPUTER,
)

_EXAMPLES = example_text(
    "rsm events",
    "rsm events --follow",
    r"rsm events list --of '\Nightly\Daily' --limit 20",
    "rsm --json events follow --after 1200",
)
noun = typer.Typer(
    help="What changed: every change of every object, when, by whom and why.",
    epilog=_EXAMPLES,
    rich_markup_mode="rich",
    invoke_without_command=True,
)

OfOption = Annotated[
    str | None, typer.Option("--of", metavar="OBJECT", help="Only changes of this: an id, name, bar code or pool path.")
]
AfterOption = Annotated[
    int | None, typer.Option("--after", metavar="ID", help="Only what came after the event of this number.", min=0)
]
LimitOption = Annotated[
    int | None,
    typer.Option(
        "--limit",
        metavar="N",
        help=f"At most so many: the last, the first after --after; else {_SHOWN}. Following ends after so many.",
        min=1,
        max=2**31 - 1,
    ),
]
FollowOption = Annotated[bool, typer.Option("--follow", "-f", help="Go on telling what changes, until interrupted.")]


# The verbs


@noun.callback()
def show_events(
    context: typer.Context,
    follow: FollowOption = False,
    of: OfOption = None,
    after: AfterOption = None,
    limit: LimitOption = None,
    database_url: DatabaseOption = None,
    as_json: JsonOption = False,
    as_plain: PlainOption = False,
) -> None:
    """What changed: every change of every object, when, by whom and why; without a verb, as list or follow."""
    settings: Settings = context.obj
    settings.add(database_url, as_json, as_plain)
    if context.invoked_subcommand is not None:
        if follow or (of, after, limit) != (None, None, None):
            raise typer.BadParameter("options of events stand after the verb, or without one")
        return
    settings.verb_begun = True
    (follow_events if follow else list_events)(Run(settings), of, after, limit)


@add_verb(noun, "list")
def list_events(run: Run, of: OfOption = None, after: AfterOption = None, limit: LimitOption = None) -> None:
    """List what changed, oldest first."""
    with run.session() as session:
        wanted, most = _find(session, of), limit or _SHOWN
        if after is None:
            found = session.events.latest(object_=wanted, limit=most)
        else:
            found = session.events.list(object_=wanted, after=_checked(after), limit=most)
        _show(run, session, found)


@add_verb(noun, "follow")
def follow_events(run: Run, of: OfOption = None, after: AfterOption = None, limit: LimitOption = None) -> None:
    """Go on telling what changes as it happens, until interrupted; with --json, a document a line."""
    with run.session() as session:
        wanted = _find(session, of)
        story = Story(session)
        changes = (event for event in _changes(session, after) if wanted in (None, event.object))
        for event in itertools.islice(changes, limit):
            if run.output.form is Form.JSON:
                run.output.print_lines([json.dumps(as_document(event))])
            elif run.output.form is Form.PLAIN:
                run.output.print_fields([[column.read(event) for column in _FIELDS]])
            else:
                story.learn([event])
                run.output.print_text(story.sentence(event))
            flush_output()


@add_verb(media, "history")
def show_history(run: Run, medium: MediumArgument, limit: LimitOption = None) -> None:
    """Tell what happened to a cartridge, its sides and the logical media on it; one that is gone goes by its id."""
    with run.session() as session:
        _show(run, session, session.events.history(read_reference(medium), limit=limit or _PAGE))


def _checked(after: int) -> int:
    if after >= 2**63:
        raise typer.BadParameter(f"{after} is no number of an event")
    return after


def _find(session: rsm.Session, word: str | None) -> uuid.UUID | None:
    if word is None:
        return None
    wanted = read_reference(word)
    if isinstance(wanted, uuid.UUID):
        return wanted
    found: dict[Kind, uuid.UUID] = {}
    for kind in _FINDABLE:
        try:
            found[kind] = session.objects.find(kind, wanted)
        except (rsm.ObjectNotFoundError, rsm.InvalidNameError):
            continue
    if len(found) > 1:
        words = ", ".join(f"{spoken(kind)} {each}" for kind, each in found.items())
        raise rsm.InvalidParameterError(f"several objects are called {word!a}: use the id of one, {words}")
    for each in found.values():
        return each
    raise rsm.ObjectNotFoundError(f"nothing is called {word!a}")


def _changes(session: rsm.Session, after: int | None) -> Iterator[rsm.Event]:
    """Yield what came after the event of a number, None is now, and go on with what comes."""
    last = 0
    with session.notifications.open() as channel:
        if after is not None:
            last = _checked(after)
            while page := session.events.list(after=last, limit=_PAGE):
                yield from page
                last = page[-1].id
        while True:
            event = channel.wait()
            if event.id > last:
                yield event


# In words


class Story:
    """Tells changes to people; what is gone is called what the events called it."""

    def __init__(self, session: rsm.Session) -> None:
        self._names = Names(session)
        self._called: dict[str, str] = {}

    def learn(self, events: Iterable[rsm.Event]) -> None:
        """Take up what events call their objects."""
        for event in events:
            fields = {**(event.before or {}), **(event.after or {})}
            name = fields.get("path") or fields.get("name") or fields.get("barcode") or fields.get("destination")
            if name:
                self._called[str(event.object)] = str(name)

    def subject(self, event: rsm.Event) -> str:
        """Return what an event is about: `cartridge A00001`."""
        word = "destination" if event.kind is Kind.NTMS_UI_DESTINATION else spoken(event.kind)
        return f"{word} {self._name(event.kind, str(event.object))}"

    def change(self, event: rsm.Event) -> str:
        """Return what an event changed: `state: available → allocated`."""
        before, after = event.before or {}, event.after or {}
        both = event.operation is Operation.NTMS_OBJ_UPDATE
        told = []
        for name in {**after, **before}:
            old, new = (self._value(event, name, fields.get(name)) for fields in (before, after))
            if both and name in before:
                told.append(f"{_spoken_field(name)}: {old} → {new}")
            elif both or after.get(name, before.get(name)) not in (None, "", 0):
                told.append(f"{_spoken_field(name)}: {new if name in after else old}")
        return ", ".join(told)

    def sentence(self, event: rsm.Event) -> str:
        """Return an event in one line."""
        what = f"{as_text(event.at)}  {self.subject(event)} {happened(event)} ({event.call} by {_asker(event)})"
        change = self.change(event)
        return f"{what}{': ' if change else ''}{change}{f' because {event.reason}' if event.reason else ''}"

    def _name(self, kind: Kind, object_id: str) -> str:
        wanted = uuid.UUID(object_id)
        if kind in (Kind.NTMS_LIBREQUEST, Kind.NTMS_OPREQUEST, Kind.NTMS_UI_DESTINATION):
            return self._called.get(object_id, object_id)
        found = self._names.pool(wanted) if kind is Kind.NTMS_MEDIA_POOL else self._names.object(kind, wanted)
        return self._called.get(object_id, object_id) if found in (None, object_id) else str(found)

    def _value(self, event: rsm.Event, field: str, value: Any) -> str:
        if field in _NAMED and isinstance(value, str):
            return self._name(_NAMED[field], value)
        words = _STATES.get(event.kind) if field == "state" else _ENUMS.get(field)
        if words is not None and isinstance(value, int) and not isinstance(value, bool) and value in tuple(words):
            return as_text(words(value))
        return as_text(value)


def happened(event: rsm.Event) -> str:
    """Return what became of the object of an event."""
    return _HAPPENED.get(event.operation, event.operation.name)


def _spoken_field(name: str) -> str:
    return (name.removesuffix("_id") if name in _NAMED else name).replace("_", " ")


def _asker(event: rsm.Event) -> str:
    user = event.user.removeprefix("user:")
    return user if user == event.application else f"{user} with {event.application}"


_FIELDS: list[Column[rsm.Event]] = [
    Column("Event", lambda event: event.id),
    Column("When", lambda event: event.at),
    Column("Operation", lambda event: event.operation),
    Column("Kind", lambda event: event.kind),
    Column("Object", lambda event: event.object),
    Column("Call", lambda event: event.call),
    Column("User", lambda event: event.user),
    Column("Application", lambda event: event.application),
    Column("Before", lambda event: event.before),
    Column("After", lambda event: event.after),
    Column("Reason", lambda event: event.reason),
]


def _show(run: Run, session: rsm.Session, found: Sequence[rsm.Event]) -> None:
    story = Story(session)
    if run.output.form is Form.PEOPLE:
        story.learn(found)
    told: list[Column[rsm.Event]] = [
        Column("Event", lambda event: event.id),
        Column("When", lambda event: event.at),
        Column("What", lambda event: f"{story.subject(event)} {happened(event)}"),
        Column("By", _asker),
        Column("Call", lambda event: event.call),
        Column("Change", story.change),
        Column("Reason", lambda event: event.reason),
    ]
    run.output.show_list(found, told if run.output.form is Form.PEOPLE else _FIELDS, nothing="nothing has changed")
