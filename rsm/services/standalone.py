"""Stand-alone drives: asking for what is in one to be taken out, and what becomes of that.

A cartridge comes into the drive and leaves it by a person's hand alone. Ejecting asks for that, and waits until an
inventory sees it gone. It works no device.
"""

import enum
import uuid
from typing import Any

from sqlalchemy import bindparam, select

from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsOpreqCommand, NtmsOpreqState
from rsm.db import Transaction
from rsm.errors import (
    BusyError,
    DeviceNotAvailableError,
    InvalidDriveError,
    InvalidOperationError,
    LibraryOfflineError,
    MediaNotAvailableError,
)
from rsm.model import (
    OFFLINE,
    STANDALONE,
    DevicePath,
    Drive,
    Id,
    Library,
    LibraryRequest,
    OperatorRequest,
    PhysicalMedium,
    Text,
)
from rsm.security import Caller, need
from rsm.services import access, operators, queue, sessions
from rsm.services.dismounts import MOUNT_OF_DRIVE, make_dismountable
from rsm.services.leaving import leave
from rsm.services.names import is_clean
from rsm.services.objects import Reference, find
from rsm.services.sessions import Enrolment

_CALL = "EjectDiskFromSADrive"
_ID = bindparam("id", type_=Id())
_DRIVE = bindparam("drive", type_=Id())
_LIBRARY = bindparam("library", type_=Id())

# Ejecting

_DRIVE_ROW = (
    select(
        Drive.id,
        Drive.name,
        Drive.enabled,
        Drive.library_id,
        Library.name.label("library_name"),
        Library.address,
        Library.library_type,
        Library.enabled.label("library_enabled"),
    )
    .join(Library, Library.id == Drive.library_id)
    .where(Drive.id == _DRIVE)
)
_AT_PATH = select(DevicePath.device_id).where(
    DevicePath.path == bindparam("path", type_=Text()), DevicePath.host == bindparam("host", type_=Text())
)
_OF_LIBRARY = select(Drive.id).where(Drive.library_id == _LIBRARY).order_by(Drive.number).limit(1)
_LIBRARY_TYPE = select(Library.library_type).where(Library.id == _LIBRARY)
_IN_DRIVE = select(PhysicalMedium.id, PhysicalMedium.name, PhysicalMedium.enabled).where(
    PhysicalMedium.drive_id == _DRIVE
)
_LIVE_EJECTS = (
    select(LibraryRequest.id, LibraryRequest.state)
    .where(
        LibraryRequest.library_id == _LIBRARY,
        queue.IS_LIVE,
        LibraryRequest.operation == int(queue.EJECT),
        LibraryRequest.drive_id == _DRIVE,
    )
    .order_by(LibraryRequest.id)
)


def find_standalone_drive(transaction: Transaction, reference: Reference, host: str) -> Any:
    """Return the row of the stand-alone drive with that id, path on a host, or name, or that a library of that name is.

    Raises:
        LibraryOfflineError: it names the offline library.
        InvalidDriveError: it names no stand-alone drive.
    """
    drive_id: uuid.UUID | None = None
    library_id: uuid.UUID | None = None
    if isinstance(reference, str) and not is_clean(reference):
        raise InvalidDriveError(f"{reference!a} names no drive")
    if isinstance(reference, uuid.UUID):
        drive_id = reference
    else:
        at_path = transaction.rows(_AT_PATH, path=reference, host=host)
        library_id = None if at_path else find(transaction, Kind.NTMS_LIBRARY, reference)
        drive_id = at_path[0].device_id if at_path else None
    if library_id is not None:
        if transaction.one(_LIBRARY_TYPE, "a library", library=library_id).library_type == OFFLINE:
            raise LibraryOfflineError("the offline library is the shelf: it has no drive")
        of_library = transaction.row(_OF_LIBRARY, library=library_id)
        drive_id = None if of_library is None else of_library.id
    elif drive_id is None:
        drive_id = find(transaction, Kind.NTMS_DRIVE, reference)
    row = None if drive_id is None else transaction.row(_DRIVE_ROW, drive=drive_id)
    if row is None or row.library_type != STANDALONE:
        raise InvalidDriveError(f"{reference} is no stand-alone drive: rsm drive list shows the drives there are")
    return row


def request_eject(
    transaction: Transaction,
    caller: Caller,
    enrolment: Enrolment,
    reference: Reference,
    host: str,
    *,
    force: bool = False,
    fail_if_busy: bool = False,
) -> uuid.UUID:
    """Queue the ejecting of what is in a stand-alone drive, once, and return its request (EjectDiskFromSADrive).

    What is in use is waited for, unless `fail_if_busy`; with `force` it is taken from the session that uses it.

    Raises:
        LibraryOfflineError, InvalidDriveError: as `find_standalone_drive`.
        AccessDeniedError: no control of the library.
        DeviceNotAvailableError: library or drive is disabled.
        MediaNotAvailableError: the cartridge in it is disabled.
        BusyError: `fail_if_busy`, and a session uses it.
    """
    drive = _permitted_drive(transaction, caller, reference, host)
    if not drive.library_enabled or not drive.enabled:
        disabled = f"library {drive.library_name}" if not drive.library_enabled else f"drive {drive.name}"
        raise DeviceNotAvailableError(f"{disabled} is disabled: enable it first")
    medium = transaction.row(_IN_DRIVE, drive=drive.id)
    if medium is not None and not medium.enabled:
        raise MediaNotAvailableError(f"cartridge {medium.name} is disabled: rsm media enable {medium.name}")
    mount = transaction.row(MOUNT_OF_DRIVE, drive=drive.id)
    if mount is not None and mount.dismountable_from is None:
        if force:
            make_dismountable(transaction, drive.id, _CALL, deferred=False)
        elif fail_if_busy:
            raise BusyError(f"the cartridge in drive {drive.name} of {drive.library_name} is in use: dismount it first")
    for live in transaction.rows(_LIVE_EJECTS, library=drive.library_id, drive=drive.id):
        found: uuid.UUID = live.id
        return found
    sessions.enrol(transaction, enrolment)
    return queue.insert_request(
        transaction,
        queue.EJECT,
        drive.library_id,
        caller_user=caller.user,
        drive_id=drive.id,
        medium_id=None if medium is None else medium.id,
        details={"drive_asked": True},
    )


