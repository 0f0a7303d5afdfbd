"""SCSI commands over iSCSI in user space: libiscsi through ctypes.

Owns the few declarations of libiscsi that are used. Keeps the sense data as it came. A connection that was lost is
made again by the next command, never by libiscsi on its own: nothing is given twice. Between commands a thread answers
the target, which drops initiators that keep silent.
"""

from __future__ import annotations

import contextlib
import ctypes
import select
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, Final

from rsm.errors import AccessDeniedError, DeviceNotAvailableError
from rsm.libraries.scsi.transport import (
    PASSWORD_VARIABLE,
    SENSE_LENGTH,
    USER_VARIABLE,
    IscsiAddress,
    LostError,
    Reply,
    Status,
    Transport,
    find_credentials,
    read_reply,
    split_user,
)

LIBRARIES: Final = ("libiscsi.so.8", "libiscsi.so.7")
INITIATOR: Final = b"iqn.2003-01.org.rsm:initiator"
CONNECT_SECONDS: Final = 15.0
_DISCOVERY_SESSION, _NORMAL_SESSION, _NO_DIGEST_WANTED = 1, 2, 1
_NO_TRANSFER, _READ, _WRITE = 0, 1, 2
_UNDERFLOW: Final = 1
_NOBODY_ANSWERED: Final = 0x0F00_0000  # libiscsi's own statuses, as against those of devices
_LONGEST_PAUSE_MS: Final = 500
_LOOK_SECONDS: Final = 1.0
# So libiscsi calls the statuses 0201 and 0202 of a login.
_REFUSALS: Final = ("Authentication failure", "Authorization failure")

_INQUIRY: Final = bytes.fromhex("12000000fc00")
_INQUIRY_ANSWER: Final = bytes((8, 0, 5, 2, 31)) + bytes(31)

_Callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


class Task(ctypes.Structure):
    """The beginning of struct scsi_task as in libiscsi 7; `_understands_tasks` sees whether another has the same."""

    _fields_ = (
        ("status", ctypes.c_int),
        ("cdb_size", ctypes.c_int),
        ("direction", ctypes.c_int),
        ("expected_length", ctypes.c_int),
        ("cdb", ctypes.c_ubyte * 16),
        ("residual_status", ctypes.c_int),
        ("residual", ctypes.c_size_t),
        ("sense_type", ctypes.c_ubyte),
        ("sense_key", ctypes.c_int),
        ("sense_ascq", ctypes.c_int),
        ("sense_flags", ctypes.c_ubyte),
        ("sense_bit", ctypes.c_ubyte),
        ("sense_field", ctypes.c_uint16),
        ("answer_length", ctypes.c_int),
        ("answer", ctypes.c_void_p),
    )


class _Data(ctypes.Structure):
    """struct iscsi_data."""

    _fields_ = (("size", ctypes.c_size_t), ("data", ctypes.c_void_p))


_pointer, _text, _int = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
_FUNCTIONS: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "iscsi_create_context": (_pointer, (_text,)),
    "iscsi_destroy_context": (_int, (_pointer,)),
    "iscsi_set_targetname": (_int, (_pointer, _text)),
    "iscsi_set_session_type": (_int, (_pointer, _int)),
    "iscsi_set_header_digest": (_int, (_pointer, _int)),
    "iscsi_set_initiator_username_pwd": (_int, (_pointer, _text, _text)),
    "iscsi_set_noautoreconnect": (None, (_pointer, _int)),
    "iscsi_connect_async": (_int, (_pointer, _text, _Callback, _pointer)),
    "iscsi_login_async": (_int, (_pointer, _Callback, _pointer)),
    "iscsi_logout_async": (_int, (_pointer, _Callback, _pointer)),
    "iscsi_discovery_async": (_int, (_pointer, _Callback, _pointer)),
    "iscsi_scsi_command_async": (_int, (_pointer, _int, _pointer, _Callback, _pointer, _pointer)),
    "iscsi_get_fd": (_int, (_pointer,)),
    "iscsi_which_events": (_int, (_pointer,)),
    "iscsi_service": (_int, (_pointer, _int)),
    "iscsi_get_error": (_text, (_pointer,)),
    "scsi_create_task": (_pointer, (_int, _text, _int, _int)),
    "scsi_task_add_data_in_buffer": (_int, (_pointer, _int, _pointer)),
    "scsi_free_scsi_task": (None, (_pointer,)),
    "scsi_datain_getfullsize": (_int, (_pointer,)),
}


def load_libiscsi(names: tuple[str, ...] = LIBRARIES) -> ctypes.CDLL:
    """Return libiscsi with the functions that are used declared.

    Raises:
        DeviceNotAvailableError: none that fits is installed; the text names the package.
    """
    for name in names:
        with contextlib.suppress(OSError, AttributeError):
            library = ctypes.CDLL(name)
            for function, (result, arguments) in _FUNCTIONS.items():
                declared = getattr(library, function)
                declared.restype, declared.argtypes = result, arguments
            if _understands_tasks(library):
                return library
    raise DeviceNotAvailableError(
        "iSCSI needs libiscsi 7 or 8, and none that fits is installed: install the package libiscsi7 or libiscsi8"
    )


