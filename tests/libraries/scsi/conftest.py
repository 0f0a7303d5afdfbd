"""Changers to test on: simulated ones, and targets that are started for a test and stopped with it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from libraries.scsi.simulated import SLOT, Simulated, Tape
from libraries.scsi.tgt import Target, what_is_missing

from rsm.libraries.scsi.backend import ScsiLibrary


@pytest.fixture
def make_target(tmp_path: Path) -> Iterator[Callable[..., Target]]:
    """Start targets of one's own; whoever has not the packages is told which."""
    missing = what_is_missing()
    if missing is not None:
        pytest.skip(missing)
    started: list[Target] = []

    def make(**options: int) -> Target:
        folder = tmp_path / f"target-{len(started)}"
        folder.mkdir()
        target = Target(folder, **options)
        started.append(target)
        target.make_media()
        target.start()
        return target

    try:
        yield make
    finally:
        for target in started:
            target.stop()


@pytest.fixture
def target(make_target: Callable[..., Target]) -> Target:
    """A changer of 20 slots, 4 ports and 2 drives."""
    return make_target()


@pytest.fixture
def simulated() -> Simulated:
    """A library with A00001L8 and B00002L8 in slots 1 and 2."""
    library = Simulated()
    library.tapes = {SLOT: Tape("A00001L8"), SLOT + 1: Tape("B00002L8")}
    return library


@pytest.fixture
def library(simulated: Simulated) -> ScsiLibrary:
    """The library opened."""
    return simulated.open()
