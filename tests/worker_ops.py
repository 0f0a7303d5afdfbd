"""Random pool and media operations with fixed seeds, for the tests of many processes and of killed ones.

As a script (`python worker_ops.py URL SEED COUNT`) it says "ready", waits for a line on stdin, works on one catalogue
and prints one JSON line an operation: the call's documented name, the code it came back with, and when.
"""

import json
import random
import sys
import time
from collections.abc import Callable
from typing import Any

import rsm

KIND = rsm.NtmsObjectsTypes
ADMINISTRATOR = rsm.Caller("user:admin", administrator=True)
TOPS = tuple(f"\\P{number}" for number in range(4))
POOLS = (*TOPS, *(f"{top}\\{child}" for top in TOPS for child in ("a", "b")))
DESTINATIONS = (*POOLS[4:], *POOLS, r"\Free\LTO-8", r"\Free\LTO-7", r"\Import\LTO-8", r"\Unrecognized\LTO-8", "\\")
MEDIA_TYPES = (None, "LTO-8", "LTO-7")
STATES = tuple(
    rsm.NtmsPartitionState[f"NTMS_PARTSTATE_{name}"]
    for name in ("AVAILABLE", "AVAILABLE", "IMPORT", "ALLOCATED", "DECOMMISSIONED")
)


class Worker:
    """Makes one random call after another on a session; the same seed makes the same calls."""

    def __init__(self, session: rsm.Session, seed: int, media: int = 40) -> None:
        self.session = session
        self.random = random.Random(seed)
        self.barcodes = [f"B{number:03}" for number in range(media)]
        changing: list[tuple[str, Callable[[], Any]]] = [
            ("CreateNtmsMediaPool", self.create_pool),
            ("CreateNtmsMediaPool", self.create_pool),
            ("DeleteNtmsMediaPool", self.delete_pool),
            ("SetNtmsObjectInformation", self.rename_pool),
            ("SetNtmsObjectInformation", self.set_policy),
            ("CreateNtmsMedia", self.create_medium),
            ("CreateNtmsMedia", self.create_medium),
            ("MoveToNtmsMediaPool", self.move_medium),
            ("MoveToNtmsMediaPool", self.move_medium),
            ("ChangeNtmsMediaType", self.change_type),
            ("DeleteNtmsMedia", self.delete_medium),
            ("SetNtmsObjectAttribute", self.set_attribute),
            ("SetNtmsObjectSecurity", self.set_security),
            ("DisableNtmsObject", lambda: session.media.disable(self.barcode())),
            ("EnableNtmsObject", lambda: session.media.enable(self.barcode())),
        ]
        reading: list[tuple[str, Callable[[], Any]]] = [
            ("GetNtmsObjectInformation", lambda: session.pools.get(self.pool())),
            ("GetNtmsObjectInformation", lambda: session.media.get(self.barcode())),
            ("GetNtmsMediaPoolName", lambda: session.pools.path(self.pool())),
            ("EnumerateNtmsObject", lambda: session.media.list(pool=self.pool())),
            ("EnumerateNtmsObject", lambda: session.pools.list(recursive=True)),
            ("GetNtmsObjectAttribute", lambda: session.objects.attribute(KIND.NTMS_MEDIA_POOL, self.pool(), "note")),
            ("GetNtmsObjectSecurity", lambda: session.acl.get(KIND.NTMS_MEDIA_POOL, self.pool())),
        ]
        self.changing = changing
        self.every = changing + reading

    def pool(self) -> str:
        return self.random.choice(POOLS)

    def barcode(self) -> str:
        return self.random.choice(self.barcodes)

    def create_pool(self) -> None:
        self.session.pools.create(
            self.pool(),
            media_type=self.random.choice(MEDIA_TYPES),
            max_allocates=self.random.randrange(3),
        )

    def delete_pool(self) -> None:
        self.session.pools.delete(self.pool())

    def rename_pool(self) -> None:
        pool, to = self.pool(), self.random.choice(("P0", "P1", "a", "b", "c"))
        self.session.pools.update(pool, name=to)

    def set_policy(self) -> None:
        pool, most = self.pool(), self.random.randrange(5)
        self.session.pools.update(pool, allocate_from_free=self.random.random() < 0.5, max_allocates=most)

    def create_medium(self) -> None:
        state, barcode = self.random.choice(STATES), self.barcode()
        side = rsm.NewSide("MTF", barcode.encode(), state)
        self.session.media.create(self.random.choice(DESTINATIONS), [side], barcode=barcode)

    def move_medium(self) -> None:
        self.session.media.move(self.barcode(), self.random.choice(DESTINATIONS))

    def change_type(self) -> None:
        self.session.media.change_type(self.barcode(), self.random.choice(DESTINATIONS))

    def delete_medium(self) -> None:
        self.session.media.delete(self.barcode())

    def set_attribute(self) -> None:
        value = self.random.choice((b"", b"one", b"two"))
        self.session.objects.set_attribute(KIND.NTMS_MEDIA_POOL, self.pool(), "note", value)

    def set_security(self) -> None:
        rights = rsm.AccessRights(self.random.randrange(1, 8))
        descriptor = rsm.SecurityDescriptor(dacl=(rsm.Ace(True, "everyone", rights),))
        self.session.acl.set(KIND.NTMS_MEDIA_POOL, self.pool(), descriptor)

    def step(self, *, reading: bool = True) -> tuple[str, str]:
        """Make one call and return its documented name and the name of its result."""
        name, operation = self.random.choice(self.every if reading else self.changing)
        try:
            operation()
        except rsm.RsmError as error:
            return name, error.code.name
        return name, rsm.ErrorCode.ERROR_SUCCESS.name


def furnish(session: rsm.Session, library: Any) -> None:
    """Give a new catalogue media types, pools and cartridges, so that most calls find what they name."""
    for media_type in ("LTO-8", "LTO-7"):
        session.types.add(media_type, library)
    for top in TOPS[:2]:
        session.pools.create(top)
        for child, media_type in (("a", "LTO-8"), ("b", "LTO-7")):
            session.pools.create(f"{top}\\{child}", media_type=media_type)
    for number in range(0, 12, 2):
        side = rsm.NewSide("MTF", bytes([number + 1]), STATES[0])
        session.media.create(POOLS[4 + number % 4], [side], barcode=f"B{number:03}")


def main(url: str, seed: int, count: int) -> None:
    """Make `count` calls and print what came of each."""
    with rsm.connect(
        url, worker=False, application=f"worker {seed}", caller=ADMINISTRATOR, busy_timeout_ms=120_000
    ) as session:
        worker = Worker(session, seed)
        print("ready", flush=True)
        sys.stdin.readline()
        lines = []
        for _ in range(count):
            name, code = worker.step()
            lines.append({"function": name, "code": code, "at": time.monotonic()})
    sys.stdout.write("".join(json.dumps(line) + "\n" for line in lines))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
