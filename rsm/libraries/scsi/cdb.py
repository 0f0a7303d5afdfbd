"""The SCSI commands that RSM gives, as bytes: SPC-4, SMC-3, SSC-3.

Owns the layout of each command descriptor block. Sends nothing and knows no device. A number that does not fit its
field is our own mistake: it raises OverflowError.
"""

from __future__ import annotations

import enum
from typing import Final

INQUIRY_LENGTH: Final = 252  # the most that devices of before SPC-3 understand
READ_POSITION_LENGTH: Final = 20


class ElementType(enum.IntEnum):
    """The element type codes of SMC-3 6.11."""

    ALL = 0
    TRANSPORT = 1
    STORAGE = 2
    IMPORT_EXPORT = 3
    DATA_TRANSFER = 4


class Space(enum.IntEnum):
    """What SPACE counts (SSC-3 7.8)."""

    BLOCKS = 0
    FILEMARKS = 1
    END_OF_DATA = 3


def _number(value: int, length: int) -> bytes:
    return value.to_bytes(length, "big")


def test_unit_ready() -> bytes:
    """Return TEST UNIT READY (SPC-4 6.37)."""
    return bytes(6)


def request_sense(length: int = INQUIRY_LENGTH, *, descriptor: bool = False) -> bytes:
    """Return REQUEST SENSE for at most `length` bytes, in the fixed or the descriptor format (SPC-4 6.29)."""
    return bytes((0x03, int(descriptor), 0, 0)) + _number(length, 1) + b"\0"


def inquiry(page: int | None = None, length: int = INQUIRY_LENGTH) -> bytes:
    """Return INQUIRY for the standard data, or for a page of vital product data (SPC-4 6.4)."""
    evpd = b"\0\0" if page is None else b"\1" + _number(page, 1)
    return b"\x12" + evpd + _number(length, 2) + b"\0"


def report_luns(length: int) -> bytes:
    """Return REPORT LUNS for at most `length` bytes (SPC-4 6.33)."""
    return b"\xa0\0\0\0\0\0" + _number(length, 4) + b"\0\0"


def report_supported(code: int, length: int = 20) -> bytes:
    """Return REPORT SUPPORTED OPERATION CODES for one command (SPC-4 6.35)."""
    return b"\xa3\x0c\x01" + _number(code, 1) + b"\0\0" + _number(length, 4) + b"\0\0"


def mode_sense_6(page: int, length: int = 255, *, block_descriptors: bool = False) -> bytes:
    """Return MODE SENSE(6) for the current values of a page (SPC-4 6.11)."""
    return bytes((0x1A, 0 if block_descriptors else 0x08)) + _number(page, 1) + b"\0" + _number(length, 1) + b"\0"


def mode_sense_10(page: int, length: int = 512, *, block_descriptors: bool = False) -> bytes:
    """Return MODE SENSE(10) for the current values of a page (SPC-4 6.12)."""
    head = bytes((0x5A, 0 if block_descriptors else 0x08)) + _number(page, 1)
    return head + bytes(4) + _number(length, 2) + b"\0"


def mode_select_6(length: int) -> bytes:
    """Return MODE SELECT(6) of `length` bytes of parameters in page format (SPC-4 6.9)."""
    return b"\x15\x10\0\0" + _number(length, 1) + b"\0"


def mode_parameters_for_blocks(density: int, block_bytes: int) -> bytes:
    """Return the parameters of MODE SELECT(6) that set the block length, 0 for variable; buffered (SSC-3 8.3)."""
    return b"\0\0\x10\x08" + _number(density, 1) + bytes(4) + _number(block_bytes, 3)


def log_sense(page: int, length: int) -> bytes:
    """Return LOG SENSE for the cumulative values of a page (SPC-4 6.6); 0x2E is TapeAlert."""
    return bytes((0x4D, 0, 0x40 | page, 0, 0, 0, 0)) + _number(length, 2) + b"\0"


# --- media changers -------------------------------------------------------------------------------------------------


