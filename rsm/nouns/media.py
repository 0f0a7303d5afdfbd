"""A session's calls about cartridges, and about media types."""

import uuid
from collections.abc import Sequence
from typing import Any

from rsm import labels, values
from rsm.constants import FILE_DEVICE_TYPE, NtmsReadWriteCharacteristics
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.errors import InvalidParameterError
from rsm.nouns import allocation as waiting
from rsm.nouns.attended import Attended
from rsm.nouns.base import LibraryLike, MediumLike, Noun, PoolLike, TypeLike, check_types, reference
from rsm.nouns.waiting import OnWait
from rsm.services import allocation, choice, library, media, moving, objects, ports, properties, queue

LogicalLike = values.LogicalMedium | uuid.UUID | str
SideLike = values.Side | uuid.UUID | str

Listed = list  # inside a class with a method of that name, `list` means the method


class Media(Noun):
    """Cartridges and their sides."""

    def create(
        self,
        pool: PoolLike,
        sides: Sequence[values.NewSide],
        *,
        barcode: str = "",
        name: str = "",
        description: str = "",
        enabled: bool = True,
        medium_type_code: int = 0,
        density_code: int = 0,
        id: uuid.UUID | None = None,
        library: uuid.UUID | None = None,
        error_on_duplicate: bool = False,
    ) -> values.PhysicalMedium:
        """Put a cartridge that is on the shelf on record, in an import or application pool, and return it.

        `library` is None or the offline library's id (CreateNtmsMedia).

        Raises:
            TypeError, InvalidParameterError, InvalidNameError: an argument's type, value or name is wrong.
            InvalidLibraryError: `library` is not the offline library.
            InvalidMediaPoolError: there is no such pool, or it is neither import nor application pool of media.
            AccessDeniedError: the rights on pool and computer (2000 era: pool and offline library) are missing.
            MediaIncompatibleError: the number of sides is not that of the pool's media type.
            BadFormatError: no recogniser installed here reads labels of a side's type.
            InvalidMediaError: a cartridge with this bar code is on record.
            AlreadyExistsError: an id is in use, or with `error_on_duplicate` a label is on record.
        """
        check_types({"barcode": barcode, "name": name, "description": description}, str)
        check_types({"enabled": enabled, "error_on_duplicate": error_on_duplicate}, bool)
        check_types({"medium_type_code": medium_type_code, "density_code": density_code}, int)
        check_types({"id": id, "library": library}, uuid.UUID, optional=True)
        check_types({"sides": sides}, list, tuple)
        for side in sides:
            check_types({"a side": side}, values.NewSide)
            _check_side_types(side)
        labels.load_recognisers()  # not in the transaction: plug-ins are imported once
        return self.session.write(
            media.create_medium,
            self.caller,
            reference(pool, "pool", values.MediaPool),
            sides,
            barcode=barcode,
            name=name,
            description=description,
            enabled=enabled,
            medium_type_code=medium_type_code,
            density_code=density_code,
            medium_id=id,
            library_id=library,
            error_on_duplicate=error_on_duplicate,
            is_type_known=labels.is_type_known,
        )

    def get(self, medium: MediumLike) -> values.PhysicalMedium:
        """Return what the catalogue says of a cartridge (GetNtmsObjectInformation).

        Raises:
            ObjectNotFoundError: there is no such cartridge.
            AccessDeniedError: no use right on its pool.
        """
        found: values.PhysicalMedium = self.session.read(
            objects.read_object, self.caller, Kind.NTMS_PHYSICAL_MEDIA, _medium(medium)
        )
        return found

    def list(
        self, *, pool: PoolLike | None = None, library: LibraryLike | None = None
    ) -> Listed[values.PhysicalMedium]:
        """Return the cartridges of a pool, of a library, or all, those the caller may not read left out.

        Raises:
            InvalidParameterError: both a pool and a library are given.
            ObjectNotFoundError: there is no such pool or library.
        """
        if pool is not None and library is not None:
            raise InvalidParameterError("list the cartridges of a pool or of a library, not of both")
        if pool is not None:
            inside, kind = reference(pool, "pool", values.MediaPool), Kind.NTMS_MEDIA_POOL
            return self.pages(Kind.NTMS_PHYSICAL_MEDIA, inside, kind)
        inside_library = None if library is None else reference(library, "library", values.Library)
        return self.pages(Kind.NTMS_PHYSICAL_MEDIA, inside_library, Kind.NTMS_LIBRARY)

    def sides(self, medium: MediumLike) -> Listed[values.Side]:
        """Return the sides of a cartridge, first side first.

        Raises:
            ObjectNotFoundError: there is no such cartridge.
        """
        found = self.pages(Kind.NTMS_PARTITION, _medium(medium), Kind.NTMS_PHYSICAL_MEDIA)
        return sorted(found, key=lambda side: int(side.number))

    def sides_made(self, medium: values.PhysicalMedium) -> Listed[values.Side]:
        """Return the sides of a cartridge that the caller has just put on record; no right is needed.

        Raises:
            TypeError: it is no PhysicalMedium.
            ObjectNotFoundError: there is no such cartridge.
        """
        check_types({"medium": medium}, values.PhysicalMedium)
        return self.session.read(media.list_sides, medium.id)

    def update(
        self, medium: MediumLike, *, name: str | None = None, description: str | None = None
    ) -> values.PhysicalMedium:
        """Rename or describe a cartridge and return it (SetNtmsObjectInformation).

        Raises:
            ObjectNotFoundError: there is no such cartridge.
            AccessDeniedError: no modify right on its pool.
            InvalidNameError, InvalidParameterError: the new name or description is malformed.
        """
        check_types({"name": name, "description": description}, str, optional=True)
        given = {"name": name, "description": description}
        changes = {field: value for field, value in given.items() if value is not None}
        changed: values.PhysicalMedium = self.session.write(
            properties.update_object, self.caller, Kind.NTMS_PHYSICAL_MEDIA, _medium(medium), changes
        )
        return changed

    def move(self, medium: MediumLike, pool: PoolLike) -> None:
        """Move a cartridge to another pool of its media type (MoveToNtmsMediaPool).

        Raises:
            InvalidMediaError: there is no such cartridge, or the pool it is in is gone.
            InvalidMediaPoolError: there is no such destination, or the move is not one that may be made.
            AccessDeniedError: a right on source or destination is missing.
            BusyError: a side is in use, or not available now.
            MediaIncompatibleError: the destination holds another media type, or pools.
            InvalidStateError: it is to become free and a side is taken, decommissioned or incompatible.
        """
        self.session.write(moving.move_medium, self.caller, _medium(medium), reference(pool, "pool", values.MediaPool))

    def change_type(self, medium: MediumLike, pool: PoolLike) -> None:
        """Move a cartridge to a pool and give it that pool's media type (ChangeNtmsMediaType).

        Raises:
            InvalidMediaError, InvalidMediaPoolError, AccessDeniedError, BusyError, InvalidStateError: as `move`, but
                with modify on the source pool and the computer.
        """
        wanted = reference(pool, "pool", values.MediaPool)
        self.session.write(moving.change_media_type, self.caller, _medium(medium), wanted)

    def delete(self, medium: MediumLike) -> None:
        """Forget a lost or destroyed cartridge that is on the shelf (DeleteNtmsMedia).

        Raises:
            InvalidMediaError: there is no such cartridge.
            InvalidMediaPoolError: the pool it is in is gone.
            AccessDeniedError: the rights on its pool and the computer are missing.
            InvalidStateError: it is in a library, or holds an application's data.
        """
        self.session.write(media.delete_medium, self.caller, _medium(medium))

    def enable(self, medium: MediumLike) -> None:
        """Take a cartridge and its sides into service again (EnableNtmsObject)."""
        self._switch(medium, enabled=True)

    def disable(self, medium: MediumLike) -> None:
        """Take a cartridge and its sides out of service (DisableNtmsObject)."""
        self._switch(medium, enabled=False)

    def eject(self, *media: MediumLike, force: bool = False) -> Attended:
        """Have cartridges of one library brought to its ports for a person to take out, and return at once.

        What the session has gathered there goes out with them; without `media` that alone. There may be more than
        there are ports: they go out as ports become empty. What is not taken out in a port's time is put back. `force`
        takes what is in use away from who uses it (EjectNtmsMedia).

        Raises:
            TypeError: an argument has the wrong Python type.
            InvalidParameterError: none is named or gathered, or they are in different libraries.
            InvalidMediaError: there is no such cartridge.
            AccessDeniedError: no control of its library.
            LibraryOfflineError: it is on the shelf.
            DeviceNotAvailableError: its library is disabled.
            MediaNotAvailableError: it is disabled.
            ResourceNotPresentError: its library has no port.
            UnableToEjectMountedMediaError: it is in use.
            BusyError: with what was gathered they are more than there are ports.
        """
        check_types({"force": force}, bool)
        wanted = [reference(each, "media", values.PhysicalMedium) for each in media]
        if wanted:
            asked = self.session.write(ports.request_eject, self.caller, wanted, force=force)
        else:
            asked = self.session.write(ports.begin_gathered, self.caller)
        return Attended(self.session, asked, queue.EJECT)

    def gather(self, medium: MediumLike) -> Attended:
        """Put a cartridge to those that the session ejects together later, as many as there are ports.

        Nothing moves before `eject`; what is gathered is let go of when the session ends (NTMS_EJECT_QUEUE).

        Raises:
            RsmError: as `eject`.
        """
        wanted = reference(medium, "medium", values.PhysicalMedium)
        asked = self.session.write(ports.gather, self.caller, self.session.enrolment(), wanted)
        return Attended(self.session, asked, queue.EJECT)

    def _switch(self, medium: MediumLike, *, enabled: bool) -> None:
        service, kind = properties.switch_object, Kind.NTMS_PHYSICAL_MEDIA
        self.session.write(service, self.caller, kind, _medium(medium), enabled=enabled)

    def allocate(
        self,
        pool: PoolLike,
        *,
        side: SideLike | None = None,
        new: bool = False,
        next_to: LogicalLike | None = None,
        timeout_ms: int | None = None,
        error_if_unavailable: bool = False,
        on_wait: OnWait | None = None,
    ) -> values.LogicalMedium:
        """Take a side of a cartridge for the application and return the logical medium (AllocateNtmsMedia).

        Searched are the pool, then the free pool where the policy says so; `session.media.why` tells the order. `side`
        names one, also one to be imported. `new`: the other side of the cartridge is kept, for a later call with
        `next_to`. When nothing is to be had it waits for free labels that are being written, else asks an operator, for
        at most `timeout_ms` milliseconds, None for ever, 0 for one try; or not at all with `error_if_unavailable`.

        Raises:
            TypeError, InvalidParameterError: an argument's type or value is wrong, or `new` and `next_to` are given.
            InvalidMediaPoolError: there is no such pool, or it is no application pool of media.
            AccessDeniedError: the right on the pool, or on the one that the cartridge comes from, is missing.
            InvalidMediaError: there is no such side or logical medium, or it cannot be allocated in this pool.
            MediaOfflineError: the side asked for is on the shelf.
            MediaUnavailableError: the side asked for is in use or disabled, no side is left, or nothing is to be had
                and `error_if_unavailable`.
            DeviceNotAvailableError: the pool is empty and the free pool to draw from is missing.
            InvalidOperationError: it would have to wait in a batch.
            TimeoutError: the time is over.
            CancelledError: the operator refused, or the session was closed meanwhile.
        """
        return self.allocate_from(
            pool,
            side=side,
            new=new,
            next_to=next_to,
            timeout_ms=timeout_ms,
            error_if_unavailable=error_if_unavailable,
            on_wait=on_wait,
        ).logical_medium

    def allocate_from(
        self,
        pool: PoolLike,
        *,
        side: SideLike | None = None,
        new: bool = False,
        next_to: LogicalLike | None = None,
        timeout_ms: int | None = None,
        error_if_unavailable: bool = False,
        on_wait: OnWait | None = None,
    ) -> values.Allocation:
        """Do what `allocate` does, and tell which pool the cartridge came from (NTMS_ALLOCATION_INFORMATION).

        Raises:
            RsmError: as `allocate`.
        """
        check_types({"new": new, "error_if_unavailable": error_if_unavailable}, bool)
        return waiting.allocate(
            self.session,
            reference(pool, "pool", values.MediaPool),
            side=None if side is None else reference(side, "side", values.Side),
            new=new,
            next_to=None if next_to is None else _logical(next_to, "next_to"),
            timeout_ms=timeout_ms,
            error_if_unavailable=error_if_unavailable,
            on_wait=on_wait,
        )

    def why(self, pool: PoolLike, *, new: bool = False, most: int = choice.CANDIDATES) -> tuple[values.Candidate, ...]:
        """Return which side an allocation would get, and why each other one would be passed over, at most `most`.

        The chosen one comes first, then those later in order, then those that cannot be had.

        Raises:
            TypeError, InvalidParameterError: `most` is no positive number.
            InvalidMediaPoolError: there is no such pool, or it is no application pool of media.
            AccessDeniedError: no use right on the pool.
        """
        check_types({"new": new}, bool)
        check_types({"most": most}, int)
        if most < 1:
            raise InvalidParameterError("most is a positive number")
        return waiting.explain(self.session, reference(pool, "pool", values.MediaPool), new=new, most=most)

    def logical_media(self, pool: PoolLike | None = None) -> Listed[values.LogicalMedium]:
        """Return the logical media of a pool, None for all, those the caller may not read left out.

        Raises:
            ObjectNotFoundError: there is no such pool.
        """
        inside = None if pool is None else reference(pool, "pool", values.MediaPool)
        return self.pages(Kind.NTMS_LOGICAL_MEDIA, inside, Kind.NTMS_MEDIA_POOL)

    def deallocate(self, medium: LogicalLike) -> None:
        """Give back a logical medium, by its value, its id, or the cartridge that carries no other one.

        The side becomes available, or decommissioned once it was allocated as often as its pool lets it; the cartridge
        goes to the free pool if the policy says so and no side of it is held (DeallocateNtmsMedia).

        Raises:
            InvalidMediaError: there is no such logical medium.
            InvalidParameterError: the cartridge carries several.
            AccessDeniedError: the right on the pool, or on the free pool it goes to, is missing.
            InvalidStateError: it is mounted.
        """
        self.session.write(allocation.deallocate, self.caller, _logical(medium))

    def complete(self, medium: LogicalLike) -> None:
        """Mark a logical medium as full: it is not written any more (SetNtmsMediaComplete).

        Raises:
            InvalidMediaError, InvalidParameterError: as `deallocate`.
            AccessDeniedError: the right on the pool is missing.
            InvalidStateError: it is not in the state ALLOCATED, or is mounted.
        """
        self.session.write(allocation.complete, self.caller, _logical(medium))

    def decommission(self, side: SideLike) -> None:
        """Take an available side, or a one-sided cartridge, out of use for good (DecommissionNtmsMedia).

        Raises:
            InvalidMediaError: there is no such side or cartridge.
            InvalidParameterError: the cartridge has two sides.
            AccessDeniedError: the right on the pool is missing.
            InvalidStateError: it is not in the state AVAILABLE.
        """
        self.session.write(allocation.decommission, self.caller, reference(side, "side", values.Side))

    def swap(self, first: LogicalLike, second: LogicalLike) -> None:
        """Exchange the sides behind two logical media of one pool, each keeps its id (SwapNtmsMedia).

        Raises:
            InvalidMediaError, InvalidParameterError: as `deallocate`, or both are the same.
            AccessDeniedError: the right on a pool is missing.
            InvalidMediaPoolError: they are in different pools.
            InvalidStateError: one is not in the state ALLOCATED.
            BusyError: one is mounted.
            BadFormatError: one bears a label that no recogniser installed here reads.
        """
        labels.load_recognisers()  # not in the transaction: plug-ins are imported once
        pair = _logical(first, "first"), _logical(second, "second")
        self.session.write(allocation.swap, self.caller, *pair, labels.is_type_known)

    def update_label(self, medium: LogicalLike, type: str, id: bytes, info: str = "") -> None:
        """Record the label that the application has written on the side (UpdateNtmsOmidInfo).

        Raises:
            TypeError, InvalidParameterError: a part of the label is malformed; as `deallocate`.
            InvalidMediaError: there is no such logical medium.
            AccessDeniedError: the right on the pool is missing.
            NotSupportedError: it is in a library that this host has no path to.
        """
        check_types({"type": type, "info": info}, str)
        check_types({"id": id}, bytes)
        self.session.write(allocation.update_label, self.caller, _logical(medium), type, id, info)


