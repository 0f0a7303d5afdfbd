"""A catalogue as JSON lines: what both databases and every revision can write and load.

The first line tells format and revision; each other line is a table and one of its rows. Bytes and ids are hexadecimal.
It knows tables only as the database describes them, so that a file of any revision loads into those of that revision.
"""

import json
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from graphlib import CycleError, TopologicalSorter
from typing import IO, Any

import sqlalchemy
from sqlalchemy import ColumnClause, Connection, TableClause, insert

from rsm import db, model
from rsm.errors import DatabaseFailureError, InvalidParameterError

_FORMAT = "rsm-catalogue"
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Head:
    """The first line of an export."""

    revision: int
    min_reader: int
    min_writer: int
    format: str = _FORMAT


def read_head(file: IO[str]) -> Head:
    """Return the first line of an export.

    Raises:
        InvalidParameterError: the file is no export.
    """
    entry = _parsed(next(_lines(file), ""))
    try:
        head = Head(**entry)
    except TypeError as error:
        raise InvalidParameterError("the file is no export of a catalogue") from error
    numbers = (head.revision, head.min_reader, head.min_writer)
    if head.format != _FORMAT or not all(type(number) is int and 0 < number < 1_000 for number in numbers):
        raise InvalidParameterError("the file is no export of a catalogue")
    return head


def write_rows(database: db.Database, file: IO[str]) -> int:
    """Write head and rows of one consistent state, and return the number of rows."""
    count = 0
    with database.reading() as connection:
        tables = _tables(connection)
        revision = connection.exec_driver_sql("SELECT revision, min_reader, min_writer FROM catalogue").one()
        file.write(json.dumps(asdict(Head(*revision))) + "\n")
        for table in tables:
            rows = connection.execute(sqlalchemy.select(table.clause).order_by(*table.key)).all()
            for row in _ordered(table, rows):
                values = [_plain(value) for value in row]
                file.write(
                    json.dumps([table.name, dict(zip(table.columns, values, strict=True))], ensure_ascii=False) + "\n"
                )
                count += 1
        file.write(json.dumps({"rows": count}) + "\n")
    return count


def load_rows(connection: Connection, lines: Iterable[str]) -> int:
    """Store the rows of an export in the empty tables of its own revision, and return how many there were.

    Raises:
        InvalidParameterError: a line is no row of a catalogue, or the file does not end as it should.
    """
    tables = {table.name: table for table in _tables(connection)}
    count, batch_of, batch = 0, "", list[dict[str, Any]]()

    def flush() -> None:
        if batch:
            connection.execute(insert(tables[batch_of].clause), batch)
            batch.clear()

    ended = False
    for line in _lines(lines):
        entry = _parsed(line)
        if ended:
            raise InvalidParameterError("the file goes on after its end")
        if entry == {"rows": count}:
            ended = True
            continue
        table, row = _row(entry, tables, count + 2)
        if table != batch_of or len(batch) >= _BATCH:
            flush()
            batch_of = table
        batch.append(row)
        count += 1
    if not ended:
        raise InvalidParameterError("the file was cut short: its last line is missing")
    flush()
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(
            "SELECT setval(s, greatest((SELECT coalesce(max(id), 0) + 1 FROM event), nextval(s)), false)"
            " FROM pg_get_serial_sequence('event', 'id') AS s"  # never backwards: a rollback does not undo it
        )
    return count


def delete_rows(connection: Connection) -> None:
    """Empty every table, for other rows to be loaded in the same transaction."""
    for table in reversed(_tables(connection)):
        connection.execute(sqlalchemy.delete(table.clause))


@dataclass(frozen=True, slots=True)
class _Table:
    """A table as it is in a database, of whatever revision."""

    name: str
    clause: TableClause
    columns: dict[str, bool]  # and whether each is a UUID
    key: list[ColumnClause[Any]]  # the columns of its primary key, in the key's order


