"""The cases of the table that are about who holds which side."""

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import builders
from ntmsapi.pairs_table import ERAS, Attempt, Made, calls, denied, enter_each, pair
from ntmsapi.pairs_world import World
from sqlalchemy import update

from rsm import labels, model, ntmsapi
from rsm.constants import (
    INFINITE,
    NTMS_ALLOCATE_ERROR_IF_UNAVAILABLE,
    NTMS_ALLOCATE_NEW,
    NTMS_ALLOCATE_NEXT,
    NTMS_OMID_TYPE_FILESYSTEM_INFO,
    NTMS_OMID_TYPE_RAW_LABEL,
    NULL_GUID,
    NtmsOpreqState,
)
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsPartitionState as State
from rsm.ntmsapi import NTMS_FILESYSTEM_INFO
from rsm.security import AccessRights

M, C, U = AccessRights.MODIFY, AccessRights.CONTROL, AccessRights.USE
POOL = Kind.NTMS_MEDIA_POOL
NEW, NEXT, AT_ONCE = int(NTMS_ALLOCATE_NEW), int(NTMS_ALLOCATE_NEXT), int(NTMS_ALLOCATE_ERROR_IF_UNAVAILABLE)
WAITED = ("event", "session")  # a wait that ends leaves the events of its operator request, and who asked
REFUSED = ("event", "session", "object", "operator_request")


def unknown() -> uuid.UUID:
    return uuid.uuid4()


def in_lost_pool(w: World, make: Callable[[uuid.UUID], uuid.UUID]) -> uuid.UUID:
    pool = w.pool()
    made = make(pool)
    w.lose("media_pool", pool)
    return made


def with_lost_side(w: World) -> uuid.UUID:
    medium = w.held()
    w.lose("side", w.side_of(medium))
    return medium


def no_logical_media(w: World) -> list[uuid.UUID]:
    """Return ids that name no logical medium."""
    given_back = w.held()
    assert ntmsapi.DeallocateNtmsMedia(w.h, given_back) == 0
    return [unknown(), NULL_GUID, given_back, w.medium(), w.side(), w.pool(), w.robot.id]


# Allocating


@pair("AllocateNtmsMedia", "ERROR_ACCESS_DENIED", when="no NTMS_CONTROL_ACCESS on the pool of the medium", eras=ERAS)
def allocate_denied(w: World) -> Made:
    pool = w.pool()
    w.online(pool)
    return denied(w, "AllocateNtmsMedia", (pool,), (POOL, pool), w2k3=C, w2k=M)


def drawing(w: World) -> tuple[uuid.UUID, uuid.UUID]:
    """Return a pool that draws from a free pool, and the free pool, which has one cartridge."""
    media_type, free = w.new_type()
    w.online(free)
    return w.session.pools.create(w.path(), media_type=media_type, allocate_from_free=True).id, free


@pair(
    "AllocateNtmsMedia",
    "ERROR_ACCESS_DENIED",
    when="medium comes from the free pool and NTMS_USE_ACCESS on the free pool is missing",
    eras=ERAS,
)
def draw_without_free(w: World) -> Made:
    pool, free = drawing(w)
    return denied(w, "AllocateNtmsMedia", (pool,), (POOL, free), w2k3=U, w2k=M, others=[(POOL, pool)])


@pair(
    "AllocateNtmsMedia",
    "ERROR_ACCESS_DENIED",
    when="medium comes from the free pool and NTMS_CONTROL_ACCESS on the destination pool is missing",
    eras=ERAS,
)
def draw_without_destination(w: World) -> Made:
    pool, free = drawing(w)
    return denied(w, "AllocateNtmsMedia", (pool,), (POOL, pool), w2k3=C, w2k=M, others=[(POOL, free)])


@pair(
    "AllocateNtmsMedia",
    "ERROR_ACCESS_DENIED",
    when="medium comes from another pool than the free pool and NTMS_CONTROL_ACCESS is missing on source or"
    " destination",
    eras=ERAS,
)
def take_over_without_either(w: World) -> Made:
    made = []
    for end in range(2):
        source, target = w.pool(), w.pool()
        arguments = (target, w.online(source, State.NTMS_PARTSTATE_IMPORT)[0])
        lacking, other = ((source, target), (target, source))[end]
        made.append(
            denied(w, "AllocateNtmsMedia", arguments, (POOL, lacking), w2k3=C, w2k=M, others=[(POOL, other)]),
        )
    return made


