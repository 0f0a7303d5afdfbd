"""Cleaners on record: telling them from other cartridges, how many uses the library has left, and forgetting them.

A cleaner is a cartridge without sides, so nothing allocates, mounts or labels it. It is on record as long as it is in
its library. It asks no rights and carries nothing.
"""

import uuid
from collections.abc import Iterable
from typing import Protocol

from sqlalchemy import bindparam, delete, select

from rsm.constants import NtmsLibraryFlags, NtmsPartitionState
from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction
from rsm.model import OFFLINE, Id, Library, LibraryRequest, Mount, Object, PhysicalMedium, Side, Slot
from rsm.services import events, queue
from rsm.services.devices import Place
from rsm.services.dismounts import queue_dismount
from rsm.services.media import MEDIUM_COLUMNS, enter_medium, forget_medium
from rsm.services.places import go_offline, set_place
from rsm.services.pools import delete_unused_system_pools
from rsm.services.properties import write_fields

UNCOUNTED = 0xFFFFFFFF  # the uses left of a cleaner that are not counted
_PREFIX = "CLN"
_PRESENT, _IGNORE, _RECOGNIZE = (
    NtmsLibraryFlags.NTMS_LIBRARYFLAG_CLEANERPRESENT,
    NtmsLibraryFlags.NTMS_LIBRARYFLAG_IGNORECLEANERUSESREMAINING,
    NtmsLibraryFlags.NTMS_LIBRARYFLAG_RECOGNIZECLEANERBARCODE,
)
_UNIDENTIFIED = tuple(
    int(state)
    for state in (
        NtmsPartitionState.NTMS_PARTSTATE_UNKNOWN,
        NtmsPartitionState.NTMS_PARTSTATE_FOREIGN,
        NtmsPartitionState.NTMS_PARTSTATE_INCOMPATIBLE,
    )
)
_ID = bindparam("id", type_=Id())
_LIBRARY = bindparam("library", type_=Id())
_LIBRARY_ROW = select(Library.id, Library.library_type, Library.flags, Library.cleaner_uses_remaining).where(
    Library.id == _LIBRARY
)
_CLEANER_SLOT = select(Slot.id).where(Slot.library_id == _LIBRARY, Slot.cleaner == 1)

_CLEANERS = select(PhysicalMedium.id, PhysicalMedium.drive_id, PhysicalMedium.slot_id, PhysicalMedium.port_id).where(
    PhysicalMedium.library_id == _LIBRARY, PhysicalMedium.cleaner == 1
)
_CLEANED = select(LibraryRequest.id).where(
    LibraryRequest.library_id == _LIBRARY,
    queue.IS_LIVE,
    LibraryRequest.operation == int(queue.CLEAN),
    LibraryRequest.drive_id == _ID,
)

# Telling them


class _CartridgeSeen(Protocol):
    @property
    def cleaner(self) -> bool | None: ...


class ElementSeen(Protocol):
    """What a device says of an element, as far as it tells cleaners."""

    @property
    def barcode(self) -> str | None: ...
    @property
    def cartridge(self) -> _CartridgeSeen | None: ...


class Recogniser:
    """What tells the cleaners of a library: their bar codes where it is set so, the device, and the cleaner slot."""

    def __init__(self, transaction: Transaction, library_id: uuid.UUID) -> None:
        self._transaction, self._library_id = transaction, library_id
        row = transaction.one(_LIBRARY_ROW, "a library", library=library_id)
        slot = transaction.row(_CLEANER_SLOT, library=library_id)
        self._by_barcode = bool(row.flags & _RECOGNIZE)
        self.expects_one = bool(row.flags & _PRESENT)
        self._slot_id = None if slot is None else slot.id

    def is_cleaner(self, status: ElementSeen) -> bool:
        """Tell whether what a device shows can be nothing but a cleaner."""
        if status.cartridge is not None and status.cartridge.cleaner:
            return True
        return self._by_barcode and status.barcode is not None and status.barcode.startswith(_PREFIX)

    def is_new_cleaner(self, place: Place, status: ElementSeen) -> bool:
        """Tell whether a cartridge that appeared in a place is a cleaner.

        In the cleaner slot it is one, unless the library tells cleaners by bar code and its bar code is another's.
        """
        if self.is_cleaner(status):
            return True
        if place.id == self._slot_id:
            return status.barcode is None or not self._by_barcode
        return status.barcode is None and self._find_strayed(place) is not None

    def enter(self, place: Place, status: ElementSeen, pool_id: uuid.UUID, media_type_id: uuid.UUID) -> None:
        """Put a cleaner that appeared on record, or write down where one is that nobody knew the place of."""
        medium_id = None if status.barcode else self._find_strayed(place)
        if medium_id is None:
            barcode = status.barcode or ""
            medium_id = enter_medium(
                self._transaction, "inventory", pool_id, media_type_id, barcode=barcode, sides=0, cleaner=True
            )
        set_place(self._transaction, medium_id, self._library_id, place, "inventory")

    def _find_strayed(self, place: Place) -> uuid.UUID | None:
        """Return the cleaner that a cartridge without a bar code in a place has to be, None if it need not be one.

        That is one of which nobody knows where it is; the place is the cleaner slot, or a drive that is to be cleaned.
        """
        cleaners = self._transaction.rows(_CLEANERS, library=self._library_id)
        lost = [each for each in cleaners if (each.slot_id, each.drive_id, each.port_id) == (None, None, None)]
        if not lost:
            return None
        cleaned = self._transaction.row(_CLEANED, library=self._library_id, id=place.id)
        found: uuid.UUID = lost[0].id
        return found if place.id == self._slot_id or cleaned is not None else None


