"""The replication slot of the outbox: what keeps a relay from reading it, who may create it, and what that allows."""

from collections.abc import AsyncIterator

import asyncpg
import psycopg
import pytest

from event_trio.outbox.publication import DROP
from services.relay.wal import slots, source, stream
from services.relay.wal.source_state import SourceState
from tests.support import wal_source
from tests.support.databases import OUTBOX_RELAY, TestDatabase
from tests.support.outbox import fill, query
from tests.support.wal_reading import insert, reading, two_looks


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
        assert made.calls[-1] == "read everything"
        await query(
            database.url, "CREATE PUBLICATION outbox FOR TABLE outbox_event (id) WITH (publish = 'insert, update')"
        )
        await two_looks(made)
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
            await insert(blocking, "open")
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
