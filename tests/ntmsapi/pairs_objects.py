"""The cases of the table that are about objects of any kind: listing, information, attributes, security, service."""

import uuid
from functools import partial
from typing import Any

from ntmsapi.pairs_table import ERAS, Attempt, Made, calls, denied, enter_each, pair
from ntmsapi.pairs_world import ALICE, OWNER_AND_DACL, SOUND, World

from rsm import ntmsapi
from rsm.constants import (
    DACL_SECURITY_INFORMATION,
    NTMS_ENUM_ROOTPOOL,
    NTMS_MAXATTR_LENGTH,
    NTMS_MAXATTR_NAMELEN,
    NULL_GUID,
)
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.ntmsapi import NTMS_OBJECTINFORMATION
from rsm.security import AccessRights, Ace, SecurityDescriptor

M, C, U = AccessRights.MODIFY, AccessRights.CONTROL, AccessRights.USE
POOL, LIBRARY = Kind.NTMS_MEDIA_POOL, Kind.NTMS_LIBRARY
WITHOUT_RECORD = (Kind.NTMS_OBJECT, Kind.NTMS_UI_DESTINATION)


def unknown() -> uuid.UUID:
    return uuid.uuid4()


def strangers(w: World, kind: Kind) -> list[uuid.UUID]:
    """Return ids that name nothing, or something of another kind."""
    return [unknown(), NULL_GUID, *(one for other, one in w.one_of_each().items() if other is not kind)]


# In service or not


def not_serviceable(w: World, function: str) -> Attempt:
    others = {kind: one for kind, one in w.one_of_each().items() if kind not in (5, 9, 15)}
    strange = [(kind, unknown()) for kind in (0, 1, 18, 19, 0xFFFFFFFF, -1, None, "9")]
    return calls(function, w.h, *others.items(), *strange)


def service_denied(w: World, function: str) -> list[Attempt]:
    library = w.library(drives=2)
    for index in range(2):
        w.session.objects.disable(Kind.NTMS_DRIVE, library.drives[index])
    arguments: tuple[Any, ...] = (Kind.NTMS_DRIVE, library.drives[0])
    shelved = (Kind.NTMS_PHYSICAL_MEDIA, w.medium())
    return [
        denied(w, function, arguments, (LIBRARY, library.id), w2k3=M, w2k=C),
        calls(function, w.handle(ALICE), (LIBRARY, library.id)),
        denied(w, function, shelved, (LIBRARY, w.offline), w2k3=M, w2k=C),
    ]


def in_that_state(w: World, function: str) -> Attempt:
    enabled = function == "EnableNtmsObject"
    library = w.library()
    medium = w.medium(enabled=enabled)
    if not enabled:
        w.session.objects.disable(LIBRARY, library.id)
        w.session.objects.disable(Kind.NTMS_DRIVE, library.drives[0])
    drive = (Kind.NTMS_DRIVE, library.drives[0])
    return calls(function, w.h, (LIBRARY, library.id), drive, (Kind.NTMS_PHYSICAL_MEDIA, medium))


def nothing_to_switch(w: World, function: str) -> Attempt:
    kinds = (LIBRARY, Kind.NTMS_DRIVE, Kind.NTMS_PHYSICAL_MEDIA)
    return calls(function, w.h, *((kind, one) for kind in kinds for one in strangers(w, kind)))


for _name, _already in (
    ("EnableNtmsObject", "the object is enabled already"),
    ("DisableNtmsObject", "the object is disabled already"),
):
    _no_right = "no NTMS_MODIFY_ACCESS on the library that contains the object"
    _no_kind = "dwType is not library, drive or physical medium"
    _offline = "the id names an offline library, which can be neither enabled nor disabled"
    enter_each(_name, "ERROR_ACCESS_DENIED", _no_right, service_denied, eras=ERAS)
    enter_each(_name, "ERROR_INVALID_PARAMETER", _no_kind, not_serviceable)
    enter_each(_name, "ERROR_INVALID_STATE", _already, in_that_state)
    enter_each(
        _name,
        "ERROR_LIBRARY_OFFLINE",
        _offline,
        lambda w, function: calls(function, w.h, (LIBRARY, w.offline)),
    )
    enter_each(_name, "ERROR_OBJECT_NOT_FOUND", "there is no such object", nothing_to_switch)


