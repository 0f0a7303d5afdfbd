"""The cases of the table that are about hearing of changes, and about where messages are shown."""

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from ntmsapi.pairs_table import ERAS, Attempt, Made, calls, damaged, denied, enter_each, handle_beside_failure, pair
from ntmsapi.pairs_world import ALICE, World

from rsm import model, ntmsapi
from rsm.constants import (
    INFINITE,
    NTMS_UIDEST_ADD,
    NTMS_UIDEST_DELETE,
    NTMS_UIDEST_DELETEALL,
    NTMS_UITYPE_ERR,
    NTMS_UITYPE_INFO,
    NTMS_UITYPE_REQ,
    NULL_GUID,
)
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.security import AccessRights, Ace
from rsm.services import dismounts

U, M = AccessRights.USE, AccessRights.MODIFY
POOL, LIBRARY, COMPUTER = Kind.NTMS_MEDIA_POOL, Kind.NTMS_LIBRARY, Kind.NTMS_COMPUTER
INFO, REQ, ERR = int(NTMS_UITYPE_INFO), int(NTMS_UITYPE_REQ), int(NTMS_UITYPE_ERR)
ADD, DELETE, CLEAR = int(NTMS_UIDEST_ADD), int(NTMS_UIDEST_DELETE), int(NTMS_UIDEST_DELETEALL)
OPEN, WAIT, CLOSE = "OpenNtmsNotification", "WaitForNtmsNotification", "CloseNtmsNotification"
GET, SET = "GetNtmsUIOptions", "SetNtmsUIOptions"
BROKEN_STORE = "a query against, or a write to, the catalogue store went wrong"
GONE = "the RSM service cannot be reached"
ALL_TABLES = tuple(model.Base.metadata.tables)  # what is made meanwhile is no doing of the call that waits

for _name in (OPEN, WAIT, CLOSE):
    enter_each(_name, "ERROR_DATABASE_FAILURE", BROKEN_STORE, damaged)


# Hearing of changes


@pair(OPEN, "ERROR_ACCESS_DENIED", when="no NTMS_USE_ACCESS on the computer")
def open_denied(w: World) -> Made:
    return denied(w, OPEN, (POOL,), (COMPUTER, w.computer), w2k3=U)


@pair(OPEN, "ERROR_SUCCESS", when="channel opened (last-error value after a good handle came back)", eras=ERAS)
def open_channel(w: World) -> Made:
    handle, aces = w.handle(ALICE), () if w.era == "2000" else (Ace(True, ALICE.user, U),)
    w.protect(COMPUTER, w.computer, *aces)
    kinds = [kind for kind in Kind if 0 < kind < Kind.NTMS_NUMBER_OF_OBJECT_TYPES]
    return calls(OPEN, handle, *((int(kind),) for kind in kinds))


@pair(OPEN, "ERROR_INVALID_PARAMETER", when="dwType is not a valid object type")
def open_no_type(w: World) -> Made:
    return calls(OPEN, w.h, *((wrong,) for wrong in (0, 19, 20, -1, 2**32, None, "pool", 1.5)))


@pair(
    OPEN, "INVALID_HANDLE_VALUE", when="this is the function result, not a last-error code: the call failed", eras=ERAS
)
def open_no_channel(w: World) -> Made:
    failing = [(None, POOL), (w.new_notification(), POOL), (w.h, 0), (w.h, None)]
    return Attempt([partial(handle_beside_failure, ntmsapi.OpenNtmsNotification, *arguments) for arguments in failing])


def dead_notifications(w: World) -> list[Any]:
    """Return what is no notification handle but None: closed, of a session that was closed, or never one."""
    closed, session = w.new_notification(), w.new_handle()
    assert ntmsapi.CloseNtmsNotification(closed) == 0
    code, orphan = ntmsapi.OpenNtmsNotification(session, POOL)
    assert code == 0
    assert ntmsapi.CloseNtmsSession(session) == 0
    return [closed, orphan, w.h, session, 0, 1, "handle", object(), [], NULL_GUID]


@pair(WAIT, "ERROR_INVALID_HANDLE", when="the notification handle is null")
def wait_for_none(w: World) -> Made:
    return calls(WAIT, None, (), (0,), (INFINITE,), ("soon",))


@pair(WAIT, "ERROR_INVALID_HANDLE", when="the notification handle is not valid")
def wait_for_dead(w: World) -> Made:
    return Attempt([partial(ntmsapi.WaitForNtmsNotification, each, 0) for each in dead_notifications(w)])


@pair(WAIT, "ERROR_TIMEOUT", when="the time was over without a notification")
def wait_in_vain(w: World) -> Made:
    handle = w.new_notification()
    w.session.ui.add(NTMS_UITYPE_REQ, w.name("desk"), w.robot.id)  # which is no pool
    return calls(WAIT, handle, (0,), (1,), (50,))


