"""Processes that work until they are killed: the parent's side of it, and the children's.

A script calls `give_birth`: it forks a child for each line that it reads. What children say goes through one pipe, a
line of JSON in one piece; the first thing each says is which process it is.
"""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from forks import Forked


def say(said: dict[str, Any]) -> None:
    """Print a line in one piece."""
    os.write(1, json.dumps(said).encode() + b"\n")


def give_birth(live: Callable[[int], None]) -> None:
    """Fork a process for every line that is read, and let it live; they are numbered from 0."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for life, _ in enumerate(sys.stdin):
        if os.fork() == 0:
            try:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                say({"life": life, "process": os.getpid()})
                live(life)
            finally:
                os._exit(70)


class Nursery:
    """The processes of such a script, that are killed in the middle of it; `said` is all they said, in order."""

    def __init__(self, *script: str) -> None:
        self._process = Forked([sys.executable, *script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._heard = b""
        self._living: dict[int, int] = {}
        self.said: list[dict[str, Any]] = []

    def spawn(self) -> None:
        """Let another one live."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"more\n")
        self._process.stdin.flush()

    def hear(self, seconds: float | None = None) -> int | None:
        """Take in the next thing one of them says and return which it was, None if the time is over before."""
        while b"\n" not in self._heard:
            assert self._process.stdout is not None
            output = self._process.stdout.fileno()
            if not select.select([output], [], [], seconds)[0]:
                return None
            piece = os.read(output, 65536)
            assert piece, "all of them ended"
            self._heard += piece
        line, _, self._heard = self._heard.partition(b"\n")
        return self._take_in(line)

    def _take_in(self, line: bytes) -> int:
        said = json.loads(line)
        if "process" in said:
            self._living[said["life"]] = said["process"]
        else:
            self.said.append(said)
        return int(said["life"])

    @property
    def living(self) -> list[int]:
        """Those that are known to live and were not killed; what others said before may still come."""
        return list(self._living)

    def kill(self, life: int) -> None:
        """End one as a crash does."""
        os.kill(self._living.pop(life), signal.SIGKILL)

    def close(self) -> None:
        """Kill those that are left, and take in their last words."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        for life in self.living:
            self.kill(life)
        while piece := os.read(self._process.stdout.fileno(), 65536):
            self._heard += piece
            *lines, self._heard = self._heard.split(b"\n")
            for line in lines:
                life = self._take_in(line)
                if life in self._living:
                    self.kill(life)  # it was on its way into the world
        assert self._process.wait() == 0
        self._process.stdout.close()
