"""Which handler takes an event, how long it may take, and what happens when it fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from ..contracts.payload import EventPayload
from ..envelope import Envelope
from ..errors import ConfigurationError
from .event import Event
from .policies import FailurePolicy, RetryInPlace

P = TypeVar("P", bound=EventPayload)
A = TypeVar("A")


class Stale(Enum):
    """What a handler wants with an event that comes after a later one of its subject was processed."""

    HANDLE = "handle"
    SKIP = "skip"


Act = Callable[[Event[P]], Awaitable[A]]
"""The effect outside the database, run outside any transaction, keyed by the event's id: a crash may repeat it."""

Record = Callable[[AsyncSession, Event[P], A], Awaitable[None]]
"""The writes, in the transaction that the inbox row began. It must not commit, and must do nothing outside."""


@dataclass(frozen=True, slots=True)
class Route(Generic[P, A]):
    """A handler and all that was declared beside it."""

    payload: type[P]
    record: Record[P, A]
    act: Act[P, A] | None
    policy: FailurePolicy
    timeout: float
    stale: Stale


AnyRoute = Route[Any, Any]


@dataclass(frozen=True, slots=True)
class NoRoute:
    """No handler was declared for an event of that type and version."""

    reason: str
    error: str


class Router:
    """The handlers of one consumer, by event type and major version."""

    def __init__(self) -> None:
        self._routes: dict[tuple[str, int], AnyRoute] = {}

    def handle(
        self,
        payload: type[P],
        record: Record[P, A],
        *,
        act: Act[P, A] | None = None,
        policy: FailurePolicy | None = None,
        timeout: float = 30.0,
        stale: Stale = Stale.HANDLE,
    ) -> None:
        """Declare the handler for the type and major version that a payload model names.

        Without `act`, `record` gets None as what was acted. `timeout` is in seconds, for both together.
        """
        key = (payload.type, payload.version)
        if key in self._routes:
            raise ConfigurationError(f"two handlers for {payload.type} version {payload.version}")
        if timeout <= 0:
            raise ConfigurationError(f"the handler of {payload.type} needs a timeout above 0, not {timeout}")
        self._routes[key] = Route(payload, record, act, policy or RetryInPlace(), timeout, stale)

    @property
    def types(self) -> frozenset[str]:
        """The event types that have a handler."""
        return frozenset(event_type for event_type, _ in self._routes)

    def find(self, envelope: Envelope) -> AnyRoute | NoRoute:
        """The handler for an event, or why there is none."""
        route = self._routes.get((envelope.type, envelope.major_version))
        if route is not None:
            return route
        if envelope.type in self.types:
            return NoRoute("unknown_version", f"no handler for {envelope.type} version {envelope.major_version}")
        return NoRoute("unknown_type", f"no handler for {envelope.type}")
