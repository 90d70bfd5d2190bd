"""What a relay requires of a broker to which it sends: the interface of a publisher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from .outcome import CallOutcome


class OutgoingEvent(Protocol):
    """An event to send."""

    @property
    def event_id(self) -> str:
        """The id of the event."""
        ...

    @property
    def subject(self) -> str:
        """The message group: subscribers receive the events of a group in the order of sending."""
        ...

    @property
    def body(self) -> bytes:
        """The envelope as it goes on the wire: JSON in UTF-8."""
        ...

    @property
    def attributes(self) -> Mapping[str, str]:
        """What subscribers may filter by; the event's type is `type`."""
        ...

    @property
    def republished(self) -> int:
        """How often the event was sent deliberately again."""
        ...

    @property
    def deduplication_id(self) -> str:
        """The event's id, or `<id>.<n>` when it is sent again deliberately. The confirmation carries it back."""
        ...


class MessagePublisher(Protocol):
    """Sends events to one topic, from which every subscriber gets a copy.

    `event_trio.testing.PublisherSuite` tests what an implementation must promise.
    """

    async def publish(self, events: Sequence[OutgoingEvent]) -> CallOutcome:
        """Send at most ten events, no two of one group, and return the outcome of each.

        - *Accepted* means that the broker stored the event for every subscriber that exists, whether or not the
          subscriber is connected.
        - A later call sends the next event of a group; it is delivered after this one.
        - Failures are returned, never raised. It returns within the deadline of a call, after which an event may
          have been accepted all the same: the relay sends it again under the same deduplication id.
        - A topic that does not exist is an outage, and not the fault of an event.
        """
        ...

    async def check(self) -> str | None:
        """Return why the topic cannot be used, or None."""
        ...
