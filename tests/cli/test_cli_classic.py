"""The classic verbs with their slash options: what old batch files wrote, what it does, and how it ends."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mounting import Person
from watch import nothing_changed

import rsm
from rsm.cli import classic
from rsm.cli.classic_options import VERBS, ClassicUsageError, parse
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsPartitionState as State

Command = Callable[..., Any]
DATA = Path(__file__).parent.parent / "data" / "classic.json"
FACTS: dict[str, Any] = json.loads(DATA.read_text(encoding="utf-8"))
GUID = "0123456789abcdef0123456789abcdef"


# The grammar


def test_every_verb_and_option_of_the_evidence_is_there() -> None:
    assert set(VERBS) == set(FACTS) - {"help"}
    for name in VERBS:
        known = {key: option for option in VERBS[name].options for key in (option.letters, *option.keys)}
        assert set(FACTS[name]) <= set(known), name
        for letters, words in FACTS[name].items():
            assert set(words) <= set(known[letters].words), (name, letters)


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        (["allocate", "/mPool", "/onew"], True),
        (["ALLOCATE"], True),
        (["--database", "x.db", "mount", "/lgx"], True),
        (["--database=x.db", "deletepool", "/m", "x"], True),
        (["view", "/tlibrary"], True),
        (["view", "/T", "library"], True),
        (["help"], True),
        (["/?"], True),
        (["view", "library"], False),
        (["view", "library", "/tmp/x"], False),
        (["view", "/"], False),
        (["media", "mount", "/lgx"], False),
        (["pool", "list"], False),
        (["--json", "view", "/tlibrary"], False),
        ([], False),
    ],
)  # fmt: skip
def test_which_lines_are_meant_for_the_classic_command_line(line: list[str], meant: bool) -> None:
    assert classic.is_classic(line) == meant


@pytest.mark.parametrize(
    ("verb", "words", "found"),
    [
        ("allocate", ["/mApp\\Daily", "/oerrunavail", "/b"], {"m": "App\\Daily", "o": ["errunavail"], "b": ""}),
        ("allocate", ["/m", "App Daily", "/ONew", "/oErrUnavail"], {"m": "App Daily", "o": ["new", "errunavail"]}),
        ("allocate", ['/m"A B"', "/onext", f"/lg{GUID}"], {"m": "A B", "o": ["next"], "l": uuid.UUID(GUID)}),
        (
            "allocate",
            ["/mA", "/onew", "/lnfoo", "/ldg", "/pnx", "/pdy"],
            {"ln": "foo", "ld": "g", "pn": "x", "pd": "y"},
        ),
        ("allocate", ["/mA", "/onew", "/t50", "/pfTape 1 - 1"], {"t": "50", "p": "Tape 1 - 1"}),
        ("createpool", ["/d", "/mA", "/aalways", "/r", "/tfLTO-8"], {"d": "", "r": "", "t": "LTO-8", "a": ["always"]}),
        (
            "view",
            ["/tpartition", f"/cg{{{uuid.UUID(GUID)}}}", "/guiddisplay"],
            {"c": uuid.UUID(GUID)},
        ),
        ("dismount", ["/lfx", "/o"], {"o": [""], "l": "x"}),
        ("dismount", ["/lfx", "/odeferred"], {"o": ["deferred"]}),
        ("mount", ["/lfx", "/oread", "/dfdrive-01", "/rhigh"], {"d": "drive-01", "r": ["high"]}),
        ("inventory", ["/lf", "My library", "/afull"], {"l": "My library", "a": ["full"]}),
    ],
)
def test_what_words_mean(verb: str, words: list[str], found: dict[str, Any]) -> None:
    given = parse(VERBS[verb], words)
    everything = {**given.texts, **given.references, **given.words}
    assert {letters: everything[letters] for letters in found} == found


@pytest.mark.parametrize(
    ("verb", "words", "says"),
    [
        ("allocate", ["/oerrunavail"], "/mpool is missing"),
        ("allocate", ["/mA"], "is missing"),
        ("allocate", ["/mA", "/osome"], "one of errunavail, new, next"),
        ("allocate", ["/mA", "/mB", "/onew"], "given twice"),
        ("allocate", ["/mA", "/onew", "/lgnoguid"], "no GUID"),
        ("allocate", ["/mA", "/onew", "/x"], "no option of allocate"),
        ("allocate", ["A", "/onew"], "'A' is no option"),
        ("allocate", ["/m", "/onew"], "/m is followed by pool"),
        ("allocate", ["/mA", "/onew", "/bx"], "no option of allocate"),
        ("deletepool", ["/mA", "/\udcff"], "no option"),
        ("view", ["/tx", "/cfName"], "no option"),
        ("view", ["/tx", "/cg"], "/cg is followed by container"),
    ],
)
def test_words_that_mean_nothing(verb: str, words: list[str], says: str) -> None:
    with pytest.raises(ClassicUsageError) as caught:
        parse(VERBS[verb], words)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        ("allocate",),
        ("allocate", r"/mApp\Daily", "/onext"),
        ("allocate", r"/mApp\Daily", "/onew", "/lfx"),
        ("allocate", r"/mApp\Daily", "/onew", "/onext", "/lfx"),
        ("allocate", r"/mApp\Daily", "/onew", "/tsoon"),
        ("allocate", r"/mApp\Daily", "/onew", "/t99999999999"),
        ("deallocate",),
        ("deallocate", "/lfA00001", "/pfA00001"),
        ("mount", "/lfA00001", "/odrive"),
        ("mount", "/sfslot-0001", "/oread"),
        ("refresh",),
        ("view", "/tnonsense"),
        ("ejectatapi", "/nx"),
        ("eject",),
        ("eject", "/astop"),
        ("eject", "/astop", "/onone"),
        ("eject", "/pfA00001", f"/o{GUID}"),
        ("eject", "/pfA00001", "/lfRobot"),
        ("eject", "/sfslot-0001"),
        ("help", "nonsense"),
    ],
)
def test_wrong_usage_ends_with_87_and_changes_nothing(
    filled_command: Command, catalogue: Path, words: tuple[str, ...]
) -> None:
    with nothing_changed(str(catalogue)):
        answer = filled_command(*words)
    assert (answer.status, answer.out) == (87, "")
    assert answer.err.splitlines()[-1].startswith("rsm: ")


@pytest.mark.parametrize("words", [("help",), ("/?",), *((name, "/?") for name in VERBS), ("help", "mount")])
def test_help(rsm_command: Command, words: tuple[str, ...]) -> None:
    answer = rsm_command(*words)
    assert (answer.status, answer.err) == (0, "")
    assert all(option.about in answer.out for option in VERBS[words[0]].options) if words[0] in VERBS else answer.out
    assert len(words) > 1 or all(f"  {name} " in answer.out for name in VERBS)


# What the verbs do


def run(command: Command, *words: str) -> list[str]:
    """Run a classic line that must end well, and return what it printed."""
    answer = command(*words)
    assert (answer.status, answer.err) == (0, ""), words
    return list(answer.out.splitlines())


def test_pools(filled_command: Command, catalogue: Path) -> None:
    run(filled_command, "createpool", "/mClassic", "/anew")
    run(filled_command, "createpool", r"/mClassic\Tapes", "/anew", "/tfLTO-8", "/d")
    again = filled_command("createpool", r"/mClassic\Tapes", "/anew", "/tfLTO-8")
    assert (again.status, again.err.split()[0]) == (183, "ERROR_ALREADY_EXISTS")
    run(filled_command, "CreatePool", "/M", r"Classic\Tapes", "/AAlways", "/TFLTO-8", "/R")
    run(filled_command, "createpool", r"/mClassic\Tapes", "/aexisting")
    missing = filled_command("createpool", r"/mClassic\None", "/aexisting", "/d")
    assert missing.status == int(rsm.ErrorCode.ERROR_OBJECT_NOT_FOUND) % 256
    with rsm.connect(catalogue) as session:
        pool = session.pools.get(r"\Classic\Tapes")
    assert pool.allocate_from_free
    assert pool.deallocate_to_free
    full = filled_command("deletepool", "/mClassic")
    assert (full.status, full.err.split()[0]) == (4307 % 256, "ERROR_NOT_EMPTY")
    run(filled_command, "deletepool", r"/mClassic\Tapes")
    run(filled_command, "deletepool", "/mClassic")
    assert "Classic" not in run(filled_command, "view", "/tmedia_pool")


def test_viewing(filled_command: Command) -> None:
    assert run(filled_command, "view", "/tlibrary", "/b") == ["Offline", "Robot"]
    guids = run(filled_command, "view", "/tlibrary", "/guiddisplay", "/b")
    assert run(filled_command, "view", "/tlibrary", "/guiddisplay") == [f"{guids[0]} Offline", f"{guids[1]} Robot"]
    assert all(len(guid) == 32 and guid == uuid.UUID(guid).hex for guid in guids)
    media = run(filled_command, "view", "/tphysical_media", f"/cg{guids[0]}", "/b")
    assert media == ["A00001", "A00002"]
    medium = run(filled_command, "view", "/tphysical_media", f"/cg{guids[0]}", "/guiddisplay", "/b")[0]
    assert run(filled_command, "view", "/tPartition", f"/cg{medium}") == ["A00001 - 1"]
    assert run(filled_command, "view", "/tlogical_media", "/b") == []
    run(filled_command, "rename", f"/tg{medium}", "/nBest tape")
    assert run(filled_command, "view", "/tpartition", f"/cg{medium}") == ["Best tape - 1"]
    gone = filled_command("view", "/tpartition", f"/cg{GUID}")
    assert (gone.status, gone.err.count("\n")) == (4312 % 256, 1)


def test_destinations(filled_command: Command) -> None:
    assert run(filled_command, "ui", "/trequest") == []
    run(filled_command, "ui", "/trequest", "/aadd", "/ndesk")
    run(filled_command, "ui", "/trequest", "/aadd", "/ndesk", "/lfRobot")
    assert run(filled_command, "ui", "/trequest", "/alist") == ["desk"]
    run(filled_command, "ui", "/trequest", "/adelete", "/ndesk")
    run(filled_command, "ui", "/trequest", "/aclear", "/lfRobot")
    assert run(filled_command, "ui", "/trequest", "/lfRobot") == run(filled_command, "ui", "/trequest") == []


def test_no_device_to_be_opened(rsm_command: Command) -> None:
    answer = rsm_command("ejectatapi", "/n4711")
    assert (answer.status, answer.err.split()[0]) == (4319 % 256, "ERROR_DEVICE_NOT_AVAILABLE")


@pytest.mark.works
def test_a_batch_file_takes_a_tape_and_gives_it_back(robot: Any) -> None:
    command = robot.command
    robot.allocate(0)
    for name in ("A00001", "A00002"):
        run(command, "freemedia", f"/pf{name} - 1")
    run(command, "createpool", "/mNight", "/anew", "/tfLTO-8", "/d", "/r")
    (guid,) = run(command, "allocate", "/mNight", "/onew", "/oerrunavail", "/lnMonday", "/ldof May", "/b")
    printed = run(command, "allocate", "/mNight", "/oerrunavail", "/pnTuesday", "/t60000")
    assert printed[1].endswith(" Tuesday")
    refused = command("allocate", "/mNight", "/oerrunavail")
    assert (refused.status, refused.err.split()[0]) == (4308 % 256, "ERROR_MEDIA_UNAVAILABLE")
    with robot.connect() as session:
        logical = session.objects.get(Kind.NTMS_LOGICAL_MEDIA, uuid.UUID(guid))
        assert (logical.name, logical.description) == ("Monday", "of May")
    (mounted,) = run(command, "mount", f"/lg{guid}", "/owrite", "/rhigh", "/t60000")
    drive, path = mounted.split(" ", 1)
    Path(path).write_bytes(b"recorded")
    with robot.connect() as session:  # it outlives the process that mounted it
        side = session.objects.get(Kind.NTMS_PARTITION, logical.side)
        assert session.media.get(side.medium).location_type is Kind.NTMS_DRIVE
    busy = command("mount", "/lfMonday", "/owrite", "/oerrunavail")
    assert (busy.status, busy.err.split()[0]) == (170, "ERROR_BUSY")
    run(command, "dismount", "/lfMonday")
    with robot.connect() as session:
        medium = session.media.get(logical.medium)
        assert medium.location_type is Kind.NTMS_STORAGESLOT
        slot = session.objects.get(Kind.NTMS_STORAGESLOT, medium.location).name
        changer = session.objects.get(Kind.NTMS_CHANGER, session.objects.list(Kind.NTMS_CHANGER)[0]).name
    (again,) = run(command, "mount", f"/sf{slot}", f"/cf{changer}", "/oread", "/odrive", f"/df{drive}")
    assert again == mounted
    run(command, "dismount", f"/pf{medium.name} - 1")
    (found,) = robot.folder.glob(f"*/{medium.barcode}/side-1")
    assert found.read_bytes() == b"recorded"
    assert run(command, "erase", f"/pf{medium.name}", "/b", "/t60000") == [logical.side.hex]
    assert found.read_bytes() == b""
    run(command, "deallocate", "/lfMonday")
    run(command, "deallocate", "/pfTuesday")
    run(command, "inventory", "/lfRobot", "/afull")
    with robot.connect() as session:
        for medium in session.media.list(pool=r"\Free\LTO-8"):
            (side,) = session.media.sides(medium)
            assert side.state is State.NTMS_PARTSTATE_AVAILABLE
        assert len(session.media.list(pool=r"\Free\LTO-8")) >= 2


@pytest.mark.works
def test_looking_at_a_library_again(robot: Any) -> None:
    command = robot.command
    with robot.connect() as session:
        media_type, library = session.types.get("LTO-8").id.hex, session.libraries.get("Robot").id.hex

    def in_slots() -> list[str]:
        return run(command, "view", "/tphysical_media", f"/cg{library}", "/b")

    for number, words in enumerate((("/lfRobot",), ("/pfA00002",), (f"/tg{media_type}",))):
        out = next(robot.folder.glob("slot-*/A00001"), None)
        away = robot.folder.parent / f"A00001-{number}"
        assert out is not None
        out.rename(away)
        run(command, "refresh", *words)
        assert "A00001" not in in_slots()
        away.rename(out)
        run(command, "refresh", *words)
        assert "A00001" in in_slots()
    run(command, "inventory", "/lfRobot", "/adefault")
    run(command, "inventory", "/lfRobot", "/afast")
    run(command, "inventory", "/lfRobot", "/anone")
    run(command, "inventory", "/lfRobot", "/astop")
    offline = command("inventory", "/lfOffline", "/afast")
    assert (offline.status, offline.err.split()[0]) == (4301 % 256, "ERROR_INVALID_LIBRARY")


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Have a person do something once, while the command waits for one or for anything."""

    def at_the_library(do: Callable[[], None]) -> None:
        def carry_out(run: Any, session: rsm.Session, request: Any) -> None:
            somebody = Person(do)
            session.requests.wait(request, timeout_ms=60_000, on_wait=somebody)
            assert somebody.done

        monkeypatch.setattr("rsm.cli.classic_eject.carry_out", carry_out)

    return at_the_library


