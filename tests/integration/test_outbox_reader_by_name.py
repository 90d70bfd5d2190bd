"""Groups that are read by name: the same events as in a search, by the same rules, at the cost of these groups."""

import json
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from event_trio.outbox.limits import DEFAULT_BYTES
from event_trio.outbox.schema import LANES
from services.relay.leases.lane_hash import lane_of
from services.relay.publishing.backlog import NextEventAfter
from services.relay.publishing.outbox_reader import EVENTS, WINDOW, OutboxReader, by_name
from tests.support.databases import OUTBOX_RELAY, OUTBOX_WRITER, TestDatabase
from tests.support.outbox import fill, pool, query, record

HOLD = "INSERT INTO outbox_hold (subject, held_by, reason) VALUES ('a', 'olga', 'why')"
PAUSE = "UPDATE outbox_control SET paused_at = now(), paused_by = 'olga', paused_reason = 'why'"


async def read(
    database: TestDatabase, subjects: list[str], release: NextEventAfter = NextEventAfter.ACKNOWLEDGED, **memory: Any
) -> list[tuple[str, int]]:
    given = {"lanes": range(LANES), "excluded": [], "positions": {}, **memory}
    async with pool(database.url_for(OUTBOX_RELAY)) as made:
        page = await OutboxReader(made, release).read_groups(subjects, **given)
    return [(event.subject, event.sequence) for event in page.events]


async def test_named_groups_are_read_in_their_order_and_others_are_not(outbox_database: TestDatabase) -> None:
    await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1), ("b", 1), ("c", 1), ("a", 2)])
    assert await read(outbox_database, ["c", "unknown", "a"]) == [("c", 1), ("a", 1), ("a", 2)]
    assert await read(outbox_database, ["a"], lanes={lane_of("b")} - {lane_of("a")}) == []


@pytest.mark.parametrize("statement", [HOLD, PAUSE, "UPDATE outbox_event SET held_at = now() WHERE sequence = 1"])
async def test_a_pause_and_holds_apply(outbox_database: TestDatabase, statement: str) -> None:
    await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1), ("a", 2)])
    await query(outbox_database.url, statement)
    assert await read(outbox_database, ["a"]) == []


async def test_the_groups_in_memory_apply(outbox_database: TestDatabase) -> None:
    await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1), ("a", 2), ("b", 1)])
    assert await read(outbox_database, ["a", "b"], excluded=["b"], positions={"a": (1, 1)}) == [("a", 2)]


async def test_behind_an_unconfirmed_event_nothing_is_read_where_groups_wait_for_it(
    outbox_database: TestDatabase,
) -> None:
    await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1), ("a", 2)])
    await query(outbox_database.url, "UPDATE outbox_event SET sent_at = now() WHERE sequence = 1")
    assert await read(outbox_database, ["a"], NextEventAfter.CONFIRMED) == []
    assert await read(outbox_database, ["a"]) == [("a", 2)]


async def test_a_group_among_many_is_found_by_the_index_alone(outbox_database: TestDatabase) -> None:
    await fill(outbox_database.url, 2000, each=2)
    await query(outbox_database.url, "VACUUM ANALYZE outbox_event")
    connection = await asyncpg.connect(outbox_database.url_for(OUTBOX_RELAY))
    try:
        plan = await connection.fetchval(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {by_name(OutboxReader.statement(NextEventAfter.ACKNOWLEDGED))}",
            [lane_of("s-7")],
            ["s-7"],
            0,
            json.dumps({}),
            WINDOW,
            EVENTS,
            DEFAULT_BYTES,
        )
    finally:
        await connection.close()
    scans = [node for node in nodes(json.loads(plan)[0]["Plan"]) if node.get("Relation Name") == "outbox_event"]
    assert {node["Node Type"] for node in scans} <= {"Index Scan", "Index Only Scan"}
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in scans) <= WINDOW


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A node of a plan and all below it."""
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)
