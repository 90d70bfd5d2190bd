"""Errors as problem details (RFC 9457)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, compile_path

from ..errors import EventRejected, EventTrioError
from ..observability.request_context import current_context

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """A kind of problem: its stable name, its title, its status, and whether the caller may retry after a wait."""

    slug: str
    title: str
    status: int
    transient: bool = False

    @property
    def type(self) -> str:
        """The URI that identifies the kind; it is not resolvable (RFC 9457, section 3.1.1)."""
        return f"urn:problem-type:{self.slug}"


UNREADABLE = ProblemKind("unreadable", "The request body cannot be read", 400)
INVALID_REQUEST = ProblemKind("invalid-request", "The request is not valid", 422)
EVENT_REJECTED = ProblemKind("event-rejected", "The event of this change exceeds a limit of the broker", 422)
UNAUTHENTICATED = ProblemKind("unauthenticated", "A valid bearer token is required", 401)
FORBIDDEN = ProblemKind("forbidden", "The caller lacks the required role", 403)
NOT_FOUND = ProblemKind("not-found", "Not found", 404)
TOO_LARGE = ProblemKind("too-large", "The request body is too large", 413)
UNAVAILABLE = ProblemKind("unavailable", "Temporarily unavailable", 503, transient=True)
UNEXPECTED = ProblemKind("unexpected", "Internal error", 500)


class FieldError(BaseModel):
    """An invalid part of a request."""

    location: str = Field(description="`body`, `query`, `path` or `header`.", examples=["body"])
    field: str = Field(description="The path of the field.", examples=["lines.0.quantity"])
    detail: str = Field(description="What is wrong with it.", examples=["Input should be greater than 0"])


class Problem(BaseModel):
    """A problem (RFC 9457). A kind may have additional members."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(
        "about:blank", description="Identifies the kind of problem.", examples=["urn:problem-type:not-found"]
    )
    title: str = Field(description="The kind of problem, human-readable.", examples=["Not found"])
    status: int = Field(ge=400, le=599, description="The HTTP status.", examples=[404])
    detail: str | None = Field(None, description="Details of this occurrence.")
    correlation_id: str = Field(description="The id of the request in the logs; quote it when asking for help.")
    errors: list[FieldError] | None = Field(None, description="The invalid fields of the request.")


class HttpProblem(EventTrioError):
    """Responds to a request with a problem; `more` are additional members."""

    def __init__(
        self, kind: ProblemKind, detail: str | None = None, *, headers: Mapping[str, str] | None = None, **more: object
    ) -> None:
        super().__init__(detail or kind.title)
        self.kind = kind
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = more


# None: the error is unexpected after all.
ProblemTranslation = Mapping[type[Exception], Callable[[Any], HttpProblem | None]]


def invalid_field(location: str, field: str, detail: str) -> HttpProblem:
    """A 422 for one field, for a rule that the schema cannot express."""
    return HttpProblem(INVALID_REQUEST, errors=[FieldError(location=location, field=field, detail=detail)])


def render(problem: HttpProblem) -> Response:
    """The response with the problem."""
    return _answer(
        Problem(
            type=problem.kind.type,
            title=problem.kind.title,
            status=problem.kind.status,
            detail=problem.detail,
            correlation_id=current_context().correlation_id,
            **problem.more,
        ),
        problem.headers,
    )


def install(app: FastAPI, translation: ProblemTranslation) -> None:
    """Respond to every error of the application with a problem.

    `translation` maps the service's own exceptions to problems, so that its domain does not depend on HTTP.
    """

    async def on_problem(_: Request, error: Exception) -> Response:
        assert isinstance(error, HttpProblem)
        return render(error)

    async def on_invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return render(HttpProblem(INVALID_REQUEST, errors=_field_errors(error.errors())))

    async def on_translated(_: Request, error: Exception) -> Response:
        translate = next(found for kind, found in translations.items() if isinstance(error, kind))
        problem = translate(error)
        if problem is None:
            raise error
        return render(problem)

    translations: ProblemTranslation = {**translation, EventRejected: _event_refused}
    app.add_exception_handler(HttpProblem, on_problem)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, _on_http_exception)
    for kind in translations:
        app.add_exception_handler(kind, on_translated)


def _event_refused(error: EventRejected) -> HttpProblem:
    return HttpProblem(EVENT_REJECTED, str(error))


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """Errors of the framework itself: unknown paths and methods, unreadable bodies."""
    assert isinstance(error, HTTPException)
    if error.status_code == UNREADABLE.status:
        return render(HttpProblem(UNREADABLE, "The body must be JSON in UTF-8."))
    if error.status_code == TOO_LARGE.status:
        return render(HttpProblem(TOO_LARGE, error.detail))
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(allowed_methods(request.app.routes, request.url.path))
    problem = Problem(
        title=HTTPStatus(error.status_code).phrase,
        status=error.status_code,
        detail=None if error.status_code >= 500 else error.detail,
        correlation_id=current_context().correlation_id,
    )
    return _answer(problem, headers)


def allowed_methods(routes: Sequence[BaseRoute], path: str) -> list[str]:
    """All methods of a path: the framework returns only those of the first route.

    If several templates match, the one with the longest literal part applies.
    """
    methods: dict[str, set[str]] = {}
    for route in iter_route_contexts(routes):
        if route.path and compile_path(route.path)[0].match(path):
            methods.setdefault(route.path, set()).update(route.methods or ())
    matching = max(methods, key=lambda template: len(re.sub(r"{[^}]*}", "", template)), default="")
    return sorted(methods.get(matching, ()))


def _answer(problem: Problem, headers: Mapping[str, str]) -> Response:
    body = problem.model_dump_json(exclude_none=True)
    return Response(body, status_code=problem.status, headers=dict(headers), media_type=MEDIA_TYPE)


def _field_errors(errors: Sequence[Any]) -> list[FieldError]:
    """Pydantic's errors without the input, which may contain personal data."""
    found = []
    for error in errors:
        location, *path = error["loc"]
        if error["type"] == "json_invalid":
            found.append(FieldError(location="body", field="", detail=f"invalid JSON at character {path[0]}"))
        else:
            field = ".".join(str(part) for part in path)
            found.append(FieldError(location=str(location), field=field, detail=error["msg"]))
    return found
