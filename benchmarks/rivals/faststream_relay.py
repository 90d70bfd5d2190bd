"""The outbox of faststream-outbox, relayed to SNS by a handler, in an environment of its own.

`python -m benchmarks.rivals.faststream_relay`. The library has no publisher for SNS, so the handler calls Publish. It
imports nothing of this project.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import uuid
from typing import Any

import aioboto3
from aiobotocore.config import AioConfig
from faststream import FastStream
from faststream_outbox import OutboxBroker, make_outbox_table
from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

QUEUE = "orders"
FETCH_SECONDS = 0.01
CHUNK = 500

metadata = MetaData()
table = make_outbox_table(metadata, table_name="faststream_outbox")


def main() -> None:
    """Publish what is in the table until stopped, or fill it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--topic-arn", required=True)
    parser.add_argument("--fill", action="store_true", help="create the table, record events and end")
    parser.add_argument("--events", type=int, default=100)
    parser.add_argument("--groups", type=int, default=10)
    parser.add_argument("--lines", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=16, help="calls at the same time")
    given = parser.parse_args()
    url = given.database_url.replace("postgresql://", "postgresql+asyncpg://", 1)
    engine = create_async_engine(url, pool_size=given.concurrency + 5)
    asyncio.run(_fill(engine, given) if given.fill else _relay(engine, given))
    print("{}")  # noqa: T201 - the answer of a tool


async def _fill(engine: AsyncEngine, given: argparse.Namespace) -> None:
    broker = OutboxBroker(engine, outbox_table=table)
    line = {"sku": "TEA-EARL-GREY-100", "quantity": 2, "unit_price": "12.50"}
    events = [
        {
            "id": str(uuid.uuid4()),
            "group": f"faststream-{index % given.groups}",
            "sequence": index // given.groups + 1,
            "data": {"customer_id": "customer-1", "lines": [line] * given.lines},
        }
        for index in range(given.events)
    ]
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
        for begin in range(0, len(events), CHUNK):
            await broker.publish_batch(*events[begin : begin + CHUNK], queue=QUEUE, session=connection)
    await engine.dispose()


async def _relay(engine: AsyncEngine, given: argparse.Namespace) -> None:
    broker = OutboxBroker(engine, outbox_table=table)
    session: Any = aioboto3.Session()
    config = AioConfig(max_pool_connections=given.concurrency)
    async with session.client("sns", endpoint_url=given.endpoint, config=config) as topics:

        async def publish(body: dict[str, Any]) -> None:
            await topics.publish(
                TopicArn=given.topic_arn,
                Message=json.dumps(body),
                MessageGroupId=body["group"],
                MessageDeduplicationId=body["id"],
                MessageAttributes={"type": {"DataType": "String", "StringValue": "order.measured"}},
            )

        broker.subscriber(
            QUEUE,
            max_workers=given.concurrency,
            fetch_batch_size=10 * given.concurrency,
            min_fetch_interval=FETCH_SECONDS,
            max_fetch_interval=1.0,
            terminal_flush_batch_size=100,
        )(publish)
        await FastStream(broker).run(log_level=logging.ERROR)


if __name__ == "__main__":
    main()
