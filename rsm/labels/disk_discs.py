"""ISO 9660 and UDF, the file systems of optical discs.

Owns both formats. The id of an ISO 9660 disc is half the SHA-256 of its primary volume descriptor, of which Windows too
takes a checksum for a serial number: names, size and times of the mastering are in it, and copies share it. The id of a
UDF disc is the volume set identifier, which the format wants to be unique, as it is recorded.

A bridge disc has both and is one of ISO 9660, for its label lies within the first 34 KiB and that of UDF often beyond
half a megabyte. It is never one of UDF: if the ISO 9660 half is damaged, the disc is.
"""

from __future__ import annotations

import binascii
import hashlib
from typing import Final

from rsm.labels.base import Label
from rsm.labels.fields import NotALabelError, decode_info, read_number, require, take

ISO_TYPE: Final = "ISO 9660"
UDF_TYPE: Final = "UDF"

_SYSTEM_BYTES: Final = 32 * 1024
_DESCRIPTOR_BYTES: Final = 2048
_MAXIMUM_RECOGNITION: Final = 16
_UDF_SECTORS: Final = (512, 1024, 2048)
_ANCHOR_SECTOR: Final = 256
_MAXIMUM_SEQUENCE: Final = 32
_PRIMARY, _ANCHOR, _LOGICAL, _TERMINATOR = 1, 2, 6, 8


def read_iso(head: bytes) -> Label:
    """Return the label of an ISO 9660 disc."""
    descriptor = take(head, _SYSTEM_BYTES, _DESCRIPTOR_BYTES)
    require(descriptor.startswith(b"\x01CD001\x01\0") and descriptor[881] == 1)
    # The sector size, the size of the path table and the number of sectors are there in both byte orders.
    for at, size in ((80, 4), (120, 2), (124, 2), (128, 2), (132, 4)):
        little = read_number(descriptor, at, size, "little")
        require(little == read_number(descriptor, at + size, size, "big") and little > 0)
    require(descriptor[156] == 34)
    return Label(ISO_TYPE, hashlib.sha256(descriptor).digest()[:16], decode_info(descriptor[40:72], "latin-1"))


def read_udf(head: bytes) -> Label:
    """Return the label of a UDF disc that is no bridge disc."""
    for number in range(_MAXIMUM_RECOGNITION):
        mark = take(head, _SYSTEM_BYTES + number * _DESCRIPTOR_BYTES, 7)
        require(mark in (b"\0BEA01\x01", b"\0NSR02\x01", b"\0NSR03\x01", b"\0BOOT2\x01"))
        if mark[1:4] == b"NSR":
            break
    else:
        raise NotALabelError
    # An anchor of an earlier formatting with other sectors may be left: then it cannot be told which is right.
    labels = [label for sector_bytes in _UDF_SECTORS if (label := _read_udf_volume(head, sector_bytes)) is not None]
    require(len(labels) == 1)
    return labels[0]


def _read_udf_volume(head: bytes, sector_bytes: int) -> Label | None:
    try:
        anchor = _take_descriptor(head, _ANCHOR_SECTOR, sector_bytes)
        require(anchor[0] == _ANCHOR)
        size, start = read_number(anchor, 16, 4, "little"), read_number(anchor, 20, 4, "little")
        newest: dict[int, bytes] = {}
        for sector in range(start, start + min(size // sector_bytes, _MAXIMUM_SEQUENCE)):
            descriptor = _take_descriptor(head, sector, sector_bytes)
            kind = descriptor[0]
            if kind == _TERMINATOR:
                break
            known = newest.get(kind)
            if known is None or read_number(known, 16, 4, "little") < read_number(descriptor, 16, 4, "little"):
                newest[kind] = descriptor
        primary, logical = newest.get(_PRIMARY), newest.get(_LOGICAL)
        require(primary is not None and logical is not None)
        assert primary is not None
        assert logical is not None
        set_id = _take_text(primary, 72)
        require(len(set_id) > 1)
        name = _take_text(logical, 84)
        encoding = "utf-16-be" if name.startswith(b"\x10") else "latin-1"
        return Label(UDF_TYPE, set_id, decode_info(name[1:], encoding))
    except NotALabelError:
        return None


def _take_descriptor(head: bytes, sector: int, sector_bytes: int) -> bytes:
    """Return a descriptor whose tag and contents agree with their checksums and with where it is."""
    descriptor = take(head, sector * sector_bytes, sector_bytes)
    require(descriptor[1] == 0 and sum(descriptor[:4] + descriptor[5:16]) & 0xFF == descriptor[4])
    contents = take(descriptor, 16, read_number(descriptor, 10, 2, "little"))
    require(binascii.crc_hqx(contents, 0) == read_number(descriptor, 8, 2, "little"))
    require(read_number(descriptor, 12, 4, "little") == sector)
    return descriptor


def _take_text(descriptor: bytes, at: int) -> bytes:
    """Return what a field of 128 bytes says, with the byte for the width of its characters in front."""
    field = take(descriptor, at, 128)
    require(field[127] < 128 and field[0] in (0, 8, 16))
    return field[: field[127]]
