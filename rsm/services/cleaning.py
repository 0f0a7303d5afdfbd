"""Cleaning drives: the slot that is set aside for the cleaner, asking for a cleaning, and what its end means.

It checks and queues; the worker carries the cleaner. Which cartridges are cleaners is the business of `cleaners`.
"""

import uuid
from typing import Any

from sqlalchemy import and_, bindparam, or_, select

from rsm import identity
from rsm.constants import NtmsInventoryMethod, NtmsOperationalState, NtmsOpreqCommand, NtmsOpreqState, NtmsSlotState
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction
from rsm.errors import (
    CleanerSlotNotSetError,
    CleanerSlotSetError,
    DeviceNotAvailableError,
    EmptyError,
    InvalidDriveError,
    InvalidLibraryError,
    LibraryOfflineError,
    NotEmptyError,
    ObjectNotFoundError,
    ResourceDisabledError,
    ResourceNotPresentError,
    RsmError,
)
from rsm.model import (
    OFFLINE,
    STANDALONE,
    Drive,
    Id,
    Int,
    Library,
    LibraryRequest,
    OperatorRequest,
    PhysicalMedium,
    RequestStep,
    Slot,
)
from rsm.security import Caller, need
from rsm.services import access, doors, operators, ports, queue
from rsm.services.attended_planning import list_ports
from rsm.services.cleaners import UNCOUNTED
from rsm.services.epochs import check_epoch
from rsm.services.objects import Reference, find
from rsm.services.places import offline_library
from rsm.services.properties import number, write_fields
from rsm.services.reach import REACHED

_NOT_PRESENT = int(NtmsOperationalState.NTMS_NOT_PRESENT)
_ID = bindparam("id", type_=Id())
_LIBRARY = bindparam("library", type_=Id())

# Libraries and their cleaner slots

_LIBRARY_ROW = select(
    Library.id,
    Library.name,
    Library.library_type,
    Library.enabled,
    Library.operational_state,
    Library.cleaner_uses_remaining,
    Library.back_end,
    Library.address,
    REACHED.label("reached"),
).where(Library.id == _LIBRARY)
_SLOT_COLUMNS = (Slot.id, Slot.name, Slot.library_id, Slot.element, Slot.state, Slot.operational_state)
_SLOT = select(*_SLOT_COLUMNS).where(Slot.id == _ID)
_CLEANER_SLOT = select(*_SLOT_COLUMNS).where(Slot.library_id == _LIBRARY, Slot.cleaner == 1)
# What is in a slot, and what is out of it, in a drive or a port, and has no other place to go back to.
_OF_SLOT = (
    select(PhysicalMedium.name, PhysicalMedium.slot_id, PhysicalMedium.cleaner)
    .where(or_(PhysicalMedium.slot_id == _ID, PhysicalMedium.home_slot_id == _ID), PhysicalMedium.online == 1)
    .order_by(PhysicalMedium.id)
)
_BOUND_FOR = (
    select(RequestStep.request_id)
    .join(LibraryRequest, LibraryRequest.id == RequestStep.request_id)
    .join(Slot, Slot.element == RequestStep.destination_element)
    .where(
        LibraryRequest.library_id == Slot.library_id,
        queue.IS_LIVE,
        RequestStep.completed.is_(None),
        Slot.id == _ID,
    )
)


def read_library(
    transaction: Transaction,
    caller: Caller,
    call: str,
    reference: Reference,
    offline: type[RsmError] = LibraryOfflineError,
) -> Any:
    """Return the row of a library, with where its device is and whether this host reaches it.

    Raises:
        InvalidLibraryError: there is no such library.
        AccessDeniedError: the right on it is missing.
        RsmError: `offline`, it is the offline library.
    """
    library_id = find(transaction, Kind.NTMS_LIBRARY, reference)
    row = None if library_id is None else transaction.row(_LIBRARY_ROW, library=library_id, host=identity.host())
    if row is None:
        raise InvalidLibraryError(f"there is no library {reference}: rsm library list shows those there are")
    rights = need(call, transaction.policy.access_era).library
    access.require_library(transaction, caller, rights, Kind.NTMS_LIBRARY, row.id)
    if row.library_type == OFFLINE:
        raise offline("the offline library is the shelf: it has no slot for a cleaner")
    return row


