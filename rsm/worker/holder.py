"""One library in the hands of this process: its device, its epoch, and the requests that are being carried out.

A request is carried out by a thread of its own, step by step. The moves of a library come one after the other, or as
many beside each other as its robot has arms; steps in drives run beside each other. What is in hand when another
process takes the library over is dropped.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from rsm import identity
from rsm.constants import ErrorCode, NtmsOperationalState
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Database, Transaction
from rsm.errors import (
    BusyError,
    DatabaseFailureError,
    DatabaseFullError,
    DeviceNotAvailableError,
    InvalidHandleError,
    InvalidLibraryError,
    NotConnectedError,
    NotEnoughMemoryError,
    NotReadyError,
    ResourceNotAvailableError,
    ResourceNotPresentError,
    RsmError,
)
from rsm.libraries import open_library
from rsm.libraries.base import (
    DestinationFullError,
    LibraryBackend,
    LibraryIdentity,
    LostError,
    Readiness,
    ReadinessState,
    SourceEmptyError,
    StaleEpochError,
)
from rsm.services import devices, inventory, outlook, progress, queue
from rsm.services.agenda import Work
from rsm.services.devices import Place
from rsm.services.epochs import SupersededError, check_epoch, take_over
from rsm.services.steps import Running, Start
from rsm.worker.attended import performer_of
from rsm.worker.robot import Robot
from rsm.worker.steps import OutOfTouchError, Stopped

if TYPE_CHECKING:
    from rsm.worker import Worker

P = ParamSpec("P")
T = TypeVar("T")

# What may be otherwise the next time: something was moved by hand, the device was busy, or the line to it broke.
_WORTH_ANOTHER_TRY = (
    LostError,
    SourceEmptyError,
    DestinationFullError,
    BusyError,
    NotReadyError,
    ResourceNotAvailableError,
    ResourceNotPresentError,
)
# What a catalogue fails with, as against what it refuses.
_CATALOGUE_FAILURES = (
    DatabaseFailureError,
    DatabaseFullError,
    InvalidHandleError,
    NotConnectedError,
    NotEnoughMemoryError,
    NotReadyError,
)
_log = logging.getLogger("rsm.worker")
_seen_identities: dict[uuid.UUID, LibraryIdentity] = {}


class Holder:
    """A library that this process has claimed."""

    def __init__(self, worker: "Worker", database: Database, work: Work, claim: int) -> None:
        self.worker = worker
        self.library_id = work.library_id
        self.epoch = 0
        self.is_lost = False
        self.robot = Robot()
        self.can_exchange = False
        self.places: dict[int, Place] = {}
        self._is_standalone = False
        self._database = database
        self._work = work
        self._claim = claim
        self._backend: LibraryBackend | None = None
        self._lock = threading.Lock()
        self._starts: dict[uuid.UUID, Start] = {}
        self._threads: dict[uuid.UUID, threading.Thread] = {}
        self._stopping = False
        self._idle_since = time.monotonic()

    @property
    def backend(self) -> LibraryBackend:
        """The device."""
        assert self._backend is not None, "it was opened"
        return self._backend

    @property
    def ports_extend(self) -> bool:
        """Whether ports are pushed out for a person, and cannot be reached by the robot meanwhile."""
        told = _seen_identities.get(self.library_id)
        return told is not None and told.ports_extend

    # Taking over

    def open(self) -> bool:
        """Take the library over: a new epoch, the device claimed, and what a former holder had in hand sorted out.

        False: the device is not ready, or the library is gone.

        Raises:
            RsmError: the device cannot be opened or read.
        """
        epoch = self.worker.write(take_over, self.library_id)
        if epoch is None:
            return False
        self.epoch = epoch
        try:
            self._backend = open_library(self._work.back_end, self._work.address)
            readiness = self._backend.check_readiness()
            if readiness.state is not ReadinessState.READY:
                becoming = readiness.state is ReadinessState.BECOMING_READY
                state = NtmsOperationalState.NTMS_INITIALIZING if becoming else NtmsOperationalState.NTMS_NEEDS_SERVICE
                self._set_library_state(state)
                _log.warning("library at %s is %s: %s", self._work.address, readiness.state, readiness.text)
                return False
            self._claim_device()
            self._sync()
        except (ResourceNotPresentError, DeviceNotAvailableError, InvalidLibraryError):
            self._set_library_state(NtmsOperationalState.NTMS_NOT_PRESENT)
            raise
        self._set_library_state(NtmsOperationalState.NTMS_READY)
        self._recover()
        if readiness.contents_may_differ:
            self.worker.write(queue.queue_inventory, self.library_id)
        return True

    def _claim_device(self) -> None:
        try:
            self.backend.claim(self.epoch)
        except StaleEpochError:
            # Nobody else has taken it over in this catalogue, so the device remembers another one, or a later state of
            # this one that was put back from a copy: begin where no count of take-overs comes to.
            self.worker.read(check_epoch, self.library_id, self.epoch)
            epoch = self.worker.write(take_over, self.library_id, int(time.time()))
            if epoch is None:
                raise
            self.epoch = epoch
            self.backend.claim(epoch)

    def _set_library_state(self, state: NtmsOperationalState) -> None:
        self.worker.write(devices.set_library_state, self.library_id, state)

    def _sync(self) -> None:
        """Bring the elements on record up to what the device says of itself, when that is news to this process."""
        told = self.backend.read_identity()
        self.robot.set_arms(told.transports)
        self.can_exchange = told.can_exchange
        self._is_standalone = told.is_standalone
        if _seen_identities.get(self.library_id) != told:
            elements = list(self.backend.read_elements())
            self.worker.write(devices.sync_library, self.library_id, told, elements, identity.host())
            _seen_identities[self.library_id] = told
        self.places = self.worker.read(devices.read_elements_of, self.library_id)

    def _recover(self) -> None:
        """Look at every drive, and at all that a move which was broken off could have touched, before anything else.

        What a person changed in a stand-alone drive is left to inventories: there is no move that could be broken off.
        """
        touched = self.worker.read(progress.broken_off_elements, self.library_id)
        drives = {place.element for place in self.places.values() if place.kind is Kind.NTMS_DRIVE and place.present}
        if self._is_standalone:
            drives = set()
        with self.robot:
            known = {each for each in touched | drives if each in self.places and self.places[each].present}
            statuses = list(self.backend.read_elements(known)) if known else []

            def put_right(transaction: Transaction) -> int:
                check_epoch(transaction, self.library_id, self.epoch)
                inventory.record_look(transaction, self.library_id, self.places, statuses, complete=False)
                return progress.put_back_all(transaction, self.library_id, self.epoch)

            broken_off = self.worker.write(put_right)
        if broken_off:
            _log.info("library at %s: %d requests of a former holder are begun again", self._work.address, broken_off)

    def see_readiness(self) -> Readiness:
        """Ask the device whether it takes calls; where a door was opened or the power gone, an inventory follows."""
        readiness = self.backend.check_readiness()
        if readiness.contents_may_differ:
            self.worker.write(queue.queue_inventory, self.library_id)
        return readiness

    # Carrying out

    def begin_due(self) -> None:
        """Begin every request that can begin now.

        Raises:
            SupersededError: another process has taken the library over.
        """
        running = self._running()  # before the look at `is_lost`: what a failing thread left is not to be put back here
        if self.is_lost or self._stopping:
            return
        if not self._database.claims.holds(self._claim):
            raise SupersededError("the claim was lost with the connection that carried it")
        if self.worker.read(outlook.look, self.library_id, running).is_empty:
            return
        for start in self.worker.write(progress.start_due, self.library_id, self.epoch, running):
            thread = threading.Thread(target=self._carry_out, args=(start,), name="rsm-request", daemon=True)
            with self._lock:
                self._starts[start.request.id] = start
                self._threads[start.request.id] = thread
            try:
                thread.start()
            except RuntimeError:  # no thread to be had: who holds the library next begins this request again
                with self._lock:
                    del self._starts[start.request.id], self._threads[start.request.id]
                self.is_lost = True
                raise

    def _running(self) -> Running:
        with self._lock:
            return Running(dict(self._starts), self.can_exchange)

    def idle_seconds(self) -> float:
        """Return for how long nothing has been in hand."""
        with self._lock:
            return 0.0 if self._starts else time.monotonic() - self._idle_since

    def _carry_out(self, start: Start) -> None:
        try:
            self._perform(start)
            self.see_readiness()
        except (SupersededError, StaleEpochError, OutOfTouchError) as error:
            _log.warning("library at %s: %s", self._work.address, error)
            self.is_lost = True
        except Exception:  # noqa: BLE001 - a thread has nobody above it, and the request must not be lost
            # The catalogue itself failed: who holds the library next begins again from what the device shows.
            _log.exception("library at %s: request %s is left to be begun again", self._work.address, start.request.id)
            self.is_lost = True
        finally:
            with self._lock:
                del self._starts[start.request.id], self._threads[start.request.id]
                self._idle_since = time.monotonic()
            self.worker.wake()

    def _perform(self, start: Start) -> None:
        performer = performer_of(self, start)
        try:
            performer.perform()
        except (SupersededError, StaleEpochError, OutOfTouchError):
            raise
        except Stopped:
            self.record(progress.interrupt, start)
        except RsmError as error:
            doing = queue.spoken(start.request.operation)
            _log.warning("library at %s: %s went wrong: %s", self._work.address, doing, error)
            again = isinstance(error, _WORTH_ANOTHER_TRY)
            performer.fail(int(error.code), str(error), again=again)
        except Exception:  # noqa: BLE001 - whoever waits for the request must hear of its end
            _log.exception("library at %s: request %s met a bug", self._work.address, start.request.id)
            performer.fail(int(ErrorCode.ERROR_INTERNAL_ERROR), "rsm failed: see its log")

    def record(
        self,
        service: Callable[Concatenate[Transaction, uuid.UUID, int, P], T],
        *arguments: P.args,
        **keywords: P.kwargs,
    ) -> T:
        """Run a service that writes for the holder of this epoch.

        Raises:
            OutOfTouchError: the catalogue failed.
            RsmError: the service refused.
        """

        def once(transaction: Transaction) -> T:
            return service(transaction, self.library_id, self.epoch, *arguments, **keywords)

        return self.write(once)

    def write(self, service: Callable[[Transaction], T]) -> T:
        """Run a service that writes (OutOfTouchError, RsmError)."""
        try:
            return self.worker.write(service)
        except _CATALOGUE_FAILURES as error:
            raise OutOfTouchError(f"the catalogue failed in the middle of work: {error}") from error

    def read(self, service: Callable[Concatenate[Transaction, P], T], *arguments: P.args, **keywords: P.kwargs) -> T:
        """Run a service on a snapshot (OutOfTouchError, RsmError)."""
        try:
            return self.worker.read(service, *arguments, **keywords)
        except _CATALOGUE_FAILURES as error:
            raise OutOfTouchError(f"the catalogue failed in the middle of work: {error}") from error

    # Letting go

    def stop(self) -> None:
        """Begin no further step."""
        self._stopping = True

    @property
    def stopping(self) -> bool:
        """Whether no further step is to be begun."""
        return self._stopping or self.is_lost

    def close(self) -> None:
        """Wait for the steps in hand, close the device, and let others have the library."""
        self.stop()
        with self._lock:
            threads = list(self._threads.values())
        for thread in threads:
            thread.join()
        try:
            if self._backend is not None:
                self._backend.close()
        finally:
            self._database.claims.drop(self._claim)