_SIDES = select(Side.id, Side.number, Side.state, Side.mounted).where(Side.medium_id == _ID).order_by(Side.number)
_DELETE_SIDES = delete(Object).where(Object.id.in_(select(Side.id).where(Side.medium_id == _ID)))
_TO_IDENTIFY = select(LibraryRequest.id).where(
    LibraryRequest.medium_id == _ID,
    LibraryRequest.state == int(queue.QUEUED),
    LibraryRequest.operation == int(queue.IDENTIFY),
    LibraryRequest.completed.is_(None),
)
_IS_CLEANER = select(PhysicalMedium.cleaner).where(PhysicalMedium.id == _ID)
_USED = select(Mount.id).join(Side, Side.id == Mount.side_id).where(Side.medium_id == _ID)


def can_be_cleaner(transaction: Transaction, medium_id: uuid.UUID) -> bool:
    """Tell whether nothing is known to be recorded on a cartridge; a cleaner is one."""
    sides = transaction.rows(_SIDES, id=medium_id)
    return all(side.state in _UNIDENTIFIED for side in sides) and transaction.row(_USED, id=medium_id) is None


def make_cleaner(transaction: Transaction, medium_id: uuid.UUID) -> bool:
    """Write down that a cartridge on record is a cleaner; False if something is known to be recorded on it."""
    if not can_be_cleaner(transaction, medium_id):
        return False
    sides = transaction.rows(_SIDES, id=medium_id)
    transaction.change(_DELETE_SIDES, id=medium_id)
    for side in sides:
        before = {"medium_id": medium_id, "number": side.number, "state": side.state}
        events.record(transaction, "inventory", Operation.NTMS_OBJ_DELETE, Kind.NTMS_PARTITION, side.id, before=before)
    for waiting in transaction.rows(_TO_IDENTIFY, id=medium_id):
        queue.end_request(transaction, waiting.id, queue.CANCELLED, call="inventory")
    was = bool(transaction.one(_IS_CLEANER, "a cartridge", id=medium_id).cleaner)
    write_fields(transaction, Kind.NTMS_PHYSICAL_MEDIA, medium_id, "inventory", {"cleaner": was}, {"cleaner": True})
    return True


def take_in(transaction: Transaction, library_id: uuid.UUID, medium_id: uuid.UUID, uses: int) -> bool:
    """Write down that a cartridge was put in as the cleaner of a library, and its uses left; False if it is none."""
    if not make_cleaner(transaction, medium_id):
        return False
    settle_uses(transaction, library_id, "inject", uses)
    return True


_FORGOTTEN = select(*MEDIUM_COLUMNS).where(PhysicalMedium.id == _ID)


def forget_cleaner(transaction: Transaction, medium_id: uuid.UUID, call: str) -> None:
    """Take a cleaner that left its library off record: it is not kept on the shelf."""
    medium = transaction.one(_FORGOTTEN, "a cleaner", id=medium_id)
    go_offline(transaction, medium_id, call)
    forget_medium(transaction, call, medium)
    delete_unused_system_pools(transaction, call, medium.media_type_id)
    settle_uses(transaction, medium.library_id, call)


def settle_uses(transaction: Transaction, library_id: uuid.UUID, call: str, uses: int | None = None) -> None:
    """Bring what a library says of its cleaner in line with the cleaners in it; `uses` are those left, if told.

    Without a cleaner none are left; those of one that appeared, and of which nobody told, are not counted.
    """
    library = transaction.row(_LIBRARY_ROW, library=library_id)
    if library is None or library.library_type == OFFLINE:
        return
    left, flags = library.cleaner_uses_remaining, NtmsLibraryFlags(library.flags)
    if transaction.row(_CLEANERS, library=library_id) is None:
        left, flags = 0, flags & ~_PRESENT
    elif uses is not None:
        left, flags = uses, flags | _PRESENT
    else:
        left = UNCOUNTED if not flags & _PRESENT and left == 0 else left
        flags |= _PRESENT
    flags = flags | _IGNORE if left == UNCOUNTED else flags & ~_IGNORE
    old = {"cleaner_uses_remaining": library.cleaner_uses_remaining, "flags": library.flags}
    write_fields(
        transaction, Kind.NTMS_LIBRARY, library_id, call, old, {"cleaner_uses_remaining": left, "flags": int(flags)}
    )


def put_strays_away(transaction: Transaction, library_id: uuid.UUID) -> None:
    """Queue the emptying of drives that hold a cleaner although they are not to be cleaned."""
    for cleaner in transaction.rows(_CLEANERS, library=library_id):
        drive = cleaner.drive_id
        if drive is not None and transaction.row(_CLEANED, library=library_id, id=drive) is None:
            queue_dismount(transaction, library_id, drive, cleaner.id, transaction.now)


def settle(
    transaction: Transaction, library_id: uuid.UUID, turned_out: Iterable[uuid.UUID], came_from: Iterable[uuid.UUID]
) -> None:
    """Write down what a look at a library means for its cleaners.

    `turned_out`: cartridges on record that are cleaners. `came_from`: libraries that cleaners of this one were in.
    """
    for medium_id in turned_out:
        make_cleaner(transaction, medium_id)
    for each in {library_id, *came_from}:
        settle_uses(transaction, each, "inventory")
    put_strays_away(transaction, library_id)
