"""The catalog by topic: its events, each with those who react."""

from __future__ import annotations

from dataclasses import dataclass

from event_trio.catalog.flow import Flow, FlowEvent, FlowHandler, FlowService

from .failure_policy import policy_lines
from .flow_state import StateLine


@dataclass(frozen=True, slots=True)
class Reaction:
    """A service that handles an event, from which queue."""

    service: str
    queue: str
    handler: FlowHandler


@dataclass(frozen=True, slots=True)
class CatalogEvent:
    """An event and those who react to it."""

    event: FlowEvent
    reactions: tuple[Reaction, ...]

    @property
    def policies(self) -> list[tuple[list[str], tuple[StateLine, ...]]]:
        """What happens after a failure, in words: each policy once, with the services that have it."""
        found: dict[str, list[str]] = {}
        for reaction in self.reactions:
            found.setdefault(reaction.handler.failure_policy, []).append(reaction.service)
        return [(services, policy_lines(policy)) for policy, services in found.items()]


@dataclass(frozen=True, slots=True)
class CatalogTopic:
    """A topic with the service that publishes to it, and its events."""

    service: FlowService
    events: tuple[CatalogEvent, ...]


def catalog_of(flow: Flow) -> list[CatalogTopic]:
    """The topics of all services that publish."""
    return [
        CatalogTopic(service, tuple(_event(event, flow) for event in flow.events if event.owner == service.name))
        for service in flow.services
        if service.topic is not None
    ]


def _event(event: FlowEvent, flow: Flow) -> CatalogEvent:
    found = (
        Reaction(queue.process, queue.name, handler)
        for queue in flow.queues
        for handler in queue.handlers
        if handler.event == event.name
    )
    return CatalogEvent(event, tuple(found))
