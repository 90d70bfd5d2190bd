"""A slot at its limit (max_slot_wal_keep_size): it is reported, lost and replaced; no event is lost."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.relay.wal import slots, source, stream
from services.relay.wal.source_state import SourceState
from tests.support import databases, wal_source
from tests.support.databases import OUTBOX_WRITER, TestDatabase
from tests.support.outbox import query, record
from tests.support.waiting import eventually
from tests.support.wal_reading import reading
from tools.embedded.postgres import EmbeddedPostgres

SEGMENT = 16 * 2**20


@pytest.fixture
async def database(postgres_folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TestDatabase]:
    """An outbox with a slot, on a server that keeps two segments of log for it."""
    monkeypatch.setattr(stream, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(source, "LOOK_AGAIN_SECONDS", 0.1)
    limit = {"max_slot_wal_keep_size": f"{2 * SEGMENT // 2**20}MB"}
    async with (
        EmbeddedPostgres(postgres_folder / "postgres", settings=limit) as server,
        databases.database(server.admin_url) as found,
    ):
        await databases.migrate_outbox(found.url)
        await wal_source.prepare(found.url)
        yield found
        await wal_source.remove(found.url)


async def test_a_full_slot_is_reported_then_lost_then_replaced(database: TestDatabase) -> None:
    slot = wal_source.slot_of(database.url)
    async with reading(database) as (found, made):
        await made.becomes(SourceState.STREAMING, found)
        # An event that is not sent holds the position.
        await record(database.url_for(OUTBOX_WRITER), [("waiting", 1)])
        await _write_segments(database, 2)

        async def under_pressure() -> bool:
            return "gives it up after" in str(found.status.pressure)

        await eventually(under_pressure)
        assert found.current
        await _write_segments(database, 4)
        await query(database.url, "CHECKPOINT")
        await made.becomes(SourceState.SLOT_LOST, found)
        assert made.calls[-1] == "read everything"
        assert "given the replication slot" in str(found.status.trouble)
        await record(database.url_for(OUTBOX_WRITER), [("meanwhile", 1)])

        await slots.drop(wal_source.reader_url(database.url), slot)
        await made.becomes(SourceState.SLOT_MISSING, found)
        calls = len(made.calls)
        await slots.create(wal_source.reader_url(database.url), slot)
        await made.becomes(SourceState.STREAMING, found)
        # The new slot shows nothing of what was committed before it; the table does.
        assert made.calls[calls:] == ["read everything"]
        assert "meanwhile" not in made.announced


async def _write_segments(database: TestDatabase, count: int) -> None:
    for _ in range(count):
        await query(database.url, "SELECT pg_logical_emit_message(false, 'filler', 'x')")
        await query(database.url, "SELECT pg_switch_wal()")
