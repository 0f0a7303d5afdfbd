"""The classic verbs of rsm.exe, for old batch files: `rsm allocate /m"App\\Daily" /oerrunavail /b`.

Owns when a command line is meant so, how such an invocation ends, and the help texts. What each verb does stands beside
its entry in the table. Nothing is asked: batch files have nobody to answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer

import rsm
from rsm.cli import classic_eject, classic_media, classic_work
from rsm.cli.classic_options import VERBS, ClassicUsageError, Verb, is_switch, parse
from rsm.cli.output import Form, Output
from rsm.cli.run import Run, Settings

__all__ = ["is_classic", "run_classic"]

WRONG_USAGE = int(rsm.ErrorCode.ERROR_INVALID_PARAMETER)
_TABLES = (classic_eject, classic_media, classic_work)  # which have entered their verbs
_HELP = ("/?", "help")
_MODERN = frozenset({"view"})  # what is a word of both command lines


def is_classic(argv: Sequence[str]) -> bool:
    """Tell whether words are meant for the classic command line: they begin with a verb that only it has, or that is
    followed by a `/letter`.
    """
    _, words = _split(argv)
    if not words:
        return False
    verb = words[0].lower()
    if verb in _HELP:
        return True
    return verb in VERBS and (verb not in _MODERN or (len(words) > 1 and is_switch(words[1])))


def _split(argv: Sequence[str]) -> tuple[str | None, list[str]]:
    """Take the catalogue off the front, the one option of this program that may stand before a classic verb."""
    words = list(argv)
    database = None
    while words and (words[0] == "--database" or words[0].startswith("--database=")):
        option, _, value = words.pop(0).partition("=")
        if not value and option == "--database" and words:
            value = words.pop(0)
        database = value
    return database, words


def run_classic(argv: Sequence[str]) -> int:
    """Run one invocation; the exit status is 0, or the low byte of what failed as a Win32 code, 87 for wrong usage."""
    database, words = _split(argv)
    output = Output(Form.PEOPLE)
    name, rest = words[0].lower(), words[1:]
    if name in _HELP:
        return _print_help(output, rest)
    verb = VERBS[name]
    if "/?" in rest:
        return _print_help(output, [name])
    settings = Settings(database=database)
    try:
        verb.run(Run(settings), parse(verb, rest))
    except ClassicUsageError as error:
        output.print_usage([f"Usage: {verb.usage}", "Try 'rsm help' for all verbs.", f"rsm: {error}"])
        return WRONG_USAGE
    except typer.BadParameter as error:
        output.print_usage([f"rsm: {error.format_message()}"])
        return WRONG_USAGE
    except rsm.RsmError as error:
        unknown = " (whether the call took effect is not known: look before you repeat it)"
        output.print_error(error.code.name, int(error.code), f"{error}{unknown if error.outcome_unknown else ''}")
        return int(error.code) % 256 or 1
    return 0


def _print_help(output: Output, words: Sequence[str]) -> int:
    if words and words[0].lower() not in VERBS:
        output.print_usage([f"rsm: {words[0]!a} is no classic verb: {', '.join(sorted(VERBS))}"])
        return WRONG_USAGE
    if words:
        output.print_lines(_describe(VERBS[words[0].lower()]))
        return 0
    width = max(map(len, VERBS))
    verbs = [f"  {verb.name:{width}}  {verb.about}" for _, verb in sorted(VERBS.items())]
    ends = [
        "",
        'Names of options and verbs ignore case. A value follows its letters: /lf"My tape", /t5000.',
        "rsm VERB /? tells more.",
    ]
    output.print_lines(["Classic verbs, with options that begin with a slash:", *verbs, *ends])
    return 0


def _describe(verb: Verb) -> list[str]:
    lines = [verb.about, "", f"  {verb.usage}", ""]
    options: list[Any] = [(option.syntax, option.about) for option in verb.options]
    width = max((len(syntax) for syntax, _ in options if len(syntax) < 32), default=0)
    return lines + [f"  {syntax:{width}}  {about}" for syntax, about in options]
