"""Processes that race on one catalogue, and the judge of what they saw: was there an order in which it all makes sense?

`python races.py URL SEED COUNT` says "ready", waits for a line, makes COUNT random calls on a few pools and cartridges,
and prints a line for each: what was called, what came of it, and when it began and ended. `python races.py URL` forks a
process for each line it reads; these say each call as it begins and as it ends, until they are killed.

The judge knows the order of what succeeded, for events have ids in the order of commits: it replays that order against
a model that knows one call at a time, and looks for a moment within each refused call at which the model refuses too.
"""

import json
import random
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import nursery

import rsm

ADMINISTRATOR = rsm.Caller("user:admin", administrator=True)
POOLS = ("\\One", "\\Two", "\\Three")
BARCODES = tuple(f"R{number:05}" for number in range(4))
OK = rsm.ErrorCode.ERROR_SUCCESS.name
AVAILABLE, ALLOCATED, COMPLETE = "AVAILABLE", "ALLOCATED", "COMPLETE"


class Racer:
    """Makes random calls and keeps what came of them."""

    def __init__(self, session: rsm.Session, seed: int, tell: Callable[[dict[str, Any]], None]) -> None:
        self.session = session
        self.random = random.Random(seed)
        self.seed = seed
        self.tell = tell
        self.made = 0

    def step(self) -> None:
        """Make one call."""
        media = self.session.media
        call, *arguments = self.random.choice(
            (
                ("create_pool", self.random.choice(POOLS)),
                ("delete_pool", self.random.choice(POOLS)),
                *(("move", self.random.choice(BARCODES), self.random.choice(POOLS)),) * 2,
                *(("allocate", self.random.choice(POOLS)),) * 3,
                *(("deallocate", self.anything_held()),) * 2,
                ("complete", self.anything_held()),
            )
        )
        calls: dict[str, Callable[..., Any]] = {
            "create_pool": lambda path: self.session.pools.create(path, media_type="LTO-8"),
            "delete_pool": self.session.pools.delete,
            "move": media.move,
            "allocate": lambda path: media.allocate(path, error_if_unavailable=True),
            "deallocate": lambda held: media.deallocate(uuid.UUID(held)),
            "complete": lambda held: media.complete(uuid.UUID(held)),
        }
        reason = f"{self.seed}.{self.made}"
        self.made += 1
        code, result = OK, None
        said = {"reason": reason, "call": call, "arguments": arguments, "begun": time.monotonic_ns()}
        self.tell(said)
        try:
            with self.session.because(reason):
                made = calls[call](*arguments)
            if call == "allocate":
                result = [str(made.id), str(made.side)]
        except rsm.RsmError as error:
            code = error.code.name
        self.tell({**said, "code": code, "result": result, "ended": time.monotonic_ns()})

    def anything_held(self) -> str:
        """Return a logical medium that was there a moment ago, or one that never was."""
        held = [str(each.id) for each in self.session.media.logical_media()]
        return self.random.choice([*held, str(uuid.UUID(int=7))])


