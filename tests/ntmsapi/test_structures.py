"""The structures against the facts: fields in order, types, lengths, sizes, and what a fresh one holds."""

import copy
import dataclasses
import json
import pathlib
import pickle
import typing
import uuid
from datetime import datetime
from typing import Annotated, Any

import pytest

from rsm import constants
from rsm.constants import NTMS_COMPUTER, NTMS_MEDIA_POOL, NTMS_OBJECT, NTMS_PHYSICAL_MEDIA, NTMS_UNKNOWN, NULL_GUID
from rsm.ntmsapi import structures

DATA = pathlib.Path(__file__).parent.parent / "data"
FACTS = json.loads((DATA / "structures.json").read_text())
BYTES = json.loads((DATA / "constants.json").read_text())["struct_bytes"]

SCALARS: dict[str, tuple[Any, Any]] = {
    "DWORD": (Annotated[int, "DWORD"], 0),
    "WORD": (Annotated[int, "WORD"], 0),
    "LARGE_INTEGER": (Annotated[int, "LARGE_INTEGER"], 0),
    "BOOL": (bool, False),
    "NTMS_GUID": (uuid.UUID, NULL_GUID),
    "LPGUID": (Annotated[uuid.UUID, "LPGUID"], NULL_GUID),
    "SYSTEMTIME": (datetime | None, None),
    "LPWSTR": (str, ""),
    "HANDLE": (object, None),
    "LPVOID": (object, None),
    "union": (Any, None),
}
# Size and alignment on a 64-bit Windows, by annotation.
LAYOUT: list[tuple[Any, int, int]] = [
    (SCALARS["DWORD"][0], 4, 4),
    (SCALARS["WORD"][0], 2, 2),
    (SCALARS["LARGE_INTEGER"][0], 8, 8),
    (bool, 4, 4),
    (uuid.UUID, 16, 4),
    (SCALARS["LPGUID"][0], 8, 8),
    (datetime | None, 16, 2),
    (str, 8, 8),
    (object, 8, 8),
]


def expected_fields() -> dict[str, list[dict[str, Any]]]:
    """The fields of every structure, those of the first version worked out from what they lack."""
    fields = {name: entry["fields"] for name, entry in FACTS["structs"].items()}
    for name, entry in FACTS["i1_structs"].items():
        lengths = {field: change["length"] for field, change in entry.get("lengths_differ", {}).items()}
        fields[name] = [
            field | ({"length": lengths[field["name"]]} if field["name"] in lengths else {})
            for field in fields[entry["as"]]
            if field["name"] not in entry["lacks"]
        ]
    return fields


FIELDS = expected_fields()
VARIANTS = {name: entry["variants"] for name, entry in FACTS["structs"].items()}
VARIANTS |= {name: [form for form in "AW" if name + form in BYTES] for name in FACTS["i1_structs"]}


def expected_annotation(field: dict[str, Any]) -> tuple[Any, Any]:
    element, bracket, _ = field["type"].partition("[")
    if not bracket:
        return SCALARS[element]
    return (Annotated[bytes, field["length"]], b"") if element == "BYTE" else (Annotated[str, field["length"]], "")


def layout(annotation: Any, union: dict[Any, type[Any]]) -> tuple[int, int]:
    if annotation is Any:
        members = [structure_layout(member, {}) for member in union.values()]
        alignment = max(alignment for _, alignment in members)
        return padded(max(size for size, _ in members), alignment), alignment
    for known, size, alignment in LAYOUT:
        if annotation == known:
            return size, alignment
    kind, length = typing.get_args(annotation)
    return (2 * length, 2) if kind is str else (length, 1)


