"""`rsm acl`: owners and access control lists of pools, libraries and the computer.

Owns the words for rights and kinds, and how one entry is put into a list. Who may do what is decided elsewhere.
"""

from __future__ import annotations

import enum
import functools
import operator
from collections.abc import Callable
from typing import Annotated

import typer

import rsm
from rsm.cli.output import Column
from rsm.cli.run import Run, add_verb, make_noun, read_reference

noun = make_noun(
    r"Access rights of pools, libraries and the computer. Without a kind the object is a pool; '\' is the root pool.",
    r"rsm acl show '\Nightly'",
    r"rsm acl grant '\Nightly' group:backup use,modify",
    r"rsm acl deny library 'Tape library 1' user:bob all",
    r"rsm acl revoke '\Nightly' group:backup",
)


class Guard(enum.StrEnum):
    """The kinds of objects that carry rights."""

    POOL = "pool"
    LIBRARY = "library"
    COMPUTER = "computer"

    @property
    def header_value(self) -> rsm.NtmsObjectsTypes:
        """The constant that the word stands for."""
        return _GUARD_KINDS[self]


_GUARD_KINDS = {
    Guard.POOL: rsm.NtmsObjectsTypes.NTMS_MEDIA_POOL,
    Guard.LIBRARY: rsm.NtmsObjectsTypes.NTMS_LIBRARY,
    Guard.COMPUTER: rsm.NtmsObjectsTypes.NTMS_COMPUTER,
}
_RIGHTS = {right.name.lower(): right for right in rsm.AccessRights if right.name}

_WORDS_HELP = (
    r"KIND is pool, library or computer, and pool where it is left out. OBJECT is a path, a name or an id; '\' is the "
    "root pool. "
)
_TRUSTEE_HELP = "TRUSTEE is user:NAME, group:NAME, everyone, administrators or operators. "
_RIGHTS_HELP = f"RIGHTS are words with commas between: {', '.join(_RIGHTS)}, or all."

ObjectWords = Annotated[list[str], typer.Argument(metavar="[KIND] OBJECT", help=_WORDS_HELP)]
TrusteeWords = Annotated[list[str], typer.Argument(metavar="[KIND] OBJECT TRUSTEE", help=_WORDS_HELP + _TRUSTEE_HELP)]
RightsWords = Annotated[
    list[str],
    typer.Argument(metavar="[KIND] OBJECT TRUSTEE RIGHTS", help=_WORDS_HELP + _TRUSTEE_HELP + _RIGHTS_HELP),
]


def read_words(words: list[str], *wanted: str) -> tuple[Guard, list[str]]:
    """Return the kind and the `wanted` words, the first of which may be preceded by a kind.

    Raises:
        typer.BadParameter: too few or too many words, or a kind that is none.
    """
    if len(words) == len(wanted):
        return Guard.POOL, words
    if len(words) != len(wanted) + 1:
        raise typer.BadParameter(f"these words are wanted: [KIND] {' '.join(wanted)}")
    if words[0] not in tuple(Guard):
        raise typer.BadParameter(f"{words[0]!r} is no kind that carries rights: {', '.join(Guard)}")
    return Guard(words[0]), words[1:]


def read_rights(text: str) -> rsm.AccessRights:
    """Return the rights that words with commas between stand for.

    Raises:
        typer.BadParameter: a word is no right.
    """
    words = set(text.lower().split(","))
    unknown = words - {*_RIGHTS, "all"}
    if unknown:
        raise typer.BadParameter(f"{min(unknown)!r} is no right: {', '.join(_RIGHTS)}, all")
    wanted = _RIGHTS.values() if "all" in words else [_RIGHTS[word] for word in words]
    return functools.reduce(operator.or_, wanted)


