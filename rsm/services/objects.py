"""Finding and reading objects of every kind.

It needs no right for finding; reading an object needs its right. It never changes anything.
"""

import socket
import uuid
from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Select, and_, bindparam, case, func, literal, select, union_all
from sqlalchemy.orm import aliased

from rsm import values
from rsm.constants import (
    NTMS_ALLOCATE_FROMSCRATCH,
    NTMS_DEALLOCATE_TOSCRATCH,
    NULL_GUID,
    NtmsPoolType,
)
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction
from rsm.errors import InvalidParameterError, ObjectNotFoundError
from rsm.model import (
    TABLE_OF_KIND,
    Changer,
    DevicePath,
    Door,
    Drive,
    Id,
    Library,
    LibraryMediaType,
    LibraryRequest,
    LogicalMedium,
    MediaPool,
    Object,
    PhysicalMedium,
    Port,
    Side,
    Slot,
    Text,
)
from rsm.security import Caller
from rsm.services import access
from rsm.services.decoding import Decoder
from rsm.services.names import SEPARATOR, join_path, parse_path

Reference = uuid.UUID | str

VALUE_OF_KIND: dict[Kind, type[values.Value]] = {
    Kind.NTMS_CHANGER: values.Changer,
    Kind.NTMS_CHANGER_TYPE: values.ChangerType,
    Kind.NTMS_COMPUTER: values.Computer,
    Kind.NTMS_DRIVE: values.Drive,
    Kind.NTMS_DRIVE_TYPE: values.DriveType,
    Kind.NTMS_IEDOOR: values.Door,
    Kind.NTMS_IEPORT: values.Port,
    Kind.NTMS_LIBRARY: values.Library,
    Kind.NTMS_LIBREQUEST: values.LibraryRequest,
    Kind.NTMS_LOGICAL_MEDIA: values.LogicalMedium,
    Kind.NTMS_MEDIA_POOL: values.MediaPool,
    Kind.NTMS_MEDIA_TYPE: values.MediaType,
    Kind.NTMS_PARTITION: values.Side,
    Kind.NTMS_PHYSICAL_MEDIA: values.PhysicalMedium,
    Kind.NTMS_STORAGESLOT: values.Slot,
    Kind.NTMS_OPREQUEST: values.OperatorRequest,
}

_ID = bindparam("id", type_=Id())
_Parent = aliased(MediaPool)
_host = socket.gethostname()

# Values


def _count(table: Any, *criteria: Any) -> ColumnElement[int]:
    return select(func.count()).select_from(table).where(*criteria).correlate_except(table).scalar_subquery()


def _lowest(table: Any) -> ColumnElement[int]:
    lowest = select(func.min(table.number)).where(table.library_id == Library.id).correlate(Library).scalar_subquery()
    return func.coalesce(lowest, 0)


def _slot_flagged(flag: Any) -> ColumnElement[uuid.UUID]:
    return select(Slot.id).where(Slot.library_id == Library.id, flag).correlate(Library).scalar_subquery()


def _path_of(device: Any) -> ColumnElement[str]:
    mine = select(DevicePath.path).where(
        DevicePath.device_id == device.id, DevicePath.host == bindparam("host", type_=Text())
    )
    return func.coalesce(mine.correlate(device).scalar_subquery(), "")


def _library_columns() -> dict[str, Any]:
    counted: dict[str, Any] = {"drive": Drive, "slot": Slot, "door": Door, "port": Port, "changer": Changer}
    columns: dict[str, Any] = {
        "cleaner_slot": _slot_flagged(Slot.cleaner == 1),
        "default_cleaner_slot": _slot_flagged(Slot.cleaner_default == 1),
        "media": _count(PhysicalMedium, PhysicalMedium.library_id == Library.id),
        "media_types": _count(LibraryMediaType, LibraryMediaType.library_id == Library.id),
        "requests": _count(LibraryRequest, LibraryRequest.library_id == Library.id),
    }
    for name, table in counted.items():
        columns[f"first_{name}"] = _lowest(table)
        columns[f"{name}s"] = _count(table, table.library_id == Library.id)
    return columns


