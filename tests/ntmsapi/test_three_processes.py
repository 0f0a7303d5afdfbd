"""Three programs on one catalogue, each through the Win32 face alone, and one history.

One allocates and waits for media, one plays the operator who brings a cartridge, one listens to all that changes.
"""

import json
import uuid
from pathlib import Path

import pytest
from programs import Program
from working import FREE, LTO, make_robot

import rsm
from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsOpreqCommand
from rsm.constants import NtmsPartitionState as State

PRELUDE = """
import json, os, rsm, uuid
from rsm.ntmsapi import *

LONG = 60_000

def sure(answer):
    code, *results = answer if isinstance(answer, tuple) else (answer,)
    assert code == ERROR_SUCCESS, code
    return results[0] if results else None

def information(kind, thing):
    return sure(GetNtmsObjectInformation(h, thing, kind)).Info

def until(found):
    while not (result := found()):
        sure(WaitForNtmsNotification(changes, LONG))
    return result

def history():
    heard = []
    while True:
        told = sure(WaitForNtmsNotification(everything, LONG))
        heard.append((told.dwOperation, str(told.ObjectId)))
        code, info = GetNtmsObjectInformation(h, told.ObjectId, NTMS_OPREQUEST)
        if code == ERROR_SUCCESS and info.Info.szMessage == "the end":
            return heard

h = sure(OpenNtmsSession(sys.argv[1], sys.argv[2], caller=rsm.Caller("user:admin", administrator=True)))
everything, changes = sure(OpenNtmsNotification(h, NTMS_OBJECT)), sure(OpenNtmsNotification(h, NTMS_OBJECT))
say("ready")
wait()
"""
CONCLUSION = """
say(json.dumps(history()))
assert CloseNtmsSession(h) == 0
"""

BACKUP = """
pool = sure(CreateNtmsMediaPool(h, sys.argv[3], None, NTMS_OPEN_EXISTING))
code, medium, source = AllocateNtmsMedia(h, pool, dwTimeout=LONG)
assert code == ERROR_SUCCESS, code
(drive,) = sure(MountNtmsMedia(h, [medium], dwOptions=NTMS_MOUNT_WRITE, dwTimeout=LONG))
with open(information(NTMS_DRIVE, drive).szDeviceName, "wb") as tape:
    tape.write(b"what matters")
sure(DismountNtmsMedia(h, [medium]))
sure(SetNtmsMediaComplete(h, medium))
say(f"{medium} {sure(GetNtmsMediaPoolName(h, source))}")
"""

OPERATOR = """
pool, library, shelf, slot, free = sure(CreateNtmsMediaPool(h, sys.argv[3], None, NTMS_OPEN_EXISTING)), *sys.argv[4:]
library = uuid.UUID(library)

def asked():
    for request in sure(EnumerateNtmsObject(h, None, NTMS_OPREQUEST)):
        code, info = GetNtmsObjectInformation(h, request, NTMS_OPREQUEST)
        if code == ERROR_SUCCESS and (info.Info.Request, info.Info.Arg1) == (NTMS_OPREQ_NEWMEDIA, pool):
            return request

request = until(asked)
os.rename(shelf, slot)
sure(InventoryNtmsLibrary(h, library, NTMS_INVENTORY_FAST))
(medium,) = until(lambda: sure(EnumerateNtmsObject(h, library, NTMS_PHYSICAL_MEDIA)))
(side,) = sure(EnumerateNtmsObject(h, medium, NTMS_PARTITION))
until(lambda: information(NTMS_PARTITION, side).State == NTMS_PARTSTATE_FOREIGN)
scratch = sure(CreateNtmsMediaPool(h, free, None, NTMS_OPEN_EXISTING))

def moved():
    code = MoveToNtmsMediaPool(h, medium, scratch)
    assert code in (ERROR_SUCCESS, ERROR_BUSY), code
    return code == ERROR_SUCCESS

until(moved)
until(lambda: information(NTMS_PARTITION, side).State != NTMS_PARTSTATE_UNPREPARED)
code = SatisfyNtmsOperatorRequest(h, request)
assert code in (ERROR_SUCCESS, ERROR_OBJECT_NOT_FOUND), code
say(f"{request} {medium} {side}")
"""


