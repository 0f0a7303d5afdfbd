"""What the tests of the virtual library share."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import rsm
from rsm.libraries.virtual import VirtualLibrary

SLOT, PORT, DRIVE = 1000, 200, 100  # and the number: their addresses


def recorded(library: VirtualLibrary, side: int = 1) -> bytes:
    """Return what is recorded on a side of the cartridge in drive 1."""
    with library.open_side(DRIVE + 1, side, "rb") as file:
        content = file.read()
    assert isinstance(content, bytes)
    return content


@contextmanager
def refused(error: type[rsm.RsmError], *words: object) -> Iterator[None]:
    """See that the body is refused with exactly this error, whose text has these words in it."""
    with pytest.raises(error) as caught:
        yield
    assert type(caught.value) is error
    for word in words:
        assert str(word) in str(caught.value)
