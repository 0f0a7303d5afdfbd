"""What only a library of files can suffer: things that are not what they should be, and hands that reach in."""

import errno
import fcntl
import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from libraries.support import DRIVE, PORT, SLOT, recorded, refused

import rsm
from rsm.libraries import virtual
from rsm.libraries.base import (
    Cartridge,
    ElementNotAccessibleError,
    ElementStatus,
    NoCleanerError,
    ReadinessState,
    SourceEmptyError,
    UnknownElementError,
)
from rsm.libraries.virtual import VirtualLibrary, add_cartridge

CAPACITY = 1000


def statuses(library: VirtualLibrary) -> dict[str, ElementStatus]:
    return {status.name: status for status in library.read_elements()}


# --- the contract on disk -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("disk", [False, True])
def test_layout_on_disk_is_that_of_the_contract(tmp_path: Path, disk: bool) -> None:
    folder = tmp_path / "deep" / "Robot 1"
    assert virtual.create(folder, 2, 1, 1, 'LTO "8"', disk) == str(folder)
    added = virtual.add_cartridge(folder, "A00001", slot=2, sides=2, capacity_bytes=5, media_type="Ö\\x")
    assert Path(added.path) == folder / "slot-0002" / "A00001"
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    assert found == [
        *(".robot", "drive-01", "library.toml", "port-01", "slot-0001", "slot-0002", "slot-0002/A00001"),
        *(f"slot-0002/A00001/{name}" for name in ("cartridge.toml", "side-1", "side-2")),
    ]
    assert (folder / "slot-0002" / "A00001" / "side-1").is_dir() is disk
    identity = VirtualLibrary(folder).read_identity()
    assert (identity.name, identity.media_types) == ("Robot 1", ('LTO "8"',))
    assert identity.drives[0].path == str(folder / "drive-01.media")
    assert (identity.drives[0].vendor, identity.drives[0].product) == ("rsm", 'virtual LTO "8"')
    assert statuses(VirtualLibrary(folder))["slot-0002"].cartridge == Cartridge("Ö\\x", 2, 5, False)


def test_path_of_a_drive_leads_to_the_side_in_it_and_is_absent_when_it_is_empty(library: VirtualLibrary) -> None:
    path = Path(library.read_identity().drives[0].path or "")
    assert not os.path.lexists(path)
    library.move(SLOT + 2, DRIVE + 1, 1, inverted=True)
    assert os.readlink(path) == "drive-01/B00002/side-2"
    path.write_bytes(b"written by tar")
    assert recorded(library, 2) == b"written by tar"
    library.move(DRIVE + 1, DRIVE + 2, 1)
    assert not os.path.lexists(path)
    assert os.readlink(library.directory + "/drive-02.media") == "drive-02/B00002/side-1"
    library.move(DRIVE + 2, SLOT + 2, 1)
    assert not os.path.lexists(library.directory + "/drive-02.media")


def test_cartridges_put_in_and_taken_out_with_mv_are_seen(library: VirtualLibrary, tmp_path: Path) -> None:
    folder = Path(library.directory)
    (folder / "slot-0001" / "A00001").rename(tmp_path / "A00001")
    assert statuses(library)["slot-0001"].full is False
    (tmp_path / "A00001").rename(folder / "port-01" / "A00009")
    assert statuses(library)["port-01"].barcode == "A00009"
    library.move(PORT + 1, DRIVE + 1, 1)
    (folder / "drive-01" / "A00009").rename(folder / "slot-0006" / "A00009")
    with refused(SourceEmptyError, folder / "drive-01"):
        library.open_side(DRIVE + 1, 1, "rb")
    library.claim(2)
    assert not os.path.lexists(folder / "drive-01.media")


@pytest.mark.parametrize("link", [None, "drive-01/A00001/side-1", "drive-01/B00002/side-3", "/etc/passwd", "loop"])
def test_claim_sets_links_right(library: VirtualLibrary, link: str | None) -> None:
    folder = Path(library.directory)
    library.move(SLOT + 2, DRIVE + 1, 1, inverted=True)
    for name in ("drive-01.media", "drive-02.media"):
        (folder / name).unlink(missing_ok=True)
        if link is not None:
            (folder / name).symlink_to(link)
    (folder / ".drive-01.media.new").symlink_to("left by one who was killed")
    library.claim(2)
    assert os.readlink(folder / "drive-01.media") == "drive-01/B00002/side-1"
    assert not os.path.lexists(folder / "drive-02.media")
    assert statuses(library)["drive-01"].inverted is False


