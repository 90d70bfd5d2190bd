"""Operators' actions on messages, and the current state of messages."""

from collections.abc import AsyncIterator

import httpx
import pytest

from services.order.main import build
from tests.support.databases import TestDatabase, execute
from tests.support.letters import three_letters
from tests.support.order_service import settings
from tests.support.web import client

DONE = """
INSERT INTO operator_action (consumer, event_id, message_group, action, reason, actor, attempts)
SELECT 'order', 'e-' || n, 'g-' || n, 'redrive', 'because', 'olga', n FROM generate_series(1, 3) n
"""
OF_ANOTHER = DONE.replace("'order'", "'another'")


@pytest.fixture
async def api(orders_database: TestDatabase) -> AsyncIterator[httpx.AsyncClient]:
    await execute(orders_database.url, *three_letters("order"), DONE, OF_ANOTHER)
    async with client(build(settings(orders_database))) as found:
        yield found


async def test_actions_are_listed_newest_first_in_pages_and_filtered(api: httpx.AsyncClient) -> None:
    first = (await api.get("/v1/operator-actions", params={"limit": 2})).json()
    assert [item["event_id"] for item in first["items"]] == ["e-3", "e-2"]
    rest = (await api.get("/v1/operator-actions", params={"cursor": first["next_cursor"]})).json()
    assert ([item["event_id"] for item in rest["items"]], rest["next_cursor"]) == (["e-1"], None)
    assert rest["items"][0]["reason"] == "because"
    for criteria in ({"event_id": "e-2"}, {"group": "g-2"}):
        found = (await api.get("/v1/operator-actions", params=criteria)).json()["items"]
        assert [item["event_id"] for item in found] == ["e-2"]
    assert (await api.get("/v1/operator-actions", params={"actor": "nobody"})).json()["items"] == []


async def test_states_are_those_of_known_messages(api: httpx.AsyncClient, orders_database: TestDatabase) -> None:
    await execute(
        orders_database.url,
        "UPDATE deferred_message SET status = 'waiting', due_at = now() + interval '1 day', attempts = 2 "
        "WHERE event_id = 'e-2'",
        "DELETE FROM deferred_message WHERE event_id = 'e-3'",
        "UPDATE processed_message SET outcome = 'handled' WHERE event_id = 'e-3'",
    )
    answer = await api.get("/v1/message-states", params={"event_id": ["e-1", "e-2", "e-3", "e-4"]})
    found = {item["event_id"]: (item["state"], item["attempts"]) for item in answer.json()["items"]}
    assert found == {"e-1": ("dead", 0), "e-2": ("waiting", 2), "e-3": ("handled", 0)}


@pytest.mark.parametrize("query", ["", "event_id=%00", "event_id=", "&".join(f"event_id={n}" for n in range(101))])
async def test_invalid_queries_are_rejected(api: httpx.AsyncClient, query: str) -> None:
    assert (await api.get(f"/v1/message-states?{query}")).status_code == 422
