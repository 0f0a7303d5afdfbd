"""Programs that do whatever can be done with a catalogue and a robot, for test_killed_anywhere.

`python chores.py URL FOLDER` forks one for each line it reads. Each does one thing after another until it is killed. It
says of each when it begins and what came of it: what it did alone, with names of its own, must be there then.
"""

import contextlib
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nursery
from port_users import Person
from robot_users import ADMINISTRATOR, LONG_MS, make_blocks

import rsm
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsOpreqCommand, NtmsUITypes

POOL, FREE, TAPE = r"\App", r"\Free\LTO-8", "LTO-8"
SPARE = ("B00001", "B00002", "B00003")
MANY = 5
BATCH = "\\Batch "
_MESSAGE, _INFO = NtmsOpreqCommand.NTMS_OPREQ_MESSAGE, NtmsUITypes.NTMS_UITYPE_INFO
Told = dict[str, Any]


class Hand:
    """Does one thing after another; each method does one, and returns what has to be so once it has said it."""

    def __init__(self, session: rsm.Session, folder: Path, life: int) -> None:
        self.session, self.folder, self.life = session, folder, life
        self.random = random.Random(life)
        self.person = Person(session, folder)
        self.made = 0

    def new_name(self) -> str:
        """Return a name that nobody else uses."""
        self.made += 1
        return f"{self.life} {self.made}"

    def anything_held(self, least: int = 1) -> rsm.LogicalMedium | None:
        """Return a medium that is allocated, None if there are fewer than so many."""
        held = self.session.media.logical_media(POOL)
        return self.random.choice(held) if len(held) >= least else None

    # Media

    def allocate(self) -> Told:
        if len(self.session.media.logical_media(POOL)) >= MANY:
            return {}
        return {"held": str(self.session.media.allocate(POOL, timeout_ms=LONG_MS).id)}

    def deallocate(self) -> Told:
        medium = self.anything_held(MANY - 1)
        if medium is None:
            return {}
        nursery.say({"life": self.life, "giving back": str(medium.id)})
        self.session.media.deallocate(medium)
        return {"given back": str(medium.id)}

    def write(self) -> Told:
        medium = self.anything_held()
        if medium is None:
            return {}
        with self.session.mounts.mount(medium, write=True, timeout_ms=LONG_MS) as mount:
            with mount.open("rb") as file:
                blocks = count_blocks(str(medium.id), file.read()) + 1
            with mount.open("wb") as file:
                file.write(make_blocks(str(medium.id), blocks))
            mount.dismount(deferred=self.random.random() < 0.5)
        return {"medium": str(medium.id), "blocks": blocks}

    def read(self) -> Told:
        medium = self.anything_held()
        if medium is None:
            return {}
        with self.session.mounts.mount(medium, timeout_ms=LONG_MS) as mount, mount.open("rb") as file:
            return {"medium": str(medium.id), "blocks": count_blocks(str(medium.id), file.read())}

    def ask_and_cancel(self) -> Told:
        medium = self.anything_held()
        if medium is not None:
            self.session.mounts.request(medium).cancel()
        return {}

    # The library

    def take_inventory(self) -> Told:
        request = self.session.libraries.inventory("Robot", full=self.random.random() < 0.3)
        if request is not None:
            self.session.requests.wait(request, timeout_ms=LONG_MS)
        return {}

    def stop_inventory(self) -> Told:
        self.session.libraries.inventory("Robot")
        self.session.libraries.stop_inventory("Robot")
        return {}

    def identify(self) -> Told:
        request = self.session.libraries.identify(self.random.choice(self.session.libraries.slots("Robot")))
        if request is not None:
            self.session.requests.wait(request, timeout_ms=LONG_MS)
        return {}

    def clean(self) -> Told:
        request = self.session.libraries.clean(self.random.choice(self.session.libraries.drives("Robot")))
        assert request is not None
        self.session.requests.wait(request, timeout_ms=LONG_MS)
        return {}

    def eject(self) -> Told:
        self.person.see_through(self.session.media.eject(self.random.choice(SPARE)).request)
        return {}

    def eject_together(self) -> Told:
        for barcode in self.random.sample(SPARE, 2):
            self.session.media.gather(barcode)
        self.person.see_through(self.session.media.eject().request)
        return {}

    def inject(self) -> Told:
        for number, barcode in enumerate(sorted(path.name for path in self.person.shelf.iterdir())[:2], 1):
            port = self.person.robot / f"port-{number:02}"
            if not any(port.iterdir()):
                with contextlib.suppress(FileNotFoundError):  # the other one was quicker
                    os.rename(self.person.shelf / barcode, port / barcode)
        self.person.see_through(self.session.libraries.inject("Robot", many=self.random.random() < 0.3).request)
        return {}

    def open_door(self) -> Told:
        self.person.see_through(self.session.libraries.door("Robot").request)
        return {}

    # The catalogue alone

    def make_pool(self) -> Told:
        path = f"\\Pool {self.new_name()}"
        self.session.pools.create(path, media_type=TAPE)
        return {"pool": path}

    def delete_pool(self) -> Told:
        path = f"\\Pool {self.new_name()}"
        self.session.pools.create(path)
        self.session.pools.delete(path)
        return {"no pool": path}

    def make_batch(self) -> Told:
        path = f"{BATCH}{self.new_name()}"
        with self.session.transaction():
            self.session.pools.create(path)
            self.session.objects.set_attribute(Kind.NTMS_MEDIA_POOL, path, "of", b"a batch")
        return {"pool": path}

    def change_spare(self) -> Told:
        barcode = self.random.choice(SPARE)
        self.session.media.update(barcode, description=self.new_name())
        self.session.media.disable(barcode)
        self.session.media.enable(barcode)
        return {}

    def make_type(self) -> Told:
        name = f"Type {self.new_name()}"
        self.session.types.create(name)
        if self.random.random() < 0.5:
            self.session.types.delete(name)
            return {"no type": name}
        return {"type": name}

    def ask_operator(self) -> Told:
        asked = self.session.operators.submit(_MESSAGE, message=self.new_name())
        self.random.choice((self.session.operators.satisfy, self.session.operators.refuse))(asked)
        self.session.operators.delete(asked)
        return {}

    def listen(self) -> Told:
        with self.session.notifications.open() as channel, self.session.detection.begin():
            self.session.ui.add(_INFO, self.new_name(), self.session.libraries.get("Robot"))
            channel.wait(LONG_MS)
        return {}

    def tidy(self) -> Told:
        self.session.requests.delete_ended()
        return {}

    def export(self) -> Told:
        return {"export": self.session.catalogue.export_to(self.folder / f"export {self.life}")}


CHORES: dict[str, Callable[[Hand], Told]] = {
    name: method for name, method in vars(Hand).items() if name[0] != "_" and name not in ("new_name", "anything_held")
}


def count_blocks(medium: str, found: bytes) -> int:
    """Return how many blocks of a medium's own are recorded; what is no block is a label, or was cut short."""
    count = 0
    while found.startswith(make_blocks(medium, count + 1)):
        count += 1
    return count


def live(url: str, folder: Path, life: int) -> None:
    """Do one thing after another until somebody ends this process."""
    with rsm.connect(url, application=f"chores {life}", caller=ADMINISTRATOR, busy_timeout_ms=LONG_MS) as session:
        hand = Hand(session, folder, life)
        while True:
            name = hand.random.choice((*sorted(CHORES), "read", "write", "write"))
            nursery.say({"life": life, "begun": name})
            try:
                said: Told = {"ended": name, "code": "ERROR_SUCCESS", **CHORES[name](hand)}
            except rsm.RsmError as error:
                said = {"ended": name, "code": error.code.name, "text": str(error)}
            nursery.say({"life": life, **said})


if __name__ == "__main__":
    nursery.give_birth(lambda life: live(sys.argv[1], Path(sys.argv[2]), life))
