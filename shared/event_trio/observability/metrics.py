"""Metrics in the Prometheus format, in a registry of the process."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder

# The buckets for durations, in seconds, of OpenTelemetry's semantic conventions.
DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


def new_registry() -> CollectorRegistry:
    """A new registry with the metrics of the process; one per process, instead of the global one."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry


def metrics_route(registry: CollectorRegistry) -> APIRouter:
    """`GET /metrics`, without authentication: no label contains ids or personal data.

    A scraper that asks for OpenMetrics gets exemplars too: the trace ids of single observations.
    """
    router = APIRouter(include_in_schema=False)

    @router.get("/metrics")
    async def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"Content-Type": content_type})

    return router


class HttpMetrics:
    """The duration of HTTP requests, by method, route template and status."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.duration = Histogram(
            "http_server_request_duration_seconds",
            "Duration of HTTP requests.",
            ["http_request_method", "http_route", "http_response_status_code"],
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
