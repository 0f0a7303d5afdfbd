"""DeleteNtmsMediaPool when the database fails under it, each cause a real one, through both faces.

After every failure the catalogue is, row for row, what it was and no event was left; once the cause is gone the same
session can write, and so can another process.
"""

import os
import resource
import shutil
import signal
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import builders
import faults
import pytest
import sqlalchemy

import rsm
from rsm import drivers, ntmsapi
from rsm.ntmsapi.calls import new_handle

POOL = r"\Above\Pool"
FAILURE = rsm.ErrorCode.ERROR_DATABASE_FAILURE
_ADVISORY_KEY = 0x52534D0001


@dataclass
class Face:
    """One of the two ways to call: what came out is a code, and beside it the error where the face raises."""

    name: str

    def delete(self, session: rsm.Session, pool: Any) -> tuple[rsm.ErrorCode, rsm.RsmError | None]:
        """Delete a pool."""
        if self.name == "ntmsapi":
            return ntmsapi.DeleteNtmsMediaPool(new_handle(session), pool.id), None
        try:
            session.pools.delete(pool)
        except rsm.RsmError as error:
            return error.code, error
        return rsm.ErrorCode.ERROR_SUCCESS, None

    def check_fails(
        self,
        session: rsm.Session,
        pool: Any,
        *causes: type[BaseException],
        sqlite: str | None = None,
        committing: bool = False,
    ) -> None:
        """See that deleting the pool is ERROR_DATABASE_FAILURE, with the driver's error as its cause."""
        code, error = self.delete(session, pool)
        assert code is FAILURE
        if error is not None:
            assert type(error) is rsm.DatabaseFailureError
            assert error.outcome_unknown is committing
            if causes:
                assert isinstance(error.__cause__, causes)
            if sqlite is not None:
                assert error.__cause__.sqlite_errorname == sqlite  # type: ignore[union-attr]


@pytest.fixture(params=["session", "ntmsapi"])
def face(request: pytest.FixtureRequest) -> Face:
    """Run the test through both faces."""
    return Face(request.param)


@pytest.fixture(scope="module")
def neighbour() -> Iterator[faults.Neighbour]:
    """Return another process."""
    other = faults.Neighbour()
    yield other
    other.stop()


@pytest.fixture
def pool(session: rsm.Session) -> rsm.MediaPool:
    """Return a pool that can be deleted."""
    return session.pools.create(POOL, parents=True)


@contextmanager
def open_on(path: Path | str, **options: Any) -> Iterator[rsm.Session]:
    with rsm.connect(str(path), caller=faults.ADMINISTRATOR, **options) as session:
        yield session


@pytest.fixture
def file_session(sqlite_path: Path) -> Iterator[rsm.Session]:
    """Return a session on an SQLite file that holds the pool, with an empty write-ahead log."""
    with open_on(sqlite_path) as session:
        session.pools.create(POOL, parents=True)
    with open_on(sqlite_path) as session:
        yield session


def check_recovered(session: rsm.Session, url: str, before: list[str], neighbour: faults.Neighbour) -> None:
    """See that nothing was left behind, and that this session and another process can write."""
    assert builders.dump(url) == before
    faults.check_writable(session)
    neighbour.check_writable(url)


# Constraints of tables that another tool added

_POOL_ID = {"sqlite": "BLOB", "postgresql": "uuid"}
_FOREIGN = {
    "refers to pools": ("pool {id} NOT NULL REFERENCES media_pool (id)", "FOREIGNKEY", "ForeignKeyViolation"),
    "restricts": ("pool {id} REFERENCES media_pool (id) ON DELETE RESTRICT", "TRIGGER", "RestrictViolation"),
    "refers to objects": ("pool {id} REFERENCES object (id)", "FOREIGNKEY", "ForeignKeyViolation"),
    "must not become null": (
        "pool {id} NOT NULL REFERENCES media_pool (id) ON DELETE SET NULL",
        "NOTNULL",
        "NotNullViolation",
    ),
    "checks": (
        "pool {id} CHECK (pool IS NOT NULL) REFERENCES media_pool (id) ON DELETE SET NULL",
        "CHECK",
        "CheckViolation",
    ),
}


