"""Draws a library: a grid of its slots, its drives and ports, a letter and a colour for what lies in each, a legend.

Owns the letters. No line is longer than 80 columns unless a single name is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.text import Text

import rsm
from rsm.cli.output import as_text, escape_control
from rsm.constants import NtmsOperationalState, NtmsPortContent, NtmsSlotState

_WIDTH = 80
_CELLS_AT_MOST = 60  # with more slots a bar code each would fill screens: then a letter stands for a slot
_IN_A_ROW, _IN_A_GROUP = 50, 10
_LONGEST_NAME = 24

State = rsm.NtmsPartitionState

# The letter, colour and word of each state of a side; of a cartridge whose sides differ the first here counts.
_SIDES: dict[State, tuple[str, str, str]] = {
    State.NTMS_PARTSTATE_ALLOCATED: ("A", "bold cyan", "allocated"),
    State.NTMS_PARTSTATE_COMPLETE: ("C", "cyan", "complete"),
    State.NTMS_PARTSTATE_RESERVED: ("R", "cyan", "reserved"),
    State.NTMS_PARTSTATE_AVAILABLE: ("V", "green", "available"),
    State.NTMS_PARTSTATE_UNPREPARED: ("U", "yellow", "unprepared"),
    State.NTMS_PARTSTATE_IMPORT: ("I", "magenta", "import"),
    State.NTMS_PARTSTATE_FOREIGN: ("X", "magenta", "unrecognized"),
    State.NTMS_PARTSTATE_INCOMPATIBLE: ("N", "red", "incompatible"),
    State.NTMS_PARTSTATE_DECOMMISSIONED: ("D", "red", "decommissioned"),
    State.NTMS_PARTSTATE_UNKNOWN: ("K", "yellow", "unknown"),
}
_EMPTY, _UNSEEN, _ABSENT = (".", "dim", "empty"), ("?", "yellow", "to be looked at"), ("!", "red", "not present")
_HIDDEN, _CLEANER = ("*", "dim", "not for you to read"), ("+", "blue", "cleaner")
_UNSURE = (
    NtmsSlotState.NTMS_SLOTSTATE_UNKNOWN,
    NtmsSlotState.NTMS_SLOTSTATE_FULL,
    NtmsSlotState.NTMS_SLOTSTATE_NEEDSINVENTORY,
    NtmsPortContent.NTMS_PORTCONTENT_UNKNOWN,
    NtmsPortContent.NTMS_PORTCONTENT_FULL,
)
_DISABLED = "lower case: disabled"

Mark = tuple[str, str, str]


def marks(place: rsm.MapPlace) -> list[Mark]:
    """Return letter, colour and word for each side of what lies in a place, or the one for the place itself."""
    if place.operational_state is NtmsOperationalState.NTMS_NOT_PRESENT:
        return [_ABSENT]
    if place.cartridge is None:
        # Members of two enums are equal where their numbers are.
        return [_UNSEEN if any(state is place.state for state in _UNSURE) else _EMPTY]
    if not place.cartridge.sides:
        return [_CLEANER if place.cartridge.cleaner else _HIDDEN]
    enabled = place.enabled and place.cartridge.enabled
    found = [_SIDES[state] for state in place.cartridge.sides]
    return found if enabled else [(letter.lower(), style, word) for letter, style, word in found]


def main_mark(place: rsm.MapPlace) -> Mark:
    """Return the one letter, colour and word that tells most of a place."""
    order = [letter for letter, _, _ in _SIDES.values()]
    return min(marks(place), key=lambda mark: order.index(mark[0].upper()) if mark[0].upper() in order else -1)


def draw_map(found: rsm.LibraryMap) -> Text:
    """Return the drawing of a library."""
    lines: list[Text] = [Text()]
    for title, places in (("Drives", found.drives), ("Ports", found.ports)):
        if places:
            lines += [Text(title, style="bold"), *(line for place in places for line in _draw_line(place)), Text()]
    if found.slots:
        draw = _draw_cells if len(found.slots) <= _CELLS_AT_MOST else _draw_letters
        lines += [Text("Slots", style="bold"), *draw(found.slots), Text()]
    lines += _draw_legend([*found.drives, *found.ports, *found.slots])
    return Text("\n").join(lines)


def _letters(place: rsm.MapPlace) -> Text:
    drawn = Text.assemble(*((letter, style) for letter, style, _ in marks(place)))
    drawn.pad_right(2 - len(drawn))
    return drawn


def _label(place: rsm.MapPlace) -> str:
    if place.cartridge is None:
        return ""
    return escape_control(place.cartridge.barcode or place.cartridge.name or str(place.cartridge.id))


def _draw_line(place: rsm.MapPlace) -> Iterator[Text]:
    """Draw a drive or port: what lies in it, and on lines of its own the pool and who uses it."""
    words = [as_text(place.state)]
    if place.operational_state is not NtmsOperationalState.NTMS_READY:
        words = [as_text(place.operational_state)]
    if not place.enabled:
        words.append("disabled")
    yield Text.assemble(f"{place.number:>4} ", _letters(place), f" {_label(place) or '-'}  ({', '.join(words)})")
    if place.cartridge is None:
        return
    if place.cartridge.pool:
        yield Text(f"        in {escape_control(place.cartridge.pool)}")
    mount = place.cartridge.mount
    if mount is not None:
        who = escape_control(f"{mount.user or 'somebody'} ({mount.application or '-'} on {mount.host or '-'})")
        how = "was in use by" if mount.dismountable_from else "written by" if mount.for_writing else "read by"
        yield Text(f"        {how} {who} since {as_text(mount.since)}")


def _draw_cells(places: Sequence[rsm.MapPlace]) -> Iterator[Text]:
    """Draw slots with their bar codes, as many beside each other as fit, numbered from the top of each column."""
    names = [_short(_label(place)) for place in places]
    name_width = max(map(cell_len, names))
    width = len("0000 XX ") + name_width + 2
    columns = max(1, min(len(places), (_WIDTH + 2) // width))
    rows = -(-len(places) // columns)
    for row in range(rows):
        line = Text()
        for index in range(row, len(places), rows):
            line.append_text(Text.assemble(f"{places[index].number:>4} ", _letters(places[index]), f" {names[index]}"))
            line.pad_right(name_width - cell_len(names[index]) + 2)
        line.rstrip()
        yield line


def _short(name: str) -> str:
    if cell_len(name) <= _LONGEST_NAME:
        return name
    while cell_len(name) > _LONGEST_NAME - 3:
        name = name[:-1]
    return f"{name}..."


def _draw_letters(places: Sequence[rsm.MapPlace]) -> Iterator[Text]:
    """Draw a letter a slot, fifty in a row; a number that no slot has is a gap."""
    by_row: dict[int, dict[int, rsm.MapPlace]] = {}
    for place in places:
        row, column = divmod(place.number - 1, _IN_A_ROW)
        by_row.setdefault(row, {})[column] = place
    for row, inside in sorted(by_row.items()):
        line = Text(f"{row * _IN_A_ROW + 1:>5} ")
        for column in range(max(inside) + 1):
            if column % _IN_A_GROUP == 0:
                line.append(" ")
            if column in inside:
                letter, style, _ = main_mark(inside[column])
                line.append(letter, style)
            else:
                line.append(" ")
        yield line


def _draw_legend(places: Sequence[rsm.MapPlace]) -> Iterator[Text]:
    """Explain the letters that occur, with how many places show them."""
    shown = [mark for place in places for mark in marks(place)]
    parts = []
    for letter, style, word in (*_SIDES.values(), _CLEANER, _EMPTY, _UNSEEN, _ABSENT, _HIDDEN):
        if any(mark[2] == word for mark in shown):
            parts.append(Text.assemble((letter, style), f" {word}"))
    if any(mark[0].islower() for mark in shown):
        parts.append(Text(_DISABLED))
    line = Text()
    for part in parts:
        if len(line) + len(part) + 3 > _WIDTH:
            yield line
            line = Text()
        line.append_text(Text("   " if len(line) else "")).append_text(part)
    yield line


def plain_lines(found: rsm.LibraryMap) -> Iterator[tuple[object, ...]]:
    """Yield a line of values for each place.

    They are: kind, number, letters, state, operational state, enabled, bar code, name, pool, media type, states of the
    sides, user, application and host that have it mounted, name and id of the place.
    """
    for kind, places in (("drive", found.drives), ("port", found.ports), ("slot", found.slots)):
        for place in places:
            cartridge = place.cartridge
            mount = cartridge.mount if cartridge is not None else None
            yield (
                kind,
                place.number,
                "".join(letter for letter, _, _ in marks(place)),
                place.state,
                place.operational_state,
                place.enabled,
                *((cartridge.barcode, cartridge.name, cartridge.pool) if cartridge else ("", "", "")),
                *((cartridge.media_type, list(cartridge.sides)) if cartridge else ("", "")),
                *((mount.user, mount.application, mount.host) if mount else ("", "", "")),
                place.name,
                place.id,
            )
