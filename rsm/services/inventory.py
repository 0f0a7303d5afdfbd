"""What a look at a library's device means for the catalogue: which cartridge is where, which came, and which are gone.

The device is the truth about where cartridges are, the catalogue about what they are. A bar code names a cartridge
first, its label second; where the device cannot tell what is in an element, nothing is concluded about it. A look that
finds nothing new writes nothing. It reads no device itself.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy import bindparam, func, select

from rsm import identity
from rsm.constants import (
    NtmsDismountOptions,
    NtmsInventoryMethod,
    NtmsOperationalState,
    NtmsPartitionState,
    NtmsPoolType,
    NtmsSlotState,
)
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction
from rsm.errors import InvalidLibraryError, InvalidParameterError, LibraryOfflineError
from rsm.model import (
    OFFLINE,
    Drive,
    Id,
    Library,
    LibraryMediaType,
    LibraryRequest,
    MediaType,
    Mount,
    PhysicalMedium,
    Port,
    Side,
    Slot,
    Text,
)
from rsm.security import Caller, need
from rsm.services import access, cleaners, queue
from rsm.services.devices import Place, set_state
from rsm.services.media import enter_medium
from rsm.services.objects import Reference, find
from rsm.services.places import go_offline, learn_barcode, rest_in_drive, set_occupied, set_place, set_slot
from rsm.services.pools import create_system_pools, find_system_pool
from rsm.services.queue import FAST, FULL
from rsm.services.reach import REACHED

State = NtmsPartitionState
_MOST_NAMES = 20
_ID = bindparam("id", type_=Id())
_LIBRARY = bindparam("library", type_=Id())


class CartridgeSeen(Protocol):
    """What a device knows of a cartridge without a drive."""

    @property
    def media_type(self) -> str | None: ...
    @property
    def sides(self) -> int | None: ...
    @property
    def capacity_bytes(self) -> int | None: ...
    @property
    def cleaner(self) -> bool | None: ...


class ElementSeen(Protocol):
    """What a device says of one of its elements; `rsm.libraries.base.ElementStatus` is one."""

    @property
    def address(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def full(self) -> bool | None: ...
    @property
    def accessible(self) -> bool: ...
    @property
    def barcode(self) -> str | None: ...
    @property
    def cartridge(self) -> CartridgeSeen | None: ...
    @property
    def exception(self) -> str | None: ...


@dataclass(slots=True)
class Findings:
    """What a look found: how many cartridges there are, and which of them are new, elsewhere, back, or gone."""

    found: int = 0
    moved: list[str] = field(default_factory=list)
    returned: list[str] = field(default_factory=list)
    appeared: list[str] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def as_details(self) -> dict[str, Any]:
        """Return the findings as a request keeps them: a few names of each kind, and their number."""
        details: dict[str, Any] = {"found": self.found}
        for name in ("moved", "returned", "appeared", "vanished", "problems"):
            each = getattr(self, name)
            details[name] = len(each)
            details[f"{name}_names"] = each[:_MOST_NAMES]
        return details


# Asking for one

_LIBRARY_ROW = select(Library.id, Library.name, Library.library_type, Library.inventory_method, Library.enabled).where(
    Library.id == _LIBRARY
)
_LIVE_INVENTORIES = select(
    LibraryRequest.id, LibraryRequest.state, LibraryRequest.operation, LibraryRequest.work_item_id
).where(
    LibraryRequest.library_id == _LIBRARY,
    queue.IS_LIVE,
    LibraryRequest.operation.between(int(queue.INVENTORY), int(queue.IDENTIFY)),
)


_DEVICE = select(
    Library.back_end,
    Library.address,
    Library.operational_state,
    REACHED.label("reached"),
).where(Library.id == _LIBRARY)


def read_device(transaction: Transaction, caller: Caller, library: Reference) -> Any:
    """Return where a library's device is, whether this host reaches it, and the state on record.

    Raises:
        InvalidParameterError, InvalidLibraryError, AccessDeniedError: as `request_inventory`.
    """
    row = _library(transaction, library)
    _check_right(transaction, caller, row.id)
    return transaction.one(_DEVICE, "a library", library=row.id, host=identity.host())


def request_inventory(
    transaction: Transaction, caller: Caller, library: Reference, method: int | None
) -> uuid.UUID | None:
    """Queue an inventory and return its id; None as method is the library's own (InventoryNtmsLibrary).

    A library whose own method is none has nothing to do: then None is returned.

    Raises:
        InvalidParameterError: there is no such library, or the method is neither fast nor full.
        InvalidLibraryError: it is the offline library.
        AccessDeniedError: the right on the library is missing.
    """
    row = _library(transaction, library)
    _check_right(transaction, caller, row.id)
    chosen = row.inventory_method if method is None else method
    if method is None and chosen not in (FAST, FULL):
        return None
    if chosen not in (FAST, FULL):
        raise InvalidParameterError("an inventory is fast (bar codes) or full (every label)")
    return queue.insert_request(transaction, queue.INVENTORY, row.id, caller_user=caller.user, option=int(chosen))


def stop_inventory(transaction: Transaction, caller: Caller, library: Reference) -> int:
    """Take a library's inventories and what is left of their identifying out of the queue; return how many.

    What is being done at this moment is done to its end. None running is no error (InventoryNtmsLibrary).

    Raises:
        InvalidParameterError, InvalidLibraryError, AccessDeniedError: as `request_inventory`.
    """
    row = _library(transaction, library)
    _check_right(transaction, caller, row.id)
    stopped = 0
    for request in transaction.rows(_LIVE_INVENTORIES, library=row.id):
        theirs = request.operation == queue.IDENTIFY and request.work_item_id is None  # asked for by itself
        if request.operation in (queue.INVENTORY, queue.IDENTIFY) and request.state != queue.INPROCESS and not theirs:
            stopped += queue.end_request(transaction, request.id, queue.STOPPED, call="InventoryNtmsLibrary")
    return stopped


def _check_right(transaction: Transaction, caller: Caller, library_id: uuid.UUID) -> None:
    rights = need("InventoryNtmsLibrary", transaction.policy.access_era).library
    access.require_library(transaction, caller, rights, Kind.NTMS_LIBRARY, library_id)


def _library(transaction: Transaction, reference: Reference) -> Any:
    library_id = find(transaction, Kind.NTMS_LIBRARY, reference)
    row = None if library_id is None else transaction.row(_LIBRARY_ROW, library=library_id)
    if row is None:
        raise InvalidParameterError(f"there is no library {reference}: rsm library list shows those there are")
    if row.library_type == OFFLINE:
        raise InvalidLibraryError("the offline library is the shelf: there is nothing to take an inventory of")
    return row


_SLOT_ROW = select(Slot.id, Slot.library_id).where(Slot.id == _ID)
_IN_SLOT = select(PhysicalMedium.id).where(PhysicalMedium.slot_id == _ID)


def request_identification(
    transaction: Transaction, caller: Caller, slot: Reference, *, deferred: bool = False
) -> uuid.UUID | None:
    """Queue the identifying of what is in a slot; None if nothing is on record there (IdentifyNtmsSlot).

    Raises:
        InvalidParameterError: there is no such slot.
        AccessDeniedError: the right on the library is missing.
    """
    slot_id = find(transaction, Kind.NTMS_STORAGESLOT, slot)
    row = None if slot_id is None else transaction.row(_SLOT_ROW, id=slot_id)
    if row is None:
        raise InvalidParameterError(f"there is no slot {slot}")
    rights = need("IdentifyNtmsSlot", transaction.policy.access_era).library
    access.require_library(transaction, caller, rights, Kind.NTMS_STORAGESLOT, row.id)
    medium = transaction.row(_IN_SLOT, id=row.id)
    if medium is None:
        return None
    option = NtmsDismountOptions.NTMS_DISMOUNT_DEFERRED if deferred else NtmsDismountOptions.NTMS_DISMOUNT_IMMEDIATE
    return queue.insert_request(
        transaction,
        queue.IDENTIFY,
        row.library_id,
        caller_user=caller.user,
        option=int(option),
        medium_id=medium.id,
        slot_id=row.id,
    )


# Comparing

_KNOWN_COLUMNS = (
    PhysicalMedium.id,
    PhysicalMedium.name,
    PhysicalMedium.barcode,
    PhysicalMedium.library_id,
    PhysicalMedium.online,
    PhysicalMedium.cleaner,
    func.coalesce(Slot.element, Drive.element, Port.element).label("element"),
)


def _known() -> Any:
    return (
        select(*_KNOWN_COLUMNS)
        .select_from(PhysicalMedium)
        .outerjoin(Slot, Slot.id == PhysicalMedium.slot_id)
        .outerjoin(Drive, Drive.id == PhysicalMedium.drive_id)
        .outerjoin(Port, Port.id == PhysicalMedium.port_id)
    )


_IN_LIBRARY = _known().where(PhysicalMedium.library_id == _LIBRARY)
_WITH_BARCODE = _known().where(PhysicalMedium.barcode == bindparam("barcode", type_=Text()))
_DRIVES = select(Drive.id, Drive.occupied, Drive.operational_state).where(Drive.library_id == _LIBRARY)
_SLOTS = select(Slot.id, Slot.state).where(Slot.library_id == _LIBRARY)


class Comparison:
    """The catalogue's idea of a library beside what its device shows. Making one writes nothing."""

    def __init__(
        self,
        transaction: Transaction,
        library_id: uuid.UUID,
        places: Mapping[int, Place],
        statuses: Iterable[ElementSeen],
    ) -> None:
        self._transaction = transaction
        self._library_id = library_id
        self._places = places
        known = transaction.rows(_IN_LIBRARY, library=library_id)
        self._at = {medium.element: medium for medium in known if medium.element is not None}
        self._coded = {medium.barcode: medium for medium in known if medium.barcode}
        self._known = {medium.id: medium for medium in known}
        self._read: set[int] = set()
        self._shown: set[int] = set()
        self._usable: dict[uuid.UUID, bool] = {}
        self.recogniser = cleaners.Recogniser(transaction, library_id)
        self.cleaners: set[uuid.UUID] = set()
        self._unjudged: set[uuid.UUID] = set()
        self.targets: dict[uuid.UUID, tuple[Any, Place]] = {}
        self.learned: dict[uuid.UUID, str] = {}
        self.new: list[tuple[Place, ElementSeen]] = []
        self.empty: set[int] = set()
        self.problems: list[str] = []
        for status in statuses:
            place = places.get(status.address)
            if place is not None and place.kind is not Kind.NTMS_CHANGER:
                self._judge(place, status)

    def _judge(self, place: Place, status: ElementSeen) -> None:
        self._read.add(place.element)
        at = self._at.get(place.element)
        if place.kind is Kind.NTMS_DRIVE:
            self._usable[place.id] = status.exception is None or status.accessible
        if status.exception is not None or status.full is None:
            self.problems.append(status.exception or f"{status.name}: the device cannot tell whether it is full")
            named = self._coded.get(status.barcode) if status.barcode is not None else None
            self._unjudged |= {medium.id for medium in (at, named) if medium is not None}
            return
        self._shown.add(place.element)
        if not status.full:
            self.empty.add(place.element)
            return
        medium = self._recognise(at, status)
        if medium is None:
            self.new.append((place, status))
        else:
            self.targets[medium.id] = (medium, place)
            if not medium.cleaner and self.recogniser.is_cleaner(status):
                self.cleaners.add(medium.id)

    def _recognise(self, at: Any, status: ElementSeen) -> Any:
        if status.barcode is None:
            return at  # nothing readable on it: taken for what was there
        medium = self._coded.get(status.barcode)
        if medium is None:
            medium = self._transaction.row(_WITH_BARCODE, barcode=status.barcode)
        if medium is None and at is not None and not at.barcode and at.id not in self.targets:
            self.learned[at.id] = status.barcode
            return at
        return medium

    @property
    def changed(self) -> list[tuple[Any, Place]]:
        """The cartridges on record that are elsewhere than it says."""
        return [
            (medium, place)
            for medium, place in self.targets.values()
            if medium.library_id != self._library_id or medium.element != place.element
        ]

    @property
    def displaced(self) -> list[Any]:
        """The cartridges of which nobody can tell where they are, but that it is not where they are on record."""
        return [
            medium
            for medium in self._known.values()
            if medium.id in self._unjudged and medium.id not in self.targets and medium.element in self._shown
        ]

    def gone(self, *, complete: bool) -> list[Any]:
        """Return the cartridges not seen where they are on record, in order; `complete`: nor anywhere else."""
        gone = (
            medium
            for medium in self._known.values()
            if medium.id not in self.targets
            and medium.id not in self._unjudged
            and (medium.element in self._read or (complete and medium.element is None))
        )
        return sorted(gone, key=lambda medium: medium.id)  # a server tells them in another order every time

    def drives_to_set(self) -> list[tuple[uuid.UUID, bool]]:
        """Return the drives that are said to hold something unknown and do not, or the other way round."""
        unknown = {place.id for place, _ in self.new if place.kind is Kind.NTMS_DRIVE}
        known = {place.id for _, place in self.targets.values() if place.kind is Kind.NTMS_DRIVE}
        empty = {self._places[element].id for element in self.empty}
        return [
            (drive.id, drive.id in unknown)
            for drive in self._transaction.rows(_DRIVES, library=self._library_id)
            if drive.id not in known and bool(drive.occupied) != (drive.id in unknown)
            if drive.id in unknown or drive.id in empty
        ]

    def drives_to_mark(self) -> list[tuple[uuid.UUID, NtmsOperationalState]]:
        """Return the drives that the robot cannot use and that are on record as ready, or the other way round."""
        ready, broken = NtmsOperationalState.NTMS_READY, NtmsOperationalState.NTMS_NEEDS_SERVICE
        marks = []
        for drive in self._transaction.rows(_DRIVES, library=self._library_id):
            if drive.operational_state in (ready, broken) and drive.id in self._usable:
                state = ready if self._usable[drive.id] else broken
                if drive.operational_state != state:
                    marks.append((drive.id, state))
        return marks

    def slots_to_set(self) -> list[tuple[uuid.UUID, NtmsSlotState]]:
        """Return the empty slots that are on record as anything else."""
        empty = {self._places[element].id for element in self.empty}
        state = NtmsSlotState.NTMS_SLOTSTATE_EMPTY
        return [
            (slot.id, state)
            for slot in self._transaction.rows(_SLOTS, library=self._library_id)
            if slot.id in empty and slot.state != state
        ]


