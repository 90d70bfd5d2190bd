"""Operations on an outbox: each has an audit entry, and none changes a group's order."""

import json
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from event_trio.database.connections import Pool
from event_trio.outbox.limits import size
from event_trio.outbox.schema import LANES
from event_trio.signals import Signals
from services.relay.audit_log import Decision
from services.relay.jobs.holds import Holds
from services.relay.jobs.releases import Releases
from services.relay.jobs.replay_requests import Criteria
from services.relay.jobs.replays import Replays
from services.relay.metrics import RelayMetrics
from services.relay.operators.operations import NotInOutbox, OperationRefused, Operations, lane_of
from services.relay.publishing.backlog import NextEventAfter
from services.relay.publishing.outbox_reader import WINDOW, OutboxReader
from tests.support.databases import OUTBOX_RELAY, OUTBOX_WRITER, TestDatabase
from tests.support.operators import publish_all, refuse
from tests.support.outbox import fill, pool, query, record

OLGA = Decision("olga", "because")


@pytest.fixture
async def relay_pool(outbox_database: TestDatabase) -> AsyncIterator[Pool]:
    async with pool(outbox_database.url_for(OUTBOX_RELAY)) as made:
        yield made


@pytest.fixture
def operations(relay_pool: Pool) -> Operations:
    return Operations(relay_pool, call_seconds=5.0)


def holds(pool: Pool) -> Holds:
    return Holds(pool, metrics=RelayMetrics(CollectorRegistry()), signals=Signals())


def releases(pool: Pool) -> Releases:
    return Releases(pool, signals=Signals())


async def sendable(pool: Pool) -> list[tuple[str, int]]:
    reading = await OutboxReader(pool, NextEventAfter.ACKNOWLEDGED).read(range(LANES), excluded=[])
    return [(event.subject, int(json.loads(event.body)["sequence"])) for event in reading.events]


async def audited(database: TestDatabase) -> list[str]:
    rows = await query(database.url, "SELECT action FROM outbox_audit WHERE actor = 'olga' ORDER BY id")
    return [row["action"] for row in rows]


async def test_the_lane_of_a_group_is_the_databases(outbox_database: TestDatabase) -> None:
    await record(outbox_database.url_for(OUTBOX_WRITER), [(f"order/{n}#", 1) for n in range(50)])
    rows = await query(outbox_database.url, "SELECT subject, lane FROM outbox_event")
    assert [row["lane"] for row in rows] == [lane_of(row["subject"]) for row in rows]


async def test_a_held_group_is_not_sent_and_a_released_one_is_in_order(
    outbox_database: TestDatabase, relay_pool: Pool, operations: Operations
) -> None:
    await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1), ("a", 2), ("b", 1), ("a", 3)])
    assert await operations.hold("a", OLGA) == 3
    assert await sendable(relay_pool) == [("b", 1)]
    await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 4)])
    assert await sendable(relay_pool) == [("b", 1)]
    await operations.release("a", OLGA)
    assert await sendable(relay_pool) == [("b", 1)]
    while await releases(relay_pool).step():
        pass
    assert [n for subject, n in await sendable(relay_pool) if subject == "a"] == [1, 2, 3, 4]
    assert await audited(outbox_database) == ["hold", "release"]


async def test_twenty_thousand_held_events_are_released_in_steps_and_none_is_sent_before_all_are_free(
    outbox_database: TestDatabase, relay_pool: Pool, operations: Operations
) -> None:
    await fill(outbox_database.url, 1, each=20_000, prefix="long")
    await operations.hold("long-1", OLGA)
    follow_up, letting_go = holds(relay_pool), releases(relay_pool)
    while await follow_up.hold_remaining():
        pass
    await operations.release("long-1", OLGA)
    steps = 0
    while True:
        left = (await query(outbox_database.url, "SELECT count(*) FROM outbox_event WHERE held_at IS NOT NULL"))[0][0]
        found = await sendable(relay_pool)
        if left == 0:
            break
        assert found == []
        # The one that holds the rest of a held group looks as often as it likes.
        assert await follow_up.hold_remaining() == 0
        assert await letting_go.step()
        steps += 1
    assert steps == 20
    assert [n for _, n in found] == list(range(1, WINDOW + 1))
    while await letting_go.step():
        pass
    assert await query(outbox_database.url, "SELECT FROM outbox_release") == []
    assert await follow_up.hold_remaining() == 0


