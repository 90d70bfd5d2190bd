"""The outbox of eventcommon with its runner, in an environment of its own.

`python -m benchmarks.rivals.eventcommon_relay`. Rows are recorded with an ordering key and go out by the library's own
runner. It imports nothing of this project.
"""

from __future__ import annotations

import argparse
import asyncio
import logging

import pgcommon
import structlog
from eventcommon.envelope import new_envelope
from eventcommon.outbox.enqueue import enqueue_ordered
from eventcommon.outbox.runner import Runner, RunnerConfig
from eventcommon.outbox.schema import apply_schema
from eventcommon.publisher.sns import SNSConfig, SNSPublisher

POLL_SECONDS = 0.05
"""A hundredth of its default, so that its waits are not what is measured."""
LEASE_SECONDS = 12_000.0
"""Its least for the largest batch: each event may take ten seconds."""
TENANT = "benchmark"


def main() -> None:
    """Publish what is in the table until stopped, or fill it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--topic-arn", required=True)
    parser.add_argument("--fill", action="store_true", help="create the tables, record events and end")
    parser.add_argument("--events", type=int, default=100)
    parser.add_argument("--groups", type=int, default=10)
    parser.add_argument("--lines", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=1, help="1 publishes in batches; more, one message a call")
    parser.add_argument("--batch-size", type=int, default=50)
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    asyncio.run(_fill(given) if given.fill else _relay(given))
    print("{}")  # noqa: T201 - the answer of a tool


async def _fill(given: argparse.Namespace) -> None:
    pool = await pgcommon.Pool.create(pgcommon.Config(dsn=given.database_url))
    try:
        await apply_schema(pool)
        line = {"sku": "TEA-EARL-GREY-100", "quantity": 2, "unit_price": "12.50"}

        async def record(connection: object) -> None:
            for index in range(given.events):
                group = f"eventcommon-{index % given.groups}"
                data = {
                    "sequence": index // given.groups + 1,
                    "customer_id": "customer-1",
                    "lines": [line] * given.lines,
                }
                event = new_envelope("order.measured", "/benchmark", data, tenant_id=TENANT, subject=group)
                await enqueue_ordered(connection, event, group)

        await pgcommon.run_in_tx(pool, record)
    finally:
        await pool.aclose()


async def _relay(given: argparse.Namespace) -> None:
    pool = await pgcommon.Pool.create(pgcommon.Config(dsn=given.database_url, max_conns=20))
    publisher = SNSPublisher(
        SNSConfig(topic_arn=given.topic_arn, region="us-east-1", endpoint_url=given.endpoint),
        message_group_id=lambda event: str(event.subject),
    )
    runner = Runner(
        RunnerConfig(
            pool=pool,
            publisher=publisher,
            poll_interval=POLL_SECONDS,
            batch_size=given.batch_size,
            publish_concurrency=given.concurrency,
            claim_lease_duration=LEASE_SECONDS,
        )
    )
    await runner.start()


if __name__ == "__main__":
    main()
