"""The queue of library work: entering requests, their order, ending, cancelling and purging them.

A request is live until `completed` is set. It plans nothing and works no device: the worker takes requests from here.
Only mounts are ordered among themselves; a priority decides where a new one is put, an order number moves it later.
"""

import socket
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, bindparam, exists, func, or_, select, update

from rsm.constants import (
    NtmsInventoryMethod,
    NtmsLibRequestFlags,
    NtmsLmOperation,
    NtmsLmState,
    NtmsOperationalState,
    NtmsOpreqCommand,
    NtmsPartitionState,
)
from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction, new_id
from rsm.errors import AccessDeniedError, InvalidParameterError, InvalidStateError, ObjectNotFoundError
from rsm.model import Computer, Id, Instant, Int, Json, Library, LibraryRequest, OperatorRequest, PhysicalMedium, Side
from rsm.security import Caller, is_administrator, need
from rsm.services import access, events, operators
from rsm.services.properties import delete_object, insert_object, number
from rsm.statements import insert_row

QUEUED, INPROCESS, PASSED, FAILED, WAITING, CANCELLED, STOPPED = (
    NtmsLmState.NTMS_LM_QUEUED,
    NtmsLmState.NTMS_LM_INPROCESS,
    NtmsLmState.NTMS_LM_PASSED,
    NtmsLmState.NTMS_LM_FAILED,
    NtmsLmState.NTMS_LM_WAITING,
    NtmsLmState.NTMS_LM_CANCELLED,
    NtmsLmState.NTMS_LM_STOPPED,
)
MOUNT, DISMOUNT = NtmsLmOperation.NTMS_LM_MOUNT, NtmsLmOperation.NTMS_LM_DISMOUNT
INVENTORY, IDENTIFY = NtmsLmOperation.NTMS_LM_INVENTORY, NtmsLmOperation.NTMS_LM_PROCESSOMID
WRITE_FREE_LABEL, CLEAN = NtmsLmOperation.NTMS_LM_WRITESCRATCH, NtmsLmOperation.NTMS_LM_CLEANDRIVE
INJECT, EJECT = NtmsLmOperation.NTMS_LM_INJECT, NtmsLmOperation.NTMS_LM_EJECT
INJECT_CLEANER, EJECT_CLEANER = NtmsLmOperation.NTMS_LM_INJECTCLEANER, NtmsLmOperation.NTMS_LM_EJECTCLEANER
DOOR = NtmsLmOperation.NTMS_LM_DOORACCESS
# Attended work: a person at the library does their part of it, and takes their time.
INJECTS, EJECTS = (INJECT, INJECT_CLEANER), (EJECT, EJECT_CLEANER)
ATTENDED = (*INJECTS, *EJECTS, DOOR)
INVALID = NtmsLmState.NTMS_LM_INVALID
FAST, FULL = NtmsInventoryMethod.NTMS_INVENTORY_FAST, NtmsInventoryMethod.NTMS_INVENTORY_OMID
LAST_ORDER = 0xFFFFFFFF
_SPOKEN = {
    MOUNT: "mount",
    DISMOUNT: "dismount",
    INVENTORY: "inventory",
    IDENTIFY: "identify",
    WRITE_FREE_LABEL: "write free label",
    INJECT: "inject",
    INJECT_CLEANER: "inject of the cleaner",
    EJECT: "eject",
    EJECT_CLEANER: "eject of the cleaner",
    DOOR: "door access",
    CLEAN: "clean drive",
}

# The states say it too: by them the index of a library's queue passes over the thousands that ended in the last days.
IS_LIVE = and_(
    LibraryRequest.completed.is_(None),
    or_(*(LibraryRequest.state == int(state) for state in (QUEUED, INPROCESS, WAITING))),
)

