"""The inbox forgets, in bounded steps, what can no longer come again, and nothing else."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from event_trio.broker.aws import Aws, sns, sqs
from event_trio.broker.names import BrokerNames, dead_letters
from event_trio.broker.queue import Queue
from event_trio.consumer.deployment_check import DeploymentCheck
from event_trio.consumer.event import Event
from event_trio.consumer.maintenance import InboxMaintenance
from event_trio.consumer.metrics import ConsumerMetrics
from event_trio.consumer.policies import DeadLetter
from event_trio.consumer.router import Router
from event_trio.contracts.notifications import NotificationFailed, NotificationSent
from event_trio.signals import Signals
from tests.support.consuming import CONSUMER, Counted, consumer_of, effects, make_effects, rows
from tests.support.databases import TestDatabase, execute
from tests.support.events import envelope_of
from tests.support.fifo import FifoQueue, fifo_queue

HOURS = 72.0


@pytest.fixture
async def queue(aws: Aws) -> AsyncIterator[FifoQueue]:
    async with fifo_queue(aws) as made:
        yield made


@pytest.fixture
async def database(notifications_database: TestDatabase) -> TestDatabase:
    await make_effects(notifications_database)
    return notifications_database


async def test_old_rows_go_and_those_of_unresolved_messages_stay(database: TestDatabase, queue: FifoQueue) -> None:
    old, young, dead = (envelope_of(Counted(), subject=name) for name in ("old", "young", "dead"))

    async def fail(event: Event[Counted]) -> None:
        if event.envelope.id == dead.id:
            raise RuntimeError("never")

    async with consumer_of(database, queue.reader(), act=fail, policy=DeadLetter()) as tested:
        for event, outcome in ((old, "handled"), (dead, "dead_letter"), (young, "handled")):
            await queue.send(event)
            await tested.completed(event.id, outcome)
        age = f"UPDATE processed_message SET processed_at = now() - interval '73 hours' WHERE event_id <> '{young.id}'"
        await execute(database.url, age)
        metrics = ConsumerMetrics(CollectorRegistry())
        maintenance = InboxMaintenance(CONSUMER, tested.sessions, metrics, tested.signals, retention_hours=HOURS)
        assert await maintenance.prune() == 1
        assert await maintenance.prune() == 0
    left = await rows(database, "SELECT event_id FROM processed_message ORDER BY processed_at")
    assert left == [(str(dead.id),), (str(young.id),)]


async def test_what_may_have_been_forgotten_is_not_handled_again(database: TestDatabase, queue: FifoQueue) -> None:
    """An event older than the retention less a day: whether it was handled is about to be forgotten, or was."""
    now = datetime.now(UTC)
    old = envelope_of(Counted(), subject="old", time=now - timedelta(hours=HOURS - 23))
    recent = envelope_of(Counted(), subject="recent", time=now - timedelta(hours=HOURS - 25))
    async with consumer_of(database, queue.reader(), retention_hours=HOURS) as tested:
        await queue.send(old)
        await queue.send(recent)
        await tested.completed(old.id, "dead_letter")
        await tested.completed(recent.id, "handled")
    assert await effects(database) == [("recent", 1)]
    assert await rows(database, "SELECT reason FROM deferred_message") == [("too_old",)]


@pytest.mark.parametrize(
    ("handled", "days", "differs", "short"),
    [
        ((NotificationFailed,), 45.0, 0, 0),
        ((NotificationFailed, NotificationSent), 45.0, 1, 0),
        ((), 20.0, 1, 1),
    ],
)
async def test_the_check_at_the_start_says_what_differs(
    handled: tuple[type[NotificationFailed], ...],
    days: float,
    differs: int,
    short: int,
    topology: BrokerNames,
    aws: Aws,
) -> None:
    async def record(session: object, event: object, acted: object) -> None: ...

    router, registry = Router(), CollectorRegistry()
    for payload in handled:
        router.handle(payload, record)
    name = topology.queue("order", "notification-events")
    async with sns(aws) as topics, sqs(aws) as queues:
        check = DeploymentCheck(
            topics,
            topology.topic("notification-events"),
            Queue(queues, name),
            Queue(queues, dead_letters(name)),
            router,
            ConsumerMetrics(registry),
            Signals(),
            inbox_days=days,
            outbox_days=14.0,
        )
        with capture_logs() as logs:
            await check.check()
    found = [registry.get_sample_value("consumer_deployment_differs", {"check": c}) for c in ("filter", "retention")]
    assert found == [differs, short]
    actions = {entry["action"] for entry in logs}
    assert ("deployment.filter_differs" in actions, "deployment.retention_short" in actions) == (differs, short)
