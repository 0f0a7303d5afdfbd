"""A program that a person uses ports and doors with, and that gets killed at it, for test_ports_killed.

`python port_users.py URL FOLDER` reads numbers, and for each has a child do the same work and die at the moment of that
number, as `robot_users` does.
"""

import contextlib
import json
import os
import sys
from pathlib import Path

from robot_users import ADMINISTRATOR, DIED, LONG_MS, die_at, let_die

import rsm
from rsm.constants import NtmsLmOperation
from rsm.nouns.attended import is_attended
from rsm.nouns.waiting import Waiting, WaitReason

__all__ = ["DIED", "is_attended"]
SHELF = "shelf"


class Person:
    """Somebody at the library, who does what they are waited for to do."""

    def __init__(self, session: rsm.Session, folder: Path) -> None:
        self.session, self.robot, self.shelf = session, folder / "robot", folder / SHELF

    def put_in(self, *barcodes: str) -> None:
        """Put cartridges from the shelf into the ports."""
        for number, barcode in enumerate(barcodes, 1):
            os.rename(self.shelf / barcode, self.robot / f"port-{number:02}" / barcode)

    def take_out(self) -> None:
        """Put what lies in the ports on the shelf."""
        for lying in self.robot.glob("port-*/*"):
            os.rename(lying, self.shelf / lying.name)

    def __call__(self, waiting: Waiting) -> None:
        if waiting.reason is not WaitReason.PERSON or waiting.request is None:
            return
        asked = self.session.libraries.attended(waiting.request)
        if asked.request.operation is NtmsLmOperation.NTMS_LM_EJECT:
            self.take_out()
        elif asked.request.operation is NtmsLmOperation.NTMS_LM_DOORACCESS or not any(self.robot.glob("port-*/*")):
            with contextlib.suppress(rsm.InvalidOperationError):
                asked.stop()

    def see_through(self, request: rsm.LibraryRequest) -> None:
        """Wait for the end of a request, and do what there is to do for it."""
        with contextlib.suppress(rsm.RsmError):
            self.session.requests.wait(request, timeout_ms=LONG_MS, on_wait=self)
        assert self.session.requests.get(request).completed is not None

    def see_all_through(self) -> None:
        """Wait for the end of all that a person has a part in."""
        for request in self.session.requests.list(live=True):
            if is_attended(request):
                self.see_through(request)


def carry_out(session: rsm.Session, folder: Path) -> None:
    """Have cartridges taken in, taken out, in again by one, and the door opened."""
    person = Person(session, folder)
    person.put_in("B00001", "B00002")
    for begin in (
        lambda: session.libraries.inject("Robot"),
        lambda: session.media.eject("B00001", "B00002", "A00001"),
        lambda: person.put_in("A00001") or session.libraries.inject("Robot", many=True),
        lambda: session.libraries.door("Robot"),
    ):
        person.see_through(begin().request)


def die(url: str, folder: Path, point: int) -> None:
    """Do the work and die on the way; note the moments there were if none of them was the point."""
    passed = die_at(point)
    with rsm.connect(url, application="mortal", caller=ADMINISTRATOR) as session:
        carry_out(session, folder)
    (folder / "moments").write_text(json.dumps(passed))


if __name__ == "__main__":
    let_die(lambda point: die(sys.argv[1], Path(sys.argv[2]), point))
