"""What looks for lost events, and what records confirmations, costs the same whatever lies around them.

`OUTBOX_ROWS=1000000` measures at a million (`make test-scale`); without it a slice keeps the plans from rotting.
"""

import json
import os
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from event_trio.database.connections import STATEMENT_SECONDS, Pool
from event_trio.signals import Signals
from services.relay.confirmation.sweeper import Sweeper, SweepThresholds
from services.relay.confirmation.unconfirmed import EVIDENCE, GROUPS, HEADS, RETURN
from services.relay.metrics import RelayMetrics
from services.relay.publishing.outbox_updates import MARK_PUBLISHED
from tests.support.databases import OUTBOX_RELAY, TestDatabase
from tests.support.outbox import pool, query

ROWS = int(os.environ.get("OUTBOX_ROWS", "20000"))
# Pages touched by one statement, whatever the table's size: a B-tree grows by levels, not by pages.
MOST_BUFFERS = 6_000

INSERT = """
INSERT INTO outbox_event (event_id, source, subject, sequence, envelope, attributes, sent_at, published_at, held_at)
SELECT gen_random_uuid(), '/tests', {subject}, {sequence}, 'x', '{{"type": "x"}}', {sent}, {published}, {held}
FROM generate_series(1, {count}) n
"""
NEVER, LONG_AGO = "NULL::timestamptz", "now() - interval '1 hour'"
AROUND = {
    "history": {"subject": "'s-' || n", "sequence": "1", "sent": LONG_AGO, "published": LONG_AGO, "held": NEVER},
    "history of one group": {
        "subject": "'hot-1'",
        "sequence": "n",
        "sent": LONG_AGO,
        "published": LONG_AGO,
        "held": NEVER,
    },
    "one group that waits": {"subject": "'w'", "sequence": "n", "sent": NEVER, "published": NEVER, "held": NEVER},
    "many that wait": {"subject": "'w-' || n % 999", "sequence": "n", "sent": NEVER, "published": NEVER, "held": NEVER},
    "one held group": {"subject": "'h'", "sequence": "n", "sent": NEVER, "published": NEVER, "held": "now()"},
}
# Three lost events of a group whose last one came back, and groups of one event each of which nothing is known.
LOST = [
    {"subject": "'hot-1'", "sequence": f"{ROWS} + n", "sent": LONG_AGO, "published": NEVER, "held": NEVER, "count": 3},
    {
        "subject": "'hot-1'",
        "sequence": f"{ROWS} + 3 + n",
        "sent": "now() - interval '50 minutes'",
        "published": "now()",
        "held": NEVER,
        "count": 1,
    },
    {"subject": "'u-' || n", "sequence": "1", "sent": LONG_AGO, "published": NEVER, "held": NEVER, "count": 20},
]


@pytest.fixture
async def relay_pool(outbox_database: TestDatabase) -> AsyncIterator[Pool]:
    async with pool(outbox_database.url_for(OUTBOX_RELAY)) as made:
        yield made


@pytest.mark.timeout(900)
@pytest.mark.parametrize("around", list(AROUND))
async def test_the_search_for_lost_events_costs_the_same_whatever_else_the_table_holds(
    outbox_database: TestDatabase, relay_pool: Pool, around: str
) -> None:
    for rows in ({**AROUND[around], "count": ROWS}, *LOST):
        await query(outbox_database.url, f"WITH i AS ({INSERT.format(**rows)} RETURNING 1) SELECT count(*) FROM i")
    await query(outbox_database.url, "VACUUM ANALYZE outbox_event")
    url = outbox_database.url_for(OUTBOX_RELAY)
    lanes = {
        row["subject"]: row["lane"]
        for row in await query(
            url, "SELECT DISTINCT subject, lane FROM outbox_event WHERE published_at IS NULL AND held_at IS NULL"
        )
    }
    some = [subject for subject in lanes if subject.startswith(("hot", "u-"))]
    hot = [lanes[subject] for subject in some]
    await cheap(url, HEADS, -1, "", GROUPS)
    await cheap(url, EVIDENCE, hot, some, ["/tests"] * len(some), [1] * len(some))
    await cheap(
        url, RETURN, hot, some, [1] * len(some), [2**62] * len(some),
        [await moment(url)] * len(some), 360.0,
    )  # fmt: skip
    ids = [row["event_id"] for row in await query(url, "SELECT event_id FROM outbox_event LIMIT 100")]
    await cheap(url, MARK_PUBLISHED, ids, [0] * len(ids), ["m"] * len(ids), [0.1] * len(ids))
    metrics = RelayMetrics(CollectorRegistry())
    sweeper = Sweeper(
        relay_pool,
        SweepThresholds(),
        may_sweep=lambda: True,
        metrics=metrics,
        signals=Signals(),
        on_returned=lambda: None,
    )
    began = time.monotonic()
    assert await sweeper.sweep() == 3 + 1, "the lost ones, and a probe"
    took = time.monotonic() - began
    print(f"{around}, {ROWS} rows: a sweep in {took:.2f} s")  # noqa: T201
    assert took < STATEMENT_SECONDS


async def cheap(url: str, statement: str, *arguments: object) -> None:
    """Run a statement, undo it, and see that it touches few pages and scans no table."""
    name = statement.split()[1].rstrip(":")
    rows = (
        await query(url, f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", *arguments)
        if "UPDATE" not in statement
        else await undone(url, statement, arguments)
    )
    plan = json.loads(rows[0][0])[0]
    scans = [n["Node Type"] for n in walk(plan["Plan"]) if n.get("Relation Name") == "outbox_event"]
    assert "Seq Scan" not in scans, f"{name} {scans}"
    touched = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
    print(f"{name} {ROWS} rows: {touched} pages, {plan['Execution Time']:.1f} ms")  # noqa: T201
    assert touched <= MOST_BUFFERS, f"{name} {touched} pages"


async def undone(url: str, statement: str, arguments: Sequence[object]) -> list[Any]:
    """Explain a statement that changes something, in a transaction that is rolled back."""
    async with pool(url, size=1) as made, made.acquire() as connection:
        change = connection.transaction()
        await change.start()
        rows: list[Any] = await connection.fetch(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", *arguments)
        await change.rollback()
    return rows


async def moment(url: str) -> Any:
    return (await query(url, "SELECT clock_timestamp()"))[0][0]


def walk(node: dict[str, Any]) -> list[dict[str, Any]]:
    """A plan's node and all below it."""
    return [node, *(below for child in node.get("Plans", []) for below in walk(child))]
