"""FIFO topics and queues of a run on LocalStack, with the calls that the questions need."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from comparisons.environment import ComparisonEnvironment
from event_trio.broker.aws import Aws, sns, sqs
from tools.embedded import localstack

REGION = "us-east-1"
EMPTY_WAIT_SECONDS = 1
TEN = 10
"""The most messages of one receive."""


@dataclass(frozen=True)
class FifoMessage:
    """A message as it was received with raw delivery."""

    body: str
    group: str
    receipt: str
    deliveries: int


@dataclass(frozen=True)
class FifoBroker:
    """Topics and queues whose names begin with `prefix`."""

    prefix: str
    topics: Any
    queues: Any

    async def topic(self, name: str) -> str:
        """Create a FIFO topic; returns its ARN."""
        created = await self.topics.create_topic(Name=f"{self.prefix}{name}.fifo", Attributes={"FifoTopic": "true"})
        return str(created["TopicArn"])

    async def queue(self, name: str, **attributes: str) -> str:
        """Create a FIFO queue with these attributes; returns its URL."""
        created = await self.queues.create_queue(
            QueueName=f"{self.prefix}{name}.fifo", Attributes={"FifoQueue": "true", **attributes}
        )
        return str(created["QueueUrl"])

    async def standard_queue(self, name: str) -> str:
        """Create a queue that is not FIFO; returns its URL."""
        return str((await self.queues.create_queue(QueueName=f"{self.prefix}{name}"))["QueueUrl"])

    async def arn(self, queue: str) -> str:
        """The ARN of a queue."""
        found = await self.queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        return str(found["Attributes"]["QueueArn"])

    async def subscribe(self, topic: str, queue: str, types: Sequence[str] = ()) -> None:
        """Subscribe a queue, with raw delivery and a filter for these types; without types, without a filter."""
        attributes = {"RawMessageDelivery": "true"}
        if types:
            attributes["FilterPolicy"] = json.dumps({"type": list(types)})
        await self.topics.subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=await self.arn(queue), Attributes=attributes
        )

    async def publish(self, topic: str, body: str, *, group: str, key: str, kind: str = "") -> None:
        """Publish one message with a deduplication id and, as attribute, its type."""
        attributes: Mapping[str, Any] = {"type": {"DataType": "String", "StringValue": kind}} if kind else {}
        await self.topics.publish(
            TopicArn=topic,
            Message=body,
            MessageGroupId=group,
            MessageDeduplicationId=key,
            MessageAttributes=attributes,
        )

    async def send(self, queue: str, body: str, *, group: str, key: str) -> None:
        """Send one message to a queue, without a topic."""
        await self.queues.send_message(
            QueueUrl=queue, MessageBody=body, MessageGroupId=group, MessageDeduplicationId=key
        )

    async def receive(self, queue: str, most: int = TEN) -> list[FifoMessage]:
        """Receive messages; an empty list after a second without any."""
        answer = await self.queues.receive_message(
            QueueUrl=queue,
            MaxNumberOfMessages=most,
            WaitTimeSeconds=EMPTY_WAIT_SECONDS,
            MessageSystemAttributeNames=["MessageGroupId", "ApproximateReceiveCount"],
        )
        return [
            FifoMessage(
                found["Body"],
                found["Attributes"].get("MessageGroupId", ""),
                found["ReceiptHandle"],
                int(found["Attributes"]["ApproximateReceiveCount"]),
            )
            for found in answer.get("Messages", ())
        ]

    async def release(self, queue: str, message: FifoMessage) -> None:
        """Hand a message back, so that it can be received again at once."""
        await self.queues.change_message_visibility(QueueUrl=queue, ReceiptHandle=message.receipt, VisibilityTimeout=0)

    async def delete(self, queue: str, message: FifoMessage) -> None:
        """Delete a message that was received."""
        await self.queues.delete_message(QueueUrl=queue, ReceiptHandle=message.receipt)

    async def drain(self, queue: str) -> list[str]:
        """Receive and delete until the queue is empty; returns the bodies in their order."""
        bodies: list[str] = []
        while found := await self.receive(queue):
            for message in found:
                bodies.append(message.body)
                await self.delete(queue, message)
        return bodies


@asynccontextmanager
async def fifo_broker(environment: ComparisonEnvironment, purpose: str) -> AsyncIterator[FifoBroker]:
    """A broker for one question, with a prefix that the seed determines."""
    prefix = f"{purpose}-{environment.random(purpose).randrange(16**6):06x}-"
    aws = Aws(region=REGION, endpoint_url=await environment.localstack())
    async with sns(aws) as topics, sqs(aws) as queues:
        yield FifoBroker(prefix, topics, queues)


def versions() -> dict[str, str]:
    """What took part."""
    return {"LocalStack": localstack.version()}
