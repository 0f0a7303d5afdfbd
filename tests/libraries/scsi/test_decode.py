"""What devices answer: read right, cut off at every byte, made up by chance, and a lot of it."""

import contextlib
import struct
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsm.libraries.scsi import decode
from rsm.libraries.scsi.cdb import ElementType as Type
from rsm.libraries.scsi.decode import Capabilities, DeviceId, ElementDescriptor, Inquiry, MalformedReplyError, Sense

ALL = range(65_536)
SLOTS = range(1000, 1020)


def hexed(text: str) -> bytes:
    """Return bytes written as groups of hexadecimal digits."""
    return bytes.fromhex(text)


def page_of(descriptors: list[bytes], kind: int = 2, flags: int = 0x80, stated: int | None = None) -> bytes:
    """Return the answer to READ ELEMENT STATUS with one page."""
    body = b"".join(descriptors)
    length = len(descriptors[0]) if stated is None else stated
    page = struct.pack(">BBHB", kind, flags, length, 0) + len(body).to_bytes(3, "big") + body
    return struct.pack(">HHB", 0, len(descriptors), 0) + len(page).to_bytes(3, "big") + page


def slot(address: int, tag: bytes | None = b"A00001L8", *, flags: int = 0x09, tail: bytes = bytes(4)) -> bytes:
    """Return the descriptor of an element."""
    return struct.pack(">HB9x", address, flags) + (b"" if tag is None else tag.ljust(32) + bytes(4)) + tail


DRIVE_ID = b"\x02\x01\x00\x22" + b"IBM     ULTRIUM-TD8     DRV0000001"
NAA = b"\x01\x03\x00\x08" + hexed("5000000000000001")
SAMPLES: dict[str, tuple[Callable[[bytes], Any], bytes, Any]] = {
    "fixed sense": (
        decode.decode_sense,
        hexed("70 00 05 00000000 0a 00000000 3b 0d 00000000"),
        Sense(5, 0x3B, 0x0D),
    ),
    "fixed sense of a tape": (
        decode.decode_sense,
        hexed("f1 00 e3 ffffff9c 0a 00000000 00 01 00000000"),
        Sense(3, 0, 1, True, True, True, -100, True),
    ),
    "descriptor sense": (
        decode.decode_sense,
        hexed("72 06 28 01 000000 10 000a8000 0000000000000064 04020060"),
        Sense(6, 0x28, 0x01, False, True, True, 100),
    ),
    "no sense": (decode.decode_sense, b"", None),
    "vendor's own sense": (decode.decode_sense, hexed("7f 05 06"), None),
    "inquiry": (
        decode.decode_inquiry,
        hexed("08800512 1f000000") + b"HP      MSL G3 Series   3.00",
        Inquiry(8, True, "HP", "MSL G3 Series", "3.00"),
    ),
    "short inquiry": (decode.decode_inquiry, hexed("61 80 05 02 00"), Inquiry(1, False, "", "", "")),
    "serial number": (decode.decode_serial_number, hexed("08800008") + b"  ABC12\0", "ABC12"),
    "device ids": (
        decode.decode_device_ids,
        hexed("08830032") + DRIVE_ID + NAA,
        (DeviceId(2, 1, DRIVE_ID[4:]), DeviceId(1, 3, NAA[4:])),
    ),
    "luns": (
        decode.decode_luns,
        hexed("00000018 00000000 0000000000000000 0009000000000000 4123000000000000"),
        (0, 9, 0x123),
    ),
    "mode 6": (
        lambda data: decode.decode_mode_page(data, 0x1F),
        hexed("1f 00 90 08 58 000000 00 000200 1d 02 0000 1f 0b 0102030405060708090a0b"),
        decode.ModePage(True, 0x58, 512, hexed("1f 0b 0102030405060708090a0b")),
    ),
    "mode 10": (
        lambda data: decode.decode_mode_page(data, 0x1D, ten=True),
        hexed("0010 00 10 00 00 0000 5f 01 0002 ffff 1d 02 0102"),
        decode.ModePage(False, 0, None, hexed("1d 02 0102")),
    ),
    "element addresses": (
        decode.decode_element_addresses,
        hexed("1d 12 0000 0001 03e8 0014 0020 0004 fffe 0002 0000"),
        decode.ElementAddresses(range(1), SLOTS, range(32, 36), range(65_534, 65_536)),
    ),
    "capabilities": (
        decode.decode_capabilities,
        hexed("1f 12 0f00 00 08 00 02 00000000 00 08 00 00 00000000"),
        Capabilities(
            frozenset({(Type.STORAGE, Type.DATA_TRANSFER), (Type.DATA_TRANSFER, Type.STORAGE)}),
            frozenset({(Type.STORAGE, Type.DATA_TRANSFER)}),
        ),
    ),
    "log": (
        lambda data: decode.decode_log_parameters(data, 0x31),
        hexed("31 00 000d 0001 40 04 00000100 0003 40 01 07"),
        {1: hexed("00000100"), 3: b"\x07"},
    ),
    "tape alerts": (
        decode.decode_tape_alerts,
        hexed("2e 00 0014 0001 40 01 00 0014 40 01 01 0040 40 01 01 0041 40 01 01"),
        frozenset({20, 64}),
    ),
    "attributes": (
        decode.decode_attributes,
        hexed("00000014 0000 80 0008 0000000000000064 0401 81 0002 4142"),
        {0: (100).to_bytes(8, "big"), 0x401: b"AB"},
    ),
    "position": (decode.decode_position, hexed("80 00 0000 00000102 00000102"), 0x102),
    "unknown position": (decode.decode_position, hexed("14 00 0000 00000102 00000102"), None),
    "supported": (decode.decode_supported, hexed("0003 0006"), True),
    "not supported": (decode.decode_supported, hexed("0001 0000"), False),
    "elements": (
        lambda data: [
            (each.address, each.full, each.accessible, each.volume_tag)
            for each in decode.decode_element_status(data, SLOTS)
        ],
        page_of([slot(1000), slot(1001, b"", flags=0x08), slot(1002, b"B\0garbage", flags=1)]),
        [(1000, True, True, "A00001L8"), (1001, False, True, None), (1002, True, False, "B")],
    ),
}
DECODERS = {name: decoder for name, (decoder, _, _) in SAMPLES.items()}
DECODERS["cut elements"] = lambda data: decode.decode_element_status(data, ALL, keep_cut=True)


