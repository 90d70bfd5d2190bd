"""A recreated broker is recorded in the database, for every relay, until an operator decides."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, cast
from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry

from event_trio.broker.aws import Aws
from event_trio.broker.names import BrokerNames
from event_trio.broker.queue import Queue
from event_trio.database.connections import Pool
from event_trio.errors import BrokerUnavailable
from event_trio.signals import Signals
from services.relay.audit_log import Decision
from services.relay.confirmation.broker_identity import BrokerIdentity
from services.relay.confirmation.control_monitor import ControlMonitor
from services.relay.group_sql import LOCK_HELD_GROUPS
from services.relay.jobs.replay_requests import Criteria
from services.relay.jobs.replays import Replays
from services.relay.metrics import RelayMetrics
from services.relay.operators.broker_acceptance import BrokerAcceptance
from services.relay.operators.operations import OperationRefused, Operations
from services.relay.publishing.outbox_updates import Acknowledgement, Confirmation, OutboxUpdates
from tests.support.databases import OUTBOX_RELAY, OUTBOX_WRITER, TestDatabase
from tests.support.outbox import pool, query, record
from tests.support.relays import running, settings
from tests.support.waiting import eventually

OLGA = Decision("olga", "because")


@pytest.fixture
async def relay_pool(outbox_database: TestDatabase) -> AsyncIterator[Pool]:
    async with pool(outbox_database.url_for(OUTBOX_RELAY)) as made:
        yield made


def identity(made: Pool, *, automatic: bool) -> BrokerIdentity:
    """That of one relay's process."""
    return BrokerIdentity(
        made, cast(Any, None), relay_id=uuid4(), automatic=automatic, on_new=lambda: None, signals=Signals()
    )


async def known(database: TestDatabase) -> tuple[str | None, str | None]:
    (row,) = await query(database.url, "SELECT broker, broker_seen FROM outbox_control")
    return row["broker"], row["broker_seen"]


async def actions(database: TestDatabase) -> list[str]:
    return [row["action"] for row in await query(database.url, "SELECT action FROM outbox_audit ORDER BY id")]


async def seen_by_a_relay(made: Pool) -> tuple[bool, float]:
    """Whether a relay that starts now reports that an operator has to decide, by readiness and by metric."""
    metrics = RelayMetrics(CollectorRegistry())
    watch = ControlMonitor(made, metrics)
    await watch.step()
    return watch.broker is not None and "accept-broker" in watch.broker, metrics.broker_unaccepted._value.get()


@pytest.mark.parametrize("created", ["100", "200"], ids=["known", "waiting-for-an-operator"])
async def test_a_known_broker_is_identified_while_another_session_holds_the_lock(
    relay_pool: Pool, created: str
) -> None:
    assert await identity(relay_pool, automatic=False).identify("100")
    assert await identity(relay_pool, automatic=False).identify(created)
    async with relay_pool.acquire() as other, other.transaction():
        await other.execute(LOCK_HELD_GROUPS)
        async with asyncio.timeout(4):  # less than the lock timeout
            assert await identity(relay_pool, automatic=False).identify(created)


async def test_a_recreated_broker_is_reported_by_all_relays_until_an_operator_decides(
    outbox_database: TestDatabase, relay_pool: Pool
) -> None:
    assert await identity(relay_pool, automatic=False).identify("100")
    assert await seen_by_a_relay(relay_pool) == (False, 0)
    for _ in range(3):
        assert await identity(relay_pool, automatic=False).identify("200"), "nothing waits for the decision"
    assert await known(outbox_database) == ("100", "200")
    assert await seen_by_a_relay(relay_pool) == (True, 1)
    assert await actions(outbox_database) == ["broker-seen"], "once, whoever sees it"
    assert await BrokerAcceptance(relay_pool).accept_broker(OLGA) == "200"
    assert await known(outbox_database) == ("200", None)
    assert await seen_by_a_relay(relay_pool) == (False, 0)
    with pytest.raises(OperationRefused):
        await BrokerAcceptance(relay_pool).accept_broker(OLGA)
    (row,) = await query(outbox_database.url, "SELECT actor, reason, details FROM outbox_audit WHERE actor = 'olga'")
    assert (row["reason"], json.loads(row["details"])) == ("because", {"broker": "200"})