def add_foreign_table(url: str, backend: str, column: str, pool: Any) -> None:
    """Add another tool's table with one row that refers to the pool."""
    with builders.behind(url) as connection:
        connection.exec_driver_sql(f"CREATE TABLE foreign_tool ({column.format(id=_POOL_ID[backend])})")
        value = pool.id.bytes if backend == "sqlite" else pool.id
        connection.execute(sqlalchemy.text("INSERT INTO foreign_tool VALUES (:id)"), {"id": value})


@pytest.mark.parametrize("name", _FOREIGN)
def test_a_constraint_violated_behind_our_back(
    name: str, backend: str, url: str, session: rsm.Session, pool: Any, neighbour: faults.Neighbour
) -> None:
    column, sqlite, postgresql = _FOREIGN[name]
    add_foreign_table(url, backend, column, pool)
    before = builders.dump(url)

    Face("ntmsapi").check_fails(session, pool)
    code, error = Face("session").delete(session, pool)

    assert code is FAILURE
    assert type(error) is rsm.DatabaseFailureError
    assert not error.outcome_unknown
    cause: Any = error.__cause__
    seen = cause.sqlite_errorname if backend == "sqlite" else type(cause).__name__
    assert seen == (f"SQLITE_CONSTRAINT_{sqlite}" if backend == "sqlite" else postgresql)
    check_recovered(session, url, before, neighbour)
    with builders.behind(url) as connection:
        connection.exec_driver_sql("DROP TABLE foreign_tool")
    session.pools.delete(pool)


def test_a_deferred_constraint_that_fails_at_commit(
    face: Face, backend: str, url: str, session: rsm.Session, pool: Any, neighbour: faults.Neighbour
) -> None:
    column = "pool {id} REFERENCES media_pool (id) DEFERRABLE INITIALLY DEFERRED"
    add_foreign_table(url, backend, column, pool)
    before = builders.dump(url)

    face.check_fails(session, pool, session._database.errors, committing=True)  # type: ignore[arg-type]

    check_recovered(session, url, before, neighbour)


# The file


def _overwrite_tree(path: Path, name: str) -> None:
    """Overwrite the root page of a table or index in a file that nobody has open."""
    with closing(sqlite3.connect(path)) as connection:
        size = connection.execute("PRAGMA page_size").fetchone()[0]
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", [name]).fetchone()[0]
    with open(path, "r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xa5" * size)


@pytest.mark.parametrize(
    "tree", ["media_pool", "object", "event", "ix_event_object_id", "uq_media_pool_parent_id_name"]
)
def test_a_corrupted_page(tree: str, face: Face, sqlite_path: Path, neighbour: faults.Neighbour) -> None:
    with open_on(sqlite_path) as session:
        pool = session.pools.create(POOL, parents=True)
    before = builders.dump(str(sqlite_path))
    sound = sqlite_path.read_bytes()
    with closing(sqlite3.connect(sqlite_path)) as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master").fetchall()}
    wanted = tree if tree in names else "sqlite_autoindex_media_pool_2"
    _overwrite_tree(sqlite_path, wanted)

    with open_on(sqlite_path) as session:
        face.check_fails(session, pool, sqlite3.DatabaseError)
        sqlite_path.write_bytes(sound)
        check_recovered(session, str(sqlite_path), before, neighbour)
        assert face.delete(session, pool)[0] is rsm.ErrorCode.ERROR_SUCCESS


