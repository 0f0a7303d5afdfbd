"""Ways to damage a catalogue of the tests of the Win32 face for a while and put it right, and to see all that is in it.

It also runs what needs a process, or a server, of its own.
"""

import contextlib
import itertools
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import builders
import sqlalchemy
from conftest import ADMINISTRATOR, Postgresql
from forks import Forked, run_forked

import rsm
from rsm import db, model, ntmsapi, place, schema
from rsm.constants import NTMS_MEDIA_POOL

PATIENCE_SECONDS = 60
_ROOT = Path(__file__).resolve().parent.parent.parent


def first(result: Any) -> Any:
    """Return the code of a call's result."""
    return result[0] if isinstance(result, tuple) else result


def everything(url: str, besides: Sequence[str] = ()) -> dict[str, list[Any]]:
    """Return every row of a catalogue, table by table, and of the events, which are only ever added, the last and their
    number.

    Tables that are named in `besides` are left out.
    """
    database = db.acquire(place.parse_url(url))
    try:
        with database.reading() as connection:
            raw: Any = connection.connection.driver_connection
            wanted = {table: sql for table, sql in _EVERYTHING.items() if table not in besides}
            if connection.dialect.name == "sqlite":
                return {table: raw.execute(sql).fetchall() for table, sql in wanted.items()}
            found, cursor = {}, raw.execute(";".join(wanted.values()))  # one round trip
            for table in wanted:
                found[table] = cursor.fetchall()
                cursor.nextset()
            return found
    finally:
        db.release(database)


_EVERYTHING = {
    name: f"SELECT * FROM {name} ORDER BY {', '.join(column.name for column in table.primary_key.columns)}"
    for name, table in sorted(model.Base.metadata.tables.items())
} | {"event": "SELECT max(id), count(*) FROM event"}


class Breakable:
    """The part of a world that breaks: its catalogue."""

    url: str
    is_sqlite: bool
    session: rsm.Session
    h: Any
    _handles: dict[rsm.Caller, Any]

    def reopen(self) -> None:
        """Connect again, as everybody has to once another catalogue was loaded."""
        for handle in self._handles.values():
            ntmsapi.CloseNtmsSession(handle)
        self._handles.clear()
        self.session.close()
        self.session = rsm.connect(self.url, application="tests", caller=ADMINISTRATOR)
        code, self.h = ntmsapi.OpenNtmsSession(self.url, "tests", caller=ADMINISTRATOR)
        assert code == 0
        self._handles[ADMINISTRATOR] = self.h

    def export(self) -> tuple[Any, ...]:
        """Leave in the usual place what ImportNtmsDatabase takes, which has no arguments."""
        assert ntmsapi.ExportNtmsDatabase(self.h) == 0
        return ()

    def import_and_reopen(self, *arguments: Any) -> Any:
        """Import what was exported, see that the handle goes on, and connect again in place of all others."""
        code = ntmsapi.ImportNtmsDatabase(self.h, *arguments)
        if code == 0:
            assert first(ntmsapi.EnumerateNtmsObject(self.h, None, NTMS_MEDIA_POOL)) == 0
            self.reopen()
        return code

    @contextlib.contextmanager
    def without_table(self, table: str) -> Iterator[None]:
        """Take a table away behind the program's back."""
        self._run(f"ALTER TABLE {table} RENAME TO taken_away")
        try:
            yield
        finally:
            self._run(f"ALTER TABLE taken_away RENAME TO {table}")

    @contextlib.contextmanager
    def garbled(self) -> Iterator[None]:
        """Overwrite every page of an SQLite catalogue but the first."""
        database = self.session._database
        self._let_go()
        assert database.path is not None
        whole = database.path.read_bytes()
        with open(database.path, "r+b") as file:
            file.seek(4096)
            file.write(b"\xa5" * (len(whole) - 4096))
        try:
            yield
        finally:
            self._let_go()
            for suffix in ("-wal", "-shm"):
                Path(f"{database.path}{suffix}").unlink(missing_ok=True)
            with open(database.path, "r+b") as file:
                file.write(whole)

    def _let_go(self) -> None:
        """Close every connection, that of the watcher too."""
        database = self.session._database
        database._forget_connections()
        database._changes.pause(PATIENCE_SECONDS)
        database._changes.resume()

    def fill_up(self) -> None:
        """Make an SQLite catalogue so full that not one more event fits into its pages."""
        added = itertools.count(1)
        with builders.behind(self.url) as connection:
            sql = connection.exec_driver_sql

            def grows(object_id: bytes, keep: bool) -> bool:
                before = sql("PRAGMA page_count").scalar_one(), sql("PRAGMA freelist_count").scalar_one()
                sql("SAVEPOINT probe")
                sql(
                    "INSERT INTO event (at, operation, kind, object_id, call, user_name, application, session_id,"
                    " before, after, reason) VALUES (0, 1, 1, ?, '', '', '', ?, NULL, NULL, '')",
                    (object_id, bytes(16)),
                )
                grown = (sql("PRAGMA page_count").scalar_one(), sql("PRAGMA freelist_count").scalar_one()) != before
                sql("RELEASE probe" if keep else "ROLLBACK TO probe")
                return grown

            ends = (bytes(16), b"\xff" * 16)
            while not all(grows(end, keep=False) for end in ends):  # at both ends: it is the table that is full
                grows(ends[next(added) % 2], keep=True)

    def outgrow(self, pool: uuid.UUID) -> None:
        """Make the catalogue smaller than the export that lies ready to be imported; only this session outlives it."""
        small = self.session.catalogue.export_to(f"{place.export_path(place.parse_url(self.url))}.small")
        for name in "abc":
            self.session.objects.set_attribute(NTMS_MEDIA_POOL, pool, name, bytes(65_000))
        self.session.catalogue.export_to()
        self.session.catalogue.import_from(small)

    @contextlib.contextmanager
    def full(self, on: str = "event") -> Iterator[None]:
        """Leave the database no room: a limit of pages on SQLite, the server's own error 53100 on PostgreSQL."""
        database = self.session._database
        if not self.is_sqlite:
            with self.raising("53100", on=on):
                yield
            return

        def limit(connection: Any, *_: Any) -> None:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {pages}")

        database._forget_connections()
        sqlalchemy.event.listen(database._writers.engine, "checkout", limit)
        try:
            yield
        finally:
            sqlalchemy.event.remove(database._writers.engine, "checkout", limit)
            database._forget_connections()

    @contextlib.contextmanager
    def raising(self, state: str, *, on: str) -> Iterator[None]:
        """Make the PostgreSQL server itself report an error when a row of a table is written."""
        self._run(
            f"CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no room'"
            f" USING ERRCODE = '{state}'; END $$",
            f"CREATE TRIGGER trouble BEFORE INSERT OR UPDATE ON {on} FOR EACH ROW EXECUTE FUNCTION trouble()",
        )
        try:
            yield
        finally:
            self._run("DROP FUNCTION trouble() CASCADE")

    @contextlib.contextmanager
    def short_of_memory(self) -> Iterator[None]:
        """Make the PostgreSQL server report that its memory ran out, whatever is read."""
        self._run(
            "CREATE FUNCTION trouble() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'out of memory'"
            " USING ERRCODE = '53200'; END $$",
            "ALTER TABLE catalogue RENAME TO taken_away",
            "CREATE VIEW catalogue AS SELECT * FROM taken_away WHERE trouble()",
        )
        try:
            yield
        finally:
            self._run("DROP VIEW catalogue", "ALTER TABLE taken_away RENAME TO catalogue", "DROP FUNCTION trouble()")

    def lose(self, table: str, object_id: uuid.UUID) -> None:
        """Delete a row behind the program's back, foreign keys off, whatever refers to it."""
        database = self.session._database
        connection = database._writers.engine.raw_connection()
        raw: Any = connection.driver_connection
        if self.is_sqlite:
            raw.execute("PRAGMA foreign_keys = OFF")
            raw.execute(f"DELETE FROM {table} WHERE id = ?", [object_id.bytes])
        else:
            raw.execute("SET session_replication_role = replica")
            raw.execute(f"DELETE FROM {table} WHERE id = %s", [object_id])
        connection.invalidate()
        connection.close()

    def takes_room(self, call: Callable[[], Any]) -> bool:
        """Tell whether a call that is rolled back would have made the SQLite file grow."""
        session = ntmsapi.calls.session_of(self.h)
        with session.transaction(dry_run=True):
            batch = session._batch
            assert batch is not None
            before = batch.run("PRAGMA page_count").fetchone()
            assert first(call()) == 0
            return bool(batch.run("PRAGMA page_count").fetchone() != before)

    def grow_old(self) -> None:
        """Make the catalogue one of the revision before the first."""
        with builders.behind(self.url) as connection:
            schema.mark_revision(connection, 0, db.MINIMUM_READER, db.MINIMUM_WRITER)

    def being_upgraded(self) -> AbstractContextManager[None]:
        return being_upgraded(self.url)

    def _run(self, *statements: str) -> None:
        with builders.behind(self.url) as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)


