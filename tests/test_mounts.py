"""Media in drives: what a mount gives, who gets a drive, what may be done with a side, and how it is given back."""

import errno
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import builders
import mounting
import pytest
from mounting import CAPACITY_BYTES, LONG_MS, Heard, Stock
from watch import nothing_changed, refused

import rsm
from rsm import model
from rsm.constants import NtmsDriveState, NtmsLmState, NtmsMediaState, NtmsOperationalState
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsPartitionState as State
from rsm.nouns.waiting import WaitReason

pytestmark = pytest.mark.works

ALLOCATED, AVAILABLE, COMPLETE = (
    State.NTMS_PARTSTATE_ALLOCATED,
    State.NTMS_PARTSTATE_AVAILABLE,
    State.NTMS_PARTSTATE_COMPLETE,
)
TWO_SIDED: dict[str, Any] = {"media_type": "MO_5_RW", "states": (ALLOCATED, ALLOCATED)}
LABEL_BYTES = 1024
Make = Callable[..., Stock]


@pytest.fixture
def make(session: rsm.Session, tmp_path: Path) -> Make:
    """Return what makes stocked libraries."""
    return lambda **options: mounting.make_stock(session, tmp_path, **options)


def mount(stock: Stock, medium: Any, **options: Any) -> rsm.Mount:
    """Mount one medium, or fail."""
    made = stock.session.mounts.mount(medium, **{"timeout_ms": LONG_MS, **options})
    assert isinstance(made, rsm.Mount)
    return made


def read(held: rsm.Mount) -> bytes:
    """Return all that is recorded on a mounted side."""
    with held.open() as file:
        return file.read()


# What a mount is


def test_a_mount_gives_the_side_until_it_is_given_back(make: Make) -> None:
    stock = make(media=1)
    (medium,), (drive,), home = stock.media, stock.drives, stock.place(stock.media[0])
    with mount(stock, medium, write=True) as held:
        assert (held.side, held.medium, held.for_writing) == (medium.side, medium.medium, True)
        assert held.barcode == stock.cartridge(medium).barcode
        assert stock.place(medium) == "drive-01"
        assert held.path is not None
        assert os.path.realpath(held.path) == str(stock.on_disk(medium) / "side-1")
        assert held.free_bytes == CAPACITY_BYTES - LABEL_BYTES
        assert (held.drive.id, held.drive.state) == (drive.id, NtmsDriveState.NTMS_DRIVESTATE_LOADED)
        assert (held.drive.loaded_side, held.drive.mount_count) == (medium.side, drive.mount_count + 1)
        assert stock.cartridge(medium).mounted_side == medium.side
        assert stock.side(medium).mount_count == 1
        assert repr(held).startswith("<rsm.Mount of ")
    stock.settle()
    assert (stock.place(medium), stock.cartridge(medium).mounted_side) == (home, None)
    assert stock.drives[0].state is NtmsDriveState.NTMS_DRIVESTATE_DISMOUNTED
    with nothing_changed(stock.session.database):
        held.dismount()
        for use in (held.open, held.__enter__):
            with refused(rsm.InvalidStateError):
                use()
    assert len(stock.moves()) == 2


@pytest.mark.parametrize("name", ["logical", "logical id", "side", "side id", "cartridge", "cartridge id", "bar code"])
def test_whatever_names_a_side_mounts_it(make: Make, name: str) -> None:
    stock = make(media=1)
    medium, side, cartridge = stock.media[0], stock.side(stock.media[0]), stock.cartridge(stock.media[0])
    named = {
        "logical": medium,
        "logical id": medium.id,
        "side": side,
        "side id": side.id,
        "cartridge": cartridge,
        "cartridge id": cartridge.id,
        "bar code": cartridge.barcode,
    }[name]
    with mount(stock, named) as held:
        assert held.side == medium.side


