"""Who may make which call: every function, era, guard and way of holding a right, generated from the facts.

Allowed means any code but ERROR_ACCESS_DENIED: the calls are made so that what is allowed fails later or changes
nothing, and can be made again.
"""

import itertools
import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import builders
import pytest
from conftest import Postgresql
from ntmsapi.pairs_operators import subjects
from ntmsapi.pairs_world import (
    ALICE,
    FUNCTIONS,
    OF_DRIVES,
    OF_NOTIFICATIONS,
    OWNER_AND_DACL,
    RIGHT,
    TESTS,
    World,
    Worlds,
    first,
)

from rsm import ntmsapi, transfer
from rsm.constants import (
    DACL_SECURITY_INFORMATION,
    GROUP_SECURITY_INFORMATION,
    NTMS_CREATE_NEW,
    NTMS_DISMOUNT_IMMEDIATE,
    NTMS_EJECT_START,
    NTMS_INJECT_START,
    NTMS_INVENTORY_FAST,
    NTMS_INVENTORY_STOP,
    NTMS_LIBREQUEST,
    NTMS_MOUNT_WRITE,
    NTMS_OMID_TYPE_FILESYSTEM_INFO,
    NTMS_UIDEST_ADD,
    NTMS_UIDEST_DELETE,
    NTMS_UIDEST_DELETEALL,
    NTMS_UITYPE_INFO,
    NULL_GUID,
    OWNER_SECURITY_INFORMATION,
    SACL_SECURITY_INFORMATION,
    ErrorCode,
    NtmsOpreqCommand,
)
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsPartitionState as State
from rsm.security import ALL_RIGHTS, AccessRights, Ace, Caller, SecurityDescriptor

FACTS = json.loads((TESTS / "data" / "security.json").read_text())
POOL, LIBRARY, COMPUTER = Kind.NTMS_MEDIA_POOL, Kind.NTMS_LIBRARY, Kind.NTMS_COMPUTER
DENIED = ErrorCode.ERROR_ACCESS_DENIED
NOTHING = AccessRights(0)
BACKENDS, ERAS = ("sqlite", "postgresql"), ("2003", "2000")
OPERATOR = Caller("user:olga", ("group:tape",))
ADMINISTRATORS = (
    Caller("user:adam", ("group:rsm",)),
    Caller("user:root", administrator=True),
    Caller("user:admin"),  # the catalogue's creator
)
Guard = tuple[Kind, Any]


@pytest.fixture(scope="module")
def worlds(
    postgresql: Postgresql, sqlite_templates: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Worlds]:
    with Worlds(postgresql, sqlite_templates, tmp_path_factory.mktemp("worlds")) as made:
        yield made


def give(w: World, guard: Guard, *aces: Ace, owner: str | None = None) -> None:
    w.set_guard(*guard, SecurityDescriptor(owner or "user:nobody", aces))


def is_allowed(result: Any) -> bool:
    return first(result) != DENIED


UI_CHANGES = ((NTMS_UIDEST_ADD, "desk"), (NTMS_UIDEST_DELETE, "desk"), (NTMS_UIDEST_DELETEALL, ""))

# What is asked of whom: the arguments of a call, and the guards that its rights are looked for on


