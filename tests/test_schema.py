"""Making and judging whole catalogues: what create makes, what connect refuses, what check finds."""

import contextlib
import shutil
import signal
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import behind, dump
from conftest import ADMINISTRATOR, Postgresql
from programs import Program

import rsm
from rsm import db, invariants, model, place, schema

NEWEST = schema.Revision(db.REVISION, db.REVISION, db.MINIMUM_READER, db.MINIMUM_WRITER)
HEAD = """
from rsm import AlreadyExistsError, Caller, connect, schema
admin = Caller("user:admin", administrator=True)
"""
CREATE = (
    HEAD
    + """
say("ready")
wait()
try:
    schema.create(sys.argv[1], caller=admin)
    say("made")
except AlreadyExistsError:
    say("was there")
"""
)
CONNECT = (
    HEAD
    + """
say("ready")
wait()
with connect(sys.argv[1], caller=admin) as session:
    say(len(session.pools.list()))
"""
)
DIE = (
    HEAD
    + """
import os, signal
run = getattr(schema, sys.argv[2])
def die(*arguments, **options):
    run(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(schema, sys.argv[2], die)
connect(sys.argv[1], caller=admin)
"""
)


# Create


def test_a_new_catalogue_is_sound_and_holds_what_it_was_told(new_url: Callable[..., str]) -> None:
    url = new_url(empty=True)
    options = {"access_era": "2000", "administrators": "group:wheel", "operators": "group:täpe"}
    schema.create(url, caller=rsm.Caller("user:zoë"), **options)
    assert schema.check(url) == []
    assert schema.current(url) == NEWEST
    with behind(url) as connection:
        columns = "access_era, administrators, operators, creator, event_keep_days"
        row = connection.exec_driver_sql(f"SELECT {columns} FROM catalogue").one()
    assert tuple(row) == (2000, "group:wheel", "group:täpe", "user:zoë", 400)
    before = dump(url)
    with pytest.raises(rsm.AlreadyExistsError):
        schema.create(url, caller=ADMINISTRATOR)
    assert dump(url) == before


@pytest.mark.parametrize("as_url", [True, False], ids=["url", "path"])
def test_a_new_file_is_made_with_its_folders(tmp_path: Path, as_url: bool) -> None:
    path = tmp_path / "a b" / "ü%3B" / "media.db"
    given = place.parse_url(str(path)).render_as_string() if as_url else str(path)
    schema.create(given, caller=ADMINISTRATOR)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    raw = sqlite3.connect(path)
    assert raw.execute("PRAGMA application_id").fetchone() == (db.APPLICATION_ID,)
    assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert raw.execute("PRAGMA user_version").fetchone() == (db.user_version(db.REVISION, 1, 1),)
    raw.close()


def test_a_catalogue_in_a_group_s_folder_is_the_group_s(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o2770)
    schema.create(str(folder / "media.db"), caller=ADMINISTRATOR)
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o660}


GARBAGE = [
    {"access_era": "1999"},
    {"access_era": ""},
    {"access_era": 2003},
    {"administrators": "wheel"},
    {"administrators": "user:zoe"},
    {"administrators": "everyone"},
    {"operators": "group:"},
    {"operators": None},
    {"operators": "group:a\0b"},
]


