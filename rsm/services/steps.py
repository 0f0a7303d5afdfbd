"""What library work is made of: the steps of a request, a request that can begin, and what a process has in hand.

It knows no catalogue and no device.
"""

import enum
import uuid
from dataclasses import dataclass, field
from typing import Any


class Action(enum.StrEnum):
    """What a step does. Some happen in a drive, the others are the robot's."""

    MOVE = "move"
    READ_ELEMENTS = "read elements"
    UNLOAD = "unload"
    LOAD = "load"
    CHECK_LABEL = "check label"
    KEEP_LABEL = "keep label"
    IDENTIFY = "identify"
    WRITE_FREE_LABEL = "write free label"
    OPEN_PORT = "open port"
    CLOSE_PORT = "close port"
    LOOK_AT_PORTS = "look at ports"
    OPEN_DOOR = "unlock door"
    CLOSE_DOOR = "lock door"
    AWAIT_PERSON = "wait for a person"
    EJECT = "eject"
    LOOK_AT_SLOT = "look at slot"
    CLEAN = "clean"

    @property
    def work(self) -> str:
        """Who does it: robot or drive."""
        return "drive" if self in _IN_DRIVE else "robot"


_IN_DRIVE = frozenset(
    (
        Action.UNLOAD,
        Action.LOAD,
        Action.CHECK_LABEL,
        Action.KEEP_LABEL,
        Action.IDENTIFY,
        Action.WRITE_FREE_LABEL,
        Action.CLEAN,
    )
)


class Hindrance(enum.Enum):
    """What keeps a mount from beginning."""

    NONE = "nothing"
    OFFLINE = "offline"
    LIBRARY = "library"
    MEDIUM = "medium"
    DRIVES = "drives"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a request. Elements are addresses; `side` counts from 0; `inverted` is the second side up."""

    action: Action
    medium_id: uuid.UUID | None = None
    source: int | None = None
    destination: int | None = None
    drive_id: uuid.UUID | None = None
    drive_element: int | None = None
    side: int = 0
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class Start:
    """A request that can begin, the drive it takes, and its steps."""

    request: Any
    steps: tuple[Step, ...]
    drive_id: uuid.UUID | None = None
    media: frozenset[uuid.UUID] = frozenset()

    @property
    def elements(self) -> frozenset[int]:
        """The addresses that its moves take from and put into."""
        ends = [end for step in self.steps for end in (step.source, step.destination)]
        return frozenset(end for end in ends if end is not None)


@dataclass
class Running:
    """What the planning process has in hand: requests, drives, cartridges, and elements that moves are bound for."""

    starts: dict[uuid.UUID, Start] = field(default_factory=dict)
    can_exchange: bool = False  # whether a cartridge can come into a drive as another goes out

    @property
    def drives(self) -> set[uuid.UUID]:
        """The drives in hand."""
        return {start.drive_id for start in self.starts.values() if start.drive_id is not None}

    @property
    def media(self) -> set[uuid.UUID]:
        """The cartridges in hand."""
        return {medium for start in self.starts.values() for medium in start.media}

    @property
    def elements(self) -> set[int]:
        """The addresses bound for."""
        return {element for start in self.starts.values() for element in start.elements}