@pair(WAIT, "ERROR_SUCCESS", when="a notification was delivered")
def wait_well(w: World) -> Made:
    first, second = w.new_notification(), w.new_notification(Kind.NTMS_OBJECT)
    pool = w.pool()
    w.session.pools.delete(pool)
    expected = [(int(ntmsapi.NTMS_OBJ_INSERT), pool), (int(ntmsapi.NTMS_OBJ_DELETE), pool)]

    def wait(handle: Any, what: tuple[int, uuid.UUID]) -> Any:
        code, info = ntmsapi.WaitForNtmsNotification(handle, 0)
        assert (info.dwOperation, info.ObjectId) == what
        return code

    def wait_for_the_next() -> Any:
        with w.once_waiting(w.pool):
            code, info = ntmsapi.WaitForNtmsNotification(first, INFINITE)
        assert info.dwOperation == ntmsapi.NTMS_OBJ_INSERT
        return code

    looks = Attempt([partial(wait, handle, what) for handle in (first, second) for what in expected])
    return [looks, Attempt([wait_for_the_next], besides=ALL_TABLES)]


@pair(WAIT, "ERROR_NO_DATA", when="the notification channel broke; it has to be set up anew")
def wait_on_broken(w: World) -> Made:
    """Its session was taken for dead, or closed while the call waited."""
    dead, closing = w.new_handle(), w.new_handle()
    (_, first), (_, second) = (ntmsapi.OpenNtmsNotification(handle, POOL) for handle in (dead, closing))
    w.session.write(dismounts.end_session, ntmsapi.calls.session_of(dead).id, died=True)
    w.pool()

    def wait() -> Any:
        code, info = ntmsapi.WaitForNtmsNotification(second, INFINITE)
        assert info is None
        return code

    def wait_while_it_closes() -> Any:
        with w.once_waiting(partial(ntmsapi.CloseNtmsSession, closing)):
            return wait()

    assert ntmsapi.WaitForNtmsNotification(second, 0)[0] == 0
    looks = calls(WAIT, first, (0,), (INFINITE,))
    return [looks, Attempt([wait_while_it_closes], besides=("session", "notification_subscriber"))]


@pair(CLOSE, "ERROR_INVALID_PARAMETER", when="the notification handle is null")
def close_none(w: World) -> Made:
    return Attempt([partial(ntmsapi.CloseNtmsNotification, None)])


@pair(CLOSE, "ERROR_INVALID_HANDLE", when="the notification handle is not valid")
def close_dead(w: World) -> Made:
    return Attempt([partial(ntmsapi.CloseNtmsNotification, each) for each in dead_notifications(w)])


@pair(
    CLOSE,
    "ERROR_BUSY",
    when="closing while a wait is outstanding (the page does not say which of the two calls gets the error)",
)
def close_while_waiting(w: World) -> Made:
    handle = w.new_notification()

    def close() -> Any:
        codes: list[Any] = []

        def close_and_wake() -> None:
            codes.append(ntmsapi.CloseNtmsNotification(handle))
            w.pool()

        with w.once_waiting(close_and_wake):
            assert ntmsapi.WaitForNtmsNotification(handle, INFINITE)[0] == 0
        return codes[0]

    return Attempt([close], besides=ALL_TABLES, then=[partial(ntmsapi.CloseNtmsNotification, handle)])


def unreachable(w: World, function: str) -> Attempt:
    assert w.worlds is not None
    stopped = w.worlds.stopped
    if function == OPEN:
        return calls(OPEN, stopped.h, (POOL,))
    arguments = (60_000,) if function == WAIT else ()
    return calls(function, stopped.notification, arguments)


for _name in (OPEN, WAIT, CLOSE):
    enter_each(_name, "ERROR_NOT_CONNECTED", GONE, unreachable, on=("postgresql",))


# Where messages are shown


def changes(source: Any, ui_type: Any = INFO) -> list[tuple[Any, ...]]:
    return [(source, ui_type, ADD, "desk"), (source, ui_type, DELETE, "desk"), (source, ui_type, CLEAR, "")]


@pair(GET, "ERROR_ACCESS_DENIED", when="access to at least one RSM object involved is refused (right not named)")
def get_denied(w: World) -> Made:
    return [
        denied(w, GET, (source, INFO), (kind, source), w2k3=U)
        for kind, source in ((COMPUTER, w.computer), (LIBRARY, w.robot.id))
    ]


def set_denied(w: World, kind: Kind, source: uuid.UUID) -> list[Attempt]:
    return [denied(w, SET, arguments, (kind, source), w2k3=right) for right in (M, U) for arguments in changes(source)]


