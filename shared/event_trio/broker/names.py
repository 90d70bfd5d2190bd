"""The names of topics and queues."""

from __future__ import annotations

from dataclasses import dataclass

FIFO = ".fifo"


@dataclass(frozen=True, slots=True)
class BrokerNames:
    """Names with a common prefix, so that environments and tests can share an AWS account or LocalStack.

    A domain is the stream of events of one publisher: `order-events`, `notification-events`.
    """

    prefix: str = ""

    def topic(self, domain: str) -> str:
        """The topic of a domain: `order-events.fifo`."""
        return f"{self.prefix}{domain}{FIFO}"

    def queue(self, subscriber: str, domain: str) -> str:
        """A subscriber's queue: `notification-order-events.fifo`."""
        return f"{self.prefix}{subscriber}-{domain}{FIFO}"

    def publish_check(self, domain: str) -> str:
        """The queue through which a relay receives its publisher's events back: `order-events-publish-check.fifo`."""
        return f"{self.prefix}{domain}-publish-check{FIFO}"


def dead_letters(queue: str) -> str:
    """The dead-letter queue of a queue: `<queue>-dlq.fifo`."""
    return f"{queue.removesuffix(FIFO)}-dlq{FIFO}"


def undelivered(queue: str) -> str:
    """The dead-letter queue of a queue's subscription, for what SNS could not deliver: `<queue>-undelivered.fifo`."""
    return f"{queue.removesuffix(FIFO)}-undelivered{FIFO}"
