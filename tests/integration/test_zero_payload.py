"""Events without payload: it is read from the publisher, and the handler sees no difference."""

import gzip
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from event_trio.backoff import Backoff
from event_trio.broker.aws import Aws
from event_trio.circuit_breaker import CircuitBreakerOptions
from event_trio.clock import SystemClock
from event_trio.consumer.event import Event
from event_trio.consumer.payloads import PayloadOptions, PayloadReader
from event_trio.consumer.policies import DeadLetter, Retry, Unit
from event_trio.contracts.orders import OrderPlaced
from event_trio.envelope import Envelope
from event_trio.errors import ConfigurationError
from services.order.main import build as build_order
from tests.support.consuming import Counted, consumer_of, effects, make_effects, rows
from tests.support.databases import TestDatabase, fetch
from tests.support.events import envelope_of
from tests.support.fifo import FifoQueue, fifo_queue
from tests.support.order_service import order_service, place, settings

ORIGIN = "http://orders.example"
HOURLY = Retry(attempts=3, delay=1, unit=Unit.HOURS)
TRIP = CircuitBreakerOptions(failures=2, backoff=Backoff(first=30.0, factor=1.0, cap=30.0, jitter=0.0))

Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
async def queue(aws: Aws) -> AsyncIterator[FifoQueue]:
    async with fifo_queue(aws) as made:
        yield made


@pytest.fixture
async def database(notifications_database: TestDatabase) -> TestDatabase:
    await make_effects(notifications_database)
    return notifications_database


def bare(subject: str = "a", sequence: int = 1, origin: str = ORIGIN) -> Envelope:
    reference = f"{origin}/v1/orders/{subject}/events/{sequence}"
    return envelope_of(Counted(), subject=subject, sequence=sequence, data=None, dataref=reference)


def reader(answer: Answer) -> PayloadReader:
    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    return PayloadReader(PayloadOptions((ORIGIN,), token="t-1", trip=TRIP), client, SystemClock())


def kept(*events: Envelope) -> Answer:
    by_url = {event.dataref: event for event in events}

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["Authorization"] == "Bearer t-1"
        return httpx.Response(200, json={"id": str(by_url[str(request.url)].id), "data": {"number": 7}})

    return answer


async def test_full_and_zero_payload_go_through_the_same_handler(database: TestDatabase, queue: FifoQueue) -> None:
    zero, full = bare("a"), envelope_of(Counted(number=7), subject="b")
    seen: list[Any] = []

    async def note(event: Event[Counted]) -> None:
        seen.append(event.payload)

    async with consumer_of(database, queue.reader(), before=note, payloads=reader(kept(zero))) as tested:
        for event in (zero, full):
            await queue.send(event)
            await tested.completed(event.id, "handled")
    assert seen == [Counted(number=7), Counted(number=7)]


@pytest.mark.parametrize(
    ("answer", "outcome", "row"),
    [
        (lambda request: httpx.Response(410), "ignored", []),
        (lambda request: httpx.Response(404), "deferred", [("waiting", "failed", 1)]),
        (lambda request: httpx.Response(422), "deferred", [("waiting", "failed", 1)]),
        (
            lambda request: httpx.Response(200, json={"id": "another", "data": {}}),
            "dead_letter",
            [("dead", "rejected", 0)],
        ),
        (
            # It comes packed, a thousand times smaller than it is.
            lambda request: httpx.Response(
                200, content=gzip.compress(b" " * 9_000_000), headers={"Content-Encoding": "gzip"}
            ),
            "dead_letter",
            [("dead", "rejected", 0)],
        ),
    ],
)
async def test_the_response_of_the_publisher_decides_on_the_outcome(
    answer: Answer, outcome: str, row: list[tuple[str, str, int]], database: TestDatabase, queue: FifoQueue
) -> None:
    """Erased is a final response; not found is retried, here after an hour."""
    event = bare()
    async with consumer_of(database, queue.reader(), policy=HOURLY, payloads=reader(answer)) as tested:
        await queue.send(event)
        await tested.completed(event.id, outcome)
    assert await rows(database, "SELECT status, reason, attempts FROM deferred_message") == row
    assert await effects(database) == []


async def test_an_outage_is_not_counted_as_an_attempt(database: TestDatabase, queue: FifoQueue) -> None:
    event = bare()
    once = Retry(attempts=1)
    async with consumer_of(
        database, queue.reader(), policy=once, payloads=reader(lambda request: httpx.Response(503))
    ) as tested:
        await queue.send(event)
        facts = await tested.signals.wait("consumer.postponed")
        assert facts["error"] == "DependencyUnavailable: the publisher answered 503"
    assert await rows(database, "SELECT 1 FROM processed_message") == []


async def test_a_payload_that_stays_missing_is_a_dead_letter(database: TestDatabase, queue: FifoQueue) -> None:
    event = bare()
    missing = reader(lambda request: httpx.Response(404))
    async with consumer_of(database, queue.reader(), policy=DeadLetter(), payloads=missing) as tested:
        await queue.send(event)
        await tested.completed(event.id, "dead_letter")
    assert await rows(database, "SELECT reason, attempts FROM deferred_message") == [("failed", 1)]


async def test_an_outage_opens_the_circuit_breaker() -> None:
    asked: list[httpx.Request] = []

    def down(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        raise httpx.ConnectError("refused")

    found = reader(down)
    for _ in range(5):
        with pytest.raises(Exception, match=r"payloads cannot be read|does not answer"):
            await found.read(bare())
    assert len(asked) == 6, "two calls of three attempts each, then the breaker was open"


async def test_only_declared_origins_are_requested() -> None:
    found = reader(lambda request: pytest.fail("asked"))
    for origin in ("http://169.254.169.254", f"{ORIGIN}.evil.example"):
        with pytest.raises(Exception, match="no publisher was declared"):
            await found.read(bare(origin=origin))


async def test_the_order_service_publishes_the_payload_s_url(orders_database: TestDatabase) -> None:
    async with order_service(orders_database, zero_payload_events="order.placed", public_url=ORIGIN) as api:
        order = await place(api)
        await api.post(f"/v1/orders/{order['id']}/confirm")
        [placed, confirmed] = [
            Envelope.parse(row["envelope"])
            for row in await fetch(orders_database.url, "SELECT envelope FROM outbox_event ORDER BY sequence")
        ]
        assert placed.data is None
        assert confirmed.data is not None
        assert placed.dataref == f"{ORIGIN}/v1/orders/{order['id']}/events/1"
        answer = (await api.get(placed.dataref.removeprefix(ORIGIN))).json()
    assert answer["id"] == str(placed.id)
    assert OrderPlaced.model_validate(answer["data"]).recipient == order["recipient"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"zero_payload_events": "order.palced", "public_url": ORIGIN}, "did you mean 'order.placed'"),
        ({"zero_payload_events": "order.placed"}, "PUBLIC_URL must be"),
    ],
)
def test_an_invalid_setting_is_reported_at_startup(
    orders_database: TestDatabase, given: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        build_order(settings(orders_database, **given))