def subject(w: World, function: str) -> tuple[tuple[Any, ...], dict[str, Guard]]:
    library = w.library()
    pool, other = w.pool(), w.pool(w.lto7)
    medium = w.medium(pool, State.NTMS_PARTSTATE_ALLOCATED)
    guards: dict[str, Guard] = {
        "pool": (POOL, pool),
        "library": (LIBRARY, library.id),
        "computer": (COMPUTER, w.computer),
    }
    info = w.information(POOL, pool)
    w.session.objects.set_attribute(POOL, pool, "note", b"12345")
    two = (w.medium_structure(pool, 2), [w.side_structure(), w.side_structure()])
    below = f"{w.path()}\\below"
    if function == "CreateNtmsMediaPool":
        guards["pool"] = (POOL, w.pool(of_pools=True, path=below.rpartition("\\")[0]))
        w.pool(path=below)
    elif function == "CreateNtmsMedia":
        guards["library"] = (LIBRARY, w.offline)
    elif function == "MoveToNtmsMediaPool":
        guards["pool 2"] = (POOL, other)
    elif function == "DisableNtmsObject":
        w.session.objects.disable(Kind.NTMS_DRIVE, library.drives[0])
    elif function == "DeleteNtmsLibrary":
        guards["library"] = (LIBRARY, w.offline)
    elif function == "SwapNtmsMedia":
        guards["pool 2"] = (POOL, other)
    drive = (Kind.NTMS_DRIVE, library.drives[0])
    arguments: dict[str, tuple[Any, ...]] = {
        "OpenNtmsSession": (w.url,),
        "CloseNtmsSession": (),
        "AddNtmsMediaType": (w.lto8, library.id),
        "DeleteNtmsMediaType": (w.lto7, library.id),
        "ChangeNtmsMediaType": (medium, w.root),
        "CreateNtmsMedia": two,
        "CreateNtmsMediaPool": (below, w.lto8, NTMS_CREATE_NEW),
        "DeleteNtmsMedia": (medium,),
        "DeleteNtmsMediaPool": (pool,),
        "DisableNtmsObject": drive,
        "EnableNtmsObject": drive,
        "EnumerateNtmsObject": (pool, Kind.NTMS_PHYSICAL_MEDIA),
        "GetNtmsMediaPoolName": (pool,),
        "GetNtmsObjectAttribute": (pool, POOL, "note"),
        "GetNtmsObjectInformation": (pool, POOL),
        "GetNtmsObjectSecurity": (pool, POOL, OWNER_AND_DACL),
        "MoveToNtmsMediaPool": (medium, other),
        "SetNtmsObjectAttribute": (pool, POOL, "note", b"12345"),
        "SetNtmsObjectInformation": (pool, info),
        "SetNtmsObjectSecurity": (
            pool,
            POOL,
            DACL_SECURITY_INFORMATION,
            SecurityDescriptor(dacl=(Ace(True, "everyone", RIGHT["U"]),)),
        ),
    }
    if function == "EjectDiskFromSADrive":
        folder, fed = w.feeder()
        guards["library"] = (LIBRARY, fed)
        return (w.url, "tests", str(folder)), guards
    if function in arguments:
        return arguments[function], guards
    if function in (*OF_NOTIFICATIONS, "OpenNtmsNotification"):
        return hearing(w, function), guards
    return work(w, function, library, medium, other), guards


def hearing(w: World, function: str) -> tuple[Any, ...]:
    """Return the arguments of the calls about notifications; the handle of one is alice's, opened while she might."""
    if function == "OpenNtmsNotification":
        return (POOL,)
    w.permit(COMPUTER, w.computer)
    code, handle = ntmsapi.OpenNtmsNotification(w.handle(ALICE), POOL)
    assert code == 0
    return (handle, 0) if function == "WaitForNtmsNotification" else (handle,)


