"""The write-ahead log as a source: what it announces, what it confirms, and who may read it."""

from collections.abc import AsyncIterator

import asyncpg
import psycopg
import pytest

from event_trio.envelope import uuid7
from event_trio.outbox.publication import DROP
from services.relay.leases.lane_hash import lane_of
from services.relay.wal import slots, source, stream
from services.relay.wal.source_state import SourceState
from tests.support import wal_source
from tests.support.databases import OUTBOX_RELAY, OUTBOX_WRITER, TestDatabase
from tests.support.outbox import fill, query, record
from tests.support.waiting import eventually
from tests.support.wal_reading import Reading, beat, confirmed, end_of_log, reading

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
        await _insert(writer, "early-id")
        other = await asyncpg.connect(database.url)
        never = other.transaction()
        await never.start()
        await _insert(other, "rolled-back")
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
        await _two_looks(made)
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
        await _two_looks(made)
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
        assert made.told == ["read everything"]


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
    async with reading(database, confirmed_wakes=confirmed_wakes) as (found, made):
        await made.becomes(SourceState.STREAMING, found)
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

        async def told() -> bool:
            return bool(made.announced and made.passed_on)

        await eventually(told)
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
            assert hung.told.count("read everything") == 2


async def test_a_slot_that_is_missing_or_unsuitable_is_named_and_used_once_it_is_right(database: TestDatabase) -> None:
    slot = wal_source.slot_of(database.url)
    await wal_source.remove(database.url)
    async with reading(database) as (found, made):
        await made.becomes(SourceState.SLOT_MISSING, found)
        assert slot in str(found.status.trouble)
        await query(database.url, "SELECT pg_create_physical_replication_slot($1)", slot)
        await made.becomes(SourceState.SLOT_UNSUITABLE, found)
        await wal_source.remove(database.url)
        await slots.create(wal_source.reader_url(database.url), slot)
        await made.becomes(SourceState.STREAMING, found)


async def test_a_missing_publication_ends_the_reading_and_its_return_continues_it(database: TestDatabase) -> None:
    async with reading(database) as (found, made):
        await made.becomes(SourceState.STREAMING, found)
        await query(database.url, DROP)
        await made.becomes(SourceState.PUBLICATION_MISSING, found)
        assert made.told[-1] == "read everything"
        await query(
            database.url, "CREATE PUBLICATION outbox FOR TABLE outbox_event (id) WITH (publish = 'insert, update')"
        )
        await _two_looks(made)
        assert found.status.state is SourceState.PUBLICATION_MISSING


async def test_a_slot_in_use_by_something_else_is_named(database: TestDatabase) -> None:
    slot = wal_source.slot_of(database.url)
    url = wal_source.reader_url(database.url)
    thief = await psycopg.AsyncConnection.connect(
        url, replication="database", application_name="thief", autocommit=True
    )
    try:
        thief.pgconn.send_query(
            f"START_REPLICATION SLOT {slot} LOGICAL 0/0 (proto_version '1', publication_names 'outbox')".encode()
        )
        thief.pgconn.flush()
        async with reading(database) as (found, made):
            await made.becomes(SourceState.SLOT_TAKEN, found)
            assert "thief" in str(found.status.trouble)
            await thief.close()
            await made.becomes(SourceState.STREAMING, found)
    finally:
        await thief.close()


async def test_a_role_without_replication_is_refused(database: TestDatabase) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await slots.create(database.url_for(OUTBOX_RELAY), "outbox_refused")


async def test_a_slot_cannot_begin_while_a_transaction_is_open_and_the_error_names_it(database: TestDatabase) -> None:
    blocking = await asyncpg.connect(database.url)
    try:
        async with blocking.transaction():
            await _insert(blocking, "open")
            with pytest.raises(slots.TransactionsOpen) as caught:
                await slots.create(wal_source.reader_url(database.url), "outbox_waiting", seconds=0.3)
            assert caught.value.pids == [blocking.get_server_pid()]
    finally:
        await blocking.close()
    found = await query(database.url, "SELECT FROM pg_replication_slots WHERE slot_name = 'outbox_waiting'")
    assert found == []


async def test_what_replication_allows_is_more_than_its_tables(database: TestDatabase) -> None:
    """The role reads rows of a table on which it has no right, because a slot asks for none."""
    url, slot = wal_source.reader_url(database.url), wal_source.slot_of(database.url)
    await fill(database.url, 1)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await query(url, "SELECT FROM outbox_event")
    peeked = await query(
        url,
        "SELECT data FROM pg_logical_slot_peek_binary_changes($1, NULL, NULL, 'proto_version', '1', "
        "'publication_names', 'outbox')",
        slot,
    )
    assert any(b"s-1" in row["data"] for row in peeked)


async def _insert(connection: "asyncpg.Connection[asyncpg.Record]", subject: str) -> None:
    await connection.execute(
        """
        INSERT INTO outbox_event (event_id, source, subject, sequence, envelope, attributes)
        VALUES (gen_random_uuid(), '/tests', $1, 1, '{}', '{}')
        """,
        subject,
    )


async def _two_looks(made: Reading) -> None:
    """Wait until the source has looked at its slot twice more."""
    before = len(made.signals.seen("wal.looked"))

    async def looked() -> bool:
        return len(made.signals.seen("wal.looked")) >= before + 2

    await eventually(looked)
