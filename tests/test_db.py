"""The doorway itself: batches, forks, threads, the end of sessions, snapshots, and what it costs to go through."""

import ast
import contextlib
import errno
import fcntl
import itertools
import os
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import builders
import faults
import pytest
from sqlalchemy import PrimaryKeyConstraint, UniqueConstraint

import rsm
from rsm import model, schema
from rsm.constants import NtmsObjectsTypes as Kind

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "rsm"


def names(session: rsm.Session) -> set[str]:
    """Return the paths of all pools that are not the service's own."""
    return {pool.path for pool in session.pools.list(recursive=True)} - {"\\Free", "\\Import", "\\Unrecognized"}


def in_thread(function: Callable[[], Any]) -> Any:
    """Run a function in another thread and return or raise what came of it."""
    results: list[Any] = []

    def run() -> None:
        try:
            results.append((function(), None))
        except BaseException as error:  # noqa: BLE001 - it is raised again below
            results.append((None, error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    value, error = results[0]
    if error is not None:
        raise error
    return value


@pytest.fixture(scope="module")
def neighbour() -> Iterator[faults.Neighbour]:
    """Return another process."""
    other = faults.Neighbour()
    yield other
    other.stop()


# Batches


def test_a_batch_is_seen_by_others_only_when_it_ends(session: rsm.Session, connect: Callable[..., rsm.Session]) -> None:
    other = connect()
    with session.transaction():
        session.pools.create(r"\A")
        session.pools.create(r"\A\B")
        assert names(session) == {r"\A", r"\A\B"}
        assert names(other) == set()
        assert in_thread(lambda: names(session)) == set()  # a batch belongs to its thread
    assert names(other) == {r"\A", r"\A\B"}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, rsm.NotEmptyError])
def test_a_batch_is_rolled_back_by_an_exception(error: type[BaseException], url: str, session: rsm.Session) -> None:
    before = builders.dump(url)
    with pytest.raises(error), session.transaction():  # noqa: PT012 - what raises is the body's last line
        session.pools.create(r"\A")
        raise error
    assert builders.dump(url) == before
    faults.check_writable(session)


def test_an_error_that_is_caught_leaves_the_batch_usable(session: rsm.Session) -> None:
    with session.transaction():
        session.pools.create(r"\A\B", parents=True)
        with pytest.raises(rsm.NotEmptyError):
            session.pools.delete(r"\A")
        with pytest.raises(rsm.InvalidNameError):
            session.pools.create(r"\New\Sub\|" + "\0", parents=True)
        session.pools.create(r"\C")
    assert names(session) == {r"\A", r"\A\B", r"\C"}


def test_a_failed_call_of_a_batch_leaves_no_half_of_itself(session: rsm.Session, backend: str) -> None:
    error = faults.disk_error if backend == "sqlite" else faults.server_error
    with faults.failing_at(session, "INSERT INTO event", error, 1), session.transaction():
        with pytest.raises(rsm.DatabaseFailureError):
            session.pools.create(r"\Half")
        assert names(session) == set()
        session.pools.create(r"\Whole")
    assert names(session) == {r"\Whole"}
    assert len([event for event in session.events.list() if event.call == "CreateNtmsMediaPool"]) == 1


def test_a_dry_run_does_everything_and_takes_it_back(url: str, session: rsm.Session) -> None:
    before = builders.dump(url)
    with session.transaction(dry_run=True):
        pool = session.pools.create(r"\A")
        assert session.pools.get(pool.id) == pool
        with pytest.raises(rsm.AlreadyExistsError):
            session.pools.create(r"\A")
    assert builders.dump(url) == before


def test_a_batch_inside_a_batch_is_refused(session: rsm.Session) -> None:
    with session.transaction():
        session.pools.create(r"\A")
        with pytest.raises(rsm.InvalidOperationError), session.transaction():
            pytest.fail("the inner batch began")
        session.pools.create(r"\B")
    assert names(session) == {r"\A", r"\B"}


def _go_on_after_an_undoing(session: rsm.Session, pool: rsm.MediaPool) -> None:
    with session.transaction():
        session.pools.create(r"\First")
        with pytest.raises(rsm.DatabaseFailureError):
            session.pools.delete(pool)
        for call in (lambda: session.pools.create(r"\Second"), session.pools.list):
            with pytest.raises(rsm.DatabaseFailureError):
                call()


