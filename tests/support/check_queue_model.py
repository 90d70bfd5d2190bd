"""A model of a FIFO queue with slow readers: a group in flight with one reader is delivered to no other."""

from dataclasses import dataclass, field
from uuid import UUID

from services.relay.publishing.outbox_updates import Confirmation


@dataclass(eq=False)
class Arrival:
    """A delivered message; it is in flight with a reader until it is deleted, or until that reader dies."""

    confirmation: Confirmation
    group: str
    reader: UUID | None = None


@dataclass
class CheckQueue:
    """The messages of the publish-check queue, in flight or not."""

    arrivals: list[Arrival] = field(default_factory=list)

    def put(self, event_id: str, republished: int, group: str) -> None:
        """Deliver an event."""
        self.arrivals.append(Arrival(Confirmation(UUID(event_id), republished), group))

    def receive(self, reader: UUID, count: int) -> list[Arrival]:
        """Receive up to `count` messages of groups that have none in flight."""
        blocked = {arrival.group for arrival in self.arrivals if arrival.reader is not None}
        given = [arrival for arrival in self.arrivals if arrival.group not in blocked][:count]
        for arrival in given:
            arrival.reader = reader
        return given

    def delete(self, arrivals: list[Arrival]) -> None:
        """Delete recorded messages; some may be of an earlier queue."""
        self.arrivals = [arrival for arrival in self.arrivals if arrival not in arrivals]

    def give_back(self, reader: UUID) -> None:
        """Make the messages of a dead reader available again."""
        for arrival in self.arrivals:
            if arrival.reader == reader:
                arrival.reader = None

    @property
    def coming(self) -> set[tuple[UUID, int]]:
        """The sendings whose messages are still in the queue."""
        return {(arrival.confirmation.event_id, arrival.confirmation.republished) for arrival in self.arrivals}
