"""The write gate of an SQLite catalogue: an OS lock on a file beside it, fair between processes and bounded in time.

It owns the gate file and is the only module that opens it: POSIX locks go away when a process closes any descriptor of
the file. It never touches the catalogue. The kernel frees the lock when the holder dies, so nothing here needs a clock
or a process number.

Byte 0 is the turnstile: who waits for the gate, byte 1, holds the turnstile meanwhile, so a process that leaves the
gate and comes straight back queues behind those who were there before. Byte 2 shows that an upgrade runs. A blocking
wait has no time-out in POSIX, so it is done by a thread of the gate's own; a wait given up stays in the queue for
whoever asks next in this process, and lets go by itself when nobody does.

To hand the gate over takes longer than a small transaction. So a process that leaves while others wait keeps it for a
moment, and has it at once if it comes back; but all that for a few milliseconds only, then it is the others' turn.
"""

import contextlib
import fcntl
import os
import queue
import stat
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rsm.errors import DatabaseFailureError, NotEnoughMemoryError

_TURNSTILE, _GATE, _UPGRADE = 0, 1, 2
_TURN_SECONDS = 0.01  # how long a process may leave and come back before those who wait have their turn
_LINGER_SECONDS = 0.0005  # how long it may stay away


class GateTimeoutError(Exception):
    """The gate was not free within the time given."""


