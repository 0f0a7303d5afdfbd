"""Media pools: making, renaming and deleting them, their policy, and the service's own pools of each media type.

A pool holds pools or media of one type, never both. Free, Unrecognized and Import and what lies under them belong to
the service. It never moves media.
"""

import uuid
from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import Select, bindparam, exists, select
from sqlalchemy.orm import aliased

from rsm import values
from rsm.constants import NTMS_ALLOCATE_FROMSCRATCH, NTMS_DEALLOCATE_TOSCRATCH, NtmsOperationalState, NtmsPoolType
from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction, new_id
from rsm.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    InvalidMediaError,
    InvalidMediaPoolError,
    InvalidNameError,
    InvalidParameterError,
    MediaIncompatibleError,
    NotEmptyError,
    ObjectNotFoundError,
)
from rsm.model import AccessControlEntry, Id, Int, LibraryMediaType, MediaPool, PhysicalMedium, Text
from rsm.security import (
    ADMINISTRATORS,
    ALL_RIGHTS,
    Ace,
    Caller,
    Guard,
    SecurityDescriptor,
    check_descriptor,
    inherited,
    need,
)
from rsm.services import access, events
from rsm.services.names import (
    SEPARATOR,
    check_description,
    check_level,
    check_path_length,
    join_path,
    parse_path,
    units,
)
from rsm.services.objects import (
    Reference,
    existing,
    find,
    levels_criterion,
    path_column,
    pool_at,
    pool_criterion,
    read_object,
    read_value,
    root_pool,
)
from rsm.services.properties import (
    checked_fields,
    delete_object,
    flag,
    insert_object,
    number,
    write_entries,
    write_fields,
)
from rsm.statements import insert_row

ROOT, APPLICATION = NtmsPoolType.NTMS_POOLTYPE_UNKNOWN, NtmsPoolType.NTMS_POOLTYPE_APPLICATION
SYSTEM = (NtmsPoolType.NTMS_POOLTYPE_SCRATCH, NtmsPoolType.NTMS_POOLTYPE_FOREIGN, NtmsPoolType.NTMS_POOLTYPE_IMPORT)

_Child = aliased(MediaPool)
_HAS_MEDIA = exists().where(PhysicalMedium.pool_id == MediaPool.id)
_HAS_POOLS = exists().where(_Child.parent_id == MediaPool.id)
_FIELDS = [column for column in MediaPool.__table__.columns if column.name != "modified"]
_REMEMBERED = [column.name for column in _FIELDS if column.name != "id"]


_check_maximum = number("max_allocates")


@cache
def _select_pool(depth: int | None) -> Select[Any]:
    """Select all that one decision about a pool needs, one row for each entry of its list."""
    wanted = bindparam("id", type_=Id()) if depth is None else pool_at(depth)
    return (
        select(
            *_FIELDS,
            path_column(MediaPool.id).label("path"),
            _HAS_MEDIA.label("has_media"),
            _HAS_POOLS.label("has_pools"),
            *access.ENTRY_COLUMNS,
        )
        .outerjoin(AccessControlEntry, AccessControlEntry.object_id == MediaPool.id)
        .where(MediaPool.id == wanted)
        .order_by(AccessControlEntry.position)
    )


@cache
def _select_parent(depth: int | None) -> Select[Any]:
    """Select what the creation of a pool needs to know of its parent, and whether the name is taken there."""
    wanted = bindparam("id", type_=Id()) if depth is None else pool_at(depth)
    taken = exists().where(_Child.parent_id == MediaPool.id, _Child.name == bindparam("name", type_=Text()))
    fields: list[Any] = [MediaPool.id, MediaPool.pool_type, MediaPool.media_type_id, MediaPool.owner]
    return (
        select(*fields, path_column(MediaPool.id).label("path"), taken.label("taken"), *access.ENTRY_COLUMNS)
        .outerjoin(AccessControlEntry, AccessControlEntry.object_id == MediaPool.id)
        .where(MediaPool.id == wanted)
        .order_by(AccessControlEntry.position)
    )


class Node:
    """One pool as a place in the tree: its full name, what kind it is of, and its guard."""

    __slots__ = ("guard", "id", "media_type_id", "path", "pool_type")

    def __init__(self, row: Any, stored: list[Any]) -> None:
        self.id: uuid.UUID = row.id
        self.pool_type = NtmsPoolType(row.pool_type)
        self.media_type_id: uuid.UUID | None = row.media_type_id
        self.path: str = row.path or SEPARATOR
        self.guard = Guard(row.owner, access.entries(stored))


