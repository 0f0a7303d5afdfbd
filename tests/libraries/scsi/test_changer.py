"""Carrying cartridges on a simulated changer: refusals, trouble in the middle, exchanges, ports."""

import itertools
from typing import Any

import pytest
from libraries.scsi.simulated import (
    DOOR,
    DRIVE,
    GOOD,
    HOMES,
    MECHANICS,
    NO_COMMAND,
    PORT,
    ROBOT,
    SLOT,
    SWITCHED_ON,
    Simulated,
    Tape,
    full,
    refusal,
    scripted,
)

import rsm
from rsm.libraries.base import (
    DestinationFullError,
    ElementNotAccessibleError,
    SourceEmptyError,
    UnknownElementError,
)
from rsm.libraries.scsi.backend import ScsiLibrary
from rsm.libraries.scsi.changer import Changer
from rsm.libraries.scsi.transport import LostError, Reply

MOVE, STATUS, INITIALIZE, EXCHANGE = 0xA5, 0xB8, 0x07, 0xA6

# --- moving ---------------------------------------------------------------------------------------------------------


def test_move_looks_at_both_elements_first(simulated: Simulated, library: ScsiLibrary) -> None:
    simulated.given.clear()
    library.move(SLOT, SLOT + 5, 1)
    assert simulated.codes() == [STATUS, STATUS, MOVE]
    for source, goal, error in (
        (SLOT, SLOT + 1, SourceEmptyError),
        (SLOT + 1, SLOT + 5, DestinationFullError),
        (SLOT + 1, SLOT + 1, DestinationFullError),
    ):
        simulated.given.clear()
        with pytest.raises(error):
            library.move(source, goal, 1)
        assert MOVE not in simulated.codes()


@pytest.mark.parametrize(
    ("numbers", "error"),
    [
        ((5, 0x3B, 0x0D), DestinationFullError),
        ((5, 0x3B, 0x0E), SourceEmptyError),
        ((5, 0x21, 0x01), UnknownElementError),
        ((2, 0x04, 0x01), rsm.NotReadyError),
        ((5, 0x3B, 0x11), ElementNotAccessibleError),
        ((3, 0x30, 0x00), rsm.MediaIncompatibleError),
        ((4, 0x15, 0x01), rsm.DeviceNotAvailableError),
        ((0xB, 0x47, 0), rsm.BusyError),
    ],
)
def test_refused_move_is_what_the_device_says_and_moved_nothing(
    simulated: Simulated, library: ScsiLibrary, numbers: tuple[int, int, int], error: type[rsm.RsmError]
) -> None:
    simulated.script = scripted({MOVE: [refusal(numbers)]})
    with pytest.raises(error) as caught:
        library.move(SLOT, SLOT + 5, 1)
    assert type(caught.value) is error
    assert not caught.value.outcome_unknown
    assert full(library) == HOMES


TROUBLE = [LostError("the line went dead"), refusal(MECHANICS), Reply(0x40)]


@pytest.mark.parametrize("trouble", TROUBLE)
@pytest.mark.parametrize("arrived", [False, True])
def test_broken_off_move_is_settled_by_what_the_elements_show(
    simulated: Simulated, library: ScsiLibrary, trouble: Any, arrived: bool
) -> None:
    def answer() -> Reply | None:
        if arrived:
            simulated.carry(SLOT, SLOT + 5)
        if isinstance(trouble, Exception):
            raise trouble
        assert isinstance(trouble, Reply)
        return trouble

    simulated.script = scripted({MOVE: [answer]})
    if arrived:
        library.move(SLOT, SLOT + 5, 1)
        assert full(library) == {SLOT + 1: "B00002L8", SLOT + 5: "A00001L8"}
        return
    with pytest.raises(rsm.DeviceNotAvailableError) as caught:
        library.move(SLOT, SLOT + 5, 1)
    assert not caught.value.outcome_unknown
    assert full(library) == HOMES


