"""How the service's own errors are told over HTTP."""

from __future__ import annotations

from event_trio.http.database import database_problems
from event_trio.http.idempotency import idempotency_problems
from event_trio.http.problems import NOT_FOUND, HttpProblem, ProblemTranslation

from ..domain import NotificationNotFound


def translation() -> ProblemTranslation:
    """Each error of the service's own, as a problem."""
    return {
        NotificationNotFound: lambda error: HttpProblem(NOT_FOUND, str(error)),
        **idempotency_problems(),
        **database_problems(),
    }
