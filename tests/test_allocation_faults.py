"""Every call that changes who holds a side, with the Nth call of the driver failing, for every N and the COMMIT."""

from collections.abc import Callable
from typing import Any

import allocating
import faults
import pytest
import test_statements_failing as failing
from allocating import ALLOCATED, AVAILABLE, IMPORT

import rsm

_DRAW, _RETURN, _SWAP = "draw a free cartridge", "give a cartridge back", "swap"
CALLS: dict[str, Callable[[rsm.Session, Any], object]] = {
    _DRAW: lambda session, made: session.media.allocate(r"\Two draws", new=True, timeout_ms=0),
    "import": lambda session, made: session.media.allocate(r"\One", side="I1"),
    _RETURN: lambda session, made: session.media.deallocate("R1"),
    "complete": lambda session, made: session.media.complete("R1"),
    "decommission": lambda session, made: session.media.decommission("D1"),
    _SWAP: lambda session, made: session.media.swap("S1", "S2"),
    "record a label": lambda session, made: session.media.update_label("R1", "new", b"label"),
}


def prepare(url: str, session: rsm.Session) -> None:
    """Put on record what the calls work on."""
    world = allocating.make_world(session, url)
    world.add(allocating.FREE[allocating.TWO_SIDED], "F1", AVAILABLE, AVAILABLE)
    world.add(allocating.IMPORTED[allocating.ONE_SIDED], "I1", IMPORT)
    world.add(r"\One returns", "R1", ALLOCATED)
    world.add(r"\One", "D1", AVAILABLE)
    for barcode in ("S1", "S2"):
        world.add(r"\One", barcode, ALLOCATED)


@pytest.mark.parametrize(
    ("backend", "name"),
    [*(("sqlite", name) for name in CALLS), *(("postgresql", name) for name in (_DRAW, _RETURN, _SWAP))],
    indirect=["backend"],
)
def test_nothing_changes_whichever_call_of_the_driver_fails(
    name: str, backend: str, url: str, connect: Callable[..., rsm.Session]
) -> None:
    session = connect(worker=False)
    prepare(url, session)
    disk = faults.disk_error if backend == "sqlite" else faults.server_error
    modes = [
        failing.Mode("Ctrl-C", KeyboardInterrupt, KeyboardInterrupt),
        failing.Mode("disk, afterwards", disk, rsm.DatabaseFailureError, after=True),
    ]
    call = failing.Call(lambda *_: {}, CALLS[name])
    with faults.watching(url) as watcher:
        before = watcher.rows()
        for mode in modes if backend == "sqlite" else modes[1:]:
            hit: list[str] = []
            while not hit or not hit[-1].endswith("COMMIT"):
                faults.database_of(session)._forget_connections()
                hit.append(failing._fail_once(call, session, {}, mode, len(hit) + 1))
                if hit[-1].endswith("COMMIT") and mode.after:
                    break  # it took effect, and wholly
                assert watcher.rows() == before, f"{mode.name}, call {len(hit)}: {hit[-1]}"
                faults.check_writable(session)
            assert len(hit) > 5
        assert watcher.rows() != before
