"""Counts the calls of services."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter


class CallMetrics:
    """The calls of the console, of which a page makes a bounded number."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._calls = Counter(
            "console_api_calls", "Calls of services and relays, by result.", ["process", "result"], registry=registry
        )

    def called(self, process: str, result: str) -> None:
        """Count a call."""
        self._calls.labels(process, result).inc()
