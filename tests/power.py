"""The disk as a power cut leaves it: records what a program does to its files, and rebuilds them as of any moment.

`python power.py WORK FOLDER …` runs one piece of work (`pools`, `creation`, `robot`) on what lies in FOLDER and writes
all deeds to FOLDER.deeds. `Disk` reads them. What was synced is there after a cut; of the rest, all, nothing, or any
part of it: sectors of a write, and of what happened to directories everything up to some moment.
"""

import os
import pickle
import random
import stat
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECTOR_BYTES = 512
KEPT, DROPPED, TORN = "kept", "dropped", "torn"

# Recording


class Recorder:
    """Keeps every deed below one folder, in order; an acknowledgement is a deed too."""

    def __init__(self, folder: Path) -> None:
        self.folder = os.path.realpath(folder)
        self.deeds: list[tuple[Any, ...]] = []
        self._lock = threading.Lock()

    def tell(self, what: str, path: str, *rest: Any) -> None:
        """Keep one deed; paths are kept as below the folder."""
        place = self.below(path)
        if not place.startswith(".."):
            rest = (self.below(rest[0]),) if what == "rename" else rest
            with self._lock:
                self.deeds.append((what, place, *rest))

    def below(self, path: str) -> str:
        """Return a path as seen from the folder; its last part may be a symbolic link."""
        above, name = os.path.split(os.path.abspath(path))
        return os.path.relpath(os.path.join(os.path.realpath(above), name), self.folder)

    def acknowledge(self, what: Any) -> None:
        """Keep that a call has returned."""
        with self._lock:
            self.deeds.append(("acknowledged", "", what))

    def save(self) -> None:
        """Write everything down beside the folder."""
        with open(f"{self.folder}.deeds", "wb") as file:
            pickle.dump(self.deeds, file)


