"""`rsm worker`: a process that stays and works the libraries which this host reaches, and tells what happens.

Owns how it begins and ends, and the lines that it tells. The work itself is done by the thread that every process with
such a session has.
"""

from __future__ import annotations

import logging
import signal
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Annotated, Any, Self

import typer

import rsm
from rsm import identity
from rsm.cli.operator_request import Task
from rsm.cli.output import Output, OutputLost, as_text
from rsm.cli.request import Work, spoken_counts
from rsm.cli.run import UNKNOWN_REFERENCE, Names, Run, example_text
from rsm.constants import NtmsLmState, NtmsOperationalState
from rsm.constants import NtmsNotificationOperations as Operation
from rsm.libraries import open_library
from rsm.libraries.base import ReadinessState
from rsm.services import watching

Kind = rsm.NtmsObjectsTypes

EXAMPLES = example_text(
    "rsm worker",
    "rsm worker --once",
    "rsm --json worker 2>> /var/log/rsm.jsonl",
)

_ENDING = (signal.SIGINT, signal.SIGTERM)
_LOOK_SECONDS = 1.0  # what comes due writes nothing that would wake
_REST_SECONDS = 5.0


def run_worker(
    run: Run,
    once: Annotated[bool, typer.Option("--once", help="End when nothing is due any more, as for cron.")] = False,
) -> None:
    """Work the libraries that this host reaches until SIGINT or SIGTERM, which let the step in hand be finished."""
    log = Log(run.output)
    with EndingSignals() as signals, LoggedRecords(log):
        with run.session() as session:
            position, since = session.read(watching.read_position)
            reached = _tell_reach(session, log)
        if not reached:
            log.tell("idle", None, "no library can be worked from this host just now")
        with run.session(worker=True) as session:
            signals.listen(session.watcher.wake)
            teller = Teller(session, log, position, since)
            _follow(session, log, teller, lambda: signals.received or (once and _is_idle(session)))
            if is_asked := signals.received:
                log.tell("ending", None, "the step in hand is finished, no other is begun")
                signals.let_through()
    log.tell("ended", None, "as asked" if is_asked else "nothing is due any more")


def _tell_reach(session: rsm.Session, log: Log) -> int:
    """Tell which libraries this host can work, and why not others; return how many it can."""
    reached = 0
    for library in session.read(watching.list_reach, identity.host()):
        fault = find_fault(library)
        reached += fault is None
        told = f"{library.back_end} {library.address} is reached" if fault is None else f"cannot be worked: {fault}"
        log.tell("library", library.name, told)
    return reached


def find_fault(library: watching.Reach) -> str | None:
    """Return why this host cannot work a library now, None if it can."""
    if not library.reached:
        return f"{identity.host()} has no path to {library.back_end} {library.address}: another host has to work it"
    try:
        with open_library(library.back_end, library.address) as device:
            readiness = device.check_readiness()
    except rsm.RsmError as error:
        return str(error)
    if readiness.state is ReadinessState.READY:
        return None
    return f"it is {readiness.state}: {readiness.text}"


def _is_idle(session: rsm.Session) -> bool:
    """Tell whether nothing is in process or could begin in a library that can be worked from here."""
    host = identity.host()
    busy = session.read(watching.list_busy, host)
    return not any(
        each.id in busy and _can_be_worked(session, each) for each in session.read(watching.list_reach, host)
    )


def _can_be_worked(session: rsm.Session, library: watching.Reach) -> bool:
    state = session.read(watching.operational_state, library.id)
    return state is NtmsOperationalState.NTMS_READY or find_fault(library) is None


def _follow(session: rsm.Session, log: Log, teller: Teller, is_over: Callable[[], bool]) -> None:
    """Tell what happens in the catalogue, as long as it is not over."""
    while True:
        seen, pause = session.watcher.mark(), _LOOK_SECONDS
        try:
            over = is_over()
            teller.tell_news()
        except (rsm.InvalidHandleError, rsm.NotReadyError):
            raise  # the catalogue is another one now: whoever keeps this process running starts it again
        except rsm.RsmError as error:
            log.tell("warning", None, f"the catalogue cannot be read, again in {_REST_SECONDS:.0f} s: {error}")
            over, pause = False, _REST_SECONDS
        if over:
            return
        session.watcher.wait(seen, pause)


# What is told


class Log:
    """Tells lines: when, what kind of event, which library, and words."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._lock = threading.Lock()

    def tell(self, event: str, library: str | None, text: str, at: datetime | None = None, **more: object) -> None:
        """Tell one line."""
        when = at or datetime.now(UTC)
        sentence = f"{as_text(when)} {f'{library}: ' if library else ''}{event}: {text}"
        with self._lock:
            self._output.print_log(sentence, {"at": when, "event": event, "library": library, **more, "text": text})


class LoggedRecords(logging.Handler):
    """Tells in the log, in `with`, what RSM itself reports through `logging`."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.INFO)
        self._log = log
        self._logger = logging.getLogger("rsm")
        self._level = self._logger.level

    def emit(self, record: logging.LogRecord) -> None:
        """Tell one record."""
        text = record.getMessage()
        if record.exc_info is not None and record.exc_info[1] is not None:
            text = f"{text}: {type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
        try:
            self._log.tell(record.levelname.lower(), None, text)
        except OutputLost:
            return  # the main thread finds out by its own next line

    def __enter__(self) -> Self:
        self._logger.addHandler(self)
        self._logger.setLevel(logging.INFO)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._logger.removeHandler(self)
        self._logger.setLevel(self._level)


