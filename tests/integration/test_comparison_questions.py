"""The open questions of the comparisons, run on LocalStack."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from comparisons.contract import Cell
from comparisons.environment import ComparisonEnvironment
from comparisons.questions import filters
from comparisons.questions.columns import FOUND


@pytest.fixture
async def environment(tmp_path: Path, localstack: str) -> AsyncIterator[ComparisonEnvironment]:
    async with ComparisonEnvironment(tmp_path, seed=1, localstack_url=localstack) as found:
        yield found


async def test_a_filter_passes_its_types_only(environment: ComparisonEnvironment) -> None:
    result = await filters.run(environment)
    assert result.cells == {FOUND: Cell("of 20 events, filter: 8, no filter: 20, subscribed afterwards: 0")}
