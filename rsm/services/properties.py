"""What may be changed about any object: its writable fields, attributes, owner and list, and whether it is in service.

Pools have rules of their own for names and types; `pools.update_pool` keeps them and writes through here.
"""

import uuid
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from sqlalchemy import Select, Update, bindparam, delete, select, update

from rsm.constants import (
    NTMS_MAXATTR_LENGTH,
    NtmsInventoryMethod,
    NtmsLibraryFlags,
    NtmsLibRequestFlags,
    NtmsMediaPoolPolicy,
    NtmsOpRequestFlags,
)
from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction
from rsm.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    InvalidParameterError,
    InvalidStateError,
    LibraryOfflineError,
    NoDataError,
    NoSecurityOnObjectError,
    ObjectNotFoundError,
)
from rsm.model import (
    OFFLINE,
    TABLE_OF_KIND,
    AccessControlEntry,
    Attribute,
    Bytes,
    Flag,
    Id,
    Instant,
    Object,
    Side,
    Text,
)
from rsm.security import (
    GUARD_KINDS,
    AccessRights,
    Ace,
    Caller,
    Guard,
    SecurityDescriptor,
    check_descriptor,
    need,
)
from rsm.services import access, events
from rsm.services.names import check_attribute_name, check_description, check_name
from rsm.services.objects import Reference, existing, find, read_value, spoken
from rsm.statements import insert_row

DWORD_MAXIMUM = 0xFFFFFFFF
WORD_MAXIMUM = 0xFFFF
_DERIVED_FLAGS = (
    NtmsLibraryFlags.NTMS_LIBRARYFLAG_FIXEDOFFLINE
    | NtmsLibraryFlags.NTMS_LIBRARYFLAG_CLEANERPRESENT
    | NtmsLibraryFlags.NTMS_LIBRARYFLAG_IGNORECLEANERUSESREMAINING
)
_UNCHANGEABLE = (Kind.NTMS_OBJECT, Kind.NTMS_UI_DESTINATION)  # kinds of the header without a record of their own
_ID = bindparam("id", type_=Id())

# Being on record

_INSERT_OBJECT = insert_row(Object)
_DELETE_OBJECT = delete(Object).where(Object.id == bindparam("object_id", type_=Id()))


def insert_object(transaction: Transaction, kind: Kind, object_id: uuid.UUID) -> None:
    """Register an id; the database refuses one that names something already."""
    transaction.change(_INSERT_OBJECT, id=object_id, kind=int(kind))


def delete_object(transaction: Transaction, object_id: uuid.UUID) -> None:
    """Delete an object and all that hangs on it; what must outlive it makes the database refuse."""
    transaction.change(_DELETE_OBJECT, object_id=object_id)


# Fields


def number(field: str, maximum: int = DWORD_MAXIMUM) -> Callable[[Any], int]:
    """Return what refuses anything but a whole number from 0 to `maximum` (InvalidParameterError)."""

    def check(value: Any) -> int:
        if not isinstance(value, int) or not 0 <= value <= maximum:
            raise InvalidParameterError(f"{field} is a number from 0 to {maximum}, not {value!r}")
        return int(value)

    return check


def flag(field: str) -> Callable[[Any], bool]:
    """Return what refuses anything but true and false, as 1 and 0 too (InvalidParameterError)."""

    def check(value: Any) -> bool:
        if value not in (0, 1):
            raise InvalidParameterError(f"{field} is true or false, not {value!r}")
        return bool(value)

    return check


def _flags(field: str, flags: type[Any]) -> Callable[[Any], int]:
    known = 0
    for flag in flags:
        known |= int(flag)

    def check(value: Any) -> int:
        if not isinstance(value, int) or value < 0 or value & ~known:
            raise InvalidParameterError(f"{field} has a flag that {flags.__name__} does not know: {value!r}")
        return int(value)

    return check


def _inventory_method(value: Any) -> int:
    allowed = (
        NtmsInventoryMethod.NTMS_INVENTORY_NONE,
        NtmsInventoryMethod.NTMS_INVENTORY_FAST,
        NtmsInventoryMethod.NTMS_INVENTORY_OMID,
    )
    if value not in allowed:
        raise InvalidParameterError("a library's own inventory method is none, fast or OMID")
    return int(value)


