"""The goals of the project for speed and cost, each with the part of the suite that measures it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """A bound for one measurement. `before` is that of the revision for which the goals were set."""

    what: str
    part: str
    value: float
    unit: str = ""
    at_least: bool = False
    before: str = "–"

    def met(self, value: float) -> bool:
        """Whether a measurement is within the bound."""
        return value >= self.value if self.at_least else value <= self.value

    def __str__(self) -> str:
        bound = f"{'≥' if self.at_least else '≤'} {self.value:,g}"
        return f"{bound} {self.unit}" if self.unit else bound


GOALS: dict[str, Goal] = {
    "relay-stock": Goal(
        "relay accepted / bare loop of the stock client, stub broker", "relay", 2.5, at_least=True, before="0.61"
    ),
    "relay-lean": Goal("relay accepted / bare loop of the lean client, stub broker", "relay", 0.9, at_least=True),
    "relay-stock-localstack": Goal(
        "relay accepted / bare loop of the stock client, LocalStack", "localstack", 0.95, at_least=True
    ),
    "accepted": Goal("events accepted, one relay", "relay", 10_000, "1/s", at_least=True, before="1,620"),
    "confirmed": Goal("events confirmed, one relay", "relay", 10_000, "1/s", at_least=True, before="491"),
    "tutorial": Goal("relay accepted / a tutorial's relay, LocalStack", "localstack", 15, at_least=True),
    "lean-cpu": Goal("PublishBatch: CPU of the lean client / stock client", "client", 0.2, before="1.0"),
    "relay-cpu": Goal("relay CPU with confirmation", "relay", 0.15, "ms/event", before="1.1"),
    "sns-calls": Goal("relay: SNS calls", "relay", 0.101, "1/event", before="0.1"),
    "sqs-calls": Goal("relay: SQS calls", "relay", 0.21, "1/event", before="0.2"),
    "statements": Goal("relay: SQL statements at load", "relay", 0.03, "1/event", before="0.031 to 0.042"),
    "post": Goal("POST /v1/orders: round trips", "orders", 1, before="9"),
    "post-key": Goal("POST /v1/orders with a key: round trips", "orders", 1, before="12"),
    "post-repeated": Goal("POST /v1/orders with a repeated key: round trips", "orders", 2),
    "placed": Goal("order.placed handled: round trips", "consumer", 4, before="16"),
    "confirmed-handled": Goal("order.confirmed handled: round trips", "consumer", 4, before="22"),
    "post-reference": Goal("POST /v1/orders: CPU / reference revision", "orders", 0.35, before="1.0"),
    "post-bare": Goal("POST /v1/orders: CPU / without an outbox row", "orders", 1.1, before="1.2"),
    "consumer-reference": Goal("consumer, empty handler: CPU / reference revision", "consumer", 0.25, before="1.0"),
    "consumer-bare": Goal("consumer, empty handler: CPU / bare receive, insert, delete", "consumer", 1.3),
    "idle-p50": Goal("commit to handled, idle, LocalStack: p50", "chain", 20, "ms", before="39"),
    "idle-p99": Goal("commit to handled, idle, LocalStack: p99", "chain", 60, "ms", before="98"),
    "publish-p50": Goal("commit to PublishBatch, 60 events/s, stub broker: p50", "relay-latency", 5, "ms", before="24"),
    "publish-p99": Goal(
        "commit to PublishBatch, 60 events/s, stub broker: p99", "relay-latency", 15, "ms", before="51"
    ),
    "second": Goal(
        "second event of a group / first, commit to PublishBatch", "relay-latency", 1.3, before="269 ms of the second"
    ),
    "published": Goal("recorded to published, idle: p50", "relay-latency", 60, "ms", before="295"),
    "trio-p50": Goal("order to handled, 40 orders/s, open loop, stub broker: p50", "chain", 100, "ms"),
    "trio-p99": Goal("order to handled, 40 orders/s, open loop, stub broker: p99", "chain", 400, "ms"),
    "trio-localstack-p50": Goal(
        "commit to handled, 40 orders/s, open loop, LocalStack: p50", "chain", 100, "ms", before="530"
    ),
    "trio-localstack-p99": Goal(
        "commit to handled, 40 orders/s, open loop, LocalStack: p99", "chain", 400, "ms", before="1,232"
    ),
    "history": Goal("relay: cost of an event with 10 million rows of history / without", "growth", 1.1),
    "relay-memory": Goal("relay: memory under a backlog of a million", "growth", 150, "MB"),
    "relay-flat": Goal("relay: memory in the last third of that run / the second third", "growth", 1.05),
    "consumer-memory": Goal("consumer: memory under a backlog of a million", "growth", 150, "MB"),
    "consumer-flat": Goal("consumer: memory in the last third of that run / the second third", "growth", 1.05),
    "start": Goal("start of a service: CPU, the slowest", "start", 0.7, "s"),
    "rest-memory": Goal("memory of a service at rest, the largest", "start", 90, "MB"),
}
