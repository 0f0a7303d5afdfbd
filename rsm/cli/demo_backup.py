"""A backup that spans cartridges: the part of the demonstration that a program which embeds RSM would copy.

`back_up` writes a directory as one tar stream, `restore` reads it back. In between stand a stream that goes on from
cartridge to cartridge, and its counterpart. Uses the public names of `rsm` and the standard library, nothing else.
Never makes pools or libraries, and prints nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import os
import stat
import tarfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, Self, cast

import rsm

BLOCK_BYTES = 256 * 1024

OnBytes = Callable[[int], None]  # is told of each block how many bytes it had
OnWait = Callable[[rsm.Waiting], None]


@dataclasses.dataclass(frozen=True, slots=True)
class Volume:
    """One cartridge's share of a backup: what a program has to remember to find and to check it again."""

    medium: rsm.LogicalMedium
    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True, slots=True)
class Backup:
    """A backup: its cartridges in order, and what was left out, each path with the reason."""

    volumes: tuple[Volume, ...]
    left_out: tuple[tuple[str, str], ...]


# --- writing --------------------------------------------------------------------------------------------------------


class SpanningWriter:
    """A stream that is written to as many cartridges as it takes. Use it in `with`.

    An error in the body gives back what was allocated: half a backup is of no use to anybody.
    """

    def __init__(self, session: rsm.Session, pool: str, *, on_bytes: OnBytes | None, on_wait: OnWait | None) -> None:
        self.volumes: list[Volume] = []
        self._session, self._pool = session, pool
        self._on_bytes, self._on_wait = on_bytes, on_wait
        self._medium: rsm.LogicalMedium | None = None
        self._mounted = contextlib.ExitStack()
        self._given_up = False

    def __enter__(self) -> Self:
        return self

    def write(self, block: Any) -> int:
        """Write a block, as a whole and on one cartridge."""
        if self._given_up:
            return len(block)  # tarfile still empties its buffer when it is thrown away
        if self._medium is None:
            self._begin_medium()
        try:
            self._file.write(block)
        except OSError as error:
            # At its capacity a medium takes nothing of the block: the same block goes to the next one. With room left
            # it is not the medium that is full, and an empty one can never take a block that is larger than itself.
            room = self._mount.free_bytes if error.errno == errno.ENOSPC else None
            if error.errno != errno.ENOSPC or (room or 0) >= len(block) or self._written == 0:
                raise
            self._end_medium(full=True)
            self._begin_medium()
            self._file.write(block)
        self._written += len(block)
        self._digest.update(block)
        if self._on_bytes is not None:
            self._on_bytes(len(block))
        return len(block)

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            if error is None and self._medium is not None:
                self._end_medium(full=False)
        except BaseException as failure:
            error = failure
            raise
        finally:
            if error is not None:
                self._give_up()

    def _begin_medium(self) -> None:
        # Allocating waits while free labels are being written, and asks an operator when there is nothing left;
        # mounting waits for a drive. `on_wait` is told of both, and ends the wait by raising.
        self._medium = self._session.media.allocate(self._pool, on_wait=self._on_wait)
        mount = self._session.mounts.mount(self._medium, write=True, on_wait=self._on_wait)
        self._mount = self._mounted.enter_context(mount)
        self._file = mount.open("wb")
        self._written, self._digest = 0, hashlib.sha256()

    def _end_medium(self, *, full: bool) -> None:
        assert self._medium is not None
        self._file.close()  # only now everything is on the medium: an error here is one of writing
        self._mounted.close()
        if full:
            self._session.media.complete(self._medium)  # nobody may write on it from now on
        self.volumes.append(Volume(self._medium, self._written, self._digest.hexdigest()))
        self._medium = None

    def _give_up(self) -> None:
        self._given_up = True
        with contextlib.suppress(rsm.RsmError, OSError):  # the error that led here says more
            self._mounted.close()
        for medium in (*(volume.medium for volume in self.volumes), self._medium):
            with contextlib.suppress(rsm.RsmError):
                if medium is not None:
                    self._session.media.deallocate(medium)
        self.volumes.clear()


