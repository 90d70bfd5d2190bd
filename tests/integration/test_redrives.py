"""Redrives of any number of dead letters: previewed, carried out in steps and in order, limited, observed, stopped."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from event_trio.broker.aws import Aws
from event_trio.inbox.redrives import STEP, Redrives
from event_trio.inbox.selection import By, Selection
from event_trio.signals import Signals
from services.notification.main import build
from tests.support.consuming import CONSUMER, Counted, consumer_of, effects, make_effects
from tests.support.databases import TestDatabase, execute, fetch
from tests.support.deferred import defer
from tests.support.events import envelope_of
from tests.support.fifo import fifo_queue
from tests.support.letters import letters
from tests.support.notifications import notification_settings
from tests.support.web import client

BY = By("olga", "the carrier is back")
ALL = {"all": True, "reason": "the carrier is back"}
KEY = {"Idempotency-Key": "9a1c8d09-ca37-4e2b-9f6d-1b5e0c3a2f11"}
COUNT = 3 * STEP + 7


@dataclass(frozen=True)
class Service:
    """A running service with dead letters, whose broker is away."""

    api: httpx.AsyncClient
    signals: Signals
    database: TestDatabase

    async def statuses(self) -> dict[str, int]:
        rows = await fetch(self.database.url, "SELECT status, count(*) AS n FROM deferred_message GROUP BY 1")
        return {row["status"]: row["n"] for row in rows}

    async def ask(self, body: dict[str, Any], **headers: str) -> httpx.Response:
        return await self.api.post("/v1/redrives", json=body, headers=headers)

    async def finished(self, id: int) -> dict[str, Any]:
        while True:
            found: dict[str, Any] = (await self.api.get(f"/v1/redrives/{id}")).json()
            if found["finished_at"]:
                return found
            await self.signals.wait("redrives.stepped", timeout=10)


@pytest.fixture
async def service(notifications_database: TestDatabase) -> AsyncIterator[Service]:
    signals = Signals()
    await execute(notifications_database.url, *letters("notification", COUNT))
    settings = notification_settings(notifications_database)
    # Nothing is due before the test looks: the consumer's own loops are not started.
    async with client(build(settings, signals=signals)) as api:
        yield Service(api, signals, notifications_database)


async def test_a_dry_run_counts_and_changes_nothing(service: Service) -> None:
    found = (await service.ask({**ALL, "dry_run": True})).json()
    assert found == {
        "dry_run": True,
        "messages": {"value": COUNT, "at_least": False},
        "message_groups": COUNT,
        "redrive": None,
    }
    assert await service.statuses() == {"dead": COUNT}
    assert await fetch(service.database.url, "SELECT FROM redrive") == []


async def test_a_redrive_takes_what_was_dead_when_it_was_requested_and_leaves_an_audit(service: Service) -> None:
    answer = await service.ask(ALL, **KEY)
    redrive = answer.json()["redrive"]
    assert (answer.status_code, answer.headers["Location"]) == (202, f"/v1/redrives/{redrive['id']}")
    repeated = await service.ask(ALL, **KEY)
    assert (repeated.status_code, repeated.content) == (202, answer.content)
    found = await service.finished(redrive["id"])
    assert (found["chosen"]["value"], found["redriven"], found["stopped_at"]) == (COUNT, COUNT, None)
    assert found["waiting"] + found["dead"] + found["completed"] == COUNT
    actions = await fetch(service.database.url, "SELECT event_id, actor, reason FROM operator_action ORDER BY id")
    assert [tuple(row) for row in actions] == [(f"e-{n}", "local", ALL["reason"]) for n in range(1, COUNT + 1)]
    assert [item["id"] for item in (await service.api.get("/v1/redrives")).json()["items"]] == [redrive["id"]]


async def test_a_redrive_that_is_stopped_leaves_the_rest_dead(service: Service) -> None:
    id = (await service.ask({**ALL, "per_second": 1})).json()["redrive"]["id"]
    await service.signals.wait("redrives.stepped", where=lambda facts: facts["seconds"] is not None, timeout=10)
    stop = {"json": {"reason": "it fails again"}}
    stopped = (await service.api.post(f"/v1/redrives/{id}/stop", **stop)).json()  # type: ignore[arg-type]
    assert (stopped["stopped_by"], stopped["stopped_reason"]) == ("local", "it fails again")
    assert 1 <= stopped["redriven"] <= 5
    again = await service.api.post(f"/v1/redrives/{id}/stop", **stop)  # type: ignore[arg-type]
    assert (again.status_code, again.json()["type"]) == (409, "urn:problem-type:redrive-finished")
    left = await fetch(service.database.url, "SELECT FROM deferred_message WHERE redrive_id IS NULL")
    assert len(left) == COUNT - stopped["redriven"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"reason": "nothing is selected"}, 422),
        ({"all": True}, 422),
        ({**ALL, "per_second": 0}, 422),
        ({**ALL, "per_second": 1e-13}, 422),
        ({"type": "order.unknown", "reason": "no such type"}, 404),
    ],
)
async def test_what_selects_nothing_is_rejected(service: Service, body: dict[str, Any], status: int) -> None:
    assert (await service.ask(body)).status_code == status
    assert await service.statuses() == {"dead": COUNT}


async def test_a_redrive_of_the_lowest_rate_does_not_stop_the_others(service: Service) -> None:
    # As an earlier version accepted it: the time of its second message is none that a date can have.
    redrives = "INSERT INTO redrive (consumer, selection, per_second, requested_by, reason, chosen, until_id)"
    await execute(service.database.url, f"{redrives} VALUES ('notification', '{{}}', 1e-300, 'olga', 'x', 9, 9)")
    id = (await service.ask({"event_id": "e-12", "reason": "the carrier is back"})).json()["redrive"]["id"]
    assert (await service.finished(id))["redriven"] == 1


async def test_an_unknown_redrive_is_not_found(service: Service) -> None:
    assert (await service.api.get("/v1/redrives/999")).status_code == 404
    assert (await service.api.post("/v1/redrives/999/stop", json={"reason": "x"})).status_code == 404


async def test_groups_keep_their_order_while_two_redrives_take_them_in_steps(
    notifications_database: TestDatabase, aws: Aws
) -> None:
    await make_effects(notifications_database)
    events = [envelope_of(Counted(), subject=group, sequence=n) for n in range(1, 40) for group in ("a", "b", "c")]
    await defer(notifications_database, events)
    await execute(
        notifications_database.url,
        "UPDATE deferred_message SET status = 'dead', due_at = NULL, blocks = false",
        "UPDATE processed_message SET outcome = 'dead_letter'",
    )
    async with fifo_queue(aws) as queue, consumer_of(notifications_database, queue.reader()) as tested:
        redrives = Redrives(tested.sessions, CONSUMER)
        ids = [
            (await redrives.request(selection, BY, per_second=None)).id
            for selection in (Selection(group="b"), Selection())
        ]
        while await redrives.step() is not None:
            pass
        for event in events:
            await tested.completed(event.id, "handled")
        progress = [await redrives.progress(id) for id in ids]
    assert sum(each.row.redriven for each in progress) == len(events)
    assert [(each.waiting, each.dead) for each in progress] == [(0, 0), (0, 0)]
    found = await effects(notifications_database)
    for group in ("a", "b", "c"):
        assert [number for subject, number in found if subject == group] == list(range(1, 40))
