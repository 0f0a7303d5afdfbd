"""The world that the tests of the Win32 face share: one catalogue for each database and era, and ways to damage it.

A world makes fresh pools, cartridges and libraries for every case, so one catalogue serves all of them; what a case
changes for a while (a list of rights, a table that is gone) is put right again when its `undo` stack closes.
"""

import contextlib
import itertools
import json
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import builders
import sqlalchemy
from conftest import ADMINISTRATOR, Postgresql

import rsm
from rsm import db, model, ntmsapi, place, schema
from rsm.constants import (
    DACL_SECURITY_INFORMATION,
    NTMS_CREATE_NEW,
    NTMS_LIBRARY,
    NTMS_MEDIA_POOL,
    NTMS_PARTITION,
    NTMS_PARTSTATE_AVAILABLE,
    NTMS_PHYSICAL_MEDIA,
    OWNER_SECURITY_INFORMATION,
)
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.ntmsapi import NTMS_OBJECTINFORMATION
from rsm.security import ALL_RIGHTS, GUARD_KINDS, AccessRights, Ace, Caller, SecurityDescriptor
from rsm.services import properties

TESTS = Path(__file__).resolve().parent.parent
FUNCTIONS: dict[str, dict[str, Any]] = {
    function["name"]: function
    for function in json.loads((TESTS / "data" / "functions.json").read_text())
    if hasattr(ntmsapi, function["name"])
}
ALICE = Caller("user:alice", groups=("group:staff",))
WRITERS = frozenset(FUNCTIONS) - {
    "OpenNtmsSession",
    "CloseNtmsSession",
    "EnumerateNtmsObject",
    "GetNtmsMediaPoolName",
    "GetNtmsObjectAttribute",
    "GetNtmsObjectInformation",
    "GetNtmsObjectSecurity",
}
RIGHT = {
    "U": AccessRights.USE,
    "M": AccessRights.MODIFY,
    "C": AccessRights.CONTROL,
    "R": AccessRights.READ_CONTROL,
    "W": AccessRights.WRITE_DAC,
}


def first(result: Any) -> Any:
    """Return the code of a call's result."""
    return result[0] if isinstance(result, tuple) else result


def everything(url: str) -> list[str]:
    """Return every row of a catalogue as text, and of the events, which are only ever added, the last and their number.

    It tells what `builders.dump` tells, in a tenth of its time.
    """
    database = db.acquire(place.parse_url(url))
    found = []
    try:
        with database.reading() as connection:
            raw: Any = connection.connection.driver_connection
            for table in sorted(model.Base.metadata.tables):
                columns = "max(id), count(*)" if table == "event" else "*"
                rows = raw.execute(f"SELECT {columns} FROM {table}").fetchall()
                found += sorted(f"{table} {row}" for row in rows)
    finally:
        db.release(database)
    return found


_OBJECT, _OWNER = sqlalchemy.bindparam("object_id", type_=model.Id()), sqlalchemy.bindparam("owner", type_=model.Text())
_DELETE_ENTRIES = sqlalchemy.delete(model.AccessControlEntry).where(model.AccessControlEntry.object_id == _OBJECT)
_SET_OWNER = {
    kind: sqlalchemy.update(table).where(table.id == _OBJECT).values(owner=_OWNER)
    for kind, table in model.TABLE_OF_KIND.items()
    if kind in GUARD_KINDS
}


