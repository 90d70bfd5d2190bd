"""The lines of the seed about brokers, quoted, each with the run that shows whether it holds."""

from __future__ import annotations

from comparisons.brokers.candidate import CandidateBroker, started
from comparisons.brokers.candidates.fifo import SnsSqsCandidate, SqsCandidate
from comparisons.brokers.candidates.kafka import KafkaCandidate
from comparisons.brokers.candidates.rabbit import RabbitCandidate
from comparisons.brokers.candidates.redis import PubSubCandidate
from comparisons.brokers.delivery import GROUPS, away, fan_out
from comparisons.brokers.exchange import LONG, batch, collect, send
from comparisons.brokers.questions import Question, answer
from comparisons.contract import Cell, LineResult
from comparisons.environment import ComparisonEnvironment
from event_trio.broker.source import Message

VERDICT = "Verdict and what was seen"


async def _result(
    environment: ComparisonEnvironment, kind: type[CandidateBroker], question: Question, verdict: str
) -> LineResult:
    found = await answer(environment, kind, question)
    versions = {kind.column: (await started(environment, kind)).version()}
    cell = Cell(f"{verdict} ({found.text})", "" if found.holds else "another answer")
    return LineResult({VERDICT: cell}, versions=versions)


async def kafka(environment: ComparisonEnvironment) -> LineResult:
    """Kafka 1:N."""
    return await _result(environment, KafkaCandidate, fan_out, "holds: each group of consumers gets every event")


async def redis(environment: ComparisonEnvironment) -> LineResult:
    """Redis Pub/Sub 1:N."""
    verdict = "holds for who is connected; who is away loses the event"
    return await _result(environment, PubSubCandidate, away, verdict)


async def sns(environment: ComparisonEnvironment) -> LineResult:
    """SNS 1:N."""
    return await _result(environment, SnsSqsCandidate, fan_out, "holds, with a queue for each subscriber")


async def rabbit(environment: ComparisonEnvironment) -> LineResult:
    """RabbitMQ 1:1."""
    verdict = "wrong: an exchange fans out to every queue bound to it"
    return await _result(environment, RabbitCandidate, fan_out, verdict)


async def sqs(environment: ComparisonEnvironment) -> LineResult:
    """SQS 1:1: two subscribers that read one queue, and then a publisher that sends to the queue of each."""
    broker = await started(environment, SqsCandidate)
    async with broker.new_topic("one-queue") as topic:
        await topic.subscribe("everybody")
        async with topic.reader("everybody") as mailer, topic.reader("everybody") as billing:
            await send(topic, batch(GROUPS, 1))
            first = await mailer.receive(wait_seconds=1, visibility_seconds=LONG, most=len(GROUPS) // 2)
            await mailer.delete(first)
            found: list[list[Message]] = [first, await collect(billing, len(GROUPS))]
    shared = sum(map(len, found)) == len(GROUPS) and all(found)
    each = await answer(environment, SqsCandidate, fan_out)
    text = (
        f"holds: of {len(GROUPS)} events in a queue, two subscribers got {len(found[0])} and {len(found[1])}, each "
        f"event went to one; with a queue for each, {each.text}"
    )
    cell = Cell(text, "" if shared and each.holds else "each event once")
    return LineResult({VERDICT: cell}, versions={"SQS": broker.version()})


async def groups_alone(environment: ComparisonEnvironment) -> LineResult:
    """Message groups alone: one queue, and the group names the subscriber that is meant."""
    broker = await started(environment, SqsCandidate)
    async with broker.new_topic("groups-alone") as topic:
        await topic.subscribe("everybody")
        async with topic.reader("everybody") as mailer:
            await send(topic, batch(("mailer", "billing"), 1))
            received = await collect(mailer, 2, delete=False)
    foreign = [each.group for each in received if each.group != "mailer"]
    text = (
        f"holds: of {len(received)} messages that one subscriber received, {len(foreign)} was meant for another; SQS "
        "gives any group to any reader, and the publisher writes one message for each subscriber that it knows"
    )
    cell = Cell(text, "" if foreign else "a foreign message")
    return LineResult({VERDICT: cell}, versions={"SQS": broker.version()})
