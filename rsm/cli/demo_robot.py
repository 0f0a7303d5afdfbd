"""`rsm demo --library ADDRESS`: the story of `rsm.cli.demo` on a library that is there already.

It writes on blank cartridges only, after having asked, and leaves the library as it found it, also when something went
wrong, as far as the device lets it: every cartridge where it was, those it wrote on blank again. That is done on the
device itself, when the demonstration's own catalogue is closed.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Collection
from pathlib import Path

import rsm
from rsm.cli.demo import Demonstration, Measure, Progress, Story
from rsm.constants import NtmsLmOperation
from rsm.libraries import open_library
from rsm.libraries.base import CLEANER_PREFIX, ElementKind, ElementStatus, LibraryBackend
from rsm.nouns.waiting import Done, Waiter, Waiting, WaitReason

Kind = rsm.NtmsObjectsTypes

BLANKS_AT_MOST = 4
LOOKED_AT_MOST = 40  # a cartridge is in a drive for a minute or two


class RobotDemonstration(Demonstration):
    """The story on a library that is there already."""

    def __init__(
        self,
        address: str,
        ask: Callable[[str], None],
        story: Story,
        place: Path,
        source: Path,
        without: Collection[str],
    ) -> None:
        super().__init__(story, place, source, without)
        self.address, self.ask = address, ask
        self.back_end = "virtual" if Path(address).is_dir() else "scsi"
        self.blanks: list[rsm.PhysicalMedium] = []
        self.written = False
        self.spoilt: list[str] = []
        self.spans_at_least = 1

    def run(self) -> None:
        """Live through it, and put every cartridge back where it was, whatever happens."""
        with open_library(self.back_end, self.address) as device:
            before = read_places(device)
        in_drives = [f"{code} in {each.name}" for code, each in before.items() if each.kind is ElementKind.DRIVE]
        if in_drives:
            raise rsm.BusyError(f"a cartridge is in a drive ({', '.join(in_drives)}): somebody uses the library")
        error = None
        try:
            super().run()
        except rsm.RsmError as failure:
            error = failure
        finally:
            self._leave(before)
        if error is not None and self.spoilt:
            text = f"{error}; {', '.join(self.spoilt)} were blank, and may hold what the demonstration wrote"
            raise type(error)(text, outcome_unknown=error.outcome_unknown) from error
        if error is not None:
            raise error

    def _leave(self, before: dict[str, ElementStatus]) -> None:
        """Put cartridges back where they were, and make those that were written on blank again."""
        names = [medium.name for medium in self.blanks] if self.written else []
        self.spoilt = names
        try:
            self._restore(before, names)
        except rsm.RsmError as error:
            self.story.tell("leave the library as it was", str(error), expected=False)

    def _restore(self, before: dict[str, ElementStatus], names: list[str]) -> None:
        with open_library(self.back_end, self.address) as device:
            epoch = int(time.time())  # beyond what any count of take-overs comes to
            moved = put_back(device, before, epoch)
            self.spoilt = [name for name in names if not make_blank(device, before[name], epoch)]
            now = read_places(device)
        if names:
            told = ", ".join(names) if not self.spoilt else f"not {', '.join(self.spoilt)}"
            self.story.tell("make the cartridges blank again", told, expected=not self.spoilt)
        away = sorted(code for code, status in before.items() if code not in now or now[code].name != status.name)
        told = f"{len(before)} cartridges, each where it was found"
        if away:
            told = f"not where they were found: {', '.join(away)}"
        elif moved:
            told += f", {moved} put back at the end"
        self.story.tell("look into the library again", told, expected=not away)

    def progress(self, title: str, total_bytes: int) -> Progress:
        """Return what draws how far a part of the story is."""
        full = f"the {len(self.blanks)} blank cartridges are full: give a smaller --source"
        return Progress(self.story.output, title, total_bytes, full=full)

    # The library

    def make_library(self, session: rsm.Session, measure: Measure) -> rsm.Library:
        """Put the library on record, find blank cartridges, ask whether they may be written on, and label them."""
        self.check_room(measure.disk_bytes)
        with self.phase(session, "prepare") as prepared:
            library = self._attach(session)
            told = f"{library.name}: {library.slots} slots, {library.drives} drives, {library.media} cartridges"
            self.story.tell("put the library on record", told)
            self._find_blanks(session, library)
            names = ", ".join(medium.name for medium in self.blanks)
            self.story.tell("look for blank cartridges", names)
            self.ask(
                f"Write on the blank cartridges {names} of {library.name}, and make them blank again? No other program "
                "may use the robot meanwhile."
            )
            self.written = True
            for medium in self.blanks:
                session.media.move(medium, self.free_pool)
            self.finish_requests(session, library, "write free labels")
            self.cartridges = len(self.blanks)
            prepared += [self.cartridges, None]
        self.tell_free(session, "move the blank cartridges to the free pool")
        return library

    def _attach(self, session: rsm.Session) -> rsm.Library:
        """Put the library on record with what is in it, but do not have every cartridge's label read."""
        library = session.libraries.add(self.back_end, self.address)
        session.objects.disable(Kind.NTMS_LIBRARY, library.id)
        progress = self.progress("inventory", 0)

        def look() -> Done[None] | Waiting:
            live = session.requests.list(library.id, live=True)
            taken = all(each.operation is not NtmsLmOperation.NTMS_LM_INVENTORY for each in live)
            return Done(None) if taken else Waiting(WaitReason.LIBRARY, "the library takes its inventory")

        Waiter(session, None, progress.wait).wait_for(look)
        session.libraries.stop_inventory(library)
        session.objects.enable(Kind.NTMS_LIBRARY, library.id)
        self.finish_requests(session, library, "inventory")
        return session.libraries.get(library.id)

    def _find_blanks(self, session: rsm.Session, library: rsm.Library) -> None:
        media = session.media.list(library=library)
        candidates = [medium for medium in media if not medium.barcode.startswith(CLEANER_PREFIX)]
        for looked_at, medium in enumerate(candidates[:LOOKED_AT_MOST], 1):
            self.story.output.print_progress(f"looking into cartridge {looked_at}: {medium.name}")
            if self.blanks and medium.media_type != self.blanks[0].media_type:
                continue
            with contextlib.suppress(rsm.RsmError, OSError):  # one that cannot be read is none
                if self._is_blank(session, library, medium):
                    self.blanks.append(medium)
            if len(self.blanks) == BLANKS_AT_MOST:
                break
        self.finish_requests(session, library, "put cartridges away")
        if not self.blanks:
            raise rsm.MediaUnavailableError(
                f"none of the {min(len(candidates), LOOKED_AT_MOST)} cartridges that were looked at is blank: the "
                "demonstration writes over nothing; put a blank one in"
            )
        self.media_type = session.types.get(self.blanks[0].media_type).name

    def _is_blank(self, session: rsm.Session, library: rsm.Library, medium: rsm.PhysicalMedium) -> bool:
        """Read what is on a cartridge, of which every side has to be empty."""
        assert medium.location is not None
        request = session.libraries.identify(medium.location, deferred=True)
        if request is None:
            return False
        session.requests.wait(request, on_wait=self.progress("look for blank cartridges", 0).wait)
        return all(self._is_empty(session, side.id) for side in session.media.sides(medium))

    def _is_empty(self, session: rsm.Session, side: uuid.UUID) -> bool:
        progress = self.progress("look for blank cartridges", 0)
        with session.mounts.mount(side, on_wait=progress.wait) as mount, mount.open("rb") as file:
            return not file.read(1)


