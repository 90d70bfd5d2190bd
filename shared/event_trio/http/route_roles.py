"""The roles that each route requires, read from its dependencies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import BaseRoute, compile_path

from .authorization import RequireRole
from .tokens import Role


def required_roles(routes: Sequence[BaseRoute]) -> Mapping[tuple[str, str], Sequence[Role]]:
    """The roles, any of which is enough, by method and path, as the OpenAPI document writes it.

    Routes without authentication are absent.
    """
    found = {}
    for context in iter_route_contexts(routes):
        route = context.original_route
        if not isinstance(route, APIRoute):
            continue
        demands = [frozenset(dependency.roles) for dependency in _demands(route.dependant)]
        if demands:
            admitted = frozenset.intersection(*demands)
            _, path, _ = compile_path(context.path or "")
            for method in context.methods or ():
                found[method, path] = [role for role in Role if role in admitted]
    return found


def _demands(dependant: Dependant) -> Iterator[RequireRole]:
    if isinstance(dependant.call, RequireRole):
        yield dependant.call
    for part in dependant.dependencies:
        yield from _demands(part)
