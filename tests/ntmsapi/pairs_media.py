"""The cases of the table that are about pools, cartridges and media types."""

import uuid
from functools import partial
from typing import Any

import builders
from ntmsapi.pairs_table import ERAS, Attempt, Made, calls, denied, enter_each, pair
from ntmsapi.pairs_world import World

from rsm import ntmsapi
from rsm.constants import (
    NTMS_CREATE_NEW,
    NTMS_MEDIASTATE_MOUNTED,
    NTMS_OPEN_ALWAYS,
    NTMS_OPEN_EXISTING,
    NULL_GUID,
)
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsPartitionState as State
from rsm.security import AccessRights

M, C, U = AccessRights.MODIFY, AccessRights.CONTROL, AccessRights.USE
POOL, LIBRARY, COMPUTER = Kind.NTMS_MEDIA_POOL, Kind.NTMS_LIBRARY, Kind.NTMS_COMPUTER
TAKEN = (State.NTMS_PARTSTATE_ALLOCATED, State.NTMS_PARTSTATE_COMPLETE, State.NTMS_PARTSTATE_RESERVED)


def unknown() -> uuid.UUID:
    return uuid.uuid4()


# Media types of libraries


def no_library_right(w: World, function: str) -> Attempt:
    return denied(w, function, (w.lto8, w.robot.id), (LIBRARY, w.robot.id), w2k3=M, w2k=C)


def no_library(w: World, function: str) -> Attempt:
    others = [w.root, w.computer, w.robot.drives[0], w.lto8]
    return calls(function, w.h, *((w.lto8, library) for library in (unknown(), NULL_GUID, *others)))


for _name in ("AddNtmsMediaType", "DeleteNtmsMediaType"):
    enter_each(_name, "ERROR_ACCESS_DENIED", "no NTMS_MODIFY_ACCESS on the library", no_library_right, eras=ERAS)
    enter_each(_name, "ERROR_INVALID_LIBRARY", "library id is not that of a library", no_library)


@pair("AddNtmsMediaType", "ERROR_INVALID_MEDIA", when="the media type is not valid")
def add_no_type(w: World) -> Made:
    return calls(
        "AddNtmsMediaType", w.h, *((other, w.robot.id) for other in (unknown(), NULL_GUID, w.root, w.robot.id))
    )


@pair("DeleteNtmsMediaType", "ERROR_NOT_EMPTY", when="the library still holds media of that type")
def remove_type_in_use(w: World) -> Made:
    builders.put_online(w.url, w.medium(), w.robot, slot=0)
    return calls("DeleteNtmsMediaType", w.h, (w.lto8, w.robot.id))


@pair("DeleteNtmsMediaType", "ERROR_INVALID_MEDIA", when="media type unknown or not linked to the library")
def remove_type_not_there(w: World) -> Made:
    other = w.session.types.create(w.name("Type")).id
    return calls("DeleteNtmsMediaType", w.h, *((wanted, w.robot.id) for wanted in (unknown(), w.root, other)))


# Pools


@pair("CreateNtmsMediaPool", "ERROR_ACCESS_DENIED", when="creating: no NTMS_CONTROL_ACCESS on the root pool", eras=ERAS)
def create_at_the_top(w: World) -> Made:
    return denied(w, "CreateNtmsMediaPool", (w.path(), w.lto8, NTMS_CREATE_NEW), (POOL, w.root), w2k3=C, w2k=M)


@pair(
    "CreateNtmsMediaPool", "ERROR_ACCESS_DENIED", when="creating: no NTMS_CONTROL_ACCESS on the parent pool", eras=ERAS
)
def create_below(w: World) -> Made:
    path = w.path()
    parent = w.pool(of_pools=True, path=path)
    attempt = denied(
        w,
        "CreateNtmsMediaPool",
        (f"{path}\\new", w.lto8, NTMS_CREATE_NEW),
        (POOL, parent),
        w2k3=C,
        w2k=M,
        others=[(POOL, w.root)],
    )
    attempt.calls = [*attempt.calls, partial(attempt.calls[0].func, *attempt.calls[0].args[:3], NTMS_OPEN_ALWAYS)]
    return attempt


@pair("CreateNtmsMediaPool", "ERROR_ALREADY_EXISTS", when="NTMS_CREATE_NEW and a pool of that name is there")
def create_again(w: World) -> Made:
    path = w.path()
    w.pool(path=path)
    return calls(
        "CreateNtmsMediaPool",
        w.h,
        (path, w.lto8, NTMS_CREATE_NEW),
        (path.removeprefix("\\"), None, NTMS_CREATE_NEW),
        ("\\Free", None, NTMS_CREATE_NEW),
        ("Import\\LTO-8", w.lto8, NTMS_CREATE_NEW),
    )


