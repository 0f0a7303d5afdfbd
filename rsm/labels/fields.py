"""What the recognisers of media formats share: bounds, numbers, text for people, and the checksums Python has not.

Owns no format. What is read at an offset found on a medium, or as long as one says, goes through `take`, which refuses
to go past the end: no length is trusted.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from rsm.labels.base import MAXIMUM_INFO, Label

_SUBSTITUTES: Final = {"Cc": " ", "Cs": "\ufffd"}


class NotALabelError(Exception):
    """These bytes are no label of the format, or one that is damaged or cut off."""


@dataclass(frozen=True)
class FormatRecogniser:
    """A recogniser that reads one format, or a family whose members exclude each other, by a function."""

    name: str
    maximum_bytes: int
    read_label: Callable[[bytes], Label]
    types: tuple[str, ...]

    def claim(self, head: bytes) -> Label | None:
        """Return the label at the start of these bytes; None if it is of another format, damaged or cut off."""
        try:
            return self.read_label(head[: self.maximum_bytes])
        except NotALabelError:
            return None


def require(condition: bool) -> None:
    """Go on only if a condition of the format holds.

    Raises:
        NotALabelError: it does not.
    """
    if not condition:
        raise NotALabelError


def take(head: bytes, at: int, size: int) -> bytes:
    """Return `size` bytes from offset `at`.

    Raises:
        NotALabelError: they are not all there.
    """
    require(0 <= at <= at + size <= len(head))
    return head[at : at + size]


def read_number(head: bytes, at: int, size: int, order: Literal["little", "big"]) -> int:
    """Return the unsigned number of `size` bytes at offset `at`.

    Raises:
        NotALabelError: they are not all there.
    """
    return int.from_bytes(take(head, at, size), order)


def is_power_of_two(number: int, least: int, most: int) -> bool:
    """Tell whether a number is a power of two within bounds, both included."""
    return least <= number <= most and number & (number - 1) == 0


def make_info(text: str) -> str:
    """Return text that a label can carry: one line, without blanks around it, at most 255 UTF-16 units."""
    line = "".join(_SUBSTITUTES.get(unicodedata.category(character), character) for character in text).strip()
    return line.encode("utf-16-le")[: 2 * MAXIMUM_INFO].decode("utf-16-le", "ignore").rstrip()


def decode_info(raw: bytes, encoding: str = "utf-8") -> str:
    """Return text that a label can carry from what a medium says up to the first NUL, whatever its bytes are."""
    return make_info(raw.decode(encoding, "replace").split("\0", 1)[0])


def _fill_table() -> Iterator[int]:
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ 0x82F63B78 * (byte & 1)
        yield byte


_CRC32C: Final = tuple(_fill_table())


def crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of some bytes, begun with all ones and, as ext4 wants it, not inverted."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC32C[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc


_PRIMES: Final = (
    0x9E3779B185EBCA87,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0x85EBCA77C2B2AE63,
)
_MASK: Final = 0xFFFFFFFFFFFFFFFF


def xxhash64(data: bytes) -> int:
    """Return the 64-bit xxHash with seed 0 of bytes whose number is a multiple of 32, as that of a superblock is."""
    first, second, third, fourth = _PRIMES
    lanes = [first + second & _MASK, second, 0, -first & _MASK]
    for at in range(0, len(data), 32):
        for lane in range(4):
            word = int.from_bytes(data[at + 8 * lane : at + 8 * lane + 8], "little")
            lanes[lane] = _rotate(lanes[lane] + word * second, 31) * first & _MASK
    result = sum(_rotate(value, turn) for value, turn in zip(lanes, (1, 7, 12, 18), strict=True))
    for value in lanes:
        result = (result ^ _rotate(value * second, 31) * first) * first + fourth & _MASK
    result = result + len(data) & _MASK
    result = (result ^ result >> 33) * second & _MASK
    result = (result ^ result >> 29) * third & _MASK
    return result ^ result >> 32


def _rotate(value: int, turn: int) -> int:
    value &= _MASK
    return (value << turn | value >> 64 - turn) & _MASK