class Pool(Node):
    """One pool as a decision about it sees it: its row too, and what it holds."""

    __slots__ = ("has_media", "has_pools", "row")

    def __init__(self, row: Any, stored: list[Any]) -> None:
        super().__init__(row, stored)
        self.row = row
        self.has_media, self.has_pools = bool(row.has_media), bool(row.has_pools)


def look_up(transaction: Transaction, reference: Reference) -> Pool | None:
    """Return the pool with this id or path, None if there is none.

    Raises:
        InvalidNameError: the path is not well formed.
    """
    depth, parameters = pool_criterion(transaction, reference)
    row, stored = transaction.joined(_select_pool(depth), **parameters)
    return None if row is None else transaction.decoded(Pool, row, stored)


def get_pool(transaction: Transaction, reference: Reference) -> Pool:
    """Return the pool with this id or path.

    Raises:
        InvalidMediaPoolError: there is no such pool, or the path cannot be one.
    """
    try:
        pool = look_up(transaction, reference)
    except InvalidNameError as error:
        raise InvalidMediaPoolError(f"there is no media pool {reference!a}: {error}") from None
    if pool is None:
        named = f"with id {reference}" if isinstance(reference, uuid.UUID) else reference
        raise InvalidMediaPoolError(f"there is no media pool {named}")
    return pool


# Creating


def create_pool(
    transaction: Transaction,
    caller: Caller,
    path: str,
    *,
    media_type: Reference | None = None,
    allocate_from_free: bool = False,
    deallocate_to_free: bool = False,
    max_allocates: int = 0,
    description: str = "",
    security: SecurityDescriptor | None = None,
    exist_ok: bool = False,
) -> values.MediaPool:
    """Create an application pool and return it; its parent must be there.

    `exist_ok` returns a pool of that name as it is, if the caller may read it.
    (CreateNtmsMediaPool; MS-RSMP 3.2.5.2.2.9.)

    Raises:
        InvalidParameterError: a number, the description or the descriptor is malformed.
        InvalidNameError: the path is not well formed, lies under a system pool or under a pool of media.
        InvalidMediaError: there is no such media type.
        ObjectNotFoundError: the parent pool is missing.
        AccessDeniedError: the right on the parent, or on the root for a top-level pool, is missing.
        AlreadyExistsError: there is a pool of that name.
    """
    _check_maximum(max_allocates)
    check_description(description)
    descriptor = SecurityDescriptor() if security is None else check_descriptor(security)
    levels = parse_path(path)
    if not levels:
        raise InvalidNameError("the root pool cannot be created")
    media_type_id = None if media_type is None else find(transaction, Kind.NTMS_MEDIA_TYPE, media_type)
    if media_type is not None and media_type_id is None:
        raise InvalidMediaError(f"there is no media type {media_type}: rsm type list shows those there are")
    if exist_ok and find(transaction, Kind.NTMS_MEDIA_POOL, path) is not None:
        existing_pool: values.MediaPool = read_object(transaction, caller, Kind.NTMS_MEDIA_POOL, path)
        return existing_pool
    parent, taken = _parent_for(transaction, levels)
    rights = need("CreateNtmsMediaPool", transaction.policy.access_era).pool
    access.demand(transaction, caller, rights, parent.guard, f"pool {parent.path}")
    if taken:
        raise AlreadyExistsError(f"there is a media pool {join_path(levels)} already")
    _check_can_hold_pools(parent)
    fields = {
        "parent_id": parent.id,
        "name": levels[-1],
        "description": description,
        "owner": descriptor.owner or caller.user,
        "pool_type": APPLICATION,
        "media_type_id": media_type_id,
        "allocation_policy": int(NTMS_ALLOCATE_FROMSCRATCH) if allocate_from_free else 0,
        "deallocation_policy": int(NTMS_DEALLOCATE_TOSCRATCH) if deallocate_to_free else 0,
        "max_allocates": max_allocates,
    }
    dacl = _new_dacl(caller, parent) if descriptor.dacl is None else tuple(descriptor.dacl)
    pool_id = insert_pool(transaction, "CreateNtmsMediaPool", fields, dacl, parent.path)
    return _new_value(transaction, pool_id, fields, join_path(levels), parent)


