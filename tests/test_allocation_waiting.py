"""Allocations that wait: for an operator, for free labels, for others; in threads, in other processes, and killed."""

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import allocating
import builders
import pytest
import sqlalchemy
from allocating import ALLOCATED, AVAILABLE, UNPREPARED, World
from programs import Program
from watch import nothing_changed, refused

import rsm
from rsm import model
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsOpreqCommand, NtmsOpreqState
from rsm.nouns import waiting as waiting_calls
from rsm.nouns.waiting import Waiting, WaitReason

LONG_MS = 60_000


@pytest.fixture
def world(connect: Callable[..., rsm.Session], url: str) -> World:
    """Return a furnished catalogue with nothing to allocate."""
    return allocating.make_world(connect(worker=False), url)


class Wait:
    """An allocation in a thread of its own."""

    def __init__(self, session: rsm.Session, pool: str, **options: Any) -> None:
        self.told: list[Waiting] = []
        self.waits = threading.Event()
        self.made: rsm.LogicalMedium | None = None
        self.error: BaseException | None = None
        self.options = {"timeout_ms": LONG_MS, "on_wait": self.hear, **options}
        self.thread = threading.Thread(target=self.run, args=(session, pool))
        self.thread.start()

    def run(self, session: rsm.Session, pool: str) -> None:
        try:
            self.made = session.media.allocate(pool, **self.options)
        except BaseException as error:  # noqa: BLE001 - told to the test
            self.error = error
        finally:
            self.waits.set()

    def hear(self, waiting: Waiting) -> None:
        self.told.append(waiting)
        self.waits.set()

    def until_it_waits(self) -> Waiting:
        assert self.waits.wait(30)
        assert self.told, self.error
        return self.told[-1]

    def ended(self) -> "Wait":
        self.thread.join(30)
        assert not self.thread.is_alive()
        return self


@contextlib.contextmanager
def waiting(session: rsm.Session, pool: str, **options: Any) -> Iterator[Wait]:
    """Wait for media beside the body, which begins when the wait has."""
    wait = Wait(session, pool, **options)
    try:
        wait.until_it_waits()
        yield wait
    finally:
        with contextlib.suppress(rsm.RsmError):
            for request in session.operators.list(NtmsOpreqState.NTMS_OPSTATE_SUBMITTED):
                session.operators.refuse(request)
        wait.ended()


def requests(world: World) -> list[rsm.OperatorRequest]:
    return world.session.operators.list()


def test_an_operator_is_asked_and_the_search_repeated(world: World, connect: Callable[..., rsm.Session]) -> None:
    operator = connect(worker=False)
    with waiting(world.session, r"\One") as wait:
        (request,) = operator.operators.list()
        assert (request.request, request.state) == (
            NtmsOpreqCommand.NTMS_OPREQ_NEWMEDIA,
            NtmsOpreqState.NTMS_OPSTATE_SUBMITTED,
        )
        assert (request.argument1_kind, request.argument1) == (
            Kind.NTMS_MEDIA_POOL,
            world.session.pools.get(r"\One").id,
        )
        assert r"\One" in request.message
        assert (wait.told[0].reason, wait.told[0].request) == (WaitReason.OPERATOR, request.id)
        operator.operators.satisfy(request)  # although there is nothing new: the search is repeated
        wait_for(lambda: [found for found in operator.operators.list() if found.id != request.id])
        (second,) = operator.operators.list()
        world.add(r"\One", "A1")
        with contextlib.suppress(rsm.ObjectNotFoundError):  # the waiter may have seen the cartridge itself
            operator.operators.satisfy(second)
        assert wait.ended().made is not None
        assert world.states("A1") == [ALLOCATED]
    assert requests(world) == []


def wait_for(look: Callable[[], object]) -> None:
    """Look until it is true."""
    until = time.monotonic() + 30
    while not look():
        assert time.monotonic() < until