def answer(w: World, verb: str, pool: uuid.UUID) -> None:
    """Answer what an operator was asked for the sake of a pool."""
    asked = w.session.operators.list(NtmsOpreqState.NTMS_OPSTATE_SUBMITTED)
    (request,) = [request for request in asked if request.argument1 == pool]
    getattr(w.session.operators, verb)(request)


@pair("AllocateNtmsMedia", "ERROR_CANCELLED", when="the operator cancelled the request for new media")
def allocate_refused(w: World) -> Made:
    pool = w.pool()
    attempt = calls("AllocateNtmsMedia", w.h, (pool, None, None, 0, INFINITE))
    attempt.around, attempt.besides = partial(w.once_waiting, partial(answer, w, "refuse", pool)), REFUSED
    return attempt


@pair(
    "AllocateNtmsMedia",
    "ERROR_DEVICE_NOT_AVAILABLE",
    when="something needed on the way is not available, the free pool for example",
)
def draw_on_nothing(w: World) -> Made:
    media_type = w.session.types.create(w.name("Type")).id  # no library takes it, so there is no free pool
    pool = w.session.pools.create(w.path(), media_type=media_type, allocate_from_free=True).id
    return calls("AllocateNtmsMedia", w.h, (pool,), (pool, None, None, NEW, 0), (pool, None, None, AT_ONCE))


def begun(w: World) -> tuple[uuid.UUID, uuid.UUID, list[uuid.UUID]]:
    """Return a pool, a logical medium that was allocated in it as new, and the sides of its cartridge, first first."""
    pool = w.pool(w.two_sided)
    sides = w.online(pool, sides=2)
    code, medium, _ = ntmsapi.AllocateNtmsMedia(w.h, pool, None, None, NEW)
    assert code == 0
    return pool, medium, sorted(sides, key=lambda side: side != w.side_of(medium))


@pair(
    "AllocateNtmsMedia",
    "ERROR_INVALID_MEDIA",
    when="with NTMS_ALLOCATE_NEXT: the side id passed in is not valid",
)
def next_side_of_another(w: World) -> Made:
    pool, medium, (first, _) = begun(w)
    others = [unknown(), NULL_GUID, first, w.side(), pool, medium]
    return calls("AllocateNtmsMedia", w.h, *((pool, other, medium, NEXT) for other in others))


@pair(
    "AllocateNtmsMedia",
    "ERROR_INVALID_MEDIA",
    when="with NTMS_ALLOCATE_NEXT: the logical medium id passed in is not valid",
)
def next_of_nothing(w: World) -> Made:
    pool, _, (first, _) = begun(w)
    elsewhere = begun(w)[1]
    others = [*no_logical_media(w), first, elsewhere]
    return calls("AllocateNtmsMedia", w.h, *((pool, None, other, NEXT) for other in others))


@pair("AllocateNtmsMedia", "ERROR_INVALID_MEDIA_POOL", when="the pool id is not that of a pool")
def allocate_from_no_pool(w: World) -> Made:
    others = [unknown(), NULL_GUID, w.medium(), w.robot.id, w.lto8, w.computer]
    return calls("AllocateNtmsMedia", w.h, *((other,) for other in others))


@pair("AllocateNtmsMedia", "ERROR_INVALID_MEDIA_POOL", when="pool is not an application pool")
def allocate_from_system_pool(w: World) -> Made:
    pools = [*map(w.system_pool, ("Free", "Import", "Unrecognized")), w.root, w.pool(of_pools=True)]
    return calls("AllocateNtmsMedia", w.h, *((pool,) for pool in pools))


@pair("AllocateNtmsMedia", "ERROR_INVALID_PARAMETER", when="medium id pointer is absent")
def next_without_medium(w: World) -> Made:
    pool, _, (_, second) = begun(w)
    return calls("AllocateNtmsMedia", w.h, (pool, None, None, NEXT), (pool, second, None, NEXT | AT_ONCE))


@pair("AllocateNtmsMedia", "ERROR_MEDIA_OFFLINE", when="the medium asked for is offline and cannot be allocated")
def allocate_offline(w: World) -> Made:
    pool, imported = w.pool(), w.medium_in("Import", State.NTMS_PARTSTATE_IMPORT)
    of_import = w.session.media.sides(imported)[0].id
    two, first, _ = begun(w)
    w.shelve(w.session.objects.get(Kind.NTMS_LOGICAL_MEDIA, first).medium)
    return calls(
        "AllocateNtmsMedia", w.h, (pool, w.side(pool)), (pool, of_import, None, AT_ONCE), (two, None, first, NEXT)
    )


