"""A publisher observes its own outbox while no relay runs: the backlog, its age, and that no relay is running."""

import asyncio
import json
import math
from typing import Any

from prometheus_client import CollectorRegistry

from event_trio.clock import SystemClock
from event_trio.database.connections import transaction
from event_trio.outbox.metrics import OutboxMetrics
from event_trio.outbox.monitor import BACKLOG, BY_INDEX, MOST, OutboxMonitor
from tests.support.databases import OUTBOX_WRITER, TestDatabase
from tests.support.operators import relay_app
from tests.support.order_service import order_service, place
from tests.support.outbox import fill, pool, query
from tests.support.serving import serving
from tests.support.waiting import eventually

BEAT = """
INSERT INTO outbox_relay (relay_id, heartbeat_at, lease_seconds)
VALUES (gen_random_uuid(), clock_timestamp() - $1::float8 * interval '1 second', $2) RETURNING relay_id
"""


CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'outbox-monitor' AND datname = $1
"""


class Seen:
    """One look after the other, as the publisher's role."""

    def __init__(self, database: TestDatabase) -> None:
        self._url = database.url_for(OUTBOX_WRITER)
        self.registry = CollectorRegistry()
        self.watch = OutboxMonitor(self._url, OutboxMetrics(self.registry), topic="t.fifo", clock=SystemClock())

    async def look(self) -> str | None:
        async with pool(self._url, size=1) as found:
            await self.watch.look(found)
        return await self.watch.check()

    def metric(self, name: str) -> float:
        value = self.registry.get_sample_value(name)
        assert value is not None
        return value


async def test_a_relay_is_live_for_the_length_of_its_lease(outbox_database: TestDatabase) -> None:
    seen = Seen(outbox_database)
    await query(outbox_database.url, BEAT, 40.0, 60.0)
    assert await seen.look() is None
    assert seen.metric("outbox_live_relays") == 1
    assert 40 <= seen.metric("outbox_relay_heartbeat_age_seconds") < 60
    await query(outbox_database.url, "UPDATE outbox_relay SET lease_seconds = 15")
    assert str(await seen.look()).startswith("no relay is running for this outbox; last heartbeat 4")
    assert seen.metric("outbox_live_relays") == 0


async def test_the_oldest_event_is_known_though_the_backlog_exceeds_the_bound(outbox_database: TestDatabase) -> None:
    seen = Seen(outbox_database)
    await query(outbox_database.url, BEAT, 0.0, 60.0)
    await fill(outbox_database.url, 1, prefix="zz")
    old = "UPDATE outbox_event SET recorded_at = clock_timestamp() - interval '100 seconds' WHERE subject LIKE 'zz%'"
    await query(outbox_database.url, old)
    # Its lane has the highest number, so that the bound cuts it off.
    assert str(await seen.look()).startswith("the oldest event waits 10")
    await fill(outbox_database.url, 6000)
    assert str(await seen.look()).startswith("the oldest event waits 10")
    assert seen.metric("outbox_unpublished_events") == MOST
    await query(outbox_database.url, "UPDATE outbox_event SET published_at = now() WHERE subject LIKE 'zz%'")
    assert await seen.look() is None
    await query(outbox_database.url, "UPDATE outbox_event SET held_at = now() WHERE published_at IS NULL")
    assert await seen.look() is None
    assert seen.metric("outbox_unpublished_events") == 0
    assert seen.metric("outbox_oldest_unpublished_age_seconds") == 0


async def test_an_observation_costs_the_same_whatever_the_size_of_the_table(outbox_database: TestDatabase) -> None:
    await fill(outbox_database.url, 20_000)
    await query(outbox_database.url, "UPDATE outbox_event SET published_at = now() WHERE id % 100 <> 0")
    await query(outbox_database.url, "VACUUM ANALYZE outbox_event")
    async with pool(outbox_database.url) as found, transaction(found) as connection:
        await connection.execute(BY_INDEX)
        rows = await connection.fetch(f"EXPLAIN (FORMAT JSON) {BACKLOG}", MOST, 7)
    used = [node for node in nodes(json.loads(rows[0][0])[0]["Plan"]) if node.get("Relation Name") == "outbox_event"]
    assert len(used) == 2
    assert {node["Node Type"] for node in used} <= {"Index Scan", "Index Only Scan"}


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(found for part in plan.get("Plans", ()) for found in nodes(part))]


async def test_the_backlog_is_observed_where_the_relays_cannot_be_read(outbox_database: TestDatabase) -> None:
    seen = Seen(outbox_database)
    await fill(outbox_database.url, 3)
    for change in (
        f"REVOKE SELECT ON outbox_relay FROM {OUTBOX_WRITER}",
        "ALTER TABLE outbox_relay DROP COLUMN lease_seconds",
        "DROP TABLE outbox_relay",
    ):
        await query(outbox_database.url, change)
        assert await seen.look() is None
        assert seen.metric("outbox_unpublished_events") == 3
        assert math.isnan(seen.metric("outbox_live_relays"))


async def test_a_relay_announces_its_lease(outbox_database: TestDatabase) -> None:
    async with serving(relay_app(outbox_database)):

        async def announced() -> bool:
            return bool(await query(outbox_database.url, "SELECT FROM outbox_relay WHERE lease_seconds > 0"))

        await eventually(announced)


async def test_the_order_service_takes_orders_and_is_degraded_without_a_relay(orders_database: TestDatabase) -> None:
    await query(orders_database.url, BEAT, 20.0, 15.0)
    async with order_service(orders_database) as api:
        await place(api)

        async def degraded() -> bool:
            readiness = await api.get("/readyz")
            found = readiness.json()
            assert (readiness.status_code, found["status"]) == (200, "degraded"), found
            assert found["checks"]["outbox"]["required"] is False
            return str(found["checks"]["outbox"]["detail"]).startswith(
                "no relay is running for this outbox; last heartbeat "
            )

        await eventually(degraded)
        page = (await api.get("/metrics")).text
        assert "outbox_live_relays 0.0" in page


async def test_an_unavailable_database_does_not_end_the_loop(outbox_database: TestDatabase) -> None:
    watch = OutboxMonitor(
        outbox_database.url_for(OUTBOX_WRITER), OutboxMetrics(CollectorRegistry()), topic="t", every_seconds=0.05
    )
    stopping = asyncio.Event()
    running = asyncio.create_task(watch.run(stopping))

    async def cut() -> bool:
        return bool(await query(outbox_database.url, CUT, outbox_database.name))

    await eventually(cut)
    await eventually(cut)
    stopping.set()
    await running
