"""Databases for a way: on three servers, one for each service, or on one."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from comparisons.atomicity.ways import Way
from comparisons.atomicity.world import ORDERS, PAYMENT, STOCK, World, create_databases, world
from comparisons.environment import ComparisonEnvironment
from tools.embedded.postgres import EmbeddedPostgres

SERVICES = (ORDERS, STOCK, PAYMENT)
# By default Postgres has no prepared transactions. Commits are flushed, as on a server that loses nothing.
SETTINGS = {"max_prepared_transactions": "64", "fsync": "on", "full_page_writes": "on", "max_connections": "150"}
POSTMASTER = "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::integer"


@asynccontextmanager
async def databases(
    environment: ComparisonEnvironment, way: type[Way], *, stock: EmbeddedPostgres | None = None
) -> AsyncIterator[World]:
    """New databases with the tables of a way, one on each of three servers; `stock` replaces one of them."""
    servers = {name: await environment.postgres(name, SETTINGS) for name in SERVICES}
    if stock is not None:
        servers[STOCK] = stock
    urls = {name: server.admin_url for name, server in servers.items()}
    async with world(await create_databases(urls, secrets.token_hex(4))) as found:
        await way(found).install()
        yield found


async def kill_and_restart(server: EmbeddedPostgres) -> None:
    """Kill a server as SIGKILL does, and start it again with its data. Raises EmbeddedServerFailed."""
    connection = await asyncpg.connect(server.admin_url)
    postmaster = await connection.fetchval(POSTMASTER)
    os.kill(postmaster, signal.SIGKILL)
    await connection.close(timeout=1.0)
    await server.stop()
    await server.start()


async def version(environment: ComparisonEnvironment) -> dict[str, str]:
    """What took part."""
    connection = await asyncpg.connect((await environment.postgres(ORDERS, SETTINGS)).admin_url)
    try:
        return {"Postgres": f"{await connection.fetchval('SHOW server_version')} with fsync"}
    finally:
        await connection.close()
