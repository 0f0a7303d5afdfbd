"""Epochs: who works a library, counted. Every take-over begins a new one; what was begun in an old one counts no more.

It keeps the number; who may hold a library is told by a claim of the operating system or the database server.
"""

import uuid

from sqlalchemy import bindparam, case, select, update

from rsm.db import Transaction
from rsm.errors import CancelledError
from rsm.model import Id, Instant, Int, Library

_LIBRARY = bindparam("library", type_=Id())
_NOW = bindparam("now", type_=Instant())


class SupersededError(CancelledError):
    """Another process has taken the library over; what this one had in hand is the other's now."""


_EPOCH = select(Library.epoch).where(Library.id == _LIBRARY)
_LEAST = bindparam("least", type_=Int())
_NEXT_EPOCH = (
    update(Library)
    .where(Library.id == _LIBRARY, Library.online == 1)
    .values(epoch=case((Library.epoch >= _LEAST, Library.epoch + 1), else_=_LEAST), modified=_NOW)
)


def take_over(transaction: Transaction, library_id: uuid.UUID, least: int = 1) -> int | None:
    """Begin a new epoch of a library, not before `least`, and return its number, None if the library is gone."""
    if not transaction.change(_NEXT_EPOCH, library=library_id, least=least, now=transaction.now):
        return None
    epoch: int = transaction.one(_EPOCH, "a library", library=library_id).epoch
    return epoch


def check_epoch(transaction: Transaction, library_id: uuid.UUID, epoch: int) -> None:
    """Refuse a write of a holder that was followed by another.

    Raises:
        SupersededError: it was, or the library is gone.
    """
    row = transaction.row(_EPOCH, library=library_id)
    if row is None or row.epoch != epoch:
        raise SupersededError("the library was taken over by another process")
