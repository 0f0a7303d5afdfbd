"""A virtual library that a worker really works, stocked with cartridges that an application holds."""

import dataclasses
import os
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import rsm
from rsm import labels
from rsm.constants import NtmsDriveState, NtmsMediaState
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsPartitionState as State
from rsm.db import new_id
from rsm.labels.free import FREE_TYPE
from rsm.libraries.virtual import add_cartridge, create
from rsm.nouns.waiting import Done, Waiter, Waiting, WaitReason
from rsm.services import queue

LONG_MS = 60_000
CAPACITY_BYTES = 10_000


@dataclasses.dataclass
class Stock:
    """A library on record, the folder it is, and a logical medium for each allocated side, in the order of slots."""

    session: rsm.Session
    folder: Path
    library: rsm.Library
    pool: rsm.MediaPool
    media: list[rsm.LogicalMedium]

    @property
    def drives(self) -> list[rsm.Drive]:
        """Return the drives by number."""
        return sorted(self.session.libraries.drives(self.library), key=lambda drive: drive.number)

    @property
    def slots(self) -> list[rsm.Slot]:
        """Return the slots by number."""
        return sorted(self.session.libraries.slots(self.library), key=lambda slot: slot.number)

    def cartridge(self, medium: rsm.LogicalMedium) -> rsm.PhysicalMedium:
        """Return the cartridge of a logical medium as it is now."""
        return self.session.media.get(medium.medium)

    def side(self, medium: rsm.LogicalMedium) -> rsm.Side:
        """Return the side of a logical medium as it is now."""
        found: rsm.Side = self.session.objects.get(Kind.NTMS_PARTITION, medium.side)
        return found

    def on_disk(self, medium: rsm.LogicalMedium) -> Path:
        """Return the folder that is the cartridge, wherever it is in the library."""
        barcode = self.cartridge(medium).barcode
        for _ in range(1_000):  # one that is moved meanwhile may be passed over at both places
            if found := list(self.folder.glob(f"*/{barcode}")):
                (place,) = found
                return place
        raise AssertionError(f"{barcode} is nowhere")

    def place(self, medium: rsm.LogicalMedium) -> str:
        """Return the name of the element that the cartridge really is in."""
        return self.on_disk(medium).parent.name

    def settle(self) -> None:
        """Wait until nothing that is due is left to be done."""
        settle(self.session, self.library.id)

    def moves(self) -> list[tuple[uuid.UUID, uuid.UUID | None]]:
        """Return every move the robot made: cartridge, and the drive it was brought to, None for a slot."""
        return [
            (event.object, _id(event.after and event.after.get("drive_id")))
            for event in self.session.events.list(limit=100_000)
            if event.call == "move" and event.object in {medium.medium for medium in self.media}
        ]

    def put_on_shelf(self, medium: rsm.LogicalMedium, shelf: Path) -> Path:
        """Take a cartridge out of the library, have that noticed, and return where it is."""
        shelf.mkdir(exist_ok=True)
        away = shelf / self.cartridge(medium).barcode
        os.rename(self.on_disk(medium), away)
        look(self.session, self.library)
        return away

    def bring_back(self, away: Path, slot: int = 1) -> None:
        """Put a cartridge from the shelf into a slot that is empty."""
        os.rename(away, self.folder / f"slot-{slot:04}" / away.name)


def _id(value: object) -> uuid.UUID | None:
    return None if value is None else uuid.UUID(str(value))


def look(session: rsm.Session, library: rsm.Library) -> None:
    """Have a library's inventory taken, to its end."""
    request = session.libraries.inventory(library, full=False)
    assert request is not None
    session.requests.wait(request, timeout_ms=LONG_MS)


def wait_until(session: rsm.Session, is_so: Callable[[], bool]) -> None:
    """Wait until the catalogue shows what is waited for."""

    def look() -> Done[None] | Waiting:
        return Done(None) if is_so() else Waiting(WaitReason.QUEUED, "it is not so yet")

    Waiter(session, LONG_MS, None).wait_for(look)


