"""What the worker writes down: a library taken over, requests begun, moves made, and how requests ended.

Every function is for whoever holds the library's claim, and its writes count only in the epoch of that claim: after a
take-over they are refused, and the one who took over looks at the device instead.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import bindparam, delete, exists, func, select, update

from rsm.constants import ErrorCode, NtmsDriveState, NtmsLmState, NtmsMediaState
from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction, new_id
from rsm.model import Drive, Id, Instant, Int, Json, LibraryRequest, Mount, PhysicalMedium, RequestStep, Session, Side
from rsm.services import cleaning, events, places, queue
from rsm.services.devices import Place
from rsm.services.dismounts import cancel_dismounts, make_dismountable, queue_dismount
from rsm.services.epochs import check_epoch
from rsm.services.outlook import look
from rsm.services.places import MOUNT_IN_DRIVE, MOUNT_OF_REQUEST, WHERE, end_mount, set_media_state, set_place
from rsm.services.standalone import end_eject, finish_eject
from rsm.services.steps import Action, Running, Start
from rsm.statements import insert_row

MOST_ATTEMPTS = 4
_ID = bindparam("id", type_=Id())
_LIBRARY = bindparam("library", type_=Id())
_DRIVE = bindparam("drive", type_=Id())
_NOW = bindparam("now", type_=Instant())


# Beginning

_SET_BEGUN = (
    update(LibraryRequest)
    .where(LibraryRequest.id == _ID)
    .values(
        state=int(queue.INPROCESS),
        order_number=0,
        epoch=bindparam("new_epoch", type_=Int()),
        drive_id=func.coalesce(bindparam("new_drive", type_=Id()), LibraryRequest.drive_id),
        modified=_NOW,
    )
)
_SET_STATE = (
    update(LibraryRequest)
    .where(LibraryRequest.id == _ID, LibraryRequest.completed.is_(None))
    .values(
        state=bindparam("new_state", type_=Int()),
        details=bindparam("new_details", type_=Json()),
        due=bindparam("new_due", type_=Instant()),
        order_number=bindparam("new_order", type_=Int()),
        modified=_NOW,
    )
)
_FORGET_DRIVE = update(LibraryRequest).where(LibraryRequest.id == _ID).values(drive_id=None)
_FIRST_ORDER = (
    update(LibraryRequest)
    .where(
        LibraryRequest.library_id == _LIBRARY,
        queue.IS_LIVE,
        LibraryRequest.operation == int(queue.MOUNT),
        LibraryRequest.order_number > 0,
        LibraryRequest.order_number < queue.LAST_ORDER,
    )
    .values(order_number=LibraryRequest.order_number + 1)
)
_INSERT_STEP = insert_row(RequestStep)
_DELETE_STEPS = delete(RequestStep).where(RequestStep.request_id == _ID)


def start_due(transaction: Transaction, library_id: uuid.UUID, epoch: int, running: Running) -> list[Start]:
    """Look again, write down what is begun and what has ended, and return what is begun.

    Raises:
        SupersededError: another process has taken the library over.
    """
    check_epoch(transaction, library_id, epoch)
    outlook = look(transaction, library_id, running)
    for request, state, code, text in outlook.endings:
        _end_group(transaction, request, state, code, text)
    for request in outlook.orphans:
        _put_back_again(transaction, request, ErrorCode.ERROR_CANCELLED, "what it had mounted was taken away")
    for request in outlook.returned:
        _set_state(transaction, request, queue.QUEUED)
        if request.operation == queue.CLEAN:
            cleaning.tell_found(transaction, request)
    for request in outlook.lacking_cleaner:
        _set_state(transaction, request, queue.WAITING, inventory=None)
        queue.drop_operator_requests(transaction, request.id)
        cleaning.ask_for_cleaner(transaction, request)
    for request in outlook.to_look_for:
        inventory = queue.insert_request(
            transaction, queue.INVENTORY, library_id, caller_user=request.user_name, option=int(outlook.method)
        )
        _set_state(transaction, request, queue.WAITING, inventory=str(inventory))
    for request in outlook.taken_out:
        end_eject(transaction, request)
    for request in outlook.to_ask_for:
        _set_state(transaction, request, queue.WAITING, inventory=None)  # what looked for it before says nothing now
        queue.drop_operator_requests(transaction, request.id)
        queue.ask_for_medium(
            transaction,
            request.id,
            request.medium_id,
            library_id,
            message="bring the cartridge back into the library and answer with satisfy",
            caller_user=request.user_name,
            session_id=request.session_id,
        )
    for start in outlook.starts:
        _write_start(transaction, start, epoch)
    return outlook.starts


def _write_start(transaction: Transaction, start: Start, epoch: int) -> None:
    request = start.request
    queue.leave_order(transaction, request.id)
    transaction.change(_SET_BEGUN, id=request.id, new_epoch=epoch, new_drive=start.drive_id, now=transaction.now)
    for number, step in enumerate(start.steps):
        transaction.change(
            _INSERT_STEP,
            request_id=request.id,
            number=number,
            work=step.action.work,
            action=step.action.value,
            state=int(queue.INPROCESS),
            epoch=epoch,
            source_element=step.source,
            destination_element=step.destination,
            due=None,
            started=transaction.now,
            completed=None,
            error_code=0,
            details={"side": step.side, "inverted": step.inverted},
        )
    if start.steps and request.medium_id is not None:
        # A drive is emptied of what is in it by then, be it another cartridge than the one that was let go of.
        for medium_id in start.media if request.operation == queue.DISMOUNT else (request.medium_id,):
            set_media_state(transaction, medium_id, NtmsMediaState.NTMS_MEDIASTATE_INUSE)
    after = {"state": int(queue.INPROCESS), "drive_id": start.drive_id}
    queue.record_change(transaction, "begin", request.id, after)


def _set_state(transaction: Transaction, request: Any, state: NtmsLmState, **details: Any) -> None:
    order = queue.read_request(transaction, request.id).order_number  # others may have left since the look
    transaction.change(
        _SET_STATE,
        id=request.id,
        new_state=int(state),
        new_details={**request.details, **details},
        new_due=request.due,
        new_order=order,
        now=transaction.now,
    )
    if request.state != state:
        queue.record_change(transaction, "work", request.id, {"state": int(state)})


# Steps that are done

_SET_DETAILS = (
    update(LibraryRequest).where(LibraryRequest.id == _ID).values(details=bindparam("new_details", type_=Json()))
)

_SET_STEP = (
    update(RequestStep)
    .where(
        RequestStep.request_id == _ID,
        RequestStep.number <= bindparam("step", type_=Int()),  # nothing is written after a step in a drive
        RequestStep.completed.is_(None),
    )
    .values(state=bindparam("new_state", type_=Int()), completed=_NOW, error_code=bindparam("new_error", type_=Int()))
)


def record_step(
    transaction: Transaction,
    library_id: uuid.UUID,
    epoch: int,
    request_id: uuid.UUID,
    number: int,
    *,
    error_code: int = 0,
) -> None:
    """Write down how a step ended.

    Raises:
        SupersededError: another process has taken the library over.
    """
    check_epoch(transaction, library_id, epoch)
    state = queue.FAILED if error_code else queue.PASSED
    transaction.change(
        _SET_STEP, id=request_id, step=number, new_state=int(state), new_error=error_code, now=transaction.now
    )


_ALL_STEPS = 2**31 - 1


def end_steps(transaction: Transaction, request_id: uuid.UUID, state: NtmsLmState, error_code: int = 0) -> None:
    """Write down how the last steps of a request ended."""
    transaction.change(
        _SET_STEP, id=request_id, step=_ALL_STEPS, new_state=int(state), new_error=error_code, now=transaction.now
    )


def record_move(
    transaction: Transaction,
    library_id: uuid.UUID,
    epoch: int,
    request_id: uuid.UUID,
    number: int,
    medium_id: uuid.UUID,
    place: Place,
) -> None:
    """Write down that a cartridge was carried to a place.

    Raises:
        SupersededError: another process has taken the library over.
    """
    record_step(transaction, library_id, epoch, request_id, number)
    set_place(transaction, medium_id, library_id, place, "move")


def keep_label(
    transaction: Transaction,
    library_id: uuid.UUID,
    epoch: int,
    drive_id: uuid.UUID,
    side_id: uuid.UUID,
    label_type: str,
    label_id: bytes,
    info: str,
) -> None:
    """Write down the label that a side mounted for writing leaves its drive with.

    Raises:
        SupersededError: another process has taken the library over.
    """
    check_epoch(transaction, library_id, epoch)
    places.keep_label(transaction, drive_id, side_id, label_type, label_id, info)


def set_findings(transaction: Transaction, request_id: uuid.UUID, findings: Mapping[str, Any]) -> None:
    """Keep with a request what it found, for whoever asks."""
    request = queue.read_request(transaction, request_id)
    if request is not None:
        transaction.change(_SET_DETAILS, id=request_id, new_details={**request.details, **findings})


# Requests that are done

_INSERT_MOUNT = insert_row(Mount)
_COUNT_SIDE = update(Side).where(Side.id == _ID).values(mounted=True, mount_count=Side.mount_count + 1, modified=_NOW)
_COUNT_DRIVE = (
    update(Drive)
    .where(Drive.id == _ID)
    .values(
        state=int(NtmsDriveState.NTMS_DRIVESTATE_LOADED),
        occupied=True,
        mount_count=Drive.mount_count + 1,
        modified=_NOW,
    )
)
_SESSION_CLOSED = select(Session.closed).where(Session.id == _ID)


def finish(transaction: Transaction, library_id: uuid.UUID, epoch: int, start: Start) -> None:
    """End a request whose steps were all done; a mount gives its session the side.

    Raises:
        SupersededError: another process has taken the library over.
    """
    check_epoch(transaction, library_id, epoch)
    end_steps(transaction, start.request.id, queue.PASSED)
    request = queue.read_request(transaction, start.request.id)
    if start.request.operation == queue.MOUNT:
        _finish_mount(transaction, library_id, start, request)
    elif start.steps and start.steps[-1].action is Action.EJECT:
        assert start.drive_id is not None
        places.set_unloaded(transaction, start.drive_id)
        if request is not None and request.completed is None and not finish_eject(transaction, request):
            _set_state(transaction, request, queue.WAITING)
    else:
        if request is not None and request.completed is None:
            queue.end_request(transaction, request.id, queue.PASSED)
        if start.drive_id is not None and start.steps and start.steps[-1].action is Action.UNLOAD:
            places.set_unloaded(transaction, start.drive_id)  # and left there, as a person is the robot
        elif start.request.operation != queue.DISMOUNT and start.drive_id is not None:
            _defer_dismount(transaction, library_id, start.drive_id)


_LEFT_IN_DRIVE = (
    select(PhysicalMedium.id, Drive.defer_dismount_seconds)
    .join(Drive, Drive.id == PhysicalMedium.drive_id)
    .where(Drive.id == _DRIVE, ~exists().where(Mount.drive_id == Drive.id))
)
_SET_DISMOUNTABLE = (
    update(Drive)
    .where(Drive.id == _DRIVE)
    .values(state=int(NtmsDriveState.NTMS_DRIVESTATE_DISMOUNTABLE), modified=_NOW)
)


def _defer_dismount(transaction: Transaction, library_id: uuid.UUID, drive_id: uuid.UUID) -> None:
    """Let the cartridge that was to be left in a drive be put away after the drive's own delay."""
    left = transaction.row(_LEFT_IN_DRIVE, drive=drive_id)
    if left is None:
        return
    transaction.change(_SET_DISMOUNTABLE, drive=drive_id, now=transaction.now)
    set_media_state(transaction, left.id, NtmsMediaState.NTMS_MEDIASTATE_LOADED)
    due = transaction.now + timedelta(seconds=left.defer_dismount_seconds)
    queue_dismount(transaction, library_id, drive_id, left.id, due)


