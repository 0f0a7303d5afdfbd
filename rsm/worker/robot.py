"""The arms of a library's robot: who has which in hand. Most robots have one.

A move takes an arm, so moves of several arms overlap; a look at everything takes the whole robot, and waits for the
moves in hand. Who waits for the whole robot goes before those who want an arm. Works no device.
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from types import TracebackType


class Robot:
    """A lock over arms. `with robot:` takes all of them, `with robot.arm()` one; within either, both are at hand."""

    def __init__(self, arms: Sequence[int] = ()) -> None:
        """Begin with arms by their addresses; a robot that tells of none has one, which is None."""
        self._changed = threading.Condition()
        self._free: list[int | None] = []
        self._arms: tuple[int | None, ...] = ()
        self._held: dict[int, tuple[int | None, ...]] = {}  # by thread
        self._depth = 0
        self._wanting_all = 0
        self.set_arms(arms)

    def set_arms(self, arms: Sequence[int]) -> None:
        """Take note of the arms that there are; nobody holds one."""
        with self._changed:
            assert not self._held, "arms are counted before anybody moves anything"
            self._arms = tuple(arms) if len(arms) > 1 else (None,)
            self._free = list(self._arms)

    @property
    def has_several_arms(self) -> bool:
        """Whether moves can overlap."""
        return len(self._arms) > 1

    @contextlib.contextmanager
    def arm(self) -> Iterator[int | None]:
        """Hold an arm, the first that is free, and give its address; None is the only one."""
        me = threading.get_ident()
        if me in self._held:
            yield self._held[me][0]
            return
        with self._changed:
            self._changed.wait_for(lambda: self._free and not self._wanting_all)
            taken = self._free.pop(0)
            self._held[me] = (taken,)
        try:
            yield taken
        finally:
            self._put_back(me)

    def __enter__(self) -> "Robot":
        me = threading.get_ident()
        if me not in self._held:
            with self._changed:
                self._wanting_all += 1
                try:
                    self._changed.wait_for(lambda: len(self._free) == len(self._arms))
                finally:
                    self._wanting_all -= 1
                    self._changed.notify_all()
                self._held[me] = self._arms
                self._free = []
                self._depth = 0
        elif len(self._held[me]) == len(self._arms):
            self._depth += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        me = threading.get_ident()
        if len(self._held[me]) < len(self._arms):
            return  # within the hold of one arm, which ends itself
        if self._depth:
            self._depth -= 1
        else:
            self._put_back(me)

    def _put_back(self, thread: int) -> None:
        with self._changed:
            self._free += self._held.pop(thread)
            self._free.sort(key=self._arms.index)
            self._changed.notify_all()
