"""Nonsense for every argument of every call: a documented code comes back, nothing raises and nothing changes."""

import dataclasses
import inspect
import json
import os
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import Postgresql
from ntmsapi.pairs_world import (
    FUNCTIONS,
    OF_DRIVES,
    OF_NOTIFICATIONS,
    OWNER_AND_DACL,
    REPLACING,
    SOUND,
    TESTS,
    WAITING,
    WITH_HANDLE,
    World,
    Worlds,
    change,
    everything,
    first,
    of_administrator,
    run_script,
    sound_call,
)

import rsm
from rsm import ntmsapi, worker
from rsm.constants import INFINITE, NTMS_DISMOUNT_IMMEDIATE, NULL_GUID, ErrorCode
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.ntmsapi import NTMS_OBJECTINFORMATION
from rsm.security import AccessRights, Ace, Caller, SecurityDescriptor
from rsm.services import access

BACKENDS = ("sqlite", "postgresql")
LONE, LONG = "a\ud800", "x" * 100_000
OPTIONAL_SIZES = {"lpdwListSize", "lpdwBufSize", "lpAttributeSize", "nLength", "AttributeSize", "numberOfBytes"}

# What is wrong for an argument of each sort, beside what the sort's own test adds.
NO_GUID: list[Any] = [5, 0, True, 1.5, "text", "", str(NULL_GUID), NULL_GUID.bytes, b"", object(), [], {}, (NULL_GUID,)]
NO_NUMBER: list[Any] = ["1", "", b"1", 1.5, float("nan"), -1, -(2**31), 2**32, 2**64, 2**200, object(), [], NULL_GUID]
NO_TEXT: list[Any] = [5, True, b"name", 1.5, object(), [], ("a",), NULL_GUID]
BAD_TEXT: list[Any] = ["", LONG, LONE, "a\0b", "a\x1fb", "a\x7f", "a\x85", "\udfff"]
NO_STRUCTURE: list[Any] = ["x", b"x", 1.5, object(), [], {}, NULL_GUID, ntmsapi.NTMS_DRIVEINFORMATION()]
NO_BYTES: list[Any] = ["x", 5, 1.5, True, object(), [1], NULL_GUID]
NO_DESCRIPTOR: list[Any] = ["D:", b"x", 5, object(), [], (), Ace(True, "everyone", AccessRights.USE), NULL_GUID]

