"""The read that finds what may go next costs the same whatever lies around it: history, or held groups.

`OUTBOX_ROWS=1000000` measures at a million (`make test-scale`); without it a bounded slice keeps the plan from rotting.
"""

import json
import os
from typing import Any

import pytest

from services.relay.publishing.backlog import Release
from services.relay.publishing.outbox_reader import EVENTS, GROUPS, WINDOW, OutboxReader
from shared.outbox.schema import LANES
from tests.support.databases import OUTBOX_RELAY, OUTBOX_WRITER, TestDatabase
from tests.support.outbox import query, record

ROWS = int(os.environ.get("OUTBOX_ROWS", "60000"))
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
@pytest.mark.parametrize("release", list(Release))
async def test_a_read_touches_few_pages(outbox_database: TestDatabase, around: str, release: Release) -> None:
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


async def explain(url: str, release: Release) -> dict[str, Any]:
    window = 1 if release is Release.CONFIRMED else WINDOW
    rows = await query(
        url,
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {OutboxReader.statement(release)}",
        list(range(LANES)), [""] * LANES, GROUPS, [], window, EVENTS,
    )  # fmt: skip
    plans: list[dict[str, Any]] = json.loads(rows[0][0])
    return plans[0]


def walk(node: dict[str, Any]) -> list[dict[str, Any]]:
    """A plan's node and all below it."""
    return [node, *(below for child in node.get("Plans", []) for below in walk(child))]
