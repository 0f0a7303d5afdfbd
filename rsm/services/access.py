"""Reading guards and refusing callers: the only place where services ask who may do what.

It runs inside whatever transaction it is given. It never changes anything.
"""

import uuid
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import Executable, Select, and_, bindparam, select

from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction
from rsm.errors import AccessDeniedError, DatabaseFailureError
from rsm.model import (
    TABLE_OF_KIND,
    AccessControlEntry,
    Computer,
    Library,
    LogicalMedium,
    MediaPool,
    PhysicalMedium,
    Side,
)
from rsm.security import (
    SCOPE_OF_KIND,
    AccessRights,
    Ace,
    Caller,
    Guard,
    Scope,
    allows,
    need,
)

Entry = AccessControlEntry
ENTRY_COLUMNS = (Entry.allow, Entry.trustee, Entry.rights, Entry.inherited)
_TABLE_OF_SCOPE: dict[Scope, type[Any]] = {Scope.POOL: MediaPool, Scope.LIBRARY: Library, Scope.COMPUTER: Computer}


def entries(rows: Iterable[Any]) -> tuple[Ace, ...]:
    """Return the entries that stored rows end with; a guard without any has one row of nothing."""
    return tuple([_entry(*row[-4:]) for row in rows if row[-4] is not None])


@lru_cache(maxsize=1024)
def _entry(allow: int, trustee: str, rights: int, inherited: int) -> Ace:
    return Ace(bool(allow), trustee, AccessRights(rights), bool(inherited))


@cache
def _select_guard(kind: Kind) -> Select[Any]:
    """Select the guard of an object of this kind, one row for each of its entries."""
    guard = _TABLE_OF_SCOPE[SCOPE_OF_KIND[kind]]
    table = TABLE_OF_KIND[kind]
    statement = select(guard.id, guard.name, guard.owner, *ENTRY_COLUMNS).select_from(table)
    if kind is Kind.NTMS_LOGICAL_MEDIA:
        statement = statement.join(Side, Side.id == LogicalMedium.side_id).join(guard, guard.id == Side.pool_id)
    elif kind in (Kind.NTMS_PARTITION, Kind.NTMS_PHYSICAL_MEDIA):
        statement = statement.join(guard, guard.id == table.pool_id)
    elif guard is Library and table is not Library:
        statement = statement.join(guard, guard.id == table.library_id)
    elif guard is Computer and table is not Computer:
        statement = statement.join(guard, guard.id.is_not(None))
    statement = statement.outerjoin(Entry, Entry.object_id == guard.id)
    return statement.where(table.id == bindparam("id", type_=table.id.type)).order_by(Entry.position)


_GUARDING_LIBRARY = (
    select(Library.id, Library.name, Library.owner, *ENTRY_COLUMNS)
    .select_from(PhysicalMedium)
    .join(Library, Library.id == PhysicalMedium.library_id)
    .outerjoin(Entry, Entry.object_id == Library.id)
    .where(PhysicalMedium.id == bindparam("id", type_=PhysicalMedium.id.type))
    .order_by(Entry.position)
)
_COMPUTER = (
    select(Computer.id, Computer.name, Computer.owner, *ENTRY_COLUMNS)
    .outerjoin(Entry, Entry.object_id == Computer.id)
    .order_by(Entry.position)
)
_OFFLINE_LIBRARY = (
    select(Library.id, Library.name, Library.owner, *ENTRY_COLUMNS)
    .outerjoin(Entry, and_(Entry.object_id == Library.id))
    .where(Library.online == 0)
    .order_by(Entry.position)
)


def _guard(transaction: Transaction, statement: Executable, what: str, **parameters: Any) -> Guard:
    row, stored = transaction.joined(statement, **parameters)
    if row is None:
        raise DatabaseFailureError(f"the catalogue has lost {what}: run rsm db check")
    return Guard(row.owner, transaction.decoded(entries, stored))


def read_guard(transaction: Transaction, kind: Kind, object_id: uuid.UUID) -> Guard | None:
    """Return the guard that protects an object, None if there is no such object or its guard is gone."""
    row, stored = transaction.joined(_select_guard(kind), id=object_id)
    return None if row is None else Guard(row.owner, transaction.decoded(entries, stored))


def require(transaction: Transaction, caller: Caller, call: str, kind: Kind, object_id: uuid.UUID) -> None:
    """Refuse unless the caller may use `call` on an object of this kind, as its guard says.

    Raises:
        AccessDeniedError: a right is missing, or the guard itself is gone.
    """
    rights = need(call, transaction.policy.access_era).on(kind)
    if not rights:
        return
    guard = read_guard(transaction, kind, object_id)
    if guard is None:
        raise AccessDeniedError(f"what guards {object_id} is not on record any more")
    demand(transaction, caller, rights, guard, f"the {SCOPE_OF_KIND[kind].value} that guards it")


def require_pool_of(
    transaction: Transaction, caller: Caller, rights: AccessRights, kind: Kind, object_id: uuid.UUID
) -> None:
    """Refuse unless the caller has `rights` on the pool that a cartridge, side or logical medium is in.

    Raises:
        DatabaseFailureError: the pool is gone.
        AccessDeniedError: a right is missing.
    """
    guard = _guard(transaction, _select_guard(kind), "the pool of a medium", id=object_id)
    demand(transaction, caller, rights, guard, "the pool that holds it")


def require_computer(transaction: Transaction, caller: Caller, rights: AccessRights) -> None:
    """Refuse unless the caller has `rights` on the computer object.

    Raises:
        AccessDeniedError: a right is missing.
    """
    if rights:
        guard = _guard(transaction, _COMPUTER, "the computer object")
        demand(transaction, caller, rights, guard, "the computer")


def require_offline_library(transaction: Transaction, caller: Caller, rights: AccessRights) -> None:
    """Refuse unless the caller has `rights` on the offline library.

    Raises:
        AccessDeniedError: a right is missing.
    """
    if rights:
        guard = _guard(transaction, _OFFLINE_LIBRARY, "the offline library")
        demand(transaction, caller, rights, guard, "the offline library")


def require_library_of_medium(
    transaction: Transaction, caller: Caller, rights: AccessRights, medium_id: uuid.UUID
) -> None:
    """Refuse unless the caller has `rights` on the library that a cartridge is in.

    Raises:
        AccessDeniedError: a right is missing.
    """
    guard = _guard(transaction, _GUARDING_LIBRARY, "the library of a cartridge", id=medium_id)
    demand(transaction, caller, rights, guard, "the library that holds it")


def demand(transaction: Transaction, caller: Caller, rights: AccessRights, guard: Guard, what: str) -> None:
    """Refuse unless the guard gives the caller `rights`.

    Raises:
        AccessDeniedError: it does not; the message names user, rights and guard.
    """
    if rights and not allows(caller, transaction.policy, guard, rights):
        names = " and ".join(right.name or "" for right in AccessRights if right & rights)
        raise AccessDeniedError(f"{caller.user} needs {names} on {what}")


def require_library(
    transaction: Transaction, caller: Caller, rights: AccessRights, kind: Kind, object_id: uuid.UUID
) -> None:
    """Refuse unless the caller has `rights` on a library, or on the library that a device is in.

    Raises:
        DatabaseFailureError: the library is gone.
        AccessDeniedError: a right is missing.
    """
    guard = _guard(transaction, _select_guard(kind), "the library of a device", id=object_id)
    demand(transaction, caller, rights, guard, "the library")
