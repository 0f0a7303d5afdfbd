"""One SCSI device: giving it commands, and what to do about answers that are about the device and not the command.

A unit attention says that something happened before the command, which was not carried out: it is given again, and
whether cartridges may have been moved is kept. A device that is busy or becoming ready is never waited for.
"""

from __future__ import annotations

import threading
from typing import Final

from rsm.errors import BusyError, DeviceNotAvailableError, NotSupportedError, RsmError
from rsm.libraries.base import printable
from rsm.libraries.scsi import cdb
from rsm.libraries.scsi.decode import (
    Inquiry,
    MalformedReplyError,
    Sense,
    decode_inquiry,
    decode_sense,
    decode_serial_number,
    decode_supported,
)
from rsm.libraries.scsi.sense import Key, Retry, error_from_sense, rule_for
from rsm.libraries.scsi.transport import LostError, Reply, Status, Transport

SHORT_SECONDS: Final = 60.0
# More than a device can have waiting: one of each kind, after a power cycle with its doors open.
ATTENTIONS: Final = 8
_RESET: Final = 0x29
_BUSY = {
    Status.BUSY: "busy",
    Status.TASK_SET_FULL: "busy",
    Status.RESERVATION_CONFLICT: "reserved by another host",
    Status.ACA_ACTIVE: "held by another command",
}


class Unit:
    """A device behind a transport."""

    def __init__(self, transport: Transport) -> None:
        """Take over a transport; nothing is asked of the device."""
        self.transport = transport
        self.name = printable(transport.name)
        self._lock = threading.Lock()
        self._contents_may_differ = False
        self.saw_contents_change = False  # but for the reset that a new connection begins with
        self._connections = transport.connections

    def close(self) -> None:
        """Let go of the device."""
        self.transport.close()

    def give(
        self,
        command: bytes,
        *,
        write: bytes = b"",
        read_length: int = 0,
        timeout_seconds: float = SHORT_SECONDS,
        repeat: bool = True,
    ) -> tuple[Reply, Sense | None]:
        """Give a command and return the answer, with its sense data where it was not carried out.

        `repeat`: give it again after a unit attention, and once more where it got lost; it must do no harm twice.

        Raises:
            DeviceNotAvailableError: the device cannot be reached.
            LostError: the command got lost.
            BusyError: the device is busy or another's.
        """
        lost = False
        for attempt in range(ATTENTIONS):
            try:
                reply = self.transport.execute(
                    command, write=write, read_length=read_length, timeout_seconds=timeout_seconds
                )
                sense = self._sense_of(reply)
            except LostError:
                if lost or not repeat:
                    raise
                lost = True
                continue
            finally:
                self._note_connections()
            if sense is None:
                return reply, None
            rule = rule_for(sense)
            if rule.contents_may_differ:
                self._contents_may_differ = True
                if not (self.transport.begins_with_reset and sense.asc == _RESET):
                    self.saw_contents_change = True
            if rule.retry is not Retry.AT_ONCE or not repeat or attempt == ATTENTIONS - 1:
                return reply, sense
        raise LostError(f"{self.name}: the command got lost")

    def run(
        self,
        command: bytes,
        *,
        write: bytes = b"",
        read_length: int = 0,
        timeout_seconds: float = SHORT_SECONDS,
        repeat: bool = True,
    ) -> bytes:
        """Give a command that must be carried out, and return its data.

        Raises:
            RsmError: as `give`, or by the table of `rsm.libraries.scsi.sense`.
        """
        reply, sense = self.give(
            command, write=write, read_length=read_length, timeout_seconds=timeout_seconds, repeat=repeat
        )
        if sense is not None:
            raise error_from_sense(sense, self.name)
        return reply.data

    def _sense_of(self, reply: Reply) -> Sense | None:
        """Return why a command was not carried out, None if it was."""
        if reply.status in (Status.GOOD, Status.CONDITION_MET):
            return None
        if reply.status in _BUSY:
            raise BusyError(f"{self.name} is {_BUSY[Status(reply.status)]}: try again")
        if reply.status == Status.TASK_ABORTED:
            raise LostError(f"{self.name}: another broke the command off")
        if reply.status != Status.CHECK_CONDITION:
            raise DeviceNotAvailableError(f"{self.name} answered with the unknown status 0x{reply.status:02X}")
        sense = decode_sense(reply.sense) or Sense(Key.NO_SENSE)
        stopped = sense.filemark or sense.end_of_medium or sense.incorrect_length
        return None if sense.key == Key.RECOVERED_ERROR and not stopped else sense

    def _note_connections(self) -> None:
        with self._lock:
            if self.transport.connections != self._connections:
                self._connections = self.transport.connections
                self._contents_may_differ = True

    def take_contents_may_differ(self) -> bool:
        """Return whether cartridges may have been moved since last asked, and forget it."""
        with self._lock:
            told, self._contents_may_differ = self._contents_may_differ, False
            return told

    # --- what every device answers ----------------------------------------------------------------------------------

    def read_inquiry(self) -> Inquiry:
        """Return what kind of device it is (RsmError)."""
        return decode_inquiry(self.run(cdb.inquiry(), read_length=cdb.INQUIRY_LENGTH))

    def read_serial_number(self) -> str:
        """Return its serial number, empty where it has none (RsmError)."""
        try:
            return decode_serial_number(self.run(cdb.inquiry(0x80), read_length=cdb.INQUIRY_LENGTH))
        except (NotSupportedError, MalformedReplyError):
            return ""

    def ask_ready(self) -> Sense | None:
        """Return why it is not ready, None if it is (RsmError)."""
        return self.give(cdb.test_unit_ready())[1]

    def has_command(self, code: int) -> bool | None:
        """Return whether it has a command, None where it cannot tell (RsmError)."""
        told = self._ask_command(code)
        # Some refuse to tell of what they do not have: those that tell of INQUIRY, which all have.
        return False if told is None and self._ask_command(0x12) else told

    def _ask_command(self, code: int) -> bool | None:
        try:
            return decode_supported(self.run(cdb.report_supported(code), read_length=20))
        except LostError:
            raise
        except RsmError:
            return None
