"""What a library can begin of attended work: cartridges put in and taken out through ports, and open doors.

One person at a time is at a library, so one attended request goes on at a time, in rounds: ports are opened, the person
does their part, ports are closed, the robot carries. While a door is open, and until it can be opened, nothing else
begins. What is on its way in or out is left alone by other work. It reads and decides only.
"""

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import bindparam, select

from rsm.constants import NtmsOperationalState, NtmsPartitionState
from rsm.db import Transaction
from rsm.model import Id, PhysicalMedium, Port, Side, Slot
from rsm.services import queue
from rsm.services.cleaners import can_be_cleaner
from rsm.services.cleaning_planning import CleaningPlanner
from rsm.services.steps import Action, Hindrance, Running, Start, Step

_READY = int(NtmsOperationalState.NTMS_READY)
_LIBRARY = bindparam("library", type_=Id())
_PORTS = (
    select(Port.id, Port.name, Port.element, PhysicalMedium.id.label("medium_id"))
    .outerjoin(PhysicalMedium, PhysicalMedium.port_id == Port.id)
    .where(
        Port.library_id == _LIBRARY,
        Port.element.is_not(None),
        Port.enabled == 1,
        Port.operational_state == _READY,
    )
    .order_by(Port.number)
)
_UNFIT = select(Side.id).where(
    Side.medium_id == bindparam("medium", type_=Id()), Side.state == int(NtmsPartitionState.NTMS_PARTSTATE_INCOMPATIBLE)
)
_IN_SLOT = select(PhysicalMedium.id).where(PhysicalMedium.slot_id == bindparam("slot", type_=Id()))
_ELEMENT_OF_SLOT = select(Slot.element).where(Slot.id == bindparam("slot", type_=Id()))


def list_ports(transaction: Transaction, library_id: uuid.UUID) -> list[Any]:
    """Return the ports of a library that can be used, and the cartridge on record in each."""
    return transaction.rows(_PORTS, library=library_id)


def is_unfit(transaction: Transaction, request: Any, medium_id: uuid.UUID) -> bool:
    """Tell whether a cartridge is not let in by a request: its library cannot use it, or it is no cleaner as wanted."""
    if request.operation == queue.INJECT_CLEANER and not can_be_cleaner(transaction, medium_id):
        return True
    return transaction.row(_UNFIT, medium=medium_id) is not None


def media_of(request: Any) -> list[uuid.UUID]:
    """Return the cartridges that a request is to take out."""
    return [uuid.UUID(each) for each in request.details.get("media", ())]


