"""Who this process is to others: the machine it runs on, and the machine's present run.

It knows nothing of catalogues.
"""

import contextlib
import socket
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