def test_what_a_program_wrote_to_the_path_of_an_empty_drive_is_never_destroyed(library: VirtualLibrary) -> None:
    path = Path(library.directory) / "drive-01.media"
    path.write_bytes(b"somebody's backup")
    library.claim(2)
    assert str(path) in (statuses(library)["drive-01"].exception or "")
    with refused(ElementNotAccessibleError, path):
        library.move(SLOT + 1, DRIVE + 1, 2)
    assert path.read_bytes() == b"somebody's backup"
    library.move(SLOT + 1, DRIVE + 2, 2)
    path.unlink()
    library.move(DRIVE + 2, DRIVE + 1, 2)


def test_library_reached_through_a_link_and_moved_away(library: VirtualLibrary, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(library.directory)
    linked = VirtualLibrary(tmp_path / "link")
    linked.move(SLOT + 1, DRIVE + 1, 1)
    assert statuses(library)["drive-01"].barcode == "A00001"
    os.rename(library.directory, tmp_path / "elsewhere")
    for call in (lambda: library.claim(3), lambda: list(library.read_elements()), lambda: library.move(101, 1001, 3)):
        with refused(rsm.DeviceNotAvailableError, library.directory):
            call()
    assert library.check_readiness().state is ReadinessState.NOT_READY


# --- broken elements and cartridges ---------------------------------------------------------------------------------


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def replace_by_link(path: Path) -> None:
    """Put what is at `path` elsewhere and a link to it in its place."""
    elsewhere = path.parents[len(path.parts) - 1 - path.parts.index("library")] / "foreign"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def replace_by_dangling_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("planted")


def replace_by_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("not a folder")


def toml(old: str, new: str) -> Callable[[Path], None]:
    return lambda slot: rewrite(slot / "A00001" / "cartridge.toml", old, new)


def in_slot(change: Callable[[Path], Any], *parts: str) -> Callable[[Path], None]:
    return lambda slot: change(slot.joinpath(*parts))


def write(content: bytes) -> Callable[[Path], Any]:
    return lambda path: path.write_bytes(content)


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


TOML, SIDE = ("A00001", "cartridge.toml"), ("A00001", "side-1")

# What is done to slot 1, the path that is named, whether the robot can still take the cartridge.
BREAKAGES: dict[str, tuple[Callable[[Path], Any], str, bool]] = {
    "element missing": (shutil.rmtree, "", False),
    "element a file": (replace_by_file, "", False),
    "element a link": (replace_by_link, "", False),
    "cartridge a file": (in_slot(replace_by_file, "A00001"), "/A00001", False),
    "cartridge a link": (in_slot(replace_by_link, "A00001"), "/A00001", False),
    "two cartridges": (in_slot(os.mkdir, "B"), "", False),
    "a file beside": (in_slot(Path.touch, "notes.txt"), "", False),
    "no bar code, too long": (lambda slot: (slot / "A00001").rename(slot / ("x" * 64)), "/" + "x" * 64, False),
    "no bar code, control": (lambda slot: (slot / "A00001").rename(slot / "A\n1"), "/A\\n1", False),
    "no bar code, undecodable": (
        lambda slot: os.rename(slot / "A00001", os.fsencode(slot) + b"/\xff"),
        "/\\udcff",
        False,
    ),
    "toml missing": (in_slot(Path.unlink, *TOML), "/A00001/cartridge.toml", True),
    "toml a link": (in_slot(replace_by_link, *TOML), "/A00001/cartridge.toml", True),
    "toml a folder": (in_slot(make_folder, *TOML), "/A00001/cartridge.toml", True),
    "toml a pipe": (in_slot(make_pipe, *TOML), "/A00001/cartridge.toml", True),
    "toml empty": (in_slot(write(b""), *TOML), "/A00001/cartridge.toml", True),
    "toml no toml": (in_slot(write(b"sides = ["), *TOML), "/A00001/cartridge.toml", True),
    "toml no text": (in_slot(write(b"\xff\xfe\x00"), *TOML), "/A00001/cartridge.toml", True),
    "toml too deep": (in_slot(write(b"a=" + b"[" * 60_000), *TOML), "/A00001/cartridge.toml", True),
    "toml too long": (in_slot(write(b"#" * 70_000), *TOML), "/A00001/cartridge.toml", True),
    "toml number without end": (toml("= 1000", "= 1" + "0" * 5000), "/A00001/cartridge.toml", True),
    "capacity 0": (toml("= 1000", "= 0"), "capacity_bytes", True),
    "capacity true": (toml("= 1000", "= true"), "capacity_bytes", True),
    "capacity 64 bits": (toml("= 1000", f"= {2**63}"), "capacity_bytes", True),
    "capacity text": (toml("= 1000", '= "1000"'), "capacity_bytes", True),
    "protection misspelt": (toml("write_protected", "write_protect"), "write_protected", True),
    "protection a number": (toml("= false", "= 0"), "write_protected", True),
    "media type empty": (toml('"LTO-8"', '""'), "media_type", True),
    "media type a list": (toml('"LTO-8"', '["LTO-8"]'), "media_type", True),
    "sides none": (toml('["side-1"]', "[]"), "sides", True),
    "sides a number": (toml('["side-1"]', "1"), "sides", True),
    "sides elsewhere": (toml('"side-1"', '"../../slot-0002/B00002/side-1"'), "sides", True),
    "sides three": (toml('"side-1"', '"side-1", "side-2", "side-3"'), "sides", True),
    "side missing": (in_slot(Path.unlink, *SIDE), "/A00001/side-1", True),
    "side a link": (in_slot(replace_by_link, *SIDE), "/A00001/side-1", True),
    "side a pipe": (in_slot(make_pipe, *SIDE), "/A00001/side-1", True),
    "second side missing": (toml('"side-1"', '"side-1", "side-2"'), "/A00001/side-2", True),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_broken_element_is_told_and_the_rest_goes_on(library: VirtualLibrary, breakage: str) -> None:
    do_break, named, can_be_carried = BREAKAGES[breakage]
    before = statuses(library)
    slot = Path(library.directory) / "slot-0001"
    do_break(slot)
    after = statuses(library)
    broken = after.pop("slot-0001")
    assert after == {name: status for name, status in before.items() if name != "slot-0001"}
    assert broken.exception is not None
    assert broken.exception.isprintable()
    assert str(slot) in broken.exception
    assert named in broken.exception
    assert (broken.accessible, broken.cartridge) == (can_be_carried, None)
    assert broken.full is (None if breakage.startswith("element") else True)
    assert broken.barcode == ("A00001" if can_be_carried else None)

    with refused(ElementNotAccessibleError if not can_be_carried else type(failure_of(library)), str(slot), named):
        library.move(SLOT + 1, DRIVE + 1, 1)
    if can_be_carried:
        library.move(SLOT + 1, PORT + 1, 1)
        assert statuses(library)["port-01"].barcode == "A00001"
    library.move(SLOT + 2, DRIVE + 1, 1)
    library.claim(2)
    assert library.check_readiness().state is ReadinessState.READY
    assert not list(Path(library.directory).glob("drive-02.media"))


def failure_of(library: VirtualLibrary) -> rsm.RsmError:
    with pytest.raises(ElementNotAccessibleError) as caught:
        library.move(SLOT + 1, DRIVE + 2, 1)
    return caught.value


@pytest.mark.parametrize("breakage", [name for name, row in BREAKAGES.items() if row[2]])
def test_cartridge_damaged_in_its_drive_is_not_read_and_can_be_put_away(library: VirtualLibrary, breakage: str) -> None:
    library.move(SLOT + 1, DRIVE + 1, 1)
    BREAKAGES[breakage][0](Path(library.directory) / "drive-01")
    for call in (
        lambda: library.open_side(DRIVE + 1, 1, "wb"),
        lambda: library.read_side(DRIVE + 1, 1),
        lambda: library.load_drive(DRIVE + 1, 1),
    ):
        with pytest.raises(ElementNotAccessibleError, match="drive-01/A00001"):
            call()
    library.claim(2)
    assert not os.path.lexists(library.directory + "/drive-01.media")
    library.unload_drive(DRIVE + 1, 2)
    library.move(DRIVE + 1, SLOT + 1, 2)


def test_bar_code_in_two_places_is_told_at_both_and_can_be_carried_out(library: VirtualLibrary) -> None:
    folder = Path(library.directory)
    shutil.copytree(folder / "slot-0001" / "A00001", folder / "slot-0005" / "A00001")
    found = statuses(library)
    for here, there in (("slot-0001", "slot-0005"), ("slot-0005", "slot-0001")):
        assert here in (found[here].exception or "")
        assert there in (found[here].exception or "")
        assert (found[here].barcode, found[here].accessible) == ("A00001", True)
    assert [name for name, status in found.items() if status.exception] == ["slot-0001", "slot-0005"]
    library.move(SLOT + 5, PORT + 1, 1)
    shutil.rmtree(folder / "port-01" / "A00001")
    assert not any(status.exception for status in library.read_elements())


def test_names_with_a_leading_dot_are_nobody_s_cartridge(library: VirtualLibrary) -> None:
    for name in ("slot-0001", "slot-0005", "drive-01"):
        (Path(library.directory) / name / ".nfs0001").touch()
    library.move(SLOT + 1, DRIVE + 1, 1)
    library.move(DRIVE + 1, SLOT + 5, 1)
    assert not any(status.exception for status in library.read_elements())


# --- library.toml and the robot's file ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('name = "library"', "name = 5", "name"),
        ('name = "library"', f'name = "{"x" * 64}"', "name"),
        ('name = "library"', r'name = "a\u0007"', "name"),
        ('name = "library"', "name = library", "no TOML"),
        ('media_type = "LTO-8"\n', "", "media_type"),
        ('"file"', '"pipe"', "side_kind"),
        ('"file"', "[[]]", "side_kind"),
        ("[elements]", "[element]", "elements.slots"),
        ("[elements]", "elements = 3 #", "elements.slots"),
        ("slots = 6", "slots = 0", "elements.slots"),
        ("slots = 6", "slots = 10000", "elements.slots"),
        ("slots = 6", "slots = 6.0", "elements.slots"),
        ("drives = 2", "drives = 0", "elements.drives"),
        ("drives = 2", "drives = true", "elements.drives"),
        ("ports = 1", "ports = -1", "elements.ports"),
        ("ports = 1", "", "elements.ports"),
    ],
)
def test_damaged_library_file_is_refused_by_name_and_an_open_library_goes_on(
    library: VirtualLibrary, old: str, new: str, named: str
) -> None:
    path = Path(library.directory) / "library.toml"
    rewrite(path, old, new)
    for call in (lambda: VirtualLibrary(library.directory), lambda: library.claim(1)):
        with refused(rsm.InvalidLibraryError, path, named):
            call()
    readiness = library.check_readiness()
    assert readiness.state is ReadinessState.NOT_READY
    assert str(path) in readiness.text
    library.move(SLOT + 1, DRIVE + 1, 1)
    library.open_side(DRIVE + 1, 1, "rb").close()