def back_up(
    session: rsm.Session,
    pool: str,
    source: Path,
    *,
    without: Collection[str] = (),
    block_bytes: int = BLOCK_BYTES,
    on_bytes: OnBytes | None = None,
    on_wait: OnWait | None = None,
) -> Backup:
    """Write a directory to media of a pool and return what was written where; names `without` are passed over.

    Sockets, pipes, devices and what cannot be read are left out, and listed.

    Raises:
        rsm.InvalidStateError: a file changed while it was read; the message names it.
        OSError: a medium cannot be written, or a file cannot be read to its end.
        rsm.RsmError: no medium or drive is to be had, or the robot failed.
    """
    left_out: list[tuple[str, str]] = []
    with SpanningWriter(session, pool, on_bytes=on_bytes, on_wait=on_wait) as stream:
        # Not in `with`: after an error it would go on to write its end.
        archive = tarfile.open(fileobj=_as_file(stream), mode="w|", bufsize=block_bytes)  # noqa: SIM115
        for name in walk_tree(source, without, left_out):
            _add(archive, source, name, left_out)
        archive.close()
    return Backup(tuple(stream.volumes), tuple(left_out))


def walk_tree(source: Path, without: Collection[str], left_out: list[tuple[str, str]]) -> Iterator[str]:
    """Yield what is in a directory by name relative to it, itself first, each folder before what is in it.

    A folder that cannot be listed is left out.
    """

    def leave_out(error: OSError) -> None:
        left_out.append((os.path.relpath(error.filename, source), error.strerror or str(error)))

    for folder, folders, files in os.walk(source, onerror=leave_out):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        folders[:] = sorted(name for name in folders if name not in without)
        inside = os.path.relpath(folder, source)
        yield inside
        for name in sorted({*files, *links} - set(without)):
            yield name if inside == os.curdir else f"{inside}/{name}"


def _add(archive: tarfile.TarFile, source: Path, name: str, left_out: list[tuple[str, str]]) -> None:
    path = os.path.join(source, name)
    try:
        mode = os.lstat(path).st_mode
        if not stat.S_ISREG(mode):
            if stat.S_ISDIR(mode) or stat.S_ISLNK(mode):
                archive.addfile(_whole_seconds(archive.gettarinfo(path, name)))
            else:
                left_out.append((name, "no file, folder or link"))
            return
        # What has become a pipe or link in the meantime is not waited for and not followed.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (PermissionError, FileNotFoundError) as error:
        left_out.append((name, error.strerror or str(error)))
        return
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        before = os.fstat(descriptor)
        try:
            archive.addfile(_whole_seconds(archive.gettarinfo(arcname=name, fileobj=file)), file)
        except OSError as error:
            if os.fstat(descriptor).st_size < before.st_size:  # tarfile only says "unexpected end of data"
                raise _changed(path) from error
            if error.filename is None and error.errno:
                raise OSError(error.errno, f"{error.strerror}, while this was being copied", path) from error
            raise
        after = os.fstat(descriptor)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise _changed(path)


