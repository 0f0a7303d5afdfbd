"""Making, upgrading, judging, exporting and importing whole catalogues.

It runs the revisions in `migrations` on the doorway's own connection, under the write gate, in one transaction. It
knows tables, not calls; it never decides about an object inside a catalogue.
"""

import logging
import os
import shlex
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import sqlalchemy
from sqlalchemy import Connection
from sqlalchemy.engine import URL

from rsm import db, dump, invariants, model, place, populate
from rsm.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    DatabaseFailureError,
    InvalidParameterError,
    NoInterfacesError,
    NotReadyError,
    NotSupportedError,
    RsmError,
)
from rsm.security import (
    AccessEra,
    AccessRights,
    Ace,
    Caller,
    Guard,
    allows,
    check_trustee,
)

logger = logging.getLogger(__name__)

_here = Path(__file__).resolve().parent
SCRIPTS = _here / "migrations" if (_here / "migrations").is_dir() else _here.parent / "migrations"


@dataclass(frozen=True, slots=True)
class Revision:
    """Which revision a catalogue is at, and the newest this program knows; 0 is an empty database.

    `copy` is where an upgrade put the catalogue as it was before.
    """

    number: int
    newest: int
    minimum_reader: int
    minimum_writer: int
    copy: str | None = None

    @property
    def up_to_date(self) -> bool:
        """Whether nothing is to be upgraded."""
        return self.number >= self.newest


# Opening


def open_database(url: URL, *, upgrade_for: Caller | None, creator: Caller) -> db.Database:
    """Return the process's Database for the URL, with a catalogue in it that this program can use.

    A missing or empty one is created; an older one is upgraded when `upgrade_for` says for whom. Release it after use.

    Raises:
        DatabaseFailureError: it cannot be opened, is damaged, or is no catalogue.
        NotConnectedError: the server cannot be reached.
        NotReadyError: another program is upgrading it just now.
        NoInterfacesError: it is older than this program and was not to be upgraded.
        NotSupportedError: it is newer than this program can read.
        AccessDeniedError: `upgrade_for` has no control of the computer object.
    """
    if url.get_backend_name() == "sqlite" and url.database is not None and not os.path.lexists(url.database):
        place.make_file(Path(url.database))
    elif url.database is not None and url.get_backend_name() == "sqlite":
        place.check_file_system(Path(url.database))
    database = db.acquire(url)
    try:
        versions = database.versions()
        if database.superseded:  # another program has loaded one since this process opened it first
            db.release(database)
            database = db.acquire(url)
            versions = database.versions()
        if versions is None:
            _create(database, creator, AccessEra.SERVER_2003, "group:rsm", "group:tape")
        elif versions.min_reader > db.REVISION:
            raise NotSupportedError(f"{database.label} was made by a newer program: upgrade rsm to open it")
        elif versions.revision < db.REVISION and upgrade_for is not None:
            _upgrade(database, upgrade_for)
        elif versions.revision < db.REVISION:
            if database.is_being_upgraded():
                raise NotReadyError(f"{database.label} is being upgraded just now: try again in a moment")
            raise NoInterfacesError(
                f"{database.label} is at revision {versions.revision} and this program needs {db.REVISION}:"
                f" run rsm --database {shlex.quote(database.label)} db upgrade"
            )
        database.keep_write_ahead_log()
    except BaseException:
        db.release(database)
        raise
    return database


def create(
    url: str | None,
    *,
    access_era: str = "2003",
    administrators: str = "group:rsm",
    operators: str = "group:tape",
    caller: Caller | None = None,
) -> None:
    """Create a catalogue in a missing or empty database; `caller` becomes its creator, one of its administrators.

    As everywhere here, None as URL is $RSM_DATABASE, or the usual place.

    Raises:
        InvalidParameterError: the era is not "2003" or "2000", or a group is not `group:NAME`.
        AlreadyExistsError: the database holds something.
        DatabaseFailureError: it cannot be written.
    """
    parsed = place.parse_url(url)
    if access_era not in ("2003", "2000"):
        raise InvalidParameterError("the access era is 2003 (Server 2003) or 2000 (Windows 2000 and XP)")
    for group in (administrators, operators):
        if not check_trustee(group).startswith("group:"):
            raise InvalidParameterError(f"{group!r} is no group: write group:NAME")
    with _opened(parsed, make=True) as database:
        if database.versions() is not None or not _create(
            database, caller or Caller.of_process(), AccessEra(int(access_era)), administrators, operators
        ):
            raise AlreadyExistsError(f"{database.label} holds a catalogue already")


