"""The writer on a real database: in the caller's transaction, in the order of the aggregate, within the limits."""

import pytest
from sqlalchemy.exc import IntegrityError

from event_trio.envelope import Envelope
from event_trio.errors import EventRejected
from event_trio.outbox.schema import LANES
from event_trio.outbox.writer import OutboxWriter
from tests.support.databases import OUTBOX_WRITER, TestDatabase
from tests.support.outbox import SomethingHappened, engine, query, record


async def test_an_event_is_recorded_as_it_is_sent(outbox_database: TestDatabase) -> None:
    (envelope,) = await record(outbox_database.url_for(OUTBOX_WRITER), [("o-1", 1)])
    (row,) = await query(outbox_database.url, "SELECT * FROM outbox_event")
    assert row["envelope"] == envelope.to_bytes()
    assert Envelope.parse(row["envelope"]) == envelope
    assert row["attributes"] == '{"type": "order.placed"}'
    assert row["sent_at"] is None
    assert row["published_at"] is None


async def test_the_writer_never_commits(outbox_database: TestDatabase) -> None:
    async with engine(outbox_database.url_for(OUTBOX_WRITER)) as made, made.connect() as connection:
        await OutboxWriter("/tests").record(
            connection, SomethingHappened(), subject="o-1", sequence=1, correlation_id="c"
        )
        await connection.rollback()
    assert await query(outbox_database.url, "SELECT 1 FROM outbox_event") == []


async def test_a_sequence_is_used_once(outbox_database: TestDatabase) -> None:
    url = outbox_database.url_for(OUTBOX_WRITER)
    await record(url, [("o-1", 1)])
    with pytest.raises(IntegrityError):
        await record(url, [("o-1", 1)])


async def test_an_event_over_the_limit_fails_only_its_own_transaction(
    outbox_database: TestDatabase,
) -> None:
    url = outbox_database.url_for(OUTBOX_WRITER)
    with pytest.raises(EventRejected, match="262144"):
        await record(url, [("o-1", 1)], note="x" * 262144)
    assert await query(outbox_database.url, "SELECT 1 FROM outbox_event") == []


async def test_a_group_is_in_one_lane_and_lanes_are_used_evenly(outbox_database: TestDatabase) -> None:
    subjects = [f"o-{i}" for i in range(640)]
    await record(outbox_database.url_for(OUTBOX_WRITER), [(s, n) for s in subjects for n in (1, 2)])
    rows = await query(outbox_database.url, "SELECT subject, count(DISTINCT lane) FROM outbox_event GROUP BY subject")
    assert {row[1] for row in rows} == {1}
    lanes = await query(outbox_database.url, "SELECT lane, count(*) FROM outbox_event GROUP BY lane")
    assert len(lanes) > LANES * 0.9
    assert all(0 <= row["lane"] < LANES for row in lanes)


async def test_the_lane_of_a_subject_never_changes(outbox_database: TestDatabase) -> None:
    """Written down by hand: another hash would put one group into two lanes while an old relay still runs."""
    await record(outbox_database.url_for(OUTBOX_WRITER), [("o-1", 1), ("o-2", 1)])
    rows = await query(outbox_database.url, "SELECT subject, lane FROM outbox_event ORDER BY subject")
    assert [(row["subject"], row["lane"]) for row in rows] == [("o-1", 43), ("o-2", 44)]