def record_look(
    transaction: Transaction,
    library_id: uuid.UUID,
    places: Mapping[int, Place],
    statuses: Sequence[ElementSeen],
    *,
    complete: bool,
    request_id: uuid.UUID | None = None,
) -> Findings:
    """Put the catalogue right by what a device showed of some elements, or with `complete` of all of them.

    Cartridges that appeared go on record as unrecognized and are queued to be identified. Those that vanished go to
    the offline library after a complete look; after another one a complete look is queued.
    """
    comparison = Comparison(transaction, library_id, places, statuses)
    findings = Findings(found=len(comparison.targets) + len(comparison.new), problems=comparison.problems)
    changed, gone = comparison.changed, comparison.gone(complete=complete)
    for medium in gone:
        findings.vanished.append(medium.name)
        if complete and medium.cleaner:
            cleaners.forget_cleaner(transaction, medium.id, "inventory")
        elif complete:
            go_offline(transaction, medium.id, "inventory")
        else:
            set_place(transaction, medium.id, library_id, None, "inventory")
    for medium in comparison.displaced:
        set_place(transaction, medium.id, library_id, None, "inventory")
    wanted = {place.element for _, place in changed}
    for medium, _ in changed:  # out of each other's way first: no two can be in one place even for a moment
        if medium.library_id == library_id and medium.element in wanted:
            set_place(transaction, medium.id, library_id, None, "inventory")
    for medium, place in changed:
        set_place(transaction, medium.id, library_id, place, "inventory")
        (findings.moved if medium.library_id == library_id else findings.returned).append(medium.name)
    for medium_id, barcode in comparison.learned.items():
        learn_barcode(transaction, medium_id, barcode)
    for slot_id, state in comparison.slots_to_set():
        set_slot(transaction, slot_id, state)
    for drive_id, mark in comparison.drives_to_mark():
        set_state(transaction, Kind.NTMS_DRIVE, drive_id, mark)
    for drive_id, occupied in comparison.drives_to_set():
        set_occupied(transaction, drive_id, occupied)
    for place, status in comparison.new:
        try:
            if comparison.recogniser.is_new_cleaner(place, status):
                findings.appeared.append(_enter_cleaner(transaction, library_id, comparison.recogniser, place, status))
            else:
                findings.appeared.append(enter_found(transaction, library_id, place, status, request_id))
        except (LibraryOfflineError, InvalidParameterError) as error:  # nothing is written yet where these come from
            findings.problems.append(f"{status.name}: {error}")
    rest_in_drive(transaction, library_id)
    moved = {medium.library_id for medium, _ in comparison.targets.values() if medium.cleaner}
    if moved or comparison.cleaners or comparison.new or comparison.recogniser.expects_one:
        cleaners.settle(transaction, library_id, comparison.cleaners, moved)
    if gone and not complete:
        queue.queue_inventory(transaction, library_id)
    return findings


