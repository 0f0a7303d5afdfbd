"""Calls that SQLite has too little memory for, in steps from too little to enough: each wholly or not at all.

Plain pytest tries a few unlike calls in large steps, `RSM_TEST_FAULTS=all pytest -n0 -s --timeout=0
tests/test_memory.py` all of them in small ones.
"""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import memory
import pytest
import sqlite_files
from counting import Counted

pytestmark = pytest.mark.skipif(not sqlite_files.is_reachable(), reason=sqlite_files.NEEDED)
ALL = os.environ.get("RSM_TEST_FAULTS") == "all"
STEP_BYTES = 10_000 if ALL else 250_000
UNLIKE = (
    *("create a pool", "enter a cartridge", "allocate a medium", "request a mount", "end an inventory"),
    memory.EXPORT,
)


def test_each_step_is_all_or_nothing(sqlite_path: Path, tmp_path: Path, counted: Counted) -> None:
    folder = tmp_path / "steps"
    folder.mkdir()
    shutil.copy(sqlite_path, folder / "template.db")
    names = tuple(memory.CALLS) if ALL else UNLIKE
    script = [sys.executable, memory.__file__, str(folder), str(STEP_BYTES), *names]
    with subprocess.Popen(script, stdout=subprocess.PIPE, text=True) as climber:
        assert climber.stdout is not None
        told = [json.loads(line) for line in climber.stdout]
    assert climber.returncode == 0
    assert [each["name"] for each in told] == list(names)
    for each in told:
        steps = each["steps"]
        where = f"{each['name']}, {each['used_bytes']} bytes in use before"
        assert steps[0]["code"] == "ERROR_NOT_ENOUGH_MEMORY", where
        assert [step["code"] for step in steps].count("ERROR_SUCCESS") == 2, where
        for step in steps:
            assert step["findings"] == [], (where, step)
            if step["code"] == "ERROR_SUCCESS":
                assert step["changed"] is (each["name"] != memory.EXPORT), (where, step)
            else:
                assert (step["error"], step["cause"]) == ("NotEnoughMemoryError", "MemoryError"), (where, step)
                assert not step["changed"], (where, step)
        codes = Counter(step["code"] for step in steps)
        counted("steps of memory, by call", {each["name"]: len(steps)}, str(dict(codes)))
