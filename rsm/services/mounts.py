"""Asking for media in drives, and giving them back: what an application's mount and dismount write into the queue.

It checks and queues; the worker carries out and `progress` records. A mount row without `dismountable_from` is in use;
with it, its application is done and the cartridge may be put away, or be mounted again without a move.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, or_, select, update

from rsm import identity
from rsm.constants import ErrorCode, NtmsOperationalState, NtmsPartitionState
from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction
from rsm.errors import (
    BusyError,
    CancelledError,
    DeviceNotAvailableError,
    DriveMediaMismatchError,
    InvalidDriveError,
    InvalidLibraryError,
    InvalidMediaError,
    InvalidParameterError,
    InvalidStateError,
    MediaNotAvailableError,
    MediaOfflineError,
    ResourceDisabledError,
    RsmError,
    WriteProtectError,
    error_for,
)
from rsm.model import (
    DevicePath,
    Drive,
    DriveTypeMediaType,
    Id,
    Instant,
    Library,
    LibraryMediaType,
    LibraryRequest,
    LogicalMedium,
    Mount,
    PhysicalMedium,
    Side,
    Text,
)
from rsm.security import Caller, need
from rsm.services import access, events, queue, sessions
from rsm.services.dismounts import MOUNT_OF_DRIVE, make_dismountable, queue_dismount
from rsm.services.objects import Reference, find, kind_of
from rsm.services.places import MOUNT_OF_REQUEST
from rsm.services.planning import can_use
from rsm.services.reach import REACHED
from rsm.services.sessions import Enrolment
from rsm.services.standalone_planning import plan_library
from rsm.services.steps import Hindrance, Running

HIGHEST_PRIORITY = 15
_ID = bindparam("id", type_=Id())
_DRIVE = bindparam("drive", type_=Id())
_LIBRARY = bindparam("library", type_=Id())
_READY = int(NtmsOperationalState.NTMS_READY)
_WITH_DATA = (NtmsPartitionState.NTMS_PARTSTATE_ALLOCATED, NtmsPartitionState.NTMS_PARTSTATE_COMPLETE)

# Finding the sides

_SIDE_OF_LOGICAL = select(LogicalMedium.side_id).where(LogicalMedium.id == _ID)
_SIDES_OF_MEDIUM = select(Side.id, Side.state).where(Side.medium_id == _ID).order_by(Side.number)
_TARGET = (
    select(
        Side.id,
        Side.number,
        Side.state,
        Side.enabled,
        Side.medium_id,
        Side.mounted,
        PhysicalMedium.name,
        PhysicalMedium.online,
        PhysicalMedium.enabled.label("medium_enabled"),
        PhysicalMedium.media_type_id,
        PhysicalMedium.library_id,
        PhysicalMedium.drive_id,
        Library.name.label("library_name"),
        Library.enabled.label("library_enabled"),
    )
    .join(PhysicalMedium, PhysicalMedium.id == Side.medium_id)
    .outerjoin(Library, Library.id == PhysicalMedium.library_id)
    .where(Side.id == _ID)
)


def find_side(transaction: Transaction, reference: Reference) -> Any:
    """Return the row of the side that a logical medium, a side, or a cartridge with one side to mount names.

    Raises:
        InvalidMediaError: it names none, or a cartridge of which not exactly one side can be meant.
        InvalidLibraryError: the library that holds it is not on record any more.
    """
    side_id: uuid.UUID | None = None
    kind = kind_of(transaction, reference) if isinstance(reference, uuid.UUID) else Kind.NTMS_PHYSICAL_MEDIA
    if kind is Kind.NTMS_LOGICAL_MEDIA:
        row = transaction.row(_SIDE_OF_LOGICAL, id=reference)
        side_id = None if row is None else row.side_id
    elif kind is Kind.NTMS_PARTITION:
        assert isinstance(reference, uuid.UUID)
        side_id = reference
    elif kind is Kind.NTMS_PHYSICAL_MEDIA:
        side_id = _side_of_medium(transaction, reference)
    target = None if side_id is None else transaction.row(_TARGET, id=side_id)
    if target is None:
        raise InvalidMediaError(f"{reference} is neither a logical medium nor a side nor a cartridge")
    if target.library_name is None:
        raise InvalidLibraryError(f"the library that holds cartridge {target.name} is not on record any more")
    return target


def _side_of_medium(transaction: Transaction, reference: Reference) -> uuid.UUID | None:
    medium_id = find(transaction, Kind.NTMS_PHYSICAL_MEDIA, reference)
    if medium_id is None:
        return None
    sides = transaction.rows(_SIDES_OF_MEDIUM, id=medium_id)
    meant = [side for side in sides if side.state in _WITH_DATA] if len(sides) > 1 else sides
    if len(meant) != 1:
        raise InvalidMediaError(f"cartridge {reference} has {len(sides)} sides: name the logical medium or the side")
    found: uuid.UUID = meant[0].id
    return found


# Mounting

_DRIVE_ROW = select(
    Drive.id, Drive.name, Drive.library_id, Drive.enabled, Drive.operational_state, Drive.drive_type_id, Drive.occupied
).where(Drive.id == _DRIVE)
_DRIVES_FOR = (
    select(Drive.id, Drive.enabled, Drive.operational_state, *DriveTypeMediaType.__table__.columns)
    .join(DriveTypeMediaType, DriveTypeMediaType.drive_type_id == Drive.drive_type_id)
    .where(Drive.library_id == _LIBRARY, DriveTypeMediaType.media_type_id == bindparam("media_type", type_=Id()))
    .order_by(Drive.number)
)
_LIBRARY_FOR = (
    select(Library.id)
    .join(LibraryMediaType, LibraryMediaType.library_id == Library.id)
    .where(
        Library.online == 1, Library.enabled == 1, LibraryMediaType.media_type_id == bindparam("media_type", type_=Id())
    )
    .order_by(REACHED.desc(), Library.id)
    .limit(1)
)


def request_mounts(
    transaction: Transaction,
    caller: Caller,
    enrolment: Enrolment,
    wanted: Sequence[Reference],
    *,
    writing: bool = False,
    drives: Sequence[Reference] = (),
    priority: int = 0,
    expires: datetime | None = None,
    otherwise: type[RsmError] | None = None,
    fail_if_offline: bool = False,
) -> tuple[uuid.UUID, ...]:
    """Queue the mounting of one or several sides, all or none, and return the ids of the requests, one a side.

    `drives` names the drive of each side. `otherwise`: what a request that cannot begin at once ends with. Offline
    media have an operator asked to bring them, unless `fail_if_offline` (MountNtmsMedia; MS-RSMP 3.2.5.2.2.3).

    Raises:
        InvalidParameterError: nothing is wanted, the priority is not from -15 to 15, or the drives are not as many.
        InvalidMediaError: one names no side, or two the same cartridge.
        InvalidLibraryError: the library that holds one is not on record any more.
        AccessDeniedError: no use right on a pool, or on the library that holds it.
        WriteProtectError: a side to be written is complete.
        InvalidStateError: a side to be written is not allocated.
        ResourceDisabledError: cartridge, side or library is disabled.
        InvalidDriveError: a drive is not on record.
        InvalidParameterError: the same drive is named twice.
        DriveMediaMismatchError: the media, or a medium and its drive, are in different libraries.
        MediaOfflineError: a cartridge is in no library, and nobody is to be asked for it.
        RsmError: `otherwise`, of an offline cartridge.
        MediaOfflineError: no library takes the media type of an offline cartridge.
        DriveMediaMismatchError: no drive takes a medium, or the one named does not.
        ResourceDisabledError: every drive that takes it is disabled or not present.
        DriveMediaMismatchError: there are more media than drives for them.
    """
    if not wanted or (drives and len(drives) != len(wanted)):
        raise InvalidParameterError("name at least one medium, and a drive for each or for none")
    if not isinstance(priority, int) or not -HIGHEST_PRIORITY <= priority <= HIGHEST_PRIORITY:
        raise InvalidParameterError(f"a priority is a number from -{HIGHEST_PRIORITY} to {HIGHEST_PRIORITY}")
    targets, chosen, libraries = _check_mounts(
        transaction, caller, wanted, drives, writing=writing, fail_if_offline=fail_if_offline, otherwise=otherwise
    )
    sessions.enrol(transaction, enrolment)
    details = {
        "for_writing": writing,
        **({"fail_if_offline": True} if fail_if_offline else {}),
        **({"drive_asked": True} if chosen else {}),
        **({"otherwise": int(otherwise.code)} if otherwise is not None else {}),
    }
    asked: dict[str, Any] = {"caller_user": caller.user, "session_id": enrolment.id}
    return _queue_mounts(transaction, targets, chosen, libraries, asked, priority, expires, details)


def _queue_mounts(
    transaction: Transaction,
    targets: Sequence[Any],
    chosen: Sequence[Any],
    libraries: Sequence[uuid.UUID],
    asked: Mapping[str, Any],
    priority: int,
    expires: datetime | None,
    details: Mapping[str, Any],
) -> tuple[uuid.UUID, ...]:
    """Queue mounts that were checked, and have an operator asked for what is offline; `asked`: who asks for them."""
    requests: list[uuid.UUID] = []
    for position, target in enumerate(targets):
        new = queue.insert_request(
            transaction,
            queue.MOUNT,
            libraries[position],
            **asked,
            side_id=target.id,
            drive_id=chosen[position].id if chosen else None,
            medium_id=target.medium_id,
            work_item_id=requests[0] if requests else None,
            priority=priority,
            state=queue.QUEUED if target.online else queue.WAITING,
            expires=expires,
            details={"side": target.number, **details},
        )
        requests.append(new)
        if not target.online:
            text = f"bring cartridge {target.name} into the library and answer with satisfy"
            queue.ask_for_medium(transaction, new, target.medium_id, libraries[position], message=text, **asked)
    if len(requests) > 1:
        transaction.change(_SET_GROUP, id=requests[0])
    return tuple(requests)


def _check_mounts(
    transaction: Transaction,
    caller: Caller,
    wanted: Sequence[Reference],
    drives: Sequence[Reference],
    *,
    writing: bool,
    fail_if_offline: bool,
    otherwise: type[RsmError] | None,
) -> tuple[list[Any], list[Any], list[uuid.UUID]]:
    """Return the sides, their drives if those were named, and their libraries; raises as `request_mounts`."""
    targets = [find_side(transaction, each) for each in wanted]
    if len({target.medium_id for target in targets}) != len(targets):
        raise InvalidMediaError("the same cartridge is named twice: only one side of it can be in a drive")
    for target in targets:
        _check_rights(transaction, caller, "MountNtmsMedia", target)
    for target in targets:
        _check_state(target, writing)
    chosen = [_find_drive(transaction, drive) for drive in drives]
    if len({drive.id for drive in chosen}) != len(chosen):
        raise InvalidParameterError("the same drive is named twice: it holds one cartridge at a time")
    libraries = _check_libraries(transaction, targets, chosen, fail_if_offline, otherwise)
    suiting = set()
    for position, target in enumerate(targets):
        drive = chosen[position] if chosen else None
        suiting |= _check_drives(transaction, target, drive, libraries[position], writing)
    if len(suiting) < len(targets):
        raise DriveMediaMismatchError(f"{len(targets)} cartridges at once, and the library has too few drives for them")
    return targets, chosen, libraries


_SET_GROUP = update(LibraryRequest).where(LibraryRequest.id == _ID).values(work_item_id=LibraryRequest.id)


def _check_rights(transaction: Transaction, caller: Caller, call: str, target: Any) -> None:
    needed = need(call, transaction.policy.access_era)
    access.require_pool_of(transaction, caller, needed.pool, Kind.NTMS_PARTITION, target.id)
    access.require_library_of_medium(transaction, caller, needed.library, target.medium_id)


def _check_state(target: Any, writing: bool) -> None:
    if writing and target.state == NtmsPartitionState.NTMS_PARTSTATE_COMPLETE:
        raise WriteProtectError(f"cartridge {target.name} is complete: mount it for reading")
    if writing and target.state != NtmsPartitionState.NTMS_PARTSTATE_ALLOCATED:
        raise InvalidStateError(f"cartridge {target.name} is not allocated: allocate it before writing to it")
    if not target.enabled or not target.medium_enabled:
        raise ResourceDisabledError(f"cartridge {target.name} is disabled: rsm media enable {target.name}")
    if target.online and not target.library_enabled:
        raise ResourceDisabledError(f"library {target.library_name} is disabled: rsm library enable")


def _find_drive(transaction: Transaction, reference: Reference) -> Any:
    drive_id = find(transaction, Kind.NTMS_DRIVE, reference)
    row = None if drive_id is None else transaction.row(_DRIVE_ROW, drive=drive_id)
    if row is None:
        raise InvalidDriveError(f"there is no drive {reference}: rsm drive list shows those there are")
    return row


def _check_libraries(
    transaction: Transaction,
    targets: Sequence[Any],
    drives: Sequence[Any],
    fail_if_offline: bool,
    otherwise: type[RsmError] | None,
) -> list[uuid.UUID]:
    """Return the library in whose queue each mount goes; all must be one."""
    known = {target.library_id for target in targets if target.online} | {drive.library_id for drive in drives}
    if len(known) > 1:
        raise DriveMediaMismatchError("the media and drives of one mount are in different libraries")
    libraries = []
    for target in targets:
        if target.online:
            libraries.append(target.library_id)
            continue
        if fail_if_offline:
            raise MediaOfflineError(f"cartridge {target.name} is on the shelf: bring it into a library")
        if otherwise is not None:
            raise otherwise(f"cartridge {target.name} is on the shelf, and nobody is to be waited for")
        found = transaction.row(_LIBRARY_FOR, media_type=target.media_type_id, host=identity.host())
        if found is None and not known:
            raise MediaOfflineError(f"cartridge {target.name} is on the shelf, and no library takes its media type")
        libraries.append(next(iter(known)) if known else found.id)
        known.add(libraries[-1])
    return libraries


def _check_drives(
    transaction: Transaction, target: Any, drive: Any, library_id: uuid.UUID, writing: bool
) -> set[uuid.UUID]:
    """Return the drives that could take a side."""
    fits = transaction.rows(_DRIVES_FOR, library=library_id, media_type=target.media_type_id)
    suiting = [fit for fit in fits if can_use(fit, writing=writing) and (drive is None or fit.id == drive.id)]
    if not suiting:
        where = f"drive {drive.name}" if drive is not None else f"no drive of library {target.library_name}"
        does = "writes" if writing else "reads"
        raise DriveMediaMismatchError(f"{where} is one that {does} cartridge {target.name}")
    if not any(fit.enabled and fit.operational_state == _READY for fit in suiting):
        raise ResourceDisabledError(f"every drive that takes cartridge {target.name} is disabled or not present")
    return {fit.id for fit in suiting}


# What became of it

_MOUNT_OF = select(Mount.id, Mount.side_id, Mount.drive_id, Mount.for_writing, Mount.dismountable_from).where(
    Mount.request_id == _ID
)
_MOUNTED = (
    select(
        Mount.id,
        Mount.side_id,
        Mount.drive_id,
        Mount.for_writing,
        Mount.dismountable_from,
        Side.number.label("side_number"),
        Side.medium_id,
        Side.capacity_bytes,
        PhysicalMedium.name,
        PhysicalMedium.barcode,
        Drive.element,
        Drive.name.label("drive_name"),
        Library.id.label("library_id"),
        Library.back_end,
        Library.address,
        Library.library_type,
        select(DevicePath.path)
        .where(DevicePath.device_id == Drive.id, DevicePath.host == bindparam("host", type_=Text()))
        .scalar_subquery()
        .label("path"),
    )
    .join(Side, Side.id == Mount.side_id)
    .join(PhysicalMedium, PhysicalMedium.id == Side.medium_id)
    .join(Drive, Drive.id == Mount.drive_id)
    .join(Library, Library.id == Drive.library_id)
    .where(Mount.request_id == _ID)
)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far mounts that were asked for together have come: their requests, and their mounts once all have passed."""

    requests: tuple[Any, ...]
    mounted: tuple[Any, ...] | None
    failure: RsmError | None
    hindrance: Hindrance
    text: str

    @property
    def has_begun(self) -> bool:
        """Whether one of them is being carried out."""
        return any(request.state == queue.INPROCESS for request in self.requests)


