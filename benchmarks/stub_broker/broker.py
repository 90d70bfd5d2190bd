"""Topics and queues by name, the fan-out between them, and the report of what happened."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import md5
from json.encoder import encode_basestring_ascii
from typing import Any

from benchmarks.stub_broker.ordering import OrderCheck, OrderField
from benchmarks.stub_broker.queues import Content, Deduplication, FifoQueue, StoredMessage

FIFO = ".fifo"


@dataclass(frozen=True, slots=True)
class TopicSubscription:
    """A queue of a topic. `allowed` maps an attribute to the values that pass; empty lets everything through."""

    queue: str
    allowed: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def matches(self, attributes: Mapping[str, str]) -> bool:
        """Whether the queue gets a message with these attributes."""
        return all(attributes.get(name) in values for name, values in self.allowed.items())


@dataclass
class Topic:
    """A FIFO topic with its subscriptions and counters."""

    subscriptions: list[TopicSubscription] = field(default_factory=list)
    deduplication: Deduplication = field(default_factory=Deduplication)
    order: OrderCheck = field(default_factory=OrderCheck)
    published: int = 0
    duplicates: int = 0
    """Messages dropped because their deduplication id was known."""
    body_bytes: int = 0
    first_published_at: float | None = None
    last_published_at: float | None = None


@dataclass(slots=True)
class Submission:
    """A message as a client hands it in; `attributes` is the JSON of its message attributes."""

    body: bytes
    group: str
    deduplication_id: str
    attributes: str = ""


class Broker:
    """All topics and queues. Times are seconds of the monotonic clock, which all processes of a machine share."""

    def __init__(self, *, order_field: str, keep_times: bool, region: str, account: str) -> None:
        self.topics: dict[str, Topic] = {}
        self.queues: dict[str, FifoQueue] = {}
        self.calls: Counter[str] = Counter()
        self.entries: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.bytes_in = 0
        self.bytes_out = 0
        self.created = int(time.time())
        self.region, self.account = region, account
        self._order = OrderField(order_field)
        self._keep_times = keep_times
        self._numbers = itertools.count(1)
        self._published: list[tuple[str, str, int | None, float]] = []
        self._deleted: list[tuple[str, str, int | None, float]] = []

    def add_topic(self, name: str) -> None:
        """Create a topic unless it exists."""
        self.topics.setdefault(name, Topic())

    def add_queue(self, name: str) -> None:
        """Create a queue unless it exists."""
        if name in self.queues:
            return

        def deleted(message: StoredMessage, at: float) -> None:
            self._deleted.append((name, message.group, message.content.order, at))

        self.queues[name] = FifoQueue(deleted if self._keep_times else None)

    def subscribe(self, topic: str, queue: str, allowed: Mapping[str, frozenset[str]]) -> None:
        """Let a queue get a topic's messages; both are created when they do not exist."""
        self.add_topic(topic)
        self.add_queue(queue)
        kept = [each for each in self.topics[topic].subscriptions if each.queue != queue]
        self.topics[topic].subscriptions = [*kept, TopicSubscription(queue, allowed)]

    def arn(self, service: str, name: str) -> str:
        """The ARN of a topic (`sns`) or queue (`sqs`)."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{name}"

    def publish(self, name: str, topic: Topic, message: Submission, now: float) -> tuple[str, str]:
        """Take a message for all queues whose filter it passes; returns message id and sequence number."""
        known = topic.deduplication.find(message.group, message.deduplication_id, now)
        if known:
            topic.duplicates += 1
            return known
        number = next(self._numbers)
        given = _message_id(number), f"{number:020d}"
        topic.deduplication.remember(message.group, message.deduplication_id, *given, now)
        content = self._content(message)
        topic.order.see(message.group, content.order)
        topic.published += 1
        topic.body_bytes += len(message.body)
        topic.first_published_at = topic.first_published_at or now
        topic.last_published_at = now
        if self._keep_times:
            self._published.append((name, message.group, content.order, now))
        attributes = _texts(message.attributes) if any(each.allowed for each in topic.subscriptions) else {}
        for subscription in topic.subscriptions:
            if not subscription.allowed or subscription.matches(attributes):
                # The topic has dropped what the queue would drop.
                self._put(self.queues[subscription.queue], message, content, number, given[0])
        return given

    def send(self, queue: FifoQueue, message: Submission, now: float) -> tuple[str, str]:
        """Take a message for one queue; returns message id and sequence number."""
        known = queue.deduplication.find(message.group, message.deduplication_id, now)
        if known:
            queue.counts.duplicates += 1
            return known
        number = next(self._numbers)
        given = _message_id(number), f"{number:020d}"
        queue.deduplication.remember(message.group, message.deduplication_id, *given, now)
        self._put(queue, message, self._content(message), number, given[0])
        return given

    def expire(self, now: float) -> list[str]:
        """Return what was invisible for too long; the names of the queues that got something back."""
        return [name for name, queue in self.queues.items() if queue.expire(now)]

    def reset(self) -> None:
        """Empty all topics and queues and set every counter to 0; names and subscriptions stay."""
        self.topics = {name: Topic(topic.subscriptions) for name, topic in self.topics.items()}
        for name in list(self.queues):
            del self.queues[name]
            self.add_queue(name)
        for counter in (self.calls, self.entries, self.errors):
            counter.clear()
        self.bytes_in = self.bytes_out = 0
        self._published.clear()
        self._deleted.clear()

    def report(self) -> dict[str, Any]:
        """Everything that was counted since the start or the last reset."""
        return {
            "now": time.monotonic(),
            "cpu_seconds": time.process_time(),
            "calls": dict(self.calls),
            "entries": dict(self.entries),
            "errors": dict(self.errors),
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "topics": {name: _topic_report(topic) for name, topic in self.topics.items()},
            "queues": {
                name: {**asdict(queue.counts), "visible": queue.visible, "in_flight": queue.in_flight}
                for name, queue in self.queues.items()
            },
        }

    def times(self) -> dict[str, Any]:
        """When each message was first published and deleted: (topic or queue, group, order, seconds)."""
        return {"published": self._published, "deleted": self._deleted}

    def _put(self, queue: FifoQueue, message: Submission, content: Content, number: int, message_id: str) -> None:
        sent_ms = int(time.time() * 1000)
        queue.put(StoredMessage(number, message_id, message.group, message.deduplication_id, content, sent_ms))

    def _content(self, message: Submission) -> Content:
        digest = md5(message.body, usedforsecurity=False).hexdigest()
        body = encode_basestring_ascii(message.body.decode())
        return Content(body, digest, message.attributes, self._order.value(message.body))


def _message_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


def _texts(attributes: str) -> dict[str, str]:
    if not attributes:
        return {}
    return {name: str(value.get("StringValue", "")) for name, value in json.loads(attributes).items()}


def _topic_report(topic: Topic) -> dict[str, Any]:
    order = topic.order
    return {
        "published": topic.published,
        "duplicates": topic.duplicates,
        "repeats": order.repeats,
        "order_violations": order.violations,
        "violation_examples": order.examples,
        "missing": order.missing,
        "unchecked": order.unchecked,
        "groups": order.groups,
        "body_bytes": topic.body_bytes,
        "first_published_at": topic.first_published_at,
        "last_published_at": topic.last_published_at,
    }
