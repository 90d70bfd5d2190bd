"""Requests that wait for the same lock do not take the connections of others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from event_trio.keyed_semaphore import AT_ONCE, KeyedSemaphore, KeyedSemaphoreTimeout
from tests.support.databases import TestDatabase, fetch
from tests.support.order_service import ORDER, order_service, place
from tests.support.waiting import eventually

WAITING = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
async def holder(orders_database: TestDatabase) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(orders_database.url)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.mark.parametrize("keys", ["one", "many", "none"])
async def test_repeated_requests_for_a_locked_order_leave_connections_for_others(
    orders_database: TestDatabase, holder: asyncpg.Connection[asyncpg.Record], keys: str
) -> None:
    async with order_service(orders_database) as api:
        order = await place(api)
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute("SELECT FROM orders FOR UPDATE")
        headers = [{} if keys == "none" else {"Idempotency-Key": f"k-{keys == 'many' and n}"} for n in range(40)]
        path = f"/v1/orders/{order['id']}/confirm"
        repeats = [asyncio.create_task(api.post(path, headers=header)) for header in headers]

        async def some_wait() -> bool:
            return len(await fetch(orders_database.url, WAITING)) == AT_ONCE

        await eventually(some_wait)
        placed = await asyncio.gather(*(api.post("/v1/orders", json=ORDER) for _ in range(40)))
        assert {answer.status_code for answer in placed} == {201}
        assert await some_wait()
        await transaction.rollback()
        answers = [answer.status_code for answer in await asyncio.gather(*repeats)]
        assert answers.count(200) == (40 if keys == "one" else 1)
        assert set(answers) <= {200, 409}


async def test_a_request_that_waits_too_long_fails_and_releases_everything() -> None:
    turns = KeyedSemaphore()
    async with turns.acquire("a", seconds=1), turns.acquire("a", seconds=1), turns.acquire("b", seconds=1):
        with pytest.raises(KeyedSemaphoreTimeout):
            await turns.acquire("a", seconds=0.01).__aenter__()
    async with turns.acquire("a", seconds=1):
        assert len(turns._waiters) == 1
    assert turns._waiters == {}