def wants_every_label(transaction: Transaction, library_id: uuid.UUID, option: int) -> bool:
    """Tell whether an inventory reads every label; the default is the library's own method."""
    if option != NtmsInventoryMethod.NTMS_INVENTORY_DEFAULT:
        return option == FULL
    row = transaction.row(_LIBRARY_ROW, library=library_id)
    return row is not None and row.inventory_method == FULL


_AUTO_RECOVERY = select(Library.auto_recovery).where(Library.id == _LIBRARY)


def recover_from_mismatch(transaction: Transaction, library_id: uuid.UUID) -> None:
    """Queue a full inventory after a label that was another's, where the library is set to recover by itself."""
    row = transaction.row(_AUTO_RECOVERY, library=library_id)
    if row is not None and row.auto_recovery:
        queue.queue_inventory(transaction, library_id, FULL)


# Entering what appeared

_TYPE_NAMED = select(MediaType.id, MediaType.name, MediaType.sides).where(
    MediaType.name == bindparam("name", type_=Text())
)
_TYPES_OF_LIBRARY = (
    select(MediaType.id, MediaType.name, MediaType.sides)
    .join(LibraryMediaType, LibraryMediaType.media_type_id == MediaType.id)
    .where(LibraryMediaType.library_id == _LIBRARY)
    .order_by(MediaType.name)
)