def read_requests(transaction: Transaction, request_ids: Sequence[uuid.UUID]) -> tuple[Any, ...]:
    """Return the rows of mounts that were asked for together, none at all if one was taken off record."""
    requests = tuple(queue.read_request(transaction, request_id) for request_id in request_ids)
    return () if None in requests else requests


def read_progress(transaction: Transaction, request_ids: Sequence[uuid.UUID], *, explain: bool = True) -> Progress:
    """Return how far mounts have come, and why they have not come further, which takes a look at the whole library.

    Unless `explain`, nobody is told why those wait of which none has begun.
    """
    requests = read_requests(transaction, request_ids)
    if len(requests) < len(request_ids):
        return Progress((), None, CancelledError("the mount was taken off record"), Hindrance.NONE, "")
    failed = next((each for each in requests if each.completed is not None and each.state != queue.PASSED), None)
    if failed is not None:
        return Progress(requests, None, failure_of(failed), Hindrance.NONE, "")
    live = [each for each in requests if each.completed is None]
    if not live:
        mounted = tuple(read_mounted(transaction, request_id) for request_id in request_ids)
        if any(mount is None for mount in mounted):
            gone = CancelledError("what was mounted was taken away before it could be used")
            return Progress(requests, None, gone, Hindrance.NONE, "")
        return Progress(requests, mounted, None, Hindrance.NONE, "")
    waiting = [each for each in live if each.state != queue.INPROCESS]
    if not waiting:
        return Progress(requests, None, None, Hindrance.NONE, "the robot is at work")
    if not explain and len(waiting) == len(requests):
        return Progress(requests, None, None, Hindrance.NONE, "")
    libraries = {each.library_id for each in waiting}
    planners = {library_id: plan_library(transaction, library_id, Running()) for library_id in libraries}
    reasons = [planners[each.library_id].explain(each) for each in waiting]
    hindrance, text = next((each for each in reasons if each[0] is not Hindrance.NONE), reasons[0])
    return Progress(requests, None, None, hindrance, text)


