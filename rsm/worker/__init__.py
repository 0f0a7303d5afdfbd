"""The worker: one thread a catalogue in every process that may carry out library work.

It claims libraries that have something to begin and that nobody else holds, has their requests carried out
(`rsm.worker.holder`), has stand-alone drives watched (`rsm.worker.watchman`), ends sessions whose process died, and
purges what was kept long enough. It decides nothing about media: services do. It holds no transaction while a device
works.
"""

import logging
import os
import threading
import time
import uuid
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from rsm import identity
from rsm.db import Database, Origin, Transaction, new_id
from rsm.errors import RsmError
from rsm.services import agenda, dismounts, epochs, outlook
from rsm.services.agenda import Work
from rsm.services.sessions import OpenSession, claim_of_library
from rsm.services.steps import Running
from rsm.worker.holder import Holder
from rsm.worker.watchman import Watchman

P = ParamSpec("P")
T = TypeVar("T")

SERVICE = "Removable Storage"
# A program that commits all the time keeps its processor: after a look the worker rests so many times as long as the
# look took, and the longer the more looks in a row found nothing to do.
_REST_AFTER_LOOK, _MOST_IDLE_LOOKS = 4, 12
_KEEP_IDLE_SECONDS = 0.5
_LOOK_SECONDS = 1.0  # nothing wakes a worker when another process dies
_IDLE_LOOK_SECONDS = 30.0
_PURGE_SECONDS = 600.0
_LONGEST_REST_SECONDS = 30.0
_SERVER_GRACE_SECONDS = 3.0
_log = logging.getLogger("rsm.worker")


