"""Which errors say nothing about the event."""

from typing import ClassVar

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from event_trio.consumer.errors import Reject, describe, is_database_failure


class DriverError(Exception):
    """What a driver raises."""

    sqlstate: ClassVar[str | None] = None


def raised(state: str | None, statement: str | None = "SELECT 1", *, lost: bool = False) -> DBAPIError:
    orig = type("WithState", (DriverError,), {"sqlstate": state})("ada@example.com")
    return DBAPIError(statement, None, orig, connection_invalidated=lost)


@pytest.mark.parametrize(
    "error",
    [
        raised("08006"),
        raised("40001"),
        raised("40P01"),
        raised("53300"),
        raised("55P03"),
        raised("57P01"),
        raised("42601", lost=True),
        raised("3D000", statement=None),
        InterfaceError("SELECT 1", None, DriverError("closed")),
        PoolTimeout("none free"),
        ConnectionRefusedError(),
        TimeoutError(),
    ],
)
def test_these_are_the_databases(error: Exception) -> None:
    assert is_database_failure(error)


@pytest.mark.parametrize(
    "error",
    [
        raised("42P01"),
        raised("42501"),
        raised("22021"),
        IntegrityError(None, None, DriverError("deferred")),
        ValueError("x"),
        Reject("x"),
    ],
)
def test_these_are_the_events(error: Exception) -> None:
    assert not is_database_failure(error)


def test_a_log_line_quotes_only_our_own_errors() -> None:
    assert describe(Reject("for a reason")) == "Reject: for a reason"
    assert describe(ValueError("ada@example.com")) == "ValueError"
    assert describe(raised("23505")) == "DBAPIError (23505)"
