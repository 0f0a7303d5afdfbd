"""The table of (function, code) pairs: what a case is, and the cases that are alike for many functions."""

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ntmsapi.pairs_damage import first
from ntmsapi.pairs_world import ALICE, FUNCTIONS, OF_DRIVES, REPLACING, SOUND, WAITING, World, sound_call

from rsm import ntmsapi
from rsm.constants import (
    NTMS_INVENTORY_FAST,
    NTMS_OMID_TYPE_FILESYSTEM_INFO,
    NTMS_OPREQ_MESSAGE,
    NULL_GUID,
    ErrorCode,
)
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.security import AccessRights

BOTH = ("sqlite", "postgresql")
ERAS = ("2003", "2000")


@dataclass
class Attempt:
    """Calls that must all give the code of their case, made while `around` is open.

    `then` calls must succeed once `around` is closed: what was damaged is whole, and the session is usable again.
    `besides` names the tables that a call which fails has written nonetheless, as one does that waited and gave up.
    """

    calls: Sequence[Callable[[], Any]]
    around: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext
    then: Sequence[Callable[[], Any]] = field(default_factory=list)
    besides: tuple[str, ...] = ()


Made = Attempt | list[Attempt]


@dataclass(frozen=True)
class Case:
    """One documented row, or one suggestion, and what provokes it."""

    function: str
    code: str
    when: str
    make: Callable[[World], Made]
    on: tuple[str, ...]
    eras: tuple[str, ...]
    fresh: bool

    @property
    def row(self) -> tuple[str, str, str]:
        return self.function, self.code, self.when


CASES: list[Case] = []


def pair(
    function: str,
    code: str,
    *,
    when: str,
    on: tuple[str, ...] = BOTH,
    eras: tuple[str, ...] = ("2003",),
    fresh: bool = False,
) -> Callable[[Callable[[World], Made]], Callable[[World], Made]]:
    """Enter a case in the table: the row of the document that it provokes, and where."""

    def enter(make: Callable[[World], Made]) -> Callable[[World], Made]:
        CASES.append(Case(function, code, when, make, on, eras, fresh))
        return make

    return enter


def enter_each(function: str, code: str, when: str, make: Callable[[World, str], Made], **options: Any) -> None:
    """Enter a case that is made from the function's name."""
    pair(function, code, when=when, **options)(lambda w: make(w, function))


def calls(function: str, handle: Any, *argument_lists: tuple[Any, ...]) -> Attempt:
    """Return calls of one function with these arguments after the handle."""
    return Attempt([partial(getattr(ntmsapi, function), handle, *arguments) for arguments in argument_lists])


def denied(
    w: World,
    function: str,
    arguments: tuple[Any, ...],
    guard: tuple[Kind, Any],
    *,
    w2k3: AccessRights,
    w2k: AccessRights | None = None,
    others: Sequence[tuple[Kind, Any]] = (),
) -> Attempt:
    """Return a call by alice, who has every right on all that is asked but the one that this era wants of `guard`."""
    handle = w.handle(ALICE)
    for kind, object_id in others:
        w.permit(kind, object_id)
    right = w2k3 if w.era == "2003" or w2k is None else w2k
    w.protect_all_but(right, *guard)
    return calls(function, handle, arguments)


# Alike for all

IN_GENERAL = {
    "ERROR_INVALID_HANDLE": "session handle is null, unknown or already closed",
    "ERROR_DATABASE_FAILURE": "the catalogue store cannot be read or is corrupt",
    "ERROR_DATABASE_FULL": "the catalogue store has no room for the change",
    "ERROR_NOT_ENOUGH_MEMORY": "memory ran out while the call was being served",
}
SUCCESSES = {
    "EnableNtmsObject": "the enabling has been put on the queue",
    "DisableNtmsObject": "the disabling has been put on the queue",
    "EnumerateNtmsObject": "the list is complete",
    "OpenNtmsSession": "session opened (last-error value after a good handle came back)",
    "CancelNtmsLibraryRequest": "the cancellation has been put on the queue",
    "DismountNtmsMedia": "the dismount has been put on the queue",
    "MountNtmsMedia": "all media are mounted and can be used",
    "CancelNtmsOperatorRequest": "the request is cancelled",
    "SatisfyNtmsOperatorRequest": "the request counts as satisfied",
    "WaitForNtmsOperatorRequest": "the request was satisfied",
}
MOST_FILLINGS = 500
# The last table that each call reads or writes; without it the call fails in the middle, not at its beginning.
LAST_TABLE = {
    "EnumerateNtmsObject": "library",
    "ExportNtmsDatabase": "access_control_entry",
    "GetNtmsMediaPoolName": "media_pool",
    "GetNtmsObjectAttribute": "attribute",
    "GetNtmsObjectInformation": "media_pool",
    "GetNtmsObjectSecurity": "access_control_entry",
    "GetNtmsRequestOrder": "access_control_entry",
    "InventoryNtmsLibrary": "library_request",
    "WaitForNtmsOperatorRequest": "operator_request",
    "OpenNtmsNotification": "notification_subscriber",
    "CloseNtmsNotification": "notification_subscriber",
    "GetNtmsUIOptions": "ui_destination",
    "BeginNtmsDeviceChangeDetection": "catalogue",
    "SetNtmsDeviceChangeDetection": "library_request",
    "EndNtmsDeviceChangeDetection": "catalogue",
}


