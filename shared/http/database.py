"""What a database's state looks like over HTTP: readiness checks, and problems while it cannot be reached."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.ext.asyncio import AsyncEngine

from ..migration import pending
from .health import Check
from .problems import UNAVAILABLE, HttpProblem, Translation

RETRY = {"Retry-After": "2"}

# Faults of the moment, by SQLSTATE class (https://www.postgresql.org/docs/current/errcodes-appendix.html):
# connection, transaction rolled back, insufficient resources, object in use (locks), operator intervention, system.
PASSING = ("08", "40", "53", "55", "57", "58")


def database_checks(engine: AsyncEngine, migrations: str) -> Sequence[Check]:
    """That the database answers, and that it is at the newest migration of the package."""

    async def database() -> str | None:
        try:
            async with engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
        except (DBAPIError, OSError, PoolExhausted) as error:
            return f"the database cannot be reached ({type(error).__name__})"
        return None

    async def migrated() -> str | None:
        try:
            return await pending(engine, migrations)
        except (DBAPIError, OSError, PoolExhausted):
            return "unknown while the database cannot be reached"

    return (Check("database", database), Check("migrations", migrated))


def database_problems() -> Translation:
    """Faults that pass become 503; any other error of the database is ours, and unexpected."""
    return {DBAPIError: _from_driver, PoolExhausted: _unavailable, OSError: _unavailable}


def _from_driver(error: DBAPIError) -> HttpProblem | None:
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return _unavailable(error) if state.startswith(PASSING) else None
    # Without a state the driver speaks: of a lost connection, or of a value that it cannot send (a ValueError).
    ours = isinstance(error.orig.__cause__, ValueError) if error.orig is not None else True
    return None if ours else _unavailable(error)


def _unavailable(_: Exception) -> HttpProblem:
    return HttpProblem(
        UNAVAILABLE,
        "the database did not answer; a change may have been made: repeat it with its Idempotency-Key, or look first",
        headers=RETRY,
    )
