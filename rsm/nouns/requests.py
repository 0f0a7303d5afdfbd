"""A session's calls about the queue of library work: looking at requests, waiting for them, ordering, ending them."""

import uuid
from collections.abc import Iterable

from rsm import values
from rsm.constants import NtmsLmState
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.errors import InvalidParameterError
from rsm.nouns.base import LibraryLike, Noun, check_types, reference
from rsm.nouns.waiting import Done, OnWait, Waiter, Waiting, WaitReason
from rsm.services import attended, mounts, objects, queue, watching

RequestLike = values.LibraryRequest | uuid.UUID | str
Listed = list  # inside a class with a method of that name, `list` means the method
_ENDED = (queue.PASSED, queue.FAILED, queue.INVALID, queue.CANCELLED, queue.STOPPED)


class Requests(Noun):
    """Library requests: units of work of a library, waiting, in process and ended."""

    def list(self, library: LibraryLike | None = None, *, live: bool = False) -> "list[values.LibraryRequest]":
        """Return the requests of a library, None for all; `live`: those that have not ended.

        Raises:
            ObjectNotFoundError: there is no such library.
        """
        inside = None if library is None else reference(library, "library", values.Library)
        found = self.pages(Kind.NTMS_LIBREQUEST, inside, Kind.NTMS_LIBRARY)
        return [each for each in found if each.completed is None] if live else found

    def get(self, request: RequestLike) -> values.LibraryRequest:
        """Return what the catalogue says of a request (GetNtmsObjectInformation).

        Raises:
            ObjectNotFoundError: there is no such request.
            AccessDeniedError: no use right on its library.
        """
        found: values.LibraryRequest = self.session.read(
            objects.read_object, self.caller, Kind.NTMS_LIBREQUEST, _id_of(request)
        )
        return found

    def wait(
        self, request: RequestLike, *, timeout_ms: int | None = None, on_wait: OnWait | None = None
    ) -> values.LibraryRequest:
        """Wait until a request has ended, and until those that it led to have, and return it as it ended.

        The end of the wait does not end the request.

        Raises:
            InvalidOperationError: this thread is in a batch.
            ObjectNotFoundError: there is no such request.
            TimeoutError: the time is over.
            RsmError: what the request failed with.
        """
        self.session.check_may_wait()
        request_id = _id_of(request)
        self.session.read(objects.existing, Kind.NTMS_LIBREQUEST, request_id)
        Waiter(self.session, timeout_ms, on_wait).wait_for(lambda: self._look(request_id))
        ended: values.LibraryRequest = self.session.read(objects.read_value, Kind.NTMS_LIBREQUEST, request_id)
        return ended

    def _look(self, request_id: uuid.UUID) -> Done[None] | Waiting:
        live, row = self.session.read(queue.count_live_parts, request_id)
        if row is not None and row.completed is not None and row.state != queue.PASSED:
            raise mounts.failure_of(row)
        if live == 0:
            return Done(None)
        doing = "" if row is None else f"{queue.spoken(row.operation)}: "
        if row is not None and row.completed is None:
            if not self.session.is_worked(row.library_id):
                text = f"{doing}nobody works the library: run rsm worker"
                return Waiting(WaitReason.NOBODY_WORKS, text, request=request_id)
            doing_now = self.session.read(attended.tell_progress, request_id)
            if doing_now:
                return Waiting(WaitReason.PERSON, doing_now, request=request_id)
            reasons = {queue.INPROCESS: WaitReason.MOVING, queue.WAITING: WaitReason.OPERATOR}
            reason = reasons.get(row.state, WaitReason.QUEUED)
            return Waiting(reason, f"{doing}{queue.spoken_state(row.state)}", request=request_id)
        return Waiting(WaitReason.MOVING, f"{doing}{live} cartridges are still to be identified", request=request_id)

    def steps(self, request: RequestLike) -> tuple[values.RequestStep, ...]:
        """Return the steps of a request in their order; there are none before it is begun.

        Raises:
            ObjectNotFoundError: there is no such request.
            AccessDeniedError: no use right on its library.
        """
        return self.session.read(watching.read_steps, self.caller, _id_of(request))

    def why(self, *requests: RequestLike) -> tuple[str, ...]:
        """Return for each of these requests in words why it has not ended, or what it failed of, else nothing.

        Raises:
            ObjectNotFoundError: there is no such request.
            AccessDeniedError: no use right on its library.
        """
        return self.session.read(watching.explain_requests, self.caller, [_id_of(each) for each in requests])

    def cancel(self, request: RequestLike) -> None:
        """Take a request out of the queue (CancelNtmsLibraryRequest).

        Raises:
            AccessDeniedError: the caller does not administer the catalogue, or the request is being worked on.
            ObjectNotFoundError: there is no such request, or it had ended.
        """
        self.session.write(queue.cancel_request, self.caller, _id_of(request))

    def order(self, request: RequestLike) -> int:
        """Return the place of a mount among those that wait, 1 is next; 0: it cannot be moved (GetNtmsRequestOrder).

        Raises:
            ObjectNotFoundError: there is no such request.
            AccessDeniedError: no control of the computer.
        """
        return self.session.read(queue.read_order, self.caller, _id_of(request))

    def set_order(self, request: RequestLike, order: int) -> None:
        """Move a mount among those that wait: 1 is next, 0xFFFFFFFF last (SetNtmsRequestOrder).

        Raises:
            TypeError, InvalidParameterError: the order is no number from 1 to 0xFFFFFFFF.
            ObjectNotFoundError: there is no such request.
            AccessDeniedError: no control of the computer.
            InvalidStateError: it cannot be moved.
        """
        check_types({"order": order}, int)
        self.session.write(queue.write_order, self.caller, _id_of(request), order)

    def delete(self, *requests: RequestLike) -> int:
        """Remove those of these requests that have ended, and return how many (DeleteNtmsRequests).

        Raises:
            AccessDeniedError: no modify right on the computer.
        """
        ids = [_id_of(each) for each in requests]
        return self.session.write(queue.delete_requests, self.caller, ids)

    def delete_ended(self, states: Iterable[NtmsLmState] = _ENDED) -> int:
        """Remove every request that ended in one of these states, and return how many.

        Raises:
            AccessDeniedError: no modify right on the computer.
        """
        wanted = set(states)
        ids = [each.id for each in self.list() if each.completed is not None and each.state in wanted]
        return self.session.write(queue.delete_requests, self.caller, ids)


def _id_of(request: RequestLike) -> uuid.UUID:
    named = reference(request, "request", values.LibraryRequest)
    if isinstance(named, uuid.UUID):
        return named
    try:
        return uuid.UUID(named)
    except ValueError:
        raise InvalidParameterError(f"a library request is named by its id, not {named!a}") from None