def read_mounted(transaction: Transaction, request_id: uuid.UUID) -> Any:
    """Return all that whoever uses a mounted side needs, None if it is not mounted for this request any more."""
    row = transaction.row(_MOUNTED, id=request_id, host=identity.host())
    return row if row is not None and row.dismountable_from is None else None


def failure_of(request: Any) -> RsmError:
    """Return the error that a request which did not pass is answered with."""
    code = ErrorCode(request.error_code or CancelledError.code)
    text = request.details.get("message") or f"the {queue.spoken(request.operation)} ended with {code.name}"
    return error_for(code, text)


_FLAG_SIDE = (
    update(Side)
    .where(
        Side.id == _ID,
        or_(
            Side.operational_state != int(NtmsOperationalState.NTMS_NEEDS_SERVICE),
            Side.description != bindparam("new_description", type_=Text()),
        ),
    )
    .values(
        operational_state=int(NtmsOperationalState.NTMS_NEEDS_SERVICE),
        description=bindparam("new_description", type_=Text()),
        modified=bindparam("now", type_=Instant()),
    )
)


def flag_side(transaction: Transaction, side_id: uuid.UUID, text: str) -> None:
    """Mark a side as not to be trusted, and say why in its description; nothing if that is on record."""
    if not transaction.change(_FLAG_SIDE, id=side_id, new_description=text[:126], now=transaction.now):
        return
    after = {"operational_state": int(NtmsOperationalState.NTMS_NEEDS_SERVICE), "description": text[:126]}
    events.record(transaction, "dismount", Operation.NTMS_OBJ_UPDATE, Kind.NTMS_PARTITION, side_id, after=after)


