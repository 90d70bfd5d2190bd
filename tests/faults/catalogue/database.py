"""Faults of the databases."""

import os
import signal
from pathlib import Path

import asyncpg

from tests.faults.registry import FaultSkipped, fault
from tests.faults.run import Run
from tests.support.databases import fetch


@fault(17, "Postgres restarts at once", "P2 P5", "alone")
async def restarted(run: Run) -> None:
    server = run.system.servers.postgres
    for _ in range(2):
        (row,) = await fetch(server.admin_url, "SHOW data_directory")
        # As `pg_ctl stop -m immediate` does: without a checkpoint, with recovery at the next start.
        os.kill(int((Path(row[0]) / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
        await server.stop()
        await server.start()
        await run.more_operations(5)


@fault(20, "a long transaction holds back vacuum", "P5 P7", "vacuum", reported=False, progress=True)
async def long_transaction(run: Run) -> None:
    connection = await asyncpg.connect(run.system.orders.url)
    try:
        async with connection.transaction(isolation="repeatable_read"):
            await connection.fetch("SELECT count(*) FROM outbox_event")
            await run.more_effects(25)
    finally:
        await connection.close()


@fault(
    24,
    "connections half open, the one that listens among them",
    "P5 P7",
    "relay_db",
    "sink_db",
    reported=False,
    drain_seconds=120.0,
)
async def half_open(run: Run) -> None:
    for proxy in (run.system.relay_database, run.system.sink_database):
        proxy.freeze_connections()
    await run.more_effects(5, timeout=80.0)


@fault(25, "connections of every loop ended, again and again", "P5 P7", "order_db", "relay_db", "sink_db")
async def connections_ended(run: Run) -> None:
    connection = await asyncpg.connect(run.system.servers.postgres.admin_url)
    others = "datname = ANY($1) AND pid <> pg_backend_pid()"
    names = [run.system.orders.name, run.system.sink.name]
    try:
        for _ in range(5):
            await connection.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}", names)
            await run.lasts(0.4)
    finally:
        await connection.close()
    run.report("responses 503 of the order service")


@fault(46, "disk full on the database", "P2 P7", "alone")
async def disk_full(run: Run) -> None:
    # A small file system needs a mount, which this process may not make in most places.
    raise FaultSkipped("it needs a small file system of its own below the tables; not automated yet")