def _finish_mount(transaction: Transaction, library_id: uuid.UUID, start: Start, request: Any) -> None:
    assert start.drive_id is not None
    wanted = request is not None and request.completed is None
    if wanted and request.session_id is not None:
        wanted = transaction.one(_SESSION_CLOSED, "a session", id=request.session_id).closed is None
    if not wanted:
        queue_dismount(transaction, library_id, start.drive_id, start.request.medium_id, transaction.now)
        if request is not None:
            queue.end_request(transaction, request.id, queue.CANCELLED)
        set_media_state(transaction, start.request.medium_id, NtmsMediaState.NTMS_MEDIASTATE_MOUNTED)
        return
    medium = transaction.row(WHERE, id=request.medium_id)
    if medium is None or medium.drive_id != start.drive_id:  # an inventory saw that a person took it out meanwhile
        text = "the cartridge was taken out of its drive"
        _put_back_again(transaction, request, ErrorCode.ERROR_RESOURCE_NOT_PRESENT, text)
        return
    end_mount(transaction, start.drive_id)
    transaction.change(
        _INSERT_MOUNT,
        id=new_id(),
        side_id=request.side_id,
        drive_id=start.drive_id,
        session_id=request.session_id,
        request_id=request.id,
        for_writing=bool(request.details.get("for_writing")),
        mounted=transaction.now,
        dismountable_from=None,
    )
    transaction.change(_COUNT_SIDE, id=request.side_id, now=transaction.now)
    transaction.change(_COUNT_DRIVE, id=start.drive_id, now=transaction.now)
    set_media_state(transaction, request.medium_id, NtmsMediaState.NTMS_MEDIASTATE_LOADED)
    for kind, one in ((Kind.NTMS_PARTITION, request.side_id), (Kind.NTMS_DRIVE, start.drive_id)):
        after = {"mounted": True, "request": request.id}
        events.record(transaction, "mount", Operation.NTMS_OBJ_UPDATE, kind, one, after=after)
    cancel_dismounts(transaction, library_id, start.drive_id)
    group = queue.list_group(transaction, request)
    # One that a take-over let go of is not there for its request, though its cartridge still is in the drive.
    if all(transaction.row(MOUNT_OF_REQUEST, id=each.id) is not None for each in group):
        for each in group:
            queue.end_request(transaction, each.id, queue.PASSED)


