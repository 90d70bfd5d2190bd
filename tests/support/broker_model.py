"""A model of a broker: it accepts in part, answers late or never, and loses accepted events."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from event_trio.outbox.limits import DEFAULT_BYTES
from services.relay.publishing.backlog import BATCH_ENTRIES, PendingEvent
from services.relay.publishing.outcome import (
    Accepted,
    Answered,
    BrokerOutage,
    CallOutcome,
    Outcome,
    Permanent,
    Transient,
)
from tests.support.check_queue_model import CheckQueue


@dataclass(eq=False)
class Call:
    """A PublishBatch call in progress, which the broker may or may not have processed."""

    relay: int
    batch: list[PendingEvent]
    answer: CallOutcome | None = None
    abandoned: bool = False
    """The relay died or timed out; the broker may still process the call."""


@dataclass
class Broker:
    """The events that the topic accepted, and the publish-check queue."""

    accepted: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Per group the sequences in the order of their first acceptance."""
    delivered: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Per group the sequences in the order of their first delivery to subscribers, without lost ones."""
    check_queue: CheckQueue = field(default_factory=CheckQueue)
    deduplication_ids: set[str] = field(default_factory=set)
    acknowledged: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    """Per event id the republish counts under which it was accepted, by this broker or one before it."""
    created: int = 1

    def replaced(self) -> "Broker":
        """Return a recreated, empty broker."""
        return Broker(acknowledged=self.acknowledged, created=self.created + 1)

    def process(
        self, call: Call, refused: Iterable[tuple[int, bool]], lost: Iterable[int], sequences: dict[str, int]
    ) -> None:
        """Process a call: entries by index are rejected (permanently or not), accepted ones may be lost at once."""
        verdicts = dict(refused)
        vanished = set(lost)
        outcomes: list[Outcome] = []
        assert len(call.batch) <= BATCH_ENTRIES
        assert sum(event.size for event in call.batch) <= DEFAULT_BYTES
        assert len({event.subject for event in call.batch}) == len(call.batch), "two events of a group in one batch"
        for index, event in enumerate(call.batch):
            if index in verdicts:
                outcomes.append(Permanent("InvalidParameter") if verdicts[index] else Transient("InternalError"))
                continue
            outcomes.append(Accepted(f"m-{event.id}"))
            self._accept(event, sequences[event.event_id], lost=index in vanished)
        call.answer = Answered(tuple(outcomes))

    def refuse_everything(self, call: Call) -> None:
        """The call fails as a whole."""
        call.answer = BrokerOutage("InternalFailure")

    def _accept(self, event: PendingEvent, sequence: int, *, lost: bool) -> None:
        self.acknowledged[event.event_id].add(event.republished)
        if event.deduplication_id in self.deduplication_ids:
            return
        self.deduplication_ids.add(event.deduplication_id)
        if sequence not in self.accepted[event.subject]:
            self.accepted[event.subject].append(sequence)
        if lost:
            return
        if sequence not in self.delivered[event.subject]:
            self.delivered[event.subject].append(sequence)
        self.check_queue.put(event.event_id, event.republished, event.subject)
