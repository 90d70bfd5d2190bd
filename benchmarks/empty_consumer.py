"""A consumer whose handler does nothing, for measuring the consumer itself: `python -m benchmarks.empty_consumer`."""

from __future__ import annotations

import asyncio
import logging
import os

import structlog

from benchmarks.suite.events import OrderMeasured
from event_trio.consumer import ConsumerOptions, DeadLetter, Event, Router, consume


def nothing(_: Event[OrderMeasured], __: None) -> None:
    """What is written with the inbox row of an event."""


def main() -> None:
    """Consume $QUEUE into the inbox of $DATABASE_URL until SIGTERM. Log lines below warnings are dropped."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    router = Router()
    router.handle(OrderMeasured, writes=nothing, policy=DeadLetter())
    options = ConsumerOptions(concurrency=int(os.environ.get("CONCURRENCY", "16")), queue_wait_seconds=1)
    asyncio.run(consume(queue=os.environ["QUEUE"], router=router, database=os.environ["DATABASE_URL"], options=options))


if __name__ == "__main__":
    main()
