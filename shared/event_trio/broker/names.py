"""The names of topics and queues, the same for whoever creates, writes to or reads from them."""

from __future__ import annotations

from dataclasses import dataclass

FIFO = ".fifo"


@dataclass(frozen=True, slots=True)
class BrokerNames:
    """Names under one prefix, so that environments and tests can share a broker.

    A domain is what one service publishes: `order-events`, `notification-events`.
    """

    prefix: str = ""

    def topic(self, domain: str) -> str:
        """The topic of a domain: `order-events.fifo`."""
        return f"{self.prefix}{domain}{FIFO}"

    def queue(self, subscriber: str, domain: str) -> str:
        """A subscriber's queue: `notification-order-events.fifo`."""
        return f"{self.prefix}{subscriber}-{domain}{FIFO}"

    def publish_check(self, domain: str) -> str:
        """The queue through which a publisher sees its own events come back: `order-events-publish-check.fifo`."""
        return f"{self.prefix}{domain}-publish-check{FIFO}"


def dead_letters(queue: str) -> str:
    """The queue for messages that were received too often: `<queue>-dlq.fifo`."""
    return f"{queue.removesuffix(FIFO)}-dlq{FIFO}"


def undelivered(queue: str) -> str:
    """The queue for what SNS could not deliver to a queue: `<queue>-undelivered.fifo`."""
    return f"{queue.removesuffix(FIFO)}-undelivered{FIFO}"
