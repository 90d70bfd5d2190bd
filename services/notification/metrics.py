"""The notification service's own metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge


class SenderMetrics:
    """The channel over which customers are notified."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.circuit = Gauge(
            "notification_sender_circuit_state",
            "The circuit breaker of the mail server: 0 closed, 1 half-open, 2 open; 0 for a sender without one.",
            registry=registry,
        )
