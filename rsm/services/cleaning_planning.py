"""What a library can begin next, the cleaning of drives too: with which cleaner, by which steps.

A cleaner is carried from where it lies to the drive, and back. Whoever takes a cleaning over in the middle finds the
cleaner in the drive and goes on from there. It reads and decides only.
"""

import uuid
from typing import Any

from sqlalchemy import bindparam, select

from rsm.model import Id, Library, PhysicalMedium, Slot
from rsm.services import queue
from rsm.services.planning import Planner, media_rows, works
from rsm.services.steps import Action, Hindrance, Start, Step

_LIBRARY = bindparam("library", type_=Id())
_CLEANERS = (
    media_rows()
    .where(PhysicalMedium.library_id == _LIBRARY, PhysicalMedium.cleaner == 1, PhysicalMedium.enabled == 1)
    .order_by(PhysicalMedium.id)
)
_CLEANER_SLOT = select(Slot.id).where(Slot.library_id == _LIBRARY, Slot.cleaner == 1)
_USES = select(Library.cleaner_uses_remaining).where(Library.id == _LIBRARY)


class CleaningPlanner(Planner):
    """One look at a library, and what can begin in it, cleanings included."""

    def _begin(self, request: Any) -> Start | None:
        return self._begin_cleaning(request) if request.operation == queue.CLEAN else super()._begin(request)

    def find_cleaner(self, drive_id: uuid.UUID | None) -> Any:
        """Return the cleaner that a drive can be cleaned with, None if the library has none that is good for it.

        The one that is in the drive comes first, then that of the cleaner slot.
        """
        uses = self._transaction.one(_USES, "a library", library=self._library_id).cleaner_uses_remaining
        cleaners = self._transaction.rows(_CLEANERS, library=self._library_id)
        if not uses or not cleaners:
            return None
        kept = self._transaction.row(_CLEANER_SLOT, library=self._library_id)
        slot = None if kept is None else kept.id
        return min(
            cleaners, key=lambda each: (each.drive_id != drive_id, slot not in (each.slot_id, each.home_slot_id))
        )

    def _begin_cleaning(self, request: Any) -> Start | None:
        """Begin with emptying the drive, carrying the cleaner there, and back to where it was."""
        drive = next((each for each in self._drives if each.id == request.drive_id), None)
        if drive is None or drive.id in self._busy_drives or not works(drive):
            return None
        held = self._in_drive.get(drive.id)
        if drive.occupied if held is None else held.id in self._busy_media or self._is_in_use(held):
            return None
        out = () if held is None else self._steps_out_of(drive, held)
        if request.details.get("cleaned"):  # whoever had it in hand came as far as that
            if held is None or not held.cleaner:
                return Start(request, (), drive.id)
            return None if out is None else Start(request, out, drive.id, frozenset({held.id}))
        cleaner = self.find_cleaner(drive.id)
        if cleaner is None or out is None or cleaner.element is None or not self._is_free(cleaner):
            return None
        at: dict[str, Any] = {"drive_id": drive.id, "drive_element": drive.element}
        clean = Step(Action.CLEAN, cleaner.id, **at)
        if held is not None and held.id == cleaner.id:
            return Start(request, (clean, *out), drive.id, frozenset({cleaner.id}))
        if cleaner.drive_id is not None:
            return None  # it is on its way back from another
        into = Step(Action.MOVE, cleaner.id, source=cleaner.element, destination=drive.element)
        back = (
            Step(Action.UNLOAD, cleaner.id, **at),
            Step(Action.MOVE, cleaner.id, source=drive.element, destination=cleaner.element),
        )
        return Start(request, (*out, into, clean, *back), drive.id, self._touched(drive, cleaner))

    def _is_free(self, cleaner: Any) -> bool:
        """Tell whether nobody has a cleaner in hand, or is about to."""
        return cleaner.id not in self._busy_media

    def explain(self, request: Any) -> tuple[Hindrance, str]:
        """Return what keeps a mount or a cleaning from beginning now, as far as the catalogue tells."""
        if request.operation != queue.CLEAN:
            return super().explain(request)
        drive = next((each for each in self._drives if each.id == request.drive_id), None)
        if drive is None or not works(drive):
            return Hindrance.DRIVES, "its drive is disabled or not present"
        if not self._enabled:
            return Hindrance.LIBRARY, "the library is disabled"
        if self.find_cleaner(drive.id) is None:
            return (
                Hindrance.OFFLINE,
                "the library has no cleaner that is good for it: an operator was asked to bring one",
            )
        if self._is_taken(drive):
            return Hindrance.DRIVES, f"drive {drive.name} is in use"
        return Hindrance.NONE, "it is next"