def fail(
    transaction: Transaction,
    library_id: uuid.UUID,
    epoch: int,
    start: Start,
    code: int,
    text: str,
    *,
    again: bool = False,
) -> None:
    """End a request that went wrong, with all that belongs to it, or with `again` put it back a few times.

    Raises:
        SupersededError: another process has taken the library over.
    """
    check_epoch(transaction, library_id, epoch)
    request = queue.read_request(transaction, start.request.id)
    if request is not None and request.completed is None:
        if again:
            _put_back_again(transaction, request, ErrorCode(code), text)
        else:
            end_steps(transaction, request.id, queue.FAILED, code)
            _end_group(transaction, request, queue.FAILED, ErrorCode(code), text)
    # A drive that cannot be emptied is not to be emptied again and again.
    empty = start.request.operation != queue.DISMOUNT
    for medium_id in start.media:
        settle_medium(transaction, library_id, medium_id, empty=empty)


def _put_back_again(transaction: Transaction, request: Any, code: ErrorCode, text: str) -> None:
    attempts = int(request.details.get("attempts", 0)) + 1
    if attempts < MOST_ATTEMPTS:
        put_back(transaction, request, attempts=attempts, delay=timedelta(seconds=0.2 * attempts))
    else:
        end_steps(transaction, request.id, queue.FAILED, int(code))
        _end_group(transaction, request, queue.FAILED, code, text)


