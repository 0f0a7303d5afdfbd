"""The cases of the table that are about the queue of library work, and about libraries that are gone."""

import uuid
from typing import Any

import builders
from ntmsapi.pairs_table import ERAS, Attempt, Made, calls, denied, enter_each, pair
from ntmsapi.pairs_world import ALICE, World

from rsm import model, ntmsapi
from rsm.constants import NTMS_LIBREQUEST, NTMS_OPREQUEST, NULL_GUID, NtmsLmState, NtmsOperationalState
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.security import AccessRights
from rsm.services import queue

M, C = AccessRights.MODIFY, AccessRights.CONTROL
LIBRARY, COMPUTER = Kind.NTMS_LIBRARY, Kind.NTMS_COMPUTER
LIBRARY_REQUESTS, OPERATOR_REQUESTS = int(NTMS_LIBREQUEST), int(NTMS_OPREQUEST)


def unknown() -> uuid.UUID:
    return uuid.uuid4()


def in_process(w: World) -> uuid.UUID:
    """Return a request that a worker has begun."""
    request = w.request()
    builders.set_columns(w.url, model.LibraryRequest, request, state=int(NtmsLmState.NTMS_LM_INPROCESS))
    return request


def cancelled(w: World) -> uuid.UUID:
    """Return a request that was cancelled."""
    request = w.request()
    assert ntmsapi.CancelNtmsLibraryRequest(w.h, request) == 0
    return request


# Cancelling


@pair(
    "CancelNtmsLibraryRequest",
    "ERROR_ACCESS_DENIED",
    when="caller is not an administrator of the RSM server",
    eras=ERAS,
)
def cancel_as_nobody(w: World) -> Made:
    library = w.library()
    w.permit(LIBRARY, library.id)
    w.permit(COMPUTER, w.computer)
    return calls("CancelNtmsLibraryRequest", w.handle(ALICE), (w.request(library=library.id),))


@pair(
    "CancelNtmsLibraryRequest",
    "ERROR_ACCESS_DENIED",
    when="the request is being worked on right now and cannot be taken away",
)
def cancel_in_process(w: World) -> Made:
    return calls("CancelNtmsLibraryRequest", w.h, (in_process(w),))


@pair("CancelNtmsLibraryRequest", "ERROR_OBJECT_NOT_FOUND", when="the request had finished before the cancel came")
def cancel_finished(w: World) -> Made:
    return calls("CancelNtmsLibraryRequest", w.h, (w.robot.requests[0],), (cancelled(w),))


def not_requests(w: World) -> list[uuid.UUID]:
    """Return ids that name no library request."""
    return [unknown(), NULL_GUID, w.asked(), w.robot.id, w.pool()]


@pair("CancelNtmsLibraryRequest", "ERROR_OBJECT_NOT_FOUND", when="the id is not that of a library request")
def cancel_nothing(w: World) -> Made:
    return calls("CancelNtmsLibraryRequest", w.h, *((other,) for other in not_requests(w)))


# Removing


@pair("DeleteNtmsRequests", "ERROR_ACCESS_DENIED", when="no NTMS_MODIFY_ACCESS on the computer", eras=ERAS)
def delete_requests_denied(w: World) -> Made:
    finished: list[tuple[Any, ...]] = [
        (w.library(requests=1).requests, LIBRARY_REQUESTS),
        ([w.asked(satisfied=True)], OPERATOR_REQUESTS),
    ]
    return [denied(w, "DeleteNtmsRequests", one, (COMPUTER, w.computer), w2k3=M, w2k=C) for one in finished]


@pair("DeleteNtmsRequests", "ERROR_INVALID_PARAMETER", when="dwType is neither of the two request types")
def delete_requests_of_no_type(w: World) -> Made:
    requests = w.library(requests=1).requests
    kinds = [number for number in range(20) if number not in (LIBRARY_REQUESTS, OPERATOR_REQUESTS)]
    return calls("DeleteNtmsRequests", w.h, *((requests, kind) for kind in (*kinds, 0xFFFFFFFF, -1, None, "10")))


@pair(
    "DeleteNtmsRequests",
    "ERROR_SUCCESS",
    when="an id in the list names a request that is still active (not removed; result not stated)",
)
def delete_active_requests(w: World) -> Made:
    queued, begun, asked = w.request(), in_process(w), w.asked()
    ended, answered = w.library(requests=2).requests, w.asked(satisfied=True)

    def delete(requests: list[uuid.UUID], kind: Kind, gone: list[uuid.UUID]) -> Any:
        code = ntmsapi.DeleteNtmsRequests(w.h, requests, int(kind))
        left = w.session.objects.list(kind)
        assert [one for one in requests if one not in left] == gone
        return code

    strange = unknown()
    return [
        Attempt([lambda: delete([queued, ended[0], begun], Kind.NTMS_LIBREQUEST, ended[:1])]),
        Attempt([lambda: delete([strange, ended[1], asked], Kind.NTMS_LIBREQUEST, [strange, ended[1], asked])]),
        Attempt([lambda: delete([asked, answered], Kind.NTMS_OPREQUEST, [answered])]),
    ]


