"""`event-trio dead-letters` against a running service whose broker is down, on which no command depends."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import async_sessionmaker

from event_trio.contracts.orders import OrderConfirmed
from event_trio.database.connections import create_engine
from event_trio.envelope import uuid7
from event_trio.inbox.states import DeferredState, Status
from services.notification.main import NAME, build
from services.notification.settings import NotificationSettings
from tests.support.command import CommandResult, event_trio
from tests.support.consuming import delivery_of
from tests.support.databases import TestDatabase, execute, fetch
from tests.support.events import envelope_of
from tests.support.serving import serving
from tools.cli.client import ApiClient
from tools.cli.errors import CommandFailed
from tools.cli.message_changes import change_at_one
from tools.cli.output import Output
from tools.cli.session import Session

WHY = ("--reason", "the carrier is back")


@pytest.fixture
async def letters(notifications_database: TestDatabase) -> list[str]:
    """Three dead letters of two groups; returns their event ids."""
    engine = create_engine(notifications_database.url_for("notification_api"), application_name="test")
    ids = []
    async with async_sessionmaker(engine).begin() as session:
        for group, sequence in (("a", 2), ("a", 3), ("b", 2)):
            payload = OrderConfirmed(order_id=uuid7(), customer_id="c-1")
            event = envelope_of(payload, subject=group, sequence=sequence, source="/services/order")
            await delivery_of(event, NAME).defer(
                session, DeferredState(Status.DEAD, "rejected", "no such address", attempts=1)
            )
            ids.append(str(event.id))
    await engine.dispose()
    return ids


@pytest.fixture
async def service_url(notifications_database: TestDatabase) -> AsyncIterator[str]:
    settings = NotificationSettings(
        database_url=SecretStr(notifications_database.url_for("notification_api")),
        aws_endpoint_url="http://127.0.0.1:9",
        queue_wait_seconds=1,
        drain_seconds=2,
    )
    async with serving(build(settings)) as url:
        yield url


async def command(url: str, *arguments: str, answer: str | None = None) -> CommandResult:
    return await event_trio("dead-letters", *arguments, answer=answer, EVENT_TRIO_CONSUMER_URL=url)


async def test_dead_letters_are_listed_and_shown(service_url: str, letters: list[str]) -> None:
    listed = await command(service_url, "list", "--json")
    assert [item["event_id"] for item in listed.data["items"]] == letters[::-1]
    assert "no such address" in (await command(service_url, "list", "--group", "b")).out
    shown = await command(service_url, "show", letters[0], "--json")
    assert (shown.data["envelope"][0], shown.data["masked"], shown.data["actions"]) == ("{", [], [])
    again = await command(service_url, "show", letters[0], "--reason", "the customer asked", "--json")
    assert [(action["action"], action["reason"]) for action in again.data["actions"]] == [
        ("reveal", "the customer asked")
    ]
    assert (await command(service_url, "show", "unheard")).status == 1


async def test_a_redrive_is_previewed_confirmed_and_audited(
    service_url: str, letters: list[str], notifications_database: TestDatabase
) -> None:
    dry = await command(service_url, "redrive", "--all", "--dry-run", *WHY, "--json")
    assert [item["event_id"] for item in dry.data["items"]] == letters
    refused = await command(service_url, "redrive", "--group", "a", *WHY, answer="n\n")
    assert refused.status == 1
    for selection in ((), ("--all", "--group", "a"), ("--all", letters[0])):
        invalid = await command(service_url, "redrive", *selection, "--yes", *WHY)
        assert (invalid.status, invalid.out) == (2, "")
        assert "--all" in invalid.err
    count = "SELECT count(*) FROM operator_action"
    assert [tuple(row) for row in await fetch(notifications_database.url, count)] == [(0,)]
    done = await command(service_url, "redrive", "--group", "a", "--rate", "0.001", "--yes", *WHY, "--json")
    assert [item["event_id"] for item in done.data["items"]] == letters[:2]
    found = await fetch(notifications_database.url, "SELECT event_id, action, actor, reason FROM operator_action")
    assert [tuple(row) for row in found] == [(id, "redrive", "local", "the carrier is back") for id in letters[:2]]


async def test_a_dead_letter_is_discarded(
    service_url: str, letters: list[str], notifications_database: TestDatabase
) -> None:
    assert (await command(service_url, "discard", letters[2], "--yes", *WHY)).status == 0
    outcome = f"SELECT outcome FROM processed_message WHERE event_id = '{letters[2]}'"
    assert [tuple(row) for row in await fetch(notifications_database.url, outcome)] == [("discarded",)]
    assert len((await command(service_url, "list", "--json")).data["items"]) == 2


class RecordedOutput(Output):
    """Keeps the JSON that a command prints."""

    def __init__(self) -> None:
        super().__init__(as_json=True)
        self.data: Any = None

    def json(self, value: object) -> None:
        self.data = value


def redrive_all(url: str, *, dry_run: bool = False) -> RecordedOutput:
    """Redrive in this process, so that the limit of a call can be lowered, at one event in 100 s."""
    output, api = RecordedOutput(), ApiClient(url, None, hint="")
    body = {"all": True, "reason": "why", "per_second": 0.01}
    try:
        change_at_one(Session(api, output), "redrive", body, dry_run=dry_run, yes=True)
    except CommandFailed as failure:
        output.data["failure"] = str(failure)
    finally:
        api.close()
    return output


async def test_a_large_change_is_split_into_calls_at_the_requested_rate(
    service_url: str, letters: list[str], notifications_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("tools.cli.batch_change.CALL_LIMIT", 2)
    monkeypatch.setattr("tools.cli.batch_change.sleep", pauses.append)
    dry = await asyncio.to_thread(redrive_all, service_url, dry_run=True)
    assert [item["event_id"] for item in dry.data["items"]] == letters
    done = await asyncio.to_thread(redrive_all, service_url)
    assert [item["event_id"] for item in done.data["items"]] == letters
    assert "failure" not in done.data
    [pause] = pauses
    assert 190 < pause <= 200
    [(traced,)] = await fetch(notifications_database.url, "SELECT count(*) FROM operator_action")
    assert traced == 3


async def test_an_interrupted_change_reports_its_progress(
    service_url: str, letters: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tools.cli.batch_change.CALL_LIMIT", 2)
    monkeypatch.setattr("tools.cli.batch_change.sleep", interrupt)
    stopped = await asyncio.to_thread(redrive_all, service_url)
    assert [item["event_id"] for item in stopped.data["items"]] == letters[:2]
    assert stopped.data["failure"] == "stopped after 2 of 3 changes; the rest is unchanged"
    left = await asyncio.to_thread(redrive_all, service_url, dry_run=True)
    assert letters[2] in [item["event_id"] for item in left.data["items"]]


async def test_an_event_that_fails_again_during_a_redrive_is_not_redriven_twice(
    service_url: str, letters: list[str], notifications_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_again(_: float) -> None:
        asyncio.run(execute(notifications_database.url, "UPDATE deferred_message SET status = 'dead', due_at = NULL"))

    monkeypatch.setattr("tools.cli.batch_change.CALL_LIMIT", 2)
    monkeypatch.setattr("tools.cli.batch_change.sleep", fail_again)
    done = await asyncio.to_thread(redrive_all, service_url)
    assert [item["event_id"] for item in done.data["items"]] == letters
