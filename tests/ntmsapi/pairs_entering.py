"""The cases of the table that are about putting cartridges on record."""

import dataclasses
import uuid
from typing import Any

from ntmsapi.pairs_table import ERAS, Made, calls, denied, pair
from ntmsapi.pairs_world import World

from rsm import ntmsapi
from rsm.constants import NTMS_ERROR_ON_DUPLICATE, NTMS_PARTITION, NTMS_PHYSICAL_MEDIA, NULL_GUID
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsPartitionState as State
from rsm.security import AccessRights

M, C = AccessRights.MODIFY, AccessRights.CONTROL
POOL, LIBRARY, COMPUTER = Kind.NTMS_MEDIA_POOL, Kind.NTMS_LIBRARY, Kind.NTMS_COMPUTER


def unknown() -> uuid.UUID:
    return uuid.uuid4()


def creation(w: World, pool: Any = None, options: int = 0, **members: Any) -> tuple[Any, ...]:
    side = {name: members.pop(name) for name in list(members) if name in SIDE_MEMBERS}
    return w.medium_structure(pool or w.pool(), **members), [w.side_structure(**side)], options


SIDE_MEMBERS = {field.name for field in dataclasses.fields(ntmsapi.NTMS_PARTITIONINFORMATION)}


@pair("CreateNtmsMedia", "ERROR_ACCESS_DENIED", when="no NTMS_MODIFY_ACCESS on the computer")
def create_medium_without_computer(w: World) -> Made:
    pool = w.pool()
    return denied(w, "CreateNtmsMedia", creation(w, pool), (COMPUTER, w.computer), w2k3=M, others=[(POOL, pool)])


@pair("CreateNtmsMedia", "ERROR_ACCESS_DENIED", when="no NTMS_MODIFY_ACCESS on the media pool", eras=ERAS)
def create_medium_without_pool(w: World) -> Made:
    pool = w.pool()
    others = [(COMPUTER, w.computer), (LIBRARY, w.offline)]
    return denied(w, "CreateNtmsMedia", creation(w, pool), (POOL, pool), w2k3=M, w2k=C, others=others)


@pair(
    "CreateNtmsMedia",
    "ERROR_DUPLICATE_OMID",
    when="NTMS_ERROR_ON_DUPLICATE was given and a medium with this OMID is on record",
)
def create_duplicate(w: World) -> Made:
    pool, arguments = w.pool(), creation(w, options=int(NTMS_ERROR_ON_DUPLICATE))
    label = arguments[1][0].Info.OmidLabelId
    for _ in range(2):  # without the option two cartridges may have one label
        assert ntmsapi.CreateNtmsMedia(w.h, *creation(w, pool, OmidLabelId=label))[0] == 0
    return calls("CreateNtmsMedia", w.h, arguments)


@pair("CreateNtmsMedia", "ERROR_INVALID_MEDIA", when="a medium with this bar code is on record already")
def create_same_barcode(w: World) -> Made:
    barcode = w.name("B")
    w.medium(barcode=barcode)
    return calls("CreateNtmsMedia", w.h, creation(w, szBarCode=barcode), creation(w, szBarCode=f"{barcode}  "))


@pair("CreateNtmsMedia", "ERROR_BAD_FORMAT", when="no MLL recognises OmidLabelId")
def unreadable_label(w: World) -> Made:
    return calls("CreateNtmsMedia", w.h, *(with_side(w, szOmidLabelType=name) for name in ("Nightly", "mtf", "MTF ")))


@pair("CreateNtmsMedia", "ERROR_INVALID_MEDIA_POOL", when="the pool does not exist")
def create_in_no_pool(w: World) -> Made:
    return calls("CreateNtmsMedia", w.h, *(creation(w, pool) for pool in (unknown(), NULL_GUID, w.lto8, w.robot.id)))


@pair("CreateNtmsMedia", "ERROR_INVALID_MEDIA_POOL", when="the pool is neither an import nor an application pool")
def create_in_system_pool(w: World) -> Made:
    pools = [w.system_pool("Free"), w.system_pool("Unrecognized"), w.root, w.pool(of_pools=True)]
    return calls("CreateNtmsMedia", w.h, *(creation(w, pool) for pool in pools))


