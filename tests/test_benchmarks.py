"""The benchmarks still run and measure what they say; of their numbers only ratios of one run are judged here."""

import json
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parent / "benchmarks"


def test_bench_delete_pool(tmp_path: Path) -> None:
    script = [sys.executable, str(BENCHMARKS / "bench_delete_pool.py"), "--count", "3", "--objects", "50", "--json"]
    run = subprocess.run([*script, "--folder", str(tmp_path)], capture_output=True, text=True, check=True)
    rows = json.loads(run.stdout)
    measured = [(row["call"], row["synchronous"]) for row in rows]
    pairs = [(name, synchronous) for name in ("pools.delete", "pools.create") for synchronous in ("FULL", "OFF")]
    assert measured == [*pairs, ("objects.list", "-")]
    assert all(row["session_us"] > 0 and row["bare_us"] > 0 and row["statements"] > 0 for row in rows)
    assert list(tmp_path.iterdir()) == []


def test_bench_mount(tmp_path: Path) -> None:
    script = [sys.executable, str(BENCHMARKS / "bench_mount.py"), "--count", "2", "--cartridges", "6", "--json"]
    run = subprocess.run([*script, "--folder", str(tmp_path)], capture_output=True, text=True, check=True)
    rows = json.loads(run.stdout)
    names = ["mount and dismount", "mount what is in the drive", "bare moves", "inventory of 6"]
    assert [row["what"] for row in rows] == names
    assert all(row["ms"] > 0 and row["ratio"] > 0 for row in rows)
    assert list(tmp_path.iterdir()) == []


def test_bench_elements() -> None:
    script = [sys.executable, str(BENCHMARKS / "bench_elements.py"), "--elements", "5000", "--json"]
    run = subprocess.run(script, capture_output=True, text=True, check=True)
    rows = {row["what"]: row for row in json.loads(run.stdout)}
    assert list(rows) == ["least", "decode", "inventory"]
    # As against 5 and 30: 60,000 elements are far from the two seconds that they may take wherever this runs at all.
    assert rows["decode"]["ratio"] < 20
    assert rows["inventory"]["ratio"] < 120
    assert rows["decode"]["peak_bytes"] < 1_000_000
