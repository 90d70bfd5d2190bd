"""What a broker does beside delivery: delays, dead letters, history, selection, size, confirmation, transactions."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from comparisons.brokers.candidate import DEAD_LETTERS_AFTER, CandidateBroker, NotOffered
from comparisons.brokers.exchange import collect, send
from comparisons.brokers.questions import Answer
from event_trio.broker.outcome import Accepted, Answered
from event_trio.broker.source import MessageSource
from event_trio.envelope import Envelope
from event_trio.testing.publisher_suite import SentEvent, outgoing

DELAY_SECONDS = 3
LATEST_SECONDS = 8.0
NOTHING_KEPT = "Redis Pub/Sub"
SIZES = (256 * 1024 - 2048, 1024 * 1024 - 2048, 8 * 1024 * 1024)
NAMES = {SIZES[0]: "256 KiB", SIZES[1]: "1 MiB", SIZES[2]: "8 MiB"}
KIB = 1024
REPLAYING = ("Kafka protocol (Tansu)", "RabbitMQ stream", "Redis Streams", "NATS JetStream")
SELECTING = ("SNS + SQS FIFO", "RabbitMQ", "NATS JetStream")
DELAYING = ("SNS + SQS FIFO", "SQS FIFO alone", "NATS JetStream")


async def delayed_retry(broker: CandidateBroker) -> Answer:
    """A consumer asks for a message to come later, and ends. The broker keeps the delay, or does not know of it."""
    clock = asyncio.get_running_loop().time
    async with broker.new_topic("later") as topic:
        await topic.subscribe("mailer")
        async with topic.reader("mailer") as first:
            await send(topic, [outgoing("a", 1)])
            taken = await collect(first, 1, delete=False)
            await first.extend(taken, DELAY_SECONDS)
            asked = clock()
        async with topic.reader("mailer") as second:
            found = await collect(second, 1, first_seconds=LATEST_SECONDS)
            waited = clock() - asked
    kept = bool(found) and waited >= DELAY_SECONDS - 0.5 and broker.column in DELAYING
    if kept:
        return Answer(f"by the broker, which kept {DELAY_SECONDS} s", broker.column in DELAYING)
    return Answer("in the consumer's memory only" if found else "none", broker.column not in DELAYING)


async def dead_letters(broker: CandidateBroker) -> Answer:
    """A message that is received again and again."""
    async with broker.new_topic("dead") as topic:
        await topic.subscribe("mailer")
        async with topic.reader("mailer") as source:
            await send(topic, [outgoing("a", 1)])
            deliveries = 0
            for _ in range(DEAD_LETTERS_AFTER + 2):
                received = await _one(source)
                deliveries += received
            try:
                moved = await topic.dead_letters("mailer")
            except NotOffered:
                again = f"delivered {deliveries} times, and on and on" if deliveries > 1 else "nothing comes again"
                return Answer(f"no: {again}", deliveries > DEAD_LETTERS_AFTER or broker.column == NOTHING_KEPT)
    return Answer(f"yes: {moved} moved", moved == 1)


async def _one(source: MessageSource) -> int:
    """Receive a message for a second, without acknowledging it."""
    received = await source.receive(wait_seconds=2, visibility_seconds=1)
    return len(received)


async def replay(broker: CandidateBroker) -> Answer:
    """A subscriber that is created after the events were published."""
    async with broker.new_topic("history") as topic:
        await topic.subscribe("mailer")
        await send(topic, [outgoing("a", number) for number in (1, 2, 3)])
        await topic.subscribe("late", everything=True)
        async with topic.reader("late") as source:
            found = len(await collect(source, 3, first_seconds=_first(broker)))
    expected = 3 if broker.column in REPLAYING else 0
    return Answer(f"yes: {found} of 3" if found else "no: the outbox has to send it again", found == expected)


async def attribute_filter(broker: CandidateBroker) -> Answer:
    """A subscriber that wants one of two types."""
    wanted = outgoing("a", 1)
    other = SentEvent(replaced(outgoing("a", 2), "test.unwanted"))
    async with broker.new_topic("filter") as topic:
        await topic.subscribe("mailer", types=("test.counted",))
        async with topic.reader("mailer") as source:
            await send(topic, [other, wanted])
            types = [each.attributes["type"] for each in await collect(source, 2)]
    selected = types == ["test.counted"]
    return Answer(
        "by the broker" if selected else "no: the consumer gets every type", selected is (broker.column in SELECTING)
    )


def replaced(event: SentEvent, kind: str) -> Envelope:
    """The envelope of an event with another type."""
    return event.envelope.model_copy(update={"type": kind})


async def size(broker: CandidateBroker) -> Answer:
    """The largest event that is accepted and arrives, as the server is configured by itself."""
    largest = 0
    async with broker.new_topic("size") as topic:
        await topic.subscribe("mailer")
        async with topic.reader("mailer") as source:
            for number, bytes_ in enumerate(SIZES, 1):
                event = replace(outgoing("a", number), padding=bytes_)
                answer = await topic.publisher.publish([event])
                if not isinstance(answer, Answered) or not isinstance(answer.outcomes[0], Accepted):
                    break
                if await collect(source, 1):
                    largest = bytes_
    return Answer(f"{NAMES[largest]} and more" if largest == SIZES[-1] else NAMES.get(largest, "less"), largest > 0)


async def confirmation(broker: CandidateBroker) -> Answer:
    """The publisher subscribes to its own topic, and sees its event come back."""
    clock = asyncio.get_running_loop().time
    async with broker.new_topic("return") as topic:
        await topic.subscribe("publish-check")
        async with topic.reader("publish-check") as source:
            await send(topic, [outgoing("warm", 1)])
            await collect(source, 1)
            sent = outgoing("a", 1)
            began = clock()
            await send(topic, [sent])
            found = await collect(source, 1)
            milliseconds = (clock() - began) * 1000
    returned = [each.deduplication_id for each in found] == [sent.deduplication_id]
    proves = "that it was heard, not that it is kept" if broker.column == NOTHING_KEPT else f"in {milliseconds:.0f} ms"
    return Answer(f"yes, {proves}" if returned else "no", returned)


async def transaction(broker: CandidateBroker) -> Answer:
    """Two events that appear both or not at all."""
    async with broker.new_topic("together") as topic:
        await topic.subscribe("mailer")
        async with topic.reader("mailer") as source:
            await topic.publish_together(("a", "b"), fail=True)
            await topic.publish_together(("c", "d"), fail=False)
            groups = {each.group for each in await collect(source, 4)}
    return Answer(
        "yes, within the broker: not with the database" if groups == {"c", "d"} else f"{sorted(groups)}",
        groups == {"c", "d"},
    )


def _first(broker: CandidateBroker) -> float:
    return LATEST_SECONDS if broker.column in REPLAYING else 3.0
