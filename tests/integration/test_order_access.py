"""Who may do what with orders: every route, every role, and whose order it is."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from services.order.main import build
from shared.http.authorization import Require
from tests.support.databases import TestDatabase, fetch
from tests.support.order_service import ORDER, order_service, place, settings
from tests.support.tokens import AUDIENCE, ISSUER, Issuer

OPEN = {"/livez", "/readyz", "/metrics", "/docs", "/docs/oauth2-redirect", "/openapi.json", "/redoc"}
REASON = {"reason": "because"}


@dataclass(frozen=True)
class Access:
    api: httpx.AsyncClient
    callers: Mapping[str, Mapping[str, str]]
    order: str


def authenticated(folder: Path) -> tuple[Issuer, dict[str, Any]]:
    issuer = Issuer()
    path = issuer.write_key_set(folder)
    return issuer, {"auth_jwks": path, "auth_issuer": ISSUER, "auth_audience": AUDIENCE, "http_host": "0.0.0.0"}


@pytest.fixture
async def access(orders_database: TestDatabase, tmp_path: Path) -> AsyncIterator[Access]:
    issuer, auth = authenticated(tmp_path)
    callers = {
        "nobody": {},
        "stranger": issuer.bearer("someone"),
        "owner": issuer.bearer("customer-1", "customer"),
        "other": issuer.bearer("customer-2", "customer"),
        "operator": issuer.bearer("olga", "operator"),
        "service": issuer.bearer("notification", "service"),
        "forged": Issuer().bearer("olga", "operator"),
    }
    async with order_service(orders_database, **auth) as api:
        order = await place(api, callers["operator"])
        yield Access(api, callers, order["id"])


READERS = {"nobody": 401, "forged": 401, "stranger": 403, "owner": 200, "other": 404, "operator": 200, "service": 200}
OPERATORS = {**READERS, "owner": 403, "other": 403}

MATRIX: list[tuple[str, str, dict[str, str] | None, dict[str, int]]] = [
    ("GET", "/v1/orders/{id}", None, READERS),
    ("GET", "/v1/orders", None, {**READERS, "other": 200}),
    ("GET", "/v1/orders/{id}/events", None, READERS),
    ("GET", "/v1/orders/{id}/events/1", None, READERS),
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
async def test_who_places_for_whom(access: Access, caller: str, customer: str, status: int) -> None:
    body = {**ORDER, "customer_id": customer}
    assert (await access.api.post("/v1/orders", json=body, headers=access.callers[caller])).status_code == status


async def test_a_customer_lists_their_own_orders_whatever_they_ask_for(access: Access) -> None:
    for params in ({}, {"customer_id": "customer-1"}):
        answer = await access.api.get("/v1/orders", params=params, headers=access.callers["other"])
        assert answer.json()["items"] == []
    mine = await access.api.get("/v1/orders", headers=access.callers["owner"])
    assert [order["id"] for order in mine.json()["items"]] == [access.order]


async def test_every_route_asks_who_calls(orders_database: TestDatabase) -> None:
    routes = routes_of(build(settings(orders_database)))
    assert {path for _, path, asks in routes if not asks} == OPEN
    guarded = {(method, path) for method, path, asks in routes if asks}
    tested = {(method, path.format(id="{order_id}")) for method, path, _, _ in MATRIX} | {("POST", "/v1/orders")}
    assert guarded == {(method, path.replace("/events/1", "/events/{sequence}")) for method, path in tested}


def routes_of(app: FastAPI) -> list[tuple[str, str, bool]]:
    """Method and path of every route, and whether it asks who calls."""
    found = []
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        asks = isinstance(route, APIRoute) and _asks(route.dependant)
        found += [(method, context.path or "", asks) for method in sorted(context.methods or ()) if method != "HEAD"]
    return found


def _asks(dependant: Dependant) -> bool:
    return isinstance(dependant.call, Require) or any(_asks(part) for part in dependant.dependencies)