def _understands_tasks(library: ctypes.CDLL) -> bool:
    """Tell whether a libiscsi lays its tasks out as `Task` does: it finds what is put there, and is found."""
    pointer = library.scsi_create_task(len(_INQUIRY), _INQUIRY, _READ, 252)
    if not pointer:
        return False
    task, answer = Task.from_address(pointer), ctypes.create_string_buffer(_INQUIRY_ANSWER)
    try:
        begins_well = (task.cdb_size, task.direction, task.expected_length) == (len(_INQUIRY), _READ, 252)
        if not begins_well or bytes(task.cdb)[: len(_INQUIRY)] != _INQUIRY or task.answer or task.answer_length:
            return False
        task.answer, task.answer_length = ctypes.addressof(answer), len(_INQUIRY_ANSWER)
        found: int = library.scsi_datain_getfullsize(pointer)
        task.answer, task.answer_length = None, 0
        return found == len(_INQUIRY_ANSWER)
    finally:
        library.scsi_free_scsi_task(pointer)


class _Connection:
    """A connection to a target, and waiting for what is done over it. Its user sees that one thread is in it."""

    name: str

    def __init__(self) -> None:
        self._library = load_libiscsi()
        self._context: int | None = None
        self._statuses: list[int] = []
        self._callback = _Callback(self._note)

    def _note(self, _context: int | None, status: int, _data: int | None, _private: int | None) -> None:
        self._statuses.append(status)

    def _log_in(self, portal: str, session_type: int, target: str | None) -> None:
        library = self._library
        user, place = split_user(portal)
        credentials = find_credentials(user)
        self._context = library.iscsi_create_context(INITIATOR)
        if not self._context:
            raise DeviceNotAvailableError(f"{self.name}: libiscsi has no memory for a connection")
        if target is not None:
            library.iscsi_set_targetname(self._context, target.encode())
        library.iscsi_set_session_type(self._context, session_type)
        library.iscsi_set_header_digest(self._context, _NO_DIGEST_WANTED)
        library.iscsi_set_noautoreconnect(self._context, 1)
        if credentials is not None:
            names = (credentials.user.encode(), credentials.password.encode())
            library.iscsi_set_initiator_username_pwd(self._context, *names)
        try:
            self._await(library.iscsi_connect_async, (place.encode(), self._callback, None), CONNECT_SECONDS)
            self._await(library.iscsi_login_async, (self._callback, None), CONNECT_SECONDS)
        except LostError as error:
            advice = "see that the target runs and lets this host in"
            if any(each in str(error) for each in _REFUSALS):
                advice = f"set {USER_VARIABLE} and {PASSWORD_VARIABLE} to what the target wants"
                raise AccessDeniedError(f"{error}: {advice}") from error
            raise DeviceNotAvailableError(f"{error}: {advice}") from error

    def _log_out(self) -> None:
        if self._context is not None:
            with contextlib.suppress(DeviceNotAvailableError):  # it is hung up either way
                self._await(self._library.iscsi_logout_async, (self._callback, None), 1.0)
            self._drop()

    def _await(self, start: Callable[..., int], arguments: tuple[Any, ...], timeout_seconds: float) -> int:
        """Start something and serve the connection until it has ended; drop the connection where it fails."""
        library, context, self._statuses = self._library, self._context, []
        told_before = library.iscsi_get_error(context)
        try:
            if start(context, *arguments):
                raise LostError(f"{self.name}: {self._reason(told_before)}")
            until = time.monotonic() + timeout_seconds
            while not self._statuses:
                left_ms = int((until - time.monotonic()) * 1000)
                if left_ms <= 0:
                    raise LostError(f"{self.name}: no answer came within {timeout_seconds:g} s")
                events, poller = library.iscsi_which_events(context), select.poll()
                poller.register(library.iscsi_get_fd(context), events)
                ready = poller.poll(min(left_ms, _LONGEST_PAUSE_MS))
                if library.iscsi_service(context, ready[0][1] if ready else 0) < 0 and not self._statuses:
                    raise LostError(f"{self.name}: {self._reason(told_before)}")
            if self._statuses[0] >= _NOBODY_ANSWERED or self._statuses[0] < 0:
                raise LostError(f"{self.name}: {self._reason(told_before)}")
        except BaseException:
            self._drop()
            raise
        return self._statuses[0]

    def _reason(self, told_before: bytes | None) -> str:
        told: bytes | None = self._library.iscsi_get_error(self._context)
        text = "" if told == told_before else (told or b"").decode("utf-8", "replace").strip()
        return f"the connection was lost or refused: {text}" if text else "the connection was lost"

    def _drop(self) -> None:
        context, self._context = self._context, None
        if context:
            self._library.iscsi_destroy_context(context)


