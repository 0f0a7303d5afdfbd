"""Mounts that wait: for drives, for media, for an operator, for others; broken off, cancelled, and beside processes."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import mounting
import pytest
from mounting import LONG_MS, Heard, Stock
from programs import Program
from watch import nothing_changed, refused

import rsm
from rsm.constants import NtmsLmState, NtmsOpreqCommand, NtmsOpreqState
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.nouns.waiting import Waiting, WaitReason
from rsm.services import mounts as service
from rsm.services import planning

pytestmark = pytest.mark.works

CANCELLED, PASSED = NtmsLmState.NTMS_LM_CANCELLED, NtmsLmState.NTMS_LM_PASSED
SUBMITTED = NtmsOpreqState.NTMS_OPSTATE_SUBMITTED
Connect = Callable[..., rsm.Session]


@pytest.fixture
def make(session: rsm.Session, tmp_path: Path) -> Callable[..., Stock]:
    """Return what makes stocked libraries."""
    return lambda **options: mounting.make_stock(session, tmp_path, **options)


@pytest.fixture
def stock(make: Callable[..., Stock]) -> Stock:
    """Return a library of one drive with two cartridges."""
    return make()


def mount(stock: Stock, medium: rsm.LogicalMedium, *, by: rsm.Session | None = None, **options: Any) -> rsm.Mount:
    """Mount one medium, or fail."""
    return (by or stock.session).mounts.mount(medium, **{"timeout_ms": LONG_MS, **options})


@contextlib.contextmanager
def beside(do: Callable[[], object]) -> Iterator[list[BaseException]]:
    """Do something in a thread of its own beside the body; yields what it raised, known after the body."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            do()
        except BaseException as error:  # noqa: BLE001 - told to the test
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield raised
    finally:
        thread.join(LONG_MS / 1000)
        assert not thread.is_alive()


def live(stock: Stock) -> list[rsm.LibraryRequest]:
    """Return the mounts that have not ended."""
    operation = rsm.constants.NtmsLmOperation.NTMS_LM_MOUNT
    return [each for each in stock.session.requests.list(stock.library, live=True) if each.operation is operation]


# Drives and media that are busy


def test_who_waits_for_a_cartridge_in_use_keeps_no_drive_from_others(
    make: Callable[..., Stock], connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "_PATIENCE", timedelta())  # from the first look on it has waited long enough
    stock = make(drives=2, media=3)
    first, second, third = stock.media
    held = mount(stock, first)
    waiting = connect().mounts.request(first)
    mount(stock, second).dismount()  # who has one may have another
    mount(stock, third, by=connect()).dismount()  # and others go on
    held.dismount()
    waiting.wait(LONG_MS).dismount()


def test_what_is_closed_with_an_error_is_given_back(stock: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = stock.media
    mounted = mount(stock, first, write=True)
    file = mounted.open("wb")
    file.write(b"data")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(5, "no disk")))
        with pytest.raises(OSError, match="no disk"):
            mounted.dismount()
    mount(stock, second).dismount()  # the only drive can be used


def test_one_try_is_not_waited_for(stock: Stock) -> None:
    first, second = stock.media
    with mount(stock, first, timeout_ms=0):
        for medium in (first, second):
            for options, error in (
                ({"timeout_ms": 0}, rsm.TimeoutError),
                ({"timeout_ms": 1}, rsm.TimeoutError),
                ({"error_if_busy": True, "timeout_ms": None}, rsm.BusyError),
                ({"error_if_busy": True, "timeout_ms": 0}, rsm.BusyError),
            ):
                with refused(error):
                    mount(stock, medium, **options)
        assert live(stock) == []
    stock.settle()  # a drive that is being emptied is busy too
    with mount(stock, second, timeout_ms=0) as held:
        assert held.side == second.side
    assert len(stock.moves()) == 3


