"""Listing objects of every kind page by page, in the order of ids: ids, values, stored rows, and the tree of pools.

Listing itself needs no right; values and rows of what the caller may not read are left out. It never changes anything.
"""

import uuid
from functools import cache
from typing import Any

from sqlalchemy import Select, bindparam, select
from sqlalchemy.orm import aliased

from rsm import values
from rsm.constants import NULL_GUID
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction
from rsm.errors import InvalidParameterError, ObjectNotFoundError
from rsm.model import (
    TABLE_OF_KIND,
    Id,
    LibraryMediaType,
    LogicalMedium,
    MediaPool,
    MediaType,
    PhysicalMedium,
    Side,
)
from rsm.security import GUARD_KINDS, SCOPE_OF_KIND, Caller, Scope, allows, need, passes_everything
from rsm.services import access
from rsm.services.objects import kind_of, make_values, own_parameters, pool_paths, select_values, spoken

_Top = aliased(MediaPool)
_CONTAINER = bindparam("container", type_=Id())
_AFTER = bindparam("after", type_=Id())
_LIBRARY_HOLDS = (
    Kind.NTMS_CHANGER,
    Kind.NTMS_DRIVE,
    Kind.NTMS_IEDOOR,
    Kind.NTMS_IEPORT,
    Kind.NTMS_LIBREQUEST,
    Kind.NTMS_PHYSICAL_MEDIA,
    Kind.NTMS_STORAGESLOT,
)
# How an object of the first kind lies in a container of the second (EnumerateNtmsObject).
_HOLDS: dict[tuple[Kind, Kind], Any] = {
    **{(kind, Kind.NTMS_LIBRARY): TABLE_OF_KIND[kind].library_id == _CONTAINER for kind in _LIBRARY_HOLDS},
    (Kind.NTMS_MEDIA_TYPE, Kind.NTMS_LIBRARY): MediaType.id.in_(
        select(LibraryMediaType.media_type_id).where(LibraryMediaType.library_id == _CONTAINER)
    ),
    (Kind.NTMS_MEDIA_POOL, Kind.NTMS_MEDIA_POOL): MediaPool.parent_id == _CONTAINER,
    (Kind.NTMS_PHYSICAL_MEDIA, Kind.NTMS_MEDIA_POOL): PhysicalMedium.pool_id == _CONTAINER,
    (Kind.NTMS_PARTITION, Kind.NTMS_MEDIA_POOL): Side.pool_id == _CONTAINER,
    (Kind.NTMS_PARTITION, Kind.NTMS_PHYSICAL_MEDIA): Side.medium_id == _CONTAINER,
    (Kind.NTMS_PARTITION, Kind.NTMS_LOGICAL_MEDIA): Side.id.in_(
        select(LogicalMedium.side_id).where(LogicalMedium.id == _CONTAINER)
    ),
    (Kind.NTMS_LOGICAL_MEDIA, Kind.NTMS_PARTITION): LogicalMedium.side_id == _CONTAINER,
    (Kind.NTMS_LOGICAL_MEDIA, Kind.NTMS_MEDIA_POOL): LogicalMedium.side_id.in_(
        select(Side.id).where(Side.pool_id == _CONTAINER)
    ),
}
_TOP_LEVEL = MediaPool.parent_id.in_(select(_Top.id).where(_Top.parent_id.is_(None)))


@cache
def _select_listed(kind: Kind, container_kind: Kind | None, whole: bool) -> Select[Any]:
    table = TABLE_OF_KIND[kind]
    statement = select_values(kind) if whole else select(table.id)
    if container_kind is not None:
        statement = statement.where(_HOLDS[kind, container_kind])
    elif kind is Kind.NTMS_MEDIA_POOL:
        statement = statement.where(_TOP_LEVEL)
    return statement.where(table.id > _AFTER).order_by(table.id).limit(bindparam("most"))


def check_container(transaction: Transaction, kind: Kind, container: uuid.UUID | None) -> Kind | None:
    """Return the kind of a container that may hold objects of `kind`.

    Raises:
        InvalidParameterError: objects of this kind cannot be listed, or not within a container of that kind.
        ObjectNotFoundError: the container is not on record.
    """
    if kind not in TABLE_OF_KIND:
        raise InvalidParameterError(f"{kind!r} is no kind of object that can be listed")
    if container is None:
        return None
    container_kind = kind_of(transaction, container)
    if container_kind is None:
        raise ObjectNotFoundError(f"there is no container with id {container}")
    if (kind, container_kind) not in _HOLDS:
        raise InvalidParameterError(f"a {spoken(container_kind)} holds no {spoken(kind)}")
    return container_kind


