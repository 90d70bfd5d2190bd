"""Conditional requests for orders: If-Match and If-None-Match."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.support.databases import TestDatabase, fetch
from tests.support.order_service import order_service, place


@pytest.fixture
async def api(orders_database: TestDatabase) -> AsyncIterator[httpx.AsyncClient]:
    async with order_service(orders_database) as found:
        yield found


@pytest.mark.parametrize(
    ("if_match", "status"),
    [('"1"', 200), ("*", 200), ('"7", "1"', 200), ('"2"', 412), ('W/"1"', 412), ('"one"', 412), ("1", 422)],
)
async def test_a_change_with_a_matching_if_match_is_made(
    api: httpx.AsyncClient, orders_database: TestDatabase, if_match: str, status: int
) -> None:
    order = await place(api)
    answer = await api.post(f"/v1/orders/{order['id']}/confirm", headers={"If-Match": if_match})
    assert answer.status_code == status
    if status == 412:
        assert answer.json()["type"] == "urn:problem-type:precondition-failed"
        assert answer.json()["version"] == 1
    events = await fetch(orders_database.url, "SELECT 1 FROM outbox_event")
    assert len(events) == (2 if status == 200 else 1)


async def test_of_two_changes_of_one_version_one_is_made(api: httpx.AsyncClient) -> None:
    order = await place(api)
    path = f"/v1/orders/{order['id']}"
    held, confirmed = await asyncio.gather(
        api.post(f"{path}/hold", json={"reason": "look"}, headers={"If-Match": '"1"'}),
        api.post(f"{path}/confirm", headers={"If-Match": '"1"'}),
    )
    assert sorted((held.status_code, confirmed.status_code)) == [200, 412]


async def test_an_unknown_order_is_404_whatever_the_if_match(api: httpx.AsyncClient) -> None:
    nobody = "00000000-0000-7000-8000-000000000000"
    assert (await api.post(f"/v1/orders/{nobody}/confirm", headers={"If-Match": '"1"'})).status_code == 404


async def test_reads_return_304_for_a_current_etag(api: httpx.AsyncClient) -> None:
    order = await place(api)
    one = f"/v1/orders/{order['id']}"
    for path in (one, "/v1/orders", f"{one}/events", f"{one}/events/1"):
        first = await api.get(path)
        known = {"If-None-Match": first.headers["ETag"]}
        again = await api.get(path, headers=known)
        assert (again.status_code, again.content) == (304, b""), path
    first = await api.get(one)
    assert first.headers["ETag"] == '"1"'
    await api.post(f"{one}/confirm")
    assert (await api.get(one, headers={"If-None-Match": '"1"'})).json()["version"] == 2
    assert (await api.get(f"{one}/events", headers=known)).status_code == 200
