"""A topic with its queues for tests and for trying the library out, without a template."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..broker.aws import Aws, sns, sqs
from ..broker.names import BrokerNames

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient
    from types_aiobotocore_sqs.literals import QueueAttributeNameType

FIRST_CALL_SECONDS = 30.0
"""LocalStack loads a service at its first call."""
FIFO_QUEUE: dict[QueueAttributeNameType, str] = {
    "FifoQueue": "true",
    "DeduplicationScope": "messageGroup",
    "FifoThroughputLimit": "perMessageGroupId",
}


@dataclass(frozen=True, slots=True)
class Topology:
    """The names of what was created."""

    topic: str
    publish_check: str
    queue: str


async def create_topology(domain: str, subscriber: str, *, aws: Aws, prefix: str = "") -> Topology:
    """Create what a relay and one consumer need: the topic, the publish check's queue, and the subscriber's queue.

    What exists already is left as it is. There are no dead-letter queues, no filter and no encryption.
    """
    names = BrokerNames(prefix)
    made = Topology(names.topic(domain), names.publish_check(domain), names.queue(subscriber, domain))
    async with (
        sns(aws, call_seconds=FIRST_CALL_SECONDS) as topics,
        sqs(aws, call_seconds=FIRST_CALL_SECONDS) as queues,
    ):
        attributes = {"FifoTopic": "true", "ContentBasedDeduplication": "false", "FifoThroughputScope": "MessageGroup"}
        topic = (await topics.create_topic(Name=made.topic, Attributes=attributes))["TopicArn"]
        for name in (made.queue, made.publish_check):
            await topics.subscribe(
                TopicArn=topic,
                Protocol="sqs",
                Endpoint=await _queue(queues, name, topic),
                Attributes={"RawMessageDelivery": "true"},
            )
    return made


async def _queue(queues: SQSClient, name: str, topic: str) -> str:
    """Create a queue to which the topic may send; returns its ARN."""
    url = (await queues.create_queue(QueueName=name, Attributes=FIFO_QUEUE))["QueueUrl"]
    arn = (await queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"]))["Attributes"]["QueueArn"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    await queues.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    return arn
