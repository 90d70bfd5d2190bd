"""The database over HTTP: readiness checks, and the problems for database errors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import structlog

from ..database.faults import Fault, engine_faults, fault_of, privilege_missing, read_only
from ..database.migration_files import newest
from ..error_text import describe
from .health import HealthCheck
from .problems import UNAVAILABLE, HttpProblem, ProblemTranslation

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from ..database.probe import DatabaseState

log = structlog.get_logger(__name__)

RETRY = {"Retry-After": "2"}

UNCERTAIN = (
    "The database did not answer. The change may have been applied. "
    "Retry with the same Idempotency-Key, or check first."
)
READ_ONLY = "The database is read-only at the moment."
NOT_MIGRATED = "The service's tables are missing or outdated. Run its migrations."
PRIVILEGE_MISSING = "The service's database role lacks a privilege. Run the migrations as the database's owner."


def database_checks(engine: AsyncEngine, migrations: str) -> Sequence[HealthCheck]:
    """Checks that the database answers and is writable, and that it has the newest migration of the package.

    Both use one query on a separate connection: an exhausted pool does not make a service unready.
    """
    # A relay has no engine, and needs no SQLAlchemy.
    from ..database.probe import DatabaseProbe

    probe, wanted = DatabaseProbe(engine), newest(migrations)

    async def look() -> DatabaseState | Exception:
        try:
            return await probe.state()
        except Exception as error:
            if fault_of(error) is None:
                raise
            return error

    async def database() -> str | None:
        state = await look()
        if isinstance(state, Exception):
            log.warning("database check failed", action="health.database_unavailable", error=describe(state))
            return "the database cannot be reached or refuses connections"
        return "the database is read-only" if state.read_only else None

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


def database_problems(
    not_migrated: str = NOT_MIGRATED, *, faults: Iterable[type[Exception]] | None = None
) -> ProblemTranslation:
    """Database errors as problems: 503 while the database is unavailable, and 500 for a faulty statement.

    `faults` are the classes of these errors; by default those of an SQLAlchemy engine and of asyncpg.
    """

    def problem(error: Exception) -> HttpProblem | None:
        match fault_of(error):
            case Fault.UNAVAILABLE | Fault.TRANSIENT:
                return _unavailable(READ_ONLY if read_only(error) else UNCERTAIN)
            case Fault.NOT_MIGRATED:
                return _unavailable(PRIVILEGE_MISSING if privilege_missing(error) else not_migrated)
            case Fault.STATEMENT:
                return None
            case None:
                # A network error without a driver frame, such as one raised while a connection is taken from the pool.
                return _unavailable(UNCERTAIN) if isinstance(error, ConnectionError | TimeoutError) else None

    return dict.fromkeys(engine_faults() if faults is None else faults, problem)


def _unavailable(detail: str) -> HttpProblem:
    return HttpProblem(UNAVAILABLE, detail, headers=RETRY)
