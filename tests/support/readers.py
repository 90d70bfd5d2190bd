"""Reads the queue of a subscriber, to assert which events arrived in which order."""

import asyncio
from collections import defaultdict
from collections.abc import Callable

from event_trio.broker.aws import Aws, sqs
from event_trio.broker.queue import Queue
from event_trio.envelope import Envelope


async def drain_queue(aws: Aws, name: str, count: int, *, seconds: float = 20.0) -> list[Envelope]:
    """Receive and delete until `count` different events arrived, or time is up; all deliveries, in order of arrival."""
    return await drain_until(
        aws, name, lambda arrived: len({envelope.id for envelope in arrived}) >= count, seconds=seconds
    )


async def drain_until(
    aws: Aws, name: str, is_complete: Callable[[list[Envelope]], bool], *, seconds: float = 20.0
) -> list[Envelope]:
    """Receive and delete until the deliveries are complete, or time is up; returns them in order of arrival."""
    arrived: list[Envelope] = []
    async with sqs(aws) as client:
        queue = Queue(client, name)
        try:
            async with asyncio.timeout(seconds):
                while not is_complete(arrived):
                    messages = await queue.receive(wait_seconds=1, visibility_seconds=30)
                    arrived += [Envelope.parse(message.body) for message in messages]
                    await queue.delete(messages)
        except TimeoutError:
            pass
    return arrived


def first_sequences(arrived: list[Envelope]) -> dict[str, list[int]]:
    """Per subject the sequence numbers in the order in which each event first arrived."""
    seen: set[object] = set()
    sequences: dict[str, list[int]] = defaultdict(list)
    for envelope in arrived:
        if envelope.id not in seen:
            seen.add(envelope.id)
            sequences[envelope.subject].append(envelope.sequence_number)
    return dict(sequences)