@pytest.mark.parametrize("name", SAMPLES)
def test_sample_is_read_right_and_nothing_after_it(name: str) -> None:
    decoder, data, expected = SAMPLES[name]
    assert decoder(data) == expected
    if name not in (
        "position",
        "unknown position",
        "no sense",
        "vendor's own sense",
        "element addresses",
        "capabilities",
    ):
        assert decoder(data + b"\xff" * 300) == expected


@pytest.mark.parametrize("name", SAMPLES)
def test_sample_cut_off_at_any_byte_is_read_as_far_as_it_goes_or_refused(name: str) -> None:
    decoder, data, expected = SAMPLES[name]
    for length in range(len(data)):
        with contextlib.suppress(MalformedReplyError):
            read = decoder(data[:length])
            if isinstance(expected, dict | list | tuple | frozenset):
                assert all(each in expected for each in read)


@settings(max_examples=150, deadline=1000)
@given(data=st.binary(max_size=400))
@pytest.mark.parametrize("name", DECODERS)
def test_chance_is_read_or_refused(name: str, data: bytes) -> None:
    with contextlib.suppress(MalformedReplyError):
        DECODERS[name](data)


@settings(max_examples=150, deadline=1000)
@given(data=st.data())
@pytest.mark.parametrize("name", SAMPLES)
def test_sample_with_a_few_wrong_bytes_is_read_or_refused(name: str, data: st.DataObject) -> None:
    decoder, sample, _ = SAMPLES[name]
    content = bytearray(sample or b"\0")
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(MalformedReplyError):
        decoder(bytes(content))