# Listing


@pair(
    "EnumerateNtmsObject",
    "ERROR_INVALID_PARAMETER",
    when="the container is not of a kind that can hold objects of dwType",
)
def list_in_wrong_container(w: World) -> Made:
    holders: dict[Kind, set[Kind]] = {
        Kind.NTMS_MEDIA_POOL: {POOL},
        Kind.NTMS_PHYSICAL_MEDIA: {POOL, LIBRARY},
        Kind.NTMS_PARTITION: {POOL, Kind.NTMS_PHYSICAL_MEDIA, Kind.NTMS_LOGICAL_MEDIA},
        Kind.NTMS_LOGICAL_MEDIA: {POOL, Kind.NTMS_PARTITION},
        **{kind: {LIBRARY} for kind in (Kind.NTMS_CHANGER, Kind.NTMS_DRIVE, Kind.NTMS_IEDOOR, Kind.NTMS_IEPORT)},
        **{kind: {LIBRARY} for kind in (Kind.NTMS_LIBREQUEST, Kind.NTMS_MEDIA_TYPE, Kind.NTMS_STORAGESLOT)},
    }
    each = w.one_of_each()
    wrong = [(one, kind) for kind in each for holder, one in each.items() if holder not in holders.get(kind, set())]
    return calls("EnumerateNtmsObject", w.h, *wrong)


@pair(
    "EnumerateNtmsObject",
    "ERROR_INSUFFICIENT_BUFFER",
    when="more objects than room: the list is cut off and lpdwListSize receives the number needed",
)
def list_without_room(w: World) -> Made:
    code, every, needed = ntmsapi.EnumerateNtmsObject(w.h, w.robot.id, Kind.NTMS_STORAGESLOT)
    assert (code, needed) == (0, len(every))

    def cut(room: int) -> Any:
        code, ids, again = ntmsapi.EnumerateNtmsObject(w.h, w.robot.id, Kind.NTMS_STORAGESLOT, 0, room)
        assert (ids, again) == (every[:room], needed)
        return code

    return Attempt([partial(cut, room) for room in range(needed)])


@pair("EnumerateNtmsObject", "ERROR_OBJECT_NOT_FOUND", when="the container id is not that of any container on record")
def list_in_nothing(w: World) -> Made:
    return calls("EnumerateNtmsObject", w.h, *((unknown(), kind) for kind in range(2, 18)), (NULL_GUID, POOL))


@pair("EnumerateNtmsObject", "ERROR_SUCCESS", when="the container holds no object of that type: lpdwListSize is 0")
def list_empty(w: World) -> Made:
    pool = w.pool()

    def empty(room: int | None) -> Any:
        code, ids, count = ntmsapi.EnumerateNtmsObject(w.h, pool, Kind.NTMS_PHYSICAL_MEDIA, 0, room)
        assert (ids, count) == ([], 0)
        return code

    return Attempt([partial(empty, room) for room in (None, 0, 5)])


@pair(
    "EnumerateNtmsObject",
    "ERROR_INVALID_PARAMETER",
    when="dwType is NTMS_UNKNOWN, NTMS_OBJECT, NTMS_UI_DESTINATION or out of range",
)
def list_no_kind(w: World) -> Made:
    kinds = (0, 1, 18, 19, 20, 0xFFFFFFFF, -1, None, "12")
    return calls("EnumerateNtmsObject", w.h, *((where, kind) for kind in kinds for where in (None, w.root)))


@pair("EnumerateNtmsObject", "ERROR_INVALID_PARAMETER", when="NTMS_ENUM_ROOTPOOL with another type or with a container")
def list_root_elsewhere(w: World) -> Made:
    option = int(NTMS_ENUM_ROOTPOOL)
    elsewhere = [(None, kind, option) for kind in range(2, 18) if kind != POOL]
    return calls("EnumerateNtmsObject", w.h, *elsewhere, (w.root, POOL, option), (None, POOL, 2))


# Information


def info_denied(w: World, function: str) -> list[Attempt]:
    pool = w.pool()
    if function == "GetNtmsObjectInformation":
        return [denied(w, function, (pool, POOL), (POOL, pool), w2k3=U)]
    info = w.information(POOL, pool, szDescription="changed")
    library = w.information(LIBRARY, w.robot.id, szDescription="changed")
    return [
        denied(w, function, (pool, info), (POOL, pool), w2k3=M, w2k=C),
        denied(w, function, (w.robot.id, library), (LIBRARY, w.robot.id), w2k3=C),
    ]


