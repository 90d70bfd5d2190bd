"""Turns the problem details (RFC 9457) of a service into the error of a command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from tools.cli.bearer import Bearer
from tools.cli.errors import CommandFailed, NotFound, WrongService
from tools.cli.options import TOKEN_VARIABLE

# The options for the fields of a request; every other field is shown by its own name.
OPTIONS: Mapping[object, str] = {
    **{name: f"--{name}" for name in ("type", "group", "failure", "reason", "limit", "since", "until", "everything")},
    **{"per_second": "--rate", "actor": "--by", "keep_held": "--keep-held", "subject": "the group", "all": "--all"},
    "event_id": "the event's id",
}

Problem = Mapping[str, Any]


def decode(response: httpx.Response) -> object:
    """The JSON value of a response; None when it is not JSON."""
    try:
        return response.json()
    except ValueError:
        return None


def failure(
    response: httpx.Response, problem: Problem | None, bearer: Bearer | None, *, label: str, url: str, hint: str
) -> CommandFailed:
    """The error for a response that is not a success."""
    status = response.status_code
    if problem is None or not _is_from_this_project(problem):
        return _foreign(response, url, hint)
    if problem.get("type", "about:blank") == "about:blank":
        path = response.request.url.path
        return WrongService(f"{label} has no {path}. {hint}") if status == 404 else _foreign(response, url, hint)
    detail = str(problem.get("detail") or problem.get("title"))
    match status:
        case 401 if bearer is None:
            return CommandFailed(f"{url} requires an operator's token: give --token or set {TOKEN_VARIABLE}")
        case 401:
            return CommandFailed(f"{url} does not accept {_caller(bearer)}: {detail}")
        case 403:
            return CommandFailed(f"{_caller(bearer)} is not permitted to do this: {detail}")
        case 404:
            return NotFound(detail)
        case 422:
            return CommandFailed("; ".join([problem["title"], *map(_field, problem.get("errors", []))]))
        case _ if status >= 500:
            return CommandFailed(f"{detail} (correlation id {problem['correlation_id']})")
        case _:
            later = response.headers.get("Retry-After")
            return CommandFailed(f"{detail}. Try again in {later} s" if later else detail)


def _is_from_this_project(problem: Problem) -> bool:
    return "correlation_id" in problem


def _foreign(response: httpx.Response, url: str, hint: str) -> CommandFailed:
    return CommandFailed(
        f"{response.request.url.copy_with(query=None)} answered {response.status_code}, which is not an answer of a "
        f"service of this project. Is {url} the right address? {hint}"
    )


def _caller(bearer: Bearer | None) -> str:
    return bearer.describe() if bearer else "a caller without a token"


def _field(error: Mapping[str, Any]) -> str:
    """A validation error with the option that caused it."""
    detail = str(error.get("detail")).removeprefix("Value error, ")
    field = error.get("field")
    return f"{OPTIONS.get(field, field)}: {detail}" if field else detail