@pytest.mark.parametrize("share", [0, 2])
def test_a_file_truncated_while_open(
    share: int, face: Face, sqlite_path: Path, file_session: rsm.Session, neighbour: faults.Neighbour
) -> None:
    pool = file_session.pools.get(POOL)
    before = builders.dump(str(sqlite_path))
    sound = sqlite_path.read_bytes()

    os.truncate(sqlite_path, len(sound) // share if share else 0)
    face.check_fails(file_session, pool)
    face.check_fails(file_session, pool)

    sqlite_path.write_bytes(sound)
    check_recovered(file_session, str(sqlite_path), before, neighbour)


def test_a_file_that_is_no_database_any_more(
    face: Face, sqlite_path: Path, file_session: rsm.Session, neighbour: faults.Neighbour
) -> None:
    pool = file_session.pools.get(POOL)
    before = builders.dump(str(sqlite_path))
    sound = sqlite_path.read_bytes()

    sqlite_path.write_bytes(b"Dear diary, " * 1_000)
    face.check_fails(file_session, pool)

    sqlite_path.write_bytes(sound)
    check_recovered(file_session, str(sqlite_path), before, neighbour)


@pytest.mark.parametrize("content", [b"Dear diary, " * 1_000, b"SQLite format 3\0" + b"\xff" * 4_080])
def test_a_file_that_never_was_a_database(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "diary.db"
    path.write_bytes(content)
    with pytest.raises(rsm.DatabaseFailureError) as raised:
        rsm.connect(path)
    assert isinstance(raised.value.__cause__, sqlite3.DatabaseError)
    assert path.read_bytes() == content
    assert faults.open_files(path) == []


@pytest.mark.parametrize("way", ["renamed", "replaced", "replaced by nothing"])
def test_a_file_that_is_not_there_any_more(
    way: str, face: Face, sqlite_path: Path, file_session: rsm.Session, neighbour: faults.Neighbour
) -> None:
    pool = file_session.pools.get(POOL)
    before = builders.dump(str(sqlite_path))
    away = sqlite_path.with_name("away")
    sqlite_path.rename(away)
    if way == "replaced":
        shutil.copy(away, sqlite_path)
    elif way == "replaced by nothing":
        sqlite_path.touch()

    face.check_fails(file_session, pool, *([FileNotFoundError] if way == "renamed" else []))
    with pytest.raises(rsm.DatabaseFailureError):
        file_session.pools.list()

    assert sqlite_path.exists() is (way != "renamed")
    away.rename(sqlite_path)
    check_recovered(file_session, str(sqlite_path), before, neighbour)


def test_a_file_that_was_deleted(face: Face, sqlite_path: Path, file_session: rsm.Session) -> None:
    pool = file_session.pools.get(POOL)
    copy = shutil.copy(sqlite_path, sqlite_path.with_name("copy"))
    before = builders.dump(str(copy))

    sqlite_path.unlink()
    face.check_fails(file_session, pool, FileNotFoundError)

    assert not sqlite_path.exists()
    # Another file of that name is not what was open: this session stays refused, a new one is not.
    shutil.copy(copy, sqlite_path)
    for leftover in (f"{sqlite_path}-wal", f"{sqlite_path}-shm"):
        Path(leftover).unlink(missing_ok=True)
    face.check_fails(file_session, pool)
    file_session.close()
    assert builders.dump(str(sqlite_path)) == before
    with open_on(sqlite_path) as again:
        assert face.delete(again, pool)[0] is rsm.ErrorCode.ERROR_SUCCESS


# Rights of the operating system, in a child that gave up its own

NOBODY = 65534


@pytest.fixture
def open_folder(sqlite_path: Path) -> Iterator[Path]:
    """Return a catalogue with the pool in a folder that everybody can reach and write to."""
    folder = Path(tempfile.mkdtemp(prefix="rsm-open-"))
    folder.chmod(0o777)
    path = Path(shutil.copy(sqlite_path, folder / "media.db"))
    path.chmod(0o666)
    with open_on(path) as session:
        session.pools.create(POOL, parents=True)
    (folder / "media.db-gate").chmod(0o666)
    yield path
    shutil.rmtree(folder)


# What is denied, how opening ends, and what the cause of the failure may be.
_DENIED: dict[str, tuple[str, int, str, set[str]]] = {
    "read-only file": ("media.db", 0o444, "ERROR_SUCCESS", {"SQLITE_READONLY"}),
    "unreadable file": ("media.db", 0o000, "ERROR_DATABASE_FAILURE", {"SQLITE_CANTOPEN"}),
    "write-only file": ("media.db", 0o222, "ERROR_DATABASE_FAILURE", {"SQLITE_CANTOPEN"}),
    "read-only gate": ("media.db-gate", 0o444, "ERROR_SUCCESS", {"PermissionError"}),
    "read-only folder": (".", 0o555, "ERROR_DATABASE_FAILURE", {"SQLITE_READONLY_DIRECTORY", "SQLITE_CANTOPEN"}),
    "closed folder": (".", 0o000, "ERROR_DATABASE_FAILURE", {"PermissionError"}),
}


@pytest.mark.parametrize("name", _DENIED)
def test_what_the_operating_system_denies(
    name: str, face: Face, open_folder: Path, neighbour: faults.Neighbour
) -> None:
    denied, mode, opening, causes = _DENIED[name]
    folder = open_folder.parent
    before = builders.dump(str(open_folder))
    with open_on(open_folder) as session:  # whatever is loaded at the first use must be loaded before the rights go
        pool = session.pools.get(POOL)
        with session.transaction(dry_run=True):
            session.pools.delete(pool)
    kept = (folder / denied).stat().st_mode & 0o777
    (folder / denied).chmod(mode)

    def try_it() -> Any:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        opened: list[rsm.Session] = []
        seen = faults.outcome(lambda: opened.append(rsm.connect(open_folder, caller=faults.ADMINISTRATOR)))
        if not opened:
            return [seen["code"], seen]
        return [seen["code"], _outcome(face, opened[0], pool)]

    opened, seen = faults.in_child(try_it)
    (folder / denied).chmod(kept)
    assert opened == opening
    assert seen["code"] == "ERROR_DATABASE_FAILURE"
    if "error" in seen:
        assert seen["error"] == "DatabaseFailureError"
        assert (seen["sqlite"] or seen["cause"]) in causes
        assert seen["outcome_unknown"] is False
    with open_on(open_folder) as session:
        check_recovered(session, str(open_folder), before, neighbour)
        assert face.delete(session, pool)[0] is rsm.ErrorCode.ERROR_SUCCESS


def _outcome(face: Face, session: rsm.Session, pool: Any) -> dict[str, Any]:
    """Delete the pool and tell how it ended in words that a pipe can carry."""
    if face.name == "ntmsapi":
        return {"code": ntmsapi.DeleteNtmsMediaPool(new_handle(session), pool.id).name}
    return faults.outcome(lambda: session.pools.delete(pool))


# Writes that fail: a limit on the size of files makes the kernel refuse them with EFBIG


@pytest.mark.parametrize("limit", [0, 4_000, 20_000])
def test_a_write_that_fails(limit: int, face: Face, sqlite_path: Path, neighbour: faults.Neighbour) -> None:
    with open_on(sqlite_path) as session:
        pool = session.pools.create(POOL, parents=True)
    before = builders.dump(str(sqlite_path))

    def try_it() -> Any:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        with open_on(sqlite_path) as session:
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
            seen = _outcome(face, session, pool)
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            unchanged = builders.dump(str(sqlite_path)) == before
            faults.check_writable(session)
            return [seen, unchanged]

    seen, unchanged = faults.in_child(try_it)
    assert unchanged
    assert seen["code"] == "ERROR_DATABASE_FAILURE"
    if face.name == "session":
        assert seen["sqlite"] == "SQLITE_IOERR_WRITE"
        assert seen["outcome_unknown"] is True  # the log is written when the transaction ends
    with open_on(sqlite_path) as session:
        check_recovered(session, str(sqlite_path), before, neighbour)


def test_a_full_disk(face: Face, sqlite_path: Path, neighbour: faults.Neighbour) -> None:
    with open_on(sqlite_path) as session:
        pools = [session.pools.create(f"\\Pool{number:02}", description="d" * 100) for number in range(40)]
        _fill(session)
        for pool in pools:
            before = builders.dump(str(sqlite_path))
            code, error = face.delete(session, pool)
            if code is not rsm.ErrorCode.ERROR_SUCCESS:
                break
        assert code is FAILURE
        assert error is None or error.__cause__.sqlite_errorname == "SQLITE_FULL"  # type: ignore[union-attr]
        check_recovered(session, str(sqlite_path), before, neighbour)
        _fill(session)
        with pytest.raises(rsm.DatabaseFullError):
            _create_many(session)


def _create_many(session: rsm.Session) -> None:
    for number in range(40):
        session.pools.create(f"\\More{number:02}", description="d" * 100)


def _fill(session: rsm.Session) -> None:
    """Let the file of the connection that writes next grow no further."""
    lender = session._database._writers
    lent = lender.lend()
    raw = lent.raw
    raw.execute(f"PRAGMA max_page_count = {raw.execute('PRAGMA page_count').fetchone()[0]}").fetchone()
    lender.take_back(lent)


# Locks


def test_a_lock_of_a_foreign_program(face: Face, sqlite_path: Path, neighbour: faults.Neighbour) -> None:
    with open_on(sqlite_path, busy_timeout_ms=50) as session:
        pool = session.pools.create(POOL, parents=True)
        before = builders.dump(str(sqlite_path))
        with closing(sqlite3.connect(sqlite_path, isolation_level=None)) as foreign:
            foreign.execute("BEGIN IMMEDIATE")
            face.check_fails(session, pool, sqlite3.OperationalError, sqlite="SQLITE_BUSY")
        check_recovered(session, str(sqlite_path), before, neighbour)


def test_a_turn_that_another_process_keeps(
    face: Face, url: str, connect: Callable[..., rsm.Session], pool: Any, neighbour: faults.Neighbour
) -> None:
    session = connect(busy_timeout_ms=50)
    before = builders.dump(url)
    assert neighbour.ask("hold", url=url) == "ERROR_SUCCESS"
    try:
        face.check_fails(session, pool)
        face.check_fails(session, pool)
        assert pool.path in [known.path for known in session.pools.list(recursive=True)]
    finally:
        assert neighbour.ask("let_go") == "ERROR_SUCCESS"
    check_recovered(session, url, before, neighbour)


# The server


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    "lock",
    [f"SELECT pg_advisory_xact_lock({_ADVISORY_KEY})", "LOCK TABLE event", "SELECT id FROM object FOR UPDATE"],
)
def test_a_lock_of_a_foreign_program_on_the_server(
    lock: str, face: Face, url: str, connect: Callable[..., rsm.Session], pool: Any, neighbour: faults.Neighbour
) -> None:
    import psycopg

    session = connect(busy_timeout_ms=50)
    before = builders.dump(url)
    with psycopg.connect(url) as foreign:
        foreign.execute(lock)
        face.check_fails(session, pool, psycopg.errors.LockNotAvailable)
        face.check_fails(session, pool, psycopg.errors.LockNotAvailable)
    check_recovered(session, url, before, neighbour)


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    "statement", ["BEGIN", "SELECT 0, revision", "DELETE FROM object", "INSERT INTO event", drivers.Postgresql.commit]
)
def test_a_connection_cut_in_the_middle(
    statement: str, face: Face, url: str, session: rsm.Session, pool: Any, neighbour: faults.Neighbour
) -> None:
    import psycopg

    before = builders.dump(url)
    with psycopg.connect(url, autocommit=True) as other:

        def cut() -> None:
            other.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'rsm'")

        with faults.meanwhile(session, statement, cut) as fault:
            face.check_fails(session, pool, psycopg.OperationalError, committing=statement == drivers.Postgresql.commit)
        assert fault.fired is not None
    check_recovered(session, url, before, neighbour)
    assert face.delete(session, pool)[0] is rsm.ErrorCode.ERROR_SUCCESS