class IscsiTransport(_Connection, Transport):
    """A logical unit over iSCSI, in a session of its own."""

    begins_with_reset = True

    def __init__(self, address: IscsiAddress) -> None:
        """Connect and log in.

        Raises:
            AccessDeniedError: the target asks who comes, and nobody or the wrong one was told.
            DeviceNotAvailableError: libiscsi is not installed, or the target cannot be reached or refuses.
        """
        super().__init__()
        self.name = str(address)
        self.connections = self.answers = 0
        self._address = address
        self._closed = threading.Event()
        self._keeper: threading.Thread | None = None
        self._lock = threading.Lock()
        with self._lock:
            self._connect()

    def execute(self, cdb: bytes, *, write: bytes = b"", read_length: int = 0, timeout_seconds: float) -> Reply:
        """Give a command; connect first where the connection was lost.

        Raises:
            DeviceNotAvailableError: the target cannot be reached.
            LostError: the connection was lost, or the time is up.
        """
        with self._lock:
            if self._closed.is_set():
                raise DeviceNotAvailableError(f"{self.name} is closed")
            if self._context is None:
                self._connect()
            direction = _WRITE if write else _READ if read_length else _NO_TRANSFER
            pointer = self._library.scsi_create_task(len(cdb), cdb, direction, len(write) or read_length)
            if not pointer:
                raise DeviceNotAvailableError(f"{self.name}: libiscsi has no memory for a command")
            try:
                return self._run(pointer, Task.from_address(pointer), write, read_length, timeout_seconds)
            finally:
                self._library.scsi_free_scsi_task(pointer)

    def close(self) -> None:
        """Log out and disconnect."""
        self._closed.set()
        with self._lock:
            self._log_out()

    # --- with the lock held -----------------------------------------------------------------------------------------

    def _connect(self) -> None:
        self._log_in(self._address.portal, _NORMAL_SESSION, self._address.target)
        self.connections += 1
        if self._keeper is None:
            self._keeper = threading.Thread(target=_keep_up, args=(weakref.ref(self), self._closed), daemon=True)
            self._keeper.start()

    def answer_target(self) -> None:
        """Answer what the target asked meanwhile; nothing while a command is being carried out."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self._context is None:
                return
            poller = select.poll()
            poller.register(self._library.iscsi_get_fd(self._context), select.POLLIN)
            while ready := poller.poll(0):
                if self._library.iscsi_service(self._context, ready[0][1]) < 0:
                    self._drop()
                    return
                self.answers += 1
            waiting = self._library.iscsi_which_events(self._context) & select.POLLOUT
            if waiting and self._library.iscsi_service(self._context, select.POLLOUT) < 0:
                self._drop()
        finally:
            self._lock.release()

    def _run(self, pointer: int, task: Task, write: bytes, read_length: int, timeout_seconds: float) -> Reply:
        buffer = ctypes.create_string_buffer(write, len(write)) if write else ctypes.create_string_buffer(read_length)
        outgoing = _Data(len(write), ctypes.addressof(buffer))
        if read_length:
            # Into a buffer of ours: with a CHECK CONDITION libiscsi keeps the sense data where the data would be.
            self._library.scsi_task_add_data_in_buffer(pointer, read_length, ctypes.addressof(buffer))
        arguments = (self._address.lun, pointer, self._callback, ctypes.byref(outgoing) if write else None, None)
        status = self._await(self._library.iscsi_scsi_command_async, arguments, timeout_seconds)
        told = max(0, min(task.answer_length, SENSE_LENGTH + 2)) if status == Status.CHECK_CONDITION else 0
        sense = ctypes.string_at(task.answer, told)[2:] if told and task.answer else b""
        missing = task.residual if task.residual_status == _UNDERFLOW else 0
        return read_reply(status, b"" if write else buffer.raw, missing, sense)


def _keep_up(transport: weakref.ref[IscsiTransport], closed: threading.Event) -> None:
    while not closed.wait(_LOOK_SECONDS):
        found = transport()
        if found is None:
            return
        found.answer_target()
        del found


class _Target(ctypes.Structure):
    """The beginning of struct iscsi_discovery_address; the list is libiscsi's and lives as long as the callback."""


_Target._fields_ = (("next", ctypes.POINTER(_Target)), ("name", ctypes.c_char_p))


class _Discovery(_Connection):
    def __init__(self, portal: str) -> None:
        super().__init__()
        self.name = f"iscsi://{portal}"
        self._portal = portal
        self._targets: list[str] = []
        self._listing = False

    def _note(self, _context: int | None, status: int, data: int | None, _private: int | None) -> None:
        if self._listing and status == Status.GOOD and data:
            each = ctypes.cast(data, ctypes.POINTER(_Target))
            while each:
                self._targets.append((each.contents.name or b"").decode("utf-8", "replace"))
                each = each.contents.next
        self._statuses.append(status)

    def list_targets(self) -> list[str]:
        self._log_in(self._portal, _DISCOVERY_SESSION, None)
        try:
            self._listing = True
            self._await(self._library.iscsi_discovery_async, (self._callback, None), CONNECT_SECONDS)
        finally:
            self._listing = False
            self._log_out()
        return self._targets


def list_targets(portal: str) -> list[str]:
    """Return the names of the targets behind `HOST:PORT`.

    Raises:
        AccessDeniedError: it asks who comes, and nobody or the wrong one was told.
        DeviceNotAvailableError: libiscsi is not installed, or nobody answers there.
    """
    return _Discovery(portal).list_targets()
