"""What a process lacks while it starts is shown as passing, and as stuck when it stays."""

import re

import httpx
import pytest
from prometheus_client import CollectorRegistry

from services.console.api_clients.metrics import CallMetrics
from services.console.api_clients.processes import ApiProcess, Processes
from services.console.api_clients.samples import MetricSampler
from services.console.api_clients.transport import ApiTransport
from tests.support.console import console
from tests.support.console_answers import count, inbox, outbox, ready, system

AWAY = {f"order-relay{path}": httpx.ConnectError("x") for path in ("/readyz", "/v1/outbox", "/v1/outbox/lanes")}
LATE = {"order-relay/v1/outbox": outbox(pending=count(12), oldest_pending_seconds=125)}
UNREADY = {"order-relay/readyz": httpx.Response(503, json=ready("not_ready", broker="AccessDenied"))}
NO_RELAY = {"order-relay/v1/outbox": outbox(relays=0)}
RED = re.compile(r'class="(?:notice |badge |edge |node \w+ |number )?bad"')


@pytest.mark.parametrize("changed", [AWAY, LATE, UNREADY, NO_RELAY])
async def test_nothing_is_red_while_processes_start(changed: dict[str, object]) -> None:
    legend = '<li class="bad">stuck</li>'
    for seconds, red in ((600, False), (0, True)):
        async with console(system(**changed), starting_seconds=seconds) as browser:  # type: ignore[arg-type]
            page = (await browser.get("/")).text.replace(legend, "")
        assert bool(RED.search(page)) is red, RED.search(page)
        assert ("These processes have just begun to run" in page) is not red
        assert "Nothing is stuck" not in page


async def test_what_does_not_pass_by_itself_is_listed_at_once() -> None:
    held = {"order-relay/v1/outbox": outbox(held_groups=count(2)), "notification/v1/inbox": inbox(dead=count(3))}
    async with console(system(**held), starting_seconds=600) as browser:
        page = (await browser.get("/")).text
    assert "holds 2 message groups" in page
    assert "3 dead letters wait" in page
    assert "node outbox bad" in page
    assert "have just begun to run" not in page


async def test_a_process_is_starting_for_a_while_after_its_start_only() -> None:
    clock, pages = [1000.0], iter([None, 1004.0, 1004.0, 1004.0, None, 1041.0])

    def answer(request: httpx.Request) -> httpx.Response:
        started = next(pages)
        if started is None:
            raise httpx.ConnectError("refused")
        return httpx.Response(200, text=f"process_start_time_seconds {started}\n")

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    transport = ApiTransport(http, CallMetrics(CollectorRegistry()), read_seconds=1, change_seconds=1)
    relay = ApiProcess("order-relay", "http://relay.test")
    sampler = MetricSampler(Processes([relay]), transport, starting_seconds=20, clock=lambda: clock[0])
    found = []
    for clock[0] in (1000.0, 1005.0, 1020.0, 1030.0, 1040.0, 1045.0):
        await sampler.sample()
        found.append(sampler.is_starting("order-relay"))
    # It started, ran, was killed, and started again.
    assert found == [True, True, True, False, False, True]
