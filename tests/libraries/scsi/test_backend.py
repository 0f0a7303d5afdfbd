"""The library on a simulated changer: devices off the standard, trouble in the middle of a move, and what it tells."""

import tracemalloc
from typing import Any

import pytest
from libraries.scsi.simulated import (
    BECOMING,
    DOOR,
    DRIVE,
    HOMES,
    PORT,
    ROBOT,
    SLOT,
    SWITCHED_ON,
    UNINITIALISED,
    Simulated,
    Tape,
    full,
    refusal,
    scripted,
)

import rsm
from rsm.libraries.base import (
    Cartridge,
    ElementKind,
    ElementStatus,
    Readiness,
    ReadinessState,
)
from rsm.libraries.scsi import drives
from rsm.libraries.scsi.backend import ScsiLibrary
from rsm.libraries.scsi.decode import DeviceId, ElementDescriptor
from rsm.libraries.scsi.discovery import ChangerFound, DriveFound, scan
from rsm.libraries.scsi.drives import FoundDrive, match_drives, read_drive
from rsm.libraries.scsi.transport import LostError, Reply, Transport

MOVE, STATUS, INITIALIZE, EXCHANGE = 0xA5, 0xB8, 0x07, 0xA6


# --- what it is -----------------------------------------------------------------------------------------------------


def test_identity(simulated: Simulated, library: ScsiLibrary) -> None:
    told = library.read_identity()
    assert (told.name, told.vendor, told.product, told.serial_number) == ("SIM CHANGER", "SIM", "CHANGER", "C0001")
    assert (told.media_types, told.transports, told.slots, told.ports) == (("LTO-8",), (ROBOT,), 6, 1)
    assert [(each.address, each.number, each.serial_number, each.path) for each in told.drives] == [
        (DRIVE, 1, f"D{DRIVE:09d}", None),
        (DRIVE + 1, 2, f"D{DRIVE + 1:09d}", None),
    ]
    assert told.has_barcode_reader
    assert told.can_exchange
    assert told.ports_extend
    assert told.drives_need_unload


def test_identity_of_a_device_that_has_less(simulated: Simulated) -> None:
    simulated.no_tags = simulated.no_device_ids = True
    simulated.unknown = {EXCHANGE, 0x1B, 0x1E}
    told = simulated.open().read_identity()
    assert (told.has_barcode_reader, told.can_exchange, told.ports_extend) == (False, False, False)
    assert told.media_types == ()
    assert [each.serial_number for each in told.drives] == ["", ""]


@pytest.mark.parametrize(
    ("device", "serials"),
    [
        ("/changer", ["", ""]),
        (f"/changer?drives=/drive-{DRIVE + 1}", [f"D{DRIVE + 1:09d}", ""]),
        (f"/changer?drives=-,/drive-{DRIVE}", ["", f"D{DRIVE:09d}"]),
        ("/changer?drives=-,-,-,-", ["", ""]),
    ],
)
def test_drives_that_the_changer_does_not_tell_of_are_configured(
    simulated: Simulated, device: str, serials: list[str]
) -> None:
    simulated.no_device_ids = True
    library = simulated.open(device)
    assert [each.serial_number for each in library.read_identity().drives] == serials
    for address, serial in zip((DRIVE, DRIVE + 1), serials, strict=True):
        simulated.tapes[address] = Tape(f"T{address}")
        simulated.loaded.add(address)
        library.unload_drive(address, 1)  # where nothing is known of the drive the robot pulls
        for call in (library.load_drive, library.read_side, lambda drive, _: library.open_side(drive, 1, "rb")):
            if not serial:
                with pytest.raises(rsm.DeviceNotAvailableError):
                    call(address, 1)


def test_drive_that_nobody_tells_of_says_how_to_name_it(simulated: Simulated) -> None:
    simulated.no_device_ids = True
    library = simulated.open()
    library.move(SLOT, DRIVE, 1)
    with pytest.raises(rsm.DeviceNotAvailableError, match=r"add \?drives=ADDRESS"):
        library.load_drive(DRIVE, 1)


