"""A FIFO queue whose readers may take their time: while anything of a group is in hand, nobody is given more of it."""

from dataclasses import dataclass, field
from uuid import UUID

from services.relay.publishing.outbox_updates import Confirmation


@dataclass(eq=False)
class Arrival:
    """An event that came back; a reader has it in hand until it is deleted, or until that reader dies."""

    confirmation: Confirmation
    group: str
    reader: UUID | None = None


@dataclass
class CheckQueue:
    """What lies in the publish-check queue, in hand or not."""

    arrivals: list[Arrival] = field(default_factory=list)

    def put(self, event_id: str, republished: int, group: str) -> None:
        """An event is delivered."""
        self.arrivals.append(Arrival(Confirmation(UUID(event_id), republished), group))

    def receive(self, reader: UUID, count: int) -> list[Arrival]:
        """Up to `count` of what no one has in hand, of groups of which no one has anything in hand."""
        blocked = {arrival.group for arrival in self.arrivals if arrival.reader is not None}
        given = [arrival for arrival in self.arrivals if arrival.group not in blocked][:count]
        for arrival in given:
            arrival.reader = reader
        return given

    def delete(self, arrivals: list[Arrival]) -> None:
        """These are recorded; some may be of a queue that is gone."""
        self.arrivals = [arrival for arrival in self.arrivals if arrival not in arrivals]

    def give_back(self, reader: UUID) -> None:
        """A reader died: what it had in hand is given to others."""
        for arrival in self.arrivals:
            if arrival.reader == reader:
                arrival.reader = None

    @property
    def coming(self) -> set[tuple[UUID, int]]:
        """The sendings that still come back."""
        return {(arrival.confirmation.event_id, arrival.confirmation.republished) for arrival in self.arrivals}
