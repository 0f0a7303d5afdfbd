"""What a changer tells of its elements, in the words of the contract: their kinds and names, and what is in them.

It runs no command.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Final

from rsm.libraries.base import Cartridge, ElementKind, ElementStatus, barcode_fault
from rsm.libraries.scsi.cdb import ElementType
from rsm.libraries.scsi.decode import ElementDescriptor, Sense
from rsm.libraries.scsi.sense import Key, rule_for

KINDS: Final = {
    ElementKind.TRANSPORT: ElementType.TRANSPORT,
    ElementKind.SLOT: ElementType.STORAGE,
    ElementKind.PORT: ElementType.IMPORT_EXPORT,
    ElementKind.DRIVE: ElementType.DATA_TRANSFER,
}
_NAMES: Final = {
    ElementKind.TRANSPORT: "robot-{:02d}",
    ElementKind.SLOT: "slot-{:04d}",
    ElementKind.PORT: "port-{:02d}",
    ElementKind.DRIVE: "drive-{:02d}",
}
_NAMED_AT_MOST: Final = 3
_LTO = re.compile(r"ULTRIUM|LTO|ULT3580", re.IGNORECASE)
_GENERATION = re.compile(r"(?:TD|HH|ULT|ULTRIUM[ -]?|LTO[ -]?)(\d{1,2})(?!\d)", re.IGNORECASE)


def kind_of(ranges: Mapping[ElementKind, range], address: int | None) -> ElementKind | None:
    """Return the kind of the element at an address, None if there is none."""
    if address is None:  # a range looks for it one by one
        return None
    return next((kind for kind, every in ranges.items() if address in every), None)


def status_of(
    ranges: Mapping[ElementKind, range],
    kind: ElementKind,
    address: int,
    told: ElementDescriptor | None,
    tells_access: bool,
) -> ElementStatus:
    """Return the status of an element as its changer tells it, None: it does not."""
    number = address - ranges[kind].start + 1
    name = _NAMES[kind].format(number)
    if told is None:
        text = f"{name}: the changer does not tell of it"
        return ElementStatus(address, kind, number, name, None, False, exception=text)
    full, accessible = told.full, told.accessible or not tells_access
    tag = told.volume_tag if full and told.volume_tag and barcode_fault(told.volume_tag) is None else None
    fault = f"{name}: {rule_for(Sense(Key.HARDWARE_ERROR, told.asc, told.ascq)).text}" if told.exception else None
    return ElementStatus(
        address,
        kind,
        number,
        name,
        full,
        accessible,
        barcode=tag,
        cartridge=Cartridge(sides=1) if full and fault is None else None,
        source=told.source if full and kind_of(ranges, told.source) else None,
        inverted=told.inverted if full and kind is ElementKind.DRIVE else None,
        placed_by_operator=told.placed_by_operator if full and kind is ElementKind.PORT else None,
        exception=fault,
    )


def media_type_of(product: str) -> str | None:
    """Return the media type that a drive is made for, None where its name does not tell."""
    found = _GENERATION.search(product) if _LTO.search(product) else None
    return f"LTO-{int(found[1])}" if found and 1 <= int(found[1]) <= 10 else None


def runs(addresses: list[int]) -> Iterator[range]:
    """Yield the runs of numbers that follow each other."""
    start = previous = None
    for address in addresses:
        if previous is None or address != previous + 1:
            if start is not None and previous is not None:
                yield range(start, previous + 1)
            start = address
        previous = address
    if start is not None and previous is not None:
        yield range(start, previous + 1)


def with_duplicates_named(statuses: list[ElementStatus]) -> list[ElementStatus]:
    """Return the statuses, those of a bar code that several elements show as faulty."""
    places: dict[str, list[str]] = {}
    for status in statuses:
        if status.barcode is not None:
            places.setdefault(status.barcode, []).append(status.name)
    if all(len(names) == 1 for names in places.values()):
        return statuses
    named = []
    for status in statuses:
        names = places.get(status.barcode or "", [])
        if len(names) > 1 and status.exception is None:
            others = [name for name in names[: _NAMED_AT_MOST + 1] if name != status.name][:_NAMED_AT_MOST]
            text = f"{status.name}: the bar code {status.barcode} is in {', '.join(others)} too"
            status = dataclasses.replace(status, cartridge=None, exception=text)
        named.append(status)
    return named
