"""A large transaction in the write-ahead log: the relay is late, says so, polls meanwhile, and catches up."""

from collections.abc import AsyncIterator

import pytest

from services.relay.wal import source, stream
from services.relay.wal.source_state import SourceState
from tests.support import wal_source
from tests.support.databases import OUTBOX_WRITER, TestDatabase
from tests.support.outbox import query, record
from tests.support.waiting import eventually
from tests.support.wal_reading import confirmed, end_of_log, reading

ROWS = 150_000
IMPORT = """
INSERT INTO outbox_event (event_id, source, subject, sequence, envelope, attributes, sent_at, published_at)
SELECT gen_random_uuid(), '/tests', 'imported', number, '{}', '{}', now(), now() FROM generate_series(1, $1::int) number
"""


@pytest.fixture
async def database(outbox_database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TestDatabase]:
    """An outbox with a slot."""
    monkeypatch.setattr(stream, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(stream, "CONFIRM_SECONDS", 0.02)
    monkeypatch.setattr(source, "LOOK_AGAIN_SECONDS", 0.1)
    if not wal_source.chosen():
        await wal_source.prepare(outbox_database.url)
    yield outbox_database
    if not wal_source.chosen():
        await wal_source.remove(outbox_database.url)


async def test_a_source_behind_a_large_transaction_says_so_and_catches_up(database: TestDatabase) -> None:
    async with reading(database) as (found, made):
        await made.becomes(SourceState.STREAMING, found)
        await query(database.url, IMPORT, ROWS)
        await made.becomes(SourceState.BEHIND, found)
        # The relay polls meanwhile: what is committed now is behind the transaction in the log.
        assert not found.current
        assert "the log is read late" in str(found.status.trouble)
        await record(database.url_for(OUTBOX_WRITER), [("a", 1)])
        await made.becomes(SourceState.STREAMING, found)

        async def announced() -> bool:
            return made.announced == ["a"]

        await eventually(announced)
        await query(database.url, "UPDATE outbox_event SET sent_at = now() WHERE subject = 'a'")
        end = await end_of_log(database)

        async def past_it() -> bool:
            return await confirmed(database) >= end

        await eventually(past_it, timeout=15)