# The sort of each argument after the handle; a guid names the kind it must be of.
GUID_OF: dict[str, dict[str, Kind]] = {
    "lpMediaTypeId": dict.fromkeys(FUNCTIONS, Kind.NTMS_MEDIA_TYPE),
    "lpMediaType": dict.fromkeys(FUNCTIONS, Kind.NTMS_MEDIA_TYPE),
    "lpLibId": dict.fromkeys(FUNCTIONS, Kind.NTMS_LIBRARY),
    "lpLibraryId": dict.fromkeys(FUNCTIONS, Kind.NTMS_LIBRARY),
    "lpLibrary": dict.fromkeys(FUNCTIONS, Kind.NTMS_LIBRARY),
    "lpDriveId": dict.fromkeys(("CleanNtmsDrive", "DeleteNtmsDrive", "DismountNtmsDrive"), Kind.NTMS_DRIVE),
    "lpSlot": dict.fromkeys(FUNCTIONS, Kind.NTMS_STORAGESLOT),
    "lpSlotId": dict.fromkeys(FUNCTIONS, Kind.NTMS_STORAGESLOT),
    "lpMediaPool": dict.fromkeys(FUNCTIONS, Kind.NTMS_MEDIA_POOL),
    "lpPartition": dict.fromkeys(FUNCTIONS, Kind.NTMS_PARTITION),
    "lpMediaId": dict.fromkeys(
        ("ChangeNtmsMediaType", "DeleteNtmsMedia", "EjectNtmsMedia", "MoveToNtmsMediaPool"), Kind.NTMS_PHYSICAL_MEDIA
    )
    | dict.fromkeys(("DeallocateNtmsMedia", "SetNtmsMediaComplete", "UpdateNtmsOmidInfo"), Kind.NTMS_LOGICAL_MEDIA)
    | {"DecommissionNtmsMedia": Kind.NTMS_PARTITION},
    "lpMediaId1": dict.fromkeys(FUNCTIONS, Kind.NTMS_LOGICAL_MEDIA),
    "lpMediaId2": dict.fromkeys(FUNCTIONS, Kind.NTMS_LOGICAL_MEDIA),
    "lpPoolId": dict.fromkeys(FUNCTIONS, Kind.NTMS_MEDIA_POOL),
    "lpRequestId": dict.fromkeys(
        ("CancelNtmsLibraryRequest", "GetNtmsRequestOrder", "SetNtmsRequestOrder"), Kind.NTMS_LIBREQUEST
    )
    | dict.fromkeys(
        ("CancelNtmsOperatorRequest", "SatisfyNtmsOperatorRequest", "WaitForNtmsOperatorRequest"), Kind.NTMS_OPREQUEST
    ),
    "lpObjectId": dict.fromkeys(FUNCTIONS, Kind.NTMS_MEDIA_POOL)
    | dict.fromkeys(("EnableNtmsObject", "DisableNtmsObject"), Kind.NTMS_PHYSICAL_MEDIA),
}
MAY_BE_NONE = {
    *("lpMediaType", "lpSecurityAttributes", "lpContainerId", "lpServer", "lpApplication", *OPTIONAL_SIZES),
    *("lpPartition", "lpMessage", "lpArg1Id", "lpArg2Id", "lpMountInformation", "dwCount"),
}
# Arguments that only one call has, or that it alone takes so, beside those that the names tell.
OF_ONE = {("AllocateNtmsMedia", "lpMediaId"), ("MountNtmsMedia", "lpDriveId")}
HANDLES = ("hSession", "hNotification")
OF_PORTS = ("AccessNtmsLibraryDoor", "EjectNtmsMedia", "InjectNtmsMedia", "EjectNtmsCleaner", "InjectNtmsCleaner")
OF_DETECTION = tuple(f"{word}NtmsDeviceChangeDetection" for word in ("Begin", "Set", "End"))
OF_UI = ("GetNtmsUIOptions", "SetNtmsUIOptions")
DEFAULTED = {"dwOptions", "dwTimeout", "dwCount", "dwPriority"}
NO_ARRAY: list[Any] = ["x", b"x", 5, 1.5, object(), {}, NULL_GUID, [None], ["text"], [5], [b"x" * 16]]
LOADABLE = (Kind.NTMS_LOGICAL_MEDIA, Kind.NTMS_PARTITION)
WRONG_MOUNT = ntmsapi.NTMS_MOUNT_INFORMATION(dwSize=15)


def wrong_of_one_call(w: World, function: str, name: str) -> list[Any] | None:
    """Return the values that an argument must not have in this call, None where its name tells."""
    if (function, name) in OF_ONE:
        return NO_GUID if function == "AllocateNtmsMedia" else ["x", b"x", 5, 1.5, object(), {}, NULL_GUID]
    if function in ("DismountNtmsMedia", "MountNtmsMedia") and name == "lpMediaId":
        arrays = [[one] for kind, one in w.one_of_each().items() if kind not in LOADABLE]
        return [None, *NO_ARRAY, [], (), [NULL_GUID], [uuid.uuid4()], *arrays]
    if name == "dwOptions" and function in ("AllocateNtmsMedia", "MountNtmsMedia"):
        return [None, *NO_NUMBER, 64, 0x80000000, 0xFFFFFFFF, *([2, 3, 6, 7] if function[0] == "A" else [])]
    if name in ("lpEjectOperation", "lpInjectOperation"):
        return [None, *NO_GUID]
    if name == "dwAction" and function in OF_PORTS:
        return [None, *NO_NUMBER, 4, 0x80000000, 0xFFFFFFFF]
    if function in OF_DETECTION or function in OF_DRIVES:
        return wrong_of_drives(w, function, name)
    if name == "dwCount":
        return [*NO_NUMBER, 1000, *([] if function == "DeleteNtmsRequests" else [0])]
    if function == "DeleteNtmsRequests" and name == "lpRequestId":
        return [None, *NO_ARRAY]
    if function in OF_UI and name == "lpObjectId":
        others = [one for kind, one in w.one_of_each().items() if kind not in (Kind.NTMS_COMPUTER, Kind.NTMS_LIBRARY)]
        return [*NO_GUID, NULL_GUID, uuid.uuid4(), *others]
    if name == "dwType" and function in (*OF_UI, "OpenNtmsNotification"):
        return [None, *NO_NUMBER, 0, *([4, 5] if function in OF_UI else [19, 20]), 0x80000000, 0xFFFFFFFF]
    return None


