"""The relay's metrics."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter as Count
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.samples import Exemplar

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class BatchHistogram(Histogram):
    """A histogram without labels that observes many amounts at once, at a fraction of the cost."""

    def observe_all(self, amounts: Iterable[float]) -> None:
        """Observe amounts: the same as `observe` for each of them."""
        places, total = Count[int](), 0.0
        for amount in amounts:
            places[bisect_left(self._upper_bounds, amount)] += 1
            total += amount
        if places:
            self._sum.inc(total)
        for place, count in places.items():
            self._buckets[place].inc(count)

    def lead(self, amount: float, exemplar: dict[str, str]) -> None:
        """Lead from the bucket of an amount, which has been observed, to its trace."""
        self._buckets[bisect_left(self._upper_bounds, amount)].set_exemplar(Exemplar(exemplar, amount, time.time()))


class RelayMetrics:
    """The metrics of one process, in the registry of its /metrics page."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.pending = Gauge(
            "outbox_pending_events",
            "Unsent events, among the oldest 10,000 that are not published; at 10,000 in all there may be more.",
            registry=registry,
        )
        self.oldest = Gauge(
            "outbox_oldest_pending_age_seconds",
            "Age of the oldest unsent event, among the oldest 10,000 that are not published.",
            registry=registry,
        )
        self.unconfirmed = Gauge(
            "outbox_unconfirmed_events",
            "Events sent and not seen on the publish check, among the oldest 10,000 that are not published.",
            registry=registry,
        )
        self.oldest_unconfirmed = Gauge(
            "outbox_oldest_unconfirmed_age_seconds",
            "Time since the first of these events was sent; 0 if there are none.",
            registry=registry,
        )
        self.held = Gauge("outbox_held_events", "Events of held groups, counted up to 10,000.", registry=registry)
        self.oldest_held = Gauge(
            "outbox_oldest_held_age_seconds",
            "Age of the oldest of these events; 0 if there are none.",
            registry=registry,
        )
        self.waiting_groups = Gauge(
            "outbox_waiting_groups", "Groups that wait for another attempt after a failure.", registry=registry
        )
        self.held_groups = Gauge(
            "outbox_held_groups", "Groups that are held until an operator decides.", registry=registry
        )
        self.lanes = Gauge("outbox_relay_lanes_owned", "Lanes that this relay owns.", registry=registry)
        self.outage = Gauge("outbox_broker_outage", "1 while the broker as a whole is unavailable.", registry=registry)
        self.check_broken = Gauge(
            "outbox_publish_check_broken",
            "1 while sent events are not confirmed by the publish check.",
            registry=registry,
        )
        self.confirmation_lag = Gauge(
            "outbox_confirmation_lag_seconds",
            "Age of the oldest sent and unconfirmed event of all groups; "
            "measured by the relay that sweeps, 0 elsewhere.",
            registry=registry,
        )
        self.broker_unaccepted = Gauge(
            "outbox_broker_unaccepted",
            "1 while the broker was recreated and no operator has decided what is replayed.",
            registry=registry,
        )
        self.circuit = Gauge(
            "outbox_broker_circuit_state",
            "The circuit breaker of the broker: 0 closed, 1 half-open, 2 open.",
            registry=registry,
        )
        self.in_flight = Gauge("outbox_calls_in_flight", "Calls to the broker that have not ended.", registry=registry)
        self.in_flight_limit = Gauge(
            "outbox_calls_in_flight_limit",
            "The limit of calls in flight; below BATCHES_IN_FLIGHT while the broker throttles.",
            registry=registry,
        )
        self.call_spacing = Gauge(
            "outbox_call_spacing_seconds",
            "The least time between calls with batches that are not full; above 0 while the broker delivers late.",
            registry=registry,
        )
        self.wal_state = Gauge(
            "outbox_wal_state",
            "1 for the state of the write-ahead log as a source (SOURCE=wal), 0 for the others.",
            ["state"],
            registry=registry,
        )
        self.wal_kept = Gauge(
            "outbox_wal_kept_bytes",
            "Write-ahead log that the server keeps for the replication slot.",
            registry=registry,
        )
        self.wal_unconfirmed = Gauge(
            "outbox_wal_unconfirmed_bytes",
            "Write-ahead log behind the confirmed position of the replication slot.",
            registry=registry,
        )
        self.wal_changes = Counter(
            "outbox_wal_changes", "Changes of events that this relay has read in the log.", registry=registry
        )
        self.reads = Counter("outbox_reads", "Reads of the outbox.", registry=registry)
        self.calls = Counter("outbox_publish_calls", "PublishBatch calls.", ["outcome"], registry=registry)
        self.entries = Counter(
            "outbox_events", "Outcomes of events sent to the broker.", ["type", "outcome"], registry=registry
        )
        self.published = Counter("outbox_published", "Events seen on the publish check.", ["type"], registry=registry)
        self.republished = Counter(
            "outbox_republished", "Events marked as unsent, to be sent again.", ["reason"], registry=registry
        )
        self.foreign = Counter(
            "outbox_publish_check_foreign",
            "Messages on the publish check that are not events of a relay.",
            registry=registry,
        )
        self.pruned = Counter("outbox_pruned", "Published events deleted after their retention.", registry=registry)
        self.batch_size = Histogram(
            "outbox_publish_batch_size", "Entries per call.", registry=registry, buckets=tuple(range(1, 11))
        )
        self.call_seconds = Histogram(
            "messaging_client_operation_duration_seconds",
            "Duration of PublishBatch.",
            registry=registry,
            buckets=SECONDS,
        )
        self.delivery_delay = Histogram(
            "outbox_delivery_delay_seconds",
            "How much longer than usual in the last minute messages wait inside the broker; measured with one message "
            "of each call that this relay's publish check receives, the quickest of four.",
            registry=registry,
            buckets=SECONDS,
        )
        self.recorded_to_sent = BatchHistogram(
            "outbox_recorded_to_sent_seconds",
            "From recorded to acknowledged by the broker.",
            registry=registry,
            buckets=SECONDS,
        )
        self.sent_to_published = BatchHistogram(
            "outbox_sent_to_published_seconds",
            "From acknowledged to seen on the publish check.",
            registry=registry,
            buckets=SECONDS,
        )
        self.end_to_end = BatchHistogram(
            "outbox_end_to_end_seconds", "From recorded to published.", registry=registry, buckets=SECONDS
        )
