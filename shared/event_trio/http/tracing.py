"""The span of an HTTP request on its server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import Message, Scope, Send

from ..observability import conventions
from ..observability.spans import Kind, Span, Tracer, active

NOT_TRACED = frozenset({"/livez", "/readyz", "/metrics"})
"""Requested every few seconds by machines."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def is_traced(scope: Scope) -> bool:
    """Whether the request gets a span."""
    return scope["path"] not in NOT_TRACED


class ServerSpan:
    """A span that notes the status of the response."""

    def __init__(self, span: Span) -> None:
        self.traceparent = span.traceparent
        self.status = 0

    def watch(self, send: Send) -> Send:
        """`send`, with the status noted."""

        async def send_and_note(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
            await send(message)

        return send_and_note


@contextmanager
def server_span(tracer: Tracer, scope: Scope, parent: str | None) -> Iterator[ServerSpan]:
    """The current span while the request is served. Its name has the route, never the path, which contains ids."""
    method = scope["method"] if scope["method"] in METHODS else "_OTHER"
    attributes = {conventions.METHOD: method}
    with active(tracer, method, Kind.SERVER, parent=parent, attributes=attributes) as span:
        server = ServerSpan(span)
        try:
            yield server
        finally:
            if (route := getattr(scope.get("route"), "path", None)) is not None:
                span.rename(f"{method} {route}")
                span.set({conventions.ROUTE: route})
            if server.status:
                span.set({conventions.STATUS: server.status})
            if server.status >= 500:
                span.fail(str(server.status))
