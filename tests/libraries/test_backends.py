"""What every back-end does: the suite that each of them passes, on the library of `conftest.Bench`."""

import errno
import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from libraries.conftest import BENCHES, FedBench

import rsm
from rsm.libraries import BACKENDS, base, open_library
from rsm.libraries.base import (
    Cartridge,
    DestinationFullError,
    ElementKind,
    ElementNotAccessibleError,
    ReadinessState,
    SideStatus,
    SourceEmptyError,
    StaleEpochError,
    UnknownElementError,
)

CAPACITY = 1000
ELEMENTS = [
    "transport 1",
    *(f"slot {number}" for number in range(1, 7)),
    "port 1",
    "drive 1",
    "drive 2",
]
HOMES = {"A00001": "slot 1", "B00002": "slot 2", "P00003": "slot 3", "X00004": "slot 4"}
NOWHERE = 65_000


# --- what is there --------------------------------------------------------------------------------------------------


def test_identity_agrees_with_the_elements(bench: Any) -> None:
    identity = bench.device.read_identity()
    statuses = list(bench.device.read_elements())
    of_kind = {kind: [each.address for each in statuses if each.kind is kind] for kind in ElementKind}
    assert identity.name
    assert identity.media_types == ("LTO-8",)
    assert (identity.slots, identity.ports) == (len(of_kind[ElementKind.SLOT]), len(of_kind[ElementKind.PORT]))
    assert list(identity.transports) == of_kind[ElementKind.TRANSPORT]
    assert [drive.address for drive in identity.drives] == of_kind[ElementKind.DRIVE]
    assert [drive.number for drive in identity.drives] == [1, 2]
    assert len({drive.path for drive in identity.drives}) == 2


def test_elements_come_once_each_in_order_with_addresses_of_16_bits(bench: Any) -> None:
    statuses = list(bench.device.read_elements())
    assert [f"{status.kind} {status.number}" for status in statuses] == ELEMENTS
    addresses = [status.address for status in statuses]
    assert len(set(addresses)) == len(addresses)
    assert all(0 <= address < 65_536 for address in addresses)
    assert len({status.name for status in statuses}) == len(statuses)


def test_status_tells_what_is_in_an_element(bench: Any) -> None:
    statuses = bench.statuses()
    assert bench.places() == HOMES
    assert statuses["slot 2"].cartridge == Cartridge("LTO-8", 2, CAPACITY, False)
    assert statuses["slot 3"].cartridge == Cartridge("LTO-8", 1, CAPACITY, True)
    assert statuses["slot 4"].cartridge == Cartridge("LTO-3", 1, CAPACITY, False)
    for place, status in statuses.items():
        assert (status.full, status.accessible, status.exception) == (place in HOMES.values(), True, None)
        assert (status.cartridge is None) == (status.barcode is None) == (not status.full)


def test_some_elements_can_be_read_alone(bench: Any) -> None:
    wanted = [bench.at("drive 2"), bench.at("slot 1")]
    assert [status.name for status in bench.device.read_elements(wanted)] == [
        bench.statuses()[place].name for place in ("slot 1", "drive 2")
    ]
    assert list(bench.device.read_elements([])) == []
    with pytest.raises(UnknownElementError):
        bench.device.read_elements([bench.at("slot 1"), NOWHERE])


def test_device_is_ready_and_can_be_closed_twice(bench: Any) -> None:
    with bench.device as device:
        assert device.check_readiness().state is ReadinessState.READY
    bench.device.close()


def test_unknown_backend_is_refused() -> None:
    with pytest.raises(rsm.NotSupportedError, match="virtual"):
        open_library("jukebox", "/dev/sg0")
    assert "virtual" in BACKENDS


