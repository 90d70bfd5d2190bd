"""Attribute filters: a subscription's filter chooses events by type, and the publisher does not know of it."""

from __future__ import annotations

from comparisons.contract import Cell, LineResult
from comparisons.environment import ComparisonEnvironment
from comparisons.questions.columns import FOUND
from comparisons.questions.fifo_broker import fifo_broker, versions

TYPES = ("order.placed", "order.confirmed", "order.shipped", "order.delivered", "order.cancelled")
WANTED = ("order.placed", "order.cancelled")
ORDERS = 4


async def run(environment: ComparisonEnvironment) -> LineResult:
    """Publish every type for some orders, to a queue with a filter and to one without."""
    async with fifo_broker(environment, "filters") as broker:
        topic = await broker.topic("order-events")
        filtered, unfiltered = await broker.queue("filtered"), await broker.queue("unfiltered")
        await broker.subscribe(topic, filtered, WANTED)
        await broker.subscribe(topic, unfiltered)
        for order in range(ORDERS):
            for kind in TYPES:
                await broker.publish(topic, kind, group=f"order-{order}", key=f"{order}-{kind}", kind=kind)
        late = await broker.queue("late")
        await broker.subscribe(topic, late, TYPES)
        received = {
            name: await broker.drain(queue)
            for name, queue in (("filter", filtered), ("no filter", unfiltered), ("subscribed afterwards", late))
        }
    published = ORDERS * len(TYPES)
    expected = {"filter": ORDERS * len(WANTED), "no filter": published, "subscribed afterwards": 0}
    counts = {name: len(bodies) for name, bodies in received.items()}
    passed = set(received["filter"]) == set(WANTED) and counts == expected
    text = ", ".join(f"{name}: {counts[name]}" for name in counts)
    return LineResult(
        {FOUND: Cell(f"of {published} events, {text}", "" if passed else f"{expected}, and only {WANTED}")},
        versions=versions(),
    )
