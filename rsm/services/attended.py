"""What the worker writes down about attended work: ports and doors opened and shut, what came in and what went out.

A request goes on in rounds, and `details` says where it is: `until` when the person's time is over, `end` that somebody
wants it ended, `phase` "in" or "back" that cartridges are to be carried from the ports to slots, `outcome` how it ends
once that is done. Every function is for whoever holds the library's claim, and counts only in the epoch of that claim.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import bindparam, func, select, update

from rsm.constants import ErrorCode, NtmsDoorState, NtmsInventoryMethod, NtmsLmState, NtmsOpreqCommand, NtmsPortPosition
from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction
from rsm.model import Door, Id, Instant, Int, Library, PhysicalMedium, Port
from rsm.services import cleaners, events, inventory, operators, places, progress, queue
from rsm.services.attended_planning import is_unfit, list_ports, media_of
from rsm.services.devices import Place
from rsm.services.epochs import check_epoch
from rsm.services.inventory import ElementSeen
from rsm.services.leaving import leave
from rsm.services.steps import Start

_ID = bindparam("id", type_=Id())
_LIBRARY = bindparam("library", type_=Id())
_MEDIUM = (
    select(
        PhysicalMedium.id,
        PhysicalMedium.name,
        PhysicalMedium.barcode,
        PhysicalMedium.library_id,
        PhysicalMedium.online,
        PhysicalMedium.slot_id,
        PhysicalMedium.port_id,
        Port.element,
        Port.name.label("port"),
    )
    .outerjoin(Port, Port.id == PhysicalMedium.port_id)
    .where(PhysicalMedium.id == _ID)
)
_IN_SLOT = select(PhysicalMedium.id, PhysicalMedium.name).where(PhysicalMedium.slot_id == _ID)
_LIBRARY_NAME = select(Library.name, Library.inventory_method).where(Library.id == _LIBRARY)
_PORT_SECONDS = select(func.max(Port.max_extend_seconds).label("seconds")).where(
    Port.library_id == _LIBRARY, Port.enabled == 1
)
_DOORS = select(Door.id, Door.name, Door.state, Door.max_open_seconds).where(
    Door.library_id == _LIBRARY, Door.enabled == 1
)
_SET_DOOR = (
    update(Door)
    .where(Door.id == _ID)
    .values(state=bindparam("new_state", type_=Int()), modified=bindparam("now", type_=Instant()))
)


def _media(transaction: Transaction, ids: Iterable[uuid.UUID]) -> list[Any]:
    """Return the rows of those cartridges that are on record."""
    return [row for each in ids if (row := transaction.row(_MEDIUM, id=each)) is not None]


# Ports and doors


def record_port(
    transaction: Transaction,
    library_id: uuid.UUID,
    epoch: int,
    request_id: uuid.UUID,
    number: int,
    port_id: uuid.UUID,
    position: NtmsPortPosition | None,
) -> None:
    """Write down that a port was opened or shut; None: it stays where it is.

    Raises:
        SupersededError: another process has taken the library over.
    """
    progress.record_step(transaction, library_id, epoch, request_id, number)
    if position is not None:
        places.set_port_position(transaction, port_id, position)


def record_door(
    transaction: Transaction,
    library_id: uuid.UUID,
    epoch: int,
    request_id: uuid.UUID,
    number: int,
    state: NtmsDoorState,
) -> None:
    """Write down that the doors of a library were opened or shut.

    Raises:
        SupersededError: another process has taken the library over.
    """
    progress.record_step(transaction, library_id, epoch, request_id, number)
    _set_doors(transaction, library_id, state)


def _set_doors(transaction: Transaction, library_id: uuid.UUID, state: NtmsDoorState) -> None:
    for door in transaction.rows(_DOORS, library=library_id):
        if door.state != state:
            transaction.change(_SET_DOOR, id=door.id, new_state=int(state), now=transaction.now)
            before, after = {"state": door.state}, {"state": int(state)}
            update_event = Operation.NTMS_OBJ_UPDATE
            events.record(transaction, "door", update_event, Kind.NTMS_IEDOOR, door.id, before=before, after=after)


def ask_to_shut_door(transaction: Transaction, library_id: uuid.UUID, epoch: int, request_id: uuid.UUID) -> None:
    """Have an operator asked to shut a door that has been open for too long; once is enough.

    Raises:
        SupersededError: another process has taken the library over.
    """
    check_epoch(transaction, library_id, epoch)
    request = queue.read_request(transaction, request_id)
    if request is None or request.completed is not None or request.details.get("asked_to_shut"):
        return
    name = transaction.one(_LIBRARY_NAME, "a library", library=library_id).name
    for door in transaction.rows(_DOORS, library=library_id)[:1]:
        operators.insert_request(
            transaction,
            NtmsOpreqCommand.NTMS_OPREQ_DEVICESERVICE,
            message=f"shut the door of library {name}: nothing moves in it before",
            argument1=(Kind.NTMS_IEDOOR, door.id),
            caller_user=request.user_name,
            library_request_id=request_id,
        )
    queue.write_details(transaction, request, asked_to_shut=True)
    queue.record_change(transaction, "door", request_id, {"asked_to_shut": True})


# Waiting for a person


@dataclass(frozen=True, slots=True)
class Watch:
    """What a wait for a person looks at: whether it is to end, and what is in ports.

    `out` are the cartridges to be taken out: id, element and bar code. `useless` are elements, and the bar codes in
    them, of cartridges in ports that the library cannot take in.
    """

    end: str | None
    over: bool
    out: tuple[tuple[uuid.UUID, int, str], ...]
    useless: frozenset[tuple[int, str]]


def begin_waiting(transaction: Transaction, library_id: uuid.UUID, epoch: int, request_id: uuid.UUID) -> None:
    """Write down until when a person has time, unless that was written before somebody else left off.

    Raises:
        SupersededError: another process has taken the library over.
    """
    check_epoch(transaction, library_id, epoch)
    request = queue.read_request(transaction, request_id)
    if request is None or "until" in request.details:
        return
    if request.operation == queue.DOOR:
        seconds = max((door.max_open_seconds for door in transaction.rows(_DOORS, library=library_id)), default=0)
    else:
        seconds = transaction.one(_PORT_SECONDS, "its ports", library=library_id).seconds or 0
    news: dict[str, Any] = {"until": _microseconds(transaction) + seconds * 1_000_000, "seconds": seconds}
    if request.operation in queue.EJECTS:
        placed = [str(each.id) for each in _media(transaction, media_of(request)) if each.port_id is not None]
        news["placed"] = list(dict.fromkeys((*request.details.get("placed", []), *placed)))
    queue.write_details(transaction, request, **news)
    queue.record_change(transaction, "wait", request_id, news)


def _microseconds(transaction: Transaction) -> int:
    return int(transaction.now.timestamp() * 1_000_000)


def _is_over(transaction: Transaction, request: Any) -> bool:
    return bool(request.details.get("until", 2**62) <= _microseconds(transaction))


def tell_progress(transaction: Transaction, request_id: uuid.UUID) -> str:
    """Return in words what a person is waited for to do, empty where none is."""
    request = queue.read_request(transaction, request_id)
    if request is None or request.operation not in queue.ATTENDED or request.state != queue.INPROCESS:
        return ""
    details = request.details
    if "until" not in details or details.get("end") or details.get("phase") or details.get("outcome"):
        return ""
    name = transaction.one(_LIBRARY_NAME, "a library", library=request.library_id).name
    left = f"{max(0, (details['until'] - _microseconds(transaction)) // 1_000_000)} s left"
    if request.operation == queue.DOOR:
        return f"the door of {name} is open: shut it and stop the request, {left}"
    if request.operation in queue.INJECTS:
        names = ", ".join(port.name for port in list_ports(transaction, request.library_id))
        return f"put cartridges into {names} of {name}, {left}"
    media = [each for each in _media(transaction, media_of(request)) if each.port_id is not None]
    return f"take {', '.join(f'{each.name} out of {each.port}' for each in media)} of {name}, {left}" if media else ""


def read_watch(transaction: Transaction, request_id: uuid.UUID) -> Watch:
    """Return what a wait for a person looks at; a request that is gone is over."""
    request = queue.read_request(transaction, request_id)
    if request is None or request.completed is not None:
        return Watch("cancel", True, (), frozenset())
    media = _media(transaction, media_of(request))
    out = tuple((each.id, each.element, each.barcode) for each in media if each.element is not None)
    left = _media(transaction, _contents(transaction, request)[1]) if request.operation in queue.INJECTS else ()
    useless = frozenset((each.element, each.barcode) for each in left)
    return Watch(request.details.get("end"), _is_over(transaction, request), out, useless)


def record_taken_out(
    transaction: Transaction,
    library_id: uuid.UUID,
    epoch: int,
    request_id: uuid.UUID,
    media: Sequence[uuid.UUID],
) -> None:
    """Write down that a person took cartridges out of their ports.

    Raises:
        SupersededError: another process has taken the library over.
    """
    check_epoch(transaction, library_id, epoch)
    request = queue.read_request(transaction, request_id)
    if request is not None:
        _let_leave(transaction, request, [each for each in _media(transaction, media) if each.port_id is not None])


def _let_leave(transaction: Transaction, request: Any, media: Sequence[Any]) -> Any:
    """Let cartridges leave, and return the request's row as it is then."""
    if media:
        for each in media:
            leave(transaction, each.id, "eject")
        names = [*request.details.get("taken_out", ()), *(each.name for each in media)]
        queue.write_details(transaction, request, taken_out=list(dict.fromkeys(names)))
        queue.record_change(transaction, "eject", request.id, {"taken_out": names})
    return queue.read_request(transaction, request.id)