def reserve_slot(transaction: Transaction, caller: Caller, library: Reference, slot: Reference) -> None:
    """Set an empty slot of a library aside for its cleaner (ReserveNtmsCleanerSlot; MS-RSMP 3.2.5.2.3).

    Raises:
        InvalidLibraryError, AccessDeniedError, LibraryOfflineError: as `read_library`.
        ObjectNotFoundError: there is no such slot in the library.
        CleanerSlotSetError: a slot of it is set aside already, this one or another.
        ResourceNotPresentError: the slot is not there just now.
        NotEmptyError: a cartridge is in it, is on its way to it, or has to go back to it.
    """
    call = "ReserveNtmsCleanerSlot"
    row = read_library(transaction, caller, call, library)
    slot_id = find(transaction, Kind.NTMS_STORAGESLOT, slot)
    wanted = None if slot_id is None else transaction.row(_SLOT, id=slot_id)
    if wanted is None or wanted.library_id != row.id:
        raise ObjectNotFoundError(f"library {row.name} has no slot {slot}: rsm library show {row.name} draws them")
    reserved = transaction.row(_CLEANER_SLOT, library=row.id)
    if reserved is not None:
        raise CleanerSlotSetError(
            f"{reserved.name} of library {row.name} is its cleaner slot already: release it first"
        )
    _check_empty(transaction, wanted)
    write_fields(transaction, Kind.NTMS_STORAGESLOT, wanted.id, call, {"cleaner": False}, {"cleaner": True})


def release_slot(transaction: Transaction, caller: Caller, library: Reference) -> None:
    """Give the empty cleaner slot of a library back to data cartridges (ReleaseNtmsCleanerSlot; MS-RSMP 3.2.5.2.3).

    Raises:
        InvalidLibraryError, AccessDeniedError, LibraryOfflineError: as `read_library`.
        CleanerSlotNotSetError: no slot is set aside.
        ResourceNotPresentError: the slot is not there just now.
        NotEmptyError: a cleaner is in it, is on its way to it, or has to go back to it.
    """
    call = "ReleaseNtmsCleanerSlot"
    row = read_library(transaction, caller, call, library)
    reserved = cleaner_slot(transaction, row)
    _check_empty(transaction, reserved)
    write_fields(transaction, Kind.NTMS_STORAGESLOT, reserved.id, call, {"cleaner": True}, {"cleaner": False})


def cleaner_slot(transaction: Transaction, library: Any) -> Any:
    """Return the row of the slot that is set aside for the cleaner of a library.

    Raises:
        CleanerSlotNotSetError: none is.
    """
    reserved = transaction.row(_CLEANER_SLOT, library=library.id)
    if reserved is None:
        raise CleanerSlotNotSetError(
            f"library {library.name} has no cleaner slot: rsm library reserve-cleaner sets one"
        )
    return reserved


def check_there(slot: Any) -> None:
    """Refuse a slot that is not there (ResourceNotPresentError)."""
    if slot.operational_state == _NOT_PRESENT or slot.state == NtmsSlotState.NTMS_SLOTSTATE_NOTPRESENT:
        raise ResourceNotPresentError(f"{slot.name} is not there just now: put its magazine in")


