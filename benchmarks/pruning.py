"""Measures whether pruning slows publishing down: `python -m benchmarks.pruning`.

Each run publishes the outbox of a copy of the same database, which also contains events that can be pruned. Relay,
pruner and Postgres are real; the broker acknowledges at once. Neighboring runs with the pruner idle and active are
compared, in alternating order. The ratio of two idle runs is the noise.
"""

from __future__ import annotations

import asyncio
import os
import platform
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version

import asyncpg
import structlog
import typer

from benchmarks.memory_broker import MemoryBroker
from benchmarks.ratios import compare
from event_trio.outbox.install import TABLES
from services.relay.main import build
from services.relay.settings import RelaySettings
from tools.embedded.postgres import EmbeddedPostgres

SEED = "seed"
AGE_HOURS = 200
ACTIVE_HOURS, IDLE_HOURS = 168.0, 87_600.0
"""Retentions, in hours, with which the stock is pruned, or nothing is."""
RUN_SECONDS = 60.0
# Autovacuum starts each second, not each minute, so that the dead rows of pruning are vacuumed during the run.
SERVER = {"fsync": "on", "full_page_writes": "on", "autovacuum_naptime": "1s"}

FILL = """
INSERT INTO outbox_event (event_id, source, subject, sequence, envelope, attributes, recorded_at, sent_at, published_at)
SELECT id, '/benchmark', subject, n, convert_to(json_build_object('specversion', '1.0', 'id', id,
           'source', '/benchmark', 'type', 'order.placed', 'subject', subject, 'time', now(),
           'dataschema', 'https://schemas.example.com/order.placed/1', 'partitionkey', subject,
           'sequence', lpad(n::text, 20, '0'), 'correlationid', 'benchmark', 'data', json_build_object())::text,
           'UTF8'), '{"type": "order.placed"}', at, over, over
FROM (SELECT gen_random_uuid() AS id, $3 || g AS subject, n, now() - $4 * interval '1 hour' AS at,
             CASE WHEN $4 > 0 THEN now() - $4 * interval '1 hour' END AS over
      FROM generate_series(1, $2::int) n, generate_series(1, $1::int) g ORDER BY n, g) e
"""


@dataclass(frozen=True)
class Run:
    """Events published per second, and events deleted by the pruner during the run."""

    rate: float
    pruned: int


@dataclass(frozen=True)
class Load:
    """Events to publish, their groups, and published events that can be pruned."""

    events: int
    groups: int
    stock: int


