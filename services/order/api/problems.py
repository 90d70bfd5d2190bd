"""The problems for the service's own errors."""

from __future__ import annotations

from event_trio.http.conditions import PRECONDITION_FAILED
from event_trio.http.database import RETRY, database_problems
from event_trio.http.idempotency import idempotency_problems
from event_trio.http.problems import (
    INVALID_REQUEST,
    NOT_FOUND,
    UNAVAILABLE,
    FieldError,
    HttpProblem,
    ProblemKind,
    ProblemTranslation,
)
from event_trio.keyed_semaphore import KeyedSemaphoreTimeout

from ..domain import InvalidOrder, InvalidTransition
from ..use_cases import EventNotFound, OrderNotFound, VersionMismatch

BUSY = "Other requests are changing this order. Nothing was changed; retry."
INVALID_TRANSITION = ProblemKind("order-state", "The order's state does not allow this", 409)


def translation() -> ProblemTranslation:
    """The problem for each error of the service."""
    return {
        OrderNotFound: lambda error: HttpProblem(NOT_FOUND, str(error)),
        EventNotFound: lambda error: HttpProblem(NOT_FOUND, str(error)),
        InvalidOrder: _invalid,
        InvalidTransition: _refused,
        KeyedSemaphoreTimeout: lambda _: HttpProblem(UNAVAILABLE, BUSY, headers=RETRY),
        VersionMismatch: lambda error: HttpProblem(PRECONDITION_FAILED, str(error), version=error.version),
        **idempotency_problems(),
        **database_problems(),
    }


def _invalid(error: InvalidOrder) -> HttpProblem:
    return HttpProblem(INVALID_REQUEST, errors=[FieldError(location="body", field=error.field, detail=error.detail)])


def _refused(error: InvalidTransition) -> HttpProblem:
    return HttpProblem(INVALID_TRANSITION, str(error), state=error.state.value, allowed=[*error.allowed])
