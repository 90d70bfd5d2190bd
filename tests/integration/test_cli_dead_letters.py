"""`event-trio dead-letters` against a running service whose broker is down: nothing that it does depends on that."""

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import async_sessionmaker

from services.notification.main import NAME, build
from services.notification.settings import NotificationSettings
from shared.contracts.orders import OrderConfirmed
from shared.database import create_engine
from shared.envelope import new_event_id
from shared.inbox.arrival import Arrival
from shared.inbox.deferred import Aside, Status
from shared.inbox.guard import Identity
from tests.support.command import Ran, event_trio
from tests.support.databases import TestDatabase, fetch
from tests.support.events import envelope_of
from tests.support.serving import serving

WHY = ("--reason", "the carrier is back")


@pytest.fixture
async def letters(notifications_database: TestDatabase) -> list[str]:
    """Three dead letters of two groups; returns their event ids."""
    engine = create_engine(notifications_database.url_for("notification_api"), application_name="test")
    ids = []
    async with async_sessionmaker(engine).begin() as session:
        for group, sequence in (("a", 2), ("a", 3), ("b", 2)):
            payload = OrderConfirmed(order_id=new_event_id(), customer_id="c-1")
            event = envelope_of(payload, subject=group, sequence=sequence, source="/services/order")
            arrival = Arrival(Identity.of(NAME, event, message_id="m", group=group), event.to_bytes(), {})
            await arrival.put_aside(session, Aside(Status.DEAD, "rejected", "no such address", attempts=1))
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


async def command(url: str, *arguments: str, answer: str | None = None) -> Ran:
    return await event_trio("dead-letters", *arguments, answer=answer, EVENT_TRIO_CONSUMER_URL=url)


async def test_they_are_listed_and_shown(service_url: str, letters: list[str]) -> None:
    listed = await command(service_url, "list", "--json")
    assert [item["event_id"] for item in listed.data["items"]] == letters[::-1]
    assert "no such address" in (await command(service_url, "list", "--group", "b")).out
    shown = await command(service_url, "show", letters[0], "--json")
    assert shown.data["envelope"].startswith("{")
    assert (await command(service_url, "show", "unheard")).status == 1


async def test_a_redrive_says_what_it_would_do_asks_and_leaves_a_trace(
    service_url: str, letters: list[str], notifications_database: TestDatabase
) -> None:
    dry = await command(service_url, "redrive", "--all", "--dry-run", *WHY, "--json")
    assert [item["event_id"] for item in dry.data["items"]] == letters
    refused = await command(service_url, "redrive", "--group", "a", *WHY, answer="n\n")
    assert refused.status == 1
    meant_nothing = await command(service_url, "redrive", "--yes", *WHY)
    assert meant_nothing.status == 1
    assert "say which" in meant_nothing.err
    count = "SELECT count(*) FROM operator_action"
    assert [tuple(row) for row in await fetch(notifications_database.url, count)] == [(0,)]
    done = await command(service_url, "redrive", "--group", "a", "--rate", "0.001", "--yes", *WHY, "--json")
    assert [item["event_id"] for item in done.data["items"]] == letters[:2]
    found = await fetch(notifications_database.url, "SELECT event_id, action, actor, reason FROM operator_action")
    assert [tuple(row) for row in found] == [(id, "redrive", "local", "the carrier is back") for id in letters[:2]]


async def test_a_discard_gives_one_up(
    service_url: str, letters: list[str], notifications_database: TestDatabase
) -> None:
    assert (await command(service_url, "discard", letters[2], "--yes", *WHY)).status == 0
    outcome = f"SELECT outcome FROM processed_message WHERE event_id = '{letters[2]}'"
    assert [tuple(row) for row in await fetch(notifications_database.url, outcome)] == [("discarded",)]
    assert len((await command(service_url, "list", "--json")).data["items"]) == 2