_NO_USE = "no NTMS_USE_ACCESS on the object or on its container"
_NO_TYPE_RIGHT = "the right needed for that type (NTMS_MODIFY_ACCESS or NTMS_CONTROL_ACCESS) is missing"
enter_each("GetNtmsObjectInformation", "ERROR_ACCESS_DENIED", _NO_USE, info_denied)
enter_each("SetNtmsObjectInformation", "ERROR_ACCESS_DENIED", _NO_TYPE_RIGHT, info_denied, eras=ERAS)


@pair(
    "SetNtmsObjectInformation", "ERROR_ACCESS_DENIED", when="objects of that type cannot be modified at all", eras=ERAS
)
def set_unchangeable(w: World) -> Made:
    structures = [NTMS_OBJECTINFORMATION(dwType=int(kind)) for kind in WITHOUT_RECORD]
    return calls("SetNtmsObjectInformation", w.h, *((w.root, structure) for structure in structures))


def wrong_size(w: World, function: str) -> Attempt:
    pool = w.pool()
    infos = [w.information(POOL, pool, dwSize=size) for size in (0, 1396, 1409, -1, None, "1408")]
    return calls(function, w.h, *((pool, info) for info in infos))


def no_type(w: World, function: str) -> Attempt:
    pool = w.pool()
    infos = [w.information(POOL, pool, dwType=kind) for kind in (0, 19, 20, -1, 2**40, None, "12")]
    numbers = (0, 18, 19, -1, 2**32) if function.startswith("Get") else ()
    mismatched = w.information(POOL, pool, Info=ntmsapi.NTMS_DRIVEINFORMATION())
    return calls(function, w.h, *((pool, info) for info in (*infos, *numbers, mismatched)))


def no_object(w: World, function: str) -> Attempt:
    pool = w.information(POOL, w.pool())
    return calls(function, w.h, (unknown(), pool), (NULL_GUID, pool))


def other_type(w: World, function: str) -> Attempt:
    each = w.one_of_each()
    return calls(function, w.h, *((one, other) for kind, one in each.items() for other in each if other is not kind))


for _name in ("GetNtmsObjectInformation", "SetNtmsObjectInformation"):
    enter_each(_name, "ERROR_INVALID_PARAMETER", "dwSize is not right for the type", wrong_size)
    enter_each(_name, "ERROR_INVALID_PARAMETER", "dwType is not a valid object type", no_type)
    enter_each(_name, "ERROR_OBJECT_NOT_FOUND", "there is no such object", no_object)
enter_each(
    "GetNtmsObjectInformation", "ERROR_OBJECT_NOT_FOUND", "dwType does not match the type of the object", other_type
)


@pair(
    "SetNtmsObjectInformation", "ERROR_INVALID_NAME", when="new name too long or with characters that are not allowed"
)
def set_bad_name(w: World) -> Made:
    each = w.one_of_each()
    named = (POOL, LIBRARY, Kind.NTMS_PARTITION, Kind.NTMS_PHYSICAL_MEDIA, Kind.NTMS_LOGICAL_MEDIA)
    bad = ("x" * 64, "😀" * 32, "a\tb", "a\0", "\ud800")
    found = [(each[kind], w.information(kind, each[kind], szName=name)) for kind in named for name in bad]
    empty = [(each[kind], w.information(kind, each[kind], szName="")) for kind in (POOL, LIBRARY)]
    separated = [(each[POOL], w.information(POOL, each[POOL], szName="a\\b"))]
    return calls("SetNtmsObjectInformation", w.h, *found, *empty, *separated)


@pair("SetNtmsObjectInformation", "ERROR_ALREADY_EXISTS", when="name already taken by a sibling")
def set_taken_name(w: World) -> Made:
    path, one, other = w.path(), w.pool(), w.library()
    w.pool(path=path)
    renamed = w.information(POOL, one, szName=path[1:])
    like_system = w.information(POOL, one, szName="Free")
    library = w.information(LIBRARY, other.id, szName="Robot")
    return calls("SetNtmsObjectInformation", w.h, (one, renamed), (one, like_system), (other.id, library))


