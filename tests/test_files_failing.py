"""Every call that changes something, with the Nth POSIX call for the catalogue's files failing: EIO, ENOSPC.

After each failure a documented error is seen, the catalogue is what it was (or, where COMMIT failed, wholly changed)
and the next call works. Plain pytest tries a sample, `RSM_TEST_FAULTS=all pytest -n0 -s --timeout=0
tests/test_files_failing.py` each. The POSIX calls for a virtual library fail in libraries/test_virtual_faults.
"""

import errno
import itertools
import os
import shutil
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import faults
import pytest
import sqlite_files
from changing_calls import ALIKE, CALLS, DELETE, Call, prepare_attended
from counting import Counted

import rsm
from rsm import schema

pytestmark = pytest.mark.skipif(not sqlite_files.is_reachable(), reason=sqlite_files.NEEDED)
ALL = os.environ.get("RSM_TEST_FAULTS") == "all"
DOCUMENTED = (rsm.DatabaseFailureError, rsm.DatabaseFullError, rsm.NotEnoughMemoryError)
STRIDE = 1 if ALL else 37


class Catalogue:
    """A catalogue made ready for one call, its session, and one fault in the way of its files."""

    busy_timeout_ms = 30_000

    def __init__(self, template: Path, folder: Path, call: Call) -> None:
        self.path = folder / "media.db"
        self.folder = folder
        self.kept = folder / "kept.db"
        self.call = call
        shutil.copy(template, self.path)
        with self.open() as session:
            self.made = call.prepare(self.url, session, folder / "robot")
        shutil.copy(self.path, self.kept)

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    def open(self) -> rsm.Session:
        return rsm.connect(self.path, caller=faults.ADMINISTRATOR, busy_timeout_ms=self.busy_timeout_ms)

    def begin_again(self) -> None:
        """Put the catalogue back as it was before the call."""
        for path in self.folder.glob("media.db*"):
            path.unlink()
        shutil.copy(self.kept, self.path)


def make_calls(catalogue: Catalogue, *, opening: bool) -> Counter[str]:
    """Make the call with each POSIX call failing in turn, from opening on or afterwards; count what came out."""
    seen: Counter[str] = Counter()
    catalogue.begin_again()
    with faults.watching(catalogue.url) as watcher:
        before = watcher.rows()
    for error in (errno.EIO, errno.ENOSPC):
        nth, reached = 1 if opening else STRIDE // 2 + 1, True
        while reached:
            catalogue.begin_again()
            fault = sqlite_files.PosixFault(nth, error)
            outcome = call_once(catalogue, fault, opening=opening)
            reached = fault.fired is not None
            if reached:
                assert outcome or opening or changed(catalogue, before), (fault.fired, "it said it was done")
                seen[f"{fault.fired} {errno.errorcode[error]}: {outcome or 'done'}"] += 1
                assert schema.check(str(catalogue.path)) == []
                if outcome and not outcome.endswith("?"):
                    assert not changed(catalogue, before), (fault.fired, nth, outcome)
            nth += STRIDE
    return seen


def call_once(catalogue: Catalogue, fault: sqlite_files.PosixFault, *, opening: bool) -> str:
    """Make the call with a fault in its way and again without; return the first one's error, with ? if it is open."""
    error: rsm.RsmError | None = None
    with fault.standing(), ExitStack() as stack:
        fault.armed = opening
        try:
            session = stack.enter_context(catalogue.open())
            if not opening:
                session.pools.list()
                fault.armed = True
            catalogue.call.make(session, catalogue.made)
        except rsm.RsmError as raised:
            error = raised
        fault.armed = False
        if error is not None:
            session = stack.enter_context(catalogue.open())
            faults.check_writable(session)
    if error is None:
        return ""
    assert type(error) in DOCUMENTED, (fault.fired, error)
    return error.code.name + "?" * error.outcome_unknown


def changed(catalogue: Catalogue, before: dict[str, list[object]]) -> bool:
    """Tell whether the catalogue is another than before."""
    with faults.watching(catalogue.url) as watcher:
        return watcher.rows() != before


NAMES = [name for name, call in CALLS.items() if not call.of_a_session]
# Which call it is matters little to the files: plain pytest leaves those out that differ from others in it alone.
TRIED = NAMES if ALL else [name for name in NAMES if name not in ALIKE and CALLS[name].prepare is not prepare_attended]


@pytest.mark.parametrize("name", TRIED)
def test_nothing_changes_whichever_posix_call_fails(
    name: str, sqlite_path: Path, tmp_path: Path, counted: Counted
) -> None:
    folder = tmp_path / "catalogue"
    folder.mkdir()
    catalogue = Catalogue(sqlite_path, folder, CALLS[name])
    seen = make_calls(catalogue, opening=False)
    if ALL or name == DELETE:
        seen += make_calls(catalogue, opening=True)
    counted("POSIX calls that failed, by call", {name: seen.total()}, f"{dict(seen)}")
    assert seen.total() > 1
    refused = [each for each in seen if not each.endswith("done")]
    assert refused or not ALL


def test_no_lock_that_the_system_failed_to_take_back_keeps_the_next_call_out(
    sqlite_path: Path, tmp_path: Path, counted: Counted
) -> None:
    folder = tmp_path / "catalogue"
    folder.mkdir()
    catalogue = Catalogue(sqlite_path, folder, CALLS[DELETE])
    catalogue.busy_timeout_ms = 100
    others = {*sqlite_files.POSIX_CALLS, "fsync"} - {"fcntl"}
    seen: Counter[str] = Counter()
    for nth in itertools.count(1):
        catalogue.begin_again()
        fault = sqlite_files.PosixFault(nth, errno.EIO, others)
        outcome = call_once(catalogue, fault, opening=True)
        if fault.fired is None:
            break
        seen[outcome or "done"] += 1
    counted("POSIX calls that failed, by call", {"locks": seen.total()}, f"{dict(seen)}")
    assert seen["ERROR_DATABASE_FAILURE"]
    assert seen["done"]