_ID = bindparam("id", type_=Id())
_LIBRARY = bindparam("library", type_=Id())
_INSERT = insert_row(LibraryRequest)
_COLUMNS = tuple(LibraryRequest.__table__.columns)
_READ = select(*_COLUMNS).where(LibraryRequest.id == _ID)
_LIVE_MOUNT = (
    LibraryRequest.library_id == _LIBRARY,
    IS_LIVE,
    LibraryRequest.operation == int(MOUNT),
    LibraryRequest.order_number > 0,
)
_LAST_OF_PRIORITY = select(func.coalesce(func.max(LibraryRequest.order_number), 0).label("number")).where(
    *_LIVE_MOUNT,
    LibraryRequest.order_number < LAST_ORDER,
    LibraryRequest.priority >= bindparam("least_priority", type_=Int()),
)
_MAKE_ROOM = (
    update(LibraryRequest)
    .where(
        *_LIVE_MOUNT,
        LibraryRequest.order_number < LAST_ORDER,
        LibraryRequest.order_number >= bindparam("first", type_=Int()),
    )
    .values(order_number=LibraryRequest.order_number + 1)
)
_ORDER = select(LibraryRequest.library_id, LibraryRequest.order_number).where(
    LibraryRequest.id == _ID, LibraryRequest.order_number > 0, LibraryRequest.order_number < LAST_ORDER
)
_CLOSE_GAP = (
    update(LibraryRequest)
    .where(
        *_LIVE_MOUNT,
        LibraryRequest.order_number < LAST_ORDER,
        LibraryRequest.order_number > bindparam("left", type_=Int()),
    )
    .values(order_number=LibraryRequest.order_number - 1)
)
_SET_ORDER = (
    update(LibraryRequest).where(LibraryRequest.id == _ID).values(order_number=bindparam("new_order", type_=Int()))
)
_COUNT_OTHERS = select(func.count().label("others")).where(
    *_LIVE_MOUNT, LibraryRequest.order_number < LAST_ORDER, LibraryRequest.id != _ID
)


def spoken(operation: int) -> str:
    """Return the everyday words for a kind of request."""
    return _SPOKEN.get(NtmsLmOperation(operation), NtmsLmOperation(operation).name.removeprefix("NTMS_LM_").lower())


def insert_request(
    transaction: Transaction,
    operation: NtmsLmOperation,
    library_id: uuid.UUID,
    *,
    caller_user: str,
    session_id: uuid.UUID | None = None,
    option: int = 0,
    side_id: uuid.UUID | None = None,
    drive_id: uuid.UUID | None = None,
    medium_id: uuid.UUID | None = None,
    slot_id: uuid.UUID | None = None,
    work_item_id: uuid.UUID | None = None,
    priority: int = 0,
    state: NtmsLmState = QUEUED,
    due: datetime | None = None,
    expires: datetime | None = None,
    details: Mapping[str, Any] | None = None,
) -> uuid.UUID:
    """Put a request into a library's queue and return its id; a mount comes after the last of its priority or higher.

    `due`: not before that moment. `expires`: cancelled when it has not begun by then. `work_item_id` joins requests
    that belong together.
    """
    new = new_id()
    fields = {
        "library_id": library_id,
        "session_id": session_id,
        "operation": int(operation),
        "operation_option": option,
        "state": int(state),
        "order_number": _take_place(transaction, library_id, priority) if operation is MOUNT else 0,
        "priority": priority,
        "side_id": side_id,
        "drive_id": drive_id,
        "medium_id": medium_id,
        "slot_id": slot_id,
        "work_item_id": work_item_id,
        "due": due,
        "expires": expires,
    }
    head = {"id": new, "name": spoken(operation), "user_name": caller_user, "details": dict(details or {})}
    insert_object(transaction, Kind.NTMS_LIBREQUEST, new)
    transaction.change(_INSERT, **head, **_at_first(transaction), **fields)
    if operation is not INVENTORY:
        events.record(transaction, "queue", Operation.NTMS_OBJ_INSERT, Kind.NTMS_LIBREQUEST, new, after=fields)
    return new


def _take_place(transaction: Transaction, library_id: uuid.UUID, priority: int) -> int:
    """Return the place in the queue after the last mount of a priority or a higher one, having made room there."""
    last = transaction.one(_LAST_OF_PRIORITY, "its queue", library=library_id, least_priority=priority)
    place: int = 1 + last.number
    transaction.change(_MAKE_ROOM, library=library_id, first=place)
    return place


