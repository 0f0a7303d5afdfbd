"""Finding the devices of a changer's drives, and telling which sits at which element.

Owns the rules: the serial number that the changer tells of an element, else what the configuration names. Never
guesses: two that fit are none.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from rsm.errors import RsmError
from rsm.libraries.scsi import cdb
from rsm.libraries.scsi.decode import TAPE_DRIVE, DeviceId, ElementDescriptor, decode_device_ids, decode_luns
from rsm.libraries.scsi.sg import list_devices
from rsm.libraries.scsi.transport import IscsiAddress, Transport, parse_iscsi
from rsm.libraries.scsi.unit import Unit

SERIAL_NUMBER, WORLD_WIDE_NAME = "serial number", "world-wide name"
BEGINNING, CONFIGURATION = "beginning of its identifier", "configuration"
NO_DEVICE: Final = "-"
_NAA: Final = 3
LUNS_BYTES: Final = 16_384


@dataclass(frozen=True, slots=True)
class FoundDrive:
    """A tape drive that can be reached, what it says it is, and how it is known where it sits."""

    device: str
    vendor: str
    product: str
    serial_number: str
    device_ids: tuple[DeviceId, ...] = ()
    known_by: str = ""


def find_drives(changer: str, opener: Callable[[str], Transport]) -> list[FoundDrive]:
    """Return the tape drives beside a changer: those of this host, or the other units of its iSCSI target.

    A device that cannot be opened or does not answer is left out.
    """
    if not changer.startswith("iscsi://"):
        devices = list_devices(TAPE_DRIVE)
    else:
        address = parse_iscsi(changer)
        devices = []
        with contextlib.suppress(RsmError), opener(changer) as transport:
            told = Unit(transport).run(cdb.report_luns(LUNS_BYTES), read_length=LUNS_BYTES)
            others = [lun for lun in decode_luns(told) if lun != address.lun]
            devices = [str(IscsiAddress(address.portal, address.target, lun)) for lun in others]
    found = []
    for device in devices:
        with contextlib.suppress(RsmError):
            if (drive := read_drive(device, opener)) is not None:
                found.append(drive)
    return found


def read_drive(device: str, opener: Callable[[str], Transport]) -> FoundDrive | None:
    """Return what a device says it is, None if it is no tape drive (RsmError)."""
    with opener(device) as transport:
        unit = Unit(transport)
        told = unit.read_inquiry()
        if told.device_type != TAPE_DRIVE or not told.connected:
            return None
        serial_number = unit.read_serial_number()
        ids: tuple[DeviceId, ...] = ()
        with contextlib.suppress(RsmError):  # a page that drives need not have
            ids = decode_device_ids(unit.run(cdb.inquiry(0x83), read_length=cdb.INQUIRY_LENGTH))
    return FoundDrive(device, told.vendor, told.product, serial_number, ids)


def match_drives(
    elements: Iterable[ElementDescriptor], found: list[FoundDrive], named: Mapping[int, str]
) -> dict[int, FoundDrive]:
    """Return the drive at each element that can be told, and how; `named` are devices by element, `-` for none."""
    every = {each.address: each.device_id for each in elements}
    told = {address: each for address, each in every.items() if each is not None}
    matched = _match({address: each for address, each in told.items() if not each.cut}, found, _same_device)
    left = [each for each in found if each.device not in {drive.device for drive in matched.values()}]
    if len(found) == len(every):
        # Of an identifier that was cut off the beginning counts, where no drive of another library can be among them.
        matched |= _match({address: each for address, each in told.items() if each.cut}, left, _same_beginning)
    taken = {each.device for each in matched.values()}
    by_device = {each.device: each for each in found}
    for address, device in named.items():
        if address not in matched and device not in taken and device != NO_DEVICE:
            drive = by_device.get(device) or FoundDrive(device, "", "", "")
            matched[address] = replace(drive, known_by=CONFIGURATION)
    return matched


def _match(
    told: Mapping[int, DeviceId], found: list[FoundDrive], reason: Callable[[FoundDrive, DeviceId], str | None]
) -> dict[int, FoundDrive]:
    """Return the one drive that there is a reason for at each element, where no other element has the same."""
    single: dict[int, FoundDrive] = {}
    for address, device_id in told.items():
        fitting = [(drive, why) for drive in found if (why := reason(drive, device_id)) is not None]
        if len(fitting) == 1:
            single[address] = replace(fitting[0][0], known_by=fitting[0][1])
    often = Counter(each.device for each in single.values())
    return {address: each for address, each in single.items() if often[each.device] == 1}


def _same_device(drive: FoundDrive, told: DeviceId) -> str | None:
    words = told.text.split()
    if words and drive.serial_number and words[-1] == drive.serial_number:
        return SERIAL_NUMBER
    same = told.kind == _NAA and any(each.kind == _NAA and each.value == told.value for each in drive.device_ids)
    return WORLD_WIDE_NAME if same else None


def _same_beginning(drive: FoundDrive, told: DeviceId) -> str | None:
    text = f"{drive.vendor:8}{drive.product:16}{drive.serial_number}"
    same = bool(drive.serial_number) and bool(told.text) and text.startswith(told.text)
    return BEGINNING if same else None
