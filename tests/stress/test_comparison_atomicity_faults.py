"""Every step and every call of every coordinated way is hit by every fault of the comparison of atomicity.

In the first test the coordinator is an object that is forgotten; in the second one a process that is killed.
"""

from collections.abc import Iterator

import pytest

from comparisons.atomicity.campaign import ENOUGH
from comparisons.atomicity.columns import COORDINATED
from comparisons.atomicity.coordinator_process import WAYS, CoordinatorProcess
from comparisons.atomicity.faults import CallFault, Faults
from comparisons.atomicity.ways import Way
from tests.support.atomicity import preparing_postgres, tried
from tools.embedded.postgres import EmbeddedPostgres


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    with preparing_postgres() as found:
        yield found


@pytest.mark.parametrize("way", COORDINATED, ids=lambda way: way.__name__)
async def test_no_fault_at_any_step_or_call_breaks_anything(server: EmbeddedPostgres, way: type[Way]) -> None:
    async with tried(server, way) as campaign:
        await campaign.killed()
        for fault in CallFault:
            await campaign.called(fault)
    assert campaign.tally.examples == []
    assert campaign.tally.runs > 50


@pytest.mark.parametrize("killed", WAYS.values(), ids=lambda way: way.name)
async def test_a_coordinator_process_killed_at_any_step_breaks_nothing(
    server: EmbeddedPostgres, killed: type[Way]
) -> None:
    class Killed(CoordinatorProcess):
        """The way as a process."""

        name = killed.name
        way = killed

    async with tried(server, killed) as campaign:
        steps = (await campaign.dry_run(ENOUGH)).steps
        assert len(steps) >= 6
        campaign.way = Killed
        before = campaign.tally.runs
        for step in range(len(steps)):
            await campaign.run(ENOUGH, Faults(kills=frozenset({step})))
    assert campaign.tally.examples == []
    assert campaign.tally.runs - before == len(steps)