@pair("SetNtmsObjectInformation", "ERROR_MEDIA_INCOMPATIBLE", when="MediaType of a pool changed while it holds media")
def set_type_of_full_pool(w: World) -> Made:
    pool = w.pool()
    w.medium(pool)
    types = (w.lto7, NULL_GUID)
    return calls("SetNtmsObjectInformation", w.h, *((pool, w.information(POOL, pool, MediaType=new)) for new in types))


# Attributes


def attribute_denied(w: World, function: str) -> Attempt:
    arguments = SOUND[function](w)
    return denied(w, function, arguments, (POOL, arguments[0]), w2k3=M if function.startswith("Set") else U)


enter_each("GetNtmsObjectAttribute", "ERROR_ACCESS_DENIED", _NO_USE, attribute_denied)
_NO_MODIFY = "no NTMS_MODIFY_ACCESS on the object that guards this type (see access)"
enter_each("SetNtmsObjectAttribute", "ERROR_ACCESS_DENIED", _NO_MODIFY, attribute_denied)


@pair("SetNtmsObjectAttribute", "ERROR_ACCESS_DENIED", when="objects of that type cannot be modified", eras=ERAS)
def attribute_of_unchangeable(w: World) -> Made:
    return calls("SetNtmsObjectAttribute", w.h, *((w.root, kind, "note", b"x") for kind in WITHOUT_RECORD))


@pair(
    "GetNtmsObjectAttribute",
    "ERROR_INSUFFICIENT_BUFFER",
    when="the buffer size does not fit; lpAttributeSize receives the right one",
)
def attribute_without_room(w: World) -> Made:
    arguments = SOUND["GetNtmsObjectAttribute"](w)

    def too_small(room: int) -> Any:
        code, data, needed = ntmsapi.GetNtmsObjectAttribute(w.h, *arguments, room)
        assert (data, needed) == (None, 5)
        assert ntmsapi.GetNtmsObjectAttribute(w.h, *arguments, needed) == (0, b"12345", 5)
        return code

    return Attempt([partial(too_small, room) for room in (0, 4)])


@pair("GetNtmsObjectAttribute", "ERROR_OBJECT_NOT_FOUND", when="the object has no attribute of that name")
def no_attribute(w: World) -> Made:
    pool, kind, _ = SOUND["GetNtmsObjectAttribute"](w)
    return calls("GetNtmsObjectAttribute", w.h, (pool, kind, "Note"), (pool, kind, "other"), (w.root, kind, "note"))


@pair("GetNtmsObjectAttribute", "ERROR_OBJECT_NOT_FOUND", when="the object itself does not exist")
def attribute_of_nothing(w: World) -> Made:
    _, kind, name = SOUND["GetNtmsObjectAttribute"](w)
    return calls("GetNtmsObjectAttribute", w.h, *((other, kind, name) for other in strangers(w, kind)))


@pair("SetNtmsObjectAttribute", "ERROR_OBJECT_NOT_FOUND", when="there is no object with that id")
def set_attribute_of_nothing(w: World) -> Made:
    return calls("SetNtmsObjectAttribute", w.h, *((other, POOL, "note", b"x") for other in strangers(w, POOL)))


@pair("SetNtmsObjectAttribute", "ERROR_OBJECT_NOT_FOUND", when="length 0 for an attribute that does not exist")
def delete_no_attribute(w: World) -> Made:
    pool = w.pool()
    return calls("SetNtmsObjectAttribute", w.h, (pool, POOL, "note", b""), (pool, POOL, "note", None, 0))


@pair(
    "SetNtmsObjectAttribute",
    "ERROR_INVALID_NAME",
    when="the attribute name is not valid, or longer than NTMS_MAXATTR_NAMELEN with its null",
)
def attribute_bad_name(w: World) -> Made:
    pool, longest = w.pool(), "n" * (NTMS_MAXATTR_NAMELEN - 1)
    assert ntmsapi.SetNtmsObjectAttribute(w.h, pool, POOL, longest, b"x") == 0
    names = ("", longest + "n", "a\tb", "a\0", "\ud800", "😀" * 16)
    return calls("SetNtmsObjectAttribute", w.h, *((pool, POOL, name, b"x") for name in names))


