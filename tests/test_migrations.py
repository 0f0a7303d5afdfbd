"""Revisions: what they make is what the model declares, and no row is lost on any way up or down."""

import io
import json
import shlex
import shutil
import signal
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from alembic import command
from alembic.config import Config
from builders import behind, dump
from conftest import ADMINISTRATOR
from programs import Program

import rsm
from rsm import db, model, place, schema

DATA = Path(__file__).parent / "data"
SAVED = sorted((DATA / "catalogues").glob("*.db"))
REAL_SCRIPTS = schema.SCRIPTS
Rows = dict[str, list[dict[str, Any]]]
HEAD = """
from pathlib import Path
from rsm import Caller, db, place, schema
url, schema.SCRIPTS, place.default_path = sys.argv[1], Path(sys.argv[2]), lambda: Path(sys.argv[3]) / "rsm.db"
db.REVISION = 2
admin, run = Caller("user:admin", administrator=True), schema.run_revisions
"""


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """Return a folder with the real revisions and the tests' second one."""
    folder = tmp_path / "scripts"
    shutil.copytree(REAL_SCRIPTS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (DATA / "revisions").glob("0*.py"):
        shutil.copy(path, folder / "versions")
    return folder


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that copies of PostgreSQL catalogues go to."""
    folder = tmp_path / "kept"
    monkeypatch.setattr(place, "default_path", lambda: folder / "rsm.db")
    return folder


@pytest.fixture
def to_second(scripts: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what makes this program the next one, that needs the second revision."""

    def switch() -> None:
        monkeypatch.setattr(schema, "SCRIPTS", scripts)
        monkeypatch.setattr(db, "REVISION", 2)

    return switch


@pytest.fixture
def older(backend: str, load: Callable[[Path], str], to_second: Callable[[], None]) -> str:
    """Return the URL of a catalogue at the first revision, for a program that needs the second."""
    url = load(SAVED[0])
    to_second()
    return url


@pytest.fixture
def load(backend: str, new_url: Callable[..., str], tmp_path: Path) -> Callable[[Path], str]:
    """Return what loads a saved catalogue, as a file or into PostgreSQL."""

    def load_saved(path: Path) -> str:
        if backend == "sqlite":
            folder = tmp_path / "catalogue"
            folder.mkdir()
            return f"sqlite:///{shutil.copy(path, folder)}"
        url = new_url(empty=True)
        with path.with_suffix(".jsonl").open(encoding="utf-8") as file:
            schema.import_catalogue(url, file)
        return url

    return load_saved


def rows(url: str) -> Rows:
    """Return every row of every table."""
    found: Rows = {}
    for line in dump(url):
        entry = json.loads(line)
        if isinstance(entry, list):
            found.setdefault(entry[0], []).append(entry[1])
    return found


def project(found: Rows, like: Rows) -> dict[str, list[str]]:
    """Return what is left of rows in the tables and columns of others, without what tells the revision."""
    left = {}
    for table, others in like.items():
        columns = sorted(set(others[0]) - ({"revision", "min_reader", "min_writer"} if table == "catalogue" else set()))
        left[table] = sorted(json.dumps([row[column] for column in columns]) for row in found[table])
    return left


def shape(url: str) -> dict[str, Any]:
    """Return what the database says of its own tables, constraints and indices, in an order of our own."""
    database = db.acquire(place.parse_url(url))
    try:
        with database.reading() as connection:
            return sqlite_shape(connection) if database.is_sqlite else postgresql_shape(connection)
    finally:
        db.release(database)


def sqlite_shape(connection: sqlalchemy.Connection) -> dict[str, Any]:
    sql = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
    found = {}
    for name, text in connection.exec_driver_sql(sql).all():
        lines = [" ".join(line.replace('"', "").split()).rstrip(" ,") for line in text.splitlines()]
        found[name] = sorted(line for line in lines if line)
    del found["alembic_version"]
    return found


def postgresql_shape(connection: sqlalchemy.Connection) -> dict[str, Any]:
    parts = {
        "columns": "SELECT table_name, column_name, data_type, is_nullable, column_default, collation_name, is_identity"
        " FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'",
        "constraints": "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version'",
        "indices": "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'",
    }
    return {name: sorted(map(str, connection.exec_driver_sql(sql).all())) for name, sql in parts.items()}


def copies(url: str, kept: Path) -> list[Path]:
    """Return the copies that upgrades made."""
    if url.startswith("sqlite"):
        path = Path(place.parse_url(url).database or "")
        return sorted(path.parent.glob(f"{path.name}-before-*"))
    return sorted(kept.glob("*-before-*")) if kept.exists() else []


# The model and the revisions


def test_alembic_finds_nothing_to_do(url: str) -> None:
    with behind(url) as connection:
        config = Config()
        config.set_main_option("script_location", str(REAL_SCRIPTS))
        config.attributes["connection"] = connection
        command.check(config)


def test_the_migrated_schema_is_the_declared_one(url: str, new_url: Callable[..., str]) -> None:
    declared = new_url(empty=True)
    if declared.startswith("sqlite"):
        place.make_file(Path(place.parse_url(declared).database or ""))
    with behind(declared) as connection:
        model.Base.metadata.create_all(connection)
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num TEXT)")
    assert shape(url) == shape(declared)


