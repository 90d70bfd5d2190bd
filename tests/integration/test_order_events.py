"""An order's events over REST: from its history, with what the outbox says of each."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.support.databases import TestDatabase, execute
from tests.support.order_service import order_service, place


@pytest.fixture
async def api(orders_database: TestDatabase) -> AsyncIterator[httpx.AsyncClient]:
    async with order_service(orders_database) as found:
        yield found


async def first(api: httpx.AsyncClient, order: dict[str, Any]) -> dict[str, Any]:
    answer = await api.get(f"/v1/orders/{order['id']}/events/1")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_an_event_shows_what_it_states(api: httpx.AsyncClient) -> None:
    order = await place(api, headers={"X-Correlation-ID": "c-9"})
    event = await first(api, order)
    assert (event["type"], event["sequence"], event["state"]) == ("order.placed", 1, "placed")
    assert (event["correlation_id"], event["occurred_at"]) == ("c-9", order["placed_at"])
    assert event["data"]["lines"] == order["lines"]
    assert (event["status"], event["sent_at"], event["published_at"]) == ("recorded", None, None)
    assert event["recorded_at"] is not None


@pytest.mark.parametrize(
    ("statement", "status"),
    [
        ("UPDATE outbox_event SET sent_at = now()", "sent"),
        ("UPDATE outbox_event SET sent_at = now(), published_at = now()", "published"),
        ("UPDATE outbox_event SET held_at = now()", "held"),
        ("DELETE FROM outbox_event", "published"),
    ],
)
async def test_an_event_shows_how_far_it_came(
    api: httpx.AsyncClient, orders_database: TestDatabase, statement: str, status: str
) -> None:
    order = await place(api)
    await execute(orders_database.url, statement)
    event = await first(api, order)
    assert event["status"] == status
    assert event["data"]["order_id"] == order["id"]


async def test_events_are_listed_in_pages_by_sequence(api: httpx.AsyncClient) -> None:
    order = await place(api)
    for action in ("confirm", "ship", "deliver"):
        await api.post(f"/v1/orders/{order['id']}/{action}")
    path = f"/v1/orders/{order['id']}/events"
    page = (await api.get(path, params={"limit": 3})).json()
    assert [event["sequence"] for event in page["items"]] == [1, 2, 3]
    rest = (await api.get(path, params={"limit": 3, "cursor": page["next_cursor"]})).json()
    assert [event["type"] for event in rest["items"]] == ["order.delivered"]
    assert rest["next_cursor"] is None
