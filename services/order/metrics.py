"""What the order service counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter


class OrderMetrics:
    """Changes of orders, by the event that states them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.recorded = Counter(
            "order_events_recorded_total", "Changes of orders that were committed.", ["type"], registry=registry
        )
        self.compensated = Counter(
            "order_compensations_total",
            "Orders held or cancelled because their customer could not be notified.",
            ["compensation"],
            registry=registry,
        )
