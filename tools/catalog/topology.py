"""The topics, queues and subscriptions of a domain and of a subscriber, from the templates in `infra/templates`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from event_trio.broker.names import BrokerNames
from event_trio.consumer.build import Subscription
from event_trio.errors import ConfigurationError
from infra import manifest
from infra.declaration import Account, Declaration
from infra.manifest import Template, TemplateKind
from tools.catalog import bindings

# Only names are read, which contain neither.
ACCOUNT = Account("aws", "us-east-1", "000000000000")
NAMES = BrokerNames()


@dataclass(frozen=True, slots=True)
class DeclaredQueue:
    """A queue that is subscribed to a topic, its dead-letter queues, and the subscription."""

    queue: dict[str, Any]
    dead_letter_queue: dict[str, Any] | None
    undelivered_queue: dict[str, Any] | None
    consumer: dict[str, Any]

    @property
    def queues(self) -> list[dict[str, Any]]:
        """All of its queues."""
        return [queue for queue in (self.queue, self.dead_letter_queue, self.undelivered_queue) if queue]


def topic(domain: str) -> dict[str, Any]:
    """The topic of a domain, as a channel binding. Raises ConfigurationError."""
    template = _only(TemplateKind.TOPIC, domain, NAMES.topic(domain))
    ((_, found),) = _declaration(template).resources("AWS::SNS::Topic")
    return bindings.topic(found)


def publish_check(domain: str) -> DeclaredQueue:
    """The publish-check queue of a domain. Raises ConfigurationError."""
    return _queue(_only(TemplateKind.PUBLISH_CHECK, domain, NAMES.publish_check(domain)))


def subscriber(subscription: Subscription) -> DeclaredQueue:
    """The queue of a subscriber. Raises ConfigurationError."""
    name = NAMES.queue(subscription.consumer, subscription.domain)
    return _queue(_only(TemplateKind.SUBSCRIBER, subscription.domain, name))


def _queue(template: Template) -> DeclaredQueue:
    declaration = _declaration(template)
    queues = {queue["QueueName"]: bindings.queue(queue) for _, queue in declaration.resources("AWS::SQS::Queue")}
    ((_, subscription),) = declaration.resources("AWS::SNS::Subscription")
    consumer = bindings.consumer(subscription)
    queue = queues[consumer["endpoint"]["name"]]
    return DeclaredQueue(queue, queues.get(_target(queue)), queues.get(_target(consumer)), consumer)


def _target(redriven: dict[str, Any]) -> str:
    """The name of the queue to which messages are moved; empty if there is none."""
    return str(redriven["redrivePolicy"]["deadLetterQueue"]["name"]) if "redrivePolicy" in redriven else ""


def _only(kind: TemplateKind, domain: str, name: str) -> Template:
    """The template that declares the topic or queue with that name."""
    for template in _templates():
        if template.kind is kind and template.topic == domain and name in _names(_declaration(template)):
            return template
    raise ConfigurationError(f"no template of the kind {kind} declares {name}: see infra/templates")


@cache
def _templates() -> tuple[Template, ...]:
    return manifest.load()


def _names(declaration: Declaration) -> Iterator[str]:
    for kind, name in (("AWS::SNS::Topic", "TopicName"), ("AWS::SQS::Queue", "QueueName")):
        for _, resource in declaration.resources(kind):
            yield resource[name]


@cache
def _declaration(template: Template) -> Declaration:
    return Declaration(template.body, {"Prefix": ""}, ACCOUNT)