# The order


def order_denied(w: World, function: str) -> Attempt:
    arguments = (w.request(), *((5,) if function.startswith("Set") else ()))
    return denied(w, function, arguments, (COMPUTER, w.computer), w2k3=C)


def no_such_request(w: World, function: str) -> Attempt:
    rest = (5,) if function.startswith("Set") else ()
    return calls(function, w.h, *((other, *rest) for other in not_requests(w)))


for _name in ("GetNtmsRequestOrder", "SetNtmsRequestOrder"):
    enter_each(_name, "ERROR_ACCESS_DENIED", "no NTMS_CONTROL_ACCESS on the computer", order_denied)
    enter_each(_name, "ERROR_OBJECT_NOT_FOUND", "no request with that id", no_such_request)


@pair("SetNtmsRequestOrder", "ERROR_INVALID_STATE", when="the request has order number 0 now")
def order_the_unordered(w: World) -> Made:
    library = w.library()
    others = [w.request(operation, library.id) for operation in (queue.DISMOUNT, queue.INVENTORY, queue.IDENTIFY)]
    requests = [*others, library.requests[0], cancelled(w)]
    for request in requests:
        assert ntmsapi.GetNtmsRequestOrder(w.h, request) == (0, 0)
    return calls("SetNtmsRequestOrder", w.h, *((request, order) for request in requests for order in (1, 0xFFFFFFFF)))


# Libraries and drives that are gone


@pair("DeleteNtmsLibrary", "ERROR_ACCESS_DENIED", when="no NTMS_MODIFY_ACCESS on the library", eras=ERAS)
def delete_library_denied(w: World) -> Made:
    library = w.library().id
    return denied(w, "DeleteNtmsLibrary", (library,), (LIBRARY, library), w2k3=M)


@pair("DeleteNtmsLibrary", "ERROR_INVALID_LIBRARY", when="library id is not that of a library")
def delete_no_library(w: World) -> Made:
    gone = w.library()
    assert ntmsapi.DeleteNtmsLibrary(w.h, gone.id) == 0
    others = [unknown(), NULL_GUID, gone.id, w.robot.drives[0], w.pool(), w.computer]
    return calls("DeleteNtmsLibrary", w.h, *((other,) for other in others))


@pair("DeleteNtmsLibrary", "ERROR_INVALID_LIBRARY", when="the id names the offline library")
def delete_offline_library(w: World) -> Made:
    return calls("DeleteNtmsLibrary", w.h, (w.offline,))


@pair("DeleteNtmsDrive", "ERROR_ACCESS_DENIED", when="no NTMS_MODIFY_ACCESS on the library", eras=ERAS)
def delete_drive_denied(w: World) -> Made:
    drive = w.absent_drive()
    library = w.session.objects.get(Kind.NTMS_DRIVE, drive).library
    return denied(w, "DeleteNtmsDrive", (drive,), (LIBRARY, library), w2k3=M)


@pair("DeleteNtmsDrive", "ERROR_INVALID_DRIVE", when="drive id is not that of a drive")
def delete_no_drive(w: World) -> Made:
    gone = w.absent_drive()
    assert ntmsapi.DeleteNtmsDrive(w.h, gone) == 0
    assert w.robot.drive_type is not None
    others = [unknown(), NULL_GUID, gone, w.robot.id, w.robot.slots[0], w.robot.drive_type]
    return calls("DeleteNtmsDrive", w.h, *((other,) for other in others))


@pair("DeleteNtmsDrive", "ERROR_INVALID_LIBRARY", when="the library named by the drive is not valid", fresh=True)
def delete_drive_of_lost_library(w: World) -> Made:
    drive = w.absent_drive()
    w.lose("library", w.session.objects.get(Kind.NTMS_DRIVE, drive).library)
    return calls("DeleteNtmsDrive", w.h, (drive,))


@pair(
    "DeleteNtmsDrive",
    "ERROR_INVALID_STATE",
    when="the drive is still present (any state but NTMS_NOT_PRESENT)",
)
def delete_present_drive(w: World) -> Made:
    states = [state for state in NtmsOperationalState if state is not NtmsOperationalState.NTMS_NOT_PRESENT]
    drives = w.library(drives=len(states)).drives
    for drive, state in zip(drives, states, strict=True):
        builders.set_columns(w.url, model.Drive, drive, operational_state=int(state))
    return calls("DeleteNtmsDrive", w.h, *((drive,) for drive in drives))