def stop_eject(transaction: Transaction, caller: Caller, reference: Reference, host: str) -> uuid.UUID:
    """End an ejecting that waits, for a session or for a person, and return its request; what is in stays in.

    Raises:
        LibraryOfflineError, InvalidDriveError, AccessDeniedError: as `request_eject`.
        InvalidOperationError: none waits.
    """
    drive = _permitted_drive(transaction, caller, reference, host)
    for live in transaction.rows(_LIVE_EJECTS, library=drive.library_id, drive=drive.id):
        if live.state != queue.INPROCESS:
            queue.end_request(transaction, live.id, queue.STOPPED, call=_CALL)
            queue.drop_operator_requests(transaction, live.id)
            found: uuid.UUID = live.id
            return found
    raise InvalidOperationError(f"nothing is being ejected from drive {drive.name} of {drive.library_name}")


def _permitted_drive(transaction: Transaction, caller: Caller, reference: Reference, host: str) -> Any:
    drive = find_standalone_drive(transaction, reference, host)
    rights = need(_CALL, transaction.policy.access_era).library
    access.require_library(transaction, caller, rights, Kind.NTMS_DRIVE, drive.id)
    return drive


# What becomes of it

_EJECTED = select(PhysicalMedium.id, PhysicalMedium.name, PhysicalMedium.drive_id).where(PhysicalMedium.id == _ID)
_LEFT = select(PhysicalMedium.library_id, PhysicalMedium.online).where(PhysicalMedium.id == _ID)
_ASKED = select(OperatorRequest.state).where(OperatorRequest.library_request_id == _ID)


class Ejecting(enum.Enum):
    """How far an ejecting is that waits."""

    DONE = "the cartridge is out"
    TO_LOOK_FOR = "it was said to be out"
    REFUSED = "an operator refused to take it out"
    WAITS = "nobody answered yet"


def judge_eject(transaction: Transaction, request: Any) -> tuple[Ejecting, str]:
    """Return whether a person has taken out what was to be ejected, and what its cartridge is called."""
    held = held_by(transaction, request)
    if held is None:  # an empty drive is to open yet
        return Ejecting.WAITS if request.medium_id is None else Ejecting.DONE, ""
    if request.state != queue.WAITING:
        return Ejecting.WAITS, held.name
    asked = transaction.row(_ASKED, id=request.id)
    if asked is None or asked.state == NtmsOpreqState.NTMS_OPSTATE_COMPLETE:
        return Ejecting.TO_LOOK_FOR, held.name
    refused = asked.state == NtmsOpreqState.NTMS_OPSTATE_REFUSED
    return Ejecting.REFUSED if refused else Ejecting.WAITS, held.name


def finish_eject(transaction: Transaction, request: Any) -> bool:
    """Go on once the drive did what it can; False while a person has to take the cartridge out."""
    held = held_by(transaction, request)
    if held is None:
        end_eject(transaction, request)
    else:
        _ask_to_take_out(transaction, request, held)
    return held is None


def end_eject(transaction: Transaction, request: Any) -> None:
    """End an ejecting whose cartridge is out."""
    medium = None if request.medium_id is None else transaction.row(_LEFT, id=request.medium_id)
    if medium is not None and (not medium.online or medium.library_id == request.library_id):
        leave(transaction, request.medium_id, _CALL)
    queue.end_request(transaction, request.id, queue.PASSED)
    queue.drop_operator_requests(transaction, request.id)


def held_by(transaction: Transaction, request: Any) -> Any:
    """Return the row of the cartridge that is to be ejected if it is in its drive still, else None."""
    medium = None if request.medium_id is None else transaction.row(_EJECTED, id=request.medium_id)
    return medium if medium is not None and medium.drive_id == request.drive_id else None


def _ask_to_take_out(transaction: Transaction, request: Any, medium: Any) -> None:
    """Have an operator asked to take a cartridge out of its drive for the sake of an ejecting."""
    drive = transaction.one(_DRIVE_ROW, "a drive", drive=request.drive_id)
    operators.insert_request(
        transaction,
        NtmsOpreqCommand.NTMS_OPREQ_MESSAGE,
        message=f"take cartridge {medium.name} out of the drive {drive.library_name}, and answer with satisfy",
        argument1=(Kind.NTMS_PHYSICAL_MEDIA, medium.id),
        argument2=(Kind.NTMS_DRIVE, drive.id),
        caller_user=request.user_name,
        library_request_id=request.id,
    )
