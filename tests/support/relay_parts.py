"""A relay of the model: its real parts, a simulated clock, and lanes that it owns or only believes to own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from uuid import UUID

from prometheus_client import CollectorRegistry

from services.relay.confirmation.broker_identity import BrokerIdentity
from services.relay.metrics import RelayMetrics
from services.relay.publishing.dispatcher import AcknowledgedEvent, Dispatcher
from services.relay.publishing.outbox_updates import Confirmation, OutboxUpdates, Publication
from tests.support.check_queue_model import CheckMessage


@cache
def unread_metrics() -> RelayMetrics:
    """Metrics that no test reads; a model makes thousands of parts that want some."""
    return RelayMetrics(CollectorRegistry())


@dataclass
class ModelClock:
    """A simulated clock."""

    seconds: float = 1000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds


class BelievedLanes:
    """The lanes that a relay believes to own; after a takeover it believes so until it notices."""

    def __init__(self) -> None:
        self.tokens: dict[int, int] = {}

    def owned(self) -> list[int]:
        return list(self.tokens)

    def may_send(self, lane: int) -> bool:
        return lane in self.tokens

    def owns(self, lane: int) -> bool:
        return lane in self.tokens

    def token(self, lane: int) -> int:
        return self.tokens.get(lane, -1)


class NoAcknowledgements:
    """A relay whose acknowledgements are all recorded."""

    def completed(self, confirmation: Confirmation, deduplication_id: str) -> Confirmation:
        return confirmation

    def confirmed(self, news: Mapping[str, Publication]) -> None:
        pass


@dataclass(eq=False)
class Relay:
    """The real parts of one relay, with lanes that it owns or only believes to own."""

    number: int
    relay_id: UUID
    dispatcher: Dispatcher
    updates: OutboxUpdates
    lanes: BelievedLanes
    identity: BrokerIdentity
    met: int = 0
    """Which broker it has identified; it sends nothing to another one."""
    unrecorded: list[AcknowledgedEvent] = field(default_factory=list)
    in_hand: list[CheckMessage] = field(default_factory=list)
    """Messages received from the publish check and not recorded."""

    def completed(self, confirmation: Confirmation) -> Confirmation:
        """The confirmation with the acknowledgement of the same send, if that is not recorded."""
        for each in self.unrecorded:
            if (each.event.event_id, each.event.republished) == (str(confirmation.event_id), confirmation.republished):
                return confirmation._replace(message_id=each.message_id, age=0.0)
        return confirmation

    def note_published(self, completed: Sequence[Confirmation], news: Sequence[Publication]) -> None:
        """Take the acknowledgements for recorded whose events became published."""
        published = {str(each.event_id) for each in news}
        sends = {(str(each.event_id), each.republished) for each in completed} if published else set()
        recorded = [
            each
            for each in self.unrecorded
            if each.event.event_id in published and (each.event.event_id, each.event.republished) in sends
        ]
        self.unrecorded = [each for each in self.unrecorded if each not in recorded]
        self.dispatcher.recorded([each.event for each in recorded], [])
