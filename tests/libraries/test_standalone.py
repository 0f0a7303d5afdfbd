"""Drives that a person feeds: what they tell, what they refuse, and what they survive."""

import errno
import fcntl
import io
import os
import shutil
import stat
import struct
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import label_samples
import pytest
from libraries.support import refused

import rsm
from rsm import labels
from rsm.libraries import open_library, standalone_disk
from rsm.libraries.base import (
    Cartridge,
    DestinationFullError,
    ElementKind,
    ElementNotAccessibleError,
    ElementStatus,
    LibraryBackend,
    ReadinessState,
    SourceEmptyError,
    StaleEpochError,
    UnknownElementError,
)
from rsm.libraries.standalone import DRIVE_ADDRESS as DRIVE
from rsm.libraries.standalone_disk import HEAD_BYTES, mount_point
from rsm.libraries.virtual_make import make_cartridge

SIZE = 3 * 2**20


def status_of(device: LibraryBackend) -> ElementStatus:
    (status,) = device.read_elements()
    return status


def open_at(path: Path | str) -> LibraryBackend:
    return open_library("standalone", f"{path}/" if os.path.isdir(path) else str(path))


@pytest.fixture(params=["directory", "image"])
def fed(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, LibraryBackend]:
    """A loaded drive, and the path of what is in it: the cartridge A00001 of one side, or an image of ext4."""
    (tmp_path / "drive").mkdir()
    if request.param == "directory":
        made = make_cartridge(tmp_path / "drive", "A00001", "LTO-8", capacity_bytes=SIZE)
        return Path(made.path), open_at(tmp_path / "drive")
    image = tmp_path / "drive" / "disk.img"
    image.write_bytes(label_samples.read_sample("ext4").ljust(SIZE, b"\0"))
    return image, open_at(image)


def is_image(path: Path) -> bool:
    return path.suffix == ".img"


# --- alike for both -------------------------------------------------------------------------------------------------


def test_it_is_one_drive_and_nothing_else(fed: tuple[Path, LibraryBackend]) -> None:
    path, device = fed
    identity = device.read_identity()
    assert identity.is_standalone
    assert (identity.transports, identity.slots, identity.ports, identity.media_types) == ((), 0, 0, ())
    assert [drive.path for drive in identity.drives] == [str(path if is_image(path) else path.parent)]
    assert identity.has_barcode_reader != is_image(path)
    status = status_of(device)
    assert (status.address, status.kind, status.number, status.full, status.accessible) == (
        *(DRIVE, ElementKind.DRIVE, 1),
        *(True, True),
    )
    assert status.barcode == (None if is_image(path) else "A00001")
    assert status.cartridge == Cartridge(None if is_image(path) else "LTO-8", 1, SIZE, False)
    assert list(device.read_elements([])) == []
    assert list(device.read_elements([DRIVE])) == [status]
    assert device.check_readiness().state is ReadinessState.READY
    with device:
        device.load_drive(DRIVE, 1)
        device.unload_drive(DRIVE, 1)
    assert status_of(device) == status


def test_what_a_person_takes_out_is_out_and_what_comes_back_is_in(fed: tuple[Path, LibraryBackend]) -> None:
    path, device = fed
    before, shelf = status_of(device), path.parent.parent / "shelf"
    shutil.move(path, shelf)
    assert (status_of(device).full, status_of(device).cartridge, status_of(device).exception) == (False, None, None)
    calls: list[Callable[[], Any]] = [
        lambda: device.load_drive(DRIVE, 1),
        lambda: device.unload_drive(DRIVE, 1),
        lambda: device.move(DRIVE, DRIVE, 1),
        lambda: device.open_side(DRIVE, 1, "rb"),
        lambda: device.write_side(DRIVE, 1, b"x", 1),
        lambda: device.read_side(DRIVE, 1),
    ]
    for call in calls:
        with refused(SourceEmptyError):
            call()
    assert device.check_readiness().state is ReadinessState.READY
    shutil.move(shelf, path)
    assert status_of(device) == before