def _at_first(transaction: Transaction) -> dict[str, Any]:
    """Return what every new request has in common."""
    return {
        "description": "",
        "created": transaction.now,
        "modified": transaction.now,
        "enabled": True,
        "operational_state": int(NtmsOperationalState.NTMS_READY),
        "queued": transaction.now,
        "completed": None,
        "application": transaction.origin.application,
        "computer_name": socket.gethostname(),
        "error_code": 0,
        "epoch": 0,
    }


_OPERATION = select(LibraryRequest.operation).where(LibraryRequest.id == _ID)


def record_change(transaction: Transaction, call: str, request_id: uuid.UUID, after: Mapping[str, Any]) -> None:
    """Write the event of a request that changed; inventories have none, only what they find."""
    if transaction.one(_OPERATION, "a request", id=request_id).operation != INVENTORY:
        events.record(transaction, call, Operation.NTMS_OBJ_UPDATE, Kind.NTMS_LIBREQUEST, request_id, after=after)


def leave_order(transaction: Transaction, request_id: uuid.UUID) -> None:
    """Let the mounts behind a request that begins, ends or is moved come up by one; its own number stays."""
    row = transaction.row(_ORDER, id=request_id)
    if row is not None:
        transaction.change(_CLOSE_GAP, library=row.library_id, left=row.order_number)


def read_request(transaction: Transaction, request_id: uuid.UUID) -> Any:
    """Return the row of a library request, None if there is none."""
    return transaction.row(_READ, id=request_id)


_WAITING_INVENTORIES = select(LibraryRequest.operation_option).where(
    LibraryRequest.library_id == _LIBRARY,
    LibraryRequest.state == int(QUEUED),
    LibraryRequest.completed.is_(None),
    LibraryRequest.operation == int(INVENTORY),
)


def queue_inventory(transaction: Transaction, library_id: uuid.UUID, method: NtmsInventoryMethod = FAST) -> None:
    """Queue an inventory of the service's own, unless one that sees as much waits already."""
    waiting = transaction.rows(_WAITING_INVENTORIES, library=library_id)
    if not any(method is FAST or each.operation_option == method for each in waiting):
        insert_request(transaction, INVENTORY, library_id, caller_user=transaction.origin.user, option=int(method))


_PARTS = select(func.count().label("live")).where(
    LibraryRequest.library_id == _LIBRARY, IS_LIVE, or_(LibraryRequest.id == _ID, LibraryRequest.work_item_id == _ID)
)


def count_live_parts(transaction: Transaction, request_id: uuid.UUID) -> tuple[int, Any]:
    """Return how many of a request and those that it led to have not ended, and the request's row."""
    request = read_request(transaction, request_id)
    if request is None:
        return 0, None
    return transaction.one(_PARTS, "its queue", library=request.library_id, id=request_id).live, request


# Ending

_END = (
    update(LibraryRequest)
    .where(LibraryRequest.id == _ID, LibraryRequest.completed.is_(None))
    .values(
        state=bindparam("new_state", type_=Int()),
        error_code=bindparam("new_error", type_=Int()),
        completed=bindparam("now", type_=Instant()),
        modified=bindparam("now", type_=Instant()),
        order_number=0,
    )
)
_GROUP = (
    select(LibraryRequest.id, LibraryRequest.state)
    .where(LibraryRequest.work_item_id == bindparam("work_item", type_=Id()), LibraryRequest.operation == int(MOUNT))
    .where(LibraryRequest.library_id == _LIBRARY, IS_LIVE)
    .order_by(LibraryRequest.id)
)


def end_request(
    transaction: Transaction, request_id: uuid.UUID, state: NtmsLmState, *, error_code: int = 0, call: str = "work"
) -> bool:
    """End a live request; False if it had ended already, or is gone."""
    leave_order(transaction, request_id)
    changed = transaction.change(
        _END, id=request_id, new_state=int(state), new_error=int(error_code), now=transaction.now
    )
    if not changed:
        return False
    record_change(transaction, call, request_id, {"state": int(state), "error_code": int(error_code)})
    return True


