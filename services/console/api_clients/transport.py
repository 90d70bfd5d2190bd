"""Sends requests to services with deadlines. Every failure becomes a reply, so that no page fails with a service."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from event_trio.http_client.bounded_response import ResponseTooLarge, send

from .metrics import CallMetrics
from .processes import ApiProcess
from .replies import ApiFailure, ApiReply, Body, FailureKind

LARGEST = 4 * 1024 * 1024
"""The most bytes of an answer; a page of 100 items has some kilobytes."""
PAUSE_SECONDS = 5.0
"""A process that did not answer in time is not asked again for so long, so that pages do not wait for it each time."""
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
        self._monotonic = monotonic
        self._paused: dict[str, tuple[float, ApiFailure]] = {}

    async def read(
        self, process: ApiProcess, path: str, params: Mapping[str, Any], headers: Mapping[str, str]
    ) -> ApiReply:
        """Read a path; parameters that are None are omitted."""
        until, failure = self._paused.get(process.name, (0.0, None))
        if failure is not None and self._monotonic() < until:
            return ApiReply(process, failure=failure)
        given = {name: value for name, value in params.items() if value is not None}
        request = self._http.build_request(
            "GET", process.url + path, params=given, headers=dict(headers), timeout=self._read_seconds
        )
        reply = await self._send(process, request)
        if reply.failure is not None and reply.failure.kind is FailureKind.SLOW:
            self._paused[process.name] = (self._monotonic() + PAUSE_SECONDS, reply.failure)
        else:
            self._paused.pop(process.name, None)
        return reply

    async def change(self, process: ApiProcess, path: str, body: Body, headers: Mapping[str, str]) -> ApiReply:
        """Post a change; fields that are None are omitted. The headers contain its Idempotency-Key."""
        given = {name: value for name, value in body.items() if value is not None}
        request = self._http.build_request(
            "POST", process.url + path, json=given, headers=dict(headers), timeout=self._change_seconds
        )
        return await self._send(process, request)

    async def text(self, process: ApiProcess, path: str) -> str | None:
        """A page that is no JSON and needs no token; None if there is no answer."""
        request = self._http.build_request("GET", process.url + path, timeout=self._read_seconds)
        try:
            response = await send(self._http, request, largest=LARGEST)
        except (httpx.HTTPError, ResponseTooLarge):
            response = None
        self._metrics.called(process.name, "answered" if response is not None else "failed")
        return response.text if response is not None and response.is_success else None

    async def _send(self, process: ApiProcess, request: httpx.Request) -> ApiReply:
        failure: ApiFailure | None = None
        body: Body = {}
        try:
            response = await send(self._http, request, largest=LARGEST)
        except httpx.TimeoutException:
            failure = ApiFailure(FailureKind.SLOW)
        except (httpx.ConnectError, httpx.ProxyError):
            failure = ApiFailure(FailureKind.UNREACHABLE)
        except (httpx.HTTPError, ResponseTooLarge) as error:
            failure = ApiFailure(FailureKind.UNEXPECTED, type(error).__name__)
        else:
            body = _decoded(response)
            if not response.is_success or not body:
                failure, body = _failure(response, body), {}
        self._metrics.called(process.name, "answered" if failure is None else failure.kind.value)
        return ApiReply(process, body, failure)


def _decoded(response: httpx.Response) -> Body:
    """The JSON object; empty if it is none."""
    try:
        found = json.loads(response.content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _failure(response: httpx.Response, problem: Body) -> ApiFailure:
    status = response.status_code
    kind = KINDS.get(status)
    if kind is None:
        kind = FailureKind.REJECTED if 400 <= status < 500 and problem else FailureKind.UNEXPECTED
    detail = str(problem.get("detail") or problem.get("title") or "")
    if not detail and (errors := problem.get("errors")):
        detail = "; ".join(f"{error.get('field')}: {error.get('detail')}" for error in errors)
    return ApiFailure(kind, detail, status, problem)
