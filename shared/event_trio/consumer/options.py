"""What bounds a consumer, with defaults that need no setting."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConsumerOptions:
    """How a consumer reads its queue and how long it keeps records. The defaults suit most queues."""

    concurrency: int = 16
    """Message groups whose handlers run at the same time; also the size of the connection pool."""
    queue_wait_seconds: int = 20
    """How long a receive waits for messages: 0 to 20 (AWS: ReceiveMessage, WaitTimeSeconds)."""
    visibility_seconds: int = 60
    """How long a message stays invisible after its receipt and after each heartbeat."""
    drain_seconds: float = 25.0
    """How long a stopping consumer may finish what it began; above `queue_wait_seconds`."""
    inbox_retention_days: float = 45.0
    """How long inbox rows are kept: at least as long as outbox, queue and dead-letter queue keep a message in all."""
    outbox_retention_days: float = 14.0
    """How long the publisher may send an event again."""
    payload_origins: tuple[str, ...] = ()
    """Addresses at which publishers keep the payloads of events that carry only a reference."""
    payload_token: str | None = None
    """Bearer token for reading such payloads."""
