"""What the labels of a cartridge say it is, and writing that down.

Classification: no label that a format knows makes a side unrecognized, a known format with an id that is not on record
import, an id on record for a cartridge on the shelf makes it that cartridge. It reads no label itself.
"""

import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, bindparam, select, update
from sqlalchemy.orm import aliased

from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsPartitionState, NtmsPoolType
from rsm.db import Transaction
from rsm.model import Id, Instant, Int, Library, LibraryRequest, MediaPool, PhysicalMedium, Side, Text
from rsm.services import events, queue
from rsm.services.devices import Place
from rsm.services.epochs import check_epoch
from rsm.services.media import MEDIUM_COLUMNS, enter_medium, forget_medium
from rsm.services.moving import relocate
from rsm.services.places import go_offline, learn_barcode, set_label, set_place, side_at
from rsm.services.pools import find_system_pool, get_pool

State = NtmsPartitionState
_ID = bindparam("id", type_=Id())
_UNIDENTIFIED = (State.NTMS_PARTSTATE_UNKNOWN, State.NTMS_PARTSTATE_FOREIGN, State.NTMS_PARTSTATE_IMPORT)


_MEDIUM = (
    select(
        *MEDIUM_COLUMNS,
        PhysicalMedium.online,
        PhysicalMedium.slot_id,
        PhysicalMedium.drive_id,
        PhysicalMedium.port_id,
        MediaPool.pool_type,
        Library.barcode_reader,
    )
    .join(MediaPool, MediaPool.id == PhysicalMedium.pool_id)
    .join(Library, Library.id == PhysicalMedium.library_id)
    .where(PhysicalMedium.id == _ID)
)
_SAME_LABEL = (
    select(PhysicalMedium.id, PhysicalMedium.barcode, PhysicalMedium.online)
    .join(Side, Side.medium_id == PhysicalMedium.id)
    .where(
        Side.label_type == bindparam("label_type", type_=Text()),
        Side.label_id == bindparam("label_id", type_=Side.label_id.type),
        PhysicalMedium.id != _ID,
    )
    .order_by(PhysicalMedium.id)
)
_LOST_SIDE = aliased(Side)
# What was taken for new because the cartridge it is was on record elsewhere, until that turned out to be another.
_SEEN_AS_NEW = (
    select(Side.medium_id)
    .distinct()
    .join(PhysicalMedium, PhysicalMedium.id == Side.medium_id)
    .join(
        _LOST_SIDE,
        and_(_LOST_SIDE.label_type == Side.label_type, _LOST_SIDE.label_id == Side.label_id),
    )
    .where(
        _LOST_SIDE.medium_id == _ID,
        _LOST_SIDE.label_type != "",
        Side.state == int(State.NTMS_PARTSTATE_IMPORT),
        PhysicalMedium.library_id == bindparam("library", type_=Id()),
        PhysicalMedium.barcode == "",
    )
)
_SIDES = select(Side.id, Side.number, Side.state).where(Side.medium_id == _ID).order_by(Side.number)
_SET_SIDE_STATE = (
    update(Side)
    .where(Side.id == _ID)
    .values(state=bindparam("new_state", type_=Int()), modified=bindparam("now", type_=Instant()))
)
_RENAME_IN_REQUESTS = (
    update(LibraryRequest)
    .where(LibraryRequest.medium_id == _ID, LibraryRequest.completed.is_(None))
    .values(medium_id=bindparam("new_id", type_=Id()))
)


@dataclass(frozen=True, slots=True)
class LabelSeen:
    """A label that was read: type, id and text."""

    type: str
    id: bytes
    info: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """Which cartridge one turned out to be, and whether its label is the one on record for it."""

    medium_id: uuid.UUID
    label_is_right: bool = True


def record_identity(
    transaction: Transaction,
    library_id: uuid.UUID,
    epoch: int,
    medium_id: uuid.UUID,
    number: int,
    label: LabelSeen | None,
) -> Identity:
    """Write down what the label of a side says, and return which cartridge it is.

    An unidentified side becomes IMPORT by a label that some format knows, FOREIGN without. A label that is on record
    for a cartridge on the shelf, of no other bar code, makes it that cartridge. Where there is no bar code, a label
    that is not the one on record makes it another cartridge, and the recorded one goes to the shelf.

    Raises:
        SupersededError: another process has taken the library over.
    """
    check_epoch(transaction, library_id, epoch)
    medium = transaction.row(_MEDIUM, id=medium_id)
    side = side_at(transaction, medium_id, number)
    if medium is None or side is None:
        return Identity(medium_id)
    if side.state not in _UNIDENTIFIED:
        right = is_label_right(side, label)
        if right and label is not None and not side.label_type:
            set_label(transaction, side.id, label.type, label.id, label.info)
        if right or (medium.barcode and medium.barcode_reader):
            return Identity(medium_id, right)
        medium = _exchange(transaction, library_id, medium)
        side = side_at(transaction, medium.id, number)
    if label is not None:
        recorded = _recorded(transaction, medium, label)
        if recorded is not None:
            _adopt(transaction, library_id, medium, recorded)
            return Identity(recorded)
    state = State.NTMS_PARTSTATE_FOREIGN if label is None else State.NTMS_PARTSTATE_IMPORT
    known = LabelSeen("", b"") if label is None else label
    if (side.label_type, side.label_id) != (known.type, known.id):
        set_label(transaction, side.id, known.type, known.id, known.info)
    if side.state != state:
        set_side_state(transaction, side.id, side.state, state, "identify")
    _set_pool(transaction, medium)
    return Identity(medium.id)


