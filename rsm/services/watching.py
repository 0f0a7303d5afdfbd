"""What those who watch library work are told: the steps of a request, why it has not ended, what a host can work.

It reads only, and plans as the worker does without beginning anything.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, func, select

from rsm import values
from rsm.constants import NtmsLmState, NtmsOperationalState
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction
from rsm.errors import ObjectNotFoundError
from rsm.model import Event, Id, Instant, Library, LibraryRequest, RequestStep
from rsm.security import Caller
from rsm.services import access, queue
from rsm.services.agenda import read_agenda
from rsm.services.attended import tell_progress
from rsm.services.devices import Place, read_elements_of
from rsm.services.outlook import look
from rsm.services.planning import Planner
from rsm.services.reach import REACHED
from rsm.services.standalone_planning import plan_library
from rsm.services.steps import Running

_SOON = timedelta(seconds=1)  # what was put back to be tried again is due within it
_ID = bindparam("id", type_=Id())
_STEPS = select(*RequestStep.__table__.columns).where(RequestStep.request_id == _ID).order_by(RequestStep.number)
_IN_HAND = (
    select(*RequestStep.__table__.columns)
    .where(RequestStep.request_id == _ID, RequestStep.completed.is_(None))
    .order_by(RequestStep.number)
    .limit(1)
)


def _request(transaction: Transaction, caller: Caller, request_id: uuid.UUID) -> Any:
    row = queue.read_request(transaction, request_id)
    if row is None:
        raise ObjectNotFoundError(f"there is no library request with id {request_id}")
    access.require(transaction, caller, "GetNtmsObjectInformation", Kind.NTMS_LIBREQUEST, request_id)
    return row


def read_steps(transaction: Transaction, caller: Caller, request_id: uuid.UUID) -> tuple[values.RequestStep, ...]:
    """Return the steps of a request in their order; there are none before it is begun.

    Raises:
        ObjectNotFoundError: there is no such request.
        AccessDeniedError: no use right on its library.
    """
    request = _request(transaction, caller, request_id)
    places = read_elements_of(transaction, request.library_id)
    rows = transaction.rows(_STEPS, id=request_id)
    with transaction.decoding():
        return tuple(
            values.RequestStep(
                number=row.number,
                work=row.work,
                action=row.action,
                state=NtmsLmState(row.state),
                source=_name_of(places, row.source_element),
                destination=_name_of(places, row.destination_element),
                started=row.started,
                completed=row.completed,
                error_code=row.error_code,
            )
            for row in rows
        )


def _name_of(places: dict[int, Place], element: int | None) -> str | None:
    if element is None:
        return None
    place = places.get(element)
    return f"element {element}" if place is None else place.name


def explain_requests(transaction: Transaction, caller: Caller, request_ids: Sequence[uuid.UUID]) -> tuple[str, ...]:
    """Return for each of these requests why it has not ended, or what it failed of; empty for those that passed.

    Raises:
        ObjectNotFoundError: there is no such request.
        AccessDeniedError: no use right on its library.
    """
    planners: dict[uuid.UUID, Planner] = {}
    told = []
    for request_id in request_ids:
        request = _request(transaction, caller, request_id)
        if request.library_id not in planners and request.completed is None:
            planners[request.library_id] = plan_library(transaction, request.library_id, Running())
        told.append(_explain(transaction, planners.get(request.library_id), request))
    return tuple(told)


def _explain(transaction: Transaction, planner: Planner | None, request: Any) -> str:
    if request.completed is not None or planner is None:
        return "" if request.state == queue.PASSED else str(request.details.get("message", ""))
    if request.state == queue.INPROCESS:
        person = tell_progress(transaction, request.id)
        if person:
            return person
        step = transaction.row(_IN_HAND, id=request.id)
        return "its last step is done" if step is None else _spoken_step(transaction, request, step)
    if request.due is not None and request.due > transaction.now:
        return f"it is due at {request.due:%Y-%m-%d %H:%M:%S}Z"
    if queue.is_attended(request):
        gathered = request.state == queue.WAITING
        return "its session gathers more before it begins" if gathered else planner.explain(request)[1]
    if (request.medium_id is None and request.operation != queue.CLEAN) or request.operation == queue.DISMOUNT:
        return NEXT
    return planner.explain(request)[1]


NEXT = "it is next"


def _spoken_step(transaction: Transaction, request: Any, step: Any) -> str:
    if step.source_element is None:
        return str(step.action)
    places = read_elements_of(transaction, request.library_id)
    source, destination = _name_of(places, step.source_element), _name_of(places, step.destination_element)
    return f"{step.action} from {source} to {destination}"


# What a host can work


@dataclass(frozen=True, slots=True)
class Reach:
    """A library and its device; `reached`: a host has a path to it."""

    id: uuid.UUID
    name: str
    back_end: str
    address: str
    reached: bool


_LIBRARIES = (
    select(Library.id, Library.name, Library.back_end, Library.address, REACHED.label("reached"))
    .where(Library.online == 1)
    .order_by(Library.name)
)


def list_reach(transaction: Transaction, host: str) -> tuple[Reach, ...]:
    """Return all libraries but the offline one, and whether a host has a path to each."""
    rows = transaction.rows(_LIBRARIES, host=host)
    return tuple(Reach(row.id, row.name, row.back_end, row.address, bool(row.reached)) for row in rows)


def list_busy(transaction: Transaction, host: str) -> frozenset[uuid.UUID]:
    """Return the libraries that a host reaches in which something is in process, or could begin by now."""
    agenda = read_agenda(transaction, host)
    soon = agenda.now + _SOON
    return frozenset(
        work.library_id
        for work in agenda.libraries
        if work.begun
        or (work.next_due is not None and work.next_due <= soon)
        or not look(transaction, work.library_id, Running()).is_empty
    )


# Changes

_INVENTORIES = (
    select(LibraryRequest.id, LibraryRequest.state, LibraryRequest.modified)
    .where(
        LibraryRequest.operation == int(queue.INVENTORY),
        LibraryRequest.modified >= bindparam("since", type_=Instant()),
    )
    .order_by(LibraryRequest.modified, LibraryRequest.id)
)


def list_inventories(transaction: Transaction, since: datetime) -> list[tuple[uuid.UUID, NtmsLmState, datetime]]:
    """Return the inventories that changed since a moment, their states and when they changed: they leave no events."""
    rows = transaction.rows(_INVENTORIES, since=since)
    with transaction.decoding():
        return [(row.id, NtmsLmState(row.state), row.modified) for row in rows]


_LAST_EVENT = select(func.coalesce(func.max(Event.id), 0).label("last"))


def read_position(transaction: Transaction) -> tuple[int, datetime]:
    """Return the number of the latest event, 0 if there is none, and the time: where to go on from."""
    return transaction.one(_LAST_EVENT, "its events").last, transaction.now


_STATE = select(Library.operational_state).where(Library.id == _ID)


def operational_state(transaction: Transaction, library_id: uuid.UUID) -> NtmsOperationalState | None:
    """Return the state that a library is on record in, None if it is gone."""
    row = transaction.row(_STATE, id=library_id)
    with transaction.decoding():
        return None if row is None else NtmsOperationalState(row.operational_state)
