"""What the database refuses by itself, behind every service, and how our column types come back, on both databases."""

import contextlib
import itertools
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy
from builders import add_library, put_online, side
from conftest import ADMINISTRATOR, make_catalogue
from sqlalchemy import CheckConstraint, PrimaryKeyConstraint, Table, UniqueConstraint

import rsm
from rsm import db, model, place
from rsm.constants import NtmsObjectsTypes as Kind

METADATA = model.Base.metadata
FOREIGN_KEY, UNIQUE, CHECK, NOT_NULL, TYPE = "foreign key", "unique", "check", "not null", "type"
_SQLITE_WORDS = {
    FOREIGN_KEY: ("FOREIGN KEY constraint failed",),
    UNIQUE: ("UNIQUE constraint failed",),
    CHECK: ("CHECK constraint failed",),
    NOT_NULL: ("NOT NULL constraint failed",),
    TYPE: ("cannot store", "datatype mismatch"),
}
_SQLSTATES = {
    FOREIGN_KEY: ("23503", "23001"),
    UNIQUE: ("23505",),
    CHECK: ("23514",),
    NOT_NULL: ("23502",),
    TYPE: ("42804", "22P02", "22003"),
}


class _RolledBack(Exception):
    """Ends a test's transaction, so that the next test finds the same rows."""


@dataclass(frozen=True)
class Sql:
    """A piece of SQL that stands for a value."""

    sql: str