@pair("SetNtmsObjectAttribute", "ERROR_NO_DATA", when="the data size is NTMS_MAXATTR_LENGTH or more")
def attribute_too_long(w: World) -> Made:
    pool, longest = w.pool(), bytes(NTMS_MAXATTR_LENGTH - 1)
    assert ntmsapi.SetNtmsObjectAttribute(w.h, pool, POOL, "long", longest) == 0
    return calls("SetNtmsObjectAttribute", w.h, (pool, POOL, "long", longest + b"x"), (pool, POOL, "new", bytes(2**20)))


# Security


def security_denied(w: World, function: str) -> Attempt:
    arguments = SOUND[function](w)
    right = AccessRights.WRITE_DAC if function.startswith("Set") else AccessRights.READ_CONTROL
    return denied(w, function, arguments, (POOL, arguments[0]), w2k3=right)


enter_each("GetNtmsObjectSecurity", "ERROR_ACCESS_DENIED", "no READ_CONTROL on the object", security_denied)
_NO_WRITE = "caller lacks what is needed to change the descriptor"
enter_each("SetNtmsObjectSecurity", "ERROR_ACCESS_DENIED", _NO_WRITE, security_denied, eras=ERAS)


def security_arguments(function: str) -> tuple[Any, ...]:
    if function.startswith("Get"):
        return (OWNER_AND_DACL,)
    return (DACL_SECURITY_INFORMATION, SecurityDescriptor(dacl=(Ace(True, "everyone", U),)))


def unguarded(w: World, function: str) -> Attempt:
    each = {kind: one for kind, one in w.one_of_each().items() if kind not in (POOL, LIBRARY, Kind.NTMS_COMPUTER)}
    rest = security_arguments(function)
    kinds = [(w.root, kind, *rest) for kind in WITHOUT_RECORD]
    return calls(function, w.h, *((one, kind, *rest) for kind, one in each.items()), *kinds)


def security_of_nothing(w: World, function: str) -> Attempt:
    rest = security_arguments(function)
    kinds = (POOL, LIBRARY, Kind.NTMS_COMPUTER)
    return calls(function, w.h, *((one, kind, *rest) for kind in kinds for one in strangers(w, kind)))


for _name in ("GetNtmsObjectSecurity", "SetNtmsObjectSecurity"):
    _unguarded = "objects like this carry no security information"
    enter_each(_name, "ERROR_NO_SECURITY_ON_OBJECT", _unguarded, unguarded)
    enter_each(_name, "ERROR_OBJECT_NOT_FOUND", "there is no such object", security_of_nothing)


@pair("GetNtmsObjectSecurity", "ERROR_INSUFFICIENT_BUFFER", when="buffer too small (lpnLengthNeeded set)")
def security_without_room(w: World) -> Made:
    arguments = SOUND["GetNtmsObjectSecurity"](w)
    whole = ntmsapi.GetNtmsObjectSecurity(w.h, *arguments)

    def too_small(room: int) -> Any:
        code, descriptor, needed = ntmsapi.GetNtmsObjectSecurity(w.h, *arguments, room)
        assert (descriptor, needed) == (None, whole[2])
        assert ntmsapi.GetNtmsObjectSecurity(w.h, *arguments, needed) == whole
        return code

    return Attempt([partial(too_small, room) for room in (0, whole[2] - 1)])


@pair(
    "SetNtmsObjectSecurity", "ERROR_INVALID_PARAMETER", when="descriptor pointer is null or the descriptor is malformed"
)
def malformed_descriptor(w: World) -> Made:
    bad: list[Any] = [
        None,
        "D:(A;;GA;;;WD)",
        SecurityDescriptor(),
        SecurityDescriptor(owner="user:alice"),
        *(SecurityDescriptor(dacl=dacl) for dacl in ("everyone", 5, ("everyone",), (None,))),
        *(SecurityDescriptor(dacl=(Ace(True, who, U),)) for who in ("alice", "", "user:", None, "user:\0", "x:y")),
        *(SecurityDescriptor(dacl=(Ace(True, "everyone", rights),)) for rights in (0, -1, 8, 2**40, None, "U")),
        SecurityDescriptor(owner="alice", dacl=(Ace(True, "everyone", U),)),
    ]
    pool = w.pool()
    return calls("SetNtmsObjectSecurity", w.h, *((pool, POOL, DACL_SECURITY_INFORMATION, one) for one in bad))
