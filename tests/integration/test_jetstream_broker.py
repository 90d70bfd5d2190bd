"""NATS JetStream is a broker for a relay and a source for a consumer."""

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest
from nats.aio.client import Client

from comparisons.brokers.servers.nats_server import NatsServer
from event_trio.broker.jetstream import JetStreamPublisher, JetStreamSource, connected, create_topic, subscribe
from event_trio.envelope import Envelope
from event_trio.testing import SUBSCRIBERS, BrokerControl, OpenSource, Publish, PublisherSuite, QueueSuite
from event_trio.testing.publisher_suite import SentEvent, accepted
from tests.support.broker_servers import running

DEFAULT_PAYLOAD = 1024 * 1024


@pytest.fixture(scope="module")
def server() -> Iterator[NatsServer]:
    with running(NatsServer()) as started:
        yield started


@pytest.fixture
async def client(server: NatsServer) -> AsyncIterator[Client]:
    async with connected(server.url) as opened:
        yield opened


@pytest.fixture
async def topic(client: Client) -> str:
    name = f"t{secrets.token_hex(4)}-events"
    await create_topic(client, name)
    for subscriber in SUBSCRIBERS:
        # After a crash of the server an acknowledged message may be in flight again for so long.
        await subscribe(client, name, subscriber, visibility_seconds=8)
    return name


@pytest.fixture
def publisher(client: Client, topic: str) -> JetStreamPublisher:
    return JetStreamPublisher(client, topic, call_seconds=3)


class TestJetStreamSource(QueueSuite):
    """The suite for every source."""

    @pytest.fixture
    def queue(self, client: Client, topic: str) -> JetStreamSource:
        return JetStreamSource(client, topic, "mailer")

    @pytest.fixture
    def publish(self, publisher: JetStreamPublisher) -> Publish:
        async def publish(sent: Envelope) -> None:
            await accepted(publisher, SentEvent(sent))

        return publish


class TestJetStreamPublisher(PublisherSuite):
    """The suite for every broker."""

    most_bytes = DEFAULT_PAYLOAD
    deduplicates = True

    @pytest.fixture
    def publisher_without_topic(self, client: Client) -> JetStreamPublisher:
        return JetStreamPublisher(client, "absent-events", call_seconds=3)

    @pytest.fixture
    async def open_source(self, server: NatsServer, topic: str) -> AsyncIterator[OpenSource]:
        async with AsyncExitStack() as stack:

            async def open_source(subscriber: str) -> JetStreamSource:
                return JetStreamSource(await stack.enter_async_context(connected(server.url)), topic, subscriber)

            yield open_source

    @pytest.fixture
    def broker(self, server: NatsServer) -> BrokerControl:
        return server
