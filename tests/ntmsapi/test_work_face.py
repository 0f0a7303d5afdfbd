"""The calls of the Win32 face about allocating, the queue and operators where no error is in play: what they give."""

import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import Postgresql
from ntmsapi.pairs_world import World, Worlds

from rsm import labels, ntmsapi
from rsm.constants import (
    INFINITE,
    NTMS_ALLOCATE_NEW,
    NTMS_ALLOCATE_NEXT,
    NTMS_LIBREQUEST,
    NTMS_OMID_TYPE_FILESYSTEM_INFO,
    NTMS_OMID_TYPE_RAW_LABEL,
    NTMS_OPREQ_MESSAGE,
    NTMS_OPREQ_MOVEMEDIA,
    NULL_GUID,
    ErrorCode,
    NtmsOpreqState,
)
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsPartitionState as State

NEW, NEXT = int(NTMS_ALLOCATE_NEW), int(NTMS_ALLOCATE_NEXT)


@pytest.fixture(scope="module")
def worlds(
    postgresql: Postgresql, sqlite_templates: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Worlds]:
    with Worlds(postgresql, sqlite_templates, tmp_path_factory.mktemp("worlds")) as made:
        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
def w(request: pytest.FixtureRequest, worlds: Worlds) -> Iterator[World]:
    world = worlds.shared(request.param)
    with world.undo:
        yield world


def states(w: World, *sides: uuid.UUID) -> list[State]:
    return [State(w.information(Kind.NTMS_PARTITION, side).Info.State) for side in sides]


# Allocating


def test_allocation_gives_the_medium_and_the_pool_it_came_from(w: World) -> None:
    media_type, free = w.new_type()
    pool = w.session.pools.create(w.path(), media_type=media_type, allocate_from_free=True).id
    imported = w.online(w.pool(media_type), State.NTMS_PARTSTATE_IMPORT)[0]
    elsewhere = w.session.objects.get(Kind.NTMS_PARTITION, imported).pool
    drawn, own = w.online(free)[0], w.online(pool)[0]
    for side, source, named in ((own, pool, None), (drawn, free, None), (imported, elsewhere, imported)):
        code, medium, came_from = ntmsapi.AllocateNtmsMedia(w.h, pool, named)
        assert (code, came_from) == (0, source)
        assert (w.side_of(medium), states(w, side)) == (side, [State.NTMS_PARTSTATE_ALLOCATED])
        assert w.information(Kind.NTMS_LOGICAL_MEDIA, medium).Info.MediaPool == pool
    nothing = ntmsapi.AllocateNtmsMedia(w.h, pool, dwTimeout=0)
    assert nothing == (ErrorCode.ERROR_TIMEOUT, None, None)


def test_both_sides_for_one_application(w: World) -> None:
    pool = w.pool(w.two_sided)
    sides = w.online(pool, sides=2)
    code, first, _ = ntmsapi.AllocateNtmsMedia(w.h, pool, None, NULL_GUID, NEW)  # without NEXT it is not read
    assert code == 0
    kept = next(side for side in sides if side != w.side_of(first))
    assert states(w, kept) == [State.NTMS_PARTSTATE_RESERVED]
    assert ntmsapi.AllocateNtmsMedia(w.h, pool, dwTimeout=0)[0] == ErrorCode.ERROR_TIMEOUT
    code, second, source = ntmsapi.AllocateNtmsMedia(w.h, pool, None, first, NEXT)
    assert (code, source, w.side_of(second)) == (0, pool, kept)
    assert [ntmsapi.DeallocateNtmsMedia(w.h, medium) for medium in (first, second)] == [0, 0]
    assert states(w, *sides) == [State.NTMS_PARTSTATE_AVAILABLE] * 2


def test_swapped_media_keep_their_ids(w: World) -> None:
    pool = w.pool()
    media = w.held(pool), w.held(pool)
    sides = [w.side_of(medium) for medium in media]
    assert ntmsapi.SwapNtmsMedia(w.h, *media) == 0
    assert [w.side_of(medium) for medium in media] == sides[::-1]


def test_what_becomes_of_a_side(w: World) -> None:
    medium, side = w.held(), w.side()
    assert ntmsapi.SetNtmsMediaComplete(w.h, medium) == 0
    assert ntmsapi.DecommissionNtmsMedia(w.h, side) == 0
    expected = [State.NTMS_PARTSTATE_COMPLETE, State.NTMS_PARTSTATE_DECOMMISSIONED]
    assert states(w, w.side_of(medium), side) == expected


def test_labels_are_recorded_as_they_were_recognised(w: World) -> None:
    medium = w.held()
    label_id = uuid.uuid4()
    written = w.information(Kind.NTMS_LOGICAL_MEDIA, medium).Created
    assert written is not None
    free = labels.make_free_label(label_id, "A00001", written)
    volume = ntmsapi.NTMS_FILESYSTEM_INFO("UDF", "Ünïcode " + "x" * 247, 0xFEDCBA98)
    raw, system = NTMS_OMID_TYPE_RAW_LABEL, NTMS_OMID_TYPE_FILESYSTEM_INFO
    of_label = ("RSM free", label_id.bytes, "A00001")
    of_volume = ("UDF", bytes.fromhex("98badcfe"), volume.VolumeName)
    cases: list[tuple[tuple[Any, ...], tuple[str, bytes, str]]] = [
        ((raw, free), of_label),
        ((system, volume), of_volume),
        ((raw, memoryview(free + b"data that follows")), of_label),
        ((system, volume, 644), of_volume),
        ((raw, bytearray(free + b"x"), len(free)), of_label),
    ]
    for arguments, expected in cases:
        assert ntmsapi.UpdateNtmsOmidInfo(w.h, medium, *arguments) == 0
        info = w.information(Kind.NTMS_PARTITION, w.side_of(medium)).Info
        assert (info.szOmidLabelType, info.OmidLabelId, info.szOmidLabelInfo) == expected
        assert info.dwOmidLabelIdLength == len(expected[1])


