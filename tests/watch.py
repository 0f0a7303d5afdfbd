"""Watches what a call does to a catalogue: the events it leaves, the error it ends in, and what stays as it was."""

from collections.abc import Iterator
from contextlib import contextmanager

import builders
import pytest

import rsm


@contextmanager
def new_events(session: rsm.Session) -> Iterator[list[rsm.Event]]:
    """Yield a list that holds, after the body, the events it left."""
    found: list[rsm.Event] = []
    known = session.events.list(limit=100_000)
    last = known[-1].id if known else 0
    yield found
    found += session.events.list(after=last, limit=100_000)


@contextmanager
def nothing_changed(url: str) -> Iterator[None]:
    """See that the body leaves every row of the catalogue as it was."""
    before = builders.dump(url)
    yield
    assert builders.dump(url) == before


@contextmanager
def refused(error: type[rsm.RsmError]) -> Iterator[None]:
    """See that the body is refused with exactly this error, and that the error explains itself."""
    with pytest.raises(error) as caught:
        yield
    assert type(caught.value) is error
    assert str(caught.value)
    assert not caught.value.outcome_unknown
