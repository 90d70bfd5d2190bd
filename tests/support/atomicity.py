"""Databases for the ways of the comparison of atomicity, on a server with prepared transactions."""

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from random import Random

from comparisons.atomicity.campaign import Campaign, campaign
from comparisons.atomicity.servers import SERVICES
from comparisons.atomicity.ways import Way
from comparisons.atomicity.world import World, world
from tests.support.databases import execute
from tests.support.waiting import run
from tools.embedded.postgres import EmbeddedPostgres


@contextmanager
def preparing_postgres() -> Iterator[EmbeddedPostgres]:
    """A server of its own: the tests' server may be one that cannot prepare transactions."""
    server = EmbeddedPostgres(settings={"max_prepared_transactions": "32"})
    run(server.start())
    try:
        yield server
    finally:
        run(server.stop())


@asynccontextmanager
async def tried(server: EmbeddedPostgres, way: type[Way], *, most: int | None = None) -> AsyncIterator[Campaign]:
    """A campaign of a way in new schemas of one server; of each kind of fault at most `most`."""
    async with databases(server, way) as found, campaign(way, found, Random(1)) as made:
        made.most = most
        yield made


@asynccontextmanager
async def databases(server: EmbeddedPostgres, way: type[Way]) -> AsyncIterator[World]:
    """A new schema for each service, with the tables of a way: each in its own takes seconds less than a database."""
    schemas = {name: f"{name}_{secrets.token_hex(4)}" for name in SERVICES}
    await execute(server.admin_url, *(f"CREATE SCHEMA {schema}" for schema in schemas.values()))
    async with world({name: f"{server.admin_url}?search_path={schema}" for name, schema in schemas.items()}) as found:
        await way(found).install()
        yield found
