"""An event read from the outbox, to be sent."""

from __future__ import annotations

from typing import NamedTuple


class PendingEvent(NamedTuple):
    """An unsent event, as it is in the outbox."""

    # A named tuple, because creating one costs a third of a frozen data class, and there is one for each event.
    id: int
    event_id: str
    subject: str
    lane: int
    body: bytes
    attributes: dict[str, str]
    """Shared between events with the same attributes; do not change it."""
    size: int
    republished: int = 0
    fault: str | None = None
    """Why the broker cannot carry the row as it is; the event is held when its turn comes."""
    sequence: int = 0

    @property
    def deduplication_id(self) -> str:
        """The event's id, or `<id>.<n>` after n republishes: FIFO deduplication would drop a repeated id."""
        return f"{self.event_id}.{self.republished}" if self.republished else self.event_id
