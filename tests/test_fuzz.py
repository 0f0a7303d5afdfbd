"""Any arguments for every public call, and any words for the command: an answer or a documented error, nothing else.

Plain pytest makes about a thousand calls; `RSM_TEST_EXAMPLES=2000 pytest -n0 -s --timeout=0 tests/test_fuzz.py` makes
more. The parsers of foreign bytes are fed here too, and for longer by tests/fuzzing.py.
"""

import contextlib
import inspect
import json
import os
import shutil
import sqlite3
import tempfile
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import changing_calls
import faults
import fuzzing
import hypothesis
import pytest
import typer
from counting import Counted
from hypothesis import strategies as st
from test_changing_calls import HANDLES, READING, public_calls

import rsm
from rsm import cli, model, ntmsapi, schema
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.nouns import mounts
from rsm.ntmsapi.calls import Handle

ADMINISTRATOR = rsm.Caller("user:admin", administrator=True)
EXAMPLES = int(os.environ.get("RSM_TEST_EXAMPLES", "20"))
CALLS_AN_EXAMPLE = 12
PATIENCE_SECONDS = 2  # an example takes a tenth of one, unless a call waits for a library that nobody works
quick = hypothesis.settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
# What an argument must be one of, because the call would wait for another, or leave the catalogue or the folder.
BOUND: dict[str, tuple[Any, ...]] = {
    "export_to.path": (None, "copy", "", "\0", 5, b"x"),
    "import_from.path": (None, "", "\0", 5),
    "check_import.path": (None, "", "\0", 5),
    "EjectDiskFromSADrive.dwOptions": (0, 1, 2, 3, 99, -1, None, "0"),  # the others wait for a person
    "timeout_ms": (0, 1, -1, 2**32, "0", 1.5),
    "dwTimeout": (0, 1, -1, 2**32, "0", None),
    "address": ("", "nothing", "\0", 5, None),
}
# What an argument is about, by a word in its name, first match first.
ABOUT: dict[str, tuple[Kind, ...]] = {
    "pool": (Kind.NTMS_MEDIA_POOL,),
    "type": (Kind.NTMS_MEDIA_TYPE,),
    "request": (Kind.NTMS_LIBREQUEST, Kind.NTMS_OPREQUEST),
    "medi": (Kind.NTMS_PHYSICAL_MEDIA, Kind.NTMS_LOGICAL_MEDIA, Kind.NTMS_PARTITION),
    "tape": (Kind.NTMS_LOGICAL_MEDIA,),
    "first": (Kind.NTMS_LOGICAL_MEDIA,),
    "second": (Kind.NTMS_LOGICAL_MEDIA,),
    "next_to": (Kind.NTMS_LOGICAL_MEDIA,),
    "partition": (Kind.NTMS_PARTITION,),
    "side": (Kind.NTMS_PARTITION,),
    "lib": (Kind.NTMS_LIBRARY,),
    "drive": (Kind.NTMS_DRIVE,),
    "slot": (Kind.NTMS_STORAGESLOT,),
    "object": (Kind.NTMS_MEDIA_POOL, Kind.NTMS_PHYSICAL_MEDIA, Kind.NTMS_LIBRARY, Kind.NTMS_DRIVE),
    "container": (Kind.NTMS_LIBRARY, Kind.NTMS_MEDIA_POOL),
}
HINTS: dict[str, list[Any]] = {
    "kind": list(Kind),
    "dwType": [int(kind) for kind in Kind],
    "back_end": ["virtual", "scsi", "standalone", "x"],
}