def initialize_element_status(first: int | None = None, count: int = 0) -> bytes:
    """Return INITIALIZE ELEMENT STATUS, or the one with a range of `count` elements (SMC-3 6.4, 6.5)."""
    if first is None:
        return b"\x07" + bytes(5)
    return b"\x37\x01" + _number(first, 2) + b"\0\0" + _number(count, 2) + b"\0\0"


def read_element_status(
    kind: ElementType,
    first: int,
    count: int,
    length: int,
    *,
    volume_tags: bool = True,
    device_ids: bool = False,
) -> bytes:
    """Return READ ELEMENT STATUS for `count` elements from `first` on, in at most `length` bytes (SMC-3 6.11)."""
    flags = (0x10 if volume_tags else 0) | kind
    head = bytes((0xB8, flags)) + _number(first, 2) + _number(count, 2)
    return head + bytes((1 if device_ids else 0,)) + _number(length, 3) + b"\0\0"


def move_medium(transport: int, source: int, destination: int, *, invert: bool = False) -> bytes:
    """Return MOVE MEDIUM (SMC-3 6.6)."""
    places = _number(transport, 2) + _number(source, 2) + _number(destination, 2)
    return b"\xa5\0" + places + bytes((0, 0, int(invert), 0))


def exchange_medium(transport: int, source: int, destination: int, displaced: int) -> bytes:
    """Return EXCHANGE MEDIUM: source to destination, what was there to `displaced` (SMC-3 6.3)."""
    places = _number(transport, 2) + _number(source, 2) + _number(destination, 2) + _number(displaced, 2)
    return b"\xa6\0" + places + b"\0\0"


def position_to_element(transport: int, destination: int, *, invert: bool = False) -> bytes:
    """Return POSITION TO ELEMENT (SMC-3 6.9)."""
    return b"\x2b\0" + _number(transport, 2) + _number(destination, 2) + bytes((0, 0, int(invert), 0))


def prevent_removal(prevent: bool) -> bytes:
    """Return PREVENT ALLOW MEDIUM REMOVAL (SPC-4 6.14)."""
    return bytes((0x1E, 0, 0, 0, int(prevent), 0))


def open_close_port(port: int, *, close: bool) -> bytes:
    """Return OPEN/CLOSE IMPORT/EXPORT ELEMENT (SMC-3 6.8)."""
    return b"\x1b\0" + _number(port, 2) + bytes((1 if close else 0, 0))


# --- tape drives ----------------------------------------------------------------------------------------------------


def load_unload(load: bool) -> bytes:
    """Return LOAD UNLOAD (SSC-3 7.3)."""
    return bytes((0x1B, 0, 0, 0, int(load), 0))


def rewind() -> bytes:
    """Return REWIND (SSC-3 7.10)."""
    return b"\x01" + bytes(5)


def space(over: Space, count: int = 0) -> bytes:
    """Return SPACE(6) over `count` blocks or filemarks, backward if below 0 (SSC-3 7.8)."""
    return bytes((0x11, over)) + count.to_bytes(3, "big", signed=True) + b"\0"


def read_block(length: int) -> bytes:
    """Return READ(6) of one block of variable length, at most `length` bytes of it (SSC-3 6.4)."""
    return b"\x08\0" + _number(length, 3) + b"\0"


def write_block(length: int) -> bytes:
    """Return WRITE(6) of one block of `length` bytes (SSC-3 6.5)."""
    return b"\x0a\0" + _number(length, 3) + b"\0"


def write_filemarks(count: int) -> bytes:
    """Return WRITE FILEMARKS(6); 0 puts what is buffered on the tape (SSC-3 6.6)."""
    return b"\x10\0" + _number(count, 3) + b"\0"


def read_position() -> bytes:
    """Return READ POSITION in its short form (SSC-3 7.6)."""
    return b"\x34" + bytes(9)


def read_attribute(first: int, length: int) -> bytes:
    """Return READ ATTRIBUTE for the values of medium auxiliary memory from `first` on (SPC-4 6.16)."""
    return b"\x8c" + bytes(7) + _number(first, 2) + _number(length, 4) + b"\0\0"