def test_a_program_writes_the_newest_revision() -> None:
    numbers = sorted(int(path.name[:4]) for path in (REAL_SCRIPTS / "versions").glob("0*.py"))
    assert numbers == list(range(1, db.REVISION + 1))
    assert [int(path.stem) for path in SAVED] == numbers, "tests/data/catalogues/make.py makes the missing one"
    assert db.MINIMUM_READER <= db.REVISION
    assert db.MINIMUM_WRITER <= db.REVISION


# Saved catalogues


@pytest.mark.parametrize("path", SAVED, ids=lambda path: str(path.stem))
def test_both_saved_forms_hold_the_same_rows(path: Path, tmp_path: Path) -> None:
    text = io.StringIO()
    schema.export_catalogue(str(shutil.copy(path, tmp_path)), text)
    saved = path.with_suffix(".jsonl").read_text(encoding="utf-8")
    assert sorted(text.getvalue().splitlines()) == sorted(saved.splitlines())


@pytest.mark.parametrize("program", ["this one", "the next one"])
@pytest.mark.parametrize("path", SAVED, ids=lambda path: str(path.stem))
def test_a_saved_catalogue_goes_up_and_down_and_up(
    path: Path, program: str, load: Callable[[Path], str], to_second: Callable[[], None]
) -> None:
    url = load(path)
    before, old_shape = rows(url), shape(url)
    assert set(before) >= set(model.Base.metadata.tables), "every table of a saved catalogue has rows"
    if program == "the next one":
        to_second()
    assert schema.upgrade(url, ADMINISTRATOR).up_to_date
    after, new_shape = rows(url), shape(url)
    assert project(after, before) == project(before, before)

    own = int(path.stem)
    with behind(url) as connection:
        schema.run_revisions(connection, f"{own:04}", downgrade=True)
        schema.mark_revision(connection, own, 1, 1)
    assert rows(url) == before
    assert shape(url) == old_shape
    assert schema.upgrade(url, ADMINISTRATOR).up_to_date
    assert rows(url) == after
    assert shape(url) == new_shape

    with behind(url) as connection:
        schema.run_revisions(connection, "base", downgrade=True)
    assert not any(shape(url).values())
    with behind(url) as connection:
        schema.run_revisions(connection, "head")
    assert shape(url) == new_shape


@pytest.mark.parametrize("path", SAVED, ids=lambda path: str(path.stem))
def test_an_upgraded_catalogue_is_sound_and_works(
    path: Path, load: Callable[[Path], str], to_second: Callable[[], None]
) -> None:
    url = load(path)
    to_second()
    schema.upgrade(url, ADMINISTRATOR)
    assert sound(url)


def sound(url: str) -> bool:
    """Tell whether a catalogue is sound, STRICT, and still works."""
    assert schema.check(url) == []
    if url.startswith("sqlite"):
        with behind(url) as connection:
            loose = connection.exec_driver_sql(
                "SELECT name FROM pragma_table_list WHERE schema = 'main' AND NOT strict"
                " AND name NOT IN ('alembic_version', 'sqlite_sequence', 'sqlite_schema')"
            ).all()
        assert loose == []
    with rsm.connect(url, caller=ADMINISTRATOR) as session:
        session.pools.delete(session.pools.create("\\new", media_type="LTO-9"))
    return True


def test_the_second_revision_really_rebuilt(older: str) -> None:
    schema.upgrade(older, ADMINISTRATOR)
    found = rows(older)
    assert {pool["colour"] for pool in found["media_pool"]} == {f"of {pool['name']}" for pool in found["media_pool"]}
    assert {library["building"] for library in found["library"]} >= {"of Offline", "of Robot 🤖"}
    with pytest.raises(rsm.DatabaseFailureError), behind(older) as connection:
        connection.exec_driver_sql("UPDATE media_pool SET pool_type = 7")


# Opening older and newer ones


