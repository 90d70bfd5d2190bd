"""How the relay's errors are told over HTTP."""

from __future__ import annotations

import asyncpg

from shared.http.database import PASSING, RETRY
from shared.http.idempotency import idempotency_problems
from shared.http.problems import NOT_FOUND, UNAVAILABLE, HttpProblem, Kind, Translation

from ..operators.operations import NotInOutbox, OperationRefused

OUTBOX_STATE = Kind("outbox-state", "The outbox's state does not allow this", 409, passing=True)


def translation() -> Translation:
    """Each error of operators' work, as a problem."""
    return {
        NotInOutbox: lambda error: HttpProblem(NOT_FOUND, str(error)),
        OperationRefused: _refused,
        **idempotency_problems(),
        asyncpg.UndefinedTableError: _missing,
        asyncpg.PostgresError: _from_database,
        asyncpg.InterfaceError: _from_driver,
        OSError: _unavailable,
    }


def _refused(error: OperationRefused) -> HttpProblem:
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after is not None else {}
    return HttpProblem(OUTBOX_STATE, str(error), headers=headers)


def _missing(_: asyncpg.UndefinedTableError) -> HttpProblem:
    return HttpProblem(UNAVAILABLE, "the database has no outbox, or an older one", headers=RETRY)


def _from_database(error: asyncpg.PostgresError) -> HttpProblem | None:
    return _unavailable(error) if (error.sqlstate or "").startswith(PASSING) else None


def _from_driver(error: asyncpg.InterfaceError) -> HttpProblem | None:
    # A value that cannot be sent is our mistake; a connection that is gone is not.
    return None if isinstance(error, ValueError) else _unavailable(error)


def _unavailable(_: Exception) -> HttpProblem:
    return HttpProblem(
        UNAVAILABLE,
        "the database did not answer; a change may have been made: repeat it with its Idempotency-Key, or look first",
        headers=RETRY,
    )
