"""Two moves that are one exchange: what is in a drive goes out as another cartridge comes in.

Requests are planned and kept as moves; where the device can exchange, a move out of a drive and the one into it are
made in one call. It asks no rights and works no device.
"""

import uuid
from collections.abc import Mapping, Sequence

from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction
from rsm.services.devices import Place
from rsm.services.places import WHERE, set_place
from rsm.services.progress import record_step
from rsm.services.steps import Action, Step


def exchange_at(steps: Sequence[Step], number: int, places: Mapping[int, Place]) -> tuple[Step, Step] | None:
    """Return the move out of a drive at a place among steps and the one into it that follows, None if it is none.

    Both cartridges come from or go to slots: that changers can exchange others is not told.
    """
    if number + 1 >= len(steps):
        return None
    out, into = steps[number], steps[number + 1]
    if out.action is not Action.MOVE or into.action is not Action.MOVE or out.medium_id == into.medium_id:
        return None
    if out.source is None or out.source != into.destination or into.inverted:
        return None
    ends = [places.get(end) for end in (out.destination, into.source) if end is not None]
    in_slots = [each is not None and each.kind is Kind.NTMS_STORAGESLOT for each in ends]
    return (out, into) if in_slots == [True, True] else None


def record_exchange(
    transaction: Transaction,
    library_id: uuid.UUID,
    epoch: int,
    request_id: uuid.UUID,
    number: int,
    out: tuple[uuid.UUID, Place],
    into: tuple[uuid.UUID, Place],
) -> None:
    """Write down that two cartridges were carried; `number` is the later of their two steps.

    Raises:
        SupersededError: another process has taken the library over.
    """
    record_step(transaction, library_id, epoch, request_id, number)
    came = transaction.row(WHERE, id=into[0])
    if came is not None and came.slot_id == out[1].id:  # they change places, and no slot holds two at any moment
        set_place(transaction, into[0], library_id, None, "move")
    for medium_id, place in (out, into):
        set_place(transaction, medium_id, library_id, place, "move")