def record_ports(
    transaction: Transaction,
    library_id: uuid.UUID,
    epoch: int,
    request_id: uuid.UUID,
    number: int,
    elements: Mapping[int, Place],
    statuses: Sequence[ElementSeen],
) -> None:
    """Write down what is in the ports: what was in one and is not left the library, what is new is put on record.

    Raises:
        SupersededError: another process has taken the library over.
    """
    progress.record_step(transaction, library_id, epoch, request_id, number)
    holding = {port.element: port.medium_id for port in list_ports(transaction, library_id)}
    for status in statuses:
        medium_id = holding.get(status.address)
        if medium_id is not None and status.full is False and status.exception is None:
            leave(transaction, medium_id, "inject")
    findings = inventory.record_look(transaction, library_id, elements, statuses, complete=False, request_id=request_id)
    request = queue.read_request(transaction, request_id)
    if request is not None and findings.problems != request.details.get("problems_named", []):
        queue.write_details(transaction, request, problems_named=findings.problems)
        queue.record_change(transaction, "inject", request_id, {"problems": findings.problems})


def record_slot(
    transaction: Transaction,
    library_id: uuid.UUID,
    epoch: int,
    request_id: uuid.UUID,
    number: int,
    elements: Mapping[int, Place],
    statuses: Sequence[ElementSeen],
) -> None:
    """Write down what is in the cleaner slot after a person was at it: a cleaner that is not there left the library.

    Raises:
        SupersededError: another process has taken the library over.
    """
    progress.record_step(transaction, library_id, epoch, request_id, number)
    request = queue.read_request(transaction, request_id)
    for status in statuses:
        held = transaction.row(_IN_SLOT, id=elements[status.address].id)
        if request is not None and held is not None and status.full is False and status.exception is None:
            _let_leave(transaction, request, [held])
    inventory.record_look(transaction, library_id, elements, statuses, complete=False)