# --- moving ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stations",
    [
        ("slot 1", "slot 5"),
        ("slot 1", "drive 1"),
        ("slot 1", "drive 1", "drive 2", "slot 1"),
        ("slot 1", "port 1", "slot 6"),
        ("slot 4", "port 1", "slot 5"),
        ("slot 3", "drive 2", "port 1", "drive 2"),
    ],
    ids=" > ".join,
)
def test_move_carries_one_cartridge_and_nothing_else(bench: Any, stations: tuple[str, ...]) -> None:
    barcode = {place: barcode for barcode, place in HOMES.items()}[stations[0]]
    for source, destination in itertools.pairwise(stations):
        before = bench.statuses()
        bench.move(source, destination)
        after = bench.statuses()
        assert bench.places() == {**HOMES, barcode: destination}
        assert after[destination].cartridge == before[source].cartridge
        others = set(ELEMENTS) - {source, destination}
        assert {place: after[place] for place in others} == {place: before[place] for place in others}


@pytest.mark.parametrize("inverted", [False, True])
def test_two_sided_cartridge_goes_in_with_the_side_up_that_was_asked_for(bench: Any, inverted: bool) -> None:
    bench.move("slot 2", "drive 1", inverted=inverted)
    assert bench.statuses()["drive 1"].inverted is inverted
    bench.device.claim(2)
    bench.device.load_drive(bench.at("drive 1"), 2)
    assert bench.statuses()["drive 1"].inverted is inverted


# What was asked for, and what comes of it; where several things are wrong, the first in the order of the checks.
REFUSED_MOVES: dict[str, tuple[tuple[Any, ...], dict[str, Any], type[rsm.RsmError]]] = {
    "unknown source": ((NOWHERE, "slot 5"), {}, UnknownElementError),
    "unknown destination": (("slot 1", NOWHERE), {}, UnknownElementError),
    "unknown arm": (("slot 1", "slot 5"), {"transport": NOWHERE}, UnknownElementError),
    "address of 17 bits": ((65_536 + 1001, "slot 5"), {}, UnknownElementError),
    "stale epoch": (("slot 1", "slot 5", 4), {}, StaleEpochError),
    "epoch below 0": (("slot 1", "slot 5", -1), {}, rsm.InvalidParameterError),
    "epoch beyond 63 bits": (("slot 1", "slot 5", 2**63), {}, rsm.InvalidParameterError),
    "source is the arm": (("transport 1", "slot 5"), {}, ElementNotAccessibleError),
    "destination is the arm": (("slot 1", "transport 1"), {}, ElementNotAccessibleError),
    "source empty": (("slot 5", "slot 6"), {}, SourceEmptyError),
    "drive empty": (("drive 1", "slot 6"), {}, SourceEmptyError),
    "destination full": (("slot 1", "slot 2"), {}, DestinationFullError),
    "to itself": (("slot 1", "slot 1"), {}, DestinationFullError),
    "wrong media type": (("slot 4", "drive 1"), {}, rsm.MediaIncompatibleError),
    "no second side": (("slot 1", "drive 1"), {"inverted": True}, rsm.InvalidMediaError),
    "unknown before stale": ((NOWHERE, "slot 5", 4), {}, UnknownElementError),
    "stale before empty": (("slot 5", "slot 6", 4), {}, StaleEpochError),
    "source before destination": (("slot 5", "slot 1"), {}, SourceEmptyError),
    "type before side": (("slot 4", "drive 1"), {"inverted": True}, rsm.MediaIncompatibleError),
}


@pytest.mark.parametrize("case", REFUSED_MOVES)
def test_refused_move_moves_nothing(bench: Any, case: str) -> None:
    places, options, error = REFUSED_MOVES[case]
    bench.device.claim(5)
    before = bench.statuses()
    with pytest.raises(error) as caught:
        bench.move(*(places if len(places) == 3 else (*places, 5)), **options)
    assert type(caught.value) is error
    assert str(caught.value)
    assert not caught.value.outcome_unknown
    assert bench.statuses() == before


def test_destination_full_comes_before_what_the_drive_thinks_of_the_cartridge(bench: Any) -> None:
    bench.move("slot 1", "drive 1")
    with pytest.raises(DestinationFullError):
        bench.move("slot 4", "drive 1")


@pytest.mark.parametrize("drive", ["drive 1", "slot 1", NOWHERE])
def test_drive_calls_refuse_other_elements_and_empty_drives(bench: Any, drive: Any) -> None:
    address = bench.at(drive)
    calls: list[Callable[[], Any]] = [
        lambda: bench.device.load_drive(address, 1),
        lambda: bench.device.unload_drive(address, 1),
        lambda: bench.device.open_side(address, 1, "rb"),
        lambda: bench.device.read_side(address, 1),
    ]
    for call in calls:
        with pytest.raises(SourceEmptyError if drive == "drive 1" else UnknownElementError):
            call()


