"""The grammar of the classic command line: verbs, and options that begin with a slash.

Owns what the option letters of each verb are and how words become their values. It knows no catalogue; what a verb does
stands beside its entry in the table, in the `classic_` modules.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rsm.cli.run import Run

_GUID = re.compile(r"\{?([0-9A-Fa-f]{32}|[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})\}?")
_SWITCH = re.compile(r"/[A-Za-z?]")


class ClassicUsageError(Exception):
    """The words after a classic verb are not what it takes."""


@dataclass(frozen=True, slots=True)
class Option:
    """An option letter, or several: `value` names what follows, empty for a switch; `words` are all that may follow.

    `named`: the letters are followed by g and a GUID, or by f and a friendly name.
    """

    letters: str
    about: str
    value: str = ""
    words: tuple[str, ...] = ()
    named: bool = False
    guid_only: bool = False
    required: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """The spellings that begin a word with this option."""
        if not self.named:
            return (self.letters,)
        return (f"{self.letters}g",) if self.guid_only else (f"{self.letters}g", f"{self.letters}f")

    @property
    def syntax(self) -> str:
        """How it is written in a line of usage."""
        if self.named:
            text = f"/{self.letters}{'g' if self.guid_only else '{g|f}'}{self.value}"
        else:
            text = f"/{self.letters}{'{' + '|'.join(self.words) + '}' if self.words else self.value}"
        return text if self.required else f"[{text}]"


@dataclass(slots=True)
class Given:
    """The options that were given, by letters."""

    texts: dict[str, str] = field(default_factory=dict)
    references: dict[str, uuid.UUID | str] = field(default_factory=dict)
    words: dict[str, list[str]] = field(default_factory=dict)

    def has(self, letters: str) -> bool:
        """Tell whether an option was given."""
        return letters in self.texts or letters in self.references or letters in self.words

    def word(self, letters: str, default: str) -> str:
        """Return the one word that followed an option."""
        return self.words.get(letters, [default])[-1]

    def milliseconds(self) -> int | None:
        """Return the time-out of `/t`, None for ever.

        Raises:
            ClassicUsageError: it is no number of milliseconds.
        """
        text = self.texts.get("t")
        if text is None or text.lower() == "infinite":
            return None
        if not text.isdecimal() or int(text) > 0xFFFFFFFF:
            raise ClassicUsageError(f"/t{text} is no number of milliseconds")
        return None if int(text) == 0xFFFFFFFF else int(text)

    def one_of(self, *letters: str, required: bool = True) -> str:
        """Return which one of these options was given, empty if none is needed and none is there.

        Raises:
            ClassicUsageError: none, or more than one.
        """
        found = [each for each in letters if self.has(each)]
        if len(found) > 1 or (required and not found):
            raise ClassicUsageError(
                f"give {'one' if required else 'at most one'} of {', '.join('/' + e for e in letters)}"
            )
        return found[0] if found else ""


Body = Callable[[Run, Given], None]


@dataclass(frozen=True, slots=True)
class Verb:
    """A classic verb: what it does, and what it takes."""

    name: str
    about: str
    options: tuple[Option, ...]
    run: Body

    @property
    def usage(self) -> str:
        """The line that shows how it is called."""
        return " ".join(["rsm", self.name, *(option.syntax for option in self.options)])


VERBS: dict[str, Verb] = {}


def classic_verb(name: str, about: str, *options: Option) -> Callable[[Body], Body]:
    """Enter a function in the table of verbs."""

    def enter(body: Body) -> Body:
        VERBS[name] = Verb(name, about, options, body)
        return body

    return enter


def is_switch(word: str) -> bool:
    """Tell whether a word is an option of the classic command line."""
    return _SWITCH.match(word) is not None


def parse(verb: Verb, words: Sequence[str]) -> Given:
    """Take apart what follows a verb. A value follows its letters at once, or as the next word.

    Raises:
        ClassicUsageError: a word is no option of the verb, a value or an option is missing, or a value means nothing.
    """
    given = Given()
    rest = list(words)
    while rest:
        word = rest.pop(0)
        option, key = _find(verb, word)
        value = word[1 + len(key) :].strip('"')
        if not value and option.value and rest and not is_switch(rest[0]):
            value = rest.pop(0).strip('"')
        _take(given, option, key, value)
    for option in verb.options:
        if option.required and not given.has(option.letters):
            raise ClassicUsageError(f"{option.syntax} is missing")
    return given


def _find(verb: Verb, word: str) -> tuple[Option, str]:
    if word[:1] == "/":
        spelled = word[1:].lower()
        found = [(key, option) for option in verb.options for key in option.keys if spelled.startswith(key)]
        exact = [(key, option) for key, option in found if option.value or spelled == key]
        if exact:
            key, option = max(exact, key=lambda each: len(each[0]))
            return option, key
    raise ClassicUsageError(f"{word!a} is no option of {verb.name}")


def _take(given: Given, option: Option, key: str, value: str) -> None:
    letters = option.letters
    if not option.value:
        given.texts[letters] = ""
    elif option.words:
        if value.lower() not in option.words:
            raise ClassicUsageError(f"/{letters} is followed by one of {', '.join(filter(None, option.words))}")
        given.words.setdefault(letters, []).append(value.lower())
    elif not value:
        raise ClassicUsageError(f"/{key} is followed by {option.value}")
    elif letters in given.texts or letters in given.references:
        raise ClassicUsageError(f"/{letters} is given twice")
    elif not option.named:
        given.texts[letters] = value
    elif key.endswith("f") and not option.guid_only:
        given.references[letters] = value
    else:
        found = _GUID.fullmatch(value)
        if found is None:
            raise ClassicUsageError(f"{value!a} is no GUID: it has 32 hexadecimal digits")
        given.references[letters] = uuid.UUID(found[1])
