"""The catalogue as a whole: who may export and import it, when another may take its place, and what that one needs.

It opens no file and loads nothing; `rsm.transfer` does.
"""

import uuid
from typing import Any

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.orm import aliased

from rsm.constants import NtmsInventoryMethod
from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction
from rsm.errors import BusyError
from rsm.model import Catalogue, Computer, Drive, Event, Library, LibraryRequest, Mount, PhysicalMedium, Session, Side
from rsm.security import Caller, need
from rsm.services import access, dismounts, events, queue
from rsm.transaction import LOAD

_Robot = aliased(Library)
_IN_DRIVES = (
    select(PhysicalMedium.name, Drive.name.label("drive"), _Robot.name.label("library"))
    .select_from(Mount)
    .join(Side, Side.id == Mount.side_id)
    .join(PhysicalMedium, PhysicalMedium.id == Side.medium_id)
    .join(Drive, Drive.id == Mount.drive_id)
    .join(_Robot, _Robot.id == Drive.library_id)
    .limit(1)
)
_IN_HAND = (
    select(LibraryRequest.operation, _Robot.name)
    .join(_Robot, _Robot.id == LibraryRequest.library_id)
    .where(LibraryRequest.state == int(queue.INPROCESS), LibraryRequest.completed.is_(None))
    .limit(1)
)
_NEWEST_EVENT = select(func.coalesce(func.max(Event.id), 0).label("id"))
_SETTINGS = select(Catalogue.settings)
_UPDATE_SETTINGS = update(Catalogue).values(settings=bindparam("new_settings", type_=Catalogue.settings.type))
_ROBOTS = select(Library.id, Library.inventory_method).where(Library.online == 1).order_by(Library.id)
_COMPUTER = select(Computer.id)
_OPEN_SESSIONS = select(Session.id).where(Session.closed.is_(None)).order_by(Session.id)


def check_may_export(transaction: Transaction, caller: Caller) -> None:
    """Refuse a caller without control of the computer object (ExportNtmsDatabase).

    Raises:
        AccessDeniedError: the right is missing.
    """
    _require_control(transaction, caller, "ExportNtmsDatabase")


def check_may_import(transaction: Transaction, caller: Caller) -> None:
    """Refuse a caller without control of the computer object, and any while libraries work (ImportNtmsDatabase).

    Raises:
        AccessDeniedError: the right is missing.
        BusyError: a cartridge is mounted, or a library carries something out.
    """
    _require_control(transaction, caller, "ImportNtmsDatabase")
    mounted = transaction.row(_IN_DRIVES)
    if mounted is not None:
        raise BusyError(
            f"medium {mounted.name} is mounted in drive {mounted.drive} of library {mounted.library}: dismount it first"
        )
    working = transaction.row(_IN_HAND)
    if working is not None:
        doing = queue.spoken(working.operation)
        raise BusyError(f"library {working.name} is at work on a request ({doing}): wait for its end and import again")


def _require_control(transaction: Transaction, caller: Caller, call: str) -> None:
    access.require_computer(transaction, caller, need(call, transaction.policy.access_era).computer)


def newest_event(transaction: Transaction) -> int:
    """Return the number of the newest event, 0 for none."""
    return int(transaction.one(_NEWEST_EVENT, "its events").id)


def settle_in(transaction: Transaction, source: str) -> None:
    """Make a catalogue that comes from elsewhere fit to be worked with, before others see it.

    Its sessions are over, its libraries may hold other cartridges than it thinks and take stock as they do at a start,
    and it is marked, so that whoever knew its predecessor can tell.
    """
    for session in transaction.rows(_OPEN_SESSIONS):
        dismounts.end_session(transaction, session.id, died=True)
    for library in transaction.rows(_ROBOTS):
        method = NtmsInventoryMethod(library.inventory_method)
        if method is not NtmsInventoryMethod.NTMS_INVENTORY_NONE:
            queue.queue_inventory(transaction, library.id, method)
    settings: dict[str, Any] = transaction.one(_SETTINGS, "the row that describes it").settings
    transaction.change(_UPDATE_SETTINGS, new_settings={**settings, LOAD: str(uuid.uuid4())})
    computer = transaction.one(_COMPUTER, "the computer object").id
    events.record(
        transaction,
        "ImportNtmsDatabase",
        Operation.NTMS_OBJ_UPDATE,
        Kind.NTMS_COMPUTER,
        computer,
        after={"imported_from": source},
    )