def abandon_requests(transaction: Transaction, request_ids: Sequence[uuid.UUID], *, error_code: int = 0) -> None:
    """Cancel mounts whoever has them in hand; what has arrived, or arrives yet, is put away again."""
    for request_id in request_ids:
        request = queue.read_request(transaction, request_id)
        if request is None:
            continue
        if request.completed is None:
            queue.end_request(transaction, request_id, queue.CANCELLED, error_code=error_code, call="abandon")
            queue.drop_operator_requests(transaction, request_id)
            if request.state == queue.INPROCESS:  # should its holder die now, nobody would look where the cartridge is
                queue.queue_inventory(transaction, request.library_id)
        release_mount(transaction, request_id, "abandon", deferred=False)


def withdraw_mounts(transaction: Transaction, request_ids: Sequence[uuid.UUID], *, error_code: int) -> bool:
    """Cancel mounts that belong together, as a whole; False if one is being carried out, or if they have ended.

    One that has arrived and waits for the others is not being carried out: it is put away again.
    """
    requests = [queue.read_request(transaction, request_id) for request_id in request_ids]
    live = [request for request in requests if request is not None and request.completed is None]
    begun = [request for request in live if request.state == queue.INPROCESS]
    if not live or any(transaction.row(MOUNT_OF_REQUEST, id=request.id) is None for request in begun):
        return False
    abandon_requests(transaction, request_ids, error_code=error_code)
    return True


