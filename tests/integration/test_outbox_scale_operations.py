"""What looks at an outbox as a whole touches so many rows and no more, whatever the table holds.

`OUTBOX_ROWS=1000000` measures at a million (`make test-scale`); without it a bounded slice keeps plans from rotting.
Rows are what the database itself counts as fetched: they do not drift with the machine, and the times are printed.
"""

import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import monotonic

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from event_trio.database.connections import Pool
from event_trio.signals import Signals
from services.relay.audit_log import Decision
from services.relay.jobs import replay_requests, replays
from services.relay.jobs.gauge import MEASURE, MOST
from services.relay.jobs.holds import Holds
from services.relay.jobs.replay_requests import Criteria
from services.relay.jobs.replays import Replays
from services.relay.metrics import RelayMetrics
from services.relay.operators.message_groups import MessageGroups
from services.relay.operators.operations import NotInOutbox, Operations, lane_of
from services.relay.operators.overview import Overview
from services.relay.publishing.backlog import NextEventAfter
from services.relay.publishing.outbox_reader import GROUPS, WINDOW, OutboxReader, find_outbox
from tests.support.databases import OUTBOX_RELAY, OUTBOX_WRITER, TestDatabase
from tests.support.outbox import pool, query, record

ROWS = int(os.environ.get("OUTBOX_ROWS", "20000"))
COUNTED, STEP = 3000, 500
OLGA = Decision("olga", "because")
# Statements that look at nothing but an index's end, or at the few rows that are meant.
FEW = 300
# Of each of the groups of a lane that a read takes: its events, and where the next begins.
READ = GROUPS * (WINDOW + 4)

INSERT = """
INSERT INTO outbox_event (event_id, source, subject, sequence, envelope, attributes, recorded_at, sent_at, published_at)
SELECT gen_random_uuid(), '/tests', 's-' || n % ($1 / 4), n, 'x', '{{"type": "order.placed"}}',
       now() - interval '1 second' * ($1 - n), {sent}, {published}
FROM generate_series(1, $1) n RETURNING 1
"""
AROUND = {
    "history": {"sent": "now()", "published": "now()"},
    "a backlog": {"sent": "NULL::timestamptz", "published": "NULL::timestamptz"},
    "unconfirmed events": {"sent": "now()", "published": "NULL::timestamptz"},
}
TOUCHED = """
SELECT seq_scan, seq_tup_read + coalesce(idx_tup_fetch, 0) AS rows
FROM pg_stat_user_tables WHERE relname = 'outbox_event'
"""

Look = Callable[[Pool], Awaitable[object]]


async def read(made: Pool) -> object:
    return await OutboxReader(made, NextEventAfter.ACKNOWLEDGED).read([lane_of("fresh")], excluded=[])


async def ask(made: Pool, criteria: Criteria) -> None:
    with suppress(NotInOutbox):  # of a backlog nothing was sent
        await Operations(made, call_seconds=5.0).replay(criteria, OLGA)


async def step(made: Pool) -> object:
    metrics = RelayMetrics(CollectorRegistry())
    return await Replays(made, metrics=metrics, signals=Signals()).step()


async def measure(made: Pool) -> object:
    async with made.acquire() as connection:
        return await connection.fetchrow(MEASURE, MOST)


async def hold_remaining(made: Pool) -> object:
    metrics = RelayMetrics(CollectorRegistry())
    return await Holds(made, metrics=metrics, signals=Signals()).hold_remaining()


def operations(made: Pool) -> Operations:
    return Operations(made, call_seconds=5.0)


def looks() -> dict[str, tuple[Look, int]]:
    """What is done, in this order, and how many rows it may touch."""
    lately = datetime.now(UTC) - timedelta(seconds=200)
    return {
        "readiness": (find_outbox, 0),
        "gauge": (measure, MOST),
        "status": (lambda made: Overview(made, lease_seconds=15).status(), MOST),
        "held groups": (lambda made: MessageGroups(made).held_groups(after="", limit=20), FEW),
        "hold ahead": (lambda made: operations(made).hold("ahead", OLGA), FEW),
        "follow up on holds": (hold_remaining, FEW),
        "count all": (lambda made: operations(made).count_replay(Criteria()), COUNTED + FEW),
        "count a type": (lambda made: operations(made).count_replay(Criteria(type="no.such")), COUNTED + FEW),
        "count lately": (lambda made: operations(made).count_replay(Criteria(since=lately)), FEW),
        "count before": (lambda made: operations(made).count_replay(Criteria(until=lately)), COUNTED + FEW),
        "count a group": (lambda made: operations(made).count_replay(Criteria(subject="s-7")), FEW),
        "read": (read, READ),
        "ask for a group": (lambda made: ask(made, Criteria(subject="fresh")), FEW),
        "replay a group": (step, FEW),
        "ask for lately": (lambda made: ask(made, Criteria(since=lately)), FEW),
        "read beside a replay of lately": (read, READ),
        "replay lately": (step, 4 * FEW),
        "ask for a type": (lambda made: ask(made, Criteria(type="no.such")), COUNTED + FEW),
        "read beside a replay of a type": (read, READ),
        "replay a type": (step, 3 * STEP),
    }


@pytest.mark.timeout(900)
@pytest.mark.parametrize("around", list(AROUND))
async def test_queries_of_the_whole_outbox_read_few_rows(
    outbox_database: TestDatabase, monkeypatch: pytest.MonkeyPatch, around: str
) -> None:
    monkeypatch.setattr(replay_requests, "COUNTED", COUNTED)
    monkeypatch.setattr(replays, "STEP", STEP)
    await query(outbox_database.url, f"WITH i AS ({INSERT.format(**AROUND[around])}) SELECT count(*) FROM i", ROWS)
    await record(outbox_database.url_for(OUTBOX_WRITER), [("fresh", 1), ("fresh", 2)])
    sent = "UPDATE outbox_event SET sent_at = clock_timestamp() WHERE subject = 'fresh' AND sequence = 1 RETURNING 1"
    await query(outbox_database.url, sent)
    await query(outbox_database.url, "VACUUM ANALYZE outbox_event")
    watcher = await asyncpg.connect(outbox_database.url)
    try:
        for name, (look, most) in looks().items():
            before = await watcher.fetchrow(TOUCHED)
            began = monotonic()
            # What a connection has counted is seen by others once it is closed.
            async with pool(outbox_database.url_for(OUTBOX_RELAY), size=1) as made:
                await look(made)
            seconds = monotonic() - began
            after = await watcher.fetchrow(TOUCHED)
            touched = after["rows"] - before["rows"]
            print(f"{around}, {ROWS} rows: {name} touches {touched} rows, {1000 * seconds:.0f} ms")  # noqa: T201
            assert after["seq_scan"] == before["seq_scan"], f"{name} reads the whole table"
            assert touched <= most, f"{name} touches {touched} rows, at most {most}"
    finally:
        await watcher.close()