# The end of a round


def finish(transaction: Transaction, library_id: uuid.UUID, epoch: int, start: Start) -> None:
    """End a round of a request whose steps were all done: it goes on, or has ended.

    Raises:
        SupersededError: another process has taken the library over.
    """
    check_epoch(transaction, library_id, epoch)
    progress.end_steps(transaction, start.request.id, queue.PASSED)
    for medium_id in start.media:
        progress.settle_medium(transaction, library_id, medium_id, empty=False)
    request = queue.read_request(transaction, start.request.id)
    if request is None or request.completed is not None:
        return
    if request.operation == queue.DOOR:
        _finish_door(transaction, request)
    elif request.operation in queue.INJECTS:
        _finish_inject(transaction, request)
    else:
        _finish_eject(transaction, request, has_done=bool(start.steps))


def fail(
    transaction: Transaction,
    library_id: uuid.UUID,
    epoch: int,
    start: Start,
    code: int,
    text: str,
    *,
    again: bool = False,
) -> None:
    """Write down that a round went wrong: it is tried again, or ports are shut and cartridges put back before the end.

    Raises:
        SupersededError: another process has taken the library over.
    """
    check_epoch(transaction, library_id, epoch)
    request = queue.read_request(transaction, start.request.id)
    if request is not None and request.completed is None:
        attempts = int(request.details.get("attempts", 0)) + 1
        if again and attempts < progress.MOST_ATTEMPTS:
            progress.put_back(transaction, request, attempts=attempts, delay=timedelta(seconds=0.2 * attempts))
        else:
            progress.end_steps(transaction, request.id, queue.FAILED, code)
            _give_up(transaction, request, code, text)
    for medium_id in start.media:
        progress.settle_medium(transaction, library_id, medium_id, empty=False)


