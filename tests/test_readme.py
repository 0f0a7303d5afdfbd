"""The README does what it says: its Python and its shell lines are run in order, and its commands exist."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from rsm.cli.application import application
from rsm.cli.classic_options import VERBS as CLASSIC_VERBS

pytestmark = pytest.mark.works

README = Path(__file__).parent.parent / "README.md"
TEXT = README.read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BLOCKS = BLOCK.findall(TEXT)
COMMAND = "import sys; from rsm.cli import main; sys.exit(main())"


def run_shell(text: str, folder: Path) -> None:
    """Run lines of a shell in which `rsm` is the one that is tested."""
    define = f'rsm() {{ {shlex.quote(sys.executable)} -c {shlex.quote(COMMAND)} "$@"; }}\n'
    answer = subprocess.run(
        ["bash", "-e", "-c", define + text], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert answer.returncode == 0, answer.stderr


def test_the_examples_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    ran = []
    for language, text in BLOCKS:
        if language == "sh":
            run_shell(text, tmp_path)
        elif language == "python":
            exec(compile(text, README.name, "exec"), names)
        ran.append(language)
    assert ran.count("sh") >= 1
    assert ran.count("python") >= 4
    assert names["code"] == 0
    assert names["RECOGNISER"].claim(b"NIGHTLY1" + bytes(504)).type == "Nightly"
    assert os.listdir(tmp_path / "robot" / "port-01") == []


def test_every_command_that_it_names_exists() -> None:
    spans = re.findall(r"`([^`]+)`", BLOCK.sub("", TEXT))
    lines = [text for language, text in BLOCKS if language != "python"]
    named = set(re.findall(r"\brsm ([a-z]+)(?: ([a-z][a-z-]+)\b)?", "\n".join([*spans, *lines])))
    assert len(named) > 20
    nouns: dict[str, Any] = vars(get_command(application))["commands"]
    for noun, verb in named:
        if noun in CLASSIC_VERBS or noun == "help":
            continue
        verbs = getattr(nouns[noun], "commands", None)
        assert verbs is None or not verb or verb in verbs, f"rsm {noun} {verb}"
