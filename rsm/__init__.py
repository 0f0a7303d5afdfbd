"""rsm: the media manager that backup software embeds. One catalogue of pools, media, libraries and access rights.

`rsm.connect()` opens a session; what can go wrong is an `rsm.RsmError`. Importing this is light: the database comes
with the first `connect`.
"""

import logging
from typing import TYPE_CHECKING, Any

from rsm.constants import (
    FILE_DEVICE_TYPE,
    ErrorCode,
    NtmsObjectsTypes,
    NtmsOpreqCommand,
    NtmsOpreqState,
    NtmsPartitionState,
    NtmsPoolType,
    NtmsReadWriteCharacteristics,
)
from rsm.errors import *  # noqa: F403 - its __all__ is the tree of errors
from rsm.errors import __all__ as _errors
from rsm.security import AccessRights, Ace, Caller, SecurityDescriptor
from rsm.values import (
    Allocation,
    Candidate,
    Changer,
    ChangerType,
    Computer,
    Door,
    Drive,
    DriveType,
    Event,
    Library,
    LibraryMap,
    LibraryRequest,
    LogicalMedium,
    MapCartridge,
    MapMount,
    MapPlace,
    MediaPool,
    MediaType,
    NewSide,
    OperatorRequest,
    PhysicalMedium,
    Port,
    RequestStep,
    Side,
    Slot,
    Value,
    Volume,
)

if TYPE_CHECKING:
    from rsm.nouns.attended import Attended
    from rsm.nouns.mounts import Mount, Mounts, Request
    from rsm.nouns.standalone import Detection
    from rsm.nouns.waiting import Waiting, WaitReason
    from rsm.session import Session, connect

logging.getLogger("rsm").addHandler(logging.NullHandler())

_LAZY = ("Attended", "Detection", "Mount", "Mounts", "Request", "Session", "WaitReason", "Waiting", "connect")

__all__ = [
    "FILE_DEVICE_TYPE",
    "AccessRights",
    "Ace",
    "Allocation",
    "Attended",
    "Caller",
    "Candidate",
    "Changer",
    "ChangerType",
    "Computer",
    "Detection",
    "Door",
    "Drive",
    "DriveType",
    "ErrorCode",
    "Event",
    "Library",
    "LibraryMap",
    "LibraryRequest",
    "LogicalMedium",
    "MapCartridge",
    "MapMount",
    "MapPlace",
    "MediaPool",
    "MediaType",
    "Mount",
    "Mounts",
    "NewSide",
    "NtmsObjectsTypes",
    "NtmsOpreqCommand",
    "NtmsOpreqState",
    "NtmsPartitionState",
    "NtmsPoolType",
    "NtmsReadWriteCharacteristics",
    "OperatorRequest",
    "PhysicalMedium",
    "Port",
    "RequestStep",
    "Request",
    "SecurityDescriptor",
    "Session",
    "Side",
    "Slot",
    "Value",
    "Volume",
    "WaitReason",
    "Waiting",
    "connect",
    *_errors,
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from rsm import session  # SQLAlchemy comes with it

        return getattr(session, name)
    raise AttributeError(f"module 'rsm' has no attribute {name!r}")