@contextlib.contextmanager
def being_upgraded(url: str) -> Iterator[None]:
    """Have another process hold the upgrade mark of a catalogue."""
    script = (
        "import sys; from rsm import db, place\n"
        "with db.acquire(place.parse_url(sys.argv[1])).upgrading():\n"
        "    print('held', flush=True); sys.stdin.readline()"
    )
    with Forked(
        [sys.executable, "-c", script, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        try:
            yield
        finally:
            child.communicate("done\n", timeout=30)


class StoppedServer:
    """Handles and an object of a catalogue whose server was stopped."""

    def __init__(self) -> None:
        self._server = Postgresql()
        self.url = self._server.database()
        opened = [ntmsapi.OpenNtmsSession(self.url, caller=ADMINISTRATOR) for _ in range(2)]
        assert [code for code, _ in opened] == [0, 0]
        self.h, self.closing = (handle for _, handle in opened)
        _, ids, _ = ntmsapi.EnumerateNtmsObject(self.h, None, NTMS_MEDIA_POOL)
        self.pool = ids[0]
        assert ntmsapi.SetNtmsObjectAttribute(self.h, self.pool, NTMS_MEDIA_POOL, "note", b"x") == 0
        _, self.notification = ntmsapi.OpenNtmsNotification(self.h, NTMS_MEDIA_POOL)
        self._server.stop()

    def close(self) -> None:
        ntmsapi.CloseNtmsSession(self.h)


def run_script(*arguments: str, code: str | None = None) -> str:
    """Run Python in a process of its own with the tests' modules at hand, and return what it printed."""
    command = [sys.executable, *(["-c", code] if code else []), *arguments]
    path = os.pathsep.join(filter(None, (str(_ROOT / "tests"), str(_ROOT), os.environ.get("PYTHONPATH"))))
    bytecode = {name: value for name, value in os.environ.items() if name == "PYTHONPYCACHEPREFIX"}
    environment = {"PYTHONPATH": path, "PATH": "/usr/bin:/bin", **bytecode}
    child = run_forked(command, capture_output=True, text=True, timeout=60, env=environment, cwd=_ROOT)
    assert child.returncode == 0, child.stderr
    return child.stdout
