"""The experiment of an outbox without a table: what is only in the log is read from it, and lost with the slot."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from comparisons.cdc import experiment
from comparisons.environment import ComparisonEnvironment


@pytest.fixture
async def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ComparisonEnvironment]:
    monkeypatch.setattr(experiment, "EVENTS", 20)
    async with ComparisonEnvironment(tmp_path, seed=1) as found:
        yield found


async def test_an_event_that_is_only_in_the_log_is_read_after_its_commit(environment: ComparisonEnvironment) -> None:
    found = await experiment.latency(environment)
    assert [(each.name, len(each.samples)) for each in found.latencies] == [(form, 20) for form in experiment.FORMS]


async def test_what_is_only_in_the_log_is_lost_with_the_slot(environment: ComparisonEnvironment) -> None:
    found = await experiment.lost_with_the_slot(environment)
    assert {form: cell.text for form, cell in found.cells.items()} == {
        experiment.ROW: "20 of 20 found",
        experiment.MESSAGE: "0 of 20 found",
    }
    assert not any(cell.unexpected for cell in found.cells.values())
