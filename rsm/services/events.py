"""The log of changes: one row for every change of an object, in the transaction that makes it.

It never writes about reading, waiting or anything that changed nothing.
"""

import enum
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select

from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction
from rsm.model import Event as Row
from rsm.statements import insert_row
from rsm.values import Event

_INSERT = insert_row(Row, without=("id",))
_PAGE = (
    select(Row)
    .with_only_columns(*Row.__table__.columns)
    .where(Row.id > bindparam("after_id", type_=Row.id.type))
    .order_by(Row.id)
    .limit(bindparam("most"))
)
_PAGE_OF_OBJECT = _PAGE.where(Row.object_id == bindparam("object_id", type_=Row.object_id.type))


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: ids as text, times as ISO 8601, flags and states as numbers."""
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def _document(fields: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if fields is None else {name: plain(value) for name, value in fields.items()}


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
    origin = transaction.origin
    transaction.change(
        _INSERT,
        at=transaction.now,
        operation=int(operation),
        kind=int(kind),
        object_id=object_id,
        call=call,
        user_name=origin.user,
        application=origin.application,
        session_id=origin.session,
        before=_document(before),
        after=_document(after),
        reason=origin.reason,
    )


def list_events(transaction: Transaction, after: int, most: int, object_id: uuid.UUID | None) -> list[Event]:
    """Return at most `most` events that came after the one numbered `after`, of one object or of all, oldest first."""
    if object_id is None:
        rows = transaction.rows(_PAGE, after_id=after, most=most)
    else:
        rows = transaction.rows(_PAGE_OF_OBJECT, after_id=after, most=most, object_id=object_id)
    with transaction.decoding():
        return [_event(row) for row in rows]


def _event(row: Any) -> Event:
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