def wrong_of_drives(w: World, function: str, name: str) -> list[Any] | None:
    """Return the values that an argument of the calls about drives that people feed must not have."""
    others = [one for kind, one in w.one_of_each().items() if kind is not Kind.NTMS_LIBRARY]
    return {
        "DetectHandle": [5, "x", object(), [], w.h, NULL_GUID, *([None] if function.startswith("End") else [])],
        "lpRequestId": [None, *NO_ARRAY, [], (), [NULL_GUID], [uuid.uuid4()], *([one] for one in others)],
        "dwType": [None, *NO_NUMBER, 0, 1, 2, 3, 18, 19, 20, 0xFFFFFFFF],
        "dwCount": [*NO_NUMBER, 1000, 0],
        "lpComputerName": [*NO_TEXT, LONG, LONE, "a\0b", "a b", "ftp://x/y"],
        "lpAppName": [*NO_TEXT, LONG, LONE, "a\0b", "a\x1fb"],
        "lpDeviceName": [None, *NO_TEXT, *BAD_TEXT, "/dev/null", "Offline", "Robot"],
        "pszDriveName": [None, *NO_TEXT, *BAD_TEXT, "/dev/null", "Robot"],
        "hWnd": [],
        "lpTitle": [*NO_TEXT, LONG, LONE, "a\0b", "x" * 256],
        "lpMessage": [*NO_TEXT, LONG, LONE, "a\0b", "x" * 256],
        "dwOptions": [*NO_NUMBER, None, 6, 0x80000000, 0xFFFFFFFF],
    }.get(name)


def wrong_values(w: World, function: str, name: str) -> list[Any]:
    """Return values that an argument must not have."""
    absent = [] if name in MAY_BE_NONE else [None]
    of_one = wrong_of_one_call(w, function, name)
    if of_one is not None:
        return of_one
    if name in GUID_OF:
        others = [one for kind, one in w.one_of_each().items() if kind is not GUID_OF[name][function]]
        return [*absent, *NO_GUID, NULL_GUID, uuid.uuid4(), *others]
    special: dict[str, list[Any]] = {
        "lpContainerId": [*NO_GUID, NULL_GUID, uuid.uuid4(), w.lto8, w.computer],
        "lpServer": [*NO_TEXT, LONG, LONE, "a\0b", "a b", "ftp://x/y"],
        "lpApplication": [*NO_TEXT, LONG, LONE, "a\0b", "a\x1fb"],
        "lpMessage": [*NO_TEXT, LONG, LONE, "a\0b", "x" * 256],
        "lpArg1Id": [*NO_GUID, NULL_GUID, uuid.uuid4(), w.lto8, w.operator_request],
        "lpArg2Id": [*NO_GUID, NULL_GUID, uuid.uuid4(), w.lto8, w.operator_request],
        "lpPoolName": [*NO_TEXT, *BAD_TEXT, "\\", "a\\\\b", "\\a\\", "\\a" * 300],
        "lpAttributeName": [*NO_TEXT, *BAD_TEXT, "n" * 32],
        "lpAttributeData": [*NO_BYTES, bytes(2**16)],
        "lpBuffer": [*NO_STRUCTURE, 5, b"", ntmsapi.NTMS_FILESYSTEM_INFO(), bytearray(5)],
        "lpMountInformation": [*NO_STRUCTURE, 5, WRONG_MOUNT],
        "lpSecurityAttributes": NO_DESCRIPTOR,
        "lpSecurityDescriptor": NO_DESCRIPTOR,
        "lpInfo": [*NO_STRUCTURE, NTMS_OBJECTINFORMATION(), ntmsapi.NTMS_I1_OBJECTINFORMATION(dwType=12)],
        "lpMedia": [*NO_STRUCTURE, 5, NTMS_OBJECTINFORMATION(), NTMS_OBJECTINFORMATION(dwType=14)],
        "lpList": ["x", 5, (), [], [None], ["x"], {}, [w.side_structure()] * 2, [w.medium_structure(w.root)]],
        "dwType": [*NO_NUMBER, 0, 1, 18, 19, 20, 0xFFFFFFFF],
        "lpszDestination": [*NO_TEXT, *BAD_TEXT[1:], "x" * 256],  # "" is this computer
        "dwAction": [*NO_NUMBER, 0, 4, 0x80000000, 0xFFFFFFFF],
        "dwOperation": [*NO_NUMBER, 0, 4, 0x80000000, 0xFFFFFFFF],
        "dwOption": [*NO_NUMBER, 3, 4, 0x80000000, 0xFFFFFFFF],
        "dwOptions": [*NO_NUMBER, 4, 0x80000000, 0xFFFFFFFF],
        "dwOrderNumber": [*NO_NUMBER, 0],
        "dwPriority": ["1", b"1", 1.5, float("nan"), -16, 16, 2**32, -(2**31), object(), [], NULL_GUID],
        "dwRequest": [*NO_NUMBER, 0, 1, 2, 3, 4, 6, 0xFFFFFFFF],
        "labelType": [*NO_NUMBER, 0, 1, 3, 0xFFFFFFFF],
        "numberOfBytes": [*NO_NUMBER, 0, 643, 645],
        "SecurityInformation": [*NO_NUMBER, 0, 16, 0x80000000, 0xFFFFFFFF],
        "RequestedInformation": [*NO_NUMBER, 0, 16, 0x80000000, 0xFFFFFFFF],
    }
    return [*absent, *special.get(name, NO_NUMBER)]