@pair("CreateNtmsMediaPool", "ERROR_INVALID_MEDIA", when="the media type is not valid")
def create_of_no_type(w: World) -> Made:
    path = w.path()
    w.pool(path=path)
    return calls(
        "CreateNtmsMediaPool",
        w.h,
        *((w.path(), other, NTMS_CREATE_NEW) for other in (unknown(), NULL_GUID, w.root, w.robot.id)),
        *((path, unknown(), action) for action in (NTMS_OPEN_ALWAYS, NTMS_OPEN_EXISTING)),
    )


@pair("CreateNtmsMediaPool", "ERROR_INVALID_NAME", when="the name breaks the name syntax (it is too long)")
def create_bad_name(w: World) -> Made:
    bad = [
        "",
        "\\",
        "a" * 64,
        "\\" + "😀" * 32,
        "\\a\\\\b",
        "\\a\\",
        "a\tb",
        "a\0b",
        "a\ud800",
        "\\" + "x" * 30 + "\\y" * 245,
    ]
    return calls("CreateNtmsMediaPool", w.h, *((name, w.lto8, NTMS_CREATE_NEW) for name in bad))


@pair("CreateNtmsMediaPool", "ERROR_OBJECT_NOT_FOUND", when="NTMS_OPEN_EXISTING and there is no such pool")
def open_no_pool(w: World) -> Made:
    names = (w.path(), f"{w.path()}\\below", "\\free", "\\Free\\LTO-8\\x")
    return calls("CreateNtmsMediaPool", w.h, *((name, None, NTMS_OPEN_EXISTING) for name in names))


@pair("CreateNtmsMediaPool", "ERROR_OBJECT_NOT_FOUND", when="a parent level is missing")
def create_without_parent(w: World) -> Made:
    return calls(
        "CreateNtmsMediaPool",
        w.h,
        *((f"{w.path()}\\b", w.lto8, action) for action in (NTMS_CREATE_NEW, NTMS_OPEN_ALWAYS)),
    )


@pair("CreateNtmsMediaPool", "ERROR_INVALID_PARAMETER", when="dwAction is none of the three")
def create_no_action(w: World) -> Made:
    return calls("CreateNtmsMediaPool", w.h, *((w.path(), w.lto8, action) for action in (0, 4, 0xFFFFFFFF, -1, None)))


@pair("CreateNtmsMediaPool", "ERROR_INVALID_NAME", when="the name lies under a system pool")
def create_under_system(w: World) -> Made:
    names = ("\\Free\\mine", "\\Import\\LTO-8\\mine", "\\Unrecognized\\mine")
    return calls("CreateNtmsMediaPool", w.h, *((name, w.lto8, NTMS_CREATE_NEW) for name in names))


@pair("DeleteNtmsMediaPool", "ERROR_ACCESS_DENIED", when="no NTMS_MODIFY_ACCESS on the pool", eras=ERAS)
def delete_pool_denied(w: World) -> Made:
    pool = w.pool()
    return denied(w, "DeleteNtmsMediaPool", (pool,), (POOL, pool), w2k3=M, w2k=C)


@pair("DeleteNtmsMediaPool", "ERROR_INVALID_MEDIA_POOL", when="the pool cannot be opened")
def delete_no_pool(w: World) -> Made:
    gone = w.pool()
    w.session.pools.delete(gone)
    others = (w.medium(), w.robot.id, w.lto8, w.computer)
    return calls("DeleteNtmsMediaPool", w.h, *((other,) for other in (unknown(), NULL_GUID, gone, *others)))


@pair(
    "DeleteNtmsMediaPool",
    "ERROR_INVALID_MEDIA_POOL",
    when="the pool is a free, import or unrecognized one",
    eras=ERAS,
)
def delete_system_pool(w: World) -> Made:
    groups = ("Free", "Import", "Unrecognized")
    parents = [w.session.objects.find(POOL, f"\\{group}") for group in groups]
    return calls("DeleteNtmsMediaPool", w.h, *((pool,) for pool in (*map(w.system_pool, groups), *parents, w.root)))