def _new_dacl(caller: Caller, parent: Node) -> tuple[Ace, ...]:
    taken_over = () if parent.pool_type is ROOT else inherited(parent.guard.dacl)
    return (Ace(True, caller.user, ALL_RIGHTS), *taken_over)


def _new_value(
    transaction: Transaction, pool_id: uuid.UUID, fields: Mapping[str, Any], path: str, parent: Node
) -> values.MediaPool:
    """Return a pool that was just stored, as reading it would."""
    return values.MediaPool(
        id=pool_id,
        name=fields["name"],
        description=fields["description"],
        created=transaction.now,
        modified=transaction.now,
        enabled=True,
        operational_state=NtmsOperationalState.NTMS_READY,
        path=path,
        pool_type=APPLICATION,
        media_type=fields["media_type_id"],
        parent=None if parent.pool_type is ROOT else parent.id,
        allocate_from_free=bool(fields["allocation_policy"]),
        deallocate_to_free=bool(fields["deallocation_policy"]),
        max_allocates=int(fields["max_allocates"]),
        physical_media=0,
        logical_media=0,
        pools=0,
    )


def _read_pool(transaction: Transaction, pool_id: uuid.UUID) -> values.MediaPool:
    pool: values.MediaPool = read_value(transaction, Kind.NTMS_MEDIA_POOL, pool_id)
    return pool


def missing_parents(transaction: Transaction, path: str) -> list[str]:
    """Return the paths of the parents of `path` that are not there, topmost first.

    Raises:
        InvalidNameError: the path is not well formed.
    """
    levels = parse_path(path)
    above = [join_path(levels[:depth]) for depth in range(1, len(levels))]
    return [parent for parent in above if find(transaction, Kind.NTMS_MEDIA_POOL, parent) is None]


def _parent_for(transaction: Transaction, levels: tuple[str, ...]) -> tuple[Node, bool]:
    """Return the pool that a path of these levels lies in, and whether there is one of that path already."""
    depth, parameters = levels_criterion(transaction, levels[:-1])
    row, stored = transaction.joined(_select_parent(depth), name=levels[-1], **parameters)
    if row is None:
        missing = join_path(levels[:-1])
        raise ObjectNotFoundError(f"there is no media pool {missing} to create {levels[-1]!a} in: create it first")
    return transaction.decoded(Node, row, stored), bool(row.taken)


def _check_can_hold_pools(parent: Node) -> None:
    if parent.pool_type in SYSTEM:
        raise InvalidNameError(f"{parent.path} belongs to the service: no pool can be created under it")
    if parent.media_type_id is not None:
        raise InvalidNameError(f"{parent.path} is a pool of media: a pool holds pools or media, never both")


_INSERT_POOL = insert_row(MediaPool)


def insert_pool(
    transaction: Transaction, call: str, fields: Mapping[str, Any], dacl: tuple[Ace, ...], parent_path: str
) -> uuid.UUID:
    """Store a new pool with its list and one event, and return its id."""
    pool_id = new_id()
    insert_object(transaction, Kind.NTMS_MEDIA_POOL, pool_id)
    transaction.change(
        _INSERT_POOL,
        id=pool_id,
        created=transaction.now,
        modified=transaction.now,
        enabled=True,
        operational_state=int(NtmsOperationalState.NTMS_READY),
        **fields,
    )
    write_entries(transaction, pool_id, dacl)
    path = f"{parent_path.rstrip(SEPARATOR)}{SEPARATOR}{fields['name']}"
    events.record(
        transaction, call, Operation.NTMS_OBJ_INSERT, Kind.NTMS_MEDIA_POOL, pool_id, after={**fields, "path": path}
    )
    return pool_id


# Deleting


def delete_pool(transaction: Transaction, caller: Caller, reference: Reference) -> None:
    """Delete an empty application pool (DeleteNtmsMediaPool; MS-RSMP 3.2.5.2.2.14).

    Raises:
        InvalidMediaPoolError: there is no such pool.
        AccessDeniedError: the right on the pool is missing.
        InvalidMediaPoolError: it is the root, or belongs to the service.
        NotEmptyError: it holds media or pools.
    """
    pool = get_pool(transaction, reference)
    access.demand(
        transaction,
        caller,
        need("DeleteNtmsMediaPool", transaction.policy.access_era).pool,
        pool.guard,
        f"pool {pool.path}",
    )
    if pool.pool_type is not APPLICATION:
        raise InvalidMediaPoolError(f"{pool.path} belongs to the service and cannot be deleted")
    if pool.has_media or pool.has_pools:
        holds = "media" if pool.has_media else "pools"
        raise NotEmptyError(f"{pool.path} still holds {holds}: move or delete them first")
    _delete_with_event(transaction, "DeleteNtmsMediaPool", pool)


