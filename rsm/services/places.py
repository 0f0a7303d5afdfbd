"""Where cartridges are and what is written on them: the one place that writes down either.

The device is the truth about places; what it was seen to hold, or was told to carry, is written here. It asks no rights
and works no device: the worker and the inventory do.
"""

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import bindparam, delete, exists, select, update

from rsm.constants import (
    NtmsDriveState,
    NtmsMediaState,
    NtmsOpreqCommand,
    NtmsOpreqState,
    NtmsPortContent,
    NtmsPortPosition,
    NtmsSlotState,
)
from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction
from rsm.model import (
    STANDALONE,
    Bytes,
    Drive,
    Flag,
    Id,
    Instant,
    Int,
    Library,
    LibraryRequest,
    Mount,
    OperatorRequest,
    PhysicalMedium,
    Port,
    Side,
    Slot,
    Text,
)
from rsm.services import events, operators, queue
from rsm.services.devices import Place

_WORK = "work"
_ID = bindparam("id", type_=Id())
_LIBRARY = bindparam("library", type_=Id())
_DRIVE = bindparam("drive", type_=Id())
_NOW = bindparam("now", type_=Instant())

_SET_MEDIA_STATE = (
    update(PhysicalMedium)
    .where(PhysicalMedium.id == _ID)
    .values(media_state=bindparam("new_state", type_=Int()), modified=_NOW)
)


def set_media_state(transaction: Transaction, medium_id: uuid.UUID, state: NtmsMediaState) -> None:
    """Set what is being done with a cartridge; nothing if it is gone, or if that is on record."""
    medium = transaction.row(WHERE, id=medium_id)
    if medium is None or medium.media_state == state:
        return
    transaction.change(_SET_MEDIA_STATE, id=medium_id, new_state=int(state), now=transaction.now)
    before, after = {"media_state": medium.media_state}, {"media_state": int(state)}
    events.record(
        transaction, _WORK, Operation.NTMS_OBJ_UPDATE, Kind.NTMS_PHYSICAL_MEDIA, medium_id, before=before, after=after
    )


# Where cartridges are

WHERE = select(
    PhysicalMedium.id,
    PhysicalMedium.library_id,
    PhysicalMedium.online,
    PhysicalMedium.slot_id,
    PhysicalMedium.drive_id,
    PhysicalMedium.port_id,
    PhysicalMedium.home_slot_id,
    PhysicalMedium.media_state,
    PhysicalMedium.cleaner,
).where(PhysicalMedium.id == _ID)
_SET_WHERE = (
    update(PhysicalMedium)
    .where(PhysicalMedium.id == _ID)
    .values(
        library_id=bindparam("new_library", type_=Id()),
        online=bindparam("new_online", type_=Flag()),
        slot_id=bindparam("new_slot", type_=Id()),
        drive_id=bindparam("new_drive", type_=Id()),
        port_id=bindparam("new_port", type_=Id()),
        home_slot_id=bindparam("new_home", type_=Id()),
        media_state=bindparam("new_state", type_=Int()),
        modified=_NOW,
    )
)
_SET_SLOT = (
    update(Slot)
    .where(Slot.id == _ID, Slot.state != bindparam("new_state", type_=Int()))
    .values(state=bindparam("new_state", type_=Int()), modified=_NOW)
)
_SET_PORT = (
    update(Port)
    .where(Port.id == _ID, Port.content != bindparam("new_state", type_=Int()))
    .values(content=bindparam("new_state", type_=Int()), modified=_NOW)
)
_SET_DRIVE = (
    update(Drive)
    .where(Drive.id == _ID)
    .values(state=bindparam("new_state", type_=Int()), occupied=bindparam("new_occupied", type_=Flag()), modified=_NOW)
)
MOUNT_OF_REQUEST = select(Mount.drive_id).where(Mount.request_id == _ID, Mount.dismountable_from.is_(None))
MOUNT_IN_DRIVE = select(Mount.id, Mount.side_id, Mount.for_writing, Mount.request_id).where(Mount.drive_id == _DRIVE)
_DELETE_MOUNT = delete(Mount).where(Mount.drive_id == _DRIVE)
_SET_UNMOUNTED = update(Side).where(Side.id == _ID).values(mounted=False, modified=_NOW)
_LEFT_BEHIND = (
    select(LibraryRequest.id, LibraryRequest.library_id)
    .join(Library, Library.id == LibraryRequest.library_id)
    .where(
        LibraryRequest.medium_id == _ID,
        queue.IS_LIVE,
        LibraryRequest.operation == int(queue.MOUNT),
        LibraryRequest.library_id != _LIBRARY,
    )
)
_FOLLOW = update(LibraryRequest).where(LibraryRequest.id == _ID).values(library_id=_LIBRARY)
_ASKED_FOR = select(OperatorRequest.id).where(
    OperatorRequest.request == int(NtmsOpreqCommand.NTMS_OPREQ_MOVEMEDIA),
    OperatorRequest.completed.is_(None),
    OperatorRequest.argument1_id == _ID,
    OperatorRequest.library_request_id.is_not(None),
)
_OFFLINE_LIBRARY = select(Library.id).where(Library.online == 0)
# What operators were asked to take out of ports: to be moved to the shelf.
REMOVALS = (
    select(OperatorRequest.id)
    .join(Library, Library.id == OperatorRequest.argument2_id)
    .where(
        OperatorRequest.request == int(NtmsOpreqCommand.NTMS_OPREQ_MOVEMEDIA),
        OperatorRequest.completed.is_(None),
        OperatorRequest.argument1_id == _ID,
        OperatorRequest.library_request_id.is_not(None),
        Library.online == 0,
    )
)


