"""Whose fault an error of the database is, by one table: the database's, the moment's, or that of what was asked.

Nothing else in this project looks at a SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import StrEnum
from types import FrameType

import asyncpg
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolExhausted

# What asyncpg itself raises: the server's answers, and what it says of a call and of a connection.
_ASYNCPG = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

# What can be raised while talking to Postgres through asyncpg, for an `except` around nothing but that.
DATABASE_FAULTS: tuple[type[Exception], ...] = (*_ASYNCPG, OSError, TimeoutError)


class Fault(StrEnum):
    """What an error of the database says about what to do."""

    UNAVAILABLE = "unavailable"
    """The database as a whole refuses or is away: whatever is asked now fails. Wait for it."""
    TRANSIENT = "transient"
    """This transaction lost to others, or to a limit: do it again a little later. The database is well."""
    NOT_MIGRATED = "not_migrated"
    """Tables or grants are missing: that is for whoever deploys it."""
    STATEMENT = "statement"
    """What was asked is at fault: a value, a constraint, a mistake in the statement. It fails again."""


# The longest beginning that fits counts; what is not named is OWN.
_BY_STATE: dict[str, Fault] = {
    "08": Fault.UNAVAILABLE,  # connection
    "25006": Fault.UNAVAILABLE,  # a read-only transaction: a standby, a full disk's guard, a fail-over under way
    "25P03": Fault.TRANSIENT,  # idle in transaction for too long
    "25P04": Fault.TRANSIENT,  # a transaction that took too long
    "26000": Fault.TRANSIENT,  # a prepared statement that another server connection has
    "28": Fault.UNAVAILABLE,  # no such role, no login, a wrong password
    "3D": Fault.UNAVAILABLE,  # no such database
    "3F": Fault.NOT_MIGRATED,  # no such schema
    "40": Fault.TRANSIENT,  # serialization, deadlock
    "42501": Fault.NOT_MIGRATED,  # no grant
    "42P01": Fault.NOT_MIGRATED,  # no such table
    "53": Fault.UNAVAILABLE,  # disk, memory, connections
    "55006": Fault.TRANSIENT,  # object in use
    "55P03": Fault.TRANSIENT,  # a lock that was not to be had in time
    "57": Fault.UNAVAILABLE,  # shutting down, starting up
    "57014": Fault.TRANSIENT,  # cancelled, by a statement timeout or by somebody
    "58": Fault.UNAVAILABLE,  # the server's own system
    "72": Fault.TRANSIENT,  # a snapshot that is too old
    "F0": Fault.UNAVAILABLE,  # the server's configuration
    "XX": Fault.TRANSIENT,  # an internal error, of the server or of a pooler in between: nobody knows
}
_LENGTHS = (5, 2)

LOCK_NOT_AVAILABLE = "55P03"
READ_ONLY = "25006"

_MISTAKES = (DataError, IntegrityError, ProgrammingError)
_DRIVERS = ("asyncpg", "sqlalchemy")
_CONNECTING = "asyncpg.connect_utils"
_ENDED = ("cannot switch to", "not connected")


def fault_of(error: BaseException) -> Fault | None:
    """Whose fault it is, or None for what the database or its driver did not raise."""
    if isinstance(error, PoolExhausted):
        return Fault.TRANSIENT
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return Fault.UNAVAILABLE
        if error.orig is None or (sqlstate(error) is None and isinstance(error, _MISTAKES)):
            return Fault.STATEMENT
        return _of_driver(error.orig)
    # SQLAlchemy's adapter raises its own errors bare where a pool connects without an engine.
    if isinstance(error, (*_ASYNCPG, AsyncAdapt_asyncpg_dbapi.Error)):
        return _of_driver(error)
    # The driver lets through what the network raises. A handler's own missing file is an OSError too.
    if isinstance(error, OSError):
        return Fault.UNAVAILABLE if raised_by_driver(error) else None
    return None


def sqlstate(error: BaseException) -> str | None:
    """The SQLSTATE, however the error is wrapped."""
    state = getattr(error, "sqlstate", None) or getattr(getattr(error, "orig", None), "sqlstate", None)
    return state if isinstance(state, str) else None


def lock_not_available(error: BaseException) -> bool:
    """Whether a lock was not to be had within `lock_timeout`."""
    return sqlstate(error) == LOCK_NOT_AVAILABLE


def read_only(error: BaseException) -> bool:
    """Whether the database took it for a change, and takes none."""
    return sqlstate(error) == READ_ONLY


def connection_ended(error: BaseException) -> bool:
    """Whether a connection is of no use any more, between the server's last word and its end.

    What asyncpg then calls "another operation" is that last word, and its next error, of the rollback, hides the first.
    (Two tasks on one connection are an InterfaceError alone.)
    """
    told: BaseException | None = error
    while told is not None:
        if isinstance(told, asyncpg.InternalClientError) and any(end in str(told) for end in _ENDED):
            return True
        told = told.__cause__ or told.__context__
    return False


def raised_by_driver(error: BaseException) -> bool:
    """Whether it comes out of the database's driver, be it that the network below it raised it."""
    frames = list(_frames(error))
    for frame in reversed(frames):
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if package in _DRIVERS:
            return True
        if package not in sys.stdlib_module_names:
            return False
    return not frames


def _of_driver(error: BaseException) -> Fault:
    raw = error if isinstance(error, _ASYNCPG) else error.__cause__ or error
    # While connecting, a refusal is the database's, whatever it is called: that it takes no connections has the state
    # of an object that is not ready.
    if any(frame.f_globals.get("__name__") == _CONNECTING for frame in _frames(raw)):
        return Fault.UNAVAILABLE
    # After a migration the plans that a connection has kept fit no more; it drops them, and the next time is well.
    if isinstance(raw, asyncpg.InvalidCachedStatementError):
        return Fault.TRANSIENT
    # Without a server's answer the driver speaks: of a value that it cannot send, of a connection that two tasks use at
    # once (mistakes, both), or of one that is closed.
    if isinstance(raw, ValueError | TypeError):
        return Fault.STATEMENT
    state = sqlstate(error) or sqlstate(raw)
    if state is None:
        return _without_state(raw)
    return next((_BY_STATE[state[:length]] for length in _LENGTHS if state[:length] in _BY_STATE), Fault.STATEMENT)


def _without_state(raw: BaseException) -> Fault:
    if isinstance(raw, asyncpg.TargetServerAttributeNotMatched) or connection_ended(raw):
        return Fault.UNAVAILABLE
    text = str(raw)
    return (
        Fault.STATEMENT if "another operation" in text else Fault.UNAVAILABLE if "closed" in text else Fault.TRANSIENT
    )


def _frames(error: BaseException) -> Iterator[FrameType]:
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next
