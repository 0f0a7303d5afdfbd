"""What tests tried, in numbers that pytest adds up and prints at its end: faults by call, kills, crash states.

A test takes the fixture `counted` and calls it. The numbers travel with its report, so they come from every process.
"""

import shutil
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

KEY = "counted"


class Counted:
    """Keeps what one test tried."""

    def __init__(self, properties: list[tuple[str, object]]) -> None:
        self._properties = properties

    def __call__(self, what: str, numbers: Mapping[str, int], details: str = "") -> None:
        """Keep how often something was tried, by its kinds, and print it with the details."""
        self._properties.append((KEY, [what, dict(numbers)]))
        print(f"\n{describe(what, numbers)}{details and '; '}{details}")


def describe(what: str, numbers: Mapping[str, int]) -> str:
    """Return a line that tells the sum, and the numbers it is made of."""
    kinds = ", ".join(f"{kind} {number:,}" for kind, number in numbers.items())
    return f"{what}: {sum(numbers.values()):,} ({kinds})"


def add_up(reports: Iterable[Any]) -> dict[str, Counter[str]]:
    """Return the sums over the reports of all tests."""
    sums: dict[str, Counter[str]] = {}
    for report in reports:
        for key, value in report.user_properties if report.when == "call" else ():
            if key == KEY:
                what, numbers = value
                sums.setdefault(what, Counter()).update(numbers)
    return sums


def print_sums(terminal: pytest.TerminalReporter) -> None:
    """Write the sums at the end of a run; nothing if nothing was counted."""
    reports = [each for kind in ("passed", "failed") for each in terminal.stats.get(kind, ())]
    sums = add_up(reports)
    if sums:
        terminal.section("what was tried")
    width = max(60, shutil.get_terminal_size().columns)
    for what, numbers in sorted(sums.items()):
        for line in textwrap.wrap(describe(what, numbers), width, subsequent_indent="    "):
            terminal.line(line)
