"""Relays whose clocks differ by twenty minutes: leases use the database's clock, and order uses none."""

from datetime import UTC, datetime, timedelta

import pytest

from event_trio.broker.aws import Aws
from event_trio.broker.names import BrokerNames
from event_trio.clock import SystemClock
from event_trio.outbox.schema import LANES
from event_trio.signals import Facts
from tests.support.databases import OUTBOX_RELAY, TestDatabase
from tests.support.outbox import fill, query, unpublished
from tests.support.readers import drain_queue, first_sequences
from tests.support.relays import running, settings, shared_out
from tests.support.waiting import eventually

OWNERS = "SELECT lane, owner, token FROM outbox_lane ORDER BY lane"
SKEW = timedelta(minutes=10)


class WrongClock(SystemClock):
    """A machine's clock that was set wrong; how fast it goes is right."""

    def __init__(self, off: timedelta) -> None:
        self._off = off

    def now(self) -> datetime:
        return datetime.now(UTC) + self._off

    def monotonic(self) -> float:
        return super().monotonic() + self._off.total_seconds()


def owns_all(facts: Facts) -> bool:
    return facts["owned"] == LANES


async def test_relays_with_clocks_far_apart_share_the_lanes_and_keep_every_group_in_order(
    outbox_database: TestDatabase, topology: BrokerNames, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks = iter([WrongClock(-SKEW), WrongClock(SKEW)])
    monkeypatch.setattr("services.relay.assembly.SystemClock", lambda: next(clocks))
    made = settings(outbox_database.url_for(OUTBOX_RELAY), aws, topology)

    async def all_published() -> bool:
        return await unpublished(outbox_database.url) == 0

    async with running(made) as slow:
        async with running(made) as fast:
            await shared_out(slow, fast)
            before = await query(outbox_database.url, OWNERS)
            await fill(outbox_database.url, 12, each=3)
            await eventually(all_published, timeout=30)
            assert slow.seen("relay.sent")
            assert fast.seen("relay.sent")
            assert await query(outbox_database.url, OWNERS) == before, "a lane was taken from a relay that lives"
            alone = len(slow.seen("lanes.changed", where=owns_all))
        await slow.wait("lanes.changed", where=owns_all, count=alone + 1)
    arrived = await drain_queue(aws, topology.queue("notification", "order-events"), 36)
    assert len(arrived) == 36
    assert first_sequences(arrived) == {f"s-{group}": [1, 2, 3] for group in range(1, 13)}
