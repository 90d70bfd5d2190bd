"""An order is placed by one statement: its round trips, and what happens when its outcome is unknown."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from benchmarks.baseline import baseline
from benchmarks.suite.round_trips import counted_server
from tests.support.databases import TestDatabase, fetch
from tests.support.faulty_postgres import faulty_postgres
from tests.support.order_service import ORDER, order_service, place

TABLES = ("orders", "order_line", "order_history", "outbox_event")
COSTS = baseline("order")
CONFLICT = {**ORDER, "locale": "ko"}


def key(number: int) -> dict[str, str]:
    return {"Idempotency-Key": f"key-{number}"}


async def counts(database: TestDatabase) -> list[int]:
    return [(await fetch(database.url, f"SELECT count(*) FROM {table}"))[0][0] for table in TABLES]


class Counted:
    """A service whose round trips are counted."""

    def __init__(self, api: httpx.AsyncClient, counter: Counter[str]) -> None:
        self.api = api
        self._counter = counter

    async def post(self, order: object, headers: dict[str, str]) -> tuple[int, int]:
        """The status of a request, and its round trips."""
        self._counter.clear()
        answer = await self.api.post("/v1/orders", json=order, headers=headers)
        return answer.status_code, self._counter["order-api"]

    async def cheapest(self, order: object, keys: Sequence[dict[str, str]]) -> tuple[int, int]:
        """The same of the cheapest of several requests: a task in the background may use the pool beside one."""
        return min([await self.post(order, headers) for headers in keys], key=lambda found: found[1])


@pytest.fixture
async def counted(orders_database: TestDatabase) -> AsyncIterator[Counted]:
    """A service with one connection that has been used with and without a key."""
    async with counted_server(urlsplit(orders_database.url).port or 5432) as server:
        through = TestDatabase(orders_database.name, server.url(orders_database.url))
        async with order_service(through, database_pool_size=1) as api:
            for headers in ({}, key(0), key(0)):
                await place(api, headers)
            yield Counted(api, server.round_trips)


async def test_an_order_costs_one_round_trip(counted: Counted) -> None:
    assert await counted.cheapest(ORDER, [{}] * 3) == (201, COSTS["round_trips"])
    assert await counted.cheapest(ORDER, [key(1), key(2), key(3)]) == (201, COSTS["round_trips_with_key"])


async def test_a_repeated_key_costs_two_round_trips(counted: Counted) -> None:
    assert await counted.cheapest(ORDER, [key(0)] * 3) == (201, COSTS["round_trips_repeated"])
    assert await counted.cheapest(CONFLICT, [key(0)] * 3) == (422, COSTS["round_trips_repeated"])


@pytest.mark.parametrize("headers", [{}, key(1)], ids=["without a key", "with a key"])
async def test_a_lost_response_to_the_statement_places_one_order(
    orders_database: TestDatabase, headers: dict[str, str]
) -> None:
    async with faulty_postgres(orders_database) as proxy:
        proxy.committed_by = b"customer-lost"
        async with order_service(proxy.database) as api:
            await place(api)
            proxy.commits_to_lose = 1
            answer = await api.post("/v1/orders", json={**ORDER, "customer_id": "customer-lost"}, headers=headers)
            assert proxy.commits_to_lose == 0
            assert answer.status_code == 201
            assert (await api.get(answer.headers["Location"])).content == answer.content
    assert await counts(orders_database) == [2, 2, 2, 2]


@pytest.mark.parametrize("headers", [{}, key(1)], ids=["without a key", "with a key"])
async def test_a_statement_that_met_a_dead_connection_is_repeated(
    orders_database: TestDatabase, headers: dict[str, str]
) -> None:
    async with faulty_postgres(orders_database) as proxy, order_service(proxy.database) as api:
        await place(api)
        proxy.cuts = 1
        assert (await api.post("/v1/orders", json=ORDER, headers=headers)).status_code == 201
    assert await counts(orders_database) == [2, 2, 2, 2]


@pytest.mark.parametrize("headers", [{}, key(1)], ids=["without a key", "with a key"])
async def test_a_locked_table_is_not_a_key_in_use(orders_database: TestDatabase, headers: dict[str, str]) -> None:
    async with order_service(orders_database) as api:
        await place(api)
        locking = await asyncpg.connect(orders_database.url)
        try:
            async with locking.transaction():
                await locking.execute("LOCK TABLE outbox_event")
                answer = await api.post("/v1/orders", json=ORDER, headers=headers)
        finally:
            await locking.close()
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
    assert await counts(orders_database) == [1, 1, 1, 1]
