"""An inbox of the third version is upgraded with deferred messages in every state."""

from event_trio.inbox import schema
from tests.support.databases import database, execute, fetch
from tests.support.servers import PostgresServer

INBOX_ROWS = """
INSERT INTO processed_message (consumer, event_id, message_id, outcome)
SELECT 'c', 'e-' || number, 'm-' || number, 'deferred' FROM generate_series(1, 4) AS number
"""
DEFERRED_ROWS = """
INSERT INTO deferred_message (consumer, event_id, message_id, message_group, status, due_at, reason, envelope, blocks)
VALUES ('c', 'e-1', 'm-1', 'g', 'waiting', now(), 'outage', '', true),
       ('c', 'e-2', 'm-2', 'g', 'behind', NULL, 'behind', '', true),
       ('c', 'e-3', 'm-3', 'h', 'dead', NULL, 'failed', '', true),
       ('c', 'e-4', 'm-4', 'h', 'behind', NULL, 'failed', '', true)
"""


async def test_deferred_messages_of_every_state_get_their_present_names(postgres: PostgresServer) -> None:
    async with database(postgres.admin_url, purpose="older") as made:
        older = (*schema.STATEMENTS_V1, *schema.STATEMENTS_V2, *schema.STATEMENTS_V3)
        await execute(made.url, *older, INBOX_ROWS, DEFERRED_ROWS)
        await execute(made.url, *schema.STATEMENTS_V4)
        rows = await fetch(made.url, "SELECT event_id, status, reason FROM deferred_message ORDER BY id")
    assert [tuple(row) for row in rows] == [
        ("e-1", "waiting", "dependency_unavailable"),
        ("e-2", "blocked", "blocked"),
        ("e-3", "dead", "failed"),
        ("e-4", "blocked", "failed"),
    ]