def test_nobody_works_out_why_it_waits_before_somebody_is_told(
    stock: Stock, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[object] = []
    plan = service.plan_library

    def looking(*arguments: Any) -> Any:
        looked.append(arguments)
        return plan(*arguments)

    monkeypatch.setattr(service, "plan_library", looking)
    with mount(stock, stock.media[0]):
        request = connect().mounts.request(stock.media[1])
        assert (request.state, request.position, looked) == (NtmsLmState.NTMS_LM_QUEUED, 1, [])
        with beside(lambda: request.wait(LONG_MS).dismount()) as raised:
            for number in range(5):
                stock.session.pools.create(f"\\{number}")  # wakes whoever waits
            assert looked == []
            with pytest.raises(rsm.TimeoutError, match=r"every drive .* is busy"):
                mount(stock, stock.media[1], by=connect(), timeout_ms=200)
            assert looked != []
            stock.session.mounts.dismount(stock.media[0])
    assert raised == []


@pytest.mark.parametrize("which", [0, 1], ids=["medium", "drive"])
def test_whoever_waits_is_told_why_and_served_in_the_end(stock: Stock, connect: Connect, which: int) -> None:
    reason = (WaitReason.MEDIUM_BUSY, WaitReason.DRIVE_BUSY)[which]
    held = mount(stock, stock.media[0], by=connect())
    heard = Heard(**{reason.name: lambda _: held.dismount()})
    with mount(stock, stock.media[which], on_wait=heard):
        told = next(waiting for waiting in heard.told if waiting.reason is reason)
        assert "drive-01" in told.text
        assert told.request is not None
        assert stock.session.requests.get(told.request).state is PASSED
    assert heard.reasons - {reason} <= {WaitReason.MOVING, WaitReason.QUEUED}


def _raise(error: BaseException) -> Callable[[Waiting], None]:
    def tell(_: Waiting) -> None:
        raise error

    return tell


class Enough(Exception):
    """What a caller's own function raises."""


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Enough()])
def test_whatever_ends_the_waiting_cancels_it(stock: Stock, error: BaseException) -> None:
    first, second = stock.media
    with mount(stock, first):
        with pytest.raises(type(error)):
            mount(stock, second, on_wait=_raise(error))
        assert live(stock) == []
    stock.settle()
    assert [medium for medium, _ in stock.moves()] == [first.medium] * 2


def test_interrupted_while_the_robot_moves_it_is_put_away_again(stock: Stock) -> None:
    with pytest.raises(Enough):
        mount(stock, stock.media[0], on_wait=Heard(MOVING=_raise(Enough())))
    stock.settle()
    assert stock.place(stock.media[0])[:4] == "slot"
    with mount(stock, stock.media[1], timeout_ms=0) as held:
        assert held.side == stock.media[1].side


def test_a_request_tells_how_far_it_is_and_can_be_cancelled(stock: Stock) -> None:
    first, second = stock.media
    held = mount(stock, first)
    asked, other = stock.session.mounts.request(second), stock.session.mounts.request(first)
    assert (asked.state, asked.position, other.position) == (NtmsLmState.NTMS_LM_QUEUED, 1, 2)
    with refused(rsm.TimeoutError):
        asked.wait(0)
    assert (asked.state, asked.position, other.position) == (CANCELLED, 0, 1)
    other.cancel()
    with nothing_changed(stock.session.database):
        other.cancel()
    for each in (asked, other):
        assert (each.state, each.position) == (CANCELLED, 0)
        with refused(rsm.CancelledError if each is other else rsm.TimeoutError):
            each.wait(LONG_MS)
    held.dismount()
    again = stock.session.mounts.request(second)
    taken = again.wait(LONG_MS)
    assert isinstance(taken, rsm.Mount)
    assert again.state is PASSED
    again.cancel()  # what had arrived is put away
    with refused(rsm.InvalidStateError):
        taken.open()
    stock.settle()
    assert stock.place(second)[:4] == "slot"


def test_an_administrator_cancels_from_the_queue(stock: Stock, connect: Connect) -> None:
    first, second = stock.media
    with mount(stock, first):
        asked = stock.session.mounts.request(second)
        connect().requests.cancel(asked.ids[0])
        with refused(rsm.CancelledError):
            asked.wait(LONG_MS)


