"""Where FIFO goes: the same topic with a FIFO queue and with a standard queue behind it."""

from __future__ import annotations

from comparisons.contract import Cell, LineResult
from comparisons.environment import ComparisonEnvironment
from comparisons.questions.columns import FOUND
from comparisons.questions.fifo_broker import fifo_broker, versions

MESSAGES = 4


async def run(environment: ComparisonEnvironment) -> LineResult:
    """Publish one group; receive the first message, and look what is delivered while it is in flight."""
    async with fifo_broker(environment, "fifo") as broker:
        topic = await broker.topic("order-events")
        queues = {"FIFO queue": await broker.queue("order"), "standard queue": await broker.standard_queue("any")}
        for queue in queues.values():
            await broker.subscribe(topic, queue)
        for number in range(MESSAGES):
            await broker.publish(topic, str(number), group="order-1", key=str(number))
        beside, total = {}, {}
        for name, queue in queues.items():
            first = await broker.receive(queue, most=1)
            # A second consumer asks while the first one has not finished.
            others = [message for _ in range(2) for message in await broker.receive(queue)]
            beside[name] = len(others)
            for message in (*first, *others):
                await broker.delete(queue, message)
            total[name] = len(first) + len(others) + len(await broker.drain(queue))
    expected = {"FIFO queue": 0, "standard queue": MESSAGES - 1}
    text = "; ".join(
        f"{name}: {beside[name]} more of the group delivered to another consumer while the first is handled, "
        f"{total[name]} of {MESSAGES} in all"
        for name in queues
    )
    wrong = beside != expected or set(total.values()) != {MESSAGES}
    return LineResult({FOUND: Cell(text, f"beside the first {expected}" if wrong else "")}, versions=versions())