@pytest.mark.parametrize("trouble", TROUBLE)
@pytest.mark.parametrize("shown", ["nothing", "neither", "another", "both"])
def test_move_that_cannot_be_settled_is_told_as_unknown(
    simulated: Simulated, library: ScsiLibrary, trouble: Any, shown: str
) -> None:
    def answer() -> Reply | None:
        tape = simulated.tapes.pop(SLOT)
        if shown == "another":
            simulated.tapes[SLOT + 5] = Tape("C00003L8")
        elif shown == "both":
            simulated.tapes[SLOT] = tape
            simulated.tapes[SLOT + 5] = Tape("A00001L8")
        if isinstance(trouble, Exception):
            raise trouble
        assert isinstance(trouble, Reply)
        return trouble

    blind = [None, None, *[refusal((4, 0x44, 0))] * 30] if shown == "nothing" else []
    simulated.script = scripted({MOVE: [answer], STATUS: blind})
    with pytest.raises(rsm.DeviceNotAvailableError, match="cannot be told") as caught:
        library.move(SLOT, SLOT + 5, 1)
    assert caught.value.outcome_unknown


def test_door_in_front_of_a_move_has_both_elements_looked_at_again(simulated: Simulated, library: ScsiLibrary) -> None:
    def open_door() -> Reply:
        simulated.tapes[SLOT + 5] = simulated.tapes.pop(SLOT)
        return refusal(DOOR)

    simulated.script = scripted({MOVE: [open_door]})
    with pytest.raises(SourceEmptyError):
        library.move(SLOT, SLOT + 4, 1)
    assert simulated.codes().count(MOVE) == 1
    assert library.check_readiness().contents_may_differ
    simulated.script = scripted({MOVE: [refusal(SWITCHED_ON), refusal(DOOR)]})
    library.move(SLOT + 5, SLOT, 1)
    assert full(library) == HOMES


def test_drive_that_holds_on_is_unloaded_before_it_is_emptied(simulated: Simulated, library: ScsiLibrary) -> None:
    library.move(SLOT, DRIVE, 1)
    assert simulated.loaded == {DRIVE}
    library.move(DRIVE, SLOT, 1)
    assert full(library) == HOMES
    assert simulated.loaded == set()


def test_drive_that_holds_on_and_cannot_be_reached_keeps_it(simulated: Simulated) -> None:
    simulated.no_device_ids = True
    library = simulated.open()
    library.move(SLOT, DRIVE, 1)
    with pytest.raises(ElementNotAccessibleError, match=f"cannot reach element {DRIVE}"):
        library.move(DRIVE, SLOT, 1)
    assert full(library)[DRIVE] == "A00001L8"


def test_changer_without_arms_of_its_own_uses_any(simulated: Simulated) -> None:
    simulated.ranges[1] = range(0, 0)
    library = simulated.open()
    library.move(SLOT, SLOT + 5, 1)
    assert simulated.given[-1][1][2:4] == b"\0\0"


# --- exchanging and ports -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("displaced", [SLOT + 5, SLOT + 1])
def test_exchange(simulated: Simulated, library: ScsiLibrary, displaced: int) -> None:
    simulated.holds_on = False
    library.move(SLOT, DRIVE, 1)
    library.unload_drive(DRIVE, 1)
    library.exchange(SLOT + 1, DRIVE, displaced, 1)
    assert full(library) == {DRIVE: "B00002L8", displaced: "A00001L8"}
    library.unload_drive(DRIVE, 1)
    before = full(library)
    with pytest.raises(SourceEmptyError):
        library.exchange(SLOT, DRIVE, SLOT + 4, 1)
    with pytest.raises(DestinationFullError):
        library.exchange(displaced, DRIVE, DRIVE, 1)
    with pytest.raises(ElementNotAccessibleError):
        library.exchange(displaced, DRIVE, ROBOT, 1)
    assert full(library) == before


