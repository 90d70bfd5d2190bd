"""What an event's times say is kept: when it first went, and in which order, whatever goes again later."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from prometheus_client import CollectorRegistry

from event_trio.database.connections import Pool
from event_trio.signals import Signals
from services.relay.audit_log import Decision
from services.relay.confirmation.sweeper import Sweeper, SweepThresholds
from services.relay.jobs.replay_requests import Criteria
from services.relay.jobs.replays import Replays
from services.relay.metrics import RelayMetrics
from services.relay.operators.message_groups import MessageGroups
from services.relay.operators.operations import Operations
from services.relay.publishing.outbox_updates import Acknowledgement, Confirmation, OutboxUpdates
from tests.support.databases import OUTBOX_RELAY, OUTBOX_WRITER, TestDatabase
from tests.support.order_service import order_service, place
from tests.support.outbox import pool, query, record

TIMES = ("first_sent_at", "sent_at", "first_published_at", "published_at")


@pytest.fixture
async def relay_pool(outbox_database: TestDatabase) -> AsyncIterator[Pool]:
    async with pool(outbox_database.url_for(OUTBOX_RELAY)) as made:
        yield made


async def go_again(pool: Pool, by: str) -> None:
    """The event is replayed, or was lost, or goes as a probe."""
    metrics, signals = RelayMetrics(CollectorRegistry()), Signals()
    if by == "replay":
        await Operations(pool, call_seconds=5.0).replay(Criteria(), Decision("olga", "because"))
        assert await Replays(pool, metrics=metrics, signals=signals).step()
    else:
        patience = SweepThresholds(lost_after=0.0, in_queue_after=0.0, probe=0.0)
        sweeper = Sweeper(
            pool, patience, may_sweep=lambda: True, metrics=metrics, signals=signals, on_returned=lambda: None
        )
        assert await sweeper.sweep() == 1


async def times(pool: Pool, event_id: UUID) -> dict[str, Any]:
    life = await MessageGroups(pool).event(event_id)
    assert life is not None
    return {name: getattr(life, name) for name in TIMES}


@pytest.mark.parametrize("by", ["replay", "sweep"])
async def test_what_goes_again_keeps_when_it_first_went(
    outbox_database: TestDatabase, relay_pool: Pool, by: str
) -> None:
    (event,) = await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1)])
    updates = OutboxUpdates(relay_pool, uuid4())
    (row,) = await query(outbox_database.url, "SELECT id FROM outbox_event")
    await updates.mark_sent([Acknowledgement(row["id"], 0, "m-1", 0.0)])
    if by == "replay":
        await query(outbox_database.url, "UPDATE outbox_event SET published_at = clock_timestamp() RETURNING 1")
    first = await times(relay_pool, event.id)
    assert (first["first_sent_at"], first["first_published_at"]) == (first["sent_at"], first["published_at"])
    for generation in (1, 2):
        await go_again(relay_pool, by)
        away = await times(relay_pool, event.id)
        assert (away["sent_at"], away["published_at"]) == (None, None)
        await updates.mark_sent([Acknowledgement(row["id"], generation, f"m-{generation}", 0.0)])
        again = await times(relay_pool, event.id)
        assert again["first_sent_at"] == away["first_sent_at"] == first["sent_at"]
        assert again["first_published_at"] == first["published_at"]
        assert again["sent_at"] > first["sent_at"]


async def test_events_of_a_group_were_sent_in_their_order_though_a_confirmation_came_first(
    outbox_database: TestDatabase, relay_pool: Pool
) -> None:
    events = await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1), ("a", 2)])
    await query(
        outbox_database.url, "UPDATE outbox_event SET recorded_at = recorded_at - interval '1 minute' RETURNING 1"
    )
    rows = await query(outbox_database.url, "SELECT id FROM outbox_event ORDER BY sequence")
    updates = OutboxUpdates(relay_pool, uuid4())
    await updates.mark_published([Confirmation(events[0].id)])
    # Both are recorded together, the first of them sent two seconds ago, the second one second ago.
    acknowledgements = [Acknowledgement(row["id"], 0, f"m-{row['id']}", 2.0 - n) for n, row in enumerate(rows)]
    assert len(await updates.mark_sent(acknowledgements)) == 1
    assert await updates.mark_sent(acknowledgements) == []
    states = await query(outbox_database.url, "SELECT * FROM outbox_event ORDER BY sequence")
    assert states[0]["sent_at"] < states[1]["sent_at"]
    assert states[0]["published_at"] is not None
    assert [row["broker_message_id"] for row in states] == ["m-1", "m-2"]


async def test_an_orders_events_show_when_they_first_and_when_they_last_went(orders_database: TestDatabase) -> None:
    async with order_service(orders_database) as api:
        order = await place(api)
        await api.post(f"/v1/orders/{order['id']}/confirm")

        async def events() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = (await api.get(f"/v1/orders/{order['id']}/events")).json()["items"]
            return found

        assert [[event[name] for name in TIMES] for event in await events()] == [[None] * 4] * 2
        sent = "UPDATE outbox_event SET sent_at = now(), published_at = now() RETURNING 1"
        await query(orders_database.url, sent)
        before = await events()
        assert before[0]["first_sent_at"] == before[0]["sent_at"] is not None
        async with pool(orders_database.url_for("order_relay")) as relays:
            await go_again(relays, "replay")
        away = await events()
        assert [(event["first_sent_at"], event["sent_at"]) for event in away] == [
            (event["sent_at"], None) for event in before
        ]
        assert [event["first_published_at"] for event in away] == [event["published_at"] for event in before]
        await query(orders_database.url, sent)
        after = await events()
        assert after[0]["sent_at"] > after[0]["first_sent_at"] == before[0]["sent_at"]
        # The first came again after the second had gone; nothing came after the second.
        assert [(event["republished"], event["stale"]) for event in after] == [(1, True), (1, False)]
