"""The map of a library: every slot, drive and port with what is recorded as lying in it, read at one moment.

It asks no device and changes nothing. What a caller may not read of a cartridge stays out of it.
"""

import uuid
from typing import Any

from sqlalchemy import bindparam, select

from rsm import values
from rsm.constants import (
    NtmsDriveState,
    NtmsMediaState,
    NtmsOperationalState,
    NtmsPartitionState,
    NtmsPortContent,
    NtmsSlotState,
)
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction
from rsm.model import TABLE_OF_KIND, Id, MediaType, Mount, PhysicalMedium, Port, Session, Side
from rsm.security import Caller
from rsm.services.listing import readable
from rsm.services.objects import Reference, pool_paths, read_object
from rsm.values import LibraryMap, MapCartridge, MapMount, MapPlace

_LIBRARY = bindparam("library", type_=Id())
_STATES: dict[Kind, Any] = {
    Kind.NTMS_STORAGESLOT: NtmsSlotState,
    Kind.NTMS_DRIVE: NtmsDriveState,
    Kind.NTMS_IEPORT: NtmsPortContent,
}


def _select_places(kind: Kind) -> Any:
    table = TABLE_OF_KIND[kind]
    state = Port.content if kind is Kind.NTMS_IEPORT else table.state
    columns = (table.id, table.number, table.name, table.enabled, table.operational_state, state.label("state"))
    return select(*columns).where(table.library_id == _LIBRARY).order_by(table.number)


_PLACES = {kind: _select_places(kind) for kind in _STATES}
_CARTRIDGES = (
    select(
        PhysicalMedium.id,
        PhysicalMedium.pool_id.label("pool"),
        PhysicalMedium.slot_id,
        PhysicalMedium.drive_id,
        PhysicalMedium.port_id,
        PhysicalMedium.barcode,
        PhysicalMedium.name,
        PhysicalMedium.media_state,
        PhysicalMedium.enabled,
        PhysicalMedium.cleaner,
        MediaType.name.label("media_type"),
    )
    .join(MediaType, MediaType.id == PhysicalMedium.media_type_id)
    .where(PhysicalMedium.library_id == _LIBRARY)
    .order_by(PhysicalMedium.id)
)
_SIDES = (
    select(Side.medium_id, Side.state)
    .join(PhysicalMedium, PhysicalMedium.id == Side.medium_id)
    .where(PhysicalMedium.library_id == _LIBRARY)
    .order_by(Side.medium_id, Side.number)
)
_MOUNTS = (
    select(
        Side.medium_id,
        Mount.for_writing,
        Mount.mounted,
        Mount.dismountable_from,
        Session.user_name,
        Session.application,
        Session.host,
    )
    .select_from(Mount)
    .join(Side, Side.id == Mount.side_id)
    .join(PhysicalMedium, PhysicalMedium.id == Side.medium_id)
    .outerjoin(Session, Session.id == Mount.session_id)
    .where(PhysicalMedium.library_id == _LIBRARY)
)


def read_map(transaction: Transaction, caller: Caller, library: Reference) -> LibraryMap:
    """Return a library with all its places and what lies in them.

    Raises:
        ObjectNotFoundError: there is no such library.
        AccessDeniedError: no use right on it.
    """
    found: values.Library = read_object(transaction, caller, Kind.NTMS_LIBRARY, library)
    inside = _read_cartridges(transaction, caller, found.id)
    with transaction.decoding():
        slots, drives, ports = (
            tuple(_place(kind, row, inside) for row in transaction.rows(_PLACES[kind], library=found.id))
            for kind in (Kind.NTMS_STORAGESLOT, Kind.NTMS_DRIVE, Kind.NTMS_IEPORT)
        )
    return LibraryMap(library=found, slots=slots, drives=drives, ports=ports)


def _place(kind: Kind, row: Any, inside: dict[uuid.UUID, MapCartridge]) -> MapPlace:
    return MapPlace(
        kind=kind,
        id=row.id,
        number=row.number,
        name=row.name,
        enabled=row.enabled,
        operational_state=NtmsOperationalState(row.operational_state),
        state=_STATES[kind](row.state),
        cartridge=inside.get(row.id),
    )


def _read_cartridges(transaction: Transaction, caller: Caller, library_id: uuid.UUID) -> dict[uuid.UUID, MapCartridge]:
    """Return the cartridges by the slot, drive or port that holds them."""
    rows = transaction.rows(_CARTRIDGES, library=library_id)
    legible = {row.id for row in readable(transaction, caller, Kind.NTMS_PHYSICAL_MEDIA, rows)}
    paths = pool_paths(transaction, sorted({row.pool for row in rows if row.id in legible}))
    sides: dict[uuid.UUID, list[int]] = {}
    for side in transaction.rows(_SIDES, library=library_id):
        sides.setdefault(side.medium_id, []).append(side.state)
    mounts = {row.medium_id: row for row in transaction.rows(_MOUNTS, library=library_id)}
    inside = {}
    with transaction.decoding():
        for row in rows:
            place = row.slot_id or row.drive_id or row.port_id
            if place is not None and row.id in legible:
                inside[place] = MapCartridge(
                    id=row.id,
                    barcode=row.barcode,
                    name=row.name,
                    pool=paths[row.pool],
                    media_type=row.media_type,
                    media_state=NtmsMediaState(row.media_state),
                    enabled=row.enabled,
                    sides=tuple(NtmsPartitionState(state) for state in sides.get(row.id, ())),
                    mount=_mount(mounts.get(row.id)),
                    cleaner=row.cleaner,
                )
            elif place is not None:
                inside[place] = _illegible(row)
    return inside


def _mount(row: Any) -> MapMount | None:
    if row is None:
        return None
    return MapMount(
        user=row.user_name or "",
        application=row.application or "",
        host=row.host or "",
        for_writing=row.for_writing,
        since=row.mounted,
        dismountable_from=row.dismountable_from,
    )


def _illegible(row: Any) -> MapCartridge:
    return MapCartridge(
        id=row.id,
        barcode=row.barcode,
        name="",
        pool="",
        media_type="",
        media_state=None,
        enabled=row.enabled,
        sides=(),
        mount=None,
    )
