"""A service that answers with something else than its API is named; the page is shown without what it answered."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from services.console.api_clients.metrics import CallMetrics
from services.console.api_clients.processes import ApiProcess, Processes, parse
from services.console.api_clients.replies import FailureKind
from services.console.api_clients.samples import MetricSampler
from services.console.api_clients.transport import MOST_DETAIL, ApiTransport
from tests.support.console import SERVICES, ScriptedSystem, console
from tests.support.console_events import ORDER, shop

ORDER_SERVICE = ApiProcess("order", "http://order.test")
PAGES = (
    "/",
    "/relays",
    "/catalog",
    "/find",
    f"/journey/{ORDER}",
    "/dead-letters",
    "/dead-letters?status=pending",
    "/dead-letters/order/messages?fingerprint=f00d",
    "/dead-letters/order/message?id=e-1",
    "/dead-letters/order/redrives/4",
    "/outbox",
    "/outbox/order-relay",
    "/outbox/order-relay/group?subject=g",
    "/outbox/order-relay/replays/4",
    "/tail",
)
FORMS = (
    "/dead-letters/order/redrive?event_id=e-1",
    "/dead-letters/order/changes/discard?event_id=e-1",
    "/outbox/order-relay/replay/preview?subject=g",
)
GARBAGE = (
    (200, b'{"hello": "world"}'),
    (200, b'{"items": null, "checks": [], "info": 1}'),
    (200, b'{"items": [1, 2], "status": 4, "checks": {"a": 1}}'),
    (200, b"<html>"),
    (200, b'{"items":' + b"[" * 100_000),
    (422, b'{"errors": [1, {"field": 2}], "detail": {"a": 1}}'),
    (503, b'{"errors": {"a": 1}, "checks": {"a": 1}, "status": "ready"}'),
)


class Garbage(ScriptedSystem):
    """Services that answer everything with the same bytes."""

    def __init__(self, content: bytes, status: int = 200) -> None:
        super().__init__()
        self._answer = (status, content)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        """The bytes."""
        return httpx.Response(self._answer[0], content=self._answer[1])


@pytest.mark.parametrize(("status", "content"), [pytest.param(*each, id=str(n)) for n, each in enumerate(GARBAGE)])
async def test_a_page_says_that_an_answer_is_none(status: int, content: bytes) -> None:
    async with console(Garbage(content, status)) as browser:
        for path in PAGES:
            answer = await browser.get(path)
            assert answer.status_code == 200, path
            assert "<strong>order" in answer.text, path
        for path in FORMS:
            assert (await browser.get(path)).status_code == 303, path


async def test_one_that_answers_well_is_shown_beside_one_that_does_not() -> None:
    system = shop()
    system.answers |= {"notification/asyncapi.json": {"info": {"x-service": None}}, "order/v1/inbox": {"dead": "many"}}
    async with console(system) as browser:
        page = (await browser.get("/")).text
        catalog = (await browser.get("/catalog")).text
    assert "<strong>order</strong>: gave an answer that is not one of its API" in page
    assert "order.placed" in catalog
    assert "<strong>notification</strong>: gave an answer that is not one of its API" in catalog


async def test_a_long_text_of_a_service_is_cut() -> None:
    async with console(Garbage(b'{"detail": "' + b"x" * 200_000 + b'"}', 422)) as browser:
        assert len((await browser.get("/dead-letters")).text) < 20_000 + 2 * MOST_DETAIL


async def test_metrics_that_are_none_do_not_stop_the_sampling() -> None:
    system = Garbage(b'relay_circuit_state{x="\nnot metrics')
    transport = transport_to(system)
    sampler = MetricSampler(Processes(parse(SERVICES)), transport)
    await sampler.sample()
    assert sampler.samples("order") == ()


async def test_an_answer_that_trickles_is_late() -> None:
    async def trickle() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.01)

    transport = transport_to(lambda _: httpx.Response(200, content=trickle()))
    reply = await transport.read(ORDER_SERVICE, "/v1/inbox", {}, {})
    assert reply.failure is not None
    assert reply.failure.kind is FailureKind.SLOW


async def test_one_slow_search_does_not_hide_the_rest_of_its_service() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if "correlation_id" in request.url.params:
            raise httpx.ReadTimeout("slow")
        return httpx.Response(200, json={"items": []})

    transport = transport_to(answer)
    for _ in range(2):
        assert not (await transport.read(ORDER_SERVICE, "/v1/recorded-events", {"correlation_id": "c"}, {})).ok
        assert (await transport.read(ORDER_SERVICE, "/v1/recorded-events", {"subject": "s"}, {})).ok


async def test_a_process_of_which_two_kinds_of_reads_are_slow_is_not_asked_again_at_once() -> None:
    calls: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request.url.path)
        raise httpx.ReadTimeout("slow")

    transport = transport_to(answer)
    for path in ("/v1/inbox", "/readyz", "/v1/topology", "/v1/process"):
        assert not (await transport.read(ORDER_SERVICE, path, {}, {})).ok
    assert calls == ["/v1/inbox", "/readyz"]


def transport_to(answer: Any) -> ApiTransport:
    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    return ApiTransport(http, CallMetrics(CollectorRegistry()), read_seconds=0.1, change_seconds=0.1)
