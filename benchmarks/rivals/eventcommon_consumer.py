"""The consumer of eventcommon with its inbox and an empty handler, in an environment of its own.

`python -m benchmarks.rivals.eventcommon_consumer`. It imports nothing of this project.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pgcommon
import structlog
from eventcommon.consumer.sqs import SQSConfig, SQSConsumer
from eventcommon.envelope import new_envelope
from eventcommon.inbox import Store, apply_schema

TENANT = "benchmark"


def main() -> None:
    """Consume a queue until stopped, or write messages to put into it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--database-url", default="")
    parser.add_argument("--endpoint", default="")
    parser.add_argument("--queue", default="")
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--make", type=Path, help="write messages to this file, as lines of JSON, and end")
    parser.add_argument("--events", type=int, default=100)
    parser.add_argument("--groups", type=int, default=10)
    parser.add_argument("--lines", type=int, default=3)
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    if given.make:
        _make(given)
    else:
        asyncio.run(_consume(given))
    print("{}")  # noqa: T201 - the answer of a tool


def _make(given: argparse.Namespace) -> None:
    line = {"sku": "TEA-EARL-GREY-100", "quantity": 2, "unit_price": "12.50"}
    with given.make.open("w") as target:
        for index in range(given.events):
            group = f"eventcommon-{index % given.groups}"
            data = {"sequence": index // given.groups + 1, "customer_id": "customer-1", "lines": [line] * given.lines}
            event = new_envelope("order.measured", "/benchmark", data, tenant_id=TENANT, subject=group)
            attributes = {"EventType": {"DataType": "String", "StringValue": event.type}}
            message = {"group": group, "id": event.id, "body": event.to_json(), "attributes": attributes}
            target.write(json.dumps(message) + "\n")


async def _consume(given: argparse.Namespace) -> None:
    pool = await pgcommon.Pool.create(pgcommon.Config(dsn=given.database_url, max_conns=given.concurrency + 4))
    await apply_schema(pool)
    store = Store(pool, "benchmark")

    async def nothing(_: Any) -> None:
        """Do nothing with an event, in the transaction that claims it."""

    async def handle(event: Any) -> None:
        await store.process(event, nothing)

    config = SQSConfig(
        queue_url=f"{given.endpoint}/000000000000/{given.queue}",
        region="us-east-1",
        endpoint_url=given.endpoint,
        wait_seconds=1,
    )
    await SQSConsumer(config, handle, concurrency=given.concurrency, visibility_timeout=60).start()


if __name__ == "__main__":
    main()
