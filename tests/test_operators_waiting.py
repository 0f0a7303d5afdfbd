"""Waiting for an operator's answer: it comes from another thread or process, or never, or the waiting is broken off."""

import threading
from collections.abc import Callable

import pytest
from programs import Program
from watch import nothing_changed, refused

import rsm
from rsm.constants import NtmsOpreqCommand, NtmsOpreqState
from rsm.nouns.waiting import Waiting, WaitReason
from rsm.services import operators

MESSAGE = NtmsOpreqCommand.NTMS_OPREQ_MESSAGE
SUBMITTED = NtmsOpreqState.NTMS_OPSTATE_SUBMITTED
PATIENCE_MS = 60_000


@pytest.fixture
def asked(session: rsm.Session) -> rsm.OperatorRequest:
    return session.operators.submit(MESSAGE)


def other_thread(do: Callable[[], object]) -> tuple[threading.Thread, Callable[[Waiting], None], list[Waiting]]:
    """Return a started thread that does something once somebody waits, what tells it, and what it was told."""
    begun, told = threading.Event(), list[Waiting]()

    def run() -> None:
        begun.wait(PATIENCE_MS / 1000)
        do()

    def tell(waiting: Waiting) -> None:
        told.append(waiting)
        begun.set()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, tell, told


def withdraw(session: rsm.Session, request: rsm.OperatorRequest) -> None:
    session.write(operators.delete_request, request.id)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda session, request: session.operators.satisfy(request), None),
        (lambda session, request: session.operators.refuse(request), rsm.CancelledError),
        (withdraw, rsm.ObjectNotFoundError),
    ],
    ids=["satisfied", "refused", "deleted"],
)
@pytest.mark.parametrize("own", [True, False], ids=["same session", "another session"])
def test_waiting_ends_with_the_answer_of_another_thread(
    session: rsm.Session,
    connect: Callable[..., rsm.Session],
    asked: rsm.OperatorRequest,
    answer: Callable[[rsm.Session, rsm.OperatorRequest], None],
    error: type[rsm.RsmError] | None,
    own: bool,
) -> None:
    answering = session if own else connect()
    thread, tell, told = other_thread(lambda: answer(answering, asked))
    if error is None:
        session.operators.wait(asked, timeout_ms=PATIENCE_MS, on_wait=tell)
    else:
        with refused(error):
            session.operators.wait(asked, timeout_ms=PATIENCE_MS, on_wait=tell)
    thread.join()
    assert (told[0].reason, told[0].request) == (WaitReason.OPERATOR, asked.id)
    assert str(asked.id) in told[0].text


ANSWERING = """
import rsm
with rsm.connect(sys.argv[1], caller=rsm.Caller("user:admin", administrator=True)) as session:
    say("ready")
    verb = wait()
    getattr(session.operators, verb)(sys.argv[2])
    say("done")
    wait()
"""


@pytest.mark.parametrize("verb", ["satisfy", "refuse"])
def test_waiting_ends_with_the_answer_of_another_process(
    session: rsm.Session, url: str, asked: rsm.OperatorRequest, verb: str
) -> None:
    with Program(ANSWERING, url, asked.id) as program:
        assert program.hear() == "ready"
        told: list[Waiting] = []

        def tell(waiting: Waiting) -> None:
            if not told:
                program.tell(verb)
            told.append(waiting)

        if verb == "satisfy":
            session.operators.wait(asked, timeout_ms=PATIENCE_MS, on_wait=tell)
        else:
            with refused(rsm.CancelledError):
                session.operators.wait(asked, timeout_ms=PATIENCE_MS, on_wait=tell)
        assert told
        assert program.hear() == "done"


def test_a_look_without_waiting(session: rsm.Session, url: str) -> None:
    first, second = session.operators.submit(MESSAGE), session.operators.submit(MESSAGE)
    with nothing_changed(url):
        for timeout_ms in (0, 50):
            with refused(rsm.TimeoutError):
                session.operators.wait(first, timeout_ms=timeout_ms)
    session.operators.satisfy(first)
    session.operators.refuse(second)
    session.operators.wait(first, timeout_ms=0)
    session.operators.wait(str(first.id))
    with refused(rsm.CancelledError):
        session.operators.wait(second, timeout_ms=0)
    assert session.operators.delete(first) == 1
    with refused(rsm.ObjectNotFoundError):
        session.operators.wait(first, timeout_ms=0)


@pytest.mark.parametrize("last", [True, False], ids=["the last session", "one of two"])
def test_closing_the_session_ends_the_waiting_and_leaves_the_request(
    session: rsm.Session, connect: Callable[..., rsm.Session], asked: rsm.OperatorRequest, last: bool
) -> None:
    waiting = connect()
    if last:
        session.close()
    thread, tell, _ = other_thread(waiting.close)
    with refused(rsm.CancelledError):
        waiting.operators.wait(asked, timeout_ms=PATIENCE_MS, on_wait=tell)
    thread.join()
    with refused(rsm.InvalidHandleError):
        waiting.operators.wait(asked, timeout_ms=0)
    assert connect().operators.get(asked).state is SUBMITTED


def test_whoever_is_told_may_end_the_waiting(session: rsm.Session, asked: rsm.OperatorRequest) -> None:
    def give_up(waiting: Waiting) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.operators.wait(asked, on_wait=give_up)
    assert session.operators.get(asked).state is SUBMITTED


def test_a_batch_asks_and_answers_but_does_not_wait(session: rsm.Session) -> None:
    with session.transaction():
        request = session.operators.submit(MESSAGE)
        with refused(rsm.InvalidOperationError):
            session.operators.wait(request, timeout_ms=0)
        session.operators.satisfy(request)
    session.operators.wait(request, timeout_ms=0)
