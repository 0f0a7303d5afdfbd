"""Stands between SQLite and the operating system, in this process, with nothing but ctypes.

`watch_files` tells of every write, sync, truncation, creation and removal of SQLite's files, directories' syncs among
them. `fail_posix_calls` lets one POSIX call fail with an errno of choice. Both change the table of functions that
SQLite keeps for its files, so they see all connections that are opened while they hold.
"""

import _sqlite3
import contextlib
import ctypes
import os
from collections.abc import Callable, Collection, Iterator
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int64, c_size_t, c_ssize_t, c_void_p
from typing import Any

SQLITE_IOERR_FSYNC = 1034
_OPEN_READWRITE = 2


class _Methods(Structure):
    _fields_ = [
        ("version", c_int),
        *((name, c_void_p) for name in ("close", "read", "write", "truncate", "sync", "file_size", "lock", "unlock")),
        *((name, c_void_p) for name in ("check_reserved", "file_control", "sector_size", "characteristics")),
        *((name, c_void_p) for name in ("shm_map", "shm_lock", "shm_barrier", "shm_unmap", "fetch", "unfetch")),
    ]


class _File(Structure):
    _fields_ = [("methods", POINTER(_Methods))]


class _Vfs(Structure):
    _fields_ = [
        *((name, c_int) for name in ("version", "file_size", "longest_path")),
        *((name, c_void_p) for name in ("next", "name", "data", "open", "delete", "access", "full_path", "dl_open")),
        *((name, c_void_p) for name in ("dl_error", "dl_sym", "dl_close", "randomness", "sleep", "time", "last_error")),
        *((name, c_void_p) for name in ("time_64", "set_system_call", "get_system_call", "next_system_call")),
    ]


_OPEN = CFUNCTYPE(c_int, c_void_p, c_void_p, POINTER(_File), c_int, POINTER(c_int))
_DELETE = CFUNCTYPE(c_int, c_void_p, c_char_p, c_int)
_WRITE = CFUNCTYPE(c_int, POINTER(_File), c_void_p, c_int, c_int64)
_TRUNCATE = CFUNCTYPE(c_int, POINTER(_File), c_int64)
_SYNC = CFUNCTYPE(c_int, POINTER(_File), c_int)
_SLEEP = CFUNCTYPE(c_int, c_void_p, c_int)
_SET = CFUNCTYPE(c_int, c_void_p, c_char_p, c_void_p)
_GET = CFUNCTYPE(c_void_p, c_void_p, c_char_p)
_PATH, _NUMBER = c_char_p, c_int

# The POSIX calls that SQLite makes for its files, with what they take; all but mmap say -1 for a failure.
POSIX_CALLS: dict[str, Any] = {
    "open": CFUNCTYPE(c_int, _PATH, c_int, c_int, use_errno=True),
    "access": CFUNCTYPE(c_int, _PATH, c_int, use_errno=True),
    "stat": CFUNCTYPE(c_int, _PATH, c_void_p, use_errno=True),
    "fstat": CFUNCTYPE(c_int, c_int, c_void_p, use_errno=True),
    "ftruncate": CFUNCTYPE(c_int, c_int, c_int64, use_errno=True),
    "fcntl": CFUNCTYPE(c_int, c_int, c_int, c_void_p, use_errno=True),
    "read": CFUNCTYPE(c_ssize_t, c_int, c_void_p, c_size_t, use_errno=True),
    "pread": CFUNCTYPE(c_ssize_t, c_int, c_void_p, c_size_t, c_int64, use_errno=True),
    "pread64": CFUNCTYPE(c_ssize_t, c_int, c_void_p, c_size_t, c_int64, use_errno=True),
    "write": CFUNCTYPE(c_ssize_t, c_int, c_void_p, c_size_t, use_errno=True),
    "pwrite": CFUNCTYPE(c_ssize_t, c_int, c_void_p, c_size_t, c_int64, use_errno=True),
    "pwrite64": CFUNCTYPE(c_ssize_t, c_int, c_void_p, c_size_t, c_int64, use_errno=True),
    "unlink": CFUNCTYPE(c_int, _PATH, use_errno=True),
    "openDirectory": CFUNCTYPE(c_int, _PATH, POINTER(c_int), use_errno=True),
    "mmap": CFUNCTYPE(c_void_p, c_void_p, c_size_t, c_int, c_int, c_int, c_int64, use_errno=True),
}


