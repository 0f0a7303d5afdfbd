"""What SCSI devices answer, read from bytes: SPC-4, SMC-3, SSC-3.

Owns the values that answers are turned into. Reads nothing past the end of what it is given and believes no length in
it: what was cut off is left out, and what cannot be understood is MalformedReplyError. Sends nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from rsm.errors import InvalidLibraryError
from rsm.libraries.scsi.cdb import ElementType

_DESCRIPTOR = struct.Struct(">HBxBBxxxBH")  # address, flags, ASC, ASCQ, what byte 10 on says, source
_TAG_BYTES: Final = 36
_PLAIN_BYTES: Final = _DESCRIPTOR.size
_IDENTIFIER_HEAD_BYTES: Final = 4
_PROBED = 8


class MalformedReplyError(InvalidLibraryError):
    """A device answered what cannot be understood."""


# --- sense data -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sense:
    """Why a command was not simply carried out. `information` is None where the device gave none."""

    key: int
    asc: int = 0
    ascq: int = 0
    filemark: bool = False
    end_of_medium: bool = False
    incorrect_length: bool = False
    information: int | None = None
    deferred: bool = False


def decode_sense(data: bytes) -> Sense | None:
    """Return what sense data says, in the fixed or the descriptor format; None where there is none (SPC-4 4.5)."""
    code = data[0] & 0x7F if data else 0
    if code in (0x70, 0x71) and len(data) >= 3:
        return _fixed_sense(data, deferred=code == 0x71)
    if code in (0x72, 0x73) and len(data) >= 4:
        return _descriptor_sense(data, deferred=code == 0x73)
    return None


def _fixed_sense(data: bytes, *, deferred: bool) -> Sense:
    told = data[: 8 + data[7]] if len(data) > 7 else data
    padded = told.ljust(14, b"\0")
    information = int.from_bytes(told[3:7], "big", signed=True) if data[0] & 0x80 and len(told) >= 7 else None
    flags = data[2]
    return Sense(
        flags & 0x0F,
        padded[12],
        padded[13],
        bool(flags & 0x80),
        bool(flags & 0x40),
        bool(flags & 0x20),
        information,
        deferred,
    )


def _descriptor_sense(data: bytes, *, deferred: bool) -> Sense:
    information, flags, at = None, 0, 8
    end = min(len(data), 8 + data[7]) if len(data) > 7 else 0
    while at + 2 <= end:
        length = data[at + 1]
        body = data[at + 2 : min(end, at + 2 + length)]
        if data[at] == 0 and len(body) >= 10 and body[0] & 0x80:
            information = int.from_bytes(body[2:10], "big", signed=True)
        elif data[at] == 4 and len(body) >= 2:
            flags = body[1]
        at += 2 + length
    stream = bool(flags & 0x80), bool(flags & 0x40), bool(flags & 0x20)
    return Sense(data[1] & 0x0F, data[2], data[3], *stream, information, deferred)


# --- what a device is -----------------------------------------------------------------------------------------------

TAPE_DRIVE: Final = 1
MEDIA_CHANGER: Final = 8


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What kind of device it is and who made it. `connected` is false for a place where none is."""

    device_type: int
    connected: bool
    vendor: str
    product: str
    revision: str


@dataclass(frozen=True, slots=True)
class DeviceId:
    """One designator of a device, all of it unless `cut`.

    `code_set` 1 is binary, 2 ASCII, 3 UTF-8; `kind` 1 is a T10 one, 3 an NAA.
    """

    code_set: int
    kind: int
    value: bytes
    cut: bool = False

    @property
    def text(self) -> str:
        """What it says, empty where it is not text."""
        return _text(self.value) if self.code_set in (2, 3) else ""


def _text(data: bytes) -> str:
    """Return text without what pads it; what cannot be printed counts as padding."""
    text = data.decode("utf-8", "replace")
    return "".join(each if each.isprintable() and each != "\ufffd" else " " for each in text).strip()


def _need(data: bytes, length: int, what: str) -> None:
    if len(data) < length:
        raise MalformedReplyError(f"{what} is {len(data)} bytes long: at least {length} were expected")


