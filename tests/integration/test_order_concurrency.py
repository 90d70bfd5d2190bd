"""Concurrent changes of one order are serialized, and have consecutive versions."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import httpx
import pytest

from tests.support.databases import TestDatabase, fetch
from tests.support.order_service import order_service, place
from tests.support.waiting import eventually


@pytest.fixture
async def apis(orders_database: TestDatabase) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """Two instances of the service."""
    async with order_service(orders_database) as first, order_service(orders_database) as second:
        yield first, second


async def sequence(database: TestDatabase) -> list[int]:
    return [row["sequence"] for row in await fetch(database.url, "SELECT sequence FROM outbox_event ORDER BY id")]


@asynccontextmanager
async def locked_orders(database: TestDatabase) -> AsyncIterator[None]:
    """Hold the row lock of every order, so that concurrent requests queue for it."""
    connection = await asyncpg.connect(database.url)
    try:
        async with connection.transaction():
            await connection.execute("SELECT 1 FROM orders FOR UPDATE")
            yield
    finally:
        await connection.close()


async def both_wait(database: TestDatabase) -> bool:
    query = "SELECT 1 FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock'"
    return len(await fetch(database.url, query, database.name)) == 2


@pytest.mark.parametrize(("action", "body"), [("confirm", None), ("cancel", {"reason": "changed my mind"})])
async def test_concurrent_changes_record_one_event(
    apis: tuple[httpx.AsyncClient, httpx.AsyncClient],
    orders_database: TestDatabase,
    action: str,
    body: dict[str, str] | None,
) -> None:
    order = await place(apis[0])
    path = f"/v1/orders/{order['id']}/{action}"
    async with locked_orders(orders_database):
        changes = [asyncio.create_task(api.post(path, json=body)) for api in apis]
        await eventually(lambda: both_wait(orders_database))
    answers = await asyncio.gather(*changes)
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert await sequence(orders_database) == [1, 2]


async def test_no_interleaving_breaks_an_order_s_sequence(
    apis: tuple[httpx.AsyncClient, httpx.AsyncClient], orders_database: TestDatabase
) -> None:
    dice = random.Random(7)
    order = await place(apis[0])

    async def change(action: str) -> int:
        body = {"reason": "why not"} if action == "hold" else None
        answer = await dice.choice(apis).post(f"/v1/orders/{order['id']}/{action}", json=body)
        assert answer.status_code in (200, 409), answer.text
        return answer.status_code

    changed = 0
    for _ in range(5):
        answers = await asyncio.gather(*(change(dice.choice(["hold", "release", "confirm"])) for _ in range(8)))
        changed += answers.count(200)
    assert changed > 5
    # Recorded in the order of their numbers, without a gap: the row's lock is held from reading to commit.
    assert await sequence(orders_database) == list(range(1, changed + 2))
    (row,) = await fetch(orders_database.url, "SELECT version FROM orders")
    assert row["version"] == changed + 1