def test_library_file_that_is_missing_or_a_link_is_refused(library: VirtualLibrary) -> None:
    path = Path(library.directory) / "library.toml"
    replace_by_link(path)
    with refused(rsm.InvalidLibraryError, path, "symbolic link"):
        VirtualLibrary(library.directory)
    path.unlink()
    with refused(rsm.InvalidLibraryError, library.directory, "library.toml"):
        VirtualLibrary(library.directory)
    for missing in (library.directory + "/none", str(path) + "/none", "/etc/passwd"):
        with refused(rsm.DeviceNotAvailableError, missing):
            VirtualLibrary(missing)


def test_claim_sees_a_library_that_was_enlarged(library: VirtualLibrary) -> None:
    folder = Path(library.directory)
    rewrite(folder / "library.toml", "slots = 6", "slots = 7")
    (folder / "slot-0007").mkdir()
    with refused(UnknownElementError, folder):
        library.move(SLOT + 1, SLOT + 7, 1)
    library.claim(1)
    library.move(SLOT + 1, SLOT + 7, 1)
    assert statuses(library)["slot-0007"].barcode == "A00001"


ROBOT_BREAKAGES: dict[str, tuple[Callable[[Path], Any], type[rsm.RsmError]]] = {
    "link": (replace_by_link, ElementNotAccessibleError),
    "dangling link": (replace_by_dangling_link, ElementNotAccessibleError),
    "folder": (make_folder, ElementNotAccessibleError),
    "pipe": (make_pipe, ElementNotAccessibleError),
    "text": (write(b"epoch"), rsm.DeviceNotAvailableError),
    "below 0": (write(b"-1"), rsm.DeviceNotAvailableError),
    "zeros of a lost write": (write(b"\0" * 21), rsm.DeviceNotAvailableError),
    "too long": (write(b"1" * 65), rsm.DeviceNotAvailableError),
}