def list_page(
    transaction: Transaction, kind: Kind, container: uuid.UUID | None, after: uuid.UUID, most: int
) -> list[uuid.UUID]:
    """Return at most `most` ids above `after` of the objects of a kind in a container, in the order of ids.

    None as container is the whole system, for pools the top level (EnumerateNtmsObject; MS-RSMP 3.2.5.2.8).

    Raises:
        InvalidParameterError: objects of this kind cannot be listed, or not within a container of that kind.
        ObjectNotFoundError: the container is not on record.
    """
    container_kind = check_container(transaction, kind, container)
    statement = _select_listed(kind, container_kind, False)
    parameters = {} if container is None else {"container": container}
    return [row.id for row in transaction.rows(statement, after=after, most=most, **parameters)]


def list_values(
    transaction: Transaction, caller: Caller, kind: Kind, container: uuid.UUID | None, after: uuid.UUID, most: int
) -> tuple[list[Any], uuid.UUID | None]:
    """Return what the catalogue says of the objects on one page of `list_page`, and the last id if more may follow.

    Objects that the caller may not read are left out; `list_page` names them all the same.

    Raises:
        InvalidParameterError, ObjectNotFoundError: as `list_page`.
    """
    rows, _ = _read_listed(transaction, kind, container, after, most)
    found = make_values(transaction, kind, rows)
    last = found[-1].id if len(found) == most else None
    return readable(transaction, caller, kind, found), last


def list_rows(
    transaction: Transaction, caller: Caller, kind: Kind, container: uuid.UUID | None, after: uuid.UUID, most: int
) -> tuple[list[Any], uuid.UUID | None]:
    """Return what `list_values` does as named tuples of what is stored: ids as 16 bytes, times in microseconds.

    Raises:
        InvalidParameterError, ObjectNotFoundError: as `list_page`.
    """
    rows, make = _read_listed(transaction, kind, container, after, most)
    if transaction.dialect == "postgresql":
        rows = [[value.bytes if isinstance(value, uuid.UUID) else value for value in row] for row in rows]
    found = list(map(make, rows))
    if kind is Kind.NTMS_MEDIA_POOL:
        paths = pool_paths(transaction, [uuid.UUID(bytes=row.id) for row in found])
        found = [row._replace(path=paths[uuid.UUID(bytes=row.id)]) for row in found]
    last = uuid.UUID(bytes=found[-1].id) if len(found) == most else None
    return readable(transaction, caller, kind, found), last


def _read_listed(
    transaction: Transaction, kind: Kind, container: uuid.UUID | None, after: uuid.UUID, most: int
) -> tuple[list[Any], Any]:
    statement = _select_listed(kind, check_container(transaction, kind, container), True)
    inside = {} if container is None else {"container": container}
    rows = transaction.raw_rows(statement, after=after, most=most, **inside, **own_parameters(kind))
    return rows, transaction.compiled(statement).stored


def readable(transaction: Transaction, caller: Caller, kind: Kind, found: list[Any]) -> list[Any]:
    """Return the values, or stored rows, whose guard lets the caller read them; each guard is looked at once."""
    rights = need("GetNtmsObjectInformation", transaction.policy.access_era).on(kind)
    if not rights or not found or passes_everything(caller, transaction.policy):
        return found
    verdicts: dict[Any, bool] = {}
    kept = []
    for value in found:
        guarding = _guarding(kind, value)
        if guarding not in verdicts:
            object_id = value.id if isinstance(value.id, uuid.UUID) else uuid.UUID(bytes=value.id)
            guard = access.read_guard(transaction, kind, object_id)
            verdicts[guarding] = guard is not None and allows(caller, transaction.policy, guard, rights)
        if verdicts[guarding]:
            kept.append(value)
    return kept


def _guarding(kind: Kind, value: Any) -> Any:
    scope = SCOPE_OF_KIND[kind]
    if kind in GUARD_KINDS or scope is Scope.COMPUTER:
        return NULL_GUID if scope is Scope.COMPUTER else value.id
    return value.pool if scope is Scope.POOL else value.library


_ALL_POOLS = select_values(Kind.NTMS_MEDIA_POOL).where(MediaPool.parent_id.is_not(None))


def list_tree(transaction: Transaction, caller: Caller, top: uuid.UUID | None) -> list[values.MediaPool]:
    """Return every pool below `top`, or of the whole tree, parents before children, siblings by name.

    Pools that the caller may not read are left out, those below them are not.
    """
    pools = make_values(transaction, Kind.NTMS_MEDIA_POOL, transaction.raw_rows(_ALL_POOLS))
    children: dict[uuid.UUID | None, list[values.MediaPool]] = {}
    for pool in sorted(pools, key=lambda pool: pool.name):
        children.setdefault(pool.parent, []).append(pool)
    ordered: list[values.MediaPool] = []
    waiting = children.get(top, [])[::-1]
    while waiting:
        ordered.append(pool := waiting.pop())
        waiting += children.get(pool.id, [])[::-1]
    return readable(transaction, caller, Kind.NTMS_MEDIA_POOL, ordered)
