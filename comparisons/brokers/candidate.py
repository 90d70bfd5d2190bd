"""What a compared broker is for the questions: topics with subscribers, and a server that can be killed."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import ClassVar
from weakref import WeakKeyDictionary

from comparisons.brokers.servers.broker_server import BrokerServer
from comparisons.contract import NotAvailable
from comparisons.environment import ComparisonEnvironment
from event_trio.broker.publisher import MessagePublisher
from event_trio.broker.source import MessageSource
from tools.embedded.errors import EmbeddedServerFailed

DEAD_LETTERS_AFTER = 2
"""Deliveries after which a broker that can do so moves a message to its dead letters."""


class NotOffered(Exception):
    """The broker has no such thing. The message says what it has instead."""


class CandidateTopic(ABC):
    """A topic of one question."""

    publisher: MessagePublisher

    @abstractmethod
    async def subscribe(self, subscriber: str, *, types: Sequence[str] = (), everything: bool = False) -> None:
        """Create a subscriber; `types` and `everything` as far as the broker can select and replay."""

    @abstractmethod
    def reader(self, subscriber: str) -> AbstractAsyncContextManager[MessageSource]:
        """A reader of a subscriber, with a connection of its own."""

    async def dead_letters(self, subscriber: str) -> int:
        """How many messages the broker itself moved to the dead letters of a subscriber. Raises NotOffered."""
        raise NotOffered("none")

    async def publish_together(self, groups: Sequence[str], *, fail: bool) -> None:
        """Publish one event to each group in one transaction, or abort it. Raises NotOffered."""
        raise NotOffered("none")


class CandidateBroker(ABC):
    """A broker of one run; its server is started when it is first needed, and serves all lines."""

    column: ClassVar[str]

    def __init__(self) -> None:
        self.server: BrokerServer | None = None
        self._numbers = itertools.count(1)

    @abstractmethod
    async def start(self, environment: ComparisonEnvironment) -> None:
        """Start the server. Raises NotAvailable."""

    @abstractmethod
    def topic(self, name: str) -> AbstractAsyncContextManager[CandidateTopic]:
        """A new topic of this name."""

    @abstractmethod
    def version(self) -> str:
        """The version of the server."""

    @asynccontextmanager
    async def new_topic(self, purpose: str) -> AsyncIterator[CandidateTopic]:
        """A new topic with a name of its own."""
        async with self.topic(f"{purpose}-{next(self._numbers)}") as made:
            yield made


_STARTED: WeakKeyDictionary[ComparisonEnvironment, dict[type[CandidateBroker], CandidateBroker]] = WeakKeyDictionary()


async def started(environment: ComparisonEnvironment, kind: type[CandidateBroker]) -> CandidateBroker:
    """The broker of this run. Raises NotAvailable."""
    known = _STARTED.setdefault(environment, {})
    if kind not in known:
        made = kind()
        try:
            await made.start(environment)
        except EmbeddedServerFailed as error:
            raise NotAvailable(f"{kind.column} cannot be started: {str(error).splitlines()[0]}") from error
        known[kind] = made
    return known[kind]
