"""What our recognisers say of media that the real programs wrote, whole, cut off and damaged."""

import random
import re
import uuid
from datetime import UTC, datetime

import hypothesis
import pytest
from hypothesis import strategies as st
from label_samples import (
    BUILT,
    FORMAT_OF,
    claims,
    cut_lengths,
    every_sample,
    only_claim,
    read_sample,
    recogniser_of,
    sample_names,
)

import rsm.labels
from rsm.labels import Label, make_free_label, recognise
from rsm.labels.plugins import FORMATS

UUID = bytes.fromhex("6a1d3c528a1f4c0e9d2b0123456789ab")
SAMPLES = every_sample()
LABELLED = [name for name, head in SAMPLES.items() if claims(head)]
quick = hypothesis.settings(deadline=None, derandomize=True, database=None, max_examples=300)

# Type, text, and the id: its bytes, or where they are in the sample, or a number of bytes that a digest has.
EXPECTED: dict[str, tuple[str, str, bytes | slice | int] | None] = {
    "amanda": ("Amanda", "Lab-0001", b"Lab-0001"),
    "bacula": ("Bacula", "Weekly-0001", b"Weekly-0001"),
    "vol1-ansi": ("ANSI VOL1", "ANS001", b"ANS001"),
    "vol1-ibm": ("IBM VOL1", "IBM001", b"IBM001"),
    "tar-v7": ("tar", "tree/letters/", 16),
    "tar-ustar": ("tar", "tree/letters/", 16),
    "tar-gnu": ("tar", "tree/", 16),
    "tar-gnu-label": ("tar", "Weekly 7", 16),
    "tar-gnu-sparse": ("tar", "sparse", 16),
    "tar-pax": ("tar", "tree/", 16),
    "tar-pax-label": ("tar", "Weekly 8", 16),
    "tar-small": ("tar", "hello", 16),
    "tar-busybox": ("tar", "tree/letters/", 16),
    "tar-bsd": ("tar", "tree/letters/", 16),
    "tar-git": ("tar", "e3cce558f5f7855e1822fa4a6e766e0d84f452e4", 16),
    "cpio-newc": ("cpio", "tree", 16),
    "cpio-crc": ("cpio", "tree/letters", 16),
    "cpio-odc": ("cpio", "tree/letters", 16),
    "cpio-bin": ("cpio", "tree/letters", 16),
    "cpio-small": ("cpio", "tree", 16),
    "ext2": ("ext2", "Shelf2", UUID),
    "ext3": ("ext3", "Shelf3", UUID),
    "ext4": ("ext4", "Shelf 4", UUID),
    "ext4-plain": ("ext4", "", UUID),
    "ext4-journal": None,
    "xfs": ("XFS", "ShelfX", UUID),
    "xfs-v4": ("XFS", "ShelfX4", UUID),
    "btrfs": ("btrfs", "Shelf B", UUID + read_sample("btrfs")[65536 + 267 : 65536 + 283]),
    "btrfs-sha256": ("btrfs", "", UUID + read_sample("btrfs-sha256")[65536 + 267 : 65536 + 283]),
    "btrfs-blake2": ("btrfs", "", UUID + read_sample("btrfs-blake2")[65536 + 267 : 65536 + 283]),
    "btrfs-xxhash": ("btrfs", "", UUID + read_sample("btrfs-xxhash")[65536 + 267 : 65536 + 283]),
    "fat12": ("FAT", "FLOPPY", bytes.fromhex("78563412")),
    "fat16": ("FAT", "SHELF16", bytes.fromhex("efcdab89")),
    "fat16-unnamed": ("FAT", "", bytes.fromhex("efcdab89")),
    "fat32": ("FAT32", "SHELF 32", bytes.fromhex("0d0c0b0a")),
    "exfat": ("exFAT", "Shelf é", slice(100, 104)),
    "exfat-far": ("exFAT", "", slice(100, 104)),
    "ntfs": ("NTFS", "Shelf ü", slice(72, 76)),
    "iso-genisoimage": ("ISO 9660", "Disc_1", 16),
    "iso-xorriso": ("ISO 9660", "DISC_2", 16),
    "iso-bridge": ("ISO 9660", "Bridge", 16),
    "udf-2048": ("UDF", "Disc Ő", b"\x086a1d3c529abcdef0LinuxUDF"),
    "udf-512": ("UDF", "Disk", b"\x086a1d3c529abcdef1LinuxUDF"),
    "udf-dvdram": ("UDF", "Ram", b"\x086a1d3c529abcdef2LinuxUDF"),
    "partitions-mbr": None,
    "partitions-gpt": None,
}


