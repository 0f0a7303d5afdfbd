"""The demonstration: what it backs up comes back, what is damaged is noticed, and it leaves nothing behind."""

import contextlib
import errno
import json
import os
import random
import socket
import stat
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import rsm
from rsm.cli import demo, demo_backup
from rsm.cli.demo_backup import Backup, SpanningWriter, back_up, restore
from rsm.labels import FREE_LABEL_BYTES
from rsm.libraries import virtual_make, virtual_sides

pytestmark = pytest.mark.works

Command = Callable[..., Any]
POOL, FREE = r"\Nightly", r"\Free\LTO-8"
CAPACITY, BLOCK = 64 * 1024, 4096
DEEP = "/".join(["twenty-characters-xx"] * 15)


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """A small directory with all that a file system may hold and a backup has to bring back."""
    top = tmp_path / "source"
    (top / DEEP).mkdir(parents=True)
    (top / DEEP / "at the bottom").write_text("deep")
    (top / "data").write_bytes(random.Random(17).randbytes(150_000))
    (top / "empty").touch()
    (top / "empty folder").mkdir()
    for name in ("with\nline end", "ümläut ☃", os.fsdecode(b"no utf-8 \xff"), "-rf", " blanks "):
        (top / name).write_text(name, errors="surrogateescape")
    os.link(top / "data", top / "the same data")
    for name, target in (("near", "data"), ("far", "/etc/hosts"), ("up", "../.."), ("nowhere", "./x/../y"), ("d", ".")):
        (top / name).symlink_to(target)
    closed = top / "closed"
    closed.mkdir()
    (closed / "link").symlink_to("tool")
    (closed / "tool").write_text("#!/bin/sh\n")
    for name, mode in (("closed/tool", 0o755), ("empty", 0o400), ("-rf", 0o664), ("closed", 0o555)):
        (top / name).chmod(mode)
    yield top
    closed.chmod(0o755)