def _exchange(transaction: Transaction, library_id: uuid.UUID, medium: Any) -> Any:
    """Put a cartridge that lies where another was on record as new, and the other on the shelf."""
    place = _place_of(medium)
    sides = transaction.rows(_SIDES, id=medium.id)
    pool = find_system_pool(transaction, NtmsPoolType.NTMS_POOLTYPE_FOREIGN, medium.media_type_id)
    assert pool is not None, "a media type in a library has its pools"
    go_offline(transaction, medium.id, "identify")
    new = enter_medium(
        transaction,
        "identify",
        pool,
        medium.media_type_id,
        barcode="",
        sides=len(sides),
        state=State.NTMS_PARTSTATE_UNKNOWN,
        capacity_bytes=0,
    )
    transaction.change(_RENAME_IN_REQUESTS, id=medium.id, new_id=new)
    set_place(transaction, new, library_id, place, "identify")
    for seen in transaction.rows(_SEEN_AS_NEW, library=library_id, id=medium.id):
        queue.insert_request(
            transaction, queue.IDENTIFY, library_id, caller_user=transaction.origin.user, medium_id=seen.medium_id
        )
    return transaction.one(_MEDIUM, "a cartridge", id=new)


def _place_of(medium: Any) -> Place:
    kind, place_id = next(
        (kind, place)
        for kind, place in (
            (Kind.NTMS_DRIVE, medium.drive_id),
            (Kind.NTMS_STORAGESLOT, medium.slot_id),
            (Kind.NTMS_IEPORT, medium.port_id),
        )
        if place is not None
    )
    return Place(kind, place_id, 0, 0, True, True, "")


def set_side_state(transaction: Transaction, side_id: uuid.UUID, old: int, new: NtmsPartitionState, call: str) -> None:
    """Set the state of a side, with its event."""
    transaction.change(_SET_SIDE_STATE, id=side_id, new_state=int(new), now=transaction.now)
    events.record(
        transaction,
        call,
        Operation.NTMS_OBJ_UPDATE,
        Kind.NTMS_PARTITION,
        side_id,
        before={"state": old},
        after={"state": int(new)},
    )


def is_label_right(side: Any, label: LabelSeen | None) -> bool:
    """Tell whether a side has the label that is on record for it; none on record fits everything."""
    return not side.label_type or (label is not None and (label.type, label.id) == (side.label_type, side.label_id))


def _recorded(transaction: Transaction, medium: Any, label: LabelSeen) -> uuid.UUID | None:
    for other in transaction.rows(_SAME_LABEL, label_type=label.type, label_id=label.id, id=medium.id):
        if not other.online and (not other.barcode or not medium.barcode or other.barcode == medium.barcode):
            found: uuid.UUID = other.id
            return found
    return None


def _adopt(transaction: Transaction, library_id: uuid.UUID, found: Any, recorded: uuid.UUID) -> None:
    """Let the recorded cartridge be where one that was taken for new was found."""
    place = _place_of(found)
    transaction.change(_RENAME_IN_REQUESTS, id=found.id, new_id=recorded)
    forget_medium(transaction, "identify", found)
    set_place(transaction, recorded, library_id, place, "identify")
    if found.barcode:
        learn_barcode(transaction, recorded, found.barcode)


def _set_pool(transaction: Transaction, medium: Any) -> None:
    states = {side.state for side in transaction.rows(_SIDES, id=medium.id)}
    if State.NTMS_PARTSTATE_UNKNOWN in states:
        return
    imported = State.NTMS_PARTSTATE_IMPORT in states
    wanted = NtmsPoolType.NTMS_POOLTYPE_IMPORT if imported else NtmsPoolType.NTMS_POOLTYPE_FOREIGN
    if medium.pool_type not in (NtmsPoolType.NTMS_POOLTYPE_IMPORT, NtmsPoolType.NTMS_POOLTYPE_FOREIGN):
        return
    pool = find_system_pool(transaction, wanted, medium.media_type_id)
    if pool is not None and pool != medium.pool_id:
        relocate(transaction, "identify", medium, get_pool(transaction, pool), transaction.rows(_SIDES, id=medium.id))


def awaits_free_label(side: Any) -> bool:
    """Tell whether a side is in the free pool without a free label."""
    return bool(side.state == State.NTMS_PARTSTATE_UNPREPARED)


def record_free_label(
    transaction: Transaction, library_id: uuid.UUID, epoch: int, medium_id: uuid.UUID, number: int, label: LabelSeen
) -> None:
    """Write down that a free label was written: the side can be allocated from now on.

    Raises:
        SupersededError: another process has taken the library over.
    """
    check_epoch(transaction, library_id, epoch)
    side = side_at(transaction, medium_id, number)
    if side is not None and awaits_free_label(side):
        set_label(transaction, side.id, label.type, label.id, label.info, by_us=True)
        set_side_state(transaction, side.id, side.state, State.NTMS_PARTSTATE_AVAILABLE, "write free label")
