"""A model of a FIFO queue with slow readers: a group in flight with one reader is delivered to no other."""

from dataclasses import dataclass, field
from uuid import UUID

from services.relay.publishing.outbox_updates import Confirmation


@dataclass(eq=False)
class CheckMessage:
    """A delivered message; it is in flight with a reader until it is deleted, or until that reader dies."""

    confirmation: Confirmation
    group: str
    reader: UUID | None = None


@dataclass
class CheckQueue:
    """The messages of the publish-check queue, in flight or not."""

    messages: list[CheckMessage] = field(default_factory=list)

    def put(self, event_id: str, republished: int, group: str) -> None:
        """Deliver an event."""
        self.messages.append(CheckMessage(Confirmation(UUID(event_id), republished), group))

    def receive(self, reader: UUID, count: int) -> list[CheckMessage]:
        """Receive up to `count` messages of groups that have none in flight."""
        blocked = {message.group for message in self.messages if message.reader is not None}
        given = [message for message in self.messages if message.group not in blocked][:count]
        for message in given:
            message.reader = reader
        return given

    def delete(self, messages: list[CheckMessage]) -> None:
        """Delete recorded messages; some may be of an earlier queue."""
        self.messages = [message for message in self.messages if message not in messages]

    def give_back(self, reader: UUID) -> None:
        """Make the messages of a dead reader available again."""
        for message in self.messages:
            if message.reader == reader:
                message.reader = None

    @property
    def coming(self) -> set[tuple[UUID, int]]:
        """The sendings whose messages are still in the queue."""
        return {(message.confirmation.event_id, message.confirmation.republished) for message in self.messages}
