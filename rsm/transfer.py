"""Exporting a catalogue while it is in use, and importing one in its place.

It owns the files of both: an export is written beside its target and takes its place in one go; an import is checked
wholly in a folder of its own before anything else hears of it, and what it replaces is kept. It decides nothing about
objects: services do. A process killed at any moment leaves the old export or the new one, the old catalogue or the new.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection

from rsm import db, dump, place, schema
from rsm.errors import (
    BusyError,
    DatabaseFailureError,
    DatabaseFullError,
    InvalidParameterError,
    NotSupportedError,
    RsmError,
    SharingViolationError,
)
from rsm.security import Caller
from rsm.services import catalogue

_SQLITE_HEADER = b"SQLite format 3\0"
_SHOWN_FINDINGS = 3


# Exporting


def export_to(database: db.Database, path: Path | None) -> Path:
    """Write one consistent state of a catalogue to a file, over what is there, and return where; None: the usual place.

    From SQLite it is a database file, from PostgreSQL one of JSON lines.

    Raises:
        SharingViolationError: another export is writing the file.
        DatabaseFullError, DatabaseFailureError: the catalogue cannot be read or the file not written; it is as it was.
    """
    target = place.export_path(database.url) if path is None else Path(os.path.abspath(path))
    if path is None:
        place.make_export_folder(target.parent)
    mode = 0o600 if database.path is None else stat.S_IMODE(os.stat(database.path).st_mode) & 0o666
    with written(target, mode) as part:
        if database.is_sqlite:
            database.copy_to(part)
        else:
            with open(part, "w", encoding="utf-8") as file:
                dump.write_rows(database, file)
    return target


@contextlib.contextmanager
def written(target: Path, mode: int) -> Iterator[Path]:
    """Give an empty file for the body to write, which is then put on the disk and in the place of `target`.

    Raises:
        SharingViolationError: somebody else is writing it.
        DatabaseFullError, DatabaseFailureError: it cannot be written; `target` is as it was.
    """
    part = target.with_name(f"{target.name}.part")
    with _told(target, "written"), _held(part) as descriptor:
        if descriptor is None:
            raise SharingViolationError(f"another export is writing {target}: wait for its end and try again")
        try:
            os.ftruncate(descriptor, 0)
            os.fchmod(descriptor, mode)
            yield part
            os.fsync(descriptor)
            os.replace(part, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(part)
            raise
        place.sync_folder(target.parent)


@contextlib.contextmanager
def _held(path: Path, *, folder: bool = False) -> Iterator[int | None]:
    """Open a file or folder, made if need be, that one process at a time may hold; None: another one does."""
    while True:
        if folder:
            with contextlib.suppress(FileExistsError):
                os.mkdir(path, 0o700)
        kind = os.O_RDONLY | os.O_DIRECTORY if folder else os.O_RDWR | os.O_CREAT
        descriptor = os.open(path, kind | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
                return
            if not _is_at(descriptor, path):  # whoever held it before has put it elsewhere meanwhile
                continue
            yield descriptor
            return
        finally:
            os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
    return False


@contextlib.contextmanager
def _told(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except RsmError:
        raise
    except OSError as error:
        kind = DatabaseFullError if error.errno in (errno.ENOSPC, errno.EDQUOT) else DatabaseFailureError
        raise kind(f"{path} cannot be {what}: {error.strerror or error}") from error


# Importing


def load_new(url: str | None, path: Path | None) -> int:
    """Load an exported catalogue into a missing or empty database, at its own revision, and return how many rows.

    Raises:
        AlreadyExistsError: the database holds something.
        DatabaseFullError, DatabaseFailureError: as `import_from`.
    """
    source = Path(os.path.abspath(place.export_path(place.parse_url(url)) if path is None else path))
    with (
        tempfile.TemporaryDirectory(prefix="rsm-import-") as folder,
        _told(source, "imported"),
        _lines(source, Path(folder)) as lines,
    ):
        return _load_lines(url, lines, source, upgrade=False)


def check_new(url: str | None, path: Path | None) -> int:
    """Check wholly what `load_new` would load, and return how many rows it has; raises as it does."""
    source = place.export_path(place.parse_url(url)) if path is None else path
    with tempfile.TemporaryDirectory(prefix="rsm-import-") as folder:
        trial = str(Path(folder) / "catalogue.db")
        count = load_new(trial, source)
        if schema.current(trial).up_to_date:
            _check_sound(trial, source)
        return count


def check_file(database: db.Database, path: Path | None) -> int:
    """Check wholly what `import_from` would load, and return how many rows it has.

    Raises:
        BusyError, DatabaseFullError, DatabaseFailureError: as `import_from`.
    """
    with _staged(database, _source(database, path)) as (_, count):
        return count


def import_from(
    database: db.Database, path: Path | None, caller: Caller, origin: db.Origin, busy_timeout_ms: int
) -> Path:
    """Put an exported catalogue in the place of this one, and return where the old one is kept.

    Whoever has the old one open, this process too, must open it again. None: the export in the usual place.

    Raises:
        AccessDeniedError: no control of the computer object.
        BusyError: a cartridge is mounted, a library works, or another import is under way.
        NotSupportedError: the catalogue that is in use was upgraded by a newer program.
        DatabaseFullError: there is no room for it.
        DatabaseFailureError: there is no such file, it is damaged or no export that this program knows, or the
            catalogue cannot be read or written. In every case nothing has changed.
    """
    source = _source(database, path)
    with database.snapshot(origin, busy_timeout_ms) as transaction:
        catalogue.check_may_import(transaction, caller)
        if transaction.versions.revision > db.REVISION:
            raise NotSupportedError(f"{database.label} was upgraded by a newer program: upgrade rsm to import into it")
    with _staged(database, source) as (staged, _):
        load = _load_file if database.is_sqlite else _load_rows
        return load(database, staged, caller, origin, busy_timeout_ms, str(source))


def _load_file(
    database: db.Database, staged: db.Database, caller: Caller, origin: db.Origin, busy_timeout_ms: int, source: str
) -> Path:
    with database.writing_alone(busy_timeout_ms):
        with database.snapshot(origin, busy_timeout_ms) as transaction:
            catalogue.check_may_import(transaction, caller)
            newest = catalogue.newest_event(transaction)
        _settle(staged, origin, newest, source)
        kept = schema.keep_copy(database, "import")
        database.load_pages(staged, busy_timeout_ms)
    return kept


def _load_rows(
    database: db.Database, staged: db.Database, caller: Caller, origin: db.Origin, busy_timeout_ms: int, source: str
) -> Path:
    assert staged.path is not None
    rows = staged.path.with_name("settled.jsonl")
    with database.migrating(busy_timeout_ms) as connection:
        transaction = _transaction(database, connection, origin)
        catalogue.check_may_import(transaction, caller)
        _settle(staged, origin, catalogue.newest_event(transaction), source)
        kept = schema.keep_copy(database, "import")
        with _told(rows, "written"), open(rows, "w+", encoding="utf-8") as file:
            dump.write_rows(staged, file)
            file.seek(0)
            dump.read_head(file)
            dump.delete_rows(connection)
            dump.load_rows(connection, file)
    return kept


def _transaction(database: db.Database, connection: Connection, origin: db.Origin) -> db.Transaction:
    raw: Any = connection.connection.driver_connection
    return db.Transaction(database, raw, origin)


def _settle(staged: db.Database, origin: db.Origin, newest_event: int, source: str) -> None:
    """Let the new catalogue's events be numbered on from those of the old one, and its state fit the present."""
    with staged.transaction(origin) as transaction:
        transaction.run(
            f"UPDATE sqlite_sequence SET seq = {newest_event} WHERE name = 'event' AND seq < {newest_event}"
        )
        catalogue.settle_in(transaction, source)


