"""The samples in tests/data/labels, and labels built from the published formats of programs that cannot be had."""

import lzma
import struct
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from rsm.labels import FREE_LABEL_BYTES, Label, Recogniser
from rsm.labels.plugins import FORMATS

FOLDER = Path(__file__).parent / "data" / "labels"
VOLUME_UUID = "30a91a08-daae-48d1-ae75-69804e61d2ea"
FORMAT_OF = {recogniser.name: recogniser for recogniser in FORMATS}


def sample_names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.xz"))


@cache
def read_sample(name: str) -> bytes:
    return lzma.decompress((FOLDER / f"{name}.xz").read_bytes())


def claims(head: bytes) -> dict[str, Label]:
    """Return what each of our recognisers says, asked directly, so that whatever one raises is seen."""
    answers = {recogniser.name: recogniser.claim(head) for recogniser in FORMATS}
    return {name: label for name, label in answers.items() if label is not None}


def only_claim(head: bytes) -> Label | None:
    found = list(claims(head).values())
    assert len(found) <= 1, found
    return found[0] if found else None


def cut_lengths(size: int) -> Iterator[int]:
    """Give every length below 1 KiB, every 64th below 32 KiB, every 1024th beyond, and those beside sector ends."""
    yield from range(min(size, FREE_LABEL_BYTES))
    yield from range(1024, min(size, 32 * 1024), 64)
    yield from range(32 * 1024, size, 1024)
    yield from (size - less for less in (1, 2, 511) if size >= less)


def make_vol1(serial: str = "A00001", system: str = "", encoding: str = "ascii", version: str = "4") -> bytes:
    text = f"VOL1{serial:6} {'':13}{system:13}{'OWNER':14}{'':28}{version}"
    assert len(text) == 80
    return text.encode(encoding)


def make_ltfs_xml(volume_uuid: str = VOLUME_UUID) -> bytes:
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<ltfslabel version="2.4.0">
    <creator>IBM LTFS 2.4.0 - Linux - mkltfs</creator>
    <formattime>2030-05-01T12:00:00.000000000Z</formattime>
    <volumeuuid>{volume_uuid}</volumeuuid>
    <location><partition>a</partition></location>
    <partitions><index>a</index><data>b</data></partitions>
    <blocksize>524288</blocksize>
    <compression>true</compression>
