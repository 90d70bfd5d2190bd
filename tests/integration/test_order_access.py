"""Access to orders: every route, every role, and other customers."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from services.order.main import build
from tests.support.access import INSPECTORS, OPERATORS, READERS, Callers, authenticated, callers, guarded, own
from tests.support.databases import TestDatabase, fetch
from tests.support.order_service import ORDER, order_service, place, settings

REASON = {"reason": "because"}


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


MATRIX: list[tuple[str, str, dict[str, str] | None, dict[str, int]]] = [
    ("GET", "/v1/orders/{id}", None, READERS),
    ("GET", "/v1/orders", None, {**READERS, "other": 200}),
    ("GET", "/v1/orders/{id}/events", None, READERS),
    ("GET", "/v1/orders/{id}/events/1", None, READERS),
    ("GET", "/v1/orders/{id}/reports", None, READERS),
    ("GET", "/v1/processed-messages", None, INSPECTORS),
    ("GET", "/v1/recorded-events", None, INSPECTORS),
    ("GET", "/v1/inbox", None, INSPECTORS),
    ("GET", "/v1/topology", None, INSPECTORS),
    ("GET", "/v1/process", None, {**INSPECTORS, "service": 403}),
    ("POST", "/v1/orders/{id}/cancel", REASON, READERS),
    ("POST", "/v1/orders/{id}/confirm", None, OPERATORS),
    ("POST", "/v1/orders/{id}/ship", None, {**OPERATORS, "operator": 409, "service": 409}),
    ("POST", "/v1/orders/{id}/deliver", None, {**OPERATORS, "operator": 409, "service": 409}),
    ("POST", "/v1/orders/{id}/hold", REASON, OPERATORS),
    ("POST", "/v1/orders/{id}/release", None, {**OPERATORS, "operator": 409, "service": 409}),
]


@pytest.mark.parametrize(("method", "path", "body", "expected"), MATRIX)
async def test_every_route_for_every_caller(
    access: Access,
    orders_database: TestDatabase,
    method: str,
    path: str,
    body: dict[str, str] | None,
    expected: dict[str, int],
) -> None:
    for caller, status in expected.items():
        order = (await place(access.api, access.callers["operator"]))["id"]
        headers = access.callers[caller]
        answer = await access.api.request(method, path.format(id=order), json=body, headers=headers)
        assert answer.status_code == status, (caller, answer.text)
        if status >= 400:
            recorded = await fetch(orders_database.url, "SELECT 1 FROM outbox_event WHERE subject = $1", order)
            assert len(recorded) == 1, f"{caller} changed the order"
        if status == 401:
            assert answer.headers["WWW-Authenticate"] == "Bearer"


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


async def test_the_matrix_has_every_route(orders_database: TestDatabase) -> None:
    tested = {(method, path.replace("{id}", "{order_id}")) for method, path, _, _ in MATRIX}
    tested = {(method, path.replace("/events/1", "/events/{sequence}")) for method, path in tested}
    assert own(guarded(build(settings(orders_database)))) == tested | {("POST", "/v1/orders")}
