"""What the order service counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter


class OrderMetrics:
    """Changes of orders, by the event that states them; requests that came again."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.recorded = Counter(
            "order_events_recorded_total", "Changes of orders that were committed.", ["type"], registry=registry
        )
        self.repeated = Counter(
            "order_requests_repeated_total",
            "Requests answered with the answer kept under their key.",
            registry=registry,
        )
        self.keys_pruned = Counter(
            "order_idempotency_keys_pruned_total", "Expired keys that were forgotten.", registry=registry
        )
        self.compensated = Counter(
            "order_compensations_total",
            "Orders held or cancelled because their customer could not be notified.",
            ["compensation"],
            registry=registry,
        )