def padded(offset: int, alignment: int) -> int:
    return -(-offset // alignment) * alignment


def structure_layout(structure: type[Any], union: dict[Any, type[Any]]) -> tuple[int, int]:
    offset, widest = 0, 1
    for field in dataclasses.fields(structure):
        size, alignment = layout(field.type, union)
        offset, widest = padded(offset, alignment) + size, max(widest, alignment)
    return padded(offset, widest), widest


def size_on_64_bits(name: str) -> int:
    facts = FACTS["structs"].get(name, {}).get("bytes") or {"W": BYTES.get(name + "W"), "any": BYTES.get(name)}
    size = facts.get("W") or facts["any"]
    return int(size["win64"] if isinstance(size, dict) else size)


@pytest.mark.parametrize("name", FIELDS)
def test_structure_has_the_fields_of_the_header_in_order(name: str) -> None:
    fresh = getattr(structures, name)()
    real = [(field.name, field.type, getattr(fresh, field.name)) for field in dataclasses.fields(fresh)]
    expected = [(field["name"], *expected_annotation(field)) for field in FIELDS[name]]
    if FIELDS[name][0]["name"] == "dwSize":
        expected[0] = ("dwSize", expected[0][1], size_on_64_bits(name))
    assert real == expected


@pytest.mark.parametrize("name", FIELDS)
def test_structure_is_as_large_as_in_windows(name: str) -> None:
    structure = getattr(structures, name)
    size, _ = structure_layout(structure, getattr(structure, "_structures", {}))
    assert size == size_on_64_bits(name)


@pytest.mark.parametrize("name", FIELDS)
def test_structure_is_a_mutable_value_of_its_own_class(name: str) -> None:
    structure = getattr(structures, name)
    assert structure.__name__ == name
    one, other = structure(), structure()
    setattr(one, dataclasses.fields(structure)[0].name, "changed")
    assert one != other
    assert copy.deepcopy(one) == pickle.loads(pickle.dumps(one)) == one
    with pytest.raises(AttributeError):
        one.no_such_field = 1


def test_exported_names_are_those_of_the_header() -> None:
    variants = {name + form: name for name, forms in VARIANTS.items() for form in forms}
    assert all(getattr(structures, alias) is getattr(structures, name) for alias, name in variants.items())
    assert set(structures.__all__) == {*FIELDS, *variants, "INFO_STRUCTURES", "NTMS_GUID", "SYSTEMTIME"}
    assert structures.NTMS_GUID is uuid.UUID
    assert structures.SYSTEMTIME is datetime
    defined = {name for name, value in vars(structures).items() if dataclasses.is_dataclass(value)}
    assert defined == {*FIELDS, *variants}


def test_info_structures_are_the_union_of_the_header() -> None:
    union = {
        constants.NtmsObjectsTypes[row["dwType"]]: getattr(structures, row["struct"])
        for row in FACTS["object_info_union"]
    }
    assert list(structures.INFO_STRUCTURES.items()) == list(union.items())


@pytest.mark.parametrize(("kind", "structure"), structures.INFO_STRUCTURES.items())
def test_info_is_filled_with_a_fresh_structure_of_the_kind(kind: int, structure: type[Any]) -> None:
    one, other = (structures.NTMS_OBJECTINFORMATION(dwType=int(kind)) for _ in range(2))
    assert type(one.Info) is structure
    assert one.Info is not other.Info
    given = structure()
    assert structures.NTMS_OBJECTINFORMATION(dwType=kind, Info=given).Info is given


@pytest.mark.parametrize("kind", [NTMS_UNKNOWN, NTMS_OBJECT, 18, 19, -1, 2**40])
def test_kinds_without_a_structure_leave_info_empty(kind: int) -> None:
    assert structures.NTMS_OBJECTINFORMATION(dwType=kind).Info is None


def test_first_version_of_the_object_uses_the_structures_of_its_time() -> None:
    expected = FACTS["i1_structs"]["NTMS_I1_OBJECTINFORMATION"]["info_uses"]
    made = [structures.NTMS_I1_OBJECTINFORMATION(dwType=kind).Info for kind in structures.INFO_STRUCTURES]
    assert sorted(type(info).__name__ for info in made if "_I1_" in type(info).__name__) == sorted(expected)
    assert structures.NTMS_I1_OBJECTINFORMATION(dwType=NTMS_COMPUTER).Info is None
    pool = structures.NTMS_I1_OBJECTINFORMATION(dwType=NTMS_MEDIA_POOL).Info
    assert type(pool) is structures.NTMS_MEDIAPOOLINFORMATION
    medium = structures.NTMS_OBJECTINFORMATION(dwType=NTMS_PHYSICAL_MEDIA).Info
    assert type(medium) is structures.NTMS_PMIDINFORMATION


def test_settable_members_exist_in_their_structures() -> None:
    shared = {field.name for field in dataclasses.fields(structures.NTMS_OBJECTINFORMATION)}
    for kind, entry in FACTS["set_object_information"].items():
        info = structures.INFO_STRUCTURES[constants.NtmsObjectsTypes[kind]]
        assert set(entry["members"]) <= shared | {field.name for field in dataclasses.fields(info)}
