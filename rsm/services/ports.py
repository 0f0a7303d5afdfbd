"""Asking for cartridges to be put into a library, or taken out of it, through its ports, and ending what was asked for.

It checks and queues; the worker opens ports and carries, and `attended` records. A port holds one cartridge. What is
taken out together is one request; more than there are ports go out in rounds, as ports become empty.
"""

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, exists, select

from rsm.constants import NtmsInjectOperation, NtmsLmOperation, NtmsOperationalState
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction
from rsm.errors import (
    BusyError,
    DeviceNotAvailableError,
    InvalidLibraryError,
    InvalidOperationError,
    InvalidParameterError,
    LibraryFullError,
    LibraryOfflineError,
    MediaNotAvailableError,
    ResourceNotPresentError,
    RsmError,
    UnableToEjectMountedMediaError,
)
from rsm.model import OFFLINE, Id, Library, LibraryRequest, Mount, PhysicalMedium, Side, Slot
from rsm.security import Caller, need
from rsm.services import access, queue, sessions
from rsm.services.attended_planning import list_ports, media_of
from rsm.services.dismounts import make_dismountable
from rsm.services.media import get_medium
from rsm.services.objects import Reference, find
from rsm.services.sessions import Enrolment

# What a person has a part in, and the calls by which it is begun and ended.
CALLS = {
    queue.INJECT: "InjectNtmsMedia",
    queue.INJECT_CLEANER: "InjectNtmsCleaner",
    queue.EJECT: "EjectNtmsMedia",
    queue.EJECT_CLEANER: "EjectNtmsCleaner",
    queue.DOOR: "AccessNtmsLibraryDoor",
}
START, START_MANY = NtmsInjectOperation.NTMS_INJECT_START, NtmsInjectOperation.NTMS_INJECT_STARTMANY
_ID = bindparam("id", type_=Id())
_LIBRARY = bindparam("library", type_=Id())
_LIBRARY_ROW = select(Library.id, Library.name, Library.library_type, Library.enabled).where(Library.id == _LIBRARY)
_FREE_SLOT = select(
    exists()
    .where(
        Slot.library_id == _LIBRARY,
        Slot.element.is_not(None),
        Slot.enabled == 1,
        Slot.operational_state == int(NtmsOperationalState.NTMS_READY),
        Slot.cleaner == 0,
        ~exists().where(PhysicalMedium.slot_id == Slot.id),
    )
    .label("free")
)


def find_library(transaction: Transaction, reference: Reference, error: type[RsmError] = InvalidLibraryError) -> Any:
    """Return the row of a library, or refuse with `error`."""
    library_id = find(transaction, Kind.NTMS_LIBRARY, reference)
    row = None if library_id is None else transaction.row(_LIBRARY_ROW, library=library_id)
    if row is None:
        raise error(f"there is no library {reference}: rsm library list shows those there are")
    return row


def check_library(library: Any) -> None:
    """Refuse a library that has no ports to work with just now.

    Raises:
        LibraryOfflineError: it is the offline library.
        DeviceNotAvailableError: it is disabled.
    """
    if library.library_type == OFFLINE:
        raise LibraryOfflineError("the offline library is the shelf: nothing goes in or out of it through a port")
    if not library.enabled:
        raise DeviceNotAvailableError(f"library {library.name} is disabled: rsm library enable {library.name}")


def count_ports(transaction: Transaction, library: Any) -> int:
    """Return how many ports of a library can be used (ResourceNotPresentError)."""
    ports = len(list_ports(transaction, library.id))
    if not ports:
        raise ResourceNotPresentError(f"library {library.name} has no port that can be used: use its door")
    return ports


# Putting in


def request_inject(transaction: Transaction, caller: Caller, library: Reference, *, many: bool = False) -> uuid.UUID:
    """Queue the taking in of what a person puts into the ports, and return the request's id (InjectNtmsMedia).

    The ports stay open for their `max_extend_seconds`; `many` opens them again after each find.

    Raises:
        InvalidParameterError: there is no such library.
        AccessDeniedError: the right on it is missing.
        LibraryOfflineError: it is the offline library.
        DeviceNotAvailableError: it is disabled.
        ResourceNotPresentError: it has no port.
        LibraryFullError: it has no free slot.
    """
    row = find_library(transaction, library, InvalidParameterError)
    rights = need("InjectNtmsMedia", transaction.policy.access_era).library
    access.require_library(transaction, caller, rights, Kind.NTMS_LIBRARY, row.id)
    check_library(row)
    count_ports(transaction, row)
    if not transaction.one(_FREE_SLOT, "its slots", library=row.id).free:
        raise LibraryFullError(f"library {row.name} has no free slot: eject something first")
    return queue_inject(transaction, row.id, caller.user, many=many)


