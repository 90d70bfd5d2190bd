"""The monolith before the split: all handlers in one process, without a broker, with the publishers unchanged."""

import json

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import async_sessionmaker

from event_trio.clock import SystemClock
from event_trio.consumer.database_breaker import DatabaseBreaker
from event_trio.consumer.delivery import QueueDelivery
from event_trio.consumer.metrics import ConsumerMetrics
from event_trio.consumer.pipeline.pipeline import Pipeline
from event_trio.consumer.router import Router
from event_trio.consumer.telemetry import Telemetry
from event_trio.database.connections import create_engine
from event_trio.outbox.writer import OutboxWriter
from event_trio.signals import Signals
from event_trio.testing import MemoryQueue
from services.notification.domain import OutboundMessage
from services.notification.handlers import router as notification_router
from services.notification.rendering import Templates
from services.notification.senders.sender import SendRejected
from services.notification.use_cases import CustomerNotifier
from services.order.compensation import Compensation, Compensator
from services.order.handlers import router as order_router
from services.order.metrics import OrderMetrics
from tests.support.databases import TestDatabase, fetch
from tests.support.order_service import order_service, place


class Switchboard:
    """Hands what is recorded in one outbox to the handlers of the other service, in the order of each subject.

    It asks by state and notes what it handed over: a reader of "id > last" would skip what commits late.
    """

    def __init__(self, recorded: TestDatabase, handled: TestDatabase, role: str, name: str) -> None:
        self.engine = create_engine(handled.url_for(role), application_name="monolith")
        self.sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self._recorded = recorded
        self._name = name

    async def carry(self, router: Router) -> int:
        """Handle what is new; returns how many events that were."""
        clock, breaker = SystemClock(), DatabaseBreaker(self.sessions)
        telemetry = Telemetry(router, ConsumerMetrics(CollectorRegistry()), Signals(), clock)
        pipeline = Pipeline(self._name, router, self.sessions, breaker, telemetry, clock)
        query = "SELECT id, envelope FROM outbox_event WHERE published_at IS NULL ORDER BY subject, sequence"
        rows = await fetch(self._recorded.url, query)
        queue = MemoryQueue()
        for row in rows:
            if json.loads(row["envelope"])["type"] in router.types:
                queue.send_body(row["envelope"])
        while messages := await queue.receive(wait_seconds=0, visibility_seconds=60):
            for message in messages:
                await pipeline.process(QueueDelivery.of(message, self._name))
            await queue.delete(messages)
        done = "UPDATE outbox_event SET sent_at = now(), published_at = now() WHERE id = ANY ($1) RETURNING id"
        await fetch(self._recorded.url, done, [row["id"] for row in rows])
        return len(rows)


class Reluctant:
    """A sender that refuses when it is asked to."""

    channel = "memory"

    def __init__(self, *, refuses: bool) -> None:
        self.sent: list[OutboundMessage] = []
        self._refuses = refuses

    async def send(self, notice: OutboundMessage) -> None:
        if self._refuses:
            raise SendRejected
        self.sent.append(notice)


@pytest.mark.parametrize(("refuses", "state"), [(False, "placed"), (True, "held")])
async def test_all_handlers_run_in_one_process(
    orders_database: TestDatabase, notifications_database: TestDatabase, refuses: bool, state: str
) -> None:
    clock, sender = SystemClock(), Reluctant(refuses=refuses)
    there = Switchboard(orders_database, notifications_database, "notification_api", "notification")
    back = Switchboard(notifications_database, orders_database, "order_api", "order")
    notifier = CustomerNotifier(there.sessions, Templates(), sender, OutboxWriter("/services/notification"), clock)
    metrics = OrderMetrics(CollectorRegistry())
    compensator = Compensator(OutboxWriter("/services/order"), Compensation.HOLD, clock=clock, metrics=metrics)
    try:
        async with order_service(orders_database) as api:
            order = await place(api)
            while await there.carry(notification_router(notifier)) + await back.carry(order_router(compensator)):
                pass
            found = (await api.get(f"/v1/orders/{order['id']}")).json()
    finally:
        await there.engine.dispose()
        await back.engine.dispose()
    assert found["state"] == state
    assert len(sender.sent) == (0 if refuses else 1)
