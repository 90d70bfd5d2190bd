"""The flow of events through all services, merged from their AsyncAPI documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .keywords import HANDLING, PROCESS, SERVICE

Document = Mapping[str, Any]
EVENT = "x-event"
PERSONAL = "x-personal-data"


@dataclass(frozen=True, slots=True)
class FlowService:
    """A service, and the topic on which it publishes."""

    name: str
    title: str
    description: str
    topic: str | None


@dataclass(frozen=True, slots=True)
class FlowEvent:
    """A version of an event type. `topic` is None if no document describes its publisher."""

    name: str
    type: str
    version: int
    owner: str
    topic: str | None
    description: str
    payload_mode: str
    personal_fields: tuple[str, ...]
    deprecated: bool


@dataclass(frozen=True, slots=True)
class FlowHandler:
    """How a process handles an event."""

    event: str
    failure_policy: str
    timeout_seconds: float
    stale: str


@dataclass(frozen=True, slots=True)
class FlowQueue:
    """A queue that is subscribed to a topic.

    `filtered_types` is None without a filter. A publish check has no handlers: its process is the relay that publishes.
    """

    name: str
    topic: str
    process: str
    filtered_types: tuple[str, ...] | None
    raw_delivery: bool
    retention_seconds: int
    dead_letter_queue: str | None
    max_receive_count: int | None
    undelivered_queue: str | None
    handlers: tuple[FlowHandler, ...]


@dataclass(frozen=True, slots=True)
class Flow:
    """All services, events and queues. `dataclasses.asdict` makes its JSON form."""

    services: tuple[FlowService, ...]
    events: tuple[FlowEvent, ...]
    queues: tuple[FlowQueue, ...]


def merge(documents: Iterable[Document]) -> Flow:
    """The flow of the services with these documents; each needs no other to be generated."""
    found = list(documents)
    topics = {document["info"][SERVICE]: _topic(document) for document in found}
    events: dict[str, FlowEvent] = {}
    for own in (True, False):
        for document in found:
            for name, message in document["components"]["messages"].items():
                if (message[EVENT]["owner"] == document["info"][SERVICE]) is own:
                    schema = document["components"]["schemas"][name]
                    events.setdefault(name, _event(name, message, schema, topics))
    return Flow(
        services=tuple(
            FlowService(name, document["info"]["title"], document["info"]["description"], topics[name])
            for document in found
            for name in [document["info"][SERVICE]]
        ),
        events=tuple(events.values()),
        queues=tuple(queue for document in found for queue in _queues(document)),
    )


def _topic(document: Document) -> str | None:
    """The topic to which the service sends."""
    for operation in document["operations"].values():
        if operation["action"] == "send":
            return str(_channel(document, operation)["address"])
    return None


def _event(
    name: str, message: Mapping[str, Any], schema: Mapping[str, Any], topics: Mapping[str, str | None]
) -> FlowEvent:
    declared = message[EVENT]
    return FlowEvent(
        name=name,
        type=declared["type"],
        version=declared["version"],
        owner=declared["owner"],
        topic=topics.get(declared["owner"]),
        description=message["summary"],
        payload_mode=declared["payload_mode"],
        personal_fields=tuple(field for field, kind in schema["properties"].items() if kind.get(PERSONAL)),
        deprecated=bool(schema.get("deprecated")),
    )


def _queues(document: Document) -> Iterable[FlowQueue]:
    for operation in document["operations"].values():
        if operation["action"] != "receive":
            continue
        channel = _channel(document, operation)
        queue = channel["bindings"]["sqs"]["queue"]
        subscription = operation["bindings"]["sns"]
        (consumer,) = subscription["consumers"]
        types = consumer.get("filterPolicy", {}).get("type")
        yield FlowQueue(
            name=channel["address"],
            topic=subscription["topic"]["name"],
            process=operation[PROCESS],
            filtered_types=None if types is None else tuple(types),
            raw_delivery=consumer["rawMessageDelivery"],
            retention_seconds=queue["messageRetentionPeriod"],
            dead_letter_queue=_target(queue),
            max_receive_count=queue.get("redrivePolicy", {}).get("maxReceiveCount"),
            undelivered_queue=_target(consumer),
            handlers=tuple(FlowHandler(event, **options) for event, options in operation.get(HANDLING, {}).items()),
        )


def _channel(document: Document, operation: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = document["channels"][operation["channel"]["$ref"].rpartition("/")[2]]
    return found


def _target(redriven: Mapping[str, Any]) -> str | None:
    return redriven["redrivePolicy"]["deadLetterQueue"]["name"] if "redrivePolicy" in redriven else None
