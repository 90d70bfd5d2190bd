"""What a publisher shows of its own outbox, so that it can be seen while no relay runs."""

from __future__ import annotations

import math

from prometheus_client import CollectorRegistry, Gauge


class OutboxMetrics:
    """The outbox as its publisher sees it; NaN as long as nobody could look."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Gauge(
            "outbox_unpublished_events",
            "Events that are not published yet, held ones left out (counted up to a bound).",
            registry=registry,
        )
        self.oldest = Gauge(
            "outbox_oldest_unpublished_age_seconds", "Age of the oldest of these; 0 without one.", registry=registry
        )
        self.relays = Gauge(
            "outbox_live_relays", "Relays of this outbox whose lease holds, by the database's clock.", registry=registry
        )
        self.heard = Gauge(
            "outbox_relay_heartbeat_age_seconds",
            "How long ago a relay was last heard of; NaN when none is known.",
            registry=registry,
        )
        self.forget()

    def forget(self) -> None:
        """Show that nothing is known."""
        for gauge in (self.events, self.oldest, self.relays, self.heard):
            gauge.set(math.nan)
