"""The cases of the table that are about what a person is asked to do."""

import threading
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from ntmsapi.pairs_table import ERAS, Attempt, Made, calls, denied, enter_each, pair
from ntmsapi.pairs_world import ALICE, World, run_script

from rsm import ntmsapi
from rsm.constants import (
    INFINITE,
    NTMS_OPREQ_CLEANER,
    NTMS_OPREQ_DEVICESERVICE,
    NTMS_OPREQ_MESSAGE,
    NTMS_OPREQ_MOVEMEDIA,
    NTMS_OPREQ_NEWMEDIA,
    NTMS_OPREQUEST,
    NULL_GUID,
)
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.security import ALL_RIGHTS, AccessRights, Ace

C, U = AccessRights.CONTROL, AccessRights.USE
POOL, LIBRARY, COMPUTER = Kind.NTMS_MEDIA_POOL, Kind.NTMS_LIBRARY, Kind.NTMS_COMPUTER
NEW, CLEANER, SERVICE, MOVE, MESSAGE = map(
    int,
    (NTMS_OPREQ_NEWMEDIA, NTMS_OPREQ_CLEANER, NTMS_OPREQ_DEVICESERVICE, NTMS_OPREQ_MOVEMEDIA, NTMS_OPREQ_MESSAGE),
)


def unknown() -> uuid.UUID:
    return uuid.uuid4()


# Asking


def subjects(w: World) -> list[tuple[tuple[Any, ...], tuple[Kind, uuid.UUID], AccessRights]]:
    """Return sound arguments of every kind of request, the guard that decides, and the right that it wants."""
    library, pool = w.library(), w.pool()
    medium, guard = w.medium(pool), (LIBRARY, library.id)
    return [
        ((NEW, "new", pool), (POOL, pool), C),
        ((NEW, None, pool, library.id), (POOL, pool), C),
        ((MOVE, None, medium, library.id), (POOL, pool), C),
        *(((CLEANER, None, one), guard, C) for one in (library.id, library.slots[0])),
        *(((SERVICE, None, one), guard, C) for one in (library.id, library.drives[0], library.doors[0])),
        ((SERVICE, None, medium), (LIBRARY, w.offline), C),
        ((MESSAGE, "hello"), (COMPUTER, w.computer), U),
        ((MESSAGE, None, medium, library.id), (COMPUTER, w.computer), U),
    ]


@pair(
    "SubmitNtmsOperatorRequest",
    "ERROR_ACCESS_DENIED",
    when="access to at least one RSM object involved is refused (see access)",
)
def submit_denied(w: World) -> Made:
    made = []
    for arguments, guard, right in subjects(w):
        made.append(denied(w, "SubmitNtmsOperatorRequest", arguments, guard, w2k3=right))
        assert made[-1].calls
    return made


@pair("SubmitNtmsOperatorRequest", "ERROR_SUCCESS", when="the call did what was asked", eras=ERAS)
def submit_with_just_that_right(w: World) -> Made:
    """The same requests of somebody who has that right alone; in the 2000 era of somebody who has none."""
    made = []
    for arguments, guard, right in subjects(w):
        aces = [Ace(True, ALICE.user, right)] if w.era == "2003" else [Ace(False, "everyone", ALL_RIGHTS)]
        handle = w.handle(ALICE)
        w.protect(*guard, *aces)
        made.append(calls("SubmitNtmsOperatorRequest", handle, arguments))
    return made


@pair("SubmitNtmsOperatorRequest", "ERROR_INVALID_PARAMETER", when="an argument has an unacceptable value")
def submit_nonsense(w: World) -> Made:
    kinds = [(kind, "x") for kind in (0, 6, 0xFFFFFFFF, -1, None, "5", 1.5)]
    messages = [(MESSAGE, text) for text in ("x" * 256, "😀" * 128, "a\0b", "\ud800", b"x", 5)]
    ids = [(MESSAGE, "x", "\\Pool"), (MESSAGE, "x", None, 5)]
    spare = [(CLEANER, None, w.robot.id, w.robot.id), (SERVICE, None, w.robot.id, w.robot.id)]
    return calls("SubmitNtmsOperatorRequest", w.h, *kinds, *messages, *ids, *spare)


