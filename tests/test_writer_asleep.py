"""A writer that falls asleep in the middle of a change: others wait, then go on, and it is told when it wakes."""

import signal

import pytest
from programs import Program

import rsm
from rsm import schema

WRITER = """
import rsm
from rsm import drivers
drivers.Postgresql.begin_write = drivers.Postgresql.begin_write.replace("60000", sys.argv[2])
with rsm.connect(sys.argv[1], worker=False, caller=rsm.Caller("user:admin", administrator=True)) as session:
    try:
        with session.transaction():
            session.pools.create("Asleep")
            say("in")
            wait()
            session.pools.create("Awake")
    except rsm.RsmError as error:
        say(f"{error.code.name} {error.outcome_unknown} {error}")
    session.pools.create("Again")
    say("made")
"""


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_a_writer_asleep_on_the_server_is_ended_and_told(session: rsm.Session, url: str) -> None:
    with Program(WRITER, url, 500) as writer:
        assert writer.hear() == "in"
        writer.signal(signal.SIGSTOP)
        session.pools.create("Meanwhile")  # waits no longer than the server lets the other sleep
        writer.signal(signal.SIGCONT)
        writer.tell()
        told = writer.hear()
        assert told.startswith("ERROR_DATABASE_FAILURE False ")
        assert "paused longer than 60 s" in told
        assert writer.hear() == "made"
    assert {pool.name for pool in session.pools.list()} >= {"Meanwhile", "Again"}
    assert not {pool.name for pool in session.pools.list()} & {"Asleep", "Awake"}
    assert schema.check(url) == []


def test_a_writer_that_naps_in_time_goes_on(session: rsm.Session, url: str, backend: str) -> None:
    with Program(WRITER, url, 60_000) as writer:
        assert writer.hear() == "in"
        writer.signal(signal.SIGSTOP)
        with (
            rsm.connect(url, caller=rsm.Caller("user:admin", administrator=True), busy_timeout_ms=100) as other,
            pytest.raises(rsm.DatabaseFailureError),
        ):
            other.pools.create("Meanwhile")
        writer.signal(signal.SIGCONT)
        writer.tell()
        assert writer.hear() == "made"
    assert {pool.name for pool in session.pools.list()} >= {"Asleep", "Awake", "Again"}