def enter_found(
    transaction: Transaction,
    library_id: uuid.UUID,
    place: Place,
    status: ElementSeen,
    request_id: uuid.UUID | None,
) -> str:
    """Put a cartridge that appeared on record as unrecognized, queue its identifying, and return what it is called.

    Raises:
        LibraryOfflineError: nobody tells its media type.
        InvalidParameterError: its media type is not on record.
    """
    taken = transaction.rows(_TYPES_OF_LIBRARY, library=library_id)
    seen = status.cartridge
    media_type = _type_of(transaction, taken, None if seen is None else seen.media_type)
    sides = (seen.sides if seen is not None else None) or media_type.sides
    fits = media_type.id in {each.id for each in taken} and sides == media_type.sides
    create_system_pools(transaction, "inventory", media_type.id, media_type.name)
    pool = find_system_pool(transaction, NtmsPoolType.NTMS_POOLTYPE_FOREIGN, media_type.id)
    assert pool is not None, "it was just made"
    medium_id = enter_medium(
        transaction,
        "inventory",
        pool,
        media_type.id,
        barcode=status.barcode or "",
        sides=min(sides, 2),
        state=State.NTMS_PARTSTATE_UNKNOWN if fits else State.NTMS_PARTSTATE_INCOMPATIBLE,
        capacity_bytes=(seen.capacity_bytes if seen is not None else None) or 0,
    )
    set_place(transaction, medium_id, library_id, place, "inventory")
    if fits:
        queue_identification(transaction, library_id, medium_id, request_id)
    return status.barcode or status.name


