"""The cases of the table that are about exporting and importing the catalogue."""

from functools import partial
from pathlib import Path

from ntmsapi.pairs_table import ERAS, Attempt, Made, bad_handle, calls, damaged, denied, enter_each, pair, sound_call
from ntmsapi.pairs_world import ALICE, World

from rsm import ntmsapi, place, transfer
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.security import AccessRights, Ace

EXPORT, IMPORT = "ExportNtmsDatabase", "ImportNtmsDatabase"
CONTROL = AccessRights.CONTROL


def usual(w: World) -> Path:
    return place.export_path(place.parse_url(w.url))


for _name in (EXPORT, IMPORT):
    _fresh = _name == IMPORT
    enter_each(
        _name,
        "ERROR_DATABASE_FAILURE",
        "a query against, or a write to, the catalogue store went wrong",
        damaged,
        fresh=_fresh,
    )
    enter_each(_name, "ERROR_INVALID_HANDLE", "session handle is not valid", bad_handle, fresh=_fresh)
    enter_each(
        _name,
        "ERROR_ACCESS_DENIED",
        "access to at least one RSM object involved is refused (right not named)",
        lambda w, name: denied(w, name, (), (Kind.NTMS_COMPUTER, w.computer), w2k3=CONTROL),
        eras=ERAS,
    )
    enter_each(
        _name,
        "ERROR_NOT_CONNECTED",
        "the RSM service cannot be reached",
        lambda w, name: calls(name, w.worlds.stopped.h if w.worlds else None, ()),
        on=("postgresql",),
    )


@pair(EXPORT, "ERROR_SHARING_VIOLATION", when="a file that has to be written is open")
def export_twice_at_once(w: World) -> Made:
    """Another export has it open."""
    call = sound_call(w, EXPORT)
    assert call() == 0
    path = usual(w)
    data = path.read_bytes()
    attempt = Attempt([call], partial(transfer._held, path.with_name(f"{path.name}.part")), then=[call])
    assert path.read_bytes() == data
    return attempt


@pair(EXPORT, "ERROR_SUCCESS", when="the call did what was asked", eras=ERAS)
def export_with_no_more_than_control(w: World) -> Made:
    handle = w.handle(ALICE)
    w.protect(Kind.NTMS_COMPUTER, w.computer, Ace(True, ALICE.user, CONTROL))

    def export() -> object:
        usual(w).unlink(missing_ok=True)
        code = ntmsapi.ExportNtmsDatabase(handle)
        assert usual(w).stat().st_size > 10_000
        return code

    return Attempt([export])


@pair(IMPORT, "ERROR_DATABASE_FAILURE", when="the Export directory is missing or incomplete", fresh=True)
def import_nothing(w: World) -> Made:
    call = sound_call(w, IMPORT)
    path = usual(w)
    whole = path.read_bytes()

    def spoilt(data: bytes | None) -> object:
        path.unlink()
        if data is not None:
            path.write_bytes(data)
        code = ntmsapi.ImportNtmsDatabase(w.h)
        path.write_bytes(whole)
        return code

    return Attempt([partial(spoilt, data) for data in (None, b"", whole[: len(whole) // 2], b"garbage")], then=[call])