@pytest.fixture(scope="module")
def worlds(
    postgresql: Postgresql, sqlite_templates: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Worlds]:
    with Worlds(postgresql, sqlite_templates, tmp_path_factory.mktemp("worlds")) as made:
        yield made


def codes_of(function: str) -> set[ErrorCode]:
    """Return what a call may say of nonsense: its documented and suggested codes, and that it is nonsense."""
    facts = FUNCTIONS[function]
    names = {row["code"] for row in facts["returns"]} | {row["suggest"] for row in facts["errors_without_code"]}
    known = {ErrorCode[name] for name in names - {"INVALID_HANDLE_VALUE"}}
    return known - {ErrorCode.ERROR_SUCCESS} | {ErrorCode.ERROR_INVALID_PARAMETER, ErrorCode.ERROR_INVALID_HANDLE}


def parameters(function: str) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(getattr(ntmsapi, function)).parameters)


def arguments_of(w: World, function: str) -> dict[str, Any]:
    """Return a sound call's arguments by name, those with defaults included."""
    names = [name for name in parameters(function) if name not in (*HANDLES, "caller")]
    given = dict(zip(names, SOUND[function](w), strict=False))
    return given | {name: parameters(function)[name].default for name in names if name not in given}


def handle_of(w: World, function: str) -> dict[str, Any]:
    """Return the handle that a call takes, by name; that of a notification has a change to tell."""
    if function in OF_NOTIFICATIONS:
        handle = w.new_notification()
        w.pool()
        return {"hNotification": handle}
    if function in OF_DRIVES:
        return of_administrator(function)
    return {} if function == "OpenNtmsSession" else {"hSession": w.h if "Detection" in function else w.new_handle()}


ARGUMENTS = [
    (function, name) for function in FUNCTIONS for name in parameters(function) if name not in (*HANDLES, "caller")
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("function", "name"), ARGUMENTS, ids=[f"{function}-{name}" for function, name in ARGUMENTS])
def test_wrong_argument(function: str, name: str, backend: str, worlds: Worlds) -> None:
    w = worlds.shared(backend)
    with w.undo:
        sound = arguments_of(w, function)
        handle = handle_of(w, function)
        values = wrong_values(w, function, name)
        before = everything(w.url)
        wrong = []
        for value in values:
            result = getattr(ntmsapi, function)(**handle, **(sound | {name: value}))
            if first(result) not in codes_of(function):
                wrong.append((str(value)[:80], result))
        assert wrong == []
        assert everything(w.url) == before


# Members of structures

NO_MEMBER: dict[Any, list[Any]] = {
    str: [None, 5, b"x", True, LONG, LONE, "a\0b"],
    int: [None, "1", b"1", -1, 2**64, 1.5, NULL_GUID],
    bool: [None, "yes", 1.5, b"1", []],
    uuid.UUID: [None, 5, "text", NULL_GUID.bytes, True],
    bytes: [None, "x", 5, b""],
}
READ_OF_HEADER = {"szName", "szDescription", "Enabled", "ObjectGuid", "dwSize", "dwType", "Info"}
READ_OF_MEDIUM = READ_OF_HEADER | {
    "szBarCode",
    "dwMediaTypeCode",
    "dwDensityCode",
    "CurrentLibrary",
    "MediaPool",
    "dwNumberOfPartitions",
}
READ_OF_SIDE = READ_OF_HEADER | {
    "State",
    "Capacity",
    "OmidLabelId",
    "dwOmidLabelIdLength",
    "szOmidLabelType",
    "szOmidLabelInfo",
    "dwMountCount",
    "dwAllocateCount",
    "LogicalMedia",
}