def test_what_is_written_is_read_back_and_appended_to(make: Make) -> None:
    stock = make(media=1)
    with mount(stock, stock.media[0], write=True) as held:
        with held.open("wb") as file:
            file.write(b"first ")
        with held.open("ab") as file:
            file.write(b"second")
        assert held.free_bytes == CAPACITY_BYTES - 12
        with refused(rsm.InvalidParameterError):
            held.open("r")  # type: ignore[arg-type]
    assert stock.side(stock.media[0]).label_type == "RSM free"  # as long as it is in the drive
    stock.settle()
    assert stock.side(stock.media[0]).label_type == ""  # overwritten by its owner: no label is right from now on
    with mount(stock, stock.media[0]) as held:
        assert read(held) == b"first second"


def test_files_still_open_are_closed_before_the_robot_takes_the_cartridge(make: Make) -> None:
    stock = make(media=1)
    with mount(stock, stock.media[0], write=True) as held:
        file = held.open("wb")
        file.write(b"data")
    assert file.closed
    stock.settle()
    assert (stock.on_disk(stock.media[0]) / "side-1").read_bytes() == b"data"


@pytest.mark.parametrize(("write", "protected"), [(False, False), (True, True)], ids=["mounted to read", "protected"])
@pytest.mark.parametrize("disk", [False, True])
def test_what_may_not_be_written_is_refused_as_a_file_system_does(
    make: Make, write: bool, protected: bool, disk: bool
) -> None:
    stock = make(media=1, protected=protected, disk=disk)
    with mount(stock, stock.media[0], write=write) as held:
        for mode in ("wb", "ab"):
            with pytest.raises(OSError, match="Read-only") as caught:
                held.open(mode)
            assert caught.value.errno == errno.EROFS
        assert len(read(held)) == LABEL_BYTES


@pytest.mark.parametrize("disk", [False, True])
def test_a_side_takes_what_fits_and_not_a_byte_more(make: Make, disk: bool) -> None:
    stock = make(media=1, disk=disk)
    with mount(stock, stock.media[0], write=True) as held:
        with held.open("wb") as file:
            file.write(bytes(CAPACITY_BYTES - 1))
            with pytest.raises(OSError, match="No space") as caught:
                file.write(b"12")
            assert caught.value.errno == errno.ENOSPC
            file.write(b"1")
        assert held.free_bytes == 0
    assert stock.side(stock.media[0]).operational_state is NtmsOperationalState.NTMS_READY


def _overfill(held: rsm.Mount) -> None:
    assert held.path is not None
    Path(held.path).write_bytes(bytes(CAPACITY_BYTES + 1))


def _alter(held: rsm.Mount) -> None:
    assert held.path is not None
    with open(held.path, "ab") as file:
        file.write(b"!")


@pytest.mark.parametrize(("write", "spoil"), [(True, _overfill), (False, _alter)], ids=["overfull", "changed"])
@pytest.mark.parametrize("error", [None, ValueError])
def test_what_went_wrong_through_the_path_is_marked_and_told(
    make: Make, write: bool, spoil: Callable[[rsm.Mount], None], error: type[Exception] | None
) -> None:
    """The cartridge is put away all the same, and the error of the body is the one that is seen."""
    stock = make(media=1)
    home = stock.place(stock.media[0])

    def use() -> None:
        with mount(stock, stock.media[0], write=write) as held:
            spoil(held)
            if error is not None:
                raise error

    with pytest.raises(error or rsm.InvalidStateError):
        use()
    side = stock.side(stock.media[0])
    assert side.operational_state is NtmsOperationalState.NTMS_NEEDS_SERVICE
    assert side.description
    stock.settle()
    assert stock.place(stock.media[0]) == home


def test_the_error_of_the_body_is_seen_when_everything_is_gone(make: Make) -> None:
    stock = make(media=1)

    def use() -> None:
        with mount(stock, stock.media[0]):
            stock.session.close()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use()


def test_a_label_overwritten_behind_our_back_is_no_mount(make: Make) -> None:
    stock = make(media=1)
    home = stock.place(stock.media[0])
    (stock.on_disk(stock.media[0]) / "side-1").write_bytes(b"somebody else's")
    with refused(rsm.InvalidStateError):
        mount(stock, stock.media[0])
    stock.settle()
    assert stock.place(stock.media[0]) == home
    assert stock.cartridge(stock.media[0]).mounted_side is None


