"""The metrics of a publisher's own outbox, which work while no relay runs."""

from __future__ import annotations

import math

from prometheus_client import CollectorRegistry, Gauge


class OutboxMetrics:
    """The outbox as its publisher sees it; NaN while it cannot be read."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Gauge(
            "outbox_unpublished_events",
            "Unpublished events, without held ones, counted up to a bound.",
            registry=registry,
        )
        self.oldest = Gauge(
            "outbox_oldest_unpublished_age_seconds",
            "Age of the oldest of these events; 0 if there are none.",
            registry=registry,
        )
        self.relays = Gauge(
            "outbox_live_relays",
            "Relays of this outbox with a valid lease, by the database's clock.",
            registry=registry,
        )
        self.heard = Gauge(
            "outbox_relay_heartbeat_age_seconds",
            "Time since the last heartbeat of a relay; NaN if none is known.",
            registry=registry,
        )
        self.forget()

    def forget(self) -> None:
        """Set all gauges to unknown (NaN)."""
        for gauge in (self.events, self.oldest, self.relays, self.heard):
            gauge.set(math.nan)