# The queue


def test_order_of_mounts(w: World) -> None:
    library = w.library().id
    first, second, third = (w.request(library=library) for _ in range(3))

    def order() -> list[uuid.UUID]:
        found = {one: ntmsapi.GetNtmsRequestOrder(w.h, one) for one in (first, second, third)}
        assert all(code == 0 for code, _ in found.values())
        return sorted(found, key=lambda one: found[one][1])

    assert order() == [first, second, third]
    assert ntmsapi.GetNtmsRequestOrder(w.h, first) == (0, 1)
    assert ntmsapi.SetNtmsRequestOrder(w.h, third, 1) == 0
    assert order() == [third, first, second]
    assert ntmsapi.SetNtmsRequestOrder(w.h, third, 0xFFFFFFFF) == 0
    assert order() == [first, second, third]
    assert ntmsapi.GetNtmsRequestOrder(w.h, third) == (0, 0xFFFFFFFF)
    assert ntmsapi.CancelNtmsLibraryRequest(w.h, first) == 0
    assert ntmsapi.GetNtmsRequestOrder(w.h, first) == (0, 0)


def test_count_of_requests_to_remove(w: World) -> None:
    requests = w.library(requests=3).requests
    for count, left in ((0, 3), (2, 1), (None, 0)):
        assert ntmsapi.DeleteNtmsRequests(w.h, tuple(requests), NTMS_LIBREQUEST, count) == 0
        assert sum(one in w.session.objects.list(Kind.NTMS_LIBREQUEST) for one in requests) == left


# Operators


def test_operator_request_shows_what_was_asked(w: World) -> None:
    medium = w.medium()
    code, asked = ntmsapi.SubmitNtmsOperatorRequest(w.h, NTMS_OPREQ_MOVEMEDIA, "x" * 255, medium, w.robot.id)
    assert code == 0
    info = w.information(Kind.NTMS_OPREQUEST, asked).Info
    assert (info.Request, info.szMessage, info.szApplication) == (NTMS_OPREQ_MOVEMEDIA, "x" * 255, "tests")
    kinds = (Kind.NTMS_PHYSICAL_MEDIA, Kind.NTMS_LIBRARY)
    assert ((info.Arg1Type, info.Arg2Type), info.Arg1, info.Arg2) == (kinds, medium, w.robot.id)
    code, bare = ntmsapi.SubmitNtmsOperatorRequest(w.h, NTMS_OPREQ_MESSAGE)
    info = w.information(Kind.NTMS_OPREQUEST, bare).Info
    assert (code, info.szMessage, info.Arg1, info.Arg2) == (0, "", NULL_GUID, NULL_GUID)
    answers = {
        asked: (ntmsapi.SatisfyNtmsOperatorRequest, NtmsOpreqState.NTMS_OPSTATE_COMPLETE),
        bare: (ntmsapi.CancelNtmsOperatorRequest, NtmsOpreqState.NTMS_OPSTATE_REFUSED),
    }
    for request, (answer, state) in answers.items():
        assert answer(w.h, request) == 0
        assert w.information(Kind.NTMS_OPREQUEST, request).Info.State == state


@pytest.mark.parametrize("time", [60_000, INFINITE])
def test_closing_the_session_ends_its_waits(time: int, w: World) -> None:
    pool, request = w.pool(), w.asked()
    waits: list[Callable[[Any], Any]] = [
        lambda handle: ntmsapi.AllocateNtmsMedia(handle, pool, dwTimeout=time)[0],
        lambda handle: ntmsapi.WaitForNtmsOperatorRequest(handle, request, time),
    ]
    for wait in waits:
        handle = w.new_handle()
        with w.once_waiting(partial(ntmsapi.CloseNtmsSession, handle)):
            assert wait(handle) == ErrorCode.ERROR_CANCELLED
        assert wait(handle) == ErrorCode.ERROR_INVALID_HANDLE
    asked = w.session.operators.list(NtmsOpreqState.NTMS_OPSTATE_SUBMITTED)
    assert pool not in [one.argument1 for one in asked]  # what the allocation asked for went with it
    assert request in [one.id for one in asked]


def test_media_that_an_operator_brings_end_the_wait(w: World) -> None:
    pool = w.pool()

    def bring() -> None:
        w.online(pool)
        (asked,) = [one for one in w.session.operators.list() if one.argument1 == pool]
        assert ntmsapi.SatisfyNtmsOperatorRequest(w.h, asked.id) in (0, ErrorCode.ERROR_OBJECT_NOT_FOUND)

    with w.once_waiting(bring):
        code, medium, source = ntmsapi.AllocateNtmsMedia(w.h, pool, dwTimeout=60_000)
    assert (code, source) == (0, pool)
    assert w.information(Kind.NTMS_LOGICAL_MEDIA, medium).Info.MediaPool == pool
    assert pool not in [one.argument1 for one in w.session.operators.list()]
