"""The command in this process, on a catalogue of its own: what every test of the command line starts from."""

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import builders
import pytest

import rsm
from rsm.cli import main
from rsm.libraries.virtual import add_cartridge, create
from rsm.services.sessions import claim_of_library


@dataclass(frozen=True)
class Answer:
    """What one invocation printed, and how it ended."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on standard output, where nothing else may be."""
        assert self.err == "", self.err
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        """The one JSON document on standard error."""
        document = json.loads(self.err)
        assert sorted(document) == ["code", "error", "message"]
        return document

    @property
    def lines(self) -> list[list[str]]:
        """The fields of the lines that `--plain` printed."""
        assert self.err == "", self.err
        return [line.split("\t") for line in self.out.splitlines()]


Command = Callable[..., Answer]


_NEW_MEDIUM = ("media", "create", "--pool", r"\App\Daily", "--state", "available", "--label-type", "MTF")
_FILLING = (
    ("type", "add", "LTO-8", "Robot"),
    ("pool", "create", r"\App\Daily", "--parents", "--type", "LTO-8"),
    ("pool", "create", r"\App\Weekly", "--type", "LTO-8"),
    (*_NEW_MEDIUM, "--barcode", "A00001", "--label-id", "a00001"),
    (*_NEW_MEDIUM, "--barcode", "A00002", "--label-id", "a00002"),
    ("media", "disable", "A00002"),
)


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Catalogues to be copied: making one takes longer than most tests."""
    folder = tmp_path_factory.mktemp("catalogues")
    empty, filled = folder / "empty.db", folder / "filled.db"
    assert main(["db", "create", str(empty)]) == 0
    shutil.copyfile(empty, filled)
    builders.add_library(str(filled), "Robot")
    for words in _FILLING:
        assert main(["--database", str(filled), *words]) == 0
    return {"empty": empty, "filled": filled}


@pytest.fixture
def catalogue(templates: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty catalogue that RSM_DATABASE names, for one test."""
    path = tmp_path / "rsm.db"
    shutil.copyfile(templates["empty"], path)
    monkeypatch.setenv("RSM_DATABASE", str(path))
    for name in ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "NO_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    return path


@pytest.fixture
def rsm_command(catalogue: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run one invocation on the test's catalogue."""

    def run(*words: str) -> Answer:
        capsys.readouterr()
        status = main(list(words))
        return Answer(status, *capsys.readouterr())

    return run


@pytest.fixture
def filled_command(rsm_command: Command, catalogue: Path, templates: dict[str, Path]) -> Command:
    """The same with a library Robot that takes LTO-8, the pools \\App, \\App\\Daily, \\App\\Weekly, two cartridges.

    A00001 and A00002 are in \\App\\Daily, and A00002 is disabled.
    """
    shutil.copyfile(templates["filled"], catalogue)
    return rsm_command


@dataclass(frozen=True)
class Robot:
    """A virtual library that is on record as Robot: 6 slots, 2 drives, a port; A00001 to A00003, of 1 MB each."""

    command: Command
    folder: Path
    database: str

    def connect(self, *, worker: bool = False) -> rsm.Session:
        """Open a session of another program on the same catalogue."""
        return rsm.connect(self.database, application="nightly", worker=worker)

    def allocate(self, count: int = 1) -> None:
        """Allocate the first so many cartridges in a pool of their own."""
        self.command("pool", "create", r"\App", "--type", "LTO-8", "--from-free")
        for number in range(1, count + 1):
            for words in (("move", f"A0000{number}", r"\Free\LTO-8", "--yes"), ("allocate", r"\App")):
                answer = self.command("media", *words)
                assert (answer.status, answer.err) == (0, "")

    @contextlib.contextmanager
    def held_by_another(self) -> Iterator[rsm.Session]:
        """Keep every process from working the library, as a host that has it in its hands and does nothing does."""
        with self.connect() as session:
            number = claim_of_library(session.libraries.get("Robot").id)
            claims = session._database.claims
            assert claims.hold(number)
            try:
                yield session
            finally:
                claims.drop(number)


@pytest.fixture
def robot(rsm_command: Command, catalogue: Path, tmp_path: Path) -> Robot:
    """A library that was put on record, its first inventory taken."""
    folder = tmp_path / "robot"
    create(folder, 6, 2, 1, "LTO-8")
    for number in (1, 2, 3):
        add_cartridge(folder, f"A0000{number}", capacity_bytes=1_000_000)
    assert rsm_command("library", "add", "virtual", str(folder), "--name", "Robot").status == 0
    return Robot(rsm_command, folder, str(catalogue))
