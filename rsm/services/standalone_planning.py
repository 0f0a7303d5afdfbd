"""What a stand-alone drive can begin next, and which planner a library wants.

A cartridge is loaded where it lies, and is left there unloaded; then a person, who is the robot, may take it out. It
reads and decides only.
"""

import uuid
from collections.abc import Sequence
from typing import Any

from rsm.db import Transaction
from rsm.model import STANDALONE
from rsm.services import queue
from rsm.services.attended_planning import AttendedPlanner
from rsm.services.planning import LIBRARY_STATE, Planner
from rsm.services.steps import Action, Hindrance, Running, Start, Step


class StandalonePlanner(Planner):
    """One look at a stand-alone drive: nothing is carried, and the device shows every side of what is in it."""

    way_to_look = queue.FULL  # where there are no bar codes, only labels tell one cartridge from another

    def _begin(self, request: Any) -> Start | None:
        return self._begin_eject(request) if request.operation == queue.EJECT else super()._begin(request)

    def explain(self, request: Any) -> tuple[Hindrance, str]:
        """Return what keeps a mount from beginning, or an ejecting from its end."""
        medium = self.medium(request.medium_id)
        if request.operation != queue.EJECT or medium is None:
            return super().explain(request)
        if request.state == queue.WAITING:
            return Hindrance.DRIVES, f"an operator was asked to take cartridge {medium.name} out"
        if self._is_in_use(medium):
            return Hindrance.MEDIUM, f"cartridge {medium.name} is mounted, in use by another"
        return Hindrance.NONE, "it is next"

    def _begin_eject(self, request: Any) -> Start | None:
        drive = next((each for each in self._drives if each.id == request.drive_id), None)
        if drive is None or drive.element is None or drive.id in self._busy_drives:
            return None
        at: dict[str, Any] = {"drive_id": drive.id, "drive_element": drive.element}
        held, mount = self._in_drive.get(drive.id), self._mounts.get(drive.id)
        if held is None:
            return Start(request, (Step(Action.EJECT, **at),), drive.id)
        if held.id in self._busy_media or (mount is not None and mount.dismountable_from is None):
            return None
        steps = (*self._steps_out_of(drive, held), Step(Action.EJECT, held.id, **at))
        return Start(request, steps, drive.id, frozenset({held.id}))

    def _steps_into(self, drive: Any, medium: Any, side: int) -> tuple[Step, ...] | None:
        held = self._in_drive.get(drive.id)
        if held is None or held.id != medium.id:
            return None
        load = Step(Action.LOAD, medium.id, drive_id=drive.id, drive_element=drive.element)
        return (*self._steps_keeping_label(drive, held), load)

    def _steps_out_of(self, drive: Any, medium: Any, place: int | None = None) -> tuple[Step, ...]:
        unload = Step(Action.UNLOAD, medium.id, drive_id=drive.id, drive_element=drive.element)
        return (*self._steps_keeping_label(drive, medium), unload)

    def _rest_of_visits(
        self, request: Any, drive: Any, medium: Any, sides: Sequence[tuple[int, Action]]
    ) -> tuple[Step, ...]:
        at: dict[str, Any] = {"drive_id": drive.id, "drive_element": drive.element}
        visits = [Step(action, medium.id, side=number, **at) for number, action in sides]
        return (*visits, Step(Action.UNLOAD, medium.id, **at))


def plan_library(transaction: Transaction, library_id: uuid.UUID, running: Running) -> Planner:
    """Take one look at a library, as its kind wants it."""
    state = transaction.one(LIBRARY_STATE, "a library", library=library_id)
    kind: type[Planner] = StandalonePlanner if state.library_type == STANDALONE else AttendedPlanner
    return kind(transaction, library_id, running, state)
