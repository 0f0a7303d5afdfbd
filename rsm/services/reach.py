"""Which libraries a host reaches: by a path to the changer, or, where a person is the robot, to a drive.

It reads and decides only.
"""

import uuid
from typing import Any

from sqlalchemy import ColumnElement, bindparam, case, exists, or_, select

from rsm import identity
from rsm.db import Transaction
from rsm.model import Changer, DevicePath, Drive, Id, Library, PhysicalMedium, Text


def _paths(*conditions: ColumnElement[bool]) -> list[ColumnElement[bool]]:
    return [
        exists().where(device.library_id == Library.id, DevicePath.device_id == device.id, *conditions)
        for device in (Changer, Drive)
    ]


_OWN_PATHS = _paths(DevicePath.host == bindparam("host", type_=Text()))
# Of a row of a library: whether the host of the parameter `host` has a path to it, as a condition and as a value. The
# value is a case, as of an "or" whose value is wanted SQLite works out both sides: hundreds of drives beside a changer.
OWN_PATH = or_(*_OWN_PATHS)
REACHED: ColumnElement[Any] = case(*((path, 1) for path in _OWN_PATHS), else_=0)

_IS_REACHED = select(REACHED.label("reached")).where(Library.id == bindparam("library", type_=Id()))
_ELSEWHERE = (
    select(Library.id)
    .join(PhysicalMedium, PhysicalMedium.library_id == Library.id)
    .where(PhysicalMedium.id == bindparam("medium", type_=Id()), or_(*_paths()), ~OWN_PATH)
)


def is_reached(transaction: Transaction, library_id: uuid.UUID, host: str) -> bool:
    """Tell whether a host has a path to a library's changer or to one of its drives."""
    row = transaction.row(_IS_REACHED, library=library_id, host=host)
    return row is not None and bool(row.reached)


def is_elsewhere(transaction: Transaction, medium_id: uuid.UUID) -> bool:
    """Tell whether a cartridge is in a library that other hosts have a path to, and this one has not."""
    return transaction.row(_ELSEWHERE, medium=medium_id, host=identity.host()) is not None
