"""What surrounds a publisher of another broker: it is identified first, and the spans name it."""

from event_trio.broker.opened import OpenedBroker
from event_trio.broker.outcome import Accepted, Answered, NotAttempted
from event_trio.envelope import Envelope
from event_trio.testing.publisher_suite import SentEvent
from event_trio.testing.queue_suite import event
from services.relay.broker_parts import broker_parts
from services.relay.settings import RelaySettings
from tests.support.memory_broker import MemoryBroker, MemoryPublisher, MemorySource
from tests.support.spans import recording

SAMPLED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SETTINGS = RelaySettings(
    database_url="postgresql://relay@localhost/orders", broker="a_module", broker_url="memory:", topic="order-events"
)


async def test_the_spans_of_another_broker_name_it() -> None:
    broker = MemoryBroker()
    opened = OpenedBroker(MemoryPublisher(broker), MemorySource(broker, "mailer"))

    async def identify(_: str) -> bool:
        return True

    publisher = broker_parts(SETTINGS, opened).publisher(identify)
    sent = SentEvent(Envelope.model_validate({**event("a", 1).model_dump(), "traceparent": SAMPLED}))
    with recording() as recorded:
        assert await publisher.publish([sent]) == NotAttempted()
        assert await publisher.publish([sent]) == Answered((Accepted("1"),))
        found = recorded.all()
    assert {span.name for span in found} == {"send order-events"}
    assert [(span.attributes or {})["messaging.system"] for span in found] == ["memory", "memory"]