@pytest.fixture
def place(tmp_path: Path, catalogue: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the demonstration makes its directory; no database is set."""
    monkeypatch.delenv("RSM_DATABASE")
    path = tmp_path / "scratch"
    path.mkdir()
    return path


@pytest.fixture
def demonstrate(rsm_command: Command, tree: Path, place: Path) -> Command:
    """Run the demonstration on the small directory."""
    return lambda *words: rsm_command(*words, "demo", "--source", str(tree), "--directory", str(place))


def contents(top: Path) -> dict[str, object]:
    """Return all names in a directory with kind, mode and content."""
    found: dict[str, object] = {}
    for path in sorted(top.rglob("*")):
        mode = path.lstat().st_mode
        held = os.readlink(path) if stat.S_ISLNK(mode) else path.read_bytes() if stat.S_ISREG(mode) else None
        found[os.path.relpath(path, top)] = (stat.S_IFMT(mode), stat.S_ISLNK(mode) or mode & 0o777, held)
    return found


# --- the whole ------------------------------------------------------------------------------------------------------


def test_demo_spans_cartridges_and_leaves_nothing(demonstrate: Command, place: Path) -> None:
    document = demonstrate("--json").document
    assert document["expected"] is True
    assert document["directory"] is None
    phases = {phase["phase"]: phase for phase in document["summary"]}
    assert list(phases) == ["prepare", "back up", "restore", "compare", "give back", "all"]
    assert phases["back up"]["cartridges"] >= 3
    assert phases["back up"]["bytes"] == phases["restore"]["bytes"] > 150_000
    assert phases["all"]["robot_moves"] >= 2 * phases["back up"]["cartridges"]
    assert list(place.iterdir()) == []


def test_demo_tells_people_and_programs_the_same(demonstrate: Command, place: Path) -> None:
    answer = demonstrate()
    assert (answer.status, answer.err) == (0, "")
    assert "refused, ERROR_NOT_EMPTY (4307): " in answer.out
    assert answer.out.endswith("steps, all as expected.\n")
    assert "BAD" not in answer.out
    lines = demonstrate("--plain").lines
    steps = [line for line in lines if line[0] != "summary"]
    assert {line[2] for line in steps} == {"true"}
    assert all(f"ok  {line[0]}: " in answer.out for line in steps)
    assert [line[1] for line in lines[len(steps) :]][:2] == ["prepare", "back up"]
    assert list(place.iterdir()) == []


def test_demo_keeps_all_when_asked(rsm_command: Command, tree: Path, place: Path) -> None:
    words = ("demo", "--source", str(tree), "--directory", str(place), "--keep")
    kept = Path(rsm_command("--json", *words).document["directory"])
    assert kept.parent == place
    assert contents(kept / "restored") == contents(tree)
    assert (kept / "restored/data").stat().st_ino == (kept / "restored/the same data").stat().st_ino
    pools = rsm_command("--json", "--database", str(kept / "rsm.db"), "pool", "list").document
    assert not [pool for pool in pools if pool["path"].startswith(r"\Demo")]
    assert len(list(kept.glob("robot/slot-*/DEMO*"))) == demo.CARTRIDGES


def test_demo_backs_up_an_empty_directory(rsm_command: Command, place: Path, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    words = ("demo", "--source", str(tmp_path / "nothing"), "--directory", str(place))
    phases = rsm_command("--json", *words).document["summary"]
    assert phases[1]["cartridges"] >= 3


def test_demo_takes_the_standard_library_unless_told(
    rsm_command: Command, tree: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "site-packages").mkdir()
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tree) if name == "stdlib" else None)
    kept = Path(rsm_command("--json", "demo", "--directory", str(place), "--keep").document["directory"])
    (tree / "site-packages").rmdir()
    assert contents(kept / "restored") == contents(tree)


def test_demo_lists_what_it_leaves_out(demonstrate: Command, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tree / "pipe")
    monkeypatch.chdir(tree)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
    (tree / "secret").write_text("for root's eyes")
    opened = os.open

    def refuse(path: Any, *arguments: Any, **keywords: Any) -> int:
        if str(path).endswith("secret"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return opened(path, *arguments, **keywords)

    monkeypatch.setattr("os.open", refuse)
    document = demonstrate("--json").document
    told = next(step["result"] for step in document["steps"] if step["step"] == "leave out")
    assert sorted(told.split("; ")) == [
        "pipe: no file, folder or link",
        "secret: Permission denied",
        "socket: no file, folder or link",
    ]
    assert document["expected"] is True


def test_demo_draws_bars_on_a_terminal_only(demonstrate: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rsm.cli.output.is_terminal", lambda stream: stream is demo.sys.stderr)
    err = demonstrate().err
    for title in ("back up", "restore", "compare"):
        assert f"\r\x1b[K{title} [" in err
    assert err.endswith("\r\x1b[K")


# --- what goes wrong ------------------------------------------------------------------------------------------------


def test_demo_refuses_what_it_cannot_use(rsm_command: Command, tree: Path, place: Path, tmp_path: Path) -> None:
    for words, says in (
        (("--source", str(tmp_path / "missing")), "does not exist"),
        (("--source", str(tree / "data")), "is a file"),
        (("--source", str(tree), "--directory", str(tree / DEEP)), "lies in what is to be backed up"),
        (("--source", str(tree), "--database", str(tmp_path / "my.db")), "makes its own catalogue"),
    ):
        answer = rsm_command("demo", "--directory", str(place), *words)
        assert (answer.status, answer.out) == (2, ""), words
        assert says in answer.err
    assert list(place.iterdir()) == []


def _no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = demo.shutil.disk_usage("/")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=1_000_000))


def _full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    write = virtual_sides.SideWriter.write

    def write_labels_only(self: virtual_sides.SideWriter, data: Any) -> int:
        if len(data) == FREE_LABEL_BYTES:
            return write(self, data)
        raise OSError(errno.ENOSPC, "no", self._path)

    monkeypatch.setattr(virtual_sides.SideWriter, "write", write_labels_only)


def _network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rsm.place.network_file_system", lambda path, mounts=None: "nfs4")


def _growth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "CARTRIDGES", 2)


def _no_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    def walk(source: Path, without: object, left_out: list[tuple[str, str]]) -> Iterator[str]:
        left_out.append((".", "Permission denied"))
        return iter(())

    monkeypatch.setattr(demo, "walk_tree", walk)


@pytest.mark.parametrize(
    ("spoil", "code", "says"),
    [
        (_no_room, "ERROR_DEVICE_NOT_AVAILABLE", "1,000,000 are free; give another --directory"),
        (_full_disk, "ERROR_DEVICE_NOT_AVAILABLE", "/side-1: No space left on device"),
        (_network, "ERROR_DATABASE_FAILURE", "is on nfs4, where locks cannot be trusted"),
        (_growth, "ERROR_MEDIA_UNAVAILABLE", "the 2 cartridges are full: the source has grown"),
        (_no_listing, "ERROR_ACCESS_DENIED", "cannot be listed: Permission denied"),
    ],
)
def test_demo_ends_with_one_line_and_leaves_nothing(
    demonstrate: Command, place: Path, monkeypatch: pytest.MonkeyPatch, spoil: Any, code: str, says: str
) -> None:
    spoil(monkeypatch)
    answer = demonstrate("--plain")
    assert answer.status == 1
    assert answer.err.startswith(f"{code} (")
    assert says in answer.err
    assert answer.err.count("\n") == 1
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("where", ["rsm.cli.demo_backup.SpanningWriter.write", "rsm.cli.demo.compare_trees"])
def test_demo_cleans_up_when_interrupted(
    demonstrate: Command, place: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(where, interrupt)
    assert demonstrate().status == 130
    assert list(place.iterdir()) == []


def test_demo_ends_with_1_when_something_is_not_as_expected(
    demonstrate: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def restore_badly(session: rsm.Session, volumes: Any, directory: Path, **keywords: Any) -> None:
        restore(session, volumes, directory, **keywords)
        (directory / "empty folder").rmdir()

    monkeypatch.setattr(demo, "restore", restore_badly)
    monkeypatch.setattr("rsm.schema.check", lambda url: ["a slot holds two cartridges"])
    answer = demonstrate()
    assert answer.status == 1
    assert "BAD compare: 1 differences: empty folder is missing\n" in answer.out
    assert "BAD check the catalogue: a slot holds two cartridges\n" in answer.out
    assert answer.err == "ERROR_INTERNAL_ERROR (1359): the demonstration did not go as expected\n"
    machine = demonstrate("--json")
    assert machine.status == 1
    assert json.loads(machine.out)["expected"] is False
    assert list(place.iterdir()) == []


# --- the backup that others copy ------------------------------------------------------------------------------------


@pytest.fixture
def session(place: Path) -> Iterator[rsm.Session]:
    """A session on a catalogue with a library of seven labelled cartridges and a pool that draws on them."""
    robot = virtual_make.create(place / "robot", 8, 2, 0, "LTO-8")
    for number in range(1, 8):
        virtual_make.add_cartridge(robot, f"A0000{number}L8", capacity_bytes=CAPACITY)
    with rsm.connect(place / "rsm.db", application="tests") as opened:
        library = opened.libraries.add("virtual", robot)
        finish(opened)
        for medium in opened.media.list(library=library):
            opened.media.move(medium, FREE)
        finish(opened)
        opened.pools.create(POOL, media_type="LTO-8", allocate_from_free=True, deallocate_to_free=True)
        yield opened


def finish(session: rsm.Session) -> None:
    """Wait until the library has nothing to do."""
    for request in session.requests.list(live=True):
        session.requests.wait(request, timeout_ms=60_000)


def patience(waiting: rsm.Waiting) -> None:
    assert waiting.seconds < 60, waiting


def save(session: rsm.Session, tree: Path, **options: Any) -> Backup:
    backup = back_up(session, POOL, tree, block_bytes=BLOCK, on_wait=patience, **options)
    finish(session)
    return backup


def test_each_full_cartridge_is_complete_and_nothing_is_lost_between(
    session: rsm.Session, tree: Path, place: Path
) -> None:
    backup = save(session, tree)
    states = [session.media.sides(volume.medium.medium)[0].state.name for volume in backup.volumes]
    assert states == ["NTMS_PARTSTATE_COMPLETE"] * (len(states) - 1) + ["NTMS_PARTSTATE_ALLOCATED"]
    assert [volume.bytes for volume in backup.volumes[:-1]] == [CAPACITY] * (len(states) - 1)
    assert len(states) >= 3
    restore(session, backup.volumes, place / "restored", on_wait=patience)
    assert contents(place / "restored") == contents(tree)


@pytest.mark.parametrize(
    ("volume", "at"),
    [(0, 50), (1, 0), (1, CAPACITY - 1), (2, 20_000), (-1, -1), (1, None)],
    ids=["header", "first byte", "last byte of a cartridge", "data", "padding", "cut short"],
)
def test_what_a_cartridge_lost_is_noticed(
    session: rsm.Session, tree: Path, place: Path, volume: int, at: int | None
) -> None:
    backup = save(session, tree)
    damaged = backup.volumes[volume].medium.name
    (side,) = place.glob(f"robot/slot-*/{damaged}/side-1")
    held = bytearray(side.read_bytes())
    if at is None:
        del held[-10:]
    else:
        held[at] ^= 1
    side.write_bytes(held)
    # The header of an archive is the cartridge's label: another one is noticed before anything is read.
    in_header = (volume, at) == (0, 50)
    error = rsm.InvalidStateError if in_header else rsm.InvalidMediaError
    text = "is not what it was" if in_header else "does not hold what was written to it"
    with pytest.raises(error, match=f"cartridge {damaged} {text}"):
        restore(session, backup.volumes, place / "restored", on_wait=patience)


@pytest.mark.parametrize("change", ["grows", "shrinks", "is written"])
def test_a_file_that_changes_is_named_and_its_media_are_given_back(
    session: rsm.Session, tree: Path, change: str
) -> None:
    file = tree / "data"

    def interfere(_: int) -> None:
        if change == "grows":
            with file.open("ab") as end:
                end.write(b"more")
        elif change == "shrinks":
            os.truncate(file, 1000)
        else:
            os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))

    with pytest.raises(rsm.InvalidStateError, match=f"{file} changed while it was read"):
        save(session, tree, on_bytes=interfere)
    assert session.media.logical_media() == []
    finish(session)
    assert len(session.media.list(pool=FREE)) == 7


def test_an_interrupted_writer_gives_back_what_it_has_mounted(session: rsm.Session) -> None:
    with (
        contextlib.suppress(KeyboardInterrupt),
        SpanningWriter(session, POOL, on_bytes=None, on_wait=patience) as stream,
    ):
        stream.write(bytes(CAPACITY))
        stream.write(bytes(BLOCK))
        assert len(session.media.logical_media()) == 2
        raise KeyboardInterrupt
    assert stream.write(b"what tarfile still holds") == 24
    assert stream.volumes == []
    assert session.media.logical_media() == []


def test_a_medium_that_cannot_be_closed_is_given_back(session: rsm.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    close, faults = virtual_sides.SideWriter.close, [OSError(errno.EIO, os.strerror(errno.EIO))]

    def fail_once(self: virtual_sides.SideWriter) -> None:
        close(self)
        if faults:
            raise faults.pop()

    stream = SpanningWriter(session, POOL, on_bytes=None, on_wait=patience)
    stream.write(bytes(BLOCK))
    monkeypatch.setattr(virtual_sides.SideWriter, "close", fail_once)
    with pytest.raises(OSError, match="Input/output error"):
        stream.__exit__(None, None, None)
    assert stream.volumes == []
    assert session.media.logical_media() == []


def test_a_block_that_no_cartridge_takes_is_refused(session: rsm.Session) -> None:
    with pytest.raises(OSError, match="No space left") as refusal:
        with SpanningWriter(session, POOL, on_bytes=None, on_wait=patience) as stream:
            stream.write(bytes(CAPACITY + 1))
    assert refusal.value.errno == errno.ENOSPC
    assert session.media.logical_media() == []


def test_links_are_not_made_outside(session: rsm.Session, tree: Path, place: Path) -> None:
    link = tarfile.TarInfo("d/planted")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc"
    (place / "restored").mkdir()
    (place / "restored/d").symlink_to(tree)
    with pytest.raises(tarfile.OutsideDestinationError):
        demo_backup._make_link(place / "restored", link)
    assert not (tree / "planted").is_symlink()


def _spoilt(name: str) -> Callable[[Path], None]:
    return {
        "missing": lambda top: (top / "empty").unlink(),
        "there and was not": lambda top: (top / "new").touch(),
        "of another kind": lambda top: ((top / "empty").unlink(), (top / "empty").mkdir())[0],
        "its mode is 600, not 644": lambda top: (top / "data").chmod(0o600),
        "the link leads elsewhere": lambda top: ((top / "near").unlink(), (top / "near").symlink_to("empty"))[0],
        "it has 1 bytes, not 3": lambda top: (top / "data").write_text("x"),
        "its content is not the same": lambda top: (top / "data").write_text("one more"[:3]),
    }[name]


@pytest.mark.parametrize(
    "says",
    [
        "missing",
        "there and was not",
        "of another kind",
        "its mode is 600, not 644",
        "the link leads elsewhere",
        "it has 1 bytes, not 3",
        "its content is not the same",
    ],
)
def test_every_kind_of_difference_is_told(tmp_path: Path, says: str) -> None:
    for name in ("one", "other"):
        top = tmp_path / name
        top.mkdir()
        (top / "empty").touch()
        (top / "data").write_text("abc")
        (top / "data").chmod(0o644)
        (top / "near").symlink_to("data")
    compared: list[int] = []
    assert demo.compare_trees(tmp_path / "one", tmp_path / "other", (), (), compared.append) == []
    assert compared == [3]
    _spoilt(says)(tmp_path / "other")
    (difference,) = demo.compare_trees(tmp_path / "one", tmp_path / "other", (), (), compared.append)
    assert says in difference