class World:
    """A catalogue with something of everything, copied afresh for each example, and what can be named in it."""

    def __init__(self, folder: Path, template: Path) -> None:
        self.folder = folder
        self.template = folder / "template.db"
        shutil.copy(template, self.template)
        url = f"sqlite:///{self.template}"
        with rsm.connect(self.template, caller=ADMINISTRATOR) as session:
            changing_calls.prepare_work(url, session, folder / "robot")
            self.known: list[Any] = [r"\App", r"\Free\LTO-8", "B00000", "C00001", "Robot", "LTO-8", "administrators"]
            self.of_kind = {kind: session.objects.list(kind)[:4] for kind in model.TABLE_OF_KIND}
            self.known += [each for ids in self.of_kind.values() for each in ids]
            self.known += session.media.list()[:2] + session.pools.list()[:2] + session.media.logical_media()[:2]
            self.known += [session.media.sides(medium)[0] for medium in session.media.list()[:2]]
            self.known += [rsm.NewSide("t", b"1"), rsm.SecurityDescriptor(dacl=(rsm.Ace(True, "everyone", 1),))]

    def copy(self) -> Path:
        """Return a catalogue that may be spoilt."""
        path = Path(tempfile.mkdtemp(dir=self.folder)) / "media.db"
        shutil.copy(self.template, path)
        return path

    def value(self, name: str, call: str = "") -> st.SearchStrategy[Any]:
        """Draw an argument of this name."""
        bound = BOUND.get(f"{call}.{name}", BOUND.get(name))
        if bound is not None:
            return st.sampled_from(bound)
        known = st.sampled_from(self.known)
        likely: list[Any] = list(HINTS.get(name, ()))
        if name.startswith("dw") and not likely:
            likely = [0, 0, 0, 0, 1, 2, 4]
        about = next((kinds for word, kinds in ABOUT.items() if word in name.lower()), ())
        if not likely:
            likely = [each for kind in about for each in self.of_kind[kind]]
        if not likely:
            likely = [False, True, None, 1, "x", b"x", *self.known[:7]]
        wild = st.one_of(known, fuzzing.junk(), st.lists(known, max_size=2))
        picked = st.sampled_from(likely)
        lists = st.lists(picked, min_size=1, max_size=2)
        return st.integers(0, 9).flatmap(lambda number: wild if number > 8 else lists if number > 7 else picked)