def release_mount(transaction: Transaction, request_id: uuid.UUID, call: str, *, deferred: bool) -> bool:
    """Let go of what a request has mounted; False if nothing is mounted for it any more."""
    mount = transaction.row(_MOUNT_OF, id=request_id)
    if mount is None or mount.dismountable_from is not None:
        return False
    make_dismountable(transaction, mount.drive_id, call, deferred=deferred)
    return True


_KEEP = update(Mount).where(Mount.request_id == _ID, Mount.dismountable_from.is_(None)).values(session_id=None)


def keep_mount(transaction: Transaction, request_id: uuid.UUID) -> bool:
    """Let what a request has mounted outlive its session, until it is given back; False if it is mounted no more."""
    return bool(transaction.change(_KEEP, id=request_id))


# Giving back

_DRIVE_OF_SIDE = (
    select(Mount.drive_id, Drive.name, Drive.enabled)
    .join(Drive, Drive.id == Mount.drive_id)
    .where(Mount.side_id == _ID)
)


def release_sides(
    transaction: Transaction, caller: Caller, references: Sequence[Reference], *, deferred: bool = False
) -> None:
    """Give back mounted media; `deferred` leaves them in their drives for a while (DismountNtmsMedia).

    Raises:
        InvalidParameterError: none is named.
        InvalidMediaError: one names no side.
        InvalidLibraryError: the library that holds one is not on record any more.
        AccessDeniedError: no use right on a pool, or on the library that holds it.
        MediaOfflineError: a cartridge is in no library.
        InvalidStateError: one is not mounted.
        MediaNotAvailableError: a cartridge is disabled.
        DeviceNotAvailableError: its drive or library is disabled.
    """
    if not references:
        raise InvalidParameterError("name at least one medium")
    targets = [find_side(transaction, reference) for reference in references]
    for target in targets:
        _check_rights(transaction, caller, "DismountNtmsMedia", target)
    for target in targets:
        if not target.online:
            raise MediaOfflineError(f"cartridge {target.name} is on the shelf, in no drive")
        if not target.mounted:
            raise InvalidStateError(f"cartridge {target.name} is not mounted")
    drives = [transaction.one(_DRIVE_OF_SIDE, "the mount of a side", id=target.id) for target in targets]
    for target, drive in zip(targets, drives, strict=True):
        if not target.enabled or not target.medium_enabled:
            raise MediaNotAvailableError(f"cartridge {target.name} is disabled: rsm media enable {target.name}")
        if not drive.enabled or not target.library_enabled:
            disabled = f"drive {drive.name}" if not drive.enabled else f"library {target.library_name}"
            raise DeviceNotAvailableError(f"{disabled} is disabled")
    for drive in drives:
        make_dismountable(transaction, drive.drive_id, "DismountNtmsMedia", deferred=deferred)


