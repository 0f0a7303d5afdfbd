"""Requests to people: asking an operator for something, the answer, and forgetting what was answered.

It keeps the records only. What an answer means for whoever asked is theirs: allocation searches again, a mount goes on.
"""

import socket
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, or_, select, true, type_coerce

from rsm import values
from rsm.constants import (
    NTMS_MESSAGE_LENGTH,
    NTMS_OPREQFLAGS_NOAUTOPURGE,
    NTMS_OPREQFLAGS_NOFAILEDPURGE,
    NtmsOperationalState,
)
from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsOpreqCommand as Command
from rsm.constants import NtmsOpreqState as State
from rsm.db import Transaction, new_id
from rsm.errors import (
    AccessDeniedError,
    CancelledError,
    InvalidNameError,
    InvalidParameterError,
    InvalidStateError,
    ObjectNotFoundError,
)
from rsm.model import Computer, Id, Instant, Int
from rsm.model import OperatorRequest as Row
from rsm.security import Caller, is_administrator, need
from rsm.services import access, events
from rsm.services.names import units
from rsm.services.objects import Reference, existing, find, kind_of, read_value, spoken
from rsm.services.properties import delete_object, insert_object, write_fields
from rsm.statements import insert_row

MAXIMUM_MESSAGE = NTMS_MESSAGE_LENGTH - 1  # UTF-16 units; the header's array ends in a NUL
PURGED_AT_ONCE = 500

Argument = tuple[Kind, uuid.UUID]

_REFUSED, _COMPLETE = State.NTMS_OPSTATE_REFUSED, State.NTMS_OPSTATE_COMPLETE
_host = socket.gethostname()

# What the requests are called.
NAMES: dict[Command, str] = {
    Command.NTMS_OPREQ_NEWMEDIA: "new media",
    Command.NTMS_OPREQ_CLEANER: "cleaner",
    Command.NTMS_OPREQ_DEVICESERVICE: "device service",
    Command.NTMS_OPREQ_MOVEMEDIA: "move media",
    Command.NTMS_OPREQ_MESSAGE: "message",
}


def is_finished(state: State) -> bool:
    """Tell whether a request in this state was answered."""
    return state in (_REFUSED, _COMPLETE)