@pair("DeleteNtmsMediaPool", "ERROR_NOT_EMPTY", when="the pool still holds something", eras=ERAS)
def delete_full_pool(w: World) -> Made:
    path, of_media = w.path(), w.pool()
    of_pools = w.pool(of_pools=True, path=path)
    w.pool(path=f"{path}\\below")
    w.medium(of_media)
    return calls("DeleteNtmsMediaPool", w.h, (of_media,), (of_pools,))


@pair(
    "GetNtmsMediaPoolName",
    "ERROR_INSUFFICIENT_BUFFER",
    when="the buffer is too small; lpdwBufSize receives the size needed",
)
def name_without_room(w: World) -> Made:
    pool = w.pool(path=f"{w.path()}😀")

    def too_small(short: int) -> Any:
        code, name, needed = ntmsapi.GetNtmsMediaPoolName(w.h, pool, 0)
        assert code
        assert name is None
        code, name, again = ntmsapi.GetNtmsMediaPoolName(w.h, pool, needed - short)
        assert (name, again) == (None, needed)
        assert ntmsapi.GetNtmsMediaPoolName(w.h, pool, needed)[0] == 0
        return code

    return Attempt([partial(too_small, 1), partial(too_small, 2)])


for _when, _ids in {
    "pool id is absent": lambda w: [None],
    "pool id is not that of a pool": lambda w: [unknown(), NULL_GUID, w.medium(), w.robot.id],
}.items():
    pair("GetNtmsMediaPoolName", "ERROR_INVALID_MEDIA_POOL", when=_when)(
        lambda w, ids=_ids: calls("GetNtmsMediaPoolName", w.h, *((pool,) for pool in ids(w)))
    )


@pair("GetNtmsMediaPoolName", "ERROR_INVALID_PARAMETER", when="a parameter is absent or not valid")
def name_bad_parameter(w: World) -> Made:
    pool = w.pool()
    return calls("GetNtmsMediaPoolName", w.h, (pool, -1), (pool, "8"), (pool, 2**32), ("\\Free",), (5,))


# Moving cartridges and changing their type


def no_pool(w: World, function: str) -> Attempt:
    medium, of_pools = w.medium(), w.pool(of_pools=True)
    nowhere = [unknown(), NULL_GUID, medium, w.robot.id, w.root]
    if function == "ChangeNtmsMediaType":
        nowhere += [of_pools, w.pool(w.two_sided)]
    return calls(function, w.h, *((medium, pool) for pool in nowhere))


def no_medium(w: World, function: str) -> Attempt:
    pool = w.pool()
    side = w.session.media.sides(w.medium())[0].id
    return calls(function, w.h, *((other, pool) for other in (unknown(), NULL_GUID, pool, side, w.lto8)))


enter_each("ChangeNtmsMediaType", "ERROR_INVALID_MEDIA_POOL", "the pool id is not that of a valid pool", no_pool)
enter_each("ChangeNtmsMediaType", "ERROR_INVALID_MEDIA", "medium id unknown", no_medium)
enter_each("MoveToNtmsMediaPool", "ERROR_INVALID_MEDIA_POOL", "the destination pool does not exist", no_pool)
enter_each("MoveToNtmsMediaPool", "ERROR_INVALID_MEDIA", "the medium is not valid", no_medium)


@pair("ChangeNtmsMediaType", "ERROR_ACCESS_DENIED", when="no NTMS_MODIFY_ACCESS on the computer")
def change_type_without_computer(w: World) -> Made:
    source, target = w.pool(), w.pool(w.lto7)
    return denied(
        w,
        "ChangeNtmsMediaType",
        (w.medium(source), target),
        (COMPUTER, w.computer),
        w2k3=M,
        others=[(POOL, source), (POOL, target)],
    )


@pair("ChangeNtmsMediaType", "ERROR_ACCESS_DENIED", when="no NTMS_MODIFY_ACCESS on the pool of the medium", eras=ERAS)
def change_type_without_pool(w: World) -> Made:
    source, target = w.pool(), w.pool(w.lto7)
    return denied(
        w,
        "ChangeNtmsMediaType",
        (w.medium(source), target),
        (POOL, source),
        w2k3=M,
        others=[(COMPUTER, w.computer), (POOL, target)],
    )


@pair("ChangeNtmsMediaType", "ERROR_INVALID_MEDIA_POOL", when="unrecognized medium and the pool is not the free pool")
def change_type_of_unrecognized(w: World) -> Made:
    medium = w.medium_in("Unrecognized", State.NTMS_PARTSTATE_FOREIGN)
    return calls("ChangeNtmsMediaType", w.h, (medium, w.pool(w.lto7)), (medium, w.system_pool("Import", "LTO-7")))