def decode_inquiry(data: bytes) -> Inquiry:
    """Return what the standard INQUIRY data says.

    Raises:
        MalformedReplyError: it is shorter than 5 bytes.
    """
    _need(data, 5, "the answer to INQUIRY")
    told = data[: 5 + data[4]]
    return Inquiry(data[0] & 0x1F, data[0] >> 5 == 0, _text(told[8:16]), _text(told[16:32]), _text(told[32:36]))


def _vital_page(data: bytes, page: int) -> bytes:
    _need(data, 4, f"page 0x{page:02X} of vital product data")
    if data[1] != page:
        raise MalformedReplyError(f"page 0x{page:02X} of vital product data was asked for, 0x{data[1]:02X} came")
    return data[4 : 4 + int.from_bytes(data[2:4], "big")]


def decode_serial_number(data: bytes) -> str:
    """Return the serial number in page 0x80 of vital product data.

    Raises:
        MalformedReplyError: it is another page, or cut short.
    """
    return _text(_vital_page(data, 0x80))


def decode_device_ids(data: bytes) -> tuple[DeviceId, ...]:
    """Return the designators in page 0x83 of vital product data.

    Raises:
        MalformedReplyError: it is another page, or cut short.
    """
    page, found, at = _vital_page(data, 0x83), [], 0
    while each := _device_id(page, at):
        found.append(each)
        at += _IDENTIFIER_HEAD_BYTES + len(each.value)
    return tuple(found)


def _device_id(data: bytes, at: int, *, keep_cut: bool = False) -> DeviceId | None:
    """Return the designator at an offset, None where none is whole, or not even begun."""
    start = at + _IDENTIFIER_HEAD_BYTES
    if start > len(data) or not data[at + 3]:
        return None
    value = bytes(data[start : start + data[at + 3]])
    cut = len(value) < data[at + 3]
    return None if cut and not (keep_cut and value) else DeviceId(data[at] & 0x0F, data[at + 1] & 0x0F, value, cut)


def decode_luns(data: bytes) -> tuple[int, ...]:
    """Return the logical unit numbers that REPORT LUNS tells, but those in more than one level.

    Raises:
        MalformedReplyError: it is cut short.
    """
    _need(data, 8, "the answer to REPORT LUNS")
    told, found = data[8 : 8 + int.from_bytes(data[:4], "big")], []
    for at in range(0, len(told) - 7, 8):
        method, number = told[at] >> 6, int.from_bytes(told[at : at + 2], "big") & 0x3FFF
        if method in (0, 1) and not any(told[at + 2 : at + 8]):
            found.append(number)
    return tuple(found)


def decode_supported(data: bytes) -> bool | None:
    """Return whether a device has the command that it was asked about, None where it cannot tell yet.

    Raises:
        MalformedReplyError: it is cut short.
    """
    _need(data, 2, "the answer to REPORT SUPPORTED OPERATION CODES")
    return {1: False, 3: True, 5: True}.get(data[1] & 0x07)


# --- mode, log and attribute data -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ModePage:
    """A mode page, and what comes before it. `block_bytes` 0 is variable, None where it was not told."""

    write_protected: bool
    density: int
    block_bytes: int | None
    page: bytes


def decode_mode_page(data: bytes, page: int, *, ten: bool = False) -> ModePage:
    """Return a page from the answer to MODE SENSE(6), or to MODE SENSE(10).

    `page` 0 is none at all: only what comes before pages.

    Raises:
        MalformedReplyError: it is cut short, or the page is not in it.
    """
    head = 8 if ten else 4
    _need(data, head, "the answer to MODE SENSE")
    total = int.from_bytes(data[:2], "big") + 2 if ten else data[0] + 1
    descriptors = int.from_bytes(data[6:8], "big") if ten else data[3]
    flags, told = data[3 if ten else 2], data[:total]
    block = told[head : head + descriptors]
    density, block_bytes = (block[0], int.from_bytes(block[5:8], "big")) if len(block) >= 8 else (0, None)
    at = head + descriptors
    while page and at + 2 <= len(told):
        if told[at] & 0x40:  # a page with a sub-page number has a longer head
            at += 4 + int.from_bytes(told[at + 2 : at + 4], "big")
            continue
        if told[at] & 0x3F == page:
            return ModePage(bool(flags & 0x80), density, block_bytes, told[at : at + 2 + told[at + 1]])
        at += 2 + told[at + 1]
    if page:
        raise MalformedReplyError(f"mode page 0x{page:02X} was asked for and did not come")
    return ModePage(bool(flags & 0x80), density, block_bytes, b"")