class RecordingOs:
    """The module `os` for code that is to be recorded."""

    def __init__(self, recorder: Recorder) -> None:
        self._tell = recorder.tell

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def _path(self, path: Any, dir_fd: int | None = None) -> str:
        above = os.getcwd() if dir_fd is None else os.readlink(f"/proc/self/fd/{dir_fd}")
        return os.path.join(above, os.fspath(path))

    def open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        full = self._path(path, dir_fd)
        is_new = flags & os.O_CREAT and not os.path.lexists(full)
        descriptor = os.open(path, flags, mode, dir_fd=dir_fd)
        if is_new:
            self._tell("create", full)
        elif flags & os.O_TRUNC:
            self._tell("truncate", full, 0)
        return descriptor

    def write(self, descriptor: int, data: Any) -> int:
        offset = os.lseek(descriptor, 0, os.SEEK_CUR)
        count = os.write(descriptor, data)
        self._tell("write", self._path("", descriptor).rstrip("/"), offset, bytes(data[:count]))
        return count

    def pwrite(self, descriptor: int, data: Any, offset: int) -> int:
        count = os.pwrite(descriptor, data, offset)
        self._tell("write", self._path("", descriptor).rstrip("/"), offset, bytes(data[:count]))
        return count

    def ftruncate(self, descriptor: int, size: int) -> None:
        os.ftruncate(descriptor, size)
        self._tell("truncate", self._path("", descriptor).rstrip("/"), size)

    def fsync(self, descriptor: int) -> None:
        self._tell("sync", self._path("", descriptor).rstrip("/"))

    def mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        os.mkdir(path, mode, dir_fd=dir_fd)
        self._tell("mkdir", self._path(path, dir_fd))

    def symlink(self, target: Any, path: Any, *, dir_fd: int | None = None) -> None:
        os.symlink(target, path, dir_fd=dir_fd)
        self._tell("symlink", self._path(path, dir_fd), target)

    def unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        os.unlink(path, dir_fd=dir_fd)
        self._tell("unlink", self._path(path, dir_fd))

    def rename(self, old: Any, new: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
        os.rename(old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        self._tell("rename", self._path(old, src_dir_fd), self._path(new, dst_dir_fd))


def record_virtual_library(recorder: Recorder) -> None:
    """Let everything that this process does to virtual libraries pass by the recorder."""
    from rsm.libraries import virtual, virtual_files, virtual_make, virtual_robot, virtual_sides

    for module in (virtual, virtual_files, virtual_make, virtual_robot, virtual_sides):
        module.os = RecordingOs(recorder)  # type: ignore[attr-defined]
    write, truncate = virtual_sides.SideWriter.write, virtual_sides.SideWriter.truncate

    def writing(self: Any, data: Any) -> int:
        offset = os.fstat(self.fileno()).st_size if self._append else self.tell()
        count = write(self, data)
        path = os.readlink(f"/proc/self/fd/{self.fileno()}")
        recorder.tell("write", path, offset, bytes(memoryview(data).cast("B")[:count]))
        return count

    def truncating(self: Any, size: int | None = None) -> int:
        length = truncate(self, size)
        recorder.tell("truncate", os.readlink(f"/proc/self/fd/{self.fileno()}"), length)
        return length

    virtual_sides.SideWriter.write = writing  # type: ignore[method-assign]
    virtual_sides.SideWriter.truncate = truncating  # type: ignore[method-assign]


# Rebuilding


@dataclass
class Node:
    """A file's bytes, a directory's entries, or where a symbolic link leads."""

    content: bytearray | dict[str, int] | str


@dataclass
class Deed:
    """One deed on nodes instead of paths. `syncs` are the nodes that must be synced after it for it to last."""

    what: str
    node: int = -1
    syncs: tuple[int, ...] = ()
    places: tuple[tuple[int, str], ...] = ()
    rest: tuple[Any, ...] = ()
    lasting_from: int = field(default=sys.maxsize)


class Disk:
    """What a program did to a folder, and the folder as it could be after a power cut at any moment of that."""

    def __init__(self, before: Path, deeds: list[tuple[Any, ...]]) -> None:
        self._first: dict[int, Node] = {}
        self.root = self._load(before)
        self._now = {number: Node(_copy(node.content)) for number, node in self._first.items()}
        self._new_nodes = dict(self._first)
        self.deeds = [self._resolve(*deed) for deed in deeds]
        last_sync: dict[int, int] = {}
        for number in range(len(self.deeds) - 1, -1, -1):
            deed = self.deeds[number]
            if deed.what == "sync":
                last_sync[deed.node] = number
            elif deed.syncs:
                deed.lasting_from = max(last_sync.get(node, sys.maxsize) for node in deed.syncs)

    def _load(self, path: Path) -> int:
        number = len(self._first)
        if path.is_symlink():
            self._first[number] = Node(os.readlink(path))
        elif path.is_dir():
            entries: dict[str, int] = {}
            self._first[number] = Node(entries)
            for name in sorted(os.listdir(path)):
                kind = os.lstat(path / name).st_mode
                if stat.S_ISREG(kind) or stat.S_ISDIR(kind) or stat.S_ISLNK(kind):
                    entries[name] = self._load(path / name)
        else:
            self._first[number] = Node(bytearray(path.read_bytes()))
        return number

    def _place(self, path: str) -> tuple[int, str]:
        *above, name = path.split("/")
        return self._find("/".join(above) or "."), name

    def _find(self, path: str) -> int:
        number = self.root
        for name in path.split("/"):
            if name != ".":
                entries = self._now[number].content
                assert isinstance(entries, dict)
                number = entries[name]
        return number

    def _resolve(self, what: str, path: str, *rest: Any) -> Deed:
        """Return a deed on nodes, and do it on the disk that loses nothing."""
        if what == "acknowledged":
            return Deed(what, rest=rest)
        if what in ("write", "truncate", "sync"):
            node = self._find(path)
            deed = Deed(what, node, () if what == "sync" else (node,), rest=rest)
        elif what in ("create", "mkdir", "symlink"):
            number = len(self._now)
            empty: Any = {"create": bytearray(), "mkdir": {}, "symlink": rest[0] if rest else ""}[what]
            self._now[number], self._new_nodes[number] = Node(empty), Node(_copy(empty))
            place = self._place(path)
            deed = Deed("link", number, (place[0],), (place,))
        elif what == "rename":
            old, new = self._place(path), self._place(rest[0])
            deed = Deed(what, self._find(path), tuple({old[0], new[0]}), (old, new))
        else:
            place = self._place(path)
            deed = Deed("unlink", self._find(path), (place[0],), (place,))
        _do(self._now, deed, lambda _: True)
        return deed

    def cuts(self) -> list[tuple[int, str]]:
        """Return every different state there may be: after how many deeds, and what becomes of the unsynced ones."""
        found = [(0, KEPT)]
        for number, deed in enumerate(self.deeds, 1):
            if deed.what in ("sync", "acknowledged"):
                found.append((number, DROPPED))
            else:
                found.append((number, KEPT))
            unsynced = any(each.lasting_from >= number and each.syncs for each in self.deeds[:number])
            if unsynced and deed.what != "acknowledged":
                found.append((number, TORN))
        return found

    def acknowledged(self, cut: int) -> list[Any]:
        """Return what had been acknowledged when the power went."""
        return [deed.rest[0] for deed in self.deeds[:cut] if deed.what == "acknowledged"]

    def rebuild(self, cut: int, unsynced: str, seed: int, goal: Path) -> None:
        """Make a folder as it is after the first `cut` deeds and a loss of power."""
        chance = random.Random(seed)
        names_until = chance.randrange(cut + 1)
        nodes = {number: Node(_copy(node.content)) for number, node in self._new_nodes.items()}

        def lasts(number: int, deed: Deed) -> Callable[[int], bool] | None:
            if unsynced == KEPT or deed.lasting_from < cut:
                return lambda _: True
            if unsynced == DROPPED:
                return None
            if deed.what != "write":
                return (lambda _: True) if number < names_until else None
            fate = chance.random()
            if fate < 0.4:
                return None
            return (lambda _: True) if fate < 0.7 else (lambda _: chance.random() < 0.5)

        for number, deed in enumerate(self.deeds[:cut]):
            if deed.what not in ("sync", "acknowledged") and (sectors := lasts(number, deed)) is not None:
                _do(nodes, deed, sectors)
        _write_out(nodes, self.root, goal)


def _copy(content: Any) -> Any:
    return content if isinstance(content, str) else type(content)(content)


def _do(nodes: dict[int, Node], deed: Deed, sector_lasts: Callable[[int], bool]) -> None:
    if deed.what == "write":
        offset, data = deed.rest
        file: Any = nodes[deed.node].content
        for start in range(0, len(data), SECTOR_BYTES):
            if sector_lasts(start):
                piece = data[start : start + SECTOR_BYTES]
                file.extend(bytes(max(0, offset + start - len(file))))
                file[offset + start : offset + start + len(piece)] = piece
    elif deed.what == "truncate":
        (size,) = deed.rest
        file = nodes[deed.node].content
        file[size:] = bytes(max(0, size - len(file)))
    elif deed.what in ("link", "unlink", "rename"):
        for at, (folder, name) in enumerate(deed.places):
            entries: Any = nodes[folder].content
            if deed.what == "link" or at == 1:
                entries[name] = deed.node
            elif entries.get(name) == deed.node:
                del entries[name]
            else:
                return  # what would be renamed or removed never came to lie there


def _write_out(nodes: dict[int, Node], number: int, goal: Path) -> None:
    content = nodes[number].content
    if isinstance(content, dict):
        goal.mkdir()
        for name, each in content.items():
            _write_out(nodes, each, goal / name)
    elif isinstance(content, str):
        goal.symlink_to(content)
    else:
        goal.write_bytes(content)


def read_deeds(folder: Path) -> list[tuple[Any, ...]]:
    """Return what `Recorder.save` wrote."""
    with open(f"{folder}.deeds", "rb") as file:
        deeds: list[tuple[Any, ...]] = pickle.load(file)
    return deeds


def sample(states: list[tuple[int, str]], most: int) -> list[tuple[int, int, str]]:
    """Return about so many of all states, each with its number: of each kind as many as of the others if there are."""
    found = []
    for position, kind in enumerate((DROPPED, KEPT, TORN)):
        those = [(number, *state) for number, state in enumerate(states) if state[1] == kind]
        share = min(len(those), max(1, (most - len(found)) // (3 - position)))
        found += [those[number * len(those) // share] for number in range(share)]
    return sorted(found)


# Work to be recorded


def work_on_pools(recorder: Recorder, seed: str, steps: str) -> None:
    """Make random calls on pools and media, closing the catalogue now and then, which empties its log."""
    import crash_child
    import worker_ops

    import rsm

    path = Path(recorder.folder) / "media.db"
    chance = random.Random(int(seed))
    made = 0
    while made < int(steps):
        with rsm.connect(path, worker=False, caller=worker_ops.ADMINISTRATOR) as session:
            worker = worker_ops.Worker(session, 0, media=12)
            worker.random = chance
            for _ in range(4):
                worker.step(reading=False)
                recorder.acknowledge(crash_child.state_of(path))
                made += 1


def create_catalogue(recorder: Recorder) -> None:
    """Make a catalogue where there was none, and a pool in it."""
    import worker_ops

    import rsm
    from rsm import place

    place.os = RecordingOs(recorder)  # type: ignore[attr-defined]
    path = Path(recorder.folder) / "media.db"
    with rsm.connect(path, worker=False, caller=worker_ops.ADMINISTRATOR) as session:
        recorder.acknowledge("created")
        session.pools.create(r"\First")
        recorder.acknowledge(r"\First")


def work_a_robot(recorder: Recorder) -> None:
    """Carry out all kinds of library work, and acknowledge what is safe."""
    import robot_users

    import rsm

    class Acknowledged(robot_users.Journal):
        def note(self, **entry: Any) -> None:
            super().note(**entry)
            recorder.acknowledge(entry)

    record_virtual_library(recorder)
    journals = Path(f"{recorder.folder}-journals")
    journals.mkdir()
    with rsm.connect(
        Path(recorder.folder) / "media.db", application="mortal", caller=robot_users.ADMINISTRATOR
    ) as session:
        robot_users.carry_out(session, Acknowledged(journals, "mortal"))


def main(work: str, folder: str, arguments: Iterable[str]) -> None:
    """Do one piece of work and record it."""
    import sqlite_files

    recorder = Recorder(Path(folder))
    with sqlite_files.watch_files(recorder.tell):
        {"pools": work_on_pools, "creation": create_catalogue, "robot": work_a_robot}[work](recorder, *arguments)
    recorder.save()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
