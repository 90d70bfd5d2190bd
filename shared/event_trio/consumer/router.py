"""The handlers of a consumer by event type, with their timeouts and failure policies."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, overload

from sqlalchemy.ext.asyncio import AsyncSession

from ..contracts.payload import EventPayload
from ..errors import ConfigurationError
from ..inbox.claim_at_once import Writes
from ..inbox.delivery import DecodedMessage
from .event import Event
from .policies import FailurePolicy, PublishFailure, RetryInPlace, final_policy
from .policy_settings import ensure_handled

if TYPE_CHECKING:
    from ..database.table_sets import AsyncpgConnection
else:
    AsyncpgConnection = Any

P = TypeVar("P", bound=EventPayload)
A = TypeVar("A")

LONGEST_TIMEOUT = 240.0
"""The longest timeout of a handler, in seconds: messages stay in flight, or are leased, for longer."""
COMMIT_SECONDS = 30.0
"""The time for the statements around a handler, in seconds."""


CONNECTION_NAMES = frozenset({"Connection", "PoolConnectionProxy", "AsyncpgConnection"})
"""The names by which an annotation means a connection of asyncpg."""


class Stale(Enum):
    """What happens to an event that is delivered after a later one of its subject was handled."""

    HANDLE = "handle"
    SKIP = "skip"


Act = Callable[[Event[P]], Awaitable[A]]
"""The effect outside the database, run outside any transaction. A crash may repeat it: its key is the event's id."""

Record: TypeAlias = (
    Callable[[AsyncSession, Event[P], A], Awaitable[None]] | Callable[[AsyncpgConnection, Event[P], A], Awaitable[None]]
)
"""The writes, in the transaction of the inbox row. It must not commit, and must have no effect outside the database.

It gets the connection of asyncpg if its first parameter is annotated so (`asyncpg.Connection`), and else a session."""

WritesOf = Callable[[Event[P], A], Writes | None]
"""The writes as data, or None if there are none. It waits for nothing, and `event.stale` is what a look found."""

RecordFailure = Callable[[AsyncSession, Event[P], str], Awaitable[None]]
"""Records that the handler finally failed, with the reason, in the transaction of the inbox row."""


@dataclass(frozen=True, slots=True)
class Route(Generic[P, A]):
    """A handler and its options."""

    payload: type[P]
    record: Any
    """A `Record`, unless there are `writes`."""
    act: Act[P, A] | None
    policy: FailurePolicy
    timeout: float
    stale: Stale
    on_failure: RecordFailure[P] | None = None
    takes_connection: bool = False
    writes: WritesOf[P, A] | None = None


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
        self.types: frozenset[str] = frozenset()
        """The event types that have a handler."""

    @overload
    def handle(
        self,
        payload: type[P],
        record: Record[P, A],
        *,
        act: Act[P, A] | None = None,
        policy: FailurePolicy | None = None,
        timeout: float = 30.0,
        stale: Stale = Stale.HANDLE,
        on_failure: RecordFailure[P] | None = None,
    ) -> None: ...

    @overload
    def handle(
        self,
        payload: type[P],
        *,
        writes: WritesOf[P, A],
        act: Act[P, A] | None = None,
        policy: FailurePolicy | None = None,
        timeout: float = 30.0,
        stale: Stale = Stale.HANDLE,
        on_failure: RecordFailure[P] | None = None,
    ) -> None: ...

    def handle(
        self,
        payload: type[P],
        record: Record[P, A] | None = None,
        *,
        writes: WritesOf[P, A] | None = None,
        act: Act[P, A] | None = None,
        policy: FailurePolicy | None = None,
        timeout: float = 30.0,
        stale: Stale = Stale.HANDLE,
        on_failure: RecordFailure[P] | None = None,
    ) -> None:
        """Declare the handler for the type and major version that a payload model names.

        It is either `record`, which writes inside the transaction of the inbox row, or `writes`, which returns what is
        to be written, so that inbox row, writes and commit are one round trip to the database.

        Without `act`, the last argument of `record` and `writes` is None. `timeout` is in seconds, for `act` and what
        follows together. `on_failure` is called under the policy `publish_failure`.
        """
        if (record is None) == (writes is None):
            raise ConfigurationError(f"the handler of {payload.type} is either `record` or `writes`")
        key = (payload.type, payload.version)
        if key in self._routes:
            raise ConfigurationError(f"two handlers for {payload.type} version {payload.version}")
        if not timeout <= LONGEST_TIMEOUT:
            raise ConfigurationError(
                f"the handler of {payload.type} may take {timeout:g} s: that is more than its message is kept for; "
                f"give it at most {LONGEST_TIMEOUT:g} s"
            )
        if timeout <= 0:
            raise ConfigurationError(f"the handler of {payload.type} needs a timeout above 0, not {timeout}")
        takes_connection = record is not None and _takes_connection(record)
        route = Route(
            payload, record, act, policy or RetryInPlace(), timeout, stale, on_failure, takes_connection, writes
        )
        self._routes[key] = _checked(route)
        self.types = frozenset({*self.types, payload.type})

    def override(self, policies: Mapping[str, FailurePolicy], *, setting: str) -> None:
        """Put policies in place of the declared ones, by event type; raises ConfigurationError."""
        ensure_handled(policies, sorted(self.types), setting)
        for key, route in self._routes.items():
            if key[0] in policies:
                self._routes[key] = _checked(replace(route, policy=policies[key[0]]))

    @property
    def routes(self) -> tuple[AnyRoute, ...]:
        """The handlers with their options, in the order of their declaration."""
        return tuple(self._routes.values())

    @property
    def policies(self) -> dict[str, FailurePolicy]:
        """The failure policy of each event type that has a handler."""
        return {event_type: route.policy for (event_type, _), route in self._routes.items()}

    def ensure_kept(self, seconds: float, *, how: str) -> None:
        """Raise ConfigurationError if a handler may take longer than its message is kept."""
        longest = max((route.timeout for route in self._routes.values()), default=0.0)
        if seconds < longest + COMMIT_SECONDS:
            raise ConfigurationError(
                f"a handler may take {longest:g} s, and {how} only {seconds:g} s: at least {COMMIT_SECONDS:g} s more "
                "are needed, or another process would run it meanwhile"
            )

    def find(self, event: DecodedMessage) -> AnyRoute | NoRoute:
        """The handler for an event, or why there is none."""
        route = self._routes.get((event.type or "", event.version))
        if route is not None:
            return route
        if event.type in self.types:
            return NoRoute("unknown_version", f"no handler for {event.type} version {event.version}")
        return NoRoute("unknown_type", f"no handler for {event.type}")


def _checked(route: AnyRoute) -> AnyRoute:
    if isinstance(final_policy(route.policy), PublishFailure) and route.on_failure is None:
        raise ConfigurationError(
            f"the handler of {route.payload.type} declares no failure event, so publish_failure cannot be its policy"
        )
    return route


def _takes_connection(record: Callable[..., object]) -> bool:
    """Whether the first parameter is annotated as a connection of asyncpg."""
    try:
        first = next(iter(inspect.signature(record).parameters.values()), None)
    except (TypeError, ValueError):
        return False
    annotation = first.annotation if first is not None else None
    # Text is not evaluated: it may name what is imported for a type checker only.
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return text.partition("[")[0].rpartition(".")[2] in CONNECTION_NAMES