def offline_library(transaction: Transaction) -> uuid.UUID:
    """Return the id of the offline library, the shelf."""
    found: uuid.UUID = transaction.one(_OFFLINE_LIBRARY, "the offline library").id
    return found


def set_place(
    transaction: Transaction, medium_id: uuid.UUID, library_id: uuid.UUID, place: Place | None, call: str
) -> bool:
    """Write down where in a library a cartridge is, None: in it, but nobody knows where; False if that was known.

    What it leaves is empty from now on. One that was elsewhere comes online, and those who waited for it are told. A
    drive is being cleaned as long as a cleaner is in it.
    """
    medium = transaction.one(WHERE, "a cartridge", id=medium_id)
    slot, drive, port = (
        place.id if place is not None and place.kind is kind else None
        for kind in (Kind.NTMS_STORAGESLOT, Kind.NTMS_DRIVE, Kind.NTMS_IEPORT)
    )
    if (medium.library_id, medium.slot_id, medium.drive_id, medium.port_id) == (library_id, slot, drive, port):
        return False
    _leave_place(transaction, medium)
    came = medium.library_id != library_id
    state = NtmsMediaState.NTMS_MEDIASTATE_IDLE if drive is None else NtmsMediaState.NTMS_MEDIASTATE_MOUNTED
    home = slot or (None if came else medium.home_slot_id)
    after = {"library_id": library_id, "slot_id": slot, "drive_id": drive, "port_id": port}
    _write_where(transaction, medium, after, home, state, call)
    if slot is not None:
        set_slot(transaction, slot, NtmsSlotState.NTMS_SLOTSTATE_FULL)
    if port is not None:
        _set_port(transaction, port, NtmsPortContent.NTMS_PORTCONTENT_FULL)
    if drive is not None:
        states = NtmsDriveState
        state_of_drive = states.NTMS_DRIVESTATE_BEING_CLEANED if medium.cleaner else states.NTMS_DRIVESTATE_MOUNTED
        _set_drive(transaction, drive, state_of_drive, occupied=True)
    if came:
        _take_requests_along(transaction, medium_id, library_id)
        for asked in transaction.rows(_ASKED_FOR, id=medium_id):
            operators.settle(transaction, asked.id, NtmsOpreqState.NTMS_OPSTATE_COMPLETE)
        queue.queue_free_labels(transaction, medium_id)
    return True


def _take_requests_along(transaction: Transaction, medium_id: uuid.UUID, library_id: uuid.UUID) -> None:
    for request in transaction.rows(_LEFT_BEHIND, id=medium_id, library=library_id):
        transaction.change(_FOLLOW, id=request.id, library=library_id)
        queue.record_change(transaction, _WORK, request.id, {"library_id": library_id})


def go_offline(transaction: Transaction, medium_id: uuid.UUID, call: str) -> None:
    """Write down that a cartridge is on the shelf."""
    medium = transaction.one(WHERE, "a cartridge", id=medium_id)
    if not medium.online:
        return
    _leave_place(transaction, medium)
    offline = offline_library(transaction)
    after = {"library_id": offline, "slot_id": None, "drive_id": None, "port_id": None}
    _write_where(transaction, medium, after, None, NtmsMediaState.NTMS_MEDIASTATE_IDLE, call)


