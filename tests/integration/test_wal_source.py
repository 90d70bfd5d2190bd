"""The write-ahead log as a source: what it announces, what it confirms, and who may read it."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from event_trio.envelope import uuid7
from services.relay.leases.lane_hash import lane_of
from services.relay.wal import source, stream
from services.relay.wal.source_state import SourceState
from tests.support import wal_source
from tests.support.databases import OUTBOX_WRITER, TestDatabase
from tests.support.outbox import query, record
from tests.support.waiting import eventually
from tests.support.wal_reading import beat, confirmed, end_of_log, insert, reading, two_looks

SENT = "UPDATE outbox_event SET sent_at = clock_timestamp(), broker_message_id = 'm' WHERE subject = $1"


@pytest.fixture(autouse=True)
def short_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look and confirm more often than in operation."""
    monkeypatch.setattr(stream, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(stream, "CONFIRM_SECONDS", 0.02)
    monkeypatch.setattr(source, "LOOK_AGAIN_SECONDS", 0.1)


@pytest.fixture
async def database(outbox_database: TestDatabase) -> AsyncIterator[TestDatabase]:
    """An outbox with a slot."""
    if not wal_source.chosen():
        await wal_source.prepare(outbox_database.url)
    yield outbox_database
    if not wal_source.chosen():
        await wal_source.remove(outbox_database.url)


async def test_commits_are_announced_in_their_order_and_what_is_rolled_back_never(database: TestDatabase) -> None:
    async with reading(database) as (found, made):
        await made.becomes(SourceState.STREAMING, found)
        writer = await asyncpg.connect(database.url)
        # The first event gets its id first, and is committed last; one in between is rolled back.
        late = writer.transaction()
        await late.start()
        await insert(writer, "early-id")
        other = await asyncpg.connect(database.url)
        never = other.transaction()
        await never.start()
        await insert(other, "rolled-back")
        await never.rollback()
        await other.close()
        await record(database.url_for(OUTBOX_WRITER), [("second", 1)])
        await late.commit()
        await writer.close()
        await record(database.url_for(OUTBOX_WRITER), [("last", 1)])

        async def all_announced() -> bool:
            return "last" in made.announced

        await eventually(all_announced)
        assert made.announced == ["second", "early-id", "last"]


async def test_a_commit_that_waits_for_a_standby_is_announced_when_others_see_it(database: TestDatabase) -> None:
    async with reading(database) as (found, made):
        await made.becomes(SourceState.STREAMING, found)
        await query(database.url, "ALTER SYSTEM SET synchronous_standby_names = 'absent'")
        try:
            await query(database.url, "SELECT pg_reload_conf()")
            writing = asyncio.create_task(record(database.url_for(OUTBOX_WRITER), [("a", 1)]))

            async def waits() -> bool:
                return bool(await query(database.url, "SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep'"))

            await eventually(waits)
            await two_looks(made)
            assert made.announced == []
        finally:
            await query(database.url, "ALTER SYSTEM RESET synchronous_standby_names")
            await query(database.url, "SELECT pg_reload_conf()")
        await writing

        async def announced() -> bool:
            return made.announced == ["a"]

        await eventually(announced)


async def test_the_position_is_confirmed_only_past_what_is_recorded_as_sent(database: TestDatabase) -> None:
    async with reading(database) as (found, made):
        await made.becomes(SourceState.STREAMING, found)
        before = await end_of_log(database)
        await record(database.url_for(OUTBOX_WRITER), [("a", 1)])
        behind_first = await end_of_log(database)
        await record(database.url_for(OUTBOX_WRITER), [("b", 1)])
        await query(database.url, SENT, "b")

        # Everything before the first event is confirmed, by and by, and nothing of it.
        async def up_to_the_first() -> bool:
            return await confirmed(database) >= before

        await eventually(up_to_the_first)
        await two_looks(made)
        assert await confirmed(database) < behind_first
        await query(database.url, SENT, "a")

        async def past_both() -> bool:
            return await confirmed(database) > behind_first

        await eventually(past_both)


async def test_a_relay_that_dies_leaves_the_unsent_events_in_the_log(database: TestDatabase) -> None:
    async with reading(database) as (found, made):
        await made.becomes(SourceState.STREAMING, found)
        await record(database.url_for(OUTBOX_WRITER), [("a", 1), ("b", 1)])
        await query(database.url, SENT, "b")
        await two_looks(made)
    async with reading(database) as (found, made):

        async def announced_again() -> bool:
            return "a" in made.announced

        await eventually(announced_again)


async def test_events_passed_by_another_reader_of_the_slot_are_read_in_the_table(database: TestDatabase) -> None:
    await record(database.url_for(OUTBOX_WRITER), [("a", 1)])
    await query(
        database.url, "SELECT pg_replication_slot_advance($1, pg_current_wal_lsn())", wal_source.slot_of(database.url)
    )
    async with reading(database) as (found, made):
        await made.becomes(SourceState.STREAMING, found)
        assert made.announced == []
        assert made.calls == ["read everything"]


async def test_an_event_that_was_deleted_does_not_hold_the_position(database: TestDatabase) -> None:
    async with reading(database) as (found, made):
        await made.becomes(SourceState.STREAMING, found)
        await record(database.url_for(OUTBOX_WRITER), [("a", 1)])
        await query(database.url, "DELETE FROM outbox_event")
        end = await end_of_log(database)

        async def past_it() -> bool:
            return await confirmed(database) >= end

        await eventually(past_it, timeout=15)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE outbox_event SET sent_at = NULL, republished = republished + 1",
        "UPDATE outbox_event SET sent_at = NULL, held_at = NULL",
    ],
)
async def test_an_event_that_goes_again_is_announced(database: TestDatabase, change: str) -> None:
    await record(database.url_for(OUTBOX_WRITER), [("a", 1)])
    await query(database.url, "UPDATE outbox_event SET sent_at = now(), held_at = now()")
    async with reading(database) as (found, made):
        await made.becomes(SourceState.STREAMING, found)
        await query(database.url, change if "held_at" in change else change + ", held_at = NULL")

        async def announced() -> bool:
            return made.announced[-1:] == ["a"]

        await eventually(announced)


