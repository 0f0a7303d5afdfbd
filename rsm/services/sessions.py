"""The sessions that have work in the queue or media in drives, and which of them still live.

A session's row is written by its first library work. Whether it lives is told by a claim that the kernel, or the
database server, lets go of when its process dies; this module only keeps the number.
"""

import uuid
from dataclasses import dataclass

from sqlalchemy import bindparam, select, update

from rsm.db import Transaction
from rsm.model import Id, Instant, Text
from rsm.model import Session as Row
from rsm.statements import insert_row

# Claims are numbers: those of sessions are drawn at random below this, those of libraries made of their ids above it.
FIRST_LIBRARY_CLAIM = 2**55


def claim_of_library(library_id: uuid.UUID) -> int:
    """Return the number of the claim that whoever works a library holds."""
    return FIRST_LIBRARY_CLAIM + (library_id.int % FIRST_LIBRARY_CLAIM)


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What the catalogue keeps of a session that has work in a library. `claim` is the number that tells its life."""

    id: uuid.UUID
    host: str
    boot: str
    claim: int
    application: str
    user: str


_ID = bindparam("id", type_=Id())
_INSERT = insert_row(Row)
_READ = select(Row.id, Row.closed, Row.lock_name).where(Row.id == _ID)
_REOPEN = update(Row).where(Row.id == _ID).values(closed=None, lock_name=bindparam("claim", type_=Text()))
_OPEN = select(Row.id, Row.lock_name, Row.host).where(Row.closed.is_(None)).order_by(Row.id)
_CLOSE = update(Row).where(Row.id == _ID, Row.closed.is_(None)).values(closed=bindparam("now", type_=Instant()))


def enrol(transaction: Transaction, enrolment: Enrolment) -> None:
    """Write the row of a session, at its first work."""
    row = transaction.row(_READ, id=enrolment.id)
    claim = str(enrolment.claim)
    if row is not None:
        # Its connection to the server was lost: it was taken for dead, or could not have its number again.
        if row.closed is not None or row.lock_name != claim:
            transaction.change(_REOPEN, id=enrolment.id, claim=claim)
    else:
        transaction.change(
            _INSERT,
            id=enrolment.id,
            host=enrolment.host,
            boot=enrolment.boot,
            lock_name=claim,
            application=enrolment.application,
            user_name=enrolment.user,
            opened=transaction.now,
            closed=None,
        )


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session that has not been closed, dead or alive."""

    id: uuid.UUID
    claim: int
    host: str


def list_open(transaction: Transaction) -> list[OpenSession]:
    """Return the sessions with a row that was not closed."""
    with transaction.decoding():
        return [OpenSession(row.id, int(row.lock_name), row.host) for row in transaction.rows(_OPEN)]


def is_open(transaction: Transaction, session_id: uuid.UUID) -> bool:
    """Tell whether a session has a row, and neither ended nor was taken for dead."""
    row = transaction.row(_READ, id=session_id)
    return row is not None and row.closed is None


def mark_closed(transaction: Transaction, session_id: uuid.UUID) -> bool:
    """Mark a session as closed; tell whether it had a row that was open."""
    return bool(transaction.change(_CLOSE, id=session_id, now=transaction.now))