@pytest.fixture(scope="module")
def own_server() -> Iterator[Any]:
    """Return a server that may be stopped."""
    from conftest import Postgresql

    server = Postgresql()
    yield server
    server.stop()


def test_a_server_that_stops(face: Face, own_server: Any, neighbour: faults.Neighbour) -> None:
    import psycopg

    url = own_server.database()
    with open_on(url) as session:
        pool = session.pools.create(POOL, parents=True)
        before = builders.dump(url)
        own_server.server.stop()
        try:
            face.check_fails(session, pool, psycopg.OperationalError)
            face.check_fails(session, pool, psycopg.OperationalError)
            with pytest.raises(rsm.NotConnectedError):
                rsm.connect(url)
        finally:
            own_server.server.start()
        check_recovered(session, url, before, neighbour)
        assert face.delete(session, pool)[0] is rsm.ErrorCode.ERROR_SUCCESS


# Memory: the limit that SQLite keeps is the process's own and can never be raised again, so each step is a child

# (whether the session is open already, bytes)
_STEPS = (
    (False, 1),
    (False, 120_000),
    (False, 400_000),
    (True, 1),
    (True, 590_000),
    (True, 650_000),
    (True, 800_000),
    (True, 50_000_000),
)


def test_memory_that_runs_out(face: Face, sqlite_path: Path, neighbour: faults.Neighbour) -> None:
    with open_on(sqlite_path) as session:
        pools = [session.pools.create(f"\\Pool{number}") for number in range(len(_STEPS))]
    codes = []
    for pool, (is_open, limit) in zip(pools, _STEPS, strict=True):
        before = builders.dump(str(sqlite_path))
        arguments = {"url": str(sqlite_path), "pool": str(pool.id), "face": face.name}
        seen = neighbour.ask("delete_within", limit=limit, is_open=is_open, **arguments)
        codes.append(seen["code"])
        if "error" in seen:
            assert (seen["error"], seen["cause"]) == ("NotEnoughMemoryError", "MemoryError")
        assert (builders.dump(str(sqlite_path)) == before) is (seen["code"] != "ERROR_SUCCESS")
    assert set(codes) == {"ERROR_NOT_ENOUGH_MEMORY", "ERROR_SUCCESS"}
    assert codes[0] == codes[3] == "ERROR_NOT_ENOUGH_MEMORY"
    assert codes[-1] == "ERROR_SUCCESS"
    with open_on(sqlite_path) as session:
        check_recovered(session, str(sqlite_path), builders.dump(str(sqlite_path)), neighbour)


