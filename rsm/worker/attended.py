"""Carrying out attended work: opening ports and doors, waiting for a person, and seeing what the person did.

While it waits it looks at the ports now and then, with no transaction open, and the robot works for others in between.
"""

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rsm.constants import NtmsDoorState, NtmsPortPosition
from rsm.errors import BusyError, NotReadyError, NotSupportedError
from rsm.libraries.base import ElementNotAccessibleError, ElementStatus
from rsm.services import attended, queue
from rsm.services.attended import Watch
from rsm.services.steps import Action, Start, Step
from rsm.worker.steps import Performer, Stopped

if TYPE_CHECKING:
    from rsm.worker.holder import Holder

_LOOK_SECONDS = 0.1
_LATER_LOOK_SECONDS = 0.5
_SOON_SECONDS = 5.0
# Several ports are taken to be filled one after the other: whoever does it has to come to an end first.
_SETTLE_SECONDS = 1.0
_SETTLE_SECONDS_OUTSIDE = 10.0
_BUSY_WITH_A_PERSON = (NotReadyError, BusyError, ElementNotAccessibleError)
_log = logging.getLogger("rsm.worker")


class AttendedPerformer(Performer):
    """The carrying out of one round of an attended request."""

    def actions(self) -> dict[Action, Callable[[int, Step], None]]:
        """Return what does each kind of step."""
        return {
            **super().actions(),
            Action.OPEN_PORT: self._open_port,
            Action.CLOSE_PORT: self._close_port,
            Action.LOOK_AT_PORTS: self._look_at_ports,
            Action.OPEN_DOOR: self._open_door,
            Action.CLOSE_DOOR: self._close_door,
            Action.AWAIT_PERSON: self._await_person,
            Action.LOOK_AT_SLOT: self._look_at_slot,
        }

    def end(self) -> None:
        """Write down that the round is done."""
        self._holder.record(attended.finish, self._start)

    # Ports and doors

    def _open_port(self, number: int, step: Step) -> None:
        self._set_port(self._backend.extend_port, number, step, NtmsPortPosition.NTMS_PORTPOSITION_EXTENDED)

    def _close_port(self, number: int, step: Step) -> None:
        self._set_port(self._backend.retract_port, number, step, NtmsPortPosition.NTMS_PORTPOSITION_RETRACTED)

    def _set_port(
        self, call: Callable[[int, int], None], number: int, step: Step, position: NtmsPortPosition | None
    ) -> None:
        assert step.destination is not None
        holder = self._holder
        with holder.robot:
            try:
                call(step.destination, holder.epoch)
            except NotSupportedError:
                position = None  # it is within reach all the time
            port = holder.places[step.destination]
            holder.record(attended.record_port, self._start.request.id, number, port.id, position)

    def _look_at_ports(self, number: int, step: Step) -> None:
        holder, ports = self._holder, self._ports()
        with holder.robot:
            statuses = list(self._backend.read_elements(ports))
            holder.record(attended.record_ports, self._start.request.id, number, holder.places, statuses)

    def _look_at_slot(self, number: int, step: Step) -> None:
        holder = self._holder
        if step.destination is None:
            return  # it was taken off record
        with holder.robot:
            statuses = list(self._backend.read_elements({step.destination}))
            holder.record(attended.record_slot, self._start.request.id, number, holder.places, statuses)

    def _ports(self) -> set[int]:
        steps = self._start.steps
        return {each.destination for each in steps if each.action is Action.CLOSE_PORT and each.destination is not None}

    def _open_door(self, number: int, step: Step) -> None:
        self._set_door(self._backend.unlock_door, number, NtmsDoorState.NTMS_DOORSTATE_OPEN)

    def _close_door(self, number: int, step: Step) -> None:
        self._set_door(self._backend.lock_door, number, NtmsDoorState.NTMS_DOORSTATE_CLOSED)

    def _set_door(self, call: Callable[[int], None], number: int, state: NtmsDoorState) -> None:
        holder = self._holder
        with holder.robot:
            try:
                call(holder.epoch)
            except NotSupportedError as error:
                _log.debug("the door is a person's own affair: %s", error)
            holder.record(attended.record_door, self._start.request.id, number, state)

    # Waiting

    def _await_person(self, number: int, step: Step) -> None:
        holder, request = self._holder, self._start.request
        holder.record(attended.begin_waiting, request.id)
        begun = time.monotonic()
        is_done = {
            queue.DOOR: self._when_door_is_shut,
            **dict.fromkeys(queue.INJECTS, self._when_ports_are_filled),
            **dict.fromkeys(queue.EJECTS, self._when_ports_are_emptied),
        }[request.operation]()
        while True:
            if holder.stopping:
                raise Stopped
            watch = holder.read(attended.read_watch, request.id)
            if is_done(watch) or watch.end is not None:
                return
            soon = time.monotonic() - begun < _SOON_SECONDS
            holder.worker.pause(_LOOK_SECONDS if soon else _LATER_LOOK_SECONDS)

    def _see(self, elements: set[int]) -> list[ElementStatus] | None:
        """Return what ports look like, None while a person keeps the device from telling."""
        if not elements:
            return []
        try:
            with self._holder.robot:
                return list(self._backend.read_elements(elements))
        except _BUSY_WITH_A_PERSON as error:
            _log.debug("the ports cannot be looked at just now: %s", error)
            return None

    def _when_ports_are_filled(self) -> Callable[[Watch], bool]:
        ports = self._ports()
        patience = _SETTLE_SECONDS_OUTSIDE if self._holder.ports_extend else _SETTLE_SECONDS
        seen: set[tuple[int, str]] = set()
        since = time.monotonic()

        def are_filled(watch: Watch) -> bool:
            nonlocal seen, since
            statuses = self._see(ports)
            if statuses is None:
                return watch.over
            good = [each for each in statuses if each.full and each.accessible and each.exception is None]
            found = {(each.address, each.barcode or "") for each in good} - watch.useless
            if found != seen:
                seen, since = found, time.monotonic()
            full = all(each.full for each in statuses)
            return watch.over or (bool(found) and (full or time.monotonic() - since >= patience))

        return are_filled

    def _when_ports_are_emptied(self) -> Callable[[Watch], bool]:
        def are_emptied(watch: Watch) -> bool:
            statuses = self._see({element for _, element, _ in watch.out})
            if statuses is None:
                return watch.over
            shown = {each.address: each for each in statuses}
            out = [medium for medium, element, barcode in watch.out if _has_left(shown[element], barcode)]
            if out:
                self._holder.record(attended.record_taken_out, self._start.request.id, out)
            return watch.over or len(out) == len(watch.out)

        return are_emptied

    def _when_door_is_shut(self) -> Callable[[Watch], bool]:
        was_open = False

        def is_shut(watch: Watch) -> bool:
            nonlocal was_open
            stands_open = self._backend.is_door_open()
            if stands_open:
                was_open = True
                if watch.over:
                    self._holder.record(attended.ask_to_shut_door, self._start.request.id)
                return False
            return watch.over or was_open

        return is_shut

    def fail(self, code: int, text: str, *, again: bool = False) -> None:
        """Write down that the round went wrong."""
        self._holder.record(attended.fail, self._start, code, text, again=again)


def _has_left(status: ElementStatus, barcode: str) -> bool:
    if status.exception is not None or status.full is None:
        return False
    return not status.full or bool(barcode and status.barcode and status.barcode != barcode)


def performer_of(holder: "Holder", start: Start) -> Performer:
    """Return what carries out a request."""
    kind = AttendedPerformer if queue.is_attended(start.request) else Performer
    return kind(holder, start)