@dataclass
class World:
    """A catalogue with something of everything, and the ids of what is in it, by name."""

    database: db.Database
    ids: dict[str, uuid.UUID] = field(default_factory=dict)

    def sql(self, text: str) -> str:
        """Put ids into a statement: `{shelf}` as this database writes it, `{new}` an id that names nothing."""
        shown = {name: self.literal(value) for name, value in {**self.ids, "new": uuid.UUID(int=7)}.items()}
        return text.format(**shown)

    def literal(self, value: uuid.UUID) -> str:
        return f"X'{value.hex}'" if self.database.is_sqlite else f"'{value}'"

    def show(self, value: Any) -> str:
        """Return a value as SQL."""
        if value is None or isinstance(value, int):
            return "NULL" if value is None else str(int(value))
        if isinstance(value, uuid.UUID):
            return self.literal(value)
        if isinstance(value, bytes):
            return f"X'{value.hex()}'" if self.database.is_sqlite else f"'\\x{value.hex()}'::bytea"
        return value.sql if isinstance(value, Sql) else "'{}'".format(value.replace("{", "{{").replace("}", "}}"))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[db.Transaction]:
        """Open a write transaction as services get it, and undo it."""
        with (
            contextlib.suppress(_RolledBack),
            self.database.transaction(db.Origin("user:admin", "tests", uuid.UUID(int=0))) as transaction,
        ):
            yield transaction
            raise _RolledBack

    def check_refused(self, rule: str, *statements: str) -> str:
        """Run statements, the last of which must break a rule of that kind; return what the driver said."""
        with self.transaction() as transaction:
            for statement in statements[:-1]:
                transaction.run(self.sql(statement))
            with pytest.raises(rsm.DatabaseFailureError) as caught:
                transaction.run(self.sql(statements[-1]))
        cause = caught.value.__cause__
        if self.database.is_sqlite:
            assert str(cause).startswith(_SQLITE_WORDS[rule])
        else:
            assert getattr(cause, "sqlstate", None) in _SQLSTATES[rule], cause
        return str(cause)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One catalogue for the module: what is refused changes nothing, and what is not is rolled back."""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql").database()
    else:
        url = make_catalogue(str(tmp_path_factory.mktemp("model") / "model.db"))
    database = db.acquire(place.parse_url(url))
    world = World(database)
    fill(world, url)
    yield world
    db.release(database)


DISCS = {"discs": "MO_5_RW", "more_discs": "MO_5_RW"}


def fill(world: World, url: str) -> None:
    """Two libraries, pools of three kinds, cartridges on the shelf, in a slot, a drive and a port."""
    ids = world.ids
    robot, other = add_library(url, "Robot", slots=4, drives=2, ports=2), add_library(url, "Other")
    ids.update(robot=robot.id, other=other.id, other_slot=other.slots[0], robot_request=robot.requests[0])
    for name in ("slots", "drives", "ports"):
        ids.update({f"{name[:-1]}{number}": each for number, each in enumerate(getattr(robot, name))})
    with rsm.connect(url, application="tests", caller=ADMINISTRATOR) as session:
        ids["box"] = session.pools.create("\\Box").id
        for name, media_type in {"tapes": "LTO-8", "more": "LTO-8", "older": "LTO-7", **DISCS}.items():
            ids[name] = session.pools.create(f"\\Box\\{name}", media_type=media_type).id
            ids[f"{name}_type"] = session.types.get(media_type).id
        for name in ("in_slot", "in_drive", "in_port", "shelf"):
            ids[name] = session.media.create("\\Box\\tapes", [side()]).id
        disc = session.media.create("\\Box\\discs", [side(0), side(1)])
        ids["disc"] = disc.id
        ids["side0"], ids["side1"] = (each.id for each in session.media.sides(disc))
        allocated = rsm.NewSide("MTF", b"1", rsm.NtmsPartitionState.NTMS_PARTSTATE_ALLOCATED)
        taken = session.media.create("\\Box\\more", [allocated])
        ids["taken_side"] = session.media.sides(taken)[0].id
        ids["logical"] = session.media.sides(taken)[0].logical_medium or uuid.UUID(int=0)
        session.objects.set_attribute(Kind.NTMS_MEDIA_POOL, ids["older"], "colour", b"blue")
        ids["offline"] = session.objects.find(Kind.NTMS_LIBRARY, "Offline")
        ids["root"] = session.objects.list(Kind.NTMS_MEDIA_POOL, include_root=True)[0]
    for number, name in enumerate(("in_slot", "in_drive", "in_port")):
        put_online(url, ids[name], robot, number)
    with world.database.migrating() as connection:
        for name, element in (("in_drive", "drive"), ("in_port", "port")):
            sql = f"UPDATE physical_medium SET slot_id = NULL, {element}_id = {{{element}0}} WHERE id = {{{name}}}"
            connection.exec_driver_sql(world.sql(sql))


def copy_row(table: str, source: str, **changes: str) -> str:
    """Return SQL that stores a copy of a row under the id `{new}`, with some columns changed."""
    names = [column.name for column in METADATA.tables[table].columns]
    values = {name: changes.get(name, "{new}" if name == "id" else name) for name in names}
    return (
        f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(values.values())} FROM {table} WHERE id = {source}"
    )


def new_object(kind: Kind) -> str:
    return f"INSERT INTO object (id, kind) VALUES ({{new}}, {int(kind)})"


NEW_MEDIUM, NEW_POOL, NEW_LIBRARY = (
    new_object(kind) for kind in (Kind.NTMS_PHYSICAL_MEDIA, Kind.NTMS_MEDIA_POOL, Kind.NTMS_LIBRARY)
)
MEDIUM = "UPDATE physical_medium SET {} WHERE id = {{shelf}}"
FRESH = {"sequence_number": "sequence_number + 1000", "slot_id": "NULL", "drive_id": "NULL", "port_id": "NULL"}
IN_ROBOT = {**FRESH, "library_id": "{robot}", "online": "1"}

REFUSED: dict[str, tuple[str, list[str]]] = {
    "a cartridge in no pool": (NOT_NULL, [MEDIUM.format("pool_id = NULL")]),
    "a cartridge in a pool that is not there": (FOREIGN_KEY, [MEDIUM.format("pool_id = {new}")]),
    "a cartridge in a pool that was deleted": (
        FOREIGN_KEY,
        ["DELETE FROM object WHERE id = {older}", MEDIUM.format("pool_id = {older}, media_type_id = {older_type}")],
    ),
    "a cartridge in a pool of another type": (FOREIGN_KEY, [MEDIUM.format("pool_id = {older}")]),
    "a cartridge of another type than its pool": (FOREIGN_KEY, [MEDIUM.format("media_type_id = {older_type}")]),
    "a cartridge in a pool that holds pools": (FOREIGN_KEY, [MEDIUM.format("pool_id = {box}")]),
    "a new cartridge in a pool of another type": (
        FOREIGN_KEY,
        [NEW_MEDIUM, copy_row("physical_medium", "{shelf}", **FRESH, pool_id="{older}")],
    ),
    "a pool gets another media type under its media": (
        FOREIGN_KEY,
        ["UPDATE media_pool SET media_type_id = {older_type} WHERE id = {tapes}"],
    ),
    "deleting a pool with media": (FOREIGN_KEY, ["DELETE FROM media_pool WHERE id = {tapes}"]),
    "deleting a pool with pools": (FOREIGN_KEY, ["DELETE FROM media_pool WHERE id = {box}"]),
    "deleting the id of a pool with media": (FOREIGN_KEY, ["DELETE FROM object WHERE id = {tapes}"]),
    "deleting the id of a pool with pools": (FOREIGN_KEY, ["DELETE FROM object WHERE id = {box}"]),
    "deleting a library with media": (FOREIGN_KEY, ["DELETE FROM object WHERE id = {robot}"]),
    "deleting a slot with a cartridge": (FOREIGN_KEY, ["DELETE FROM object WHERE id = {slot0}"]),
    "deleting a cartridge with sides": (FOREIGN_KEY, ["DELETE FROM object WHERE id = {disc}"]),
    "deleting an allocated side": (FOREIGN_KEY, ["DELETE FROM object WHERE id = {taken_side}"]),
    "deleting a media type with pools": (FOREIGN_KEY, ["DELETE FROM object WHERE id = {older_type}"]),
    "two cartridges in one slot": (
        UNIQUE,
        [NEW_MEDIUM, copy_row("physical_medium", "{shelf}", **{**IN_ROBOT, "slot_id": "{slot0}"})],
    ),
    "two cartridges in one drive": (
        UNIQUE,
        [NEW_MEDIUM, copy_row("physical_medium", "{shelf}", **{**IN_ROBOT, "drive_id": "{drive0}"})],
    ),
    "two cartridges in one port": (
        UNIQUE,
        [NEW_MEDIUM, copy_row("physical_medium", "{shelf}", **{**IN_ROBOT, "port_id": "{port0}"})],
    ),
    "one cartridge in a slot and a drive": (
        CHECK,
        ["UPDATE physical_medium SET drive_id = {drive1} WHERE id = {in_slot}"],
    ),
    "one cartridge in a slot and a port": (
        CHECK,
        ["UPDATE physical_medium SET port_id = {port1} WHERE id = {in_slot}"],
    ),
    "one cartridge in a drive and a port": (
        CHECK,
        ["UPDATE physical_medium SET port_id = {port1} WHERE id = {in_drive}"],
    ),
    "a slot of another library": (
        FOREIGN_KEY,
        ["UPDATE physical_medium SET slot_id = {other_slot} WHERE id = {in_slot}"],
    ),
    "a shelved cartridge in a slot": (FOREIGN_KEY, [MEDIUM.format("slot_id = {slot2}")]),
    "an online cartridge in the offline library": (FOREIGN_KEY, [MEDIUM.format("online = 1")]),
    "an offline cartridge in a robot": (
        FOREIGN_KEY,
        ["UPDATE physical_medium SET online = 0 WHERE id = {in_slot}"],
    ),
    "a second offline library": (
        UNIQUE,
        [NEW_LIBRARY, copy_row("library", "{offline}", name="'Second'")],
    ),
    "a robot that says it is offline": (CHECK, ["UPDATE library SET online = 0 WHERE id = {other}"]),
    "two libraries of one name": (UNIQUE, ["UPDATE library SET name = 'Robot' WHERE id = {other}"]),
    "two logical media on a side": (
        UNIQUE,
        [new_object(Kind.NTMS_LOGICAL_MEDIA), copy_row("logical_medium", "{logical}")],
    ),
    "a logical medium without a side": (
        FOREIGN_KEY,
        ["UPDATE logical_medium SET side_id = {new} WHERE id = {logical}"],
    ),
    "sides of one cartridge in two pools": (
        FOREIGN_KEY,
        ["UPDATE side SET pool_id = {tapes} WHERE id = {side1}"],
    ),
    "a side online and its cartridge not": (FOREIGN_KEY, ["UPDATE side SET online = 1 WHERE id = {side1}"]),
    "two first sides of one cartridge": (UNIQUE, ["UPDATE side SET number = 0 WHERE id = {side1}"]),
    "both sides of a cartridge mounted": (
        UNIQUE,
        ["UPDATE side SET mounted = 1 WHERE id = {side0}", "UPDATE side SET mounted = 1 WHERE id = {side1}"],
    ),
    "one name twice among siblings": (UNIQUE, ["UPDATE media_pool SET name = 'more' WHERE id = {tapes}"]),
    "a second root": (UNIQUE, [NEW_POOL, copy_row("media_pool", "{root}", name="'root'")]),
    "a pool without a parent": (CHECK, ["UPDATE media_pool SET parent_id = NULL WHERE id = {tapes}"]),
    "a root with a parent": (CHECK, ["UPDATE media_pool SET parent_id = {box} WHERE id = {root}"]),
    "a pool in a pool that is not there": (FOREIGN_KEY, ["UPDATE media_pool SET parent_id = {new} WHERE id = {tapes}"]),
    "two cleaner slots": (
        UNIQUE,
        ["UPDATE slot SET cleaner = 1 WHERE id = {slot0}", "UPDATE slot SET cleaner = 1 WHERE id = {slot1}"],
    ),
    "two default cleaner slots": (
        UNIQUE,
        [
            "UPDATE slot SET cleaner_default = 1 WHERE id = {slot0}",
            "UPDATE slot SET cleaner_default = 1 WHERE id = {slot1}",
        ],
    ),
    "an id for two kinds": (UNIQUE, [f"INSERT INTO object (id, kind) VALUES ({{tapes}}, {int(Kind.NTMS_LIBRARY)})"]),
    "an object whose id is not registered": (FOREIGN_KEY, [copy_row("slot", "{slot0}", number="99")]),
    "two slots of one number": (UNIQUE, ["UPDATE slot SET number = 0 WHERE id = {slot1}"]),
    "one sequence number twice": (UNIQUE, ["UPDATE physical_medium SET sequence_number = 7"]),
    "a second catalogue row": (CHECK, ["UPDATE catalogue SET id = 2"]),
    "a destination for nothing": (
        CHECK,
        ["INSERT INTO ui_destination VALUES ({new}, NULL, NULL, 1, 'console')"],
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_the_database_refuses_by_itself(world: World, what: str) -> None:
    rule, statements = REFUSED[what]
    world.check_refused(rule, *statements)


def test_names_that_differ_in_case_are_two_names(world: World) -> None:
    with world.transaction() as transaction:
        transaction.run(world.sql("UPDATE media_pool SET name = 'MORE' WHERE id = {tapes}"))
        names = transaction.rows(
            sqlalchemy.select(model.MediaPool.name).where(model.MediaPool.parent_id == world.ids["box"])
        )
    assert {"MORE", "more"} <= {row.name for row in names}


@pytest.mark.parametrize(
    ("change", "expected"),
    {
        "pool_id = {more_discs}": ("more_discs", False),
        "library_id = {robot}, online = 1, slot_id = {slot2}": ("discs", True),
    }.items(),
    ids=["to another pool", "into a library"],
)
def test_both_sides_go_where_their_cartridge_goes(world: World, change: str, expected: tuple[str, bool]) -> None:
    with world.transaction() as transaction:
        transaction.run(world.sql(f"UPDATE physical_medium SET {change} WHERE id = {{disc}}"))
        sides = transaction.rows(
            sqlalchemy.select(model.Side.pool_id, model.Side.online).where(model.Side.medium_id == world.ids["disc"])
        )
    assert [tuple(each) for each in sides] == [(world.ids[expected[0]], expected[1])] * 2


@pytest.mark.parametrize(("name", "table"), [("older", "media_pool"), ("logical", "logical_medium"), ("slot3", "slot")])
def test_deleting_an_object_leaves_nothing_of_it(world: World, name: str, table: str) -> None:
    belongings = [
        "INSERT INTO access_control_entry VALUES ({%s}, 70, 1, 'everyone', 1, 0)",
        "INSERT INTO ui_destination VALUES ({new}, {%s}, NULL, 1, 'console')",
        "INSERT INTO device_path VALUES ({%s}, 'here', '/dev/nst0')",
    ]
    references = [
        (each.name, column.name)
        for each in METADATA.sorted_tables
        for column in each.columns
        if isinstance(column.type, model.Id) and each.name != "event"
    ]
    count = " + ".join(f"(SELECT count(*) FROM {each} WHERE {column} = {{{name}}})" for each, column in references)
    with world.transaction() as transaction:
        for sql in belongings:
            transaction.run(world.sql(sql % name))
        assert transaction.run(world.sql(f"SELECT {count}")).fetchone()[0] >= 5
        transaction.run(world.sql(f"DELETE FROM object WHERE id = {{{name}}}"))
        assert transaction.run(world.sql(f"SELECT {count}")).fetchone()[0] == 0
        assert transaction.run(world.sql(f"SELECT count(*) FROM {table} WHERE id = {{{name}}}")).fetchone()[0] == 0
        if world.database.is_sqlite:
            assert transaction.run("PRAGMA foreign_key_check").fetchall() == []


# Every CHECK and every column there is, from the metadata, so that a new column is covered without a new test


def all_checks() -> Iterator[tuple[Table, CheckConstraint]]:
    for table in METADATA.sorted_tables:
        for constraint in sorted(table.constraints, key=lambda each: str(each.name)):
            if isinstance(constraint, CheckConstraint):
                yield table, constraint


def bounds(constraint: CheckConstraint) -> tuple[str, Any, list[Any]] | None:
    """Return the column of a simple CHECK, a value it lets in and those it must refuse; None if it is about more."""
    sql = str(constraint.sqltext)
    if found := re.fullmatch(r"(\w+) IN \((-?\d+(?:, -?\d+)*)\)", sql):
        members = {int(member) for member in found[2].split(", ")}
        return found[1], max(members), sorted({each + step for each in members for step in (-1, 1)} - members)
    if found := re.fullmatch(r"(\w+) IN \('(\w+)'(?:, '\w+')*\)", sql):
        return found[1], found[2], ["", found[2].upper(), found[2] + " "]
    if found := re.fullmatch(r"(\w+) BETWEEN (\d+) AND (\d+)", sql):
        return found[1], int(found[2]), [int(found[2]) - 1, int(found[3]) + 1]
    if found := re.fullmatch(r"(\w+) > (\d+)", sql):
        return found[1], int(found[2]) + 1, [int(found[2]), -1]
    if found := re.fullmatch(r"(\w+) >= (\d+)", sql):
        return found[1], int(found[2]), [int(found[2]) - 1]
    if found := re.fullmatch(r"(\w+) = (\d+)", sql):
        return found[1], int(found[2]), [int(found[2]) - 1, int(found[2]) + 1]
    return None


SIMPLE = [(table, each) for table, each in all_checks() if bounds(each)]
# What a CHECK over several columns refuses is told case by case in REFUSED; these values please it.
COMPOUND: dict[str, dict[str, Any]] = {
    "ck_library_offline": {"library_type": 2, "online": 1},
    "ck_media_pool_only_the_root_has_no_parent": {"pool_type": 1000},
    "ck_physical_medium_one_place": {"slot_id": None, "drive_id": None, "port_id": None},
    "ck_ui_destination_object_or_session": {"session_id": None},
}
_SAMPLES: dict[type[Any], Any] = {
    model.Id: uuid.UUID(int=11),
    model.Text: "x",
    model.Int: 1,
    model.Flag: 1,
    model.Instant: 1,
    model.Json: "{}",
    model.Bytes: b"x",
}


def insert_sql(world: World, table: Table, column: str, value: Any) -> str:
    """Return SQL for a row in which nothing but `column` breaks a CHECK, and whose references lead nowhere."""
    row = {each.name: _SAMPLES[type(each.type)] for each in table.columns}
    for constraint in table.constraints:
        if isinstance(constraint, CheckConstraint):
            found = bounds(constraint)
            row.update({found[0]: found[1]} if found else COMPOUND[str(constraint.name)])
    row[column] = value
    return f"INSERT INTO {table.name} ({', '.join(row)}) VALUES ({', '.join(map(world.show, row.values()))})"


def test_every_check_is_simple_or_told_by_name() -> None:
    assert {str(each.name) for _, each in all_checks() if not bounds(each)} == set(COMPOUND)
    states = {f"{table.name}.{column.name}" for table in METADATA.sorted_tables for column in table.columns}
    wanted = re.compile(r"\.(\w*state|kind|argument\d_kind|operation|\w+_type|work|content|position)$")
    free = {  # numbers that are no states, and texts
        *("access_control_entry.position", "changer_type.device_type", "drive_type.device_type"),
        *("media_type.device_type", "side.label_type"),
    }
    covered = {f"{table.name}.{found[0]}" for table, each in SIMPLE if (found := bounds(each))}
    assert {state for state in states if wanted.search(state)} - free <= covered


@pytest.mark.parametrize(("table", "constraint"), SIMPLE, ids=[str(each.name) for _, each in SIMPLE])
def test_a_value_outside_its_set_is_refused(world: World, table: Table, constraint: CheckConstraint) -> None:
    found = bounds(constraint)
    assert found
    column, _, values = found
    for value in values:
        said = world.check_refused(CHECK, insert_sql(world, table, column, value))
        assert str(constraint.name) in said


@pytest.mark.parametrize("table", METADATA.sorted_tables, ids=lambda table: str(table.name))
def test_a_value_of_another_type_is_refused(world: World, table: Table) -> None:
    for column in table.columns:
        text = isinstance(column.type, (model.Text, model.Json))
        if world.database.is_sqlite:  # STRICT tables look at values
            wrong = Sql("X'FF'" if text else "'x'")
            world.check_refused(TYPE, insert_sql(world, table, column.name, wrong))
        elif not text:  # PostgreSQL looks at the statement, and makes text of anything
            world.check_refused(TYPE, f"UPDATE {table.name} SET {column.name} = 'x'::text")


def test_every_foreign_key_has_an_index() -> None:
    missing = []
    for table in METADATA.sorted_tables:
        leads = {
            tuple(index.columns.keys()) for index in table.indexes if index.dialect_options["sqlite"]["where"] is None
        }
        leads |= {
            tuple(each.columns.keys())
            for each in table.constraints
            if isinstance(each, (UniqueConstraint, PrimaryKeyConstraint))
        }
        for constraint in table.foreign_key_constraints:
            # A parent's id finds its row; what else a key compares hangs on the id.
            columns = tuple(element.parent.name for element in constraint.elements if element.column.primary_key)
            if not any(lead[: len(columns)] == columns for lead in leads):
                missing.append(str(constraint.name))
    assert missing == []


# Column types

EVERY_CHARACTER = "".join(map(chr, itertools.chain(range(1, 0xD800), range(0xE000, 0x110000))))
_LEAP = datetime(2024, 2, 29, 12, 0, 0, 1, tzinfo=UTC)
ROUND_TRIPS: list[tuple[Any, list[Any]]] = [
    (model.Catalogue.created, [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), _LEAP]),
    (model.Catalogue.created, [datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)]),
    (model.Catalogue.created, [datetime(2024, 7, 1, 2, tzinfo=timezone(timedelta(hours=5, minutes=30)))]),
    (model.Drive.last_cleaned, [None, _LEAP]),
    (model.Catalogue.creator, ["", " ", "e\u0301 é", "'\"\\;--%s:x?{}", EVERY_CHARACTER]),
    (model.Computer.media_pool_policy, [0, -(2**63), 2**63 - 1, Kind.NTMS_MEDIA_POOL]),
    (model.Computer.enabled, [True, False]),
    (model.Catalogue.settings, [{}, {"": [None, True, -1, 2**70, 1.5, {"ключ": "\u2028💾\n"}]}]),
    (model.Event.before, [None, {}, {"a": None}]),
    (model.Attribute.value, [b"", bytes(range(256)), b"\0" * 100_000]),
]


@pytest.mark.parametrize(("column", "values"), ROUND_TRIPS, ids=[str(column) for column, _ in ROUND_TRIPS])
def test_a_value_comes_back_as_it_went_in(world: World, column: Any, values: list[Any]) -> None:
    with world.transaction() as transaction:
        for value in values:
            assert transaction.change(sqlalchemy.update(column.class_).values({column.key: value})) > 0
            stored = transaction.rows(sqlalchemy.select(column))
            assert all(row[0] == value and type(row[0]) in (type(value), int) for row in stored)


@pytest.mark.parametrize("value", [uuid.UUID(int=0), uuid.UUID(int=2**128 - 1), db.new_id()])
def test_an_id_comes_back_as_it_went_in(world: World, value: uuid.UUID) -> None:
    with world.transaction() as transaction:
        transaction.change(sqlalchemy.insert(model.Object).values(id=value, kind=1))
        found = transaction.rows(sqlalchemy.select(model.Object.id).where(model.Object.id == value))
    assert [row.id for row in found] == [value]


def test_text_is_ordered_byte_for_byte(world: World) -> None:
    names = ["Z", "a", "B", "b", "ä", "ａ", "💾", "e\u0301", "é", "", "~", "_", "ß"]
    with world.transaction() as transaction:
        for number, name in enumerate(names):
            owner = world.ids["older"]
            statement = sqlalchemy.insert(model.Attribute).values(object_id=owner, name=name, value=bytes([number]))
            transaction.change(statement)
        transaction.run(world.sql("DELETE FROM attribute WHERE name = 'colour'"))
        found = transaction.rows(sqlalchemy.select(model.Attribute.name).order_by(model.Attribute.name))
    assert [row.name for row in found] == sorted(names, key=str.encode)
