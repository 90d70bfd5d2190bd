"""What a database's state looks like over HTTP: readiness checks, and problems while it cannot be worked with."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.ext.asyncio import AsyncEngine

from ..database.faults import DATABASE_FAULTS, Fault, fault_of, read_only
from ..database.probe import DatabaseProbe, DatabaseState
from ..error_text import describe
from .health import HealthCheck
from .problems import UNAVAILABLE, HttpProblem, ProblemTranslation

log = structlog.get_logger(__name__)

RETRY = {"Retry-After": "2"}

UNCERTAIN = (
    "the database did not answer; a change may have been made: repeat it with its Idempotency-Key, or look first"
)
READ_ONLY = "the database takes no changes at the moment"
UNPREPARED = "the database has no tables of this service that it may use, or older ones"


def database_checks(engine: AsyncEngine, migrations: str) -> Sequence[HealthCheck]:
    """That the database answers and takes changes, and that it is at the newest migration of the package.

    Both are one question, on a connection that nobody else uses: a busy pool does not make a service unready. What is
    newest is read once: it does not change while the code runs.
    """
    # Alembic is not installed with a relay, which has no migrations.
    from ..database.migration import newest

    probe, wanted = DatabaseProbe(engine), newest(migrations)

    async def look() -> DatabaseState | Exception:
        try:
            return await probe.look()
        except Exception as error:
            if fault_of(error) is None:
                raise
            return error

    async def database() -> str | None:
        state = await look()
        if isinstance(state, Exception):
            log.warning("the database cannot be asked", action="health.database_down", error=describe(state))
            return "the database cannot be reached, or lets nobody in"
        return READ_ONLY if state.read_only else None

    async def migrated() -> str | None:
        state = await look()
        if isinstance(state, Exception):
            return "unknown while the database cannot be reached"
        if state.migration == wanted:
            return None
        return (
            f"the database is at migration {state.migration or 'none'}, the code needs {wanted}; "
            "run the service's migrate command"
        )

    return (HealthCheck("database", database), HealthCheck("migrations", migrated))


def database_problems(unprepared: str = UNPREPARED) -> ProblemTranslation:
    """What the database refuses or cannot do now becomes 503, whichever driver says it; a mistake of ours does not."""
    kinds: tuple[type[Exception], ...] = (DBAPIError, PoolExhausted, *DATABASE_FAULTS)

    def problem(error: Exception) -> HttpProblem | None:
        match fault_of(error):
            case Fault.UNAVAILABLE | Fault.TRANSIENT:
                return _unavailable(READ_ONLY if read_only(error) else UNCERTAIN)
            case Fault.NOT_MIGRATED:
                return _unavailable(unprepared)
            case Fault.STATEMENT:
                return None
            case None:
                # Not the database's, but of a connection, of which one more might be had.
                return _unavailable(UNCERTAIN) if isinstance(error, ConnectionError | TimeoutError) else None

    return dict.fromkeys(kinds, problem)


def _unavailable(detail: str) -> HttpProblem:
    return HttpProblem(UNAVAILABLE, detail, headers=RETRY)
