"""Deferred messages are listed, run now and discarded over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from services.notification.main import build
from tests.support.databases import TestDatabase, execute, fetch
from tests.support.letters import waiting
from tests.support.notifications import notification_settings
from tests.support.order_service import order_service
from tests.support.web import client

PATH = "/v1/deferred-messages"
# What a loop would do about rows that are due is no matter here: their bodies are no events.
STATE = "SELECT event_id, status, due_at <= now() AS due FROM deferred_message ORDER BY id"
BLOCKED, BUSY = "urn:problem-type:message-blocked", "urn:problem-type:message-busy"


@dataclass(frozen=True)
class Service:
    """A running service with deferred messages."""

    api: httpx.AsyncClient
    url: str

    async def ask(self, verb: str, key: str | None = None, **body: Any) -> httpx.Response:
        headers = {"Idempotency-Key": key} if key else {}
        return await self.api.post(f"{PATH}/{verb}", json={"reason": "why", **body}, headers=headers)

    async def changed(self, verb: str, **body: Any) -> list[str]:
        answer = await self.ask(verb, **body)
        assert answer.status_code == 200, answer.text
        return [item["event_id"] for item in answer.json()["items"]]

    async def listed(self, **query: Any) -> list[str]:
        answer = await self.api.get(PATH, params=query)
        assert answer.status_code == 200, answer.text
        return [item["event_id"] for item in answer.json()["items"]]

    async def state(self) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await fetch(self.url, STATE)]

    async def traces(self) -> list[tuple[Any, ...]]:
        query = "SELECT event_id, action, actor, reason, attempts FROM operator_action ORDER BY id"
        return [tuple(row) for row in await fetch(self.url, query)]

    async def outcome(self, event_id: str) -> str:
        query = "SELECT outcome FROM processed_message WHERE event_id = $1"
        return str((await fetch(self.url, query, event_id))[0]["outcome"])


@pytest.fixture
async def service(orders_database: TestDatabase) -> AsyncIterator[Service]:
    """Its loops do not run, so that only operators change messages."""
    await execute(orders_database.url, *waiting("order"))
    async with order_service(orders_database) as api:
        yield Service(api, orders_database.url)


async def test_every_consumer_has_the_routes(notifications_database: TestDatabase) -> None:
    await execute(notifications_database.url, *waiting("notification"))
    settings = notification_settings(notifications_database)
    async with client(build(settings)) as api:
        found = Service(api, notifications_database.url)
        assert await found.listed() == ["c-2", "b-1", "a-3", "a-2", "a-1"]
        assert await found.changed("discard", event_id="a-2") == ["a-2"]


async def test_deferred_messages_are_listed_newest_first_and_filtered(service: Service) -> None:
    assert await service.listed() == ["c-2", "b-1", "a-3", "a-2", "a-1"]
    assert await service.listed(status="waiting") == ["b-1", "a-1"]
    assert await service.listed(status="blocked", group="a") == ["a-3", "a-2"]
    assert await service.listed(type="order.placed", reason="outage") == ["b-1"]
    assert await service.listed(event_id="a-3") == ["a-3"]
    await execute(
        service.url, "UPDATE deferred_message SET deferred_at = now() - interval '2 h' WHERE event_id = 'a-1'"
    )
    hour_ago = (await fetch(service.url, "SELECT now() - interval '1 h' AS t"))[0]["t"].isoformat()
    assert await service.listed(until=hour_ago) == ["a-1"]
    assert await service.listed(since=hour_ago, group="a") == ["a-3", "a-2"]
    page = (await service.api.get(PATH, params={"limit": 2})).json()
    assert await service.listed(limit=2, cursor=page["next_cursor"]) == ["a-3", "a-2"]
    [first] = (await service.api.get(PATH, params={"event_id": "a-1"})).json()["items"]
    assert (first["status"], first["attempts"], first["error"], first["blocks"]) == ("waiting", 2, "because", True)
    assert first["due_at"] is not None
    assert "envelope" not in first


async def test_a_message_is_shown_with_the_operators_actions(service: Service) -> None:
    await service.changed("run", event_id="a-1")
    shown = (await service.api.get(f"{PATH}/a-1")).json()
    assert (shown["envelope"], shown["masked"], shown["actions"][0]["action"]) == ("•••", ["*"], "run_now")
    assert (await service.api.get(f"{PATH}/c-1")).status_code == 404


async def test_the_first_of_a_group_is_run_now(service: Service) -> None:
    assert await service.changed("run", event_id="a-1", dry_run=True) == ["a-1"]
    assert await service.traces() == []
    assert await service.changed("run", event_id="a-1") == ["a-1"]
    assert [(event, due) for event, status, due in await service.state() if status == "waiting"] == [
        ("a-1", True),
        ("b-1", False),
    ]
    assert await service.traces() == [("a-1", "run_now", "local", "why", 2)]


async def test_running_all_runs_the_first_of_each_group(service: Service) -> None:
    assert await service.changed("run", all=True) == ["a-1", "b-1"]
    assert await service.changed("run", all=True) == [], "they are due already"
    assert await service.changed("run", event_id="unheard") == []


@pytest.mark.parametrize(
    ("event", "first", "todo"),
    [("a-3", ("a-1", "waiting"), "run that one now"), ("c-2", ("c-1", "dead"), "redrive or discard")],
)
async def test_a_blocked_message_is_not_run_and_the_problem_names_the_blocking_one(
    event: str, first: tuple[str, str], todo: str, service: Service
) -> None:
    for dry_run in (True, False):
        answer = await service.ask("run", event_id=event, dry_run=dry_run)
        problem = answer.json()
        assert (answer.status_code, problem["type"]) == (409, BLOCKED)
        assert (problem["blocked_by"]["event_id"], problem["blocked_by"]["status"]) == first
        assert first[0] in problem["detail"]
        assert todo in problem["detail"]
    assert await service.traces() == []


@pytest.mark.parametrize("verb", ["run", "discard"])
async def test_a_message_in_progress_is_not_changed(verb: str, service: Service) -> None:
    await execute(
        service.url, "UPDATE deferred_message SET taken_until = now() + interval '1 min' WHERE event_id = 'a-1'"
    )
    answer = await service.ask(verb, event_id="a-1")
    assert (answer.status_code, answer.json()["type"]) == (409, BUSY)
    assert "Retry-After" in answer.headers
    assert "a-1" not in await service.changed(verb, all=True)
    await execute(service.url, "UPDATE deferred_message SET taken_until = now() - interval '1 s'")
    assert await service.changed(verb, event_id="a-1") == ["a-1"]


async def test_a_discard_of_the_first_message_unblocks_the_next(
    service: Service,
) -> None:
    assert await service.changed("discard", event_id="a-2") == ["a-2"]
    assert [row for row in await service.state() if row[0].startswith("a")] == [
        ("a-1", "waiting", False),
        ("a-3", "blocked", None),
    ]
    assert await service.changed("discard", event_id="a-1") == ["a-1"]
    assert [row for row in await service.state() if row[0].startswith("a")] == [("a-3", "waiting", True)]
    assert [await service.outcome(event) for event in ("a-1", "a-2", "a-3")] == ["discarded", "discarded", "deferred"]
    assert await service.traces() == [
        ("a-2", "discard", "local", "why", 0),
        ("a-1", "discard", "local", "why", 2),
    ]


async def test_a_discard_by_filter_does_not_affect_dead_letters(service: Service) -> None:
    assert await service.changed("discard", all=True, status="blocked", limit=2) == ["a-2", "a-3"]
    assert await service.changed("discard", all=True) == ["a-1", "b-1", "c-2"]
    assert await service.state() == [("c-1", "dead", None)]


@pytest.mark.parametrize("verb", ["run", "discard"])
async def test_a_change_is_made_once_under_its_key(verb: str, service: Service) -> None:
    one = {"all": True, "limit": 1}
    answers = await asyncio.gather(*(service.ask(verb, "k-1", **one) for _ in range(4)))
    answers.append(await service.ask(verb, "k-1", **one))
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, answers[0].content)}
    assert [event for event, *_ in await service.traces()] == ["a-1"]
    reused = await service.ask(verb, "k-1", all=True)
    assert (reused.status_code, reused.json()["type"]) == (422, "urn:problem-type:idempotency-key-reused")


async def test_a_rejected_change_may_be_retried_with_its_key(service: Service) -> None:
    assert (await service.ask("run", "k-1", event_id="a-2")).status_code == 409
    await service.changed("discard", event_id="a-1")
    assert (await service.ask("run", "k-1", event_id="a-2")).status_code == 200


@pytest.mark.parametrize(
    "body", [{}, {"reason": "why"}, {"all": True}, {"all": True, "reason": "why", "status": "dead"}]
)
async def test_a_change_requires_a_selection_and_a_reason(body: dict[str, Any], service: Service) -> None:
    assert (await service.api.post(f"{PATH}/run", json=body)).status_code == 422
