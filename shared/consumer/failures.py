"""What can go wrong around a handler, told apart: the event's fault, or the database's."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ..errors import EventTrioError

# Classes of SQLSTATE that blame no statement: connection, transaction rollback (deadlock, serialization), resources,
# operator intervention, system, internal; a transaction that idled too long, a standby (https://www.postgresql.org/docs/current/errcodes-appendix.html).
_NOT_THE_STATEMENT = ("08", "25006", "25P03", "40", "53", "55P03", "57", "58", "XX")


class Reject(EventTrioError):
    """The handler will never accept this event: no attempt is left."""


class InvalidPayload(EventTrioError):
    """The event's data are not what its type promises."""


class RetryLater(EventTrioError):
    """The handler asks to run again after so many seconds; that is a failed attempt."""

    def __init__(self, seconds: float, message: str | None = None) -> None:
        super().__init__(message)
        self.seconds = seconds


class Outage(EventTrioError):
    """Something that the handler needs is down as a whole: nobody's attempt."""

    def __init__(self, seconds: float, message: str | None = None) -> None:
        super().__init__(message)
        self.seconds = seconds


class HandlerTimeout(EventTrioError):
    """The handler took longer than it may."""


def is_database_failure(error: BaseException) -> bool:
    """Whether an error raised while talking to the database says nothing about the event.

    True for lost and refused connections, an exhausted pool, deadlocks, lock timeouts and shutdowns; false for
    violated constraints, bad values and wrong SQL.
    """
    if isinstance(error, PoolTimeout | OSError):
        return True
    if isinstance(error, DBAPIError):
        # Without a statement it was the connecting that failed, whatever Postgres calls it: no such database, a wrong
        # password. A constraint that is checked at the commit has none either.
        if error.connection_invalidated or (error.statement is None and not isinstance(error, IntegrityError)):
            return True
        state = getattr(error.orig, "sqlstate", None)
        if state is None:
            return isinstance(error, OperationalError | InterfaceError)
        return str(state).startswith(_NOT_THE_STATEMENT)
    return False


def describe(error: BaseException) -> str:
    """An error for a log line: messages of libraries may quote personal data, so of theirs only the kind is told."""
    if isinstance(error, EventTrioError):
        return f"{type(error).__name__}: {error}"
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    return type(error).__name__ + (f" ({state})" if state else "")
