"""Who wants to hear of changes of which kind of object, and how far each has heard; and the forgetting of old events.

The events are all there is to hear: nothing is queued for anybody, and hearing writes nothing. Whoever hears knows how
far it got; its row only has to tell, when events are forgotten, whether it would have missed one. Forgetting never
waits for anybody: it ends the subscriptions that had not heard an event that goes, and who finds its row gone knows
that it missed something, or was taken for dead.
"""

import itertools
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, exists, func, or_, select, update

from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction, new_id
from rsm.errors import NoDataError
from rsm.model import Event, Id, Int, Session
from rsm.model import NotificationSubscriber as Row
from rsm.security import Caller, need
from rsm.services import access, events, sessions
from rsm.services.sessions import Enrolment
from rsm.statements import insert_row
from rsm.values import Event as EventValue

EVERY_KIND = Kind.NTMS_OBJECT  # objects of this kind are none; who subscribes to it hears of all

_ID = bindparam("id", type_=Id())
_EVENT_ID = Event.id.type
_INSERT = insert_row(Row)
_LAST = select(func.coalesce(func.max(Event.id), 0, type_=Int()).label("last"))
_INTACT = select(Row.id).join(Session, Session.id == Row.session_id).where(Row.id == _ID, Session.closed.is_(None))
_HEARD = (
    select(*Event.__table__.columns)
    .where(Event.id > bindparam("after_id", type_=_EVENT_ID))
    .order_by(Event.id)
    .limit(bindparam("most"))
)
_HEARD_OF_KIND = _HEARD.where(Event.kind == bindparam("kind", type_=Int()))
_POSITION = bindparam("position", type_=_EVENT_ID)
_MOVE = update(Row).where(Row.id == _ID, Row.last_event_id < _POSITION).values(last_event_id=_POSITION)
_DELETE = delete(Row).where(Row.id == _ID)
_DELETE_OF_SESSION = delete(Row).where(Row.session_id == bindparam("session_id", type_=Id()))


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription that was opened, and the last event before it."""

    id: uuid.UUID
    position: int


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard, oldest first, and the number up to which nothing is left to hear."""

    events: list[EventValue]
    reached: int


def subscribe(transaction: Transaction, caller: Caller, enrolment: Enrolment, kind: Kind) -> Subscription:
    """Begin to hear of what changes from now on in objects of a kind (OpenNtmsNotification).

    NTMS_OBJECT stands for every kind.

    Raises:
        AccessDeniedError: no use right on the computer (in the 2000 era none is needed).
    """
    needed = need("OpenNtmsNotification", transaction.policy.access_era)
    access.require_computer(transaction, caller, needed.computer)
    sessions.enrol(transaction, enrolment)
    new = Subscription(new_id(), _last(transaction))
    transaction.change(
        _INSERT,
        id=new.id,
        session_id=enrolment.id,
        kind=int(kind),
        last_event_id=new.position,
        opened=transaction.now,
    )
    return new


def _last(transaction: Transaction) -> int:
    last: int = transaction.one(_LAST, "its events").last
    return last


def hear(transaction: Transaction, subscription_id: uuid.UUID, kind: Kind, after: int, most: int) -> Heard:
    """Return at most `most` events that came after the one numbered `after` (WaitForNtmsNotification).

    Raises:
        NoDataError: events were forgotten before they were heard, or the session was taken for dead.
    """
    if transaction.row(_INTACT, id=subscription_id) is None:
        raise NoDataError("changes went by unheard, or the session was taken for dead: open the notification again")
    parameters: dict[str, Any] = {"after_id": after, "most": most}
    if kind is EVERY_KIND:
        rows = transaction.rows(_HEARD, **parameters)
    else:
        rows = transaction.rows(_HEARD_OF_KIND, kind=int(kind), **parameters)
    with transaction.decoding():
        found = [events.read_row(row) for row in rows]
    return Heard(found, found[-1].id if len(found) == most else max(after, _last(transaction)))


def keep_position(transaction: Transaction, subscription_id: uuid.UUID, position: int) -> None:
    """Write down how far a subscriber has heard; never back, and nothing if the subscription has ended."""
    transaction.change(_MOVE, id=subscription_id, position=position)


def unsubscribe(transaction: Transaction, subscription_id: uuid.UUID) -> None:
    """End a subscription; one that has ended is no error (CloseNtmsNotification)."""
    transaction.change(_DELETE, id=subscription_id)


def end_subscriptions(transaction: Transaction, session_id: uuid.UUID) -> None:
    """End the subscriptions of a session that closed or died."""
    transaction.change(_DELETE_OF_SESSION, session_id=session_id)


# Forgetting

_OLDEST = select(Event.id, Event.at).order_by(Event.id).limit(bindparam("most"))
_TO = bindparam("last", type_=_EVENT_ID)
_CUT_OFF = delete(Row).where(
    Row.last_event_id < _TO,
    exists().where(
        Event.id > Row.last_event_id, Event.id <= _TO, or_(Event.kind == Row.kind, Row.kind == int(EVERY_KIND))
    ),
)
_FORGET = delete(Event).where(Event.id <= _TO)


def forget_events(transaction: Transaction, before: datetime, most: int) -> int:
    """Remove at most `most` of the events from before a moment, oldest first, and return how many it was.

    An event stays while an older one does, whatever a clock that was set back wrote on it: what is left has no gaps.
    The subscriptions that had not heard one of them end.
    """
    old = list(itertools.takewhile(lambda event: bool(event.at < before), transaction.rows(_OLDEST, most=most)))
    if not old:
        return 0
    transaction.change(_CUT_OFF, last=old[-1].id)
    return transaction.change(_FORGET, last=old[-1].id)
