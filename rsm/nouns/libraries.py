"""A session's calls about libraries and their devices."""

import os
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

from rsm import identity, place, values
from rsm.constants import NtmsInventoryMethod, NtmsOperationalState
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction
from rsm.errors import (
    DeviceNotAvailableError,
    InvalidOperationError,
    InvalidParameterError,
    NotSupportedError,
    RsmError,
)
from rsm.libraries import BACKENDS, canonical_address, open_library
from rsm.nouns import standalone
from rsm.nouns.attended import Attended, is_attended
from rsm.nouns.base import LibraryLike, TypeLike, check_types, reference
from rsm.nouns.requests import Requests
from rsm.nouns.standalone import StandaloneCalls
from rsm.services import cleaners, cleaning, devices, doors, inventory, library_map, objects, ports, queue
from rsm.services.names import is_clean

P = ParamSpec("P")
DriveLike = values.Drive | objects.Reference
SlotLike = values.Slot | objects.Reference
Listed = list  # inside a class with a method of that name, `list` means the method
_DIRECTORIES = ("virtual",)  # the back-ends whose device is a directory on a local disk


class Libraries(StandaloneCalls):
    """Libraries, their slots, drives and ports."""

    def add(
        self, back_end: str, address: str, *, name: str | None = None, media_types: Sequence[TypeLike] | None = None
    ) -> values.Library:
        """Put a library on record with all that its device tells, queue its first inventory, and return it.

        `back_end` "virtual" takes a directory as `address`, "scsi" the path of a changer's SCSI generic device, or
        `iscsi://[USER@]HOST:PORT/IQN/LUN`; `rsm.libraries.scsi.backend` says what may follow; "standalone" a directory,
        a disk, or an image of one. `name` None is what the device calls itself. `media_types` count in place of those
        that the device tells; one that tells none, as a stand-alone drive, needs them.

        Raises:
            TypeError: an argument has the wrong Python type.
            InvalidOperationError: this thread is in a batch.
            NotSupportedError: there is no such back-end, or the directory is on a network file system.
            DeviceNotAvailableError, NotReadyError: the device is not there, or becoming ready.
            InvalidLibraryError: the address is no library's, or what the device tells cannot be.
            InvalidNameError: the name is not well formed.
            InvalidParameterError: the address is no printable text, or nobody says which media types it takes.
            AccessDeniedError: no modify right on the computer.
            InvalidMediaError: a media type is not on record.
            AlreadyExistsError: a library has that name, or is at that address.
        """
        check_types({"back_end": back_end, "address": address}, str)
        check_types({"name": name}, str, optional=True)
        check_types({"media_types": media_types}, list, tuple, optional=True)
        types = (
            None if media_types is None else [reference(each, "media_types", values.MediaType) for each in media_types]
        )
        self.session.check_may_wait()
        _check_text(address)
        where = _canonical(back_end, address)
        with open_library(back_end, where) as device:
            facts, elements = device.read_identity(), list(device.read_elements())

        def add_library(transaction: Transaction) -> values.Library:
            library = devices.add_library(
                transaction, self.caller, name, back_end, where, facts, elements, identity.host(), types
            )
            queue.insert_request(
                transaction,
                queue.INVENTORY,
                library.id,
                option=int(NtmsInventoryMethod.NTMS_INVENTORY_DEFAULT),
                caller_user=self.caller.user,
            )
            added: values.Library = objects.read_value(transaction, Kind.NTMS_LIBRARY, library.id)
            return added

        return self.session.write(add_library)

    def get(self, library: LibraryLike) -> values.Library:
        """Return what the catalogue says of a library (GetNtmsObjectInformation).

        Raises:
            ObjectNotFoundError: there is no such library.
            AccessDeniedError: no use right on it.
        """
        found: values.Library = self.session.read(
            objects.read_object, self.caller, Kind.NTMS_LIBRARY, _reference(library)
        )
        return found

    def list(self) -> "list[values.Library]":
        """Return all libraries, the offline library too; those the caller may not read are left out."""
        return self.pages(Kind.NTMS_LIBRARY, None, None)

    def map(self, library: LibraryLike) -> values.LibraryMap:
        """Return a library with all its slots, drives and ports and what lies in them, at one moment.

        Of cartridges in pools the caller may not read there is the id and the bar code, and no more.

        Raises:
            ObjectNotFoundError: there is no such library.
            AccessDeniedError: no use right on it.
        """
        return self.session.read(library_map.read_map, self.caller, _reference(library))

    def delete(self, library: LibraryLike) -> None:
        """Take a library that is no longer attached off record; its cartridges go to the offline library.

        Its requests end, and what is mounted in it is mounted no more (DeleteNtmsLibrary).

        Raises:
            InvalidLibraryError: there is no such library.
            AccessDeniedError: no modify right on it.
            InvalidLibraryError: it is the offline library.
        """
        self.session.write(devices.delete_library, self.caller, _reference(library))

    # Inventories

    def inventory(self, library: LibraryLike, *, full: bool | None = None) -> values.LibraryRequest | None:
        """Queue an inventory and return its request, for `session.requests.wait` (InventoryNtmsLibrary).

        `full` reads every label, otherwise bar codes; None is the library's own method, which may be none: then None.

        Raises:
            TypeError: an argument has the wrong Python type.
            InvalidParameterError: there is no such library.
            InvalidLibraryError: it is the offline library.
            AccessDeniedError: no control of it.
            DeviceNotAvailableError: its device is not there.
        """
        check_types({"full": full}, bool, optional=True)
        _check_present(self.session.read(inventory.read_device, self.caller, _reference(library)))
        method = None if full is None else int(queue.FULL if full else queue.FAST)
        return self.ask(inventory.request_inventory, self.caller, _reference(library), method)

    def stop_inventory(self, library: LibraryLike) -> int:
        """Take a library's inventories, and what is left of their identifying, out of the queue; return how many.

        Raises:
            InvalidParameterError, InvalidLibraryError, AccessDeniedError: as `inventory`.
        """
        return self.session.write(inventory.stop_inventory, self.caller, _reference(library))

    def identify(self, slot: SlotLike, *, deferred: bool = False) -> values.LibraryRequest | None:
        """Queue the reading of the labels of what is in a slot and return the request, None if it is empty.

        `deferred` leaves the cartridge in its drive for a while (IdentifyNtmsSlot).

        Raises:
            TypeError: an argument has the wrong Python type.
            InvalidParameterError: there is no such slot.
            AccessDeniedError: no control of its library.
        """
        check_types({"deferred": deferred}, bool)
        wanted = reference(slot, "slot", values.Slot)
        return self.ask(inventory.request_identification, self.caller, wanted, deferred=deferred)

    # A person at the library

    def inject(self, library: LibraryLike, *, many: bool = False) -> Attended:
        """Have what a person puts into the ports taken in, and return at once (InjectNtmsMedia).

        It goes to free slots and is identified. A person has as long as the ports' `max_extend_seconds`; `many` opens
        them again after each find.

        Raises:
            TypeError: an argument has the wrong Python type.
            InvalidParameterError: there is no such library.
            AccessDeniedError: no control of it.
            LibraryOfflineError: it is the offline library.
            DeviceNotAvailableError: it is disabled.
            ResourceNotPresentError: it has no port.
            LibraryFullError: it has no free slot.
        """
        check_types({"many": many}, bool)
        asked = self.session.write(ports.request_inject, self.caller, _reference(library), many=many)
        return Attended(self.session, asked, queue.INJECT)

    def door(self, library: LibraryLike, inventory: int = NtmsInventoryMethod.NTMS_INVENTORY_DEFAULT) -> Attended:
        """Have the door opened to a person, and return at once; nothing moves meanwhile (AccessNtmsLibraryDoor).

        `stop` tells that it is shut, where the device does not; after the door's `max_open_seconds` it counts as shut.
        Then the inventory is taken: none, fast, full or the library's own.

        Raises:
            TypeError: an argument has the wrong Python type.
            InvalidParameterError: it is no such inventory.
            InvalidLibraryError: there is no such library.
            AccessDeniedError: no control of it.
            LibraryOfflineError: it is the offline library.
            ResourceDisabledError: it is disabled.
            ResourceNotPresentError: it has no door.
        """
        check_types({"inventory": inventory}, int)
        asked = self.session.write(doors.request_access, self.caller, _reference(library), int(inventory))
        return Attended(self.session, asked, queue.DOOR)

    def attended(self, request: values.LibraryRequest | uuid.UUID | str) -> Attended:
        """Return an inject, eject or opening of a door that goes on, or has ended, by its request.

        Raises:
            ObjectNotFoundError: there is no such request.
            AccessDeniedError: no use right on its library.
            InvalidOperationError: it is another kind of request.
        """
        found = Requests(self.session).get(request)
        if not is_attended(found):
            raise InvalidOperationError(f"request {found.id} is no inject, eject or opening of a door")
        return Attended(self.session, found.id, found.operation)

    # Cleaning

    def clean(self, drive: DriveLike) -> values.LibraryRequest | None:
        """Queue the cleaning of a drive and return its request, for `session.requests.wait` (CleanNtmsDrive).

        Where the library has no cleaner with uses left, an operator is asked to bring one. A stand-alone drive is
        cleaned by a person: only the time is written down, and None returned.

        Raises:
            InvalidDriveError: there is no such drive.
            AccessDeniedError: no control of its library.
            ResourceDisabledError: the drive or its library is disabled.
            ResourceNotPresentError: the drive is not there.
        """
        wanted = reference(drive, "drive", values.Drive)
        return self.ask(cleaning.request_cleaning, self.caller, wanted)

    def reserve_cleaner_slot(self, library: LibraryLike, slot: SlotLike) -> None:
        """Set an empty slot of a library aside for its cleaner (ReserveNtmsCleanerSlot).

        Raises:
            InvalidLibraryError: there is no such library.
            AccessDeniedError: no control of it.
            LibraryOfflineError: it is the offline library.
            DeviceNotAvailableError: its device is not there.
            ObjectNotFoundError: it has no such slot.
            CleanerSlotSetError: a slot of it is set aside already.
            ResourceNotPresentError: the slot is not there just now.
            NotEmptyError: a cartridge is in it, is on its way to it, or has to go back to it.
        """
        wanted, call = reference(slot, "slot", values.Slot), "ReserveNtmsCleanerSlot"
        _check_present(self.session.read(cleaning.read_library, self.caller, call, _reference(library)))
        self.session.write(cleaning.reserve_slot, self.caller, _reference(library), wanted)

    def release_cleaner_slot(self, library: LibraryLike) -> None:
        """Give the empty cleaner slot of a library back to data cartridges (ReleaseNtmsCleanerSlot).

        Raises:
            InvalidLibraryError, AccessDeniedError, LibraryOfflineError, DeviceNotAvailableError: as
                `reserve_cleaner_slot`.
            CleanerSlotNotSetError: no slot is set aside.
            ResourceNotPresentError: the slot is not there just now.
            NotEmptyError: a cleaner is in it, is on its way to it, or has to go back to it.
        """
        call = "ReleaseNtmsCleanerSlot"
        _check_present(self.session.read(cleaning.read_library, self.caller, call, _reference(library)))
        self.session.write(cleaning.release_slot, self.caller, _reference(library))

    def inject_cleaner(self, library: LibraryLike, uses: int | None = None) -> Attended:
        """Have a cleaner taken into the cleaner slot, and return at once (InjectNtmsCleaner).

        It goes in through a port, else through the door, as an operator is told. `uses` are those it has left, None:
        they are not counted.

        Raises:
            TypeError, InvalidParameterError: the uses are no number from 0 to 0xFFFFFFFF.
            InvalidLibraryError: there is no such library.
            AccessDeniedError: no control of it.
            LibraryOfflineError: it is the offline library.
            DeviceNotAvailableError: its device is not there.
            ResourceDisabledError: it is disabled.
            CleanerSlotNotSetError: no slot is set aside.
            ResourceNotPresentError: the slot is not there just now.
            NotEmptyError: a cleaner is in it, or on its way to it.
            ResourceNotPresentError: it has neither port nor door that can be used.
        """
        check_types({"uses": uses}, int, optional=True)
        wanted, call = _reference(library), "InjectNtmsCleaner"
        left = cleaners.UNCOUNTED if uses is None else uses
        _check_present(self.session.read(cleaning.read_library, self.caller, call, wanted))
        return self._attended(cleaning.request_cleaner_inject, self.caller, wanted, left)

    def eject_cleaner(self, library: LibraryLike) -> Attended:
        """Have the cleaner taken out of the cleaner slot, and return at once; it is forgotten (EjectNtmsCleaner).

        It goes out through a port, else through the door, as an operator is told.

        Raises:
            InvalidLibraryError: there is no such library.
            AccessDeniedError: no control of it.
            DeviceNotAvailableError: it is the offline library, or its device is not there.
            ResourceDisabledError: it is disabled.
            CleanerSlotNotSetError: no slot is set aside.
            ResourceNotPresentError: the slot is not there just now.
            EmptyError: no cleaner is in it, or on its way back to it.
            ResourceNotPresentError: it has neither port nor door that can be used.
        """
        wanted, call = _reference(library), "EjectNtmsCleaner"
        _check_present(
            self.session.read(cleaning.read_library, self.caller, call, wanted, offline=DeviceNotAvailableError)
        )
        return self._attended(cleaning.request_cleaner_eject, self.caller, wanted)

    def _attended(
        self, service: Callable[Concatenate[Transaction, P], uuid.UUID], *arguments: P.args, **keywords: P.kwargs
    ) -> Attended:
        asked = self.ask(service, *arguments, **keywords)
        return Attended(self.session, asked.id, asked.operation)

    # Devices

    def drives(self, library: LibraryLike | None = None) -> Listed[values.Drive]:
        """Return the drives of a library, None for all.

        Raises:
            ObjectNotFoundError: there is no such library.
        """
        inside = None if library is None else _reference(library)
        return self.pages(Kind.NTMS_DRIVE, inside, Kind.NTMS_LIBRARY)

    def slots(self, library: LibraryLike) -> Listed[values.Slot]:
        """Return the slots of a library; raises as `drives`."""
        return self.pages(Kind.NTMS_STORAGESLOT, _reference(library), Kind.NTMS_LIBRARY)

    def doors(self, library: LibraryLike) -> Listed[values.Door]:
        """Return the doors of a library; raises as `drives`."""
        return self.pages(Kind.NTMS_IEDOOR, _reference(library), Kind.NTMS_LIBRARY)

    def ports(self, library: LibraryLike) -> Listed[values.Port]:
        """Return the ports of a library; raises as `drives`."""
        return self.pages(Kind.NTMS_IEPORT, _reference(library), Kind.NTMS_LIBRARY)

    def delete_drive(self, drive: DriveLike) -> None:
        """Take a drive that is not present any more off record (DeleteNtmsDrive).

        Raises:
            InvalidDriveError: there is no such drive.
            AccessDeniedError: no modify right on its library.
            InvalidStateError: it is still present.
        """
        self.session.write(devices.delete_drive, self.caller, reference(drive, "drive", values.Drive))