def test_a_batch_that_sqlite_undid_takes_no_more_calls(sqlite_path: Path) -> None:
    url = str(sqlite_path)
    with rsm.connect(url, caller=faults.ADMINISTRATOR) as session:
        pool = session.pools.create(r"\Pool")
        with builders.behind(url) as connection:
            connection.exec_driver_sql(
                "CREATE TRIGGER foreign_guard BEFORE DELETE ON object BEGIN SELECT RAISE(ROLLBACK, 'mine'); END"
            )
        before = builders.dump(url)
        with pytest.raises(rsm.DatabaseFailureError) as raised:
            _go_on_after_an_undoing(session, pool)
        assert raised.value.outcome_unknown is False
        assert builders.dump(url) == before
        faults.check_writable(session)


# Forks


def test_in_the_child_of_a_fork_sessions_are_dead_and_the_parents_live(
    url: str, connect: Callable[..., rsm.Session], neighbour: faults.Neighbour
) -> None:
    session, other = connect(), connect()
    session.pools.create(r"\Parent")

    def child() -> Any:
        calls: list[Callable[[], Any]] = [
            session.pools.list,
            lambda: session.pools.create(r"\Never"),
            session.transaction().__enter__,
            session.__enter__,
        ]
        dead = [faults.outcome(call)["code"] for call in calls]
        closed = [session.closed, other.closed]
        session.close()
        with rsm.connect(url, caller=faults.ADMINISTRATOR) as own:
            own.pools.create(r"\Child")
            return [dead, closed, sorted(names(own))]

    dead, closed, seen = faults.in_child(child)
    assert dead == ["ERROR_INVALID_HANDLE"] * 4
    assert closed == [True, True]
    assert seen == [r"\Child", r"\Parent"]
    assert names(session) == names(other) == {r"\Child", r"\Parent"}
    session.pools.create(r"\After")
    neighbour.check_writable(url)
    assert schema.check(url) == []


def test_what_a_child_commits_outlives_the_parents_last_session(url: str) -> None:
    """SQLite deletes the write-ahead log with the last connection it knows of; a child's must be known."""
    session = rsm.connect(url, caller=faults.ADMINISTRATOR)
    session.pools.create(r"\Parent")
    to_parent, from_parent = os.pipe(), os.pipe()

    def child() -> Any:
        with rsm.connect(url, caller=faults.ADMINISTRATOR) as own:
            own.pools.create(r"\First")
            os.write(to_parent[1], b"x")
            os.read(from_parent[0], 1)
            own.pools.create(r"\Second")
            return sorted(names(own))

    def close_in_between() -> None:
        os.read(to_parent[0], 1)
        session.close()
        os.write(from_parent[1], b"x")

    seen = faults.in_child(child, meanwhile=close_in_between)
    for end in (*to_parent, *from_parent):
        os.close(end)
    assert seen == [r"\First", r"\Parent", r"\Second"]
    with rsm.connect(url, caller=faults.ADMINISTRATOR) as again:
        assert sorted(names(again)) == seen


def test_a_fork_while_another_thread_writes(url: str, connect: Callable[..., rsm.Session]) -> None:
    session = connect()
    inside = threading.Event()

    def write() -> None:
        with session.transaction():
            session.pools.create(r"\Thread")
            inside.set()
            for number in range(20):
                session.pools.create(f"\\Thread\\{number}")

    thread = threading.Thread(target=write)
    thread.start()
    inside.wait()

    def child() -> Any:
        with rsm.connect(url, caller=faults.ADMINISTRATOR) as own:
            own.pools.create(r"\Child")
            return len(names(own))

    assert faults.in_child(child) >= 1
    thread.join()
    assert len(names(session)) == 22
    assert schema.check(url) == []


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"], indirect=True)
@pytest.mark.parametrize("raising", [False, True])
def test_a_batch_belongs_to_the_process_that_opened_it(raising: bool, url: str, session: rsm.Session) -> None:
    reader, writer = os.pipe()
    parent = os.getpid()
    try:
        with session.transaction():
            session.pools.create(r"\Batch")
            child = os.fork()
            if child == 0 and raising:
                raise ValueError("the child leaves the batch by an exception")
        result = "left"
    except rsm.RsmError as error:
        result = error.code.name
    except BaseException as error:  # noqa: BLE001 - the child tells what it was
        result = type(error).__name__
    if os.getpid() != parent:
        os.write(writer, result.encode())
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        seen = pipe.read().decode()
    assert os.waitpid(child, 0)[1] == 0
    assert seen == ("ValueError" if raising else "ERROR_INVALID_HANDLE")
    assert result == "left"
    assert names(session) == {r"\Batch"}
    faults.check_writable(session)
    assert schema.check(url) == []