def test_every_sample_is_expected() -> None:
    assert sorted(EXPECTED) == sample_names()


@pytest.mark.parametrize("name", EXPECTED)
def test_a_medium_that_the_program_wrote_is_told(name: str) -> None:
    head, expected = read_sample(name), EXPECTED[name]
    label = only_claim(head)
    assert recognise(head) == label
    if expected is None:
        assert label is None
        return
    assert label is not None
    label_type, info, label_id = expected
    assert (label.type, label.info) == (label_type, info)
    if isinstance(label_id, int):
        assert len(label.id) == label_id
    else:
        assert label.id == (head[label_id] if isinstance(label_id, slice) else label_id)


@pytest.mark.parametrize("name", BUILT)
def test_a_label_built_from_the_format_is_told(name: str) -> None:
    head, label = BUILT[name]
    assert only_claim(head) == recognise(head) == label


def test_every_type_of_the_table_has_a_sample() -> None:
    found = {label.type for head in SAMPLES.values() for label in claims(head).values()} | {"RSM free"}
    columns = [line.split("|")[1] for line in (rsm.labels.__doc__ or "").splitlines() if line.startswith("| `")]
    assert {label_type for column in columns for label_type in re.findall("`([^`]+)`", column)} == found


def test_ids_tell_media_apart() -> None:
    labels = {name: label for name in EXPECTED if (label := recognise(read_sample(name))) is not None}
    same_uuid = {name for name, label in labels.items() if label.id == UUID}
    others = [(label.type, label.id) for name, label in labels.items() if name not in same_uuid | {"fat16-unnamed"}]
    assert same_uuid == {"ext2", "ext3", "ext4", "ext4-plain", "xfs", "xfs-v4"}
    assert len(set(others)) == len(others)


@pytest.mark.parametrize("name", LABELLED)
def test_a_medium_cut_off_is_told_the_same_or_not_at_all(name: str) -> None:
    head = SAMPLES[name]
    recogniser = recogniser_of(head)
    whole = recogniser.claim(head)
    told = set()
    for length in cut_lengths(len(head)):
        if name.startswith("LTFS") and length == 80:
            continue  # a read that ended with the VOL1 block: tested by itself
        label = recogniser.claim(head[:length])
        assert label in (None, whole), length
        if label is not None:
            told.add(length)
    assert recogniser.claim(head[:40]) is None
    if told:
        assert told >= {length for length in cut_lengths(len(head)) if length > min(told)}


@pytest.mark.parametrize("name", LABELLED)
def test_what_was_recorded_behind_a_label_does_not_matter(name: str) -> None:
    head = SAMPLES[name]
    recogniser = recogniser_of(head)
    noise = random.Random(name).randbytes(recogniser.maximum_bytes)
    whole = recogniser.claim(head)
    for behind in (noise, bytes(len(noise))):
        assert recogniser.claim(head + behind) == (None if name == "LTFS VOL1 alone" else whole)


