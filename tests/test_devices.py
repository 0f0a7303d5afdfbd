"""Libraries and their devices on record: adding them, and keeping them in line with what the device tells."""

import dataclasses
import logging
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faults
import pytest
from robots import HERE, Told, make_folder, objects, rows_of, sync, told_by
from watch import new_events, nothing_changed, refused

import rsm
from rsm import model, place, schema
from rsm.constants import (
    NtmsDriveState,
    NtmsInventoryMethod,
    NtmsLibraryType,
    NtmsLmOperation,
    NtmsLmState,
    NtmsOperationalState,
    NtmsPortContent,
    NtmsSlotState,
)
from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.libraries.virtual import create
from rsm.security import ALL_RIGHTS
from rsm.services import devices

READY, NOT_PRESENT = NtmsOperationalState.NTMS_READY, NtmsOperationalState.NTMS_NOT_PRESENT
EMPTY, UNSEEN, ABSENT = (
    NtmsSlotState.NTMS_SLOTSTATE_EMPTY,
    NtmsSlotState.NTMS_SLOTSTATE_NEEDSINVENTORY,
    NtmsSlotState.NTMS_SLOTSTATE_NOTPRESENT,
)
DEVICES = (Kind.NTMS_CHANGER, Kind.NTMS_DRIVE, Kind.NTMS_STORAGESLOT, Kind.NTMS_IEPORT)


@pytest.fixture
def session(connect: Callable[..., rsm.Session]) -> rsm.Session:
    """A session that carries out no library work: here only records are looked at."""
    return connect(worker=False)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """A virtual library of 4 slots, 2 drives and a port, with a cartridge in slot 2 and one in the port."""
    return make_folder(tmp_path)


# Adding


def test_a_library_is_put_on_record_with_all_its_device_tells(session: rsm.Session, url: str, folder: str) -> None:
    with session.because("new robot"), new_events(session) as events:
        library = session.libraries.add("virtual", folder)
    assert library == session.libraries.get("Robot")
    assert (library.name, library.library_type, library.enabled, library.operational_state, library.auto_recovery) == (
        "Robot",
        NtmsLibraryType.NTMS_LIBRARYTYPE_ONLINE,
        True,
        READY,
        True,
    )
    assert (library.barcode_reader, library.inventory_method) == (True, NtmsInventoryMethod.NTMS_INVENTORY_FAST)
    assert (library.drives, library.slots, library.ports, library.changers, library.requests) == (2, 4, 1, 1, 1)
    assert session.acl.get(Kind.NTMS_LIBRARY, library).owner == "user:admin"
    drives, slots = session.libraries.drives(library), session.libraries.slots("Robot")
    assert [(drive.number, drive.name, drive.path, drive.defer_dismount_seconds, drive.state) for drive in drives] == [
        (number, f"drive-0{number}", f"{folder}/drive-0{number}.media", 300, NtmsDriveState.NTMS_DRIVESTATE_DISMOUNTED)
        for number in (1, 2)
    ]
    assert [(slot.number, slot.name, slot.state) for slot in slots] == [
        (1, "slot-0001", EMPTY),
        (2, "slot-0002", UNSEEN),
        (3, "slot-0003", EMPTY),
        (4, "slot-0004", EMPTY),
    ]
    assert [port.content for port in session.libraries.ports(library)] == [NtmsPortContent.NTMS_PORTCONTENT_FULL]
    (changer,) = objects(session, Kind.NTMS_CHANGER, library).values()
    assert (changer.number, changer.path) == (1, folder)
    assert [each.name for each in session.types.list(library)] == ["LTO-8"]
    assert session.pools.get(r"\Free\LTO-8").media_type == session.types.get("LTO-8").id
    (drive_type,) = {drive.drive_type for drive in drives}
    assert rows_of(url, model.DriveTypeMediaType, "drive_type_id", "reads", "writes", "protected_only") == {
        (drive_type, True, True, False)
    }
    (request,) = (session.objects.get(Kind.NTMS_LIBREQUEST, id) for id in session.objects.list(Kind.NTMS_LIBREQUEST))
    assert (request.operation, request.state, request.library, request.user) == (
        NtmsLmOperation.NTMS_LM_INVENTORY,
        NtmsLmState.NTMS_LM_QUEUED,
        library.id,
        "user:admin",
    )
    # an event for each object, the change of the library's media types, and of what the drive type takes
    inserted = [event.kind for event in events if event.operation is Operation.NTMS_OBJ_INSERT]
    assert {kind: inserted.count(kind) for kind in set(inserted)} == {
        Kind.NTMS_LIBRARY: 1,
        Kind.NTMS_CHANGER: 1,
        Kind.NTMS_CHANGER_TYPE: 1,
        Kind.NTMS_DRIVE: 2,
        Kind.NTMS_DRIVE_TYPE: 1,
        Kind.NTMS_STORAGESLOT: 4,
        Kind.NTMS_IEPORT: 1,
        Kind.NTMS_MEDIA_POOL: 3,
    }
    assert {event.reason for event in events} == {"new robot"}
    assert schema.check(url) == []


