"""SQLAlchemy constructs as the driver wants them: compiled once, with plain functions for every value in and out.

It knows one statement at a time and no connection.
"""

from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Dialect, Insert, bindparam, insert


def insert_row(table: Any, *, without: tuple[str, ...] = ()) -> Insert:
    """Return the statement that stores one row, a parameter for each column but those that the database fills in."""
    columns = [column for column in table.__table__.columns if column.name not in without]
    return insert(table).values({column.name: bindparam(column.name, type_=column.type) for column in columns})


@dataclass(frozen=True, slots=True)
class Compiled:
    """A statement's text, its parameters in order, and how values go in and rows come out."""

    sql: str
    names: tuple[str, ...]
    processors: tuple[tuple[int, Callable[[Any], Any]], ...]
    constants: dict[str, Any]
    row: Callable[[Any], Any] | None
    results: tuple[tuple[int, Callable[[Any], Any]], ...]


# Statements live as long as the program (module constants, cached functions), and so may what they compile to.
_known: dict[tuple[int, str], tuple[Any, Compiled]] = {}


def compile_statement(statement: Any, dialect: Dialect) -> Compiled:
    """Return a statement as a dialect's driver wants it, compiled at its first use in the process."""
    key = (id(statement), dialect.name)
    known = _known.get(key)
    if known is None:
        known = _known[key] = (statement, _compile(statement, dialect))
    return known[1]


def _compile(statement: Any, dialect: Dialect) -> Compiled:
    compiled = statement.compile(dialect=dialect)
    names = tuple(compiled.positiontup if compiled.positional else compiled.params)
    processors = [
        (position, processor)
        for position, name in enumerate(names)
        if (processor := _bind_processor(compiled.binds[name].type, dialect)) is not None
    ]
    columns = list(getattr(statement, "exported_columns", ()))
    results = [
        (position, processor)
        for position, column in enumerate(columns)
        if (processor := _result_processor(column.type, dialect)) is not None
    ]
    constants = {
        name: value for name, value in compiled.params.items() if value is not None or not compiled.binds[name].required
    }
    return Compiled(compiled.string, names, tuple(processors), constants, _row_class(columns), tuple(results))


# The sqlite3 module takes and gives plain bytes and numbers: what SQLAlchemy puts around our own types is not needed.


def _bind_processor(kind: Any, dialect: Dialect) -> Any:
    if dialect.name == "sqlite" and hasattr(kind, "to_sqlite"):
        return kind.to_sqlite
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _result_processor(kind: Any, dialect: Dialect) -> Any:
    if dialect.name == "sqlite" and hasattr(kind, "from_sqlite"):
        return kind.from_sqlite
    return kind.dialect_impl(dialect).result_processor(dialect, None)


def _row_class(columns: list[Any]) -> Callable[[Any], Any] | None:
    if not columns:
        return None
    row: Any = namedtuple("Row", [str(column.key) for column in columns], rename=True)  # type: ignore[misc]
    make: Callable[[Any], Any] = row._make
    return make