def _check_empty(transaction: Transaction, slot: Any) -> None:
    """Refuse a slot that is not there, or that anything is in or belongs into."""
    check_there(slot)
    held = transaction.row(_OF_SLOT, id=slot.id)
    if held is not None:
        what = "cleaner" if held.cleaner else "cartridge"
        where = "is in it" if held.slot_id == slot.id else "is out of it, and has to go back to it"
        raise NotEmptyError(f"{slot.name} is not empty: {what} {held.name} {where}")
    if slot.state != NtmsSlotState.NTMS_SLOTSTATE_EMPTY:
        raise NotEmptyError(f"nobody knows whether {slot.name} is empty: take an inventory of its library")
    if transaction.row(_BOUND_FOR, id=slot.id) is not None:
        raise NotEmptyError(f"{slot.name} is not empty: a cartridge is on its way to it")


# Putting a cleaner in and taking it out

# What goes on with the cleaner slot of a library, through a port or, as only such a request names a slot, a door.
_LIVE = select(LibraryRequest.id).where(
    LibraryRequest.library_id == _LIBRARY,
    queue.IS_LIVE,
    or_(
        LibraryRequest.operation == bindparam("operation", type_=Int()),
        and_(LibraryRequest.operation == int(queue.DOOR), LibraryRequest.slot_id.is_not(None)),
    ),
)
_CLEANER_OF_SLOT = select(PhysicalMedium.id, PhysicalMedium.name).where(
    PhysicalMedium.library_id == _LIBRARY,
    PhysicalMedium.cleaner == 1,
    or_(PhysicalMedium.slot_id == _ID, PhysicalMedium.home_slot_id == _ID),
)


def request_cleaner_inject(transaction: Transaction, caller: Caller, library: Reference, uses: int) -> uuid.UUID:
    """Queue the taking in of a cleaner with so many uses left, and return the request's id (InjectNtmsCleaner).

    It goes through a port into the cleaner slot. Where there is no port the door is opened and an operator asked to put
    it there; no inventory follows. 0xFFFFFFFF uses are not counted.

    Raises:
        InvalidParameterError: the uses are no number from 0 to 0xFFFFFFFF.
        InvalidLibraryError, AccessDeniedError, LibraryOfflineError: as `read_library`.
        ResourceDisabledError: it is disabled.
        CleanerSlotNotSetError: no slot is set aside.
        ResourceNotPresentError: the slot is not there just now.
        NotEmptyError: a cleaner is in it, or on its way to it.
        ResourceNotPresentError: it has neither port nor door that can be used.
    """
    number("cleaner_uses_remaining")(uses)
    row = read_library(transaction, caller, "InjectNtmsCleaner", library)
    _check_enabled(row)
    slot = cleaner_slot(transaction, row)
    _check_empty(transaction, slot)
    if transaction.row(_LIVE, library=row.id, operation=int(queue.INJECT_CLEANER)) is not None:
        raise NotEmptyError(f"a cleaner is being put into {slot.name} already: wait for that, or stop it")
    if list_ports(transaction, row.id):
        return ports.queue_inject(
            transaction, row.id, caller.user, operation=queue.INJECT_CLEANER, slot_id=slot.id, uses=uses
        )
    asked = _open_door(transaction, caller, row, slot, uses=uses)
    operators.insert_request(
        transaction,
        NtmsOpreqCommand.NTMS_OPREQ_CLEANER,
        message=f"put the cleaner into {slot.name} of library {row.name} and shut its door",
        argument1=(Kind.NTMS_STORAGESLOT, slot.id),
        caller_user=caller.user,
        library_request_id=asked,
    )
    return asked


