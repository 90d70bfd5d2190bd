"""Redis: Pub/Sub, and Streams by the example of the guide."""

from __future__ import annotations

import json
import runpy
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from comparisons.brokers.candidate import CandidateBroker, CandidateTopic, started
from comparisons.brokers.servers.redis_server import RedisServer
from comparisons.environment import ComparisonEnvironment
from event_trio.broker.outcome import Accepted, Answered, BrokerOutage, CallOutcome
from event_trio.broker.publisher import OutgoingEvent
from event_trio.broker.source import BATCH, Message, MessageSource

EXAMPLE = Path(__file__).resolve().parents[3] / "shared" / "examples" / "redis_streams.py"


class RedisStreamsTopic(CandidateTopic):
    """A stream for each partition."""

    def __init__(self, redis: Redis, url: str, name: str) -> None:
        self._example: dict[str, Any] = runpy.run_path(str(EXAMPLE))
        self.publisher = self._example["RedisPublisher"](redis, name)
        self._redis, self._url, self._name = redis, url, name

    async def subscribe(self, subscriber: str, *, types: Sequence[str] = (), everything: bool = False) -> None:
        await self._example["subscribe"](self._redis, self._name, subscriber, everything=everything)

    @asynccontextmanager
    async def reader(self, subscriber: str) -> AsyncIterator[MessageSource]:
        async with Redis.from_url(self._url) as client:
            source = self._example["RedisSource"](client, self._name, subscriber)
            try:
                yield source
            finally:
                await source.close()

    async def publish_together(self, groups: Sequence[str], *, fail: bool) -> None:
        commands: Any = self._redis.pipeline(transaction=True)
        for number, group in enumerate(groups):
            head = json.dumps({"group": group, "id": group, "attributes": {}})
            commands.xadd(f"{self._name}:{number}", {"head": head, "body": "{}"})
        if not fail:
            await commands.execute()


class RedisStreamsCandidate(CandidateBroker):
    """One server with an append-only file."""

    column = "Redis Streams"

    async def start(self, environment: ComparisonEnvironment) -> None:
        self.server = await environment.enter(RedisServer())

    @asynccontextmanager
    async def topic(self, name: str) -> AsyncIterator[CandidateTopic]:
        if self.server is None:
            raise ValueError("not started")
        async with Redis.from_url(self.server.url) as client:
            yield RedisStreamsTopic(client, self.server.url, name)

    def version(self) -> str:
        return self.server.version() if self.server else ""


class PubSubPublisher:
    """Publishes to a channel."""

    def __init__(self, redis: Redis, channel: str) -> None:
        self._redis, self._channel = redis, channel

    async def publish(self, events: Sequence[OutgoingEvent]) -> CallOutcome:
        calls: Any = self._redis.pipeline(transaction=False)
        for event in events:
            head = {"group": event.subject, "id": event.deduplication_id, "attributes": dict(event.attributes)}
            calls.publish(self._channel, json.dumps({"head": head, "body": event.body.decode()}))
        try:
            heard = await calls.execute()
        except (RedisError, OSError) as error:
            return BrokerOutage(str(error))
        return Answered(tuple(Accepted(f"{each} listen") for each in heard), all_accepted=True)

    async def check(self) -> str | None:
        return None


class PubSubSource:
    """What a connection hears; nothing is kept, so nothing is acknowledged or delivered again."""

    system = "redis"

    def __init__(self, name: str, listening: Any) -> None:
        self.name = name
        self._listening = listening
        self._received = 0

    async def receive(self, *, wait_seconds: int, visibility_seconds: int, most: int = BATCH) -> list[Message]:
        found: list[Message] = []
        while len(found) < most:
            heard = await self._listening.get_message(
                ignore_subscribe_messages=True, timeout=0.01 if found else float(wait_seconds or 0.01)
            )
            if heard is None:
                break
            content = json.loads(heard["data"])
            head, self._received = content["head"], self._received + 1
            number, now = str(self._received), datetime.now(UTC)
            found.append(
                Message(number, number, content["body"], head["group"], head["id"], number, 1, now, head["attributes"])
            )
        return found

    async def delete(self, messages: Iterable[Message]) -> list[Message]:
        return []

    async def extend(self, messages: Iterable[Message], seconds: int) -> list[Message]:
        return []

    async def url(self) -> str:
        return f"redis:{self.name}"


class PubSubTopic(CandidateTopic):
    """A channel."""

    def __init__(self, redis: Redis, url: str, name: str) -> None:
        self.publisher = PubSubPublisher(redis, name)
        self._url, self._name = url, name

    async def subscribe(self, subscriber: str, *, types: Sequence[str] = (), everything: bool = False) -> None:
        """A subscriber of a channel exists only while it is connected."""

    @asynccontextmanager
    async def reader(self, subscriber: str) -> AsyncIterator[MessageSource]:
        async with Redis.from_url(self._url) as client, client.pubsub() as listening:
            await listening.subscribe(self._name)
            await listening.get_message(timeout=2)
            yield PubSubSource(f"{subscriber}-{self._name}", listening)


class PubSubCandidate(CandidateBroker):
    """Channels of the same server."""

    column = "Redis Pub/Sub"

    async def start(self, environment: ComparisonEnvironment) -> None:
        self.server = (await started(environment, RedisStreamsCandidate)).server

    @asynccontextmanager
    async def topic(self, name: str) -> AsyncIterator[CandidateTopic]:
        if self.server is None:
            raise ValueError("not started")
        async with Redis.from_url(self.server.url) as client:
            yield PubSubTopic(client, self.server.url, f"channel-{name}")

    def version(self) -> str:
        return self.server.version() if self.server else ""
