"""The overview shows the flow of the catalog, what is stuck in it, and what needs a person."""

import asyncio
import re
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from services.console.api_clients import catalog
from services.console.api_clients.metrics import CallMetrics
from services.console.api_clients.processes import ApiProcess, Processes
from services.console.api_clients.samples import MetricSampler, read_metrics
from services.console.api_clients.transport import ApiTransport
from services.console.views import observation
from tests.support.console import ScriptedSystem, console
from tests.support.console_answers import count, inbox, outbox, queue, ready, system, topology
from tests.support.waiting import eventually

GROUP = {"subject": "order-7", "reason": "InvalidParameter: no", "behind": count(2), "since": "2026-11-26T08:00:00Z"}
PAUSE = {"at": "2026-11-26T08:00:00Z", "by": "olga", "reason": "maintenance"}
OVERDUE = {"message_group": "order-8", "event_id": "e-8", "behind": None}
REPLAY = {"id": 7, "progress": 0.25, "requested_by": "olga", "reason": "lost queue"}


async def overview(**changed: Any) -> str:
    async with console(system(**changed)) as browser:
        page = await browser.get("/")
    assert page.status_code == 200
    return page.text


def node(page: str, kind: str, name: str) -> str:
    """A box of the drawing: its level and its line."""
    box = rf'<g class="node {kind} (\w+)">\s*<title>\w+ {name}:.*?class="line"[^>]*>([^<]*)<'
    found = re.search(box, page, re.DOTALL)
    assert found is not None, (kind, name)
    return f"{found[1]}: {found[2]}"


async def test_the_flow_is_that_of_the_catalog() -> None:
    page = await overview()
    assert "Nothing is stuck" in page
    assert node(page, "service", "order") == "ok: ready"
    assert node(page, "outbox", "order") == "ok: 0 waiting"
    assert node(page, "topic", "order-events") == "ok: 0 unconfirmed"
    assert node(page, "queue", "notification-order-events") == "ok: 0 waiting · 0 in flight"
    assert node(page, "subscriber", "notification") == "ok: nothing waits"
    assert node(page, "subscriber", "order") == "ok: nothing waits"
    # The console of this test knows no relay of the notification service.
    assert node(page, "outbox", "notification").startswith("unknown")


async def test_a_number_is_not_shown_while_nobody_tells_it() -> None:
    names = ("To be sent", "Held groups", "Deferred", "Dead letters")
    numbers = {name: re.compile(rf"<dt>{name}</dt><dd>([^<]*)<") for name in names}
    assert {pattern.findall(await overview())[0] for pattern in numbers.values()} == {"0"}
    async with console(ScriptedSystem()) as browser:
        page = (await browser.get("/")).text
    assert {name: pattern.findall(page) for name, pattern in numbers.items()} == {name: ["–"] for name in names}


async def test_the_flow_keeps_its_shape_while_a_service_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((observation, "READINESS_SECONDS"), (catalog, "FRESH_SECONDS")):
        monkeypatch.setattr(module, name, 0.0)
    scripted = system()
    async with console(scripted) as browser:
        await browser.get("/")
        for path in [path for path in scripted.answers if path.startswith("notification/")]:
            scripted.answers[path] = httpx.ConnectError("refused")

        async def changed() -> str | None:
            page = (await browser.get("/")).text
            return page if "does not answer; the rest of the page" in page else None

        page = await eventually(changed)
        assert page is not None
        assert node(page, "subscriber", "notification") == "bad: no answer"
        assert node(page, "subscriber", "order").startswith("ok")
        assert "does not answer. Events for it wait in its queue." in page


