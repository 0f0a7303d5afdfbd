"""What every group of a session's calls shares: references, type checks, and reading lists page by page."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from rsm import values
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.db import Transaction
from rsm.errors import InvalidParameterError
from rsm.security import Caller
from rsm.services import listing, objects
from rsm.services.sessions import Enrolment
from rsm.waking import Watcher

P = ParamSpec("P")
T = TypeVar("T")
PoolLike = values.MediaPool | uuid.UUID | str
MediumLike = values.PhysicalMedium | uuid.UUID | str
TypeLike = values.MediaType | uuid.UUID | str
LibraryLike = values.Library | uuid.UUID | str
ObjectLike = values.Value | uuid.UUID | str

PAGE = 5_000
NO_ID = uuid.UUID(int=0)


class Keep:
    """The default of an argument that None means something for."""

    def __repr__(self) -> str:
        return "KEEP"


KEEP = Keep()


class Runner(Protocol):
    """What a group of calls needs of its session."""

    @property
    def caller(self) -> Caller:
        """Who calls."""

    @property
    def closed(self) -> bool:
        """Whether the session was closed."""

    @property
    def watcher(self) -> Watcher:
        """What tells that the catalogue changed."""

    def check_may_wait(self) -> None:
        """Refuse a call that waits or works a library while this thread is in a batch (InvalidOperationError)."""

    def enrolment(self) -> Enrolment:
        """Return what the catalogue keeps of the session; from now on its life can be told by others."""

    def is_worked(self, library_id: uuid.UUID) -> bool:
        """Tell whether this process can work a library, or another one holds it just now."""

    def write(self, service: Callable[Concatenate[Transaction, P], T], *arguments: P.args, **keywords: P.kwargs) -> T:
        """Run a service in a write transaction."""

    def read(self, service: Callable[Concatenate[Transaction, P], T], *arguments: P.args, **keywords: P.kwargs) -> T:
        """Run a service on a snapshot."""


def check_types(arguments: dict[str, Any], *expected: type, optional: bool = False) -> None:
    """Refuse arguments of a wrong Python type; a bool is no number (TypeError)."""
    for name, value in arguments.items():
        if type(value) in expected or (value is None and optional):
            continue
        wrong_bool = isinstance(value, bool) and bool not in expected
        if not isinstance(value, expected) or wrong_bool:
            names = " or ".join(kind.__name__ for kind in expected)
            raise TypeError(f"{name} must be {names}, not {type(value).__name__}")


def reference(value: Any, name: str, *kinds: type[values.Value]) -> objects.Reference:
    """Return the id or text that an argument refers by (TypeError)."""
    if isinstance(value, (uuid.UUID, str)):
        return value
    if kinds and isinstance(value, kinds):
        return value.id
    names = ", ".join([kind.__name__ for kind in kinds] + ["UUID", "str"])
    raise TypeError(f"{name} must be one of {names}, not {type(value).__name__}")


def known_kind(kind: Any) -> Kind:
    """Return the kind of object (TypeError, InvalidParameterError)."""
    check_types({"kind": kind}, int)
    try:
        return Kind(kind)
    except ValueError:
        raise InvalidParameterError(f"{kind} is no kind of object") from None


class Noun:
    """One group of a session's calls."""

    def __init__(self, session: Runner) -> None:
        self.session = session

    @property
    def caller(self) -> Caller:
        return self.session.caller

    def pages(self, kind: Kind, container: objects.Reference | None, container_kind: Kind | None) -> list[Any]:
        """Return what may be read of all objects of a kind, page by page, each page its own snapshot."""
        return list(self.stream_pages(listing.list_values, kind, self.container_id(container, container_kind)))

    @overload
    def ask(
        self, service: Callable[Concatenate[Transaction, P], uuid.UUID], *arguments: P.args, **keywords: P.kwargs
    ) -> values.LibraryRequest: ...

    @overload
    def ask(
        self, service: Callable[Concatenate[Transaction, P], uuid.UUID | None], *arguments: P.args, **keywords: P.kwargs
    ) -> values.LibraryRequest | None: ...

    def ask(
        self, service: Callable[Concatenate[Transaction, P], uuid.UUID | None], *arguments: P.args, **keywords: P.kwargs
    ) -> values.LibraryRequest | None:
        """Queue a request and read it in the same transaction: a reading that fails would leave it behind."""

        def asked(transaction: Transaction) -> values.LibraryRequest | None:
            found = service(transaction, *arguments, **keywords)
            if found is None:
                return None
            request: values.LibraryRequest = objects.read_value(transaction, Kind.NTMS_LIBREQUEST, found)
            return request

        asked.__name__ = service.__name__  # by it a session knows which failures the call's document has
        return self.session.write(asked)

    def stream_pages(self, service: Callable[..., Any], kind: Kind, container: uuid.UUID | None) -> Iterator[Any]:
        """Read the first page of a listing service now and yield everything, a page and a snapshot at a time."""
        page, last = self.session.read(service, self.caller, kind, container, NO_ID, PAGE)

        def streamed() -> Iterator[Any]:
            found, after = page, last
            yield from found
            while after is not None:
                found, after = self.session.read(service, self.caller, kind, container, after, PAGE)
                yield from found

        return streamed()

    def container_id(self, container: objects.Reference | None, kind: Kind | None) -> uuid.UUID | None:
        if container is None or isinstance(container, uuid.UUID):
            return container
        assert kind is not None, "a container by name is of one kind"
        return self.session.read(objects.existing, kind, container)
