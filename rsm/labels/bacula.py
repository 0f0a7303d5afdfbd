"""The volume labels of Bacula and Bareos.

Owns the format. The first block of a volume holds the volume label in its first record. All numbers are big-endian:

    block    checksum 4, length 4, number 4, `BB02` (in old volumes `BB01`); with BB02 session id 4, session time 4
    record   with BB01 session id 4, session time 4; then kind 4, stream 4, length 4
    label    `Bacula 1.0 immortal\\n` or `Bareos 2.0 immortal\\n`, version 4, times 32, then texts that end in NUL:
             volume, previous volume, pool, kind of pool, kind of media, host, program, ...

The kind is -1 for a volume that was labelled and never used, -2 afterwards. The checksum is the CRC-32 of the block
behind it, or 0 where checksums were turned off. A program writes the label again when it first uses or recycles a
volume, times and all: only the name of the volume identifies it.
"""

from __future__ import annotations

import zlib
from typing import Final

from rsm.labels.base import MAXIMUM_ID_BYTES, Label
from rsm.labels.fields import FormatRecogniser, decode_info, read_number, require, take

BACULA_TYPE: Final = "Bacula"
BAREOS_TYPE: Final = "Bareos"

_MAXIMUM_BLOCK: Final = 512 * 1024
# Record headers begin behind the block's; the kind of the record stands 8 bytes further on in a BB01 record.
_KIND_OFFSETS: Final = {b"BB01": 16 + 8, b"BB02": 24}
_VERSIONS: Final = {
    b"Bacula 1.0 immortal\n": (BACULA_TYPE, (9, 10, 11)),
    b"Bareos 2.0 immortal\n": (BAREOS_TYPE, (20,)),
}
_LABEL_KINDS: Final = (0xFFFFFFFF, 0xFFFFFFFE)
_TIMES_BYTES: Final = 32


def _read_label(head: bytes) -> Label:
    kind_offset = _KIND_OFFSETS.get(take(head, 12, 4))
    require(kind_offset is not None)
    assert kind_offset is not None
    block = take(head, 0, read_number(head, 4, 4, "big"))
    checksum = read_number(block, 0, 4, "big")
    require(checksum in (0, zlib.crc32(block[4:])))
    require(read_number(block, kind_offset, 4, "big") in _LABEL_KINDS)
    record = take(block, kind_offset + 12, read_number(block, kind_offset + 8, 4, "big"))
    mark, found, rest = record.partition(b"\0")
    require(bool(found) and mark in _VERSIONS)
    label_type, versions = _VERSIONS[mark]
    require(read_number(rest, 0, 4, "big") in versions)
    volume, end, _ = rest[4 + _TIMES_BYTES :].partition(b"\0")
    require(bool(end) and 0 < len(volume) <= MAXIMUM_ID_BYTES)
    return Label(label_type, volume, decode_info(volume))


RECOGNISER: Final = FormatRecogniser("bacula", _MAXIMUM_BLOCK, _read_label, (BACULA_TYPE, BAREOS_TYPE))