def move_denied(w: World, source: uuid.UUID, target: uuid.UUID, lacking: uuid.UUID, right: AccessRights) -> Attempt:
    medium = w.medium()
    builders.put_in_pool(w.url, medium, source)
    others = [(POOL, pool) for pool in (source, target) if pool != lacking]
    return denied(w, "MoveToNtmsMediaPool", (medium, target), (POOL, lacking), w2k3=right, w2k=M, others=others)


@pair("MoveToNtmsMediaPool", "ERROR_ACCESS_DENIED", when="no NTMS_CONTROL_ACCESS on the pool of the medium", eras=ERAS)
def move_without_source(w: World) -> Made:
    source = w.pool()
    return move_denied(w, source, w.pool(), source, C)


@pair("MoveToNtmsMediaPool", "ERROR_ACCESS_DENIED", when="source is the free pool: NTMS_USE_ACCESS on it is missing")
def move_from_free_without_use(w: World) -> Made:
    free = w.system_pool("Free")
    return move_denied(w, free, w.pool(), free, U)


@pair(
    "MoveToNtmsMediaPool",
    "ERROR_ACCESS_DENIED",
    when="source is the free pool: NTMS_CONTROL_ACCESS on the destination pool is missing",
)
def move_from_free_without_target(w: World) -> Made:
    target = w.pool()
    return move_denied(w, w.system_pool("Free"), target, target, C)


@pair(
    "MoveToNtmsMediaPool",
    "ERROR_ACCESS_DENIED",
    when="destination is the free pool: NTMS_CONTROL_ACCESS on the source pool is missing",
)
def move_to_free_without_source(w: World) -> Made:
    source = w.pool()
    return move_denied(w, source, w.system_pool("Free"), source, C)


@pair(
    "MoveToNtmsMediaPool", "ERROR_ACCESS_DENIED", when="destination is the free pool: NTMS_USE_ACCESS on it is missing"
)
def move_to_free_without_use(w: World) -> Made:
    free = w.system_pool("Free")
    return move_denied(w, w.pool(), free, free, U)


@pair(
    "MoveToNtmsMediaPool",
    "ERROR_ACCESS_DENIED",
    when="neither is the free pool: NTMS_CONTROL_ACCESS is missing on source or destination",
    eras=ERAS,
)
def move_without_either(w: World) -> Made:
    pools = [(w.pool(), w.pool()) for _ in range(2)]
    return [move_denied(w, *pools[end], pools[end][end], C) for end in range(2)]


@pair("MoveToNtmsMediaPool", "ERROR_BUSY", when="a side of the medium is in use")
def move_in_use(w: World) -> Made:
    medium = w.medium()
    builders.set_media_state(w.url, medium, int(NTMS_MEDIASTATE_MOUNTED))
    return calls("MoveToNtmsMediaPool", w.h, (medium, w.pool()), (medium, w.system_pool("Free")))


@pair("MoveToNtmsMediaPool", "ERROR_BUSY", when="a side of the medium is not available now")
def move_unprepared(w: World) -> Made:
    medium = w.medium()
    assert ntmsapi.MoveToNtmsMediaPool(w.h, medium, w.system_pool("Free")) == 0
    return calls("MoveToNtmsMediaPool", w.h, (medium, w.pool()))


@pair("MoveToNtmsMediaPool", "ERROR_INVALID_MEDIA_POOL", when="the destination is not a valid target pool")
def move_to_no_target(w: World) -> Made:
    medium = w.medium(state=State.NTMS_PARTSTATE_IMPORT)
    free = w.medium_in("Free")
    return calls(
        "MoveToNtmsMediaPool",
        w.h,
        (medium, w.root),
        (medium, w.system_pool("Unrecognized")),
        (free, w.system_pool("Free")),
    )


@pair(
    "MoveToNtmsMediaPool",
    "ERROR_INVALID_MEDIA_POOL",
    when="the medium is in an unrecognized or import pool and the destination is not the free pool",
)
def move_foreign(w: World) -> Made:
    unrecognized = w.medium_in("Unrecognized", State.NTMS_PARTSTATE_FOREIGN)
    imported = w.medium_in("Import", State.NTMS_PARTSTATE_IMPORT)
    return calls("MoveToNtmsMediaPool", w.h, (unrecognized, w.pool()), (imported, w.pool()))


def in_lost_pool(w: World) -> uuid.UUID:
    pool = w.pool()
    medium = w.medium(pool)
    w.lose("media_pool", pool)
    return medium


