"""Who works a library dies while a person is at it: the work is done once or ends saying so, and nothing is lost.

RSM_TEST_STRIDE=1 kills at every moment, not only at every seventeenth.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import port_users
import pytest
from counting import Counted
from forks import Forked
from port_users import Person
from robot_users import check_left

import rsm
from rsm.constants import NtmsLmState
from rsm.constants import NtmsObjectsTypes as Kind
from rsm.libraries.virtual import add_cartridge, create

pytestmark = pytest.mark.works

STRIDE = int(os.environ.get("RSM_TEST_STRIDE", "17"))
CODES = {"A00001", "B00001", "B00002"}


def check(session: rsm.Session, url: str, folder: Path) -> None:
    """See all through that was begun, and that record and directory agree then."""
    person = Person(session, folder)
    person.see_all_through()
    inventory = session.libraries.inventory("Robot")
    assert inventory is not None
    session.requests.wait(inventory)
    lying = check_left(session, url, person.robot)
    on_shelf = {path.name for path in person.shelf.iterdir()}
    assert set(lying) | on_shelf == CODES
    assert on_shelf.isdisjoint(lying)
    for request in session.requests.list():
        if port_users.is_attended(request):
            passed = request.state is NtmsLmState.NTMS_LM_PASSED
            assert passed or request.details["message"], request


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_killed_at_every_moment_of_attended_work(
    url: str, tmp_path: Path, connect: Callable[..., rsm.Session], counted: Counted
) -> None:
    robot, kept = tmp_path / "robot", tmp_path.with_name(f"{tmp_path.name}-kept")
    create(robot, 4, 1, 2, "LTO-8", doors=1)
    for number, code in enumerate(sorted(CODES), 1):
        add_cartridge(robot, code, slot=number)
    (tmp_path / port_users.SHELF).mkdir()
    for code in ("B00001", "B00002"):
        (lying,) = robot.glob(f"slot-*/{code}")
        os.rename(lying, tmp_path / port_users.SHELF / code)
    with connect() as session:
        library = session.libraries.add("virtual", str(robot), name="Robot")
        session.requests.wait(session.requests.list(library)[0])
        for port in session.libraries.ports(library):
            session.objects.update(Kind.NTMS_IEPORT, port, max_extend_seconds=5)
        check(session, url, tmp_path)
    shutil.copytree(tmp_path, kept)
    command = [sys.executable, port_users.__file__, url, str(tmp_path)]
    moments = 0
    with Forked(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as mortal:
        assert mortal.stdin is not None
        assert mortal.stdout is not None
        while True:
            shutil.rmtree(tmp_path)
            shutil.copytree(kept, tmp_path)
            print((moments + 1) * STRIDE, file=mortal.stdin, flush=True)
            status = int(mortal.stdout.readline())
            with connect() as session:
                check(session, url, tmp_path)
            if status != port_users.DIED:
                break
            moments += 1
        mortal.stdin.close()
    counted("kills at a chosen moment of library work", {"ports and doors": moments})
    assert status == 0
    assert moments == len(json.loads((tmp_path / "moments").read_text())) // STRIDE
