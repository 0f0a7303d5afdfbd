"""Who is who: the machine that this process runs on, the machine's present run, and new ids.

It knows nothing of catalogues.
"""

import contextlib
import os
import socket
import struct
import time
import uuid
from functools import cache


@cache
def host() -> str:
    """Return the name of this machine."""
    return socket.gethostname() or "localhost"


@cache
def boot() -> str:
    """Return what tells one run of this machine from the next, empty where the system does not say."""
    with contextlib.suppress(OSError), open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()
    return ""


def new_id() -> uuid.UUID:
    """Return a new time-ordered UUID (version 7): milliseconds, 12 bits of their fraction, 62 random bits."""
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    ordered = (milliseconds << 16) | (0x7 << 12) | (rest * 4096 // 1_000_000)
    try:
        random = _random.pop()
    except IndexError:  # many at once: asking the system takes longer than all the rest
        _random.extend(each >> 2 for each in struct.unpack("64Q", os.urandom(512)))
        random = _random.pop()
    return _make_id((ordered << 64) | (0x2 << 62) | random)


_random: list[int] = []
os.register_at_fork(after_in_child=_random.clear)  # parent and child must not draw the same


def id_of_bytes(value: bytes) -> uuid.UUID:
    """Return the UUID with these 16 bytes.

    Raises:
        ValueError: they are not 16.
    """
    if len(value) != 16:
        raise ValueError(f"an id has 16 bytes, not {len(value)}")
    return _make_id(int.from_bytes(value, "big"))


def _make_id(number: int) -> uuid.UUID:
    """Return uuid.UUID(int=number), whose own constructor spends most of its time on its other forms."""
    made = object.__new__(uuid.UUID)
    _set(made, "int", number)
    _set(made, "is_safe", _UNKNOWN)
    return made


_UNKNOWN = uuid.SafeUUID.unknown
_set = object.__setattr__  # a UUID refuses the ordinary way
