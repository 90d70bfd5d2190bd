"""NATS JetStream, by the library's own extra."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from nats.aio.client import Client

from comparisons.brokers.candidate import CandidateBroker, CandidateTopic
from comparisons.brokers.servers.nats_server import NatsServer
from comparisons.environment import ComparisonEnvironment
from event_trio.broker.jetstream import JetStreamPublisher, JetStreamSource, connected, create_topic, subscribe
from event_trio.broker.jetstream.naming import GROUP_HEADER, subject_of
from event_trio.broker.partitions import partition_of
from event_trio.broker.source import MessageSource

VISIBILITY_SECONDS = 8


class JetStreamTopic(CandidateTopic):
    """A stream."""

    def __init__(self, client: Client, url: str, name: str) -> None:
        self.publisher = JetStreamPublisher(client, name, call_seconds=5)
        self._client, self._url, self._name = client, url, name

    async def subscribe(self, subscriber: str, *, types: Sequence[str] = (), everything: bool = False) -> None:
        await subscribe(
            self._client,
            self._name,
            subscriber,
            types=types,
            everything=everything,
            visibility_seconds=VISIBILITY_SECONDS,
        )

    async def publish_together(self, groups: Sequence[str], *, fail: bool) -> None:
        """An atomic batch (NATS 2.12): the last message commits it, and without that nothing is stored."""
        stream = self._client.jetstream()
        config = (await stream.stream_info(self._name)).config
        config.allow_atomic = True
        await stream.update_stream(config)
        batch = secrets.token_hex(8)
        for number, group in enumerate(groups, 1):
            headers = {GROUP_HEADER: group, "Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}
            if number == len(groups) and not fail:
                headers["Nats-Batch-Commit"] = "1"
            subject = subject_of(self._name, partition_of(group), "test.counted")
            await self._client.request(subject, b"{}", timeout=5, headers=headers)

    @asynccontextmanager
    async def reader(self, subscriber: str) -> AsyncIterator[MessageSource]:
        async with connected(self._url) as client:
            yield JetStreamSource(client, self._name, subscriber)


class JetStreamCandidate(CandidateBroker):
    """One server with streams on disk."""

    column = "NATS JetStream"

    async def start(self, environment: ComparisonEnvironment) -> None:
        self.server = await environment.enter(NatsServer())

    @asynccontextmanager
    async def topic(self, name: str) -> AsyncIterator[CandidateTopic]:
        if self.server is None:
            raise ValueError("not started")
        async with connected(self.server.url) as client:
            await create_topic(client, name)
            yield JetStreamTopic(client, self.server.url, name)

    def version(self) -> str:
        return self.server.version() if self.server else ""
