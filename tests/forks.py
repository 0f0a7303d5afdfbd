"""Starts Python programs by forking one that has read all modules of rsm: to read them takes longer than most tests.

`Forked` is a `subprocess.Popen` for commands that begin with this interpreter, and then name a script or `-c` and a
text; where the system cannot do that, it is no other. Run as a script, this is the process that is forked; it opens
nothing and starts no thread.
"""

import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import types
from collections.abc import Sequence
from typing import Any

_READ_BEFORE = ("rsm.session", "rsm.cli.application", "rsm.labels", "rsm.libraries.virtual", "psycopg", "typer", "rich")
_MOST_BYTES = 1 << 20


class _Server:
    """The process that forks, as the tests know it."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self._lock = threading.Lock()
        self._socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            command = [sys.executable, __file__, str(other.fileno())]
            self._child = subprocess.Popen(command, pass_fds=[other.fileno()], stdin=subprocess.DEVNULL)

    def ask(self, streams: Sequence[int] = (), **request: Any) -> int:
        """Make a request, and return the number that answers it."""
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(request).encode()], streams)
            answer = self._socket.recv(64)
        assert answer, "the process that forks has ended"
        return int(answer)


_servers: list[_Server] = []


def _server() -> _Server:
    if not _servers or _servers[-1].process != os.getpid():
        _servers.append(_Server())
    return _servers[-1]


class _Forked(subprocess.Popen[Any]):
    """A program that was not begun from nothing. It is another's child, who tells how it ended."""

    def _execute_child(self, command: Sequence[object], *settings: Any) -> None:
        _, _, _, passed, folder, environment, _, _, _, *pipes = settings[:15]
        words = [os.fsdecode(word) if isinstance(word, bytes) else str(word) for word in command]
        assert words[0] == sys.executable
        assert not passed
        streams = [pipe if pipe != -1 else usual for usual, pipe in enumerate((pipes[0], pipes[3], pipes[5]))]
        whole = dict(os.environ if environment is None else environment)
        self._server = _server()
        self.pid = self._server.ask(
            streams, words=words[1:], folder=os.fspath(folder or os.getcwd()), environment=whole
        )
        self._ended = os.pidfd_open(self.pid)
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]

    def _try_wait(self, flags: int) -> tuple[int, int]:
        if not select.select([self._ended], [], [], 0 if flags else None)[0]:
            return 0, 0
        os.close(self._ended)
        return self.pid, self._server.ask(ended=self.pid)

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        if self._waitpid_lock.acquire(blocking=False):  # type: ignore[attr-defined]
            try:
                pid, status = self._try_wait(os.WNOHANG) if self.returncode is None else (0, 0)
                if pid:
                    self._handle_exitstatus(status)  # type: ignore[attr-defined]
            finally:
                self._waitpid_lock.release()  # type: ignore[attr-defined]
        return self.returncode


def _can_hear_of_ends() -> bool:
    """Tell whether the system can tell of the end of a process that is nobody's child here."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True


Forked = _Forked if _can_hear_of_ends() else subprocess.Popen


def run_forked(command: Sequence[object], *, timeout: float | None = None, **options: Any) -> Any:
    """Do as `subprocess.run` does."""
    given, check = options.pop("input", None), options.pop("check", False)
    if given is not None:
        options["stdin"] = subprocess.PIPE
    if options.pop("capture_output", False):
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with Forked(command, **options) as process:
        try:
            out, err = process.communicate(given, timeout=timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(command, process.returncode, out, err)
    if check:
        done.check_returncode()
    return done


def _serve(inlet: socket.socket) -> dict[str, Any]:
    """Fork for whatever is asked for, until nobody can ask any more; return in the new process what it is to do."""
    while True:
        told, streams, _, _ = socket.recv_fds(inlet, _MOST_BYTES, 3)
        if not told:
            os._exit(0)
        request: dict[str, Any] = json.loads(told)
        if "ended" in request:
            inlet.send(str(os.waitpid(request["ended"], 0)[1]).encode())
        elif child := os.fork():
            inlet.send(str(child).encode())
        else:
            break
        for each in streams:
            os.close(each)
    inlet.close()
    for usual, stream in enumerate(streams):
        os.dup2(stream, usual)
    for stream in streams:
        if stream > 2:
            os.close(stream)
    return request


def _become(asked: dict[str, Any]) -> None:
    """Run the program as if the interpreter had begun with it."""
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    first, *rest = asked["words"]
    sys.path[0] = "" if first == "-c" else os.path.dirname(os.path.abspath(first))
    sys.path[1:1] = [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each not in sys.path]
    if first != "-c":
        sys.argv = asked["words"]
        runpy.run_path(first, run_name="__main__")
        return
    sys.argv = ["-c", *rest[1:]]
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    exec(compile(rest[0], "<string>", "exec"), vars(main))


if __name__ == "__main__":
    for name in _READ_BEFORE:
        importlib.import_module(name)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _become(_serve(socket.socket(fileno=int(sys.argv[1]))))
