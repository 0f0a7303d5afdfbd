"""The cases of the table that are about libraries that take stock and identify what is in a slot."""

import os
import uuid
from functools import partial
from typing import Any

import builders
from mounting import Stock
from ntmsapi.pairs_table import ERAS, Attempt, Made, calls, denied, pair
from ntmsapi.pairs_world import World, everything

from rsm import model, ntmsapi
from rsm.constants import (
    NTMS_DISMOUNT_DEFERRED,
    NTMS_DISMOUNT_IMMEDIATE,
    NTMS_INVENTORY_DEFAULT,
    NTMS_INVENTORY_FAST,
    NTMS_INVENTORY_NONE,
    NTMS_INVENTORY_OMID,
    NTMS_INVENTORY_SLOT,
    NTMS_INVENTORY_STOP,
    NULL_GUID,
    NtmsOperationalState,
)
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.security import AccessRights

C = AccessRights.CONTROL
LIBRARY, MEDIUM = Kind.NTMS_LIBRARY, Kind.NTMS_PHYSICAL_MEDIA
DEFERRED, IMMEDIATE = int(NTMS_DISMOUNT_DEFERRED), int(NTMS_DISMOUNT_IMMEDIATE)


def unknown() -> uuid.UUID:
    return uuid.uuid4()


# Taking stock

DENIED = "access to at least one RSM object involved is refused (right not named)"


@pair("InventoryNtmsLibrary", "ERROR_ACCESS_DENIED", when=DENIED, eras=ERAS)
def inventory_denied(w: World) -> Made:
    made = []
    for action in (NTMS_INVENTORY_FAST, NTMS_INVENTORY_OMID, NTMS_INVENTORY_DEFAULT, NTMS_INVENTORY_STOP):
        library = w.library().id
        made.append(denied(w, "InventoryNtmsLibrary", (library, int(action)), (LIBRARY, library), w2k3=C))
    return made


@pair("InventoryNtmsLibrary", "ERROR_DEVICE_NOT_AVAILABLE", when="the library is not connected at present")
def inventory_of_what_is_away(w: World) -> Made:
    """Its folder is not there; or another host has found that, and this one cannot look."""
    stock, elsewhere = w.stock(media=1), w.library().id
    folder, hidden = str(stock.folder), f"{stock.folder} hidden"
    os.rename(folder, hidden)
    w.undo.callback(os.rename, hidden, folder)
    absent = int(NtmsOperationalState.NTMS_NOT_PRESENT)
    builders.set_columns(w.url, model.Library, elsewhere, operational_state=absent)
    actions = (NTMS_INVENTORY_FAST, NTMS_INVENTORY_OMID, NTMS_INVENTORY_DEFAULT)
    libraries = (stock.library.id, elsewhere)
    return calls("InventoryNtmsLibrary", w.h, *((each, int(action)) for each in libraries for action in actions))


@pair("InventoryNtmsLibrary", "ERROR_INVALID_LIBRARY", when="the id names the offline library")
def inventory_of_the_shelf(w: World) -> Made:
    actions = (NTMS_INVENTORY_FAST, NTMS_INVENTORY_STOP)
    return calls("InventoryNtmsLibrary", w.h, *((w.offline, int(action)) for action in actions))


@pair("InventoryNtmsLibrary", "ERROR_INVALID_PARAMETER", when="library id is not valid")
def inventory_of_no_library(w: World) -> Made:
    others = (None, unknown(), NULL_GUID, w.root, w.robot.drives[0], "Robot")
    return calls("InventoryNtmsLibrary", w.h, *((other, int(NTMS_INVENTORY_FAST)) for other in others))


@pair(
    "InventoryNtmsLibrary",
    "ERROR_INVALID_PARAMETER",
    when="NTMS_INVENTORY_NONE or any other value passed as dwAction",
)
def inventory_of_no_kind(w: World) -> Made:
    actions = (int(NTMS_INVENTORY_NONE), int(NTMS_INVENTORY_SLOT), 6, -1, 2**32, None, "fast")
    return calls("InventoryNtmsLibrary", w.h, *((w.robot.id, action) for action in actions))


