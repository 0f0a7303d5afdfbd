"""What the classic command line calls things: GUIDs as 32 digits, and the friendly names of media, sides and slots.

It looks objects up and changes nothing.
"""

from __future__ import annotations

import uuid

import rsm
from rsm.cli.classic_options import Given
from rsm.cli.run import UNKNOWN_REFERENCE

Kind = rsm.NtmsObjectsTypes


def digits(object_id: uuid.UUID) -> str:
    """Return a GUID as the classic command line prints it."""
    return object_id.hex


def side_name(session: rsm.Session, side: rsm.Side) -> str:
    """Return the friendly name of a side: its own, else that of its cartridge and its number from 1."""
    medium = session.media.get(side.medium)
    return f"{medium.name} - {side.number + 1}" if side.name in ("", medium.name, medium.barcode) else side.name


def find_side(session: rsm.Session, reference: uuid.UUID | str) -> rsm.Side:
    """Return a side by its GUID or friendly name, or by the name of a cartridge that has just one.

    Raises:
        rsm.InvalidMediaError: there is no such side.
        rsm.InvalidParameterError: several have that name, or the cartridge has two.
    """
    if isinstance(reference, uuid.UUID):
        return _side_of_id(session, reference)
    stem, _, number = reference.rpartition(" - ")
    medium = _by_name(session, Kind.NTMS_PHYSICAL_MEDIA, stem) if stem and number.isdecimal() else None
    sides = [] if medium is None else [side for side in session.media.sides(medium) if side.number == int(number) - 1]
    if not sides:
        medium = _by_name(session, Kind.NTMS_PHYSICAL_MEDIA, reference)
        sides = [] if medium is None else session.media.sides(medium)
    if not sides:
        found = _by_name(session, Kind.NTMS_PARTITION, reference)
        sides = [] if found is None else [_side_of_id(session, found)]
    if len(sides) > 1:
        raise rsm.InvalidParameterError(f"cartridge {reference!a} has two sides: say '{reference} - 1' or '- 2'")
    if not sides:
        raise rsm.InvalidMediaError(f"there is no side called {reference!a}")
    return sides[0]


def _side_of_id(session: rsm.Session, side: uuid.UUID) -> rsm.Side:
    try:
        found: rsm.Side = session.objects.get(Kind.NTMS_PARTITION, side)
    except rsm.ObjectNotFoundError as error:
        raise rsm.InvalidMediaError(str(error)) from error
    return found


def find_physical(session: rsm.Session, reference: uuid.UUID | str) -> uuid.UUID:
    """Return the cartridge that is named, be it by one of its sides.

    Raises:
        rsm.InvalidMediaError, rsm.InvalidParameterError: as `find_side`.
    """
    try:
        return session.media.get(reference).id
    except UNKNOWN_REFERENCE:
        return find_side(session, reference).medium


def find_logical(session: rsm.Session, given: Given) -> uuid.UUID:
    """Return the logical medium that `/l` names, or that is on the side that `/p` names.

    Raises:
        rsm.InvalidMediaError: there is none.
    """
    if given.one_of("l", "p") == "l":
        reference = given.references["l"]
        if isinstance(reference, uuid.UUID):
            return reference
        found = _by_name(session, Kind.NTMS_LOGICAL_MEDIA, reference)
        if found is not None:
            return found
    else:
        reference = given.references["p"]
    logical = find_side(session, reference).logical_medium
    if logical is None:
        raise rsm.InvalidMediaError(f"{reference} is not allocated: there is no logical medium on it")
    return logical


def find_medium_at(session: rsm.Session, place: uuid.UUID) -> rsm.PhysicalMedium:
    """Return the cartridge in a slot or drive.

    Raises:
        rsm.InvalidMediaError: there is none.
    """
    kind = session.objects.kind(place)
    library: uuid.UUID = session.objects.get(kind, place).library
    for medium in session.media.list(library=library):
        if medium.location == place:
            return medium
    raise rsm.InvalidMediaError("there is no cartridge in that place")


def find_device(
    session: rsm.Session, kind: Kind, reference: uuid.UUID | str, library: uuid.UUID | str | None
) -> uuid.UUID:
    """Return a slot, drive or changer by GUID or name, of one library if that is said.

    Raises:
        rsm.ObjectNotFoundError: there is none of that name, or more than one.
    """
    if isinstance(reference, uuid.UUID):
        return reference
    inside = library if library is None or isinstance(library, uuid.UUID) else session.libraries.get(library).id
    if inside is None:
        return session.objects.find(kind, reference)
    named = [each for each in session.objects.list(kind, inside) if session.objects.get(kind, each).name == reference]
    if len(named) != 1:
        how_many = "nothing" if not named else "more than one thing"
        raise rsm.ObjectNotFoundError(f"{how_many} of that kind in the library is called {reference!a}")
    return named[0]


def _by_name(session: rsm.Session, kind: Kind, name: str) -> uuid.UUID | None:
    try:
        return session.objects.find(kind, name)
    except UNKNOWN_REFERENCE:
        return None