def interrupt(transaction: Transaction, library_id: uuid.UUID, epoch: int, start: Start) -> None:
    """Put back a request that its holder, who stops, leaves to the next one.

    Raises:
        SupersededError: another process has taken the library over.
    """
    check_epoch(transaction, library_id, epoch)
    request = queue.read_request(transaction, start.request.id)
    if request is not None and request.completed is None:
        put_back(transaction, request, attempts=int(request.details.get("attempts", 0)))
    for medium_id in start.media:
        settle_medium(transaction, library_id, medium_id, empty=request is None or request.completed is not None)


def put_back(transaction: Transaction, request: Any, *, attempts: int, delay: timedelta = timedelta()) -> None:
    """Put a request that was begun back into the queue, first among its kind."""
    order = 0
    if request.operation == queue.MOUNT:
        transaction.change(_FIRST_ORDER, library=request.library_id)
        order = 1
    transaction.change(
        _SET_STATE,
        id=request.id,
        new_state=int(queue.QUEUED),
        new_details={**request.details, "attempts": attempts},
        new_due=transaction.now + delay,
        new_order=order,
        now=transaction.now,
    )
    transaction.change(_DELETE_STEPS, id=request.id)
    if request.operation != queue.DISMOUNT and not request.details.get("drive_asked"):
        transaction.change(_FORGET_DRIVE, id=request.id)
    queue.record_change(transaction, "put back", request.id, {"state": int(queue.QUEUED), "attempts": attempts})