@dataclass(frozen=True)
class State:
    """What the model knows: the pools, and of each cartridge its pool, its side's state and what holds it."""

    pools: frozenset[str]
    media: tuple[tuple[str, str, str, str], ...]  # bar code, pool, state, logical medium

    def change(self, barcode: str, *fields: str) -> "State":
        return State(self.pools, tuple((barcode, *fields) if each[0] == barcode else each for each in self.media))

    def apply(self, call: str, arguments: list[str], result: Any, side_of: dict[str, str]) -> "State | str":
        """Return the state after a call, or the name of the code that it is refused with."""
        answer: State | str = getattr(self, f"_{call}")(*arguments, *([result, side_of] if call == "allocate" else []))
        return answer

    def _create_pool(self, path: str) -> "State | str":
        return "ERROR_ALREADY_EXISTS" if path in self.pools else State(self.pools | {path}, self.media)

    def _delete_pool(self, path: str) -> "State | str":
        if path not in self.pools:
            return "ERROR_INVALID_MEDIA_POOL"
        return "ERROR_NOT_EMPTY" if path in {each[1] for each in self.media} else State(self.pools - {path}, self.media)

    def _move(self, barcode: str, path: str) -> "State | str":
        _, _, state, held = next(each for each in self.media if each[0] == barcode)
        return self.change(barcode, path, state, held) if path in self.pools else "ERROR_INVALID_MEDIA_POOL"

    def _allocate(self, path: str, result: list[str] | None, side_of: dict[str, str]) -> "State | str":
        if path not in self.pools:
            return "ERROR_INVALID_MEDIA_POOL"
        free = [each[0] for each in self.media if each[1:3] == (path, AVAILABLE)]
        if not free:
            return "ERROR_MEDIA_UNAVAILABLE"
        if result is None:
            return self
        barcode = side_of[result[1]]
        return self.change(barcode, path, ALLOCATED, result[0]) if barcode in free else f"{barcode} was not to be had"

    def _deallocate(self, held: str) -> "State | str":
        for barcode, pool, _, owner in self.media:
            if owner == held:
                return self.change(barcode, pool, AVAILABLE, "")
        return "ERROR_INVALID_MEDIA"

    def _complete(self, held: str) -> "State | str":
        for barcode, pool, state, owner in self.media:
            if owner == held:
                changed = self.change(barcode, pool, COMPLETE, held)
                return changed if state == ALLOCATED else "ERROR_INVALID_STATE"
        return "ERROR_INVALID_MEDIA"


def judge(
    first: State, seen: list[dict[str, Any]], commits: dict[str, int], side_of: dict[str, str]
) -> tuple[State, list[str]]:
    """Return the state that a history ends in, and what makes no sense in it; `commits` orders what took effect."""
    wrong: list[str] = []
    done = sorted((each for each in seen if each["reason"] in commits), key=lambda each: commits[each["reason"]])
    states, latest = [first], 0
    for each in done:
        after = states[-1].apply(each["call"], each["arguments"], each["result"], side_of)
        if each["code"] != OK or isinstance(after, str):
            wrong.append(f"{each} left a change, and the model says {after}")
            after = states[-1]
        if each["ended"] < latest:
            wrong.append(f"{each} took effect before it, and had ended when that began")
        states.append(after)
        latest = max(latest, each["begun"])
    for each in seen:
        if each["reason"] in commits:
            continue
        least = max((number for number, other in enumerate(done, 1) if other["ended"] < each["begun"]), default=0)
        most = min((number for number, other in enumerate(done) if other["begun"] > each["ended"]), default=len(done))
        possible = [state.apply(each["call"], each["arguments"], None, side_of) for state in states[least : most + 1]]
        nothing = [answer for answer, state in zip(possible, states[least : most + 1], strict=True) if answer == state]
        if not (nothing if each["code"] == OK else each["code"] in possible):
            wrong.append(f"{each} at no moment of the {len(possible)} could it come to this")
    return states[-1], wrong


def main(url: str, seed: int, count: int) -> None:
    """Make `count` calls and print what came of each."""
    seen: list[dict[str, Any]] = []
    with rsm.connect(url, worker=False, caller=ADMINISTRATOR, busy_timeout_ms=120_000) as session:
        racer = Racer(session, seed, seen.append)
        print("ready", flush=True)
        sys.stdin.readline()
        for _ in range(count):
            racer.step()
    sys.stdout.write("".join(json.dumps(each) + "\n" for each in seen if "ended" in each))


def live(url: str, life: int) -> None:
    """Make calls until somebody ends this process."""
    with rsm.connect(url, worker=False, caller=ADMINISTRATOR, busy_timeout_ms=120_000) as session:
        racer = Racer(session, life, lambda said: nursery.say({"life": life, **said}))
        while True:
            racer.step()


if __name__ == "__main__":
    if len(sys.argv) == 2:
        nursery.give_birth(lambda life: live(sys.argv[1], life))
    else:
        main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
