"""Export and import: the same rows on either database, and nothing at all from a file that is not whole."""

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from builders import behind, dump
from conftest import ADMINISTRATOR, Postgresql

import rsm
from rsm import db, model, schema
from rsm import dump as loader

SAVED = Path(__file__).parent / "data" / "catalogues" / f"{db.REVISION:04}.jsonl"
WHOLE = SAVED.read_text(encoding="utf-8")


def load(url: str, text: str) -> int:
    return schema.import_catalogue(url, io.StringIO(text))


def exported(url: str) -> str:
    text = io.StringIO()
    schema.export_catalogue(url, text)
    return text.getvalue()


@pytest.fixture
def small(sqlite_path: Path) -> str:
    """Return an export of a small catalogue."""
    url = str(sqlite_path)
    with rsm.connect(url, caller=ADMINISTRATOR) as session:
        session.pools.create("\\Zoë\\💾", media_type="LTO-8", parents=True)
    return exported(url)


def check_left_empty(url: str) -> None:
    """See that a catalogue can be made there as in any empty database."""
    with pytest.raises(rsm.DatabaseFailureError, match="is empty"):
        exported(url)
    assert schema.current(url).number == 0


def test_rows_survive_the_way_there_and_back(new_url: Callable[..., str]) -> None:
    first, second = new_url(empty=True), new_url(empty=True)
    count = load(first, WHOLE)
    text = exported(first)
    assert count == sum(line.startswith("[") for line in text.splitlines())
    assert sorted(text.splitlines()) == sorted(WHOLE.splitlines())
    assert load(second, text) == count
    assert dump(second) == dump(first)
    assert schema.check(second) == []


def test_tables_that_refer_to_each_other_are_no_catalogue(url: str) -> None:
    with behind(url) as connection:
        connection.exec_driver_sql("CREATE TABLE one (id INTEGER PRIMARY KEY)")
        connection.exec_driver_sql("CREATE TABLE two (id INTEGER PRIMARY KEY, one INTEGER REFERENCES one)")
        connection.exec_driver_sql("ALTER TABLE one ADD COLUMN two INTEGER REFERENCES two")
    with pytest.raises(rsm.DatabaseFailureError, match="in a circle"):
        exported(url)


def test_rows_survive_the_way_to_the_other_database(tmp_path: Path, postgresql: Postgresql) -> None:
    urls = [str(tmp_path / "1.db"), postgresql.database(empty=True), str(tmp_path / "2.db")]
    text = WHOLE
    for url in urls:
        load(url, text)
        text = exported(url)
        assert sorted(text.splitlines()) == sorted(WHOLE.splitlines())
        assert schema.check(url) == []
    with rsm.connect(urls[1], caller=ADMINISTRATOR) as session:
        newest = session.events.list()[-1].id
        session.pools.create("\\after")
        assert min(event.id for event in session.events.list(after=newest)) > newest


def test_events_go_on_where_they_were(url: str, new_url: Callable[..., str], session: rsm.Session) -> None:
    session.pools.create("\\one")
    newest, copy = session.events.list()[-1].id, new_url(empty=True)
    load(copy, exported(url))
    with rsm.connect(copy, caller=ADMINISTRATOR) as other:
        other.pools.create("\\two")
        ids = [event.id for event in other.events.list()]
    assert ids == sorted(set(ids))
    assert ids[-1] > newest


def test_a_catalogue_is_no_place_for_an_import(url: str) -> None:
    before = dump(url)
    with pytest.raises(rsm.AlreadyExistsError):
        load(url, WHOLE)
    assert dump(url) == before