@pytest.mark.parametrize(
    ("criteria", "decides"),
    [
        (Criteria(since=datetime(2020, 1, 1, tzinfo=UTC)), True),
        (Criteria(), True),
        (Criteria(subject="a"), False),
        (Criteria(type="order.placed"), False),
    ],
)
async def test_a_replay_of_all_groups_accepts_the_recreated_broker(
    outbox_database: TestDatabase, relay_pool: Pool, criteria: Criteria, decides: bool
) -> None:
    await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1)])
    await query(outbox_database.url, "UPDATE outbox_event SET sent_at = now() RETURNING 1")
    for created in ("100", "200"):
        await identity(relay_pool, automatic=False).identify(created)
    await Operations(relay_pool, call_seconds=5.0).replay(criteria, OLGA)
    assert await known(outbox_database) == (("200", None) if decides else ("100", "200"))


@pytest.mark.parametrize("automatic", [True, False])
async def test_relays_with_two_brokers_do_not_replay_everything_in_turns(
    outbox_database: TestDatabase, relay_pool: Pool, automatic: bool
) -> None:
    one, other = identity(relay_pool, automatic=automatic), identity(relay_pool, automatic=automatic)
    assert await one.identify("200")
    for _ in range(3):
        assert await other.identify("199")
        assert await one.identify("200")
    assert await query(outbox_database.url, "SELECT 1 FROM outbox_replay") == []
    assert "older" in (other.trouble or "")
    assert one.trouble is None
    assert await other.identify("1000") is not automatic, "a number, not a text"
    replays = await query(outbox_database.url, "SELECT 1 FROM outbox_replay")
    assert len(replays) == (1 if automatic else 0)
    assert await one.identify("200")
    assert await query(outbox_database.url, "SELECT 1 FROM outbox_replay") == replays


async def test_late_answers_and_confirmations_of_the_old_broker_have_no_effect(
    outbox_database: TestDatabase, relay_pool: Pool
) -> None:
    """A call and a confirmation that straddle the change: the event was not recorded as sent when all went again."""
    answered, returned = await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1), ("b", 1)])
    updates = OutboxUpdates(relay_pool, uuid4())
    await identity(relay_pool, automatic=True).identify("100")
    assert not await identity(relay_pool, automatic=True).identify("200")
    replays = Replays(relay_pool, metrics=RelayMetrics(CollectorRegistry()), signals=Signals())
    while await replays.step():
        pass
    assert await updates.mark_sent([Acknowledgement(1, 0, "old", 0.0)]) == []
    assert await updates.mark_published([Confirmation(returned.id), Confirmation(answered.id)]) == []
    rows = await query(outbox_database.url, "SELECT sent_at, published_at, republished FROM outbox_event")
    assert [tuple(row) for row in rows] == [(None, None, 1), (None, None, 1)]
    assert len(await updates.mark_published([Confirmation(returned.id, 1)])) == 1


async def test_a_failing_publish_check_does_not_stop_publishing(
    outbox_database: TestDatabase, topology: BrokerNames, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Receives fail from some moment on: events are sent as before, and the check says that it cannot be read."""
    made = settings(outbox_database.url_for(OUTBOX_RELAY), aws, topology)
    async with running(made) as signals:
        await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1)])
        await signals.wait("relay.published")
        forgotten: list[str] = []
        monkeypatch.setattr(
            "services.relay.publishing.publisher.Publisher.recheck_broker", lambda _: forgotten.append("the topic")
        )
        monkeypatch.setattr(Queue, "receive", lambda *_, **__: _refused())
        await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 2), ("a", 3)])

        async def counted() -> bool:
            rows = await query(outbox_database.url, "SELECT count(*) FROM outbox_event WHERE sent_at IS NOT NULL")
            return bool(rows[0][0] == 3)

        await eventually(counted)
        assert forgotten == []


async def _refused() -> list[object]:
    raise BrokerUnavailable("refused")