def queue_inject(
    transaction: Transaction,
    library_id: uuid.UUID,
    caller_user: str,
    *,
    operation: NtmsLmOperation = queue.INJECT,
    many: bool = False,
    slot_id: uuid.UUID | None = None,
    **details: Any,
) -> uuid.UUID:
    """Queue the taking in of what a person puts into the ports, unchecked; `slot_id`: one cartridge, into that slot."""
    option = int(START_MANY if many else START)
    return queue.insert_request(
        transaction,
        operation,
        library_id,
        caller_user=caller_user,
        option=option,
        slot_id=slot_id,
        details={"many": many, **details},
    )


# Taking out

_IN_USE = (
    select(Mount.drive_id)
    .join(Side, Side.id == Mount.side_id)
    .where(Side.medium_id == _ID, Mount.dismountable_from.is_(None))
)
_ENABLED = select(PhysicalMedium.enabled).where(PhysicalMedium.id == _ID)
_GATHERED = (
    select(*LibraryRequest.__table__.columns)
    .where(
        LibraryRequest.session_id == _ID,
        LibraryRequest.completed.is_(None),
        LibraryRequest.operation == int(queue.EJECT),
        LibraryRequest.state == int(queue.WAITING),
    )
    .order_by(LibraryRequest.id)
)


def request_eject(
    transaction: Transaction,
    caller: Caller,
    media: Sequence[Reference],
    *,
    force: bool = False,
) -> uuid.UUID:
    """Queue the taking out of cartridges of one library, and return the request's id (EjectNtmsMedia).

    What the session has gathered in that library goes out with them. `force` takes what is in use away from who uses
    it. What is not taken out of a port in its `max_extend_seconds` is put back into its slot.

    Raises:
        InvalidParameterError: none is named.
        RsmError: as `check_ejectable`, of each.
        InvalidParameterError: they are in different libraries.
        BusyError: with what was gathered they are more than there are ports.
    """
    if not media:
        raise InvalidParameterError("name at least one cartridge to eject")
    rows = [check_ejectable(transaction, caller, each, force=force) for each in media]
    library_id = rows[0].library_id
    if any(row.library_id != library_id for row in rows):
        raise InvalidParameterError("the cartridges are in different libraries: eject those of each by themselves")
    wanted = list(dict.fromkeys(row.id for row in rows))
    batch = next((each for each in _gathered(transaction) if each.library_id == library_id), None)
    if batch is not None:
        wanted = list(dict.fromkeys((*media_of(batch), *wanted)))
        _check_room(transaction, library_id, len(wanted))
        queue.end_request(transaction, batch.id, queue.CANCELLED, call="EjectNtmsMedia")
    if force:
        for row in rows:
            used = transaction.row(_IN_USE, id=row.id)
            if used is not None:
                make_dismountable(transaction, used.drive_id, "EjectNtmsMedia", deferred=False)
    return queue_eject(transaction, library_id, caller.user, wanted)


def queue_eject(
    transaction: Transaction,
    library_id: uuid.UUID,
    caller_user: str,
    media: Sequence[uuid.UUID],
    *,
    operation: NtmsLmOperation = queue.EJECT,
    **details: Any,
) -> uuid.UUID:
    """Queue the taking out of cartridges through the ports, unchecked."""
    return queue.insert_request(
        transaction,
        operation,
        library_id,
        caller_user=caller_user,
        medium_id=media[0] if len(media) == 1 else None,
        details={"media": [str(each) for each in media], **details},
    )


def check_ejectable(transaction: Transaction, caller: Caller, reference: Reference, *, force: bool = False) -> Any:
    """Return the row of a cartridge that can be taken out through a port.

    Raises:
        InvalidMediaError: there is no such cartridge.
        AccessDeniedError: the right on its library is missing.
        LibraryOfflineError: it is on the shelf.
        DeviceNotAvailableError: its library is disabled.
        MediaNotAvailableError: it is disabled.
        ResourceNotPresentError: the library has no port.
        UnableToEjectMountedMediaError: it is in use, and not `force`.
    """
    medium = get_medium(transaction, reference)
    rights = need("EjectNtmsMedia", transaction.policy.access_era).library
    access.require_library_of_medium(transaction, caller, rights, medium.id)
    library = transaction.one(_LIBRARY_ROW, "the library of a cartridge", library=medium.library_id)
    if library.library_type == OFFLINE:
        raise LibraryOfflineError(f"cartridge {medium.name} is on the shelf: it is out already")
    check_library(library)
    if not transaction.one(_ENABLED, "a cartridge", id=medium.id).enabled:
        raise MediaNotAvailableError(f"cartridge {medium.name} is disabled: rsm media enable {medium.name}")
    count_ports(transaction, library)
    if medium.is_in_use and not force:
        raise UnableToEjectMountedMediaError(
            f"cartridge {medium.name} is mounted: dismount it first, or force the eject and take it from who uses it"
        )
    return medium