def _enter_cleaner(
    transaction: Transaction, library_id: uuid.UUID, recogniser: cleaners.Recogniser, place: Place, status: ElementSeen
) -> str:
    """Put a cleaner that appeared on record and return what it is called; nobody reads its label.

    Raises:
        InvalidParameterError: its media type is not on record.
    """
    taken, seen = transaction.rows(_TYPES_OF_LIBRARY, library=library_id), status.cartridge
    told = None if seen is None else seen.media_type
    media_type = taken[0] if told is None and taken else _type_of(transaction, taken, told)
    create_system_pools(transaction, "inventory", media_type.id, media_type.name)
    pool = find_system_pool(transaction, NtmsPoolType.NTMS_POOLTYPE_FOREIGN, media_type.id)
    assert pool is not None, "it was just made"
    recogniser.enter(place, status, pool, media_type.id)
    return status.barcode or status.name


def queue_identification(
    transaction: Transaction, library_id: uuid.UUID, medium_id: uuid.UUID, request_id: uuid.UUID | None
) -> None:
    """Queue the reading of a cartridge's labels, as a part of the inventory that wants it."""
    if not queue.is_queued_for(transaction, queue.IDENTIFY, library_id, medium_id):
        queue.insert_request(
            transaction,
            queue.IDENTIFY,
            library_id,
            caller_user=transaction.origin.user,
            option=int(NtmsDismountOptions.NTMS_DISMOUNT_IMMEDIATE),
            medium_id=medium_id,
            work_item_id=request_id,
        )