def _nameable(value: str) -> str:
    return check_name(value, may_be_empty=True)


# The writable fields of each kind beside the description (SetNtmsObjectInformation), and what each must be.
WRITABLE: dict[Kind, dict[str, Callable[[Any], Any]]] = {
    Kind.NTMS_CHANGER: {},
    Kind.NTMS_CHANGER_TYPE: {},
    Kind.NTMS_COMPUTER: {
        "media_pool_policy": _flags("media_pool_policy", NtmsMediaPoolPolicy),
        "library_request_flags": _flags("library_request_flags", NtmsLibRequestFlags),
        "library_request_purge_seconds": number("library_request_purge_seconds"),
        "operator_request_flags": _flags("operator_request_flags", NtmsOpRequestFlags),
        "operator_request_purge_seconds": number("operator_request_purge_seconds"),
    },
    Kind.NTMS_DRIVE: {"defer_dismount_seconds": number("defer_dismount_seconds")},
    Kind.NTMS_DRIVE_TYPE: {},
    Kind.NTMS_IEDOOR: {"max_open_seconds": number("max_open_seconds", WORD_MAXIMUM)},
    Kind.NTMS_IEPORT: {"max_extend_seconds": number("max_extend_seconds", WORD_MAXIMUM)},
    Kind.NTMS_LIBRARY: {
        "auto_recovery": flag("auto_recovery"),
        "cleaner_uses_remaining": number("cleaner_uses_remaining"),
        "flags": _flags("flags", NtmsLibraryFlags),
        "inventory_method": _inventory_method,
        "name": check_name,
    },
    Kind.NTMS_LIBREQUEST: {},
    Kind.NTMS_LOGICAL_MEDIA: {"name": _nameable},
    Kind.NTMS_MEDIA_TYPE: {},
    Kind.NTMS_OPREQUEST: {},
    Kind.NTMS_PARTITION: {"name": _nameable},
    Kind.NTMS_PHYSICAL_MEDIA: {"name": _nameable},
    Kind.NTMS_STORAGESLOT: {},
}


@cache
def _update_fields(kind: Kind, columns: tuple[str, ...]) -> Update:
    table = TABLE_OF_KIND[kind]
    changed = {name: bindparam(f"new_{name}", type_=table.__table__.c[name].type) for name in (*columns, "modified")}
    return update(table).where(table.id == _ID).values(changed)


def write_fields(
    transaction: Transaction,
    kind: Kind,
    object_id: uuid.UUID,
    call: str,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
) -> bool:
    """Store the columns of `new` that differ from `old`, with one event; False if nothing differs."""
    changed = {name: value for name, value in new.items() if value != old[name]}
    if not changed:
        return False
    statement = _update_fields(kind, tuple(sorted(changed)))
    parameters = {f"new_{name}": value for name, value in changed.items()}
    transaction.change(statement, id=object_id, new_modified=transaction.now, **parameters)
    before = {name: old[name] for name in changed}
    events.record(transaction, call, Operation.NTMS_OBJ_UPDATE, kind, object_id, before=before, after=changed)
    return True


def update_object(
    transaction: Transaction, caller: Caller, kind: Kind, reference: Reference, changes: Mapping[str, Any]
) -> Any:
    """Change writable fields of an object that is no pool, and return what it is now.

    The last writer wins (SetNtmsObjectInformation; MS-RSMP 3.2.5.2.6).

    Raises:
        ObjectNotFoundError: there is no object of this kind and id or name.
        AccessDeniedError: the right for its kind is missing, or nothing of the kind may be changed.
        InvalidParameterError: a field is not writable for its kind, or a value is out of its range.
        InvalidNameError: the new name is not well formed.
        AlreadyExistsError: another library has the new name.
    """
    if kind in _UNCHANGEABLE:
        raise AccessDeniedError(f"objects of the kind {kind.name} cannot be changed")
    if kind not in WRITABLE:
        raise InvalidParameterError(f"{kind!r} is no kind of object that is changed here")
    object_id = existing(transaction, kind, reference)
    access.require(transaction, caller, "SetNtmsObjectInformation", kind, object_id)
    checked = checked_fields(kind, changes, WRITABLE[kind])
    value = read_value(transaction, kind, object_id)
    old = {name: getattr(value, name) for name in checked}
    if kind is Kind.NTMS_LIBRARY:
        _finish_library(transaction, object_id, value, checked, old)
    if write_fields(transaction, kind, object_id, "SetNtmsObjectInformation", old, checked):
        return read_value(transaction, kind, object_id)
    return value