def test_what_is_taken_out_by_hand_is_mounted_no_more(make: Make, tmp_path: Path) -> None:
    stock = make(media=1)
    with mount(stock, stock.media[0], write=True) as held:
        stock.put_on_shelf(stock.media[0], tmp_path / "shelf")
        with refused(rsm.InvalidStateError):
            held.open("ab")
    assert stock.cartridge(stock.media[0]).mounted_side is None


# Several


def test_several_are_mounted_together(make: Make) -> None:
    stock = make(media=2, drives=2)
    with stock.session.mounts.mount(stock.media, write=True, timeout_ms=LONG_MS) as held:
        assert [each.side for each in held] == [medium.side for medium in stock.media]
        assert {each.drive.id for each in held} == {drive.id for drive in stock.drives}
        assert {stock.place(medium) for medium in stock.media} == {"drive-01", "drive-02"}
    stock.settle()
    assert {stock.place(medium)[:4] for medium in stock.media} == {"slot"}
    with stock.session.mounts.mount((stock.media[0],), timeout_ms=LONG_MS) as one:
        assert isinstance(one, tuple)
        assert len(one) == 1


def test_of_several_none_moves_while_one_has_to_wait(make: Make) -> None:
    stock = make(media=3, drives=2)
    first, *others = stock.media
    with mount(stock, first) as held:
        heard = Heard(DRIVE_BUSY=lambda _: held.dismount(deferred=True))
        for options, error in (
            ({"timeout_ms": 0}, rsm.TimeoutError),
            ({"timeout_ms": 50}, rsm.TimeoutError),
            ({"error_if_busy": True, "timeout_ms": LONG_MS}, rsm.BusyError),
        ):
            with refused(error):
                stock.session.mounts.mount(others, **options)  # type: ignore[call-overload]
        assert len(stock.moves()) == 1
        with stock.session.mounts.mount(others, timeout_ms=LONG_MS, on_wait=heard) as both:
            assert {each.drive.id for each in both} == {drive.id for drive in stock.drives}
        assert WaitReason.DRIVE_BUSY in heard.reasons


def test_of_several_none_stays_when_one_cannot_be_mounted(make: Make) -> None:
    stock = make(media=2, drives=2)
    (stock.on_disk(stock.media[1]) / "side-1").write_bytes(b"somebody else's")
    asked = stock.session.mounts.request(stock.media)
    with refused(rsm.InvalidStateError):
        asked.wait(LONG_MS)
    assert asked.state is NtmsLmState.NTMS_LM_FAILED
    stock.settle()
    assert {stock.place(medium)[:4] for medium in stock.media} == {"slot"}
    with mount(stock, stock.media[0]) as held:
        assert held.free_bytes


def test_of_several_one_is_begun_again_after_it_was_moved_by_hand(make: Make) -> None:
    stock = make(media=2, drives=2)
    os.rename(stock.on_disk(stock.media[1]), stock.folder / "slot-0003" / stock.cartridge(stock.media[1]).barcode)
    with stock.session.mounts.mount(stock.media, timeout_ms=LONG_MS) as both:
        assert [each.side for each in both] == [medium.side for medium in stock.media]


def test_several_share_one_exit_and_one_fault_does_not_keep_the_others(make: Make) -> None:
    stock = make(media=2, drives=2)
    with (
        refused(rsm.InvalidStateError),
        stock.session.mounts.mount(stock.media, write=True, timeout_ms=LONG_MS) as both,
    ):
        _overfill(both[1])
    stock.settle()
    assert {stock.place(medium)[:4] for medium in stock.media} == {"slot"}


# Drives


