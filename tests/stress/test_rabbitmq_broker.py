"""RabbitMQ is a broker for a relay and a source for a consumer."""

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest

from comparisons.brokers.servers.rabbitmq_server import RabbitServer
from event_trio.broker.rabbitmq import RabbitPublisher, RabbitSource, create_topic, subscribe
from event_trio.envelope import Envelope
from event_trio.testing import SUBSCRIBERS, BrokerControl, OpenSource, Publish, PublisherSuite, QueueSuite
from event_trio.testing.publisher_suite import SentEvent, accepted
from tests.support.broker_servers import running

PARTITIONS = 4


@pytest.fixture(scope="module")
def server() -> Iterator[RabbitServer]:
    with running(RabbitServer()) as started:
        yield started


@pytest.fixture
async def topic(server: RabbitServer) -> str:
    name = f"t{secrets.token_hex(4)}-events"
    await create_topic(server.url, name)
    for subscriber in SUBSCRIBERS:
        await subscribe(server.url, name, subscriber, partitions=PARTITIONS, replicated=False)
    return name


@pytest.fixture
async def publisher(server: RabbitServer, topic: str) -> AsyncIterator[RabbitPublisher]:
    opened = RabbitPublisher(server.url, topic, call_seconds=3, partitions=PARTITIONS)
    yield opened
    await opened.close()


class TestRabbitSource(QueueSuite):
    """The suite for every source."""

    @pytest.fixture
    async def queue(self, server: RabbitServer, topic: str) -> AsyncIterator[RabbitSource]:
        async with RabbitSource(server.url, topic, "mailer", partitions=PARTITIONS) as opened:
            yield opened

    @pytest.fixture
    def publish(self, publisher: RabbitPublisher) -> Publish:
        async def publish(sent: Envelope) -> None:
            await accepted(publisher, SentEvent(sent))

        return publish


class TestRabbitPublisher(PublisherSuite):
    """The suite for every broker. It carries more than an outbox does, so that no event is too large for it."""

    @pytest.fixture
    async def publisher_without_topic(self, server: RabbitServer) -> AsyncIterator[RabbitPublisher]:
        opened = RabbitPublisher(server.url, "absent-events", call_seconds=3)
        yield opened
        await opened.close()

    @pytest.fixture
    async def open_source(self, server: RabbitServer, topic: str) -> AsyncIterator[OpenSource]:
        async with AsyncExitStack() as stack:

            async def open_source(subscriber: str) -> RabbitSource:
                opened = RabbitSource(server.url, topic, subscriber, partitions=PARTITIONS)
                return await stack.enter_async_context(opened)

            yield open_source

    @pytest.fixture
    def broker(self, server: RabbitServer) -> BrokerControl:
        return server
