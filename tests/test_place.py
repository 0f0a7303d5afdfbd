"""Where a catalogue may live: its names, new files and their permissions, file systems without sound locks."""

import os
import stat
from pathlib import Path

import pytest

import rsm
from rsm import place

SQLITE, POSTGRESQL = "sqlite", "postgresql"


@pytest.mark.parametrize(
    ("given", "file"),
    {
        "/srv/a.db": "/srv/a.db",
        "sqlite:////srv/a.db": "/srv/a.db",
        "sqlite+pysqlite:////srv/a.db": "/srv/a.db",
        "/srv/../srv/./Zoë 💾;?#%41.db": "/srv/Zoë 💾;?#%41.db",
        "relative.db": f"{os.getcwd()}/relative.db",
        "sqlite:///relative.db": f"{os.getcwd()}/relative.db",
        "postgresql:nonsense": f"{os.getcwd()}/postgresql:nonsense",
    }.items(),
)
def test_a_file_is_named_by_path_or_url(given: str, file: str) -> None:
    url = place.parse_url(given)
    assert (url.get_backend_name(), url.database) == (SQLITE, file)
    again = place.parse_url(url.render_as_string())
    assert again == url


@pytest.mark.parametrize(
    "given", ["postgresql://backup@host/rsm", "postgresql+psycopg://u:p%40ss@[::1]:5433/rsm?host=/tmp"]
)
def test_a_server_is_named_by_url(given: str) -> None:
    assert place.parse_url(given).get_backend_name() == POSTGRESQL


@pytest.mark.parametrize(
    "given",
    [
        "",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///",
        "mysql://host/rsm",
        "://",
        "nonsense://x",
        "postgresql://h:port/x",
        "a\0b",
        "sqlite:///a\nb",
        "/srv/\ud800.db",
        "http://host/rsm.db",
    ],
)
def test_what_names_no_catalogue_is_refused(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(rsm.InvalidParameterError):
        rsm.connect(given)
    assert os.listdir(tmp_path) == []


def test_a_password_is_in_no_message() -> None:
    with pytest.raises(rsm.InvalidParameterError) as caught:
        place.parse_url("mysql://user:secret@host/rsm")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("uid", "shared"), [(0, "/var/lib/rsm"), (1000, "{data}/rsm")], ids=["root", "a user"])
def test_the_usual_place(uid: int, shared: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(Path, "exists", lambda _: False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("RSM_DATABASE", raising=False)
    wanted = Path(shared.format(data=tmp_path)) / "rsm.db"
    assert place.default_path() == wanted
    assert place.parse_url(None).database == str(wanted)
    monkeypatch.setenv("RSM_DATABASE", "/srv/other.db")
    assert place.parse_url(None).database == "/srv/other.db"


def test_the_usual_place_without_a_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(Path, "exists", lambda _: False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/zoe")
    assert place.default_path() == Path("/home/zoe/.local/share/rsm/rsm.db")


# Files


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize(("folder", "file"), [(0o755, 0o600), (0o2770, 0o660)], ids=["own folder", "group's folder"])
def test_a_new_file_is_for_its_owner_or_the_folder_s_group(tmp_path: Path, folder: int, file: int, umask: int) -> None:
    path = tmp_path / "shared" / "rsm.db"
    path.parent.mkdir()
    path.parent.chmod(folder)
    before = os.umask(umask)
    try:
        place.make_file(path)
        with rsm.connect(path, caller=rsm.Caller("user:admin")) as session:
            session.pools.create("\\new")
            modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(["rsm.db", "rsm.db-gate", "rsm.db-shm", "rsm.db-wal"], file)


def test_missing_folders_are_made_for_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "rsm.db"
    place.make_file(path)
    assert path.read_bytes() == b""
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "rsm.db"
    path.write_bytes(b"kept")
    path.chmod(0o640)
    place.make_file(path)
    assert path.read_bytes() == b"kept"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("inside", ["file/rsm.db", "loop/rsm.db", f"{'x' * 300}/rsm.db", "x" * 300])
def test_a_place_where_no_file_can_be(tmp_path: Path, inside: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(rsm.DatabaseFailureError):
        place.make_file(tmp_path / inside)
    with pytest.raises(rsm.DatabaseFailureError):
        rsm.connect(tmp_path / inside)


def mountinfo(folder: Path, kind: str) -> Path:
    """Return a table of mounts that puts the folder's device on a file system of that kind."""
    device = folder.stat().st_dev
    lines = [
        "22 1 0:1 / / rw shared:1 - ext4 /dev/root rw",
        f"36 35 {os.major(device)}:{os.minor(device)} /x {folder} rw master:1 propagate_from:2 - {kind} srv:/a rw",
        "",
        "cut short",
    ]
    path = folder / "mountinfo"
    path.write_text("\n".join(lines))
    return path


UNSOUND = ["nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse", "fuse.sshfs", "fuseblk", "ceph", "glusterfs", "lustre"]


@pytest.mark.parametrize("kind", UNSOUND)
def test_file_systems_without_sound_locks_are_refused(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch, sqlite_path: Path
) -> None:
    monkeypatch.setattr(place.check_file_system, "__defaults__", (mountinfo(tmp_path, kind),))
    for path in (sqlite_path, tmp_path / "new.db"):
        with pytest.raises(rsm.DatabaseFailureError, match=rf"\b{kind}\b.*PostgreSQL \(postgresql://"):
            rsm.connect(path)
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "nfsd", "fusectl"])
def test_local_file_systems_are_fine(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place.check_file_system, "__defaults__", (mountinfo(tmp_path, kind),))
    place.check_file_system(tmp_path)
    place.make_file(tmp_path / "new.db")


def test_without_a_table_of_mounts_nothing_is_refused(tmp_path: Path) -> None:
    place.check_file_system(tmp_path, tmp_path / "missing")
