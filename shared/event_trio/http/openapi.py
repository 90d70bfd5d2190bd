"""The OpenAPI document, with the problems that each route may return."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from .conditions import READ_PREFIX
from .problems import (
    FORBIDDEN,
    INVALID_REQUEST,
    MEDIA_TYPE,
    TOO_LARGE,
    UNAUTHENTICATED,
    UNEXPECTED,
    UNREADABLE,
    Problem,
    ProblemKind,
)
from .rate_limit import TOO_MANY
from .route_roles import required_roles
from .tokens import Role

METHODS = frozenset({"get", "put", "post", "delete", "patch"})

_RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait before a retry.", "schema": {"type": "string"}}}
_ETAG = {
    "ETag": {
        "description": "Identifies the version of the response, for `If-None-Match`.",
        "schema": {"type": "string"},
    }
}
_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "ETags that the caller has; the response is 304 if one of them is current.",
    "schema": {"type": "string"},
    "example": '"1"',
}
_NOT_MODIFIED = {"description": "Not modified since the caller read it", "headers": _ETAG}

_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def problems(*kinds: ProblemKind) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`: its own problems, in addition to those of every route."""
    found: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        earlier = found.get(kind.status)
        title = f"{earlier['description']}; {kind.title.lower()}" if earlier else kind.title
        found[kind.status] = {"description": title, "content": _PROBLEM}
        if kind.transient or (earlier and "headers" in earlier):
            found[kind.status]["headers"] = _RETRY_AFTER
    return found


def _name_operations(app: FastAPI) -> None:
    """Give each operation a stable name for client generators: that of the function."""
    for route in app.routes:
        if isinstance(route, APIRoute):
            route.operation_id = route.name


def install(app: FastAPI, *, requires_tokens: bool) -> None:
    """Replace the framework's error schemas by problem details, and add the problems of every route.

    A service without authentication documents no security scheme.
    """

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, requires_tokens)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI, requires_tokens: bool) -> dict[str, Any]:
    _name_operations(app)
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs"))
    schemas["Problem"] = problem
    roles = required_roles(app.routes)
    for path, operations in document.get("paths", {}).items():
        for method, operation in operations.items():
            if method in METHODS:
                limited = "security" in operation
                if not requires_tokens:
                    operation.pop("security", None)
                elif limited:
                    _name_roles(operation, roles[method.upper(), path])
                _remove_null(operation)
                _add_problems(operation, limited=limited)
            if method == "get" and path.startswith(READ_PREFIX):
                _add_condition(operation)
    if not requires_tokens:
        document["components"].pop("securitySchemes", None)
    return document


def _name_roles(operation: dict[str, Any], roles: Sequence[Role]) -> None:
    """Each alternative requires the token with one role, as OpenAPI 3.1 describes roles of a scheme without scopes."""
    (scheme,) = operation["security"][0]
    operation["security"] = [{scheme: [str(role)]} for role in roles]


def _add_problems(operation: dict[str, Any], *, limited: bool) -> None:
    responses = operation["responses"]
    framework = "HTTPValidationError" in str(responses.get("422"))
    if framework:
        del responses["422"]
    everywhere: list[ProblemKind] = [UNEXPECTED, TOO_MANY] if limited else [UNEXPECTED]
    if operation.get("security"):
        everywhere += [UNAUTHENTICATED, FORBIDDEN]
    if operation.get("requestBody"):
        everywhere += [UNREADABLE, TOO_LARGE]
    if framework or operation.get("parameters") or operation.get("requestBody"):
        everywhere += [INVALID_REQUEST]
    for status, response in problems(*everywhere).items():
        responses.setdefault(str(status), response)
    operation["responses"] = dict(sorted(responses.items()))


def _remove_null(operation: dict[str, Any]) -> None:
    """Remove null from the types of parameters: a query or header cannot express it."""
    for parameter in operation.get("parameters", ()):
        schema = parameter["schema"]
        kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
        if len(kinds) == 1:
            del schema["anyOf"]
            parameter["schema"] = {**kinds[0], **schema}


def _add_condition(operation: dict[str, Any]) -> None:
    """Document the behaviour of the condition middleware."""
    operation.setdefault("parameters", []).append(_IF_NONE_MATCH)
    responses = operation["responses"]
    responses["200"].setdefault("headers", {}).update(_ETAG)
    responses["304"] = _NOT_MODIFIED
    operation["responses"] = dict(sorted(responses.items()))