def wrong_members(structure: NTMS_OBJECTINFORMATION) -> Iterator[tuple[str, Any]]:
    """Yield every member with values it must not have."""
    parts = (structure, structure.Info)
    members = {field.name: getattr(part, field.name) for part in parts for field in dataclasses.fields(part)}
    for name, value in members.items():
        if name == "Info":
            yield from ((name, other) for other in (None, 5, "x", ntmsapi.NTMS_ASYNC_IO()))
        else:
            values = NO_MEMBER.get(type(value), [5, "x", None]) if value is not None else [5, "x"]
            yield from ((name, other) for other in values)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("part", ["medium", "side"])
def test_wrong_member_of_a_new_cartridge(part: str, backend: str, worlds: Worlds) -> None:
    """What CreateNtmsMedia reads must be right; what it only fills in may hold anything."""
    w = worlds.shared(backend)
    pool = w.pool()
    read = READ_OF_MEDIUM if part == "medium" else READ_OF_SIDE
    allowed = codes_of("CreateNtmsMedia") | {ErrorCode.ERROR_INVALID_NAME}
    sample = w.medium_structure(pool) if part == "medium" else w.side_structure()
    wrong = []
    before = everything(w.url)
    for name, value in wrong_members(sample):
        medium, side = w.medium_structure(pool), w.side_structure()
        change(medium if part == "medium" else side, {name: value})
        code = ntmsapi.CreateNtmsMedia(w.h, medium, [side])[0]
        if (code not in allowed) if name in read else (code != 0):
            wrong.append((name, str(value)[:40], code))
        if name not in read:
            assert ntmsapi.DeleteNtmsMedia(w.h, medium.ObjectGuid) == 0
    assert wrong == []
    assert everything(w.url, ["event"]) == {table: rows for table, rows in before.items() if table != "event"}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", list(ntmsapi.INFO_STRUCTURES), ids=lambda kind: kind.name)
def test_wrong_member_of_set_information(kind: Kind, backend: str, worlds: Worlds) -> None:
    """What SetNtmsObjectInformation stores must be right; of the rest nothing is stored, whatever it holds."""
    facts = json.loads((TESTS / "data" / "structures.json").read_text())["set_object_information"][kind.name]
    stored = {*facts["members"], "dwSize", "dwType", "Info"}
    w = worlds.shared(backend)
    one = w.one_of_each()[kind]
    before = everything(w.url)
    wrong = []
    for name, value in wrong_members(w.information(kind, one)):
        code = ntmsapi.SetNtmsObjectInformation(w.h, one, w.information(kind, one, **{name: value}))
        if (code not in codes_of("SetNtmsObjectInformation")) if name in stored else (code != 0):
            wrong.append((name, str(value)[:40], code))
    assert wrong == []
    assert everything(w.url) == before


@pytest.mark.parametrize("backend", BACKENDS)
def test_numbers_too_large_for_a_member(backend: str, worlds: Worlds) -> None:
    w = worlds.shared(backend)
    each = w.one_of_each()
    before = everything(w.url)
    cases = [
        (Kind.NTMS_IEDOOR, "MaxOpenSecs", 65_536),
        (Kind.NTMS_IEPORT, "MaxExtendSecs", 65_536),
        (Kind.NTMS_DRIVE, "dwDeferDismountDelay", 2**32),
        (Kind.NTMS_LIBRARY, "dwFlags", 0x80000000),
        (Kind.NTMS_LIBRARY, "dwFlags", 32),
        (Kind.NTMS_LIBRARY, "InventoryMethod", 3),
        (Kind.NTMS_LIBRARY, "InventoryMethod", 0xFFFFFFFF),
        (Kind.NTMS_COMPUTER, "dwLibRequestFlags", 0x80000000),
        (Kind.NTMS_COMPUTER, "dwOpRequestFlags", 0x80000000),
        (Kind.NTMS_COMPUTER, "dwMediaPoolPolicy", 0x80000000),
        (Kind.NTMS_MEDIA_POOL, "AllocationPolicy", 2),
        (Kind.NTMS_MEDIA_POOL, "DeallocationPolicy", 2),
        (Kind.NTMS_MEDIA_POOL, "MediaType", uuid.uuid4()),
        (Kind.NTMS_MEDIA_POOL, "MediaType", w.root),
    ]
    codes = [
        ntmsapi.SetNtmsObjectInformation(w.h, each[kind], w.information(kind, each[kind], **{member: value}))
        for kind, member, value in cases
    ]
    assert codes == [ErrorCode.ERROR_INVALID_PARAMETER] * len(cases)
    assert everything(w.url) == before


