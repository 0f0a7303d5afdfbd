"""The log of changes against the tables: a walk through all that changes objects, and each transaction's events."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import builders
import pytest
from auditing import auditing
from mounting import Heard, wait_until
from working import LTO, Robot, make_robot

import rsm
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsOpreqCommand, NtmsUITypes
from rsm.constants import NtmsPartitionState as State
from rsm.libraries.virtual_make import make_cartridge
from rsm.model import TABLE_OF_KIND
from rsm.services import agenda, events

pytestmark = pytest.mark.works

LONG_MS = 60_000
AVAILABLE, ALLOCATED = State.NTMS_PARTSTATE_AVAILABLE, State.NTMS_PARTSTATE_ALLOCATED
REQ, INFO = NtmsUITypes.NTMS_UITYPE_REQ, NtmsUITypes.NTMS_UITYPE_INFO
POOL = Kind.NTMS_MEDIA_POOL
# No call makes or unmakes these, or changes them once they are there.
NEVER = {
    (Kind.NTMS_COMPUTER, "DELETE"),
    (Kind.NTMS_COMPUTER, "INSERT"),
    (Kind.NTMS_UI_DESTINATION, "UPDATE"),
}


def change_pools(session: rsm.Session) -> None:
    top = session.pools.create(r"\Top")
    pool = session.pools.create(r"\Top\Tapes", media_type=LTO, allocate_from_free=True)
    session.pools.update(pool, description="tapes", max_allocates=3)
    session.pools.update(pool, name="Rolls")
    for value in (b"one", b"two", b""):
        session.objects.set_attribute(POOL, pool, "note", value)
    dacl = (rsm.Ace(True, "everyone", rsm.AccessRights.USE),)
    session.acl.set(POOL, pool, rsm.SecurityDescriptor("user:bob", dacl))
    session.objects.set_attribute(POOL, pool, "left", b"with the pool")
    session.pools.delete(pool)
    with session.transaction():
        session.pools.create(r"\Top\Passing", media_type=LTO)
        session.pools.delete(r"\Top\Passing")
    session.pools.delete(top)


def change_types(session: rsm.Session, robot: rsm.Library) -> None:
    new = session.types.create("Wax")
    session.types.add(new, robot.id)
    session.types.add("LTO-7", robot.id)
    session.objects.update(Kind.NTMS_MEDIA_TYPE, new, description="black")
    session.types.remove(new, robot.id)
    session.types.delete(new)


def change_shelf(session: rsm.Session) -> None:
    one, two, other = (
        session.pools.create(path, media_type=media_type)
        for path, media_type in ((r"\One", LTO), (r"\Two", LTO), (r"\Other", "LTO-7"))
    )
    medium = session.media.create(one, [builders.side(state=AVAILABLE)], barcode="S00001")
    session.media.update(medium, name="shelved", description="here")
    session.media.disable(medium)
    session.media.enable(medium)
    session.media.move(medium, two)
    session.media.change_type(medium, other)
    session.media.delete(medium)
    held = [
        session.media.create(one, [builders.side(state=ALLOCATED)], barcode=f"S0000{number}") for number in range(2, 4)
    ]
    first, second = session.media.logical_media(pool=one)
    session.media.swap(first, second)
    session.objects.update(Kind.NTMS_LOGICAL_MEDIA, first, name="mine")
    session.media.complete(first)
    session.media.deallocate(first)
    session.media.deallocate(second)
    for each in held:
        session.media.decommission(session.media.sides(each)[0])


def change_rest(session: rsm.Session, robot: rsm.Library) -> None:
    (computer,) = session.objects.list(Kind.NTMS_COMPUTER)
    session.objects.update(Kind.NTMS_COMPUTER, computer, description="ours", operator_request_purge_seconds=0)
    session.objects.update(Kind.NTMS_COMPUTER, computer, library_request_purge_seconds=0)
    session.objects.update(Kind.NTMS_LIBRARY, robot, auto_recovery=False)
    for kind in (Kind.NTMS_DRIVE, Kind.NTMS_STORAGESLOT, Kind.NTMS_IEPORT, Kind.NTMS_CHANGER):
        session.objects.update(kind, session.objects.list(kind, robot.id)[0], description="seen")
    for kind in (Kind.NTMS_CHANGER_TYPE, Kind.NTMS_DRIVE_TYPE):
        session.objects.update(kind, session.objects.list(kind)[0], description="seen")
    session.objects.update(Kind.NTMS_LIBRARY, robot, name="Ruth")
    asked = [session.operators.submit(NtmsOpreqCommand.NTMS_OPREQ_MESSAGE) for _ in range(3)]
    session.operators.satisfy(asked[0])
    session.operators.refuse(asked[1])
    session.operators.delete(asked[1])
    for source in (computer, robot, None):
        session.ui.add(REQ, "desk", source)
        session.ui.add(INFO, "desk", source)
    session.ui.remove(REQ, "desk", computer)
    session.ui.clear(INFO, computer)


def clean(session: rsm.Session, robot: Robot) -> None:
    slot = robot.device(Kind.NTMS_STORAGESLOT, "slot-0005")
    session.libraries.reserve_cleaner_slot(robot.library, slot)
    request = session.libraries.clean(robot.drive())
    assert request is not None
    robot.add("CLN001", "slot-5")
    session.objects.update(Kind.NTMS_LIBRARY, robot.library, flags=0)
    robot.inventory()
    session.objects.update(Kind.NTMS_LIBRARY, robot.library, flags=16, cleaner_uses_remaining=2)
    session.libraries.clean(robot.drive())
    robot.drain()
    robot.take_out("CLN001")
    robot.inventory()
    session.libraries.release_cleaner_slot(robot.library)


def work(session: rsm.Session, robot: Robot) -> None:
    for barcode in ("A00001", "A00002", "A00003"):
        robot.add(barcode)
    robot.inventory()
    for barcode in ("A00001", "A00002"):
        session.media.move(barcode, rf"\Free\{LTO}")
    robot.drain()
    pool = session.pools.create(r"\Work", media_type=LTO, allocate_from_free=True, deallocate_to_free=True)
    tape = session.media.allocate(pool, timeout_ms=LONG_MS)
    with session.mounts.mount(tape, write=True, timeout_ms=LONG_MS) as mount, mount.open("wb") as file:
        file.write(b"data")
    robot.drain()
    with session.mounts.mount(tape, timeout_ms=LONG_MS) as mount:
        mount.dismount(deferred=True)
        drive = mount.drive
    session.mounts.empty_drive(drive)
    robot.drain()
    session.objects.disable(Kind.NTMS_DRIVE, drive)
    session.objects.enable(Kind.NTMS_DRIVE, drive)
    session.libraries.identify(session.libraries.slots(robot.library)[0])
    robot.drain()
    clean(session, robot)
    barcode = session.media.get(tape.medium).barcode
    robot.take_out(barcode)
    robot.inventory()
    session.mounts.request(tape).cancel()
    os.rename(robot.shelf / barcode, robot.folder / "port-01" / barcode)
    robot.inventory()
    robot.carry(barcode, "slot-0006")
    robot.inventory()
    session.media.deallocate(tape)
    robot.drain()


def let_people_in(session: rsm.Session, robot: Robot) -> None:
    asked = session.media.eject("A00003")
    asked.wait(LONG_MS, on_wait=Heard(PERSON=lambda _waiting: robot.take_out("A00003")))
    robot.carry("A00003", "port-01")
    session.libraries.inject(robot.library).wait(LONG_MS)
    unused = session.libraries.inject(robot.library, many=True)
    wait_until(session, lambda: "until" in unused.request.details)
    unused.stop()
    session.media.gather("A00003").cancel()
    asked = session.libraries.door(robot.library)
    asked.wait(LONG_MS, on_wait=Heard(PERSON=lambda _waiting: asked.stop()))
    with contextlib.suppress(rsm.CancelledError):
        unused.wait(LONG_MS)


def feed(session: rsm.Session, folder: Path) -> None:
    """A person feeds a stand-alone drive, which is watched, and takes out what is ejected; then the drive goes."""
    folder.mkdir()
    session.media.create(r"\Two", [builders.side(state=ALLOCATED)], barcode="F00002")
    library = session.libraries.add("standalone", str(folder), media_types=[LTO])
    drive = Robot(session, folder)
    drive.library = library
    for barcode in ("F00001", "F00002"):
        make_cartridge(folder, barcode, LTO)
        drive.inventory()
        with session.detection.begin() as detection:
            detection.watch(libraries=[library])
            request = session.libraries.eject(str(folder), force=True)
        os.rename(folder / barcode, folder.with_name(barcode))
        drive.inventory()
        session.requests.wait(request, timeout_ms=LONG_MS)
    drive.drain()
    session.libraries.delete(library)


def end(session: rsm.Session, robot: Robot) -> None:
    for request in session.requests.list(robot.library)[:2]:
        session.requests.delete(request)
    session.write(agenda.purge)
    session.objects.disable(Kind.NTMS_LIBRARY, robot.library)
    session.libraries.delete(robot.library)
    session.write(agenda.purge)


def test_every_change_of_every_object_is_told(
    connect: Callable[..., rsm.Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with auditing(monkeypatch) as audit:
        session = connect()
        robot = make_robot(session, tmp_path / "robot", doors=1).attach()
        change_pools(session)
        change_types(session, robot.library)
        change_shelf(session)
        work(session, robot)
        let_people_in(session, robot)
        feed(session, tmp_path / "feeder")
        change_rest(session, robot.library)
        end(session, robot)
        session.close()
    assert sorted(set(audit.faults)) == []
    kinds = (*TABLE_OF_KIND, Kind.NTMS_UI_DESTINATION)
    assert audit.transactions > 100
    assert {(kind, word) for kind in kinds for word in ("INSERT", "UPDATE", "DELETE")} - audit.seen == NEVER


def test_the_audit_finds_what_is_not_told_and_what_is_told_wrongly(
    session: rsm.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = session.pools.create(r"\A")
    with auditing(monkeypatch) as audit:
        with monkeypatch.context() as patched:
            patched.setattr("rsm.services.pools.events.record", lambda *_arguments, **_keywords: None)
            session.pools.create(r"\B")
            session.objects.set_attribute(POOL, pool, "note", b"1")
            session.pools.update(pool, description="x")
            session.pools.delete(r"\B")
        found = {fault.split(" untold")[0].split(" of ")[0] for fault in audit.faults}
        assert found == {"INSERT", "UPDATE", "DELETE", "AccessControlEntry", "Attribute"}
        whole = events._row
        monkeypatch.setattr("rsm.services.events._row", lambda *given: {**whole(*given), "after": {"name": "Z"}})
        session.pools.create(r"\C")
        assert "told wrongly" in audit.faults[-1]
