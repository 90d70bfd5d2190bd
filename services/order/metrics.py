"""The metrics of the order service."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter


class OrderMetrics:
    """Counts changes of orders by event type, and compensations."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.recorded = Counter(
            "order_events_recorded_total", "Committed changes of orders.", ["type"], registry=registry
        )
        self.compensated = Counter(
            "order_compensations_total",
            "Orders held or cancelled because their customer could not be notified.",
            ["compensation"],
            registry=registry,
        )
