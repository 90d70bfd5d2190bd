"""The histograms of publishing lead to the trace of the slowest event of a batch, if it is sampled."""

from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest

from event_trio.broker.queue import Message
from event_trio.envelope import uuid7
from event_trio.testing import MemoryQueue
from services.relay.confirmation.confirmations import confirmation
from services.relay.confirmation.exemplars import slowest_traced
from services.relay.metrics import RelayMetrics
from services.relay.publishing.outbox_updates import Confirmation, Publication
from tests.support.events import envelope_of
from tests.support.outbox import SomethingHappened
from tests.support.spans import recording

CONTEXT = "00-{}-00f067aa0ba902b7-0{}"


async def confirmed(*flags: int) -> tuple[list[Publication], list[tuple[Message, Confirmation | None]]]:
    """Events that were published, each a second later than the one before, sampled or not."""
    queue = MemoryQueue()
    for number, flag in enumerate(flags):
        payload = SomethingHappened(note="so")
        queue.send(envelope_of(payload, subject=f"s-{number}", traceparent=CONTEXT.format(f"{number + 1:032x}", flag)))
    messages = await queue.receive(wait_seconds=0, visibility_seconds=30)
    read = [(message, confirmation(message)) for message in messages]
    news = [Publication(found.event_id, "a", 1.0 + number, 0.5) for number, (_, found) in enumerate(read)]
    return news, [*read]


async def test_the_slowest_sampled_event_is_taken() -> None:
    news, messages = await confirmed(1, 1, 0)
    assert slowest_traced(news, messages) is None  # nothing is traced
    with recording():
        found = slowest_traced(news, messages)
        assert slowest_traced([], messages) is None
        assert slowest_traced([Publication(uuid7(), "a", 1.0, 1.0)], messages) is None
    assert found == (news[1], {"trace_id": f"{2:032x}", "span_id": CONTEXT[6:22]})


def test_a_bucket_leads_to_a_trace_and_counts_no_more() -> None:
    registry = CollectorRegistry()
    histogram = RelayMetrics(registry).end_to_end
    histogram.observe_all([0.3])
    histogram.lead(0.3, {"trace_id": "a" * 32})
    page = generate_latest(registry).decode()  # type: ignore[no-untyped-call]
    [line] = [line for line in page.splitlines() if "a" * 32 in line]
    assert line.startswith('outbox_end_to_end_seconds_bucket{le="0.5"} 1.0 # {trace_id="' + "a" * 32 + '"} 0.3 ')
    assert "outbox_end_to_end_seconds_count 1.0" in page
