"""The problems for the service's own errors."""

from __future__ import annotations

from event_trio.http.database import database_problems
from event_trio.http.idempotency import idempotency_problems
from event_trio.http.problems import NOT_FOUND, HttpProblem, ProblemTranslation

from ..domain import NotificationNotFound


def translation() -> ProblemTranslation:
    """The problem for each error of the service."""
    return {
        NotificationNotFound: lambda error: HttpProblem(NOT_FOUND, str(error)),
        **idempotency_problems(),
        **database_problems(),
    }
