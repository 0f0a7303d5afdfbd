"""The states of sides as the documents have them (concepts, section 4), over plain values and without the program.

A cartridge is where it is (`place`), with the state of the side that a trigger is about first and that of its other
side, if it has one, after it. The model says what becomes of both, or the code of the refusal.
"""

from dataclasses import dataclass, replace

from rsm.constants import ErrorCode
from rsm.constants import NtmsPartitionState as State

(UNKNOWN, UNPREPARED, INCOMPATIBLE, DECOMMISSIONED, AVAILABLE, ALLOCATED, COMPLETE, FOREIGN, IMPORT, RESERVED) = State
HELD = (ALLOCATED, COMPLETE)
TAKEN = (*HELD, RESERVED)

# Places: system pools, and application pools by what they do with what is given back.
FREE, IMPORTS, UNRECOGNIZED = "free", "import", "unrecognized"
OWN, OTHER, RETURNS, LAST, RETURNS_LAST = "own", "other", "returns", "last", "returns last"
SYSTEM = (FREE, IMPORTS, UNRECOGNIZED)
USED_UP = (LAST, RETURNS_LAST)

INVALID_STATE, INVALID_MEDIA = ErrorCode.ERROR_INVALID_STATE, ErrorCode.ERROR_INVALID_MEDIA
INVALID_MEDIA_POOL, BUSY = ErrorCode.ERROR_INVALID_MEDIA_POOL, ErrorCode.ERROR_BUSY
MEDIA_UNAVAILABLE = ErrorCode.ERROR_MEDIA_UNAVAILABLE


@dataclass(frozen=True)
class Cartridge:
    """Where a cartridge is, and the states of its sides, the one that a trigger is about first."""

    place: str
    states: tuple[State, ...]

    @property
    def mine(self) -> State:
        return self.states[0]

    @property
    def others(self) -> tuple[State, ...]:
        return self.states[1:]

    def become(self, mine: State, place: str | None = None) -> "Cartridge":
        return Cartridge(place or self.place, (mine, *self.others))


Outcome = Cartridge | ErrorCode | None  # what it is then, the code of the refusal, None: it is on record no more


def expect(trigger: str, cartridge: Cartridge) -> Outcome:
    """Return what a trigger makes of a cartridge."""
    verb, _, how = trigger.partition(" ")
    return {
        "identify": _identify,
        "label": _label,
        "move": _move,
        "allocate": _allocate,
        "next": _next,
        "complete": _complete,
        "deallocate": _deallocate,
        "decommission": _decommission,
        "delete": _delete,
        "swap": _swap,
    }[verb](cartridge, how)


def _identify(cartridge: Cartridge, how: str) -> Outcome:
    if cartridge.mine not in (UNKNOWN, FOREIGN, IMPORT):
        return cartridge
    after = cartridge.become(FOREIGN if how == "blank" else IMPORT)
    if after.place in (IMPORTS, UNRECOGNIZED) and UNKNOWN not in after.states:
        after = replace(after, place=IMPORTS if IMPORT in after.states else UNRECOGNIZED)
    return after


def _label(cartridge: Cartridge, how: str) -> Outcome:
    return cartridge.become(AVAILABLE) if cartridge.mine is UNPREPARED else cartridge


def _move(cartridge: Cartridge, how: str) -> Outcome:
    place, states = cartridge.place, set(cartridge.states)
    if how == FREE:
        return INVALID_MEDIA_POOL if place == FREE else _free(cartridge)
    if place == how:
        return cartridge
    if place == FREE and UNPREPARED in states:
        return BUSY
    if how == UNRECOGNIZED or place in (IMPORTS, UNRECOGNIZED) or (how == IMPORTS and states != {IMPORT}):
        return INVALID_MEDIA_POOL
    return replace(cartridge, place=how)


def _free(cartridge: Cartridge) -> Outcome:
    if set(cartridge.states) & {*TAKEN, DECOMMISSIONED, INCOMPATIBLE, UNKNOWN}:
        return INVALID_STATE
    return Cartridge(FREE, tuple(UNPREPARED for _ in cartridge.states))


def _allocate(cartridge: Cartridge, how: str) -> Outcome:
    """Ask for this side by name: in its own pool, with NEW, or out of another pool."""
    if cartridge.mine not in (AVAILABLE, IMPORT):
        return INVALID_MEDIA
    if how == "across":
        if set(cartridge.others) & set(TAKEN):
            return INVALID_MEDIA
        if UNPREPARED in cartridge.others:
            return MEDIA_UNAVAILABLE
        return cartridge.become(ALLOCATED, OTHER if cartridge.place == OWN else OWN)
    if how == "new" and cartridge.mine is AVAILABLE:
        if any(other is not AVAILABLE for other in cartridge.others):
            return INVALID_MEDIA
        return Cartridge(cartridge.place, (ALLOCATED, *(RESERVED for _ in cartridge.others)))
    return cartridge.become(ALLOCATED)


def _next(cartridge: Cartridge, how: str) -> Outcome:
    if cartridge.mine not in HELD:
        return INVALID_MEDIA
    if RESERVED not in cartridge.others:
        return MEDIA_UNAVAILABLE
    return Cartridge(cartridge.place, (cartridge.mine, ALLOCATED))


def _complete(cartridge: Cartridge, how: str) -> Outcome:
    if cartridge.mine is COMPLETE:
        return INVALID_STATE
    return cartridge.become(COMPLETE) if cartridge.mine is ALLOCATED else INVALID_MEDIA


def _deallocate(cartridge: Cartridge, how: str) -> Outcome:
    if cartridge.mine not in HELD:
        return INVALID_MEDIA
    others = tuple(AVAILABLE if other is RESERVED else other for other in cartridge.others)
    after = Cartridge(cartridge.place, (DECOMMISSIONED if cartridge.place in USED_UP else AVAILABLE, *others))
    returns = cartridge.place in (RETURNS, RETURNS_LAST) and set(after.states) == {AVAILABLE}
    return _free(after) if returns else after


def _decommission(cartridge: Cartridge, how: str) -> Outcome:
    return cartridge.become(DECOMMISSIONED) if cartridge.mine is AVAILABLE else INVALID_STATE


def _delete(cartridge: Cartridge, how: str) -> Outcome:
    return INVALID_STATE if how == "online" or set(cartridge.states) & set(TAKEN) else None


def _swap(cartridge: Cartridge, how: str) -> Outcome:
    """Trade with a side that is ALLOCATED in the same pool."""
    if cartridge.mine is COMPLETE:
        return INVALID_STATE
    return cartridge if cartridge.mine is ALLOCATED else INVALID_MEDIA
