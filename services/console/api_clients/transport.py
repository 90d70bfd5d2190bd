"""Sends requests to services with deadlines. Every failure becomes a reply, so that no page fails with a service."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from event_trio.http.replayed import REPLAYED
from event_trio.http_client.bounded_response import ResponseTooLarge, send

from .answer_shapes import answer_error
from .metrics import CallMetrics
from .paused_reads import PausedReads
from .processes import ApiProcess
from .replies import ApiFailure, ApiReply, Body, FailureKind

LARGEST = 4 * 1024 * 1024
"""The most bytes of an answer; a page of 100 items has some kilobytes."""
DOTS = re.compile(r"(?<=/)\.{1,2}(?=/|$)")
MOST_DETAIL = 300
"""The most characters of a service's text that a page shows."""
KINDS = {
    401: FailureKind.SIGNED_OUT,
    403: FailureKind.FORBIDDEN,
    404: FailureKind.NOT_FOUND,
    429: FailureKind.UNAVAILABLE,
    503: FailureKind.UNAVAILABLE,
}


class ApiTransport:
    """Calls processes over HTTP."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        metrics: CallMetrics,
        *,
        read_seconds: float,
        change_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._metrics = metrics
        self._read_seconds = read_seconds
        self._change_seconds = change_seconds
        self._paused = PausedReads(monotonic)

    async def read(
        self, process: ApiProcess, path: str, params: Mapping[str, Any], headers: Mapping[str, str]
    ) -> ApiReply:
        """Read a path; parameters that are None are omitted."""
        given = {name: value for name, value in params.items() if value is not None}
        if self._paused.has(process, path, given):
            return ApiReply(process, failure=ApiFailure(FailureKind.SLOW))
        request = self._http.build_request(
            "GET", _address(process, path), params=given, headers=dict(headers), timeout=self._read_seconds
        )
        reply = await self._send(process, path, request, self._read_seconds)
        self._paused.learn(process, path, given, slow=reply.failure is not None and reply.failure.is_slow)
        return reply

    async def change(self, process: ApiProcess, path: str, body: Body, headers: Mapping[str, str]) -> ApiReply:
        """Post a change; fields that are None are omitted. The headers contain its Idempotency-Key."""
        given = {name: value for name, value in body.items() if value is not None}
        request = self._http.build_request(
            "POST", _address(process, path), json=given, headers=dict(headers), timeout=self._change_seconds
        )
        return await self._send(process, path, request, self._change_seconds)

    async def text(self, process: ApiProcess, path: str) -> str | None:
        """A page that is no JSON and needs no token; None if there is no answer."""
        request = self._http.build_request("GET", _address(process, path), timeout=self._read_seconds)
        try:
            response = await self._within(request, self._read_seconds)
        except (TimeoutError, httpx.HTTPError, ResponseTooLarge):
            response = None
        self._metrics.called(process.name, "answered" if response is not None else "failed")
        return response.text if response is not None and response.is_success else None

    async def _send(self, process: ApiProcess, path: str, request: httpx.Request, seconds: float) -> ApiReply:
        failure: ApiFailure | None = None
        body: Body = {}
        is_repeated = False
        try:
            response = await self._within(request, seconds)
        except (TimeoutError, httpx.TimeoutException):
            failure = ApiFailure(FailureKind.SLOW)
        except (httpx.ConnectError, httpx.ProxyError):
            failure = ApiFailure(FailureKind.UNREACHABLE)
        except (httpx.HTTPError, ResponseTooLarge) as error:
            failure = ApiFailure(FailureKind.UNEXPECTED, type(error).__name__)
        else:
            body, is_repeated = _decoded(response), response.headers.get(REPLAYED) == "true"
            if not response.is_success or not body:
                failure, body = _failure(response, body), {}
            elif wrong := answer_error(request.method, path, body):
                failure, body = ApiFailure(FailureKind.UNEXPECTED, wrong[:MOST_DETAIL], response.status_code), {}
        self._metrics.called(process.name, "answered" if failure is None else failure.kind.value)
        return ApiReply(process, body, failure, is_repeated=is_repeated)

    async def _within(self, request: httpx.Request, seconds: float) -> httpx.Response:
        """The response. The deadline is for all of it: that of the client is for each part."""
        async with asyncio.timeout(seconds):
            return await send(self._http, request, largest=LARGEST)


def _address(process: ApiProcess, path: str) -> str:
    """The address. A `..` in an id is encoded: the client would resolve it, and reach something else than is named."""
    return process.url + DOTS.sub(lambda found: found[0].replace(".", "%2E"), path)


def _decoded(response: httpx.Response) -> Body:
    """The JSON object; empty if it is none."""
    try:
        found = json.loads(response.content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _failure(response: httpx.Response, problem: Body) -> ApiFailure:
    status = response.status_code
    kind = KINDS.get(status)
    if kind is None:
        kind = FailureKind.REJECTED if 400 <= status < 500 and problem else FailureKind.UNEXPECTED
    return ApiFailure(kind, _detail(problem)[:MOST_DETAIL], status, problem)


def _detail(problem: Body) -> str:
    """The text of a problem, or what is wrong with each field."""
    errors = problem.get("errors")
    wrong = [each for each in errors if isinstance(each, dict)] if isinstance(errors, list) else []
    fields = "; ".join(f"{each.get('field')}: {each.get('detail')}" for each in wrong)
    return str(problem.get("detail") or fields or problem.get("title") or "")
