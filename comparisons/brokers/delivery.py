"""Who gets a message: all subscribers, one that was away, one of two consumers, and again after a failure."""

from __future__ import annotations

import asyncio

from comparisons.brokers.candidate import CandidateBroker
from comparisons.brokers.exchange import batch, collect, neighbour, of_group, send
from comparisons.brokers.questions import Answer
from event_trio.broker.source import Message, MessageSource
from event_trio.testing.publisher_suite import outgoing
from event_trio.testing.queue_suite import numbers

GROUPS = tuple(f"g{number}" for number in range(8))
EACH = 5
WORK_SECONDS = 0.01
WORKING_SECONDS = 20.0
NOTHING_KEPT = "Redis Pub/Sub"
COPIES = (NOTHING_KEPT, "RabbitMQ stream")
"""Here every reader gets every message."""
BUFFERED = ("Kafka protocol (Tansu)", "RabbitMQ", "RabbitMQ stream", "Redis Streams")
"""Here the broker delivers what is behind, and `VisibilityBuffer` of the library keeps it back."""


async def fan_out(broker: CandidateBroker) -> Answer:
    """Two subscribers that are connected."""
    async with broker.new_topic("fan-out") as topic:
        for subscriber in ("mailer", "billing"):
            await topic.subscribe(subscriber)
        async with topic.reader("mailer") as one, topic.reader("billing") as other:
            await send(topic, batch(GROUPS, 1))
            counts = [
                len(each) for each in await asyncio.gather(collect(one, len(GROUPS)), collect(other, len(GROUPS)))
            ]
    calls = getattr(topic.publisher, "calls", 0)
    note = f"; the publisher made {calls} calls for {len(GROUPS)} events" if broker.column == "SQS FIFO alone" else ""
    both = counts == [len(GROUPS)] * 2
    return Answer(f"{'yes' if both else 'no'}: {counts[0]} and {counts[1]} of {len(GROUPS)}{note}", both)


async def away(broker: CandidateBroker) -> Answer:
    """A subscriber that exists and is not connected while events are published."""
    async with broker.new_topic("away") as topic:
        await topic.subscribe("mailer")
        await send(topic, batch(GROUPS, 1))
        async with topic.reader("mailer") as source:
            found = len(await collect(source, len(GROUPS)))
    expected = 0 if broker.column == NOTHING_KEPT else len(GROUPS)
    return Answer(f"finds {found} of {len(GROUPS)}", found == expected)


async def two_consumers(broker: CandidateBroker) -> Answer:
    """Two consumers of one subscriber, with a little work for each event."""
    total, begun, shares = len(GROUPS) * EACH, list[Message](), [0, 0]
    wanted = total * (2 if broker.column in COPIES else 1)
    async with broker.new_topic("order") as topic:
        await topic.subscribe("mailer")
        async with topic.reader("mailer") as one, topic.reader("mailer") as other:
            clock = asyncio.get_running_loop().time
            until = clock() + WORKING_SECONDS

            async def work(source: MessageSource, place: int) -> None:
                while len(begun) < wanted and clock() < until:
                    received = await source.receive(wait_seconds=1, visibility_seconds=60)
                    begun.extend(received)
                    shares[place] += len(received)
                    if received:
                        await asyncio.sleep(WORK_SECONDS)
                        await source.delete(received)

            working = [asyncio.create_task(work(source, place)) for place, source in enumerate((one, other))]
            for number in range(1, EACH + 1):
                await send(topic, batch(GROUPS, number))
            await asyncio.wait(working)
    if broker.column in COPIES:
        return Answer(f"each consumer gets all ({shares[0]} and {shares[1]})", len(begun) == wanted)
    in_order = all(of_group(begun, group) == sorted(of_group(begun, group)) for group in GROUPS)
    text = f"{'in order' if in_order else 'out of order'}, shared {shares[0]}/{shares[1]}"
    return Answer(text, in_order and len(begun) == total)


async def redelivery(broker: CandidateBroker) -> Answer:
    """A consumer takes a message, and ends without acknowledging it."""
    async with broker.new_topic("again") as topic:
        await topic.subscribe("mailer")
        async with topic.reader("mailer") as first:
            await send(topic, [outgoing("a", number) for number in (1, 2, 3)])
            taken = await _take(first)
        async with topic.reader("mailer") as second:
            found = await collect(second, 3)
    again = numbers(found)
    if broker.column == NOTHING_KEPT:
        return Answer("never: it is lost", again == [])
    counted = f", counted as {found[0].receive_count}" if found and found[0].receive_count > 1 else ", not counted"
    return Answer(f"{'in order' if again == [1, 2, 3] else again}{counted}", bool(taken) and again == [1, 2, 3])


async def _take(source: MessageSource) -> list[Message]:
    """Take what comes first, for two seconds, and do not acknowledge it."""
    async with asyncio.timeout(20):
        while not (taken := await source.receive(wait_seconds=1, visibility_seconds=2, most=1)):
            pass
    return taken


async def blocking(broker: CandidateBroker) -> Answer:
    """What waits behind a message that is in flight: its own key, and another key of the same partition."""
    other = neighbour("a")
    async with broker.new_topic("blocking") as topic:
        await topic.subscribe("mailer")
        async with topic.reader("mailer") as source:
            await send(topic, [outgoing("a", 1)])
            await collect(source, 1, delete=False)
            await send(topic, [outgoing("a", 2), outgoing(other, 3)])
            found = await collect(source, 2, first_seconds=2.5, delete=False)
    passed = {each.group for each in found}
    if broker.column == NOTHING_KEPT:
        return Answer("nothing waits: both passed", passed == {"a", other})
    if "a" in passed:
        return Answer("its own key passed", holds=False)
    waits = "its key waits, other keys pass" if other in passed else "its key waits, and its partition"
    return Answer(f"{waits} (by the reader's buffer)" if broker.column in BUFFERED else waits)