# The race


def test_either_the_move_wins_or_the_deletion(backend: str, url: str, session: rsm.Session) -> None:
    builders.add_library(url)
    home = session.pools.create(r"\Home", media_type="LTO-8")
    session.media.create(home, [builders.side()], barcode="A00001")
    movers, deleters = faults.Neighbour(), faults.Neighbour()
    winners = []
    try:
        for process in (movers, deleters):
            assert process.ask("connect", url=url) == "ERROR_SUCCESS"
        for number in range(20):
            goal = f"\\Goal{number}"
            session.pools.create(goal, media_type="LTO-8")
            pair = [
                (movers, {"verb": "move", "url": url, "medium": "A00001", "pool": goal}),
                (deleters, {"verb": "delete", "url": url, "pool": goal}),
            ]
            for process, request in pair if number % 2 else reversed(pair):
                process.begin(**request)
            moved, deleted = movers.answer(), deleters.answer()
            there = session.media.get("A00001").pool
            names = {pool.name: pool.id for pool in session.pools.list()}
            if moved == "ERROR_SUCCESS":
                assert deleted == "ERROR_NOT_EMPTY"
                assert there == names[goal[1:]]
                session.media.move("A00001", home)
                session.pools.delete(goal)
            else:
                assert (moved, deleted) == ("ERROR_INVALID_MEDIA_POOL", "ERROR_SUCCESS")
                assert there == home.id
                assert goal[1:] not in names
            winners.append(moved == "ERROR_SUCCESS")
    finally:
        movers.stop()
        deleters.stop()
    assert len(winners) == 20
