"""Messages in the dead-letter queues of the real templates become dead letters, and can be redriven."""

from contextlib import AsyncExitStack
from typing import Any

from sqlalchemy.ext.asyncio import async_sessionmaker

from event_trio.broker.aws import Aws, sns, sqs
from event_trio.broker.names import BrokerNames, dead_letters, undelivered
from event_trio.broker.queue import Queue
from event_trio.database.connections import create_engine
from event_trio.envelope import Envelope
from event_trio.inbox.claim import claim
from services.notification.main import NAME
from tests.support.consuming import delivery_of
from tests.support.databases import TestDatabase, fetch
from tests.support.fifo import FifoQueue
from tests.support.notification_service import NotificationService, Order, notification_service
from tests.support.waiting import eventually

DOMAIN = "order-events"


async def exhaust(queue: Queue) -> None:
    """Receive what is there without settling it, until the broker has moved it all away."""
    limit = 25
    for _ in range(limit):
        if not await queue.receive(wait_seconds=0, visibility_seconds=0):
            return
    raise AssertionError(f"still delivered after {limit} receives")


async def note_as_handled(database: TestDatabase, event: Envelope) -> None:
    engine = create_engine(database.url_for("notification_api"), application_name="test")
    async with async_sessionmaker(engine).begin() as session:
        await claim(session, delivery_of(event, NAME))
    await engine.dispose()


async def redriven(service: NotificationService, event: Envelope) -> None:
    body = {"event_id": str(event.id), "reason": "the queue is back"}
    answer = await service.api.post("/v1/dead-letters/redrive", json=body)
    assert [item["event_id"] for item in answer.json()["items"]] == [str(event.id)]
    await service.completed(event)


async def test_a_message_of_a_dead_letter_queue_is_a_dead_letter_and_can_be_redriven(
    notifications_database: TestDatabase, topology: BrokerNames, aws: Aws
) -> None:
    poison, known, lost = Order().placed(), Order().placed(), Order().placed()
    await note_as_handled(notifications_database, known)
    async with AsyncExitStack() as stack:
        topics, queues = await stack.enter_async_context(sns(aws)), await stack.enter_async_context(sqs(aws))
        name = topology.queue(NAME, DOMAIN)
        queue = Queue(queues, name)
        url = await queue.url()
        for event in (poison, known):
            await FifoQueue(queues, name, url).send(event)
        await exhaust(queue)
        for dead_letter_queue, count in ((dead_letters(name), "2"), (undelivered(name), "0")):
            assert (await Queue(queues, dead_letter_queue).attributes())["ApproximateNumberOfMessages"] == count

        await queues.delete_queue(QueueUrl=url)
        await topics.publish(
            TopicArn=f"arn:aws:sns:{aws.region}:000000000000:{topology.topic(DOMAIN)}",
            Message=lost.to_bytes().decode(),
            MessageGroupId=lost.partitionkey,
            MessageDeduplicationId=str(lost.id),
            MessageAttributes={"type": {"DataType": "String", "StringValue": lost.type}},
        )
        async with notification_service(notifications_database, aws, topology.prefix) as service:

            async def found() -> list[dict[str, Any]]:
                letters = await service.items("/v1/dead-letters")
                assert len(letters) >= 2, letters
                return letters

            reasons = {letter["event_id"]: letter["reason"] for letter in await eventually(found, timeout=30)}
            assert reasons == {str(poison.id): "received_too_often", str(lost.id): "undelivered"}
            for dead_letter_queue in (dead_letters(name), undelivered(name)):
                await eventually(
                    FifoQueue(queues, dead_letter_queue, await Queue(queues, dead_letter_queue).url()).is_empty
                )
            for event in (poison, lost):
                await redriven(service, event)
            assert await service.items("/v1/dead-letters") == []
    outcomes = await fetch(notifications_database.url, "SELECT event_id, outcome FROM processed_message")
    assert {row["event_id"]: row["outcome"] for row in outcomes} == {
        str(event.id): "handled" for event in (poison, known, lost)
    }
    notified = await fetch(notifications_database.url, "SELECT event_id FROM notification")
    assert {str(row["event_id"]) for row in notified} == {str(poison.id), str(lost.id)}
