"""Every part of the benchmark suite still runs, with sizes that say nothing about speed."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.suite import page
from benchmarks.suite.__main__ import PARTS
from benchmarks.suite.bench import Bench
from benchmarks.suite.databases import SERVER
from benchmarks.suite.sizes import TINY
from tools.embedded.postgres import EmbeddedPostgres


@pytest.mark.timeout(400)
@pytest.mark.parametrize("part", PARTS)
async def test_a_part_runs_and_loses_nothing(part: str, tmp_path: Path) -> None:
    async with EmbeddedPostgres(settings=SERVER) as postgres:
        bench = Bench(postgres.admin_url, tmp_path, replace(TINY, rounds=1))
        section = await PARTS[part](bench)
    assert section.problems == []
    assert all(found.values for found in section.numbers)
    assert all(found.samples for found in section.latencies)
    assert page.write(tmp_path / "page", [section], [], "test")