def checked_fields(
    kind: Kind, changes: Mapping[str, Any], writable: Mapping[str, Callable[[Any], Any]]
) -> dict[str, Any]:
    """Return the changes with every value checked.

    Raises:
        InvalidParameterError: a field is not writable, or its value is out of range.
        InvalidNameError: a name is not well formed.
    """
    checked = {}
    for name, value in changes.items():
        check = check_description if name == "description" else writable.get(name)
        if check is None:
            raise InvalidParameterError(f"{name} of a {spoken(kind)} cannot be changed")
        checked[name] = check(value)
    return checked


def _finish_library(
    transaction: Transaction, library_id: uuid.UUID, value: Any, new: dict[str, Any], old: dict[str, Any]
) -> None:
    """Keep derived flags under the service's control and library names unique."""
    ignore = NtmsLibraryFlags.NTMS_LIBRARYFLAG_IGNORECLEANERUSESREMAINING
    flags = (value.flags & _DERIVED_FLAGS) | (new.get("flags", value.flags) & ~_DERIVED_FLAGS)
    uncounted = new.get("cleaner_uses_remaining", value.cleaner_uses_remaining) == DWORD_MAXIMUM
    new["flags"], old["flags"] = int(flags | ignore if uncounted else flags & ~ignore), int(value.flags)
    if "name" in new and new["name"] != value.name and find(transaction, Kind.NTMS_LIBRARY, new["name"]) is not None:
        raise AlreadyExistsError(f"a library called {new['name']!a} is on record already")


# Attributes

_NAME = bindparam("name", type_=Text())
_READ_ATTRIBUTE = select(Attribute.value).where(Attribute.object_id == _ID, Attribute.name == _NAME)
_DELETE_ATTRIBUTE = delete(Attribute).where(
    Attribute.object_id == bindparam("object_id", type_=Id()), Attribute.name == _NAME
)
_WRITE_ATTRIBUTE = insert_row(Attribute)
_CHANGE_ATTRIBUTE = (
    update(Attribute)
    .where(
        Attribute.object_id == bindparam("object_id", type_=Id()), Attribute.name == bindparam("old_name", type_=Text())
    )
    .values(value=bindparam("new_value", type_=Bytes()))
)


def read_attribute(transaction: Transaction, caller: Caller, kind: Kind, reference: Reference, name: str) -> bytes:
    """Return the private data that an application hung on an object (GetNtmsObjectAttribute).

    Raises:
        InvalidParameterError: objects of this kind have no attributes.
        ObjectNotFoundError: there is no such object, or it has no attribute of that name.
        AccessDeniedError: no use right on its guard.
    """
    object_id = _attributed(transaction, kind, reference)
    access.require(transaction, caller, "GetNtmsObjectAttribute", kind, object_id)
    row = transaction.row(_READ_ATTRIBUTE, id=object_id, name=name)
    if row is None:
        raise ObjectNotFoundError(f"the {spoken(kind)} has no attribute {name!a}")
    value: bytes = row.value
    return value


def write_attribute(
    transaction: Transaction, caller: Caller, kind: Kind, reference: Reference, name: str, value: bytes
) -> None:
    """Create or replace private data of an object; no bytes delete it (SetNtmsObjectAttribute).

    Raises:
        InvalidParameterError: objects of this kind have no attributes.
        AccessDeniedError: objects of this kind cannot be changed.
        InvalidNameError: the name is not 1 to 31 clean characters.
        NoDataError: the data has 65,536 bytes or more.
        ObjectNotFoundError: there is no such object, or nothing of that name to delete.
        AccessDeniedError: no modify right on its guard.
    """
    check_attribute_name(name)
    if len(value) >= NTMS_MAXATTR_LENGTH:
        raise NoDataError(f"an attribute holds at most {NTMS_MAXATTR_LENGTH - 1} bytes; this one has {len(value)}")
    if kind in _UNCHANGEABLE:
        raise AccessDeniedError(f"objects of the kind {kind.name} cannot be changed")
    object_id = _attributed(transaction, kind, reference)
    access.require(transaction, caller, "SetNtmsObjectAttribute", kind, object_id)
    row = transaction.row(_READ_ATTRIBUTE, id=object_id, name=name)
    if row is None and not value:
        raise ObjectNotFoundError(f"the {spoken(kind)} has no attribute {name!a}")
    if row is not None and row.value == value:
        return
    if not value:
        transaction.change(_DELETE_ATTRIBUTE, object_id=object_id, name=name)
    elif row is None:
        transaction.change(_WRITE_ATTRIBUTE, object_id=object_id, name=name, value=value)
    else:
        transaction.change(_CHANGE_ATTRIBUTE, object_id=object_id, old_name=name, new_value=value)
    before = {"attribute": name, "bytes": None if row is None else len(row.value)}
    after = {"attribute": name, "bytes": len(value) or None}
    events.record(
        transaction, "SetNtmsObjectAttribute", Operation.NTMS_OBJ_UPDATE, kind, object_id, before=before, after=after
    )


