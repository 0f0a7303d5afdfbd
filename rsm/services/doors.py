"""Asking for the door of a library to be opened to a person.

It checks and queues; the worker unlocks and waits, and `attended` records and queues the inventory that follows.
"""

import uuid

from sqlalchemy import bindparam, exists, select

from rsm.constants import NtmsInventoryMethod, NtmsOperationalState
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction
from rsm.errors import InvalidParameterError, LibraryOfflineError, ResourceDisabledError, ResourceNotPresentError
from rsm.model import OFFLINE, Door, Id
from rsm.security import Caller, need
from rsm.services import access, queue
from rsm.services.objects import Reference
from rsm.services.ports import find_library

METHODS = (
    NtmsInventoryMethod.NTMS_INVENTORY_NONE,
    NtmsInventoryMethod.NTMS_INVENTORY_FAST,
    NtmsInventoryMethod.NTMS_INVENTORY_OMID,
    NtmsInventoryMethod.NTMS_INVENTORY_DEFAULT,
)
_HAS_DOOR = select(
    exists()
    .where(
        Door.library_id == bindparam("library", type_=Id()),
        Door.enabled == 1,
        Door.operational_state == int(NtmsOperationalState.NTMS_READY),
    )
    .label("has_door")
)


def has_door(transaction: Transaction, library_id: uuid.UUID) -> bool:
    """Tell whether a library has a door that can be used."""
    return bool(transaction.one(_HAS_DOOR, "its doors", library=library_id).has_door)


def request_access(transaction: Transaction, caller: Caller, library: Reference, method: int) -> uuid.UUID:
    """Queue the opening of a library's door, and return the request's id (AccessNtmsLibraryDoor).

    `method` is the inventory that follows once it is shut: none, fast, full or the library's own.

    Raises:
        InvalidParameterError: it is no such inventory.
        InvalidLibraryError: there is no such library.
        AccessDeniedError: the right on it is missing.
        ResourceDisabledError: it is disabled.
        LibraryOfflineError: it is the offline library.
        ResourceNotPresentError: it has no door.
    """
    if method not in METHODS:
        raise InvalidParameterError("the inventory after a door is shut is none, fast, full or the library's own")
    row = find_library(transaction, library)
    rights = need("AccessNtmsLibraryDoor", transaction.policy.access_era).library
    access.require_library(transaction, caller, rights, Kind.NTMS_LIBRARY, row.id)
    if row.library_type == OFFLINE:
        raise LibraryOfflineError("the offline library is the shelf: it has no door")
    if not row.enabled:
        raise ResourceDisabledError(f"library {row.name} is disabled: rsm library enable {row.name}")
    if not has_door(transaction, row.id):
        raise ResourceNotPresentError(f"library {row.name} has no door: use its ports")
    return queue.insert_request(transaction, queue.DOOR, row.id, caller_user=caller.user, option=int(method))
