"""An event read from the outbox, to be sent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """An unsent event, as it is in the outbox."""

    id: int
    event_id: str
    subject: str
    lane: int
    body: bytes
    attributes: dict[str, str]
    size: int
    republished: int = 0
    fault: str | None = None
    """Why the broker cannot carry the row as it is; the event is held when its turn comes."""

    @property
    def deduplication_id(self) -> str:
        """The event's id, or `<id>.<n>` after n republishes: FIFO deduplication would drop a repeated id."""
        return f"{self.event_id}.{self.republished}" if self.republished else self.event_id
