"""The log of changes: one row for every change of an object, in the transaction that makes it.

It never writes about reading, waiting or anything that changed nothing.
"""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import bindparam, or_, select, type_coerce

from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction
from rsm.model import Event as Row
from rsm.model import Id, LogicalMedium, Side, Text
from rsm.statements import insert_row
from rsm.values import Event

Change = tuple[uuid.UUID, Mapping[str, Any] | None, Mapping[str, Any] | None]

_INSERT = insert_row(Row, without=("id",))
_PAGE = (
    select(Row)
    .with_only_columns(*Row.__table__.columns)
    .where(Row.id > bindparam("after_id", type_=Row.id.type))
    .order_by(Row.id)
    .limit(bindparam("most"))
)
_OF_OBJECT = Row.object_id == bindparam("object_id", type_=Row.object_id.type)
_PAGE_OF_OBJECT = _PAGE.where(_OF_OBJECT)
_LATEST = select(*Row.__table__.columns).order_by(Row.id.desc()).limit(bindparam("most"))
_LATEST_OF_OBJECT = _LATEST.where(_OF_OBJECT)


def record(
    transaction: Transaction,
    call: str,
    operation: Operation,
    kind: Kind,
    object_id: uuid.UUID,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Write one event of this transaction; `before` and `after` hold the fields that changed."""
    transaction.change(_INSERT, **_row(transaction, call, operation, kind, object_id, before, after))


def record_many(
    transaction: Transaction, call: str, operation: Operation, kind: Kind, changes: Iterable[Change]
) -> None:
    """Write one event of this transaction for each of many objects of a kind: its id, and what `record` is given."""
    rows = [_row(transaction, call, operation, kind, *change) for change in changes]
    if rows:
        transaction.change_many(_INSERT, rows)


def _row(
    transaction: Transaction,
    call: str,
    operation: Operation,
    kind: Kind,
    object_id: uuid.UUID,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
) -> dict[str, Any]:
    origin = transaction.origin
    return {
        "at": transaction.now,
        "operation": int(operation),
        "kind": int(kind),
        "object_id": object_id,
        "call": call,
        "user_name": origin.user,
        "application": origin.application,
        "session_id": origin.session,
        "before": None if before is None else dict(before),
        "after": None if after is None else dict(after),
        "reason": origin.reason,
    }


def list_events(transaction: Transaction, after: int, most: int, object_id: uuid.UUID | None) -> list[Event]:
    """Return at most `most` events that came after the one numbered `after`, of one object or of all, oldest first."""
    if object_id is None:
        rows = transaction.rows(_PAGE, after_id=after, most=most)
    else:
        rows = transaction.rows(_PAGE_OF_OBJECT, after_id=after, most=most, object_id=object_id)
    with transaction.decoding():
        return [read_row(row) for row in rows]


def list_latest(transaction: Transaction, most: int, object_id: uuid.UUID | None) -> list[Event]:
    """Return the last events, at most `most`, of one object or of all, oldest first."""
    if object_id is None:
        rows = transaction.rows(_LATEST, most=most)
    else:
        rows = transaction.rows(_LATEST_OF_OBJECT, most=most, object_id=object_id)
    with transaction.decoding():
        return [read_row(row) for row in reversed(rows)]


_SIDES = select(Side.id).where(Side.medium_id == bindparam("id", type_=Id()))
_LOGICAL_MEDIA = select(LogicalMedium.id).where(LogicalMedium.side_id == bindparam("id", type_=Id()))
_NAMING = (
    select(Row.object_id)
    .distinct()
    .where(
        Row.kind == bindparam("kind", type_=Row.kind.type),
        or_(
            type_coerce(Row.before, Text()).like(bindparam("pattern", type_=Text())),
            type_coerce(Row.after, Text()).like(bindparam("pattern", type_=Text())),
        ),
    )
)


def list_history(transaction: Transaction, medium_id: uuid.UUID, most: int) -> list[Event]:
    """Return the last events, at most `most`, of a cartridge, its sides and all logical media they ever had."""
    sides = {row.id for row in transaction.rows(_SIDES, id=medium_id)}
    sides |= _naming(transaction, Kind.NTMS_PARTITION, "medium_id", medium_id)
    logical: set[uuid.UUID] = set()
    for side in sides:
        logical |= {row.id for row in transaction.rows(_LOGICAL_MEDIA, id=side)}
        logical |= _naming(transaction, Kind.NTMS_LOGICAL_MEDIA, "side_id", side)
    found = [event for each in (medium_id, *sides, *logical) for event in list_latest(transaction, most, each)]
    return sorted(found, key=lambda event: event.id)[-most:] if most else []


def _naming(transaction: Transaction, kind: Kind, field: str, other: uuid.UUID) -> set[uuid.UUID]:
    """Return the objects of a kind whose events name another one in a field."""
    rows = transaction.rows(_NAMING, kind=int(kind), pattern=f'%"{field}":"{other}"%')
    return {row.object_id for row in rows}


def read_row(row: Any) -> Event:
    """Return the event that a row of all columns holds; call it while the transaction is decoding."""
    return Event(
        id=row.id,
        at=row.at,
        operation=Operation(row.operation),
        kind=Kind(row.kind),
        object=row.object_id,
        call=row.call,
        user=row.user_name,
        application=row.application,
        session=row.session_id,
        before=row.before,
        after=row.after,
        reason=row.reason,
    )
