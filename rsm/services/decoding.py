"""Rows as values: what a driver returned of a kind of object becomes the immutable values of that kind.

It works column by column, so that a page of thousands costs a few calls a column and few a row, and remembers what it
converted: most of a column's ids, times and states repeat. It runs no statement and knows no table.
"""

import collections
import enum
import types
import typing
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from rsm.identity import id_of_bytes
from rsm.statements import Compiled
from rsm.values import Value

Converter = Callable[[Any], Any]
Columns = dict[str, Sequence[Any]]


class _Remembered(dict[Any, Any]):
    """What a converter made of each value that it was given; None stays None."""

    def __init__(self, converter: Converter) -> None:
        super().__init__({None: None})
        self._converter = converter

    def __missing__(self, value: Any) -> Any:
        made = self[value] = self._converter(value)
        return made


def _id_of_expression(value: Any) -> Any:
    # An expression over ids (coalesce, case) keeps the bytes of SQLite.
    return id_of_bytes(value) if isinstance(value, bytes) else value


def _converter_of_hint(hint: Any) -> Converter | None:
    if isinstance(hint, type) and issubclass(hint, (enum.Enum, bool)):
        return hint
    if isinstance(hint, types.UnionType) and uuid.UUID in typing.get_args(hint):
        return _id_of_expression
    return None


def _joined(first: Converter | None, second: Converter | None) -> Converter | None:
    if first is None or second is None:
        return first or second
    return lambda value: second(first(value))


class Decoder:
    """Makes the values of one class of the rows of a statement that selects its fields in order."""

    def __init__(self, value_class: type[Value], compiled: Compiled, special: Mapping[str, Converter]) -> None:
        """Know how the driver's values become those of the fields; `special` has fields with a form of their own."""
        self._class = value_class
        processors = dict(compiled.results)
        hints = typing.get_type_hints(value_class)
        self.names = [field.name for field in fields(value_class)]
        self._setters = [getattr(value_class, name).__set__ for name in self.names]
        self._plain: list[Converter | None] = []  # for what no two rows share, or what may not be shared
        self._remembered: list[Converter | None] = []
        self._states: list[_Remembered | None] = []
        for position, name in enumerate(self.names):
            hint = hints[name]
            converter = _joined(processors.get(position), special.get(name) or _converter_of_hint(hint))
            state = isinstance(hint, type) and issubclass(hint, (enum.Enum, bool)) and converter is not None
            shared = hint is not bytes and typing.get_origin(hint) is not dict and name != "id"
            self._states.append(_Remembered(converter) if state and converter is not None else None)
            self._remembered.append(converter if shared and not state else None)
            self._plain.append(converter if not shared and not state else None)

    def columns(self, rows: Sequence[Sequence[Any]]) -> Columns:
        """Return the fields of all rows, one sequence a field.

        Raises:
            ValueError, OverflowError: a stored value means nothing.
        """
        if not rows:
            return dict.fromkeys(self.names, ())
        known: dict[Converter, _Remembered] = {}
        made: Columns = {}
        for position, column in enumerate(zip(*rows, strict=True)):
            states, shared, plain = self._states[position], self._remembered[position], self._plain[position]
            if states is not None:
                column = tuple(map(states.__getitem__, column))
            elif shared is not None:
                remembered = known.get(shared)
                if remembered is None:
                    remembered = known[shared] = _Remembered(shared)
                column = tuple(map(remembered.__getitem__, column))
            elif plain is not None:
                column = tuple(value if value is None else plain(value) for value in column)
            made[self.names[position]] = column
        return made

    def make(self, columns: Columns) -> list[Any]:
        """Return the values with these fields."""
        values = [object.__new__(self._class) for _ in columns["id"]]
        for name, setter in zip(self.names, self._setters, strict=True):
            # As the class's own __init__ would, one field of all values at a time.
            _exhaust(map(setter, values, columns[name]))
        return values


def _exhaust(work: Iterable[Any]) -> None:
    collections.deque(work, maxlen=0)
