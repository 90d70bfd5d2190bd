"""The scenario: a purchase, three databases, and connections to them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import asyncpg

if TYPE_CHECKING:
    AsyncpgPool: TypeAlias = asyncpg.Pool[asyncpg.Record]

ORDERS, STOCK, PAYMENT = "orders", "stock", "payment"
PARTICIPANTS = (STOCK, PAYMENT)
CONNECTIONS = 24
LOCK_MS = 2000
"""How long a statement waits for a row lock. Without a limit, the rows of a dead coordinator would stop the run."""

ORDERS_TABLES = """
CREATE TABLE IF NOT EXISTS purchase (
    id text PRIMARY KEY,
    item text NOT NULL,
    quantity integer NOT NULL,
    customer text NOT NULL,
    amount integer NOT NULL,
    state text NOT NULL CHECK (state IN ('pending', 'accepted', 'rejected', 'unresolved'))
)
"""
# A movement has no unique constraint, which would hide what is done twice.
PARTICIPANT_TABLES = """
CREATE TABLE IF NOT EXISTS balance (
    name text PRIMARY KEY,
    available integer NOT NULL CHECK (available >= 0),
    reserved integer NOT NULL DEFAULT 0 CHECK (reserved >= 0)
);
CREATE TABLE IF NOT EXISTS movement (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    purchase text NOT NULL,
    name text NOT NULL,
    amount integer NOT NULL
)
"""


@dataclass(frozen=True)
class Purchase:
    """A request: so many of an item, for so much money of a customer."""

    id: str
    item: str
    quantity: int
    customer: str
    amount: int

    def needs(self, participant: str) -> tuple[str, int]:
        """The name of the balance and the amount that a participant has to take."""
        return (self.item, self.quantity) if participant == STOCK else (self.customer, self.amount)


@dataclass
class World:
    """The databases, and how long rows were locked in them."""

    urls: Mapping[str, str]
    pools: Mapping[str, AsyncpgPool]
    locked_ms: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in PARTICIPANTS})
    _locked_since: dict[tuple[str, str], float] = field(default_factory=dict)

    def database(self, name: str) -> str:
        """The name of a service's database."""
        return self.urls[name].rpartition("/")[2]

    async def fund(self, participant: str, name: str, available: int) -> None:
        """Add a balance."""
        await self.pools[participant].execute("INSERT INTO balance (name, available) VALUES ($1, $2)", name, available)

    def lock_begins(self, participant: str, purchase: str) -> None:
        """The row of the purchase's balance is locked from now on."""
        self._locked_since[participant, purchase] = time.monotonic()

    def lock_ends(self, participant: str, purchase: str) -> None:
        """Its lock is released."""
        if (since := self._locked_since.pop((participant, purchase), None)) is not None:
            self.locked_ms[participant].append((time.monotonic() - since) * 1000)


@asynccontextmanager
async def world(urls: Mapping[str, str]) -> AsyncIterator[World]:
    """Create the tables that all ways share, unless they exist, and connect."""
    async with contextlib.AsyncExitStack() as stack:
        pools: dict[str, AsyncpgPool] = {}
        for name, url in urls.items():
            # No connection is kept ready: where a server is killed, the pool would try to restore it all the time.
            pool = asyncpg.create_pool(
                url, min_size=0, max_size=CONNECTIONS, server_settings={"lock_timeout": str(LOCK_MS)}
            )
            pools[name] = await stack.enter_async_context(pool)
            await pools[name].execute(ORDERS_TABLES if name == ORDERS else PARTICIPANT_TABLES)
        yield World(urls, pools)


async def create_databases(admin_urls: Mapping[str, str], suffix: str) -> dict[str, str]:
    """Create a database for each service on its server; returns the URLs."""

    async def create(name: str, admin_url: str) -> str:
        connection = await asyncpg.connect(admin_url)
        try:
            await connection.execute(f'CREATE DATABASE "{name}_{suffix}"')
        finally:
            await connection.close()
        return f"{admin_url.rpartition('/')[0]}/{name}_{suffix}"

    # One after the other: on one server, two copies of a template exclude each other.
    return {name: await create(name, url) for name, url in admin_urls.items()}


async def pause(seconds: float) -> None:
    """The time that a message takes between two services."""
    if seconds:
        await asyncio.sleep(seconds)
