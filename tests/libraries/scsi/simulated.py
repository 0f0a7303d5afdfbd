"""A changer and its drives in memory, which answer SCSI commands by the standards, or badly where a test says so."""

import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rsm.errors import DeviceNotAvailableError
from rsm.libraries.scsi.backend import ScsiLibrary
from rsm.libraries.scsi.drives import FoundDrive, read_drive
from rsm.libraries.scsi.transport import Reply, Status, Transport

ROBOT, DRIVE, PORT, SLOT = 1, 256, 768, 1000  # the first address of each kind
GOOD = Reply(Status.GOOD)
HELD, FULL_GOAL, EMPTY_SOURCE = (0x5, 0x53, 0x02), (0x5, 0x3B, 0x0D), (0x5, 0x3B, 0x0E)
NO_ELEMENT, NO_COMMAND, BAD_FIELD, NO_TAPE = (0x5, 0x21, 0x01), (0x5, 0x20, 0), (0x5, 0x24, 0), (0x2, 0x3A, 0)
SWITCHED_ON, DOOR, BECOMING, UNINITIALISED = (0x6, 0x29, 0), (0x6, 0x28, 0x01), (0x2, 0x04, 0x01), (0x2, 0x04, 0x02)
MECHANICS = (0x4, 0x15, 0x01)
FILEMARK, END, LENGTH = 0x80, 0x40, 0x20


def refusal(numbers: tuple[int, int, int], *, flags: int = 0, information: int | None = None) -> Reply:
    """Return a CHECK CONDITION with fixed sense data."""
    key, asc, ascq = numbers
    valid, told = (0x70, 0) if information is None else (0xF0, information)
    sense = struct.pack(">BBBiB4xBB4x", valid, 0, key | flags, told, 10, asc, ascq)
    return Reply(Status.CHECK_CONDITION, sense=sense)


@dataclass
class Tape:
    """A cartridge; filemarks are None among the blocks."""

    barcode: str
    protected: bool = False
    blocks: list[bytes | None] = field(default_factory=list)
    source: int | None = None

    @property
    def used(self) -> int:
        """The bytes on it."""
        return sum(len(block) for block in self.blocks if block is not None)


class Unit(Transport):
    """One simulated device as a transport."""

    def __init__(self, library: "Simulated", name: str) -> None:
        self.library, self.name = library, name

    def execute(self, cdb: bytes, *, write: bytes = b"", read_length: int = 0, timeout_seconds: float) -> Reply:
        """Answer a command."""
        assert timeout_seconds > 0
        library = self.library
        library.given.append((self.name, cdb))
        if library.script is not None and (reply := library.script(self.name, cdb)) is not None:
            return reply
        with library.lock:
            return self._answer(cdb, write, read_length)

    def _answer(self, cdb: bytes, write: bytes, read_length: int) -> Reply:
        library = self.library
        attentions = library.attentions.get(self.name, [])
        if attentions and cdb[0] not in (0x12, 0xA0, 0x03):
            return refusal(attentions.pop(0))
        if cdb[0] in library.unknown:
            return refusal(NO_COMMAND)
        reply = library.changer(cdb) if self.name == "/changer" else library.drive(self.name, cdb, write)
        return Reply(reply.status, reply.data[:read_length], reply.sense, reply.missing_bytes)

    def close(self) -> None:
        """Count as closed."""
        self.library.closed += 1