INSERT, UPDATE, DELETE = Operation.NTMS_OBJ_INSERT, Operation.NTMS_OBJ_UPDATE, Operation.NTMS_OBJ_DELETE


@pytest.mark.works
def test_all_three_see_the_same_history(session: rsm.Session, url: str, tmp_path: Path) -> None:
    robot = make_robot(session, tmp_path / "robot", slots=2, drives=1).attach()
    robot.add("A00001")
    shelf, slot = robot.take_out("A00001"), robot.folder / "slot-0001" / "A00001"
    session.pools.create(r"\Backup", media_type=LTO, allocate_from_free=True)
    first = session.events.latest(limit=1)[0].id
    bringing = (robot.library.id, shelf, slot, FREE)
    with (
        Program(PRELUDE + CONCLUSION, url, "listener") as listener,
        Program(PRELUDE + BACKUP + CONCLUSION, url, "backup", r"\Backup") as backup,
        Program(PRELUDE + OPERATOR + CONCLUSION, url, "operator", r"\Backup", *bringing) as operator,
    ):
        programs = (listener, backup, operator)
        assert [program.hear() for program in programs] == ["ready"] * 3
        assert session.events.list(after=first) == []
        for program in programs:
            program.tell()
        request, medium, side = (uuid.UUID(word) for word in said(operator).split())
        word, _, source = said(backup).partition(" ")
        logical = uuid.UUID(word)
        robot.drain()
        end = session.operators.submit(NtmsOpreqCommand.NTMS_OPREQ_MESSAGE, message="the end")
        told = [json.loads(said(program)) for program in programs]
        assert [program.status() for program in programs] == [0] * 3
    assert source == FREE
    assert robot.states("A00001") == [State.NTMS_PARTSTATE_COMPLETE]
    assert (robot.find("A00001") / "side-1").read_bytes() == b"what matters"
    events = [event for event in session.events.list(after=first, limit=100_000) if event.id <= last(session, end)]
    for heard in told:
        assert heard == [[int(event.operation), str(event.object)] for event in events]
    check_story(events, request, medium, side, logical)


def said(program: Program) -> str:
    """Return the next line of a program, or fail with what it failed of."""
    line = program.hear()
    assert not line.startswith("Traceback"), program.rest()
    return line


def last(session: rsm.Session, end: rsm.OperatorRequest) -> int:
    """Return the number of the event that ends the history."""
    (event,) = session.events.list(object_=end)
    return event.id


def check_story(
    events: list[rsm.Event], request: uuid.UUID, medium: uuid.UUID, side: uuid.UUID, logical: uuid.UUID
) -> None:
    """See that the history tells who did what, in the order in which it must have happened."""
    available, allocated, complete = (
        {"state": int(state)}
        for state in (State.NTMS_PARTSTATE_AVAILABLE, State.NTMS_PARTSTATE_ALLOCATED, State.NTMS_PARTSTATE_COMPLETE)
    )
    story = [
        (INSERT, Kind.NTMS_OPREQUEST, request, "backup", {}),
        (INSERT, Kind.NTMS_PHYSICAL_MEDIA, medium, None, {"barcode": "A00001"}),
        (UPDATE, Kind.NTMS_PARTITION, side, None, available),
        (UPDATE, Kind.NTMS_PARTITION, side, "backup", allocated),
        (INSERT, Kind.NTMS_LOGICAL_MEDIA, logical, "backup", {}),
        (DELETE, Kind.NTMS_OPREQUEST, request, "backup", {}),
        (UPDATE, Kind.NTMS_PARTITION, side, "backup", complete),
    ]
    left = iter(events)
    for operation, kind, thing, application, after in story:
        assert any(
            (event.operation, event.kind, event.object) == (operation, kind, thing)
            and application in (None, event.application)
            and after.items() <= (event.after or {}).items()
            for event in left
        ), (operation, kind, application, after)
