"""What a library can begin next: which requests, in which drives, by which steps. It reads and decides only.

Only the one process that holds the library's claim plans it; what that process has in hand is given as `Running`.

Order: dismounts, inventories and cleanings, then mounts by their order, then identifying cartridges and writing free
labels, which come before mounts once they are a minute old. What cannot begin now is passed over, so nothing waits
behind it. A mount that has waited half a minute and lacks drives alone keeps those it could use, so nothing passes it
for ever; sessions that have something mounted are let past, as it may be what they have that it waits for. Mounts that
belong together begin together or not at all.
"""

import uuid
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import bindparam, exists, func, or_, select

from rsm.constants import NtmsDismountOptions, NtmsOperationalState, NtmsPartitionState
from rsm.db import Transaction
from rsm.model import (
    Drive,
    DriveTypeMediaType,
    Id,
    Int,
    Library,
    LibraryRequest,
    Mount,
    PhysicalMedium,
    Port,
    Side,
    Slot,
)
from rsm.services import queue
from rsm.services.steps import Action, Hindrance, Running, Start, Step

_MOST_PATIENT = 64  # of a full inventory's thousands a library begins a few at a time
_PATIENCE = timedelta(seconds=30)
_OLD = timedelta(seconds=60)
_READY = int(NtmsOperationalState.NTMS_READY)


_LIBRARY = bindparam("library", type_=Id())
_ELEMENT = func.coalesce(Slot.element, Drive.element, Port.element)
_MEDIUM_COLUMNS = (
    PhysicalMedium.id,
    PhysicalMedium.name,
    PhysicalMedium.media_type_id,
    PhysicalMedium.library_id,
    PhysicalMedium.online,
    PhysicalMedium.enabled,
    PhysicalMedium.slot_id,
    PhysicalMedium.drive_id,
    PhysicalMedium.port_id,
    PhysicalMedium.home_slot_id,
    PhysicalMedium.cleaner,
    _ELEMENT.label("element"),
)


def media_rows() -> Any:
    """Select cartridges and the elements they are in."""
    return (
        select(*_MEDIUM_COLUMNS)
        .select_from(PhysicalMedium)
        .outerjoin(Slot, Slot.id == PhysicalMedium.slot_id)
        .outerjoin(Drive, Drive.id == PhysicalMedium.drive_id)
        .outerjoin(Port, Port.id == PhysicalMedium.port_id)
    )


_DRIVES = (
    select(
        Drive.id,
        Drive.name,
        Drive.element,
        Drive.enabled,
        Drive.operational_state,
        Drive.drive_type_id,
        Drive.occupied,
    )
    .where(Drive.library_id == _LIBRARY)
    .order_by(Drive.number)
)
_MOUNTS = (
    select(
        Mount.id,
        Mount.drive_id,
        Mount.side_id,
        Mount.session_id,
        Mount.for_writing,
        Mount.dismountable_from,
        Side.number.label("side"),
        Side.medium_id,
    )
    .join(Drive, Drive.id == Mount.drive_id)
    .join(Side, Side.id == Mount.side_id)
    .where(Drive.library_id == _LIBRARY)
)
_FITS = select(*DriveTypeMediaType.__table__.columns).where(
    exists().where(Drive.drive_type_id == DriveTypeMediaType.drive_type_id, Drive.library_id == _LIBRARY)
)
_LOADED_MEDIA = media_rows().where(PhysicalMedium.library_id == _LIBRARY, PhysicalMedium.drive_id.is_not(None))
_MEDIUM = media_rows().where(PhysicalMedium.id == bindparam("medium", type_=Id()))
_EMPTY_SLOTS = (
    select(Slot.id, Slot.element)
    .where(
        Slot.library_id == _LIBRARY,
        Slot.element.is_not(None),
        Slot.enabled == 1,
        Slot.operational_state == _READY,
        Slot.cleaner == 0,
        ~exists().where(PhysicalMedium.slot_id == Slot.id),
    )
    .order_by(Slot.number)
    .limit(bindparam("most"))
)
_HOME_SLOT = select(Slot.id, Slot.element).where(
    Slot.id == bindparam("slot", type_=Id()),
    Slot.library_id == _LIBRARY,
    Slot.element.is_not(None),
    Slot.enabled == 1,
    Slot.operational_state == _READY,
    or_(Slot.cleaner == 0, bindparam("cleaner", type_=Int()) == 1),
    ~exists().where(PhysicalMedium.slot_id == Slot.id),
)
_SIDES = (
    select(Side.id, Side.number, Side.state)
    .where(Side.medium_id == bindparam("medium", type_=Id()))
    .order_by(Side.number)
)
_LIVE = select(*LibraryRequest.__table__.columns).where(LibraryRequest.library_id == _LIBRARY, queue.IS_LIVE)
_PATIENT = or_(LibraryRequest.operation == int(queue.IDENTIFY), LibraryRequest.operation == int(queue.WRITE_FREE_LABEL))
_LIVE_URGENT = _LIVE.where(~_PATIENT)
_LIVE_PATIENT = _LIVE.where(_PATIENT).order_by(LibraryRequest.id).limit(_MOST_PATIENT)
LIBRARY_STATE = select(Library.enabled, Library.library_type).where(Library.id == _LIBRARY)


