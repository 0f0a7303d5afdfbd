"""Exporting a catalogue that others write, and importing one in the place of a catalogue that others have open."""

import contextlib
import io
import itertools
import os
import resource
import shutil
import signal
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import builders
import crash_child
import pytest
from conftest import ADMINISTRATOR
from faults import Neighbour, database_of, in_child, outcome
from watch import nothing_changed, refused
from working import make_robot

import rsm
from rsm import db, model, place, schema, transfer
from rsm.constants import NtmsLmOperation, NtmsLmState, NtmsOpreqCommand
from rsm.constants import NtmsPartitionState as State
from rsm.services import sessions

LTO = "LTO-8"


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep what belongs to nobody's catalogue file out of the user's data."""
    monkeypatch.setattr(place, "default_path", lambda: tmp_path / "data" / "rsm.db")
    return tmp_path / "data"


@pytest.fixture
def neighbour() -> Iterator[Neighbour]:
    other = Neighbour()
    yield other
    other.stop()


def paths(session: rsm.Session) -> set[str]:
    """Return the pools that are not the service's own."""
    listed = session.pools.list(recursive=True)
    return {pool.path for pool in listed if pool.path.split("\\")[1] not in ("Free", "Unrecognized", "Import")}


def loaded(path: Path | str, folder: Path) -> str:
    """Return the URL of a new catalogue that an export was loaded into."""
    url = str(folder / f"{uuid.uuid4().hex[:8]}.db")
    if Path(path).read_bytes().startswith(b"SQLite"):
        shutil.copy(path, url)
        return url
    with open(path, encoding="utf-8") as file:
        schema.import_catalogue(url, file)
    return url


def as_lines(path: Path | str, folder: Path) -> list[str]:
    """Return every row of an export or of a catalogue that was kept."""
    return builders.dump(loaded(path, folder))


# Exporting


def test_an_export_is_one_state_while_others_write(connect: Callable[..., rsm.Session], tmp_path: Path) -> None:
    session, other = connect(), connect()
    made, enough = threading.Event(), threading.Event()
    failed: list[BaseException] = []

    def write() -> None:
        try:
            for number in itertools.count():
                with other.transaction():
                    other.pools.create(f"\\a{number}")
                    other.pools.create(f"\\b{number}")
                made.set()
                if enough.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - it is raised below
            failed.append(error)
            made.set()

    thread = threading.Thread(target=write)
    thread.start()
    counts = []
    for _ in range(3):
        made.wait(60)
        made.clear()
        url = loaded(session.catalogue.export_to(), tmp_path)
        with rsm.connect(url, caller=ADMINISTRATOR) as copy:
            names = paths(copy)
        assert {name[2:] for name in names if name[1] == "a"} == {name[2:] for name in names if name[1] == "b"}
        assert schema.check(url) == []
        counts.append(len(names))
    enough.set()
    thread.join()
    assert failed == []
    assert 0 < counts[0] < counts[-1]


def test_an_export_takes_the_place_of_the_one_before(
    connect: Callable[..., rsm.Session], url: str, tmp_path: Path, data_folder: Path
) -> None:
    session = connect()
    first = Path(session.catalogue.export_to())
    assert first == place.export_path(place.parse_url(url))
    assert first.parent.name == "Export"
    assert first.is_relative_to(tmp_path if url.startswith("sqlite") else data_folder)
    session.pools.create("\\New")
    with nothing_changed(url):
        assert Path(session.catalogue.export_to()) == first
        (tmp_path / "mine").write_text("an old one")
        assert session.catalogue.export_to(tmp_path / "mine") == str(tmp_path / "mine")
    assert [path.name for path in first.parent.iterdir()] == [first.name]
    assert first.stat().st_mode & 0o777 == 0o600
    assert as_lines(first, tmp_path) == as_lines(tmp_path / "mine", tmp_path) == builders.dump(url)


