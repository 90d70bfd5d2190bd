"""The AsyncAPI 3.0 document of a service: what it and its relay send and receive, through which topics and queues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from event_trio.catalog.handling import handling, message_name
from event_trio.catalog.keywords import HANDLING, PROCESS, SERVICE
from event_trio.catalog.messaging import Messaging
from event_trio.consumer.build import Subscription
from event_trio.contracts.payload import EventPayload
from event_trio.settings import ServiceSettings
from tools.catalog import bindings, topology
from tools.catalog.messages import CONTENT_TYPE, messages, schemas
from tools.catalog.topology import DeclaredQueue


def document(service: Messaging) -> dict[str, Any]:
    """The document of a service. Names have no prefix, as in a topology without one.

    Raises ConfigurationError if a topic or queue is declared in no template.
    """
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    events = list(service.events)
    if service.domain is not None:
        channels |= _sent_channels(service.domain, service.events)
        operations |= _sent_operations(service.service, service.domain, service.events)
    if service.subscription is not None and service.router is not None:
        handled = [route.payload for route in service.router.routes]
        events += handled
        channels |= _received_channels(service.subscription, handled)
        operations |= _received_operations(service, service.subscription, handled)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": service.title,
            "version": "1",
            "description": service.description,
            "license": {"name": "Apache 2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
            SERVICE: service.service,
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {protocol: _server(protocol) for protocol in ("sns", "sqs")},
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages(events), "schemas": schemas(events)},
    }


def _server(protocol: str) -> dict[str, Any]:
    region = {"default": ServiceSettings.model_fields["aws_region"].default, "description": "The region (AWS_REGION)."}
    return {
        "host": f"{protocol}.{{region}}.amazonaws.com",
        "protocol": protocol,
        "variables": {"region": region},
    }


def _sent_channels(domain: str, events: Sequence[type[EventPayload]]) -> dict[str, Any]:
    check = topology.publish_check(domain)
    return {
        domain: _topic(domain, events),
        _name(check): _queue(check, f"The publish check of {domain}.", events),
    }


def _sent_operations(service: str, domain: str, events: Sequence[type[EventPayload]]) -> dict[str, Any]:
    check = topology.publish_check(domain)
    relay = {PROCESS: f"{service}-relay"}
    return {
        f"send-{domain}": {
            "action": "send",
            "channel": _channel(domain),
            "summary": "Events that were committed with the change that they describe, in commit order per group.",
            "messages": _messages(domain, events),
            # Subscribers declare their own subscriptions, so that a new one changes nothing here.
            "bindings": {"sns": _subscription(domain, check)},
            **relay,
        },
        f"confirm-{domain}": {
            "action": "receive",
            "channel": _channel(_name(check)),
            "summary": "The service's own events come back: an event that is received here is published.",
            "messages": _messages(_name(check), events),
            "bindings": {"sns": _subscription(domain, check), "sqs": _queues(check)},
            **relay,
        },
    }


def _received_channels(subscription: Subscription, handled: Sequence[type[EventPayload]]) -> dict[str, Any]:
    queue = topology.subscriber(subscription)
    summary = f"The queue of {subscription.consumer} for {subscription.domain}."
    return {
        subscription.domain: _topic(subscription.domain, handled),
        _name(queue): _queue(queue, summary, handled),
    }


def _received_operations(
    service: Messaging, subscription: Subscription, handled: Sequence[type[EventPayload]]
) -> dict[str, Any]:
    queue = topology.subscriber(subscription)
    assert service.router is not None
    return {
        f"receive-{subscription.domain}": {
            "action": "receive",
            "channel": _channel(_name(queue)),
            "summary": f"The {service.service} service handles these events, each once, in order per group.",
            "messages": _messages(_name(queue), handled),
            "bindings": {"sns": _subscription(subscription.domain, queue), "sqs": _queues(queue)},
            PROCESS: service.service,
            HANDLING: handling(service.router),
        }
    }


def _topic(domain: str, events: Sequence[type[EventPayload]]) -> dict[str, Any]:
    binding = topology.topic(domain)
    return {
        "address": binding["name"],
        "summary": f"The topic of {domain}.",
        "servers": [{"$ref": "#/servers/sns"}],
        "messages": _references(events),
        "bindings": {"sns": binding},
    }


def _queue(found: DeclaredQueue, summary: str, events: Sequence[type[EventPayload]]) -> dict[str, Any]:
    binding = {"queue": found.queue, "bindingVersion": bindings.SQS_VERSION}
    if found.dead_letter_queue is not None:
        binding["deadLetterQueue"] = found.dead_letter_queue
    return {
        "address": found.queue["name"],
        "summary": summary,
        "servers": [{"$ref": "#/servers/sqs"}],
        "messages": _references(events),
        "bindings": {"sqs": binding},
    }


def _subscription(domain: str, queue: DeclaredQueue) -> dict[str, Any]:
    return {
        "topic": {"name": topology.topic(domain)["name"]},
        "consumers": [queue.consumer],
        "bindingVersion": bindings.SNS_VERSION,
    }


def _queues(queue: DeclaredQueue) -> dict[str, Any]:
    return {"queues": queue.queues, "bindingVersion": bindings.SQS_VERSION}


def _name(queue: DeclaredQueue) -> str:
    """The name of the channel: that of the queue without `.fifo`."""
    return str(queue.queue["name"]).removesuffix(".fifo")


def _channel(name: str) -> dict[str, str]:
    return {"$ref": f"#/channels/{name}"}


def _references(events: Sequence[type[EventPayload]]) -> dict[str, Any]:
    return {message_name(event): {"$ref": f"#/components/messages/{message_name(event)}"} for event in events}


def _messages(channel: str, events: Sequence[type[EventPayload]]) -> list[dict[str, str]]:
    return [{"$ref": f"#/channels/{channel}/messages/{message_name(event)}"} for event in events]