@pytest.fixture
def world(tmp_path: Path, sqlite_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(mounts, "_PATIENCE_OF_ONE_TRY_MS", 10)
    made = World(tmp_path, sqlite_path)
    monkeypatch.setenv("RSM_DATABASE", str(made.copy()))
    return made


def is_bound(call: Callable[..., Any], name: str) -> bool:
    """Tell whether an argument may not be left out."""
    return name in BOUND or f"{call.__name__}.{name}" in BOUND


def arguments(data: st.DataObject, world: World, call: Callable[..., Any]) -> tuple[list[Any], dict[str, Any]]:
    """Draw arguments for a call: all that it needs, and some that it may have."""
    positional, named = [], {}
    for name, parameter in inspect.signature(call).parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            positional += data.draw(st.lists(world.value(name), max_size=3))
        elif parameter.kind is parameter.VAR_KEYWORD:
            named.update({name: data.draw(world.value(name)) for name in data.draw(st.sampled_from(([], ["name"])))})
        elif parameter.default is parameter.empty and parameter.kind is not parameter.KEYWORD_ONLY:
            positional.append(data.draw(world.value(name, call.__name__)))
        elif parameter.default is parameter.empty or is_bound(call, name) or data.draw(st.integers(0, 3)) > 2:
            named[name] = data.draw(world.value(name, call.__name__))
    return positional, named


def calls_of(session: rsm.Session, handles: list[Any]) -> dict[str, Callable[..., Any]]:
    """Return every public call of a session's nouns and of the handles, the latest of each kind, that they returned."""
    found: dict[str, Callable[..., Any]] = {}
    of_handles = {type(each).__name__: each for each in handles}
    for name in public_calls(session):
        owner, _, method = name.partition(".")
        of = of_handles.get(owner) if owner in {kind.__name__ for kind in HANDLES} else getattr(session, owner)
        if of is not None:
            found[name] = getattr(of, method)
    return found


class Prober:
    """Makes calls on a session and keeps what came of them."""

    def __init__(self, session: rsm.Session, path: Path, seen: Counter[str]) -> None:
        self.session, self.seen = session, seen
        self.handles: list[Any] = []
        self.outside = sqlite3.connect(path)

    def probe(self, data: st.DataObject, world: World) -> None:
        """Make any call with any arguments: it must say something if it refuses, and change nothing if it reads."""
        calls = calls_of(self.session, self.handles)
        name = data.draw(st.sampled_from(sorted(calls)))
        if name in ("catalogue.import_from", "catalogue.check_import"):
            self.session.catalogue.export_to()  # without anything to take in it fails as it should
        before = self.version()
        positional, named = arguments(data, world, calls[name])
        try:
            made = calls[name](*positional, **named)
        except (rsm.RsmError, TypeError) as error:
            self.seen[f"{type(error).__name__}{'' if str(error) else ' without a word'}"] += 1
        else:
            self.seen[name] += 1
            self.handles += [made] if isinstance(made, HANDLES) else []
        assert name not in READING or self.version() == before, f"{name} changed the catalogue"

    def version(self) -> int:
        """Return a number that others' changes change."""
        found: int = self.outside.execute("PRAGMA data_version").fetchone()[0]
        return found


def test_every_call_of_a_session(world: World, counted: Counted) -> None:
    seen: Counter[str] = Counter()

    @quick
    @hypothesis.given(st.data())
    def make_calls(data: st.DataObject) -> None:
        path = world.copy()
        with rsm.connect(path, caller=ADMINISTRATOR) as session:
            prober = Prober(session, path, seen)
            with contextlib.closing(prober.outside):
                for _ in range(CALLS_AN_EXAMPLE):
                    prober.probe(data, world)
        assert schema.check(str(path)) == []
        shutil.rmtree(path.parent)

    make_calls()
    done = {name for name in seen if "." in name}
    refused = {name: count for name, count in seen.items() if name not in done}
    text = f"{len(done)} kinds done, refused {refused}"
    counted("fuzzed calls", {"of a session": seen.total()}, text)
    assert len(done) > 10
    assert not [name for name in refused if name.endswith("without a word")]
    assert "DatabaseFailureError" not in refused


@contextlib.contextmanager
def not_for_ever(close: Callable[[], object]) -> Iterator[threading.Event]:
    """Close the session under a call that waits for a person, who never comes here; tell if that was done."""
    closed, over = threading.Event(), threading.Event()

    def watch() -> None:
        if not over.wait(PATIENCE_SECONDS):
            closed.set()
            close()

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield closed
    finally:
        over.set()
        watching.join()


def functions() -> dict[str, Callable[..., Any]]:
    """Return every function of the Win32 face, by its documented name."""
    listed = json.loads((Path(__file__).parent / "data" / "functions.json").read_text())
    return {each["name"]: getattr(ntmsapi, each["name"]) for each in listed if hasattr(ntmsapi, each["name"])}


def test_every_function_of_the_win32_face(world: World, counted: Counted) -> None:
    seen: Counter[str] = Counter()
    calls = functions()
    assert len(calls) > 55
    structures = [getattr(ntmsapi, name) for name in dir(ntmsapi) if name.endswith(("INFORMATION", "DESCRIPTOR"))]
    world.known += [made() for made in structures if inspect.isclass(made) and not inspect.signature(made).parameters]
    world.known += [ntmsapi.NTMS_OBJECTINFORMATION(int(kind)) for kind in ntmsapi.INFO_STRUCTURES]

    @quick
    @hypothesis.given(st.data())
    def make_calls(data: st.DataObject) -> None:
        path = world.copy()
        code, handle = ntmsapi.OpenNtmsSession(str(path), "fuzz", caller=ADMINISTRATOR)
        assert code is rsm.ErrorCode.ERROR_SUCCESS
        handles: list[Any] = []
        with not_for_ever(lambda: ntmsapi.CloseNtmsSession(handle)) as closed:
            for _ in range(CALLS_AN_EXAMPLE):
                name = data.draw(st.sampled_from(sorted(calls)))
                if name == "CloseNtmsSession":
                    continue
                positional, named = arguments(data, world, calls[name])
                if name == "ImportNtmsDatabase":
                    ntmsapi.ExportNtmsDatabase(handle)  # without anything to take in it fails as it should
                parameters = list(inspect.signature(calls[name]).parameters)
                if "hSession" in parameters:
                    positional[0] = positional if data.draw(st.integers(0, 19)) > 18 else handle
                if "caller" in parameters:
                    named["caller"] = ADMINISTRATOR
                if handles and (wanted := {"hNotification", "DetectHandle"}.intersection(parameters)):
                    positional[parameters.index(wanted.pop())] = data.draw(st.sampled_from(handles))
                result = calls[name](*positional, **named)
                code, *outs = result if isinstance(result, tuple) else (result,)
                handles += [out for out in outs if isinstance(out, Handle)]
                assert isinstance(code, rsm.ErrorCode), name
                seen[f"{name}" if code is rsm.ErrorCode.ERROR_SUCCESS else code.name] += 1
        assert closed.is_set() or ntmsapi.CloseNtmsSession(handle) is rsm.ErrorCode.ERROR_SUCCESS
        assert schema.check(str(path)) == []
        shutil.rmtree(path.parent)

    make_calls()
    refused = {name: count for name, count in seen.items() if name.startswith(("ERROR_", "RPC_"))}
    text = f"{len(seen) - len(refused)} functions done, codes {refused}"
    counted("fuzzed calls", {"of the Win32 face": seen.total()}, text)
    assert len(seen) - len(refused) >= 5
    assert "ERROR_DATABASE_FAILURE" not in refused


# Verbs that stay, or wait for others: they are ended with Ctrl-C.
STAYING = {("worker",), ("demo",), ("events", "follow"), ("media", "mount")}
STAY_SECONDS = 0.3


def verbs(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], list[Any]]]:
    """Yield every verb of the command with its parameters."""
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from verbs(inner, (*path, name))
    else:
        yield path, [each for each in command.params if each.name not in ("database_url", "help")]


