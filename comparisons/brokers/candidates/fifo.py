"""SNS with SQS FIFO, and SQS FIFO alone, on LocalStack."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from comparisons.brokers.candidate import DEAD_LETTERS_AFTER, CandidateBroker, CandidateTopic
from comparisons.environment import ComparisonEnvironment
from event_trio.broker.aws import BROKER_FAULTS, Aws, sns, sqs
from event_trio.broker.outcome import Accepted, Answered, BrokerOutage, CallOutcome, Outcome, Permanent
from event_trio.broker.publisher import OutgoingEvent
from event_trio.broker.queue import Queue
from event_trio.broker.source import MessageSource
from tools.embedded import localstack

REGION = "us-east-1"
FIRST_CALL_SECONDS = 60.0
GROUPED = {"FifoQueue": "true", "DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}
TOPIC = {"FifoTopic": "true", "FifoThroughputScope": "MessageGroup"}


class FifoPublisher:
    """Publishes a batch to the topic, or to each queue that the publisher knows."""

    def __init__(self, topics: Any, queues: Any) -> None:
        self._topics, self._queues = topics, queues
        self.topic = ""
        self.known: list[str] = []
        """Without a topic, the queues of the subscribers."""
        self.calls = 0

    async def publish(self, events: Sequence[OutgoingEvent]) -> CallOutcome:
        try:
            if self.topic:
                self.calls += 1
                answers = [
                    await self._topics.publish_batch(
                        TopicArn=self.topic, PublishBatchRequestEntries=_entries(events, "Message")
                    )
                ]
            else:
                answers = [await self._send(url, events) for url in self.known]
        except BROKER_FAULTS as error:
            return _failed(error)
        rejected = {int(each["Id"]): str(each["Code"]) for answer in answers for each in answer.get("Failed", [])}
        outcomes: list[Outcome] = [
            Permanent(rejected[place]) if place in rejected else Accepted(event.event_id)
            for place, event in enumerate(events)
        ]
        return Answered(tuple(outcomes), all_accepted=not rejected)

    async def check(self) -> str | None:
        return None

    async def _send(self, url: str, events: Sequence[OutgoingEvent]) -> Any:
        self.calls += 1
        return await self._queues.send_message_batch(QueueUrl=url, Entries=_entries(events, "MessageBody"))


class FifoTopic(CandidateTopic):
    """A topic with queues, or queues alone."""

    def __init__(self, topics: Any, queues: Any, name: str, aws: Aws) -> None:
        self.publisher: FifoPublisher = FifoPublisher(topics, queues)
        self._topics, self._queues, self._name, self._aws = topics, queues, name, aws

    async def create(self) -> None:
        """Create the topic."""
        self.publisher.topic = (await self._topics.create_topic(Name=f"{self._name}.fifo", Attributes=TOPIC))[
            "TopicArn"
        ]

    async def subscribe(self, subscriber: str, *, types: Sequence[str] = (), everything: bool = False) -> None:
        dead = await self._queue(f"{subscriber}-{self._name}-dlq")
        policy = {"deadLetterTargetArn": await self._arn(dead), "maxReceiveCount": str(DEAD_LETTERS_AFTER)}
        url = await self._queue(f"{subscriber}-{self._name}", RedrivePolicy=json.dumps(policy))
        if not self.publisher.topic:
            self.publisher.known.append(url)
            return
        attributes = {"RawMessageDelivery": "true"}
        if types:
            attributes["FilterPolicy"] = json.dumps({"type": list(types)})
        await self._topics.subscribe(
            TopicArn=self.publisher.topic, Protocol="sqs", Endpoint=await self._arn(url), Attributes=attributes
        )

    @asynccontextmanager
    async def reader(self, subscriber: str) -> AsyncIterator[MessageSource]:
        async with sqs(self._aws) as client:
            yield Queue(client, f"{subscriber}-{self._name}.fifo")

    async def dead_letters(self, subscriber: str) -> int:
        url = (await self._queues.get_queue_url(QueueName=f"{subscriber}-{self._name}-dlq.fifo"))["QueueUrl"]
        answer = await self._queues.receive_message(QueueUrl=url, WaitTimeSeconds=2)
        return len(answer.get("Messages", []))

    async def _queue(self, name: str, **attributes: str) -> str:
        made = await self._queues.create_queue(QueueName=f"{name}.fifo", Attributes={**GROUPED, **attributes})
        return str(made["QueueUrl"])

    async def _arn(self, url: str) -> str:
        found = await self._queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return str(found["Attributes"]["QueueArn"])


class SnsSqsCandidate(CandidateBroker):
    """What this project uses."""

    column = "SNS + SQS FIFO"
    has_topics = True

    async def start(self, environment: ComparisonEnvironment) -> None:
        self._aws = Aws(REGION, await environment.localstack())
        # LocalStack loads a service at its first call.
        async with (
            sns(self._aws, call_seconds=FIRST_CALL_SECONDS) as topics,
            sqs(self._aws, call_seconds=FIRST_CALL_SECONDS) as queues,
        ):
            await topics.list_topics()
            await queues.list_queues()

    @asynccontextmanager
    async def topic(self, name: str) -> AsyncIterator[CandidateTopic]:
        async with sns(self._aws) as topics, sqs(self._aws) as queues:
            made = FifoTopic(topics, queues, f"{'sns' if self.has_topics else 'sqs'}-{name}", self._aws)
            if self.has_topics:
                await made.create()
            yield made

    def version(self) -> str:
        return f"LocalStack {localstack.version()}"


class SqsCandidate(SnsSqsCandidate):
    """Queues that the publisher knows."""

    column = "SQS FIFO alone"
    has_topics = False


def _entries(events: Sequence[OutgoingEvent], body: str) -> list[dict[str, Any]]:
    return [
        {
            "Id": str(place),
            body: event.body.decode(),
            "MessageGroupId": event.subject,
            "MessageDeduplicationId": event.deduplication_id,
            "MessageAttributes": {
                name: {"DataType": "String", "StringValue": value} for name, value in event.attributes.items()
            },
        }
        for place, event in enumerate(events)
    ]


def _failed(error: BaseException) -> CallOutcome:
    """A rejection for its size, or an outage."""
    text = str(error)
    large = "TooLong" in text or "InvalidParameter" in text or "too long" in text.lower()
    return Answered((Permanent(text),)) if large else BrokerOutage(text)