def _give_up(transaction: Transaction, request: Any, code: int, text: str) -> None:
    outcome = request.details.get("outcome")
    if request.operation == queue.DOOR:
        _set_doors(transaction, request.library_id, NtmsDoorState.NTMS_DOORSTATE_UNKNOWN)
        _end(transaction, request, queue.FAILED, code, text)
    elif outcome is not None:
        _end(transaction, request, NtmsLmState(outcome[0]), outcome[1], f"{outcome[2]}; then {text}")
    else:
        if request.details.get("phase") == "in":
            request = _note_arrivals(transaction, request)
        phase = "back" if request.operation in queue.EJECTS else None
        _go_on(transaction, request, outcome=[int(queue.FAILED), int(code), text], phase=phase)


def _go_on(transaction: Transaction, request: Any, **news: Any) -> None:
    """Let a request go on with its next round; what is None in `news` counts no more."""
    details = {name: value for name, value in {**request.details, **news}.items() if value is not None}
    progress.put_back(transaction, request._replace(details=details), attempts=0)


def _end(transaction: Transaction, request: Any, state: NtmsLmState, code: int, text: str) -> None:
    if text:
        queue.write_details(transaction, request, message=text[:500])
    queue.end_request(transaction, request.id, state, error_code=int(code))


def _end_by_outcome(transaction: Transaction, request: Any, more: str = "") -> None:
    state, code, text = request.details["outcome"]
    _end(transaction, request, NtmsLmState(state), code, f"{text}{more}")


# Doors


def _finish_door(transaction: Transaction, request: Any) -> None:
    queue.drop_operator_requests(transaction, request.id)
    cancelled = request.details.get("end") == "cancel"
    if request.slot_id is not None:
        _finish_at_slot(transaction, request, cancelled=cancelled)
        return
    method = NtmsInventoryMethod(request.operation_option)
    own = transaction.one(_LIBRARY_NAME, "a library", library=request.library_id).inventory_method
    chosen = own if method is NtmsInventoryMethod.NTMS_INVENTORY_DEFAULT else method
    if chosen in (queue.FAST, queue.FULL):
        queue.insert_request(
            transaction,
            queue.INVENTORY,
            request.library_id,
            caller_user=request.user_name,
            option=int(chosen),
            work_item_id=request.id,
        )
    _end(transaction, request, queue.CANCELLED if cancelled else queue.PASSED, 0, "")


