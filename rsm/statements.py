"""SQLAlchemy constructs as the driver wants them: compiled once, with plain functions for every value in and out.

It knows one statement at a time and no connection.
"""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Dialect, Insert, bindparam, insert


def insert_row(table: Any, *, without: tuple[str, ...] = ()) -> Insert:
    """Return the statement that stores one row, a parameter for each column but those that the database fills in."""
    columns = [column for column in table.__table__.columns if column.name not in without]
    return insert(table).values({column.name: bindparam(column.name, type_=column.type) for column in columns})


Processor = Callable[[Any], Any]
Expression = str  # what becomes of a `value` that is not None


@dataclass(frozen=True, slots=True)
class Compiled:
    """A statement's text, what makes its parameters of a call's, and what makes rows of the driver's.

    `row` makes a named tuple of Python values, `stored` one of what the driver gave.
    """

    sql: str
    bind: Callable[[Mapping[str, Any]], Any]
    row: Processor | None
    stored: Processor | None
    results: tuple[tuple[int, Processor], ...]


class Statements(dict[Any, Compiled]):
    """Statements as one dialect's driver wants them, each compiled when it is first asked for.

    Statements live as long as the program (module constants, cached functions), and so may what they compile to.
    """

    def __init__(self, dialect: Dialect) -> None:
        super().__init__()
        self._dialect = dialect

    def __missing__(self, statement: Any) -> Compiled:
        compiled = self[statement] = _compile(statement, self._dialect)
        return compiled


_of_dialect: dict[str, Statements] = {}


def statements_of(dialect: Dialect) -> Statements:
    """Return the statements of a dialect, which all of the process's catalogues share."""
    return _of_dialect.setdefault(dialect.name, Statements(dialect))


def _compile(statement: Any, dialect: Dialect) -> Compiled:
    compiled = statement.compile(dialect=dialect)
    names = tuple(compiled.positiontup if compiled.positional else compiled.params)
    processors = [_bind_processor(compiled.binds[name].type, dialect) for name in names]
    constants = {
        name: value for name, value in compiled.params.items() if value is not None or not compiled.binds[name].required
    }
    columns = list(getattr(statement, "exported_columns", ()))
    made = [_result_processor(column.type, dialect) for column in columns]
    stored = _stored_row_maker(columns) if columns else None
    return Compiled(
        compiled.string,
        _binder(names, processors, constants, positional=compiled.positional),
        None if stored is None else _row_maker(stored, made),
        stored,
        tuple((position, processor) for position, processor in enumerate(made) if processor is not None),
    )


# What runs for each statement and for each row is one expression, written here for it: loops over names and processors
# take two to three times as long.


def _binder(
    names: Sequence[str],
    processors: Sequence[Processor | Expression | None],
    constants: Mapping[str, Any],
    *,
    positional: bool,
) -> Callable[[Mapping[str, Any]], Any]:
    """Return what makes the driver's parameters of those of a call, which come before the statement's own constants."""
    known: dict[str, Any] = {}
    values = []
    for number, (name, processor) in enumerate(zip(names, processors, strict=True)):
        value = f"given[{name!r}]"
        if name in constants:
            known[f"constant_{number}"] = constants[name]
            value = f"given.get({name!r}, constant_{number})"
        if isinstance(processor, str):
            value = f"None if (value := {value}) is None else {processor}"
        elif processor is not None:
            known[f"process_{number}"] = processor
            value = f"process_{number}({value})"
        values.append(f"({value})" if positional else f"{name!r}: ({value})")
    listed = ", ".join(values)
    return _function("given", f"[{listed}]" if positional else f"{{{listed}}}", known)


def _stored_row_maker(columns: Sequence[Any]) -> Processor:
    row: Any = namedtuple("Row", [str(column.key) for column in columns], rename=True)  # type: ignore[misc]
    make: Processor = row._make
    return make


def _row_maker(stored: Processor, processors: Sequence[Processor | None]) -> Processor:
    """Return what makes a named tuple of Python values of the driver's row."""
    known: dict[str, Any] = {"make": stored}
    values = []
    for number, processor in enumerate(processors):
        value = f"v{number}"
        if processor is not None:
            known[f"process_{number}"] = processor
            value = f"None if {value} is None else process_{number}({value})"
        values.append(value)
    if len(known) == 1:
        return stored
    taken = ", ".join(f"v{number}" for number in range(len(values)))
    return _function("row", f"(lambda {taken}: make(({', '.join(values)},)))(*row)", known)


def _function(parameter: str, expression: str, known: dict[str, Any]) -> Processor:
    made: Processor = eval(f"lambda {parameter}: {expression}", known)
    return made


# The sqlite3 module takes and gives plain bytes and numbers: what SQLAlchemy puts around our own types is not needed.


def _bind_processor(kind: Any, dialect: Dialect) -> Any:
    if dialect.name == "sqlite" and hasattr(kind, "to_sqlite"):
        return getattr(kind, "to_sqlite_inline", kind.to_sqlite)
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _result_processor(kind: Any, dialect: Dialect) -> Any:
    if dialect.name == "sqlite" and hasattr(kind, "from_sqlite"):
        return kind.from_sqlite
    return kind.dialect_impl(dialect).result_processor(dialect, None)
