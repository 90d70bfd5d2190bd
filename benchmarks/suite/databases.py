"""Databases for the suite: migrated once by the services' own migrations, and copied for each run."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from benchmarks.suite.events import SOURCE, MadeEvent, OrderMeasured
from benchmarks.suite.processes import command, tree_cpu_seconds
from tools.embedded.process import ChildProcess

MIGRATION_SECONDS = 60.0
# As on a server that loses nothing, with vacuum running while it is measured, and with the times of commits.
SERVER = {"fsync": "on", "full_page_writes": "on", "autovacuum_naptime": "1s", "track_commit_timestamp": "on"}
NUMBERS = itertools.count(1)
COLUMNS = ("event_id", "source", "subject", "sequence", "envelope", "attributes")
INSERT = f"INSERT INTO outbox_event ({', '.join(COLUMNS)}) VALUES ($1, $2, $3, $4, $5, $6)"  # noqa: S608 - constants
ATTRIBUTES = f'{{"type": "{OrderMeasured.type}"}}'


async def migrated(admin_url: str, service: str, folder: Path, *, name: str, source: Path) -> str:
    """Create and migrate a database to copy, with the migrations of `source`; returns its name."""
    await execute(admin_url, f"CREATE DATABASE {name}")
    environment = {"MIGRATION_DATABASE_URL": with_database(admin_url, name)}
    module = f"services.{service}.migrate"
    child = ChildProcess(command(f"{name}-migration", module, (), environment, folder, source=source))
    child.start()
    try:
        if await child.wait(MIGRATION_SECONDS) != 0:
            raise child.failure("failed")
    finally:
        await child.stop()
    return name


@asynccontextmanager
async def copied(admin_url: str, seed: str) -> AsyncIterator[str]:
    """A copy of a migrated database, dropped at the end; yields the owner's URL."""
    name = f"run_{next(NUMBERS)}"
    await execute(admin_url, f"CREATE DATABASE {name} TEMPLATE {seed} STRATEGY file_copy")
    try:
        yield with_database(admin_url, name)
    finally:
        await execute(admin_url, f"DROP DATABASE {name} WITH (FORCE)")


async def record(url: str, events: Iterable[MadeEvent]) -> None:
    """Put events into an outbox in one transaction."""
    connection = await asyncpg.connect(url)
    try:
        await connection.copy_records_to_table("outbox_event", records=map(row, events), columns=COLUMNS)
    finally:
        await connection.close()


def row(event: MadeEvent) -> tuple[object, ...]:
    """The values of COLUMNS."""
    return event.event_id, SOURCE, event.group, event.sequence, event.body, ATTRIBUTES


async def execute(url: str, statement: str) -> None:
    """Run one statement."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def fetch(url: str, query: str) -> list[asyncpg.Record]:
    """The rows of a query."""
    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(query))
    finally:
        await connection.close()


async def fetch_value(url: str, query: str) -> float:
    """The first value of a query, as a number."""
    connection = await asyncpg.connect(url)
    try:
        return float(await connection.fetchval(query))
    finally:
        await connection.close()


async def server_cpu_seconds(admin_url: str) -> float:
    """Processor time of the server with all its processes so far; 0 where the system does not tell."""
    connection = await asyncpg.connect(admin_url)
    try:
        return tree_cpu_seconds(connection.get_server_pid())
    finally:
        await connection.close()


async def commits(url: str) -> float:
    """Transactions committed in this database so far."""
    await execute(url, "SELECT pg_stat_force_next_flush()")
    return await fetch_value(url, "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")


def with_database(admin_url: str, name: str) -> str:
    """The same server's URL of another database."""
    return f"{admin_url.rpartition('/')[0]}/{name}"


def as_role(url: str, role: str) -> str:
    """The URL for another role; the server trusts the loopback."""
    head, _, tail = url.partition("//")
    return f"{head}//{role}@{tail.rpartition('@')[2]}"