def test_drives_of_one_make_share_a_type_and_what_it_takes(session: rsm.Session, url: str, tmp_path: Path) -> None:
    libraries = [
        session.libraries.add("virtual", create(tmp_path / name, 1, 1, 0, media_type))
        for name, media_type in (("one", "LTO-8"), ("two", "LTO-8"), ("three", "CD_ROM"))
    ]
    types = [session.libraries.drives(library)[0].drive_type for library in libraries]
    assert types[0] == types[1] != types[2]
    assert [session.objects.get(Kind.NTMS_DRIVE_TYPE, each).name for each in types[1:]] == [
        "rsm virtual LTO-8",
        "rsm virtual CD_ROM",
    ]
    assert session.objects.get(Kind.NTMS_DRIVE_TYPE, types[2]).device_type == rsm.FILE_DEVICE_TYPE.FILE_DEVICE_CD_ROM
    taken = rows_of(url, model.DriveTypeMediaType, "drive_type_id", "reads", "writes")
    assert (types[2], True, False) in taken  # nothing writes what can only be read


def test_media_types_that_the_caller_names_count(session: rsm.Session, folder: str) -> None:
    library = session.libraries.add("virtual", folder, name="Mixed", media_types=["LTO-7", session.types.get("LTO-8")])
    assert (library.name, {each.name for each in session.types.list(library)}) == ("Mixed", {"LTO-7", "LTO-8"})


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"back_end": "sausage"}, rsm.NotSupportedError, "virtual"),
        ({"address": "{folder}/nowhere"}, rsm.DeviceNotAvailableError, "nowhere"),
        ({"address": "{folder}/slot-0001"}, rsm.InvalidLibraryError, "library.toml"),
        ({"back_end": "\ud800\0"}, rsm.NotSupportedError, "virtual"),
        ({"address": "x" * 100_000}, rsm.InvalidNameError, "too long"),
        ({"address": ""}, rsm.InvalidParameterError, "address"),
        ({"address": "a\0b"}, rsm.InvalidParameterError, "address"),
        ({"address": "a\udc80b"}, rsm.InvalidParameterError, "address"),
        ({"name": ""}, rsm.InvalidNameError, "empty"),
        ({"name": "x" * 64}, rsm.InvalidNameError, "63"),
        ({"name": "Offline"}, rsm.AlreadyExistsError, "Offline"),
        ({"media_types": []}, rsm.InvalidParameterError, "media types"),
        ({"media_types": ["LTO-99"]}, rsm.InvalidMediaError, "LTO-99"),
        ({"media_types": ["LTO-8", uuid.uuid4()]}, rsm.InvalidMediaError, "rsm type create"),
    ],
)
def test_a_library_that_cannot_be_added_leaves_nothing(
    session: rsm.Session, url: str, folder: str, options: dict[str, Any], error: type[rsm.RsmError], says: str
) -> None:
    given = {"back_end": "virtual", "address": "{folder}", **options}
    given["address"] = given["address"].replace("{folder}", folder)
    with nothing_changed(url), pytest.raises(error, match=says) as caught:
        session.libraries.add(given.pop("back_end"), given.pop("address"), **given)
    assert type(caught.value) is error