def list_group(transaction: Transaction, request: Any) -> list[Any]:
    """Return id and state of the live mounts that must succeed or fail together with this one, itself included."""
    if request.operation != MOUNT or request.work_item_id is None:
        return [request]
    return transaction.rows(_GROUP, work_item=request.work_item_id, library=request.library_id)


def withdraw_request(transaction: Transaction, request_id: uuid.UUID, *, error_code: int = 0) -> bool:
    """Cancel a request, and the mounts joined with it, as its own caller; False if work on it has begun or ended."""
    request = read_request(transaction, request_id)
    if request is None or request.completed is not None:
        return False
    if is_attended(request) and has_begun(request):
        tell_to_end(transaction, request, "cancel", "withdraw")
        return True
    group = list_group(transaction, request)
    if any(each.state == INPROCESS for each in group) or _holds_cleaner(transaction, request):
        return False
    for each in group:
        end_request(transaction, each.id, CANCELLED, error_code=error_code, call="withdraw")
        drop_operator_requests(transaction, each.id)
    return True


_SET_DETAILS = (
    update(LibraryRequest)
    .where(LibraryRequest.id == _ID)
    .values(details=bindparam("new_details", type_=Json()), modified=bindparam("now", type_=Instant()))
)


def is_attended(request: Any) -> bool:
    """Tell whether a person at a robot does a part of a request; what a drive of its own ejects is no robot's."""
    return request.operation in ATTENDED and request.drive_id is None


def has_begun(request: Any) -> bool:
    """Tell whether attended work has begun: it is being done, or goes on in a moment."""
    return bool(request.state == INPROCESS or "until" in request.details or "phase" in request.details)


def write_details(transaction: Transaction, request: Any, **news: Any) -> None:
    """Add to what is kept with a request, or replace it; `request` is its row in this transaction."""
    details = {**request.details, **news}
    transaction.change(_SET_DETAILS, id=request.id, new_details=details, now=transaction.now)


def tell_to_end(transaction: Transaction, request: Any, how: str, call: str) -> None:
    """Have attended work ended by whoever does it: the port is shut, and what has to be settled is settled.

    `how`: "stop" is done with what there is by then, "retract" is done with what is in the port, "cancel" is given up.
    """
    if request.details.get("end") != "cancel":
        write_details(transaction, request, end=how)
        record_change(transaction, call, request.id, {"end": how})


_CLEANER_IN_DRIVE = select(PhysicalMedium.id).where(PhysicalMedium.drive_id == _ID, PhysicalMedium.cleaner == 1)


def _holds_cleaner(transaction: Transaction, request: Any) -> bool:
    """Tell whether a drive is to be cleaned and has the cleaner in it, although nobody has the request in hand now."""
    return request.operation == CLEAN and transaction.row(_CLEANER_IN_DRIVE, id=request.drive_id) is not None


_OPERATOR_REQUESTS = select(OperatorRequest.id).where(
    OperatorRequest.library_request_id == _ID, OperatorRequest.completed.is_(None)
)


def drop_operator_requests(transaction: Transaction, request_id: uuid.UUID) -> None:
    """Take back what operators were asked for the sake of a library request."""
    for row in transaction.rows(_OPERATOR_REQUESTS, id=request_id):
        operators.delete_request(transaction, row.id)


def ask_for_medium(
    transaction: Transaction,
    request_id: uuid.UUID,
    medium_id: uuid.UUID,
    library_id: uuid.UUID,
    *,
    message: str,
    caller_user: str,
    session_id: uuid.UUID | None,
) -> None:
    """Have an operator asked to bring a cartridge into a library for the sake of a library request."""
    operators.insert_request(
        transaction,
        NtmsOpreqCommand.NTMS_OPREQ_MOVEMEDIA,
        message=message,
        argument1=(Kind.NTMS_PHYSICAL_MEDIA, medium_id),
        argument2=(Kind.NTMS_LIBRARY, library_id),
        caller_user=caller_user,
        session_id=session_id,
        library_request_id=request_id,
    )