def request_cleaner_eject(transaction: Transaction, caller: Caller, library: Reference) -> uuid.UUID:
    """Queue the taking out of the cleaner, and return the request's id, of one that goes on if any (EjectNtmsCleaner).

    It goes out through a port. Where there is none the door is opened and an operator asked to take it; no inventory
    follows. Once it is out it is forgotten.

    Raises:
        InvalidLibraryError, AccessDeniedError: as `read_library`.
        DeviceNotAvailableError: it is the offline library.
        ResourceDisabledError: it is disabled.
        CleanerSlotNotSetError: no slot is set aside.
        ResourceNotPresentError: the slot is not there just now.
        EmptyError: no cleaner is in it, or on its way back to it.
        ResourceNotPresentError: it has neither port nor door that can be used.
    """
    row = read_library(transaction, caller, "EjectNtmsCleaner", library, DeviceNotAvailableError)
    _check_enabled(row)
    slot = cleaner_slot(transaction, row)
    check_there(slot)
    cleaner = transaction.row(_CLEANER_OF_SLOT, library=row.id, id=slot.id)
    if cleaner is None:
        raise EmptyError(f"{slot.name}, the cleaner slot of library {row.name}, holds no cleaner")
    live = transaction.row(_LIVE, library=row.id, operation=int(queue.EJECT_CLEANER))
    if live is not None:
        going: uuid.UUID = live.id
        return going
    if list_ports(transaction, row.id):
        return ports.queue_eject(transaction, row.id, caller.user, [cleaner.id], operation=queue.EJECT_CLEANER)
    asked = _open_door(transaction, caller, row, slot)
    operators.insert_request(
        transaction,
        NtmsOpreqCommand.NTMS_OPREQ_MOVEMEDIA,
        message=f"take the cleaner {cleaner.name} out of {slot.name} of library {row.name} and shut its door",
        argument1=(Kind.NTMS_PHYSICAL_MEDIA, cleaner.id),
        argument2=(Kind.NTMS_LIBRARY, offline_library(transaction)),
        caller_user=caller.user,
        library_request_id=asked,
    )
    return asked


def _check_enabled(library: Any) -> None:
    if not library.enabled:
        raise ResourceDisabledError(f"library {library.name} is disabled: rsm library enable {library.name}")


def _open_door(transaction: Transaction, caller: Caller, library: Any, slot: Any, **details: Any) -> uuid.UUID:
    if not doors.has_door(transaction, library.id):
        raise ResourceNotPresentError(f"library {library.name} has neither a port nor a door that can be used")
    return queue.insert_request(
        transaction,
        queue.DOOR,
        library.id,
        caller_user=caller.user,
        option=int(NtmsInventoryMethod.NTMS_INVENTORY_NONE),
        slot_id=slot.id,
        details=details,
    )


# Asking for a cleaning

_DRIVE = (
    select(
        Drive.id,
        Drive.name,
        Drive.library_id,
        Drive.enabled,
        Drive.operational_state,
        Drive.last_cleaned,
        Library.enabled.label("library_enabled"),
        Library.name.label("library_name"),
        Library.library_type,
    )
    .outerjoin(Library, Library.id == Drive.library_id)
    .where(Drive.id == _ID)
)
_QUEUED = select(LibraryRequest.id).where(
    LibraryRequest.library_id == _LIBRARY,
    queue.IS_LIVE,
    LibraryRequest.state != int(queue.INPROCESS),
    LibraryRequest.operation == int(queue.CLEAN),
    LibraryRequest.drive_id == _ID,
)


