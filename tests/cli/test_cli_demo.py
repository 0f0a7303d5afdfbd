"""The demonstration: it succeeds with nothing else there, tells what happened, and notices what is not as expected."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]


def test_demo_tells_a_pool_life_and_leaves_nothing(rsm_command: Command, tmp_path: Path, monkeypatch: Any) -> None:
    place = tmp_path / "scratch"
    place.mkdir()
    monkeypatch.delenv("RSM_DATABASE")
    answer = rsm_command("demo", "--directory", str(place))
    assert (answer.status, answer.err) == (0, "")
    assert "refused, ERROR_NOT_EMPTY (4307): " in answer.out
    assert "CreateNtmsMediaPool" in answer.out
    assert "DeleteNtmsMedia" in answer.out
    assert answer.out.endswith("steps, all as expected.\n")
    assert "BAD" not in answer.out
    assert list(place.iterdir()) == []


def test_demo_in_the_other_forms(rsm_command: Command) -> None:
    document = rsm_command("--json", "demo").document
    assert document["expected"] is True
    assert document["directory"] is None
    lines = rsm_command("--plain", "demo").lines
    assert [line[0] for line in lines] == [step["step"] for step in document["steps"]]
    assert {line[2] for line in lines} == {"true"}


def test_demo_keeps_its_catalogue_when_asked(rsm_command: Command, tmp_path: Path) -> None:
    document = rsm_command("--json", "demo", "--directory", str(tmp_path), "--keep").document
    kept = Path(document["directory"])
    assert kept.parent == tmp_path
    paths = [
        pool["path"] for pool in rsm_command("--json", "--database", str(kept / "rsm.db"), "pool", "list").document
    ]
    assert r"\Demo\Archive" in paths
    assert r"\Demo\Daily" not in paths


def test_demo_ends_with_1_when_something_is_not_as_expected(
    rsm_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rsm.schema.check", lambda url: ["a slot holds two cartridges"])
    answer = rsm_command("demo")
    assert answer.status == 1
    assert "BAD check the catalogue: a slot holds two cartridges" in answer.out
    assert answer.err == "ERROR_INTERNAL_ERROR (1359): the demonstration did not go as expected\n"
    machine = rsm_command("--json", "demo")
    assert machine.status == 1
    assert json.loads(machine.out)["expected"] is False
    assert machine.error["code"] == 1359
