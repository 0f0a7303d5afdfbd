"""A session's calls about media in drives: asking for them, using what is mounted, and giving it back."""

import contextlib
import logging
import uuid
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, BinaryIO, TypeVar, overload

from rsm import values
from rsm.constants import NtmsLmState
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.errors import BusyError, InvalidStateError, RsmError, TimeoutError
from rsm.libraries import open_library
from rsm.libraries.base import LibraryBackend, SideMode, SideStatus
from rsm.model import STANDALONE
from rsm.nouns.base import Noun, Runner, check_types, reference
from rsm.nouns.waiting import Done, OnWait, Waiter, Waiting, WaitReason
from rsm.services import mounts, objects, queue
from rsm.services.epochs import SupersededError, check_epoch
from rsm.services.steps import Hindrance

MountableLike = values.LogicalMedium | values.Side | values.PhysicalMedium | uuid.UUID | str
DriveLike = values.Drive | uuid.UUID | str
M = TypeVar("M", bound=MountableLike)
_PATIENCE_OF_ONE_TRY_MS = 10_000  # how long one try waits for a worker to try at all
_REASONS = {
    Hindrance.NONE: WaitReason.QUEUED,
    Hindrance.OFFLINE: WaitReason.OPERATOR,
    Hindrance.LIBRARY: WaitReason.LIBRARY,
    Hindrance.MEDIUM: WaitReason.MEDIUM_BUSY,
    Hindrance.DRIVES: WaitReason.DRIVE_BUSY,
}
_log = logging.getLogger("rsm.mounts")


class Mount:
    """One side in a drive. Use it in `with`, or `dismount` it.

    `path` is the drive's path on this host, of a drive that is a directory that of the side in it, None where it has
    none; what is written there cannot be limited or watched.
    """

    def __init__(self, session: Runner, request_id: uuid.UUID, row: Any) -> None:
        self.id = request_id
        self.side: uuid.UUID = row.side_id
        self.medium: uuid.UUID = row.medium_id
        self.barcode: str = row.barcode
        self.for_writing: bool = bool(row.for_writing)
        self._session = session
        self._row = row
        self.path: str | None = self._find_path()
        self._files: weakref.WeakSet[BinaryIO] = weakref.WeakSet()
        self._ended = False
        self._before = self._look() if not self.for_writing else None

    def __repr__(self) -> str:
        does = "writing" if self.for_writing else "reading"
        return f"<rsm.Mount of {self._row.name} in {self._row.drive_name} for {does}>"

    def _find_path(self) -> str | None:
        row = self._row
        if row.library_type == STANDALONE and row.path:
            # A device that does not answer is told of by whoever reads or writes.
            with contextlib.suppress(RsmError), open_library(row.back_end, row.address) as device:
                return device.side_path(row.element, row.side_number + 1) or str(row.path)
        return row.path or None

    @property
    def drive(self) -> values.Drive:
        """The drive that it is in."""
        drive: values.Drive = self._session.read(objects.read_value, Kind.NTMS_DRIVE, self._row.drive_id)
        return drive

    @property
    def free_bytes(self) -> int | None:
        """How many bytes can still be appended, None where the device cannot tell.

        Raises:
            RsmError: the device cannot be asked.
        """
        status = self._measure()
        return status.free_bytes

    def open(self, mode: SideMode = "rb") -> BinaryIO:
        """Open what is recorded on the side: `rb` reads it, `wb` writes it anew, `ab` appends.

        Raises:
            InvalidStateError: the side was dismounted, or taken away.
            InvalidParameterError: the mode is none of these.
            OSError: EROFS for writing when it is write protected or mounted for reading; ENOSPC at capacity.
            RsmError: the device cannot be used.
        """
        self._check_mounted()
        row = self._row
        with self._device() as device:
            file = device.open_side(
                row.element, row.side_number + 1, mode, read_only=not self.for_writing, barcode=row.barcode or None
            )
        self._files.add(file)
        return file

    def dismount(self, deferred: bool = False) -> None:
        """Give the side back; files still open on it are closed. Doing it again does nothing.

        `deferred` leaves the cartridge in its drive for a while, so that mounting it again needs no robot.

        Raises:
            InvalidStateError: more is recorded than the side holds, or what was to be read only was changed; it was
                given back, and is marked.
            OSError: what was written last did not get to the disk; it was given back all the same.
            RsmError: the catalogue cannot be written; call it again, or the session's end gives it back.
        """
        check_types({"deferred": deferred}, bool)
        if self._ended:
            return
        failures = []
        for file in list(self._files):
            try:
                file.close()
            except (RsmError, OSError) as failure:
                failures.append(failure)
        fault = self._find_fault()
        released = self._session.write(mounts.release_mount, self.id, "dismount", deferred=deferred)
        self._ended = True
        if fault is not None and released:
            self._session.write(mounts.flag_side, self.side, fault)
            raise InvalidStateError(f"cartridge {self._row.name}: {fault}")
        if failures:
            raise failures[0]

    def keep(self) -> None:
        """Leave the side in its drive when the session ends, for whoever uses it, until `session.mounts.dismount`.

        Raises:
            InvalidStateError: it is not mounted any more.
        """
        if self._ended or not self._session.write(mounts.keep_mount, self.id):
            raise InvalidStateError(f"cartridge {self._row.name} is not mounted any more: mount it again")
        self._ended = True

    def __enter__(self) -> "Mount":
        self._check_mounted()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.dismount()
        except (RsmError, OSError) as failure:
            if error is None:
                raise
            _log.warning("dismounting %s failed too: %s", self._row.name, failure)

    def _check_mounted(self) -> None:
        if self._ended or self._session.read(mounts.read_mounted, self.id) is None:
            raise InvalidStateError(f"cartridge {self._row.name} is not mounted any more: mount it again")

    def _measure(self) -> SideStatus:
        with self._device() as device:
            return device.read_side(self._row.element, self._row.side_number + 1)

    @contextlib.contextmanager
    def _device(self) -> Iterator[LibraryBackend]:
        """Open the device; where it tells of a door that was opened, the worker is to hear of it."""
        with open_library(self._row.back_end, self._row.address) as device:
            try:
                yield device
            finally:
                if device.saw_contents_change:
                    self._session.write(queue.queue_inventory, self._row.library_id)

    def _look(self) -> SideStatus | None:
        try:
            return self._measure()
        except RsmError:
            return None

    def _find_fault(self) -> str | None:
        status = self._look()
        if status is None:
            return None
        if self._before is not None and status.fingerprint != self._before.fingerprint:
            return "it was changed although it was mounted for reading"
        return status.fault