@pair("SubmitNtmsOperatorRequest", "ERROR_OBJECT_NOT_FOUND", when="the source object was not found")
def submit_about_nothing(w: World) -> Made:
    kinds = [NEW, CLEANER, SERVICE, MESSAGE]
    return calls(
        "SubmitNtmsOperatorRequest",
        w.h,
        *((kind, None, other) for kind in kinds for other in (unknown(), NULL_GUID)),
        (MOVE, None, unknown(), w.robot.id),
    )


@pair("SubmitNtmsOperatorRequest", "ERROR_OBJECT_NOT_FOUND", when="the destination object was not found")
def submit_towards_nothing(w: World) -> Made:
    return calls(
        "SubmitNtmsOperatorRequest",
        w.h,
        (NEW, None, w.pool(), unknown()),
        (MOVE, None, w.medium(), unknown()),
        (MOVE, None, w.medium(), NULL_GUID),
        (MESSAGE, None, w.robot.id, unknown()),
    )


@pair(
    "SubmitNtmsOperatorRequest",
    "ERROR_INVALID_PARAMETER",
    when="lpArg1Id names an object of the wrong type for the kind",
)
def submit_about_the_wrong_thing(w: World) -> Made:
    each, medium = w.one_of_each(), w.medium()
    about = {
        NEW: {POOL},
        CLEANER: {LIBRARY, Kind.NTMS_STORAGESLOT},
        SERVICE: {LIBRARY, Kind.NTMS_DRIVE, Kind.NTMS_IEDOOR, Kind.NTMS_PHYSICAL_MEDIA},
    }
    wrong: list[tuple[Any, ...]] = [
        (command, None, one) for command, fits in about.items() for kind, one in each.items() if kind not in fits
    ]
    wrong += [(MOVE, None, one, w.robot.id) for kind, one in each.items() if kind is not Kind.NTMS_PHYSICAL_MEDIA]
    wrong += [(MOVE, None, medium, one) for kind, one in each.items() if kind is not LIBRARY]
    return calls("SubmitNtmsOperatorRequest", w.h, *wrong)


@pair("SubmitNtmsOperatorRequest", "ERROR_INVALID_PARAMETER", when="a required argument id is absent")
def submit_about_none(w: World) -> Made:
    bare = [(kind, None) for kind in (NEW, CLEANER, SERVICE, MOVE)]
    return calls("SubmitNtmsOperatorRequest", w.h, *bare, (MOVE, None, w.medium()), (MOVE, None, None, w.robot.id))


# Waiting


def waiting(w: World, request: uuid.UUID, do: Callable[[], Any], time: int = INFINITE) -> Attempt:
    """Return a wait, in the middle of which something is done."""
    attempt = calls("WaitForNtmsOperatorRequest", w.h, (request, time))
    attempt.around, attempt.besides = partial(w.once_waiting, do), ("event", "object", "operator_request", "session")
    return attempt


ANSWER = """
import sys, rsm
with rsm.connect(sys.argv[1], caller=rsm.Caller("user:admin", administrator=True), worker=False) as session:
    getattr(session.operators, sys.argv[2])(sys.argv[3])
"""


def elsewhere(w: World, verb: str, request: uuid.UUID) -> str:
    """Answer a request in another process."""
    return run_script(w.url, verb, str(request), code=ANSWER)


@pair("WaitForNtmsOperatorRequest", "ERROR_SUCCESS", when="the request was satisfied")
def wait_until_satisfied(w: World) -> Made:
    here, there, long_ago = w.asked(), w.asked(), w.asked(satisfied=True)
    return [
        waiting(w, here, partial(ntmsapi.SatisfyNtmsOperatorRequest, w.h, here)),
        waiting(w, there, partial(elsewhere, w, "satisfy", there), 60_000),
        calls("WaitForNtmsOperatorRequest", w.h, *((long_ago, time) for time in (0, 50, INFINITE))),
    ]


@pair("WaitForNtmsOperatorRequest", "ERROR_CANCELLED", when="an administrator cancelled the request")
def wait_until_cancelled(w: World) -> Made:
    here, there, long_ago = w.asked(), w.asked(), w.asked()
    assert ntmsapi.CancelNtmsOperatorRequest(w.h, long_ago) == 0
    return [
        waiting(w, here, partial(ntmsapi.CancelNtmsOperatorRequest, w.h, here)),
        waiting(w, there, partial(elsewhere, w, "refuse", there), 60_000),
        calls("WaitForNtmsOperatorRequest", w.h, *((long_ago, time) for time in (0, 50, INFINITE))),
    ]


