"""The reader on a real database: heads of groups by state, in rounds, whatever the order of commits."""

import asyncpg

from event_trio.outbox.limits import DEFAULT_BYTES
from event_trio.outbox.schema import LANES
from services.relay.publishing.backlog import NextEventAfter
from services.relay.publishing.outbox_reader import EVENTS, GROUPS, WINDOW, OutboxReader, find_outbox
from tests.support.databases import OUTBOX_RELAY, OUTBOX_WRITER, TestDatabase
from tests.support.outbox import fill, pool, query, record

ALL_LANES = range(LANES)


async def read_all(url: str, release: NextEventAfter = NextEventAfter.ACKNOWLEDGED) -> list[tuple[str, int]]:
    async with pool(url) as made:
        reading = await OutboxReader(made, release).read(ALL_LANES, excluded=[])
        return [(event.subject, event.id) for event in reading.events]


async def test_heads_of_all_groups_come_in_sequence_order(outbox_database: TestDatabase) -> None:
    await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1), ("b", 1), ("a", 2), ("b", 2), ("a", 3)])
    found = await read_all(outbox_database.url_for(OUTBOX_RELAY))
    assert [number for subject, number in found if subject == "a"] == [1, 3, 5]
    assert [number for subject, number in found if subject == "b"] == [2, 4]


async def test_an_event_with_an_early_id_that_is_committed_late_is_found(outbox_database: TestDatabase) -> None:
    url, relay_url = outbox_database.url_for(OUTBOX_WRITER), outbox_database.url_for(OUTBOX_RELAY)
    late = await asyncpg.connect(url)
    try:
        slow = late.transaction()
        await slow.start()
        await late.execute(
            "INSERT INTO outbox_event (event_id, source, subject, sequence, envelope, attributes)"
            " VALUES (gen_random_uuid(), '/tests', 'late', 1, 'x', '{}')"
        )
        await record(url, [("early", 1)])
        assert [subject for subject, _ in await read_all(relay_url)] == ["early"]
        await query(relay_url, "UPDATE outbox_event SET sent_at = now(), published_at = now() RETURNING 1")
        await slow.commit()
        assert await read_all(relay_url) == [("late", 1)]
    finally:
        await late.close()


async def test_a_hot_group_leaves_room_for_the_others(outbox_database: TestDatabase) -> None:
    await fill(outbox_database.url, 1, each=2 * EVENTS, prefix="hot")
    await fill(outbox_database.url, 100, prefix="cold")
    found = await read_all(outbox_database.url_for(OUTBOX_RELAY))
    assert len([1 for subject, _ in found if subject == "hot-1"]) == WINDOW
    assert len({subject for subject, _ in found}) == 101


async def test_excluded_groups_are_not_read(outbox_database: TestDatabase) -> None:
    await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1), ("b", 1)])
    async with pool(outbox_database.url_for(OUTBOX_RELAY)) as made:
        reading = await OutboxReader(made, NextEventAfter.ACKNOWLEDGED).read(ALL_LANES, excluded=["a"])
    assert [event.subject for event in reading.events] == ["b"]
    assert reading.exhausted


async def test_of_a_group_in_memory_only_the_events_behind_it_are_read(outbox_database: TestDatabase) -> None:
    """And none if something has to be sent before them: an event in front, or one that goes again."""
    await record(outbox_database.url_for(OUTBOX_WRITER), [("a", n) for n in (1, 2, 3, 4)] + [("b", 1)])
    relay_url = outbox_database.url_for(OUTBOX_RELAY)
    async with pool(relay_url) as made:

        async def read(first: int, last: int) -> list[int]:
            reader = OutboxReader(made, NextEventAfter.ACKNOWLEDGED)
            reading = await reader.read(ALL_LANES, excluded=["b"], positions={"a": (first, last)})
            return [event.sequence for event in reading.events]

        assert await read(1, 2) == [3, 4]
        assert await read(2, 2) == [], "the first is unsent, and not in memory"
        await query(relay_url, "UPDATE outbox_event SET sent_at = now() WHERE id = 1 RETURNING 1")
        assert await read(1, 2) == [3, 4], "the first was recorded meanwhile"
        await query(relay_url, "UPDATE outbox_event SET sent_at = now() WHERE id = 2 RETURNING 1")
        assert await read(1, 2) == [3, 4], "all in memory were recorded meanwhile"
        await query(relay_url, "UPDATE outbox_event SET sent_at = NULL, republished = 1 WHERE id < 3 RETURNING 1")
        assert await read(1, 2) == [], "they go again"


