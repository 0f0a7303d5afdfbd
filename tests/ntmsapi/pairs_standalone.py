"""The cases of the table that are about drives that a person feeds: ejecting, volumes, change detection."""

import os
import threading
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import builders
import sqlalchemy
from conftest import ADMINISTRATOR
from ntmsapi.pairs_damage import PATIENCE_SECONDS
from ntmsapi.pairs_table import ERAS, Attempt, Made, calls, pair
from ntmsapi.pairs_world import ALICE, World

from rsm import model, ntmsapi
from rsm.constants import (
    NTMS_EJECT_ASK_USER,
    NTMS_EJECT_FORCE,
    NTMS_EJECT_IMMEDIATE,
    NTMS_EJECT_QUEUE,
    NTMS_EJECT_START,
    NTMS_EJECT_STOP,
    NTMS_PARTSTATE_ALLOCATED,
    NULL_GUID,
)
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.security import AccessRights
from rsm.services import detection, dismounts, sessions

EJECT, VOLUMES = "EjectDiskFromSADrive", "GetVolumesFromDrive"
BEGIN, SET, END = (f"{word}NtmsDeviceChangeDetection" for word in ("Begin", "Set", "End"))
LIBRARY, MEDIA_TYPE, MEDIUM = Kind.NTMS_LIBRARY, Kind.NTMS_MEDIA_TYPE, Kind.NTMS_PHYSICAL_MEDIA
ALL_TABLES = tuple(model.Base.metadata.tables)
OPTIONS = (NTMS_EJECT_START, NTMS_EJECT_QUEUE, NTMS_EJECT_FORCE, NTMS_EJECT_IMMEDIATE, NTMS_EJECT_ASK_USER)


def eject(w: World, device: Any, option: Any, caller: Any = ADMINISTRATOR) -> Any:
    return ntmsapi.EjectDiskFromSADrive(w.url, "tests", device, None, "Backup", "finished?", option, caller=caller)


def ejects(w: World, device: Any, *options: Any, **keywords: Any) -> Attempt:
    return Attempt([partial(eject, w, device, int(option), **keywords) for option in options or OPTIONS])


# Ejecting


@pair(EJECT, "ERROR_ACCESS_DENIED", when="no NTMS_CONTROL_ACCESS on the library", eras=ERAS)
def eject_denied(w: World) -> Made:
    folder, library = w.feeder()
    w.protect_all_but(AccessRights.CONTROL, LIBRARY, library)
    return ejects(w, str(folder), *OPTIONS, NTMS_EJECT_STOP, caller=ALICE)


@pair(EJECT, "ERROR_DEVICE_NOT_AVAILABLE", when="the library is disabled")
def eject_from_disabled(w: World) -> Made:
    (first, library), (second, other) = w.feeder(), w.feeder()
    w.session.objects.disable(LIBRARY, library)
    (drive,) = w.session.libraries.drives(other)
    w.session.objects.disable(Kind.NTMS_DRIVE, drive)
    return [ejects(w, str(first)), ejects(w, str(second))]


@pair(EJECT, "ERROR_MEDIA_NOT_AVAILABLE", when="the medium is disabled")
def eject_disabled_medium(w: World) -> Made:
    folder, _ = w.feeder("A00001")
    (medium,) = (each for each in w.session.media.list() if each.name == folder.name.replace("feeder", "A"))
    w.session.media.disable(medium)
    return ejects(w, str(folder))


@pair(EJECT, "ERROR_LIBRARY_OFFLINE", when="the library concerned is an offline one")
def eject_from_the_shelf(w: World) -> Made:
    return ejects(w, w.session.libraries.get(w.offline).name, *OPTIONS, NTMS_EJECT_STOP)


@pair(EJECT, "ERROR_INVALID_PARAMETER", when="library id is absent")
def eject_from_nothing(w: World) -> Made:
    return ejects(w, None)


@pair(EJECT, "ERROR_INVALID_DRIVE", when="device name unknown or not a stand-alone removable drive")
def eject_from_no_drive(w: World) -> Made:
    robot = w.session.objects.get(Kind.NTMS_DRIVE, w.robot.drives[0])
    names = ("/dev/null", "", "nothing", "\\\\.\\Cdrom0", "a\0b", "\ud800", "Robot", "/" + "x" * 300, str(robot.id))
    return [ejects(w, name, NTMS_EJECT_START, NTMS_EJECT_STOP) for name in names]


def used(w: World) -> tuple[Path, uuid.UUID]:
    """Return a stand-alone drive whose cartridge a session uses, by the record."""
    folder, library = w.feeder()
    (drive,) = w.session.libraries.drives(library)
    (side,) = builders.add_medium(w.url, w.session.pools.get(w.pool()), w.name("U"), NTMS_PARTSTATE_ALLOCATED)
    medium = w.session.objects.get(Kind.NTMS_PARTITION, side).medium
    with builders.behind(w.url) as connection:  # in SQLite without the cascade, as in builders.put_online
        cartridge, face = model.PhysicalMedium, model.Side
        at = {"library_id": library, "online": True, "drive_id": drive.id}
        connection.execute(sqlalchemy.update(cartridge).where(cartridge.id == medium).values(**at))
        connection.execute(sqlalchemy.update(face).where(face.id == side).values(online=True))
    builders.add_mount(w.url, side, drive.id)
    return folder, library