def test_loading_and_unloading_a_full_drive_moves_nothing(bench: Any) -> None:
    bench.move("slot 1", "drive 1")
    before = bench.statuses()
    for _ in range(2):
        bench.device.load_drive(bench.at("drive 1"), 1)
    assert bench.statuses() == before
    bench.device.unload_drive(bench.at("drive 1"), 1)
    bench.move("drive 1", "slot 1")
    assert bench.places() == HOMES


def test_lower_epochs_are_refused_once_a_higher_one_came(bench: Any) -> None:
    bench.move("slot 1", "drive 1", 3)
    drive = bench.at("drive 1")
    bench.device.claim(3)
    bench.device.claim(7)
    calls: list[Callable[[int], Any]] = [
        bench.device.claim,
        lambda epoch: bench.device.load_drive(drive, epoch),
        lambda epoch: bench.device.unload_drive(drive, epoch),
        lambda epoch: bench.move("drive 1", "slot 1", epoch),
    ]
    for call in calls:
        with pytest.raises(StaleEpochError):
            call(6)
    assert bench.places()["A00001"] == "drive 1"
    bench.move("drive 1", "slot 1", 8)
    with pytest.raises(StaleEpochError):
        bench.move("slot 1", "drive 1", 7)


def test_what_a_device_does_not_have_it_says(bench: Any) -> None:
    identity = bench.device.read_identity()
    slot, port = bench.at("slot 1"), bench.at("port 1")
    calls = [
        (identity.can_exchange, lambda: bench.device.exchange(slot, bench.at("slot 2"), bench.at("slot 5"), 1)),
        (identity.ports_extend, lambda: bench.device.extend_port(port, 1)),
        (identity.ports_extend, lambda: bench.device.retract_port(port, 1)),
    ]
    for can, call in calls:
        if can:
            call()
        else:
            with pytest.raises(rsm.NotSupportedError):
                call()


# --- reading and writing --------------------------------------------------------------------------------------------


@pytest.fixture(params=[*BENCHES, "stand-alone"])
def loaded(request: pytest.FixtureRequest, virtual_templates: dict[str, Path], tmp_path: Path) -> Any:
    """The library with A00001 in drive 1 and B00002 in drive 2; the drives may be two that a person feeds."""
    kind = str(request.param)
    if kind == "stand-alone":
        bench: Any = FedBench(Path(shutil.copytree(virtual_templates["virtual tape"], tmp_path / "library")))
    else:
        bench = BENCHES[kind](kind, virtual_templates, tmp_path / "library")
    bench.move("slot 1", "drive 1")
    bench.move("slot 2", "drive 2")
    return bench


def record(bench: Any, drive: str, side: int, mode: str, *pieces: bytes) -> None:
    with bench.device.open_side(bench.at(drive), side, mode) as file:
        for piece in pieces:
            assert file.write(piece) == len(piece)


def recorded(bench: Any, drive: str, side: int) -> bytes:
    with bench.device.open_side(bench.at(drive), side, "rb") as file:
        content = file.read()
    assert isinstance(content, bytes)
    return content


def test_modes_write_anew_append_and_read(loaded: Any) -> None:
    assert recorded(loaded, "drive 1", 1) == b""
    record(loaded, "drive 1", 1, "wb", b"one", b"two")
    record(loaded, "drive 1", 1, "ab", b"three")
    assert recorded(loaded, "drive 1", 1) == b"onetwothree"
    record(loaded, "drive 1", 1, "wb", b"anew")
    assert recorded(loaded, "drive 1", 1) == b"anew"


