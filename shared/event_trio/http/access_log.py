"""Logs and measures every request, and responds to unexpected errors."""

from __future__ import annotations

import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..observability.metrics import HttpMetrics
from ..observability.spans import current, exemplar
from .problems import UNEXPECTED, HttpProblem, render

log = structlog.get_logger(__name__)

# Polled every few seconds: logged only when they fail.
QUIET_PATHS = frozenset({"/livez", "/readyz", "/metrics"})


class AccessMiddleware:
    """Measures and logs each request by its route template, not by path or query, which may contain ids.

    An unhandled exception becomes a problem with status 500 here, inside the request context, so that the response has
    the correlation id and the log line the traceback.
    """

    def __init__(self, app: ASGIApp, metrics: HttpMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0

        async def send_and_observe(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_observe)
        except Exception:
            log.exception("unexpected error in a request", action="http.failed", route=_route(scope))
            if status:
                # The response has started: only a broken connection tells the caller that it is incomplete.
                raise
            await render(HttpProblem(UNEXPECTED))(scope, receive, send_and_observe)
        finally:
            self._record(scope, status, time.perf_counter() - started)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        method, route = _known(str(scope["method"])), _route(scope)
        self._metrics.duration.labels(method, route, str(status)).observe(seconds, exemplar(current().traceparent))
        write = log.debug if route in QUIET_PATHS and status < 500 else log.info
        write(
            "request",
            action="http.request",
            method=method,
            route=route,
            status=status,
            milliseconds=round(seconds * 1000, 1),
        )


def _route(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", None) or "unknown"


def _known(method: str) -> str:
    """The method as a label, which must have few values; and in a log line, in which a caller must not write."""
    return method if method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} else "_OTHER"
