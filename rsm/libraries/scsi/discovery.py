"""Looking for robots: the changers of this host and those behind iSCSI portals, with their drives.

Changes nothing on any device. What does not answer is told with the reason, and never ends the look at others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from rsm.errors import RsmError
from rsm.libraries.base import DriveIdentity
from rsm.libraries.scsi import cdb
from rsm.libraries.scsi.backend import ScsiLibrary
from rsm.libraries.scsi.decode import MEDIA_CHANGER, TAPE_DRIVE, decode_luns
from rsm.libraries.scsi.drives import LUNS_BYTES, FoundDrive, read_drive
from rsm.libraries.scsi.sg import list_devices, tape_path_of
from rsm.libraries.scsi.transport import IscsiAddress, Transport, open_transport, parse_portal
from rsm.libraries.scsi.unit import Unit


@dataclass(frozen=True, slots=True)
class DriveFound:
    """A drive element, and which device is there; all but the first two are empty where that cannot be told.

    `element` and `number` are None for a drive that no changer tells of; it may have a `problem`.
    """

    element: int | None
    number: int | None
    device: str = ""
    vendor: str = ""
    product: str = ""
    serial_number: str = ""
    known_by: str = ""
    path: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class ChangerFound:
    """A changer by the address that `rsm library add scsi` takes, or a place with the `problem` that it has."""

    device: str
    vendor: str = ""
    product: str = ""
    serial_number: str = ""
    slots: int = 0
    ports: int = 0
    drives: tuple[DriveFound, ...] = ()
    problem: str | None = None


Found = ChangerFound | DriveFound


def scan(
    portals: Iterable[str] = (),
    *,
    opener: Callable[[str], Transport] = open_transport,
    local: Callable[[int], list[str]] = list_devices,
) -> Iterator[Found]:
    """Yield the changers of this host with their drives, then its other tape drives; so for each portal too.

    A portal is `iscsi://HOST:PORT`.

    Raises:
        InvalidLibraryError: a portal is not of that form; before anything is looked for.
    """
    places = [parse_portal(portal) for portal in portals]
    return _scan(places, opener, local)


def _scan(places: list[str], opener: Callable[[str], Transport], local: Callable[[int], list[str]]) -> Iterator[Found]:
    yield from _read_all(local(MEDIA_CHANGER), local(TAPE_DRIVE), opener)
    for place in places:
        try:
            from rsm.libraries.scsi.iscsi import list_targets  # libiscsi is asked for only where it is used

            targets = list_targets(place)
        except RsmError as error:
            yield ChangerFound(f"iscsi://{place}", problem=str(error))
            continue
        for target in targets:
            yield from _scan_target(place, target, opener)


def _scan_target(portal: str, target: str, opener: Callable[[str], Transport]) -> Iterator[Found]:
    try:
        with opener(str(IscsiAddress(portal, target, 0))) as transport:
            told = Unit(transport).run(cdb.report_luns(LUNS_BYTES), read_length=LUNS_BYTES)
        luns = decode_luns(told)
    except RsmError as error:
        yield ChangerFound(str(IscsiAddress(portal, target, 0)), problem=str(error))
        return
    of_type: dict[int, list[str]] = {MEDIA_CHANGER: [], TAPE_DRIVE: []}
    for lun in luns:
        device = str(IscsiAddress(portal, target, lun))
        try:
            with opener(device) as transport:
                inquiry = Unit(transport).read_inquiry()
        except RsmError as error:
            yield ChangerFound(device, problem=str(error))
            continue
        if inquiry.connected:
            of_type.get(inquiry.device_type, []).append(device)
    yield from _read_all(of_type[MEDIA_CHANGER], of_type[TAPE_DRIVE], opener)


def _read_all(changers: list[str], drives: list[str], opener: Callable[[str], Transport]) -> Iterator[Found]:
    """Yield changers, and those of the drives that none of them tells of."""
    placed = set()
    for device in changers:
        found = read_changer(device, opener=opener)
        placed |= {drive.device for drive in found.drives}
        yield found
    for device in drives:
        if device in placed:
            continue
        try:
            drive = read_drive(device, opener)
        except RsmError as error:
            yield DriveFound(None, None, device, problem=str(error))
            continue
        if drive is not None:
            path = tape_path_of(device) if device.startswith("/") else None
            yield DriveFound(None, None, device, drive.vendor, drive.product, drive.serial_number, path=path)


def read_changer(device: str, *, opener: Callable[[str], Transport] = open_transport) -> ChangerFound:
    """Return what a changer says of itself and its drives, or the problem that it has."""
    try:
        with ScsiLibrary(device, opener=opener) as library:
            told, known = library.read_identity(), library.drive_devices()
    except RsmError as error:
        return ChangerFound(device, problem=str(error))
    drives = tuple(_drive_found(drive, known.get(drive.address)) for drive in told.drives)
    names = (told.vendor, told.product, told.serial_number)
    return ChangerFound(device, *names, told.slots, told.ports, drives)


def _drive_found(drive: DriveIdentity, found: FoundDrive | None) -> DriveFound:
    if found is None:
        return DriveFound(drive.address, drive.number)
    return DriveFound(
        drive.address,
        drive.number,
        found.device,
        found.vendor,
        found.product,
        found.serial_number,
        found.known_by,
        drive.path,
    )
