"""A broker of your own: Redis Streams behind a relay (`BROKER=redis_streams`) and in front of a consumer."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from event_trio.broker.opened import PUBLISH_CHECK, OpenedBroker
from event_trio.broker.outcome import Accepted, Answered, BrokerOutage, CallOutcome
from event_trio.broker.partitions import partition_of
from event_trio.broker.publisher import OutgoingEvent
from event_trio.broker.source import Message
from event_trio.broker.visibility_buffer import VisibilityBuffer
from event_trio.errors import BrokerUnavailable

PARTITIONS = 8
LEASE_MS = 10_000  # a reader that died keeps its partitions for so long
FAULTS = (RedisError, OSError, TimeoutError)


def streams(topic: str) -> list[str]:
    """The stream of each partition: a stream keeps the order, so a message group is in one of them."""
    return [f"{topic}:{partition}" for partition in range(PARTITIONS)]


@contextmanager
def unavailable(name: str) -> Iterator[None]:
    try:
        yield
    except FAULTS as error:
        raise BrokerUnavailable(f"cannot use {name}: {type(error).__name__}: {error}") from error


async def subscribe(redis: Redis, topic: str, subscriber: str, *, everything: bool = False) -> None:
    """Create a subscriber, and the topic with it: a consumer group on each stream."""
    for stream in streams(topic):
        with suppress(ResponseError):  # it exists
            await redis.xgroup_create(stream, subscriber, id="0" if everything else "$", mkstream=True)


class RedisPublisher:
    def __init__(self, redis: Redis, topic: str) -> None:
        self._redis, self._topic = redis, topic

    async def publish(self, events: Sequence[OutgoingEvent]) -> CallOutcome:
        calls = self._redis.pipeline(transaction=False)
        for event in events:
            stream = streams(self._topic)[partition_of(event.subject, PARTITIONS)]
            head = {"group": event.subject, "id": event.deduplication_id, "attributes": dict(event.attributes)}
            calls.xadd(stream, {"head": json.dumps(head), "body": event.body}, nomkstream=True)
        try:
            ids = await calls.execute()
        except FAULTS as error:
            return BrokerOutage(f"{type(error).__name__}: {error}")
        if None in ids:
            return BrokerOutage(f"topic {self._topic} does not exist")
        return Answered(tuple(Accepted(each.decode()) for each in ids), all_accepted=True)

    async def check(self) -> str | None:
        try:
            return None if await self._redis.exists(*streams(self._topic)) else f"topic {self._topic} does not exist"
        except FAULTS as error:
            return f"topic {self._topic} cannot be used: {type(error).__name__}"


class RedisSource:
    """Reads the partitions of one subscriber that no other process leases."""

    def __init__(self, redis: Redis, topic: str, subscriber: str) -> None:
        self.name, self.system = f"{subscriber}-{topic}", "redis"
        self._redis, self._topic, self._subscriber = redis, topic, subscriber
        self._me = str(uuid4())
        self._owned: list[str] = []
        self._buffer: VisibilityBuffer[tuple[str, bytes]] = VisibilityBuffer()

    async def receive(self, *, wait_seconds: int, visibility_seconds: int, most: int = 10) -> list[Message]:
        until = time.monotonic() + wait_seconds
        while True:
            await self._read()
            taken = await self._buffer.take(most, wait_seconds=0, visibility_seconds=visibility_seconds)
            if taken or time.monotonic() >= until:
                return taken
            await asyncio.sleep(0.02)

    async def delete(self, messages: Iterable[Message]) -> list[Message]:
        tokens, rejected = self._buffer.remove(messages)
        with unavailable(self.name):
            for stream, id in tokens:
                await self._redis.xack(stream, self._subscriber, id)
        return rejected

    async def extend(self, messages: Iterable[Message], seconds: int) -> list[Message]:
        return self._buffer.extend(messages, seconds)

    async def url(self) -> str:
        await self._read()
        return f"redis:{self.name}"

    async def close(self) -> None:
        """Let other processes read at once."""
        with suppress(*FAULTS):
            for stream in self._owned:
                await self._redis.delete(f"{stream}:{self._subscriber}:lease")
        self._owned = []
        self._buffer.clear()

    async def _read(self) -> None:
        with unavailable(self.name):
            for stream in streams(self._topic):
                if stream in self._owned:
                    if await self._redis.get(f"{stream}:{self._subscriber}:lease") == self._me.encode():
                        await self._redis.pexpire(f"{stream}:{self._subscriber}:lease", LEASE_MS)
                        continue
                    self._owned.remove(stream)  # another process reads what is in memory here
                    await self.close()
                if await self._redis.set(f"{stream}:{self._subscriber}:lease", self._me, nx=True, px=LEASE_MS):
                    self._owned.append(stream)
                    claimed = await self._redis.xautoclaim(stream, self._subscriber, self._me, 0, "0-0", count=10_000)
                    self._add(stream, claimed[1], again=1)  # what the former owner had in memory comes first
            if self._owned and len(self._buffer) < 300:
                new: Any = dict.fromkeys(self._owned, ">")
                found: Any = await self._redis.xreadgroup(self._subscriber, self._me, new, count=50)
                for stream, entries in found or []:
                    self._add(stream.decode(), entries, again=0)

    def _add(self, stream: str, entries: Iterable[tuple[bytes, dict[bytes, bytes]]], *, again: int) -> None:
        for id, fields in entries:
            head, key = json.loads(fields[b"head"]), f"{stream}:{id.decode()}"
            sent, body = datetime.fromtimestamp(int(id.partition(b"-")[0]) / 1000, UTC), fields[b"body"].decode()
            message = Message(key, "", body, head["group"], head["id"], key, again, sent, head["attributes"])
            self._buffer.add(message, (stream, id))


@asynccontextmanager
async def open_broker(url: str, topic: str, *, call_seconds: float) -> AsyncIterator[OpenedBroker]:
    async with Redis.from_url(url, socket_timeout=call_seconds) as redis:
        source = RedisSource(redis, topic, PUBLISH_CHECK)
        try:
            yield OpenedBroker(RedisPublisher(redis, topic), source)
        finally:
            await source.close()