def _finish_at_slot(transaction: Transaction, request: Any, *, cancelled: bool) -> None:
    """End the putting in or taking out of a cleaner through a door, by what is in the cleaner slot now."""
    held, uses = transaction.row(_IN_SLOT, id=request.slot_id), request.details.get("uses")
    is_cleaner = held is not None and cleaners.can_be_cleaner(transaction, held.id)
    if uses is not None and held is not None and is_cleaner:
        cleaners.take_in(transaction, request.library_id, held.id, uses)
        queue.write_details(transaction, request, taken_in=[held.name])
    done = is_cleaner if uses is not None else held is None
    if done:
        _end(transaction, request, queue.PASSED, 0, "")
    elif cancelled:
        _end(transaction, request, queue.CANCELLED, 0, "")
    elif held is not None and uses is not None:
        text = f"cartridge {held.name} is in the cleaner slot, and holds data: take it out"
        _end(transaction, request, queue.FAILED, ErrorCode.ERROR_INVALID_CLEANER, text)
    else:
        text = "the door is shut, and the cleaner slot is as it was before"
        _end(transaction, request, queue.FAILED, ErrorCode.ERROR_TIMEOUT, text)


# Putting in


def _finish_inject(transaction: Transaction, request: Any) -> None:
    if request.details.get("outcome") is not None:
        _end_by_outcome(transaction, request)
    elif request.details.get("end") == "cancel":
        _end(transaction, request, queue.CANCELLED, 0, "it was cancelled")
    elif request.details.get("phase") == "in":
        _finish_taking_in(transaction, request)
    else:
        arriving, unfit = _contents(transaction, request)
        if arriving:
            _go_on(transaction, request, phase="in", arriving=[str(each) for each in arriving])
        else:
            _end_inject(transaction, request, unfit)


def _contents(transaction: Transaction, request: Any) -> tuple[list[uuid.UUID], list[uuid.UUID]]:
    """Return what lies in the ports: what can be taken in, and what cannot."""
    arriving: list[uuid.UUID] = []
    unfit: list[uuid.UUID] = []
    for port in list_ports(transaction, request.library_id):
        if port.medium_id is not None:
            (unfit if is_unfit(transaction, request, port.medium_id) else arriving).append(port.medium_id)
    return arriving, unfit


def _note_arrivals(transaction: Transaction, request: Any) -> Any:
    """Have what was carried from the ports to slots identified, and return the request's row as it is then."""
    arriving = [uuid.UUID(each) for each in request.details.get("arriving", ())]
    arrived = [each for each in _media(transaction, arriving) if each.online and each.port_id is None]
    for medium in arrived:
        if request.operation == queue.INJECT_CLEANER:
            cleaners.take_in(transaction, request.library_id, medium.id, request.details["uses"])
        else:
            inventory.queue_identification(transaction, request.library_id, medium.id, request.id)
    names = [*request.details.get("taken_in", ()), *(each.name for each in arrived)]
    queue.write_details(transaction, request, taken_in=list(dict.fromkeys(names)))
    queue.record_change(transaction, "inject", request.id, {"taken_in": names})
    return queue.read_request(transaction, request.id)


def _finish_taking_in(transaction: Transaction, request: Any) -> None:
    request = _note_arrivals(transaction, request)
    details, taken = request.details, request.details["taken_in"]
    arriving = _media(transaction, (uuid.UUID(each) for each in details["arriving"]))
    rest = [each for each in arriving if each.port_id is not None]
    if rest and not (taken and request.operation == queue.INJECT_CLEANER):  # one cleaner was asked for
        _ask_for_removal(transaction, request, rest, "the library has no free slot for it")
        names = ", ".join(f"{each.name} in {each.port}" for each in rest)
        text = f"the library has no free slot for {names}: take it out of the port, and eject something first"
        state, code = (queue.PASSED, 0) if taken else (queue.FAILED, ErrorCode.ERROR_LIBRARY_FULL)
        _end(transaction, request, state, code, text)
    elif details.get("many") and details.get("end") != "stop":
        _go_on(transaction, request, phase=None, arriving=None, until=None, end=None)
    else:
        _end_inject(transaction, request, _contents(transaction, request)[1])


