"""The classic verbs about pools and who holds which side. Parsing and printing only."""

from __future__ import annotations

import uuid

import rsm
from rsm.cli.classic_names import Kind, digits, find_device, find_logical, find_medium_at, find_side, side_name
from rsm.cli.classic_options import ClassicUsageError, Given, Option, classic_verb
from rsm.cli.run import Run
from rsm.cli.waiting import carry_out, show_progress
from rsm.constants import NtmsLmOperation
from rsm.services.names import check_description, check_name

POOL = Option("m", "Pool, by its path.", "pool", required=True)
LOGICAL = Option("l", "Logical medium.", "lmid", named=True)
SIDE = Option("p", "Side, by GUID or as 'name - number'.", "side", named=True)
BARE = Option("b", "Print bare GUIDs, for scripts.")
TIMEOUT = Option("t", "Milliseconds to wait at most; for ever if left out.", "timeout")


@classic_verb(
    "allocate",
    "Allocate a side from a pool and print its identifiers.",
    POOL,
    Option(
        "o",
        "errunavail: fail at once instead of asking an operator; new: a cartridge nobody has a side of; next: the"
        " other side of the medium that /l names.",
        "option",
        words=("errunavail", "new", "next"),
        required=True,
    ),
    LOGICAL,
    SIDE,
    Option("ln", "Name of the new logical medium.", "name"),
    Option("ld", "Description of the new logical medium.", "text"),
    Option("pn", "Name of the side.", "name"),
    Option("pd", "Description of the side.", "text"),
    TIMEOUT,
    BARE,
)
def allocate(run: Run, given: Given) -> None:
    """Allocate, name what was allocated, and print it."""
    words = given.words["o"]
    if {"new", "next"} <= set(words):
        raise ClassicUsageError("/onew and /onext exclude each other")
    if ("next" in words) != given.has("l"):
        raise ClassicUsageError("/onext and the logical medium, /l, go together")
    logical_changes, side_changes = (_names(given, letter) for letter in "lp")
    timeout_ms = given.milliseconds()
    with run.session(worker=True) as session, show_progress(run) as on_wait:
        made = session.media.allocate_from(
            given.texts["m"],
            side=find_side(session, given.references["p"]).id if given.has("p") else None,
            new="new" in words,
            next_to=find_logical(session, Given(references={"l": given.references["l"]})) if given.has("l") else None,
            timeout_ms=timeout_ms,
            error_if_unavailable="errunavail" in words,
            on_wait=on_wait,
        ).logical_medium
        if logical_changes:
            session.objects.update(Kind.NTMS_LOGICAL_MEDIA, made, **logical_changes)
        if side_changes:
            session.objects.update(Kind.NTMS_PARTITION, made.side, **side_changes)
        if given.has("b"):
            run.output.print_lines([digits(made.id)])
            return
        named = side_name(session, session.objects.get(Kind.NTMS_PARTITION, made.side))
    run.output.print_lines([f"Logical media: {digits(made.id)}", f"Partition: {digits(made.side)} {named}"])


def _names(given: Given, letter: str) -> dict[str, str]:
    """Return the name and description to be given, looked at before anything is allocated."""
    found = {
        field: given.texts[letter + end]
        for end, field in (("n", "name"), ("d", "description"))
        if given.has(letter + end)
    }
    check_name(found.get("name", "x"))
    check_description(found.get("description", ""))
    return found


@classic_verb(
    "createpool",
    "Create or open a pool.",
    POOL,
    Option(
        "a",
        "existing: it must be there; new: it must not; always: it is made if it is not there.",
        "action",
        words=("existing", "always", "new"),
        required=True,
    ),
    Option("t", "Media type; without one it is a pool of pools.", "type", named=True),
    Option("d", "Draw from the free pool when it has nothing."),
    Option("r", "Send what is deallocated to the free pool."),
)
def create_pool(run: Run, given: Given) -> None:
    """Create or open a pool; the policy that is given is set in either case."""
    path, action = given.texts["m"], given.word("a", "")
    draws, sends = given.has("d"), given.has("r")
    with run.session() as session, session.transaction():
        if action != "existing":
            media_type = given.references.get("t")
            session.pools.create(
                path,
                media_type=media_type,
                exist_ok=action == "always",
                allocate_from_free=draws,
                deallocate_to_free=sends,
            )
        if action != "new" and (draws or sends):
            session.pools.update(path, allocate_from_free=draws or None, deallocate_to_free=sends or None)
        elif action == "existing":
            session.pools.get(path)


@classic_verb("deletepool", "Delete a pool that holds neither media nor pools.", POOL)
def delete_pool(run: Run, given: Given) -> None:
    """Delete a pool."""
    with run.session() as session:
        session.pools.delete(given.texts["m"])


@classic_verb("deallocate", "Give a side back; others may overwrite it then.", LOGICAL, SIDE)
def deallocate(run: Run, given: Given) -> None:
    """Give back a logical medium, or the one on a side."""
    with run.session() as session:
        session.media.deallocate(find_logical(session, given))


@classic_verb(
    "freemedia",
    "Move a cartridge to the free pool, which destroys what is recorded on it.",
    LOGICAL,
    SIDE,
    Option("s", "The cartridge in this slot.", "slot", named=True),
    Option("d", "The cartridge in this drive, where no slot is named.", "drive", named=True),
)
def free_media(run: Run, given: Given) -> None:
    """Move a cartridge to the free pool of its media type, and have its free label written."""
    with run.session(worker=True) as session:
        medium = session.media.get(_cartridge(session, given))
        media_type = session.types.get(medium.media_type).name
        session.media.move(medium, f"\\Free\\{media_type}")
        for request in session.requests.list(medium.library, live=True):
            if request.medium == medium.id and request.operation is NtmsLmOperation.NTMS_LM_WRITESCRATCH:
                carry_out(run, session, request)


def _cartridge(session: rsm.Session, given: Given) -> uuid.UUID:
    if given.has("s"):
        given.one_of("l", "p", "s")
        return find_medium_at(session, find_device(session, Kind.NTMS_STORAGESLOT, given.references["s"], None)).id
    which = given.one_of("l", "p", "d")
    if which == "d":
        return find_medium_at(session, find_device(session, Kind.NTMS_DRIVE, given.references["d"], None)).id
    if which == "p":
        return find_side(session, given.references["p"]).medium
    medium: uuid.UUID = session.objects.get(Kind.NTMS_LOGICAL_MEDIA, find_logical(session, given)).medium
    return medium