def is_reachable() -> bool:
    """Tell whether this Python shares its SQLite, so that others in the process can reach it."""
    return hasattr(ctypes.CDLL(getattr(_sqlite3, "__file__", None)), "sqlite3_vfs_find")


NEEDED = "needs a Python whose sqlite3 module uses the shared library of SQLite (libsqlite3-0)"


def default_vfs() -> _Vfs:
    """Return SQLite's own table of functions for files, the one that the sqlite3 module uses."""
    library = ctypes.CDLL(getattr(_sqlite3, "__file__", None))
    library.sqlite3_vfs_find.restype = POINTER(_Vfs)
    found: _Vfs = library.sqlite3_vfs_find(None).contents
    return found


def memory_used() -> int:
    """Return how many bytes SQLite uses in this process."""
    library = ctypes.CDLL(getattr(_sqlite3, "__file__", None))
    library.sqlite3_memory_used.restype = c_int64
    return int(library.sqlite3_memory_used())


class _Watched:
    """The functions that replace SQLite's; they must live as long as a file is open."""

    def __init__(self, tell: Callable[..., None], fail_sync: Callable[[], bool]) -> None:
        self.tell = tell
        self.fail_sync = fail_sync
        self.vfs = default_vfs()
        self.paths: dict[int, str] = {}
        self.tables: dict[int, tuple[Any, ...]] = {}
        self.kept = (self.vfs.open, self.vfs.delete)
        self.real_open, self.real_delete = _OPEN(self.vfs.open), _DELETE(self.vfs.delete)
        self.new = (_OPEN(self.open), _DELETE(self.delete))

    def install(self) -> None:
        self.vfs.open, self.vfs.delete = (ctypes.cast(each, c_void_p).value for each in self.new)

    def remove(self) -> None:
        self.vfs.open, self.vfs.delete = self.kept

    def open(self, vfs: int, name: int | None, file: Any, flags: int, out: Any) -> int:
        path = os.fsdecode(ctypes.string_at(name)) if name else ""  # SQLite keeps the pointer: hand on that very one
        is_new = bool(path) and not os.path.lexists(path)
        code: int = self.real_open(vfs, name, file, flags, out)
        if code == 0 and path and flags & _OPEN_READWRITE and os.path.lexists(path):
            if is_new:
                self.tell("create", path)
            address = ctypes.addressof(file.contents)
            self.paths[address] = path
            original = ctypes.addressof(file.contents.methods.contents)
            if original not in self.tables:
                self.tables[original] = self.replace(file.contents.methods.contents)
            file.contents.methods = ctypes.pointer(self.tables[original][0])
        return code

    def delete(self, vfs: int, name: bytes, sync_folder: int) -> int:
        code: int = self.real_delete(vfs, name, sync_folder)
        if code == 0:
            self.tell("unlink", os.fsdecode(name))
            if sync_folder:
                self.tell("sync", os.path.dirname(os.fsdecode(name)))
        return code

    def replace(self, methods: _Methods) -> tuple[Any, ...]:
        mine = _Methods.from_buffer_copy(methods)
        write, truncate, sync = _WRITE(mine.write), _TRUNCATE(mine.truncate), _SYNC(mine.sync)

        def writing(file: Any, data: int, count: int, offset: int) -> int:
            code: int = write(file, data, count, offset)
            if code == 0:
                self.tell("write", self.path(file), offset, ctypes.string_at(data, count))
            return code

        def truncating(file: Any, size: int) -> int:
            code: int = truncate(file, size)
            if code == 0:
                self.tell("truncate", self.path(file), size)
            return code

        def syncing(file: Any, flags: int) -> int:
            if self.fail_sync():
                return SQLITE_IOERR_FSYNC
            code: int = sync(file, flags)
            if code == 0:
                self.tell("sync", self.path(file))
            return code

        callbacks = (_WRITE(writing), _TRUNCATE(truncating), _SYNC(syncing))
        mine.write, mine.truncate, mine.sync = (ctypes.cast(each, c_void_p).value for each in callbacks)
        return mine, callbacks

    def path(self, file: Any) -> str:
        return self.paths[ctypes.addressof(file.contents)]