def cancel_request(transaction: Transaction, caller: Caller, request_id: uuid.UUID) -> None:
    """Take a request out of the queue, mounts joined with it too (CancelNtmsLibraryRequest; MS-RSMP 3.2.5.2.4).

    Raises:
        AccessDeniedError: the caller does not administer the catalogue.
        ObjectNotFoundError: there is no such request, or it had ended.
        AccessDeniedError: it is being worked on right now.
    """
    if not is_administrator(caller, transaction.policy):
        raise AccessDeniedError(f"{caller.user} is no administrator: only they cancel library requests")
    request = read_request(transaction, request_id)
    if request is None:
        raise ObjectNotFoundError(f"there is no library request with id {request_id}")
    if request.completed is not None:
        raise ObjectNotFoundError(f"library request {request_id} has ended already: {spoken_state(request.state)}")
    if not withdraw_request(transaction, request_id):
        raise AccessDeniedError(f"library request {request_id} is being worked on right now: wait for its end")


def spoken_state(state: int) -> str:
    """Return the everyday word for the state of a request."""
    return NtmsLmState(state).name.removeprefix("NTMS_LM_").lower().replace("inprocess", "in process")


# The order


def read_order(transaction: Transaction, caller: Caller, request_id: uuid.UUID) -> int:
    """Return the place of a request among the mounts of its library, 0 if it cannot be moved (GetNtmsRequestOrder).

    Raises:
        ObjectNotFoundError: there is no such request.
        AccessDeniedError: the right on the computer is missing.
    """
    request = read_request(transaction, request_id)
    if request is None:
        raise ObjectNotFoundError(f"there is no library request with id {request_id}")
    access.require_computer(transaction, caller, need("GetNtmsRequestOrder", transaction.policy.access_era).computer)
    order: int = request.order_number
    return order


def write_order(transaction: Transaction, caller: Caller, request_id: uuid.UUID, order_number: int) -> None:
    """Move a mount in the queue: 1 is served next, 0xFFFFFFFF is put off to the end (SetNtmsRequestOrder).

    A place beyond the last one is the last one.

    Raises:
        InvalidParameterError: the number is not from 1 to 0xFFFFFFFF.
        ObjectNotFoundError: there is no such request.
        AccessDeniedError: the right on the computer is missing.
        InvalidStateError: its number is 0: it is no mount, has begun or has ended.
    """
    number("order_number")(order_number)
    if order_number == 0:
        raise InvalidParameterError("a place in the queue is a number from 1: 0 is the number of what has none")
    request = read_request(transaction, request_id)
    if request is None:
        raise ObjectNotFoundError(f"there is no library request with id {request_id}")
    access.require_computer(transaction, caller, need("SetNtmsRequestOrder", transaction.policy.access_era).computer)
    if request.order_number == 0:
        raise InvalidStateError(f"library request {request_id} cannot be moved: only mounts that wait have an order")
    if request.order_number == order_number:
        return
    leave_order(transaction, request_id)
    if order_number != LAST_ORDER:
        others = transaction.one(_COUNT_OTHERS, "its queue", library=request.library_id, id=request_id).others
        order_number = min(order_number, others + 1)  # no gaps: the number is the place in the queue
        transaction.change(_MAKE_ROOM, library=request.library_id, first=order_number)
    transaction.change(_SET_ORDER, id=request_id, new_order=order_number)
    events.record(
        transaction,
        "SetNtmsRequestOrder",
        Operation.NTMS_OBJ_UPDATE,
        Kind.NTMS_LIBREQUEST,
        request_id,
        before={"order_number": request.order_number},
        after={"order_number": order_number},
    )


# Removing what has ended


def delete_requests(transaction: Transaction, caller: Caller, request_ids: Sequence[uuid.UUID]) -> int:
    """Remove those of these requests that have ended and return how many (DeleteNtmsRequests).

    Raises:
        AccessDeniedError: the right on the computer is missing.
    """
    access.require_computer(transaction, caller, need("DeleteNtmsRequests", transaction.policy.access_era).computer)
    removed = 0
    for request_id in request_ids:
        request = read_request(transaction, request_id)
        if request is not None and request.completed is not None:
            _delete(transaction, "DeleteNtmsRequests", request)
            removed += 1
    return removed