async def test_a_release_is_continued_by_another_relay(
    outbox_database: TestDatabase, relay_pool: Pool, operations: Operations
) -> None:
    await fill(outbox_database.url, 1, each=2_500, prefix="long")
    await operations.hold("long-1", OLGA)
    while await holds(relay_pool).hold_remaining():
        pass
    await operations.release("long-1", OLGA)
    assert await releases(relay_pool).step()
    successor = releases(relay_pool)
    while await successor.step():
        pass
    assert (await sendable(relay_pool))[0] == ("long-1", 1)


async def test_a_hold_cancels_a_release(
    outbox_database: TestDatabase, relay_pool: Pool, operations: Operations
) -> None:
    await fill(outbox_database.url, 1, each=2_500, prefix="long")
    await operations.hold("long-1", OLGA)
    while await holds(relay_pool).hold_remaining():
        pass
    await operations.release("long-1", OLGA)
    await releases(relay_pool).step()
    assert await operations.hold("long-1", OLGA) > 0
    assert not await releases(relay_pool).step()
    assert await holds(relay_pool).hold_remaining() > 0
    assert await sendable(relay_pool) == []


async def test_a_discarded_event_is_deleted_its_group_continues_and_the_audit_keeps_no_payload(
    outbox_database: TestDatabase, relay_pool: Pool, operations: Operations
) -> None:
    first, _ = await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1), ("a", 2)], note='ü 김 "q"')
    await refuse(outbox_database, first.id)
    await holds(relay_pool).hold_remaining()
    done = await operations.discard(first.id, OLGA)
    assert done.released
    assert await sendable(relay_pool) == []
    while await releases(relay_pool).step():
        pass
    assert await sendable(relay_pool) == [("a", 2)]
    (entry,) = await query(outbox_database.url, "SELECT * FROM outbox_audit")
    row = json.loads(entry["details"])["row"]
    assert (entry["action"], entry["subject"], entry["event_id"]) == ("discard", "a", first.id)
    assert (row["correlation_id"], row["size"]) == ("test-a", size(first.to_bytes(), {"type": "order.placed"}))
    assert "김" not in entry["details"]
    assert (row["attempts"], row["last_error"], row["attributes"]) == (
        1,
        "InvalidParameter: no",
        {"type": "order.placed"},
    )


async def test_an_event_is_not_discarded_while_a_call_may_still_send_it(
    outbox_database: TestDatabase, operations: Operations
) -> None:
    (event,) = await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1)])
    with pytest.raises(OperationRefused, match="only a held event"):
        await operations.discard(event.id, OLGA)
    await refuse(outbox_database, event.id, seconds_ago=operations.settling_seconds - 3)
    with pytest.raises(OperationRefused, match="may still send it") as refused:
        await operations.discard(event.id, OLGA)
    assert refused.value.retry_after is not None
    assert 1 <= refused.value.retry_after <= 4
    assert await audited(outbox_database) == []
    await refuse(outbox_database, event.id, seconds_ago=operations.settling_seconds + 0.1)
    await operations.discard(event.id, OLGA)
    assert await query(outbox_database.url, "SELECT FROM outbox_event") == []


@pytest.mark.parametrize("followed_up", [True, False])
async def test_the_rest_of_a_discarded_events_group_can_be_kept_held(
    outbox_database: TestDatabase, relay_pool: Pool, operations: Operations, followed_up: bool
) -> None:
    first, second = await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1), ("a", 2)])
    await refuse(outbox_database, first.id)
    if followed_up:
        assert await holds(relay_pool).hold_remaining() == 1
    assert not (await operations.discard(first.id, OLGA, keep_held=True)).released
    (row,) = await query(outbox_database.url, "SELECT * FROM outbox_event")
    assert (row["event_id"], row["held_reason"]) == (second.id, "kept held by olga: because")
    assert not await releases(relay_pool).step()