class AttendedPlanner(CleaningPlanner):
    """One look at a library, attended work included."""

    def __init__(self, transaction: Transaction, library_id: uuid.UUID, running: Running, state: Any = None) -> None:
        super().__init__(transaction, library_id, running, state)
        attended = [each for each in self.requests if each.operation in queue.ATTENDED]
        self._attended = [each for each in attended if queue.has_begun(each)]
        begun = [start.request.operation for start in running.starts.values()]
        self._is_at_rest = not begun
        self._door_is_open = queue.DOOR in begun
        self._door_is_next = any(each.operation == queue.DOOR and self._is_due(each) for each in attended)
        if any(each.operation != queue.DOOR for each in self._attended):
            self._door_is_next = False  # a person is at a port: it would be a long wait for all
        self._on_the_way = {medium for each in self._attended for medium in media_of(each)}
        self._taking_in = any(each.operation in queue.INJECTS for each in self._attended)

    def _rank(self, request: Any) -> tuple[int, int, uuid.UUID]:
        if request.operation not in queue.ATTENDED:
            return super()._rank(request)
        return 0 if queue.has_begun(request) else 2, 0, request.id

    def _begin(self, request: Any) -> Start | None:
        if self._door_is_open:
            return None
        attended = request.operation in queue.ATTENDED
        if not attended and (self._door_is_next or self._is_on_the_way(request)):
            return None
        start = self._begin_attended(request) if attended else super()._begin(request)
        if start is not None:
            self._is_at_rest = False
            self._door_is_open = request.operation == queue.DOOR
            if attended and not queue.has_begun(request):
                self._attended.append(request)
        return start

    def _is_on_the_way(self, request: Any) -> bool:
        if request.operation == queue.INVENTORY:
            return False
        medium = self.medium(request.medium_id)
        if medium is None:
            return False
        if self._taking_in and medium.port_id is not None and request.operation != queue.MOUNT:
            return True  # it is identified once it is in its slot
        return medium.id in self._on_the_way

    def _is_free(self, cleaner: Any) -> bool:
        return cleaner.id not in self._on_the_way and super()._is_free(cleaner)

    def _begin_attended(self, request: Any) -> Start | None:
        # Those that have begun go on before others begin, the oldest first should there be several.
        if any(
            each.id < request.id or not queue.has_begun(request) for each in self._attended if each.id != request.id
        ):
            return None
        if request.operation in queue.INJECTS:
            return self._begin_inject(request)
        if request.operation in queue.EJECTS:
            return self._begin_eject(request)
        if not self._is_at_rest:
            return None
        steps = (Step(Action.OPEN_DOOR), Step(Action.AWAIT_PERSON), Step(Action.CLOSE_DOOR))
        if request.slot_id is None:
            return Start(request, steps)
        return Start(request, (*steps, Step(Action.LOOK_AT_SLOT, destination=self._element_of_slot(request))))

    # Putting in

    def _begin_inject(self, request: Any) -> Start | None:
        details, ports = request.details, list_ports(self._transaction, self._library_id)
        if details.get("phase") == "in":
            return self._begin_taking_in(request, ports)
        close, look = _steps(Action.CLOSE_PORT, ports), Step(Action.LOOK_AT_PORTS)
        if details.get("outcome") or details.get("end") == "cancel":
            return Start(request, close)
        if details.get("end") == "stop":
            return Start(request, (*close, look))
        if not ports:
            return Start(request, ())
        return Start(request, (*_steps(Action.OPEN_PORT, ports), Step(Action.AWAIT_PERSON), *close, look))

    def _begin_taking_in(self, request: Any, ports: Sequence[Any]) -> Start | None:
        """Begin with carrying what is in the ports to slots, as far as there are any."""
        steps: list[Step] = []
        media = [self.medium(port.medium_id) for port in ports if port.medium_id is not None]
        fit = [medium for medium in media if not is_unfit(self._transaction, request, medium.id)]
        if any(medium.id in self._busy_media for medium in fit):
            return None
        kept = self._reserved
        for medium in fit[:1] if request.operation == queue.INJECT_CLEANER else fit:
            slot = self._slot_of(request) if request.slot_id is not None else self._place_for(medium, None)
            if slot is None or slot in self._reserved:
                continue
            self._reserved = self._reserved | {slot}
            steps.append(Step(Action.MOVE, medium.id, source=medium.element, destination=slot))
        self._reserved = kept
        return Start(request, tuple(steps), None, frozenset(medium.id for medium in fit))

    def _element_of_slot(self, request: Any) -> int | None:
        row = self._transaction.row(_ELEMENT_OF_SLOT, slot=request.slot_id)
        return None if row is None else row.element

    def _slot_of(self, request: Any) -> int | None:
        """Return the element of the slot that a request names, None if something is in it."""
        held = self._transaction.row(_IN_SLOT, slot=request.slot_id)
        return None if held is not None else self._element_of_slot(request)

    # Taking out

    def _begin_eject(self, request: Any) -> Start | None:
        details = request.details
        media = [medium for each in media_of(request) if (medium := self.medium(each)) is not None]
        here = [each for each in media if each.library_id == self._library_id]
        ports = list_ports(self._transaction, self._library_id)
        placed = [each for each in here if each.port_id is not None]
        if details.get("phase") == "back":
            return self._begin_bringing_back(request, ports, placed)
        if details.get("end"):
            return Start(request, _steps(Action.CLOSE_PORT, self._with(ports, placed)))
        if any(each.element is None for each in here) and any(
            each.operation == queue.INVENTORY for each in self.requests
        ):
            return None  # where it is will be known in a moment
        empty = [each for each in ports if each.medium_id is None and each.element not in self._reserved]
        inside = [each for each in here if each.port_id is None and each.element is not None]
        ready = [each for each in inside if each.id not in self._busy_media and not self._is_in_use(each)]
        if not placed and inside and empty and not ready:
            return None
        moved = list(zip(ready, empty, strict=False))
        steps = [step for medium, port in moved for step in self._steps_to(port, medium)]
        used = [*self._with(ports, placed), *(port for _, port in moved)]
        if used:
            wait = Step(Action.AWAIT_PERSON)
            steps += [*_steps(Action.OPEN_PORT, used), wait, *_steps(Action.CLOSE_PORT, used)]
        touched = frozenset(each.id for each in (*placed, *(medium for medium, _ in moved)))
        return Start(request, tuple(steps), None, touched)

    def _with(self, ports: Iterable[Any], media: Iterable[Any]) -> list[Any]:
        holding = {medium.port_id for medium in media}
        return [port for port in ports if port.id in holding]

    def _steps_to(self, port: Any, medium: Any) -> list[Step]:
        steps: list[Step] = []
        if medium.drive_id is not None:
            drive = next(each for each in self._drives if each.id == medium.drive_id)
            steps += self._steps_keeping_label(drive, medium)
            steps.append(Step(Action.UNLOAD, medium.id, drive_id=drive.id, drive_element=drive.element))
        return [*steps, Step(Action.MOVE, medium.id, source=medium.element, destination=port.element)]

    def _begin_bringing_back(self, request: Any, ports: Sequence[Any], placed: Sequence[Any]) -> Start | None:
        """Begin with carrying back what nobody took out."""
        if any(medium.id in self._busy_media for medium in placed):
            return None
        steps, kept = list(_steps(Action.CLOSE_PORT, self._with(ports, placed))), self._reserved
        for medium in placed:
            place = self._place_for(medium, None)
            if place is not None:
                self._reserved = self._reserved | {place}
                steps.append(Step(Action.MOVE, medium.id, source=medium.element, destination=place))
        self._reserved = kept
        return Start(request, tuple(steps), None, frozenset(medium.id for medium in placed))

    # Why not

    def explain(self, request: Any) -> tuple[Hindrance, str]:
        """Return what keeps a request from beginning now, as far as the catalogue tells."""
        if request.operation not in queue.ATTENDED:
            if any(each.operation == queue.DOOR for each in self._attended):
                return Hindrance.LIBRARY, "the door of the library is open"
            medium = self.medium(request.medium_id)
            if medium is not None and medium.id in self._on_the_way and medium.online:
                return Hindrance.MEDIUM, f"cartridge {medium.name} is being ejected"
            return super().explain(request)
        if not self._enabled:
            return Hindrance.LIBRARY, "the library is disabled"
        other = next((each for each in self._attended if each.id != request.id), None)
        if other is not None:
            return Hindrance.LIBRARY, f"a person is at the library: {queue.spoken(other.operation)}"
        for medium in map(self.medium, media_of(request)):
            if medium is not None and self._is_in_use(medium):
                drive = next(each for each in self._drives if each.id == medium.drive_id)
                return Hindrance.MEDIUM, f"cartridge {medium.name} is mounted in drive {drive.name}, in use by another"
        return Hindrance.NONE, "it is next"


def _steps(action: Action, ports: Iterable[Any]) -> tuple[Step, ...]:
    return tuple(Step(action, destination=port.element) for port in ports)