def _medium(medium: Any) -> objects.Reference:
    return reference(medium, "medium", values.PhysicalMedium)


def _logical(medium: Any, name: str = "medium") -> objects.Reference:
    return reference(medium, name, values.LogicalMedium)


def _check_side_types(side: values.NewSide) -> None:
    texts = {name: getattr(side, name) for name in ("label_type", "label_info", "name", "description")}
    numbers = {name: getattr(side, name) for name in ("state", "mount_count", "allocate_count", "capacity_bytes")}
    check_types(texts, str)
    check_types(numbers, int)
    check_types({"label_id": side.label_id}, bytes)
    check_types({"enabled": side.enabled}, bool)
    check_types({"id": side.id, "logical_medium": side.logical_medium}, uuid.UUID, optional=True)


class MediaTypes(Noun):
    """Media types, and which library takes which."""

    def list(self, library: LibraryLike | None = None) -> Listed[values.MediaType]:
        """Return every media type, or those a library takes.

        Raises:
            ObjectNotFoundError: there is no such library.
        """
        inside = None if library is None else reference(library, "library", values.Library)
        return self.pages(Kind.NTMS_MEDIA_TYPE, inside, Kind.NTMS_LIBRARY)

    def get(self, media_type: TypeLike) -> values.MediaType:
        """Return one media type (GetNtmsObjectInformation).

        Raises:
            ObjectNotFoundError: there is no such media type.
            AccessDeniedError: no use right on the computer.
        """
        found: values.MediaType = self.session.read(
            objects.read_object,
            self.caller,
            Kind.NTMS_MEDIA_TYPE,
            reference(media_type, "media_type", values.MediaType),
        )
        return found

    def check(self, media_type: TypeLike) -> None:
        """Refuse a media type that is not on record; no right is needed.

        Raises:
            InvalidMediaError: there is no such media type.
        """
        self.session.read(library.check_media_type, reference(media_type, "media_type", values.MediaType))

    def create(
        self,
        name: str,
        *,
        sides: int = 1,
        read_write: NtmsReadWriteCharacteristics = NtmsReadWriteCharacteristics.NTMS_MEDIARW_REWRITABLE,
        device_type: int = FILE_DEVICE_TYPE.FILE_DEVICE_TAPE,
        description: str = "",
    ) -> values.MediaType:
        """Make a media type of one's own and return it.

        Raises:
            TypeError, InvalidNameError, InvalidParameterError: an argument's type, name or value is wrong.
            AccessDeniedError: no modify right on the computer.
            AlreadyExistsError: there is a media type of that name.
        """
        check_types({"name": name, "description": description}, str)
        check_types({"sides": sides, "read_write": read_write, "device_type": device_type}, int)
        return self.session.write(
            library.create_media_type,
            self.caller,
            name,
            sides=sides,
            read_write=read_write,
            device_type=device_type,
            description=description,
        )

    def delete(self, media_type: TypeLike) -> None:
        """Delete a media type of one's own that nothing uses.

        Raises:
            ObjectNotFoundError: there is no such media type.
            AccessDeniedError: no modify right on the computer, or the type came with the program.
            NotEmptyError: something uses it.
        """
        wanted = reference(media_type, "media_type", values.MediaType)
        self.session.write(library.delete_media_type, self.caller, wanted)

    def add(self, media_type: TypeLike, library_: LibraryLike) -> None:
        """Let a library take a media type; its system pools appear with it (AddNtmsMediaType).

        Raises:
            InvalidLibraryError, InvalidMediaError: there is no such library or media type.
            AccessDeniedError: the right on the library is missing.
            LibraryOfflineError: it is the offline library.
        """
        wanted = reference(media_type, "media_type", values.MediaType)
        self.session.write(library.add_media_type, self.caller, wanted, reference(library_, "library", values.Library))

    def remove(self, media_type: TypeLike, library_: LibraryLike) -> None:
        """Let a library take a media type no longer (DeleteNtmsMediaType).

        Raises:
            InvalidLibraryError: there is no such library.
            AccessDeniedError: the right on the library is missing.
            InvalidMediaError: there is no such media type, or the library does not take it.
            NotEmptyError: the library holds media of the type.
        """
        wanted = reference(media_type, "media_type", values.MediaType)
        self.session.write(
            library.remove_media_type, self.caller, wanted, reference(library_, "library", values.Library)
        )
