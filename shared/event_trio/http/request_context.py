"""The context of a request: its correlation id and its trace, from the caller or made here."""

from __future__ import annotations

import re
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..envelope import uuid7
from ..observability.tracing import Traceparent

CORRELATION_HEADER = "X-Correlation-ID"

_CORRELATION_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What an event recorded during this request carries on."""

    correlation_id: str
    traceparent: str

    @classmethod
    def new(cls, correlation_id: str | None = None, traceparent: str | None = None) -> RequestContext:
        """Take what the caller gave if it is valid; make the rest.

        A valid traceparent is kept as it came: the span that it names is the parent of whatever follows.
        """
        given = correlation_id if correlation_id and _CORRELATION_ID.fullmatch(correlation_id) else None
        trace = Traceparent.parse(traceparent) or Traceparent.new()
        return cls(given or str(uuid7()), str(trace))


_current: ContextVar[RequestContext | None] = ContextVar("request_context", default=None)


def current() -> RequestContext:
    """The context of the request that runs; outside of one, a new context."""
    return _current.get() or RequestContext.new()


class ContextMiddleware:
    """Sets the context for a request and its log lines, and echoes the correlation id.

    Pure ASGI: Starlette's BaseHTTPMiddleware runs the endpoint in another task, where context variables are lost.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        context = RequestContext.new(headers.get(CORRELATION_HEADER), headers.get("traceparent"))

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[CORRELATION_HEADER] = context.correlation_id
            await send(message)

        token = _current.set(context)
        try:
            with structlog.contextvars.bound_contextvars(**_for_logs(context)):
                await self._app(scope, receive, send_with_id)
        finally:
            _current.reset(token)


def _for_logs(context: RequestContext) -> dict[str, Any]:
    trace = Traceparent.parse(context.traceparent)
    return {"correlation_id": context.correlation_id, "trace_id": trace.trace_id if trace else None}