@pair("AllocateNtmsMedia", "ERROR_MEDIA_UNAVAILABLE", when="nothing could be allocated within the time-out")
def allocate_side_in_use(w: World) -> Made:
    pool = w.pool()
    (in_use,), (disabled,) = w.online(pool), w.online(pool, enabled=False)
    w.put_in_drive(in_use)
    times = (0, 50, INFINITE)
    return calls(
        "AllocateNtmsMedia", w.h, *((pool, side, None, 0, time) for side in (in_use, disabled) for time in times)
    )


@pair(
    "AllocateNtmsMedia",
    "ERROR_MEDIA_UNAVAILABLE",
    when="NTMS_ALLOCATE_ERROR_IF_UNAVAILABLE was given and no medium is available",
)
def allocate_nothing_at_once(w: World) -> Made:
    empty, shelved, shared = w.pool(), w.pool(), w.pool(w.two_sided)
    w.medium(shelved)
    w.online(shared, sides=2)
    assert ntmsapi.AllocateNtmsMedia(w.h, shared)[0] == 0
    times = (0, 50, INFINITE)
    none = [(pool, None, None, AT_ONCE, time) for pool in (empty, shelved) for time in times]
    return calls("AllocateNtmsMedia", w.h, *none, (shared, None, None, AT_ONCE | NEW))


@pair("AllocateNtmsMedia", "ERROR_MEDIA_UNAVAILABLE", when="NTMS_ALLOCATE_NEXT and every side is already allocated")
def next_of_all_taken(w: World) -> Made:
    pool, medium, _ = begun(w)
    code, second, _ = ntmsapi.AllocateNtmsMedia(w.h, pool, None, medium, NEXT)
    assert code == 0
    assert second != medium
    return calls("AllocateNtmsMedia", w.h, *((pool, None, each, NEXT) for each in (medium, second)))


@pair("AllocateNtmsMedia", "ERROR_INVALID_MEDIA", when="the side in lpPartition is neither Available nor Import")
def allocate_unsuitable_side(w: World) -> Made:
    pool = w.pool()
    allocated, complete, decommissioned = w.online(pool)[0], w.online(pool)[0], w.online(pool)[0]
    for side in (allocated, complete):
        code, medium, _ = ntmsapi.AllocateNtmsMedia(w.h, pool, side)
        assert code == 0
        assert side == allocated or ntmsapi.SetNtmsMediaComplete(w.h, medium) == 0
    assert ntmsapi.DecommissionNtmsMedia(w.h, decommissioned) == 0
    two, _, (_, reserved) = begun(w)
    foreign = w.online(w.system_pool("Unrecognized"), State.NTMS_PARTSTATE_FOREIGN)[0]
    unprepared = w.online(w.system_pool("Free"), State.NTMS_PARTSTATE_UNPREPARED)[0]
    sides = [allocated, complete, decommissioned, foreign, unprepared, unknown(), pool]
    return calls("AllocateNtmsMedia", w.h, *((pool, side) for side in sides), (two, reserved))


@pair("AllocateNtmsMedia", "ERROR_TIMEOUT", when="the time-out fired before a medium was available")
def allocate_too_late(w: World) -> Made:
    empty, (drawing_on_labels, free) = w.pool(), drawing(w)
    assert ntmsapi.AllocateNtmsMedia(w.h, drawing_on_labels)[0] == 0
    labelled = w.medium(drawing_on_labels)
    builders.put_online(w.url, labelled, w.library())
    assert ntmsapi.MoveToNtmsMediaPool(w.h, labelled, free) == 0  # its free label is being written
    attempt = calls("AllocateNtmsMedia", w.h, *((empty, None, None, options, 0) for options in (0, NEW)))
    labelling = calls("AllocateNtmsMedia", w.h, *((drawing_on_labels, None, None, 0, time) for time in (0, 50)))
    return [attempt, labelling]


@pair(
    "AllocateNtmsMedia",
    "ERROR_TIMEOUT",
    when="the time-out fired before the operator request was dealt with; that request is deleted",
)
def allocate_unanswered(w: World) -> Made:
    pool = w.pool()

    def look() -> None:
        asked = w.session.operators.list(NtmsOpreqState.NTMS_OPSTATE_SUBMITTED)
        assert [request.argument1 for request in asked].count(pool) == 1

    attempt = calls("AllocateNtmsMedia", w.h, (pool, None, None, 0, 3000))
    attempt.around, attempt.besides = partial(w.once_waiting, look), WAITED
    return attempt