def _attributed(transaction: Transaction, kind: Kind, reference: Reference) -> uuid.UUID:
    if kind not in TABLE_OF_KIND:
        raise InvalidParameterError(f"{kind!r} is no kind of object that has attributes")
    return existing(transaction, kind, reference)


# Owner and list

_ACES = select(*access.ENTRY_COLUMNS).where(AccessControlEntry.object_id == _ID).order_by(AccessControlEntry.position)
_DELETE_ACES = delete(AccessControlEntry).where(AccessControlEntry.object_id == bindparam("object_id", type_=Id()))
_INSERT_ACE = insert_row(AccessControlEntry)


@cache
def _select_owner(kind: Kind) -> Select[Any]:
    return select(TABLE_OF_KIND[kind].owner).where(TABLE_OF_KIND[kind].id == _ID)


@cache
def _update_owner(kind: Kind) -> Update:
    table = TABLE_OF_KIND[kind]
    owner, modified = bindparam("new_owner", type_=Text()), bindparam("new_modified", type_=Instant())
    return update(table).where(table.id == _ID).values(owner=owner, modified=modified)


def write_entries(transaction: Transaction, object_id: uuid.UUID, dacl: tuple[Ace, ...]) -> None:
    """Store the list of a guard that has none yet."""
    rows = [
        {
            "object_id": object_id,
            "position": position,
            "allow": ace.allow,
            "trustee": ace.trustee,
            "rights": int(ace.rights),
            "inherited": ace.inherited,
        }
        for position, ace in enumerate(dacl)
    ]
    if rows:
        transaction.change_many(_INSERT_ACE, rows)


def _guarding(transaction: Transaction, kind: Kind, reference: Reference) -> tuple[uuid.UUID, Guard]:
    if kind in _UNCHANGEABLE:
        raise NoSecurityOnObjectError(f"objects of the kind {kind.name} have no security")
    if kind not in TABLE_OF_KIND:
        raise InvalidParameterError(f"{kind!r} is no kind of object")
    object_id = existing(transaction, kind, reference)
    if kind not in GUARD_KINDS:
        raise NoSecurityOnObjectError(f"a {spoken(kind)} has no security of its own: its pool, library or computer has")
    owner = transaction.row(_select_owner(kind), id=object_id).owner
    return object_id, Guard(owner, transaction.decoded(access.entries, transaction.raw_rows(_ACES, id=object_id)))


def read_security(transaction: Transaction, caller: Caller, kind: Kind, reference: Reference) -> SecurityDescriptor:
    """Return owner and list of a computer, library or pool (GetNtmsObjectSecurity).

    Raises:
        InvalidParameterError: it is no kind of object.
        ObjectNotFoundError: there is no such object.
        NoSecurityOnObjectError: objects of this kind are guarded by another.
        AccessDeniedError: no right to read the descriptor.
    """
    _, guard = _guarding(transaction, kind, reference)
    rights = need("GetNtmsObjectSecurity", transaction.policy.access_era).on(kind)
    access.demand(transaction, caller, rights, guard, f"the {spoken(kind)}")
    return SecurityDescriptor(guard.owner, tuple(guard.dacl))