def works(drive: Any) -> bool:
    """Tell whether a drive is in service and the robot can use it."""
    return bool(drive.enabled) and drive.operational_state == _READY and drive.element is not None


def can_use(fit: Any, *, writing: bool) -> bool:
    """Tell whether a drive type reads a media type, and writes it where that is wanted."""
    return fit is not None and bool(fit.reads) and (not writing or (bool(fit.writes) and not fit.protected_only))


class Planner:
    """One look at a library, and what can begin in it."""

    way_to_look = queue.FAST  # the inventory that finds what a person brought

    def __init__(self, transaction: Transaction, library_id: uuid.UUID, running: Running, state: Any = None) -> None:
        self._transaction = transaction
        self._library_id = library_id
        self._running = running
        parameters = {"library": library_id}
        self.requests = [
            *transaction.rows(_LIVE_URGENT, **parameters),
            *transaction.rows(_LIVE_PATIENT, **parameters),
        ]
        self._enabled = bool((state or transaction.one(LIBRARY_STATE, "a library", **parameters)).enabled)
        self._drives = transaction.rows(_DRIVES, **parameters)
        self._mounts = {mount.drive_id: mount for mount in transaction.rows(_MOUNTS, **parameters)}
        self._fits = {(fit.drive_type_id, fit.media_type_id): fit for fit in transaction.rows(_FITS, **parameters)}
        loaded = transaction.rows(_LOADED_MEDIA, **parameters)
        self._in_drive = {medium.drive_id: medium for medium in loaded}
        self._media: dict[uuid.UUID, Any] = {medium.id: medium for medium in loaded}
        self._busy_drives = running.drives
        self._busy_media = running.media
        self._reserved = running.elements
        self._held_back: set[uuid.UUID] = set()
        in_use = [mount for mount in self._mounts.values() if mount.dismountable_from is None]
        self._users: set[uuid.UUID] = {mount.session_id for mount in in_use if mount.session_id is not None}

    def medium(self, medium_id: uuid.UUID | None) -> Any:
        """Return the row of a cartridge that a request is about, None if it is gone."""
        if medium_id is None:
            return None
        if medium_id not in self._media:
            self._media[medium_id] = self._transaction.row(_MEDIUM, medium=medium_id)
        return self._media[medium_id]

    def has_drive(self, drive_id: uuid.UUID | None) -> bool:
        """Tell whether a drive is one of the library's."""
        return any(drive.id == drive_id for drive in self._drives)

    def has_drive_for(self, request: Any) -> bool:
        """Tell whether any drive of the library is one that a request's cartridge fits, be it disabled or busy."""
        medium = self.medium(request.medium_id)
        writing = request.operation == queue.WRITE_FREE_LABEL
        fits = (self._fits.get((drive.drive_type_id, medium.media_type_id)) for drive in self._drives)
        return any(can_use(fit, writing=writing) for fit in fits)

    def plan(self) -> list[Start]:
        """Return what can begin now, in the order of beginning."""
        starts: list[Start] = []
        seen_groups: set[uuid.UUID] = set()
        for request in sorted(filter(self._is_due, self.requests), key=self._rank):
            group = self._group_of(request)
            if len(group) > 1:
                if request.work_item_id in seen_groups:
                    continue
                seen_groups.add(request.work_item_id)
            begun = self._try_to_begin(group)
            starts += begun
            if not begun and request.operation == queue.MOUNT and request.queued < self._transaction.now - _PATIENCE:
                self._hold_back(group)
        return starts

    def _group_of(self, request: Any) -> list[Any]:
        """Return the mounts that begin together with this one, or a request alone."""
        if request.operation != queue.MOUNT or request.work_item_id is None:
            return [request]
        return [
            each
            for each in self.requests
            if each.work_item_id == request.work_item_id
            and each.operation == queue.MOUNT
            and each.state != queue.INPROCESS  # it has arrived, or is on its way
        ]

    def _is_due(self, request: Any) -> bool:
        if request.id in self._running.starts or request.state != queue.QUEUED:
            return False
        if request.due is not None and request.due > self._transaction.now:
            return False
        return self._enabled or request.operation in (queue.DISMOUNT, queue.INVENTORY)

    def _rank(self, request: Any) -> tuple[int, int, uuid.UUID]:
        ranks = {queue.DISMOUNT: 0, queue.INVENTORY: 1, queue.CLEAN: 1, queue.MOUNT: 3}
        old = request.queued < self._transaction.now - _OLD
        return ranks.get(request.operation, 2 if old else 4), request.order_number, request.id

    def _hold_back(self, group: Sequence[Any]) -> None:
        if not all(self._lacks_drives_alone(request) for request in group):
            return  # drives kept for it would stand empty for as long as somebody else has its cartridge
        for request in group:
            medium = self.medium(request.medium_id)
            writing = bool(request.details.get("for_writing"))
            suiting = {drive.id for drive in self._drives if self._suits(drive, medium, writing)}
            self._held_back |= suiting if request.drive_id is None else suiting & {request.drive_id}

    def _lacks_drives_alone(self, request: Any) -> bool:
        medium = self.medium(request.medium_id)
        return (
            medium is not None
            and medium.library_id == self._library_id
            and medium.element is not None
            and medium.id not in self._busy_media
            and not self._is_in_use(medium)
        )

    def _try_to_begin(self, group: Sequence[Any]) -> list[Start]:
        kept = self._busy_drives.copy(), self._busy_media.copy(), self._reserved.copy()
        begun = []
        for request in group:
            start = self._begin(request)
            if start is None:
                self._busy_drives, self._busy_media, self._reserved = kept
                return []
            if start.drive_id is not None:
                self._busy_drives.add(start.drive_id)
            self._busy_media |= start.media
            self._reserved |= start.elements
            begun.append(start)
        return begun

    def _begin(self, request: Any) -> Start | None:
        if request.operation == queue.DISMOUNT:
            return self._begin_dismount(request)
        if request.operation == queue.INVENTORY:
            busy = any(start.request.operation == queue.INVENTORY for start in self._running.starts.values())
            return None if busy else Start(request, (Step(Action.READ_ELEMENTS),))
        medium = self.medium(request.medium_id)
        if (
            medium is None
            or not medium.online
            or medium.library_id != self._library_id
            or medium.id in self._busy_media
        ):
            return None
        if request.operation == queue.MOUNT:
            return self._begin_mount(request, medium)
        if request.operation == queue.IDENTIFY:
            sides = [(side.number, Action.IDENTIFY) for side in self._sides(medium)]
            return self._begin_visits(request, medium, sides, writing=False)
        if request.operation == queue.WRITE_FREE_LABEL:
            unprepared = NtmsPartitionState.NTMS_PARTSTATE_UNPREPARED
            sides = [(side.number, Action.WRITE_FREE_LABEL) for side in self._sides(medium) if side.state == unprepared]
            return self._begin_visits(request, medium, sides, writing=True)
        return None

    def _sides(self, medium: Any) -> list[Any]:
        return self._transaction.rows(_SIDES, medium=medium.id)

    # Drives

    def _suits(self, drive: Any, medium: Any, writing: bool) -> bool:
        fit = self._fits.get((drive.drive_type_id, medium.media_type_id))
        return works(drive) and can_use(fit, writing=writing)

    def _candidates(
        self, medium: Any, writing: bool, wanted: uuid.UUID | None = None, session_id: uuid.UUID | None = None
    ) -> Iterable[Any]:
        """Return the drives that could take a cartridge now, best first."""
        usable = []
        held_back = set() if session_id in self._users else self._held_back
        for drive in self._drives:
            mount = self._mounts.get(drive.id)
            in_use = mount is not None and mount.dismountable_from is None
            blocked = drive.id in self._busy_drives or drive.id in held_back or in_use
            if blocked or (wanted is not None and drive.id != wanted) or not self._suits(drive, medium, writing):
                continue
            held = self._in_drive.get(drive.id)
            if held is None and drive.occupied:
                continue  # a person put something in: it has to be identified first
            if held is not None and held.id != medium.id and held.id in self._busy_media:
                continue
            rank = 0 if held is not None and held.id == medium.id else 1 if held is None else 2
            since = mount.dismountable_from.timestamp() if mount is not None else 0.0
            usable.append(((rank, since), drive))
        return [drive for _, drive in sorted(usable, key=lambda each: each[0])]

    def _is_in_use(self, medium: Any) -> bool:
        mount = self._mounts.get(medium.drive_id) if medium.drive_id is not None else None
        return mount is not None and mount.dismountable_from is None

    # Requests

    def _begin_mount(self, request: Any, medium: Any) -> Start | None:
        if self._is_in_use(medium):
            return None
        writing = bool(request.details.get("for_writing"))
        side: int = request.details["side"]
        for drive in self._candidates(medium, writing, request.drive_id, request.session_id):
            steps = self._steps_into(drive, medium, side) or self._steps_swapping(drive, medium, side)
            if steps is not None:
                check = Step(Action.CHECK_LABEL, medium.id, drive_id=drive.id, drive_element=drive.element, side=side)
                return Start(request, (*steps, check), drive.id, self._touched(drive, medium))
        return None

    def _begin_dismount(self, request: Any) -> Start | None:
        drive = next((drive for drive in self._drives if drive.id == request.drive_id), None)
        if drive is None:
            return Start(request, ())  # it was taken off record, and its cartridge sent to the shelf
        if drive.id in self._busy_drives or drive.element is None:
            return None
        held, mount = self._in_drive.get(drive.id), self._mounts.get(drive.id)
        if held is None or (mount is not None and mount.dismountable_from is None):
            return Start(request, (), drive.id)  # nothing to do any more: it was emptied, or is in use again
        if held.id in self._busy_media:
            return None
        steps = self._steps_out_of(drive, held)
        return None if steps is None else Start(request, steps, drive.id, frozenset({held.id}))

    def _begin_visits(
        self, request: Any, medium: Any, sides: Sequence[tuple[int, Action]], *, writing: bool
    ) -> Start | None:
        """Begin with bringing sides into a drive one after the other, and the cartridge back."""
        if self._is_in_use(medium):
            return None
        if not sides:
            return Start(request, (), None, frozenset({medium.id}))
        for drive in self._candidates(medium, writing):
            into = self._steps_into(drive, medium, sides[0][0])
            rest = self._rest_of_visits(request, drive, medium, sides) if into is not None else None
            if into is not None and rest is not None:
                return Start(request, (*into, *rest), drive.id, self._touched(drive, medium))
        return None

    def _rest_of_visits(
        self, request: Any, drive: Any, medium: Any, sides: Sequence[tuple[int, Action]]
    ) -> tuple[Step, ...] | None:
        back = self._place_for(medium, drive)
        if back is None:
            return None
        at: dict[str, Any] = {"drive_id": drive.id, "drive_element": drive.element}
        out = (
            Step(Action.UNLOAD, medium.id, **at),
            Step(Action.MOVE, medium.id, source=drive.element, destination=back),
        )
        steps: list[Step] = []
        for position, (number, action) in enumerate(sides):
            if position:
                up = number == 1
                again = Step(Action.MOVE, medium.id, source=back, destination=drive.element, inverted=up)
                steps += [*out, again, Step(Action.LOAD, medium.id, **at)]
            steps.append(Step(action, medium.id, side=number, **at))
        if request.operation_option == NtmsDismountOptions.NTMS_DISMOUNT_DEFERRED:
            return tuple(steps)
        return (*steps, *out)

    def _touched(self, drive: Any, medium: Any) -> frozenset[uuid.UUID]:
        held = self._in_drive.get(drive.id)
        return frozenset({medium.id} | ({held.id} if held is not None else set()))

    # Steps

    def _steps_into(self, drive: Any, medium: Any, side: int) -> tuple[Step, ...] | None:
        """Return the steps that bring a side into a drive and load it; None if there is no room for what is in it."""
        at: dict[str, Any] = {"drive_id": drive.id, "drive_element": drive.element}
        load = Step(Action.LOAD, medium.id, **at)
        held, mount = self._in_drive.get(drive.id), self._mounts.get(drive.id)
        steps: list[Step] = []
        source = medium.element
        if held is not None and held.id == medium.id:
            kept = self._steps_keeping_label(drive, held)
            if mount is None or mount.side == side:
                upright = mount is not None or len(self._sides(medium)) == 1
                if upright:
                    return (*kept, load)
            out = self._steps_out_of(drive, held)
            if out is None:
                return None
            steps, source = list(out), out[-1].destination
        elif held is not None:
            out = self._steps_out_of(drive, held)
            if out is None:
                return None
            steps = list(out)
        elif medium.drive_id is not None:
            other = next(each for each in self._drives if each.id == medium.drive_id)
            steps = [
                *self._steps_keeping_label(other, medium),
                Step(Action.UNLOAD, medium.id, drive_id=other.id, drive_element=other.element),
            ]
        if source is None:
            return None
        steps.append(Step(Action.MOVE, medium.id, source=source, destination=drive.element, inverted=side == 1))
        return (*steps, load)

    def _steps_swapping(self, drive: Any, medium: Any, side: int) -> tuple[Step, ...] | None:
        """Return the steps that change the places of a cartridge and of what is in a drive, where no slot is empty."""
        held = self._in_drive.get(drive.id)
        if held is None or held.id == medium.id or medium.slot_id is None or not self._running.can_exchange:
            return None
        out = self._steps_out_of(drive, held, medium.element)
        into = Step(Action.MOVE, medium.id, source=medium.element, destination=drive.element, inverted=side == 1)
        return (
            (*out, into, Step(Action.LOAD, medium.id, drive_id=drive.id, drive_element=drive.element)) if out else None
        )

    def _steps_keeping_label(self, drive: Any, medium: Any) -> tuple[Step, ...]:
        mount = self._mounts.get(drive.id)
        if mount is None or not mount.for_writing:
            return ()
        return (Step(Action.KEEP_LABEL, medium.id, drive_id=drive.id, drive_element=drive.element, side=mount.side),)

    def _steps_out_of(self, drive: Any, medium: Any, place: int | None = None) -> tuple[Step, ...] | None:
        """Return the steps that put a drive's cartridge away; None if there is no empty slot and no `place` for it."""
        place = self._place_for(medium, None) if place is None else place
        if place is None:
            return None
        self._reserved = self._reserved | {place}
        return (
            *self._steps_keeping_label(drive, medium),
            Step(Action.UNLOAD, medium.id, drive_id=drive.id, drive_element=drive.element),
            Step(Action.MOVE, medium.id, source=drive.element, destination=place),
        )

    def _place_for(self, medium: Any, drive: Any) -> int | None:
        """Return the element that a cartridge goes back to: where it is, its home slot, else any empty slot."""
        if drive is not None and medium.element is not None and medium.drive_id is None:
            element: int = medium.element
            return element
        if medium.home_slot_id is not None:
            where = {"slot": medium.home_slot_id, "library": self._library_id, "cleaner": int(medium.cleaner)}
            home = self._transaction.row(_HOME_SLOT, **where)
            if home is not None and home.element not in self._reserved:
                place: int = home.element
                return place
        for slot in self._transaction.rows(_EMPTY_SLOTS, library=self._library_id, most=len(self._reserved) + 1):
            if slot.element not in self._reserved:
                found: int = slot.element
                return found
        return None

    # Why not

    def explain(self, request: Any) -> tuple[Hindrance, str]:
        """Return what keeps a mount from beginning now, as far as the catalogue tells."""
        medium = self.medium(request.medium_id)
        if medium is None:
            return Hindrance.MEDIUM, "its cartridge is not on record any more"
        if not medium.online:
            return Hindrance.OFFLINE, f"cartridge {medium.name} is on the shelf: an operator was asked to bring it"
        if not self._enabled:
            return Hindrance.LIBRARY, "the library is disabled"
        if medium.element is None:
            text = f"cartridge {medium.name} is in the library, but the device cannot tell where: look at its inventory"
            return Hindrance.MEDIUM, text
        others = {each.medium_id: each for each in self.requests if each.state == queue.INPROCESS}
        if self._is_in_use(medium):
            drive = next(each for each in self._drives if each.id == medium.drive_id)
            return Hindrance.MEDIUM, f"cartridge {medium.name} is mounted in drive {drive.name}, in use by another"
        if medium.id in others:
            doing = queue.spoken(others[medium.id].operation)
            return Hindrance.MEDIUM, f"cartridge {medium.name} is busy: {doing}"
        writing = bool(request.details.get("for_writing"))
        suiting = [each for each in self._drives if self._suits(each, medium, writing)]
        if request.drive_id is not None:
            suiting = [each for each in suiting if each.id == request.drive_id]
        if not suiting:
            return Hindrance.DRIVES, f"no enabled drive here takes cartridge {medium.name}"
        in_process = {each.drive_id for each in others.values()}
        busy = [each for each in suiting if each.id in in_process or self._is_taken(each)]
        names = ", ".join(each.name for each in busy)
        if len(busy) == len(suiting):
            return Hindrance.DRIVES, f"every drive that takes cartridge {medium.name} is busy: {names}"
        together = len(self._group_of(request))
        if request.drive_id is None and len(suiting) - len(busy) < together:
            return Hindrance.DRIVES, f"{together} cartridges are mounted together, and these drives are busy: {names}"
        return Hindrance.NONE, "it is next"

    def _is_taken(self, drive: Any) -> bool:
        mount = self._mounts.get(drive.id)
        held = self._in_drive.get(drive.id)
        return (mount is not None and mount.dismountable_from is None) or (held is None and bool(drive.occupied))
