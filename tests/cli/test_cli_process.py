"""The real command in a process of its own: on a terminal, interrupted, and with nobody who reads what it prints."""

import os
import signal
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from programs import COMMAND as RUN
from programs import OnTerminal

Command = Callable[..., Any]
WEEKLY = r"\App\Weekly"


@pytest.mark.parametrize(
    ("typed", "status", "says"),
    [
        ("y\n", 0, "is deleted."),
        ("YES\n", 0, "is deleted."),
        ("n\n", 1, "ERROR_CANCELLED (1223):"),
        ("\n", 1, "ERROR_CANCELLED (1223):"),
        ("\x04", 1, "ERROR_CANCELLED (1223):"),
        (b"\xff\xfe\n", 1, "ERROR_CANCELLED (1223):"),
    ],
)
def test_question_on_a_terminal(filled_command: Command, typed: str | bytes, status: int, says: str) -> None:
    terminal = OnTerminal("pool", "delete", WEEKLY)
    terminal.read_until(rf"Delete the pool {WEEKLY}? [y/N] ")
    terminal.type_in(typed)
    assert terminal.finish() == status
    assert says in terminal.seen
    assert filled_command("pool", "show", WEEKLY).status == (1 if status == 0 else 0)


def test_ctrl_c_at_the_question_ends_quietly_with_130(filled_command: Command) -> None:
    terminal = OnTerminal("pool", "delete", WEEKLY)
    terminal.read_until("[y/N] ")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.finish() == 130
    assert "Traceback" not in terminal.seen
    assert filled_command("pool", "show", WEEKLY).status == 0


def test_colour_and_headings_only_on_a_terminal(filled_command: Command) -> None:
    terminal = OnTerminal("pool", "list")
    assert terminal.finish() == 0
    assert "\x1b[" in terminal.seen
    assert WEEKLY in terminal.seen
    piped = subprocess.run([*RUN, "pool", "list"], capture_output=True, text=True, check=True)
    assert "\x1b" not in piped.stdout
    assert WEEKLY in piped.stdout
    assert piped.stdout.split()[0] == "Path"


def test_nothing_is_cut_off_in_a_pipe(filled_command: Command) -> None:
    long_path = "\\" + "\\".join(letter * 60 for letter in "abc")
    assert filled_command("pool", "create", long_path, "--parents", "--description", "d" * 120).status == 0
    row = next(line for line in filled_command("pool", "list").out.splitlines() if line.startswith(long_path))
    assert row.endswith("d" * 120)


@pytest.mark.parametrize("words", [("pool", "list"), ("--json", "pool", "list"), ("--plain", "pool", "list")])
def test_closed_pipe_is_quiet(filled_command: Command, words: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run([*RUN, *words], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (process.returncode, process.stderr) == (141, "")


def test_full_disk_under_the_answer_is_told(filled_command: Command) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        process = subprocess.run([*RUN, "pool", "list"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert process.returncode == 1
    assert process.stderr == "ERROR_INVALID_HANDLE (6): the answer cannot be written: No space left on device\n"


def test_closed_standard_output_is_survived(filled_command: Command) -> None:
    process = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *RUN, "pool", "list"], stderr=subprocess.PIPE, text=True, check=False
    )
    assert (process.returncode, process.stderr) == (0, "")


def test_closed_standard_input_answers_no_question(filled_command: Command) -> None:
    words = ["/bin/sh", "-c", 'exec "$@" <&-', "sh", *RUN, "pool", "delete", WEEKLY]
    process = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (process.returncode, process.stdout) == (2, "")
    assert "give --yes" in process.stderr
    assert filled_command("pool", "show", WEEKLY).status == 0


@pytest.mark.parametrize(("target", "status"), [("/dev/full", 1), ("|true", 141), ("/dev/null", 0)])
def test_help_that_nobody_can_read(target: str, status: int) -> None:
    reader, writer = os.pipe() if target == "|true" else (None, os.open(target, os.O_WRONLY))
    if reader is not None:
        os.close(reader)
    process = subprocess.run([*RUN, "--help"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert process.returncode == status
    assert process.stderr.count("\n") == (1 if status == 1 else 0)


def test_names_outside_the_encoding_are_spelled_out(filled_command: Command) -> None:
    assert filled_command("pool", "create", "\\Bänder 磁带").status == 0
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    for words, wanted in (
        (("pool", "list"), r"\B\xe4nder \u78c1\u5e26"),
        (("--json", "pool", "list"), r"\\B\u00e4nder \u78c1\u5e26"),
    ):
        process = subprocess.run([*RUN, *words], capture_output=True, env=environment, check=True)
        assert wanted in process.stdout.decode("ascii")


def test_undecodable_argument_is_refused_and_shown(catalogue: Path) -> None:
    command = [os.fsencode(word) for word in RUN]
    process = subprocess.run([*command, b"pool", b"show", b"\\\xff"], capture_output=True, text=True, check=False)
    assert (process.returncode, process.stdout) == (1, "")
    assert process.stderr.startswith("ERROR_INVALID_")
    assert process.stderr.count("\n") == 1


def test_installed_command_is_this_one(catalogue: Path) -> None:
    installed = Path(sysconfig.get_path("scripts")) / "rsm"
    process = subprocess.run([installed, "--plain", "pool", "list"], capture_output=True, text=True, check=True)
    assert r"\Free" in process.stdout.split()