def dead_handles(w: World) -> list[Any]:
    closed = w.new_handle()
    assert ntmsapi.CloseNtmsSession(closed) == 0
    return [None, closed, ntmsapi.calls.Handle(), 0, -1, object(), "handle", w.root]


def bad_handle(w: World, function: str) -> Attempt:
    arguments = SOUND[function](w)
    return Attempt([partial(getattr(ntmsapi, function), handle, *arguments) for handle in dead_handles(w)])


def damaged(w: World, function: str) -> list[Attempt]:
    tables = ("catalogue", LAST_TABLE.get(function, "event"))
    around = [partial(w.without_table, table) for table in tables] + ([w.garbled] if w.is_sqlite else [])
    attempts = []
    for damage in around:
        call = sound_call(w, function)
        attempts.append(Attempt([call], damage, then=[call]))
    return attempts


def no_room(w: World, function: str) -> Attempt:
    call = sound_call(w, function)
    if w.is_sqlite and function in REPLACING:
        w.outgrow(w.pool())
        w.reopen()
    elif w.is_sqlite:
        w.fill_up()
        for _ in range(MOST_FILLINGS):  # free pages, or pages that are not full yet, are used up by the call itself
            if function in (*WAITING, *OF_DRIVES) or w.takes_room(call):
                break
            assert first(call()) == 0
            call = sound_call(w, function)
            w.fill_up()
        else:
            raise AssertionError(f"{function} finds room although it was called {MOST_FILLINGS} times")
    return Attempt([call], partial(w.full, LAST_TABLE.get(function, "event")), then=[call])


def no_memory(w: World, function: str) -> Attempt:
    if w.is_sqlite:
        assert w.worlds is not None
        return Attempt([partial(w.worlds.memory.__getitem__, function)])
    call = sound_call(w, function)
    return Attempt([call], w.short_of_memory, then=[call])


def success(w: World, function: str) -> Attempt:
    return Attempt([sound_call(w, function)])


GENERAL: dict[str, Callable[[World, str], Made]] = {
    "ERROR_INVALID_HANDLE": bad_handle,
    "ERROR_DATABASE_FAILURE": damaged,
    "ERROR_DATABASE_FULL": no_room,
    "ERROR_NOT_ENOUGH_MEMORY": no_memory,
}
for _name, _function in FUNCTIONS.items():
    _rows = {(row["code"], row["when"]) for row in _function["returns"]}
    for _code, _when in IN_GENERAL.items():
        if (_code, _when) in _rows:
            enter_each(_name, _code, _when, GENERAL[_code], fresh=_name in REPLACING)
    _when = SUCCESSES.get(_name, "the call did what was asked")
    if ("ERROR_SUCCESS", _when) in _rows:
        enter_each(_name, "ERROR_SUCCESS", _when, success, fresh=_name in REPLACING)
for _name in (
    "GetNtmsObjectAttribute",
    "SetNtmsObjectAttribute",
    "SubmitNtmsOperatorRequest",
    "UpdateNtmsOmidInfo",
):
    enter_each(
        _name,
        "ERROR_DATABASE_FAILURE",
        "a query against, or a write to, the catalogue store went wrong",
        damaged,
    )
for _name, _when in (
    ("DismountNtmsMedia", "session handle not valid"),
    ("IdentifyNtmsSlot", "session handle is not valid"),
    ("EjectNtmsCleaner", "session handle is not valid"),
    ("InjectNtmsCleaner", "session handle is not valid"),
    ("ReleaseNtmsCleanerSlot", "session handle is not valid"),
    ("ReserveNtmsCleanerSlot", "session handle is not valid"),
    ("InventoryNtmsLibrary", "session handle is not valid"),
    ("MountNtmsMedia", "session handle not valid"),
    ("SatisfyNtmsOperatorRequest", "session handle not valid"),
    ("UpdateNtmsOmidInfo", "session handle is not valid"),
):
    enter_each(_name, "ERROR_INVALID_HANDLE", _when, bad_handle)

