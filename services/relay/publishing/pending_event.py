"""An event on its way from the outbox to the topic."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """An event that is recorded and not yet sent, as the outbox has it."""

    id: int
    event_id: str
    subject: str
    lane: int
    body: bytes
    attributes: dict[str, str]
    size: int
    republished: int = 0
    fault: str | None = None
    """Why the broker cannot carry it, as the row is; it is then held when its turn comes."""

    @property
    def deduplication_id(self) -> str:
        """The event's id; after a deliberate republish another one, or FIFO deduplication would swallow it."""
        return f"{self.event_id}.{self.republished}" if self.republished else self.event_id
