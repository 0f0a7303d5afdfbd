"""Recognisers as plug-ins, installed as distributions: found, ordered, and harmless whatever they do."""

import importlib.metadata
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import tomllib
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

import rsm.labels.base
from rsm.labels import (
    MAXIMUM_HEAD_BYTES,
    RECOGNISER,
    Label,
    forget_recognisers,
    head_bytes,
    is_type_known,
    load_recognisers,
    make_free_label,
    recognise,
)
from rsm.labels.plugins import FORMATS

FORMATS_BYTES = 640 * 1024
Install = Callable[[str, str, dict[str, str]], None]
FREE = make_free_label(uuid.UUID(int=7), "A00001", datetime(2030, 5, 1, tzinfo=UTC))
TEMPLATE = """
from rsm.labels import Label

class Plugin:
    def __init__(self, name, maximum_bytes, answer):
        self.name, self.maximum_bytes, self.answer, self.heads = name, maximum_bytes, answer, []

    def claim(self, head):
        self.heads.append(head)
        return self.answer(head)

def claim_all(head):
    return Label("all", b"1", "claimed")

def refuse(error):
    raise error

"""
GOOD = TEMPLATE + "GOOD = Plugin('zz good', 512, claim_all)\n"
GOOD_LABEL = Label("all", b"1", "claimed")


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install distributions of one module: its name, its source, its entry points."""
    modules = []

    def install_distribution(module: str, source: str, points: dict[str, str]) -> None:
        folder = tmp_path / module
        metadata = folder / f"{module}-1.0.dist-info"
        metadata.mkdir(parents=True)
        (folder / f"{module}.py").write_text(source)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        lines = [f"{name} = {value}\n" for name, value in points.items()]
        (metadata / "entry_points.txt").write_text("[rsm.labels]\n" + "".join(lines))
        monkeypatch.syspath_prepend(folder)
        modules.append(module)

    forget_recognisers()
    yield install_distribution
    forget_recognisers()
    for module in modules:
        sys.modules.pop(module, None)


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.DEBUG, "rsm.labels")

    def read() -> list[str]:
        assert {(record.name, record.levelname) for record in caplog.records} <= {("rsm.labels", "WARNING")}
        return [record.getMessage() for record in caplog.records]

    return read


def names() -> list[str]:
    """Return the names of the recognisers but for those of other programs' formats, which always come last."""
    loaded = load_recognisers()
    assert loaded[-len(FORMATS) :] == FORMATS
    return [recogniser.name for recogniser in loaded[: -len(FORMATS)]]


def test_ours_alone_are_there_from_the_start(install: Install, warnings: Callable[[], list[str]]) -> None:
    points = importlib.metadata.entry_points(group="rsm.labels")
    assert {point.name: point.load() for point in points} == {one.name: one for one in (RECOGNISER, *FORMATS)}
    assert load_recognisers() == (RECOGNISER, *FORMATS)
    assert head_bytes() == FORMATS_BYTES
    assert recognise(FREE) == Label("RSM free", uuid.UUID(int=7).bytes, "A00001")
    assert recognise(b"") is recognise(FREE[:-1]) is recognise(b"\0" * 4096) is None
    assert warnings() == []


