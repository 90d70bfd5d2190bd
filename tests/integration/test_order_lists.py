"""Lists of orders: stable pages, filters and limits."""

from collections.abc import AsyncIterator
from itertools import count

import httpx
import pytest

from tests.support.databases import TestDatabase, execute
from tests.support.order_service import order_service, place


@pytest.fixture
async def api(orders_database: TestDatabase) -> AsyncIterator[httpx.AsyncClient]:
    async with order_service(orders_database) as found:
        yield found


async def test_new_orders_do_not_shift_the_pages(api: httpx.AsyncClient) -> None:
    placed = [(await place(api))["id"] for _ in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = (await api.get("/v1/orders", params={"limit": 2, **({"cursor": cursor} if cursor else {})})).json()
        seen += [order["id"] for order in page["items"]]
        await place(api)
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == placed[::-1]


async def test_lists_are_filtered_by_customer_and_state(api: httpx.AsyncClient) -> None:
    mine = await place(api, customer_id="customer-1")
    other = await place(api, customer_id="customer-2")
    await api.post(f"/v1/orders/{other['id']}/confirm")

    async def ids(**params: str) -> list[str]:
        return [order["id"] for order in (await api.get("/v1/orders", params=params)).json()["items"]]

    assert await ids(customer_id="customer-2") == [other["id"]]
    assert await ids(state="placed") == [mine["id"]]
    assert await ids(state="placed", customer_id="customer-2") == []


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"state": "x"}, "state"),
        ({"customer_id": "a b"}, "customer_id"),
    ]
    + [({"placed_from": bad}, "placed_from") for bad in ("x", "2026-01-01T00:00:00", "0.5")]
    + [({"cursor": bad}, "cursor") for bad in ("x", "W10", "bnVsbA", "ö", "WzEsMl0", "eyJhIjoxfQ")],
)
async def test_invalid_list_parameters_are_422(api: httpx.AsyncClient, params: dict[str, str], field: str) -> None:
    answer = await api.get("/v1/orders", params=params)
    assert answer.status_code == 422
    assert [(error["location"], error["field"]) for error in answer.json()["errors"]] == [("query", field)]


async def test_orders_with_equal_times_are_neither_skipped_nor_repeated(
    api: httpx.AsyncClient, orders_database: TestDatabase
) -> None:
    placed = {(await place(api))["id"] for _ in range(5)}
    await execute(orders_database.url, "UPDATE orders SET placed_at = '2026-01-01T00:00:00Z'")
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await api.get("/v1/orders", params={"limit": 2, **({"cursor": cursor} if cursor else {})})).json()
        seen += [order["id"] for order in page["items"]]
        cursor = page["next_cursor"]
    assert (len(seen), set(seen)) == (5, placed)


async def test_a_list_is_filtered_by_time(api: httpx.AsyncClient, orders_database: TestDatabase) -> None:
    placed = [(await place(api))["id"] for _ in range(3)]
    for day, id in zip(count(1), placed, strict=False):
        await execute(
            orders_database.url, f"UPDATE orders SET placed_at = '2026-01-0{day}T00:00:00Z' WHERE id = '{id}'"
        )

    async def ids(**params: str) -> list[str]:
        return [order["id"] for order in (await api.get("/v1/orders", params=params)).json()["items"]]

    assert await ids(placed_from="2026-01-02T00:00:00Z") == [placed[2], placed[1]]
    assert await ids(placed_to="2026-01-02T00:00:00Z") == [placed[0]]
    assert await ids(placed_from="2026-01-02T00:00:00Z", placed_to="2026-01-03T00:00:00Z") == [placed[1]]
    assert await ids(placed_from="2026-01-02T09:00:00+09:00", placed_to="2026-01-02T09:00:01+09:00") == [placed[1]]
    assert await ids(placed_from="2026-01-03T00:00:00Z", placed_to="2026-01-02T00:00:00Z") == []
    assert await ids(placed_from="2026-01-01T00:00:00Z", state="confirmed") == []
