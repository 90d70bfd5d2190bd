"""A faulty message of a dead-letter queue affects no other message."""

from collections.abc import Iterable
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import async_sessionmaker

from event_trio.broker.queue import BATCH, Message, Queue
from event_trio.consumer.metrics import ConsumerMetrics
from event_trio.consumer.sources.dead_letter_queues import DeadLetterQueueDrain
from event_trio.database.connections import create_engine
from event_trio.signals import Signals
from tests.support.consuming import CONSUMER, Counted, rows
from tests.support.databases import TestDatabase, execute
from tests.support.events import envelope_of


class FullQueue(Queue):
    """Gives out what it has, and keeps what is not deleted."""

    def __init__(self, messages: Iterable[Message]) -> None:
        self.name = "queue-dlq.fifo"
        self.messages = {message.message_id: message for message in messages}

    async def receive(self, *, wait_seconds: int, visibility_seconds: int, most: int = BATCH) -> list[Message]:
        return list(self.messages.values())[:most]

    async def delete(self, messages: Iterable[Message]) -> list[Message]:
        for message in messages:
            del self.messages[message.message_id]
        return []


def message(name: str) -> Message:
    body = envelope_of(Counted(), subject=name).to_bytes().decode()
    return Message(name, f"handle-{name}", body, name, name, "1", 11, datetime.now(UTC))


class Parts:
    """A drain of a queue with three messages."""

    def __init__(self, database: TestDatabase) -> None:
        self.engine = create_engine(database.url_for("notification_api"), application_name="test")
        self.registry, self.queue = CollectorRegistry(), FullQueue(map(message, ("first", "odd", "last")))
        sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        metrics, signals = ConsumerMetrics(self.registry), Signals()
        self.drain = DeadLetterQueueDrain(
            "drain", CONSUMER, self.queue, sessions, metrics, signals, reason="received_too_often", wait_seconds=0
        )


async def test_a_message_that_cannot_be_stored_stays_and_the_others_are_drained(
    notifications_database: TestDatabase,
) -> None:
    await execute(notifications_database.url, "ALTER TABLE deferred_message ADD CHECK (message_id <> 'odd')")
    parts = Parts(notifications_database)
    for _ in range(2):
        await parts.drain.drain()
    assert list(parts.queue.messages) == ["odd"]
    taken = await rows(notifications_database, "SELECT message_id FROM deferred_message ORDER BY id")
    assert taken == [("first",), ("last",)]
    counted = parts.registry.get_sample_value("consumer_unstorable_messages_total", {"reason": "received_too_often"})
    assert counted == 2
    await parts.engine.dispose()


async def test_messages_stored_before_the_database_failed_are_deleted(notifications_database: TestDatabase) -> None:
    parts = Parts(notifications_database)
    await execute(
        notifications_database.url,
        "CREATE FUNCTION away() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'shutting down' USING ERRCODE = '57P01'; END $$",
        "CREATE TRIGGER away BEFORE INSERT ON deferred_message FOR EACH ROW"
        " WHEN (NEW.message_id = 'odd') EXECUTE FUNCTION away()",
    )
    with pytest.raises(SQLAlchemyError):
        await parts.drain.drain()
    assert list(parts.queue.messages) == ["odd", "last"]
    await parts.engine.dispose()