def test_drive_whose_device_became_another_is_looked_for_again(simulated: Simulated) -> None:
    names = {f"/drive-{DRIVE}": f"/drive-{DRIVE}", f"/drive-{DRIVE + 1}": f"/drive-{DRIVE + 1}"}

    def find(*_: Any) -> list[FoundDrive]:
        seen = [read_drive(name, lambda name: simulated.reach(names[name])) for name in names]
        return [each for each in seen if each is not None]

    def reach(device: str) -> Transport:
        return simulated.reach(names.get(device, device))

    library = ScsiLibrary("/changer", opener=reach, finder=find)
    library.move(SLOT, DRIVE, 1)
    library.load_drive(DRIVE, 1)
    names[f"/drive-{DRIVE}"], names[f"/drive-{DRIVE + 1}"] = f"/drive-{DRIVE + 1}", f"/drive-{DRIVE}"
    with library.open_side(DRIVE, 1, "wb") as file:
        file.write(b"x")
    assert simulated.tapes[DRIVE].blocks == [b"x", None]
    names.clear()
    names["/drive-9"] = f"/drive-{DRIVE + 1}"
    with pytest.raises(rsm.RsmError):
        library.load_drive(DRIVE, 1)


def test_drive_that_was_away_is_found_when_it_is_wanted(simulated: Simulated) -> None:
    present: list[FoundDrive] = []
    library = ScsiLibrary("/changer", opener=simulated.reach, finder=lambda *_: list(present))
    library.move(SLOT, DRIVE, 1)
    with pytest.raises(rsm.DeviceNotAvailableError):
        library.load_drive(DRIVE, 1)
    present.extend(simulated.find(simulated.reach))
    library.load_drive(DRIVE, 1)


def test_what_the_changer_tells_counts_before_what_is_configured(simulated: Simulated) -> None:
    library = simulated.open(f"/changer?drives=/drive-{DRIVE + 1},/drive-{DRIVE}")
    assert [each.serial_number for each in library.read_identity().drives] == [
        f"D{address:09d}" for address in (DRIVE, DRIVE + 1)
    ]


def test_changers_of_this_host_are_found(simulated: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drives, "list_devices", lambda _: ["/drive-256", "/nowhere"])
    found = list(scan(opener=simulated.reach, local=lambda kind: ["/changer", "/drive-257"] if kind == 8 else []))
    serial = f"D{DRIVE:09d}"
    first = DriveFound(DRIVE, 1, "/drive-256", "SIM", "ULTRIUM-TD8", serial, "serial number")
    assert found[0] == ChangerFound("/changer", "SIM", "CHANGER", "C0001", 6, 1, (first, DriveFound(DRIVE + 1, 2)))
    assert isinstance(found[1], ChangerFound)
    assert "no media changer" in str(found[1].problem)


