"""Labels built from the published formats: what is refused, which lengths are not believed, and what overlaps."""

import hashlib
import io
import struct
import tarfile

import pytest
from label_samples import (
    BUILT,
    FORMAT_OF,
    VOLUME_UUID,
    claims,
    make_iso_of,
    make_ltfs,
    make_ltfs_xml,
    make_mtf,
    make_vol1,
    make_volume,
    only_claim,
    overlay,
    read_sample,
)

from rsm.labels import Label, recognise
from rsm.labels.fields import crc32c, make_info, xxhash64
from rsm.ntmsapi import NTMS_FILESYSTEM_INFO
from rsm.ntmsapi.allocation import _label_of_file_system


def replace(head: bytes, at: int, piece: bytes) -> bytes:
    return head[:at] + piece + head[at + len(piece) :]


def seal_mtf(block: bytes) -> bytes:
    """Return an MTF block with the right checksum for its header."""
    checksum = 0
    for (word,) in struct.iter_unpack("<H", block[:50]):
        checksum ^= word
    return replace(block, 50, struct.pack("<H", checksum))


MTF = make_mtf()
MADE = make_volume()
REFUSED = {
    "VOL1 with a blank serial": make_vol1(" "),
    "VOL1 with a serial that begins with a blank": make_vol1(" 1"),
    "VOL1 with a control character": make_vol1("A\x070001"),
    "VOL1 of a version to come": make_vol1(version="5"),
    "VOL2": b"VOL2" + make_vol1()[4:],
    "VOL1 cut off": make_vol1()[:79],
    "HDR1": b"HDR1" + make_vol1()[4:],
    "LTFS with a blank serial and no more": make_vol1(" ", "LTFS"),
    "LTFS followed by anything": make_vol1(system="LTFS") + b"HDR1".ljust(80),
    "LTFS with no UUID": make_ltfs("none"),
    "LTFS with two UUIDs": make_ltfs(f"{VOLUME_UUID}</volumeuuid><volumeuuid>{VOLUME_UUID}"),
    "LTFS label without its end": make_ltfs_xml()[:-4],
    "LTFS index": make_ltfs_xml().replace(b"ltfslabel", b"ltfsindex"),
    "Bareos, of a version to come": make_volume(version=21),
    "Bacula, of Bareos' version": make_volume(b"Bacula 1.0 immortal\n", 20),
    "Bacula, start of a session": make_volume(kind=-4),
    "Bacula, a file": make_volume(kind=1),
    "Bareos, no name": make_volume(volume=b""),
    "Bareos, long name": make_volume(volume=b"x" * 256),
    "Bareos, another block": make_volume(block_mark=b"BB03"),
    "another program": make_volume(b"Banana 1.0 immortal\n"),
    "Bareos, wrong checksum": replace(MADE, 0, b"\1\2\3\4"),
    "Bareos, block without end": replace(make_volume(with_checksum=False), 4, b"\xff\xff\xff\xff"),
    "Bareos, block without length": replace(make_volume(with_checksum=False), 4, bytes(4)),
    "Bareos, record without end": replace(make_volume(with_checksum=False), 32, b"\xff\xff\xff\xff"),
    "Bareos, record without length": replace(make_volume(with_checksum=False), 32, bytes(4)),
    "Bareos, record that ends in the name": replace(make_volume(with_checksum=False), 32, struct.pack(">I", 60)),
    "Amanda, end of tape": b"AMANDA: TAPEEND DATE 20300501120000\n\f\n",
    "Amanda, a dump": b"AMANDA: FILE 20300501 host /home lev 0 comp N program /bin/tar\n\f\n",
    "Amanda, no label": b"AMANDA: TAPESTART DATE X TAPE \n\f\n",
    "Amanda, long label": b"AMANDA: TAPESTART DATE X TAPE " + b"x" * 256 + b"\n\f\n",
    "Amanda, no form feed": b"AMANDA: TAPESTART DATE X TAPE Lab-0001\n\n".ljust(32768, b"\0"),
    "Amanda, no date": b"AMANDA: TAPESTART DATE  TAPE Lab-0001\n\f\n",
    "MTF, wrong checksum": replace(MTF, 50, b"\0\0"),
    "MTF, start of a set": seal_mtf(b"SSET" + MTF[4:]),
    "MTF, version 2": make_mtf(version=2),
    "MTF, kind of text 3": seal_mtf(replace(MTF, 48, b"\3")),
    "MTF, no end of its own data": seal_mtf(replace(MTF, 8, b"\xff\xff")),
    "MTF, its own data end too soon": seal_mtf(replace(MTF, 8, struct.pack("<H", 90))),
    "MTF, name behind its own data": replace(MTF, 70, b"\xff\xff"),
    "MTF, name without end": replace(MTF, 68, b"\xff\xff"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_label_or_a_damaged_one_is_none(case: str) -> None:
    assert only_claim(REFUSED[case]) is None
    assert recognise(REFUSED[case]) is None


def test_a_read_that_ended_with_the_first_block_of_ltfs_has_the_serial_number() -> None:
    head, label = BUILT["LTFS"]
    told = {length: FORMAT_OF["ltfs"].claim(head[:length]) for length in range(len(head) + 1)}
    ends = len(head) - 1  # the line end behind the XML does not count
    assert {length for length, one in told.items() if one is not None} == {80, ends, ends + 1}
    assert (told[80], told[ends]) == (Label("LTFS", b"A00001", "A00001"), label)


def test_a_label_that_bacula_wrote_tells_the_same_before_and_after_first_use() -> None:
    bacula = b"Bacula 1.0 immortal\n"
    never_used, used = (recognise(make_volume(bacula, 11, kind=kind)) for kind in (-1, -2))
    assert never_used == used == Label("Bacula", b"Full-0001", "Full-0001")


def make_tar(format_number: int, *members: tuple[str, int], pax: dict[str, str] | None = None) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=format_number, pax_headers=pax) as archive:
        for name, size in members:
            info = tarfile.TarInfo(name)
            info.size = size
            archive.addfile(info, io.BytesIO(bytes(index % 251 for index in range(size))))
    return stream.getvalue()


GNU, PAX, USTAR = tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT
LONG = "long/" * 30 + "name"
ARCHIVES = {
    "ends soon": (make_tar(USTAR, ("a", 5)), 1024, "a"),
    "goes on": (make_tar(USTAR, ("a", 5), ("b", 30000)), 10240, "a"),
    "prefix": (make_tar(USTAR, (LONG, 1)), 1024, LONG),
    "long name of GNU": (make_tar(GNU, (LONG, 1)), 2048, LONG),
    "long name of pax": (make_tar(PAX, (LONG, 1)), 2048, LONG),
    "comment": (make_tar(PAX, ("a", 1), pax={"comment": "Büro 7"}), 2048, "Büro 7"),
    "not UTF-8": (make_tar(USTAR, ("a\udcff", 1)), 1024, "a\ufffd"),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_an_archive_is_told_by_what_it_begins_with(case: str) -> None:
    head, size, info = ARCHIVES[case]
    assert only_claim(head) == Label("tar", hashlib.sha256(head[:size]).digest()[:16], info)
    assert recognise(head[: size - 1]) is None


def test_archives_that_begin_with_one_header_differ() -> None:
    one, other = make_tar(USTAR, ("d", 0), ("x", 10)), make_tar(USTAR, ("d", 0), ("x", 11))
    assert one[:512] == other[:512]
    assert recognise(one) != recognise(other)


def set_size(archive: bytes, field: bytes, kind: bytes = b"0") -> bytes:
    """Return an archive whose first header says another size, or kind, with the right checksum."""
    header = replace(replace(archive[:512], 124, field), 156, kind)
    total = sum(header[:148]) + 8 * 32 + sum(header[156:])
    return replace(header, 148, b"%06o\0 " % total) + archive[512:]


HUGE = b"\x80" + b"\xff" * 11
LONGER = make_tar(USTAR, ("a", 20000))


@pytest.mark.parametrize(
    ("archive", "is_told"),
    [
        (set_size(LONGER, b"00000047040\0"), True),
        (set_size(LONGER, HUGE), True),
        (set_size(LONGER, b"77777777777\0"), True),
        (set_size(LONGER, b"\xff" * 12), False),
        (set_size(LONGER, b"00000000000\0"), False),
        (set_size(LONGER, b"00000x47040\0"), False),
        (set_size(LONGER, HUGE, b"5"), True),
        (set_size(LONGER, HUGE, b"x"), True),
        (set_size(LONGER, HUGE, b"L"), True),
        (bytes(512) + LONGER, False),
        (b"\0" * 257 + b"ustar\x0000" + bytes(248), False),
    ],
)
def test_the_size_of_a_member_is_not_believed(archive: bytes, is_told: bool) -> None:
    assert (only_claim(archive) is not None) == is_told
    assert recognise(archive[:10239]) is None


def test_a_pax_archive_whose_first_file_is_too_long_for_the_header() -> None:
    size = 1 << 40
    info = tarfile.TarInfo("image")
    info.size = size
    head = info.tobuf(PAX).ljust(10240, b"\x01")
    assert b"size=%d" % size in head[512:1024]
    assert recognise(head) == Label("tar", hashlib.sha256(head).digest()[:16], "image")


def make_cpio_entry(name: bytes, data_bytes: int = 0, mode: int = 0o100644, name_bytes: int | None = None) -> bytes:
    length = len(name) + 1 if name_bytes is None else name_bytes
    fields = (1, mode, 0, 0, 1, 0, data_bytes, 0, 0, 0, 0, length, 0)
    entry = b"070701" + b"".join(b"%08x" % field for field in fields) + name + b"\0"
    return entry + bytes(-len(entry) % 4)


TRAILER = make_cpio_entry(b"TRAILER!!!", mode=0)


@pytest.mark.parametrize(
    ("stream", "is_told"),
    [
        (make_cpio_entry(b"a") + TRAILER, True),
        (make_cpio_entry(b"a", 1 << 31) + bytes(12000), True),
        (make_cpio_entry(b"a", 1 << 31) + bytes(9000), False),
        (make_cpio_entry(b"a" * 3000) + make_cpio_entry(b"b", 7100) + bytes(9000), True),
        (TRAILER, False),
        (make_cpio_entry(b"a"), False),
        (make_cpio_entry(b"a") + bytes(12000), False),
        (make_cpio_entry(b"a", mode=0o170644) + TRAILER, False),
        (make_cpio_entry(b"") + TRAILER, False),
        (make_cpio_entry(b"a", name_bytes=0) + TRAILER, False),
        (make_cpio_entry(b"a", name_bytes=1) + TRAILER, False),
        (make_cpio_entry(b"a", name_bytes=3) + TRAILER, False),
        (make_cpio_entry(b"a", name_bytes=0xFFFFFFFF) + TRAILER, False),
        (make_cpio_entry(b"a").replace(b"0000", b"000_", 1) + TRAILER, False),
        (b"070703" + make_cpio_entry(b"a")[6:] + TRAILER, False),
    ],
)
def test_a_stream_of_cpio(stream: bytes, is_told: bool) -> None:
    assert (only_claim(stream) is not None) == is_told


def test_cpio_of_the_other_byte_order_is_told_by_its_own_bytes() -> None:
    head = read_sample("cpio-bin")
    entry = head[:26]
    swapped = b"".join(bytes((entry[at + 1], entry[at])) for at in range(0, 26, 2)) + head[26:]
    assert FORMAT_OF["cpio"].claim(swapped) is None  # the second entry has the first byte order
    size = 26 + len(b"a\0")
    small = struct.pack(">13H", 0o070707, 1, 1, 0o100644, 0, 0, 1, 0, 0, 0, 2, 0, 0) + b"a\0"
    end = struct.pack(">13H", 0o070707, 0, 0, 0, 0, 0, 1, 0, 0, 0, 11, 0, 0) + b"TRAILER!!!\0\0"
    assert only_claim(small + end) == Label("cpio", hashlib.sha256(small[:size]).digest()[:16], "a")


def test_a_superblock_in_what_was_backed_up_is_not_what_the_medium_is() -> None:
    image = replace(bytes(3000), 0, read_sample("ext4")[1024:2048])
    tape = make_vol1().ljust(1024, b"\0") + image
    tar = replace(make_tar(USTAR, ("a", 5000)), 1024, image)
    cpio = replace(make_cpio_entry(b"a", 6000) + bytes(6000) + TRAILER, 1024, image)
    for head, label_type in ((tape, "ANSI VOL1"), (tar, "tar"), (cpio, "cpio")):
        assert {label.type for label in claims(head).values()} == {label_type, "ext4"}
        label = recognise(head)
        assert label is not None
        assert label.type == label_type


@pytest.mark.parametrize(
    ("below", "above", "at"),
    [
        ("fat32", "btrfs", 65536),
        ("xfs", "ext4", 1024),
        ("ext4", "iso-xorriso", 32768),
        ("ntfs", "udf-2048", 32768),
        ("iso-genisoimage", "btrfs", 65536),
    ],
)
def test_a_disk_with_two_file_systems_is_none(below: str, above: str, at: int) -> None:
    one, other = read_sample(below), read_sample(above)
    assert recognise(one) is not None
    assert recognise(other) is not None
    disk = overlay(one, other[at:], at)
    assert recognise(disk) is None


@pytest.mark.parametrize("mark", [b"\x55\xaa", b"\x00\x00"])
@pytest.mark.parametrize("name", ["partitions-mbr", "partitions-gpt"])
def test_a_disk_with_partitions_is_no_fat(name: str, mark: bytes) -> None:
    assert recognise(replace(read_sample(name), 510, mark)) is None
    assert recognise(replace(replace(read_sample(name), 0, b"\xeb\x63\x90"), 510, mark)) is None


def test_a_bridge_disc_is_one_of_iso_9660_or_none() -> None:
    head = read_sample("iso-bridge")
    assert b"NSR02" in head[32768:65536]
    damaged = replace(head, 32768 + 132, b"\xff")
    assert recognise(damaged) is None
    assert recognise(replace(head, 32768, read_sample("udf-2048")[32768:38912])).type == "UDF"  # type: ignore[union-attr]


def test_a_disc_built_from_the_format() -> None:
    head = make_iso_of(300, b"BUILT")
    digest = hashlib.sha256(head[32768:]).digest()[:16]
    assert only_claim(head) == Label("ISO 9660", digest, "BUILT")
    for at in (80, 84, 120, 122, 128, 130, 132, 156, 881, 0, 6):
        assert recognise(replace(head, 32768 + at, bytes([head[32768 + at] ^ 0x10]))) is None


FAT_DAMAGE = {
    "sector of 0 bytes": (11, b"\0\0"),
    "sector of 513 bytes": (11, b"\1\2"),
    "cluster of 0 sectors": (13, b"\0"),
    "cluster of 3 sectors": (13, b"\3"),
    "no reserved sector": (14, b"\0\0"),
    "no table": (16, b"\0"),
    "three tables": (16, b"\3"),
    "medium 5": (21, b"\5"),
    "no sectors": (19, b"\0\0"),
    "fewer sectors than tables": (19, b"\5\0"),
    "tables without end": (22, b"\xff\xff"),
    "no serial number": (38, b"\0"),
    "no mark": (510, b"\0\0"),
    "no jump": (0, b"\0"),
    "table of another medium": (512, b"\xf8"),
}


@pytest.mark.parametrize("case", FAT_DAMAGE)
def test_a_damaged_fat_is_none(case: str) -> None:
    at, piece = FAT_DAMAGE[case]
    head = read_sample("fat12")
    assert recognise(head) is not None
    assert recognise(replace(head, at, piece)) is None


def test_the_name_of_a_fat_volume_is_that_in_its_root_directory() -> None:
    head = read_sample("fat12")
    at = head.index(b"FLOPPY", 512)
    renamed = replace(head, at, b"NEW NAME   ")
    assert recognise(renamed) == Label("FAT", bytes.fromhex("78563412"), "NEW NAME")
    assert recognise(replace(head, at, b"\xe5")) == recognise(replace(head, at, b"\0")) == recognise(head)


NTFS_NAME_DAMAGE = {"no record": (0, b"BAAD"), "torn": (510, b"\xff\xff"), "attribute without end": (24, b"\xff\xff")}


def test_an_ntfs_volume_whose_name_cannot_be_read_has_none() -> None:
    head = read_sample("ntfs")
    label = recognise(head)
    assert label is not None
    at = 4 * 4096 + 3 * 1024
    assert head[at : at + 4] == b"FILE"
    for place, piece in NTFS_NAME_DAMAGE.values():
        changed = recognise(replace(head, at + place, piece))
        assert changed is not None
        assert (changed.type, changed.id) == (label.type, label.id)
    assert recognise(replace(head, at, b"BAAD")) == Label("NTFS", label.id)
    for place, piece in ((14, b"\1"), (48, b"\xff" * 8), (72, bytes(8)), (64, b"\x81"), (13, b"\x90")):
        assert recognise(replace(head, place, piece)) is None


@pytest.mark.parametrize("name", ["fat12", "fat16", "fat32", "exfat", "ntfs"])
def test_a_disk_is_told_as_windows_tells_it(name: str) -> None:
    head = read_sample(name)
    label = recognise(head)
    assert label is not None
    serial = int.from_bytes(label.id, "little")
    info = NTMS_FILESYSTEM_INFO(FileSystemType=label.type, VolumeName=label.info, SerialNumber=serial)
    assert _label_of_file_system(info, None) == label


def test_an_older_anchor_with_other_sectors_makes_a_udf_disc_ambiguous() -> None:
    old, new = read_sample("udf-512"), read_sample("udf-2048")
    both = bytearray(new)
    both[48 * 1024 : 48 * 1024 + 8192] = old[48 * 1024 : 48 * 1024 + 8192]
    both[128 * 1024 : 128 * 1024 + 512] = old[128 * 1024 : 128 * 1024 + 512]
    assert recognise(bytes(both)) is None


def test_a_file_system_that_is_being_made_is_none() -> None:
    assert recognise(replace(read_sample("xfs-v4"), 126, b"\1")) is None
    assert recognise(replace(read_sample("xfs-v4"), 32, bytes(16))) is None
    assert recognise(replace(read_sample("ext4-plain"), 1024 + 104, bytes(16))) is None


def test_the_checksums_are_those_of_their_definitions() -> None:
    assert crc32c(b"123456789") ^ 0xFFFFFFFF == 0xE3069283
    assert xxhash64(bytes(range(32))) == 0xCBF59C5116FF32B4


def test_text_for_people_is_one_short_line() -> None:
    assert make_info("  a\nb\tc\udc00  ") == "a b c\ufffd"
    assert make_info("x" * 300) == "x" * 255
    assert make_info("x" * 254 + "\U0001f4fc") == "x" * 254
    assert make_info(" \n ") == ""