def _write_where(
    transaction: Transaction,
    medium: Any,
    after: Mapping[str, uuid.UUID | None],
    home: uuid.UUID | None,
    state: NtmsMediaState,
    call: str,
) -> None:
    online = after["library_id"] != offline_library(transaction)
    transaction.change(
        _SET_WHERE,
        id=medium.id,
        new_library=after["library_id"],
        new_online=online,
        new_slot=after["slot_id"],
        new_drive=after["drive_id"],
        new_port=after["port_id"],
        new_home=home,
        new_state=int(state),
        now=transaction.now,
    )
    told = {**after, "online": online, "home_slot_id": home, "media_state": int(state)}
    changed = {name: value for name, value in told.items() if name in after or getattr(medium, name) != value}
    before = {name: getattr(medium, name) for name in changed}
    events.record(
        transaction, call, Operation.NTMS_OBJ_UPDATE, Kind.NTMS_PHYSICAL_MEDIA, medium.id, before=before, after=changed
    )


def _leave_place(transaction: Transaction, medium: Any) -> None:
    if medium.slot_id is not None:
        set_slot(transaction, medium.slot_id, NtmsSlotState.NTMS_SLOTSTATE_EMPTY)
    if medium.port_id is not None:
        _set_port(transaction, medium.port_id, NtmsPortContent.NTMS_PORTCONTENT_EMPTY)
        for asked in transaction.rows(REMOVALS, id=medium.id):
            operators.settle(transaction, asked.id, NtmsOpreqState.NTMS_OPSTATE_COMPLETE)
    if medium.drive_id is not None:
        end_mount(transaction, medium.drive_id)
        _set_drive(transaction, medium.drive_id, NtmsDriveState.NTMS_DRIVESTATE_DISMOUNTED, occupied=False)


def set_slot(transaction: Transaction, slot_id: uuid.UUID, state: NtmsSlotState) -> None:
    """Write down whether a slot is full; nothing if that is on record."""
    if transaction.change(_SET_SLOT, id=slot_id, new_state=int(state), now=transaction.now):
        after = {"state": int(state)}
        events.record(transaction, _WORK, Operation.NTMS_OBJ_UPDATE, Kind.NTMS_STORAGESLOT, slot_id, after=after)


def _set_port(transaction: Transaction, port_id: uuid.UUID, content: NtmsPortContent) -> None:
    if transaction.change(_SET_PORT, id=port_id, new_state=int(content), now=transaction.now):
        after = {"content": int(content)}
        events.record(transaction, _WORK, Operation.NTMS_OBJ_UPDATE, Kind.NTMS_IEPORT, port_id, after=after)


_PORT_POSITION = select(Port.position).where(Port.id == _ID)
_SET_POSITION = (
    update(Port).where(Port.id == _ID).values(position=bindparam("new_position", type_=Int()), modified=_NOW)
)


def set_port_position(transaction: Transaction, port_id: uuid.UUID, position: NtmsPortPosition) -> None:
    """Write down whether a port is out or in; nothing if that is on record."""
    row = transaction.row(_PORT_POSITION, id=port_id)
    if row is None or row.position == position:
        return
    transaction.change(_SET_POSITION, id=port_id, new_position=int(position), now=transaction.now)
    before, after = {"position": row.position}, {"position": int(position)}
    events.record(transaction, _WORK, Operation.NTMS_OBJ_UPDATE, Kind.NTMS_IEPORT, port_id, before=before, after=after)


def _set_drive(transaction: Transaction, drive_id: uuid.UUID, state: NtmsDriveState, *, occupied: bool) -> None:
    transaction.change(_SET_DRIVE, id=drive_id, new_state=int(state), new_occupied=occupied, now=transaction.now)
    after = {"state": int(state), "occupied": occupied}
    events.record(transaction, _WORK, Operation.NTMS_OBJ_UPDATE, Kind.NTMS_DRIVE, drive_id, after=after)


def set_occupied(transaction: Transaction, drive_id: uuid.UUID, occupied: bool) -> None:
    """Write down whether something is in a drive that no cartridge on record is in."""
    state = NtmsDriveState.NTMS_DRIVESTATE_MOUNTED if occupied else NtmsDriveState.NTMS_DRIVESTATE_DISMOUNTED
    _set_drive(transaction, drive_id, state, occupied=occupied)


_LOADED = select(Drive.state, PhysicalMedium.id).join(PhysicalMedium, PhysicalMedium.drive_id == Drive.id)
_LOADED = _LOADED.where(Drive.id == _DRIVE)


def set_unloaded(transaction: Transaction, drive_id: uuid.UUID) -> None:
    """Write down that nobody uses what is in a stand-alone drive: a person may take it out."""
    loaded = transaction.row(_LOADED, drive=drive_id)
    if loaded is None:
        return
    end_mount(transaction, drive_id)
    if loaded.state != NtmsDriveState.NTMS_DRIVESTATE_UNLOADED:
        _set_drive(transaction, drive_id, NtmsDriveState.NTMS_DRIVESTATE_UNLOADED, occupied=True)
    set_media_state(transaction, loaded.id, NtmsMediaState.NTMS_MEDIASTATE_UNLOADED)


