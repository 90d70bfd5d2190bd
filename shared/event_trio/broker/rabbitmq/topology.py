"""Creates the exchange of a topic, and the queues of its subscribers, at deployment."""

from __future__ import annotations

from collections.abc import Sequence

import aio_pika
from aio_pika.abc import ExchangeType

from ..partitions import PARTITIONS
from .naming import queue_name


async def create_topic(url: str, topic: str) -> None:
    """Create the exchange of a topic."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.declare_exchange(topic, ExchangeType.TOPIC, durable=True)


async def subscribe(
    url: str,
    topic: str,
    subscriber: str,
    *,
    types: Sequence[str] = (),
    partitions: int = PARTITIONS,
    replicated: bool = True,
) -> None:
    """Create a subscriber, which gets what is published from now on. `types` selects events by their type.

    A `replicated` queue is a quorum queue, which a cluster of three nodes or more needs. On a single node a classic
    queue is stored as well, and is available at once after a restart.
    """
    kind = "quorum" if replicated else "classic"
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        for partition in range(partitions):
            queue = await channel.declare_queue(
                queue_name(topic, subscriber, partition),
                durable=True,
                arguments={"x-queue-type": kind, "x-single-active-consumer": True},
            )
            for key in [f"{partition}.{type}" for type in types] or [f"{partition}.#"]:
                await queue.bind(topic, routing_key=key)
