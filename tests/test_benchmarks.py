"""The benchmarks still run and measure what they say; of their numbers only ratios of one run are judged here."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

from rsm import schema

ROOT = Path(__file__).parent.parent
ABOUT = {"date", "command", "machine", "versions", "revision", "results"}


def run(*arguments: str) -> str:
    """Run a module of the benchmarks with this checkout's product, and return what it prints."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_measurement_runs_and_is_written_down(tmp_path: Path) -> None:
    written = tmp_path / "found" / "benchmarks.json"
    places = ["--folder", str(tmp_path), "--json", str(written)]
    printed = run("tests.benchmarks", "--smallest", "--scale", "200", "--scale", "100", *places)
    found = json.loads(written.read_text())
    assert set(found) == ABOUT
    assert found["versions"]["python"].startswith("3.")
    results = found["results"]
    assert {result["group"] for result in results} == {"changing", "looking", "beginning", "sharing", "working"}
    assert {result["media"] for result in results} == {100, 200, None}
    for result in results:
        timed = result["ours_us"] is not None and result["ours_us"] > 0 and result["ratio"] > 0
        assert timed != bool(result["shown"]), result
        assert bool(result["wanted"]) == (result["reached"] is not None), result
        assert result["group"] != "changing" or result["statements"] > 3, result
    wanted = [result["what"] for result in results if result["wanted"]]
    assert len(wanted) == 2 * 5 + 2 * 3 + 1 + 1 + 1 + 4
    table = [line for line in printed.splitlines() if line.startswith("|")]
    assert len(table) == len(results) + 2
    assert sorted(tmp_path.iterdir()) == [written.parent]


def test_the_catalogues_that_it_builds_are_sound(tmp_path: Path) -> None:
    path = tmp_path / "built.db"
    run("tests.benchmarks.catalogue", str(path), "500")
    assert schema.check(str(path)) == []
    connection = sqlite3.connect(path)
    tables = {"physical_medium": 500, "side": 500, "slot": 200, "drive": 16, "mount": 4}
    for table, rows in tables.items():
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (rows,), table
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_bench_elements() -> None:
    rows = {
        row["what"]: row for row in json.loads(run("tests.benchmarks.bench_elements", "--elements", "5000", "--json"))
    }
    assert list(rows) == ["least", "decode", "inventory"]
    # As against 5 and 30: 60,000 elements are far from the two seconds that they may take wherever this runs at all.
    assert rows["decode"]["ratio"] < 20
    assert rows["inventory"]["ratio"] < 120
    assert rows["decode"]["peak_bytes"] < 1_000_000
