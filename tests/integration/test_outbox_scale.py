"""The read that finds what may go next costs the same whatever lies around it: history, or held groups.

`OUTBOX_ROWS=1000000` measures at a million (`make test-scale`); without it a bounded slice keeps the plan from rotting.
"""

import json
import os
from typing import Any

import pytest

from event_trio.outbox.limits import DEFAULT_BYTES
from event_trio.outbox.schema import LANES
from services.relay.publishing.backlog import NextEventAfter
from services.relay.publishing.outbox_reader import EVENTS, GROUPS, WINDOW, OutboxReader
from tests.support.databases import OUTBOX_RELAY, OUTBOX_WRITER, TestDatabase
from tests.support.outbox import fill, pool, query, record

ROWS = int(os.environ.get("OUTBOX_ROWS", "60000"))
UNCONFIRMED_GROUPS, UNCONFIRMED_BEFORE = 75_000, 20_000
# Pages touched by one read of a handful of groups, whatever the table's size: a B-tree grows by levels, not by pages.
MOST_BUFFERS = 1500

INSERT = """
INSERT INTO outbox_event (event_id, source, subject, sequence, envelope, attributes, sent_at, published_at, held_at)
SELECT gen_random_uuid(), '/tests', {subject}, {sequence}, 'x', '{{}}', {sent}, {sent}, {held}
FROM generate_series(1, $1) n RETURNING 1
"""
AROUND = {
    "history": {"subject": "'s-' || n", "sequence": "1", "sent": "now()", "held": "NULL::timestamptz"},
    "one held group": {"subject": "'held'", "sequence": "n", "sent": "NULL::timestamptz", "held": "now()"},
    "many held groups": {"subject": "'h-' || n % 5000", "sequence": "n", "sent": "NULL::timestamptz", "held": "now()"},
}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("around", list(AROUND))
@pytest.mark.parametrize("release", list(NextEventAfter))
async def test_a_read_touches_few_pages(outbox_database: TestDatabase, around: str, release: NextEventAfter) -> None:
    await query(outbox_database.url, f"WITH i AS ({INSERT.format(**AROUND[around])}) SELECT count(*) FROM i", ROWS)
    await record(outbox_database.url_for(OUTBOX_WRITER), [(f"fresh-{n}", 1) for n in range(20)])
    await query(outbox_database.url, "VACUUM ANALYZE outbox_event")
    plan = await explain(outbox_database.url_for(OUTBOX_RELAY), release)
    nodes = list(walk(plan["Plan"]))
    scans = [node["Node Type"] for node in nodes if node.get("Relation Name") == "outbox_event"]
    assert "Seq Scan" not in scans, scans
    touched = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
    print(f"{around}, {release}, {ROWS} rows: {touched} pages, {plan['Execution Time']:.1f} ms")  # noqa: T201
    assert plan["Plan"]["Actual Rows"] >= 20
    assert touched <= MOST_BUFFERS, f"{touched} pages"


UNCONFIRMED = """
INSERT INTO outbox_event (event_id, source, subject, sequence, envelope, attributes, sent_at)
SELECT gen_random_uuid(), '/tests', {subject}, {sequence}, 'x', '{{}}', now() FROM generate_series(1, $1) n RETURNING 1
"""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("release", list(NextEventAfter))
async def test_unconfirmed_events_do_not_slow_reads(outbox_database: TestDatabase, release: NextEventAfter) -> None:
    """Many groups before a new event, and many events before the head of its own group."""
    many = UNCONFIRMED.format(subject="'s-' || n", sequence="1")
    before = UNCONFIRMED.format(subject="'hot'", sequence="n")
    await query(outbox_database.url, f"WITH i AS ({many}) SELECT count(*) FROM i", UNCONFIRMED_GROUPS)
    await query(outbox_database.url, f"WITH i AS ({before}) SELECT count(*) FROM i", UNCONFIRMED_BEFORE)
    await query(outbox_database.url, "VACUUM ANALYZE outbox_event")
    await record(outbox_database.url_for(OUTBOX_WRITER), [("zz-new", 1), ("hot", UNCONFIRMED_BEFORE + 1)])
    async with pool(outbox_database.url_for(OUTBOX_RELAY)) as made:
        reading = await OutboxReader(made, release).read(range(LANES), excluded=[])
    expected = ["hot", "zz-new"] if release is NextEventAfter.ACKNOWLEDGED else ["zz-new"]
    assert sorted(event.subject for event in reading.events) == expected
    assert reading.exhausted
    plan = await explain(outbox_database.url_for(OUTBOX_RELAY), release)
    touched = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
    print(f"unconfirmed, {release}: {touched} pages, {plan['Execution Time']:.1f} ms")  # noqa: T201
    assert touched <= MOST_BUFFERS, f"{touched} pages"


async def test_a_lane_of_many_waiting_groups_is_not_read_repeatedly(
    outbox_database: TestDatabase,
) -> None:
    """Groups that are known, because they wait for another attempt: the read comes to its end, and says so."""
    await fill(outbox_database.url, 64 * GROUPS * 3)
    rows = await query(outbox_database.url, "SELECT DISTINCT subject FROM outbox_event")
    async with pool(outbox_database.url_for(OUTBOX_RELAY)) as made:
        reader = OutboxReader(made, NextEventAfter.ACKNOWLEDGED)
        for _ in range(3):
            reads = 1
            while not (await reader.read(range(LANES), excluded=[row["subject"] for row in rows])).exhausted:
                reads += 1
                assert reads <= 10, "never exhausted"


async def explain(url: str, release: NextEventAfter) -> dict[str, Any]:
    window = 1 if release is NextEventAfter.CONFIRMED else WINDOW
    rows = await query(
        url,
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {OutboxReader.statement(release)}",
        list(range(LANES)), [""] * LANES, GROUPS, "{}", window, EVENTS, DEFAULT_BYTES,
    )  # fmt: skip
    plans: list[dict[str, Any]] = json.loads(rows[0][0])
    return plans[0]


def walk(node: dict[str, Any]) -> list[dict[str, Any]]:
    """A plan's node and all below it."""
    return [node, *(below for child in node.get("Plans", []) for below in walk(child))]
