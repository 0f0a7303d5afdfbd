"""The classic verbs that have a library work, and those that look and name. Parsing and printing only."""

from __future__ import annotations

import fcntl
import os
import uuid

import rsm
from rsm.cli.classic_media import BARE, LOGICAL, SIDE, TIMEOUT
from rsm.cli.classic_names import (
    Kind,
    digits,
    find_device,
    find_logical,
    find_medium_at,
    find_physical,
    find_side,
    side_name,
)
from rsm.cli.classic_options import ClassicUsageError, Given, Option, classic_verb
from rsm.cli.run import UNKNOWN_REFERENCE, Run
from rsm.cli.view import KIND_OF_WORD
from rsm.cli.waiting import carry_out, show_progress, wait_for_dismounts
from rsm.constants import NtmsUITypes
from rsm.libraries.base import os_errors_of

_PRIORITIES = {"lowest": -15, "low": -7, "normal": 0, "high": 7, "highest": 15}
_CDROMEJECT = 0x5309
_UI_TYPES = {
    "info": NtmsUITypes.NTMS_UITYPE_INFO,
    "request": NtmsUITypes.NTMS_UITYPE_REQ,
    "error": NtmsUITypes.NTMS_UITYPE_ERR,
}
_LIBRARY = Option("l", "Library.", "library", named=True)
_PRIORITY = Option("r", "Priority among those who wait.", "priority", words=tuple(_PRIORITIES))


# In drives


@classic_verb(
    "mount",
    "Mount a side into a drive; it stays there until rsm dismount.",
    LOGICAL,
    SIDE,
    Option("s", "What is in this slot.", "slot", named=True),
    Option("c", "Changer of the library that the slot is in.", "changer", named=True),
    Option("d", "Into this drive.", "drive", named=True),
    Option(
        "o",
        "errunavail: do not wait for medium or drive; drive: into the one of /d; read, write: for which access;"
        " offline: do not ask an operator for what is on the shelf.",
        "option",
        words=("errunavail", "drive", "read", "write", "offline"),
        required=True,
    ),
    _PRIORITY,
    TIMEOUT,
)
def mount(run: Run, given: Given) -> None:
    """Mount a side and leave it in its drive."""
    words, timeout_ms = given.words["o"], given.milliseconds()
    if ("drive" in words) > given.has("d"):
        raise ClassicUsageError("/odrive needs the drive, /d")
    if given.has("s") != given.has("c"):
        raise ClassicUsageError("a slot, /s, and the changer of its library, /c, go together")
    which = given.one_of("l", "p", "s")
    with run.session(worker=True) as session:
        library = _library_of_changer(session, given) if which == "s" else None
        target = _mountable(session, given, which, library)
        drive = find_device(session, Kind.NTMS_DRIVE, given.references["d"], library) if given.has("d") else None
        with show_progress(run) as on_wait:
            mounted = session.mounts.mount(
                target,
                write="write" in words,
                drive=drive,
                priority=_PRIORITIES[given.word("r", "normal")],
                timeout_ms=timeout_ms,
                error_if_busy="errunavail" in words,
                error_if_offline="offline" in words,
                on_wait=on_wait,
            )
        name, path = mounted.drive.name, mounted.path
        mounted.keep()
    run.output.print_lines([f"{name} {path}" if path else name])


def _library_of_changer(session: rsm.Session, given: Given) -> uuid.UUID:
    changer = find_device(session, Kind.NTMS_CHANGER, given.references["c"], None)
    library: uuid.UUID = session.objects.get(Kind.NTMS_CHANGER, changer).library
    return library


def _mountable(session: rsm.Session, given: Given, which: str, library: uuid.UUID | None) -> uuid.UUID:
    if which == "s":
        slot = find_device(session, Kind.NTMS_STORAGESLOT, given.references["s"], library)
        return session.media.sides(find_medium_at(session, slot))[0].id
    return find_side(session, given.references["p"]).id if which == "p" else find_logical(session, given)