@pair(
    "CreateNtmsMedia",
    "ERROR_INVALID_PARAMETER",
    when="dwSize of lpMedia is not that of the structure with its physical-media part",
)
def create_wrong_size(w: World) -> Made:
    return calls("CreateNtmsMedia", w.h, *(creation(w, dwSize=size) for size in (0, 1396, 1409, None, "1408")))


@pair("CreateNtmsMedia", "ERROR_INVALID_PARAMETER", when="dwType of lpMedia is not NTMS_PHYSICAL_MEDIA")
def create_wrong_type(w: World) -> Made:
    return calls("CreateNtmsMedia", w.h, *(creation(w, dwType=kind) for kind in (0, 11, NTMS_PARTITION, 19, None)))


def with_side(w: World, **members: Any) -> tuple[Any, ...]:
    return w.medium_structure(w.pool()), [w.side_structure(**members)]


@pair(
    "CreateNtmsMedia",
    "ERROR_INVALID_PARAMETER",
    when="dwSize of a side entry is not that of the structure with its side part",
)
def create_wrong_side_size(w: World) -> Made:
    return calls("CreateNtmsMedia", w.h, *(with_side(w, dwSize=size) for size in (0, 1396, None)))


@pair("CreateNtmsMedia", "ERROR_INVALID_PARAMETER", when="dwType of a side entry is not NTMS_PARTITION")
def create_wrong_side_type(w: World) -> Made:
    return calls("CreateNtmsMedia", w.h, *(with_side(w, dwType=kind) for kind in (0, NTMS_PHYSICAL_MEDIA, 18, None)))


@pair(
    "CreateNtmsMedia",
    "ERROR_MEDIA_INCOMPATIBLE",
    when="dwNumberOfPartitions differs from the number of sides of the media type of the pool",
)
def create_wrong_sides(w: World) -> Made:
    two = (w.medium_structure(w.pool(), 2), [w.side_structure(), w.side_structure()])
    return calls("CreateNtmsMedia", w.h, two, creation(w, w.pool(w.two_sided)))


@pair("CreateNtmsMedia", "ERROR_ALREADY_EXISTS", when="a preset LogicalMedia id is in use already")
def create_used_logical(w: World) -> Made:
    used = w.session.media.sides(w.medium(state=State.NTMS_PARTSTATE_ALLOCATED))[0].logical_medium
    state = int(State.NTMS_PARTSTATE_ALLOCATED)
    return calls("CreateNtmsMedia", w.h, *(creation(w, LogicalMedia=other, State=state) for other in (used, w.root)))


@pair("CreateNtmsMedia", "ERROR_ALREADY_EXISTS", when="a preset ObjectGuid is in use already")
def create_used_id(w: World) -> Made:
    medium = w.medium()
    side = w.session.media.sides(medium)[0].id
    twice = creation(w, ObjectGuid=(both := unknown()))
    twice[1][0].ObjectGuid = both
    return calls("CreateNtmsMedia", w.h, creation(w, ObjectGuid=medium), with_side(w, ObjectGuid=side), twice)


@pair("CreateNtmsMedia", "ERROR_INVALID_LIBRARY", when="CurrentLibrary is neither null nor the offline library")
def create_in_library(w: World) -> Made:
    return calls("CreateNtmsMedia", w.h, *(creation(w, CurrentLibrary=other) for other in (w.robot.id, unknown())))


@pair("CreateNtmsMedia", "ERROR_INVALID_PARAMETER", when="dwOmidLabelIdLength is 0, or szOmidLabelType is empty")
def create_without_label(w: World) -> Made:
    return calls(
        "CreateNtmsMedia",
        w.h,
        creation(w, dwOmidLabelIdLength=0),
        creation(w, szOmidLabelType=""),
        creation(w, OmidLabelId=b""),
        creation(w, dwOmidLabelIdLength=17),
    )
