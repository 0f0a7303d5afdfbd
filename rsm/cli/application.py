"""The command as a whole: the options before the noun, the nouns, and how an invocation ends.

Owns the exit status, and is the one place where errors become lines on standard error. Knows nothing of what a verb
does.
"""

from __future__ import annotations

import copy
import errno
import functools
import importlib.metadata
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.main import get_command

import rsm
from rsm.cli import (
    acl,
    attended,
    classic,
    cleaning,
    database,
    demo,
    drive,
    events,
    library,
    library_scan,
    media_type,
    mounting,
    operator_request,
    pool,
    request,
    view,
    virtual,
    worker,
)
from rsm.cli.output import Form, Output, OutputLost, discard_output, flush_output, prepare_streams
from rsm.cli.run import DatabaseOption, JsonOption, PlainOption, Settings, add_verb, example_text

DONE, REFUSED, WRONG_USAGE, INTERRUPTED, UNREAD = 0, 1, 2, 130, 141

# Newer releases of typer carry click inside, older ones depend on it: the class has no public name that both share.
_CommandLineError: type[Exception] = typer.BadParameter.__mro__[2]

application = typer.Typer(
    help="Keep removable media, the pools they are in and the libraries they live in. For old batch files there are the"
    " verbs of rsm.exe: rsm help.",
    epilog=example_text(
        r"rsm pool create '\Nightly\Daily' --parents --type LTO-8 --from-free",
        r"rsm --json media list --pool '\Nightly\Daily'",
        "rsm demo",
    ),
    rich_markup_mode="rich",
    add_completion=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"rsm {importlib.metadata.version('removable-storage-manager')}")
        raise typer.Exit


@application.callback()
def take_settings(
    context: typer.Context,
    database_url: DatabaseOption = None,
    as_json: JsonOption = False,
    as_plain: PlainOption = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Take the options before the noun."""
    settings: Settings = context.obj
    settings.add(database_url, as_json, as_plain)


ADDED = (cleaning, library_scan)  # which have put their verbs to the nouns of others
for _name, _noun in (
    ("pool", pool.noun),
    ("media", mounting.noun),
    ("library", library.noun),
    ("drive", drive.noun),
    ("type", media_type.noun),
    ("request", request.noun),
    ("operator", operator_request.noun),
    ("acl", acl.noun),
    ("db", database.noun),
    ("virtual", virtual.noun),
    ("events", events.noun),
):
    application.add_typer(_noun, name=_name)
attended.add_to(library.noun, mounting.noun)
add_verb(application, "view", epilog=view.EXAMPLES)(view.view_objects)
add_verb(application, "worker", epilog=worker.EXAMPLES)(worker.run_worker)
add_verb(application, "demo", epilog=demo.EXAMPLES)(demo.run_demo)


def run_command(argv: Sequence[str]) -> int:
    """Run one invocation and return its exit status; every error that is not a bug ends as a line on standard error."""
    prepare_streams()
    settings = Settings()
    try:
        status = classic.run_classic(argv) if classic.is_classic(argv) else _run_guarded(argv, settings)
        flush_output()
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except OutputLost as error:
        return _report_lost_output(error.cause, settings)
    return status


def _run_guarded(argv: Sequence[str], settings: Settings) -> int:
    try:
        result = _command().main(args=list(argv), prog_name="rsm", obj=settings, standalone_mode=False)
    except rsm.RsmError as error:
        _report_refusal(error, settings)
        return REFUSED
    except _CommandLineError as error:
        _report_usage(error, Form.JSON if settings.json or _asks_for_json(argv) else Form.PEOPLE)
        return WRONG_USAGE
    except OSError as error:
        if settings.verb_begun:
            raise
        raise OutputLost(error) from error  # before a verb, only help texts are written
    except SystemExit:
        if settings.verb_begun:
            raise
        discard_output()  # so do typer and rich end when nobody reads a help text
        return UNREAD
    return result if isinstance(result, int) else DONE


@functools.cache
def _command() -> Any:
    """Return the nouns and verbs as click takes them, the verbs of each noun made when they are first looked at."""
    command: Any = _made([], application.registered_commands)
    command.commands = _Commands(command.commands)
    return command


def _made(nouns: list[Any], verbs: list[Any]) -> Any:
    """Make these nouns, with all their verbs, and these verbs of the application."""
    part = copy.copy(application)
    part.registered_groups, part.registered_commands = nouns, verbs
    return get_command(part)


class _Commands(dict[str, Any]):
    """The nouns and verbs by name; to make all of them takes longer than most verbs, so nouns are made when wanted."""

    def __init__(self, verbs: dict[str, Any]) -> None:
        self._nouns = {str(noun.name): noun for noun in application.registered_groups}
        super().__init__({**verbs, **dict.fromkeys(self._nouns)})

    def get(self, name: str, default: Any = None) -> Any:
        if name in self and self[name] is None:
            self[name] = _made([self._nouns[name]], []).commands[name]
        return super().get(name, default)

    def items(self) -> Any:
        return {name: self.get(name) for name in self}.items()


def _asks_for_json(argv: Sequence[str]) -> bool:
    # After the verb the option has not been parsed when the usage is found wrong.
    words = list(argv)
    return "--json" in (words[: words.index("--")] if "--" in words else words)


def _report_refusal(error: rsm.RsmError, settings: Settings) -> None:
    message = str(error)
    if error.outcome_unknown:
        message += " (whether the call took effect is not known: look before you repeat it)"
    Output(settings.form).print_error(error.code.name, int(error.code), message)


def _report_usage(error: Any, form: Form) -> None:
    context = getattr(error, "ctx", None)
    message = error.format_message().removeprefix("Invalid value: ").replace(": Value error, ", ": ")
    verbs = getattr(context.command, "commands", None) if context is not None else None
    if verbs and message.startswith("Missing command"):
        message = f"Missing command, one of: {', '.join(verbs)}"
    if form is Form.JSON:
        code = rsm.ErrorCode.ERROR_INVALID_PARAMETER
        Output(form).print_error(code.name, int(code), message)
        return
    usage = [context.get_usage(), f"Try '{context.command_path} --help' for help."] if context is not None else []
    Output(form).print_usage([*usage, f"rsm: {message}"])


def _report_lost_output(cause: OSError, settings: Settings) -> int:
    discard_output()
    if cause.errno == errno.EPIPE:
        return UNREAD
    code = rsm.ErrorCode.ERROR_INVALID_HANDLE
    try:
        Output(settings.form).print_error(code.name, int(code), f"the answer cannot be written: {cause.strerror}")
        flush_output()
    except OutputLost:
        pass
    return REFUSED
