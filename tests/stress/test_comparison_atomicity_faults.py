"""Every step and every call of every coordinated way is hit by every fault of the comparison of atomicity."""

from collections.abc import Iterator

import pytest

from comparisons.atomicity.columns import COORDINATED
from comparisons.atomicity.faults import CallFault
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