# Giving back


@pair("DeallocateNtmsMedia", "ERROR_ACCESS_DENIED", when="no NTMS_CONTROL_ACCESS on the pool of the medium", eras=ERAS)
def deallocate_denied(w: World) -> Made:
    pool = w.pool()
    return denied(w, "DeallocateNtmsMedia", (w.held(pool),), (POOL, pool), w2k3=C, w2k=M)


def returning(w: World) -> tuple[uuid.UUID, uuid.UUID, uuid.UUID]:
    """Return a logical medium that goes back to the free pool, its pool, and the free pool."""
    media_type, free = w.new_type()
    pool = w.session.pools.create(w.path(), media_type=media_type, deallocate_to_free=True).id
    return w.held(pool), pool, free


@pair(
    "DeallocateNtmsMedia",
    "ERROR_ACCESS_DENIED",
    when="medium goes back to the free pool and NTMS_USE_ACCESS on the free pool is missing",
    eras=ERAS,
)
def return_without_free(w: World) -> Made:
    medium, pool, free = returning(w)
    return denied(w, "DeallocateNtmsMedia", (medium,), (POOL, free), w2k3=U, w2k=M, others=[(POOL, pool)])


@pair(
    "DeallocateNtmsMedia",
    "ERROR_ACCESS_DENIED",
    when="medium goes back to the free pool and NTMS_CONTROL_ACCESS on the source pool is missing",
    eras=ERAS,
)
def return_without_source(w: World) -> Made:
    medium, pool, free = returning(w)
    return denied(w, "DeallocateNtmsMedia", (medium,), (POOL, pool), w2k3=C, w2k=M, others=[(POOL, free)])


@pair(
    "DeallocateNtmsMedia",
    "ERROR_ACCESS_DENIED",
    when="destination is not the free pool and NTMS_CONTROL_ACCESS is missing on source or destination",
    eras=ERAS,
)
def give_back_within_a_pool(w: World) -> Made:
    pool = w.pool()  # source and destination: without the policy a side stays where it is
    free = w.system_pool("Free")
    return denied(w, "DeallocateNtmsMedia", (w.held(pool),), (POOL, pool), w2k3=C, w2k=M, others=[(POOL, free)])


@pair("DeallocateNtmsMedia", "ERROR_INVALID_MEDIA", when="the id is not that of a logical medium")
def deallocate_nothing(w: World) -> Made:
    return calls("DeallocateNtmsMedia", w.h, *((other,) for other in no_logical_media(w)))


@pair("DeallocateNtmsMedia", "ERROR_INVALID_PARAMETER", when="dwOptions is not 0")
def deallocate_with_options(w: World) -> Made:
    medium = w.held()
    return calls("DeallocateNtmsMedia", w.h, *((medium, options) for options in (1, 0x80000000, INFINITE)))


def lost_side(w: World, function: str, *rest: Any) -> Attempt:
    return calls(function, w.h, (with_lost_side(w), *rest))


pair(
    "DeallocateNtmsMedia",
    "ERROR_INVALID_PARTITION",
    when="the side behind the logical medium is not valid",
    fresh=True,
)(lambda w: lost_side(w, "DeallocateNtmsMedia"))


@pair("DeallocateNtmsMedia", "ERROR_INVALID_STATE", when="medium is mounted")
def deallocate_mounted(w: World) -> Made:
    medium = w.held()
    w.put_in_drive(w.side_of(medium))
    return calls("DeallocateNtmsMedia", w.h, (medium,))


# What becomes of a side

for _name, _make in {"SetNtmsMediaComplete": World.held, "DecommissionNtmsMedia": World.side}.items():

    def _denied(make: Callable[..., uuid.UUID], w: World, function: str) -> Attempt:
        pool = w.pool()
        return denied(w, function, (make(w, pool),), (POOL, pool), w2k3=C, w2k=M)

    def _lost(make: Callable[..., uuid.UUID], w: World, function: str) -> Attempt:
        return calls(function, w.h, (in_lost_pool(w, partial(make, w)),))

    enter_each(
        _name,
        "ERROR_ACCESS_DENIED",
        "no NTMS_CONTROL_ACCESS on the pool of the medium",
        partial(_denied, _make),
        eras=ERAS,
    )
    enter_each(
        _name, "ERROR_INVALID_MEDIA_POOL", "the pool of the medium is not valid", partial(_lost, _make), fresh=True
    )