@pytest.mark.parametrize("breakage", ROBOT_BREAKAGES)
def test_broken_robot_file_stops_the_robot_and_is_told_of_the_arm(library: VirtualLibrary, breakage: str) -> None:
    do_break, error = ROBOT_BREAKAGES[breakage]
    library.move(SLOT + 1, DRIVE + 1, 1)
    path = Path(library.directory) / ".robot"
    do_break(path)
    before = os.listdir(library.directory)
    for call in (lambda: library.claim(2), lambda: library.move(SLOT + 2, DRIVE + 2, 2)):
        with refused(error, path):
            call()
    assert os.listdir(library.directory) == before
    found = statuses(library)
    assert str(path) in (found.pop(".robot").exception or "")
    assert not any(status.exception for status in found.values())
    assert library.check_readiness().state is ReadinessState.NOT_READY
    library.open_side(DRIVE + 1, 1, "wb").close()


@pytest.mark.parametrize("content", [None, b"", b"1\n", b" 1 "])
def test_robot_file_may_be_missing_or_empty(library: VirtualLibrary, content: bytes | None) -> None:
    path = Path(library.directory) / ".robot"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert not any(status.exception for status in library.read_elements())
    library.move(SLOT + 1, DRIVE + 1, 1)
    assert int(path.read_bytes()) == 1


