"""Classifies database errors: the database is unavailable, the transaction may be retried, or the statement is wrong.

No other module looks at a SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import StrEnum
from types import FrameType

import asyncpg

# asyncpg's own errors: the server's error responses, misuse of the interface, and protocol errors.
_ASYNCPG = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

# What a call through asyncpg can raise; for an `except` around nothing but such calls.
DATABASE_FAULTS: tuple[type[Exception], ...] = (*_ASYNCPG, OSError, TimeoutError)


class Fault(StrEnum):
    """What to do about a database error."""

    UNAVAILABLE = "unavailable"
    """The database as a whole cannot be used: every statement fails now. Wait for it."""
    TRANSIENT = "transient"
    """This transaction lost a conflict or reached a limit. Retry it shortly; the database itself is available."""
    NOT_MIGRATED = "not_migrated"
    """Tables or privileges are missing. Run the migrations."""
    STATEMENT = "statement"
    """The statement is at fault: a value, a constraint or the SQL itself. It would fail again."""


# The longest matching prefix applies; codes that are not listed are STATEMENT.
_BY_STATE: dict[str, Fault] = {
    "08": Fault.UNAVAILABLE,  # connection
    "25006": Fault.UNAVAILABLE,  # read-only transaction: a standby, a full-disk guard, or a failover in progress
    "25P03": Fault.TRANSIENT,  # idle in transaction timeout
    "25P04": Fault.TRANSIENT,  # transaction timeout
    "26000": Fault.TRANSIENT,  # prepared statement of another server connection
    "28": Fault.UNAVAILABLE,  # unknown role, login not permitted, or wrong password
    "3D": Fault.UNAVAILABLE,  # unknown database
    "3F": Fault.NOT_MIGRATED,  # unknown schema
    "40": Fault.TRANSIENT,  # serialization, deadlock
    "42501": Fault.NOT_MIGRATED,  # insufficient privilege
    "42P01": Fault.NOT_MIGRATED,  # unknown table
    "53": Fault.UNAVAILABLE,  # disk, memory, connections
    "55006": Fault.TRANSIENT,  # object in use
    "55P03": Fault.TRANSIENT,  # lock timeout
    "57": Fault.UNAVAILABLE,  # shutting down, starting up
    "57014": Fault.TRANSIENT,  # cancelled by a statement timeout or by a user
    "58": Fault.UNAVAILABLE,  # system error of the server
    "72": Fault.TRANSIENT,  # snapshot too old
    "F0": Fault.UNAVAILABLE,  # configuration file error
    "XX": Fault.TRANSIENT,  # internal error of the server or of a pooler
}
_LENGTHS = (5, 2)

LOCK_NOT_AVAILABLE = "55P03"
READ_ONLY = "25006"
INSUFFICIENT_PRIVILEGE = "42501"

_DRIVERS = ("asyncpg", "sqlalchemy")
_CONNECTING = "asyncpg.connect_utils"
# After these the server closes the connection: shutdown, crash, dropped database, idle session.
_ENDING = frozenset({"57P01", "57P02", "57P04", "57P05"})
_ENDED = ("cannot switch to", "not connected")


def fault_of(error: BaseException) -> Fault | None:
    """The fault, or None if neither the database nor its driver raised the error."""
    if _is_of_engine(error):
        return _of_engine(error)
    if isinstance(error, _ASYNCPG):
        return _of_driver(error)
    # The driver passes network errors through. A missing file in a handler is an OSError as well.
    if isinstance(error, OSError):
        return Fault.UNAVAILABLE if raised_by_driver(error) else None
    return None


def sqlstate(error: BaseException) -> str | None:
    """The SQLSTATE, however the error is wrapped."""
    state = getattr(error, "sqlstate", None) or getattr(getattr(error, "orig", None), "sqlstate", None)
    return state if isinstance(state, str) else None


def lock_not_available(error: BaseException) -> bool:
    """Whether `lock_timeout` expired."""
    return sqlstate(error) == LOCK_NOT_AVAILABLE


def read_only(error: BaseException) -> bool:
    """Whether the statement was rejected because the transaction is read-only."""
    return sqlstate(error) == READ_ONLY


def privilege_missing(error: BaseException) -> bool:
    """Whether the role lacks a privilege, rather than the database a table."""
    return sqlstate(error) == INSUFFICIENT_PRIVILEGE


def connection_ended(error: BaseException) -> bool:
    """Whether the server is closing the connection, so that it cannot be used any more.

    After the server's last message asyncpg reports "another operation", and its next error, of the rollback, hides the
    first one. (Two tasks that use one connection cause an InterfaceError only.)
    """
    current: BaseException | None = error
    seen: set[int] = set()
    # An error that is raised again while its consequence is handled is in a circle.
    while current is not None and id(current) not in seen:
        if isinstance(current, asyncpg.InternalClientError) and any(end in str(current) for end in _ENDED):
            return True
        seen.add(id(current))
        current = current.__cause__ or current.__context__
    return False


def ends_connection(error: BaseException) -> bool:
    """Whether no connection can be used after this error: the server ends it, or it has ended."""
    return sqlstate(error) in _ENDING or connection_ended(error)


def connection_lost(error: BaseException) -> bool:
    """Whether the connection ended during a statement, so that it is unknown whether the statement was executed."""
    return isinstance(error, asyncpg.ConnectionDoesNotExistError | ConnectionError) or ends_connection(error)


def raised_by_driver(error: BaseException) -> bool:
    """Whether the error comes from the database driver, including network errors below it."""
    frames = list(_frames(error))
    for frame in reversed(frames):
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if package in _DRIVERS:
            return True
        if package not in sys.stdlib_module_names:
            return False
    return not frames


def engine_faults() -> tuple[type[Exception], ...]:
    """What a call through an SQLAlchemy engine can raise. It imports SQLAlchemy, which a relay does not need."""
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.exc import TimeoutError as PoolExhausted

    return (DBAPIError, PoolExhausted, *DATABASE_FAULTS)


def _is_of_engine(error: BaseException) -> bool:
    return any(kind.__module__.startswith("sqlalchemy.") for kind in type(error).__mro__)


def _of_engine(error: BaseException) -> Fault | None:
    # SQLAlchemy has been imported, or there would be no such error.
    from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
    from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
    from sqlalchemy.exc import TimeoutError as PoolExhausted

    if isinstance(error, PoolExhausted):
        return Fault.TRANSIENT
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return Fault.UNAVAILABLE
        mistake = isinstance(error, DataError | IntegrityError | ProgrammingError)
        if error.orig is None or (sqlstate(error) is None and mistake):
            return Fault.STATEMENT
        return _of_driver(error.orig)
    # The adapter raises its own errors unwrapped where a pool connects without an engine.
    return _of_driver(error) if isinstance(error, AsyncAdapt_asyncpg_dbapi.Error) else None


def _of_driver(error: BaseException) -> Fault:
    raw = error if isinstance(error, _ASYNCPG) else error.__cause__ or error
    # While connecting, every rejection means that the database is unavailable: that it accepts no connections has the
    # SQLSTATE of an object that is not ready.
    if any(frame.f_globals.get("__name__") == _CONNECTING for frame in _frames(raw)):
        return Fault.UNAVAILABLE
    # A migration invalidates the plans that a connection has cached; it drops them, and the next attempt succeeds.
    if isinstance(raw, asyncpg.InvalidCachedStatementError):
        return Fault.TRANSIENT
    # Without an error response of the server the driver itself raised it: for a value that it cannot send, a connection
    # that two tasks use at once (both programming errors), or a closed connection.
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
