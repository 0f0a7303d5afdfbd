"""Operator requests: asking, answering, forgetting; every outcome, in both eras."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import builders
import faults
import pytest
import sqlalchemy
import test_statements_failing as statements
from counting import Counted
from watch import new_events, nothing_changed, refused

import rsm
from rsm import model
from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsOpreqCommand as Command
from rsm.constants import NtmsOpreqState as State
from rsm.constants import NtmsOpRequestFlags as Flags
from rsm.security import ALL_RIGHTS
from rsm.services import operators

SUBMITTED, COMPLETE, REFUSED = (
    State.NTMS_OPSTATE_SUBMITTED,
    State.NTMS_OPSTATE_COMPLETE,
    State.NTMS_OPSTATE_REFUSED,
)
NEWMEDIA, CLEANER, DEVICESERVICE, MOVEMEDIA, MESSAGE = (
    Command.NTMS_OPREQ_NEWMEDIA,
    Command.NTMS_OPREQ_CLEANER,
    Command.NTMS_OPREQ_DEVICESERVICE,
    Command.NTMS_OPREQ_MOVEMEDIA,
    Command.NTMS_OPREQ_MESSAGE,
)
USE, MODIFY, CONTROL = rsm.AccessRights.USE, rsm.AccessRights.MODIFY, rsm.AccessRights.CONTROL
UNKNOWN = uuid.UUID("01234567-89ab-7def-8123-456789abcdef")


@dataclass
class World:
    """A catalogue with one of each thing that a request can be about, by the words that the tables below use."""

    url: str
    session: rsm.Session
    ids: dict[str, uuid.UUID]

    def id(self, word: str | None) -> Any:
        return None if word is None else self.ids.get(word, word)


def build_world(url: str, session: rsm.Session) -> World:
    robot = builders.add_library(url, slots=1, requests=0)
    session.types.add("LTO-8", robot.id)
    pool = session.pools.create(r"\Media", media_type="LTO-8")
    tape = session.media.create(pool, [builders.side()], barcode="A00001")
    builders.put_online(url, tape.id, robot)
    ids = {"pool": pool.id, "tape": tape.id, "robot": robot.id, "unknown": UNKNOWN}
    ids |= {"slot": robot.slots[0], "drive": robot.drives[0], "door": robot.doors[0], "port": robot.ports[0]}
    ids["computer"] = session.objects.list(Kind.NTMS_COMPUTER)[0]
    ids["side"] = session.media.sides(tape)[0].id
    return World(url, session, ids)


@pytest.fixture
def world(url: str, session: rsm.Session) -> World:
    return build_world(url, session)


@pytest.fixture
def asked(session: rsm.Session) -> rsm.OperatorRequest:
    return session.operators.submit(MESSAGE, message="clean the hands")


# Asking

_KINDS = {
    "pool": Kind.NTMS_MEDIA_POOL,
    "tape": Kind.NTMS_PHYSICAL_MEDIA,
    "robot": Kind.NTMS_LIBRARY,
    "slot": Kind.NTMS_STORAGESLOT,
    "drive": Kind.NTMS_DRIVE,
    "door": Kind.NTMS_IEDOOR,
    "port": Kind.NTMS_IEPORT,
}


@pytest.mark.parametrize(
    ("command", "first", "second", "name"),
    [
        (NEWMEDIA, "pool", "robot", "new media"),
        (NEWMEDIA, "pool", None, "new media"),
        (CLEANER, "robot", None, "cleaner"),
        (CLEANER, "slot", None, "cleaner"),
        *((DEVICESERVICE, word, None, "device service") for word in ("robot", "drive", "door", "tape")),
        (MOVEMEDIA, "tape", "robot", "move media"),
        (MESSAGE, None, None, "message"),
        (MESSAGE, "port", "tape", "message"),
    ],
)
def test_a_request_keeps_what_was_asked(
    world: World, command: Command, first: str | None, second: str | None, name: str
) -> None:
    session = world.session
    with new_events(session) as found, session.because("drill"):
        made = session.operators.submit(
            command, message="at once", argument1=world.id(first), argument2=world.id(second)
        )
    assert (made.request, made.state, made.message, made.name) == (command, SUBMITTED, "at once", name)
    assert (made.argument1, made.argument2) == (world.id(first), world.id(second))
    assert made.argument1_kind == (_KINDS[first] if first else Kind.NTMS_UNKNOWN)
    assert made.argument2_kind == (_KINDS[second] if second else Kind.NTMS_UNKNOWN)
    assert (made.application, made.user) == ("tests", "user:admin")
    assert made.computer
    assert made.submitted.tzinfo is not None
    assert session.operators.get(made) == session.operators.get(str(made.id)) == made
    assert session.operators.list() == session.operators.list(SUBMITTED) == [made]
    assert session.operators.list(COMPLETE) == []
    (event,) = found
    assert (event.call, event.operation, event.kind) == (
        "SubmitNtmsOperatorRequest",
        Operation.NTMS_OBJ_INSERT,
        Kind.NTMS_OPREQUEST,
    )
    assert (event.object, event.reason) == (made.id, "drill")
    assert event.after is not None
    assert (event.after["message"], event.after["state"]) == ("at once", int(SUBMITTED))


def test_arguments_are_found_by_what_people_call_them(world: World) -> None:
    submit = world.session.operators.submit
    tape = world.session.media.get("A00001")
    moved = submit(MOVEMEDIA, argument1="A00001", argument2="Robot")
    assert (moved.argument1, moved.argument2) == (world.ids["tape"], world.ids["robot"])
    assert submit(MOVEMEDIA, argument1=tape, argument2="Robot").argument1 == tape.id
    assert submit(NEWMEDIA, argument1=r"\Media").argument1 == world.ids["pool"]
    assert submit(CLEANER, argument1="Robot slot 0").argument1 == world.ids["slot"]
    assert submit(DEVICESERVICE, argument1="Robot drive 0").argument1 == world.ids["drive"]
    assert submit(MESSAGE, argument1="Robot port 0").argument1 == world.ids["port"]
    assert submit(MESSAGE, message="\U0001f4fc" * 127 + "x").message.endswith("x")


PARAMETER, NOT_FOUND = rsm.InvalidParameterError, rsm.ObjectNotFoundError


# Command, message, first and second argument, and what comes of it.
_REFUSALS: list[tuple[Any, str, str | None, str | None, type[rsm.RsmError]]] = [
    (Command.NTMS_OPREQ_UNKNOWN, "", None, None, PARAMETER),
    (6, "", None, None, PARAMETER),
    (-1, "", None, None, PARAMETER),
    (MESSAGE, "x" * 256, None, None, PARAMETER),
    (MESSAGE, "\U0001f4fc" * 128, None, None, PARAMETER),
    (MESSAGE, "a\0b", None, None, PARAMETER),
    (MESSAGE, "\udc80", None, None, PARAMETER),
    (NEWMEDIA, "x" * 256, "unknown", None, PARAMETER),  # what is malformed comes before what is missing
    (NEWMEDIA, "", None, "robot", PARAMETER),
    (CLEANER, "", None, None, PARAMETER),
    (DEVICESERVICE, "", None, None, PARAMETER),
    (MOVEMEDIA, "", None, "robot", PARAMETER),
    (MOVEMEDIA, "", "tape", None, PARAMETER),
    (CLEANER, "", "unknown", "robot", PARAMETER),
    (DEVICESERVICE, "", "drive", "robot", PARAMETER),
    (NEWMEDIA, "", "robot", None, PARAMETER),
    (NEWMEDIA, "", "pool", "drive", PARAMETER),
    (CLEANER, "", "drive", None, PARAMETER),
    (DEVICESERVICE, "", "pool", None, PARAMETER),
    (DEVICESERVICE, "", "port", None, PARAMETER),
    (MOVEMEDIA, "", "side", "robot", PARAMETER),
    (MOVEMEDIA, "", "tape", "pool", PARAMETER),
    (MESSAGE, "", "side", None, PARAMETER),
    (NEWMEDIA, "", "unknown", None, NOT_FOUND),
    (NEWMEDIA, "", "pool", "unknown", NOT_FOUND),
    (MOVEMEDIA, "", "tape", "unknown", NOT_FOUND),
    (MESSAGE, "", "unknown", None, NOT_FOUND),
    (MESSAGE, "", None, "unknown", NOT_FOUND),
    (NEWMEDIA, "", "a\\\\b", None, NOT_FOUND),
    (MOVEMEDIA, "", "A0000X", "Robot", NOT_FOUND),
    (CLEANER, "", "\0", None, NOT_FOUND),
]


def test_what_cannot_be_asked(world: World) -> None:
    submit = world.session.operators.submit
    with nothing_changed(world.url):
        for command, message, first, second, error in _REFUSALS:
            with refused(error):
                submit(command, message=message, argument1=world.id(first), argument2=world.id(second))


def test_wrong_python_types_are_type_errors(world: World, asked: rsm.OperatorRequest) -> None:
    noun: Any = world.session.operators
    for call in (
        lambda: noun.submit("message"),
        lambda: noun.submit(True),
        lambda: noun.submit(MESSAGE, message=b"x"),
        lambda: noun.submit(MESSAGE, argument1=5),
        lambda: noun.list("open"),
        lambda: noun.get(5),
        lambda: noun.wait(None),
        lambda: noun.wait(asked, timeout_ms=1.5),
        lambda: noun.satisfy(world.session.media.get("A00001")),
        lambda: noun.refuse(None),
        lambda: noun.delete(asked, 5),
    ):
        with pytest.raises(TypeError):
            call()
    for call in (
        lambda: noun.list(77),
        lambda: noun.wait(asked, timeout_ms=-1),
        lambda: noun.wait(asked, timeout_ms=2**32),
    ):
        with refused(PARAMETER):
            call()


# Rights


# Command, first and second argument, the guard that is asked, and the right that is needed on it in the 2003 era.
_RIGHTS: list[tuple[Command, str | None, str | None, str, rsm.AccessRights]] = [
    (NEWMEDIA, "pool", None, "pool", CONTROL),
    (MOVEMEDIA, "tape", "robot", "pool", CONTROL),
    (CLEANER, "robot", None, "robot", CONTROL),
    (CLEANER, "slot", None, "robot", CONTROL),
    *((DEVICESERVICE, word, None, "robot", CONTROL) for word in ("robot", "drive", "door", "tape")),
    (MESSAGE, None, None, "computer", USE),
    (MESSAGE, "tape", "robot", "computer", USE),
]
_GUARDS = {"pool": Kind.NTMS_MEDIA_POOL, "robot": Kind.NTMS_LIBRARY, "computer": Kind.NTMS_COMPUTER}


@pytest.mark.parametrize("era", ["2003", "2000"])
def test_rights_to_ask(new_url: Callable[..., str], connect: Callable[..., rsm.Session], era: str) -> None:
    url = new_url(era=era)
    world = build_world(url, connect(database=url))
    bob = connect("user:bob", database=url)

    def let(guard: str, rights: rsm.AccessRights) -> None:
        descriptor = rsm.SecurityDescriptor(dacl=(rsm.Ace(True, "user:bob", rights),))
        world.session.acl.set(_GUARDS[guard], world.ids[guard], descriptor)

    def ask(command: Command, first: str | None, second: str | None) -> rsm.OperatorRequest:
        return bob.operators.submit(command, argument1=world.id(first), argument2=world.id(second))

    for command, first, second, asked_guard, right in _RIGHTS:
        for guard in _GUARDS:
            let(guard, ALL_RIGHTS & ~right if guard == asked_guard else ALL_RIGHTS)
        if era == "2000":
            assert ask(command, first, second).user == "user:bob"
            continue
        with nothing_changed(url), refused(rsm.AccessDeniedError):
            ask(command, first, second)
        for guard in _GUARDS:
            let(guard, right if guard == asked_guard else MODIFY)
        assert ask(command, first, second).user == "user:bob"


@pytest.mark.parametrize("era", ["2003", "2000"])
def test_only_administrators_answer(new_url: Callable[..., str], connect: Callable[..., rsm.Session], era: str) -> None:
    url = new_url(era=era)
    administrator, bob = connect(database=url), connect("user:bob", "group:tape", database=url)
    request = bob.operators.submit(MESSAGE)
    computer = administrator.objects.list(Kind.NTMS_COMPUTER)[0]
    everything = rsm.SecurityDescriptor(dacl=(rsm.Ace(True, "everyone", ALL_RIGHTS),))
    administrator.acl.set(Kind.NTMS_COMPUTER, computer, everything)
    for answer in (bob.operators.satisfy, bob.operators.refuse):
        for named in (request, UNKNOWN):
            with nothing_changed(url), refused(rsm.AccessDeniedError):
                answer(named)
    connect("user:carol", "group:rsm", database=url).operators.satisfy(request)
    assert bob.operators.get(request).state is COMPLETE


@pytest.mark.parametrize(("era", "right"), [("2003", MODIFY), ("2000", CONTROL)])
def test_rights_to_forget(
    new_url: Callable[..., str], connect: Callable[..., rsm.Session], era: str, right: rsm.AccessRights
) -> None:
    url = new_url(era=era)
    administrator, bob = connect(database=url), connect("user:bob", database=url)
    request = administrator.operators.submit(MESSAGE)
    administrator.operators.satisfy(request)
    computer = administrator.objects.list(Kind.NTMS_COMPUTER)[0]
    for rights in (ALL_RIGHTS & ~right, right):
        descriptor = rsm.SecurityDescriptor(dacl=(rsm.Ace(True, "user:bob", rights),))
        administrator.acl.set(Kind.NTMS_COMPUTER, computer, descriptor)
        if rights is right:
            assert bob.operators.delete(request) == 1
        else:
            with nothing_changed(url), refused(rsm.AccessDeniedError):
                bob.operators.delete(request)


def test_who_may_not_use_the_computer_reads_no_requests(
    session: rsm.Session, connect: Callable[..., rsm.Session], asked: rsm.OperatorRequest
) -> None:
    bob = connect("user:bob")
    assert bob.operators.list() == [asked]
    session.acl.set(Kind.NTMS_COMPUTER, session.objects.list(Kind.NTMS_COMPUTER)[0], rsm.SecurityDescriptor(dacl=()))
    assert bob.operators.list() == []
    with refused(rsm.AccessDeniedError):
        bob.operators.get(asked)


# Answering


@pytest.mark.parametrize(
    ("verb", "state", "call"),
    [("satisfy", COMPLETE, "SatisfyNtmsOperatorRequest"), ("refuse", REFUSED, "CancelNtmsOperatorRequest")],
)
def test_answers(
    session: rsm.Session, url: str, asked: rsm.OperatorRequest, verb: str, state: State, call: str
) -> None:
    with new_events(session) as found:
        getattr(session.operators, verb)("message")
    assert session.operators.get(asked).state is state
    assert session.operators.list(state) == [session.operators.get(asked)]
    (event,) = found
    assert (event.call, event.operation, event.object) == (call, Operation.NTMS_OBJ_UPDATE, asked.id)
    assert event.before == {"state": int(SUBMITTED), "completed": None}
    assert event.after is not None
    assert event.after["state"] == int(state)
    assert datetime.fromisoformat(event.after["completed"]) >= asked.submitted
    with nothing_changed(url):
        with refused(rsm.ObjectNotFoundError):
            session.operators.satisfy(asked)
        with refused(rsm.InvalidStateError):
            session.operators.refuse(asked)


def test_a_request_that_is_not_there_or_not_the_only_one(session: rsm.Session, url: str) -> None:
    pool = session.pools.create(r"\Pool")
    for _ in range(2):
        session.operators.submit(MESSAGE)
    noun = session.operators
    with nothing_changed(url):
        for call in (noun.get, noun.satisfy, noun.refuse, noun.wait):
            for named in (UNKNOWN, str(UNKNOWN), "errand", pool.id):
                with refused(rsm.ObjectNotFoundError):
                    call(named)
            with refused(PARAMETER):
                call("message")
        with refused(PARAMETER):
            noun.delete("message")


# Forgetting


def test_only_answered_requests_are_forgotten(session: rsm.Session, url: str) -> None:
    done, declined, still_open = (session.operators.submit(MESSAGE, message=word) for word in ("a", "b", "c"))
    session.operators.satisfy(done)
    session.operators.refuse(declined)
    pool = session.pools.create(r"\Pool")
    with nothing_changed(url):
        assert session.operators.delete() == 0
        assert session.operators.delete(UNKNOWN, "errand", still_open, pool.id) == 0
    with new_events(session) as found:
        assert session.operators.delete(done, UNKNOWN, done.id, still_open, str(declined.id)) == 2
    assert [(event.call, event.operation, event.object) for event in found] == [
        ("DeleteNtmsRequests", Operation.NTMS_OBJ_DELETE, request.id) for request in (done, declined)
    ]
    assert [event.before["message"] for event in found if event.before] == ["a", "b"]
    assert session.operators.list() == [still_open]


KEEP, HOURS_72 = Flags.NTMS_OPREQFLAGS_NOFAILEDPURGE, timedelta(hours=72)


@pytest.mark.parametrize(
    ("flags", "seconds", "old", "kept"),
    [
        (Flags(0), None, HOURS_72 + timedelta(minutes=1), ["open"]),
        (Flags(0), None, HOURS_72 - timedelta(minutes=1), ["done", "declined", "open"]),
        (Flags(0), 60, timedelta(seconds=61), ["open"]),
        (Flags(0), 0xFFFFFFFF, HOURS_72, ["done", "declined", "open"]),
        (KEEP, None, HOURS_72 + timedelta(minutes=1), ["declined", "open"]),
        (Flags.NTMS_OPREQFLAGS_NOAUTOPURGE, 0, HOURS_72 * 9, ["done", "declined", "open"]),
        (KEEP | Flags.NTMS_OPREQFLAGS_NOAUTOPURGE, 0, HOURS_72 * 9, ["done", "declined", "open"]),
        (Flags.NTMS_OPREQFLAGS_NOALERTS, 0, timedelta(0), ["open"]),
    ],
)
def test_purge(
    session: rsm.Session, url: str, flags: Flags, seconds: int | None, old: timedelta, kept: list[str]
) -> None:
    done, declined, _ = (session.operators.submit(MESSAGE, message=word) for word in ("done", "declined", "open"))
    session.operators.satisfy(done)
    session.operators.refuse(declined)
    computer = session.objects.list(Kind.NTMS_COMPUTER)[0]
    session.objects.update(Kind.NTMS_COMPUTER, computer, operator_request_flags=int(flags))
    if seconds is not None:
        session.objects.update(Kind.NTMS_COMPUTER, computer, operator_request_purge_seconds=seconds)
    with builders.behind(url) as connection:
        table = model.OperatorRequest
        aged = sqlalchemy.update(table).where(table.completed.is_not(None))
        connection.execute(aged.values(completed=datetime.now(UTC) - old))
    with new_events(session) as found:
        assert session.write(operators.purge) == 3 - len(kept)
    assert [request.message for request in session.operators.list()] == kept
    assert {event.call for event in found} == ({"purge_operator_requests"} if len(kept) < 3 else set())
    assert len(found) == 3 - len(kept)
    with nothing_changed(url), faults.recording(session) as fault:
        assert session.write(operators.purge) == 0
    assert [call for call in fault.calls if call.startswith(("INSERT", "UPDATE", "DELETE"))] == []
    assert len([call for call in fault.calls if call.startswith("SELECT") and "operator_request" in call]) == 1


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_purge_takes_many_in_turns(session: rsm.Session, url: str) -> None:
    with session.transaction():
        for _ in range(operators.PURGED_AT_ONCE + 1):
            session.operators.submit(MESSAGE)
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    with builders.behind(url) as connection:
        connection.execute(sqlalchemy.update(model.OperatorRequest).values(state=int(REFUSED), completed=long_ago))
    assert [session.write(operators.purge) for _ in range(3)] == [operators.PURGED_AT_ONCE, 1, 0]
    assert session.operators.list() == []


# The service's own requests


def test_the_service_asks_settles_and_withdraws(session: rsm.Session, url: str, world: World) -> None:
    about = ((Kind.NTMS_PHYSICAL_MEDIA, world.ids["tape"]), (Kind.NTMS_LIBRARY, world.ids["robot"]))
    with new_events(session) as found:
        request_id = session.write(
            operators.insert_request,
            MOVEMEDIA,
            message="\0\udc80" + "\U0001f4fc" * 200,
            argument1=about[0],
            argument2=about[1],
            caller_user="user:bob",
        )
        assert session.read(operators.read_state, request_id) is SUBMITTED
        assert session.read(operators.outcome, request_id) is False
        made = session.operators.get(request_id)
        assert session.write(operators.settle, request_id, REFUSED) is True
        session.write(operators.delete_request, request_id)
    assert (made.request, made.user, made.message) == (MOVEMEDIA, "user:bob", "\U0001f4fc" * 127)
    assert ((made.argument1_kind, made.argument1), (made.argument2_kind, made.argument2)) == about
    assert [event.operation for event in found] == [
        Operation.NTMS_OBJ_INSERT,
        Operation.NTMS_OBJ_UPDATE,
        Operation.NTMS_OBJ_DELETE,
    ]
    assert {event.object for event in found} == {request_id}
    with nothing_changed(url):
        assert session.read(operators.read_state, request_id) is None
        assert session.write(operators.settle, request_id, COMPLETE) is False
        session.write(operators.delete_request, request_id)


@pytest.mark.parametrize(("first", "second"), [(COMPLETE, REFUSED), (REFUSED, COMPLETE)])
def test_the_first_answer_counts(session: rsm.Session, asked: rsm.OperatorRequest, first: State, second: State) -> None:
    assert session.write(operators.settle, asked.id, first) is True
    assert session.write(operators.settle, asked.id, second) is False
    assert session.read(operators.read_state, asked.id) is first


# Statements that fail


def _prepare(url: str, session: rsm.Session, _folder: Path) -> dict[str, Any]:
    world = build_world(url, session)
    still_open, done = (session.operators.submit(MESSAGE) for _ in range(2))
    session.operators.satisfy(done)
    session.objects.update(Kind.NTMS_COMPUTER, world.ids["computer"], operator_request_purge_seconds=0)
    return {"open": still_open, "done": done, **world.ids}


_CALLS: dict[str, Callable[[rsm.Session, Any], object]] = {
    "ask": lambda session, made: session.operators.submit(
        MOVEMEDIA, message="now", argument1=made["tape"], argument2=made["robot"]
    ),
    "satisfy": lambda session, made: session.operators.satisfy(made["open"]),
    "refuse": lambda session, made: session.operators.refuse(made["open"]),
    "forget": lambda session, made: session.operators.delete(made["open"], made["done"]),
    "purge": lambda session, made: session.write(operators.purge),
    "withdraw": lambda session, made: session.write(operators.delete_request, made["open"].id),
}


@pytest.fixture(scope="module")
def neighbour() -> Iterator[faults.Neighbour]:
    other = faults.Neighbour()
    yield other
    other.stop()


@pytest.mark.parametrize(
    ("backend", "name"),
    [*(("sqlite", name) for name in _CALLS), *(("postgresql", name) for name in ("ask", "forget"))],
    indirect=["backend"],
)
def test_nothing_changes_whichever_call_of_the_driver_fails(
    name: str,
    backend: str,
    new_url: Callable[..., str],
    connect: Callable[..., rsm.Session],
    neighbour: faults.Neighbour,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    counted: Counted,
) -> None:
    calls = {each: statements.Call(_prepare, call) for each, call in _CALLS.items()}
    monkeypatch.setattr(statements, "CALLS", calls)
    run = statements.test_nothing_changes_whichever_call_of_the_driver_fails
    run(name, backend, new_url, connect, neighbour, tmp_path, counted)
