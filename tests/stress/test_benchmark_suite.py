"""Every part of the benchmark suite still runs, with sizes that say nothing about speed."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.suite import page
from benchmarks.suite.__main__ import PARTS
from benchmarks.suite.bench import Bench
from benchmarks.suite.databases import SERVER
from benchmarks.suite.goals import GOALS
from benchmarks.suite.sizes import TINY
from benchmarks.suite.stored import Conditions, StoredPart
from tools.embedded.postgres import EmbeddedPostgres


@pytest.mark.timeout(400)
@pytest.mark.parametrize("part", PARTS)
async def test_a_part_runs_and_loses_nothing(part: str, tmp_path: Path) -> None:
    async with EmbeddedPostgres(settings=SERVER) as postgres:
        bench = Bench(postgres.admin_url, tmp_path, replace(TINY, rounds=1))
        section = await PARTS[part].measure(bench)
    assert section.problems == []
    assert all(found.values for found in section.numbers)
    assert all(found.samples for found in section.latencies)
    assert section.measured().keys() == _expected(part)
    stored = StoredPart(part, Conditions("test", "none", ()), section)
    assert page.write(tmp_path / "page", [stored])


def _expected(part: str) -> set[str]:
    """The goals of the part; with tiny sizes the chain never runs at the rate of its goal."""
    return {key for key, goal in GOALS.items() if goal.part == part and not key.startswith("trio-")}