def _whole_seconds(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mtime = int(member.mtime)  # fractions would take another kilobyte for each file
    return member


def _changed(path: str) -> rsm.InvalidStateError:
    return rsm.InvalidStateError(f"{path} changed while it was read: back up what nobody writes to, or a snapshot")


# --- reading --------------------------------------------------------------------------------------------------------


class SpanningReader:
    """The stream that a `SpanningWriter` wrote, read from its cartridges in order. Use it in `with`.

    Each cartridge is checked as it comes to its end.
    """

    def __init__(
        self,
        session: rsm.Session,
        volumes: Collection[Volume],
        *,
        on_bytes: OnBytes | None = None,
        on_wait: OnWait | None = None,
    ) -> None:
        self._session, self._waiting = session, list(volumes)
        self._on_bytes, self._on_wait = on_bytes, on_wait
        self._open = contextlib.ExitStack()
        self._volume: Volume | None = None

    def __enter__(self) -> Self:
        return self

    def read(self, size: int = BLOCK_BYTES) -> bytes:
        """Return at most `size` bytes; none at the end of the last cartridge.

        Raises:
            rsm.InvalidMediaError: what a cartridge held is not what was written to it.
        """
        while self._volume is not None or self._waiting:
            if self._volume is None:
                self._begin_volume(self._waiting.pop(0))
            data = self._file.read(size)
            if data:
                self._read += len(data)
                self._digest.update(data)
                if self._on_bytes is not None:
                    self._on_bytes(len(data))
                return data
            self._end_volume()
        return b""

    def drain(self) -> None:
        """Read to the end, so that every byte was checked."""
        while self.read():
            pass

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _begin_volume(self, volume: Volume) -> None:
        mount = self._session.mounts.mount(volume.medium, on_wait=self._on_wait)
        self._open.enter_context(mount)
        self._file: BinaryIO = self._open.enter_context(mount.open("rb"))
        self._volume, self._read, self._digest = volume, 0, hashlib.sha256()

    def _end_volume(self) -> None:
        volume, self._volume = self._volume, None
        assert volume is not None
        self._open.close()
        if (self._read, self._digest.hexdigest()) != (volume.bytes, volume.sha256):
            raise rsm.InvalidMediaError(
                f"cartridge {volume.medium.name} does not hold what was written to it: {self._read:,} bytes were read, "
                f"{volume.bytes:,} written" + ("" if self._read != volume.bytes else ", and they are not the same")
            )


def restore(
    session: rsm.Session,
    volumes: Collection[Volume],
    directory: Path,
    *,
    on_bytes: OnBytes | None = None,
    on_wait: OnWait | None = None,
) -> None:
    """Read a backup into a new or empty directory. Owners and set-id bits are not restored.

    Raises:
        rsm.NotSupportedError: this Python is too old.
        rsm.InvalidMediaError: a cartridge does not hold what was written to it; its name is in the message.
        tarfile.TarError: the stream is as it was written, and no archive that may be unpacked.
        OSError: the directory cannot be written.
        rsm.RsmError: a cartridge or drive is not to be had, or the robot failed.
    """
    if not hasattr(tarfile, "data_filter"):
        raise rsm.NotSupportedError("unpacking safely needs Python 3.11.4 or later")
    links: list[tarfile.TarInfo] = []

    def choose(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo | None:
        if member.issym():
            links.append(member)
            return None
        # The filter keeps members inside the directory. It also narrows permissions, for archives of strangers.
        return tarfile.data_filter(member, path).replace(mode=member.mode & 0o777, deep=False)

    directory.mkdir(parents=True, exist_ok=True)
    with SpanningReader(session, volumes, on_bytes=on_bytes, on_wait=on_wait) as stream:
        try:
            with tarfile.open(fileobj=_as_file(stream), mode="r|", bufsize=BLOCK_BYTES) as archive:
                archive.extractall(directory, filter=choose)
        except rsm.RsmError:
            raise
        except Exception:
            stream.drain()  # finds the cartridge, if that is what the archive suffers from
            raise
        stream.drain()  # tarfile takes a damaged header for the end and says nothing
    for link in links:
        _make_link(directory, link)


def _make_link(directory: Path, link: tarfile.TarInfo) -> None:
    # Made last: until then there was no link in the tree through which a file could have been written elsewhere.
    path = directory / link.name
    if not path.parent.resolve().is_relative_to(directory.resolve()):
        raise tarfile.OutsideDestinationError(link, str(path))
    folder = os.stat(path.parent)
    os.chmod(path.parent, 0o700)  # it may have been restored as one that nobody may write
    os.symlink(link.linkname, path)
    os.chmod(path.parent, stat.S_IMODE(folder.st_mode))
    os.utime(path.parent, ns=(folder.st_atime_ns, folder.st_mtime_ns))


def _as_file(stream: SpanningWriter | SpanningReader) -> IO[bytes]:
    return cast("IO[bytes]", stream)  # of a stream, tarfile calls `write` or `read` and nothing else
