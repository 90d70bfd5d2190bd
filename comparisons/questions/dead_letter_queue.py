"""Dead-letter queue: after so many receives SQS moves a message aside, and the rest of its group goes on without it."""

from __future__ import annotations

import json

from comparisons.contract import Cell, LineResult
from comparisons.environment import ComparisonEnvironment
from comparisons.questions.columns import FOUND
from comparisons.questions.fifo_broker import FifoBroker, fifo_broker, versions

RECEIVES = 2
ROUNDS = 4
GROUP = "order-1"
BODIES = ("1 (fails)", "2", "3")


async def run(environment: ComparisonEnvironment) -> LineResult:
    """A handler that fails for the first message of a group, on a queue with a dead-letter queue and on one without."""
    async with fifo_broker(environment, "dlq") as broker:
        aside = await broker.queue("dlq")
        policy = json.dumps({"deadLetterTargetArn": await broker.arn(aside), "maxReceiveCount": str(RECEIVES)})
        moved_on = await _consume(broker, await broker.queue("with", RedrivePolicy=policy))
        stayed = await _consume(broker, await broker.queue("without"))
        dead = [message.body for message in await broker.receive(aside)]
    expected: tuple[list[str], list[str], list[str]] = [*BODIES[1:]], [], [BODIES[0]]
    text = (
        f"moved after {RECEIVES} receives: {_listed(dead)}; handled then: {_listed(moved_on)}, so the group went on "
        f"out of order. Without a dead-letter queue handled: {_listed(stayed)}, the group waits"
    )
    unexpected = "" if (moved_on, stayed, dead) == expected else str(expected)
    return LineResult({FOUND: Cell(text, unexpected)}, versions=versions())


async def _consume(broker: FifoBroker, queue: str) -> list[str]:
    """What a consumer handles that hands back whatever fails, with the rest of its batch."""
    for number, body in enumerate(BODIES):
        await broker.send(queue, body, group=GROUP, key=str(number))
    handled: list[str] = []
    for _ in range(ROUNDS):
        for message in await broker.receive(queue, most=1):
            if message.body == BODIES[0]:
                await broker.release(queue, message)
            else:
                handled.append(message.body)
                await broker.delete(queue, message)
    return handled


def _listed(bodies: list[str]) -> str:
    return ", ".join(bodies) or "nothing"
