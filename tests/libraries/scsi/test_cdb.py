"""Every command, byte by byte."""

import pytest

from rsm.libraries.scsi import cdb
from rsm.libraries.scsi.cdb import ElementType, Space

COMMANDS = [
    (cdb.test_unit_ready(), "00 00 00 00 00 00"),
    (cdb.request_sense(), "03 00 00 00 fc 00"),
    (cdb.request_sense(18, descriptor=True), "03 01 00 00 12 00"),
    (cdb.inquiry(), "12 00 00 00 fc 00"),
    (cdb.inquiry(0x80), "12 01 80 00 fc 00"),
    (cdb.inquiry(0x83, 0x1234), "12 01 83 12 34 00"),
    (cdb.report_luns(4096), "a0 00 00 00 00 00 00 00 10 00 00 00"),
    (cdb.report_supported(0xA6), "a3 0c 01 a6 00 00 00 00 00 14 00 00"),
    (cdb.mode_sense_6(0x1D), "1a 08 1d 00 ff 00"),
    (cdb.mode_sense_6(0, 12, block_descriptors=True), "1a 00 00 00 0c 00"),
    (cdb.mode_sense_10(0x1F), "5a 08 1f 00 00 00 00 02 00 00"),
    (cdb.mode_sense_10(0x1F, 300, block_descriptors=True), "5a 00 1f 00 00 00 00 01 2c 00"),
    (cdb.mode_select_6(12), "15 10 00 00 0c 00"),
    (cdb.mode_parameters_for_blocks(0x58, 0), "00 00 10 08 58 00 00 00 00 00 00 00"),
    (cdb.mode_parameters_for_blocks(0, 65536), "00 00 10 08 00 00 00 00 00 01 00 00"),
    (cdb.log_sense(0x2E, 512), "4d 00 6e 00 00 00 00 02 00 00"),
    (cdb.initialize_element_status(), "07 00 00 00 00 00"),
    (cdb.initialize_element_status(0x1234, 0x56), "37 01 12 34 00 00 00 56 00 00"),
    (cdb.read_element_status(ElementType.STORAGE, 1000, 2, 0x010203), "b8 12 03 e8 00 02 00 01 02 03 00 00"),
    (
        cdb.read_element_status(ElementType.DATA_TRANSFER, 65_535, 1, 16, volume_tags=False, device_ids=True),
        "b8 04 ff ff 00 01 01 00 00 10 00 00",
    ),
    (cdb.move_medium(1, 0x1234, 0xFFFF), "a5 00 00 01 12 34 ff ff 00 00 00 00"),
    (cdb.move_medium(0, 2, 3, invert=True), "a5 00 00 00 00 02 00 03 00 00 01 00"),
    (cdb.exchange_medium(1, 2, 3, 4), "a6 00 00 01 00 02 00 03 00 04 00 00"),
    (cdb.position_to_element(1, 0x203), "2b 00 00 01 02 03 00 00 00 00"),
    (cdb.position_to_element(1, 2, invert=True), "2b 00 00 01 00 02 00 00 01 00"),
    (cdb.prevent_removal(True), "1e 00 00 00 01 00"),
    (cdb.prevent_removal(False), "1e 00 00 00 00 00"),
    (cdb.open_close_port(0x203, close=False), "1b 00 02 03 00 00"),
    (cdb.open_close_port(0x203, close=True), "1b 00 02 03 01 00"),
    (cdb.load_unload(True), "1b 00 00 00 01 00"),
    (cdb.load_unload(False), "1b 00 00 00 00 00"),
    (cdb.rewind(), "01 00 00 00 00 00"),
    (cdb.space(Space.END_OF_DATA), "11 03 00 00 00 00"),
    (cdb.space(Space.FILEMARKS, 2), "11 01 00 00 02 00"),
    (cdb.space(Space.BLOCKS, -1), "11 00 ff ff ff 00"),
    (cdb.read_block(65_536), "08 00 01 00 00 00"),
    (cdb.write_block(100), "0a 00 00 00 64 00"),
    (cdb.write_filemarks(1), "10 00 00 00 01 00"),
    (cdb.read_position(), "34 00 00 00 00 00 00 00 00 00"),
    (cdb.read_attribute(0x0220, 1024), "8c 00 00 00 00 00 00 00 02 20 00 00 04 00 00 00"),
]


@pytest.mark.parametrize(
    ("command", "expected"), COMMANDS, ids=[each[:2] + str(at) for at, (_, each) in enumerate(COMMANDS)]
)
def test_command_is_laid_out_as_the_standard_has_it(command: bytes, expected: str) -> None:
    assert command == bytes.fromhex(expected)
    groups = {0: 6, 1: 10, 2: 10, 4: 16, 5: 12}  # the length of a command follows from the first bits of its code
    assert len(command) == groups[command[0] >> 5] or expected.startswith("00 00 10 08")


@pytest.mark.parametrize(
    "make",
    [
        lambda: cdb.move_medium(1, 65_536, 2),
        lambda: cdb.move_medium(1, 2, -1),
        lambda: cdb.read_element_status(ElementType.STORAGE, 1, 1, 1 << 24),
        lambda: cdb.write_block(1 << 24),
        lambda: cdb.space(Space.BLOCKS, 1 << 23),
        lambda: cdb.inquiry(256),
    ],
)
def test_number_that_does_not_fit_is_never_cut(make: object) -> None:
    with pytest.raises(OverflowError):
        make()  # type: ignore[operator]