@pair("MoveToNtmsMediaPool", "ERROR_INVALID_MEDIA", when="the pool that the medium is in is not valid", fresh=True)
def move_from_nowhere(w: World) -> Made:
    target = w.pool()
    return calls("MoveToNtmsMediaPool", w.h, (in_lost_pool(w), target))


@pair("MoveToNtmsMediaPool", "ERROR_MEDIA_INCOMPATIBLE", when="medium and destination pool have different media types")
def move_to_other_type(w: World) -> Made:
    return calls("MoveToNtmsMediaPool", w.h, (w.medium(), w.pool(w.lto7)), (w.medium(), w.system_pool("Free", "LTO-7")))


@pair("MoveToNtmsMediaPool", "ERROR_MEDIA_INCOMPATIBLE", when="destination has no media type (pool of pools)")
def move_to_pool_of_pools(w: World) -> Made:
    return calls("MoveToNtmsMediaPool", w.h, (w.medium(), w.pool(of_pools=True)))


@pair(
    "MoveToNtmsMediaPool",
    "ERROR_INVALID_STATE",
    when="a side is Completed, Allocated or Reserved and the destination is the free pool",
)
def free_taken(w: World) -> Made:
    free = w.system_pool("Free")
    media = [w.medium(), w.medium(), w.medium()]
    for medium, state in zip(media, TAKEN, strict=True):
        builders.put_in_pool(w.url, medium, w.pool(), state)
    return calls("MoveToNtmsMediaPool", w.h, *((medium, free) for medium in media))


@pair(
    "MoveToNtmsMediaPool",
    "ERROR_INVALID_MEDIA_POOL",
    when="destination is an import pool and some side is not in the Import state",
)
def import_available(w: World) -> Made:
    two = w.medium(w.pool(w.two_sided), State.NTMS_PARTSTATE_IMPORT, sides=2)
    side = w.session.media.sides(two)[1].id
    with builders.behind(w.url) as connection:
        mark = "?" if w.is_sqlite else "%s"
        value = side.bytes if w.is_sqlite else side
        connection.exec_driver_sql(f"UPDATE side SET state = 4 WHERE id = {mark}", (value,))
    return calls(
        "MoveToNtmsMediaPool", w.h, (w.medium(), w.system_pool("Import")), (two, w.system_pool("Import", "MO_5_RW"))
    )


# Forgetting cartridges


@pair("DeleteNtmsMedia", "ERROR_ACCESS_DENIED", when="no NTMS_MODIFY_ACCESS on the computer")
def delete_medium_without_computer(w: World) -> Made:
    pool = w.pool()
    medium = w.medium(pool)
    return denied(w, "DeleteNtmsMedia", (medium,), (COMPUTER, w.computer), w2k3=M, others=[(POOL, pool)])


@pair("DeleteNtmsMedia", "ERROR_ACCESS_DENIED", when="no NTMS_MODIFY_ACCESS on the pool of the medium", eras=ERAS)
def delete_medium_without_pool(w: World) -> Made:
    pool = w.pool()
    medium = w.medium(pool)
    return denied(w, "DeleteNtmsMedia", (medium,), (POOL, pool), w2k3=M, others=[(COMPUTER, w.computer)])


@pair("DeleteNtmsMedia", "ERROR_INVALID_MEDIA", when="the id is not that of a medium")
def delete_no_medium(w: World) -> Made:
    side = w.session.media.sides(w.medium())[0].id
    return calls("DeleteNtmsMedia", w.h, *((other,) for other in (unknown(), NULL_GUID, side, w.root, w.lto8)))


@pair("DeleteNtmsMedia", "ERROR_INVALID_MEDIA_POOL", when="the pool of the medium is not valid", fresh=True)
def delete_in_lost_pool(w: World) -> Made:
    return calls("DeleteNtmsMedia", w.h, (in_lost_pool(w),))


@pair("DeleteNtmsMedia", "ERROR_INVALID_STATE", when="the medium is not offline")
def delete_online(w: World) -> Made:
    medium = w.medium()
    builders.put_online(w.url, medium, w.robot, slot=1)
    return calls("DeleteNtmsMedia", w.h, (medium,))


@pair("DeleteNtmsMedia", "ERROR_INVALID_STATE", when="a side is Allocated, Completed or Reserved")
def delete_taken(w: World) -> Made:
    media = [w.medium(state=state) for state in TAKEN]
    return calls("DeleteNtmsMedia", w.h, *((medium,) for medium in media))