def test_a_robots_calls_are_refused(fed: tuple[Path, LibraryBackend]) -> None:
    path, device = fed
    device.claim(5)
    cases: list[tuple[type[rsm.RsmError], Callable[[], Any]]] = [
        (UnknownElementError, lambda: list(device.read_elements([DRIVE, 1]))),
        (UnknownElementError, lambda: device.move(1001, DRIVE, 5)),
        (UnknownElementError, lambda: device.move(DRIVE, 1001, 5)),
        (UnknownElementError, lambda: device.move(DRIVE, DRIVE, 5, transport=1)),
        (StaleEpochError, lambda: device.move(DRIVE, DRIVE, 4)),
        (DestinationFullError, lambda: device.move(DRIVE, DRIVE, 5)),
        (rsm.NotSupportedError, lambda: device.exchange(DRIVE, DRIVE, DRIVE, 5)),
        (rsm.NotSupportedError, lambda: device.eject_drive(DRIVE, 5)),
        (rsm.NotSupportedError, lambda: device.extend_port(DRIVE, 5)),
        *((UnknownElementError, lambda call=call: call(1, 5)) for call in (device.load_drive, device.unload_drive)),
        *((StaleEpochError, lambda call=call: call(DRIVE, 4)) for call in (device.load_drive, device.unload_drive)),
        *((rsm.InvalidParameterError, lambda epoch=epoch: device.claim(epoch)) for epoch in (-1, 2**63, "1", None)),
        (StaleEpochError, lambda: device.claim(4)),
        (StaleEpochError, lambda: device.write_side(DRIVE, 1, b"x", 4)),
        (UnknownElementError, lambda: device.open_side(1, 1, "rb")),
        (UnknownElementError, lambda: device.read_side(1, 1)),
        (rsm.InvalidParameterError, lambda: device.open_side(DRIVE, 1, "r+b")),  # type: ignore[arg-type]
        *((rsm.InvalidMediaError, lambda side=side: device.open_side(DRIVE, side, "rb")) for side in (0, 2, -1)),
        (rsm.InvalidMediaError, lambda: device.read_side(DRIVE, 2)),
    ]
    before = device.read_side(DRIVE, 1)
    for error, call in cases:
        with refused(error):
            call()
    assert device.read_side(DRIVE, 1) == before
    assert is_image(path) == (device.side_path(DRIVE, 1) is None)


def test_writing_where_it_is_forbidden(fed: tuple[Path, LibraryBackend]) -> None:
    path, device = fed
    if is_image(path):
        path.chmod(0o444)
    else:
        facts = path / "cartridge.toml"
        facts.write_text(facts.read_text().replace("write_protected = false", "write_protected = true"))
    before = device.read_side(DRIVE, 1)
    assert before.write_protected
    for options in ({}, {"read_only": True}):
        with pytest.raises(OSError, match="Read-only") as caught:
            device.open_side(DRIVE, 1, "wb", **options)
        assert caught.value.errno == errno.EROFS
    assert device.read_side(DRIVE, 1) == before


@pytest.mark.parametrize("gone", ["folder", "link"])
def test_a_drive_that_vanishes_is_not_there(fed: tuple[Path, LibraryBackend], gone: str) -> None:
    """The folder that the drive is, or that the disk's node is in; a link planted in its place is not followed."""
    path, device = fed
    away = path.parent.with_name("elsewhere")
    path.parent.rename(away)
    if gone == "link" and not is_image(path):
        path.parent.symlink_to(away)
    assert device.check_readiness().state is ReadinessState.NOT_READY
    address = str(path) if is_image(path) else f"{path.parent}/"
    for call in (device.read_elements, lambda: device.claim(1), lambda: open_library("standalone", address)):
        with refused(rsm.DeviceNotAvailableError, path.parent):
            call()
    if path.parent.is_symlink():
        path.parent.unlink()
    away.rename(path.parent)
    assert status_of(device).full


# --- a directory ----------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder that a drive is, with A00001 of two disk-like sides in it."""
    (tmp_path / "drive").mkdir()
    make_cartridge(tmp_path / "drive", "A00001", "LTO-8", capacity_bytes=1000, sides=2, disk=True)
    return tmp_path / "drive"


def plant_second(folder: Path) -> None:
    make_cartridge(folder, "B00002", "LTO-8")