@pytest.mark.parametrize("confirmed_wakes", [True, False])
async def test_a_confirmation_is_announced_where_groups_wait_for_it(
    database: TestDatabase, confirmed_wakes: bool
) -> None:
    await record(database.url_for(OUTBOX_WRITER), [("a", 1)])
    await query(database.url, SENT, "a")
    async with reading(database, confirmed_wakes=confirmed_wakes) as (_, made):

        async def recorded() -> bool:
            return "a" in made.announced

        await eventually(recorded)
        made.announced.clear()
        await query(database.url, "UPDATE outbox_event SET published_at = now()")
        await record(database.url_for(OUTBOX_WRITER), [("b", 1)])

        async def announced() -> bool:
            return made.announced[-1:] == ["b"]

        await eventually(announced)
        assert ("a" in made.announced) is confirmed_wakes


async def test_groups_of_other_relays_are_passed_on_by_their_lanes(database: TestDatabase) -> None:
    async with reading(database) as (found, made):
        await made.becomes(SourceState.STREAMING, found)
        made.lanes.discard(lane_of("a"))
        await record(database.url_for(OUTBOX_WRITER), [("a", 1), ("b", 1)])

        async def both_were_called() -> bool:
            return bool(made.announced and made.passed_on)

        await eventually(both_were_called)
        assert lane_of("a") != lane_of("b")
        assert made.announced == ["b"]
        assert made.passed_on == [{lane_of("a")}]


async def test_one_relay_reads_and_another_stands_by_and_takes_over(database: TestDatabase) -> None:
    async with reading(database) as (second, waiting):
        await waiting.becomes(SourceState.STREAMING, second)
        async with reading(database) as (first, holding):
            await holding.becomes(SourceState.STANDBY, first)
            assert first.status.trouble is None
        assert second.current


async def test_a_relay_without_a_lease_loses_the_slot_to_one_with_a_lease(database: TestDatabase) -> None:
    silent, relay_id = uuid7(), uuid7()
    async with reading(database, relay_id=silent) as (first, hung):
        await hung.becomes(SourceState.STREAMING, first)
        async with reading(database, relay_id=relay_id) as (second, alive):
            await alive.becomes(SourceState.STANDBY, second)
            await beat(database, silent, lease_seconds=0.0)
            await alive.becomes(SourceState.STREAMING, second)
            # A relay that comes back finds the slot taken, and its own table as before.
            await beat(database, silent)
            await hung.becomes(SourceState.STANDBY, first)
            assert hung.calls.count("read everything") == 2
