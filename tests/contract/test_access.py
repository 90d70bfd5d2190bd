"""No route of any service is open but those that are meant to be."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI

from event_trio.http.authorization import RequireRole
from event_trio.http.tokens import Role
from services.notification.main import build as build_notification
from services.notification.settings import NotificationSettings
from services.order.main import build as build_order
from services.order.settings import OrderSettings
from services.relay.main import build as build_relay
from services.relay.settings import RelaySettings
from tests.support.access import CATALOG, OPEN, authenticated, callers, guarded, routes_of, threaded

NAMES = ("order", "notification", "relay")
# What only those who see everything may call.
OPERATIONS = (
    *("/v1/dead-letters", "/v1/deferred-messages", "/v1/operator-actions", "/v1/message-states"),
    *("/v1/processed-messages", "/v1/outbox", "/v1/events", "/v1/recorded-events", "/v1/inbox", "/v1/topology"),
    *("/v1/process", "/v1/failures", "/v1/redrives"),
)
# What readers see, too, and what of it has payloads.
STATES = OPERATIONS
PAYLOADS = (
    *("/v1/dead-letters/{event_id}", "/v1/deferred-messages/{event_id}"),
    "/v1/events/{event_id}/envelope",
)


def application(name: str, **given: Any) -> FastAPI:
    """A service that never reaches a database: whoever is refused is refused before that."""
    given = {"database_url": "postgresql://nobody@127.0.0.1/nothing", **given}
    match name:
        case "order":
            return build_order(OrderSettings(**given))
        case "notification":
            return build_notification(NotificationSettings(**given))
        case _:
            return build_relay(RelaySettings(topic="order-events", **given))


@pytest.mark.parametrize("name", NAMES)
def test_every_route_asks_who_calls(name: str) -> None:
    routes = routes_of(application(name))
    assert {route.path for route in routes if not route.asks} == (OPEN if name == "relay" else OPEN | CATALOG)
    assert [route for route in routes if route.path.startswith("/v1") and not route.asks] == []
    assert [route for route in routes if route.asks]


@pytest.mark.parametrize("name", NAMES)
def test_no_request_waits_for_a_thread(name: str) -> None:
    assert threaded(application(name)) == set()


@pytest.mark.parametrize("name", NAMES)
async def test_without_a_role_all_is_refused_and_to_a_customer_every_operation(name: str, tmp_path: Path) -> None:
    issuer, auth = authenticated(tmp_path)
    app, who = application(name, **auth), callers(issuer)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as api:
        for method, path in guarded(app):
            expected = {"nobody": 401, "forged": 401, "stranger": 403}
            if path.startswith(OPERATIONS):
                expected["owner"] = 403
            for caller, status in expected.items():
                answer = await api.request(method, path, headers=who[caller])
                assert answer.status_code == status, (caller, method, path)
                assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("name", NAMES)
async def test_a_reader_changes_nothing_and_sees_neither_payloads_nor_customers(name: str, tmp_path: Path) -> None:
    issuer, auth = authenticated(tmp_path)
    app, who = application(name, **auth), callers(issuer)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as api:
        refused = {(method, path) for method, path in guarded(app) if method != "GET" or not path.startswith(STATES)}
        for method, path in refused | {("GET", path) for path in PAYLOADS} & guarded(app):
            assert (await api.request(method, path, headers=who["reader"])).status_code == 403, (method, path)


def test_a_route_that_forgot_to_ask_is_found() -> None:
    router = APIRouter(prefix="/v1")

    @router.get("/open")
    async def open_to_all() -> None: ...

    @router.get("/closed", dependencies=[Depends(RequireRole(Role.OPERATOR))])
    async def closed() -> None: ...

    app = FastAPI(openapi_url=None)
    app.include_router(router)
    assert [(route.path, route.asks) for route in routes_of(app)] == [("/v1/open", False), ("/v1/closed", True)]
    assert guarded(app) == {("GET", "/v1/closed")}
