"""Measures the cost of the relay per event: it publishes a full outbox with a real Postgres and LocalStack."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import asyncpg

from benchmarks.counting import count_calls
from services.relay.main import build
from services.relay.settings import RelaySettings


@dataclass(frozen=True)
class RelayCost:
    """The costs per event, except for the first four fields."""

    events: int
    groups: int
    payload_bytes: int
    seconds: float
    publish_calls: float
    aws_calls: float
    statements: float
    transactions: float
    wal_bytes: float
    dead_tuples: float


async def drain(owner_url: str, settings: RelaySettings, *, seconds: float) -> RelayCost:
    """Run one relay until the whole outbox is published. Raises TimeoutError after `seconds`."""
    connection = await asyncpg.connect(owner_url)
    try:
        events, groups, size = await connection.fetchrow(
            "SELECT count(*), count(DISTINCT subject), avg(length(envelope))::int FROM outbox_event"
        )
        await connection.execute("ALTER TABLE outbox_event SET (autovacuum_enabled = false)")
        await connection.execute("ANALYZE outbox_event")
        before = await connection.fetchval("SELECT pg_current_wal_lsn()")
        began = time.monotonic()
        with count_calls() as counts:
            app = build(settings)
            async with app.router.lifespan_context(app), asyncio.timeout(seconds):
                await _published(connection)
            taken = time.monotonic() - began
        wal = await connection.fetchval("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), $1::pg_lsn)", before)
        dead = await _dead_tuples(connection)
    finally:
        await connection.close()
    return RelayCost(
        events=events,
        groups=groups,
        payload_bytes=size,
        seconds=round(taken, 1),
        publish_calls=round(counts.aws["PublishBatch"] / events, 4),
        aws_calls=round(counts.aws.total() / events, 4),
        statements=round(counts.statements / events, 4),
        transactions=round(counts.sql["BEGIN"] / events, 4),
        wal_bytes=round(float(wal) / events, 1),
        dead_tuples=round(dead / events, 3),
    )


async def _published(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    left = "SELECT EXISTS (SELECT FROM outbox_event WHERE published_at IS NULL)"
    while await connection.fetchval(left):  # noqa: ASYNC110 - observed in the database, not through the relay
        await asyncio.sleep(0.25)


async def _dead_tuples(connection: asyncpg.Connection[asyncpg.Record]) -> int:
    await connection.execute("SELECT pg_stat_force_next_flush()")
    return int(await connection.fetchval("SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'outbox_event'"))
