"""Change detection: which stand-alone drives are watched, for which sessions, and what a look at one means.

Who watches is kept in the settings of the catalogue, as no object changes by being watched; what belongs to a session
that has ended counts no more, and goes when the next one begins. A look that finds what is on record writes nothing.
It reads no device.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, or_, select, update

from rsm.constants import NtmsDriveState, NtmsOperationalState
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction, new_id
from rsm.errors import InvalidHandleError, InvalidLibraryError, InvalidMediaError, InvalidParameterError
from rsm.model import (
    STANDALONE,
    Catalogue,
    Drive,
    Id,
    Json,
    Library,
    LibraryMediaType,
    LibraryRequest,
    Mount,
    PhysicalMedium,
)
from rsm.services import queue, sessions
from rsm.services.devices import Place
from rsm.services.identification import LabelSeen, is_label_right
from rsm.services.inventory import Comparison, ElementSeen
from rsm.services.objects import Reference, find
from rsm.services.places import side_at
from rsm.services.sessions import Enrolment

KINDS = (Kind.NTMS_LIBRARY, Kind.NTMS_MEDIA_TYPE, Kind.NTMS_PHYSICAL_MEDIA)
_KEY = "detections"
_ID = bindparam("id", type_=Id())
_LIBRARY = bindparam("library", type_=Id())
_SETTINGS = select(Catalogue.settings)
_SET_SETTINGS = update(Catalogue).values(settings=bindparam("new_settings", type_=Json()))

# Sessions of detection


def _read(transaction: Transaction) -> dict[str, Any]:
    found: dict[str, Any] = transaction.one(_SETTINGS, "the row that describes it").settings.get(_KEY, {})
    return found


def _write(transaction: Transaction, detections: Mapping[str, Any]) -> None:
    settings = dict(transaction.one(_SETTINGS, "the row that describes it").settings)
    if detections:
        settings[_KEY] = dict(detections)
    else:
        settings.pop(_KEY, None)
    transaction.change(_SET_SETTINGS, new_settings=settings)


def _of_open_sessions(transaction: Transaction) -> dict[str, Any]:
    detections = _read(transaction)
    live = {str(session.id) for session in sessions.list_open(transaction)} if detections else set()
    return {number: each for number, each in detections.items() if each["session"] in live}


def begin_detection(transaction: Transaction, enrolment: Enrolment) -> uuid.UUID:
    """Begin a detection, which watches nothing yet, and return its id (BeginNtmsDeviceChangeDetection)."""
    sessions.enrol(transaction, enrolment)
    new = new_id()
    known = _of_open_sessions(transaction)
    _write(transaction, {**known, str(new): {"session": str(enrolment.id), "libraries": []}})
    return new


Named = Sequence[tuple[Kind, Sequence[Reference]]]


def watch_drives(transaction: Transaction, detection_id: uuid.UUID, named: Named) -> None:
    """Watch more drives until the detection ends (SetNtmsDeviceChangeDetection).

    Libraries are named directly; of a media type or a cartridge it is every stand-alone drive that takes it now.

    Raises:
        InvalidHandleError: the detection has ended.
        InvalidParameterError: the kind is none of these three.
        InvalidLibraryError: there is no such library, or it is no stand-alone drive.
        InvalidMediaError: there is no such media type or cartridge.
    """
    known = _of_open_sessions(transaction)
    if str(detection_id) not in known:
        raise InvalidHandleError("the change detection has ended: begin another")
    found = {str(library) for kind, objects in named for library in _libraries_of(transaction, kind, objects)}
    mine = known[str(detection_id)]
    libraries = sorted({*mine["libraries"], *found})
    if libraries != mine["libraries"]:
        _write(transaction, {**known, str(detection_id): {**mine, "libraries": libraries}})


def end_detection(transaction: Transaction, detection_id: uuid.UUID) -> None:
    """End a detection; one that has ended is no error (EndNtmsDeviceChangeDetection)."""
    known = _read(transaction)
    if known.pop(str(detection_id), None) is not None:
        _write(transaction, known)


def poll_drives(transaction: Transaction, kind: Kind, objects: Sequence[Reference]) -> None:
    """Have drives looked at once, by an inventory that sees what was exchanged (SetNtmsDeviceChangeDetection).

    Raises:
        InvalidParameterError, InvalidLibraryError, InvalidMediaError: as `watch_drives`.
    """
    for library in _libraries_of(transaction, kind, objects):
        queue_look(transaction, library)


_READER = select(Library.barcode_reader).where(Library.id == _LIBRARY)


def queue_look(transaction: Transaction, library_id: uuid.UUID) -> None:
    """Queue the inventory that sees whatever changed in a stand-alone drive: where there are bar codes they tell it."""
    reader = transaction.one(_READER, "a library", library=library_id).barcode_reader
    queue.queue_inventory(transaction, library_id, queue.FAST if reader else queue.FULL)


_TYPE = bindparam("media_type", type_=Id())
_STANDALONE_LIBRARY = select(Library.id).where(Library.id == _LIBRARY, Library.library_type == STANDALONE)
_TAKING = (
    select(Library.id)
    .join(LibraryMediaType, LibraryMediaType.library_id == Library.id)
    .where(Library.library_type == STANDALONE, LibraryMediaType.media_type_id == _TYPE)
    .order_by(Library.id)
)
_TYPE_OF = select(PhysicalMedium.media_type_id).where(PhysicalMedium.id == _ID)


def _libraries_of(transaction: Transaction, kind: Kind, objects: Sequence[Reference]) -> list[uuid.UUID]:
    if kind not in KINDS:
        raise InvalidParameterError("changes are watched for in libraries, for media types, or for cartridges")
    found: dict[uuid.UUID, None] = {}
    for each in objects:
        object_id = find(transaction, kind, each)
        if kind is Kind.NTMS_LIBRARY:
            row = None if object_id is None else transaction.row(_STANDALONE_LIBRARY, library=object_id)
            if row is None:
                raise InvalidLibraryError(f"there is no stand-alone drive {each}: rsm library list shows what there is")
            found[row.id] = None
            continue
        if object_id is None:
            what = "media type" if kind is Kind.NTMS_MEDIA_TYPE else "cartridge"
            raise InvalidMediaError(f"there is no {what} {each}")
        media_type = object_id
        if kind is Kind.NTMS_PHYSICAL_MEDIA:
            media_type = transaction.one(_TYPE_OF, "a cartridge", id=object_id).media_type_id
        found |= dict.fromkeys(row.id for row in transaction.rows(_TAKING, media_type=media_type))
    return list(found)


def list_watched(transaction: Transaction) -> set[uuid.UUID]:
    """Return the libraries that a session which has not ended watches."""
    return {uuid.UUID(each) for one in _of_open_sessions(transaction).values() for each in one["libraries"]}


# What a look means

_HELD = (
    select(PhysicalMedium.id, Drive.element)
    .join(Drive, Drive.id == PhysicalMedium.drive_id)
    .where(
        Drive.library_id == _LIBRARY,
        or_(PhysicalMedium.barcode == "", Drive.library_id.in_(select(Library.id).where(Library.barcode_reader == 0))),
        Drive.state == int(NtmsDriveState.NTMS_DRIVESTATE_UNLOADED),
        ~select(Mount.id).where(Mount.drive_id == Drive.id).exists(),
    )
)
_IN_PROCESS = select(LibraryRequest.id).where(
    LibraryRequest.library_id == _LIBRARY, queue.IS_LIVE, LibraryRequest.state != int(queue.WAITING)
)
_STATE = select(Library.operational_state).where(Library.id == _LIBRARY)


def element_to_read(transaction: Transaction, library_id: uuid.UUID) -> int | None:
    """Return the drive whose label tells that its cartridge was exchanged; None where bar codes do, or it is busy."""
    row = transaction.row(_HELD, library=library_id)
    element: int | None = None if row is None else row.element
    return element


def sees_change(
    transaction: Transaction,
    library_id: uuid.UUID,
    places: Mapping[int, Place],
    statuses: Sequence[ElementSeen],
    label: LabelSeen | None,
    *,
    label_was_read: bool,
) -> bool | None:
    """Tell whether a device shows anything else than what is on record; None while the library is being worked on."""
    state = transaction.row(_STATE, library=library_id)
    if state is None or transaction.row(_IN_PROCESS, library=library_id) is not None:
        return None
    comparison = Comparison(transaction, library_id, places, statuses)
    if (
        state.operational_state == NtmsOperationalState.NTMS_NOT_PRESENT
        or comparison.changed
        or comparison.gone(complete=True)
        or comparison.new
        or comparison.drives_to_mark()
        or comparison.drives_to_set()
    ):
        return True
    held = transaction.row(_HELD, library=library_id) if label_was_read else None
    side = None if held is None else side_at(transaction, held.id, 0)
    if side is None:
        return False
    return not is_label_right(side, label) or (label is not None and not side.label_type)
