"""Reads the payload of an event from its publisher, when the event carries only a reference."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import structlog

from ..backoff import Backoff
from ..circuit_breaker import CircuitBreakerOptions, ItemCircuitBreaker
from ..clock import Clock
from ..envelope import Envelope
from ..errors import EventTrioError
from ..failure_attribution import Attribution
from ..http_client.bounded_response import ResponseTooLarge, send
from ..observability import conventions, spans
from .errors import DependencyUnavailable, Reject

log = structlog.get_logger(__name__)

AGAIN = Backoff(first=0.1, factor=3.0, cap=1.0, jitter=0.5)
LEAST_WAIT_SECONDS = 1.0
OUTAGES = frozenset({401, 403, 408, 429})
"""Responses that say nothing about the event, as all of 5xx: a wrong token, too many or too slow requests."""


class PayloadMissing(EventTrioError):
    """The publisher does not know the event yet; it is asked again."""


class PayloadRefused(EventTrioError):
    """The publisher returned no payload for this event, which counts as a failed attempt."""


@dataclass(frozen=True, slots=True)
class Erased:
    """The publisher has erased the payload on purpose (410)."""


@dataclass(frozen=True, slots=True)
class PayloadOptions:
    """How payloads are read. Only addresses that begin with one of `origins` are requested."""

    origins: Sequence[str]
    token: str | None = None
    timeout: float = 5.0
    attempts: int = 3
    largest: int = 4 * 1024 * 1024
    """The largest response that is read, in bytes after decompression."""
    trip: CircuitBreakerOptions = field(
        default_factory=lambda: CircuitBreakerOptions(
            failures=3, backoff=Backoff(first=1.0, factor=2, cap=30.0, jitter=0.5)
        )
    )


class PayloadReader:
    """Reads payloads over HTTP. An outage opens a circuit breaker and is not counted as an attempt."""

    def __init__(self, options: PayloadOptions, client: httpx.AsyncClient, clock: Clock) -> None:
        self._options = options
        self._client = client
        self._breaker = ItemCircuitBreaker(options.trip, clock, least_wait_seconds=LEAST_WAIT_SECONDS)

    def circuit(self) -> str:
        """The state of the circuit breaker."""
        return self._breaker.state()

    async def read(self, envelope: Envelope, *, within: float | None = None) -> dict[str, Any] | Erased:
        """The payload of the event, after at most so many seconds.

        Raises PayloadMissing or PayloadRefused, which are failed attempts; Reject when no attempt would help, and
        DependencyUnavailable.
        """
        request = self._request(envelope.dataref or "")
        if not self._breaker.try_call():
            raise self._outage(f"payloads cannot be read: {self._breaker.reason}")
        try:
            async with asyncio.timeout(within):
                answer = await self._traced(request)
        except (httpx.DecodingError, httpx.TooManyRedirects) as error:
            raise self._refused(envelope, f"the publisher's answer cannot be read: {type(error).__name__}") from None
        except (httpx.HTTPError, TimeoutError, OSError) as error:
            raise self._down(envelope, f"the publisher does not answer: {type(error).__name__}") from None
        except BaseException:
            # However it ended, the call may have been the probe.
            self._breaker.record_inconclusive()
            raise
        status = answer.status_code
        if status in OUTAGES or answer.is_server_error:
            raise self._down(envelope, f"the publisher answered {status}")
        if status == httpx.codes.OK:
            return self._data(answer, envelope)
        if status == httpx.codes.GONE:
            self._answered(envelope, through=True)
            return Erased()
        if status == httpx.codes.NOT_FOUND:
            self._answered(envelope, through=False)
            raise PayloadMissing
        raise self._refused(envelope, f"the publisher answered {status}")

    def _request(self, url: str) -> httpx.Request:
        if not any(url.startswith(f"{origin.rstrip('/')}/") for origin in self._options.origins):
            raise Reject("the event refers to an address that no publisher was declared for")
        headers = {"Authorization": f"Bearer {self._options.token}"} if self._options.token else {}
        try:
            return self._client.build_request("GET", url, headers=headers, timeout=self._options.timeout)
        except (httpx.InvalidURL, ValueError):
            raise Reject("the event refers to an address that is none") from None

    def _data(self, answer: httpx.Response, envelope: Envelope) -> dict[str, Any]:
        try:
            found = answer.json()
        except (ValueError, RecursionError):
            raise self._refused(envelope, "the publisher's answer is no JSON") from None
        self._answered(envelope, through=True)
        if (
            not isinstance(found, dict)
            or found.get("id") != str(envelope.id)
            or not isinstance(found.get("data"), dict)
        ):
            raise Reject("the publisher's answer is not about this event")
        data: dict[str, Any] = found["data"]
        return data

    def _answered(self, envelope: Envelope, *, through: bool) -> None:
        self._breaker.record_response(envelope.id, success=through)

    def _refused(self, envelope: Envelope, reason: str) -> PayloadRefused:
        self._answered(envelope, through=False)
        return PayloadRefused(reason)

    def _down(self, envelope: Envelope, reason: str) -> DependencyUnavailable | PayloadRefused:
        """An outage, unless this event fails repeatedly while others are read."""
        attribution, opened = self._breaker.record_failure(envelope.id, reason)
        if attribution is Attribution.ITEM:
            return PayloadRefused(f"{reason}, while other payloads were read")
        if opened:
            log.warning("payloads cannot be read", action="consumer.payloads_unavailable", error=reason)
        return self._outage(reason)

    def _outage(self, reason: str) -> DependencyUnavailable:
        """The error with the time until the breaker admits the next probe."""
        return DependencyUnavailable(self._breaker.wait_seconds(), reason)

    async def _traced(self, request: httpx.Request) -> httpx.Response:
        """The response; the call is a span, and the publisher's spans are its children."""
        attributes: dict[str, str | int | bool] = {
            conventions.METHOD: request.method,
            conventions.SERVER: request.url.host,
            conventions.PORT: request.url.port or (443 if request.url.scheme == "https" else 80),
        }
        with spans.client(request.method, attributes) as span:
            if span.traceparent:
                request.headers["traceparent"] = span.traceparent
            answer = await self._ask(request)
            span.set({conventions.STATUS: answer.status_code})
            if answer.is_error:
                span.fail(str(answer.status_code))
            return answer

    async def _ask(self, request: httpx.Request) -> httpx.Response:
        for attempt in range(1, self._options.attempts + 1):
            last = attempt == self._options.attempts
            try:
                answer = await send(self._client, request, largest=self._options.largest)
            except ResponseTooLarge as error:
                raise Reject(f"the publisher's payload is not taken: {error}") from None
            except httpx.TransportError:
                if last:
                    raise
            else:
                if last or not answer.is_server_error:
                    return answer
            await asyncio.sleep(AGAIN.delay(attempt))
        raise AssertionError("the last attempt returns or raises")
