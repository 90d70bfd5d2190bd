"""Which responses of a publisher are an outage, and which concern the event only."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import httpx
import pytest

from event_trio.backoff import Backoff
from event_trio.circuit_breaker import CircuitBreakerOptions
from event_trio.consumer.errors import DependencyUnavailable, Reject
from event_trio.consumer.payloads import Erased, PayloadMissing, PayloadOptions, PayloadReader, PayloadRefused
from event_trio.envelope import Envelope
from event_trio.failure_attribution import CHANCES
from tests.support.consuming import Counted
from tests.support.events import envelope_of

ORIGIN = "http://orders.example"
TRIP = CircuitBreakerOptions(failures=2, backoff=Backoff(first=30.0, factor=1.0, cap=30.0, jitter=0.0))

Answer = Callable[[httpx.Request], httpx.Response]


class Time:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return self.seconds


def bare(path: str = "a") -> Envelope:
    return envelope_of(Counted(), data=None, dataref=f"{ORIGIN}/{path}")


def reader(answer: Answer, time: Time | None = None) -> PayloadReader:
    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    return PayloadReader(PayloadOptions((ORIGIN,), attempts=1, trip=TRIP), client, time or Time())


def says(event: Envelope) -> httpx.Response:
    return httpx.Response(200, json={"id": str(event.id), "data": {"number": 7}})


def raises(error: Exception) -> Answer:
    def answer(_: httpx.Request) -> httpx.Response:
        raise error

    return answer


def status(code: int) -> Answer:
    return lambda _: httpx.Response(code)


@pytest.mark.parametrize("code", [204, 206, 301, 302, 304, 400, 402, 405, 406, 409, 414, 415, 422, 423, 451])
async def test_a_response_about_the_event_is_its_failed_attempt_and_does_not_open_the_breaker(code: int) -> None:
    event, other = bare("bad"), bare("good")
    found = reader(lambda request: httpx.Response(code) if "bad" in str(request.url) else says(other))
    for _ in range(10):
        with pytest.raises(PayloadRefused, match=str(code)):
            await found.read(event)
        assert await found.read(other) == {"number": 7}


@pytest.mark.parametrize(
    "answer",
    [
        *(status(code) for code in (401, 403, 408, 429, 500, 502, 503, 504, 507)),
        raises(httpx.ConnectError("refused")),
        raises(httpx.ConnectTimeout("late")),
        raises(httpx.ReadTimeout("late")),
        raises(httpx.RemoteProtocolError("hung up")),
        raises(OSError(24, "too many files")),
    ],
)
async def test_an_outage_is_no_attempt_however_long_it_lasts(answer: Answer) -> None:
    time = Time()
    found, event, asked = reader(answer, time), bare(), 0
    while time.seconds < 18 * 60:
        with pytest.raises(DependencyUnavailable) as caught:
            await found.read(event)
        time.seconds += caught.value.seconds
        asked += 1
    assert asked < 60


async def test_a_missing_payload_and_an_erased_one_are_answers() -> None:
    with pytest.raises(PayloadMissing):
        await reader(status(404)).read(bare())
    assert isinstance(await reader(status(410)).read(bare()), Erased)


@pytest.mark.parametrize("garbled", [b"<html>", b"", b"\xff\xfe", b'{"id": 1', b"[" * 200_000])
async def test_a_response_that_is_not_json_is_a_failed_attempt(garbled: bytes) -> None:
    with pytest.raises(PayloadRefused, match="no JSON"):
        await reader(lambda _: httpx.Response(200, content=garbled)).read(bare())


async def test_an_answer_that_cannot_be_unpacked_is_a_failed_attempt() -> None:
    """Streamed, so that the reader decompresses it."""
    answer = httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=Streamed())
    with pytest.raises(PayloadRefused, match="DecodingError"):
        await reader(lambda _: answer).read(bare())


class Streamed(httpx.AsyncByteStream):
    """A body with a Content-Encoding."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"no gzip"


@pytest.mark.parametrize("path", ["\x00", "a\nb", "a" * 70_000, "\ud800"])
async def test_a_reference_that_is_no_address_is_rejected_and_nobody_is_asked(path: str) -> None:
    found = reader(lambda _: pytest.fail("asked"))
    event = bare().model_copy(update={"dataref": f"{ORIGIN}/{path}"})
    for _ in range(5):
        with pytest.raises(Reject):
            await found.read(event)


async def test_an_event_that_fails_while_others_are_read_is_rejected_and_delays_no_other() -> None:
    event, other = bare("bad"), bare("good")
    found = reader(lambda request: httpx.Response(500) if "bad" in str(request.url) else says(other))
    for attempt in range(20):
        with pytest.raises(DependencyUnavailable if attempt <= CHANCES else PayloadRefused):
            await found.read(event)
        assert await found.read(other) == {"number": 7}


async def test_a_publisher_that_answers_too_late_for_the_handler_is_down() -> None:
    async def hang(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    client = httpx.AsyncClient(transport=httpx.MockTransport(hang))
    with pytest.raises(DependencyUnavailable):
        await PayloadReader(PayloadOptions((ORIGIN,), trip=TRIP), client, Time()).read(bare(), within=0.05)


async def test_a_read_that_is_cut_off_leaves_the_probe_to_the_next() -> None:
    time, event = Time(), bare()
    answers: list[Answer] = [status(503), status(503), raises(RuntimeError("a mistake")), lambda _: says(event)]
    found = reader(lambda request: answers.pop(0)(request), time)
    for _ in range(2):
        with pytest.raises(DependencyUnavailable):
            await found.read(event)
    time.seconds += 31
    with pytest.raises(RuntimeError):
        await found.read(event)
    assert await found.read(event) == {"number": 7}
