"""What there is for a worker to see to: libraries with work, sessions that may have died, and what is to be purged.

It reads; the one thing it writes is the purging of what was kept long enough.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, case, exists, func, select

from rsm.db import Transaction
from rsm.model import Catalogue, Event, Id, Instant, Int, Library, LibraryRequest, OperatorRequest, Session, Text
from rsm.services import detection, notifications, operators, queue
from rsm.services.dismounts import forget_sessions
from rsm.services.reach import OWN_PATH
from rsm.services.sessions import OpenSession, list_open

_NOW = bindparam("now", type_=Instant())
_HOST = bindparam("host", type_=Text())
_SESSION_KEEP = timedelta(days=1)
MOST_AT_ONCE = 500
_MOST_EVENTS = 1_000


@dataclass(frozen=True, slots=True)
class Work:
    """A library that this host reaches and that has requests: how many are begun, and when the next comes due."""

    library_id: uuid.UUID
    back_end: str
    address: str
    begun: int
    next_due: datetime | None


@dataclass(frozen=True, slots=True)
class Agenda:
    """What there is to see to, at one moment by this machine's clock; `watched` are drives that somebody watches."""

    now: datetime
    libraries: tuple[Work, ...]
    sessions: tuple[OpenSession, ...]
    watched: tuple[Work, ...] = ()


_COMES_LATER = LibraryRequest.due > _NOW
_WORK = (
    select(
        Library.id,
        Library.back_end,
        Library.address,
        func.sum(case((LibraryRequest.state == int(queue.INPROCESS), 1), else_=0), type_=Int()).label("begun"),
        func.min(case((_COMES_LATER, LibraryRequest.due)), type_=Instant()).label("next_due"),
        func.min(case((LibraryRequest.expires > _NOW, LibraryRequest.expires)), type_=Instant()).label("expires"),
    )
    .join(LibraryRequest, LibraryRequest.library_id == Library.id)
    .where(queue.IS_LIVE, Library.online == 1, OWN_PATH)
    .group_by(Library.id, Library.back_end, Library.address)
)


def read_agenda(transaction: Transaction, host: str) -> Agenda:
    """Return the libraries that have work and are reached from a host, and the sessions that have not ended."""
    now = transaction.now
    libraries = []
    for row in transaction.rows(_WORK, host=host, now=now):
        times = [each for each in (row.next_due, row.expires) if each is not None and each > now]
        libraries.append(Work(row.id, row.back_end, row.address, int(row.begun), min(times, default=None)))
    return Agenda(now, tuple(libraries), tuple(list_open(transaction)), _read_watched(transaction, host))


_WATCHED = select(Library.id, Library.back_end, Library.address).where(
    Library.id == bindparam("library", type_=Id()), OWN_PATH
)


def _read_watched(transaction: Transaction, host: str) -> tuple[Work, ...]:
    rows = [transaction.row(_WATCHED, library=each, host=host) for each in detection.list_watched(transaction)]
    return tuple(Work(row.id, row.back_end, row.address, 0, None) for row in rows if row is not None)


# Purging

_KEEP_DAYS = select(Catalogue.event_keep_days)
_FIRST_EVENT = select(Event.at).order_by(Event.id).limit(1)


def has_old_events(transaction: Transaction) -> bool:
    """Tell whether the oldest event was kept long enough."""
    first = transaction.row(_FIRST_EVENT)
    return first is not None and first.at < _oldest_kept(transaction)


def _oldest_kept(transaction: Transaction) -> datetime:
    days: int = transaction.one(_KEEP_DAYS, "the row that describes it").event_keep_days
    return transaction.now - timedelta(days=min(days, 365_000))


_ENDED_REQUEST = select(exists().where(LibraryRequest.completed.is_not(None)).label("any_ended"))
_ANSWERED = select(exists().where(OperatorRequest.completed.is_not(None)).label("any_ended"))
_ENDED_SESSION = select(exists().where(Session.closed.is_not(None)).label("any_ended"))


def is_purge_worthwhile(transaction: Transaction) -> bool:
    """Tell whether there is anything that a purge could remove, by few cheap looks."""
    return (
        bool(transaction.one(_ENDED_REQUEST, "its requests").any_ended)
        or bool(transaction.one(_ENDED_SESSION, "its sessions").any_ended)
        or has_old_events(transaction)
        or bool(transaction.one(_ANSWERED, "its operator requests").any_ended)
    )


def purge(transaction: Transaction) -> int:
    """Remove some of what was kept long enough: requests, sessions, events; return how much it was."""
    removed = queue.purge_requests(transaction) + operators.purge(transaction)
    removed += forget_sessions(transaction, transaction.now - _SESSION_KEEP)
    if has_old_events(transaction):
        removed += notifications.forget_events(transaction, _oldest_kept(transaction), _MOST_EVENTS)
    return removed
