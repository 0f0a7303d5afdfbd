"""A session's calls about cartridges, and about media types."""

import uuid
from collections.abc import Sequence
from typing import Any

from rsm import values
from rsm.constants import FILE_DEVICE_TYPE, NtmsReadWriteCharacteristics
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.errors import InvalidParameterError
from rsm.nouns.base import LibraryLike, MediumLike, Noun, PoolLike, TypeLike, check_types, reference
from rsm.services import library, media, objects, properties

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
            ObjectNotFoundError: there is no such cartridge.
        """
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
        self.session.write(media.move_medium, self.caller, _medium(medium), reference(pool, "pool", values.MediaPool))

    def change_type(self, medium: MediumLike, pool: PoolLike) -> None:
        """Move a cartridge to a pool and give it that pool's media type (ChangeNtmsMediaType).

        Raises:
            InvalidMediaError, InvalidMediaPoolError, AccessDeniedError, BusyError, InvalidStateError: as `move`, but
                with modify on the source pool and the computer.
        """
        wanted = reference(pool, "pool", values.MediaPool)
        self.session.write(media.change_media_type, self.caller, _medium(medium), wanted)

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

    def _switch(self, medium: MediumLike, *, enabled: bool) -> None:
        service, kind = properties.switch_object, Kind.NTMS_PHYSICAL_MEDIA
        self.session.write(service, self.caller, kind, _medium(medium), enabled=enabled)


def _medium(medium: Any) -> objects.Reference:
    return reference(medium, "medium", values.PhysicalMedium)


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