class Mounts(tuple[Mount, ...]):
    """Several sides that were mounted together. Use them in `with`, or dismount each."""

    def __enter__(self) -> "Mounts":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.ExitStack() as stack:
            for mount in self:
                stack.push(mount)


@dataclass(frozen=True, slots=True)
class Request:
    """Mounts that were asked for and may be waited for, or cancelled."""

    session: Runner
    ids: tuple[uuid.UUID, ...]
    many: bool

    @property
    def state(self) -> NtmsLmState:
        """The state of the first of them that has not passed, or PASSED."""
        states = [NtmsLmState(request.state) for request in self.session.read(mounts.read_requests, self.ids)]
        return next((state for state in states if state is not queue.PASSED), queue.PASSED)

    @property
    def position(self) -> int:
        """The place of the first of them in the queue, 1 is next; 0 once it is not in the queue any more."""
        found = self.session.read(mounts.read_requests, self.ids)
        return min((request.order_number for request in found if request.order_number), default=0)

    def cancel(self) -> None:
        """Cancel them; what is mounted, or arrives yet, is put away again. Nothing if they have ended otherwise."""
        self.session.write(mounts.abandon_requests, self.ids)

    def wait(self, timeout_ms: int | None = None, *, on_wait: OnWait | None = None) -> "Mount | Mounts":
        """Wait until all are mounted, and return them. Whatever ends the wait otherwise cancels them.

        Raises:
            InvalidOperationError: this thread is in a batch.
            TimeoutError: the time is over and nothing was begun; a move that has begun is waited for.
            CancelledError: the session was closed, or an administrator cancelled it.
            RequestRefusedError: an operator refused to bring a cartridge.
            MediaOfflineError: a cartridge vanished, or was not where an operator said it is.
            RsmError: what went wrong on the way.
        """
        self.session.check_may_wait()
        try:
            rows = self._wait(Waiter(self.session, timeout_ms, on_wait), on_wait)
            made = [Mount(self.session, one, row) for one, row in zip(self.ids, rows, strict=True)]
        except BaseException:
            if not self.session.closed:
                with contextlib.suppress(RsmError):  # what ended the wait says more
                    self.cancel()
            raise
        return Mounts(made) if self.many else made[0]

    def _wait(self, waiter: Waiter, on_wait: OnWait | None) -> Sequence[Any]:
        try:
            return waiter.wait_for(lambda: self._look(explain=on_wait is not None or waiter.is_over))
        except TimeoutError as error:
            over = error
        return Waiter(self.session, None, on_wait).wait_for(lambda: self._look_past_time(over))

    def _look_past_time(self, over: TimeoutError) -> Done[Sequence[Any]] | Waiting:
        """Look on only while a move is being made; what was begun may be put back into the queue, or be left alone."""
        found = self._look()
        if not isinstance(found, Done) and found.reason is not WaitReason.MOVING:
            if self._withdraw():
                raise over
            found = self._look()
        if isinstance(found, Done) or any(self._is_in_hand(request_id) for request_id in self.ids):
            return found
        raise over

    def _withdraw(self) -> bool:
        return self.session.write(mounts.withdraw_mounts, self.ids, error_code=int(TimeoutError.code))

    def _is_in_hand(self, request_id: uuid.UUID) -> bool:
        request = self.session.read(queue.read_request, request_id)
        if request is None or not self.session.is_worked(request.library_id):
            return False
        try:
            self.session.read(check_epoch, request.library_id, request.epoch)
        except SupersededError:  # another has taken the library over, but maybe not got its device
            return False
        return True

    def _look(self, *, explain: bool = True) -> Done[Sequence[Any]] | Waiting:
        found = self.session.read(mounts.read_progress, self.ids, explain=explain)
        if found.failure is not None:
            raise found.failure
        if found.mounted is not None:
            return Done(found.mounted)
        request = next(each for each in found.requests if each.completed is None)
        if found.has_begun and found.hindrance is Hindrance.NONE:
            return Waiting(WaitReason.MOVING, found.text, request=request.id)
        if not explain and not found.has_begun:
            return Waiting(WaitReason.QUEUED, "", request=request.id)
        if found.hindrance is Hindrance.NONE and not self.session.is_worked(request.library_id):
            text = "nobody works the library: open a session with worker=True, or run rsm worker"
            return Waiting(WaitReason.NOBODY_WORKS, text, request=request.id)
        return Waiting(_REASONS[found.hindrance], found.text, request=request.id)


