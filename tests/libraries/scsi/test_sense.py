"""The table from sense data to errors: every row, and which one counts."""

import pytest

import rsm
from rsm.libraries import base
from rsm.libraries.scsi.decode import Sense
from rsm.libraries.scsi.sense import RULES, Key, Retry, Signature, error_from_sense, rule_for

NOT_USED = 0xEE  # an ASC and ASCQ that no row names


@pytest.mark.parametrize("signature", RULES, ids=str)
def test_row_is_found_and_says_what_is_wrong_and_what_to_do(signature: Signature) -> None:
    key, asc, ascq = signature
    told = Sense(
        Key.ILLEGAL_REQUEST if key is None else key,
        NOT_USED if asc is None else asc,
        NOT_USED if ascq is None else ascq,
    )
    rule = RULES[signature]
    assert rule_for(told) is rule
    error = error_from_sense(told, "/dev/sg3")
    assert type(error) is rule.error
    assert str(error) == f"/dev/sg3: {rule.text} ({told.key:X}/{told.asc:02X}/{told.ascq:02X}): {rule.advice}"
    assert not error.outcome_unknown
    assert error_from_sense(told, "/dev/sg3", outcome_unknown=True).outcome_unknown
    assert (rule.retry is Retry.AT_ONCE) == (key == Key.UNIT_ATTENTION)
    assert rule.retry is not Retry.LATER or issubclass(rule.error, rsm.NotReadyError)


@pytest.mark.parametrize(
    ("numbers", "error", "retry", "contents"),
    [
        ((2, 0x04, 0x00), rsm.NotReadyError, Retry.NEVER, False),
        ((2, 0x04, 0x01), rsm.NotReadyError, Retry.LATER, False),
        ((2, 0x04, 0x03), rsm.NotReadyError, Retry.NEVER, False),
        ((2, 0x04, 0x83), rsm.NotReadyError, Retry.NEVER, False),
        ((2, 0x3A, 0x00), base.SourceEmptyError, Retry.NEVER, False),
        ((3, 0x30, 0x03), rsm.MediaIncompatibleError, Retry.NEVER, False),
        ((3, 0x52, 0x00), rsm.DeviceNotAvailableError, Retry.NEVER, False),
        ((4, 0x15, 0x01), rsm.DeviceNotAvailableError, Retry.NEVER, False),
        ((4, 0x83, 0x01), rsm.DeviceNotAvailableError, Retry.NEVER, False),
        ((5, 0x20, 0x00), rsm.NotSupportedError, Retry.NEVER, False),
        ((5, 0x21, 0x01), base.UnknownElementError, Retry.NEVER, False),
        ((5, 0x3B, 0x0D), base.DestinationFullError, Retry.NEVER, False),
        ((5, 0x3B, 0x0E), base.SourceEmptyError, Retry.NEVER, False),
        ((2, 0x3B, 0x12), base.ElementNotAccessibleError, Retry.NEVER, False),
        ((5, 0x53, 0x02), base.ElementNotAccessibleError, Retry.NEVER, False),
        ((6, 0x28, 0x00), rsm.NotReadyError, Retry.AT_ONCE, True),
        ((6, 0x28, 0x01), rsm.NotReadyError, Retry.AT_ONCE, True),
        ((6, 0x29, 0x07), rsm.NotReadyError, Retry.AT_ONCE, True),
        ((6, 0x3B, 0x13), rsm.NotReadyError, Retry.AT_ONCE, True),
        ((6, 0x2A, 0x01), rsm.NotReadyError, Retry.AT_ONCE, False),
        ((6, 0x00, 0x00), rsm.NotReadyError, Retry.AT_ONCE, False),
        ((7, 0x27, 0x00), rsm.WriteProtectError, Retry.NEVER, False),
        ((8, 0x00, 0x05), rsm.NoDataError, Retry.NEVER, False),
        ((0xB, 0x47, 0x00), rsm.BusyError, Retry.NEVER, False),
        ((0xD, 0x00, 0x00), rsm.DeviceNotAvailableError, Retry.NEVER, False),
        ((0xE, 0x1D, 0x00), rsm.DeviceNotAvailableError, Retry.NEVER, False),
    ],
)
def test_what_devices_say_becomes(
    numbers: tuple[int, int, int], error: type[rsm.RsmError], retry: Retry, contents: bool
) -> None:
    rule = rule_for(Sense(*numbers))
    assert (rule.error, rule.retry, rule.contents_may_differ) == (error, retry, contents)