def test_a_file_cut_short_is_refused(new_url: Callable[..., str], small: str) -> None:
    """What is refused leaves the database empty, so that one serves for every cut."""
    parts, url = small.splitlines(keepends=True), new_url(empty=True)
    loaded = []
    for number in (0, 1, len(parts) // 2, len(parts) - 1):
        for rest in ("", parts[number][:-2]):
            try:
                load(url, "".join(parts[:number]) + rest)
            except rsm.InvalidParameterError:
                continue
            loaded.append((number, rest))
            url = new_url(empty=True)
    assert loaded == []
    check_left_empty(url)
    load(url, small)
    assert schema.check(url) == []


ONE = '{"bytes": "00000000000000000000000000000001"}'
GARBAGE: dict[str, str] = {
    "no JSON": "garbage",
    "an empty line": " ",
    "another document": '{"table": "object"}',
    "an end too early": '{"rows": 3}',
    "a list too long": '["object", {}, 1]',
    "no such table": '["no_such_table", {"a": 1}]',
    "a table that is none": '[["object"], {}]',
    "a row that is none": '["object", []]',
    "a table of alembic": '["alembic_version", {"version_num": "0001"}]',
    "no columns": '["object", {}]',
    "a column too many": f'["object", {{"id": {ONE}, "kind": 1, "x": 1}}]',
    "a column too few": f'["object", {{"id": {ONE}}}]',
    "an id that is none": '["object", {"id": {"bytes": "zz"}, "kind": 1}]',
    "an id as text": '["object", {"id": "x", "kind": 1}]',
    "bytes that are none": '["object", {"id": {"bytes": 7}, "kind": 1}]',
    "a list as value": f'["object", {{"id": {ONE}, "kind": [1]}}]',
    "a number too large": f'["object", {{"id": {ONE}, "kind": {10**30}}}]',
    "a number of too many digits": f'["object", {{"id": {ONE}, "kind": {"9" * 5000}}}]',
    "half a character": f'["attribute", {{"object_id": {ONE}, "name": "\\ud800", "value": {{"bytes": ""}}}}]',
    "no number": f'["object", {{"id": {ONE}, "kind": NaN}}]',
    "a rule broken": f'["object", {{"id": {ONE}, "kind": 99}}]',
    "a key that dangles": f'["attribute", {{"object_id": {ONE}, "name": "x", "value": {{"bytes": ""}}}}]',
    "a row that is there": "",
    "too deep": "[" * 100_000,
}


def spoil(text: str, what: str) -> list[str]:
    """Return the lines of an export with one more, and an end that counts it."""
    parts = text.splitlines()
    lines = [*parts[:4], GARBAGE[what] or parts[3], *parts[4:]]
    return [*lines[:-1], json.dumps({"rows": len(lines) - 2})] if "rows" in lines[-1][:7] else lines


END_TO_END = ("no JSON", "a number too large", "a key that dangles")


@pytest.mark.parametrize("what", END_TO_END)
def test_a_file_with_such_a_line_is_refused(new_url: Callable[..., str], small: str, what: str) -> None:
    url = new_url(empty=True)
    with pytest.raises((rsm.InvalidParameterError, rsm.DatabaseFailureError)):
        load(url, "\n".join(spoil(small, what)))
    check_left_empty(url)


def test_every_such_line_is_refused(new_url: Callable[..., str], small: str) -> None:
    """The tables are made once and each attempt is undone; what the driver refuses counts too."""
    url, accepted = new_url(), []
    with contextlib.suppress(_Undone), behind(url) as connection:
        for table in ("alembic_version", *reversed(model.Base.metadata.sorted_tables)):
            connection.exec_driver_sql(f"DELETE FROM {table}")
        for what in GARBAGE:
            connection.exec_driver_sql("SAVEPOINT attempt")
            with contextlib.suppress(rsm.InvalidParameterError, sqlalchemy.exc.SQLAlchemyError):
                loader.load_rows(connection, spoil(small, what)[1:])
                accepted.append(what)
            connection.exec_driver_sql("ROLLBACK TO SAVEPOINT attempt")
        loader.load_rows(connection, small.splitlines()[1:])
        raise _Undone
    # With foreign keys off, SQLite's are checked before COMMIT: the import as a whole refuses it, see above.
    assert accepted == (["a key that dangles"] if url.startswith("sqlite") else [])


class _Undone(Exception):
    """Ends a transaction that is not to be kept."""


HEAD: dict[str, Any] = {"revision": 1, "min_reader": 1, "min_writer": 1, "format": "rsm-catalogue"}
WRONG_HEADS: dict[str, Any] = {
    "nothing": "",
    "no JSON": "SQLite format 3\0",
    "a list": [],
    "text": '"rsm-catalogue"',
    "another format": {**HEAD, "format": "tar"},
    "no revision": {"format": "rsm-catalogue"},
    "one field more": {**HEAD, "colour": "grey"},
    "a newer program's": {**HEAD, "revision": db.REVISION + 1},
    "revision 0": {**HEAD, "revision": 0},
    "revision -1": {**HEAD, "revision": -1},
    "a revision as text": {**HEAD, "revision": "1"},
    "a revision as truth": {**HEAD, "revision": True},
    "a fraction": {**HEAD, "revision": 1.0},
    "a reader beyond all numbers": {**HEAD, "min_reader": 10**30},
    "a negative writer": {**HEAD, "min_writer": -5},
    "too deep": "[" * 100_000,
}


def test_a_file_that_is_no_export_is_refused(new_url: Callable[..., str], small: str) -> None:
    url, wrong = new_url(empty=True), []
    for what, head in WRONG_HEADS.items():
        first = head if isinstance(head, str) else json.dumps(head)
        try:
            load(url, "\n".join([first, *small.splitlines()[1:]]))
        except rsm.InvalidParameterError:
            continue
        wrong.append(what)
    assert wrong == []
    load(url, small)
    assert schema.check(url) == []


@pytest.mark.parametrize("position", [0, 2, -1])
def test_a_file_that_is_no_text_is_refused(
    new_url: Callable[..., str], small: str, tmp_path: Path, position: int
) -> None:
    parts = small.encode().splitlines(keepends=True)
    path, url = tmp_path / "bad.jsonl", new_url(empty=True)
    parts[position] = parts[position][:-3] + b"\xff" + parts[position][-3:]
    path.write_bytes(b"".join(parts))
    with path.open(encoding="utf-8") as file, pytest.raises(rsm.InvalidParameterError):
        schema.import_catalogue(url, file)


def test_an_older_program_s_export_loads_at_its_own_revision(new_url: Callable[..., str]) -> None:
    url = new_url(empty=True)
    load(url, WHOLE)
    assert schema.current(url) == schema.Revision(json.loads(WHOLE.splitlines()[0])["revision"], db.REVISION, 1, 1)


def test_exporting_needs_a_catalogue(new_url: Callable[..., str], tmp_path: Path) -> None:
    url = new_url(empty=True)
    with pytest.raises(rsm.DatabaseFailureError):
        exported(url)
    assert not list(tmp_path.iterdir())
