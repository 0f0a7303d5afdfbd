"""Hearing of changes: each once and in order, across threads and processes; and being told when some were missed."""

import contextlib
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import builders
import pytest
import sqlalchemy
from programs import Program
from watch import nothing_changed, refused

import rsm
from rsm import model
from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsUITypes
from rsm.nouns import notifications as noun
from rsm.nouns.notifications import Channel
from rsm.nouns.waiting import Waiting, WaitReason
from rsm.services import agenda, dismounts, notifications

LONG_MS = 60_000
POOL = Kind.NTMS_MEDIA_POOL
Connect = Callable[..., rsm.Session]


def heard(channel: Channel) -> list[rsm.Event]:
    """Return all that a channel has to tell just now."""
    found = []
    while True:
        try:
            found.append(channel.wait(0))
        except rsm.TimeoutError:
            return found


def change(session: rsm.Session) -> None:
    """Change objects of several kinds."""
    pool = session.pools.create(rf"\P{session.id.hex}", media_type="LTO-8")
    medium = session.media.create(pool, [builders.side()], barcode="A00001")
    session.media.update(medium, name="renamed")
    session.media.delete(medium)
    session.pools.delete(pool)


def subscribers(url: str) -> list[Any]:
    with builders.behind(url) as connection:
        return list(connection.execute(sqlalchemy.select(model.NotificationSubscriber.__table__)))


def age_events(url: str, days: int, *, to: int = 2**62) -> None:
    """Let the events up to a number be older."""
    with builders.behind(url) as connection:
        rows = connection.execute(sqlalchemy.select(model.Event.id, model.Event.at).where(model.Event.id <= to))
        for row in rows.all():
            older = sqlalchemy.update(model.Event).where(model.Event.id == row.id)
            connection.execute(older.values(at=row.at - timedelta(days=days)))


def forget(session: rsm.Session, most: int = 1_000) -> int:
    return session.write(notifications.forget_events, datetime.now(UTC) - timedelta(days=400), most)


# What is told


def test_every_change_of_a_kind_is_told_once_and_in_order_to_all(session: rsm.Session, connect: Connect) -> None:
    other = connect()
    change(session)
    last = session.events.latest(limit=1)[0].id
    kinds = [Kind.NTMS_OBJECT, *model.TABLE_OF_KIND, Kind.NTMS_UI_DESTINATION]
    channels = [each.notifications.open(kind) for each in (session, other) for kind in kinds]
    change(session)
    change(other)
    session.ui.add(NtmsUITypes.NTMS_UITYPE_REQ)
    told = session.events.list(after=last)
    assert {event.kind for event in told} == {
        POOL,
        Kind.NTMS_PHYSICAL_MEDIA,
        Kind.NTMS_PARTITION,
        Kind.NTMS_UI_DESTINATION,
    }
    assert {event.operation for event in told} == set(Operation) - {
        Operation.NTMS_EVENT_SIGNAL,
        Operation.NTMS_EVENT_COMPLETE,
    }
    for channel in channels:
        assert heard(channel) == [event for event in told if channel.kind in (Kind.NTMS_OBJECT, event.kind)]
        assert heard(channel) == []
        channel.close()


def test_more_than_is_read_at_once_is_told_whole(session: rsm.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noun, "_PAGE", 3)
    with session.notifications.open(POOL) as pools, session.notifications.open() as everything:
        for number in range(10):
            session.pools.create(rf"\{number}")
        assert [event.after and event.after["name"] for event in heard(pools)] == [str(n) for n in range(10)]
        assert [event.id for event in heard(everything)] == [event.id for event in session.events.list()]


def test_what_is_undone_is_not_told(session: rsm.Session) -> None:
    with session.notifications.open() as channel:
        with session.transaction(dry_run=True):
            session.pools.create(r"\A")
        with contextlib.suppress(KeyError), session.transaction():
            session.pools.create(r"\A")
            raise KeyError
        with session.transaction():
            session.pools.create(r"\B")
            with refused(rsm.AlreadyExistsError):
                session.pools.create(r"\B")
        assert [event.after and event.after["path"] for event in heard(channel)] == [r"\B"]


