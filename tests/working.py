"""A virtual library that is really worked: its directory, its record, and hands that put cartridges in and take out."""

import contextlib
import dataclasses
import os
import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import rsm
from rsm.constants import NtmsLmOperation, NtmsLmState
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsPartitionState as State
from rsm.libraries import virtual
from rsm.libraries.base import ElementStatus, LibraryIdentity
from rsm.services import queue

LONG_MS = 60_000
LTO = "LTO-8"
FREE, UNRECOGNIZED, IMPORT = (rf"\{name}\{LTO}" for name in ("Free", "Unrecognized", "Import"))


@dataclass
class Robot:
    """A library, the session that knows it, and a shelf beside it."""

    session: rsm.Session
    folder: Path
    library: rsm.Library = field(init=False)
    back_end: str = "virtual"

    def __post_init__(self) -> None:
        self.shelf = self.folder.with_name(f"{self.folder.name}-shelf")
        self.shelf.mkdir(exist_ok=True)

    def attach(self) -> "Robot":
        """Put the library on record and wait until it is inventoried."""
        self.library = self.session.libraries.add(self.back_end, str(self.folder), name="Robot")
        self.drain()
        return self

    # Hands

    def add(self, barcode: str, place: str = "", data: bytes = b"", **options: Any) -> Path:
        """Make a cartridge with something recorded on it, in the first empty slot unless told."""
        kind, _, number = place.partition("-")
        where: dict[str, Any] = {kind: int(number)} if kind else {}
        made = Path(virtual.add_cartridge(self.folder, barcode, **where, **options).path)
        if data:
            (made / "side-1").write_bytes(data)
        return made

    def find(self, barcode: str) -> Path:
        """Return the one folder that a cartridge is in by now."""
        (found,) = (*self.folder.glob(f"*-*/{barcode}"), *self.shelf.glob(barcode))
        return found

    def carry(self, barcode: str, place: str) -> Path:
        """Carry a cartridge to a place by hand."""
        goal = self.folder / place / barcode
        os.rename(self.find(barcode), goal)
        return goal

    def take_out(self, barcode: str) -> Path:
        """Put a cartridge on the shelf by hand."""
        goal = self.shelf / barcode
        os.rename(self.find(barcode), goal)
        return goal

    def lying(self) -> dict[str, str]:
        """Return where each cartridge lies in the directory."""
        found = [(path.name, path.parent.name) for path in self.folder.glob("*-*/*") if path.is_dir()]
        assert len(dict(found)) == len(found)
        return dict(found)

    # Work

    def inventory(self, *, full: bool | None = None, drain: bool = True) -> dict[str, Any]:
        """Take an inventory, wait until all that it leads to is done, and return what it found."""
        request = self.session.libraries.inventory(self.library, full=full)
        assert request is not None
        ended = self.session.requests.wait(request, timeout_ms=LONG_MS)
        assert ended.state is NtmsLmState.NTMS_LM_PASSED
        if drain:
            self.drain()
        return self.details(request.id)

    def details(self, request: uuid.UUID) -> dict[str, Any]:
        """Return what is kept with a request."""
        found: dict[str, Any] = self.session.read(queue.read_request, request).details
        return found

    def due(self) -> list[uuid.UUID]:
        """Return the live requests that wait for nobody and for no moment to come."""
        now = datetime.now(UTC)
        rows = [self.session.read(queue.read_request, each.id) for each in self.session.requests.list(live=True)]
        live = [row for row in rows if row is not None and row.completed is None and row.state != queue.WAITING]
        return [row.id for row in live if row.due is None or row.due <= now or row.state == queue.INPROCESS]

    def drain(self) -> None:
        """Wait until nothing is left that the library could do now."""
        while due := self.due():
            for request in due:
                with contextlib.suppress(rsm.ObjectNotFoundError):
                    self.settle(request)

    def settle(self, request: uuid.UUID) -> rsm.LibraryRequest:
        """Wait until a request has ended, however it does."""
        with contextlib.suppress(rsm.RsmError):
            self.session.requests.wait(request, timeout_ms=LONG_MS)
        ended = self.session.requests.get(request)
        assert ended.completed is not None, "it should have ended long ago"
        return ended

    # The record

    def media(self) -> dict[str, rsm.PhysicalMedium]:
        """Return the cartridges on record by bar code."""
        listed = self.session.media.list()
        found = {medium.barcode: medium for medium in listed}
        assert len(found) == len(listed)
        return found

    def places(self) -> dict[str, str]:
        """Return where each cartridge in the library is, by the record."""
        return {code: self.place(medium) for code, medium in self.media().items() if medium.library == self.library.id}

    def place(self, medium: rsm.PhysicalMedium) -> str:
        """Return the name of the folder that a cartridge is in by the record, `nowhere` if it is in none."""
        if medium.location is None:
            return "nowhere"
        name: str = self.session.objects.get(medium.location_type, medium.location).name
        return name

    def states(self, barcode: str) -> list[State]:
        """Return the states of a cartridge's sides."""
        return [side.state for side in self.session.media.sides(barcode)]

    def pool(self, barcode: str) -> str:
        """Return the path of the pool that a cartridge is in."""
        return self.session.pools.path(self.session.media.get(barcode).pool)

    def prepare(self, *barcodes: str) -> None:
        """Move cartridges into the free pool and wait for their free labels."""
        for barcode in barcodes:
            self.session.media.move(barcode, FREE)
        self.drain()

    def allocate(self, barcode: str, pool: str = r"\App") -> rsm.LogicalMedium:
        """Allocate a cartridge of the free pool."""
        self.session.pools.create(pool, media_type=LTO, allocate_from_free=True, exist_ok=True)
        return self.session.media.allocate(pool, side=self.session.media.sides(barcode)[0], timeout_ms=LONG_MS)

    def requests(self, operation: NtmsLmOperation) -> list[rsm.LibraryRequest]:
        """Return the requests of one kind, the oldest first."""
        return [each for each in self.session.requests.list() if each.operation is operation]

    def drive(self, number: int = 0) -> rsm.Drive:
        """Return a drive by position."""
        return self.session.libraries.drives(self.library)[number]

    def device(self, kind: Kind, name: str) -> Any:
        """Return a slot, drive or port by the name of its folder."""
        found = (self.session.objects.get(kind, each) for each in self.session.objects.list(kind, self.library.id))
        return next(each for each in found if each.name == name)


def make_robot(
    session: rsm.Session, folder: Path, *, slots: int = 6, drives: int = 2, ports: int = 1, doors: int = 0
) -> Robot:
    """Make an empty library of tapes in a new folder."""
    return Robot(session, Path(virtual.create(folder, slots, drives, ports, LTO, doors=doors)))


class Blind(virtual.VirtualLibrary):
    """The same library without a reader of bar codes."""

    def read_identity(self) -> LibraryIdentity:
        return dataclasses.replace(super().read_identity(), has_barcode_reader=False)

    def read_elements(self, addresses: Collection[int] | None = None) -> Iterator[ElementStatus]:
        return iter([dataclasses.replace(each, barcode=None) for each in super().read_elements(addresses)])
