"""Metrics of requests with an idempotency key."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter


class IdempotencyMetrics:
    """Counts stored responses that were returned again, and expired keys that were deleted."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.repeated = Counter(
            "idempotency_requests_repeated_total",
            "Requests answered with the response stored for their key.",
            registry=registry,
        )
        self.pruned = Counter("idempotency_keys_pruned_total", "Expired keys that were deleted.", registry=registry)