def _reference(library: LibraryLike) -> objects.Reference:
    return reference(library, "library", values.Library)


def _check_present(device: Any) -> None:
    """Refuse where a library's device is not there: this host looks itself, of others the record tells."""
    present = device.operational_state != NtmsOperationalState.NTMS_NOT_PRESENT
    if device.reached and device.back_end in BACKENDS:
        try:
            open_library(device.back_end, device.address).close()
        except RsmError as error:
            raise DeviceNotAvailableError(str(error)) from error
    elif not present:
        raise DeviceNotAvailableError("the library is not attached to its host just now")


def _check_text(address: str) -> None:
    if not address or not is_clean(address):
        raise InvalidParameterError(f"{address!a} is no address of a library: it is printable text")


def _canonical(back_end: str, address: str) -> str:
    """Return the one way to write where a device is (NotSupportedError, InvalidLibraryError, DeviceNotAvailableError).

    What is no device yet is told later, by opening it; a stand-alone drive opens empty.
    """
    if back_end in _DIRECTORIES:
        return _checked_directory(address)
    if back_end != standalone.BACK_END:
        return canonical_address(back_end, address)
    where = standalone.address_of(address)
    _check_text(where)
    if not os.path.lexists(where):
        raise DeviceNotAvailableError(f"{where} is not there: make the directory, or put a disk in first")
    return where


def _checked_directory(address: str) -> str:
    """Return the one absolute path of a directory, on whose file system locks hold (NotSupportedError)."""
    directory = os.path.realpath(address)
    _check_text(directory)
    kind = place.network_file_system(Path(directory))
    if kind is not None:
        raise NotSupportedError(
            f"{directory} is on {kind}, where locks cannot be trusted: keep a virtual library on a local disk"
        )
    return directory
