"""Runs small programs beside a test and keeps them in step with it through pipes: no sleeping, no guessing."""

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from forks import Forked

COMMAND = (sys.executable, "-c", "import sys; from rsm.cli import main; sys.exit(main())")


class Program:
    """A Python program in a process of its own, that says lines and waits for lines."""

    def __init__(self, text: str, *arguments: object) -> None:
        prelude = (
            "import sys\ndef say(word): print(word, flush=True)\ndef wait(): return sys.stdin.readline().strip()\n"
        )
        self._process = Forked(
            [sys.executable, "-c", prelude + text, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout

    def hear(self) -> str:
        """Return the next line the program says, empty when it has ended."""
        return self._output.readline().strip()

    def tell(self, line: str = "") -> None:
        """Let the program go on."""
        print(line, file=self._input, flush=True)

    def hear_until(self, wanted: str) -> str:
        """Return the next line in which `wanted` is."""
        heard = []
        while wanted not in (line := self.hear()):
            heard.append(line)
            assert line, f"ended without {wanted!r}: {heard}"
        return line

    def signal(self, number: int) -> None:
        """Send the program a signal."""
        self._process.send_signal(number)

    def pause(self) -> None:
        """Stop the program, and return once it stands still."""
        self.signal(signal.SIGSTOP)
        self.wait_until_stopped()

    def wait_until_stopped(self) -> int:
        """Wait until the program was stopped by a signal, and return its number."""
        number = self._process.pid
        while Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            os.sched_yield()
        return number

    def kill(self) -> None:
        """End the program as a crash does, and wait until it is gone."""
        self._process.kill()
        self._process.wait()

    def rest(self) -> str:
        """Return all the program still says, when it has ended."""
        return self._process.communicate()[0].strip()

    def status(self) -> int:
        """Return the exit status; minus the signal if one ended it."""
        return self._process.wait()

    def __enter__(self) -> "Program":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._output.close()
        with contextlib.suppress(BrokenPipeError):  # something told too late
            self._input.close()


class OnTerminal:
    """The command on a terminal of its own, which sees both output streams."""

    def __init__(self, *words: str) -> None:
        self.master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (24, 100))
        environment = {**os.environ, "TERM": "xterm-256color"}
        self.process = subprocess.Popen(
            [*COMMAND, *words], stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)
        self.seen = ""

    def read_until(self, wanted: str) -> None:
        """Read until `wanted` was printed."""
        while wanted not in self.seen:
            assert self._read_some(), f"ended without {wanted!r}: {self.seen!r}"

    def type_in(self, text: str | bytes) -> None:
        """Type `text`, or bytes that are none."""
        os.write(self.master, text.encode() if isinstance(text, str) else text)

    def finish(self) -> int:
        """Read to the end and return the exit status."""
        while self._read_some():
            pass
        os.close(self.master)
        return self.process.wait(timeout=30)

    def _read_some(self) -> bool:
        ready, _, _ = select.select([self.master], [], [], 30)
        assert ready, f"silent for 30 seconds after {self.seen!r}"
        try:
            data = os.read(self.master, 4096)
        except OSError:  # what Linux says at the end of a terminal
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)


def run_together(commands: Iterable[Sequence[str]], timeout_seconds: float) -> list[tuple[int, str]]:
    """Let programs that say `ready` first begin at one moment, and return how each ended and what it said since."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    children = [Forked(command, **pipes) for command in commands]
    try:
        assert [child.stdout.readline() for child in children if child.stdout] == ["ready\n"] * len(children)
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        outputs = [child.communicate(timeout=timeout_seconds)[0] for child in children]
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()
                child.wait()
    return [(child.returncode, output) for child, output in zip(children, outputs, strict=True)]