@pytest.mark.parametrize("options", GARBAGE, ids=str)
def test_garbage_makes_no_catalogue(tmp_path: Path, options: dict[str, str]) -> None:
    with pytest.raises(rsm.InvalidParameterError):
        schema.create(str(tmp_path / "media.db"), caller=ADMINISTRATOR, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_foreign_database_is_no_place_for_a_catalogue(new_url: Callable[..., str]) -> None:
    url = new_url(empty=True)
    if url.startswith("sqlite"):
        place.make_file(Path(place.parse_url(url).database or ""))
    with behind(url) as connection:
        connection.exec_driver_sql("CREATE TABLE foreign_table (id INTEGER)")
    for call in (schema.create, rsm.connect, schema.upgrade, schema.current, schema.check):
        with pytest.raises((rsm.AlreadyExistsError, rsm.DatabaseFailureError)):
            call(url)
    with behind(url) as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM foreign_table").scalar_one() == 0
        connection.exec_driver_sql("DROP TABLE foreign_table")
    schema.create(url, caller=ADMINISTRATOR)


@pytest.mark.parametrize(
    ("program", "said"), [(CREATE, {"made": 1, "was there": 2}), (CONNECT, {"3": 3})], ids=["create", "connect"]
)
def test_programs_that_create_at_once_make_one_catalogue(
    new_url: Callable[..., str], program: str, said: dict[str, int]
) -> None:
    url = new_url(empty=True)
    programs = [Program(program, url) for _ in range(3)]
    try:
        assert [each.hear() for each in programs] == ["ready"] * 3
        for each in programs:
            each.tell()
        heard = [each.rest() for each in programs]
    finally:
        for each in programs:
            each.__exit__(None, None, None)
    assert {word: heard.count(word) for word in heard} == said
    assert schema.check(url) == []


@pytest.mark.parametrize("moment", ["run_revisions", "mark_revision"])
def test_a_program_killed_while_creating_leaves_nothing(new_url: Callable[..., str], moment: str) -> None:
    url = new_url(empty=True)
    with Program(DIE, url, moment) as program:
        assert program.status() == -signal.SIGKILL
    assert schema.current(url).number == 0
    with rsm.connect(url, caller=ADMINISTRATOR) as session:
        session.pools.create("\\new")
    assert schema.check(url) == []


# What is missing or empty


def test_an_empty_database_is_none_yet(new_url: Callable[..., str]) -> None:
    url = new_url(empty=True)
    if url.startswith("sqlite"):
        place.make_file(Path(place.parse_url(url).database or ""))
    assert schema.current(url) == schema.Revision(0, db.REVISION, 0, 0)
    assert len(schema.check(url)) == 1
    with pytest.raises(rsm.DatabaseFailureError, match="empty"):
        schema.upgrade(url, ADMINISTRATOR)
    with rsm.connect(url, caller=ADMINISTRATOR) as session:
        assert len(session.pools.list()) == 3
    assert schema.current(url) == NEWEST


@pytest.mark.parametrize("call", [schema.current, schema.upgrade, schema.check])
def test_a_missing_catalogue_is_only_made_where_asked_for(tmp_path: Path, call: Callable[[str], object]) -> None:
    with pytest.raises(rsm.DatabaseFailureError):
        call(str(tmp_path / "media.db"))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_database_on_a_server(postgresql: Postgresql) -> None:
    url = postgresql.database(empty=True).replace("/t", "/missing_", 1)
    for call in (schema.current, schema.create, rsm.connect):
        with pytest.raises((rsm.NotConnectedError, rsm.DatabaseFailureError)):
            call(url)


# What connect refuses


def foreign(path: Path, table: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(f"CREATE TABLE {table}")
    connection.execute("PRAGMA user_version = 1001001")
    connection.commit()
    connection.close()


def cut(path: Path, template: Path, size: int) -> None:
    path.write_bytes(template.read_bytes()[:size])


BAD_FILES: dict[str, Callable[[Path, Path], object]] = {
    "text": lambda path, _: path.write_text("garbage\n" * 1000),
    "one byte": lambda path, _: path.write_bytes(b"x"),
    "a line": lambda path, _: path.write_text("A00001L8 is in the safe" * 20),
    "a directory": lambda path, _: path.mkdir(),
    "a foreign database": lambda path, _: foreign(path, "other (id INTEGER)"),
    "a foreign table of that name": lambda path, _: foreign(path, "catalogue (id INTEGER, title TEXT)"),
    "the right table without its row": lambda path, _: foreign(
        path,
        "catalogue (id, revision, min_reader, min_writer, access_era, creator, administrators, operators)",
    ),
    "a header and no more": lambda path, template: cut(path, template, 100),
    "one page": lambda path, template: cut(path, template, 4096),
    "half": lambda path, template: cut(path, template, template.stat().st_size // 8192 * 4096),
    "a link to nowhere": lambda path, _: path.symlink_to("nowhere/rsm.db"),
    "a link to itself": lambda path, _: path.symlink_to(path.name),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_what_is_no_catalogue_is_refused_and_left_alone(
    tmp_path: Path, sqlite_templates: Callable[[str], Path], kind: str
) -> None:
    path = tmp_path / "media.db"
    BAD_FILES[kind](path, sqlite_templates("2003"))
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(rsm.DatabaseFailureError) as caught:
        rsm.connect(path, caller=ADMINISTRATOR)
    assert str(path) in str(caught.value)
    assert (path.read_bytes() if path.is_file() else None) == before
    for call in (schema.current, schema.check, schema.upgrade):
        with pytest.raises(rsm.DatabaseFailureError):
            call(str(path))


@pytest.mark.parametrize("call", [rsm.connect, schema.create, schema.upgrade, schema.current])
def test_nothing_opens_a_catalogue_on_a_network_file_system(
    sqlite_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[[str], object]
) -> None:
    def refuse(path: Path) -> None:
        raise rsm.DatabaseFailureError(f"{path} is on nfs: use PostgreSQL")

    monkeypatch.setattr(place, "check_file_system", refuse)
    with pytest.raises(rsm.DatabaseFailureError, match="PostgreSQL"):
        call(str(sqlite_path))


# Check

SAVED = Path(__file__).parent / "data" / "catalogues" / f"{db.REVISION:04}.db"
NESTED = "UPDATE media_pool SET parent_id = (SELECT id FROM media_pool WHERE name = 'Daily') WHERE name = 'nightly'"
GAP = "UPDATE access_control_entry SET position = 50 WHERE position = 1 AND object_id = (SELECT id FROM computer)"
LOOP = "UPDATE media_pool SET parent_id = id WHERE name = 'nightly'"
FREE = "UPDATE side SET state = 4 WHERE state = 5"
LACK = "INSERT INTO library_media_type SELECT l.id, t.id FROM library l, media_type t WHERE t.name = 'LTO-1'"
FAULTS: dict[str, list[str]] = {
    "a pool holds both pools and media": [NESTED],
    "a pool of media holds pools": [NESTED],
    "a pool cannot be reached from the root": [LOOP, "UPDATE media_pool SET parent_id = X'00' WHERE name = 'nightly'"],
    "a side is allocated without a logical medium, or the other way round": [FREE, "DELETE FROM logical_medium"],
    "a cartridge has not as many sides as its media type": [
        "UPDATE media_type SET sides = 2 WHERE name = 'LTO-8'",
        "UPDATE media_type SET sides = 1",
    ],
    "a cartridge on the shelf is also in an element of a library": [
        "UPDATE physical_medium SET slot_id = (SELECT id FROM slot ORDER BY id DESC) WHERE online = 0",
        "UPDATE physical_medium SET port_id = (SELECT id FROM port) WHERE online = 0",
    ],
    "a media type that a library takes lacks a system pool": [
        LACK,
        "DELETE FROM media_pool WHERE pool_type = 3 AND media_type_id IS NOT NULL",
    ],
    "a list of access control entries is numbered with gaps": [
        GAP,
        "DELETE FROM access_control_entry WHERE position = 0",
    ],
    "there is not exactly one root pool": [
        "UPDATE media_pool SET parent_id = id WHERE parent_id IS NULL",
        "UPDATE media_pool SET parent_id = NULL WHERE name = 'nightly'",
    ],
    "there is not exactly one computer": ["DELETE FROM computer"],
    "there is not exactly one offline library": ["UPDATE library SET online = 1"],
}
for _kind, _table in model.TABLE_OF_KIND.items():
    _name = _table.__tablename__
    FAULTS[f"a row of {_name} is registered as another kind"] = [
        f"UPDATE object SET kind = 1 WHERE id IN (SELECT max(id) FROM {_name})",
        f"DELETE FROM object WHERE id IN (SELECT max(id) FROM {_name})",
    ]
    FAULTS[f"an id is registered for {_name} without a row there"] = [
        f"INSERT INTO object VALUES (X'{0:032x}', {int(_kind)})",
    ]
FAULTS |= {
    "there is not one free, one unrecognized and one import pool at the top": [
        "UPDATE media_pool SET pool_type = 2 WHERE name = 'Free'",
        "DELETE FROM media_pool WHERE name = 'Import'",
    ],
    "a pool is of another kind than the pool it is in": ["UPDATE media_pool SET pool_type = 1 WHERE name = 'Daily'"],
    "a system pool has a media type at the top, or none below": [
        "UPDATE media_pool SET media_type_id = NULL WHERE name = 'LTO-8'",
        "UPDATE media_pool SET media_type_id = (SELECT max(id) FROM media_type) WHERE name = 'Free'",
    ],
    "a pool's name is empty or holds a backslash, or its name or path is too long": [
        "UPDATE media_pool SET name = '' WHERE name = 'Daily'",
        "UPDATE media_pool SET name = 'a\\b' WHERE name = 'Daily'",
        "UPDATE media_pool SET name = printf('%064d', 0) WHERE name = 'Daily'",
    ],
    "a side in a free or unrecognized pool belongs to an application": [
        "UPDATE side SET pool_id = (SELECT id FROM media_pool WHERE pool_type = 1 AND media_type_id IS NOT NULL)",
    ],
    "the sides of a cartridge are not numbered from 0": [
        "UPDATE side SET number = 1 WHERE medium_id = (SELECT id FROM physical_medium WHERE barcode = 'A00002L8')"
    ],
    "a count of a side is below zero": [
        f"UPDATE side SET {name} = -1" for name in ("mount_count", "allocate_count", "capacity_bytes")
    ],
    "the offline library has devices": [
        f"UPDATE {table} SET library_id = (SELECT id FROM library WHERE online = 0)"
        f" WHERE id = (SELECT max(id) FROM {table})"
        for table in ("slot", "drive", "port", "door", "changer")
    ],
    "a stand-alone library has slots or a changer, or more than one drive": [
        "UPDATE library SET library_type = 3 WHERE online = 1"
    ],
    "a cartridge is in a slot, drive or port that is said to be empty": [
        "UPDATE slot SET state = 2 WHERE state = 1",
        "UPDATE drive SET occupied = 0 WHERE occupied = 1",
        "UPDATE physical_medium SET drive_id = NULL, port_id = (SELECT id FROM port WHERE content = 2)"
        " WHERE drive_id IS NOT NULL",
    ],
    "the home slot of a cartridge is in another library than the cartridge": [
        "UPDATE physical_medium SET home_slot_id = (SELECT id FROM slot WHERE library_id <> physical_medium.library_id)"
    ],
    "a side is mounted without a mount, or the other way round": [
        "UPDATE side SET mounted = 1 WHERE number = 0",
        "DELETE FROM mount",
    ],
    "a side is mounted in another drive than its cartridge is in": [
        "UPDATE mount SET drive_id = (SELECT id FROM drive WHERE occupied = 0)",
        "UPDATE physical_medium SET drive_id = NULL",
    ],
    "a drive is dismountable without a deferred dismount": ["UPDATE drive SET state = 7"],
    "a library request is in the queue and has ended, or neither": [
        "UPDATE library_request SET state = 0",
        "UPDATE library_request SET completed = NULL",
    ],
    "a library request that ended has a place in the queue": ["UPDATE library_request SET order_number = 1"],
    "two mounts that wait have the same place in the queue": [
        "UPDATE library_request SET state = 0, completed = NULL, operation = 17, order_number = 1,"
        " library_id = (SELECT max(id) FROM library)"
    ],
    "a step was begun in an epoch that its library has not come to": ["UPDATE library SET epoch = epoch - 1"],
    "an operator request is open and has ended, or neither": [
        "UPDATE operator_request SET state = 5",
        "UPDATE operator_request SET completed = 1",
    ],
    "a session that ended still uses a cartridge": [
        "UPDATE mount SET dismountable_from = NULL, session_id = (SELECT id FROM session WHERE closed IS NOT NULL)"
    ],
    "a session that ended still waits for a mount": [
        "UPDATE library_request SET operation = 17, completed = NULL,"
        " session_id = (SELECT id FROM session WHERE closed IS NOT NULL)"
    ],
    "a session that ended is still told of changes": [
        "UPDATE notification_subscriber SET session_id = (SELECT id FROM session WHERE closed IS NOT NULL)",
        "UPDATE ui_destination SET session_id = (SELECT id FROM session WHERE closed IS NOT NULL)"
        " WHERE session_id IS NOT NULL",
    ],
    "an access control entry names nobody": [
        f"UPDATE access_control_entry SET trustee = '{trustee}'" for trustee in ("eve", "user:", "group:", "")
    ],
    "an object is there that the log says was deleted": ["UPDATE event SET operation = 3 WHERE id = 25 OR id = 23"],
}
ON_SERVER = (
    "a count of a side is below zero",
    "a step was begun in an epoch that its library has not come to",
    "a drive is dismountable without a deferred dismount",
    "a library request that ended has a place in the queue",
    "an operator request is open and has ended, or neither",
    "a session that ended still uses a cartridge",
    "an object is there that the log says was deleted",
)
MALFORMED = {
    f"{what} in {table.name} is malformed": f"UPDATE {table.name} SET {columns[-1]} = {wrong}"
    f" WHERE rowid = (SELECT max(rowid) FROM {table.name})"
    for table in model.Base.metadata.sorted_tables
    for what, kind, wrong in (("an id", model.Id, "X'00'"), ("a document", model.Json, "'[]'"))
    if (columns := [column.name for column in table.columns if isinstance(column.type, kind)])
}
FAULTS["table side refers to a row of physical_medium that is not there"] = ["DELETE FROM physical_medium"]
FAULTS["the file is damaged: CHECK constraint failed in media_pool"] = ["UPDATE media_pool SET max_allocates = -1"]


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """Return a catalogue with rows in every table."""
    return Path(shutil.copy(SAVED, tmp_path / "full.db"))


def test_a_sound_catalogue_has_no_findings(full: Path) -> None:
    assert schema.check(str(full)) == []


def test_every_check_has_a_fault_here() -> None:
    assert {sentence for sentence, _ in invariants.every_check(sqlite=True)} <= set(FAULTS) | set(MALFORMED)


@pytest.mark.parametrize(("sentence", "fault"), [(key, fault) for key, faults in FAULTS.items() for fault in faults])
def test_check_finds_what_it_claims_to_find(full: Path, sentence: str, fault: str) -> None:
    raw = sqlite3.connect(full)
    raw.execute("PRAGMA ignore_check_constraints = ON")
    assert raw.execute(fault).rowcount > 0
    raw.commit()
    raw.close()
    found = schema.check(str(full))
    assert any(finding.startswith(sentence) for finding in found), found


def test_check_finds_values_that_make_no_sense(full: Path) -> None:
    with contextlib.closing(sqlite3.connect(full)) as raw:
        for fault in MALFORMED.values():
            assert raw.execute(fault).rowcount == 1
        raw.commit()
    found = {finding.rsplit(": ", 1)[0] for finding in schema.check(str(full))}
    assert found >= set(MALFORMED)


@pytest.mark.parametrize("damage", ["a page of garbage", "a page of nothing", "a page of another index"])
def test_check_finds_a_damaged_page(full: Path, damage: str) -> None:
    raw = sqlite3.connect(full)
    (size,) = raw.execute("PRAGMA page_size").fetchone()
    sql = "SELECT rootpage FROM sqlite_master WHERE name = ?"
    page, other = (raw.execute(sql, [f"ix_physical_medium_{name}"]).fetchone()[0] for name in ("barcode", "name"))
    raw.close()
    content = bytearray(full.read_bytes())
    filling = {"a page of garbage": b"\x0d" * size, "a page of nothing": bytes(size)}
    content[(page - 1) * size : page * size] = filling.get(damage, content[(other - 1) * size : other * size])
    full.write_bytes(content)
    assert any(finding.startswith("the file is damaged") for finding in schema.check(str(full)))


def test_check_finds_faults_on_a_server(postgresql: Postgresql) -> None:
    url = postgresql.database(empty=True)
    with SAVED.with_suffix(".jsonl").open(encoding="utf-8") as file:
        schema.import_catalogue(url, file)
    assert schema.check(url) == []
    planted = (NESTED.replace("'nightly'", "'Discs'"), GAP, LOOP, FREE, LACK)
    others = [FAULTS[sentence][0] for sentence in ON_SERVER]
    with behind(url) as connection:
        for fault in (*planted, *others):
            assert connection.exec_driver_sql(fault).rowcount > 0, fault
    found = {finding.rsplit(": ", 1)[0] for finding in schema.check(url)}
    of_pools = {sentence for sentence in list(FAULTS)[:8] if "sides" not in sentence and "shelf" not in sentence}
    assert found == {*ON_SERVER, *of_pools}


def test_a_copy_put_back_gets_its_write_ahead_log_again(sqlite_path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with contextlib.closing(sqlite3.connect(sqlite_path)) as connection:
        connection.execute("VACUUM INTO ?", [str(copy)])
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    with rsm.connect(copy, caller=ADMINISTRATOR) as session:
        session.pools.create("\\Back")
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