# Threads, and the end of sessions


def test_threads_share_a_session(session: rsm.Session) -> None:
    def work(number: int) -> None:
        session.pools.create(f"\\T{number}")
        for child in range(5):
            session.pools.create(f"\\T{number}\\{child}")
            names(session)
        session.pools.delete(f"\\T{number}\\0")

    threads = [threading.Thread(target=work, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names(session)) == 6 * 5
    ids = [event.id for event in session.events.list()]
    assert ids == sorted(set(ids))


def test_closing_the_last_session_closes_every_file(sqlite_path: Path) -> None:
    sessions = [rsm.connect(sqlite_path, caller=faults.ADMINISTRATOR) for _ in range(3)]
    for number, session in enumerate(sessions):
        in_thread(lambda session=session, number=number: session.pools.create(f"\\P{number}"))  # type: ignore[misc]
        names(session)
    for session in sessions:
        assert faults.open_files(sqlite_path)
        session.close()
        session.close()
        with pytest.raises(rsm.InvalidHandleError):
            names(session)
    assert faults.open_files(sqlite_path) == []
    assert sorted(path.name for path in sqlite_path.parent.iterdir()) == ["media.db", "media.db-gate"]


def test_a_session_closed_by_another_thread_ends_when_the_batch_does(sqlite_path: Path) -> None:
    session = rsm.connect(sqlite_path, caller=faults.ADMINISTRATOR)
    inside, closed = threading.Event(), threading.Event()
    seen: list[Any] = []

    def write() -> None:
        with session.transaction():
            session.pools.create(r"\Before")
            inside.set()
            closed.wait()
            seen.append(faults.outcome(lambda: session.pools.create(r"\After"))["code"])

    thread = threading.Thread(target=lambda: seen.append(faults.outcome(write)["code"]))
    thread.start()
    inside.wait()
    session.close()
    closed.set()
    thread.join()
    assert seen == ["ERROR_INVALID_HANDLE", "ERROR_SUCCESS"]
    assert faults.open_files(sqlite_path) == []
    with rsm.connect(sqlite_path, caller=faults.ADMINISTRATOR) as again:
        assert names(again) == {r"\Before"}


@pytest.mark.parametrize("trouble", ["forgotten", "failing"])
def test_no_connection_is_lost_when_others_are_dropped(trouble: str, sqlite_path: Path) -> None:
    session = rsm.connect(sqlite_path, caller=faults.ADMINISTRATOR)
    with session.transaction():
        session.pools.create(r"\P")
        if trouble == "forgotten":
            faults.database_of(session)._forget_connections()
    if trouble == "failing":
        with faults.failing(session, 4, faults.disk_error, persistent=True), pytest.raises(rsm.DatabaseFailureError):
            session.pools.delete(r"\P")
    session.close()
    assert faults.open_files(sqlite_path) == []


def test_a_session_that_reads_writes_nothing(sqlite_path: Path) -> None:
    files = [sqlite_path, Path(f"{sqlite_path}-wal")]
    with rsm.connect(sqlite_path, caller=faults.ADMINISTRATOR) as session:
        pool = session.pools.create(r"\P", media_type="LTO-8")
        before = [(file.stat().st_mtime_ns, file.stat().st_size) for file in files]
        gate = os.stat(f"{sqlite_path}-gate").st_mtime_ns
        with rsm.connect(sqlite_path, caller=faults.ADMINISTRATOR) as other:
            for reader in (session, other):
                names(reader)
                reader.pools.get(pool)
                reader.pools.path(pool)
                reader.media.list(pool=pool)
                reader.events.list()
                reader.types.list()
                reader.acl.get(Kind.NTMS_MEDIA_POOL, pool)
                reader.objects.list(Kind.NTMS_LIBRARY)
                with pytest.raises(rsm.ObjectNotFoundError):
                    reader.objects.get(Kind.NTMS_LIBRARY, uuid.uuid4())
        builders.dump(str(sqlite_path))
        assert [(file.stat().st_mtime_ns, file.stat().st_size) for file in files] == before
        assert os.stat(f"{sqlite_path}-gate").st_mtime_ns == gate


# The gate


def test_ctrl_c_while_waiting_for_the_turn_gives_up_the_place(sqlite_path: Path, neighbour: faults.Neighbour) -> None:
    third = faults.Neighbour()
    with rsm.connect(sqlite_path, caller=faults.ADMINISTRATOR) as session:
        assert neighbour.ask("hold", url=str(sqlite_path)) == "ERROR_SUCCESS"
        with pytest.raises(KeyboardInterrupt), faults.interrupted_after(0.2):
            session.pools.create(r"\Never")
        assert neighbour.ask("let_go") == "ERROR_SUCCESS"
        third.begin("write", url=str(sqlite_path))
        assert third.answer() == "ERROR_SUCCESS"
        assert names(session) == set()
        faults.check_writable(session)
    third.stop()


@pytest.mark.parametrize(
    ("broken", "error"),
    [("lockf", OSError(errno.ENOLCK, "No locks available")), ("start", RuntimeError("can't start new thread"))],
)
def test_a_turn_that_cannot_be_had(
    broken: str, error: Exception, sqlite_path: Path, neighbour: faults.Neighbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    url = str(sqlite_path)
    with rsm.connect(url, caller=faults.ADMINISTRATOR, busy_timeout_ms=50) as session:
        session.pools.create(r"\P")
        assert neighbour.ask("hold", url=url) == "ERROR_SUCCESS"
        with monkeypatch.context() as patch:
            patch.setattr(*((fcntl, "lockf", fail) if broken == "lockf" else (threading.Thread, "start", fail)))
            with pytest.raises(rsm.RsmError) as raised:
                session.pools.delete(r"\P")
        wanted = rsm.DatabaseFailureError if broken == "lockf" else rsm.NotEnoughMemoryError
        assert type(raised.value) is wanted
        assert raised.value.__cause__ is error
        assert neighbour.ask("let_go") == "ERROR_SUCCESS"
        faults.check_writable(session)


# What is told, and what is seen


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_no_password_is_told(url: str, backend: str) -> None:
    with_password = url.replace("://postgres:@", "://postgres:secret@")
    assert with_password != url
    with rsm.connect(with_password, caller=faults.ADMINISTRATOR) as session:
        told = [session.database, repr(session), str(faults.outcome(lambda: session.pools.delete(r"\Nothing")))]
        with faults.failing(session, 3, faults.server_error), pytest.raises(rsm.DatabaseFailureError) as raised:
            session.pools.delete(r"\Nothing")
        told += [str(raised.value), repr(raised.value), str(raised.value.__cause__)]
    elsewhere = re.sub(r"host=[^&]*", "host=/nonexistent", with_password)
    with pytest.raises(rsm.NotConnectedError) as unreachable:
        rsm.connect(elsewhere)
    told += [str(unreachable.value), repr(unreachable.value.__cause__)]
    assert not [text for text in told if "secret" in text]
    assert "postgres" in told[0]


def test_a_snapshot_is_one_state_and_changes_nothing(
    backend: str, session: rsm.Session, connect: Callable[..., rsm.Session]
) -> None:
    other = connect()
    database = faults.database_of(session)
    count = "SELECT count(*) FROM media_pool"
    with database.snapshot(session._origin) as transaction:
        before = transaction.run(count).fetchone()
        in_thread(lambda: other.pools.create(r"\Meanwhile"))
        assert transaction.run(count).fetchone() == before
        for sql in ("DELETE FROM event", "CREATE TABLE mine (id integer)", "UPDATE catalogue SET creator = 'me'"):
            with pytest.raises(rsm.DatabaseFailureError):
                transaction.run(sql)
            if backend == "postgresql":
                break  # the server takes no more statements in a transaction that failed
    assert names(session) == {r"\Meanwhile"}
    faults.check_writable(session)


def test_a_transaction_ends_in_one_place_only() -> None:
    ending = re.compile(r"\b(COMMIT|ROLLBACK(?! TO SAVEPOINT)|BEGIN|END TRANSACTION)\b")
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).as_posix() in ("db.py", "drivers.py"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        told = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in ("commit", "rollback", "begin", "begin_nested"):
                if ast.unparse(node).endswith(".detection.begin"):  # of a watch over drives
                    continue
                found.append(f"{path.name}:{node.lineno}")
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
                found += [f"{path.name}:{node.lineno}"] * len(ending.findall(node.value))
    assert found == []


# What it costs


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("by", ["id", "path"])
def test_deleting_a_pool_takes_six_statements(by: str, fresh: bool, session: rsm.Session, backend: str) -> None:
    pool = session.pools.create(r"\Above\Below\Pool", parents=True)
    if fresh:
        faults.database_of(session)._forget_connections()
    else:
        faults.check_writable(session)
    with faults.tracing(session) as traced, faults.recording(session) as fault:
        session.pools.delete(pool.id if by == "id" else pool.path)
    statements = [call for call in fault.calls if not call.startswith("fetch")]
    assert len(statements) <= 6, statements
    assert statements[0].startswith("BEGIN")
    assert statements[-1] == faults.database_of(session).driver.commit
    if backend == "sqlite" and not fresh:
        # what ON DELETE CASCADE does is told as the same statement again
        assert [sql.split()[0] for sql, _ in itertools.groupby(traced)] == [sql.split()[0] for sql in statements]


GROWING = ("media_pool", "physical_medium", "side", "logical_medium", "event", "object", "access_control_entry")


def test_no_statement_reads_a_growing_table_from_end_to_end(sqlite_path: Path) -> None:
    """The plans of deleting, finding and listing, as SQLite makes them."""
    robot = builders.add_library(str(sqlite_path))
    with rsm.connect(sqlite_path, caller=faults.ADMINISTRATOR) as session:
        pool = session.pools.create(r"\Above\Pool", media_type="LTO-8", parents=True)
        session.media.create(pool, [builders.side()], barcode="A00001")
        session.pools.create(r"\Above\Empty")
        plans: dict[str, list[str]] = {}
        with faults.in_the_way(session, faults.Planning(plans)):
            session.pools.delete(session.pools.get(r"\Above\Empty").id)
            session.pools.create(r"\Above\Empty")
            session.pools.delete(r"\Above\Empty")
            for kind in (Kind.NTMS_MEDIA_POOL, Kind.NTMS_PHYSICAL_MEDIA):
                session.objects.find(kind, r"\Above\Pool" if kind is Kind.NTMS_MEDIA_POOL else "A00001")
                session.objects.list(kind, pool.id)
                session.objects.list(kind)
            session.objects.list(Kind.NTMS_PARTITION, pool.id)
            session.objects.list(Kind.NTMS_LOGICAL_MEDIA, pool.id)
            session.objects.list(Kind.NTMS_PHYSICAL_MEDIA, robot.id)
            session.events.list(object_=pool)
            session.events.list()
    assert len(plans) > 15
    scans = {
        sql: line
        for sql, plan in plans.items()
        for line in plan
        if re.match(rf"SCAN (TABLE )?({'|'.join(GROWING)})(_\d+)?\b", line)
    }
    assert scans == {}


def test_every_reference_can_be_followed_backwards_by_an_index() -> None:
    """Deleting a row makes the database look for rows that refer to it: without an index it reads the whole table."""
    missing = []
    for table in model.Base.metadata.tables.values():
        leading = {next(iter(index.columns)).name for index in table.indexes if not _is_partial(index)}
        leading |= {
            next(iter(constraint.columns)).name
            for constraint in table.constraints
            if isinstance(constraint, (PrimaryKeyConstraint, UniqueConstraint))
        }
        for key in table.foreign_key_constraints:
            first = next(iter(key.columns)).name
            if first not in leading:
                missing.append(f"{table.name}.{first}")
    assert missing == []


def _is_partial(index: Any) -> bool:
    return index.dialect_options["sqlite"]["where"] is not None


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_pool_may_lie_deeper_than_sqlite_joins_tables(session: rsm.Session) -> None:
    deepest = r"\x" * 70
    session.pools.create(deepest, parents=True)
    pool = session.pools.get(deepest)
    assert pool.path == deepest
    session.pools.delete(deepest)
    assert len(names(session)) == 69


def test_calls_made_together_fail_as_one_documented_call(session: rsm.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def unreachable(*_: object) -> Iterator[None]:
        raise rsm.NotConnectedError("gone")
        yield

    monkeypatch.setattr(session._database, "transaction", unreachable)
    with pytest.raises(rsm.DatabaseFailureError, match="gone"):
        session.together(lambda: session.pools.create("\\App"))
    monkeypatch.undo()
    with pytest.raises(rsm.AlreadyExistsError):
        session.together(lambda: [session.pools.create("\\App"), session.pools.create("\\App")])
    assert [pool.path for pool in session.pools.list()].count("\\App") == 0