def write_security(
    transaction: Transaction, caller: Caller, kind: Kind, reference: Reference, descriptor: SecurityDescriptor
) -> None:
    """Replace the owner, the list, or both; a part that is None stays (SetNtmsObjectSecurity).

    Raises:
        InvalidParameterError: the descriptor is malformed or empty, or it is no kind of object.
        ObjectNotFoundError: there is no such object.
        NoSecurityOnObjectError: objects of this kind are guarded by another.
        AccessDeniedError: no right to write the list (owner: to write the owner), and not the owner.
    """
    descriptor = check_descriptor(descriptor)
    if descriptor.owner is None and descriptor.dacl is None:
        raise InvalidParameterError("a descriptor without owner and list changes nothing")
    object_id, guard = _guarding(transaction, kind, reference)
    rights = AccessRights(0)
    if descriptor.dacl is not None:
        rights |= AccessRights.WRITE_DAC
    if descriptor.owner is not None:
        rights |= AccessRights.WRITE_OWNER
    access.demand(transaction, caller, rights, guard, f"the {spoken(kind)}")
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    if descriptor.owner is not None and descriptor.owner != guard.owner:
        transaction.change(_update_owner(kind), id=object_id, new_owner=descriptor.owner, new_modified=transaction.now)
        before["owner"], after["owner"] = guard.owner, descriptor.owner
    if descriptor.dacl is not None and tuple(descriptor.dacl) != tuple(guard.dacl):
        transaction.change(_DELETE_ACES, object_id=object_id)
        write_entries(transaction, object_id, descriptor.dacl)
        before["dacl"], after["dacl"] = plain_dacl(guard.dacl), plain_dacl(descriptor.dacl)
    if after:
        events.record(
            transaction, "SetNtmsObjectSecurity", Operation.NTMS_OBJ_UPDATE, kind, object_id, before=before, after=after
        )


def plain_dacl(dacl: "tuple[Ace, ...] | Any") -> list[dict[str, Any]]:
    """Return a list of entries as an event keeps it."""
    return [
        {"allow": ace.allow, "trustee": ace.trustee, "rights": int(ace.rights), "inherited": ace.inherited}
        for ace in dacl
    ]


# In service or not

_SERVICEABLE = (Kind.NTMS_LIBRARY, Kind.NTMS_DRIVE, Kind.NTMS_PHYSICAL_MEDIA)
_SIDES_TO_SWITCH = (
    select(Side.id)
    .where(Side.medium_id == _ID, Side.enabled != bindparam("enabled", type_=Flag()))
    .order_by(Side.number)
)


def switch_object(transaction: Transaction, caller: Caller, kind: Kind, reference: Reference, *, enabled: bool) -> None:
    """Take a library, drive or cartridge into or out of service; a cartridge takes its sides along.

    (EnableNtmsObject and DisableNtmsObject.)

    Raises:
        InvalidParameterError: objects of this kind are neither enabled nor disabled.
        ObjectNotFoundError: there is no such object.
        AccessDeniedError: the right on the library that contains it is missing.
        LibraryOfflineError: it is the offline library.
        InvalidStateError: it is so already.
    """
    if kind not in _SERVICEABLE:
        raise InvalidParameterError("only libraries, drives and cartridges are enabled and disabled")
    object_id = existing(transaction, kind, reference)
    call = "EnableNtmsObject" if enabled else "DisableNtmsObject"
    rights = need(call, transaction.policy.access_era).library
    if kind is Kind.NTMS_PHYSICAL_MEDIA:
        access.require_library_of_medium(transaction, caller, rights, object_id)
    else:
        access.require_library(transaction, caller, rights, kind, object_id)
    value = read_value(transaction, kind, object_id)
    if kind is Kind.NTMS_LIBRARY and value.library_type == OFFLINE:
        raise LibraryOfflineError("the offline library can be neither enabled nor disabled")
    if value.enabled is enabled:
        raise InvalidStateError(f"the {spoken(kind)} is {'enabled' if enabled else 'disabled'} already")
    changed = ({"enabled": value.enabled}, {"enabled": enabled})
    write_fields(transaction, kind, object_id, call, *changed)
    if kind is Kind.NTMS_PHYSICAL_MEDIA:
        for side in transaction.rows(_SIDES_TO_SWITCH, id=object_id, enabled=enabled):
            write_fields(transaction, Kind.NTMS_PARTITION, side.id, call, *changed)