def answer(w: World, known: set[uuid.UUID], answered: Callable[[Any], None], folder: Path | None = None) -> None:
    """Wait for what an operator is asked, take out what is in the drive, and answer."""
    mark, asked = w.session.watcher.mark(), list[Any]()
    while not asked:
        asked = [each for each in w.session.operators.list() if each.id not in known]
        mark = asked or w.session.watcher.wait(mark, PATIENCE_SECONDS)
    if folder is not None:
        for cartridge in folder.iterdir():
            os.rename(cartridge, folder.parent / f"{cartridge.name} out")
    answered(asked[0])


def while_somebody_answers(w: World, call: Callable[[], Any], answered: Any, folder: Path | None = None) -> Any:
    known = {each.id for each in w.session.operators.list()}
    thread = threading.Thread(target=answer, args=(w, known, answered, folder))
    thread.start()
    code = call()
    thread.join(PATIENCE_SECONDS)
    return code


@pair(EJECT, "ERROR_CANCELLED", when="user gives up in the ASK_USER dialog")
def eject_and_give_up(w: World) -> Made:
    folder, _ = used(w)
    call = partial(eject, w, str(folder), int(NTMS_EJECT_ASK_USER))
    return Attempt([partial(while_somebody_answers, w, call, w.session.operators.refuse)], besides=ALL_TABLES)


@pair(EJECT, "ERROR_INVALID_HANDLE", when="session is absent or not valid (odd, as the call takes none)")
def eject_as_a_dead_session(w: World) -> Made:
    """The session that the call opens for itself is taken for dead while it waits."""
    folder, library = w.feeder()
    known = {session.id for session in w.session.read(sessions.list_open)}

    def take_for_dead() -> None:
        (opened,) = (each for each in w.session.read(sessions.list_open) if each.id not in known)
        w.session.write(dismounts.end_session, opened.id, died=True)

    def eject_meanwhile() -> Any:
        with w.once_waiting(take_for_dead):
            code = eject(w, str(folder), int(NTMS_EJECT_IMMEDIATE))
        assert [each.name for each in w.session.requests.list(library, live=True)] == ["inventory"]
        return code

    return Attempt([eject_meanwhile], besides=ALL_TABLES)


@pair(EJECT, "ERROR_INVALID_OPERATION", when="stop was asked for an operation that is not a live one")
def stop_nothing(w: World) -> Made:
    (never, _), (ended, _) = w.feeder(), w.feeder()
    assert eject(w, str(ended), int(NTMS_EJECT_QUEUE)) == 0
    assert eject(w, str(ended), int(NTMS_EJECT_STOP)) == 0
    return [ejects(w, str(folder), NTMS_EJECT_STOP) for folder in (never, ended)]


@pair(EJECT, "ERROR_SUCCESS", when="the eject worked (or was queued)")
def eject_well(w: World) -> Made:
    """Queued by any of its names, taken out while the call waits, and by force from who uses it."""
    made = []
    for option in (NTMS_EJECT_START, NTMS_EJECT_QUEUE, NTMS_EJECT_FORCE):
        folder, library = w.feeder()
        (drive,) = w.session.libraries.drives(library)
        name = {NTMS_EJECT_START: str(folder), NTMS_EJECT_QUEUE: f"{folder}/.", NTMS_EJECT_FORCE: folder.name}[option]
        assert w.session.requests.list(library)
        made.append(ejects(w, name, option))
        made.append(ejects(w, f"{folder}/", NTMS_EJECT_STOP))
        assert drive.path == str(folder)
    for option in (NTMS_EJECT_IMMEDIATE, NTMS_EJECT_ASK_USER):
        folder, _ = w.feeder("cartridge")
        call = partial(eject, w, str(folder), int(option))
        satisfy = w.session.operators.satisfy
        made.append(Attempt([partial(w.at_work, partial(while_somebody_answers, w, call, satisfy, folder))]))
    taken, library = used(w)
    made.append(ejects(w, str(taken), NTMS_EJECT_FORCE))
    return made


# Volumes


@pair(VOLUMES, "ERROR_SUCCESS", when="volume and letter were found")
def find_volume(w: World) -> Made:
    folder, _ = w.feeder("cartridge")
    (cartridge,) = folder.iterdir()

    def get(name: str) -> Any:
        code, volume, letter = ntmsapi.GetVolumesFromDrive(name)
        assert (volume, letter) == (f"{cartridge}/side-1", str(folder))
        return code

    return Attempt([partial(get, str(folder)), partial(get, f"{folder}/")])


@pair(VOLUMES, "ERROR_INVALID_DRIVE", when="drive name unknown")
def find_no_drive(w: World) -> Made:
    names = ("/nowhere/at/all", "/dev/null", "Robot", "\\\\.\\Cdrom0")
    return Attempt([partial(ntmsapi.GetVolumesFromDrive, name) for name in names])


