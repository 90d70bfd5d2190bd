"""A slot with a copy on a standby (Postgres 17): after the promotion a relay reads it there."""

import asyncio
from pathlib import Path

import pytest

from services.relay.wal import slots, source, stream
from services.relay.wal.source_state import SourceState
from tests.support import databases, wal_source
from tests.support.databases import OUTBOX_WRITER, TestDatabase
from tests.support.outbox import query, record
from tests.support.waiting import eventually
from tests.support.wal_reading import end_of_log, reading
from tools.embedded import installation
from tools.embedded.postgres import EmbeddedPostgres

STANDBY = {
    "primary_slot_name": "standby",
    "hot_standby_feedback": "on",
    # The test copies slots itself; the worker of sync_replication_slots does the same at intervals.
    "sync_replication_slots": "off",
}


async def test_a_relay_continues_in_the_copy_of_the_slot_on_a_promoted_standby(
    postgres_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(source, "LOOK_AGAIN_SECONDS", 0.1)
    async with (
        EmbeddedPostgres(postgres_folder / "primary") as primary,
        databases.database(primary.admin_url) as database,
    ):
        if int((await query(database.url, "SHOW server_version_num"))[0][0]) < 170000:
            pytest.skip("slots have copies since Postgres 17")
        await databases.migrate_outbox(database.url)
        await query(database.url, wal_source.CREATE_ROLE)
        slot = wal_source.slot_of(database.url)
        await slots.create(wal_source.reader_url(database.url), slot, failover=True)
        await query(database.url, "SELECT pg_create_physical_replication_slot('standby', true)")
        await _copy(primary, postgres_folder / "standby")
        async with EmbeddedPostgres(postgres_folder / "standby", settings=STANDBY) as standby:
            there = TestDatabase(database.name, database.url.replace(f":{primary.port}/", f":{standby.port}/"))
            async with reading(database) as (found, made):
                await made.becomes(SourceState.STREAMING, found)
                await eventually(lambda: _is_copied(database, there, slot), timeout=30.0)
                await record(database.url_for(OUTBOX_WRITER), [("unsent", 1)])
                end = await end_of_log(database)
                await eventually(lambda: _has_replayed(there, end), timeout=30.0)
            await primary.stop()
            await query(there.url, "SELECT pg_promote()")
            async with reading(there) as (found, made):
                await made.becomes(SourceState.STREAMING, found)

                async def announced() -> bool:
                    return "unsent" in made.announced

                await eventually(announced)
            await primary.start()
            await query(database.url, "SELECT pg_drop_replication_slot('standby')")
            await wal_source.remove(database.url)


async def _copy(primary: EmbeddedPostgres, folder: Path) -> None:
    """Copy the server, as one that follows it."""
    program = installation.find().programs / "pg_basebackup"
    arguments = ["--pgdata", str(folder / "data"), "--dbname", primary.admin_url, "--write-recovery-conf"]
    folder.mkdir(mode=0o755)
    running = await asyncio.create_subprocess_exec(program, *arguments, "--checkpoint=fast", "--wal-method=stream")
    assert await running.wait() == 0


async def _is_copied(primary: TestDatabase, standby: TestDatabase, slot: str) -> bool:
    # The copy is complete when the position of the slot has passed a point from which the standby can decode.
    await query(primary.url, "SELECT pg_log_standby_snapshot()")
    await query(standby.url, "SELECT pg_sync_replication_slots()")
    found = await query(
        standby.url, "SELECT synced AND NOT temporary FROM pg_replication_slots WHERE slot_name = $1", slot
    )
    return bool(found and found[0][0])


async def _has_replayed(standby: TestDatabase, position: int) -> bool:
    rows = await query(standby.url, "SELECT (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint")
    return int(rows[0][0]) >= position
