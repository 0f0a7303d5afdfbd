"""Where the messages about a library, the computer or one session's work are shown: lists of computers, by sort.

It keeps the lists and never sends anything; a computer's name is taken as it is given. Lists of libraries and of the
computer stay until they are changed, a session's go with it.
"""

import socket
import uuid
from typing import Any

from sqlalchemy import bindparam, delete, select

from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsUITypes
from rsm.db import Transaction, new_id
from rsm.errors import AlreadyExistsError, InvalidParameterError, ObjectNotFoundError
from rsm.model import Id, Int
from rsm.model import UIDestination as Row
from rsm.security import Caller
from rsm.services import access, events, sessions
from rsm.services.names import is_clean, units
from rsm.services.objects import Reference, existing, kind_of, spoken
from rsm.services.sessions import Enrolment
from rsm.statements import insert_row

MAXIMUM_DESTINATION = 255  # UTF-16 units; the longest name of a computer has 253
_SET = "SetNtmsUIOptions"
_SOURCES = (Kind.NTMS_COMPUTER, Kind.NTMS_LIBRARY)

_ALL = select(*Row.__table__.columns).order_by(Row.id)
_TYPE = Row.ui_type == bindparam("ui_type", type_=Int())
_OF_OBJECT = Row.object_id == bindparam("source_id", type_=Id())
_OF_SESSION = Row.session_id == bindparam("source_id", type_=Id())
_LIST_OF_OBJECT, _LIST_OF_SESSION = _ALL.where(_OF_OBJECT, _TYPE), _ALL.where(_OF_SESSION, _TYPE)
_ALL_OF_OBJECT, _ALL_OF_SESSION = _ALL.where(_OF_OBJECT), _ALL.where(_OF_SESSION)
_INSERT = insert_row(Row)
_DELETE = delete(Row).where(Row.id == bindparam("id", type_=Id()))


def list_destinations(
    transaction: Transaction, caller: Caller, source: Reference | None, ui_type: NtmsUITypes
) -> list[str]:
    """Return the computers that messages of a sort go to, in the order they were added (GetNtmsUIOptions).

    `source` is the computer, a library or, None, this session.

    Raises:
        ObjectNotFoundError: nothing has that id or name.
        InvalidParameterError: it is neither the computer nor a library.
        AccessDeniedError: no use right on it.
    """
    source_id = _source(transaction, caller, "GetNtmsUIOptions", source)
    return [row.destination for row in _rows(transaction, source_id, ui_type)]


def add_destination(
    transaction: Transaction,
    caller: Caller,
    source: Reference | None,
    ui_type: NtmsUITypes,
    destination: str,
    enrolment: Enrolment | None,
) -> None:
    """Have messages of a sort go to one more computer, "" is this one (SetNtmsUIOptions, NTMS_UIDEST_ADD).

    `enrolment` is the session's, where `source` is None.

    Raises:
        InvalidParameterError: the destination is too long, or has control characters or lone surrogates.
        ObjectNotFoundError, InvalidParameterError: as `list_destinations`.
        AccessDeniedError: no use or no modify right on the source.
        AlreadyExistsError: the computer is on the list, however its name is capitalised.
    """
    named = _checked(destination)
    source_id = _source(transaction, caller, _SET, source)
    if any(row.destination.casefold() == named.casefold() for row in _rows(transaction, source_id, ui_type)):
        raise AlreadyExistsError(f"the computer {named!a} is on the list already")
    if enrolment is not None:
        sessions.enrol(transaction, enrolment)
    session_id = None if source_id is not None else transaction.origin.session
    new = new_id()
    fields = {"object_id": source_id, "session_id": session_id, "ui_type": int(ui_type), "destination": named}
    transaction.change(_INSERT, id=new, **fields)
    events.record(transaction, _SET, Operation.NTMS_OBJ_INSERT, Kind.NTMS_UI_DESTINATION, new, after=fields)


def remove_destination(
    transaction: Transaction, caller: Caller, source: Reference | None, ui_type: NtmsUITypes, destination: str
) -> None:
    """Have messages of a sort go to a computer no longer, "" is this one (SetNtmsUIOptions, NTMS_UIDEST_DELETE).

    Raises:
        InvalidParameterError, ObjectNotFoundError, AccessDeniedError: as `add_destination`.
        ObjectNotFoundError: the computer is not on the list.
    """
    named = _checked(destination)
    source_id = _source(transaction, caller, _SET, source)
    for row in _rows(transaction, source_id, ui_type):
        if row.destination.casefold() == named.casefold():
            _delete(transaction, _SET, row)
            return
    raise ObjectNotFoundError(f"the computer {named!a} is not on the list")


def clear_destinations(
    transaction: Transaction, caller: Caller, source: Reference | None, ui_type: NtmsUITypes
) -> None:
    """Have messages of a sort go nowhere (SetNtmsUIOptions, NTMS_UIDEST_DELETEALL).

    Raises:
        InvalidParameterError, ObjectNotFoundError, AccessDeniedError: as `add_destination`.
    """
    for row in _rows(transaction, _source(transaction, caller, _SET, source), ui_type):
        _delete(transaction, _SET, row)


def forget_session(transaction: Transaction, session_id: uuid.UUID, call: str) -> None:
    """Remove the lists of a session that closed or died."""
    for row in transaction.rows(_ALL_OF_SESSION, source_id=session_id):
        _delete(transaction, call, row)


def forget_object(transaction: Transaction, object_id: uuid.UUID, call: str) -> None:
    """Remove the lists of a library that is about to go off record."""
    for row in transaction.rows(_ALL_OF_OBJECT, source_id=object_id):
        _delete(transaction, call, row)


def _source(transaction: Transaction, caller: Caller, call: str, source: Reference | None) -> uuid.UUID | None:
    if source is None:
        return None
    if isinstance(source, str):
        kind, source_id = Kind.NTMS_LIBRARY, existing(transaction, Kind.NTMS_LIBRARY, source)
    else:
        found = kind_of(transaction, source)
        if found is None:
            raise ObjectNotFoundError(f"nothing has the id {source}")
        if found not in _SOURCES:
            raise InvalidParameterError(f"a {spoken(found)} is no source of messages: the computer and libraries are")
        kind, source_id = found, source
    access.require(transaction, caller, call, kind, source_id)
    return source_id


def _rows(transaction: Transaction, source_id: uuid.UUID | None, ui_type: NtmsUITypes) -> list[Any]:
    if source_id is None:
        return transaction.rows(_LIST_OF_SESSION, source_id=transaction.origin.session, ui_type=int(ui_type))
    return transaction.rows(_LIST_OF_OBJECT, source_id=source_id, ui_type=int(ui_type))


def _checked(destination: str) -> str:
    if units(destination) > MAXIMUM_DESTINATION or not is_clean(destination):
        raise InvalidParameterError(f"a destination has at most {MAXIMUM_DESTINATION} clean characters")
    return destination or socket.gethostname()


def _delete(transaction: Transaction, call: str, row: Any) -> None:
    transaction.change(_DELETE, id=row.id)
    before = {name: getattr(row, name) for name in ("object_id", "session_id", "ui_type", "destination")}
    events.record(transaction, call, Operation.NTMS_OBJ_DELETE, Kind.NTMS_UI_DESTINATION, row.id, before=before)
