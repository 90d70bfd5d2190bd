"""Several relays as processes: lanes are shared, claimed and handed over, with random kills and stops under load."""

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from event_trio.broker.aws import Aws
from event_trio.broker.names import BrokerNames
from event_trio.outbox.schema import LANES
from tests.support import wal_source
from tests.support.databases import OUTBOX_RELAY, OUTBOX_WRITER, TestDatabase
from tests.support.fleets import Fleet
from tests.support.outbox import query, record, unpublished
from tests.support.readers import drain_queue, first_sequences
from tests.support.waiting import eventually

LEASE_SECONDS = 3.0
CHAOS_SECONDS = 8.0
GROUPS = 25


@pytest.fixture
async def fleet(outbox_database: TestDatabase, topology: BrokerNames, aws: Aws, tmp_path: Path) -> AsyncIterator[Fleet]:
    """Relays of this test's outbox; none runs yet."""
    made = Fleet(
        {
            "ENVIRONMENT": "local",
            "DATABASE_URL": outbox_database.url_for(OUTBOX_RELAY),
            "AWS_ENDPOINT_URL": aws.endpoint_url or "",
            "TOPOLOGY_PREFIX": topology.prefix,
            "TOPIC": "order-events",
            "LEASE_SECONDS": str(LEASE_SECONDS),
            "CALL_SECONDS": "1",
            "PUBLISH_CHECK_WAIT_SECONDS": "1",
            "DRAIN_SECONDS": "5",
            **wal_source.environment(outbox_database.url_for(OUTBOX_RELAY)),
        },
        tmp_path,
    )
    yield made
    await made.close()


async def shares(database: TestDatabase) -> list[int]:
    rows = await query(
        database.url, "SELECT count(*) FROM outbox_lane WHERE owner IS NOT NULL GROUP BY owner ORDER BY 1"
    )
    return [row["count"] for row in rows]


async def owned_by(database: TestDatabase, relays: int, *, timeout: float) -> float:
    """Wait until so many relays share all lanes evenly; returns how many seconds that took."""
    began = time.monotonic()

    async def shared() -> bool:
        found = await shares(database)
        assert len(found) == relays, found
        assert sum(found) == LANES, found
        assert found[-1] - found[0] <= 1, found
        return True

    await eventually(shared, timeout=timeout)
    return time.monotonic() - began


@pytest.mark.timeout(240)
async def test_lanes_are_shared_taken_over_and_handed_over(fleet: Fleet, outbox_database: TestDatabase) -> None:
    await fleet.start(1)
    await owned_by(outbox_database, 1, timeout=2 * LEASE_SECONDS)
    await fleet.start(1)
    await owned_by(outbox_database, 2, timeout=2 * LEASE_SECONDS)
    await fleet.start(2)
    await owned_by(outbox_database, 4, timeout=2 * LEASE_SECONDS)

    leaving = fleet.relays[0]
    leaving.signal(signal.SIGTERM)

    async def left() -> bool:
        return "lanes handed over" in leaving.process.command.log.read_text()

    await eventually(left)
    handed_over = await owned_by(outbox_database, 3, timeout=5.0)
    assert await fleet.gone(leaving) == 0
    assert handed_over < 1.0, f"{handed_over:.2f} s until the others had its lanes"

    await fleet.remove(fleet.relays[0], signal.SIGKILL)
    taken_over = await owned_by(outbox_database, 2, timeout=2 * LEASE_SECONDS)
    assert taken_over < LEASE_SECONDS + 1.0, f"{taken_over:.2f} s until the others had its lanes"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("relays", [2, 4])
async def test_relays_killed_and_stopped_at_random_lose_nothing_and_reorder_nothing(
    fleet: Fleet, outbox_database: TestDatabase, topology: BrokerNames, aws: Aws, relays: int
) -> None:
    seed = 20_000 + relays
    dice = random.Random(seed)
    await fleet.start(relays)
    written: dict[str, int] = dict.fromkeys((f"g-{number}" for number in range(GROUPS)), 0)
    over = asyncio.Event()

    async def write() -> None:
        while not over.is_set():
            events = []
            for group in dice.sample(sorted(written), 8):
                written[group] += 1
                events.append((group, written[group]))
            await record(outbox_database.url_for(OUTBOX_WRITER), events)

    async def disturb() -> None:
        ends = time.monotonic() + CHAOS_SECONDS
        while time.monotonic() < ends:
            victim = dice.choice(fleet.relays)
            match dice.choice(["kill", "stop", "leave"]):
                case "kill":
                    await fleet.remove(victim, signal.SIGKILL)
                    await fleet.start(1)
                case "stop":
                    await leases(outbox_database, len(fleet.relays))
                    victim.signal(signal.SIGSTOP)
                    await leases(outbox_database, len(fleet.relays) - 1)
                    victim.signal(signal.SIGCONT)
                case "leave":
                    await fleet.remove(victim, signal.SIGTERM)
                    await fleet.start(1)
        over.set()

    await asyncio.gather(write(), disturb())
    total = sum(written.values())
    arrived = await drain_queue(aws, topology.queue("notification", "order-events"), total, seconds=90)
    expected = {group: list(range(1, count + 1)) for group, count in written.items() if count}
    assert first_sequences(arrived) == expected, f"seed {seed}"

    async def all_published() -> bool:
        assert (left := await unpublished(outbox_database.url)) == 0, f"{left} of {total} unpublished, seed {seed}"
        return True

    await eventually(all_published, timeout=60)


async def leases(database: TestDatabase, relays: int) -> None:
    """Wait until so many relays have a lease.

    A relay answers `/livez` before it has one: suspended then, it would have none to lose.
    """

    async def have_one() -> bool:
        rows = await query(
            database.url,
            "SELECT 1 FROM outbox_relay WHERE heartbeat_at > clock_timestamp() - $1::float8 * interval '1 second'",
            LEASE_SECONDS,
        )
        assert len(rows) == relays, f"{len(rows)} relays have a lease, not {relays}"
        return True

    await eventually(have_one, timeout=5 * LEASE_SECONDS)
