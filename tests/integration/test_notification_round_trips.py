"""How often the notification service waits for its database, for each event that it handles."""

import json
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import async_sessionmaker

from event_trio.broker.queue import Message
from event_trio.clock import SystemClock
from event_trio.consumer.database_breaker import DatabaseBreaker
from event_trio.consumer.delivery import QueueDelivery
from event_trio.consumer.metrics import ConsumerMetrics
from event_trio.consumer.pipeline.pipeline import Pipeline
from event_trio.consumer.telemetry import Telemetry
from event_trio.contracts.orders import OrderConfirmed, OrderShipped
from event_trio.database.connections import create_engine, limit_waits
from event_trio.envelope import Envelope
from event_trio.inbox.connections import InboxConnections
from event_trio.outbox.writer import OutboxWriter
from event_trio.signals import Signals
from services.notification.domain import OutboundMessage
from services.notification.handlers import router
from services.notification.rendering import Templates
from services.notification.use_cases import CustomerNotifier
from tests.support.consuming import rows
from tests.support.databases import TestDatabase, execute
from tests.support.notification_service import Order
from tests.support.round_trips import CountedDatabase, counted_round_trips


class Sent:
    """A sender that keeps what it is given."""

    channel = "memory"

    def __init__(self) -> None:
        self.messages: list[OutboundMessage] = []

    async def send(self, message: OutboundMessage) -> None:
        self.messages.append(message)


class Notifications:
    """The handlers of the service on a counted database."""

    def __init__(self, counted: CountedDatabase) -> None:
        self._counted = counted
        url = counted.database.url_for("notification_api")
        self.engine = limit_waits(create_engine(url, application_name="counted"))
        sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self.connections = InboxConnections(sessions, kept=1)
        writer, clock, self.sender = OutboxWriter("/services/notification"), SystemClock(), Sent()
        routes = router(CustomerNotifier(sessions, Templates(), self.sender, writer, clock, self.connections))
        telemetry = Telemetry(routes, ConsumerMetrics(CollectorRegistry()), Signals(), clock)
        breaker, connections = DatabaseBreaker(sessions), self.connections
        self._pipeline = Pipeline("notification", routes, sessions, breaker, telemetry, clock, connections=connections)

    async def handle(self, event: Envelope) -> tuple[str, int]:
        """The outcome, and the round trips that it took."""
        before = self._counted.round_trips
        message = Message("m", "r", event.to_bytes().decode(), event.partitionkey, str(event.id), "1", 1, event.time)
        outcome = await self._pipeline.process(QueueDelivery.of(message, "notification"))
        return getattr(outcome, "name", "isolation"), self._counted.round_trips - before


@pytest.fixture
async def notifications(notifications_database: TestDatabase) -> AsyncIterator[Notifications]:
    async with counted_round_trips(notifications_database) as counted:
        made = Notifications(counted)
        yield made
        await made.connections.close()
        await made.engine.dispose()


async def test_an_event_takes_two_round_trips_and_another_one_if_the_recipient_is_read(
    notifications: Notifications, notifications_database: TestDatabase
) -> None:
    """A look before the mail is sent; the recipient; and inbox row, notification, event and commit at once."""
    warm, order = Order(), Order()
    for event in (warm.placed(), warm.event(OrderConfirmed)):
        await notifications.handle(event)  # prepares the statements of the connection
    placed, confirmed = order.placed(), order.event(OrderConfirmed)
    assert await notifications.handle(placed) == ("handled", 2)
    assert await notifications.handle(confirmed) == ("handled", 3)
    assert await notifications.handle(confirmed) == ("duplicate", 1)
    assert len(notifications.sender.messages) == 4
    found = await rows(
        notifications_database,
        "SELECT sequence, envelope FROM outbox_event WHERE subject = $1 ORDER BY sequence",
        str(order.id),
    )
    assert [(sequence, Envelope.parse(body).sequence_number) for sequence, body in found] == [(1, 1), (2, 2)]
    assert [json.loads(body)["data"]["cause_event_id"] for _, body in found] == [str(placed.id), str(confirmed.id)]


async def test_nothing_is_recorded_when_the_recipient_is_gone_before_the_commit(
    notifications: Notifications, notifications_database: TestDatabase
) -> None:
    order = Order()
    await notifications.handle(order.placed())
    send = notifications.sender.send

    async def erase_meanwhile(message: OutboundMessage) -> None:
        await send(message)
        await execute(notifications_database.url, "DELETE FROM notification", "DELETE FROM order_recipient")

    notifications.sender.send = erase_meanwhile  # type: ignore[method-assign]
    shipped = order.event(OrderShipped)
    outcome, _ = await notifications.handle(shipped)
    assert outcome in ("retry_scheduled", "deferred")
    inbox = await rows(
        notifications_database, "SELECT outcome FROM processed_message WHERE event_id = $1", str(shipped.id)
    )
    assert ("handled",) not in inbox
