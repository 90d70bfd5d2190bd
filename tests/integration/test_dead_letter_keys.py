"""Idempotent requests for dead letters: made once, with the same response and one audit row."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from event_trio.signals import Signals
from services.notification.main import build
from tests.support.databases import TestDatabase, execute, fetch
from tests.support.letters import three_letters
from tests.support.notifications import notification_settings
from tests.support.order_service import order_service
from tests.support.web import client

KEY = {"Idempotency-Key": "7c4a8d09-ca37-4e2b-9f6d-1b5e0c3a2f11"}
# Asked for twice, it would take another one the second time.
ONE = {"all": True, "limit": 1, "reason": "the carrier is back"}
REUSED = (422, "urn:problem-type:idempotency-key-reused")


@dataclass(frozen=True)
class Service:
    """A running service with three dead letters."""

    api: httpx.AsyncClient
    signals: Signals
    database: TestDatabase

    async def traces(self) -> list[tuple[str, str]]:
        rows = await fetch(self.database.url, "SELECT action, event_id FROM operator_action ORDER BY id")
        return [(row["action"], row["event_id"]) for row in rows]

    async def keys(self) -> int:
        return len(await fetch(self.database.url, "SELECT FROM idempotency_key"))


EXPIRING = """
    INSERT INTO idempotency_key (principal, key, fingerprint, status, headers, body, created_at)
    SELECT 'p', age, '', 200, '{}', '', now() - age::interval FROM unnest('{1 hour, 3 hours}'::text[]) age
"""


@pytest.fixture(params=["order", "notification"])
async def service(
    request: pytest.FixtureRequest, orders_database: TestDatabase, notifications_database: TestDatabase
) -> AsyncIterator[Service]:
    signals, hours = Signals(), 2.0
    if request.param == "order":
        await execute(orders_database.url, *three_letters("order"), EXPIRING)
        async with order_service(orders_database, signals=signals, idempotency_hours=hours) as api:
            yield Service(api, signals, orders_database)
        return
    await execute(notifications_database.url, *three_letters("notification"), EXPIRING)
    settings = notification_settings(notifications_database, idempotency_hours=hours)
    async with client(build(settings, signals=signals)) as api:
        yield Service(api, signals, notifications_database)


async def ask(service: Service, verb: str, body: Any = None, **headers: str) -> httpx.Response:
    return await service.api.post(f"/v1/dead-letters/{verb}", json=body or ONE, headers={**KEY, **headers})


@pytest.mark.parametrize("verb", ["redrive", "discard"])
async def test_a_change_is_made_once_under_its_key(service: Service, verb: str) -> None:
    answers = await asyncio.gather(*(ask(service, verb) for _ in range(4)))
    answers.append(await ask(service, verb))
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, answers[0].content)}
    assert [item["event_id"] for item in answers[0].json()["items"]] == ["e-1"]
    assert await service.traces() == [(verb, "e-1")]
    assert [answer.headers.get("Idempotent-Replayed") for answer in answers].count(None) == 1
    for other, body in ((verb, {**ONE, "limit": 2}), ("discard" if verb == "redrive" else "redrive", ONE)):
        refused = await ask(service, other, body)
        assert (refused.status_code, refused.json()["type"]) == REUSED
    [second] = [item["event_id"] for item in (await ask(service, verb, **{"Idempotency-Key": "2"})).json()["items"]]
    # What was redriven may have failed again by now, and is the oldest again.
    assert second == "e-2" or (verb == "redrive" and second == "e-1")
    assert [event for _, event in await service.traces()] == ["e-1", second]


async def test_a_dry_run_keeps_no_answer_and_expired_keys_are_pruned(service: Service) -> None:
    await service.signals.wait("key_pruner.pruned", where=lambda facts: facts["responses"] == 1)
    for _ in range(2):
        dry = await ask(service, "discard", {**ONE, "dry_run": True})
        assert (dry.status_code, dry.json()["dry_run"]) == (200, True)
    assert await service.keys() == 1
    assert (await ask(service, "discard")).json()["dry_run"] is False
    assert await service.keys() == 2
