"""Carrying out one request, step by step: what each step asks of the device, and what is written down after it.

A move is written down before it is made, and its result after it, in one hold of the robot's arm. Labels are read and
written here, with no transaction open.
"""

import logging
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from rsm import labels
from rsm.db import Transaction, new_id
from rsm.errors import BusyError, InvalidStateError, NotReadyError, NotSupportedError, RsmError
from rsm.libraries.base import CleaningFailedError, LibraryBackend, ReadinessState, SourceEmptyError, os_errors_of
from rsm.services import cleaning, identification, inventory, mounts, places, progress
from rsm.services.epochs import check_epoch
from rsm.services.exchanges import exchange_at, record_exchange
from rsm.services.identification import LabelSeen
from rsm.services.steps import Action, Start, Step

if TYPE_CHECKING:
    from rsm.worker.holder import Holder

_PATIENCE_SECONDS = 900.0  # "becoming ready" for minutes is usual
_log = logging.getLogger("rsm.worker")


class Stopped(Exception):
    """The worker is to stop, and the next step was not begun."""


class OutOfTouchError(Exception):
    """The catalogue failed, or the device cannot be seen: the library is to be taken over anew, from what it shows."""


class Performer:
    """The carrying out of one request."""

    def __init__(self, holder: "Holder", start: Start) -> None:
        self._holder = holder
        self._start = start
        self._backend = holder.backend
        self._renamed: dict[uuid.UUID, uuid.UUID] = {}

    def perform(self) -> None:
        """Do every step, and write down that the request has passed.

        Raises:
            Stopped: the worker is to stop.
            SupersededError, StaleEpochError: another process has taken the library over.
            OutOfTouchError: where the cartridges are by now could not be written down.
            RsmError: a step went wrong; where the cartridges are by now is written down.
        """
        doing = self.actions()
        steps, made = self._start.steps, -1
        for number, step in enumerate(steps):
            if self._holder.stopping:
                raise Stopped
            pair = exchange_at(steps, number, self._holder.places) if self._holder.can_exchange else None
            if pair is not None and self._exchange(number, *pair):
                made = number + 1
            elif number > made:
                doing[step.action](number, step)
        self.end()

    def end(self) -> None:
        """Write down that every step is done."""
        self._holder.record(progress.finish, self._start)

    def fail(self, code: int, text: str, *, again: bool = False) -> None:
        """Write down that a step went wrong; `again`: it may do better the next time."""
        self._holder.record(progress.fail, self._start, code, text, again=again)

    def actions(self) -> dict[Action, Callable[[int, Step], None]]:
        """Return what does each kind of step."""
        return {
            Action.MOVE: self._move,
            Action.READ_ELEMENTS: self._read_elements,
            Action.UNLOAD: self._unload,
            Action.LOAD: self._load,
            Action.CHECK_LABEL: self._check_label,
            Action.KEEP_LABEL: self._keep_label,
            Action.IDENTIFY: self._identify,
            Action.WRITE_FREE_LABEL: self._write_free_label,
            Action.EJECT: self._eject,
            Action.CLEAN: self._clean,
        }

    def _medium(self, step: Step) -> uuid.UUID:
        assert step.medium_id is not None, "a step about a cartridge names it"
        return self._renamed.get(step.medium_id, step.medium_id)

    # The robot's

    def _move(self, number: int, step: Step) -> None:
        assert step.source is not None
        assert step.destination is not None
        ends = {step.source, step.destination}
        carry = partial(self._backend.move, step.source, step.destination, inverted=step.inverted)
        place = self._holder.places[step.destination]
        self._with_arm(carry, ends, partial(progress.record_move, medium_id=self._medium(step), place=place), number)

    def _exchange(self, number: int, out: Step, into: Step) -> bool:
        """Make two moves in one, and tell whether that was done; a device that cannot after all makes two."""
        assert out.source is not None
        assert out.destination is not None
        assert into.source is not None
        places = self._holder.places
        went, came = (self._medium(out), places[out.destination]), (self._medium(into), places[out.source])
        carry = partial(self._backend.exchange, into.source, out.source, out.destination)
        ends = {into.source, out.source, out.destination}
        try:
            self._with_arm(carry, ends, partial(record_exchange, out=went, into=came), number + 1)
        except NotSupportedError as error:
            _log.info("cartridges are moved one after the other from now on: %s", error)
            self._holder.can_exchange = False
            return False
        return True

    def _with_arm(self, carry: Callable[..., None], ends: set[int], record: Callable[..., None], number: int) -> None:
        """Carry with the first arm that is free, and write it down; where others are in its way it waits for them."""
        robot = self._holder.robot
        try:
            with robot.arm() as arm:
                self._carry(carry, arm, ends, record, number)
            return
        except (BusyError, NotReadyError) as error:
            if not robot.has_several_arms or error.outcome_unknown:
                raise
        with robot, robot.arm() as arm:
            self._carry(carry, arm, ends, record, number)

    def _carry(
        self,
        carry: Callable[..., None],
        arm: int | None,
        ends: set[int],
        record: Callable[..., None],
        number: int,
    ) -> None:
        holder = self._holder
        try:
            carry(epoch=holder.epoch, **({} if arm is None else {"transport": arm}))
        except NotSupportedError:
            raise
        except RsmError:
            self._look_at(ends)
            raise
        holder.record(record, self._start.request.id, number)

    def _look_at(self, elements: set[int], *, complete: bool = False) -> None:
        """Write down what the device shows in some elements, `complete`: in all there are."""
        holder = self._holder
        with holder.robot:
            try:
                statuses = list(self._backend.read_elements(elements))
            except RsmError as error:
                raise OutOfTouchError(f"the device cannot be looked at after trouble: {error}") from error

            def put_right(transaction: Transaction) -> None:
                check_epoch(transaction, holder.library_id, holder.epoch)
                inventory.record_look(transaction, holder.library_id, holder.places, statuses, complete=complete)

            holder.write(put_right)

    def _read_elements(self, number: int, step: Step) -> None:
        holder, request = self._holder, self._start.request
        with holder.robot:
            self._backend.check_readiness()  # what was moved by hand until now is about to be seen
            statuses = list(self._backend.read_elements())

            def put_right(transaction: Transaction) -> inventory.Findings:
                progress.record_step(transaction, holder.library_id, holder.epoch, request.id, number)
                findings = inventory.record_look(
                    transaction, holder.library_id, holder.places, statuses, complete=True, request_id=request.id
                )
                if inventory.wants_every_label(transaction, holder.library_id, request.operation_option):
                    inventory.queue_identifying_all(transaction, holder.library_id, request.id)
                progress.set_findings(transaction, request.id, findings.as_details())
                return findings

            findings = holder.write(put_right)
        for problem in findings.problems:
            _log.warning("inventory: %s", problem)

    # In a drive

    def _unload(self, number: int, step: Step) -> None:
        assert step.drive_element is not None
        try:
            self._when_ready(self._backend.unload_drive, step.drive_element)
        except RsmError:
            self._look_at({step.drive_element})
            raise

    def _load(self, number: int, step: Step) -> None:
        assert step.drive_element is not None
        try:
            self._when_ready(self._backend.load_drive, step.drive_element)
        except RsmError:
            self._look_at({step.drive_element})
            raise

    def _when_ready(self, call: Callable[[int, int], None], drive_element: int) -> None:
        """Make a call about a drive until it is no longer becoming ready."""
        until, pause = time.monotonic() + _PATIENCE_SECONDS, 0.05
        while True:
            try:
                call(drive_element, self._holder.epoch)
                return
            except NotReadyError:
                becoming = self._holder.see_readiness().state is not ReadinessState.NOT_READY
                if not becoming or time.monotonic() > until or self._holder.stopping:
                    raise
            self._holder.worker.pause(pause)
            pause = min(2 * pause, 2.0)

    def _clean(self, number: int, step: Step) -> None:
        assert step.drive_element is not None
        assert step.drive_id is not None
        try:
            self._when_ready(self._backend.clean_drive, step.drive_element)
        except NotReadyError as error:
            if self._holder.stopping:
                raise Stopped from error
            raise CleaningFailedError(f"the drive never said that it is clean: {error}") from error
        except RsmError:
            self._look_at({step.drive_element})
            raise
        self._holder.record(cleaning.record_cleaned, self._start.request.id, step.drive_id)

    def _check_label(self, number: int, step: Step) -> None:
        side = self._holder.read(places.side_at, self._medium(step), step.side)
        if side is None:
            raise InvalidStateError("the side is not on record any more")
        self._demand_label(step, side)

    def _demand_label(self, step: Step, side: Any) -> None:
        if not side.label_type:
            return
        label = self._read_label(step, side.barcode)
        if identification.is_label_right(side, label):
            return
        found = "no label that is known" if label is None else f"the label of another, {label.type} {label.info}"
        library_id = self._holder.library_id
        self._holder.write(lambda transaction: inventory.recover_from_mismatch(transaction, library_id))
        raise InvalidStateError(f"cartridge {side.medium_name} is not what it was: it has {found}")

    def _keep_label(self, number: int, step: Step) -> None:
        side = self._holder.read(places.side_at, self._medium(step), step.side)
        if side is None or step.drive_id is None:
            return
        label = None
        self._flag_fault(step, side)
        try:
            label = self._read_label(step, side.barcode)
        except RsmError as error:
            _log.warning("the label of %s cannot be read, it is kept as none: %s", side.medium_name, error)
        kept = LabelSeen("", b"") if label is None else label
        self._holder.record(progress.keep_label, step.drive_id, side.id, kept.type, kept.id, kept.info)

    def _flag_fault(self, step: Step, side: Any) -> None:
        """Mark a side on which too much was written through its path: whoever gave it back may not have looked."""
        assert step.drive_element is not None
        holder = self._holder
        try:
            fault = self._backend.read_side(step.drive_element, step.side + 1).fault
        except RsmError as error:
            _log.warning("how much is recorded on %s cannot be told: %s", side.medium_name, error)
            return
        if fault is None:
            return
        text = fault

        def flag(transaction: Transaction) -> None:
            check_epoch(transaction, holder.library_id, holder.epoch)
            mounts.flag_side(transaction, side.id, text)

        holder.write(flag)

    def _identify(self, number: int, step: Step) -> None:
        medium_id = self._medium(step)
        side = self._holder.read(places.side_at, medium_id, step.side)
        if side is None:
            return
        label = self._read_label(step, side.barcode)
        known = self._holder.record(identification.record_identity, medium_id, step.side, label)
        if not known.label_is_right:
            _log.warning("cartridge %s has not the label that is on record for it", side.medium_name)
        if known.medium_id != medium_id and step.medium_id is not None:
            self._renamed[step.medium_id] = known.medium_id

    def _write_free_label(self, number: int, step: Step) -> None:
        medium_id = self._medium(step)
        side = self._holder.read(places.side_at, medium_id, step.side)
        if side is None or not identification.awaits_free_label(side):
            return
        if not side.barcode:  # nothing but its label tells that it is the cartridge that may be written over
            self._demand_label(step, side)
        label_id = new_id()
        block = labels.make_free_label(label_id, side.medium_name, datetime.now(UTC))
        label = labels.recognise(block)
        assert label is not None, "we know our own label"
        assert step.drive_element is not None
        with os_errors_of(f"cartridge {side.medium_name}"):
            self._backend.write_side(
                step.drive_element, step.side + 1, block, self._holder.epoch, barcode=side.barcode or None
            )
        seen = LabelSeen(label.type, label.id, label.info)
        self._holder.record(identification.record_free_label, medium_id, step.side, seen)

    def _eject(self, number: int, step: Step) -> None:
        """Have the drive push its cartridge out, where it can, and write down whether it is out."""
        assert step.drive_element is not None
        try:
            self._backend.eject_drive(step.drive_element, self._holder.epoch)
        except (NotSupportedError, SourceEmptyError):
            return  # a person does it, or did
        self._look_at({step.drive_element}, complete=True)

    def _read_label(self, step: Step, barcode: str) -> LabelSeen | None:
        assert step.drive_element is not None
        name = f"the label of cartridge {barcode}"
        return read_label(self._backend, step.drive_element, step.side + 1, name, barcode or None)


def read_label(
    device: LibraryBackend, drive: int, side: int, name: str, barcode: str | None = None
) -> LabelSeen | None:
    """Return the label of a side that is in a drive, None if nothing claims it (RsmError as `read_head`)."""
    label = labels.recognise(device.read_head(drive, side, labels.head_bytes(), name, barcode=barcode))
    return None if label is None else LabelSeen(label.type, label.id, label.info)
