"""Faults of the databases."""

import asyncio
import math
import os
import signal
from pathlib import Path

import asyncpg

from tests.faults.registry import fault
from tests.faults.run import Run
from tests.faults.small_disk import SmallDisk
from tests.support.databases import execute, fetch

FREE_MEGABYTES = 64


@fault(17, "Postgres restarts at once", "P2 P5", "alone", orders=False)
async def restarted(run: Run) -> None:
    server = run.system.servers.postgres
    for _ in range(2):
        (row,) = await fetch(server.admin_url, "SHOW data_directory")
        # As `pg_ctl stop -m immediate` does: without a checkpoint, with recovery at the next start.
        os.kill(int((Path(row[0]) / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
        await server.stop()
        await server.start()
        await run.more_operations(5)


@fault(20, "a long transaction holds back vacuum", "P5", "vacuum", reported=False, progress=True)
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


@fault(46, "disk full below the tables of the orders", "P2 P7", "alone", orders=False)
async def disk_full(run: Run) -> None:
    system = run.system
    users = [system.order, *system.relays]
    # The tables have grown in the runs before.
    ((size,),) = await fetch(system.orders.url, "SELECT pg_database_size(current_database())")
    disk = SmallDisk.mount(math.ceil(size / 2**20) + FREE_MEGABYTES)

    async def move(*statements: str) -> None:
        """Move the tables while nobody is connected, as the statement demands."""
        await asyncio.gather(*(actor.stop() for actor in users))
        await system.close_readers()
        for statement in statements:
            await execute(system.servers.postgres.admin_url, statement)
        await asyncio.gather(*(actor.start() for actor in users))

    async def move_back() -> None:
        await move(f'ALTER DATABASE "{system.orders.name}" SET TABLESPACE pg_default', "DROP TABLESPACE small")
        disk.unmount()

    async def rejected() -> bool:
        disk.fill()  # Postgres may have given something back
        return sum(at >= run.began for client in run.clients for at, _ in client.rejections) >= 8

    try:
        await move(
            f"CREATE TABLESPACE small LOCATION '{disk.tables}'",
            f'ALTER DATABASE "{system.orders.name}" SET TABLESPACE small',
        )
        await run.more_effects(3)
        run.forget()  # the restarts showed, too
        await run.until(rejected, timeout=60.0)
        await run.lasts(2.0)
        disk.free()
        await run.more_operations(8)
    except BaseException:
        disk.unmount()
        raise
    run.afterwards(move_back)
