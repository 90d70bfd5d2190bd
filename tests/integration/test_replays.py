"""Replays: in the groups concerned, replayed events precede new ones; all other groups continue."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from event_trio.database.connections import Pool
from event_trio.outbox.schema import LANES
from event_trio.signals import Signals
from services.relay.audit_log import Decision
from services.relay.group_sql import LOOKED_AT
from services.relay.jobs import replay_requests, replays
from services.relay.jobs.replay_requests import AtLeast, Criteria
from services.relay.jobs.replays import Replays
from services.relay.metrics import RelayMetrics
from services.relay.operators.operations import NotInOutbox, OperationRefused, Operations
from services.relay.publishing.backlog import NextEventAfter
from services.relay.publishing.outbox_reader import OutboxReader
from tests.support.databases import OUTBOX_RELAY, OUTBOX_WRITER, TestDatabase
from tests.support.operators import publish_all
from tests.support.outbox import fill, pool, query, record

OLGA = Decision("olga", "because")
BEFORE = "UPDATE outbox_event SET recorded_at = clock_timestamp() - interval '1 day' WHERE subject = $1 RETURNING 1"
RETYPE = """
UPDATE outbox_event SET attributes = '{"type": "order.shipped"}' WHERE subject = $1 AND sequence = $2 RETURNING 1
"""


@pytest.fixture
async def relay_pool(outbox_database: TestDatabase) -> AsyncIterator[Pool]:
    async with pool(outbox_database.url_for(OUTBOX_RELAY)) as made:
        yield made


@pytest.fixture
def operations(relay_pool: Pool) -> Operations:
    return Operations(relay_pool, call_seconds=5.0)


@pytest.fixture
def jobs(relay_pool: Pool) -> Replays:
    return Replays(relay_pool, metrics=RelayMetrics(CollectorRegistry()), signals=Signals())


async def sendable(pool: Pool, release: NextEventAfter = NextEventAfter.ACKNOWLEDGED) -> list[tuple[str, int]]:
    reading = await OutboxReader(pool, release).read(range(LANES), excluded=[])
    return sorted((event.subject, int(json.loads(event.body)["sequence"])) for event in reading.events)


async def sent_then_new(database: TestDatabase) -> None:
    """Two events of each of three groups were published, and one of each waits."""
    writer = database.url_for(OUTBOX_WRITER)
    await record(writer, [(group, n) for group in "abc" for n in (1, 2)])
    await publish_all(database)
    await record(writer, [(group, 3) for group in "abc"])


@pytest.mark.parametrize("release", list(NextEventAfter))
async def test_only_the_named_group_waits(
    outbox_database: TestDatabase, relay_pool: Pool, operations: Operations, jobs: Replays, release: NextEventAfter
) -> None:
    await sent_then_new(outbox_database)
    await operations.replay(Criteria(subject="b"), OLGA)
    assert await sendable(relay_pool, release) == [("a", 3), ("c", 3)]
    assert await jobs.step()
    of_b = [("b", 1)] if release is NextEventAfter.CONFIRMED else [("b", 1), ("b", 2), ("b", 3)]
    assert await sendable(relay_pool, release) == [("a", 3), *of_b, ("c", 3)]
    assert not await jobs.step()


async def test_only_the_group_of_the_named_event_waits(
    outbox_database: TestDatabase, relay_pool: Pool, operations: Operations, jobs: Replays
) -> None:
    await sent_then_new(outbox_database)
    (row,) = await query(outbox_database.url, "SELECT event_id FROM outbox_event WHERE subject = 'b' AND sequence = 2")
    await operations.replay(Criteria(event_id=row["event_id"]), OLGA)
    assert await sendable(relay_pool) == [("a", 3), ("c", 3)]
    assert await jobs.step()
    assert await sendable(relay_pool) == [("a", 3), ("b", 2), ("b", 3), ("c", 3)]


@pytest.mark.parametrize("by", ["type", "since", "until"])
async def test_groups_without_a_matching_event_continue(
    outbox_database: TestDatabase,
    relay_pool: Pool,
    operations: Operations,
    jobs: Replays,
    monkeypatch: pytest.MonkeyPatch,
    by: str,
) -> None:
    monkeypatch.setattr(replays, "STEP", 1)
    await sent_then_new(outbox_database)
    noon = datetime.now(UTC) - timedelta(hours=12)
    criteria = {"type": Criteria(type="order.shipped"), "since": Criteria(since=noon), "until": Criteria(until=noon)}
    if by == "type":
        await query(outbox_database.url, RETYPE, "b", 2)
    for group in {"type": "", "since": "ac", "until": "b"}[by]:
        await query(outbox_database.url, BEFORE, group)
    again = [("b", 2)] if by == "type" else [("b", 1), ("b", 2)]
    job, events = await operations.replay(criteria[by], OLGA)
    assert events == len(again)
    seen = []
    while True:
        found = await sendable(relay_pool)
        assert [one for one in found if one[0] != "b"] == [("a", 3), ("c", 3)]
        seen.append([one for one in found if one[0] == "b"])
        if not await jobs.step():
            break
    # First nothing of it, then all of it at once: never its new event before one that goes again.
    assert [found for number, found in enumerate(seen) if found not in seen[:number]] == [[], [*again, ("b", 3)]]
    (row,) = await query(outbox_database.url, "SELECT * FROM outbox_replay WHERE id = $1", job)
    assert (row["replayed"], row["cancelled_at"]) == (len(again), None)


async def test_while_everything_is_replayed_all_groups_wait(
    outbox_database: TestDatabase, relay_pool: Pool, operations: Operations, jobs: Replays
) -> None:
    await sent_then_new(outbox_database)
    await record(outbox_database.url_for(OUTBOX_WRITER), [("new", 1)])
    await operations.replay(Criteria(), OLGA)
    assert await sendable(relay_pool) == []
    assert await jobs.step()
    assert len(await sendable(relay_pool)) == 10


async def test_a_group_with_too_many_events_to_examine_waits_for_the_end_of_the_replay(
    outbox_database: TestDatabase, relay_pool: Pool, operations: Operations, jobs: Replays
) -> None:
    await fill(outbox_database.url, 1, each=LOOKED_AT, prefix="long")
    await fill(outbox_database.url, 1, each=LOOKED_AT - 2, prefix="short")
    await query(outbox_database.url, RETYPE, "long-1", 1)
    await publish_all(outbox_database)
    writer = outbox_database.url_for(OUTBOX_WRITER)
    await record(writer, [("long-1", LOOKED_AT + 1), ("short-1", LOOKED_AT)])
    await operations.replay(Criteria(type="order.shipped"), OLGA)
    assert await sendable(relay_pool) == [("short-1", LOOKED_AT)]
    assert await jobs.step()
    assert await sendable(relay_pool) == [("long-1", 1), ("long-1", LOOKED_AT + 1), ("short-1", LOOKED_AT)]


async def test_one_group_is_replayed_in_one_step_whatever_the_size_of_the_table(
    outbox_database: TestDatabase, operations: Operations, jobs: Replays, monkeypatch: pytest.MonkeyPatch
) -> None:
    await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1)])
    await fill(outbox_database.url, 500)
    await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 2)])
    await publish_all(outbox_database)
    monkeypatch.setattr(replays, "STEP", 10)
    job, events = await operations.replay(Criteria(subject="a"), OLGA)
    assert await jobs.step()
    (row,) = await query(outbox_database.url, "SELECT * FROM outbox_replay WHERE id = $1", job)
    assert (events, row["replayed"], row["finished_at"] is not None) == (2, 2, True)


async def test_a_replay_begins_at_its_time(
    outbox_database: TestDatabase, operations: Operations, jobs: Replays, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(outbox_database.url, 500)
    await publish_all(outbox_database)
    await query(
        outbox_database.url, "UPDATE outbox_event SET recorded_at = now() - interval '1 day' * (501 - id) RETURNING 1"
    )
    monkeypatch.setattr(replays, "STEP", 100)
    since = datetime.now(UTC) - timedelta(days=9.5)
    job, events = await operations.replay(Criteria(since=since, until=since + timedelta(days=3)), OLGA)
    (row,) = await query(outbox_database.url, "SELECT * FROM outbox_replay WHERE id = $1", job)
    assert (events, row["from_at"], row["until_at"]) == (3, since, since + timedelta(days=3))
    assert await jobs.step()
    (row,) = await query(outbox_database.url, "SELECT * FROM outbox_replay WHERE id = $1", job)
    assert (row["replayed"], row["finished_at"] is not None) == (3, True)


async def test_equal_sequences_of_two_sources_are_replayed_together(
    outbox_database: TestDatabase, operations: Operations, jobs: Replays, monkeypatch: pytest.MonkeyPatch
) -> None:
    await record(outbox_database.url_for(OUTBOX_WRITER), [("a", n) for n in (1, 2, 3)])
    await query(
        outbox_database.url,
        "INSERT INTO outbox_event (event_id, source, subject, sequence, envelope, attributes)"
        " SELECT gen_random_uuid(), '/other', subject, sequence, envelope, attributes FROM outbox_event RETURNING 1",
    )
    await publish_all(outbox_database)
    monkeypatch.setattr(replays, "STEP", 1)
    assert await operations.replay(Criteria(subject="a"), OLGA) == (1, 6)
    while await jobs.step():
        pass
    left = await query(outbox_database.url, "SELECT FROM outbox_event WHERE sent_at IS NOT NULL OR republished <> 1")
    assert left == []


async def test_events_sent_after_the_request_are_not_replayed(
    outbox_database: TestDatabase, relay_pool: Pool, operations: Operations, jobs: Replays
) -> None:
    await sent_then_new(outbox_database)
    await operations.replay(Criteria(type="order.placed", until=datetime.now(UTC) + timedelta(days=1)), OLGA)
    await query(
        outbox_database.url, "UPDATE outbox_event SET sent_at = clock_timestamp() WHERE sequence = 3 RETURNING 1"
    )
    while await jobs.step():
        pass
    assert await sendable(relay_pool) == [(group, n) for group in "abc" for n in (1, 2)]


async def test_a_count_that_stops_at_its_bound_is_marked(
    outbox_database: TestDatabase, operations: Operations, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sent_then_new(outbox_database)
    exact = await operations.count_replay(Criteria())
    monkeypatch.setattr(replay_requests, "COUNTED", 4)
    cut = await operations.count_replay(Criteria())
    assert (exact, isinstance(exact, AtLeast), cut, isinstance(cut, AtLeast)) == (6, False, 4, True)
    # What is not among those that were looked at may be among the others.
    job, events = await operations.replay(Criteria(type="order.shipped"), OLGA)
    assert (job, events) == (1, 0)


async def test_the_groups_of_a_cancelled_replay_continue(
    outbox_database: TestDatabase,
    relay_pool: Pool,
    operations: Operations,
    jobs: Replays,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replays, "STEP", 1)
    await sent_then_new(outbox_database)
    job, _ = await operations.replay(Criteria(), OLGA)
    assert await jobs.step()
    assert await sendable(relay_pool) == []
    assert await operations.cancel_replay(job, OLGA) == 1
    assert await sendable(relay_pool) == [("a", 1), ("a", 3), ("b", 3), ("c", 3)]
    assert not await jobs.step()
    with pytest.raises(OperationRefused, match="already finished"):
        await operations.cancel_replay(job, OLGA)
    with pytest.raises(NotInOutbox, match="no replay with this number"):
        await operations.cancel_replay(job + 1, OLGA)
    audit = await query(outbox_database.url, "SELECT actor, action, details FROM outbox_audit ORDER BY id")
    assert [(row["actor"], row["action"]) for row in audit] == [("olga", "replay"), ("olga", "cancel_replay")]
    assert json.loads(audit[1]["details"]) == {"job": job, "replayed": 1}
