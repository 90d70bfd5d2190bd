"""The span of receiving a batch of messages, which links to the events in it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..broker.source import Message
from . import conventions
from .spans import Kind, traceparent_in, tracer


def received(system: str, queue: str, messages: Sequence[Message], seconds: float) -> None:
    """Make the span of a receive that took so long, from a queue of this kind of broker.

    One without messages, or without sampled ones, has none.
    """
    if (tracing := tracer()) is None:
        return
    links = [context for message in messages if (context := traceparent_in(message.body)) is not None]
    if not links:
        return
    attributes = {
        **conventions.messaging(system, conventions.RECEIVE, queue),
        conventions.BATCH_COUNT: len(messages),
    }
    began = time.time_ns() - int(seconds * 1e9)
    name = f"{conventions.RECEIVE} {queue}"
    tracing.begin(name, Kind.CLIENT, links=links, attributes=attributes, at=began).end()