def _delete_with_event(transaction: Transaction, call: str, pool: Pool) -> None:
    delete_object(transaction, pool.id)
    before = {name: getattr(pool.row, name) for name in _REMEMBERED}
    events.record(
        transaction,
        call,
        Operation.NTMS_OBJ_DELETE,
        Kind.NTMS_MEDIA_POOL,
        pool.id,
        before={**before, "path": pool.path},
    )


# Changing


def _policy(field: str, bit: int) -> Any:
    check = flag(field)
    return lambda value: int(bit) if check(value) else 0


_WRITABLE: dict[str, Any] = {
    "name": check_level,
    "media_type": lambda value: value,
    "allocate_from_free": _policy("allocate_from_free", NTMS_ALLOCATE_FROMSCRATCH),
    "deallocate_to_free": _policy("deallocate_to_free", NTMS_DEALLOCATE_TOSCRATCH),
    "max_allocates": _check_maximum,
}
_COLUMN = {
    "media_type": "media_type_id",
    "allocate_from_free": "allocation_policy",
    "deallocate_to_free": "deallocation_policy",
}


def update_pool(
    transaction: Transaction, caller: Caller, reference: Reference, changes: Mapping[str, Any]
) -> values.MediaPool:
    """Change name, description, media type or policy of a pool and return it (SetNtmsObjectInformation).

    Raises:
        ObjectNotFoundError: there is no such pool.
        AccessDeniedError: the right is missing, or the service's own pool would change more than its description.
        InvalidParameterError: a value is out of range, or there is no such media type.
        InvalidNameError: the new name, or the full name of a pool below, would not be well formed.
        AlreadyExistsError: a sibling has the new name.
        MediaIncompatibleError: the media type would change while the pool holds something.
    """
    pool_id = existing(transaction, Kind.NTMS_MEDIA_POOL, reference)
    access.require(transaction, caller, "SetNtmsObjectInformation", Kind.NTMS_MEDIA_POOL, pool_id)
    pool = get_pool(transaction, pool_id)
    changes = dict(changes)
    if pool.pool_type is not APPLICATION:  # a caller that writes back what it read changes nothing of it
        _drop_unchanged(transaction, pool, changes)
        if set(changes) - {"description"}:
            raise AccessDeniedError(f"{pool.path} belongs to the service: only its description can be changed")
    checked = checked_fields(Kind.NTMS_MEDIA_POOL, changes, _WRITABLE)
    new = {_COLUMN.get(name, name): value for name, value in checked.items()}
    if "media_type_id" in new:
        new["media_type_id"] = _checked_media_type(transaction, pool, new["media_type_id"])
    if new.get("name", pool.row.name) != pool.row.name:
        _check_rename(transaction, pool, new["name"])
    old = {name: getattr(pool.row, name) for name in new}
    write_fields(transaction, Kind.NTMS_MEDIA_POOL, pool.id, "SetNtmsObjectInformation", old, new)
    return _read_pool(transaction, pool.id)


def _drop_unchanged(transaction: Transaction, pool: Pool, changes: dict[str, Any]) -> None:
    value = read_value(transaction, Kind.NTMS_MEDIA_POOL, pool.id)
    for name in [name for name in changes if hasattr(value, name) and getattr(value, name) == changes[name]]:
        del changes[name]


def _checked_media_type(transaction: Transaction, pool: Pool, media_type: Reference | None) -> uuid.UUID | None:
    found = None if media_type is None else find(transaction, Kind.NTMS_MEDIA_TYPE, media_type)
    if media_type is not None and found is None:
        raise InvalidParameterError(f"there is no media type {media_type}")
    if found != pool.media_type_id and (pool.has_media or (pool.has_pools and found is not None)):
        raise MediaIncompatibleError(f"{pool.path} is not empty: its media type cannot change")
    return found


_PATHS = select(path_column(MediaPool.id).label("path")).where(MediaPool.parent_id.is_not(None))


