"""Claims: numbers that one process holds among all that use a catalogue, for as long as it lives or wants them.

It owns the claims file beside an SQLite catalogue, and is the only module that opens it; on PostgreSQL it owns one
connection. It writes nothing to the catalogue, and needs neither a clock nor a process number: the kernel or the server
lets go of the claims of a process that died. What a number stands for is its holder's business.

On SQLite a claim is a POSIX lock on the byte of that number. Such a lock is invisible to the process that holds it, and
goes away when the process closes any descriptor of the file: so there is one descriptor of each file in a process, and
a table of what is held. On PostgreSQL a claim is an advisory lock of the connection.
"""

import contextlib
import fcntl
import os
import stat
import struct
import threading
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

from rsm.errors import DatabaseFailureError, InvalidHandleError

NUMBERS = 2**61
_SERVER_BASE = 1 << 62  # keeps the keys of claims positive, and apart from every other advisory lock of the catalogue


class Claims(Protocol):
    """The claims of one catalogue in this process. Numbers are from 0 to 2**61 - 1."""

    def hold(self, number: int) -> bool:
        """Claim a number; False if it is held already, by another process or by this one.

        Raises:
            InvalidHandleError: the catalogue was closed, or the process forked.
            DatabaseFailureError: the claims file cannot be opened or locked.
            NotConnectedError: the server cannot be reached.
        """

    def drop(self, number: int) -> None:
        """Let go of a number; nothing happens if it is not held here."""

    def is_held(self, number: int) -> bool:
        """Tell whether any process holds the number, this one included; asking takes no lock.

        Raises:
            InvalidHandleError, DatabaseFailureError, NotConnectedError: as `hold`.
        """

    def holds(self, number: int) -> bool:
        """Tell whether this process holds the number still; it no longer does once the server lost its connection."""

    def renew(self) -> None:
        """Claim again what was lost with a connection to the server, as far as nobody else has claimed it since.

        Raises:
            InvalidHandleError, NotConnectedError: as `hold`.
        """

    def close(self) -> None:
        """Let go of everything, for good."""

    def forget(self) -> None:
        """Hold nothing, in the child of a fork, without touching what the parent holds."""


def _check_number(number: int) -> None:
    assert 0 <= number < NUMBERS, "a claim's number is from 0 to 2**61 - 1"


# SQLite


class _File:
    """A claims file of this process, and who in it holds what."""

    def __init__(self, path: str, mode: int) -> None:
        self.process = os.getpid()
        self.users = 0
        self.lock = threading.Lock()
        self.held: dict[int, FileClaims] = {}
        self.descriptor: int | None = None
        try:
            self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            os.fchmod(self.descriptor, mode & 0o666)  # whatever the umask: who may write the catalogue may claim
        except FileExistsError:
            self.descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def close(self) -> None:
        """Close the file, and with it every lock this process holds on it."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None
        self.held.clear()


# The claims files this process has open: closing a second descriptor of one file would drop all its locks.
_files: dict[tuple[int, int], _File] = {}
_files_lock = threading.Lock()


class FileClaims:
    """Claims on the file beside an SQLite catalogue."""

    def __init__(self, catalogue: str | os.PathLike[str]) -> None:
        """Know the catalogue's file; the claims file is opened at the first use, and made if there is none."""
        self._catalogue = os.path.realpath(catalogue)  # a catalogue reached by two paths has one claims file
        self.path = f"{self._catalogue}-claims"
        self._process = os.getpid()
        self._file: _File | None = None
        self._closed = False

    def hold(self, number: int) -> bool:
        """Claim a number; False if it is held already, by another process or by this one."""
        _check_number(number)
        file = self._open()
        with file.lock:
            if number in file.held:
                return False
            try:
                fcntl.lockf(self._descriptor(file), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
            except (BlockingIOError, PermissionError):
                return False
            except OSError as error:
                raise DatabaseFailureError(f"{self.path} cannot be locked: {error.strerror}") from error
            file.held[number] = self
            return True

    def drop(self, number: int) -> None:
        """Let go of a number; nothing happens if it is not held here."""
        _check_number(number)
        file = self._file
        if file is None or not self._is_ours:
            return
        with file.lock:
            if file.held.get(number) is self:
                fcntl.lockf(self._descriptor(file), fcntl.LOCK_UN, 1, number)
                del file.held[number]

    def is_held(self, number: int) -> bool:
        """Tell whether any process holds the number, this one included; asking takes no lock."""
        _check_number(number)
        if self._file is None and not os.path.exists(self.path):
            self._check_usable()
            return False  # who holds something has made the file
        file = self._open()
        with file.lock:
            if number in file.held:
                return True
            wanted = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, number, 1, 0)
            try:
                found = fcntl.fcntl(self._descriptor(file), fcntl.F_GETLK, wanted)
            except OSError as error:
                raise DatabaseFailureError(f"{self.path} cannot be asked for locks: {error.strerror}") from error
            return bool(struct.unpack("hhqqi", found[: len(wanted)])[0] != fcntl.F_UNLCK)

    def holds(self, number: int) -> bool:
        """Tell whether this process holds the number still."""
        _check_number(number)
        file = self._file
        return file is not None and self._is_ours and file.held.get(number) is self

    def renew(self) -> None:
        """Do nothing: what the kernel holds for a process is lost with the process alone."""

    def close(self) -> None:
        """Let go of everything, for good; the last user of the file in this process closes it."""
        if not self._is_ours:
            return
        with _files_lock:
            self._closed = True
            file, self._file = self._file, None
            if file is None:
                return
            with file.lock:
                for number in [number for number, holder in file.held.items() if holder is self]:
                    fcntl.lockf(self._descriptor(file), fcntl.LOCK_UN, 1, number)
                    del file.held[number]
                file.users -= 1
                if not file.users:
                    for identity in [identity for identity, known in _files.items() if known is file]:
                        del _files[identity]
                    file.close()

    def forget(self) -> None:
        """Hold nothing, in the child of a fork; the file itself is closed for all at once."""
        self._file, self._closed = None, True

    @property
    def _is_ours(self) -> bool:
        return self._process == os.getpid()

    def _check_usable(self) -> None:
        if self._closed or not self._is_ours:
            raise InvalidHandleError("these claims were closed, or belong to the process before a fork")

    def _descriptor(self, file: _File) -> int:
        if file.descriptor is None:  # another thread closed the claims meanwhile
            raise InvalidHandleError("these claims were closed, or belong to the process before a fork")
        return file.descriptor

    def _open(self) -> _File:
        with _files_lock:
            self._check_usable()
            if self._file is None:
                try:
                    self._file = self._find()
                except OSError as error:
                    raise DatabaseFailureError(f"cannot open {self.path}: {error.strerror}") from error
                self._file.users += 1
            return self._file

    def _find(self) -> _File:
        with contextlib.suppress(FileNotFoundError):
            known = _files.get(_identity(os.stat(self.path)))
            if known is not None and known.process == self._process:  # not one of a fork that ran no hook
                return known
        file = _File(self.path, stat.S_IMODE(os.stat(self._catalogue).st_mode))
        assert file.descriptor is not None
        _files[_identity(os.fstat(file.descriptor))] = file
        return file


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _after_fork_in_child() -> None:
    """Let go of the parent's files; its locks are not the child's, and closing here does not touch them."""
    global _files_lock
    _files_lock = threading.Lock()
    for file in _files.values():
        file.lock = threading.Lock()  # a thread that is not here may have held it
        file.close()
    _files.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)


