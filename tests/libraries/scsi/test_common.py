"""What every back-end does, as far as a tape changer can: on the simulated one, and on tgt's over iSCSI.

"failing" is the simulated one over a line that breaks, with a changer that always has something else to say first.
Left out is what needs a second side, a drive that refuses media types, a capacity told in bytes, or a path.
"""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from libraries import test_backends as every
from libraries.conftest import Bench
from libraries.scsi.simulated import SLOT, Simulated, Tape, refusal
from libraries.scsi.tgt import Target
from libraries.test_backends import (
    test_cartridge_that_is_expected_can_be_opened,
    test_device_is_ready_and_can_be_closed_twice,
    test_drive_calls_refuse_other_elements_and_empty_drives,
    test_elements_come_once_each_in_order_with_addresses_of_16_bits,
    test_loading_and_unloading_a_full_drive_moves_nothing,
    test_lower_epochs_are_refused_once_a_higher_one_came,
    test_modes_write_anew_append_and_read,
    test_some_elements_can_be_read_alone,
    test_what_a_device_does_not_have_it_says,
)

from rsm.libraries import open_library
from rsm.libraries.base import Cartridge, ElementKind
from rsm.libraries.scsi.transport import LostError, Reply

__all__ = [
    "test_cartridge_that_is_expected_can_be_opened",
    "test_device_is_ready_and_can_be_closed_twice",
    "test_drive_calls_refuse_other_elements_and_empty_drives",
    "test_elements_come_once_each_in_order_with_addresses_of_16_bits",
    "test_loading_and_unloading_a_full_drive_moves_nothing",
    "test_lower_epochs_are_refused_once_a_higher_one_came",
    "test_modes_write_anew_append_and_read",
    "test_some_elements_can_be_read_alone",
    "test_what_a_device_does_not_have_it_says",
]

CODES = list(every.HOMES)
PARAMETERS_CHANGED = (0x6, 0x2A, 0x01)


def make_simulated() -> Simulated:
    """Make the small library as a simulated one."""
    simulated = Simulated()
    simulated.tapes = {SLOT + at: Tape(code, protected=code[0] == "P") for at, code in enumerate(CODES)}
    return simulated


def open_simulated(_: Callable[..., Target]) -> Bench:
    """Open it as it is."""
    return Bench(make_simulated().open())


def open_tgt(make_target: Callable[..., Target]) -> Bench:
    """Open the small library as one of tgt's, with the cartridges of the suite."""
    target = make_target(slots=6, ports=1)
    for at, barcode in enumerate(CODES):
        target.make_cartridge(barcode)
        target.take(1000 + at)
        target.put(1000 + at, barcode)
    return Bench(open_library("scsi", target.address))


def open_failing(_: Callable[..., Target]) -> Bench:
    """Open the small library as a simulated one, whose changer answers many commands otherwise or not at all."""
    simulated, given = make_simulated(), itertools.count()
    library = simulated.open()

    def script(name: str, cdb: bytes) -> Reply | None:
        number = next(given)
        if name != "/changer" or number % 3 == 0:
            return None
        if number % 7 == 0:
            with simulated.lock:
                simulated.changer(cdb)  # it is carried out, and nobody is told
            raise LostError("the line went dead")
        return refusal(PARAMETERS_CHANGED) if number % 3 == 1 else None

    simulated.script = script
    return Bench(library)


BENCHES = {"simulated": open_simulated, "failing": open_failing, "tgt": open_tgt}


@pytest.fixture(params=BENCHES)
def bench(request: pytest.FixtureRequest) -> Any:
    """Run the test on every changer."""
    make = request.getfixturevalue("make_target") if request.param == "tgt" else None
    bench = BENCHES[str(request.param)](make)
    yield bench
    bench.device.close()


@pytest.fixture
def loaded(bench: Any) -> Any:
    """The library with A00001 in drive 1 and B00002 in drive 2."""
    bench.move("slot 1", "drive 1")
    bench.move("slot 2", "drive 2")
    return bench