def test_robot_held_by_another_is_waited_for_and_then_named(library: VirtualLibrary) -> None:
    path = Path(library.directory) / ".robot"
    hurried = VirtualLibrary(library.directory, lock_wait_seconds=0.0)
    with path.open("rb+") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with refused(rsm.BusyError, path):
            hurried.move(SLOT + 1, DRIVE + 1, 1)
        assert statuses(hurried)["slot-0001"].barcode == "A00001"
    hurried.move(SLOT + 1, DRIVE + 1, 1)


# --- recordings -----------------------------------------------------------------------------------------------------


def test_side_with_a_second_name_is_read_and_never_written(library: VirtualLibrary, tmp_path: Path) -> None:
    library.move(SLOT + 1, DRIVE + 1, 1)
    side = Path(library.directory) / "drive-01" / "A00001" / "side-1"
    side.write_bytes(b"precious")
    os.link(side, tmp_path / "foreign")
    for mode in ("wb", "ab"):
        with refused(ElementNotAccessibleError, side):
            library.open_side(DRIVE + 1, 1, mode)
    assert recorded(library) == b"precious"


def test_writing_behaves_like_a_file_within_the_capacity(library: VirtualLibrary) -> None:
    library.move(SLOT + 1, DRIVE + 1, 1)
    with library.open_side(DRIVE + 1, 1, "wb") as file:
        assert file.write(memoryview(b"0123456789").cast("H")) == 10
        assert file.tell() == 10
        file.seek(5)
        file.write(b"x")
        file.seek(CAPACITY - 1)
        for refused_call in (lambda: file.write(b"ab"), lambda: file.truncate(CAPACITY + 1)):
            with pytest.raises(OSError, match="space") as caught:
                refused_call()
            assert caught.value.errno == errno.ENOSPC
        assert file.tell() == CAPACITY - 1
        file.write(b"a")
        assert file.truncate(7) == 7
        file.writelines([])
        with pytest.raises(OSError, match="read"):
            file.read()
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.write(b"late")
    assert recorded(library) == b"01234x6"