def _source(database: db.Database, path: Path | None) -> Path:
    source = Path(os.path.abspath(place.export_path(database.url) if path is None else path))
    if database.path is not None and os.path.realpath(source) == os.path.realpath(database.path):
        raise DatabaseFailureError(f"{source} is the catalogue itself: there is nothing to import")
    return source


@contextlib.contextmanager
def _staged(database: db.Database, source: Path) -> Iterator[tuple[db.Database, int]]:
    """Make a catalogue of this program's revision out of a file, checked wholly, and tell how many rows it has."""
    usual = place.export_path(database.url)
    folder = usual.with_name(f"{usual.name}.import")
    place.make_export_folder(usual.parent)
    with _told(folder, "used"), _held(folder, folder=True) as descriptor:
        if descriptor is None:
            raise BusyError(f"another import into {database.label} is under way: wait for its end and try again")
        _empty(folder)  # of what one that was killed has left
        try:
            path = str(folder / "catalogue.db")
            database.prepare(folder / "catalogue.db")
            with _told(source, "imported"), _lines(source, folder) as lines:
                count = _load_lines(path, lines, source, upgrade=True)
            _check_sound(path, source)
            staged = db.acquire(place.parse_url(path))
            try:
                yield staged, count
            finally:
                db.release(staged)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _empty(folder: Path) -> None:
    for left in folder.iterdir():
        left.unlink()


def _load_lines(url: str | None, lines: IO[str], source: Path, *, upgrade: bool) -> int:
    try:
        return schema.import_catalogue(url, lines, upgrade=upgrade)
    except InvalidParameterError as error:
        raise DatabaseFailureError(f"{source} cannot be imported: {error}") from error


def _check_sound(url: str, source: Path) -> None:
    findings = schema.check(url)
    if findings:
        told = "; ".join(findings[:_SHOWN_FINDINGS])
        raise DatabaseFailureError(f"{source} is not sound, findings: {len(findings)}: {told}")


@contextlib.contextmanager
def _lines(source: Path, folder: Path) -> Iterator[IO[str]]:
    """Open an export as JSON lines, be it one or a database file."""
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise DatabaseFailureError(f"there is no export at {source}: rsm db export makes one") from None
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise DatabaseFailureError(f"{source} is no file")
        is_database = file.read(len(_SQLITE_HEADER)) == _SQLITE_HEADER
    if not is_database:
        with open(source, encoding="utf-8") as lines:
            yield lines
        return
    with open(folder / "rows.jsonl", "w+", encoding="utf-8") as lines:
        _write_lines(source, lines)
        lines.seek(0)
        yield lines


def _write_lines(source: Path, lines: IO[str]) -> None:
    """Write the rows of an SQLite catalogue that is as sound as SQLite can tell."""
    database = db.acquire(place.parse_url(str(source)))
    try:
        if database.versions() is None:
            raise DatabaseFailureError(f"{source} is an empty database and no export")
        with database.reading() as connection:
            for judgement in ("integrity_check", "foreign_key_check"):
                found = [row[0] for row in connection.exec_driver_sql(f"PRAGMA {judgement}").all()]
                if found not in ([], ["ok"]):
                    raise DatabaseFailureError(f"{source} is damaged ({judgement}): {found[0]}")
        dump.write_rows(database, lines)
    finally:
        db.release(database)