# --- the device -----------------------------------------------------------------------------------------------------


def read_places(device: LibraryBackend) -> dict[str, ElementStatus]:
    """Return where cartridges with a bar code are."""
    return {each.barcode: each for each in device.read_elements() if each.barcode is not None}


def put_back(device: LibraryBackend, before: dict[str, ElementStatus], epoch: int) -> int:
    """Carry cartridges that are in drives back to where they were, and return how many there were."""
    carried = 0
    for code, status in read_places(device).items():
        if code in before and status.kind is ElementKind.DRIVE:
            carried += 1
            with contextlib.suppress(rsm.RsmError):  # the look that follows tells
                device.unload_drive(status.address, epoch)
                device.move(status.address, before[code].address, epoch)
    return carried


def make_blank(device: LibraryBackend, place: ElementStatus, epoch: int) -> bool:
    """Record nothing on the cartridge in a place, on all its sides, and tell whether that was done."""
    sides = (place.cartridge.sides if place.cartridge is not None else None) or 1
    empty = [each.address for each in device.read_elements() if each.kind is ElementKind.DRIVE and not each.full]
    for drive in empty:
        with contextlib.suppress(rsm.RsmError, OSError):
            for side in range(1, sides + 1):
                device.move(place.address, drive, epoch, inverted=side == 2)
                device.load_drive(drive, epoch)
                device.write_side(drive, side, b"", epoch, barcode=place.barcode)
                device.unload_drive(drive, epoch)
                device.move(drive, place.address, epoch)
            return True
        put_back(device, {place.barcode or "": place}, epoch)
    return False