@pytest.mark.parametrize(
    ("changed", "texts"),
    [
        ({"order-relay/v1/outbox": outbox(paused=PAUSE)}, ["was paused by olga", "maintenance", "node outbox warn"]),
        (
            {
                "order-relay/v1/outbox": outbox(held_groups=count(1)),
                "order-relay/v1/outbox/held-groups": {"items": [GROUP], "next_cursor": None},
            },
            ["holds one message group", "order-7: InvalidParameter: no", "node outbox bad"],
        ),
        (
            {"order-relay/v1/outbox": outbox(pending=count(12), oldest_pending_seconds=125)},
            ["12 events wait to be sent, the oldest for 2 min 5 s", "node outbox bad", "edge bad"],
        ),
        ({"order-relay/v1/outbox": outbox(replay=REPLAY)}, ["events again for olga: 25 % done", "node outbox ok"]),
        ({"order-relay/v1/outbox": outbox(relays=0)}, ["no relay has a valid lease", "edge bad"]),
        ({"order-relay/readyz": httpx.ConnectError("x"), "order-relay/v1/outbox": httpx.ConnectError("x")},
         ["Events are recorded and not sent", "edge bad", "node outbox unknown"]),
        ({"order-relay/readyz": httpx.Response(503, json=ready("not_ready", broker="AccessDenied"))},
         ["the check broker fails", "AccessDenied", "edge bad"]),
        ({"notification/v1/inbox": inbox(dead=count(10_000, at_least=True))},
         ["10000 dead letters wait", "10,000+ dead letters", "node subscriber warn"]),
        ({"notification/v1/inbox": inbox(overdue=count(1), first_overdue=OVERDUE)},
         ["one deferred message is due", "order-8", "node subscriber bad", "status=pending&amp;event_id=e-8"]),
        ({"notification/v1/topology": {**topology("notification"), "queue": queue("q", exists=False)}},
         ["node queue bad", "does not exist"]),
        ({"notification/v1/topology": httpx.Response(403, json={"title": "no"})}, ["node queue unknown"]),
    ],
)  # fmt: skip
async def test_what_is_stuck_is_red_and_listed(changed: dict[str, Any], texts: list[str]) -> None:
    page = await overview(**changed)
    assert [text for text in texts if text not in page] == []
    assert "Nothing is stuck" not in page or "node queue" in texts[0]


async def test_nothing_of_an_answer_becomes_markup() -> None:
    pause = {**PAUSE, "by": "<script>alert(1)</script>", "reason": '"><img src=x onerror=alert(1)>'}
    page = await overview(**{"order-relay/v1/outbox": outbox(paused=pause)})
    assert "<script>alert" not in page
    assert "<img" not in page


async def test_a_refresh_calls_each_process_a_few_times_and_soon_after_not_at_all() -> None:
    scripted = system()
    async with console(scripted) as browser:
        await browser.get("/")
        first = len(scripted.calls)
        assert first <= 4 * 3
        await asyncio.gather(*(browser.get("/") for _ in range(10)))
        assert len(scripted.calls) == first


METRICS = """
process_start_time_seconds {started}
outbox_events_total{{type="order.placed",outcome="accepted"}} {sent}
outbox_events_total{{type="order.placed",outcome="throttled"}} 99
outbox_published_total{{type="order.placed"}} {sent}
outbox_published_created{{type="order.placed"}} 1.7e9
outbox_pending_events 3
outbox_calls_in_flight 2
"""


async def test_rates_are_those_of_each_instance_behind_one_address() -> None:
    now, pages = 1000.0, iter([(1, 0), (2, 100), (1, 50), (2, 200), (3, 0)])
    registry = CollectorRegistry()

    def answer(request: httpx.Request) -> httpx.Response:
        started, sent = next(pages)
        return httpx.Response(200, text=METRICS.format(started=started, sent=sent))

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    transport = ApiTransport(http, CallMetrics(registry), read_seconds=1, change_seconds=1)
    relay = ApiProcess("order-relay", "http://relay.test")
    sampler = MetricSampler(Processes([relay]), transport, interval=5, clock=lambda: now)
    rates = []
    for _ in range(5):
        await sampler.sample()
        rates.append(sampler.rate("order-relay", "sent"))
        now += 5
    # One instance sends 5 a second and the other 10; the restarted one has not been measured yet.
    assert rates == [None, None, 5.0, 15.0, 15.0]
    now += 100
    assert sampler.rate("order-relay", "sent") is None
    assert len(sampler.samples("order-relay")) == 2


def test_only_accepted_events_count_as_sent() -> None:
    started, counters, gauges = read_metrics(METRICS.format(started=7, sent=3))
    assert (started, counters, gauges) == (7.0, {"sent": 3.0, "published": 3.0}, {"calls": 2.0})