_MOUNTED_SIDE = (
    select(Side.id)
    .where(Side.medium_id == PhysicalMedium.id, Side.mounted == 1)
    .correlate(PhysicalMedium)
    .scalar_subquery()
)
_LOADED_SIDE = (
    select(Side.id)
    .join(PhysicalMedium, PhysicalMedium.id == Side.medium_id)
    .where(PhysicalMedium.drive_id == Drive.id, Side.mounted == 1)
    .correlate(Drive)
    .scalar_subquery()
)

# What a field of a value is, where it is not simply the column of that name or of that name with `_id`.
_COLUMNS: dict[Kind, dict[str, Any]] = {
    Kind.NTMS_LIBRARY: _library_columns(),
    Kind.NTMS_CHANGER: {"path": _path_of(Changer)},
    Kind.NTMS_DRIVE: {"path": _path_of(Drive), "loaded_side": _LOADED_SIDE},
    Kind.NTMS_MEDIA_POOL: {
        "path": literal("", Text()),
        "media_type": MediaPool.media_type_id,
        "parent": case((_Parent.pool_type == int(NtmsPoolType.NTMS_POOLTYPE_UNKNOWN), None), else_=_Parent.id),
        "allocate_from_free": MediaPool.allocation_policy == int(NTMS_ALLOCATE_FROMSCRATCH),
        "deallocate_to_free": MediaPool.deallocation_policy == int(NTMS_DEALLOCATE_TOSCRATCH),
        "physical_media": _count(PhysicalMedium, PhysicalMedium.pool_id == MediaPool.id),
        "logical_media": select(func.count(LogicalMedium.id))
        .select_from(Side)
        .join(LogicalMedium, LogicalMedium.side_id == Side.id)
        .where(Side.pool_id == MediaPool.id)
        .correlate(MediaPool)
        .scalar_subquery(),
        "pools": select(func.count())
        .select_from(child := aliased(MediaPool))
        .where(child.parent_id == MediaPool.id)
        .correlate(MediaPool)
        .scalar_subquery(),
    },
    Kind.NTMS_PHYSICAL_MEDIA: {
        "location": func.coalesce(PhysicalMedium.slot_id, PhysicalMedium.drive_id, PhysicalMedium.port_id),
        "location_type": case(
            (PhysicalMedium.drive_id.is_not(None), int(Kind.NTMS_DRIVE)),
            (PhysicalMedium.port_id.is_not(None), int(Kind.NTMS_IEPORT)),
            else_=int(Kind.NTMS_STORAGESLOT),
        ),
        "sides": _count(Side, Side.medium_id == PhysicalMedium.id),
        "mounted_side": _MOUNTED_SIDE,
    },
    Kind.NTMS_PARTITION: {
        "logical_medium": select(LogicalMedium.id)
        .where(LogicalMedium.side_id == Side.id)
        .correlate(Side)
        .scalar_subquery()
    },
    Kind.NTMS_LOGICAL_MEDIA: {
        "pool": Side.pool_id,
        "side": LogicalMedium.side_id,
        "sides": literal(1),
        "medium": Side.medium_id,
        "user": LogicalMedium.user_name,
    },
    Kind.NTMS_LIBREQUEST: {"user": LibraryRequest.user_name, "computer": LibraryRequest.computer_name},
}
_COLUMNS[Kind.NTMS_OPREQUEST] = {
    "user": TABLE_OF_KIND[Kind.NTMS_OPREQUEST].user_name,
    "computer": TABLE_OF_KIND[Kind.NTMS_OPREQUEST].computer_name,
}


def _column(kind: Kind, name: str) -> Any:
    table = TABLE_OF_KIND[kind]
    known = _COLUMNS.get(kind, {}).get(name)
    return known if known is not None else getattr(table, f"{name}_id", None) or getattr(table, name)