@pytest.mark.parametrize("others", [True, False], ids=["one of several", "the last session"])
def test_closing_the_session_ends_the_waiting(stock: Stock, connect: Connect, others: bool) -> None:
    waiting = connect()
    first, second = stock.media
    held = mount(stock, first, by=waiting)
    if not others:
        stock.session.close()
    closing = threading.Event()

    def close() -> None:
        assert closing.wait(LONG_MS / 1000)
        waiting.close()

    with beside(close), refused(rsm.CancelledError):
        mount(stock, second, by=waiting, on_wait=lambda _: closing.set())
    for call in (held.open, held.dismount):
        with refused(rsm.InvalidHandleError):
            call()
    after = connect()
    with mount(stock, second, by=after) as taken:  # what the closed session held was given back
        assert taken.side == second.side
    assert {each.state for each in after.requests.list(stock.library) if each.side == second.side} >= {CANCELLED}


# Cartridges on the shelf


def asked_of_operators(stock: Stock) -> rsm.OperatorRequest:
    """Return the one thing that operators are asked."""
    (request,) = stock.session.operators.list(SUBMITTED)
    return request


def test_an_operator_brings_the_cartridge(stock: Stock, connect: Connect, tmp_path: Path) -> None:
    medium, operator = stock.media[0], connect()
    away = stock.put_on_shelf(medium, tmp_path / "shelf")

    def bring(waiting: Waiting) -> None:
        request = asked_of_operators(stock)
        assert request.request is NtmsOpreqCommand.NTMS_OPREQ_MOVEMEDIA
        assert (request.argument1_kind, request.argument1) == (Kind.NTMS_PHYSICAL_MEDIA, medium.medium)
        assert (request.argument2_kind, request.argument2) == (Kind.NTMS_LIBRARY, stock.library.id)
        assert waiting.request is not None
        assert operator.requests.get(waiting.request).state is NtmsLmState.NTMS_LM_WAITING
        stock.bring_back(away)
        operator.operators.satisfy(request)

    heard = Heard(OPERATOR=bring)
    with mount(stock, medium, write=True, on_wait=heard) as held:
        assert held.barcode == away.name
    assert heard.told[0].reason is WaitReason.OPERATOR
    assert stock.session.operators.list(SUBMITTED) == []


def test_a_cartridge_that_an_inventory_finds_needs_no_answer(stock: Stock, tmp_path: Path) -> None:
    medium = stock.media[0]
    away = stock.put_on_shelf(medium, tmp_path / "shelf")

    def bring(_: Waiting) -> None:
        stock.bring_back(away)
        stock.session.libraries.inventory(stock.library, full=False)

    with mount(stock, medium, on_wait=Heard(OPERATOR=bring)):
        (request,) = stock.session.operators.list()
        assert request.state is NtmsOpreqState.NTMS_OPSTATE_COMPLETE


@pytest.mark.parametrize(
    ("answer", "error"),
    [("refuse", rsm.RequestRefusedError), ("satisfy", rsm.MediaOfflineError)],
    ids=["refused", "not where it is said to be"],
)
def test_an_operator_who_does_not_bring_it(
    stock: Stock, tmp_path: Path, answer: str, error: type[rsm.RsmError]
) -> None:
    medium = stock.media[0]
    stock.put_on_shelf(medium, tmp_path / "shelf")

    def reply(_: Waiting) -> None:
        getattr(stock.session.operators, answer)(asked_of_operators(stock))

    with refused(error):
        mount(stock, medium, on_wait=Heard(OPERATOR=reply))
    stock.settle()
    assert live(stock) == []
    with mount(stock, stock.media[1], timeout_ms=0) as held:
        assert held.side == stock.media[1].side


def test_of_several_none_moves_while_one_is_on_the_shelf(make: Callable[..., Stock], tmp_path: Path) -> None:
    stock = make(drives=2)
    away = stock.put_on_shelf(stock.media[1], tmp_path / "shelf")
    moved: list[int] = []

    def bring(_: Waiting) -> None:
        moved.append(len(stock.moves()))
        stock.bring_back(away, slot=2)
        stock.session.operators.satisfy(asked_of_operators(stock))

    with stock.session.mounts.mount(stock.media, timeout_ms=LONG_MS, on_wait=Heard(OPERATOR=bring)) as both:
        assert [each.side for each in both] == [medium.side for medium in stock.media]
    assert moved == [0]


