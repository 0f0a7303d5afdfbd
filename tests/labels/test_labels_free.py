"""The free label: what is written is read back, and what differs from it in one bit is no label."""

import unicodedata
import uuid
import zlib
from datetime import UTC, datetime, timedelta, timezone

import hypothesis
import pytest
from hypothesis import strategies as st

import rsm
from rsm.labels import FREE_LABEL_BYTES, FREE_TYPE, RECOGNISER, Label, is_free, make_free_label

ASTRAL = "\U0001f4fc"  # one character, two UTF-16 units
ID = uuid.UUID("018f3f6e-6d7a-7c1e-9b55-0242ac120002")
WRITTEN = datetime(2030, 5, 1, 12, tzinfo=UTC)
GOLDEN = b"""RSM free label 1
id: 018f3f6e-6d7a-7c1e-9b55-0242ac120002
name: A00001
written: 2030-05-01T12:00:00Z
Nothing on this side is in use: whoever is given it writes over this label.
crc32: 002d45db
"""
LABEL = Label(FREE_TYPE, ID.bytes, "A00001")
LONGEST = make_free_label(ID, "\u5099" * 255, WRITTEN)
quick = hypothesis.settings(deadline=None, derandomize=True, database=None, max_examples=300)


def golden_block() -> bytes:
    return GOLDEN + b" " * (1023 - len(GOLDEN)) + b"\n"


def seal(lines: bytes) -> bytes:
    """Return these lines with their right checksum and the blanks behind it, as the label has them."""
    block = lines + b"crc32: %08x\n" % zlib.crc32(lines)
    return block + b" " * (1023 - len(block)) + b"\n"


def unsealed() -> bytes:
    return GOLDEN[: GOLDEN.index(b"crc32")]


def test_the_format_is_pinned() -> None:
    assert make_free_label(ID, "A00001", WRITTEN) == golden_block() == seal(unsealed())
    assert RECOGNISER.claim(golden_block()) == LABEL
    assert len(golden_block()) == FREE_LABEL_BYTES == RECOGNISER.maximum_bytes == len(LONGEST)


def test_what_was_recorded_behind_the_label_does_not_matter() -> None:
    for tail in (b"\0", b"\n", golden_block(), b"\xff" * 100_000):
        assert RECOGNISER.claim(golden_block() + tail) == LABEL
    assert RECOGNISER.claim(b"\n" + golden_block()) is None


@pytest.mark.parametrize("block", [golden_block(), LONGEST], ids=["short", "longest"])
def test_a_label_cut_off_anywhere_is_none(block: bytes) -> None:
    assert RECOGNISER.claim(block) is not None
    for length in range(FREE_LABEL_BYTES):
        assert RECOGNISER.claim(block[:length]) is None, length
        assert RECOGNISER.claim(block[:length].ljust(FREE_LABEL_BYTES, b"\0")) is None, length