</ltfslabel>
""".encode()


def make_ltfs(volume_uuid: str = VOLUME_UUID) -> bytes:
    return make_vol1(system="LTFS") + make_ltfs_xml(volume_uuid)


def make_volume(
    mark: bytes = b"Bareos 2.0 immortal\n",
    version: int = 20,
    volume: bytes = b"Full-0001",
    kind: int = -2,
    block_mark: bytes = b"BB02",
    with_checksum: bool = True,
    padding: int = 0,
) -> bytes:
    """Build the first block of a volume of Bareos or Bacula."""
    times = bytes(32)
    texts = b"\0".join((volume, b"", b"Full", b"Backup", b"LTO-8", b"host", b"bareos-sd", b"22.1.0", b"Build", b""))
    label = mark + b"\0" + struct.pack(">I", version) + times + texts
    session = struct.pack(">2I", 1, 1_900_000_000)
    record = struct.pack(">iiI", kind, 0, len(label)) + label
    rest = session + record  # of the block's header in one format, of the record's in the other
    body = struct.pack(">II", 12 + 4 + len(rest) + padding, 0) + block_mark + rest + bytes(padding)
    return struct.pack(">I", zlib.crc32(body) if with_checksum else 0) + body


def make_mtf(
    name: str = "Media created 2030",
    description: str = "",
    text_kind: int = 2,
    attributes: int = 0,
    family: int = 0x58C7B22D,
    number: int = 3,
    version: int = 1,
) -> bytes:
    """Build the descriptor block of a tape in the Microsoft Tape Format."""
    encoding = {0: "ascii", 1: "cp1252", 2: "utf-16-le"}[text_kind]
    strings = [text.encode(encoding) for text in (name, description)]
    places, at = b"", 94
    for string in strings:
        places += struct.pack("<2H", len(string), at)
        at += len(string)
    header = b"TAPE" + struct.pack("<IHBB8x8x8xI4x4xBx", 0, at, 14, 0, 0, text_kind)
    checksum = 0
    for (word,) in struct.iter_unpack("<H", header):
        checksum ^= word
    rest = struct.pack("<IIHHHH", family, attributes, number, 0, 128, 1) + places
    rest += struct.pack("<4x4xHH5xB", 1024, 0xACDA, version)
    block = header + struct.pack("<H", checksum) + rest + b"".join(strings)
    assert len(block) == at
    return block


def make_iso_of(sectors: int, name: bytes) -> bytes:
    """Build the head of an ISO 9660 disc with nothing on it."""
    descriptor = bytearray(2048)
    descriptor[:7] = b"\x01CD001\x01"
    descriptor[40:72] = name.ljust(32)
    for at, form, number in ((80, "I", sectors), (120, "H", 1), (124, "H", 1), (128, "H", 2048), (132, "I", 10)):
        both = struct.pack(f"<{form}", number) + struct.pack(f">{form}", number)
        descriptor[at : at + len(both)] = both
    descriptor[156], descriptor[881] = 34, 1
    return bytes(32 * 1024) + bytes(descriptor)


def overlay(below: bytes, above: bytes, at: int) -> bytes:
    """Return a medium on which some bytes were written over others."""
    whole = bytearray(max(len(below), at + len(above)))
    whole[: len(below)] = below
    whole[at : at + len(above)] = above
    return bytes(whole)


BUILT: dict[str, tuple[bytes, Label]] = {
    "LTFS": (make_ltfs(), Label("LTFS", bytes.fromhex(VOLUME_UUID.replace("-", "")), "A00001")),
    "LTFS label alone": (make_ltfs_xml(), Label("LTFS", bytes.fromhex(VOLUME_UUID.replace("-", "")))),
    "LTFS VOL1 alone": (make_vol1(system="LTFS"), Label("LTFS", b"A00001", "A00001")),
    "VOL1": (make_vol1("LAB 1", "SOME SYSTEM"), Label("ANSI VOL1", b"LAB 1", "LAB 1")),
    "VOL1 of IBM": (make_vol1("X#@$12", encoding="cp037", version=" "), Label("IBM VOL1", b"X#@$12", "X#@$12")),
    "VOL1 and HDR1": (make_vol1() + b"HDR1".ljust(80), Label("ANSI VOL1", b"A00001", "A00001")),
    "Bareos": (make_volume(), Label("Bareos", b"Full-0001", "Full-0001")),
    "Bareos, never used": (make_volume(kind=-1), Label("Bareos", b"Full-0001", "Full-0001")),
    "Bareos, padded": (make_volume(padding=64000), Label("Bareos", b"Full-0001", "Full-0001")),
    "Bareos, no checksum": (make_volume(with_checksum=False), Label("Bareos", b"Full-0001", "Full-0001")),
    "Bacula, old block": (
        make_volume(b"Bacula 1.0 immortal\n", 11, b"Old\xff", block_mark=b"BB01"),
        Label("Bacula", b"Old\xff", "Old\ufffd"),
    ),
    "Amanda, used": (
        b"AMANDA: TAPESTART DATE 20300501120000 TAPE Daily-017\n\f\n".ljust(32768, b"\0"),
        Label("Amanda", b"Daily-017", "Daily-017"),
    ),
    "Amanda, old date": (
        b"AMANDA: TAPESTART DATE 20300501 TAPE Daily 18\n\f\n",
        Label("Amanda", b"Daily 18", "Daily 18"),
    ),
    "MTF, UTF-16": (make_mtf("Büro \U0001f4fc"), Label("MTF", bytes.fromhex("2db2c7580300"), "Büro \U0001f4fc")),
    "MTF, ANSI": (make_mtf("Büro", text_kind=1), Label("MTF", bytes.fromhex("2db2c7580300"), "Büro")),
    "MTF, no text": (make_mtf("", text_kind=0), Label("MTF", bytes.fromhex("2db2c7580300"))),
    "MTF, description": (make_mtf("", "About it"), Label("MTF", bytes.fromhex("2db2c7580300"), "About it")),
    "MTF, media label": (
        make_mtf("", "MTF Media Label|1.0|Vendor|7|2030/05/01.12:00:00|Tape 9|1|guid|domain|", attributes=2),
        Label("MTF", bytes.fromhex("2db2c7580300"), "Tape 9"),
    ),
}


def every_sample() -> dict[str, bytes]:
    return {name: read_sample(name) for name in sample_names()} | {name: head for name, (head, _) in BUILT.items()}


def recogniser_of(head: bytes) -> Recogniser:
    (name,) = claims(head)
    return FORMAT_OF[name]
