"""Work of a library that a person does a part of: cartridges put in, cartridges taken out, a door opened.

What was asked for goes on when the waiting for it ends, and when the session ends: `stop` and `cancel` end it.
"""

import uuid
from dataclasses import dataclass

from rsm import values
from rsm.constants import NtmsLmOperation, NtmsLmState
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.nouns.base import Runner
from rsm.nouns.requests import Requests
from rsm.nouns.waiting import OnWait
from rsm.services import objects, ports, queue


def is_attended(request: values.LibraryRequest) -> bool:
    """Tell whether a person at a robot does a part of a request; what a drive of its own ejects is no robot's."""
    return request.operation in queue.ATTENDED and request.drive is None


@dataclass(frozen=True, slots=True)
class Attended:
    """An inject, an eject or the opening of a door that was asked for. `id` is that of its library request."""

    session: Runner
    id: uuid.UUID
    operation: NtmsLmOperation

    @property
    def request(self) -> values.LibraryRequest:
        """What the catalogue says of it; `details` tells what was `taken_in` or `taken_out` so far.

        Raises:
            ObjectNotFoundError: it ended long ago and was purged.
        """
        found: values.LibraryRequest = self.session.read(objects.read_value, Kind.NTMS_LIBREQUEST, self.id)
        return found

    @property
    def state(self) -> NtmsLmState:
        """How far it is."""
        return self.request.state

    def wait(self, timeout_ms: int | None = None, *, on_wait: OnWait | None = None) -> values.LibraryRequest:
        """Wait for its end, and that of what follows it (identifying, an inventory), and return its request.

        Raises:
            InvalidOperationError: this thread is in a batch.
            TimeoutError: the time is over, and it goes on; or a person did nothing in theirs.
            LibraryFullError: nothing that was put in found a free slot.
            CancelledError: it was cancelled, or stopped before it came to anything.
            RsmError: what else it failed with.
        """
        return Requests(self.session).wait(self.id, timeout_ms=timeout_ms, on_wait=on_wait)

    def stop(self) -> None:
        """End it early: what is in a port by then is taken in, or put back; a door counts as shut.

        Raises:
            InvalidOperationError: it has ended.
            AccessDeniedError: no control of its library.
        """
        self.session.write(ports.end_operation, self.session.caller, self.id, self.operation)

    def retract(self) -> None:
        """Have the ports pulled in and emptied, then opened again; if they are empty it ends.

        Raises:
            InvalidOperationError: it has ended, or is no inject of many cartridges.
            AccessDeniedError: no control of its library.
        """
        self.session.write(ports.end_operation, self.session.caller, self.id, self.operation, retract=True)

    def cancel(self) -> None:
        """Give it up: cartridges that are being put in stay in their ports, those being taken out are put back.

        Raises:
            AccessDeniedError: the caller does not administer the catalogue.
            ObjectNotFoundError: it has ended.
        """
        Requests(self.session).cancel(self.id)