@pair("WaitForNtmsOperatorRequest", "ERROR_INVALID_PARAMETER", when="an argument has an unacceptable value")
def wait_nonsense(w: World) -> Made:
    request = w.asked()
    times = [(request, time) for time in (-1, 2**32, None, "5", 1.5)]
    return calls("WaitForNtmsOperatorRequest", w.h, (None,), (5,), (str(request),), *times)


@pair(
    "WaitForNtmsOperatorRequest",
    "ERROR_OBJECT_NOT_FOUND",
    when="there is no such request (any more); finished ones get purged, and the caller should then repeat the"
    " operation itself, an allocation for instance",
)
def wait_for_nothing(w: World) -> Made:
    withdrawn, purged = w.asked(), w.asked(satisfied=True)
    assert ntmsapi.DeleteNtmsRequests(w.h, [purged], NTMS_OPREQUEST) == 0
    others = [purged, unknown(), NULL_GUID, w.robot.requests[0], w.pool()]
    return [
        calls("WaitForNtmsOperatorRequest", w.h, *((other, time) for other in others for time in (0, INFINITE))),
        waiting(w, withdrawn, partial(withdraw, w, withdrawn)),
    ]


def withdraw(w: World, request: uuid.UUID) -> None:
    """Delete a request that is being waited for, as whoever asked may: answered and deleted in one transaction."""
    with w.session.transaction():
        w.session.operators.satisfy(request)
        assert w.session.operators.delete(request) == 1


@pair("WaitForNtmsOperatorRequest", "ERROR_TIMEOUT", when="the time was over before the request was dealt with")
def wait_too_long(w: World) -> Made:
    request, looked = w.asked(), threading.Event()
    attempt = calls("WaitForNtmsOperatorRequest", w.h, (request, 200))
    attempt.around = partial(w.once_waiting, looked.set)
    return [calls("WaitForNtmsOperatorRequest", w.h, (request, 0)), attempt]


# Answering


def not_administrator(w: World, function: str) -> Attempt:
    w.permit(COMPUTER, w.computer)
    return calls(function, w.handle(ALICE), (w.asked(),))


def no_request(w: World, function: str) -> Attempt:
    others = [unknown(), NULL_GUID, w.robot.requests[0], w.pool(), w.computer]
    return calls(function, w.h, *((other,) for other in others))


for _name, _only in {
    "SatisfyNtmsOperatorRequest": "caller has no administrator privileges; only an administrator of the RSM server may"
    " satisfy requests",
    "CancelNtmsOperatorRequest": "caller has no administrator privileges; only an administrator of the RSM server may"
    " cancel requests",
}.items():
    enter_each(_name, "ERROR_ACCESS_DENIED", _only, not_administrator, eras=ERAS)
    enter_each(_name, "ERROR_OBJECT_NOT_FOUND", "the id is not that of an operator request", no_request)


@pair("SatisfyNtmsOperatorRequest", "ERROR_OBJECT_NOT_FOUND", when="the request was finished before")
def satisfy_again(w: World) -> Made:
    satisfied, cancelled = w.asked(satisfied=True), w.asked()
    assert ntmsapi.CancelNtmsOperatorRequest(w.h, cancelled) == 0
    return calls("SatisfyNtmsOperatorRequest", w.h, (satisfied,), (cancelled,))


@pair("CancelNtmsOperatorRequest", "ERROR_INVALID_STATE", when="the request is completed already")
def cancel_satisfied(w: World) -> Made:
    return calls("CancelNtmsOperatorRequest", w.h, (w.asked(satisfied=True),))


@pair("CancelNtmsOperatorRequest", "ERROR_INVALID_STATE", when="the request is cancelled already")
def cancel_again(w: World) -> Made:
    request = w.asked()
    assert ntmsapi.CancelNtmsOperatorRequest(w.h, request) == 0
    return calls("CancelNtmsOperatorRequest", w.h, (request,))