class _Waiter:
    """One blocking wait for the gate."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._settled = threading.Lock()  # held until the wait is over
        self._settled.acquire()
        self._lock = threading.Lock()
        self._wanted = True
        self.finished = False
        self.error: OSError | None = None

    def run(self) -> None:
        """Wait for as long as it takes."""
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX, 1, _TURNSTILE)
            try:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX, 1, _GATE)
            finally:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, _TURNSTILE)
        except OSError as error:
            self.error = error
        with self._lock:
            self.finished = True
            if self.error is None and not self._wanted:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, _GATE)
                self.error = InterruptedError("nobody waited any more")
        self._settled.release()

    def adopt(self) -> bool:
        """Ask for the gate this wait will bring; False if it is over and was given back."""
        with self._lock:
            self._wanted = not self.finished
            return self._wanted

    def outcome(self, seconds: float) -> bool:
        """Wait; True if the gate is ours, False if the time is over and the wait goes on without us."""
        if self._settled.acquire(timeout=min(seconds, threading.TIMEOUT_MAX)):
            self._settled.release()
        with self._lock:
            self._wanted = self.finished
            return self.finished

    def give_up(self) -> None:
        """Want it no more, and let go of it if it came in this very moment."""
        with self._lock:
            if self._wanted and self.finished and self.error is None:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, _GATE)
                self.error = InterruptedError("nobody waited any more")
            self._wanted = False


_Work = Callable[[], None]


def _do_all(work: "queue.SimpleQueue[_Work | None]") -> None:
    """Do one thing after the other until None: a thread for each would take longer than most waits."""
    while (do := work.get()) is not None:
        do()


class Gate:
    """The gate of one catalogue in this process; threads queue on an ordinary lock before the OS lock."""

    def __init__(self, path: str, mode: int) -> None:
        """Open or make the gate file with the catalogue's own permission bits; `open_gate` is for everyone else.

        Raises:
            OSError: it cannot be opened for writing.
        """
        self.path = path
        self.users = 0
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            os.fchmod(self._descriptor, mode & 0o666)  # whatever the umask: who may write the catalogue may pass here
        except FileExistsError:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._threads = threading.Lock()
        self._process = os.getpid()
        self._waiter: _Waiter | None = None
        self._work: queue.SimpleQueue[_Work | None] | None = None  # for the gate's own thread, once there is one
        self._turn = threading.Lock()  # over the next three
        self._lingers = False  # the gate is ours and nobody is in it
        self._is_watched = False  # the thread will end that
        self._left = 0.0
        self._turn_ends = 0.0
        self._marks = threading.Lock()
        self._upgrades = 0

    def enter(self, seconds: float) -> None:
        """Take the gate; `leave` it once.

        Raises:
            GateTimeoutError: it was not free within `seconds`.
            OSError: the lock itself failed.
        """
        if not self._threads.acquire(blocking=False):
            seconds = self._queue_up(seconds)
        try:
            if not (self._lingers and self._come_back()):
                if self._waiter is not None or not self._lock_at_once():
                    self._wait(time.monotonic() + seconds)
                if self._work is not None:
                    self._turn_ends = time.monotonic() + _TURN_SECONDS
        except BaseException:
            self._threads.release()
            raise

    def _queue_up(self, seconds: float) -> float:
        """Wait for this process's other threads; return the time that is left."""
        begun = time.monotonic()
        if not self._threads.acquire(timeout=max(0.0, min(seconds, threading.TIMEOUT_MAX))):
            raise GateTimeoutError
        return seconds - (time.monotonic() - begun)

    def leave(self) -> None:
        """Give the gate back after `enter`."""
        try:
            if os.getpid() != self._process:
                pass  # a child has neither lock nor file
            elif self._work is None:  # nobody was ever waited for, and there is no thread
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, _GATE)
            elif not self._linger():
                self._let_go()
        except BaseException:  # Ctrl-C
            self._let_go()
            raise
        finally:
            self._threads.release()

    def _let_go(self) -> None:
        with self._turn:
            self._lingers = False
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, _GATE)

    def _linger(self) -> bool:
        """Keep the gate for a moment, if others wait for it and the turn is not over."""
        assert self._work is not None, "others were waited for"
        if time.monotonic() >= self._turn_ends or not self._is_locked_elsewhere(_TURNSTILE):
            return False
        with self._turn:
            self._lingers, self._left = True, time.monotonic()
            if not self._is_watched:
                self._work.put(self._watch)
                self._is_watched = True
        return True

    def _watch(self) -> None:
        """Let go of the gate if nobody comes back."""
        while True:
            time.sleep(_LINGER_SECONDS)
            with self._turn:
                if self._lingers and time.monotonic() < self._left + _LINGER_SECONDS:
                    continue
                if self._lingers:
                    self._lingers = False
                    fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, _GATE)
                self._is_watched = False
                return

    def _come_back(self) -> bool:
        with self._turn:
            lingered, self._lingers = self._lingers, False
            return lingered

    @contextlib.contextmanager
    def held(self, seconds: float) -> Iterator[None]:
        """Hold the gate for the body (GateTimeoutError, OSError)."""
        self.enter(seconds)
        try:
            yield
        finally:
            self.leave()

    def _wait(self, until: float) -> None:
        if self._waiter is not None and not self._waiter.adopt():
            self._waiter = None
            if self._lock_at_once():
                return
        if self._waiter is None:
            self._waiter = self._begin_to_wait()
        try:
            in_time = self._waiter.outcome(max(0.0, until - time.monotonic()))
        except BaseException:  # Ctrl-C: without this the gate would come later to a process that forgot about it
            self._waiter.give_up()
            raise
        if not in_time:
            raise GateTimeoutError
        waiter, self._waiter = self._waiter, None
        if waiter.error is not None:
            raise waiter.error

    def _begin_to_wait(self) -> _Waiter:
        if self._work is None:
            work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
            threading.Thread(target=_do_all, args=(work,), name="rsm-gate", daemon=True).start()
            self._work = work
        waiter = _Waiter(self._descriptor)
        self._work.put(waiter.run)
        return waiter

    def _lock_at_once(self) -> bool:
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 2, _TURNSTILE)  # the gate too, or neither
        except (BlockingIOError, PermissionError):
            return False
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, _TURNSTILE)
        except BaseException:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 2, _TURNSTILE)
            raise
        return True

    @contextlib.contextmanager
    def upgrade_mark(self) -> Iterator[None]:
        """Show other processes, for as long as the body runs, that the catalogue is being upgraded."""
        with self._marks:
            self._upgrades += 1
            fcntl.lockf(self._descriptor, fcntl.LOCK_SH, 1, _UPGRADE)
        try:
            yield
        finally:
            with self._marks:
                self._upgrades -= 1
                if not self._upgrades:
                    fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, _UPGRADE)

    def upgrade_is_marked(self) -> bool:
        """Tell whether any process shows the upgrade mark; asking takes no lock, so that askers do not meet."""
        return bool(self._upgrades) or self._is_locked_elsewhere(_UPGRADE)

    def _is_locked_elsewhere(self, place: int) -> bool:
        wanted = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, place, 1, 0)
        found = struct.unpack("hhqqi", fcntl.fcntl(self._descriptor, fcntl.F_GETLK, wanted)[: len(wanted)])
        return bool(found[0] != fcntl.F_UNLCK)

    @property
    def waits(self) -> bool:
        """Whether a wait that was given up is still in the queue."""
        return self._waiter is not None and not self._waiter.finished

    def close(self) -> None:
        """Close the gate file, and with it every lock this process holds on it.

        While a wait that was given up is still in the queue the file stays open: its number must not come to name
        another file under a lock call.
        """
        if not self.waits:
            with self._turn:
                self._lingers = False
                os.close(self._descriptor)
            if self._work is not None:
                self._work.put(None)

    def forget(self) -> None:
        """Close the file in the child of a fork, where there is no thread and no lock but the parent's."""
        self._turn = threading.Lock()
        self.close()