def test_hearing_writes_nothing(session: rsm.Session, url: str) -> None:
    with session.notifications.open() as channel:
        change(session)
        with nothing_changed(url):
            assert len(heard(channel)) > 4
            with refused(rsm.TimeoutError):
                channel.wait(50)


# Waiting

MAKING = """
import rsm
with rsm.connect(sys.argv[1], caller=rsm.Caller("user:admin", administrator=True), worker=False) as session:
    say("ready")
    while word := wait():
        session.pools.create(chr(92) + word)
        say(word)
"""


def test_a_change_of_another_process_wakes_who_waits(session: rsm.Session, url: str) -> None:
    with Program(MAKING, url) as program, session.notifications.open(POOL) as channel:
        assert program.hear() == "ready"
        for name in ("one", "two"):
            told: list[Waiting] = []

            def tell(waiting: Waiting, name: str = name, told: list[Waiting] = told) -> None:
                if not told:
                    program.tell(name)
                told.append(waiting)

            event = channel.wait(LONG_MS, on_wait=tell)
            assert (event.operation, event.after and event.after["name"]) == (Operation.NTMS_OBJ_INSERT, name)
            assert told[0].reason is WaitReason.NO_CHANGE
            assert program.hear() == name


HURRYING = """
import rsm
with rsm.connect(sys.argv[1], caller=rsm.Caller("user:admin", administrator=True), worker=False) as session:
    say("ready")
    wait()
    for number in range(15):
        with session.transaction(dry_run=number % 3 == 1):
            session.pools.create(f"{chr(92)}{sys.argv[2]}{number}")
            session.pools.update(f"{chr(92)}{sys.argv[2]}{number}", description="x")
    say("done")
"""


