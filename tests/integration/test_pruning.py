"""A pruning step is one bounded statement, and locks nothing that the relay needs."""

from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry

from benchmarks.counting import count_calls
from event_trio.outbox.schema import LANES
from event_trio.signals import Signals
from services.relay.confirmation.sweeper import Sweeper, SweepThresholds
from services.relay.jobs.event_pruner import PRUNE, STEP, EventPruner
from services.relay.metrics import RelayMetrics
from services.relay.publishing.backlog import NextEventAfter
from services.relay.publishing.outbox_reader import OutboxReader
from services.relay.publishing.outbox_updates import Acknowledgement, Confirmation, OutboxUpdates
from tests.support.databases import OUTBOX_RELAY, OUTBOX_WRITER, TestDatabase
from tests.support.outbox import fill, pool, query, record

OVER, HOUR = 2500, 3600.0
PUBLISH = """
UPDATE outbox_event SET recorded_at = now() - interval '3 hours', sent_at = now() - interval '3 hours',
    published_at = now() - interval '2 hours' WHERE id <= $1 RETURNING 1
"""


@pytest.fixture
async def database(outbox_database: TestDatabase) -> TestDatabase:
    """An outbox with many events that are over, and in which nobody waits for a lock."""
    await fill(outbox_database.url, OVER)
    await query(outbox_database.url, PUBLISH, OVER)
    await query(outbox_database.url, f"ALTER DATABASE {outbox_database.name} SET lock_timeout = '200ms'")
    return outbox_database


async def test_a_step_is_one_statement_with_a_bounded_number_of_rows(database: TestDatabase) -> None:
    metrics, signals = RelayMetrics(CollectorRegistry()), Signals()
    with count_calls() as counts:
        async with pool(database.url_for(OUTBOX_RELAY)) as relays:
            pruner = EventPruner(relays, retention_hours=1, metrics=metrics, signals=signals)
            steps = [await pruner.prune() for _ in range(3)]
    assert steps == [STEP, STEP, OVER - 2 * STEP]
    assert dict(counts.sql) == {"BEGIN": 3, "prune": 3, "COMMIT": 3}


async def test_the_relay_works_during_a_pruning_step(database: TestDatabase) -> None:
    written = [("new", 1), ("lost", 1)]
    new, lost = await record(database.url_for(OUTBOX_WRITER), written)
    await query(database.url, "UPDATE outbox_event SET sent_at = now() - interval '9 minutes' WHERE subject = 'lost'")
    (over,) = await query(database.url, "SELECT * FROM outbox_event ORDER BY id LIMIT 1")
    async with (
        pool(database.url_for(OUTBOX_RELAY)) as relays,
        relays.acquire() as connection,
        connection.transaction(),
    ):
        assert (await connection.fetchrow(PRUNE, HOUR, 0, STEP + OVER))["pruned"] == OVER
        # Each of these would wait for a lock until it may not any longer, and raise.
        await record(database.url_for(OUTBOX_WRITER), [("new", 2)])
        reading = await OutboxReader(relays, NextEventAfter.ACKNOWLEDGED).read(range(LANES), excluded=[])
        assert [event.subject for event in reading.events] == ["new", "new"]
        updates = OutboxUpdates(relays, uuid4())
        sent = [Acknowledgement(event.id, 0, "m", 0.0) for event in reading.events]
        assert len(await updates.mark_sent([Acknowledgement(over["id"], 0, "late", 0.0), *sent])) == 2
        assert [
            p.event_id for p in await updates.mark_published([Confirmation(over["event_id"]), Confirmation(new.id)])
        ] == [new.id]
        sweeper = Sweeper(
            relays,
            SweepThresholds(),
            may_sweep=lambda: True,
            metrics=RelayMetrics(CollectorRegistry()),
            signals=Signals(),
            on_returned=lambda: None,
        )
        assert await sweeper.sweep() == 1
    (left,) = await query(database.url, "SELECT count(*) FROM outbox_event WHERE event_id = $1", lost.id)
    assert left[0] == 1