def settle_medium(transaction: Transaction, library_id: uuid.UUID, medium_id: uuid.UUID, *, empty: bool = True) -> None:
    """Leave a cartridge that work went wrong with in a state that others can go on from."""
    medium = transaction.row(WHERE, id=medium_id)
    if medium is None or (medium.media_state != NtmsMediaState.NTMS_MEDIASTATE_INUSE and medium.drive_id is None):
        return
    if medium.drive_id is None:
        set_media_state(transaction, medium_id, NtmsMediaState.NTMS_MEDIASTATE_IDLE)
        return
    mount = transaction.row(MOUNT_IN_DRIVE, drive=medium.drive_id)
    if mount is None:
        set_media_state(transaction, medium_id, NtmsMediaState.NTMS_MEDIASTATE_MOUNTED)
        places.rest_in_drive(transaction, library_id)
        if empty:
            queue_dismount(transaction, library_id, medium.drive_id, medium_id, transaction.now)
    else:
        set_media_state(transaction, medium_id, NtmsMediaState.NTMS_MEDIASTATE_LOADED)


def _end_group(transaction: Transaction, request: Any, state: NtmsLmState, code: ErrorCode, text: str) -> None:
    """End a request and the mounts that belong to it; what of them has arrived is put away."""
    for each in queue.list_group(transaction, request):
        full = queue.read_request(transaction, each.id)
        if full is None or full.completed is not None:
            continue
        _set_message(transaction, full, text)
        queue.end_request(transaction, each.id, state, error_code=int(code))
        queue.drop_operator_requests(transaction, each.id)
        mount = transaction.row(MOUNT_OF_REQUEST, id=each.id)
        if mount is not None:
            make_dismountable(transaction, mount.drive_id, "work", deferred=False)


def _set_message(transaction: Transaction, request: Any, text: str) -> None:
    transaction.change(_SET_DETAILS, id=request.id, new_details={**request.details, "message": text[:500]})


# After a take-over

_BROKEN_OFF = (
    select(RequestStep.source_element, RequestStep.destination_element)
    .join(LibraryRequest, LibraryRequest.id == RequestStep.request_id)
    .where(
        LibraryRequest.library_id == _LIBRARY,
        queue.IS_LIVE,
        RequestStep.state == int(queue.INPROCESS),
    )
)
_BEGUN = select(*LibraryRequest.__table__.columns).where(
    LibraryRequest.library_id == _LIBRARY,
    LibraryRequest.completed.is_(None),
    LibraryRequest.state == int(queue.INPROCESS),
)
_LOOSE = select(PhysicalMedium.id).where(
    PhysicalMedium.library_id == _LIBRARY,
    PhysicalMedium.media_state == int(NtmsMediaState.NTMS_MEDIASTATE_INUSE),
)


def broken_off_elements(transaction: Transaction, library_id: uuid.UUID) -> set[int]:
    """Return the addresses of all elements that a move which may have been broken off could have touched."""
    rows = transaction.rows(_BROKEN_OFF, library=library_id)
    ends = {end for row in rows for end in (row.source_element, row.destination_element)}
    return {end for end in ends if end is not None}


def put_back_all(transaction: Transaction, library_id: uuid.UUID, epoch: int) -> int:
    """Put every request that a former holder had begun back into the queue and return how many there were.

    Raises:
        SupersededError: another process has taken the library over.
    """
    check_epoch(transaction, library_id, epoch)
    begun: Sequence[Any] = transaction.rows(_BEGUN, library=library_id)
    for request in begun:
        arrived = transaction.row(MOUNT_OF_REQUEST, id=request.id)
        if arrived is not None:
            make_dismountable(transaction, arrived.drive_id, "take over", deferred=True)
        put_back(transaction, request, attempts=int(request.details.get("attempts", 0)))
    for medium in transaction.rows(_LOOSE, library=library_id):
        settle_medium(transaction, library_id, medium.id, empty=False)
    return len(begun)
