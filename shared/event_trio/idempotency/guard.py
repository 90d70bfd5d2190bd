"""Guards that make a change happen once per idempotency key, or every time without a key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from .keyed_request import KeyedRequest, StoredResponse
from .response_store import ResponseStore
from .transactions import Fetch

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class IdempotencyGuard(Protocol[T_contra]):
    """What a use case calls in the transaction of a change: `claim` before anything else, `keep` at the end."""

    async def claim(self, fetch: Fetch) -> None:
        """Return if the change is to be made; raise AlreadyAnswered, KeyReused or KeyInUse otherwise."""

    async def keep(self, fetch: Fetch, result: T_contra) -> None:
        """Store the response to the change that was made, with this result."""

    async def amend(self, fetch: Fetch, result: T_contra) -> None:
        """Replace the stored response, for a change that takes several transactions: this is its result so far."""


@dataclass(frozen=True, slots=True)
class KeyGuard(Generic[T]):
    """Makes a change once per key: the request, the store of responses, and how a result becomes a response."""

    store: ResponseStore
    request: KeyedRequest
    respond: Callable[[T], StoredResponse]

    async def claim(self, fetch: Fetch) -> None:
        """Return if no request with this key was answered or is being processed."""
        await self.store.claim(fetch, self.request)

    async def keep(self, fetch: Fetch, result: T) -> None:
        """Store the response in the transaction of the change."""
        await self.store.keep(fetch, self.request, self.respond(result))

    async def amend(self, fetch: Fetch, result: T) -> None:
        """Replace the stored response in the transaction of the change."""
        await self.store.amend(fetch, self.request, self.respond(result))


class NoGuard:
    """A change without a key: a repetition cannot be recognised."""

    async def claim(self, fetch: Fetch) -> None:
        """Return always."""

    async def keep(self, fetch: Fetch, result: object) -> None:
        """Store nothing."""

    async def amend(self, fetch: Fetch, result: object) -> None:
        """Store nothing."""


NO_GUARD = NoGuard()
