"""Every documented (function, code) pair of the calls there are, provoked by its real cause on both databases.

The table stands in the `pairs_` modules: each case names its row of the document. A case that fails must have changed
nothing; one that succeeds must have changed something if the call is one that changes.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet
from conftest import Postgresql
from ntmsapi import (
    pairs_allocation,
    pairs_cleaning,
    pairs_database,
    pairs_entering,
    pairs_inventory,
    pairs_media,
    pairs_mounting,
    pairs_notifications,
    pairs_objects,
    pairs_operators,
    pairs_ports,
    pairs_queue,
    pairs_standalone,
    pairs_table,
)
from ntmsapi.pairs_table import CASES, Attempt, Case
from ntmsapi.pairs_world import FUNCTIONS, REPLACING, TESTS, WITH_HANDLE, WRITERS, World, Worlds, everything, first

from rsm.constants import ErrorCode

OWED = json.loads((TESTS / "data" / "owed.json").read_text())


def runs_on(backend: str) -> list[ParameterSet]:
    """Return every case that is provoked on a database, once for each era, in an order that shares worlds."""
    runs = [(case, era) for case in CASES if backend in case.on for era in case.eras]
    return [
        pytest.param(case, era, id=f"{case.function}-{case.code}-{backend}-{era}-{number}")
        for number, (case, era) in enumerate(sorted(runs, key=lambda run: run[1]))
    ]


@pytest.fixture(scope="module")
def worlds(
    postgresql: Postgresql, sqlite_templates: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Worlds]:
    with Worlds(postgresql, sqlite_templates, tmp_path_factory.mktemp("worlds")) as made:
        yield made


def run_attempt(w: World, attempt: Attempt, expected: ErrorCode | None, changes: bool) -> None:
    before = everything(w.url, attempt.besides)
    with attempt.around():
        codes = [first(call()) for call in attempt.calls]
    after = everything(w.url, attempt.besides)
    assert all(type(code) is ErrorCode or code == 8 for code in codes) or expected is None
    assert codes == [expected] * len(codes)
    assert (after != before) == changes
    assert [first(call()) for call in attempt.then] == [0] * len(attempt.then)


def check_case(case: Case, backend: str, era: str, worlds: Worlds) -> None:
    """See that a case gives the code of its row, and that it changed what it may change."""
    world = worlds.fresh(backend, era) if case.fresh else worlds.shared(backend, era)
    with world.undo:
        made = case.make(world)
        for attempt in made if isinstance(made, list) else [made]:
            expected = None if case.code == "INVALID_HANDLE_VALUE" else ErrorCode[case.code]  # a result, not a code
            empty = "holds no object" in case.when or "while no inventory runs" in case.when
            run_attempt(world, attempt, expected, expected == 0 and case.function in WRITERS and not empty)


@pytest.mark.parametrize(("case", "era"), runs_on("sqlite"))
def test_pair(case: Case, era: str, worlds: Worlds) -> None:
    check_case(case, "sqlite", era, worlds)


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
@pytest.mark.parametrize("name", [name for name in WITH_HANDLE if name != "CloseNtmsSession"])
def test_database_failure_without_a_row(name: str, backend: str, worlds: Worlds) -> None:
    """Calls whose documents do not name these codes: a damaged store is 4313, a full one 4314 only where documented."""
    world = (worlds.fresh if name in REPLACING else worlds.shared)(backend)
    codes = {row["code"] for row in FUNCTIONS[name]["returns"]}
    with world.undo:
        if "ERROR_DATABASE_FAILURE" not in codes:
            for attempt in pairs_table.damaged(world, name):
                run_attempt(world, attempt, ErrorCode.ERROR_DATABASE_FAILURE, False)
        takes_room = name in WRITERS and name != "EndNtmsDeviceChangeDetection"
        if takes_room and "ERROR_DATABASE_FULL" not in codes:
            run_attempt(world, pairs_table.no_room(world, name), ErrorCode.ERROR_DATABASE_FAILURE, False)
        if "ERROR_NOT_ENOUGH_MEMORY" not in codes:
            run_attempt(world, pairs_table.no_memory(world, name), ErrorCode.ERROR_NOT_ENOUGH_MEMORY, False)


def test_table_is_the_documents_but_for_what_is_owed(capsys: pytest.CaptureFixture[str]) -> None:
    documented = Counter(
        (name, row.get("code") or row["suggest"], row["when"])
        for name, function in FUNCTIONS.items()
        for row in (*function["returns"], *function["errors_without_code"])
    )
    left_out = [(row["function"], row["code"], row["when"]) for rows in OWED.values() for row in rows]
    assert len(set(left_out)) == len(left_out)
    assert all(row["reason"] for rows in OWED.values() for row in rows)
    declared = {case.row for case in CASES}
    assert declared.isdisjoint(left_out)
    assert declared | set(left_out) == set(documented)

    pairs = {(name, row["code"]) for name, function in FUNCTIONS.items() for row in function["returns"]}
    provoked = {case.row[:2] for case in CASES} & pairs
    with capsys.disabled():
        print(f"\nconformance: {len(provoked)}/{len(pairs)} pairs", *sorted(pairs - provoked))
    assert provoked == pairs


def test_modules_of_the_table_are_all_in_use() -> None:
    made = {getattr(case.make, "__module__", "") for case in CASES}
    tables = (
        pairs_allocation,
        pairs_cleaning,
        pairs_database,
        pairs_entering,
        pairs_media,
        pairs_objects,
        pairs_operators,
        pairs_queue,
        pairs_standalone,
        pairs_table,
        pairs_inventory,
        pairs_mounting,
        pairs_notifications,
        pairs_ports,
    )
    modules = {module.__name__ for module in tables}
    assert modules <= made