async def test_a_discarded_event_that_was_not_the_cause_leaves_its_group_held(
    outbox_database: TestDatabase, relay_pool: Pool, operations: Operations
) -> None:
    first, second, third = await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1), ("a", 2), ("a", 3)])
    await refuse(outbox_database, first.id)
    await holds(relay_pool).hold_remaining()
    await query(outbox_database.url, "UPDATE outbox_event SET held_at = held_at - interval '1 hour' RETURNING 1")
    assert not (await operations.discard(second.id, OLGA)).released
    await refuse(outbox_database, third.id)
    assert not (await operations.discard(first.id, OLGA)).released
    assert await sendable(relay_pool) == []
    assert await audited(outbox_database) == ["discard", "discard"]


async def test_a_replay_counts_first_and_then_sends_again_what_was_sent(
    outbox_database: TestDatabase, relay_pool: Pool, operations: Operations
) -> None:
    sent = await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1), ("a", 2), ("b", 1)])
    await publish_all(outbox_database)
    await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 3)])
    assert await operations.count_replay(Criteria(subject="a")) == 2
    assert await operations.count_replay(Criteria()) == 3
    assert await query(outbox_database.url, "SELECT FROM outbox_replay") == []
    assert await operations.replay(Criteria(event_id=sent[1].id), OLGA) == (1, 1)
    jobs = Replays(relay_pool, metrics=RelayMetrics(CollectorRegistry()), signals=Signals())
    assert await sendable(relay_pool) == []
    assert await jobs.step()
    assert not await jobs.step()
    assert await sendable(relay_pool) == [("a", 2), ("a", 3)]
    (entry,) = await query(outbox_database.url, "SELECT * FROM outbox_audit")
    assert json.loads(entry["details"]) == {"job": 1, "events": 1, "criteria": {"event_id": str(sent[1].id)}}


async def test_a_paused_outbox_sends_nothing_until_it_is_resumed(
    outbox_database: TestDatabase, relay_pool: Pool, operations: Operations
) -> None:
    await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1)])
    await operations.pause(OLGA)
    assert await sendable(relay_pool) == []
    with pytest.raises(OperationRefused, match="paused already"):
        await operations.pause(OLGA)
    await operations.resume(OLGA)
    with pytest.raises(OperationRefused, match="not paused"):
        await operations.resume(OLGA)
    assert await sendable(relay_pool) == [("a", 1)]
    assert await audited(outbox_database) == ["pause", "resume"]


async def test_a_refused_operation_changes_nothing(outbox_database: TestDatabase, operations: Operations) -> None:
    (event,) = await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1)])
    with pytest.raises(NotInOutbox, match="not held"):
        await operations.release("a", OLGA)
    with pytest.raises(NotInOutbox, match="not in the outbox"):
        await operations.discard(UUID(int=1), OLGA)
    with pytest.raises(NotInOutbox, match="nothing would be replayed"):
        await operations.replay(Criteria(event_id=event.id), OLGA)
    await operations.hold("a", OLGA)
    with pytest.raises(OperationRefused, match="held already: held by olga: because"):
        await operations.hold("a", OLGA)
    await operations.release("a", OLGA)
    with pytest.raises(OperationRefused, match="being released already"):
        await operations.release("a", OLGA)
    assert await audited(outbox_database) == ["hold", "release"]


async def test_an_operation_without_its_audit_entry_is_rolled_back(
    outbox_database: TestDatabase, relay_pool: Pool, operations: Operations
) -> None:
    (event,) = await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1)])
    await refuse(outbox_database, event.id)
    await query(outbox_database.url, "REVOKE INSERT ON outbox_audit FROM " + OUTBOX_RELAY)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await operations.discard(event.id, OLGA)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await operations.pause(OLGA)
    assert len(await query(outbox_database.url, "SELECT FROM outbox_event WHERE held_at IS NOT NULL")) == 1
    assert len(await query(outbox_database.url, "SELECT FROM outbox_control WHERE paused_at IS NULL")) == 1