@pair("InventoryNtmsLibrary", "ERROR_SUCCESS", when="stop asked for while no inventory runs")
def inventory_stopped_when_none_runs(w: World) -> Made:
    return calls("InventoryNtmsLibrary", w.h, (w.library().id, int(NTMS_INVENTORY_STOP)))


@pair("InventoryNtmsLibrary", "ERROR_SUCCESS", when="the call did what was asked")
def inventory_finds(w: World) -> Made:
    """Each kind finds what was moved by hand; it comes back before it has, and one that waits can be stopped."""
    made = []
    for action in (NTMS_INVENTORY_FAST, NTMS_INVENTORY_OMID, NTMS_INVENTORY_DEFAULT):
        stock = w.stock(media=1)
        made.append(Attempt([partial(inventory_finds_moved, w, stock, int(action))]))
    stopped = w.stock(media=1)

    def stop() -> Any:
        assert ntmsapi.InventoryNtmsLibrary(w.h, stopped.library.id, int(NTMS_INVENTORY_FAST)) == 0
        code = ntmsapi.InventoryNtmsLibrary(w.h, stopped.library.id, int(NTMS_INVENTORY_STOP))
        assert w.session.requests.list(stopped.library, live=True) == []
        return code

    return [*made, Attempt([stop])]


def inventory_finds_moved(w: World, stock: Stock, action: int) -> Any:
    (medium,) = stock.media
    os.rename(stock.on_disk(medium), stock.folder / "slot-0002" / stock.cartridge(medium).barcode)
    code = ntmsapi.InventoryNtmsLibrary(w.h, stock.library.id, action)
    assert w.information(MEDIUM, medium.medium).Info.Location == stock.slots[0].id
    w.at_work(stock.settle)
    assert w.information(MEDIUM, medium.medium).Info.Location == stock.slots[1].id
    full = action == NTMS_INVENTORY_OMID
    assert bool(stock.moves()) == full  # only that one reads labels
    return code


# Identifying


@pair("IdentifyNtmsSlot", "ERROR_ACCESS_DENIED", when=DENIED, eras=ERAS)
def identify_denied(w: World) -> Made:
    library = w.library()
    return denied(w, "IdentifyNtmsSlot", (library.slots[0], IMMEDIATE), (LIBRARY, library.id), w2k3=C)


@pair("IdentifyNtmsSlot", "ERROR_INVALID_PARAMETER", when="slot id is not valid")
def identify_no_slot(w: World) -> Made:
    others = (None, unknown(), NULL_GUID, w.robot.id, w.robot.drives[0], "slot-0001")
    return calls("IdentifyNtmsSlot", w.h, *((other, IMMEDIATE) for other in others))


@pair("IdentifyNtmsSlot", "ERROR_INVALID_PARAMETER", when="dwOption is not valid")
def identify_wrongly(w: World) -> Made:
    return calls("IdentifyNtmsSlot", w.h, *((w.robot.slots[0], option) for option in (3, 4, -1, 2**32, None, "now")))


@pair("IdentifyNtmsSlot", "ERROR_SUCCESS", when="the call did what was asked")
def identify_now_and_later(w: World) -> Made:
    """It comes back when the label was read; an empty slot is no error, and nothing comes of it."""
    made = []
    for option, place in ((IMMEDIATE, "slot"), (DEFERRED, "driv")):
        stock = w.stock(media=1)
        made.append(Attempt([partial(identify_both, w, stock, option, place)], w.working))
    return made


def identify_both(w: World, stock: Stock, option: int, place: str) -> Any:
    full, empty = stock.slots
    before, media = everything(w.url), w.session.media.list()
    assert ntmsapi.IdentifyNtmsSlot(w.h, empty.id, option) == 0
    assert everything(w.url) == before
    code = ntmsapi.IdentifyNtmsSlot(w.h, full.id, option)
    stock.settle()
    assert stock.place(stock.media[0])[:4] == place
    assert [each.id for each in w.session.media.list()] == [each.id for each in media]
    assert stock.moves()
    return code