@pytest.mark.works
def test_cartridges_go_out(robot: Any, person: Callable[[Callable[[], None]], None]) -> None:
    command = robot.command
    lies = {path.name: path.parent.name for path in robot.folder.glob("slot-*/A*")}

    def take_out() -> None:
        (there,) = robot.folder.glob("port-*/A*")
        there.rename(robot.folder.with_name(there.name))

    person(take_out)
    for barcode, words in {
        "A00001": ("/pfA00001 - 1", "/b"),
        "A00002": (f"/sf{lies['A00002']}", "/lfRobot", "/astart"),
    }.items():
        (told,) = run(command, "eject", *words)
        assert uuid.UUID(told.removeprefix("Operation: "))
        assert robot.folder.with_name(barcode).is_dir()
    (operation,) = run(command, "eject", "/pfA00003", "/aqueue", "/b")
    with robot.connect() as session:
        assert session.requests.get(uuid.UUID(operation)).completed is None
        run(command, "eject", "/astop", f"/o{operation}")
        assert session.requests.get(uuid.UUID(operation)).completed is not None
    gone = command("eject", "/astop", f"/o{operation}")
    assert (gone.status, gone.err.split()[0]) == (4317 % 256, "ERROR_INVALID_OPERATION")
    for words in (("/dfdrive-01", "/lfRobot"), ("/pfNothing",)):
        empty = command("eject", *words)
        assert (empty.status, empty.err.split()[0]) == (4300 % 256, "ERROR_INVALID_MEDIA")
    whole = command("eject", "/lfRobot")
    assert (whole.status, whole.err.split()[0]) == (87, "ERROR_INVALID_PARAMETER")


