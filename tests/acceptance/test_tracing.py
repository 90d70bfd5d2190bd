"""One trace over all processes, from the request to what its events cause, through everything that delays an event."""

from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest

from event_trio.observability.tracing import Traceparent
from tests.support.mail import mail_server
from tests.support.observed_system import observed_system
from tests.support.otlp import ExportedSpan, OtlpReceiver, otlp_receiver
from tests.support.outbox import query
from tests.support.trio import SystemEnvironment
from tests.support.waiting import eventually

REASON = {"reason": "test"}


async def has_item(api: httpx.AsyncClient, path: str, count: int = 1) -> bool:
    async def is_there() -> bool:
        items = (await api.get(path)).json()["items"]
        assert len(items) >= count, items
        return True

    return await eventually(is_there, timeout=30)


class Trace:
    """The spans of one trace, and the steps from one to the next."""

    def __init__(self, spans: list[ExportedSpan], prefix: str) -> None:
        self.spans = [replace(span, name=span.name.replace(prefix, "")) for span in spans]

    def one(
        self, name: str, parent: ExportedSpan, where: Callable[[ExportedSpan], bool] = lambda _: True
    ) -> ExportedSpan:
        [found] = [span for span in self.children(name, parent) if where(span)]
        return found

    def children(self, name: str, parent: ExportedSpan) -> list[ExportedSpan]:
        return [span for span in self.spans if span.name == name and span.parent_id == parent.span_id]


async def test_one_trace_through_retry_deferred_message_redrive_replay_and_zero_payload(
    ground: SystemEnvironment,
) -> None:
    caller = Traceparent.new()
    with mail_server() as server, otlp_receiver() as receiver:
        async with observed_system(ground, server, receiver) as running:
            services, order_relay = running.services, running.processes["order-relay"].api
            services.order.headers["traceparent"] = str(caller)
            # A retry, then a refusal: a failure is published, and the order is cancelled, as the customer is notified.
            server.to_recipients = ["451 later", "550 no such user"]
            refused = await services.place()
            await services.wait_until_handled(refused, 2)
            # Without payload: deferred, run by an operator, dead, redriven, and sent once more by the relay.
            accepted = await services.place()
            await services.wait_until_handled(accepted, 1)
            server.to_recipients = ["451 later", "451 later"]
            await services.act(accepted, "confirm")
            await has_item(services.notification, "/v1/deferred-messages")
            run = {"group": accepted, **REASON}
            answer = await services.notification.post("/v1/deferred-messages/run", json=run)
            assert answer.is_success, answer.text
            await has_item(services.notification, "/v1/dead-letters")
            answer = await services.notification.post("/v1/dead-letters/redrive", json=run)
            assert answer.is_success, answer.text

            async def is_handled() -> bool:
                outcomes = [item["outcome"] for item in await services.handled(accepted)]
                assert outcomes == ["handled", "handled"]
                return True

            await eventually(is_handled, timeout=30)
            replay = {"subject": accepted, "type": "order.confirmed", "dry_run": False, **REASON}
            answer = await order_relay.post("/v1/outbox/replays", json=replay)
            assert answer.is_success, answer.text

            async def is_exported() -> bool:
                outcomes = [span.attributes.get("event_trio.outcome") for span in receiver.of_trace(caller.trace_id)]
                assert "duplicate" in outcomes, outcomes
                return True

            await eventually(is_exported, timeout=60)
    trace = Trace(receiver.of_trace(caller.trace_id), ground.topology.prefix)
    assert {span.service for span in trace.spans} == {"order", "order-relay", "notification", "notification-relay"}
    _expect_the_refused_order(trace, caller)
    _expect_the_accepted_order(trace, receiver)
    await _expect_contexts_unchanged(ground, trace)


