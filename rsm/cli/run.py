"""What all verbs share: the settings of one invocation, opening the session, asking, reading references.

Owns the options that every verb takes and the decorator that adds them. Never prints an answer itself and holds nothing
that belongs to one noun.
"""

from __future__ import annotations

import contextlib
import inspect
import re
import shlex
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar

import typer

import rsm
from rsm.cli.output import Form, Output, is_terminal

P = ParamSpec("P")
T = TypeVar("T")

_ID = re.compile(r"[0-9A-Fa-f]{32}|[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")

# What the kinds of objects have for "there is no such object".
UNKNOWN_REFERENCE = (
    rsm.ObjectNotFoundError,
    rsm.InvalidMediaPoolError,
    rsm.InvalidMediaError,
    rsm.InvalidLibraryError,
)

DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        rich_help_panel="Everywhere",
        help="URL or path of the catalogue (or RSM_DATABASE).",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", rich_help_panel="Everywhere", help="Answer with one JSON document.")
]
PlainOption = Annotated[
    bool,
    typer.Option(
        "--plain",
        rich_help_panel="Everywhere",
        help="Answer with tab-separated lines (tabs and line ends as \\t, \\n).",
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would happen and change nothing.")]


@dataclass
class Settings:
    """The options that every verb takes, and whether the verb itself has begun."""

    database: str | None = None
    json: bool = False
    plain: bool = False
    verb_begun: bool = False

    def add(self, database: str | None, json: bool, plain: bool) -> None:
        """Take up options given at one more place; the later database counts.

        Raises:
            typer.BadParameter: both forms are asked for.
        """
        self.database = database if database is not None else self.database
        self.json |= json
        self.plain |= plain
        if self.json and self.plain:
            raise typer.BadParameter("--json and --plain exclude each other")

    @property
    def form(self) -> Form:
        """The form that the answer takes."""
        if self.json:
            return Form.JSON
        return Form.PLAIN if self.plain else Form.PEOPLE


class Names:
    """Looks up what people call the objects that a value refers to; an object that may not be read goes by its id."""

    def __init__(self, session: rsm.Session) -> None:
        self._session = session
        self._known: dict[uuid.UUID, str] = {}

    def pool(self, pool: uuid.UUID | None) -> str | None:
        """Return the full path of a pool."""
        return self._find(pool, lambda known: self._session.pools.path(known))

    def media_type(self, media_type: uuid.UUID | None) -> str | None:
        """Return the name of a media type."""
        return self._find(media_type, lambda known: self._session.types.get(known).name)

    def library(self, library: uuid.UUID | None) -> str | None:
        """Return the name of a library."""
        return self.object(rsm.NtmsObjectsTypes.NTMS_LIBRARY, library)

    def drive_type(self, drive_type: uuid.UUID | None) -> str | None:
        """Return the name of a drive type."""
        return self.object(rsm.NtmsObjectsTypes.NTMS_DRIVE_TYPE, drive_type)

    def object(self, kind: rsm.NtmsObjectsTypes, wanted: uuid.UUID | None) -> str | None:
        """Return the name of an object of any kind."""
        return self._find(wanted, lambda known: str(self._session.objects.get(kind, known).name))

    def _find(self, wanted: uuid.UUID | None, read: Callable[[uuid.UUID], str]) -> str | None:
        if wanted is None:
            return None
        if wanted not in self._known:
            try:
                self._known[wanted] = read(wanted)
            except (rsm.AccessDeniedError, *UNKNOWN_REFERENCE):
                self._known[wanted] = str(wanted)
        return self._known[wanted]


@dataclass
class Run:
    """One invocation of a verb."""

    settings: Settings
    output: Output = field(init=False)

    def __post_init__(self) -> None:
        self.output = Output(self.settings.form)

    @contextlib.contextmanager
    def session(self, *, worker: bool = False) -> Iterator[rsm.Session]:
        """Open the catalogue; `worker`: for a verb that has library work carried out, not only the database read."""
        with rsm.connect(self.settings.database, application="rsm", worker=worker) as session:
            yield session

    def command(self, session: rsm.Session) -> str:
        """Return how a person calls this command on the same catalogue again."""
        return "rsm" if self.settings.database is None else f"rsm --database {shlex.quote(session.database)}"

    def show_deleted(self, noun: str, name: str, dry_run: bool) -> None:
        """Print that something of this name was deleted, or would have been."""
        if dry_run:
            self.output.show_rehearsal(f"delete the {noun} {name}")
        else:
            self.output.show_done(f"The {noun} {name} is deleted.", {"deleted": name}, name)

    def need_answer(self, yes: bool) -> None:
        """Make sure that there is somebody to answer a question, before anything else is done.

        Raises:
            typer.BadParameter: there is neither a terminal nor `--yes`.
        """
        if not yes and not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
            raise typer.BadParameter("this destroys something and there is no terminal to ask on: give --yes")

    def ask(self, question: str, yes: bool) -> None:
        """Ask on the terminal, unless `yes` has answered.

        Raises:
            typer.BadParameter: there is neither a terminal nor `--yes`.
            rsm.CancelledError: the answer is not yes.
        """
        self.need_answer(yes)
        if yes:
            return
        self.output.print_question(f"{question} [y/N] ")
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise rsm.CancelledError("not confirmed, nothing was done")


def rehearse_if(dry_run: bool, session: rsm.Session) -> contextlib.AbstractContextManager[None]:
    """Return what a change is made in: for a dry run a transaction that is checked, done and rolled back."""
    return session.transaction(dry_run=True) if dry_run else contextlib.nullcontext()


def read_back(read: Callable[[uuid.UUID | str], T], reference: uuid.UUID | str) -> T | None:
    """Return a changed object as it is now; None for a caller who may change it and not read it."""
    try:
        return read(reference)
    except rsm.AccessDeniedError:
        return None


def read_reference(word: str) -> uuid.UUID | str:
    """Return the id that a word of 32 hexadecimal digits is, hyphenated or not; any other word is a name or path."""
    return uuid.UUID(word) if _ID.fullmatch(word) else word


def read_optional(word: str | None) -> uuid.UUID | str | None:
    """Return the reference that `word` is, None for none."""
    return None if word is None else read_reference(word)


def make_noun(about: str, *examples: str) -> typer.Typer:
    """Make a noun with its help text and examples, for verbs to be added to."""
    noun = typer.Typer(help=about, epilog=example_text(*examples), rich_markup_mode="rich")
    noun.callback()(_take_settings)
    return noun


def _take_settings(
    context: typer.Context,
    database_url: DatabaseOption = None,
    as_json: JsonOption = False,
    as_plain: PlainOption = False,
) -> None:
    settings: Settings = context.obj
    settings.add(database_url, as_json, as_plain)


def example_text(*examples: str) -> str:
    """Return the end of a help text; a paragraph each, or the lines would be run together."""
    return "\n\n".join(("Examples:", *examples))


def add_verb(
    noun: typer.Typer, name: str, *, epilog: str | None = None
) -> Callable[[Callable[Concatenate[Run, P], None]], Callable[Concatenate[Run, P], None]]:
    """Make a function a verb: its docstring is the help text, its parameters after the first the arguments.

    The options that stand before the noun are taken after the verb as well.
    """

    def register(body: Callable[Concatenate[Run, P], None]) -> Callable[Concatenate[Run, P], None]:
        def call(context: typer.Context, **arguments: Any) -> None:
            settings: Settings = context.obj
            settings.add(arguments.pop("global_database"), arguments.pop("global_json"), arguments.pop("global_plain"))
            settings.verb_begun = True
            body(Run(settings), **arguments)  # type: ignore[call-arg]

        own = list(inspect.signature(body, eval_str=True).parameters.values())[1:]
        keyword = inspect.Parameter.KEYWORD_ONLY
        signature = inspect.Signature(
            [
                inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context),
                *(parameter.replace(kind=keyword) for parameter in own),
                inspect.Parameter("global_database", keyword, default=None, annotation=DatabaseOption),
                inspect.Parameter("global_json", keyword, default=False, annotation=JsonOption),
                inspect.Parameter("global_plain", keyword, default=False, annotation=PlainOption),
            ]
        )
        call.__signature__ = signature  # type: ignore[attr-defined]
        call.__annotations__ = {parameter.name: parameter.annotation for parameter in signature.parameters.values()}
        call.__doc__ = body.__doc__
        call.__name__ = getattr(body, "__name__", name)
        noun.command(name, epilog=epilog)(call)
        return body

    return register