def test_a_named_drive_is_the_one_taken(make: Make) -> None:
    stock = make(media=2, drives=2)
    first, second = stock.drives
    for drive in (second, second.id, second.name, [second]):
        with mount(stock, stock.media[0], drive=drive) as held:
            assert held.drive.id == second.id
        stock.settle()
    with mount(stock, stock.media[0], drive=second) as held:
        heard = Heard(DRIVE_BUSY=lambda _: held.dismount())
        with mount(stock, stock.media[1], drive=second, on_wait=heard) as other:
            assert other.drive.id == second.id
        assert WaitReason.DRIVE_BUSY in heard.reasons
    with stock.session.mounts.mount(stock.media, drive=[second, first], timeout_ms=LONG_MS) as both:
        assert [each.drive.id for each in both] == [second.id, first.id]


def test_who_waits_is_served_by_priority_and_then_by_turn(make: Make) -> None:
    stock = make(media=6)
    holder = mount(stock, stock.media[0])
    asked = {
        (priority, number): stock.session.mounts.request(medium, priority=priority)
        for number, (priority, medium) in enumerate(zip((0, -7, 7, 0, 15), stock.media[1:], strict=True))
    }
    turns = sorted(asked, key=lambda key: (-key[0], key[1]))
    assert [asked[key].position for key in turns] == [1, 2, 3, 4, 5]
    assert {each.state for each in asked.values()} == {NtmsLmState.NTMS_LM_QUEUED}
    for turn, key in enumerate(turns):
        holder.dismount(deferred=bool(turn % 2))
        served = asked[key].wait(LONG_MS)
        assert isinstance(served, rsm.Mount)
        holder = served
        assert (asked[key].state, asked[key].position) == (NtmsLmState.NTMS_LM_PASSED, 0)
        assert [asked[later].position for later in turns[turn + 1 :]] == list(range(1, len(turns) - turn))
    holder.dismount()


def test_deferred_and_mounted_again_no_robot_moves(make: Make) -> None:
    stock = make(media=1)
    (medium,) = stock.media
    with mount(stock, medium, write=True) as held:
        with held.open("wb") as file:
            file.write(b"data")
        held.dismount(deferred=True)
    stock.settle()
    assert stock.place(medium) == "drive-01"
    (drive,) = stock.drives
    assert drive.state is NtmsDriveState.NTMS_DRIVESTATE_DISMOUNTABLE
    assert len(stock.moves()) == 1
    with mount(stock, medium) as again:
        assert again.drive.state is NtmsDriveState.NTMS_DRIVESTATE_LOADED
        assert read(again) == b"data"
    stock.settle()
    assert [drive for _, drive in stock.moves()] == [stock.drives[0].id, None]


def test_a_deferred_cartridge_makes_room_for_another(make: Make) -> None:
    stock = make(media=2)
    mount(stock, stock.media[0]).dismount(deferred=True)
    assert stock.place(stock.media[0]) == "drive-01"
    with mount(stock, stock.media[1], timeout_ms=0) as held:
        assert held.drive.loaded_side == stock.media[1].side
        assert stock.place(stock.media[0])[:4] == "slot"


def test_the_delay_of_a_deferred_dismount_is_the_drives_own(make: Make) -> None:
    stock = make(media=1)
    stock.session.objects.update(Kind.NTMS_DRIVE, stock.drives[0], defer_dismount_seconds=0)
    mount(stock, stock.media[0]).dismount(deferred=True)
    stock.settle()
    assert stock.place(stock.media[0])[:4] == "slot"


def test_a_dismount_that_was_put_off_empties_the_drive_of_what_is_in_it_by_then(make: Make, url: str) -> None:
    stock = make(media=2)
    first, second = stock.media
    mount(stock, first).dismount(deferred=True)
    (put_off,) = stock.session.requests.list(live=True)
    looked_at = stock.session.libraries.identify(stock.slots[1], deferred=True)
    assert looked_at is not None
    stock.session.requests.wait(looked_at, timeout_ms=LONG_MS)
    assert stock.place(second) == "drive-01"
    builders.set_columns(url, model.LibraryRequest, put_off.id, due=datetime.now(UTC))
    mounting.look(stock.session, stock.library)
    stock.settle()
    for medium in stock.media:
        assert stock.place(medium)[:4] == "slot"
        assert stock.cartridge(medium).media_state is NtmsMediaState.NTMS_MEDIASTATE_IDLE