@pytest.mark.parametrize("block", [golden_block(), LONGEST], ids=["short", "longest"])
def test_a_label_with_one_bit_or_byte_changed_is_none(block: bytes) -> None:
    assert RECOGNISER.claim(block) is not None
    for position, byte in enumerate(block):
        for other in {*(byte ^ 1 << bit for bit in range(8)), 0x00, 0x0A, 0x20, 0xFF} - {byte}:
            changed = block[:position] + bytes([other]) + block[position + 1 :]
            assert RECOGNISER.claim(changed) is None, (position, other)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"label 1\n", b"label 2\n"),
        (b"label 1\n", b"label 10\n"),
        (b"label 1\n", b"label 01\n"),
        (b"RSM free", b"rsm free"),
        (b"018f3f6e", b"018F3F6E"),
        (b"-", b""),
        (b"id: 018f3f6e", b"id: urn:uuid:018f3f6e"),
        (b"ac120002", b"ac12000g"),
        (b"ac120002", b"ac12000"),
        (b"id: 018f3f6e-6d7a-7c1e-9b55-0242ac120002\n", b""),
        (b"A00001", b"A0\0001"),
        (b"A00001", b"A0\r001"),
        (b"A00001", b"A0\n001"),
        (b"A00001", b"A0\xff001"),
        (b"A00001", b"A0\xed\xa0\x80001"),
        (b"A00001", b"A" * 256),
        (b"A00001", ASTRAL.encode() * 128),
        (b"A00001", b"A" * 2000),
        (b"2030", b"0000"),
        (b"05-01", b"13-01"),
        (b"05-01", b"02-30"),
        (b"12:00:00", b"24:00:00"),
        (b"12:00:00", b"12:00:00.5"),
        (b"12:00:00", b"12:00:00+02:00"),
        (b"T12", b" 12"),
        (b"00Z", b"00"),
        (b"00Z", b"00z"),
        (b"Nothing", b"nothing"),
        (b"label.\n", b"label.\n\n"),
    ],
)
def test_a_label_of_another_form_is_none_though_its_checksum_is_right(old: bytes, new: bytes) -> None:
    assert old in unsealed()
    assert RECOGNISER.claim(seal(unsealed().replace(old, new))) is None


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("", ""),
        (" A 1 ", " A 1 "),
        ("name: x crc32: 00000000", "name: x crc32: 00000000"),
        ("caf\u00e9 cafe\u0301 \u05d2\u202e", "caf\u00e9 cafe\u0301 \u05d2\u202e"),
        ("a\u2028b\u2029c\uffff\U0010ffff", "a\u2028b\u2029c\uffff\U0010ffff"),
        ("a\nb\r\nc\0d\x85e\x7ff\tg", "a b  c d e f g"),
        ("\n", " "),
        ("a\ud800b\udfff", "a\ufffdb\ufffd"),
        ("\ud83d\ude00", "\ufffd\ufffd"),
        ("x" * 255, "x" * 255),
        ("x" * 256, "x" * 255),
        ("x" * 254 + ASTRAL, "x" * 254),
        (ASTRAL * 1000, ASTRAL * 127),
        ("\u5099" * 100_000, "\u5099" * 255),
    ],
)
def test_a_name_is_kept_or_made_fit(name: str, kept: str) -> None:
    block = make_free_label(ID, name, WRITTEN)
    assert len(block) == FREE_LABEL_BYTES
    assert RECOGNISER.claim(block) == Label(FREE_TYPE, ID.bytes, kept)


_CHARACTERS = st.one_of(st.characters(), st.sampled_from("\n\r\0\x85\u2028\ud800\udfff: " + ASTRAL))


@quick
@hypothesis.given(st.text(_CHARACTERS, max_size=300), st.uuids(), st.datetimes(timezones=st.just(UTC)))
def test_any_name_id_and_time_make_a_label(name: str, label_id: uuid.UUID, written: datetime) -> None:
    block = make_free_label(label_id, name, written)
    label = RECOGNISER.claim(block)
    assert label is not None
    assert (label.type, label.id, len(block)) == (FREE_TYPE, label_id.bytes, FREE_LABEL_BYTES)
    assert len(block.rstrip(b" \n").split(b"\n")) == 6
    if len(name) <= 127 and not any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        assert label.info == name
    else:
        assert make_free_label(label_id, label.info, written) == block


@quick
@hypothesis.given(st.binary(max_size=80), st.sampled_from([b"id: ", b"name: ", b"written: ", b"018f", b"2030", b"\n"]))
def test_rubbish_is_never_claimed_and_never_raises(rubbish: bytes, place: bytes) -> None:
    head, tail = unsealed().split(place, 1)
    lines = head + place + rubbish + tail
    label = RECOGNISER.claim(seal(lines))
    assert label is None or lines == unsealed() or place == b"name: "
    assert RECOGNISER.claim(rubbish) is RECOGNISER.claim(GOLDEN[:17] + rubbish) is None


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (datetime(2030, 5, 1, 1, 30, 59, 999_999, tzinfo=timezone(timedelta(hours=2))), b"2030-04-30T23:30:59Z"),
        (datetime(1, 1, 1, tzinfo=UTC), b"0001-01-01T00:00:00Z"),
        (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), b"9999-12-31T23:59:59Z"),
    ],
)
def test_the_time_is_kept_in_utc(written: datetime, text: bytes) -> None:
    block = make_free_label(ID, "x", written)
    assert b"\nwritten: " + text + b"\n" in block
    assert RECOGNISER.claim(block) is not None


@pytest.mark.parametrize(
    "written",
    [
        datetime(2030, 5, 1),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
        datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-1))),
    ],
)
def test_a_time_that_is_none_in_utc_is_refused(written: datetime) -> None:
    with pytest.raises(rsm.InvalidParameterError):
        make_free_label(ID, "x", written)


def test_only_the_free_label_is_free() -> None:
    assert is_free(LABEL)
    assert not any(is_free(Label(label_type, ID.bytes)) for label_type in ("rsm free", "RSM free ", "RSM", "MTF"))