class Simulated:
    """A library of slots, drives and ports; tests turn its knobs."""

    def __init__(self, slots: int = 6, drives: int = 2, ports: int = 1, arms: int = 1) -> None:
        self.lock = threading.Lock()  # a device does one thing after the other; scripts are asked beside it
        self.ranges = {
            1: range(ROBOT, ROBOT + arms),
            2: range(SLOT, SLOT + slots),
            3: range(PORT, PORT + ports),
            4: range(DRIVE, DRIVE + drives),
        }
        self.tapes: dict[int, Tape] = {}
        self.loaded: set[int] = set()
        self.positions: dict[int, int] = {}
        self.attentions: dict[str, list[tuple[int, int, int]]] = {}
        self.given: list[tuple[str, bytes]] = []
        self.script: Callable[[str, bytes], Reply | None] | None = None
        self.unknown: set[int] = set()  # commands that no device has
        self.exceptions: dict[int, tuple[int, int]] = {}
        self.closed = 0
        self.capacity = 1 << 40
        self.early_warning = 0
        self.block_bytes = 0
        # What devices do badly
        self.no_device_ids = self.no_tags = self.no_access = False
        self.longest_answer = 1 << 24
        self.stated_length: int | None = None
        self.says_nothing = False  # no information in the sense data of short blocks
        self.holds_on = True
        self.remembers = True  # medium auxiliary memory

    # --- for tests --------------------------------------------------------------------------------------------------

    def open(self, device: str = "/changer") -> ScsiLibrary:
        """Open the library."""
        return ScsiLibrary(device, opener=self.reach, finder=lambda _, opener: self.find(opener))

    def reach(self, device: str) -> Transport:
        """Return the way to a device."""
        if device != "/changer" and not device.startswith("/drive-"):
            raise DeviceNotAvailableError(f"{device}: there is no such device")
        return Unit(self, device)

    def find(self, opener: Callable[[str], Transport]) -> list[FoundDrive]:
        """Return all drives, in an order that tells nothing."""
        found = [read_drive(f"/drive-{address}", opener) for address in reversed(self.ranges[4])]
        return [each for each in found if each is not None]

    def codes(self, name: str = "/changer") -> list[int]:
        """Return the commands that a device was given."""
        return [cdb[0] for unit, cdb in self.given if unit == name]

    # --- the changer ------------------------------------------------------------------------------------------------

    def changer(self, cdb: bytes) -> Reply:
        """Answer as the changer."""
        number = int.from_bytes
        match cdb[0]:
            case 0x00 | 0x07 | 0x37 | 0x1E:
                return GOOD
            case 0x12:
                return self._inquiry(cdb, 8, "CHANGER", "C0001")
            case 0x1A if cdb[2] == 0x1D:
                counts = [value for kind in self.ranges.values() for value in (kind.start, len(kind))]
                return Reply(0, bytes((23, 0, 0, 0, 0x1D, 18)) + struct.pack(">8H2x", *counts))
            case 0x1A if cdb[2] == 0x1F:
                return Reply(
                    0, bytes((23, 0, 0, 0, 0x1F, 18)) + b"\x0f\0\x0e\x0e\x0e\x0e" + bytes(4) + b"\0\x08" + bytes(6)
                )
            case 0x1B:
                return GOOD if number(cdb[2:4], "big") in self.ranges[3] else refusal(NO_ELEMENT)
            case 0xA3:
                return Reply(0, bytes((0, 1 if cdb[3] in self.unknown else 3, 0, 0)))
            case 0xB8:
                return self._statuses(cdb)
            case 0xA5:
                return self._move(number(cdb[4:6], "big"), number(cdb[6:8], "big"))
            case 0xA6:
                source, goal, out = (number(cdb[at : at + 2], "big") for at in (4, 6, 8))
                if source not in self.tapes or goal not in self.tapes or (out in self.tapes and out != source):
                    return refusal(EMPTY_SOURCE)
                self.swap(source, goal, out)
                return GOOD
        return refusal(NO_COMMAND)

    def _move(self, source: int, goal: int) -> Reply:
        if not all(any(each in kind for kind in self.ranges.values()) for each in (source, goal)):
            return refusal(NO_ELEMENT)
        if source not in self.tapes:
            return refusal(EMPTY_SOURCE)
        if goal in self.tapes:
            return refusal(FULL_GOAL)
        if source in self.loaded and self.holds_on:
            return refusal(HELD)
        self.carry(source, goal)
        return GOOD

    def carry(self, source: int, goal: int) -> None:
        """Carry a cartridge; a drive loads what comes in."""
        tape = self.tapes.pop(source)
        self.loaded.discard(source)
        self._put_in(tape, source, goal)

    def _put_in(self, tape: Tape, source: int, goal: int) -> None:
        tape.source = source
        self.tapes[goal] = tape
        if goal in self.ranges[4]:
            self.loaded.add(goal)
            self.positions[goal] = 0

    def swap(self, source: int, goal: int, out: int) -> None:
        """Carry a tape into a drive, and what was there out of it."""
        tape = self.tapes.pop(source)
        self.carry(goal, out)
        self._put_in(tape, source, goal)

    def _statuses(self, cdb: bytes) -> Reply:
        kind, first, count = cdb[1] & 0x0F, int.from_bytes(cdb[2:4], "big"), int.from_bytes(cdb[4:6], "big")
        tags, ids, length = bool(cdb[1] & 0x10), bool(cdb[6] & 1), int.from_bytes(cdb[7:10], "big")
        if (ids and self.no_device_ids) or (tags and self.no_tags):
            return refusal(BAD_FIELD)
        if length > self.longest_answer:
            return refusal((0x4, 0x44, 0))
        every = self.ranges[kind]
        addresses = range(max(first, every.start), max(first, every.stop))[:count]
        size = 12 + 36 * tags + 4 + 34 * ids
        addresses = addresses[: max(0, (length - 16) // size)]
        body = b"".join(self._descriptor(address, kind, tags, ids) for address in addresses)
        stated = size if self.stated_length is None else self.stated_length
        page = struct.pack(">BBHB", kind, 0x80 * tags, stated, 0) + len(body).to_bytes(3, "big") + body
        told = page if addresses else b""
        return Reply(0, struct.pack(">HHB", first, len(addresses), 0) + len(told).to_bytes(3, "big") + told)

    def _descriptor(self, address: int, kind: int, tags: bool, ids: bool) -> bytes:
        tape = self.tapes.get(address)
        reachable = not self.no_access and address not in self.loaded
        flags = (tape is not None) | 0x04 * (address in self.exceptions) | 0x08 * reachable
        came = 0x80 if tape is not None and tape.source is not None else 0
        asc, ascq = self.exceptions.get(address, (0, 0))
        source = tape.source or 0 if tape is not None else 0
        body = struct.pack(">HBxBBxxxBH", address, flags, asc, ascq, came, source)
        if tags:
            body += (tape.barcode if tape is not None else "").encode().ljust(36, b" ")
        if not ids:
            return body + bytes(4)
        serial = f"{'SIM':8}{'ULTRIUM-TD8':16}D{address:09d}".encode()
        return body + bytes((2, 1, 0, len(serial))) + serial if kind == 4 else body + bytes(38)

    def _inquiry(self, cdb: bytes, kind: int, product: str, serial: str) -> Reply:
        if not cdb[1]:
            text = f"{'SIM':8}{product:16}0001".encode()
            return Reply(0, bytes((kind, 0x80, 5, 2, 31, 0, 0, 0)) + text)
        if cdb[2] == 0x80:
            return Reply(0, bytes((kind, 0x80, 0, len(serial))) + serial.encode())
        return refusal(BAD_FIELD)

    # --- the drives -------------------------------------------------------------------------------------------------

    def drive(self, name: str, cdb: bytes, write: bytes) -> Reply:
        """Answer as a drive."""
        address = int(name.rpartition("-")[2])
        tape = self.tapes.get(address)
        match cdb[0]:
            case 0x12:
                return self._inquiry(cdb, 1, "ULTRIUM-TD8", f"D{address:09d}")
            case 0xA3:
                return refusal(NO_COMMAND)
            case 0x1B if tape is not None:
                (self.loaded.add if cdb[4] & 1 else self.loaded.discard)(address)
                self.positions[address] = 0
                return GOOD
        if tape is None or address not in self.loaded:
            return refusal(NO_TAPE if tape is None else UNINITIALISED)
        return self._tape_command(address, tape, cdb, write)

    def _tape_command(self, address: int, tape: Tape, cdb: bytes, write: bytes) -> Reply:
        match cdb[0]:
            case 0x00:
                return GOOD
            case 0x01:
                self.positions[address] = 0
                return GOOD
            case 0x1A:
                header = bytes((11, 0, 0x90 if tape.protected else 0x10, 8, 0x58, 0, 0, 0, 0))
                return Reply(0, header + self.block_bytes.to_bytes(3, "big"))
            case 0x15:
                self.block_bytes = int.from_bytes(write[9:12], "big")
                return GOOD
            case 0x34:
                return Reply(0, struct.pack(">BBxxII8x", 0, 0, self.positions[address], 0))
            case 0x8C if self.remembers:
                return self._memory(tape, int.from_bytes(cdb[8:10], "big"))
            case 0x4D if cdb[2] & 0x3F == 0x31:
                left = (self.capacity - tape.used) >> 20
                values = ((1, left), (2, 0), (3, self.capacity >> 20), (4, 0))
                body = b"".join(struct.pack(">HBBI", number, 0x40, 4, value) for number, value in values)
                return Reply(0, struct.pack(">BBH", 0x31, 0, len(body)) + body)
            case 0x08:
                return self._read(address, tape, int.from_bytes(cdb[2:5], "big"))
            case 0x0A:
                return self._write(address, tape, write)
            case 0x10:
                for _ in range(int.from_bytes(cdb[2:5], "big")):
                    self._put(address, tape, None)
                return GOOD if tape.used <= self.capacity - self.early_warning else refusal((0, 0, 2), flags=END)
            case 0x11:
                return self._space(address, tape, cdb[1], int.from_bytes(cdb[2:5], "big", signed=True))
        return refusal(NO_COMMAND)

    def _memory(self, tape: Tape, first: int) -> Reply:
        values = {0x0000: (self.capacity - tape.used) >> 20, 0x0001: self.capacity >> 20, 0x0220: tape.used}
        told = [(number, value) for number, value in values.items() if number >= first]
        body = b"".join(struct.pack(">HBHQ", number, 0x80, 8, value) for number, value in told)
        return Reply(0, len(body).to_bytes(4, "big") + body)

    def _read(self, address: int, tape: Tape, asked: int) -> Reply:
        at = self.positions[address]
        if at >= len(tape.blocks):
            return refusal((0x8, 0, 0x05))
        self.positions[address] = at + 1
        block = tape.blocks[at]
        if block is None:
            return refusal((0, 0, 0x01), flags=FILEMARK, information=asked)
        if len(block) == asked:
            return Reply(0, block)
        missing = asked - len(block)
        told = refusal((0, 0, 0), flags=LENGTH, information=None if self.says_nothing else missing)
        # As from targets that take what is missing for what came, and send as much as that.
        unsent = max(0, missing) if self.says_nothing else min(asked, len(block))
        return Reply(told.status, block[: asked - unsent].ljust(asked, b"?"), told.sense, unsent)

    def _write(self, address: int, tape: Tape, block: bytes) -> Reply:
        if tape.protected:
            return refusal((0x7, 0x27, 0))
        before = sum(len(each) for each in tape.blocks[: self.positions[address]] if each is not None)
        if before + len(block) > self.capacity:
            return refusal((0xD, 0, 0x02), flags=END)
        self._put(address, tape, block)
        near = before + len(block) > self.capacity - self.early_warning
        return refusal((0, 0, 0x02), flags=END) if near else GOOD

    def _put(self, address: int, tape: Tape, block: bytes | None) -> None:
        tape.blocks[self.positions[address] :] = [block]
        self.positions[address] += 1

    def _space(self, address: int, tape: Tape, over: int, count: int) -> Reply:
        self.positions[address] = len(tape.blocks) if over == 3 else max(0, self.positions[address] + count)
        return GOOD


HOMES = {SLOT: "A00001L8", SLOT + 1: "B00002L8"}


def full(library: ScsiLibrary) -> dict[int, str | None]:
    """Return the bar codes by address."""
    return {each.address: each.barcode for each in library.read_elements() if each.full}


def scripted(answers: dict[int, list[Any]]) -> Callable[[str, bytes], Reply | None]:
    """Return a script of the answers to each command, in order; None lets the device answer."""
    left = {code: iter(each) for code, each in answers.items()}

    def script(name: str, cdb: bytes) -> Reply | None:
        answer = next(left.get(cdb[0], iter(())), None) if name == "/changer" else None
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            result = answer()
            assert result is None or isinstance(result, Reply)
            return result
        return answer

    return script
