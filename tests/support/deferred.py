"""Deferred events, written straight into the tables: to send them and have them fail would take long."""

from collections.abc import Sequence

import asyncpg

from event_trio.envelope import Envelope
from tests.support.consuming import CONSUMER
from tests.support.databases import TestDatabase

INBOX_ROW = """
    INSERT INTO processed_message (consumer, event_id, message_id, source, subject, sequence, type, time, outcome)
    VALUES ($1, $2, $2, $3, $4, $5, $6, $7, 'deferred')
"""
ASIDE_ROW = """
    INSERT INTO deferred_message (
        consumer, event_id, message_id, message_group, source, subject, sequence, type, envelope, status, due_at,
        reason, blocks
    )
    VALUES ($1, $2, $2, $4, $3, $4, $5, $6, $7, $8, CASE WHEN $8 = 'waiting' THEN now() END, 'failed', true)
"""


async def defer(database: TestDatabase, events: Sequence[Envelope], *, consumer: str = CONSUMER) -> None:
    """The first of each group is due, the others are behind it."""
    seen: set[str] = set()
    inbox, state = list[tuple[object, ...]](), list[tuple[object, ...]]()
    for event in events:
        status = "blocked" if event.partitionkey in seen else "waiting"
        seen.add(event.partitionkey)
        known = (consumer, str(event.id), event.source, event.subject, event.sequence_number, event.type)
        inbox.append((*known, event.time))
        state.append((*known, event.to_bytes(), status))
    connection = await asyncpg.connect(database.url)
    try:
        async with connection.transaction():
            await connection.executemany(INBOX_ROW, inbox)
            await connection.executemany(ASIDE_ROW, state)
    finally:
        await connection.close()