def settle(session: rsm.Session, library: uuid.UUID) -> None:
    """Wait until nothing that is due is left to be done in a library."""
    carried, arrived = NtmsMediaState.NTMS_MEDIASTATE_INUSE, NtmsDriveState.NTMS_DRIVESTATE_MOUNTED

    def look() -> Done[None] | Waiting:
        live = session.requests.list(library, live=True)
        left: list[object] = [each for each in live if is_due(session, each)]
        # What a request that was given up meanwhile set going goes on: a cartridge is carried, then lies in a drive.
        left += [each for each in session.media.list(library=library) if each.media_state is carried]
        later = {each.drive for each in live}
        left += [each for each in session.libraries.drives(library) if each.state is arrived and each.id not in later]
        return Waiting(WaitReason.QUEUED, f"not done: {left}") if left else Done(None)

    Waiter(session, LONG_MS, None).wait_for(look)


def is_due(session: rsm.Session, request: rsm.LibraryRequest) -> bool:
    """Tell whether a request has to be carried out now, and not only at a later time."""
    row = session.read(queue.read_request, request.id)
    return row is not None and (row.due is None or row.due <= datetime.now(UTC))


def make_stock(
    session: rsm.Session,
    place: Path,
    *,
    media: int = 2,
    drives: int = 1,
    media_type: str = "LTO-8",
    states: Sequence[State] = (State.NTMS_PARTSTATE_ALLOCATED,),
    disk: bool = False,
    empty_slots: int = 1,
    protected: bool = False,
) -> Stock:
    """Make a library and put it on record with cartridges of known labels, one side a state, in a pool of their own.

    Whoever calls sees to it that a worker is there.
    """
    folder = Path(create(place / f"robot-{new_id().hex[-8:]}", media + empty_slots, drives, 1, media_type, disk))
    pool = session.pools.create(f"\\{folder.name}", media_type=media_type)
    held: list[uuid.UUID] = []
    for position in range(media):
        barcode = f"{folder.name[-8:]}-{position}"
        cartridge = add_cartridge(
            folder, barcode, sides=len(states), capacity_bytes=CAPACITY_BYTES, write_protected=protected
        )
        sides = []
        for side, state in enumerate(states, 1):
            label = new_id()
            recording = Path(cartridge.path) / f"side-{side}" / ("data" if disk else "")
            recording.write_bytes(labels.make_free_label(label, barcode, datetime.now(UTC)))
            sides.append(rsm.NewSide(FREE_TYPE, label.bytes, state, name=f"{barcode}-{side}"))
        made = session.media.create(pool, sides, barcode=barcode, name=barcode)
        held += [side.logical_medium for side in session.media.sides(made) if side.logical_medium is not None]
    library = session.libraries.add("virtual", str(folder), name=folder.name)
    settle(session, library.id)
    logical = {each.id: each for each in session.media.logical_media(pool=pool)}
    return Stock(session, folder, library, pool, [logical[each] for each in held])


class Heard:
    """What a waiting call was told; as `on_wait` it does something the first time it hears of a reason."""

    def __init__(self, **do: Callable[[Waiting], object]) -> None:
        self.told: list[Waiting] = []
        self._do = {WaitReason[name]: action for name, action in do.items()}

    def __call__(self, waiting: Waiting) -> None:
        self.told.append(waiting)
        action = self._do.pop(waiting.reason, None)
        if action is not None:
            action(waiting)

    @property
    def reasons(self) -> set[WaitReason]:
        """The reasons heard."""
        return {waiting.reason for waiting in self.told}


class Person:
    """Somebody who does one thing, once a call says that it waits for a person."""

    def __init__(self, do: Callable[[], None]) -> None:
        self.done = False
        self._do = do

    def __call__(self, waiting: Waiting) -> None:
        if waiting.reason is WaitReason.PERSON and not self.done:
            self.done = True
            self._do()
