"""An order's events over REST: from its history, with their progress in the outbox."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.databases import TestDatabase, execute
from tests.support.order_service import order_service, place
from tests.support.tokens import AUDIENCE, ISSUER, Issuer


@pytest.fixture
async def api(orders_database: TestDatabase) -> AsyncIterator[httpx.AsyncClient]:
    async with order_service(orders_database) as found:
        yield found


async def first(api: httpx.AsyncClient, order: dict[str, Any]) -> dict[str, Any]:
    answer = await api.get(f"/v1/orders/{order['id']}/events/1")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_an_event_shows_its_payload(api: httpx.AsyncClient) -> None:
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
async def test_an_event_shows_its_progress(
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


async def test_a_republished_event_shows_count_and_staleness(
    api: httpx.AsyncClient, orders_database: TestDatabase
) -> None:
    order = await place(api)
    await api.post(f"/v1/orders/{order['id']}/confirm")

    async def marks() -> list[tuple[int, bool]]:
        items = (await api.get(f"/v1/orders/{order['id']}/events")).json()["items"]
        return [(item["republished"], item["stale"]) for item in items]

    assert await marks() == [(0, False), (0, False)]
    again = "UPDATE outbox_event SET sent_at = NULL, republished = republished + 1"
    await execute(orders_database.url, "UPDATE outbox_event SET sent_at = now()", again)
    assert await marks() == [(1, False), (1, False)]
    await execute(orders_database.url, "UPDATE outbox_event SET sent_at = now() WHERE sequence = 2")
    assert await marks() == [(1, True), (1, False)]
    await execute(orders_database.url, "UPDATE outbox_event SET sent_at = now() WHERE sequence = 1")
    assert await marks() == [(1, True), (1, False)]
    await execute(orders_database.url, "DELETE FROM outbox_event")
    assert await marks() == [(0, False), (0, False)]


async def test_a_held_event_shows_its_time(api: httpx.AsyncClient, orders_database: TestDatabase) -> None:
    order = await place(api)
    assert (await first(api, order))["held_at"] is None
    await execute(orders_database.url, "UPDATE outbox_event SET held_at = '2026-01-02T03:04:05Z'")
    assert (await first(api, order))["held_at"] == "2026-01-02T03:04:05Z"


async def test_an_event_links_to_the_notification_service(orders_database: TestDatabase, tmp_path: Path) -> None:
    issuer = Issuer()
    auth: dict[str, Any] = {
        "auth_jwks": issuer.write_key_set(tmp_path),
        "auth_issuer": ISSUER,
        "auth_audience": AUDIENCE,
        "notification_url": "http://127.0.0.1:8001/",
    }
    async with order_service(orders_database, **auth) as api:
        operator, customer = issuer.bearer("olga", "operator"), issuer.bearer("customer-1", "customer")
        order = await place(api, headers=operator)
        path = f"/v1/orders/{order['id']}/events/1"
        event = (await api.get(path, headers=operator)).json()
        assert event["links"] == {
            "notifications": f"http://127.0.0.1:8001/v1/notifications?order_id={order['id']}",
            "processed": f"http://127.0.0.1:8001/v1/processed-messages?event_id={event['id']}",
        }
        assert list((await api.get(path, headers=customer)).json()["links"]) == ["notifications"]


async def test_without_a_notification_url_there_are_no_links(api: httpx.AsyncClient) -> None:
    assert (await first(api, await place(api)))["links"] == {}


async def test_a_discarded_event_is_not_shown_as_published(orders_database: TestDatabase) -> None:
    """Neither is in the outbox any more; only one of them was confirmed."""
    async with order_service(orders_database) as api:
        order = await place(api)
        await api.post(f"/v1/orders/{order['id']}/confirm")
        events = (await api.get(f"/v1/orders/{order['id']}/events")).json()["items"]
        placed, confirmed = [event["id"] for event in events]
        audit = "INSERT INTO outbox_audit (actor, action, reason, event_id) VALUES ('olga', '{}', 'why', '{}')"
        await execute(
            orders_database.url,
            audit.format("hold", placed),
            audit.format("discard", confirmed),
            "DELETE FROM outbox_event",
        )
        found = (await api.get(f"/v1/orders/{order['id']}/events")).json()["items"]
    assert [(event["id"], event["status"]) for event in found] == [(placed, "published"), (confirmed, "discarded")]