# Missing arguments, names and order


@pytest.mark.parametrize("function", FUNCTIONS)
def test_missing_required_argument_is_a_type_error(function: str, worlds: Worlds) -> None:
    w = worlds.shared("sqlite")
    call = getattr(ntmsapi, function)
    needed = [name for name, one in parameters(function).items() if one.default is inspect.Parameter.empty]
    handles = handle_of(w, function)
    sound = handles | arguments_of(w, function)
    before = everything(w.url)
    for name in needed:
        for handle in ({}, dict.fromkeys(handles)) if name not in handles else ({},):
            with pytest.raises(TypeError):
                call(**{other: value for other, value in (sound | handle).items() if other != name})
    with pytest.raises(TypeError):
        call(**sound, lpNoSuchArgument=1)
    assert everything(w.url) == before
    w.undo.close()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_arguments_are_those_of_the_header(function: str) -> None:
    ins = [one for one in FUNCTIONS[function]["params"] if one["dir"] != "out"]
    sizes = [one for one in ins if one["name"] in OPTIONAL_SIZES]
    expected = [one for one in ins if one not in sizes] + sizes
    real = [one for one in parameters(function).values() if one.kind is one.POSITIONAL_OR_KEYWORD]
    assert [one.name for one in real] == [one["name"] for one in expected]
    optional = {one["name"] for one in expected if one in sizes or not one["required"]} | DEFAULTED
    optional |= {name for call, name in OF_ONE if call == function}
    last_required = max((n for n, one in enumerate(expected) if one["name"] not in optional), default=-1)
    for position, one in enumerate(real):
        assert (one.default is one.empty) == (position <= last_required)
        assert one.default in (one.empty, None, 0, INFINITE, NTMS_DISMOUNT_IMMEDIATE)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("function", [*WITH_HANDLE, *OF_NOTIFICATIONS])
def test_every_argument_by_keyword(function: str, backend: str, worlds: Worlds) -> None:
    w = (worlds.fresh if function in REPLACING else worlds.shared)(backend)
    with w.undo:
        call = partial(getattr(ntmsapi, function), **handle_of(w, function), **arguments_of(w, function))
        result = w.at_work(call) if function in WAITING else call()
        outs = [one["name"] for one in FUNCTIONS[function]["params"] if one["dir"] != "in"]
        outs += ["the handle"] if FUNCTIONS[function]["returns_kind"] == "HANDLE" else []
        assert first(result) == 0
        if outs and function not in ("GetNtmsObjectInformation",):
            assert len(result) == 1 + len(outs)
        else:
            assert isinstance(result, tuple if outs else ErrorCode)