class Worker:
    """The worker of one catalogue in this process."""

    def __init__(self, database: Database) -> None:
        self.users = 0
        self._database = database
        self._origin = Origin(SERVICE, SERVICE, new_id())
        self._stopping = threading.Event()
        self._holders: dict[uuid.UUID, Holder] = {}
        self._rest_until: dict[uuid.UUID, float] = {}
        self._rests: dict[uuid.UUID, float] = {}
        # A server that was restarted loses all claims; whoever lives claims again at once.
        self._grace_seconds = 0.0 if database.is_sqlite else _SERVER_GRACE_SECONDS
        self._unclaimed: dict[uuid.UUID, float] = {}
        self._next_purge = time.monotonic()
        self._process = os.getpid()
        self._watchman = Watchman(self)
        self._thread = threading.Thread(target=self._work, name="rsm-worker", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self, *, wait: bool = True) -> None:
        """Begin no further step, and wait for those in hand."""
        if self._process != os.getpid():
            return
        self._stopping.set()
        for holder in list(self._holders.values()):
            holder.stop()
        self._database.watcher.wake()
        if wait and threading.current_thread() is not self._thread:
            self._thread.join()

    # What holders and services need

    @property
    def stopping(self) -> bool:
        """Whether no further step is to be begun."""
        return self._stopping.is_set()

    def pause(self, seconds: float) -> None:
        """Sleep, but not longer than until the worker is to stop."""
        self._stopping.wait(seconds)

    def wake(self) -> None:
        """Let the worker look again."""
        self._database.watcher.wake()

    def read(self, service: Callable[Concatenate[Transaction, P], T], *arguments: P.args, **keywords: P.kwargs) -> T:
        """Run a service on a snapshot."""
        with self._database.snapshot(self._origin) as transaction:
            return service(transaction, *arguments, **keywords)

    def write(self, service: Callable[Concatenate[Transaction, P], T], *arguments: P.args, **keywords: P.kwargs) -> T:
        """Run a service in a write transaction, with all the patience there is: a move was made or will be."""
        with self._database.transaction(self._origin) as transaction:
            return service(transaction, *arguments, **keywords)

    # Working

    def _work(self) -> None:
        watcher = self._database.watcher
        rest, idle = 0.0, 1
        while not self._stopping.is_set():
            seen, begun = watcher.mark(), time.monotonic()
            try:
                seconds = self._look()
                rest, idle = 0.0, 1 if self._is_busy else min(idle + 1, _MOST_IDLE_LOOKS)
            except Exception as error:  # noqa: BLE001 - without this thread nothing would move, and nobody be told
                if self._database.dead or self._database.superseded:
                    break  # what it holds is another's to work from now on
                rest = min(_LONGEST_REST_SECONDS, 2 * rest or 0.5)
                bug = not isinstance(error, RsmError)
                _log.warning("the worker could not go on, again in %.1f s: %s", rest, error, exc_info=bug)
                self._stopping.wait(rest)
                continue
            self._stopping.wait(min(_LOOK_SECONDS, idle * _REST_AFTER_LOOK * (time.monotonic() - begun)))
            if not self._stopping.is_set():
                watcher.wait(seen, seconds)
        for library_id in list(self._holders):
            self._let_go(library_id)
        self._watchman.stop()

    @property
    def _is_busy(self) -> bool:
        return any(holder.idle_seconds() < _KEEP_IDLE_SECONDS for holder in self._holders.values())

    def _look(self) -> float:
        """Do what there is to do, and return after how many seconds to look again if nothing wakes."""
        self._database.claims.renew()
        found = self.read(agenda.read_agenda, identity.host())
        others = self._end_dead_sessions(found.sessions)
        self._watchman.watch(found.watched)
        seconds = _LOOK_SECONDS if others or found.libraries else _IDLE_LOOK_SECONDS
        for work in found.libraries:
            if self._stopping.is_set():
                break
            self._see_to(work)
            if work.next_due is not None:
                seconds = min(seconds, (work.next_due - found.now).total_seconds())
        for library_id, holder in list(self._holders.items()):
            if holder.is_lost or holder.idle_seconds() >= _KEEP_IDLE_SECONDS:
                self._let_go(library_id)
            else:
                seconds = min(seconds, _KEEP_IDLE_SECONDS)
        if time.monotonic() >= self._next_purge:
            self._next_purge = time.monotonic() + _PURGE_SECONDS
            if self.read(agenda.is_purge_worthwhile) and self.write(agenda.purge) >= agenda.MOST_AT_ONCE:
                self._next_purge = time.monotonic()  # there is more than one look's worth
                seconds = min(seconds, _LOOK_SECONDS)
        return seconds

    def _end_dead_sessions(self, sessions: tuple[OpenSession, ...]) -> int:
        """End the sessions whose claim nobody holds any more, and return how many are left."""
        left = 0
        unclaimed = {session.id: self._unclaimed.get(session.id, time.monotonic()) for session in sessions}
        self._unclaimed = {}
        for session in sessions:
            held = self._database.claims.is_held(session.claim)
            since = unclaimed[session.id]
            if held or time.monotonic() < since + self._grace_seconds:
                left += 1
                if not held:
                    self._unclaimed[session.id] = since
                continue
            if self.write(dismounts.end_session, session.id, died=True):
                _log.info("session %s died: its mounts can be dismounted, its requests are cancelled", session.id)
        return left

    def _see_to(self, work: Work) -> None:
        try:
            holder = self._holders.get(work.library_id) or self._try_to_hold(work)
            if holder is not None:
                holder.begin_due()
            return
        except epochs.SupersededError as error:
            _log.warning("library %s: %s", work.library_id, error)
        except Exception:  # noqa: BLE001 - one library that cannot be worked must not keep others from it
            # What was begun is not known: who takes the library over begins again from what the device shows.
            _log.exception("library %s is left for a while", work.library_id)
            self._rest(work.library_id)
        held = self._holders.get(work.library_id)
        if held is not None:
            held.is_lost = True

    def _try_to_hold(self, work: Work) -> Holder | None:
        claim, claims = claim_of_library(work.library_id), self._database.claims
        if time.monotonic() < self._rest_until.get(work.library_id, 0.0) or claims.is_held(claim):
            return None
        if not work.begun and self.read(outlook.look, work.library_id, Running()).is_empty:
            return None
        if not claims.hold(claim):
            return None
        holder = Holder(self, self._database, work, claim)
        try:
            ready = holder.open()
        except RsmError as error:
            _log.warning("library %s at %s cannot be worked: %s", work.library_id, work.address, error)
            ready = False
        except BaseException:
            holder.close()
            raise
        if not ready:
            holder.close()
            self._rest(work.library_id)
            return None
        self._rests.pop(work.library_id, None)
        self._holders[work.library_id] = holder
        return holder

    def _rest(self, library_id: uuid.UUID) -> None:
        seconds = min(_LONGEST_REST_SECONDS, 2 * self._rests.get(library_id, 0.25))
        self._rests[library_id] = seconds
        self._rest_until[library_id] = time.monotonic() + seconds

    def _let_go(self, library_id: uuid.UUID) -> None:
        holder = self._holders.pop(library_id)
        try:
            holder.close()
        except Exception:  # noqa: BLE001 - a device that cannot be closed is no reason to stop working
            _log.exception("library %s was let go of with trouble", library_id)


# The workers of this process

_workers: dict[int, Worker] = {}
_lock = threading.Lock()


def attach(database: Database) -> None:
    """See that this process works the libraries of a catalogue; `detach` it once for every call."""
    with _lock:
        worker = _workers.get(id(database))
        if worker is None:
            worker = Worker(database)
            worker.start()
            _workers[id(database)] = worker
        worker.users += 1


def detach(database: Database, *, wait: bool = True) -> None:
    """Give back what `attach` asked for; the last one waits for the steps in hand, unless told not to."""
    with _lock:
        worker = _workers.get(id(database))
        if worker is None:
            return
        worker.users -= 1
        if worker.users:
            return
        del _workers[id(database)]
    worker.stop(wait=wait)


def is_attached(database: Database) -> bool:
    """Tell whether this process works the libraries of a catalogue."""
    return id(database) in _workers


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()
    _workers.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)