def test_an_older_catalogue_is_refused_with_the_command_that_upgrades_it(older: str) -> None:
    before = dump(older)
    with pytest.raises(rsm.NoInterfacesError) as caught:
        rsm.connect(older, caller=ADMINISTRATOR)
    assert caught.value.code == rsm.ErrorCode.RPC_S_NO_INTERFACES
    label = place.parse_url(older).render_as_string(hide_password=True)
    words = shlex.split(str(caught.value).split(": run ", 1)[1])
    assert words == ["rsm", "--database", label, "db", "upgrade"]
    assert dump(older) == before
    assert schema.current(older) == schema.Revision(1, 2, 1, 1)


def test_the_command_of_a_refusal_can_be_pasted(tmp_path: Path, to_second: Callable[[], None]) -> None:
    path = str(shutil.copy(SAVED[0], tmp_path / "my tapes; rm -rf $HOME.db"))
    to_second()
    with pytest.raises(rsm.NoInterfacesError) as caught:
        rsm.connect(path, caller=ADMINISTRATOR)
    words = shlex.split(str(caught.value).split(": run ", 1)[1])
    assert place.parse_url(words[2]).database == path


@pytest.mark.parametrize("caller", [ADMINISTRATOR, rsm.Caller("user:bob", ("group:tape",))], ids=lambda each: each.user)
def test_connecting_with_upgrade_upgrades_and_keeps_a_copy(
    older: str, caller: rsm.Caller, kept: Path, new_url: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows(older)
    with rsm.connect(older, caller=caller, upgrade=True) as session:
        assert session.pools.path("\\Nightly\\Daily") == "\\Nightly\\Daily"
    assert schema.current(older) == schema.Revision(2, 2, 1, 1)
    with rsm.connect(older, caller=caller, upgrade=True):
        pass
    (copy,) = copies(older, kept)
    assert "-before-0001-" in copy.name
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600

    monkeypatch.setattr(db, "REVISION", 1)
    monkeypatch.setattr(schema, "SCRIPTS", REAL_SCRIPTS)
    opened = str(copy)
    if copy.suffix == ".jsonl":
        opened = new_url(empty=True)
        with copy.open(encoding="utf-8") as file:
            schema.import_catalogue(opened, file)
    assert rows(opened) == before
    with rsm.connect(opened, caller=ADMINISTRATOR) as session:
        assert session.pools.path("\\Nightly\\Daily") == "\\Nightly\\Daily"


@pytest.mark.parametrize("way", ["connect", "upgrade"])
def test_who_does_not_control_the_computer_cannot_upgrade(older: str, kept: Path, way: str) -> None:
    before, bob = dump(older), rsm.Caller("user:bob", ("group:users",))
    upgrade = schema.upgrade if way == "upgrade" else partial(rsm.connect, upgrade=True)
    with pytest.raises(rsm.AccessDeniedError):
        upgrade(older, caller=bob)
    assert dump(older) == before
    assert copies(older, kept) == []


@pytest.mark.parametrize("told_by", ["both", "row", "header"])
@pytest.mark.parametrize("minima", [(99, 99), (1, 99)], ids=["may not read", "may not write"])
def test_a_newer_catalogue(
    url: str, connect: Callable[..., rsm.Session], minima: tuple[int, int], told_by: str
) -> None:
    session = connect()
    may_read = minima[0] == 1
    with behind(url) as connection:
        if told_by != "header" or connection.dialect.name == "postgresql":
            values = {"revision": 99, "min_reader": minima[0], "min_writer": minima[1]}
            connection.execute(sqlalchemy.update(model.Catalogue).values(**values))
        if told_by != "row" and connection.dialect.name == "sqlite":
            connection.exec_driver_sql(f"PRAGMA user_version = {db.user_version(99, *minima)}")
    before = dump(url)
    for opened in (session, connect() if may_read else session):
        with pytest.raises(rsm.NotReadyError):
            opened.pools.create("\\new")
        if may_read:
            assert opened.pools.list(include_root=True)
        else:
            with pytest.raises(rsm.NotReadyError):
                opened.pools.list()
    if not may_read:
        with pytest.raises(rsm.NotSupportedError):
            connect()
    with pytest.raises(rsm.NotSupportedError):
        schema.upgrade(url, ADMINISTRATOR)
    assert schema.current(url) == schema.Revision(99, db.REVISION, *minima)
    assert dump(url) == before


def test_an_older_export_is_upgraded_as_it_is_imported(
    load: Callable[[Path], str], new_url: Callable[..., str], to_second: Callable[[], None], tmp_path: Path
) -> None:
    url, other, export = load(SAVED[0]), new_url(empty=True), tmp_path / "export"
    with rsm.connect(url, caller=ADMINISTRATOR) as session:
        session.catalogue.export_to(export)
    before = rows(url)
    to_second()
    with rsm.connect(other, caller=ADMINISTRATOR) as session:
        session.catalogue.import_from(export)
        assert session.pools.path("\\Nightly\\Daily") == "\\Nightly\\Daily"
    assert schema.current(other).number == 2
    assert schema.check(other) == []
    like = {table: before[table] for table in ("attribute", "media_pool", "physical_medium", "side", "logical_medium")}
    assert project(rows(other), like) == project(before, like)


# Several programs, and broken revisions

UPGRADE_IN_STEPS = (
    HEAD
    + """
def pause(*arguments, **options):
    say("inside")
    wait()
    run(*arguments, **options)
schema.run_revisions = pause
say(schema.upgrade(url, admin).number)
"""
)
UPGRADE_BEHIND = (
    HEAD
    + """
entered = db.Database.migrating
def migrating(self, *arguments):
    say("at the gate")
    return entered(self, *arguments)
db.Database.migrating = migrating
upgrading = db.Database.upgrading
def enter_upgrading(self):
    say("comes")
    return upgrading(self)
db.Database.upgrading = enter_upgrading
say(schema.upgrade(url, admin).number)
"""
)
DIE_IN_UPGRADE = (
    HEAD
    + """
import os, signal
def die(*arguments, **options):
    run(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)
schema.run_revisions = die
schema.upgrade(url, admin)
"""
)


def test_a_catalogue_that_is_being_upgraded_is_not_ready(older: str, scripts: Path, kept: Path) -> None:
    with Program(UPGRADE_IN_STEPS, older, scripts, kept) as other:
        assert other.hear() == "inside"
        with pytest.raises(rsm.NotReadyError):
            rsm.connect(older, caller=ADMINISTRATOR)
        other.tell()
        assert other.rest() == "2"
    rsm.connect(older, caller=ADMINISTRATOR).close()


def test_two_programs_upgrade_at_once(older: str, scripts: Path, kept: Path) -> None:
    before = rows(older)
    with Program(UPGRADE_IN_STEPS, older, scripts, kept) as first:
        assert first.hear() == "inside"
        with Program(UPGRADE_BEHIND, older, scripts, kept) as second:
            assert second.hear() == "comes"
            assert second.hear() == "at the gate"  # it has seen the first revision, and must wait
            first.tell()
            assert first.rest() == "2"
            assert second.rest().splitlines()[-1] == "2"
    assert project(rows(older), before) == project(before, before)
    assert sound(older)
    (copy,) = copies(older, kept)
    assert "-before-0001-" in copy.name


def test_a_program_killed_in_an_upgrade_leaves_the_old_catalogue(older: str, scripts: Path, kept: Path) -> None:
    before = dump(older)
    with Program(DIE_IN_UPGRADE, older, scripts, kept) as other:
        assert other.status() == -signal.SIGKILL
    assert dump(older) == before
    assert schema.current(older).number == 1
    assert schema.upgrade(older, ADMINISTRATOR).up_to_date
    assert sound(older)


BROKEN = {
    "an error of its own": ("raise RuntimeError('in the middle')", RuntimeError),
    "a statement that fails": ("op.execute('UPDATE no_such_table SET x = 1')", rsm.DatabaseFailureError),
    "a rule that rows break": ("op.execute('UPDATE media_pool SET pool_type = 7')", rsm.DatabaseFailureError),
    "a dangling reference": ("op.execute('DELETE FROM library')", rsm.DatabaseFailureError),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_revision_leaves_the_old_catalogue(older: str, scripts: Path, kept: Path, fault: str) -> None:
    statement, error = BROKEN[fault]
    path = scripts / "versions" / "0002_rebuild.py"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("\n\n\ndef downgrade", f"\n    {statement}\n\n\ndef downgrade"), encoding="utf-8")
    before, old_shape = dump(older), shape(older)
    with pytest.raises(error) as caught:
        schema.upgrade(older, ADMINISTRATOR)
    if fault == "a dangling reference" and older.startswith("sqlite"):
        assert "dangling" in str(caught.value)
    assert dump(older) == before
    assert shape(older) == old_shape
    assert schema.current(older).number == 1
    path.write_text(text, encoding="utf-8")
    assert schema.upgrade(older, ADMINISTRATOR).up_to_date
    assert len(copies(older, kept)) == 2
    assert sound(older)