@cache
def select_values(kind: Kind, *, with_path: bool = False) -> Select[Any]:
    """Return the statement that selects the fields of all values of a kind in order, pools' full names `with_path`."""
    known = {field.name: _column(kind, field.name) for field in fields(VALUE_OF_KIND[kind])}
    if with_path and kind is Kind.NTMS_MEDIA_POOL:
        known["path"] = path_column(MediaPool.id)
    columns = [column.label(name) for name, column in known.items()]
    statement = select(*columns).select_from(TABLE_OF_KIND[kind])
    if kind is Kind.NTMS_MEDIA_POOL:
        statement = statement.outerjoin(_Parent, _Parent.id == MediaPool.parent_id)
    elif kind is Kind.NTMS_LOGICAL_MEDIA:
        statement = statement.join(Side, Side.id == LogicalMedium.side_id)
    return statement


@cache
def _select_value(kind: Kind) -> Select[Any]:
    return select_values(kind, with_path=True).where(TABLE_OF_KIND[kind].id == _ID)


def sequence_text(number: int) -> str:
    """Return a sequence number as a person writes it on the cartridge."""
    return f"{number:06d}"


_decoders: dict[tuple[Kind, str], Decoder] = {}
_SPECIAL: dict[Kind, dict[str, Any]] = {Kind.NTMS_PHYSICAL_MEDIA: {"sequence_number": sequence_text}}


def _decoder(transaction: Transaction, kind: Kind) -> Decoder:
    """Return what makes the values of a kind; the rows of every statement over its fields are alike."""
    key = (kind, transaction.dialect)
    known = _decoders.get(key)
    if known is None:
        compiled = transaction.compiled(_select_value(kind))
        known = _decoders[key] = Decoder(VALUE_OF_KIND[kind], compiled, _SPECIAL.get(kind, {}))
    return known


def make_values(transaction: Transaction, kind: Kind, rows: list[Any]) -> list[Any]:
    """Return the values that the raw rows of a statement over the fields of a kind stand for."""
    decoder = _decoder(transaction, kind)
    with transaction.decoding():
        columns = decoder.columns(rows)
        if kind is Kind.NTMS_MEDIA_POOL and not all(columns["path"]):
            paths = pool_paths(transaction, list(columns["id"]))
            columns["path"] = [paths[pool_id] for pool_id in columns["id"]]
        return decoder.make(columns)


def own_parameters(kind: Kind) -> dict[str, Any]:
    """Return the parameters that the statements over the values of a kind have beside those of the call."""
    return {"host": _host} if kind in (Kind.NTMS_DRIVE, Kind.NTMS_CHANGER) else {}


def read_value(transaction: Transaction, kind: Kind, object_id: uuid.UUID) -> Any:
    """Return an object without asking for any right.

    Raises:
        ObjectNotFoundError: there is no object of this kind and id.
    """
    return make_values(transaction, kind, [_read_raw(transaction, kind, object_id)])[0]


def _read_raw(transaction: Transaction, kind: Kind, object_id: uuid.UUID) -> Any:
    rows = transaction.raw_rows(_select_value(kind), id=object_id, **own_parameters(kind))
    if not rows:
        raise ObjectNotFoundError(f"there is no {spoken(kind)} with id {object_id}")
    return rows[0]


def read_object(transaction: Transaction, caller: Caller, kind: Kind, reference: Reference) -> Any:
    """Return what the catalogue says of an object (GetNtmsObjectInformation; MS-RSMP 3.2.5.2.6).

    Raises:
        ObjectNotFoundError: there is no object of this kind and id or name.
        AccessDeniedError: no use right on its guard.
    """
    object_id = reference if isinstance(reference, uuid.UUID) else existing(transaction, kind, reference)
    row = _read_raw(transaction, kind, object_id)
    access.require(transaction, caller, "GetNtmsObjectInformation", kind, object_id)
    return make_values(transaction, kind, [row])[0]