def test_sides_and_cartridges_hold_their_own_data_wherever_they_are(loaded: Any) -> None:
    record(loaded, "drive 1", 1, "wb", b"first cartridge")
    record(loaded, "drive 2", 1, "wb", b"front")
    record(loaded, "drive 2", 2, "wb", b"back")
    loaded.move("drive 1", "slot 5")
    loaded.move("drive 2", "drive 1", inverted=True)
    loaded.move("slot 5", "drive 2")
    assert recorded(loaded, "drive 2", 1) == b"first cartridge"
    assert (recorded(loaded, "drive 1", 1), recorded(loaded, "drive 1", 2)) == (b"front", b"back")


@pytest.mark.parametrize("mode", ["wb", "ab"])
@pytest.mark.parametrize("pieces", [[CAPACITY], [CAPACITY - 1, 1], [600, 400], [0, 1000], [1] * CAPACITY])
def test_side_takes_its_capacity_and_not_one_byte_more(loaded: Any, mode: str, pieces: list[int]) -> None:
    drive = loaded.at("drive 1")
    file = loaded.device.open_side(drive, 1, mode)
    for length in pieces:
        assert file.write(b"x" * length) == length
    with pytest.raises(OSError, match="space") as caught:
        file.write(b"y")
    assert caught.value.errno == errno.ENOSPC
    file.close()
    assert recorded(loaded, "drive 1", 1) == b"x" * CAPACITY
    status = loaded.device.read_side(drive, 1)
    assert (status.used_bytes, status.free_bytes, status.overfull) == (CAPACITY, 0, False)


def test_refused_block_leaves_what_was_taken_and_a_shorter_one_still_fits(loaded: Any) -> None:
    record(loaded, "drive 1", 1, "wb", b"a" * 700)
    with loaded.device.open_side(loaded.at("drive 1"), 1, "ab") as file:
        for length in (301, 2000):
            with pytest.raises(OSError, match="space"):
                file.write(b"b" * length)
        file.write(b"c" * 300)
    assert recorded(loaded, "drive 1", 1) == b"a" * 700 + b"c" * 300


def test_writing_is_refused_where_it_is_forbidden(loaded: Any) -> None:
    drive = loaded.at("drive 1")
    record(loaded, "drive 1", 1, "wb", b"kept")
    for mode in ("wb", "ab"):
        with pytest.raises(OSError, match=r"[Rr]ead-only") as caught:
            loaded.device.open_side(drive, 1, mode, read_only=True)
        assert caught.value.errno == errno.EROFS
    loaded.device.open_side(drive, 1, "rb", read_only=True).close()
    assert recorded(loaded, "drive 1", 1) == b"kept"

    loaded.move("drive 1", "slot 1")
    loaded.move("slot 3", "drive 1")
    for mode in ("wb", "ab"):
        with pytest.raises(OSError, match=r"[Rr]ead-only"):
            loaded.device.open_side(drive, 1, mode)
    assert recorded(loaded, "drive 1", 1) == b""
    assert loaded.device.read_side(drive, 1).write_protected is True


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        (("drive 1", 1, "r"), {}, rsm.InvalidParameterError),
        (("drive 1", 1, "r+b"), {}, rsm.InvalidParameterError),
        (("drive 1", 1, None), {}, rsm.InvalidParameterError),
        (("drive 1", 0, "rb"), {}, rsm.InvalidMediaError),
        (("drive 1", 2, "rb"), {}, rsm.InvalidMediaError),
        (("drive 1", -1, "wb"), {}, rsm.InvalidMediaError),
        (("drive 1", 1, "wb"), {"barcode": "B00002"}, rsm.MediaNotAvailableError),
        (("drive 1", 3, "xx"), {"barcode": "B00002"}, rsm.InvalidParameterError),
        (("drive 1", 3, "rb"), {"barcode": "B00002"}, rsm.MediaNotAvailableError),
    ],
)
def test_opening_is_refused(
    loaded: Any, arguments: tuple[Any, ...], options: dict[str, Any], error: type[rsm.RsmError]
) -> None:
    record(loaded, "drive 1", 1, "wb", b"kept")
    drive, side, mode = arguments
    with pytest.raises(error) as caught:
        loaded.device.open_side(loaded.at(drive), side, mode, **options)
    assert type(caught.value) is error
    assert recorded(loaded, "drive 1", 1) == b"kept"