def plant_damage(folder: Path) -> None:
    (folder / "A00001" / "cartridge.toml").write_text("media_type = ")


def plant_link(folder: Path) -> None:
    (folder / "A00001").rename(folder.parent / "real")
    (folder / "A00001").symlink_to(folder.parent / "real")


def plant_file(folder: Path) -> None:
    shutil.rmtree(folder / "A00001")
    (folder / "A00001").write_text("no cartridge")


def plant_side(folder: Path) -> None:
    shutil.rmtree(folder / "A00001" / "side-1")
    (folder / "A00001" / "side-1").symlink_to("/etc")


def plant_name(folder: Path) -> None:
    (folder / "A00001").rename(folder / "A\n1")


@pytest.mark.parametrize(
    "plant",
    [plant_second, plant_damage, plant_link, plant_file, plant_side, plant_name],
    ids=lambda each: each.__name__,
)
def test_what_is_no_one_whole_cartridge_is_told_and_not_used(folder: Path, plant: Callable[[Path], None]) -> None:
    device = open_at(folder)
    plant(folder)
    status = status_of(device)
    assert (status.full, status.accessible, status.cartridge) == (True, True, None)  # the drive is not to blame
    assert status.exception
    assert str(folder) in status.exception
    for call in (
        lambda: device.load_drive(DRIVE, 1),
        lambda: device.open_side(DRIVE, 1, "wb"),
        lambda: device.side_path(DRIVE, 1),
    ):
        with pytest.raises(ElementNotAccessibleError):
            call()


def test_what_a_file_system_has_of_its_own_is_no_cartridge(folder: Path) -> None:
    for name in ("lost+found", "System Volume Information", "$RECYCLE.BIN", ".Trash-1000"):
        (folder / name).mkdir()
    device = open_at(folder)
    assert status_of(device).barcode == "A00001"
    shutil.rmtree(folder / "A00001")
    assert status_of(device).full is False


def test_both_sides_can_be_used_and_each_has_its_path(folder: Path) -> None:
    device = open_at(folder)
    for side in (1, 2):
        with device.open_side(DRIVE, side, "wb", barcode="A00001") as file:
            file.write(b"side %d" % side)
        path = device.side_path(DRIVE, side)
        assert path == f"{folder}/A00001/side-{side}"
        assert (Path(path) / "data").read_bytes() == b"side %d" % side
    with refused(rsm.MediaNotAvailableError, "A00001"):
        device.open_side(DRIVE, 1, "rb", barcode="B00002")


def test_a_folder_that_may_not_be_read_makes_the_drive_unusable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def listdir(_: object) -> list[str]:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    device = open_at(folder)
    monkeypatch.setattr(os, "listdir", listdir)
    status = status_of(device)
    assert (status.full, status.accessible) == (None, False)
    assert "Permission denied" in str(status.exception)
    with refused(rsm.AccessDeniedError, folder):
        device.load_drive(DRIVE, 1)