@pair(VOLUMES, "ERROR_INVALID_PARAMETER", when="null pointer")
def find_nothing(w: World) -> Made:
    wrong: tuple[Any, ...] = (None, 5, b"/", "", "a\0b")
    return Attempt([partial(ntmsapi.GetVolumesFromDrive, name) for name in wrong])


# Change detection


def begun(w: World, handle: Any = None) -> Any:
    code, found = ntmsapi.BeginNtmsDeviceChangeDetection(handle or w.h)
    assert code == 0
    w.undo.callback(ntmsapi.EndNtmsDeviceChangeDetection, handle or w.h, found)
    return found


def dead(w: World) -> list[Any]:
    """Return what is no detection handle of a session, but None."""
    ended, other = begun(w), w.new_handle()
    assert ntmsapi.EndNtmsDeviceChangeDetection(w.h, ended) == 0
    foreign = begun(w, other)
    return [ended, foreign, w.h, other, 0, 1, "handle", object(), [], NULL_GUID]


@pair(BEGIN, "ERROR_SUCCESS", when="a detection session has begun")
def begin_well(w: World) -> Made:
    return calls(BEGIN, w.h, ())


@pair(SET, "ERROR_INVALID_HANDLE", when="session handle is not valid")
def set_without_session(w: World) -> Made:
    _, library = w.feeder()
    return Attempt([partial(ntmsapi.SetNtmsDeviceChangeDetection, each, None, [library], 9) for each in (None, 5)])


@pair(SET, "ERROR_INVALID_HANDLE", when="detection handle is not valid")
def set_dead(w: World) -> Made:
    _, library = w.feeder()
    return calls(SET, w.h, *((each, [library], int(LIBRARY)) for each in dead(w)))


@pair(SET, "ERROR_INVALID_PARAMETER", when="dwType is not one of the three types")
def set_no_type(w: World) -> Made:
    wrong: tuple[Any, ...] = (0, 1, int(Kind.NTMS_DRIVE), int(Kind.NTMS_PARTITION), 19, -1, 2**32, None, "library")
    _, library = w.feeder()
    return calls(SET, w.h, *((each, [library], one) for each in (None, begun(w)) for one in wrong))


def set_wrong(w: World, kind: Kind, *ids: Any) -> Attempt:
    """Name what is not there after what is: none of it is watched or looked at."""
    _, library = w.feeder()
    sound = {LIBRARY: library, MEDIA_TYPE: w.lto8, MEDIUM: w.medium()}[kind]
    return calls(SET, w.h, *((each, [sound, one], int(kind)) for each in (None, begun(w)) for one in ids))


@pair(SET, "ERROR_INVALID_LIBRARY", when="the library was not found")
def set_no_library(w: World) -> Made:
    return set_wrong(w, LIBRARY, uuid.uuid4(), NULL_GUID, w.offline, w.robot.id, w.robot.drives[0])


@pair(SET, "ERROR_INVALID_MEDIA", when="the medium was not found")
def set_no_medium(w: World) -> Made:
    return set_wrong(w, MEDIUM, uuid.uuid4(), NULL_GUID, w.lto8, w.side())


@pair(SET, "ERROR_INVALID_MEDIA", when="the media type was not found")
def set_no_media_type(w: World) -> Made:
    return set_wrong(w, MEDIA_TYPE, uuid.uuid4(), NULL_GUID, w.medium(), w.robot.id)


@pair(SET, "ERROR_SUCCESS", when="the targets are watched, or were polled")
def set_well(w: World) -> Made:
    """The drives themselves, or all that take a media type or a cartridge; without a handle one look is queued."""
    made = []
    for kind in (LIBRARY, MEDIA_TYPE, MEDIUM):
        media_type, _ = w.new_type()
        _, library = w.feeder(media_type=media_type)
        ids = {LIBRARY: library, MEDIA_TYPE: media_type, MEDIUM: w.medium(w.pool(media_type))}
        w.session.libraries.stop_inventory(library)  # the first, which sees as much

        def set_and_look(handle: Any, one: uuid.UUID, kind: Kind = kind, library: uuid.UUID = library) -> Any:
            code = ntmsapi.SetNtmsDeviceChangeDetection(w.h, handle, [one], int(kind))
            if handle is None:
                assert len(w.session.requests.list(library, live=True)) == 1
            else:
                assert library in w.session.read(detection.list_watched)
            return code

        made += [Attempt([partial(set_and_look, each, ids[kind])]) for each in (begun(w), None)]
    return made


@pair(END, "ERROR_INVALID_HANDLE", when="session handle is not valid")
def end_without_session(w: World) -> Made:
    return Attempt([partial(ntmsapi.EndNtmsDeviceChangeDetection, each, begun(w)) for each in (None, 5)])


@pair(END, "ERROR_INVALID_HANDLE", when="detection handle is not valid")
def end_dead(w: World) -> Made:
    return calls(END, w.h, *((each,) for each in (*dead(w), None)))


@pair(END, "ERROR_SUCCESS", when="detection is over and the handle closed")
def end_well(w: World) -> Made:
    handle = begun(w)
    return calls(END, w.h, (handle,))