pair(SET, "ERROR_ACCESS_DENIED", when="no right to modify the computer (when the computer is the object)", eras=ERAS)(
    lambda w: set_denied(w, COMPUTER, w.computer)
)
pair(SET, "ERROR_ACCESS_DENIED", when="no right to modify the library (when a library is the object)", eras=ERAS)(
    lambda w: set_denied(w, LIBRARY, w.robot.id)
)


@pair(SET, "ERROR_ALREADY_EXISTS", when="the destination is on the list already")
def set_twice(w: World) -> Made:
    made = []
    for source in (None, w.computer, w.library().id):
        name = w.name("desk")
        assert ntmsapi.SetNtmsUIOptions(w.h, source, ERR, ADD, name) == 0
        made.append(calls(SET, w.h, (source, ERR, ADD, name), (source, ERR, ADD, name.upper())))
    return made


@pair(SET, "ERROR_OBJECT_NOT_FOUND", when="delete of a destination that is not on the list")
def remove_what_is_not_there(w: World) -> Made:
    lists = [(source, ui_type, DELETE, w.name("no")) for source in (None, w.computer) for ui_type in (INFO, REQ, ERR)]
    return calls(SET, w.h, *lists)


def for_both(code: str, when: str) -> Callable[[Callable[[World], list[Any]]], None]:
    """Enter a case for both calls: the sources and types that they must refuse alike."""

    def enter(make: Callable[[World], list[Any]]) -> None:
        pair(GET, code, when=when)(lambda w: calls(GET, w.h, *make(w)))
        pair(SET, code, when=when)(
            lambda w: calls(SET, w.h, *(one for source, ui_type in make(w) for one in changes(source, ui_type)))
        )

    return enter


@for_both("ERROR_OBJECT_NOT_FOUND", "the id is not that of the computer or a library")
def of_nothing(w: World) -> list[Any]:
    return [(each, INFO) for each in (uuid.uuid4(), NULL_GUID)]


@for_both("ERROR_INVALID_PARAMETER", "the object cannot be a source of events")
def of_no_source(w: World) -> list[Any]:
    return [(each, INFO) for kind, each in w.one_of_each().items() if kind not in (COMPUTER, LIBRARY)]


@for_both("ERROR_INVALID_PARAMETER", "dwType is none of the three")
def of_no_type(w: World) -> list[Any]:
    return [(source, each) for source in (None, w.computer) for each in (0, 4, -1, 2**32, None, "INFO", 1.5)]


@pair(SET, "ERROR_INVALID_PARAMETER", when="dwOperation is none of the three")
def set_no_operation(w: World) -> Made:
    return calls(SET, w.h, *((None, INFO, wrong, "desk") for wrong in (0, 4, -1, 2**32, None, "ADD")))


@pair(SET, "ERROR_INVALID_PARAMETER", when="destination pointer is null")
def set_no_destination(w: World) -> Made:
    return calls(SET, w.h, *((w.computer, INFO, operation, None) for operation in (ADD, DELETE, CLEAR)))


def listed(w: World) -> tuple[uuid.UUID, list[str], int]:
    """Return a library with two destinations, which they are, and the size of both as a multi-string."""
    library, names = w.library().id, ["desk", "\U0001f5a5"]
    for name in names:
        w.session.ui.add(NTMS_UITYPE_REQ, name, library)
    return library, names, 5 + 3 + 1


@pair(
    GET,
    "ERROR_INSUFFICIENT_BUFFER",
    when="the buffer is too small for the destinations; the size variable receives the real size",
)
def get_too_small(w: World) -> Made:
    library, _, size = listed(w)

    def get(room: int) -> Any:
        code, found, needed = ntmsapi.GetNtmsUIOptions(w.h, library, REQ, room)
        assert (found, needed) == (None, size)
        return code

    return Attempt([partial(get, room) for room in (0, 1, size - 1)])


@pair(GET, "ERROR_SUCCESS", when="list delivered")
def get_list(w: World) -> Made:
    library, names, size = listed(w)

    def get(*room: int) -> Any:
        code, found, needed = ntmsapi.GetNtmsUIOptions(w.h, library, REQ, *room)
        assert (found, needed) == (names, size)
        return code

    return Attempt([get, partial(get, size), partial(get, 2**32 - 1)])


@pair(GET, "ERROR_SUCCESS", when="no destinations: the list length is 0")
def get_empty(w: World) -> Made:
    def get(*arguments: Any) -> Any:
        code, found, needed = ntmsapi.GetNtmsUIOptions(w.h, *arguments)
        assert (found, needed) == ([], 0)
        return code

    return Attempt([partial(get, source, ERR, *room) for source in (w.robot.id, w.library().id) for room in ((), (0,))])
