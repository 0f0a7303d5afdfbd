"""Help texts, wrong usage, and where the options that every verb takes may stand."""

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from rsm.cli.application import _command, application

Command = Callable[..., Any]
POOL = r"\App\Daily"


def walk(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command with the words that lead to it."""
    yield words, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from walk(inner, (*words, name))


COMMANDS = dict(walk(get_command(application)))
NOUNS_AND_VERBS = {
    "pool": "create list show update delete",
    "media": "create list show update move change-type delete enable disable allocate deallocate complete decommission "
    "swap why logical mount dismount history eject",
    "library": "add scan list show inventory refresh stop identify inject eject door done delete rename enable disable "
    "clean reserve-cleaner release-cleaner inject-cleaner eject-cleaner",
    "drive": "list show set enable disable dismount eject volumes delete clean",
    "request": "list show wait cancel order delete purge",
    "type": "list show create delete add remove",
    "operator": "list show submit wait satisfy refuse delete",
    "acl": "show grant deny revoke owner",
    "db": "create upgrade current check export import",
    "virtual": "create add-cartridge make-cartridge",
    "events": "list follow",
}
EXAMPLES = [
    line for command in COMMANDS.values() for line in (command.epilog or "").splitlines() if line.startswith("rsm")
]


def test_nouns_and_verbs_are_those_of_the_contract() -> None:
    wanted = {(noun, verb) for noun, verbs in NOUNS_AND_VERBS.items() for verb in verbs.split()}
    assert {words for words in COMMANDS if len(words) == 2} == wanted
    assert {words[0] for words in COMMANDS if len(words) == 1} == {*NOUNS_AND_VERBS, "view", "worker", "demo"}


def test_verbs_that_are_made_when_wanted_are_those_of_the_application() -> None:
    def told(command: Any) -> tuple[Any, ...]:
        return command.help, command.epilog, [(each.name, each.opts, each.help) for each in command.params]

    made = dict(walk(_command()))
    assert [(words, told(command)) for words, command in made.items()] == [
        (words, told(command)) for words, command in COMMANDS.items()
    ]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_and_option_is_explained(rsm_command: Command, words: tuple[str, ...]) -> None:
    answer = rsm_command(*words, "--help")
    assert (answer.status, answer.err) == (0, "")
    assert f"Usage: rsm {' '.join(words)}".rstrip() in answer.out
    assert "\x1b" not in answer.out
    command = COMMANDS[words]
    assert command.help
    assert [parameter.name for parameter in command.params if not getattr(parameter, "help", None)] == []


@pytest.mark.parametrize("noun", [*NOUNS_AND_VERBS, "view", "worker", "demo", ""])
def test_every_noun_has_an_example(noun: str) -> None:
    epilog = COMMANDS[(noun,) if noun else ()].epilog
    assert epilog.startswith("Examples:")
    assert f"rsm {noun}" in epilog or f" {noun} " in epilog


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_are_well_formed(rsm_command: Command, example: str) -> None:
    answer = rsm_command(*shlex.split(example)[1:], "--help")
    assert (answer.status, answer.err) == (0, "")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "Missing command, one of: "),
        (("pool",), "Missing command, one of: create, list"),
        (("pol", "list"), "No such command 'pol'"),
        (("pool", "lst"), "Did you mean 'list'"),
        (("pool", "show"), "Missing argument"),
        (("pool", "show", POOL, "more"), "unexpected extra argument"),
        (("pool", "list", "--colour"), "No such option"),
        (("pool", "create", POOL, "--max-allocates", "many"), "--max-allocates"),
        (("pool", "update", POOL), "nothing to change"),
        (("pool", "update", POOL, "--type", "LTO-8", "--container"), "--container and --type exclude each other"),
        (("pool", "delete", POOL), "give --yes"),
        (("media", "create", "--pool", POOL), "--label-type and --label-id"),
        (("media", "create", "--pool", POOL, "--label-type", "MTF"), "--label-type and --label-id"),
        (
            ("media", "create", "--pool", POOL, "--label-type", "MTF", "--label-id", "1", "--sides", "2"),
            "--sides 2 does not go with 1 label",
        ),
        (
            ("media", "create", "--pool", POOL, "--label-type", "MTF", "--label-id", "1", "--state", "shiny"),
            "'shiny' is not one of 'unknown'",
        ),
        (("media", "update", "A00001"), "nothing to change"),
        (("media", "list", "--pool", POOL, "--library", "Robot"), "--pool and --library exclude each other"),
        (("media", "delete", "A00001"), "give --yes"),
        (("type", "create", "New", "--device", "drum"), "'drum' is not one of 'tape'"),
        (("type", "delete", "LTO-8"), "give --yes"),
        (("acl", "show"), "Missing argument"),
        (("acl", "show", "drive", "x"), "'drive' is no kind that carries rights"),
        (("acl", "grant", POOL, "everyone"), "[KIND] OBJECT TRUSTEE RIGHTS"),
        (("acl", "grant", POOL, "everyone", "use,fly"), "'fly' is no right"),
        (("acl", "grant", POOL, "everyone", ""), "'' is no right"),
        (("db", "create", "--access-era", "1999"), "'1999' is not one of '2003', '2000'"),
        (("view",), "Missing argument"),
        (("view", "sausage"), "'sausage' is no kind of object"),
        (("--json", "--plain", "pool", "list"), "--json and --plain exclude each other"),
        (("--plain", "pool", "list", "--json"), "--json and --plain exclude each other"),
        (("--database", "x.db", "demo"), "give --directory"),
        (("demo", "--directory", "/no/such/directory"), "does not exist"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_wrong_usage_ends_with_2_and_does_nothing(
    rsm_command: Command, catalogue: Path, words: tuple[str, ...], says: str, as_json: bool
) -> None:
    before = catalogue.read_bytes()
    answer = rsm_command(*words, *(["--json"] if as_json and "--json" not in words else []))
    assert (answer.status, answer.out) == (2, "")
    if as_json or "--json" in words:
        assert (answer.error["error"], answer.error["code"]) == ("ERROR_INVALID_PARAMETER", 87)
        assert says in answer.error["message"]
    else:
        *usage, last = answer.err.splitlines()
        assert last.startswith("rsm: ")
        assert says in last
        assert usage[0].startswith("Usage: rsm")
    assert catalogue.read_bytes() == before


@pytest.mark.parametrize(
    "words",
    [
        ("--json", "pool", "list"),
        ("pool", "--json", "list"),
        ("pool", "list", "--json"),
        ("--database", "{here}", "--json", "pool", "list"),
        ("pool", "list", "--json", "--database", "sqlite:///{here}"),
        ("--database", "/no/such/directory/rsm.db", "pool", "list", "--json", "--database", "{here}"),
    ],
)
def test_settings_stand_before_the_noun_or_after_the_verb(
    filled_command: Command, catalogue: Path, words: tuple[str, ...]
) -> None:
    answer = filled_command(*(word.format(here=catalogue) for word in words))
    assert r"\App\Weekly" in [pool["path"] for pool in answer.document]


def test_database_option_counts_before_the_environment(filled_command: Command, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    assert filled_command("db", "create", str(other)).status == 0
    paths = [pool["path"] for pool in filled_command("--database", str(other), "--json", "pool", "list").document]
    assert r"\Free" in paths
    assert r"\App" not in paths


def test_version(rsm_command: Command) -> None:
    answer = rsm_command("--version")
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.startswith("rsm ")


def test_after_two_hyphens_nothing_is_an_option(rsm_command: Command) -> None:
    answer = rsm_command("pool", "show", "--", "--json")
    assert answer.status == 1
    assert answer.err.startswith("ERROR_OBJECT_NOT_FOUND (4312): ")


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra_one_line_names_it(missing: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; from rsm.cli import main; sys.exit(main(['pool', 'list']))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr.count("\n") == 1
    assert "pip install 'removable-storage-manager[cli]'" in process.stderr


def test_importing_rsm_needs_neither_typer_nor_rich() -> None:
    code = "import sys, rsm, json; print(json.dumps(sorted({'typer', 'rich', 'click', 'rsm.cli'} & set(sys.modules))))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(process.stdout) == []
