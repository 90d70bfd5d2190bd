"""The live tail: each step once, a call a service and second, and what a service that is away shows."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from prometheus_client import CollectorRegistry

from services.console.api_clients.metrics import CallMetrics
from services.console.api_clients.processes import Processes, parse
from services.console.api_clients.system import Reads, SystemClient
from services.console.api_clients.transport import ApiTransport
from services.console.pages.tail_steps import PROCESSED, RECORDED, ROWS, StepBatch, Tail, TailFilter
from tests.support.console import ScriptedSystem, console

BEGAN = datetime(2026, 11, 26, 1, 0, tzinfo=UTC)
SERVICES = "order=http://order.test,order-relay=http://order-relay.test,notification=http://notification.test"


def at(seconds: float) -> str:
    return (BEGAN + timedelta(seconds=seconds)).isoformat()


def recorded(number: int, **changed: Any) -> dict[str, Any]:
    return {
        **{"event_id": f"e-{number}", "type": "order.placed", "subject": f"s-{number}", "recorded_at": at(number)},
        **{"first_sent_at": None, "first_published_at": None, "sent_at": None, "published_at": None},
        **{"held_at": None, "held_reason": None, "held_behind": None, "republished": 0},
        **{"state": "recorded", "attempts": 0, "last_error": None},
        **changed,
    }


def processed(number: int) -> dict[str, Any]:
    return {
        **{"event_id": f"e-{number}", "type": "order.placed", "subject": f"s-{number}", "processed_at": at(number + 1)},
        **{"time": at(number), "outcome": "handled", "deferred": None},
    }


def tail(system: ScriptedSystem, **chosen: str) -> Tail:
    http = httpx.AsyncClient(transport=httpx.MockTransport(system))
    transport = ApiTransport(http, CallMetrics(CollectorRegistry()), read_seconds=1, change_seconds=1)
    # Each read is of another second.
    seconds = iter(range(0, 10_000, 10))
    client = SystemClient(Processes(parse(SERVICES)), Reads(transport, lambda: next(seconds)), transport, None)
    return Tail(client, TailFilter(**chosen), since=BEGAN)


async def test_a_step_is_shown_once_and_later_steps_of_its_event_too() -> None:
    rows = [recorded(1)]
    system = ScriptedSystem({"order/v1/recorded-events": lambda _: {"items": rows}})
    followed = tail(system)
    first = await followed.read(RECORDED)
    rows[0] = recorded(1, first_sent_at=at(1.25))
    second = await followed.read(RECORDED)
    assert [(step.state, step.milliseconds) for step in first.steps] == [("recorded", None)]
    assert [(step.state, step.milliseconds) for step in second.steps] == [("sent", 250.0)]
    assert (await followed.read(RECORDED)).steps == []


async def test_steps_of_all_services_are_in_the_order_of_their_times_and_filtered() -> None:
    system = ScriptedSystem(
        {
            "order/v1/recorded-events": {"items": [recorded(3), recorded(1)]},
            "notification/v1/processed-messages": {"items": [processed(1)]},
        }
    )
    batch = await tail(system, type="order.placed").read(RECORDED, PROCESSED)
    assert [(step.service, step.event_id) for step in batch.steps] == [
        ("order", "e-1"),
        ("notification", "e-1"),
        ("order", "e-3"),
    ]
    assert (await tail(system, type="order.shipped").read(RECORDED, PROCESSED)).steps == []
    assert {step.service for step in (await tail(system, service="order").read(RECORDED, PROCESSED)).steps} == {"order"}


async def test_more_than_one_read_can_show_is_said() -> None:
    system = ScriptedSystem({"order/v1/recorded-events": {"items": [recorded(n) for n in range(1, ROWS + 1)]}})
    batch = await tail(system).read(RECORDED)
    assert batch.skipped == ("order",)


async def test_a_second_costs_a_call_of_each_service() -> None:
    system = ScriptedSystem()
    seconds: list[float] = []
    batches: list[StepBatch] = []

    async def sleep(duration: float) -> None:
        seconds.append(duration)
        await asyncio.sleep(0)

    async for batch in tail(system).follow(sleep):
        batches.append(batch)
        if len(batches) == 6:
            break
    assert seconds == [1.0] * 5
    for name in ("order", "notification"):
        assert len([call for call in system.calls if f" {name}/" in call]) == 6
    assert [call for call in system.calls if "relay" in call] == []


async def test_a_service_that_is_away_is_named_and_the_others_are_shown() -> None:
    now = datetime.now(UTC).isoformat()
    system = ScriptedSystem(
        {
            "order/v1/recorded-events": {"items": [recorded(1, recorded_at=now)]},
            "notification/v1/recorded-events": httpx.ConnectError("no"),
        }
    )
    async with console(system) as browser:
        page = (await browser.get("/tail")).text
    assert "<strong>notification</strong>: cannot be reached" in page
    assert "/journey/s-1" in page


async def test_an_unknown_service_is_not_found() -> None:
    async with console(ScriptedSystem()) as browser:
        assert (await browser.get("/tail?service=nobody")).status_code == 404
        assert (await browser.get("/tail?service=order-relay")).status_code == 404
