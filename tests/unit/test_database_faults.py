"""One table says whose fault an error of the database is, however it is wrapped and wherever it comes from."""

from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from shared.database_faults import Fault, fault_of, lock_not_available

CLASSES = {
    Fault.DATABASE: "08000 08003 08006 08P01 25006 28000 28P01 3D000 53000 53100 53200 53300 57P01 57P02 57P03 58030",
    Fault.PASSING: "25P03 25P04 26000 40001 40P01 55006 55P03 57014 72000 XX000 XX001",
    Fault.UNPREPARED: "3F000 42501 42P01",
    Fault.OWN: "0A000 21000 22001 22003 22021 22P02 23502 23503 23505 23514 25P02 42601 42703 42883 54000 55000 P0001",
}
STATES = [(state, fault) for fault, states in CLASSES.items() for state in states.split()]


def wrapped(state: str | None, cause: BaseException | None = None, *, lost: bool = False) -> DBAPIError:
    adapted = type("Adapted", (Exception,), {"sqlstate": state})("text")
    adapted.__cause__ = cause
    return DBAPIError("SELECT 1", None, adapted, connection_invalidated=lost)


@pytest.mark.parametrize(("state", "fault"), STATES)
def test_each_state_has_one_meaning_bare_and_wrapped(state: str, fault: Fault) -> None:
    bare = asyncpg.PostgresError.new({"C": state, "M": "text"})
    assert (fault_of(bare), fault_of(wrapped(state, bare))) == (fault, fault)


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (wrapped("42601", lost=True), Fault.DATABASE),
        (asyncpg.InterfaceError("connection is closed"), Fault.DATABASE),
        (asyncpg.InterfaceError("cannot perform operation: another operation is in progress"), Fault.OWN),
        (asyncpg.InterfaceError("something new"), Fault.PASSING),
        (asyncpg.DataError("invalid input for query argument $1"), Fault.OWN),
        (wrapped(None, asyncpg.DataError("invalid input")), Fault.OWN),
        (wrapped("0A000", asyncpg.InvalidCachedStatementError("the plan has changed")), Fault.PASSING),
        (InterfaceError("SELECT 1", None, Exception("unknown")), Fault.PASSING),
        (PoolExhausted("none free"), Fault.PASSING),
        (ConnectionRefusedError(), Fault.DATABASE),
        (TimeoutError(), Fault.DATABASE),
        (ValueError("x"), None),
        (KeyboardInterrupt(), None),
    ],
)
def test_what_has_no_state_is_told_apart_too(error: BaseException, fault: Fault | None) -> None:
    assert fault_of(error) is fault


def test_a_missing_file_is_not_the_databases() -> None:
    with pytest.raises(OSError) as caught:
        Path("/nowhere/template.txt").read_text()
    assert fault_of(caught.value) is None


def test_a_lock_is_told_by_its_state() -> None:
    assert lock_not_available(wrapped("55P03"))
    assert not lock_not_available(wrapped("40P01"))
