"""RSM's own label, which marks a cartridge as free: how it is written and how it is recognised.

Owns the format. Never touches a medium, and never decides which medium gets the label.

The label is a block of 1024 bytes of UTF-8 text at the very start of a side. `head -c 1024` shows a person:

    RSM free label 1
    id: 018f3f6e-6d7a-7c1e-9b55-0242ac120002
    name: A00001
    written: 2030-05-01T12:00:00Z
    Nothing on this side is in use: whoever is given it writes over this label.
    crc32: 002d45db

The number in the first line is the version of the format. The checksum is the CRC-32 (that of zlib) of all bytes before
its line. Blanks and one line end fill the block. There is one way to write a label: what differs from it in a single
bit, in the blanks as well, is no label.
"""

from __future__ import annotations

import re
import unicodedata
import uuid
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from rsm.errors import InvalidParameterError
from rsm.labels.base import MAXIMUM_INFO, Label

FREE_TYPE: Final = "RSM free"
FREE_LABEL_BYTES: Final = 1024

_MAGIC: Final = "RSM free label 1\n"
_NOTE: Final = "Nothing on this side is in use: whoever is given it writes over this label.\n"
_BLOCK: Final = re.compile(
    re.escape(_MAGIC.encode()) + rb"id: (?P<id>[^\n]*)\nname: (?P<name>[^\n]*)\nwritten: (?P<written>[^\n]*)Z\n"
)
_SUBSTITUTES: Final = {"Cc": " ", "Cs": "\ufffd"}


def make_free_label(label_id: uuid.UUID, name: str, written: datetime) -> bytes:
    """Return the 1024 bytes of a free label, written at a time of a known zone (kept in UTC, to the second).

    A name that one line cannot carry is made fit: each control character, line ends and NUL among them, becomes a
    blank, each lone surrogate U+FFFD, and what goes beyond 255 UTF-16 units is cut off. Any other comes back as given.

    Raises:
        InvalidParameterError: the time has no zone, or is none in UTC.
    """
    text = f"{_MAGIC}id: {label_id}\nname: {_fit(name)}\nwritten: {_in_utc(written)}\n{_NOTE}"
    block = text.encode()
    block += b"crc32: %08x\n" % zlib.crc32(block)
    return block.ljust(FREE_LABEL_BYTES - 1) + b"\n"


def is_free(label: Label) -> bool:
    """Tell whether a recognised label is RSM's free label."""
    return label.type == FREE_TYPE


@dataclass(frozen=True)
class FreeRecogniser:
    """Recognises the free label: its type is `RSM free`, its id the 16 bytes of the UUID, its text the name."""

    name: str = "free"
    maximum_bytes: int = FREE_LABEL_BYTES
    types: tuple[str, ...] = (FREE_TYPE,)

    def claim(self, head: bytes) -> Label | None:
        """Return the free label at the start of these bytes; None if it is cut off, damaged or of another version."""
        block = head[:FREE_LABEL_BYTES]
        found = _BLOCK.match(block)
        if found is None:
            return None
        try:
            label_id = uuid.UUID(found["id"].decode())
            name = found["name"].decode()
            written = datetime.fromisoformat(found["written"].decode()).replace(tzinfo=UTC)
        except ValueError:
            return None
        # Written again from what was read: whatever differs, the checksum, the blanks or a missing end, is damage.
        if make_free_label(label_id, name, written) != block:
            return None
        return Label(FREE_TYPE, label_id.bytes, name)


RECOGNISER: Final = FreeRecogniser()


def _fit(name: str) -> str:
    fitting = "".join(_SUBSTITUTES.get(unicodedata.category(character), character) for character in name)
    return fitting.encode("utf-16-le")[: 2 * MAXIMUM_INFO].decode("utf-16-le", "ignore")


def _in_utc(written: datetime) -> str:
    if written.utcoffset() is None:
        raise InvalidParameterError("the time a label is written at needs a zone")
    try:
        return f"{written.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"
    except OverflowError:
        raise InvalidParameterError(f"{written.isoformat()} is no time in UTC") from None
