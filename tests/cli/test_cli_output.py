"""How values become text in each of the three forms, and how an entry is put into a list of rights."""

import dataclasses
import enum
import uuid
from datetime import datetime, timedelta, timezone

import pytest

import rsm
from rsm.cli.acl import put_entry
from rsm.cli.output import as_document, as_plain, as_text
from rsm.constants import NtmsOperationalState

ID = uuid.UUID("01890000-0000-7000-8000-00000000000a")
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 600_000, tzinfo=timezone(timedelta(hours=2)))
ISO_MOMENT = "2026-01-02T01:04:05.600000Z"
BOTH_CONTROLS = rsm.AccessRights.CONTROL | rsm.AccessRights.READ_CONTROL
U, M, C = rsm.AccessRights.USE, rsm.AccessRights.MODIFY, rsm.AccessRights.CONTROL


class Sample(enum.IntFlag):
    SAMPLE_ONE = 1
    SAMPLE_TWO = 2


@dataclasses.dataclass
class Pair:
    id: uuid.UUID
    parts: tuple[object, ...]


PAIR = f'{{"id": "{ID}", "parts": ["01", null]}}'


@pytest.mark.parametrize(
    ("value", "document", "plain", "text"),
    [
        (None, None, "", "-"),
        ("", "", "", "-"),
        (True, True, "true", "yes"),
        (False, False, "false", "no"),
        (0, 0, "0", "0"),
        ("a\tb\nc\r\x1b[31m", "a\tb\nc\r\x1b[31m", r"a\tb\nc\r\x1b[31m", r"a\tb\nc\r\x1b[31m"),
        (r"\App\temp", r"\App\temp", r"\App\temp", r"\App\temp"),
        (ID, str(ID), str(ID), str(ID)),
        (MOMENT, ISO_MOMENT, ISO_MOMENT, "2026-01-02 01:04:05Z"),
        (b"MTF1", "4d544631", "4d544631", "MTF1"),
        (b"\x00\xff", "00ff", "00ff", "0x00ff"),
        (b"", "", "", "-"),
        (rsm.NtmsPoolType.NTMS_POOLTYPE_IMPORT, "NTMS_POOLTYPE_IMPORT", "NTMS_POOLTYPE_IMPORT", "import"),
        (NtmsOperationalState.NTMS_NEEDS_SERVICE, "NTMS_NEEDS_SERVICE", "NTMS_NEEDS_SERVICE", "needs service"),
        (Sample(3), ["SAMPLE_ONE", "SAMPLE_TWO"], "SAMPLE_ONE,SAMPLE_TWO", "one, two"),
        (Sample(0), [], "", "-"),
        (Sample(6), ["SAMPLE_TWO", "4"], "SAMPLE_TWO,4", "two, 4"),
        (BOTH_CONTROLS, ["CONTROL", "READ_CONTROL"], "CONTROL,READ_CONTROL", "control, read_control"),
        (Pair(ID, (b"\x01", None)), {"id": str(ID), "parts": ["01", None]}, PAIR, PAIR),
    ],
)  # fmt: skip
def test_value_in_each_form(value: object, document: object, plain: str, text: str) -> None:
    assert as_document(value) == document
    assert as_plain(value) == plain
    assert as_text(value) == text


def ace(word: str, rights: rsm.AccessRights, trustee: str = "user:a", *, inherited: bool = False) -> rsm.Ace:
    return rsm.Ace(word == "allow", trustee, rights, inherited)


@pytest.mark.parametrize(
    ("held", "added", "expected"),
    [
        ([], ace("allow", U), [ace("allow", U)]),
        ([ace("allow", U)], ace("allow", M), [ace("allow", U | M)]),
        ([ace("allow", U | M)], ace("deny", M), [ace("deny", M), ace("allow", U)]),
        ([ace("deny", U | M)], ace("allow", M), [ace("deny", U), ace("allow", M)]),
        ([ace("deny", U)], ace("allow", U), [ace("allow", U)]),
        (
            [ace("allow", C, "everyone"), ace("allow", U | C, inherited=True)],
            ace("deny", C),
            [ace("deny", C), ace("allow", C, "everyone"), ace("allow", U, inherited=True)],
        ),
        (
            [ace("allow", U, "everyone", inherited=True)],
            ace("allow", U),
            [ace("allow", U), ace("allow", U, "everyone", inherited=True)],
        ),
    ],
)
def test_entry_is_put_where_it_decides(held: list[rsm.Ace], added: rsm.Ace, expected: list[rsm.Ace]) -> None:
    assert put_entry(tuple(held), added.allow, added.trustee, added.rights) == tuple(expected)