def test_cartridge_that_is_expected_can_be_opened(loaded: Any) -> None:
    with loaded.device.open_side(loaded.at("drive 1"), 1, "wb", barcode="A00001") as file:
        file.write(b"ok")
    assert recorded(loaded, "drive 1", 1) == b"ok"


def test_status_of_a_side_counts_bytes_and_tells_changes_from_moves(loaded: Any) -> None:
    drive = loaded.at("drive 1")
    blank = loaded.device.read_side(drive, 1)
    assert (blank.capacity_bytes, blank.used_bytes, blank.free_bytes) == (CAPACITY, 0, CAPACITY)
    assert blank.write_protected is False
    record(loaded, "drive 1", 1, "wb", b"x" * 400)
    written = loaded.device.read_side(drive, 1)
    assert (written.used_bytes, written.free_bytes) == (400, 600)
    assert written.fingerprint != blank.fingerprint
    assert recorded(loaded, "drive 1", 1) == b"x" * 400
    loaded.move("drive 1", "slot 1")
    loaded.move("slot 1", "drive 1")
    assert loaded.device.read_side(drive, 1) == written
    with pytest.raises(rsm.InvalidMediaError):
        loaded.device.read_side(drive, 2)


@pytest.mark.parametrize(
    ("capacity", "used", "free", "overfull"),
    [(10, 3, 7, False), (10, 10, 0, False), (10, 11, 0, True), (None, 3, None, False), (10, None, None, False)],
)
def test_free_bytes_and_overfull(capacity: int | None, used: int | None, free: int | None, overfull: bool) -> None:
    status = SideStatus(capacity, used, None)
    assert (status.free_bytes, status.overfull) == (free, overfull)


# --- the table of errors --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_every_system_error_becomes_an_rsm_error_that_names_the_path(number: int) -> None:
    error = base.error_from_os(OSError(number, os.strerror(number)), "/some/where\n")
    assert error.code in set(rsm.ErrorCode)
    assert error.code is not rsm.ErrorCode.ERROR_INTERNAL_ERROR
    assert str(error) == f"/some/where\\n: {os.strerror(number)}"


def test_rsm_errors_pass_untranslated_and_no_number_is_a_failing_device() -> None:
    with pytest.raises(rsm.AccessDeniedError, match="mine"), base.os_errors_of("/x"):
        raise rsm.AccessDeniedError("mine")
    with pytest.raises(rsm.DeviceNotAvailableError, match="/x: broken") as caught:
        with base.os_errors_of("/x", outcome_unknown=True):
            raise OSError("broken")
    assert caught.value.outcome_unknown
    with pytest.raises(FileNotFoundError), base.os_errors_of("/x", FileNotFoundError):
        raise FileNotFoundError(errno.ENOENT, "gone")


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("A", True),
        ("A" * 63, True),
        ("Ä 1,\\'\"%", True),
        ("\U0001f4fc" * 63, True),
        ("", False),
        ("A" * 64, False),
        (".A", False),
        ("..", False),
        ("A/B", False),
        ("A\nB", False),
        ("A\x7f", False),
        ("A\x00", False),
        ("\udcff", False),
        ("A\u2028", False),
    ],
)
def test_bar_codes(text: str, is_one: bool) -> None:
    assert (base.barcode_fault(text) is None) is is_one


def test_a_side_is_written_by_who_has_claimed_the_library(loaded: Any) -> None:
    drive = loaded.at("drive 1")
    loaded.device.claim(8)
    loaded.device.write_side(drive, 1, b"label", 8, barcode="A00001")
    with loaded.device.open_side(drive, 1, "ab") as file:
        file.write(b", and data")
    with pytest.raises(rsm.MediaNotAvailableError):
        loaded.device.write_side(drive, 1, b"x", 8, barcode="B00002")
    loaded.device.claim(9)
    with pytest.raises(StaleEpochError):
        loaded.device.write_side(drive, 1, b"label", 8)
    assert recorded(loaded, "drive 1", 1) == b"label, and data"
    loaded.device.write_side(drive, 1, b"shorter", 9)
    assert recorded(loaded, "drive 1", 1) == b"shorter"
    with pytest.raises(OSError, match="No space left"):
        loaded.device.write_side(drive, 1, bytes(CAPACITY + 1), 9)