@classic_verb(
    "dismount",
    "Give back what is mounted, and wait until it is put away.",
    LOGICAL,
    SIDE,
    Option("o", "deferred: leave it in its drive for a while.", "option", words=("", "deferred")),
)
def dismount(run: Run, given: Given) -> None:
    """Give back a mounted side."""
    which, deferred = given.one_of("l", "p"), given.word("o", "") == "deferred"
    with run.session(worker=not deferred) as session:
        target = find_logical(session, given) if which == "l" else find_side(session, given.references["p"]).id
        kind = Kind.NTMS_LOGICAL_MEDIA if which == "l" else Kind.NTMS_PARTITION
        medium = session.media.get(session.objects.get(kind, target).medium)
        session.mounts.dismount(target, deferred=deferred)
        if not deferred and medium.location_type is Kind.NTMS_DRIVE and medium.location is not None:
            wait_for_dismounts(run, session, medium.location, medium.library)


@classic_verb(
    "erase",
    "Erase what is recorded on an allocated side.",
    Option("p", "Side.", "side", named=True, required=True),
    BARE,
    _PRIORITY,
    TIMEOUT,
)
def erase(run: Run, given: Given) -> None:
    """Mount a side, record nothing on it, and put it away."""
    timeout_ms = given.milliseconds()
    with run.session(worker=True) as session:
        side = find_side(session, given.references["p"])
        with show_progress(run) as on_wait:
            mounted = session.mounts.mount(
                side,
                write=True,
                priority=_PRIORITIES[given.word("r", "normal")],
                timeout_ms=timeout_ms,
                on_wait=on_wait,
            )
        drive = mounted.drive
        with os_errors_of(f"side {side_name(session, side)} cannot be erased"), mounted, mounted.open("wb"):
            pass
        wait_for_dismounts(run, session, drive.id, drive.library)
    if given.has("b"):
        run.output.print_lines([digits(side.id)])


# Libraries


@classic_verb(
    "inventory",
    "Take stock of a library.",
    Option("l", "Library.", "library", named=True, required=True),
    Option(
        "a",
        "full: read every label; fast: bar codes; default: the library's own way; none: nothing now; stop: end the one"
        " that runs.",
        "action",
        words=("full", "fast", "default", "none", "stop"),
        required=True,
    ),
)
def inventory(run: Run, given: Given) -> None:
    """Take stock of a library, to the end."""
    action, library = given.word("a", ""), given.references["l"]
    with run.session(worker=action not in ("none", "stop")) as session:
        if action == "stop":
            session.libraries.stop_inventory(library)
        elif action == "none":
            session.libraries.get(library)
        else:
            _take_stock(run, session, library, {"full": True, "fast": False, "default": None}[action])


def _take_stock(run: Run, session: rsm.Session, library: uuid.UUID | str, full: bool | None) -> None:
    request = session.libraries.inventory(library, full=full)
    if request is not None:
        carry_out(run, session, request)


@classic_verb(
    "refresh",
    "Look again at what is in a library, which nobody notices in a drive that people feed.",
    _LIBRARY,
    Option("p", "The library that this cartridge is in.", "medium", named=True),
    Option("t", "Every library that takes this media type.", "type", named=True, guid_only=True),
)
def refresh(run: Run, given: Given) -> None:
    """Take stock of libraries by what their devices show."""
    which = given.one_of("l", "p", "t")
    reference = given.references[which]
    with run.session(worker=True) as session:
        if which == "l":
            libraries = [session.libraries.get(reference).id]
        elif which == "p":
            libraries = [session.media.get(find_physical(session, reference)).library]
        else:
            wanted = session.types.get(reference).id
            known = [each for each in session.libraries.list() if each.name != "Offline"]
            libraries = [each.id for each in known if wanted in [one.id for one in session.types.list(each.id)]]
        for library in libraries:
            _take_stock(run, session, library, full=False)


