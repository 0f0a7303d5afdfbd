"""A session's calls about the catalogue as a whole: exporting it, and importing another in its place."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from rsm import transfer
from rsm.db import Database, Origin
from rsm.errors import DatabaseFailureError, DatabaseFullError, InvalidParameterError
from rsm.nouns.base import Noun, Runner
from rsm.services import catalogue

T = TypeVar("T")
PathLike = str | os.PathLike[str]


class Keeper(Runner, Protocol):
    """What these calls need of their session."""

    @property
    def origin(self) -> Origin:
        """On whose behalf they are made."""

    @property
    def doorway(self) -> Database:
        """The catalogue's own doorway."""

    @property
    def busy_timeout_ms(self) -> int:
        """How long to wait for other writers."""

    def reconnect(self) -> None:
        """Use the catalogue that has taken the place of the one before."""


class Catalogue(Noun):
    """The catalogue as a whole. Its calls cannot be part of a batch."""

    session: Keeper

    def __init__(self, session: Keeper) -> None:
        self.session = session

    def export_to(self, path: PathLike | None = None) -> str:
        """Write a consistent copy to a file while others go on writing the catalogue, and return where it is.

        None is the file of the catalogue's name in the folder `Export` beside it, and for PostgreSQL in the user's data
        folder. What is there is replaced in one go (ExportNtmsDatabase).

        Raises:
            TypeError, InvalidParameterError: it is no path.
            InvalidOperationError: this thread is in a batch.
            AccessDeniedError: no control right on the computer object.
            SharingViolationError: another export is writing that file.
            DatabaseFailureError: the catalogue cannot be read or the file not written, be it for want of room.
            NotConnectedError: the server cannot be reached.
        """
        wanted = _path(path)
        self.session.check_may_wait()
        self.session.read(catalogue.check_may_export, self.caller)
        return os.fspath(_without_full(lambda: transfer.export_to(self.session.doorway, wanted)))

    def import_from(self, path: PathLike | None = None) -> str:
        """Put an exported catalogue in the place of this one, and return where the old one is kept.

        The file, None for the one that `export_to` writes, may come from either database and from an older program. It
        is checked wholly first. Every other session finds the catalogue not ready and connects again; this one goes on
        with the new one (ImportNtmsDatabase).

        Raises:
            TypeError, InvalidParameterError: it is no path.
            InvalidOperationError: this thread is in a batch.
            AccessDeniedError: no control right on the computer object.
            BusyError: a cartridge is mounted, a library is at work, or another import is under way.
            NotSupportedError: the catalogue was upgraded by a newer program meanwhile.
            DatabaseFailureError: there is no such file, it is damaged, no export or of a newer program, or the
                catalogue cannot be written. Nothing has changed then.
            NotConnectedError: the server cannot be reached.
        """
        wanted = _path(path)
        session = self.session
        session.check_may_wait()
        session.read(catalogue.check_may_import, self.caller)
        kept = _without_full(
            lambda: transfer.import_from(session.doorway, wanted, self.caller, session.origin, session.busy_timeout_ms)
        )
        session.reconnect()
        return os.fspath(kept)

    def check_import(self, path: PathLike | None = None) -> int:
        """Check everything that `import_from` checks, change nothing, and return how many rows would be loaded.

        Raises:
            RsmError: as `import_from`.
        """
        wanted = _path(path)
        self.session.check_may_wait()
        self.session.read(catalogue.check_may_import, self.caller)
        return _without_full(lambda: transfer.check_file(self.session.doorway, wanted))


def _path(value: PathLike | None) -> Path | None:
    if value is None:
        return None
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"path must be a path, not {type(value).__name__}")
    text = os.fspath(value)
    if not isinstance(text, str):
        raise TypeError("path must be a path of text, not bytes")
    if not text or "\0" in text:
        raise InvalidParameterError("a path has at least one character, and no NUL")
    return Path(text)


def _without_full(work: Callable[[], T]) -> T:
    """Neither call has ERROR_DATABASE_FULL among its results."""
    try:
        return work()
    except DatabaseFullError as error:
        raise DatabaseFailureError(str(error), outcome_unknown=error.outcome_unknown) from error.__cause__