def work(
    w: World, function: str, library: builders.BuiltLibrary, medium: uuid.UUID, other: uuid.UUID
) -> tuple[Any, ...]:
    """Return the arguments of the calls about allocating, library work and operators, on an allocated cartridge."""
    side = w.session.media.sides(medium)[0]
    drive = library.drives[0]
    if function in ("DeallocateNtmsMedia", "SetNtmsMediaComplete", "ImportNtmsDatabase"):
        builders.add_mount(w.url, side.id, drive)
    elif function in ("MountNtmsMedia", "DismountNtmsMedia"):
        builders.put_online(w.url, medium, library)
    elif function in ("EjectNtmsMedia", "InjectNtmsMedia", "AccessNtmsLibraryDoor"):
        builders.put_online(w.url, medium, library)
        w.session.objects.disable(LIBRARY, library.id)
    elif function == "ExportNtmsDatabase":
        path = Path(w.session.catalogue.export_to())
        w.undo.enter_context(transfer.written(path, 0o600))
    held = side.logical_medium
    file_system = ntmsapi.NTMS_FILESYSTEM_INFO("UDF", "a", 5)
    arguments: dict[str, tuple[Any, ...]] = {
        "AccessNtmsLibraryDoor": (library.id, int(NTMS_INVENTORY_FAST)),
        "CleanNtmsDrive": (drive,),
        "InjectNtmsCleaner": (library.id, NULL_GUID, 1, int(NTMS_INJECT_START)),
        "EjectNtmsCleaner": (library.id, NULL_GUID, int(NTMS_EJECT_START)),
        "ReserveNtmsCleanerSlot": (library.id, library.slots[0]),
        "ReleaseNtmsCleanerSlot": (library.id,),
        "AllocateNtmsMedia": (side.pool, uuid.uuid4(), None, 0, 0),
        "DeallocateNtmsMedia": (held,),
        "DecommissionNtmsMedia": (side.id,),
        "DeleteNtmsDrive": (drive,),
        "DeleteNtmsLibrary": (w.offline,),
        "DeleteNtmsRequests": ([uuid.uuid4()], NTMS_LIBREQUEST),
        "DismountNtmsDrive": (drive,),
        "DismountNtmsMedia": ([held],),
        "EjectNtmsMedia": (medium, NULL_GUID, int(NTMS_EJECT_START)),
        "InjectNtmsMedia": (library.id, NULL_GUID, int(NTMS_INJECT_START)),
        "ExportNtmsDatabase": (),
        "GetNtmsRequestOrder": (library.requests[0],),
        "ImportNtmsDatabase": (),
        "BeginNtmsDeviceChangeDetection": (),
        "SetNtmsDeviceChangeDetection": (None, [w.lto7], int(Kind.NTMS_MEDIA_TYPE)),
        "EndNtmsDeviceChangeDetection": (None,),
        "GetVolumesFromDrive": (str(w.made_feeder),),
        "IdentifyNtmsSlot": (library.slots[0], NTMS_DISMOUNT_IMMEDIATE),
        "InventoryNtmsLibrary": (library.id, NTMS_INVENTORY_STOP),
        "MountNtmsMedia": ([held], None, None, int(NTMS_MOUNT_WRITE), 0, 0),
        "SetNtmsMediaComplete": (held,),
        "SetNtmsRequestOrder": (library.requests[0], 5),
        "SwapNtmsMedia": (held, w.held(other)),
        "UpdateNtmsOmidInfo": (held, NTMS_OMID_TYPE_FILESYSTEM_INFO, file_system),
        "WaitForNtmsOperatorRequest": (w.asked(satisfied=True),),
    }
    return arguments[function]


def needs(function: str, era: str, kind: Kind = POOL) -> dict[str, AccessRights]:
    """Return the right that the facts name for each guard."""
    facts = FACTS["functions"][function][era]
    needed = {scope: RIGHT[facts[scope]] for scope in ("pool", "library", "computer") if scope in facts}
    if function in ("MoveToNtmsMediaPool", "SwapNtmsMedia"):
        needed["pool 2"] = needed["pool"]
    by_type = facts.get("by_object_type")
    right = by_type.get(kind.name) if isinstance(by_type, dict) else facts.get("exceptions", {}).get(kind.name, by_type)
    if right is not None:
        needed[scope_of(kind)] = RIGHT[right]
    return needed


def scope_of(kind: Kind) -> str:
    scope = next(scope for scope, kinds in FACTS["scope_of_object_type"].items() if kind.name in kinds)
    return str(scope).removeprefix("media_")


