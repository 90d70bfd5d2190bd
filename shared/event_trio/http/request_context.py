"""Middleware that sets the request context from the headers of an HTTP request."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..observability import spans
from ..observability.request_context import RequestContext, request_context
from .tracing import is_traced, server_span

CORRELATION_HEADER = "X-Correlation-ID"


class RequestContextMiddleware:
    """Sets the request context for the request and its log lines, and returns the correlation id in the response.

    Pure ASGI: Starlette's BaseHTTPMiddleware runs the endpoint in another task, where context variables are lost.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        correlation_id, traceparent = headers.get(CORRELATION_HEADER), headers.get("traceparent")
        if (tracer := spans.tracer()) is not None and is_traced(scope):
            with server_span(tracer, scope, traceparent) as span:
                await self._run(RequestContext.new(correlation_id, span.traceparent), scope, receive, span.watch(send))
            return
        await self._run(RequestContext.new(correlation_id, traceparent), scope, receive, send)

    async def _run(self, context: RequestContext, scope: Scope, receive: Receive, send: Send) -> None:

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[CORRELATION_HEADER] = context.correlation_id
            await send(message)

        with request_context(context):
            await self._app(scope, receive, send_with_id)