@classic_verb(
    "ejectatapi",
    "Open an optical changer or drive without the catalogue, when nothing else can.",
    Option("n", "Number at the end of the device's name: 0 is /dev/sr0.", "number", required=True),
)
def eject_atapi(run: Run, given: Given) -> None:
    """Have the device itself eject what is in it."""
    number = given.texts["n"]
    if not number.isdecimal():
        raise ClassicUsageError(f"/n{number} is no number")
    try:
        descriptor = os.open(f"/dev/sr{int(number)}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.ioctl(descriptor, _CDROMEJECT)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise rsm.DeviceNotAvailableError(f"/dev/sr{int(number)} cannot be opened: {error.strerror}") from error


# Looking and naming


@classic_verb(
    "view",
    "List the names of the objects of one type.",
    Option("t", f"Type of objects: {', '.join(KIND_OF_WORD)}.", "type", required=True),
    Option("c", "Only what this object contains.", "container", named=True, guid_only=True),
    Option("guiddisplay", "GUIDs before the names; with /b in their place."),
    Option("b", "Nothing but the list, for scripts."),
)
def view(run: Run, given: Given) -> None:
    """List objects, one a line."""
    word = given.texts["t"].lower().removeprefix("ntms_")
    kind = KIND_OF_WORD.get(word)
    if kind is None:
        raise ClassicUsageError(f"/t{word} is no type of object: {', '.join(KIND_OF_WORD)}")
    container = given.references.get("c")
    assert container is None or isinstance(container, uuid.UUID)
    with run.session() as session:
        found = session.objects.list(kind, container)
        guids = given.has("guiddisplay")
        if guids and given.has("b"):
            run.output.print_lines(digits(each) for each in found)
            return
        named = [(each, _friendly_name(session, kind, each)) for each in found]
    run.output.print_lines(f"{digits(each)} {name}" if guids else name for each, name in named)


def _friendly_name(session: rsm.Session, kind: Kind, object_id: uuid.UUID) -> str:
    try:
        value = session.objects.get(kind, object_id)
        if kind is Kind.NTMS_PARTITION:
            return side_name(session, value)
        if kind is Kind.NTMS_LOGICAL_MEDIA and not value.name:
            return side_name(session, session.objects.get(Kind.NTMS_PARTITION, value.side))
        return str(value.name) or digits(object_id)
    except (rsm.AccessDeniedError, *UNKNOWN_REFERENCE):
        return digits(object_id)


@classic_verb(
    "rename",
    "Give an object another name.",
    Option("t", "Object, by GUID, or media type by name.", "object", named=True, required=True),
    Option("n", "The new name.", "name", required=True),
)
def rename(run: Run, given: Given) -> None:
    """Rename an object of any kind."""
    reference = given.references["t"]
    with run.session() as session:
        kind = session.objects.kind(reference) if isinstance(reference, uuid.UUID) else Kind.NTMS_MEDIA_TYPE
        session.objects.update(kind, reference, name=given.texts["n"])


@classic_verb(
    "ui",
    "List or change the computers that messages are shown on.",
    _LIBRARY,
    Option("t", "Which messages.", "messages", words=tuple(_UI_TYPES), required=True),
    Option("a", "What to do; left out, they are listed.", "action", words=("list", "add", "delete", "clear")),
    Option("n", "Name of the computer; left out, this one.", "computer"),
)
def change_destinations(run: Run, given: Given) -> None:
    """List, add or remove where messages of a library, or of the whole computer, are shown."""
    sort, action = _UI_TYPES[given.word("t", "")], given.word("a", "list")
    with run.session() as session:
        library = given.references.get("l")
        source = session.objects.list(Kind.NTMS_COMPUTER)[0] if library is None else session.libraries.get(library).id
        if action == "list":
            run.output.print_lines(session.ui.destinations(sort, source))
        elif action == "clear":
            session.ui.clear(sort, source)
        else:
            change = session.ui.add if action == "add" else session.ui.remove
            change(sort, given.texts.get("n", ""), source)