# Table, column, whether it is a UUID, and its place in the primary key, counted from 1; every column in its own order.
_COLUMNS = {
    "sqlite": "SELECT t.name, c.name, 0, c.pk FROM sqlite_master AS t, pragma_table_info(t.name) AS c"
    " WHERE t.type = 'table' ORDER BY t.name, c.cid",
    "postgresql": "SELECT t.relname, c.attname, c.atttypid = 'uuid'::regtype, array_position(k.conkey, c.attnum)"
    " FROM pg_class AS t JOIN pg_attribute AS c ON c.attrelid = t.oid"
    " LEFT JOIN pg_constraint AS k ON k.conrelid = t.oid AND k.contype = 'p'"
    " WHERE t.relnamespace = to_regnamespace(current_schema()::text) AND t.relkind = 'r'"
    ' AND c.attnum > 0 AND NOT c.attisdropped ORDER BY t.relname COLLATE "C", c.attnum',
}
# Table, and one that its rows refer to.
_REFERENCES = {
    "sqlite": 'SELECT t.name, r."table" FROM sqlite_master AS t, pragma_foreign_key_list(t.name) AS r'
    " WHERE t.type = 'table' ORDER BY t.name, r.id",
    "postgresql": "SELECT t.relname, r.relname FROM pg_constraint AS k JOIN pg_class AS t ON t.oid = k.conrelid"
    " JOIN pg_class AS r ON r.oid = k.confrelid"
    " WHERE k.contype = 'f' AND k.connamespace = to_regnamespace(current_schema()::text) ORDER BY k.oid",
}


def _tables(connection: Connection) -> list[_Table]:
    """Return the tables there are, each after those that its rows refer to.

    What SQLAlchemy reflects besides, indexes and defaults and checks, takes a tenth of a second.
    """
    columns: dict[str, dict[str, bool]] = {}
    keys: dict[str, dict[int, str]] = {}
    for table, column, is_uuid, place in connection.exec_driver_sql(_COLUMNS[connection.dialect.name]):
        if table != "alembic_version" and not table.startswith("sqlite_"):
            columns.setdefault(table, {})[column] = bool(is_uuid)
            keys.setdefault(table, {}).update({place: column} if place else {})
    parents = TopologicalSorter[str](dict.fromkeys(columns, ()))
    for table, parent in connection.exec_driver_sql(_REFERENCES[connection.dialect.name]):
        if table in columns and parent in columns and parent != table:
            parents.add(table, parent)
    try:
        order = list(parents.static_order())
    except CycleError as error:
        raise DatabaseFailureError("the tables refer to each other in a circle: this is no catalogue") from error
    return [_table(name, columns[name], [column for _, column in sorted(keys[name].items())]) for name in order]


def _table(name: str, columns: dict[str, bool], key: list[str]) -> _Table:
    types = {True: sqlalchemy.Uuid(), False: None}
    clauses = {column: sqlalchemy.column(column, types[is_uuid]) for column, is_uuid in columns.items()}
    return _Table(name, sqlalchemy.table(name, *clauses.values()), columns, [clauses[column] for column in key])


def _ordered(table: _Table, rows: Iterable[Any]) -> Iterable[Any]:
    """Put parents before children in the one table that refers to itself."""
    if table.name != model.MediaPool.__tablename__:
        return rows
    children: dict[Any, list[Any]] = {}
    for row in rows:
        children.setdefault(row.parent_id, []).append(row)
    ordered: list[Any] = []
    waiting = [None]
    while waiting:
        group = children.get(waiting.pop(0), [])
        ordered += group
        waiting += [row.id for row in group]
    return ordered


def _plain(value: Any) -> Any:
    if isinstance(value, uuid.UUID):
        value = value.bytes
    return {"bytes": bytes(value).hex()} if isinstance(value, (bytes, memoryview)) else value


def _lines(file: Iterable[str]) -> Iterator[str]:
    try:
        for line in file:  # noqa: UP028 - `yield from` would close the file together with the generator
            yield line
    except UnicodeDecodeError as error:
        raise InvalidParameterError("the file is no export of a catalogue: it is not UTF-8") from error


def _row(entry: Any, tables: dict[str, _Table], number: int) -> tuple[str, dict[str, Any]]:
    """Take a line apart; a row has every column of its table and no other."""
    match entry:
        case [str(table), dict(values)] if table in tables and values.keys() == tables[table].columns.keys():
            columns = tables[table].columns
            return table, {name: _native(value, name, columns[name], number) for name, value in values.items()}
    raise InvalidParameterError(f"line {number} of the file is no row of a catalogue")


def _native(value: Any, name: str, is_uuid: bool, number: int) -> Any:
    try:
        match value:
            case {"bytes": str(digits)} if len(value) == 1:
                data = bytes.fromhex(digits)
                return uuid.UUID(bytes=data) if is_uuid else data
            case str():
                value.encode()  # half of a surrogate pair is no text
                return value
            case None:
                return value
            case int() if not isinstance(value, bool) and -(2**63) <= value < 2**63:
                return value
    except ValueError as error:
        raise InvalidParameterError(f"line {number} of the file holds no value of {name}") from error
    raise InvalidParameterError(f"line {number} of the file holds no value of {name}")


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidParameterError("the file is no export of a catalogue, or was cut short") from error
