"""The metrics of a consumer, on the registry of its process."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
LATENCY_BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)


class ConsumerMetrics:
    """The metrics. Labels never carry ids; a type that no handler was declared for is `unknown`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Counter(
            "consumer_events_total",
            "Deliveries, by event type and outcome.",
            ["type", "outcome"],
            registry=registry,
        )
        self.latency = Histogram(
            "consumer_delivery_latency_seconds",
            "From the time of an event to the commit of its handler.",
            ["type"],
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.process = Histogram(
            "messaging_process_duration_seconds",
            "How long one attempt took, inbox and commit included.",
            ["type"],
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
        self.circuit = Gauge(
            "consumer_circuit_state",
            "The circuit breakers of the consumer, of its database and of payloads read from publishers: "
            "0 closed, 1 half-open, 2 open.",
            ["circuit"],
            registry=registry,
        )
        self.messages = Gauge("consumer_messages", "Messages in memory, by state.", ["state"], registry=registry)
        self.failed_calls = Counter(
            "consumer_failed_calls_total",
            "Failed calls to the queue, and rejected entries of batches.",
            ["call"],
            registry=registry,
        )
        self.dead_letters = Counter(
            "consumer_dead_letters_total", "Dead letters, by reason.", ["reason"], registry=registry
        )
        self.unstorable = Counter(
            "consumer_unstorable_messages_total",
            "Attempts to store a message of a dead-letter queue that the database rejects; it stays in the queue.",
            ["reason"],
            registry=registry,
        )
        self.receiving = Gauge(
            "consumer_receiving", "1 while the consumer can read its queue, else 0.", registry=registry
        )
        self.abandoned = Counter(
            "consumer_abandoned_total", "Messages left to expire, which are delivered again.", registry=registry
        )
        self.received_again = Counter(
            "consumer_received_again_total",
            "Messages received again by the instance that has them in memory: its heartbeat was late.",
            registry=registry,
        )
        self.deferred = Gauge(
            "consumer_deferred_messages",
            "Deferred messages, by status: waiting, blocked, dead.",
            ["status"],
            registry=registry,
        )
        self.oldest_deferred = Gauge(
            "consumer_deferred_oldest_seconds",
            "Age of the oldest deferred message, by status.",
            ["status"],
            registry=registry,
        )
        self.pruned = Counter("consumer_inbox_pruned_total", "Old inbox rows that were pruned.", registry=registry)
        self.deployment_differs = Gauge(
            "consumer_deployment_differs",
            "1 while the deployment differs from what the code expects, else 0: the filter, the retention.",
            ["check"],
            registry=registry,
        )
