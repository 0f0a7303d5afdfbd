"""How long it takes to read what a large changer tells of its elements, and how much memory.

    python tests/benchmarks/bench_elements.py [--elements N] [--json]

Answers to READ ELEMENT STATUS, each of 64 KiB, for so many slots with a bar code each (60,000 unless told): decoded by
`rsm.libraries.scsi.decode`, beside the least that any reader does, which is to unpack each descriptor and keep four of
its fields; and read by the library as an inventory reads it, from a device that has its answers ready. Printed are
milliseconds of processor time, the ratio to the least, and the peak of memory that Python asked for.

pytest does not collect this file; test_benchmarks.py runs it with small numbers so that it cannot rot.
"""

import argparse
import json
import struct
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from rsm.libraries.scsi.backend import ScsiLibrary
from rsm.libraries.scsi.decode import decode_element_status
from rsm.libraries.scsi.transport import Reply, Transport

FIRST_SLOT, DESCRIPTOR_BYTES, PIECE_BYTES = 1000, 52, 65_536
REPEATS = 3


def make_piece(kind: int, first: int, count: int) -> bytes:
    """Return the answer to READ ELEMENT STATUS for a run of elements, each full with a bar code of its own."""
    body = b"".join(
        struct.pack(">HB9x", address, 0x09) + f"T{address:06d}L8".encode().ljust(32) + bytes(8)
        for address in range(first, first + count)
    )
    page = struct.pack(">BBHB", kind, 0x80, DESCRIPTOR_BYTES, 0) + len(body).to_bytes(3, "big") + body
    return struct.pack(">HHB", first, count, 0) + len(page).to_bytes(3, "big") + page


def make_pieces(elements: int) -> list[bytes]:
    """Return the answers for all slots, as many in each as fit into 64 KiB."""
    at_once = (PIECE_BYTES - 16) // DESCRIPTOR_BYTES
    ends = range(FIRST_SLOT, FIRST_SLOT + elements, at_once)
    return [make_piece(2, first, min(at_once, FIRST_SLOT + elements - first)) for first in ends]


def decode(pieces: list[bytes], elements: int) -> int:
    """Decode every answer, and let go of what it says."""
    every = range(FIRST_SLOT, FIRST_SLOT + elements)
    return sum(len(decode_element_status(piece, every)) for piece in pieces)


def decode_least(pieces: list[bytes]) -> int:
    """Unpack every descriptor and keep its address, whether it is full, where it came from, and its bar code."""
    count = 0
    for piece in pieces:
        kept = []
        for at in range(16, len(piece), DESCRIPTOR_BYTES):
            address, flags, source, tag = struct.unpack_from(">HB7xH32s", piece, at)
            kept.append((address, bool(flags & 1), source, tag.decode("ascii").rstrip()))
        count += len(kept)
    return count


class Ready(Transport):
    """A changer that has its answers ready."""

    name = "/ready"

    def __init__(self, elements: int) -> None:
        self._elements = elements
        self._pieces = {int.from_bytes(piece[:2], "big"): piece for piece in make_pieces(elements)}

    def execute(self, cdb: bytes, *, write: bytes = b"", read_length: int = 0, timeout_seconds: float) -> Reply:
        if cdb[0] == 0x12:
            return Reply(0, bytes((8, 0x80, 5, 2, 31, 0, 0, 0)) + b"BENCH   CHANGER         0001")
        if cdb[0] == 0x1A:
            counts = (1, 1, FIRST_SLOT, self._elements, 0, 0, 2, 1)
            return Reply(0, bytes((23, 0, 0, 0, 0x1D, 18)) + struct.pack(">8H2x", *counts))
        first = int.from_bytes(cdb[2:4], "big")
        return Reply(0, self._pieces.get(first) or make_piece(cdb[1] & 0x0F, first, 1))

    def close(self) -> None:
        pass


def measure(do: Callable[[], int], wanted: int) -> tuple[float, int]:
    """Return the least processor time of a few runs in milliseconds, and the peak of memory of one in bytes."""
    times = []
    for _ in range(REPEATS):
        begun = time.process_time()
        assert do() == wanted
        times.append((time.process_time() - begun) * 1000)
    tracemalloc.start()
    do()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return min(times), peak


def run(elements: int) -> list[dict[str, Any]]:
    """Return what was measured."""
    pieces = make_pieces(elements)
    library = ScsiLibrary("/ready", opener=lambda _: Ready(elements), finder=lambda _, __: [])
    rows = []
    for what, do, wanted in (
        ("least", lambda: decode_least(pieces), elements),
        ("decode", lambda: decode(pieces, elements), elements),
        ("inventory", lambda: sum(1 for _ in library.read_elements()), elements + 2),
    ):
        milliseconds, peak = measure(do, wanted)
        rows.append({"what": what, "ms": milliseconds, "peak_bytes": peak})
    return [{**row, "ms": round(row["ms"], 2), "ratio": round(row["ms"] / rows[0]["ms"], 2)} for row in rows]


def main() -> None:
    """Run the measurements and print them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--elements", type=int, default=60_000, help="slots of the changer")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    wanted = parser.parse_args()
    rows = run(wanted.elements)
    if wanted.json:
        print(json.dumps(rows))
        return
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items()))


if __name__ == "__main__":
    main()
