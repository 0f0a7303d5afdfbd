"""The robot of a virtual library: the lock that every move runs under, the epoch kept in it, and the drives' links.

Owns `DIR/.robot` and `DIR/drive-NN.media`. The lock is flock on `.robot`: the kernel lets go of it when its holder
dies, however that happens, and a holder that slept finds a higher epoch in it. The link of a drive is derived from the
folders and never the other way round. Nothing here moves a cartridge.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import threading
import time
from collections.abc import Iterator
from typing import Final

from rsm.errors import BusyError, DeviceNotAvailableError
from rsm.libraries.base import ElementNotAccessibleError, StaleEpochError, os_errors_of, printable
from rsm.libraries.virtual_files import ROBOT_FILE, Element, check_kind

# Written over in one go, always as long, so that no moment has half an epoch in the file.
_EPOCH_DIGITS = 20
_LONGEST_ROBOT_FILE = 64
_FIRST_PAUSE_SECONDS: Final = 0.001
_LONGEST_PAUSE_SECONDS: Final = 0.05

_inherited_by_children: set[int] = set()
# Held over each fork, so that no child is born between the opening of a file and its entry here.
_inherited_guard = threading.RLock()


@contextlib.contextmanager
def robot_held(root: int, directory: str, wait_seconds: float) -> Iterator[int]:
    """Hold the robot for the body and yield the descriptor of its file, which is made if it is missing.

    Raises:
        ElementNotAccessibleError: the file is a symbolic link or no regular file.
        BusyError: somebody else held it all the time.
        RsmError: it cannot be opened or locked, by `error_from_os`.
    """
    path = f"{directory}/{ROBOT_FILE}"
    until = time.monotonic() + wait_seconds
    with os_errors_of(path):
        robot = _lock(root, path, until)
    try:
        yield robot
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(robot, fcntl.LOCK_UN)  # a child forked meanwhile may have the descriptor, and with it the lock
        _close(robot)


def _lock(root: int, path: str, until: float) -> int:
    while True:
        robot = _open(root, path)
        try:
            _wait_for_lock(robot, path, until)
            if _is_still(root, robot):
                return robot
        except BaseException:
            _close(robot)
            raise
        _close(robot)  # somebody put another file in its place: a lock on the old one keeps nobody out


def _open(root: int, path: str) -> int:
    with contextlib.suppress(FileNotFoundError):
        check_kind(os.stat(ROBOT_FILE, dir_fd=root, follow_symlinks=False), path, folder=False)
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with _inherited_guard:
        robot = os.open(ROBOT_FILE, flags, 0o666, dir_fd=root)
        _inherited_by_children.add(robot)
    try:
        check_kind(os.fstat(robot), path, folder=False)
    except BaseException:
        _close(robot)
        raise
    return robot


def _wait_for_lock(robot: int, path: str, until: float) -> None:
    # A blocking flock has no time-out, and its holder may have been stopped.
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            fcntl.flock(robot, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            left = until - time.monotonic()
            if left <= 0:
                raise BusyError(f"{printable(path)} is locked: another process has the robot in its hands") from error
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _is_still(root: int, robot: int) -> bool:
    try:
        named = os.stat(ROBOT_FILE, dir_fd=root, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(named, os.fstat(robot))


def _close(robot: int) -> None:
    with _inherited_guard:
        _inherited_by_children.discard(robot)
        os.close(robot)


def _after_fork_in_child() -> None:
    """Let go of the robot that a thread of the parent holds; closing here leaves the parent's lock alone."""
    global _inherited_guard
    _inherited_guard = threading.RLock()
    for robot in _inherited_by_children:
        os.close(robot)
    _inherited_by_children.clear()


os.register_at_fork(
    before=lambda: _inherited_guard.acquire(),  # the guard of the moment: a child's is another
    after_in_parent=lambda: _inherited_guard.release(),
    after_in_child=_after_fork_in_child,
)


# --- the epoch ------------------------------------------------------------------------------------------------------