class MountCalls(Noun):
    """Media in drives."""

    @overload
    def mount(
        self,
        media: MountableLike,
        *,
        write: bool = False,
        drive: "DriveLike | Sequence[DriveLike] | None" = None,
        priority: int = 0,
        timeout_ms: int | None = None,
        error_if_busy: bool = False,
        error_if_offline: bool = False,
        on_wait: OnWait | None = None,
    ) -> Mount: ...

    @overload
    def mount(
        self,
        media: list[M] | tuple[M, ...],
        *,
        write: bool = False,
        drive: "DriveLike | Sequence[DriveLike] | None" = None,
        priority: int = 0,
        timeout_ms: int | None = None,
        error_if_busy: bool = False,
        error_if_offline: bool = False,
        on_wait: OnWait | None = None,
    ) -> Mounts: ...

    def mount(
        self,
        media: "MountableLike | Sequence[MountableLike]",
        *,
        write: bool = False,
        drive: "DriveLike | Sequence[DriveLike] | None" = None,
        priority: int = 0,
        timeout_ms: int | None = None,
        error_if_busy: bool = False,
        error_if_offline: bool = False,
        on_wait: OnWait | None = None,
    ) -> "Mount | Mounts":
        """Mount one side, or several all or none, and return what is mounted (MountNtmsMedia).

        A side is named by its logical medium, its id, or the name or bar code of its cartridge. `write`: for writing
        too. `drive`: in that drive, for several a drive each. `priority`: -15 to 15 among those who wait. `timeout_ms`:
        None waits for ever, 0 is one try. `error_if_busy`: do not wait for media and drives. `error_if_offline`: do
        not have an operator asked. `on_wait` is told why it waits, at least every second; raising from it cancels.

        Raises:
            RsmError: as `request` and `Request.wait`.
            BusyError: with `error_if_busy`, a medium or drive is not available now.
        """
        asked = self._request(media, write, drive, priority, timeout_ms, error_if_busy, error_if_offline)
        if timeout_ms == 0:
            timeout_ms = _PATIENCE_OF_ONE_TRY_MS
        return asked.wait(timeout_ms, on_wait=on_wait)

    def request(
        self,
        media: "MountableLike | Sequence[MountableLike]",
        *,
        write: bool = False,
        drive: "DriveLike | Sequence[DriveLike] | None" = None,
        priority: int = 0,
        error_if_busy: bool = False,
        error_if_offline: bool = False,
    ) -> Request:
        """Ask for a mount and return at once; see `mount`.

        Raises:
            TypeError: an argument has the wrong Python type.
            InvalidOperationError: this thread is in a batch.
            InvalidParameterError: nothing is named, or a number is out of range.
            InvalidMediaError: one names no side, or two the same cartridge.
            AccessDeniedError: no use right on a pool, or on the library that holds it.
            WriteProtectError: a side to be written is complete.
            InvalidStateError: a side to be written is not allocated.
            ResourceDisabledError: cartridge, side or library is disabled.
            InvalidDriveError: there is no such drive.
            InvalidParameterError: the same drive is named twice.
            DriveMediaMismatchError: the media and drives are in different libraries.
            MediaOfflineError: a cartridge is on the shelf, and no library takes it or nobody is to be asked.
            BusyError: with `error_if_busy`, a cartridge is on the shelf.
            DriveMediaMismatchError: the media and drives do not fit, or there are more media than drives.
            ResourceDisabledError: every drive that takes one is disabled.
        """
        return self._request(media, write, drive, priority, None, error_if_busy, error_if_offline)

    def _request(
        self,
        media: Any,
        write: bool,
        drive: Any,
        priority: int,
        timeout_ms: int | None,
        error_if_busy: bool,
        error_if_offline: bool,
    ) -> Request:
        check_types({"write": write, "error_if_busy": error_if_busy, "error_if_offline": error_if_offline}, bool)
        check_types({"priority": priority}, int)
        Waiter(self.session, timeout_ms, None)
        self.session.check_may_wait()
        many = isinstance(media, (list, tuple))
        kinds = (values.LogicalMedium, values.Side, values.PhysicalMedium)
        wanted = [reference(each, "media", *kinds) for each in (media if many else [media])]
        drives = [] if drive is None else drive if isinstance(drive, (list, tuple)) else [drive]
        named = [reference(each, "drive", values.Drive) for each in drives]
        otherwise: type[RsmError] | None = BusyError if error_if_busy else TimeoutError if timeout_ms == 0 else None
        ids = self.session.write(
            mounts.request_mounts,
            self.caller,
            self.session.enrolment(),
            wanted,
            writing=write,
            drives=named,
            priority=priority,
            otherwise=otherwise,
            fail_if_offline=error_if_offline,
        )
        return Request(self.session, ids, many)

    def dismount(self, *media: MountableLike, deferred: bool = False) -> None:
        """Give back mounted media, whoever's they are (DismountNtmsMedia).

        Raises:
            TypeError: an argument has the wrong Python type.
            InvalidParameterError: none is named.
            InvalidMediaError: one names no side.
            AccessDeniedError: no use right on a pool, or on the library that holds it.
            MediaOfflineError: a cartridge is on the shelf.
            InvalidStateError: one is not mounted.
            MediaNotAvailableError: a cartridge is disabled.
            DeviceNotAvailableError: its drive or library is disabled.
        """
        check_types({"deferred": deferred}, bool)
        kinds = (values.LogicalMedium, values.Side, values.PhysicalMedium)
        wanted = [reference(each, "media", *kinds) for each in media]
        self.session.write(mounts.release_sides, self.caller, wanted, deferred=deferred)

    def empty_drive(self, drive: DriveLike) -> None:
        """Have a drive emptied without naming the cartridge (DismountNtmsDrive).

        Raises:
            InvalidDriveError: there is no such drive.
            AccessDeniedError: the right on the library is missing.
            DeviceNotAvailableError: drive or library is disabled.
            InvalidStateError: the drive is empty.
            BusyError: its cartridge is in use.
        """
        self.session.write(mounts.empty_drive, self.caller, reference(drive, "drive", values.Drive))
