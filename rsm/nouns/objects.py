"""A session's calls about objects of any kind: their properties, their guards, and what happened to them."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

from rsm import values
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction
from rsm.errors import InvalidParameterError, ObjectNotFoundError
from rsm.nouns.base import NO_ID, PAGE, MediumLike, Noun, ObjectLike, check_types, known_kind, reference
from rsm.security import SecurityDescriptor
from rsm.services import events, listing, objects, pools, properties
from rsm.services.names import check_attribute_name

Listed = list  # inside a class with a method of that name, `list` means the method


class AccessControl(Noun):
    """Owners and lists of the computer, libraries and pools."""

    def get(self, kind: Kind, object_: ObjectLike) -> SecurityDescriptor:
        """Return owner and list (GetNtmsObjectSecurity).

        Raises:
            ObjectNotFoundError: there is no such object.
            NoSecurityOnObjectError: objects of this kind are guarded by another.
            AccessDeniedError: no right to read the descriptor.
        """
        return self.session.read(properties.read_security, self.caller, known_kind(kind), _object(object_))

    def set(self, kind: Kind, object_: ObjectLike, descriptor: SecurityDescriptor) -> None:
        """Replace the owner, the list, or both; a part that is None stays (SetNtmsObjectSecurity).

        Raises:
            TypeError, InvalidParameterError: the descriptor is none, malformed or empty.
            ObjectNotFoundError: there is no such object.
            NoSecurityOnObjectError: objects of this kind are guarded by another.
            AccessDeniedError: no right to write what is given, and not the owner.
        """
        check_types({"descriptor": descriptor}, SecurityDescriptor)
        self.session.write(properties.write_security, self.caller, known_kind(kind), _object(object_), descriptor)


def _object(value: Any) -> objects.Reference:
    return reference(value, "object", values.Value)


class Objects(Noun):
    """Objects of any kind."""

    def kind(self, id: uuid.UUID) -> Kind:
        """Return what kind of object an id names.

        Raises:
            ObjectNotFoundError: it names nothing.
        """
        check_types({"id": id}, uuid.UUID)
        return self.session.read(_known_kind, id)

    def find(self, kind: Kind, text: str) -> uuid.UUID:
        """Return the id of the one object with this name, bar code or pool path.

        Raises:
            InvalidParameterError: such objects have no names, or several have that name.
            ObjectNotFoundError: none has.
        """
        check_types({"text": text}, str)
        return self.session.read(_existing, _known(kind), text)

    def list(self, kind: Kind, container: uuid.UUID | None = None, *, include_root: bool = False) -> "list[uuid.UUID]":
        """Return the ids of the objects of a kind in a container, in order; None is the whole system.

        For pools None is the top level, and `include_root` puts the root before it (EnumerateNtmsObject).

        Raises:
            InvalidParameterError: such objects are not listed, or not in a container of that kind.
            ObjectNotFoundError: the container is not on record.
        """
        wanted = known_kind(kind)
        check_types({"container": container}, uuid.UUID, optional=True)
        check_types({"include_root": include_root}, bool)
        if include_root and (wanted is not Kind.NTMS_MEDIA_POOL or container is not None):
            raise InvalidParameterError("the root pool is listed among top-level pools only")
        found = [self.session.read(objects.root_pool)] if include_root else []
        after = NO_ID
        while True:
            page = self.session.read(listing.list_page, wanted, container, after, PAGE)
            found += page
            if len(page) < PAGE:
                return found
            after = page[-1]

    def stream(self, kind: Kind, container: uuid.UUID | None = None) -> Iterator[Any]:
        """Yield the objects of a kind in a container as values, in the order of ids; None is the whole system.

        However many there are, a few thousand are held at a time; each page is a snapshot of its own. Objects that the
        caller may not read are left out (EnumerateNtmsObject).

        Raises:
            InvalidParameterError: such objects are not listed, or not in a container of that kind.
            ObjectNotFoundError: the container is not on record.
        """
        return self._streamed(listing.list_values, kind, container)

    def stream_rows(self, kind: Kind, container: uuid.UUID | None = None) -> Iterator[Any]:
        """Yield what `stream` does at several times the speed, as named tuples of what is stored.

        The fields are those of the value: ids as 16 bytes, times as microseconds since 1970, flags and states as
        numbers, documents as JSON text.

        Raises:
            InvalidParameterError, ObjectNotFoundError: as `stream`.
        """
        return self._streamed(listing.list_rows, kind, container)

    def _streamed(self, service: Callable[..., Any], kind: Kind, container: uuid.UUID | None) -> Iterator[Any]:
        wanted = known_kind(kind)
        check_types({"container": container}, uuid.UUID, optional=True)
        return self.stream_pages(service, wanted, container)

    def get(self, kind: Kind, object_: ObjectLike) -> Any:
        """Return what the catalogue says of an object (GetNtmsObjectInformation).

        Raises:
            InvalidParameterError: it is no kind of object that has information.
            ObjectNotFoundError: there is no object of this kind and id or name.
            AccessDeniedError: no use right on its guard.
        """
        return self.session.read(objects.read_object, self.caller, _known(kind), _object(object_))

    def update(self, kind: Kind, object_: ObjectLike, **changes: Any) -> Any:
        """Change writable fields, named as in the value, and return the object (SetNtmsObjectInformation).

        Raises:
            ObjectNotFoundError: there is no object of this kind and id or name.
            AccessDeniedError: the right for its kind is missing, or nothing of the kind may be changed.
            TypeError, InvalidParameterError, InvalidNameError: a field is not writable, or its value is wrong.
            AlreadyExistsError, MediaIncompatibleError: as `pools.update`.
        """
        wanted = known_kind(kind)
        check_types({name: changes[name] for name in ("name", "description") if name in changes}, str)
        for name in changes.keys() - {"name", "description", "media_type"}:
            check_types({name: changes[name]}, int, bool)
        if isinstance(changes.get("media_type"), values.MediaType):
            changes["media_type"] = changes["media_type"].id
        check_types({"media_type": changes.get("media_type")}, uuid.UUID, str, optional=True)
        if wanted is Kind.NTMS_MEDIA_POOL:
            return self.session.write(pools.update_pool, self.caller, _object(object_), changes)
        return self.session.write(properties.update_object, self.caller, wanted, _object(object_), changes)

    def attribute(self, kind: Kind, object_: ObjectLike, name: str) -> bytes:
        """Return the private data that an application hung on an object (GetNtmsObjectAttribute).

        Raises:
            ObjectNotFoundError: there is no such object, or it has no attribute of that name.
            AccessDeniedError: no use right on its guard.
            NotConnectedError: the server cannot be reached.
        """
        check_types({"name": name}, str)
        check_attribute_name(name)
        return self.session.read(properties.read_attribute, self.caller, known_kind(kind), _object(object_), name)

    def set_attribute(self, kind: Kind, object_: ObjectLike, name: str, value: bytes) -> None:
        """Create or replace private data of an object, at most 65,535 bytes; none delete it (SetNtmsObjectAttribute).

        Raises:
            InvalidNameError: the name is not 1 to 31 clean characters.
            NoDataError: there is too much data.
            ObjectNotFoundError: there is no such object, or nothing of that name to delete.
            AccessDeniedError: no modify right on its guard.
            NotConnectedError: the server cannot be reached.
        """
        check_types({"name": name}, str)
        check_types({"value": value}, bytes)
        self.session.write(properties.write_attribute, self.caller, known_kind(kind), _object(object_), name, value)

    def delete_attribute(self, kind: Kind, object_: ObjectLike, name: str) -> None:
        """Delete private data of an object; raises as `set_attribute`."""
        self.set_attribute(kind, object_, name, b"")

    def enable(self, kind: Kind, object_: ObjectLike) -> None:
        """Take a library, drive or cartridge into service again (EnableNtmsObject).

        Raises:
            InvalidParameterError: objects of this kind are neither enabled nor disabled.
            ObjectNotFoundError: there is no such object.
            AccessDeniedError: the right on the library that contains it is missing.
            LibraryOfflineError: it is the offline library.
            InvalidStateError: it is enabled already.
        """
        self._switch(kind, object_, enabled=True)

    def disable(self, kind: Kind, object_: ObjectLike) -> None:
        """Take a library, drive or cartridge out of service; raises as `enable` (DisableNtmsObject)."""
        self._switch(kind, object_, enabled=False)

    def _switch(self, kind: Kind, object_: ObjectLike, *, enabled: bool) -> None:
        self.session.write(properties.switch_object, self.caller, known_kind(kind), _object(object_), enabled=enabled)


def _known(kind: Any) -> Kind:
    known = known_kind(kind)
    if known not in objects.VALUE_OF_KIND:
        raise InvalidParameterError(f"{known.name} is no kind of object that has information")
    return known


def _known_kind(transaction: Transaction, object_id: uuid.UUID) -> Kind:
    kind = objects.kind_of(transaction, object_id)
    if kind is None:
        raise ObjectNotFoundError(f"nothing has the id {object_id}")
    return kind


def _existing(transaction: Transaction, kind: Kind, text: str) -> uuid.UUID:
    return objects.existing(transaction, kind, text)


class Events(Noun):
    """The log of changes."""

    def list(self, *, object_: ObjectLike | None = None, after: int = 0, limit: int = 1_000) -> "list[values.Event]":
        """Return at most `limit` events after the one numbered `after`, of one object or of all, oldest first."""
        check_types({"after": after}, int)
        if not 0 <= after < 2**63:
            raise InvalidParameterError("after is not negative, and no larger than events can be")
        return self.session.read(events.list_events, after, _checked_limit(limit), _optional_id(object_))

    def latest(self, *, object_: ObjectLike | None = None, limit: int = 1_000) -> "Listed[values.Event]":
        """Return the last events, at most `limit`, of one object or of all, oldest first."""
        return self.session.read(events.list_latest, _checked_limit(limit), _optional_id(object_))

    def history(self, medium: MediumLike, *, limit: int = 1_000) -> "Listed[values.Event]":
        """Return the last events, at most `limit`, of a cartridge, its sides and all logical media they ever had.

        A cartridge that is no longer on record goes by its id.

        Raises:
            ObjectNotFoundError: there is and was no such cartridge.
            InvalidParameterError: several have that name.
        """
        wanted = reference(medium, "medium", values.PhysicalMedium)
        _checked_limit(limit)
        if isinstance(wanted, str):
            wanted = self.session.read(objects.existing, Kind.NTMS_PHYSICAL_MEDIA, wanted)
        found = self.session.read(events.list_history, wanted, limit)
        if not found:
            self.session.read(objects.existing, Kind.NTMS_PHYSICAL_MEDIA, wanted)
        return found


def _checked_limit(limit: int) -> int:
    check_types({"limit": limit}, int)
    if not 0 <= limit < 2**31:
        raise InvalidParameterError("limit is not negative, and no larger than events can be")
    return limit


def _optional_id(object_: ObjectLike | None) -> uuid.UUID | None:
    if object_ is not None and not isinstance(object_, (uuid.UUID, values.Value)):
        raise TypeError(f"object_ must be a value or UUID, not {type(object_).__name__}")
    return object_.id if isinstance(object_, values.Value) else object_
