"""The constants against the facts: nothing missing, nothing extra, every value."""

import enum
import json
import pathlib
import subprocess
import sys
import types
import uuid

import pytest

from rsm import constants, win32

FACTS = json.loads((pathlib.Path(__file__).parent / "data" / "constants.json").read_text())
NTMS_ENUMS = {name: entry["members"] for name, entry in FACTS["enums"].items()}
ERROR_NUMBERS = FACTS["errors"] | FACTS["protocol_errors"]
SECOND_NAMES = {name: ERROR_NUMBERS[nearest[0]] for name, nearest in FACTS["errors_without_number"].items()}
ENUMS = NTMS_ENUMS | FACTS["external_enums"] | {"ErrorCode": ERROR_NUMBERS | SECOND_NAMES}
PLAIN = {
    **FACTS["defines"],
    **FACTS["external_defines"],
    **FACTS["array_lengths"],
    **FACTS["media_label_lengths"],
    "NULL_GUID": uuid.UUID(FACTS["null_guid"]),
}


def public_names(module: types.ModuleType) -> set[str]:
    return {name for name in vars(module) if not name.startswith("_")}


@pytest.mark.parametrize("name", ENUMS)
def test_enum_has_the_members_of_the_header_in_order(name: str) -> None:
    members = getattr(constants, name).__members__
    assert [(member, value.value) for member, value in members.items()] == list(ENUMS[name].items())


@pytest.mark.parametrize("name", ENUMS)
def test_enum_is_a_flag_exactly_where_bits_combine(name: str) -> None:
    kind = FACTS["enums"].get(name, {}).get("kind", "ordinal")
    expected = enum.IntFlag if kind.startswith("flags") else enum.IntEnum
    assert getattr(constants, name).__bases__ == (expected,)


@pytest.mark.parametrize("name", ENUMS)
def test_every_member_stands_at_module_level_as_itself(name: str) -> None:
    enumeration = getattr(constants, name)
    strays = [member for member in ENUMS[name] if getattr(constants, member, None) is not enumeration[member]]
    assert strays == []


def test_plain_constants_have_the_values_of_the_header() -> None:
    assert {name: getattr(constants, name) for name in PLAIN} == PLAIN


def test_nothing_else_is_exported() -> None:
    names = set(ENUMS) | set(PLAIN) | {member for members in ENUMS.values() for member in members}
    assert public_names(constants) == names
    borrowed = {name: members for name, members in ENUMS.items() if name not in NTMS_ENUMS}
    assert public_names(win32) == {*borrowed, *FACTS["external_defines"], *(m for ms in borrowed.values() for m in ms)}
    starred: dict[str, object] = {}
    exec("from rsm.constants import *", starred)
    assert set(starred) - {"__builtins__"} == names


def test_no_name_means_two_things() -> None:
    owners: dict[str, list[str]] = {}
    for owner, members in [*ENUMS.items(), ("plain", PLAIN), ("enums", ENUMS)]:
        for name in members:
            owners.setdefault(name, []).append(owner)
    assert {name: found for name, found in owners.items() if len(found) > 1} == {}


def test_codes_without_a_number_are_second_names_of_the_first_candidate() -> None:
    firsts = {name: nearest[0] for name, nearest in FACTS["errors_without_number"].items()}
    assert {name: constants.ErrorCode[name].name for name in firsts} == firsts
    assert len(firsts) == 9


def test_importing_the_constants_is_light() -> None:
    script = "import sys; before = set(sys.modules); import rsm.constants; print(*sorted(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"sqlalchemy", "alembic", "sqlite3", "psycopg", "typer", "rich"}
    assert "rsm.constants" in loaded
    assert heavy.isdisjoint(loaded)
