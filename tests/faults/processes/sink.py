"""A consumer of all order events that writes its effects into a table without a unique constraint.

Its handlers obey the file in SINK_CONTROL, which the run changes: `{"fail": "order.shipped"}` lets the handler of a
type fail, `{"seconds": 8}` makes handlers slow.
"""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trio.consumer import ConsumerOptions, Event, Retry, Router, consume
from event_trio.contracts import orders
from event_trio.observability import logging
from tests.faults.payloads import payload_hash
from tests.faults.recording import Recorder

EVENTS = (
    orders.OrderPlaced, orders.OrderConfirmed, orders.OrderShipped, orders.OrderDelivered, orders.OrderCancelled,
    orders.OrderHeld, orders.OrderReleased,
)  # fmt: skip
TASKS_SECONDS = 2.0
INSERT = """
INSERT INTO effect (event_id, subject, sequence, hash, correlation, stale)
VALUES (:id, :subject, :sequence, :hash, :correlation, :stale)
"""


async def main() -> None:
    """Consume until SIGTERM."""
    queue = os.environ["SINK_QUEUE"]
    visibility = int(os.environ["SINK_VISIBILITY_SECONDS"])
    control = Path(os.environ["SINK_CONTROL"])
    outside = Recorder(Path(os.environ["SINK_OUTSIDE"]))

    async def act(event: Event[Any]) -> None:
        orders_of_run = json.loads(control.read_text() or "{}")
        if seconds := orders_of_run.get("seconds"):
            await asyncio.sleep(float(seconds))
        if orders_of_run.get("fail") == event.type:
            raise RuntimeError("the run lets this handler fail")
        outside.write("outside", event=event.id)

    async def record(session: AsyncSession, event: Event[Any], _: None) -> None:
        envelope = event.envelope
        values = {
            "id": event.id,
            "subject": envelope.subject,
            "sequence": envelope.sequence_number,
            "hash": payload_hash(envelope.data),
            "correlation": envelope.correlationid,
            "stale": event.stale,
        }
        await session.execute(text(INSERT), values)

    counting = asyncio.create_task(count_tasks(Path(os.environ["SINK_TASKS"])))
    router = Router()
    for payload in EVENTS:
        router.handle(payload, record, act=act, policy=Retry(attempts=4, delay=1))
    await consume(
        queue=queue,
        dead_letter_queue=queue.replace(".fifo", "-dlq.fifo"),
        undelivered_queue=queue.replace(".fifo", "-undelivered.fifo"),
        router=router,
        database=os.environ["DATABASE_URL"],
        consumer="sink",
        options=ConsumerOptions(concurrency=8, queue_wait_seconds=1, visibility_seconds=visibility, drain_seconds=8),
    )
    counting.cancel()


async def count_tasks(path: Path) -> None:
    """Write the number of tasks again and again: this process serves no metrics."""
    while True:
        path.write_text(str(len(asyncio.all_tasks())))
        await asyncio.sleep(TASKS_SECONDS)


if __name__ == "__main__":
    logging.configure("sink", format="json")
    asyncio.run(main())
