"""No route of any service is open but those that are meant to be."""

from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI

from event_trio.http.authorization import RequireRole
from event_trio.http.route_roles import required_roles
from event_trio.http.tokens import Role
from services.notification.main import build as build_notification
from services.notification.settings import NotificationSettings
from services.order.main import build as build_order
from services.order.settings import OrderSettings
from services.relay.main import build as build_relay
from services.relay.settings import RelaySettings
from tests.support.access import CATALOG, OPEN, routes_of, threaded

NAMES = ("order", "notification", "relay")


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


def test_a_route_that_forgot_to_ask_is_found() -> None:
    router = APIRouter(prefix="/v1")

    @router.get("/open")
    async def open_to_all() -> None: ...

    @router.get("/closed", dependencies=[Depends(RequireRole(Role.OPERATOR))])
    async def closed() -> None: ...

    app = FastAPI(openapi_url=None)
    app.include_router(router)
    assert [(route.path, route.asks) for route in routes_of(app)] == [("/v1/open", False), ("/v1/closed", True)]
    assert dict(required_roles(app.routes)) == {("GET", "/v1/closed"): [Role.OPERATOR]}


def test_the_roles_of_a_route_are_those_that_every_demand_admits() -> None:
    router = APIRouter(prefix="/v1", dependencies=[Depends(RequireRole(Role.OPERATOR, Role.READER, Role.SERVICE))])

    @router.get("/{name:path}", dependencies=[Depends(RequireRole(Role.SERVICE, Role.READER, Role.CUSTOMER))])
    async def both() -> None: ...

    app = FastAPI(openapi_url=None)
    app.include_router(router)
    assert dict(required_roles(app.routes)) == {("GET", "/v1/{name}"): [Role.READER, Role.SERVICE]}