def test_every_field_of_an_element_is_read() -> None:
    head = struct.pack(">HBxBBxxxBH", 257, 0x3F, 0x83, 0x01, 0xC2, 0x1234)
    body = head + b"A00001L8".ljust(36) + b"ALTERNATE".ljust(36) + DRIVE_ID
    (read,) = decode.decode_element_status(page_of([body], kind=4, flags=0xC0), ALL)
    device_id = DeviceId(2, 1, DRIVE_ID[4:])
    assert read == ElementDescriptor(4, 257, True, True, True, True, 0x83, 0x01, 2, True, 0x1234, "A00001L8", device_id)
    assert read.device_id is not None
    assert read.device_id.text == "IBM     ULTRIUM-TD8     DRV0000001"


TAGGED = [slot(1000 + number) for number in range(3)]
UNTAGGED = [slot(1000 + number, None) for number in range(3)]
SCSI_2 = [slot(1000 + number, tail=b"") for number in range(3)]


@pytest.mark.parametrize(
    ("descriptors", "flags", "stated"),
    [
        (TAGGED, 0x80, 0),
        (TAGGED, 0x80, 16),
        (TAGGED, 0x80, 51),
        (TAGGED, 0x80, 65_535),
        (SCSI_2, 0x80, 0),
        (SCSI_2, 0x80, 52),
        (UNTAGGED, 0x00, 0),
        (UNTAGGED, 0x00, 12),
        (UNTAGGED, 0x80, 16),
    ],
)
def test_length_of_descriptors_that_is_a_lie_is_found_out(descriptors: list[bytes], flags: int, stated: int) -> None:
    found = decode.decode_element_status(page_of(descriptors, flags=flags, stated=stated), SLOTS)
    told = [each.address for each in found]
    # What is longer than all there is cannot be told from a page that was cut off.
    assert told == ([] if stated == 65_535 else [1000, 1001, 1002])


def test_descriptors_without_sense_are_refused() -> None:
    with pytest.raises(MalformedReplyError, match="7 bytes"):
        decode.decode_element_status(page_of([bytes(52)] * 3, stated=7), SLOTS)


def test_cut_element_counts_only_where_it_is_asked_for() -> None:
    drives = [slot(256 + number, tail=DRIVE_ID) for number in range(2)]
    data = page_of(drives, kind=4)[:-8]
    assert [each.address for each in decode.decode_element_status(data, ALL)] == [256]
    first, last = decode.decode_element_status(data, ALL, keep_cut=True)
    assert (first.device_id, last.address) == (DeviceId(2, 1, DRIVE_ID[4:]), 257)
    assert last.device_id == DeviceId(2, 1, DRIVE_ID[4:-8], cut=True)


@pytest.mark.parametrize("tag", [b"\xff" * 32, b"A\x01B", b"\0" * 32, b" " * 32, "Ä".encode()])
def test_bar_code_that_is_no_text_is_none(tag: bytes) -> None:
    (read,) = decode.decode_element_status(page_of([slot(1000, tag)]), SLOTS)
    assert (read.full, read.volume_tag) == (True, None)


@pytest.mark.parametrize(
    "page",
    [
        "1d 12 0001 0001 0001 0001 0020 0004 0100 0002 0000",
        "1d 12 0001 0001 03e8 0014 03fb 0004 0100 0002 0000",
        "1d 12 0001 0001 fff0 0014 0020 0004 0100 0002 0000",
        "1d 0e 0001 0001 03e8 0014 0020 0004 0100",
    ],
)
def test_addresses_that_cannot_be_are_refused(page: str) -> None:
    with pytest.raises(MalformedReplyError):
        decode.decode_element_addresses(hexed(page))


def test_kind_without_elements_may_have_any_address() -> None:
    addresses = decode.decode_element_addresses(hexed("1d 12 0001 0001 03e8 0014 03e8 0000 0100 0002 0000"))
    assert (len(addresses.ports), addresses.slots) == (0, SLOTS)


def test_elements_are_decoded_piece_by_piece_in_the_memory_of_one() -> None:
    at_once, every = 1250, range(1000, 21_000)
    pieces = [
        page_of([slot(at + number, f"T{at + number:06d}".encode()) for number in range(at_once)])
        for at in every[::at_once]
    ]
    read = [each for piece in pieces for each in decode.decode_element_status(piece, every)]
    assert [(each.address, each.volume_tag) for each in read] == [(at, f"T{at:06d}") for at in every]
    tracemalloc.start()
    for piece in pieces:
        decode.decode_element_status(piece, every)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000
