"""What calls cost, beside the bare sqlite3 module and at three scales: `python -m tests.benchmarks [--quick]`.

`catalogue` builds what is measured on, `measuring` times and replays, the other modules are a group of measurements
each, and `__main__` runs them and prints. pytest collects nothing here; tests/test_benchmarks.py runs all of it small.
"""
