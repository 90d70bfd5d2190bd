"""A FIFO queue for one test, to which it sends directly, without a topic."""

import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from event_trio.broker.aws import Aws, sqs
from event_trio.broker.queue import Queue
from event_trio.envelope import Envelope

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient
    from types_aiobotocore_sqs.literals import QueueAttributeNameType

ATTRIBUTES: "dict[QueueAttributeNameType, str]" = {
    "FifoQueue": "true",
    "DeduplicationScope": "messageGroup",
    "FifoThroughputLimit": "perMessageGroupId",
}


@dataclass(frozen=True)
class FifoQueue:
    """A queue and a client for it."""

    client: "SQSClient"
    name: str
    url: str

    def reader(self) -> Queue:
        """The queue as a consumer sees it."""
        return Queue(self.client, self.name)

    async def send(self, event: Envelope, *, again: int = 0) -> None:
        """Send an event like the relay; `again` counts repetitions, which must not be dropped as duplicates."""
        deduplication_id = f"{event.id}.{again}" if again else str(event.id)
        await self.send_body(event.to_bytes().decode(), group=event.partitionkey, deduplication_id=deduplication_id)

    async def send_body(self, body: str, *, group: str = "group-1", deduplication_id: str | None = None) -> str:
        """Send any body; returns the message id of the broker."""
        answer = await self.client.send_message(
            QueueUrl=self.url,
            MessageBody=body,
            MessageGroupId=group,
            MessageDeduplicationId=deduplication_id or secrets.token_hex(8),
        )
        return answer["MessageId"]

    async def is_empty(self) -> bool:
        """Whether the queue counts no messages, neither visible nor in flight.

        The counts are approximate: wait until the messages are completed before you ask whether they are deleted.
        """
        answer = await self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=["All"])
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        return not any(int(answer["Attributes"][name]) for name in names)  # type: ignore[index]


@asynccontextmanager
async def fifo_queue(aws: Aws, name: str | None = None, *, max_receives: int | None = None) -> AsyncIterator[FifoQueue]:
    """Create a queue, and delete it at the end; with `max_receives`, it has a dead-letter queue."""
    name = name or f"t{secrets.token_hex(6)}.fifo"
    async with sqs(aws) as client:
        attributes = dict(ATTRIBUTES)
        made = []
        if max_receives is not None:
            made.append((await client.create_queue(QueueName=f"dlq-{name}", Attributes=ATTRIBUTES))["QueueUrl"])
            found = await client.get_queue_attributes(QueueUrl=made[0], AttributeNames=["QueueArn"])
            arn = found["Attributes"]["QueueArn"]
            attributes["RedrivePolicy"] = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": max_receives})
        url = (await client.create_queue(QueueName=name, Attributes=attributes))["QueueUrl"]
        made.append(url)
        try:
            yield FifoQueue(client, name, url)
        finally:
            for queue_url in made:
                await client.delete_queue(QueueUrl=queue_url)
