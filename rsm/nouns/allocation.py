"""The waiting of an allocation: for free labels that are being written, or for an operator to bring media.

It holds no transaction while it waits. An operator request lives as long as the call that asked; only one that was
refused stays on record.
"""

import contextlib
import uuid

from rsm import values
from rsm.constants import NtmsOpreqState
from rsm.errors import CancelledError, InvalidHandleError, MediaUnavailableError, RsmError, TimeoutError
from rsm.nouns.base import Runner
from rsm.nouns.waiting import Done, OnWait, Waiter, Waiting, WaitReason
from rsm.services import allocation, choice, operators
from rsm.services.objects import Reference


def allocate(
    session: Runner,
    pool: Reference,
    *,
    side: Reference | None,
    new: bool,
    next_to: Reference | None,
    timeout_ms: int | None,
    error_if_unavailable: bool,
    on_wait: OnWait | None,
) -> values.Allocation:
    """Take a side now, or wait for one; a side asked for by name, or the next of a cartridge, is never waited for."""
    if on_wait is not None and not callable(on_wait):
        raise TypeError(f"on_wait must be a function, not {type(on_wait).__name__}")
    waiter = Waiter(session, timeout_ms, on_wait)
    try:
        return session.write(allocation.allocate, session.caller, pool, side=side, new=new, next_to=next_to)
    except MediaUnavailableError as error:
        if error_if_unavailable or side is not None or next_to is not None:
            raise
        if timeout_ms == 0:
            raise TimeoutError(str(error)) from None
    session.check_may_wait()
    return _Search(session, pool, new, waiter).wait()


class _Search:
    """One call that looks for media until it has some."""

    def __init__(self, session: Runner, pool: Reference, new: bool, waiter: Waiter) -> None:
        self.session = session
        self.pool = pool
        self.new = new
        self.waiter = waiter
        self.asked: list[uuid.UUID] = []
        self.request: uuid.UUID | None = None

    def wait(self) -> values.Allocation:
        try:
            return self.waiter.wait_for(self.look)
        except InvalidHandleError:
            if self.session.closed:  # between two looks at it
                raise CancelledError("the session was closed while the call waited") from None
            raise
        except BaseException:
            with contextlib.suppress(RsmError):  # whoever sweeps up after dead sessions finds what is left
                for request in self.asked:
                    self.session.write(operators.delete_request, request)
            raise

    def look(self) -> Done[values.Allocation] | Waiting:
        outlook = self.session.read(allocation.look_around, self.pool, self.new, self.request)
        if outlook.request_state is NtmsOpreqState.NTMS_OPSTATE_REFUSED:
            self.asked.clear()
            raise CancelledError(f"the operator refused new media for {outlook.pool}")
        if outlook.would_allocate:
            with contextlib.suppress(MediaUnavailableError):  # somebody else was faster
                return Done(self.allocate())
        if outlook.request_state in (None, NtmsOpreqState.NTMS_OPSTATE_COMPLETE):
            self.forget_request()
        if self.request is None:
            if outlook.labelling:
                return Waiting(WaitReason.LABELLING, f"free labels are being written that {outlook.pool} can draw on")
            if not self.waiter.is_over:
                self.request = self.session.write(
                    allocation.ask_for_media,
                    self.session.caller,
                    self.pool,
                    self.session.enrolment(),
                    self.new,
                    self.asked,
                )
        return Waiting(WaitReason.OPERATOR, f"an operator is to bring media for {outlook.pool}", request=self.request)

    def allocate(self) -> values.Allocation:
        return self.session.write(
            allocation.allocate, self.session.caller, self.pool, new=self.new, request_id=self.request
        )

    def forget_request(self) -> None:
        if self.request is not None:
            self.session.write(operators.delete_request, self.request)
            self.request = None


def explain(session: Runner, pool: Reference, *, new: bool, most: int) -> tuple[values.Candidate, ...]:
    """Return at most `most` of the sides that an allocation looks at: chosen, later in order, passed over."""
    found: dict[uuid.UUID, values.Candidate] = {}
    after: choice.Cursor | None = None
    while len(found) < most:
        page, after = session.read(
            choice.explain_choice,
            session.caller,
            pool,
            whole=new,
            after=after,
            most=min(choice.CANDIDATES, most - len(found)),
        )
        for candidate in page:
            found.setdefault(candidate.side, candidate)
        if after is None:
            break
    ordered = sorted(found.values(), key=lambda each: (not each.chosen, each.rank is None, each.rank or 0))
    return tuple(ordered[:most])
