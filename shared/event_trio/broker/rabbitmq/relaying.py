"""Opens an exchange for a relay: `BROKER=event_trio.broker.rabbitmq`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..opened import PUBLISH_CHECK, OpenedBroker
from .publisher import RabbitPublisher
from .source import RabbitSource


@asynccontextmanager
async def open_broker(url: str, topic: str, *, call_seconds: float) -> AsyncIterator[OpenedBroker]:
    """The exchange of a topic, and its subscriber `publish-check`. Each connects at its first call."""
    publisher = RabbitPublisher(url, topic, call_seconds=call_seconds)
    try:
        async with RabbitSource(url, topic, PUBLISH_CHECK, call_seconds=call_seconds) as source:
            yield OpenedBroker(publisher, source)
    finally:
        await publisher.close()