# Which argument after the handle is absent, for every row that says so.
ABSENT = [
    ("AddNtmsMediaType", "media type id is absent", 0),
    ("AddNtmsMediaType", "library id is absent", 1),
    ("AllocateNtmsMedia", "pool id is absent", 0),
    ("CancelNtmsLibraryRequest", "request id pointer is null", 0),
    ("CancelNtmsOperatorRequest", "request id is absent", 0),
    ("ChangeNtmsMediaType", "medium id is absent", 0),
    ("ChangeNtmsMediaType", "pool id is absent", 1),
    ("CreateNtmsMedia", "a parameter is absent", 0),
    ("CreateNtmsMedia", "a parameter is absent", 1),
    ("CreateNtmsMediaPool", "pool name is absent", 0),
    ("DeallocateNtmsMedia", "medium id is absent", 0),
    ("DecommissionNtmsMedia", "the id is absent", 0),
    ("DeleteNtmsDrive", "drive id absent", 0),
    ("DeleteNtmsLibrary", "the id is absent", 0),
    ("DeleteNtmsMedia", "medium id is absent", 0),
    ("DeleteNtmsMediaPool", "pool id is absent", 0),
    ("DeleteNtmsMediaType", "media type id is absent", 0),
    ("DeleteNtmsMediaType", "library id is absent", 1),
    ("DisableNtmsObject", "object id is absent", 1),
    ("EnableNtmsObject", "object id is absent", 1),
    ("DismountNtmsMedia", "null array or count 0", 0),
    ("GetNtmsObjectAttribute", "a pointer is null or not valid", 0),
    ("GetNtmsObjectAttribute", "a pointer is null or not valid", 2),
    ("GetNtmsObjectInformation", "object id is absent", 0),
    ("GetNtmsObjectInformation", "information structure is absent", 1),
    ("GetNtmsObjectSecurity", "object id is absent", 0),
    ("AccessNtmsLibraryDoor", "library id is absent", 0),
    ("DismountNtmsDrive", "drive id is absent", 0),
    ("EjectNtmsMedia", "library id is absent", 0),
    ("EjectNtmsMedia", "operation id pointer is absent", 1),
    ("InjectNtmsMedia", "library id is absent", 0),
    ("InjectNtmsMedia", "operation id pointer is absent", 1),
    ("CleanNtmsDrive", "drive id is absent", 0),
    ("GetNtmsRequestOrder", "request id is absent", 0),
    ("MoveToNtmsMediaPool", "medium id is absent", 0),
    ("MoveToNtmsMediaPool", "pool id is absent", 1),
    ("SatisfyNtmsOperatorRequest", "request id is null", 0),
    ("SetNtmsMediaComplete", "medium id is absent", 0),
    ("SetNtmsObjectAttribute", "a pointer is null or not valid", 0),
    ("SetNtmsObjectAttribute", "a pointer is null or not valid", 2),
    ("SetNtmsObjectAttribute", "a pointer is null or not valid", 3),
    ("SetNtmsObjectInformation", "object id is absent", 0),
    ("SetNtmsObjectInformation", "information structure is absent", 1),
    ("SetNtmsObjectSecurity", "object id is absent", 0),
    ("MountNtmsMedia", "dwCount is 0 or an array pointer is null", 0),
    ("SetNtmsRequestOrder", "request id is absent", 0),
    ("SwapNtmsMedia", "at least one id is absent", 0),
    ("SwapNtmsMedia", "at least one id is absent", 1),
    ("UpdateNtmsOmidInfo", "medium id is null", 0),
]


def absent(position: int, w: World, function: str) -> Attempt:
    arguments = list(SOUND[function](w))
    arguments[position] = None
    return calls(function, w.h, tuple(arguments))


for _name, _when, _position in ABSENT:
    enter_each(_name, "ERROR_INVALID_PARAMETER", _when, partial(absent, _position))


# Sessions


@pair("CloseNtmsSession", "ERROR_INVALID_HANDLE", when="session handle is null or is not a session handle")
def close_no_session(w: World) -> Attempt:
    return Attempt([partial(ntmsapi.CloseNtmsSession, handle) for handle in dead_handles(w)])


@pair(
    "CloseNtmsSession",
    "ERROR_CONNECTION_UNAVAIL",
    when="the link to the RSM server or its domain is gone",
    on=("postgresql",),
)
def close_without_server(w: World) -> Attempt:
    assert w.worlds is not None
    stopped = w.worlds.stopped

    def close() -> Any:
        code = ntmsapi.CloseNtmsSession(stopped.closing)
        assert ntmsapi.CloseNtmsSession(stopped.closing) == ErrorCode.ERROR_INVALID_HANDLE
        return code

    return Attempt([close])