@pytest.mark.parametrize(("arrived", "settled"), list(itertools.product([False, True], [False, True])))
def test_broken_off_exchange_is_settled_by_bar_codes_or_not_at_all(
    simulated: Simulated, library: ScsiLibrary, arrived: bool, settled: bool
) -> None:
    simulated.no_tags = not settled
    simulated.tapes[DRIVE] = Tape("C00003L8")

    def answer() -> Reply:
        if arrived:
            tapes = simulated.tapes
            tapes[DRIVE], tapes[SLOT] = tapes[SLOT], tapes[DRIVE]
        raise LostError("the line went dead")

    simulated.script = scripted({EXCHANGE: [answer]})
    if arrived and settled:
        library.exchange(SLOT, DRIVE, SLOT, 1)
        return
    with pytest.raises(LostError) as caught:
        library.exchange(SLOT, DRIVE, SLOT, 1)
    assert caught.value.outcome_unknown is not settled


def test_exchange_that_is_refused_is_offered_no_more(simulated: Simulated, library: ScsiLibrary) -> None:
    simulated.tapes[DRIVE] = Tape("C00003L8")
    assert library.read_identity().can_exchange
    simulated.script = scripted({EXCHANGE: [refusal(NO_COMMAND)]})
    with pytest.raises(rsm.NotSupportedError):
        library.exchange(SLOT, DRIVE, SLOT + 5, 1)
    assert not library.read_identity().can_exchange


@pytest.mark.parametrize(("unknown", "codes"), [(set(), [0x1B, 0x1B]), ({0x1B}, [0x1B, 0x1E, 0x1B, 0x1E])])
def test_ports_are_opened_and_closed_or_unlocked_and_locked(
    simulated: Simulated, library: ScsiLibrary, unknown: set[int], codes: list[int]
) -> None:
    simulated.unknown = unknown
    simulated.given.clear()
    library.extend_port(PORT, 1)
    library.retract_port(PORT, 1)
    assert simulated.codes() == codes
    assert [cdb[4] for _, cdb in simulated.given if cdb[0] == codes[-1]] == [0, 1]
    for call in (library.extend_port, library.retract_port):
        with pytest.raises(UnknownElementError):
            call(SLOT, 1)
    simulated.unknown = {0x1B, 0x1E}
    with pytest.raises(rsm.NotSupportedError):
        library.extend_port(PORT, 1)


# --- the changer alone ----------------------------------------------------------------------------------------------


def test_changer_initialises_a_range_and_tells_its_alerts(simulated: Simulated) -> None:
    changer = Changer(simulated.reach("/changer"))
    changer.initialize_elements(range(SLOT, SLOT + 3))
    assert simulated.given[-1][1] == bytes.fromhex("370103e800000003 0000")
    assert changer.read_tape_alerts() == frozenset()
    simulated.script = lambda _, cdb: Reply(0, bytes.fromhex("2e0000050001400101")) if cdb[0] == 0x4D else GOOD
    assert changer.read_tape_alerts() == {1}


def test_pages_that_come_only_by_the_long_command_are_read(simulated: Simulated) -> None:
    page = bytes.fromhex("001a000000000000") + bytes.fromhex("1d12 0001 0001 0002 0003 0000 0000 0009 0001 0000")

    def script(_: str, cdb: bytes) -> Reply | None:
        if cdb[0] == 0x1A:
            return refusal(NO_COMMAND)
        return Reply(0, page) if cdb[0] == 0x5A else None

    simulated.script = script
    changer = Changer(simulated.reach("/changer"))
    assert changer.read_addresses().slots == range(2, 5)
    assert not changer.can_exchange()


def test_device_that_refuses_to_tell_of_commands_it_has_not_is_understood(simulated: Simulated) -> None:
    changer = Changer(simulated.reach("/changer"))
    simulated.script = lambda _, cdb: refusal((5, 0x24, 0)) if cdb[0] == 0xA3 and cdb[3] == EXCHANGE else None
    assert changer.has_command(EXCHANGE) is False
    simulated.unknown = {0xA3}
    assert changer.has_command(EXCHANGE) is None
    assert changer.can_exchange()  # its mode page says so, and nothing speaks against it


def test_lost_command_that_does_no_harm_is_given_once_more(simulated: Simulated) -> None:
    changer = Changer(simulated.reach("/changer"))
    simulated.script = scripted({0x12: [LostError("gone"), None, LostError("gone"), LostError("gone")]})
    assert changer.read_inquiry().product == "CHANGER"
    with pytest.raises(LostError):
        changer.read_inquiry()