# The bytes that a checksum covers, and in them the bits that say whether there is a checksum at all.
COVERED: dict[str, tuple[range, set[tuple[int, int]]]] = {
    "tar-v7": (range(148), set()),
    "tar-gnu": (range(148), set()),
    "tar-gnu-label": (range(148), set()),
    "bacula": (range(211), set()),
    "Bareos": (range(len(BUILT["Bareos"][0])), set()),
    "MTF, UTF-16": (range(52), set()),
    "ext4": (range(1024, 2048), {(1024 + 101, 2)}),
    "xfs": (range(512), set()),
    "btrfs": (range(65536, 65536 + 4096, 3), set()),
    "btrfs-sha256": (range(65536 + 32, 65536 + 4096, 7), set()),
    "btrfs-blake2": (range(65536 + 32, 65536 + 4096, 7), set()),
    "btrfs-xxhash": (range(65536 + 32, 65536 + 4096, 29), set()),
    "exfat": (range(0, 6144, 11), set()),
    "udf-2048": (range(524288, 524288 + 512), set()),
    "udf-512": (range(96 * 512, 96 * 512 + 512), set()),
}
UNCHECKED = {"exfat": {106, 107, 112}, "btrfs": set(range(65536 + 4, 65536 + 32))}


@pytest.mark.parametrize("name", COVERED)
def test_one_bit_changed_under_a_checksum_is_damage(name: str) -> None:
    head = SAMPLES[name]
    recogniser = recogniser_of(head)
    covered, switches = COVERED[name]
    for at in covered:
        bits = range(8) if covered.step == 1 else (at % 8,)
        for bit in bits:
            if at in UNCHECKED.get(name, ()) or (at, bit) in switches:
                continue
            changed = bytearray(head)
            changed[at] ^= 1 << bit
            assert recogniser.claim(bytes(changed)) is None, (at, bit)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_medium_with_bytes_changed_never_raises(name: str) -> None:
    head, changes = SAMPLES[name], random.Random(name)
    looked_at = [at for at, byte in enumerate(head[: 128 * 1024]) if byte] or [0]
    for _ in range(60):
        changed = bytearray(head)
        for _ in range(changes.choice((1, 2, 8, 64))):
            near = changes.choice(looked_at) + changes.randrange(-4, 5)
            changed[near % len(changed)] = changes.choice((0, 1, 0x7F, 0x80, 0xFF, changes.randrange(256)))
        only_claim(bytes(changed))


MARKS = (
    *(head[:16] for head in SAMPLES.values()),
    *(head[: 2 * 1024] for head in SAMPLES.values()),
    b"\x53\xef",
    b"ustar\0" + b"00",
    b"<ltfslabel " * 3,
    b"070701" + b"f" * 104,
    b"070707" + b"7" * 70,
    b"\xc7\x71" + b"\xff" * 24,
    b"\x55\xaa",
)


@quick
@hypothesis.given(
    st.binary(max_size=600),
    st.lists(st.tuples(st.sampled_from(MARKS), st.sampled_from((0, 80, 510, 1024, 1080, 32768, 65536))), max_size=3),
    st.sampled_from((0, 512, 2048, 12288, 70000)),
)
def test_any_bytes_never_raise(noise: bytes, marks: list[tuple[bytes, int]], size: int) -> None:
    head = bytearray(noise.ljust(size, noise[-1:] or b"\xff"))
    for mark, at in marks:
        head[at : at + len(mark)] = mark
    for recogniser in FORMATS:
        label = recogniser.claim(bytes(head))
        assert label is None or isinstance(label, Label)


@pytest.mark.parametrize("name", FORMAT_OF)
def test_blank_media_are_none(name: str) -> None:
    for filling in (b"", b"\0", b" ", b"\x40", b"\xff", b"0", b"\x6c\xf6"):
        assert FORMAT_OF[name].claim(filling * FORMAT_OF[name].maximum_bytes) is None


def test_a_free_label_is_of_no_other_format() -> None:
    block = make_free_label(uuid.UUID(int=7), "A00001", datetime(2030, 5, 1, tzinfo=UTC))
    assert claims(block) == claims(block + bytes(655360)) == {}
