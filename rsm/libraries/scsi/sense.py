"""What sense data means: the table from (key, ASC, ASCQ) to an error of RSM, whether to try again, and what to do.

Owns the table. Talks to no device. The most exact row counts: all three numbers, then ASC and ASCQ under any key, then
ASC alone, then the key alone.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from rsm.errors import (
    AccessDeniedError,
    BusyError,
    DeviceNotAvailableError,
    InvalidOperationError,
    MediaIncompatibleError,
    NoDataError,
    NotReadyError,
    NotSupportedError,
    RsmError,
    WriteProtectError,
)
from rsm.libraries.base import (
    DestinationFullError,
    ElementNotAccessibleError,
    SourceEmptyError,
    UnknownElementError,
)
from rsm.libraries.scsi.decode import Sense


class Key(enum.IntEnum):
    """Sense keys (SPC-4 4.5.6)."""

    NO_SENSE = 0x0
    RECOVERED_ERROR = 0x1
    NOT_READY = 0x2
    MEDIUM_ERROR = 0x3
    HARDWARE_ERROR = 0x4
    ILLEGAL_REQUEST = 0x5
    UNIT_ATTENTION = 0x6
    DATA_PROTECT = 0x7
    BLANK_CHECK = 0x8
    COPY_ABORTED = 0xA
    ABORTED_COMMAND = 0xB
    VOLUME_OVERFLOW = 0xD
    MISCOMPARE = 0xE


class Retry(enum.StrEnum):
    """Whether the same command can succeed when it is given again."""

    NEVER = "never"
    AT_ONCE = "at once"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Rule:
    """What one kind of sense data means. `contents_may_differ`: cartridges may have been moved by hand."""

    error: type[RsmError]
    retry: Retry
    text: str
    advice: str
    contents_may_differ: bool = False


_LATER = "wait: it ends by itself"
_PANEL = "look at the panel of the device"
_AGAIN = "give the command again"
_SERVICE = "switch the device off and on; if it comes back, have it serviced"
_CLEAN = "clean the drive; if it comes back, copy the cartridge and retire it"
_UNLOCK = "release the write protection, or take another cartridge"
_OTHER_CARTRIDGE = "take a cartridge that the drive is made for"
_LOOK = "take an inventory and look at the place"
_FIRMWARE = "the device does not have this function; newer firmware may"

# (key, ASC, ASCQ); None is any.
Signature = tuple[int | None, int | None, int | None]


def _attention(text: str, *, moved: bool = False) -> Rule:
    return Rule(NotReadyError, Retry.AT_ONCE, text, _AGAIN, moved)


def _becoming(text: str) -> Rule:
    return Rule(NotReadyError, Retry.LATER, text, _LATER)


def _never(error: type[RsmError], text: str, advice: str) -> Rule:
    return Rule(error, Retry.NEVER, text, advice)


RULES: Final[dict[Signature, Rule]] = {
    # Not ready
    (None, 0x04, 0x00): _never(NotReadyError, "not ready, and the device does not say why", _PANEL),
    (None, 0x04, 0x01): _becoming("becoming ready"),
    (None, 0x04, 0x02): _never(NotReadyError, "it waits to be initialised", "have the library take its inventory"),
    (None, 0x04, 0x03): _never(NotReadyError, "a person has to do something first", _PANEL),
    (None, 0x04, 0x04): _becoming("formatting"),
    (None, 0x04, 0x07): _becoming("an operation is in progress"),
    (None, 0x04, 0x08): _becoming("a long write is in progress"),
    (None, 0x04, 0x09): _becoming("a self-test is in progress"),
    (None, 0x04, 0x0A): _becoming("the path to it is being switched"),
    (None, 0x04, 0x12): _never(DeviceNotAvailableError, "off line", "bring it on line at its panel"),
    (None, 0x04, None): _never(NotReadyError, "not ready", _PANEL),
    # The path to it
    (None, 0x08, None): _never(DeviceNotAvailableError, "the path inside the device failed", _SERVICE),
    (None, 0x25, None): _never(DeviceNotAvailableError, "no device is at this address", "look for it anew"),
    (None, 0x3E, 0x00): _becoming("it is configuring itself"),
    (None, 0x3E, None): _never(DeviceNotAvailableError, "the device has failed", _SERVICE),
    (None, 0x40, None): _never(DeviceNotAvailableError, "a part of the device has failed", _SERVICE),
    (None, 0x44, None): _never(DeviceNotAvailableError, "the device failed inside", _SERVICE),
    # What was asked
    (None, 0x1A, None): _never(NotSupportedError, "it takes no parameters of this length", _FIRMWARE),
    (None, 0x20, None): _never(NotSupportedError, "it does not know this command", _FIRMWARE),
    (None, 0x21, 0x01): _never(UnknownElementError, "it has no such element", _LOOK),
    (None, 0x24, None): _never(NotSupportedError, "it does not take the command in this form", _FIRMWARE),
    (None, 0x26, None): _never(NotSupportedError, "it does not take these parameters", _FIRMWARE),
    (None, 0x2C, None): _never(InvalidOperationError, "commands came in an order that it refuses", _AGAIN),
    (None, 0x74, None): _never(
        AccessDeniedError, "the device refuses access", "give it the key or the right it asks for"
    ),
    # Unit attention
    (Key.UNIT_ATTENTION, 0x28, 0x00): _attention("a medium may have been changed", moved=True),
    (Key.UNIT_ATTENTION, 0x28, 0x01): _attention("a port or slot was opened", moved=True),
    (Key.UNIT_ATTENTION, 0x28, None): _attention("a medium may have been changed", moved=True),
    (Key.UNIT_ATTENTION, 0x29, None): _attention("it was switched on or reset", moved=True),
    (Key.UNIT_ATTENTION, 0x2A, None): _attention("its parameters were changed"),
    (Key.UNIT_ATTENTION, 0x2F, None): _attention("another cleared its commands"),
    (Key.UNIT_ATTENTION, 0x3B, None): _attention("a magazine or drive was put in or taken out", moved=True),
    (Key.UNIT_ATTENTION, 0x3F, None): _attention("it changed: firmware, or the devices it tells of"),
    (Key.UNIT_ATTENTION, 0x5A, None): _attention("a person asked it for a cartridge"),
    # Media
    (None, 0x0C, None): _never(DeviceNotAvailableError, "writing failed", _CLEAN),
    (None, 0x11, None): _never(DeviceNotAvailableError, "reading failed", _CLEAN),
    (None, 0x14, None): _never(DeviceNotAvailableError, "what was looked for is not on the cartridge", _CLEAN),
    (None, 0x27, None): _never(WriteProtectError, "write protected", _UNLOCK),
    (None, 0x30, 0x03): _never(MediaIncompatibleError, "a cleaning cartridge is in it", "take it out"),
    (None, 0x30, 0x07): _never(DeviceNotAvailableError, "cleaning failed", "use a new cleaning cartridge"),
    (None, 0x30, 0x0C): _never(WriteProtectError, "what was written once is not written over", _UNLOCK),
    (None, 0x30, None): _never(MediaIncompatibleError, "the cartridge is of the wrong kind", _OTHER_CARTRIDGE),
    (None, 0x31, None): _never(DeviceNotAvailableError, "the format of the cartridge is damaged", _CLEAN),
    (None, 0x3A, None): _never(SourceEmptyError, "no cartridge is in it", _LOOK),
    (None, 0x50, None): _never(DeviceNotAvailableError, "appending failed", _CLEAN),
    (None, 0x52, None): _never(DeviceNotAvailableError, "the cartridge is faulty", "copy it and retire it"),
    # Moving
    (None, 0x15, None): _never(DeviceNotAvailableError, "the mechanics did not get there", _SERVICE),
    (None, 0x3B, 0x0D): _never(DestinationFullError, "the destination is full", _LOOK),
    (None, 0x3B, 0x0E): _never(SourceEmptyError, "the source is empty", _LOOK),
    (None, 0x3B, 0x11): _never(ElementNotAccessibleError, "the magazine cannot be reached", "close the door"),
    (None, 0x3B, 0x12): _never(ElementNotAccessibleError, "the magazine is not there", "put the magazine in"),
    (None, 0x3B, 0x14): _never(ElementNotAccessibleError, "the magazine is locked", "unlock it at the panel"),
    (None, 0x3B, 0x18): _never(ElementNotAccessibleError, "the element is disabled", "enable it at the panel"),
    (None, 0x3B, 0x1A): _never(ElementNotAccessibleError, "the drive was taken out", "put the drive in"),
    (None, 0x3B, None): _never(DeviceNotAvailableError, "the mechanics did not get there", _SERVICE),
    (None, 0x53, 0x02): _never(ElementNotAccessibleError, "removal is prevented", "unload the drive first"),
    (None, 0x53, None): _never(DeviceNotAvailableError, "loading or ejecting failed", _SERVICE),
    # By the key alone
    (Key.NO_SENSE, None, None): _never(DeviceNotAvailableError, "it stopped and did not say why", _AGAIN),
    (Key.RECOVERED_ERROR, None, None): _never(DeviceNotAvailableError, "it had to try more than once", _CLEAN),
    (Key.NOT_READY, None, None): _never(NotReadyError, "not ready", _PANEL),
    (Key.MEDIUM_ERROR, None, None): _never(DeviceNotAvailableError, "the cartridge cannot be read or written", _CLEAN),
    (Key.HARDWARE_ERROR, None, None): _never(DeviceNotAvailableError, "the device is broken", _SERVICE),
    (Key.ILLEGAL_REQUEST, None, None): _never(NotSupportedError, "it refuses the command", _FIRMWARE),
    (Key.UNIT_ATTENTION, None, None): _attention("its state was changed"),
    (Key.DATA_PROTECT, None, None): _never(WriteProtectError, "write protected", _UNLOCK),
    (Key.BLANK_CHECK, None, None): _never(NoDataError, "nothing is recorded there", "look at what was written"),
    (Key.ABORTED_COMMAND, None, None): _never(BusyError, "it broke the command off", _AGAIN),
    (Key.VOLUME_OVERFLOW, None, None): _never(DeviceNotAvailableError, "the cartridge is full", "take another"),
}
_UNKNOWN: Final = _never(DeviceNotAvailableError, "it failed in a way of its own", "look it up in its manual")


def rule_for(sense: Sense) -> Rule:
    """Return what sense data means, by the most exact row of the table."""
    key, asc, ascq = sense.key, sense.asc, sense.ascq
    signatures: list[Signature] = [(key, asc, ascq), (None, asc, ascq), (key, asc, None), (None, asc, None)]
    if asc == 0 and ascq == 0:
        signatures = []
    for signature in (*signatures, (key, None, None)):
        if signature in RULES:
            return RULES[signature]
    return _UNKNOWN


def error_from_sense(sense: Sense, device: str, *, outcome_unknown: bool = False) -> RsmError:
    """Return the RSM error of sense data; its text names the device, the numbers, and what to do."""
    rule = rule_for(sense)
    numbers = f"{sense.key:X}/{sense.asc:02X}/{sense.ascq:02X}"
    return rule.error(f"{device}: {rule.text} ({numbers}): {rule.advice}", outcome_unknown=outcome_unknown)