def test_media_that_turn_up_end_the_wait_and_withdraw_the_request(world: World) -> None:
    with waiting(world.session, r"\One") as wait:
        assert len(requests(world)) == 1
        world.add(r"\One", "A1")
        made = wait.ended().made
        assert made is not None
        assert world.barcode_of(made) == "A1"
    assert requests(world) == []


def test_a_refusal_ends_the_wait_and_stays_on_record(world: World, connect: Callable[..., rsm.Session]) -> None:
    with waiting(world.session, r"\One") as wait:
        connect(worker=False).operators.refuse(requests(world)[0])
        assert isinstance(wait.ended().error, rsm.CancelledError)
    assert [request.state for request in requests(world)] == [NtmsOpreqState.NTMS_OPSTATE_REFUSED]


class Enough(Exception):
    """What a caller's own function raises."""


def _stop(error: type[BaseException]) -> Callable[[Waiting], None]:
    def tell(waiting: Waiting) -> None:
        raise error

    return tell


@pytest.mark.parametrize("error", [rsm.TimeoutError, Enough, KeyboardInterrupt])
def test_whatever_ends_a_wait_takes_the_request_along(
    world: World, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(waiting_calls, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def let_time_pass(waiting: Waiting) -> None:
        now[0] = 1.0

    end = let_time_pass if error is rsm.TimeoutError else _stop(error)
    with pytest.raises(error):
        world.session.media.allocate(r"\One", timeout_ms=1_000, on_wait=end)
    assert requests(world) == []
    calls = [event.call for event in world.session.events.list(limit=10_000) if event.kind is Kind.NTMS_OPREQUEST]
    assert calls == ["ask_operator", "withdraw_operator_request"]


def test_what_never_waits_asks_nobody(world: World) -> None:
    with nothing_changed(world.url):
        for pool in (r"\One", r"\One draws"):
            with refused(rsm.MediaUnavailableError):
                world.session.media.allocate(pool, error_if_unavailable=True, timeout_ms=LONG_MS)
            with refused(rsm.MediaUnavailableError):
                world.session.media.allocate(pool, error_if_unavailable=True, timeout_ms=0)
            with refused(rsm.TimeoutError):
                world.session.media.allocate(pool, timeout_ms=0)


def test_in_a_batch_only_what_need_not_wait(world: World) -> None:
    world.add(r"\One", "A1")
    with world.session.transaction():
        held = world.session.media.allocate(r"\One")
        for options, error in (
            ({}, rsm.InvalidOperationError),
            ({"timeout_ms": 5}, rsm.InvalidOperationError),
            ({"timeout_ms": 0}, rsm.TimeoutError),
            ({"error_if_unavailable": True}, rsm.MediaUnavailableError),
        ):
            with refused(error):
                world.session.media.allocate(r"\One", **options)
        world.session.media.complete(held)
    assert [logical.id for logical in world.session.media.logical_media()] == [held.id]
    assert requests(world) == []


def test_free_labels_being_written_are_waited_for_before_anybody_is_asked(world: World) -> None:
    held = world.add(r"\One returns", "A1", ALLOCATED)
    world.session.media.deallocate("A1")
    assert world.states("A1") == [UNPREPARED]
    with waiting(world.session, r"\One draws") as wait:
        assert wait.told[0].reason is WaitReason.LABELLING
        assert requests(world) == []
        with builders.behind(world.url) as connection:  # what the worker does
            connection.execute(sqlalchemy.update(model.Side).values(state=int(AVAILABLE)))
            connection.execute(sqlalchemy.delete(model.LibraryRequest))
            gone = model.Object.kind == int(Kind.NTMS_LIBREQUEST)
            connection.execute(sqlalchemy.delete(model.Object).where(gone))
        made = wait.ended().made
        assert made is not None
        assert made.side == held[0]
    with pytest.raises(rsm.TimeoutError):
        world.session.media.allocate(r"\One draws", timeout_ms=20)


def test_a_pool_that_does_not_draw_does_not_wait_for_free_labels(world: World) -> None:
    world.add(r"\One returns", "A1", ALLOCATED)
    world.session.media.deallocate("A1")
    with waiting(world.session, r"\One") as wait:
        assert wait.told[0].reason is WaitReason.OPERATOR


def test_a_pool_that_goes_away_ends_the_wait(world: World) -> None:
    with waiting(world.session, r"\One") as wait:
        world.session.pools.delete(r"\One")
        assert isinstance(wait.ended().error, rsm.InvalidMediaPoolError)
    assert requests(world) == []


def test_closing_the_session_ends_the_wait(world: World, connect: Callable[..., rsm.Session]) -> None:
    other = connect(worker=False)
    wait = Wait(other, r"\One")
    wait.until_it_waits()
    other.close()
    assert isinstance(wait.ended().error, rsm.CancelledError)


def test_of_many_waiters_each_gets_another_side(world: World, connect: Callable[..., rsm.Session]) -> None:
    waits = [Wait(connect(worker=False), r"\One") for _ in range(4)]
    for wait in waits:
        wait.until_it_waits()
    builders.add_media(world.url, world.session.pools.get(r"\One"), [f"A{n}" for n in range(4)], library=world.near)
    made = {wait.ended().made for wait in waits}
    assert None not in made
    assert len({logical.side for logical in made if logical is not None}) == 4
    assert requests(world) == []


# Other processes

_WAITER = """
import rsm
with rsm.connect(sys.argv[1], caller=rsm.Caller("user:admin", administrator=True), worker=False) as session:
    try:
        def tell(waiting):
            if not said:
                said.append(waiting)
                say(waiting.reason)
        said = []
        say(session.media.allocate(sys.argv[2], timeout_ms=60_000, on_wait=tell).id)
    except rsm.RsmError as error:
        say(error.code.name)
"""


def test_an_operator_in_another_process_satisfies_and_refuses(world: World) -> None:
    for answer in ("satisfy", "cancel"):
        with Program(_WAITER, world.url, r"\One") as program:
            assert program.hear() == WaitReason.OPERATOR
            (request,) = requests(world)
            if answer == "satisfy":
                world.add(r"\One", "A2")
                with contextlib.suppress(rsm.ObjectNotFoundError):  # the waiter may have seen the cartridge itself
                    world.session.operators.satisfy(request)
                assert uuid.UUID(program.hear()) == world.session.media.sides("A2")[0].logical_medium
            else:
                world.session.operators.refuse(request)
                assert program.hear() == "ERROR_CANCELLED"


def test_a_killed_waiter_leaves_a_request_of_a_session_that_is_dead(world: World) -> None:
    with Program(_WAITER, world.url, r"\One") as program:
        assert program.hear() == WaitReason.OPERATOR
        program.kill()
    (request,) = requests(world)
    with builders.behind(world.url) as connection:
        found = connection.execute(
            sqlalchemy.select(model.Session.closed, model.Session.lock_name)
            .join(model.OperatorRequest, model.OperatorRequest.session_id == model.Session.id)
            .where(model.OperatorRequest.id == request.id)
        ).one()
    assert found.closed is None
    claims = world.session._database.claims
    wait_for(lambda: not claims.is_held(int(found.lock_name)))  # the claim that tells its life


_TAKER = """
import rsm
with rsm.connect(sys.argv[1], caller=rsm.Caller("user:admin", administrator=True), worker=False) as session:
    say("ready")
    wait()
    try:
        while True:
            say(session.media.allocate("Pool", timeout_ms=0).side)
    except rsm.TimeoutError:
        say("none")
"""


def test_two_processes_never_get_the_same_side(world: World) -> None:
    pool = world.session.pools.create(r"\Pool", media_type=allocating.ONE_SIDED)
    added = builders.add_media(world.url, pool, [f"A{number}" for number in range(50)], library=world.near)
    with Program(_TAKER, world.url) as one, Program(_TAKER, world.url) as two:
        for program in (one, two):
            assert program.hear() == "ready"
        for program in (one, two):
            program.tell()
        taken = [line for program in (one, two) for line in iter(program.hear, "none")]
    assert len(taken) == 50
    assert {uuid.UUID(line) for line in taken} == {side for (side,) in added}