# PostgreSQL


class ServerClaims:
    """Claims of one connection to the server, opened at the first of them."""

    def __init__(
        self,
        connect: Callable[[], Any],
        close: Callable[[Any], None],
        is_locked: Callable[[int], bool],
        errors: tuple[type[BaseException], ...],
        fail: Callable[[BaseException], NoReturn],
    ) -> None:
        """Know how to open and close the connection, how to ask for an advisory lock, and what errors mean."""
        self._connect = connect
        self._close = close
        self._is_locked = is_locked
        self._errors = errors
        self._fail = fail
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._connection: Any = None
        self._held: set[int] = set()
        self._lost: set[int] = set()
        self._closed = False

    def hold(self, number: int) -> bool:
        """Claim a number; False if it is held already, by another process or by this one."""
        _check_number(number)
        self._check_usable()
        with self._lock:
            self._check_usable()
            if self._is_connected() and number in self._held:
                return False
            try:
                if self._connection is None:
                    self._connection = self._connect()
                cursor = self._connection.execute(f"SELECT pg_try_advisory_lock({_SERVER_BASE | number})")
                won = bool(cursor.fetchone()[0])
            except self._errors as error:
                if self._connection is not None and self._connection.closed:
                    self._lose()
                self._fail(error)
            self._lost.discard(number)
            if won:
                self._held.add(number)
            return won

    def drop(self, number: int) -> None:
        """Let go of a number; nothing happens if it is not held here."""
        _check_number(number)
        if self._closed or not self._is_ours:
            return
        with self._lock:
            self._lost.discard(number)
            if number not in self._held:
                return
            self._held.discard(number)
            try:
                self._connection.execute(f"SELECT pg_advisory_unlock({_SERVER_BASE | number})")
            except self._errors:
                self._lose()  # with its connection the server lets go of it too

    def is_held(self, number: int) -> bool:
        """Tell whether any process holds the number, this one included; asking takes no lock."""
        _check_number(number)
        self._check_usable()
        return self._is_locked(_SERVER_BASE | number)

    def holds(self, number: int) -> bool:
        """Tell whether this process holds the number still; it no longer does once the server lost its connection."""
        _check_number(number)
        if self._closed or not self._is_ours:
            return False
        with self._lock:
            return number in self._held and self._is_connected()

    def renew(self) -> None:
        """Claim again what was lost with a connection to the server, as far as nobody else has claimed it since."""
        with self._lock:
            if self._held:
                self._is_connected()
            lost = sorted(self._lost)
        for number in lost:
            if not self.hold(number):
                with self._lock:
                    self._lost.add(number)  # the server may not have noticed yet that the old connection is gone

    def close(self) -> None:
        """Let go of everything, for good."""
        if not self._is_ours:
            return
        with self._lock:
            self._closed = True
            self._lose()

    def forget(self) -> None:
        """Hold nothing, in the child of a fork, without a word to the server.

        The child's copy of the socket is closed: while it is open the server would not notice that the parent died.
        The caller sees to it that the connection is never closed as such, which would hang up for the parent.
        """
        self._lock = threading.Lock()  # a thread that is not here may have held it
        self._held, self._closed = set(), True
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError, *self._errors):
                os.close(connection.fileno())

    @property
    def _is_ours(self) -> bool:
        return self._process == os.getpid()

    def _check_usable(self) -> None:
        if self._closed or not self._is_ours:
            raise InvalidHandleError("these claims were closed, or belong to the process before a fork")

    def _is_connected(self) -> bool:
        """Tell whether the server still answers; if not, everything held is lost."""
        if self._connection is None:
            return False
        try:
            self._connection.execute("SELECT 1")
        except self._errors:
            self._lose()
            return False
        return True

    def _lose(self) -> None:
        self._lost |= self._held
        self._held.clear()
        connection, self._connection = self._connection, None
        if connection is not None:
            self._close(connection)
