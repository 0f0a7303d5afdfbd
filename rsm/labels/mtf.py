"""The Microsoft Tape Format (MTF 1.00a) of Windows Backup, Backup Exec and others.

Owns the format. A tape begins with the descriptor block `TAPE`. All numbers are little-endian:

    0   `TAPE`              8   where the block's own data end, 2     48  kind of text, 1: 1 ANSI, 2 UTF-16
    50  checksum, 2: all words of the first 52 bytes, this one among them, make 0 by exclusive or
    52  media family id, 4  56  attributes, 4: bit 1, the description is a media label      60  number in the family, 2
    68  name, 72 description: each size 2 and offset 2                93  major version of the format, 1

The family id and the number in the family identify a cartridge. A media label has ten fields with `|` between them, the
sixth is the cartridge's label.
"""

from __future__ import annotations

import struct
from functools import reduce
from operator import xor
from typing import Final

from rsm.labels.base import Label
from rsm.labels.fields import FormatRecogniser, decode_info, make_info, read_number, require, take

MTF_TYPE: Final = "MTF"

_HEADER_BYTES: Final = 52
_BLOCK_BYTES: Final = 94
_ENCODINGS: Final = {0: "ascii", 1: "cp1252", 2: "utf-16-le"}
_HAS_MEDIA_LABEL: Final = 2
_LABEL_FIELD, _LABEL_FIELDS = 5, 10


def _read_label(head: bytes) -> Label:
    header = take(head, 0, _HEADER_BYTES)
    require(header.startswith(b"TAPE") and reduce(xor, struct.unpack("<26H", header)) == 0)
    block = take(head, 0, read_number(head, 8, 2, "little"))
    require(len(block) >= _BLOCK_BYTES and block[93] == 1 and block[48] in _ENCODINGS)
    name, description = (_read_text(block, at, _ENCODINGS[block[48]]) for at in (68, 72))
    if read_number(block, 56, 4, "little") & _HAS_MEDIA_LABEL:
        fields = description.split("|")
        description = make_info(fields[_LABEL_FIELD]) if len(fields) >= _LABEL_FIELDS else ""
    return Label(MTF_TYPE, block[52:56] + block[60:62], name or description)


def _read_text(block: bytes, at: int, encoding: str) -> str:
    size, offset = struct.unpack("<2H", take(block, at, 4))
    return decode_info(take(block, offset, size), encoding) if size else ""


RECOGNISER: Final = FormatRecogniser("mtf", 64 * 1024, _read_label, (MTF_TYPE,))
