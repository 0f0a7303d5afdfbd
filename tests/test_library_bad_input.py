"""What people and disks do to a library's directory: a clear error names the path, and the rest goes on working."""

import errno
import os
import shutil
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from working import FREE, LONG_MS, LTO, Robot, make_robot

import rsm
from rsm.constants import NtmsLmOperation, NtmsLmState, NtmsOperationalState
from rsm.constants import NtmsPartitionState as State
from rsm.labels import make_free_label
from rsm.libraries import virtual, virtual_sides
from rsm.nouns.waiting import Waiting

pytestmark = pytest.mark.works
WRITE_LABEL = NtmsLmOperation.NTMS_LM_WRITESCRATCH


@pytest.fixture
def backend() -> str:
    """Run on one database: what a directory suffers is the same on both."""
    return "sqlite"


@pytest.fixture
def robot(session: rsm.Session, tmp_path: Path) -> Robot:
    """Return a library with three cartridges that have free labels."""
    robot = make_robot(session, tmp_path / "robot")
    for number in range(1, 4):
        robot.add(f"A0000{number}")
    robot.attach()
    robot.prepare(*robot.media())
    return robot


def use(robot: Robot, barcode: str) -> None:
    """See that a cartridge can be allocated, written, read and given back."""
    tape = robot.allocate(barcode)
    with robot.session.mounts.mount(tape, write=True, timeout_ms=LONG_MS) as mount, mount.open("wb") as file:
        file.write(barcode.encode() * 100)
    with robot.session.mounts.mount(tape, timeout_ms=LONG_MS) as mount, mount.open() as file:
        assert file.read() == barcode.encode() * 100
    robot.session.media.deallocate(tape)


# What is done to the first cartridge, in slot 1: the path that is named.


