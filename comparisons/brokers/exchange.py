"""Sends numbered events to a topic and reads them, for all questions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from comparisons.brokers.candidate import CandidateTopic
from event_trio.broker.outcome import Accepted, Answered
from event_trio.broker.partitions import PARTITIONS, partition_of
from event_trio.broker.source import Message, MessageSource
from event_trio.testing.publisher_suite import SentEvent, outgoing
from event_trio.testing.queue_suite import numbers

LONG = 60
QUIET_SECONDS = 1.5
"""Nothing arrived for so long: nothing more comes."""
FIRST_SECONDS = 4.0


async def send(topic: CandidateTopic, events: Iterable[SentEvent]) -> int:
    """Send events one after the other; returns how many were accepted."""
    count = 0
    for event in events:
        found = await topic.publisher.publish([event])
        count += isinstance(found, Answered) and all(isinstance(each, Accepted) for each in found.outcomes)
    return count


async def collect(
    source: MessageSource, expected: int, *, first_seconds: float = FIRST_SECONDS, delete: bool = True
) -> list[Message]:
    """What arrives, until there is as much as expected, or nothing more comes."""
    found: list[Message] = []
    clock = asyncio.get_running_loop().time
    until = clock() + first_seconds
    while len(found) < expected and clock() < until:
        received = await source.receive(wait_seconds=1, visibility_seconds=LONG)
        if received:
            found += received
            until = clock() + QUIET_SECONDS
            if delete:
                await source.delete(received)
    return found


def of_group(messages: Sequence[Message], group: str) -> list[int]:
    """The numbers of one group's events, in the order of arrival."""
    return numbers([each for each in messages if each.group == group])


def neighbour(group: str) -> str:
    """Another group in the same partition, whatever divisor of sixteen the number of partitions is."""
    wanted = partition_of(group, PARTITIONS)
    return next(name for name in (f"n{number}" for number in range(10_000)) if partition_of(name, PARTITIONS) == wanted)


def batch(groups: Sequence[str], number: int) -> list[SentEvent]:
    """The event of this number, for each group."""
    return [outgoing(group, number) for group in groups]