def spoken(kind: Kind) -> str:
    """Return the everyday word for a kind of object."""
    return SPOKEN.get(kind, kind.name)


SPOKEN = {
    Kind.NTMS_CHANGER: "changer",
    Kind.NTMS_CHANGER_TYPE: "changer type",
    Kind.NTMS_COMPUTER: "computer",
    Kind.NTMS_DRIVE: "drive",
    Kind.NTMS_DRIVE_TYPE: "drive type",
    Kind.NTMS_IEDOOR: "door",
    Kind.NTMS_IEPORT: "port",
    Kind.NTMS_LIBRARY: "library",
    Kind.NTMS_LIBREQUEST: "library request",
    Kind.NTMS_LOGICAL_MEDIA: "logical medium",
    Kind.NTMS_MEDIA_POOL: "media pool",
    Kind.NTMS_MEDIA_TYPE: "media type",
    Kind.NTMS_PARTITION: "side",
    Kind.NTMS_PHYSICAL_MEDIA: "cartridge",
    Kind.NTMS_STORAGESLOT: "slot",
    Kind.NTMS_OPREQUEST: "operator request",
}

# Pool paths

_JOINED_LEVELS = 16
_BELOW = select(MediaPool.id).where(
    MediaPool.parent_id == bindparam("parent", type_=Id()), MediaPool.name == bindparam("name", type_=Text())
)


@cache
def pool_at(depth: int) -> ColumnElement[uuid.UUID]:
    """Return the id of the pool whose levels are the parameters level_0, level_1, …; depth 0 is the root."""
    above = aliased(MediaPool)
    statement = select(above.id).where(above.parent_id.is_(None))
    for level in range(depth):
        below = aliased(MediaPool)
        named = and_(below.parent_id == above.id, below.name == bindparam(f"level_{level}", type_=Text()))
        statement = statement.join(below, named).with_only_columns(below.id)
        above = below
    return statement.scalar_subquery()


_ROOT = select(MediaPool.id).where(MediaPool.parent_id.is_(None))


def root_pool(transaction: Transaction) -> uuid.UUID:
    """Return the id of the hidden root pool."""
    root: uuid.UUID = transaction.one(_ROOT, "its root pool").id
    return root


def pool_criterion(transaction: Transaction, reference: Reference) -> tuple[int | None, dict[str, Any]]:
    """Return the depth for `pool_at`, None for an id, and the parameters that go with it.

    A path too deep for one join is walked here, level by level.

    Raises:
        InvalidNameError: the path is not well formed.
    """
    if isinstance(reference, uuid.UUID):
        return None, {"id": reference}
    return levels_criterion(transaction, parse_path(reference))


def levels_criterion(transaction: Transaction, levels: Sequence[str]) -> tuple[int | None, dict[str, Any]]:
    """Return what `pool_criterion` does for the pool with these levels, which are well formed."""
    if len(levels) <= _JOINED_LEVELS:
        return len(levels), {f"level_{number}": level for number, level in enumerate(levels)}
    reached = root_pool(transaction)
    for level in levels:
        below = transaction.row(_BELOW, parent=reached, name=level)
        if below is None:
            return None, {"id": NULL_GUID}
        reached = below.id
    return None, {"id": reached}


def path_column(pool_id: Any) -> ColumnElement[str]:
    """Return the full name of the pool with this id, built from it upwards."""
    start = aliased(MediaPool)
    first = select(
        start.parent_id.label("parent_id"),
        (literal(SEPARATOR, Text()) + start.name).label("path"),
        literal(1).label("depth"),
    ).where(start.id == pool_id)
    if not isinstance(pool_id, BindParameter):
        first = first.correlate(MediaPool)
    above = first.cte("above", recursive=True, nesting=True)
    parent = aliased(MediaPool)
    above = above.union_all(
        select(parent.parent_id, literal(SEPARATOR, Text()) + parent.name + above.c.path, above.c.depth + 1)
        .join(above, above.c.parent_id == parent.id)
        .where(parent.parent_id.is_not(None))
    )
    return select(above.c.path).order_by(above.c.depth.desc()).limit(1).scalar_subquery()


