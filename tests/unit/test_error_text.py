"""Errors are described by type, code and line of code, and their texts are not quoted."""

import asyncio
import io
import json
import logging as stdlib_logging
from collections.abc import Callable, Iterator

import aiosmtplib
import asyncpg
import pytest
import structlog
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError, IntegrityError

from event_trio.consumer.errors import Reject
from event_trio.error_text import describe, field_path, operator_text, raised_at
from event_trio.observability import logging

CANARY = "ada@example.com"


class Model(BaseModel):
    number: int
    recipients: dict[str, int] = {}


def from_driver() -> asyncpg.PostgresError:
    return asyncpg.CheckViolationError.new(
        {
            "S": "ERROR",
            "C": "23514",
            "M": f'new row for relation "orders" violates a check {CANARY}',
            "D": f"Failing row contains ({CANARY})",
            "t": "orders",
            "n": "orders_total_check",
        }
    )


def wrapped() -> DBAPIError:
    """An error wrapped by SQLAlchemy, which quotes the statement and the driver's text."""
    adapted = type("CheckViolationError", (Exception,), {"sqlstate": "23514"})(f"{CANARY}")
    adapted.__cause__ = from_driver()
    error = IntegrityError(f"INSERT INTO orders VALUES ('{CANARY}')", {"a": CANARY}, adapted)
    error.__cause__ = adapted
    return error


def invalid() -> Exception:
    with pytest.raises(ValueError) as caught:
        Model.model_validate({"number": CANARY, "recipients": {CANARY: CANARY}})
    return caught.value


ERRORS: list[tuple[Callable[[], BaseException], str]] = [
    (from_driver, "CheckViolationError (23514, table orders, constraint orders_total_check)"),
    (wrapped, "IntegrityError (23514, table orders, constraint orders_total_check)"),
    (invalid, "ValidationError (number: int_parsing, recipients.?: int_parsing)"),
    (lambda: aiosmtplib.SMTPRecipientRefused(550, f"no {CANARY}", CANARY), "SMTPRecipientRefused (550)"),
    (lambda: FileNotFoundError(2, CANARY, CANARY), "FileNotFoundError (ENOENT)"),
    (lambda: ExceptionGroup(CANARY, [KeyError(CANARY), from_driver()]), "ExceptionGroup (KeyError, CheckViol"),
    (lambda: KeyError(CANARY), "KeyError"),
    (lambda: UnicodeEncodeError("ascii", CANARY, 0, 1, CANARY), "UnicodeEncodeError"),
]


@pytest.mark.parametrize(("make", "said"), ERRORS)
def test_errors_of_others_are_described_by_type_and_code(make: Callable[[], BaseException], said: str) -> None:
    assert describe(make()).startswith(said)
    assert CANARY not in describe(make())


def test_errors_of_this_library_keep_their_text() -> None:
    assert describe(Reject("for a reason")) == "Reject: for a reason"
    assert operator_text(Reject("for a reason")) == "for a reason"


def test_operators_see_the_text_of_the_handler_but_not_of_libraries() -> None:
    assert operator_text(RuntimeError("never")) == "RuntimeError: never"
    assert operator_text(RuntimeError()) == "RuntimeError"
    for make in (from_driver, wrapped, invalid, ERRORS[3][0], ERRORS[5][0]):
        assert CANARY not in operator_text(make())


def test_field_paths_do_not_quote_the_input() -> None:
    assert field_path(["lines", 0, "quantity"]) == "lines.0.quantity"
    assert field_path([CANARY, "x" * 100, ""]) == "?.?.?"
    assert field_path([]) == "data"


def test_the_place_is_the_innermost_frame_of_own_code() -> None:
    with pytest.raises(ValueError) as caught:
        json.loads("{")
    assert (raised_at(caught.value) or "").startswith(f"{__name__}:")
    assert raised_at(ValueError()) is None


@pytest.fixture(params=["json", "console"])
def lines(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """The log lines in both formats."""
    root, stream = stdlib_logging.getLogger(), io.StringIO()
    handlers, level, filters = root.handlers[:], root.level, stdlib_logging.getLogger("asyncio").filters[:]
    logging.configure("tested", "debug", request.param, stream)
    yield stream
    root.handlers, root.level = handlers, level
    stdlib_logging.getLogger("asyncio").filters = filters
    stdlib_logging.captureWarnings(False)


@pytest.mark.parametrize("make", [make for make, _ in ERRORS])
def test_no_log_line_quotes_an_error(make: Callable[[], BaseException], lines: io.StringIO) -> None:
    log, library = structlog.get_logger("ours"), stdlib_logging.getLogger("a.library")
    try:
        try:
            raise make()
        except BaseException as error:
            raise RuntimeError("while it was handled") from error
    except RuntimeError as error:
        log.exception("failed", action="tested.failed")
        log.error("failed", action="tested.failed", error=error, exc_info=error)
        library.exception("failed in a library")
        library.error("failed with %s", "a reason", exc_info=error)
    said = lines.getvalue()
    assert said.count("Traceback") >= 8
    assert f'{__name__.rpartition(".")[2]}.py"' in said.replace('\\"', '"')
    assert type(make()).__name__ in said
    assert CANARY not in said


async def test_an_unawaited_task_is_not_quoted(lines: io.StringIO) -> None:
    async def fail() -> None:
        raise from_driver()

    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    asyncio.get_running_loop().call_exception_handler(
        {"message": "Task exception was never retrieved", "exception": task.exception(), "future": task}
    )
    assert "never retrieved" in lines.getvalue()
    assert CANARY not in lines.getvalue()


def test_an_error_that_quotes_its_cause_is_not_quoted(lines: io.StringIO) -> None:
    def fail() -> None:
        try:
            raise from_driver()
        except asyncpg.PostgresError as error:
            raise RuntimeError(f"not stored: {error}") from None

    with pytest.raises(RuntimeError) as caught:
        fail()
    structlog.get_logger("ours").error("failed", action="tested.failed", exc_info=caught.value)
    assert CANARY not in operator_text(caught.value)
    assert CANARY not in lines.getvalue()


def test_an_error_with_a_text_of_own_code_is_quoted(lines: io.StringIO) -> None:
    try:
        raise RuntimeError("the carrier is unknown")
    except RuntimeError:
        structlog.get_logger("ours").exception("failed", action="tested.failed")
    assert "RuntimeError: the carrier is unknown" in lines.getvalue()
