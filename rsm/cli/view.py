"""`rsm view`: list the objects of any kind, by modern and classic words. Parsing and printing only."""

from __future__ import annotations

import contextlib
import dataclasses
import uuid
from typing import Annotated

import typer

import rsm
from rsm.cli.run import UNKNOWN_REFERENCE, Run, example_text, read_reference

Kind = rsm.NtmsObjectsTypes

EXAMPLES = example_text(
    "rsm view library",
    "rsm view slot 'Tape library 1'",
    r"rsm --json view physical_media '\Nightly\Daily'",
)

# The words for a kind, the first of them the classic command's, and the kinds of the containers it may be listed by.
_KINDS: dict[Kind, tuple[tuple[str, ...], tuple[Kind, ...]]] = {
    Kind.NTMS_LIBRARY: (("library",), ()),
    Kind.NTMS_CHANGER: (("changer",), (Kind.NTMS_LIBRARY,)),
    Kind.NTMS_CHANGER_TYPE: (("changer_type",), ()),
    Kind.NTMS_DRIVE: (("drive",), (Kind.NTMS_LIBRARY,)),
    Kind.NTMS_DRIVE_TYPE: (("drive_type",), ()),
    Kind.NTMS_STORAGESLOT: (("storageslot", "slot"), (Kind.NTMS_LIBRARY,)),
    Kind.NTMS_IEDOOR: (("iedoor", "door"), (Kind.NTMS_LIBRARY,)),
    Kind.NTMS_IEPORT: (("ieport", "port"), (Kind.NTMS_LIBRARY,)),
    Kind.NTMS_MEDIA_TYPE: (("media_type", "type"), (Kind.NTMS_LIBRARY,)),
    Kind.NTMS_MEDIA_POOL: (("media_pool", "pool"), (Kind.NTMS_MEDIA_POOL,)),
    Kind.NTMS_PHYSICAL_MEDIA: (
        ("physical_media", "physical_medium", "medium", "media"),
        (Kind.NTMS_LIBRARY, Kind.NTMS_MEDIA_POOL),
    ),
    Kind.NTMS_PARTITION: (
        ("partition", "side"),
        (Kind.NTMS_PHYSICAL_MEDIA, Kind.NTMS_LOGICAL_MEDIA, Kind.NTMS_MEDIA_POOL),
    ),
    Kind.NTMS_LOGICAL_MEDIA: (("logical_media", "logical_medium"), (Kind.NTMS_MEDIA_POOL, Kind.NTMS_PARTITION)),
    Kind.NTMS_LIBREQUEST: (("librequest", "library_request"), (Kind.NTMS_LIBRARY,)),
    Kind.NTMS_OPREQUEST: (("oprequest", "operator_request"), ()),
    Kind.NTMS_COMPUTER: (("computer",), ()),
}
KIND_OF_WORD = {word: kind for kind, (words, _) in _KINDS.items() for word in words}

_TYPE_HELP = f"Kind of objects: {', '.join(KIND_OF_WORD)}."


def read_kind(word: str) -> Kind:
    """Return the kind that a word stands for; case counts for nothing, and a hyphen is an underscore.

    Raises:
        typer.BadParameter: it is no kind that can be listed.
    """
    kind = KIND_OF_WORD.get(word.lower().replace("-", "_").removeprefix("ntms_"))
    if kind is None:
        raise typer.BadParameter(f"{word!r} is no kind of object: {', '.join(KIND_OF_WORD)}")
    return kind


@dataclasses.dataclass(frozen=True, slots=True)
class Unreadable:
    """An object that the caller may list but not read: it goes by its id."""

    id: uuid.UUID
    name: str


def view_objects(
    run: Run,
    kind: Annotated[str, typer.Argument(metavar="TYPE", help=_TYPE_HELP)],
    container: Annotated[
        str | None,
        typer.Argument(metavar="[CONTAINER]", help="Only what is in this library, pool, medium or side: name or id."),
    ] = None,
) -> None:
    """List the names of the objects of one kind; with --json the objects, with --plain ids and names."""
    wanted = read_kind(kind)
    with run.session() as session:
        inside = None if container is None else _find_container(session, wanted, container)
        objects = [found for known in session.objects.list(wanted, inside) for found in _read(session, wanted, known)]
    run.output.show_names(objects)


def _find_container(session: rsm.Session, wanted: Kind, word: str) -> uuid.UUID:
    reference = read_reference(word)
    if isinstance(reference, uuid.UUID):
        return reference
    for kind in _KINDS[wanted][1]:
        # What is no path of a pool may be the name of something else.
        with contextlib.suppress(rsm.InvalidNameError, *UNKNOWN_REFERENCE):
            return session.objects.find(kind, reference)
    raise rsm.ObjectNotFoundError(f"nothing that holds objects of this kind is named {word!r}")


def _read(session: rsm.Session, wanted: Kind, known: uuid.UUID) -> list[rsm.Value | Unreadable]:
    try:
        return [session.objects.get(wanted, known)]
    except rsm.AccessDeniedError:
        return [Unreadable(known, str(known))]
    except UNKNOWN_REFERENCE:
        return []  # deleted since it was listed
