"""`event-trio deferred` against a running service."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.order.main import build
from tests.support.command import CommandResult, event_trio
from tests.support.databases import TestDatabase, execute, fetch
from tests.support.letters import waiting
from tests.support.order_service import settings
from tests.support.serving import serving

WHY = ("--reason", "the carrier is back")


@pytest.fixture
async def url(orders_database: TestDatabase) -> AsyncIterator[str]:
    await execute(orders_database.url, *waiting("order"))
    async with serving(build(settings(orders_database))) as found:
        yield found


async def command(url: str, *arguments: str, answer: str | None = None) -> CommandResult:
    return await event_trio("deferred", *arguments, answer=answer, EVENT_TRIO_CONSUMER_URL=url)


async def test_deferred_events_are_listed_and_shown(url: str) -> None:
    listed, filtered, shown = await asyncio.gather(
        command(url, "list"),
        command(url, "list", "--status", "blocked", "--group", "a", "--since", "1h", "--json"),
        command(url, "show", "a-1"),
    )
    assert all(event in listed.out for event in ("a-1", "b-1", "c-2", "Order service"))
    assert f"Order service ({url}): 5 rows" in listed.err
    assert "c-1" not in listed.out
    assert [item["event_id"] for item in filtered.data["items"]] == ["a-3", "a-2"]
    assert all(fact in shown.out for fact in ("waiting", "because", "•••", url))


async def test_a_change_is_confirmed_and_audited(url: str, orders_database: TestDatabase) -> None:
    refused, behind, invalid = await asyncio.gather(
        command(url, "run", "--all", *WHY, answer="n\n"),
        command(url, "run", "a-2", "--yes", *WHY),
        command(url, "discard", "--yes", *WHY),
    )
    assert refused.status == 1
    assert f"run 2 deferred events at Order service ({url})?" in refused.err
    assert (behind.status, "a-1" in behind.err, "run that one now" in behind.err) == (1, True, True)
    assert (invalid.status, "--all" in invalid.err) == (2, True)
    traces = "SELECT event_id, action, actor, reason FROM operator_action ORDER BY id"
    assert await fetch(orders_database.url, traces) == []
    ran = await command(url, "run", "a-1", "--yes", *WHY, "--json")
    discarded = await command(url, "discard", "--status", "blocked", "--group", "a", "--yes", *WHY)
    assert [item["event_id"] for item in ran.data["items"]] == ["a-1"]
    assert "discard: 2 deferred events" in discarded.err
    assert [tuple(row) for row in await fetch(orders_database.url, traces)] == [
        ("a-1", "run_now", "local", "the carrier is back"),
        ("a-2", "discard", "local", "the carrier is back"),
        ("a-3", "discard", "local", "the carrier is back"),
    ]
