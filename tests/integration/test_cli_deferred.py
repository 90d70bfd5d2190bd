"""`event-trio deferred` against a running service."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.order.main import build
from tests.support.command import Ran, event_trio
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


async def command(url: str, *arguments: str, answer: str | None = None) -> Ran:
    return await event_trio("deferred", *arguments, answer=answer, EVENT_TRIO_CONSUMER_URL=url)


async def test_what_waits_is_listed_and_shown(url: str) -> None:
    list_items, narrowed, shown = await asyncio.gather(
        command(url, "list"),
        command(url, "list", "--status", "blocked", "--group", "a", "--since", "1h", "--json"),
        command(url, "show", "a-1"),
    )
    assert all(event in list_items.out for event in ("a-1", "b-1", "c-2", "Order service"))
    assert f"5 rows of Order service ({url})" in list_items.err
    assert "c-1" not in list_items.out
    assert [item["event_id"] for item in narrowed.data["items"]] == ["a-3", "a-2"]
    assert all(fact in shown.out for fact in ("waiting", "because", "{}", url))


async def test_a_change_says_what_it_would_do_asks_and_leaves_a_trace(url: str, orders_database: TestDatabase) -> None:
    refused, behind, meant_nothing = await asyncio.gather(
        command(url, "run", "--all", *WHY, answer="n\n"),
        command(url, "run", "a-2", "--yes", *WHY),
        command(url, "discard", "--yes", *WHY),
    )
    assert refused.status == 1
    assert f"run 2 waiting events at Order service ({url})?" in refused.err
    assert (behind.status, "a-1" in behind.err, "run that one now" in behind.err) == (1, True, True)
    assert (meant_nothing.status, "--all" in meant_nothing.err) == (2, True)
    traces = "SELECT event_id, action, actor, reason FROM operator_action ORDER BY id"
    assert await fetch(orders_database.url, traces) == []
    ran = await command(url, "run", "a-1", "--yes", *WHY, "--json")
    given_up = await command(url, "discard", "--status", "blocked", "--group", "a", "--yes", *WHY)
    assert [item["event_id"] for item in ran.data["items"]] == ["a-1"]
    assert "discard: 2 waiting events" in given_up.err
    assert [tuple(row) for row in await fetch(orders_database.url, traces)] == [
        ("a-1", "run_now", "local", "the carrier is back"),
        ("a-2", "discard", "local", "the carrier is back"),
        ("a-3", "discard", "local", "the carrier is back"),
    ]