_installed: list[_Watched] = []  # SQLite may hold on to their functions for as long as a connection is open


@contextlib.contextmanager
def watch_files(tell: Callable[..., None], fail_sync: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Tell of what SQLite does to files that are opened in the body: `tell(what, path, …)` after each deed.

    `write` comes with offset and bytes, `truncate` with the size; `create`, `unlink` and `sync`, also of a directory,
    come alone. `fail_sync` is asked before each sync of a file whether it shall fail.
    """
    watched = _Watched(tell, fail_sync)
    _installed.append(watched)
    watched.install()

    def folder_opened(function: Callable[..., int], path: bytes, descriptor: Any) -> int:
        code = function(path, descriptor)
        if code == 0:
            tell("sync", os.path.dirname(os.fsdecode(path)))  # SQLite opens a directory for nothing else
        return code

    try:
        with posix_calls_replaced({"openDirectory": folder_opened}):
            yield
    finally:
        watched.remove()


@contextlib.contextmanager
def posix_calls_replaced(replacements: dict[str, Callable[..., Any]]) -> Iterator[None]:
    """Let functions stand before some of SQLite's POSIX calls: each gets the real one and its arguments."""
    vfs = default_vfs()
    address = ctypes.addressof(vfs)
    set_call, get_call = _SET(vfs.set_system_call), _GET(vfs.get_system_call)
    kept: list[Any] = []
    try:
        for name, replacement in replacements.items():
            kind = POSIX_CALLS[name]
            known = get_call(address, name.encode())
            if known is None:
                continue  # this build of SQLite does without it
            real = kind(known)
            callback = kind(lambda *arguments, call=real, instead=replacement: instead(call, *arguments))
            kept.append((name, known, callback))
            set_call(address, name.encode(), ctypes.cast(callback, c_void_p))
        yield
    finally:
        for name, known, callback in kept:
            set_call(address, name.encode(), known)
            _forever.append(callback)


_forever: list[Any] = []


@contextlib.contextmanager
def sleeping_skipped() -> Iterator[None]:
    """Let SQLite not sleep between its tries: it counts them, so it gives up as it would, only at once."""
    vfs = default_vfs()
    kept = vfs.sleep
    awake = _SLEEP(lambda vfs, microseconds: microseconds)
    _forever.append(awake)
    vfs.sleep = ctypes.cast(awake, c_void_p).value
    try:
        yield
    finally:
        vfs.sleep = kept


class PosixFault:
    """Counts SQLite's POSIX calls, syncs included, and lets the Nth fail once; those `passing` do not count."""

    def __init__(self, nth: int, error: int, passing: Collection[str] = ()) -> None:
        self.passing = passing
        self.nth = nth
        self.error = error
        self.armed = False
        self.names: list[str] = []

    def strikes(self, name: str) -> bool:
        """Count a call; tell whether it is the one to fail."""
        if not self.armed or name in self.passing:
            return False
        self.names.append(name)
        return len(self.names) == self.nth

    @property
    def fired(self) -> str | None:
        """The name of the call that failed, None if it never came."""
        return self.names[self.nth - 1] if 0 < self.nth <= len(self.names) else None

    @contextlib.contextmanager
    def standing(self) -> Iterator[None]:
        """Stand before all calls of connections that are opened in the body, where nobody sleeps."""

        def before(name: str) -> Callable[..., Any]:
            def call(real: Callable[..., Any], *arguments: Any) -> Any:
                if not self.strikes(name):
                    return real(*arguments)
                ctypes.set_errno(self.error)
                return c_void_p(-1).value if name == "mmap" else -1

            return call

        calls = {name: before(name) for name in POSIX_CALLS}
        watching = watch_files(lambda *_: None, lambda: self.strikes("fsync"))
        with watching, posix_calls_replaced(calls), sleeping_skipped():
            yield