# Handles


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("function", WITH_HANDLE)
def test_handle_that_is_none(function: str, backend: str, worlds: Worlds) -> None:
    """A dead handle is looked at before anything else, and the outs are all None."""
    w = worlds.shared(backend)
    with w.undo:
        closed, arguments = w.new_handle(), SOUND[function](w)
        assert ntmsapi.CloseNtmsSession(closed) == 0
        before = everything(w.url)
        garbage: list[Any] = [None, 0, 1, -1, True, "x", b"x", 1.5, [], {}, object(), w.root, closed, w.session]
        for handle in [*garbage, int, w.h.__class__, w.h.__class__()]:
            for values in (arguments, [None] * len(arguments), ["\ud800"] * len(arguments)):
                result = getattr(ntmsapi, function)(handle, *values)
                assert first(result) == ErrorCode.ERROR_INVALID_HANDLE
                assert not isinstance(result, tuple) or set(result[1:]) == {None}
        assert everything(w.url) == before


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("function", OF_NOTIFICATIONS)
def test_notification_handle_that_is_none(function: str, backend: str, worlds: Worlds) -> None:
    """It is looked at before anything else, and is none of a session; only the absent one is told apart by closing."""
    w = worlds.shared(backend)
    with w.undo:
        closed, arguments = w.new_notification(), SOUND[function](w)
        assert ntmsapi.CloseNtmsNotification(closed) == 0
        before = everything(w.url)
        garbage: list[Any] = [0, 1, -1, True, "x", b"x", 1.5, [], {}, object(), w.root, closed, w.session, w.h, None]
        for handle in [*garbage, int, closed.__class__, closed.__class__()]:
            code = ErrorCode.ERROR_INVALID_HANDLE
            if handle is None and function == "CloseNtmsNotification":
                code = ErrorCode.ERROR_INVALID_PARAMETER
            for values in (arguments, [None] * len(arguments), ["\ud800"] * len(arguments)):
                result = getattr(ntmsapi, function)(handle, *values)
                assert result == (code if function == "CloseNtmsNotification" else (code, None))
        assert everything(w.url) == before


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("others", [False, True], ids=["the last session", "one of several"])
def test_handle_closed_by_another_thread_in_the_middle(
    others: bool, backend: str, worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call that is under way ends well or ill, but as documented and wholly; the handle is dead for the next."""
    w = World(None, worlds.url(backend), "2003")
    pool, handle = w.pool(), w.new_handle()
    if not others:
        w.session.close()
        ntmsapi.CloseNtmsSession(w.h)
    inside, go = threading.Event(), threading.Event()
    real, results = access.demand, []

    def demand(*arguments: Any) -> None:
        inside.set()
        assert go.wait(30)
        real(*arguments)

    monkeypatch.setattr(access, "demand", demand)
    thread = threading.Thread(target=lambda: results.append(ntmsapi.DeleteNtmsMediaPool(handle, pool)))
    thread.start()
    assert inside.wait(30)
    closing = ntmsapi.CloseNtmsSession(handle)
    again = ntmsapi.CloseNtmsSession(handle)
    go.set()
    thread.join(30)
    monkeypatch.undo()
    assert (closing, again) == (0, ErrorCode.ERROR_INVALID_HANDLE)
    assert ntmsapi.DeleteNtmsMediaPool(handle, pool) == ErrorCode.ERROR_INVALID_HANDLE
    with rsm.connect(w.url, caller=w.session.caller) as session:
        there = pool in session.objects.list(Kind.NTMS_MEDIA_POOL)
    assert results in ([ErrorCode.ERROR_SUCCESS], [ErrorCode.ERROR_INVALID_HANDLE])
    assert there == (results != [ErrorCode.ERROR_SUCCESS])
    w.close()


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_handle_closed_by_many_threads(backend: str, worlds: Worlds) -> None:
    w = worlds.shared(backend)
    with w.undo:
        handle, barrier = w.new_handle(), threading.Barrier(8)
        codes: list[Any] = []

        def close() -> None:
            barrier.wait(30)
            codes.append(ntmsapi.CloseNtmsSession(handle))

        threads = [threading.Thread(target=close) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(codes) == [0] + [ErrorCode.ERROR_INVALID_HANDLE] * 7


@pytest.mark.parametrize("backend", BACKENDS)
def test_handle_carried_over_a_fork(backend: str, worlds: Worlds) -> None:
    """Every call says 6 in the child, which may open a session of its own; the parent goes on as before."""
    url = worlds.url(backend)
    report = json.loads(run_script(__file__, url))
    assert report["child"] == dict.fromkeys([*WITH_HANDLE, *OF_NOTIFICATIONS], int(ErrorCode.ERROR_INVALID_HANDLE))
    assert report["child opens"] == [0, 0]
    mounted = dict.fromkeys(REPLACING, int(ErrorCode.ERROR_BUSY))
    assert report["parent"] == {**dict.fromkeys(SOUND, 0), **mounted}
    assert rsm.schema.check(url) == []


def _fork(url: str) -> None:
    """As a script: open a handle, fork, make every call with it in the child, then again in the parent."""
    worker.attach = lambda database: None  # no work in the background
    w = World(None, url, "2003")
    calls: dict[str, Callable[[], Any]] = {name: sound_call(w, name) for name in SOUND}
    carried = {name: partial(getattr(ntmsapi, name), w.h, *SOUND[name](w)) for name in WITH_HANDLE}
    carried |= {name: sound_call(w, name) for name in OF_NOTIFICATIONS}
    reader, writer = os.pipe()
    if not os.fork():
        codes = {name: int(first(call())) for name, call in carried.items()}
        code, handle = ntmsapi.OpenNtmsSession(url, caller=w.session.caller)
        opens = [int(code), int(ntmsapi.EnumerateNtmsObject(handle, None, 12)[0])]
        os.write(writer, json.dumps({"child": codes, "child opens": opens}).encode())
        ntmsapi.CloseNtmsSession(handle)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        report = json.loads(pipe.read())
    _, status = os.wait()
    assert status == 0
    report["parent"] = {name: int(first(call())) for name, call in calls.items()}
    w.close()
    print(json.dumps(report))


@pytest.mark.parametrize(
    "caller",
    [
        *("user:alice", 5, Caller, ("user:alice",)),
        *(Caller(user) for user in ("alice", "user:", "group:staff", "everyone", "user:a\0", "user:\ud800", 5, None)),
        *(Caller("user:a", groups) for groups in (["group:x"], 5, None, ("x",), ("user:x",), (5,), ((),))),
        *(Caller("user:a", (), administrator) for administrator in ("no", None, 1, [])),
        Caller("user:" + LONG),
    ],
    ids=lambda caller: repr(caller)[:60],
)
def test_wrong_caller(caller: Any, worlds: Worlds) -> None:
    """What is not exactly true does not make an administrator either."""
    w = worlds.shared("sqlite")
    assert ntmsapi.OpenNtmsSession(w.url, caller=caller) == (ErrorCode.ERROR_INVALID_PARAMETER, None)


def test_places_that_hold_no_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is a device, a directory, another file or nonsense is refused, and nothing is made of it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("This is no catalogue. " * 1000)
    os.mkfifo(tmp_path / "fifo")
    os.symlink(tmp_path / "nowhere" / "x", tmp_path / "dangling")
    failure, unreachable = ErrorCode.ERROR_DATABASE_FAILURE, ErrorCode.ERROR_NOT_CONNECTED
    nonsense = ErrorCode.ERROR_INVALID_PARAMETER
    servers = {
        **dict.fromkeys(
            ("/", "folder/", "./text", "./fifo", "text", "fifo", "text/x", "/dev/null", "/dev/zero"), failure
        ),
        **dict.fromkeys(
            ("dangling", "/dev/null", "/dev/zero", "/proc/none/x.db", "./" + "x" * 300, "./" + "d/" * 3000), failure
        ),
        **dict.fromkeys(("://", "a://b", "sqlite://", "sqlite:///", "sqlite:///:memory:", "mysql://h/x"), nonsense),
        **dict.fromkeys((f"sqlite:///{tmp_path}/%00", f"sqlite:///{tmp_path}/x%0Ay", "./\udcff", "./a\tb"), nonsense),
        **dict.fromkeys(
            ("postgresql://[::1/x", "postgresql://h:port/x", "sqlite+other:///x", "sqlite://h/x"), nonsense
        ),
        **dict.fromkeys(("sqlite://h/x", f"sqlite:///{tmp_path}/x?mode=memory"), nonsense),
        **dict.fromkeys(("postgresql://127.0.0.1:1/x", "postgresql:///x?host=/nowhere"), unreachable),
    }
    before = sorted(path.name for path in tmp_path.iterdir())
    results = {server: ntmsapi.OpenNtmsSession(server) for server in servers}
    assert results == {server: (code, None) for server, code in servers.items()}
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_bad_descriptor_parts_do_not_hide_behind_good_ones(worlds: Worlds) -> None:
    w = worlds.shared("sqlite")
    pool, good = w.pool(), Ace(True, "everyone", AccessRights.USE)
    bad: list[Any] = [
        SecurityDescriptor("user:alice", (good, Ace(True, "nobody", AccessRights.USE))),
        SecurityDescriptor("user:alice", (good, Ace(True, "user:" + "x" * 300, AccessRights.USE))),
        SecurityDescriptor("user:alice", (good, Ace(True, "group:\ud800", AccessRights.USE))),
        SecurityDescriptor("user:alice", (good, Ace(True, "everyone", AccessRights(0)))),
        SecurityDescriptor("user:alice", (good, Ace("deny", "everyone", AccessRights.USE))),  # type: ignore[arg-type]
        SecurityDescriptor("user:\n", (good,)),
        SecurityDescriptor(5, (good,)),  # type: ignore[arg-type]
    ]
    before = everything(w.url)
    for descriptor in bad:
        code = ntmsapi.SetNtmsObjectSecurity(w.h, pool, Kind.NTMS_MEDIA_POOL, OWNER_AND_DACL, descriptor)
        assert code == ErrorCode.ERROR_INVALID_PARAMETER
        code, made = ntmsapi.CreateNtmsMediaPool(w.h, w.path(), None, 2, descriptor)
        assert (code, made) == (ErrorCode.ERROR_INVALID_PARAMETER, None)
    assert everything(w.url) == before


if __name__ == "__main__":
    _fork(sys.argv[1])
