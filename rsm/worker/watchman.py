"""The watchman: looks at stand-alone drives while a session wants to hear of what a person puts in or takes out.

It has a thread for each drive, so that one that does not answer keeps nobody waiting. A thread reads the device, and
where that shows something new queues an inventory, which whoever works the library carries out. It claims nothing and
moves nothing.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rsm.constants import NtmsOperationalState
from rsm.db import Transaction
from rsm.errors import DeviceNotAvailableError, InvalidLibraryError, ResourceNotPresentError, RsmError
from rsm.libraries import open_library
from rsm.services import detection, devices
from rsm.worker.steps import read_label

if TYPE_CHECKING:
    from rsm.services.agenda import Work
    from rsm.worker import Worker

POLL_SECONDS = 1.0
_PATIENCE_SECONDS = 2.0
_log = logging.getLogger("rsm.worker")


class Watchman:
    """Who watches the drives of one catalogue in this process."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._stops: dict[uuid.UUID, threading.Event] = {}
        self._threads: list[threading.Thread] = []

    def watch(self, libraries: Sequence[Work]) -> None:
        """Watch these libraries and no others."""
        wanted = {each.library_id: each for each in libraries}
        for library_id in self._stops.keys() - wanted.keys():
            self._stops.pop(library_id).set()
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        for library_id in wanted.keys() - self._stops.keys():
            stop = threading.Event()
            watch = Watch(self._worker, wanted[library_id], stop)
            thread = threading.Thread(target=watch.run, name="rsm-watch", daemon=True)
            thread.start()
            self._stops[library_id] = stop
            self._threads.append(thread)

    def stop(self) -> None:
        """Watch nothing any more; wait a moment for the looks in hand, but not for a device that does not answer."""
        self.watch(())
        for thread in self._threads:
            thread.join(_PATIENCE_SECONDS)


class Watch:
    """The watching of one library."""

    def __init__(self, worker: Worker, work: Work, stop: threading.Event) -> None:
        self._worker = worker
        self._work = work
        self._stop = stop
        self._reported: object = None

    def run(self) -> None:
        """Look until it is enough."""
        while not self._stop.is_set():
            try:
                self.look()
            except RsmError as error:
                _log.warning("%s cannot be watched just now: %s", self._work.address, error)
            except Exception:  # noqa: BLE001 - without this thread nobody would hear of a change, nor of the bug
                _log.exception("%s cannot be watched", self._work.address)
            self._stop.wait(POLL_SECONDS)

    def look(self) -> None:
        """Look once, and have an inventory taken where the device shows what is not on record; once a picture."""
        library_id = self._work.library_id
        element = self._worker.read(detection.element_to_read, library_id)
        with contextlib.ExitStack() as stack:
            try:
                device = stack.enter_context(open_library(self._work.back_end, self._work.address))
                statuses = list(device.read_elements())
            except (DeviceNotAvailableError, InvalidLibraryError, ResourceNotPresentError) as error:
                self._report(("gone", str(error)), self._mark_gone)
                return
            full = any(each.address == element and each.full and not each.exception for each in statuses)
            label = read_label(device, element, 1, self._work.address) if full and element is not None else None
        picture = (statuses, label)
        if picture == self._reported:
            return
        places = self._worker.read(devices.read_elements_of, library_id)
        seen = self._worker.read(
            detection.sees_change, library_id, places, statuses, label, label_was_read=element is not None and full
        )
        if seen:
            self._report(picture, lambda transaction: detection.queue_look(transaction, library_id))
        elif seen is False:
            self._reported = None

    def _report(self, picture: object, service: Callable[[Transaction], Any]) -> None:
        if picture != self._reported:
            self._worker.write(service)
            self._reported = picture

    def _mark_gone(self, transaction: Transaction) -> None:
        devices.set_library_state(transaction, self._work.library_id, NtmsOperationalState.NTMS_NOT_PRESENT)
