"""Access of customers to orders of their own and of others; the matrix of access has the rest."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.access import Callers, authenticated, callers
from tests.support.databases import TestDatabase
from tests.support.order_service import ORDER, order_service, place


@dataclass(frozen=True)
class Access:
    api: httpx.AsyncClient
    callers: Callers
    order: str


@pytest.fixture
async def access(orders_database: TestDatabase, tmp_path: Path) -> AsyncIterator[Access]:
    issuer, auth = authenticated(tmp_path)
    who = callers(issuer)
    async with order_service(orders_database, **auth) as api:
        order = await place(api, who["operator"])
        yield Access(api, who, order["id"])


@pytest.mark.parametrize(
    ("caller", "customer", "status"),
    [
        ("owner", "customer-1", 201),
        ("owner", "customer-2", 403),
        ("operator", "customer-2", 201),
        ("service", "customer-1", 403),
        ("stranger", "someone", 403),
        ("nobody", "customer-1", 401),
    ],
)
async def test_customers_place_orders_for_themselves_only(
    access: Access, caller: str, customer: str, status: int
) -> None:
    body = {**ORDER, "customer_id": customer}
    assert (await access.api.post("/v1/orders", json=body, headers=access.callers[caller])).status_code == status


async def test_customers_list_only_their_own_orders(access: Access) -> None:
    for params in ({}, {"customer_id": "customer-1"}):
        answer = await access.api.get("/v1/orders", params=params, headers=access.callers["other"])
        assert answer.json()["items"] == []
    mine = await access.api.get("/v1/orders", headers=access.callers["owner"])
    assert [order["id"] for order in mine.json()["items"]] == [access.order]