def test_a_checkout_that_is_not_installed_has_ours() -> None:
    program = (
        "import sys, importlib.metadata as m; sys.path.insert(0, sys.argv[1]); import rsm.labels as labels\n"
        "print(len(m.entry_points(group='rsm.labels')), *[one.name for one in labels.load_recognisers()])"
    )
    ours = " ".join(one.name for one in (RECOGNISER, *FORMATS))
    checkout = Path(rsm.labels.base.__file__).parents[2]
    command = [sys.executable, "-I", "-S", "-c", program, str(checkout)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == f"0 {ours}\n"


def test_order_is_the_free_label_then_by_name(install: Install, warnings: Callable[[], list[str]]) -> None:
    wanted = FORMATS_BYTES + 2000
    source = TEMPLATE + f"B, C = Plugin('bee', 1, claim_all), Plugin('sea', {wanted}, claim_all)\n"
    install("plugin_one", source, {"a-point": "plugin_one:C", "z-point": "plugin_one:B"})
    install("plugin_two", TEMPLATE + "A = Plugin('Ant', 3, lambda head: None)\n", {"m-point": "plugin_two:A"})
    assert names() == ["free", "Ant", "bee", "sea"]
    assert head_bytes() == wanted
    assert recognise(FREE) != GOOD_LABEL
    assert recognise(FREE[1:]) == GOOD_LABEL
    heads = {recogniser.name: recogniser.heads for recogniser in load_recognisers()[1:4]}  # type: ignore[attr-defined]
    assert heads == {"Ant": [FREE[1:4]], "bee": [FREE[1:2]], "sea": []}
    assert warnings() == []


@pytest.mark.parametrize(
    "head", [b"", b"x", b"x" * 511, b"x" * 512, b"x" * 513, bytearray(b"x" * 600), memoryview(b"x")]
)
def test_each_is_given_at_most_what_it_wants(install: Install, head: bytes) -> None:
    install("plugin_good", GOOD, {"good": "plugin_good:GOOD"})
    assert recognise(head) == GOOD_LABEL
    (given,) = load_recognisers()[1].heads  # type: ignore[attr-defined]
    assert (type(given), given) == (bytes, bytes(head)[:512])


BAD_PLUGINS = {
    "no such attribute": "",
    "raises at import": "raise RuntimeError('broken')",
    "imports what is not there": "import plugin_that_is_not_installed",
    "exits at import": "raise SystemExit(3)",
    "syntax error": "def",
    "number": "BAD = 5",
    "none": "BAD = None",
    "class": "class BAD:\n    name, maximum_bytes, claim = 'bad', 512, claim_all",
    "wants 0 bytes": "BAD = Plugin('bad', 0, claim_all)",
    "wants less than nothing": "BAD = Plugin('bad', -1, claim_all)",
    "wants too much": f"BAD = Plugin('bad', {MAXIMUM_HEAD_BYTES + 1}, claim_all)",
    "wants true": "BAD = Plugin('bad', True, claim_all)",
    "wants a fraction": "BAD = Plugin('bad', 512.0, claim_all)",
    "wants a text": "BAD = Plugin('bad', '512', claim_all)",
    "wants none": "BAD = Plugin('bad', None, claim_all)",
    "without a name": "BAD = Plugin('bad', 512, claim_all)\ndel BAD.name",
    "empty name": "BAD = Plugin('', 512, claim_all)",
    "blank name": "BAD = Plugin('  ', 512, claim_all)",
    "name with a line end": "BAD = Plugin('ba\\nd', 512, claim_all)",
    "name with a surrogate": "BAD = Plugin('ba\\ud800d', 512, claim_all)",
    "long name": "BAD = Plugin('b' * 64, 512, claim_all)",
    "name of bytes": "BAD = Plugin(b'bad', 512, claim_all)",
    "claim is no function": "BAD = Plugin('bad', 512, claim_all)\nBAD.claim = b''",
    "without claim": "import types\nBAD = types.SimpleNamespace(name='bad', maximum_bytes=512)",
    "types in a list": "BAD = Plugin('bad', 512, claim_all)\nBAD.types = ['all']",
    "types that are no texts": "BAD = Plugin('bad', 512, claim_all)\nBAD.types = (b'all',)",
    "one type for a tuple": "BAD = Plugin('bad', 512, claim_all)\nBAD.types = 'all'",
    "property raises": "class Bad(Plugin):\n    name = property(lambda self: 1 / 0)\nBAD = Bad.__new__(Bad)",
    "name taken": "BAD = Plugin('zz good', 512, lambda head: None)",
    "our name taken": "BAD = Plugin('free', 512, claim_all)",
    "name of a format taken": "BAD = Plugin('tar', 512, claim_all)",
}


@pytest.mark.parametrize("case", BAD_PLUGINS)
def test_what_is_no_recogniser_is_left_out_and_logged(
    install: Install, warnings: Callable[[], list[str]], case: str
) -> None:
    install("plugin_good", GOOD, {"good": "plugin_good:GOOD"})
    install("plugin_bad", TEMPLATE + BAD_PLUGINS[case], {"later": "plugin_bad:BAD"})
    assert names() == names() == ["free", "zz good"]
    assert recognise(b"something") == GOOD_LABEL
    assert recognise(FREE) != GOOD_LABEL
    (warning,) = warnings()
    assert "plugin_bad:BAD" in warning


def test_types_are_known_while_somebody_may_read_them(install: Install) -> None:
    install("plugin_good", GOOD + "GOOD.types = ('all', 'Nightly')\n", {"good": "plugin_good:GOOD"})
    ours = ("RSM free", "LTFS", "ANSI VOL1", "IBM VOL1", "Bacula", "Bareos", "Amanda", "MTF", "tar", "cpio", "ISO 9660")
    disks = ("UDF", "FAT", "FAT32", "exFAT", "NTFS", "ext2", "ext3", "ext4", "XFS", "btrfs")
    for label_type in (*ours, *disks, "all", "Nightly"):
        assert is_type_known(label_type)
    for label_type in ("", "nightly", "Weekly", "tar "):
        assert not is_type_known(label_type)
    install("plugin_vague", GOOD.replace("zz good", "vague"), {"vague": "plugin_vague:GOOD"})
    forget_recognisers()
    assert is_type_known("Weekly")


@pytest.mark.parametrize("value", ["", "plugin_that_is_not_installed:BAD", "not a value", "plugin_good:"])
def test_an_entry_point_that_leads_nowhere_is_left_out(install: Install, value: str) -> None:
    install("plugin_good", GOOD, {"bad": value, "good": "plugin_good:GOOD"})
    assert names() == ["free", "zz good"]


def test_damaged_metadata_leaves_ours(install: Install, tmp_path: Path) -> None:
    install("plugin_good", GOOD, {"good": "plugin_good:GOOD"})
    (points,) = tmp_path.rglob("entry_points.txt")
    points.write_text("[rsm.labels]\nthis line has no value\n")
    assert names() == ["free"]


@pytest.mark.parametrize(("name", "maximum_bytes"), [("n" * 63, 1), ("\u00e9 \u5099", MAXIMUM_HEAD_BYTES)])
def test_the_limits_themselves_are_allowed(install: Install, name: str, maximum_bytes: int) -> None:
    install("plugin_good", f"{TEMPLATE}GOOD = Plugin({name!r}, {maximum_bytes}, claim_all)", {"g": "plugin_good:GOOD"})
    assert names() == ["free", name]
    assert head_bytes() == max(maximum_bytes, FORMATS_BYTES)


def test_a_module_can_be_a_recogniser(install: Install) -> None:
    install("plugin_good", TEMPLATE + "name, maximum_bytes, claim = 'module', 1, claim_all", {"m": "plugin_good"})
    assert names() == ["free", "module"]
    assert recognise(b"") == GOOD_LABEL


def test_of_one_name_the_first_entry_point_wins(install: Install) -> None:
    source = TEMPLATE + "FIRST, SECOND = Plugin('twin', 1, claim_all), Plugin('twin', 2, claim_all)\n"
    install("plugin_twins", source, {"b": "plugin_twins:SECOND", "a": "plugin_twins:FIRST"})
    assert [(one.name, one.maximum_bytes) for one in load_recognisers()[:2]] == [("free", 1024), ("twin", 1)]
    assert names() == ["free", "twin"]


ANSWERS = {
    "none": ("None", False),
    "error": ("refuse(RuntimeError('broken'))", True),
    "out of memory": ("refuse(MemoryError())", True),
    "endless": ("endless(head)", True),
    "no such byte": ("head[4096]", True),
    "label out of limits": ("Label('bad', b'')", True),
    "bytes": ("head", True),
    "true": ("True", True),
    "tuple": ("('bad', b'1', '')", True),
    "unprintable": ("Unprintable()", True),
    "like a label": ("types.SimpleNamespace(type='bad', id=b'1', info='')", True),
    "lying about its class": ("Lying()", True),
    "free label": ("Label('RSM free', b'1' * 16)", True),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_an_answer_that_is_no_label_passes_the_question_on(
    install: Install, warnings: Callable[[], list[str]], case: str
) -> None:
    answer, is_logged = ANSWERS[case]
    source = f"""
import types

class Unprintable:
    def __repr__(self):
        raise RuntimeError("broken")

class Lying:
    __class__ = property(lambda self: 1 / 0)

def endless(head):
    return endless(head)

BAD = Plugin("a bad one", 1024, lambda head: {answer})
"""
    install("plugin_good", GOOD, {"good": "plugin_good:GOOD"})
    install("plugin_bad", TEMPLATE + source, {"bad": "plugin_bad:BAD"})
    for _ in range(2):
        assert recognise(b"something") == GOOD_LABEL
    assert len(warnings()) == 2 * is_logged
    assert all("'a bad one'" in warning for warning in warnings())


def test_an_interrupt_is_not_the_plugins_mistake(install: Install) -> None:
    source = TEMPLATE + "BAD = Plugin('bad', 1, lambda head: refuse(KeyboardInterrupt()))\n"
    install("plugin_bad", source, {"bad": "plugin_bad:BAD"})
    with pytest.raises(KeyboardInterrupt):
        recognise(b"something")


COUNTING = """
import os, threading
loads = []
meeting = threading.Barrier(2)
entered, released, parent = threading.Event(), threading.Event(), os.getpid()

def __getattr__(name):
    loads.append(name)
    if name == "MEETING":
        try:
            meeting.wait(0.3)
        except threading.BrokenBarrierError:
            pass
    if name == "HELD" and os.getpid() == parent:
        entered.set()
        released.wait()
    return Plugin("counting", 1, claim_all)
"""


def test_threads_load_each_entry_point_once_together(install: Install) -> None:
    install("plugin_counting", TEMPLATE + COUNTING, {"c": "plugin_counting:MEETING"})
    with ThreadPoolExecutor(4) as pool:
        results = {future.result() for future in [pool.submit(load_recognisers) for _ in range(8)]}
    assert len(results) == 1
    assert head_bytes() == FORMATS_BYTES
    assert sys.modules["plugin_counting"].loads == ["MEETING"]
    forget_recognisers()
    assert names() == ["free", "counting"]
    assert sys.modules["plugin_counting"].loads == ["MEETING", "MEETING"]


def test_a_child_forked_while_a_thread_was_loading_can_load(install: Install) -> None:
    install("plugin_counting", TEMPLATE + COUNTING, {"c": "plugin_counting:HELD"})
    __import__("plugin_counting")
    module = sys.modules["plugin_counting"]
    loading = threading.Thread(target=load_recognisers)
    loading.start()
    try:
        assert module.entered.wait(30)
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            try:
                os._exit(0 if names() == ["free", "counting"] else 1)
            finally:
                os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
    finally:
        module.released.set()
        loading.join()


def test_the_documented_example_works(install: Install) -> None:
    text = rsm.labels.base.__doc__ or ""
    source = textwrap.dedent(text[text.index("    from rsm.labels") : text.index("A recogniser is registered")])
    table = textwrap.dedent(text[text.index("    [project") : text.index("Once that is installed")])
    points = tomllib.loads(table)["project"]["entry-points"]["rsm.labels"]
    install("nightly", "", {name: value.replace("nightly.labels", "nightly") for name, value in points.items()})
    Path(importlib.metadata.distribution("nightly").locate_file("nightly.py")).write_text(source)  # type: ignore[arg-type]
    label = b"NIGHTLY1" + bytes(range(16)) + b"Monday".ljust(64, b"\0")
    assert names() == ["free", "nightly"]
    assert recognise(label.ljust(512)) == Label("Nightly", bytes(range(16)), "Monday")
    assert recognise(label) is None
