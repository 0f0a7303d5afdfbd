"""The rows of a library's devices: what a device tells of itself, and the record that is brought in line with it.

It decides neither which libraries there are nor where cartridges lie.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from sqlalchemy import bindparam, delete, select, union_all

from rsm.constants import (
    FILE_DEVICE_TYPE,
    NtmsDoorState,
    NtmsDriveState,
    NtmsOperationalState,
    NtmsPortContent,
    NtmsPortPosition,
    NtmsSlotState,
)
from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction, new_id
from rsm.errors import InvalidLibraryError
from rsm.model import (
    TABLE_OF_KIND,
    Changer,
    ChangerType,
    DevicePath,
    Door,
    Drive,
    DriveType,
    Id,
    Object,
    Port,
    Slot,
    Text,
)
from rsm.services import events
from rsm.services.library import let_drives_take
from rsm.services.names import fit_name
from rsm.services.properties import insert_object, write_fields
from rsm.statements import insert_row

DEFER_DISMOUNT_SECONDS = 300
MAXIMUM_EXTEND_SECONDS = 60
MAXIMUM_OPEN_SECONDS = 300
READY, NOT_PRESENT = NtmsOperationalState.NTMS_READY, NtmsOperationalState.NTMS_NOT_PRESENT
_LIBRARY, _HOST = bindparam("library", type_=Id()), bindparam("host", type_=Text())


class DriveFacts(Protocol):
    """What a device says of one of its drives; `rsm.libraries.base.DriveIdentity` is one."""

    @property
    def address(self) -> int: ...
    @property
    def vendor(self) -> str: ...
    @property
    def product(self) -> str: ...
    @property
    def serial_number(self) -> str: ...
    @property
    def path(self) -> str | None: ...


class LibraryFacts(Protocol):
    """What a device says of itself; `rsm.libraries.base.LibraryIdentity` is one."""

    @property
    def name(self) -> str: ...
    @property
    def vendor(self) -> str: ...
    @property
    def product(self) -> str: ...
    @property
    def serial_number(self) -> str: ...
    @property
    def media_types(self) -> Sequence[str]: ...
    @property
    def transports(self) -> Sequence[int]: ...
    @property
    def drives(self) -> Sequence[DriveFacts]: ...
    @property
    def doors(self) -> int: ...
    @property
    def has_barcode_reader(self) -> bool: ...
    @property
    def is_standalone(self) -> bool: ...


class ElementFacts(Protocol):
    """What a device says of one of its elements; `rsm.libraries.base.ElementStatus` is one."""

    @property
    def address(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def number(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def full(self) -> bool | None: ...
    @property
    def exception(self) -> str | None: ...


# What the device tells, put in the catalogue's order

_KIND_OF_ELEMENT = {"slot": Kind.NTMS_STORAGESLOT, "port": Kind.NTMS_IEPORT, "drive": Kind.NTMS_DRIVE}
TYPE_KIND = {Kind.NTMS_CHANGER: Kind.NTMS_CHANGER_TYPE, Kind.NTMS_DRIVE: Kind.NTMS_DRIVE_TYPE}
DEVICE_KINDS = (Kind.NTMS_CHANGER, Kind.NTMS_DRIVE, Kind.NTMS_STORAGESLOT, Kind.NTMS_IEPORT)


@dataclass(frozen=True, slots=True)
class Told:
    """One element as the device tells it; `vendor` to `path` are for changers and drives."""

    element: int
    number: int
    name: str
    full: bool | None = None
    vendor: str = ""
    product: str = ""
    serial_number: str = ""
    path: str | None = None

    @property
    def slot_state(self) -> NtmsSlotState:
        return NtmsSlotState.NTMS_SLOTSTATE_EMPTY if self.full is False else NtmsSlotState.NTMS_SLOTSTATE_NEEDSINVENTORY

    @property
    def port_content(self) -> NtmsPortContent:
        if self.full is None:
            return NtmsPortContent.NTMS_PORTCONTENT_UNKNOWN
        return NtmsPortContent.NTMS_PORTCONTENT_FULL if self.full else NtmsPortContent.NTMS_PORTCONTENT_EMPTY


AllTold = dict[Kind, dict[int, Told]]


def all_told(identity: LibraryFacts, elements: Sequence[ElementFacts], address: str) -> AllTold:
    """Return what the device tells by kind and number.

    Raises:
        InvalidLibraryError: two elements have one address, or two of a kind one number.
    """
    drives = {drive.address: drive for drive in identity.drives}
    told: AllTold = {kind: {} for kind in DEVICE_KINDS}
    for number, element in enumerate(identity.transports, start=1):
        arm = (fit_name(identity.vendor), fit_name(identity.product), fit_name(identity.serial_number), address)
        told[Kind.NTMS_CHANGER][number] = Told(element, number, f"changer-{number:02d}", None, *arm)
    for each in elements:
        kind = _KIND_OF_ELEMENT.get(each.kind)
        if kind is None:
            continue  # arms are told by the identity
        if each.number in told[kind]:
            raise InvalidLibraryError(f"{address} tells of two {each.kind}s with the number {each.number}")
        full = each.full if each.exception is None else None
        known = Told(each.address, each.number, fit_name(each.name), full)
        if kind is Kind.NTMS_DRIVE and each.address in drives:
            drive = drives[each.address]
            known = replace(
                known,
                vendor=fit_name(drive.vendor),
                product=fit_name(drive.product),
                serial_number=fit_name(drive.serial_number),
                path=drive.path,
            )
        told[kind][each.number] = known
    addresses = [each.element for of_kind in told.values() for each in of_kind.values()]
    if len(addresses) != len(set(addresses)):
        twice = min(each for each in addresses if addresses.count(each) > 1)
        raise InvalidLibraryError(f"{address} tells of two elements with the address {twice}")
    return {kind: dict(sorted(of_kind.items())) for kind, of_kind in told.items()}


def new_header(transaction: Transaction) -> dict[str, Any]:
    """Return what every new object carries beside its name."""
    return {
        "created": transaction.now,
        "modified": transaction.now,
        "enabled": True,
        "operational_state": int(READY),
    }


# Keeping the record as the device tells it

_DEVICE = bindparam("device", type_=Id())
_ON_RECORD: dict[Kind, Any] = {
    Kind.NTMS_CHANGER: select(
        Changer.id,
        Changer.number,
        Changer.element,
        Changer.operational_state,
        Changer.serial_number,
        Changer.changer_type_id.label("type_id"),
        ChangerType.vendor,
        ChangerType.product,
    ).join(ChangerType, ChangerType.id == Changer.changer_type_id),
    Kind.NTMS_DRIVE: select(
        Drive.id,
        Drive.number,
        Drive.element,
        Drive.operational_state,
        Drive.serial_number,
        Drive.drive_type_id.label("type_id"),
        DriveType.vendor,
        DriveType.product,
    ).join(DriveType, DriveType.id == Drive.drive_type_id),
    Kind.NTMS_STORAGESLOT: select(Slot.id, Slot.number, Slot.element, Slot.operational_state, Slot.state),
    Kind.NTMS_IEPORT: select(Port.id, Port.number, Port.element, Port.operational_state, Port.content),
}
_ON_RECORD = {kind: each.where(TABLE_OF_KIND[kind].library_id == _LIBRARY) for kind, each in _ON_RECORD.items()}
_DOORS = select(Door.id, Door.number, Door.operational_state).where(Door.library_id == _LIBRARY).order_by(Door.number)
_PATHS = select(DevicePath.device_id, DevicePath.path).where(
    DevicePath.host == _HOST,
    DevicePath.device_id.in_(
        union_all(
            select(Changer.id).where(Changer.library_id == _LIBRARY),
            select(Drive.id).where(Drive.library_id == _LIBRARY),
        )
    ),
)
_DELETE_PATH = delete(DevicePath).where(DevicePath.device_id == _DEVICE, DevicePath.host == _HOST)
_INSERT_PATH, _INSERT_OBJECT = insert_row(DevicePath), insert_row(Object)
_INSERT = {kind: insert_row(TABLE_OF_KIND[kind]) for kind in (*DEVICE_KINDS, *TYPE_KIND.values(), Kind.NTMS_IEDOOR)}
_FIND_TYPE = {
    kind: select(table.id).where(
        table.vendor == bindparam("vendor", type_=Text()), table.product == bindparam("product", type_=Text())
    )
    for kind, table in ((Kind.NTMS_CHANGER, ChangerType), (Kind.NTMS_DRIVE, DriveType))
}
_NO_ADDRESS = {"revision": "", "scsi_port": 0, "scsi_bus": 0, "scsi_target": 0, "scsi_lun": 0}


class Keeper:
    """Brings the devices of one library in line with what was told, and remembers whether it had to."""

    def __init__(
        self, transaction: Transaction, call: str, library_id: uuid.UUID, host: str, media_types: Sequence[Any]
    ) -> None:
        self.transaction, self.call, self.library_id, self.host = transaction, call, library_id, host
        self.device_type = int(media_types[0].device_type) if media_types else int(FILE_DEVICE_TYPE.FILE_DEVICE_TAPE)
        self.changed = False
        self.types: dict[tuple[Kind, str, str], uuid.UUID] = {}
        self.kinds: dict[uuid.UUID, Kind] = {}

    def keep(self, told: AllTold, *, types_changed: bool = False) -> bool:
        """Do it, and tell whether anything changed. Drive types take what the library takes."""
        paths: dict[uuid.UUID, str] = {}
        for kind in DEVICE_KINDS:
            rows = self.transaction.rows(_ON_RECORD[kind], library=self.library_id)
            ids = {row.number: row.id for row in rows}
            for row in rows:
                self._change(kind, row, told[kind].get(row.number))
            ids |= self._insert(kind, [each for number, each in told[kind].items() if number not in ids])
            self.kinds |= dict.fromkeys(ids.values(), kind)
            paths |= {ids[number]: each.path for number, each in told[kind].items() if each.path is not None}
        if (types_changed or self.types) and let_drives_take(self.transaction, self.call, self.library_id):
            self.changed = True
        self._set_paths(paths)
        return self.changed

    def keep_doors(self, count: int) -> bool:
        """Bring the doors in line with how many there are, and tell whether anything changed."""
        rows = {row.number: row for row in self.transaction.rows(_DOORS, library=self.library_id)}
        for number, row in rows.items():
            state = NOT_PRESENT if number > count else READY if row.operational_state == NOT_PRESENT else None
            if state is not None and row.operational_state != state:
                old, new = {"operational_state": row.operational_state}, {"operational_state": int(state)}
                self.changed |= write_fields(self.transaction, Kind.NTMS_IEDOOR, row.id, self.call, old, new)
        for number in range(1, count + 1):
            if number not in rows:
                self._insert_door(number)
        return self.changed

    def _insert_door(self, number: int) -> None:
        self.changed, new = True, new_id()
        fields = {
            "name": f"door-{number:02d}",
            "description": "",
            "library_id": self.library_id,
            "number": number,
            "state": int(NtmsDoorState.NTMS_DOORSTATE_CLOSED),
            "max_open_seconds": MAXIMUM_OPEN_SECONDS,
        }
        insert_object(self.transaction, Kind.NTMS_IEDOOR, new)
        self.transaction.change(_INSERT[Kind.NTMS_IEDOOR], id=new, **new_header(self.transaction), **fields)
        events.record(self.transaction, self.call, Operation.NTMS_OBJ_INSERT, Kind.NTMS_IEDOOR, new, after=fields)

    def _change(self, kind: Kind, row: Any, told: Told | None) -> None:
        old: dict[str, Any] = {"operational_state": row.operational_state}
        new: dict[str, Any] = dict(old)
        back = row.operational_state == NOT_PRESENT
        if told is None:
            new["operational_state"] = int(NOT_PRESENT)
            if kind is Kind.NTMS_STORAGESLOT:
                old["state"], new["state"] = row.state, int(NtmsSlotState.NTMS_SLOTSTATE_NOTPRESENT)
            elif kind is Kind.NTMS_IEPORT:
                old["content"], new["content"] = row.content, int(NtmsPortContent.NTMS_PORTCONTENT_UNKNOWN)
        else:
            new["operational_state"] = int(READY) if back else row.operational_state
            old["element"], new["element"] = row.element, told.element
            if kind in TYPE_KIND:
                old["serial_number"], new["serial_number"] = row.serial_number, told.serial_number or row.serial_number
                column = f"{TYPE_KIND[kind].name.removeprefix('NTMS_').lower()}_id"
                old[column], new[column] = row.type_id, self._type_of(kind, told, row)
            elif back and kind is Kind.NTMS_STORAGESLOT:
                old["state"], new["state"] = row.state, int(told.slot_state)
            elif back:
                old["content"], new["content"] = row.content, int(told.port_content)
        self.changed |= write_fields(self.transaction, kind, row.id, self.call, old, new)

    def _type_of(self, kind: Kind, told: Told, row: Any = None) -> uuid.UUID:
        """Return the drive type or changer type of a device; one that cannot tell keeps the type it has."""
        if row is not None and ((told.vendor, told.product) in (("", ""), (row.vendor, row.product))):
            same: uuid.UUID = row.type_id
            return same
        key = (kind, told.vendor, told.product)
        if key not in self.types:
            found = self.transaction.row(_FIND_TYPE[kind], vendor=told.vendor, product=told.product)
            self.types[key] = self._insert_type(kind, told) if found is None else found.id
        return self.types[key]

    def _insert_type(self, kind: Kind, told: Told) -> uuid.UUID:
        type_kind, new = TYPE_KIND[kind], new_id()
        name = fit_name(f"{told.vendor} {told.product}".strip() or "unknown")
        fields: dict[str, Any] = {"name": name, "description": "", "vendor": told.vendor, "product": told.product}
        if kind is Kind.NTMS_DRIVE:
            fields |= {"device_type": self.device_type, "heads": 1}
        else:
            fields |= {"device_type": int(FILE_DEVICE_TYPE.FILE_DEVICE_CHANGER)}
        insert_object(self.transaction, type_kind, new)
        self.transaction.change(_INSERT[type_kind], id=new, **new_header(self.transaction), **fields)
        events.record(self.transaction, self.call, Operation.NTMS_OBJ_INSERT, type_kind, new, after=fields)
        return new

    def _insert(self, kind: Kind, new: list[Told]) -> dict[int, uuid.UUID]:
        """Put devices on record and return their ids by number."""
        if not new:
            return {}
        self.changed = True
        ids = {each.number: new_id() for each in new}
        rows = {ids[each.number]: self._fields(kind, each) for each in new}
        objects = [{"id": device_id, "kind": int(kind)} for device_id in rows]
        self.transaction.change_many(_INSERT_OBJECT, objects)
        header = new_header(self.transaction)
        self.transaction.change_many(
            _INSERT[kind], [{"id": device_id, **header, **fields} for device_id, fields in rows.items()]
        )
        events.record_many(
            self.transaction,
            self.call,
            Operation.NTMS_OBJ_INSERT,
            kind,
            [(device_id, None, fields) for device_id, fields in rows.items()],
        )
        return ids

    def _fields(self, kind: Kind, told: Told) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "name": told.name,
            "description": "",
            "library_id": self.library_id,
            "number": told.number,
            "element": told.element,
        }
        if kind is Kind.NTMS_STORAGESLOT:
            return {**fields, "state": int(told.slot_state), "cleaner": False, "cleaner_default": False}
        if kind is Kind.NTMS_IEPORT:
            position = int(NtmsPortPosition.NTMS_PORTPOSITION_RETRACTED)
            content = int(told.port_content)
            return {**fields, "content": content, "position": position, "max_extend_seconds": MAXIMUM_EXTEND_SECONDS}
        fields |= {"serial_number": told.serial_number, **_NO_ADDRESS}
        if kind is Kind.NTMS_CHANGER:
            return {**fields, "changer_type_id": self._type_of(kind, told)}
        return {
            **fields,
            "drive_type_id": self._type_of(kind, told),
            "state": int(NtmsDriveState.NTMS_DRIVESTATE_DISMOUNTED),
            "occupied": bool(told.full),
            "mount_count": 0,
            "last_cleaned": None,
            "defer_dismount_seconds": DEFER_DISMOUNT_SECONDS,
        }

    def _set_paths(self, paths: Mapping[uuid.UUID, str]) -> None:
        rows = self.transaction.rows(_PATHS, library=self.library_id, host=self.host)
        known = {row.device_id: row.path for row in rows}
        for device_id in sorted(known.keys() | paths.keys()):
            old, new = known.get(device_id), paths.get(device_id)
            if old == new:
                continue
            self.changed = True
            if old is not None:
                self.transaction.change(_DELETE_PATH, device=device_id, host=self.host)
            if new is not None:
                self.transaction.change(_INSERT_PATH, device_id=device_id, host=self.host, path=new)
            events.record(
                self.transaction,
                self.call,
                Operation.NTMS_OBJ_UPDATE,
                self.kinds[device_id],
                device_id,
                before={"path": old, "host": self.host},
                after={"path": new, "host": self.host},
            )
