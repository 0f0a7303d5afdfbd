"""VOL1, the first label of a tape after ANSI X3.27 and of IBM's standard labels, and LTFS, whose tapes begin with one.

Owns both formats, for a tape of LTFS must not be taken for any other ANSI tape. A VOL1 is a block of 80 characters, in
ASCII (ANSI) or EBCDIC (IBM): `VOL1`, the serial number of six characters, and fields of which only the name of the
system that made the label (bytes 24 to 36, ANSI) and the version of the standard (byte 79) are looked at; Bacula, for
one, leaves in the others what happened to be in its memory.

The partitions of an LTFS tape begin with a VOL1 that names LTFS, a file mark, and the LTFS label, an XML text with the
UUID of the volume. A read from a tape drive ends at the file mark, so that the serial number has to do as the id; bytes
without file marks, as an image has them, show both, and the UUID is the id. What follows the 80 bytes and is no whole
LTFS label makes the medium a damaged one.
"""

from __future__ import annotations

import re
import uuid
from typing import Final

from rsm.labels.base import Label
from rsm.labels.fields import FormatRecogniser, require, take

ANSI_TYPE: Final = "ANSI VOL1"
IBM_TYPE: Final = "IBM VOL1"
LTFS_TYPE: Final = "LTFS"

_VOL1_BYTES: Final = 80
_EBCDIC: Final = "cp037"
_SERIAL: Final = re.compile(r"[!-~][ -~]{5}")
_VERSIONS: Final = "\0 1234"
_LTFS_XML_BYTES: Final = 8 * 1024
_LTFS_LABEL: Final = re.compile(
    rb"\s{0,80}(?:<\?xml [^>]{0,200}\?>\s{0,80})?<ltfslabel [^>]{0,200}>(?P<body>.*?)</ltfslabel>", re.DOTALL
)
_UUID: Final = re.compile(rb"<volumeuuid>\s{0,80}([0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})\s{0,80}</")


def _read_volume_label(head: bytes) -> Label:
    block = take(head, 0, _VOL1_BYTES)
    is_ebcdic = block.startswith("VOL1".encode(_EBCDIC))
    text = block.decode(_EBCDIC if is_ebcdic else "latin-1")
    require(text.startswith("VOL1") and not _is_of_ltfs(text))
    require(_SERIAL.fullmatch(text[4:10]) is not None and text[79] in _VERSIONS)
    serial = text[4:10].rstrip()
    return Label(IBM_TYPE if is_ebcdic else ANSI_TYPE, serial.encode("ascii"), serial)


def _read_ltfs(head: bytes) -> Label:
    if not head.startswith(b"VOL1"):
        return Label(LTFS_TYPE, _find_volume_uuid(head))
    text = take(head, 0, _VOL1_BYTES).decode("latin-1")
    require(_is_of_ltfs(text))
    serial = text[4:10].rstrip() if _SERIAL.fullmatch(text[4:10]) else ""
    if len(head) > _VOL1_BYTES:
        return Label(LTFS_TYPE, _find_volume_uuid(head[_VOL1_BYTES:]), serial)
    require(bool(serial))
    return Label(LTFS_TYPE, serial.encode("ascii"), serial)


def _is_of_ltfs(text: str) -> bool:
    return text[24:37].rstrip(" \0") == "LTFS"


def _find_volume_uuid(xml: bytes) -> bytes:
    label = _LTFS_LABEL.match(xml)
    require(label is not None)
    assert label is not None
    found = _UUID.findall(label["body"])
    require(len(found) == 1)
    return uuid.UUID(found[0].decode("ascii")).bytes


RECOGNISER: Final = FormatRecogniser("vol1", _VOL1_BYTES, _read_volume_label, (ANSI_TYPE, IBM_TYPE))
LTFS_RECOGNISER: Final = FormatRecogniser("ltfs", _VOL1_BYTES + _LTFS_XML_BYTES, _read_ltfs, (LTFS_TYPE,))