@dataclass(frozen=True, slots=True)
class ElementAddresses:
    """Which addresses the elements of each kind have."""

    transports: range
    slots: range
    ports: range
    drives: range


def decode_element_addresses(page: bytes) -> ElementAddresses:
    """Return what mode page 0x1D, element address assignment, says (SMC-3 7.3.4).

    Raises:
        MalformedReplyError: it is cut short, an address has more than 16 bits, or two kinds share one.
    """
    _need(page, 18, "the mode page of element addresses")
    numbers = struct.unpack_from(">8H", page, 2)
    kinds = [range(first, first + count) for first, count in zip(numbers[::2], numbers[1::2], strict=True)]
    taken: list[range] = []
    for each in kinds:
        if each.stop > 65_536 or any(
            each and other and each[0] <= other[-1] and other[0] <= each[-1] for other in taken
        ):
            raise MalformedReplyError(
                f"the addresses {each.start} to {each.stop - 1} are those of two elements, or none"
            )
        taken.append(each)
    return ElementAddresses(*kinds)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a changer can carry from where to where. The sets hold pairs of kinds of elements."""

    moves: frozenset[tuple[ElementType, ElementType]]
    exchanges: frozenset[tuple[ElementType, ElementType]]


def decode_capabilities(page: bytes) -> Capabilities:
    """Return what mode page 0x1F, device capabilities, says (SMC-3 7.3.2).

    Raises:
        MalformedReplyError: it is cut short.
    """
    _need(page, 8, "the mode page of device capabilities")
    # Bytes in the order of the kinds, in each a bit a kind.
    kinds = [each for each in ElementType if each is not ElementType.ALL]

    def pairs(rows: bytes) -> frozenset[tuple[ElementType, ElementType]]:
        return frozenset((a, b) for a, row in zip(kinds, rows, strict=False) for b in kinds if row >> (b - 1) & 1)

    return Capabilities(pairs(page[4:8]), pairs(page[12:16]))


def decode_log_parameters(data: bytes, page: int) -> dict[int, bytes]:
    """Return the parameters that LOG SENSE tells by number.

    Raises:
        MalformedReplyError: it is another page, or cut short.
    """
    _need(data, 4, "the answer to LOG SENSE")
    if data[0] & 0x3F != page:
        raise MalformedReplyError(f"log page 0x{page:02X} was asked for, 0x{data[0] & 0x3F:02X} came")
    told, at, found = data[4 : 4 + int.from_bytes(data[2:4], "big")], 0, {}
    while at + 4 <= len(told) and at + 4 + told[at + 3] <= len(told):
        found[int.from_bytes(told[at : at + 2], "big")] = told[at + 4 : at + 4 + told[at + 3]]
        at += 4 + told[at + 3]
    return found


TAPE_ALERT_PAGE: Final = 0x2E


def decode_tape_alerts(data: bytes) -> frozenset[int]:
    """Return the numbers, 1 to 64, of the TapeAlert flags that are up.

    Raises:
        MalformedReplyError: it is another page, or cut short.
    """
    flags = decode_log_parameters(data, TAPE_ALERT_PAGE)
    return frozenset(number for number, value in flags.items() if 1 <= number <= 64 and value[-1:] > b"\0")


def decode_attributes(data: bytes) -> dict[int, bytes]:
    """Return the values that READ ATTRIBUTE tells by attribute (SPC-4 7.4).

    Raises:
        MalformedReplyError: it is cut short.
    """
    _need(data, 4, "the answer to READ ATTRIBUTE")
    told, at, found = data[4 : 4 + int.from_bytes(data[:4], "big")], 0, {}
    while at + 5 <= len(told):
        end = at + 5 + int.from_bytes(told[at + 3 : at + 5], "big")
        if end > len(told):
            break
        found[int.from_bytes(told[at : at + 2], "big")] = told[at + 5 : end]
        at = end
    return found


def decode_position(data: bytes) -> int | None:
    """Return the number of the block that a drive stands before, None where it does not know (SSC-3 7.6).

    Raises:
        MalformedReplyError: it is cut short.
    """
    _need(data, 12, "the answer to READ POSITION")
    unknown = data[0] & 0x06
    return None if unknown else int.from_bytes(data[4:8], "big")


# --- element status -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class ElementDescriptor:
    """One element as READ ELEMENT STATUS tells it. `volume_tag` is None where there is none or it is not readable."""

    kind: int
    address: int
    full: bool
    placed_by_operator: bool
    exception: bool
    accessible: bool
    asc: int
    ascq: int
    medium_type: int
    inverted: bool | None
    source: int | None
    volume_tag: str | None
    device_id: DeviceId | None


def decode_element_status(data: bytes, addresses: range, *, keep_cut: bool = False) -> list[ElementDescriptor]:
    """Return the elements that READ ELEMENT STATUS tells, as far as they are whole (SMC-3 6.11).

    `addresses` are those that elements of the kind asked for can have; a page whose descriptors are not as long as it
    says is read with the length that gives such addresses. `keep_cut`: the last one counts as well where only its
    identifier is cut off, as by devices that count their own headers wrongly.

    Raises:
        MalformedReplyError: it is cut short, or the length of the descriptors cannot be told.
    """
    _need(data, 8, "the answer to READ ELEMENT STATUS")
    told = data[8 : 8 + int.from_bytes(data[5:8], "big")]
    found: list[ElementDescriptor] = []
    at = 0
    while at + 8 <= len(told):
        length = int.from_bytes(told[at + 2 : at + 4], "big")
        end = at + 8 + int.from_bytes(told[at + 5 : at + 8], "big")
        body = told[at + 8 : end]
        if body:
            found.extend(_read_page(body, told[at], told[at + 1], length, addresses, keep_cut))
        at = end
    return found


def _read_page(
    body: bytes, kind: int, flags: int, stated: int, addresses: range, keep_cut: bool
) -> Iterator[ElementDescriptor]:
    tags = (flags >> 7 & 1) + (flags >> 6 & 1)
    length = _descriptor_bytes(body, stated, tags, addresses)
    has_tag, identifier_at = bool(flags & 0x80), _PLAIN_BYTES + _TAG_BYTES * tags
    unpack, tag_end = _DESCRIPTOR.unpack_from, _PLAIN_BYTES + 32
    shortest = min(length, tag_end if has_tag else _PLAIN_BYTES) if keep_cut else length
    for at in range(0, len(body) - shortest + 1, length):
        address, state, asc, ascq, origin, source = unpack(body, at)
        whole = body[at : at + length]
        yield ElementDescriptor(
            kind,
            address,
            bool(state & 0x01),
            bool(state & 0x02),
            bool(state & 0x04),
            bool(state & 0x08),
            asc,
            ascq,
            origin & 0x07,
            bool(origin & 0x40) if origin & 0x80 else None,
            source if origin & 0x80 else None,
            _volume_tag(whole[_PLAIN_BYTES:tag_end]) if has_tag and length >= tag_end else None,
            _device_id(whole, identifier_at, keep_cut=keep_cut) if length > identifier_at else None,
        )


def _descriptor_bytes(body: bytes, stated: int, tags: int, addresses: range) -> int:
    """Return how long the descriptors of a page are: as stated if that makes sense, else as their contents have it."""
    plain = _PLAIN_BYTES + _TAG_BYTES * tags
    identified = plain + _IDENTIFIER_HEAD_BYTES + (body[plain + 3] if len(body) > plain + 3 else 0)
    bare = (plain + _IDENTIFIER_HEAD_BYTES, plain, _PLAIN_BYTES + _IDENTIFIER_HEAD_BYTES, _PLAIN_BYTES)
    for length in (stated, identified, *bare):
        if length < _PLAIN_BYTES:
            continue
        starts = range(0, len(body) - length + 1, length)[:_PROBED]
        seen = [int.from_bytes(body[at : at + 2], "big") for at in starts]
        if all(each in addresses for each in seen) and len(set(seen)) == len(seen):
            return length
    raise MalformedReplyError(f"the descriptors of elements are said to be {stated} bytes long, and are not")


def _volume_tag(data: bytes) -> str | None:
    """Return the bar code, None for none or one that is no text."""
    try:
        text = data.decode("ascii").rstrip(" \0")
    except UnicodeDecodeError:
        return None
    text = text.partition("\0")[0].strip()
    return text if text and text.isprintable() else None