def test_a_second_side_needs_the_cartridge_turned_over(make: Make) -> None:
    stock = make(media=1, **TWO_SIDED)
    first, second = stock.media
    for named in (stock.cartridge(first), stock.cartridge(first).barcode, [first, second], [first, first]):
        with nothing_changed(stock.session.database), refused(rsm.InvalidMediaError):
            stock.session.mounts.request(named)
    for medium, side in ((first, "side-1"), (second, "side-2"), (second, "side-2"), (first, "side-1")):
        with mount(stock, medium, write=True) as held:
            assert held.path is not None
            assert os.path.realpath(held.path).endswith(side)
            with held.open("wb") as file:
                file.write(side.encode())
            held.dismount(deferred=True)
    assert len(stock.moves()) == 1 + 2 + 0 + 2
    with mount(stock, first) as held:
        heard = Heard(MEDIUM_BUSY=lambda _: held.dismount())
        with mount(stock, second, on_wait=heard) as other:
            assert read(other) == b"side-2"
        assert WaitReason.MEDIUM_BUSY in heard.reasons


# Giving back


def test_another_session_can_dismount(make: Make, connect: Callable[..., rsm.Session]) -> None:
    stock, other = make(media=2, drives=2), connect()
    held = stock.session.mounts.mount(stock.media, write=True, timeout_ms=LONG_MS)
    other.mounts.dismount(*stock.media)
    with refused(rsm.InvalidStateError):
        held[0].open("ab")
    stock.settle()
    assert {stock.place(medium)[:4] for medium in stock.media} == {"slot"}
    with nothing_changed(stock.session.database):
        for each in held:
            each.dismount()


def test_what_cannot_be_dismounted(make: Make, connect: Callable[..., rsm.Session], tmp_path: Path) -> None:
    stock, alice = make(media=3, drives=2), connect("user:alice")
    mounted, stored, away = stock.media
    stock.put_on_shelf(away, tmp_path / "shelf")
    dismount = stock.session.mounts.dismount
    with mount(stock, mounted) as held:
        with nothing_changed(stock.session.database):
            for media, error in (
                ((), rsm.InvalidParameterError),
                ((mounted, stock.library.id), rsm.InvalidMediaError),
                ((mounted, "nothing"), rsm.InvalidMediaError),
                ((mounted, away), rsm.MediaOfflineError),
                ((mounted, stored), rsm.InvalidStateError),
            ):
                with refused(error):
                    dismount(*media)
            with refused(rsm.AccessDeniedError):
                alice.mounts.dismount(mounted)
        assert read(held)[:3] == b"RSM"


def test_a_drive_is_emptied_without_naming_what_is_in_it(make: Make, connect: Callable[..., rsm.Session]) -> None:
    stock, alice = make(media=1), connect("user:alice")
    (drive,), empty = stock.drives, stock.session.mounts.empty_drive
    held = mount(stock, stock.media[0])
    with nothing_changed(stock.session.database):
        with refused(rsm.BusyError):
            empty(drive)
        for named in (stock.library.id, "nothing"):
            with refused(rsm.InvalidDriveError):
                empty(named)
        with refused(rsm.AccessDeniedError):
            alice.mounts.empty_drive(drive)
    held.dismount(deferred=True)
    for kind, device in ((Kind.NTMS_DRIVE, drive.id), (Kind.NTMS_LIBRARY, stock.library.id)):
        stock.session.objects.disable(kind, device)
        with refused(rsm.DeviceNotAvailableError):
            empty(drive)
        stock.session.objects.enable(kind, device)
    assert stock.place(stock.media[0]) == "drive-01"
    empty(drive.name)
    stock.settle()
    assert stock.place(stock.media[0])[:4] == "slot"
    with nothing_changed(stock.session.database), refused(rsm.InvalidStateError):
        empty(drive)


# What is never queued