def call(w: World, function: str, caller: Caller, arguments: tuple[Any, ...]) -> Any:
    if function == "OpenNtmsSession":
        code, handle = ntmsapi.OpenNtmsSession(*arguments, caller=caller)
        assert (code == 0) == (handle is not None)
        ntmsapi.CloseNtmsSession(handle)
        return code
    if function == "EjectDiskFromSADrive":
        return ntmsapi.EjectDiskFromSADrive(*arguments, caller=caller)
    if function in (*OF_NOTIFICATIONS, *OF_DRIVES):
        return getattr(ntmsapi, function)(*arguments)
    if function == "OpenNtmsNotification":
        code, handle = ntmsapi.OpenNtmsNotification(w.handle(caller), *arguments)
        assert (ntmsapi.CloseNtmsNotification(handle) == 0) == (code == 0)
        return code
    return getattr(ntmsapi, function)(w.handle(caller), *arguments)


def holdings(right: AccessRights, era: str) -> Iterator[tuple[str, Caller, Sequence[Ace], str | None, bool]]:
    """Yield a name, who calls, the guard's list and owner, and whether `right` is held so."""
    alice, everyone, rest = ALICE.user, "everyone", ALL_RIGHTS & ~right
    every = Ace(True, alice, ALL_RIGHTS)
    for name, value in FACTS["rights"].items():
        single = AccessRights(value)
        yield f"only {name}", ALICE, [Ace(True, alice, single)], None, single == right
    yield "none", ALICE, [], None, False
    yield "all", ALICE, [every], None, True
    yield "all but this", ALICE, [Ace(True, alice, rest)], None, False
    yield "from two entries", ALICE, [Ace(True, alice, rest), Ace(True, everyone, right)], None, True
    yield "somebody else's", ALICE, [Ace(True, "user:bob", ALL_RIGHTS)], None, False
    yield "denied before allowed", ALICE, [Ace(False, alice, right), every], None, False
    yield "denied to everyone before allowed", ALICE, [Ace(False, everyone, right), every], None, False
    yield "allowed before denied", ALICE, [every, Ace(False, alice, ALL_RIGHTS)], None, True
    yield "another one denied", ALICE, [Ace(False, alice, rest), every], None, True
    yield "group", ALICE, [Ace(True, "group:staff", right)], None, True
    yield "other group", ALICE, [Ace(True, "group:other", ALL_RIGHTS)], None, False
    yield "group denied before user allowed", ALICE, [Ace(False, "group:staff", right), every], None, False
    yield "everyone", ALICE, [Ace(True, everyone, right)], None, True
    yield "operators", OPERATOR, [Ace(True, "operators", right)], None, True
    yield "operators, but is none", ALICE, [Ace(True, "operators", ALL_RIGHTS)], None, False
    yield "administrators, but is none", ALICE, [Ace(True, "administrators", ALL_RIGHTS)], None, False
    yield "inherited", ALICE, [Ace(True, alice, right, inherited=True)], None, True
    yield "inherited denial first", ALICE, [Ace(False, alice, right, inherited=True), every], None, False
    owners = right in (AccessRights.READ_CONTROL, AccessRights.WRITE_DAC)
    for owner in (alice, "group:staff"):
        yield f"owner {owner}", ALICE, [], owner, owners
        yield f"owner {owner}, denied", ALICE, [Ace(False, everyone, ALL_RIGHTS)], owner, owners
    for caller in ADMINISTRATORS:
        yield f"{caller} without entry", caller, [], None, era == "2003"
        yield f"{caller} denied", caller, [Ace(False, everyone, ALL_RIGHTS)], None, era == "2003"
        yield f"{caller} allowed", caller, [Ace(True, "administrators", right)], None, True
        yield f"{caller} owner", caller, [], "administrators", era == "2003" or owners


def misjudged(
    w: World, function: str, arguments: tuple[Any, ...], guard: Guard, right: AccessRights, era: str
) -> list[tuple[str, bool]]:
    """Return the ways of holding `right` on a guard that a call judges wrongly, and what was to be said of them."""
    wrong = []
    for name, caller, aces, owner, held in holdings(right, era):
        give(w, guard, *aces, owner=owner)
        if is_allowed(call(w, function, caller, arguments)) != held:
            wrong.append((name, held))
    return wrong