def opening(*argument_lists: tuple[Any, ...]) -> Attempt:
    """Return calls of OpenNtmsSession that must give no handle."""

    def fail(arguments: tuple[Any, ...]) -> Any:
        code, handle = ntmsapi.OpenNtmsSession(*arguments)
        assert handle is None  # INVALID_HANDLE_VALUE
        return code

    return Attempt([partial(fail, arguments) for arguments in argument_lists])


def handle_beside_failure(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a call that must fail gives in place of its handle: None, which is INVALID_HANDLE_VALUE."""
    code, handle = function(*arguments)
    assert code != 0
    return handle


@pair("OpenNtmsSession", "ERROR_INVALID_COMPUTERNAME", when="the server name is not in a legal format")
def open_bad_name(w: World) -> Attempt:
    return opening(*((name,) for name in ("no computer", "-x", "a..\0b", "\\\\", "\\\\\\x", "x" * 300, "ü!")))


@pair("OpenNtmsSession", "ERROR_INVALID_PARAMETER", when="an argument has an unacceptable value")
def open_bad_argument(w: World) -> Attempt:
    return opening((w.url, "tests", 1), (w.url, "x" * 64), (w.url, "a\nb"), (5,), (w.url, 5), ("mysql://here/x",))


@pair("OpenNtmsSession", "ERROR_NOT_CONNECTED", when="the RSM service cannot be reached")
def open_nobody_there(w: World) -> Attempt:
    assert w.worlds is not None
    stopped = w.worlds.stopped.url
    return opening(("postgresql://postgres@127.0.0.1:1/x",), (stopped,), ("\\\\another-computer",), ("elsewhere.org",))


@pair("OpenNtmsSession", "ERROR_NO_NETWORK", when="networking is not started or cannot be used")
def open_without_network(w: World) -> Attempt:
    nowhere = ("224.0.0.1", "255.255.255.255")  # nothing can be connected to there: as without a route to anywhere
    return opening(*((f"postgresql://postgres@{host}/x",) for host in nowhere))


@pair(
    "OpenNtmsSession",
    "INVALID_HANDLE_VALUE",
    when="this is the function result, not a last-error code: no session could be opened",
)
def open_no_session(w: World) -> Attempt:
    failing = [("no computer",), (w.url, "x" * 64), (w.url, "tests", 1), ("postgresql://postgres@127.0.0.1:1/x",)]
    return Attempt([partial(handle_beside_failure, ntmsapi.OpenNtmsSession, *arguments) for arguments in failing])


@pair(
    "OpenNtmsSession",
    "ERROR_NOT_READY",
    when="the RSM service is not up yet; caller is expected to wait and try again",
    fresh=True,
)
def open_during_upgrade(w: World) -> Attempt:
    w.grow_old()
    attempt = opening((w.url,))
    attempt.around = w.being_upgraded
    return attempt


@pair(
    "OpenNtmsSession",
    "RPC_S_NO_INTERFACES",
    when="the service speaks an older RSM version than the calling application",
    fresh=True,
)
def open_older(w: World) -> Attempt:
    w.grow_old()
    return opening((w.url,))


# What is asked of a server that was stopped while the session was open; the id that it takes is a pool's.
UNREACHABLE: dict[str, tuple[Any, ...]] = {
    "GetNtmsObjectAttribute": (Kind.NTMS_MEDIA_POOL, "note"),
    "InventoryNtmsLibrary": (int(NTMS_INVENTORY_FAST),),
    "EjectNtmsCleaner": (NULL_GUID, 0),
    "ReleaseNtmsCleanerSlot": (),
    "ReserveNtmsCleanerSlot": (NULL_GUID,),
    "SetNtmsObjectAttribute": (Kind.NTMS_MEDIA_POOL, "note", b"y"),
    "SubmitNtmsOperatorRequest": (),
    "UpdateNtmsOmidInfo": (NTMS_OMID_TYPE_FILESYSTEM_INFO, ntmsapi.NTMS_FILESYSTEM_INFO("UDF", "a", 5)),
    "WaitForNtmsOperatorRequest": (60_000,),
}


def unreachable(w: World, function: str) -> Attempt:
    assert w.worlds is not None
    stopped = w.worlds.stopped
    subject = NTMS_OPREQ_MESSAGE if function.startswith("Submit") else stopped.pool
    return calls(function, stopped.h, (subject, *UNREACHABLE[function]))


for _name in UNREACHABLE:
    enter_each(_name, "ERROR_NOT_CONNECTED", "the RSM service cannot be reached", unreachable, on=("postgresql",))