@pair("SetNtmsMediaComplete", "ERROR_INVALID_MEDIA", when="the id is not that of a medium")
def complete_nothing(w: World) -> Made:
    return calls("SetNtmsMediaComplete", w.h, *((other,) for other in no_logical_media(w)))


@pair("SetNtmsMediaComplete", "ERROR_INVALID_STATE", when="the medium is not in the allocated state")
def complete_again(w: World) -> Made:
    medium = w.held()
    assert ntmsapi.SetNtmsMediaComplete(w.h, medium) == 0
    return calls("SetNtmsMediaComplete", w.h, (medium,))


@pair("SetNtmsMediaComplete", "ERROR_INVALID_STATE", when="the medium is mounted now")
def complete_mounted(w: World) -> Made:
    medium = w.held()
    w.put_in_drive(w.side_of(medium))
    return calls("SetNtmsMediaComplete", w.h, (medium,))


@pair("DecommissionNtmsMedia", "ERROR_INVALID_MEDIA", when="the id is not that of a side")
def decommission_no_side(w: World) -> Made:
    others = [unknown(), NULL_GUID, w.medium(), w.held(), w.pool(), w.robot.id]
    return calls("DecommissionNtmsMedia", w.h, *((other,) for other in others))


@pair("DecommissionNtmsMedia", "ERROR_INVALID_STATE", when="the side is not Available")
def decommission_unavailable(w: World) -> Made:
    medium, retired = w.held(), w.side()
    complete = w.held()
    assert ntmsapi.SetNtmsMediaComplete(w.h, complete) == 0
    assert ntmsapi.DecommissionNtmsMedia(w.h, retired) == 0
    foreign = w.online(w.system_pool("Unrecognized"), State.NTMS_PARTSTATE_FOREIGN)[0]
    imported, reserved = w.side(state=State.NTMS_PARTSTATE_IMPORT), begun(w)[2][1]
    sides = [w.side_of(medium), w.side_of(complete), retired, foreign, imported, reserved]
    return calls("DecommissionNtmsMedia", w.h, *((side,) for side in sides))


# Swapping


@pair("SwapNtmsMedia", "ERROR_ACCESS_DENIED", when="no NTMS_MODIFY_ACCESS on the pool of either medium", eras=ERAS)
def swap_denied(w: World) -> Made:
    made = []
    for lacking in range(2):
        pools = w.pool(), w.pool()
        media, others = tuple(map(w.held, pools)), [(POOL, pools[1 - lacking])]
        made.append(denied(w, "SwapNtmsMedia", media, (POOL, pools[lacking]), w2k3=M, others=others))
    pool = w.pool()
    return [*made, denied(w, "SwapNtmsMedia", (w.held(pool), w.held(pool)), (POOL, pool), w2k3=M)]


@pair("SwapNtmsMedia", "ERROR_INVALID_MEDIA", when="at least one id is not that of a logical medium")
def swap_nothing(w: World) -> Made:
    medium, others = w.held(), no_logical_media(w)
    each = [pair_ for other in others for pair_ in ((medium, other), (other, medium))]
    return calls("SwapNtmsMedia", w.h, *each, (others[0], others[1]))


@pair(
    "SwapNtmsMedia",
    "ERROR_INVALID_MEDIA_POOL",
    when="the pool of at least one logical medium is not valid",
    fresh=True,
)
def swap_in_lost_pool(w: World) -> Made:
    medium, lost = w.held(), in_lost_pool(w, w.held)
    return calls("SwapNtmsMedia", w.h, (medium, lost), (lost, medium))


@pair("SwapNtmsMedia", "ERROR_INVALID_MEDIA_POOL", when="the two media are in different pools")
def swap_between_pools(w: World) -> Made:
    return calls("SwapNtmsMedia", w.h, (w.held(), w.held()), (w.held(), w.held(w.pool(w.lto7))))


@pair("SwapNtmsMedia", "ERROR_BUSY", when="a medium is in use")
def swap_in_use(w: World) -> Made:
    pool = w.pool()
    used, idle = w.held(pool), w.held(pool)
    w.put_in_drive(w.side_of(used))
    return calls("SwapNtmsMedia", w.h, (used, idle), (idle, used))


