"""The OpenAPI document, with every problem that a route may answer."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from .conditions import READ_UNDER
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

METHODS = frozenset({"get", "put", "post", "delete", "patch"})

_RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait before asking again.", "schema": {"type": "string"}}}
_ETAG = {"ETag": {"description": "Names what was read, for `If-None-Match`.", "schema": {"type": "string"}}}
_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "Tags that the caller has: 304 if one of them is current.",
    "schema": {"type": "string"},
    "example": '"1"',
}
_NOT_MODIFIED = {"description": "The caller has it already", "headers": _ETAG}

_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def problems(*kinds: ProblemKind) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`: the problems of its own, beside those that every route may answer."""
    found: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        earlier = found.get(kind.status)
        title = f"{earlier['description']}; {kind.title.lower()}" if earlier else kind.title
        found[kind.status] = {"description": title, "content": _PROBLEM}
        if kind.transient or (earlier and "headers" in earlier):
            found[kind.status]["headers"] = _RETRY_AFTER
    return found


def operation_id(route: APIRoute) -> str:
    """A stable name for client generators: the function's."""
    return route.name


def install(app: FastAPI, *, asks_for_tokens: bool) -> None:
    """Replace the framework's error schemas by problem details, and add what every route may answer.

    A service that asks nobody for a token does not say that it does.
    """

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, asks_for_tokens)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI, asks_for_tokens: bool) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs"))
    schemas["Problem"] = problem
    for path, operations in document.get("paths", {}).items():
        for method, operation in operations.items():
            if method in METHODS:
                limited = "security" in operation
                if not asks_for_tokens:
                    operation.pop("security", None)
                _say_absent(operation)
                _add_problems(operation, limited=limited)
            if method == "get" and path.startswith(READ_UNDER):
                _add_condition(operation)
    if not asks_for_tokens:
        document["components"].pop("securitySchemes", None)
    return document


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


def _say_absent(operation: dict[str, Any]) -> None:
    """A parameter that is not given is absent: there is no way to write null in a query or a header."""
    for parameter in operation.get("parameters", ()):
        schema = parameter["schema"]
        kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
        if len(kinds) == 1:
            del schema["anyOf"]
            parameter["schema"] = {**kinds[0], **schema}


def _add_condition(operation: dict[str, Any]) -> None:
    """What the condition middleware does to every read."""
    operation.setdefault("parameters", []).append(_IF_NONE_MATCH)
    responses = operation["responses"]
    responses["200"].setdefault("headers", {}).update(_ETAG)
    responses["304"] = _NOT_MODIFIED
    operation["responses"] = dict(sorted(responses.items()))
