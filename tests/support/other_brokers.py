"""The supported brokers beside SNS and SQS, each with a topic and its subscribers, for tests of the whole chain."""

import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import pytest

from comparisons.brokers.servers.broker_server import BrokerServer
from comparisons.brokers.servers.nats_server import NatsServer
from event_trio.broker import jetstream, rabbitmq
from event_trio.broker.opened import PUBLISH_CHECK
from event_trio.broker.source import MessageSource
from tests.support.broker_servers import running

SUBSCRIBER = "mailer"


@dataclass(frozen=True)
class OtherBroker:
    """A running broker with a topic."""

    server: BrokerServer
    module: str
    topic: str
    source: Callable[[], AbstractAsyncContextManager[MessageSource]]
    """Opens a reader of SUBSCRIBER."""


@pytest.fixture(scope="module")
def server() -> Iterator[BrokerServer]:
    """A NATS server, which starts in a moment. A file may have a fixture of this name for another one."""
    with running(NatsServer()) as started:
        yield started


@pytest.fixture
async def other_broker(server: BrokerServer) -> OtherBroker:
    """A topic with the subscribers of a relay and of a consumer."""
    topic = f"t{secrets.token_hex(4)}-events"
    if isinstance(server, NatsServer):
        async with jetstream.connected(server.url) as client:
            await jetstream.create_topic(client, topic)
            for subscriber in (PUBLISH_CHECK, SUBSCRIBER):
                await jetstream.subscribe(client, topic, subscriber, visibility_seconds=30)
        return OtherBroker(server, "event_trio.broker.jetstream", topic, lambda: _jetstream(server.url, topic))
    await rabbitmq.create_topic(server.url, topic)
    for subscriber in (PUBLISH_CHECK, SUBSCRIBER):
        await rabbitmq.subscribe(server.url, topic, subscriber, replicated=False)
    return OtherBroker(
        server, "event_trio.broker.rabbitmq", topic, lambda: rabbitmq.RabbitSource(server.url, topic, SUBSCRIBER)
    )


@asynccontextmanager
async def _jetstream(url: str, topic: str) -> AsyncIterator[MessageSource]:
    async with jetstream.connected(url) as client:
        yield jetstream.JetStreamSource(client, topic, SUBSCRIBER)
