"""Streams of tar and cpio, which have no label: what the start of one says has to do.

Owns both formats. Two archives of one folder begin with the same header, so the header alone does not tell cartridges
apart. The id is half the SHA-256 of the first 10,240 bytes, which is a tar record of the usual size, or of what comes
before the end of the archive if that is nearer. Of a tar archive with a volume label (`tar --label`) it is that of the
label's header alone, which has the time in it: such an archive keeps its id when files are appended.

A tar header is 512 bytes with a checksum, in the formats of Unix v7, ustar, GNU and pax. Headers of cpio have no
checksum, so all that lie in the first 10,240 bytes are checked. A header that is not where it has to be is damage.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from rsm.labels.base import Label
from rsm.labels.fields import FormatRecogniser, NotALabelError, decode_info, require, take

TAR_TYPE: Final = "tar"
CPIO_TYPE: Final = "cpio"
RECORD_BYTES: Final = 10240

_BLOCK: Final = 512
_OCTAL: Final = re.compile(rb"[ \0]*([0-7]*)[ \0]*")
_NUMBERS: Final = {"mode": (100, 8), "user": (108, 8), "group": (116, 8), "size": (124, 12), "time": (136, 12)}
# GNU tar writes its volume label without the magic of the others.
_KINDS_WITHOUT_MAGIC: Final = b"\x000123456V"
_WITHOUT_DATA: Final = b"123456"
_GNU_SPARSE: Final = ord("S")
_PAX_RECORD: Final = re.compile(rb"([1-9][0-9]{0,4}) ([^=\n]{1,255})=")


@dataclass(frozen=True)
class _TarHeader:
    kind: int
    size: int
    name: bytes
    is_sparse_further: bool

    @property
    def data_bytes(self) -> int:
        return -(-self.size // _BLOCK) * _BLOCK


def _read_tar(head: bytes) -> Label:
    first = _read_tar_header(take(head, 0, _BLOCK))
    pax = _read_pax(head[_BLOCK : _BLOCK + first.size]) if first.kind in b"gx" else {}
    if first.kind == ord("V"):
        return _label(TAR_TYPE, head[:_BLOCK], first.name)
    if b"GNU.volume.label" in pax:
        return _label(TAR_TYPE, take(head, 0, _BLOCK + first.data_bytes), pax[b"GNU.volume.label"])
    end, name = _walk_tar(head[:RECORD_BYTES])
    return _label(TAR_TYPE, take(head, 0, end), pax.get(b"comment") or pax.get(b"path") or name)


def _label(label_type: str, identifying: bytes, info: bytes) -> Label:
    return Label(label_type, hashlib.sha256(identifying).digest()[:16], decode_info(info))


def _walk_tar(stream: bytes) -> tuple[int, bytes]:
    """Return where the archive ends, at most 10,240, and the name of the first member."""
    at, name, is_size_elsewhere = 0, b"", False
    while at < RECORD_BYTES:
        block = take(stream, at, _BLOCK)
        if not any(block):
            return at, name
        header = _read_tar_header(block)
        at += _BLOCK
        if header.kind in b"gx":
            is_size_elsewhere = is_size_elsewhere or b"size" in _read_pax(stream[at : at + header.size])
        elif header.kind == ord("L"):
            name = name or stream[at : at + header.size]
        elif header.kind != ord("K"):
            name = name or header.name
            # Where the next header is cannot be told for certain: data may be there or not, or of another size.
            if is_size_elsewhere or header.is_sparse_further or (header.size and header.kind in _WITHOUT_DATA):
                break
        at += header.data_bytes
    return RECORD_BYTES, name


def _read_tar_header(block: bytes) -> _TarHeader:
    numbers = {field: _read_tar_number(block[at : at + size]) for field, (at, size) in _NUMBERS.items()}
    blanked = block[:148] + b" " * 8 + block[156:]
    unsigned = sum(blanked)
    signed = unsigned - 256 * sum(byte > 127 for byte in blanked)
    require(_read_tar_number(block[148:156]) in (unsigned, signed))
    kind, magic, name = block[156], block[257:263], block[:100].split(b"\0", 1)[0]
    require(magic in (b"ustar\0", b"ustar ") or (kind in _KINDS_WITHOUT_MAGIC and bool(name)))
    prefix = block[345:500].split(b"\0", 1)[0] if magic == b"ustar\0" else b""
    further = kind == _GNU_SPARSE and block[482] != 0
    return _TarHeader(kind, numbers["size"], prefix + b"/" * bool(prefix) + name, further)


def _read_tar_number(field: bytes) -> int:
    """Return an octal number, or one that GNU tar writes in base 256; a negative one, of a time or an owner, as 0."""
    if field[0] & 0x80:
        return 0 if field[0] & 0x40 else int.from_bytes(field, "big") ^ 0x80 << 8 * (len(field) - 1)
    digits = _OCTAL.fullmatch(field)
    require(digits is not None)
    assert digits is not None
    return int(digits[1] or b"0", 8)


def _read_pax(data: bytes) -> dict[bytes, bytes]:
    """Return the records of a pax header as far as they are there."""
    records, at = {}, 0
    while found := _PAX_RECORD.match(data, at):
        end = at + int(found[1])
        if not found.end() < end <= len(data) or data[end - 1 : end] != b"\n":
            break
        records[found[2]] = data[found.end() : end - 1]
        at = end
    return records


@dataclass(frozen=True)
class _CpioEntry:
    mode: int
    name: bytes
    end: int


_CPIO_KINDS: Final = (0o010000, 0o020000, 0o040000, 0o060000, 0o100000, 0o110000, 0o120000, 0o140000)
_TRAILER: Final = b"TRAILER!!!"
_MAXIMUM_NAME: Final = 4096
_NEW_HEADER: Final = re.compile(rb"07070[12]((?:[0-9A-Fa-f]{8}){13})")
_OLD_HEADER: Final = re.compile(rb"070707([0-7]{70})")


def _read_cpio(head: bytes) -> Label:
    stream = head[:RECORD_BYTES]
    read_entry = _find_cpio_reader(stream)
    at, first_name = 0, b""
    while at < RECORD_BYTES:
        try:
            entry = read_entry(stream, at)
        except _RecordEndsError:
            break
        if entry.name == _TRAILER:
            require(bool(first_name))
            return _label(CPIO_TYPE, take(stream, 0, at), first_name)
        require(entry.mode & 0o170000 in _CPIO_KINDS and bool(entry.name))
        first_name = first_name or entry.name
        at = entry.end
    require(bool(first_name))
    return _label(CPIO_TYPE, take(stream, 0, RECORD_BYTES), first_name)


class _RecordEndsError(Exception):
    """An entry reaches over the end of the bytes that are looked at."""


def _find_cpio_reader(stream: bytes) -> Callable[[bytes, int], _CpioEntry]:
    if _NEW_HEADER.match(stream):
        return _read_new_entry
    if _OLD_HEADER.match(stream):
        return _read_old_entry
    orders: dict[bytes, Literal["little", "big"]] = {b"\xc7\x71": "little", b"\x71\xc7": "big"}
    order = orders.get(stream[:2])
    if order is None:
        raise NotALabelError
    return lambda stream, at: _read_binary_entry(stream, at, order)


def _read_new_entry(stream: bytes, at: int) -> _CpioEntry:
    found = _NEW_HEADER.fullmatch(_take_here(stream, at, 110))
    require(found is not None)
    assert found is not None
    fields = [int(found[1][start : start + 8], 16) for start in range(0, 104, 8)]
    data_at = at + -(-(110 + fields[11]) // 4) * 4
    return _CpioEntry(fields[1], _take_name(stream, at + 110, fields[11]), data_at + -(-fields[6] // 4) * 4)


def _read_old_entry(stream: bytes, at: int) -> _CpioEntry:
    found = _OLD_HEADER.fullmatch(_take_here(stream, at, 76))
    require(found is not None)
    assert found is not None
    fields = found[1]
    name_bytes, data_bytes = int(fields[53:59], 8), int(fields[59:70], 8)
    return _CpioEntry(int(fields[12:18], 8), _take_name(stream, at + 76, name_bytes), at + 76 + name_bytes + data_bytes)


def _read_binary_entry(stream: bytes, at: int, order: Literal["little", "big"]) -> _CpioEntry:
    header = _take_here(stream, at, 26)
    words = [int.from_bytes(header[start : start + 2], order) for start in range(0, 26, 2)]
    require(words[0] == 0o070707)
    name_bytes, data_bytes = words[10], words[11] << 16 | words[12]
    data_at = at + 26 + name_bytes + (name_bytes & 1)
    return _CpioEntry(words[3], _take_name(stream, at + 26, name_bytes), data_at + data_bytes + (data_bytes & 1))


def _take_here(stream: bytes, at: int, size: int) -> bytes:
    if at + size > RECORD_BYTES:
        raise _RecordEndsError
    return take(stream, at, size)


def _take_name(stream: bytes, at: int, size: int) -> bytes:
    require(0 < size <= _MAXIMUM_NAME)
    name = _take_here(stream, at, size)
    require(name.find(b"\0") == size - 1)
    return name[:-1]


TAR_RECOGNISER: Final = FormatRecogniser("tar", RECORD_BYTES, _read_tar, (TAR_TYPE,))
CPIO_RECOGNISER: Final = FormatRecogniser("cpio", RECORD_BYTES, _read_cpio, (CPIO_TYPE,))