@pytest.mark.parametrize("gone", [0, 1])
def test_one_of_several_that_vanishes_does_not_hold_the_others_for_ever(
    make: Callable[..., Stock], tmp_path: Path, gone: int
) -> None:
    stock = make(drives=2)
    os.rename(stock.on_disk(stock.media[gone]), tmp_path / "away")  # nobody noticed
    asked = stock.session.mounts.request(stock.media)
    with pytest.raises(Enough):
        stock.session.mounts.mount(stock.media[gone], timeout_ms=LONG_MS, on_wait=Heard(OPERATOR=_raise(Enough())))
    with refused(rsm.TimeoutError):
        asked.wait(0)
    assert stock.session.operators.list() == []
    stock.settle()
    assert stock.place(stock.media[1 - gone])[:4] == "slot"


def test_nobody_is_asked_where_nobody_is_to_be_waited_for(stock: Stock, tmp_path: Path) -> None:
    medium = stock.media[0]
    stock.put_on_shelf(medium, tmp_path / "shelf")
    with nothing_changed(stock.session.database):
        for options, error in (
            ({"error_if_offline": True}, rsm.MediaOfflineError),
            ({"timeout_ms": 0}, rsm.TimeoutError),
            ({"error_if_busy": True}, rsm.BusyError),
        ):
            with refused(error):
                mount(stock, medium, **options)


@pytest.mark.parametrize("ending", ["time", "interrupt", "cancel", "close"])
def test_what_is_not_wanted_any_more_is_asked_of_nobody(
    stock: Stock, connect: Connect, tmp_path: Path, ending: str
) -> None:
    waiting = connect()
    stock.put_on_shelf(stock.media[0], tmp_path / "shelf")
    asked = waiting.mounts.request(stock.media[0])
    assert asked_of_operators(stock).argument1 == stock.media[0].medium
    if ending == "time":
        with refused(rsm.TimeoutError):
            asked.wait(0)
    elif ending == "interrupt":
        with pytest.raises(KeyboardInterrupt):
            asked.wait(on_wait=_raise(KeyboardInterrupt()))
    elif ending == "cancel":
        stock.session.requests.cancel(asked.ids[0])
    else:
        waiting.close()
    assert stock.session.operators.list() == []
    assert live(stock) == []


# Processes

_MOUNTING = """
import rsm
with rsm.connect(sys.argv[1], caller=rsm.Caller("user:admin", administrator=True)) as session:
    while word := wait():
        barcode, data = word.split()
        with session.mounts.mount(barcode, write=True, timeout_ms=60_000) as held:
            with held.open("ab") as file:
                file.write(data.encode())
            say("mounted")
            wait()
"""


def test_two_processes_that_want_one_drive_are_both_served(stock: Stock) -> None:
    """One after the other: the second has its turn while the first holds no drive, whoever of them works the robot."""
    url = stock.session.database
    barcodes = [stock.cartridge(medium).barcode for medium in stock.media]
    stock.session.close()
    with Program(_MOUNTING, url) as one, Program(_MOUNTING, url) as two:
        for turn in range(4):
            one.tell(f"{barcodes[turn % 2]} one")
            assert one.hear() == "mounted"
            two.tell(f"{barcodes[1]} two")
            one.tell()
            assert two.hear() == "mounted"
            two.tell()
        one.tell()
        two.tell()
        assert (one.status(), two.status()) == (0, 0)
    recorded = {path.parent.name: path.read_bytes()[1024:] for path in stock.folder.glob("*/*/side-1")}
    assert recorded == {barcodes[0]: b"one" * 2, barcodes[1]: b"twoonetwo" * 2}


def test_what_a_killed_process_had_mounted_is_there_for_others(stock: Stock) -> None:
    first, second = stock.media
    with Program(_MOUNTING, stock.session.database) as program:
        program.tell(f"{stock.cartridge(first).barcode} data")
        assert program.hear() == "mounted"
        with refused(rsm.TimeoutError):
            mount(stock, second, timeout_ms=0)
        program.kill()
    for medium in (second, first):
        with mount(stock, medium) as held:
            assert held.side == medium.side