def check_epoch(root: int, robot: int, epoch: int, directory: str) -> None:
    """See that nobody has claimed the library since `epoch`, and keep `epoch` if it is new; the robot is held.

    Raises:
        StaleEpochError: somebody has.
        DeviceNotAvailableError: what is in the file is no epoch.
        RsmError: it cannot be read or written, by `error_from_os`.
    """
    path = f"{directory}/{ROBOT_FILE}"
    with os_errors_of(path):
        kept = parse_epoch(os.pread(robot, _LONGEST_ROBOT_FILE + 1, 0), path)
        if kept > epoch:
            raise StaleEpochError(
                f"{printable(directory)} was claimed with epoch {kept} since epoch {epoch}: the work is another's now"
            )
        if kept < epoch:
            os.pwrite(robot, f"{epoch:0{_EPOCH_DIGITS}d}\n".encode(), 0)
            os.fsync(robot)
            os.fsync(root)


def parse_epoch(content: bytes, path: str) -> int:
    """Return the epoch in a robot's file; an empty one has 0.

    Raises:
        DeviceNotAvailableError: what is in it is no epoch.
    """
    digits = content.strip()
    if len(content) > _LONGEST_ROBOT_FILE or (digits and not digits.isdigit()):
        raise DeviceNotAvailableError(
            f"{printable(path)} is damaged, it holds no epoch: remove it while nothing works the library"
        )
    return int(digits or b"0")


# --- the links of the drives ----------------------------------------------------------------------------------------


def read_link(root: int, drive: Element, directory: str) -> str | None:
    """Return where the link of a drive leads, None if there is none.

    Raises:
        ElementNotAccessibleError: something else lies there, as when a program wrote to the path of an empty drive.
        RsmError: it cannot be read, by `error_from_os`.
    """
    path = f"{directory}/{drive.link_name}"
    with os_errors_of(path):
        try:
            status = os.stat(drive.link_name, dir_fd=root, follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                return os.readlink(drive.link_name, dir_fd=root)
        except FileNotFoundError:
            return None
    raise ElementNotAccessibleError(
        f"{printable(path)} is not the link of the drive but something that was put there: take it away"
    )


def side_of_link(drive: Element, barcode: str, link: str | None, sides: tuple[str, ...]) -> str | None:
    """Return the side of this cartridge that a link leads to, None if it leads anywhere else."""
    return next((side for side in sides if link == f"{drive.name}/{barcode}/{side}"), None)


def set_link(root: int, drive: Element, barcode: str, side: str, directory: str) -> None:
    """Let the link of a drive lead to a side; the robot is held.

    Raises:
        ElementNotAccessibleError: something else lies there.
        RsmError: it cannot be made, by `error_from_os`.
    """
    target = f"{drive.name}/{barcode}/{side}"
    new_name = _remove_half_made_link(root, drive, directory)
    if read_link(root, drive, directory) == target:
        return
    with os_errors_of(f"{directory}/{drive.link_name}"):
        os.symlink(target, new_name, dir_fd=root)
        os.rename(new_name, drive.link_name, src_dir_fd=root, dst_dir_fd=root)


def remove_link(root: int, drive: Element, directory: str) -> None:
    """Remove the link of a drive, if there is one; the robot is held.

    Raises:
        ElementNotAccessibleError: something else lies there.
        RsmError: it cannot be removed, by `error_from_os`.
    """
    _remove_half_made_link(root, drive, directory)
    if read_link(root, drive, directory) is not None:
        with os_errors_of(f"{directory}/{drive.link_name}"):
            os.unlink(drive.link_name, dir_fd=root)


def _remove_half_made_link(root: int, drive: Element, directory: str) -> str:
    """Remove what a killed holder left where a link is made, and return the name of that place."""
    new_name = f".{drive.link_name}.new"
    with os_errors_of(f"{directory}/{new_name}"), contextlib.suppress(FileNotFoundError):
        os.unlink(new_name, dir_fd=root)
    return new_name
