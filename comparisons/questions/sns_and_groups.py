"""SNS and groups: one publish reaches every queue in the order of its group, and a slow subscriber delays no other."""

from __future__ import annotations

import itertools

from comparisons.contract import Cell, LineResult
from comparisons.environment import ComparisonEnvironment
from comparisons.questions.columns import FOUND
from comparisons.questions.fifo_broker import FifoMessage, fifo_broker, versions

GROUPS, MESSAGES = 5, 4
SUBSCRIBERS = ("notification", "billing")


async def run(environment: ComparisonEnvironment) -> LineResult:
    """Interleave some groups; one subscriber never finishes the first message of one group."""
    async with fifo_broker(environment, "fanout") as broker:
        topic = await broker.topic("order-events")
        queues = {name: await broker.queue(name) for name in SUBSCRIBERS}
        for queue in queues.values():
            await broker.subscribe(topic, queue)
        for number, group in itertools.product(range(MESSAGES), range(GROUPS)):
            await broker.publish(topic, str(number), group=f"order-{group}", key=f"{group}-{number}")
        found: dict[str, dict[str, list[int]]] = {name: {} for name in SUBSCRIBERS}
        for name, queue in queues.items():
            while messages := await broker.receive(queue, most=1):
                (message,) = messages
                found[name].setdefault(message.group, []).append(int(message.body))
                if not _stuck(name, message):
                    await broker.delete(queue, message)
    counts = {name: sum(map(len, groups.values())) for name, groups in found.items()}
    ordered = all(bodies == sorted(bodies) for groups in found.values() for bodies in groups.values())
    every = GROUPS * MESSAGES
    expected = {SUBSCRIBERS[0]: every - MESSAGES + 1, SUBSCRIBERS[1]: every}
    text = (
        f"{every} events of {GROUPS} groups to two queues, {'in order' if ordered else 'out of order'}; a subscriber "
        f"that keeps one message received {counts[SUBSCRIBERS[0]]} (its group waits, the others go on), the other one "
        f"{counts[SUBSCRIBERS[1]]}"
    )
    return LineResult({FOUND: Cell(text, "" if ordered and counts == expected else str(expected))}, versions=versions())


def _stuck(subscriber: str, message: FifoMessage) -> bool:
    return subscriber == SUBSCRIBERS[0] and message.group == "order-0"
