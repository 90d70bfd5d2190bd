"""Lets relays of tests read the write-ahead log: with TEST_SOURCE=wal all of them, or those of one test."""

import os
import re
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from event_trio.outbox.publication import CREATE
from services.relay.wal import slots
from tests.support.waiting import eventually

VARIABLE = "TEST_SOURCE"
ROLE = "outbox_wal"
"""A role that may read the log, and no table."""
PASSWORD = "only-for-tests"
CREATE_ROLE = f"""
DO $$ BEGIN
    CREATE ROLE {ROLE} LOGIN REPLICATION PASSWORD '{PASSWORD}';
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END $$
"""


def chosen() -> bool:
    """Whether all relays of the tests read the log."""
    return os.environ.get(VARIABLE) == "wal"


def slot_of(url: str) -> str:
    """The name of the slot that a relay of this database expects."""
    return "outbox_" + re.sub("[^a-z0-9_]", "_", urlsplit(url).path.removeprefix("/").lower())


def reader_url(url: str) -> str:
    """The URL of the same database for the role that reads the log."""
    parts = urlsplit(url)
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(ROLE)}:{PASSWORD}@{address}"))


def settings(url: str, *, always: bool = False) -> dict[str, Any]:
    """What a relay of this database needs to read the log; nothing if it polls the table."""
    return {"source": "wal", "wal_database_url": reader_url(url)} if always or chosen() else {}


def environment(url: str) -> dict[str, str]:
    """The same as environment variables."""
    return {name.upper(): value for name, value in settings(url).items()}


async def prepare(url: str) -> None:
    """Create the role, the publication and the slot, as the owner of the database."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(CREATE_ROLE)
        await connection.execute(CREATE)
    finally:
        await connection.close()
    await slots.create(reader_url(url), slot_of(url))


async def remove(url: str) -> None:
    """Drop the slot, whoever reads it."""
    slot = slot_of(url)

    async def gone() -> bool:
        connection = await asyncpg.connect(url)
        try:
            found = await connection.fetchrow("SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1", slot)
            if found is None:
                return True
            if found["active_pid"] is not None:
                await connection.execute("SELECT pg_terminate_backend($1)", found["active_pid"])
                return False
            await connection.execute("SELECT pg_drop_replication_slot($1)", slot)
        except asyncpg.ObjectInUseError:
            return False
        finally:
            await connection.close()
        return True

    await eventually(gone)
