"""Creates the stream of a topic, and the durable consumers of its subscribers, at deployment."""

from __future__ import annotations

from collections.abc import Sequence

from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StreamConfig

from ..partitions import PARTITIONS
from .naming import durable_of

DEDUPLICATION_SECONDS = 300.0
"""As long as that of SNS and SQS FIFO."""


async def create_topic(client: Client, topic: str, *, days: float = 14.0, replicas: int = 1) -> None:
    """Create the stream of a topic, on disk. On a cluster, `replicas` is 3 or 5."""
    await client.jetstream().add_stream(
        StreamConfig(
            name=topic,
            subjects=[f"{topic}.>"],
            max_age=days * 86_400,
            duplicate_window=DEDUPLICATION_SECONDS,
            num_replicas=replicas,
        )
    )


async def subscribe(
    client: Client,
    topic: str,
    subscriber: str,
    *,
    types: Sequence[str] = (),
    partitions: int = PARTITIONS,
    visibility_seconds: int = 60,
    everything: bool = False,
) -> None:
    """Create a subscriber: it gets what is published from now on, or `everything` that the stream still has.

    `types` selects events by their attribute `type`. `visibility_seconds` is that of a consumer; a message which
    nobody handled stays invisible for so long.
    """
    stream = client.jetstream()
    for partition in range(partitions):
        await stream.add_consumer(
            topic,
            ConsumerConfig(
                durable_name=durable_of(subscriber, partition),
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=visibility_seconds,
                max_ack_pending=1,
                max_deliver=-1,
                deliver_policy=DeliverPolicy.ALL if everything else DeliverPolicy.NEW,
                filter_subjects=[f"{topic}.{partition}.{type}" for type in types] or [f"{topic}.{partition}.>"],
            ),
        )
