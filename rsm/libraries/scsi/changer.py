"""A SCSI media changer: its elements, read in pieces, and carrying cartridges between them.

Survives what is seen in the field: device identifiers or volume tags refused, answers that are too long for the device,
elements told that were not asked for, or not told at all. Decides nothing about which cartridge goes where.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from rsm.errors import NotSupportedError, RsmError
from rsm.libraries.base import (
    DestinationFullError,
    ElementNotAccessibleError,
    SourceEmptyError,
    UnknownElementError,
)
from rsm.libraries.scsi import cdb
from rsm.libraries.scsi.cdb import ElementType
from rsm.libraries.scsi.decode import (
    Capabilities,
    ElementAddresses,
    ElementDescriptor,
    MalformedReplyError,
    ModePage,
    Sense,
    decode_capabilities,
    decode_element_addresses,
    decode_element_status,
    decode_mode_page,
    decode_tape_alerts,
)
from rsm.libraries.scsi.sense import Key, Retry, error_from_sense, rule_for
from rsm.libraries.scsi.transport import LostError, Transport
from rsm.libraries.scsi.unit import ATTENTIONS, Unit

MOVE_SECONDS: Final = 900.0
STATUS_SECONDS: Final = 900.0
INVENTORY_SECONDS: Final = 7200.0
PIECE_BYTES: Final = 65_536
_SMALLEST_PIECE_BYTES: Final = 1024  # any one element fits
_DESCRIPTOR_BYTES: Final = 52  # with a volume tag, as most are
_EXCHANGE, _OPEN_CLOSE, _PREVENT = 0xA6, 0x1B, 0x1E
_PAIR: Final = (ElementType.STORAGE, ElementType.DATA_TRANSFER)
_REFUSALS = (SourceEmptyError, DestinationFullError, NotSupportedError, UnknownElementError)
_log = logging.getLogger("rsm.libraries.scsi")


@dataclass(frozen=True, slots=True)
class Place:
    """An element with its kind, and all addresses that the kind has."""

    address: int
    kind: ElementType
    addresses: range


# Whether there is a cartridge, and its bar code; None where that cannot be told.
Sight = tuple[bool | None, str | None]
Sights = dict[Place, Sight]


class Changer(Unit):
    """A media changer. What it refused once it is not asked again."""

    def __init__(self, transport: Transport) -> None:
        """Take over a transport; nothing is asked of the device."""
        super().__init__(transport)
        self._piece_bytes = PIECE_BYTES
        self._device_ids = self._volume_tags = True
        self._exchange_refused = False
        self._tells_access = False

    @property
    def tells_access(self) -> bool:
        """Whether it ever said that an element can be reached: some never do, and mean nothing by it."""
        return self._tells_access

    # --- what it is -------------------------------------------------------------------------------------------------

    def read_addresses(self) -> ElementAddresses:
        """Return which addresses its elements have (RsmError)."""
        return decode_element_addresses(self._read_mode(0x1D).page)

    def read_capabilities(self) -> Capabilities:
        """Return what it says it can carry from where to where; nothing where it does not say (RsmError)."""
        try:
            return decode_capabilities(self._read_mode(0x1F).page)
        except (NotSupportedError, MalformedReplyError):
            return Capabilities(frozenset(), frozenset())

    def _read_mode(self, page: int) -> ModePage:
        try:
            return decode_mode_page(self.run(cdb.mode_sense_6(page), read_length=255), page)
        except (NotSupportedError, MalformedReplyError):
            return decode_mode_page(self.run(cdb.mode_sense_10(page), read_length=512), page, ten=True)

    def can_exchange(self) -> bool:
        """Return whether it exchanges the cartridge in a drive for one in a slot (RsmError)."""
        if self._exchange_refused or _PAIR not in self.read_capabilities().exchanges:
            return False
        return self.has_command(_EXCHANGE) is not False

    def can_extend_ports(self) -> bool:
        """Return whether it says that it opens and closes ports, or locks them (RsmError)."""
        return bool(self.has_command(_OPEN_CLOSE) or self.has_command(_PREVENT))

    def read_tape_alerts(self) -> frozenset[int]:
        """Return the TapeAlert flags that are up, none where it has no such log (RsmError)."""
        try:
            return decode_tape_alerts(self.run(cdb.log_sense(0x2E, 1024), read_length=1024))
        except (NotSupportedError, MalformedReplyError):
            return frozenset()

    # --- its elements -----------------------------------------------------------------------------------------------

    def initialize_elements(self, run: range | None = None) -> None:
        """Have it look into all elements, or into some, which takes minutes (RsmError)."""
        command = cdb.initialize_element_status(*(() if run is None else (run.start, len(run))))
        self.run(command, timeout_seconds=INVENTORY_SECONDS)

    def read_elements(
        self, kind: ElementType, run: range, addresses: range, *, device_ids: bool = False
    ) -> Iterator[ElementDescriptor]:
        """Yield the elements of a kind in a run of addresses, in pieces, by address; those not told are left out.

        `addresses` are all that the kind has.

        Raises:
            RsmError: as `run`, or MalformedReplyError.
        """
        at = run.start
        while at < run.stop:
            piece = self._read_piece(kind, range(at, run.stop), addresses, device_ids)
            if not piece:
                return
            yield from piece
            at = piece[-1].address + 1

    def _read_piece(self, kind: ElementType, run: range, addresses: range, device_ids: bool) -> list[ElementDescriptor]:
        while True:
            length, ids = self._piece_bytes, device_ids and self._device_ids
            count = min(len(run), max(1, length // _DESCRIPTOR_BYTES))
            command = cdb.read_element_status(
                kind, run.start, count, length, volume_tags=self._volume_tags, device_ids=ids
            )
            reply, sense = self.give(command, read_length=length, timeout_seconds=STATUS_SECONDS)
            if sense is None:
                ended = len(reply.data) < length  # it was not our length that cut the answer off
                elements = decode_element_status(reply.data, addresses, keep_cut=ended)
                told = {each.address: each for each in elements if each.kind == kind}
                self._tells_access = self._tells_access or any(each.accessible for each in told.values())
                return [told[address] for address in sorted(told) if address in run]
            if not self._ask_for_less(sense, ids):
                raise error_from_sense(sense, self.name)

    def _ask_for_less(self, sense: Sense, ids: bool) -> bool:
        """Leave out of the next question what the device may have refused; False where nothing is left."""
        if sense.key not in (Key.ILLEGAL_REQUEST, Key.HARDWARE_ERROR):
            return False
        if ids and sense.key == Key.ILLEGAL_REQUEST:
            self._device_ids = False
        elif self._piece_bytes > _SMALLEST_PIECE_BYTES:
            self._piece_bytes //= 4
        elif self._volume_tags and sense.key == Key.ILLEGAL_REQUEST:
            self._volume_tags, self._piece_bytes = False, PIECE_BYTES
        else:
            return False
        return True

    # --- carrying ---------------------------------------------------------------------------------------------------

    def move(self, transport: int, source: Place, destination: Place) -> None:
        """Carry a cartridge, after a look at both elements; trouble on the way is settled by another look.

        Raises:
            ElementNotAccessibleError, SourceEmptyError: of the source.
            ElementNotAccessibleError, DestinationFullError: of the destination.
            RsmError: the device failed; it was not moved, or `outcome_unknown` is set.
        """

        def look() -> tuple[Sights, Sights]:
            there, goal = self._look_for(source, full=True), self._look_for(destination, full=False)
            return {source: there, destination: goal}, {source: goal, destination: there}

        self._carry(cdb.move_medium(transport, source.address, destination.address), look)

    def exchange(self, transport: int, source: Place, destination: Place, displaced: Place) -> None:
        """Carry a cartridge from `source` to `destination`, and what was there to `displaced`.

        Raises:
            NotSupportedError: the device cannot.
            RsmError: as `move`.
        """

        def look() -> tuple[Sights, Sights]:
            there, out = self._look_for(source, full=True), self._look_for(destination, full=True)
            before, after = {source: there, destination: out}, {destination: there, source: out}
            if displaced != source:
                before[displaced] = self._look_for(displaced, full=False)
                after |= {source: before[displaced], displaced: out}
            return before, after

        command = cdb.exchange_medium(transport, source.address, destination.address, displaced.address)
        try:
            self._carry(command, look)
        except NotSupportedError:
            self._exchange_refused = True
            raise

    def _look_for(self, place: Place, *, full: bool) -> Sight:
        """Return what is at a place, which must be full, or empty (ElementNotAccessibleError, SourceEmptyError, …)."""
        seen = self.look(place)
        if seen is None:
            return full, None
        if self._tells_access and not seen.accessible and (full or place.kind is not ElementType.DATA_TRANSFER):
            raise ElementNotAccessibleError(
                f"{self.name}: the robot cannot reach element {place.address}: {_reason(seen)}"
            )
        if full and not seen.full:
            raise SourceEmptyError(f"{self.name}: element {place.address} is empty")
        if not full and seen.full:
            raise DestinationFullError(f"{self.name}: element {place.address} is full")
        return full, seen.volume_tag if full else None

    def look(self, place: Place) -> ElementDescriptor | None:
        """Return what is at a place, None where the device does not tell (RsmError)."""
        run = range(place.address, place.address + 1)
        return next(self.read_elements(place.kind, run, place.addresses), None)

    def _carry(self, command: bytes, look: Callable[[], tuple[Sights, Sights]]) -> None:
        """Carry cartridges from how they were to how they are to be; `look` returns both."""
        for attempt in range(ATTENTIONS):
            before, after = look()
            try:
                _, sense = self.give(command, timeout_seconds=MOVE_SECONDS, repeat=False)
            except LostError as error:
                self._settle(error, before, after)
                return
            if sense is None:
                return
            if rule_for(sense).retry is Retry.AT_ONCE and attempt < ATTENTIONS - 1:
                continue
            trouble = error_from_sense(sense, self.name)
            if isinstance(trouble, _REFUSALS):
                raise trouble
            self._settle(trouble, before, after)
            return

    def _settle(self, trouble: RsmError, before: Sights, after: Sights) -> None:
        """Return where the cartridges arrived after all; raise `trouble` where they are as before, or nobody knows."""
        try:
            now: Sights = {}
            for place in before:
                seen = self.look(place)
                now[place] = (None, None) if seen is None else (seen.full, seen.volume_tag if seen.full else None)
        except RsmError as error:
            raise _unknown(trouble) from error
        if _agree(now, before) and not _agree(now, after):
            raise trouble
        if not _agree(now, after) or _agree(now, before):
            raise _unknown(trouble) from trouble
        _log.warning("%s: the cartridge arrived after all", trouble)

    # --- ports ------------------------------------------------------------------------------------------------------

    def open_port(self, port: int) -> None:
        """Push a port out; where the device cannot, let people open its ports (RsmError)."""
        try:
            self.run(cdb.open_close_port(port, close=False), timeout_seconds=MOVE_SECONDS)
        except NotSupportedError:
            self.allow_removal()

    def close_port(self, port: int) -> None:
        """Pull a port in; where the device cannot, keep its ports locked (RsmError)."""
        try:
            self.run(cdb.open_close_port(port, close=True), timeout_seconds=MOVE_SECONDS)
        except NotSupportedError:
            self.prevent_removal()

    def allow_removal(self) -> None:
        """Let people open the device (RsmError)."""
        self.run(cdb.prevent_removal(False))

    def prevent_removal(self) -> None:
        """Keep people from opening the device (RsmError)."""
        self.run(cdb.prevent_removal(True))


def _agree(some: Sights, others: Sights) -> bool:
    """Tell whether two looks show the same; a bar code that one of them lacks may be any."""
    return all(
        full == others[place][0] and (tag == others[place][1] or None in (tag, others[place][1]))
        for place, (full, tag) in some.items()
    )


def _unknown(trouble: RsmError) -> RsmError:
    return type(trouble)(f"{trouble}: where the cartridge is cannot be told", outcome_unknown=True)


def _reason(seen: ElementDescriptor) -> str:
    return rule_for(Sense(Key.NOT_READY, seen.asc, seen.ascq)).text if seen.asc else "the device does not say why"
