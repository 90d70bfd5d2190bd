"""When the publish flag turns true: a relay process, with its publish check and then without."""

from __future__ import annotations

import asyncio
import json
import time
from typing import ClassVar

import asyncpg

from benchmarks.suite.processes import service
from comparisons.contract import Cell, LineResult
from comparisons.environment import ComparisonEnvironment
from comparisons.questions.columns import FOUND
from comparisons.questions.fifo_broker import REGION, versions
from event_trio.broker.aws import Aws, sns
from event_trio.outbox import EventPayload, OutboxWriter, install_tables
from event_trio.testing import create_topology

DATABASE, DOMAIN, SUBSCRIBER = "publish_flag", "shop-events", "mailer"
WAIT_SECONDS, UNPUBLISHED_SECONDS, POLL_SECONDS = 20.0, 3.0, 0.01
RECORD = """
INSERT INTO outbox_event (event_id, source, subject, sequence, envelope, attributes) VALUES ($1, $2, $3, $4, $5, $6)
"""
STATE = """
SELECT extract(epoch FROM sent_at - recorded_at) * 1000 AS sent,
       extract(epoch FROM published_at - recorded_at) * 1000 AS published
FROM outbox_event WHERE subject = $1
"""


class ThingHappened(EventPayload):
    """An event of this line."""

    type: ClassVar[str] = "thing.happened"


async def run(environment: ComparisonEnvironment) -> LineResult:
    """Record an event with the check, and one after the check's subscription was removed."""
    endpoint = await environment.localstack()
    server = await environment.postgres(DATABASE)
    connection = await asyncpg.connect(server.admin_url)
    try:
        await install_tables(connection)
        aws = Aws(region=REGION, endpoint_url=endpoint)
        topology = await create_topology(DOMAIN, SUBSCRIBER, aws=aws)
        settings = {"DATABASE_URL": server.admin_url, "AWS_ENDPOINT_URL": endpoint, "TOPIC": DOMAIN}
        async with service("services.relay.main", settings | {"LOG_FORMAT": "json"}, environment.folder):
            await _record(connection, "with-check")
            sent, published = await _wait(connection, "with-check", published=True, seconds=WAIT_SECONDS)
            await _unsubscribe(aws, topology.publish_check)
            await _record(connection, "without-check")
            sent_only, _ = await _wait(connection, "without-check", published=False, seconds=WAIT_SECONDS)
            _, never = await _wait(connection, "without-check", published=True, seconds=UNPUBLISHED_SECONDS)
    finally:
        await connection.close()
    proper = sent is not None and published is not None and sent_only is not None and never is None
    text = (
        f"sent (the broker accepted it) {_ms(sent)} after it was recorded, published (it came back) after "
        f"{_ms(published)}. Without the check's subscription: sent after {_ms(sent_only)}, published: "
        f"{f'not within {UNPUBLISHED_SECONDS:.0f} s' if never is None else _ms(never)}"
    )
    return LineResult({FOUND: Cell(text, "" if proper else "published only with the check")}, versions=versions())


async def _record(connection: asyncpg.Connection[asyncpg.Record], subject: str) -> None:
    row = OutboxWriter("/shop").prepare(ThingHappened(), subject=subject, sequence=1, correlation_id=subject)
    await connection.execute(RECORD, *(row.columns() | {"attributes": json.dumps(row.attributes)}).values())


async def _wait(
    connection: asyncpg.Connection[asyncpg.Record], subject: str, *, published: bool, seconds: float
) -> tuple[float | None, float | None]:
    """Milliseconds from the record until the event was sent and published; None for what did not happen in time."""
    deadline = time.monotonic() + seconds
    while True:
        row = await connection.fetchrow(STATE, subject)
        found = (row["sent"], row["published"]) if row else (None, None)
        if found[1 if published else 0] is not None or time.monotonic() > deadline:
            return found
        await asyncio.sleep(POLL_SECONDS)


async def _unsubscribe(aws: Aws, queue: str) -> None:
    async with sns(aws) as topics:
        for found in (await topics.list_subscriptions())["Subscriptions"]:
            if found["Endpoint"].endswith(f":{queue}"):
                await topics.unsubscribe(SubscriptionArn=found["SubscriptionArn"])


def _ms(value: float | None) -> str:
    return "not" if value is None else f"{value:.0f} ms"
