"""The names of queues, routing keys and headers of a topic, and errors in words."""

from __future__ import annotations

from aio_pika.exceptions import AMQPError

FAULTS: tuple[type[BaseException], ...] = (AMQPError, OSError, TimeoutError, RuntimeError)
GROUP_HEADER = "event-group"
ATTRIBUTE_HEADER = "event-attribute-"
UNTYPED = "untyped"
CLOSE_SECONDS = 1.0
"""How long the end of a connection is waited for: a broker that is gone does not confirm it."""


def queue_name(topic: str, subscriber: str, partition: int) -> str:
    """The queue of one partition of a subscriber."""
    return f"{subscriber}-{topic}-{partition}"


def routing_key(partition: int, type: str) -> str:
    """The routing key of an event."""
    return f"{partition}.{type or UNTYPED}"


def text_of(error: BaseException) -> str:
    """The error as a reason for an operator."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