def _type_of(transaction: Transaction, taken: Sequence[Any], name: str | None) -> Any:
    if name is None:
        if len(taken) != 1:
            raise LibraryOfflineError("the device does not tell the media type, and the library takes several")
        return taken[0]
    row = transaction.row(_TYPE_NAMED, name=name)
    if row is None:
        raise InvalidParameterError(f"its media type {name!a} is not on record: rsm type create makes it")
    return row


_IDLE_MEDIA = (
    select(PhysicalMedium.id)
    .where(PhysicalMedium.library_id == _LIBRARY, PhysicalMedium.cleaner == 0)
    .where(
        ~select(Mount.id)
        .join(Side, Side.id == Mount.side_id)
        .where(Side.medium_id == PhysicalMedium.id, Mount.dismountable_from.is_(None))
        .exists()
    )
    .order_by(PhysicalMedium.id)
)


def queue_identifying_all(transaction: Transaction, library_id: uuid.UUID, request_id: uuid.UUID) -> int:
    """Queue the reading of the labels of every cartridge in a library that nobody uses; return how many.

    Free labels that could not be written before, as on a write-protected cartridge, are tried again.
    """
    media = transaction.rows(_IDLE_MEDIA, library=library_id)
    for medium in media:
        queue_identification(transaction, library_id, medium.id, request_id)
        queue.queue_free_labels(transaction, medium.id)
    return len(media)
