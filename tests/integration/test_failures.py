"""Dead letters and deferred messages that failed alike are one group, with counts and times."""

from collections.abc import AsyncIterator

import httpx
import pytest

from services.order.main import build
from tests.support.databases import TestDatabase, execute
from tests.support.letters import letters, waiting
from tests.support.order_service import settings
from tests.support.web import client

ERRORS = {
    1: "RuntimeError: the carrier answered 503 for order 0197a3c2-1f6e-7c4a-8d09-ca374e2b9f6d",
    2: "RuntimeError: the carrier answered 502 for order 0197a3c2-2222-7c4a-8d09-ca374e2b9f6d",
    3: "DataError (22001, column name)",
    4: "DataError (22003, column name)",
    5: "RuntimeError: the printer burns",
    6: "RuntimeError: the carrier answered 503 for order 7",
}


@pytest.fixture
async def api(orders_database: TestDatabase) -> AsyncIterator[httpx.AsyncClient]:
    errors = [f"UPDATE deferred_message SET error = '{text}' WHERE event_id = 'e-{n}'" for n, text in ERRORS.items()]
    ages = (
        "UPDATE deferred_message SET message_group = 'g-1' WHERE event_id IN ('e-1', 'e-2')",
        "UPDATE deferred_message SET deferred_at = now() - interval '1 day' WHERE event_id = 'e-1'",
    )
    await execute(orders_database.url, *letters("order", len(ERRORS)), *errors, *ages)
    async with client(build(settings(orders_database))) as found:
        yield found


async def test_messages_that_differ_in_values_only_are_one_group(api: httpx.AsyncClient) -> None:
    page = (await api.get("/v1/failures")).json()
    assert [(item["error"], item["messages"], item["message_groups"]) for item in page["items"]] == [
        (ERRORS[6], 3, 2),
        (ERRORS[5], 1, 1),
        # The code of an error is no value.
        (ERRORS[4], 1, 1),
        (ERRORS[3], 1, 1),
    ]
    carrier = page["items"][0]
    assert carrier["first_at"] < carrier["last_at"]
    assert page["messages"] == {"value": len(ERRORS), "at_least": False}
    letters = (await api.get("/v1/dead-letters", params={"fingerprint": carrier["fingerprint"]})).json()["items"]
    assert [item["event_id"] for item in letters] == ["e-6", "e-2", "e-1"]
    assert {item["fingerprint"] for item in letters} == {carrier["fingerprint"]}
    one = (await api.get("/v1/failures", params={"fingerprint": carrier["fingerprint"]})).json()["items"]
    assert one == [carrier]


async def test_groups_are_read_in_pages(api: httpx.AsyncClient) -> None:
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(4):
        page = (await api.get("/v1/failures", params={"limit": 1, **({"cursor": cursor} if cursor else {})})).json()
        seen += [item["error"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert (seen, cursor) == ([ERRORS[6], ERRORS[5], ERRORS[4], ERRORS[3]], None)


async def test_a_group_is_discarded_by_its_fingerprint(api: httpx.AsyncClient) -> None:
    group = (await api.get("/v1/failures")).json()["items"][0]["fingerprint"]
    body = {"fingerprint": group, "reason": "a drill"}
    preview = (await api.post("/v1/dead-letters/discard", json={**body, "dry_run": True})).json()
    assert [item["event_id"] for item in preview["items"]] == ["e-1", "e-2", "e-6"]
    done = (await api.post("/v1/dead-letters/discard", json=body)).json()
    assert [item["event_id"] for item in done["items"]] == ["e-1", "e-2", "e-6"]
    assert len((await api.get("/v1/failures")).json()["items"]) == 3


async def test_deferred_messages_are_grouped_apart(orders_database: TestDatabase) -> None:
    await execute(orders_database.url, *waiting("order"))
    async with client(build(settings(orders_database))) as api:
        pending = (await api.get("/v1/failures", params={"status": "pending"})).json()["items"]
        dead = (await api.get("/v1/failures", params={"status": "dead"})).json()["items"]
        nothing = (await api.get("/v1/failures", params={"status": "handled"})).status_code
    assert sum(item["messages"] for item in pending) == 5
    assert [(item["type"], item["messages"]) for item in dead] == [("order.placed", 1)]
    assert nothing == 422
