"""What a broker loses when it is killed, and what it costs: rate, latency and memory in one run."""

from __future__ import annotations

import asyncio
import time

from benchmarks.suite.results import LatencyFound, NumberFound
from comparisons.brokers.candidate import CandidateBroker, CandidateTopic
from comparisons.brokers.exchange import collect
from comparisons.brokers.questions import Answer
from event_trio.broker.outcome import Accepted, Answered
from event_trio.broker.source import Message
from event_trio.testing.publisher_suite import outgoing
from event_trio.testing.queue_suite import numbers

GROUPS = tuple(f"g{number}" for number in range(30))
ROUNDS = 10
BATCH = 10
RECOVERY_SECONDS = 12.0
WITHOUT_LEADER = "RabbitMQ stream"
"""A single node of 3.10 may find no leader for a stream again."""
KEEPING = ("RabbitMQ", "RabbitMQ stream", "Redis Streams", "NATS JetStream")
RATE = "events/s"


async def killed(broker: CandidateBroker) -> Answer:
    """Kill -9 right after the last acknowledgement, with nothing delivered, and start again on the same data."""
    if broker.server is None:
        return Answer("not tried: LocalStack keeps nothing; AWS stores in several places before it answers")
    async with broker.new_topic("killed") as topic:
        await topic.subscribe("mailer")
        accepted = 0
        for number in range(1, ROUNDS + 1):
            for start in range(0, len(GROUPS), BATCH):
                answer = await topic.publisher.publish(
                    [outgoing(each, number) for each in GROUPS[start : start + BATCH]]
                )
                if isinstance(answer, Answered):
                    accepted += sum(isinstance(each, Accepted) for each in answer.outcomes)
        await broker.server.stop()
        await broker.server.restart()
        received = await _after_restart(topic, accepted)
    if received is None and broker.column == WITHOUT_LEADER:
        return Answer(f"not known: without a leader for {RECOVERY_SECONDS:.0f} s after the restart")
    found = len({each.deduplication_id for each in received or []})
    return Answer(f"{accepted - found} of {accepted} lost", (found == accepted) is (broker.column in KEEPING))


async def _after_restart(topic: CandidateTopic, expected: int) -> list[Message] | None:
    """What a reader finds; None if the topic cannot be read in time, because it has no leader or is lost."""
    clock = asyncio.get_running_loop().time
    until = clock() + RECOVERY_SECONDS
    while True:
        try:
            async with asyncio.timeout(2 * RECOVERY_SECONDS), topic.reader("mailer") as source:
                return await collect(source, expected, first_seconds=RECOVERY_SECONDS)
        except Exception:  # noqa: BLE001 - whatever it is, the topic cannot be read yet
            if clock() > until:
                return None
            await asyncio.sleep(0.5)


async def speed(broker: CandidateBroker) -> Answer:
    """Events of thirty groups, in batches of ten, in flight at once; one subscriber reads meanwhile."""
    total = len(GROUPS) * ROUNDS
    sent_at: dict[tuple[str, int], float] = {}
    latencies: list[float] = []
    async with broker.new_topic("speed") as topic:
        await topic.subscribe("mailer")
        async with topic.reader("mailer") as source:
            await topic.publisher.publish([outgoing("warm", 1)])
            await collect(source, 1)

            async def read() -> None:
                while len(latencies) < total:
                    received = await source.receive(wait_seconds=1, visibility_seconds=60)
                    now = time.perf_counter()
                    for message, number in zip(received, numbers(received), strict=True):
                        latencies.append((now - sent_at[message.group, number]) * 1000)
                    await source.delete(received)

            async def write(groups: tuple[str, ...]) -> None:
                for number in range(1, ROUNDS + 1):
                    events = [outgoing(group, number) for group in groups]
                    now = time.perf_counter()
                    sent_at.update({(group, number): now for group in groups})
                    answer = await topic.publisher.publish(events)
                    if not isinstance(answer, Answered):
                        raise TimeoutError(str(answer))

            began = time.perf_counter()
            reading = asyncio.create_task(read())
            await asyncio.gather(*(write(GROUPS[start : start + BATCH]) for start in range(0, len(GROUPS), BATCH)))
            published = time.perf_counter() - began
            async with asyncio.timeout(45):
                await reading
            whole = time.perf_counter() - began
    found = LatencyFound(broker.column, latencies)
    text = (
        f"{total / published:.0f} sent, {total / whole:.0f} through; "
        f"{found.quantile(0.5):.0f} / {found.quantile(0.99):.0f} ms"
    )
    return Answer(text, numbers=[NumberFound(broker.column, RATE, [total / whole])], latencies=[found])


async def memory(broker: CandidateBroker) -> Answer:
    """The server after the other lines."""
    if broker.server is None:
        return Answer("a service; LocalStack is no measure")
    megabytes = broker.server.memory_bytes() / 1e6
    return Answer(f"{megabytes:.0f} MB", megabytes > 0)
