"""The catalog page: events, who publishes and handles them, through which topics and queues."""

from __future__ import annotations

from collections.abc import Iterable

from event_trio.catalog.flow import Flow, FlowEvent, FlowQueue, FlowService
from tools.reference.markdown import code, page, table

INTRODUCTION = """
Who publishes which event, and who handles it through which topic and queue. This page, the drawing and
[its JSON form](catalog.json) are merged from the AsyncAPI documents of the services, which are generated from the
contracts, the handlers and the CloudFormation templates. Each service serves its own document at `/asyncapi.json`, with
the names and the failure policies that are in force, and the JSON Schemas of its [events](events.md) at the URL in
`dataschema`. [Change an event](../how-to/change-an-event.md) describes what may change.

![Each service publishes on a topic; queues receive from it; services and relays read the queues.](catalog.svg)

In the drawing, a dashed box is a publish check, through which a relay receives its own events back. A queue has two
dead-letter queues: `-dlq` for messages that were received too often, and `-undelivered` for deliveries that failed for
good.

A relay serves no document of its own: what it sends and receives is in the document of the service whose outbox it
reads. The documents have these keywords beside those of AsyncAPI: `x-service` (the name of the service), `x-process`
(the process that performs an operation: the service or its relay), `x-handling` (failure policy and options of each
handler), `x-event` (type, version, owner and payload mode), `x-personal-data` (of a field), `x-deprecated` (of a
message), and properties of topics and queues for which the bindings have no field.
"""
MODES = {
    "data": "in the event",
    "data-or-dataref": "in the event, or at the URL `dataref` if `ZERO_PAYLOAD_EVENTS` of the service names the type",
}


def render(flow: Flow) -> str:
    """The page."""
    return page(
        "Event catalog",
        INTRODUCTION,
        f"## Events\n\n{_events(flow)}",
        f"## Queues\n\n{_queues(flow.queues)}",
        f"## Handlers\n\n{_handlers(flow)}",
        *(_service(service, flow) for service in flow.services),
    )


def _events(flow: Flow) -> str:
    handlers: dict[str, list[str]] = {}
    for queue in flow.queues:
        for handler in queue.handlers:
            handlers.setdefault(handler.event, []).append(queue.process)
    rows = [
        (
            code(event.type),
            f"[{event.version}](schemas/{event.type}/{event.version}.json){', deprecated' if event.deprecated else ''}",
            event.owner,
            code(event.topic or ""),
            ", ".join(handlers.get(event.name, ())) or "nobody yet",
            ", ".join(map(code, event.personal_fields)) or "none",
        )
        for event in flow.events
    ]
    return table(("Event", "Version", "Publisher", "Topic", "Handled by", "Personal data"), rows)


def _queues(queues: Iterable[FlowQueue]) -> str:
    rows = [
        (
            code(queue.name),
            code(queue.topic),
            queue.process,
            "none" if queue.filtered_types is None else ", ".join(map(code, queue.filtered_types)),
            f"{queue.retention_seconds // 86400} days",
            _redrive(queue),
        )
        for queue in queues
    ]
    return table(("Queue", "Topic", "Read by", "Filter on `type`", "Retention", "Dead letters"), rows)


def _redrive(queue: FlowQueue) -> str:
    parts = []
    if queue.dead_letter_queue is not None:
        parts.append(f"{code(queue.dead_letter_queue)} after {queue.max_receive_count} receives")
    if queue.undelivered_queue is not None:
        parts.append(f"{code(queue.undelivered_queue)} for what SNS cannot deliver")
    return "; ".join(parts) or "none"


def _handlers(flow: Flow) -> str:
    types = {event.name: event for event in flow.events}
    rows = [
        (
            queue.process,
            f"{code(types[handler.event].type)} {types[handler.event].version}",
            code(handler.failure_policy),
            f"{handler.timeout_seconds:g} s",
            {"handle": "are handled", "skip": "are skipped"}[handler.stale],
        )
        for queue in flow.queues
        for handler in queue.handlers
    ]
    introduction = (
        "The setting `FAILURE_POLICIES` of a service replaces these policies; its `/asyncapi.json` shows them."
    )
    return f"{introduction}\n\n{table(('Service', 'Event', 'Failure policy', 'Timeout', 'Stale events'), rows)}"


def _service(service: FlowService, flow: Flow) -> str:
    published = [event for event in flow.events if event.topic is not None and event.topic == service.topic]
    document = f"[AsyncAPI document](../../services/{service.name}/asyncapi.json)"
    modes = sorted({MODES[event.payload_mode] for event in published})
    facts = f" The payload of its events is {'; '.join(modes)}." if published else " It publishes no events."
    return f"## {service.title}\n\n{service.description} {document}.{facts}\n\n{_meanings(published)}".strip()


def _meanings(events: list[FlowEvent]) -> str:
    return table(("Event", "Meaning"), [(code(event.type), event.description) for event in events]) if events else ""