def test_drives_that_no_changer_tells_of_are_found_too(simulated: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
    devices = ["/drive-256", "/drive-257", "/changer", "/nowhere"]
    monkeypatch.setattr(drives, "list_devices", lambda _: devices[:1])
    found = list(scan(opener=simulated.reach, local=lambda kind: ["/changer"] if kind == 8 else devices))
    assert found[1:] == [
        DriveFound(None, None, "/drive-257", "SIM", "ULTRIUM-TD8", f"D{DRIVE + 1:09d}"),
        DriveFound(None, None, "/nowhere", problem="/nowhere: there is no such device"),
    ]


T10 = f"{'SIM':8}{'ULTRIUM-TD8':16}"


def element(address: int, device_id: DeviceId | None) -> ElementDescriptor:
    return ElementDescriptor(4, address, False, False, False, True, 0, 0, 0, None, None, None, device_id)


def drive(number: int, *, naa: bytes = b"") -> FoundDrive:
    ids = (DeviceId(1, 3, naa),) if naa else ()
    return FoundDrive(f"/drive-{number}", "SIM", "ULTRIUM-TD8", f"S{number}", ids)


SERIAL = [element(number, DeviceId(2, 1, f"{T10}S{number}".encode())) for number in (1, 2)]
CUT = element(2, DeviceId(2, 1, T10.encode(), cut=True))


@pytest.mark.parametrize(
    ("elements", "found", "named", "expected"),
    [
        (SERIAL, [drive(2), drive(1), drive(3)], {}, {1: "1 serial number", 2: "2 serial number"}),
        ([element(1, DeviceId(2, 0, b"S2"))], [drive(1), drive(2)], {}, {1: "2 serial number"}),
        ([element(1, DeviceId(1, 3, b"\5nn"))], [drive(1, naa=b"\5nn"), drive(2)], {}, {1: "1 world-wide name"}),
        ([SERIAL[0], CUT], [drive(2), drive(1)], {}, {1: "1 serial number", 2: "2 beginning of its identifier"}),
        ([SERIAL[0], CUT], [drive(2), drive(1), drive(3)], {}, {1: "1 serial number"}),
        ([SERIAL[0], CUT], [drive(1)], {}, {1: "1 serial number"}),
        (SERIAL, [drive(1)], {1: "/drive-9", 2: "/drive-9"}, {1: "1 serial number", 2: "9 configuration"}),
        (SERIAL, [drive(1)], {2: "/drive-1"}, {1: "1 serial number"}),
        ([element(1, None)], [drive(1)], {}, {}),
        ([element(1, None)], [drive(1)], {1: "-"}, {}),
        ([SERIAL[0], element(2, SERIAL[0].device_id)], [drive(1)], {}, {}),
    ],
)
def test_which_drive_sits_where_is_known_or_is_not(
    elements: Any, found: Any, named: dict[int, str], expected: dict[int, str]
) -> None:
    matched = match_drives(elements, found, named)
    assert {at: f"{each.device.removeprefix('/drive-')} {each.known_by}" for at, each in matched.items()} == expected


def test_two_drives_with_one_serial_number_are_none(simulated: Simulated) -> None:
    twins = [FoundDrive(f"/drive-{at}", "SIM", "ULTRIUM-TD8", f"D{DRIVE:09d}") for at in (DRIVE, DRIVE + 1)]
    library = ScsiLibrary("/changer", opener=simulated.reach, finder=lambda *_: twins)
    assert [each.serial_number for each in library.read_identity().drives] == ["", ""]


@pytest.mark.parametrize(
    ("product", "media_type"),
    [
        ("ULTRIUM-TD8", "LTO-8"),
        ("Ultrium 5-SCSI", "LTO-5"),
        ("ULTRIUM-HH9", "LTO-9"),
        ("ULT3580-TD10", "LTO-10"),
        ("LTO ULTRIUM 4", "LTO-4"),
        ("VIRTUAL-TAPE", None),
        ("DLT8000", None),
        ("ULTRIUM", None),
    ],
)
def test_media_type_is_what_an_lto_drive_is_made_for(simulated: Simulated, product: str, media_type: str) -> None:
    drive = FoundDrive(f"/drive-{DRIVE}", "SIM", product, f"D{DRIVE:09d}")
    library = ScsiLibrary("/changer", opener=simulated.reach, finder=lambda *_: [drive])
    assert library.read_identity().media_types == ((media_type,) if media_type else ())


def test_device_that_is_no_changer_is_refused(simulated: Simulated) -> None:
    with pytest.raises(rsm.InvalidLibraryError, match="no media changer but a SCSI device of type 1"):
        simulated.open(f"/drive-{DRIVE}")
    assert simulated.closed == 1


# --- its elements ---------------------------------------------------------------------------------------------------


def test_status_of_elements(simulated: Simulated, library: ScsiLibrary) -> None:
    library.move(SLOT, DRIVE, 1)
    simulated.exceptions = {SLOT + 2: (0x3B, 0x12)}
    read = {each.name: each for each in library.read_elements()}
    slot, drive = ElementKind.SLOT, ElementKind.DRIVE
    assert read["slot-0001"] == ElementStatus(SLOT, slot, 1, "slot-0001", False, True)
    assert read["slot-0002"] == ElementStatus(
        SLOT + 1, slot, 2, "slot-0002", True, True, "B00002L8", Cartridge(sides=1)
    )
    assert read["drive-01"] == ElementStatus(
        DRIVE, drive, 1, "drive-01", True, False, "A00001L8", Cartridge(sides=1), source=SLOT, inverted=False
    )
    assert read["slot-0003"].exception == "slot-0003: the magazine is not there"
    assert list(read) == ["robot-01", *(f"slot-{at:04d}" for at in range(1, 7)), "port-01", "drive-01", "drive-02"]


def test_device_that_never_says_what_it_can_reach_is_taken_to_reach_all(simulated: Simulated) -> None:
    simulated.no_access = True
    library = simulated.open()
    assert all(each.accessible for each in library.read_elements())
    library.move(SLOT, DRIVE, 1)
    library.unload_drive(DRIVE, 1)
    library.move(DRIVE, SLOT + 5, 1)
    assert full(library) == {SLOT + 1: "B00002L8", SLOT + 5: "A00001L8"}


def test_bar_codes_that_are_there_twice_or_cannot_be_are_told(simulated: Simulated, library: ScsiLibrary) -> None:
    for at in range(2, 6):
        simulated.tapes[SLOT + at] = Tape("B00002L8")
    simulated.tapes[SLOT] = Tape("A/1")
    simulated.tapes[PORT] = Tape("")
    read = {each.address: each for each in library.read_elements()}
    assert read[SLOT + 1].exception == ("slot-0002: the bar code B00002L8 is in slot-0003, slot-0004, slot-0005 too")
    assert read[SLOT + 5].exception
    assert read[SLOT + 5].cartridge is None
    for address in (SLOT, PORT):
        assert (read[address].barcode, read[address].cartridge) == (None, Cartridge(sides=1))
    assert read[PORT].placed_by_operator is False
    (alone,) = library.read_elements([SLOT + 1])
    assert alone.exception is None


OFF_STANDARD: dict[str, dict[str, Any]] = {
    "no device identifiers": {"no_device_ids": True},
    "no bar codes": {"no_tags": True},
    "short answers only": {"longest_answer": 4096},
    "the shortest answers": {"longest_answer": 1024},
    "a descriptor length of 0": {"stated_length": 0},
    "a descriptor length that lies": {"stated_length": 48},
}


@pytest.mark.parametrize("case", OFF_STANDARD)
def test_changer_off_the_standard_is_read_and_worked(case: str) -> None:
    simulated = Simulated(slots=100)
    simulated.tapes = {SLOT: Tape("A00001L8"), SLOT + 1: Tape("B00002L8")}
    for name, value in OFF_STANDARD[case].items():
        setattr(simulated, name, value)
    library = simulated.open()
    assert len(list(library.read_elements())) == 1 + 100 + 1 + 2
    codes = dict.fromkeys(HOMES) if case == "no bar codes" else HOMES
    assert full(library) == codes
    library.read_identity()
    library.move(SLOT, SLOT + 99, 1)
    assert full(library) == {SLOT + 1: codes[SLOT + 1], SLOT + 99: codes[SLOT]}
    before = simulated.codes().count(STATUS)
    list(library.read_elements([SLOT, SLOT + 1, SLOT + 99, DRIVE]))
    assert simulated.codes().count(STATUS) - before == 3  # what was refused once is not asked again


def test_element_that_is_not_told_of_is_an_exception(simulated: Simulated, library: ScsiLibrary) -> None:
    simulated.ranges[2] = range(SLOT, SLOT + 5)
    read = {each.address: each for each in library.read_elements()}
    assert read[SLOT + 5].full is None
    assert read[SLOT + 5].exception == "slot-0006: the changer does not tell of it"
    library.claim(1)
    assert SLOT + 5 not in {each.address for each in library.read_elements()}


def test_refused_reading_says_why(simulated: Simulated, library: ScsiLibrary) -> None:
    simulated.script = lambda _, cdb: refusal(BECOMING) if cdb[0] == STATUS else None
    with pytest.raises(rsm.NotReadyError, match="becoming ready"):
        library.read_elements()
    simulated.script = lambda _, cdb: refusal((5, 0x24, 0)) if cdb[0] == STATUS else None
    with pytest.raises(rsm.NotSupportedError):
        library.read_elements()


def test_sixty_thousand_elements_are_inventoried_in_bounded_memory() -> None:
    simulated = Simulated(slots=60_000)
    simulated.tapes = {SLOT + number: Tape(f"T{number:05d}L8") for number in range(0, 60_000, 2)}
    library = simulated.open()
    simulated.given.clear()
    tracemalloc.start()
    read = sum(1 for each in library.read_elements() if each.full)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert read == 30_000
    assert peak < 60_000_000
    assert simulated.codes().count(STATUS) < 60_000 * 52 // 65_000 + 10


# --- readiness ------------------------------------------------------------------------------------------------------


def test_door_and_power_are_told_once(simulated: Simulated, library: ScsiLibrary) -> None:
    ready = ReadinessState.READY
    assert library.check_readiness() == Readiness(ready)
    for attentions in ([DOOR], [SWITCHED_ON, DOOR, (6, 0x2A, 0x01)], [(6, 0x3B, 0x13)]):
        simulated.attentions["/changer"] = list(attentions)
        assert library.check_readiness() == Readiness(ready, contents_may_differ=True)
        assert library.check_readiness() == Readiness(ready)
    simulated.attentions["/changer"] = [(6, 0x2A, 0x01)]
    assert library.check_readiness() == Readiness(ready)
    simulated.attentions["/changer"] = [DOOR]
    assert full(library) == HOMES  # whoever meets it first
    assert library.check_readiness().contents_may_differ


def test_attentions_without_an_end_are_given_up(simulated: Simulated, library: ScsiLibrary) -> None:
    simulated.attentions["/changer"] = [DOOR] * 100
    with pytest.raises(rsm.NotReadyError):
        library.move(SLOT, SLOT + 5, 1)
    simulated.attentions["/changer"] = [DOOR] * 100
    assert library.check_readiness().state is ReadinessState.BECOMING_READY


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (refusal(BECOMING), ReadinessState.BECOMING_READY),
        (refusal((2, 0x04, 0x03)), ReadinessState.NOT_READY),
        (refusal((2, 0x3A, 0x00)), ReadinessState.NOT_READY),
        (refusal((4, 0x44, 0x00)), ReadinessState.NOT_READY),
        (Reply(0x08), ReadinessState.BECOMING_READY),
        (Reply(0x18), ReadinessState.BECOMING_READY),
        (Reply(0x77), ReadinessState.NOT_READY),
        (LostError("gone"), ReadinessState.NOT_READY),
    ],
)
def test_changer_that_is_not_ready_says_so_and_is_not_waited_for(
    simulated: Simulated, library: ScsiLibrary, answer: Any, state: ReadinessState
) -> None:
    simulated.script = scripted({0x00: [answer] * 9})
    told = library.check_readiness()
    assert told.state is state
    assert told.text
    simulated.script = scripted({0x00: [answer] * 9})
    with pytest.raises(rsm.RsmError):
        library.claim(1)


def test_changer_that_waits_to_be_initialised_is_so_by_the_claim(simulated: Simulated, library: ScsiLibrary) -> None:
    simulated.script = lambda _, cdb: refusal(UNINITIALISED) if cdb[0] == 0 else None
    assert library.check_readiness().state is ReadinessState.READY
    assert INITIALIZE not in simulated.codes()
    library.claim(1)
    assert simulated.codes().count(INITIALIZE) == 1


def test_reconnection_is_told(simulated: Simulated, library: ScsiLibrary) -> None:
    library._changer.transport.connections += 1
    assert library.check_readiness() == Readiness(ReadinessState.READY, contents_may_differ=True)
    assert library.check_readiness() == Readiness(ReadinessState.READY)