def test_any_words_for_the_command(
    world: World, capsys: pytest.CaptureFixture[str], counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rsm.cli.application import application

    monkeypatch.delenv("RSM_DATABASE")  # the demonstration makes its own
    monkeypatch.setattr(tempfile, "tempdir", os.getcwd())

    every = sorted(verbs(typer.main.get_command(application)), key=lambda verb: verb[0])
    assert len(every) > 60
    named = [str(each) for each in world.known if isinstance(each, (str, uuid.UUID))]
    words = st.one_of(
        st.sampled_from(named),
        st.sampled_from([word for word in fuzzing.ODD_TEXT if "\0" not in word]),
        st.sampled_from(
            ["0", "1", "-1", "999999999999999999999", "1MiB", "NaN", "use", "all", "-", "--", "-x", "--nothing"]
        ),
        fuzzing.TEXT.filter(lambda text: "\0" not in text),
    )
    seen: Counter[int] = Counter()

    @quick
    @hypothesis.given(st.data())
    def run_command(data: st.DataObject) -> None:
        path = world.copy()
        for _ in range(4):
            verb, parameters = data.draw(st.sampled_from(every))
            given: list[str] = []
            for each in parameters:
                is_option = each.param_type_name == "option"
                if is_option and each.opts[0] in ("--no-wait", "--yes"):
                    given.append(each.opts[0])
                elif is_option and each.opts[0] == "--timeout":
                    given += ["--timeout", data.draw(st.sampled_from(["0", "1ms", "-1", "x", ""]))]
                elif is_option and data.draw(st.integers(0, 2)) == 0:
                    given += [each.opts[0], *([] if each.is_flag else [data.draw(words)])]
                elif verb == ("media", "mount") and each.name == "command":
                    given += data.draw(st.sampled_from(([], ["true"], ["false"], ["nothing", "{}"])))
                elif not is_option and (each.required or data.draw(st.booleans())):
                    given += data.draw(st.lists(words, min_size=1, max_size=1 if each.nargs == 1 else 3))
            with faults.interrupted_after(STAY_SECONDS) if verb in STAYING else contextlib.nullcontext():
                status = cli.main([*(["--database", str(path)] if verb != ("demo",) else []), *verb, *given])
            out, err = capsys.readouterr()
            seen[status] += 1
            assert status in (0, 1, 2) or (verb in STAYING and status == 130), (verb, given)
            assert "Traceback" not in out + err, (verb, given)
            assert status in (0, 130) or err, (verb, given)
        assert schema.check(str(path)) == []
        shutil.rmtree(path.parent)

    run_command()
    counted("fuzzed calls", {"of the command": seen.total()}, f"exit statuses {dict(seen)}")
    assert set(seen) >= {0, 1, 2}


@pytest.mark.parametrize("target", fuzzing.TARGETS)
def test_any_bytes_for_the_parsers(target: str) -> None:
    toml = [b"name = ", b'"x"', b"\n", b"[elements]\n", b"slots = 5\n", b"drives = ", b"sides = [", b'"side-1"', b"]"]
    toml += [b"capacity_bytes = ", b"write_protected = ", b"true", b"9" * 5000, b"[" * 200, b"1e999", b"\xff", b"'''"]
    pieces = st.one_of(st.binary(max_size=200), st.sampled_from(toml))

    @hypothesis.settings(quick, max_examples=EXAMPLES * 5)
    @hypothesis.given(st.lists(pieces, max_size=12).map(b"".join))
    def feed(data: bytes) -> None:
        fuzzing.TARGETS[target](data)

    feed()