def main(
    pairs: int = typer.Option(20, min=2, help="Pairs of a run with the pruner active and one with it idle."),
    events: int = typer.Option(8000, min=100, help="Events that a run publishes."),
    stock: int = typer.Option(40_000, min=500, help="Events that can be pruned at the start of a run."),
    most_minutes: float = typer.Option(8.0, min=0.1, help="Start no pair after this time."),
) -> None:
    """Print the ratio of the rates with the pruner active and idle, and the noise."""
    structlog.configure(processors=[_drop])
    load = Load(events // 10 * 10, events // 10, stock // 10 * 10)
    asyncio.run(_measure(load, pairs, most_minutes * 60))


async def _measure(load: Load, pairs: int, most_seconds: float) -> None:
    async with EmbeddedPostgres(settings=SERVER) as postgres:
        typer.echo(await _versions(postgres.admin_url))
        typer.echo(
            f"{load.events} events to publish in {load.groups} groups, {load.stock} to prune; a pair is four runs"
        )
        await _make_seed(postgres.admin_url, load)
        await _run(postgres.admin_url, load, IDLE_HOURS)  # warms up
        deadline = time.monotonic() + most_seconds
        ratios: list[float] = []
        noise: list[float] = []
        pruned: list[int] = []
        while len(ratios) < pairs and time.monotonic() < deadline:
            first, second = (IDLE_HOURS, ACTIVE_HOURS) if len(ratios) % 2 == 0 else (ACTIVE_HOURS, IDLE_HOURS)
            runs = {hours: await _run(postgres.admin_url, load, hours) for hours in (first, second)}
            one, other = [await _run(postgres.admin_url, load, IDLE_HOURS) for _ in range(2)]
            work, rest = runs[ACTIVE_HOURS], runs[IDLE_HOURS]
            ratios.append(work.rate / rest.rate)
            # In alternating order, so that effects of a run on the next one cancel out.
            noise.append(one.rate / other.rate if len(noise) % 2 == 0 else other.rate / one.rate)
            pruned.append(work.pruned)
            typer.echo(
                f"pair {len(ratios)}/{pairs}: active {work.rate:.0f}/s ({work.pruned} pruned), idle"
                f" {rest.rate:.0f}/s, ratio {ratios[-1]:.3f}; idle twice {noise[-1]:.3f}"
            )
    _conclude(ratios, noise, pruned)


def _conclude(ratios: Sequence[float], noise: Sequence[float], pruned: Sequence[int]) -> None:
    typer.echo(f"pruner active / idle: {compare(ratios)}")
    typer.echo(f"idle / idle:          {compare(noise)}")
    typer.echo(f"pruned in a run: {min(pruned)} to {max(pruned)}")


async def _run(admin_url: str, load: Load, retention_hours: float) -> Run:
    async with _database(admin_url) as url:
        return await publish(url, load, retention_hours)


async def publish(url: str, load: Load, retention_hours: float) -> Run:
    """Publish the events that `fill` inserted, and count those that the pruner deletes meanwhile."""
    broker = MemoryBroker(load.events)
    settings = RelaySettings(
        database_url=url, topic="benchmark", retention_hours=retention_hours, publish_check_wait_seconds=1
    )
    with broker.installed():
        app = build(settings)
        async with app.router.lifespan_context(app):
            async with asyncio.timeout(RUN_SECONDS):
                await broker.done.wait()
            left = await _left(url)
    if retention_hours == ACTIVE_HOURS and left == 0:
        raise typer.BadParameter("the pruner finished before all events were published: increase --stock")
    return Run(load.events / (broker.last_confirmed_at - broker.first_call_at), load.stock - left)


async def _left(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM outbox_event WHERE subject LIKE 'over-%'"))
    finally:
        await connection.close()


async def _make_seed(admin_url: str, load: Load) -> None:
    await _execute(admin_url, f"CREATE DATABASE {SEED}")
    for statement in (each for made in TABLES.versions for each in made.statements):
        await _execute(_url(admin_url, SEED), statement)
    await fill(_url(admin_url, SEED), load)


async def fill(url: str, load: Load) -> None:
    """Insert events to publish, and published events that can be pruned."""
    connection = await asyncpg.connect(url, command_timeout=120)
    try:
        each = load.events // load.groups
        await connection.execute(FILL, load.stock // 10, 10, "over-", AGE_HOURS)
        await connection.execute(FILL, load.groups, each, "new-", 0)
        await connection.execute("VACUUM ANALYZE outbox_event")
    finally:
        await connection.close()


@asynccontextmanager
async def _database(admin_url: str) -> AsyncIterator[str]:
    name = "run"
    await _execute(admin_url, f"CREATE DATABASE {name} TEMPLATE {SEED} STRATEGY file_copy")
    await _execute(admin_url, "CHECKPOINT")
    try:
        yield _url(admin_url, name)
    finally:
        await _execute(admin_url, f"DROP DATABASE {name} WITH (FORCE)")


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _versions(url: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        server = await connection.fetchval("SHOW server_version")
    finally:
        await connection.close()
    return (
        f"Python {platform.python_version()}, Postgres {server}, asyncpg {version('asyncpg')}, "
        f"{sys.platform} {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )


def _url(admin_url: str, name: str) -> str:
    return admin_url.rpartition("/")[0] + f"/{name}"


def _drop(*_: object) -> dict[str, object]:
    raise structlog.DropEvent


if __name__ == "__main__":
    typer.run(main)
