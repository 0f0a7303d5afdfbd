"""Where a catalogue lives: its URL, its file, and the file systems that cannot hold one.

It makes the empty file, with the right permissions, and never opens a database.
"""

import contextlib
import itertools
import os
import re
import stat
from pathlib import Path

import sqlalchemy
from sqlalchemy.engine import URL, make_url

from rsm.errors import DatabaseFailureError, InvalidParameterError

_NETWORK_FILE_SYSTEMS = re.compile(r"^(nfs\d*|cifs|smb\d*|smbfs|9p|fuse(\..*)?|fuseblk|ceph|glusterfs|afs|lustre)$")


def default_path() -> Path:
    """Return where the catalogue is when nobody says: the machine's if there or for uid 0, else the user's."""
    shared = Path("/var/lib/rsm/rsm.db")
    if shared.exists() or os.geteuid() == 0:
        return shared
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return Path(data) / "rsm" / "rsm.db"


def export_path(url: URL) -> Path:
    """Return where a catalogue is exported to when nobody says: in a folder `Export` beside it, or the user's data.

    Each catalogue has a file of its own there: its own name on SQLite, server and database of a PostgreSQL one.
    """
    if url.get_backend_name() == "sqlite":
        path = Path(os.path.realpath(url.database or ""))
        return path.parent / "Export" / path.name
    server = url.host or url.query.get("host") or "local"
    name = f"{server}-{url.port or url.query.get('port') or 5432}-{url.database}"
    return default_path().parent / "Export" / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name).lstrip('-.')}.jsonl"


def make_export_folder(path: Path) -> None:
    """Make the folder that an export goes to, for its owner alone, or for the group that shares the one above.

    Raises:
        DatabaseFailureError: it cannot be made.
    """
    try:
        make_folders(path.parent)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
            if path.parent.stat().st_mode & stat.S_ISGID:
                path.chmod(0o2770)
            sync_folder(path.parent)
    except OSError as error:
        raise DatabaseFailureError(f"cannot make {path}: {error.strerror}") from error


def make_folders(path: Path) -> None:
    """Make a folder and those above it that are missing, and put them on the disk: what is in them outlives a crash.

    Raises:
        OSError: one cannot be made.
    """
    missing = list(itertools.takewhile(lambda each: not each.exists(), (path, *path.parents)))
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    for made in missing:
        with contextlib.suppress(PermissionError):  # one that may be written, and not be read
            sync_folder(made.parent)


def sync_folder(path: Path) -> None:
    """Put on the disk which names a folder holds (OSError)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unreadable(text: str) -> bool:
    return any(ord(character) < 32 or 0xD800 <= ord(character) <= 0xDFFF for character in text)


def parse_url(database: str | None) -> URL:
    """Return the URL of a catalogue given as URL or as path; None is $RSM_DATABASE, or the usual place.

    Raises:
        InvalidParameterError: it is no URL of SQLite or PostgreSQL, names no file, or no readable text.
    """
    if database is None:
        database = os.environ.get("RSM_DATABASE") or str(default_path())
    if not database or _unreadable(database):
        raise InvalidParameterError("a catalogue is a path, sqlite:///path or postgresql://user@host/name")
    if "://" not in database:
        return URL.create("sqlite", database=os.path.abspath(database))
    try:
        url = make_url(database)
        backend = url.get_backend_name()
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        raise InvalidParameterError("the catalogue's URL cannot be understood") from error
    if backend == "sqlite":
        if not url.database or url.database == ":memory:":
            raise InvalidParameterError("a catalogue in memory cannot be shared: give sqlite:/// and a path")
        if url.drivername not in ("sqlite", "sqlite+pysqlite") or url.host or url.query or _unreadable(url.database):
            raise InvalidParameterError("of SQLite a catalogue's URL names the file and nothing else: sqlite:///path")
        return URL.create("sqlite", database=os.path.abspath(url.database))
    if backend == "postgresql":
        return url
    raise InvalidParameterError(f"{backend} is not supported: use sqlite:///path or postgresql://user@host/name")


def network_file_system(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str | None:
    """Return the kind of network file system that a place is on, None where locks hold between programs."""
    try:
        device = os.stat(path).st_dev
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in lines:
        fields = line.split()
        if len(fields) > 6 and fields[2] == wanted and "-" in fields[6:]:
            kind = fields[fields.index("-", 6) + 1]
            if _NETWORK_FILE_SYSTEMS.match(kind):
                return kind
    return None


def check_file_system(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> None:
    """Refuse a place whose locks do not hold between programs.

    Raises:
        DatabaseFailureError: the directory is on NFS, SMB, 9p or FUSE.
    """
    kind = network_file_system(path, mounts)
    if kind is not None:
        raise DatabaseFailureError(
            f"{path} is on {kind}, where locks cannot be trusted: keep the catalogue on a local disk, or use"
            " PostgreSQL (postgresql://user@host/name)"
        )


def make_file(path: Path) -> None:
    """Make an empty catalogue file that only its owner may read, before SQLite sees it; leave one that is there.

    Raises:
        DatabaseFailureError: the directory cannot be written.
    """
    try:
        make_folders(path.parent)
        check_file_system(path.parent)
        shared = path.parent.stat().st_mode & stat.S_ISGID
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            if shared:
                os.fchmod(descriptor, 0o660)
            os.close(descriptor)
    except OSError as error:
        raise DatabaseFailureError(f"cannot make {path}: {error.strerror}") from error
