"""Describes the topic and the publish check of an outbox as they exist in the broker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from event_trio.broker.queue import Queue
from event_trio.broker.topology import QueueDescription, TopicDescription, describe_queue, describe_topic

if TYPE_CHECKING:
    from types_aiobotocore_sns import SNSClient


class RelayTopology:
    """What exists in the broker for one outbox."""

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
