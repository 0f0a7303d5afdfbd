"""Where messages are shown: lists for the computer, libraries and sessions, who may change them, and when they go."""

import socket
from collections.abc import Callable
from typing import Any

import builders
import pytest
from watch import new_events, nothing_changed, refused

import rsm
from rsm.constants import NtmsNotificationOperations as Operation
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.constants import NtmsUITypes
from rsm.security import AccessRights, Ace, SecurityDescriptor

INFO, REQ, ERR = NtmsUITypes.NTMS_UITYPE_INFO, NtmsUITypes.NTMS_UITYPE_REQ, NtmsUITypes.NTMS_UITYPE_ERR
SOURCES = ("session", "computer", "library")
Connect = Callable[..., rsm.Session]


@pytest.fixture
def robot(url: str) -> builders.BuiltLibrary:
    return builders.add_library(url)


def source_of(session: rsm.Session, which: str) -> Any:
    """Return the id that a source of messages goes by, None for the session."""
    if which == "computer":
        return session.objects.list(Kind.NTMS_COMPUTER)[0]
    return session.objects.find(Kind.NTMS_LIBRARY, "Robot") if which == "library" else None


@pytest.mark.parametrize("which", SOURCES)
def test_lists_are_changed_by_sort(session: rsm.Session, robot: builders.BuiltLibrary, which: str) -> None:
    source, here = source_of(session, which), socket.gethostname()
    with new_events(session) as events:
        for ui_type, name in ((INFO, "desk"), (INFO, ""), (REQ, "desk"), (INFO, "Ünï ©\U0001f5a5"), (ERR, "x" * 255)):
            session.ui.add(ui_type, name, source)
        session.ui.remove(INFO, "", source)
        session.ui.add(INFO, here, source)
        session.ui.clear(REQ, source)
    assert session.ui.destinations(INFO, source) == ["desk", "Ünï ©\U0001f5a5", here]
    assert [session.ui.destinations(ui_type, source) for ui_type in (REQ, ERR)] == [[], ["x" * 255]]
    inserted, deleted = Operation.NTMS_OBJ_INSERT, Operation.NTMS_OBJ_DELETE
    assert [event.operation for event in events] == [inserted] * 5 + [deleted, inserted, deleted]
    assert {(event.kind, event.call) for event in events} == {(Kind.NTMS_UI_DESTINATION, "SetNtmsUIOptions")}
    for name in ("desk", "DESK", here.upper()):
        with refused(rsm.AlreadyExistsError):
            session.ui.add(INFO, name, source)
    for ui_type, name in ((REQ, "desk"), (INFO, "chair"), (ERR, "")):
        with refused(rsm.ObjectNotFoundError):
            session.ui.remove(ui_type, name, source)
    session.ui.remove(INFO, "DESK", source)
    session.ui.clear(INFO, source)
    session.ui.clear(INFO, source)
    others = [source_of(session, each) for each in SOURCES if each != which]
    assert [session.ui.destinations(INFO, each) for each in (source, *others)] == [[], [], []]


def test_a_session_has_lists_of_its_own_until_it_ends(
    session: rsm.Session, connect: Connect, robot: builders.BuiltLibrary, url: str
) -> None:
    before = builders.dump(url)
    with connect() as other:
        for each in (session, other):
            each.ui.add(INFO, "desk")
        other.ui.add(REQ, "chair")
        other.ui.add(REQ, "chair", "Robot")
        assert (session.ui.destinations(INFO), session.ui.destinations(REQ)) == (["desk"], [])
        assert other.ui.destinations(REQ) == other.ui.destinations(REQ, robot.id) == ["chair"]
    assert session.ui.destinations(REQ, robot.id) == ["chair"]
    assert session.ui.destinations(INFO) == ["desk"]
    kept = [line for line in set(builders.dump(url)) - set(before) if line.startswith('["ui_destination"')]
    assert len(kept) == 2


@pytest.mark.parametrize(
    ("ui_type", "destination", "source", "error"),
    [
        (0, "desk", None, rsm.InvalidParameterError),
        (4, "desk", None, rsm.InvalidParameterError),
        ("INFO", "desk", None, TypeError),
        (INFO, None, None, TypeError),
        (INFO, b"desk", None, TypeError),
        (INFO, "x" * 256, None, rsm.InvalidParameterError),
        (INFO, "a\0b", None, rsm.InvalidParameterError),
        (INFO, "\ud800", None, rsm.InvalidParameterError),
        (INFO, "desk", 5, TypeError),
        (INFO, "desk", "Nowhere", rsm.ObjectNotFoundError),
        (INFO, "desk", "unknown id", rsm.ObjectNotFoundError),
        (INFO, "desk", "pool", rsm.InvalidParameterError),
        (INFO, "desk", "drive", rsm.InvalidParameterError),
    ],
)
def test_nonsense_is_refused(
    session: rsm.Session,
    robot: builders.BuiltLibrary,
    url: str,
    ui_type: Any,
    destination: Any,
    source: Any,
    error: type[Exception],
) -> None:
    session.enrolment()
    special = {
        "pool": session.objects.list(Kind.NTMS_MEDIA_POOL)[0],
        "drive": robot.drives[0],
        "unknown id": session.id,
    }
    about = special.get(source, source)
    with nothing_changed(url):
        for change in (session.ui.add, session.ui.remove):
            with pytest.raises(error):
                change(ui_type, destination, about)
        if destination == "desk":
            for use in (session.ui.clear, session.ui.destinations):
                with pytest.raises(error):
                    use(ui_type, about)


@pytest.mark.parametrize("era", ["2003", "2000"])
@pytest.mark.parametrize("which", SOURCES)
@pytest.mark.parametrize(
    ("rights", "reads", "changes"),
    [
        (0, False, False),
        (AccessRights.USE, True, False),
        (AccessRights.MODIFY | AccessRights.CONTROL, False, False),
        (AccessRights.USE | AccessRights.MODIFY, True, True),
    ],
)
def test_who_may(
    new_url: Callable[..., str], connect: Connect, era: str, which: str, rights: int, reads: bool, changes: bool
) -> None:
    url = new_url(era=era)
    builders.add_library(url)
    with connect(database=url) as administrator, connect("user:bob", database=url) as bob:
        source = source_of(administrator, which)
        if source is not None:
            entries = (Ace(True, "user:bob", AccessRights(rights)),) if rights else ()
            kind = Kind.NTMS_COMPUTER if which == "computer" else Kind.NTMS_LIBRARY
            administrator.acl.set(kind, source, SecurityDescriptor("user:admin", entries))
        calls: list[tuple[bool, Callable[[], object]]] = [
            (reads, lambda: bob.ui.destinations(INFO, source)),
            (changes, lambda: bob.ui.add(INFO, "desk", source)),
            (changes, lambda: bob.ui.remove(INFO, "desk", source)),
            (changes, lambda: bob.ui.clear(INFO, source)),
        ]
        for allowed, call in calls:
            if allowed or source is None:
                call()
            else:
                with nothing_changed(url), refused(rsm.AccessDeniedError):
                    call()


def test_the_lists_of_a_library_go_with_it(session: rsm.Session, robot: builders.BuiltLibrary, url: str) -> None:
    session.ui.add(INFO, "desk", robot.id)
    with new_events(session) as events:
        session.libraries.delete(robot.id)
    assert [event.operation for event in events if event.kind is Kind.NTMS_UI_DESTINATION] == [
        Operation.NTMS_OBJ_DELETE
    ]
    assert not [line for line in builders.dump(url) if line.startswith('["ui_destination"')]