async def test_only_owned_lanes_are_read(outbox_database: TestDatabase) -> None:
    await record(outbox_database.url_for(OUTBOX_WRITER), [("o-1", 1), ("o-2", 1)])
    async with pool(outbox_database.url_for(OUTBOX_RELAY)) as made:
        reading = await OutboxReader(made, NextEventAfter.ACKNOWLEDGED).read([43], excluded=[])
        assert [event.subject for event in reading.events] == ["o-1"]
        assert (await OutboxReader(made, NextEventAfter.ACKNOWLEDGED).read([], excluded=[])).events == ()


async def test_a_lane_with_very_many_groups_is_read_in_rounds_without_omission(outbox_database: TestDatabase) -> None:
    """All in one lane: groups that are never sent must not keep the reader from those behind them."""
    await fill(outbox_database.url, 64 * GROUPS * 3)
    (crowded,) = await query(
        outbox_database.url, "SELECT lane, count(*) FROM outbox_event GROUP BY lane ORDER BY 2 DESC LIMIT 1"
    )
    assert crowded["count"] > 2 * GROUPS
    seen: set[str] = set()
    async with pool(outbox_database.url_for(OUTBOX_RELAY)) as made:
        reader = OutboxReader(made, NextEventAfter.ACKNOWLEDGED)
        for _ in range(crowded["count"] // GROUPS + 1):
            reading = await reader.read([crowded["lane"]], excluded=[])
            seen |= {event.subject for event in reading.events}
    assert len(seen) == crowded["count"]


async def test_a_read_that_stopped_at_its_bound_continues_with_the_other_lanes(outbox_database: TestDatabase) -> None:
    await fill(outbox_database.url, 3 * EVENTS)
    seen: set[str] = set()
    async with pool(outbox_database.url_for(OUTBOX_RELAY)) as made:
        reader = OutboxReader(made, NextEventAfter.ACKNOWLEDGED)
        for _ in range(6):
            reading = await reader.read(ALL_LANES, excluded=[])
            assert len(reading.events) <= EVENTS
            seen |= {event.subject for event in reading.events}
    assert len(seen) == 3 * EVENTS


async def test_with_next_event_after_confirmed_a_group_waits_for_its_unconfirmed_event(
    outbox_database: TestDatabase,
) -> None:
    await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1), ("a", 2), ("b", 1)])
    relay_url = outbox_database.url_for(OUTBOX_RELAY)
    await query(relay_url, "UPDATE outbox_event SET sent_at = now() WHERE id = 1 RETURNING 1")
    assert await read_all(relay_url, NextEventAfter.CONFIRMED) == [("b", 3)]
    assert sorted(await read_all(relay_url)) == [("a", 2), ("b", 3)]
    await query(relay_url, "UPDATE outbox_event SET published_at = now() WHERE id = 1 RETURNING 1")
    assert sorted(await read_all(relay_url, NextEventAfter.CONFIRMED)) == [("a", 2), ("b", 3)]


async def test_the_read_uses_the_pending_index_whatever_the_history(outbox_database: TestDatabase) -> None:
    await query(
        outbox_database.url,
        "INSERT INTO outbox_event (event_id, source, subject, sequence, envelope, attributes, sent_at, published_at)"
        " SELECT gen_random_uuid(), '/tests', 's' || i, 1, 'x', '{}', now(), now() FROM generate_series(1, 20000) i"
        " RETURNING 1",
    )
    await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1)])
    await query(outbox_database.url, "ANALYZE outbox_event")
    statement = OutboxReader.statement(NextEventAfter.ACKNOWLEDGED)
    plan = await query(
        outbox_database.url_for(OUTBOX_RELAY),
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT TEXT) {statement}",
        list(ALL_LANES), [""] * LANES, GROUPS, "{}", WINDOW, EVENTS, DEFAULT_BYTES,
    )  # fmt: skip
    text = "\n".join(row[0] for row in plan)
    assert "Seq Scan on outbox_event" not in text
    assert "outbox_event_pending_unsent" in text


async def test_a_relay_reports_missing_tables_and_privileges(outbox_database: TestDatabase) -> None:
    async with pool(outbox_database.url_for(OUTBOX_RELAY)) as made:
        assert await find_outbox(made) is None
    async with pool(outbox_database.url_for(OUTBOX_WRITER)) as made:
        assert "may not read" in (await find_outbox(made) or "")
    async with pool(outbox_database.url.replace(outbox_database.name, "postgres")) as made:
        assert "no outbox" in (await find_outbox(made) or "")
    async with pool("postgresql://nobody@127.0.0.1:1/none") as made:
        assert "cannot be reached" in (await find_outbox(made) or "")