# The gates this process has open: a second descriptor of one file, once closed, would take the first one's locks along.
_gates: dict[tuple[int, int], Gate] = {}
_gates_lock = threading.Lock()


def open_gate(path: str, mode: int) -> Gate:
    """Return this process's gate at `path`, made with the permission bits `mode`; `close_gate` it once for each call.

    Raises:
        OSError: it cannot be opened for writing.
    """
    with _gates_lock:
        with contextlib.suppress(FileNotFoundError):
            gate = _gates.get(_identity(os.stat(path)))
            if gate is not None:
                gate.users += 1
                return gate
        gate = Gate(path, mode)
        gate.users = 1
        _gates[_identity(os.stat(path))] = gate
        return gate


def close_gate(gate: Gate) -> None:
    """Give back what `open_gate` returned; the last one closes the file."""
    with _gates_lock:
        gate.users -= 1
        if gate.users or gate.waits:
            return  # a wait given up still moves the locks of this process: the next to open the file takes it over
        for identity in [identity for identity, known in _gates.items() if known is gate]:
            del _gates[identity]
        gate.close()


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


class Turnstile:
    """The gate of one catalogue as its doorway passes it: opened at the first use, its trouble told as RSM's errors."""

    def __init__(self, catalogue: Path, label: str, check_usable: Callable[[], None]) -> None:
        """Know the catalogue's file, what to call it, and how to ask whether it may still be used."""
        self._catalogue, self._label, self._check_usable = catalogue, label, check_usable
        self._gate: Gate | None = None
        self._lock = threading.Lock()

    def gate(self) -> Gate:
        """Return the gate, opened if need be.

        Raises:
            InvalidHandleError: the catalogue was closed.
            DatabaseFailureError: its file cannot be opened.
        """
        with self._lock:
            self._check_usable()
            if self._gate is None:
                path = f"{self._catalogue}-gate"
                try:
                    self._gate = open_gate(path, stat.S_IMODE(self._catalogue.stat().st_mode))
                except OSError as error:
                    raise DatabaseFailureError(f"cannot open {path}: {error.strerror}") from error
            return self._gate

    def enter(self, busy_timeout_ms: int) -> None:
        """Take the gate; `leave` it once.

        Raises:
            InvalidHandleError: the catalogue was closed.
            DatabaseFailureError: others held it for longer, or it cannot be locked.
            NotEnoughMemoryError: no thread could be started to wait.
        """
        gate = self._gate or self.gate()
        try:
            gate.enter(busy_timeout_ms / 1000)
        except GateTimeoutError as error:
            raise DatabaseFailureError(
                f"{self._label} was being written by other programs for longer than {busy_timeout_ms} ms; try again"
            ) from error
        except OSError as error:
            raise DatabaseFailureError(f"{gate.path} cannot be locked: {error.strerror}") from error
        except (MemoryError, RuntimeError) as error:
            raise NotEnoughMemoryError from error

    def leave(self) -> None:
        """Give the gate back after `enter`; it stays open as long as a call is in flight."""
        assert self._gate is not None, "it was entered"
        self._gate.leave()

    def close(self) -> None:
        """Give the gate back."""
        with self._lock:
            if self._gate is not None:
                close_gate(self._gate)
                self._gate = None


def _after_fork_in_child() -> None:
    """Let go of the parent's files; its locks are not the child's, and closing here does not touch them."""
    global _gates_lock
    _gates_lock = threading.Lock()
    for gate in _gates.values():
        gate.forget()
    _gates.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)