_LIBRARY_ENABLED = select(Library.enabled, Library.name).where(Library.id == _LIBRARY)
_IN_DRIVE = select(PhysicalMedium.id).where(PhysicalMedium.drive_id == _DRIVE)


def empty_drive(transaction: Transaction, caller: Caller, reference: Reference) -> None:
    """Queue the emptying of a drive without naming the cartridge (DismountNtmsDrive).

    Raises:
        InvalidDriveError: there is no such drive.
        InvalidLibraryError: its library is not on record any more.
        AccessDeniedError: the right on the library is missing.
        DeviceNotAvailableError: drive or library is disabled.
        InvalidStateError: the drive is empty.
        BusyError: its cartridge is in use by a session.
    """
    drive = _find_drive(transaction, reference)
    library = transaction.row(_LIBRARY_ENABLED, library=drive.library_id)
    if library is None:
        raise InvalidLibraryError(f"the library of drive {drive.name} is not on record any more")
    rights = need("DismountNtmsDrive", transaction.policy.access_era).library
    access.require_library(transaction, caller, rights, Kind.NTMS_DRIVE, drive.id)
    if not drive.enabled or not library.enabled:
        disabled = f"drive {drive.name}" if not drive.enabled else f"library {library.name}"
        raise DeviceNotAvailableError(f"{disabled} is disabled")
    medium = transaction.row(_IN_DRIVE, drive=drive.id)
    if medium is None:
        raise InvalidStateError(f"drive {drive.name} is empty")
    mount = transaction.row(MOUNT_OF_DRIVE, drive=drive.id)
    if mount is not None and mount.dismountable_from is None:
        raise BusyError(f"the cartridge in drive {drive.name} is in use: its application has to dismount it")
    queue_dismount(transaction, drive.library_id, drive.id, medium.id, transaction.now)
