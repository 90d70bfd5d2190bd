"""What a module gives a relay, so that it can send to a broker other than SNS: the function `open_broker`."""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, cast

from ..errors import ConfigurationError
from .publisher import MessagePublisher
from .source import MessageSource

PUBLISH_CHECK = "publish-check"
"""The subscriber through which a relay receives the events of its own topic."""


async def unknown_creation() -> str | None:
    """The answer of a broker that cannot tell whether it was created again."""
    return None


@dataclass(frozen=True, slots=True)
class OpenedBroker:
    """One topic of a broker, opened for a relay."""

    publisher: MessagePublisher
    publish_check: MessageSource
    """All events of the topic, for the subscriber PUBLISH_CHECK."""
    created: Callable[[], Awaitable[str | None]] = unknown_creation
    """When the topic was created, in seconds as a decimal number; a greater one than before means that what was not
    delivered yet is lost, and is sent again. None if it is not known. Raises BrokerUnavailable."""


class OpenBroker(Protocol):
    """Opens a topic of a broker; what it opened is closed at the end. It waits for no broker that is not there."""

    def __call__(self, url: str, topic: str, *, call_seconds: float) -> AbstractAsyncContextManager[OpenedBroker]:
        """`url` is the relay's BROKER_URL, and `call_seconds` the deadline of a call."""
        ...


def find_broker(module: str) -> OpenBroker:
    """The function `open_broker` of a module. Raises ConfigurationError if there is none."""
    try:
        found = getattr(importlib.import_module(module), "open_broker", None)
    except ImportError as error:
        raise ConfigurationError(f"BROKER is {module!r}, which cannot be imported: {error}") from error
    if not callable(found):
        raise ConfigurationError(
            f"BROKER is {module!r}, which has no function open_broker(url, topic, *, call_seconds)"
        )
    return cast(OpenBroker, found)