def spoil(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def remove(path: Path) -> Path:
    path.unlink()
    return path


def replace(path: Path, make: Callable[[Path], object]) -> Path:
    """Put something else in the place of a file or folder, which is kept aside."""
    aside = path.parents[1 if path.parent.name.startswith("slot") else 0] / ".aside"
    path.rename(aside)
    make(path)
    return path


def link_to_secret(path: Path) -> None:
    secret = path.parent / ".secret"
    secret.write_bytes(b"secret")
    path.symlink_to(secret)


def beside(path: Path, make: Callable[[Path], object]) -> Path:
    """Put something into the slot beside the cartridge, and return the slot."""
    make(path.parent / "intruder")
    return path.parent


HURTS: dict[str, Callable[[Path], Path]] = {
    "no TOML": lambda path: spoil(path / "cartridge.toml", b"media_type = ["),
    "binary": lambda path: spoil(path / "cartridge.toml", b"\xff\x00" * 200),
    "impossible capacity": lambda path: spoil(
        path / "cartridge.toml",
        b'media_type = "LTO-8"\nsides = ["side-1"]\ncapacity_bytes = -5\nwrite_protected = false\n',
    ),
    "endless": lambda path: spoil(path / "cartridge.toml", b"#" * 100_000),
    "toml is missing": lambda path: remove(path / "cartridge.toml"),
    "toml is a link": lambda path: replace(path / "cartridge.toml", link_to_secret),
    "toml is a folder": lambda path: replace(path / "cartridge.toml", Path.mkdir),
    "side is missing": lambda path: remove(path / "side-1"),
    "side is a link": lambda path: replace(path / "side-1", link_to_secret),
    "side is a pipe": lambda path: replace(path / "side-1", os.mkfifo),
    "a file beside it": lambda path: beside(path, Path.touch),
    "a cartridge beside it": lambda path: beside(path, lambda other: shutil.copytree(path, other)),
    "file for a cartridge": lambda path: replace(path, Path.touch),
    "link for a cartridge": lambda path: replace(path, lambda here: here.symlink_to("../.aside")),
    "file for a slot": lambda path: replace(path.parent, Path.touch),
    "slot is missing": lambda path: replace(path.parent, lambda _: None),
    "link for a slot": lambda path: replace(path.parent, lambda here: here.symlink_to(".aside")),
    "no bar code": lambda path: path.rename(path.parent / "A\n00001").parent,
}


@pytest.mark.parametrize("hurt", HURTS.values(), ids=HURTS)
def test_a_damaged_place_is_named_and_the_others_work(robot: Robot, hurt: Callable[[Path], Path]) -> None:
    named = hurt(robot.find("A00001"))
    details = robot.inventory()
    assert (details["problems"], details["vanished"], details["appeared"]) == (1, 0, 0)
    assert str(named) in details["problems_names"][0]
    assert robot.places() == {"A00001": "slot-0001", "A00002": "slot-0002", "A00003": "slot-0003"}
    with robot.session.mounts.mount("A00003", timeout_ms=LONG_MS):
        request = robot.session.mounts.request("A00001")
        use(robot, "A00002")
        with pytest.raises(rsm.RsmError) as caught:
            request.wait(LONG_MS)
    assert str(named.parent if named.name == "side-1" else named) in str(caught.value)
    robot.drain()
    assert robot.inventory()["problems"] == 1
    assert robot.states("A00001") == [State.NTMS_PARTSTATE_AVAILABLE]


def test_a_damaged_cartridge_that_appears_is_named_and_not_entered(robot: Robot) -> None:
    for number, hurt in enumerate(list(HURTS.values())[:10]):
        added = robot.add("X00009", "slot-4")
        named = hurt(added)
        robot.add(f"N0000{number}", "slot-5")
        details = robot.inventory()
        assert (details["problems"], details["appeared_names"]) == (1, [f"N0000{number}"])
        assert str(named) in details["problems_names"][0]
        assert "X00009" not in robot.media()
        shutil.rmtree(added)
        shutil.rmtree(robot.find(f"N0000{number}"))


def test_a_cartridge_put_in_twice_can_be_used_once_one_is_taken_away(robot: Robot) -> None:
    twice = robot.folder / "port-01" / "A00001"
    shutil.copytree(robot.find("A00001"), twice)
    use(robot, "A00002")
    details = robot.inventory()
    assert sorted(text.partition(":")[0] for text in details["problems_names"]) == ["port-01", "slot-0001"]
    use(robot, "A00003")
    shutil.rmtree(twice)
    assert robot.inventory()["problems"] == 0
    use(robot, "A00001")


def test_a_folder_on_another_file_system_is_named(robot: Robot, monkeypatch: pytest.MonkeyPatch) -> None:
    slot = robot.folder / "slot-0001"
    inode, fstat = slot.stat().st_ino, os.fstat

    def elsewhere(descriptor: int) -> os.stat_result:
        status = fstat(descriptor)
        if status.st_ino != inode:
            return status
        fields = list(status)
        fields[2] += 1  # st_dev
        return os.stat_result(fields)

    monkeypatch.setattr(os, "fstat", elsewhere)
    details = robot.inventory()
    assert (details["problems"], details["vanished"]) == (1, 0)
    assert f"{slot} is on another file system" in details["problems_names"][0]
    with pytest.raises(rsm.RsmError, match=str(slot)):
        robot.session.mounts.mount("A00001", timeout_ms=LONG_MS)
    use(robot, "A00002")
    monkeypatch.undo()
    use(robot, "A00001")


# A disk that fails


def is_of(name: str, *arguments: Any) -> bool:
    """Tell whether a call is about something of this name: by a path, or by a descriptor's."""
    for each in arguments:
        path = os.readlink(f"/proc/self/fd/{each}") if isinstance(each, int) else str(each)
        if name in path:
            return True
    return False


@pytest.mark.parametrize(
    ("function", "number", "named"),
    [
        ("rename", errno.ENOSPC, "slot-0001/A00001"),
        ("rename", errno.EXDEV, "slot-0001/A00001"),
        ("rename", errno.EIO, "slot-0001/A00001"),
        ("rename", errno.EROFS, "slot-0001/A00001"),
        ("symlink", errno.ENOSPC, "drive-01.media"),
        ("symlink", errno.EDQUOT, "drive-01.media"),
        ("fsync", errno.EIO, "slot-0001"),
    ],
    ids=lambda value: errno.errorcode[value] if isinstance(value, int) else value,
)
def test_a_full_or_failing_disk_is_named_and_the_others_work(
    robot: Robot, monkeypatch: pytest.MonkeyPatch, function: str, number: int, named: str
) -> None:
    call = getattr(os, function)
    word = "slot-0001" if function == "fsync" else "A00001"

    def fail(*arguments: Any, **keywords: Any) -> Any:
        if is_of(word, *arguments):
            raise OSError(number, os.strerror(number))
        return call(*arguments, **keywords)

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(rsm.RsmError) as caught:
        robot.session.mounts.mount("A00001", timeout_ms=LONG_MS)
    assert f"{robot.folder}/{named}" in str(caught.value)
    assert os.strerror(number) in str(caught.value)
    use(robot, "A00002")
    robot.inventory()
    robot.drain()
    monkeypatch.undo()
    use(robot, "A00001")
    robot.drain()
    robot.inventory()
    assert robot.places() == robot.lying()


def test_a_disk_that_is_full_while_labels_and_data_are_written(robot: Robot, monkeypatch: pytest.MonkeyPatch) -> None:
    robot.add("F00001")
    robot.inventory()
    write = virtual_sides.SideWriter.write

    def full(writer: virtual_sides.SideWriter, data: Any) -> int:
        path = str(writer._path)
        if "F00001" in path or "A00001" in path:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        return write(writer, data)

    tape = robot.allocate("A00001")
    monkeypatch.setattr(virtual_sides.SideWriter, "write", full)
    robot.session.media.move("F00001", FREE)
    with robot.session.mounts.mount(tape, write=True, timeout_ms=LONG_MS) as mount:
        with mount.open("wb") as file, pytest.raises(OSError, match="A00001") as caught:
            file.write(b"does not fit")
        assert caught.value.errno == errno.ENOSPC
        use(robot, "A00002")
    robot.drain()
    request = robot.requests(WRITE_LABEL)[-1]
    assert request.state is NtmsLmState.NTMS_LM_FAILED
    assert "F00001" in robot.details(request.id)["message"]
    assert os.strerror(errno.ENOSPC) in robot.details(request.id)["message"]
    assert robot.states("F00001") == [State.NTMS_PARTSTATE_UNPREPARED]
    assert robot.places() == robot.lying()


# Planted links: what is written never goes anywhere but to the cartridge


def plant_link(robot: Robot, cartridge: Path, foreign: Path) -> None:
    (cartridge / "side-1").unlink()
    (cartridge / "side-1").symlink_to(foreign)


def plant_second_name(robot: Robot, cartridge: Path, foreign: Path) -> None:
    (cartridge / "side-1").unlink()
    os.link(foreign, cartridge / "side-1")


def plant_cartridge(robot: Robot, cartridge: Path, foreign: Path) -> None:
    other = foreign.parent / cartridge.name
    cartridge.rename(other)
    (other / "side-1").unlink()
    os.link(foreign, other / "side-1")
    cartridge.symlink_to(other)


def plant_drive_link(robot: Robot, cartridge: Path, foreign: Path) -> None:
    link = robot.folder / f"{cartridge.parent.name}.media"
    link.unlink(missing_ok=True)
    link.symlink_to(foreign)


PLANTS = [plant_link, plant_second_name, plant_cartridge, plant_drive_link]


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("moment", ["before", "in the drive"])
def test_label_writing_never_follows_a_planted_link(
    robot: Robot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plant: Callable[..., None], moment: str
) -> None:
    foreign = tmp_path / "foreign"
    foreign.write_bytes(b"precious")
    robot.add("L00001")
    robot.inventory()
    if moment == "before":
        plant(robot, robot.find("L00001"), foreign)
    else:
        load = virtual.VirtualLibrary.load_drive

        def load_and_plant(device: virtual.VirtualLibrary, drive: int, epoch: int) -> None:
            load(device, drive, epoch)
            if "L00001" in robot.lying() and not robot.find("L00001").is_symlink():
                plant(robot, robot.find("L00001"), foreign)

        monkeypatch.setattr(virtual.VirtualLibrary, "load_drive", load_and_plant)
    robot.session.media.move("L00001", FREE)
    robot.drain()
    assert foreign.read_bytes() == b"precious"
    request = robot.requests(WRITE_LABEL)[-1]
    if plant is plant_drive_link:  # the link is derived, and nothing is opened by it
        assert robot.states("L00001") == [State.NTMS_PARTSTATE_AVAILABLE]
        assert labels_of(robot, "L00001")
    else:
        assert request.state is NtmsLmState.NTMS_LM_FAILED
        assert "L00001" in robot.details(request.id)["message"]
        assert robot.states("L00001") == [State.NTMS_PARTSTATE_UNPREPARED]
    monkeypatch.undo()
    use(robot, "A00002")
    assert foreign.read_bytes() == b"precious"


def labels_of(robot: Robot, barcode: str) -> bool:
    """Tell whether the label on record is the one that is on the cartridge."""
    label = rsm.labels.recognise((robot.find(barcode) / "side-1").read_bytes())
    return label is not None and label.id == robot.session.media.sides(barcode)[0].label_id


# Drives


@pytest.mark.parametrize("what", [Path.touch, Path.mkdir], ids=["file", "folder"])
def test_a_drive_link_replaced_by_something_else(robot: Robot, what: Callable[[Path], object]) -> None:
    link = robot.folder / "drive-01.media"
    link.unlink(missing_ok=True)
    what(link)
    for barcode in ("A00001", "A00002"):
        use(robot, barcode)
    details = robot.inventory()
    assert (details["problems"], details["vanished"]) == (1, 0)
    assert f"{link} is not the link of the drive" in details["problems_names"][0]
    assert robot.drive().operational_state is NtmsOperationalState.NTMS_NEEDS_SERVICE
    with pytest.raises(rsm.ResourceDisabledError):
        robot.session.mounts.mount("A00003", drive=robot.drive(), timeout_ms=LONG_MS)
    shutil.rmtree(link) if link.is_dir() else link.unlink()
    assert robot.inventory()["problems"] == 0
    assert robot.drive().operational_state is NtmsOperationalState.NTMS_READY
    with robot.session.mounts.mount("A00003", drive=robot.drive(), timeout_ms=LONG_MS) as mount:
        assert mount.path == str(link)


@pytest.mark.parametrize("what", [Path.touch, lambda path: path.symlink_to("slot-0006")], ids=["file", "link"])
def test_a_drive_that_is_no_folder(robot: Robot, what: Callable[[Path], object]) -> None:
    drive = robot.folder / "drive-01"
    robot.drain()
    drive.rename(robot.folder / ".drive")
    what(drive)
    for barcode in ("A00001", "A00002"):
        use(robot, barcode)
    details = robot.inventory()
    assert (details["problems"], details["vanished"]) == (1, 0)
    assert str(drive) in details["problems_names"][0]


def test_a_cartridge_damaged_in_its_drive_leaves_it_and_the_drive_works_on(robot: Robot) -> None:
    for drive in robot.session.libraries.drives(robot.library)[1:]:
        robot.session.objects.disable(rsm.NtmsObjectsTypes.NTMS_DRIVE, drive)
    with robot.session.mounts.mount("A00001", timeout_ms=LONG_MS) as mount:
        damaged = robot.find("A00001") / "cartridge.toml"
        good = damaged.read_bytes()
        damaged.write_bytes(b"")
        with pytest.raises(rsm.RsmError, match=str(damaged)):
            mount.open()
        use_later = robot.session.mounts.request("A00002")
    with use_later.wait(LONG_MS):
        assert robot.lying()["A00001"].startswith("slot")
    (robot.find("A00001") / "cartridge.toml").write_bytes(good)
    use(robot, "A00001")


# The library itself


@pytest.mark.parametrize(
    "content", [None, b"", b"name = [", b"\x00" * 70_000], ids=["missing", "empty", "no TOML", "long"]
)
def test_a_damaged_library_is_named_waits_and_goes_on(
    robot: Robot,
    connect: Callable[..., rsm.Session],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    content: bytes | None,
) -> None:
    robot.session.close()
    path = robot.folder / "library.toml"
    good = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    session = robot.session = connect()
    with pytest.raises(rsm.InvalidLibraryError, match=str(robot.folder)):
        session.libraries.add("virtual", str(robot.folder), name="again")
    other = make_robot(session, tmp_path / "other")
    other.library = session.libraries.add("virtual", str(other.folder), name="Other")
    other.add("O00001")
    waiting = session.mounts.request("A00001")
    other.inventory(drain=False)
    seen = []

    def repair(_waiting: Waiting) -> None:
        seen.append(session.libraries.get(robot.library).operational_state)
        if seen[-1] is NtmsOperationalState.NTMS_NOT_PRESENT:
            path.write_bytes(good)

    with waiting.wait(LONG_MS, on_wait=repair) as mount:
        assert isinstance(mount, rsm.nouns.mounts.Mount)
        assert mount.path == str(robot.folder / "drive-01.media")
    assert NtmsOperationalState.NTMS_NOT_PRESENT in seen
    assert any(str(robot.folder) in record.getMessage() for record in caplog.records)
    assert session.libraries.get(robot.library).operational_state is NtmsOperationalState.NTMS_READY


def test_a_label_is_no_label_of_ours_with_a_bit_flipped(robot: Robot) -> None:
    block = bytearray(make_free_label(uuid.uuid4(), "X", datetime(2030, 5, 1, tzinfo=UTC)))
    block[40] ^= 1
    robot.add("X00001", data=bytes(block))
    robot.inventory()
    assert robot.pool("X00001") == rf"\Unrecognized\{LTO}"