def test_an_export_that_fails_leaves_the_one_before(
    connect: Callable[..., rsm.Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, carol = connect(), connect("user:carol")
    path = Path(session.catalogue.export_to())
    before = path.read_bytes()
    session.pools.create("\\New")
    with transfer.written(path, 0o600) as part:  # as another process does
        part.write_text("half")
        with refused(rsm.SharingViolationError):
            session.catalogue.export_to()
        part.write_bytes(before)
    with refused(rsm.AccessDeniedError):
        carol.catalogue.export_to(tmp_path / "stolen")
    with session.transaction(), refused(rsm.InvalidOperationError):
        session.catalogue.export_to()
    for wrong in (tmp_path / "no" / "folder", tmp_path):
        with refused(rsm.DatabaseFailureError):
            session.catalogue.export_to(wrong)
    with refused(rsm.InvalidParameterError):
        session.catalogue.export_to("a\0b")
    with pytest.raises(TypeError):
        session.catalogue.export_to(b"path")  # type: ignore[arg-type]
    monkeypatch.setattr(os, "fsync", _no_room)
    with refused(rsm.DatabaseFailureError):
        session.catalogue.export_to()
    assert path.read_bytes() == before
    assert not (tmp_path / "stolen").exists()
    assert list(path.parent.iterdir()) == [path]


def _no_room(_descriptor: int) -> None:
    raise OSError(28, "No space left on device")


# Importing


def test_an_import_takes_the_place_of_the_catalogue(
    connect: Callable[..., rsm.Session], url: str, neighbour: Neighbour, tmp_path: Path
) -> None:
    session, other = connect(), connect()
    session.pools.create("\\Before")
    session.catalogue.export_to()
    session.pools.create("\\After")
    newest, kept_state = session.events.latest(limit=1)[0].id, builders.dump(url)
    neighbour.ask("connect", url=url)
    assert session.catalogue.check_import() > 100
    assert builders.dump(url) == kept_state
    kept = session.catalogue.import_from()
    assert as_lines(kept, tmp_path) == kept_state
    assert Path(kept).stat().st_mode & 0o777 == 0o600
    assert paths(session) == {"\\Before"}
    (event,) = session.events.list(after=newest)
    assert (event.call, event.kind) == ("ImportNtmsDatabase", rsm.NtmsObjectsTypes.NTMS_COMPUTER)
    for _ in range(2):
        for call in (other.pools.list, lambda: other.pools.create("\\Lost")):
            with refused(rsm.NotReadyError):
                call()
        assert neighbour.ask("connect", url=url) == "ERROR_NOT_READY"
    other.close()
    neighbour.ask("leave")
    assert neighbour.ask("connect", url=url) == "ERROR_SUCCESS"
    session.pools.create("\\Later")
    with rsm.connect(url, caller=ADMINISTRATOR) as again:
        assert paths(again) == {"\\Before", "\\Later"}
        assert again.events.latest(limit=1)[0].id > event.id
    assert schema.check(url) == []
    again_kept = session.catalogue.import_from(kept)  # and back again
    assert paths(session) == {"\\Before", "\\After"}
    assert again_kept != kept


def test_an_import_from_the_other_database(
    connect: Callable[..., rsm.Session], url: str, tmp_path: Path, postgresql: Any, sqlite_templates: Any
) -> None:
    session = connect()
    foreign = str(tmp_path / "foreign.db")
    if url.startswith("sqlite"):
        foreign = postgresql.database()
    else:
        shutil.copy(sqlite_templates("2003"), foreign)
    with rsm.connect(foreign, caller=ADMINISTRATOR) as there:
        there.pools.create("\\Foreign\\Zoë", media_type=LTO, parents=True)
        made = there.catalogue.export_to(tmp_path / "export")
        session.catalogue.import_from(made)
        assert paths(session) == paths(there) == {"\\Foreign", "\\Foreign\\Zoë"}
    assert schema.check(url) == []


def test_a_catalogue_from_elsewhere_is_settled_in(connect: Callable[..., rsm.Session], url: str) -> None:
    """Its sessions are over wherever they ran, and its libraries take stock."""
    robot = builders.add_library(url, "Robot", requests=0)
    session, other = connect(), connect()
    session.types.add(LTO, robot.id)
    pool = session.pools.create("\\Pool", media_type=LTO)
    builders.add_medium(url, pool, "A1", State.NTMS_PARTSTATE_ALLOCATED, library=robot)
    (logical,) = session.media.logical_media(pool)
    waiting = other.mounts.request(logical)
    other.operators.submit(NtmsOpreqCommand.NTMS_OPREQ_MESSAGE, message="hello")
    session.catalogue.export_to()
    waiting.cancel()
    session.catalogue.import_from()
    requests = {each.operation: each for each in session.requests.list(robot.id)}
    assert requests[NtmsLmOperation.NTMS_LM_MOUNT].state is NtmsLmState.NTMS_LM_CANCELLED
    assert requests[NtmsLmOperation.NTMS_LM_INVENTORY].state is NtmsLmState.NTMS_LM_QUEUED
    assert session.read(sessions.list_open) == []


def test_what_must_not_be_replaced_is_not(connect: Callable[..., rsm.Session], url: str) -> None:
    robot = builders.add_library(url, "Robot", requests=1)
    session, carol = connect(), connect("user:carol")
    session.types.add(LTO, robot.id)
    pool = session.pools.create("\\Pool", media_type=LTO)
    (side,) = builders.add_medium(url, pool, "A1", State.NTMS_PARTSTATE_ALLOCATED, library=robot)
    path = session.catalogue.export_to()
    with nothing_changed(url), session.transaction(), refused(rsm.InvalidOperationError):
        session.catalogue.import_from()
    for call in (carol.catalogue.import_from, carol.catalogue.check_import):
        with nothing_changed(url), refused(rsm.AccessDeniedError):
            call()
    builders.set_columns(url, model.LibraryRequest, robot.requests[0], state=1, completed=None)
    with nothing_changed(url), pytest.raises(rsm.BusyError, match="Robot is at work"):
        session.catalogue.import_from()
    builders.set_columns(url, model.LibraryRequest, robot.requests[0], state=0, completed=None)
    builders.add_mount(url, side, robot.drives[0])
    with (
        nothing_changed(url),
        pytest.raises(rsm.BusyError, match="A1 is mounted in drive Robot drive 0 of library Robot"),
    ):
        session.catalogue.import_from(path)
    usual = place.export_path(place.parse_url(url))
    with builders.behind(url) as connection:
        connection.exec_driver_sql("DELETE FROM mount")
    with transfer._held(usual.with_name(f"{usual.name}.import"), folder=True), nothing_changed(url):  # as others do
        with pytest.raises(rsm.BusyError, match="another import"):
            session.catalogue.import_from()
    session.catalogue.import_from()


# Files that are none


def spoil_text(path: Path) -> None:
    path.write_text("garbage")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for position in range(4096 * 20 + 8, len(data), 4096):
        data[position : position + 64] = b"\xa5" * 64
    path.write_bytes(data)


def another_database(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE object (id INTEGER PRIMARY KEY)")
    connection.close()


def empty_database(path: Path) -> None:
    another_database(path)
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE object")
    connection.close()


def newer(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE catalogue SET revision = {db.REVISION + 1}")
    connection.close()


def dangling(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM object WHERE id IN (SELECT id FROM media_type LIMIT 1)")
    connection.close()


def unsound(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE access_control_entry SET position = position + 5")
    connection.close()


def gone(path: Path) -> None:
    path.unlink()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES = (
    spoil_text,
    cut,
    flip,
    another_database,
    empty_database,
    newer,
    dangling,
    unsound,
    gone,
    folder,
    pipe,
)


def test_a_file_that_is_no_sound_export_changes_nothing(
    connect: Callable[..., rsm.Session], url: str, sqlite_path: Path, tmp_path: Path
) -> None:
    session, other = connect(), connect()
    accepted = []
    with nothing_changed(url):
        for damage in DAMAGES if url.startswith("sqlite") else DAMAGES[:2]:  # the file is read alike for both
            path = tmp_path / damage.__name__
            shutil.copy(sqlite_path, path)
            damage(path)
            try:
                session.catalogue.import_from(path)
                accepted.append(damage.__name__)
            except rsm.DatabaseFailureError as error:
                assert str(path) in str(error) or damage is newer, error  # noqa: PT017 - each says which file
        with refused(rsm.DatabaseFailureError):
            session.catalogue.check_import(path)
        with refused(rsm.DatabaseFailureError):
            session.catalogue.import_from()  # there is none in the usual place
        lines = io.StringIO()
        schema.export_catalogue(str(sqlite_path), lines)
        text = lines.getvalue()
        for number, wrong in enumerate((text[:-20], text.replace('"revision": 1', '"revision": 9'), text[200:], "")):
            path = tmp_path / f"{number}.jsonl"
            path.write_text(wrong, encoding="utf-8")
            with refused(rsm.DatabaseFailureError):
                session.catalogue.import_from(path)
    assert accepted == []
    other.pools.create("\\Still")
    if url.startswith("sqlite"):
        with refused(rsm.DatabaseFailureError):
            session.catalogue.import_from(place.parse_url(url).database)
    session.catalogue.import_from(sqlite_path)
    assert paths(session) == set()


# Room, and the end of a process


def make_two(url: str) -> None:
    """Leave a catalogue with two pools of our own, and an export in its usual place that has one of them."""
    with rsm.connect(url, worker=False, caller=ADMINISTRATOR) as session:
        session.pools.create("\\Before")
        session.catalogue.export_to()
        session.pools.create("\\After")


def import_again(url: str) -> None:
    """Import what is in the usual place."""
    with rsm.connect(url, worker=False, caller=ADMINISTRATOR) as session:
        session.catalogue.import_from()


def see(url: str) -> set[str]:
    """See that a catalogue is sound and can be written; return its pools."""
    assert schema.check(url) == []
    with rsm.connect(url, worker=False, caller=ADMINISTRATOR, busy_timeout_ms=0) as session:
        with session.transaction(dry_run=True):
            session.pools.create("\\Probe")
        return paths(session)


def within(url: str, size: int) -> dict[str, Any]:
    """Import in a child whose files may grow to so many bytes."""

    def run() -> dict[str, Any]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        return outcome(lambda: import_again(url))

    found: dict[str, Any] = in_child(run)
    return found


def test_no_room_for_an_import_changes_nothing(new_url: Callable[..., str]) -> None:
    url = new_url()
    make_two(url)
    before = builders.dump(url)
    ended = [within(url, size)["code"] for size in (40_000, 200_000)]
    assert set(ended) == {"ERROR_DATABASE_FAILURE"}
    assert builders.dump(url) == before
    import_again(url)
    assert see(url) == {"\\Before"}


class Backing(sqlite3.Connection):
    """Dies in the middle of loading pages."""

    def backup(self, target: Any, **options: Any) -> None:
        def die(_status: int, remaining: int, _total: int) -> None:
            if remaining < 60:
                os.kill(os.getpid(), signal.SIGKILL)

        options["progress"] = die
        super().backup(target, pages=20, **options)


def import_watched(url: str, watch: crash_child.Watch) -> None:
    """Import on connections that `watch` looks after."""
    if url.startswith("sqlite"):
        watched: Any = Backing if watch.when == "inside" else crash_child.watching(watch)
        connect = sqlite3.connect
        sqlite3.connect = lambda *args, **keywords: connect(*args, factory=watched, **keywords)  # type: ignore[assignment]
    else:
        import psycopg

        execute = psycopg.Cursor.execute

        def run(cursor: Any, query: Any, *arguments: Any, **keywords: Any) -> Any:
            return watch.around(cursor, str(query), lambda: execute(cursor, query, *arguments, **keywords))

        psycopg.Cursor.execute = run  # type: ignore[method-assign]
    with rsm.connect(url, worker=False, caller=ADMINISTRATOR) as session:
        watch.armed = True
        session.catalogue.import_from()
        watch.armed = False


def test_an_import_that_is_killed_leaves_the_old_catalogue_or_the_new_one(new_url: Callable[..., str]) -> None:
    url = new_url()
    make_two(url)
    usual = place.export_path(place.parse_url(url))
    counting = crash_child.Watch(0, "never")

    def count() -> dict[str, int]:
        import_watched(new, counting)
        return {"statements": len(counting.statements)}

    new = new_url()
    make_two(new)
    last = in_child(count)["statements"]
    points = [(at, "before") for at in (last // 2, last - 8, last - 2)] + [
        (last - 1, "after"),
        (0, "inside"),
    ]
    seen = []
    for at, when in points:
        if when == "inside" and not url.startswith("sqlite"):
            continue
        ended = crash_child.fork(lambda at=at, when=when: import_watched(url, crash_child.Watch(at, when)))  # type: ignore[misc]
        assert ended == -signal.SIGKILL, (at, when)
        seen.append(see(url))
    assert {"\\Before", "\\After"} in seen
    assert all(found in ({"\\Before", "\\After"}, {"\\Before"}) for found in seen)
    import_again(url)
    assert see(url) == {"\\Before"}
    assert not usual.with_name(f"{usual.name}.import").exists()


def test_an_export_that_is_killed_leaves_the_one_before(sqlite_path: Path) -> None:
    url = str(sqlite_path)
    make_two(url)
    path = place.export_path(place.parse_url(url))
    before = path.read_bytes()

    def export() -> None:
        with rsm.connect(url, worker=False, caller=ADMINISTRATOR) as session:
            os.fsync = lambda _descriptor: os.kill(os.getpid(), signal.SIGKILL)
            session.catalogue.export_to()

    assert crash_child.fork(export) == -signal.SIGKILL
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 2
    with rsm.connect(url, worker=False, caller=ADMINISTRATOR) as session:
        session.catalogue.export_to()
    assert path.read_bytes() != before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


# Libraries


@pytest.mark.works
def test_libraries_are_worked_on_after_an_import(connect: Callable[..., rsm.Session], tmp_path: Path) -> None:
    """Who worked them for the old catalogue lets go of them, and whoever has the new one takes stock."""
    session, other = connect(), connect()
    robot = make_robot(session, tmp_path / "robot")
    robot.add("A00001")
    robot.attach()
    session.catalogue.export_to()
    robot.add("A00002")
    robot.inventory()
    old = database_of(other)
    session.catalogue.import_from()
    robot.library = session.libraries.get("Robot")
    robot.drain()
    assert set(robot.media()) == {"A00001", "A00002"}
    assert robot.places() == robot.lying()
    with refused(rsm.NotReadyError):
        other.libraries.inventory("Robot")
    assert old is not database_of(session)
    other.close()
    assert old.dead
    robot.add("A00003")
    robot.inventory()
    assert set(robot.media()) == {"A00001", "A00002", "A00003"}


def test_pages_of_another_size_are_no_obstacle(sqlite_path: Path) -> None:
    with rsm.connect(sqlite_path, worker=False, caller=ADMINISTRATOR) as session:
        session.catalogue.export_to()
    with contextlib.closing(sqlite3.connect(sqlite_path, isolation_level=None)) as connection:
        for statement in ("PRAGMA journal_mode = DELETE", "PRAGMA page_size = 8192", "VACUUM"):
            connection.execute(statement).fetchall()
    import_again(str(sqlite_path))
    assert see(str(sqlite_path)) == set()