def test_more_refusals(
    session: rsm.Session, url: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = create(tmp_path / "unknown", 1, 1, 0, "Wax cylinder")
    session.libraries.add("virtual", folder)
    os.symlink(folder, tmp_path / "link")
    with nothing_changed(url):
        for again in (folder, f"{folder}/../robot", str(tmp_path / "link")):
            with pytest.raises(rsm.AlreadyExistsError, match="it is the library Robot"):
                session.libraries.add("virtual", again, name="Other")
        with pytest.raises(rsm.InvalidMediaError, match=r"Wax cylinder.*rsm type create"):
            session.libraries.add("virtual", unknown)
        with refused(rsm.InvalidOperationError), session.transaction():
            session.libraries.add("virtual", unknown)
        device = os.stat(unknown).st_dev
        mounts = tmp_path / "mountinfo"
        mounts.write_text(f"22 1 {os.major(device)}:{os.minor(device)} / / rw shared:1 - nfs4 server:/ rw\n")
        monkeypatch.setattr(place.network_file_system, "__defaults__", (mounts,))
        with pytest.raises(rsm.NotSupportedError, match="nfs4"):
            session.libraries.add("virtual", unknown)
        for wrong in ({"name": 1}, {"media_types": "LTO-8"}, {"media_types": [1]}):
            with pytest.raises(TypeError):
                session.libraries.add("virtual", folder, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "bad",
    [
        lambda told: told.with_element(1002, address=1001),
        lambda told: told.with_element(1002, address=1),
        lambda told: told.with_element(1002, number=1),
    ],
)
def test_a_device_that_contradicts_itself_is_refused(
    session: rsm.Session, url: str, folder: str, bad: Callable[[Told], Told]
) -> None:
    told = bad(told_by(folder))
    with nothing_changed(url), refused(rsm.InvalidLibraryError):
        session.write(
            devices.add_library, session.caller, None, "virtual", folder, told.identity, told.elements, HERE, None
        )
    library = session.libraries.add("virtual", folder)
    with nothing_changed(url), refused(rsm.InvalidLibraryError):
        sync(session, library, told)


def test_a_device_that_cannot_tell_its_media_types_needs_them_named(session: rsm.Session, folder: str) -> None:
    told = told_by(folder)
    silent = dataclasses.replace(told.identity, media_types=(), has_barcode_reader=False, name="\x07Bell\0")
    arguments = (session.caller, None, "test", "address", silent, told.elements, HERE)
    with pytest.raises(rsm.InvalidParameterError, match="media types"):
        session.write(devices.add_library, *arguments)
    library = session.write(devices.add_library, *arguments, ["LTO-8"])
    assert (library.name, library.inventory_method) == ("Bell", NtmsInventoryMethod.NTMS_INVENTORY_OMID)


@pytest.mark.parametrize("era", ["2003", "2000"])
def test_rights(
    new_url: Callable[..., str], connect: Callable[..., rsm.Session], folder: str, tmp_path: Path, era: str
) -> None:
    url = new_url(era=era)
    session = connect(database=url, worker=False)
    alice = connect("user:alice", database=url, worker=False)
    computer = session.objects.list(Kind.NTMS_COMPUTER)[0]

    def give(kind: Kind, guard: Any, *rights: rsm.AccessRights) -> None:
        alices = tuple(rsm.Ace(True, "user:alice", each) for each in rights)
        own = rsm.Ace(True, "administrators", ALL_RIGHTS)  # in the 2000 era they need them like anybody
        session.acl.set(kind, guard, rsm.SecurityDescriptor("user:nobody", (*alices, own)))

    everything_but_modify = (rsm.AccessRights.USE, rsm.AccessRights.CONTROL)
    give(Kind.NTMS_COMPUTER, computer, *everything_but_modify)
    with nothing_changed(url), refused(rsm.AccessDeniedError):
        alice.libraries.add("virtual", folder)
    give(Kind.NTMS_COMPUTER, computer, rsm.AccessRights.MODIFY)
    library = alice.libraries.add("virtual", folder)
    give(Kind.NTMS_COMPUTER, computer)
    drive = session.libraries.drives(library)[0]
    sync(session, library, told_by(folder).without(101))
    give(Kind.NTMS_LIBRARY, library, *everything_but_modify)
    with nothing_changed(url):
        with refused(rsm.AccessDeniedError):
            alice.libraries.delete(library)
        with refused(rsm.AccessDeniedError):
            alice.libraries.delete_drive(drive)
    give(Kind.NTMS_LIBRARY, library, rsm.AccessRights.MODIFY)
    alice.libraries.delete_drive(drive)
    alice.libraries.delete(library)
    assert [each.name for each in session.libraries.list()] == ["Offline"]


# Keeping in line


def test_a_second_look_writes_nothing(session: rsm.Session, url: str, folder: str) -> None:
    library = session.libraries.add("virtual", folder)
    with nothing_changed(url), faults.recording(session) as fault:
        assert sync(session, library, told_by(folder)) is False
        assert sync(session, library, told_by(folder).with_element(1001, full=True)) is False  # an inventory's work
    assert not [call for call in fault.calls if call.startswith(("INSERT", "UPDATE", "DELETE"))]
    assert len([call for call in fault.calls if call.startswith("SELECT")]) <= 2 * 10


def test_what_is_gone_is_not_present_and_comes_back(session: rsm.Session, url: str, folder: str) -> None:
    library = session.libraries.add("virtual", folder)
    whole = told_by(folder)
    before = {kind: objects(session, kind, library) for kind in DEVICES}
    with new_events(session) as events:
        assert sync(session, library, whole.without(1, 101, 1002, 1003, 201)) is True
    assert {(event.kind, event.call) for event in events} == {(kind, "sync_library") for kind in DEVICES}
    gone = {
        (kind, number)
        for kind in DEVICES
        for number, each in objects(session, kind, library).items()
        if each.operational_state is NOT_PRESENT
    }
    assert gone == {
        (Kind.NTMS_CHANGER, 1),
        (Kind.NTMS_DRIVE, 1),
        (Kind.NTMS_STORAGESLOT, 2),
        (Kind.NTMS_STORAGESLOT, 3),
        (Kind.NTMS_IEPORT, 1),
    }
    assert objects(session, Kind.NTMS_STORAGESLOT, library)[2].state is ABSENT
    assert objects(session, Kind.NTMS_IEPORT, library)[1].content is NtmsPortContent.NTMS_PORTCONTENT_UNKNOWN
    assert [objects(session, kind, library)[1].path for kind in DEVICES[:2]] == ["", ""]
    with nothing_changed(url):
        assert sync(session, library, whole.without(1, 101, 1002, 1003, 201)) is False
    assert sync(session, library, whole) is True
    for kind in DEVICES:
        after = objects(session, kind, library)
        for number, each in before[kind].items():
            assert dataclasses.replace(after[number], modified=each.modified) == each
    with nothing_changed(url):
        assert sync(session, library, whole) is False
    assert schema.check(url) == []


def test_what_is_new_is_put_on_record(session: rsm.Session, folder: str, tmp_path: Path) -> None:
    library = session.libraries.add("virtual", folder)
    larger = told_by(create(tmp_path / "larger", 6, 3, 2, "LTO-8"))
    with new_events(session) as events:
        assert sync(session, library, larger) is True
    assert sorted(event.kind for event in events if event.operation is Operation.NTMS_OBJ_INSERT) == sorted(
        [Kind.NTMS_STORAGESLOT, Kind.NTMS_STORAGESLOT, Kind.NTMS_DRIVE, Kind.NTMS_IEPORT]
    )
    assert [drive.drive_type for drive in session.libraries.drives(library)][2:] == [
        session.libraries.drives(library)[0].drive_type
    ]
    assert sync(session, library, larger) is False


@pytest.mark.parametrize(
    ("change", "kind", "after"),
    [
        (lambda told: told.with_drive(101, serial_number="S1"), Kind.NTMS_DRIVE, {"serial_number": "S1"}),
        (lambda told: told.with_drive(101, path="/dev/nst0"), Kind.NTMS_DRIVE, {"path": "/dev/nst0", "host": HERE}),
        (lambda told: told.with_drive(101, path=None), Kind.NTMS_DRIVE, {"path": None, "host": HERE}),
        (lambda told: told.with_element(1004, address=1400), Kind.NTMS_STORAGESLOT, {"element": 1400}),
    ],
)
def test_one_change_is_one_event(
    session: rsm.Session, folder: str, change: Callable[[Told], Told], kind: Kind, after: dict[str, Any]
) -> None:
    library = session.libraries.add("virtual", folder)
    told = change(told_by(folder))
    with new_events(session) as events:
        assert sync(session, library, told) is True
    assert [(event.kind, event.after) for event in events] == [(kind, after)]
    assert sync(session, library, told) is False


def test_a_drive_that_was_replaced_is_of_its_new_type(session: rsm.Session, url: str, folder: str) -> None:
    library = session.libraries.add("virtual", folder)
    told = told_by(folder).with_drive(101, vendor="HPE", product="Ultrium 8", serial_number="S1")
    assert sync(session, library, told) is True
    first, second = session.libraries.drives(library)
    assert session.objects.get(Kind.NTMS_DRIVE_TYPE, first.drive_type).name == "HPE Ultrium 8"
    assert (first.serial_number, first.drive_type != second.drive_type) == ("S1", True)
    taken = rows_of(url, model.DriveTypeMediaType, "drive_type_id")
    assert taken == {(first.drive_type,), (second.drive_type,)}
    # A drive that cannot tell who it is for a while is still the one it was.
    silent = told.with_drive(101, vendor="", product="", serial_number="")
    assert sync(session, library, silent) is False


def test_another_host_has_paths_of_its_own(session: rsm.Session, url: str, folder: str) -> None:
    library = session.libraries.add("virtual", folder)
    before = rows_of(url, model.DevicePath, "device_id", "host", "path")
    assert sync(session, library, told_by(folder).with_drive(102, path=None), "there") is True
    new = rows_of(url, model.DevicePath, "device_id", "host", "path") - before
    drive = session.libraries.drives(library)[0]
    (changer,) = objects(session, Kind.NTMS_CHANGER, library).values()
    assert new == {(drive.id, "there", f"{folder}/drive-01.media"), (changer.id, "there", folder)}
    assert sync(session, library, told_by(folder)) is False


def test_a_library_that_takes_another_media_type_now(
    session: rsm.Session, url: str, folder: str, caplog: pytest.LogCaptureFixture
) -> None:
    library = session.libraries.add("virtual", folder)
    told = told_by(folder)
    told.identity = dataclasses.replace(told.identity, media_types=("LTO-8", "LTO-7", "Wax cylinder"))
    with caplog.at_level(logging.WARNING):
        assert sync(session, library, told) is True
    assert {each.name for each in session.types.list(library)} == {"LTO-8", "LTO-7"}
    assert r"\Free\LTO-7" in [pool.path for pool in session.pools.list(recursive=True)]
    assert "Wax cylinder" in caplog.text
    assert len(rows_of(url, model.DriveTypeMediaType, "media_type_id")) == 2
    assert sync(session, library, told) is False


def test_a_library_that_was_deleted_meanwhile_is_refused(session: rsm.Session, folder: str) -> None:
    library = session.libraries.add("virtual", folder)
    session.libraries.delete(library)
    with refused(rsm.InvalidLibraryError):
        sync(session, library, told_by(folder))


def test_places_by_address(session: rsm.Session, folder: str) -> None:
    library = session.libraries.add("virtual", folder)
    session.objects.disable(Kind.NTMS_DRIVE, session.libraries.drives(library)[1])
    sync(session, library, told_by(folder).without(1004))
    places = session.read(devices.read_elements_of, library.id)
    assert sorted(places) == [1, 101, 102, 201, 1001, 1002, 1003, 1004]
    assert {address for address, each in places.items() if not each.present} == {1004}
    assert {address for address, each in places.items() if not each.enabled} == {102}
    drive = session.libraries.drives(library)[0]
    assert places[101] == devices.Place(Kind.NTMS_DRIVE, drive.id, 101, 1, True, True, "drive-01")
    # What took the address of something that is gone counts.
    sync(session, library, told_by(folder).without(1004).with_element(1003, address=1004))
    assert session.read(devices.read_elements_of, library.id)[1004].number == 3
    assert session.read(devices.read_elements_of, uuid.uuid4()) == {}


def test_states_are_set_with_an_event_when_they_change(session: rsm.Session, url: str, folder: str) -> None:
    library = session.libraries.add("virtual", folder)
    service = NtmsOperationalState.NTMS_NEEDS_SERVICE
    for kind, id in ((Kind.NTMS_LIBRARY, library.id), (Kind.NTMS_DRIVE, session.libraries.drives(library)[0].id)):
        with new_events(session) as events:
            assert session.write(devices.set_state, kind, id, service) is True
        assert [(event.kind, event.before, event.after) for event in events] == [
            (kind, {"operational_state": 0}, {"operational_state": 20})
        ]
        assert session.objects.get(kind, id).operational_state is service
        with nothing_changed(url):
            assert session.write(devices.set_state, kind, id, service) is False
            assert session.write(devices.set_state, kind, uuid.uuid4(), service) is False
