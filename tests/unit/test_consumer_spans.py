"""The span of an attempt: in the event's trace or linked to it, with the outcome, and the cause of what follows."""

from uuid import uuid4

import pytest
import structlog
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode
from prometheus_client import CollectorRegistry

from event_trio.clock import SystemClock
from event_trio.consumer.decoders import cloud_events, decode
from event_trio.consumer.delivery import QueueDelivery
from event_trio.consumer.metrics import ConsumerMetrics
from event_trio.consumer.outcome import DeadLettered, Deferred, Handled, Outcome, RetryScheduled
from event_trio.consumer.router import Router
from event_trio.consumer.telemetry import Telemetry
from event_trio.contracts.orders import OrderConfirmed
from event_trio.envelope import uuid7
from event_trio.observability import spans
from event_trio.observability.receiving import received
from event_trio.outbox.tracing import created
from event_trio.signals import Signals
from event_trio.testing import MemoryQueue
from tests.support.events import envelope_of
from tests.support.spans import is_child, recording, traceparent

RECORDED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
NOT_SAMPLED = RECORDED[:-1] + "0"


async def delivery(context: str) -> QueueDelivery:
    """A delivery of an event that was recorded in this context."""
    queue = MemoryQueue()
    payload = OrderConfirmed(order_id=uuid7(), customer_id="customer-1")
    queue.send(envelope_of(payload, traceparent=context))
    [message] = await queue.receive(wait_seconds=0, visibility_seconds=30)
    found = QueueDelivery.of(message, "tested")
    found.accept(decode(cloud_events, found))
    return found


@pytest.fixture
def telemetry() -> Telemetry:
    metrics = ConsumerMetrics(CollectorRegistry())
    return Telemetry(Router(), metrics, Signals(), SystemClock(), queue="orders.fifo", system="nats")


def attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


@pytest.mark.parametrize("continues", [True, False])
async def test_processing_continues_the_trace_or_links_to_it(telemetry: Telemetry, continues: bool) -> None:
    tested = await delivery(RECORDED)
    with recording(continues=continues) as recorded:
        with telemetry.about(tested):
            tracer = spans.tracer()
            assert tracer is not None
            caused = created(tracer, RECORDED, "/services/test", "order.held", uuid4())
            fields = structlog.contextvars.get_contextvars()
            telemetry.completed(tested, Handled(stale=False))
        span, cause = recorded.one("process orders.fifo"), recorded.one("create order.held")
    assert is_child(cause, span)
    assert caused == traceparent(cause)
    assert fields["trace_id"] == traceparent(span)[3:35]
    assert attributes(span)["event_trio.outcome"] == "handled"
    assert attributes(span)["messaging.system"] == "nats"
    assert attributes(span)["cloudevents.event_id"] == tested.event.id
    if continues:
        assert span.parent is not None
        assert (f"{span.parent.span_id:016x}", span.links) == (RECORDED[36:52], ())
    else:
        assert span.parent is None
        assert [f"{link.context.span_id:016x}" for link in span.links] == [RECORDED[36:52]]
        assert traceparent(span)[3:35] != RECORDED[3:35]


@pytest.mark.parametrize("continues", [True, False])
async def test_what_is_not_sampled_causes_nothing_that_is(telemetry: Telemetry, continues: bool) -> None:
    tested = await delivery(NOT_SAMPLED)
    with recording(continues=continues) as recorded:
        with telemetry.about(tested):
            tracer = spans.tracer()
            assert tracer is not None
            caused = created(tracer, NOT_SAMPLED, "/services/test", "order.held", uuid4())
            telemetry.completed(tested, Handled(stale=False))
        received("nats", "orders.fifo", [tested.message], 0.1)
        assert recorded.all() == []
    assert caused.startswith(NOT_SAMPLED[:36])
    assert caused.endswith("-00")


@pytest.mark.parametrize(
    ("outcome", "failed"),
    [(Deferred(None, "its group waits"), False), (Deferred(90.0, "down"), True), (DeadLettered("failed", "no"), True)],
)
async def test_an_attempt_that_failed_is_marked(telemetry: Telemetry, outcome: Outcome, failed: bool) -> None:
    tested = await delivery(RECORDED)
    error = ValueError("ada@example.com") if failed else None
    with recording() as recorded:
        with telemetry.about(tested):
            telemetry.completed(tested, outcome, error=error)
        with telemetry.about(tested):
            telemetry.postponed(tested, RetryScheduled(1.0, "later"), attempt=1)
        first, second = recorded.named("process orders.fifo")
    assert (first.status.status_code is StatusCode.ERROR) is failed
    assert attributes(first).get("error.type") == ("ValueError" if failed else None)
    assert attributes(second)["error.type"] == "retry_scheduled"
    assert "ada@" not in first.to_json()


async def test_without_a_tracer_lines_have_the_trace_of_the_event(telemetry: Telemetry) -> None:
    with telemetry.about(await delivery(NOT_SAMPLED)):
        assert structlog.contextvars.get_contextvars()["trace_id"] == NOT_SAMPLED[3:35]


async def test_a_receive_links_to_its_events() -> None:
    messages = [(await delivery(context)).message for context in (RECORDED, NOT_SAMPLED)]
    with recording() as recorded:
        received("nats", "orders.fifo", messages, 0.5)
        received("nats", "orders.fifo", [], 0.5)
        [span] = recorded.all()
    assert span.name == "receive orders.fifo"
    assert [f"{link.context.span_id:016x}" for link in span.links] == [RECORDED[36:52]]
    assert attributes(span)["messaging.batch.message_count"] == 2
    assert attributes(span)["messaging.system"] == "nats"
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.end_time - span.start_time >= 0.5e9
