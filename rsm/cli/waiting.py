"""What verbs that wait share: telling a person why, having queued work carried out, and what an interruption leaves.

Owns the words for what remains queued. Decides nothing about library work.
"""

from __future__ import annotations

import contextlib
import shlex
import uuid
from collections.abc import Iterator
from typing import Annotated

import typer

import rsm
from rsm.cli.run import Run
from rsm.constants import NtmsLmOperation
from rsm.nouns.waiting import OnWait, Waiting

NoWaitOption = Annotated[bool, typer.Option("--no-wait", help="Only queue it, for an rsm worker or another session.")]
TimeoutOption = Annotated[
    float | None, typer.Option("--timeout", metavar="SECONDS", help="Wait at most so long; 0 tries once.", min=0)
]


def milliseconds(seconds: float | None) -> int | None:
    """Return a time-out as calls take it, None for ever."""
    return None if seconds is None else round(seconds * 1000)


@contextlib.contextmanager
def show_progress(run: Run) -> Iterator[OnWait]:
    """Give what tells a person why the body waits; what it told last is wiped away at the end."""
    told = False

    def tell(waiting: Waiting) -> None:
        nonlocal told
        told = True
        run.output.print_progress(f"waiting {waiting.seconds:.0f} s: {waiting.text}")

    try:
        yield tell
    finally:
        if told:
            run.output.print_progress("")


def carry_out(
    run: Run, session: rsm.Session, request: rsm.LibraryRequest, *, timeout: float | None = None
) -> rsm.LibraryRequest:
    """Wait for the end of a request, and of those that it led to, and return it as it ended; `timeout` is in seconds.

    Raises:
        KeyboardInterrupt: a person did not want to wait any longer; what remains queued was told.
        rsm.TimeoutError: the time is over; it remains queued.
        rsm.RsmError: what the request failed with.
    """
    try:
        with show_progress(run) as on_wait:
            return session.requests.wait(request, timeout_ms=milliseconds(timeout), on_wait=on_wait)
    except KeyboardInterrupt:
        tell_interrupted(run, what_remains(run, session, request))
        raise
    except rsm.TimeoutError as error:
        raise rsm.TimeoutError(f"{error}; {what_remains(run, session, request)}") from error


def what_remains(run: Run, session: rsm.Session, request: rsm.LibraryRequest) -> str:
    """Return in words that a request remains queued, and the commands that wait for it and take it back."""
    command, word = run.command(session), request.name
    end = f"{command} request cancel {request.id}"
    if request.operation is NtmsLmOperation.NTMS_LM_INVENTORY:
        end = f"{command} library stop {shlex.quote(_library_name(session, request.library))}"
    return f"the {word} stays queued: {command} request wait {request.id} carries it out, {end} takes it back"


def _library_name(session: rsm.Session, library: uuid.UUID) -> str:
    try:
        return session.libraries.get(library).name
    except rsm.RsmError:
        return str(library)


def tell_interrupted(run: Run, remains: str) -> None:
    """Print that a person interrupted the waiting, and what that leaves."""
    code = rsm.ErrorCode.ERROR_CANCELLED
    run.output.print_error(code.name, int(code), f"interrupted; {remains}")


def wait_for_dismounts(run: Run, session: rsm.Session, drive: uuid.UUID, library: uuid.UUID) -> None:
    """Wait until nothing is queued any more that empties a drive.

    Raises:
        KeyboardInterrupt, rsm.RsmError: as `carry_out`.
    """
    for request in session.requests.list(library, live=True):
        if request.operation is NtmsLmOperation.NTMS_LM_DISMOUNT and request.drive == drive:
            with contextlib.suppress(rsm.CancelledError):  # the cartridge is in use again
                carry_out(run, session, request)
