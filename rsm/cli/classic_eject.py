"""The classic verb `eject`: out of a slot, a drive or wherever a cartridge is. Parsing and printing only."""

from __future__ import annotations

import uuid

import rsm
from rsm.cli.attended import end_request
from rsm.cli.classic_media import BARE
from rsm.cli.classic_names import Kind, digits, find_device, find_medium_at, find_physical
from rsm.cli.classic_options import ClassicUsageError, Given, Option, classic_verb
from rsm.cli.output import flush_output
from rsm.cli.run import Run
from rsm.cli.waiting import carry_out
from rsm.constants import NtmsLibraryType


@classic_verb(
    "eject",
    "Have a cartridge taken out of its library, and wait until a person has taken it.",
    Option("p", "Cartridge, by GUID, name, or as 'name - number'.", "medium", named=True),
    Option("s", "What is in this slot.", "slot", named=True),
    Option("d", "What is in this drive.", "drive", named=True),
    Option("l", "Library of the slot or drive; alone, a stand-alone drive.", "library", named=True),
    Option("o", "The eject that /astop ends.", "operation"),
    Option(
        "a",
        "start: begin, and see it through; queue: leave it to whoever works the library; stop: end the one of /o.",
        "action",
        words=("start", "stop", "queue"),
    ),
    BARE,
)
def eject(run: Run, given: Given) -> None:
    """Eject a cartridge, or end an eject."""
    action = given.word("a", "start")
    if action == "stop":
        _stop(run, given)
        return
    if given.has("o"):
        raise ClassicUsageError("/o names the eject that /astop ends")
    which = given.one_of("p", "s", "d", required=not given.has("l"))
    if which == "p" and given.has("l"):
        raise ClassicUsageError("a cartridge, /p, needs no library")
    if which in ("s", "d") and not given.has("l"):
        raise ClassicUsageError(f"the library, /l, of /{which} is missing")
    with run.session(worker=action == "start") as session:
        request = _begin(session, given, which)
        run.output.print_lines([digits(request.id) if given.has("b") else f"Operation: {digits(request.id)}"])
        flush_output()  # whoever wants to end it early needs its GUID now
        if action == "start":
            carry_out(run, session, request)


def _begin(session: rsm.Session, given: Given, which: str) -> rsm.LibraryRequest:
    if which == "p":
        medium = session.media.get(find_physical(session, given.references["p"]))
        library = session.libraries.get(medium.library)
    else:
        library = session.libraries.get(given.references["l"])
    if library.library_type is NtmsLibraryType.NTMS_LIBRARYTYPE_STANDALONE:
        return session.libraries.eject(session.libraries.drives(library)[0])
    if which in ("s", "d"):
        kind = Kind.NTMS_STORAGESLOT if which == "s" else Kind.NTMS_DRIVE
        medium = find_medium_at(session, find_device(session, kind, given.references[which], library.id))
    elif not which:
        raise rsm.InvalidParameterError(f"{library.name} is no stand-alone drive: name what to eject by /p, /s or /d")
    return session.media.eject(medium).request


def _stop(run: Run, given: Given) -> None:
    if not given.has("o") or any(given.has(letter) for letter in "psdl"):
        raise ClassicUsageError("/astop takes the eject, /o, and nothing else")
    try:
        operation = uuid.UUID(given.texts["o"])
    except ValueError:
        raise ClassicUsageError(f"{given.texts['o']!a} is no GUID: it has 32 hexadecimal digits") from None
    with run.session() as session:
        end_request(session, session.requests.get(operation))
