"""Writes events into an outbox with the real writer, and queries the outbox."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import ClassVar

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from event_trio.contracts.payload import EventPayload
from event_trio.database.connections import Pool, create_engine, open_pool
from event_trio.envelope import Envelope
from event_trio.outbox.writer import OutboxWriter

SOURCE = "/tests"


class SomethingHappened(EventPayload):
    """An event for tests."""

    type: ClassVar[str] = "order.placed"

    note: str = "so"


@asynccontextmanager
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    """Yield an engine and dispose of it at the end."""
    made = create_engine(url, application_name="test")
    try:
        yield made
    finally:
        await made.dispose()


@asynccontextmanager
async def pool(url: str, *, size: int = 5) -> AsyncIterator[Pool]:
    """Yield a pool and close it at the end."""
    async with open_pool(url, application_name="test", max_size=size) as made:
        yield made


async def record(url: str, events: Iterable[tuple[str, int]], *, note: str = "so") -> list[Envelope]:
    """Record an event for each (subject, sequence), all in one transaction."""
    writer = OutboxWriter(SOURCE)
    async with engine(url) as made, made.begin() as connection:
        return [
            await writer.record(
                connection,
                SomethingHappened(note=note),
                subject=subject,
                sequence=sequence,
                correlation_id=f"test-{subject}",
            )
            for subject, sequence in events
        ]


async def fill(url: str, groups: int, *, each: int = 1, prefix: str = "s") -> None:
    """Insert many events at once, with real envelopes that the database creates itself."""
    await query(
        url,
        """
        INSERT INTO outbox_event (event_id, source, subject, sequence, envelope, attributes)
        SELECT id, '/tests', subject, n, convert_to(json_build_object('specversion', '1.0', 'id', id,
                   'source', '/tests', 'type', 'order.placed', 'subject', subject, 'time', now(),
                   'dataschema', 'https://schemas.example.com/order.placed/1', 'partitionkey', subject,
                   'sequence', lpad(n::text, 20, '0'), 'correlationid', 'fill', 'data', json_build_object())::text,
                   'UTF8'), '{"type": "order.placed"}'
        FROM (SELECT gen_random_uuid() AS id, $3 || '-' || g AS subject, n
              FROM generate_series(1, $2) n, generate_series(1, $1) g ORDER BY n, g) e
        RETURNING 1
        """,
        groups,
        each,
        prefix,
    )


async def query(url: str, statement: str, *arguments: object) -> list[asyncpg.Record]:
    """Run a query as the role of the URL."""
    connection = await asyncpg.connect(url)
    try:
        rows: list[asyncpg.Record] = await connection.fetch(statement, *arguments)
        return rows
    finally:
        await connection.close()


async def unpublished(url: str) -> int:
    """Return how many events are unpublished."""
    rows = await query(url, "SELECT count(*) FROM outbox_event WHERE published_at IS NULL")
    return int(rows[0][0])