def test_writers_in_a_hurry_are_all_heard(session: rsm.Session, url: str) -> None:
    """Two processes and two threads change things, two listeners in two sessions hear the same, and all of it."""
    with (
        Program(HURRYING, url, "a") as first,
        Program(HURRYING, url, "b") as second,
        session.notifications.open(POOL) as pools,
        session.notifications.open() as everything,
    ):
        for program in (first, second):
            assert program.hear() == "ready"
            program.tell("go")
        threads = [
            threading.Thread(target=lambda: session.pools.create(rf"\{threading.get_ident()}")) for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        found = [pools.wait(LONG_MS) for _ in range(2 * 2 * 10 + 2)]
        for thread in threads:
            thread.join()
        assert [first.hear(), second.hear()] == ["done", "done"]
        assert heard(pools) == []
        assert found == heard(everything) == session.events.list()
        assert [event.id for event in found] == sorted(event.id for event in found)


def test_threads_share_a_channel(session: rsm.Session) -> None:
    told: list[rsm.Event] = []
    with session.notifications.open(POOL) as channel:

        def listen() -> None:
            for _ in range(5):
                told.append(channel.wait(LONG_MS))

        threads = [threading.Thread(target=listen) for _ in range(4)]
        for thread in threads:
            thread.start()
        for number in range(20):
            session.pools.create(rf"\{number}")
        for thread in threads:
            thread.join()
        assert heard(channel) == []
    assert sorted(event.id for event in told) == [event.id for event in session.events.list()]


# Ending


def waiting_thread(channel: Channel) -> tuple[threading.Thread, threading.Event, list[BaseException]]:
    """Return a started thread that waits on a channel for ever, what tells that it does, and what ended it."""
    begun, ended = threading.Event(), list[BaseException]()

    def wait() -> None:
        try:
            channel.wait(on_wait=lambda _: begun.set())
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            ended.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread, begun, ended


def test_a_channel_is_not_closed_while_somebody_waits(session: rsm.Session, url: str) -> None:
    channel = session.notifications.open(POOL)
    thread, begun, ended = waiting_thread(channel)
    assert begun.wait(LONG_MS / 1000)
    with refused(rsm.BusyError):
        channel.close()
    assert not channel.closed
    session.pools.create(r"\A")
    thread.join()
    assert ended == []
    channel.close()
    assert subscribers(url) == []
    channel.close()
    for use in (lambda: channel.wait(0), channel.__enter__):
        with refused(rsm.InvalidHandleError):
            use()


def test_the_end_of_the_session_ends_the_waiting_and_the_subscription(connect: Connect, url: str) -> None:
    session = connect()
    channel = session.notifications.open(POOL)
    thread, begun, ended = waiting_thread(channel)
    assert begun.wait(LONG_MS / 1000)
    session.close()
    thread.join()
    assert [type(error) for error in ended] == [rsm.CancelledError]
    assert subscribers(url) == []
    channel.close()
    with refused(rsm.InvalidHandleError):
        channel.wait(0)


def test_an_interrupt_of_closing_is_not_lost_with_the_session(
    connect: Connect, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = connect()
    channel = session.notifications.open()

    def interrupted(*_: Any) -> None:
        session.close()
        raise KeyboardInterrupt

    with monkeypatch.context() as middle:
        middle.setattr(session, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            channel.close()
    assert channel.closed
    channel.close()


def test_closing_does_not_hide_the_error_of_the_body(session: rsm.Session, url: str) -> None:
    channel = session.notifications.open()
    thread, begun, _ = waiting_thread(channel)
    assert begun.wait(LONG_MS / 1000)

    def fail() -> None:
        with channel:
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not channel.closed
    session.pools.create(r"\A")
    thread.join()
    channel.close()
    assert subscribers(url) == []


# Missing something


def test_whoever_missed_what_was_forgotten_is_told(session: rsm.Session, connect: Connect, url: str) -> None:
    slow, busy = session.notifications.open(POOL), session.notifications.open(POOL)
    elsewhere, all_of_it = connect().notifications.open(Kind.NTMS_DRIVE), session.notifications.open()
    session.pools.create(r"\A")
    assert len(heard(busy)) == 1
    session.write(notifications.keep_position, busy.id, session.events.latest(limit=1)[0].id)
    age_events(url, 500)
    session.pools.create(r"\B")
    assert forget(session) == 1
    for channel in (slow, all_of_it):
        for _ in range(2):
            with refused(rsm.NoDataError):
                channel.wait(LONG_MS)
        channel.close()
    assert [event.after and event.after["name"] for event in heard(busy)] == ["B"]
    assert heard(elsewhere) == []
    assert len(subscribers(url)) == 2
    with session.notifications.open(POOL) as anew:
        session.pools.create(r"\C")
        assert len(heard(anew)) == len(heard(busy)) == 1


def test_nobody_misses_anything_while_all_is_forgotten(session: rsm.Session, url: str) -> None:
    """An empty log, and numbers that a rollback left out, are no gap."""
    session.pools.create(r"\A")
    with session.notifications.open(POOL) as channel:
        age_events(url, 500)
        assert forget(session) == 1
        assert session.events.list() == []
        with session.transaction(dry_run=True):
            session.pools.create(r"\B")
        assert heard(channel) == []
        with session.notifications.open(POOL) as second:
            session.pools.create(r"\C")
            for each in (channel, second):
                assert [event.after and event.after["name"] for event in heard(each)] == ["C"]


def test_how_far_it_got_is_kept_now_and_then(session: rsm.Session, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with session.notifications.open(POOL) as channel:
        session.pools.create(r"\A")
        assert len(heard(channel)) == 1
        (row,) = subscribers(url)
        assert row.last_event_id == 0
        monkeypatch.setattr(noun, "_KEEP_SECONDS", 0.0)
        assert heard(channel) == []
        (row,) = subscribers(url)
        assert row.last_event_id == session.events.latest(limit=1)[0].id
        with nothing_changed(url):
            assert heard(channel) == []
        age_events(url, 500)
        assert forget(session) == 1
        assert heard(channel) == []


def test_forgetting_leaves_no_gap_and_no_more_than_it_may(session: rsm.Session, url: str) -> None:
    for number in range(6):
        session.pools.create(rf"\{number}")
    first = session.events.list()[0].id
    age_events(url, 500, to=first + 4)
    age_events(url, -500, to=first + 2)  # they were written while the clock was wrong
    assert forget(session) == 0
    age_events(url, 500, to=first + 2)
    assert [forget(session, most) for most in (2, 2, 2)] == [2, 2, 1]
    assert [event.id for event in session.events.list()] == [first + 5]


def test_the_purge_of_the_catalogue_forgets_and_tells(session: rsm.Session, url: str) -> None:
    with session.notifications.open(POOL) as slow:
        session.pools.create(r"\A")
        assert session.write(agenda.purge) == 0
        age_events(url, 401)
        assert session.write(agenda.purge) == 1
        with refused(rsm.NoDataError):
            slow.wait(0)


def test_a_session_that_was_taken_for_dead_is_told(session: rsm.Session, connect: Connect, url: str) -> None:
    listening = connect()
    channel = listening.notifications.open(POOL)
    assert session.write(dismounts.end_session, listening.id, died=True)
    session.pools.create(r"\A")
    with refused(rsm.NoDataError):
        channel.wait(LONG_MS)
    with listening.notifications.open(POOL) as anew:  # which opens the session's row again, and not the old channel
        with refused(rsm.NoDataError):
            channel.wait(0)
        session.pools.create(r"\B")
        assert len(heard(anew)) == 1
        assert len(subscribers(url)) == 1


DYING = """
import rsm
session = rsm.connect(sys.argv[1], caller=rsm.Caller("user:admin", administrator=True), worker=False)
channel = session.notifications.open()
session.ui.add(rsm.constants.NtmsUITypes.NTMS_UITYPE_INFO)
say(session.id)
wait()
"""


@pytest.mark.works
def test_a_listener_that_was_killed_is_forgotten(connect: Connect, url: str) -> None:
    session = connect()
    with session.notifications.open(Kind.NTMS_UI_DESTINATION) as channel, Program(DYING, url) as program:
        dying = program.hear()
        assert channel.wait(LONG_MS).operation is Operation.NTMS_OBJ_INSERT
        assert len(subscribers(url)) == 2
        program.kill()
        gone = channel.wait(LONG_MS)  # the worker of this process sees that it died
        assert (gone.operation, gone.before and gone.before["session_id"]) == (Operation.NTMS_OBJ_DELETE, dying)
        assert [row.session_id for row in subscribers(url)] == [session.id]


# Refusals


@pytest.mark.parametrize(
    ("kind", "error"),
    [("pool", TypeError), (True, TypeError), (0, rsm.InvalidParameterError), (19, rsm.InvalidParameterError)],
)
def test_what_is_no_kind_is_refused(session: rsm.Session, url: str, kind: Any, error: type[Exception]) -> None:
    with nothing_changed(url), pytest.raises(error):
        session.notifications.open(kind)


def test_wrong_time_outs_and_batches_are_refused(session: rsm.Session) -> None:
    with session.notifications.open() as channel:
        for wrong in ("1", True, 1.5):
            with pytest.raises(TypeError):
                channel.wait(wrong)  # type: ignore[arg-type]
        for wrong in (-1, 2**32):
            with refused(rsm.InvalidParameterError):
                channel.wait(wrong)
        with session.transaction(), refused(rsm.InvalidOperationError):
            channel.wait(0)


def test_a_channel_opened_in_a_batch_shares_its_fate(session: rsm.Session) -> None:
    with session.transaction(dry_run=True):
        undone = session.notifications.open(POOL)
    with session.transaction():
        session.pools.create(r"\A")
        kept = session.notifications.open(POOL)
        session.pools.create(r"\B")
    assert [event.after and event.after["name"] for event in heard(kept)] == ["B"]
    with refused(rsm.NoDataError):
        undone.wait(0)


@pytest.mark.parametrize(("era", "may"), [("2003", False), ("2000", True)])
def test_who_may_listen(new_url: Callable[..., str], connect: Connect, era: str, may: bool) -> None:
    url = new_url(era=era)
    with connect(database=url) as administrator, connect("user:bob", database=url) as bob:
        (computer,) = administrator.objects.list(Kind.NTMS_COMPUTER)
        administrator.acl.set(Kind.NTMS_COMPUTER, computer, rsm.SecurityDescriptor("user:admin", ()))
        if may:
            bob.notifications.open().close()
        else:
            with nothing_changed(url), refused(rsm.AccessDeniedError):
                bob.notifications.open()


def test_in_the_child_of_a_fork_it_is_dead(session: rsm.Session, tmp_path: Path) -> None:
    with session.notifications.open() as channel:
        child = os.fork()
        if child == 0:
            try:
                channel.close()
                channel.wait(0)
            except rsm.InvalidHandleError:
                os._exit(7)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        session.pools.create(r"\A")
        assert len(heard(channel)) == 1
