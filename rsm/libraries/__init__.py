"""The devices: what a library is to the rest of RSM, and the back-ends that are one.

Owns the list of back-ends. Imports `rsm.errors`, `rsm.constants` and the standard library, nothing above.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rsm.errors import NotSupportedError
from rsm.libraries.base import LibraryBackend
from rsm.libraries.virtual import VirtualLibrary


def _open_scsi(device: str) -> LibraryBackend:
    from rsm.libraries.scsi.backend import ScsiLibrary  # only who has a robot waits for this

    return ScsiLibrary(device)


def _open_standalone(address: str) -> LibraryBackend:
    from rsm.libraries.standalone import StandaloneDirectory
    from rsm.libraries.standalone_disk import StandaloneDisk

    return StandaloneDirectory(address) if address.endswith("/") else StandaloneDisk(address)


BACKENDS: Final[dict[str, Callable[[str], LibraryBackend]]] = {
    "scsi": _open_scsi,
    "standalone": _open_standalone,
    "virtual": VirtualLibrary,
}


def open_library(kind: str, device: str) -> LibraryBackend:
    """Open the device of a library, changing nothing in it; `device` is what the back-end `kind` calls it by.

    Raises:
        NotSupportedError: there is no such back-end.
        RsmError: the device cannot be opened.
    """
    if kind not in BACKENDS:
        raise NotSupportedError(f"there is no back-end {kind!a}: use one of {', '.join(sorted(BACKENDS))}")
    return BACKENDS[kind](device)


def canonical_address(kind: str, device: str) -> str:
    """Return the one way in which a back-end calls a device, so that it is not put on record twice.

    Raises:
        InvalidLibraryError: it is no address for this back-end.
    """
    if kind != "scsi":
        return device
    from rsm.libraries.scsi.transport import canonical

    return canonical(device)
