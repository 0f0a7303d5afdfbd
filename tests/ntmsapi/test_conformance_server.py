"""The table of `test_conformance` on PostgreSQL: a module of its own, so that the databases are asked side by side."""

import pytest
from ntmsapi import test_conformance as conformance
from ntmsapi.pairs_table import Case
from ntmsapi.pairs_world import Worlds

worlds = conformance.worlds


@pytest.mark.parametrize(("case", "era"), conformance.runs_on("postgresql"))
def test_pair(case: Case, era: str, worlds: Worlds) -> None:
    conformance.check_case(case, "postgresql", era, worlds)