def _end_inject(transaction: Transaction, request: Any, unfit: Sequence[uuid.UUID]) -> None:
    """End an inject that has taken in all it could."""
    details = request.details
    problems = list(details.get("problems_named", ()))
    if unfit:
        media = _media(transaction, unfit)
        _ask_for_removal(transaction, request, media, "the library cannot use it")
        problems += [f"the library cannot use {each.name} in {each.port}" for each in media]
    if details.get("taken_in"):
        _end(transaction, request, queue.PASSED, 0, "; ".join(problems))
    elif problems:
        _end(transaction, request, queue.FAILED, ErrorCode.ERROR_MEDIA_INCOMPATIBLE, "; ".join(problems))
    elif details.get("end"):
        _end(transaction, request, queue.STOPPED, 0, "it was stopped before a cartridge was put into a port")
    elif not list_ports(transaction, request.library_id):
        text = "the library has no port that can be used any more"
        _end(transaction, request, queue.FAILED, ErrorCode.ERROR_RESOURCE_NOT_PRESENT, text)
    else:
        text = f"nobody put a cartridge into a port within {details.get('seconds', 0)} s"
        _end(transaction, request, queue.FAILED, ErrorCode.ERROR_TIMEOUT, text)


def _ask_for_removal(transaction: Transaction, request: Any, media: Sequence[Any], why: str) -> None:
    """Have an operator asked to take cartridges out of their ports; once for each is enough."""
    library = transaction.one(_LIBRARY_NAME, "a library", library=request.library_id).name
    for each in media:
        if transaction.row(places.REMOVALS, id=each.id) is None:
            operators.insert_request(
                transaction,
                NtmsOpreqCommand.NTMS_OPREQ_MOVEMEDIA,
                message=f"take cartridge {each.name} out of {each.port} of library {library}: {why}",
                argument1=(Kind.NTMS_PHYSICAL_MEDIA, each.id),
                argument2=(Kind.NTMS_LIBRARY, places.offline_library(transaction)),
                caller_user=request.user_name,
                library_request_id=request.id,
            )


# Taking out


def _finish_eject(transaction: Transaction, request: Any, *, has_done: bool) -> None:
    media = _media(transaction, media_of(request))
    placed = {uuid.UUID(each) for each in request.details.get("placed", ())}
    # One whose absence was noticed by an inventory, while nobody waited at the port, left by it nonetheless.
    request = _let_leave(transaction, request, [each for each in media if not each.online and each.id in placed])
    media = [each for each in _media(transaction, media_of(request)) if each.library_id == request.library_id]
    in_ports = [each for each in media if each.port_id is not None]
    if request.details.get("phase") == "back":
        stuck = "".join(f"; {each.name} is in {each.port} still: no slot is free for it" for each in in_ports)
        _end_by_outcome(transaction, request, stuck)
        return
    outcome = _outcome_of_eject(transaction, request, media, in_ports, has_done)
    if outcome is None:
        _go_on(transaction, request, until=None)
    elif in_ports:
        _go_on(transaction, request, phase="back", outcome=[int(outcome[0]), int(outcome[1]), outcome[2]])
    else:
        _end(transaction, request, *outcome)


def _outcome_of_eject(
    transaction: Transaction, request: Any, media: Sequence[Any], in_ports: Sequence[Any], has_done: bool
) -> tuple[NtmsLmState, int, str] | None:
    """Return how an eject ends, None if there is more to be taken out; `media` are still in the library."""
    end, names = request.details.get("end"), ", ".join(each.name for each in media)
    if end == "cancel":
        return queue.CANCELLED, 0, "it was cancelled"
    if not media:
        if request.details.get("taken_out"):
            return queue.PASSED, 0, ""
        return queue.FAILED, ErrorCode.ERROR_MEDIA_OFFLINE, "no cartridge that was to be ejected is in the library"
    if end is not None:
        return queue.STOPPED, 0, f"it was stopped, and these were not taken out: {names}"
    if in_ports:
        waiting = ", ".join(f"{each.name} out of {each.port}" for each in in_ports)
        text = f"nobody took {waiting} within {request.details.get('seconds', 0)} s: put back into the slots"
        return queue.FAILED, ErrorCode.ERROR_TIMEOUT, text
    if has_done:
        return None
    if any(port.medium_id is None for port in list_ports(transaction, request.library_id)):
        text = f"nobody knows where in the library these are: {names}; take its inventory"
        return queue.FAILED, ErrorCode.ERROR_RESOURCE_NOT_AVAILABLE, text
    return queue.FAILED, ErrorCode.ERROR_BUSY, "no port is empty: take out what is in the ports, or inject it"
