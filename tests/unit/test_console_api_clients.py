"""The console reads services with deadlines, once for all who ask at the same time, and says who does not answer."""

import asyncio
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from services.console.api_clients.metrics import CallMetrics
from services.console.api_clients.paused_reads import PAUSE_SECONDS
from services.console.api_clients.processes import ApiProcess, Processes, parse
from services.console.api_clients.replies import ApiFailure, ApiReply, FailureKind, failed
from services.console.api_clients.system import Reads, SystemClient
from services.console.api_clients.transport import ApiTransport
from tests.support.access import authenticated
from tests.support.console import ScriptedSystem, console, sign_in

ORDER = ApiProcess("order", "http://order.test")


class Clock:
    """A clock that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def reading(scripted: ScriptedSystem, clock: Clock | None = None) -> tuple[SystemClient, CollectorRegistry]:
    """A client of scripted services, and its metrics."""
    registry, clock = CollectorRegistry(), clock or Clock()
    http = httpx.AsyncClient(transport=httpx.MockTransport(scripted))
    transport = ApiTransport(http, CallMetrics(registry), read_seconds=1, change_seconds=1, monotonic=clock)
    return SystemClient(Processes([ORDER]), Reads(transport, monotonic=clock), transport, "token"), registry


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.ConnectError("no"), FailureKind.UNREACHABLE),
        (httpx.ReadTimeout("no"), FailureKind.SLOW),
        (httpx.ReadError("no"), FailureKind.UNEXPECTED),
        (httpx.Response(200, text="<html>"), FailureKind.UNEXPECTED),
        (httpx.Response(200, json=[1]), FailureKind.UNEXPECTED),
        (httpx.Response(302, headers={"Location": "http://elsewhere.test/"}), FailureKind.UNEXPECTED),
        (httpx.Response(401, json={"title": "no"}), FailureKind.SIGNED_OUT),
        (httpx.Response(403, json={"title": "no"}), FailureKind.FORBIDDEN),
        (httpx.Response(404, json={"title": "no"}), FailureKind.NOT_FOUND),
        (httpx.Response(422, json={"title": "no", "errors": [{"field": "x", "detail": "y"}]}), FailureKind.REJECTED),
        (httpx.Response(429, json={"title": "no"}), FailureKind.UNAVAILABLE),
        (httpx.Response(500, text="no"), FailureKind.UNEXPECTED),
        (httpx.Response(503, json={"title": "no"}), FailureKind.UNAVAILABLE),
        (httpx.Response(200, text="1" * (4 * 1024 * 1024 + 1)), FailureKind.UNEXPECTED),
    ],
)
async def test_every_failure_is_a_reply(answer: Exception | httpx.Response, kind: FailureKind) -> None:
    system, registry = reading(ScriptedSystem({"order/v1/things": answer}))
    reply = await system.get(ORDER, "/v1/things")
    assert reply.failure is not None
    assert (reply.failure.kind, reply.ok, dict(reply.body)) == (kind, False, {})
    assert registry.get_sample_value("console_api_calls_total", {"process": "order", "result": kind.value}) == 1


async def test_those_who_ask_at_the_same_time_share_an_answer() -> None:
    clock, scripted = Clock(), ScriptedSystem({"order/v1/things": {"dead": 1}})
    system, _ = reading(scripted, clock)
    replies = await asyncio.gather(*(system.get(ORDER, "/v1/things", {"a": 1, "b": None}) for _ in range(20)))
    assert {reply.body["dead"] for reply in replies} == {1}
    clock.now += 0.5
    await system.get(ORDER, "/v1/things", {"a": 1})
    assert len(scripted.calls) == 1
    clock.now += 0.5
    await system.get(ORDER, "/v1/things", {"a": 1})
    await system.get(ORDER, "/v1/things", {"a": 2})
    assert len(scripted.calls) == 3


async def test_no_page_waits_for_what_changes_slowly() -> None:
    clock, numbers = Clock(), iter(range(10))
    system, _ = reading(ScriptedSystem({"order/v1/slow-things": lambda request: {"number": next(numbers)}}), clock)

    async def read() -> int:
        found = await system.get(ORDER, "/v1/slow-things", fresh_seconds=15)
        for _ in range(50):
            await asyncio.sleep(0)  # what was begun finishes
        return int(found.body["number"])

    assert [await read(), await read()] == [0, 0]
    clock.now += 16
    assert [await read(), await read()] == [0, 1]
    clock.now += 200
    assert await read() == 2


async def test_a_change_is_seen_at_once() -> None:
    scripted = ScriptedSystem({"order/v1/things": {"dead": 1}, "order/v1/x": {"done": True}})
    system, _ = reading(scripted)
    await system.get(ORDER, "/v1/things")
    await system.change(ORDER, "/v1/x", {"reason": "r", "absent": None}, key="k")
    assert scripted.requests[-1].read() == b'{"reason":"r"}'
    await system.get(ORDER, "/v1/things")
    assert scripted.calls == ["GET order/v1/things", "POST order/v1/x", "GET order/v1/things"]


async def test_a_page_that_is_closed_does_not_cancel_the_read_of_another() -> None:
    answering = asyncio.Event()

    async def slow(request: httpx.Request) -> httpx.Response:
        await answering.wait()
        return httpx.Response(200, json={"dead": 1})

    http = httpx.AsyncClient(transport=httpx.MockTransport(slow))
    transport = ApiTransport(http, CallMetrics(CollectorRegistry()), read_seconds=1, change_seconds=1)
    system = SystemClient(Processes([ORDER]), Reads(transport), transport, None)
    first, second = (asyncio.create_task(system.get(ORDER, "/v1/things")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    answering.set()
    assert (await second).ok


async def test_a_service_that_hangs_delays_one_page_only() -> None:
    clock, scripted = Clock(), ScriptedSystem({"order/v1/things": httpx.ReadTimeout("slow")})
    system, _ = reading(scripted, clock)
    for _ in range(3):
        reply = await system.get(ORDER, "/v1/things", fresh_seconds=0)
        assert reply.is_away
    assert len(scripted.calls) == 1
    clock.now += PAUSE_SECONDS
    await system.get(ORDER, "/v1/things")
    assert len(scripted.calls) == 2


async def test_one_person_never_gets_the_answer_for_another(tmp_path: Path) -> None:
    issuer, settings = authenticated(tmp_path)
    scripted = ScriptedSystem()
    async with console(scripted, **settings) as browser:
        for person in ("olga", "rita"):
            await sign_in(browser, issuer.token(person, "operator"))
            await browser.get("/")
    asked = [request.headers["authorization"] for request in scripted.requests]
    assert len(set(asked)) == 2


def test_a_partial_page_names_each_process_once() -> None:
    away, missing = ApiFailure(FailureKind.SLOW), ApiFailure(FailureKind.NOT_FOUND)
    relay = ApiProcess("order-relay", "http://relay.test")
    replies = [
        ApiReply(ORDER, failure=away),
        ApiReply(ORDER, failure=away),
        ApiReply(relay, failure=missing),
        ApiReply(relay),
    ]
    assert [reply.process.name for reply in failed(replies)] == ["order"]


def test_processes_are_read_from_the_setting() -> None:
    found = Processes(parse("order=http://127.0.0.1:8000/, order-relay=http://127.0.0.1:8002"))
    assert [process.name for process in found.services] == ["order"]
    assert [process.url for process in found] == ["http://127.0.0.1:8000", "http://127.0.0.1:8002"]
    relay = found.relay_of("order")
    assert relay is not None
    assert (relay.service, found.find("order-relay")) == ("order", relay)


@pytest.mark.parametrize("text", ["", "order", "order=ftp://x", "Order=http://x", "a=http://x,a=http://y"])
def test_a_wrong_setting_is_explained(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)