@pytest.mark.parametrize("step", range(1, 12))
def test_a_cartridge_taken_out_between_any_two_looks(folder: Path, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there or it is not; nothing but that, and no other error, comes of it."""
    device, calls, real = open_at(folder), iter(range(1, 100)), os.stat

    def stat_and_take(*arguments: Any, **keywords: Any) -> os.stat_result:
        if next(calls) == step:
            (folder / "A00001").rename(folder.parent / "A00001")
        return real(*arguments, **keywords)

    monkeypatch.setattr(os, "stat", stat_and_take)
    status = status_of(device)
    monkeypatch.undo()
    assert status.full in (True, False, None)
    assert status.cartridge is None or status.exception is None


# --- a disk ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image of a disk with ext4 on it."""
    path = tmp_path / "disk.img"
    path.write_bytes(label_samples.read_sample("ext4").ljust(SIZE, b"\0"))
    return path


def label_of(device: LibraryBackend) -> labels.Label | None:
    with device.open_side(DRIVE, 1, "rb") as file:
        return labels.recognise(file.read(labels.head_bytes()))


def test_a_disk_is_read_whole_and_known_by_its_file_system(image: Path) -> None:
    device = open_at(image)
    with device.open_side(DRIVE, 1, "rb") as file:
        assert file.read() == image.read_bytes()
    label = label_of(device)
    assert label is not None
    assert label.type == "ext4"
    status = device.read_side(DRIVE, 1)
    assert (status.capacity_bytes, status.used_bytes, status.free_bytes, status.overfull) == (SIZE, None, None, False)
    with open(image, "r+b") as other:
        other.seek(2000)
        other.write(b"changed")
    assert device.read_side(DRIVE, 1).fingerprint != status.fingerprint


def test_what_is_written_anew_leaves_no_trace_of_what_was_known(image: Path) -> None:
    device = open_at(image)
    device.write_side(DRIVE, 1, b"short", 1)
    assert image.stat().st_size == SIZE
    assert image.read_bytes()[:HEAD_BYTES] == b"short".ljust(HEAD_BYTES, b"\0")
    assert label_of(device) is None
    block = labels.make_free_label(uuid.uuid4(), "A", datetime.now(UTC))
    device.write_side(DRIVE, 1, block, 1)
    label = label_of(device)
    assert label is not None
    assert labels.is_free(label)


def test_a_disk_takes_what_it_has_room_for_and_cannot_be_appended_to(image: Path) -> None:
    device = open_at(image)
    with device.open_side(DRIVE, 1, "wb") as file:
        assert file.write(bytes(SIZE - 1)) == SIZE - 1
        with pytest.raises(OSError, match="No space"):
            file.write(b"xy")
        assert file.write(b"z") == 1
        with pytest.raises(io.UnsupportedOperation):
            file.truncate(0)
    assert image.stat().st_size == SIZE
    assert image.read_bytes()[-1:] == b"z"
    with refused(rsm.NotSupportedError, image):
        device.open_side(DRIVE, 1, "ab")


def replace_by_folder(image: Path) -> None:
    image.mkdir()


def replace_by_fifo(image: Path) -> None:
    os.mkfifo(image)


def replace_by_link(image: Path) -> None:
    image.with_name("victim").write_bytes(bytes(SIZE))
    image.symlink_to(image.with_name("victim"))


def replace_by_character_device(image: Path) -> None:
    image.symlink_to("/dev/null")


@pytest.mark.parametrize(
    "replace",
    [replace_by_folder, replace_by_fifo, replace_by_link, replace_by_character_device],
    ids=lambda each: each.__name__,
)
def test_what_is_no_disk_is_never_opened(image: Path, replace: Callable[[Path], None]) -> None:
    device = open_at(image)
    image.unlink()
    replace(image)
    for call in (
        lambda: device.load_drive(DRIVE, 1),
        lambda: device.open_side(DRIVE, 1, "wb"),
        lambda: device.eject_drive(DRIVE, 1),
    ):
        with refused(ElementNotAccessibleError, image):
            call()
    assert device.check_readiness().state is ReadinessState.NOT_READY
    with refused(rsm.InvalidLibraryError, image):
        open_library("standalone", str(image))
    if image.is_symlink() and image.exists():
        assert not any(Path(os.path.realpath(image)).read_bytes()[:SIZE])


@pytest.mark.parametrize("empty", ["gone", "no bytes", "dangling link"])
def test_an_empty_drive(image: Path, empty: str) -> None:
    device = open_at(image)
    image.unlink()
    if empty == "no bytes":
        image.touch()
    elif empty == "dangling link":
        image.symlink_to("gone")
    assert (status_of(device).full, status_of(device).exception) == (False, None)
    with refused(SourceEmptyError, image):
        device.load_drive(DRIVE, 1)


class Block:
    """Lets an image pass for a block device, which answers and fails as it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: dict[int, Any] = {}
        self.failures: dict[int, int] = {}  # by what is added to the flags that it is opened with
        self.facts: dict[str, str] = {"removable": "1"}
        self.asked: list[int] = []
        os_open = os.open

        def is_block(mode: int) -> bool:
            return stat.S_IFMT(mode) == stat.S_IFREG

        def ioctl(_: int, request: int, argument: Any = 0) -> Any:
            self.asked.append(request)
            answer = self.answers.get(request, errno.ENOTTY)
            if isinstance(answer, OSError):
                raise answer
            if answer == errno.ENOTTY:
                raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))
            return answer

        def open_(path: Any, flags: int, *arguments: Any, **keywords: Any) -> int:
            for flag, number in self.failures.items():
                if flags & flag or (not flag and not flags & os.O_NONBLOCK):
                    raise OSError(number, os.strerror(number), path)
            return os_open(path, flags, *arguments, **keywords)

        monkeypatch.setattr(stat, "S_ISBLK", is_block)
        monkeypatch.setattr(stat, "S_ISREG", lambda mode: False)
        monkeypatch.setattr(fcntl, "ioctl", ioctl)
        monkeypatch.setattr(os, "open", open_)
        monkeypatch.setattr(standalone_disk, "_read_fact", lambda path: self.facts.get(path.rpartition("/")[2], ""))


@pytest.fixture
def block(monkeypatch: pytest.MonkeyPatch) -> Block:
    return Block(monkeypatch)


def test_a_block_device_tells_of_itself(image: Path, block: Block) -> None:
    block.facts = {"vendor": "ACME", "model": "RDX", "serial": "77"}
    drive = open_at(image).read_identity().drives[0]
    assert (drive.vendor, drive.product, drive.serial_number) == ("ACME", "RDX", "77")
    block.answers = {0x125E: struct.pack("i", 1)}
    assert status_of(open_at(image)).cartridge == Cartridge(None, 1, SIZE, True)


@pytest.mark.parametrize(
    ("answers", "failures", "full", "words"),
    [
        ({0x5326: 4}, {}, True, None),
        ({0x5326: 1}, {}, False, None),
        ({0x5326: 2}, {}, False, None),
        ({0x5326: 3}, {}, None, "becoming ready"),
        ({}, {0: errno.ENOMEDIUM}, False, None),
        ({}, {0: errno.ENXIO}, False, None),
        ({}, {0: errno.EACCES}, None, "Permission denied"),
        ({}, {0: errno.EIO}, None, "Input/output error"),
    ],
)
def test_what_a_drive_with_a_tray_says(
    image: Path, block: Block, answers: dict[int, Any], failures: dict[int, int], full: bool | None, words: str | None
) -> None:
    device = open_at(image)
    block.answers, block.failures = answers, failures
    status = status_of(device)
    assert status.full is full
    assert (words is None and status.exception is None) or str(words) in str(status.exception)


def test_a_disk_that_the_system_has_mounted_is_not_written(image: Path, block: Block) -> None:
    device, before = open_at(image), image.read_bytes()
    block.failures = {os.O_EXCL: errno.EBUSY}
    with refused(rsm.BusyError, image, "unmount"):
        device.write_side(DRIVE, 1, b"x", 1)
    assert image.read_bytes() == before


def test_ejecting(image: Path, block: Block) -> None:
    device = open_at(image)
    block.answers = {0x5329: 0, 0x5309: 0}
    device.eject_drive(DRIVE, 3)
    assert block.asked[-2:] == [0x5329, 0x5309]
    with refused(StaleEpochError):
        device.eject_drive(DRIVE, 2)
    for number, error in ((errno.EPERM, rsm.AccessDeniedError), (errno.EBUSY, rsm.BusyError)):
        block.answers[0x5309] = OSError(number, os.strerror(number))
        with refused(error, image):
            device.eject_drive(DRIVE, 3)
    block.facts = {"removable": "0"}
    asked = len(block.asked)
    with refused(rsm.NotSupportedError, image, "by hand"):
        device.eject_drive(DRIVE, 3)
    assert len(block.asked) == asked


def test_where_a_disk_is_mounted(image: Path, block: Block, tmp_path: Path) -> None:
    number = os.stat(image).st_rdev
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 27 0:21 / /proc rw - proc proc rw\n"
        f"30 27 {os.major(number)}:{os.minor(number)} / /media/my\\040disk rw shared:1 - ext4 /dev/sdb1 rw\n"
    )
    assert mount_point(str(image), str(mounts)) == "/media/my disk"
    mounts.write_text("22 27 9999:21 / /proc rw - proc proc rw\n")
    assert mount_point(str(image), str(mounts)) is None
    assert mount_point(str(image.with_name("gone")), str(mounts)) is None
