"""Callers with each role, and the routes of an application with their authentication."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from event_trio.http.authorization import RequireRole
from tests.support.tokens import AUDIENCE, ISSUER, Issuer

# What needs no token: liveness, metrics, the description of the API.
OPEN = {"/livez", "/readyz", "/metrics", "/docs", "/docs/oauth2-redirect", "/openapi.json", "/redoc"}
CATALOG = {"/asyncapi.json", "/schemas/{type}/{version}"}
"""What a service that publishes or consumes describes, as open as its OpenAPI document."""

Callers = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Route:
    """A method and a path, and whether it requires authentication."""

    method: str
    path: str
    asks: bool


def authenticated(folder: Path) -> tuple[Issuer, dict[str, Any]]:
    """An issuer, and the settings of a service that accepts its tokens."""
    issuer = Issuer()
    path = issuer.write_key_set(folder)
    return issuer, {"auth_jwks": path, "auth_issuer": ISSUER, "auth_audience": AUDIENCE, "http_host": "0.0.0.0"}


def callers(issuer: Issuer) -> Callers:
    """The headers of every kind of caller: `owner` is customer-1, `other` another customer."""
    return {
        "nobody": {},
        "stranger": issuer.bearer("someone"),
        "owner": issuer.bearer("customer-1", "customer"),
        "other": issuer.bearer("customer-2", "customer"),
        "operator": issuer.bearer("olga", "operator"),
        "service": issuer.bearer("notification", "service"),
        "reader": issuer.bearer("rita", "reader"),
        "forged": Issuer().bearer("olga", "operator"),
    }


def routes_of(app: FastAPI) -> list[Route]:
    """Every route of the application."""
    found = []
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        asks = isinstance(route, APIRoute) and _asks(route.dependant)
        methods = sorted(set(context.methods or ()) - {"HEAD"})
        found += [Route(method, context.path or "", asks) for method in methods]
    return found


def threaded(app: FastAPI) -> set[str]:
    """What the framework runs in another thread for a request, because it is not asynchronous."""
    routes = [context.original_route for context in iter_route_contexts(app.routes)]
    calls = [call for route in routes if isinstance(route, APIRoute) for call in _calls(route.dependant)]
    return {
        str(call) for call in calls if not iscoroutinefunction(call) and not iscoroutinefunction(type(call).__call__)
    }


def _calls(dependant: Dependant) -> list[Callable[..., Any]]:
    own = [] if dependant.call is None else [dependant.call]
    return own + [call for part in dependant.dependencies for call in _calls(part)]


def _asks(dependant: Dependant) -> bool:
    return isinstance(dependant.call, RequireRole) or any(_asks(part) for part in dependant.dependencies)
