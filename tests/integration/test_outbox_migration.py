"""An outbox of an older version is upgraded and continues to work."""

import json
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry

from event_trio.outbox import schema
from event_trio.outbox.schema import LANES
from event_trio.signals import Signals
from services.relay.jobs.replays import Replays
from services.relay.metrics import RelayMetrics
from services.relay.operators.message_groups import MessageGroups
from services.relay.operators.views import EventState
from services.relay.publishing.backlog import NextEventAfter
from services.relay.publishing.outbox_reader import OutboxReader, find_outbox
from tests.support.databases import OUTBOX_RELAY, OUTBOX_WRITER, TestDatabase, database, execute
from tests.support.outbox import fill, pool, query
from tests.support.servers import PostgresServer

EVENT = UUID("00000000-0000-7000-8000-000000000001")
ENVELOPE = '{"id": "ü", "data": {"recipient": "ada@example.com"}}'
ROW = {
    "event_id": str(EVENT), "source": "/tests", "subject": "gone", "sequence": 1, "lane": 3,
    "recorded_at": "2026-01-01T00:00:00+00:00", "sent_at": None, "published_at": None,
    "held_at": "2026-01-01T00:01:00+00:00", "held_reason": "no", "attempts": 1, "republished": 0, "last_error": "no",
    "broker_message_id": None, "attributes": {"type": "order.placed"}, "envelope": ENVELOPE, "envelope_hex": None,
}  # fmt: skip
BINARY = {**ROW, "envelope": None, "envelope_hex": "00ff"}
# Every index of an outbox that holds text, and how that is ordered.
TEXTS = """
SELECT c.relname, a.attname, o.collname
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid AND c.relname LIKE 'outbox%'
CROSS JOIN LATERAL unnest(i.indkey::smallint[], i.indcollation::oid[]) AS k(attnum, ordering)
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
JOIN pg_collation o ON o.oid = k.ordering
"""


@pytest.fixture
async def older(postgres: PostgresServer, outbox_database: TestDatabase) -> AsyncIterator[TestDatabase]:
    """An outbox of the second version; the roles are there since the other database was made."""
    async with database(postgres.admin_url, purpose="older") as made:
        grants = (
            *schema.grants(writer=OUTBOX_WRITER, relay=OUTBOX_RELAY), *schema.grants_v2(relay=OUTBOX_RELAY)
        )  # fmt: skip
        await execute(made.url, *schema.STATEMENTS_V1, *schema.STATEMENTS_V2, *grants)
        yield made


async def bring_up(made: TestDatabase) -> None:
    """What the migration runs."""
    await execute(made.url, *schema.STATEMENTS_V3, *schema.grants_v3(writer=OUTBOX_WRITER, relay=OUTBOX_RELAY))
    await execute(made.url, *schema.STATEMENTS_V4, *schema.grants_v4(relay=OUTBOX_RELAY))


async def test_an_upgraded_outbox_continues_to_work(older: TestDatabase) -> None:
    await fill(older.url, 3, each=2, prefix="done")
    await query(older.url, "UPDATE outbox_event SET sent_at = now(), published_at = now() RETURNING 1")
    await fill(older.url, 40, each=2, prefix="waits")
    held = "UPDATE outbox_event SET held_at = now(), held_reason = 'no' WHERE subject = 'waits-7' RETURNING 1"
    await query(older.url, held)
    behind = "UPDATE outbox_event SET held_reason = $1 WHERE subject = 'waits-7' AND sequence = 2 RETURNING 1"
    await query(older.url, behind, f"behind {EVENT}")
    lanes = "SELECT subject, lane FROM outbox_event ORDER BY id"
    before = await query(older.url, lanes)
    asked = "INSERT INTO outbox_replay (requested_by, reason, criteria, until_id) VALUES ('olga', 'because', $1, 100)"
    await query(older.url, f"{asked} RETURNING 1", '{"subject": "done-1"}')
    async with pool(older.url_for(OUTBOX_RELAY)) as made:
        assert "older one" in (await find_outbox(made) or "")
    await bring_up(older)
    assert await query(older.url, lanes) == before
    reasons = "SELECT held_reason, held_behind FROM outbox_event WHERE held_at IS NOT NULL ORDER BY sequence"
    assert [tuple(row) for row in await query(older.url, reasons)] == [("no", None), (None, EVENT)]
    async with pool(older.url_for(OUTBOX_RELAY)) as made:
        assert await find_outbox(made) is None
        jobs = Replays(made, metrics=RelayMetrics(CollectorRegistry()), signals=Signals())
        found = await OutboxReader(made, NextEventAfter.ACKNOWLEDGED).read(range(LANES), excluded=[])
        assert len(found.events) == 2 * 39
        while await jobs.step():
            pass
        found = await OutboxReader(made, NextEventAfter.ACKNOWLEDGED).read(range(LANES), excluded=[])
    assert {event.subject for event in found.events if event.subject.startswith("done")} == {"done-1"}
    assert len(found.events) == 2 * 40


@pytest.mark.parametrize("row", [ROW, BINARY])
async def test_the_upgrade_removes_payloads_from_the_audit(older: TestDatabase, row: dict[str, object]) -> None:
    entry = """INSERT INTO outbox_audit (actor, action, reason, subject, event_id, details)
        VALUES ('olga', 'discard', 'because', 'gone', $1, $2::jsonb), ('olga', 'pause', 'because', NULL, NULL, '{}')
        RETURNING 1"""
    await query(older.url, entry, EVENT, json.dumps({"sequence": 1, "row": row}))
    await bring_up(older)
    (kept, _) = await query(older.url, "SELECT details FROM outbox_audit ORDER BY id")
    assert "ada@example.com" not in kept["details"]
    assert "00ff" not in kept["details"]
    async with pool(older.url_for(OUTBOX_RELAY)) as made:
        life = await MessageGroups(made).event(EVENT)
    assert life is not None
    assert (life.state, life.type, life.attempts) == (EventState.DISCARDED, "order.placed", 1)
    assert life.size == (len(ENVELOPE.encode()) if row["envelope"] else 2)


async def test_text_is_ordered_by_bytes_whatever_the_collation_of_the_database(
    outbox_database: TestDatabase,
) -> None:
    found = await query(outbox_database.url, TEXTS)
    assert {("outbox_event", "subject"), ("outbox_hold", "subject")} <= {(row[0], row[1]) for row in found}
    assert [tuple(row) for row in found if row["collname"] != "C"] == []