def upgrade(url: str | None, caller: Caller | None = None) -> Revision:
    """Upgrade a catalogue to the newest revision, a copy first, and return where it is now.

    Raises:
        DatabaseFailureError: it is missing, damaged, or a statement failed; nothing changed.
        NotSupportedError: it is newer than this program.
        AccessDeniedError: the caller has no control of the computer object.
    """
    with _opened(place.parse_url(url)) as database:
        copy = _upgrade(database, caller or Caller.of_process())
        return replace(_revision(database), copy=None if copy is None else os.fspath(copy))


def current(url: str | None) -> Revision:
    """Return which revision a catalogue is at.

    Raises:
        DatabaseFailureError: it is missing, damaged, or no catalogue.
    """
    with _opened(place.parse_url(url)) as database:
        return _revision(database)


class _opened:  # noqa: N801 - reads as a verb in `with`
    """A Database for the body, released after it. It must exist unless `make`."""

    def __init__(self, url: URL, *, make: bool = False) -> None:
        if url.get_backend_name() == "sqlite":
            path = Path(url.database or "")
            if make:
                place.make_file(path)
            elif not os.path.exists(path):
                raise DatabaseFailureError(f"there is no catalogue at {path}: rsm db create makes one")
            place.check_file_system(path)
        self._database = db.acquire(url)

    def __enter__(self) -> db.Database:
        return self._database

    def __exit__(self, *_: object) -> None:
        db.release(self._database)


def _revision(database: db.Database) -> Revision:
    versions = database.versions()
    if versions is None:
        return Revision(0, db.REVISION, 0, 0)
    return Revision(versions.revision, db.REVISION, versions.min_reader, versions.min_writer)


# Revisions


def run_revisions(connection: Connection, target: str, *, downgrade: bool = False) -> None:
    """Run alembic to `target` on a connection that is inside a transaction of the doorway."""
    from alembic import command  # only creating and upgrading need it, and it is slow to import
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    (command.downgrade if downgrade else command.upgrade)(config, target)


def mark_revision(connection: Connection, revision: int, minimum_reader: int, minimum_writer: int) -> None:
    """Record the revision where every transaction looks for it."""
    connection.execute(
        sqlalchemy.update(model.Catalogue).values(
            revision=revision, min_reader=minimum_reader, min_writer=minimum_writer
        )
    )
    if connection.dialect.name == "sqlite":
        packed = db.user_version(revision, minimum_reader, minimum_writer)
        connection.exec_driver_sql(f"PRAGMA user_version = {packed}")
        connection.exec_driver_sql(f"PRAGMA application_id = {db.APPLICATION_ID}")


def _create(database: db.Database, creator: Caller, access_era: AccessEra, administrators: str, operators: str) -> bool:
    """Fill an empty database; False if another process was faster."""
    with database.migrating() as connection:
        if not database.is_empty(connection.connection.driver_connection):
            return False
        run_revisions(connection, "head")
        populate.populate(connection, creator, access_era, administrators, operators)
        mark_revision(connection, db.REVISION, db.MINIMUM_READER, db.MINIMUM_WRITER)
    return True


def _upgrade(database: db.Database, caller: Caller) -> Path | None:
    """Upgrade, and return where the copy of the old catalogue is; None if there was nothing to do."""
    with database.upgrading():
        versions = database.versions()
        if versions is None:
            raise DatabaseFailureError(f"{database.label} is empty: rsm db create makes a catalogue")
        if versions.revision > db.REVISION:
            raise NotSupportedError(f"{database.label} is newer than this program: upgrade rsm")
        _check_control(database, versions, caller)
        if versions.revision == db.REVISION:
            return None
        with database.migrating() as connection:
            # Another process may have upgraded while this one waited at the gate: there is nothing left to do then.
            revision = connection.exec_driver_sql("SELECT revision FROM catalogue").scalar_one()
            if revision == db.REVISION:
                return None
            copy = keep_copy(database, f"{revision:04}")
            run_revisions(connection, "head")
            mark_revision(connection, db.REVISION, db.MINIMUM_READER, db.MINIMUM_WRITER)
        logger.info("upgraded %s from revision %d to %d; as it was: %s", database.label, revision, db.REVISION, copy)
        return copy


def _check_control(database: db.Database, versions: db.Versions, caller: Caller) -> None:
    """Read the computer's owner and list with the columns that every revision has."""
    with database.reading() as connection:
        owner = connection.exec_driver_sql("SELECT owner FROM computer").scalar_one()
        entries = connection.exec_driver_sql(
            "SELECT allow, trustee, rights FROM access_control_entry WHERE object_id = (SELECT id FROM computer)"
            " ORDER BY position"
        ).all()
    guard = Guard(owner, [Ace(bool(allow), trustee, AccessRights(rights)) for allow, trustee, rights in entries])
    if not allows(caller, versions.policy, guard, AccessRights.CONTROL):
        raise AccessDeniedError(f"{caller.user} needs control of the computer object to upgrade {database.label}")


