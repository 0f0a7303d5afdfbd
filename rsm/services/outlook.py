"""What a look at a library's queue finds to do: what can begin, what has to end or to change, and who is to be asked.

It reads and decides only; `progress` writes it down.
"""

import uuid
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, select

from rsm.constants import ErrorCode, NtmsInventoryMethod, NtmsLmState, NtmsOpreqState
from rsm.db import Transaction
from rsm.errors import BusyError, MediaOfflineError, RequestRefusedError, TimeoutError
from rsm.model import Id, OperatorRequest
from rsm.services import queue
from rsm.services.cleaning_planning import CleaningPlanner
from rsm.services.places import MOUNT_OF_REQUEST
from rsm.services.standalone import Ejecting, judge_eject
from rsm.services.standalone_planning import StandalonePlanner, plan_library
from rsm.services.steps import Running, Start

_ID = bindparam("id", type_=Id())
_ASKED = select(OperatorRequest.id, OperatorRequest.state).where(OperatorRequest.library_request_id == _ID)


@dataclass(slots=True)
class Outlook:
    """What a look at a library's queue found to do: requests to begin, and others to end or to change."""

    starts: list[Start] = field(default_factory=list)
    endings: list[tuple[Any, NtmsLmState, ErrorCode, str]] = field(default_factory=list)
    orphans: list[Any] = field(default_factory=list)
    returned: list[Any] = field(default_factory=list)
    to_ask_for: list[Any] = field(default_factory=list)
    to_look_for: list[Any] = field(default_factory=list)
    taken_out: list[Any] = field(default_factory=list)
    method: NtmsInventoryMethod = queue.FAST
    lacking_cleaner: list[Any] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        waiting = self.returned or self.to_ask_for or self.to_look_for or self.taken_out or self.lacking_cleaner
        return not (self.starts or self.endings or self.orphans or waiting)


def look(transaction: Transaction, library_id: uuid.UUID, running: Running) -> Outlook:
    """Find out what a library can begin, and what became of the requests that wait for a person or a time."""
    planner = plan_library(transaction, library_id, running)
    outlook = Outlook(planner.plan(), method=planner.way_to_look)
    begun = {start.request.id for start in outlook.starts}
    for request in planner.requests:
        if request.id in begun or request.id in running.starts:
            continue
        if request.state == queue.INPROCESS:
            # Nobody has it in hand: it waits for those it belongs with, or what it had mounted was taken away.
            if transaction.row(MOUNT_OF_REQUEST, id=request.id) is None:
                outlook.orphans.append(request)
            continue
        if queue.is_attended(request):
            continue  # what becomes of it is found out by going on with it
        medium = planner.medium(request.medium_id)
        over = request.expires is not None and request.expires <= transaction.now
        otherwise = request.details.get("otherwise")
        if over:
            outlook.endings.append((request, queue.CANCELLED, TimeoutError.code, "its time is over"))
        elif request.details.get("drive_asked") and not planner.has_drive(request.drive_id):
            outlook.endings.append((request, queue.FAILED, ErrorCode.ERROR_INVALID_DRIVE, "its drive is gone"))
        elif request.operation == queue.EJECT and isinstance(planner, StandalonePlanner):
            _look_at_eject(transaction, outlook, request)
        elif request.medium_id is not None and medium is None:
            outlook.endings.append((request, queue.INVALID, ErrorCode.ERROR_INVALID_MEDIA, "its cartridge is gone"))
        elif request.operation == queue.CLEAN and isinstance(planner, CleaningPlanner):
            _look_at_cleaning(transaction, planner, outlook, request)
        elif request.state == queue.WAITING:
            if medium is None or medium.online:
                outlook.returned.append(request)
            else:
                _look_at_waiting(transaction, outlook, request, f"cartridge {medium.name}", MediaOfflineError.code)
        elif medium is not None and not medium.online and request.operation != queue.DISMOUNT:
            _look_at_offline(outlook, request, medium)
        elif request.operation in (queue.IDENTIFY, queue.WRITE_FREE_LABEL) and not planner.has_drive_for(request):
            text = f"no drive of the library takes cartridge {medium.name}"
            outlook.endings.append((request, queue.FAILED, ErrorCode.ERROR_DRIVE_MEDIA_MISMATCH, text))
        elif otherwise is not None and (request.due is None or request.due <= transaction.now):
            hindrance = planner.explain(request)[1]
            outlook.endings.append((request, queue.CANCELLED, ErrorCode(otherwise), hindrance))
    return outlook


def _look_at_cleaning(transaction: Transaction, planner: CleaningPlanner, outlook: Outlook, request: Any) -> None:
    lacks = planner.find_cleaner(request.drive_id) is None and not request.details.get("cleaned")
    if request.state == queue.WAITING and lacks:
        _look_at_waiting(transaction, outlook, request, "a cleaner", ErrorCode.ERROR_UNABLE_TO_CLEAN)
    elif request.state == queue.WAITING:
        outlook.returned.append(request)
    elif lacks:
        outlook.lacking_cleaner.append(request)


def _look_at_waiting(
    transaction: Transaction, outlook: Outlook, request: Any, wanted: str, not_found: ErrorCode
) -> None:
    asked = transaction.row(_ASKED, id=request.id)
    if asked is not None and asked.state == NtmsOpreqState.NTMS_OPSTATE_REFUSED:
        text = f"an operator refused to bring {wanted}"
        outlook.endings.append((request, queue.FAILED, RequestRefusedError.code, text))
    elif asked is None or asked.state == NtmsOpreqState.NTMS_OPSTATE_COMPLETE:
        inventory = request.details.get("inventory")
        if inventory is None:
            outlook.to_look_for.append(request)
        else:
            if not _is_looking(transaction, inventory):
                text = f"{wanted} was not found in the library, although it was said to be there"
                outlook.endings.append((request, queue.FAILED, not_found, text))


def _is_looking(transaction: Transaction, inventory: str) -> bool:
    """Tell whether an inventory, or what it led to, has not ended."""
    return queue.count_live_parts(transaction, uuid.UUID(inventory))[0] > 0


def _look_at_eject(transaction: Transaction, outlook: Outlook, request: Any) -> None:
    found, name = judge_eject(transaction, request)
    inventory = request.details.get("inventory")
    if found is Ejecting.DONE:
        outlook.taken_out.append(request)
    elif found is Ejecting.REFUSED:
        outlook.endings.append((request, queue.FAILED, RequestRefusedError.code, f"cartridge {name}: {found.value}"))
    elif found is Ejecting.TO_LOOK_FOR and inventory is None:
        outlook.to_look_for.append(request)
    elif found is Ejecting.TO_LOOK_FOR and not _is_looking(transaction, inventory):
        text = f"cartridge {name} is in its drive still, although {found.value}"
        outlook.endings.append((request, queue.FAILED, BusyError.code, text))


def _look_at_offline(outlook: Outlook, request: Any, medium: Any) -> None:
    text = f"cartridge {medium.name} is not in the library any more"
    if request.operation != queue.MOUNT:
        outlook.endings.append((request, queue.CANCELLED, MediaOfflineError.code, text))
    elif request.details.get("fail_if_offline") or request.details.get("otherwise") is not None:
        outlook.endings.append((request, queue.FAILED, MediaOfflineError.code, text))
    else:
        outlook.to_ask_for.append(request)
