"""The table of calls that change something has all: what is public is in it, only reads, or is tried elsewhere."""

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path

import changing_calls
import pytest
from changing_calls import CALLS

import rsm
from rsm import ntmsapi
from rsm.nouns.attended import Attended
from rsm.nouns.base import Noun
from rsm.nouns.mounts import Mount, Request
from rsm.nouns.notifications import Channel
from rsm.nouns.standalone import Detection

HANDLES = (Attended, Channel, Detection, Mount, Request)
# How the table spells a call of a noun, and one of what such a call returned.
SPELLINGS = {
    r"session\.(\w+\.\w+)\(": "{}",
    r"attended\([^)]*\)\.(\w+)\(": "Attended.{}",
    r'made\["channel"\]\.(\w+)\(': "Channel.{}",
    r'made\["detection"\]\.(\w+)\(': "Detection.{}",
    r"_mount_of\([^)]*\)\.(\w+)\(": "Mount.{}",
    r"Request\(session,.*\)\.(\w+)\(": "Request.{}",
}
READING = {
    *("acl.get", "catalogue.check_import", "events.history", "events.latest", "events.list", "libraries.attended"),
    *("libraries.doors", "libraries.drives", "libraries.get", "libraries.list", "libraries.map", "libraries.ports"),
    *("libraries.slots", "libraries.volume", "media.get", "media.list", "media.logical_media", "media.sides"),
    *("media.sides_made", "media.why", "objects.attribute", "objects.find", "objects.get", "objects.kind"),
    *("objects.list", "objects.stream", "objects.stream_rows", "operators.get", "operators.list", "operators.wait"),
    *("pools.get", "pools.list", "pools.path", "requests.get", "requests.list", "requests.order", "requests.steps"),
    *("requests.wait", "requests.why", "types.check", "types.get", "types.list", "ui.destinations", "Attended.wait"),
    "Mount.open",
}
ELSEWHERE = {
    "catalogue.export_to": "writes no row; test_transfer",
    "catalogue.import_from": "replaces all rows; test_transfer",
    "mounts.mount": "mounts.request and Request.wait",
    "Request.wait": "reads, and cancels what is waited for no more; test_mounts_waiting",
    "Channel.wait": "reads, and now and then keeps how far it got; test_notifications",
}
OF_FUNCTIONS = {
    "AccessNtmsLibraryDoor": "open a door",
    "AddNtmsMediaType": "add a media type",
    "AllocateNtmsMedia": "allocate a medium",
    "BeginNtmsDeviceChangeDetection": "begin to watch",
    "CancelNtmsLibraryRequest": "cancel a request",
    "CancelNtmsOperatorRequest": "refuse a request",
    "ChangeNtmsMediaType": "change a cartridge's type",
    "CleanNtmsDrive": "clean a drive",
    "CloseNtmsNotification": "be told no more",
    "CreateNtmsMedia": "enter a cartridge",
    "CreateNtmsMediaPool": "create a pool",
    "DeallocateNtmsMedia": "deallocate a medium",
    "DecommissionNtmsMedia": "decommission a side",
    "DeleteNtmsDrive": "delete a drive",
    "DeleteNtmsLibrary": "delete a library",
    "DeleteNtmsMedia": "forget a cartridge",
    "DeleteNtmsMediaPool": "delete a pool by id",
    "DeleteNtmsMediaType": "remove a media type",
    "DeleteNtmsRequests": "delete a request",
    "DisableNtmsObject": "disable a library",
    "DismountNtmsDrive": "empty a drive",
    "DismountNtmsMedia": "dismount a cartridge",
    "EjectDiskFromSADrive": "eject from a drive",
    "EjectNtmsCleaner": "take a cleaner out",
    "EjectNtmsMedia": "stop taking out by the document",
    "EnableNtmsObject": "enable an object",
    "EndNtmsDeviceChangeDetection": "watch no more",
    "IdentifyNtmsSlot": "identify a slot",
    "InjectNtmsCleaner": "stop taking a cleaner in by the document",
    "InjectNtmsMedia": "stop taking in by the document",
    "InventoryNtmsLibrary": "take an inventory",
    "MountNtmsMedia": "request a mount",
    "MoveToNtmsMediaPool": "move a cartridge",
    "OpenNtmsNotification": "be told of changes",
    "ReleaseNtmsCleanerSlot": "keep no slot for the cleaner",
    "ReserveNtmsCleanerSlot": "keep a slot for the cleaner",
    "SatisfyNtmsOperatorRequest": "satisfy a request",
    "SetNtmsDeviceChangeDetection": "watch a drive by its type",
    "SetNtmsMediaComplete": "complete a medium",
    "SetNtmsObjectAttribute": "change an attribute",
    "SetNtmsObjectInformation": "rename a library",
    "SetNtmsObjectSecurity": "replace owner and list",
    "SetNtmsRequestOrder": "order a request",
    "SetNtmsUIOptions": "ask for messages by the document",
    "SubmitNtmsOperatorRequest": "ask an operator",
    "SwapNtmsMedia": "swap two media",
    "UpdateNtmsOmidInfo": "tell a label",
}
READING_FUNCTIONS = {
    *(
        "CloseNtmsSession",
        "EnumerateNtmsObject",
        "ExportNtmsDatabase",
        "GetNtmsMediaPoolName",
        "GetNtmsObjectAttribute",
    ),
    *("GetNtmsObjectInformation", "GetNtmsObjectSecurity", "GetNtmsRequestOrder", "GetNtmsUIOptions"),
    *("GetVolumesFromDrive", "OpenNtmsSession", "WaitForNtmsNotification", "WaitForNtmsOperatorRequest"),
}
ELSEWHERE_FUNCTIONS = {"ImportNtmsDatabase"}


def public_calls(session: rsm.Session) -> Iterator[str]:
    """Yield every public call of a session's nouns, and of what they return to be used further."""
    nouns = {name: getattr(session, name) for name in dir(session) if name[0] != "_"}
    for name, noun in nouns.items():
        if isinstance(noun, Noun):
            yield from (f"{name}.{method}" for method in methods(type(noun)) - methods(Noun))
    for handle in HANDLES:
        yield from (f"{handle.__name__}.{method}" for method in methods(handle))


def methods(of: type) -> set[str]:
    """Return the names of the public methods of a class."""
    return {name for name, _ in inspect.getmembers(of, inspect.isfunction) if name[0] != "_"}


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_every_public_call_that_changes_something_is_in_the_table(session: rsm.Session) -> None:
    source = inspect.getsource(changing_calls)
    table = source[source.index("def _batch") :]
    named = {spelt.format(found) for how, spelt in SPELLINGS.items() for found in re.findall(how, table)}
    public = set(public_calls(session))
    assert len(public) > 100
    assert sorted(public - named - READING - set(ELSEWHERE)) == []
    assert sorted((READING | set(ELSEWHERE)) - public) == []
    assert sorted(set(ELSEWHERE) & named) == []


def test_every_documented_function_that_changes_something_is_in_the_table() -> None:
    listed = json.loads((Path(__file__).parent / "data" / "functions.json").read_text())
    functions = {each["name"] for each in listed if hasattr(ntmsapi, each["name"])}
    known = (set(OF_FUNCTIONS), READING_FUNCTIONS, ELSEWHERE_FUNCTIONS)
    assert functions == set.union(*known)
    assert len(functions) == sum(map(len, known))
    assert sorted(set(OF_FUNCTIONS.values()) - set(CALLS)) == []