# Asking


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What an argument of a request names. A text names the first of these kinds that has something of that name."""

    kinds: tuple[Kind, ...] = ()
    required: bool = False


_ANY_OF = (
    Kind.NTMS_PHYSICAL_MEDIA,
    Kind.NTMS_LIBRARY,
    Kind.NTMS_MEDIA_POOL,
    Kind.NTMS_DRIVE,
    Kind.NTMS_STORAGESLOT,
    Kind.NTMS_IEDOOR,
    Kind.NTMS_IEPORT,
    Kind.NTMS_CHANGER,
)
_SERVICED = (Kind.NTMS_LIBRARY, Kind.NTMS_DRIVE, Kind.NTMS_IEDOOR, Kind.NTMS_PHYSICAL_MEDIA)
_WANTED: dict[Command, tuple[_Wanted, _Wanted]] = {
    Command.NTMS_OPREQ_NEWMEDIA: (_Wanted((Kind.NTMS_MEDIA_POOL,), True), _Wanted((Kind.NTMS_LIBRARY,))),
    Command.NTMS_OPREQ_CLEANER: (_Wanted((Kind.NTMS_LIBRARY, Kind.NTMS_STORAGESLOT), True), _Wanted()),
    Command.NTMS_OPREQ_DEVICESERVICE: (_Wanted(_SERVICED, True), _Wanted()),
    Command.NTMS_OPREQ_MOVEMEDIA: (
        _Wanted((Kind.NTMS_PHYSICAL_MEDIA,), True),
        _Wanted((Kind.NTMS_LIBRARY,), True),
    ),
    Command.NTMS_OPREQ_MESSAGE: (_Wanted(_ANY_OF), _Wanted(_ANY_OF)),
}
_INSERT = insert_row(Row)


def submit(
    transaction: Transaction,
    caller: Caller,
    command: Command,
    *,
    message: str = "",
    argument1: Reference | None = None,
    argument2: Reference | None = None,
) -> values.OperatorRequest:
    """Ask an operator for something and return the request (SubmitNtmsOperatorRequest; MS-RSMP 3.2.5.2.4).

    NEWMEDIA is about a pool and, if it matters, a library; CLEANER about a library or slot; DEVICESERVICE about a
    library, drive, door or cartridge; MOVEMEDIA about a cartridge and the library it is to go to; MESSAGE about nothing
    or whatever is named. The request outlives the session.

    Raises:
        InvalidParameterError: it is no kind of request, the message has more than 255 UTF-16 units, a NUL or a lone
            surrogate, or an argument is missing or is one too many.
        ObjectNotFoundError: the first or second argument names nothing.
        InvalidParameterError: it names something of a kind that the request is not about, or more than one thing.
        AccessDeniedError: the right on pool (NEWMEDIA, MOVEMEDIA), library (CLEANER, DEVICESERVICE) or computer
            (MESSAGE) is missing.
    """
    if command not in _WANTED:
        raise InvalidParameterError(f"{command!r} is no kind of operator request")
    command = Command(command)
    _check_message(message)
    given = (argument1, argument2)
    for position, wanted in enumerate(_WANTED[command]):
        _check_given(command, position, wanted, given[position])
    found = [
        None if argument is None else _find_argument(transaction, command, wanted, argument)
        for wanted, argument in zip(_WANTED[command], given, strict=True)
    ]
    _check_right(transaction, caller, command, found[0])
    request_id = _insert(
        transaction, "SubmitNtmsOperatorRequest", command, message, (found[0], found[1]), caller.user, None, None
    )
    return _read(transaction, request_id)


def _check_message(message: str) -> None:
    if units(message) > MAXIMUM_MESSAGE:
        raise InvalidParameterError(f"a message has at most {MAXIMUM_MESSAGE} UTF-16 units, not {units(message)}")
    if message != _storable(message):
        raise InvalidParameterError("a message has no NUL and no lone surrogates")


def _storable(text: str) -> str:
    return "".join(character for character in text if character != "\0" and not "\ud800" <= character <= "\udfff")


def _check_given(command: Command, position: int, wanted: _Wanted, argument: Reference | None) -> None:
    ordinal = ("first", "second")[position]
    if wanted.required and argument is None:
        kinds = " or ".join(spoken(kind) for kind in wanted.kinds)
        raise InvalidParameterError(f"a {NAMES[command]} request needs a {ordinal} argument: a {kinds}")
    if not wanted.kinds and argument is not None:
        raise InvalidParameterError(f"a {NAMES[command]} request has no {ordinal} argument")


def _find_argument(transaction: Transaction, command: Command, wanted: _Wanted, argument: Reference) -> Argument:
    if isinstance(argument, uuid.UUID):
        kind = kind_of(transaction, argument)
        if kind is None:
            raise ObjectNotFoundError(f"nothing has the id {argument}")
        if kind not in wanted.kinds:
            raise InvalidParameterError(f"a {NAMES[command]} request is not about a {spoken(kind)}")
        return kind, argument
    for kind in wanted.kinds:
        try:
            found = find(transaction, kind, argument)
        except InvalidNameError:
            continue  # what is no path of a pool may be the name of something else
        if found is not None:
            return kind, found
    kinds = " or ".join(spoken(kind) for kind in wanted.kinds)
    raise ObjectNotFoundError(f"there is no {kinds} called {argument!a}")


def _check_right(transaction: Transaction, caller: Caller, command: Command, about: Argument | None) -> None:
    needed = need("SubmitNtmsOperatorRequest", transaction.policy.access_era)
    if command is Command.NTMS_OPREQ_MESSAGE or about is None:
        access.require_computer(transaction, caller, needed.computer)
        return
    kind, object_id = about
    if command in (Command.NTMS_OPREQ_NEWMEDIA, Command.NTMS_OPREQ_MOVEMEDIA):
        guard = access.read_guard(transaction, kind, object_id) if needed.pool else None
        if guard is not None:
            access.demand(transaction, caller, needed.pool, guard, "the media pool")
        elif needed.pool:
            raise AccessDeniedError(f"the pool that guards {object_id} is not on record any more")
    elif needed.library and kind is Kind.NTMS_PHYSICAL_MEDIA:
        access.require_library_of_medium(transaction, caller, needed.library, object_id)
    elif needed.library:
        access.require_library(transaction, caller, needed.library, kind, object_id)


def insert_request(
    transaction: Transaction,
    command: Command,
    *,
    message: str = "",
    argument1: Argument | None = None,
    argument2: Argument | None = None,
    caller_user: str,
    session_id: uuid.UUID | None = None,
    library_request_id: uuid.UUID | None = None,
) -> uuid.UUID:
    """Store a request of the service's own, whoever asks, and return its id; a message is cut to what fits.

    A row of the session that `session_id` names must be there (sessions.enrol).
    """
    text = _storable(message)
    while units(text) > MAXIMUM_MESSAGE:
        text = text[:-1]
    arguments = (argument1, argument2)
    return _insert(transaction, "ask_operator", command, text, arguments, caller_user, session_id, library_request_id)


def _insert(
    transaction: Transaction,
    call: str,
    command: Command,
    message: str,
    arguments: tuple[Argument | None, Argument | None],
    user: str,
    session_id: uuid.UUID | None,
    library_request_id: uuid.UUID | None,
) -> uuid.UUID:
    request_id = new_id()
    (kind1, id1), (kind2, id2) = (argument or (Kind.NTMS_UNKNOWN, None) for argument in arguments)
    fields = {
        "name": NAMES[command],
        "request": int(command),
        "state": int(State.NTMS_OPSTATE_SUBMITTED),
        "message": message,
        "argument1_kind": int(kind1),
        "argument1_id": id1,
        "argument2_kind": int(kind2),
        "argument2_id": id2,
        "application": transaction.origin.application,
        "user_name": user,
        "computer_name": _host,
        "library_request_id": library_request_id,
    }
    insert_object(transaction, Kind.NTMS_OPREQUEST, request_id)
    transaction.change(
        _INSERT,
        id=request_id,
        description="",
        created=transaction.now,
        modified=transaction.now,
        enabled=True,
        operational_state=int(NtmsOperationalState.NTMS_READY),
        session_id=session_id,
        submitted=transaction.now,
        completed=None,
        **fields,
    )
    events.record(transaction, call, Operation.NTMS_OBJ_INSERT, Kind.NTMS_OPREQUEST, request_id, after=fields)
    return request_id


def _read(transaction: Transaction, request_id: uuid.UUID) -> values.OperatorRequest:
    request: values.OperatorRequest = read_value(transaction, Kind.NTMS_OPREQUEST, request_id)
    return request


# Looking

_RECORDED = (Row.id, Row.name, Row.request, Row.state, Row.completed, Row.message, Row.argument1_id, Row.argument2_id)
_ROW = select(*_RECORDED).where(Row.id == bindparam("id", type_=Id()))


def read_state(transaction: Transaction, request_id: uuid.UUID) -> State | None:
    """Return how far a request is, None if it is gone."""
    row = transaction.row(_ROW, id=request_id)
    with transaction.decoding():
        return None if row is None else State(row.state)


def outcome(transaction: Transaction, request_id: uuid.UUID) -> bool:
    """Tell whether a request was satisfied; False while nobody answered (WaitForNtmsOperatorRequest).

    No right is needed.

    Raises:
        ObjectNotFoundError: there is no such request any more.
        CancelledError: it was refused.
    """
    state = read_state(transaction, request_id)
    if state is None:
        raise ObjectNotFoundError(f"there is no operator request with id {request_id} any more")
    if state is _REFUSED:
        raise CancelledError(f"an administrator refused the operator request {request_id}")
    return state is _COMPLETE


# Answering


def satisfy(transaction: Transaction, caller: Caller, request: Reference) -> None:
    """Tell that what was asked for is done (SatisfyNtmsOperatorRequest; MS-RSMP 3.2.5.2.4).

    Raises:
        AccessDeniedError: the caller does not administer the catalogue.
        ObjectNotFoundError: there is no such request, or it was answered before.
        InvalidParameterError: several requests have that name.
    """
    _check_administrator(transaction, caller)
    request_id = existing(transaction, Kind.NTMS_OPREQUEST, request)
    if not _settle(transaction, "SatisfyNtmsOperatorRequest", request_id, _COMPLETE):
        raise ObjectNotFoundError(f"the operator request {request_id} was answered before")


def cancel(transaction: Transaction, caller: Caller, request: Reference) -> None:
    """Refuse what was asked for; whoever waits is told (CancelNtmsOperatorRequest; MS-RSMP 3.2.5.2.4).

    Raises:
        AccessDeniedError: the caller does not administer the catalogue.
        ObjectNotFoundError: there is no such request.
        InvalidParameterError: several requests have that name.
        InvalidStateError: it was answered before.
    """
    _check_administrator(transaction, caller)
    request_id = existing(transaction, Kind.NTMS_OPREQUEST, request)
    if not _settle(transaction, "CancelNtmsOperatorRequest", request_id, _REFUSED):
        raise InvalidStateError(f"the operator request {request_id} was answered before")


def _check_administrator(transaction: Transaction, caller: Caller) -> None:
    if not is_administrator(caller, transaction.policy):
        raise AccessDeniedError(f"{caller.user} does not administer the catalogue: only administrators answer requests")


def settle(transaction: Transaction, request_id: uuid.UUID, state: State) -> bool:
    """Answer a request on the service's own account, COMPLETE or REFUSED; False if it was answered or is gone."""
    assert is_finished(state), state
    return _settle(transaction, "settle_operator_request", request_id, state)


