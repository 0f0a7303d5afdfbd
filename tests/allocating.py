"""A catalogue to allocate from: two libraries, pools of one- and two-sided media with every policy, nothing in them."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import builders
import sqlalchemy

import rsm
from rsm import identity, model
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsPartitionState as State

(
    UNPREPARED,
    DECOMMISSIONED,
    AVAILABLE,
    ALLOCATED,
    COMPLETE,
    FOREIGN,
    IMPORT,
    RESERVED,
) = (
    State.NTMS_PARTSTATE_UNPREPARED,
    State.NTMS_PARTSTATE_DECOMMISSIONED,
    State.NTMS_PARTSTATE_AVAILABLE,
    State.NTMS_PARTSTATE_ALLOCATED,
    State.NTMS_PARTSTATE_COMPLETE,
    State.NTMS_PARTSTATE_FOREIGN,
    State.NTMS_PARTSTATE_IMPORT,
    State.NTMS_PARTSTATE_RESERVED,
)
ONE_SIDED, TWO_SIDED = "LTO-8", "MO_5_RW"
FREE = {ONE_SIDED: r"\Free\LTO-8", TWO_SIDED: r"\Free\MO_5_RW"}
IMPORTED = {ONE_SIDED: r"\Import\LTO-8", TWO_SIDED: r"\Import\MO_5_RW"}


@dataclass
class World:
    """A session, its catalogue, and the two libraries: this host has a path to `near` and none to `far`."""

    session: rsm.Session
    url: str
    near: builders.BuiltLibrary
    far: builders.BuiltLibrary

    def add(
        self,
        pool: str,
        barcode: str,
        *states: State,
        library: builders.BuiltLibrary | None = None,
        shelf: bool = False,
        enabled: bool = True,
    ) -> list[uuid.UUID]:
        """Put a cartridge into a pool, in the near library unless told, and return its sides."""
        place = None if shelf else library or self.near
        found = self.session.pools.get(pool)
        return builders.add_medium(self.url, found, barcode, *states, library=place, enabled=enabled)

    def clear(self) -> None:
        """Forget every cartridge, mount and request."""
        with builders.behind(self.url) as connection:
            for table in (model.Mount, model.LibraryRequest, model.LogicalMedium, model.Side, model.PhysicalMedium):
                connection.execute(sqlalchemy.delete(table))
            gone = (Kind.NTMS_LIBREQUEST, Kind.NTMS_LOGICAL_MEDIA, Kind.NTMS_PARTITION, Kind.NTMS_PHYSICAL_MEDIA)
            connection.execute(
                sqlalchemy.delete(model.Object).where(model.Object.kind.in_([int(kind) for kind in gone]))
            )

    @contextmanager
    def case(self, what: object) -> Iterator[None]:
        """Try one case on a catalogue without media, and name it if it fails."""
        self.clear()
        try:
            yield
        except BaseException as error:
            error.add_note(f"case: {what}")
            raise

    def states(self, barcode: str) -> list[State]:
        """Return the states of a cartridge's sides."""
        return [side.state for side in self.session.media.sides(barcode)]

    def pool_of(self, barcode: str) -> str:
        """Return the path of the pool that a cartridge is in."""
        return self.session.pools.path(self.session.media.get(barcode).pool)

    def barcode_of(self, logical: rsm.LogicalMedium) -> str:
        """Return the bar code of the cartridge behind a logical medium."""
        return self.session.media.get(logical.medium).barcode


def make_world(session: rsm.Session, url: str) -> World:
    """Furnish a new catalogue."""
    near = builders.add_library(url, "Near", drives=2, doors=0, ports=0, requests=0)
    far = builders.add_library(url, "Far", drives=1, doors=0, ports=0, requests=0)
    builders.add_path(url, near.changers[0], identity.host())
    builders.add_path(url, far.changers[0], "elsewhere")
    for media_type, name in ((ONE_SIDED, "One"), (TWO_SIDED, "Two")):
        session.types.add(media_type, near.id)
        session.pools.create(rf"\{name}", media_type=media_type)
        session.pools.create(rf"\{name} more", media_type=media_type)
        session.pools.create(rf"\{name} draws", media_type=media_type, allocate_from_free=True)
        session.pools.create(rf"\{name} returns", media_type=media_type, deallocate_to_free=True, max_allocates=2)
    session.pools.create(r"\Holder")
    session.pools.create(r"\Nowhere", media_type="LTO-1", allocate_from_free=True, deallocate_to_free=True)
    return World(session, url, near, far)
