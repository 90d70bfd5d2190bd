"""The relay's errors as HTTP problems."""

from __future__ import annotations

from event_trio.database.faults import DATABASE_FAULTS
from event_trio.http.database import database_problems
from event_trio.http.idempotency import idempotency_problems
from event_trio.http.problems import NOT_FOUND, HttpProblem, ProblemKind, ProblemTranslation

from ..operators.operations import NotInOutbox, OperationRefused

NOT_MIGRATED = "The outbox tables are missing or outdated. Run the migrations of the service that owns them."
OUTBOX_STATE = ProblemKind("outbox-state", "The outbox's state does not allow this", 409, transient=True)


def translation() -> ProblemTranslation:
    """Return the problem for each error of an operation."""
    return {
        NotInOutbox: lambda error: HttpProblem(NOT_FOUND, str(error)),
        OperationRefused: _refused,
        **idempotency_problems(),
        **database_problems(NOT_MIGRATED, faults=DATABASE_FAULTS),
    }


def _refused(error: OperationRefused) -> HttpProblem:
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after is not None else {}
    return HttpProblem(OUTBOX_STATE, str(error), headers=headers)