_RESTING = (
    select(Drive.id)
    .join(Library, Library.id == Drive.library_id)
    .join(PhysicalMedium, PhysicalMedium.drive_id == Drive.id)
    .where(
        Library.id == _LIBRARY,
        Library.library_type == STANDALONE,
        PhysicalMedium.media_state == int(NtmsMediaState.NTMS_MEDIASTATE_MOUNTED),
        ~exists().where(Mount.drive_id == Drive.id),
    )
)


def rest_in_drive(transaction: Transaction, library_id: uuid.UUID) -> None:
    """Write down that what was put into a stand-alone drive rests there, as a cartridge of a robot does in its slot."""
    for drive in transaction.rows(_RESTING, library=library_id):
        set_unloaded(transaction, drive.id)


def end_mount(transaction: Transaction, drive_id: uuid.UUID) -> None:
    """Take the mount of a drive off record; nothing if there is none."""
    mount = transaction.row(MOUNT_IN_DRIVE, drive=drive_id)
    if mount is None:
        return
    if mount.for_writing:  # it left without its label having been read: whatever was written is not known
        keep_label(transaction, drive_id, mount.side_id, "", b"", "")
    transaction.change(_DELETE_MOUNT, drive=drive_id)
    transaction.change(_SET_UNMOUNTED, id=mount.side_id, now=transaction.now)
    after = {"mounted": False}
    events.record(transaction, _WORK, Operation.NTMS_OBJ_UPDATE, Kind.NTMS_PARTITION, mount.side_id, after=after)


# Labels

_SIDE_AT = (
    select(
        Side.id,
        Side.state,
        Side.label_type,
        Side.label_id,
        Side.label_info,
        PhysicalMedium.barcode,
        PhysicalMedium.name.label("medium_name"),
    )
    .join(PhysicalMedium, PhysicalMedium.id == Side.medium_id)
    .where(Side.medium_id == _ID, Side.number == bindparam("number", type_=Int()))
)
_SET_LABEL = (
    update(Side)
    .where(Side.id == _ID)
    .values(
        label_type=bindparam("new_type", type_=Text()),
        label_id=bindparam("new_id", type_=Bytes()),
        label_info=bindparam("new_info", type_=Text()),
        label_written_by_us=bindparam("by_us", type_=Flag()),
        modified=_NOW,
    )
)
_SET_KEPT = update(Mount).where(Mount.drive_id == _DRIVE).values(for_writing=False)


def side_at(transaction: Transaction, medium_id: uuid.UUID, number: int) -> Any:
    """Return the row of a side of a cartridge, None if it is gone."""
    return transaction.row(_SIDE_AT, id=medium_id, number=number)


def set_label(
    transaction: Transaction, side_id: uuid.UUID, label_type: str, label_id: bytes, info: str, *, by_us: bool = False
) -> None:
    """Write down the label of a side; no type and no id: none."""
    transaction.change(
        _SET_LABEL, id=side_id, new_type=label_type, new_id=label_id, new_info=info, by_us=by_us, now=transaction.now
    )
    after = {"label_type": label_type, "label_id": label_id, "label_info": info}
    events.record(transaction, "label", Operation.NTMS_OBJ_UPDATE, Kind.NTMS_PARTITION, side_id, after=after)


def keep_label(
    transaction: Transaction, drive_id: uuid.UUID, side_id: uuid.UUID, label_type: str, label_id: bytes, info: str
) -> None:
    """Write down the label that a side mounted for writing has as it leaves its drive."""
    set_label(transaction, side_id, label_type, label_id, info)
    transaction.change(_SET_KEPT, drive=drive_id)


# Bar codes

_SET_BARCODE = (
    update(PhysicalMedium)
    .where(PhysicalMedium.id == _ID)
    .values(barcode=bindparam("new_barcode", type_=Text()), barcode_state=1, modified=bindparam("now", type_=Instant()))
)


def learn_barcode(transaction: Transaction, medium_id: uuid.UUID, barcode: str) -> None:
    """Write down the bar code that was seen on a cartridge."""
    transaction.change(_SET_BARCODE, id=medium_id, new_barcode=barcode, now=transaction.now)
    after = {"barcode": barcode}
    events.record(transaction, "inventory", Operation.NTMS_OBJ_UPDATE, Kind.NTMS_PHYSICAL_MEDIA, medium_id, after=after)