@pytest.mark.parametrize("mode", ["wb", "ab"])
def test_block_that_the_disk_broke_off_is_taken_back(library: VirtualLibrary, mode: Any) -> None:
    library.move(SLOT + 1, DRIVE + 1, 1)
    file = library.open_side(DRIVE + 1, 1, mode)
    file.write(b"taken")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (7, before[1]))
        with pytest.raises(OSError, match="too large"):
            file.write(b"half and more")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    file.write(b" again")
    file.close()
    assert recorded(library) == b"taken again"


def test_disk_side_counts_all_its_files_and_follows_no_link(virtual_templates: dict[str, Path], tmp_path: Path) -> None:
    library = VirtualLibrary(shutil.copytree(virtual_templates["virtual disk"], tmp_path / "library"))
    library.move(SLOT + 1, DRIVE + 1, 1)
    side = Path(library.directory) / "drive-01.media"
    (side / "deep" / "er").mkdir(parents=True)
    (side / "deep" / "er" / "file").write_bytes(b"x" * 600)
    (side / "deep" / "link").symlink_to("/")
    before = library.read_side(DRIVE + 1, 1)
    assert (before.used_bytes, before.free_bytes) == (601, 399)
    with library.open_side(DRIVE + 1, 1, "wb") as file:
        file.write(b"y" * 399)
        with pytest.raises(OSError, match="space"):
            file.write(b"y")
    assert (side / "data").read_bytes() == b"y" * 399
    (side / "more").write_bytes(b"z")
    after = library.read_side(DRIVE + 1, 1)
    assert after.overfull
    assert after.fingerprint != before.fingerprint

    (side / "data").unlink()
    (side / "data").symlink_to(tmp_path / "foreign")
    for mode in ("rb", "wb", "ab"):
        with refused(ElementNotAccessibleError, "data"):
            library.open_side(DRIVE + 1, 1, mode)
    assert not (tmp_path / "foreign").exists()


# --- cleaners -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("barcode", "options", "is_one"),
    [
        ("A00002", {"cleaner": True}, True),
        ("A00002", {"cleaner": True, "media_type": "LTO-3"}, True),
        ("CLN001", {}, True),
        ("CLN001", {"media_type": "LTO-3"}, True),
        ("A00002", {}, False),
    ],
)
def test_cleaner_cleans_a_drive_and_is_no_medium(
    tmp_path: Path, barcode: str, options: dict[str, Any], is_one: bool
) -> None:
    library = VirtualLibrary(virtual.create(tmp_path / "new", 3, 2, 0, "LTO-8"))
    add_cartridge(library.directory, barcode, slot=3, **options)
    library.claim(1)
    (status,) = library.read_elements([1003])
    assert status.cartridge is not None
    assert status.cartridge.cleaner == (True if "cleaner" in options else None)
    with pytest.raises(SourceEmptyError):
        library.clean_drive(102, 1)
    library.move(1003, 102, 1)
    if is_one:
        library.clean_drive(102, 1)
    else:
        with pytest.raises(NoCleanerError):
            library.clean_drive(102, 1)
    if "cleaner" in options:
        with pytest.raises(rsm.MediaIncompatibleError):
            library.load_drive(102, 1)
    library.unload_drive(102, 1)
    library.move(102, 1003, 1)


def test_cartridge_that_cannot_tell_whether_it_is_a_cleaner_is_damaged(tmp_path: Path) -> None:
    library = VirtualLibrary(virtual.create(tmp_path / "new", 3, 2, 0, "LTO-8"))
    path = Path(add_cartridge(library.directory, "A00002", slot=3).path) / "cartridge.toml"
    path.write_text(path.read_text() + 'cleaner = "perhaps"\n')
    (status,) = library.read_elements([1003])
    assert status.cartridge is None
    assert "cleaner has to be true or false" in (status.exception or "")