def request_cleaning(transaction: Transaction, caller: Caller, drive: Reference) -> uuid.UUID | None:
    """Queue the cleaning of a drive and return its id; that of one which waits already, if any does.

    A stand-alone drive is cleaned by a person: only the time is written down, and None is returned (CleanNtmsDrive;
    MS-RSMP 3.2.5.2.3).

    Raises:
        InvalidDriveError: there is no such drive.
        InvalidLibraryError: its library is gone.
        AccessDeniedError: the right on its library is missing.
        ResourceDisabledError: the drive or its library is disabled.
        ResourceNotPresentError: the drive is not there.
    """
    call = "CleanNtmsDrive"
    drive_id = find(transaction, Kind.NTMS_DRIVE, drive)
    row = None if drive_id is None else transaction.row(_DRIVE, id=drive_id)
    if row is None:
        raise InvalidDriveError(f"there is no drive {drive}: rsm drive list shows those there are")
    if row.library_name is None:
        raise InvalidLibraryError(f"the library of drive {row.name} is not on record: run rsm db check")
    rights = need(call, transaction.policy.access_era).library
    access.require_library(transaction, caller, rights, Kind.NTMS_DRIVE, row.id)
    if not row.enabled:
        raise ResourceDisabledError(f"drive {row.name} is disabled: rsm drive enable {row.name}")
    if not row.library_enabled:
        raise ResourceDisabledError(f"library {row.library_name} is disabled: rsm library enable {row.library_name}")
    if row.operational_state == _NOT_PRESENT:
        raise ResourceNotPresentError(f"drive {row.name} is not there just now")
    if row.library_type == STANDALONE:
        _stamp(transaction, row, call)
        return None
    waiting = transaction.row(_QUEUED, library=row.library_id, id=row.id)
    if waiting is not None:
        found: uuid.UUID = waiting.id
        return found
    details = {"drive_asked": True}
    return queue.insert_request(
        transaction, queue.CLEAN, row.library_id, caller_user=caller.user, drive_id=row.id, details=details
    )


def _stamp(transaction: Transaction, drive: Any, call: str) -> None:
    old, new = {"last_cleaned": drive.last_cleaned}, {"last_cleaned": transaction.now}
    write_fields(transaction, Kind.NTMS_DRIVE, drive.id, call, old, new)


# Its end


def record_cleaned(
    transaction: Transaction, library_id: uuid.UUID, epoch: int, request_id: uuid.UUID, drive_id: uuid.UUID
) -> None:
    """Write down that a drive was cleaned: when, and that its cleaner has one use less; once for a request.

    Raises:
        SupersededError: another process has taken the library over.
    """
    check_epoch(transaction, library_id, epoch)
    request = queue.read_request(transaction, request_id)
    if request is None or request.details.get("cleaned"):
        return
    queue.write_details(transaction, request, cleaned=True)
    drive = transaction.row(_DRIVE, id=drive_id)
    if drive is not None:
        _stamp(transaction, drive, "clean")
    library = transaction.one(_LIBRARY_ROW, "a library", library=library_id, host="")
    left = library.cleaner_uses_remaining
    if 0 < left < UNCOUNTED:
        old, new = {"cleaner_uses_remaining": left}, {"cleaner_uses_remaining": left - 1}
        write_fields(transaction, Kind.NTMS_LIBRARY, library_id, "clean", old, new)


_ASKED = select(OperatorRequest.id).where(
    OperatorRequest.library_request_id == _ID, OperatorRequest.completed.is_(None)
)
_NAMED = select(PhysicalMedium.name).where(PhysicalMedium.library_id == _LIBRARY, PhysicalMedium.cleaner == 1)


def ask_for_cleaner(transaction: Transaction, request: Any) -> None:
    """Have an operator asked to bring a cleaner for the sake of a cleaning that found none with uses left."""
    slot = transaction.row(_CLEANER_SLOT, library=request.library_id)
    spent = [row.name for row in transaction.rows(_NAMED, library=request.library_id)]
    message = "put a cleaner in and answer with satisfy"
    if spent:
        message = f"the uses of cleaner {', '.join(spent)} are counted down to 0: exchange it and answer with satisfy"
    operators.insert_request(
        transaction,
        NtmsOpreqCommand.NTMS_OPREQ_CLEANER,
        message=message,
        argument1=(Kind.NTMS_LIBRARY, request.library_id) if slot is None else (Kind.NTMS_STORAGESLOT, slot.id),
        caller_user=request.user_name,
        library_request_id=request.id,
    )


def tell_found(transaction: Transaction, request: Any) -> None:
    """Answer what was asked of operators for a cleaning: a cleaner is there."""
    for asked in transaction.rows(_ASKED, id=request.id):
        operators.settle(transaction, asked.id, NtmsOpreqState.NTMS_OPSTATE_COMPLETE)
