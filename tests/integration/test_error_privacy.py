"""Rows and log lines of a failed handler contain the error and its place, but no personal data."""

from collections.abc import Awaitable, Callable
from typing import Any

import aiosmtplib
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trio.consumer.errors import Reject
from event_trio.consumer.event import Event
from event_trio.consumer.policies import DeadLetter, FailurePolicy
from event_trio.consumer.router import Router
from event_trio.contracts.orders import OrderPlaced
from event_trio.testing import MemoryQueue
from tests.support.consuming import QUICK, Counted, consumer_with, rows
from tests.support.databases import TestDatabase, execute
from tests.support.events import envelope_of

CANARY = "ada@example.com"
Failing = Callable[[AsyncSession], Awaitable[None]]


async def violate(session: AsyncSession) -> None:
    insert = text("INSERT INTO lettered (email) VALUES (:email)")
    await session.execute(insert, {"email": CANARY})


async def quote(session: AsyncSession) -> None:
    try:
        await violate(session)
    except Exception as error:
        raise RuntimeError(f"cannot keep it: {error}") from error


async def validate(session: AsyncSession) -> None:
    OrderPlaced.model_validate({"recipient": CANARY, CANARY: CANARY})


async def send(session: AsyncSession) -> None:
    raise aiosmtplib.SMTPRecipientsRefused([aiosmtplib.SMTPRecipientRefused(550, CANARY, CANARY)])


async def look_up(session: AsyncSession) -> None:
    known: dict[str, int] = {}
    known[CANARY] += 1


async def reject(session: AsyncSession) -> None:
    raise Reject("not known here")


async def run(database: TestDatabase, failing: Failing, policy: FailurePolicy, outcome: str) -> str:
    """The error in the row, if there is one."""
    await execute(
        database.url,
        "CREATE TABLE lettered (email text CONSTRAINT lettered_nobody CHECK (email = 'nobody'))",
        "GRANT INSERT ON lettered TO notification_api",
    )

    async def record(session: AsyncSession, event: Event[Counted], acted: Any) -> None:
        await failing(session)

    queue, router = MemoryQueue(), Router()
    router.handle(Counted, record, policy=policy)
    async with consumer_with(database, queue, router) as tested:
        event = envelope_of(Counted())
        queue.send(event)
        if outcome == "retry":
            await tested.signals.wait("consumer.postponed")
        else:
            await tested.completed(event.id, outcome)
    found = await rows(database, "SELECT error FROM deferred_message")
    return str(found[0][0]) if found else ""


@pytest.mark.parametrize(
    ("failing", "said"),
    [
        (violate, "IntegrityError (23514, table lettered, constraint lettered_nobody)"),
        (quote, "RuntimeError"),
        (validate, "ValidationError ("),
        (send, "SMTPRecipientsRefused"),
        (look_up, "KeyError"),
        (reject, "not known here"),
    ],
)
@pytest.mark.parametrize("outcome", ["dead_letter", "retry"])
async def test_row_and_log_contain_the_error_and_its_place(
    notifications_database: TestDatabase, capsys: pytest.CaptureFixture[str], failing: Failing, said: str, outcome: str
) -> None:
    if failing is reject and outcome == "retry":
        return  # what is rejected is never repeated
    policy = QUICK if outcome == "retry" else DeadLetter()
    kept = await run(notifications_database, failing, policy, outcome)
    output = capsys.readouterr().out
    action = "consumer.retry_scheduled" if outcome == "retry" else "consumer.dead_letter"
    [line, *_] = [line for line in output.splitlines() if f"action={action}" in line]
    assert said in line
    assert "error=" in line
    assert f"at={__name__}:" in line
    assert CANARY not in output
    assert CANARY not in kept
    assert outcome == "retry" or said in kept
