"""The publish check, the sweeper and the pruner: when an event is published, lost, or deleted."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from prometheus_client import CollectorRegistry

from event_trio.broker.aws import Aws, sns, sqs
from event_trio.broker.names import BrokerNames
from event_trio.broker.queue import Queue
from event_trio.database.connections import Pool
from event_trio.signals import Signals
from event_trio.testing import MemoryQueue
from services.relay.confirmation.publish_check import PublishCheck
from services.relay.confirmation.sweeper import Sweeper, SweepThresholds
from services.relay.jobs.event_pruner import EventPruner
from services.relay.metrics import RelayMetrics
from services.relay.publishing.outbox_updates import Acknowledgement, Confirmation, OutboxUpdates
from tests.support.databases import OUTBOX_RELAY, OUTBOX_WRITER, TestDatabase
from tests.support.outbox import fill, pool, query, record
from tests.support.relay_parts import NoAcknowledgements
from tests.support.relays import running, settings
from tests.support.waiting import eventually

PATIENCE = SweepThresholds(lost_after=360, in_queue_after=60, probe=60)


@pytest.fixture
async def relay_pool(outbox_database: TestDatabase) -> AsyncIterator[Pool]:
    async with pool(outbox_database.url_for(OUTBOX_RELAY)) as made:
        yield made


def sweeper(made: Pool) -> Sweeper:
    return Sweeper(
        made,
        PATIENCE,
        may_sweep=lambda: True,
        metrics=RelayMetrics(CollectorRegistry()),
        signals=Signals(),
        on_returned=lambda: None,
    )


async def sent(database: TestDatabase, event_id: UUID, *, minutes_ago: float, published: bool = False) -> None:
    await query(
        database.url,
        "UPDATE outbox_event SET sent_at = now() - $2::interval, published_at = CASE WHEN $3 THEN now() END"
        " WHERE event_id = $1 RETURNING 1",
        event_id,
        timedelta(minutes=minutes_ago),
        published,
    )


async def state(database: TestDatabase, event_id: UUID) -> tuple[bool, bool, int]:
    (row,) = await query(database.url, "SELECT * FROM outbox_event WHERE event_id = $1", event_id)
    return row["sent_at"] is not None, row["published_at"] is not None, row["republished"]


async def test_a_confirmation_before_the_acknowledgement_applies_and_is_not_undone(
    outbox_database: TestDatabase, relay_pool: Pool
) -> None:
    (envelope,) = await record(outbox_database.url_for(OUTBOX_WRITER), [("o-1", 1)])
    updates = OutboxUpdates(relay_pool, uuid4())
    (news,) = await updates.mark_published([Confirmation(envelope.id)])
    assert news.event_id == envelope.id
    assert news.since_sent == pytest.approx(0, abs=0.01)
    assert await updates.mark_sent([Acknowledgement(1, 0, "m-1", 0.5)]) == []
    assert await state(outbox_database, envelope.id) == (True, True, 0)


async def test_a_confirmation_with_an_unrecorded_acknowledgement_records_both_at_once(
    outbox_database: TestDatabase, relay_pool: Pool
) -> None:
    first, second = await record(outbox_database.url_for(OUTBOX_WRITER), [("o-1", 1), ("o-2", 1)])
    await query(outbox_database.url, "UPDATE outbox_event SET recorded_at = now() - interval '2 s' RETURNING 1")
    updates = OutboxUpdates(relay_pool, uuid4())
    await updates.mark_sent([Acknowledgement(2, 0, "m-2", 1.0)])
    news = await updates.mark_published([Confirmation(first.id, 0, "m-1", 0.5), Confirmation(second.id, 0, "m-3", 9.0)])
    assert {each.event_id: round(each.since_sent, 1) for each in news} == {first.id: 0.5, second.id: 1.0}
    rows = await query(outbox_database.url, "SELECT broker_message_id FROM outbox_event ORDER BY id")
    assert [row["broker_message_id"] for row in rows] == ["m-1", "m-2"]
    # The same acknowledgement, recorded by itself afterwards, changes nothing.
    before = await query(outbox_database.url, "SELECT * FROM outbox_event ORDER BY id")
    assert await updates.mark_sent([Acknowledgement(1, 0, "m-1", 0.5)]) == []
    assert await query(outbox_database.url, "SELECT * FROM outbox_event ORDER BY id") == before


async def test_unknown_and_repeated_confirmations_change_nothing(
    outbox_database: TestDatabase, relay_pool: Pool
) -> None:
    (envelope,) = await record(outbox_database.url_for(OUTBOX_WRITER), [("o-1", 1)])
    updates = OutboxUpdates(relay_pool, uuid4())
    assert await updates.mark_published([Confirmation(uuid4())]) == []
    assert len(await updates.mark_published([Confirmation(envelope.id), Confirmation(uuid4())])) == 1
    before = await query(outbox_database.url, "SELECT * FROM outbox_event")
    assert await updates.mark_published([Confirmation(envelope.id)]) == []
    assert await query(outbox_database.url, "SELECT * FROM outbox_event") == before


async def test_an_acknowledgement_from_before_a_republish_does_not_apply_to_it(
    outbox_database: TestDatabase, relay_pool: Pool
) -> None:
    (envelope,) = await record(outbox_database.url_for(OUTBOX_WRITER), [("o-1", 1)])
    await query(outbox_database.url, "UPDATE outbox_event SET republished = 1 RETURNING 1")
    assert await OutboxUpdates(relay_pool, uuid4()).mark_sent([Acknowledgement(1, 0, "old", 0.0)]) == []
    assert await state(outbox_database, envelope.id) == (False, False, 1)


async def test_an_acknowledgement_alone_is_no_proof(outbox_database: TestDatabase, relay_pool: Pool) -> None:
    (envelope,) = await record(outbox_database.url_for(OUTBOX_WRITER), [("o-1", 1)])
    await OutboxUpdates(relay_pool, uuid4()).mark_sent([Acknowledgement(1, 0, "m-1", 0.0)])
    assert await state(outbox_database, envelope.id) == (True, False, 0)


async def test_a_relay_with_nothing_to_confirm_is_ready_at_once(relay_pool: Pool) -> None:
    """Not only when the first long poll has ended."""
    check = PublishCheck(
        MemoryQueue(),
        OutboxUpdates(relay_pool, uuid4()),
        wait_seconds=20,
        record_at_once=False,
        acknowledgements=NoAcknowledgements(),
        metrics=RelayMetrics(CollectorRegistry()),
        signals=Signals(),
        on_published=lambda: None,
        on_trouble=lambda: None,
    )
    task = asyncio.create_task(check.run(asyncio.Event()))

    async def is_asked() -> bool:
        return check.trouble is None

    try:
        await eventually(is_asked, timeout=5)
    finally:
        task.cancel()


async def test_foreign_messages_on_the_publish_check_are_counted_and_block_nothing(
    outbox_database: TestDatabase, topology: BrokerNames, aws: Aws
) -> None:
    async with sqs(aws) as queues, sns(aws) as topics:
        queue = Queue(queues, topology.publish_check("order-events"))
        arn = (await queue.attributes())["QueueArn"].rpartition(":")[0].replace(":sqs:", ":sns:")
        await topics.publish(
            TopicArn=f"{arn}:{topology.topic('order-events')}", Message="hello", MessageGroupId="g",
            MessageDeduplicationId="d",
        )  # fmt: skip
        (envelope,) = await record(outbox_database.url_for(OUTBOX_WRITER), [("o-1", 1)])
        async with running(settings(outbox_database.url_for(OUTBOX_RELAY), aws, topology)) as signals:
            await signals.wait("relay.published", where=lambda facts: facts["event_id"] == str(envelope.id))
        assert (await queue.attributes())["ApproximateNumberOfMessages"] == "0"


async def test_lost_events_are_sent_again_and_events_that_may_still_arrive_are_not(
    outbox_database: TestDatabase, relay_pool: Pool
) -> None:
    lost, late, fresh, seen = await record(
        outbox_database.url_for(OUTBOX_WRITER), [("lost", 1), ("late", 1), ("fresh", 1), ("seen", 1)]
    )
    await sent(outbox_database, lost.id, minutes_ago=8)
    await sent(outbox_database, late.id, minutes_ago=5)
    await sent(outbox_database, fresh.id, minutes_ago=0)
    await sent(outbox_database, seen.id, minutes_ago=6.5, published=True)
    assert await sweeper(relay_pool).sweep() == 1
    assert await state(outbox_database, lost.id) == (False, False, 1)
    assert await state(outbox_database, late.id) == (True, False, 0)
    assert await state(outbox_database, fresh.id) == (True, False, 0)


async def test_without_confirmations_only_a_probe_is_sent_and_then_the_check_is_broken(
    outbox_database: TestDatabase, relay_pool: Pool
) -> None:
    first, second = await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1), ("b", 1)])
    await sent(outbox_database, first.id, minutes_ago=9)
    await sent(outbox_database, second.id, minutes_ago=8)
    swept = sweeper(relay_pool)
    assert await swept.sweep() == 1
    assert await state(outbox_database, first.id) == (False, False, 1)
    assert swept.trouble is None
    assert await swept.sweep() == 0, "the probe is not sent yet: no other goes"
    await sent(outbox_database, first.id, minutes_ago=2)
    assert await swept.sweep() == 1, "the probe did not return: the next one"
    assert "broken" in (swept.trouble or "")
    assert await state(outbox_database, second.id) == (False, False, 1)


async def test_a_single_unconfirmed_event_is_found(outbox_database: TestDatabase, relay_pool: Pool) -> None:
    (only,) = await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1)])
    await sent(outbox_database, only.id, minutes_ago=9)
    swept = sweeper(relay_pool)
    assert await swept.sweep() == 1
    await sent(outbox_database, only.id, minutes_ago=2)
    assert await swept.sweep() == 0
    assert "broken" in (swept.trouble or "")


async def test_a_confirmed_probe_proves_that_the_others_are_lost(
    outbox_database: TestDatabase, relay_pool: Pool
) -> None:
    first, second, third = await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1), ("b", 1), ("c", 1)])
    for envelope in (first, second, third):
        await sent(outbox_database, envelope.id, minutes_ago=9)
    swept = sweeper(relay_pool)
    assert await swept.sweep() == 1
    await sent(outbox_database, first.id, minutes_ago=0, published=True)
    assert await swept.sweep() == 2
    assert swept.trouble is None


async def test_a_lost_event_is_published_again_under_another_deduplication_id(
    outbox_database: TestDatabase, topology: BrokerNames, aws: Aws
) -> None:
    """LocalStack would swallow the same id for five minutes, as AWS does."""
    (envelope,) = await record(outbox_database.url_for(OUTBOX_WRITER), [("o-1", 1)])
    made = settings(outbox_database.url_for(OUTBOX_RELAY), aws, topology)
    async with running(made) as signals:
        await signals.wait("relay.published")
        await query(
            outbox_database.url,
            "UPDATE outbox_event SET sent_at = NULL, published_at = NULL, republished = 1 RETURNING 1",
        )
        await query(outbox_database.url, "NOTIFY outbox")
        await signals.wait("relay.published", count=2)
    assert await state(outbox_database, envelope.id) == (True, True, 1)


async def test_only_events_beyond_the_retention_are_pruned_in_bounded_steps(
    outbox_database: TestDatabase, relay_pool: Pool
) -> None:
    """The oldest 1,200 are stuck: they may not go, and may not keep the pruner from those behind them."""
    await fill(outbox_database.url, 3000)
    await query(
        outbox_database.url,
        "UPDATE outbox_event SET recorded_at = now() - interval '3 hours', sent_at = now(),"
        " published_at = CASE WHEN id > 1200 AND id <> 1700 THEN now() - interval '2 hours' END"
        " WHERE id <= 2500 RETURNING 1",
    )
    pruner = EventPruner(relay_pool, retention_hours=1, metrics=RelayMetrics(CollectorRegistry()), signals=Signals())
    assert [await pruner.prune() for _ in range(4)] == [0, 799, 500, 0]
    left = await query(outbox_database.url, "SELECT id FROM outbox_event ORDER BY id")
    assert [row["id"] for row in left] == [*range(1, 1201), 1700, *range(2501, 3001)]