def test_refused_before_anything_is_queued(
    make: Make, connect: Callable[..., rsm.Session], session: rsm.Session, url: str
) -> None:
    stock, other = make(media=1), make(media=1)
    complete = make(media=1, states=(COMPLETE,))
    pool = session.pools.create(r"\Free of logical", media_type="LTO-8")
    (available,) = builders.add_medium(url, pool, "AVAILABLE", AVAILABLE)
    (lonely,) = builders.add_medium(url, session.pools.create(r"\L", media_type="LTO-1"), "LONELY", ALLOCATED)
    (medium,), drive = stock.media, stock.drives[0]
    cases: list[tuple[dict[str, Any], type[rsm.RsmError]]] = [
        ({"media": []}, rsm.InvalidParameterError),
        ({"media": medium, "priority": 16}, rsm.InvalidParameterError),
        ({"media": medium, "priority": -16}, rsm.InvalidParameterError),
        ({"media": medium, "drive": [drive, drive]}, rsm.InvalidParameterError),
        ({"media": drive.id}, rsm.InvalidMediaError),
        ({"media": "nothing"}, rsm.InvalidMediaError),
        ({"media": [medium, medium]}, rsm.InvalidMediaError),
        ({"media": complete.media[0], "write": True}, rsm.WriteProtectError),
        ({"media": available, "write": True}, rsm.InvalidStateError),
        ({"media": medium, "drive": "nothing"}, rsm.InvalidDriveError),
        ({"media": medium, "drive": stock.library.id}, rsm.InvalidDriveError),
        ({"media": lonely}, rsm.MediaOfflineError),
        ({"media": available, "error_if_offline": True}, rsm.MediaOfflineError),
        ({"media": available, "error_if_busy": True}, rsm.BusyError),
        ({"media": medium, "drive": other.drives[0]}, rsm.DriveMediaMismatchError),
        ({"media": [medium, other.media[0]]}, rsm.DriveMediaMismatchError),
    ]
    with nothing_changed(url):
        for options, error in cases:
            with refused(error):
                session.mounts.request(**options)
        with refused(rsm.AccessDeniedError):
            connect("user:alice").mounts.request(medium)
        with session.transaction():
            for call in (session.mounts.request, session.mounts.mount):
                with refused(rsm.InvalidOperationError):
                    call(medium)
        for wrong in ({"write": 1}, {"priority": "high"}, {"timeout_ms": 1.5}, {"drive": 5}, {"error_if_busy": None}):
            with pytest.raises(TypeError):
                session.mounts.mount(medium, **wrong)
        for number in (-1, 2**32):
            with refused(rsm.InvalidParameterError):
                session.mounts.mount(medium, timeout_ms=number)
    asked = session.mounts.request(medium)
    with session.transaction(), refused(rsm.InvalidOperationError):
        asked.wait(0)
    held = asked.wait(LONG_MS)
    assert isinstance(held, rsm.Mount)
    held.dismount()


@pytest.mark.parametrize("kind", [Kind.NTMS_PHYSICAL_MEDIA, Kind.NTMS_LIBRARY, Kind.NTMS_DRIVE])
def test_what_is_disabled_is_not_mounted(make: Make, kind: Kind) -> None:
    stock = make(media=1)
    (medium,) = stock.media
    disabled = {
        Kind.NTMS_PHYSICAL_MEDIA: medium.medium,
        Kind.NTMS_LIBRARY: stock.library.id,
        Kind.NTMS_DRIVE: stock.drives[0].id,
    }[kind]
    stock.session.objects.disable(kind, disabled)
    with nothing_changed(stock.session.database), refused(rsm.ResourceDisabledError):
        mount(stock, medium)
    stock.session.objects.enable(kind, disabled)
    mount(stock, medium).dismount()


def test_more_media_than_drives_that_take_them_are_refused(make: Make) -> None:
    stock = make(media=2)
    with nothing_changed(stock.session.database), refused(rsm.DriveMediaMismatchError):
        stock.session.mounts.request(stock.media)
    with nothing_changed(stock.session.database), refused(rsm.InvalidParameterError):
        stock.session.mounts.request(stock.media, drive=[stock.drives[0], stock.drives[0]])
