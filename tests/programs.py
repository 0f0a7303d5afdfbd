"""Runs small programs beside a test and keeps them in step with it through pipes: no sleeping, no guessing."""

import contextlib
import subprocess
import sys
from types import TracebackType


class Program:
    """A Python program in a process of its own, that says lines and waits for lines."""

    def __init__(self, text: str, *arguments: object) -> None:
        prelude = (
            "import sys\ndef say(word): print(word, flush=True)\ndef wait(): return sys.stdin.readline().strip()\n"
        )
        self._process = subprocess.Popen(
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
