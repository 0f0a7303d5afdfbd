"""The command in this process, on a catalogue of its own: what every test of the command line starts from."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import builders
import pytest

from rsm.cli import main


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
