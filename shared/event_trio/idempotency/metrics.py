"""What is counted of requests with keys."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter


class IdempotencyMetrics:
    """Requests that came again under their `Idempotency-Key`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.repeated = Counter(
            "idempotency_requests_repeated_total",
            "Requests answered with the answer kept under their key.",
            registry=registry,
        )
        self.pruned = Counter("idempotency_keys_pruned_total", "Expired keys that were forgotten.", registry=registry)