@pytest.mark.works
def test_a_drive_that_a_person_feeds(rsm_command: Command, tmp_path: Path) -> None:
    (tmp_path / "feeder").mkdir()
    made = ("make-cartridge", str(tmp_path), "--barcode", "A00001", "--type", "LTO-8", "--capacity", "1MB")
    assert rsm_command("virtual", *made).status == 0
    added = ("standalone", str(tmp_path / "feeder"), "--name", "Feeder", "--type", "LTO-8")
    assert rsm_command("library", "add", *added).status == 0
    library = run(rsm_command, "view", "/tlibrary", "/guiddisplay")
    (guid,) = [line.split()[0] for line in library if line.endswith("Feeder")]
    (tmp_path / "A00001").rename(tmp_path / "feeder" / "A00001")
    run(rsm_command, "refresh", f"/lg{guid}")
    assert run(rsm_command, "view", "/tphysical_media", f"/cg{guid}", "/b") == ["A00001"]
    (operation,) = run(rsm_command, "eject", "/lfFeeder", "/aqueue", "/b")
    run(rsm_command, "eject", "/astop", f"/o{operation}")
    (tmp_path / "feeder" / "A00001").rename(tmp_path / "A00001")
    run(rsm_command, "refresh", "/lfFeeder")
    assert run(rsm_command, "view", "/tphysical_media", f"/cg{guid}", "/b") == []