def keep_copy(database: db.Database, event: str) -> Path:
    """Keep a catalogue as it is before an event, beside it or with the user's data, and return where.

    Raises:
        DatabaseFailureError: the copy cannot be written.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    name = f"before-{event}-{stamp}-{os.getpid()}"
    if database.path is not None:
        target = database.path.with_name(f"{database.path.name}-{name}")
    else:
        target = place.default_path().parent / f"{database.url.database}-{name}.jsonl"
    try:
        if database.path is not None:
            database.copy_to(target)
        else:
            place.make_folders(target.parent)
            with open(target, "x", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
                dump.write_rows(database, file)
                file.flush()
                os.fsync(file.fileno())
        place.sync_folder(target.parent)
    except RsmError:
        raise  # some are OSErrors too
    except OSError as error:
        raise DatabaseFailureError(f"cannot make {target}: {error.strerror}") from error
    return target


# Judging


def check(url: str | None) -> list[str]:
    """Return what is wrong with a catalogue, one sentence a finding; an empty list means it is sound.

    It looks at the file, at all references, and at every rule in `rsm.invariants`.

    Raises:
        DatabaseFailureError: it is missing or no catalogue, or too damaged to be read at all.
    """
    with _opened(place.parse_url(url)) as database:
        if database.versions() is None:
            return [f"{database.label} is empty"]
        origin = db.Origin("", "", uuid.UUID(int=0))
        findings: list[str] = []
        try:
            with database.snapshot(origin) as transaction:
                if database.is_sqlite:
                    pages = [str(row[0]) for row in _judged(database, transaction, "PRAGMA integrity_check")]
                    findings += [f"the file is damaged: {line}" for line in pages if line != "ok"]
                    dangling = _judged(database, transaction, "PRAGMA foreign_key_check")
                    findings += [
                        f"table {row[0]} refers to a row of {row[2]} that is not there"
                        for row in dangling
                        if len(row) > 1
                    ]
                for sentence, sql in invariants.every_check(sqlite=database.is_sqlite):
                    for row in _judged(database, transaction, sql):
                        value = uuid.UUID(bytes=row[0]) if isinstance(row[0], bytes) and len(row[0]) == 16 else row[0]
                        findings.append(f"{sentence}: {value}")
        except DatabaseFailureError:
            if not findings:
                raise
        return findings


def _judged(database: db.Database, transaction: db.Transaction, sql: str) -> list[Any]:
    """Run one check; one that damage keeps from ending is a finding by itself."""
    try:
        return list(transaction.run(sql).fetchall())
    except database.driver.errors as error:
        return [(f"this could not be read: {error}",)]


# Export and import


def export_catalogue(url: str | None, file: IO[str]) -> int:
    """Write every row as JSON lines that any revision and either database can load; return the number of rows.

    The first line tells format and revision. It is one consistent state, however long the writing takes.

    Raises:
        DatabaseFailureError: the catalogue is missing or cannot be read.
    """
    with _opened(place.parse_url(url)) as database:
        if database.versions() is None:
            raise DatabaseFailureError(f"{database.label} is empty: there is nothing to export")
        return dump.write_rows(database, file)


def import_catalogue(url: str | None, file: IO[str], *, upgrade: bool = False) -> int:
    """Load what `export_catalogue` wrote into a missing or empty database, at the revision it was written at.

    Returns the number of rows. `upgrade` brings it to the revision of this program in the same transaction.

    Raises:
        InvalidParameterError: the file is no export, is cut short in a line, or is of a newer program.
        AlreadyExistsError: the database holds something.
        DatabaseFailureError: a row was refused; nothing was loaded.
    """
    head = dump.read_head(file)
    if head.revision > db.REVISION:
        raise InvalidParameterError(f"the file is of revision {head.revision}; this program knows {db.REVISION}")
    with _opened(place.parse_url(url), make=True) as database, database.migrating() as connection:
        if not database.is_empty(connection.connection.driver_connection):
            raise AlreadyExistsError(f"{database.label} holds a catalogue already")
        run_revisions(connection, f"{head.revision:04}")
        count = dump.load_rows(connection, file)
        mark_revision(connection, head.revision, head.min_reader, head.min_writer)
        if upgrade and head.revision < db.REVISION:
            run_revisions(connection, "head")
            mark_revision(connection, db.REVISION, db.MINIMUM_READER, db.MINIMUM_WRITER)
    return count