def _settle(transaction: Transaction, call: str, request_id: uuid.UUID, state: State) -> bool:
    row = transaction.row(_ROW, id=request_id)
    if row is None or is_finished(row.state):
        return False
    old = {"state": row.state, "completed": row.completed}
    new = {"state": int(state), "completed": transaction.now}
    return write_fields(transaction, Kind.NTMS_OPREQUEST, request_id, call, old, new)


# Forgetting


def delete_request(transaction: Transaction, request_id: uuid.UUID) -> None:
    """Withdraw a request on the service's own account, answered or not; one that is gone is no error."""
    row = transaction.row(_ROW, id=request_id)
    if row is not None:
        _delete(transaction, "withdraw_operator_request", row)


def _delete(transaction: Transaction, call: str, row: Any) -> None:
    delete_object(transaction, row.id)
    before = {name: value for name, value in row._asdict().items() if name != "id"}
    events.record(transaction, call, Operation.NTMS_OBJ_DELETE, Kind.NTMS_OPREQUEST, row.id, before=before)


def delete_requests(transaction: Transaction, caller: Caller, request_ids: Iterable[uuid.UUID]) -> int:
    """Remove the answered ones of these requests and return their number; others are passed over (DeleteNtmsRequests).

    Raises:
        AccessDeniedError: the right on the computer is missing.
    """
    rights = need("DeleteNtmsRequests", transaction.policy.access_era).computer
    access.require_computer(transaction, caller, rights)
    deleted = 0
    for request_id in dict.fromkeys(request_ids):
        row = transaction.row(_ROW, id=request_id)
        if row is not None and is_finished(row.state):
            _delete(transaction, "DeleteNtmsRequests", row)
            deleted += 1
    return deleted


_FLAGS = Computer.operator_request_flags
_DUE_FROM = type_coerce(Row.completed, Int()) + Computer.operator_request_purge_seconds * 1_000_000
_PURGEABLE = (
    select(*_RECORDED)
    .join(Computer, true())
    .where(
        or_(
            Row.state == int(_COMPLETE),
            (Row.state == int(_REFUSED)) & (_FLAGS.bitwise_and(int(NTMS_OPREQFLAGS_NOFAILEDPURGE)) == 0),
        ),
        _FLAGS.bitwise_and(int(NTMS_OPREQFLAGS_NOAUTOPURGE)) == 0,
        bindparam("now", type_=Instant()) >= _DUE_FROM,
    )
    .order_by(Row.id)
    .limit(PURGED_AT_ONCE)
)


def purge(transaction: Transaction) -> int:
    """Remove requests answered longer ago than the computer's purge time, at most 500, and return their number.

    The computer's flags may keep all of them, or the refused ones (NtmsOpRequestFlags).
    """
    rows = transaction.rows(_PURGEABLE, now=transaction.now)
    for row in rows:
        _delete(transaction, "purge_operator_requests", row)
    return len(rows)
