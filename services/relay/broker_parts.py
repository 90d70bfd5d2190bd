"""Builds what a relay has of its broker: SNS and SQS, or another one that BROKER names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from event_trio.broker.aws import topic_arn
from event_trio.broker.opened import OpenedBroker
from event_trio.broker.publisher import MessagePublisher
from event_trio.broker.source import MessageSource

from .connections import AwsClients
from .operators.topology import DescribedTopology, OtherTopology, RelayTopology
from .publishing.identified_publisher import IdentifiedPublisher
from .publishing.publisher import Publisher
from .settings import RelaySettings

# How long sending waits for the check queue where a recreated broker gets everything again.
CHECK_WAIT_SECONDS = 10.0


class IdentifyingPublisher(MessagePublisher, Protocol):
    """A publisher that identifies the broker before it sends."""

    def recheck_broker(self) -> None:
        """Identify the broker again before the next call."""
        ...


@dataclass(frozen=True, slots=True)
class BrokerParts:
    """What depends on the broker."""

    publisher: Callable[[Callable[[str], Awaitable[bool]]], IdentifyingPublisher]
    """Makes the publisher; its argument compares a time of creation with the known one."""
    created: Callable[[], Awaitable[str | None]]
    publish_check: MessageSource
    counts: Callable[[], Awaitable[dict[str, str]]] | None
    topology: DescribedTopology
    tells_times: bool = False
    """Whether a message tells to the millisecond when the broker put it into the queue."""


def broker_parts(settings: RelaySettings, broker: AwsClients | OpenedBroker) -> BrokerParts:
    """Build them from the clients."""
    return _aws_parts(settings, broker) if isinstance(broker, AwsClients) else _other_parts(settings, broker)


def _aws_parts(settings: RelaySettings, clients: AwsClients) -> BrokerParts:
    topic, queue = settings.topic_name, clients.check_queue

    async def created() -> str:
        return (await queue.attributes())["CreatedTimestamp"]

    async def find_arn() -> str:
        return await topic_arn(clients.aws, topic, call_seconds=settings.call_seconds / 2)

    def publisher(identify: Callable[[str], Awaitable[bool]]) -> Publisher:
        return Publisher(
            clients.sns,
            queue,
            topic,
            call_seconds=settings.call_seconds,
            identify=identify,
            find_arn=find_arn,
            # Elsewhere nothing is replayed automatically, so there is no order to keep with new events.
            check_wait_seconds=CHECK_WAIT_SECONDS if settings.replays_by_itself else 0.0,
        )

    topology = RelayTopology(clients.sns, queue, find_arn)
    return BrokerParts(publisher, created, queue, queue.attributes, topology, tells_times=True)


def _other_parts(settings: RelaySettings, broker: OpenedBroker) -> BrokerParts:
    topic = settings.topic_name

    def publisher(identify: Callable[[str], Awaitable[bool]]) -> IdentifiedPublisher:
        return IdentifiedPublisher(
            broker.publisher,
            topic,
            system=broker.publish_check.system,
            call_seconds=settings.call_seconds,
            created=broker.created,
            identify=identify,
        )

    topology = OtherTopology(topic, broker.publisher, broker.publish_check)
    return BrokerParts(publisher, broker.created, broker.publish_check, None, topology)