@pair("SwapNtmsMedia", "ERROR_BAD_FORMAT", when="no media label library recognises the label")
def swap_unreadable(w: World) -> Made:
    """The plug-in that read one of the labels was removed since."""
    pool = w.pool()
    orphan, known = w.held(pool), w.held(pool)
    builders.set_columns(w.url, model.Side, w.side_of(orphan), label_type="Nightly")
    return calls("SwapNtmsMedia", w.h, (orphan, known), (known, orphan))


# Labels

FILE_SYSTEM = int(NTMS_OMID_TYPE_FILESYSTEM_INFO)
RAW = int(NTMS_OMID_TYPE_RAW_LABEL)


@pair(
    "UpdateNtmsOmidInfo",
    "ERROR_ACCESS_DENIED",
    when="access to at least one RSM object involved is refused (right not named)",
    eras=ERAS,
)
def label_denied(w: World) -> Made:
    pool = w.pool()
    arguments = (w.held(pool), FILE_SYSTEM, NTMS_FILESYSTEM_INFO("UDF", "a", 5))
    return denied(w, "UpdateNtmsOmidInfo", arguments, (POOL, pool), w2k3=C)


@pair("UpdateNtmsOmidInfo", "ERROR_INVALID_MEDIA", when="the logical medium cannot be found in the catalogue")
def label_nothing(w: World) -> Made:
    label = (FILE_SYSTEM, NTMS_FILESYSTEM_INFO("UDF", "a", 5))
    return calls("UpdateNtmsOmidInfo", w.h, *((other, *label) for other in no_logical_media(w)))


pair("UpdateNtmsOmidInfo", "ERROR_INVALID_PARTITION", when="the side cannot be found in the catalogue", fresh=True)(
    lambda w: lost_side(w, "UpdateNtmsOmidInfo", FILE_SYSTEM, NTMS_FILESYSTEM_INFO("UDF", "a", 5))
)


@pair("UpdateNtmsOmidInfo", "ERROR_BAD_FORMAT", when="no MLL accepts the label")
def label_nobody_knows(w: World) -> Made:
    medium = w.held()
    free = labels.make_free_label(unknown(), "A00001", w.session.media.list()[0].created)
    damaged = [free[:-1], b"x" + free[1:], free[:600] + b"!" + free[601:]]
    return calls(
        "UpdateNtmsOmidInfo",
        w.h,
        *((medium, RAW, label) for label in (b"TAPE1", bytes(2048), *damaged)),
        (medium, RAW, free, len(free) - 1),
    )


@pair("UpdateNtmsOmidInfo", "ERROR_NOT_SUPPORTED", when="called from a remote machine", fresh=True)
def label_written_elsewhere(w: World) -> Made:
    """The cartridge is in a library that another host has a path to, and this one has not."""
    stock = w.stock(media=1)
    with builders.behind(w.url) as connection:
        connection.execute(update(model.DevicePath).values(host="elsewhere"))
    (medium,) = (medium.id for medium in stock.media)
    return calls("UpdateNtmsOmidInfo", w.h, (medium, FILE_SYSTEM, NTMS_FILESYSTEM_INFO("UDF", "a", 5)))


@pair(
    "UpdateNtmsOmidInfo",
    "ERROR_INVALID_PARAMETER",
    when="labelType unknown, buffer null or of the wrong size",
)
def label_malformed(w: World) -> Made:
    medium, info = w.held(), NTMS_FILESYSTEM_INFO("UDF", "a", 5)
    make: Any = NTMS_FILESYSTEM_INFO
    wrong: list[tuple[Any, ...]] = [
        *((kind, info) for kind in (0, 3, 0xFFFFFFFF, -1, None, "1")),
        *((RAW, buffer) for buffer in (None, b"", "label", info, [1, 2])),
        *((RAW, b"label", size) for size in (0, 6, -1, "5")),
        *((FILE_SYSTEM, buffer) for buffer in (None, b"UDF", "UDF", ntmsapi.NTMS_ASYNC_IO())),
        *((FILE_SYSTEM, info, size) for size in (0, 643, 645)),
        *((FILE_SYSTEM, make(name, "a", 5)) for name in ("", "x" * 64, "a\0b", "\ud800", None, 5)),
        *((FILE_SYSTEM, make("UDF", name, 5)) for name in ("x" * 256, "a\0b", "\udfff", None, b"a")),
        *((FILE_SYSTEM, make("UDF", "a", number)) for number in (-1, 2**32, None, "5")),
    ]
    return calls("UpdateNtmsOmidInfo", w.h, *((medium, *arguments) for arguments in wrong))