_WORDS = {NtmsLmState.NTMS_LM_QUEUED: "put back", NtmsLmState.NTMS_LM_INPROCESS: "begun"}
_ENDED = ("passed", "failed", "cancelled", "stopped", "invalid")


class Teller:
    """Puts what happened in library work since an event and a moment into words; other events are passed over."""

    def __init__(self, session: rsm.Session, log: Log, position: int, since: datetime) -> None:
        self._session = session
        self._log = log
        self._position = position
        self._since = since
        self._inventories: dict[uuid.UUID, NtmsLmState] = {}

    def tell_news(self) -> None:
        """Tell what is new since the last time."""
        while events := self._session.events.list(after=self._position, limit=1000):
            for event in events:
                self._position = event.id
                self._tell(event)
        known, self._inventories = self._inventories, {}
        for request_id, state, modified in self._session.read(watching.list_inventories, self._since):
            self._since = max(self._since, modified)
            self._inventories[request_id] = state
            if known.get(request_id) is not state:
                word = "queued" if state is NtmsLmState.NTMS_LM_QUEUED else _WORDS.get(state, as_text(state))
                self._tell_request(word, request_id, modified)

    def _tell(self, event: rsm.Event) -> None:
        after = event.after or {}
        if event.kind is Kind.NTMS_LIBREQUEST and "state" in after:
            state = NtmsLmState(after["state"])
            word = "queued" if event.operation is Operation.NTMS_OBJ_INSERT else _WORDS.get(state, as_text(state))
            self._tell_request(word, event.object, event.at)
        elif event.kind is Kind.NTMS_PHYSICAL_MEDIA and event.call == "move":
            self._tell_move(event, after)
        elif event.kind is Kind.NTMS_LIBRARY and "operational_state" in after and event.before is not None:
            told = f"it is {as_text(NtmsOperationalState(after['operational_state']))}"
            self._say(event, "library", Names(self._session).library(event.object), told)
        elif event.kind is Kind.NTMS_OPREQUEST and event.operation is Operation.NTMS_OBJ_INSERT:
            asked = self._read(event.kind, event.object)
            if isinstance(asked, rsm.OperatorRequest):
                self._say(event, "operator asked", None, Task(self._session).tell(asked))

    def _tell_request(self, word: str, request_id: uuid.UUID, at: datetime) -> None:
        request = self._read(Kind.NTMS_LIBREQUEST, request_id)
        if not isinstance(request, rsm.LibraryRequest):
            self._log.tell(word, None, f"request {request_id}", at, object=request_id)
            return
        work = Work(self._session)
        text, library = work.tell(request), work.names.library(request.library)
        if word in _ENDED and request.error_code:
            message = request.details.get("message", "")
            text = f"{text}: {rsm.ErrorCode(request.error_code).name} {message}".rstrip()
        elif word in _ENDED and "found" in request.details:
            text = f"{text}: {spoken_counts(request)}"
        self._log.tell(word, library, text, at, object=request_id)

    def _tell_move(self, event: rsm.Event, after: dict[str, Any]) -> None:
        names = Names(self._session)
        places = {"slot_id": Kind.NTMS_STORAGESLOT, "drive_id": Kind.NTMS_DRIVE, "port_id": Kind.NTMS_IEPORT}
        found = [names.object(kind, uuid.UUID(after[key])) for key, kind in places.items() if after.get(key)]
        library = names.library(uuid.UUID(after["library_id"])) if after.get("library_id") else None
        medium = names.object(Kind.NTMS_PHYSICAL_MEDIA, event.object)
        self._say(event, "moved", library, f"{medium} to {found[0] if found else 'nowhere'}")

    def _read(self, kind: rsm.NtmsObjectsTypes, known: uuid.UUID) -> rsm.Value | None:
        try:
            found: rsm.Value = self._session.objects.get(kind, known)
        except (rsm.AccessDeniedError, *UNKNOWN_REFERENCE):
            return None
        return found

    def _say(self, event: rsm.Event, word: str, library: str | None, text: str) -> None:
        self._log.tell(word, library, text, event.at, object=event.object)


# Signals


class EndingSignals:
    """Takes SIGINT and SIGTERM, in `with`, as a wish to end; a thread waits for them, so no code is interrupted."""

    def __init__(self) -> None:
        self.received = False
        self._thread: threading.Thread | None = None
        self._before: set[signal.Signals | int] = set()

    def __enter__(self) -> Self:
        self._before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
        return self

    def listen(self, wake: Callable[[], None]) -> None:
        """Call `wake` when a signal has come."""

        def wait() -> None:
            signal.sigwait(_ENDING)
            self.received = True
            wake()

        self._thread = threading.Thread(target=wait, name="rsm-signals", daemon=True)
        self._thread.start()

    def let_through(self) -> None:
        """Let a second signal end the process as it usually does."""
        signal.pthread_sigmask(signal.SIG_SETMASK, self._before)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        thread = self._thread
        if thread is not None and not self.received and thread.ident is not None:
            signal.pthread_kill(thread.ident, signal.SIGTERM)
        if thread is not None:
            thread.join()
        self.let_through()