def test_identity_agrees_with_the_elements(bench: Any) -> None:
    identity = bench.device.read_identity()
    statuses = list(bench.device.read_elements())
    of_kind = {kind: [each.address for each in statuses if each.kind is kind] for kind in ElementKind}
    assert identity.media_types == ("LTO-8",)
    assert (identity.slots, identity.ports) == (len(of_kind[ElementKind.SLOT]), len(of_kind[ElementKind.PORT]))
    assert list(identity.transports) == of_kind[ElementKind.TRANSPORT]
    assert [drive.address for drive in identity.drives] == of_kind[ElementKind.DRIVE]
    assert [drive.number for drive in identity.drives] == [1, 2]
    assert len({drive.serial_number for drive in identity.drives}) == 2
    assert all(drive.serial_number for drive in identity.drives)


def test_status_tells_what_is_in_an_element(bench: Any) -> None:
    statuses = bench.statuses()
    assert bench.places() == every.HOMES
    for place, status in statuses.items():
        full = place in every.HOMES.values()
        assert (status.full, status.accessible, status.exception) == (full, True, None)
        assert status.cartridge == (Cartridge(sides=1) if full else None)


@pytest.mark.parametrize(
    "stations",
    [
        ("slot 1", "slot 5"),
        ("slot 1", "drive 1", "drive 2", "slot 1"),
        ("slot 4", "port 1", "slot 6"),
        ("slot 3", "drive 2", "port 1", "drive 2"),
    ],
    ids=" > ".join,
)
def test_move_carries_one_cartridge_and_nothing_else(bench: Any, stations: tuple[str, ...]) -> None:
    every.test_move_carries_one_cartridge_and_nothing_else(bench, stations)


@pytest.mark.parametrize("case", [each for each in every.REFUSED_MOVES if "type" not in each])
def test_refused_move_moves_nothing(bench: Any, case: str) -> None:
    every.test_refused_move_moves_nothing(bench, case)


def test_destination_full_is_told(bench: Any) -> None:
    every.test_destination_full_comes_before_what_the_drive_thinks_of_the_cartridge(bench)


@pytest.mark.parametrize("first", [1, 5, 65_536, 65_537, 200_000])
def test_cartridges_hold_their_own_data_wherever_they_are(loaded: Any, first: int) -> None:
    data = b"".join(number.to_bytes(4, "big") for number in range(first))[:first]
    every.record(loaded, "drive 1", 1, "wb", data, b"y")
    every.record(loaded, "drive 2", 1, "wb", b"second cartridge")
    loaded.move("drive 1", "slot 5")
    loaded.move("drive 2", "drive 1")
    loaded.move("slot 5", "drive 2")
    assert every.recorded(loaded, "drive 2", 1) == data + b"y"
    assert every.recorded(loaded, "drive 1", 1) == b"second cartridge"


@pytest.mark.parametrize("mode", ["wb", "ab"])
def test_what_is_mounted_for_reading_is_not_written(loaded: Any, mode: Any) -> None:
    every.record(loaded, "drive 1", 1, "wb", b"kept")
    with pytest.raises(OSError, match="Read-only"):
        loaded.device.open_side(loaded.at("drive 1"), 1, mode, read_only=True)
    assert every.recorded(loaded, "drive 1", 1) == b"kept"


OPENINGS: list[Any] = next(
    mark.args[1] for mark in every.test_opening_is_refused.pytestmark if mark.name == "parametrize"
)


@pytest.mark.parametrize(("arguments", "options", "error"), OPENINGS)
def test_opening_is_refused(loaded: Any, arguments: Any, options: Any, error: Any) -> None:
    every.test_opening_is_refused(loaded, arguments, options, error)


def test_side_that_there_is_none_is_refused(loaded: Any) -> None:
    for side in (0, 2):
        with pytest.raises(every.rsm.InvalidMediaError):
            loaded.device.read_side(loaded.at("drive 1"), side)