class World:
    """One catalogue with a robot library in it, and an administrator's session and handle on it."""

    def __init__(self, worlds: "Worlds | None", url: str, era: str) -> None:
        self.worlds, self.url, self.era = worlds, url, era
        self.is_sqlite = url.startswith("sqlite")
        self.undo = contextlib.ExitStack()
        self.session = rsm.connect(url, application="tests", caller=ADMINISTRATOR)
        self._handles: dict[Caller, Any] = {}
        self._number = itertools.count(1)
        self.h = self.handle()
        self.robot = builders.add_library(url, "Robot", slots=8)
        self.lto8, self.lto7 = (self.session.types.get(name).id for name in ("LTO-8", "LTO-7"))
        self.two_sided = self.session.types.get("MO_5_RW").id
        for media_type in (self.lto8, self.lto7, self.two_sided):
            self.session.types.add(media_type, self.robot.id)
        self.computer = self.session.objects.list(Kind.NTMS_COMPUTER)[0]
        self.root = self.session.objects.list(Kind.NTMS_MEDIA_POOL, include_root=True)[0]
        self.offline = next(
            library
            for library in self.session.objects.list(Kind.NTMS_LIBRARY)
            if self.session.objects.get(Kind.NTMS_LIBRARY, library).library_type == 1
        )
        self.operator_request = builders.add_operator_request(url)

    def close(self) -> None:
        self.undo.close()
        for handle in self._handles.values():
            ntmsapi.CloseNtmsSession(handle)
        self.session.close()

    # What a case needs

    def name(self, stem: str = "x") -> str:
        return f"{stem}{next(self._number)}"

    def handle(self, caller: Caller = ADMINISTRATOR) -> Any:
        """Return a handle for the caller, the same one every time."""
        if caller not in self._handles:
            code, handle = ntmsapi.OpenNtmsSession(self.url, "tests", caller=caller)
            assert code == 0
            self._handles[caller] = handle
        return self._handles[caller]

    def new_handle(self) -> Any:
        """Return a handle that the case may close."""
        code, handle = ntmsapi.OpenNtmsSession(self.url, "tests", caller=ADMINISTRATOR)
        assert code == 0
        self.undo.callback(ntmsapi.CloseNtmsSession, handle)
        return handle

    def library(self, **options: Any) -> builders.BuiltLibrary:
        return builders.add_library(self.url, self.name("Library"), **options)

    def path(self) -> str:
        return f"\\{self.name('Pool')}"

    def pool(
        self, media_type: uuid.UUID | None = None, *, of_pools: bool = False, path: str | None = None
    ) -> uuid.UUID:
        """Return a new pool of LTO-8, of another type, or of pools."""
        wanted = None if of_pools else media_type or self.lto8
        return self.session.pools.create(path or self.path(), media_type=wanted).id

    def medium(
        self, pool: uuid.UUID | None = None, state: Any = NTMS_PARTSTATE_AVAILABLE, *, sides: int = 1, **fields: Any
    ) -> uuid.UUID:
        """Return a new cartridge on the shelf, in a pool of its own unless told."""
        new_sides = [builders.side(number, state) for number in range(sides)]
        return self.session.media.create(pool or self.pool(), new_sides, **fields).id

    def system_pool(self, group: str, media_type: str = "LTO-8") -> uuid.UUID:
        return self.session.objects.find(NTMS_MEDIA_POOL, f"\\{group}\\{media_type}")

    def medium_in(self, group: str, state: Any = NTMS_PARTSTATE_AVAILABLE) -> uuid.UUID:
        """Return a cartridge in a system pool of LTO-8, its sides in this state."""
        medium = self.medium()
        builders.put_in_pool(self.url, medium, self.system_pool(group), state)
        return medium

    def medium_structure(self, pool: uuid.UUID, sides: int = 1, **members: Any) -> NTMS_OBJECTINFORMATION:
        """Return what CreateNtmsMedia wants of a cartridge."""
        structure = NTMS_OBJECTINFORMATION(dwType=NTMS_PHYSICAL_MEDIA)
        structure.Info.MediaPool, structure.Info.dwNumberOfPartitions = pool, sides
        return change(structure, members)

    def side_structure(self, **members: Any) -> NTMS_OBJECTINFORMATION:
        """Return what CreateNtmsMedia wants of a side."""
        structure = NTMS_OBJECTINFORMATION(dwType=NTMS_PARTITION)
        label = uuid.uuid4().bytes
        structure.Info.OmidLabelId, structure.Info.dwOmidLabelIdLength = label, len(label)
        structure.Info.szOmidLabelType, structure.Info.State = "tests", int(NTMS_PARTSTATE_AVAILABLE)
        return change(structure, members)

    def information(self, kind: Kind, object_id: uuid.UUID, **members: Any) -> NTMS_OBJECTINFORMATION:
        """Return what the catalogue says of an object, with some members changed."""
        code, info = ntmsapi.GetNtmsObjectInformation(self.h, object_id, int(kind))
        assert code == 0
        return change(info, members)

    def one_of_each(self) -> dict[Kind, uuid.UUID]:
        """Return an object of every kind there is; media and sides share one pool, devices one library."""
        robot, pool = self.robot, self.pool()
        medium = self.medium(pool, rsm.NtmsPartitionState.NTMS_PARTSTATE_ALLOCATED)
        side = self.session.media.sides(medium)[0]
        assert robot.changer_type is not None
        assert robot.drive_type is not None
        return {
            Kind.NTMS_CHANGER: robot.changers[0],
            Kind.NTMS_CHANGER_TYPE: robot.changer_type,
            Kind.NTMS_COMPUTER: self.computer,
            Kind.NTMS_DRIVE: robot.drives[0],
            Kind.NTMS_DRIVE_TYPE: robot.drive_type,
            Kind.NTMS_IEDOOR: robot.doors[0],
            Kind.NTMS_IEPORT: robot.ports[0],
            Kind.NTMS_LIBRARY: robot.id,
            Kind.NTMS_LIBREQUEST: robot.requests[0],
            Kind.NTMS_LOGICAL_MEDIA: side.logical_medium,
            Kind.NTMS_MEDIA_POOL: pool,
            Kind.NTMS_MEDIA_TYPE: self.lto8,
            Kind.NTMS_PARTITION: side.id,
            Kind.NTMS_PHYSICAL_MEDIA: medium,
            Kind.NTMS_STORAGESLOT: robot.slots[0],
            Kind.NTMS_OPREQUEST: self.operator_request,
        }

    # Rights

    def set_guard(self, kind: Kind, object_id: uuid.UUID, descriptor: SecurityDescriptor) -> None:
        """Write owner and list of a guard whoever may, and without an event."""

        def write(transaction: db.Transaction) -> None:
            transaction.change(_DELETE_ENTRIES, object_id=object_id)
            properties.write_entries(transaction, object_id, descriptor.dacl or ())
            if descriptor.owner is not None:
                transaction.change(_SET_OWNER[kind], object_id=object_id, owner=descriptor.owner)

        self.session.write(write)

    def protect(self, kind: Kind, object_id: uuid.UUID, *aces: Ace, owner: str | None = None) -> None:
        """Give a guard this list, and owner, until the case is over."""
        before = self.session.read(properties.read_security, ADMINISTRATOR, kind, object_id)
        self.set_guard(kind, object_id, SecurityDescriptor(owner, aces))
        self.undo.callback(self.set_guard, kind, object_id, before)

    def protect_all_but(self, right: AccessRights, kind: Kind, object_id: uuid.UUID) -> None:
        """Leave alice every right on a guard but this one."""
        self.protect(kind, object_id, Ace(True, ALICE.user, ALL_RIGHTS & ~right))

    def permit(self, kind: Kind, *object_ids: uuid.UUID) -> None:
        """Give alice every right on these guards."""
        for object_id in object_ids:
            self.protect(kind, object_id, Ace(True, ALICE.user, ALL_RIGHTS))

    # Damage

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
        database._forget_connections()
        assert database.path is not None
        whole = database.path.read_bytes()
        with open(database.path, "r+b") as file:
            file.seek(4096)
            file.write(b"\xa5" * (len(whole) - 4096))
        try:
            yield
        finally:
            database._forget_connections()
            for suffix in ("-wal", "-shm"):
                Path(f"{database.path}{suffix}").unlink(missing_ok=True)
            with open(database.path, "r+b") as file:
                file.write(whole)

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

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Leave the database no room: a limit of pages on SQLite, the server's own error 53100 on PostgreSQL."""
        database = self.session._database
        if not self.is_sqlite:
            with self.raising("53100", on="event"):
                yield
            return

        def limit(connection: Any, *_: Any) -> None:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {pages}")

        sqlalchemy.event.listen(database._writers, "checkout", limit)
        try:
            yield
        finally:
            sqlalchemy.event.remove(database._writers, "checkout", limit)
            database._forget_connections()

    @contextlib.contextmanager
    def raising(self, state: str, *, on: str) -> Iterator[None]:
        """Make the PostgreSQL server itself report an error when a row of a table is written."""
        self._run(
            f"CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no room'"
            f" USING ERRCODE = '{state}'; END $$",
            f"CREATE TRIGGER trouble BEFORE INSERT ON {on} FOR EACH ROW EXECUTE FUNCTION trouble()",
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

    def lose_pool(self, pool: uuid.UUID) -> None:
        """Delete a pool behind the program's back, foreign keys off, whatever is in it."""
        database = self.session._database
        connection = database._writers.raw_connection()
        raw: Any = connection.driver_connection
        if self.is_sqlite:
            raw.execute("PRAGMA foreign_keys = OFF")
            raw.execute("DELETE FROM media_pool WHERE id = ?", [pool.bytes])
        else:
            raw.execute("SET session_replication_role = replica")
            raw.execute("DELETE FROM media_pool WHERE id = %s", [pool])
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


def change(structure: NTMS_OBJECTINFORMATION, members: dict[str, Any]) -> NTMS_OBJECTINFORMATION:
    """Set members of a structure or of its Info."""
    for name, value in members.items():
        setattr(structure if hasattr(structure, name) else structure.Info, name, value)
    return structure


# The arguments after the handle of a call that does what it is for

Sound = Callable[[World], tuple[Any, ...]]


def _enabled(w: World, enabled: bool) -> tuple[Any, ...]:
    return NTMS_PHYSICAL_MEDIA, w.medium(enabled=enabled)


def _added_type(w: World) -> uuid.UUID:
    media_type = w.session.types.create(w.name("Type")).id
    w.session.types.add(media_type, w.robot.id)
    return media_type


def _noted_pool(w: World) -> uuid.UUID:
    pool = w.pool()
    w.session.objects.set_attribute(NTMS_MEDIA_POOL, pool, "note", b"12345")
    return pool


def _described_pool(w: World) -> tuple[Any, ...]:
    pool = w.pool()
    return pool, w.information(Kind.NTMS_MEDIA_POOL, pool, szDescription="changed")


OWNER_AND_DACL = OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION
SOUND: dict[str, Sound] = {
    "OpenNtmsSession": lambda w: (w.url, "tests", 0),
    "CloseNtmsSession": lambda w: (),
    "AddNtmsMediaType": lambda w: (w.session.types.create(w.name("Type")).id, w.robot.id),
    "DeleteNtmsMediaType": lambda w: (_added_type(w), w.robot.id),
    "ChangeNtmsMediaType": lambda w: (w.medium(), w.pool(w.lto7)),
    "CreateNtmsMedia": lambda w: (w.medium_structure(w.pool()), [w.side_structure()]),
    "CreateNtmsMediaPool": lambda w: (w.path(), w.lto8, NTMS_CREATE_NEW),
    "DeleteNtmsMedia": lambda w: (w.medium(),),
    "DeleteNtmsMediaPool": lambda w: (w.pool(),),
    "DisableNtmsObject": lambda w: _enabled(w, True),
    "EnableNtmsObject": lambda w: _enabled(w, False),
    "EnumerateNtmsObject": lambda w: (None, NTMS_LIBRARY),
    "GetNtmsMediaPoolName": lambda w: (w.pool(),),
    "GetNtmsObjectAttribute": lambda w: (_noted_pool(w), NTMS_MEDIA_POOL, "note"),
    "GetNtmsObjectInformation": lambda w: (w.pool(), NTMS_MEDIA_POOL),
    "GetNtmsObjectSecurity": lambda w: (w.pool(), NTMS_MEDIA_POOL, OWNER_AND_DACL),
    "MoveToNtmsMediaPool": lambda w: (w.medium(), w.pool()),
    "SetNtmsObjectAttribute": lambda w: (_noted_pool(w), NTMS_MEDIA_POOL, "note", b"x"),
    "SetNtmsObjectInformation": _described_pool,
    "SetNtmsObjectSecurity": lambda w: (
        w.pool(),
        NTMS_MEDIA_POOL,
        DACL_SECURITY_INFORMATION,
        SecurityDescriptor(dacl=(Ace(True, "user:admin", ALL_RIGHTS), Ace(True, "everyone", AccessRights.USE))),
    ),
}
WITH_HANDLE = [name for name in SOUND if name != "OpenNtmsSession"]


def sound_call(w: World, name: str) -> Callable[[], Any]:
    """Return the call with the arguments that make it do what it is for."""
    if name == "OpenNtmsSession":
        return partial(_open_and_close, *SOUND[name](w))
    handle = w.new_handle() if name == "CloseNtmsSession" else w.h
    return partial(getattr(ntmsapi, name), handle, *SOUND[name](w))


def _open_and_close(*arguments: Any) -> Any:
    code, handle = ntmsapi.OpenNtmsSession(*arguments, caller=ADMINISTRATOR)
    assert (handle is None) == (code != 0)
    if handle is not None:
        ntmsapi.CloseNtmsSession(handle)
    return code


class Worlds:
    """The worlds of one test module, made when first asked for."""

    def __init__(self, postgresql: Postgresql, sqlite_templates: Callable[[str], Path], folder: Path) -> None:
        self._postgresql, self._sqlite_templates, self.folder = postgresql, sqlite_templates, folder
        self._shared: dict[tuple[str, str], World] = {}
        self._fresh: list[World] = []
        self._memory: dict[str, int] | None = None
        self._stopped: StoppedServer | None = None

    def __enter__(self) -> "Worlds":
        return self

    def __exit__(self, *_: object) -> None:
        for world in (*self._shared.values(), *self._fresh):
            world.close()
        if self._stopped is not None:
            self._stopped.close()

    def url(self, backend: str, era: str = "2003", *, empty: bool = False) -> str:
        """Return the URL of a new catalogue, or of an empty database."""
        if backend == "postgresql":
            return self._postgresql.database(era=era, empty=empty)
        path = self.folder / f"{uuid.uuid4().hex[:8]}.db"
        if not empty:
            shutil.copy(self._sqlite_templates(era), path)
        return f"sqlite:///{path}"

    def shared(self, backend: str, era: str = "2003") -> World:
        """Return the world of a database and an era that all cases share."""
        if (backend, era) not in self._shared:
            self._shared[backend, era] = World(self, self.url(backend, era), era)
        return self._shared[backend, era]

    def fresh(self, backend: str, era: str = "2003") -> World:
        """Return a world that the case may ruin."""
        self._fresh.append(World(self, self.url(backend, era), era))
        return self._fresh[-1]

    @property
    def memory(self) -> dict[str, int]:
        """What each function gave, in a child process, once SQLite's heap was at its hard limit."""
        if self._memory is None:
            url = self.url("sqlite")
            child = run_script(__file__, url)
            report = json.loads(child)
            assert report["before"] == everything(url)
            self._memory = report["codes"]
        return self._memory

    @property
    def stopped(self) -> "StoppedServer":
        """A PostgreSQL server of its own that was stopped while sessions were open."""
        if self._stopped is None:
            self._stopped = StoppedServer()
        return self._stopped


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
        self._server.stop()

    def close(self) -> None:
        ntmsapi.CloseNtmsSession(self.h)


def run_script(*arguments: str, code: str | None = None) -> str:
    """Run Python in a process of its own with the tests' modules at hand, and return what it printed."""
    command = [sys.executable, *(["-c", code] if code else []), *arguments]
    environment = {"PYTHONPATH": str(TESTS), "PATH": "/usr/bin:/bin"}
    child = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, cwd=TESTS.parent)
    assert child.returncode == 0, child.stderr
    return child.stdout


@contextlib.contextmanager
def being_upgraded(url: str) -> Iterator[None]:
    """Have another process hold the upgrade mark of a catalogue."""
    script = (
        "import sys; from rsm import db, place\n"
        "with db.acquire(place.parse_url(sys.argv[1])).upgrading():\n"
        "    print('held', flush=True); sys.stdin.readline()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=TESTS.parent
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        try:
            yield
        finally:
            child.communicate("done\n", timeout=30)


def _exhaust_memory(url: str) -> None:
    """As a script: prepare one sound call of every function, forbid SQLite another byte, and call them all."""
    world = World(None, url, "2003")
    calls = {name: sound_call(world, name) for name in SOUND}
    before = everything(url)
    connection = world.session._database._readers.raw_connection()
    with contextlib.suppress(MemoryError):  # not even the pragma's own answer fits
        connection.execute("PRAGMA hard_heap_limit = 1")
    connection.close()
    codes = {name: int(first(call())) for name, call in calls.items()}
    print(json.dumps({"codes": codes, "before": before}))


if __name__ == "__main__":
    _exhaust_memory(sys.argv[1])
