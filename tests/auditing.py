"""Holds every transaction of a test against the events it wrote: each change of an object is told, and told rightly."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import bindparam, select

from rsm import db, model
from rsm.constants import NtmsLmOperation
from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind

# Rows that belong to objects without being one: a change of theirs is told as one of an object that they name.
_PARTS: dict[Any, tuple[str, ...]] = {
    model.AccessControlEntry: ("object_id",),
    model.Attribute: ("object_id",),
    model.DriveTypeMediaType: ("drive_type_id", "media_type_id"),
    model.LibraryMediaType: ("library_id", "media_type_id"),
}
_OBJECTS: dict[Any, Kind] = {table: kind for kind, table in model.TABLE_OF_KIND.items()}
_OBJECTS[model.UIDestination] = Kind.NTMS_UI_DESTINATION
_ROWS = {table: select(*table.__table__.columns) for table in (*_OBJECTS, *_PARTS)}
_EVENTS = (
    select(*model.Event.__table__.columns)
    .where(model.Event.id > bindparam("after_id", type_=model.Event.id.type))
    .order_by(model.Event.id)
)
_LAST = select(model.Event.id).order_by(model.Event.id.desc()).limit(1)

# What is no change of an object: when it was changed; who holds a library or has a request in hand, how far that is
# and its place among others; the pool and whereabouts that a side carries for its cartridge.
_UNTOLD: dict[Any, set[str]] = {
    model.Library: {"epoch"},
    model.LibraryRequest: {"epoch", "details", "due", "expires", "order_number"},
    model.Side: {"pool_id", "online"},
}
_OF = {"INSERT": Operation.NTMS_OBJ_INSERT, "UPDATE": Operation.NTMS_OBJ_UPDATE, "DELETE": Operation.NTMS_OBJ_DELETE}


def plain(value: Any) -> Any:
    """Return a value as an event's document gives it back."""
    stored = model.Json.to_sqlite({"value": value})
    return (model.Json.from_sqlite(stored) or {})["value"]


class Audit:
    """What the transactions of a test changed and did not tell, told and did not change, or told wrongly."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.seen: set[tuple[Kind, str]] = set()
        self.transactions = 0

    def compare(self, before: dict[Any, Any], after: dict[Any, Any], events: list[Any]) -> None:
        """Hold the rows before and after a transaction against its events."""
        self.transactions += 1
        told: dict[Any, list[Any]] = {}
        for event in events:
            told.setdefault(event.object_id, []).append(event)
        named = ", ".join(sorted({event.call for event in events})) or "no event at all"
        changed = set()
        for table, kind in _OBJECTS.items():
            for object_id in before[table].keys() | after[table].keys():
                old, new = before[table].get(object_id), after[table].get(object_id)
                changed.add(object_id)
                if old == new:
                    changed.discard(object_id)
                else:
                    self._judge(table, kind, old, new, told.get(object_id, []), named)
        for table, owners in _PARTS.items():
            for key in before[table].keys() | after[table].keys():
                row = after[table].get(key) or before[table].get(key)
                if before[table].get(key) != after[table].get(key):
                    ids = {getattr(row, owner) for owner in owners}
                    changed |= ids
                    if not ids & told.keys():
                        self.faults.append(f"{table.__name__} of {ids} changed untold ({named})")
        for object_id in told.keys() - changed:
            operations = {Operation(event.operation) for event in told[object_id]}
            if not operations >= {Operation.NTMS_OBJ_INSERT, Operation.NTMS_OBJ_DELETE}:  # it came and went
                self.faults.append(f"{Kind(told[object_id][0].kind).name} told by {named}, and nothing changed")

    def _judge(self, table: Any, kind: Kind, old: Any, new: Any, events: list[Any], named: str) -> None:
        word = "INSERT" if old is None else "DELETE" if new is None else "UPDATE"
        columns = set(table.__table__.columns.keys()) - {"modified"} - _UNTOLD.get(table, set())
        if word == "UPDATE":
            columns = {column for column in columns if getattr(old, column) != getattr(new, column)}
            if not columns:
                return
        if kind is Kind.NTMS_LIBREQUEST and (old or new).operation == NtmsLmOperation.NTMS_LM_INVENTORY:
            return  # looking for what changed is no change
        self.seen.add((kind, word))
        operations = {Operation(event.operation) for event in events if event.kind == kind}
        if _OF[word] not in operations:
            differences = {each: (getattr(old, each, None), getattr(new, each, None)) for each in sorted(columns)}
            self.faults.append(f"{word} of {kind.name} untold ({named}): {differences if word == 'UPDATE' else ''}")
        elif word != "DELETE":
            last: dict[str, Any] = {}
            for event in events:
                last |= event.after or {}
            wrong = {
                name: (value, plain(getattr(new, name)))
                for name, value in last.items()
                if name in table.__table__.columns and value != plain(getattr(new, name))
            }
            if wrong:
                self.faults.append(f"{word} of {kind.name} told wrongly ({named}): {wrong}")


def _read(transaction: db.Transaction) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for table, statement in _ROWS.items():
        keys = [column.name for column in table.__table__.primary_key]
        rows = transaction.rows(statement)
        found[table] = {tuple(getattr(row, key) for key in keys) if len(keys) > 1 else row.id: row for row in rows}
    return found


@contextlib.contextmanager
def auditing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Audit]:
    """Watch every write transaction of this process, those of the worker included, while the body runs."""
    audit, whole = Audit(), db.Database.transaction

    @contextlib.contextmanager
    def watched(self: db.Database, *arguments: Any, **keywords: Any) -> Iterator[db.Transaction]:
        with whole(self, *arguments, **keywords) as transaction:
            before, last = _read(transaction), transaction.row(_LAST)
            yield transaction
            if transaction.alive:
                events = transaction.rows(_EVENTS, after_id=0 if last is None else last.id)
                audit.compare(before, _read(transaction), events)

    with monkeypatch.context() as patched:
        patched.setattr(db.Database, "transaction", watched)
        yield audit