def _check_room(transaction: Transaction, library_id: uuid.UUID, wanted: int) -> None:
    ports = count_ports(transaction, transaction.one(_LIBRARY_ROW, "a library", library=library_id))
    if wanted > ports:
        raise BusyError(
            f"{wanted} cartridges were gathered, and the ports hold {ports}: begin the eject, then gather more"
        )


def gather(transaction: Transaction, caller: Caller, enrolment: Enrolment, medium: Reference) -> uuid.UUID:
    """Put a cartridge to those that the session takes out together once it begins, and return the request's id.

    They are as many as the library has ports at most, and are let go of with the session (EjectNtmsMedia,
    NTMS_EJECT_QUEUE).

    Raises:
        RsmError: as `check_ejectable`.
        BusyError: the ports hold no more.
    """
    row = check_ejectable(transaction, caller, medium)
    batch = next((each for each in _gathered(transaction) if each.library_id == row.library_id), None)
    media = list(dict.fromkeys((*(media_of(batch) if batch is not None else ()), row.id)))
    _check_room(transaction, row.library_id, len(media))
    if batch is None:
        sessions.enrol(transaction, enrolment)
        return queue.insert_request(
            transaction,
            queue.EJECT,
            row.library_id,
            caller_user=caller.user,
            session_id=enrolment.id,
            state=queue.WAITING,
            details={"media": [str(each) for each in media]},
        )
    queue.write_details(transaction, batch, media=[str(each) for each in media])
    queue.record_change(transaction, "EjectNtmsMedia", batch.id, {"media": media})
    found: uuid.UUID = batch.id
    return found


def begin_gathered(transaction: Transaction, caller: Caller) -> uuid.UUID:
    """Queue the taking out of what the session has gathered, and return the request's id (EjectNtmsMedia).

    Raises:
        InvalidParameterError: it has gathered nothing, or media of several libraries.
        RsmError: as `check_ejectable`, of each.
    """
    batches = _gathered(transaction)
    if len(batches) != 1:
        many = "cartridges of several libraries were gathered" if batches else "no cartridges were gathered"
        raise InvalidParameterError(f"{many}: name the one to eject")
    return request_eject(transaction, caller, media_of(batches[0]))


def _gathered(transaction: Transaction) -> list[Any]:
    return transaction.rows(_GATHERED, id=transaction.origin.session)


# Ending


def end_operation(
    transaction: Transaction,
    caller: Caller,
    request_id: uuid.UUID,
    operation: NtmsLmOperation,
    *,
    retract: bool = False,
    library_id: uuid.UUID | None = None,
) -> None:
    """End an inject, an eject or the opening of a door before its time; what is in a port by then is seen to.

    `retract`: pull the ports in and take in what is there, then open them again; for an inject of many, and nothing in
    the ports ends it.

    Raises:
        InvalidOperationError: no such operation with that id goes on, in this library, or it cannot be retracted.
        AccessDeniedError: the right on its library is missing.
    """
    request = queue.read_request(transaction, request_id)
    live = request is not None and request.completed is None and queue.is_attended(request)
    if not live or request.operation != operation or (library_id is not None and request.library_id != library_id):
        raise InvalidOperationError(f"no {queue.spoken(operation)} with id {request_id} goes on")
    call = CALLS[operation]
    rights = need(call, transaction.policy.access_era).library
    access.require_library(transaction, caller, rights, Kind.NTMS_LIBRARY, request.library_id)
    if retract and not request.details.get("many"):
        raise InvalidOperationError("only an inject of many cartridges is retracted: stop this one")
    if queue.has_begun(request):
        queue.tell_to_end(transaction, request, "retract" if retract else "stop", call)
    elif not retract:
        queue.end_request(transaction, request_id, queue.STOPPED, call=call)
