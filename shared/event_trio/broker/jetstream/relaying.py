"""Opens a stream for a relay: `BROKER=event_trio.broker.jetstream`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ...errors import BrokerUnavailable
from ..opened import PUBLISH_CHECK, OpenedBroker
from .connection import FAULTS, connected, text_of
from .publisher import JetStreamPublisher
from .source import JetStreamSource


@asynccontextmanager
async def open_broker(url: str, topic: str, *, call_seconds: float) -> AsyncIterator[OpenedBroker]:
    """The stream of a topic, and its subscriber `publish-check`. It does not wait for the server."""
    async with connected(url, call_seconds=call_seconds, wait=False) as client:

        async def created() -> str:
            if not client.is_connected:
                raise BrokerUnavailable("not connected to NATS")
            try:
                info = await client.jetstream(timeout=call_seconds).stream_info(topic)
            except FAULTS as error:
                raise BrokerUnavailable(f"stream {topic} cannot be read: {text_of(error)}") from error
            return str(int(info.created.timestamp())) if info.created else "0"

        yield OpenedBroker(
            JetStreamPublisher(client, topic, call_seconds=call_seconds),
            JetStreamSource(client, topic, PUBLISH_CHECK, call_seconds=call_seconds),
            created,
        )
