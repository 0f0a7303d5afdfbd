"""Letting go of what is in drives, and ending the sessions that had it there.

What a session used becomes dismountable: its cartridge is put away by a request in the queue, at once or after the
drive's own delay. It asks no rights and works no device.
"""

import uuid
from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, exists, select, update

from rsm.constants import NtmsDriveState
from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction
from rsm.model import (
    STANDALONE,
    Drive,
    Id,
    Instant,
    Int,
    Library,
    LibraryRequest,
    Mount,
    OperatorRequest,
    Session,
    Side,
)
from rsm.services import events, notifications, operators, queue, sessions, ui

_ID = bindparam("id", type_=Id())
_DRIVE = bindparam("drive", type_=Id())
_LIBRARY = bindparam("library", type_=Id())

# Drives

MOUNT_OF_DRIVE = (
    select(
        Mount.id,
        Mount.drive_id,
        Mount.side_id,
        Mount.session_id,
        Mount.dismountable_from,
        Side.medium_id,
        Drive.library_id,
        Drive.defer_dismount_seconds,
        Library.library_type,
    )
    .join(Drive, Drive.id == Mount.drive_id)
    .join(Library, Library.id == Drive.library_id)
    .join(Side, Side.id == Mount.side_id)
    .where(Mount.drive_id == _DRIVE)
)
_MAKE_DISMOUNTABLE = (
    update(Mount)
    .where(Mount.drive_id == _DRIVE, Mount.dismountable_from.is_(None))
    .values(dismountable_from=bindparam("now", type_=Instant()))
)
_SET_DRIVE_STATE = (
    update(Drive)
    .where(Drive.id == _DRIVE)
    .values(state=bindparam("new_state", type_=Int()), modified=bindparam("now", type_=Instant()))
)
_PENDING_DISMOUNTS = select(LibraryRequest.id, LibraryRequest.due).where(
    LibraryRequest.library_id == _LIBRARY,
    LibraryRequest.completed.is_(None),
    LibraryRequest.operation == int(queue.DISMOUNT),
    LibraryRequest.state == int(queue.QUEUED),
    LibraryRequest.drive_id == _DRIVE,
)


def make_dismountable(transaction: Transaction, drive_id: uuid.UUID, call: str, *, deferred: bool) -> None:
    """Let go of what a drive holds: it is put away at once, or `deferred` after the drive's own delay.

    A stand-alone drive has no delay: its cartridge stays in it anyway, for a person to take it out.
    """
    mount = transaction.row(MOUNT_OF_DRIVE, drive=drive_id)
    if mount is None:
        return
    if transaction.change(_MAKE_DISMOUNTABLE, drive=drive_id, now=transaction.now):
        state = int(NtmsDriveState.NTMS_DRIVESTATE_DISMOUNTABLE)
        transaction.change(_SET_DRIVE_STATE, drive=drive_id, new_state=state, now=transaction.now)
        events.record(transaction, call, Operation.NTMS_OBJ_UPDATE, Kind.NTMS_DRIVE, drive_id, after={"state": state})
    stays = deferred and mount.library_type != STANDALONE
    delay = timedelta(seconds=mount.defer_dismount_seconds) if stays else timedelta()
    queue_dismount(transaction, mount.library_id, drive_id, mount.medium_id, transaction.now + delay, mount.side_id)


def queue_dismount(
    transaction: Transaction,
    library_id: uuid.UUID,
    drive_id: uuid.UUID,
    medium_id: uuid.UUID | None,
    due: datetime,
    side_id: uuid.UUID | None = None,
) -> None:
    """Queue the emptying of a drive for a moment, unless one not later is queued; a later one is replaced."""
    for pending in transaction.rows(_PENDING_DISMOUNTS, library=library_id, drive=drive_id):
        if pending.due is None or pending.due <= due:
            return
        queue.end_request(transaction, pending.id, queue.CANCELLED, call="replace")
    queue.insert_request(
        transaction,
        queue.DISMOUNT,
        library_id,
        caller_user=transaction.origin.user,
        side_id=side_id,
        drive_id=drive_id,
        medium_id=medium_id,
        due=due,
    )


def cancel_dismounts(transaction: Transaction, library_id: uuid.UUID, drive_id: uuid.UUID) -> None:
    """Take back the emptying of a drive whose cartridge is in use again."""
    for pending in transaction.rows(_PENDING_DISMOUNTS, library=library_id, drive=drive_id):
        queue.end_request(transaction, pending.id, queue.CANCELLED, call="mount")


# Sessions that end

_LIVE_OF_SESSION = select(
    LibraryRequest.id, LibraryRequest.operation, LibraryRequest.state, LibraryRequest.library_id
).where(LibraryRequest.session_id == _ID, LibraryRequest.completed.is_(None))
_MOUNTS_OF_SESSION = select(Mount.drive_id).where(Mount.session_id == _ID, Mount.dismountable_from.is_(None))
_ASKED_BY_SESSION = select(OperatorRequest.id).where(
    OperatorRequest.session_id == _ID, OperatorRequest.completed.is_(None)
)
_IDLE_SESSIONS = delete(Session).where(
    Session.closed < bindparam("before", type_=Instant()),
    ~exists().where(LibraryRequest.session_id == Session.id),
    ~exists().where(OperatorRequest.session_id == Session.id),
    ~exists().where(Mount.session_id == Session.id),
)


def end_session(transaction: Transaction, session_id: uuid.UUID, *, died: bool) -> bool:
    """End a session that closed or died: its mounts that wait are cancelled, its media become dismountable.

    False if it had no row, or was ended before.
    """
    if not sessions.mark_closed(transaction, session_id):
        return False
    call = "session died" if died else "session closed"
    for request in transaction.rows(_LIVE_OF_SESSION, id=session_id):
        gathered = request.operation == queue.EJECT and request.state == queue.WAITING
        if request.operation == queue.MOUNT or gathered:
            queue.end_request(transaction, request.id, queue.CANCELLED, call=call)
            if died and request.state == queue.INPROCESS:
                # Who had it in hand may have died with it, and an ended request makes nobody take the library over.
                queue.queue_inventory(transaction, request.library_id)
    for mount in transaction.rows(_MOUNTS_OF_SESSION, id=session_id):
        make_dismountable(transaction, mount.drive_id, call, deferred=True)
    for asked in transaction.rows(_ASKED_BY_SESSION, id=session_id):
        operators.delete_request(transaction, asked.id)
    notifications.end_subscriptions(transaction, session_id)
    ui.forget_session(transaction, session_id, call)
    return True


def forget_sessions(transaction: Transaction, before: datetime) -> int:
    """Delete the rows of sessions that ended before a moment and that nothing refers to any more."""
    return transaction.change(_IDLE_SESSIONS, before=before)
