"""Operations repeated under an idempotency key: done once, answered alike, with one audit entry."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from tests.support.databases import OUTBOX_WRITER, TestDatabase
from tests.support.operators import publish_all, refuse, relay_service
from tests.support.outbox import query, record
from tests.support.waiting import eventually

KEY = {"Idempotency-Key": "7c4a8d09-ca37-4e2b-9f6d-1b5e0c3a2f11"}
OTHER = {"Idempotency-Key": "other"}
BECAUSE: Mapping[str, Any] = {"reason": "because"}
AGAIN: Mapping[str, Any] = {"everything": True, "dry_run": False, **BECAUSE}
HOURS = 2.0
GROUP = "/v1/outbox/groups/a"


@pytest.fixture
async def event(outbox_database: TestDatabase) -> UUID:
    """An event of the group `a`, which waits to be sent."""
    (recorded,) = await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1)])
    return recorded.id


@pytest.fixture
async def api(outbox_database: TestDatabase, event: UUID) -> AsyncIterator[httpx.AsyncClient]:
    async with relay_service(outbox_database, idempotency_hours=HOURS) as found:
        yield found


async def audited(database: TestDatabase) -> list[str]:
    return [row["action"] for row in await query(database.url, "SELECT action FROM outbox_audit ORDER BY id")]


async def kept(database: TestDatabase) -> int:
    return len(await query(database.url, "SELECT FROM outbox_idempotency_key"))


async def ask(api: httpx.AsyncClient, path: str, body: Mapping[str, Any], key: Mapping[str, str]) -> httpx.Response:
    return await api.post(path, json=dict(body), headers=key)


@pytest.mark.parametrize(
    ("verb", "status"), [("hold", 200), ("release", 202), ("discard", 200), ("replay", 202), ("resume", 200)]
)
async def test_a_change_is_made_once_under_its_key(
    api: httpx.AsyncClient, outbox_database: TestDatabase, event: UUID, verb: str, status: int
) -> None:
    path, body = f"{GROUP}/{verb}", BECAUSE
    match verb:
        case "release":
            await refuse(outbox_database, event)
        case "discard":
            await refuse(outbox_database, event)
            path = f"/v1/outbox/events/{event}/discard"
        case "replay":
            await publish_all(outbox_database)
            path, body = "/v1/outbox/replays", AGAIN
        case "resume":
            await query(outbox_database.url, "UPDATE outbox_control SET paused_at = now() RETURNING 1")
            path = "/v1/outbox/resume"
    first = await ask(api, path, body, KEY)
    assert first.status_code == status, first.text
    again = await ask(api, path, body, KEY)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers.get("Location") == first.headers.get("Location")
    assert (first.headers.get("Location") is None) is (verb != "replay")
    assert await audited(outbox_database) == [verb]
    assert await kept(outbox_database) == 1


async def test_several_at_once_change_once_and_another_request_is_refused(
    api: httpx.AsyncClient, outbox_database: TestDatabase
) -> None:
    answers = await asyncio.gather(*(ask(api, "/v1/outbox/pause", BECAUSE, KEY) for _ in range(5)))
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, b'{"paused":true}')}
    for path, body in (("/v1/outbox/pause", {"reason": "another"}), ("/v1/outbox/resume", BECAUSE)):
        refused = await ask(api, path, body, KEY)
        assert (refused.status_code, refused.json()["type"]) == (422, "urn:problem-type:idempotency-key-reused")
    assert await audited(outbox_database) == ["pause"]


async def waiting(database: TestDatabase, event: str) -> bool:
    found = "SELECT FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock' AND wait_event = $2"
    return len(await query(database.url, found, database.name, event)) == 1


async def test_the_second_at_another_relay_waits_for_the_first_one_s_answer(
    api: httpx.AsyncClient, outbox_database: TestDatabase
) -> None:
    async with relay_service(outbox_database) as other:
        connection = await asyncpg.connect(outbox_database.url)
        async with connection.transaction():
            await connection.execute("SELECT FROM outbox_control FOR UPDATE")
            first = asyncio.create_task(ask(api, "/v1/outbox/pause", BECAUSE, KEY))
            await eventually(lambda: waiting(outbox_database, "transactionid"))
            second = asyncio.create_task(ask(other, "/v1/outbox/pause", BECAUSE, KEY))
            await eventually(lambda: waiting(outbox_database, "advisory"))
        await connection.close()
        assert [(answer.status_code, answer.json()) for answer in (await first, await second)] == [
            (200, {"paused": True})
        ] * 2
    assert await audited(outbox_database) == ["pause"]


async def test_rejections_and_counts_store_no_response_and_expired_keys_are_pruned(
    api: httpx.AsyncClient, outbox_database: TestDatabase
) -> None:
    assert (await ask(api, "/v1/outbox/resume", BECAUSE, KEY)).status_code == 409
    assert (await ask(api, "/v1/outbox/replays", {"everything": True}, KEY)).json()["dry_run"] is True
    assert await kept(outbox_database) == 0
    assert (await ask(api, "/v1/outbox/pause", BECAUSE, OTHER)).status_code == 200
    assert (await ask(api, "/v1/outbox/resume", BECAUSE, KEY)).status_code == 200
    aged = "UPDATE outbox_idempotency_key SET created_at = now() - interval '3 hours' WHERE key <> 'other' RETURNING 1"
    await query(outbox_database.url, aged)

    async def pruned() -> bool:
        rows = await query(outbox_database.url, "SELECT key FROM outbox_idempotency_key")
        return [row["key"] for row in rows] == ["other"]

    async with relay_service(outbox_database, idempotency_hours=HOURS):
        await eventually(pruned)
    assert (await ask(api, "/v1/outbox/resume", BECAUSE, KEY)).status_code == 409
