"""Stand-alone drives that are really worked: what a person puts in and takes out, mounts, free labels, ejecting."""

import contextlib
import errno
import io
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import label_samples
import pytest
from mounting import Heard
from working import Robot

import rsm
from rsm import schema
from rsm.constants import NtmsDriveState, NtmsLibraryType, NtmsLmState, NtmsMediaPoolPolicy, NtmsOperationalState
from rsm.constants import NtmsMediaState as MediaState
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsPartitionState as State
from rsm.libraries.standalone_disk import StandaloneDisk
from rsm.libraries.virtual_make import make_cartridge
from rsm.nouns.standalone import read_volume
from rsm.services import detection as service
from rsm.services import ports, queue

pytestmark = pytest.mark.works

LONG_MS = 60_000
DISK_TYPE = "IOMEGA_JAZ"
SIZE = 2 * 2**20


@dataclass
class Feeder(Robot):
    """A stand-alone drive, the person who feeds it, and a shelf beside it."""

    back_end: str = "standalone"
    media_type: str = "LTO-8"

    def attach(self) -> "Feeder":
        self.library = self.session.libraries.add(
            self.back_end, str(self.folder), name=self.folder.stem.capitalize(), media_types=[self.media_type]
        )
        self.drain()
        return self

    def make(self, barcode: str, data: bytes = b"", media_type: str = "LTO-8", sides: int = 1) -> Path:
        """Make a cartridge on the shelf."""
        made = Path(make_cartridge(self.shelf, barcode, media_type, capacity_bytes=10_000, sides=sides).path)
        if data:
            (made / "side-1").write_bytes(data)
        return made

    def put_in(self, name: str) -> None:
        """Put what lies on the shelf into the drive: a folder into a folder, a disk in its place."""
        goal = self.folder / name if self.folder.is_dir() else self.folder
        os.rename(self.shelf / name, goal)

    def take_out(self, name: str) -> Path:
        """Put what is in the drive on the shelf."""
        source = self.folder / name if self.folder.is_dir() else self.folder
        os.rename(source, self.shelf / name)
        return self.shelf / name

    @property
    def held(self) -> rsm.PhysicalMedium | None:
        """Return the cartridge that is in the drive by the record."""
        found = [each for each in self.session.media.list() if each.location == self.drive().id]
        return found[0] if found else None

    def held_by(self, name: str) -> str:
        medium = self.session.media.get(name)
        return self.session.libraries.get(medium.library).name

    def answer(self, satisfied: bool = True) -> None:
        """Answer what an operator was asked."""
        (asked,) = self.session.operators.list(rsm.NtmsOpreqState.NTMS_OPSTATE_SUBMITTED)
        (self.session.operators.satisfy if satisfied else self.session.operators.refuse)(asked)

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the record says something."""
        mark = self.session.watcher.mark()
        for _ in range(120):
            if condition():
                return
            mark = self.session.watcher.wait(mark, 0.5)
        raise AssertionError("it has not come to that in a minute")

    def own(self, barcode: str) -> rsm.LogicalMedium:
        """Let an application have the cartridge in the drive, by way of the free pool."""
        self.session.media.move(barcode, rf"\Free\{self.media_type}")
        self.drain()
        self.session.pools.create(r"\App", media_type=self.media_type, allocate_from_free=True, exist_ok=True)
        side = self.session.media.sides(barcode)[0]
        assert side.state is State.NTMS_PARTSTATE_AVAILABLE
        return self.session.media.allocate(r"\App", side=side, timeout_ms=LONG_MS)


@pytest.fixture(autouse=True)
def sound(url: str, session: rsm.Session) -> Iterator[None]:
    """Whatever happened, the catalogue is sound in the end."""
    yield
    session.close()
    assert schema.check(url) == []


@pytest.fixture
def feeder(session: rsm.Session, tmp_path: Path) -> Feeder:
    """A folder that a person feeds, empty, with A00001 and B00002 on the shelf."""
    (tmp_path / "feeder").mkdir()
    feeder = Feeder(session, tmp_path / "feeder").attach()
    for barcode in ("A00001", "B00002"):
        feeder.make(barcode)
    return feeder


def make_disk(path: Path, sample: str) -> None:
    path.write_bytes(label_samples.read_sample(sample).ljust(SIZE, b"\0") if sample else bytes(SIZE))


@pytest.fixture
def dock(session: rsm.Session, tmp_path: Path) -> Feeder:
    """A place for a disk, with an ext4 disk in it, and an XFS disk and a blank one on the shelf."""
    make_disk(tmp_path / "dock.img", "ext4")
    dock = Feeder(session, tmp_path / "dock.img", media_type=DISK_TYPE)
    make_disk(dock.shelf / "xfs", "xfs")
    make_disk(dock.shelf / "blank", "")
    return dock.attach()


def test_it_is_on_record_as_what_it_is(feeder: Feeder, dock: Feeder) -> None:
    for each in (feeder, dock):
        library = each.session.libraries.get(each.library)
        assert library.library_type is NtmsLibraryType.NTMS_LIBRARYTYPE_STANDALONE
        assert (library.changers, library.slots, library.ports, library.drives) == (0, 0, 0, 1)
        assert each.drive().path == str(each.folder)
    session = feeder.session
    with pytest.raises(rsm.AlreadyExistsError):
        session.libraries.add("standalone", f"{feeder.folder}/", name="Again", media_types=["LTO-8"])
    with pytest.raises(rsm.InvalidParameterError, match="media types"):
        session.libraries.add("standalone", str(feeder.shelf))
    with pytest.raises(rsm.DeviceNotAvailableError):
        session.libraries.add("standalone", str(feeder.folder / "gone"), media_types=["LTO-8"])
    with pytest.raises(rsm.InvalidLibraryError):
        session.libraries.add("standalone", "/dev/null", media_types=["LTO-8"])


def test_a_cartridge_is_identified_labelled_allocated_written_and_read_where_it_lies(feeder: Feeder) -> None:
    session = feeder.session
    feeder.put_in("A00001")
    assert feeder.inventory()["appeared"] == 1
    assert feeder.states("A00001") == [State.NTMS_PARTSTATE_FOREIGN]
    medium = feeder.held
    assert medium is not None
    assert medium.media_state is MediaState.NTMS_MEDIASTATE_UNLOADED
    tape = feeder.own("A00001")
    with session.mounts.mount(tape, write=True, timeout_ms=LONG_MS) as mount:
        assert mount.path == f"{feeder.folder}/A00001/side-1"
        assert feeder.drive().state is NtmsDriveState.NTMS_DRIVESTATE_LOADED
        with mount.open("wb") as file:
            file.write(b"data")
    feeder.drain()
    assert feeder.drive().state is NtmsDriveState.NTMS_DRIVESTATE_UNLOADED
    with session.mounts.mount(tape, timeout_ms=LONG_MS) as mount:
        with mount.open("rb") as file:
            assert file.read() == b"data"
        mount.dismount(deferred=True)  # which means nothing here: the cartridge stays in any case
    feeder.drain()
    assert session.requests.list(live=True) == []
    assert feeder.drive().state is NtmsDriveState.NTMS_DRIVESTATE_UNLOADED
    told = session.events.list(limit=100_000)
    feeder.inventory()
    assert session.events.list(limit=100_000) == told  # nothing new


def test_two_sides_are_used_without_turning_the_cartridge(session: rsm.Session, tmp_path: Path) -> None:
    (tmp_path / "feeder").mkdir()
    feeder = Feeder(session, tmp_path / "feeder", media_type="MO_5_RW").attach()
    feeder.make("D00001", media_type="MO_5_RW", sides=2)
    feeder.put_in("D00001")
    feeder.inventory()
    session.media.move("D00001", r"\Free\MO_5_RW")
    feeder.drain()
    assert feeder.states("D00001") == [State.NTMS_PARTSTATE_AVAILABLE] * 2
    session.pools.create(r"\App", media_type="MO_5_RW", allocate_from_free=True)
    both = [session.media.allocate(r"\App", side=each, timeout_ms=LONG_MS) for each in session.media.sides("D00001")]
    for number, one in enumerate(both, start=1):
        with session.mounts.mount(one, write=True, timeout_ms=LONG_MS) as mount:
            assert mount.path == f"{feeder.folder}/D00001/side-{number}"
            with mount.open("wb") as file:
                file.write(b"side %d" % number)
    feeder.drain()
    for number in (1, 2):
        assert (feeder.folder / "D00001" / f"side-{number}").read_bytes() == b"side %d" % number


def test_a_mount_asks_for_what_is_on_the_shelf_and_goes_on_once_it_is_in(feeder: Feeder) -> None:
    """The operator says so, an inventory sees it, or an open change detection does; the other has to come out first."""
    session = feeder.session
    feeder.put_in("A00001")
    feeder.inventory()
    tape = feeder.own("A00001")
    for notice in ("satisfied", "inventory", "detection"):
        feeder.take_out("A00001")
        feeder.inventory()
        feeder.put_in("B00002")
        feeder.inventory()
        assert (feeder.held_by("A00001"), feeder.held_by("B00002")) == ("Offline", "Feeder")

        def bring(_: object, notice: str = notice) -> None:
            feeder.take_out("B00002")
            feeder.put_in("A00001")
            if notice == "satisfied":
                feeder.answer()
            elif notice == "inventory":
                session.libraries.inventory(feeder.library)

        heard = Heard(OPERATOR=bring)
        with contextlib.ExitStack() as stack:
            if notice == "detection":
                stack.enter_context(session.detection.begin()).watch(libraries=[feeder.library])
            with session.mounts.mount(tape, timeout_ms=LONG_MS, on_wait=heard) as mount:
                assert mount.path == f"{feeder.folder}/A00001/side-1"
        feeder.drain()
        assert session.operators.list(rsm.NtmsOpreqState.NTMS_OPSTATE_SUBMITTED) == []
        assert (feeder.held_by("A00001"), feeder.held_by("B00002")) == ("Feeder", "Offline")
        assert heard.told


def test_a_mount_ends_when_what_was_said_to_be_in_is_not(feeder: Feeder) -> None:
    session = feeder.session
    feeder.put_in("A00001")
    feeder.inventory()
    tape = feeder.own("A00001")
    feeder.take_out("A00001")
    feeder.inventory()
    with pytest.raises(rsm.MediaOfflineError, match="A00001"):
        session.mounts.mount(tape, timeout_ms=LONG_MS, on_wait=Heard(OPERATOR=lambda _: feeder.answer()))
    with pytest.raises(rsm.RequestRefusedError):
        session.mounts.mount(tape, timeout_ms=LONG_MS, on_wait=Heard(OPERATOR=lambda _: feeder.answer(False)))
    with pytest.raises(rsm.MediaOfflineError):
        session.mounts.mount(tape, error_if_offline=True)


def test_disks_are_known_by_their_file_systems_and_exchanged_unseen(dock: Feeder) -> None:
    """One goes and another comes between two inventories: the label tells, as there are no bar codes."""
    session = dock.session
    (first,) = session.media.list()
    assert dock.states(first.name) == [State.NTMS_PARTSTATE_IMPORT]
    assert session.media.sides(first)[0].label_type == "ext4"
    session.pools.create(r"\App", media_type=DISK_TYPE)
    held = session.media.allocate(r"\App", side=session.media.sides(first)[0], timeout_ms=LONG_MS)
    dock.take_out("ext4")
    dock.put_in("xfs")
    dock.inventory()
    assert dock.held is not None
    assert dock.held.id != first.id
    assert session.media.sides(dock.held)[0].label_type == "XFS"
    assert not session.objects.get(Kind.NTMS_PHYSICAL_MEDIA, first.id).location

    def bring_back(_: object) -> None:
        dock.take_out("xfs")
        dock.put_in("ext4")
        dock.answer()

    with session.mounts.mount(held, timeout_ms=LONG_MS, on_wait=Heard(OPERATOR=bring_back)) as mount:
        assert mount.path == str(dock.folder)
        assert mount.medium == first.id
    dock.drain()
    assert dock.held is not None
    assert dock.held.id == first.id


def test_a_blank_disk_gets_a_free_label_and_what_an_application_formats_is_known_again(dock: Feeder) -> None:
    session = dock.session
    dock.take_out("ext4")
    dock.put_in("blank")
    dock.inventory()
    assert dock.held is not None
    name = dock.held.name
    tape = dock.own(name)
    with session.mounts.mount(tape, write=True, timeout_ms=LONG_MS) as mount:
        assert mount.path is not None
        make_disk(Path(mount.path), "xfs")  # as mkfs would
    dock.drain()
    side = session.media.sides(name)[0]
    assert (side.label_type, side.state) == ("XFS", State.NTMS_PARTSTATE_ALLOCATED)
    volume = session.libraries.volume("Dock")
    assert (volume.path, volume.label_type, volume.mounted_at) == (str(dock.folder), "XFS", None)
    assert volume.label_id == side.label_id
    assert volume == session.libraries.volume(dock.drive()) == session.libraries.volume(str(dock.folder))
    assert volume == read_volume(str(dock.folder))


# Change detection


def test_changes_are_noticed_only_while_somebody_watches(feeder: Feeder, connect: Callable[..., rsm.Session]) -> None:
    session = feeder.session
    other = connect()
    with other.detection.begin() as detection:
        detection.watch(media_types=["LTO-8"])
        feeder.put_in("A00001")
        feeder.until(lambda: feeder.held is not None)
        feeder.drain()
        told = session.events.list(limit=100_000)[-1].id
        feeder.take_out("A00001")
        feeder.until(lambda: feeder.held is None)
        gone = feeder.folder.with_name("away")
        os.rename(feeder.folder, gone)
        absent = NtmsOperationalState.NTMS_NOT_PRESENT
        feeder.until(lambda: session.libraries.get("Feeder").operational_state is absent)
        assert feeder.drive().operational_state is absent
        os.rename(gone, feeder.folder)
        ready = NtmsOperationalState.NTMS_READY
        feeder.until(lambda: session.libraries.get("Feeder").operational_state is ready)
        assert feeder.drive().operational_state is ready
        assert session.events.list(limit=100_000)[-1].id > told
    feeder.drain()
    watching = [thread for thread in threading.enumerate() if thread.name == "rsm-watch"]
    for thread in watching:
        thread.join(30)
    feeder.put_in("A00001")
    before = len(session.requests.list())
    feeder.until(lambda: not any(thread.name == "rsm-watch" for thread in threading.enumerate()))
    assert feeder.held is None
    assert len(session.requests.list()) == before
    session.detection.poll(Kind.NTMS_LIBRARY, [feeder.library])
    feeder.drain()
    assert feeder.held is not None


def test_what_is_watched_ends_with_its_session(feeder: Feeder, connect: Callable[..., rsm.Session]) -> None:
    other = connect()
    detections = [other.detection.begin() for _ in range(2)]
    for detection in detections:
        detection.watch(libraries=["Feeder"])
        detection.watch(libraries=["Feeder"])
    assert feeder.session.read(service.list_watched) == {feeder.library.id}
    detections[0].end()
    detections[0].end()
    with pytest.raises(rsm.InvalidHandleError):
        detections[0].watch(libraries=["Feeder"])
    assert feeder.session.read(service.list_watched) == {feeder.library.id}
    other.close()
    assert detections[1].ended
    assert feeder.session.read(service.list_watched) == set()
    with feeder.session.detection.begin():
        assert len(feeder.session.read(service._read)) == 1
    for wrong, error in (
        ({"libraries": ["Offline"]}, rsm.InvalidLibraryError),
        ({"libraries": ["gone"]}, rsm.InvalidLibraryError),
        ({"media_types": ["gone"]}, rsm.InvalidMediaError),
        ({"media": ["gone"]}, rsm.InvalidMediaError),
    ):
        with feeder.session.detection.begin() as detection, pytest.raises(error):
            detection.watch(**wrong)  # type: ignore[arg-type]


def test_a_disk_exchanged_for_another_is_noticed_by_its_label(dock: Feeder) -> None:
    with dock.session.detection.begin() as detection:
        first = dock.held
        assert first is not None
        detection.watch(media=[first])
        dock.take_out("ext4")
        dock.put_in("xfs")
        dock.until(lambda: dock.session.media.sides(first)[0].label_type == "XFS")
    dock.drain()


class Unreadable(io.BytesIO):
    """What is recorded on a disk that has gone bad."""

    def read(self, _: int | None = -1, /) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_disk_whose_label_cannot_be_read_is_watched_on(
    dock: Feeder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = dock.held
    assert first is not None
    with caplog.at_level("WARNING", "rsm.worker"), dock.session.detection.begin() as detection:
        with monkeypatch.context() as trouble:
            trouble.setattr(StandaloneDisk, "open_side", lambda *_, **__: Unreadable())
            detection.watch(libraries=["Dock"])
            dock.until(lambda: any("dock.img: Input/output error" in each.message for each in caplog.records))
        assert dock.session.libraries.get("Dock").operational_state is NtmsOperationalState.NTMS_READY
        assert dock.held == first
        dock.take_out("ext4")
        dock.put_in("xfs")
        dock.until(lambda: dock.session.media.sides(first)[0].label_type == "XFS")
    dock.drain()
    assert [each.levelname for each in caplog.records if each.exc_info] == []


# Ejecting


def ejecting(feeder: Feeder, **options: bool) -> rsm.LibraryRequest:
    """Begin to eject and wait until an operator is asked."""
    request = feeder.session.libraries.eject(str(feeder.folder), **options)
    feeder.until(lambda: is_waiting(feeder, request))
    return request


def is_waiting(feeder: Feeder, request: rsm.LibraryRequest) -> bool:
    return feeder.session.requests.get(request).state is NtmsLmState.NTMS_LM_WAITING


@pytest.mark.parametrize(
    ("kept", "policy"),
    [
        (False, 0),
        (True, NtmsMediaPoolPolicy.NTMS_POOLPOLICY_KEEPOFFLINEIMPORT),
    ],
)
def test_what_is_ejected_goes_to_the_shelf_or_is_forgotten(dock: Feeder, kept: bool, policy: int) -> None:
    session = dock.session
    (computer,) = session.objects.list(Kind.NTMS_COMPUTER)
    session.objects.update(Kind.NTMS_COMPUTER, computer, media_pool_policy=policy)
    medium = dock.held
    assert medium is not None
    request = ejecting(dock)
    assert session.libraries.eject(dock.drive()).id == request.id
    dock.take_out("ext4")
    dock.answer()
    assert session.requests.wait(request, timeout_ms=LONG_MS).state is NtmsLmState.NTMS_LM_PASSED
    dock.drain()
    assert [each.id for each in session.media.list()] == ([medium.id] if kept else [])


def test_an_allocated_cartridge_is_kept_and_an_eject_can_be_stopped_or_refused(feeder: Feeder) -> None:
    session = feeder.session
    feeder.put_in("A00001")
    feeder.inventory()
    feeder.own("A00001")
    with pytest.raises(rsm.InvalidOperationError):
        session.libraries.stop_eject("Feeder")
    request = ejecting(feeder)
    with pytest.raises(rsm.InvalidOperationError):  # as no robot has a part in it
        session.libraries.attended(request)
    with pytest.raises(rsm.InvalidOperationError):
        session.write(ports.end_operation, session.caller, request.id, queue.EJECT)
    assert session.libraries.stop_eject("Feeder").id == request.id
    assert session.requests.get(request).state is NtmsLmState.NTMS_LM_STOPPED
    assert session.operators.list(rsm.NtmsOpreqState.NTMS_OPSTATE_SUBMITTED) == []
    for satisfied, error in ((False, rsm.RequestRefusedError), (True, rsm.BusyError)):  # said to be out, and is not
        request = ejecting(feeder)
        feeder.answer(satisfied)
        with pytest.raises(error):
            session.requests.wait(request, timeout_ms=LONG_MS)
    request = ejecting(feeder)
    feeder.take_out("A00001")
    feeder.inventory()
    assert session.requests.wait(request, timeout_ms=LONG_MS).state is NtmsLmState.NTMS_LM_PASSED
    assert session.operators.list(rsm.NtmsOpreqState.NTMS_OPSTATE_SUBMITTED) == []
    assert feeder.held_by("A00001") == "Offline"
    assert feeder.states("A00001") == [State.NTMS_PARTSTATE_ALLOCATED]
    empty = session.libraries.eject("Feeder")
    assert session.requests.wait(empty, timeout_ms=LONG_MS).state is NtmsLmState.NTMS_LM_PASSED


def test_what_is_in_use_is_waited_for_refused_or_taken(feeder: Feeder) -> None:
    session = feeder.session
    feeder.put_in("A00001")
    feeder.inventory()
    tape = feeder.own("A00001")
    mount = session.mounts.mount(tape, timeout_ms=LONG_MS)
    with pytest.raises(rsm.BusyError):
        session.libraries.eject("Feeder", error_if_busy=True)
    queued = session.libraries.eject("Feeder")
    assert session.requests.get(queued).state is NtmsLmState.NTMS_LM_QUEUED
    assert session.libraries.eject("Feeder", force=True).id == queued.id
    feeder.until(lambda: is_waiting(feeder, queued))
    with pytest.raises(rsm.InvalidStateError):
        mount.open("rb")
    feeder.take_out("A00001")
    feeder.answer()
    assert session.requests.wait(queued, timeout_ms=LONG_MS).state is NtmsLmState.NTMS_LM_PASSED


def test_a_drive_that_ejects_by_itself_needs_nobody(dock: Feeder, monkeypatch: pytest.MonkeyPatch) -> None:
    pushed = []

    def push_out(device: StandaloneDisk, drive: int, epoch: int) -> None:
        pushed.append(drive)
        dock.take_out("ext4")

    monkeypatch.setattr(StandaloneDisk, "eject_drive", push_out)
    request = dock.session.libraries.eject("Dock")
    assert dock.session.requests.wait(request, timeout_ms=LONG_MS).state is NtmsLmState.NTMS_LM_PASSED
    assert pushed == [101]
    assert dock.session.operators.list() == []
    assert dock.session.media.list() == []


# What goes wrong


def test_what_a_person_takes_out_while_it_is_in_use_is_not_mounted_any_more(feeder: Feeder) -> None:
    session = feeder.session
    feeder.put_in("A00001")
    feeder.inventory()
    tape = feeder.own("A00001")
    mount = session.mounts.mount(tape, timeout_ms=LONG_MS)
    feeder.take_out("A00001")
    feeder.inventory()
    assert feeder.held_by("A00001") == "Offline"
    with pytest.raises(rsm.InvalidStateError):
        mount.open("rb")
    mount.dismount()


def test_a_cartridge_of_another_type_is_told_incompatible_and_ejected_for_good(feeder: Feeder) -> None:
    feeder.make("X00001", media_type="LTO-3")
    feeder.put_in("X00001")
    feeder.inventory()
    assert feeder.states("X00001") == [State.NTMS_PARTSTATE_INCOMPATIBLE]
    request = ejecting(feeder)
    feeder.take_out("X00001")
    feeder.answer()
    feeder.session.requests.wait(request, timeout_ms=LONG_MS)
    assert feeder.session.media.list() == []


def test_a_drive_in_trouble_is_marked_and_works_again_once_it_is_put_right(feeder: Feeder) -> None:
    session = feeder.session
    feeder.put_in("A00001")
    feeder.put_in("B00002")
    assert feeder.inventory()["problems"] == 1
    assert session.media.list() == []
    shutil.rmtree(feeder.folder / "B00002")
    assert feeder.inventory()["appeared"] == 1
    assert feeder.held is not None


def test_deleting_the_drive_deletes_the_library_once_it_is_gone(feeder: Feeder) -> None:
    session = feeder.session
    feeder.put_in("A00001")
    feeder.inventory()
    drive = feeder.drive()
    with pytest.raises(rsm.InvalidStateError):
        session.libraries.delete_drive(drive)
    os.rename(feeder.folder, feeder.folder.with_name("away"))
    with contextlib.suppress(rsm.DeviceNotAvailableError), session.detection.begin() as detection:
        detection.watch(libraries=[feeder.library])
        absent = NtmsOperationalState.NTMS_NOT_PRESENT
        feeder.until(lambda: feeder.drive().operational_state is absent)
    session.libraries.delete_drive(drive)
    assert [library.name for library in session.libraries.list()] == ["Offline"]
    assert [medium.location for medium in session.media.list()] == [None]
