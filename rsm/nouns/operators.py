"""A session's calls about what a person is asked to do."""

import uuid

from rsm import values
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsOpreqCommand, NtmsOpreqState
from rsm.db import Transaction
from rsm.errors import InvalidParameterError
from rsm.nouns.base import Noun, ObjectLike, check_types, reference
from rsm.nouns.waiting import Done, OnWait, Waiter, Waiting, WaitReason, check_timeout
from rsm.services import objects, operators

OperatorRequestLike = values.OperatorRequest | uuid.UUID | str


def _request(value: OperatorRequestLike) -> objects.Reference:
    """Return the id, or the name if the text is no id, that an argument refers by (TypeError)."""
    referred = reference(value, "request", values.OperatorRequest)
    if isinstance(referred, str):
        try:
            return uuid.UUID(referred)
        except ValueError:
            return referred
    return referred


def _argument(value: ObjectLike | None, name: str) -> objects.Reference | None:
    return None if value is None else reference(value, name, values.Value)


class Operators(Noun):
    """Requests to operators. A request goes by its value or id, or by its name if no other has that name."""

    def list(self, state: NtmsOpreqState | None = None) -> "list[values.OperatorRequest]":
        """Return the requests in this state, None for all, oldest first; none to a caller who may not read them.

        Raises:
            TypeError, InvalidParameterError: it is no state of a request.
        """
        check_types({"state": state}, int, optional=True)
        if state is not None and state not in tuple(NtmsOpreqState):
            raise InvalidParameterError(f"{state} is no state of an operator request")
        found: list[values.OperatorRequest] = self.pages(Kind.NTMS_OPREQUEST, None, None)
        return [request for request in found if state is None or request.state == state]

    def get(self, request: OperatorRequestLike) -> values.OperatorRequest:
        """Return what the catalogue says of a request (GetNtmsObjectInformation).

        Raises:
            ObjectNotFoundError: there is no such request.
            InvalidParameterError: several have that name.
            AccessDeniedError: no use right on the computer.
        """
        found: values.OperatorRequest = self.session.read(
            objects.read_object, self.caller, Kind.NTMS_OPREQUEST, _request(request)
        )
        return found

    def submit(
        self,
        command: NtmsOpreqCommand,
        *,
        message: str = "",
        argument1: ObjectLike | None = None,
        argument2: ObjectLike | None = None,
    ) -> values.OperatorRequest:
        """Ask an operator for something and return the request, which outlives the session (SubmitNtmsOperatorRequest).

        NTMS_OPREQ_NEWMEDIA is about a pool and, if it matters, a library; CLEANER about a library or slot;
        DEVICESERVICE about a library, drive, door or cartridge; MOVEMEDIA about a cartridge and the library it is to go
        to; MESSAGE about nothing, or whatever is named.

        Raises:
            TypeError: an argument has the wrong Python type.
            InvalidParameterError: it is no kind of request, the message is malformed or longer than 255 UTF-16 units,
                or an argument is missing or is one too many.
            ObjectNotFoundError: an argument names nothing.
            InvalidParameterError: it names something of the wrong kind, or more than one thing.
            AccessDeniedError: no control right on the pool (NEWMEDIA, MOVEMEDIA) or library (CLEANER, DEVICESERVICE),
                or no use right on the computer (MESSAGE).
        """
        check_types({"command": command}, int)
        check_types({"message": message}, str)
        return self.session.write(
            operators.submit,
            self.caller,
            command,
            message=message,
            argument1=_argument(argument1, "argument1"),
            argument2=_argument(argument2, "argument2"),
        )

    def wait(
        self, request: OperatorRequestLike, *, timeout_ms: int | None = None, on_wait: OnWait | None = None
    ) -> None:
        """Wait until a request is satisfied; 0 looks once, None waits for ever (WaitForNtmsOperatorRequest).

        Ending the waiting leaves the request as it is. No right is needed.

        Raises:
            TypeError, InvalidParameterError: the request or the time-out is none.
            InvalidOperationError: this thread is in a batch.
            InvalidParameterError: several requests have that name.
            ObjectNotFoundError: there is no such request, or no longer.
            CancelledError: it was refused, or the session was closed.
            TimeoutError: the time is over.
        """
        wanted = _request(request)
        check_timeout(timeout_ms)
        self.session.check_may_wait()
        waiter = Waiter(self.session, timeout_ms, on_wait)
        request_id = self.session.read(objects.existing, Kind.NTMS_OPREQUEST, wanted)
        waiting = Waiting(
            WaitReason.OPERATOR, f"the operator request {request_id} is not answered yet", request=request_id
        )

        def look() -> Done[None] | Waiting:
            return Done(None) if self.session.read(operators.outcome, request_id) else waiting

        waiter.wait_for(look)

    def satisfy(self, request: OperatorRequestLike) -> None:
        """Tell that what was asked for is done (SatisfyNtmsOperatorRequest).

        Raises:
            AccessDeniedError: the caller does not administer the catalogue.
            ObjectNotFoundError: there is no such request, or it was answered before.
            InvalidParameterError: several requests have that name.
        """
        self.session.write(operators.satisfy, self.caller, _request(request))

    def refuse(self, request: OperatorRequestLike) -> None:
        """Refuse what was asked for; whoever waits gets a CancelledError (CancelNtmsOperatorRequest).

        Raises:
            AccessDeniedError: the caller does not administer the catalogue.
            ObjectNotFoundError: there is no such request.
            InvalidParameterError: several requests have that name.
            InvalidStateError: it was answered before.
        """
        self.session.write(operators.cancel, self.caller, _request(request))

    def delete(self, *requests: OperatorRequestLike) -> int:
        """Forget those of these requests that were answered, and return their number (DeleteNtmsRequests).

        Requests that are open, and what names no request, are passed over.

        Raises:
            AccessDeniedError: the right on the computer is missing.
            InvalidParameterError: several requests have one of the names.
        """
        wanted = [_request(request) for request in requests]

        def delete_requests(transaction: Transaction) -> int:
            found = (objects.find(transaction, Kind.NTMS_OPREQUEST, each) for each in wanted)
            return operators.delete_requests(transaction, self.caller, [each for each in found if each is not None])

        return self.session.write(delete_requests)