def _delete(transaction: Transaction, call: str, request: Any) -> None:
    delete_object(transaction, request.id)
    before = {"operation": request.operation, "state": request.state, "library_id": request.library_id}
    events.record(transaction, call, Operation.NTMS_OBJ_DELETE, Kind.NTMS_LIBREQUEST, request.id, before=before)


_PURGE_POLICY = select(Computer.library_request_purge_seconds, Computer.library_request_flags)
_PURGEABLE = (
    select(LibraryRequest.id, LibraryRequest.operation, LibraryRequest.state, LibraryRequest.library_id)
    .where(LibraryRequest.completed.is_not(None), LibraryRequest.completed < bindparam("before", type_=Instant()))
    .where(LibraryRequest.state != bindparam("but_not", type_=Int()))
    .order_by(LibraryRequest.completed)
    .limit(500)
)


def purge_requests(transaction: Transaction) -> int:
    """Remove at most 500 requests that ended longer ago than the computer keeps them, and return how many."""
    policy = transaction.one(_PURGE_POLICY, "the computer object")
    if policy.library_request_flags & NtmsLibRequestFlags.NTMS_LIBREQFLAGS_NOAUTOPURGE:
        return 0
    keep_failed = policy.library_request_flags & NtmsLibRequestFlags.NTMS_LIBREQFLAGS_NOFAILEDPURGE
    before = transaction.now - timedelta(seconds=policy.library_request_purge_seconds)
    requests = transaction.rows(_PURGEABLE, before=before, but_not=int(FAILED) if keep_failed else -1)
    for request in requests:
        _delete(transaction, "purge", request)
    return len(requests)


# Free labels

_UNPREPARED = select(PhysicalMedium.id, PhysicalMedium.library_id).where(
    PhysicalMedium.id == _ID,
    PhysicalMedium.online == 1,
    exists().where(
        Side.medium_id == PhysicalMedium.id, Side.state == int(NtmsPartitionState.NTMS_PARTSTATE_UNPREPARED)
    ),
)
_LIVE_FOR_MEDIUM = select(LibraryRequest.id).where(
    LibraryRequest.library_id == _LIBRARY,
    IS_LIVE,
    LibraryRequest.operation == bindparam("operation", type_=Int()),
    LibraryRequest.medium_id == _ID,
)
_LABELLING = select(
    exists()
    .where(
        LibraryRequest.library_id == Library.id,
        IS_LIVE,
        LibraryRequest.operation == int(WRITE_FREE_LABEL),
        LibraryRequest.medium_id == PhysicalMedium.id,
        PhysicalMedium.media_type_id == bindparam("media_type", type_=Id()),
    )
    .label("labelling")
)


def is_queued_for(
    transaction: Transaction, operation: NtmsLmOperation, library_id: uuid.UUID, medium_id: uuid.UUID
) -> bool:
    """Tell whether a request of this kind for a cartridge waits or is being worked on."""
    row = transaction.row(_LIVE_FOR_MEDIUM, library=library_id, operation=int(operation), id=medium_id)
    return row is not None


def queue_free_labels(transaction: Transaction, medium_id: uuid.UUID) -> None:
    """Let the worker write free labels on a cartridge that is in a library and has sides without; once is enough."""
    medium = transaction.row(_UNPREPARED, id=medium_id)
    if medium is None or is_queued_for(transaction, WRITE_FREE_LABEL, medium.library_id, medium_id):
        return
    insert_request(
        transaction, WRITE_FREE_LABEL, medium.library_id, medium_id=medium_id, caller_user=transaction.origin.user
    )


def is_labelling(transaction: Transaction, media_type_id: uuid.UUID) -> bool:
    """Tell whether a free label is still to be written on a cartridge of this media type."""
    return bool(transaction.one(_LABELLING, "its queue", media_type=media_type_id).labelling)