_PATH = select(path_column(_ID).label("path"))
_TREE = select(MediaPool.id, MediaPool.parent_id, MediaPool.name)


def pool_path(transaction: Transaction, pool_id: uuid.UUID) -> str | None:
    """Return the full name of a pool, None if there is no such pool."""
    path: str | None = transaction.row(_PATH, id=pool_id).path
    return path


def pool_paths(transaction: Transaction, pool_ids: list[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Return the full names of these pools; the whole tree is read once for more than one."""
    if len(pool_ids) == 1:
        return {pool_ids[0]: pool_path(transaction, pool_ids[0]) or SEPARATOR}
    tree = {row.id: row for row in transaction.rows(_TREE)}
    paths = {}
    for pool_id in pool_ids:
        levels, row, seen = [], tree.get(pool_id), set()
        while row is not None and row.parent_id is not None and row.id not in seen:
            seen.add(row.id)
            levels.append(row.name)
            row = tree.get(row.parent_id)
        paths[pool_id] = join_path(levels[::-1])
    return paths


# Finding

_KIND = select(Object.kind).where(Object.id == _ID)


def kind_of(transaction: Transaction, object_id: uuid.UUID) -> Kind | None:
    """Return the kind of thing an id names, None if nothing."""
    row = transaction.row(_KIND, id=object_id)
    with transaction.decoding():
        return None if row is None else Kind(row.kind)


@cache
def _select_named(kind: Kind) -> Select[Any]:
    table = TABLE_OF_KIND[kind]
    text = bindparam("text", type_=Text())
    if kind is Kind.NTMS_PHYSICAL_MEDIA:
        barcode = select(table.id).where(table.barcode == text, table.barcode != "")
        return select(union_all(barcode, select(table.id).where(table.name == text)).subquery().c.id).distinct()
    return select(table.id).where(table.name == text).order_by(table.id).limit(2)


@cache
def _select_exists(kind: Kind) -> Select[Any]:
    return select(TABLE_OF_KIND[kind].id).where(TABLE_OF_KIND[kind].id == _ID)


@cache
def _select_pool_at(depth: int) -> Select[Any]:
    return select(MediaPool.id).where(MediaPool.id == pool_at(depth))


def find(transaction: Transaction, kind: Kind, reference: Reference) -> uuid.UUID | None:
    """Return the id of the one object of this kind with that id, name, bar code or path; None if there is none.

    Raises:
        InvalidNameError: a pool path is not well formed.
        InvalidParameterError: several objects have that name.
    """
    if isinstance(reference, uuid.UUID):
        return reference if transaction.row(_select_exists(kind), id=reference) is not None else None
    if kind is Kind.NTMS_MEDIA_POOL:
        depth, parameters = pool_criterion(transaction, reference)
        statement = _select_exists(kind) if depth is None else _select_pool_at(depth)
        row = transaction.row(statement, **parameters)
        return None if row is None else row.id
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in reference):
        return None  # what no database can hold names nothing
    rows = transaction.rows(_select_named(kind), text=reference)
    if len(rows) > 1:
        raise InvalidParameterError(f"more than one {spoken(kind)} is called {reference!a}: use its id")
    return rows[0].id if rows else None


def existing(transaction: Transaction, kind: Kind, reference: Reference) -> uuid.UUID:
    """Return the id as `find`, or refuse.

    Raises:
        ObjectNotFoundError: there is no such object.
    """
    found = find(transaction, kind, reference)
    if found is None:
        with_what = f"with id {reference}" if isinstance(reference, uuid.UUID) else f"called {reference!a}"
        raise ObjectNotFoundError(f"there is no {spoken(kind)} {with_what}")
    return found
