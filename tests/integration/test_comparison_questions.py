"""The open questions of the comparisons, run on LocalStack: each run says itself what it expects."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from comparisons.contract import Cell, Line
from comparisons.environment import ComparisonEnvironment
from comparisons.questions.columns import FOUND
from comparisons.questions.groups_alone import CHANGES, GROUPS, Received, compared
from comparisons.questions.part import PART

SHOWN_ELSEWHERE = {"infrastructure", "publish-flag"}
"""They take long, and tests of the parts that they run show the same."""
LINES = [line for line in PART.lines() if line.key not in SHOWN_ELSEWHERE]


@pytest.fixture
async def environment(tmp_path: Path, localstack: str) -> AsyncIterator[ComparisonEnvironment]:
    async with ComparisonEnvironment(tmp_path, seed=1, localstack_url=localstack) as found:
        yield found


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.key)
async def test_the_answer_is_as_expected(environment: ComparisonEnvironment, line: Line) -> None:
    result = await line.run(environment)
    assert result.cells[FOUND] == Cell(result.cells[FOUND].text)


def test_losses_and_disorder_are_counted() -> None:
    whole = {f"order-{number}": list(range(CHANGES)) for number in range(GROUPS)}
    assert compared(whole) == Received(0, 0)
    assert compared(whole | {"order-1": [1, 0, 2, 3], "order-2": [0, 2, 3]}) == Received(1, 1)
