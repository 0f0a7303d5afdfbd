"""The verbs of `rsm media` about media in drives: mount, dismount. Parsing, printing, and running a person's command.

It adds them to the noun. It owns the copying between a recording and the standard streams; what is recorded is the
business of whoever is at the other end.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer

import rsm
from rsm.cli.allocation import noun
from rsm.cli.drive import find_drive
from rsm.cli.output import COPIED_BYTES, Form, is_terminal
from rsm.cli.run import Run, add_verb, read_reference
from rsm.cli.waiting import (
    NoWaitOption,
    TimeoutOption,
    milliseconds,
    show_progress,
    tell_interrupted,
    wait_for_dismounts,
)
from rsm.libraries.base import error_from_os
from rsm.nouns.mounts import Mount

__all__ = ["noun"]

Kind = rsm.NtmsObjectsTypes

MountableArgument = Annotated[
    str, typer.Argument(metavar="MEDIUM", help="Id of a logical medium or side, or the cartridge's name or bar code.")
]

_TOLD_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@add_verb(noun, "mount")
def mount_medium(
    run: Run,
    medium: MountableArgument,
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[-- COMMAND…]",
            help="Command to run meanwhile: {} in its arguments is the drive's path, as RSM_PATH in its environment.",
        ),
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="For writing; the recording is made anew.")] = False,
    drive: Annotated[str | None, typer.Option("--drive", metavar="NAME", help="In this drive.")] = None,
    library: Annotated[
        str | None, typer.Option("--library", metavar="NAME", help="Library of the drive; needed where names repeat.")
    ] = None,
    timeout: TimeoutOption = None,
    fail_offline: Annotated[
        bool, typer.Option("--fail-offline", help="Do not ask an operator for what is on the shelf.")
    ] = False,
) -> None:
    """Mount a medium and run a command; without one, copy the recording to standard output, or with --write from input.

    The medium is dismounted in the end, and the exit status is the command's.
    """
    first = _check_streams(run, command, write)
    with run.session(worker=True) as session:
        with show_progress(run) as on_wait, _told_if_interrupted(run):
            mount = session.mounts.mount(
                read_reference(medium),
                write=write,
                drive=None if drive is None else find_drive(session, drive, library),
                timeout_ms=milliseconds(timeout),
                error_if_offline=fail_offline,
                on_wait=on_wait,
            )
        status, copied = 0, 0
        with _put_away_after(run, session, mount), mount:
            if command:
                status = _run_command(mount, command)
            elif write:
                copied = _record(mount, first)
            else:
                _play(run, mount)
    if write and not command:
        document = {"barcode": mount.barcode, "medium": mount.medium, "bytes": copied}
        run.output.show_done(f"Recorded {copied} bytes on {medium}.", document, copied)
    if status:
        raise typer.Exit(status)


@contextlib.contextmanager
def _put_away_after(run: Run, session: rsm.Session, mount: Mount) -> Iterator[None]:
    """Wait at the end until the robot has put away what the body dismounted; an error of the body is what is told."""
    drive = mount.drive
    try:
        yield
    except Exception:
        with contextlib.suppress(rsm.RsmError):
            wait_for_dismounts(run, session, drive.id, drive.library)
        raise
    wait_for_dismounts(run, session, drive.id, drive.library)


@contextlib.contextmanager
def _told_if_interrupted(run: Run) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        tell_interrupted(run, "the mount is cancelled, nothing stays queued")
        raise


def _check_streams(run: Run, command: Sequence[str] | None, write: bool) -> bytes:
    """Make sure, before anything moves, that there is something to run, read or write; return the first of the input.

    Raises:
        typer.BadParameter: there is not.
    """
    if command:
        if shutil.which(command[0]) is None:
            raise typer.BadParameter(f"there is no command {command[0]!a}")
        return b""
    if not write:
        if run.output.form is not Form.PEOPLE:
            raise typer.BadParameter("the recording itself goes to standard output: give no --json or --plain")
        if is_terminal(sys.stdout):
            raise typer.BadParameter("the recording goes to standard output, which is a terminal: redirect it")
        return b""
    if is_terminal(sys.stdin):
        raise typer.BadParameter("what is to be recorded is read from standard input, which is a terminal: redirect it")
    first = sys.stdin.buffer.read(COPIED_BYTES)
    if not first:
        raise typer.BadParameter("standard input is empty: nothing is recorded")
    return first


# What happens while it is mounted


def _run_command(mount: Mount, command: Sequence[str]) -> int:
    """Run a person's command on what is mounted and return its exit status, 128 and the signal if one ended it.

    Raises:
        rsm.NotSupportedError: the drive has no path that the command could use.
        typer.BadParameter: it cannot be run.
    """
    if mount.path is None:
        raise rsm.NotSupportedError(f"the drive of {mount.barcode} has no path on this host: leave the command out")
    environment = {**os.environ, "RSM_PATH": mount.path, "RSM_BARCODE": mount.barcode}
    words = [command[0], *(word.replace("{}", mount.path) for word in command[1:])]
    with _Relay() as relay:
        try:
            process = subprocess.Popen(words, env=environment)
        except OSError as error:
            raise typer.BadParameter(f"{command[0]!a} cannot be run: {error.strerror}") from error
        relay.process = process
        status = process.wait()
    return status if status >= 0 else 128 - status


class _Relay:
    """Passes on, in `with`, to a command what would end this process: the medium is dismounted after it in any case."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> _Relay:
        for number in _TOLD_SIGNALS:
            self._before[number] = signal.signal(number, self._pass_on)
        return self

    def _pass_on(self, number: int, _frame: object) -> None:
        # A terminal sends SIGINT to the command itself.
        if self.process is not None and number != signal.SIGINT:
            self.process.send_signal(number)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _play(run: Run, mount: Mount) -> None:
    try:
        with mount.open("rb") as file:
            run.output.copy_out(file)
    except OSError as error:
        raise _failure(error, mount, "read") from error