def _expect_the_refused_order(trace: Trace, caller: Traceparent) -> None:
    requests = [span for span in trace.spans if span.name == "POST /v1/orders"]
    assert [(span.kind, span.parent_id) for span in requests] == [("SERVER", caller.span_id)] * 2
    created = trace.one("create order.placed", requests[0])
    assert (created.kind, created.service) == ("PRODUCER", "order")
    sent = trace.one("send order-events.fifo", created)
    assert (sent.kind, sent.service, len(sent.links)) == ("CLIENT", "order-relay", 1)
    attempts = trace.children("process notification-order-events.fifo", created)
    assert [(span.kind, span.service) for span in attempts] == [("CONSUMER", "notification")] * 2
    assert [span.attributes["event_trio.outcome"] for span in attempts] == ["retry_scheduled", "failure_published"]
    assert [span.attributes["event_trio.attempt"] for span in attempts] == [1, 2]
    for attempt in attempts:
        mail = trace.one("send email", attempt)
        assert (mail.kind, mail.failed) == ("CLIENT", True)
    failure = trace.one("create notification.failed", attempts[1])
    assert trace.one("send notification-events.fifo", failure).service == "notification-relay"
    compensating = trace.one("process order-notification-events.fifo", failure)
    assert (compensating.kind, compensating.service) == ("CONSUMER", "order")
    cancelled = trace.one("create order.cancelled", compensating)
    assert trace.one("send order-events.fifo", cancelled).service == "order-relay"
    notified = trace.one("process notification-order-events.fifo", cancelled)
    assert not trace.one("send email", notified).failed
    assert trace.one("create notification.sent", notified).service == "notification"


def _expect_the_accepted_order(trace: Trace, receiver: OtlpReceiver) -> None:
    [confirming] = [span for span in trace.spans if span.name == "POST /v1/orders/{order_id}/confirm"]
    created = trace.one("create order.confirmed", confirming)
    # Once more after the replay, from the same context.
    assert sorted(
        span.attributes["event_trio.republished"] for span in trace.children("send order-events.fifo", created)
    ) == [0, 1]
    attempts = trace.children("process notification-order-events.fifo", created)
    assert [
        (span.attributes["event_trio.outcome"], span.attributes["event_trio.deferred"], span.failed)
        for span in attempts
    ] == [
        ("deferred", False, True),
        ("dead_letter", True, True),
        ("handled", True, False),
        ("duplicate", False, False),
    ]
    for attempt in attempts[:3]:
        # The payload is read from its publisher, whose own span is in the trace too.
        reading = trace.one("GET", attempt)
        assert trace.one("GET /v1/orders/{order_id}/events/{sequence}", reading).service == "order"
    batches = [span for span in receiver.spans if span.parent_id is None and created.span_id in span.links]
    kinds = {(span.kind, span.service, span.name.partition(" ")[0]) for span in batches}
    assert kinds == {
        ("CLIENT", "order-relay", "send"),
        ("CLIENT", "order-relay", "receive"),
        ("CLIENT", "notification", "receive"),
    }


async def _expect_contexts_unchanged(ground: SystemEnvironment, trace: Trace) -> None:
    """What the row says is the context of the span that created it: nothing rewrote it."""
    stored = "SELECT convert_from(envelope, 'UTF8')::json ->> 'traceparent' FROM outbox_event"
    for database in (ground.orders, ground.notifications):
        contexts = [text for (text,) in await query(database.url, stored)]
        created = {span.span_id for span in trace.spans if span.name.startswith("create ")}
        assert {text[36:52] for text in contexts} <= created
        assert all(text.endswith("-01") for text in contexts)


@pytest.mark.parametrize("sampled_by", ["caller", "setting"])
async def test_what_is_not_sampled_is_traced_nowhere(ground: SystemEnvironment, sampled_by: str) -> None:
    caller = replace(Traceparent.new(), flags=0)
    settings = {} if sampled_by == "caller" else {"OTEL_TRACES_SAMPLER": "parentbased_always_off"}
    with mail_server() as server, otlp_receiver() as receiver:
        async with observed_system(ground, server, receiver, **settings) as running:
            services = running.services
            if sampled_by == "caller":
                services.order.headers["traceparent"] = str(caller)
            server.to_recipients = ["451 later"]
            order_id = await services.place()
            await services.wait_until_handled(order_id, 1)
            await services.act(order_id, "confirm")
            await services.wait_until_handled(order_id, 2)
    # The processes have ended, and have exported what they had.
    if sampled_by == "caller":
        assert receiver.of_trace(caller.trace_id) == []
        assert not [span for span in receiver.spans if span.kind != "SERVER"]
    else:
        assert receiver.spans == []
