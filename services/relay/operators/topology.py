"""Describes the topic and the publish check of an outbox as they exist in the broker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

from event_trio.broker.publisher import MessagePublisher
from event_trio.broker.queue import Queue
from event_trio.broker.source import MessageSource
from event_trio.broker.topology import QueueDescription, TopicDescription, describe_queue, describe_topic
from event_trio.errors import BrokerUnavailable

if TYPE_CHECKING:
    from types_aiobotocore_sns import SNSClient


class DescribedTopology(Protocol):
    """What exists in a broker for one outbox."""

    async def describe(self) -> tuple[TopicDescription, QueueDescription]:
        """Return the topic and the publish check."""
        ...


class RelayTopology:
    """What exists in SNS and SQS for one outbox."""

    def __init__(self, client: SNSClient, check_queue: Queue, find_arn: Callable[[], Awaitable[str]]) -> None:
        """`find_arn` returns the ARN of the topic, whether or not it exists."""
        self._client = client
        self._check_queue = check_queue
        self._find_arn = find_arn

    async def describe(self) -> tuple[TopicDescription, QueueDescription]:
        """Return the topic with its subscriptions, and the publish-check queue."""
        topic = describe_topic(self._client, await self._find_arn())
        described, check = await asyncio.gather(topic, describe_queue(self._check_queue))
        return described, check


class OtherTopology:
    """What exists for one outbox in a broker other than SNS and SQS."""

    def __init__(self, topic: str, publisher: MessagePublisher, publish_check: MessageSource) -> None:
        self._topic = topic
        self._publisher = publisher
        self._publish_check = publish_check

    async def describe(self) -> tuple[TopicDescription, QueueDescription]:
        """Return whether the topic and the publish check can be used; their subscribers are not known."""
        problem = await self._publisher.check()
        topic = TopicDescription(self._topic, exists=problem is None, problem=problem)
        try:
            await self._publish_check.url()
        except BrokerUnavailable as error:
            return topic, QueueDescription(self._publish_check.name, exists=False, problem=str(error))
        return topic, QueueDescription(self._publish_check.name, exists=True)
