"""Lanes among several relays: shared out, taken over, handed over."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest

from event_trio.clock import SystemClock
from event_trio.outbox.schema import LANES
from event_trio.signals import Signals
from services.relay.leases.lanes import Lanes
from tests.support.databases import OUTBOX_RELAY, TestDatabase
from tests.support.outbox import pool, query
from tests.support.waiting import eventually

LEASE = 1.5


@dataclass
class Running:
    lanes: Lanes
    relay_id: UUID
    signals: Signals
    stopping: asyncio.Event
    task: asyncio.Task[None]

    async def die(self) -> None:
        """As kill -9 would have it: nothing is handed over."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def drain(self) -> None:
        self.stopping.set()
        await self.task
        await self.lanes.leave()


Start = Callable[..., Running]


@pytest.fixture
async def start(outbox_database: TestDatabase) -> AsyncIterator[Start]:
    """Starts relays' lanes; whatever still runs at the end dies."""
    running: list[Running] = []
    async with AsyncExitStack() as stack:
        pool_ = await stack.enter_async_context(pool(outbox_database.url_for(OUTBOX_RELAY), size=10))

        def begin(busy: Callable[[int], bool] = lambda _: False) -> Running:
            relay_id, signals, stopping = uuid4(), Signals(), asyncio.Event()
            lanes = Lanes(
                pool_, relay_id, lease_seconds=LEASE, call_seconds=0.2, clock=SystemClock(), busy=busy, signals=signals
            )
            made = Running(lanes, relay_id, signals, stopping, asyncio.create_task(lanes.run(stopping)))
            running.append(made)
            return made

        yield begin
        for each in running:
            await each.die()


async def owns(count: int, *relays: Running) -> None:
    async def so() -> bool:
        shares = [len(relay.lanes.owned()) for relay in relays]
        assert sum(shares) == count, shares
        assert max(shares) - min(shares) <= 1, shares
        return True

    await eventually(so, timeout=2 * LEASE + 3)


async def test_one_relay_takes_all_lanes(start: Start) -> None:
    await owns(LANES, start())


async def test_new_relays_get_a_share_and_no_lane_has_two_owners(start: Start, outbox_database: TestDatabase) -> None:
    first = start()
    await owns(LANES, first)
    second, third = start(), start()
    await owns(LANES, first, second, third)
    rows = await query(outbox_database.url, "SELECT lane, owner FROM outbox_lane")
    for relay in (first, second, third):
        assert {row["lane"] for row in rows if row["owner"] == relay.relay_id} == set(relay.lanes.owned())


async def test_the_lanes_of_a_dead_relay_are_claimed_after_its_lease_has_expired(start: Start) -> None:
    first, second = start(), start()
    await owns(LANES, first, second)
    await first.die()
    died = asyncio.get_running_loop().time()
    await owns(LANES, second)
    # The lease, and some room for a machine that is busy.
    assert asyncio.get_running_loop().time() - died < LEASE + 1.0


async def test_a_relay_that_stops_hands_over_its_lanes_at_once(start: Start) -> None:
    first, second = start(), start()
    await owns(LANES, first, second)
    await first.drain()
    # What the bell does in the real relay, where it is tested too.
    second.lanes.wake()
    await owns(LANES, second)


async def test_a_lane_with_events_in_flight_is_given_up_after_them(start: Start) -> None:
    in_flight = True
    first = start(lambda lane: in_flight)
    await owns(LANES, first)
    second = start()
    first.lanes.wake()

    async def stopped_sending() -> bool:
        return len(first.lanes.owned()) == LANES // 2

    await eventually(stopped_sending)
    assert second.lanes.owned() == []
    in_flight = False
    await owns(LANES, first, second)


async def test_tokens_grow_whenever_a_lane_changes_hands(start: Start, outbox_database: TestDatabase) -> None:
    first = start()
    await owns(LANES, first)
    token = first.lanes.token(0)
    await first.drain()
    second = start()
    await owns(LANES, second)
    assert second.lanes.token(0) == token + 1
    assert first.lanes.token(0) == -1


async def test_a_relay_without_its_database_stops_sending_before_its_lease_expires(
    start: Start, outbox_database: TestDatabase
) -> None:
    first = start()
    await owns(LANES, first)
    await query(outbox_database.url, "REVOKE INSERT ON outbox_relay FROM outbox_relay")

    async def silent() -> bool:
        return first.lanes.owned() == []

    await eventually(silent, timeout=LEASE + 2)
    await query(outbox_database.url, "GRANT INSERT ON outbox_relay TO outbox_relay")
    await owns(LANES, first)
