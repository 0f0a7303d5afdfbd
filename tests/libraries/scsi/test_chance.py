"""Devices that answer by chance: every call ends, with an answer or with an error of ours."""

import contextlib
import random

from hypothesis import given, settings
from hypothesis import strategies as st
from libraries.scsi.simulated import DRIVE, PORT, SLOT, Simulated, Tape

import rsm
from rsm.libraries.base import LibraryBackend, SideMode
from rsm.libraries.scsi.transport import LostError, Reply

COMMANDS_AT_MOST = 60_000


def write(library: LibraryBackend, mode: SideMode) -> None:
    with library.open_side(DRIVE, 1, mode) as file:
        file.write(bytes(200_000))


def read(library: LibraryBackend) -> None:
    with library.open_side(DRIVE, 1, "rb") as file:
        file.read(100_000)


def work(library: LibraryBackend) -> None:
    """Make every call once; errors of ours are answers too."""
    calls = [
        library.read_identity,
        library.check_readiness,
        lambda: library.claim(1),
        lambda: list(library.read_elements()),
        lambda: library.move(SLOT, DRIVE, 1),
        lambda: library.load_drive(DRIVE, 1),
        lambda: library.read_side(DRIVE, 1),
        lambda: write(library, "wb"),
        lambda: write(library, "ab"),
        lambda: read(library),
        lambda: library.unload_drive(DRIVE, 1),
        lambda: library.exchange(SLOT + 1, DRIVE, SLOT, 1),
        lambda: library.move(DRIVE, SLOT, 1),
        lambda: library.extend_port(PORT, 1),
    ]
    for call in calls:
        with contextlib.suppress(OSError, rsm.RsmError):
            call()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 32), share=st.sampled_from([0.02, 0.2, 1.0]))
def test_device_that_answers_by_chance_is_survived(seed: int, share: float) -> None:
    chance = random.Random(seed)
    simulated = Simulated()
    simulated.tapes = {SLOT: Tape("A00001L8"), SLOT + 1: Tape("B00002L8")}
    library = simulated.open()

    def script(_: str, cdb: bytes) -> Reply | None:
        assert len(simulated.given) < COMMANDS_AT_MOST
        if chance.random() > share:
            return None
        if chance.random() < 0.1:
            raise LostError("lost by chance")
        data = chance.randbytes(chance.choice((0, 3, 8, 24, 300)))
        sense = bytes((chance.choice((0x70, 0x72, 0xF0)),)) + chance.randbytes(17)
        return Reply(chance.choice((0, 0, 2, 2, 2, 8, 0x18, 0x40, 0x7F)), data, sense, chance.choice((0, 0, 5, 400)))

    simulated.script = script
    work(library)
