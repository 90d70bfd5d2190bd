"""The broker that the how-to guide adds, Redis Streams, passes the suites, and is short."""

import runpy
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from redis.asyncio import Redis

from comparisons.brokers.servers.redis_server import RedisServer
from event_trio.broker.publisher import MessagePublisher
from event_trio.broker.source import MessageSource
from event_trio.envelope import Envelope
from event_trio.testing import SUBSCRIBERS, BrokerControl, OpenSource, Publish, PublisherSuite, QueueSuite
from event_trio.testing.publisher_suite import SentEvent, accepted
from tests.support.broker_servers import running
from tests.support.sources import ROOT

EXAMPLE = ROOT / "shared/examples/redis_streams.py"
GUIDE = ROOT / "docs/how-to/add-a-broker.md"
LONGEST = 150


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with running(RedisServer()) as started:
        yield started


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLE))


@pytest.fixture
async def redis(server: RedisServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(server.url) as client:
        yield client


@pytest.fixture
async def topic(redis: Redis, example: dict[str, Any]) -> str:
    name = f"t{secrets.token_hex(4)}-events"
    for subscriber in SUBSCRIBERS:
        await example["subscribe"](redis, name, subscriber)
    return name


@pytest.fixture
def publisher(redis: Redis, topic: str, example: dict[str, Any]) -> MessagePublisher:
    made: MessagePublisher = example["RedisPublisher"](redis, topic)
    return made


class TestRedisSource(QueueSuite):
    """The suite for every source."""

    @pytest.fixture
    def queue(self, redis: Redis, topic: str, example: dict[str, Any]) -> MessageSource:
        made: MessageSource = example["RedisSource"](redis, topic, "mailer")
        return made

    @pytest.fixture
    def publish(self, publisher: MessagePublisher) -> Publish:
        async def publish(sent: Envelope) -> None:
            await accepted(publisher, SentEvent(sent))

        return publish


class TestRedisPublisher(PublisherSuite):
    """The suite for every broker."""

    @pytest.fixture
    def publisher_without_topic(self, redis: Redis, example: dict[str, Any]) -> MessagePublisher:
        made: MessagePublisher = example["RedisPublisher"](redis, "absent-events")
        return made

    @pytest.fixture
    async def open_source(self, server: RedisServer, topic: str, example: dict[str, Any]) -> AsyncIterator[OpenSource]:
        async with AsyncExitStack() as stack:

            async def open_source(subscriber: str) -> MessageSource:
                client = await stack.enter_async_context(Redis.from_url(server.url))
                made: MessageSource = example["RedisSource"](client, topic, subscriber)
                return made

            yield open_source

    @pytest.fixture
    def broker(self, server: RedisServer) -> BrokerControl:
        return server


def test_the_guide_shows_the_whole_example_which_is_short() -> None:
    code = EXAMPLE.read_text()
    assert len(code.splitlines()) < LONGEST
    assert f"```python\n{code}```" in GUIDE.read_text()
