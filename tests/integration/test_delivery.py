"""A message's way from a topic of the templates to its queues: raw, filtered, and caught when it cannot arrive."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from event_trio.broker.aws import Aws, sns, sqs
from event_trio.broker.names import BrokerNames, undelivered
from event_trio.broker.queue import Message, Queue
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from types_aiobotocore_sns import SNSClient
    from types_aiobotocore_sqs import SQSClient

DOMAIN = "order-events"


class Wires:
    """What the tests hold on to: clients, and the names that the code goes by."""

    def __init__(self, sns: "SNSClient", sqs: "SQSClient", names: BrokerNames, region: str) -> None:
        self.sns = sns
        self.sqs = sqs
        self.names = names
        self.topic_arn = f"arn:aws:sns:{region}:000000000000:{names.topic(DOMAIN)}"

    def queue(self, name: str) -> Queue:
        return Queue(self.sqs, name)

    async def publish(self, type: str, *, group: str = "order-1") -> str:
        """Publish a message of an event type; returns its body."""
        body = f'{{"type": "{type}", "id": "{uuid4()}"}}'
        await self.sns.publish(
            TopicArn=self.topic_arn,
            Message=body,
            MessageGroupId=group,
            MessageDeduplicationId=uuid4().hex,
            MessageAttributes={"type": {"DataType": "String", "StringValue": type}},
        )
        return body


@pytest.fixture
async def wires(aws: Aws, topology: BrokerNames) -> AsyncIterator[Wires]:
    async with AsyncExitStack() as stack:
        topics, queues = await stack.enter_async_context(sns(aws)), await stack.enter_async_context(sqs(aws))
        yield Wires(topics, queues, topology, aws.region)


async def received(queue: Queue, count: int = 1) -> list[Message]:
    found: list[Message] = []

    async def enough() -> bool:
        messages = await queue.receive(wait_seconds=1, visibility_seconds=30)
        found.extend(messages)
        # What comes later of the group is not delivered until then.
        await queue.delete(messages)
        return len(found) >= count

    await eventually(enough, timeout=15)
    return found


async def test_the_body_arrives_as_it_was_published(wires: Wires) -> None:
    body = await wires.publish("order.placed", group="order-7")
    for name in (wires.names.queue("notification", DOMAIN), wires.names.publish_check(DOMAIN)):
        (message,) = await received(wires.queue(name))
        assert message.body == body
        assert message.group == "order-7"
        assert message.attributes == {"type": "order.placed"}


async def test_the_subscriber_gets_what_its_filter_names_and_the_check_gets_all(wires: Wires) -> None:
    types = ["order.held", "order.placed", "order.released", "order.shipped"]
    bodies = [await wires.publish(type) for type in types]
    check = await received(wires.queue(wires.names.publish_check(DOMAIN)), len(bodies))
    assert [message.body for message in check] == bodies
    subscriber = await received(wires.queue(wires.names.queue("notification", DOMAIN)), 2)
    assert [message.attributes["type"] for message in subscriber] == ["order.placed", "order.shipped"]


async def test_what_cannot_be_delivered_is_caught(wires: Wires) -> None:
    queue = wires.names.queue("notification", DOMAIN)
    await wires.sqs.delete_queue(QueueUrl=await wires.queue(queue).url())
    body = await wires.publish("order.placed")
    (message,) = await received(wires.queue(undelivered(queue)))
    assert body in message.body.replace('\\"', '"')