def _record(mount: Mount, first: bytes) -> int:
    """Record standard input, whose first bytes were read already, and return how many bytes it was."""
    copied = 0
    try:
        with mount.open("wb") as file:
            piece = first
            while piece:
                file.write(piece)
                copied += len(piece)
                piece = sys.stdin.buffer.read(COPIED_BYTES)
    except OSError as error:
        raise _failure(error, mount, f"recorded whole: it broke off after {copied} bytes or more") from error
    return copied


def _failure(error: OSError, mount: Mount, deed: str) -> rsm.RsmError:
    if isinstance(error, rsm.RsmError):
        return error
    return error_from_os(error, f"cartridge {mount.barcode} cannot be {deed}")


# Giving back


@add_verb(noun, "dismount")
def dismount_medium(
    run: Run,
    medium: MountableArgument,
    deferred: Annotated[
        bool, typer.Option("--deferred", help="Leave it in its drive for a while, so that mounting it again is quick.")
    ] = False,
    no_wait: NoWaitOption = False,
) -> None:
    """Give back a mounted medium, whoever mounted it, and wait until it is put away."""
    reference = read_reference(medium)
    waits = not (deferred or no_wait)
    with run.session(worker=waits) as session:
        drive = _drive_of(session, reference)
        session.mounts.dismount(reference, deferred=deferred)
        if waits and drive is not None:
            wait_for_dismounts(run, session, drive.id, drive.library)
    done = "stays in its drive for a while" if deferred else "is to be put away" if no_wait else "is put away"
    run.output.show_done(f"The medium {medium} is dismounted and {done}.", {"dismounted": medium}, medium)


def _drive_of(session: rsm.Session, reference: uuid.UUID | str) -> rsm.Drive | None:
    """Return the drive that a cartridge, a side of it or a logical medium is in; None if that cannot be found out."""
    with contextlib.suppress(rsm.RsmError):
        named: uuid.UUID | str = reference
        if isinstance(named, uuid.UUID):
            kind = session.objects.kind(named)
            if kind in (Kind.NTMS_LOGICAL_MEDIA, Kind.NTMS_PARTITION):
                named = session.objects.get(kind, named).medium
        place = session.media.get(named)
        if place.location_type is Kind.NTMS_DRIVE and place.location is not None:
            drive: rsm.Drive = session.objects.get(Kind.NTMS_DRIVE, place.location)
            return drive
    return None