def put_entry(entries: tuple[rsm.Ace, ...], allow: bool, trustee: str, rights: rsm.AccessRights) -> tuple[rsm.Ace, ...]:
    """Return `entries` with one more: what they said of these rights of this trustee counts no longer.

    Denials stand first, the entries taken over from a parent last, because the first match decides.
    """
    rest = [
        rsm.Ace(entry.allow, entry.trustee, entry.rights & ~rights, entry.inherited)
        if entry.trustee == trustee
        else entry
        for entry in entries
    ]
    own = [entry for entry in rest if entry.rights and not entry.inherited]
    same = [entry for entry in own if entry.trustee == trustee and entry.allow is allow]
    for entry in same:
        rights |= entry.rights
    own = [entry for entry in own if entry not in same]
    denied = [entry for entry in own if not entry.allow]
    allowed = [entry for entry in own if entry.allow]
    (allowed if allow else denied).append(rsm.Ace(allow, trustee, rights))
    return (*denied, *allowed, *(entry for entry in rest if entry.rights and entry.inherited))


_COLUMNS: list[Column[rsm.Ace]] = [
    Column("Entry", lambda entry: "allow" if entry.allow else "deny"),
    Column("Trustee", lambda entry: entry.trustee),
    Column("Rights", lambda entry: entry.rights),
    Column("Inherited", lambda entry: entry.inherited),
]


def _show(run: Run, descriptor: rsm.SecurityDescriptor) -> None:
    run.output.show_record(descriptor, [("owner", descriptor.owner)])
    run.output.show_parts(descriptor.dacl or (), _COLUMNS, title="Entries", line_name="entry")


@add_verb(noun, "show")
def show_acl(run: Run, words: ObjectWords) -> None:
    """Show the owner and the entries of an object, in the order in which they count."""
    kind, (target,) = read_words(words, "OBJECT")
    with run.session() as session:
        _show(run, session.acl.get(kind.header_value, read_reference(target)))


@add_verb(noun, "grant")
def grant_rights(run: Run, words: RightsWords) -> None:
    """Allow a trustee these rights on an object."""
    _put(run, words, allow=True)


@add_verb(noun, "deny")
def deny_rights(run: Run, words: RightsWords) -> None:
    """Deny a trustee these rights on an object, whatever its groups are allowed."""
    _put(run, words, allow=False)


def _put(run: Run, words: list[str], *, allow: bool) -> None:
    kind, (target, trustee, text) = read_words(words, "OBJECT", "TRUSTEE", "RIGHTS")
    rights = read_rights(text)
    _change_entries(run, kind, target, lambda entries: put_entry(entries, allow, trustee, rights))


@add_verb(noun, "revoke")
def revoke_rights(run: Run, words: TrusteeWords) -> None:
    """Take every entry of a trustee away from an object."""
    kind, (target, trustee) = read_words(words, "OBJECT", "TRUSTEE")
    _change_entries(run, kind, target, lambda entries: tuple(entry for entry in entries if entry.trustee != trustee))


def _change_entries(
    run: Run, kind: Guard, target: str, change: Callable[[tuple[rsm.Ace, ...]], tuple[rsm.Ace, ...]]
) -> None:
    with run.session() as session, session.transaction():
        held = session.acl.get(kind.header_value, read_reference(target))
        entries = change(held.dacl or ())
        session.acl.set(kind.header_value, read_reference(target), rsm.SecurityDescriptor(dacl=entries))
    # Not read again: whoever gives rights away may have none left to read with.
    _show(run, rsm.SecurityDescriptor(held.owner, entries))


@add_verb(noun, "owner")
def set_owner(run: Run, words: TrusteeWords) -> None:
    """Make a trustee the owner of an object; an owner may always change its entries."""
    kind, (target, trustee) = read_words(words, "OBJECT", "TRUSTEE")
    with run.session() as session:
        session.acl.set(kind.header_value, read_reference(target), rsm.SecurityDescriptor(owner=trustee))
    run.output.show_done(f"{target} belongs to {trustee}.", {"owner": trustee}, trustee)