FOR_ADMINISTRATORS = [name for name, facts in FACTS["functions"].items() if "administrator" in facts["2003"]]
BY_SOURCE = [name for name, facts in FACTS["functions"].items() if "by_source" in facts["2003"]]
BY_LISTS = [
    name for name in FACTS["functions"] if name not in (*FOR_ADMINISTRATORS, *BY_SOURCE, "SubmitNtmsOperatorRequest")
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("function", BY_LISTS)
def test_every_way_of_holding_a_right(function: str, era: str, backend: str, worlds: Worlds) -> None:
    w = worlds.shared(backend, era)
    with w.undo:
        arguments, guards = subject(w, function)
        for caller in (ALICE, OPERATOR, *ADMINISTRATORS):
            w.handle(caller)
        for guard in guards.values():
            w.protect(*guard, Ace(True, "everyone", ALL_RIGHTS))
        needed = needs(function, era)
        wrong = {}
        for scope, right in needed.items():
            wrong[scope] = misjudged(w, function, arguments, guards[scope], right, era)
            give(w, guards[scope], Ace(True, "everyone", ALL_RIGHTS))
        assert wrong == {scope: [] for scope in needed}
        for scope, guard in guards.items():  # exactly what the facts name is enough
            give(w, guard, *[Ace(True, ALICE.user, needed[scope])] if scope in needed else [])
        if function != "CloseNtmsSession":
            assert is_allowed(call(w, function, ALICE, arguments))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("scope", ["library", "computer"])
@pytest.mark.parametrize("function", BY_SOURCE)
def test_every_way_of_holding_the_rights_on_a_source(
    function: str, scope: str, era: str, backend: str, worlds: Worlds
) -> None:
    """Of the library and the computer only the one that is given is asked, for all its rights; a session's is free."""
    w = worlds.shared(backend, era)
    letters = FACTS["functions"][function][era]["by_source"][scope]
    right = AccessRights(sum(RIGHT[letter] for letter in letters))
    with w.undo:
        for caller in (ALICE, OPERATOR, *ADMINISTRATORS):
            w.handle(caller)
        guards = {"library": (LIBRARY, w.library().id), "computer": (COMPUTER, w.computer)}
        for guard in guards.values():
            w.protect(*guard)
        for change in UI_CHANGES if function.startswith("Set") else [()]:
            arguments = (guards[scope][1], NTMS_UITYPE_INFO, *change)
            assert misjudged(w, function, arguments, guards[scope], right, era) == []
            give(w, guards[scope])
            assert is_allowed(call(w, function, ALICE, (None, *arguments[1:])))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("command", list(NtmsOpreqCommand)[1:], ids=lambda command: command.name)
def test_every_way_of_holding_the_right_to_ask(
    command: NtmsOpreqCommand, era: str, backend: str, worlds: Worlds
) -> None:
    """Each kind of operator request wants its own right on its own guard, in the 2000 era none."""
    facts = FACTS["functions"]["SubmitNtmsOperatorRequest"][era]
    w = worlds.shared(backend, era)
    with w.undo:
        for caller in (ALICE, OPERATOR, *ADMINISTRATORS):
            w.handle(caller)
        arguments, guard, _ = next(one for one in subjects(w) if one[0][0] == command)
        ((scope, letter),) = facts["by_request"][command.name].items() if facts else (("", "U"),)
        w.protect(*guard)
        wrong = []
        for name, caller, aces, owner, held in holdings(RIGHT[letter], era):
            give(w, guard, *aces, owner=owner)
            if is_allowed(call(w, "SubmitNtmsOperatorRequest", caller, arguments)) != (held or not facts):
                wrong.append((scope, name, held))
        assert wrong == []
        assert not facts or guard[0] is {"pool": POOL, "library": LIBRARY, "computer": COMPUTER}[scope]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("function", FOR_ADMINISTRATORS)
def test_what_no_list_can_grant_or_deny(function: str, era: str, backend: str, worlds: Worlds) -> None:
    w = worlds.shared(backend, era)
    with w.undo:
        library = w.library()
        request = library.requests[0] if function == "CancelNtmsLibraryRequest" else w.asked(satisfied=True)
        for caller in (ALICE, OPERATOR, *ADMINISTRATORS):
            w.handle(caller)
        for allow in (True, False):
            for guard in ((LIBRARY, library.id), (COMPUTER, w.computer)):
                w.protect(*guard, Ace(allow, "everyone", ALL_RIGHTS), owner=ALICE.user)
            for caller in (ALICE, OPERATOR):
                assert not is_allowed(call(w, function, caller, (request,)))
            for caller in ADMINISTRATORS:
                assert is_allowed(call(w, function, caller, (request,)))


def test_facts_are_about_the_calls_there_are() -> None:
    assert list(FACTS["functions"]) == sorted(FUNCTIONS)
    kinds = [kind for kinds in FACTS["scope_of_object_type"].values() for kind in kinds]
    assert sorted(kinds) == sorted(kind.name for kind in ntmsapi.INFO_STRUCTURES)


# Every kind of object is judged by its pool, its library or the computer

BY_TYPE = [name for name in FACTS["functions"] if "by_object_type" in FACTS["functions"][name]["2003"]]


def by_type_arguments(w: World, function: str, kind: Kind, one: Any) -> tuple[Any, ...] | None:
    """Return the arguments for an object of a kind, None where the call is for guards only and this is none."""
    if function.endswith("Attribute"):
        return (one, kind, "note", *([b"1"] if function.startswith("Set") else []))
    if function.endswith("Information"):
        return (one, w.information(kind, one) if function.startswith("Set") else kind)
    if kind not in (POOL, LIBRARY, COMPUTER):
        return None
    if function.startswith("Get"):
        return (one, kind, DACL_SECURITY_INFORMATION)
    return (one, kind, DACL_SECURITY_INFORMATION, w.session.acl.get(kind, one))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("function", BY_TYPE)
def test_each_kind_is_judged_by_its_guard(function: str, era: str, backend: str, worlds: Worlds) -> None:
    w = worlds.shared(backend, era)
    with w.undo:
        each = w.one_of_each()
        guards: dict[str, Guard] = {
            "pool": (POOL, each[POOL]),
            "library": (LIBRARY, w.robot.id),
            "computer": (COMPUTER, w.computer),
        }
        handle, full = w.handle(ALICE), Ace(True, ALICE.user, ALL_RIGHTS)
        for guard in guards.values():
            w.protect(*guard, owner="user:nobody")
        for kind, one in each.items():
            w.session.objects.set_attribute(kind, one, "note", b"1")
        found: dict[tuple[Kind, str], bool] = {}
        for kind, one in each.items():
            scope, right = scope_of(kind), needs(function, era, kind).get(scope_of(kind), NOTHING)
            lists: dict[str, dict[str, list[Ace]]] = {
                "only this on its guard": {scope: [Ace(True, ALICE.user, right)] if right else []},
                "all but this on its guard, all on the others": {
                    other: [Ace(True, ALICE.user, ALL_RIGHTS & ~right)] if other == scope else [full]
                    for other in guards
                },
            }
            for name, given in lists.items():
                for other, guard in guards.items():
                    give(w, guard, *given.get(other, []))
                arguments = by_type_arguments(w, function, kind, one)
                if arguments is not None:
                    result = getattr(ntmsapi, function)(handle, *arguments)
                    assert first(result) in (0, DENIED)
                    found[kind, name] = is_allowed(result)
        wrong = {
            (kind.name, name): allowed
            for (kind, name), allowed in found.items()
            if allowed != (name.startswith("only") or not needs(function, era, kind))
        }
        assert wrong == {}
        assert len(found) == (6 if function.endswith("Security") else 32)


# Free pools

MOVES = {
    "free_pool_is_source": ("free_pool", "destination_pool"),
    "free_pool_is_destination": ("source_pool", "free_pool"),
    "free_pool_not_involved": ("source_pool", "destination_pool"),
}
SETS = [RIGHT["U"] * u | RIGHT["M"] * m | RIGHT["C"] * c for u, m, c in itertools.product((0, 1), repeat=3)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("rule", MOVES)
def test_free_pool_rule(rule: str, era: str, backend: str, worlds: Worlds) -> None:
    """Every set of rights on source and destination; the 2000 era wants modify on both, free or not."""
    w = worlds.shared(backend, era)
    with w.undo:
        from_free, to_free = rule == "free_pool_is_source", rule == "free_pool_is_destination"
        source = w.system_pool("Free") if from_free else w.pool()
        target = w.system_pool("Free", "LTO-7") if to_free else w.pool(w.lto7)
        medium, handle = w.medium(), w.handle(ALICE)
        builders.put_in_pool(w.url, medium, source)
        for pool in (source, target):
            w.protect(POOL, pool, owner="user:nobody")
        needed = [RIGHT[FACTS["free_pool_rule"][rule][role]] if era == "2003" else RIGHT["M"] for role in MOVES[rule]]
        wrong = []
        for on_source in SETS:
            give(w, (POOL, source), *[Ace(True, ALICE.user, AccessRights(on_source))] if on_source else [])
            for on_target in SETS:
                give(w, (POOL, target), *[Ace(True, ALICE.user, AccessRights(on_target))] if on_target else [])
                code = ntmsapi.MoveToNtmsMediaPool(handle, medium, target)
                assert code in (DENIED, ErrorCode.ERROR_MEDIA_INCOMPATIBLE)
                if is_allowed(code) != bool(on_source & needed[0] and on_target & needed[1]):
                    wrong.append((on_source, on_target, code.name))
        assert wrong == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_blank_media_are_drawn_and_given_back_with_use_of_the_free_pool(backend: str, worlds: Worlds) -> None:
    w = worlds.shared(backend)
    with w.undo:
        free, mine = w.system_pool("Free"), w.pool()
        w.permit(POOL, mine)
        w.protect(POOL, free, Ace(True, "everyone", RIGHT["U"]))
        medium = w.medium_in("Free")
        assert ntmsapi.MoveToNtmsMediaPool(w.handle(ALICE), medium, mine) == 0
        assert ntmsapi.MoveToNtmsMediaPool(w.handle(ALICE), medium, free) == 0
        assert ntmsapi.MoveToNtmsMediaPool(w.h, w.medium_in("Free"), free) == ErrorCode.ERROR_INVALID_MEDIA_POOL
        media_type, free = w.new_type()
        drawing = w.session.pools.create(
            w.path(), media_type=media_type, allocate_from_free=True, deallocate_to_free=True
        ).id
        w.protect(POOL, drawing, Ace(True, ALICE.user, RIGHT["C"]))
        w.protect(POOL, free, Ace(True, "everyone", RIGHT["U"]))
        w.online(free)
        code, held, source = ntmsapi.AllocateNtmsMedia(w.handle(ALICE), drawing)
        assert (code, source) == (0, free)
        assert ntmsapi.DeallocateNtmsMedia(w.handle(ALICE), held) == 0


# The descriptor of a new pool, and owners


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("era", ERAS)
def test_descriptor_of_a_new_pool(era: str, backend: str, worlds: Worlds) -> None:
    w = worlds.shared(backend, era)
    with w.undo:
        alice, full = w.handle(ALICE), Ace(True, ALICE.user, ALL_RIGHTS)
        w.protect(POOL, w.root, Ace(True, ALICE.user, RIGHT["M"] | RIGHT["C"]), Ace(True, "everyone", RIGHT["U"]))

        def create(path: str, security: SecurityDescriptor | None = None) -> Any:
            code, pool = ntmsapi.CreateNtmsMediaPool(alice, path, None, NTMS_CREATE_NEW, security)
            assert code == 0
            return w.session.acl.get(POOL, pool)

        top = w.path()
        assert create(top) == SecurityDescriptor(ALICE.user, (full,))  # the root's entries are not taken over
        entries = (Ace(False, "user:bob", RIGHT["U"]), Ace(True, "group:staff", ALL_RIGHTS), full)
        given = SecurityDescriptor("group:staff", entries)
        explicit = w.path()
        assert create(explicit, given) == given
        taken_over = tuple(Ace(ace.allow, ace.trustee, ace.rights, True) for ace in entries)
        assert create(f"{explicit}\\a") == SecurityDescriptor(ALICE.user, (full, *taken_over))
        twice = (full, Ace(True, ALICE.user, ALL_RIGHTS, True), *taken_over)
        assert create(f"{explicit}\\a\\b") == SecurityDescriptor(ALICE.user, twice)
        owner_only, dacl_only = SecurityDescriptor(owner="user:bob"), SecurityDescriptor(dacl=())
        assert create(f"{explicit}\\c", owner_only) == SecurityDescriptor("user:bob", (full, *taken_over))
        assert create(f"{explicit}\\d", dacl_only) == SecurityDescriptor(ALICE.user, ())
        code, pool = ntmsapi.CreateNtmsMediaPool(alice, top, None, ntmsapi.NTMS_OPEN_EXISTING)
        assert code == 0
        assert ntmsapi.DeleteNtmsMediaPool(alice, pool) == 0  # the creator may do everything


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("era", ERAS)
def test_owner_may_always_write_the_list(era: str, backend: str, worlds: Worlds) -> None:
    w = worlds.shared(backend, era)
    pool, alice = w.pool(), w.handle(ALICE)
    give(w, (POOL, pool), Ace(False, "everyone", ALL_RIGHTS), owner=ALICE.user)
    assert ntmsapi.DeleteNtmsMediaPool(alice, pool) == DENIED
    mine = SecurityDescriptor(dacl=(Ace(True, ALICE.user, ALL_RIGHTS),))
    assert ntmsapi.SetNtmsObjectSecurity(alice, pool, POOL, DACL_SECURITY_INFORMATION, mine) == 0
    assert ntmsapi.DeleteNtmsMediaPool(alice, pool) == 0


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("era", ERAS)
def test_parts_of_a_descriptor_have_rights_of_their_own(era: str, backend: str, worlds: Worlds) -> None:
    w = worlds.shared(backend, era)
    pool, alice = w.pool(), w.handle(ALICE)
    new = SecurityDescriptor("user:bob", (Ace(True, "everyone", ALL_RIGHTS),))
    parts = {OWNER_SECURITY_INFORMATION: RIGHT["W"], DACL_SECURITY_INFORMATION: AccessRights.WRITE_OWNER}
    for part, lacking in ((part, right) for part, right in parts.items()):
        for extra in (0, OWNER_AND_DACL):
            give(w, (POOL, pool), Ace(True, ALICE.user, lacking))
            assert ntmsapi.SetNtmsObjectSecurity(alice, pool, POOL, part | extra, new) == DENIED
    for part, right in zip(parts, reversed(parts.values()), strict=True):
        give(w, (POOL, pool), Ace(True, ALICE.user, right))
        assert ntmsapi.SetNtmsObjectSecurity(alice, pool, POOL, part, new) == 0
    give(w, (POOL, pool), Ace(True, ALICE.user, ALL_RIGHTS))
    for call_, rest in ((ntmsapi.GetNtmsObjectSecurity, ()), (ntmsapi.SetNtmsObjectSecurity, (new,))):
        assert first(call_(alice, pool, POOL, SACL_SECURITY_INFORMATION, *rest)) == DENIED
        assert first(call_(w.h, pool, POOL, SACL_SECURITY_INFORMATION, *rest)) != DENIED
        assert first(call_(alice, pool, POOL, GROUP_SECURITY_INFORMATION, *rest)) != DENIED
