"""One table classifies the errors of the database, however they are wrapped."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_connection, AsyncAdapt_asyncpg_dbapi
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from event_trio.database.faults import DATABASE_FAULTS, Fault, fault_of, lock_not_available

CLASSES = {
    Fault.UNAVAILABLE: "08000 08003 08006 08P01 25006 28000 28P01 3D000 53000 53100 53200 53300 57P01 57P02 57P03 "
    "58030",
    Fault.TRANSIENT: "25P03 25P04 26000 40001 40P01 55006 55P03 57014 72000 XX000 XX001",
    Fault.NOT_MIGRATED: "3F000 42501 42P01",
    Fault.STATEMENT: "0A000 21000 22001 22003 22021 22P02 23502 23503 23505 23514 25P02 42601 42703 42883 54000 55000 "
    "P0001",
}
STATES = [(state, fault) for fault, states in CLASSES.items() for state in states.split()]
# What asyncpg raises of its own accord, by what it says.
CLIENT: dict[type[Exception], dict[str, Fault]] = {
    asyncpg.InterfaceError: {
        "cannot perform operation: connection is closed": Fault.UNAVAILABLE,
        "pool is closed": Fault.UNAVAILABLE,
        "cannot perform operation: another operation is in progress": Fault.STATEMENT,
        "something new": Fault.TRANSIENT,
    },
    asyncpg.InternalClientError: {
        # After the server's FATAL, until the connection has ended.
        "cannot switch to state 12; another operation (2) is in progress": Fault.UNAVAILABLE,
        'cannot switch to state 12; protocol is in the "failed" state': Fault.UNAVAILABLE,
        'cannot switch to "idle" state; protocol is in the "failed" state': Fault.UNAVAILABLE,
        "not connected": Fault.UNAVAILABLE,
        "got result for unknown protocol state 3": Fault.TRANSIENT,
    },
    asyncpg.exceptions.ProtocolError: {"the number of columns in the result row is different": Fault.TRANSIENT},
    asyncpg.exceptions.OutdatedSchemaCacheError: {"unexpected number of attributes": Fault.TRANSIENT},
    asyncpg.exceptions.TargetServerAttributeNotMatched: {"None of the hosts match": Fault.UNAVAILABLE},
    asyncpg.exceptions._base.DataError: {"invalid input for query argument $1": Fault.STATEMENT},
    asyncpg.exceptions.ClientConfigurationError: {"could not match 2 port numbers to 1 hosts": Fault.STATEMENT},
    asyncpg.UnsupportedClientFeatureError: {"not supported": Fault.TRANSIENT},
    asyncpg.exceptions.UnsupportedServerFeatureError: {"not supported": Fault.TRANSIENT},
}
SAID = [(kind, text, fault) for kind, texts in CLIENT.items() for text, fault in texts.items()]
DRIVER: Any = AsyncAdapt_asyncpg_dbapi(asyncpg)  # type: ignore[no-untyped-call]
SERVERS = (asyncpg.PostgresError, asyncpg.PostgresLogMessage)
# A warning, which is given and not raised; and bytes that a codec cannot read, which is a mistake of the driver's.
NOBODYS = {asyncpg.InterfaceWarning, asyncpg.pgproto.pgproto.BufferError}


def adapted(error: Exception) -> Exception:
    """The error as SQLAlchemy's adapter raises it, before an engine wraps it."""
    with pytest.raises(AsyncAdapt_asyncpg_dbapi.Error) as caught:
        AsyncAdapt_asyncpg_connection._handle_exception_no_connection(DRIVER, error)
    return caught.value


def kinds(of: type[BaseException] = Exception) -> Iterator[type[BaseException]]:
    for kind in of.__subclasses__():
        yield kind
        yield from kinds(kind)


def wrapped(state: str | None, cause: BaseException | None = None, *, lost: bool = False) -> DBAPIError:
    adapted = type("Adapted", (Exception,), {"sqlstate": state})("text")
    adapted.__cause__ = cause
    return DBAPIError("SELECT 1", None, adapted, connection_invalidated=lost)


@pytest.mark.parametrize(("state", "fault"), STATES)
def test_each_sqlstate_has_one_fault_raw_and_wrapped(state: str, fault: Fault) -> None:
    bare = asyncpg.PostgresError.new({"C": state, "M": "text"})
    assert [fault_of(error) for error in (bare, wrapped(state, bare), adapted(bare))] == [fault] * 3


@pytest.mark.parametrize(("kind", "text", "fault"), SAID)
def test_each_driver_error_has_one_fault(kind: type[Exception], text: str, fault: Fault) -> None:
    bare = kind(text)
    between = adapted(bare)
    whole = DBAPIError.instance("SELECT 1", None, between, AsyncAdapt_asyncpg_dbapi.Error)
    assert [fault_of(error) for error in (bare, between, whole)] == [fault] * 3
    assert isinstance(bare, DATABASE_FAULTS)


def test_errors_on_a_closing_connection_are_recognised() -> None:
    hidden = asyncpg.InterfaceError("cannot perform operation: another operation is in progress")
    hidden.__context__ = asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")
    assert fault_of(hidden) is Fault.UNAVAILABLE


def test_errors_that_cause_each_other_are_classified() -> None:
    error = asyncpg.InterfaceError("cannot perform operation: another operation is in progress")
    error.__cause__ = asyncpg.InterfaceError("connection is closed")
    error.__cause__.__context__ = error
    assert fault_of(error) is Fault.STATEMENT


def test_every_driver_error_class_is_covered() -> None:
    spoken = {kind for kind in kinds() if kind.__module__.split(".")[0] == "asyncpg" and kind.__name__[0] != "_"}
    assert {kind for kind in spoken if not issubclass(kind, SERVERS)} == {*CLIENT, *NOBODYS}
    assert {fault_of(kind("x")) for kind in NOBODYS} == {None}


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (wrapped("42601", lost=True), Fault.UNAVAILABLE),
        (asyncpg.DataError("invalid input for query argument $1"), Fault.STATEMENT),
        (wrapped(None, asyncpg.DataError("invalid input")), Fault.STATEMENT),
        (wrapped("0A000", asyncpg.InvalidCachedStatementError("the plan has changed")), Fault.TRANSIENT),
        (InterfaceError("SELECT 1", None, Exception("unknown")), Fault.TRANSIENT),
        (PoolExhausted("none free"), Fault.TRANSIENT),
        (ConnectionRefusedError(), Fault.UNAVAILABLE),
        (TimeoutError(), Fault.UNAVAILABLE),
        (ValueError("x"), None),
        (KeyboardInterrupt(), None),
    ],
)
def test_errors_without_sqlstate_are_classified(error: BaseException, fault: Fault | None) -> None:
    assert fault_of(error) is fault


def test_a_missing_file_is_not_a_database_fault() -> None:
    with pytest.raises(OSError) as caught:
        Path("/nowhere/template.txt").read_text()
    assert fault_of(caught.value) is None


def test_a_lock_timeout_is_recognised() -> None:
    assert lock_not_available(wrapped("55P03"))
    assert not lock_not_available(wrapped("40P01"))