def _check_rename(transaction: Transaction, pool: Pool, name: str) -> None:
    above = pool.path.rpartition(SEPARATOR)[0]
    renamed = f"{above}{SEPARATOR}{name}"
    if find(transaction, Kind.NTMS_MEDIA_POOL, renamed) is not None:
        raise AlreadyExistsError(f"there is a media pool {renamed} already")
    below = f"{pool.path}{SEPARATOR}"
    longest = max(
        (units(row.path) for row in transaction.rows(_PATHS) if row.path.startswith(below)), default=units(pool.path)
    )
    check_path_length(renamed + "x" * (longest - units(pool.path)))


# The service's own pools of a media type

_SYSTEM_PARENTS = (
    select(MediaPool.id, MediaPool.pool_type)
    .where(MediaPool.parent_id == bindparam("root", type_=Id()), MediaPool.pool_type.between(min(SYSTEM), max(SYSTEM)))
    .order_by(MediaPool.pool_type)
)
_SYSTEM_CHILD = select(MediaPool.id).where(
    MediaPool.parent_id == bindparam("parent", type_=Id()),
    MediaPool.media_type_id == bindparam("media_type", type_=Id()),
)


def create_system_pools(transaction: Transaction, call: str, media_type_id: uuid.UUID, name: str) -> None:
    """Make the free, unrecognized and import pool of a media type, as far as they are missing."""
    for parent in transaction.rows(_SYSTEM_PARENTS, root=root_pool(transaction)):
        if transaction.row(_SYSTEM_CHILD, parent=parent.id, media_type=media_type_id) is None:
            fields = {
                "parent_id": parent.id,
                "name": name,
                "description": "",
                "owner": ADMINISTRATORS,
                "pool_type": parent.pool_type,
                "media_type_id": media_type_id,
                "allocation_policy": 0,
                "deallocation_policy": 0,
                "max_allocates": 0,
            }
            above = get_pool(transaction, parent.id)
            insert_pool(transaction, call, fields, inherited(above.guard.dacl), above.path)


_LINK = select(LibraryMediaType.library_id).where(
    LibraryMediaType.library_id == bindparam("library", type_=Id()),
    LibraryMediaType.media_type_id == bindparam("media_type", type_=Id()),
)
_INSERT_LINK = insert_row(LibraryMediaType)


def link_media_type(
    transaction: Transaction, call: str, library_id: uuid.UUID, media_type_id: uuid.UUID, name: str
) -> None:
    """Let a library take a media type and make the type's system pools, as far as that is not so yet."""
    if transaction.row(_LINK, library=library_id, media_type=media_type_id) is None:
        transaction.change(_INSERT_LINK, library_id=library_id, media_type_id=media_type_id)
        events.record(
            transaction,
            call,
            Operation.NTMS_OBJ_UPDATE,
            Kind.NTMS_LIBRARY,
            library_id,
            before={"media_type": None},
            after={"media_type": name},
        )
    create_system_pools(transaction, call, media_type_id, name)


_SYSTEM_POOL = select(MediaPool.id).where(
    MediaPool.media_type_id == bindparam("media_type", type_=Id()),
    MediaPool.pool_type == bindparam("pool_type", type_=Int()),
)


def find_system_pool(transaction: Transaction, pool_type: NtmsPoolType, media_type_id: uuid.UUID) -> uuid.UUID | None:
    """Return the free, unrecognized or import pool of a media type, None if there is none (yet)."""
    row = transaction.row(_SYSTEM_POOL, media_type=media_type_id, pool_type=int(pool_type))
    return None if row is None else row.id


_TYPE = bindparam("media_type", type_=Id())
_TYPE_USED = select(
    exists().where(PhysicalMedium.media_type_id == _TYPE).label("media"),
    exists().where(LibraryMediaType.media_type_id == _TYPE).label("libraries"),
)


def delete_unused_system_pools(transaction: Transaction, call: str, media_type_id: uuid.UUID) -> None:
    """Delete the service's pools of a media type once no library takes it and no cartridge of it is on record."""
    used = transaction.row(_TYPE_USED, media_type=media_type_id)
    if not used.media and not used.libraries:
        delete_system_pools(transaction, call, media_type_id)


def delete_system_pools(transaction: Transaction, call: str, media_type_id: uuid.UUID) -> None:
    """Delete the service's pools of a media type that nothing is left of."""
    for parent in transaction.rows(_SYSTEM_PARENTS, root=root_pool(transaction)):
        row = transaction.row(_SYSTEM_CHILD, parent=parent.id, media_type=media_type_id)
        if row is not None:
            _delete_with_event(transaction, call, get_pool(transaction, row.id))
