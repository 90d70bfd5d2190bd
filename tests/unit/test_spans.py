"""Spans: nothing without a tracer; with one, parents, links and sampling as they were received."""

import json
import subprocess
import sys
import time

import pytest
from opentelemetry import context
from opentelemetry.trace import SpanKind, StatusCode

from event_trio.contracts.orders import OrderConfirmed
from event_trio.envelope import Envelope, uuid7
from event_trio.observability import spans
from event_trio.observability.spans import Kind, traceparent_in
from services.relay.publishing.outcome import Accepted, Answered, BrokerOutage, NotAttempted, Transient
from services.relay.publishing.pending_event import PendingEvent
from services.relay.publishing.tracing import SendSpans, trace_of
from tests.support.events import envelope_of
from tests.support.spans import is_child, recording, traceparent

SAMPLED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
NOT_SAMPLED = SAMPLED[:-1] + "0"
EVENT = envelope_of(OrderConfirmed(order_id=uuid7(), customer_id="customer-1"))


def test_the_sdk_is_not_imported_until_it_is_needed() -> None:
    """FastAPI imports the interface of OpenTelemetry itself."""
    services = "services.order.main, services.notification.main, services.relay.main"
    found = "print([m for m in sys.modules if m.startswith('opentelemetry.sdk')])"
    code = f"import gc, sys; gc.disable(); import {services}; {found}"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_without_a_tracer_nothing_happens() -> None:
    assert spans.tracer() is None
    with spans.client("call", {}) as span, spans.suppressed():
        span.set({"a": 1})
        span.fail("b")
        assert span.traceparent == ""
    assert spans.current().traceparent == ""
    assert spans.exemplar(SAMPLED) is None


def test_a_span_continues_the_trace_of_its_parent_and_is_the_current_one() -> None:
    with recording() as recorded:
        tracer = spans.tracer()
        assert tracer is not None
        with spans.active(tracer, "outer", Kind.CONSUMER, parent=SAMPLED), spans.client("inner", {"a": 1}) as inner:
            assert spans.current().traceparent == inner.traceparent
            found = spans.exemplar(inner.traceparent)
        assert spans.current().traceparent == ""
    outer, inner_span = recorded.one("outer"), recorded.one("inner")
    assert is_child(inner_span, outer)
    assert outer.parent is not None
    assert f"{outer.parent.span_id:016x}" == SAMPLED[36:52]
    assert (outer.kind, inner_span.kind) == (SpanKind.CONSUMER, SpanKind.CLIENT)
    assert found == {"trace_id": SAMPLED[3:35], "span_id": traceparent(inner_span)[36:52]}


def test_a_failure_is_marked_by_its_type_without_its_text() -> None:
    with recording() as recorded:
        with pytest.raises(ValueError), spans.client("call", {}):
            raise ValueError("ada@example.com")
        [span] = recorded.all()
    assert span.status.status_code is StatusCode.ERROR
    assert dict(span.attributes or {}) == {"error.type": "ValueError"}
    assert not span.events
    assert "ada@" not in span.to_json()


def test_what_is_not_sampled_stays_so() -> None:
    with recording() as recorded:
        tracer = spans.tracer()
        assert tracer is not None
        with (
            spans.active(tracer, "outer", Kind.SERVER, parent=NOT_SAMPLED) as outer,
            spans.client("inner", {}) as inner,
        ):
            assert outer.traceparent.endswith("-00")
            assert inner.traceparent.startswith(NOT_SAMPLED[:36])
            assert inner.traceparent.endswith("-00")
            assert spans.exemplar(inner.traceparent) is None
        assert recorded.all() == []


def test_instrumentation_is_suppressed_in_a_block() -> None:
    with recording():
        with spans.suppressed():
            assert context.get_value("suppress_instrumentation") is True
        assert context.get_value("suppress_instrumentation") is None


def test_the_traceparent_is_found_in_an_envelope_and_only_there() -> None:
    def stored(**changed: object) -> bytes:
        return EVENT.model_copy(update=changed).to_bytes()

    assert traceparent_in(stored(traceparent=SAMPLED)) == SAMPLED
    assert traceparent_in(stored(traceparent=SAMPLED).decode()) == SAMPLED
    assert traceparent_in(json.dumps(json.loads(stored(traceparent=SAMPLED)))) == SAMPLED
    assert traceparent_in(stored(traceparent=NOT_SAMPLED)) is None
    assert traceparent_in(stored(traceparent="nonsense")) is None
    forged = f'"traceparent":"{SAMPLED}"'
    assert traceparent_in(stored(traceparent=NOT_SAMPLED, subject=forged, data={"traceparent": SAMPLED})) is None
    assert traceparent_in(b"\xff\x00") is None


def pending(id: int, context: str | None) -> PendingEvent:
    body = Envelope.model_validate({**EVENT.model_dump(), "traceparent": context}).to_bytes()
    return PendingEvent(id, f"event-{id}", f"subject-{id}", 0, body, {}, len(body))


def test_a_call_links_to_its_sampled_events_and_each_of_them_has_a_span_in_its_trace() -> None:
    other = SAMPLED.replace("4bf9", "aaaa")
    batch = [pending(1, SAMPLED), pending(2, NOT_SAMPLED), pending(3, other), pending(4, None)]
    with recording() as recorded:
        tracer = spans.tracer()
        assert tracer is not None
        call = SendSpans(tracer, "order-events.fifo", batch, time.time_ns())
        call.answered(Answered((Accepted("m1"), Accepted("m2"), Transient("no"), Accepted("m4"))))
        found = recorded.named("send order-events.fifo")
    [whole] = [span for span in found if span.parent is None]
    assert [f"{link.context.trace_id:032x}" for link in whole.links] == [SAMPLED[3:35], other[3:35]]
    assert (whole.attributes or {})["messaging.batch.message_count"] == 4
    first, third = (span for span in found if span.parent is not None)
    assert [traceparent(each)[3:35] for each in (first, third)] == [SAMPLED[3:35], other[3:35]]
    for each in (first, third):
        [link] = each.links
        assert whole.context is not None
        assert link.context.span_id == whole.context.span_id
    assert (first.attributes or {})["messaging.message.id"] == "m1"
    assert third.status.status_code is StatusCode.ERROR
    assert (third.attributes or {})["error.type"] == "Transient"


def test_a_failed_call_has_failed_spans_and_one_that_was_not_made_has_none() -> None:
    with recording() as recorded:
        tracer = spans.tracer()
        assert tracer is not None
        call = SendSpans(tracer, "order-events.fifo", [pending(1, SAMPLED)], time.time_ns())
        call.answered(NotAttempted())
        assert recorded.all() == []
        call.answered(BrokerOutage("no answer"))
        assert [(span.attributes or {})["error.type"] for span in recorded.all()] == ["BrokerOutage", "outage"]
        SendSpans(tracer, "order-events.fifo", [pending(1, NOT_SAMPLED)], 0).answered(Answered((Accepted("m"),)))
        assert len(recorded.all()) == 2


def test_a_line_about_a_failure_has_the_ids_of_the_event_whatever_is_in_its_row() -> None:
    event = pending(1, NOT_SAMPLED)
    assert trace_of(event) == {"correlation_id": EVENT.correlationid, "trace_id": SAMPLED[3:35]}
    assert trace_of(pending(1, None)) == {"correlation_id": EVENT.correlationid}
    for body in (b"", b"[]", b"\xff", b'{"traceparent": 5, "correlationid": []}'):
        assert trace_of(PendingEvent(1, "e", "s", 0, body, {}, len(body))) == {}
